import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromBase64, toBase64 } from '../base/bytes.ts'
import type { ListChange, Ref } from '../event/entry.ts'
import { entry } from '../event/fixtures.ts'
import { elementsOf, ListIndex } from '../event/list.ts'
import { hashOfText, leafHash } from '../log/hash.ts'
import { treeRoot } from '../log/tree.ts'
import { leafOf, ListRoots } from './list-root.ts'

const refs = (from: number, count: number): Ref[] => Array.from({ length: count }, (_, i) => {
  const bytes = new Uint8Array(32)
  new DataView(bytes.buffer).setUint32(0, from + i)
  return { c: toBase64(bytes), m: 'json' }
})
const plainRoot = (all: readonly Ref[]): string => toBase64(treeRoot(all.map(({ c }) => leafHash(fromBase64(c)))))

/** A session of list changes; gives each list as it should be. */
class Lists {
  readonly index = new ListIndex(leafOf)
  readonly roots = new ListRoots(this.index)
  readonly whole: Ref[][] = []

  add(count: number, base?: number, keep = 0): string {
    const seq = this.whole.length
    const add = refs(seq * 1_000, count)
    const change = { ...(base === undefined ? {} : { base, keep }), add, count: keep + count, root: 'x' } satisfies ListChange
    this.index.add(entry(seq, 'llm_call', { payloads: { l: change } }))
    this.whole.push([...(base === undefined ? [] : this.whole[base]!.slice(0, keep)), ...add])
    return toBase64(hashOfText(this.roots.root(seq, 'l', { ...change, add: add.map(leafOf) })))
  }
}

test('lists that grow, are cut, branch and come back have the roots of their elements', () => {
  const change = fc.record({ count: fc.oneof(fc.nat(3), fc.nat(70)), base: fc.nat(), keep: fc.nat() })
  fc.assert(fc.property(fc.array(change, { maxLength: 40 }), fc.nat(), fc.nat(), (changes, a, b) => {
    const lists = new Lists()
    for (const { count, base, keep } of changes) {
      const seq = lists.whole.length
      const on = seq === 0 || base % 7 === 0 ? undefined : base % 3 === 0 ? seq - 1 : base % seq
      const root = on === undefined ? lists.add(count) : lists.add(count, on, keep % (lists.whole[on]!.length + 1))
      expect(root).toBe(plainRoot(lists.whole[seq]!))
      expect(lists.index.refs(seq, 'l')).toEqual(lists.whole[seq]!.map(leafOf))
      const [from, to] = [a, b].map((n) => n % (lists.whole[seq]!.length + 1)).sort((x, y) => x - y)
      expect(elementsOf(lists.index.list(seq, 'l')!, from!, to!)).toEqual(lists.whole[seq]!.slice(from, to).map(leafOf))
    }
  }), { numRuns: 300 })
})

test('a long list that is cut again and again costs what is added', () => {
  const lists = new Lists()
  for (let i = 0; i < 100; i++) lists.add(256, i === 0 ? undefined : i - 1, i * 256)
  const began = performance.now()
  for (let i = 0; i < 4_000; i++) lists.roots.root(lists.whole.length, 'l', { base: 99, keep: 25_600 - 1 - (i % 5_000), add: refs(9_000_000, 1).map(leafOf) })
  // hashing the list each time takes 4,000 × 25,600 hashes: a minute and more
  expect(performance.now() - began).toBeLessThan(10_000)
})

test('a list that goes back to the first elements of a long chain finds them without walking it', () => {
  const lists = new ListIndex()
  const [one] = refs(1, 1)
  for (let i = 0; i < 40_000; i++) lists.add(entry(i, 'llm_call', { payloads: { l: { ...(i === 0 ? {} : { base: i - 1, keep: i }), add: [one!], count: i + 1, root: 'x' } } }))
  const began = performance.now()
  for (let i = 40_000; i < 80_000; i++) lists.add(entry(i, 'llm_call', { payloads: { l: { base: 39_999, keep: 1, add: [one!], count: 2, root: 'x' } } }))
  // each step of the way back would make it 1.6 thousand million of them
  expect(performance.now() - began).toBeLessThan(2_500)
  expect(lists.refs(79_999, 'l').length).toBe(2)
})
