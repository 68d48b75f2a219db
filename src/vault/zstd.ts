// Zstandard (RFC 8878) of one piece of content after another, each a frame of its own: what the frames of segments are made of.
//
// `zstdCompressSync` makes a stream and a context for each call, which takes twice as long as compressing 2.5 KB and has the garbage collector
// count half a megabyte each time. So one context serves all: the runtime's own, by `_processChunk` of its stream, which ends with a close that
// must not happen. That is no documented interface, though npm's own tar rests on it: each frame is looked at, and where anything is otherwise
// the documented call takes over. The native call beneath is not made from here: with other arguments it would abort the process.

import { constants, ZstdCompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { equal } from '../base/bytes.ts'

// Measured on JSON of 1 to 5 KB: level 3 takes 2 to 4 µs more than level 1 for 1 %, level 6 twice the time for 2 %.
const OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }
const WINDOW = { [constants.ZSTD_d_windowLogMax]: 23 } // 8 MiB, what RFC 8878 §3.1.1.1.2 asks of decoders; the default would allocate 128

/** The most that one call compresses here: the content of one frame of a segment. */
const MAX_INPUT = 1024 * 1024
/** A stream of the runtime as it is inside. */
export interface Inside {
  _handle: { close: () => void } | null
  readonly _processChunk: (chunk: Uint8Array, flush: number) => Uint8Array
  readonly removeAllListeners: (event: 'error') => unknown
  readonly destroyed: boolean
}

/** One frame of `raw`, in bytes that the next call overwrites; undefined when it was not made as expected. */
type Context = (raw: Uint8Array) => Uint8Array | undefined

let context: Context | 'none' | undefined

/** One Zstandard frame of `raw`, in bytes that the next call may overwrite. Some 10 µs for 2.5 KB. */
export function compressed(raw: Uint8Array): Uint8Array {
  context ??= openContext() ?? 'none'
  if (context !== 'none' && raw.length <= MAX_INPUT) {
    const frame = framed(context, raw)
    if (frame !== undefined) return frame
    context = 'none'
  }
  return zstdCompressSync(raw, OPTIONS)
}

function framed(open: Context, raw: Uint8Array): Uint8Array | undefined {
  try {
    return open(raw)
  } catch {
    return undefined
  }
}

/** The content of one frame, which must be `length` bytes; throws for anything else. */
export function decompressed(frame: Uint8Array, length: number): Uint8Array {
  return zstdDecompressSync(frame, { maxOutputLength: length, params: WINDOW })
}

const PROBE = new Uint8Array(4_096).map((_, i) => (i * i) % 251)

/** A context of the stream that `make` makes; undefined where that is not as known here, or gives other frames than the documented call. */
export function openContext(make: () => unknown = () => new ZstdCompress(OPTIONS)): Context | undefined {
  try {
    const open = contextOf(make() as Inside)
    if (open === undefined) return undefined
    const expected = zstdCompressSync(PROBE, OPTIONS)
    for (let times = 0; times < 2; times++) { // the second is what a context gives that was used before
      const frame = open(PROBE)
      if (frame === undefined || !equal(frame, expected)) return undefined
    }
    return open
  } catch {
    return undefined
  }
}

function contextOf(stream: Inside): Context | undefined {
  const handle = stream._handle
  if (typeof handle?.close !== 'function') return undefined
  handle.close = () => {} // of this one object, which lives as long as the thread
  return (raw) => {
    stream._handle = handle // it is let go of with each close
    const frame = stream._processChunk(raw, constants.ZSTD_e_end)
    stream.removeAllListeners('error') // it leaves one with each call
    return !stream.destroyed && isFrameOf(frame, raw.length) ? frame : undefined
  }
}

/** Whether it begins as one frame with so much content (RFC 8878 §3.1.1): what goes on from a frame that was not ended begins otherwise. */
function isFrameOf(frame: Uint8Array, length: number): boolean {
  if (frame.length < 9 || frame[0] !== 0x28 || frame[1] !== 0xb5 || frame[2] !== 0x2f || frame[3] !== 0xfd) return false
  const descriptor = frame[4]!
  const single = (descriptor & 0x20) !== 0
  const view = new DataView(frame.buffer, frame.byteOffset + (single ? 5 : 6))
  switch (descriptor >> 6) {
    case 0: return single && view.getUint8(0) === length
    case 1: return view.getUint16(0, true) + 256 === length
    case 2: return view.getUint32(0, true) === length
    default: return false
  }
}
