// A stream: one recorder's part of one session. Gives each event its id and stream_seq, turns values into payloads (snapshot, masks,
// lists as changes) and hands drafts to the sink. Nothing here waits.

import { formatTime, type Clock } from '../base/clock.ts'
import { CounterfoilError, MisuseError, StoreError } from '../base/errors.ts'
import { randomRef, uuidv7 } from '../base/ids.ts'
import { MAX_PERSONS, writeDraft, type Draft, type DraftPayload, type DraftSlot } from '../event/draft.ts'
import { MAX_ADDED } from '../event/entry.ts'
import type { Mask } from '../event/mask.ts'
import type { Piece, Subject } from '../event/model-call.ts'
import { checkSaid } from '../event/parse.ts'
import { identityOf } from '../event/person.ts'
import type { Capture, KnownType, Outcome } from '../event/vocabulary.ts'
import { sha256Hex } from '#crypto'
import { maskPiece } from './content.ts'
import { ListMemory, type Prefix } from './list-memory.ts'
import type { Level, Receipt, Sink } from './sink.ts'
import { currentSubject, personsOf } from './subject.ts'

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
  /** The ids of whom its `identity` names. */
  readonly persons?: readonly string[] | undefined
  /** Whose its content is, but for pieces that say it themselves; without it whoever the async context is about, then the session. */
  readonly subject?: Subject | undefined
}

/** Whom a session is about. `ref` is the reference that an earlier stream of it named them by, and stands for them also when they were erased. */
export interface About { readonly subject?: Subject | undefined; readonly ref?: string | undefined }

/** Persons that a stream remembers the references of; beyond it the oldest half is named again. */
const SUBJECTS_KEPT = 10_000
/** Lists of one name are remembered apart for this many subjects. */
const MEMORIES_KEPT = 64

/** Whose content is: the reference that stands for the persons, none for nobody. */
type Owner = string | undefined
/** The same of one element of a list: `EVENTS` where its event says it. */
const EVENTS = ''
const NOBODYS = '-'

type Drafting = { -readonly [K in keyof Draft]: Draft[K] }

export class Stream {
  readonly session_id: string
  readonly stream: string = randomRef()
  readonly #host: StreamHost
  #next = 0
  /** By name and owner: content is never named by reference across persons. */
  #lists = new Map<string, Map<Owner, ListMemory>>()
  /** The newest payload under each name and owner that is worth re-using, with what the caller gave. */
  #singles = new Map<string, { said: string; event_id: string }>()
  readonly #about: About
  /** References by persons, of those that are on record. */
  #subjects = new Map<string, string>()
  #naming: { persons: readonly string[]; name: string; ref: string }[] = []

  /** `about`: whom the session is about, for what nobody says otherwise. */
  constructor(session_id: string, host: StreamHost, about: About = {}) {
    this.session_id = session_id
    this.#host = host
    this.#about = about
    if (about.ref !== undefined && about.subject !== undefined) this.#subjects.set(JSON.stringify(personsOf(about.subject)), about.ref)
  }

  /** Whom is said to be recorded about now, as far as that is known. */
  get subject(): Subject | undefined {
    const current = currentSubject()
    return current === undefined ? this.#about.subject : current
  }

  get count(): number {
    return this.#next
  }

