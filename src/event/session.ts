// The session row: what is known of a session from its entries so far, folded one entry at a time. The ledger keeps it beside the
// log; `verify` folds again and compares the text. Everything that could pile up has a bound.

import { sha256 } from '#crypto'
import { concat, toBase64, utf8 } from '../base/bytes.ts'
import { canonicalJson, parseCanonicalJson, type CanonicalValue } from '../base/canonical-json.ts'
import { parseUuid } from '../base/ids.ts'
import { isSameRef, type Entry } from './entry.ts'
import { eventFault } from './fault.ts'
import { COUNT_FORM, HASH_FORM, isCount, isRecord, LABEL_FORM, oneOf, REF_FORM, TIME_FORM, UUID_FORM, type Form } from './kind.ts'
import { isLabel } from './label.ts'
import { OUTCOMES, type Outcome } from './vocabulary.ts'

const STATES = ['open', 'suspended', 'interrupted', 'ended'] as const

/** `interrupted`: the owner of one of its streams is proved gone, and nobody else has written since. */
export type SessionPhase = (typeof STATES)[number]

/** One recorder's part so far. `next` is the stream_seq it should send next, `last` the seq of its newest event. */
export interface StreamState {
  readonly next: number
  readonly last: number
  /** What was jumped over and has not come yet, as [from, to] inclusive, ascending; at most 64. */
  readonly missing?: readonly (readonly [number, number])[]
  /** More than 64 holes were open at once: `missing` is not all. */
  readonly missing_more?: true
  /** How many events repeated a stream_seq that was there already. */
  readonly repeated?: number
}

export interface SessionState {
  readonly session_id: string
  /** Who opened it. */
  readonly writer: string
  /** Empty in a session without agent, as the ledger's own. */
  readonly agent_id: string
  readonly agent_version?: string
  readonly model_id?: string
  readonly source?: string
  /** The reference of the person it is for. */
  readonly user?: string
  readonly parent_session_id?: string
  readonly root_session_id?: string
  readonly state: SessionPhase
  readonly outcome?: Outcome
  /** `timestamp` of the first event; `last_at` is the latest of all. */
  readonly started_at: string
  readonly last_at: string
  readonly ended_at?: string
  readonly first_index: number
  readonly last_index: number
  readonly next_seq: number
  /** Entry hash of the last event: `prev` of the next one. */
  readonly prev: string
  /** The step_number of the next llm_call or tool_call whose author gives none. */
  readonly next_step: number
  readonly events: number
  /** How many llm_call and tool_call there are. */
  readonly steps: number
  /** tool_call by tool_name; after 64 names the rest counts as `other`. */
  readonly tools: { readonly [name: string]: number }
  readonly input_tokens: number
  readonly output_tokens: number
  /** The newest 256 streams; `stream_total` counts all. A stream is forgotten only when 256 others wrote after it. */
  readonly streams: { readonly [stream: string]: StreamState }
  readonly stream_total: number
  /** seq of the entry whose payload `system_prompt` is in force. */
  readonly system_prompt?: number
  /** seq of the session_start that has a payload `identity`. */
  readonly identity?: number
  /** Scopes of this session, by k ascending, whose erasure one of its own entries orders (the ledger's orders stand in its own session). */
  readonly erased?: readonly number[]
}

const MAX_TOOLS = 64
const MAX_STREAMS = 256
const MAX_HOLES = 64

/** `prev` of a session's first entry, which binds the session to its log: SHA-256("counterfoil/session/v1" ‖ 0x00 ‖ origin ‖ 0x00 ‖ session_id[16]) in base64. */
export function firstPrev(origin: string, session_id: string): string {
  return toBase64(sha256(concat(utf8(`counterfoil/session/v1\0${origin}\0`), parseUuid(session_id))))
}

/**
 * `row` after `entry`, whose entry hash is `entryHash` (base64). Entries come in the order of seq; `row` is undefined before the first,
 * which need not be a session_start. Checks neither seq nor prev, and takes only facts of the kind it expects: entries of a later
 * vocabulary fold too. Costs a few microseconds, more with many streams; less with `own`, which says that `row` came from here and may be changed.
 */
