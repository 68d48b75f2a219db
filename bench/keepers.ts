// Who keeps its events is decided by the table of losses of the same reading, and by nothing else.

import type { LossData } from './losses.ts'
import type { Reading } from './reading.ts'

/** Those of whom everything arrived in every cell; undefined where no losses were measured. */
export function keepers({ parts }: Reading): ReadonlySet<string> | undefined {
  const data = parts['loss']?.data as LossData | undefined
  if (data === undefined) return undefined
  const names = new Set(data.cells.map(({ contender }) => contender))
  for (const { contender, delivered, issued, unfinished, whole } of data.cells) if (delivered < issued || unfinished || whole === false) names.delete(contender)
  return names
}
