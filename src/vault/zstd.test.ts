import { randomBytes } from 'node:crypto'
import { constants, ZstdCompress, zstdCompressSync, ZstdDecompress, zstdDecompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { compressed, decompressed, openPacking, openUnpacking, type Inside } from './zstd.ts'

const OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }
const LENGTHS = [0, 1, 63, 255, 256, 257, 2_500, 65_535, 65_536, 65_791, 65_792, 131_073, 1024 * 1024]

function contents(): Uint8Array[] {
  const text = Buffer.from('{"role":"user","content":"Where is my refund for order 1182?"} '.repeat(17_000))
  return LENGTHS.flatMap((length) => [new Uint8Array(length), Uint8Array.from(randomBytes(length)), Uint8Array.from(text.subarray(0, length))])
}

describe('one context for all frames', () => {
  test('is to be had on this runtime: without it each frame takes twice as long', () => {
    expect(openPacking()).toBeTypeOf('function')
  })

  test('gives the bytes of the documented call, whatever was compressed before', () => {
    const all = contents()
    for (const raw of [...all, ...all.toReversed()]) {
      const frame = compressed(raw)
      expect(Buffer.compare(frame, zstdCompressSync(raw, OPTIONS))).toBe(0)
      expect(Buffer.compare(decompressed(frame, Math.max(1, raw.length)), raw)).toBe(0)
    }
  })

  test('leaves nothing behind on its stream', () => {
    const stream = new ZstdCompress(OPTIONS)
    const open = openPacking(() => stream)!
    const listeners = stream.listenerCount('error')
    for (const raw of contents()) expect(open(raw)).toBeInstanceOf(Uint8Array)
    expect([listeners, stream.listenerCount('error')]).toEqual([0, 0])
  })

  test('is left alone where the runtime is otherwise inside', () => {
    const real = (): Inside => new ZstdCompress(OPTIONS) as unknown as Inside & { removeAllListeners(event: 'error'): unknown }
    const without = (member: keyof Inside): unknown => Object.defineProperty(real(), member, { value: undefined })
    const chunked = (process: (stream: Inside, raw: Uint8Array) => Uint8Array): Inside => {
      const stream = real()
      return { _handle: stream._handle, destroyed: false, _processChunk: (raw) => process(stream, raw), removeAllListeners: () => stream.removeAllListeners('error') }
    }
    const flushed = (flush: number) => (stream: Inside, raw: Uint8Array) => stream._processChunk(raw, flush)
    expect(openPacking(real)).toBeTypeOf('function')
    for (const stream of [
      {}, { _handle: null }, without('_handle'), without('_processChunk'), Object.defineProperty(real(), 'destroyed', { value: true }),
      chunked(() => new Uint8Array(0)), // does nothing
      chunked(flushed(constants.ZSTD_e_continue)), // keeps it to itself
      chunked(flushed(constants.ZSTD_e_flush)), // does not end the frame
      chunked((_, raw) => zstdCompressSync(raw.subarray(1), OPTIONS)), // of other content
      chunked((_, raw) => zstdCompressSync(raw, OPTIONS).map((byte, i) => (i === 20 ? byte ^ 1 : byte))), // damages it
      chunked(() => { throw new Error('gone') }),
    ]) expect(openPacking(() => stream)).toBeUndefined()
  })
})

describe('one context for the content of all frames', () => {
  test('is to be had on this runtime: without it reading takes a third longer', () => {
    expect(openUnpacking()).toBeTypeOf('function')
  })

  test('gives content that the next call leaves alone', () => {
    const all = contents()
    const frames = all.map((raw) => zstdCompressSync(raw, { params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: raw.length % 2 } }))
    const made = frames.map((frame, i) => decompressed(frame, all[i]!.length === 0 ? 1 : all[i]!.length))
    for (const [i, raw] of all.entries()) expect(Buffer.compare(made[i]!, raw)).toBe(0)
  })

  test('accepts and refuses what the documented call does, and goes on after it', () => {
    const raw = Uint8Array.from(Buffer.from('{"role":"user","content":"Where is my refund for order 1182?"} '.repeat(40)))
    const frame = compressed(raw).slice()
    const bomb = bombOf(32 * 1024 * 1024, raw.length)
    const bad = [
      ...Array.from({ length: frame.length }, (_, cut) => frame.subarray(0, cut)),
      ...Array.from({ length: frame.length * 8 }, (_, bit) => frame.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))),
      Uint8Array.of(...frame, 0), Uint8Array.of(...frame, ...frame), bomb,
    ]
    let refused = 0
    for (const piece of bad) {
      const documented = outcomeOf(() => zstdDecompressSync(piece, { maxOutputLength: raw.length, params: { [constants.ZSTD_d_windowLogMax]: 23 } }))
      expect(outcomeOf(() => decompressed(piece, raw.length))).toBe(documented)
      if (documented === 'refused') refused++
      expect(Buffer.compare(decompressed(frame, raw.length), raw)).toBe(0)
    }
    expect(refused).toBeGreaterThan(frame.length)
    expect(outcomeOf(() => decompressed(bomb, raw.length))).toBe('refused')
  })

  test('is left alone where the runtime is otherwise inside', () => {
    const real = new ZstdDecompress() as unknown as Inside & { removeAllListeners(event: 'error'): unknown }
    for (const process of [() => new Uint8Array(0), () => new Uint8Array(4_096), () => { throw new Error('gone') }]) {
      expect(openUnpacking(() => ({ _handle: real._handle, destroyed: false, _processChunk: process, removeAllListeners: () => real.removeAllListeners('error') }))).toBeUndefined()
    }
    expect(openUnpacking(() => ({}))).toBeUndefined()
  })
})

function outcomeOf(run: () => Uint8Array): string {
  try {
    return Buffer.from(run()).toString('base64')
  } catch {
    return 'refused'
  }
}

/** A frame that says it holds `stated` bytes and gives `length`: blocks of one byte repeated (RFC 8878 §3.1.1.2). */
function bombOf(length: number, stated: number): Uint8Array {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0b1000_0000, (23 - 10) << 3, 0, 0, 0, 0]) // a window of 8 MiB, a size of four bytes
  head.writeUInt32LE(stated, 6)
  const blocks: Buffer[] = []
  for (let left = length; left > 0; left -= 131_072) {
    const block = Buffer.alloc(4)
    block.writeUIntLE((Math.min(left, 131_072) << 3) | (1 << 1) | (left <= 131_072 ? 1 : 0), 0, 3)
    block[3] = 0x61
    blocks.push(block)
  }
  return Uint8Array.from(Buffer.concat([head, ...blocks]))
}
