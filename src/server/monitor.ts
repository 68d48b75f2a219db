// The rules over what comes in, whoever brought it: the log is followed from where it was left, each session's events go through its watch, and what is
// noticed is put on record in that session, once, by the writer `monitor`. It stays behind while the log is busy, and forgets nothing.

import { encodeDraft } from '../event/draft.ts'
import type { ViewEvent } from '../event/view.ts'
import { findingDraft, MONITOR, type Finding } from '../monitor/finding.ts'
import { Watch } from '../monitor/watch.ts'
import { withParents } from '../why/pick.ts'
import type { Database } from './database.ts'
import { rowsOf } from './people.ts'
import type { Tenant, Tenants } from './tenants.ts'

export const MONITOR_TABLE = 'CREATE TABLE IF NOT EXISTS monitored (tenant TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT'

/** How often logs are looked at. Appends come first, and wait while a page is read: so as long as something comes a look is short, but the longer the further it is behind. */
const LOOK_MS = 500
const PAGE = 100
const BUDGET_MS = 25
const MOST_MS = 250
const EVENTS_A_MS = 500
/** Sessions that are followed at once, and what they may remember together, in characters. The one that was quiet longest is forgotten, and read again when it goes on. */
const MAX_SESSIONS = 200
const MAX_CHARACTERS: number = 64 * 1024 * 1024

/** Told of what was noticed, when it is on record. */
export type Listener = (tenant: Tenant, finding: Finding & { readonly index: number }) => void

export class Monitor {
  readonly #database: Database
  readonly #ending: AbortSignal
  readonly #report: (problem: unknown) => void
  readonly #followed = new Map<string, Followed>()
  readonly #listeners = new Set<Listener>()

  constructor({ database, ending, report }: { database: Database; ending: AbortSignal; report: (problem: unknown) => void }) {
    this.#database = database
    this.#ending = ending
    this.#report = report
  }

  /** Looks at the logs of all tenants that are open, until the server ends. */
  start(tenants: Tenants): void {
    const timer = setInterval(() => {
      for (const tenant of tenants.opened) void this.#catchUp(tenant)
    }, LOOK_MS).unref()
    this.#ending.addEventListener('abort', () => { clearInterval(timer) }, { once: true })
  }