export function foldSession(row: SessionState | undefined, entry: Entry, entryHash: string, own = false): SessionState {
  const state: Writable = row === undefined ? begin(entry) : own ? row : { ...row }
  if (entry.timestamp > state.last_at) state.last_at = entry.timestamp
  state.last_index = entry.index
  state.next_seq = entry.seq + 1
  state.prev = entryHash
  state.next_step = stepAfter(row, entry)
  state.events++
  foldConstants(state, entry)
  foldCounts(state, entry, own)
  if (entry.stream !== undefined && entry.stream_seq !== undefined) foldStream(state, entry.stream, entry.stream_seq, entry.seq, own)
  foldPhase(state, entry)
  return state
}

type Writable = { -readonly [name in keyof SessionState]: SessionState[name] }

function begin(entry: Entry): Writable {
  return {
    session_id: entry.session_id, writer: entry.writer, agent_id: '', state: 'open', started_at: entry.timestamp, last_at: entry.timestamp,
    first_index: entry.index, last_index: entry.index, next_seq: 0, prev: '', next_step: 1, events: 0, steps: 0, tools: {}, input_tokens: 0, output_tokens: 0, streams: {}, stream_total: 0,
  }
}

/** Whether each of these is a step of its own. */
export function isCall(event_type: string): boolean {
  return event_type === 'llm_call' || event_type === 'tool_call'
}

/** The step of `entry` after `row`: the author's, else the next one for a call and the current one for anything else. A result carries its call's: `views.ts` knows it. */
export function stepOf(row: Pick<SessionState, 'next_step'> | undefined, entry: Pick<Entry, 'event_type' | 'step_number'>): number {
  const next = row?.next_step ?? 1
  return entry.step_number ?? (isCall(entry.event_type) ? next : next - 1)
}

/** The next call is one more than the highest step so far, whoever gave it. */
function stepAfter(row: SessionState | undefined, entry: Entry): number {
  return Math.min(Math.max(row?.next_step ?? 1, stepOf(row, entry) + 1), Number.MAX_SAFE_INTEGER)
}

/** What later entries of a session stand on, and few of them change. */
export type SessionConstants = Pick<SessionState, 'agent_id' | 'agent_version' | 'model_id' | 'source' | 'user' | 'parent_session_id' | 'root_session_id' | 'system_prompt' | 'identity'>

/** `state` after `entry`, which only changes it when it is a session_start, a config_change or an llm_call. */
export function foldConstants(state: { -readonly [name in keyof SessionConstants]: SessionConstants[name] }, entry: Pick<Entry, 'event_type' | 'facts' | 'payloads' | 'seq'>): void {
  const { event_type, facts, payloads } = entry
  const start = event_type === 'session_start'
  if (start || event_type === 'config_change') {
    if (isLabel(facts['agent_version'])) state.agent_version = facts['agent_version']
    if (isLabel(facts['model_id'])) state.model_id = facts['model_id']
  } else if (event_type === 'llm_call' && state.model_id === undefined && isLabel(facts['model_id'])) {
    state.model_id = facts['model_id'] // the author named no model: the first one asked stands for the session
  }
  if (start) {
    if (isLabel(facts['agent_id'])) state.agent_id = facts['agent_id']
    if (isLabel(facts['source'])) state.source = facts['source']
    if (isText(facts['user'], REF_FORM)) state.user = facts['user']
    if (isText(facts['parent_session_id'], UUID_FORM)) state.parent_session_id = facts['parent_session_id']
    if (isText(facts['root_session_id'], UUID_FORM)) state.root_session_id = facts['root_session_id']
    if (payloads['identity'] !== undefined) state.identity = entry.seq
  }
  const prompt = start || event_type === 'config_change' || event_type === 'llm_call' ? payloads['system_prompt'] : undefined
  if (prompt !== undefined) state.system_prompt = isSameRef(prompt) ? prompt.same : entry.seq
}

function isText(value: unknown, form: Form): value is string {
  return form.fits(value)
}

