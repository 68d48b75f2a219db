// One append: drafts in, entries under a signed checkpoint out, in one transaction (DESIGN §6).
//
//   head → is the cached edge still the log's? → duplicates → gaps, resumes → commitments → segments → entries, leaf hashes, tiles
//   → checkpoint, signed inside the transaction → commit and fsync → acknowledge
//
// Whoever calls keeps to 1,000 events and 8 MiB a batch, and after any error from `append` opens the store anew (poisoning): an
// append that failed may have happened.

import { equal, fromBase64, fromHex, toBase64, toHex, utf8 } from '../base/bytes.ts'
import { formatTime, type Clock } from '../base/clock.ts'
import { MisuseError, StoreError, VerifyError } from '../base/errors.ts'
import { encodeDraft, isList, isSame, type Draft, type DraftPayload } from '../event/draft.ts'
import { isListChange, type Entry, type FactValue, type Ref, type Slot } from '../event/entry.ts'
import { checkDraft, encodeEntry, parseEntry } from '../event/parse.ts'
import { personsIn } from '../event/person.ts'
import { LEDGER_TYPES, type Facts } from '../event/vocabulary.ts'
import { decodeSession, encodeSession, firstPrev, stepOf } from '../event/session.ts'
import { leafHash, type Hash } from '../log/hash.ts'
import { formatTreeHead, openCheckpoint } from '../log/checkpoint.ts'
import { ed25519Verifier } from '../log/note.ts'
import { rotationStatement } from '../log/rotation.ts'
import { edgeTiles, TreeEdge, treeRoot } from '../log/tree.ts'
import type { ContentKey, ContentRow, EntryRow, Head, PlaceRow, ScopeRow, SegmentRow, Store, StoreTx, StoreView, StreamRow, SubjectRow } from '../store/contract.ts'
import { commit, digestOf, saltOf } from '../vault/commitment.ts'
import type { Keyring, NextKey } from '../vault/keyring.ts'
import { contentKeyOf, indexKeyOf, newScope, SEALED, saltKeyOf, unwrapSecret, wrapSecret } from '../vault/scope.ts'
import { sealSegment } from '../vault/segment.ts'
import { sha256 } from '#crypto'
import { ledgerDraft } from './event.ts'
import { LiveSession, type OpenScope } from './live-session.ts'
import { followLog } from './restored.ts'

/** A draft on its way in. `writer` is who handed it in; `stream` says which spool feeds the draft's stream. */
export interface Handed { readonly draft: Draft; readonly writer: string; readonly stream?: { readonly spool: string; readonly owner: string } }

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
/** The most scopes of persons in one session. Whoever is named beyond it shares the last one, and it is erased with the first of them. */
export const MAX_PERSON_SCOPES = 1_000
/** Sessions kept in memory. */
const SESSIONS_KEPT = 512

interface Tip { readonly head: Head; readonly edge: TreeEdge; readonly recordedAt: number }

export class Appender {
  readonly #store: Store
  readonly #keyring: Keyring
  readonly #clock: Clock
  readonly #sessions = new Map<string, LiveSession>()
  /** The ledger's own session: the one of `log_start`. */
  #own: string
  #tip: Tip | undefined
  /** Sessions whose cache may be older than the store. */
  #stale = new Set<string>()

  constructor(store: Store, keyring: Keyring, clock: Clock, ownSession: string) {
    this.#store = store
    this.#keyring = keyring
    this.#clock = clock
    this.#own = ownSession
  }

  get ownSession(): string {
    return this.#own
  }

  get head(): Head | undefined {
    return this.#tip?.head
  }

