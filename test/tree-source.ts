// A small tree in memory, for tests: its leaf hashes, and readers over what a store would keep of it.

import { utf8 } from '../src/base/bytes.ts'
import { leafHash, type Hash } from '../src/log/hash.ts'
import { fullTileSource, tileHashReader, type HashReader } from '../src/log/reader.ts'
import { TreeEdge } from '../src/log/tree.ts'

/** `count` different leaf hashes. */
export function testLeaves(count: number): Hash[] {
  return Array.from({ length: count }, (_, i) => leafHash(utf8(`entry ${i}`)))
}

/** A reader of the tree of `leaves`, over full tiles and leaf hashes only. */
export function testReader(leaves: readonly Hash[]): HashReader {
  const tiles = new Map(new TreeEdge().append(leaves).map(({ level, index, bytes }) => [`${level}/${index}`, bytes]))
  const source = fullTileSource(leaves.length, {
    readFullTiles: async (ids) => ids.map(({ level, index }) => tiles.get(`${level}/${index}`)!),
    readLeafHashes: async (from, to) => leaves.slice(from, to),
  })
  return tileHashReader(leaves.length, source)
}
