// A ledger over one store: opens or begins the log, appends, drains spools, erases, renews keys. It runs in a worker thread
// (`worker.ts`) or, for tools and tests, where it is made.

import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { performance } from 'node:perf_hooks'
import type { Clock } from '../base/clock.ts'
import { toBase64, toHex, utf8 } from '../base/bytes.ts'
import { CounterfoilError, MisuseError, StoreError, VerifyError } from '../base/errors.ts'
import { randomRef } from '../base/ids.ts'
import { REFUSED_OUTCOME } from '../event/approval.ts'
import { decodeDraft, type Draft } from '../event/draft.ts'
import { parseEntry } from '../event/parse.ts'
import { decodeSession, type SessionState } from '../event/session.ts'
import { HASH_BYTES, leafHash } from '../log/hash.ts'
import { PartialTiles } from '../log/reader.ts'
import type { Signer } from '../log/signer.ts'
import { encodeBundle, TILE_WIDTH, tileWidth, type TilePath } from '../log/tile.ts'
import type { Head, ScopeRow, Store, StoreView } from '../store/contract.ts'
import { listSpools, removeSpool } from '../spool/folder.ts'
import { ownerState, thisOwner, type Owner } from '../spool/owner.ts'
import { openSpool, type SpoolRecord } from '../spool/reader.ts'
import { scrubSpool, spoolFile, type SpoolFile } from '../spool/scrub.ts'
import { syncFolder } from '../vault/key-folder.ts'
import { SPOOL_ORIGIN } from '../vault/spool-key.ts'
import type { Keyring } from '../vault/keyring.ts'
import { SEALED, unwrapSecret, wrapSecret } from '../vault/scope.ts'
import { accessDraft, MAX_ACCESS_NOTES, type AccessNote } from './access.ts'
import { isContentError, type Appender } from './append.ts'
import { refusedBefore, type AppendOptions, type Handed, type Placed, type Refused } from './batch.ts'
import { ledgerDraft } from './event.ts'
import { keyChainOf, rotationDraft } from './keys.ts'
import type { SignerOf } from './signer-module.ts'
import { errorData } from './message.ts'
import { beginLog, reopenLog } from './opening.ts'
import { proofOf, storeTiles } from './proof.ts'

/** The most that one append takes. */
export const MAX_BATCH_EVENTS = 1_000
export const MAX_BATCH_BYTES: number = 8 * 1024 * 1024
/** How old a KEK may become before the ledger renews it: the window in which an erased scope could be read from an older copy. */
export const KEK_LIFE_MS: number = 30 * 24 * 60 * 60 * 1000
/** The head file is written at most this often. */
const HEAD_FILE_MS = 1_000
/** Scopes named by one erasure entry. */
const SCOPES_PER_ENTRY = 500

export interface LedgerOptions {
  /** Opens the store; called again after a failed append. */
  readonly open: () => Promise<Store>
  /** The user's state folder; `undefined` keeps keys in memory. */
  readonly home: string | undefined
  /** Opens keys that are under one, and protects those of a log that begins. */
  readonly passphrase?: string | undefined
  /** Who signs where the log's key is kept elsewhere. A log that begins under it has the origin of its key. */
  readonly signer?: SignerOf | undefined
  readonly clock?: Clock
  /** The folder of spools beside the store, and the key they are sealed with. */
  readonly spools?: { readonly folder: string; readonly key: Uint8Array }
  /** A log that is begun names this one, by its origin, as the one that it continues. */
  readonly previous?: string
  /** Told of what nobody waits for: a spool that does not read, an erasure finished late. */
  readonly report?: (problem: CounterfoilError) => void
}

/** Sessions, a person wherever content is said to be theirs (`user_id`), or both: what is of the person in these sessions. */
export interface EraseOrder {
  readonly session_ids?: readonly string[]
  readonly user_id?: string
  readonly reason: string
  readonly legal_basis?: string
  readonly actor?: string
}

/** What an order would take: `ends` are the sessions that it ends, `kept` how many scopes of other persons stay in these. */
export interface Erasable { readonly sessions: readonly string[]; readonly ends: readonly string[]; readonly rows: readonly ScopeRow[]; readonly kept: number }

