// `node bench/caller.ts`: what recording costs the agent's own thread, by stage: the recorder alone, with the spool, with the ledger's worker
// beside it; below it JSON written to a file. Then the growing conversation: a step against one JSON.stringify of its request.

import { AsyncLocalStorage } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { modelCallsOf } from '../src/event/model-call.ts'
import { defaultMasks } from '../src/event/mask.ts'
import { openTrail } from '../src/index.ts'
import { LOCAL_POLICY } from '../src/recorder/policy.ts'
import { AgentSession, type SessionHost } from '../src/recorder/session.ts'
import { createSpool } from '../src/spool/writer.ts'
import { readRequest } from '../src/wire/anthropic.ts'
import { conversation } from '../test/growing.ts'
import { acts, type ModelAct as Pair } from './load.ts'

const count = Number(process.env['BENCH_PAIRS'] ?? 400)
const steps = Number(process.env['BENCH_STEPS'] ?? 100)

interface Stage { record(pair: Pair): void; close(): Promise<void> }

const STAGES: { readonly [name: string]: (folder: string) => Promise<Stage> } = {
  'JSON to a file': async (folder) => {
    const fd = openSync(join(folder, 'plain.jsonl'), 'a')
    return { record: (pair) => { for (const event of [pair.call, pair.result]) writeSync(fd, `${JSON.stringify(event)}\n`) }, close: async () => {} }
  },
  'recorder alone': async () => recorderInto(() => {}),
  'and spool': async (folder) => {
    const spool = createSpool(join(folder, 'alone.spool'), { origin: 'bench', key: randomBytes(32) })
    return recorderInto((draft) => spool.append(draft))
  },
  'and worker': async (folder) => {
    const trail = openTrail(join(folder, 'audit.db'), { agent_id: 'bench', home: join(folder, 'home') })
    const session = await trail.start({})
    return { record: (pair) => recordPair(session, pair), close: async () => { await session.end(); await trail.close() } }
  },
}

function recorderInto(accept: (draft: Uint8Array) => unknown): Stage {
  const sink = { accept: (_id: string, draft: Uint8Array) => void accept(draft), reach: () => Promise.reject(new Error('bench: nothing is durable here')), room: async () => {} }
  const host = { sink, clock: Date.now, masks: defaultMasks, report: console.error, lost: () => {}, current: new AsyncLocalStorage<AgentSession>(), defaults: { agent_id: 'bench' }, policy: LOCAL_POLICY, approve: undefined, oversight: { approval: () => Promise.reject(new Error('bench: nobody is asked here')), matches: async () => [], watch: () => () => {} }, subjects: new Map(), ready: async () => {}, rows: async () => [] } satisfies SessionHost
  const session = AgentSession.begin(host, {})
  return { record: (pair) => recordPair(session, pair), close: async () => {} }
}

function recordPair(session: { record(event_type: string, event: object): unknown }, { call, result }: Pair): void {
  session.record('llm_call', call)
  session.record('llm_result', result)
}

async function measureStage(open: (folder: string) => Promise<Stage>, everyMs: number): Promise<number[]> {
  return inFolder(async (folder) => {
    const stage = await open(folder)
    const times: number[] = []
    for (const pair of acts('model', count + 50, 1) as Pair[]) {
      const began = performance.now()
      stage.record(pair)
      times.push((performance.now() - began) * 1_000)
      if (everyMs > 0) await new Promise((resolve) => setTimeout(resolve, everyMs))
    }
    await stage.close()
    return times.slice(50)
  })
}

/** By hand, and as the Anthropic client does it from the request's text: medians of a step's time, its call and its result, in units of one JSON.stringify of its messages. */
async function measureGrowing(wire: boolean): Promise<number> {
  return inFolder(async (folder) => {
    const trail = openTrail(join(folder, 'audit.db'), { agent_id: 'bench', home: join(folder, 'home') })
    const session = await trail.start({})
    const all = JSON.parse(JSON.stringify(conversation(steps, 1))) as object[]
    const ratios: number[] = []
    for (let step = 0; step < steps; step++) {
      const messages = all.slice(0, 2 * step + 1)
      const body = JSON.stringify({ model: 'm', max_tokens: 4096, messages })
      const byHand = (): void => {
        session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: messages })
        session.record('llm_result', { output_text: 'x', stop_reason: 'end_turn' })
      }
      const byClient = (): void => modelCallsOf(session)!().call(readRequest(body, { endpoint: '/v1/messages', attempt: 0 })).finish({ outcome: 'success', complete: true, output: [], output_text: 'x', stop_reason: 'end_turn', tool_calls_requested: [], thinking: [] })
      const times = { record: 0, stringify: 0 }
      const record = (): void => { times.record = time(wire ? byClient : byHand) }
      const stringify = (): void => { times.stringify = time(() => JSON.stringify(messages)) }
      // whoever comes second finds the caches warm: they take turns
      for (const measure of step % 2 === 0 ? [record, stringify] : [stringify, record]) measure()
      if (step >= steps / 2) ratios.push(times.record / times.stringify)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await session.end()
    await trail.close()
    return quantile(ratios, 0.5)
  })
}

function time(run: () => unknown): number {
  const began = performance.now()
  run()
  return performance.now() - began
}

async function inFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-bench-'))
  try {
    return await run(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
}

console.log(`A 5 KB pair, ${count} of them; µs of the caller\n`)
console.log(['', 'paced p50', 'p99', 'tight p50', 'p99'].map((cell, i) => (i === 0 ? cell.padEnd(18) : cell.padStart(10))).join(''))
for (const [name, open] of Object.entries(STAGES)) {
  const [paced, tight] = [await measureStage(open, 2), await measureStage(open, 0)]
  console.log(name.padEnd(18) + [paced, tight].flatMap((times) => [0.5, 0.99].map((q) => quantile(times, q).toFixed(0).padStart(10))).join(''))
}
console.log(`\nA conversation of ${steps} steps, its second half: a step takes ${(await measureGrowing(false)).toFixed(2)} times one JSON.stringify of its messages by hand, ${(await measureGrowing(true)).toFixed(2)} times from a client's request`)
