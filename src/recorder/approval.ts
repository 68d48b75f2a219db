// Human approval of one exact action. What is approved is the committed input of the approval_request; the decision names that request by its
// entry hash, and the tool_call re-uses the input by reference (DESIGN §10).

import { formatTime } from '../base/clock.ts'
import { CounterfoilError, MisuseError } from '../base/errors.ts'
import { randomRef } from '../base/ids.ts'
import { MAX_QUORUM } from '../event/approval.ts'
import { foreignLabel } from '../event/label.ts'
import type { Mask } from '../event/mask.ts'
import type { Piece, Subject } from '../event/model-call.ts'
import { identityOf } from '../event/person.ts'
import type { Risk } from '../event/vocabulary.ts'
import { isA, jsonPiece, maskPiece, messageOf, textPiece } from './content.ts'
import { waitForOthers } from './others.ts'
import { SessionStopped, type Oversight, type RequestStanding } from './oversight.ts'
import { isRefusal } from './sink.ts'
import type { Recorded, Stream } from './stream.ts'

/** How long a question stays open when the action names no end. */
export const APPROVAL_LIFE_MS: number = 10 * 60 * 1000

export interface Action<In = unknown> { readonly tool_name: string; readonly tool_input: In; readonly risk?: Risk; readonly quorum?: number; readonly expires?: Date; readonly summary?: string; readonly subject?: Subject }

/** What the person who decides is given. `tool_input` is as it was recorded, before the tool's schema changes it. `action_digest` is the entry hash of the request on record: it covers tool, input, session and expiry. */
export interface ApprovalRequest<In = unknown> extends Action<In> { readonly approval_id: string; readonly session_id: string; readonly user_id?: string; readonly reasoning: readonly string[]; readonly action_digest: string; readonly signal: AbortSignal }

export interface Approval { readonly approval_id: string; readonly decision: 'approved' | 'rejected' | 'expired'; readonly approver_id?: string; readonly comment?: string }

/** Others decide: people at a terminal (`counterfoil approvals`) or on a server, in their own time. */
export type Others = 'others'

/** Asks a person. `assurance` says how we know who answered; default `asserted`. */
export type Approver<In = unknown> = (request: ApprovalRequest<In>) => Promise<{ decision: 'approved' | 'rejected'; approver_id: string; comment?: string; assurance?: 'asserted' | 'terminal' | 'api_key' | 'oidc' }>

/** The act was not approved, and did not happen. */
export class ApprovalDenied extends CounterfoilError {
  readonly approval: Approval
  constructor(approval: Approval, tool_name: string) {
    const who = approval.approver_id === undefined ? '' : ` by ${approval.approver_id}`
    const why = approval.comment === undefined ? '' : ` (${approval.comment})`
    super('approval_denied', `approval: ${tool_name} was ${approval.decision}${who}${why} and did not run`, approval.decision === 'expired' ? 'ask again, with a later expiry or a person who is there' : 'ask again only when what was objected to is changed')
    this.approval = approval
  }
}

/** An approval on record: `request` and `decision` are event ids. */
export interface RecordedApproval { readonly approval: Approval; readonly request: string; readonly decision: string }

export interface Asking {
  readonly stream: Stream
  readonly approver: Approver | Others | undefined
  readonly oversight: Oversight
  readonly masks: readonly Mask[]
  /** Aborted when the session is stopped or laid down. */
  readonly signal: AbortSignal
  /** How long a wait for a log in which nothing moves lasts, in milliseconds. */
  readonly patience: number
  /** Of a session that was taken up: the requests that were found again. Undefined in one that began here, where nothing is looked for. */
  readonly found: Set<string> | undefined
  readonly user_id: string | undefined
  readonly reasoning: readonly string[]
  readonly clock: () => number
  readonly call_id?: string | undefined
  readonly parent_event_id?: string | undefined
  readonly subject?: Subject | undefined
}

/**
 * Puts the request on record (durable), asks, puts the answer on record (durable) and returns it. No answer before the expiry is `expired`; an
 * approver who fails, and the requester as approver, count as rejected. A function asks one person; `others` may be several.
 */
