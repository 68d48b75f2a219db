// What may be written and what can be read (docs/format.md §3). Writing is closed: `checkDraft` refuses everything that the
// vocabulary does not name. Verifying is open where that is safe: `parseEntry` checks bytes, envelope and refs of any event type,
// and reports vocabulary that it does not know. Where they fail for size is nowhere: each part has a maximum.

import { fromUtf8, utf8 } from '../base/bytes.ts'
import { canonicalJson, type CanonicalValue } from '../base/canonical-json.ts'
import { CounterfoilError, MisuseError } from '../base/errors.ts'
import { MAX_PERSONS, type Draft } from './draft.ts'
import { MAX_ADDED, MAX_ENTRY_BYTES, MAX_MASK_LENGTH, MAX_MASKS, MAX_PAYLOAD_BYTES, type Entry } from './entry.ts'
import { eventFault, NewerFormatError } from './fault.ts'
import { COUNT_FORM, HASH_FORM, isCount, isRecord, LABEL_FORM, MAX_SCOPE, oneOf, REF_FORM, RULES, TIME_FORM, UUID_FORM, type Form, type TypeRules } from './kind.ts'
import { isLabel, quote } from './label.ts'
import { readPlainEntry } from './plain-entry.ts'
import { CAPTURES, OUTCOMES } from './vocabulary.ts'

const NAME = /^[a-z][a-z0-9_]{0,63}$/
const MEDIA = oneOf(['json', 'text', 'bytes'])
const OBJECT: Form = { says: 'an object', fits: isRecord }
const SCOPE_SAYS = `a scope from 0 to ${MAX_SCOPE}`
const MASKS_SAYS = `at most ${MAX_MASKS} mask names, each a label of at most ${MAX_MASK_LENGTH} characters`

type Fields = ReadonlyMap<string, Form>

const SHARED: readonly (readonly [string, Form])[] = [
  ['event_id', UUID_FORM],
  ['session_id', UUID_FORM],
  ['timestamp', TIME_FORM],
  ['capture', oneOf(CAPTURES)],
  ['facts', OBJECT],
  ['payloads', OBJECT],
  ['stream', REF_FORM],
  ['stream_seq', COUNT_FORM],
  ['parent_event_id', UUID_FORM],
  ['step_number', COUNT_FORM],
  ['outcome', oneOf(OUTCOMES)],
]

// ---- writing -------------------------------------------------------------------------------------------------------------------

const DRAFT_FIELDS: Fields = new Map<string, Form>([
  ['event_type', { says: 'an event type of the vocabulary', fits: (value) => RULES.has(value as string) }],
  ...SHARED,
  ['links', OBJECT],
  ['persons', { says: `1 to ${MAX_PERSONS} ids of persons`, fits: (value) => Array.isArray(value) && value.length >= 1 && value.length <= MAX_PERSONS && value.every((id) => typeof id === 'string') }],
])
const DRAFT_REQUIRED = ['event_type', 'event_id', 'session_id', 'timestamp', 'capture', 'facts', 'payloads']

/**
 * Throws a MisuseError (code `bad_event`) unless `draft` is an event that the vocabulary knows, in all its parts: names, kinds, maxima,
 * required facts (one that arrives through `links` counts). Reads nothing of a payload but its length and, of a string, that it is
 * well formed: that media `json` is JSON is up to who made it. Costs about a microsecond and one pass over string contents.
 */
export function checkDraft(draft: Draft): void {
  const fields: unknown = draft
  if (!isRecord(fields)) throw refused('an event', 'an object', fields)
  const type = typeof fields['event_type'] === 'string' ? fields['event_type'].slice(0, 64) : 'event'
  checkDraftFields(type, fields)
  const rules = RULES.get(type)!
  checkDraftFacts(type, rules, draft)
  checkDraftPayloads(type, rules, draft.payloads)
}

const NO_LINKS: NonNullable<Draft['links']> = {}

