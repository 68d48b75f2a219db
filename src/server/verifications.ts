// Verifications that were asked for: each runs in its tenant's ledger while others wait or look how far it is. Few at once, and few remembered.

import { formatTime, type Clock } from '../base/clock.ts'
import { CounterfoilError, messageOf } from '../base/errors.ts'
import { uuidv7 } from '../base/ids.ts'
import type { Verdict } from '../verify/verdict.ts'
import { HttpError } from './problem.ts'
import type { Tenant } from './tenants.ts'

export interface Verification {
  readonly id: string
  readonly state: 'running' | 'done' | 'failed'
  readonly started_at: string
  readonly ended_at?: string
  /** Entries and contents that were read, of how many. */
  readonly done: number
  readonly total: number
  readonly since?: string
  readonly verdict?: Verdict
  readonly error?: { readonly code: string; readonly detail: string; readonly next: string }
}

/** In one tenant and in all; each takes every core for a large log. */
const MAX_RUNNING = 4
/** Of one tenant, ended ones included. */
const MAX_KEPT = 20
/** How long an answer waits for a ledger that is busy verifying. */
const LOOK_MS = 500

export class Verifications {
  readonly #clock: Clock
  readonly #byTenant = new Map<string, Map<string, Verification>>()
  #running = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Begins one. HttpError 429 where one runs in this tenant, 503 where too many run at all. */
  begin({ name, ledger }: Tenant, since: string | undefined): Verification {
    const own = this.#byTenant.get(name) ?? new Map<string, Verification>()
    this.#byTenant.set(name, own)
    const running = [...own.values()].find(({ state }) => state === 'running')
    if (running !== undefined) throw new HttpError(429, 'verifying', `server: a verification of this trail is running, ${running.id}`, `GET /v1/verifications/${running.id} says how far it is`, { headers: { 'retry-after': '1' } })
    if (this.#running >= MAX_RUNNING) throw new HttpError(503, 'busy', `server: expected at most ${MAX_RUNNING} verifications at once, got as many`, 'ask again in a moment', { headers: { 'retry-after': '5' } })
    const now = this.#clock()
    const id = uuidv7(now)
    const begun: Verification = { id, state: 'running', started_at: formatTime(now), done: 0, total: ledger.status().size, ...(since === undefined ? {} : { since }) }
    own.set(id, begun)
    if (own.size > MAX_KEPT) own.delete(own.keys().next().value!)
    this.#running++
    const end = (what: Partial<Verification>): void => {
      this.#running--
      if (own.has(id)) own.set(id, { ...own.get(id)!, ...what, ended_at: formatTime(this.#clock()) })
    }
    ledger.call<Verdict>('verify', { job: id, ...(since === undefined ? {} : { since }) }).then(
      (verdict) => end({ state: 'done', verdict, done: verdict.size, total: verdict.size }),
      (error: unknown) => end({ state: 'failed', error: said(error) }),
    )
    return begun
  }

  /** One of a tenant, as far as it is now. */
  async get({ name, ledger }: Tenant, id: string): Promise<Verification | undefined> {
    const known = this.#byTenant.get(name)?.get(id)
    if (known?.state !== 'running') return known
    const late = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => late.resolve(undefined), LOOK_MS)
    const now = await Promise.race([late.promise, ledger.call<{ done: number; total: number } | undefined>('progress', id).catch(() => undefined)])
    clearTimeout(timer)
    const own = this.#byTenant.get(name)!
    const then = own.get(id)
    if (then?.state === 'running' && now !== undefined) own.set(id, { ...then, ...now })
    return own.get(id)
  }
}

function said(error: unknown): NonNullable<Verification['error']> {
  if (error instanceof CounterfoilError) return { code: error.code, detail: messageOf(error), next: error.next === '' ? 'run counterfoil verify on the server' : error.next }
  return { code: 'internal', detail: 'server: the verification failed for a reason that is in the log of the server', next: 'run counterfoil verify on the server' }
}
