// Stored hashes, as proofs need them: a proof first says which nodes it needs, reads them once, then computes (the manner of
// golang.org/x/mod/sumdb/tlog). Nothing here trusts or checks what is read: a proof is worth what its `check…` says against a
// signed root.

import { logFault } from './fault.ts'
import { HASH_BYTES, nodeHash, type Hash } from './hash.ts'
import { treeRoot } from './tree.ts'
import { checkSize, joinHashes, splitHashes, TILE_WIDTH, tileWidth, type TileId } from './tile.ts'

/** A perfect subtree: the root over the 2^height leaves from `index` × 2^height. Height 0 is a leaf hash. */
export interface NodeId {
  readonly height: number
  readonly index: number
}

/** Reads the hashes of perfect subtrees of one tree, in the order asked for. Rejects when one cannot be read. */
export interface HashReader {
  readHashes(nodes: readonly NodeId[]): Promise<Hash[]>
}

/** Reads tiles in the order asked for. A tile may be given fuller than asked for: hashes after `width` are not looked at. */
export interface TileSource {
  readTiles(tiles: readonly TileId[]): Promise<readonly Uint8Array[]>
}

/** The longest proof: a tree of 2^63 leaves has 63 levels. */
export const MAX_PROOF_HASHES = 63

/** A half-open range of leaves, `from` up to but not including `to`, that is a subtree of a tree. */
export interface LeafRange {
  readonly from: number
  readonly to: number
}

/** The largest power of two below `n`, for n from 2: where RFC 6962 splits a tree. No shifts: sizes pass 2^31. */
export function splitPoint(n: number): number {
  let k = 1
  while (2 * k < n) k *= 2
  return k
}

/** The RFC 6962 root of the first `size` leaves, for a size from 1. */
export async function rootAt(reader: HashReader, size: number): Promise<Hash> {
  checkSize(size)
  if (size === 0) throw new RangeError('log: expected a size from 1, got 0; its root is emptyRoot()')
  const [root] = await readRanges(reader, [{ from: 0, to: size }])
  return root!
}

/** The subtree hash of each range, from one read. Ranges are non-empty and subtrees as RFC 6962 splits them. */
export async function readRanges(reader: HashReader, ranges: readonly LeafRange[]): Promise<Hash[]> {
  const needed = ranges.map(nodesOf)
  const hashes = await reader.readHashes(needed.flat())
  const count = needed.reduce((sum, nodes) => sum + nodes.length, 0)
  if (hashes.length !== count || hashes.some((hash) => hash.length !== HASH_BYTES)) {
    throw logFault('tile_malformed', `expected ${count} hashes of ${HASH_BYTES} bytes from the reader`, 'verify the store')
  }
  let at = 0
  return needed.map((nodes) => {
    const part = hashes.slice(at, (at += nodes.length))
    return part.reduceRight((right, left) => nodeHash(left, right))
  })
}

/** The perfect subtrees of a range, left to right and falling in height. */
function nodesOf({ from, to }: LeafRange): NodeId[] {
  const nodes: NodeId[] = []
  for (let at = from; at < to; ) {
    const leaves = splitPoint(to - at + 1) // the largest power of two up to what is left
    nodes.push({ height: Math.log2(leaves), index: at / leaves })
    at += leaves
  }
  return nodes
}

/** A HashReader for a tree of `size` over its tiles. Each tile is read once per call; tiles shorter than asked for are a VerifyError. */
export function tileHashReader(size: number, source: TileSource): HashReader {
  checkSize(size)
  return {
    async readHashes(nodes) {
      const spans = nodes.map((node) => tileSpan(node, size))
      const wanted = new Map(spans.map(({ tile }) => [tileKey(tile), tile]))
      const tiles = await readChecked(source, [...wanted.values()])
      const bytesOf = new Map([...wanted.keys()].map((key, i) => [key, tiles[i]!]))
      return spans.map(({ tile, offset, count }) => subtree(bytesOf.get(tileKey(tile))!, offset, count))
    },
  }
}

/** Where a store that keeps only full tiles gets the rest of a tree from. */
export interface FullTileStore {
  /** The 8,192 bytes of full tiles, in the order asked for. */
  readonly readFullTiles: (tiles: readonly TileId[]) => Promise<readonly Uint8Array[]>
  /** The leaf hashes of the entries from `from` up to but not including `to`, at most 255. */
  readonly readLeafHashes: (from: number, to: number) => Promise<readonly Hash[]>
}

