// Which answer of a model asked for an act. Facts outlive an erasure: the act's parent and call id still name what can no longer be read.

import { Absent, type ViewEvent } from '../event/view.ts'
import { requestOf } from './approval.ts'
import { absentOf, type Request, textOf } from './message.ts'
import type { AskedFor, UnreadAnswer } from './result.ts'
import { sameJson } from './same.ts'
import type { Answer, Session } from './session.ts'

/** `requested` is the input as the model asked for it; undefined when that cannot be read. */
export interface FoundRequest { readonly position: number; readonly asked_for: AskedFor; readonly requested: { readonly input: unknown } | undefined }

/** The request of a model for the act at `position`, or for what an approval there is about. */
export function findRequest(session: Session, event: ViewEvent, position: number, input: unknown): FoundRequest | undefined {
  const about = event.event_type === 'approval_decision' ? (requestOf(session, event) ?? event) : event
  if (about.event_type === 'final_output') return wroteIt(session, about, position)
  if (about.event_type !== 'tool_call' && about.event_type !== 'approval_request') return undefined
  const before = answersBefore(session, about, position)
  const sameId = (call: Request): boolean => call.call_id !== null && call.call_id === about.call_id
  const sameAct = (call: Request): boolean => call.name === about.tool_name && sameJson(call.input, input)
  const within = (answer: Answer | undefined): Request | undefined => answer?.requests.find(sameId) ?? answer?.requests.find(sameAct)
  const named = before.find(({ position: at }) => about.requested_by !== undefined && session.at(at).seq === about.requested_by && session.at(at).session_id === about.session_id)
  const parent = before.find(({ position: at }) => session.at(at).event_id === about.parent_event_id)
  const byId = before.find(({ requests }) => requests.some(sameId))
  const byAct = before.find(({ requests }) => requests.some(sameAct))
  const ofParent = within(parent) ?? parent?.requests.find(({ name, call_id }) => name === about.tool_name && (call_id === null || typeof about.call_id !== 'string'))
  const found = (by: AskedFor['by'], answer: Answer, call: Request | undefined): FoundRequest => {
    const readable = call !== undefined && !(call.input instanceof Absent) && !(input instanceof Absent)
    const same_input = readable ? sameJson(call.input ?? null, input ?? null) : null
    return { position: answer.position, asked_for: askedFor(session, answer, by, same_input), requested: readable ? { input: call.input } : undefined }
  }
  if (named) return found('requested_by', named, within(named) ?? named.requests.find(({ name }) => name === about.tool_name))
  if (parent && ofParent) return found('parent', parent, ofParent)
  // A provider may use an id again: one that another act has taken up is weaker than a parent that cannot be read.
  if (byId && !(parent?.absent && takenUp(session, about, byId, position))) return found('call_id', byId, byId.requests.find(sameId))
  if (parent?.absent) return found('parent', parent, undefined)
  return byAct && found('name_and_input', byAct, byAct.requests.find(sameAct))
}

/** What is looked up: the input of a tool, what an approval is about, or the text of an answer. */
export function inputOf(session: Session, event: ViewEvent): unknown {
  if (event.event_type === 'approval_decision') return requestOf(session, event)?.tool_input
  return event.tool_input ?? (event.event_type === 'final_output' ? event.output : event.event_type === 'handoff' ? event.instructions : undefined)
}

const ASKED_FOR = new Set(['tool_call', 'approval_request', 'approval_decision'])

/** The answers that may have asked for the act and cannot be read; none where a firm link says which one did. */
export function unreadAnswers(session: Session, event: ViewEvent, position: number, found: FoundRequest | undefined): UnreadAnswer[] {
  if (!ASKED_FOR.has(event.event_type) || found !== undefined && found.asked_for.by !== 'name_and_input') return []
  return answersBefore(session, event, position).reverse().flatMap((answer) => {
    const absent = absentIn(session, answer)
    return absent === null || answer.position <= (found?.position ?? -1) ? [] : [{ index: session.at(answer.position).index, absent }]
  })
}

/** Position of the call that the answer at `result` answers. */
export function callOf(session: Session, result: number): number | undefined {
  const parent = session.at(result).parent_event_id
  const position = parent === null ? undefined : session.position(parent)
  return position !== undefined && position < result && session.at(position).event_type === 'llm_call' ? position : undefined
}

// The nearest first. Of other sessions only where the act's own has none: their call ids may be the same by chance.
function answersBefore(session: Session, { session_id }: ViewEvent, position: number): Answer[] {
  const before = session.answers.filter((answer) => answer.position < position).reverse()
  const own = before.filter((answer) => session.at(answer.position).session_id === session_id)
  return own.length > 0 ? own : before
}

function takenUp(session: Session, about: ViewEvent, answer: Answer, position: number): boolean {
  return session.events.slice(answer.position + 1, position).some(({ event_type, call_id, session_id }) => event_type === 'tool_call' && call_id === about.call_id && session_id === about.session_id)
}

// A final output is asked for by nobody; the model that wrote it is the nearest whose text it is.
function wroteIt(session: Session, event: ViewEvent, position: number): FoundRequest | undefined {
  const text = textOf(event.output)
  if (text === null || text === '') return undefined
  const answer = answersBefore(session, event, position).find((one) => textOf(session.at(one.position).output_text) === text)
  return answer && { position: answer.position, asked_for: askedFor(session, answer, 'output', true), requested: { input: event.output } }
}

function askedFor(session: Session, answer: Answer, by: AskedFor['by'], same_input: boolean | null): AskedFor {
  const result = session.at(answer.position)
  const call = callOf(session, answer.position)
  const said = by === 'output' ? null : textOf(result.output_text)
  const model = typeof result.model_id === 'string' ? result.model_id : call === undefined ? null : session.at(call).model_id
  return {
    index: result.index, event_id: result.event_id, call_index: call === undefined ? null : session.at(call).index,
    model_id: model, by, same_input, said: said === null || said.trim() === '' ? null : said, absent: absentIn(session, answer),
  }
}

function absentIn(session: Session, answer: Answer): string | null {
  return absentOf(answer.absent, session.at(answer.position).output_text)
}
