import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ownRefs, type ListChange, type Ref, type Slot } from './entry.ts'
import { entry, hash, ref } from './fixtures.ts'
import { ListIndex, resolveList } from './list.ts'

const change = (add: readonly Ref[], base?: number, keep = 0): ListChange =>
  base === undefined ? { add, count: add.length, root: hash(0) } : { base, keep, add, count: keep + add.length, root: hash(0) }
const fed = (...payloads: readonly { readonly [name: string]: Slot }[]): ListIndex => {
  const index = new ListIndex()
  payloads.forEach((slots, seq) => index.add(entry(seq, 'llm_call', { index: seq * 10, payloads: slots })))
  return index
}
const [a, b, c, d] = [ref(1), ref(2), ref(3), ref(4)]

test('a change keeps the first elements of its base and adds its own', () => {
  expect(resolveList(change([a, b]), undefined)).toEqual([a, b])
  expect(resolveList(change([c], 0, 1), [a, b])).toEqual([a, c])
  expect(resolveList(change([], 0, 2), [a, b])).toEqual([a, b])
  expect(() => resolveList(change([c], 0, 3), [a, b])).toThrow(expect.objectContaining({ code: 'list_malformed' }))
  expect(() => resolveList(change([c], 0, 0), undefined)).toThrow(expect.objectContaining({ code: 'list_malformed' }))
  expect(() => resolveList(change([c]), [a])).toThrow(expect.objectContaining({ code: 'list_malformed' }))
})

test('lists grow, branch, shrink and are re-used as a whole', () => {
  const index = fed({ l: change([a, b]) }, { l: change([c], 0, 2) }, { l: change([d], 0, 2) }, { l: change([d], 1, 1) }, { l: { same: 1 } }, { l: { same: 4 } }, { l: change([], 5, 3) })
  expect([0, 1, 2, 3, 4, 5, 6].map((seq) => index.refs(seq, 'l'))).toEqual([[a, b], [a, b, c], [a, b, d], [a, d], [a, b, c], [a, b, c], [a, b, c]])
  expect(() => index.refs(7, 'l')).toThrow(expect.objectContaining({ code: 'list_malformed' }))
  expect(() => index.refs(0, 'm')).toThrow('expected a list m in entry 0, got none')
  expect(index.list(0, 'm')).toBeUndefined()
})

test('each ref is found in the entry that introduced it, by the order of its own refs', () => {
  const first = { zed: a, l: change([b, c]), m: change([d]) }
  const index = fed(first, { l: change([a], 0, 2), zed: { same: 0 } })
  const ordinals = [...ownRefs({ payloads: first })]
  for (const slot of ['l', 'm']) for (const place of index.places(0, slot)) expect(ordinals[place.ordinal]).toEqual({ slot: place.slot, position: place.position, ref: place.ref })
  expect(ordinals[index.place(0, 'zed')!.ordinal]!.ref).toBe(a)
  expect(index.place(1, 'zed')).toBe(index.place(0, 'zed'))
  expect(index.places(1, 'l').map(({ seq, index, ordinal }) => [seq, index, ordinal])).toEqual([[0, 0, 0], [0, 0, 1], [1, 10, 0]])
})

