// Segments: payload bytes of one scope, compressed and sealed (docs/format.md, "Segments"). Immutable once made.
//
//   segment   = header ‖ ciphertext ‖ tag[16]
//   header    = "cfs1" ‖ suite u8 = 1 ‖ scope id[16] ‖ random[32] ‖ plaintext length u32be                                57 bytes
//   key[32] ‖ nonce[12] = HKDF-SHA-256(scope secret, salt = random, info = "counterfoil/segment/v1" ‖ 0x00 ‖ origin, 44)
//   ciphertext ‖ tag = AES-256-GCM(key, nonce, plaintext, AAD = header)
//   plaintext = frame* ‖ zeros, up to the Padmé length of the frames, at least 256
//   frame     = codec u8 ‖ stored u32be ‖ raw u32be ‖ n u16be ‖ (length u32be) × n ‖ bytes[stored]
//
// n is never 0, so the frames end at the first place from which all bytes to the end are zero. Low 7 bits of codec: 0 stored, 1 zstd.
// Bit 7: this frame's one payload goes on in the next frame, and this one is full (1 MiB). raw is at most 1 MiB, the lengths add up to raw.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { concat, equal, toHex, u32be, utf8 } from '../base/bytes.ts'
import { MAX_PAYLOAD_BYTES } from '../event/entry.ts'
import { deriveSealing } from './derive.ts'
import { vaultFault } from './fault.ts'
import type { RandomSource } from './scope.ts'
import { compressed, decompressed } from './zstd.ts'

/** The most content of one frame, in bytes, which is what a reader decompresses to get at one payload. Longer payloads are cut. */
export const MAX_FRAME_BYTES: number = 1024 * 1024
/** The largest plaintext of a segment, in bytes, with its padding. */
export const MAX_SEGMENT_BYTES: number = 128 * 1024 * 1024

const MAGIC = utf8('cfs1')
const SUITE = 1
const HEADER_BYTES = 57
const TAG_BYTES = 16
const FRAME_HEAD_BYTES = 11
const MIN_PLAINTEXT = 256
const STORED = 0
const ZSTD = 1
const CONTINUED = 0x80

// A frame could name 65,535; an event adds at most 256.
const MAX_WRITTEN = 1024

/** Where a payload lies: at `position` of `frame`, or, cut into pieces, alone in `frames` frames from `frame`. */
export interface Place { readonly frame: number; readonly position: number; readonly frames: number }

export interface SegmentKeys { readonly origin: string; readonly scope: Uint8Array; readonly secret: Uint8Array }

/** What a segment says in clear. Unchecked: only `openSegment` authenticates it. */
export interface SegmentHeader { readonly scope: Uint8Array; readonly random: Uint8Array; readonly plaintextBytes: number }

/**
 * One sealed segment, and for each group the place of each of its payloads. A group is what is compressed together: the payloads
 * of *one event*, because content of different origin compressed together tells its secrets by its length.
 * RangeError for a payload over 64 MiB, or for more than 128 MiB in all. Cost: some 15 µs, and 10 to 20 µs for each group of 5 KB.
 */
export function sealSegment(input: SegmentKeys & { readonly groups: readonly (readonly Uint8Array[])[]; readonly random?: RandomSource }): {
  segment: Uint8Array
  places: Place[][]
} {
  const { origin, scope, secret, groups, random = randomBytes } = input
  if (scope.length !== 16) throw new TypeError(`vault: expected a scope id of 16 bytes, got ${scope.length}`)
  const frames: Uint8Array[] = []
  const places = groups.map((payloads) => layOut(payloads, frames))
  const content = frames.reduce((sum, part) => sum + part.length, 0)
  const length = paddedLength(content)
  if (length > MAX_SEGMENT_BYTES) throw new RangeError(`vault: expected at most ${MAX_SEGMENT_BYTES} bytes in a segment, got ${length}`)

  const salt = random(32)
  const header = concat(MAGIC, Uint8Array.of(SUITE), scope, salt, u32be(length))
  const { key, nonce } = deriveSealing(secret, { label: 'counterfoil/segment/v1', origin, salt })
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(header)
  const plaintext = new Uint8Array(length)
  let offset = 0
  for (const frame of frames) {
    plaintext.set(frame, offset)
    offset += frame.length
  }
  const sealed = cipher.update(plaintext)
  cipher.final()
  return { segment: concat(header, sealed, cipher.getAuthTag()), places }
}

