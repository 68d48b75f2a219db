import { describe, expect, test } from 'vitest'
import { testLeaves, testReader } from '../../test/tree-source.ts'
import { fullTileSource, PartialTiles, rootAt, splitPoint, tileHashReader, type NodeId, type TileSource } from './reader.ts'
import { joinHashes } from './tile.ts'
import { TreeEdge, treeRoot } from './tree.ts'

const leaves = testLeaves(66_000)

describe('a reader over full tiles and leaf hashes', () => {
  test('has the root of every earlier size', async () => {
    for (const total of [1, 300, 520]) {
      const reader = testReader(leaves.slice(0, total))
      for (let size = 1; size <= total; size++) expect(await rootAt(reader, size)).toEqual(treeRoot(leaves.slice(0, size)))
    }
    const reader = testReader(leaves)
    for (const size of [65_535, 65_536, 65_537, 65_792, 66_000]) expect(await rootAt(reader, size)).toEqual(treeRoot(leaves.slice(0, size)))
  })

  test('has every node, at every height', async () => {
    const reader = testReader(leaves.slice(0, 1_100))
    for (let height = 0; height <= 10; height++) {
      const span = 2 ** height
      const nodes = Array.from({ length: Math.floor(1_100 / span) }, (_, index) => ({ height, index }))
      expect(await reader.readHashes(nodes)).toEqual(nodes.map(({ index }) => treeRoot(leaves.slice(index * span, (index + 1) * span))))
    }
  })

  test('refuses a node that the tree does not have', async () => {
    const reader = testReader(leaves.slice(0, 300))
    for (const node of [{ height: 0, index: 300 }, { height: 8, index: 1 }, { height: 16, index: 0 }, { height: 0, index: -1 }, { height: 9, index: 0 }, { height: 0.5, index: 0 }, { height: 0, index: NaN }]) {
      await expect(reader.readHashes([node])).rejects.toThrow(RangeError)
    }
    await expect(rootAt(reader, 0)).rejects.toThrow('expected a size from 1')
    await expect(rootAt(reader, 301)).rejects.toThrow(RangeError)
  })
})

test('tiles may be fuller than asked for, and the edge can serve the partial ones', async () => {
  const edge = new TreeEdge()
  const full = edge.append(leaves.slice(0, 700))
  const source: TileSource = {
    readTiles: async (tiles) =>
      tiles.map(({ level, index }) => full.find((tile) => tile.level === level && tile.index === index)?.bytes ?? edge.partialTile(level)),
  }
  for (const size of [1, 256, 300, 513, 700]) expect(await rootAt(tileHashReader(size, source), size)).toEqual(treeRoot(leaves.slice(0, size)))
})

test('a range is read as few perfect subtrees', async () => {
  const asked: string[] = []
  const reader = testReader(leaves.slice(0, 300))
  const spy = { readHashes: (nodes: readonly NodeId[]) => (asked.push(nodes.map(({ height, index }) => `${height}/${index}`).join(' ')), reader.readHashes(nodes)) }
  for (const size of [1, 256, 263]) await rootAt(spy, size)
  expect(asked).toEqual(['0/0', '8/0', '8/0 2/64 1/130 0/262'])
})

test('each tile is read once', async () => {
  const asked: string[] = []
  const inner = fullTileSource(600, { readFullTiles: async (ids) => ids.map(({ index }) => joinHashes(leaves.slice(index * 256, index * 256 + 256))), readLeafHashes: async (from, to) => leaves.slice(from, to) })
  const source: TileSource = { readTiles: (tiles) => (asked.push(...tiles.map(({ level, index }) => `${level}/${index}`)), inner.readTiles(tiles)) }
  await tileHashReader(600, source).readHashes([{ height: 0, index: 0 }, { height: 7, index: 1 }, { height: 8, index: 1 }, { height: 0, index: 5 }])
  expect(asked).toEqual(['0/0', '1/0'])
})

test('a tile that is too short, ragged or missing is a VerifyError', async () => {
  for (const bytes of [new Uint8Array(31), new Uint8Array(255 * 32), new Uint8Array(8_193), undefined]) {
    const source = { readTiles: async () => (bytes === undefined ? [] : [bytes]) }
    await expect(tileHashReader(300, source).readHashes([{ height: 0, index: 3 }])).rejects.toThrow(expect.objectContaining({ code: 'tile_malformed' }))
  }
  const liar = { readHashes: async () => [new Uint8Array(31)] }
  await expect(rootAt(liar, 1)).rejects.toThrow(expect.objectContaining({ code: 'tile_malformed' }))
  await expect(rootAt({ readHashes: async () => [] }, 1)).rejects.toThrow(expect.objectContaining({ code: 'tile_malformed' }))
})

test('a tree splits at the largest power of two below its size, past 2^31 too', () => {
  expect([2, 3, 4, 5, 8, 9].map(splitPoint)).toEqual([1, 2, 2, 4, 4, 8])
  expect(splitPoint(2 ** 31 + 1)).toBe(2 ** 31)
  expect(splitPoint(Number.MAX_SAFE_INTEGER)).toBe(2 ** 52)
})

test('partial tiles that were made are remembered, and go on where they ended', async () => {
  const asked: string[] = []
  const made = new PartialTiles()
  const root = async (size: number): Promise<Uint8Array> => {
    asked.length = 0
    const source = fullTileSource(size, {
      readFullTiles: async (ids) => ids.map(({ level, index }) => (asked.push(`${level}/${index}`), joinHashes(leaves.slice(index * 256, index * 256 + 256)))),
      readLeafHashes: async (from, to) => (asked.push(`${from}-${to}`), leaves.slice(from, to)),
    }, made)
    return rootAt(tileHashReader(size, source), size)
  }
  expect(await root(700)).toEqual(treeRoot(leaves.slice(0, 700)))
  expect(asked).toEqual(['0/0', '0/1', '512-700'])
  expect(await root(700)).toEqual(treeRoot(leaves.slice(0, 700)))
  expect(asked).toEqual([])
  expect(await root(800)).toEqual(treeRoot(leaves.slice(0, 800)))
  expect(asked).toEqual(['0/2', '768-800'])
  // an older size takes less of what is there
  expect(await root(600)).toEqual(treeRoot(leaves.slice(0, 600)))
  expect(asked).toEqual([])
})