/** What an author says in the envelope; the rest is the recorder's own. */
const SAID = ['timestamp', 'parent_event_id', 'step_number', 'outcome'] as const

/** As `checkDraft`, in half the time, for a draft whose envelope is the recorder's own but for those fields. */
export function checkSaid(draft: Draft): void {
  const type = draft.event_type
  for (const name of SAID) {
    const value = draft[name]
    if (value !== undefined && !DRAFT_FIELDS.get(name)!.fits(value)) throw refused(`${type}.${name}`, DRAFT_FIELDS.get(name)!.says, value)
  }
  const rules = RULES.get(type)!
  checkDraftFacts(type, rules, draft)
  checkDraftPayloads(type, rules, draft.payloads)
}

function checkDraftFields(type: string, fields: { readonly [name: string]: unknown }): void {
  for (const name of DRAFT_REQUIRED) if (!Object.hasOwn(fields, name)) throw refused(`${type}.${name}`, DRAFT_FIELDS.get(name)!.says, undefined)
  for (const name of Object.keys(fields)) {
    const form = DRAFT_FIELDS.get(name)
    if (form === undefined) throw unknownName(`field ${quote(name)}`, type, DRAFT_FIELDS.keys())
    if (!form.fits(fields[name])) throw refused(`${type}.${name}`, form.says, fields[name])
  }
  if (Object.hasOwn(fields, 'stream') !== Object.hasOwn(fields, 'stream_seq')) {
    throw refused(`${type}.stream`, 'stream and stream_seq together or neither', 'one of them')
  }
}

function checkDraftFacts(type: string, rules: TypeRules, { facts, links = NO_LINKS }: Draft): void {
  for (const name of Object.keys(facts)) {
    const form = rules.facts.get(name)
    if (form === undefined) throw unknownName(`fact ${quote(name)}`, type, rules.facts.keys())
    if (!form.fits(facts[name])) throw refused(`${type}.${name}`, form.says, facts[name], 'content belongs into a payload, and a fact without a value is left out')
  }
  for (const name of Object.keys(links)) {
    const form = rules.facts.get(name)
    if (form === undefined) throw unknownName(`link ${quote(name)}`, type, rules.facts.keys())
    if (!form.fits(0)) throw refused(`${type}.${name}`, `${form.says}, which no link can become`, 'a link', 'links become the seq of an event')
    if (Object.hasOwn(facts, name)) throw refused(`${type}.${name}`, 'a fact or a link', 'both')
    if (!UUID_FORM.fits(links[name])) throw refused(`${type}.links.${name}`, 'the event_id of an earlier event of the session', links[name])
  }
  for (const name of rules.required) {
    if (!Object.hasOwn(facts, name) && !Object.hasOwn(links, name)) throw refused(`${type}.${name}`, rules.facts.get(name)!.says, undefined, 'this fact is required')
  }
}

function checkDraftPayloads(type: string, rules: TypeRules, payloads: { readonly [name: string]: unknown }): void {
  let added = 0
  for (const name of Object.keys(payloads)) {
    const kind = rules.payloads.get(name)
    if (kind === undefined) throw unknownName(`payload ${quote(name)}`, type, rules.payloads.keys())
    const slot = payloads[name]
    const where = `${type}.${name}`
    if (!isRecord(slot)) throw refused(where, kind === 'list' ? 'a list change or {same}' : 'a payload or {same}', slot)
    if (Object.hasOwn(slot, 'same')) checkDraftSame(where, slot)
    else if (kind === 'list') added += checkDraftList(where, slot)
    else checkDraftPayload(where, slot)
  }
  if (added > MAX_ADDED) throw refused(type, `at most ${MAX_ADDED} added list elements in one event`, added, 'record context events with the rest before it')
}

function checkDraftSame(where: string, slot: { readonly [name: string]: unknown }): void {
  onlyMembers(where, slot, SAME_MEMBERS)
  if (!UUID_FORM.fits(slot['same'])) throw refused(`${where}.same`, 'the event_id of an earlier event of the session', slot['same'])
}

