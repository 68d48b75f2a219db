// OTLP in JSON: the protocol's own mapping (ids in hex, enums as numbers) and protobuf's generic one (ids in base64, enums by name), field names in
// either case, 64-bit integers as numbers or strings. Members that are not known are skipped, as the protocol asks of receivers.

import { fromBase64, fromUtf8, toHex } from '../../base/bytes.ts'
import { parseShallowJson } from '../../base/shallow-json.ts'
import { isRecord } from '../../event/kind.ts'
import { quote } from '../../event/label.ts'
import type { Json } from '../../event/public.ts'
import { BadItem, Budget, checkId, checkTime, doubleValue, intValue, notAnExport, objectOf, SPAN_KINDS, STATUS_CODES, type Attributes, type Export, type Exported, type LogRecord, type Resource, type Scope, type Span, type SpanEvent, type SpanLink } from './request.ts'

type Fields = { readonly [name: string]: unknown }

/** The spans of an ExportTraceServiceRequest. */
export function readJsonTraces(bytes: Uint8Array): Export<Span> {
  return readRequest(bytes, 'resourceSpans', 'scopeSpans', 'spans', readSpan)
}

/** The records of an ExportLogsServiceRequest. */
export function readJsonLogs(bytes: Uint8Array): Export<LogRecord> {
  return readRequest(bytes, 'resourceLogs', 'scopeLogs', 'logRecords', readLog)
}

function readRequest<T>(bytes: Uint8Array, groups: string, scopes: string, name: string, readItem: (fields: Fields, budget: Budget) => T): Export<T> {
  const request = parse(bytes)
  const budget = new Budget()
  const items: Exported<T>[] = []
  const inForm = <R>(read: () => R): R => {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof BadItem)) throw error
      throw notAnExport('an OTLP export in JSON', error.message, 'see that the exporter speaks OTLP/HTTP')
    }
  }
  for (const group of inForm(() => messages(request, groups))) {
    budget.group()
    const resource = inForm(() => readResource(group, budget))
    for (const scoped of inForm(() => messages(group, scopes))) {
      budget.group()
      const scope = inForm(() => readScope(message(scoped, 'scope') ?? {}, budget))
      for (const item of inForm(() => listOf(scoped, name))) {
        budget.add(items, () => {
          if (!isRecord(item)) throw new BadItem(`${name} holds ${quote(item)}`)
          return { item: readItem(item, budget), resource, scope }
        })
      }
    }
  }
  return budget.export(items)
}

function parse(bytes: Uint8Array): Fields {
  let value: unknown
  try {
    value = parseShallowJson(fromUtf8(bytes))
  } catch (error) {
    throw notAnExport('an OTLP export as JSON in UTF-8', (error as Error).message.slice(0, 200), 'send Content-Type: application/x-protobuf for protobuf')
  }
  if (!isRecord(value)) throw notAnExport('an OTLP export as a JSON object', quote(value), 'see that the exporter speaks OTLP/HTTP')
  return value
}

function readResource(group: Fields, budget: Budget): Resource {
  const schema = text(group, 'schemaUrl')
  return { attributes: attributesOf(message(group, 'resource') ?? {}, budget, 1), ...(schema === '' ? {} : { schema_url: schema }) }
}

function readScope(fields: Fields, budget: Budget): Scope {
  const [name, version] = [text(fields, 'name'), text(fields, 'version')]
  return { ...(name === '' ? {} : { name }), ...(version === '' ? {} : { version }), attributes: attributesOf(fields, budget, 1) }
}

