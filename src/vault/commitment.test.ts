import fc from 'fast-check'
import { createHash, createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { toHex, utf8 } from '../base/bytes.ts'
import { parseUuid, uuidv7 } from '../base/ids.ts'
import { checkCommitment, commit, digestOf, saltOf } from './commitment.ts'
import { newScope, saltKeyOf } from './scope.ts'

const event_id = '019a9d5e-1c2b-7d3e-8f40-112233445566'
const saltKey = saltKeyOf(newScope().secret, 'example.com/log')

describe('a commitment', () => {
  test('is what the format says, computed another way', () => {
    const digest = createHash('sha256').update('refund').digest()
    const length = Buffer.alloc(4)
    length.writeUInt32BE(7)
    const salt = createHmac('sha256', saltKey).update(parseUuid(event_id)).update(Buffer.from([10])).update('tool_input').update(length).update(digest).digest()
    const made = createHash('sha256').update('counterfoil/payload/v1').update(Buffer.from([0])).update(salt).update(digest).digest()
    expect(toHex(saltOf(saltKey, { event_id, slot: 'tool_input', position: 7, digest }))).toBe(salt.toString('hex'))
    expect(toHex(commit(salt, digest))).toBe(made.toString('hex'))
  })

  test('checks for its payload and salt, and for no other', () => {
    fc.assert(fc.property(fc.uint8Array(), fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(), fc.nat(), (payload, salt, bit, saltBit) => {
      const commitment = commit(salt, digestOf(payload))
      checkCommitment(commitment, salt, payload)
      const fault = expect.objectContaining({ code: 'payload_commitment' })
      if (payload.length > 0) expect(() => checkCommitment(commitment, salt, flip(payload, bit))).toThrow(fault)
      expect(() => checkCommitment(commitment, flip(salt, saltBit), payload)).toThrow(fault)
      expect(() => checkCommitment(flip(commitment, bit), salt, payload)).toThrow(fault)
      expect(() => checkCommitment(commitment, salt, Uint8Array.of(...payload, 0))).toThrow(fault)
    }))
  })

  test('is made of 32-byte parts only, and of names and positions that fit', () => {
    const ok = new Uint8Array(32)
    expect(() => commit(ok.subarray(1), ok)).toThrow(TypeError)
    expect(() => commit(ok, new Uint8Array(33))).toThrow(TypeError)
    const place = { event_id, slot: 'text', position: 0, digest: ok }
    expect(() => saltOf(ok.subarray(1), place)).toThrow(TypeError)
    expect(() => saltOf(ok, { ...place, digest: ok.subarray(1) })).toThrow(TypeError)
    expect(() => saltOf(ok, { ...place, event_id: event_id.toUpperCase() })).toThrow(TypeError)
    for (const slot of ['', 'x'.repeat(256)]) expect(() => saltOf(ok, { ...place, slot })).toThrow(RangeError)
    for (const position of [-1, 0.5, 2 ** 32, Number.NaN]) expect(() => saltOf(ok, { ...place, position })).toThrow(RangeError)
  })
})

describe('a salt', () => {
  test('belongs to one place: any part of it changes the salt', () => {
    const place = fc.record({ event_id: fc.constantFrom(event_id, uuidv7(0)), slot: fc.stringMatching(/^[a-z_]{1,12}$/), position: fc.nat(300), digest: fc.uint8Array({ minLength: 32, maxLength: 32 }) })
    fc.assert(fc.property(place, place, (a, b) => {
      const same = a.event_id === b.event_id && a.slot === b.slot && a.position === b.position && toHex(a.digest) === toHex(b.digest)
      expect(toHex(saltOf(saltKey, a)) === toHex(saltOf(saltKey, b))).toBe(same)
    }))
  })

  test('keeps the bytes of name and position apart', () => {
    const digest = digestOf(utf8('x'))
    const salts = ['a', 'aa', 'a\0', '\0a'].map((slot) => toHex(saltOf(saltKey, { event_id, slot, position: 0, digest })))
    expect(new Set(salts).size).toBe(salts.length)
  })
})

// review: equal commitments are a guess oracle, and permanent digests give erased content back
describe('a dictionary attack on the log alone', () => {
  const dictionary = Array.from({ length: 10_000 }, (_, i) => utf8(JSON.stringify({ order_id: String(i).padStart(4, '0'), amount: 42 })))
  const secret = dictionary[4_711]!
  const found = (recorded: Uint8Array, guess: (payload: Uint8Array) => Uint8Array): number => dictionary.findIndex((payload) => toHex(guess(payload)) === toHex(recorded))

  test('succeeds on plain digests (the control)', () => {
    expect(found(digestOf(secret), digestOf)).toBe(4_711)
  })

  test('succeeds on commitments for who has the salt key, and fails for who has another or none', () => {
    const place = (payload: Uint8Array) => ({ event_id, slot: 'tool_input', position: 0, digest: digestOf(payload) })
    const under = (key: Uint8Array) => (payload: Uint8Array) => commit(saltOf(key, place(payload)), digestOf(payload))
    const recorded = under(saltKey)(secret)
    expect(found(recorded, under(saltKey))).toBe(4_711)
    expect(found(recorded, under(saltKeyOf(newScope().secret, 'example.com/log')))).toBe(-1)
    expect(found(recorded, under(new Uint8Array(32)))).toBe(-1)
    expect(found(recorded, (payload) => commit(new Uint8Array(32), digestOf(payload)))).toBe(-1)
  })

  test('learns nothing from recording guesses next to it: equal payloads have different commitments', () => {
    const commitments = Array.from({ length: 1_000 }, (_, i) => {
      const place = i < 500 ? { event_id: uuidv7(i), slot: 'tool_input', position: 0 } : { event_id, slot: 'input_messages', position: i }
      return toHex(commit(saltOf(saltKey, { ...place, digest: digestOf(secret) }), digestOf(secret)))
    })
    expect(new Set(commitments).size).toBe(1_000)
  })
})

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const out = Uint8Array.from(bytes)
  const at = bit % (8 * bytes.length)
  out[Math.floor(at / 8)]! ^= 1 << at % 8
  return out
}