function checkDraftList(where: string, slot: { readonly [name: string]: unknown }): number {
  onlyMembers(where, slot, DRAFT_LIST_MEMBERS)
  const { base, keep, add } = slot
  if (!Array.isArray(add)) throw refused(`${where}.add`, 'an array of payloads', add)
  if ((base === undefined) !== (keep === undefined)) throw refused(where, 'base and keep together or neither', 'one of them')
  if (base !== undefined && !UUID_FORM.fits(base)) throw refused(`${where}.base`, 'the event_id of an earlier event of the session', base)
  if (keep !== undefined && !isCount(keep)) throw refused(`${where}.keep`, COUNT_FORM.says, keep)
  for (let i = 0; i < add.length && i <= MAX_ADDED; i++) {
    if (!isRecord(add[i])) throw refused(`${where}.add[${i}]`, 'a payload', add[i])
    checkDraftPayload(where, add[i])
  }
  return add.length
}

function checkDraftPayload(where: string, slot: { readonly [name: string]: unknown }): void {
  onlyMembers(where, slot, DRAFT_PAYLOAD_MEMBERS)
  const { m, content, k, masked, of } = slot
  if (!MEDIA.fits(m)) throw refused(`${where}.m`, MEDIA.says, m)
  if (Object.hasOwn(slot, 'k') && !(isCount(k) && k <= MAX_SCOPE)) throw refused(`${where}.k`, SCOPE_SAYS, k)
  if (Object.hasOwn(slot, 'of') && (!REF_FORM.fits(of) || Object.hasOwn(slot, 'k'))) throw refused(`${where}.of`, `${REF_FORM.says}, without k beside it`, of)
  if (Object.hasOwn(slot, 'masked') && !areMasks(masked)) throw refused(`${where}.masked`, MASKS_SAYS, masked, 'give the mask a shorter name')
  if (typeof content === 'string') {
    if (!content.isWellFormed()) throw refused(`${where}.content`, 'a well-formed string', 'a lone surrogate', 'record it as bytes, or as JSON, which escapes it')
  } else if (!(content instanceof Uint8Array)) {
    throw refused(`${where}.content`, 'a string or a Uint8Array', content)
  }
  if (byteLength(content) > MAX_PAYLOAD_BYTES) {
    throw refused(where, `at most ${MAX_PAYLOAD_BYTES} bytes`, byteLength(content), 'store it elsewhere and record where')
  }
}

const SAME_MEMBERS: ReadonlySet<string> = new Set(['same'])
const DRAFT_LIST_MEMBERS: ReadonlySet<string> = new Set(['base', 'keep', 'add'])
const DRAFT_PAYLOAD_MEMBERS: ReadonlySet<string> = new Set(['m', 'content', 'k', 'masked', 'of'])

function onlyMembers(where: string, slot: object, members: ReadonlySet<string>): void {
  for (const name of Object.keys(slot)) if (!members.has(name)) throw unknownName(`member ${quote(name)}`, where, members)
}

function byteLength(content: string | Uint8Array): number {
  if (typeof content !== 'string') return content.length
  // A UTF-16 unit is at most 3 bytes of UTF-8: only what comes near the maximum is counted exactly.
  return content.length * 3 <= MAX_PAYLOAD_BYTES ? content.length : utf8(content).length
}

function refused(where: string, expected: string, got: unknown, next = 'change it where the event is made'): MisuseError {
  return new MisuseError('bad_event', `event: expected ${where} to be ${expected}, got ${quote(got)}`, next)
}

function unknownName(what: string, where: string, known: Iterable<string>): MisuseError {
  const names = [...known].join(', ')
  return new MisuseError('bad_event', `event: expected no ${what} in ${where}, which has ${names === '' ? 'none' : names}`, 'record what the vocabulary lacks as a custom event')
}

// ---- reading -------------------------------------------------------------------------------------------------------------------

