// An event in its author's words, as drafts. The vocabulary sorts it as it does in a recorder; there is no recorder's stream here, so what a stream would
// remember is either said by the author or not there. Everything that is not said is derived from the event's id, so that the same event sent again is the
// same draft again.

import { formatTime } from '../base/clock.ts'
import { MisuseError } from '../base/errors.ts'
import { formatUuid, isUuid } from '../base/ids.ts'
import { toHex, utf8 } from '../base/bytes.ts'
import { encodeDraft, type Draft, type DraftPayload, type DraftSlot } from '../event/draft.ts'
import { MAX_ADDED } from '../event/entry.ts'
import { foreignLabel, label, quote } from '../event/label.ts'
import { defaultMasks } from '../event/mask.ts'
import type { Piece, Subject } from '../event/model-call.ts'
import { checkDraft } from '../event/parse.ts'
import { identityOf } from '../event/person.ts'
import { CAPTURES, OUTCOMES, VOCABULARY, type Capture, type KnownType, type Outcome, type Risk } from '../event/vocabulary.ts'
import { jsonPiece, maskPiece, pieceOf, textPiece } from '../recorder/content.ts'
import type { AskedAction } from '../ledger/approvals.ts'
import { sortInput, type Sorted } from '../recorder/inputs.ts'
import { JsonMemory } from '../recorder/json-memory.ts'
import { personsOf } from '../recorder/subject.ts'
import type { Value } from '../recorder/stream.ts'
import { sha256 } from '#crypto'

/** What an author may say of an event's place, on every type. */
const ENVELOPE = ['event_type', 'session_id', 'event_id', 'stream', 'stream_seq', 'capture'] as const
const START: ReadonlySet<string> = new Set(['agent_id', 'agent_version', 'model_id', 'system_prompt', 'user_id', 'user_message', 'on_behalf_of', 'subject', 'tags', 'parent_session_id', 'root_session_id', 'source', 'client_session_id', 'timestamp', 'outcome'])
const END: ReadonlySet<string> = new Set(['outcome', 'reason', 'final_output', 'timestamp', 'subject'])
const LAID: ReadonlySet<string> = new Set(['reason', 'timestamp'])
/** The longest input that people are asked about, in characters: what is on record of it is never cut. */
const MAX_ASKED: number = 1024 * 1024
/** Types that have a route of their own, where it is known who acts. */
const ROUTES: { readonly [event_type: string]: string } = {
  approval_request: 'ask with POST /v1/approvals', approval_decision: 'people decide with POST /v1/approvals/{approval_id}/decisions', human_intervention: 'people step in with POST /v1/sessions/{session_id}/interventions',
}

/** The drafts that one event of a body becomes, encoded. The event itself is the last one. */
export interface Prepared { readonly event_id: string; readonly session_id: string; readonly event_type: string; readonly agent_id?: string; readonly drafts: readonly Uint8Array[]; readonly stamped: boolean }

/** An action that people are asked about. `expires_at` as the log writes times. */
export interface AskedFor {
  readonly session_id: string; readonly tool_name: string; readonly tool_input: unknown; readonly risk?: Risk | undefined; readonly quorum?: number | undefined; readonly expires_at: string
  readonly call_id?: string | undefined; readonly summary?: string | undefined; readonly reasoning?: readonly string[] | undefined; readonly parent_event_id?: string | undefined; readonly step_number?: number | undefined; readonly subject?: Subject | undefined
}

type Drafting = { -readonly [K in keyof Draft]: Draft[K] }

/** Turns the events of one body into drafts, in order: a result without a parent belongs to the newest call of its session in the same body. */
export class Drafter {
  readonly #now: number
  readonly #idAt: (at: number) => string
  readonly #asked: ReadonlyMap<string, AskedAction>
  readonly #about: Map<string, string>
  readonly #calls = new Map<string, string>()
  #at = 0

  /** `idAt` gives the id of an event whose author gave none, by its place in the body; `asked`: the requests that its calls name, by `<session_id>/<approval_id>`; `about`: the references of whom sessions are about. */
  constructor(now: number, idAt: (at: number) => string, { asked = new Map(), about = new Map() }: { readonly asked?: ReadonlyMap<string, AskedAction>; readonly about?: ReadonlyMap<string, string> } = {}) {
    this.#now = now
    this.#idAt = idAt
    this.#asked = asked
    this.#about = new Map(about)
  }

