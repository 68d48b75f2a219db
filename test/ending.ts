// An agent that records without awaiting anything, and then ends in one of the ways in which processes end.

import { join } from 'node:path'
import { openTrail } from '../src/index.ts'
import { root } from './built-package.ts'
import { startChild, type Ended } from './child.ts'
import type { Scratch } from './scratch.ts'

/** What the child does after it has recorded. `from` outside: the parent kills it when it says that it is done. */
export const ENDINGS: { readonly [name: string]: { readonly code: string; readonly node?: readonly string[]; readonly kill?: NodeJS.Signals } } = {
  'its natural end': { code: '' },
  'process.exit(0)': { code: 'process.exit(0)' },
  'process.exit(3)': { code: 'process.exit(3)' },
  'a throw': { code: "throw new Error('the agent fell over')" },
  'an unhandled rejection': { code: "Promise.reject(new Error('nobody caught this')); setInterval(() => {}, 1000)" },
  SIGTERM: { code: "process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000)" },
  SIGINT: { code: "process.kill(process.pid, 'SIGINT'); setInterval(() => {}, 1000)" },
  'SIGKILL from outside': { code: "process.stdout.write('done'); setInterval(() => {}, 1000)", kill: 'SIGKILL' },
  'SIGTERM from outside': { code: "process.stdout.write('done'); setInterval(() => {}, 1000)", kill: 'SIGTERM' },
  'process.abort()': { code: 'process.abort()' },
  'no memory left': { code: 'const all: unknown[] = []; for (;;) all.push(new Array(1000).fill(Math.random()))', node: ['--max-old-space-size=64'] },
}

const RECORD = `
  import { AgentAuditTrail } from ${JSON.stringify(join(root, 'src/index.ts'))}
  const trail = process.argv[2] === '' ? undefined : new AgentAuditTrail(process.argv[2], 'agent-1', 'm-1', 'be good')
  for (let i = 0; i < Number(process.argv[3]); i++) trail?.log('step', { i })
`

const IN_A_WORKER = `
  import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
  if (isMainThread) {
    new Worker(new URL(import.meta.url), { workerData: process.argv }).on('message', () => process.exit(0))
  } else {
    const { AgentAuditTrail } = await import(${JSON.stringify(join(root, 'src/index.ts'))})
    const trail = workerData[2] === '' ? undefined : new AgentAuditTrail(workerData[2], 'agent-1')
    for (let i = 0; i < Number(workerData[3]); i++) trail?.log('step', { i })
    parentPort!.postMessage('done')
    setInterval(() => {}, 1000)
  }
`

/** Runs the agent to its end, `db` '' without us. */
export async function end(name: string, db: string, home: string, events: number): Promise<Ended> {
  const { code, node = [], kill } = ENDINGS[name] ?? { code: '' }
  const source = name === 'the end of the main thread' ? IN_A_WORKER : RECORD + code
  const { child, said, ended } = startChild(source, [db, String(events)], { COUNTERFOIL_HOME: home }, { node })
  if (kill !== undefined) {
    child.stdout!.on('data', () => { if (said().includes('done')) child.kill(kill) })
  }
  return ended
}

/** What is on record after the next open: the numbers that were recorded, and the events of the session around them. */
export async function onRecord({ db }: Scratch): Promise<{ numbers: number[]; whole: boolean; states: string[]; interrupted: number }> {
  await using trail = openTrail(db)
  await trail.ready()
  const numbers: number[] = []
  for await (const event of trail.events({ event_type: 'custom' })) numbers.push((event.content as { i: number }).i)
  const states = (await trail.sessions().all()).map(({ state }) => state)
  return { numbers, states, whole: (await trail.verify()).whole, interrupted: await trail.events({ event_type: 'session_interrupted' }).count() }
}

/** 0 to `count` - 1. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}