const ENTRY_FIELDS: Fields = new Map<string, Form>([
  ['v', { says: '1', fits: (value) => value === 1 }],
  ['index', COUNT_FORM],
  ['event_type', { says: 'a name (a-z, 0-9 and _, at most 64)', fits: (value) => typeof value === 'string' && NAME.test(value) }],
  ['seq', COUNT_FORM],
  ['prev', HASH_FORM],
  ['writer', LABEL_FORM],
  ['recorded_at', TIME_FORM],
  ...SHARED,
])
const ENTRY_REQUIRED = ['v', 'index', 'event_id', 'event_type', 'session_id', 'seq', 'prev', 'writer', 'timestamp', 'recorded_at', 'capture', 'facts', 'payloads']

/** An entry, and which of its vocabulary this version does not know, as `type`, `type.facts.name`, `type.payloads.name`. */
export interface ParsedEntry {
  readonly entry: Entry
  readonly unknown: string[]
}

/**
 * The bytes of `entry`: canonical JSON. Throws (code `internal`) on what `parseEntry` would refuse and on more than 65,535 bytes: a
 * checked draft in a correct ledger never gets there.
 */
export function encodeEntry(entry: Entry): Uint8Array {
  const fault = faultOf(entry) ?? unknownMember(entry)
  if (fault !== undefined) throw internal(fault)
  const bytes = utf8(inOrder(entry) ? JSON.stringify(entry) : canonicalJson(entry as unknown as CanonicalValue))
  if (bytes.length > MAX_ENTRY_BYTES) throw internal(`expected at most ${MAX_ENTRY_BYTES} bytes, got ${bytes.length} in ${entry.event_type}`)
  return bytes
}

/**
 * Whether all keys are in canonical order, so that `JSON.stringify` writes an entry without fault canonically, in half the time: it holds ASCII
 * strings and integers only. Not of what `JSON.stringify` would change: a hole, an object that is not a plain one.
 */
function inOrder(value: object): boolean {
  if (Array.isArray(value)) {
    for (const each of value as unknown[]) if (each === undefined || (typeof each === 'object' && !inOrder(each!))) return false
    return true
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false
  let last = ''
  for (const name of Object.keys(value)) {
    if (name < last) return false
    last = name
    const each = (value as { readonly [name: string]: unknown })[name]
    if (typeof each === 'object' && !inOrder(each as object)) return false
  }
  return true
}

function internal(fault: string): CounterfoilError {
  return new CounterfoilError('internal', `event: an entry was made wrong: ${fault}`, 'this is a fault in counterfoil: please report it')
}

/**
 * The entry that `bytes` are. Checked are: length, UTF-8, that encoding again gives the same bytes, every envelope field, the form of
 * every fact, and every slot. A VerifyError `entry_malformed` otherwise; a NewerFormatError for another `v` or an unknown envelope
 * member whose entry is otherwise right. Vocabulary is only reported: facts in `entry` may be of other kinds than their names promise.
 */
export function parseEntry(bytes: Uint8Array): ParsedEntry {
  if (bytes.length > MAX_ENTRY_BYTES) throw malformed(`expected at most ${MAX_ENTRY_BYTES} bytes, got ${bytes.length}`)
  let text: string
  try {
    text = fromUtf8(bytes)
  } catch (cause) {
    throw malformed('expected JSON in UTF-8', cause)
  }
  return parseText(text)
}

/** `parseEntry` of bytes that are ASCII, given as text. */
export function parseEntryText(text: string): ParsedEntry {
  if (text.length > MAX_ENTRY_BYTES) throw malformed(`expected at most ${MAX_ENTRY_BYTES} bytes, got ${text.length}`)
  const entry = readPlainEntry(text)
  return entry === undefined ? parseText(text) : { entry, unknown: unknownOf(entry) }
}

function parseText(text: string): ParsedEntry {
  const value = parseJson(text)
  if (!isRecord(value)) throw malformed(`expected an object, got ${quote(value)}`)
  if (Object.hasOwn(value, 'v') && isCount(value['v']) && value['v'] > 1) throw new NewerFormatError(`expected an entry of format 1, got ${value['v']}`)
  const fault = faultOf(value)
  if (fault !== undefined) throw malformed(fault)
  const newer = unknownMember(value)
  if (!isCanonical(value, text)) throw malformed('expected canonical JSON, got another spelling of it')
  if (newer !== undefined) throw new NewerFormatError(newer)
  const entry = value as unknown as Entry
  return { entry, unknown: unknownOf(entry) }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw malformed('expected JSON in UTF-8', cause)
  }
}

