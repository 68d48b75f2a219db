// What the benchmark says about its figures: who keeps its events, what is flat, what may be compared. That it runs is seen in CI.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { contenders } from '../bench/contenders/all.ts'
import { growth, type Sample } from '../bench/growth.ts'
import { keeping } from '../bench/keepers.ts'
import { acts, delivered, findMarks, noMarks } from '../bench/load.ts'
import type { Cell } from '../bench/losses.ts'
import { page } from '../bench/page.ts'
import { callerPlot } from '../bench/plot.ts'
import type { Measured, Reading } from '../bench/measured.ts'
import { median, quantile, ratio } from '../bench/statistics.ts'

const root = join(import.meta.dirname, '..')

function measured(data: unknown, about: Partial<Measured> = {}): Measured {
  return {
    at: '2026-11-21T20:00:00.000Z', seconds: 60, rounds: 3, quick: false, commit: 'abc1234', machine: { cpu: 'CPU', cores: 2, memory: 24, system: 'linux 6', disk: 'ext4' },
    versions: { node: '24.0.0', sqlite: '3.50.0' }, absent: {}, data, ...about,
  }
}

function losses(...cells: Partial<Cell>[]): Reading {
  const whole: Cell = { contender: 'pino-sync', sink: 'ok', ending: 'end', pace: 'burst', issued: 5_000, delivered: 5_000, halves: 0, whole: null, unfinished: false, seconds: 1 }
  return { parts: { loss: measured({ burst: 5_000, slowBurst: 500, paced: 200, everyMs: 10, left: 0, cells: cells.map((cell) => ({ ...whole, ...cell })) }) } }
}

describe('who keeps its events', () => {
  test('is who kept them in every cell', () => {
    expect(keeping(losses({}, { ending: 'SIGKILL' }, { contender: 'otel', delivered: 0 }))).toEqual(new Map([['pino-sync', 'all'], ['otel', 'loses']]))
  })

  test.each<[string, Partial<Cell>]>([
    ['lost one act in one cell', { delivered: 4_999 }],
    ['was still sending when its time was over', { unfinished: true }],
    ['left what does not verify', { whole: false }],
  ])('is nobody who %s', (_why, cell) => {
    expect(keeping(losses({}, cell))).toEqual(new Map([['pino-sync', 'loses']]))
  })

  test('is not known of who has a cell without a figure, unless another one shows a loss', () => {
    const failed = { delivered: 0, why: 'it fell over' }
    expect(keeping(losses({}, failed))).toEqual(new Map([['pino-sync', 'unknown']]))
    expect(keeping(losses({ delivered: 1 }, failed))).toEqual(new Map([['pino-sync', 'loses']]))
  })

  test('is not guessed where no losses were measured', () => {
    expect(keeping({ parts: {} })).toBeUndefined()
  })
})

describe('acts', () => {
  test('are found again by number, an act only with both halves', () => {
    const marks = noMarks()
    const all = acts('tool', 3, 1)
    findMarks(JSON.stringify([all[0], all[1]!.call, all[2]!.result, all[0]]), marks)
    expect(delivered(marks, 3)).toBe(1)
    findMarks(JSON.stringify(all[1]!.result), marks)
    expect(delivered(marks, 3)).toBe(2)
    expect(delivered(marks, 1)).toBe(1)
  })

  test('are the same for the same seed, others for another, and of the size that is said', () => {
    expect(acts('model', 5, 7)).toEqual(acts('model', 5, 7))
    expect(acts('model', 5, 7)).not.toEqual(acts('model', 5, 8))
    for (const [name, low, high] of [['tool', 900, 1_200], ['model', 4_900, 5_300], ['context', 200_000, 210_000]] as const) {
      const [act] = acts(name, 1, 3)
      const bytes = Buffer.byteLength(JSON.stringify(act!.call)) + Buffer.byteLength(JSON.stringify(act!.result))
      expect([name, bytes >= low && bytes <= high, bytes]).toEqual([name, true, bytes])
    }
  })
})