function readSpan(fields: Fields, budget: Budget): Span {
  const [parent_span_id, trace_state, flags] = [idOf(fields, 'parentSpanId', 8), text(fields, 'traceState'), count(fields, 'flags')]
  const status = message(fields, 'status') ?? {}
  const said = text(status, 'message')
  const dropped = { attributes: count(fields, 'droppedAttributesCount'), events: count(fields, 'droppedEventsCount'), links: count(fields, 'droppedLinksCount') }
  return {
    trace_id: idOf(fields, 'traceId', 16) ?? checkId('', 16, 'a trace id'), span_id: idOf(fields, 'spanId', 8) ?? checkId('', 8, 'a span id'),
    ...(parent_span_id === undefined ? {} : { parent_span_id }), ...(trace_state === '' ? {} : { trace_state }), ...(flags === 0 ? {} : { flags }),
    name: text(fields, 'name'), kind: enumOf(fields, 'kind', SPAN_KINDS, 'SPAN_KIND_'), start: time(fields, 'startTimeUnixNano'), end: time(fields, 'endTimeUnixNano'),
    attributes: attributesOf(fields, budget, 1), events: messages(fields, 'events').map((event) => readEvent(event, budget)), links: messages(fields, 'links').map((link) => readLink(link, budget)),
    status: { code: enumOf(status, 'code', STATUS_CODES, 'STATUS_CODE_'), ...(said === '' ? {} : { message: said }) }, ...(Object.values(dropped).some((each) => each > 0) ? { dropped } : {}),
  }
}

function readEvent(fields: Fields, budget: Budget): SpanEvent {
  budget.value(1)
  return { name: text(fields, 'name'), time: time(fields, 'timeUnixNano'), attributes: attributesOf(fields, budget, 2) }
}

function readLink(fields: Fields, budget: Budget): SpanLink {
  budget.value(1)
  return { trace_id: idOf(fields, 'traceId', 16) ?? '', span_id: idOf(fields, 'spanId', 8) ?? '', attributes: attributesOf(fields, budget, 2) }
}

function readLog(fields: Fields, budget: Budget): LogRecord {
  const [severity_text, event_name, flags, dropped] = [text(fields, 'severityText'), text(fields, 'eventName'), count(fields, 'flags'), count(fields, 'droppedAttributesCount')]
  const [trace_id, span_id, body, severity] = [idOf(fields, 'traceId', 16), idOf(fields, 'spanId', 8), member(fields, 'body'), severityOf(fields)]
  return {
    time: time(fields, 'timeUnixNano'), observed: time(fields, 'observedTimeUnixNano'), attributes: attributesOf(fields, budget, 1), ...(severity === 0 ? {} : { severity_number: severity }),
    ...(severity_text === '' ? {} : { severity_text }), ...(event_name === '' ? {} : { event_name }), ...(body === undefined ? {} : { body: valueOf(body, budget, 1) }), ...(flags === 0 ? {} : { flags }),
    ...(trace_id === undefined ? {} : { trace_id }), ...(span_id === undefined ? {} : { span_id }), ...(dropped === 0 ? {} : { dropped: { attributes: dropped } }),
  }
}

const SEVERITIES = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL']

/** `9`, or `SEVERITY_NUMBER_INFO`, of which each has four. */
function severityOf(fields: Fields): number {
  const value = member(fields, 'severityNumber')
  const [, name, nth = '1'] = typeof value === 'string' ? (/^SEVERITY_NUMBER_([A-Z]+?)([2-4]?)$/.exec(value) ?? []) : []
  if (name === undefined) return count(fields, 'severityNumber')
  return name === 'UNSPECIFIED' || !SEVERITIES.includes(name) ? 0 : SEVERITIES.indexOf(name) * 4 + Number(nth === '' ? 1 : nth)
}

function attributesOf(fields: Fields, budget: Budget, level: number): Attributes {
  return pairsOf(listOf(fields, 'attributes'), budget, level)
}

function pairsOf(list: readonly unknown[], budget: Budget, level: number): Attributes {
  return list.map((pair) => {
    budget.value(level)
    if (!isRecord(pair)) throw new BadItem(`an attribute is ${quote(pair)}`)
    return [text(pair, 'key'), valueOf(member(pair, 'value'), budget, level)] as const
  })
}

