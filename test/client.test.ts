// A trail on a server, over real sockets and a network that misbehaves: nothing is lost, nothing is there twice, the order of each writer stays.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openTrail, RemoteError, type Trail, type TrailOptions } from '../src/index.ts'
import { encodeDraft } from '../src/event/draft.ts'
import { root } from './built-package.ts'
import { startChild } from './child.ts'
import { scratch } from './scratch.ts'
import { testServer, type TestServer } from './served.ts'
import { TcpProxy } from './tcp-proxy.ts'

const INDEX = pathToFileURL(join(root, 'src/index.ts')).href

const AGENT = `
  const [, , index, url, key, home, count, end] = process.argv
  const { openTrail } = await import(index)
  const { writeSync } = await import('node:fs')
  const said = (text) => {
    for (;;) try { return writeSync(1, text) } catch (error) { if (error.code !== 'EAGAIN') throw error } // a pipe that is full for a moment
  }
  const trail = openTrail(url, { key, home, agent_id: 'agent-1', patience: 500, report: () => {} })
  const session = await trail.start({})
  for (let i = 0; i < Number(count); i++) {
    const recorded = session.record('custom', { name: 'step', content: { i } })
    if (recorded.problem === undefined) said(i + ' ')
  }
  if (end === 'SIGKILL') process.kill(process.pid, 'SIGKILL')
  if (end === 'exit') process.exit(3)
`

const REVOKED = `
  const [, , index, url, key, home] = process.argv
  const { openTrail } = await import(index)
  const trail = openTrail(url, { key, home, agent_id: 'agent-1', report: () => {} })
  const session = await trail.start({})
  process.once('SIGUSR2', async () => {
    const told = await session.record('custom', { name: 'step', content: { i: 1 } }).durable().catch((error) => error)
    session.record('custom', { name: 'step', content: { i: 2 } })
    process.stdout.write(told.code + ' ' + told.status + ' ' + (trail.status().waiting === 2) + '\\n', () => process.kill(process.pid, 'SIGKILL'))
  })
  await session.record('custom', { name: 'step', content: { i: 0 } }).durable()
  process.stdout.write('durable ')
  setInterval(() => {}, 1000)
`

interface Team { readonly server: TestServer; readonly proxy: TcpProxy; readonly home: string; readonly key: string; readonly reports: string[]; open(options?: TrailOptions): Trail; steps(): Promise<number[]> }

/** A server, a network before it, and an agent with a state folder of its own. */
async function team(): Promise<Team> {
  const server = await testServer()
  const proxy = await TcpProxy.to(server.url)
  onTestFinished(() => proxy.down())
  const { home } = scratch()
  const key = server.key('agent', { id: 'bot' })
  const reports: string[] = []
  return {
    server, proxy, home, key, reports,
    open(options = {}) {
      const trail = openTrail(proxy.url, { key, home, agent_id: 'agent-1', report: ({ message }) => reports.push(message), ...options })
      onTestFinished(() => trail.close().catch(() => undefined))
      return trail
    },
    steps: () => stepsOf(server),
  }
}

/** The numbers of the events named `step` as the log has them, which is verified. */
async function stepsOf({ db, home }: { db: string; home: string }): Promise<number[]> {
  await using trail = openTrail(db, { home })
  expect((await trail.verify()).whole).toBe(true)
  return (await trail.events({ event_type: 'custom' }).all()).map((event) => (event['content'] as { i: number }).i)
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; !(await what()); i++) {
    if (i > 1_000) throw new Error('it did not come')
    await new Promise((done) => setTimeout(done, 20))
  }
}

