// Cells of the loss tables: who, how it ended, at what pace, and of what was issued, how much arrived.

import type { Contender } from './contender.ts'
import { contenders } from './contenders/all.ts'
import type { Options } from './part.ts'
import { inParallel } from './rounds.ts'
import { end } from './run.ts'
import type { SinkKind } from './sink.ts'
import { ENDINGS, type Ending } from './spec.ts'
import { tableText } from './table.ts'

export type Pace = 'burst' | 'paced'
/** `halves`: acts of which only one half arrived. `why`: there is no figure, and that is why. */
export interface Cell {
  readonly contender: string; readonly sink: SinkKind; readonly ending: Ending; readonly pace: Pace; readonly issued: number
  readonly delivered: number; readonly halves: number; readonly whole: boolean | null; readonly unfinished: boolean; readonly seconds: number; readonly why?: string
}
export interface LossData { readonly burst: number; readonly slowBurst: number; readonly paced: number; readonly everyMs: number; readonly cells: readonly Cell[]; readonly left: number }

export interface Wanted { readonly contender: Contender; readonly sink: SinkKind; readonly ending: Ending }

/** Each at each of the paces, `width` at a time: whoever is paced, or still sends, mostly waits. */
export async function measureLosses({ quick, until }: Options, wanted: readonly Wanted[], paces: readonly Pace[], width: number, keep: (data: LossData, rounds: number) => void): Promise<void> {
  const [burst, slowBurst, paced, everyMs] = quick ? [300, 20, 20, 10] : [5_000, 500, 200, 10]
  const cells: Cell[] = []
  let left = 0
  for (const pace of paces) {
    left += await inParallel(wanted, width, until, async ({ contender, sink, ending }): Promise<Cell> => {
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

/** Those that take part, in each way of ending. */
export function everyEnding({ contenders: taking, quick }: Options): Wanted[] {
  const endings = quick ? (['end', 'throw', 'SIGKILL'] as const) : ENDINGS
  return taking.filter(({ kind }) => kind !== 'neither').flatMap((contender) => endings.map((ending) => ({ contender, sink: 'ok', ending })))
}

/** A row for each contender, a column for each ending. */
export function endingsTable(title: string, { cells, left }: LossData, notes: readonly string[]): string[] {
  const names = contendersOf(cells)
  const broken = cells.filter(({ whole }) => whole === false).length
  return tableText({
    title,
    columns: ['', 'shut down', 'end', 'exit', 'throw', 'rejection', 'SIGTERM', 'SIGINT', 'SIGKILL'],
    rows: names.map(({ name, title }) => [title, ...ENDINGS.map((ending) => cellText(cells.find((cell) => cell.contender === name && cell.ending === ending)))]),
    notes: [...notes, ...(left === 0 ? [] : [`${left} cells were not reached in time.`]), ...(broken === 0 ? [] : [`! in ${broken} cells what was left did not verify.`])],
  })
}

/** In the order of all tables, whoever was done first. */
export function contendersOf(cells: readonly Cell[]): readonly Contender[] {
  return contenders.filter(({ name }) => cells.some(({ contender }) => contender === name))
}

/** "all", or how many arrived; … when it was still sending when its time was over. */
export function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return '·'
  if (cell.why !== undefined) return 'failed'
  return `${cell.delivered === cell.issued ? 'all' : cell.delivered.toLocaleString('en-US')}${cell.unfinished ? ' …' : ''}${cell.whole === false ? '!' : ''}`
}