describe('figures', () => {
  test('are medians and quantiles, and ratios within rounds', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
    expect(quantile([1, 2, 3, 4], 0.99)).toBe(4)
    expect(ratio([10, 200, 30], [10, 100, 10])).toBe(2) // not 30 / 10
  })

  const samples = (rss: (i: number) => number): Sample[] => Array.from({ length: 40 }, (_, i) => ({ seconds: 5 * i, rss: rss(i) }) as Sample)
  const rss = (sample: Sample): number => sample.rss

  test('are flat when the second half does not grow, whatever the first did or one sample says', () => {
    expect(growth(samples((i) => Math.min(300, 20 * i)), rss)).toMatchObject({ grown: 0, flat: true })
    expect(growth(samples((i) => (i === 39 ? 900 : 300)), rss)).toMatchObject({ grown: 0, flat: true })
    expect(growth(samples((i) => 300 + i), rss)).toMatchObject({ grown: 19, flat: false })
    expect(growth(samples(() => 1).slice(0, 6), rss)).toBeUndefined()
  })
})

describe('the page', () => {
  const caller = (p50: number): unknown => ({
    load: { load: 'model', count: 10, slowCount: 10, warm: 1, everyMs: 2, sessions: 1 }, failures: { opik: 'no such server' },
    figures: Object.fromEntries([['counterfoil', p50], ['pino-sync', 100]].map(([name, value]) => [name, { count: 10, p50: [value], p99: [value], p999: value, loopMs: [1], cpu: [1], rss: [1], bytes: [1], delivered: [null], settled: [true] }])),
  })
  const parts = async () => (await import('../bench/part.ts')).allParts()

  test('names the ratio to who keeps its events, who failed and who was absent, in 110 columns', async () => {
    const text = page({ parts: { caller: measured(caller(150), { absent: { winston: 'npm could not be reached' } }), ...losses({}, { contender: 'counterfoil' }).parts } }, await parts())
    expect(text).toContain("counterfoil's caller, p50 and p99, against who keeps everything: pino synchronous 1.50× and 1.50×")
    expect(text).toContain('Opik: failed, no such server')
    expect(text).toContain('Did not take part (npm could not be reached): winston')
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(110)
  })

  test('says when parts may not be compared', async () => {
    const all = await parts()
    const of = (about: Partial<Measured>): string => page({ parts: { caller: measured(caller(1)), burst: measured(caller(1), about) } }, all)
    expect(of({})).not.toContain('compare within a part only')
    expect(of({ at: '2026-11-22T20:00:00.000Z' })).toContain('Parts were measured on different days: compare within a part only.')
    expect(of({ commit: 'def5678' })).toContain('at different commits: compare within a part only.')
    expect(of({ quick: true })).toContain('Quick: shows that it works, not how fast.')
  })

  test('has a plot that is one well-formed file and asks nobody for anything', () => {
    const plot = callerPlot({ parts: { caller: measured(caller(150)) } })!
    expect(plot).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"[\s\S]*<\/svg>\n$/)
    expect(plot.match(/<circle/g)).toHaveLength(4)
    expect(plot.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|@import|<script|url\(|NaN/)
  })
})

test('the peers are the benchmark\'s own: locked beside it, and nothing of the package', () => {
  const { dependencies, devDependencies = {}, files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies?: object; devDependencies?: object; files: string[] }
  const locked = JSON.parse(readFileSync(join(root, 'bench/peers/package-lock.json'), 'utf8')).packages as { [path: string]: unknown }
  const wanted = contenders.flatMap(({ packages = [] }) => packages)
  expect(wanted.length).toBeGreaterThan(5)
  expect(wanted.filter((name) => locked[`node_modules/${name}`] === undefined)).toEqual([])
  expect(wanted.filter((name) => name in { ...dependencies, ...devDependencies })).toEqual([])
  expect(files.filter((file) => file.startsWith('bench'))).toEqual([])
})
