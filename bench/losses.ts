// Cells of the loss tables: who, how it ended, at what pace, and of what was issued, how much arrived.

import type { Contender } from './contender.ts'
import type { Options } from './part.ts'
import { inParallel } from './rounds.ts'
import { end } from './run.ts'
import type { SinkKind } from './sink.ts'
import type { Ending } from './spec.ts'

export type Pace = 'burst' | 'paced'
/** `halves`: acts of which only one half arrived. `why`: there is no figure, and that is why. */
export interface Cell {
  readonly contender: string; readonly sink: SinkKind; readonly ending: Ending; readonly pace: Pace; readonly issued: number
  readonly delivered: number; readonly halves: number; readonly whole: boolean | null; readonly unfinished: boolean; readonly seconds: number; readonly why?: string
}
export interface LossData { readonly burst: number; readonly slowBurst: number; readonly paced: number; readonly everyMs: number; readonly cells: readonly Cell[]; readonly left: number }

export interface Wanted { readonly contender: Contender; readonly sink: SinkKind; readonly ending: Ending }

/** Bursts first, then the paced ones, which mostly wait: so many at a time. Whoever still sends after its time only waits, too. */
export async function measureLosses({ quick, until }: Options, wanted: readonly Wanted[], width: { readonly [pace in Pace]: number }, keep: (data: LossData, rounds: number) => void): Promise<void> {
  const [burst, slowBurst, paced, everyMs] = quick ? [300, 20, 20, 10] : [5_000, 500, 200, 10]
  const cells: Cell[] = []
  let left = 0
  for (const pace of ['burst', 'paced'] as const) {
    left += await inParallel(wanted, width[pace], until, async ({ contender, sink, ending }): Promise<Cell> => {
      const issued = pace === 'paced' ? paced : contender.slow === true ? slowBurst : burst
      const cell = { contender: contender.name, sink, ending, pace, issued }
      try {
        return { ...cell, ...(await end(contender, { mode: 'ending', load: 'model', count: issued, everyMs: pace === 'paced' ? everyMs : 0, ending, sessions: 1, seed: 400 }, sink)) }
      } catch (error) {
        return { ...cell, delivered: 0, halves: 0, whole: null, unfinished: false, seconds: 0, why: (error as Error).message }
      }
    }, (cell) => {
      process.stderr.write(`  ${cell.contender}, ${cell.sink}, ${cell.pace}, ${cell.ending}: ${cell.why ?? `${cell.delivered} of ${cell.issued}${cell.unfinished ? ', still sending' : ''}`}\n`)
      cells.push(cell)
      keep({ burst, slowBurst, paced, everyMs, cells, left }, 1)
    })
  }
  keep({ burst, slowBurst, paced, everyMs, cells, left }, 1)
}

/** "all", or how many arrived; … when it was still sending when its time was over. */
export function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return '·'
  if (cell.why !== undefined) return 'failed'
  return `${cell.delivered === cell.issued ? 'all' : cell.delivered.toLocaleString('en-US')}${cell.unfinished ? ' …' : ''}${cell.whole === false ? '!' : ''}`
}
