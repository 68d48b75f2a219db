// counterfoil/client: events to a server from where there is no disk. It runs in a context that has fetch and Web Crypto and nothing of Node.

import { build } from 'esbuild'
import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { expect, onTestFinished, test } from 'vitest'
import { connect, EventsRefused, RemoteError } from '../src/client.ts'
import { openTrail } from '../src/index.ts'
import { root } from './built-package.ts'
import { testServer } from './served.ts'
import { TcpProxy } from './tcp-proxy.ts'

async function onRecord({ db, home }: { db: string; home: string }): Promise<unknown[]> {
  await using trail = openTrail(db, { home })
  expect((await trail.verify()).whole).toBe(true)
  return (await trail.events().all()).filter(({ agent_id }) => agent_id === 'edge').map(({ event_type, writer }) => `${event_type} ${writer}`)
}

test('runs where there is no Node: bundled for a browser it asks for no module, and its events are on record', async () => {
  const server = await testServer()
  const { outputFiles, metafile } = await build({ entryPoints: [join(root, 'src/client.ts')], bundle: true, platform: 'browser', format: 'iife', globalName: 'counterfoil', target: 'es2024', write: false, metafile: true })
  expect(Object.values(metafile.outputs).flatMap(({ imports }) => imports)).toEqual([])
  const context = createContext({ fetch, Headers, AbortSignal, URL, URLSearchParams, TextEncoder, TextDecoder, crypto, performance, setTimeout, ask: { url: server.url, key: server.key('agent', { id: 'edge-bot' }) } })
  const count = await (runInContext(`${outputFiles[0]!.text}
    ;(async () => {
      const session = await counterfoil.connect(ask.url, { key: ask.key }).start({ agent_id: 'edge', user_message: 'hello' })
      const receipts = await session.append([{ event_type: 'tool_call', tool_name: 'look', tool_input: { at: 1 } }, { event_type: 'tool_result', tool_name: 'look', outcome: 'success', tool_output: 2 }])
      await session.end()
      return receipts.length
    })()`, context) as Promise<number>)
  expect(count).toBe(2)
  expect(await onRecord(server)).toEqual(['session_start', 'tool_call', 'tool_result', 'session_end'].map((type) => `${type} edge-bot`))
})

test('appends the same objects once, over a network that loses answers too', async () => {
  const server = await testServer()
  const proxy = await TcpProxy.to(server.url)
  onTestFinished(() => proxy.down())
  const client = connect(proxy.url, { key: server.key('agent', { id: 'edge-bot' }) })
  const session = await client.start({ agent_id: 'edge' })
  const event = { event_type: 'custom', name: 'step' }
  proxy.weather = 'lost'
  proxy.cut()
  const held = session.append(event)
  await new Promise((done) => setTimeout(done, 400))
  proxy.weather = 'fine'
  const [first] = await held
  const [again] = await session.append(event)
  expect([again!.index, again!.entry_hash]).toEqual([first!.index, first!.entry_hash])
  expect(await session.end()).toMatchObject({ index: (await session.end()).index })
  expect(await onRecord(server)).toEqual(['session_start edge-bot', 'custom edge-bot', 'session_end edge-bot'])
})

test('rejects when the server is away for its patience, and says who refused', async () => {
  const server = await testServer()
  const proxy = await TcpProxy.to(server.url)
  const key = server.key('agent', { id: 'edge-bot' })
  const client = connect(proxy.url, { key, patience: 300 })
  const session = await client.start({ agent_id: 'edge' })
  await expect(session.append({ event_type: 'no_such_type' })).rejects.toMatchObject({ status: 400, code: 'unknown_event_type' })
  const event = { event_type: 'custom', event_id: '01a20065-ba01-7bbf-8f94-26e040da5b2e', name: 'step', content: 1, timestamp: '2026-11-21T10:00:00.000Z' }
  await session.append(event)
  const error = await session.append({ ...event, content: 2 }).then(() => undefined, (problem: unknown) => problem)
  expect(error).toBeInstanceOf(EventsRefused)
  expect((error as EventsRefused).refused.map(({ event_id }) => event_id)).toEqual([event.event_id])
  await proxy.down()
  const away = await session.append({ event_type: 'custom', name: 'step' }).then(() => undefined, (problem: unknown) => problem)
  expect(away).toBeInstanceOf(RemoteError)
  expect(away).toMatchObject({ code: 'unreachable', retry: true })
})
