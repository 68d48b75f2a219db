// Fuzzes one parser in a process of its own: `node child.ts <parser> <seconds> <seed>`. The parser runs in a worker; this thread watches it,
// so that an input which never returns, or eats the heap, is found and named. Prints one JSON line.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Chance, mutated, mutatedJson } from './mutate.ts'
import { untyped } from './parser.ts'
import { PARSERS } from './parsers.ts'

/** What one parser was given in a run, and what was found. Findings have the input in base64. */
export interface Report {
  readonly parser: string
  readonly seconds: number
  executions: number
  /** how many inputs were taken without an error */
  accepted: number
  /** of one input, in ms of the thread's own time */
  slowestMs: number
  /** in base64, where it took long */
  slowest?: string
  peakMiB: number
  baseMiB: number
  findings: { what: string; input: string }[]
}

const MAX_HANG_MS = 20_000
const MAX_FINDINGS = 10
const MAX_WORKER_MIB = 512
/** Some 128 KiB at most go in: a second of the thread's own time is a hundred times what any of them needs. */
const SLOW_MS = 1_000
const [COUNT, ACCEPTED, SLOWEST, LENGTH] = [0, 1, 2, 3]

interface Shared { readonly numbers: Int32Array; readonly input: Uint8Array }

if (isMainThread) await watch(process.argv[2]!, Number(process.argv[3]), Number(process.argv[4]))
else await fuzz(workerData as Shared & { parser: string; seconds: number; seed: number })

async function watch(parser: string, seconds: number, seed: number): Promise<void> {
  const started = performance.now()
  const report: Report = { parser, seconds, executions: 0, accepted: 0, slowestMs: 0, peakMiB: 0, baseMiB: 0, findings: [] }
  for (let round = 0; round < 20 && report.findings.length < MAX_FINDINGS; round++) {
    const left = seconds - (performance.now() - started) / 1000
    if (left <= 0) break
    await oneWorker(report, { parser, seconds: left, seed: seed + round })
  }
  report.peakMiB = Math.round(process.resourceUsage().maxRSS / 1024)
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0)) // into a pipe, what was not read yet would be lost
}

/** One worker to its end: the time is over, or it was killed by an input, which becomes a finding. */
function oneWorker(report: Report, job: { parser: string; seconds: number; seed: number }): Promise<void> {
  const shared: Shared = { numbers: new Int32Array(new SharedArrayBuffer(16)), input: new Uint8Array(new SharedArrayBuffer(8 * 2 ** 20)) }
  const worker = new Worker(new URL(import.meta.url), { workerData: { ...shared, ...job }, resourceLimits: { maxOldGenerationSizeMb: MAX_WORKER_MIB } })
  return new Promise((resolve) => {
    let seen = -1
    let since = performance.now()
    const current = (): string => Buffer.from(shared.input.slice(0, shared.numbers[LENGTH])).toString('base64')
    const timer = setInterval(() => {
      const count = Atomics.load(shared.numbers, COUNT)
      if (count !== seen) [seen, since] = [count, performance.now()]
      else if (count > 0 && performance.now() - since > MAX_HANG_MS) {
        report.findings.push({ what: `hang: no answer within ${MAX_HANG_MS} ms`, input: current() })
        void worker.terminate()
      }
    }, 250)
    worker.on('message', (told: { what: string; input: string } | { base: number } | { slowest: string }) => {
      if ('base' in told) report.baseMiB = told.base
      else if ('slowest' in told) report.slowest = told.slowest
      else if (report.findings.length < MAX_FINDINGS) report.findings.push(told)
    })
    worker.on('error', (error) => report.findings.push({ what: `the worker died: ${error.message}`, input: current() }))
    worker.on('exit', () => {
      clearInterval(timer)
      report.executions += shared.numbers[COUNT]!
      report.accepted += shared.numbers[ACCEPTED]!
      report.slowestMs = Math.max(report.slowestMs, shared.numbers[SLOWEST]!)
      resolve()
    })
  })
}

async function fuzz({ numbers, input, parser, seconds, seed }: Shared & { parser: string; seconds: number; seed: number }): Promise<void> {
  const made = await PARSERS[parser]!.make()
  const chance = new Chance(seed)
  const seeds = made.seeds.slice()
  for (const bytes of seeds) {
    try {
      await made.run(bytes)
    } catch {
      // that seeds are taken is tested elsewhere
    }
  }
  parentPort!.postMessage({ base: Math.round(process.memoryUsage.rss() / 2 ** 20) })
  const told = new Set<string>()
  const end = performance.now() + seconds * 1000
  for (let n = 0; n % 32 !== 0 || performance.now() < end; n++) {
    const from = chance.of(seeds)
    const bytes = made.json === undefined ? mutated(from, seeds, chance) : mutatedJson(from, seeds, chance, made.json)
    input.set(bytes.subarray(0, input.length))
    numbers[LENGTH] = Math.min(bytes.length, input.length)
    Atomics.add(numbers, COUNT, 1)
    const before = process.threadCpuUsage()
    let found: string | undefined
    try {
      const ran = made.run(bytes)
      if (ran instanceof Promise) await ran
      numbers[ACCEPTED]!++
      // what is still taken is a place to go on from
      if (seeds.length < 200 && chance.below(50) === 0) seeds.push(bytes.slice())
    } catch (error) {
      found = untyped(error, made)
    }
    const { user, system } = process.threadCpuUsage(before)
    const ms = (user + system) / 1000
    if (ms > numbers[SLOWEST]!) {
      numbers[SLOWEST] = Math.ceil(ms)
      if (ms > SLOW_MS / 10) parentPort!.postMessage({ slowest: Buffer.from(bytes).toString('base64') })
    }
    if (ms > SLOW_MS) found ??= `slow: ${Math.round(ms)} ms for ${bytes.length} bytes`
    const kind = found?.replace(/\d+/g, 'n').slice(0, 200)
    if (kind === undefined || told.has(kind)) continue
    told.add(kind)
    parentPort!.postMessage({ what: found!, input: Buffer.from(bytes).toString('base64') })
  }
  await made.close?.()
}
