// An act of risk high or above that no approval on record fits: none was asked for, it was not given, it was for another input, it had
// expired or was used up, or whoever the agent works for gave it. Where the inputs cannot be compared, nothing is said.

import type { ViewEvent } from '../../event/view.ts'
import { approvalOf } from '../../why/approval.ts'
import type { Approval } from '../../why/result.ts'
import type { Session } from '../../why/session.ts'
import { isRiskyAct, shownWithRisk } from '../act.ts'
import type { Rule, Watcher } from '../rule.ts'

export const unapprovedAct: Rule = { name: 'unapproved_act', says: 'a tool of risk high or above was called without an approval that fits the call', begin }

function begin(): Watcher {
  /** requests by index that an act used */
  const used = new Map<number, number>()
  return (event, session) => {
    if (!isRiskyAct(event)) return []
    const approval = approvalOf(session, event, session.position(event.event_id)!, event['tool_input'])
    const request = approval.request_index
    const why = unfit(event, approval, session) ?? (request !== null && used.has(request) ? `the approval asked for in #${request} was used by #${used.get(request)} before` : undefined)
    if (why === undefined) {
      if (request !== null) used.set(request, event.index)
      return []
    }
    const sources = session.events.filter(({ index }) => index === request || approval.decisions.some((decision) => decision.index === index))
    return [{ severity: event['risk'] === 'critical' ? 'critical' : 'high', acts: [event], sources, explanation: `${shownWithRisk(event)} was called without an approval that fits: ${why}.` }]
  }
}

/** Why the approval does not fit the act; undefined where it does, or where that cannot be told. */
function unfit(act: ViewEvent, { status, request_index, same_input, decisions, quorum }: Approval, session: Session): string | undefined {
  const asked = `the one asked for in #${request_index}`
  if (status === 'none_asked') return 'none is on record'
  if (status === 'required_missing' && request_index === null) return 'it should have one, and none is on record'
  if (status === 'required_missing') return `${asked} was not answered before it`
  if (status === 'pending') return quorum !== null && quorum > 1 ? `${asked} needs ${quorum} persons, and fewer had approved` : `${asked} was not answered before it`
  const last = decisions.find(({ decision }) => decision !== 'approved')
  if (status !== 'approved') return `${asked} ${status === 'expired' ? 'had expired' : 'was rejected'}${last === undefined ? '' : ` (#${last.index})`}`
  if (same_input === false) return `${asked} was for another tool or another input`
  const own = decisions.find(({ is_requester }) => is_requester === true)
  if (own !== undefined) return `#${own.index} was decided by the person whom the agent works for`
  const expires: unknown = session.events.find(({ index }) => index === request_index)?.['expires_at']
  const when = act.capture === 'imported' ? act.timestamp : act.recorded_at
  if (typeof expires === 'string' && Date.parse(expires) < Date.parse(when)) return `${asked} had expired at ${expires}`
  return undefined
}
