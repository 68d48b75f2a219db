import fc from 'fast-check'
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { zstdCompressSync } from 'node:zlib'
import { concat, equal, toHex, u32be, utf8 } from '../base/bytes.ts'
import { newScope } from './scope.ts'
import { MAX_FRAME_BYTES, openSegment, type Place, paddedLength, parseSegmentHeader, placesOf, readFrame, readPayload, sealSegment } from './segment.ts'

const origin = 'example.com/log'
const scope = newScope()
const keys = { origin, scope: scope.id, secret: scope.secret }
const message = (i: number): Uint8Array => utf8(JSON.stringify({ role: 'user', content: `message ${i}: ${'where is my refund? '.repeat(8)}` }))

describe('a sealed segment', () => {
  test('gives every payload back from its place, whatever they are', () => {
    const payload = fc.oneof(fc.uint8Array({ maxLength: 600 }), fc.string({ maxLength: 600 }).map(utf8), fc.nat(3_000).map((n) => new Uint8Array(n)))
    fc.assert(fc.property(fc.array(fc.array(payload, { maxLength: 6 }), { maxLength: 5 }), (groups) => {
      const { segment, places } = sealSegment({ ...keys, groups })
      const opened = openSegment(segment, keys)
      expect(places.map((group) => group.length)).toEqual(groups.map((group) => group.length))
      for (const [i, group] of groups.entries()) for (const [j, bytes] of group.entries()) expect(equal(readPayload(opened, places[i]![j]!), bytes)).toBe(true)
      expect(placesOf(opened)).toEqual(places.flat())
      expect(opened.frames.flatMap((_, i) => readFrame(opened, i)).map(toHex)).toEqual(groups.flat().map(toHex))
    }))
  })

  test('compresses each group apart, and only where that is smaller', () => {
    const noise = Uint8Array.from(randomBytes(500))
    const { segment, places } = sealSegment({ ...keys, groups: [[message(1), message(2)], [noise], [utf8('{"ok":true}')], [], [message(1)]] })
    const opened = openSegment(segment, keys)
    expect(places).toEqual([[place(0, 0), place(0, 1)], [place(1, 0)], [place(2, 0)], [], [place(3, 0)]])
    expect(opened.frames.map((frame) => frame.codec)).toEqual([1, 0, 0, 1])
    expect(opened.frames[3]!.bytes.length).toBeGreaterThan(60) // nothing of the first group helped it
  })

  test('cuts payloads over 1 MiB and fills frames up to 1 MiB', () => {
    const sizes = [MAX_FRAME_BYTES - 1, MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1, 2 * MAX_FRAME_BYTES, 3 * MAX_FRAME_BYTES + 5]
    const groups = [sizes.map((size) => noise(size)), [noise(600_000), noise(600_000), noise(10)]]
    const { segment, places } = sealSegment({ ...keys, groups })
    expect(places[0]!.map((each) => each.frames)).toEqual([1, 1, 2, 2, 4])
    expect(places[1]).toEqual([place(10, 0), place(11, 0), place(11, 1)])
    const opened = openSegment(segment, keys)
    expect(placesOf(opened)).toEqual(places.flat())
    for (const [i, each] of places.flat().entries()) expect(equal(readPayload(opened, each), groups.flat()[i]!)).toBe(true)
    // A place that is not one: a piece alone, too many frames, a start in the middle.
    for (const bad of [place(2, 0), place(3, 0), { frame: 2, position: 0, frames: 3 }, { frame: 3, position: 0, frames: 1 }, { frame: 2, position: 1, frames: 2 }]) {
      expect(() => readPayload(opened, bad)).toThrow(expect.objectContaining({ code: 'payload_place' }))
    }
  })

  test('takes 64 MiB in one payload and refuses more', () => {
    const largest = new Uint8Array(64 * 1024 * 1024).fill(7)
    const { segment, places } = sealSegment({ ...keys, groups: [[largest]] })
    expect(places).toEqual([[{ frame: 0, position: 0, frames: 64 }]])
    expect(Buffer.compare(readPayload(openSegment(segment, keys), places[0]![0]!), largest)).toBe(0)
    expect(() => sealSegment({ ...keys, groups: [[new Uint8Array(largest.length + 1)]] })).toThrow(RangeError)
    expect(() => sealSegment({ ...keys, groups: Array.from({ length: 129 }, () => [noise(MAX_FRAME_BYTES)]) })).toThrow(RangeError)
  })

  test('keeps apart the many small payloads of one event', () => {
    const groups = [Array.from({ length: 3_000 }, (_, i) => utf8(String(i)))]
    const { segment, places } = sealSegment({ ...keys, groups })
    const opened = openSegment(segment, keys)
    expect(places[0]!.map((each) => Buffer.from(readPayload(opened, each)).toString())).toEqual(groups[0]!.map((_, i) => String(i)))
  })

  test('never looks the same twice, and never uses a key twice', () => {
    const groups = [[message(1)]]
    const random = Array.from({ length: 50 }, () => toHex(parseSegmentHeader(sealSegment({ ...keys, groups }).segment).random))
    expect(new Set(random).size).toBe(50)
  })

  test('is what the format says, opened by another implementation', () => {
    const { segment } = sealSegment({ ...keys, groups: [[utf8('ab'), utf8(''), utf8('cde')]] })
    const at = (from: number, to?: number): Buffer => Buffer.from(segment.subarray(from, to))
    expect(at(0, 5).toString('latin1')).toBe('cfs1\u0001')
    expect(equal(at(5, 21), scope.id)).toBe(true)
    expect(at(53, 57).readUInt32BE()).toBe(256)
    const okm = Buffer.from(hkdfSync('sha256', scope.secret, at(21, 53), `counterfoil/segment/v1\0${origin}`, 44))
    const decipher = createDecipheriv('aes-256-gcm', okm.subarray(0, 32), okm.subarray(32)).setAAD(at(0, 57)).setAuthTag(at(-16))
    const plaintext = Buffer.concat([decipher.update(at(57, -16)), decipher.final()])
    expect(plaintext.toString('hex')).toBe('00 00000005 00000005 0003 00000002 00000000 00000003 6162636465'.replaceAll(' ', '').padEnd(512, '0'))
  })
})

