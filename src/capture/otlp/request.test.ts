import { describe, expect, test } from 'vitest'
import { all, attributesBytes, field, logsBytes, logsJson, SECOND, spanBytes, spanId, spanJson, T0, text, TRACE, tracesBytes, tracesJson, tracesOf, valueBytes, valueJson, type TestSpan } from '../../../test/otlp-export.ts'
import { utf8 } from '../../base/bytes.ts'
import { readJsonLogs, readJsonTraces } from './json.ts'
import { readLogs, readTraces } from './protobuf.ts'
import { MAX_ITEMS, MAX_VALUES } from './request.ts'

const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value))

const SPAN: TestSpan = {
  id: spanId(7), parent: spanId(6), name: 'chat m', kind: 3, start: T0, end: T0 + SECOND, status: { code: 2, message: 'overloaded' },
  attributes: { s: 'text', 'b': true, i: -5, big: 2n ** 62n, d: 0.25, list: ['a', 1, [true]], map: { x: { y: null } }, bytes: new Uint8Array([0, 255]) },
  events: [{ name: 'exception', attributes: { 'exception.type': 'TimeoutError' } }],
}

describe('the same export in both encodings', () => {
  test('is the same spans', () => {
    const fromJson = readJsonTraces(json(tracesJson([SPAN])))
    expect(readTraces(tracesBytes([SPAN]))).toEqual(fromJson)
    expect(fromJson.items).toEqual([{
      item: {
        trace_id: TRACE, span_id: spanId(7), parent_span_id: spanId(6), name: 'chat m', kind: 'client', start: T0, end: T0 + SECOND, links: [], status: { code: 'error', message: 'overloaded' },
        attributes: [['s', 'text'], ['b', true], ['i', -5], ['big', '4611686018427387904'], ['d', 0.25], ['list', ['a', 1, [true]]], ['map', { x: { y: null } }], ['bytes', { base64: 'AP8=' }]],
        events: [{ name: 'exception', time: T0, attributes: [['exception.type', 'TimeoutError']] }],
      },
      resource: { attributes: [['service.name', 'support-bot']] }, scope: { name: 'test', version: '1', attributes: [] },
    }])
  })

  test('is the same log records', () => {
    const records = [{ name: 'claude_code.api_request', body: { a: [1] }, trace: TRACE, span: spanId(3), attributes: { model: 'm' } }, { time: 0n, body: 'text' }]
    expect(readLogs(logsBytes(records))).toEqual(readJsonLogs(json(logsJson(records))))
  })
})

describe('spellings of JSON', () => {
  const plain = readJsonTraces(json(tracesJson([SPAN]))).items[0]!.item
  const read = (change: (span: { [name: string]: unknown }) => object): unknown => {
    const span = spanJson(SPAN) as { [name: string]: unknown }
    return readJsonTraces(json({ resourceSpans: [{ scopeSpans: [{ spans: [change(span)] }] }] })).items[0]?.item
  }
  const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const snakes = (value: unknown): unknown => Array.isArray(value) ? value.map(snakes) : typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value).map(([name, each]) => [snake(name), snakes(each)])) : value

  test('ids in hex of either case and in base64', () => {
    expect(read((span) => ({ ...span, traceId: TRACE.toUpperCase(), spanId: Buffer.from(spanId(7), 'hex').toString('base64'), parentSpanId: Buffer.from(spanId(6), 'hex').toString('base64') }))).toEqual(plain)
    expect(read((span) => ({ ...span, traceId: Buffer.from(TRACE, 'hex').toString('base64') }))).toEqual(plain)
  })

  test('times as numbers, enums by name, names in snake case', () => {
    expect(read((span) => ({ ...span, startTimeUnixNano: Number(T0), kind: 'SPAN_KIND_CLIENT', status: { code: 'STATUS_CODE_ERROR', message: 'overloaded' } }))).toEqual(plain)
    expect(read((span) => snakes(span) as object)).toEqual(plain)
  })

  test('no parent is none, empty and all zeros', () => {
    const { parent_span_id: _, ...without } = plain
    for (const parentSpanId of [undefined, null, '', '0000000000000000', 'AAAAAAAAAAA=']) expect(read((span) => ({ ...span, parentSpanId }))).toEqual(without)
  })
})

