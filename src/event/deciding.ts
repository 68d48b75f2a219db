// What a person does from outside the agent's process, as drafts: an answer to a request for approval, a step into a session. They belong to no
// recorder's stream: nobody who is gone would be missed in it.

import { formatTime } from '../base/clock.ts'
import { randomRef, uuidv7 } from '../base/ids.ts'
import type { Draft, DraftPayload } from './draft.ts'
import { applyMasks, type Mask } from './mask.ts'
import { identityOf } from './person.ts'

/** Who acts, by the id that the deciding side knows them under, and how it knows them. */
export interface Person { readonly id: string; readonly assurance: 'terminal' | 'api_key' | 'oidc' }

/** What is answered: the request's event id and entry hash, its session, and when it was asked. */
export interface Question { readonly approval_id: string; readonly entry_hash: string; readonly session_id: string; readonly asked_at: string }

export interface Decided { readonly decision: 'approved' | 'rejected'; readonly comment?: string | undefined }

/** The answer of `person` at `now`. A comment is content, and masked. */
export function decisionDraft(question: Question, { decision, comment }: Decided, person: Person, now: number, masks: readonly Mask[]): Draft {
  return {
    event_id: uuidv7(now), event_type: 'approval_decision', session_id: question.session_id, timestamp: formatTime(now), capture: 'after', parent_event_id: question.approval_id, outcome: decision === 'approved' ? 'success' : 'denied',
    facts: { request: question.entry_hash, decision, approver: randomRef(), assurance: person.assurance, time_to_decide_ms: Math.max(0, now - Date.parse(question.asked_at)) },
    payloads: { identity: { m: 'json', content: identityOf([person.id], 'approver') }, ...(comment === undefined ? {} : { comment: textOf(comment, masks) }) }, persons: [person.id],
  }
}

/** Nobody answered in time, as the ledger's side says. */
export function expiryDraft(question: Question, now: number): Draft {
  return {
    event_id: uuidv7(now), event_type: 'approval_decision', session_id: question.session_id, timestamp: formatTime(now), capture: 'after', parent_event_id: question.approval_id, outcome: 'timeout',
    facts: { request: question.entry_hash, decision: 'expired' }, payloads: {},
  }
}

export const INTERVENTIONS = ['stop', 'override', 'edit', 'takeover'] as const

/** A person steps into a session. */
export function interventionDraft(session_id: string, { kind, note }: { readonly kind: (typeof INTERVENTIONS)[number]; readonly note?: string | undefined }, person: Pick<Person, 'id'>, now: number, masks: readonly Mask[]): Draft {
  return {
    event_id: uuidv7(now), event_type: 'human_intervention', session_id, timestamp: formatTime(now), capture: 'after', facts: { kind, actor: randomRef() },
    payloads: { identity: { m: 'json', content: identityOf([person.id], 'operator') }, ...(note === undefined ? {} : { note: textOf(note, masks) }) }, persons: [person.id],
  }
}

/** What a stop is of: the session with the open ones that came out of it, and their requests that nobody has answered. */
export interface Stopping { readonly sessions: readonly string[]; readonly open: readonly Question[] }

/** `person` stops sessions: no act follows in them, and what waits for an approval is rejected. */
export function stopDrafts({ sessions, open }: Stopping, note: string | undefined, person: Person, now: number, masks: readonly Mask[]): Draft[] {
  return [
    ...sessions.map((session_id) => interventionDraft(session_id, { kind: 'stop', note }, person, now, masks)),
    ...open.map((question) => decisionDraft(question, { decision: 'rejected', comment: 'the session was stopped' }, person, now, [])),
  ]
}

function textOf(text: string, masks: readonly Mask[]): DraftPayload {
  if (!text.isWellFormed()) return { m: 'json', content: JSON.stringify(text) }
  const { text: content, masked } = applyMasks(text, 'text', masks)
  return { m: 'text', content, ...(masked.length === 0 ? {} : { masked }) }
}
