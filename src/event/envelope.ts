// The envelope of an entry as nearly all are written, read from its canonical text in one pass: each character is compared with what must stand
// there, or belongs to a value that is checked, or to the texts of facts and payloads. Only a short cut: what is anything else is for `parse.ts` to
// read, and to say what is wrong with it.

import { isTime } from '../base/clock.ts'
import type { Entry } from './entry.ts'
import { isLabel } from './label.ts'
import { CAPTURES, OUTCOMES, type Outcome } from './vocabulary.ts'

/** An entry whose facts and payloads are not read yet: their texts, each an object's if it is JSON. */
export type Envelope = Writable<Omit<Entry, 'facts' | 'payloads'>> & { facts: string; payloads: string }

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** What text stands before each member's value. */
const FACTS = ',"facts":{'
const INDEX = '},"index":'
const OUTCOME = ',"outcome":"'
const PARENT = ',"parent_event_id":"'
const PAYLOADS = ',"payloads":{'
const PREV = '},"prev":"'

const UUID_LENGTH = 36
const HASH_LENGTH = 44
const REF_LENGTH = 32
const TIME_LENGTH = 24

/** Where the reading is in the text: a module's variable is cheaper than an object, and nobody else runs meanwhile. */
let at = 0

/** The envelope that `text` begins and ends with; undefined where it is another one than of version 1, is not canonical, or is one that this does not know. */
export function readEnvelope(text: string): Envelope | undefined {
  at = 0
  if (!skip(text, '{"capture":"')) return undefined
  const capture = word(text)
  if (!CAPTURE_SET.has(capture) || !skip(text, ',"event_id":"')) return undefined
  const event_id = uuid(text)
  if (event_id === '' || !skip(text, ',"event_type":"')) return undefined
  const event_type = word(text)
  if (!isName(event_type) || !skip(text, FACTS)) return undefined
  const facts = object(text, INDEX)
  const index = count(text)
  if (facts === '' || index === -1) return undefined
  let outcome: string | undefined
  if (skip(text, OUTCOME) && !OUTCOME_SET.has((outcome = word(text)))) return undefined
  let parent_event_id: string | undefined
  if (skip(text, PARENT) && (parent_event_id = uuid(text)) === '') return undefined
  if (!skip(text, PAYLOADS)) return undefined
  const payloads = object(text, PREV)
  const prev = hash(text)
  if (payloads === '' || prev === '' || !skip(text, ',"recorded_at":"')) return undefined
  const recorded_at = time(text)
  if (recorded_at === '' || !skip(text, ',"seq":')) return undefined
  const seq = count(text)
  if (seq === -1 || !skip(text, ',"session_id":"')) return undefined
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
  const writer = word(text)
  if (!isLabel(writer) || text.charCodeAt(at) !== 0x7d || at + 1 !== text.length) return undefined
  // in the order of the text, as `JSON.parse` gives them
  const entry = { capture, event_id, event_type, facts, index } as Envelope
  if (outcome !== undefined) entry.outcome = outcome as Outcome
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

const CAPTURE_SET: ReadonlySet<string> = new Set(CAPTURES)
const OUTCOME_SET: ReadonlySet<string> = new Set(OUTCOMES)

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

/** The text of an object whose brace was skipped, up to the first `after`: the right place, or what is taken is no JSON. */
function object(text: string, after: string): string {
  const end = text.indexOf(after, at)
  if (end === -1) return ''
  const found = text.slice(at - 1, end + 1)
  at = end + after.length
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
const KINDS = new Uint8Array(128)
for (const [letters, kind] of [['0123456789abcdef', HEX], ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', BASE64], ['AEIMQUYcgkosw048', LAST], ['abcdefghijklmnopqrstuvwxyz0123456789_', NAME], ['0123456789', DIGIT]] as const) {
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
