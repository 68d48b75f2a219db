// `why`: what the record says about one act. What led to it, who asked, where each value of its input first appeared, which prompt
// and rules were in force, who approved, what came back, and what is not known (DESIGN: the five questions). Pure: events in, data out.

import { Absent, type ViewEvent } from '../event/view.ts'
import type { Risk } from '../event/vocabulary.ts'
import { aboutOf, calledBy } from './about.ts'
import { approvalOf, requestOf } from './approval.ts'
import { callOf, type FoundRequest, findRequest, inputOf, unreadAnswers } from './asked.ts'
import { absentOf, textOf } from './message.ts'
import { promptOf } from './prompt.ts'
import { type Horizon, shorten, valuesOf } from './provenance.ts'
import type { Happened, Reasoning, Rule, Source, Unknown, UnreadAnswer, Value, Why } from './result.ts'
import { Session } from './session.ts'

/**
 * What the record says about the event `event_id`. A `tool_result` is explained as its call, an approval as what it is about; of any other
 * event that is no act, `about` says what it has to do with acts. `events` are one session's, in any order, and may include those of its parent sessions. Throws a RangeError if the
 * event is not among them. Linear in what was said; to ask about many acts of one session use `reader`.
 */
export function why(events: readonly ViewEvent[], event_id: string): Why {
  return reader(events)(event_id)
}

/** `why` for many acts of the same events: they are read once. */
export function reader(events: readonly ViewEvent[]): (event_id: string) => Why {
  const session = new Session(events)
  return (event_id) => explain(session, event_id)
}

/** The act one would ask about first: the last tool call of risk high or critical, else the last tool call, else undefined. */
export function riskiest(events: readonly ViewEvent[]): ViewEvent | undefined {
  const calls = events.filter((event) => event.event_type === 'tool_call')
  const latest = (among: readonly ViewEvent[]): ViewEvent | undefined => among.reduce<ViewEvent | undefined>((last, event) => (last && last.index > event.index ? last : event), undefined)
  return latest(calls.filter(({ risk }) => risk === 'high' || risk === 'critical')) ?? latest(calls)
}

function explain(session: Session, event_id: string): Why {
  const at = session.position(event_id)
  if (at === undefined) throw new RangeError(`why: expected an event_id among ${session.events.length} events, got ${event_id}`)
  const asked = session.at(at)
  const about = aboutOf(session, asked, at)
  const event = (asked.event_type === 'tool_result' ? calledBy(session, asked, at) : undefined) ?? asked
  const position = session.position(event.event_id) ?? at
  const input = inputOf(session, event)
  const request = findRequest(session, event, position, input)
  const call = request === undefined ? undefined : callOf(session, request.position)
  const since = call ?? request?.position ?? previousAct(session, position)
  const unlinked = givenTo(session, event, position, request, call)
  const horizon: Horizon = {
    asked: request === undefined ? position : (call ?? request.position - 1) + 1,
    act: position,
    requested: request?.requested,
    complete: unlinked === null,
  }
  const { values, left } = valuesOf(session, input, horizon)
  const reasoning = reasoningOf(session, request === undefined ? position : since, position)
  const approval = approvalOf(session, event, position, input)
  const happened = happenedOf(session, event, position)
  const unread_answers = unreadAnswers(session, event, position, request)
  return {
    event: {
      index: asked.index, event_id, session_id: asked.session_id, event_type: asked.event_type,
      tool_name: typeof event.tool_name === 'string' ? event.tool_name : null, call_id: callIdOf(session, event),
      input: input ?? null, risk: (event.risk as Risk | undefined) ?? null,
      timestamp: asked.timestamp, elapsed_ms: elapsed(session, asked),
    },
    about,
    asked_for: request === undefined ? null : request.asked_for,
    unread_answers, reasoning, values,
    prompt: promptOf(session, call ?? position, event.session_id),
    rules: rulesOf(session, event, since, position),
    approval, happened,
    not_known: notKnown(session, event, { position, unlinked, unread_answers, values, left, reasoning, request, happened }),
  }
}

