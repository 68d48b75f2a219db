// The parts that measure the caller differ in the load only; this is what they have in common.

import type { Contender } from './contender.ts'
import type { LoadName } from './load.ts'
import type { Options, Part } from './part.ts'
import { inRounds, type Failures } from './rounds.ts'
import { measure } from './run.ts'
import { quantile } from './statistics.ts'

export interface CallerLoad {
  readonly load: LoadName
  readonly count: number
  /** Of those who commit each event by itself. */
  readonly slowCount: number
  readonly warm: number
  readonly everyMs: number
  readonly sessions: number
}

/** One figure a round each, but for `p999`, which is of all rounds' acts together. Times in µs, `rss` and `bytes` (an act) in bytes. */
export interface CallerFigures {
  readonly count: number
  readonly p50: number[]
  readonly p99: number[]
  p999: number
  readonly loopMs: (number | null)[]
  readonly cpu: number[]
  readonly rss: number[]
  readonly bytes: number[]
  /** What the sink got of `count` after a flush; null for who keeps files. */
  readonly delivered: (number | null)[]
  readonly settled: boolean[]
}

export interface CallerData { readonly load: CallerLoad; readonly figures: { readonly [contender: string]: CallerFigures }; readonly failures: Failures }

export function measureCallers(full: CallerLoad, quick: Partial<CallerLoad>): Part['run'] {
  return async (options: Options, keep) => {
    const load: CallerLoad = options.quick ? { ...full, ...quick } : full
    const figures: { [contender: string]: CallerFigures } = {}
    const times = new Map<string, number[]>()
    const failures: Failures = {}
    await inRounds(options, options.contenders, failures, async (contender: Contender, round) => {
      const count = contender.slow === true ? load.slowCount : load.count
      const warm = contender.slow === true ? Math.min(load.warm, 20) : load.warm
      const { result, bytes, sink } = await measure(contender, { mode: 'caller', load: load.load, count, warm, everyMs: load.everyMs, sessions: load.sessions, seed: 100 + round })
      const mine = (figures[contender.name] ??= { count, p50: [], p99: [], p999: Number.NaN, loopMs: [], cpu: [], rss: [], bytes: [], delivered: [], settled: [] })
      const all = [...(times.get(contender.name) ?? []), ...result.times]
      times.set(contender.name, all)
      mine.p50.push(quantile(result.times, 0.5))
      mine.p99.push(quantile(result.times, 0.99))
      mine.p999 = quantile(all, 0.999)
      mine.loopMs.push(result.loopMs)
      mine.cpu.push(result.cpu)
      mine.rss.push(result.rss)
      mine.bytes.push(bytes / (count + warm))
      mine.delivered.push(sink?.delivered ?? null)
      mine.settled.push(result.settled)
    }, (rounds) => keep({ load, figures, failures } satisfies CallerData, rounds))
  }
}
