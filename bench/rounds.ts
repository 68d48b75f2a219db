// Contenders take turns, and in each round another one begins: what disturbs the machine for a while disturbs all of them.

import type { Contender } from './contender.ts'
import type { Options } from './part.ts'

/** Why a contender has no figures, by name. */
export type Failures = { [contender: string]: string }

/** `measure` is called once for each contender and round; whoever fails twice is left out from then on. After each round, `done` with how many there were. */
export async function inRounds(
  { rounds, until }: Options, contenders: readonly Contender[], failures: Failures, measure: (contender: Contender, round: number) => Promise<void>, done: (rounds: number) => void,
): Promise<void> {
  const failed = new Map<string, number>()
  for (let round = 0; round < rounds && (round === 0 || performance.now() < until); round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const contender = contenders[(turn + round) % contenders.length]!
      if ((failed.get(contender.name) ?? 0) > 1) continue
      process.stderr.write(`  round ${round + 1} of ${rounds}: ${contender.title}\n`)
      try {
        await measure(contender, round)
      } catch (error) {
        failed.set(contender.name, (failed.get(contender.name) ?? 0) + 1)
        failures[contender.name] = (error as Error).message
        process.stderr.write(`  ${contender.name} failed: ${(error as Error).message}\n`)
      }
    }
    done(round + 1)
  }
}

/** Runs the cells of a table, `width` at a time, each with its own failure; cells that would begin too late are left out. */
export async function inParallel<Cell, Result>(cells: readonly Cell[], width: number, until: number, run: (cell: Cell) => Promise<Result>, done: (result: Result) => void): Promise<number> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < cells.length && performance.now() < until) done(await run(cells[next++]!))
  }
  await Promise.all(Array.from({ length: width }, lane))
  return cells.length - next
}