  /** One look, and where nothing comes meanwhile as many as it takes. */
  async #catchUp(tenant: Tenant): Promise<void> {
    if (this.#followed.get(tenant.name)?.looking !== undefined) return
    for (;;) {
      const { size } = tenant.ledger.status()
      const behind = size - (this.#followed.get(tenant.name)?.next ?? size)
      const atEnd = await this.look(tenant, Math.min(MOST_MS, BUDGET_MS + behind / EVENTS_A_MS))
      if (atEnd || this.#ending.aborted || tenant.ledger.status().size !== size || !this.#followed.has(tenant.name)) return
    }
  }

  /** Resolves when no log is looked at any more, once the server ends. */
  async rest(): Promise<void> {
    await Promise.allSettled([...this.#followed.values()].flatMap(({ looking }) => looking ?? []))
  }

  /** `listener` hears of every finding once it is on record: webhooks. What it throws is reported. */
  listen(listener: Listener): void {
    this.#listeners.add(listener)
  }

  /** Follows a tenant's log for a while. Resolves with whether its end was reached; what is wrong is reported, and tried again. */
  async look(tenant: Tenant, budgetMs: number = BUDGET_MS): Promise<boolean> {
    const known = this.#followed.get(tenant.name)
    const followed = known?.tenant === tenant ? known : new Followed(tenant)
    this.#followed.set(tenant.name, followed)
    try {
      return await (followed.looking ??= this.#follow(followed, budgetMs).finally(() => { followed.looking = undefined }))
    } catch (error) {
      this.#followed.delete(tenant.name) // what its watches saw is not known any more: they are made again
      if (!this.#ending.aborted) this.#report(error)
      return false
    }
  }

  async #follow(followed: Followed, budgetMs: number): Promise<boolean> {
    const { tenant } = followed
    const until = performance.now() + budgetMs
    await tenant.ledger.ready()
    followed.next ??= this.#next(tenant)
    while (!this.#ending.aborted) {
      const { items, next }: { items: ViewEvent[]; next: number } = await tenant.ledger.call<{ items: ViewEvent[]; next: number }>('after', followed.next, PAGE)
      if (next === followed.next) return true
      const noticed = await followed.take(items)
      await this.#record(tenant, noticed)
      followed.next = next
      this.#database.prepare('INSERT INTO monitored (tenant, next) VALUES (?, ?) ON CONFLICT (tenant) DO UPDATE SET next = excluded.next').run(tenant.name, next)
      if (performance.now() > until) return false
    }
    return false
  }

  /** A log that is shorter than what was read of it was restored: it is read again, and what is on record stays so. */
  #next({ name, ledger }: Tenant): number {
    const [row] = rowsOf(this.#database.prepare('SELECT next FROM monitored WHERE tenant = ?').all(name))
    const next = Number(row?.['next'] ?? 0)
    return next <= ledger.status().size ? next : 0
  }

  /** What is on record already was recorded before the position was, or by the command line. */
  async #record(tenant: Tenant, noticed: readonly Finding[]): Promise<void> {
    for (const finding of noticed) {
      if ((await tenant.ledger.call('find', finding.event_id)) !== undefined) continue
      const [answer] = await tenant.ledger.append(MONITOR, [encodeDraft(findingDraft(finding))])
      if (answer === undefined || 'refused' in answer) {
        this.#report(new Error(`monitor: a finding of ${finding.rule} could not be put on record: ${answer?.refused.message ?? 'no answer'}`))
        continue
      }
      for (const listener of this.#listeners) {
        try {
          listener(tenant, { ...finding, index: answer.index! })
        } catch (error) {
          this.#report(error)
        }
      }
    }
  }
}

/** A tenant's log, as far as it was followed. */
class Followed {
  readonly tenant: Tenant
  /** The index to go on from; undefined until the log is open. */
  next: number | undefined
  looking: Promise<boolean> | undefined
  #own: string | undefined
  /** The one that was quiet longest first. */
  readonly #watches = new Map<string, Watch>()

  constructor(tenant: Tenant) {
    this.tenant = tenant
  }

  /** What is noticed at the next events of the log. */
  async take(events: readonly ViewEvent[]): Promise<Finding[]> {
    const noticed: Finding[] = []
    this.#own ??= await this.tenant.ledger.call<string>('own')
    for (const event of events) {
      if (event.session_id === this.#own) {
        if (event.event_type === 'erasure') this.#watches.clear() // what was erased is remembered by nobody
        continue
      }
      // nothing is noticed at what was noticed, which comes after the end of a session: it is not read again for that
      if (event.event_type === 'finding' && !this.#watches.has(event.session_id)) continue
      const watch = await this.#watch(event)
      noticed.push(...watch.see(event))
      if (event.event_type === 'session_end' || event.event_type === 'session_timeout') this.#watches.delete(event.session_id)
    }
    this.#forget()
    return noticed
  }

  /** The watch of the event's session, which has seen all before it. */
  async #watch(event: ViewEvent): Promise<Watch> {
    const { session_id, index, seq } = event
    const known = this.#watches.get(session_id)
    if (known !== undefined) {
      this.#watches.delete(session_id)
      this.#watches.set(session_id, known)
      return known
    }
    // of a session that begins here there is nothing before: what came since is not read for it
    const begins = seq === 0 && event.event_type === 'session_start'
    const events = await withParents(session_id, async (id) => (begins && id === session_id ? [event] : this.tenant.ledger.call<ViewEvent[]>('session', id)))
    const begin = events.find((event) => event.session_id === session_id)?.index ?? index
    const watch = new Watch(session_id, events.filter((event) => event.session_id !== session_id && event.index < begin))
    for (const event of events) if (event.session_id === session_id && event.index < index) watch.see(event)
    this.#watches.set(session_id, watch)
    return watch
  }

  #forget(): void {
    let size = 0
    for (const [session_id, watch] of [...this.#watches].reverse()) {
      size += watch.size
      if (size > MAX_CHARACTERS) this.#watches.delete(session_id)
    }
    for (const session_id of this.#watches.keys()) {
      if (this.#watches.size <= MAX_SESSIONS) break
      this.#watches.delete(session_id)
    }
  }
}