  /** MisuseError says what does not belong, and what would. */
  prepare(value: unknown): Prepared {
    const at = this.#at++
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new MisuseError('bad_event', `server: expected an event as an object, got ${quote(value)}`, '{"event_type": …, "session_id": …, …}')
    const event = value as { readonly [name: string]: unknown }
    const { event_type, session_id, event_id = this.#idAt(at), stream, stream_seq } = event
    if (typeof event_type !== 'string' || !Object.hasOwn(VOCABULARY, event_type)) throw new MisuseError('unknown_event_type', `server: expected an event type of the vocabulary, got ${quote(event_type)}`, "an event of your own is a 'custom', with its name and content")
    if (typeof session_id !== 'string' || !isUuid(session_id)) throw new MisuseError('bad_session_id', `server: expected session_id to be a lower-case UUID, got ${quote(session_id)}`, 'make one for each session; an id of your own goes into client_session_id of session_start')
    if (typeof event_id !== 'string' || !isUuid(event_id)) throw new MisuseError('bad_event_id', `server: expected event_id to be a lower-case UUID, got ${quote(event_id)}`, 'leave it out, or make one for each event')
    // null is a field that is not there, but for whom an event is of: there it says that it is of nobody but the session
    const rest = Object.fromEntries(Object.entries(event).filter(([name, each]) => !(ENVELOPE as readonly string[]).includes(name) && (each !== null || (name === 'subject' && !laid(event_type)))))
    const { capture } = event
    if (capture !== undefined && capture !== null && !(CAPTURES as readonly unknown[]).includes(capture)) throw new MisuseError('bad_capture', `server: expected capture to be one of ${CAPTURES.join(', ')}, got ${quote(capture)}`, 'leave it out: calls are told before, results after')
    const { subject, drafts: before, sorted } = this.#sort(event_type as KnownType, rest, event_id, session_id)
    if (typeof capture === 'string') sorted.capture = capture as Capture
    const starts = event_type === 'session_start'
    const made = new Making(event_id, session_id, this.#now, subject, starts ? undefined : this.#about.get(session_id))
    const draft = made.draft(event_type as KnownType, sorted)
    if (starts && typeof draft.facts['subject'] === 'string') this.#about.set(session_id, draft.facts['subject'])
    if (sorted.parent_event_id === undefined) this.#belongs(draft, event)
    if (stream !== undefined || stream_seq !== undefined) Object.assign(draft, { stream, stream_seq })
    for (const each of [...before, ...made.before, draft]) checkDraft(each)
    if (event_type === 'llm_call' || event_type === 'tool_call') this.#calls.set(`${session_id}/${event_type}`, event_id)
    return {
      event_id, session_id, event_type, ...(typeof sorted.facts['agent_id'] === 'string' ? { agent_id: sorted.facts['agent_id'] } : {}),
      drafts: [...made.before, ...before, draft].map(encodeDraft), stamped: sorted.timestamp === undefined,
    }
  }

  #belongs(draft: Drafting, event: { readonly [name: string]: unknown }): void {
    const call = draft.event_type === 'llm_result' ? 'llm_call' : draft.event_type === 'tool_result' && event['call_id'] === undefined ? 'tool_call' : undefined
    const parent = call === undefined ? undefined : this.#calls.get(`${draft.session_id}/${call}`)
    if (parent !== undefined) draft.parent_event_id = parent
  }

  /**
   * A call that rests on an approval, by the request's id. It has the input that was approved: by reference, where the author gives none or the same, else
   * what the author gives, which the ledger refuses. So it does where nobody has decided: that stands in the place of the decision.
   */
  #approvedCall({ approval_id, ...call }: { readonly [name: string]: unknown }, session_id: string): Sorted {
    if (typeof approval_id !== 'string' || !isUuid(approval_id)) throw new MisuseError('bad_approval_id', `server: expected approval_id to be a lower-case UUID, got ${quote(approval_id)}`, 'POST /v1/approvals answers with one')
    const asked = this.#asked.get(`${session_id}/${approval_id}`)
    const { tool_input, risk = asked?.risk } = call
    if (asked === undefined && tool_input === undefined) throw new MisuseError('missing_field', `server: expected tool_call.tool_input, got none, and ${approval_id} is no request of this session`, 'give the input; an act that nobody was asked about is refused and on record')
    const same = asked !== undefined && (tool_input === undefined || jsonText(tool_input) === asked.tool_input)
    const sorted = sortInput('tool_call', { ...call, tool_input: tool_input ?? {}, ...(typeof risk === 'string' ? { risk } : {}) }, new JsonMemory())
    if (same) sorted.payloads = { ...sorted.payloads, tool_input: { same: approval_id } }
    sorted.facts['requires_approval'] = true
    sorted.links = { approval: asked?.decision ?? approval_id }
    return sorted
  }

