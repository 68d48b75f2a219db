// What an OTLP/HTTP export says, whichever encoding it came in (opentelemetry-proto 1.x: trace, logs, common, resource). Values are JSON from
// here on: a 64-bit integer that JSON numbers cannot hold and a number that is none are strings, bytes are `{"base64": …}`. A span or log record
// that is malformed is refused by itself; only what does not even have the form of an export refuses the body.

import { MisuseError } from '../../base/errors.ts'
import type { Json } from '../../event/public.ts'

/** Attributes in their order. Names should be unique and need not be. */
export type Attributes = readonly (readonly [string, Json])[]

export interface Resource { readonly attributes: Attributes; readonly schema_url?: string }
export interface Scope { readonly name?: string; readonly version?: string; readonly attributes: Attributes }

export interface SpanEvent { readonly name: string; readonly time: bigint; readonly attributes: Attributes }
export interface SpanLink { readonly trace_id: string; readonly span_id: string; readonly attributes: Attributes }

/** Ids are lower-case hex, times nanoseconds since 1970. */
export interface Span {
  readonly trace_id: string
  readonly span_id: string
  readonly parent_span_id?: string
  readonly trace_state?: string
  readonly flags?: number
  readonly name: string
  readonly kind: SpanKind
  readonly start: bigint
  readonly end: bigint
  readonly attributes: Attributes
  readonly events: readonly SpanEvent[]
  readonly links: readonly SpanLink[]
  readonly status: { readonly code: StatusCode; readonly message?: string }
  /** how many attributes, events and links the exporter itself dropped */
  readonly dropped?: { readonly attributes?: number; readonly events?: number; readonly links?: number }
}

export interface LogRecord {
  readonly time: bigint
  readonly observed: bigint
  readonly severity_number?: number
  readonly severity_text?: string
  readonly event_name?: string
  readonly body?: Json
  readonly attributes: Attributes
  readonly flags?: number
  readonly trace_id?: string
  readonly span_id?: string
  readonly dropped?: { readonly attributes?: number }
}

/** One thing exported, with what produced it. */
export interface Exported<T> { readonly item: T; readonly resource: Resource; readonly scope: Scope }

/** A whole export. `refused` counts items that are not among `items`, `fault` says why the first of them is not. */
export interface Export<T> { readonly items: readonly Exported<T>[]; readonly refused: number; readonly fault?: string }

export type SpanKind = 'unspecified' | 'internal' | 'server' | 'client' | 'producer' | 'consumer'
export const SPAN_KINDS: readonly SpanKind[] = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer']
export type StatusCode = 'unset' | 'ok' | 'error'
export const STATUS_CODES: readonly StatusCode[] = ['unset', 'ok', 'error']

/** The most spans or log records of one export; exporters send 512 by default. */
export const MAX_ITEMS = 10_000
/** The most values (attributes, elements, members) of one export. */
export const MAX_VALUES = 250_000
/** How deep a value may nest. */
export const MAX_VALUE_LEVELS = 64
/** The most resources and scopes of one export. */
export const MAX_GROUPS = 10_000

/** An item of an export that is not as the protocol says. The items beside it are not touched. */
export class BadItem extends Error {}

/** The body is no export at all. */
export function notAnExport(expected: string, got: string, next: string): MisuseError {
  return new MisuseError('bad_otlp', `otlp: expected ${expected}, got ${got}`, next)
}

/** Counts what a body may hold. */
export class Budget {
  #values = 0
  #groups = 0
  refused = 0
  fault: string | undefined

  value(level: number): void {
    if (level > MAX_VALUE_LEVELS) throw new BadItem(`a value nests deeper than ${MAX_VALUE_LEVELS}`)
    if (++this.#values > MAX_VALUES) throw new BadItem(`the export holds more than ${MAX_VALUES} values`)
  }

  group(): void {
    if (++this.#groups > MAX_GROUPS) throw notAnExport(`at most ${MAX_GROUPS} resources and scopes`, 'more', 'have the exporter send smaller batches')
  }

  /** Adds what `read` gives; what is wrong with it is counted, and nothing else. */
  add<T>(items: Exported<T>[], read: () => Exported<T>): void {
    try {
      if (items.length >= MAX_ITEMS) throw new BadItem(`the export holds more than ${MAX_ITEMS} items`)
      items.push(read())
    } catch (error) {
      if (!(error instanceof BadItem)) throw error
      this.refused++
      this.fault ??= error.message
    }
  }

  export<T>(items: readonly Exported<T>[]): Export<T> {
    return { items, refused: this.refused, ...(this.fault === undefined ? {} : { fault: this.fault }) }
  }
}

/** A double as JSON: what is no number there is its name. */
export function doubleValue(value: number): Json {
  return Number.isFinite(value) ? value : String(value)
}

/** A 64-bit integer as JSON: a number as far as numbers are exact. */
export function intValue(value: bigint): Json {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString()
}

/** A list of pairs as an object, or as pairs where a name comes twice. */
export function objectOf(pairs: Attributes): Json {
  const object = Object.fromEntries(pairs)
  return Object.keys(object).length === pairs.length ? object : { pairs: pairs.map(([name, value]) => [name, value]) }
}

/** `hex` as the id of a trace (16 bytes) or span (8). All zeros are no id. */
export function checkId(hex: string, bytes: 8 | 16, what: string): string {
  if (hex.length !== 2 * bytes || /^0*$/.test(hex)) throw new BadItem(`${what} is not ${bytes} bytes, not all of them zero`)
  return hex
}

const MAX_TIME = (1n << 64n) - 1n

/** A time in nanoseconds as the protocol has it. */
export function checkTime(value: bigint, what: string): bigint {
  if (value < 0n || value > MAX_TIME) throw new BadItem(`${what} is no unsigned 64-bit number`)
  return value
}
