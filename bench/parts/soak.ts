// Half the rate at which events become durable here, for half an hour, in sessions that begin and end: memory, delay, files and lag every five
// seconds. Then everything is drained, counted, and verified by a process of its own on all cores. Measured only when it is named.

import { execFile } from 'node:child_process'
import { readdirSync, statfsSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Session } from '../../src/index.ts'
import { contenderNamed } from '../contenders/all.ts'
import { FLAT, growth, type Sample } from '../growth.ts'
import { flat, acts, modelAct, type ModelAct } from '../load.ts'
import type { Options, Part } from '../part.ts'
import type { Verified } from '../verified.ts'
import { clear, measure, scratchFolder } from '../run.ts'
import { median } from '../statistics.ts'
import { figure } from '../table.ts'

const SESSIONS = 16
/** Acts of a session before it ends and another one begins. */
const LENGTH = 250
const TICK_MS = 10
const SAMPLE_MS = 5_000
/** Seen on this load, with room: what an act takes on the disk. */
const BYTES_AN_ACT = 8_000

export interface SoakData {
  readonly minutes: number
  /** Acts a second asked for, and the events a second that were measured before; null when the rate was given. */
  readonly rate: number
  readonly measured: number | null
  readonly samples: readonly Sample[]
  readonly reports: readonly string[]
  /** Null while it runs. */
  readonly end: { readonly drainedIn: number; readonly verifiedIn: number; readonly verifierRss?: number; readonly whole: boolean; readonly acts: number; readonly calls: number; readonly results: number; readonly sessions: number; readonly ended: number; readonly lost: number } | null
}

async function run(options: Options, keep: (data: SoakData, rounds: number) => void): Promise<void> {
  const minutes = options.minutes ?? (options.quick ? 0.1 : 30)
  const measured = options.rate === undefined ? await durableRate(options.quick) : null
  const rate = options.rate ?? measured! / 4 // half of it, and two events an act
  const folder = scratchFolder('soak')
  try {
    const [free, needed] = [statfsSync(folder).bavail * statfsSync(folder).bsize, rate * minutes * 60 * BYTES_AN_ACT]
    if (free < needed) throw new RangeError(`bench: expected ${figure(needed / 1e9)} GB free in ${tmpdir()} for ${minutes} minutes at ${figure(rate)} acts/s, got ${figure(free / 1e9)}; take a lower --rate`)
    process.stderr.write(`  ${figure(rate)} acts/s for ${minutes} minutes\n`)
    await soak(folder, minutes, rate, (samples, reports, end) => keep({ minutes, rate, measured, samples, reports, end }, 1))
  } finally {
    clear(folder)
  }
}

async function durableRate(quick: boolean): Promise<number> {
  const rates: number[] = []
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    rates.push((await measure(contenderNamed('counterfoil'), { mode: 'durable', load: 'model', count: quick ? 300 : 5_000, alone: 1, warm: 500, sessions: 1, seed: 500 + round })).result.perSecond)
  }
  return median(rates)
}

async function soak(folder: string, minutes: number, rate: number, keep: (samples: Sample[], reports: string[], end: SoakData['end']) => void): Promise<void> {
  const { openTrail } = await import('../../src/index.ts')
  const reports: string[] = []
  const [db, home] = [join(folder, 'audit.db'), join(folder, 'home')]
  const trail = openTrail(db, { agent_id: 'soak', home, report: ({ message }) => { reports.push(message) } })
  const pool = acts('model', 4_000, 600) as ModelAct[]
  const counts = { acts: 0, begun: 0, ended: 0 }
  const pending = new Set<Promise<unknown>>()
  const soon = (work: Promise<unknown>): void => {
    const done = work.catch((error: Error) => { reports.push(error.message) }).finally(() => { pending.delete(done) })
    pending.add(done)
  }
  const begin = async (): Promise<Live> => {
    counts.begun++
    return { session: await trail.start({ user_id: `c-${counts.begun}` }), acts: 0 }
  }
  const live: (Live | undefined)[] = await Promise.all(Array.from({ length: SESSIONS }, begin))
  const record = (): void => {
    const slot = counts.acts % SESSIONS
    const at = live[slot] ?? live.find((other) => other !== undefined)!
    const { call, result } = numbered(pool[counts.acts % pool.length]!, counts.acts)
    const { event_id } = at.session.record('llm_call', call)
    at.session.record('llm_result', { ...result, parent_event_id: event_id })
    counts.acts++
    if (++at.acts < LENGTH || live.indexOf(at) === -1 || live.filter((other) => other !== undefined).length === 1) return
    const place = live.indexOf(at)
    live[place] = undefined
    soon(at.session.end({ outcome: 'success' }).then(() => { counts.ended++ }))
    soon(begin().then((next) => { live[place] = next }))
  }

  const samples: Sample[] = []
  const watch = sampler(folder, () => ({ ...trail.status(), errors: reports.length }))
  const began = performance.now()
  const until = began + minutes * 60_000
  let next = began + SAMPLE_MS
  for (let now = began; now < until; now = performance.now()) {
    for (const due = Math.floor(((now - began) / 1_000) * rate); counts.acts < due;) record()
    if (now >= next) {
      next += SAMPLE_MS
      samples.push(watch((now - began) / 1_000))
      if (samples.length % 12 === 1) keep(samples, reports, null)
    }
    await sleep(TICK_MS)
  }
  await Promise.all(pending)
  for (const at of live) if (at !== undefined) await at.session.end({ outcome: 'success' }).then(() => { counts.ended++ })
  await trail.flush()
  const drainedIn = (performance.now() - until) / 1_000
  samples.push(watch((performance.now() - began) / 1_000))
  keep(samples, reports, null)
  const { lost } = trail.status()
  await trail.close()
  const end = { drainedIn, acts: counts.acts, ...counted(db), sessions: counts.begun, ended: counts.ended, lost }
  process.stderr.write(`  ${JSON.stringify(end)}\n`)
  const { seconds, rss, whole } = await verified(db, home)
  keep(samples, reports, { ...end, verifiedIn: seconds, verifierRss: rss, whole })
}

