// Zstandard (RFC 8878) of one piece of content after another, each a frame of its own: what the frames of segments are made of.
//
// `zstdCompressSync` makes a stream and a context for each call, which takes twice as long as compressing 2.5 KB and has the garbage collector
// count half a megabyte each time. So one context serves all: the runtime's own, through the members that `zlib`'s streams use inside, as
// npm's tar does. They are no documented interface: each frame is looked at, and where anything is otherwise the documented call takes over.

import { constants, ZstdCompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { equal } from '../base/bytes.ts'

// Measured on JSON of 1 to 5 KB: level 3 takes 2 to 4 µs more than level 1 for 1 %, level 6 twice the time for 2 %.
const OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }
const WINDOW = { [constants.ZSTD_d_windowLogMax]: 23 } // 8 MiB, what RFC 8878 §3.1.1.1.2 asks of decoders; the default would allocate 128

/** The most that one call compresses here: the content of one frame of a segment. */
const MAX_INPUT = 1024 * 1024
/** What zstd promises never to exceed (ZSTD_compressBound). With so much room it compresses in one pass. */
const boundOf = (length: number): number => length + Math.ceil(length / 256) + 64 * 1024

/** A stream of the runtime as it is inside. `_writeState` is how much room and how much input were left. */
export interface Inside {
  readonly _handle: { writeSync(flush: number, input: Uint8Array, from: number, length: number, output: Uint8Array, at: number, room: number): void }
  readonly _writeState: Uint32Array
  readonly destroyed: boolean
}

/** One frame of `raw`, in bytes that the next call overwrites; undefined when it was not made as expected. */
type Context = (raw: Uint8Array) => Uint8Array | undefined

let context: Context | 'none' | undefined

/** One Zstandard frame of `raw`, in bytes that the next call may overwrite. Some 10 µs for 2.5 KB. */
export function compressed(raw: Uint8Array): Uint8Array {
  context ??= openContext() ?? 'none'
  if (context !== 'none' && raw.length <= MAX_INPUT) {
    const frame = context(raw)
    if (frame !== undefined) return frame
    context = 'none'
  }
  return zstdCompressSync(raw, OPTIONS)
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

function contextOf(stream: Inside): Context {
  let out = new Uint8Array(boundOf(64 * 1024))
  const { _handle: handle, _writeState: state } = stream
  return (raw) => {
    const room = boundOf(raw.length)
    if (room > out.length) out = new Uint8Array(room)
    handle.writeSync(constants.ZSTD_e_end, raw, 0, raw.length, out, 0, out.length)
    const [left, unread] = state
    if (stream.destroyed || unread !== 0 || left === undefined || left === 0 || left > out.length) return undefined
    const frame = out.subarray(0, out.length - left)
    return isFrameOf(frame, raw.length) ? frame : undefined
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
