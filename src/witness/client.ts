// Asking a C2SP tlog-witness to cosign the newest checkpoint of a log of ours. A refusal is told apart: the witness cannot be asked
// (RemoteError), does not know the log (RemoteError), or saw another history than the one here (VerifyError): that one is an alarm.

import { RemoteError, VerifyError } from '../base/errors.ts'
import { openCheckpoint, parseDecimal, type Checkpoint } from '../log/checkpoint.ts'
import { checkConsistency, proveConsistency } from '../log/consistency.ts'
import { parseCosignature } from '../log/cosignature.ts'
import { emptyRoot, type Hash } from '../log/hash.ts'
import { formatNote, openNote, parseNote, type NoteSignature, type NoteVerifier } from '../log/note.ts'
import { rootAt, type HashReader } from '../log/reader.ts'
import { formatAddCheckpoint } from './request.ts'

export interface Submission {
  /** The witness's submission prefix. */
  readonly url: string
  /** The witness's keys (`cosignatureVerifier`): a signature by at least one of them must come back. */
  readonly cosigners: readonly NoteVerifier[]
  /** The log's newest checkpoint, and the keys that open it. */
  readonly checkpoint: string
  readonly verifiers: readonly NoteVerifier[]
  /** The log's tree, at least up to the checkpoint's size. */
  readonly reader: HashReader
  /** The size that the witness is believed to remember; without it, it is asked. */
  readonly oldSize?: number
  /** For each request, in ms; default 10,000. */
  readonly timeoutMs?: number
}

/** How often a witness may answer with another size before it is given up. Each time somebody else submitted in between. */
const MAX_TRIES = 4
const MAX_ANSWER_BYTES = 65_536

/**
 * The witness's verified cosignatures of `checkpoint`, one or more; nothing is retried but what the protocol asks for (409).
 *
 * RemoteError `witness_unreachable` `witness_timeout` `witness_failed` (with `retry`), `witness_unknown_log` (404), `witness_refused_key`
 * (403), `witness_refused` (400 and others), `witness_answer` (200 or 409 with a body that is none). VerifyError `witness_ahead`: it has seen
 * more entries of this log than there are here; `witness_forked`: it has seen others (422, or a 409 for its own size that names no other); `consistency_mismatch`: the tree here is not its own
 * checkpoint's, nothing was sent.
 */
export async function submitCheckpoint(submission: Submission): Promise<NoteSignature[]> {
  const { checkpoint, verifiers, url } = submission
  const head = openCheckpoint(checkpoint, verifiers)
  let oldSize = Math.min(submission.oldSize ?? 0, head.size)
  for (let tries = 1; ; tries++) {
    const proof = await provenHere(submission.reader, oldSize, head)
    const { status, body } = await post(submission, formatAddCheckpoint({ oldSize, proof, checkpoint }))
    if (status === 200) return readCosignatures(submission, body)
    if (status !== 409) throw refused(url, status, body, oldSize, head)
    const size = readSize(body)
    if (size === undefined && oldSize === head.size) throw forked(url, body, oldSize, head) // how witnesses said it before 422 was specified
    if (size === undefined) throw answer(url, 'refuses the old size, and says no other')
    if (size > head.size) throw new VerifyError('witness_ahead', `witness: ${url} has cosigned ${size} entries of ${head.origin}, and there are ${head.size} here`, 'if another process is appending, submit again; otherwise this log was cut off: write nothing into it, and look for the copy that the witness saw', { first_bad_index: head.size })
    if (size === oldSize || tries === MAX_TRIES) throw answer(url, `remembers size ${size} after ${tries} tries`)
    oldSize = size
  }
}

/** `note` with `signatures` in place of earlier ones of the same keys. */
export function withCosignatures(note: string, signatures: readonly NoteSignature[]): string {
  const { text, signatures: before } = parseNote(note)
  const isNew = (one: NoteSignature): boolean => signatures.some(({ name, keyId }) => name === one.name && keyId === one.keyId)
  return formatNote({ text, signatures: [...before.filter((one) => !isNew(one)), ...signatures] })
}

