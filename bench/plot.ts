// The caller's time by contender, from the median to the 99th percentile, on a logarithmic scale: who keeps its events, and who loses some.

import type { CallerData } from './callers.ts'
import { contenderNamed } from './contenders/all.ts'
import { keeping } from './keepers.ts'
import type { Reading } from './measured.ts'
import { median } from './statistics.ts'
import { circle, line, svg, text, type Shape } from './svg.ts'
import { figure } from './table.ts'

const [WIDTH, LEFT, RIGHT, TOP, ROW] = [820, 210, 60, 66, 27]

/** Undefined when the caller was not measured. */
export function callerPlot(reading: Reading): string | undefined {
  const measured = reading.parts['caller']
  if (measured === undefined) return undefined
  const rows = Object.entries((measured.data as CallerData).figures).filter(([name]) => contenderNamed(name).kind !== 'neither')
    .map(([name, { p50, p99 }]) => ({ name, title: contenderNamed(name).title, p50: median(p50), p99: median(p99) })).toSorted((a, b) => a.p50 - b.p50)
  const kept = keeping(reading)
  const groups = kept === undefined
    ? [{ head: 'which of them keep their events was not measured', rows }]
    : ([['keep every event, however the process ends', 'all'], ['lose some', 'loses'], ['not known whether they keep theirs', 'unknown']] as const)
        .map(([head, keeps]) => ({ head, rows: rows.filter(({ name }) => (kept.get(name) ?? 'unknown') === keeps) }))
  const low = Math.floor(Math.log10(Math.min(...rows.map(({ p50 }) => p50))))
  const high = Math.ceil(Math.log10(Math.max(...rows.map(({ p99 }) => p99))))
  const x = (value: number): number => LEFT + ((Math.log10(value) - low) / (high - low)) * (WIDTH - LEFT - RIGHT)
  const shapes: Shape[] = []
  let y = TOP
  for (const group of groups.filter(({ rows }) => rows.length > 0)) {
    y += ROW * 1.1
    shapes.push(text(16, y, group.head, 'small'))
    for (const { name, title, p50, p99 } of group.rows) {
      y += ROW
      const kind = name === 'counterfoil' ? 'ours' : 'other'
      shapes.push(
        text(LEFT - 14, y + 4, title, `end ${kind === 'ours' ? 'ours bold' : ''}`), line(x(p50), y, x(p99), y, `range ${kind}`), circle(x(p50), y, 5, kind), circle(x(p99), y, 4.5, `${kind} hollow`),
        text(x(p50) - 9, y + 4, figure(p50), 'small end'), text(x(p99) + 9, y + 4, figure(p99), 'small'),
      )
    }
  }
  const bottom = y + ROW
  const grid = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)).flatMap((value) => [line(x(value), TOP, x(value), bottom, 'grid'), text(x(value), bottom + 16, value >= 1_000 ? `${value / 1_000} ms` : `${value} µs`, 'small mid')])
  const { machine, at, rounds, versions } = measured
  return svg(WIDTH, bottom + 46, 'What the caller waits for, by contender, median and 99th percentile', [
    ...grid,
    text(16, 30, 'What the caller waits for: a 5 KB LLM call and its result, one every 2 ms', 'title'),
    text(16, 50, 'from the median ● to the 99th percentile ○, logarithmic; to the left is better', 'faint'),
    ...shapes,
    text(16, bottom + 36, `${at.slice(0, 10)} · ${machine.cores} × ${machine.cpu}, ${machine.disk} · Node ${versions['node']} · medians of ${rounds} round${rounds === 1 ? '' : 's'}`, 'small'),
  ])
}
