// Events as they are read back: entries with their payloads and with what is constant in their session, calls with their results, and
// the rows of the classic table. Everything streams: a session may have 100,000 events.

import { sha256 } from '#crypto'
import { fromUtf8, toBase64, toHex } from '../base/bytes.ts'
import { parseShallowJson } from '../base/shallow-json.ts'
import { Settling } from './approval.ts'
import type { Media } from './draft.ts'
import type { Entry } from './entry.ts'
import { CallJoiner, type Joined } from './join.ts'
import { isRecord } from './kind.ts'
import { isLabel } from './label.ts'
import { ListIndex, type RefPlace } from './list.ts'
import type { Json, LLMCall, SessionSummary, ToolCall, TrailRow } from './public.ts'
import { foldSession, isCall, stepOf, type SessionState } from './session.ts'
import { Absent, type Content, type ViewEnvelope, type ViewEvent } from './view.ts'

/** A parsed entry and its entry hash (base64). */
export interface StoredEntry { readonly entry: Entry; readonly entry_hash: string }

/** The bytes of each payload asked for, in that order, or why they are not there. */
export type ReadPayloads = (places: readonly RefPlace[]) => Promise<readonly (Uint8Array | Absent)[]> | readonly (Uint8Array | Absent)[]

export interface ViewOptions {
  /** Which entries come out; the others are only needed to know what those stand on. Default all. */
  readonly want?: (entry: Entry) => boolean
  /** How many events are made at a time, with one call of `ReadPayloads` each: 1 when entries trickle in. Default 256. */
  readonly batch?: number
  /** What each payload's value is shown as; default itself. Without it hashes of prompts are given too, with it they are null. */
  readonly mask?: (value: unknown) => unknown
}

/**
 * Events of `entries`: of each session from its first entry on, in the order of seq; sessions may be mixed. Lists come whole, elements
 * shared between the events of neighbouring batches. A VerifyError when an entry refers to what is not there.
 */
export async function* viewEvents(entries: AsyncIterable<StoredEntry> | Iterable<StoredEntry>, read: ReadPayloads, options: ViewOptions = {}): AsyncGenerator<ViewEvent, void, undefined> {
  const { want, batch = 256, mask } = options
  const sessions = new Map<string, SessionReader>()
  const values = new Values(read, mask)
  let pending: Pending[] = []
  for await (const stored of entries) {
    const { session_id } = stored.entry
    let reader = sessions.get(session_id)
    if (reader === undefined) sessions.set(session_id, (reader = new SessionReader()))
    reader.follow(stored)
    if (want !== undefined && !want(stored.entry)) continue
    pending.push(reader.pending(stored))
    if (pending.length < batch) continue
    yield* await viewsOf(pending, values)
    pending = []
  }
  yield* await viewsOf(pending, values)
}

/** The views of these, whose payloads are read at once. */
export async function viewsOf(pending: readonly Pending[], values: Values): Promise<ViewEvent[]> {
  await values.load(pending)
  return pending.map((each) => viewOf(each, values))
}

/** An entry and all that its view needs. */
export interface Pending {
  readonly entry: Entry
  readonly entry_hash: string
  readonly constants: Pick<SessionState, 'agent_id' | 'agent_version' | 'model_id'>
  readonly step_number: number
  readonly slots: readonly { readonly name: string; readonly places: readonly RefPlace[]; readonly list: boolean }[]
  readonly identity: RefPlace | undefined
  readonly prompt: RefPlace | undefined
}

/** One session, followed from its first entry. */
class SessionReader {
  readonly #slots = new ListIndex()
  readonly #steps = new Map<string, number>()
  #state: SessionState | undefined
  #step = 0

  follow({ entry, entry_hash }: StoredEntry): void {
    this.#slots.add(entry)
    const carried = entry.event_type === 'llm_result' || entry.event_type === 'tool_result' ? this.#steps.get(entry.parent_event_id ?? '') : undefined
    this.#step = entry.step_number ?? carried ?? stepOf(this.#state, entry)
    if (isCall(entry.event_type)) this.#steps.set(entry.event_id, this.#step)
    this.#state = foldSession(this.#state, entry, entry_hash, true)
  }

