// The RFC 6962 tree over hashes, and its growing right edge. A tree is never rebuilt from all leaves to append: the edge keeps one
// hash per perfect subtree (at most 53) for the root, and the not yet full tile of each level for the tiles to come.

import { emptyRoot, emptyRootText, HASH_BYTES, nodeHash, nodeHashText, type Hash, type HashText } from './hash.ts'
import { checkSize, joinHashes, splitHashes, TILE_BYTES, TILE_WIDTH, type TileId } from './tile.ts'

/** MTH of RFC 6962 §2.1 over leaf hashes in order; the empty root for none. Costs one node hash per leaf. */
export function treeRoot(leafHashes: readonly Hash[]): Hash {
  const frontier: Hash[] = []
  for (let i = 0; i < leafHashes.length; i++) pushTo(frontier, i, leafHashes[i]!)
  return frontierRoot(frontier)
}

/** A tile that is complete and will never change. `bytes` is its 256 hashes, 8,192 bytes. */
export interface FullTile {
  readonly level: number
  readonly index: number
  readonly bytes: Uint8Array
}

/** What `TreeEdge.restore` needs of a stored log. */
export interface StoredEdge {
  readonly size: number
  /** The 8,192 bytes of a full tile; asked for exactly the tiles of `edgeTiles(size)`. */
  readonly tile: (level: number, index: number) => Uint8Array
  /** The leaf hashes of the newest `size % 256` entries, in order. */
  readonly leafHashes: readonly Hash[]
}

/** The full tiles that `TreeEdge.restore` reads for a tree of `size`: at most 255 a level. */
export function edgeTiles(size: number): TileId[] {
  checkSize(size)
  const tiles: TileId[] = []
  for (let level = 0, full = Math.floor(size / TILE_WIDTH); full > 0; level++) {
    for (let index = full - (full % TILE_WIDTH); index < full; index++) tiles.push({ level, index, width: TILE_WIDTH })
    full = Math.floor(full / TILE_WIDTH)
  }
  return tiles
}

/**
 * The right edge of a tree: what must be in memory to append. Appending costs one node hash a leaf on average, a root at most 52.
 * Append to a `clone()` inside a transaction and keep it after the commit; when another process moved the log, append the
 * leaf hashes of its entries (their tiles are stored already), or `restore` again. Neither checks: compare `root()` with the checkpoint.
 */
export class TreeEdge {
  #size = 0
  /** Roots of the perfect subtrees, largest first: one for each 1 in the binary size. */
  #frontier: Hash[] = []
  /** Per level the hashes of its last, partial tile: 0 to 255. */
  #partials: Hash[][] = []

  /** How many leaves the tree has. */
  get size(): number {
    return this.#size
  }

  /** The edge of a stored tree. Throws a RangeError for an impossible size, a tile of another length or another count of leaf hashes. */
  static restore(stored: StoredEdge): TreeEdge {
    checkSize(stored.size)
    const edge = new TreeEdge()
    edge.#size = stored.size
    edge.#partials = [checkHashes(stored.leafHashes, stored.size % TILE_WIDTH)]
    for (let full = Math.floor(stored.size / TILE_WIDTH); full > 0; full = Math.floor(full / TILE_WIDTH)) edge.#partials.push([])
    for (const { level, index } of edgeTiles(stored.size)) {
      edge.#partials[level + 1]!.push(treeRoot(splitHashes(checkFull(stored.tile(level, index)))))
    }
    edge.#frontier = frontierOf(edge.#partials)
    return edge
  }

  /** An independent copy; costs a few hundred pointers. */
  clone(): TreeEdge {
    const copy = new TreeEdge()
    copy.#size = this.#size
    copy.#frontier = this.#frontier.slice()
    copy.#partials = this.#partials.map((hashes) => hashes.slice())
    return copy
  }