function malformed(fault: string, cause?: unknown): Error {
  return eventFault('entry_malformed', `an entry is malformed: ${fault}`, 'compare the log with another copy of it', cause)
}

/** Whether `text` is the canonical spelling of `value`: duplicate keys, other number forms, escapes, orders and whitespace all come back as another text. */
function isCanonical(value: object, text: string): boolean {
  try {
    return canonicalJson(value as CanonicalValue) === text
  } catch {
    return false
  }
}

function unknownMember(value: object): string | undefined {
  for (const name of Object.keys(value)) if (!ENTRY_FIELDS.has(name)) return `expected no envelope member ${quote(name)}`
  return undefined
}

/** What is wrong with `value` as an entry of version 1, unknown envelope members aside; undefined when nothing is. */
function faultOf(value: object): string | undefined {
  const fields = value as { readonly [name: string]: unknown }
  for (const name of ENTRY_REQUIRED) if (!Object.hasOwn(fields, name)) return `expected ${name}, got none`
  for (const name of Object.keys(fields)) {
    const form = ENTRY_FIELDS.get(name)
    if (form !== undefined && !form.fits(fields[name])) return `expected ${name} to be ${form.says}, got ${quote(fields[name])}`
  }
  if (Object.hasOwn(fields, 'stream') !== Object.hasOwn(fields, 'stream_seq')) return 'expected stream and stream_seq together or neither'
  return factsFault(fields['facts'] as { readonly [name: string]: unknown }) ?? payloadsFault(fields['payloads'] as { readonly [name: string]: unknown }, fields['seq'] as number)
}

// What any vocabulary keeps to: printable ASCII without spaces. Enums, uuids, hashes, times, decimals and labels all fit.
const OPEN_STRING = /^[!-~]{1,128}$/

function factsFault(facts: { readonly [name: string]: unknown }): string | undefined {
  for (const name of Object.keys(facts)) {
    if (!NAME.test(name)) return `expected a fact's name, got ${quote(name)}`
    if (!isFactValue(facts[name])) return `expected ${name} to be a fact, got ${quote(facts[name])}`
  }
  return undefined
}

function isFactValue(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
      return OPEN_STRING.test(value)
    case 'number':
      return Number.isSafeInteger(value)
    case 'boolean':
      return true
    case 'object':
      if (value === null) return false
      if (Array.isArray(value)) return value.every((each) => typeof each === 'string' && OPEN_STRING.test(each))
      return Object.entries(value).every(([key, each]) => OPEN_STRING.test(key) && Number.isSafeInteger(each))
    default:
      return false
  }
}

function payloadsFault(payloads: { readonly [name: string]: unknown }, seq: number): string | undefined {
  let added = 0
  for (const name of Object.keys(payloads)) {
    if (!NAME.test(name)) return `expected a payload's name, got ${quote(name)}`
    const slot = payloads[name]
    if (!isRecord(slot)) return `expected ${name} to be a ref, a list or {same}, got ${quote(slot)}`
    const fault = Object.hasOwn(slot, 'same') ? sameFault(slot, seq) : Object.hasOwn(slot, 'add') ? listFault(slot, seq) : refFault(slot)
    if (fault !== undefined) return `${fault} in ${name}`
    if (Array.isArray(slot['add'])) added += slot['add'].length
  }
  return added > MAX_ADDED ? `expected at most ${MAX_ADDED} added list elements, got ${added}` : undefined
}

