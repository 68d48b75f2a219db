// Durable events a second through a server, beside the same events into a file in the same rounds.

import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { serve } from '../../src/server/serve.ts'
import { contenderNamed } from '../contenders/all.ts'
import type { HttpResult, HttpSpec } from '../http-load.ts'
import type { Options, Part } from '../part.ts'
import { clear, measure, scratchFolder } from '../run.ts'
import { median, quantile, ratio, spread } from '../statistics.ts'
import { figure, tableText } from '../table.ts'

const BATCH = 50
const LANES = 4
const WAYS: { readonly local: string; readonly post: string; readonly trail: string } = { local: 'into a file', post: `POST /v1/events, ${BATCH} events each, ${LANES} at once`, trail: "openTrail('https://…'), until all is acknowledged" }

export interface HttpData { readonly count: number; readonly perSecond: { readonly [way in keyof typeof WAYS]: number[] }; readonly callerP50: number[]; readonly callerP99: number[] }

async function run({ rounds, quick, until }: Options, keep: (data: HttpData, rounds: number) => void): Promise<void> {
  const [count, warm] = quick ? [300, 50] : [5_000, 500]
  const data: HttpData = { count, perSecond: { local: [], post: [], trail: [] }, callerP50: [], callerP99: [] }
  for (let round = 0; round < rounds && performance.now() < until; round++) {
    const seed = 300 + round
    data.perSecond.local.push((await measure(contenderNamed('counterfoil'), { mode: 'durable', load: 'model', count, alone: 0, warm, sessions: 1, seed })).result.perSecond)
    for (const how of ['post', 'trail'] as const) {
      const { perSecond, callerUs } = await throughServer({ how, count, warm, seed, batch: BATCH, lanes: LANES })
      data.perSecond[how].push(perSecond)
      if (how === 'trail') {
        data.callerP50.push(quantile(callerUs, 0.5))
        data.callerP99.push(quantile(callerUs, 0.99))
      }
    }
    keep(data, round + 1)
  }
}

/** The server is in this process, the client in one of its own. */
async function throughServer(order: Omit<HttpSpec, 'url' | 'key' | 'home'>): Promise<HttpResult> {
  const folder = scratchFolder('http')
  const home = join(folder, 'home')
  mkdirSync(home, { mode: 0o700 })
  const served = await serve({ trail: join(folder, 'audit.db'), port: 0, host: '127.0.0.1', version: 'bench', options: { home }, report: (problem) => process.stderr.write(`${String(problem)}\n`) })
  try {
    const { people, keys } = served.parts
    people.put({ id: 'bench', tenant: 'default', kind: 'agent', name: 'bench', roles: ['agent'] })
    const { key } = keys.issue({ tenant: 'default', principal: 'bench' })
    const spec: HttpSpec = { ...order, url: served.url, key, home: join(folder, 'client') }
    mkdirSync(spec.home, { mode: 0o700 })
    const child = spawn(process.execPath, [join(import.meta.dirname, '../http-load.ts'), JSON.stringify(spec)], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] })
    let said = ''
    ;(child.stdio[3] as Readable).on('data', (chunk: Buffer) => { said += String(chunk) })
    const code = await new Promise((done) => child.on('close', done))
    if (said === '') throw new Error(`the client ended with ${String(code)}`)
    return JSON.parse(said) as HttpResult
  } finally {
    await served.close()
    clear(folder)
  }
}

export const part: Part = {
  order: 42,
  about: 'durable events a second through a server, in batches and by openTrail, beside the local figure of the same rounds',
  run,
  show({ count, perSecond, callerP50, callerP99 }: HttpData) {
    return tableText({
      title: `Through a server on this machine: ${(2 * count).toLocaleString('en-US')} events of 2.5 KB until all are durable`,
      columns: ['', 'events/s', '±', 'of local', 'caller p50 µs', 'p99 µs'],
      rows: Object.entries(WAYS).map(([way, says]) => {
        const own = perSecond[way as keyof typeof WAYS]
        return [says, figure(median(own)), figure(spread(own)), `${figure(ratio(own, perSecond.local))}×`, ...(way === 'trail' ? [figure(median(callerP50)), figure(median(callerP99))] : ['', ''])]
      }),
    })
  },
}
