// Lists of values as JSON. An agent sends its conversation again at each step: what JSON.stringify would say as it said it before is
// found by comparing the values with what that text reads back as, which takes a fraction of writing them out again. Nothing is
// believed of an object because it is the same object: each value is read at each call, in the order in which JSON.stringify reads it.

import { types } from 'node:util'
import type { Piece } from '../event/model-call.ts'
import { jsonPiece } from './content.ts'
import { CharacterRoom } from './room.ts'

/** The text of one element, and what it reads back as from its second time on: what comes only once is not worth it. */
interface Known { readonly piece: Piece; value: unknown; parsed: boolean }

const room = new CharacterRoom(8 * 1024 * 1024)
/** Beyond it a list is written out each time. */
const ELEMENTS_KEPT = 10_000

export class JsonMemory {
  readonly #lists = new Map<string, Known[]>()

  /** Each of `values` as `jsonPiece` would have it now; `name` says which list it is most like, the last of that name. */
  pieces(name: string, values: Iterable<unknown>): Piece[] {
    let known = this.#lists.get(name)
    if (known === undefined) this.#lists.set(name, (known = []))
    const pieces: Piece[] = []
    let characters = 0
    for (const value of values) {
      const at = pieces.length
      const piece = pieceAt(known, at, value)
      pieces.push(piece)
      characters += piece.content.length
    }
    const list = known
    list.length = Math.min(pieces.length, ELEMENTS_KEPT)
    room.hold(list, characters, () => (list.length = 0))
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
  if (old?.parsed === true && readsAs(value, old.value)) return old.piece
  const piece: Piece = { m: 'json', own: true, content: 'null', ...jsonPiece(value) }
  if (old === undefined || old.piece.content !== piece.content) {
    if (at < ELEMENTS_KEPT) known[at] = { piece, value: undefined, parsed: false }
    return piece
  }
  if (!old.parsed) {
    old.value = JSON.parse(old.piece.content as string)
    old.parsed = true
  }
  return old.piece
}

/** Whether JSON.stringify(value) is the text that `parsed` was parsed from, which is one of its own. What throws when it is read is left to JSON.stringify. */
export function readsAs(value: unknown, parsed: unknown): boolean {
  try {
    return same(value, parsed)
  } catch {
    return false
  }
}

function same(value: unknown, parsed: unknown): boolean {
  if (typeof parsed !== 'object' || parsed === null) return value === parsed
  if (typeof value !== 'object' || value === null || typeof (value as { toJSON?: unknown }).toJSON === 'function') return false
  if (Array.isArray(parsed)) {
    if (!Array.isArray(value) || value.length !== parsed.length) return false
    for (let i = 0; i < parsed.length; i++) if (!same(value[i], parsed[i])) return false
    return true
  }
  // a boxed number is written as the number that it boxes, whatever its members say
  if (Array.isArray(value) || types.isBoxedPrimitive(value)) return false
  const names = Object.keys(parsed)
  const own = Object.keys(value)
  if (own.length !== names.length) return false
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!
    // JSON.rawJSON() makes an object of this one member, which is written as it stands
    if (own[i] !== name || name === 'rawJSON') return false
    if (!same((value as { [name: string]: unknown })[name], (parsed as { [name: string]: unknown })[name])) return false
  }
  return true
}
