// Which sessions a principal may write to whose key names its own agents: those that it begins as one of them, and those that are one of theirs already.

import type { SessionState } from '../event/session.ts'
import type { Parts } from './app.ts'
import { HttpError } from './problem.ts'
import type { Principal } from './roles.ts'
import type { Tenant } from './tenants.ts'

/** An event on its way in, as far as it matters here. */
interface Told { readonly session_id: string; readonly event_type: string; readonly agent_id?: string; readonly facts?: { readonly [name: string]: unknown } }

/** Sessions whose agent is remembered, of all tenants. An agent of a session never changes. */
const KEPT = 50_000
const agents = new WeakMap<Parts, Map<string, string>>()

/** HttpError 403 unless every event may be written by `who`. Costs nothing for principals that are not bound to agents. */
export async function mayWrite(parts: Parts, who: Principal, tenant: Tenant, events: readonly Told[]): Promise<void> {
  if (who.agents === undefined) return
  const own = new Set(who.agents)
  let known = agents.get(parts)
  if (known === undefined) agents.set(parts, (known = new Map()))
  const looked = new Map<string, boolean>()
  for (const { session_id, event_type, agent_id, facts } of events) {
    const says = agent_id ?? facts?.['agent_id']
    if (event_type === 'session_start' && !own.has(String(says))) throw await denied(parts, who, tenant, `as agent ${JSON.stringify(String(says).slice(0, 128))}`)
    const key = `${tenant.name}/${session_id}`
    const agent = known.get(key)
    let may = agent === undefined ? looked.get(session_id) : own.has(agent)
    if (may === undefined) {
      const state = await tenant.ledger.call<SessionState | undefined>('state', session_id)
      // who is to be named may come before the start: such a session is its writer's, and one that is not there is whose begins it
      may = state === undefined || (state.agent_id === '' ? state.writer === who.id : own.has(state.agent_id))
      looked.set(session_id, may)
      if (state !== undefined && state.agent_id !== '') {
        if (known.size >= KEPT) known.clear()
        known.set(key, state.agent_id)
      }
    }
    if (!may) throw await denied(parts, who, tenant, `to session ${session_id}`)
  }
}

async function denied(parts: Parts, who: Principal, tenant: Tenant, what: string): Promise<HttpError> {
  await parts.denied(who, tenant, 'append', 'append')
  return new HttpError(403, 'not_own_agent', `server: nothing was stored: this key may not write ${what}`, 'begin a session as one of the agents of the key, or ask an admin for another')
}