// A decision is about the call that its request was for.
function callIdOf(session: Session, event: ViewEvent): string | null {
  const { call_id } = event.event_type === 'approval_decision' ? (requestOf(session, event) ?? event) : event
  return typeof call_id === 'string' ? call_id : null
}

// Where no call of a model is on record, what it was given is not either. Null where it is.
function givenTo(session: Session, event: ViewEvent, position: number, request: FoundRequest | undefined, call: number | undefined): string | null {
  if (request !== undefined) return call === undefined ? 'what the model was given: the call that it answers is not on record' : null
  const calls = session.events.slice(0, position).some(({ event_type, session_id }) => event_type === 'llm_call' && session_id === event.session_id)
  return calls ? null : 'what a model was given: no call of one is on record before it'
}

// ------------------------------------------------------------------------------------------------------ reasoning and rules

const ACTS = new Set(['tool_call', 'final_output', 'handoff'])

/** Position of the last act of the same session before `position`, or -1. */
function previousAct(session: Session, position: number): number {
  for (let at = position - 1; at >= 0; at--) {
    const event = session.at(at)
    if (ACTS.has(event.event_type) && event.session_id === session.at(position).session_id) return at
  }
  return -1
}

// From the act before the request (acts asked for together share their reasoning) to this act.
function reasoningOf(session: Session, since: number, position: number): Reasoning[] {
  const reasons: Reasoning[] = []
  for (let at = previousAct(session, Math.max(since, 0)) + 1; at < position; at++) {
    const event = session.at(at)
    if (event.event_type !== 'reasoning' || event.session_id !== session.at(position).session_id) continue
    const form = event.form === 'full' || event.form === 'summarised' || event.form === 'encrypted' || event.form === 'withheld' ? event.form : null
    const text = textOf(event.text)
    const absent = event.text instanceof Absent ? event.text.toString() : null
    reasons.push({ index: event.index, by: event.kind === 'author_stated' ? 'author' : 'model', form, text: form === 'encrypted' ? null : text, absent })
  }
  return reasons
}

// Since the request; a decision that names another tool call as its parent is about that one.
function rulesOf(session: Session, event: ViewEvent, since: number, position: number): Rule[] {
  const own = new Set(session.children(event.event_id))
  return session.events.flatMap((rule, at) => {
    if (rule.event_type !== 'policy_decision') return []
    const parent = rule.parent_event_id === null ? undefined : session.position(rule.parent_event_id)
    const other = parent !== undefined && parent !== position && session.at(parent).event_type === 'tool_call'
    const between = at > since && at < position && !other && rule.session_id === event.session_id
    if (!between && !own.has(at)) return []
    return [{ index: rule.index, policy: String(rule.policy), version: typeof rule.version === 'string' ? rule.version : null, decision: String(rule.decision), reason: textOf(rule.reason) }]
  })
}

// ------------------------------------------------------------------------------------------------ happened, and not known

const RESULTS: Readonly<Record<string, string>> = { tool_call: 'tool_result', llm_call: 'llm_result', approval_request: 'approval_decision' }

function happenedOf(session: Session, event: ViewEvent, position: number): Happened | null {
  const wanted = RESULTS[event.event_type]
  if (wanted === undefined) return null
  const children = session.children(event.event_id).filter((at) => session.at(at).event_type === wanted)
  const results = children.length > 0 ? children : event.event_type === 'tool_call' ? resultsByCallId(session, event, position) : answersTo(session, event)
  const [first, ...more] = results.map((at) => session.at(at))
  if (first === undefined) return null
  const time = first.execution_time_ms ?? first.latency_ms ?? first.time_to_decide_ms
  const answer = textOf(first.tool_output ?? first.output_text ?? first.decision)
  const error = textOf(first.error)
  return {
    index: first.index, outcome: first.outcome ?? null, time_ms: typeof time === 'number' ? time : null,
    error_type: typeof first.error_type === 'string' ? first.error_type : null, error: error === null ? null : shorten(error),
    answer: answer === null ? null : shorten(answer), absent: absentOf(first.tool_output, first.output_text, first.error), more: more.map(({ index }) => index),
  }
}