describe('a damaged segment', () => {
  const { segment } = sealSegment({ ...keys, groups: [[message(1), message(2)]] })

  test('does not open when any bit of it is another', () => {
    for (let bit = 0; bit < 8 * segment.length; bit++) {
      const bad = Uint8Array.from(segment)
      bad[Math.floor(bit / 8)]! ^= 1 << bit % 8
      expect(() => openSegment(bad, keys)).toThrow(expect.objectContaining({ name: 'VerifyError', code: expect.stringMatching(/^segment_/) }))
    }
  })

  test('does not open at any other length', () => {
    for (let length = 0; length < segment.length; length++) {
      expect(() => openSegment(segment.subarray(0, length), keys)).toThrow(expect.objectContaining({ code: 'segment_malformed' }))
    }
    expect(() => openSegment(concat(segment, new Uint8Array(1)), keys)).toThrow(expect.objectContaining({ code: 'segment_malformed' }))
  })

  test('does not open for another scope, secret or log', () => {
    expect(() => openSegment(segment, { ...keys, scope: newScope().id })).toThrow(expect.objectContaining({ code: 'segment_scope' }))
    expect(() => openSegment(segment, { ...keys, secret: newScope().secret })).toThrow(expect.objectContaining({ code: 'segment_sealed' }))
    expect(() => openSegment(segment, { ...keys, origin: 'example.com/log2' })).toThrow(expect.objectContaining({ code: 'segment_sealed' }))
  })

  test('does not open as a later suite, and says that it is no evidence', () => {
    const later = Uint8Array.from(segment)
    later[4] = 2
    expect(() => openSegment(later, keys)).toThrow(expect.objectContaining({ code: 'segment_unsupported' }))
  })
})

