// What a C2SP tlog-witness answers to `add-checkpoint`, without HTTP. The steps stand in the order of the specification; only the last one
// signs, and it is one synchronous piece from reading the last checkpoint to having written the new one, so that no two requests interleave.
// Left out: sign-subtree (optional), ML-DSA-44 cosignatures.

import type { Clock } from '../base/clock.ts'
import { CounterfoilError, MisuseError, StoreError, VerifyError } from '../base/errors.ts'
import { readTreeHead, type TreeHead } from '../log/checkpoint.ts'
import { checkConsistency } from '../log/consistency.ts'
import { cosignatureSigner, cosignatureVerifier } from '../log/cosignature.ts'
import { emptyRoot } from '../log/hash.ts'
import { addSignature, ed25519Verifier, formatNote, openNote, parseNote, type NoteVerifier } from '../log/note.ts'
import type { WitnessKey } from './key.ts'
import { parseAddCheckpoint, type AddCheckpoint } from './request.ts'
import type { WitnessState } from './state.ts'

/** An answer of the protocol. `says` is for people; of 200 the body is note signature lines, of 409 the size that is remembered. */
export type Answer =
  | { readonly status: 200; readonly body: string; readonly head: TreeHead }
  | { readonly status: 400 | 403 | 404 | 422; readonly says: string; readonly origin?: string }
  | { readonly status: 409; readonly size: number; readonly origin: string }

/** One witness over its state. */
export class Witness {
  readonly #state: WitnessState
  readonly #key: WitnessKey
  readonly #clock: Clock
  readonly #own: NoteVerifier
  readonly #logs = new Map<string, NoteVerifier[]>()

  /**
   * A witness of the logs whose verifier keys are `logs`; a key's name is its log's origin, and several keys of one log are fine. MisuseError
   * for a key that cannot be one. StoreError `witness_state` when what is remembered of a log is damaged: a witness that forgot must not sign.
   */
  constructor(state: WitnessState, key: WitnessKey, logs: readonly string[], clock: Clock) {
    this.#state = state
    this.#key = key
    this.#clock = clock
    this.#own = cosignatureVerifier(key.vkey)
    for (const vkey of new Set(logs)) {
      const verifier = ed25519Verifier(vkey)
      this.#logs.set(verifier.name, [...(this.#logs.get(verifier.name) ?? []), verifier])
    }
    if (this.#logs.size === 0) throw new MisuseError('no_logs', 'witness: expected the verifier key of one log or more, got none', 'name them with --log VKEY')
    for (const origin of this.#logs.keys()) this.#last(origin)
  }

  /** Judges a request body, and cosigns. Throws a StoreError when the state cannot be read or written, or the clock is wrong: nothing is signed. */
  addCheckpoint(body: Uint8Array): Answer {
    try {
      return this.#judge(body)
    } catch (error) {
      if (error instanceof Refusal) return error.answer
      throw error
    }
  }

  /** The newest checkpoint of a log with its and our signature, or undefined. */
  checkpoint(origin: string): string | undefined {
    return this.#logs.has(origin) ? this.#last(origin)?.note : undefined
  }

  /** The origins that this witness knows. */
  get origins(): string[] {
    return [...this.#logs.keys()]
  }

  #judge(body: Uint8Array): Answer {
    const { request, head } = orRefuse(400, undefined, () => readRequest(body))
    const { origin } = head
    const verifiers = this.#logs.get(origin)
    if (verifiers === undefined) throw new Refusal({ status: 404, says: 'this witness does not know the log of that origin' })
    const { text, verified } = orRefuse(403, origin, () => openNote(request.checkpoint, verifiers))
    if (request.oldSize > head.size) throw new Refusal({ status: 400, says: `expected an old size up to ${head.size}, got ${request.oldSize}`, origin })
    const last = this.#last(origin)
    if (request.oldSize !== (last?.head.size ?? 0)) throw new Refusal({ status: 409, size: last?.head.size ?? 0, origin })
    orRefuse(422, origin, () => checkContinues(last?.head, head, request))
    return this.#cosign(head, formatNote({ text, signatures: verified }))
  }

  /** Signs, writes, and only then answers. */
  #cosign(head: TreeHead, signed: string): Answer {
    const time = Math.floor(this.#clock() / 1000)
    if (!Number.isSafeInteger(time) || time <= 0) throw new StoreError('witness_clock', `witness: expected a time after 1970, got ${time} s`, "set this machine's clock")
    const note = addSignature(signed, cosignatureSigner(this.#key, time))
    this.#state.write(head.origin, note)
    return { status: 200, body: note.slice(note.lastIndexOf('\n', note.length - 2) + 1), head }
  }

  /** What is remembered of a log, read from disk and checked against our own signature. */
  #last(origin: string): { readonly note: string; readonly head: TreeHead } | undefined {
    const note = this.#state.read(origin)
    if (note === undefined) return undefined
    try {
      const head = readTreeHead(openNote(note, [this.#own]).text)
      if (head.origin !== origin) throw new VerifyError('checkpoint_origin', `expected the origin ${origin}, got ${head.origin}`, 'send the checkpoint of the log that the request names')
      return { note, head }
    } catch (cause) {
      if (!(cause instanceof CounterfoilError)) throw cause
      throw new StoreError('witness_state', `witness: what ${this.#state.folder} remembers of ${origin} is not what this key signed: ${cause.message}`, 'restore the newest copy; a witness that forgot must not sign', { cause })
    }
  }
}

function readRequest(body: Uint8Array): { request: AddCheckpoint; head: TreeHead } {
  const request = parseAddCheckpoint(body)
  return { request, head: readTreeHead(parseNote(request.checkpoint).text) }
}

/** Whether `head` continues what is remembered: the empty tree where that is nothing, so that size 0 has its root too. */
function checkContinues(last: TreeHead | undefined, head: TreeHead, { oldSize, proof }: AddCheckpoint): void {
  checkConsistency({ oldSize, size: head.size, oldRoot: last?.root ?? emptyRoot(), root: head.root, proof })
}

class Refusal extends Error {
  readonly answer: Answer
  constructor(answer: Answer) {
    super('refused')
    this.answer = answer
  }
}

function orRefuse<T>(status: 400 | 403 | 422, origin: string | undefined, step: () => T): T {
  try {
    return step()
  } catch (cause) {
    if (!(cause instanceof VerifyError)) throw cause
    throw new Refusal({ status, says: cause.message, ...(origin === undefined ? {} : { origin }) })
  }
}
