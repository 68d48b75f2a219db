// `npm run bench`: what recording costs the caller, and how many events a second become durable, beside others on the same events in the
// same run. Contenders take turns; medians of the rounds, with their spread. Ratios carry over to other machines, figures do not.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { bareSqlite, classic, counterfoil, pinoAsync, pinoSync, type Contender } from './contenders.ts'
import { pairs } from './load.ts'

const rounds = Number(process.env['BENCH_ROUNDS'] ?? 5)
const paced = { contenders: [counterfoil, pinoSync, pinoAsync, classic], count: 400, everyMs: 2 }
const burst = { contenders: [counterfoil, bareSqlite, classic], count: 5_000, classicCount: 300 }

interface Reading { readonly name: string; readonly keeps: string; readonly p50: number[]; readonly p99: number[]; readonly eventsPerSecond: number[] }

async function main(): Promise<void> {
  const readings = new Map<string, Reading>()
  const of = ({ name, keeps }: Contender): Reading => readings.get(name) ?? readings.set(name, { name, keeps, p50: [], p99: [], eventsPerSecond: [] }).get(name)!
  for (let round = 0; round < rounds; round++) {
    for (const contender of rotate(paced.contenders, round)) await measureCaller(contender, of(contender), round)
    for (const contender of rotate(burst.contenders, round)) await measureDurable(contender, of(contender), round)
  }
  report([...readings.values()])
}

/** A pair every 2 ms, as an agent that works; only the caller's own time is counted. */
async function measureCaller(contender: Contender, reading: Reading, round: number): Promise<void> {
  const load = pairs(paced.count + 50, 5_000, round + 1)
  await inFolder(async (folder) => {
    const recorder = await contender.open(folder)
    const times: number[] = []
    for (const [i, pair] of load.entries()) {
      const began = performance.now()
      recorder.record(pair)
      if (i >= 50) times.push((performance.now() - began) * 1_000)
      await new Promise((resolve) => setTimeout(resolve, paced.everyMs))
    }
    await recorder.durable()
    await recorder.close()
    reading.p50.push(quantile(times, 0.5))
    reading.p99.push(quantile(times, 0.99))
  })
}

/** As fast as it goes, until all of it is durable. */
async function measureDurable(contender: Contender, reading: Reading, round: number): Promise<void> {
  const load = pairs(contender === classic ? burst.classicCount : burst.count, 5_000, round + 101)
  await inFolder(async (folder) => {
    const recorder = await contender.open(folder)
    for (const pair of pairs(50, 5_000, 7)) recorder.record(pair)
    await recorder.durable()
    const began = performance.now()
    for (const pair of load) recorder.record(pair)
    await recorder.durable()
    reading.eventsPerSecond.push((2 * load.length) / ((performance.now() - began) / 1_000))
    await recorder.close()
  })
}

function report(readings: readonly Reading[]): void {
  const ours = readings.find(({ name }) => name === counterfoil.name)!
  const bare = readings.find(({ name }) => name === bareSqlite.name)!
  const rows = readings.map(({ name, keeps, p50, p99, eventsPerSecond }) => [
    name, micros(p50), micros(p99), eventsPerSecond.length === 0 ? '' : `${Math.round(median(eventsPerSecond)).toLocaleString('en-US')} ±${spread(eventsPerSecond)}`, keeps,
  ])
  const head = ['', 'caller p50 µs', 'caller p99 µs', 'durable events/s', 'what survives']
  console.log(`A 5 KB LLM call and result; ${rounds} rounds, medians, ± half the range. Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}.\n`)
  for (const row of [head, ...rows]) console.log(row.map((cell, i) => (i === 0 ? cell.padEnd(36) : i === 4 ? cell : cell.padStart(18))).join('  '))
  const ratio = (a: number[], b: number[]): string => (median(a) / median(b)).toFixed(2)
  const classicReading = readings.find(({ name }) => name === classic.name)!
  const pinoReading = readings.find(({ name }) => name === pinoSync.name)!
  console.log(`\ncaller p50 against pino sync ${ratio(ours.p50, pinoReading.p50)}×, p99 ${ratio(ours.p99, pinoReading.p99)}×`)
  console.log(`durable events/s against bare node:sqlite ${ratio(ours.eventsPerSecond, bare.eventsPerSecond)}×, against the classic design ${ratio(ours.eventsPerSecond, classicReading.eventsPerSecond)}×`)
  const out = process.env['BENCH_JSON']
  if (out !== undefined) writeFileSync(out, `${JSON.stringify({ node: process.version, cpu: cpus()[0]?.model, rounds, readings }, null, 2)}\n`)
}

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-bench-'))
  try {
    await run(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function rotate<T>(items: readonly T[], by: number): T[] {
  return items.map((_, i) => items[(i + by) % items.length]!)
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

function spread(values: readonly number[]): string {
  return Math.round((Math.max(...values) - Math.min(...values)) / 2).toLocaleString('en-US')
}

function micros(values: readonly number[]): string {
  return values.length === 0 ? '' : `${median(values).toFixed(0)} ±${((Math.max(...values) - Math.min(...values)) / 2).toFixed(0)}`
}

await main()
