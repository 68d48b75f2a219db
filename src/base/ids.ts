// Identifiers: UUIDs (RFC 9562) and references of 16 random bytes in hex.

import { fromHex, toHex } from './bytes.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const REF = /^[0-9a-f]{32}$/

// Measured: a draw costs 5 to 15 µs whatever its length, and hex a table of strings, so 256 are made at once. Each is used once.
const pool = new Uint8Array(4096)
let hex = ''
let next = pool.length

/** Where 16 fresh random bytes begin in `pool`, and at twice that in `hex`. */
function draw(): number {
  if (next === pool.length) {
    crypto.getRandomValues(pool)
    hex = toHex(pool)
    next = 0
  }
  next += 16
  return next - 16
}

const VARIANTS = '89ab'

/** A UUIDv7 at `ms` with 74 fresh random bits: no counter, so that a neighbour's entry cannot be guessed from an id. */
export function uuidv7(ms: number): string {
  const from = draw()
  const at = 2 * from
  const time = Math.floor(ms).toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex.slice(at, at + 3)}-${VARIANTS[pool[from + 15]! & 3]!}${hex.slice(at + 3, at + 6)}-${hex.slice(at + 6, at + 18)}`
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
  const from = draw()
  return toHex(pool.subarray(from, from + 16)) // no slice of `hex`: it is kept for long, and would keep all of that
}

/** Whether `text` is a reference: 32 lower-case hex digits. */
export function isRef(text: string): boolean {
  return REF.test(text)
}
