// One batch inside one transaction (DESIGN §6): drafts in, entries under a signed checkpoint out. Nothing of it outlives a failure.
//
//   duplicates → gaps, resumes, scopes → commitments → segments → entries, leaf hashes, tiles → checkpoint, signed inside the transaction → rows
//
// `Appender` opens the transaction at a head that it knows, and commits.

import { equal, fromBase64, toBase64, utf8 } from '../base/bytes.ts'
import { formatTime, type Clock } from '../base/clock.ts'
import { MisuseError, StoreError } from '../base/errors.ts'
import { encodeDraft, isList, isSame, type Draft, type DraftPayload } from '../event/draft.ts'
import { isListChange, type Entry, type FactValue, type Ref, type Slot } from '../event/entry.ts'
import { checkDraft, encodeEntry, parseEntry } from '../event/parse.ts'
import { encodeSession, firstPrev, stepOf } from '../event/session.ts'
import { REFUSED_OUTCOME } from '../event/approval.ts'
import { LEDGER_TYPES, type Facts } from '../event/vocabulary.ts'
import { formatTreeHead } from '../log/checkpoint.ts'
import { leafHash, type Hash } from '../log/hash.ts'
import { rotationStatement } from '../log/rotation.ts'
import { treeRoot, type TreeEdge } from '../log/tree.ts'
import type { ContentRow, EntryRow, Head, PlaceRow, SegmentRow, StoreTx, StreamRow } from '../store/contract.ts'
import type { Keyring, NextKey } from '../vault/keyring.ts'
import { sha256 } from '#crypto'
import { BatchContent, commitmentTo, newPayloads, type NewPayload, type Placement } from './batch-content.ts'
import { BatchScopes, hasSubjects, inScopes, personsOf } from './batch-scopes.ts'
import { ledgerDraft } from './event.ts'
import type { LiveSession } from './live-session.ts'
import { callRefusal, decisionRefusal, keyedHashes } from './oversight.ts'

/**
 * A draft on its way in. `writer` is who handed it in; `stream` says which spool feeds the draft's stream. `stamped`: its author gave no time, so that
 * it has another one when it is handed in again.
 */
export interface Handed { readonly draft: Draft; readonly writer: string; readonly stream?: { readonly spool: string; readonly owner: string }; readonly stamped?: boolean }

/** Where an event stands now. `checkpoint` covers it. */
export interface Placed { readonly index: number; readonly entry_hash: string; readonly checkpoint: string }

/** Why an event is not on record as it was handed in. The refusal itself is a finding in its session. */
export interface Refused { readonly refused: { readonly code: string; readonly message: string; readonly next: string } }

export interface AppendOptions {
  /** Recorded in the same transaction: how far this spool has been read. */
  readonly spool?: { readonly id: string; readonly offset: number }
  /** Gives the key that signs from the batch on, which is the rotation to it and nothing else. Called inside the transaction. */
  readonly next?: () => NextKey | Promise<NextKey>
}

/** Facts that the ledger fills in, and which a repeated event is therefore not compared by. */
const LEDGER_FACTS = new Set(['streams', 'stream_total', 'segment_count', 'segment_root'])
/** A clock less than this behind the last entry is held at the last entry's time. */
const CLOCK_SLACK_MS = 1_000

/** The newest checkpoint, the tree under it, and when its last entry was recorded. */
export interface Tip { readonly head: Head; readonly edge: TreeEdge; readonly recordedAt: number }

/** An event that becomes an entry, with what it brings. */
interface Pending { readonly draft: Draft; readonly writer: string; readonly live: LiveSession; readonly payloads: readonly NewPayload[]; readonly answer?: number }

/** The rows of a batch's entries, with their leaf hashes, in the order of the log. */
interface Written { readonly rows: EntryRow[]; readonly hashes: Hash[]; readonly places: PlaceRow[]; readonly touched: Map<string, LiveSession> }
interface Sealed { readonly segments: readonly SegmentRow[]; readonly contents: readonly ContentRow[] }