// Whoever has the secret can seal anything; a reader must survive that too.
describe('frames that contradict themselves', () => {
  const stored = frame(0, 3, 3, [3], utf8('abc'))

  test.each<[why: string, plaintext: Uint8Array]>([
    ['without a payload', frame(0, 3, 3, [], utf8('abc'))],
    ['without a payload and without content, before others', concat(frame(0, 0, 0, [], new Uint8Array(0)), stored)],
    ['with more stored bytes than are left', frame(0, 0xffff_ffff, 3, [3], utf8('abc'))],
    ['with more names than are left', frame(0, 3, 3, [3], utf8('abc'), 0xffff)],
    ['with a content over 1 MiB', frame(1, 3, MAX_FRAME_BYTES + 1, [MAX_FRAME_BYTES + 1], utf8('abc'))],
    ['with lengths that do not add up', frame(0, 3, 3, [2], utf8('abc'))],
    ['with lengths that add up past 2^32', frame(0, 3, 3, [0xffff_ffff, 4], utf8('abc'))],
    ['stored at another length', frame(0, 3, 4, [4], utf8('abc'))],
    ['compressed and no smaller', frame(1, 3, 3, [3], utf8('abc'))],
    ['continued and not full', frame(0x80, 3, 3, [3], utf8('abc'))],
    ['continued by nothing', fullPiece()],
    ['continued by several payloads', concat(fullPiece(), frame(0, 3, 3, [1, 2], utf8('abc')))],
    ['cut short', concat(stored, utf8('abcd'))],
    ['after the padding', concat(stored, new Uint8Array(20), stored)],
  ])('are refused: %s', (_why, plaintext) => {
    expect(() => openSegment(sealed(plaintext), keys)).toThrow(expect.objectContaining({ code: 'segment_frame' }))
  })

  test('are refused as newer when the codec is unknown', () => {
    expect(() => openSegment(sealed(frame(2, 3, 3, [3], utf8('abc'))), keys)).toThrow(expect.objectContaining({ code: 'segment_unsupported' }))
  })

  test('are refused when they decompress to more, to less or not at all', () => {
    const packed = zstdCompressSync(new Uint8Array(5_000))
    for (const raw of [4_999, 5_001, 200]) {
      const opened = openSegment(sealed(frame(1, packed.length, raw, [raw], packed)), keys)
      expect(() => readPayload(opened, place(0, 0))).toThrow(expect.objectContaining({ code: 'segment_frame' }))
    }
    // A bomb is stopped at what it states, not after it has filled the memory.
    const bomb = zstdCompressSync(new Uint8Array(256 * 1024 * 1024))
    const tooLarge = expect.objectContaining({ code: 'segment_frame', cause: expect.objectContaining({ code: 'ERR_BUFFER_TOO_LARGE' }) as unknown })
    expect(() => readFrame(openSegment(sealed(frame(1, bomb.length, MAX_FRAME_BYTES, [MAX_FRAME_BYTES], bomb)), keys), 0)).toThrow(tooLarge)
    const opened = openSegment(sealed(frame(1, 40, 5_000, [5_000], randomBytes(40))), keys)
    expect(() => readFrame(opened, 0)).toThrow(expect.objectContaining({ code: 'segment_frame' }))
    expect(readPayload(openSegment(sealed(frame(1, packed.length, 5_000, [5_000], packed)), keys), place(0, 0)).length).toBe(5_000)
  })

  test('cannot make a reader crash or allocate: any plaintext gives frames or a typed error', () => {
    const start = fc.oneof(fc.constant(new Uint8Array(0)), fc.constant(stored), fc.tuple(fc.constantFrom(0, 1, 0x80, 0x81), fc.nat(99), fc.nat(99), fc.nat(3)).map(([codec, a, b, n]) => frame(codec, a, b, [], new Uint8Array(0), n)))
    fc.assert(fc.property(start, fc.uint8Array({ maxLength: 300 }), (head, tail) => {
      try {
        const opened = openSegment(sealed(concat(head, tail)), keys)
        for (const each of placesOf(opened)) readPayload(opened, each)
      } catch (error) {
        expect((error as { code?: string }).code).toMatch(/^segment_/)
      }
    }), { numRuns: 1_000 })
  })

  test('are not found at places that are none', () => {
    const opened = openSegment(sealed(stored), keys)
    for (const bad of [place(1, 0), place(-1, 0), place(0, 1), place(0, -1), place(0.5, 0), place(0, 0.5), { frame: 0, position: 0, frames: 0 }, { frame: 0, position: 0, frames: 2 ** 40 }]) {
      expect(() => readPayload(opened, bad)).toThrow(expect.objectContaining({ code: 'payload_place' }))
    }
    expect(() => readFrame(opened, 1)).toThrow(RangeError)
  })
})

