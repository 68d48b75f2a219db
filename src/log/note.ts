// C2SP signed-note: text signed by one or more keys, and the text forms of those keys (as golang.org/x/mod/sumdb/note has them).
//   <text, any lines>\n
//   \n
//   — <key name> base64(key id[4] ‖ signature)\n      once or more
// What is signed is the text with its last newline. Two byte strings never stand for one note: UTF-8 is decoded fatally, base64
// strictly, control characters are refused. Left out: ECDSA (0x02) and RFC 6962 tree heads (0x05), which are unknown keys here.

import { concat, fromBase64, fromUtf8, toBase64, utf8 } from '../base/bytes.ts'
import { MisuseError } from '../base/errors.ts'
import { sha256 } from '#crypto'
import { isCanonicalLargeOrder, verifyEd25519 } from './ed25519.ts'
import { logFault } from './fault.ts'

/** The longest note, in bytes. */
export const MAX_NOTE_BYTES = 1_000_000

/** The most signature lines in a note. */
export const MAX_NOTE_SIGNATURES = 100

/** Signature type bytes assigned by C2SP. */
export const ED25519 = 0x01
export const COSIGNATURE_ED25519 = 0x04
export const COSIGNATURE_ML_DSA_44 = 0x06

/** One signature line. `keyId` is a u32; `signature` is what follows it, at least 1 byte. */
export interface NoteSignature {
  readonly name: string
  readonly keyId: number
  readonly signature: Uint8Array
}

/** A note taken apart. Its text MUST NOT be believed before `openNote`. */
export interface Note {
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

/** A key that is trusted. `verify` gets the text's UTF-8 bytes and never throws. */
export interface NoteVerifier {
  readonly name: string
  readonly keyId: number
  verify(message: Uint8Array, signature: Uint8Array): boolean
}

/** A key that signs. `sign` gets the text's UTF-8 bytes; where the private key lives is its own affair. */
export interface NoteSigner {
  readonly name: string
  readonly keyId: number
  sign(message: Uint8Array): Uint8Array
}

/** A note whose text is signed: at least one of the given verifiers signed it, and none of their signatures is false. */
export interface OpenedNote {
  readonly text: string
  /** The first signature of each verifier that signed, in the order of the note. */
  readonly verified: readonly NoteSignature[]
  /** Signatures of unknown keys: to be ignored, and passed on. */
  readonly unverified: readonly NoteSignature[]
}

/** The parts of a note; a VerifyError `note_malformed` if it is not one. Nothing is verified. */
export function parseNote(note: string | Uint8Array): Note {
  const whole = decode(note)
  const split = whole.lastIndexOf('\n\n')
  if (split === -1 || !whole.endsWith('\n')) throw malformed('a text, an empty line and signature lines')
  const lines = whole.slice(split + 2, -1).split('\n')
  if (lines.length > MAX_NOTE_SIGNATURES) throw malformed(`at most ${MAX_NOTE_SIGNATURES} signature lines, got ${lines.length}`)
  return { text: whole.slice(0, split + 1), signatures: lines.map(parseSignature) }
}

/** The note of `text` and `signatures`. Throws a MisuseError when what came out could not be parsed again. */
export function formatNote(note: Note): string {
  checkText(note.text)
  if (note.signatures.length < 1 || note.signatures.length > MAX_NOTE_SIGNATURES) {
    throw misuse(`1 to ${MAX_NOTE_SIGNATURES} signatures, got ${note.signatures.length}`)
  }
  const out = `${note.text}\n${note.signatures.map(formatSignature).join('')}`
  if (utf8(out).length > MAX_NOTE_BYTES) throw misuse(`a note up to ${MAX_NOTE_BYTES} bytes`)
  return out
}

/** `text` (ending in a newline) signed by each of `signers`, in order. */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  checkText(text)
  return formatNote({ text, signatures: signers.map((signer) => makeSignature(text, signer)) })
}

/** `note` with one more signature, which replaces an earlier one of the same key. The others are passed on unverified. */
export function addSignature(note: string | Uint8Array, signer: NoteSigner): string {
  const { text, signatures } = parseNote(note)
  const others = signatures.filter((signature) => !isBy(signature, signer))
  return formatNote({ text, signatures: [...others, makeSignature(text, signer)] })
}

/**
 * The text of a note and who signed it. Every signature by a key in `verifiers` is verified: a VerifyError `note_signature` if one is
 * false, `note_unverified` if there is none, `note_malformed` if it is no note. Unknown keys are ignored, also when a name or an
 * id alone is known. Two verifiers of the same name and id are a MisuseError. Costs one verification a known line, at most 100.
 */
