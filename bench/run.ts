// Starts a measurement in a process of its own, waits for its end, and looks at what is left: in its folder, or at the sink.

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contender } from './contender.ts'
import { acts, writeActs, type LoadName } from './load.ts'
import { startSink, type SinkCount, type SinkKind } from './sink.ts'
import { CAP_MS, type CallerSpec, type CountResult, type CountSpec, type DurableSpec, type Ending, type EndingSpec, type GrowingSpec, type Results, type Spec } from './spec.ts'

type Without<T> = T extends Spec ? Omit<T, 'contender' | 'folder' | 'sink' | 'acts'> : never
/** A spec, but for the place, which is found here. */
export type Order<M extends Spec['mode']> = Without<Extract<Spec, { mode: M }>>

/** What came out, with the bytes in its folder afterwards or those that the sink got. */
export type Outcome<M extends keyof Results> = { readonly result: Results[M]; readonly bytes: number; readonly sink: SinkCount | null }

/** No measurement takes longer, settling included. */
const HARD_MS = 2 * CAP_MS + 30_000

export async function measure<M extends 'caller' | 'durable' | 'growing'>(contender: Contender, order: Order<M> & { mode: M }): Promise<Outcome<M>> {
  return inPlace(contender, 'ok', async (place) => {
    const count = 'count' in order ? order.count : 0
    const spec = withActs({ ...order, ...place } as unknown as Parameters<typeof withActs>[0])
    const child = start(contender, spec)
    const ended = await Promise.race([child.ended, sleep(HARD_MS, undefined, { ref: false })])
    if (ended === undefined) child.process.kill('SIGKILL')
    const { said, why } = ended ?? { said: '', why: `no result after ${HARD_MS / 1_000} s` }
    if (said === '') throw new Error(why)
    const sink = contender.kind === 'sends' ? await place.counted(count) : null
    return { result: JSON.parse(said) as Results[M], bytes: sink?.bytes ?? bytesIn(place.folder), sink }
  })
}

export interface Ended extends CountResult {
  /** Still alive when the time was over; what it had delivered by then is counted. */
  readonly unfinished: boolean
  readonly seconds: number
}

const SIGNALS: { readonly [ending in Ending]?: NodeJS.Signals } = { SIGTERM: 'SIGTERM', SIGINT: 'SIGINT', SIGKILL: 'SIGKILL' }

/** Records and ends; then counts what was kept or had arrived. */
export async function end(contender: Contender, order: Order<'ending'>, kind: SinkKind): Promise<Ended> {
  return inPlace(contender, kind, async (place) => {
    const spec: EndingSpec = { ...order, ...place, acts: actsFor(order.load, order.count, order.seed) }
    const child = start(contender, spec)
    const overdue = sleep(HARD_MS, 'overdue' as const, { ref: false })
    const first = await Promise.race([child.done, child.ended, overdue])
    if (first === 'overdue') child.process.kill('SIGKILL')
    const signal = SIGNALS[spec.ending]
    const from = performance.now()
    if (signal !== undefined) child.process.kill(signal)
    const last = await Promise.race([child.ended, sleep(CAP_MS, undefined, { ref: false })])
    if (last === undefined) child.process.kill('SIGKILL')
    const { said, why } = await child.ended
    if (!said.startsWith('done')) throw new Error(first === 'overdue' ? `not done after ${HARD_MS / 1_000} s` : why)
    const seconds = (performance.now() - from) / 1_000
    const found = contender.kind === 'sends' ? await place.counted(spec.count) : await countKept(contender, { ...place, mode: 'count', count: spec.count, sessions: spec.sessions, seed: spec.seed })
    return { delivered: found.delivered, halves: found.halves, whole: found.whole, unfinished: last === undefined, seconds }
  })
}

async function countKept(contender: Contender, spec: CountSpec): Promise<CountResult> {
  const { said, why } = await start({ name: contender.name, title: contender.title, kind: contender.kind }, spec).ended
  if (said === '') throw new Error(`counting: ${why}`)
  return JSON.parse(said) as CountResult
}