async function verified(db: string, home: string): Promise<Verified> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(import.meta.dirname, '../verified.ts'), db, home])
  return JSON.parse(stdout) as Verified
}

interface Live { readonly session: Session; acts: number }

/** The text of the pool over again, but each act's first message is its own: nothing is a message seen before. */
function numbered({ call, result }: ModelAct, number: number): ModelAct {
  const mine = call.input_messages.map(({ role, content }, i) => ({ role, content: flat(`${number}.${i} ${content}`) }))
  return modelAct(mine, flat(`${number} ${result.output_text}`))
}

function sampler(folder: string, status: () => { spooled: number; accepted: number; size: number; errors: number }): (seconds: number) => Sample {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  let [cpu, at] = [process.cpuUsage(), performance.now()]
  return (seconds) => {
    const { rss, heapUsed } = process.memoryUsage()
    const { accepted, size, errors } = status()
    const used = process.cpuUsage(cpu)
    const share = (used.user + used.system) / 1_000 / (performance.now() - at)
    const sample: Sample = {
      seconds, rss, heap: heapUsed, delayP50: delay.percentile(50) / 1e6, delayP99: delay.percentile(99) / 1e6, delayMax: delay.max / 1e6,
      spool: bytesOf(join(folder, 'audit.db.spool')), wal: bytesOf(join(folder, 'audit.db-wal')), database: bytesOf(join(folder, 'audit.db')), accepted, lag: accepted - size, errors, cpu: share,
    }
    delay.reset()
    ;[cpu, at] = [process.cpuUsage(), performance.now()]
    return sample
  }
}

/** Of a file, or of the files in a folder; 0 when there is none. */
function bytesOf(path: string): number {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats?.isDirectory() !== true) return stats?.size ?? 0
  return readdirSync(path).reduce((sum, name) => sum + (statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0), 0)
}

/** Counted in the database, past everything of ours but the schema. */
function counted(file: string): { calls: number; results: number } {
  const db = new DatabaseSync(file, { readOnly: true })
  const of = (type: string): number => Number(db.prepare('SELECT count(*) AS n FROM entries WHERE event_type = ?').get(type)!['n'])
  const counts = { calls: of('llm_call'), results: of('llm_result') }
  db.close()
  return counts
}

export const part: Part = {
  order: 90,
  about: 'only when named: half the durable rate for --minutes (30), --rate acts a second when given',
  alone: true,
  run,
  show({ minutes, rate, measured, samples, reports, end }: SoakData) {
    const running = end === null ? samples : samples.slice(0, -1)
    const memory = growth(running, ({ rss }) => rss)
    const most = (of: (sample: Sample) => number): number => Math.max(...running.map(of))
    const mb = (bytes: number): string => `${figure(bytes / 2 ** 20)} MB`
    return [
      `Soak: ${figure(2 * rate)} events/s for ${minutes} minutes${measured === null ? '' : `, half of the ${figure(measured)}/s measured before`}, in ${SESSIONS} sessions at a time`,
      memory === undefined ? '  memory: too few samples to say whether it is flat'
        : `  memory ${mb(memory.middle)}, over the second half ${memory.grown < 0 ? '−' : '+'}${mb(Math.abs(memory.grown))}: ${memory.flat ? 'flat' : 'NOT FLAT'} (the rule: no more than ${FLAT * 100} % of its median there)`,
      ...(running.length === 0 ? [] : [`  event loop p99 ${figure(median(running.map(({ delayP99 }) => delayP99)))} ms, longest ${figure(most(({ delayMax }) => delayMax))} ms; lag at most ${figure(most(({ lag }) => lag))} events, spool ${mb(most(({ spool }) => spool))}, WAL ${mb(most(({ wal }) => wal))}`]),
      `  errors ${reports.length}${reports.length === 0 ? '' : `: ${reports[0]}`}`,
      end === null ? '  it did not come to its end'
        : `  drained in ${figure(end.drainedIn)} s; ${end.acts.toLocaleString('en-US')} acts recorded, ${end.calls === end.acts && end.results === end.acts ? 'as many calls and results on record' : `${end.calls} calls and ${end.results} results ON RECORD`}, ${end.ended} of ${end.sessions} sessions ended; ${end.whole ? 'verifies' : 'DOES NOT VERIFY'} (${figure(end.verifiedIn)} s on all cores${end.verifierRss === undefined ? '' : `, RSS up to ${mb(end.verifierRss)}`})`,
      '',
    ]
  },
}
