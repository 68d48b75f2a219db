// Key derivation: HKDF-SHA-256 (RFC 5869) with info = label ‖ 0x00 ‖ origin [‖ 0x00 ‖ context], so that no key serves two purposes or two logs.

import { hkdfSync } from 'node:crypto'
import { concat, utf8 } from '../base/bytes.ts'

const NUL = new Uint8Array(1)
const NOTHING = new Uint8Array(0)

/** What a key is for. */
export interface Purpose { readonly label: string; readonly origin: string; readonly context?: Uint8Array; readonly salt?: Uint8Array }

/** `length` bytes from `secret` (32 bytes). `context` must have one length per label. Some 10 µs. */
export function derive(secret: Uint8Array, { label, origin, context, salt = NOTHING }: Purpose, length: number): Uint8Array {
  if (secret.length !== 32) throw new TypeError(`vault: expected a secret of 32 bytes, got ${secret.length}`)
  if (origin === '' || origin.includes('\0') || !origin.isWellFormed()) throw new TypeError('vault: expected an origin, a non-empty text without NUL')
  const info = concat(utf8(label), NUL, utf8(origin), ...(context === undefined ? [] : [NUL, context]))
  return new Uint8Array(hkdfSync('sha256', secret, salt, info, length))
}

/** An AES-256 key and the only nonce ever used with it: one message per derivation, so there is no counter that a restore could repeat. */
export function deriveSealing(secret: Uint8Array, purpose: Purpose & { readonly salt: Uint8Array }): { key: Uint8Array; nonce: Uint8Array } {
  const okm = derive(secret, purpose, 44)
  return { key: okm.subarray(0, 32), nonce: okm.subarray(32) }
}
