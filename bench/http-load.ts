// One measurement of appending to a server, in a process of its own.
//
//   node bench/http-load.ts SPEC     the result goes to file descriptor 3, as JSON

import { writeSync } from 'node:fs'
import { uuidv7 } from '../src/base/ids.ts'
import { openTrail } from '../src/index.ts'
import { acts, type Act } from './load.ts'

/** `post`: requests of `batch` events, `lanes` at once, each answered when it is durable. `trail`: openTrail, until all is acknowledged. */
export interface HttpSpec { readonly how: 'post' | 'trail'; readonly url: string; readonly key: string; readonly home: string; readonly count: number; readonly warm: number; readonly seed: number; readonly batch: number; readonly lanes: number }
/** `callerUs`: in the recording calls, one figure an act; none for `post`. */
export interface HttpResult { readonly perSecond: number; readonly callerUs: readonly number[] }

async function post({ url, key, batch, lanes }: HttpSpec, all: readonly Act[]): Promise<void> {
  const events: object[] = []
  for (const [i, { kind, call, result }] of all.entries()) {
    const session_id = sessions[i % lanes]!
    const event_id = uuidv7(Date.now())
    events.push({ event_type: kind === 'model' ? 'llm_call' : 'tool_call', session_id, event_id, ...call }, { event_type: kind === 'model' ? 'llm_result' : 'tool_result', session_id, parent_event_id: event_id, ...result })
  }
  const bodies: string[] = []
  for (let from = 0; from < events.length; from += batch) bodies.push(JSON.stringify(events.slice(from, from + batch)))
  await Promise.all(Array.from({ length: lanes }, async () => {
    for (let body = bodies.shift(); body !== undefined; body = bodies.shift()) {
      const answer = await fetch(`${url}/v1/events`, { method: 'POST', body, headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' } })
      const { receipts } = (await answer.json()) as { receipts?: { level?: string }[] }
      if (receipts?.every(({ level }) => level === 'durable') !== true) throw new Error(`bench: not durable: ${answer.status}`)
    }
  }))
}

const spec = JSON.parse(process.argv[2]!) as HttpSpec
const all = acts('model', spec.count + spec.warm, spec.seed)
const [load, warm] = [all.slice(0, spec.count), all.slice(spec.count)]
const sessions = Array.from({ length: spec.lanes }, () => uuidv7(Date.now()))
const callerUs: number[] = []
let began: bigint
if (spec.how === 'post') {
  await post(spec, warm)
  began = process.hrtime.bigint()
  await post(spec, load)
} else {
  const trail = openTrail(spec.url, { key: spec.key, home: spec.home, agent_id: 'bench' })
  const session = await trail.start({})
  const record = ({ call, result }: Act): void => {
    const { event_id } = session.record('llm_call', call as never)
    session.record('llm_result', { ...result, parent_event_id: event_id })
  }
  for (const act of warm) record(act)
  await trail.flush()
  began = process.hrtime.bigint()
  for (const act of load) {
    const from = process.hrtime.bigint()
    record(act)
    callerUs.push(Number(process.hrtime.bigint() - from) / 1_000)
  }
  await trail.flush()
}
const seconds = Number(process.hrtime.bigint() - began) / 1e9
writeSync(3, JSON.stringify({ perSecond: (2 * spec.count) / seconds, callerUs } satisfies HttpResult))
process.exit(0)
