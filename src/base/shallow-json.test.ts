import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MAX_LEVELS, parseShallowJson } from './shallow-json.ts'

const lists = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

test('what is shallow enough is what JSON.parse gives', () => {
  fc.assert(fc.property(fc.json(), (text) => {
    expect(parseShallowJson(text)).toEqual(JSON.parse(text))
  }))
  expect(parseShallowJson(lists(MAX_LEVELS))).toEqual(JSON.parse(lists(MAX_LEVELS)))
})

test('brackets in strings are no levels, whatever is escaped', () => {
  const text = JSON.stringify({ a: `${'['.repeat(5_000)}"\\`, b: [']'.repeat(3_000), '\\\\"'] })
  expect(parseShallowJson(text)).toEqual(JSON.parse(text))
})

test('deeper nesting is refused, as lists and as objects, behind anything', () => {
  const deep = [lists(MAX_LEVELS + 1), lists(200_000), `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`, `[${'[],'.repeat(600)}"]]]]]",${lists(600)}]`]
  for (const text of deep) {
    expect(JSON.parse(text)).toBeDefined()
    expect(() => parseShallowJson(text)).toThrow(/at most 500 levels/)
  }
})
