// What the caller waits for, and what it costs besides.

import { readFileSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contender, Recorder } from '../contender.ts'
import { readActs, type Act } from '../load.ts'
import { CAP_MS, type CallerResult, type CallerSpec } from '../spec.ts'

export async function measure(spec: CallerSpec, contender: Contender): Promise<CallerResult> {
  const all = readActs(spec.acts)
  const [load, warm] = [all.slice(0, spec.count), all.slice(spec.count)]
  const recorder = await contender.open!(spec)
  await recordAll(recorder, warm, spec.sessions, 0)
  await recorder.settle()
  await sleep(100)
  globalThis.gc?.()
  const memory = peakMemory()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const before = process.cpuUsage()
  const times = await recordAll(recorder, load, spec.sessions, spec.everyMs)
  delay.disable()
  const settled = await Promise.race([recorder.settle().then(() => true), sleep(CAP_MS, false, { ref: false })])
  const { user, system } = process.cpuUsage(before)
  const rss = memory()
  if (settled) await Promise.race([recorder.close(), sleep(CAP_MS, undefined, { ref: false })])
  return { times, loopMs: spec.everyMs === 0 ? null : delay.percentile(99) / 1e6, cpu: (user + system) / spec.count, rss, settled }
}

async function recordAll(recorder: Recorder, load: readonly Act[], sessions: number, everyMs: number): Promise<number[]> {
  const times = new Array<number>(load.length)
  for (let i = 0; i < load.length; i++) {
    const act = load[i]!
    const began = process.hrtime.bigint()
    recorder.record(act, i % sessions)
    times[i] = Number(process.hrtime.bigint() - began) / 1_000
    if (everyMs > 0) await sleep(everyMs)
  }
  return times
}

/** Begins to watch resident memory; the function says how far its peak has risen since, in bytes. The kernel keeps the peak, and Linux lets it be reset. */
function peakMemory(): () => number {
  const peak = (): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? Number.NaN) * 1_024
  try {
    writeFileSync('/proc/self/clear_refs', '5')
    const from = peak()
    return () => peak() - from
  } catch {
    const from = process.memoryUsage.rss()
    return () => Math.max(0, process.resourceUsage().maxRSS * 1_024 - from)
  }
}