describe('the padded length', () => {
  // The paper's formula, with its bit mask: E = ⌊log2 L⌋, S = ⌊log2 E⌋ + 1, L padded so that the last E - S bits are zero.
  const padme = (length: number): number => {
    const e = BigInt(length).toString(2).length - 1
    const s = BigInt(e).toString(2).length
    const mask = (1n << BigInt(e - s)) - 1n
    return Number((BigInt(length) + mask) & ~mask)
  }

  test("is Padmé's, at least 256, for every length in ranges and around each power of two", () => {
    for (let length = 0; length <= 70_000; length++) expect(paddedLength(length)).toBe(length <= 256 ? 256 : padme(length))
    for (let power = 9; power <= 32; power++) for (let off = -3; off <= 3; off++) expect(paddedLength(2 ** power + off)).toBe(padme(2 ** power + off))
  })

  test('costs at most 12 %, and is its own padded length', () => {
    fc.assert(fc.property(fc.integer({ min: 257, max: 2 ** 32 }), (length) => {
      expect(paddedLength(length)).toBe(padme(length))
      expect(paddedLength(length)).toBeGreaterThanOrEqual(length)
      expect(paddedLength(length) / length).toBeLessThan(1.12)
      expect(paddedLength(paddedLength(length))).toBe(paddedLength(length))
    }))
  })
})

function place(frame: number, position: number): Place {
  return { frame, position, frames: 1 }
}

function noise(length: number): Uint8Array {
  return Uint8Array.from(randomBytes(length))
}

function frame(codec: number, stored: number, raw: number, lengths: readonly number[], bytes: Uint8Array, n: number = lengths.length): Uint8Array {
  return concat(Uint8Array.of(codec), u32be(stored), u32be(raw), Uint8Array.of(n >> 8, n & 255), ...lengths.map(u32be), bytes)
}

function fullPiece(): Uint8Array {
  const packed = zstdCompressSync(new Uint8Array(MAX_FRAME_BYTES))
  return frame(0x81, packed.length, MAX_FRAME_BYTES, [MAX_FRAME_BYTES], packed)
}

/** A segment with this plaintext, sealed as the format says. */
function sealed(plaintext: Uint8Array): Uint8Array {
  const salt = randomBytes(32)
  const header = concat(utf8('cfs1'), Uint8Array.of(1), scope.id, salt, u32be(plaintext.length))
  const okm = Buffer.from(hkdfSync('sha256', scope.secret, salt, `counterfoil/segment/v1\0${origin}`, 44))
  const cipher = createCipheriv('aes-256-gcm', okm.subarray(0, 32), okm.subarray(32)).setAAD(header)
  const body = cipher.update(plaintext)
  cipher.final()
  return concat(header, body, cipher.getAuthTag())
}
