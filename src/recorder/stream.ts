// A stream: one recorder's part of one session. Gives each event its id and stream_seq, turns values into payloads (snapshot, masks,
// lists as changes) and hands drafts to the sink. Nothing here waits.

import { formatTime, type Clock } from '../base/clock.ts'
import { CounterfoilError, MisuseError, StoreError } from '../base/errors.ts'
import { randomRef, uuidv7 } from '../base/ids.ts'
import { encodeDraft, type Draft, type DraftPayload, type DraftSlot } from '../event/draft.ts'
import { MAX_ADDED } from '../event/entry.ts'
import type { Mask } from '../event/mask.ts'
import type { Piece } from '../event/model-call.ts'
import { checkDraft } from '../event/parse.ts'
import type { Capture, KnownType, Outcome } from '../event/vocabulary.ts'
import { sha256Hex } from '#crypto'
import { maskPiece } from './content.ts'
import { ListMemory } from './list-memory.ts'
import type { Level, Receipt, Sink } from './sink.ts'

/** What the payloads of one event may come to, so that it fits into a spool record. */
const MAX_EVENT_BYTES: number = 72 * 1024 * 1024
/** The elements of one `context` come to no more than this, or it is one element. */
const MAX_CONTEXT_BYTES: number = 8 * 1024 * 1024

/** Not a promise: nothing to forget to await, nothing that can become an unhandled rejection. */
export interface Recorded {
  readonly event_id: string
  /** Why the event could not even be accepted; absent when it was. */
  readonly problem?: CounterfoilError
  /** Resolves when the event is in the log, fsynced, under a signed checkpoint. */
  durable(): Promise<Receipt>
  /** Resolves when a witness has cosigned a checkpoint that covers the event. */
  witnessed(): Promise<Receipt>
}

/** What all streams of a trail share. */
export interface StreamHost {
  readonly sink: Sink
  readonly clock: Clock
  readonly masks: readonly Mask[]
  /** Told of a failure that nobody may be waiting for; says it once per cause. */
  readonly report: (problem: CounterfoilError) => void
  /** An event could not even be accepted. */
  readonly lost: (event_type: string) => void
}

/** A payload's value for `emit`: one piece, a list of pieces, or the payload of an earlier event. */
export type Value = Piece | readonly Piece[] | { readonly same: string } | undefined

export interface Emitted {
  readonly facts?: Draft['facts']
  readonly payloads?: { readonly [name: string]: Value }
  readonly links?: { readonly [fact: string]: string }
  readonly capture?: Capture
  readonly outcome?: Outcome | undefined
  readonly step_number?: number | undefined
  readonly parent_event_id?: string | undefined
  readonly timestamp?: string | undefined
}

export class Stream {
  readonly session_id: string
  readonly stream: string = randomRef()
  readonly #host: StreamHost
  #next = 0
  #lists = new Map<string, ListMemory>()
  /** The newest payload under each name that is worth re-using, by the hash of what the caller gave. */
  #singles = new Map<string, { hash: string; event_id: string }>()

  constructor(session_id: string, host: StreamHost) {
    this.session_id = session_id
    this.#host = host
  }

  get count(): number {
    return this.#next
  }