/** Appends the frames of one group to `frames` and returns where its payloads are. */
function layOut(payloads: readonly Uint8Array[], frames: Uint8Array[]): Place[] {
  const places: Place[] = []
  let pending: Uint8Array[] = []
  let pendingBytes = 0
  const flush = (): void => {
    if (pending.length > 0) frames.push(encodeFrame(pending, false))
    pending = []
    pendingBytes = 0
  }
  for (const payload of payloads) {
    if (payload.length > MAX_PAYLOAD_BYTES) throw new RangeError(`vault: expected a payload of at most ${MAX_PAYLOAD_BYTES} bytes, got ${payload.length}`)
    if (pendingBytes + payload.length > MAX_FRAME_BYTES || pending.length === MAX_WRITTEN) flush()
    if (payload.length > MAX_FRAME_BYTES) {
      const count = Math.ceil(payload.length / MAX_FRAME_BYTES)
      places.push({ frame: frames.length, position: 0, frames: count })
      for (let i = 0; i < count; i++) frames.push(encodeFrame([payload.subarray(i * MAX_FRAME_BYTES, (i + 1) * MAX_FRAME_BYTES)], i < count - 1))
      continue
    }
    places.push({ frame: frames.length, position: pending.length, frames: 1 })
    pending.push(payload)
    pendingBytes += payload.length
  }
  flush()
  return places
}

function encodeFrame(payloads: readonly Uint8Array[], continued: boolean): Uint8Array {
  const raw = payloads.length === 1 ? payloads[0]! : concat(...payloads)
  const packed = raw.length < 64 ? raw : compressed(raw) // measured: JSON below 64 bytes never gets smaller
  const [codec, bytes] = packed.length < raw.length ? [ZSTD, packed] : [STORED, raw]
  const out = new Uint8Array(FRAME_HEAD_BYTES + 4 * payloads.length + bytes.length)
  const view = new DataView(out.buffer)
  view.setUint8(0, continued ? codec | CONTINUED : codec)
  view.setUint32(1, bytes.length)
  view.setUint32(5, raw.length)
  view.setUint16(9, payloads.length)
  for (let i = 0; i < payloads.length; i++) view.setUint32(FRAME_HEAD_BYTES + 4 * i, payloads[i]!.length)
  out.set(bytes, FRAME_HEAD_BYTES + 4 * payloads.length)
  return out
}

/**
 * The Padmé length of `length` (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019,
 * §4.2), at least 256: lengths leak O(log log) bits for at most 12 % more bytes, here mostly 2 %.
 */
export function paddedLength(length: number): number {
  if (length <= MIN_PLAINTEXT) return MIN_PLAINTEXT
  const exponent = Math.floor(Math.log2(length)) // exact: log2 of an integer below 2^47 is at or above each power of two it reaches
  const step = 2 ** (exponent - (Math.floor(Math.log2(exponent)) + 1))
  return Math.ceil(length / step) * step
}

/** The header of a segment. VerifyError `segment_malformed` (also when the length is not the one it states) or `segment_unsupported`. */
export function parseSegmentHeader(segment: Uint8Array): SegmentHeader {
  if (segment.length < HEADER_BYTES || !equal(segment.subarray(0, 4), MAGIC)) {
    throw vaultFault('segment_malformed', `expected a segment that starts with "cfs1", got ${segment.length} other bytes`, RESTORE)
  }
  if (segment[4] !== SUITE) throw vaultFault('segment_unsupported', `segment: expected suite ${SUITE}, got ${segment[4]}`, 'read it with a newer version of counterfoil')
  const plaintextBytes = new DataView(segment.buffer, segment.byteOffset).getUint32(53)
  const expected = HEADER_BYTES + plaintextBytes + TAG_BYTES
  if (plaintextBytes > MAX_SEGMENT_BYTES || segment.length !== expected) {
    throw vaultFault('segment_malformed', `segment: expected ${expected} bytes by its header, got ${segment.length}`, RESTORE)
  }
  return { scope: segment.subarray(5, 21), random: segment.subarray(21, 53), plaintextBytes }
}

