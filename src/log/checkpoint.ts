// C2SP tlog-checkpoint: a signed note that says "the log `origin` had `size` entries and root hash R".
//   <origin>\n<size>\n<base64 root>\n[<extension line>\n …]
// A Checkpoint exists only when its signature was checked; what is merely read is a TreeHead. We never write extension lines (C2SP:
// NOT RECOMMENDED, and an ML-DSA cosignature does not cover them), but read those of others.

import { equal, fromBase64, toBase64, utf8 } from '../base/bytes.ts'
import { parseCosignature } from './cosignature.ts'
import { logFault } from './fault.ts'
import { emptyRoot, HASH_BYTES, type Hash } from './hash.ts'
import { openNote, signNote, type NoteSignature, type NoteSigner, type NoteVerifier } from './note.ts'

/** What a checkpoint says, believed or not. `size` is a safe integer from 0, `root` 32 bytes. */
export interface TreeHead {
  readonly origin: string
  readonly size: number
  readonly root: Hash
  /** Lines after the root, mostly none. */
  readonly extensions?: readonly string[]
}

/** A witness's cosignature that was verified. `time` is the witness's, in seconds since 1970. */
export interface Cosigned {
  readonly name: string
  readonly keyId: number
  readonly time: number
}

declare const checked: unique symbol

/** A tree head whose log signature was verified. Only `openCheckpoint` makes one. */
export interface Checkpoint extends TreeHead {
  readonly [checked]: true
  /** The verified cosignatures, one a witness. */
  readonly cosignatures: readonly Cosigned[]
}

/** Who may have signed. */
export interface CheckpointTrust {
  /** The origin the checkpoint MUST have. Without it, it must be the name of a log key that signed, as C2SP recommends to logs. */
  readonly origin?: string
  /** Witnesses' verifiers (`cosignatureVerifier`): they never stand in for the log, and a false cosignature refuses the whole. */
  readonly cosigners?: readonly NoteVerifier[]
}

/**
 * The checkpoint of a note that one of the log's `verifiers` signed. VerifyErrors as `openNote`, and `checkpoint_malformed` for a
 * signed text that is no checkpoint, `checkpoint_origin` for one of another log, `note_unverified` when only witnesses signed.
 */
export function openCheckpoint(note: string | Uint8Array, verifiers: readonly NoteVerifier[], trust: CheckpointTrust = {}): Checkpoint {
  const opened = openNote(note, [...verifiers, ...(trust.cosigners ?? [])])
  const head = parseTreeHead(opened.text)
  const signers = opened.verified.filter((signature) => isOneOf(signature, verifiers))
  if (signers.length === 0) {
    throw logFault('note_unverified', `expected a signature of the log ${head.origin}, got only cosignatures`, "configure the log's verifier key")
  }
  checkOrigin(head.origin, trust.origin === undefined ? signers.map(({ name }) => name) : [trust.origin])
  const cosignatures = opened.verified.filter((signature) => !isOneOf(signature, verifiers)).map(toCosigned)
  return { ...head, cosignatures } as unknown as Checkpoint // the one place that sets the brand
}

/** A tree head signed by `signers`: the checkpoint as a note. That it is consistent with every earlier one is the caller's duty. */
export function signCheckpoint(head: TreeHead, signers: readonly NoteSigner[]): string {
  return signNote(formatTreeHead(head), signers)
}

/** The note text of a tree head. Throws a TypeError or RangeError for an origin, size or root that would not come back. */
export function formatTreeHead({ origin, size, root, extensions = [] }: TreeHead): string {
  if (!isLine(origin)) throw new TypeError(`log: expected an origin of one line, got ${JSON.stringify(origin)}`)
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`log: expected a size that is a safe integer from 0, got ${size}`)
  if (root.length !== HASH_BYTES) throw new RangeError(`log: expected a root of ${HASH_BYTES} bytes, got ${root.length}`)
  if (!extensions.every(isLine)) throw new TypeError('log: expected extension lines that are not empty')
  return [origin, String(size), toBase64(root), ...extensions, ''].join('\n')
}

/** What an unverified checkpoint text says; a VerifyError `checkpoint_malformed` unless formatting it gives `text` again. */
export function parseTreeHead(text: string): TreeHead {
  const head = readTreeHead(text)
  if (head.size === 0 && !equal(head.root, emptyRoot())) throw malformed('the empty root for size 0')
  return head
}

/** The same for a witness, which answers to a false root of size 0 otherwise than to a text that is no checkpoint: any root passes. */
export function readTreeHead(text: string): TreeHead {
  const lines = text.split('\n')
  const [origin = '', sizeText = '', rootText = '', ...rest] = lines
  const extensions = rest.slice(0, -1)
  if (rest.at(-1) !== '' || !isLine(origin) || !extensions.every(isLine)) throw malformed('three lines or more, none of them empty')
  const size = parseDecimal(sizeText)
  if (size === undefined) throw malformed(`a size as a decimal up to 2^53-1, got ${JSON.stringify(sizeText.slice(0, 32))}`)
  const root = parseHash(rootText)
  if (root === undefined) throw malformed(`a root as the base64 of ${HASH_BYTES} bytes`)
  return { origin, size, root, ...(extensions.length > 0 ? { extensions } : {}) }
}

/** The number of an ASCII decimal without leading zeros, if it is a safe integer. */
export function parseDecimal(text: string): number | undefined {
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text)) return undefined
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : undefined
}

/** The 32 bytes of strict base64, or undefined. */
export function parseHash(text: string): Hash | undefined {
  try {
    const hash = fromBase64(text)
    return hash.length === HASH_BYTES ? hash : undefined
  } catch {
    return undefined
  }
}

function isLine(text: string): boolean {
  return text !== '' && text.isWellFormed() && !/[\u0000-\u001f]/.test(text) && utf8(text).length <= MAX_LINE_BYTES
}

const MAX_LINE_BYTES = 4_096

function isOneOf(signature: NoteSignature, keys: readonly NoteVerifier[]): boolean {
  return keys.some(({ name, keyId }) => name === signature.name && keyId === signature.keyId)
}

function checkOrigin(origin: string, expected: readonly string[]): void {
  if (expected.includes(origin)) return
  const message = `expected the origin ${expected.join(' or ')}, got ${origin.slice(0, 255)}`
  throw logFault('checkpoint_origin', message, 'this is the checkpoint of another log')
}

function toCosigned({ name, keyId, signature }: NoteSignature): Cosigned {
  const parsed = parseCosignature(signature)
  if (parsed === undefined) throw new TypeError(`log: expected cosigners made by cosignatureVerifier, got another kind under ${name}`)
  return { name, keyId, time: parsed.time }
}

function malformed(expected: string): Error {
  return logFault('checkpoint_malformed', `checkpoint: expected ${expected}`, 'the log does not write C2SP checkpoints')
}
