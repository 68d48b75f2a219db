// One append: the log's head and the sessions that are being written, kept between batches (DESIGN §6). `batch.ts` is what happens in
// the transaction.
//
// Whoever calls keeps to 1,000 events and 8 MiB a batch, and after any error from `append` opens the store anew (poisoning): an
// append that failed may have happened.

import { equal, toBase64 } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { StoreError, VerifyError } from '../base/errors.ts'
import type { Draft } from '../event/draft.ts'
import { parseEntry } from '../event/parse.ts'
import { decodeSession } from '../event/session.ts'
import { openCheckpoint } from '../log/checkpoint.ts'
import { leafHash } from '../log/hash.ts'
import { ed25519Verifier } from '../log/note.ts'
import { edgeTiles, TreeEdge } from '../log/tree.ts'
import type { Head, Store, StoreTx, StoreView } from '../store/contract.ts'
import type { Keyring } from '../vault/keyring.ts'
import { Batch, type AppendOptions, type Handed, type Placed, type Refused, type Tip } from './batch.ts'
import { LiveSession } from './live-session.ts'
import { followLog } from './restored.ts'

/** What is kept in memory: so many sessions, and so many events in all of them, some 700 bytes each. A session that is longer stays while it is written. */
const KEPT = { sessions: 512, events: 100_000 }

export class Appender {
  readonly #store: Store
  readonly #keyring: Keyring
  readonly #clock: Clock
  readonly #sessions = new Map<string, LiveSession>()
  /** The ledger's own session: the one of `log_start`. */
  #own: string
  readonly #kept: { readonly sessions: number; readonly events: number }
  #tip: Tip | undefined
  /** Sessions whose cache may be older than the store. */
  #stale = new Set<string>()

  constructor(store: Store, keyring: Keyring, clock: Clock, ownSession: string, kept: { readonly sessions: number; readonly events: number } = KEPT) {
    this.#store = store
    this.#keyring = keyring
    this.#clock = clock
    this.#own = ownSession
    this.#kept = kept
  }

  get ownSession(): string {
    return this.#own
  }

  get head(): Head | undefined {
    return this.#tip?.head
  }

  /** Appends `batch` in order; one answer for each. Rejects with a StoreError when it is not known to have happened, VerifyError when the stored log is not the signed one. */
  async append(batch: readonly Handed[], options: AppendOptions = {}): Promise<(Placed | Refused)[]> {
    let running: Batch | undefined
    try {
      const done = await this.#store.append(async (tx) => {
        await this.#refresh(tx)
        running = new Batch(tx, this.#keyring, this.#clock, this.#own, this.#tip!, (id) => this.#live(tx, id))
        return running.run(batch, options)
      })
      this.#tip = done.tip
      if (options.next !== undefined) this.#keyring.follow(done.tip.head.checkpoint)
      this.#keepFew(new Set(batch.map(({ draft }) => draft.session_id)))
      return done.answers
    } catch (error) {
      if (running !== undefined && isContentError(error)) this.#takeBack(running)
      else this.forget()
      throw error
    }
  }

  /** Of a batch that was rolled back for what one draft of it says. What an author can have refused again and again must not have other sessions read again, nor a long one for each. */
  #takeBack({ sessions, followed }: Batch): void {
    for (const [id, live] of sessions) {
      if (followed.has(id)) {
        this.#sessions.delete(id)
        this.#stale.delete(id)
      } else {
        live.segmentHashes.clear()
        live.deciders.clear()
        this.#stale.add(id) // its scopes are read again
      }
    }
  }

  /** Drops the sessions that were not written for longest; what is dropped is read again when it is written next. */
  #keepFew(written: ReadonlySet<string>): void {
    for (const id of written) {
      const live = this.#sessions.get(id)
      if (live === undefined) continue
      this.#sessions.delete(id)
      this.#sessions.set(id, live) // the last of the map
    }
    let { events } = this.remembered
    for (const [id, live] of this.#sessions) {
      const many = this.#sessions.size > this.#kept.sessions
      if (!many && events <= this.#kept.events) return
      if (id === this.#own || (!many && written.has(id))) continue
      this.#sessions.delete(id)
      this.#stale.delete(id)
      events -= live.events
    }
  }

  /** How many sessions are kept in memory, and how many of their events. */
  get remembered(): { sessions: number; events: number } {
    let events = 0
    for (const live of this.#sessions.values()) events += live.events
    return { sessions: this.#sessions.size, events }
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
    try {
      while (live.nextSeq < next) {
        const page = await tx.sessionEntries(session_id, live.nextSeq, 1_000)
        if (page.length === 0) break
        for (const { entry } of page) live.follow(parseEntry(entry).entry, toBase64(leafHash(entry)))
      }
    } catch (error) {
      this.#sessions.delete(session_id) // it was told half of it
      throw error
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

/** Errors of one draft's content, as against errors of the store and evidence in it: one draft must not hold up all that come after it. Nothing of a batch that ends with one is stored. */
export function isContentError(error: unknown): boolean {
  if (error instanceof StoreError) return error.code === 'reference_missing'
  if (error instanceof Error && 'syscall' in error) return false // the disk's, and perhaps after the commit
  return !(error instanceof VerifyError) || error.code === 'list_malformed' || error.code === 'same_malformed'
}

function bad(code: string, message: string, index?: number): VerifyError {
  return new VerifyError(code, `ledger: ${message}`, 'run counterfoil verify', index === undefined ? {} : { first_bad_index: index })
}
