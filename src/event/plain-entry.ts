// An entry as nearly all are written, read from its canonical text in one pass: each character is compared with what must stand there, or
// belongs to a value that is checked. It is either the entry that `parse.ts` reads, or undefined: what is anything else is for `parse.ts` to
// read, and to say what is wrong with it.

import { isTime } from '../base/clock.ts'
import { MAX_ADDED, MAX_MASK_LENGTH, MAX_MASKS, type Entry, type FactValue, type ListChange, type Ref, type Slot } from './entry.ts'
import type { Media } from './draft.ts'
import { MAX_SCOPE } from './kind.ts'
import { isLabel } from './label.ts'
import { CAPTURES, OUTCOMES, VOCABULARY, type Capture, type Outcome } from './vocabulary.ts'

type Writable<T> = { -readonly [K in keyof T]: T[K] }

const UUID_LENGTH = 36
const HASH_LENGTH = 44
const REF_LENGTH = 32
const TIME_LENGTH = 24

/** Where the reading is in the text: a module's variable is cheaper than an object, and nobody else runs meanwhile. */
let at = 0

/** The highest seq that the payloads read so far name, and how many list elements they add. */
let back = -1
let added = 0

/** The entry that `text` is; undefined where it is another one than of version 1, is not canonical, or is one that this does not know. */
export function readPlainEntry(text: string): Entry | undefined {
  at = 0
  back = -1
  added = 0
  if (!skip(text, '{"capture":"')) return undefined
  const capture = KNOWN_CAPTURES.get(word(text))
  if (capture === undefined || !skip(text, ',"event_id":"')) return undefined
  const event_id = uuid(text)
  if (event_id === '' || !skip(text, ',"event_type":"')) return undefined
  const named = word(text)
  const names = NAMES.get(named) ?? namesOf(named)
  if (names === undefined || !skip(text, ',"facts":{')) return undefined
  const facts = readFacts(text, names.facts)
  if (facts === undefined || !skip(text, ',"index":')) return undefined
  const index = count(text)
  if (index === -1) return undefined
  let outcome: Outcome | undefined
  if (skip(text, ',"outcome":"') && (outcome = KNOWN_OUTCOMES.get(word(text))) === undefined) return undefined
  let parent_event_id: string | undefined
  if (skip(text, ',"parent_event_id":"') && (parent_event_id = uuid(text)) === '') return undefined
  if (!skip(text, ',"payloads":{')) return undefined
  const payloads = readPayloads(text, names.payloads)
  if (payloads === undefined || !skip(text, ',"prev":"')) return undefined
  const prev = hash(text)
  if (prev === '' || !skip(text, ',"recorded_at":"')) return undefined
  const recorded_at = time(text)
  if (recorded_at === '' || !skip(text, ',"seq":')) return undefined
  const seq = count(text)
  if (seq === -1 || back >= seq || !skip(text, ',"session_id":"')) return undefined
  const session_id = uuid(text)
  if (session_id === '') return undefined
  let [step_number, stream_seq] = [0, 0]
  const stepped = skip(text, ',"step_number":')
  if (stepped && (step_number = count(text)) === -1) return undefined
  let stream: string | undefined
  if (skip(text, ',"stream":"') && ((stream = ref(text)) === '' || !skip(text, ',"stream_seq":') || (stream_seq = count(text)) === -1)) return undefined
  if (!skip(text, ',"timestamp":"')) return undefined
  const timestamp = time(text)
  if (timestamp === '' || !skip(text, ',"v":1,"writer":"')) return undefined
  const writer = label(text)
  if (writer === '' || text.charCodeAt(at) !== CLOSE || at + 1 !== text.length) return undefined
  // in the order of the text, as `JSON.parse` gives them
  const entry = { capture, event_id, event_type: names.event_type, facts, index } as Writable<Entry>
  if (outcome !== undefined) entry.outcome = outcome
  if (parent_event_id !== undefined) entry.parent_event_id = parent_event_id
  entry.payloads = payloads
  entry.prev = prev
  entry.recorded_at = recorded_at
  entry.seq = seq
  entry.session_id = session_id
  if (stepped) entry.step_number = step_number
  if (stream !== undefined) {
    entry.stream = stream
    entry.stream_seq = stream_seq
  }
  entry.timestamp = timestamp
  entry.v = 1
  entry.writer = writer
  return entry
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN = 0x7b
const CLOSE = 0x7d

const KNOWN_CAPTURES: ReadonlyMap<string, Capture> = new Map(CAPTURES.map((each) => [each, each]))
const KNOWN_OUTCOMES: ReadonlyMap<string, Outcome> = new Map(OUTCOMES.map((each) => [each, each]))
const KNOWN_MEDIA: ReadonlyMap<string, Media> = new Map((['json', 'text', 'bytes'] as const).map((each) => [each, each]))

// ---- names: entries of one type mostly have the same, in the same order ------------------------------------------------------

/** A name as it stood last at its place among the facts, or payloads, of an event type; `text` is how it stands before its value. */
interface Name { readonly name: string; readonly text: string; readonly after: string }

interface Names { readonly event_type: string; readonly facts: Name[]; readonly payloads: Name[] }

/** Of types that this version knows: others may be any number. */
const NAMES: ReadonlyMap<string, Names> = new Map(Object.keys(VOCABULARY).map((event_type) => [event_type, { event_type, facts: [], payloads: [] }]))

/** So many of each are remembered. */
const REMEMBERED = 16

function namesOf(event_type: string): Names | undefined {
  return isName(event_type) ? { event_type, facts: [], payloads: [] } : undefined
}

/** The `i`-th name of an object, and past the colon behind it; '' where none stands here, or not after `last` in order. */
function name(text: string, names: Name[], i: number, last: string): string {
  const known = names[i]
  if (known !== undefined && text.startsWith(known.text, at)) {
    if (known.after !== last && known.name <= last) return ''
    at += known.text.length
    return known.name
  }
  if (text.charCodeAt(at) !== QUOTE) return ''
  at++
  const found = word(text)
  if (!isName(found) || found <= last || text.charCodeAt(at) !== COLON) return ''
  at++
  if (i < REMEMBERED) names[i] = { name: found, text: `"${found}":`, after: last }
  return found
}

// ---- facts -------------------------------------------------------------------------------------------------------------------

/** The members of an object whose brace was skipped, and past its end. */
function readFacts(text: string, names: Name[]): Entry['facts'] | undefined {
  const facts: { [name: string]: FactValue } = {}
  if (text.charCodeAt(at) === CLOSE) {
    at++
    return facts
  }
  let last = ''
  for (let i = 0; ; i++) {
    last = name(text, names, i, last)
    const value = last === '' ? undefined : fact(text)
    if (value === undefined) return undefined
    facts[last] = value
    const next = text.charCodeAt(at++)
    if (next === CLOSE) return facts
    if (next !== COMMA) return undefined
  }
}

function fact(text: string): FactValue | undefined {
  switch (text.charCodeAt(at)) {
    case QUOTE:
      at++
      return open(text)
    case OPEN_LIST:
      at++
      return list(text, open)
    case OPEN:
      at++
      return counts(text)
    case 0x66:
      return skip(text, 'false') ? false : undefined
    case 0x74:
      return skip(text, 'true') ? true : undefined
    default: {
      const value = count(text)
      return value === -1 ? undefined : value
    }
  }
}

/** What the elements of an array are whose bracket was skipped, each a string that `read` reads after its quote. */
function list(text: string, read: (text: string) => string | undefined): string[] | undefined {
  const found: string[] = []
  if (skip(text, ']')) return found
  for (;;) {
    const each = skip(text, '"') ? read(text) : undefined
    if (each === undefined) return undefined
    found.push(each)
    const next = text.charCodeAt(at++)
    if (next === CLOSE_LIST) return found
    if (next !== COMMA) return undefined
  }
}

/** Counts by reference: no name of such an object is one of those that it would give back in an order of its own. */
function counts(text: string): { readonly [ref: string]: number } | undefined {
  const found: { [ref: string]: number } = {}
  if (skip(text, '}')) return found
  for (let last = ''; ; ) {
    const each = skip(text, '"') ? ref(text) : ''
    if (each <= last || !skip(text, ':')) return undefined
    last = each
    const value = count(text)
    if (value === -1) return undefined
    found[each] = value
    const next = text.charCodeAt(at++)
    if (next === CLOSE) return found
    if (next !== COMMA) return undefined
  }
}

// ---- payloads ----------------------------------------------------------------------------------------------------------------

/** As `readFacts`. */
function readPayloads(text: string, names: Name[]): Entry['payloads'] | undefined {
  const payloads: { [name: string]: Slot } = {}
  if (text.charCodeAt(at) === CLOSE) {
    at++
    return payloads
  }
  let last = ''
  for (let i = 0; ; i++) {
    last = name(text, names, i, last)
    const slot = last === '' ? undefined : readSlot(text)
    if (slot === undefined) return undefined
    payloads[last] = slot
    const next = text.charCodeAt(at++)
    if (next === CLOSE) return added > MAX_ADDED ? undefined : payloads
    if (next !== COMMA) return undefined
  }
}

function readSlot(text: string): Slot | undefined {
  if (skip(text, REF)) return readRef(text)
  if (skip(text, '{"add":[')) return readList(text)
  if (!skip(text, '{"same":')) return undefined
  const same = seqBefore(text)
  return same === -1 || !skip(text, '}') ? undefined : { same }
}

const REF = '{"c":"'

/** What stands after `REF`. */
function readRef(text: string): Ref | undefined {
  const c = hash(text)
  if (c === '') return undefined
  if (skip(text, ',"m":"json"}')) return { c, m: 'json' } // nearly always
  let k = 0
  const scoped = skip(text, ',"k":')
  if (scoped && ((k = count(text)) < 1 || k > MAX_SCOPE)) return undefined
  const m = skip(text, ',"m":"') ? KNOWN_MEDIA.get(word(text)) : undefined
  if (m === undefined) return undefined
  const found: Writable<Ref> = scoped ? { c, k, m } : { c, m }
  if (skip(text, ',"masked":[')) {
    const masked = list(text, mask)
    if (masked === undefined || masked.length === 0 || masked.length > MAX_MASKS) return undefined
    found.masked = masked
  }
  return skip(text, '}') ? found : undefined
}

/** What stands after the bracket of `add`. */
function readList(text: string): ListChange | undefined {
  const add: Ref[] = []
  if (!skip(text, ']')) for (;;) {
    const ref = skip(text, REF) ? readRef(text) : undefined
    if (ref === undefined) return undefined
    add.push(ref)
    const next = text.charCodeAt(at++)
    if (next === CLOSE_LIST) break
    if (next !== COMMA) return undefined
  }
  added += add.length
  const based = skip(text, ',"base":')
  const base = based ? seqBefore(text) : 0
  if (base === -1 || !skip(text, ',"count":')) return undefined
  const length = count(text)
  if (skip(text, ',"keep":') !== based) return undefined
  const keep = based ? count(text) : 0
  if (keep === -1 || length !== add.length + keep || !skip(text, ',"root":"')) return undefined
  const root = hash(text)
  if (root === '' || !skip(text, '}')) return undefined
  return based ? { add, base, count: length, keep, root } : { add, count: length, root }
}

/** A seq, which must be of an entry before this one. */
function seqBefore(text: string): number {
  const seq = count(text)
  if (seq > back) back = seq
  return seq
}

// ---- single values -----------------------------------------------------------------------------------------------------------

function skip(text: string, literal: string): boolean {
  if (!text.startsWith(literal, at)) return false
  at += literal.length
  return true
}

/** Up to the next quote, and past it. Empty where there is none. */
function word(text: string): string {
  const end = text.indexOf('"', at)
  if (end === -1) return ''
  const found = text.slice(at, end)
  at = end + 1
  return found
}

/** The `length` characters that stand here, where a quote follows them, and past that. */
function take(text: string, length: number): string {
  const end = at + length
  if (text.charCodeAt(end) !== 0x22) return ''
  const found = text.slice(at, end)
  at = end + 1
  return found
}

/** An integer from 0 as JSON writes it, of at most 15 digits; -1 where none stands here. */
function count(text: string): number {
  const from = at
  let value = 0
  for (;; at++) {
    const digit = text.charCodeAt(at) - 0x30
    if (!(digit >= 0 && digit <= 9)) break // NaN at the end
    value = value * 10 + digit
  }
  const digits = at - from
  return digits === 0 || digits > 15 || (digits > 1 && text.charCodeAt(from) === 0x30) ? -1 : value
}

// What each character may be: a lower-case hex digit, one of base64, the last of 32 bytes in base64, of which two bits are not used.
const HEX = 1
const BASE64 = 2
const LAST = 4
const NAME = 8
const DIGIT = 16
const SIGN = 32
/** What a string in facts of any vocabulary may hold, but for what JSON escapes. */
const SIGNS = Array.from({ length: 0x7f - 0x21 }, (_, i) => String.fromCharCode(0x21 + i)).join('').replace(/["\\]/g, '')
const KINDS = new Uint8Array(128)
for (const [letters, kind] of [['0123456789abcdef', HEX], ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', BASE64], ['AEIMQUYcgkosw048', LAST], ['abcdefghijklmnopqrstuvwxyz0123456789_', NAME], ['0123456789', DIGIT], [SIGNS, SIGN]] as const) {
  for (const letter of letters) KINDS[letter.charCodeAt(0)]! |= kind
}

/** Whether all characters from `from` to `to` are of `kind`. */
function are(text: string, from: number, to: number, kind: number): boolean {
  for (let i = from; i < to; i++) if (((KINDS[text.charCodeAt(i)] ?? 0) & kind) === 0) return false
  return true
}

function uuid(text: string): string {
  const dashes = text.charCodeAt(at + 8) === 0x2d && text.charCodeAt(at + 13) === 0x2d && text.charCodeAt(at + 18) === 0x2d && text.charCodeAt(at + 23) === 0x2d
  const digits = are(text, at, at + 8, HEX) && are(text, at + 9, at + 13, HEX) && are(text, at + 14, at + 18, HEX) && are(text, at + 19, at + 23, HEX) && are(text, at + 24, at + 36, HEX)
  return dashes && digits ? take(text, UUID_LENGTH) : ''
}

function hash(text: string): string {
  return are(text, at, at + 42, BASE64) && are(text, at + 42, at + 43, LAST) && text.charCodeAt(at + 43) === 0x3d ? take(text, HASH_LENGTH) : ''
}

function ref(text: string): string {
  return are(text, at, at + REF_LENGTH, HEX) ? take(text, REF_LENGTH) : ''
}

/** A string in facts, whose quote was skipped. */
function open(text: string): string | undefined {
  const from = at
  let end = from
  while (((KINDS[text.charCodeAt(end)] ?? 0) & SIGN) !== 0) end++
  if (end === from || end - from > 128 || text.charCodeAt(end) !== QUOTE) return undefined
  at = end + 1
  return text.slice(from, end)
}

let writer = 'local'

/** The last one is remembered. */
function label(text: string): string {
  const found = word(text)
  if (found === writer) return writer
  if (!isLabel(found)) return ''
  writer = found
  return found
}

function mask(text: string): string | undefined {
  const found = word(text)
  return isLabel(found) && found.length <= MAX_MASK_LENGTH ? found : undefined
}

let day = '1970-01-01T'

/** The last day is remembered: neighbours in a log share it, and a date costs more than the rest of an envelope. */
function time(text: string): string {
  if (text.startsWith(day, at)) return isOfDay(text, at + day.length) ? take(text, TIME_LENGTH) : ''
  const found = take(text, TIME_LENGTH)
  if (!isTime(found)) return ''
  day = found.slice(0, 11)
  return found
}

/** Whether `HH:MM:SS.sssZ` stands at `from`. */
function isOfDay(text: string, from: number): boolean {
  const marks = text.charCodeAt(from + 2) === 0x3a && text.charCodeAt(from + 5) === 0x3a && text.charCodeAt(from + 8) === 0x2e && text.charCodeAt(from + 12) === 0x5a
  if (!marks || !are(text, from + 9, from + 12, DIGIT)) return false
  return twoDigits(text, from) < 24 && twoDigits(text, from + 3) < 60 && twoDigits(text, from + 6) < 60
}

/** The number that two digits say; NaN where they are none. */
function twoDigits(text: string, from: number): number {
  return are(text, from, from + 2, DIGIT) ? (text.charCodeAt(from) - 0x30) * 10 + text.charCodeAt(from + 1) - 0x30 : NaN
}

function isName(text: string): boolean {
  const first = text.charCodeAt(0)
  return first >= 0x61 && first <= 0x7a && text.length <= 64 && are(text, 1, text.length, NAME)
}
