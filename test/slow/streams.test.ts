// Ten thousand event streams at once: beyond the bound each gets an answer or no connection, what is open hears, and the server goes on. STREAMS=1000 for fewer.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test, type TestContext } from 'vitest'
import { LIMITS } from '../../src/server/limits.ts'
import { testServer, type TestServer } from '../served.ts'

const STREAMS = Number(process.env['STREAMS'] ?? 10_000)
const SPARE_FILES = 500

interface Crowd { readonly said: () => Promise<Record<string, number>>; readonly ask: (index: number) => void; readonly end: () => Promise<void> }

/** As many streams from a process of its own, of 32 for each principal. */
function crowd(server: TestServer, streams: number): Crowd {
  const keys = Array.from({ length: Math.ceil(streams / LIMITS.ownStreams) }, () => server.key('security'))
  const child = spawn(process.execPath, [fileURLToPath(new URL('crowd.ts', import.meta.url)), new URL(server.url).port, String(streams), keys.join(',')], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    said: async () => JSON.parse((await lines.next()).value!) as Record<string, number>,
    ask: (index) => void child.stdin.write(`${index}\n`),
    end: async () => { child.stdin.end(); await ended },
  }
}

function skipWithoutFiles(context: TestContext): void {
  const limit = /^Max open files +(\d+)/m.exec(readLimits())?.[1]
  if (limit === undefined) context.skip('how many files a process may have open is known on Linux alone')
  if (Number(limit) < STREAMS + SPARE_FILES) context.skip(`${STREAMS} streams need ${STREAMS + SPARE_FILES} open files, this machine allows ${limit}`)
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1')
  } catch {
    return ''
  }
}

const START = { event_type: 'session_start', session_id: '01890000-0000-7000-8000-00000000beef', agent_id: 'bot' }
const settled = async (server: TestServer): Promise<void> => {
  while (server.served.parts.streams.open > 0) await new Promise((resolve) => setTimeout(resolve, 20))
}

test('more than may be: those within the bound stay open and hear, the rest is told so or not let in, and all is as before when they go', { timeout: 600_000 }, async (context) => {
  skipWithoutFiles(context)
  const server = await testServer()
  const agent = server.key('agent')
  expect((await server.ask(agent, 'POST', '/v1/events', START)).status).toBe(200) // on a connection that is kept
  const clients = crowd(server, STREAMS)
  const { 200: open = 0, 503: refused = 0, dropped = 0, ...others } = await clients.said()
  process.stderr.write(`\n${STREAMS} streams at a server with its defaults: ${open} open, ${refused} answered 503, ${dropped} not let in\n`)
  expect([open, others]).toEqual([Math.min(STREAMS, LIMITS.streams), {}])
  expect(open + refused + dropped).toBe(STREAMS)
  const { status, body } = await server.ask(agent, 'POST', '/v1/events', { event_type: 'reasoning', session_id: START.session_id, kind: 'author_stated', text: 'and on' })
  expect(status).toBe(200)
  clients.ask(body.receipts[0].index)
  expect(await clients.said()).toEqual({ heard: open })
  await clients.end()
  await settled(server)
  expect((await server.ask(server.key('admin'), 'GET', '/v1/me')).status).toBe(200)
})

test('as many as a server is told to take: each hears of an event', { timeout: 600_000 }, async (context) => {
  skipWithoutFiles(context)
  const server = await testServer({ limits: { streams: STREAMS, connections: STREAMS + 100 } })
  const agent = server.key('agent')
  expect((await server.ask(agent, 'POST', '/v1/events', START)).status).toBe(200)
  const before = process.memoryUsage().rss
  const clients = crowd(server, STREAMS)
  expect(await clients.said()).toEqual({ 200: STREAMS })
  const { body } = await server.ask(agent, 'POST', '/v1/events', { event_type: 'reasoning', session_id: START.session_id, kind: 'author_stated', text: 'and on' })
  clients.ask(body.receipts[0].index)
  expect(await clients.said()).toEqual({ heard: STREAMS })
  process.stderr.write(`\n${STREAMS} streams open: ${Math.round((process.memoryUsage().rss - before) / STREAMS / 1024)} KiB of memory each, sockets of the system not counted\n`)
  await clients.end()
  await settled(server)
})
