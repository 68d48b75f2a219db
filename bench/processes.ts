// `node bench/processes.ts`: how long a durable append takes when several processes write one trail, beside one process alone in the same run.
// Each records an event every 100 ms, at moments of its own, and waits until it is durable.
//
//   PROCESSES=8 EVENTS=200 ROUNDS=3 node bench/processes.ts

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openTrail } from '../src/index.ts'

/** Milliseconds until durable: the median, the 99th percentile, the longest; of `events` appends by each of `processes`. */
export interface Waits { readonly processes: number; readonly events: number; readonly p50: number; readonly p99: number; readonly longest: number }

const EVERY_MS = 100

/** Measures `processes` writers on one new trail, each of which appends `events` times. */
export async function measureProcesses(processes: number, events: number): Promise<Waits> {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-bench-'))
  try {
    const first = openTrail(join(folder, 'audit.db'), { agent_id: 'bench', home: join(folder, 'home') })
    await first.ready()
    await first.close()
    const times = (await Promise.all(Array.from({ length: processes }, () => writer(folder, events)))).flat().sort((a, b) => a - b)
    if (times.length !== processes * events) throw new Error(`expected ${processes * events} durable events, got ${times.length}`)
    const at = (q: number): number => times[Math.min(times.length - 1, Math.floor(q * times.length))]!
    return { processes, events, p50: at(0.5), p99: at(0.99), longest: times.at(-1)! }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function writer(folder: string, events: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), folder, String(events)], { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.on('error', reject)
    child.on('exit', (code) => (code === 0 ? resolve(JSON.parse(out) as number[]) : reject(new Error(`a writer ended with ${code}`))))
  })
}

/** One writer: what each of its appends took. */
async function write(folder: string, events: number): Promise<void> {
  const trail = openTrail(join(folder, 'audit.db'), { agent_id: 'bench', home: join(folder, 'home') })
  const session = await trail.start({ user_id: 'c-1' })
  await session.record('reasoning', { text: 'Everybody is here.' }).durable()
  await sleep(2_000 + Math.random() * EVERY_MS) // until the others are
  const times: number[] = []
  for (let i = 0; i < events; i++) {
    const began = performance.now()
    await session.record('reasoning', { text: `The order is ${i} days old, and the policy allows a refund within thirty.` }).durable()
    times.push(performance.now() - began)
    await sleep(Math.max(0, EVERY_MS * (0.5 + Math.random()) - (performance.now() - began)))
  }
  await session.end({ outcome: 'success' })
  await trail.close()
  process.stdout.write(JSON.stringify(times))
}

async function main(): Promise<void> {
  const [many, events, rounds] = [Number(process.env['PROCESSES'] ?? 8), Number(process.env['EVENTS'] ?? 200), Number(process.env['ROUNDS'] ?? 3)]
  const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
  const readings = new Map<number, Waits[]>([[1, []], [many, []]])
  for (let round = 0; round < rounds; round++) for (const [processes, waits] of readings) waits.push(await measureProcesses(processes, events))
  for (const [processes, waits] of readings) {
    const of = (name: 'p50' | 'p99'): string => median(waits.map((one) => one[name])).toFixed(1)
    console.log(`${processes} ${processes === 1 ? 'process  ' : 'processes'}  p50 ${of('p50')} ms, p99 ${of('p99')} ms, longest ${Math.max(...waits.map(({ longest }) => longest)).toFixed(1)} ms`)
  }
  const p99 = (processes: number): number => median(readings.get(processes)!.map((one) => one.p99))
  console.log(`p99 of ${many} is ${(p99(many) / p99(1)).toFixed(1)} times that of one (${rounds} rounds of ${events} events a process, medians)`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await (process.argv[2] === undefined ? main() : write(process.argv[2], Number(process.argv[3])))
