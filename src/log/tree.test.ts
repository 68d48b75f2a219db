import { describe, expect, test } from 'vitest'
import { toHex, utf8 } from '../base/bytes.ts'
import { emptyRoot, hashOfText, leafHash, nodeHash, type Hash } from './hash.ts'
import { tilesOf, tileWidth } from './tile.ts'
import { edgeTiles, Frontier, TreeEdge, treeRoot, type FullTile } from './tree.ts'

const MAX = process.env.SLOW ? 1_100 : 600

const leaves = Array.from({ length: 70_000 }, (_, i) => leafHash(utf8(`entry ${i}`)))

/** RFC 6962 §2.1, as written there. */
function mth(hashes: readonly Hash[]): Hash {
  if (hashes.length === 0) return emptyRoot()
  if (hashes.length === 1) return hashes[0]!
  let k = 1
  while (k * 2 < hashes.length) k *= 2
  return nodeHash(mth(hashes.slice(0, k)), mth(hashes.slice(k)))
}

describe('hashes', () => {
  test('are those of RFC 6962', () => {
    expect(toHex(emptyRoot())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(toHex(leafHash(new Uint8Array()))).toBe('6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d')
    expect(toHex(nodeHash(leafHash(new Uint8Array()), leafHash(new Uint8Array([0]))))).toBe(
      'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    )
  })

  test('of a view cover the view, not the buffer behind it', () => {
    const buffer = new Uint8Array([9, 9, 1, 2, 3, 9])
    expect(leafHash(buffer.subarray(2, 5))).toEqual(leafHash(new Uint8Array([1, 2, 3])))
  })

  test('are not shared between calls', () => {
    const first = nodeHash(leaves[0]!, leaves[1]!)
    const copy = first.slice()
    nodeHash(leaves[2]!, leaves[3]!)
    expect(first).toEqual(copy)
  })
})

test('treeRoot is MTH at every size', () => {
  for (let size = 0; size <= MAX; size++) expect(treeRoot(leaves.slice(0, size))).toEqual(mth(leaves.slice(0, size)))
})

describe('the edge', () => {
  test('has the root of every size while it grows', () => {
    const edge = new TreeEdge()
    expect(edge.root()).toEqual(emptyRoot())
    for (let size = 1; size <= MAX; size++) {
      edge.append([leaves[size - 1]!])
      expect(edge.size).toBe(size)
      expect(edge.root()).toEqual(mth(leaves.slice(0, size)))
    }
  })

  test('yields each full tile once, children before parents, whatever the batches', () => {
    for (const batch of [1, 255, 257, 70_000]) {
      const { tiles, edge } = grow(70_000, batch)
      expect(tiles.map(({ level, index }) => `${level}/${index}`).sort()).toEqual(
        [...tilesOf(70_000)].filter(({ width }) => width === 256).map(({ level, index }) => `${level}/${index}`).sort(),
      )
      expect(edge.root()).toEqual(mth(leaves))
      for (const { level, index, bytes } of tiles) if (level > 0 || index % 37 === 0) expect(bytes).toEqual(tileBytes(level, index))
      expect(tiles.findIndex(({ level }) => level === 1)).toBe(256) // right after its 256 children
    }
  })

  test('holds the partial tile of each level', () => {
    const { edge } = grow(70_000, 70_000)
    expect(edge.partialTile(0)).toEqual(tileBytes(0, 273))
    expect(edge.partialTile(1)).toEqual(tileBytes(1, 1))
    expect(edge.partialTile(2)).toEqual(tileBytes(2, 0))
    expect([0, 1, 2, 3].map((level) => edge.partialTile(level).length / 32)).toEqual([112, 17, 1, 0])
  })

  test('restored from full tiles and the last leaf hashes is the edge that grew', () => {
    for (const size of [0, 1, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 66_000]) {
      const { edge, tiles } = grow(size, 70_000)
      const restored = restore(size, tiles)
      expect(restored.root()).toEqual(edge.root())
      for (const level of [0, 1, 2, 3]) expect(restored.partialTile(level)).toEqual(edge.partialTile(level))
      const more = leaves.slice(size, size + 700)
      expect(restored.append(more)).toEqual(edge.append(more))
      expect(restored.root()).toEqual(edge.root())
    }
  })

  test('a clone goes its own way, and a failed append is undone by dropping it', () => {
    const edge = grow(300, 300).edge
    const before = edge.root()
    const clone = edge.clone()
    clone.append(leaves.slice(300, 900))
    expect([edge.size, edge.root(), edge.partialTile(0).length]).toEqual([300, before, 44 * 32])
    expect(edge.append(leaves.slice(300, 900)).length).toBe(2)
    expect(edge.root()).toEqual(clone.root())
  })

  test('says what is wrong with what it is given', () => {
    const { tiles } = grow(600, 600)
    expect(() => new TreeEdge().append([new Uint8Array(31)])).toThrow('expected hashes of 32 bytes, got 31 at 0')
    expect(() => TreeEdge.restore({ size: 2 ** 53, tile: () => new Uint8Array(), leafHashes: [] })).toThrow(RangeError)
    expect(() => TreeEdge.restore({ size: 3, tile: () => new Uint8Array(), leafHashes: leaves.slice(0, 2) })).toThrow('expected 3 leaf hashes, got 2')
    expect(() => TreeEdge.restore({ size: 512, tile: () => tiles[0]!.bytes.subarray(32), leafHashes: [] })).toThrow('expected a tile of 8192 bytes')
  })
})

test('a wrong tile or leaf hash shows in the root', () => {
  const { tiles, edge } = grow(600, 600)
  for (const bad of [0, 255 * 32, 8_191]) {
    const forged = tiles.map((tile) => ({ ...tile, bytes: tile.bytes.slice() }))
    forged[0]!.bytes[bad]! ^= 1
    expect(restore(600, forged).root()).not.toEqual(edge.root())
  }
})

test('edgeTiles names the full tiles under each partial one', () => {
  expect(edgeTiles(255)).toEqual([])
  expect(edgeTiles(512).map(({ level, index }) => [level, index])).toEqual([[0, 0], [0, 1]])
  expect(edgeTiles(65_536).map(({ level, index }) => [level, index])).toEqual([[1, 0]])
  expect(edgeTiles(65_536 + 300).map(({ level, index }) => [level, index])).toEqual([[0, 256], [1, 0]])
})

test('an edge that takes leaf by leaf is the one that takes them at once, with the same tiles', () => {
  const single = new TreeEdge()
  const tiles: FullTile[] = []
  for (const leaf of leaves.slice(0, 66_000)) tiles.push(...single.appendLeaf(leaf))
  const { edge, tiles: expected } = grow(66_000, 1_000)
  expect(tiles.length).toBe(258)
  expect(tiles).toEqual(expected)
  expect(single.root()).toEqual(edge.root())
  for (const level of [0, 1, 2]) expect(single.partialTile(level)).toEqual(edge.partialTile(level))
  expect(() => single.appendLeaf(new Uint8Array(31))).toThrow(RangeError)
})

test('a frontier has the root of its leaves, and growing it leaves it as it is', () => {
  const texts = leaves.slice(0, 60).map((leaf) => String.fromCharCode(...leaf))
  for (let size = 0; size < 40; size++) {
    const tree = new Frontier().with(texts.slice(0, size))
    for (let more = 0; more < 20; more++) expect(hashOfText(tree.with(texts.slice(size, size + more)).root())).toEqual(mth(leaves.slice(0, size + more)))
    expect(hashOfText(tree.root())).toEqual(mth(leaves.slice(0, size)))
    expect(tree.size).toBe(size)
  }
})

function grow(size: number, batch: number): { edge: TreeEdge; tiles: FullTile[] } {
  const edge = new TreeEdge()
  const tiles: FullTile[] = []
  for (let from = 0; from < size; from += batch) tiles.push(...edge.append(leaves.slice(from, Math.min(size, from + batch))))
  return { edge, tiles }
}

function restore(size: number, tiles: readonly FullTile[]): TreeEdge {
  const tile = (level: number, index: number): Uint8Array => tiles.find((one) => one.level === level && one.index === index)!.bytes
  return TreeEdge.restore({ size, tile, leafHashes: leaves.slice(size - (size % 256), size) })
}

function tileBytes(level: number, index: number): Uint8Array {
  const span = 256 ** level
  const width = tileWidth(level, index, 70_000)
  const hashes = Array.from({ length: width }, (_, i) => (index * 256 + i) * span).map((from) => treeRoot(leaves.slice(from, from + span)))
  return Uint8Array.from(hashes.flatMap((hash) => [...hash]))
}
