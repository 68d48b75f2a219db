// Reading a large log: verifying it, first pages, a proof among ten million. Measured only when it is named, since the log takes minutes to
// make; it is kept in $LARGE_LOG for the next time.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Options, Part } from '../part.ts'
import type { ReadingRow } from '../reading.ts'

async function run({ quick, until }: Options, keep: (data: readonly ReadingRow[], rounds: number) => void): Promise<void> {
  const { reading, READINGS } = await import('../reading.ts')
  const folder = process.env['LARGE_LOG'] ?? join(tmpdir(), `counterfoil-large-log${quick ? '-quick' : ''}`)
  const rows: ReadingRow[] = []
  for (const [i, one] of READINGS.entries()) {
    if (i > 0 && performance.now() > until) break
    process.stderr.write(`  ${one}, in ${folder}\n`)
    rows.push(...(await reading({ folder, only: [one], ...(quick ? { events: 20_000, leaves: 200_000 } : {}) })))
    keep(rows, 1)
  }
}

export const part: Part = {
  order: 60,
  about: 'only when named: a log of a million events, in $LARGE_LOG: verify, pages, proofs',
  alone: true,
  run,
  show: (rows: readonly ReadingRow[]) => ['Reading a large log', ...rows.flatMap(({ what, figure, bar }) => [`  ${what}`, `      ${figure}${bar === undefined ? '' : ` [the bar: ${bar}]`}`]), ''],
}
