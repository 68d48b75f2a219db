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

  test('is left alone where the runtime is otherwise inside', () => {
    const real = (): Inside => new ZstdCompress(OPTIONS) as unknown as Inside
    const like = (changed: Partial<Inside>): Inside => {
      const { _handle, _writeState } = real()
      return { _handle, _writeState, destroyed: false, ...changed }
    }
    const after = (act: (stream: Inside, args: Parameters<Inside['_handle']['writeSync']>) => void): Inside => {
      const stream = real()
      return { _writeState: stream._writeState, destroyed: false, _handle: { writeSync: (...args) => act(stream, args) } }
    }
    expect(openContext(() => like({}))).toBeTypeOf('function')
    for (const stream of [
      {}, like({ destroyed: true }), like({ _handle: {} as never }), like({ _writeState: new Uint32Array(2) }),
      after(() => {}), // does nothing
      after((stream, [, ...rest]) => stream._handle.writeSync(constants.ZSTD_e_continue, ...rest)), // keeps it to itself
      after((stream, [, ...rest]) => stream._handle.writeSync(constants.ZSTD_e_flush, ...rest)), // does not end the frame
      after((stream, args) => { stream._handle.writeSync(...args); args[4][20]! ^= 1 }), // damages it
      after(() => { throw new Error('gone') }),
    ]) expect(openContext(() => stream)).toBeUndefined()
  })
})