describe('what is malformed', () => {
  const good = spanJson({ id: spanId(1) })
  const refusedOf = (...spans: readonly unknown[]): { kept: number; refused: number; fault: string | undefined } => {
    const { items, refused, fault } = readJsonTraces(json({ resourceSpans: [{ scopeSpans: [{ spans }] }] }))
    return { kept: items.length, refused, fault }
  }

  test.each([
    ['an id that is too short', { ...good, traceId: 'abcd' }],
    ['an id of zeros', { ...good, spanId: '0000000000000000' }],
    ['no id', { ...good, spanId: undefined }],
    ['a time that is no number', { ...good, startTimeUnixNano: 'yesterday' }],
    ['a time before 1970', { ...good, startTimeUnixNano: -1 }],
    ['a name that is a number', { ...good, name: 7 }],
    ['attributes that are an object', { ...good, attributes: { a: 1 } }],
    ['a value that is no object', { ...good, attributes: [{ key: 'a', value: 'b' }] }],
    ['an integer that is none', { ...good, attributes: [{ key: 'a', value: { intValue: '1.5' } }] }],
    ['an integer of 65 bits', { ...good, attributes: [{ key: 'a', value: { intValue: '18446744073709551616' } }] }],
    ['a span that is a string', 'span'],
  ])('%s refuses its span only', (_what, bad) => {
    expect(refusedOf(good, bad, good)).toMatchObject({ kept: 2, refused: 1, fault: expect.any(String) as unknown })
  })

  test.each([['no JSON', '{'], ['a list', '[]'], ['groups that are none', '{"resourceSpans":{}}'], ['a scope that is none', '{"resourceSpans":[{"scopeSpans":[7]}]}'], ['deep nesting', `{"resourceSpans":${'['.repeat(2_000)}${']'.repeat(2_000)}}`]])('%s refuses the body', (_what, body) => {
    expect(() => readJsonTraces(utf8(body))).toThrow(expect.objectContaining({ code: 'bad_otlp', next: expect.stringMatching(/./) as unknown }) as Error)
  })

  test('text that is no UTF-8 refuses the body in JSON', () => {
    expect(() => readJsonTraces(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toThrow(/UTF-8/)
  })

  test('a value that nests too deep refuses its span, in both encodings', () => {
    let value: unknown = 'x'
    for (let i = 0; i < 70; i++) value = [value]
    expect(readJsonTraces(json({ resourceSpans: [{ scopeSpans: [{ spans: [good, { ...good, attributes: [{ key: 'deep', value: valueJson(value) }] }] }] }] }))).toMatchObject({ refused: 1, fault: expect.stringMatching(/deeper than 64/) as unknown })
    expect(readTraces(tracesOf([spanBytes({ id: spanId(1) }), spanBytes({ id: spanId(2), attributes: { deep: value } })]))).toMatchObject({ items: [{}], refused: 1 })
  })

  test('values beyond the bound refuse the spans that hold them', () => {
    const attributes = Object.fromEntries(Array.from({ length: MAX_VALUES }, (_, i) => [`a${i}`, '']))
    const { items, refused } = readTraces(tracesBytes([{ id: spanId(1) }, { id: spanId(2), attributes }, { id: spanId(3), attributes: { one: 1 } }]))
    expect([items.length, refused]).toEqual([1, 2])
  })

  test('items beyond the bound are refused', () => {
    expect(readTraces(tracesBytes(Array.from({ length: MAX_ITEMS + 3 }, (_, i) => ({ id: spanId(i + 1) }))))).toMatchObject({ refused: 3 })
  })

  test('another wire type, a message cut short and text that is no UTF-8 refuse the span in protobuf', () => {
    const of = (bad: Parameters<typeof field>[1]): { items: readonly unknown[]; refused: number } => readTraces(tracesOf([spanBytes({ id: spanId(1) }), bad]))
    const rest = { trace: TRACE, id: spanId(2) }
    expect(of(all(spanBytes(rest), (writer) => void writer.tag(5, 0).int32(7)))).toMatchObject({ items: [{}], refused: 1, fault: expect.stringMatching(/wire type/) as unknown })
    expect(of(all(spanBytes(rest), (writer) => void writer.tag(5, 2).bytes(new Uint8Array([0xff, 0xfe]))))).toMatchObject({ items: [{}], refused: 1 })
    expect(of(all(spanBytes(rest), (writer) => void writer.raw(new Uint8Array([0x2a, 0x7f]))))).toMatchObject({ items: [{}], refused: 1 })
    expect(of(all(spanBytes(rest), (writer) => void writer.raw(new Uint8Array([0x83, 0x06]))))).toMatchObject({ items: [{}], refused: 1 }) // a group without its end
  })

  test('what is no protobuf refuses the body', () => {
    for (const bytes of [utf8('{"resourceSpans":[]}'), new Uint8Array([0x0a, 0x7f, 1]), new Uint8Array([0xff])]) expect(() => readTraces(bytes)).toThrow(expect.objectContaining({ code: 'bad_otlp' }) as Error)
  })

  test('fields that are not known are skipped', () => {
    expect(readTraces(tracesOf([all(spanBytes({ id: spanId(1) }), text(99, 'newer'))])).items).toEqual(readTraces(tracesBytes([{ id: spanId(1) }])).items)
    expect(readTraces(new Uint8Array()).items).toEqual([])
  })

  test('a name given twice keeps both values', () => {
    const { items } = readTraces(tracesOf([all(spanBytes({ id: spanId(1) }), attributesBytes(9, { a: 1 }), attributesBytes(9, { a: 2 }), field(9, all(text(1, 'm'), field(2, field(6, all(attributesBytes(1, { x: 1 }), attributesBytes(1, { x: 2 })))))), field(9, all(text(1, 'v'), field(2, valueBytes('v')))))]))
    expect(items[0]!.item.attributes).toEqual([['a', 1], ['a', 2], ['m', { pairs: [['x', 1], ['x', 2]] }], ['v', 'v']])
  })
})
