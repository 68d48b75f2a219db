// Zstandard (RFC 8878) of one piece of content after another, each a frame of its own: what the frames of segments are made of.
//
// `zstdCompressSync` makes a stream and a context for each call, which takes twice as long as compressing 2.5 KB and has the garbage collector
// count half a megabyte each time; `zstdDecompressSync` does as much. So one context serves all calls of a kind: the runtime's own, by
// `_processChunk` of its stream, which ends with a close that must not happen. That is no documented interface, though npm's own tar rests on it: each frame is looked at, and where anything is otherwise
// the documented call takes over. The native call beneath is not made from here: with other arguments it would abort the process.

import { constants, ZstdCompress, zstdCompressSync, ZstdDecompress, zstdDecompressSync } from 'node:zlib'
import { equal } from '../base/bytes.ts'

// Measured on JSON of 1 to 5 KB: level 3 takes 2 to 4 µs more than level 1 for 1 %, level 6 twice the time for 2 %.
const OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }
const WINDOW = { [constants.ZSTD_d_windowLogMax]: 23 } // 8 MiB, what RFC 8878 §3.1.1.1.2 asks of decoders; the default would allocate 128

/** The most content of one call that a context is used for: what one frame of a segment may hold. */
const MAX_CONTENT = 1024 * 1024
/** The most blocks of a frame that a context is used for. A block gives 128 KiB at most, whatever the frame says of its content. */
const MAX_BLOCKS = 64
/** A stream of the runtime as it is inside. */
export interface Inside {
  _handle: { close: () => void } | null
  readonly _processChunk: (chunk: Uint8Array, flush: number) => Uint8Array
  readonly removeAllListeners: (event: 'error') => unknown
  readonly destroyed: boolean
}

/** What the stream makes of a piece, in bytes that the next call overwrites; undefined when it was not made as expected. */
type Context = (piece: Uint8Array) => Uint8Array | undefined

let packing: Context | 'none' | undefined
let unpacking: Context | 'none' | undefined

/** One Zstandard frame of `raw`, in bytes that the next call may overwrite. Some 10 µs for 2.5 KB. */
export function compressed(raw: Uint8Array): Uint8Array {
  packing ??= openPacking() ?? 'none'
  if (packing !== 'none' && raw.length <= MAX_CONTENT) {
    const frame = through(packing, raw)
    if (frame !== undefined) return frame
    packing = 'none'
  }
  return zstdCompressSync(raw, OPTIONS)
}

/** The content of one frame, at most `length` bytes; throws for anything else. What it accepts is what the documented call does. */
export function decompressed(frame: Uint8Array, length: number): Uint8Array {
  const layout = length <= MAX_CONTENT ? layoutOf(frame) : undefined
  if (layout?.content === length && layout.blocks <= MAX_BLOCKS) {
    unpacking ??= openUnpacking() ?? 'none'
    if (unpacking !== 'none') {
      const content = through(unpacking, frame)
      if (content?.length === length) return Uint8Array.from(content)
      unpacking = undefined // in the middle of something: the next frame begins with another
    }
  }
  return zstdDecompressSync(frame, { maxOutputLength: length, params: WINDOW })
}

function through(context: Context, piece: Uint8Array): Uint8Array | undefined {
  try {
    return context(piece)
  } catch {
    return undefined
  }
}

const PROBE = new Uint8Array(4_096).map((_, i) => (i * i) % 251)

/** A context of the stream that `make` makes; undefined where that is not as known here, or gives other frames than the documented call. */
export function openPacking(make: () => unknown = () => new ZstdCompress(OPTIONS)): Context | undefined {
  return opened(make, PROBE, () => zstdCompressSync(PROBE, OPTIONS), (frame, raw) => layoutOf(frame)?.content === raw.length)
}

/** The same for content. Only for what `layoutOf` takes for a whole frame. */
export function openUnpacking(make: () => unknown = () => new ZstdDecompress({ params: WINDOW })): Context | undefined {
  return opened(make, zstdCompressSync(PROBE, OPTIONS), () => PROBE, () => true)
}

function opened(make: () => unknown, probe: Uint8Array, expect: () => Uint8Array, isRight: (made: Uint8Array, piece: Uint8Array) => boolean): Context | undefined {
  try {
    const context = contextOf(make() as Inside, isRight)
    if (context === undefined) return undefined
    const expected = expect()
    for (let times = 0; times < 2; times++) { // the second is what a context gives that was used before
      const made = context(probe)
      if (made === undefined || !equal(made, expected)) return undefined
    }
    return context
  } catch {
    return undefined
  }
}

function contextOf(stream: Inside, isRight: (made: Uint8Array, piece: Uint8Array) => boolean): Context | undefined {
  const handle = stream._handle
  if (typeof handle?.close !== 'function') return undefined
  handle.close = () => {} // of this one object, which lives as long as the context
  return (piece) => {
    stream._handle = handle // it is let go of with each close
    const made = stream._processChunk(piece, constants.ZSTD_e_end)
    stream.removeAllListeners('error') // it leaves one with each call
    return !stream.destroyed && isRight(made, piece) ? made : undefined
  }
}

/** What one frame says of its content, and its number of blocks (RFC 8878 §3.1.1); undefined for anything but a frame from its first byte to its last that says how much it holds. */
function layoutOf(frame: Uint8Array): { readonly content: number; readonly blocks: number } | undefined {
  if (frame.length < 9 || frame[0] !== 0x28 || frame[1] !== 0xb5 || frame[2] !== 0x2f || frame[3] !== 0xfd) return undefined
  const descriptor = frame[4]!
  if ((descriptor & 0b1011) !== 0) return undefined // a dictionary, or what is reserved
  const single = (descriptor & 0x20) !== 0
  let at = single ? 5 : 6
  let content: number
  switch (descriptor >> 6) {
    case 0:
      if (!single) return undefined
      content = frame[at]!
      at += 1
      break
    case 1:
      content = frame[at]! + (frame[at + 1]! << 8) + 256
      at += 2
      break
    case 2:
      content = (frame[at]! | (frame[at + 1]! << 8) | (frame[at + 2]! << 16) | (frame[at + 3]! << 24)) >>> 0
      at += 4
      break
    default: return undefined // over 4 GiB
  }
  for (let blocks = 1; at + 3 <= frame.length; blocks++) {
    const block = frame[at]! | (frame[at + 1]! << 8) | (frame[at + 2]! << 16)
    const type = (block >> 1) & 3
    at += 3 + (type === 1 ? 1 : block >> 3) // a byte that is repeated, or so many bytes
    if (type === 3) return undefined
    if ((block & 1) === 0) continue
    if ((descriptor & 0b100) !== 0) at += 4 // a checksum
    return at === frame.length ? { content, blocks } : undefined
  }
  return undefined
}
