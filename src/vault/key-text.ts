// The text of key files. Signing and verifier keys are those of Go's note package (`log/note.ts`); the others follow their manner:
//
//   log.key   PRIVATE+KEY+<origin>+<id>+<base64(0x01 ‖ Ed25519 seed[32])>
//   log.pub   <origin>+<id>+<base64(0x01 ‖ Ed25519 public key[32])>
//   others    COUNTERFOIL+KEY+<use>+<origin>+<check>+<base64(0x01 ‖ key[32])>   check = hex of SHA-256(use ‖ 0x0A ‖ origin ‖ 0x0A ‖ 0x01 ‖ key)[:4]
//
// One line with its newline. In the others 0x01 says "the key itself", 0x02 "under a passphrase"; log.key under one is in the form of the others.

import { sha256 } from '#crypto'
import { concat, fromBase64, toBase64, toHex, utf8 } from '../base/bytes.ts'
import { ed25519Key, type Ed25519Key } from '../base/ed25519-key.ts'
import { ED25519, formatSignerKey, formatVerifierKey, parseSignerKey, verifierKey, type VerifierKey } from '../log/note.ts'

/** The first byte of a key's data: the key itself, or the key under a passphrase (`protection.ts`). */
export const PLAIN = 1
export const SEALED = 2
const PREFIX = 'COUNTERFOIL+KEY+'

/** Whether `origin` may name a log: as signed notes have it, and at most 255 bytes. */
export function isOrigin(origin: string): boolean {
  return origin.isWellFormed() && /^[^\p{White_Space}\p{Cc}+]+$/u.test(origin) && utf8(origin).length <= 255
}

/** A log's key pair. */
export interface SigningKey { readonly pair: Ed25519Key; readonly verifier: VerifierKey }

function signingKey(origin: string, seed: Uint8Array): SigningKey {
  const pair = ed25519Key(seed)
  return { pair, verifier: verifierKey(origin, ED25519, pair.publicKey) }
}

/** The texts of log.key and log.pub for a 32-byte `seed`. */
export function formatSigningKey(origin: string, seed: Uint8Array): { readonly secret: string; readonly vkey: string } {
  const { verifier } = signingKey(origin, seed)
  return { secret: `${formatSignerKey({ ...verifier, seed })}\n`, vkey: `${formatVerifierKey(verifier)}\n` }
}

/** The use under which a log's own key is sealed. */
export const LOG_USE = 'log'

/** What opens sealed keys, where there is a passphrase. */
export interface Unsealer { unseal(use: string, bytes: Uint8Array): Uint8Array | undefined }

/** The key in the text of a log.key that must be of `origin`; a TypeError says what is wrong, never what stands there. */
export function parseSigningKey(text: string, origin: string, unsealer?: Unsealer): SigningKey {
  if (text.startsWith(PREFIX)) return signingKey(origin, parseSecretKey(text, LOG_USE, origin, unsealer))
  const { name, keyId, type, seed } = parseSignerKey(trimNewline(text))
  if (type !== ED25519) throw new TypeError(`expected a key of type ${ED25519}, got ${type}`)
  if (name !== origin) throw new TypeError(`expected the key of ${origin}, got that of ${name}`)
  const key = signingKey(origin, seed)
  if (key.verifier.keyId !== keyId) throw new TypeError('the key does not match its id: the file is damaged')
  return key
}

export function formatSecretKey(use: string, origin: string, key: Uint8Array): string {
  return formatKeyText(use, origin, key, concat(Uint8Array.of(PLAIN), key))
}

/** The 32 bytes in the text of a key file that must be for this `use` and `origin`; a TypeError says what is wrong, never what stands there. */
export function parseSecretKey(text: string, use: string, origin: string, unsealer?: Unsealer): Uint8Array {
  const { bytes, matches } = readKeyText(text, use, origin)
  if (bytes[0] === SEALED && unsealer === undefined) throw new TypeError('the key is under a passphrase, and passphrase.key is not there')
  const key = bytes[0] === SEALED ? unsealer?.unseal(use, bytes) : bytes.length === 33 && bytes[0] === PLAIN ? bytes.subarray(1) : undefined
  if (key === undefined && bytes[0] === SEALED) throw new TypeError('the key is not of this folder: the file is damaged, or of another passphrase.key')
  if (key === undefined) throw new TypeError(`expected 33 bytes that start with ${PLAIN}, got ${bytes.length} that start with ${bytes[0]}`)
  if (!matches(key)) throw new TypeError('the key does not match its check: the file is damaged')
  return key
}

/** Whether the text of a key file is one under a passphrase. */
export function isSealed(text: string): boolean {
  return /^COUNTERFOIL\+KEY\+[^+]+\+[^+]+\+[0-9a-f]{8}\+A[g-v]/.test(text) // base64 of a first byte 0x02
}

/** A key file's line: `data` is what is stored, `key` the 32 bytes that it stands for. */
export function formatKeyText(use: string, origin: string, key: Uint8Array, data: Uint8Array): string {
  return `${PREFIX}${use}+${origin}+${checkOf(use, origin, key)}+${toBase64(data)}\n`
}

/** The data of a key file for this `use` and `origin`, not yet opened; `matches` says whether a key is the one of its check. */
export function readKeyText(text: string, use: string, origin: string): { readonly bytes: Uint8Array; readonly matches: (key: Uint8Array) => boolean } {
  const [, foundUse, foundOrigin, check, data] = /^COUNTERFOIL\+KEY\+([^+\n]+)\+([^+\n]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(trimNewline(text)) ?? []
  if (data === undefined) throw new TypeError('expected COUNTERFOIL+KEY+<use>+<origin>+<check>+<base64>')
  if (foundUse !== use || foundOrigin !== origin) throw new TypeError(`expected the key ${use} of ${origin}, got ${foundUse} of ${foundOrigin}`)
  return { bytes: fromBase64(data), matches: (key) => checkOf(use, origin, key) === check }
}

function checkOf(use: string, origin: string, key: Uint8Array): string {
  return toHex(sha256(utf8(`${use}\n${origin}\n`), Uint8Array.of(PLAIN), key).subarray(0, 4))
}

function trimNewline(text: string): string {
  return text.endsWith('\n') ? text.slice(0, -1) : text
}
