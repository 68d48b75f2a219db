// Exports for tests, in plain values: written here as OTLP in JSON and in protobuf.

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { fromHex } from '../src/base/bytes.ts'

export interface TestSpan {
  readonly trace?: string; readonly id: string; readonly parent?: string; readonly name?: string; readonly kind?: number; readonly start?: bigint; readonly end?: bigint
  readonly attributes?: { readonly [name: string]: unknown }; readonly status?: { readonly code: number; readonly message?: string }
  readonly events?: readonly { readonly name: string; readonly attributes?: { readonly [name: string]: unknown } }[]
}
export interface TestLog { readonly time?: bigint; readonly name?: string; readonly body?: unknown; readonly trace?: string; readonly span?: string; readonly attributes?: { readonly [name: string]: unknown } }

export const TRACE = '0af7651916cd43dd8448eb211c80319c'
/** 2026-11-21T08:00:00Z */
export const T0 = 1_795_248_000_000_000_000n
export const SECOND = 1_000_000_000n

/** A span id: `at` in hex. */
export const spanId = (at: number): string => at.toString(16).padStart(16, '0')

type Values = { readonly [name: string]: unknown }

export function valueJson(value: unknown): object {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  if (typeof value === 'bigint') return { intValue: value.toString() }
  if (typeof value === 'number') return Number.isInteger(value) ? { intValue: value } : { doubleValue: value }
  if (value instanceof Uint8Array) return { bytesValue: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return { arrayValue: { values: value.map(valueJson) } }
  return value === null ? {} : { kvlistValue: { values: attributesJson(value as Values) } }
}

function attributesJson(values: Values = {}): object[] {
  return Object.entries(values).map(([key, value]) => ({ key, value: valueJson(value) }))
}

export function spanJson({ trace = TRACE, id, parent, name = 'span', kind = 3, start = T0, end = start + SECOND, attributes, status, events = [] }: TestSpan): object {
  return {
    traceId: trace, spanId: id, ...(parent === undefined ? {} : { parentSpanId: parent }), name, kind, startTimeUnixNano: start.toString(), endTimeUnixNano: end.toString(), attributes: attributesJson(attributes),
    events: events.map((event) => ({ name: event.name, timeUnixNano: start.toString(), attributes: attributesJson(event.attributes) })), ...(status === undefined ? {} : { status }),
  }
}

export function tracesJson(spans: readonly TestSpan[], resource: Values = { 'service.name': 'support-bot' }): { resourceSpans: object[] } {
  return { resourceSpans: [{ resource: { attributes: attributesJson(resource) }, scopeSpans: [{ scope: { name: 'test', version: '1' }, spans: spans.map(spanJson) }] }] }
}

export function logsJson(records: readonly TestLog[], resource: Values = { 'service.name': 'claude-code' }): { resourceLogs: object[] } {
  return {
    resourceLogs: [{
      resource: { attributes: attributesJson(resource) }, scopeLogs: [{
        scope: { name: 'com.anthropic.claude_code.events' }, logRecords: records.map(({ time = T0, name, body, trace, span, attributes }) => ({
          timeUnixNano: time.toString(), ...(name === undefined ? {} : { eventName: name }), ...(body === undefined ? {} : { body: valueJson(body) }), ...(trace === undefined ? {} : { traceId: trace }), ...(span === undefined ? {} : { spanId: span }), attributes: attributesJson(attributes),
        })),
      }],
    }],
  }
}

const { Varint, Bit64, LengthDelimited } = WireType
type Write = (writer: BinaryWriter) => void

/** A message as field `number` of another. */
export function field(number: number, write: Write): Write {
  return (writer) => {
    writer.tag(number, LengthDelimited).fork()
    write(writer)
    writer.join()
  }
}

export function text(number: number, value: string): Write {
  return (writer) => void writer.tag(number, LengthDelimited).string(value)
}

function fixed64(number: number, value: bigint): Write {
  return (writer) => void writer.tag(number, Bit64).fixed64(value)
}

function bytes(number: number, value: Uint8Array): Write {
  return (writer) => void writer.tag(number, LengthDelimited).bytes(value)
}

export function all(...writes: readonly (Write | undefined)[]): Write {
  return (writer) => {
    for (const write of writes) write?.(writer)
  }
}

export function valueBytes(value: unknown): Write {
  if (typeof value === 'string') return text(1, value)
  if (typeof value === 'boolean') return (writer) => void writer.tag(2, Varint).bool(value)
  if (typeof value === 'bigint' || Number.isInteger(value)) return (writer) => void writer.tag(3, Varint).int64(value as bigint)
  if (typeof value === 'number') return (writer) => void writer.tag(4, Bit64).double(value)
  if (value instanceof Uint8Array) return bytes(7, value)
  if (Array.isArray(value)) return field(5, all(...value.map((each) => field(1, valueBytes(each)))))
  return value === null ? () => {} : field(6, attributesBytes(1, value as Values))
}

export function attributesBytes(number: number, values: Values = {}): Write {
  return (writer) => {
    for (const [key, value] of Object.entries(values)) field(number, all(text(1, key), field(2, valueBytes(value))))(writer)
  }
}

export function spanBytes({ trace = TRACE, id, parent, name = 'span', kind = 3, start = T0, end = start + SECOND, attributes, status, events = [] }: TestSpan): Write {
  return all(
    bytes(1, fromHex(trace)), bytes(2, fromHex(id)), parent === undefined ? undefined : bytes(4, fromHex(parent)), text(5, name), (writer) => void writer.tag(6, Varint).int32(kind), fixed64(7, start), fixed64(8, end), attributesBytes(9, attributes),
    ...events.map((event) => field(11, all(fixed64(1, start), text(2, event.name), attributesBytes(3, event.attributes)))),
    status === undefined ? undefined : field(15, all(status.message === undefined ? undefined : text(2, status.message), (writer) => void writer.tag(3, Varint).int32(status.code))),
  )
}

/** An ExportTraceServiceRequest with these spans, given as the writers of their fields. */
export function tracesOf(spans: readonly Write[], resource: Values = { 'service.name': 'support-bot' }): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter()
  field(1, all(field(1, attributesBytes(1, resource)), field(2, all(field(1, all(text(1, 'test'), text(2, '1'))), ...spans.map((span) => field(2, span))))))(writer)
  return writer.finish()
}

export function tracesBytes(spans: readonly TestSpan[], resource?: Values): Uint8Array<ArrayBuffer> {
  return tracesOf(spans.map(spanBytes), resource)
}

export function logsBytes(records: readonly TestLog[], resource: Values = { 'service.name': 'claude-code' }): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter()
  const written = records.map(({ time = T0, name, body, trace, span, attributes }) => field(2, all(
    fixed64(1, time), body === undefined ? undefined : field(5, valueBytes(body)), attributesBytes(6, attributes), trace === undefined ? undefined : bytes(9, fromHex(trace)), span === undefined ? undefined : bytes(10, fromHex(span)), name === undefined ? undefined : text(12, name),
  )))
  field(1, all(field(1, attributesBytes(1, resource)), field(2, all(field(1, text(1, 'com.anthropic.claude_code.events')), ...written))))(writer)
  return writer.finish()
}
