// The tables of the parts that measure the caller.

import type { CallerData } from './callers.ts'
import { contenderNamed } from './contenders/all.ts'
import { failedRows } from './failed.ts'
import { keeping } from './keepers.ts'
import type { Reading } from './measured.ts'
import { median, spread } from './statistics.ts'
import { figure, tableText } from './table.ts'

export function showCallers(title: string): (data: CallerData, reading: Reading) => string[] {
  return ({ figures, failures, load }, reading) => {
    const kept = keeping(reading)
    const paced = load.everyMs > 0
    return tableText({
      title,
      columns: ['', 'keeps', 'p50 µs', '±', 'p99 µs', '±', 'p99.9', ...(paced ? ['loop ms'] : []), 'CPU µs', 'RSS +MB', 'KB', ...(paced ? [] : ['delivered'])],
      rows: [
        ...Object.entries(figures).map(([name, of]) => {
          const { kind, title } = contenderNamed(name)
          const loop = of.loopMs.filter((value) => value !== null)
          return [
            title, kind === 'neither' ? '' : (kept?.get(name) ?? ''), figure(median(of.p50)), figure(spread(of.p50)), figure(median(of.p99)), figure(spread(of.p99)), figure(of.p999),
            ...(paced ? [loop.length === 0 ? '' : figure(median(loop))] : []), figure(median(of.cpu)), figure(median(of.rss) / 2 ** 20), kind === 'neither' ? '' : figure(median(of.bytes) / 1_000),
            ...(paced ? [] : [deliveredText(of)]),
          ]
        }),
        ...failedRows(failures, figures),
      ],
    })
  }
}

function deliveredText({ delivered, settled, count }: CallerData['figures'][string]): string {
  const got = delivered.filter((value) => value !== null)
  if (got.length === 0) return ''
  return `${got.every((value) => value === count) ? 'all' : Math.min(...got).toLocaleString('en-US')}${settled.every(Boolean) ? '' : ' …'}`
}
