// Webhooks: people are told of requests for approval and of findings. The log is the queue: a webhook remembers how far into it its target has been told,
// so that nothing is held in memory, a restart loses nothing, and what comes is in the order of the log. Signed as Standard Webhooks has it
// (standardwebhooks.com, 1.0): HMAC-SHA-256 over `id.timestamp.body`. No content goes out: ids, tool name, risk, rule, severity.

import { createHmac, randomBytes } from 'node:crypto'
import { formatTime, type Clock } from '../base/clock.ts'
import { MisuseError } from '../base/errors.ts'
import type { Notice } from '../ledger/approvals.ts'
import type { Database } from './database.ts'
import { journal } from './journal.ts'
import { rowsOf, textOf, type Row } from './people.ts'
import type { Tenant, Tenants } from './tenants.ts'
import type { Targets } from './webhook-target.ts'

export const WEBHOOKS_TABLE = `
CREATE TABLE IF NOT EXISTS webhooks (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, url TEXT NOT NULL, secret BLOB NOT NULL, events TEXT NOT NULL, severity TEXT NOT NULL, created_by TEXT NOT NULL, created_at TEXT NOT NULL,
  next INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, due INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0, problem TEXT, disabled_at TEXT
) STRICT`

export const WEBHOOK_EVENTS = ['approval.requested', 'finding.raised'] as const
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number]
export const SEVERITIES = ['info', 'low', 'medium', 'high', 'critical'] as const
export type Severity = (typeof SEVERITIES)[number]

/** Without its secret. `told` and `skipped` count messages; `problem` is why the last attempt failed; `attempts` how often the one that is due was tried. */
export interface WebhookView { readonly id: string; readonly url: string; readonly events: readonly WebhookEvent[]; readonly severity: Severity; readonly created_by: string; readonly created_at: string; readonly told: number; readonly skipped: number; readonly attempts: number; readonly problem: string | null; readonly disabled_at: string | null }

export interface WebhookOrder { readonly url: string; readonly events: readonly WebhookEvent[]; readonly severity: Severity }

export const MAX_WEBHOOKS = 20
const LOOK_MS = 1_000
/** How long after each attempt the next one is made; after the last the message is given up. */
const AGAIN_S: readonly number[] = [5, 30, 120, 600, 1_800, 3_600, 7_200, 18_000, 36_000]
/** Messages to one target in one look, so that others have their turn. */
const AT_ONCE = 100
const TYPES: { readonly [event in WebhookEvent]: string } = { 'approval.requested': 'approval_request', 'finding.raised': 'finding' }

export class Webhooks {
  readonly #database: Database
  readonly #tenants: Tenants
  readonly #clock: Clock
  readonly #targets: Targets
  readonly #report: (problem: unknown) => void
  readonly #busy = new Map<string, Promise<void>>()
  readonly #again: readonly number[]
  readonly #ending: AbortSignal

  constructor({ database, tenants, clock, targets, report, ending, again = AGAIN_S }: { database: Database; tenants: Tenants; clock: Clock; targets: Targets; report: (problem: unknown) => void; ending: AbortSignal; again?: readonly number[] }) {
    this.#database = database
    this.#tenants = tenants
    this.#clock = clock
    this.#targets = targets
    this.#report = report
    this.#again = again
    this.#ending = ending
  }

  /** Tells until the server ends. For the process that listens. */
  start(): void {
    const timer = setInterval(() => void this.look(), LOOK_MS).unref()
    this.#ending.addEventListener('abort', () => clearInterval(timer), { once: true })
  }

