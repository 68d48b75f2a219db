import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ServerSentEvent, SseParser } from './sse.ts'

function parse(text: string | Uint8Array, cuts: readonly number[] = [], limit?: number): ServerSentEvent[] {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text
  const parser = new SseParser(limit)
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return [...at.slice(1).flatMap((end, i) => parser.push(bytes.subarray(at[i], end))), ...parser.end()]
}

test('the fields, comments, line ends and the byte order mark of the standard', () => {
  expect(parse('\ufeffevent: a\ndata: 1\ndata:2\ndata:  3\n\n')).toEqual([{ event: 'a', data: '1\n2\n 3' }])
  expect(parse(': ping\r\n\r\ndata\r\rid: 7\nretry: 1\nother\ndata: x\r\n\r\n')).toEqual([{ data: '' }, { data: 'x' }])
  expect(parse('event: only a name\n\n')).toEqual([])
  expect(parse('data: \ufeffkept\n\n')).toEqual([{ data: '\ufeffkept' }])
})

test('an event whose blank line, line end or last bytes never came', () => {
  expect(parse('data: 1\n\ndata: 2\n')).toEqual([{ data: '1' }, { data: '2' }])
  expect(parse('data: 1')).toEqual([{ data: '1' }])
  expect(parse(new Uint8Array([...new TextEncoder().encode('data: '), 0xf0, 0x9f]))).toEqual([{ data: '\ufffd' }])
})

test('where the bytes are cut makes no difference', () => {
  const end = fc.constantFrom('\n', '\r', '\r\n')
  const line = fc.tuple(fc.constantFrom('data: ', 'data:', 'event: ', ': ', 'id:'), fc.string({ unit: fc.constantFrom('a', 'ä', '🌍', ':', ' ', '"') }), end).map((parts) => parts.join(''))
  fc.assert(fc.property(fc.array(fc.oneof(line, end)), fc.array(fc.nat(), { maxLength: 12 }), (lines, cuts) => {
    const text = lines.join('')
    expect(parse(text, cuts)).toEqual(parse(text))
    expect(parse(text, Array.from({ length: new TextEncoder().encode(text).length }, (_, i) => i))).toEqual(parse(text))
  }), { numRuns: 300 })
})

test('an event over the limit is dropped and counted, the next one is read', () => {
  const parser = new SseParser(10)
  const bytes = new TextEncoder().encode(`data: ${'x'.repeat(100)}\n\ndata: ok\n\ndata: 12\ndata: 34\ndata: 56\ndata: 78\ndata: 90\n\ndata: ok\n\n`)
  const events = [...bytes].flatMap((byte) => parser.push(new Uint8Array([byte])))
  expect(events).toEqual([{ data: 'ok' }, { data: 'ok' }])
  expect(parser.dropped).toBe(2)
})

test('lines without content count, so that nobody fills the memory with empty ones', () => {
  const parser = new SseParser(1_000)
  const empty = new TextEncoder().encode('data\n'.repeat(2_000))
  expect([...parser.push(empty), ...parser.end()]).toEqual([])
  expect(parser.dropped).toBe(1)
})
