// Which event one would ask about first, where nobody names one.

import type { ViewEvent } from '../event/view.ts'
import { riskiest } from './why.ts'

/**
 * The event of a session that one would ask about first: its last act of high risk; where there is none, the last request of high risk that
 * never became an act, since a refused refund says more than the lookup before it; else the last act, or request.
 */
export function worthAsking(events: readonly ViewEvent[]): ViewEvent | undefined {
  const act = riskiest(events)
  if (act !== undefined && isHigh(act)) return act
  const requests = notDone(events)
  return requests.findLast(isHigh) ?? act ?? requests.at(-1)
}

/** The requests for approval that never became an act. */
export function notDone(events: readonly ViewEvent[]): ViewEvent[] {
  const done = requestsDone(events)
  return events.filter(({ event_type, entry_hash }) => event_type === 'approval_request' && !done.has(entry_hash))
}

/** Whether an act, or what was asked for, is of risk high or critical. */
export function isHigh(event: ViewEvent): boolean {
  return event['risk'] === 'high' || event['risk'] === 'critical'
}

/** Which requests became acts, by entry hash: an act names the decision that allowed it by its seq. */
function requestsDone(events: readonly ViewEvent[]): Set<unknown> {
  const place = (event: ViewEvent, seq: unknown): string => `${event.session_id}/${String(seq)}`
  const requests = new Map(events.filter(({ event_type }) => event_type === 'approval_decision').map((event) => [place(event, event.seq), event['request']]))
  return new Set(events.filter(({ event_type }) => event_type === 'tool_call').map((event) => requests.get(place(event, event['approval']))))
}

/** The newest sessions that are looked through for an act of high risk. */
const MAX_SESSIONS = 200
const MAX_PARENTS = 16

/** Of sessions, newest first: the act of high risk of the newest that has one, done or only asked for; else what the newest has to ask about. */
export async function lastWorthAsking(sessions: AsyncIterable<{ readonly session_id: string }>, eventsOf: (session_id: string) => Promise<readonly ViewEvent[]>): Promise<ViewEvent | undefined> {
  let other: ViewEvent | undefined
  let looked = 0
  for await (const { session_id } of sessions) {
    if (++looked > MAX_SESSIONS) break
    const act = worthAsking(await eventsOf(session_id))
    if (act !== undefined && isHigh(act)) return act
    other ??= act
  }
  return other
}

/** The events of a session and of those that it came from. */
export async function withParents(session_id: string, eventsOf: (session_id: string) => Promise<readonly ViewEvent[]>): Promise<ViewEvent[]> {
  const events: ViewEvent[] = []
  const seen = new Set<string>()
  for (let next: string | undefined = session_id; next !== undefined && !seen.has(next) && seen.size < MAX_PARENTS;) {
    seen.add(next)
    const own = await eventsOf(next)
    events.push(...own)
    const parent = own.find(({ event_type }) => event_type === 'session_start')?.['parent_session_id']
    next = typeof parent === 'string' ? parent : undefined
  }
  return events
}