/** An opened segment: authenticated, its frames found and bounded, nothing decompressed yet. Keep it for several reads: it remembers its last frame. */
export interface OpenSegment { readonly scope: Uint8Array; readonly frames: readonly Frame[]; last?: { readonly frame: number; readonly content: Uint8Array } }

interface Frame { readonly codec: number; readonly continued: boolean; readonly raw: number; readonly lengths: readonly number[]; readonly bytes: Uint8Array }

/**
 * Opens a segment that must be of `scope`. VerifyError `segment_malformed`, `segment_unsupported`, `segment_scope`, `segment_sealed`
 * (a byte, the secret or the origin is another), `segment_frame` (sealed by its writer with frames that contradict themselves).
 */
export function openSegment(segment: Uint8Array, { origin, scope, secret }: SegmentKeys): OpenSegment {
  const header = parseSegmentHeader(segment)
  if (!equal(header.scope, scope)) throw vaultFault('segment_scope', `expected a segment of scope ${toHex(scope)}, got one of ${toHex(header.scope)}`, RESTORE)
  const { key, nonce } = deriveSealing(secret, { label: 'counterfoil/segment/v1', origin, salt: header.random })
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(segment.subarray(0, HEADER_BYTES))
  decipher.setAuthTag(segment.subarray(segment.length - TAG_BYTES))
  const plaintext = decipher.update(segment.subarray(HEADER_BYTES, segment.length - TAG_BYTES))
  try {
    decipher.final()
  } catch (cause) {
    throw vaultFault('segment_sealed', `a segment of scope ${toHex(scope)} does not open: its bytes are damaged, or the secret is another`, RESTORE, cause)
  }
  return { scope: Uint8Array.from(header.scope), frames: parseFrames(plaintext) }
}

function parseFrames(plaintext: Uint8Array): Frame[] {
  const view = new DataView(plaintext.buffer, plaintext.byteOffset, plaintext.length)
  const frames: Frame[] = []
  let offset = 0
  while (!isPadding(plaintext, offset)) {
    const fail = (why: string): never => { throw badFrame(frames.length, why) }
    const left = plaintext.length - offset
    if (left < FRAME_HEAD_BYTES) fail(`${left} bytes are left for its head`)
    const codec = view.getUint8(offset) & ~CONTINUED
    const continued = view.getUint8(offset) >= CONTINUED
    const stored = view.getUint32(offset + 1)
    const raw = view.getUint32(offset + 5)
    const n = view.getUint16(offset + 9)
    const start = FRAME_HEAD_BYTES + 4 * n
    if (codec > ZSTD) throw vaultFault('segment_unsupported', `segment: frame ${frames.length} has codec ${codec}`, 'read it with a newer version of counterfoil')
    if (n === 0) fail('it holds no payload')
    if (raw > MAX_FRAME_BYTES) fail(`it states ${raw} bytes of content, the most is ${MAX_FRAME_BYTES}`)
    if (start + stored > left) fail(`it states ${stored} stored bytes, ${left - start} are left`)
    if (codec === STORED ? stored !== raw : stored >= raw) fail(`codec ${codec} with ${stored} stored bytes for ${raw}`)
    if (continued && (n !== 1 || raw !== MAX_FRAME_BYTES)) fail('it is continued, and not one full piece')
    const lengths = Array.from({ length: n }, (_, i) => view.getUint32(offset + FRAME_HEAD_BYTES + 4 * i))
    if (lengths.reduce((sum, length) => sum + length, 0) !== raw) fail(`its lengths do not add up to ${raw}`)
    if (frames.at(-1)?.continued && n !== 1) fail('it ends a cut payload, and holds others')
    frames.push({ codec, continued, raw, lengths, bytes: plaintext.subarray(offset + start, offset + start + stored) })
    offset += start + stored
  }
  if (frames.at(-1)?.continued) throw badFrame(frames.length, 'a payload goes on in it, and it is not there')
  return frames
}

