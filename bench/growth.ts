// Whether something grows, out of samples over time.

import { median } from './statistics.ts'

/** Called flat when over the second half it grows by no more than this part of its median there. */
export const FLAT: number = 0.05

/** Bytes and ms; `lag`: events accepted and not yet in the log; `cpu`: of one core. */
export interface Sample {
  readonly seconds: number; readonly rss: number; readonly heap: number; readonly delayP50: number; readonly delayP99: number; readonly delayMax: number
  readonly spool: number; readonly wal: number; readonly database: number; readonly accepted: number; readonly lag: number; readonly errors: number; readonly cpu: number
}

/** The growth over the second half, by the median of all slopes between two samples, so that no single one decides; and whether that is flat. */
export function growth(samples: readonly Sample[], of: (sample: Sample) => number): { readonly grown: number; readonly middle: number; readonly flat: boolean } | undefined {
  const half = samples.slice(Math.floor(samples.length / 2))
  if (half.length < 4) return undefined
  const slopes = half.flatMap((a, i) => half.slice(i + 1).map((b) => (of(b) - of(a)) / (b.seconds - a.seconds)))
  const grown = median(slopes) * (half.at(-1)!.seconds - half[0]!.seconds)
  const middle = median(half.map(of))
  return { grown, middle, flat: grown <= FLAT * middle }
}
