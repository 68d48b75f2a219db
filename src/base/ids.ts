// Identifiers: UUIDs (RFC 9562) and references of 16 random bytes in hex.

import { fromHex, toHex } from './bytes.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const REF = /^[0-9a-f]{32}$/

// Measured: a draw costs 5 to 15 µs whatever its length, so 256 are made at once. Each is used once.
const pool = new Uint8Array(4096)
let used = pool.length

function random16(): Uint8Array {
  if (used === pool.length) {
    crypto.getRandomValues(pool)
    used = 0
  }
  return pool.subarray(used, (used += 16))
}

/** A UUIDv7 at `ms` with 74 fresh random bits: no counter, so that a neighbour's entry cannot be guessed from an id. */
export function uuidv7(ms: number): string {
  const bytes = random16()
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  view.setUint16(0, Math.floor(ms / 2 ** 32))
  view.setUint32(2, ms % 2 ** 32)
  bytes[6] = 0x70 | (bytes[6]! & 0x0f)
  bytes[8] = 0x80 | (bytes[8]! & 0x3f)
  return formatUuid(bytes)
}

/** 16 bytes as a lower-case UUID string. */
export function formatUuid(bytes: Uint8Array): string {
  const hex = toHex(bytes)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The 16 bytes of a lower-case UUID string; anything else is a TypeError. */
export function parseUuid(text: string): Uint8Array {
  if (!UUID.test(text)) throw new TypeError(`base: expected a lower-case UUID, got ${JSON.stringify(text.slice(0, 64))}`)
  return fromHex(text.slice(0, 8) + text.slice(9, 13) + text.slice(14, 18) + text.slice(19, 23) + text.slice(24))
}

/** Whether `text` is a lower-case UUID of any version. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}

/** A new reference: 16 random bytes in hex. */
export function randomRef(): string {
  return toHex(random16())
}

/** Whether `text` is a reference: 32 lower-case hex digits. */
export function isRef(text: string): boolean {
  return REF.test(text)
}
