import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Entry, ListChange, Ref, Slot } from './entry.ts'
import { entry, hash, ref } from './fixtures.ts'
import { ListIndex } from './list.ts'
import { PastPayloads } from './past-payloads.ts'

type Slots = { readonly [name: string]: Slot }
const change = (add: readonly Ref[], base?: number, keep = 0): ListChange =>
  base === undefined ? { add, count: add.length, root: hash(0) } : { base, keep, add, count: keep + add.length, root: hash(0) }
const entriesOf = (payloads: readonly Slots[]): Entry[] => payloads.map((slots, seq) => entry(seq, 'llm_call', { index: seq * 3, payloads: slots }))

/** With the seqs that were read, in order. */
function past(entries: readonly Entry[]): { payloads: PastPayloads; read: number[] } {
  const read: number[] = []
  return { read, payloads: new PastPayloads(async (seq) => (read.push(seq), entries[seq])) }
}

const step = fc.record({ back: fc.nat(), keep: fc.nat(), add: fc.nat(3), kind: fc.constantFrom('fresh', 'on', 'on', 'on', 'same', 'none', 'one'), beside: fc.boolean() })

test('lists and payloads are those that the session gives when it is read from its first entry, whatever is asked for and in which order', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 50 }), fc.array(fc.nat(), { minLength: 1, maxLength: 8 }), async (steps, asked) => {
    const index = new ListIndex()
    const lists: number[] = []
    const all: Slots[] = []
    for (const [seq, { back, keep, add, kind, beside }] of steps.entries()) {
      const own = Array.from({ length: add }, (_, i) => ref(seq * 10 + i))
      const base = lists[back % lists.length]
      const slots: { [name: string]: Slot } = beside ? { a: all[seq - 1]?.['a'] === undefined ? ref(seq * 10 + 8) : { same: seq - 1 }, z: ref(seq * 10 + 9) } : {}
      if (kind === 'one') slots['m'] = ref(seq * 10 + 7)
      if (kind === 'fresh' || (kind === 'on' && base === undefined)) slots['l'] = change(own)
      if (kind === 'on' && base !== undefined) slots['l'] = change(own, base, keep % (index.refs(base, 'l').length + 1))
      if (kind === 'same' && base !== undefined) slots['l'] = { same: base }
      if (slots['l'] !== undefined) lists.push(seq)
      all.push(slots)
      index.add(entriesOf(all)[seq]!)
    }
    const { payloads, read } = past(entriesOf(all))
    for (const at of asked) {
      const seq = at % all.length
      for (const name of Object.keys(all[seq]!)) {
        const one = index.place(seq, name)
        expect(await payloads.place(seq, name)).toEqual(one)
        if (one !== undefined) continue
        const places = await payloads.places(seq, name)
        expect(places).toEqual(index.places(seq, name))
        for (const [i, each] of (await payloads.places(seq, name)).entries()) expect(each).toBe(places[i])
      }
    }
    expect(new Set(read).size).toBe(read.length) // each entry at most once
  }))
})

test.each<[string, string, readonly Slots[]]>([
  ['a base that has no list', 'list_malformed', [{}, { l: change([ref(1)], 0, 0) }]],
  ['a base of another name', 'list_malformed', [{ m: change([ref(1)]) }, { l: change([ref(1)], 0, 1) }]],
  ['a base that is one payload', 'list_malformed', [{ l: ref(1) }, { l: change([ref(1)], 0, 1) }]],
  ['a base that leads to one payload', 'list_malformed', [{ l: ref(1) }, { l: { same: 0 } }, { l: change([ref(1)], 1, 1) }]],
  ['a keep over the base', 'list_malformed', [{ l: change([ref(1)]) }, { l: change([ref(2)], 0, 2) }]],
  ['a keep over what a base further down kept', 'list_malformed', [{ l: change([ref(1)]) }, { l: change([ref(2)], 0, 2) }, { l: change([ref(3)], 1, 1) }]],
  ['a wrong count', 'list_malformed', [{ l: { ...change([ref(1)]), count: 2 } }]],
  ['a same that has no such payload', 'same_malformed', [{ x: ref(1) }, { l: { same: 0 } }]],
  ['a same of a same that has none', 'same_malformed', [{}, { l: { same: 0 } }, { l: { same: 1 } }]],
  ['a same that is no entry', 'same_malformed', [{ l: { same: -1 } }]],
  ['a name from Object.prototype', 'same_malformed', [{}, { constructor: { same: 0 } }]],
])('%s is evidence, told as it is when the session is read from its first entry', async (_name, code, all) => {
  const entries = entriesOf(all)
  const index = new ListIndex()
  const told = (() => { try { for (const each of entries) index.add(each) } catch (error) { return error } return undefined })()
  expect(told).toMatchObject({ name: 'VerifyError', code })
  const { payloads } = past(entries)
  const name = Object.keys(all.at(-1)!)[0]!
  const got = await (async () => (await payloads.place(all.length - 1, name)) ?? (await payloads.places(all.length - 1, name)))().catch((error: unknown) => error)
  expect(got).toMatchObject({ name: 'VerifyError', code, message: (told as Error).message })
})

test('what nothing leads to is not looked at: it may be anything', async () => {
  const entries = entriesOf([{ l: change([ref(1)]) }, { l: change([ref(2)], 7, 9), x: { same: 0 } }, { l: change([ref(3)], 0, 1) }])
  const { payloads, read } = past(entries)
  expect((await payloads.places(2, 'l')).map(({ ref: { c } }) => c)).toEqual([ref(1).c, ref(3).c])
  expect(read).toEqual([2, 0])
})

// a conversation as recorders write it: each call builds on the one before, and every 20 messages it is summarised
test('a list costs the entries that made it, however far into the session it stands', async () => {
  const all: Slots[] = []
  for (let seq = 0, kept = 0; seq < 5_000; seq++) {
    all.push({ l: kept === 0 || kept >= 20 ? change([ref(seq)]) : change([ref(seq), ref(seq)], seq - 1, kept) })
    kept = kept === 0 || kept >= 20 ? 1 : kept + 2
  }
  for (const seq of [30, 3_000, 4_999]) {
    const { payloads, read } = past(entriesOf(all))
    await payloads.places(seq, 'l')
    expect(read.length).toBeLessThanOrEqual(11)
  }
})
