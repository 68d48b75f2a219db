// C2SP tlog-proof: one file that proves offline that an entry is in a log (extension `.tlog-proof`).
//   c2sp.org/tlog-proof@v1\n
//   [extra <base64>\n]            not authenticated by anything
//   index <n>\n
//   <base64 hash>\n               0 to 63, from the leaf's sibling up
//   \n
//   <the checkpoint, as signed>

import { fromBase64, fromUtf8, toBase64 } from '../base/bytes.ts'
import { openCheckpoint, parseDecimal, parseHash, type Checkpoint, type CheckpointTrust } from './checkpoint.ts'
import { logFault } from './fault.ts'
import type { Hash } from './hash.ts'
import { checkInclusion } from './inclusion.ts'
import { MAX_NOTE_BYTES, parseNote, type NoteVerifier } from './note.ts'
import { MAX_PROOF_HASHES } from './reader.ts'

/** A proof taken apart: claims, until `openProof`. `checkpoint` is the signed note. */
export interface TlogProof {
  readonly index: number
  readonly proof: readonly Hash[]
  readonly checkpoint: string
  /** Opaque data beside the proof, at most 65,536 bytes. Nothing vouches for it. */
  readonly extra?: Uint8Array
}

const HEADER = 'c2sp.org/tlog-proof@v1'
const MAX_EXTRA_BYTES = 65_536
const MAX_PROOF_BYTES = MAX_NOTE_BYTES + 100_000

/** The text of a proof. Throws a RangeError or, for a note that is none, a VerifyError instead of writing what could not be read. */
export function formatProof({ index, proof, checkpoint, extra }: TlogProof): string {
  if (!Number.isSafeInteger(index) || index < 0) throw new RangeError(`log: expected an index that is a safe integer from 0, got ${index}`)
  if (proof.length > MAX_PROOF_HASHES || proof.some((hash) => hash.length !== 32)) {
    throw new RangeError(`log: expected at most ${MAX_PROOF_HASHES} hashes of 32 bytes, got ${proof.length}`)
  }
  if (extra !== undefined && (extra.length === 0 || extra.length > MAX_EXTRA_BYTES)) {
    throw new RangeError(`log: expected 1 to ${MAX_EXTRA_BYTES} bytes of extra data, got ${extra.length}`)
  }
  parseNote(checkpoint)
  const lines = [HEADER, ...(extra ? [`extra ${toBase64(extra)}`] : []), `index ${index}`, ...proof.map(toBase64)]
  return `${lines.join('\n')}\n\n${checkpoint}`
}

/** The parts of a proof; a VerifyError `proof_malformed` (`note_malformed` for its checkpoint) if it is none. Nothing is verified. */
export function parseProof(bytes: string | Uint8Array): TlogProof {
  const text = decode(bytes)
  const split = text.indexOf('\n\n')
  if (split === -1) throw malformed('an empty line before the checkpoint')
  const [header, ...lines] = text.slice(0, split).split('\n')
  if (header !== HEADER) throw malformed(`the first line ${HEADER}`)
  const extra = lines[0]?.startsWith('extra ') ? parseExtra(lines.shift()!) : undefined
  const indexLine = lines.shift() ?? ''
  const index = indexLine.startsWith('index ') ? parseDecimal(indexLine.slice(6)) : undefined
  if (index === undefined) throw malformed('a line "index <decimal>"')
  if (lines.length > MAX_PROOF_HASHES) throw malformed(`at most ${MAX_PROOF_HASHES} hashes, got ${lines.length}`)
  const proof = lines.map((line) => parseHash(line) ?? fail('hashes as the base64 of 32 bytes'))
  const checkpoint = text.slice(split + 2)
  parseNote(checkpoint)
  return { index, proof, checkpoint, ...(extra ? { extra } : {}) }
}

/** What `openProof` needs beside the proof: the leaf hash computed from the entry itself, and who is trusted. */
export interface ProofTrust extends CheckpointTrust {
  readonly leafHash: Hash
  readonly verifiers: readonly NoteVerifier[]
}

/** The index of an entry and the checkpoint it is proved under. VerifyErrors as `parseProof`, `openCheckpoint`, `checkInclusion`. */
export function openProof(bytes: string | Uint8Array, trust: ProofTrust): { readonly index: number; readonly checkpoint: Checkpoint } {
  const { index, proof, checkpoint: note } = parseProof(bytes)
  const checkpoint = openCheckpoint(note, trust.verifiers, trust)
  checkInclusion({ index, size: checkpoint.size, leafHash: trust.leafHash, root: checkpoint.root, proof })
  return { index, checkpoint }
}

function decode(bytes: string | Uint8Array): string {
  if (bytes.length > MAX_PROOF_BYTES) throw malformed(`at most ${MAX_PROOF_BYTES} bytes, got ${bytes.length}`)
  if (typeof bytes === 'string') return bytes // its note part is checked as a note, the lines before it are ASCII
  try {
    return fromUtf8(bytes)
  } catch {
    throw malformed('UTF-8')
  }
}

function parseExtra(line: string): Uint8Array {
  try {
    const extra = fromBase64(line.slice('extra '.length))
    if (extra.length > 0 && extra.length <= MAX_EXTRA_BYTES) return extra
  } catch {
    // falls through: the same answer as for none
  }
  throw malformed(`1 to ${MAX_EXTRA_BYTES} bytes of extra data as base64`)
}

function fail(expected: string): never {
  throw malformed(expected)
}

function malformed(expected: string): Error {
  return logFault('proof_malformed', `proof: expected ${expected}`, 'ask for the proof again')
}
