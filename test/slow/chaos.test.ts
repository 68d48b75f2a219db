// A server and its clients under load, each killed again and again, and the network cut in between: nothing acknowledged is lost, nothing is there twice, the
// order of each process stays, the log verifies. MINUTES=10 for the whole run, with a kill of the server every 20 s.

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openTrail } from '../../src/index.ts'
import { root } from '../built-package.ts'
import { startChild } from '../child.ts'
import { scratch } from '../scratch.ts'
import { testServer } from '../served.ts'
import { TcpProxy } from '../tcp-proxy.ts'

const MS = Number(process.env['MINUTES'] ?? 0.4) * 60_000
const SERVER_LIVES_MS = Math.min(20_000, MS / 3)
const CLIENTS = 3
/** What is left to be sent gets less within this. */
const STUCK_MS = 60_000

/** Writes `+ id` when an event is accepted, `! id` when it is durable; one write each. */
const AGENT = `
  const [, , index, url, key, home, lines] = process.argv
  const { openTrail } = await import(index)
  const { openSync, writeSync } = await import('node:fs')
  const fd = openSync(lines, 'a')
  const trail = openTrail(url, { key, home, agent_id: 'agent-1', report: () => {} })
  const session = await trail.start({})
  for (let i = 0; ; i++) {
    const recorded = session.record('custom', { name: 'step', content: { i, text: 'what the agent did '.repeat(10) } })
    if (recorded.problem === undefined) writeSync(fd, '+ ' + recorded.event_id + '\\n')
    if (i % 7 === 0) recorded.durable().then(() => writeSync(fd, '! ' + recorded.event_id + '\\n'), () => {})
    if (i % 5 === 0) await new Promise((done) => setTimeout(done, 5))
  }
`

test(`${(MS / 60_000).toFixed(1)} minutes of killing`, { timeout: 600_000 + 5 * MS }, async () => {
  const at = scratch()
  const first = await testServer(at)
  const keys = Array.from({ length: CLIENTS }, (_, i) => first.key('agent', { id: `bot-${i}` }))
  const proxy = await TcpProxy.to(first.url)
  await first.served.close()
  let ends = performance.now() + MS
  const kills = { server: 0, clients: 0, network: 0 }
  const files: { writer: string; lines: string }[] = []
  const alive = new Set<ChildProcess>()
  onTestFinished(() => { for (const child of alive) child.kill('SIGKILL') }) // also when the time is up

  const keepServer = async (): Promise<void> => {
    while (performance.now() < ends) {
      const { child, url } = await startServer(at.db, at.home)
      alive.add(child)
      if (kills.server === 0) ends = performance.now() + MS // a busy machine starts it late
      proxy.target = Number(new URL(url).port)
      const before = receipts(files)
      await sleep(Math.min(SERVER_LIVES_MS, Math.max(0, ends - performance.now())))
      for (let wait = 0; receipts(files) === before && wait < 600; wait++) await sleep(50) // on a busy machine everything takes its time
      const gone = new Promise((done) => child.once('exit', done))
      child.kill('SIGKILL')
      await gone
      alive.delete(child)
      kills.server++
    }
  }
  const keepClient = async (i: number): Promise<void> => {
    const home = join(at.folder, `client-${i}`)
    mkdirSync(home, { mode: 0o700 })
    for (let life = 0; performance.now() < ends; life++) {
      const lines = join(at.folder, `lines-${i}-${life}`)
      files.push({ writer: `bot-${i}`, lines })
      const { child, ended } = startChild(AGENT, [pathToFileURL(join(root, 'src/index.ts')).href, proxy.url, keys[i]!, home, lines], {})
      alive.add(child)
      await sleep(Math.min(SERVER_LIVES_MS * (0.5 + Math.random()), Math.max(0, ends - performance.now())))
      for (let wait = 0; !textOf(lines).includes('!') && performance.now() < ends && wait < 600; wait++) await sleep(50)
      child.kill('SIGKILL')
      await ended
      alive.delete(child)
      kills.clients++
    }
  }
  const cutNetwork = async (): Promise<void> => {
    while (performance.now() < ends) {
      await sleep(500 + Math.random() * 3_000)
      proxy.weather = (['fine', 'lost', 'half', '503'] as const)[Math.floor(Math.random() * 4)]!
      proxy.cut()
      await sleep(Math.random() * 1_000)
      proxy.weather = 'fine'
      kills.network++
    }
  }
  await Promise.all([keepServer(), cutNetwork(), ...keys.map((_, i) => keepClient(i))])

  const last = await testServer(at)
  proxy.target = Number(new URL(last.url).port)
  for (const [i, key] of keys.entries()) {
    const trail = openTrail(proxy.url, { key, home: join(at.folder, `client-${i}`), agent_id: 'agent-1', report: () => {} })
    await trail.ready()
    let [least, since] = [Infinity, performance.now()]
    while (trail.status().left > 0 && performance.now() - since < STUCK_MS) {
      await sleep(50)
      if (trail.status().left < least) [least, since] = [trail.status().left, performance.now()]
    }
    expect(trail.status().left).toBe(0)
    await trail.close()
  }
  await using log = openTrail(at.db, { home: at.home })
  const recorded = (await log.events({ event_type: 'custom' }).all()).map(({ event_id }) => event_id)
  const places = new Map(recorded.map((id, place) => [id, place]))
  let [accepted, acknowledged] = [0, 0]
  expect(places.size).toBe(recorded.length)
  for (const { lines } of files) {
    const told = textOf(lines).split('\n')
    const own = told.filter((line) => line.startsWith('+ ')).map((line) => line.slice(2))
    for (const id of told.filter((line) => line.startsWith('! ')).map((line) => line.slice(2))) {
      acknowledged++
      expect(places.has(id), `${id} had a receipt`).toBe(true)
    }
    expect(own.filter((id) => !places.has(id)), 'accepted, and not on record').toEqual([])
    const order = own.map((id) => places.get(id)!)
    expect(order).toEqual(order.toSorted((a, b) => a - b))
    accepted += own.length
  }
  process.stderr.write(`\n${recorded.length} on record of ${accepted} accepted, ${acknowledged} with a receipt; killed: the server ${kills.server}×, clients ${kills.clients}×, the network cut ${kills.network}×\n`)
  expect(Math.min(accepted, acknowledged)).toBeGreaterThan(0)
  expect(recorded.length).toBeGreaterThanOrEqual(accepted) // one may be accepted and killed before it was told
  expect((await log.verify()).whole).toBe(true)
  await proxy.down()
})

function receipts(files: readonly { readonly lines: string }[]): number {
  return files.reduce((sum, { lines }) => sum + textOf(lines).split('!').length - 1, 0)
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // killed before it began
  }
}

async function startServer(db: string, home: string): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), 'serve', '--json', '--trail', db, '--port', '0'], { env: { ...process.env, NODE_OPTIONS: '', COUNTERFOIL_HOME: home }, stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`the server ended before it said where it is: ${said}`)))
    child.stdout.on('data', (chunk: Buffer) => {
      said += String(chunk)
      const found = /"url":\s*"([^"]+)"/.exec(said)?.[1]
      if (found !== undefined) resolve(found)
    })
  })
  return { child, url }
}