/** `event_id` is that of the entry that says it is done; `erasure` names the order in all its entries. */
export interface Erased { readonly event_id: string; readonly erasure: string; readonly ordered: Placed; readonly done: Placed; readonly sessions: readonly string[]; readonly scopes: number; readonly segments: number; readonly wiped: string }

export class Ledger {
  readonly #options: LedgerOptions
  readonly #clock: Clock
  #store: Store
  readonly #keyring: Keyring
  readonly #partials = new PartialTiles()
  #appender: Appender
  #queue: Promise<unknown> = Promise.resolve()
  /** In monotonic time: a clock that was set back must not keep the head file from being written. */
  #headWritten = -HEAD_FILE_MS
  #headTimer: NodeJS.Timeout | undefined
  #broken: Error | undefined

  private constructor(options: LedgerOptions, store: Store, keyring: Keyring, appender: Appender) {
    this.#options = options
    this.#clock = options.clock ?? Date.now
    this.#store = store
    this.#keyring = keyring
    this.#appender = appender
  }

  /**
   * Opens the log in the store, or begins one. Checks before anything is signed: the checkpoint is ours, the tree is what it says, and the
   * log has not fallen behind the newest checkpoint that these keys signed. Then finishes what a crash left: erasures, dead spools.
   */
  static async open(options: LedgerOptions): Promise<Ledger> {
    const clock = options.clock ?? Date.now
    const store = await options.open()
    try {
      const head = await store.read((view) => view.head())
      const opened = head === undefined ? await beginLog(store, options, clock) : await reopenLog(store, head, options, clock)
      const ledger = new Ledger(options, store, opened.keyring, opened.appender)
      await ledger.#recover()
      return ledger
    } catch (error) {
      await store.close()
      throw error
    }
  }

  get origin(): string {
    return this.#keyring.origin
  }

  get keyring(): Keyring {
    return this.#keyring
  }

  get store(): Store {
    return this.#store
  }

  get ownSession(): string {
    return this.#appender.ownSession
  }

  /** The newest checkpoint that this ledger made or read. */
  get head(): Head | undefined {
    return this.#appender.head
  }

  /** Appends in order, in batches within the bounds; resolves when all of it is durable. */
  append(handed: readonly Handed[], spool?: { id: string; offset: number }): Promise<(Placed | Refused)[]> {
    return this.#exclusive(() => this.#append(handed, spool))
  }

