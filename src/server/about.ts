// Whom sessions said at their start that they are about: content that comes later is theirs, where its author does not say otherwise.

import type { Begun } from '../ledger/reader.ts'
import type { Tenant } from './tenants.ts'

/** Sessions whose answer is remembered, of a tenant: whom a session said it is about at its start never changes. */
const KEPT = 50_000
const known = new WeakMap<Tenant, Map<string, string | null>>()

/** The reference of whom each of these sessions is about; those that are about nobody, or have not begun, are not in it. */
export async function aboutOf(tenant: Tenant, session_ids: Iterable<string>): Promise<Map<string, string>> {
  let remembered = known.get(tenant)
  if (remembered === undefined) known.set(tenant, (remembered = new Map()))
  const about = new Map<string, string>()
  const asked: string[] = []
  for (const session_id of new Set(session_ids)) {
    const ref = remembered.get(session_id)
    if (ref === undefined) asked.push(session_id)
    else if (ref !== null) about.set(session_id, ref)
  }
  if (asked.length === 0) return about
  const begun = await tenant.ledger.call<(Begun | null)[]>('begun', asked)
  for (const [at, session_id] of asked.entries()) {
    const one = begun[at]
    if (one === null || one === undefined || !one.settled) continue
    if (remembered.size >= KEPT) remembered.clear()
    remembered.set(session_id, one.subject)
    if (one.subject !== null) about.set(session_id, one.subject)
  }
  return about
}

/** These sessions have begun now, whatever was remembered of them: one may be written to before it says whom it is about. */
export function begunNow(tenant: Tenant, session_ids: Iterable<string>): void {
  const remembered = known.get(tenant)
  if (remembered !== undefined) for (const session_id of session_ids) remembered.delete(session_id)
}