export function openNote(note: string | Uint8Array, verifiers: readonly NoteVerifier[]): OpenedNote {
  checkDistinct(verifiers)
  const { text, signatures } = parseNote(note)
  const message = utf8(text)
  const verified: NoteSignature[] = []
  const unverified: NoteSignature[] = []
  for (const signature of signatures) {
    const verifier = verifiers.find((known) => isBy(signature, known))
    if (verifier === undefined) {
      unverified.push(signature)
    } else if (!verifier.verify(message, signature.signature)) {
      throw logFault('note_signature', `the signature of ${keyText(verifier)} is false`, 'the text was changed or the key is another one of that name')
    } else if (!verified.some((earlier) => isBy(earlier, verifier))) {
      verified.push(signature) // once per key, so that repeating a line counts for nothing
    }
  }
  if (verified.length === 0) {
    const known = verifiers.map(keyText).join(' ') || 'none'
    const got = signatures.map(keyText).join(' ').slice(0, 400)
    throw logFault('note_unverified', `expected a signature of a known key (${known}), got ${got}`, 'configure the verifier key of who should have signed')
  }
  return { text, verified, unverified }
}

/** A verifier key, `name+hex(key id)+base64(type ‖ public key)`. */
export interface VerifierKey {
  readonly name: string
  readonly keyId: number
  /** The signature type byte: ED25519, COSIGNATURE_ED25519 or one we do not know. */
  readonly type: number
  readonly publicKey: Uint8Array
}

/** SHA-256(name ‖ 0x0A ‖ type ‖ public key), its first 4 bytes as a u32: what C2SP recommends, and all types here use. */
export function noteKeyId(name: string, type: number, publicKey: Uint8Array): number {
  const hash = sha256(utf8(`${name}\n`), new Uint8Array([type]), publicKey)
  return readU32(hash)
}

/** A verifier key made of its parts. Throws a MisuseError for a name that signed-note does not allow. */
export function verifierKey(name: string, type: number, publicKey: Uint8Array): VerifierKey {
  if (!isKeyName(name)) throw misuse(`a key name without spaces, '+' and control characters, got ${JSON.stringify(shown(name))}`)
  return { name, keyId: noteKeyId(name, type, publicKey), type, publicKey }
}

/** The key of a vkey text, its id computed again; a MisuseError for anything else. Any type, and 1 to 5,000 bytes of key. */
export function parseVerifierKey(text: string): VerifierKey {
  const { name, keyId, type, key } = parseKey(text, 'a verifier key name+id+base64')
  const made = verifierKey(name, type, key)
  if (made.keyId !== keyId) throw misuse(`verifier key id ${hexId(made.keyId)} of ${shown(name)}, got ${hexId(keyId)}`)
  return made
}

/** The vkey text of a key. */
export function formatVerifierKey(key: VerifierKey): string {
  return formatKey(key.name, key.keyId, key.type, key.publicKey)
}

/** Verifies `0x01` signatures, over the note text itself. Throws a MisuseError for a key of another type, length or small order. */
export function ed25519Verifier(vkey: string | VerifierKey): NoteVerifier {
  const { name, keyId, publicKey } = checkEd25519Key(vkey, ED25519)
  return { name, keyId, verify: (message, signature) => verifyEd25519(publicKey, message, signature) }
}

/** The parsed key of `vkey`, if it is a usable Ed25519 key of signature type `type`; else a MisuseError. */
export function checkEd25519Key(vkey: string | VerifierKey, type: number): VerifierKey {
  const key = typeof vkey === 'string' ? parseVerifierKey(vkey) : vkey
  if (key.type !== type) throw misuse(`a verifier key of type ${type}, got ${key.type} in ${shown(keyText(key))}`)
  if (!isCanonicalLargeOrder(key.publicKey)) throw misuse(`a canonical 32-byte Ed25519 public key in ${shown(keyText(key))}`)
  return key
}

/** A signer key, `PRIVATE+KEY+name+hex(key id)+base64(type ‖ seed)`: a secret, in the form Go's note package prints. */
export interface SignerKey {
  readonly name: string
  readonly keyId: number
  readonly type: number
  /** The 32-byte Ed25519 seed of RFC 8032. */
  readonly seed: Uint8Array
}

const PRIVATE = 'PRIVATE+KEY+'

/**
 * The key of a signer text; a MisuseError, without the text in it, for anything else. This room has no private-key code, so the id is
 * as written: who derives the public key compares `noteKeyId` with it.
 */
export function parseSignerKey(text: string): SignerKey {
  if (!text.startsWith(PRIVATE)) throw misuse('a signer key that begins with PRIVATE+KEY+')
  const { name, keyId, type, key } = parseKey(text.slice(PRIVATE.length), 'a signer key PRIVATE+KEY+name+id+base64')
  if (key.length !== 32) throw misuse(`a signer key of 32 bytes, got ${key.length}`)
  return { name, keyId, type, seed: key }
}

