// How long a durable append takes when eight processes write one trail, beside one process alone in the same round.

import type { Waits } from '../processes.ts'
import type { Options, Part } from '../part.ts'
import { median, ratio, spread } from '../statistics.ts'
import { figure, tableText } from '../table.ts'

const MANY = 8

interface ProcessesData { readonly one: readonly Waits[]; readonly many: readonly Waits[] }

async function run({ rounds, quick, until }: Options, keep: (data: ProcessesData, rounds: number) => void): Promise<void> {
  const { measureProcesses } = await import('../processes.ts')
  const [one, many]: [Waits[], Waits[]] = [[], []]
  for (let round = 0; round < rounds && (round === 0 || performance.now() < until); round++) {
    process.stderr.write(`  round ${round + 1} of ${rounds}\n`)
    const events = quick ? 5 : 150
    const measure = { one: async () => { one.push(await measureProcesses(1, events)) }, many: async () => { many.push(await measureProcesses(MANY, events)) } }
    for (const turn of round % 2 === 0 ? (['one', 'many'] as const) : (['many', 'one'] as const)) await measure[turn]()
    keep({ one, many }, round + 1)
  }
}

export const part: Part = {
  order: 41,
  about: 'a durable append by eight paced processes on one trail, beside one alone',
  run,
  show({ one, many }: ProcessesData) {
    const row = (title: string, waits: readonly Waits[]): string[] => [title, ...(['p50', 'p99'] as const).flatMap((name) => [figure(median(waits.map((of) => of[name]))), figure(spread(waits.map((of) => of[name])))]), figure(Math.max(...waits.map(({ longest }) => longest)))]
    const times = ratio(many.map(({ p99 }) => p99), one.map(({ p99 }) => p99))
    return tableText({
      title: `One durable append, each process one every 100 ms: ${MANY} processes have ${figure(times)}× the p99 of one`,
      columns: ['', 'p50 ms', '±', 'p99 ms', '±', 'longest'],
      rows: [row('1 process', one), row(`${MANY} processes`, many)],
    })
  },
}
