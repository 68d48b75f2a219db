// Proofs of a stored log: its tiles, the partial ones made from entries, and that an event is in it.

import { VerifyError } from '../base/errors.ts'
import { leafHash } from '../log/hash.ts'
import { proveInclusion } from '../log/inclusion.ts'
import { formatProof } from '../log/proof.ts'
import { fullTileSource, tileHashReader, type PartialTiles } from '../log/reader.ts'
import type { StoreView } from '../store/contract.ts'

/** The tiles of a stored log of `size`, partial ones made from entries. */
export function storeTiles(view: Pick<StoreView, 'tile' | 'entries'>, size: number, made?: PartialTiles): ReturnType<typeof fullTileSource> {
  return fullTileSource(size, {
    readFullTiles: async (tiles) => Promise.all(tiles.map(async ({ level, index }) => {
      const bytes = await view.tile(level, index)
      if (bytes === undefined) throw new VerifyError('tile_missing', `ledger: tile ${level}/${index} is not there`, 'run counterfoil verify')
      return bytes
    })),
    readLeafHashes: async (from, to) => (await view.entries(from, to)).map((row) => leafHash(row.entry)),
  }, made)
}

/** The C2SP tlog-proof of an event under the newest checkpoint; undefined when there is no such event. `made` is kept by who proves more than once. */
export async function proofOf(view: StoreView, event_id: string, made?: PartialTiles): Promise<string | undefined> {
  const [row, head] = [(await view.findEvents([event_id]))[0], await view.head()]
  if (row === undefined || head === undefined) return undefined
  const proof = await proveInclusion(tileHashReader(head.size, storeTiles(view, head.size, made)), row.index, head.size)
  return formatProof({ index: row.index, proof, checkpoint: head.checkpoint })
}