/** The signer text of a key: a secret. */
export function formatSignerKey(key: SignerKey): string {
  if (key.seed.length !== 32) throw misuse(`a signer key of 32 bytes, got ${key.seed.length}`)
  return PRIVATE + formatKey(key.name, key.keyId, key.type, key.seed)
}

const MAX_KEY_BYTES = 5_000 // ML-DSA-87 has 2,592

// Both errors below keep the text to themselves: it may be a secret.
function parseKey(text: string, what: string): { name: string; keyId: number; type: number; key: Uint8Array } {
  const [, name = '', id = '', encoded = ''] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{4,7000})$/.exec(text) ?? []
  if (!isKeyName(name)) throw misuse(what)
  const data = tryBase64(encoded)
  if (data === undefined || data.length < 2 || data.length > 1 + MAX_KEY_BYTES) throw misuse(what)
  return { name, keyId: Number.parseInt(id, 16), type: data[0]!, key: data.slice(1) }
}

function formatKey(name: string, keyId: number, type: number, key: Uint8Array): string {
  return `${name}+${hexId(keyId)}+${toBase64(concat(new Uint8Array([type]), key))}`
}

const LINE = /^\u2014 ([^ ]+) ([A-Za-z0-9+/=]+)$/

function parseSignature(line: string): NoteSignature {
  const [, name = '', encoded = ''] = LINE.exec(line) ?? []
  const bytes = tryBase64(encoded)
  if (!isKeyName(name) || bytes === undefined || bytes.length < 5) throw malformed('signature lines "— name base64"')
  return { name, keyId: readU32(bytes), signature: bytes.slice(4) }
}

function formatSignature({ name, keyId, signature }: NoteSignature): string {
  if (!isKeyName(name)) throw misuse(`a key name without spaces, '+' and control characters, got ${JSON.stringify(shown(name))}`)
  if (signature.length === 0) throw misuse('a signature of at least 1 byte')
  return `\u2014 ${name} ${toBase64(concat(writeU32(keyId), signature))}\n`
}

function makeSignature(text: string, signer: NoteSigner): NoteSignature {
  return { name: signer.name, keyId: signer.keyId, signature: signer.sign(utf8(text)) }
}

function decode(note: string | Uint8Array): string {
  if (note.length > MAX_NOTE_BYTES) throw malformed(`at most ${MAX_NOTE_BYTES} bytes, got ${note.length}`)
  let text: string
  if (typeof note === 'string') {
    text = note
    if (!text.isWellFormed()) throw malformed('well-formed text, got a lone surrogate')
    if (utf8(text).length > MAX_NOTE_BYTES) throw malformed(`at most ${MAX_NOTE_BYTES} bytes`)
  } else {
    try {
      text = fromUtf8(note)
    } catch (cause) {
      throw malformed('UTF-8', cause)
    }
  }
  if (CONTROL.test(text)) throw malformed('no control characters but newlines')
  return text
}

const CONTROL = /[\u0000-\u0009\u000b-\u001f]/

function checkText(text: string): void {
  if (!text.endsWith('\n') || !text.isWellFormed() || CONTROL.test(text)) {
    throw misuse('a well-formed text that ends in a newline and has no other control characters')
  }
}

/** Non-empty, no Unicode white space, no plus; control characters would not pass as a note either. */
function isKeyName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !/[\p{White_Space}\u0000-\u001f+]/u.test(name)
}

function checkDistinct(verifiers: readonly NoteVerifier[]): void {
  const seen = new Set<string>()
  for (const verifier of verifiers) {
    const key = keyText(verifier)
    if (seen.has(key)) throw misuse(`verifiers that differ in name or id, got ${key} twice`)
    seen.add(key)
  }
}

function isBy(signature: NoteSignature, key: { readonly name: string; readonly keyId: number }): boolean {
  return signature.name === key.name && signature.keyId === key.keyId
}

function keyText(key: { readonly name: string; readonly keyId: number }): string {
  return `${key.name}+${hexId(key.keyId)}`
}

/** Names are of any length; a message is for people. */
function shown(name: string): string {
  return name.length > 300 ? `${name.slice(0, 300)}…` : name
}

function hexId(keyId: number): string {
  return keyId.toString(16).padStart(8, '0')
}

function readU32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0)
}

function writeU32(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) throw misuse(`a key id of 32 bits, got ${value}`)
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

function tryBase64(text: string): Uint8Array | undefined {
  try {
    return fromBase64(text)
  } catch {
    return undefined
  }
}

function malformed(expected: string, cause?: unknown): Error {
  return logFault('note_malformed', `signed note: expected ${expected}`, 'fetch it again, byte for byte', cause)
}

function misuse(expected: string): MisuseError {
  return new MisuseError('note_misuse', `log: expected ${expected}`, 'C2SP signed-note says how keys and notes are written')
}
