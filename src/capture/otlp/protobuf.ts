// OTLP in protobuf (opentelemetry/proto/{trace,logs,common,resource}/v1, field numbers as published there). The wire format is read in
// `wire.ts`; which fields there are stands here. Fields that are not known are skipped, as the protocol asks of receivers; a known field
// of another wire type, a length beyond its message and text that is no UTF-8 are faults.

import { toBase64, toHex } from '../../base/bytes.ts'
import type { Json } from '../../event/public.ts'
import { BadItem, Budget, checkId, doubleValue, intValue, notAnExport, objectOf, SPAN_KINDS, STATUS_CODES, type Attributes, type Export, type Exported, type LogRecord, type Resource, type Scope, type Span, type SpanEvent, type SpanLink } from './request.ts'
import { WIRE, WireFault, WireReader } from './wire.ts'

/** The spans of an ExportTraceServiceRequest. */
export function readTraces(bytes: Uint8Array): Export<Span> {
  return readRequest(bytes, readSpan)
}

/** The records of an ExportLogsServiceRequest. */
export function readLogs(bytes: Uint8Array): Export<LogRecord> {
  return readRequest(bytes, readLog)
}

/** What to do with each field of a message, by its number: what it must be on the wire, and who takes it. */
type Field = readonly [type: number, take: (reader: WireReader) => void]
type Fields = { readonly [number: number]: Field }

const { varint: VARINT, fixed64: FIXED64, fixed32: FIXED32, bytes: BYTES } = WIRE

function readMessage(bytes: Uint8Array, fields: Fields): void {
  const reader = new WireReader(bytes)
  while (!reader.ended) {
    const { number, type } = reader.field()
    const field = Object.hasOwn(fields, number) ? fields[number] : undefined
    if (field === undefined) reader.skip(number, type)
    else if (field[0] !== type) throw new BadItem(`field ${number} is of wire type ${type}, not ${field[0]}`)
    else field[1](reader)
  }
}

function orBadItem<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof WireFault ? new BadItem(`no protobuf: ${error.message}`) : error
  }
}

function readRequest<T>(bytes: Uint8Array, readItem: (bytes: Uint8Array, budget: Budget) => T): Export<T> {
  const budget = new Budget()
  const items: Exported<T>[] = []
  try {
    orBadItem(() => readMessage(bytes, { 1: [BYTES, (reader) => readGroup(reader.bytes(), budget, items, readItem)] }))
  } catch (error) {
    if (!(error instanceof BadItem)) throw error
    throw notAnExport('an OTLP export in protobuf', error.message, 'send Content-Type: application/json for JSON, and see that no proxy changes the body')
  }
  return budget.export(items)
}

// ResourceSpans and ResourceLogs have the same numbers, as have ScopeSpans and ScopeLogs.
function readGroup<T>(bytes: Uint8Array, budget: Budget, items: Exported<T>[], readItem: (bytes: Uint8Array, budget: Budget) => T): void {
  budget.group()
  let attributes: Attributes = []
  let schema: string | undefined
  const scopes: Uint8Array[] = []
  readMessage(bytes, {
    1: [BYTES, (reader) => (attributes = readAttributes(reader.bytes(), 1, budget))],
    2: [BYTES, (reader) => void scopes.push(reader.bytes())],
    3: [BYTES, (reader) => (schema = reader.text())],
  })
  const resource: Resource = { attributes, ...(schema === undefined || schema === '' ? {} : { schema_url: schema }) }
  for (const scope of scopes) readScoped(scope, resource, budget, items, readItem)
}

function readScoped<T>(bytes: Uint8Array, resource: Resource, budget: Budget, items: Exported<T>[], readItem: (bytes: Uint8Array, budget: Budget) => T): void {
  budget.group()
  let scope: Scope = { attributes: [] }
  const found: Uint8Array[] = []
  readMessage(bytes, {
    1: [BYTES, (reader) => (scope = readScope(reader.bytes(), budget))],
    2: [BYTES, (reader) => void found.push(reader.bytes())],
  })
  for (const item of found) budget.add(items, () => ({ item: orBadItem(() => readItem(item, budget)), resource, scope }))
}