  /**
   * Records an event and returns at once. A MisuseError is thrown for what is not in the vocabulary; a failure of the spool is reported
   * and rejects `durable()`, and the next event that arrives shows the hole.
   */
  emit(event_type: KnownType, event: Emitted): Recorded {
    const now = this.#host.clock()
    const event_id = uuidv7(now)
    const payloads: Record<string, DraftSlot> = {}
    const remembered: (() => void)[] = []
    const lists: [string, readonly Piece[], readonly string[] | undefined][] = []
    const left = { count: MAX_ADDED, bytes: MAX_EVENT_BYTES }
    if (this.#naming.length > 0) this.#naming = []
    const said = event.subject === undefined ? currentSubject() : event.subject
    const owner = said === undefined ? (this.#about.ref ?? this.#owner(this.#about.subject)) : this.#owner(said)
    for (const name of event.payloads === undefined ? [] : Object.keys(event.payloads)) {
      const value = event.payloads![name]
      if (value === undefined) continue
      if (Array.isArray(value)) lists.push([name, value as readonly Piece[], this.#owners(value as readonly Piece[])])
      else if ('same' in value) payloads[name] = value
      else payloads[name] = this.#single(name, value as Piece, (value as Piece).subject === undefined ? owner : this.#owner((value as Piece).subject), event_id, left, remembered)
    }
    const capture = event.capture ?? 'before'
    const draft: Drafting = {
      event_id, event_type, session_id: this.session_id, timestamp: event.timestamp ?? formatTime(now), capture,
      facts: event_type === 'session_start' && owner !== undefined ? { ...event.facts, subject: owner } : (event.facts ?? {}), payloads,
    }
    if (event.persons !== undefined) draft.persons = event.persons
    if (event.links !== undefined) draft.links = event.links
    if (event.outcome !== undefined) draft.outcome = event.outcome
    if (event.step_number !== undefined) draft.step_number = event.step_number
    if (event.parent_event_id !== undefined) draft.parent_event_id = event.parent_event_id
    checkSaid(draft)
    try {
      this.#name()
      for (const [name, pieces, owners] of lists) payloads[name] = this.#list(name, pieces, owner, owners, event_id, capture, left, remembered)
    } catch (problem) {
      this.#next++
      return this.#refused(event_id, event_type, problem as CounterfoilError)
    }
    const recorded = this.#hand(draft, remembered)
    if (event_type === 'session_end' || event_type === 'session_timeout') for (const memories of this.#lists.values()) for (const memory of memories.values()) memory.clear()
    return recorded
  }

  /** Whose each of `pieces` is said to be; undefined where its event says it of all. */
  #owners(pieces: readonly Piece[]): readonly string[] | undefined {
    if (pieces.every(({ subject }) => subject === undefined)) return undefined
    return pieces.map(({ subject }) => (subject === undefined ? EVENTS : (this.#owner(subject) ?? NOBODYS)))
  }

  /** The reference that stands for the persons of `subject` in this stream. Who is new is named on record before the event. */
  #owner(subject: Subject | undefined): Owner {
    if (subject === undefined || subject === null) return undefined
    const persons = personsOf(subject, MAX_PERSONS)!
    const name = JSON.stringify(persons)
    const known = this.#subjects.get(name) ?? this.#naming.find((one) => one.name === name)?.ref
    if (known !== undefined) return known
    const ref = randomRef()
    this.#naming.push({ persons, name, ref })
    return ref
  }

  /** Puts on record who the references of this event stand for. Throws what kept one from being accepted: nobody would know whose the content is. */
  #name(): void {
    for (const { persons, name, ref } of this.#naming) {
      const identity = { ...maskPiece({ m: 'json', content: identityOf(persons, 'subject') }, this.#host.masks), of: ref }
      const draft: Drafting = {
        event_id: uuidv7(this.#host.clock()), event_type: 'subject', session_id: this.session_id, timestamp: formatTime(this.#host.clock()), capture: 'before', facts: { subject: ref }, payloads: { identity }, persons,
      }
      const { problem } = this.#hand(draft, [])
      if (problem !== undefined) throw problem
      if (this.#subjects.size >= SUBJECTS_KEPT) this.#subjects = new Map([...this.#subjects].slice(SUBJECTS_KEPT / 2))
      this.#subjects.set(name, ref)
    }
  }

  /** Content that is often the same again (a system prompt) is recorded once and named after that. */
  #single(name: string, piece: Piece, owner: Owner, event_id: string, left: { bytes: number }, remembered: (() => void)[]): DraftSlot {
    if (name !== 'system_prompt') return this.#fitting(piece, owner, left)
    const said = typeof piece.content === 'string' ? `${piece.m}/${piece.content}` : `${piece.m}*/${sha256Hex(piece.content)}`
    const place = owner === undefined ? name : `${name}/${owner}`
    const old = this.#singles.get(place)
    if (old?.said === said) return { same: old.event_id }
    remembered.push(() => {
      if (this.#singles.size >= MEMORIES_KEPT) this.#singles.clear()
      this.#singles.set(place, { said, event_id })
    })
    return this.#fitting(piece, owner, left)
  }

  /** A piece masked, and cut where the event has no room for all of it. */
  #fitting(piece: Piece, owner: Owner, left: { bytes: number }): DraftPayload {
    const payload = maskPiece(piece, this.#host.masks, left.bytes)
    left.bytes -= byteLength(payload)
    return owner === undefined ? payload : { ...payload, of: owner }
  }

  /** The memory of lists recorded for `owner`, and the others that such a list may go on from: those of nobody, and of everybody where nobody is named. */
  #memories(name: string, owner: Owner): { own: ListMemory; all: Iterable<ListMemory> } {
    let memories = this.#lists.get(name)
    if (memories === undefined) this.#lists.set(name, (memories = new Map()))
    let own = memories.get(owner)
    if (own === undefined) {
      if (memories.size >= MEMORIES_KEPT) {
        const [oldest, its] = [...memories].find(([one]) => one !== undefined)!
        its.clear()
        memories.delete(oldest)
      }
      memories.set(owner, (own = new ListMemory()))
    }
    const nobodys = memories.get(undefined)
    return { own, all: owner === undefined ? memories.values() : nobodys === undefined ? [own] : [own, nobodys] }
  }

  /** A list as a change against the longest recorded prefix. What the event has no room for stands in `context` events before it. */
  #list(name: string, pieces: readonly Piece[], owner: Owner, owners: readonly string[] | undefined, event_id: string, capture: Capture, left: { count: number; bytes: number }, remembered: (() => void)[]): DraftSlot {
    const { own: memory, all } = this.#memories(name, owner)
    let known: Prefix | undefined
    let base: { event_id: string; keep: number } | undefined
    for (const one of all) {
      const found = one.find(pieces, owners)
      if (one === memory) known = found
      if (found !== undefined && found.keep > (base?.keep ?? 0)) base = { event_id: found.list[found.keep - 1]!.event_id, keep: found.keep }
    }
    let from = base?.keep ?? 0
    const payloads = pieces.slice(from).map((piece, i): DraftPayload => {
      const said = owners?.[from + i] ?? EVENTS
      const of = said === EVENTS ? owner : said === NOBODYS ? undefined : said
      return of === undefined ? maskPiece(piece, this.#host.masks) : { ...maskPiece(piece, this.#host.masks), of }
    })
    const sizes = payloads.map(byteLength)
    let bytes = sizes.reduce((sum, size) => sum + size, 0)
    let done = 0
    while (done < payloads.length && (payloads.length - done > left.count || bytes > left.bytes)) {
      let [count, taken] = [0, 0]
      while (done + count < payloads.length && count < MAX_ADDED && (count === 0 || taken + sizes[done + count]! <= MAX_CONTEXT_BYTES)) taken += sizes[done + count++]!
      const to = from + count
      const id = uuidv7(this.#host.clock())
      const add = payloads.slice(done, done + count)
      const context: Drafting = {
        event_id: id, event_type: 'context', session_id: this.session_id, timestamp: formatTime(this.#host.clock()), capture, facts: {},
        payloads: { [name]: base === undefined ? { add } : { base: base.event_id, keep: base.keep, add } },
      }
      const recorded = this.#hand(context, [() => (known = memory.remember(pieces, owners, id, known, to))])
      if (recorded.problem !== undefined) throw recorded.problem // without it the list would be another one
      base = { event_id: id, keep: to }
      from = to
      done += count
      bytes -= taken
    }
    remembered.push(() => memory.remember(pieces, owners, event_id, known))
    const add = payloads.slice(done)
    left.count -= add.length
    left.bytes -= bytes
    return base === undefined ? { add } : { base: base.event_id, keep: base.keep, add }
  }

  #hand(draft: Drafting, remembered: readonly (() => void)[]): Recorded {
    const { event_id, event_type } = draft
    const { sink } = this.#host
    draft.stream = this.stream
    draft.stream_seq = this.#next++
    try {
      sink.accept(event_id, writeDraft(draft))
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
  reach(event_id: string, level: Level, patience?: number): Promise<Receipt> {
    return this.#host.sink.reach(event_id, level, patience)
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
