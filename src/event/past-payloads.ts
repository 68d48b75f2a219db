// The payloads of one session by (seq, name), as `ListIndex` gives them, where few are asked for: what an entry refers to is followed backwards
// (docs/format.md §3.3), so it costs the entries that made the list which is asked for, however long the session is. What lies between is not looked at.

import { isListChange, isSameRef, type Entry, type ListChange } from './entry.ts'
import { checkBase, elementsOf, listFault, nodeOf, nodeOn, sameFault, type ListNode, type RefPlace } from './list.ts'

/** The session's entry at `seq`; undefined where it has none. */
export type ReadEntry = (seq: number) => Promise<Entry | undefined>

/** An entry with a list of its own. */
interface Changed { readonly entry: Entry; readonly change: ListChange }
type List = ListNode<RefPlace>

/** Remembers what it was led to, so that what several entries stand on is read once, and the same place is the same object. */
export class PastPayloads {
  readonly #read: ReadEntry
  readonly #entries = new Map<number, Promise<Entry | undefined>>()
  readonly #lists = new Map<string, List>()
  readonly #ones = new Map<string, RefPlace>()

  constructor(read: ReadEntry) {
    this.#read = read
  }

  /** Takes an entry that is at hand. */
  know(entry: Entry): void {
    if (!this.#entries.has(entry.seq)) this.#entries.set(entry.seq, Promise.resolve(entry))
  }

  /** The single payload `slot` of entry `seq`, where it was introduced; undefined where it has none. A VerifyError where that leads nowhere (`same_malformed`). */
  async place(seq: number, slot: string): Promise<RefPlace | undefined> {
    const entry = await this.#introducing(seq, slot)
    return entry === undefined || isListChange(entry.payloads[slot]!) ? undefined : this.#one(entry, slot)
  }

  /** The whole list `slot` of entry `seq`, each element with the entry that introduced it. A VerifyError (`list_malformed`, `same_malformed`) where there is none. */
  async places(seq: number, slot: string): Promise<RefPlace[]> {
    const last = await this.#changed(seq, slot)
    if (last === undefined) throw listFault(`expected a list ${slot} in entry ${seq}, got none`)
    const list = await this.#list(last, slot)
    return elementsOf(list, 0, list.count)
  }

  #entry(seq: number): Promise<Entry | undefined> {
    let entry = this.#entries.get(seq)
    if (entry === undefined) this.#entries.set(seq, (entry = this.#read(seq)))
    return entry
  }

  /** The entry that introduced the payload `slot` of entry `seq`, sames followed. */
  async #introducing(seq: number, slot: string): Promise<Entry | undefined> {
    for (let [at, from] = [seq, -1]; ; ) {
      const entry = await this.#entry(at)
      const own = entry !== undefined && Object.hasOwn(entry.payloads, slot) ? entry.payloads[slot] : undefined
      if (own === undefined && from === -1) return undefined
      if (own === undefined) throw sameFault(slot, at, from)
      if (!isSameRef(own)) return entry
      ;[at, from] = [own.same, at]
    }
  }

  async #changed(seq: number, slot: string): Promise<Changed | undefined> {
    const entry = await this.#introducing(seq, slot)
    const change = entry?.payloads[slot]
    return entry !== undefined && change !== undefined && isListChange(change) ? { entry, change } : undefined
  }

  /** What a list builds on. */
  async #base({ entry, change }: Changed, slot: string): Promise<Changed | undefined> {
    if (change.base === undefined) return undefined
    const base = await this.#changed(change.base, slot)
    checkBase(entry, slot, change, base?.change)
    return base
  }

  #one(entry: Entry, slot: string): RefPlace {
    const key = `${entry.seq}/${slot}`
    let place = this.#ones.get(key)
    if (place === undefined) this.#ones.set(key, (place = placesOf(entry, slot)[0]!))
    return place
  }

  /** The list of `last`. Down to where nothing is kept, or to a list that is known; then up again. */
  async #list(last: Changed, slot: string): Promise<List> {
    const above: Changed[] = []
    let list: List | undefined
    for (let at: Changed | undefined = last; at !== undefined; ) {
      list = this.#lists.get(`${at.entry.seq}/${slot}`)
      if (list !== undefined) break
      above.push(at)
      at = await this.#owner(at, slot)
    }
    for (const { entry, change } of above.reverse()) {
      list = nodeOn(list, change.keep ?? 0, { add: placesOf(entry, slot), count: change.count, index: entry.index, seq: entry.seq, slot, ordinal: ordinalOf(entry, slot) })
      this.#lists.set(`${entry.seq}/${slot}`, list)
    }
    return list!
  }

  /** The entry that added the last element which `from` keeps; undefined where it keeps none. Of those between nothing is kept. */
  async #owner(from: Changed, slot: string): Promise<Changed | undefined> {
    const keep = from.change.keep ?? 0
    let at = await this.#base(from, slot)
    if (keep === 0) return undefined
    while (at !== undefined && (at.change.keep ?? 0) >= keep) {
      const known = this.#lists.get(`${at.entry.seq}/${slot}`)
      if (known !== undefined) return this.#changed(nodeOf(known, keep - 1).seq, slot)
      at = await this.#base(at, slot)
    }
    return at
  }
}

/** Where the own refs that a slot introduces stand. */
function placesOf(entry: Entry, slot: string): RefPlace[] {
  const own = entry.payloads[slot]!
  const ordinal = ordinalOf(entry, slot)
  const refs = isListChange(own) ? own.add : isSameRef(own) ? [] : [own]
  return refs.map((ref, position) => ({ ref, index: entry.index, seq: entry.seq, slot, position, ordinal: ordinal + position }))
}

/** How many own refs stand before those of `slot` in their fixed order. */
function ordinalOf({ payloads }: Entry, slot: string): number {
  let ordinal = 0
  for (const name in payloads) {
    const own = payloads[name]!
    if (name < slot && !isSameRef(own)) ordinal += isListChange(own) ? own.add.length : 1
  }
  return ordinal
}
