// People and the acts of agents: answers to requests, one at a time in a tenant so that people are compared, long polls that hear of an answer or a stop
// whoever made it, and the end of what nobody answered.

import { setTimeout as sleep } from 'node:timers/promises'
import { formatTime, type Clock } from '../base/clock.ts'
import { isUuid } from '../base/ids.ts'
import { REFUSED_OUTCOME } from '../event/approval.ts'
import { decisionDraft, expiryDraft, interventionDraft, stopDrafts, type Decided, type INTERVENTIONS, type Stopping } from '../event/deciding.ts'
import { encodeDraft, type Draft } from '../event/draft.ts'
import { defaultMasks } from '../event/mask.ts'
import type { SessionState } from '../event/session.ts'
import type { ApprovalOnRecord, ApprovalSearch, AskedAction, Notice, ShownApproval } from '../ledger/approvals.ts'
import type { Receipt } from '../ledger/handle.ts'
import { APPROVAL_LIFE_MS } from '../recorder/approval.ts'
import { jsonText, requestDrafts, type AskedFor } from './draft.ts'
import { aboutOf } from './about.ts'
import type { People } from './people.ts'
import { HttpError, notFound } from './problem.ts'
import { allows, type Principal } from './roles.ts'
import type { Tenant, Tenants } from './tenants.ts'

/** How often a tenant's log is looked at while somebody waits, and how often for what nobody answered. */
const LOOK_MS = 250
const SWEEP_MS = 5_000
/** The longest that one request waits. */
export const MAX_WAIT_S = 30
const PAGE = 500

export class Oversight {
  readonly #people: People
  readonly #clock: Clock
  readonly #ending: AbortSignal
  readonly #each: () => void
  readonly #tenants = new Map<string, Watched>()