/** How many partial tiles are remembered: those of a tree or two. */
const PARTIALS_KEPT = 16

/** Partial tiles that were made, of one log: what they hold never changes, and one that is wider goes on where the last one ended. */
export class PartialTiles {
  readonly #tiles = new Map<string, Uint8Array>()

  /** The widest that is remembered of this tile, up to its width. */
  get({ level, index, width }: TileId): Uint8Array {
    const bytes = this.#tiles.get(tileKey({ level, index, width }))
    return bytes === undefined ? new Uint8Array() : bytes.subarray(0, width * HASH_BYTES)
  }

  set(tile: TileId, bytes: Uint8Array): void {
    const known = this.#tiles.get(tileKey(tile))
    this.#tiles.delete(tileKey(tile))
    this.#tiles.set(tileKey(tile), known !== undefined && known.length > bytes.length ? known : bytes)
    if (this.#tiles.size > PARTIALS_KEPT) this.#tiles.delete(this.#tiles.keys().next().value!)
  }
}

/**
 * Tiles of a tree of `size` from full tiles and entries: a partial tile is made from the full tiles below it (up to 255 reads and
 * 65,000 hashes, unless `made` remembers it; who has the `TreeEdge` of the tree in memory takes `partialTile` instead).
 */
export function fullTileSource(size: number, store: FullTileStore, made: PartialTiles = new PartialTiles()): TileSource {
  checkSize(size)
  return {
    async readTiles(tiles) {
      const full = tiles.filter((tile) => isFull(tile, size))
      const fullBytes = full.length === 0 ? [] : await store.readFullTiles(full)
      const out: Uint8Array[] = []
      let next = 0
      for (const tile of tiles) out.push(isFull(tile, size) ? fullBytes[next++]! : await makePartial(tile, size, store, made))
      return out
    },
  }
}

async function makePartial({ level, index }: TileId, size: number, store: FullTileStore, made: PartialTiles): Promise<Uint8Array> {
  const width = tileWidth(level, index, size)
  const tile = { level, index, width }
  const known = made.get(tile)
  const have = known.length / HASH_BYTES
  if (have === width) return known
  const from = index * TILE_WIDTH
  const more = level === 0 ? await store.readLeafHashes(from + have, from + width)
    : (await store.readFullTiles(Array.from({ length: width - have }, (_, i) => ({ level: level - 1, index: from + have + i, width: TILE_WIDTH })))).map((bytes) => treeRoot(splitHashes(bytes)))
  const bytes = joinHashes([...splitHashes(known), ...more])
  if (bytes.length === width * HASH_BYTES) made.set(tile, bytes)
  return bytes
}

function isFull({ level, index }: TileId, size: number): boolean {
  return tileWidth(level, index, size) === TILE_WIDTH
}

/** Which hashes of which tile make a node. */
function tileSpan(node: NodeId, size: number): { tile: TileId; offset: number; count: number } {
  const level = Math.floor(node.height / 8)
  const count = 2 ** (node.height % 8)
  const first = node.index * count
  const index = Math.floor(first / TILE_WIDTH)
  const tile = { level, index, width: tileWidth(level, index, size) }
  const offset = first % TILE_WIDTH
  const isNode = Number.isSafeInteger(node.height) && Number.isSafeInteger(first) && first >= 0
  if (!isNode || offset + count > tile.width) {
    throw new RangeError(`log: expected a node of a tree of ${size}, got height ${node.height} index ${node.index}`)
  }
  return { tile, offset, count }
}

function tileKey({ level, index }: TileId): string {
  return `${level}/${index}`
}

async function readChecked(source: TileSource, tiles: readonly TileId[]): Promise<readonly Uint8Array[]> {
  const bytes = await source.readTiles(tiles)
  tiles.forEach(({ level, index, width }, i) => {
    const got = bytes[i]?.length ?? 0
    if (got < width * HASH_BYTES || got % HASH_BYTES !== 0) {
      const message = `expected at least ${width * HASH_BYTES} bytes of tile ${level}/${index}, got ${got}`
      throw logFault('tile_malformed', message, 'verify the store, or read the tile from another copy')
    }
  })
  return bytes
}

/** The root over `count` hashes of a tile. A copy when it is a single one, so that no proof keeps a whole tile in memory. */
function subtree(tile: Uint8Array, offset: number, count: number): Hash {
  return treeRoot(splitHashes(tile.slice(offset * HASH_BYTES, (offset + count) * HASH_BYTES)))
}
