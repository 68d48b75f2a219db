// A conversation of 100 steps, sent whole at each step; and with it, in one table, the loads besides the 5 KB act.

import { contenderNamed } from '../contenders/all.ts'
import type { CallerData } from '../callers.ts'
import { failedRows } from '../failed.ts'
import type { Options, Part } from '../part.ts'
import type { Reading } from '../measured.ts'
import { inRounds, type Failures } from '../rounds.ts'
import { measure } from '../run.ts'
import { median, quantile, spread } from '../statistics.ts'
import { figure, tableText } from '../table.ts'

interface Figures {
  /** µs a step, the median of a round's steps. */
  readonly p50: number[]
  readonly p99: number[]
  /** All steps' recording against one JSON.stringify of each step's request. */
  readonly stringify: number[]
  /** The requests as JSON against the bytes kept or sent. */
  readonly smaller: number[]
}
export interface GrowingData { readonly steps: number; readonly figures: { readonly [contender: string]: Figures }; readonly failures: Failures }

async function run(options: Options, keep: (data: GrowingData, rounds: number) => void): Promise<void> {
  const steps = options.quick ? 20 : 100
  const figures: { [contender: string]: Figures } = {}
  const failures: Failures = {}
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
  await inRounds(options, options.contenders.filter(({ program }) => program === undefined), failures, async (contender, round) => {
    const { result, bytes, sink } = await measure(contender, { mode: 'growing', steps, sessions: 1, seed: 300 + round })
    const mine = (figures[contender.name] ??= { p50: [], p99: [], stringify: [], smaller: [] })
    mine.p50.push(quantile(result.caller, 0.5))
    mine.p99.push(quantile(result.caller, 0.99))
    mine.stringify.push(sum(result.caller) / sum(result.stringify))
    mine.smaller.push(result.full / (sink === null ? bytes : bytes / 3)) // the sink got the two conversations before it, too
  }, (rounds) => keep({ steps, figures, failures }, rounds))
}

const SHOWN = ['tool', 'context', 'sessions'] as const

export const part: Part = {
  order: 33,
  about: 'a conversation of 100 steps: bytes against logging it in full, time against one JSON.stringify',
  run,
  show({ steps, figures, failures }: GrowingData, { parts }: Reading) {
    const others = SHOWN.map((name) => (parts[name]?.data as CallerData | undefined)?.figures)
    const names = [...new Set([...Object.keys(figures), ...others.flatMap((other) => Object.keys(other ?? {}))])]
    const pair = (of: { readonly p50: readonly number[]; readonly p99: readonly number[] } | undefined): string[] => (of === undefined ? ['', ''] : [figure(median(of.p50)), figure(median(of.p99))])
    const rows = names.map((name) => {
      const grown = figures[name]
      return [
        contenderNamed(name).title, ...others.flatMap((other) => pair(other?.[name])), ...pair(grown),
        ...(grown === undefined ? ['', ''] : [`${figure(median(grown.stringify))} ±${figure(spread(grown.stringify))}`, Number.isFinite(median(grown.smaller)) ? `1/${figure(median(grown.smaller))}` : '–']),
      ]
    })
    return tableText({
      title: `Other loads: the caller's µs for one act; and a conversation that grows to ${steps} steps, sent whole at each`,
      columns: ['', '1 KB p50', 'p99', '200 KB p50', 'p99', '64 ses p50', 'p99', 'step p50', 'p99', '×stringify', 'bytes'],
      rows: [...rows, ...failedRows(failures, figures)],
      notes: ['×stringify: all steps, against one JSON.stringify of each request. bytes: kept or sent, of the requests in full.'],
    })
  },
}
