// What a recorder remembers of the lists it has recorded, so that the next one is told as a change. A list is found again by the
// running hash over its elements' bytes, so branches, compaction and edited histories cost only what is new. Elements are hashed as
// the caller gave them, each time: a cache by object identity would record a lie once the author changes an array in place.

import { sha256Hex } from '#crypto'
import type { Piece } from '../event/model-call.ts'

/** The list that a new one continues: the event that has it, and how many of its elements stand unchanged at the front. */
export interface Base { readonly event_id: string; readonly keep: number }

/** Prefixes remembered; beyond it the oldest half is forgotten, and a list that continues one of them is recorded whole (its content is stored once all the same). */
const PREFIXES_KEPT = 200_000

export class ListMemory {
  #prefixes = new Map<string, Base>()

  /** The running hashes of `pieces`: one per prefix. `owners`: for each whose it is said to be, empty where its event says it. */
  chain(pieces: readonly Piece[], owners: readonly string[] = []): string[] {
    let hash = ''
    return pieces.map(({ m, content }, i) => (hash = sha256Hex(`${hash}${owners[i] ?? ''}${m}${sha256Hex(content)}`)))
  }

  /** The longest recorded prefix of the list with this chain. */
  find(chain: readonly string[]): Base | undefined {
    for (let keep = chain.length; keep > 0; keep--) {
      const base = this.#prefixes.get(chain[keep - 1]!)
      if (base !== undefined) return base
    }
    return undefined
  }

  /** Remembers that `event_id` has the list of this chain, up to `count` elements. `from`: prefixes up to it are known already. */
  remember(chain: readonly string[], event_id: string, from: number, count: number = chain.length): void {
    for (let i = from; i < count; i++) this.#prefixes.set(chain[i]!, { event_id, keep: i + 1 })
    if (this.#prefixes.size <= PREFIXES_KEPT) return
    const kept = [...this.#prefixes].slice(PREFIXES_KEPT / 2)
    this.#prefixes = new Map(kept)
  }
}
