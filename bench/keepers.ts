// Who keeps its events is decided by the two tables of losses of the same reading, and by nothing else.

import type { LossData } from './losses.ts'
import type { Reading } from './measured.ts'

/** `all`: everything arrived in every cell, and verifies where it can be verified; `unknown`: a cell has no figure. */
export type Keeps = 'all' | 'loses' | 'unknown'

/** By contender; undefined where no losses were measured. */
export function keeping({ parts }: Reading): ReadonlyMap<string, Keeps> | undefined {
  const cells = ['loss', 'paced'].flatMap((name) => (parts[name]?.data as LossData | undefined)?.cells ?? [])
  if (cells.length === 0) return undefined
  return new Map([...Map.groupBy(cells, ({ contender }) => contender)].map(([name, cells]) => {
    const lost = cells.some(({ why, delivered, issued, unfinished, whole }) => why === undefined && (delivered < issued || unfinished || whole === false))
    return [name, lost ? 'loses' : cells.some(({ why }) => why !== undefined) ? 'unknown' : 'all']
  }))
}
