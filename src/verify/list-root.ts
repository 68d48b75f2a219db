// The root of a list as its entry states it: RFC 6962 over the commitments in order. A conversation grows at its end, so the tree of
// a recent list is kept and only what is added is hashed. For a list whose base was cut, or is no recent one, perfect subtrees of 16 elements
// and more are kept and shared: whoever wrote the log can have it cut a long list ten thousand times, and each time costs what it adds.

import { fromBase64 } from '../base/bytes.ts'
import { elementsOf, type ListIndex, type ListNode } from '../event/list.ts'
import { leafHashText, nodeHashText, type HashText } from '../log/hash.ts'
import { Frontier, frontierRootText, treeRootText } from '../log/tree.ts'

/** Of how many recent lists of a session the tree is kept. */
const RECENT = 8
const BLOCK = 16
const EMPTY = new Frontier()

/** A perfect subtree of a power of two of blocks; of more than one block, with its halves. */
interface Perfect { readonly hash: HashText; readonly blocks: number; readonly halves?: readonly [Perfect, Perfect] }

/** The leaf of a list's element: what the index keeps of it, since nothing else is asked for. */
export function leafOf({ c }: { readonly c: string }): HashText {
  return leafHashText(fromBase64(c))
}

/** A list's change; `add` as leaves. */
export interface LeafChange { readonly base?: number; readonly keep?: number; readonly add: readonly HashText[] }

/** The list roots of one session. */
export class ListRoots {
  readonly #lists: ListIndex<HashText>
  readonly #recent: { readonly seq: number; readonly slot: string; readonly tree: Frontier }[] = []
  /** the whole blocks of a list, as perfect subtrees, the largest first */
  readonly #forests = new Map<ListNode<HashText>, readonly Perfect[]>()

  constructor(lists: ListIndex<HashText>) {
    this.#lists = lists
  }

  /** The root of the list `slot` that entry `seq` makes by `change`, whose base must be in the index. Costs what is added, over all lists of the session. */
  root(seq: number, slot: string, { base, keep = 0, add }: LeafChange): HashText {
    const kept = base === undefined ? undefined : this.#recentOf(base, slot)
    if (base !== undefined && keep > 0 && kept?.size !== keep) return this.#rootOver(base, slot, keep, add)
    const tree = (kept?.size === keep ? kept : EMPTY).with(add)
    this.#recent.push({ seq, slot, tree })
    if (this.#recent.length > RECENT) this.#recent.shift()
    return tree.root()
  }

  #recentOf(seq: number, slot: string): Frontier | undefined {
    for (let i = this.#recent.length - 1; i >= 0; i--) {
      const list = this.#recent[i]!
      if (list.seq === seq && list.slot === slot) return list.tree
    }
    return undefined
  }

  #rootOver(base: number, slot: string, keep: number, add: readonly HashText[]): HashText {
    const list = this.#lists.list(base, slot)
    if (list === undefined || keep > list.count) return treeRootText([...this.#lists.refs(base, slot).slice(0, keep), ...add])
    const { forest, tail } = grown(first(this.#forestOf(list), Math.floor(keep / BLOCK)), [...elementsOf(list, keep - (keep % BLOCK), keep), ...add])
    const rest = tail.length === 0 && forest.length > 0 ? [] : [treeRootText(tail)]
    return frontierRootText([...forest.map(({ hash }) => hash), ...rest])
  }

  /** Each list's once, on top of its base's: from the last one that is known upwards, since a chain may be longer than a stack. */
  #forestOf(list: ListNode<HashText>): readonly Perfect[] {
    const unknown: ListNode<HashText>[] = []
    for (let node: ListNode<HashText> | undefined = list; node !== undefined && !this.#forests.has(node); node = node.base) unknown.push(node)
    for (const node of unknown.reverse()) {
      const { base, keep, add } = node
      const below = base === undefined ? [] : first(this.#forests.get(base)!, Math.floor(keep / BLOCK))
      const between = base === undefined ? [] : elementsOf(base, keep - (keep % BLOCK), keep)
      this.#forests.set(node, grown(below, [...between, ...add]).forest)
    }
    return this.#forests.get(list)!
  }
}

/** The first `blocks` of a forest, of which there are so many. */
function first(forest: readonly Perfect[], blocks: number): Perfect[] {
  const out: Perfect[] = []
  let left = blocks
  for (let tree of forest) {
    while (left > 0 && tree.blocks > left) {
      const [low, high] = tree.halves!
      if (low.blocks > left) {
        tree = low
        continue
      }
      out.push(low)
      left -= low.blocks
      tree = high
    }
    if (left === 0) break
    out.push(tree)
    left -= tree.blocks
  }
  return out
}

/** A forest with more elements at its end; `tail` are those that fill no block. */
function grown(forest: Perfect[], leaves: readonly HashText[]): { forest: Perfect[]; tail: readonly HashText[] } {
  const whole = leaves.length - (leaves.length % BLOCK)
  for (let at = 0; at < whole; at += BLOCK) {
    let tree: Perfect = { hash: treeRootText(leaves.slice(at, at + BLOCK)), blocks: 1 }
    for (let low = forest.at(-1); low?.blocks === tree.blocks; low = forest.at(-1)) {
      tree = { hash: nodeHashText(low.hash, tree.hash), blocks: 2 * tree.blocks, halves: [low, tree] }
      forest.pop()
    }
    forest.push(tree)
  }
  return { forest, tail: leaves.slice(whole) }
}