function sameFault(slot: { readonly [name: string]: unknown }, seq: number): string | undefined {
  for (const name of Object.keys(slot)) if (name !== 'same') return `expected no member ${quote(name)} beside same`
  return isCount(slot['same']) && slot['same'] < seq ? undefined : `expected same to be a seq before ${seq}, got ${quote(slot['same'])}`
}

function listFault(slot: { readonly [name: string]: unknown }, seq: number): string | undefined {
  let members = 3
  const { add, base, count, keep, root } = slot
  if (Object.hasOwn(slot, 'base') !== Object.hasOwn(slot, 'keep')) return 'expected base and keep together or neither'
  if (Object.hasOwn(slot, 'base')) {
    members = 5
    if (!isCount(base) || base >= seq) return `expected base to be a seq before ${seq}, got ${quote(base)}`
    if (!isCount(keep)) return `expected keep to be ${COUNT_FORM.says}, got ${quote(keep)}`
  }
  if (!HASH_FORM.fits(root)) return `expected root to be ${HASH_FORM.says}, got ${quote(root)}`
  if (!Array.isArray(add)) return `expected add to be an array, got ${quote(add)}`
  const expected = add.length + (isCount(keep) ? keep : 0)
  if (count !== expected || !isCount(count)) return `expected count to be ${expected}, got ${quote(count)}`
  if (Object.keys(slot).length !== members) return 'expected a list of add, base, count, keep, root alone'
  for (const each of add) {
    const fault = isRecord(each) ? refFault(each) : `expected a ref, got ${quote(each)}`
    if (fault !== undefined) return fault
  }
  return undefined
}

function refFault(slot: { readonly [name: string]: unknown }): string | undefined {
  for (const name of Object.keys(slot)) {
    const value = slot[name]
    if (name === 'c') {
      if (!HASH_FORM.fits(value)) return `expected c to be ${HASH_FORM.says}, got ${quote(value)}`
    } else if (name === 'm') {
      if (!MEDIA.fits(value)) return `expected m to be ${MEDIA.says}, got ${quote(value)}`
    } else if (name === 'k') {
      // One meaning, one encoding: scope 0 and no masks are said by leaving the member out.
      if (!isCount(value) || value < 1 || value > MAX_SCOPE) return `expected k from 1 to ${MAX_SCOPE}, got ${quote(value)}`
    } else if (name === 'masked') {
      if (!areMasks(value) || value.length === 0) return `expected masked to be 1 or more and ${MASKS_SAYS}, got ${quote(value)}`
    } else {
      return `expected no member ${quote(name)} in a ref`
    }
  }
  return Object.hasOwn(slot, 'c') && Object.hasOwn(slot, 'm') ? undefined : 'expected a ref with c and m'
}

function areMasks(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= MAX_MASKS && value.every((name) => isLabel(name) && name.length <= MAX_MASK_LENGTH)
}

/** The vocabulary of `entry` that this version does not know: a type, names, and kinds other than it knows (a longer enum, say). */
function unknownOf({ event_type, facts, payloads }: Entry): string[] {
  const rules = RULES.get(event_type)
  if (rules === undefined) return [event_type]
  const unknown: string[] = []
  for (const name of Object.keys(facts)) if (rules.facts.get(name)?.fits(facts[name]) !== true) unknown.push(`${event_type}.facts.${name}`)
  for (const name of rules.required) if (!Object.hasOwn(facts, name)) unknown.push(`${event_type}.facts.${name}`)
  for (const name of Object.keys(payloads)) {
    const kind = rules.payloads.get(name)
    const slot = payloads[name]!
    if (kind === undefined || ('same' in slot ? false : 'root' in slot !== (kind === 'list'))) unknown.push(`${event_type}.payloads.${name}`)
  }
  return unknown
}
