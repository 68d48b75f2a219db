// Lists as changes, and payloads re-used by seq, resolved within one session (docs/format.md §3.3). A resolved list is a chain of
// what each entry added, so a session costs memory for what is new in it, not for what every call repeats.

import { isListChange, isSameRef, type Entry, type ListChange, type Ref } from './entry.ts'
import { eventFault } from './fault.ts'

/** The list that `change` makes of `base`, the refs of the list it names. A VerifyError (`list_malformed`) when they do not fit. */
export function resolveList(change: ListChange, base: readonly Ref[] | undefined): Ref[] {
  if ((change.base === undefined) !== (base === undefined)) {
    throw listFault(`expected ${change.base === undefined ? 'no base' : `the list of entry ${change.base}`}, got ${base === undefined ? 'none' : 'one'}`)
  }
  const keep = change.keep ?? 0
  if (base !== undefined && keep > base.length) throw listFault(`expected keep up to ${base.length}, got ${keep}`)
  return [...(base ?? []).slice(0, keep), ...change.add]
}

/** Where a ref stands: in the entry that introduced it. `ordinal` counts that entry's own refs in their fixed order (`ownRefs`). */
export interface RefPlace {
  readonly ref: Ref
  readonly index: number
  readonly seq: number
  readonly slot: string
  readonly position: number
  readonly ordinal: number
}

/** A list as entry `seq` has it: the first `keep` elements of `base`, then `add`. `base` is absent where `keep` is 0. */
export interface ListNode<Element = Ref> {
  readonly base?: ListNode<Element>
  readonly keep: number
  readonly add: readonly Element[]
  readonly count: number
  readonly index: number
  readonly seq: number
  readonly slot: string
  /** the ordinal of `add[0]` */
  readonly ordinal: number
  /** how many nodes stand below, and one of them further down: a way of logarithmic length to each (Myers, "An applicative random-access stack", 1983) */
  readonly depth: number
  readonly jump?: ListNode<Element>
}

/**
 * The payloads of one session by (seq, name). Add the session's entries in the order of seq, from the first; entries added earlier are
 * not held, only their refs (or what `elementOf` makes of them). Memory is linear in the refs that the session introduced. Only for one session: the caller keeps one each.
 */
export class ListIndex<Element = Ref> {
  readonly #lists = new Map<string, BySeq<ListNode<Element>>>()
  readonly #ones = new Map<string, BySeq<RefPlace>>()
  readonly #places = new Map<ListNode<Element>, RefPlace[]>()
  readonly #elementOf: ((ref: Ref) => Element) | undefined
  #nextSeq = 0

  /** `elementOf`: what is kept of each element of a list, instead of its ref. Then nobody asks for places, and a single payload costs no object. */
  constructor(elementOf?: (ref: Ref) => Element) {
    this.#elementOf = elementOf
  }

  /** The seq after the last one added. */
  get nextSeq(): number {
    return this.#nextSeq
  }

  /**
   * Takes the next entry of the session. A VerifyError, and nothing is taken, when its seq is not above the last (`list_malformed`), a
   * list's base is not an earlier list of that name that long (`list_malformed`), or `same` names no earlier payload (`same_malformed`).
   */
  add(entry: Pick<Entry, 'index' | 'seq' | 'payloads'>): void {
    if (entry.seq < this.#nextSeq) throw listFault(`expected an entry with seq ${this.#nextSeq} or more, got ${entry.seq}`)
    let only: string | undefined
    for (const slot in entry.payloads) {
      if (only !== undefined) {
        this.#addAll(entry, Object.keys(entry.payloads).sort())
        this.#nextSeq = entry.seq + 1
        return
      }
      only = slot
    }
    if (only !== undefined) this.#put(only, entry.seq, this.#valueOf(entry, only, 0)) // nearly always
    this.#nextSeq = entry.seq + 1
  }

  #addAll(entry: Pick<Entry, 'index' | 'seq' | 'payloads'>, slots: readonly string[]): void {
    const values: (RefPlace | ListNode<Element>)[] = []
    let ordinal = 0
    for (const slot of slots) {
      const value = entry.payloads[slot]!
      values.push(this.#valueOf(entry, slot, ordinal))
      if (!isSameRef(value)) ordinal += isListChange(value) ? value.add.length : 1
    }
    for (let i = 0; i < slots.length; i++) this.#put(slots[i]!, entry.seq, values[i]!)
  }

  #valueOf(entry: Pick<Entry, 'index' | 'seq' | 'payloads'>, slot: string, ordinal: number): RefPlace | ListNode<Element> {
    const value = entry.payloads[slot]!
    if (isListChange(value)) return this.#list(entry, slot, value, ordinal)
    if (isSameRef(value)) return this.#same(slot, value.same, entry.seq)
    return this.#elementOf === undefined ? { ref: value, index: entry.index, seq: entry.seq, slot, position: 0, ordinal } : SOMEWHERE
  }

