// Who read what, on record: one entry for each actor, session or query, purpose and hour, durable before the first content is shown, and one when the hour
// is over or the server ends, with how many entries were shown and a root over their hashes. Facts make none, and neither do the entries that say who
// read: else each look at them would make another. What is refused makes one at once, and when it is refused again within a minute one more, with how often:
// whoever asks without end must not fill the log.

import { fromBase64, toBase64 } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { treeRoot } from '../log/tree.ts'
import { MAX_ACCESS_NOTES, type AccessNote } from '../ledger/access.ts'
import type { Principal } from './roles.ts'
import type { Tenant } from './tenants.ts'

/** How long a reading goes on without a new entry. */
export const HOUR_MS = 3_600_000
/** Readings under way in one tenant, and entries that they remember together: the oldest ends before there are more. */
const MAX_READINGS = 1_000
const MAX_REMEMBERED = 100_000

/** Denials that are alike are counted for so long, and of one principal so many that are not alike are on record at once; what is beyond is counted by route. */
export const DENIALS_MS = 60_000
export const DENIALS_NAMED = 100
/** Kinds of denials that are remembered together: at more, they are put on record before the minute is over. */
const MAX_DENIALS = 20_000

/** What is read: `query` says it to whoever reads the record, and with the actor and the purpose it is one reading. */
export interface Reading { readonly who: Principal; readonly action: 'read' | 'search' | 'why' | 'export' | 'stream'; readonly query: { readonly [name: string]: unknown }; readonly purpose?: string | undefined }

/** An entry of which content was shown. */
export interface Shown { readonly index: number; readonly entry_hash: string; readonly event_type?: string }

/** What puts notes on record: the ledger's `access`. Resolves when they are durable. */
export type Write = (notes: readonly AccessNote[]) => Promise<readonly { readonly event_id: string }[]>

interface Open { readonly note: AccessNote; readonly until: number; readonly shown: Map<number, string>; /** The event_id of the entry before it. */ readonly begun: Promise<string> }

/** Denials that are alike. `begun`: the event_id of the first, where it is on record by itself; `again`: how many are to be told of. */
interface Denied { readonly note: AccessNote; readonly begun: Promise<string | undefined>; again: number }

/** A minute of denials: the kinds, and how many kinds each principal has. */
interface Minute { readonly until: number; readonly kinds: Map<string, Denied>; readonly named: Map<string, number>; readonly timer: NodeJS.Timeout }

