// The root of a list as its entry states it: RFC 6962 over the commitments in order. A conversation grows at its end, so the tree edge of
// a recent list is kept and only what is added is hashed.

import { fromBase64 } from '../base/bytes.ts'
import type { ListChange } from '../event/entry.ts'
import type { ListIndex } from '../event/list.ts'
import { leafHash, type Hash } from '../log/hash.ts'
import { TreeEdge } from '../log/tree.ts'

/** How many recent lists of a session keep their edge. */
const EDGES_KEPT = 8

/** The list roots of one session. */
export class ListRoots {
  readonly #lists: ListIndex
  readonly #edges = new Map<string, TreeEdge>()

  constructor(lists: ListIndex) {
    this.#lists = lists
  }

  /** The root of the list `slot` that entry `seq` makes by `change`, whose base must be in the index. Costs what is added when the base is recent and kept whole, else its length. */
  root(seq: number, slot: string, change: Pick<ListChange, 'base' | 'keep' | 'add'>): Hash {
    const { base, keep = 0, add } = change
    const kept = base === undefined ? undefined : this.#edges.get(`${base}/${slot}`)
    const edge = kept?.size === keep ? kept.clone() : new TreeEdge()
    if (edge.size === 0 && base !== undefined && keep > 0) edge.append(this.#lists.refs(base, slot).slice(0, keep).map(leafOf))
    edge.append(add.map(leafOf))
    this.#edges.set(`${seq}/${slot}`, edge)
    if (this.#edges.size > EDGES_KEPT) this.#edges.delete(this.#edges.keys().next().value!)
    return edge.root()
  }
}

function leafOf({ c }: { readonly c: string }): Hash {
  return leafHash(fromBase64(c))
}
