// The texts of a session in order, and an index from their words, numerals and dates to the texts that hold them, so that finding a
// value looks at few texts however long the session is. Building it is linear in what was said, and bounded.

import { indexOfWhole, keysOf, type Loose, loosen, matchOfKey, type Needle, type Place, wordsOf } from './match.ts'
import type { SourceKind } from './result.ts'

/** How many characters of a session are looked at; what is beyond is counted and reported. */
export const MAX_CHARACTERS: number = 64 * 1024 * 1024

/** Something that somebody said, once. `position` is that of its event among the events on hand. */
export interface Text {
  readonly position: number
  readonly kind: SourceKind
  readonly name: string | null
  readonly message: number | null
  /** the tool call that this answers, by the id of its event or the provider's call id */
  readonly answers: string | null
  readonly text: string
  /** the JSON value that `text` writes out, where it is one */
  readonly json?: unknown
}

export interface Found { readonly text: Text; readonly order: number; readonly place: Place }

export class TextIndex {
  readonly #texts: Text[] = []
  readonly #seen = new Map<SourceKind, Set<string>>()
  readonly #loose: (Loose | undefined)[] = []
  readonly #words = new Map<string, number[]>()
  readonly #keys = new Map<string, number[]>()
  readonly #limit: number
  #indexed = 0
  #characters = 0
  #left = 0
  #firstLeft: number | undefined

  constructor(limit: number = MAX_CHARACTERS) {
    this.#limit = limit
  }

  /** Characters that were taken in. */
  get characters(): number {
    return this.#characters
  }

  /** Characters that were not taken in because there were too many. */
  get charactersLeftOut(): number {
    return this.#left
  }

  /** Position of the first event of which something was not taken in. */
  get firstLeftOut(): number | undefined {
    return this.#firstLeft
  }

  get texts(): readonly Text[] {
    return this.#texts
  }

  /** Takes the next text in, unless the same was said before by the same kind of source. */
  add(text: Text): void {
    if (text.text === '') return
    const seen = this.#seen.get(text.kind) ?? new Set()
    this.#seen.set(text.kind, seen)
    if (seen.has(text.text)) return
    if (this.#characters + text.text.length > this.#limit) {
      this.#left += text.text.length
      this.#firstLeft ??= text.position
      return
    }
    seen.add(text.text)
    this.#characters += text.text.length
    this.#texts.push(text)
  }

  // When something is looked for: most sessions that a rule follows have nothing to look for.
  #index(): void {
    for (; this.#indexed < this.#texts.length; this.#indexed++) {
      const { text } = this.#texts[this.#indexed] as Text
      for (const word of wordsOf(text)) post(this.#words, word, this.#indexed)
      for (const { key } of keysOf(text)) post(this.#keys, key, this.#indexed)
    }
  }

  /** The first text that holds the value in its own spelling, and the first that holds it in another, among texts of events before `end` that `take` accepts. */
  find(needle: Needle, end: number, take: (text: Text) => boolean = () => true): { exact?: Found; loose?: Found } {
    this.#index()
    const exact = this.#first(needle.tokens, needle.exactKeys, end, take, (order) => this.#exactPlace(order, needle))
    const loose = this.#first(needle.looseTokens, needle.looseKeys, end, take, (order) => this.#loosePlace(order, needle))
    return { ...(exact && { exact }), ...(loose && { loose }) }
  }

  #first(words: readonly string[], keys: readonly string[], end: number, take: (text: Text) => boolean, placeIn: (order: number) => Place | undefined): Found | undefined {
    const lists: (readonly number[])[] = keys.map((key) => this.#keys.get(key) ?? [])
    if (words.length > 0) lists.push(this.#rarest(words))
    for (const order of ascending(lists)) {
      const text = this.#texts[order]
      if (text === undefined || text.position >= end) return undefined
      if (!take(text)) continue
      const place = placeIn(order)
      if (place) return { text, order, place }
    }
    return undefined
  }

  #rarest(words: readonly string[]): readonly number[] {
    let rarest: readonly number[] | undefined
    for (const word of words) {
      const list = this.#words.get(word) ?? []
      if (rarest === undefined || list.length < rarest.length) rarest = list
    }
    return rarest ?? []
  }

  #exactPlace(order: number, needle: Needle): Place | undefined {
    const { text } = this.#texts[order] as Text
    if (needle.text === null) return this.#keyPlace(order, needle, needle.exactKeys)
    const offset = indexOfWhole(text, needle.text)
    return offset === undefined ? undefined : { offset, length: needle.text.length, match: 'exact' }
  }

  #loosePlace(order: number, needle: Needle): Place | undefined {
    if (needle.loose !== null) {
      const loose = (this.#loose[order] ??= loosen((this.#texts[order] as Text).text))
      const at = indexOfWhole(loose.text, needle.loose)
      if (at !== undefined) {
        const offset = loose.origin(at)
        return { offset, length: loose.origin(at + needle.loose.length - 1) + 1 - offset, match: 'loose' }
      }
    }
    return this.#keyPlace(order, needle, needle.looseKeys)
  }

  // The keys are in the order in which they are wanted.
  #keyPlace(order: number, needle: Needle, keys: readonly string[]): Place | undefined {
    if (!keys.some((key) => holds(this.#keys.get(key) ?? [], order))) return undefined
    const here = [...keysOf((this.#texts[order] as Text).text)]
    for (const key of keys) {
      const found = here.find((keyed) => keyed.key === key)
      if (found) return { offset: found.offset, length: found.length, match: matchOfKey(key, needle) }
    }
    return undefined
  }
}

function post(lists: Map<string, number[]>, word: string, order: number): void {
  const list = lists.get(word)
  if (list === undefined) lists.set(word, [order])
  else if (list.at(-1) !== order) list.push(order)
}

function holds(ascending: readonly number[], order: number): boolean {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] ?? 0) < order) low = middle + 1
    else high = middle
  }
  return ascending[low] === order
}

function* ascending(lists: readonly (readonly number[])[]): Generator<number> {
  if (lists.length === 1) return yield* lists[0] ?? []
  const at = lists.map(() => 0)
  for (;;) {
    let next = Number.POSITIVE_INFINITY
    for (const [i, list] of lists.entries()) next = Math.min(next, list[at[i] ?? 0] ?? Number.POSITIVE_INFINITY)
    if (next === Number.POSITIVE_INFINITY) return
    yield next
    for (const [i, list] of lists.entries()) if (list[at[i] ?? 0] === next) at[i] = (at[i] ?? 0) + 1
  }
}