/** One batch inside one transaction. Nothing of it outlives a failure. */
export class Batch {
  readonly #tx: StoreTx
  readonly #keyring: Keyring
  readonly #now: number
  readonly #recordedAt: string
  readonly #own: string
  readonly #tip: Tip
  readonly #session: (id: string) => Promise<LiveSession>
  readonly #answers: (Placed | Refused | undefined)[] = []
  readonly #pending: Pending[] = []
  readonly #streams = new Map<string, number>()
  readonly #states = new Map<string, string>()
  readonly #fresh = new Map<string, number>()
  readonly #scopes: BatchScopes
  readonly #streamRows = new Map<string, StreamRow>()
  readonly #closed = new Set<string>()
  /** Streams whose owner is gone: their rows go too. */
  readonly #gone = new Set<string>()
  readonly #lives = new Map<string, LiveSession>()
  /** Sessions that were told of entries which are stored only when the transaction is. */
  readonly followed: Set<string> = new Set()
  #makeNext: AppendOptions['next']
  #next: NextKey | undefined

  constructor(tx: StoreTx, keyring: Keyring, clock: Clock, own: string, tip: Tip, session: (id: string) => Promise<LiveSession>) {
    this.#tx = tx
    this.#keyring = keyring
    this.#scopes = new BatchScopes(tx, keyring)
    this.#own = own
    this.#tip = tip
    this.#session = session
    const now = clock()
    this.#now = now < tip.recordedAt && tip.recordedAt - now < CLOCK_SLACK_MS ? tip.recordedAt : now
    this.#recordedAt = formatTime(this.#now)
  }

  /** What it read of, or wrote to. */
  get sessions(): ReadonlyMap<string, LiveSession> {
    return this.#lives
  }

