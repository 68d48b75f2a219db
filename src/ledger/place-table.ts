// What a verification remembers of each content of a log until the content index is read: in which segment and where it lies, and under which
// key it must be found. There are twice as many as events, so they stand in one hash table of plain bytes: some 80 each, and nothing for the
// garbage collector to walk.

import type { PlaceRow } from '../store/contract.ts'

export type Place = Pick<PlaceRow, 'segment' | 'frame' | 'position' | 'frames'>

/** What is known of a segment: the first entry that names content in it, the scope `<session id>/<k>` of that, and how many contents are named. */
export interface NamedSegment { readonly first: number; readonly name: string; readonly places: number }

const KEY_BYTES = 32
/** States of a slot. */
const [FREE, WITHOUT_KEY, WITH_KEY, TAKEN] = [0, 1, 2, 3]

export class PlaceTable {
  /** segment → its number here, in the order of their coming */
  readonly #segments = new Map<number, number>()
  readonly #first: number[] = []
  /** the number of the name of each segment */
  readonly #scopes: number[] = []
  readonly #names: string[] = []
  readonly #numbers = new Map<string, number>()
  readonly #counts: number[] = []
  #states: Uint8Array
  #owners: Uint32Array
  #places: Float64Array
  #keys: Uint8Array
  #used = 0
  #left = 0
  /** Places beyond what a number here holds; no ledger writes such. */
  readonly #odd = new Map<string, Uint8Array | undefined>()
  /** Other ones in each table, so that nobody can write a log whose places all fall into one. */
  readonly #factors = [0, 0, 0].map(() => Math.floor(Math.random() * 2 ** 32) | 1)

  constructor(slots = 1024) {
    this.#states = new Uint8Array(slots)
    this.#owners = new Uint32Array(slots)
    this.#places = new Float64Array(slots)
    this.#keys = new Uint8Array(slots * KEY_BYTES)
  }

  /** How many places were added and not taken. */
  get left(): number {
    return this.#left
  }

  segments(): IterableIterator<number> {
    return this.#segments.keys()
  }

  segment(segment: number): NamedSegment | undefined {
    const at = this.#segments.get(segment)
    return at === undefined ? undefined : { first: this.#first[at]!, name: this.#names[this.#scopes[at]!]!, places: this.#counts[at]! }
  }

  /** The entry `index` names a content of the scope `name` there; `key` (32 bytes) where it was opened, of several the last. The scope that the segment was first named of. */
  add(place: Place, index: number, name: string, key: Uint8Array | undefined): string {
    let owner = this.#segments.get(place.segment)
    if (owner === undefined) {
      owner = this.#first.length
      this.#segments.set(place.segment, owner)
      this.#first.push(index)
      this.#scopes.push(this.#numberOf(name))
      this.#counts.push(0)
    }
    if (this.#put(owner, place, key)) {
      this.#counts[owner]!++
      this.#left++
    }
    return this.#names[this.#scopes[owner]!]!
  }

  #numberOf(name: string): number {
    let number = this.#numbers.get(name)
    if (number === undefined) this.#numbers.set(name, (number = this.#names.push(name) - 1))
    return number
  }

  has(place: Place): boolean {
    const owner = this.#segments.get(place.segment)
    if (owner === undefined) return false
    const number = numberOf(place)
    if (number === undefined) return this.#odd.has(oddName(owner, place))
    const state = this.#states[this.#slot(owner, number)]!
    return state === WITH_KEY || state === WITHOUT_KEY
  }

  /** Takes a place away: its key, `none` where it was added without one; undefined where it is not there, or not any more. */
  take(place: Place): Uint8Array | 'none' | undefined {
    const owner = this.#segments.get(place.segment)
    if (owner === undefined) return undefined
    const number = numberOf(place)
    if (number === undefined) {
      const name = oddName(owner, place)
      const key = this.#odd.get(name)
      if (!this.#odd.delete(name)) return undefined
      this.#left--
      return key ?? 'none'
    }
    const slot = this.#slot(owner, number)
    const state = this.#states[slot]!
    if (state !== WITH_KEY && state !== WITHOUT_KEY) return undefined
    this.#states[slot] = TAKEN
    this.#left--
    return state === WITHOUT_KEY ? 'none' : this.#keys.subarray(slot * KEY_BYTES, (slot + 1) * KEY_BYTES)
  }

  /** Whether it is a new one. */
  #put(owner: number, place: Place, key: Uint8Array | undefined): boolean {
    const number = numberOf(place)
    if (number === undefined) {
      const name = oddName(owner, place)
      const known = this.#odd.has(name)
      this.#odd.set(name, key)
      return !known
    }
    if (this.#used * 4 >= this.#states.length * 3) this.#grow()
    const slot = this.#slot(owner, number)
    const fresh = this.#states[slot] === FREE
    if (fresh) {
      this.#used++
      this.#owners[slot] = owner
      this.#places[slot] = number
    }
    this.#states[slot] = key === undefined ? WITHOUT_KEY : WITH_KEY
    if (key !== undefined) this.#keys.set(key, slot * KEY_BYTES)
    return fresh
  }

  /** Where it is, or the free slot where it would be. */
  #slot(owner: number, place: number): number {
    const mask = this.#states.length - 1
    const [a, b, c] = this.#factors as [number, number, number]
    let mixed = Math.imul(owner + 1, a) ^ Math.imul(place % 4_294_967_296 | 0, b) ^ Math.imul(Math.floor(place / 4_294_967_296) + 1, c)
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d)
    for (let slot = (mixed ^ (mixed >>> 13)) & mask; ; slot = (slot + 1) & mask) {
      if (this.#states[slot] === FREE || (this.#owners[slot] === owner && this.#places[slot] === place)) return slot
    }
  }

  #grow(): void {
    const [states, owners, places, keys] = [this.#states, this.#owners, this.#places, this.#keys]
    const slots = 2 * states.length
    this.#states = new Uint8Array(slots)
    this.#owners = new Uint32Array(slots)
    this.#places = new Float64Array(slots)
    this.#keys = new Uint8Array(slots * KEY_BYTES)
    for (let from = 0; from < states.length; from++) {
      if (states[from] === FREE) continue
      const to = this.#slot(owners[from]!, places[from]!)
      this.#states[to] = states[from]!
      this.#owners[to] = owners[from]!
      this.#places[to] = places[from]!
      this.#keys.set(keys.subarray(from * KEY_BYTES, (from + 1) * KEY_BYTES), to * KEY_BYTES)
    }
  }
}

/** A place in its segment as one number; undefined where the parts are no counts, or too large. */
function numberOf({ frame, position, frames }: Place): number | undefined {
  return frame < 65_536 && position < 4_096 && frames < 64 && frame >= 0 && position >= 0 && frames >= 0 ? (frame * 4_096 + position) * 64 + frames : undefined
}

function oddName(owner: number, { frame, position, frames }: Place): string {
  return `${owner}/${frame}/${position}/${frames}`
}
