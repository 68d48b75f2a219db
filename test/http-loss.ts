// The HTTP axis of the loss matrix: an agent records to a server over a network that misbehaves, without awaiting anything, and ends. What was accepted
// must be on record, once and in order, when the network is well again and somebody opens the trail on that machine.

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { openTrail } from '../src/index.ts'
import { root } from './built-package.ts'
import { startChild } from './child.ts'
import { ENDINGS } from './ending.ts'
import { ENDS } from './loss.ts'
import type { TestServer } from './served.ts'
import { TcpProxy } from './tcp-proxy.ts'

export const NETWORKS = ['fast', '100 ms', '1.5 s', '503, then back', 'down'] as const
export type Network = (typeof NETWORKS)[number]
export const HTTP_ENDS = ['end', 'exit', 'throw', 'rejection', 'SIGTERM', 'SIGINT', 'SIGKILL'] as const

const AGENT = `
  const [, , index, url, key, home, lines, count] = process.argv
  const { openTrail } = await import(index)
  const { openSync, writeSync } = await import('node:fs')
  const fd = openSync(lines, 'a')
  const trail = openTrail(url, { key, home, agent_id: 'agent-1', mask: [], report: () => {} })
  const session = await trail.start({})
  for (let i = 0; i < Number(count); i++) {
    const recorded = session.record('custom', { name: 'step', content: { i, text: 'what the agent did '.repeat(10) } })
    writeSync(fd, (recorded.problem === undefined ? '+ ' : '- ') + recorded.event_id + '\\n')
    if (i % 10 === 0) await new Promise((done) => setTimeout(done, 2))
    if (i === Math.floor(Number(count) / 2)) process.stdout.write('half ')
  }
  process.stdout.write('recorded ')
`

/** `left`: how many of the accepted were not on record yet when the agent was gone. */
export interface HttpCell { readonly issued: number; readonly accepted: readonly string[]; readonly recorded: readonly string[]; readonly left: number; readonly ended: string; readonly stderr: string }

let cells = 0

/** One agent on `network`, ending by `end`, with a key and a state folder of its own. */
export async function httpCell(server: TestServer, network: Network, end: string, events: number): Promise<HttpCell> {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-http-loss-'))
  const [home, lines] = [join(folder, 'home'), join(folder, 'lines')]
  mkdirSync(home, { mode: 0o700 })
  const writer = `cell-${cells++}`
  const key = server.key('agent', { id: writer })
  const proxy = await TcpProxy.to(server.url)
  try {
    if (network === '100 ms') proxy.delayMs = 100
    if (network === '1.5 s') proxy.delayMs = 1_500
    if (network === '503, then back') proxy.weather = '503'
    if (network === 'down') await proxy.down()
    const { code, node = [], kill } = ENDINGS[ENDS[end]!]!
    const { child, said, ended } = startChild(AGENT + code, [pathToFileURL(join(root, 'src/index.ts')).href, proxy.url, key, home, lines, String(events)], {}, { node })
    child.stdout!.on('data', () => {
      if (network === '503, then back' && said().includes('half')) proxy.weather = 'fine'
      if (kill !== undefined && said().endsWith('done')) child.kill(kill)
    })
    const { code: status, signal, stderr } = await ended
    const told = readFileSync(lines, 'utf8').trimEnd().split('\n')
    const accepted = told.filter((line) => line.startsWith('+')).map((line) => line.slice(2))
    const left = accepted.length - (await recordedBy(server, writer)).length
    proxy.delayMs = 0
    proxy.weather = 'fine'
    if (network === 'down') await proxy.up()
    const trail = openTrail(proxy.url, { key, home, agent_id: 'agent-1', report: () => {} })
    await trail.ready()
    for (let i = 0; i < 600 && (await recordedBy(server, writer)).length < accepted.length; i++) await new Promise((done) => setTimeout(done, 50))
    await trail.close()
    return { issued: told.length, accepted, recorded: await recordedBy(server, writer), left, ended: signal ?? String(status), stderr }
  } finally {
    await proxy.down()
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

/** The ids of the events that `writer` has on record, in the order of the log. */
async function recordedBy({ db, home }: TestServer, writer: string): Promise<string[]> {
  await using trail = openTrail(db, { home })
  return (await trail.events({ event_type: 'custom' }).all()).filter((event) => event.writer === writer).map(({ event_id }) => event_id)
}