  async run(batch: readonly Handed[], options: AppendOptions): Promise<{ tip: Tip; answers: (Placed | Refused)[] }> {
    this.#makeNext = options.next
    const repeated = await this.#repeated(batch)
    const now = this.#now
    if (now < this.#tip.recordedAt) await this.#queueOwn(ledgerDraft('clock', this.#own, now, { from: formatTime(this.#tip.recordedAt), to: formatTime(now) }))
    const later: { at: number; answer: number }[] = []
    for (const [at, handed] of batch.entries()) {
      const old = repeated[at]
      const first = old === undefined ? this.#fresh.get(key(handed)) : undefined
      if (first !== undefined && isSameDraft(batch[first]!, handed)) later.push({ at, answer: first })
      else if (first !== undefined) this.#answers[at] = await this.#reused(handed, 'earlier in the same batch', draftHash(batch[first]!.draft), draftHash(handed.draft))
      else if (old === undefined) await this.#expect(handed, at)
      else this.#answers[at] = await this.#compare(handed, old)
    }
    const content = new BatchContent()
    for (const { draft, payloads, live } of this.#pending) content.add(draft.event_id, payloads, live)
    const placements = await content.place(this.#tx)
    const sealed = await content.seal(this.#tx, this.#keyring.origin)
    const done = await this.#commit(await this.#write(placements), sealed, options)
    for (const { at, answer } of later) this.#answers[at] = this.#answers[answer]!
    return { tip: done, answers: this.#answers as (Placed | Refused)[] }
  }

  /** For each of the batch the stored entry of the same writer and id, if there is one. */
  async #repeated(batch: readonly Handed[]): Promise<(EntryRow | undefined)[]> {
    const found = await this.#tx.findEvents(batch.map(({ draft }) => draft.event_id))
    if (found.length === 0) return []
    const rows = new Map(found.map((row) => {
      const { entry } = parseEntry(row.entry)
      return [`${entry.writer}/${entry.event_id}`, row]
    }))
    return batch.map((handed) => rows.get(key(handed)))
  }

  /** The old receipt when a repeated event has the same content; else a refusal with both hashes, and a finding. */
  async #compare(handed: Handed, old: EntryRow): Promise<Placed | Refused> {
    const { entry } = parseEntry(old.entry)
    const live = await this.#open(entry.session_id)
    const draft = inScopes(handed.stamped === true ? { ...handed.draft, timestamp: entry.timestamp } : handed.draft, live)
    const approval = draft.event_type === 'tool_call' ? draft.links?.['approval'] : undefined
    if (approval !== undefined && entry.facts['approval'] === undefined) {
      return { refused: { code: 'approval_refused', message: `ledger: event ${draft.event_id} is on record at #${old.index}, as denied: it may not use the approval ${approval}`, next: 'ask for a new approval' } }
    }
    if (draft.outcome !== entry.outcome && ((entry.event_type === 'tool_call' && entry.outcome === 'denied') || (entry.event_type === 'approval_decision' && entry.outcome === REFUSED_OUTCOME))) return refusedBefore(entry)
    if (entry.event_type === 'key_rotation') return { index: old.index, entry_hash: toBase64(leafHash(old.entry)), checkpoint: '' } // its facts are the ledger's own
    const oldHash = toBase64(leafHash(old.entry))
    const facts: Record<string, FactValue> = { ...(draft.facts as Entry['facts']), ...this.#linked(draft, live) }
    for (const [name, value] of Object.entries(entry.facts)) if (LEDGER_FACTS.has(name)) facts[name] = value
    const brought = newPayloads(draft)
    await this.#scopes.open(brought, live, 'known') // not below: what a disk did is no other content
    let again: Uint8Array | undefined
    try {
      const payloads = this.#slotsOf(draft, live, entry.seq, brought.map((payload) => this.#again(draft.event_id, payload, live, entry)), entry)
      const step = draft.step_number ?? entry.step_number
      again = encodeEntry(entryOf(draft, facts, payloads, { ...entry, session_id: draft.session_id, step_number: step, outcome: draft.outcome }))
    } catch {
      // content that cannot even be placed as the first time is other content
    }
    if (again !== undefined && equal(again, old.entry)) return { index: old.index, entry_hash: oldHash, checkpoint: '' }
    return this.#reused(handed, `at #${old.index}`, oldHash, toBase64(again === undefined ? sha256(utf8(JSON.stringify(draft.facts))) : leafHash(again)))
  }

  async #reused({ draft, writer }: Handed, where: string, expected: string, got: string): Promise<Refused> {
    await this.#queueOwn(ledgerDraft('finding', this.#own, this.#now, { rule: 'event_id_reused', severity: 'high', events: [draft.event_id], expected, got }, { explanation: `writer ${writer} handed in event ${draft.event_id} again with other content` }))
    return { refused: { code: 'event_id_reused', message: `ledger: event ${draft.event_id} is on record ${where} with other content: expected hash ${expected}, got ${got}`, next: 'give each event an id of its own' } }
  }

  /** Queues a draft, preceded by what its place in stream and session calls for. */
  async #expect(handed: Handed, answer: number): Promise<void> {
    let { draft } = handed
    checkDraft(draft)
    if (handed.writer !== 'ledger' && LEDGER_TYPES.has(draft.event_type)) throw new MisuseError('ledger_only', `ledger: expected an event that a recorder may hand in, got ${draft.event_type}`, 'only the ledger itself writes it')
    const live = this.#lives.get(draft.session_id) ?? (await this.#open(draft.session_id))
    if (draft.stream !== undefined && draft.stream_seq !== undefined) {
      const expected = this.#streams.get(draft.stream) ?? live.state?.streams[draft.stream]?.next ?? 0
      // A session forgets its oldest streams after 256: what such a one had sent is not known here, and is no hole.
      const forgotten = live.state?.streams[draft.stream] === undefined && !this.#streams.has(draft.stream) && (live.state?.stream_total ?? 0) > Object.keys(live.state?.streams ?? {}).length
      if (draft.stream_seq > expected && !forgotten) await this.#queue(ledgerDraft('gap', draft.session_id, this.#now, { missing_stream: draft.stream, from: expected, to: draft.stream_seq - 1, cause: 'not_received' }), live)
      this.#streams.set(draft.stream, Math.max(expected, draft.stream_seq + 1))
      if (handed.stream !== undefined && !this.#streamRows.has(draft.stream)) this.#streamRows.set(draft.stream, { stream: draft.stream, session_id: draft.session_id, ...handed.stream })
    }
    if (draft.event_type === 'session_interrupted' && !(await this.#interrupts(draft, live))) {
      this.#answers[answer] = { refused: { code: 'not_open', message: `ledger: the stream is noted already, or session ${draft.session_id} is not open any more`, next: 'nothing is to be done: what it says is on record' } }
      return
    }
    const state = this.#states.get(draft.session_id) ?? live.state?.state ?? 'open'
    // what others say of a session that is laid down does not take it up
    const fromOutside = draft.stream === undefined && (draft.event_type === 'approval_decision' || draft.event_type === 'human_intervention')
    const resumes = fromOutside || draft.event_type === 'session_resume' || draft.event_type === 'finding' || draft.event_type === 'erasure' || draft.event_type === 'session_interrupted'
    if (state !== 'open' && !resumes) await this.#queue(ledgerDraft('session_resume', draft.session_id, this.#now, { reason: 'late_event' }), live)
    if (!resumes || draft.event_type === 'session_resume') this.#states.set(draft.session_id, stateAfter(draft.event_type))
    if (stateAfter(draft.event_type) === 'ended') this.#closed.add(draft.session_id)
    this.#fresh.set(key(handed), answer)
    if (hasSubjects(draft)) draft = await this.#scopes.give(draft, live)
    await this.#take(draft, handed.writer, live, answer)
    if (draft.event_type === 'session_start') this.#scopes.name(draft, live)
  }

  async #open(session_id: string): Promise<LiveSession> {
    const live = await this.#session(session_id)
    this.#lives.set(session_id, live)
    return live
  }

  async #take(draft: Draft, writer: string, live: LiveSession, answer?: number): Promise<void> {
    const payloads = newPayloads(draft)
    this.#pending.push({ draft, writer, live, payloads, ...(answer === undefined ? {} : { answer }) })
    if (payloads.length > 0) await this.#scopes.open(payloads, live)
  }

  /** Each stream is noted once, by whichever process comes first, and only while its session is open. */
  async #interrupts(draft: Draft, live: LiveSession): Promise<boolean> {
    const stream = String(draft.facts['interrupted_stream'])
    if (this.#gone.has(stream) || !(await this.#tx.streams()).some((row) => row.stream === stream)) return false
    this.#gone.add(stream)
    const state = this.#states.get(draft.session_id) ?? live.state?.state
    return state === 'open' || state === 'interrupted'
  }

  async #queueOwn(draft: Draft): Promise<void> {
    await this.#queue(draft, await this.#open(this.#own))
  }

  async #queue(draft: Draft, live: LiveSession): Promise<void> {
    checkDraft(draft)
    await this.#take(draft, 'ledger', live)
  }