// The provider may use a call id again: only up to the next call of the same id.
function resultsByCallId(session: Session, event: ViewEvent, position: number): number[] {
  const found: number[] = []
  if (typeof event.call_id !== 'string') return found
  for (let at = position + 1; at < session.events.length; at++) {
    const later = session.at(at)
    if (later.call_id !== event.call_id || later.session_id !== event.session_id) continue
    if (later.event_type === 'tool_call') break
    if (later.event_type === 'tool_result') found.push(at)
  }
  return found
}

const UNTRACEABLE = [['too_short', 'too short to trace'], ['no_letter_or_digit', 'no letter or digit to trace'], ['not_a_plain_number', 'not a plain number'], ['masked', 'masked before it was recorded']] as const

function answersTo(session: Session, request: ViewEvent): number[] {
  if (request.event_type !== 'approval_request') return []
  return [...session.events.keys()].filter((at) => session.at(at).event_type === 'approval_decision' && session.at(at).request === request.entry_hash)
}

interface Known {
  position: number; unlinked: string | null; unread_answers: readonly UnreadAnswer[]; values: readonly Value[]; left: number
  reasoning: readonly Reasoning[]; request: FoundRequest | undefined; happened: Happened | null
}

function notKnown(session: Session, event: ViewEvent, known: Known): Unknown[] {
  const list: Unknown[] = []
  const say = (text: string, index: number | null = null): void => {
    if (!list.some((one) => one.text === text)) list.push({ text, index })
  }
  for (const source of sourcesOf(known.values)) {
    if (source.kind === 'tool_answer' && source.trust === 'untrusted') say(`whether the answer of ${source.name ?? 'a tool'} was true`, source.index)
    if (source.kind === 'data' && source.trust === 'untrusted') say(`whether the data of ${source.name ?? 'a source'} was true`, source.index)
  }
  const input = inputOf(session, event)
  if (input instanceof Absent) say(`what the ${event.event_type === 'final_output' ? 'answer' : 'input'} was: ${input.toString()}`, event.index)
  for (const [reason, words] of UNTRACEABLE) {
    const paths = known.values.filter((value) => value.reason === reason).map((value) => value.path || 'the input')
    if (paths.length > 0) say(`where ${paths.join(', ')} came from: ${words}`)
  }
  if (known.left > 0) say(`where ${known.left} more values came from: only the first ${known.values.length} were looked up`)
  const isAct = event.event_type === 'tool_call'
  const { request, unread_answers: unread } = known
  if (request?.asked_for.by === 'parent' && request.requested === undefined && request.asked_for.absent !== null) say(`what the model asked for: ${request.asked_for.absent}`, request.asked_for.index)
  if (isAct && request === undefined && unread.length === 0) say('who asked for it: no model call on record does')
  for (const { index, absent } of unread) say(`whether the model asked for it in #${index}: ${absent}`, index)
  if (isAct && known.reasoning.length === 0) say('what was reasoned before it: nothing is on record')
  for (const { index, form, text, absent } of known.reasoning) {
    if (absent !== null) say(`what was reasoned: ${absent}`, index)
    else if (form === 'encrypted' || form === 'withheld') say(`what the model reasoned: the provider ${form === 'encrypted' ? 'gave it encrypted' : 'withheld it'}`, index)
    else if (form === 'summarised') say('what the model reasoned word for word: the provider gave a summary', index)
    else if (text === null) say('what was reasoned: no text is on record', index)
  }
  if (known.unlinked !== null && known.values.some(({ status, complete }) => status === 'unknown' || (status === 'partly' && !complete))) say(known.unlinked)
  for (const { position, what } of session.missing) if (position < known.position) say(what, session.events[position]?.index ?? null) // before the first event on hand there is none
  if (isAct && known.happened === null) say('whether it was done: no result is on record')
  return list
}

function sourcesOf(values: readonly Value[]): Source[] {
  return values.flatMap(({ source, outside, parts }) => [source, outside, ...parts.map((part) => part.source)]).filter((source) => source !== null)
}

function elapsed(session: Session, event: ViewEvent): number | null {
  const first = session.events.find(({ session_id }) => session_id === event.session_id)
  const ms = Date.parse(event.timestamp) - Date.parse(first?.timestamp ?? '')
  return Number.isFinite(ms) ? ms : null
}