interface Place { readonly contender: string; readonly folder: string; readonly sink: string }
interface Counted extends Place { readonly counted: (count: number) => Promise<SinkCount> }

async function inPlace<T>(contender: Contender, kind: SinkKind, run: (place: Counted) => Promise<T>): Promise<T> {
  const base = scratchFolder('bench')
  const folder = join(base, 'at')
  mkdirSync(folder)
  const sink = contender.kind === 'sends' ? await startSink(kind) : undefined
  try {
    return await run({ contender: contender.name, folder, sink: sink?.url ?? '', counted: (count) => sink!.count(count) })
  } finally {
    sink?.stop()
    clear(base)
  }
}

function withActs(spec: Omit<CallerSpec, 'acts'> | Omit<DurableSpec, 'acts'> | GrowingSpec): Spec {
  if (spec.mode === 'growing') return spec
  const count = spec.count + spec.warm + (spec.mode === 'durable' ? spec.alone : 0)
  return { ...spec, acts: actsFor(spec.load, count, spec.seed) }
}

/** The acts of a spec, in a file that is made once for all contenders of a round. */
function actsFor(load: LoadName, count: number, seed: number): string {
  actFiles ??= scratchFolder('bench-acts')
  const file = join(actFiles, `${load}-${count}-${seed}.jsonl`)
  if (!existsSync(file)) {
    // a round needs a few of them, and the rounds before none any more
    for (const old of readdirSync(actFiles)) if (!old.endsWith(`-${seed}.jsonl`)) rmSync(join(actFiles, old))
    writeActs(file, acts(load, count, seed))
  }
  return file
}

let actFiles: string | undefined

// What is to be cleared away when this process ends, or is told to.
const folders = new Set<string>()
const children = new Set<ChildProcess>()

/** A new folder, gone by the end of this process at the latest. */
export function scratchFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `counterfoil-${name}-`))
  folders.add(folder)
  return folder
}

export function clear(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  folders.delete(folder)
}

export function clearAwayAtEnd(): void {
  process.on('exit', () => {
    for (const child of children) child.kill('SIGKILL')
    for (const folder of folders) clear(folder)
  })
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) process.on(signal, () => process.exit(code))
}

interface Child { readonly process: ChildProcess; readonly done: Promise<'done'>; readonly ended: Promise<{ said: string; why: string }> }

function start(contender: Contender, spec: Spec): Child {
  const script = join(import.meta.dirname, 'child.ts')
  const [command, ...args] = contender.program ?? ([process.execPath, '--expose-gc', '--disable-warning=ExperimentalWarning', script] as const)
  const child = spawn(command, [...args, JSON.stringify(spec)], { stdio: ['ignore', 'ignore', 'pipe', 'pipe'], env: environment() })
  children.add(child)
  let [said, stderr] = ['', '']
  const result = child.stdio[3] as Readable
  const done = new Promise<'done'>((resolve) => {
    result.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.startsWith('done')) resolve('done')
    })
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => { stderr = `${stderr}${text}`.slice(-4_000) })
  const ended = new Promise<{ said: string; why: string }>((resolve) => {
    child.on('error', (error) => resolve({ said: '', why: error.message }))
    child.on('close', (code, signal) => {
      children.delete(child)
      resolve({ said, why: firstError(stderr) ?? `ended with ${signal ?? `exit code ${code}`} and no result` })
    })
  })
  return { process: child, done, ended }
}

/** A user's own settings of the SDKs would change what is measured. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(COUNTERFOIL|OTEL|LANGFUSE|LANGSMITH|LANGCHAIN|OPIK)_/.test(name) && name !== 'NODE_OPTIONS')
  return Object.fromEntries(own)
}

function firstError(stderr: string): string | undefined {
  return (/^(?:\w*Error.*)$/m.exec(stderr)?.[0] ?? stderr.trim().split('\n').at(-1))?.slice(0, 200) || undefined
}

function bytesIn(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0)
}