  #sort(event_type: KnownType, event: { readonly [name: string]: unknown }, event_id: string, session_id: string): { sorted: Sorted; drafts: Draft[]; subject: Subject | undefined } {
    switch (event_type) {
      case 'session_start': return { sorted: startOf(event, event_id), drafts: [], subject: event['subject'] as Subject | undefined }
      case 'session_end':
      case 'session_timeout': {
        const { sorted, output } = endOf(event_type, event)
        const subject = event['subject'] as Subject | undefined
        if (output === undefined) return { sorted, drafts: [], subject }
        const made = new Making(derivedId(event_id, 'final_output'), session_id, this.#now, subject, this.#about.get(session_id))
        const final = made.draft('final_output', { facts: {}, payloads: { output }, timestamp: sorted.timestamp })
        return { sorted, drafts: [...made.before, final], subject }
      }
      case 'session_suspend':
      case 'session_resume': return { sorted: laidOf(event_type, event), drafts: [], subject: undefined }
      default: {
        if (Object.hasOwn(ROUTES, event_type)) throw new MisuseError('not_for_events', `server: expected an event that its author may hand in, got ${event_type}`, ROUTES[event_type]!)
        const approved = event_type === 'tool_call' && event['approval_id'] !== undefined
        const sorted = approved ? this.#approvedCall(event, session_id) : sortInput(event_type, event, new JsonMemory())
        const { call_id } = event
        if (typeof call_id === 'string' && Object.hasOwn(VOCABULARY[event_type].facts, 'call_id')) sorted.facts['call_id'] = foreignLabel(call_id).label
        sorted.capture = event_type.endsWith('_call') || event_type === 'handoff' ? 'before' : 'after'
        return { sorted, drafts: [], subject: sorted.subject }
      }
    }
  }
}

/**
 * A request for approval, encoded, with what stands before it; the request is the last one. Its input is what the act is bound to: `shown` is what the
 * people who decide are given beside it.
 */
export function requestDrafts(event_id: string, now: number, asked: AskedFor, about?: string): Uint8Array[] {
  const { session_id, tool_name, tool_input, risk, quorum = 1, expires_at, call_id, summary, reasoning = [], parent_event_id, step_number, subject } = asked
  const text = jsonText(tool_input)
  if (text === undefined || text.length > MAX_ASKED) throw new MisuseError('bad_tool_input', `server: expected tool_input to be at most ${MAX_ASKED} characters of JSON that is not nested too deep`, 'people can approve only what they can be shown: name what is large by its hash')
  const made = new Making(event_id, session_id, now, subject, about)
  const draft = made.draft('approval_request', {
    facts: { tool_name: label(tool_name, 'tool_name'), expires_at, quorum, ...(risk === undefined ? {} : { risk }), ...(call_id === undefined ? {} : { call_id: foreignLabel(call_id).label }) },
    payloads: { tool_input: { m: 'json', content: text }, shown: jsonPiece({ tool_name, tool_input, ...(summary === undefined ? {} : { summary }), reasoning }) }, parent_event_id, step_number,
  })
  const drafts = [...made.before, draft]
  for (const each of drafts) checkDraft(each)
  return drafts.map(encodeDraft)
}

/** One event in the making. `before`: who its content is said to be of, and what of a long list does not fit into it. */
class Making {
  readonly before: Draft[] = []
  readonly #event_id: string
  readonly #session_id: string
  readonly #now: number
  #of: string | undefined

