import { randomBytes } from 'node:crypto'
import { constants, ZstdCompress, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { compressed, decompressed, openContext, type Inside } from './zstd.ts'

const OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }
const LENGTHS = [0, 1, 63, 255, 256, 257, 2_500, 65_535, 65_536, 65_791, 65_792, 131_073, 1024 * 1024]

function contents(): Uint8Array[] {
  const text = Buffer.from('{"role":"user","content":"Where is my refund for order 1182?"} '.repeat(17_000))
  return LENGTHS.flatMap((length) => [new Uint8Array(length), Uint8Array.from(randomBytes(length)), Uint8Array.from(text.subarray(0, length))])
}

describe('one context for all frames', () => {
  test('is to be had on this runtime: without it each frame takes twice as long', () => {
    expect(openContext()).toBeTypeOf('function')
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
    const open = openContext(() => stream)!
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
    expect(openContext(real)).toBeTypeOf('function')
    for (const stream of [
      {}, { _handle: null }, without('_handle'), without('_processChunk'), Object.defineProperty(real(), 'destroyed', { value: true }),
      chunked(() => new Uint8Array(0)), // does nothing
      chunked(flushed(constants.ZSTD_e_continue)), // keeps it to itself
      chunked(flushed(constants.ZSTD_e_flush)), // does not end the frame
      chunked((_, raw) => zstdCompressSync(raw.subarray(1), OPTIONS)), // of other content
      chunked((_, raw) => zstdCompressSync(raw, OPTIONS).map((byte, i) => (i === 20 ? byte ^ 1 : byte))), // damages it
      chunked(() => { throw new Error('gone') }),
    ]) expect(openContext(() => stream)).toBeUndefined()
  })
})