  /**
   * Records an event and returns at once. A MisuseError is thrown for what is not in the vocabulary; a failure of the spool is reported
   * and rejects `durable()`, and the next event that arrives shows the hole.
   */
  emit(event_type: KnownType, event: Emitted): Recorded {
    const event_id = uuidv7(this.#host.clock())
    const payloads: Record<string, DraftSlot> = {}
    const remembered: (() => void)[] = []
    const lists: [string, readonly Piece[]][] = []
    const left = { count: MAX_ADDED, bytes: MAX_EVENT_BYTES }
    for (const [name, value] of Object.entries(event.payloads ?? {})) {
      if (value === undefined) continue
      if (Array.isArray(value)) lists.push([name, value as readonly Piece[]])
      else if ('same' in value) payloads[name] = value
      else payloads[name] = this.#single(name, value as Piece, event_id, left, remembered)
    }
    const draft: Draft = {
      event_id, event_type, session_id: this.session_id, timestamp: event.timestamp ?? formatTime(this.#host.clock()), capture: event.capture ?? 'before',
      facts: event.facts ?? {}, payloads,
      ...(event.links === undefined ? {} : { links: event.links }), ...(event.outcome === undefined ? {} : { outcome: event.outcome }),
      ...(event.step_number === undefined ? {} : { step_number: event.step_number }), ...(event.parent_event_id === undefined ? {} : { parent_event_id: event.parent_event_id }),
    }
    checkDraft(draft)
    try {
      for (const [name, pieces] of lists) payloads[name] = this.#list(name, pieces, event_id, event.capture ?? 'before', left, remembered)
    } catch (problem) {
      this.#next++
      return this.#refused(event_id, event_type, problem as CounterfoilError)
    }
    return this.#hand(draft, remembered)
  }

  /** Content that is often the same again (a system prompt) is recorded once and named after that. */
  #single(name: string, piece: Piece, event_id: string, left: { bytes: number }, remembered: (() => void)[]): DraftSlot {
    if (name !== 'system_prompt') return this.#fitting(piece, left)
    const hash = sha256Hex(`${piece.m}${sha256Hex(piece.content)}`)
    const old = this.#singles.get(name)
    if (old?.hash === hash) return { same: old.event_id }
    remembered.push(() => this.#singles.set(name, { hash, event_id }))
    return this.#fitting(piece, left)
  }

  /** A piece masked, and cut where the event has no room for all of it. */
  #fitting(piece: Piece, left: { bytes: number }): DraftPayload {
    const payload = maskPiece(piece, this.#host.masks, left.bytes)
    left.bytes -= byteLength(payload)
    return payload
  }

  /** A list as a change against the longest recorded prefix. What the event has no room for stands in `context` events before it. */
  #list(name: string, pieces: readonly Piece[], event_id: string, capture: Capture, left: { count: number; bytes: number }, remembered: (() => void)[]): DraftSlot {
    let memory = this.#lists.get(name)
    if (memory === undefined) this.#lists.set(name, (memory = new ListMemory()))
    const chain = memory.chain(pieces)
    let base = memory.find(chain)
    let from = base?.keep ?? 0
    const payloads = pieces.slice(from).map((piece) => maskPiece(piece, this.#host.masks))
    const sizes = payloads.map(byteLength)
    let bytes = sizes.reduce((sum, size) => sum + size, 0)
    let done = 0
    while (done < payloads.length && (payloads.length - done > left.count || bytes > left.bytes)) {
      let [count, taken] = [0, 0]
      while (done + count < payloads.length && count < MAX_ADDED && (count === 0 || taken + sizes[done + count]! <= MAX_CONTEXT_BYTES)) taken += sizes[done + count++]!
      const to = from + count
      const id = uuidv7(this.#host.clock())
      const add = payloads.slice(done, done + count)
      const context: Draft = {
        event_id: id, event_type: 'context', session_id: this.session_id, timestamp: formatTime(this.#host.clock()), capture, facts: {},
        payloads: { [name]: base === undefined ? { add } : { base: base.event_id, keep: base.keep, add } },
      }
      const known = from
      const recorded = this.#hand(context, [() => memory.remember(chain, id, known, to)])
      if (recorded.problem !== undefined) throw recorded.problem // without it the list would be another one
      base = { event_id: id, keep: to }
      from = to
      done += count
      bytes -= taken
    }
    remembered.push(() => memory.remember(chain, event_id, from))
    const add = payloads.slice(done)
    left.count -= add.length
    left.bytes -= bytes
    return base === undefined ? { add } : { base: base.event_id, keep: base.keep, add }
  }

  #hand(draft: Draft, remembered: readonly (() => void)[]): Recorded {
    const { event_id, event_type } = draft
    const { sink } = this.#host
    const stream_seq = this.#next++
    try {
      sink.accept(event_id, encodeDraft({ ...draft, stream: this.stream, stream_seq }))
    } catch (error) {
      const problem = error instanceof CounterfoilError ? error : error instanceof MisuseError ? misused(event_type, error) : new StoreError('not_accepted', `recorder: an event could not be taken: ${String(error)}`, 'run counterfoil doctor', { cause: error })
      return this.#refused(event_id, event_type, problem)
    }
    for (const remember of remembered) remember()
    return { event_id, durable: () => sink.reach(event_id, 'durable'), witnessed: () => sink.reach(event_id, 'witnessed') }
  }

  #refused(event_id: string, event_type: KnownType, problem: CounterfoilError): Recorded & { problem: CounterfoilError } {
    this.#host.lost(event_type)
    this.#host.report(problem)
    return { event_id, problem, durable: () => Promise.reject(problem), witnessed: () => Promise.reject(problem) }
  }

  /** Whether and how far an event that was accepted has come. */
  reach(event_id: string, level: Level): Promise<Receipt> {
    return this.#host.sink.reach(event_id, level)
  }
}

function byteLength({ content }: DraftPayload): number {
  return typeof content === 'string' ? Buffer.byteLength(content) : content.length
}

/** A trail that is closed takes nothing: reported, since what records late (a timer, a callback) must not fall over it. */
function misused(event_type: string, { code, message, next }: MisuseError): StoreError {
  const why = next === '' ? message : message.slice(0, -next.length - 2)
  return new StoreError(code, `recorder: ${event_type} is not on record: ${why}`, next)
}