/** The accesses of one tenant. */
export class AccessLog {
  readonly #write: Write
  readonly #clock: Clock
  readonly #report: (problem: unknown) => void
  readonly #open = new Map<string, Open>()
  readonly #ending = new Set<Promise<void>>()
  #remembered = 0
  #minute: Minute | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(write: Write, clock: Clock, report: (problem: unknown) => void) {
    this.#write = write
    this.#clock = clock
    this.#report = report
  }

  /**
   * To be awaited before content of these entries goes out: resolves when it is on record who is about to see it, and rejects when that cannot be put on
   * record; then nothing may be shown. No entries, of a search that found nothing, are a reading too; access entries alone are none.
   */
  async shown(reading: Reading, entries: readonly Shown[]): Promise<void> {
    const counted = entries.filter(({ event_type }) => event_type !== 'access')
    if (counted.length === 0 && entries.length > 0) return
    const key = keyOf(reading)
    for (;;) {
      const open = this.#current(key) ?? this.#begin(key, reading)
      await open.begun
      if (this.#open.get(key) !== open) continue // it ended meanwhile, and its last entry says less than is about to be shown
      for (const { index, entry_hash } of counted) {
        if (!open.shown.has(index)) this.#remembered++
        open.shown.set(index, entry_hash)
      }
      while (this.#remembered > MAX_REMEMBERED && this.#open.size > 0) this.#endOldest()
      return
    }
  }

  /** Puts on record that `who` was refused `action`. Resolves when the first of its kind is durable; what is wrong is reported, since the answer is no in any case. */
  async denied(who: Principal, action: string, query: { readonly [name: string]: unknown }): Promise<void> {
    const minute = this.#thisMinute()
    const note: AccessNote = { action, identity: identityOf(who), query, denied: true }
    const key = JSON.stringify([who.id, action, query])
    const known = minute.kinds.get(key)
    if (known !== undefined) {
      known.again++
      await known.begun
      return
    }
    const named = minute.named.get(who.id) ?? 0
    if (named >= DENIALS_NAMED) return this.#countByRoute(minute, note)
    minute.named.set(who.id, named + 1)
    const begun = this.#write([note]).then(([placed]) => placed!.event_id, (error: unknown) => {
      this.#report(error)
      minute.kinds.delete(key) // the next one tries again
      return undefined
    })
    minute.kinds.set(key, { note, begun, again: 0 })
    await begun
  }

  /** Whoever asks for very much is told of by route alone. */
  #countByRoute(minute: Minute, { query, ...note }: AccessNote): void {
    const route = query?.['route'] === undefined ? {} : { route: query['route'] }
    const key = JSON.stringify([note.identity.subject, note.action, route, 'more'])
    const known = minute.kinds.get(key)
    if (known !== undefined) known.again++
    else minute.kinds.set(key, { note: { ...note, query: route }, begun: Promise.resolve(undefined), again: 1 })
  }

  #thisMinute(): Minute {
    const now = this.#clock()
    const minute = this.#minute
    if (minute !== undefined && now < minute.until && minute.kinds.size < MAX_DENIALS) return minute
    this.#endMinute()
    const timer = setTimeout(() => this.#endMinute(), DENIALS_MS).unref()
    return (this.#minute = { until: now + DENIALS_MS, kinds: new Map(), named: new Map(), timer })
  }

  /** Puts on record what was refused again. */
  #endMinute(): void {
    const minute = this.#minute
    if (minute === undefined) return
    this.#minute = undefined
    clearTimeout(minute.timer)
    const again = [...minute.kinds.values()].filter((one) => one.again > 0)
    if (again.length === 0) return
    const ending = (async () => {
      const notes = await Promise.all(again.map(async ({ note, begun, again: counts }): Promise<AccessNote> => {
        const after = await begun
        return { ...note, counts, ...(after === undefined ? {} : { after }) }
      }))
      for (let at = 0; at < notes.length; at += MAX_ACCESS_NOTES) await this.#write(notes.slice(at, at + MAX_ACCESS_NOTES))
    })().catch(this.#report)
    this.#ending.add(ending)
    void ending.finally(() => this.#ending.delete(ending))
  }

  /** Ends every reading, or those whose hour is over, and the minute of denials. Resolves when that is on record, or was reported. */
  async end(which: 'all' | 'over' = 'all'): Promise<void> {
    const now = this.#clock()
    if (which === 'all' || (this.#minute !== undefined && this.#minute.until <= now)) this.#endMinute()
    for (const [key, open] of this.#open) if (which === 'all' || open.until <= now) this.#end(key, open)
    await Promise.all(this.#ending)
  }

  #current(key: string): Open | undefined {
    const open = this.#open.get(key)
    if (open === undefined || open.until > this.#clock()) return open
    this.#end(key, open)
    return undefined
  }

  #begin(key: string, { who, action, query, purpose }: Reading): Open {
    if (this.#open.size >= MAX_READINGS) this.#endOldest()
    const note: AccessNote = { action, identity: identityOf(who), query, ...(purpose === undefined ? {} : { purpose }) }
    const begun = this.#write([note]).then(([placed]) => placed!.event_id)
    const open: Open = { note, until: this.#clock() + HOUR_MS, shown: new Map(), begun }
    this.#open.set(key, open)
    this.#timer ??= setInterval(() => void this.end('over'), HOUR_MS / 60).unref()
    begun.catch(() => this.#forget(key, open)) // the next one tries again
    return open
  }

  #endOldest(): void {
    const [key, open] = this.#open.entries().next().value!
    this.#end(key, open)
  }

  #end(key: string, open: Open): void {
    this.#forget(key, open)
    const { action, identity, purpose } = open.note
    const last = { action, identity, ...(purpose === undefined ? {} : { purpose }), counts: open.shown.size, root: rootOf(open.shown) }
    const ending = open.begun.then((after) => this.#write([{ ...last, after }])).then(() => {}, this.#report)
    this.#ending.add(ending)
    void ending.finally(() => this.#ending.delete(ending))
  }

  #forget(key: string, open: Open): void {
    if (this.#open.get(key) !== open) return
    this.#open.delete(key)
    this.#remembered -= open.shown.size
    if (this.#open.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/** The access logs of all tenants. */
export class Accesses {
  readonly #clock: Clock
  readonly #report: (problem: unknown) => void
  readonly #logs = new Map<string, AccessLog>()

  constructor(clock: Clock, report: (problem: unknown) => void) {
    this.#clock = clock
    this.#report = report
  }

  of({ name, ledger }: Tenant): AccessLog {
    let log = this.#logs.get(name)
    if (log === undefined) this.#logs.set(name, (log = new AccessLog((notes) => ledger.call('access', notes), this.#clock, this.#report)))
    return log
  }

  /** Ends every reading. Resolves when that is on record, or was reported. */
  async end(): Promise<void> {
    await Promise.all([...this.#logs.values()].map((log) => log.end()))
  }
}

/** The RFC 6962 root over entry hashes, ascending by index. */
export function rootOf(shown: ReadonlyMap<number, string>): string {
  return toBase64(treeRoot([...shown].sort(([a], [b]) => a - b).map(([, hash]) => fromBase64(hash))))
}

function keyOf({ who, action, query, purpose }: Reading): string {
  return JSON.stringify([who.id, action, query, purpose ?? null])
}

function identityOf({ id, roles }: Principal): AccessNote['identity'] {
  return { subject: id, roles }
}