function readScope(bytes: Uint8Array, budget: Budget): Scope {
  let [name, version] = ['', '']
  const attributes: (readonly [string, Json])[] = []
  readMessage(bytes, {
    1: [BYTES, (reader) => (name = reader.text())],
    2: [BYTES, (reader) => (version = reader.text())],
    3: [BYTES, (reader) => void attributes.push(readPair(reader.bytes(), budget, 1))],
  })
  return { ...(name === '' ? {} : { name }), ...(version === '' ? {} : { version }), attributes }
}

/** The attributes in field `number` of a message, of which nothing else is wanted. */
function readAttributes(bytes: Uint8Array, number: number, budget: Budget): Attributes {
  const attributes: (readonly [string, Json])[] = []
  readMessage(bytes, { [number]: [BYTES, (reader) => void attributes.push(readPair(reader.bytes(), budget, 1))] })
  return attributes
}

function readSpan(bytes: Uint8Array, budget: Budget): Span {
  let [trace, id, parent]: (Uint8Array | undefined)[] = []
  let [state, name, kind, start, end, flags] = ['', '', 0, 0n, 0n, 0]
  let status: Span['status'] = { code: 'unset' }
  const attributes: (readonly [string, Json])[] = []
  const events: SpanEvent[] = []
  const links: SpanLink[] = []
  const dropped: { attributes?: number; events?: number; links?: number } = {}
  readMessage(bytes, {
    1: [BYTES, (reader) => (trace = reader.bytes())],
    2: [BYTES, (reader) => (id = reader.bytes())],
    3: [BYTES, (reader) => (state = reader.text())],
    4: [BYTES, (reader) => (parent = reader.bytes())],
    5: [BYTES, (reader) => (name = reader.text())],
    6: [VARINT, (reader) => (kind = reader.uint32())],
    7: [FIXED64, (reader) => (start = reader.fixed64())],
    8: [FIXED64, (reader) => (end = reader.fixed64())],
    9: [BYTES, (reader) => void attributes.push(readPair(reader.bytes(), budget, 1))],
    10: [VARINT, (reader) => (dropped.attributes = reader.uint32())],
    11: [BYTES, (reader) => void events.push(readEvent(reader.bytes(), budget))],
    12: [VARINT, (reader) => (dropped.events = reader.uint32())],
    13: [BYTES, (reader) => void links.push(readLink(reader.bytes(), budget))],
    14: [VARINT, (reader) => (dropped.links = reader.uint32())],
    15: [BYTES, (reader) => (status = readStatus(reader.bytes()))],
    16: [FIXED32, (reader) => (flags = reader.fixed32())],
  })
  const parent_span_id = idOf(parent, 8)
  return {
    trace_id: checkId(toHex(trace ?? new Uint8Array()), 16, 'a trace id'), span_id: checkId(toHex(id ?? new Uint8Array()), 8, 'a span id'),
    ...(parent_span_id === undefined ? {} : { parent_span_id }), ...(state === '' ? {} : { trace_state: state }), ...(flags === 0 ? {} : { flags }),
    name, kind: SPAN_KINDS[kind] ?? 'unspecified', start, end, attributes, events, links, status, ...counted(dropped),
  }
}

function readEvent(bytes: Uint8Array, budget: Budget): SpanEvent {
  budget.value(1)
  let [time, name] = [0n, '']
  const attributes: (readonly [string, Json])[] = []
  readMessage(bytes, {
    1: [FIXED64, (reader) => (time = reader.fixed64())],
    2: [BYTES, (reader) => (name = reader.text())],
    3: [BYTES, (reader) => void attributes.push(readPair(reader.bytes(), budget, 2))],
  })
  return { name, time, attributes }
}

function readLink(bytes: Uint8Array, budget: Budget): SpanLink {
  budget.value(1)
  let [trace_id, span_id] = ['', '']
  const attributes: (readonly [string, Json])[] = []
  readMessage(bytes, {
    1: [BYTES, (reader) => (trace_id = toHex(reader.bytes()))],
    2: [BYTES, (reader) => (span_id = toHex(reader.bytes()))],
    4: [BYTES, (reader) => void attributes.push(readPair(reader.bytes(), budget, 2))],
  })
  return { trace_id, span_id, attributes }
}

