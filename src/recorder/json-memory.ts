// Lists of values as JSON. An agent sends its conversation again at each step: what JSON.stringify would say as it said it before is
// found by comparing the values with what that text reads back as, which takes a fraction of writing them out again. Nothing is
// believed of an object because it is the same object: each value is read at each call, in the order in which JSON.stringify reads it.

import { types } from 'node:util'
import type { Piece } from '../event/model-call.ts'
import { jsonPiece } from './content.ts'
import { CharacterRoom } from './room.ts'

/** The text of one element, and what it reads back as from its second time on: what comes only once is not worth it. */
interface Known { readonly piece: Piece; value: Read | undefined }

/** A value as its text reads back: members have names, the elements of an array none. */
type Read = string | number | boolean | null | { readonly names: readonly string[] | undefined; readonly values: Read[] } | typeof NOTHING
const NOTHING: unique symbol = Symbol('equal to nothing')

const room = new CharacterRoom(8 * 1024 * 1024)
/** What an element weighs beside its characters. */
const ELEMENT_WEIGHT = 128
/** Elements beyond it are written out each time. */
const ELEMENTS_KEPT = 10_000

export class JsonMemory {
  readonly #lists = new Map<string, Known[]>()

  /** Each of `values` as `jsonPiece` would have it now; `name` says which list it is most like, the last of that name. */
  pieces(name: string, values: Iterable<unknown>): Piece[] {
    let known = this.#lists.get(name)
    if (known === undefined) this.#lists.set(name, (known = []))
    const pieces: Piece[] = []
    let weight = 0
    for (const value of values) {
      const at = pieces.length
      const piece = pieceAt(known, at, value)
      pieces.push(piece)
      weight += piece.content.length + ELEMENT_WEIGHT
    }
    const list = known
    list.length = Math.min(pieces.length, ELEMENTS_KEPT)
    room.hold(list, weight, () => (list.length = 0))
    return pieces
  }

  /** Forgets all: its session is over. */
  clear(): void {
    for (const list of this.#lists.values()) room.release(list)
    this.#lists.clear()
  }
}

function pieceAt(known: Known[], at: number, value: unknown): Piece {
  const old = known[at]
  if (old?.value !== undefined && readsAs(value, old.value)) return old.piece
  const piece: Piece = { m: 'json', own: true, content: 'null', ...jsonPiece(value) }
  if (old === undefined || old.piece.content !== piece.content) {
    if (at < ELEMENTS_KEPT) known[at] = { piece, value: undefined }
    return piece
  }
  if (old.value === undefined) {
    const parsed: unknown = JSON.parse(old.piece.content as string)
    // a number that stood there raw, or members in a proxy's order: no other value has that text
    old.value = jsonPiece(parsed)?.content === old.piece.content ? readBack(parsed) : NOTHING
  }
  return old.piece
}

/** What `parsed` was parsed from, to compare with. */
export function readBack(parsed: unknown): Read {
  if (typeof parsed !== 'object' || parsed === null) return parsed as Read
  if (Array.isArray(parsed)) return { names: undefined, values: parsed.map(readBack) }
  const names = Object.keys(parsed)
  if (names.includes('rawJSON')) return NOTHING // JSON.rawJSON() makes an object of this one member, which is written as it stands
  return { names, values: names.map((name) => readBack((parsed as { [name: string]: unknown })[name])) }
}

/** Whether JSON.stringify(value) is the text that `read` was read back from, which is one of its own. What throws when it is read is left to JSON.stringify. */
export function readsAs(value: unknown, read: Read): boolean {
  try {
    return same(value, read)
  } catch {
    return false
  }
}

function same(value: unknown, read: Read): boolean {
  if (typeof read !== 'object' || read === null) return value === read
  if (typeof value !== 'object' || value === null || typeof (value as { toJSON?: unknown }).toJSON === 'function') return false
  const { names, values } = read
  if (names === undefined) {
    if (!Array.isArray(value) || value.length !== values.length) return false
    for (let i = 0; i < values.length; i++) if (!sameAt(value[i], values, i)) return false
    return true
  }
  // a boxed number is written as the number that it boxes, whatever its members say
  if (Array.isArray(value) || types.isBoxedPrimitive(value)) return false
  const own = Object.keys(value)
  if (own.length !== names.length) return false
  for (let i = 0; i < names.length; i++) {
    if (own[i] !== names[i] || !sameAt((value as { [name: string]: unknown })[own[i]!], values, i)) return false
  }
  return true
}

/** A text that is the same is held as the caller has it: the next comparison does not even look at its characters, and it takes no room of its own. */
function sameAt(value: unknown, values: Read[], at: number): boolean {
  const read = values[at]!
  if (typeof value !== 'string') return same(value, read)
  if (value !== read) return false
  values[at] = value
  return true
}
