// The text of key files. Signing keys are those of Go's golang.org/x/mod/sumdb/note; the others follow its manner:
//
//   log.key   PRIVATE+KEY+<origin>+<hash>+<base64(0x01 ‖ Ed25519 seed[32])>
//   log.pub   <origin>+<hash>+<base64(0x01 ‖ Ed25519 public key[32])>          hash = hex of SHA-256(origin ‖ 0x0A ‖ 0x01 ‖ public key)[:4]
//   others    COUNTERFOIL+KEY+<use>+<origin>+<hash>+<base64(0x01 ‖ key[32])>   hash = hex of SHA-256(use ‖ 0x0A ‖ origin ‖ 0x0A ‖ 0x01 ‖ key)[:4]
//
// One line with its newline. The byte 0x01 says "the key itself"; another will say "under a passphrase".

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { sha256 } from '#crypto'
import { concat, equal, fromBase64, fromHex, toBase64, toHex, utf8 } from '../base/bytes.ts'

const PLAIN = 1
const NEWLINE = Uint8Array.of(0x0a)
const PKCS8_ED25519 = fromHex('302e020100300506032b657004220420') // RFC 8410 §7

/** Whether `origin` may name a log: a signed note's key name, at most 255 bytes. */
export function isOrigin(origin: string): boolean {
  return origin.isWellFormed() && /^[^\s+\p{Cc}]+$/u.test(origin) && utf8(origin).length <= 255
}

/** An Ed25519 signing key as log.key holds it. */
export interface SigningKey { readonly origin: string; readonly privateKey: KeyObject; readonly publicKey: Uint8Array; readonly keyId: Uint8Array }

/** The key of a 32-byte `seed`. */
export function signingKey(origin: string, seed: Uint8Array): SigningKey {
  const privateKey = createPrivateKey({ key: Buffer.from(concat(PKCS8_ED25519, seed)), format: 'der', type: 'pkcs8' })
  const publicKey = Uint8Array.from(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32))
  return { origin, privateKey, publicKey, keyId: sha256(utf8(origin), NEWLINE, Uint8Array.of(PLAIN), publicKey).subarray(0, 4) }
}

export function formatSigningKey(key: SigningKey, seed: Uint8Array): string {
  return `PRIVATE+KEY+${key.origin}+${toHex(key.keyId)}+${toBase64(concat(Uint8Array.of(PLAIN), seed))}\n`
}

/** The key in the text of a log.key; a TypeError says what is wrong, never what stands there. */
export function parseSigningKey(text: string): SigningKey {
  const [, origin, hash, data] = /^PRIVATE\+KEY\+([^+\n]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)\n?$/.exec(text) ?? []
  if (origin === undefined || hash === undefined || data === undefined) throw new TypeError('expected PRIVATE+KEY+<origin>+<hash>+<base64>')
  const key = signingKey(origin, plainKey(data))
  if (toHex(key.keyId) !== hash) throw new TypeError(`expected a key with hash ${hash}, got ${toHex(key.keyId)}`)
  return key
}

/** The verifier key of a signing key, as log.pub and log_start state it, without a newline. */
export function formatVerifierKey(key: SigningKey): string {
  return `${key.origin}+${toHex(key.keyId)}+${toBase64(concat(Uint8Array.of(PLAIN), key.publicKey))}`
}

export function formatSecretKey(use: string, origin: string, key: Uint8Array): string {
  return `COUNTERFOIL+KEY+${use}+${origin}+${toHex(checkOf(use, origin, key))}+${toBase64(concat(Uint8Array.of(PLAIN), key))}\n`
}

/** The 32 bytes in the text of a key file that must be for this `use` and `origin`; a TypeError says what is wrong. */
export function parseSecretKey(text: string, use: string, origin: string): Uint8Array {
  const [, foundUse, foundOrigin, hash, data] = /^COUNTERFOIL\+KEY\+([^+\n]+)\+([^+\n]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)\n?$/.exec(text) ?? []
  if (data === undefined) throw new TypeError('expected COUNTERFOIL+KEY+<use>+<origin>+<hash>+<base64>')
  if (foundUse !== use || foundOrigin !== origin) throw new TypeError(`expected the key ${use} of ${origin}, got ${foundUse} of ${foundOrigin}`)
  const key = plainKey(data)
  if (!equal(checkOf(use, origin, key), fromHex(hash!))) throw new TypeError('the key does not match its hash: the file is damaged')
  return key
}

function checkOf(use: string, origin: string, key: Uint8Array): Uint8Array {
  return sha256(utf8(use), NEWLINE, utf8(origin), NEWLINE, Uint8Array.of(PLAIN), key).subarray(0, 4)
}

function plainKey(data: string): Uint8Array {
  const bytes = fromBase64(data)
  if (bytes.length !== 33 || bytes[0] !== PLAIN) throw new TypeError(`expected 33 bytes that start with 1, got ${bytes.length} that start with ${bytes[0]}`)
  return bytes.subarray(1)
}
