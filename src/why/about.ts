// What an event that is no act has to do with acts: a result with its call, an approval with what it was for, anything else with the model's
// answer and the act nearest to it.

import type { ViewEvent } from '../event/view.ts'
import { requestOf } from './approval.ts'
import { findRequest, inputOf } from './asked.ts'
import type { About } from './result.ts'
import type { Session } from './session.ts'

const ACTS = new Set(['tool_call', 'handoff'])

/** Null for an act. */
export function aboutOf(session: Session, event: ViewEvent, position: number): About | null {
  switch (event.event_type) {
    case 'tool_call': case 'handoff': return null
    case 'tool_result': return result(session, event, position)
    case 'approval_request': return approval(session, event, `a person is asked whether to do ${nameOf(event)}`)
    case 'approval_decision': {
      const request = requestOf(session, event)
      if (request === undefined) return about('it answers a request that is not on record', undefined)
      return approval(session, request, `it answers #${request.index}, whether to do ${nameOf(request)}`)
    }
    case 'llm_call': return modelCall(session, event)
    case 'llm_result': return answer(session, event, position)
    default: return other(session, event, position)
  }
}

/** The call that a result answers: its parent, else the nearest before it of the same call id. */
export function calledBy(session: Session, event: ViewEvent, position: number): ViewEvent | undefined {
  const parent = parentOf(session, event)
  if (parent?.event_type === 'tool_call') return parent
  if (typeof event.call_id !== 'string') return undefined
  return session.events.slice(0, position).findLast(({ event_type, call_id, session_id }) => event_type === 'tool_call' && call_id === event.call_id && session_id === event.session_id)
}

function about(says: string, act: ViewEvent | undefined, explained = false): About {
  return { says, act_index: act?.index ?? null, act_event_id: act?.event_id ?? null, explained }
}

function result(session: Session, event: ViewEvent, position: number): About {
  const call = calledBy(session, event, position)
  return call === undefined ? about('a result; the call that it answers is not on record', undefined) : about(`the result of #${call.index}, which is what is explained here`, call, true)
}

function approval(session: Session, request: ViewEvent, says: string): About {
  const decisions = session.events.filter((one) => one.event_type === 'approval_decision' && one.request === request.entry_hash)
  const act = actOf(session, request, decisions)
  if (act !== undefined) return about(`${says}: it was done in #${act.index}`, act)
  const last = decisions.find(({ decision }) => decision !== 'approved') ?? decisions.at(-1)
  return about(`${says}: no such act is on record; ${last === undefined ? 'nobody has answered' : `it was ${String(last.decision)} in #${last.index}`}`, undefined)
}

// The act names the decision by its seq; without that, by the call id of what was asked.
function actOf(session: Session, request: ViewEvent, decisions: readonly ViewEvent[]): ViewEvent | undefined {
  const calls = session.events.filter(({ event_type, session_id, index }) => event_type === 'tool_call' && session_id === request.session_id && index > request.index)
  return calls.find(({ approval: seq }) => decisions.some((decision) => decision.seq === seq))
    ?? calls.find(({ approval: seq, call_id }) => seq === undefined && typeof call_id === 'string' && call_id === request.call_id)
}

function modelCall(session: Session, event: ViewEvent): About {
  const answered = session.children(event.event_id).map((at) => [at, session.at(at)] as const).find(([, one]) => one.event_type === 'llm_result')
  if (answered === undefined) return about('a model is asked; no answer is on record', undefined)
  const [act] = actsOf(session, ...answered)
  return about(`a model is asked; it answers in #${answered[1].index}${act === undefined ? '' : `, which led to #${act.index}`}`, act)
}

function answer(session: Session, event: ViewEvent, position: number): About {
  const said = session.answers.find((one) => one.position === position)
  const names = said?.requests.map(({ name }) => name) ?? []
  const asked = said?.absent ? `what it asked for: ${said.absent.toString()}` : names.length === 0 ? 'it asked for no tool' : `it asked for ${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`
  const acts = actsOf(session, position, event)
  const done = acts.length > 0 ? `; done: ${acts.slice(0, 5).map(({ index }) => `#${index}`).join(', ')}` : names.length > 0 || said?.absent ? '; no act that it asked for is on record' : ''
  return about(`a model's answer; ${asked}${done}`, acts[0])
}

function actsOf(session: Session, position: number, { session_id }: ViewEvent): ViewEvent[] {
  return session.events.filter((event, at) => at > position && event.event_type === 'tool_call' && event.session_id === session_id && findRequest(session, event, at, inputOf(session, event))?.position === position)
}

const WORDS: Readonly<Record<string, string>> = {
  session_start: 'a session begins', session_end: 'a session ends', session_timeout: 'a session ends', session_interrupted: 'a session was interrupted', session_suspend: 'a session is laid down',
  session_resume: 'a session is taken up', reasoning: 'reasoning', final_output: 'the answer that was given', policy_decision: 'a rule decides', data_access: 'data is read', context: 'messages for a model',
  sandbox_crossing: 'a boundary is crossed', state_snapshot: 'state is saved', config_change: 'a setting is changed', human_intervention: 'a person steps in', error: 'an error', finding: 'a rule noticed something', gap: 'events are missing',
}

function other(session: Session, event: ViewEvent, position: number): About {
  const what = WORDS[event.event_type] ?? `an event of type ${event.event_type}`
  const parent = parentOf(session, event)
  if (parent?.event_type === 'tool_call') return about(`${what}, inside #${parent.index}`, parent)
  const own = (one: ViewEvent): boolean => one.session_id === event.session_id
  const before = session.events.slice(0, position).filter(own)
  const model = parent?.event_type === 'llm_result' ? parent : before.findLast(({ event_type }) => event_type === 'llm_result')
  const after = model === undefined ? '; no model\'s answer before it is on record' : `, after the model's answer #${model.index}`
  const next = session.events.slice(position + 1).find((one) => own(one) && ACTS.has(one.event_type))
  const last = before.findLast(({ event_type }) => ACTS.has(event_type))
  const act = event.event_type === 'final_output' ? (last ?? next) : (next ?? last)
  const near = act === undefined ? '; no act is on record in its session' : act === next ? `; the next act is #${act.index}` : `; the last act before it is #${act.index}`
  return about(what + after + near, act)
}

function parentOf(session: Session, event: ViewEvent): ViewEvent | undefined {
  const position = event.parent_event_id === null ? undefined : session.position(event.parent_event_id)
  return position === undefined ? undefined : session.at(position)
}

function nameOf(event: ViewEvent): string {
  return typeof event.tool_name === 'string' ? event.tool_name : 'an act'
}
