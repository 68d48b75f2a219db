// Where the values of an act's input first stood in the record.

import { type Leaf, identifiersOf, isLong, leavesOf, sentencesOf, valueAt } from './leaves.ts'
import { needleOf } from './match.ts'
import type { Part, Source, Value } from './result.ts'
import { sameJson } from './same.ts'
import type { Session } from './session.ts'
import type { Found, Text } from './text-index.ts'

const MAX_VALUE = 400
const MAX_CONTEXT = 160

/** What was put to the model in the end: nothing after `asked` could have reached it; `act` bounds values that were changed later. */
export interface Horizon {
  /** position after the last event that the model can have read */
  readonly asked: number
  readonly act: number
  /** the input as the model asked for it; undefined when no request is on record */
  readonly requested: { readonly input: unknown } | undefined
  /** what was put to the model is on record */
  readonly complete: boolean
}

/** The values of `input` with their sources, and how many values were too many. */
export function valuesOf(session: Session, input: unknown, horizon: Horizon): { values: Value[]; left: number } {
  const { leaves, left } = leavesOf(input)
  return { values: leaves.map((leaf) => valueOf(session, leaf, horizon)), left }
}

function valueOf(session: Session, leaf: Leaf, horizon: Horizon): Value {
  const as_asked = horizon.requested === undefined ? null : sameJson(valueAt(horizon.requested.input, leaf.keys), leaf.value)
  const end = as_asked === false ? horizon.act : horizon.asked
  const text = typeof leaf.value === 'string' ? leaf.value : ''
  const base = { path: leaf.path, value: shown(leaf.value), characters: text.length, as_asked, source: null, earlier: null, outside: null, parts: [], reason: null }
  const needle = needleOf(leaf.value)
  if (typeof needle === 'string') {
    const parts = needle === 'masked' && isLong(text) ? partsOf(session, text, end) : []
    return { ...base, status: parts.some((part) => part.source !== null) ? 'partly' : 'untraced', reason: needle, parts, complete: false }
  }
  const found = session.texts.find(needle, end)
  const first = found.exact ?? found.loose
  if (first) {
    const earlier = earliest(found) === first ? undefined : earliest(found)
    const others = unoriginal(first.text) ? earliest(session.texts.find(needle, end, (said) => said.kind !== first.text.kind && !own(said))) : undefined
    const outside = others?.order === earlier?.order ? undefined : others
    const complete = session.complete((earlier ?? first).text.position)
    return { ...base, complete, status: 'traced', source: source(session, first, end), earlier: source(session, earlier, end), outside: source(session, outside, end) }
  }
  const parts = isLong(text) ? partsOf(session, text, end) : []
  const complete = horizon.complete && session.complete(end)
  return { ...base, complete, status: parts.some((part) => part.source !== null) ? 'partly' : complete ? 'nowhere' : 'unknown', parts }
}

function earliest({ exact, loose }: { exact?: Found; loose?: Found }): Found | undefined {
  return exact && loose && loose.order < exact.order ? loose : (exact ?? loose)
}

// The model's words, and inputs of calls, which are mostly its words again.
function own({ kind }: Text): boolean {
  return kind === 'model' || kind === 'earlier_call'
}

// A definition lists what may be said (an enum, a default, an example), so that it stands before whoever said it.
function unoriginal(text: Text): boolean {
  return own(text) || text.kind === 'tool_definition'
}

// A sentence that is on record needs no further look; of the others, the identifiers in them.
function partsOf(session: Session, text: string, end: number): Part[] {
  return sentencesOf(text).flatMap((sentence) => {
    const whole = look(session, sentence.text, end)
    const inner = whole === null ? identifiersOf(sentence.text) : []
    return [
      { kind: 'sentence' as const, text: shorten(sentence.text), offset: sentence.offset, source: whole },
      ...inner.map((part) => ({ kind: 'identifier' as const, text: shorten(part.text), offset: sentence.offset + part.offset, source: look(session, part.text, end) })),
    ]
  })
}

function look(session: Session, text: string, end: number): Source | null {
  const needle = needleOf(text)
  if (typeof needle === 'string') return null
  const { exact, loose } = session.texts.find(needle, end)
  return source(session, exact ?? loose, end)
}

function source(session: Session, found: Found | undefined, end: number): Source | null {
  if (found === undefined) return null
  const { text, place } = found
  const event = session.at(text.position)
  return {
    index: event.index, event_id: event.event_id, event_type: event.event_type, session_id: event.session_id,
    kind: text.kind, trust: session.trust(text, end), name: text.name, message: text.message,
    match: place.match, offset: place.offset, length: place.length, ...contextOf(text, place.offset, place.length),
  }
}

function contextOf(text: Text, offset: number, length: number): Pick<Source, 'context' | 'context_offset' | 'context_whole' | 'context_json'> {
  if (text.json !== undefined && text.text.length <= MAX_CONTEXT) {
    const json = JSON.stringify(text.json)
    if (json.length <= MAX_CONTEXT) return { context: json, context_offset: 0, context_whole: true, context_json: true }
  }
  if (text.text.length <= MAX_CONTEXT) return { context: text.text, context_offset: 0, context_whole: true, context_json: false }
  const around = Math.max(0, MAX_CONTEXT - length) >>> 1
  const start = wholeCharacter(text.text, Math.max(0, offset - around))
  const end = wholeCharacter(text.text, Math.min(text.text.length, start + MAX_CONTEXT))
  return { context: text.text.slice(start, end), context_offset: start, context_whole: false, context_json: false }
}

function shown(value: unknown): Value['value'] {
  if (typeof value === 'string') return value.slice(0, wholeCharacter(value, MAX_VALUE))
  return typeof value === 'number' || typeof value === 'boolean' ? value : null
}

/** A text cut to 160 characters. */
export function shorten(text: string): string {
  return text.length <= MAX_CONTEXT ? text : `${text.slice(0, wholeCharacter(text, MAX_CONTEXT - 1))}…`
}

// Not between the halves of a surrogate pair.
function wholeCharacter(text: string, at: number): number {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00 && at > 0 ? at - 1 : at
}
