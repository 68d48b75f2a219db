// What an author passes to `record()`, sorted into the facts and payloads of its type by the vocabulary. Small kindnesses only: an
// error object becomes its name, message and stack, request parameters are split into numbers and the rest.

import { MisuseError } from '../base/errors.ts'
import { decimal, foreignLabel, quote } from '../event/label.ts'
import { didYouMean } from '../event/near.ts'
import { RULES } from '../event/kind.ts'
import { GIVEN, LEDGER_TYPES, OUTCOMES, VOCABULARY, type KnownType, type Outcome } from '../event/vocabulary.ts'
import { errorText, jsonPiece, pieceOf, textPiece } from './content.ts'
import type { JsonMemory } from './json-memory.ts'
import { personsOf } from './subject.ts'
import type { Emitted, Value } from './stream.ts'

const PLACE = new Set(['step_number', 'parent_event_id', 'timestamp', 'subject'])
/** Types that only the ledger, the session's own methods or a tool wrapper write. */
const OWN_METHODS: { readonly [type: string]: string } = {
  session_start: 'trail.session() or trail.start()', session_end: 'session.end()', session_timeout: 'runAuditedAgent or session.end()', session_suspend: 'session.suspend()',
  session_resume: 'trail.resume()', subject: 'record() of another type with { subject }', approval_request: 'session.approval()', approval_decision: 'session.approval()', human_intervention: 'session.intervene()',
}
const NUMBERS = { max_tokens: 'int', temperature: 'decimal', top_p: 'decimal', top_k: 'int', seed: 'int', budget_tokens: 'int' } as const

/** What an event is made of, for its recorder to complete. */
export type Sorted = { -readonly [K in keyof Emitted]: Emitted[K] } & { facts: Record<string, unknown> }

/** Sorts `event` for `record(event_type, event)`. MisuseError names what does not belong and what would. `lists`: those of this session before it. */
export function sortInput(event_type: string, event: { readonly [name: string]: unknown }, lists: JsonMemory): Sorted {
  if (!Object.hasOwn(VOCABULARY, event_type)) {
    throw new MisuseError('unknown_event_type', `recorder: expected an event type of the vocabulary, got ${quote(event_type)}`, unknownNext(event_type))
  }
  if (LEDGER_TYPES.has(event_type)) throw new MisuseError('not_for_record', `recorder: ${event_type} is not for record()`, 'only the ledger itself writes it')
  const method = OWN_METHODS[event_type]
  if (method !== undefined) throw new MisuseError('not_for_record', `recorder: ${event_type} is not for record()`, `call ${method}`)
  if (typeof event !== 'object' || event === null || Array.isArray(event)) throw new MisuseError('bad_event', `recorder: expected an object with the fields of ${event_type}, got ${quote(event)}`, `record('${event_type}', { … })`)
  const type = VOCABULARY[event_type as KnownType] as { facts: Record<string, string>; payloads: Record<string, 'one' | 'list'> }
  const facts = defaults(event_type)
  const payloads: Record<string, Value> = {}
  const sorted: Sorted = { facts, payloads }
  for (const name of Object.keys(event)) {
    const value = event[name]
    if (value === undefined && !(name === 'error' && event_type === 'error')) continue // whatever was thrown is an error, undefined too
    const kind = Object.hasOwn(type.payloads, name) ? type.payloads[name] : undefined
    if (PLACE.has(name)) (sorted as { [name: string]: unknown })[name] = value
    else if (name === 'outcome') sorted.outcome = checkOutcome(value)
    else if (name === 'error') Object.assign(facts, errorInto(event_type, value, payloads))
    else if (name === 'parameters' && event_type === 'llm_call') Object.assign(facts, parametersInto(value, payloads))
    else if (Object.hasOwn(type.facts, name)) facts[name] = value
    else if (kind === 'list') payloads[name] = listOf(event_type, name, value, lists)
    else if (kind === 'one') payloads[name] = oneOf(event_type, name, value)
    else if (name !== 'call_id') {
      const known = [...Object.keys(type.facts), ...Object.keys(type.payloads), ...PLACE]
      throw new MisuseError('unknown_field', `recorder: expected a field of ${event_type}, got ${quote(name)}`, `it has ${known.join(', ')}; put anything else into an event of your own: record('custom', { name, content })`)
    }
  }
  personsOf(sorted.subject)
  checkGiven(event_type as KnownType, event, payloads)
  return sorted
}