export async function askApproval(action: Action, asking: Asking): Promise<RecordedApproval> {
  const { approver, clock } = asking
  const quorum = checkQuorum(action.quorum, approver)
  if (approver === undefined) throw new MisuseError('no_approver', `approval: ${action.tool_name} needs an approval and nobody is there to ask`, "pass approve: to openTrail, or a function or 'others' as approval: to the tool")
  const expires = action.expires?.getTime() ?? clock() + APPROVAL_LIFE_MS
  const input = jsonPiece(action.tool_input) ?? { m: 'json' as const, content: 'null' }
  const known = approver === 'others' && asking.found !== undefined ? await foundAgain(action, input, quorum, asking, asking.found) : undefined
  if (known !== undefined) return others(known.id, known.expires ?? expires, action, asking)
  const request = emitRequest(action, input, { quorum, expires }, asking)
  const receipt = await request.durable()
  if (approver === 'others') return others(request.event_id, expires, action, asking)
  // What is shown is what is on record, whatever becomes of the caller's object while the request is written.
  const shownAction: Action = { ...action, tool_input: JSON.parse(input.content as string) as unknown }
  return onePerson(shownAction, approver, asking, { approval_id: request.event_id, entry_hash: receipt.entry_hash!, expires })
}

function checkQuorum(quorum: number | undefined, approver: Asking['approver']): number {
  if (quorum === undefined || quorum === 1) return 1
  if (!Number.isSafeInteger(quorum) || quorum < 1 || quorum > MAX_QUORUM) throw new MisuseError('bad_quorum', `approval: expected a quorum of 1 to ${MAX_QUORUM} people, got ${String(quorum)}`, 'say how many people have to approve')
  if (approver !== 'others') throw new MisuseError('no_quorum', `approval: expected a quorum of 1 where a function asks, got ${quorum}`, "several people decide for themselves: approval: 'others'")
  return quorum
}

function emitRequest(action: Action, input: Piece, { quorum, expires }: { quorum: number; expires: number }, asking: Asking): Recorded {
  return asking.stream.emit('approval_request', {
    facts: { tool_name: foreignLabel(action.tool_name).label, expires_at: formatTime(expires), quorum, ...(action.risk === undefined ? {} : { risk: action.risk }), ...(asking.call_id === undefined ? {} : { call_id: asking.call_id }) },
    payloads: { tool_input: input, shown: jsonPiece({ tool_name: action.tool_name, tool_input: action.tool_input, ...(action.summary === undefined ? {} : { summary: action.summary }), reasoning: asking.reasoning }) },
    parent_event_id: asking.parent_event_id, subject: asking.subject,
  })
}

/** The request that was made for this action before the session was taken up. What was masked may have been another input. */
async function foundAgain(action: Action, input: Piece, wanted: number, { stream, oversight, masks, signal }: Asking, found: Set<string>): Promise<{ id: string; expires: number | undefined } | undefined> {
  const { content, masked } = maskPiece(input, masks)
  if (masked !== undefined && masked.length > 0) return undefined
  for (const id of await oversight.matches(stream.session_id, { tool_name: foreignLabel(action.tool_name).label, tool_input: content as string })) {
    if (found.has(id)) continue
    found.add(id)
    const { expires_at, quorum } = await oversight.approval(id, 0, signal)
    if (quorum < wanted) continue // more people are asked for now
    return { id, expires: expires_at === null ? undefined : Date.parse(expires_at) }
  }
  return undefined
}

/** Waits for the answers of others, which they put on record themselves. */
async function others(approval_id: string, expires: number, action: Action, asking: Asking): Promise<RecordedApproval> {
  const { stream, oversight, clock, signal, patience } = asking
  const expire = async ({ entry_hash }: RequestStanding): Promise<void> => {
    const decision = stream.emit('approval_decision', { facts: { request: entry_hash, decision: 'expired' }, capture: 'after', parent_event_id: approval_id, subject: action.subject, outcome: 'timeout' })
    await stream.reach(decision.event_id, 'durable', patience).catch(() => {}) // no act follows either way
  }
  const standing = await waitForOthers(approval_id, expires, { oversight, clock, signal, expire })
  const by = standing.decisions.find(({ event_id }) => event_id === standing.decision)
  const approval: Approval = {
    approval_id, decision: standing.state === 'open' ? 'expired' : standing.state,
    ...(typeof by?.approver_id === 'string' ? { approver_id: by.approver_id } : {}), ...(typeof by?.comment === 'string' ? { comment: by.comment } : {}),
  }
  return { approval, request: approval_id, decision: standing.decision ?? '' }
}