function readStatus(bytes: Uint8Array): Span['status'] {
  let [message, code] = ['', 0]
  readMessage(bytes, { 2: [BYTES, (reader) => (message = reader.text())], 3: [VARINT, (reader) => (code = reader.uint32())] })
  return { code: STATUS_CODES[code] ?? 'unset', ...(message === '' ? {} : { message }) }
}

function readLog(bytes: Uint8Array, budget: Budget): LogRecord {
  let [time, observed, severity, severity_text, event_name, flags] = [0n, 0n, 0, '', '', 0]
  let body: Json | undefined
  let [trace, span]: (Uint8Array | undefined)[] = []
  const attributes: (readonly [string, Json])[] = []
  const dropped: { attributes?: number } = {}
  readMessage(bytes, {
    1: [FIXED64, (reader) => (time = reader.fixed64())],
    2: [VARINT, (reader) => (severity = reader.uint32())],
    3: [BYTES, (reader) => (severity_text = reader.text())],
    5: [BYTES, (reader) => (body = readValue(reader.bytes(), budget, 1))],
    6: [BYTES, (reader) => void attributes.push(readPair(reader.bytes(), budget, 1))],
    7: [VARINT, (reader) => (dropped.attributes = reader.uint32())],
    8: [FIXED32, (reader) => (flags = reader.fixed32())],
    9: [BYTES, (reader) => (trace = reader.bytes())],
    10: [BYTES, (reader) => (span = reader.bytes())],
    11: [FIXED64, (reader) => (observed = reader.fixed64())],
    12: [BYTES, (reader) => (event_name = reader.text())],
  })
  const [trace_id, span_id] = [idOf(trace, 16), idOf(span, 8)]
  return {
    time, observed, attributes, ...(severity === 0 ? {} : { severity_number: severity }), ...(severity_text === '' ? {} : { severity_text }), ...(event_name === '' ? {} : { event_name }),
    ...(body === undefined ? {} : { body }), ...(flags === 0 ? {} : { flags }), ...(trace_id === undefined ? {} : { trace_id }), ...(span_id === undefined ? {} : { span_id }), ...counted(dropped),
  }
}

function readPair(bytes: Uint8Array, budget: Budget, level: number): readonly [string, Json] {
  let name = ''
  let value: Json = null
  budget.value(level)
  readMessage(bytes, { 1: [BYTES, (reader) => (name = reader.text())], 2: [BYTES, (reader) => (value = readValue(reader.bytes(), budget, level))] })
  return [name, value]
}

/** An AnyValue. Of several alternatives the last one holds, as protobuf has it. */
function readValue(bytes: Uint8Array, budget: Budget, level: number): Json {
  let value: Json = null
  readMessage(bytes, {
    1: [BYTES, (reader) => (value = reader.text())],
    2: [VARINT, (reader) => (value = reader.bool())],
    3: [VARINT, (reader) => (value = intValue(reader.int64()))],
    4: [FIXED64, (reader) => (value = doubleValue(reader.double()))],
    5: [BYTES, (reader) => (value = readArray(reader.bytes(), budget, level + 1))],
    6: [BYTES, (reader) => (value = objectOf(readPairs(reader.bytes(), budget, level + 1)))],
    7: [BYTES, (reader) => (value = { base64: toBase64(reader.bytes()) })],
  })
  return value
}

function readArray(bytes: Uint8Array, budget: Budget, level: number): Json {
  const values: Json[] = []
  readMessage(bytes, {
    1: [BYTES, (reader) => {
      budget.value(level)
      values.push(readValue(reader.bytes(), budget, level))
    }],
  })
  return values
}

function readPairs(bytes: Uint8Array, budget: Budget, level: number): Attributes {
  const pairs: (readonly [string, Json])[] = []
  readMessage(bytes, { 1: [BYTES, (reader) => void pairs.push(readPair(reader.bytes(), budget, level))] })
  return pairs
}

/** None for no bytes, and for zeros, which some exporters write for none. */
function idOf(bytes: Uint8Array | undefined, length: 8 | 16): string | undefined {
  if (bytes === undefined || bytes.every((byte) => byte === 0)) return undefined
  return checkId(toHex(bytes), length, length === 8 ? 'the id of a span' : 'the id of a trace')
}

function counted<T extends { readonly [name: string]: number | undefined }>(dropped: T): { dropped?: T } {
  return Object.values(dropped).some((count) => count !== undefined && count > 0) ? { dropped } : {}
}