  async #append(handed: readonly Handed[], spool?: { id: string; offset: number }, next?: AppendOptions['next']): Promise<(Placed | Refused)[]> {
    if (this.#broken !== undefined) await this.#reopen()
    const options = { ...(spool === undefined ? {} : { spool }), ...(next === undefined ? {} : { next }) }
    let answers: (Placed | Refused)[]
    try {
      answers = await this.#appender.append(handed, options)
    } catch (error) {
      if (next !== undefined && error instanceof MisuseError) throw error // of the next key: there is no event to be refused
      if (isContentError(error)) return this.#appendSingly(handed, options, error as Error)
      if (error instanceof VerifyError || isUndone(error)) throw error
      // The commit may have happened. Look again through new handles: what is on record answers with its old receipt.
      this.#broken = error as Error
      await this.#reopen()
      answers = await this.#appender.append(handed, options).catch((again: Error) => {
        if (!isContentError(again) && !isUndone(again)) this.#broken = again
        throw again
      })
    }
    this.#noteHead(next !== undefined || handed.some(({ draft }) => draft.event_type === 'session_end' || draft.event_type === 'session_timeout'))
    return answers
  }

  /** One draft of a batch cannot become an entry: the others must not suffer for it, and it must not vanish. */
  async #appendSingly(handed: readonly Handed[], options: { spool?: { id: string; offset: number } }, error: Error & { code?: string; next?: string }): Promise<(Placed | Refused)[]> {
    if (handed.length === 1) {
      const { draft } = handed[0]!
      const { code = 'bad_event', next = 'change it where the event is made' } = error
      const message = errorData(error).message
      const explanation = `event ${draft.event_id} (${draft.event_type}) was refused: ${message}`
      await this.#appender.append([{ draft: ledgerDraft('finding', this.#appender.ownSession, this.#clock(), { rule: 'event_refused', severity: 'high', events: [draft.event_id] }, { explanation }), writer: 'ledger' }], options)
      return [{ refused: { code, message, next } }]
    }
    const answers: (Placed | Refused)[] = []
    for (const [i, one] of handed.entries()) answers.push(...(await this.#append([one], i === handed.length - 1 ? options.spool : undefined)))
    return answers
  }

  /** Puts on record who reads, or was refused; resolves with each entry's event_id and place when all are durable. */
  async access(notes: readonly AccessNote[]): Promise<(Placed & { readonly event_id: string })[]> {
    if (notes.length > MAX_ACCESS_NOTES) throw new MisuseError('too_many', `ledger: expected at most ${MAX_ACCESS_NOTES} accesses at a time, got ${notes.length}`, 'put them on record in parts')
    const drafts = notes.map((note) => accessDraft(note.query === undefined ? note : { ...note, query: this.#keyed(note.query) }, this.ownSession, this.#clock()))
    const placed = await this.append(drafts.map((draft) => ({ draft, writer: 'ledger' })))
    return placed.map((one, i) => {
      if ('refused' in one) throw new StoreError('access_refused', `ledger: an access could not be put on record: ${one.refused.message}`, one.refused.next)
      return { ...one, event_id: drafts[i]!.event_id }
    })
  }

  /** Persons that were searched for are named by a keyed hash: no erasure reaches the ledger's own session, and their name must not outlive it there. */
  #keyed(query: NonNullable<AccessNote['query']>): NonNullable<AccessNote['query']> {
    const hash = (person: unknown): unknown => (typeof person === 'string' ? { keyed: toBase64(this.#keyring.fingerprint('subject', utf8(person))) } : person)
    return Object.fromEntries(Object.entries(query).map(([name, value]) => [name, name === 'user_id' || name === 'subject' ? hash(value) : value]))
  }

  /** Reads what a spool holds beyond what is on record, into the log. `answered` hears of each event once it is durable, `reached` of each batch. Resolves with the offset reached. */
  async drain(spool: SpoolFile, answered: (event_id: string, answer: Placed | Refused) => void = () => {}, reached: (offset: number) => void = () => {}): Promise<number> {
    const key = this.#options.spools?.key
    if (key === undefined) throw new StoreError('no_spool_key', 'ledger: this trail has no spools', 'open the ledger with spools: their folder and key')
    let offset = (await this.read((view) => view.spools())).find((row) => row.spool === spool.id)?.offset ?? 0
    const stream = { spool: spool.id, owner: JSON.stringify(spool.owner) }
    const reader = openSpool(spool.path, { origin: SPOOL_ORIGIN, key })
    try {
      for (let from = -1; from !== offset;) {
        from = offset
        for (const { drafts, end } of batchesOf(reader.records(offset))) {
          const answers = await this.append(drafts.map((draft) => ({ draft, writer: 'local', stream })), { id: spool.id, offset: end })
          for (const [i, { event_id }] of drafts.entries()) answered(event_id, answers[i]!)
          offset = end
          reached(offset)
        }
      }
      return offset
    } finally {
      reader.close()
    }
  }

  /** Drains spools whose owner is proved gone, notes the sessions that it left open, and removes the spools. Leaves living ones alone. */
  async recoverSpools(): Promise<number> {
    const spools = this.#options.spools
    if (spools === undefined) return 0
    let recovered = 0
    const unread = new Set<string>()
    for (const path of listSpools(spools.folder)) {
      try {
        const spool = spoolFile(path)
        if (spool === undefined || ownerState(spool.owner) !== 'dead') continue
        await this.drain(spool)
        removeSpool(path)
        await this.#exclusive(() => this.#store.append((tx) => tx.deleteSpool(spool.id)))
        recovered++
      } catch (error) {
        if (!existsSync(path)) continue // another process was faster
        unread.add(basename(path))
        this.#report(error, `the spool ${basename(path)} could not be read to its end`)
      }
    }
    await this.#interrupt(unread)
    return recovered
  }

  /** Notes the streams whose owner is proved gone, but not those of which a spool may still hold something. */
  async #interrupt(unread: ReadonlySet<string>): Promise<void> {
    const self = thisOwner()
    const rows = (await this.read((view) => view.streams())).filter((row) => !unread.has(row.spool) && isGone(row.owner, self))
    for (const { session_id, stream } of rows) {
      const state = await this.session(session_id)
      if (state === undefined) continue
      const last = (state.streams[stream]?.next ?? 1) - 1
      await this.append([{ draft: ledgerDraft('session_interrupted', session_id, this.#clock(), { interrupted_stream: stream, last_stream_seq: Math.max(0, last) }), writer: 'ledger' }])
    }
  }

  /** Where an event is on record, by its id; undefined when it is not. */
  async find(event_id: string): Promise<Placed | undefined> {
    return this.read(async (view) => {
      const row = (await view.findEvents([event_id]))[0]
      return row === undefined ? undefined : { index: row.index, entry_hash: toBase64(leafHash(row.entry)), checkpoint: (await view.head())!.checkpoint }
    })
  }

  /** The answer that an event on record got: where it stands, or, for a call that was put on record as denied, that it must not happen. */
  async answerOf(event_id: string): Promise<Placed | Refused | undefined> {
    const [row] = await this.read((view) => view.findEvents([event_id]))
    const entry = row === undefined ? undefined : parseEntry(row.entry).entry
    if (entry?.event_type === 'tool_call' && entry.outcome === 'denied') return refusedBefore(entry)
    if (entry?.event_type === 'approval_decision' && entry.outcome === REFUSED_OUTCOME) return refusedBefore(entry)
    return this.find(event_id)
  }

  /** Forgets a spool that is drained and whose file is gone. */
  forgetSpool(id: string): Promise<void> {
    return this.#exclusive(() => this.#store.append((tx) => tx.deleteSpool(id)))
  }

  /** A C2SP tlog-proof that the event is in the log: its index, the inclusion proof and the newest checkpoint. Undefined when it is not on record. */
  async prove(event_id: string): Promise<string | undefined> {
    return this.read((view) => proofOf(view, event_id, this.#partials))
  }

  /** A tile of the tree, or a bundle of entries, of the width asked for: what it holds never changes. Undefined where the log does not reach so far. */
  async tile({ level, index, width }: TilePath): Promise<Uint8Array | undefined> {
    return this.read(async (view) => {
      const size = (await view.head())?.size ?? 0
      if (tileWidth(level === 'entries' ? 0 : level, index, size) < width) return undefined
      if (level === 'entries') {
        const rows = await view.entries(index * TILE_WIDTH, index * TILE_WIDTH + width)
        if (rows.length !== width) throw new VerifyError('entries_missing', `ledger: expected ${width} entries from #${index * TILE_WIDTH}, got ${rows.length}`, 'run counterfoil verify')
        return encodeBundle(rows.map(({ entry }) => entry))
      }
      const [bytes] = await storeTiles(view, size, this.#partials).readTiles([{ level, index, width }])
      return bytes!.slice(0, width * HASH_BYTES)
    })
  }

  async session(session_id: string): Promise<SessionState | undefined> {
    const row = (await this.read((view) => view.sessions([session_id])))[0]
    return row === undefined ? undefined : decodeSession(row.row)
  }

  /**
   * Erases sessions and their child sessions: the order durable first, then secrets, segments and derived rows in one transaction, then the
   * wipe, then the entry that says it is done. Killed in between, or when a long read keeps deleted pages in the write-ahead log (StoreError
   * `busy`), the next open or the next order finishes it.
   */
  async erase(order: EraseOrder): Promise<Erased> {
    const finished = await this.#finishErasures()
    const { sessions, ends, rows } = await this.erasable(order)
    if (rows.length === 0 && finished !== undefined) return finished // what was asked for again was ordered, and could not be done then
    if (sessions.length === 0) throw new MisuseError('nothing_to_erase', `erase: expected a session or a person with content on record, got ${order.user_id === undefined ? (order.session_ids ?? []).join(', ') || 'none' : 'a person without any'}`, 'counterfoil sessions lists what is there')
    if (rows.length === 0) throw new MisuseError('erased_already', 'erase: all content of these sessions is erased already', 'counterfoil verify says by which entry')
    for (const session_id of ends) {
      if ((await this.session(session_id))?.state !== 'ended') await this.append([{ draft: ledgerDraft('session_end', session_id, this.#clock(), { reason: 'erased' }), writer: 'ledger' }])
    }
    const erasure = randomRef()
    const scopes = rows.map((row) => `${row.session_id}/${row.k}`)
    const parts = Math.ceil(scopes.length / SCOPES_PER_ENTRY)
    const drafts: Handed[] = Array.from({ length: parts }, (_, part) => ({
      draft: ledgerDraft('erasure', this.ownSession, this.#clock(), { phase: 'ordered', erasure, scopes: scopes.slice(part * SCOPES_PER_ENTRY, (part + 1) * SCOPES_PER_ENTRY), part, parts, scope_count: scopes.length },
        part > 0 ? {} : { reason: order.reason, legal_basis: order.legal_basis, ...(order.actor === undefined ? {} : { identity: JSON.stringify({ subject: order.actor, role: 'operator' }) }) }),
      writer: 'ledger',
    }))
    const [ordered] = await this.append(drafts)
    if (ordered === undefined || 'refused' in ordered) throw new StoreError('erasure_refused', 'ledger: the erasure could not be put on record', 'run counterfoil verify')
    const carried = await this.#carryOut(erasure, scopes)
    return { erasure, ordered, sessions, scopes: scopes.length, ...carried }
  }

  async #carryOut(erasure: string, scopes: readonly string[]): Promise<{ event_id: string; done: Placed; segments: number; wiped: string }> {
    const wanted = new Set(scopes)
    const sessions = [...new Set(scopes.map((scope) => scope.slice(0, 36)))]
    const segments = await this.#exclusive(() => this.#store.append(async (tx) => {
      const rows = (await tx.scopes(sessions)).filter((row) => wanted.has(`${row.session_id}/${row.k}`))
      return rows.length === 0 ? 0 : tx.deleteScopes(rows.map((row) => row.scope))
    }))
    this.#appender.forget()
    await this.#scrubSpools()
    const wiped = await this.#exclusive(() => this.#store.wipe())
    const draft = ledgerDraft('erasure', this.ownSession, this.#clock(), { phase: 'done', erasure, scope_count: scopes.length, segment_count: segments, result: 'wiped' })
    const [done] = await this.append([{ draft, writer: 'ledger' }])
    if (done === undefined || 'refused' in done) throw new StoreError('erasure_refused', 'ledger: the end of the erasure could not be put on record', 'open the trail again, which finishes it')
    return { event_id: draft.event_id, done, segments, wiped }
  }

  /** Overwrites what spools hold of events that are in the log already. Passes by what is no spool, and what its owner has removed meanwhile. */
  async #scrubSpools(): Promise<void> {
    const spools = this.#options.spools
    if (spools === undefined) return
    if (existsSync(spools.folder)) syncFolder(spools.folder) // or a power cut brings one back that was removed before
    const offsets = new Map((await this.read((view) => view.spools())).map((row) => [row.spool, row.offset]))
    for (const path of listSpools(spools.folder)) {
      const offset = offsets.get(basename(path))
      try {
        if (offset !== undefined) scrubSpool(path, offset)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
        if (!(error instanceof TypeError)) throw error
        this.#report(error, `the spool ${basename(path)} could not be overwritten`)
      }
    }
  }

  /**
   * What an order would take. Of sessions everything, and of their child sessions. Of a person the scopes that are theirs; where that is a
   * session's own, all in it that is not said to be of somebody else, and the same of its child sessions.
   */
  async erasable({ session_ids, user_id }: Pick<EraseOrder, 'session_ids' | 'user_id'>): Promise<Erasable> {
    const known = new Map<string, SessionState>()
    for await (const state of this.allSessions()) known.set(state.session_id, state)
    known.delete(this.ownSession)
    const named = new Set((session_ids ?? []).filter((id) => known.has(id)))
    if (user_id === undefined) {
      const sessions = withChildren(named, known)
      return { sessions, ends: sessions, rows: await this.read((view) => view.scopes(sessions)), kept: 0 }
    }
    const within = session_ids === undefined ? [...known.keys()] : withChildren(named, known)
    return this.read(async (view) => {
      const own = new Set((await view.subjectScopes(this.#keyring.fingerprint('subject', utf8(user_id)))).map(toHex))
      const theirs = own.size === 0 ? [] : (await view.scopes(within)).filter((row) => own.has(toHex(row.scope)))
      const ends = withChildren(new Set(theirs.filter(({ k }) => k === 0).map(({ session_id }) => session_id)), known).filter((id) => within.includes(id))
      const others = (await view.scopes(ends)).filter((row) => !own.has(toHex(row.scope)))
      const claimed = new Set((await view.subjects(others.filter(({ k }) => k > 0).map(({ scope }) => scope))).map(({ scope }) => toHex(scope)))
      const rows = [...theirs, ...others.filter((row) => !claimed.has(toHex(row.scope)))]
      return { sessions: [...new Set([...rows.map(({ session_id }) => session_id), ...ends])], ends, rows, kept: claimed.size }
    })
  }

  async *allSessions(): AsyncGenerator<SessionState> {
    let before: { started_at: string; session_id: string } | undefined
    for (;;) {
      const page = await this.read((view) => view.listSessions({ limit: 500, ...(before === undefined ? {} : { before }) }))
      for (const row of page) yield decodeSession(row.row)
      const last = page.at(-1)
      if (last === undefined || page.length < 500) return
      const state = decodeSession(last.row)
      before = { started_at: state.started_at, session_id: state.session_id }
    }
  }

  /**
   * Hands over to a new signing key: makes it, has the old one sign it over in an entry of its own, and destroys the old one. Killed in between, the
   * log goes on under the old key or under the new one, and the next open finishes it. With `signer` the next key is kept elsewhere.
   */
  async rotate(signer?: Signer): Promise<{ readonly index: number; readonly vkey: string; readonly before: string }> {
    const before = this.#keyring.vkey
    const draft = rotationDraft(this.ownSession, this.#clock())
    const [placed] = await this.#exclusive(() => this.#append([{ draft, writer: 'ledger' }], undefined, () => this.#keyring.makeNext(signer)))
    if (placed === undefined || 'refused' in placed) throw new StoreError('not_rotated', 'ledger: the rotation could not be put on record', 'run counterfoil verify')
    return { index: placed.index, vkey: this.#keyring.vkey, before }
  }

  /**
   * Puts on record that a key of the log was stolen: the entries from `last_good_size` to its rotation are proved no more. Without `vkey` it is the key in
   * force, which is rotated away first. MisuseError for a key that the log never had, or a size beyond its time.
   */
  async reportKey({ vkey, last_good_size, note }: { readonly vkey?: string; readonly last_good_size: number; readonly note?: string }): Promise<{ readonly index: number; readonly vkey: string; readonly rotated: boolean }> {
    const stolen = vkey ?? this.#keyring.vkey
    const before = await this.read((view) => keyChainOf(view))
    const reign = before.reigns.find((one) => one.vkey === stolen)
    if (reign === undefined) throw new MisuseError('not_a_key', `keys: expected a key that this log had, got ${stolen.slice(0, 200)}`, 'counterfoil keys lists them')
    const size = (await this.read((view) => view.head()))!.size
    const most = reign.to ?? size
    if (!Number.isSafeInteger(last_good_size) || last_good_size < 0 || last_good_size > most) throw new MisuseError('bad_size', `keys: expected a size from 0 to ${most}, which the log had when the key's time ended, got ${last_good_size}`, 'name the size of the last checkpoint that you are sure of')
    // asked again after it was stopped half way: what is meant is the key before
    if (vkey === undefined && last_good_size <= reign.from && reign.from > 0) throw new MisuseError('which_key', `keys: the key in force came at #${reign.from}, after the ${last_good_size} entries that are good`, `name the key that was stolen: --key ${before.reigns.at(-2)!.vkey}`)
    const rotated = reign.to === undefined
    if (rotated) await this.rotate()
    const [placed] = await this.append([{ draft: ledgerDraft('key_compromise', this.ownSession, this.#clock(), { vkey: stolen, last_good_size }, { note }), writer: 'ledger' }])
    if (placed === undefined || 'refused' in placed) throw new StoreError('not_reported', 'ledger: the report could not be put on record', 'run it again')
    return { index: placed.index, vkey: stolen, rotated }
  }

  /** Makes the next KEK, re-wraps every living secret, destroys the old ones: from then on no older copy of the database gives an erased scope back. Killed in between, the next open finishes it. */
  async renewKek(): Promise<{ generation: number; scopes: number }> {
    await this.#exclusive(() => this.#store.append(async () => this.#keyring.makeKek(this.#keyring.currentKek().generation + 1)))
    return this.#finishRenewal()
  }

  /** Puts every secret under the newest KEK and destroys the others. The newest as the transaction sees it: another process may be at the same. */
  async #finishRenewal(): Promise<{ generation: number; scopes: number }> {
    const { origin } = this.#keyring
    const done = await this.#exclusive(() => this.#store.append(async (tx) => {
      const newest = this.#keyring.currentKek()
      let scopes = 0
      for (let after: Uint8Array | undefined; ; ) {
        const page = await tx.scopePage(after, 500)
        if (page.length === 0) return { generation: newest.generation, scopes }
        await tx.rewrapScopes(page.filter((row) => row.generation !== newest.generation && row.generation !== SEALED).map((row) => {
          const secret = unwrapSecret(row.wrapped, row.scope, origin, (generation) => this.#keyring.kek(generation))
          return { ...row, generation: newest.generation, wrapped: wrapSecret({ id: row.scope, secret }, newest, origin) }
        }))
        scopes += page.length
        after = page.at(-1)!.scope
      }
    }))
    this.#appender.forget()
    await this.#exclusive(() => this.#store.wipe())
    for (const { generation } of this.#keyring.keks()) if (generation < done.generation) this.#keyring.destroyKek(generation)
    return done
  }

  /** Puts the keys under `passphrase`, or under another one; without one takes it away. Under the log's lock, so that nobody makes a key meanwhile. */
  protectKeys(passphrase: string | undefined): Promise<void> {
    return this.#exclusive(() => this.#store.append(async () => (passphrase === undefined ? this.#keyring.unprotect() : this.#keyring.protect(passphrase))))
  }

  /** Runs `fn` on one snapshot of the store. */
  async read<T>(fn: (view: StoreView) => Promise<T>): Promise<T> {
    if (this.#broken !== undefined) await this.#exclusive(async () => { if (this.#broken !== undefined) await this.#reopen() })
    return this.#store.read(fn)
  }

  copyTo(path: string): Promise<void> {
    return this.#exclusive(() => this.#store.copyTo(path))
  }

  async close(): Promise<void> {
    await this.#queue
    clearTimeout(this.#headTimer)
    this.#writeHead()
    await this.#store.close()
  }

  async #recover(): Promise<void> {
    await this.#try('an erasure that was ordered before could not be finished', () => this.#finishErasures())
    await this.recoverSpools()
    const keks = this.#keyring.keks()
    const newest = keks.at(-1)
    if (newest === undefined) return
    if (this.#clock() - newest.made_ms > KEK_LIFE_MS) await this.#try('the key-encryption key could not be renewed', () => this.renewKek())
    else if (keks.length > 1) await this.#try('a renewal of the key-encryption key could not be finished', () => this.#finishRenewal())
  }

  /** Upkeep that fails (a long read keeps old pages) is told, and tried again at the next open: nobody stops recording for it. */
  async #try(what: string, upkeep: () => Promise<unknown>): Promise<void> {
    try {
      await upkeep()
    } catch (error) {
      this.#report(error, what)
    }
  }

  /** Erasures that were ordered and not done are carried out now. Resolves with the last of them. */
  async #finishErasures(): Promise<Erased | undefined> {
    const open = new Map<string, { ordered: Placed; scopes: string[] }>()
    for (let from = 0; ; ) {
      const { page, checkpoint } = await this.read(async (view) => ({ page: await view.events({ event_types: ['erasure'], from, limit: 500 }), checkpoint: (await view.head())!.checkpoint }))
      for (const row of page) {
        from = row.index + 1
        const { facts, writer } = parseEntry(row.entry).entry
        if (writer !== 'ledger') continue // nobody else orders
        const id = String(facts['erasure'])
        if (facts['phase'] === 'done') {
          open.delete(id)
          continue
        }
        const known = open.get(id) ?? { ordered: { index: row.index, entry_hash: toBase64(leafHash(row.entry)), checkpoint }, scopes: [] }
        known.scopes.push(...((facts['scopes'] ?? []) as readonly string[]))
        open.set(id, known)
      }
      if (page.length < 500) break
    }
    let last: Erased | undefined
    for (const [erasure, { ordered, scopes }] of open) {
      const sessions = [...new Set(scopes.map((scope) => scope.slice(0, 36)))]
      last = { erasure, ordered, sessions, scopes: scopes.length, ...(await this.#carryOut(erasure, scopes)) }
    }
    return last
  }

  #exclusive<T>(fn: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(fn, fn)
    this.#queue = run.then(() => undefined, () => undefined)
    return run
  }

  async #reopen(): Promise<void> {
    await this.#store.close().catch(() => undefined)
    this.#store = await this.#options.open()
    const head = await this.#store.read((view) => view.head())
    if (head === undefined) throw new StoreError('no_log', `ledger: ${this.#store.name} holds no log any more`, 'restore it from a backup')
    const { appender } = await reopenLog(this.#store, head, this.#options, this.#clock, this.#keyring)
    this.#appender = appender
    this.#broken = undefined
  }

  /** Writes the head file now when a session ended, since the process may end next; else at most once a second. */
  #noteHead(ended: boolean): void {
    const wait = this.#headWritten + HEAD_FILE_MS - performance.now()
    if (ended || wait <= 0) this.#writeHead()
    else this.#headTimer ??= setTimeout(() => this.#writeHead(), wait).unref()
  }

  #writeHead(): void {
    clearTimeout(this.#headTimer)
    this.#headTimer = undefined
    const head = this.#appender.head
    if (head === undefined) return
    try {
      this.#keyring.writeHead(head.checkpoint)
      this.#headWritten = performance.now()
    } catch (error) {
      this.#report(error, 'the newest checkpoint could not be written beside the keys')
    }
  }

  #report(error: unknown, what: string): void {
    const problem = error instanceof CounterfoilError ? error : new StoreError('ledger_failed', `ledger: ${what}: ${String(error)}`, 'run counterfoil doctor', { cause: error })
    this.#options.report?.(problem)
  }
}

/** The drafts of a spool, as many at a time as one append takes; `end` is where the next batch begins. Where the spool does not read on, what comes before. */
function* batchesOf(records: Iterable<SpoolRecord>): Generator<{ readonly drafts: Draft[]; readonly end: number }, void, undefined> {
  let drafts: Draft[] = []
  let [bytes, end] = [0, 0]
  try {
    for (const record of records) {
      drafts.push(decodeDraft(record.bytes))
      bytes += record.bytes.length
      end = record.end
      if (drafts.length < MAX_BATCH_EVENTS && bytes < MAX_BATCH_BYTES) continue
      yield { drafts, end }
      drafts = []
      bytes = 0
    }
  } catch (error) {
    if (drafts.length > 0) yield { drafts, end }
    throw error
  }
  if (drafts.length > 0) yield { drafts, end }
}

/** Whether the owner in a stream's row is proved gone; what does not read proves nothing. */
function isGone(owner: string, self: Owner): boolean {
  try {
    return ownerState(JSON.parse(owner) as Owner, self) === 'dead'
  } catch {
    return false
  }
}

const UNDONE: ReadonlySet<string> = new Set(['busy', 'full', 'signer_missing', 'signer_failed', 'signer_wrong', 'passphrase_changed'])

/** It is known that nothing was done: no lock to be had, no room, no signature. */
function isUndone(error: unknown): boolean {
  return error instanceof StoreError && UNDONE.has(error.code)
}

/** Sessions with all that they started. */
function withChildren(sessions: ReadonlySet<string>, known: ReadonlyMap<string, SessionState>): string[] {
  const found = new Set(sessions)
  for (let grew = true; grew; ) {
    grew = false
    for (const { session_id, parent_session_id } of known.values()) {
      if (found.has(session_id) || parent_session_id === undefined || !found.has(parent_session_id)) continue
      found.add(session_id)
      grew = true
    }
  }
  return [...found]
}
