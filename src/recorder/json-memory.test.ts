import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { jsonPiece } from './content.ts'
import { JsonMemory, readBack, readsAs } from './json-memory.ts'

const texts = (values: readonly unknown[]): (string | Uint8Array)[] => values.map((value) => jsonPiece(value)?.content ?? 'null')
const told = (memory: JsonMemory, values: readonly unknown[]): (string | Uint8Array)[] => memory.pieces('list', values).map(({ content }) => content)

const boxed = (inner: unknown, members: object): object => Object.assign(Object.setPrototypeOf(Object(inner), Object.prototype) as object, members)
const message = { role: 'user', content: 'hello' }
const inherits = (prototype: object | null, members: object): object => Object.assign(Object.create(prototype) as object, members)

/** Values that read alike and are not, or are alike and do not look so. */
const ODD: readonly (() => unknown)[] = [
  () => ({ ...message }), () => ({ content: 'hello', role: 'user' }), () => ({ part: 'user', content: 'hello' }), () => ({ ...message, content: 'Hello' }), () => ({ ...message, extra: undefined }), () => ({ ...message, extra: () => 1 }), () => ({ ...message, [Symbol('s')]: 1 }),
  () => inherits(null, message), () => inherits({ other: 1 }, message), () => inherits({ toJSON: () => 'else' }, message), () => inherits({ toJSON: 'no function' }, message), () => ({ ...message, toJSON: () => ({ role: 'else' }) }),
  () => boxed(5, message), () => boxed('text', message), () => boxed(true, message), () => boxed(1n, message), () => boxed(Symbol('s'), message), () => Object('text') as unknown, () => Object(5) as unknown,
  () => Object.assign([], message), () => Object.assign(() => 1, message), () => Object.assign(new Date(0), message), () => Object.assign(new Map(), message), () => Object.assign(new Error('e'), message),
  () => new Proxy({ ...message }, {}), () => new Proxy({ ...message }, { get: (of, name) => (name === 'content' ? 'else' : Reflect.get(of, name)) }), () => new Proxy({ ...message }, { ownKeys: () => ['content', 'role'] }), () => new Proxy([1], {}), () => new Proxy(Object(5) as object, {}),
  () => new Proxy({ ...message }, { get: () => { throw new Error('closed') } }), () => ({ get role() { return 'user' }, content: 'hello' }), () => ({ role: 'user', get content() { throw new Error('closed') } }),
  () => Object.defineProperty({ role: 'user' }, 'content', { value: 'hello', enumerable: false }), () => { const it: Record<string, unknown> = { ...message }; it['self'] = it; return it },
  () => JSON.parse('{"__proto__":{"a":1},"a":1}') as unknown, () => ({ 2: 'b', 1: 'a', c: 1 }), () => ({ length: 1, 0: 'a' }), () => ['a'], () => [undefined], () => [null], () => new Array(1), () => Object.assign(['a'], { toJSON: () => 'else' }), () => ({}), () => [],
  () => 0, () => -0, () => NaN, () => null, () => undefined, () => 1n, () => Symbol('s'), () => '', () => 'null', () => '\ud800', () => [-0], () => [NaN], () => 1e21, () => Infinity, () => new Date(0), () => new Date(0).toISOString(), () => new Uint8Array([1]), () => ({ 0: 1 }),
  () => rawJSON('5.0'), () => ({ value: 5 }), () => ({ value: rawJSON('5.0') }), () => ({ 0: 2, b: 1 }), () => new Proxy({ 0: 2, b: 1 }, { ownKeys: () => ['b', '0'] }),
  () => rawJSON('5'), () => ({ rawJSON: '5' }), () => 5, () => ({ value: rawJSON('"hello"') }), () => ({ value: { rawJSON: '"hello"' } }),
]

function rawJSON(text: string): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text)
}

