// What is read back comes through JSON as it was, content that looks like a mark too, at every depth.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Absent } from './view.ts'
import { formatView, parseView } from './view-json.ts'

const through = <T>(value: T): T => parseView(formatView(value)) as T

test('marks stand where something is not there, or is bytes', () => {
  const event = { user_id: new Absent('erased', 7), input_messages: ['a', new Absent('missing'), Uint8Array.of(1, 2)], tool_input: { a: 1 } }
  expect(formatView(event)).toBe('{"user_id":{"absent":"erased","by":7},"input_messages":["a",{"absent":"missing"},{"base64":"AQI="}],"tool_input":{"a":1}}')
  const read = through(event)
  expect(read).toStrictEqual(event)
  expect(read.user_id).toBeInstanceOf(Absent)
})

test.each([
  ['{"absent":"erased"}'], ['{"absent":"erased","by":877}'], ['{"by":877,"absent":"erased"}'], ['{"absent":{"absent":"erased"}}'], ['{"absent":5}'], ['{"base64":"AQI="}'], ['{"base64":"no base64"}'], ['{"base64":{"base64":"AQI="}}'],
  ['{"json":1}'], ['{"json":{"json":{"absent":"erased"}}}'], ['[{"absent":"erased"},[{"json":null}]]'], ['{"deep":{"in":[{"it":{"base64":"AQI="}}]}}'], ['{"__proto__":{"absent":"erased"}}'], ['{"json":{"__proto__":{"json":2}}}'],
])('%s as content comes back as content', (text) => {
  const content: unknown = JSON.parse(text)
  for (const value of [content, { tool_input: content }, { items: [{ input_messages: [content, new Absent('masked')] }] }]) {
    expect(through(value)).toStrictEqual(value)
    expect(JSON.stringify(through(value))).toBe(JSON.stringify(value))
  }
  expect(({} as { absent?: unknown }).absent).toBeUndefined()
})

test('what has more to it is written as it is', () => {
  for (const text of ['{"absent":"erased","note":1}', '{"absent":"erased","by":1,"note":2}', '{"base64":"AQI=","media":"png"}', '{"json":1,"x":2}', '{"by":3}', '{}', '["absent"]']) expect(formatView(JSON.parse(text))).toBe(text)
})

test('a mark of a later version stays as it came', () => {
  for (const text of ['{"absent":"lost"}', '{"absent":"erased","by":-0.5}', '{"base64":"!"}', '{"base64":7}']) expect(parseView(text)).toEqual(JSON.parse(text))
  expect(() => parseView('{')).toThrow(SyntaxError)
})

test('content as deep as it likes is read without recursion', () => {
  const deep = `${'{"json":{"a":'.repeat(50_000)}1${'}}'.repeat(50_000)}`
  expect(parseView(deep)).toBeTypeOf('object')
})

test('any value comes through', () => {
  const name = fc.oneof(fc.constantFrom('absent', 'by', 'base64', 'json', '__proto__', 'toJSON'), fc.string())
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.constantFrom('erased', 'AQI='), fc.constantFrom(new Absent('erased', 3), new Absent('withheld')), fc.uint8Array({ maxLength: 4 }))
  const { value } = fc.letrec((tie) => ({ value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value'), { maxLength: 3 }), fc.array(fc.tuple(name, tie('value')), { maxLength: 2 }).map((pairs) => Object.fromEntries(pairs))) }))
  fc.assert(fc.property(value, (given) => { expect(through({ given })).toStrictEqual({ given }) }))
})