  /** Appends `batch` in order; one answer for each. Rejects with a StoreError when it is not known to have happened, VerifyError when the stored log is not the signed one. */
  async append(batch: readonly Handed[], options: AppendOptions = {}): Promise<(Placed | Refused)[]> {
    try {
      const done = await this.#store.append(async (tx) => {
        await this.#refresh(tx)
        return new Batch(tx, this.#keyring, this.#clock, this.#own, this.#tip!, (id) => this.#live(tx, id)).run(batch, options)
      })
      this.#tip = done.tip
      if (options.next !== undefined) this.#keyring.follow(done.tip.head.checkpoint)
      for (const id of this.#sessions.keys()) {
        if (this.#sessions.size <= SESSIONS_KEPT) break
        if (id !== this.#own) this.#sessions.delete(id)
      }
      return done.answers
    } catch (error) {
      this.forget()
      throw error
    }
  }

  /** Drops everything that was read or guessed; the next append reads it again. */
  forget(): void {
    this.#tip = undefined
    this.#sessions.clear()
    this.#stale.clear()
  }

  /** The first entry of a new log. Its head must not exist yet. */
  async begin(start: Draft): Promise<Placed> {
    this.#own = start.session_id
    const done = await this.#store.append(async (tx) => {
      if ((await tx.head()) !== undefined) return undefined
      const tip: Tip = { head: { size: 0, checkpoint: '' }, edge: new TreeEdge(), recordedAt: 0 }
      return new Batch(tx, this.#keyring, this.#clock, this.#own, tip, (id) => this.#live(tx, id)).run([{ draft: start, writer: 'ledger' }], {})
    })
    if (done === undefined) throw new StoreError('log_exists', `ledger: another process began a log in ${this.#store.name}`, 'open it again', { retry: true })
    this.#tip = done.tip
    return done.answers[0] as Placed
  }

