// Human approval of one exact action. What is approved is the committed input of the approval_request; the decision names that request by its
// entry hash, and the tool_call re-uses the input by reference (DESIGN §10).

import { formatTime } from '../base/clock.ts'
import { CounterfoilError, MisuseError } from '../base/errors.ts'
import { randomRef } from '../base/ids.ts'
import { foreignLabel } from '../event/label.ts'
import type { Subject } from '../event/model-call.ts'
import { identityOf } from '../event/person.ts'
import type { Risk } from '../event/vocabulary.ts'
import { jsonPiece, messageOf, textPiece } from './content.ts'
import type { Stream } from './stream.ts'

/** How long a question stays open when the action names no end. */
export const APPROVAL_LIFE_MS: number = 10 * 60 * 1000

export interface Action<In = unknown> { readonly tool_name: string; readonly tool_input: In; readonly risk?: Risk; readonly quorum?: number; readonly expires?: Date; readonly summary?: string; readonly subject?: Subject }

/** What the person who decides is given. `tool_input` is as it was recorded, before the tool's schema changes it. `action_digest` is the entry hash of the request on record: it covers tool, input, session and expiry. */
export interface ApprovalRequest<In = unknown> extends Action<In> { readonly approval_id: string; readonly session_id: string; readonly user_id?: string; readonly reasoning: readonly string[]; readonly action_digest: string; readonly signal: AbortSignal }

export interface Approval { readonly approval_id: string; readonly decision: 'approved' | 'rejected' | 'expired'; readonly approver_id?: string; readonly comment?: string }

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
  readonly approver: Approver | undefined
  readonly user_id: string | undefined
  readonly reasoning: readonly string[]
  readonly clock: () => number
  readonly call_id?: string | undefined
  readonly parent_event_id?: string | undefined
  readonly subject?: Subject | undefined
}

/**
 * Puts the request on record (durable), asks, puts the answer on record (durable) and returns it. No answer before the expiry is `expired`; an
 * approver who fails, and the requester as approver, count as rejected. At present one person decides: a quorum above 1 needs a server.
 */
export async function askApproval(action: Action, asking: Asking): Promise<RecordedApproval> {
  const { stream, approver, clock } = asking
  if (action.quorum !== undefined && action.quorum !== 1) throw new MisuseError('no_quorum', `approval: expected a quorum of 1 on a local trail, got ${action.quorum}`, 'a quorum of several people needs a server')
  if (approver === undefined) throw new MisuseError('no_approver', `approval: ${action.tool_name} needs an approval and nobody is there to ask`, "pass approve: to openTrail, or a function as approval: to the tool")
  const expires = action.expires?.getTime() ?? clock() + APPROVAL_LIFE_MS
  const input = jsonPiece(action.tool_input) ?? { m: 'json' as const, content: 'null' }
  // What is shown is what is on record, whatever becomes of the caller's object while the request is written.
  const shownAction: Action = { ...action, tool_input: JSON.parse(input.content as string) as unknown }
  const request = stream.emit('approval_request', {
    facts: { tool_name: foreignLabel(action.tool_name).label, expires_at: formatTime(expires), quorum: 1, ...(action.risk === undefined ? {} : { risk: action.risk }), ...(asking.call_id === undefined ? {} : { call_id: asking.call_id }) },
    payloads: { tool_input: input, shown: jsonPiece({ tool_name: action.tool_name, tool_input: action.tool_input, ...(action.summary === undefined ? {} : { summary: action.summary }), reasoning: asking.reasoning }) },
    parent_event_id: asking.parent_event_id, subject: asking.subject,
  })
  const receipt = await request.durable()
  const shown = clock()
  const approval_id = request.event_id
  const answer = await answerOf(shownAction, approver, asking, { approval_id, entry_hash: receipt.entry_hash!, expires })
  const approval: Approval = { approval_id, decision: answer.decision, ...(answer.approver_id === undefined ? {} : { approver_id: answer.approver_id }), ...(answer.comment === undefined ? {} : { comment: answer.comment }) }
  const decision = stream.emit('approval_decision', {
    facts: {
      request: receipt.entry_hash!, decision: answer.decision, time_to_decide_ms: Math.max(0, Math.round(clock() - shown)),
      ...(answer.approver_id === undefined ? {} : { approver: randomRef(), assurance: answer.assurance ?? 'asserted' }),
    },
    payloads: {
      ...(answer.approver_id === undefined ? {} : { identity: { m: 'json' as const, content: identityOf([answer.approver_id], 'approver'), subject: null } }),
      ...(answer.comment === undefined ? {} : { comment: textPiece(answer.comment) }),
    },
    capture: 'after', parent_event_id: request.event_id, subject: asking.subject,
    outcome: answer.decision === 'approved' ? 'success' : answer.decision === 'expired' ? 'timeout' : 'denied',
  })
  await decision.durable()
  return { approval, request: request.event_id, decision: decision.event_id }
}

type Answer = { decision: 'approved' | 'rejected' | 'expired'; approver_id?: string; comment?: string; assurance?: 'asserted' | 'terminal' | 'api_key' | 'oidc' }

async function answerOf(action: Action, approver: Approver, asking: Asking, on: { approval_id: string; entry_hash: string; expires: number }): Promise<Answer> {
  const abort = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Answer>((resolve) => { timer = setTimeout(() => resolve({ decision: 'expired' }), Math.min(Math.max(0, on.expires - asking.clock()), 2 ** 31 - 1)) })
  try {
    const asked = approver({
      ...action, approval_id: on.approval_id, session_id: asking.stream.session_id, reasoning: asking.reasoning, action_digest: on.entry_hash, signal: abort.signal,
      ...(asking.user_id === undefined ? {} : { user_id: asking.user_id }),
    })
    const answer: Answer = await Promise.race([asked, late])
    if (answer.decision === 'expired') return answer
    if (typeof answer === 'boolean') return { decision: 'rejected', comment: `the approver answered ${String(answer)}; a question about the input belongs to when` }
    if (answer.decision !== 'approved' && answer.decision !== 'rejected') return { decision: 'rejected', comment: `the approver answered ${JSON.stringify(answer.decision)}` }
    if (typeof answer.approver_id !== 'string' || answer.approver_id === '') return { decision: 'rejected', comment: 'the answer does not say who decided' }
    if (answer.decision === 'approved' && answer.approver_id === asking.user_id) return { decision: 'rejected', approver_id: answer.approver_id, comment: 'the person the agent works for cannot approve' }
    return answer
  } catch (error) {
    return { decision: 'rejected', comment: `the approver failed: ${messageOf(error)}` }
  } finally {
    clearTimeout(timer)
    abort.abort()
  }
}