/** A proof that holds here: what the witness refuses then is not a damaged tile of ours, but another history. */
async function provenHere(reader: HashReader, oldSize: number, { size, root }: Checkpoint): Promise<Hash[]> {
  const proof = await proveConsistency(reader, oldSize, size)
  const [oldRoot, now] = [oldSize === 0 ? emptyRoot() : await rootAt(reader, oldSize), size === 0 ? emptyRoot() : await rootAt(reader, size)]
  checkConsistency({ oldSize: size, size, oldRoot: now, root, proof: [] })
  checkConsistency({ oldSize, size, oldRoot, root, proof })
  return proof
}

async function post({ url, timeoutMs = 10_000 }: Submission, body: Uint8Array): Promise<{ status: number; body: string }> {
  const target = `${url.replace(/\/+$/, '')}/add-checkpoint`
  try {
    const response = await fetch(target, { method: 'POST', body: Buffer.from(body), redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) })
    return { status: response.status, body: await readText(response) }
  } catch (cause) {
    if (cause instanceof RemoteError) throw cause
    if ((cause as Error).name === 'TimeoutError') throw new RemoteError('witness_timeout', `witness: ${url} gave no answer within ${timeoutMs} ms`, 'submit again', { cause, retry: true })
    const why = ((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message
    throw new RemoteError('witness_unreachable', `witness: ${url} cannot be reached: ${why}`, 'check the address, and submit again', { cause, retry: true })
  }
}

async function readText(response: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of response.body ?? []) {
    length += part.length
    if (length > MAX_ANSWER_BYTES) throw answer(response.url, `sent more than ${MAX_ANSWER_BYTES} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function readSize(body: string): number | undefined {
  return body.endsWith('\n') ? parseDecimal(body.slice(0, -1)) : undefined
}

/** The lines are put under the checkpoint's text, and what the trusted keys signed of that is taken. */
function readCosignatures({ url, cosigners, checkpoint }: Submission, body: string): NoteSignature[] {
  let verified: readonly NoteSignature[]
  try {
    ;({ verified } = openNote(`${parseNote(checkpoint).text}\n${body}`, cosigners))
  } catch (cause) {
    throw answer(url, `cosigned with none of its keys: ${(cause as Error).message}`, cause)
  }
  const timed = verified.filter(({ signature }) => (parseCosignature(signature)?.time ?? 0) > 0)
  if (timed.length === 0) throw answer(url, 'cosigned without a time')
  return timed
}

function refused(url: string, status: number, body: string, oldSize: number, { origin, size }: Checkpoint): Error {
  const says = JSON.stringify(body.trim().slice(0, 200))
  switch (status) {
    case 422: return forked(url, body, oldSize, { origin, size })
    case 404: return new RemoteError('witness_unknown_log', `witness: ${url} does not know the log ${origin}`, "give its operator the log's verifier key: counterfoil keys", { status })
    case 403: return new RemoteError('witness_refused_key', `witness: ${url} trusts another key for ${origin}`, "give its operator the log's verifier key: counterfoil keys", { status })
    default: return new RemoteError(status >= 500 || status === 429 ? 'witness_failed' : 'witness_refused', `witness: ${url} answered ${status}: ${says}`, status >= 500 || status === 429 ? 'submit again later' : 'check that the address is a witness', { status, retry: status >= 500 || status === 429 })
  }
}

function forked(url: string, body: string, oldSize: number, { origin, size }: Pick<Checkpoint, 'origin' | 'size'>): VerifyError {
  return new VerifyError('witness_forked', `witness: ${url} saw another history of ${origin}: the ${oldSize} entries that it remembers are not the beginning of the ${size} here (${JSON.stringify(body.trim().slice(0, 200))})`, 'keep its checkpoint and this one: two signed ones that disagree prove a rewritten log')
}

function answer(url: string, what: string, cause?: unknown): RemoteError {
  return new RemoteError('witness_answer', `witness: ${url} ${what}`, 'it is no witness, or another one than configured', { cause })
}