  /** What the view of `stored`, the entry followed last, needs. */
  pending({ entry, entry_hash }: StoredEntry): Pending {
    const state = this.#state!
    const slots = Object.keys(entry.payloads).map((name) => {
      const one = this.#slots.place(entry.seq, name)
      return one === undefined ? { name, places: this.#slots.places(entry.seq, name), list: true } : { name, places: [one], list: false }
    })
    const at = (seq: number | undefined, name: string): RefPlace | undefined => (seq === undefined ? undefined : this.#slots.place(seq, name))
    const { agent_id, agent_version, model_id } = state // the state goes on to change
    const constants = { agent_id, ...(agent_version === undefined ? {} : { agent_version }), ...(model_id === undefined ? {} : { model_id }) }
    return { entry, entry_hash, constants, step_number: this.#step, slots, identity: at(state.identity, 'identity'), prompt: at(state.system_prompt, 'system_prompt') }
  }
}

/** Payload values by where they stand. Holds those of the last batch, in which most of a long list was already. */
export class Values {
  readonly #read: ReadPayloads
  readonly #mask: ViewOptions['mask']
  #values = new Map<RefPlace, Content<unknown>>()
  #hashes = new Map<RefPlace, string | null>()

  constructor(read: ReadPayloads, mask: ViewOptions['mask']) {
    this.#read = read
    this.#mask = mask
  }

  async load(pending: readonly Pending[]): Promise<void> {
    const prompts = new Set(pending.flatMap(({ prompt }) => prompt ?? []))
    const needed = new Set<RefPlace>()
    for (const { slots, identity } of pending) {
      for (const { places } of slots) for (const place of places) needed.add(place)
      if (identity !== undefined) needed.add(identity)
    }
    const values = carry(needed, this.#values)
    const hashes = carry(prompts, this.#hashes)
    const missing = [...new Set([...needed].filter((place) => !values.has(place)).concat([...prompts].filter((place) => !hashes.has(place))))]
    const found = missing.length === 0 ? [] : await this.#read(missing)
    for (const [i, place] of missing.entries()) {
      const bytes = found[i] ?? new Absent('missing')
      if (needed.has(place)) values.set(place, bytes instanceof Absent ? bytes : this.#shown(decode(bytes, place.ref.m)))
      if (prompts.has(place)) hashes.set(place, bytes instanceof Absent || this.#mask !== undefined ? null : toHex(sha256(bytes)))
    }
    this.#values = values
    this.#hashes = hashes
  }

  #shown(value: unknown): unknown {
    return this.#mask === undefined ? value : this.#mask(value)
  }

  value(place: RefPlace): Content<unknown> {
    return this.#values.get(place)
  }

  hash(place: RefPlace): string | null {
    return this.#hashes.get(place) ?? null
  }
}

function carry<T>(needed: ReadonlySet<RefPlace>, last: ReadonlyMap<RefPlace, T>): Map<RefPlace, T> {
  const carried = new Map<RefPlace, T>()
  for (const place of needed) {
    const value = last.get(place)
    if (value !== undefined) carried.set(place, value)
  }
  return carried
}

/** A payload's value: JSON as a value, text as a string. Bytes that are not what their media says, and JSON too deep to walk, stay readable: as text, else as bytes. */
function decode(bytes: Uint8Array, media: Media): unknown {
  if (media === 'bytes') return bytes
  let text: string
  try {
    text = fromUtf8(bytes)
  } catch {
    return bytes
  }
  if (media === 'text') return text
  try {
    return parseShallowJson(text)
  } catch {
    return text
  }
}

function viewOf({ entry, entry_hash, constants, step_number, slots, identity, prompt }: Pending, values: Values): ViewEvent {
  const view: Record<string, unknown> = { ...derived(entry), ...entry.facts }
  for (const { name, places, list } of slots) view[name] = list ? places.map((place) => values.value(place)) : values.value(places[0]!)
  if (entry.event_type === 'error') view['error'] ??= view['message']
  const envelope: ViewEnvelope = {
    index: entry.index, event_id: entry.event_id, event_type: entry.event_type, session_id: entry.session_id, seq: entry.seq, writer: entry.writer, stream: entry.stream ?? null, stream_seq: entry.stream_seq ?? null,
    step_number, parent_event_id: entry.parent_event_id ?? null, timestamp: entry.timestamp, recorded_at: entry.recorded_at, capture: entry.capture, outcome: entry.outcome ?? null,
    agent_id: constants.agent_id, agent_version: constants.agent_version ?? null, user_id: identity === undefined ? null : personOf(values.value(identity)),
    // What a call asked for and what answered it are the event's own; everything else shows the session's.
    model_id: isLabel(entry.facts['model_id']) ? entry.facts['model_id'] : (constants.model_id ?? null),
    system_prompt_hash: prompt === undefined ? null : values.hash(prompt), entry_hash,
  }
  // The envelope last: no fact of a later vocabulary can pass for it.
  return Object.assign(view, envelope)
}

/** A fact of the public types that the vocabulary says in other words. */
function derived({ event_type, facts }: Entry): { readonly count?: number | null } {
  if (event_type !== 'gap') return {}
  const { from, to } = facts
  return { count: typeof from === 'number' && typeof to === 'number' ? to - from + 1 : null }
}

/** Who a payload `identity` names: its `subject`. Null where it names nobody. */
export function personOf(identity: Content<unknown>): Content<string> | null {
  if (identity instanceof Absent || typeof identity === 'string') return identity
  return isRecord(identity) && typeof identity['subject'] === 'string' ? identity['subject'] : null
}

/** The calls among `events` (in the order of the log, sessions may be mixed), each with its result and approval, in that order. */
export function* callViews(events: Iterable<ViewEvent>): Generator<LLMCall | ToolCall, void, undefined> {
  for (const joined of join(events)) {
    const call = callOf(joined)
    if (call !== undefined) yield call
  }
}

/** As `callViews`, of a stream. */
export async function* streamCalls(events: AsyncIterable<ViewEvent>): AsyncGenerator<LLMCall | ToolCall, void, undefined> {
  for await (const joined of joinStream(events)) {
    const call = callOf(joined)
    if (call !== undefined) yield call
  }
}

/** What only serves other events. */
const NO_ROWS: ReadonlySet<string> = new Set(['context', 'subject'])

/** The classic table's rows of `events`: one per call, results, `context` and `subject` are no rows of their own, everything else is one. */
export function* classicRows(events: Iterable<ViewEvent>): Generator<TrailRow, void, undefined> {
  for (const joined of join(events)) if (isRow(joined.event.event_type)) yield rowOf(joined)
}

/** As `classicRows`, of a stream. */
export async function* streamRows(events: AsyncIterable<ViewEvent>): AsyncGenerator<TrailRow, void, undefined> {
  for await (const joined of joinStream(events)) if (isRow(joined.event.event_type)) yield rowOf(joined)
}

/** Whether an event of this type is a row of the classic table, where it stands for itself. */
export function isRow(event_type: string): boolean {
  return !NO_ROWS.has(event_type)
}

/** The events that a call, or a row, is made of. */
export function eventsOf({ event, result, request, decisions }: Joined): ViewEvent[] {
  return [event, ...(result === undefined ? [] : [result]), ...(request === undefined ? [] : [request]), ...decisions]
}

function* join(events: Iterable<ViewEvent>): Generator<Joined, void, undefined> {
  const joiner = new CallJoiner()
  for (const event of events) yield* joiner.push(event)
  yield* joiner.end()
}

async function* joinStream(events: AsyncIterable<ViewEvent>): AsyncGenerator<Joined, void, undefined> {
  const joiner = new CallJoiner()
  for await (const event of events) yield* joiner.push(event)
  yield* joiner.end()
}

/** The call that is this; undefined where it is none. */
export function callOf(joined: Joined): LLMCall | ToolCall | undefined {
  switch (joined.event.event_type) {
    case 'llm_call':
      return llmCall(joined)
    case 'tool_call':
      return toolCall(joined)
    case 'approval_request':
      return joined.taken ? undefined : toolCall(joined) // asked for, and not done: pending, refused or expired
    default:
      return undefined
  }
}

function llmCall({ event, result }: Joined): LLMCall {
  const requested = result?.['tool_calls_requested']
  return {
    ...envelopeOf(event),
    event_type: 'llm_call',
    outcome: result?.outcome ?? event.outcome,
    input_messages: (event['input_messages'] ?? []) as Content<readonly unknown[]>,
    output_text: (result?.['output_text'] ?? null) as Content<string> | null,
    tool_calls_requested: requested instanceof Absent ? [requested] : Array.isArray(requested) ? requested : [],
    input_tokens: number(result?.['input_tokens']),
    output_tokens: number(result?.['output_tokens']),
    latency_ms: number(result?.['latency_ms']),
    answered: result !== undefined,
  }
}

function toolCall(joined: Joined): ToolCall {
  const { event, result, request, decisions } = joined
  const asked = request ?? (event.event_type === 'approval_request' ? event : undefined)
  const { status, deciding } = approvalOf(asked, decisions)
  const refused = event.event_type === 'approval_request' && status === 'rejected' ? (deciding?.outcome ?? 'denied') : null
  return {
    ...envelopeOf(event),
    event_type: 'tool_call',
    outcome: result?.outcome ?? event.outcome ?? refused,
    tool_name: String(event['tool_name']),
    tool_input: (event['tool_input'] ?? null) as Content<Json>,
    tool_output: (result?.['tool_output'] ?? null) as Content<Json> | null,
    error: errorOf(result?.['error']),
    execution_time_ms: number(result?.['execution_time_ms']),
    requires_approval: event['requires_approval'] === true || asked !== undefined,
    approval_status: status ?? (event['requires_approval'] === true ? 'pending' : null),
    approver_id: deciding === undefined ? null : personOf(deciding['identity']),
    answered: result !== undefined,
  }
}

/** What the decisions that count come to, and the last of them. No answer in time means no. */
function approvalOf(request: ViewEvent | undefined, decisions: readonly ViewEvent[]): { status: ToolCall['approval_status']; deciding: ViewEvent | undefined } {
  const settling = new Settling(request?.['quorum'])
  let deciding: ViewEvent | undefined
  for (const event of decisions) if (settling.add({ seq: event.seq, decision: event['decision'], approver: event['approver'], outcome: event.outcome })) deciding = event
  const { settled } = settling
  return { status: request === undefined ? null : settled === undefined ? 'pending' : settled.decision === 'approved' ? 'approved' : 'rejected', deciding }
}

function errorOf(error: unknown): Content<string> | null {
  if (error === undefined || error === null) return null
  return error instanceof Absent || typeof error === 'string' ? error : jsonText(error)
}

function number(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}

const ENVELOPE_FIELDS: { readonly [name in keyof ViewEnvelope]: true } = {
  index: true, event_id: true, event_type: true, session_id: true, seq: true, writer: true, stream: true, stream_seq: true, step_number: true, parent_event_id: true, timestamp: true, recorded_at: true,
  capture: true, outcome: true, agent_id: true, agent_version: true, user_id: true, model_id: true, system_prompt_hash: true, entry_hash: true,
}

function envelopeOf(event: ViewEvent): ViewEnvelope {
  const envelope: Record<string, unknown> = {}
  for (const name of Object.keys(ENVELOPE_FIELDS)) envelope[name] = event[name]
  return envelope as unknown as ViewEnvelope
}

/** The row that is this. */
export function rowOf(joined: Joined): TrailRow {
  const { event } = joined
  const custom = event.event_type === 'custom' && typeof event['name'] === 'string'
  const content = custom ? (event['content'] ?? null) : contentOf(joined)
  const marks = marksIn(content)
  return {
    event_id: event.event_id, session_id: event.session_id, agent_id: event.agent_id, timestamp: event.timestamp,
    event_type: custom ? (event['name'] as string) : event.event_type,
    step_number: event.step_number,
    content: jsonText(content),
    model_id: event.model_id, system_prompt_hash: event.system_prompt_hash, created_at: event.recorded_at,
    ...(marks.length === 0 ? {} : { marks }),
  }
}

function contentOf(joined: Joined): { readonly [name: string]: unknown } {
  const { event, result } = joined
  if (event.event_type === 'llm_call') {
    const { input_messages, output_text, tool_calls_requested, input_tokens, output_tokens, latency_ms, answered } = llmCall(joined)
    const error = result?.['error']
    return { input_messages, output_text, tool_calls_requested, input_tokens, output_tokens, latency_ms, ...(error === undefined ? {} : { error }), answered }
  }
  if (event.event_type === 'tool_call') {
    const { tool_name, tool_input, tool_output, error, execution_time_ms, requires_approval, approval_status, approver_id, answered } = toolCall(joined)
    return { tool_name, tool_input, tool_output, error, execution_time_ms, requires_approval, approval_status, approver_id, answered }
  }
  return Object.fromEntries(Object.entries(event).filter(([name]) => !Object.hasOwn(ENVELOPE_FIELDS, name)))
}

/** Content as JSON text: an Absent as `{"absent": why, "by": index}`, bytes as `{"base64": …}`. */
function jsonText(value: unknown): string {
  return JSON.stringify(value, (_name, each: unknown) => (each instanceof Uint8Array ? { base64: toBase64(each) } : each)) ?? 'null'
}

/** Where `jsonText` writes a mark, as JSON pointers (RFC 6901): payloads are the whole, its members, or elements of a member's list. */
function marksIn(content: unknown): string[] {
  if (isMark(content)) return ['']
  if (typeof content !== 'object' || content === null) return []
  return Object.entries(content).flatMap(([name, value]) => (isMark(value) ? [`/${name}`] : Array.isArray(value) ? value.flatMap((each, i) => (isMark(each) ? [`/${name}/${i}`] : [])) : []))
}

function isMark(value: unknown): boolean {
  return value instanceof Absent || value instanceof Uint8Array
}

/** A session as lists show it. `user_id` is what `personOf` makes of the payload `identity` of entry `state.identity`. */
export function summaryOf(state: SessionState, user_id: Content<string> | null): SessionSummary {
  const { session_id, agent_id, started_at, ended_at = null, outcome = null, events, steps, tools, input_tokens, output_tokens } = state
  return { session_id, agent_id, user_id, started_at, ended_at, state: state.state, outcome, events, steps, tools: { ...tools }, input_tokens, output_tokens }
}