function foldCounts(state: Writable, { event_type, facts }: Entry, own: boolean): void {
  if (isCall(event_type)) state.steps++
  if (event_type === 'tool_call' && isLabel(facts['tool_name'])) {
    const known = Object.hasOwn(state.tools, facts['tool_name']) || Object.keys(state.tools).length < MAX_TOOLS
    const name = known ? facts['tool_name'] : 'other'
    const count = Object.hasOwn(state.tools, name) ? state.tools[name]! : 0
    const tools: { [name: string]: number } = own ? state.tools : { ...state.tools }
    tools[name] = count + 1
    state.tools = tools
  }
  if (event_type === 'llm_result') {
    state.input_tokens = sum(state.input_tokens, facts['input_tokens'])
    state.output_tokens = sum(state.output_tokens, facts['output_tokens'])
  }
}

function sum(total: number, more: unknown): number {
  return isCount(more) ? Math.min(total + more, Number.MAX_SAFE_INTEGER) : total
}

function foldStream(state: Writable, stream: string, stream_seq: number, seq: number, own: boolean): void {
  const before = Object.hasOwn(state.streams, stream) ? state.streams[stream]! : undefined
  if (own && before?.next === stream_seq) {
    const next: { -readonly [name in keyof StreamState]: StreamState[name] } = before
    next.next = stream_seq + 1
    next.last = seq
    return
  }
  const streams: { [stream: string]: StreamState } = own ? state.streams : { ...state.streams }
  streams[stream] = advance(before ?? { next: 0, last: seq }, stream_seq, seq)
  if (before === undefined) {
    state.stream_total++
    const names = Object.keys(streams)
    if (names.length > MAX_STREAMS) delete streams[names.reduce((a, b) => (streams[b]!.last < streams[a]!.last ? b : a))]
  }
  state.streams = streams
}

/** A stream after the event `stream_seq`: what it jumped over is missing, what comes late is not any more. */
function advance(stream: StreamState, stream_seq: number, seq: number): StreamState {
  const { missing = [] } = stream
  if (stream_seq === stream.next) return { ...stream, next: stream_seq + 1, last: seq }
  if (stream_seq > stream.next) {
    const hole = [stream.next, stream_seq - 1] as const
    return { ...stream, next: stream_seq + 1, last: seq, ...(missing.length < MAX_HOLES ? { missing: [...missing, hole] } : { missing_more: true }) }
  }
  const at = missing.findIndex(([from, to]) => from <= stream_seq && stream_seq <= to)
  if (at === -1) return stream.missing_more ? { ...stream, last: seq } : { ...stream, last: seq, repeated: (stream.repeated ?? 0) + 1 }
  const [from, to] = missing[at]!
  const rest = ([[from, stream_seq - 1], [stream_seq + 1, to]] as const).filter(([a, b]) => a <= b)
  const left = missing.toSpliced(at, 1, ...rest)
  const { missing: _, ...closed } = stream
  if (left.length > MAX_HOLES) return { ...closed, last: seq, missing: left.slice(0, MAX_HOLES), missing_more: true }
  return { ...closed, last: seq, ...(left.length === 0 ? {} : { missing: left }) }
}

function foldPhase(state: Writable, entry: Entry): void {
  switch (entry.event_type) {
    case 'session_end':
    case 'session_timeout': {
      state.state = 'ended'
      state.ended_at = entry.timestamp
      const outcome = entry.outcome ?? (entry.event_type === 'session_timeout' ? 'timeout' : undefined)
      if (outcome === undefined) delete state.outcome
      else state.outcome = outcome
      return
    }
    case 'session_suspend':
      if (state.state !== 'ended') state.state = 'suspended'
      return
    case 'session_interrupted':
      if (state.state !== 'ended') state.state = 'interrupted'
      return
    case 'session_resume':
      state.state = 'open'
      delete state.ended_at
      delete state.outcome
      return
    case 'erasure':
      foldErasure(state, entry)
      return
    default:
      // Another stream of the session lives on.
      if (state.state === 'interrupted' && entry.stream !== undefined) state.state = 'open'
  }
}