  async #refresh(tx: StoreTx): Promise<void> {
    const head = await tx.head()
    if (head === undefined) throw new StoreError('no_log', `ledger: ${this.#store.name} holds no log`, 'name another path, or begin one with openTrail')
    if (this.#tip !== undefined && this.#tip.head.checkpoint === head.checkpoint) return
    followLog(this.#keyring, head.checkpoint) // another file may have been put in the place of this one
    this.#tip = await readTip(tx, head, this.#keyring, this.#tip)
    for (const id of this.#sessions.keys()) this.#stale.add(id)
  }

  async #live(tx: StoreTx, session_id: string): Promise<LiveSession> {
    let live = this.#sessions.get(session_id)
    if (live !== undefined && !this.#stale.has(session_id)) return live
    live ??= new LiveSession(session_id)
    this.#stale.delete(session_id)
    this.#sessions.set(session_id, live)
    const stored = (await tx.sessions([session_id]))[0]
    const next = stored === undefined ? 0 : decodeSession(stored.row).next_seq
    live.scopes.clear()
    live.persons = undefined
    while (live.nextSeq < next) {
      const page = await tx.sessionEntries(session_id, live.nextSeq, 1_000)
      if (page.length === 0) break
      for (const { entry } of page) live.follow(parseEntry(entry).entry, toBase64(leafHash(entry)))
    }
    return live
  }
}

/** The tip of the stored log, checked: the checkpoint is signed by our key and its root is the root of what is stored. */
export async function readTip(view: StoreView, head: Head, keyring: Pick<Keyring, 'origin' | 'vkey'>, before?: Tip): Promise<Tip> {
  const checkpoint = openCheckpoint(head.checkpoint, [ed25519Verifier(keyring.vkey)], { origin: keyring.origin })
  if (checkpoint.size !== head.size) throw bad('head_mismatch', `the head row says size ${head.size}, its checkpoint ${checkpoint.size}`)
  const edge = before !== undefined && before.head.size <= head.size ? before.edge.clone() : await restoreEdge(view, head.size)
  for (let from = edge.size; from < head.size; ) {
    const rows = await view.entries(from, Math.min(from + 1_000, head.size))
    if (rows.length === 0) throw bad('entries_missing', `entry ${from} of ${head.size} is not there`, from)
    edge.append(rows.map((row) => leafHash(row.entry)))
    from += rows.length
  }
  if (!equal(edge.root(), checkpoint.root)) throw bad('root_mismatch', `the stored log of ${head.size} entries has another root than its signed checkpoint`)
  const last = (await view.entries(head.size - 1, head.size))[0]
  if (last === undefined) throw bad('entries_missing', `the last entry, ${head.size - 1}, is not there`, head.size - 1)
  return { head, edge, recordedAt: Date.parse(parseEntry(last.entry).entry.recorded_at) }
}

async function restoreEdge(view: StoreView, size: number): Promise<TreeEdge> {
  const tiles = new Map<string, Uint8Array>()
  for (const { level, index } of edgeTiles(size)) {
    const bytes = await view.tile(level, index)
    if (bytes === undefined) throw bad('tile_missing', `tile ${level}/${index} is not there`)
    tiles.set(`${level}/${index}`, bytes)
  }
  const from = size - (size % 256)
  const rows = from === size ? [] : await view.entries(from, size)
  if (rows.length !== size - from) throw bad('entries_missing', `${size - from - rows.length} of the newest ${size - from} entries are not there`)
  return TreeEdge.restore({ size, tile: (level, index) => tiles.get(`${level}/${index}`)!, leafHashes: rows.map((row) => leafHash(row.entry)) })
}

function bad(code: string, message: string, index?: number): VerifyError {
  return new VerifyError(code, `ledger: ${message}`, 'run counterfoil verify', index === undefined ? {} : { first_bad_index: index })
}

interface Pending { readonly handed: Handed; readonly live: LiveSession; readonly answer?: number }
/** Content that this batch seals: `row` learns its place when the segment is made. */
interface NewContent { readonly bytes: Uint8Array; readonly row: Writable<ContentRow> }
type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** One batch inside one transaction. Nothing of it outlives a failure. */
class Batch {
  readonly #tx: StoreTx
  readonly #keyring: Keyring
  readonly #now: number
  readonly #own: string
  readonly #tip: Tip
  readonly #session: (id: string) => Promise<LiveSession>
  readonly #answers: (Placed | Refused | undefined)[] = []
  readonly #pending: Pending[] = []
  readonly #streams = new Map<string, number>()
  readonly #states = new Map<string, string>()
  readonly #fresh = new Map<string, number>()
  readonly #scopeRows: ScopeRow[] = []
  readonly #subjectRows: SubjectRow[] = []
  readonly #scopesRead = new Set<string>()
  readonly #streamRows = new Map<string, StreamRow>()
  readonly #closed = new Set<string>()
  /** Streams whose owner is gone: their rows go too. */
  readonly #gone = new Set<string>()
  readonly #contents = new Map<string, ContentRow>()
  readonly #contentRows: ContentRow[] = []
  readonly #sealing = new Map<string, { scope: OpenScope; session: LiveSession; groups: NewContent[][] }>()
  #makeNext: AppendOptions['next']
  #next: NextKey | undefined

  constructor(tx: StoreTx, keyring: Keyring, clock: Clock, own: string, tip: Tip, session: (id: string) => Promise<LiveSession>) {
    this.#tx = tx
    this.#keyring = keyring
    this.#own = own
    this.#tip = tip
    this.#session = session
    const now = clock()
    this.#now = now < tip.recordedAt && tip.recordedAt - now < CLOCK_SLACK_MS ? tip.recordedAt : now
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
      if (first !== undefined && isSameDraft(batch[first]!.draft, handed.draft)) later.push({ at, answer: first })
      else if (first !== undefined) this.#answers[at] = await this.#reused(handed, 'earlier in the same batch', draftHash(batch[first]!.draft), draftHash(handed.draft))
      else if (old === undefined) await this.#expect(handed, at)
      else this.#answers[at] = await this.#compare(handed, old)
    }
    await this.#readContents()
    const slots: Slots[] = []
    for (const pending of this.#pending) slots.push(this.#commitTo(pending))
    const sealed = await this.#sealSegments()
    const done = await this.#write(slots, sealed, options)
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
    const live = await this.#session(entry.session_id)
    const draft = inScopes(handed.draft, live)
    const approval = draft.event_type === 'tool_call' ? draft.links?.['approval'] : undefined
    if (approval !== undefined && entry.facts['approval'] === undefined) {
      return { refused: { code: 'approval_refused', message: `ledger: event ${draft.event_id} is on record at #${old.index}, as denied: it may not use the approval ${approval}`, next: 'ask for a new approval' } }
    }
    if (entry.event_type === 'key_rotation') return { index: old.index, entry_hash: toBase64(leafHash(old.entry)), checkpoint: '' } // its facts are the ledger's own
    const oldHash = toBase64(leafHash(old.entry))
    const facts: Record<string, FactValue> = { ...(draft.facts as Entry['facts']), ...this.#linked(draft, live) }
    for (const [name, value] of Object.entries(entry.facts)) if (LEDGER_FACTS.has(name)) facts[name] = value
    let again: Uint8Array | undefined
    try {
      const payloads = await this.#slotsOf(draft, live, entry.seq, undefined, entry)
      const { outcome: _, step_number, ...given } = entry
      const step = draft.step_number ?? step_number
      again = encodeEntry(envelope(draft, facts, payloads, { ...given, session_id: draft.session_id, ...(step === undefined ? {} : { step_number: step }) }))
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
    const live = await this.#session(draft.session_id)
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
    const resumes = draft.event_type === 'session_resume' || draft.event_type === 'finding' || draft.event_type === 'erasure' || draft.event_type === 'session_interrupted'
    if (state !== 'open' && !resumes) await this.#queue(ledgerDraft('session_resume', draft.session_id, this.#now, { reason: 'late_event' }), live)
    if (!resumes || draft.event_type === 'session_resume') this.#states.set(draft.session_id, stateAfter(draft.event_type))
    if (stateAfter(draft.event_type) === 'ended') this.#closed.add(draft.session_id)
    this.#fresh.set(key(handed), answer)
    draft = await this.#inScopes(draft, live)
    this.#pending.push({ handed: { ...handed, draft }, live, answer })
    await this.#openScopes(draft, live)
    if (draft.event_type === 'session_start') this.#subject(draft, live)
  }

  /** The draft with its content in the scopes of those whom it is said to be of; whoever is new in the session gets one. */
  async #inScopes(draft: Draft, live: LiveSession): Promise<Draft> {
    let some = false
    for (const slot of Object.values(draft.payloads)) {
      for (const { of } of isSame(slot) ? [] : isList(slot) ? slot.add : [slot]) {
        if (of === undefined) continue
        some = true
        if (!live.subjects.has(of)) live.subjects.set(of, await this.#scopeOf(draft.event_type === 'subject' && draft.facts['subject'] === of ? personsOf(draft) : [], live))
      }
    }
    return some ? inScopes(draft, live) : draft
  }

  /** The scope of content that is of all these persons, and of nobody else, in the session. */
  async #scopeOf(names: readonly string[], live: LiveSession): Promise<number> {
    if (!this.#scopesRead.has(live.session_id)) await this.#readScopes(live)
    const isOpen = (k: number): boolean => typeof live.scopes.get(k) === 'object'
    if (live.seenScopes.has(0) && !isOpen(0)) return 0 // the session itself is erased: nothing of it is kept any more
    const persons = (live.persons ??= await this.#readPersons(live))
    const wanted = new Map(names.map((name) => this.#keyring.fingerprint('subject', utf8(name))).map((hash) => [toHex(hash), hash]))
    if (wanted.size > 0) for (const [k, held] of persons) if (isOpen(k) && held.size === wanted.size && [...wanted.keys()].every((hash) => held.has(hash))) return k
    let k = Math.max(0, ...live.seenScopes, ...live.scopes.keys()) + 1
    if (k > MAX_PERSON_SCOPES && isOpen(k - 1)) k--
    let scope = live.scopes.get(k)
    if (scope === undefined || scope === 'erased') live.scopes.set(k, (scope = this.#makeScope(k, live)))
    const held = persons.get(k) ?? new Set()
    for (const [hex, subject] of wanted) if (!held.has(hex)) this.#subjectRows.push({ subject, scope: scope.id })
    persons.set(k, new Set([...held, ...wanted.keys()]))
    return k
  }

  async #readPersons(live: LiveSession): Promise<Map<number, Set<string>>> {
    const persons = new Map<number, Set<string>>()
    const numbers = new Map([...live.scopes.values()].flatMap((scope) => (scope === 'erased' ? [] : [[toHex(scope.id), scope.k] as const])))
    const rows = numbers.size === 0 ? [] : await this.#tx.subjects([...numbers.keys()].map(fromHex))
    for (const { subject, scope } of [...rows, ...this.#subjectRows]) {
      const k = numbers.get(toHex(scope))
      if (k !== undefined) persons.set(k, (persons.get(k) ?? new Set()).add(toHex(subject)))
    }
    return persons
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
    await this.#queue(draft, await this.#session(this.#own))
  }

  async #queue(draft: Draft, live: LiveSession): Promise<void> {
    checkDraft(draft)
    this.#pending.push({ handed: { draft, writer: 'ledger' }, live })
    await this.#openScopes(draft, live)
  }

  /** Has every scope that `draft` writes into at hand: read, made, or known to be erased. */
  async #openScopes(draft: Draft, live: LiveSession, which: 'all' | 'known' = 'all'): Promise<void> {
    const wanted = [...newPayloads(draft)].map(({ payload }) => payload.k ?? 0)
    if (wanted.length === 0) return
    if (!this.#scopesRead.has(live.session_id)) await this.#readScopes(live)
    for (const k of wanted) {
      if (live.scopes.has(k) || (which === 'known' && !live.seenScopes.has(k))) continue
      live.scopes.set(k, live.seenScopes.has(k) ? 'erased' : this.#makeScope(k, live))
    }
  }

  /** Once a batch, also when the secrets are at hand: another process may have erased them since, and that does not move the head. */
  async #readScopes(live: LiveSession): Promise<void> {
    this.#scopesRead.add(live.session_id)
    const rows = new Map((await this.#tx.scopes([live.session_id])).map((row) => [row.k, row]))
    for (const k of live.scopes.keys()) if (!rows.has(k)) live.scopes.set(k, 'erased')
    for (const [k, row] of rows) if (typeof live.scopes.get(k) !== 'object') live.scopes.set(k, openScope(row, this.#keyring))
  }

  #makeScope(k: number, live: LiveSession): OpenScope {
    const scope = newScope()
    const kek = this.#keyring.currentKek()
    const row = { scope: scope.id, session_id: live.session_id, k, generation: kek.generation, wrapped: wrapSecret(scope, kek, this.#keyring.origin) }
    this.#scopeRows.push(row)
    return openScope(row, this.#keyring)
  }

  /** Looks up in one read which of the batch's contents are stored already. */
  async #readContents(): Promise<void> {
    const keys: ContentKey[] = []
    for (const { handed, live } of this.#pending) {
      for (const { payload } of newPayloads(handed.draft)) {
        const scope = live.scopes.get(payload.k ?? 0)
        if (scope !== undefined && scope !== 'erased') keys.push({ scope: scope.id, key: contentKeyOf(scope.indexKey, digestOf(bytesOf(payload))) })
      }
    }
    for (const row of await this.#tx.contents(keys)) this.#contents.set(toHex(row.key), row)
  }

  /** The commitments of one event's new payloads; content that is not stored yet is set aside for its scope's segment. */
  #commitTo({ handed: { draft }, live }: Pending): Slots {
    const slots: Slots = { refs: new Map(), places: [] }
    const groups = new Map<OpenScope, NewContent[]>()
    for (const { slot, position, payload } of newPayloads(draft)) {
      const scope = live.scopes.get(payload.k ?? 0)!
      const bytes = bytesOf(payload)
      const digest = digestOf(bytes)
      if (scope === 'erased') {
        // what comes late for an erased scope is on record without its content, and nobody keeps the salt
        slots.refs.set(`${slot}/${position}`, commit(crypto.getRandomValues(new Uint8Array(32)), digest))
        slots.places.push(undefined)
        continue
      }
      slots.refs.set(`${slot}/${position}`, commit(saltOf(scope.saltKey, { event_id: draft.event_id, slot, position, digest }), digest))
      const key = contentKeyOf(scope.indexKey, digest)
      const hex = toHex(key)
      let row = this.#contents.get(hex)
      if (row === undefined) {
        const fresh = { key, scope: scope.id, segment: 0, frame: 0, position: 0, frames: 1 }
        const group = groups.get(scope)
        if (group === undefined) groups.set(scope, [{ bytes, row: fresh }])
        else group.push({ bytes, row: fresh })
        this.#contents.set(hex, (row = fresh))
        this.#contentRows.push(fresh)
      }
      slots.places.push(row)
    }
    for (const [scope, group] of groups) {
      const name = toHex(scope.id)
      const sealing = this.#sealing.get(name)
      if (sealing === undefined) this.#sealing.set(name, { scope, session: live, groups: [group] })
      else sealing.groups.push(group)
    }
    return slots
  }

  /** One segment for each scope that this batch has new content for. */
  async #sealSegments(): Promise<SegmentRow[]> {
    if (this.#sealing.size === 0) return []
    let next = await this.#tx.nextSegment()
    return [...this.#sealing.values()].map(({ scope, session, groups }) => {
      const id = next++
      const { segment, places } = sealSegment({ origin: this.#keyring.origin, scope: scope.id, secret: scope.secret, groups: groups.map((group) => group.map(({ bytes }) => bytes)) })
      for (const [g, group] of groups.entries()) for (const [i, { row }] of group.entries()) Object.assign(row, { segment: id, ...places[g]![i]! })
      session.segmentHashes.set(id, sha256(segment))
      return { segment: id, scope: scope.id, bytes: segment }
    })
  }

  async #write(slots: readonly Slots[], segments: readonly SegmentRow[], options: AppendOptions): Promise<Tip> {
    const rows: EntryRow[] = []
    const places: PlaceRow[] = []
    const touched = new Map<string, LiveSession>()
    const base = this.#tip.head.size
    for (const [i, pending] of this.#pending.entries()) {
      const { handed: { draft, writer }, live, answer } = pending
      const index = base + rows.length
      const refusal = this.#refusal(draft, live)
      const facts: Record<string, FactValue> = { ...(draft.facts as Entry['facts']), ...this.#linked(draft, live) }
      if (refusal !== undefined) delete facts['approval']
      if (draft.event_type === 'key_rotation') Object.assign(facts, await this.#rotation(rows))
      if (stateAfter(draft.event_type) === 'ended') Object.assign(facts, await this.#endFacts(live))
      const given = {
        v: 1 as const, index, session_id: live.session_id, writer, seq: live.nextSeq, prev: live.state?.prev ?? firstPrev(this.#keyring.origin, live.session_id),
        recorded_at: formatTime(this.#now), ...this.#step(draft, live), ...(refusal === undefined ? {} : { outcome: 'denied' as const }),
      }
      const payloads = await this.#slotsOf(draft, live, given.seq, slots[i])
      const bytes = encodeEntry(envelope(draft, facts, payloads, given))
      const hash = toBase64(leafHash(bytes))
      rows.push({ index, entry: bytes })
      live.follow(envelope(draft, facts, payloads, given), hash)
      touched.set(live.session_id, live)
      for (const [ordinal, place] of slots[i]!.places.entries()) {
        if (place !== undefined) places.push({ index, ordinal, segment: place.segment, frame: place.frame, position: place.position, frames: place.frames })
      }
      if (answer !== undefined) this.#answers[answer] = refusal ?? { index, entry_hash: hash, checkpoint: '' }
    }
    return this.#commit(rows, places, segments, touched, options)
  }

  async #commit(rows: EntryRow[], places: PlaceRow[], segments: readonly SegmentRow[], touched: Map<string, LiveSession>, options: AppendOptions): Promise<Tip> {
    const tx = this.#tx
    let tip = this.#tip
    if (rows.length > 0) {
      const edge = tip.edge.clone()
      const tiles = edge.append(rows.map((row) => leafHash(row.entry)))
      const size = tip.head.size + rows.length
      const checkpoint = await this.#keyring.signNote(formatTreeHead({ origin: this.#keyring.origin, size, root: edge.root() }), this.#next)
      const head = { size, checkpoint }
      await tx.insertScopes(this.#scopeRows)
      await tx.insertSegments(segments)
      await tx.insertEntries(rows)
      await tx.insertPlaces(places)
      await tx.insertContents(this.#contentRows)
      if (this.#subjectRows.length > 0) await tx.insertSubjects(this.#subjectRows)
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

  /** What the key in force signs over to the next one: everything before the entry, `rows` of this batch included. */
  async #rotation(rows: readonly EntryRow[]): Promise<Facts<'key_rotation'>> {
    if (this.#makeNext === undefined) throw new MisuseError('no_next_key', 'ledger: expected a rotation to say which key comes next', 'rotate with Ledger.rotate')
    const { vkey } = (this.#next = await this.#makeNext())
    const edge = this.#tip.edge.clone()
    edge.append(rows.map((row) => leafHash(row.entry)))
    const root = edge.root()
    const signature = await this.#keyring.sign(rotationStatement({ origin: this.#keyring.origin, size: edge.size, root, vkey }))
    return { vkey, from_size: edge.size, root: toBase64(root), signature: toBase64(signature) }
  }

  /** Whose content the session's own scope holds, by a keyed hash, so that a person can be found for erasure. */
  #subject(draft: Draft, live: LiveSession): void {
    const identity = draft.payloads['identity']
    const k = identity === undefined || !('m' in identity) ? 0 : (identity.k ?? 0)
    const scope = live.scopes.get(k)
    if (scope === undefined || scope === 'erased') return
    for (const name of personsOf(draft)) {
      const subject = this.#keyring.fingerprint('subject', utf8(name))
      this.#subjectRows.push({ subject, scope: scope.id })
      live.persons?.set(k, (live.persons.get(k) ?? new Set()).add(toHex(subject)))
    }
  }

  /** The author's step number, else the call's for a result, else one more for each model and tool call. */
  #step(draft: Draft, live: LiveSession): { step_number: number } {
    if (draft.step_number !== undefined) return { step_number: draft.step_number }
    const parent = draft.parent_event_id === undefined ? undefined : live.known(draft.parent_event_id)
    if (draft.event_type.endsWith('_result') && parent?.step_number !== undefined) return { step_number: parent.step_number }
    return { step_number: stepOf(live.state, draft) }
  }

  #linked(draft: Draft, live: LiveSession): Record<string, number> {
    const out: Record<string, number> = {}
    for (const [fact, event_id] of Object.entries(draft.links ?? {})) {
      const known = live.known(event_id)
      if (known !== undefined) out[fact] = known.seq
    }
    return out
  }

  /** Why a tool call may not use the approval that it names: it is put on record as denied, without it. */
  #refusal(draft: Draft, live: LiveSession): Refused | undefined {
    const link = draft.event_type === 'tool_call' ? draft.links?.['approval'] : undefined
    if (link === undefined) return undefined
    const no = (code: string, why: string): Refused => ({ refused: { code, message: `ledger: ${why}`, next: 'ask for a new approval' } })
    const decision = live.known(link)
    if (decision?.event_type !== 'approval_decision' || decision.facts['decision'] !== 'approved') return no('approval_missing', `event ${link} is no approval on record in this session`)
    if (live.usedApprovals.has(decision.seq)) return no('approval_used', `the approval at seq ${decision.seq} was used already`)
    const request = live.requestOf(String(decision.facts['request']))
    const input = draft.payloads['tool_input']
    const asked = request === undefined ? undefined : live.bySeq(request)
    const same = input !== undefined && isSame(input) ? live.known(input.same)?.seq : undefined
    if (asked === undefined || same !== request) return no('approval_other_input', 'the approval is for another input than the one of this call')
    if (asked.facts['tool_name'] !== draft.facts['tool_name']) return no('approval_other_tool', `the approval is for ${String(asked.facts['tool_name'])}, not ${String(draft.facts['tool_name'])}`)
    const expires = asked.facts['expires_at']
    if (typeof expires === 'string' && Date.parse(expires) < this.#now) return no('approval_expired', `the approval expired at ${expires}`)
    return undefined
  }

  async #endFacts(live: LiveSession): Promise<Record<string, FactValue>> {
    if (!this.#scopesRead.has(live.session_id)) await this.#readScopes(live) // an end has no content of its own for which they would have been read
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

  /** The payload slots of an entry. With `old` the commitments are made again for a stored entry, to compare. */
  async #slotsOf(draft: Draft, live: LiveSession, seq: number, sealed: Slots | undefined, old?: Entry): Promise<Record<string, Slot>> {
    const out: Record<string, Slot> = {}
    if (old !== undefined) await this.#openScopes(draft, live, 'known')
    const refOf = (slot: string, position: number, payload: DraftPayload): Ref => ({
      c: toBase64(sealed?.refs.get(`${slot}/${position}`) ?? this.#again(draft, live, slot, position, payload, old!)),
      m: payload.m, ...(payload.k === undefined || payload.k === 0 ? {} : { k: payload.k }), ...(payload.masked === undefined || payload.masked.length === 0 ? {} : { masked: payload.masked }),
    })
    for (const [name, slot] of Object.entries(draft.payloads)) {
      if (isSame(slot)) out[name] = { same: this.#seqOf(slot.same, live) }
      else if (!isList(slot)) out[name] = refOf(name, 0, slot)
      else {
        const base = slot.base === undefined ? undefined : this.#seqOf(slot.base, live)
        const keep = base === undefined ? 0 : Math.min(slot.keep ?? 0, live.listCount(base, name) ?? 0)
        const add = slot.add.map((payload, position) => refOf(name, position, payload))
        const change = { ...(base === undefined ? {} : { base, keep }), add }
        const root = old === undefined ? live.listRoot(seq, name, change) : live.listRootAgain(seq, name, change)
        out[name] = { ...change, count: keep + add.length, root: toBase64(root) }
      }
    }
    return out
  }

  #again(draft: Draft, live: LiveSession, slot: string, position: number, payload: DraftPayload, old: Entry): Hash {
    const scope = live.scopes.get(payload.k ?? 0)
    if (scope === undefined) throw new TypeError('ledger: another scope than the first time')
    const digest = digestOf(bytesOf(payload))
    if (scope !== 'erased') return commit(saltOf(scope.saltKey, { event_id: draft.event_id, slot, position, digest }), digest)
    // the content can no longer be compared: take the stored commitment
    const stored = old.payloads[slot]
    const ref = stored === undefined || 'same' in stored ? undefined : isListChange(stored) ? stored.add[position] : stored
    if (ref === undefined) throw new TypeError('ledger: other payloads than the first time')
    return fromBase64(ref.c)
  }

  #seqOf(event_id: string, live: LiveSession): number {
    const known = live.known(event_id)
    if (known === undefined) throw new StoreError('reference_missing', `ledger: event ${event_id}, which a later one refers to, is not in session ${live.session_id}`, 'hand in a stream in order')
    return known.seq
  }
}

/** Per new payload of an event its commitment (by `slot/position`), and where its bytes lie, in the order of `ownRefs`. */
interface Slots { readonly refs: Map<string, Hash>; readonly places: (ContentRow | undefined)[] }

function envelope(draft: Draft, facts: Entry['facts'], payloads: Entry['payloads'], given: Pick<Entry, 'v' | 'index' | 'session_id' | 'writer' | 'seq' | 'prev' | 'recorded_at'> & { step_number?: number; outcome?: Entry['outcome'] }): Entry {
  const outcome = given.outcome ?? draft.outcome
  return {
    v: given.v, index: given.index, event_id: draft.event_id, event_type: draft.event_type, session_id: given.session_id, seq: given.seq, prev: given.prev, writer: given.writer,
    timestamp: draft.timestamp, recorded_at: given.recorded_at, capture: draft.capture, facts, payloads,
    ...(draft.stream === undefined ? {} : { stream: draft.stream }), ...(draft.stream_seq === undefined ? {} : { stream_seq: draft.stream_seq }),
    ...(draft.parent_event_id === undefined ? {} : { parent_event_id: draft.parent_event_id }),
    ...(given.step_number === undefined ? {} : { step_number: given.step_number }), ...(outcome === undefined ? {} : { outcome }),
  }
}

/** A stored scope with its secret and keys. VerifyError when its wrapped secret is not what was stored. */
export function openScope(row: ScopeRow, keyring: Keyring): OpenScope {
  if (row.generation === SEALED) throw new StoreError('reference_missing', `ledger: the secret of session ${row.session_id} is not here: the log was restored from an archive without it, so nothing can be added to the session's content`, 'begin a new session')
  const secret = unwrapSecret(row.wrapped, row.scope, keyring.origin, (generation) => keyring.kek(generation))
  return { k: row.k, id: row.scope, secret, saltKey: saltKeyOf(secret, keyring.origin), indexKey: indexKeyOf(secret, keyring.origin) }
}

/** Who the draft's `identity` names: as its recorder says, else as it says itself. */
function personsOf({ payloads, persons }: Draft): readonly string[] {
  const { identity } = payloads
  if (persons !== undefined || identity === undefined || isSame(identity) || isList(identity)) return persons ?? []
  return personsIn(textOf(identity))
}

/** `draft` with the number of its scope in the place of each reference to a person. */
function inScopes(draft: Draft, { subjects }: LiveSession): Draft {
  const placed = ({ of, ...payload }: DraftPayload): DraftPayload => (of === undefined ? payload : { ...payload, k: subjects.get(of) ?? 0 })
  return { ...draft, payloads: Object.fromEntries(Object.entries(draft.payloads).map(([name, slot]) => [name, isSame(slot) ? slot : isList(slot) ? { ...slot, add: slot.add.map(placed) } : placed(slot)])) }
}

/** New payloads in the order of `ownRefs`. */
function* newPayloads(draft: Draft): Generator<{ slot: string; position: number; payload: DraftPayload }> {
  for (const slot of Object.keys(draft.payloads).sort()) {
    const value = draft.payloads[slot]!
    if (isSame(value)) continue
    if (!isList(value)) yield { slot, position: 0, payload: value }
    else for (const [position, payload] of value.add.entries()) yield { slot, position, payload }
  }
}

function bytesOf({ content }: DraftPayload): Uint8Array {
  return typeof content === 'string' ? utf8(content) : content
}

function textOf({ content }: DraftPayload): string {
  return typeof content === 'string' ? content : new TextDecoder().decode(content)
}

/** Whether a draft handed in twice says the same both times. */
function isSameDraft(a: Draft, b: Draft): boolean {
  return draftHash(a) === draftHash(b)
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
