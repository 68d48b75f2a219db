// Medians of rounds, and how far the rounds lie apart.

/** The value below which `q` of the values lie; NaN of none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Half of the range. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / 2
}

/** The median of `a / b` within each round: what disturbs a round disturbs both. */
export function ratio(a: readonly number[], b: readonly number[]): number {
  return median(a.slice(0, Math.min(a.length, b.length)).map((value, round) => value / b[round]!))
}
