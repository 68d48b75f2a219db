// The bytes of a spool file (docs/format.md, "Spools"). Temporary by nature: drained into the log, then deleted.
//
//   spool  = header ‖ record*
//   header = "cfsp1\n" ‖ spool id[16] ‖ random[32] ‖ owner length u32be ‖ complement of it u32be ‖ owner (JSON)   at most 4,096 bytes
//   key    = HKDF-SHA-256(spool key, salt = SHA-256(header), info = "counterfoil/spool/v1" ‖ 0x00 ‖ origin, 32)
//   record = length u32be ‖ complement of length u32be ‖ attempt u32be ‖ ciphertext[length] ‖ tag[16]
//   ciphertext ‖ tag = AES-256-GCM(key, nonce = attempt u32be ‖ offset of the record in the file u64be, content)
//
// The complements tell a damaged length from bytes that were being written when the process died: only the second may end a file.
// `attempt` counts appends that were taken back (a full disk), so that no nonce serves two contents. The salt binds the header.

import { createCipheriv, createDecipheriv, createHash, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { concat, equal, fromUtf8, toHex, u32be, utf8 } from '../base/bytes.ts'
import type { Owner } from './owner.ts'

export const MAX_HEADER_BYTES = 4096
/** The largest content of one record, in bytes: an event with a payload of 64 MiB, and room. */
export const MAX_RECORD_BYTES: number = 80 * 1024 * 1024
/** What stands before the ciphertext of a record. */
export const PREFIX_BYTES = 12
export const TAG_BYTES = 16
/** What a record takes beside its content. */
export const OVERHEAD_BYTES: number = PREFIX_BYTES + TAG_BYTES

const ALL_ONES = 0xffff_ffff
const MAGIC = utf8('cfsp1\n')
const FIXED_BYTES = 62

/** `id` is the file's name, 32 hex digits; `random` is 32 bytes. */
export interface SpoolHeader { readonly id: string; readonly owner: Owner; readonly bytes: Uint8Array }

export function encodeHeader(id: Uint8Array, random: Uint8Array, owner: Owner): SpoolHeader {
  const json = utf8(JSON.stringify(owner))
  const bytes = concat(MAGIC, id, random, u32be(json.length), u32be(ALL_ONES - json.length), json)
  if (bytes.length > MAX_HEADER_BYTES) throw new RangeError(`spool: expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${bytes.length}`)
  return { id: toHex(id), owner, bytes }
}

/** The header at the start of `bytes`; undefined if they end before it does; a TypeError if it is none. */
export function parseHeader(bytes: Uint8Array): SpoolHeader | undefined {
  const seen = Math.min(bytes.length, MAGIC.length)
  if (!equal(bytes.subarray(0, seen), MAGIC.subarray(0, seen))) throw new TypeError('it does not start as a spool of format 1')
  if (bytes.length < FIXED_BYTES) return undefined
  const length = lengthOf(bytes.subarray(FIXED_BYTES - 8))
  if (length === undefined || FIXED_BYTES + length > MAX_HEADER_BYTES) throw new TypeError('the length in its header contradicts itself')
  const end = FIXED_BYTES + length
  if (bytes.length < end) return undefined
  return { id: toHex(bytes.subarray(6, 22)), owner: parseOwner(bytes.subarray(FIXED_BYTES, end)), bytes: bytes.slice(0, end) }
}

function parseOwner(json: Uint8Array): Owner {
  let owner: unknown
  try {
    owner = JSON.parse(fromUtf8(json))
  } catch (cause) {
    throw new TypeError('its owner is no JSON', { cause })
  }
  const { host, boot_id, pid_ns, pid, start_time } = (owner ?? {}) as Record<string, unknown>
  const texts = [host, boot_id, pid_ns, start_time].every((value) => value === undefined || typeof value === 'string')
  if (!texts || !Number.isSafeInteger(pid)) throw new TypeError('its owner is not {host, boot_id, pid_ns, pid, start_time}')
  return owner as Owner
}

/** The key of one file's records. */
export function recordKey(spoolKey: Uint8Array, origin: string, header: Uint8Array): KeyObject {
  if (spoolKey.length !== 32) throw new TypeError(`spool: expected a key of 32 bytes, got ${spoolKey.length}`)
  const salt = createHash('sha256').update(header).digest()
  const info = concat(utf8('counterfoil/spool/v1'), new Uint8Array(1), utf8(origin))
  return createSecretKey(new Uint8Array(hkdfSync('sha256', spoolKey, salt, info, 32)))
}

/** Writes the record of `content` for file position `offset` into `out` and returns its length. `out` has room for OVERHEAD_BYTES more than the content. */
export function sealRecord(out: Buffer, key: KeyObject, attempt: number, offset: number, content: Uint8Array): number {
  const { length } = content
  out.writeUInt32BE(length, 0)
  out.writeUInt32BE(ALL_ONES - length, 4)
  out.writeUInt32BE(attempt, 8)
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(attempt, offset))
  out.set(cipher.update(content), PREFIX_BYTES)
  cipher.final()
  out.set(cipher.getAuthTag(), PREFIX_BYTES + length)
  return OVERHEAD_BYTES + length
}

/** The length that 8 bytes, a length and its complement, state; undefined if they contradict each other or state too much. */
export function lengthOf(prefix: Uint8Array): number | undefined {
  const view = new DataView(prefix.buffer, prefix.byteOffset)
  const length = view.getUint32(0)
  return view.getUint32(4) === ALL_ONES - length && length <= MAX_RECORD_BYTES ? length : undefined
}

/** The content of a whole `record` that stands at `offset`, in bytes of its own; throws if it does not authenticate. */
export function openRecord(record: Uint8Array, key: KeyObject, offset: number): Uint8Array {
  const attempt = new DataView(record.buffer, record.byteOffset).getUint32(8)
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(attempt, offset), { authTagLength: TAG_BYTES })
  decipher.setAuthTag(record.subarray(record.length - TAG_BYTES))
  const content = decipher.update(record.subarray(PREFIX_BYTES, record.length - TAG_BYTES))
  decipher.final()
  return content
}

const nonce = Buffer.alloc(12) // read by the cipher before the next call

function nonceOf(attempt: number, offset: number): Buffer {
  nonce.writeUInt32BE(attempt, 0)
  nonce.writeUInt32BE(Math.floor(offset / 2 ** 32), 4)
  nonce.writeUInt32BE(offset % 2 ** 32, 8)
  return nonce
}