describe('a memory of JSON', () => {
  const leaf = fc.oneof(fc.constantFrom(...ODD).map((make) => make()), fc.constantFrom(0, -0, NaN, '', 'a', '\ud800', null, undefined, true, false), fc.string(), fc.double())
  const names = fc.constantFrom('role', 'content', 'a', 'b', '1', '0', '__proto__', 'toJSON', 'rawJSON', 'length')
  const { value: anything } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 3 }, leaf, fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(names, tie('value'), { maxKeys: 3, noNullPrototype: false })),
  }))

  test('says of lists that come again and change what JSON.stringify says', () => {
    fc.assert(fc.property(fc.array(fc.array(fc.oneof(fc.constantFrom(message), anything), { maxLength: 4 }), { maxLength: 3 }), fc.array(fc.nat(2), { maxLength: 10 }), (lists, order) => {
      const memory = new JsonMemory()
      for (const at of order) {
        const list = lists[at % Math.max(1, lists.length)] ?? []
        expect(told(memory, list)).toEqual(texts(list))
      }
    }), { numRuns: 2_000 })
  })

  test('takes no value for another: every odd one after every odd one', () => {
    for (const first of ODD) {
      for (const second of ODD) {
        const memory = new JsonMemory()
        for (const make of [first, first, first, second, second, first]) expect(told(memory, [make()])).toEqual(texts([make()]))
      }
    }
  })

  test('finds again what was written out twice, and every value that JSON can say', () => {
    const memory = new JsonMemory()
    const list = [{ ...message }, { role: 'assistant', content: [{ type: 'text', text: 'hi' }, { type: 'tool_use', input: { n: [1, null, true] } }] }]
    const [, second, third] = [told(memory, list), memory.pieces('list', list), memory.pieces('list', structuredClone(list))]
    for (const [i, piece] of third.entries()) expect(piece).toBe(second[i])
    fc.assert(fc.property(fc.jsonValue(), (value) => /"rawJSON"/.test(JSON.stringify(value)) || readsAs(value, readBack(JSON.parse(JSON.stringify(value))))))
  })

  test('sees what is changed in place, however deep', () => {
    const steps: ((list: Record<string, unknown>[]) => void)[] = [
      (list) => (list[0]!['content'] = 'else'), (list) => delete list[0]!['content'], (list) => (list[0]!['toJSON'] = () => 'else'), (list) => ((list[1]!['deep'] as { a: unknown[] }).a[1] = 3),
      (list) => (list[1]!['deep'] as { a: unknown[] }).a.pop(), (list) => list.reverse(), (list) => Object.setPrototypeOf(list[0]!, { toJSON: () => 7 }) as void, (list) => list.pop(), (list) => list.unshift({}),
    ]
    for (const step of steps) {
      const memory = new JsonMemory()
      const list: Record<string, unknown>[] = [{ ...message }, { deep: { a: [1, 2] } }]
      for (let i = 0; i < 3; i++) told(memory, list)
      step(list)
      for (let i = 0; i < 3; i++) expect(told(memory, list)).toEqual(texts(list))
    }
  })

  test('reads each member once where it finds the text, so that no getter says two things', () => {
    const memory = new JsonMemory()
    let says: string[] = []
    const list = [{ role: 'user', get content() { return says.shift() } }]
    const recorded = (...next: string[]): unknown => { says = next; return told(memory, list)[0] }
    const text = (content: string): string => JSON.stringify({ role: 'user', content })
    expect([recorded('a'), recorded('a'), recorded('a', 'b')]).toEqual([text('a'), text('a'), text('a')])
    expect(says).toEqual(['b'])
    expect(recorded('c', 'd')).toBe(text('d')) // compared, then written out
  })

  test('goes on saying it of lists that it gave up for others, and of lists of another length', () => {
    const [one, other] = [new JsonMemory(), new JsonMemory()]
    const big = (letter: string): unknown[] => [{ content: letter.repeat(3_000_000) }, { content: `${letter}!`.repeat(1_000_000) }, message]
    for (let i = 0; i < 3; i++) {
      for (const list of [big('a'), big('b').slice(0, 2)]) for (const memory of [one, other]) expect(told(memory, list).join() === texts(list).join()).toBe(true)
    }
    const many = Array.from({ length: 10_010 }, (_, i) => i)
    for (let i = 0; i < 3; i++) expect(told(one, many)).toEqual(texts(many))
  })

  test('is not misled by a list that records itself while it is read', () => {
    const memory = new JsonMemory()
    const inner = [{ a: 1 }]
    const outer = [{ get a() { told(memory, inner); return 2 } }, message]
    for (let i = 0; i < 4; i++) expect(told(memory, outer)).toEqual(['{"a":2}', JSON.stringify(message)])
  })
})