  /** `about`: the reference of whom the session is about, where the event says nothing. */
  constructor(event_id: string, session_id: string, now: number, subject: Subject | undefined, about: string | undefined) {
    this.#event_id = event_id
    this.#session_id = session_id
    this.#now = now
    const persons = personsOf(subject)
    if (persons === undefined) this.#of = about
    if (persons === undefined || persons.length === 0) return
    this.#of = derivedRef(event_id, 'subject')
    this.before.push({
      ...this.#envelope('subject', 'subject', undefined), capture: 'before', facts: { subject: this.#of }, persons,
      payloads: { identity: { ...maskPiece({ m: 'json', content: identityOf(persons, 'subject') }, defaultMasks), of: this.#of } },
    })
  }

  draft(event_type: KnownType, sorted: Sorted): Drafting {
    const { facts, payloads = {}, links, timestamp, capture = 'before', outcome, step_number, parent_event_id, persons } = sorted
    const slots: Record<string, DraftSlot> = {}
    let room = MAX_ADDED
    for (const [name, value] of Object.entries(payloads)) {
      if (value === undefined) continue
      if ('same' in value) slots[name] = value
      else if (!Array.isArray(value)) slots[name] = this.#payload(value as Piece)
      else {
        const pieces = value as readonly Piece[]
        slots[name] = this.#list(name, pieces, room, capture, timestamp)
        room -= (slots[name] as { add: readonly unknown[] }).add.length
      }
    }
    const draft: Drafting = { ...this.#envelope(event_type, undefined, timestamp), capture, facts: event_type === 'session_start' && this.#of !== undefined ? { ...facts, subject: this.#of } : facts, payloads: slots }
    if (outcome !== undefined) draft.outcome = outcome
    if (step_number !== undefined) draft.step_number = step_number
    if (parent_event_id !== undefined) draft.parent_event_id = parent_event_id
    if (persons !== undefined) draft.persons = persons
    if (links !== undefined) draft.links = links
    return draft
  }

  /** A list that is longer than an entry may be is preceded by `context` events with the rest of it. */
  #list(name: string, pieces: readonly Piece[], room: number, capture: 'before' | 'after' | 'imported', timestamp: string | undefined): DraftSlot {
    let base: { base: string; keep: number } | undefined
    let from = 0
    while (pieces.length - from > room) {
      const add = pieces.slice(from, from + MAX_ADDED).map((piece) => this.#payload(piece))
      const context: Draft = { ...this.#envelope('context', `${name}/${from}`, timestamp), capture, facts: {}, payloads: { [name]: { ...base, add } } }
      this.before.push(context)
      from += add.length
      base = { base: context.event_id, keep: from }
    }
    return { ...base, add: pieces.slice(from).map((piece) => this.#payload(piece)) }
  }

  #payload(piece: Piece): DraftPayload {
    const payload = maskPiece(piece, defaultMasks)
    return this.#of === undefined || piece.subject === null ? payload : { ...payload, of: this.#of }
  }

  #envelope(event_type: KnownType, part: string | undefined, timestamp: string | undefined): Pick<Draft, 'event_id' | 'event_type' | 'session_id' | 'timestamp'> {
    return { event_id: part === undefined ? this.#event_id : derivedId(this.#event_id, part), event_type, session_id: this.#session_id, timestamp: timestamp ?? formatTime(this.#now) }
  }
}

/** A parsed value as JSON text again; undefined where it is nested too deep for that. Never for content of any form: two values must not have one text. */
export function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

function startOf(event: { readonly [name: string]: unknown }, event_id: string): Sorted {
  only('session_start', event, START)
  const { agent_id, agent_version, model_id, system_prompt, user_id, user_message, on_behalf_of, tags, parent_session_id, root_session_id, client_session_id, source = 'http', timestamp, outcome } = event
  if (agent_id === undefined) throw new MisuseError('no_agent_id', 'server: expected session_start to have an agent_id, got none', "for example 'support-bot'")
  const facts: Record<string, unknown> = { source: labelOf('source', source) }
  for (const [name, value] of Object.entries({ agent_id, agent_version, model_id })) if (value !== undefined) facts[name] = labelOf(name, value)
  for (const [name, value] of Object.entries({ parent_session_id, root_session_id })) if (value !== undefined) facts[name] = value
  if (facts['parent_session_id'] !== undefined && facts['root_session_id'] === undefined) facts['root_session_id'] = facts['parent_session_id']
  const texts: Record<string, Value> = {}
  for (const [name, value] of Object.entries({ user_message, system_prompt, client_session_id })) if (value !== undefined) texts[name] = textPiece(textOf(`session_start.${name}`, value))
  const user = user_id === undefined ? undefined : textOf('session_start.user_id', user_id)
  if (user !== undefined) facts['user'] = derivedRef(event_id, 'user')
  return {
    facts,
    payloads: {
      ...texts, identity: user === undefined ? undefined : { m: 'json', content: identityOf([user], 'user'), subject: null },
      on_behalf_of: on_behalf_of === undefined ? undefined : jsonPiece({ subject: textOf('session_start.on_behalf_of', on_behalf_of) }), tags: tags === undefined ? undefined : jsonPiece(tags),
    },
    persons: user === undefined ? undefined : [user], capture: 'before', ...said(timestamp, outcome),
  }
}

function endOf(event_type: string, event: { readonly [name: string]: unknown }): { sorted: Sorted; output: Piece | undefined } {
  only(event_type, event, END)
  const { reason, final_output, timestamp, outcome = event_type === 'session_timeout' ? 'timeout' : 'unknown' } = event
  const name = reason === undefined ? undefined : foreignLabel(textOf(`${event_type}.reason`, reason))
  const sorted: Sorted = { facts: name === undefined ? {} : { reason: name.label }, payloads: { note: name?.odd === undefined ? undefined : textPiece(name.odd) }, capture: 'after', ...said(timestamp, outcome) }
  return { sorted, output: final_output === undefined ? undefined : pieceOf(textOf(`${event_type}.final_output`, final_output)) }
}

function laidOf(event_type: string, event: { readonly [name: string]: unknown }): Sorted {
  only(event_type, event, LAID)
  const { reason, timestamp } = event
  return { facts: reason === undefined ? {} : { reason: labelOf('reason', reason) }, payloads: {}, capture: 'after', ...said(timestamp, undefined) }
}

/** Whether it has no content that could be of anybody. */
function laid(event_type: string): boolean {
  return event_type === 'session_suspend' || event_type === 'session_resume'
}

function said(timestamp: unknown, outcome: unknown): { timestamp?: string; outcome?: Outcome } {
  if (outcome !== undefined && !(OUTCOMES as readonly unknown[]).includes(outcome)) throw new MisuseError('bad_outcome', `server: expected outcome to be one of ${OUTCOMES.join(', ')}, got ${quote(outcome)}`, 'name one of them')
  return { ...(timestamp === undefined ? {} : { timestamp: timestamp as string }), ...(outcome === undefined ? {} : { outcome: outcome as Outcome }) } // checkDraft looks at the time
}

function only(event_type: string, event: { readonly [name: string]: unknown }, known: ReadonlySet<string>): void {
  for (const name of Object.keys(event)) if (!known.has(name)) throw new MisuseError('unknown_field', `server: expected a field of ${event_type}, got ${quote(name)}`, `it has ${[...known].join(', ')}`)
}

function labelOf(name: string, value: unknown): string {
  return label(typeof value === 'string' ? value : '', name)
}

function textOf(name: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw new MisuseError('bad_field', `server: expected ${name} to be a string, got ${quote(value)}`, 'pass text')
}

/** The id of a part of an event. */
export function derivedId(event_id: string, part: string): string {
  return uuidOf(`counterfoil/http/part\0${event_id}\0${part}`)
}

/** A UUIDv8 (RFC 9562) out of `text`. */
export function uuidOf(text: string): string {
  const bytes = sha256(utf8(text)).slice(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return formatUuid(bytes)
}

/** A reference of the event: it says nothing about whom it stands for. */
function derivedRef(event_id: string, what: string): string {
  return toHex(sha256(utf8(`counterfoil/http/ref\0${event_id}\0${what}`)).slice(0, 16))
}