test.each<[string, string, readonly { readonly [name: string]: Slot }[]]>([
  ['a base that has no list', 'list_malformed', [{}, { l: change([a], 0, 0) }]],
  ['a base of another name', 'list_malformed', [{ m: change([a]) }, { l: change([a], 0, 1) }]],
  ['a base that is one payload', 'list_malformed', [{ l: a }, { l: change([a], 0, 1) }]],
  ['a base that comes later', 'list_malformed', [{ l: change([a], 1, 1) }, { l: change([a]) }]],
  ['a base that is itself', 'list_malformed', [{ l: change([a], 0, 0) }]],
  ['a keep over the base', 'list_malformed', [{ l: change([a]) }, { l: change([b], 0, 2) }]],
  ['a keep over what the base itself kept', 'list_malformed', [{ l: change([a, b, c]) }, { l: change([], 0, 1) }, { l: change([], 1, 2) }]],
  ['a wrong count', 'list_malformed', [{ l: { ...change([a]), count: 2 } }]],
  ['a same that has no such payload', 'same_malformed', [{ x: a }, { l: { same: 0 } }]],
  ['a same that comes later', 'same_malformed', [{ l: { same: 1 } }, { l: a }]],
  ['a same that is itself', 'same_malformed', [{ l: { same: 0 } }]],
  ['a name from Object.prototype', 'same_malformed', [{}, { constructor: { same: 0 } }]],
])('%s is evidence', (_name, code, payloads) => {
  expect(() => fed(...payloads)).toThrow(expect.objectContaining({ name: 'VerifyError', code }))
})

test('entries come in the order of seq, and one that fails leaves nothing behind', () => {
  const index = fed({ l: change([a]) })
  expect(() => index.add(entry(0, 'llm_call'))).toThrow('expected an entry with seq 1 or more, got 0')
  expect(() => index.add(entry(1, 'llm_call', { payloads: { k: a, l: change([], 0, 9) } }))).toThrow(expect.objectContaining({ code: 'list_malformed' }))
  expect(index.place(1, 'k')).toBeUndefined()
  index.add(entry(1, 'llm_call', { payloads: { l: change([b], 0, 1) } }))
  expect(index.refs(1, 'l')).toEqual([a, b])
})

test('the index agrees with resolving step by step, whatever the shape', () => {
  const step = fc.record({ back: fc.nat(), keep: fc.nat(), add: fc.nat(4), fresh: fc.integer({ min: 0, max: 5 }) })
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const index = new ListIndex()
    const lists: Ref[][] = []
    steps.forEach(({ back, keep, add, fresh }, seq) => {
      const own = Array.from({ length: add }, (_, i) => ref(seq * 10 + i))
      const base = fresh === 0 || seq === 0 ? undefined : back % seq
      const slot = base === undefined ? change(own) : change(own, base, keep % (lists[base]!.length + 1))
      lists.push(resolveList(slot, base === undefined ? undefined : lists[base]))
      index.add(entry(seq, 'llm_call', { payloads: { l: slot } }))
    })
    for (const [seq, list] of lists.entries()) {
      expect(index.refs(seq, 'l')).toEqual(list)
      expect(index.places(seq, 'l').map((place) => place.ref)).toEqual(list)
    }
  }))
})

// 1,000 calls that each keep all but the newest of up to 2,000 messages (a cache marker moves) and add three: quadratic if anything is copied.
test('memory is linear in what a session adds', () => {
  const index = new ListIndex()
  let held = 0
  const nodes = new Set<unknown>()
  for (let seq = 0, count = 0; seq < 1000; seq++) {
    const add = [ref(seq), ref(seq), ref(seq)]
    index.add(entry(seq, 'llm_call', { payloads: { l: seq === 0 ? change(add) : change(add, seq - 1, count - 1) } }))
    count += seq === 0 ? 3 : 2
    for (let node = index.list(seq, 'l'); node !== undefined && !nodes.has(node); node = node.base) {
      nodes.add(node)
      held += node.add.length
    }
  }
  expect(index.refs(999, 'l')).toHaveLength(2001)
  expect(held).toBe(3000)
})

test('a list that is kept whole or cut down again and again does not become a longer chain', () => {
  const index = fed({ l: change([a, b]) })
  for (let seq = 1; seq < 2000; seq++) index.add(entry(seq, 'llm_call', { payloads: { l: seq % 2 === 0 ? change([], seq - 1, 2) : change([c], seq - 1, 1) } }))
  let depth = 0
  for (let node = index.list(1999, 'l'); node !== undefined; node = node.base) depth++
  expect(depth).toBeLessThanOrEqual(3)
})