  #put(slot: string, seq: number, value: RefPlace | ListNode<Element>): void {
    if (value === SOMEWHERE || !('add' in value)) put(this.#ones, slot, seq, value)
    else put(this.#lists, slot, seq, value)
  }

  /** The whole list `slot` of entry `seq`, in a new array. A VerifyError (`list_malformed`) where there is none. Costs its length. */
  refs(seq: number, slot: string): Element[] {
    return flatten(this.#found(seq, slot), (node, position) => node.add[position]!)
  }

  /** As `refs`, each with the entry that introduced it. The same place is the same object, however often it is asked for. */
  places(seq: number, slot: string): RefPlace[] {
    return flatten(this.#found(seq, slot), (node, position) => this.#placesOf(node)[position]!)
  }

  /** The list `slot` of entry `seq`, undefined where there is none, as the chain it is: what works on shared parts only once (list roots) follows it. */
  list(seq: number, slot: string): ListNode<Element> | undefined {
    return this.#lists.get(slot)?.get(seq)
  }

  /** The single payload `slot` of entry `seq`, where it was introduced. */
  place(seq: number, slot: string): RefPlace | undefined {
    return this.#elementOf === undefined ? this.#ones.get(slot)?.get(seq) : undefined
  }

  #found(seq: number, slot: string): ListNode<Element> {
    const node = this.list(seq, slot)
    if (node === undefined) throw listFault(`expected a list ${slot} in entry ${seq}, got none`)
    return node
  }

  #placesOf(node: ListNode<Element>): RefPlace[] {
    let places = this.#places.get(node)
    if (places === undefined) {
      const { index, seq, slot } = node
      places = node.add.map((ref, position) => ({ ref: ref as Ref, index, seq, slot, position, ordinal: node.ordinal + position }))
      this.#places.set(node, places)
    }
    return places
  }

  // What `same` names was resolved when it was added: following it takes one step however long the chain of sames is.
  #same(slot: string, same: number, seq: number): RefPlace | ListNode<Element> {
    const found = this.#ones.get(slot)?.get(same) ?? this.#lists.get(slot)?.get(same)
    if (found !== undefined) return found
    throw sameFault(slot, same, seq)
  }

  #list({ index, seq }: Pick<Entry, 'index' | 'seq'>, slot: string, change: ListChange, ordinal: number): ListNode<Element> {
    const { count } = change
    const add = this.#elementOf === undefined ? (change.add as readonly unknown[] as readonly Element[]) : change.add.map(this.#elementOf)
    const base = change.base === undefined ? undefined : this.list(change.base, slot)
    checkBase({ seq }, slot, change, base)
    return nodeOn(base, change.keep ?? 0, { add, count, index, seq, slot, ordinal })
  }
}

/** That the list `slot` of entry `seq` builds on one that is there and long enough. */
export function checkBase({ seq }: Pick<Entry, 'seq'>, slot: string, change: ListChange, base: { readonly count: number } | undefined): void {
  if (change.base === undefined) return
  const keep = change.keep ?? 0
  if (base === undefined) throw listFault(`expected ${slot} of entry ${seq} to build on an earlier list, got entry ${change.base}, which has none`)
  if (keep > base.count) throw listFault(`expected ${slot} of entry ${seq} to keep at most ${base.count}, got ${keep}`)
}

