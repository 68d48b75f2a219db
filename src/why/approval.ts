// The approval of an act: what was put before whom, who decided, and whether the act is the one that was approved.

import { Settling } from '../event/approval.ts'
import { Absent, type ViewEvent } from '../event/view.ts'
import { absentOf, textOf } from './message.ts'
import type { Approval, Decision } from './result.ts'
import { sameJson } from './same.ts'
import type { Session } from './session.ts'

/** The request that a decision answers, by its entry hash. */
export function requestOf(session: Session, decision: ViewEvent): ViewEvent | undefined {
  return session.events.find((event) => event.event_type === 'approval_request' && event.entry_hash === decision.request)
}

/** The approval of a tool call; of a request or decision, the one it belongs to. */
export function approvalOf(session: Session, event: ViewEvent, position: number, input: unknown): Approval {
  const request = findRequest(session, event, position)
  const decisions = request === undefined ? claimed(session, event) : session.events.filter((one) => one.event_type === 'approval_decision' && one.request === request.entry_hash)
  if (request === undefined && decisions.length === 0) return { ...NONE, status: event.requires_approval === true || event.approval !== undefined ? 'required_missing' : 'none_asked' }
  const readable = request !== undefined && !(request.tool_input instanceof Absent) && !(input instanceof Absent)
  return {
    status: statusOf(event, decisions, request),
    request_index: request?.index ?? null,
    shown: request === undefined ? null : textOf(request.shown),
    quorum: typeof request?.quorum === 'number' ? request.quorum : null,
    same_input: readable ? sameJson(request.tool_input ?? null, input ?? null) && (event.tool_name === undefined || event.tool_name === request.tool_name) : null,
    absent: request === undefined || readable ? null : absentOf(request.tool_input, input),
    decisions: decisions.map((decision) => decisionOf(session, decision)),
  }
}

const NONE: Approval = { status: 'none_asked', request_index: null, shown: null, quorum: null, same_input: null, absent: null, decisions: [] }

// The act names the decision by its seq. Without that, a request of the same call id before the act.
function findRequest(session: Session, event: ViewEvent, position: number): ViewEvent | undefined {
  if (event.event_type === 'approval_request') return event
  if (event.event_type === 'approval_decision') return requestOf(session, event)
  const [decision] = claimed(session, event)
  if (event.approval !== undefined) return decision && requestOf(session, decision)
  if (event.event_type !== 'tool_call') return undefined
  return session.events.findLast((one, at) =>
    at < position && one.event_type === 'approval_request' && one.session_id === event.session_id && typeof one.call_id === 'string' && one.call_id === event.call_id)
}

function claimed(session: Session, event: ViewEvent): ViewEvent[] {
  if (event.event_type === 'approval_decision') return [event]
  if (typeof event.approval !== 'number') return []
  return session.events.filter((one) => one.event_type === 'approval_decision' && one.seq === event.approval && one.session_id === event.session_id)
}

// One refusal outweighs all: it is stated first, also where somebody else approved. Fewer approvals than the quorum are pending.
function statusOf(event: ViewEvent, decisions: readonly ViewEvent[], request: ViewEvent | undefined): Approval['status'] {
  const settling = new Settling(request?.quorum)
  for (const { seq, decision, approver, outcome } of decisions) settling.add({ seq, decision, approver, outcome })
  if (settling.settled !== undefined) return settling.settled.decision
  return event.event_type === 'tool_call' && settling.counted.length === 0 ? 'required_missing' : 'pending'
}

function decisionOf(session: Session, event: ViewEvent): Decision {
  const start = session.events.find(({ event_type, session_id }) => event_type === 'session_start' && session_id === event.session_id)
  const user = start?.user
  const who = nameOf(event.identity)
  const is_requester =
    typeof event.approver === 'string' && typeof user === 'string' && event.approver === user ? true
    : who !== null && nameOf(start?.identity ?? event.user_id) !== null ? who === nameOf(start?.identity ?? event.user_id)
    : null // that the references differ says nothing: each may be made for its one event
  return {
    index: event.index, decision: typeof event.decision === 'string' ? event.decision : '', who,
    assurance: typeof event.assurance === 'string' ? event.assurance : null,
    time_to_decide_ms: typeof event.time_to_decide_ms === 'number' ? event.time_to_decide_ms : null,
    comment: textOf(event.comment), absent: absentOf(event.identity, event.comment), is_requester,
  }
}

// An identity is a text, or an object that says who under a name of its own.
function nameOf(identity: unknown): string | null {
  if (typeof identity === 'string') return identity
  if (typeof identity !== 'object' || identity === null || identity instanceof Absent) return null
  for (const name of ['approver_id', 'user_id', 'id', 'subject', 'email', 'name']) {
    const value: unknown = Reflect.get(identity, name)
    if (typeof value === 'string') return value
  }
  return textOf(identity)
}