/** Asks one person, and puts the answer on record. An answer that the ledger refuses is none. */
async function onePerson(action: Action, approver: Approver, asking: Asking, on: { approval_id: string; entry_hash: string; expires: number }): Promise<RecordedApproval> {
  const { stream, clock } = asking
  const { approval_id } = on
  const shown = clock()
  const answer = await answerOf(action, approver, asking, on)
  const decision = stream.emit('approval_decision', {
    facts: {
      request: on.entry_hash, decision: answer.decision, time_to_decide_ms: Math.max(0, Math.round(clock() - shown)),
      ...(answer.approver_id === undefined ? {} : { approver: randomRef(), assurance: answer.assurance ?? 'asserted' }),
    },
    payloads: {
      ...(answer.approver_id === undefined ? {} : { identity: { m: 'json' as const, content: identityOf([answer.approver_id], 'approver'), subject: null } }),
      ...(answer.comment === undefined ? {} : { comment: textPiece(answer.comment) }),
    },
    capture: 'after', parent_event_id: approval_id, subject: asking.subject, ...(answer.approver_id === undefined ? {} : { persons: [answer.approver_id] }),
    outcome: answer.decision === 'approved' ? 'success' : answer.decision === 'expired' ? 'timeout' : 'denied',
  })
  const approval: Approval = { approval_id, decision: answer.decision, ...(answer.approver_id === undefined ? {} : { approver_id: answer.approver_id }), ...(answer.comment === undefined ? {} : { comment: answer.comment }) }
  const recorded = { request: approval_id, decision: decision.event_id }
  try {
    await decision.durable()
  } catch (error) {
    if (!isRefusal(error)) throw error
    return { approval: { ...approval, decision: (error as { code?: unknown }).code === 'approval_late' ? 'expired' : 'rejected', comment: messageOf(error) }, ...recorded }
  }
  return { approval, ...recorded }
}

type Answer = { decision: 'approved' | 'rejected' | 'expired'; approver_id?: string; comment?: string; assurance?: 'asserted' | 'terminal' | 'api_key' | 'oidc' }

async function answerOf(action: Action, approver: Approver, asking: Asking, on: { approval_id: string; entry_hash: string; expires: number }): Promise<Answer> {
  const abort = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const stopped = new Promise<never>((_, reject) => {
    if (asking.signal.aborted) reject(asking.signal.reason as Error)
    else asking.signal.addEventListener('abort', () => reject(asking.signal.reason as Error), { once: true, signal: abort.signal })
  })
  const late = new Promise<Answer>((resolve) => { timer = setTimeout(() => resolve({ decision: 'expired' }), Math.min(Math.max(0, on.expires - asking.clock()), 2 ** 31 - 1)) })
  try {
    const asked = approver({
      ...action, approval_id: on.approval_id, session_id: asking.stream.session_id, reasoning: asking.reasoning, action_digest: on.entry_hash, signal: abort.signal,
      ...(asking.user_id === undefined ? {} : { user_id: asking.user_id }),
    })
    const answer: Answer = await Promise.race([asked, late, stopped])
    if (answer.decision === 'expired') return answer
    if (typeof answer === 'boolean') return { decision: 'rejected', comment: `the approver answered ${String(answer)}; a question about the input belongs to when` }
    if (answer.decision !== 'approved' && answer.decision !== 'rejected') return { decision: 'rejected', comment: `the approver answered ${JSON.stringify(answer.decision)}` }
    if (typeof answer.approver_id !== 'string' || answer.approver_id === '') return { decision: 'rejected', comment: 'the answer does not say who decided' }
    if (answer.decision === 'approved' && answer.approver_id === asking.user_id) return { decision: 'rejected', approver_id: answer.approver_id, comment: 'the person the agent works for cannot approve' }
    return answer
  } catch (error) {
    if (asking.signal.aborted && !isA(asking.signal.reason, SessionStopped)) throw asking.signal.reason // laid down: nobody said no
    if (asking.signal.aborted) return { decision: 'rejected', comment: messageOf(asking.signal.reason) }
    return { decision: 'rejected', comment: `the approver failed: ${messageOf(error)}` }
  } finally {
    clearTimeout(timer)
    abort.abort()
  }
}