/** The first `keep` elements of `base`, then `add`. */
export function nodeOn<Element>(base: ListNode<Element> | undefined, keep: number, own: Pick<ListNode<Element>, 'add' | 'count' | 'index' | 'seq' | 'slot' | 'ordinal'>): ListNode<Element> {
  const { add, count, index, seq, slot, ordinal } = own
  if (base === undefined || keep === 0) return checkCount({ add, count, index, seq, slot, ordinal, keep: 0, depth: 0 })
  const below = nodeOf(base, keep - 1) // of the nodes above nothing is kept: the chain stays as short as the list
  const { jump = below } = below
  const far = below.depth - jump.depth === jump.depth - (jump.jump ?? jump).depth
  return checkCount({ add, count, index, seq, slot, ordinal, base: below, keep, depth: below.depth + 1, jump: far ? (jump.jump ?? jump) : below })
}

/** Of an index without places: that there is a payload is all that it knows. */
const SOMEWHERE: RefPlace = { ref: { c: '', m: 'json' }, index: -1, seq: -1, slot: '', position: 0, ordinal: 0 }

function put<T>(store: Map<string, BySeq<T>>, slot: string, seq: number, value: T): void {
  let bySeq = store.get(slot)
  if (bySeq === undefined) store.set(slot, (bySeq = new BySeq()))
  bySeq.add(seq, value)
}

/** Values by seq, which ascend as they are added: two arrays, smaller than a Map and cheaper to fill. */
class BySeq<T> {
  readonly #seqs: number[] = []
  readonly #values: T[] = []

  add(seq: number, value: T): void {
    this.#seqs.push(seq)
    this.#values.push(value)
  }

  get(seq: number): T | undefined {
    const seqs = this.#seqs
    let high = seqs.length - 1
    if (seqs[high] === seq) return this.#values[high] // what nearly always is asked for
    for (let low = 0; low < high; ) {
      const middle = (low + high) >>> 1
      if (seqs[middle]! < seq) low = middle + 1
      else high = middle
    }
    return seqs[high] === seq ? this.#values[high] : undefined
  }
}

const NEXT = 'compare the log with another copy of it'

export function listFault(message: string): Error {
  return eventFault('list_malformed', message, NEXT)
}

export function sameFault(slot: string, same: number, seq: number): Error {
  return eventFault('same_malformed', `expected ${slot} of entry ${seq} to be that of an earlier entry, got ${same}, which has none`, NEXT)
}

function checkCount<Element>(node: ListNode<Element>): ListNode<Element> {
  if (node.count !== node.keep + node.add.length) throw listFault(`expected a count of ${node.keep + node.add.length}, got ${node.count}`)
  return node
}

/** The elements `from` up to but not including `to` of a list that has them. Costs their number, and for each entry that added some the logarithm of the list's changes. */
export function elementsOf<Element>(list: ListNode<Element>, from: number, to: number): Element[] {
  const parts: (readonly Element[])[] = []
  for (let [node, end] = [list, to]; end > from;) {
    node = nodeOf(node, end - 1)
    const start = Math.max(from, node.keep)
    parts.push(node.add.slice(start - node.keep, end - node.keep))
    end = start
  }
  return parts.reverse().flat()
}

/** The node of the list that ends in `last` which added the element at `position`, in logarithmic time. */
export function nodeOf<Element>(last: ListNode<Element>, position: number): ListNode<Element> {
  let node = last
  while (node.keep > position) node = node.jump !== undefined && node.jump.keep > position ? node.jump : node.base!
  return node
}

function flatten<Element, T>(last: ListNode<Element>, take: (node: ListNode<Element>, position: number) => T): T[] {
  const parts: { node: ListNode<Element>; used: number }[] = []
  let end = last.count
  for (let node: ListNode<Element> | undefined = last; node !== undefined && end > 0; node = node.base) {
    if (end > node.keep) parts.push({ node, used: end - node.keep })
    end = Math.min(end, node.keep)
  }
  const out: T[] = []
  for (const { node, used } of parts.reverse()) for (let position = 0; position < used; position++) out.push(take(node, position))
  return out
}