  /** The entries of everything that is queued, in order: each follows its session, so the next one sees it. */
  async #write(placements: readonly Placement[]): Promise<Written> {
    const written: Written = { rows: [], hashes: [], places: [], touched: new Map() }
    for (const [i, pending] of this.#pending.entries()) {
      const { draft, writer, live, answer } = pending
      const index = this.#tip.head.size + i
      const refusal = draft.event_type === 'tool_call' || draft.event_type === 'approval_decision' ? await this.#refusal(pending) : undefined
      const facts: Record<string, FactValue> = { ...(draft.facts as Entry['facts']), ...this.#linked(draft, live) }
      if (refusal !== undefined) delete facts['approval']
      if (draft.event_type === 'key_rotation') Object.assign(facts, await this.#rotation(written.hashes))
      if (stateAfter(draft.event_type) === 'ended') Object.assign(facts, await this.#endFacts(live))
      const { commitments, places } = placements[i]!
      const seq = live.nextSeq
      const entry = entryOf(draft, facts, this.#slotsOf(draft, live, seq, commitments), {
        index, seq, writer, session_id: live.session_id, prev: live.state?.prev ?? firstPrev(this.#keyring.origin, live.session_id), recorded_at: this.#recordedAt,
        step_number: this.#step(draft, live), outcome: refusal === undefined ? draft.outcome : draft.event_type === 'tool_call' ? 'denied' : REFUSED_OUTCOME,
      })
      const bytes = encodeEntry(entry)
      const hash = leafHash(bytes)
      const entry_hash = toBase64(hash)
      written.rows.push({ index, entry: bytes })
      written.hashes.push(hash)
      this.followed.add(live.session_id)
      live.follow(entry, entry_hash)
      written.touched.set(live.session_id, live)
      for (const [ordinal, place] of places.entries()) {
        if (place !== undefined) written.places.push({ index, ordinal, segment: place.segment, frame: place.frame, position: place.position, frames: place.frames })
      }
      if (answer !== undefined) this.#answers[answer] = refusal ?? { index, entry_hash, checkpoint: '' }
    }
    return written
  }

  async #commit({ rows, hashes, places, touched }: Written, { segments, contents }: Sealed, options: AppendOptions): Promise<Tip> {
    const tx = this.#tx
    let tip = this.#tip
    if (rows.length > 0) {
      const edge = tip.edge.clone()
      const tiles = edge.append(hashes)
      const size = tip.head.size + rows.length
      const checkpoint = await this.#keyring.signNote(formatTreeHead({ origin: this.#keyring.origin, size, root: edge.root() }), this.#next)
      const head = { size, checkpoint }
      await tx.insertScopes(this.#scopes.rows)
      await tx.insertSegments(segments)
      await tx.insertEntries(rows)
      await tx.insertPlaces(places)
      await tx.insertContents(contents)
      if (this.#scopes.subjects.length > 0) await tx.insertSubjects(this.#scopes.subjects)
      await tx.insertTiles(tiles.map(({ level, index, bytes }) => ({ level, n: index, hashes: bytes })))
      await tx.putSessions([...touched.values()].map((live) => ({ session_id: live.session_id, row: encodeSession(live.state!) })))
      if (this.#streamRows.size > 0) await tx.putStreams([...this.#streamRows.values()])
      for (const id of this.#closed) {
        const { state, streams } = touched.get(id)!.state!
        if (state === 'ended') await tx.deleteStreams(Object.keys(streams)) // unless an event came after the end
      }
      await tx.replaceHead(head)
      tip = { head, edge, recordedAt: this.#now }
    }
    if (this.#gone.size > 0) await tx.deleteStreams([...this.#gone])
    if (options.spool !== undefined) await tx.putSpool({ spool: options.spool.id, offset: options.spool.offset })
    for (const [i, answer] of this.#answers.entries()) if (answer !== undefined && 'index' in answer) this.#answers[i] = { ...answer, checkpoint: tip.head.checkpoint }
    return tip
  }

  /** What the key in force signs over to the next one: everything before the entry, what is before it in this batch included. */
  async #rotation(hashes: readonly Hash[]): Promise<Facts<'key_rotation'>> {
    if (this.#makeNext === undefined) throw new MisuseError('no_next_key', 'ledger: expected a rotation to say which key comes next', 'rotate with Ledger.rotate')
    const { vkey } = (this.#next = await this.#makeNext())
    const edge = this.#tip.edge.clone()
    edge.append(hashes)
    const root = edge.root()
    const signature = await this.#keyring.sign(rotationStatement({ origin: this.#keyring.origin, size: edge.size, root, vkey }))
    return { vkey, from_size: edge.size, root: toBase64(root), signature: toBase64(signature) }
  }

  /** The author's step number, else the call's for a result, else one more for each model and tool call. */
  #step(draft: Draft, live: LiveSession): number {
    if (draft.step_number !== undefined) return draft.step_number
    const parent = draft.parent_event_id === undefined || !draft.event_type.endsWith('_result') ? undefined : live.known(draft.parent_event_id)
    return parent?.step_number ?? stepOf(live.state, draft)
  }

  #linked(draft: Draft, live: LiveSession): Record<string, number> {
    const out: Record<string, number> = {}
    if (draft.links === undefined) return out
    for (const [fact, event_id] of Object.entries(draft.links)) {
      const known = live.known(event_id)
      if (known !== undefined) out[fact] = known.seq
    }
    return out
  }

  /** Why an act or a decision does not count: it is on record all the same. */
  async #refusal({ draft, writer, live }: Pending): Promise<Refused | undefined> {
    if (draft.event_type === 'tool_call') return callRefusal(draft, live, this.#now)
    if (draft.event_type !== 'approval_decision' || writer === 'ledger') return undefined
    const persons = personsOf(draft)
    const users = async (): Promise<ReadonlySet<string>> => (await this.#scopes.personsOf(live)).get(0) ?? new Set()
    const refusal = await decisionRefusal({ draft, writer, persons }, live, { view: this.#tx, keyring: this.#keyring, now: this.#now, users })
    if (refusal === undefined) live.deciders.set(live.nextSeq, keyedHashes(this.#keyring, persons))
    return refusal
  }

  async #endFacts(live: LiveSession): Promise<Record<string, FactValue>> {
    await this.#scopes.read(live) // an end has no content of its own for which they would have been read
    const streams = Object.entries(live.state?.streams ?? {}).map(([stream, { next }]) => [stream, next] as const)
    const scopes = [...live.scopes.values()].filter((scope) => scope !== 'erased').map((scope) => scope.id)
    const stored = scopes.length === 0 ? [] : await this.#tx.segmentIds(scopes)
    for (const { segment } of stored) {
      if (live.segmentHashes.has(segment)) continue
      const row = await this.#tx.segment(segment)
      if (row !== undefined) live.segmentHashes.set(segment, sha256(row.bytes))
    }
    const ids = [...live.segmentHashes.keys()].sort((a, b) => a - b)
    return {
      ...(streams.length === 0 ? {} : { streams: Object.fromEntries(streams) }),
      ...((live.state?.stream_total ?? 0) > streams.length ? { stream_total: live.state!.stream_total } : {}),
      ...(ids.length === 0 ? {} : { segment_count: ids.length, segment_root: toBase64(treeRoot(ids.map((id) => leafHash(live.segmentHashes.get(id)!)))) }),
    }
  }

  /** The payload slots of an entry, whose own refs have these commitments. With `old` it is a stored entry that is made again, to compare. */
  #slotsOf(draft: Draft, live: LiveSession, seq: number, commitments: readonly string[], old?: Entry): Record<string, Slot> {
    const out: Record<string, Slot> = {}
    let ordinal = 0
    for (const name of Object.keys(draft.payloads).sort()) {
      const slot = draft.payloads[name]!
      if (isSame(slot)) out[name] = { same: this.#seqOf(slot.same, live) }
      else if (!isList(slot)) out[name] = refOf(commitments[ordinal++]!, slot)
      else {
        const base = slot.base === undefined ? undefined : this.#seqOf(slot.base, live)
        const keep = base === undefined ? 0 : Math.min(slot.keep ?? 0, live.listCount(base, name) ?? 0)
        const add = slot.add.map((payload) => refOf(commitments[ordinal++]!, payload))
        const count = keep + add.length
        const change = { add, ...(base === undefined ? {} : { base, keep }) }
        const root = toBase64(old === undefined ? live.listRoot(seq, name, change) : live.listRootAgain(seq, name, change))
        out[name] = base === undefined ? { add, count, root } : { add, base, count, keep, root }
      }
    }
    return out
  }

  #again(event_id: string, payload: NewPayload, live: LiveSession, old: Entry): string {
    const scope = live.scopes.get(payload.payload.k ?? 0)
    if (scope === undefined) throw new TypeError('ledger: another scope than the first time')
    if (scope !== 'erased') return toBase64(commitmentTo(event_id, payload, scope))
    // the content can no longer be compared: take the stored commitment
    const stored = old.payloads[payload.slot]
    const ref = stored === undefined || 'same' in stored ? undefined : isListChange(stored) ? stored.add[payload.position] : stored
    if (ref === undefined) throw new TypeError('ledger: other payloads than the first time')
    return toBase64(fromBase64(ref.c))
  }

  #seqOf(event_id: string, live: LiveSession): number {
    const known = live.known(event_id)
    if (known === undefined) throw new StoreError('reference_missing', `ledger: event ${event_id}, which a later one refers to, is not in session ${live.session_id}`, 'hand in a stream in order')
    return known.seq
  }
}

/** The answer to what was refused when it came first. */
export function refusedBefore({ event_id, event_type, index }: Pick<Entry, 'event_id' | 'event_type' | 'index'>): Refused {
  const what = event_type === 'tool_call' ? ['denied', 'call', 'as denied', 'ask for a new approval'] : ['decision_refused', 'decision', 'as one that does not count', 'counterfoil approvals says what became of the request']
  return { refused: { code: what[0]!, message: `ledger: the ${what[1]!} ${event_id} is on record at #${index} ${what[2]!}`, next: what[3]! } }
}

/** What the ledger gives an entry. */
interface Given { readonly index: number; readonly session_id: string; readonly seq: number; readonly prev: string; readonly writer: string; readonly recorded_at: string; readonly step_number: number | undefined; readonly outcome: Entry['outcome'] | undefined }

/** The entry, with its members in canonical order: then writing it costs half. */
function entryOf(draft: Draft, facts: Entry['facts'], payloads: Entry['payloads'], given: Given): Entry {
  const { event_id, event_type, parent_event_id, stream, stream_seq, timestamp, capture } = draft
  const { index, session_id, seq, prev, writer, recorded_at, step_number, outcome } = given
  return {
    capture, event_id, event_type, facts: inNameOrder(facts), index,
    ...(outcome === undefined ? {} : { outcome }), ...(parent_event_id === undefined ? {} : { parent_event_id }),
    payloads, prev, recorded_at, seq, session_id,
    ...(step_number === undefined ? {} : { step_number }), ...(stream === undefined ? {} : { stream }), ...(stream_seq === undefined ? {} : { stream_seq }),
    timestamp, v: 1, writer,
  }
}

function inNameOrder(facts: Entry['facts']): Entry['facts'] {
  return Object.fromEntries(Object.keys(facts).sort().map((name) => [name, facts[name]!]))
}

function refOf(c: string, { m, k, masked }: DraftPayload): Ref {
  return { c, ...(k === undefined || k === 0 ? {} : { k }), m, ...(masked === undefined || masked.length === 0 ? {} : { masked }) }
}

/** Whether a draft handed in twice says the same both times. */
function isSameDraft({ draft: first }: Handed, { draft, stamped }: Handed): boolean {
  return draftHash(first) === draftHash(stamped === true ? { ...draft, timestamp: first.timestamp } : draft)
}

function draftHash(draft: Draft): string {
  return toBase64(sha256(encodeDraft(draft)))
}

function stateAfter(event_type: string): 'open' | 'ended' | 'suspended' {
  return event_type === 'session_end' || event_type === 'session_timeout' ? 'ended' : event_type === 'session_suspend' ? 'suspended' : 'open'
}

function key({ draft, writer }: Handed): string {
  return `${writer}/${draft.event_id}`
}