  constructor({ people, tenants, clock, ending, report }: { people: People; tenants: Tenants; clock: Clock; ending: AbortSignal; report: (problem: unknown) => void }) {
    this.#people = people
    this.#clock = clock
    this.#ending = ending
    this.#each = () => {
      for (const tenant of tenants.opened) this.sweep(tenant).catch(report)
    }
  }

  /** Looks now and then for what nobody answered, until the server ends. For the process that listens. */
  start(): void {
    const timer = setInterval(this.#each, SWEEP_MS).unref()
    this.#ending.addEventListener('abort', () => clearInterval(timer), { once: true })
  }

  /** Whether `who` sees a request: agents their own, developers those of their agents, approvers those that they may decide about. */
  sees(who: Principal, { agent_id, writer }: { readonly agent_id: string; readonly writer: string }): boolean {
    if (allows(who.roles, 'decide') && (who.agents === undefined || who.agents.includes(agent_id))) return true
    if (who.roles.includes('agent') && (writer === who.id || who.agents?.includes(agent_id) === true)) return true
    return who.roles.includes('developer') && who.agents?.includes(agent_id) === true
  }

  async list(who: Principal, tenant: Tenant, search: ApprovalSearch, size: number, cursor: string | undefined): Promise<{ items: ApprovalOnRecord[]; next: string | null }> {
    const items: ApprovalOnRecord[] = []
    for (let at = cursor; ;) {
      const page = await tenant.ledger.call<{ items: ApprovalOnRecord[]; next: string | null }>('approvals', search, size - items.length, at)
      items.push(...page.items.filter((one) => this.sees(who, one)))
      if (page.next === null || items.length >= size) return { items, next: page.next }
      at = page.next
    }
  }

  /** The request, as soon as it is settled, or as it is after `waitMs`. HttpError 404 where there is none that `who` sees. */
  async approval(who: Principal, tenant: Tenant, approval_id: string, waitMs: number, gone: AbortSignal): Promise<ApprovalOnRecord> {
    const end = performance.now() + waitMs
    const read = async (): Promise<ApprovalOnRecord> => {
      const found = await tenant.ledger.call<ApprovalOnRecord | undefined>('approval', approval_id)
      if (found === undefined || !this.sees(who, found)) throw notFound('request for approval')
      return found
    }
    for (let found = await read(); ;) {
      const overdue = found.expires_at === null ? Infinity : Date.parse(found.expires_at) - this.#clock()
      const left = Math.min(end - performance.now(), Math.max(overdue + 1, 1))
      if (found.state !== 'open' || performance.now() >= end || gone.aborted || this.#ending.aborted) return found
      await this.#watched(tenant).changed(found.session_id, left, AbortSignal.any([gone, this.#ending]))
      found = await read()
    }
  }

  shown(tenant: Tenant, approval_id: string): Promise<ShownApproval | undefined> {
    return tenant.ledger.call<ShownApproval | undefined>('shownApproval', approval_id)
  }

  /** Ids of the requests of an agent's own that are for exactly this action. */
  async matches(who: Principal, tenant: Tenant, session_id: string, action: { readonly tool_name: string; readonly tool_input: string }): Promise<string[]> {
    const ids = await tenant.ledger.call<string[]>('matchingApprovals', session_id, action)
    const found = await Promise.all(ids.map((id) => tenant.ledger.call<ApprovalOnRecord | undefined>('approval', id)))
    return found.flatMap((one) => (one !== undefined && one.writer === who.id ? [one.approval_id] : []))
  }

  /** The requests that the calls among `events`, as they came, say they rest on, by `<session_id>/<approval_id>`. */
  async asked(tenant: Tenant, events: readonly unknown[]): Promise<Map<string, AskedAction>> {
    const wanted = new Map<string, Set<string>>()
    for (const event of events) {
      const { session_id, approval_id } = (event ?? {}) as { session_id?: unknown; approval_id?: unknown }
      if (typeof session_id === 'string' && isUuid(session_id) && typeof approval_id === 'string' && isUuid(approval_id)) wanted.set(session_id, (wanted.get(session_id) ?? new Set()).add(approval_id))
    }
    const found = new Map<string, AskedAction>()
    for (const [session_id, ids] of wanted) {
      const actions = await tenant.ledger.call<(AskedAction | null)[]>('askedActions', session_id, [...ids])
      for (const [at, id] of [...ids].entries()) if (actions[at] !== null) found.set(`${session_id}/${id}`, actions[at]!)
    }
    return found
  }

  /**
   * Puts the question of `who` on record, durable, under `approval_id`: the same question under the same id is there once. With `reuse` one that is there for
   * exactly this action is answered with, unless it expired or is used up. HttpError 404, 409 where nobody is to be asked any more.
   */
  async ask(who: Principal, tenant: Tenant, approval_id: string, { expires_at, reuse, ...action }: Omit<AskedFor, 'expires_at'> & { readonly expires_at?: string | undefined; readonly reuse?: boolean | undefined }): Promise<{ approval: ApprovalOnRecord; made: boolean }> {
    const { session_id } = action
    return this.#watched(tenant).exclusive(async () => {
      const old = await tenant.ledger.call<ApprovalOnRecord | undefined>('approval', approval_id)
      if (old !== undefined && old.writer !== who.id) throw new HttpError(409, 'event_id_reused', 'server: this approval_id is somebody else\'s', 'make one for each request')
      if (old === undefined) {
        await this.#mayAsk(tenant, session_id)
        const found = reuse === true ? await this.#again(who, tenant, action) : undefined
        if (found !== undefined) return { approval: found, made: false }
      }
      const now = this.#clock()
      const until = expires_at === undefined ? (old?.expires_at ?? formatTime(now + APPROVAL_LIFE_MS)) : formatTime(Date.parse(expires_at))
      if (old === undefined && Date.parse(until) <= now) throw new HttpError(400, 'bad_expiry', `server: expected expires_at to be to come, got ${until}`, 'leave it out for ten minutes from now')
      const drafts = requestDrafts(approval_id, now, { ...action, expires_at: until }, (await aboutOf(tenant, [session_id])).get(session_id))
      receiptOf((await tenant.ledger.append(who.id, drafts, { stamped: drafts.map(() => true) })).at(-1)!)
      const approval = await tenant.ledger.call<ApprovalOnRecord | undefined>('approval', approval_id)
      if (approval === undefined) throw notFound('request for approval')
      return { approval, made: old === undefined }
    })
  }

  /** HttpError unless there is somebody who could do what is asked for. */
  async #mayAsk(tenant: Tenant, session_id: string): Promise<void> {
    const state = await tenant.ledger.call<SessionState | undefined>('state', session_id)
    if (state === undefined) throw notFound('session')
    if (state.state === 'ended') throw new HttpError(409, 'session_ended', `server: session ${session_id} has ended: nobody is asked any more`, 'begin a new session for what is still to be done')
    const { items } = await tenant.ledger.call<{ items: Notice[] }>('notices', 0, ['human_intervention'], session_id)
    if (items.some(({ facts }) => facts['kind'] === 'stop')) throw new HttpError(409, 'session_stopped', `server: session ${session_id} was stopped by a person: nobody is asked any more`, 'ask who stopped it; begin a new session for what is still to be done')
  }

  /** A request that was made for this action before, by whoever asks now. */
  async #again(who: Principal, tenant: Tenant, { session_id, tool_name, tool_input, quorum = 1 }: Pick<AskedFor, 'session_id' | 'tool_name' | 'tool_input' | 'quorum'>): Promise<ApprovalOnRecord | undefined> {
    for (const id of await this.matches(who, tenant, session_id, { tool_name, tool_input: jsonText(tool_input) ?? '' })) {
      const one = await tenant.ledger.call<ApprovalOnRecord | undefined>('approval', id)
      if (one !== undefined && one.state !== 'expired' && one.quorum >= quorum) return one
    }
    return undefined
  }

  /** Puts the answer of `who` on record. HttpError 409 where it does not count, which is on record too. */
  async decide(who: Principal, tenant: Tenant, approval_id: string, decided: Decided): Promise<Receipt> {
    const watched = this.#watched(tenant)
    return watched.exclusive(async () => {
      const found = await tenant.ledger.call<ShownApproval | undefined>('shownApproval', approval_id)
      if (found === undefined || !this.sees(who, found)) throw notFound('request for approval')
      const why = this.#unfit(who, tenant, found, decided)
      const draft = decisionDraft(found, decided, { id: who.id, assurance: 'api_key' }, this.#clock(), defaultMasks)
      const [answer] = await tenant.ledger.append(who.id, [encodeDraft(why === undefined ? draft : { ...draft, outcome: REFUSED_OUTCOME })])
      watched.tell(found.session_id)
      if (why !== undefined) throw new HttpError(409, why.code, `server: ${why.says}`, 'somebody else has to decide')
      return receiptOf(answer!)
    })
  }

  /** What the log cannot know: two principals of one person, and whose agent it is. */
  #unfit(who: Principal, { name }: Tenant, { agent_id, decisions, user_id }: ShownApproval, { decision }: Decided): { code: string; says: string } | undefined {
    if (decision !== 'approved') return undefined
    if (who.kind !== 'person') return { code: 'approval_own', says: `${who.id} is an agent, and cannot approve` }
    if (who.roles.includes('developer') && who.agents?.includes(agent_id) === true) return { code: 'approval_own', says: `${agent_id} is an agent of ${who.id}'s own` }
    const email = who.email?.toLowerCase()
    if (email === undefined) return undefined
    const isMine = (id: string | null): boolean => id !== null && (id.toLowerCase() === email || (id !== who.id && this.#people.get(name, id)?.email?.toLowerCase() === email))
    if (isMine(user_id)) return { code: 'approval_own', says: 'the person the agent works for cannot approve' }
    if (decisions.some(({ counts, approver_id }) => counts && isMine(approver_id))) return { code: 'approval_again', says: 'this person approved already, under another name' }
    return undefined
  }

  /** A person steps in. A stop is also of what came out of the session, and rejects what waits there. */
  async intervene(who: Principal, tenant: Tenant, session_id: string, { kind, note }: { readonly kind: (typeof INTERVENTIONS)[number]; readonly note?: string | undefined }): Promise<{ receipt: Receipt; sessions: readonly string[]; rejected: number }> {
    const watched = this.#watched(tenant)
    return watched.exclusive(async () => {
      const what = await tenant.ledger.call<Stopping>('stopping', session_id)
      if (what.sessions.length === 0) throw notFound('session')
      const person = { id: who.id, assurance: 'api_key' as const }
      const stop = kind === 'stop'
      const drafts: readonly Draft[] = stop ? stopDrafts(what, note, person, this.#clock(), defaultMasks) : [interventionDraft(session_id, { kind, note }, person, this.#clock(), defaultMasks)]
      const [first] = await tenant.ledger.append(who.id, drafts.map(encodeDraft))
      for (const one of what.sessions) watched.tell(one)
      return { receipt: receiptOf(first!), sessions: stop ? what.sessions : [session_id], rejected: stop ? what.open.length : 0 }
    })
  }

  /** Interventions of the session after entry `after`: at once where there are, else when there are, or none after `waitMs`. */
  async interventions(tenant: Tenant, session_id: string, after: number, waitMs: number, gone: AbortSignal): Promise<{ items: Notice[]; next: number }> {
    const end = performance.now() + waitMs
    for (;;) {
      const { items } = await tenant.ledger.call<{ items: Notice[] }>('notices', after + 1, ['human_intervention'], session_id)
      const left = end - performance.now()
      if (items.length > 0 || left <= 0 || gone.aborted || this.#ending.aborted) return { items, next: items.at(-1)?.index ?? after }
      await this.#watched(tenant).changed(session_id, left, AbortSignal.any([gone, this.#ending]))
    }
  }

  /** Puts on record what nobody answered in time, where nobody waits who would. */
  async sweep(tenant: Tenant): Promise<void> {
    const watched = this.#watched(tenant)
    await watched.exclusive(async () => {
      let first: string | undefined
      for (let at = watched.swept; ;) {
        const page = await tenant.ledger.call<{ items: ApprovalOnRecord[]; next: string | null }>('approvals', {}, PAGE, at)
        const overdue = page.items.filter(({ state, decision, expires_at }) => state === 'expired' && decision === null && expires_at !== null)
        if (overdue.length > 0) await tenant.ledger.append('server', overdue.map((one) => encodeDraft(expiryDraft(one, this.#clock()))))
        for (const { session_id } of overdue) watched.tell(session_id)
        first ??= page.items.find(({ state }) => state === 'open')?.index.toString()
        if (first === undefined && page.items.length > 0) watched.swept = String(page.items.at(-1)!.index + 1)
        if (page.next === null) break
        at = page.next
      }
      if (first !== undefined) watched.swept = first
    })
  }

  #watched({ name, ledger }: Tenant): Watched {
    let watched = this.#tenants.get(name)
    if (watched === undefined) this.#tenants.set(name, (watched = new Watched((from) => ledger.call('notices', from, ['approval_decision', 'human_intervention']), () => ledger.status().size)))
    return watched
  }
}

function receiptOf(answer: Receipt | { readonly refused: { readonly code: string; readonly message: string; readonly next: string } }): Receipt {
  if ('refused' in answer) throw new HttpError(409, answer.refused.code, answer.refused.message, answer.refused.next)
  return answer
}

/** Who waits in one tenant for what, and whose turn it is to decide. The log is looked at while somebody waits: another process may have answered. */
class Watched {
  readonly #notices: (from: number) => Promise<{ items: Notice[]; next: number }>
  readonly #size: () => number
  readonly #waiting = new Map<string, Set<() => void>>()
  #next: number | undefined
  #looking = false
  #queue: Promise<unknown> = Promise.resolve()
  /** The index before which every request is settled, as far as it was looked at. */
  swept = '0'

  constructor(notices: (from: number) => Promise<{ items: Notice[]; next: number }>, size: () => number) {
    this.#notices = notices
    this.#size = size
  }

  /** One at a time. */
  exclusive<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(run)
    this.#queue = turn.catch(() => {})
    return turn
  }

  /** Something was done to the session. */
  tell(session_id: string): void {
    for (const wake of this.#waiting.get(session_id) ?? []) wake()
  }

  /** Resolves when something was done to the session, after `ms`, or when `signal` is aborted. */
  async changed(session_id: string, ms: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController()
    const wake = (): void => woken.abort()
    const waiting = this.#waiting.get(session_id) ?? new Set()
    this.#waiting.set(session_id, waiting.add(wake))
    if (!this.#looking) void this.#look()
    try {
      await sleep(ms, undefined, { signal: AbortSignal.any([signal, woken.signal]) })
    } catch {
      // woken
    } finally {
      waiting.delete(wake)
      if (waiting.size === 0) this.#waiting.delete(session_id)
    }
  }

  async #look(): Promise<void> {
    this.#looking = true
    this.#next ??= Math.max(0, this.#size() - PAGE) // what was done a moment before the wait began
    try {
      while (this.#waiting.size > 0) {
        const { items, next } = await this.#notices(this.#next)
        this.#next = next
        for (const { session_id } of items) this.tell(session_id)
        if (items.length < PAGE) await sleep(LOOK_MS)
      }
    } catch {
      for (const session_id of this.#waiting.keys()) this.tell(session_id) // they ask themselves, and hear what is wrong
    } finally {
      this.#looking = false
      this.#next = undefined
    }
  }
}

/** HttpError 403 where what is handed in claims that the server knows who decided: only its own route may say so. */
export function checkClaims(told: readonly { readonly event_type: string; readonly facts?: { readonly [name: string]: unknown } }[]): void {
  for (const { event_type, facts } of told) {
    const claim = event_type === 'approval_decision' ? facts?.['assurance'] : undefined
    if (claim === 'api_key' || claim === 'oidc') throw new HttpError(403, 'not_signed_in', `server: nothing was stored: a decision says ${claim}, and did not come from a person's key`, 'people decide with POST /v1/approvals/{approval_id}/decisions')
  }
}
