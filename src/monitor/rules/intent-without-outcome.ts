// A tool was called, and no result of it is on record when its session ended, when its recorder was gone, or long after. What happened
// in the world is not known then. The call is told of once; a result that comes later does not take that back.

import type { ViewEvent } from '../../event/view.ts'
import { calledBy } from '../../why/about.ts'
import type { Session } from '../../why/session.ts'
import { isAct, shown } from '../act.ts'
import type { Noticed, Severity } from '../finding.ts'
import type { Rule, Watcher } from '../rule.ts'

export const intentWithoutOutcome: Rule = { name: 'intent_without_outcome', says: 'a tool was called, and no result of it is on record', begin }

/** A session that went on this long, by its events' timestamps, or for so many calls of a model, went on without the result. */
const LONG_MS = 60 * 60 * 1000
const MANY_CALLS = 20

function begin(): Watcher {
  const open = new Map<string, { readonly act: ViewEvent; readonly calls: number }>()
  const early = new Set<string>()
  let calls = 0
  let gap: ViewEvent | undefined
  const tell = (acts: readonly ViewEvent[], when: string, at: ViewEvent): Noticed[] => acts.map((act) => {
    open.delete(act.event_id)
    return noticed(act, when, at, gap)
  })
  return (event, session) => {
    switch (event.event_type) {
      case 'tool_call':
        if (isAct(event) && !early.delete(event.event_id)) open.set(event.event_id, { act: event, calls })
        break
      case 'tool_result': {
        const call = answeredBy(event, session)
        if (call !== undefined) open.delete(call)
        else if (event.parent_event_id !== null) early.add(event.parent_event_id)
        break
      }
      case 'llm_call': calls++; break
      case 'gap': gap = event; break
      case 'session_end': case 'session_timeout': return tell([...open.values()].map(({ act }) => act), 'when the session ended', event)
      case 'session_interrupted':
        return tell([...open.values()].flatMap(({ act }) => (act.stream === null || act.stream === event['interrupted_stream'] ? [act] : [])), 'when the process that recorded it was gone', event)
      default:
    }
    // The oldest first: what came after it waits for it, so that a session of any length costs a constant for each event.
    const late: ViewEvent[] = []
    for (const { act, calls: then } of open.values()) {
      if (calls - then < MANY_CALLS && !(Date.parse(event.timestamp) - Date.parse(act.timestamp) >= LONG_MS)) break
      late.push(act)
    }
    return tell(late, 'long after, with the session going on', event)
  }
}

function answeredBy(result: ViewEvent, session: Session): string | undefined {
  return calledBy(session, result, session.position(result.event_id)!)?.event_id
}

const SEVERITY: ReadonlyMap<unknown, Severity> = new Map([['medium', 'medium'], ['high', 'high'], ['critical', 'critical']])

function noticed(act: ViewEvent, when: string, at: ViewEvent, gap: ViewEvent | undefined): Noticed {
  const lost = gap === undefined ? '' : ` Events of this session are missing (#${gap.index}): its result may be among them.`
  return {
    severity: SEVERITY.get(act['risk']) ?? 'low', acts: [act], sources: [at, ...(gap === undefined ? [] : [gap])],
    explanation: `${shown(act)} was called, and no result of it is on record ${when} (#${at.index}): whether it was done is not known.${lost}`,
  }
}
