// The body of C2SP tlog-witness `add-checkpoint`:
//   old <size>\n
//   <base64 hash>\n      none to 63 times: a consistency proof from the old size
//   \n
//   <checkpoint, a signed note>

import { fromUtf8, toBase64, utf8 } from '../base/bytes.ts'
import { VerifyError } from '../base/errors.ts'
import { parseDecimal, parseHash } from '../log/checkpoint.ts'
import type { Hash } from '../log/hash.ts'
import { MAX_PROOF_HASHES } from '../log/reader.ts'

/** The longest body that a witness of ours reads: a proof, and a checkpoint with a hundred Ed25519 or fifteen ML-DSA cosignatures. */
export const MAX_REQUEST_BYTES = 65_536

/** What is submitted. `checkpoint` is the note as text; nothing in it is verified. */
export interface AddCheckpoint {
  readonly oldSize: number
  readonly proof: readonly Hash[]
  readonly checkpoint: string
}

/** The parts of a body; a VerifyError `request_malformed` unless it is exactly of this form. The checkpoint is not looked at. */
export function parseAddCheckpoint(body: Uint8Array): AddCheckpoint {
  if (body.length > MAX_REQUEST_BYTES) throw malformed(`at most ${MAX_REQUEST_BYTES} bytes, got ${body.length}`)
  const text = decode(body)
  const end = text.indexOf('\n\n')
  if (end === -1) throw malformed('an old size line, proof lines, an empty line and a checkpoint')
  const [first = '', ...lines] = text.slice(0, end).split('\n')
  const oldSize = first.startsWith('old ') ? parseDecimal(first.slice(4)) : undefined
  if (oldSize === undefined) throw malformed(`"old" and a size up to 2^53-1, got ${JSON.stringify(first.slice(0, 32))}`)
  if (lines.length > MAX_PROOF_HASHES) throw malformed(`at most ${MAX_PROOF_HASHES} proof lines, got ${lines.length}`)
  const proof = lines.map((line) => {
    const hash = parseHash(line)
    if (hash === undefined) throw malformed('proof lines that are the base64 of 32 bytes')
    return hash
  })
  return { oldSize, proof, checkpoint: text.slice(end + 2) }
}

/** The body of a submission. */
export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): Uint8Array {
  return utf8(`old ${oldSize}\n${proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n${checkpoint}`)
}

function decode(body: Uint8Array): string {
  try {
    return fromUtf8(body)
  } catch (cause) {
    throw malformed('UTF-8', cause)
  }
}

function malformed(expected: string, cause?: unknown): VerifyError {
  return new VerifyError('request_malformed', `witness: add-checkpoint: expected ${expected}`, 'send what C2SP tlog-witness says', { cause })
}