  list(tenant: string): WebhookView[] {
    return rowsOf(this.#database.prepare('SELECT * FROM webhooks WHERE tenant = ? ORDER BY id').all(tenant)).map(viewOf)
  }

  /** Makes a webhook, told of what comes from now on. `secret` is in this answer and nowhere else. */
  async create(by: string, tenant: Tenant, { url, events, severity }: WebhookOrder): Promise<WebhookView & { readonly secret: string }> {
    const { origin } = this.#targets.check(url)
    if (this.list(tenant.name).length >= MAX_WEBHOOKS) throw new MisuseError('too_many_webhooks', `server: expected at most ${MAX_WEBHOOKS} webhooks, got as many`, 'remove those that are not used')
    const id = `wh_${randomBytes(9).toString('base64url')}`
    const secret = randomBytes(32)
    await journal(tenant, this.#clock, 'config_change', { what: 'webhook' }, { after: { by, id, origin, events, severity } }) // the rest of a URL may itself be a secret
    const { next } = await tenant.ledger.call<{ next: number }>('standing')
    this.#database.prepare('INSERT INTO webhooks (id, tenant, url, secret, events, severity, created_by, created_at, next) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)').run(id, tenant.name, url, secret, JSON.stringify(events), severity, by, formatTime(this.#clock()), next)
    return { ...this.list(tenant.name).find((one) => one.id === id)!, secret: `whsec_${secret.toString('base64')}` }
  }

  /** False where there is none of that tenant. */
  async remove(by: string, tenant: Tenant, id: string): Promise<boolean> {
    if (!this.list(tenant.name).some((one) => one.id === id)) return false
    await journal(tenant, this.#clock, 'config_change', { what: 'webhook' }, { before: { id }, after: { by, removed: true } })
    return Number(this.#database.prepare('DELETE FROM webhooks WHERE tenant = ? AND id = ?').run(tenant.name, id).changes) > 0
  }

  /** Tells every target what is due; one that is being told goes on. Resolves when all that is due was tried. */
  async look(): Promise<void> {
    if (this.#ending.aborted) return
    for (const row of rowsOf(this.#database.prepare('SELECT * FROM webhooks WHERE disabled_at IS NULL AND due <= ?').all(this.#clock()))) {
      const id = textOf(row, 'id')
      if (this.#busy.has(id)) continue
      this.#busy.set(id, this.#tell(row).catch(this.#report).finally(() => this.#busy.delete(id)))
    }
    await Promise.all(this.#busy.values())
  }

  /** Resolves when no target is being told. */
  async settled(): Promise<void> {
    await Promise.all(this.#busy.values())
  }

  async #tell(row: Row): Promise<void> {
    const id = textOf(row, 'id')
    const tenant = this.#tenants.open(textOf(row, 'tenant'))
    if (tenant === undefined) return
    const { events, severity } = viewOf(row)
    let [next, attempts] = [Number(row['next']), Number(row['attempts'])]
    for (let told = 0; told < AT_ONCE && !this.#ending.aborted; told++) {
      const page = await tenant.ledger.call<{ items: Notice[]; next: number }>('notices', next, events.map((event) => TYPES[event]))
      const notice = page.items.find((one) => isFor(one, severity, this.#clock()))
      if (notice === undefined) {
        if (page.next !== next) this.#set(id, { next: page.next, attempts: 0 })
        if (page.items.length === 0) return
        next = page.next
        continue
      }
      const problem = await this.#send(row, tenant.name, notice)
      attempts++
      if (this.#ending.aborted && problem !== undefined) return
      if (problem === undefined) this.#set(id, { next: notice.index + 1, attempts: 0, told: 1, problem: null })
      else if (problem.gone) return this.#disable(id, problem.says)
      else if (problem.final || attempts > this.#again.length) this.#set(id, { next: notice.index + 1, attempts: 0, skipped: 1, problem: problem.says })
      else {
        const delay = this.#again[attempts - 1]! * 1_000
        return this.#set(id, { next: notice.index, attempts, due: this.#clock() + Math.round(delay * (0.9 + Math.random() * 0.2)), problem: problem.says })
      }
      ;[next, attempts] = [notice.index + 1, 0]
    }
  }

  /** Undefined when the target took it. */
  async #send(row: Row, tenant: string, notice: Notice): Promise<{ says: string; final: boolean; gone: boolean } | undefined> {
    const body = JSON.stringify(messageOf(tenant, notice))
    const message = `msg_${notice.event_id}`
    const timestamp = String(Math.floor(this.#clock() / 1_000))
    const headers = { 'content-type': 'application/json', 'user-agent': 'counterfoil', 'webhook-id': message, 'webhook-timestamp': timestamp, 'webhook-signature': signatureOf(row['secret'] as Uint8Array, message, timestamp, body) }
    try {
      const status = await this.#targets.post(textOf(row, 'url'), headers, body, this.#ending)
      if (status >= 200 && status < 300) return undefined
      return { says: `it answered ${status}`, final: status >= 300 && status < 500 && status !== 408 && status !== 425 && status !== 429, gone: status === 410 }
    } catch (error) {
      return { says: String((error as Error)?.message ?? error).slice(0, 300), final: error instanceof MisuseError || (error as NodeJS.ErrnoException).code === 'ETARGET', gone: false }
    }
  }

  #set(id: string, { next, attempts, due = 0, told = 0, skipped = 0, problem }: { next: number; attempts: number; due?: number; told?: number; skipped?: number; problem?: string | null }): void {
    this.#database.prepare('UPDATE webhooks SET next = ?, attempts = ?, due = ?, told = told + ?, skipped = skipped + ?, problem = CASE WHEN ? THEN ? ELSE problem END WHERE id = ?').run(next, attempts, due, told, skipped, problem === undefined ? 0 : 1, problem ?? null, id)
  }

  #disable(id: string, problem: string): void {
    this.#database.prepare('UPDATE webhooks SET disabled_at = ?, problem = ? WHERE id = ?').run(formatTime(this.#clock()), problem, id)
  }
}

/** The header `webhook-signature`. */
export function signatureOf(secret: Uint8Array, id: string, timestamp: string, body: string): string {
  return `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`
}

/** A finding as severe as asked for, or a request that can still be answered. */
function isFor({ event_type, facts }: Notice, severity: Severity, now: number): boolean {
  if (event_type === 'finding') return SEVERITIES.indexOf(facts['severity'] as Severity) >= SEVERITIES.indexOf(severity)
  return typeof facts['expires_at'] !== 'string' || Date.parse(facts['expires_at']) > now
}

function messageOf(tenant: string, { event_type, event_id, index, session_id, facts, timestamp }: Notice): object {
  const place = { tenant, session_id, index }
  if (event_type === 'finding') return { type: 'finding.raised', timestamp, data: { ...place, event_id, rule: facts['rule'], severity: facts['severity'], events: facts['events'] ?? [] } }
  const { tool_name, risk = null, quorum = 1, expires_at = null } = facts
  return { type: 'approval.requested', timestamp, data: { ...place, approval_id: event_id, tool_name, risk, quorum, expires_at } }
}

function viewOf(row: Row): WebhookView {
  const { problem, disabled_at } = row
  return {
    id: textOf(row, 'id'), url: textOf(row, 'url'), events: JSON.parse(textOf(row, 'events')) as WebhookEvent[], severity: textOf(row, 'severity') as Severity, created_by: textOf(row, 'created_by'), created_at: textOf(row, 'created_at'),
    told: Number(row['told']), skipped: Number(row['skipped']), attempts: Number(row['attempts']), problem: typeof problem === 'string' ? problem : null, disabled_at: typeof disabled_at === 'string' ? disabled_at : null,
  }
}
