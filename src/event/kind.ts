// The vocabulary's kind strings, compiled once into checks: drafts and entries are checked on the hot path.

import { isTime } from '../base/clock.ts'
import { isRef, isUuid } from '../base/ids.ts'
import { isDecimal, isLabel, LABEL_SAYS } from './label.ts'
import { VOCABULARY } from './vocabulary.ts'

/** A form that a value can have, and how messages call it. */
export interface Form {
  readonly says: string
  readonly fits: (value: unknown) => boolean
}

/** A compiled event type. `required` are the facts without `?`. */
export interface TypeRules {
  readonly facts: ReadonlyMap<string, Form>
  readonly required: readonly string[]
  readonly payloads: ReadonlyMap<string, 'one' | 'list'>
}

const BASE64 = new Uint8Array(128)
for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/') BASE64[letter.charCodeAt(0)] = 1
/** Of the last letter of 32 bytes two bits are not used. */
for (const letter of 'AEIMQUYcgkosw048') BASE64[letter.charCodeAt(0)] = 2

/** Measured: a third of the time of a regular expression, and an entry has three of them. */
function isHash(value: unknown): boolean {
  if (typeof value !== 'string' || value.length !== 44 || value.charCodeAt(43) !== 0x3d || (BASE64[value.charCodeAt(42)] ?? 0) < 2) return false
  for (let i = 0; i < 42; i++) if ((BASE64[value.charCodeAt(i)] ?? 0) === 0) return false
  return true
}

/** A SHA-256 hash: padded base64 of 32 bytes, 44 characters, no bits after its end. */
export const HASH_FORM: Form = { says: 'a hash (32 bytes in padded base64, 44 characters)', fits: isHash }
export const LABEL_FORM: Form = { says: LABEL_SAYS, fits: isLabel }
export const UUID_FORM: Form = { says: 'a lower-case UUID', fits: (value) => typeof value === 'string' && isUuid(value) }
export const REF_FORM: Form = { says: 'a reference (32 lower-case hex digits)', fits: (value) => typeof value === 'string' && isRef(value) }
export const TIME_FORM: Form = { says: 'a time as 2026-11-21T08:00:00.000Z', fits: isTimeOften }
export const INT_FORM: Form = { says: 'a safe integer', fits: Number.isSafeInteger }
export const COUNT_FORM: Form = { says: 'a safe integer from 0', fits: isCount }

const OF_DAY = /^(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$/
let day = '1970-01-01T'

/** `isTime`, with the last day remembered: neighbours in a log share it, and a date costs more to check than the rest of an entry. */
function isTimeOften(value: unknown): boolean {
  if (typeof value !== 'string') return false
  if (value.startsWith(day)) return OF_DAY.test(value.slice(day.length))
  if (!isTime(value)) return false
  day = value.slice(0, 11)
  return true
}

const SIMPLE: ReadonlyMap<string, Form> = new Map<string, Form>([
  ['label', LABEL_FORM],
  ['uuid', UUID_FORM],
  ['ref', REF_FORM],
  ['hash', HASH_FORM],
  ['time', TIME_FORM],
  ['int', INT_FORM],
  ['bool', { says: 'true or false', fits: (value) => typeof value === 'boolean' }],
  ['scope', { says: 'a scope as <session id>/<k>, k from 0 to 65535 in decimal', fits: isScope }],
  ['signature', { says: 'a signature (64 bytes as padded base64)', fits: isSignature }],
  ['decimal', { says: 'a decimal string (as "0.7", at most 32 characters)', fits: isDecimal }],
])

/** The largest number of a scope in its session. */
export const MAX_SCOPE = 65_535

function isScope(value: unknown): boolean {
  if (typeof value !== 'string' || value[36] !== '/') return false
  const k = value.slice(37)
  return isUuid(value.slice(0, 36)) && /^(?:0|[1-9][0-9]{0,4})$/.test(k) && Number(k) <= MAX_SCOPE
}

/** The last character of 64 bytes in base64 holds two bits: only four of them come back the same. */
function isSignature(value: unknown): boolean {
  return typeof value === 'string' && /^[A-Za-z0-9+/]{85}[AQgw]==$/.test(value)
}

/** Whether `value` is a safe integer from 0. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Whether `value` is an object that is not an array. */
export function isRecord(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** One of `values`. */
export function oneOf(values: readonly string[]): Form {
  const set: ReadonlySet<unknown> = new Set(values)
  return { says: `one of ${values.join(', ')}`, fits: (value) => set.has(value) }
}

/** The form of a kind string of the vocabulary, without its `?`. */
export function compileKind(kind: string): Form {
  if (kind.startsWith('=')) return oneOf(kind.slice(1).split('|'))
  const many = /^([a-z]+)\[(\d+)\]$/.exec(kind)
  if (many === null) return simple(kind)
  const [base, max] = [many[1]!, Number(many[2])]
  return base === 'counts' ? countsForm(max) : listForm(simple(base), max)
}

function simple(kind: string): Form {
  const form = SIMPLE.get(kind)
  if (form === undefined) throw new TypeError(`event: expected a kind of the vocabulary, got ${kind}`)
  return form
}

function listForm(item: Form, max: number): Form {
  return {
    says: `a list of at most ${max}, each ${item.says}`,
    fits: (value) => Array.isArray(value) && value.length <= max && value.every((each) => item.fits(each)),
  }
}

function countsForm(max: number): Form {
  return {
    says: `an object of at most ${max} counts by reference`,
    fits: (value) => {
      if (!isRecord(value)) return false
      const keys = Object.keys(value)
      return keys.length <= max && keys.every((key) => isRef(key) && isCount(value[key]))
    },
  }
}

/** Every event type of the vocabulary, compiled. A Map, so that `__proto__` and `constructor` are unknown like others. */
export const RULES: ReadonlyMap<string, TypeRules> = new Map(
  Object.entries(VOCABULARY).map(([type, { facts, payloads }]) => {
    const kinds = Object.entries(facts as { readonly [name: string]: string })
    return [
      type,
      {
        facts: new Map(kinds.map(([name, kind]) => [name, compileKind(kind.replace(/\?$/, ''))])),
        required: kinds.filter(([, kind]) => !kind.endsWith('?')).map(([name]) => name),
        payloads: new Map(Object.entries(payloads as { readonly [name: string]: 'one' | 'list' })),
      },
    ]
  }),
)