/** An AnyValue: an object with one of its alternatives; none is null. */
function valueOf(value: unknown, budget: Budget, level: number): Json {
  if (value === undefined) return null
  if (!isRecord(value)) throw new BadItem(`a value is ${quote(value)}, not an object as {"stringValue": …}`)
  for (const name of Object.keys(value)) {
    const given = value[name]
    switch (name) {
      case 'stringValue': case 'string_value': return text(value, 'stringValue')
      case 'boolValue': case 'bool_value': if (typeof given === 'boolean') return given; break
      case 'intValue': case 'int_value': return intValue(integer(given, 'an integer', -(1n << 63n), (1n << 63n) - 1n))
      case 'doubleValue': case 'double_value': return double(given)
      case 'arrayValue': case 'array_value': return elements(given).map((each) => {
        budget.value(level + 1)
        return valueOf(each ?? undefined, budget, level + 1)
      })
      case 'kvlistValue': case 'kvlist_value': return objectOf(pairsOf(elements(given), budget, level + 1))
      case 'bytesValue': case 'bytes_value': if (typeof given === 'string') return { base64: given }; break
      default: continue
    }
    throw new BadItem(`${name} is ${quote(given)}`)
  }
  return null
}

function elements(list: unknown): readonly unknown[] {
  if (!isRecord(list)) throw new BadItem(`a list of values is ${quote(list)}, not an object as {"values": […]}`)
  return listOf(list, 'values')
}

function double(value: unknown): Json {
  if (typeof value === 'number') return doubleValue(value)
  if (value === 'NaN' || value === 'Infinity' || value === '-Infinity') return value
  if (typeof value === 'string' && /^-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(value)) return doubleValue(Number(value))
  throw new BadItem(`a number is ${quote(value)}`)
}

/** An integer as a number or as a decimal string. */
function integer(value: unknown, what: string, least: bigint, most: bigint): bigint {
  const whole = typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? BigInt(value) : undefined
  if (whole === undefined || whole < least || whole > most) throw new BadItem(`${what} is ${quote(value)}`)
  return whole
}

/** The member `name`, in camel or snake case; null is as if it were not there. */
function member(fields: Fields, name: string): unknown {
  const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const value = Object.hasOwn(fields, name) ? fields[name] : Object.hasOwn(fields, snake) ? fields[snake] : undefined
  return value ?? undefined
}

function text(fields: Fields, name: string): string {
  const value = member(fields, name) ?? ''
  if (typeof value !== 'string') throw new BadItem(`${name} is ${quote(value)}, not a string`)
  return value
}

function count(fields: Fields, name: string): number {
  return Number(integer(member(fields, name) ?? 0, name, 0n, 0xffff_ffffn))
}

function time(fields: Fields, name: string): bigint {
  return checkTime(integer(member(fields, name) ?? 0, name, 0n, (1n << 64n) - 1n), name)
}

function listOf(fields: Fields, name: string): readonly unknown[] {
  const value = member(fields, name) ?? []
  if (!Array.isArray(value)) throw new BadItem(`${name} is ${quote(value)}, not an array`)
  return value as unknown[]
}

function message(fields: Fields, name: string): Fields | undefined {
  const value = member(fields, name)
  if (value !== undefined && !isRecord(value)) throw new BadItem(`${name} is ${quote(value)}, not an object`)
  return value
}

function messages(fields: Fields, name: string): readonly Fields[] {
  return listOf(fields, name).map((each) => {
    if (!isRecord(each)) throw new BadItem(`${name} holds ${quote(each)}`)
    return each
  })
}

function enumOf<T extends string>(fields: Fields, name: string, values: readonly T[], prefix: string): T {
  const value = member(fields, name) ?? 0
  const at = typeof value === 'string' ? values.findIndex((each) => `${prefix}${each.toUpperCase()}` === value) : value
  return (typeof at === 'number' ? values[at] : undefined) ?? values[0]!
}

/** None for no text, and for zeros, which some exporters write for none. In hex, or in base64, which is shorter. */
function idOf(fields: Fields, name: string, bytes: 8 | 16): string | undefined {
  const value = text(fields, name)
  const hex = value.length === 2 * bytes && /^[0-9a-fA-F]+$/.test(value) ? value.toLowerCase() : value === '' ? '' : hexOf(value)
  if (hex === undefined) throw new BadItem(`${name} is ${quote(value)}, neither hex nor base64`)
  return /^0*$/.test(hex) ? undefined : checkId(hex, bytes, name)
}

function hexOf(base64: string): string | undefined {
  try {
    return toHex(fromBase64(base64))
  } catch {
    return undefined
  }
}
