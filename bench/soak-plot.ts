// The soak as curves, one above the other over the same time.

import type { Sample } from './growth.ts'
import type { SoakData } from './parts/soak.ts'
import type { Reading } from './measured.ts'
import { curve, line, svg, text, type Shape } from './svg.ts'
import { figure } from './table.ts'

const [WIDTH, LEFT, RIGHT, TOP, HEIGHT, GAP] = [860, 104, 32, 70, 74, 40]
const CURVES: readonly (readonly [title: string, unit: string, of: (sample: Sample) => number])[] = [
  ['resident memory', 'MB', ({ rss }) => rss / 2 ** 20],
  ['event loop delay, 99th percentile', 'ms', ({ delayP99 }) => delayP99],
  ['accepted, not yet in the log', 'events', ({ lag }) => lag],
  ['spool', 'MB', ({ spool }) => spool / 2 ** 20],
  ['write-ahead log', 'MB', ({ wal }) => wal / 2 ** 20],
  ['processor, of one core', '%', ({ cpu }) => 100 * cpu],
]

/** Undefined when no soak was measured. */
export function soakPlot(reading: Reading): string | undefined {
  const measured = reading.parts['soak']
  const data = measured?.data as SoakData | undefined
  if (measured === undefined || data === undefined || data.samples.length < 2) return undefined
  const end = data.samples.at(-1)!.seconds
  const x = (seconds: number): number => LEFT + (seconds / end) * (WIDTH - LEFT - RIGHT)
  const shapes: Shape[] = CURVES.flatMap(([title, unit, of], i) => {
    const top = TOP + i * (HEIGHT + GAP)
    const most = Math.max(...data.samples.map(of)) || 1
    const y = (value: number): number => top + HEIGHT - (Math.max(0, value) / most) * HEIGHT
    return [
      text(LEFT, top - 8, title), line(LEFT, top + HEIGHT, WIDTH - RIGHT, top + HEIGHT, 'grid'), line(LEFT, top, WIDTH - RIGHT, top, 'grid'),
      text(LEFT - 8, top + 5, `${figure(most)} ${unit}`, 'small end'), text(LEFT - 8, top + HEIGHT + 4, '0', 'small end'), curve(data.samples.map((sample) => [x(sample.seconds), y(of(sample))] as const), 'ours'),
    ]
  })
  const bottom = TOP + CURVES.length * (HEIGHT + GAP) - GAP
  const minutes = data.minutes
  const ticks = Array.from({ length: 7 }, (_, i) => (i / 6) * minutes).filter((minute) => minute * 60 <= end).map((minute) => text(x(minute * 60), bottom + 18, `${figure(minute)} min`, 'small mid'))
  const { machine, at, versions } = measured
  return svg(WIDTH, bottom + 52, 'The soak: memory, delay, lag and files over time', [
    text(16, 28, `${figure(2 * data.rate)} events a second for ${minutes} minutes`, 'title'), ...shapes, ...ticks,
    text(16, bottom + 42, `${at.slice(0, 10)} · ${machine.cores} × ${machine.cpu}, ${machine.disk} · Node ${versions['node']} · a sample every 5 s, the last one after everything was drained`, 'small'),
  ])
}
