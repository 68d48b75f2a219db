// The primitives that the browser-safe rooms need, from @noble: synchronous, which Web Crypto is not.

import { ed25519 } from '@noble/curves/ed25519.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 as nobleSha256, sha512 } from '@noble/hashes/sha2.js'
import { concat, equal, toBase64, toHex, utf8 } from './bytes.ts'

/** SHA-256 (FIPS 180-4) of `parts` in order, 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const state = nobleSha256.create()
  for (const part of parts) state.update(part)
  return state.digest()
}

/** SHA-256 of a text's UTF-8 bytes, as padded base64. */
export function sha256Base64(text: string): string {
  return toBase64(nobleSha256(utf8(text)))
}

/** SHA-256 of bytes as a text of 32 characters, one a byte. */
export function sha256Latin1(data: Uint8Array): string {
  return String.fromCharCode(...nobleSha256(data))
}

/** SHA-256 of a text's UTF-8 bytes, or of bytes, in hex: for look-ups inside a process. */
export function sha256Hex(data: string | Uint8Array): string {
  return toHex(nobleSha256(typeof data === 'string' ? utf8(data) : data))
}

/** HMAC-SHA-256 (RFC 2104) of `parts` in order, 32 bytes. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const mac = hmac.create(nobleSha256, key)
  for (const part of parts) mac.update(part)
  return mac.digest()
}

/**
 * Ed25519 (RFC 8032 §5.1.7) by the equation without cofactor, R = [S]B - [k]A compared as bytes: OpenSSL's, and so Node's. Call
 * `log/ed25519.ts`, which first refuses what runtimes disagree on. `publicKey` is 32 bytes, `signature` 64.
 */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const { Point } = ed25519
  const { Fn } = Point
  const r = signature.subarray(0, 32)
  try {
    // Not `ed25519.verify`: it multiplies by the cofactor even with zip215:false, and accepts what Node refuses.
    const a = Point.fromBytes(publicKey, false)
    const s = Fn.fromBytes(signature.subarray(32, 64))
    const k = Fn.create(littleEndian(sha512(concat(r, publicKey, message))))
    return equal(Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k)).toBytes(), r)
  } catch {
    return false // A is not on the curve, or S is not below the group's order
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n
  for (let i = bytes.length - 1; i >= 0; i--) value = value * 256n + BigInt(bytes[i]!)
  return value
}