function unknownNext(event_type: unknown): string {
  const types = authorTypes()
  const meant = didYouMean(String(event_type), types)
  return `${meant === '' ? '' : `${meant} `}record an event of your own as 'custom', with its name and content, or one of ${types.filter((type) => type !== 'custom').join(', ')}`
}

/** What the public types name; of the rest, `context` and `finding` are made from others. */
function authorTypes(): string[] {
  return Object.keys(VOCABULARY).filter((type) => OWN_METHODS[type] === undefined && !LEDGER_TYPES.has(type) && type !== 'context' && type !== 'finding')
}

/** A required fact that is missing, `checkDraft` finds. */
function checkGiven(event_type: KnownType, event: { readonly [name: string]: unknown }, payloads: { readonly [name: string]: Value }): void {
  const needed = (GIVEN as { readonly [type: string]: readonly string[] })[event_type]
  if (needed === undefined) return
  for (const name of needed) {
    if ((Object.hasOwn(payloads, name) ? payloads[name] : event[name]) !== undefined) continue
    const field = name === 'message' ? 'error' : name
    const all = [...RULES.get(event_type)!.required.filter((fact) => !Object.hasOwn(defaults(event_type), fact)), ...needed].map((each) => (each === name ? field : each))
    throw new MisuseError('missing_field', `recorder: expected ${event_type}.${field}, got none`, `${event_type} needs ${all.join(', ')}`)
  }
}

function defaults(event_type: string): Record<string, unknown> {
  if (event_type === 'reasoning') return { kind: 'author_stated' }
  if (event_type === 'tool_call') return { risk: 'low' }
  return {}
}

function checkOutcome(value: unknown): Outcome {
  if (typeof value === 'string' && (OUTCOMES as readonly string[]).includes(value)) return value as Outcome
  throw new MisuseError('bad_outcome', `recorder: expected outcome to be one of ${OUTCOMES.join(', ')}, got ${quote(value)}`, 'name one of them, or leave outcome out')
}

/** An error of any form, as the facts and payloads of the event that reports it. */
export function errorInto(event_type: string, error: unknown, payloads: Record<string, Value>): { error_type?: string } {
  if (error === null && event_type !== 'error') return {}
  const { message, error_type, stack } = errorText(error)
  if (event_type === 'error') {
    payloads['message'] = textPiece(message)
    if (stack !== undefined) payloads['stack'] = textPiece(stack)
  } else payloads['error'] = textPiece(message)
  return { error_type: foreignLabel(error_type).label }
}

function parametersInto(value: unknown, payloads: Record<string, Value>): Record<string, unknown> {
  const facts: Record<string, unknown> = {}
  const rest: Record<string, unknown> = {}
  for (const [name, parameter] of Object.entries(value ?? {})) {
    const kind = (NUMBERS as Record<string, string>)[name]
    if (kind === 'int' && Number.isSafeInteger(parameter)) facts[name] = parameter
    else if (kind === 'decimal' && typeof parameter === 'number' && decimal(parameter) !== undefined) facts[name] = decimal(parameter)
    else rest[name] = parameter
  }
  if (Object.keys(rest).length > 0) payloads['request_parameters'] = jsonPiece(rest)
  return facts
}

function listOf(event_type: string, name: string, value: unknown, lists: JsonMemory): Value {
  if (!Array.isArray(value)) throw new MisuseError('bad_field', `recorder: expected ${event_type}.${name} to be an array, got ${quote(value)}`, `put it into one: ${name}: [ … ]`)
  return lists.pieces(`${event_type}.${name}`, value as readonly unknown[])
}

/** Payloads that are texts in the public surface; everything else is recorded as JSON, so that it reads back as the value it was. */
const TEXTS = new Set(['text', 'output_text', 'system_prompt', 'user_message', 'instructions', 'message', 'stack', 'reason', 'target', 'reference', 'note', 'comment', 'response_id', 'legal_basis'])

function oneOf(event_type: string, name: string, value: unknown): Value {
  if (value instanceof Uint8Array) return pieceOf(value)
  if (!TEXTS.has(name) && !(event_type === 'final_output' && name === 'output')) return jsonPiece(value)
  if (typeof value !== 'string') throw new MisuseError('bad_field', `recorder: expected ${event_type}.${name} to be a string, got ${quote(value)}`, `pass text, or JSON.stringify what it is`)
  return pieceOf(value)
}