  /** Appends leaf hashes in order and returns the tiles that became full by it, children before parents. Keeps the given arrays. */
  append(leafHashes: readonly Hash[]): FullTile[] {
    checkSize(this.#size + leafHashes.length)
    checkHashes(leafHashes, leafHashes.length)
    const full: FullTile[] = []
    for (const hash of leafHashes) this.#appendOne(hash, full)
    return full
  }

  /** As `append` of one leaf hash, without its arrays. */
  appendLeaf(leafHash: Hash): readonly FullTile[] {
    checkSize(this.#size + 1)
    if (leafHash.length !== HASH_BYTES) checkHashes([leafHash], 1)
    const partial = this.#partials[0]
    if (partial === undefined || partial.length === TILE_WIDTH - 1) {
      const full: FullTile[] = []
      this.#appendOne(leafHash, full)
      return full
    }
    pushTo(this.#frontier, this.#size++, leafHash)
    partial.push(leafHash)
    return NONE
  }

  /** The RFC 6962 root at this size. */
  root(): Hash {
    return frontierRoot(this.#frontier)
  }

  /** The hashes of the partial tile at `level`, `floor(size / 256^level) % 256` times 32 bytes: what `tlog-tiles` serves as `.p/W`. */
  partialTile(level: number): Uint8Array {
    return joinHashes(this.#partials[level] ?? [])
  }

  #appendOne(leaf: Hash, full: FullTile[]): void {
    const merged = pushLeaf(this.#frontier, this.#size, leaf)
    this.#size++
    // A perfect subtree of 256^level leaves is a hash of that level's tile; a level gets one only when the tile below became full.
    for (let level = 0, count = this.#size; ; level++, count /= TILE_WIDTH) {
      const partial = (this.#partials[level] ??= [])
      partial.push(merged[8 * level]!)
      if (partial.length < TILE_WIDTH) return
      full.push({ level, index: count / TILE_WIDTH - 1, bytes: joinHashes(partial) })
      this.#partials[level] = []
    }
  }
}

const NONE: readonly FullTile[] = []

/** A tree that only grows at its end, and is asked for nothing but its root: cheap to make out of a smaller one. */
export class Frontier {
  readonly size: number
  readonly #hashes: readonly HashText[]

  constructor(size = 0, hashes: readonly HashText[] = []) {
    this.size = size
    this.#hashes = hashes
  }

  /** This with more leaf hashes at its end. */
  with(leaves: readonly HashText[]): Frontier {
    const hashes = this.#hashes.slice()
    let { size } = this
    for (const leaf of leaves) {
      let hash = leaf
      for (let rest = size++; rest % 2 === 1; rest = (rest - 1) / 2) hash = nodeHashText(hashes.pop()!, hash)
      hashes.push(hash)
    }
    return new Frontier(size, hashes)
  }

  root(): HashText {
    return frontierRootText(this.#hashes)
  }
}

/** `treeRoot` of texts. */
export function treeRootText(leaves: readonly HashText[]): HashText {
  return new Frontier().with(leaves).root()
}

/** The root over perfect subtrees, the largest first. */
export function frontierRootText(frontier: readonly HashText[]): HashText {
  if (frontier.length === 0) return emptyRootText()
  let root = frontier.at(-1)!
  for (let i = frontier.length - 2; i >= 0; i--) root = nodeHashText(frontier[i]!, root)
  return root
}

/** Adds the leaf at `index` to a frontier. */
function pushTo(frontier: Hash[], index: number, leaf: Hash): void {
  let hash = leaf
  for (let rest = index; rest % 2 === 1; rest = (rest - 1) / 2) hash = nodeHash(frontier.pop()!, hash)
  frontier.push(hash)
}

/** Adds the leaf at `index` to a frontier; returns the perfect subtrees that end with it, by height from 0. */
function pushLeaf(frontier: Hash[], index: number, leaf: Hash): Hash[] {
  const merged = [leaf]
  let hash = leaf
  for (let rest = index; rest % 2 === 1; rest = (rest - 1) / 2) {
    hash = nodeHash(frontier.pop()!, hash)
    merged.push(hash)
  }
  frontier.push(hash)
  return merged
}

function frontierRoot(frontier: readonly Hash[]): Hash {
  if (frontier.length === 0) return emptyRoot()
  return frontier.reduceRight((right, left) => nodeHash(left, right))
}

/** The frontier of a tree from its partial tiles: within each tile the perfect subtrees of its own hashes, higher levels first. */
function frontierOf(partials: readonly (readonly Hash[])[]): Hash[] {
  const frontier: Hash[] = []
  for (const partial of partials.toReversed()) {
    const inTile: Hash[] = []
    partial.forEach((hash, i) => pushLeaf(inTile, i, hash))
    frontier.push(...inTile)
  }
  return frontier
}

function checkHashes(hashes: readonly Hash[], count: number): Hash[] {
  if (hashes.length !== count) throw new RangeError(`log: expected ${count} leaf hashes, got ${hashes.length}`)
  const bad = hashes.findIndex((hash) => hash.length !== HASH_BYTES)
  if (bad !== -1) throw new RangeError(`log: expected hashes of ${HASH_BYTES} bytes, got ${hashes[bad]!.length} at ${bad}`)
  return hashes.slice()
}

function checkFull(tile: Uint8Array): Uint8Array {
  if (tile.length !== TILE_BYTES) throw new RangeError(`log: expected a tile of ${TILE_BYTES} bytes, got ${tile.length}`)
  return tile
}