describe('a trail on a server', () => {
  test('records as a local one does: what was awaited has a place under a signed checkpoint, and its writer is the principal', async () => {
    const { open, server, home } = await team()
    const trail = open()
    const refund = trail.tool({ name: 'refund', risk: 'high' }, (input: { order: string }) => `refunded ${input.order}`)
    const result = await trail.session({ user_id: 'c-1', user_message: 'hello' }, async (session) => {
      session.record('reasoning', { text: 'it is due' })
      return refund.run({ order: '7' })
    })
    expect(result).toMatchObject({ content: 'refunded 7', is_error: false })
    expect(trail.status()).toMatchObject({ spooled: 0, waiting: 0, lost: 0 })
    await trail.close()
    expect(readdirSync(join(home, 'servers'), { recursive: true }).filter((name) => /[0-9a-f]{32}/.test(String(name)))).toEqual([])
    await using local = openTrail(server.db, { home: server.home })
    const events = await local.events().all()
    const own = events.filter(({ agent_id }) => agent_id === 'agent-1')
    expect(own.map(({ event_type }) => event_type)).toEqual(['session_start', 'reasoning', 'tool_call', 'tool_result', 'session_end'])
    expect(new Set(own.map(({ writer }) => writer))).toEqual(new Set(['bot']))
    expect((await local.verify()).whole).toBe(true)
  })

  test('opened twice in a process is one trail', async () => {
    const { open, steps } = await team()
    const [one, two] = [open(), open()]
    await one.session({}, async (session) => {
      await two.start({}).then((child) => child.end())
      session.record('custom', { name: 'step', content: { i: 0 } })
    })
    await one.close()
    await two.session({}, (session) => void session.record('custom', { name: 'step', content: { i: 1 } }))
    expect(await steps()).toEqual([0, 1])
  })

  test.for<[string, RegExp, TrailOptions, string | URL]>([
    ['http to another machine', /expected https, got http:\/\/trail.example.com/, {}, 'http://trail.example.com'],
    ['a user in the URL', /URL without a user in it/, {}, 'https://me@trail.example.com'],
    ['no key', /expected a key for https:\/\/trail.example.com, got none/, { key: undefined as never }, 'https://trail.example.com'],
    ['a key that cannot stand in a header', /expected a key of up to 512 printable characters/, { key: 'cf_secret\nx' }, 'https://trail.example.com'],
    ['another protocol', /expected an https URL/, {}, 'ftp://trail.example.com'],
    ['a query', /without query and fragment/, {}, 'https://trail.example.com/?a=1'],
    ['a signer', /expected no signer for a server's trail/, { signer: './sign.mjs' }, 'https://trail.example.com'],
  ])('refuses %s at once', ([, message, options, url]) => {
    const { home } = scratch()
    delete process.env['COUNTERFOIL_KEY']
    expect(() => openTrail(url, { key: 'cf_secret', home, ...options })).toThrow(message)
    try {
      openTrail(url, { key: 'cf_secret', home, ...options })
    } catch (error) {
      expect(String(error)).not.toContain('cf_secret')
    }
  })

  test('says at once, in the words of the server, that a key is none', async () => {
    const { open } = await team()
    const trail = open({ key: 'cf_000000000000_0000000000000000000000000000000000000000000' })
    const error = await trail.ready().then(() => undefined, (problem: unknown) => problem)
    expect(error).toBeInstanceOf(RemoteError)
    expect(error).toMatchObject({ code: 'no_key', status: 401 })
  })
})

describe('a network that misbehaves', () => {
  test.for<['lost' | 'half' | '503', string]>([['lost', 'loses answers'], ['half', 'cuts requests in the middle'], ['503', 'says 503']])('%s: what is recorded meanwhile is on record once, in order', async ([weather]) => {
    const { open, proxy, steps } = await team()
    const trail = open()
    const session = await trail.start({})
    for (let i = 0; i < 300; i++) {
      if (i % 50 === 10) {
        proxy.weather = weather
        proxy.cut()
      }
      if (i % 50 === 40) proxy.weather = 'fine'
      session.record('custom', { name: 'step', content: { i } })
      if (i % 5 === 0) await new Promise((done) => setTimeout(done, 10))
    }
    proxy.weather = 'fine'
    await session.end()
    expect(await steps()).toEqual(upTo(300))
    expect(proxy.opened).toBeGreaterThan(3)
  })

  test('is slow: acts of low risk wait for the disk here and not for it, the order stays', async () => {
    const { open, proxy, steps } = await team()
    const trail = open()
    const session = await trail.start({})
    proxy.delayMs = 300
    const before = proxy.opened
    const look = session.tool({ name: 'look' }, () => 'seen')
    for (let i = 0; i < 5; i++) {
      await look.run({})
      session.record('custom', { name: 'step', content: { i } })
    }
    expect(trail.status().waiting).toBeGreaterThan(0)
    await session.end()
    expect(await steps()).toEqual(upTo(5))
    expect(proxy.opened - before).toBeLessThan(3)
  })

  test('is not there when the agent starts: it records, and what it recorded is sent when it comes', async () => {
    const { open, proxy, steps } = await team()
    await proxy.down()
    const trail = open({ patience: 200 })
    await trail.ready()
    const session = await trail.start({})
    for (let i = 0; i < 20; i++) session.record('custom', { name: 'step', content: { i } })
    await expect(session.record('custom', { name: 'step', content: { i: 20 } }).durable()).rejects.toMatchObject({ code: 'unreachable', retry: true })
    expect(trail.status()).toMatchObject({ waiting: 22, lost: 0 })
    await proxy.up()
    await until(() => trail.status().waiting === 0)
    expect(await steps()).toEqual(upTo(21))
  })

  test('is not there when the trail is closed: the next one that opens it in this process sends what waits', async () => {
    const { open, proxy, steps } = await team()
    const trail = open({ patience: 200 })
    const session = await trail.start({})
    await session.record('custom', { name: 'step', content: { i: 0 } }).durable()
    await proxy.down()
    session.record('custom', { name: 'step', content: { i: 1 } })
    await expect(trail.close()).rejects.toMatchObject({ code: 'not_sent' })
    await proxy.up()
    const again = open()
    await again.flush()
    expect(await steps()).toEqual([0, 1])
    await again.close()
  })

  test('takes everything and answers nothing: who waits hears of it when their patience is over', async () => {
    const { open, proxy, steps } = await team()
    const trail = open({ patience: 600 })
    const session = await trail.start({})
    await session.record('custom', { name: 'step', content: { i: 0 } }).durable()
    proxy.weather = 'silent'
    await expect(session.record('custom', { name: 'step', content: { i: 1 } }).durable()).rejects.toMatchObject({ code: 'stalled', retry: true })
    proxy.weather = 'fine'
    proxy.cut()
    await until(() => trail.status().waiting === 0)
    expect(await steps()).toEqual([0, 1])
  })
})

describe('a server that', () => {
  test('ends and comes back answers for all that it acknowledged, and takes the rest', async () => {
    const { open, proxy, server } = await team()
    const trail = open()
    const session = await trail.start({})
    for (let i = 0; i < 100; i++) session.record('custom', { name: 'step', content: { i } })
    await trail.flush()
    await server.served.close()
    for (let i = 100; i < 200; i++) session.record('custom', { name: 'step', content: { i } })
    const again = await testServer({ db: server.db, home: server.home })
    proxy.target = Number(new URL(again.url).port)
    await session.end()
    expect(await stepsOf(again)).toEqual(upTo(200))
  })

  test('revokes the key loses nothing: who waits is told, and the next key of the same principal sends it', async () => {
    const { open, proxy, server, reports, key, home } = await team()
    const { child, said, ended } = startChild(REVOKED, [INDEX, proxy.url, key, home], {})
    await until(() => said().includes('durable'))
    const { keys } = server.served.parts
    keys.revoke('default', key.split('_')[1]!)
    child.kill('SIGUSR2')
    const { stdout, signal } = await ended
    expect([stdout, signal]).toEqual(['durable no_key 401 true\n', 'SIGKILL'])
    const next = keys.issue({ tenant: 'default', principal: 'bot' }).key
    const trail = open({ key: next })
    await trail.ready()
    await until(async () => (await stepsOf(server)).length === 3)
    expect(await stepsOf(server)).toEqual([0, 1, 2])
    expect(reports.filter((message) => message.includes('cf_'))).toEqual([])
  })

  test('knows another principal by the next key is sent nothing of the one before', async () => {
    const { open, proxy, server, home, key } = await team()
    await proxy.down()
    await startChild(AGENT, [INDEX, proxy.url, key, home, '3', 'SIGKILL'], {}).ended
    await proxy.up()
    const trail = open({ key: server.key('agent', { id: 'other' }) })
    await (await trail.start({})).end()
    expect(await stepsOf(server)).toEqual([])
    const own = open()
    await own.ready()
    await until(async () => (await stepsOf(server)).length === 3)
  })

  test('cannot read an event keeps nobody else from being recorded: it is told to who waits, and kept here', async () => {
    const { open, steps, home, reports } = await team()
    const trail = open()
    const session = await trail.start({})
    session.record('custom', { name: 'step', content: { i: 0 } })
    const { ledger } = trail as unknown as { ledger(): { accept(id: string, draft: Uint8Array): void; reach(id: string, level: string): Promise<unknown> } }
    const bad = '01a20065-ba01-7bbf-8f94-26e040da5b2e'
    const held = ledger.call(trail)
    held.accept(bad, encodeDraft({ event_id: bad, event_type: 'log_end', session_id: session.session_id, timestamp: '2026-11-21T10:00:00.000Z', capture: 'before', facts: {}, payloads: {} }))
    session.record('custom', { name: 'step', content: { i: 1 } })
    await expect(held.reach(bad, 'durable')).rejects.toMatchObject({ code: 'ledger_only', refused: true })
    await session.end()
    expect(await steps()).toEqual([0, 1])
    expect(reports).toEqual([])
    const kept = readdirSync(join(home, 'servers'), { recursive: true }).map(String).filter((name) => /refused\/[0-9a-f]{32}$/.test(name))
    expect(kept.length).toBe(1)
  })
})


test.for<[string, 'fine' | 'lost' | 'down']>([['SIGKILL', 'fine'], ['SIGKILL', 'lost'], ['exit', 'down'], ['end', 'down']])('a process that ends by %s while the network is %s leaves a spool, which the next one sends: all of it, once, in order', async ([end, state]) => {
  const { open, proxy, steps, home, key } = await team()
  if (state === 'lost') proxy.weather = 'lost'
  if (state === 'down') await proxy.down()
  const child = startChild(AGENT, [INDEX, proxy.url, key, home, '400', end], {})
  const { stdout, signal, code, stderr } = await child.ended
  expect([signal ?? code, stderr]).toEqual([end === 'SIGKILL' ? 'SIGKILL' : end === 'exit' ? 3 : 0, ''])
  const accepted = stdout.trim().split(' ').map(Number)
  expect(accepted).toEqual(upTo(400))
  proxy.weather = 'fine'
  if (state === 'down') await proxy.up()
  const trail = open()
  await trail.ready()
  await until(async () => trail.status().left === 0 && (await steps()).length >= 400)
  expect(await steps()).toEqual(accepted)
  await trail.close()
  expect(readdirSync(join(home, 'servers'), { recursive: true }).map(String).filter((name) => existsSync(join(home, 'servers', name)) && /[0-9a-f]{32}(\.\w+)?$/.test(name))).toEqual([])
})