function foldErasure(state: Writable, { facts, session_id }: Entry): void {
  const { phase, scopes } = facts
  if (phase !== 'ordered' || !Array.isArray(scopes)) return
  const own = scopes.filter((scope: string) => scope.startsWith(`${session_id}/`)).map((scope: string) => Number(scope.slice(37)))
  const erased = [...new Set([...(state.erased ?? []), ...own.filter(isCount)])].sort((a, b) => a - b)
  if (erased.length > 0) state.erased = erased.slice(0, MAX_ERASED)
}

const MAX_ERASED = 4096

/** The row as the store keeps it: canonical JSON. */
export function encodeSession(state: SessionState): string {
  return canonicalJson(state as unknown as CanonicalValue)
}

const EMPTY_OR_LABEL: Form = { says: 'a label or nothing', fits: (value) => value === '' || isLabel(value) }
const MEMBERS: { readonly [name in keyof Required<SessionState>]: readonly [Form, 'needed' | 'optional'] } = {
  session_id: [UUID_FORM, 'needed'],
  writer: [LABEL_FORM, 'needed'],
  agent_id: [EMPTY_OR_LABEL, 'needed'],
  agent_version: [LABEL_FORM, 'optional'],
  model_id: [LABEL_FORM, 'optional'],
  source: [LABEL_FORM, 'optional'],
  user: [REF_FORM, 'optional'],
  parent_session_id: [UUID_FORM, 'optional'],
  root_session_id: [UUID_FORM, 'optional'],
  state: [oneOf(STATES), 'needed'],
  outcome: [oneOf(OUTCOMES), 'optional'],
  started_at: [TIME_FORM, 'needed'],
  last_at: [TIME_FORM, 'needed'],
  ended_at: [TIME_FORM, 'optional'],
  first_index: [COUNT_FORM, 'needed'],
  last_index: [COUNT_FORM, 'needed'],
  next_seq: [COUNT_FORM, 'needed'],
  prev: [HASH_FORM, 'needed'],
  next_step: [COUNT_FORM, 'needed'],
  events: [COUNT_FORM, 'needed'],
  steps: [COUNT_FORM, 'needed'],
  tools: [{ says: 'counts by name', fits: (value) => isRecord(value) && Object.values(value).every(isCount) }, 'needed'],
  input_tokens: [COUNT_FORM, 'needed'],
  output_tokens: [COUNT_FORM, 'needed'],
  streams: [{ says: 'streams by reference', fits: (value) => isRecord(value) && Object.values(value).every(isStream) }, 'needed'],
  stream_total: [COUNT_FORM, 'needed'],
  system_prompt: [COUNT_FORM, 'optional'],
  identity: [COUNT_FORM, 'optional'],
  erased: [{ says: 'a list of scopes', fits: (value) => Array.isArray(value) && value.every(isCount) }, 'optional'],
}

function isStream(value: unknown): value is StreamState {
  if (!isRecord(value) || !isCount(value['next']) || !isCount(value['last'])) return false
  const { missing = [] } = value
  return Array.isArray(missing) && missing.every((hole) => Array.isArray(hole) && hole.length === 2 && hole.every(isCount))
}

/** The row that `text` is. A VerifyError `session_malformed` unless it is one, in canonical JSON: whether it is the right one, folding again shows. */
export function decodeSession(text: string): SessionState {
  const value = parseRow(text)
  if (!isRecord(value)) throw rowFault('expected an object')
  for (const [name, [form, presence]] of Object.entries(MEMBERS)) {
    if (!Object.hasOwn(value, name) && presence === 'optional') continue
    if (!form.fits(value[name])) throw rowFault(`expected ${name} to be ${form.says}`)
  }
  for (const name of Object.keys(value)) if (!Object.hasOwn(MEMBERS, name)) throw rowFault(`expected no member ${JSON.stringify(name.slice(0, 64))}`)
  return value as unknown as SessionState
}

function parseRow(text: string): unknown {
  try {
    return parseCanonicalJson(text)
  } catch (cause) {
    throw rowFault('expected canonical JSON', cause)
  }
}

function rowFault(fault: string, cause?: unknown): Error {
  return eventFault('session_malformed', `a session row is malformed: ${fault}`, 'rebuild the derived tables; the log itself is not concerned', cause)
}
