// Events a second until they are on the disk, of those who can say it.

import { contenderNamed } from '../contenders/all.ts'
import { failedRows } from '../failed.ts'
import type { Options, Part } from '../part.ts'
import { inRounds, type Failures } from '../rounds.ts'
import { measure } from '../run.ts'
import { median, quantile, ratio, spread } from '../statistics.ts'
import { figure, tableText } from '../table.ts'

interface Figures { readonly perSecond: number[]; readonly aloneP50: number[]; readonly aloneP99: number[] }
export interface DurableData { readonly count: number; readonly slowCount: number; readonly figures: { readonly [contender: string]: Figures }; readonly failures: Failures }

async function run(options: Options, keep: (data: DurableData, rounds: number) => void): Promise<void> {
  const [count, slowCount, alone] = options.quick ? [300, 10, 10] : [5_000, 250, 100]
  const figures: { [contender: string]: Figures } = {}
  const failures: Failures = {}
  await inRounds(options, options.contenders.filter(({ durable }) => durable), failures, async (contender, round) => {
    const { result } = await measure(contender, { mode: 'durable', load: 'model', count: contender.slow === true ? slowCount : count, alone, warm: options.quick || contender.slow === true ? 20 : 500, sessions: 1, seed: 200 + round })
    const mine = (figures[contender.name] ??= { perSecond: [], aloneP50: [], aloneP99: [] })
    mine.perSecond.push(result.perSecond)
    mine.aloneP50.push(quantile(result.aloneUs, 0.5))
    mine.aloneP99.push(quantile(result.aloneUs, 0.99))
  }, (rounds) => keep({ count, slowCount, figures, failures }, rounds))
}

export const part: Part = {
  order: 40,
  about: 'durable events a second at 2.5 KB, and how long one act alone waits until it is durable',
  run,
  show({ count, slowCount, figures, failures }: DurableData) {
    const ours = figures['counterfoil']?.perSecond
    return tableText({
      title: `Durable: ${(2 * count).toLocaleString('en-US')} events of 2.5 KB (classic: ${2 * slowCount}) as fast as they go, until all are fsynced; and one act alone`,
      columns: ['', 'events/s', '±', 'counterfoil is', 'alone p50 µs', 'p99 µs'],
      rows: [
        ...Object.entries(figures).map(([name, { perSecond, aloneP50, aloneP99 }]) => [
          contenderNamed(name).title, figure(median(perSecond)), figure(spread(perSecond)), ours === undefined ? '' : `${figure(ratio(ours, perSecond))}×`, figure(median(aloneP50)), figure(median(aloneP99)),
        ]),
        ...failedRows(failures, figures),
      ],
    })
  },
}