function isPadding(plaintext: Uint8Array, offset: number): boolean {
  for (let i = offset; i < plaintext.length; i++) if (plaintext[i] !== 0) return false
  return true
}

/** The payloads of one frame, in order; a piece of a cut payload counts as one. RangeError for a frame that is not there. */
export function readFrame(segment: OpenSegment, frame: number): Uint8Array[] {
  const found = segment.frames[frame]
  if (found === undefined) throw new RangeError(`vault: expected a frame below ${segment.frames.length}, got ${frame}`)
  const content = contentOf(segment, frame)
  let offset = 0
  return found.lengths.map((length) => content.subarray(offset, (offset += length)))
}

/**
 * The payload at `place`. VerifyError `payload_place` if no payload is there (places are derived data and may be wrong), `segment_frame`
 * if the frame does not decompress to what it states. Decompresses its frames, at most 1 MiB each; the result may be a view.
 */
export function readPayload(segment: OpenSegment, place: Place): Uint8Array {
  const { frame, position, frames } = place
  const whole = Number.isSafeInteger(frame) && Number.isSafeInteger(frames) && frames >= 1 && frame >= 0
  const pieces = whole ? segment.frames.slice(frame, frame + frames) : []
  const complete = pieces.length === frames && pieces.every((piece, i) => piece.continued === i < frames - 1) && !segment.frames[frame - 1]?.continued
  if (!complete || pieces[0]?.lengths[position] === undefined || frames * MAX_FRAME_BYTES > MAX_PAYLOAD_BYTES) {
    throw vaultFault(
      'payload_place',
      `no payload is at frame ${frame}, position ${position}, of ${frames} frames; the segment has ${segment.frames.length}`,
      'rebuild the index',
    )
  }
  if (frames > 1) return concat(...pieces.map((_, i) => contentOf(segment, frame + i)))
  const lengths = pieces[0].lengths
  let offset = 0
  for (let i = 0; i < position; i++) offset += lengths[i]!
  return contentOf(segment, frame).subarray(offset, offset + lengths[position]!)
}

/** Every payload's place, in the order in which they were sealed: what an index is rebuilt from. */
export function placesOf(segment: OpenSegment): Place[] {
  const places: Place[] = []
  for (let frame = 0; frame < segment.frames.length; frame++) {
    const first = frame
    while (segment.frames[frame]!.continued) frame++
    for (let position = 0; position < segment.frames[frame]!.lengths.length; position++) places.push({ frame: first, position, frames: frame - first + 1 })
  }
  return places
}

function contentOf(segment: OpenSegment, index: number): Uint8Array {
  if (segment.last?.frame === index) return segment.last.content
  const frame = segment.frames[index]!
  const content = frame.codec === STORED ? frame.bytes : decompress(frame, index)
  segment.last = { frame: index, content }
  return content
}

function decompress(frame: Frame, index: number): Uint8Array {
  let content: Uint8Array
  try {
    content = decompressed(frame.bytes, frame.raw)
  } catch (cause) {
    throw badFrame(index, `it does not decompress to ${frame.raw} bytes`, cause)
  }
  if (content.length !== frame.raw) throw badFrame(index, `it decompresses to ${content.length} bytes, it states ${frame.raw}`)
  return content
}

function badFrame(index: number, why: string, cause?: unknown): Error {
  return vaultFault('segment_frame', `frame ${index} of a segment: ${why}`, RESTORE, cause)
}

const RESTORE = 'restore the segment from a copy made earlier and keep this one as evidence'
