// What a recorder remembers of the lists it has recorded, so that the next one is told as a change: branches, compaction and edited
// histories cost only what is new. Elements are read as the caller gives them, each time: a cache by object identity would record a lie
// once the author changes an array in place. What was read is compared with what was recorded, character by character, or by SHA-256
// where the characters were given up for their room.

import { sha256Hex } from '#crypto'
import type { Piece } from '../event/model-call.ts'
import { CharacterRoom } from './room.ts'

/** An element of a list, and the event that has the list up to it. One of `content` and `digest` is there. */
interface Element { readonly m: Piece['m']; readonly owner: string; content: string | undefined; digest: string | undefined; readonly event_id: string }

/** A recorded list, and how many of its elements stand unchanged at the front of the one that was asked for. */
export interface Prefix { readonly list: Element[]; readonly keep: number }

/** Lists that begin alike, such beginnings, and elements; beyond it what was least lately used is forgotten, and a list that continues it is recorded whole (its content is stored once all the same). */
const LISTS_ALIKE = 16
const BEGINNINGS_KEPT = 64
const ELEMENTS_KEPT = 200_000

export class ListMemory {
  /** By the sketch of their first element, least lately used first. */
  readonly #lists = new Map<number, Element[][]>()
  #elements = 0

  /** The longest recorded prefix of the list `pieces`. `owners`: for each whose it is said to be, empty where its event says it. */
  find(pieces: readonly Piece[], owners?: readonly string[]): Prefix | undefined {
    let longest: Prefix | undefined
    for (const list of pieces.length === 0 ? [] : (this.#lists.get(sketch(pieces[0]!)) ?? [])) {
      const keep = sameElements(list, pieces, owners)
      if (keep > (longest?.keep ?? 0)) longest = { list, keep }
    }
    return longest
  }

  /** Remembers that `event_id` has the first `count` elements of `pieces`, of which `known` were found here. What is known then. */
  remember(pieces: readonly Piece[], owners: readonly string[] | undefined, event_id: string, known: Prefix | undefined, count: number = pieces.length): Prefix | undefined {
    const keep = known?.keep ?? 0
    if (count <= keep) return known
    const list = known?.list.length === keep ? known.list : (known?.list.slice(0, keep) ?? [])
    if (list !== known?.list) this.#elements += keep
    this.#elements += count - keep
    for (let i = keep; i < count; i++) {
      const { m, content } = pieces[i]!
      const text = ownText(pieces[i]!)
      list.push({ m, owner: owners?.[i] ?? '', content: text, digest: text === undefined ? digestOf(content) : undefined, event_id })
    }
    hold(list, pieces)
    this.#place(list, sketch(pieces[0]!))
    return { list, keep: count }
  }

  /** Forgets all lists: their session is over. */
  clear(): void {
    for (const beginning of this.#lists.keys()) this.#forget(beginning, Infinity)
  }

  #place(list: Element[], beginning: number): void {
    const alike = this.#lists.get(beginning) ?? []
    this.#lists.delete(beginning)
    this.#lists.set(beginning, alike)
    if (!alike.includes(list)) alike.push(list)
    if (alike.length > LISTS_ALIKE) this.#forget(beginning, 1)
    for (const oldest of this.#lists.keys()) {
      if (this.#lists.size <= BEGINNINGS_KEPT && this.#elements <= ELEMENTS_KEPT) return
      this.#forget(oldest, Infinity)
    }
  }

  #forget(beginning: number, count: number): void {
    const alike = this.#lists.get(beginning)!
    for (const list of alike.splice(0, count)) {
      this.#elements -= list.length
      room.release(list)
    }
    if (alike.length === 0) this.#lists.delete(beginning)
  }
}

/** A number that equal contents share, and few others do. */
function sketch({ content }: Piece): number {
  const { length } = content
  return typeof content === 'string' ? length * 65_536 + ((31 * content.charCodeAt(length >> 1) + content.charCodeAt((length >> 2) * 3)) & 0xffff) : length
}

function sameElements(list: readonly Element[], pieces: readonly Piece[], owners: readonly string[] | undefined): number {
  const most = Math.min(list.length, pieces.length)
  for (let i = 0; i < most; i++) {
    const { m, owner, content, digest } = list[i]!
    const piece = pieces[i]!
    if (content === undefined ? digest !== digestOf(piece.content) : content !== piece.content) return i
    if (m !== piece.m || owner !== (owners?.[i] ?? '')) return i
  }
  return most
}

/** Of bytes another than of a text that is encoded as they are. */
function digestOf(content: string | Uint8Array): string {
  return typeof content === 'string' ? sha256Hex(content) : `bytes ${sha256Hex(content)}`
}

/** A slice of a request's text would keep all of that text: concatenated and cut off again, it has memory of its own. */
function ownText({ content, own }: Piece): string | undefined {
  if (typeof content !== 'string') return undefined
  return own === true ? content : ` ${content}`.slice(1)
}

/** Characters held, over all sessions of this thread; beyond it those of the lists least lately used are exchanged for digests. */
const room = new CharacterRoom(16 * 1024 * 1024)

/** Holds the characters of `list`, a prefix of `pieces`: also those that were given up, since it is in use again. */
function hold(list: Element[], pieces: readonly Piece[]): void {
  let characters = 0
  for (let i = 0; i < list.length; i++) {
    const piece = pieces[i]!
    if (typeof piece.content !== 'string') continue
    list[i]!.content ??= ownText(piece)
    characters += piece.content.length
  }
  room.hold(list, characters, () => giveUp(list))
}

function giveUp(list: readonly Element[]): void {
  for (const element of list) {
    if (element.content !== undefined) element.digest ??= digestOf(element.content)
    element.content = undefined
  }
}
