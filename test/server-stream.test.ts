// The live stream: what comes, what it takes to go on, who is cut off, and that content is on record before it is out.

import { getRequestListener } from '@hono/node-server'
import { OpenAPIHono } from '@hono/zod-openapi'
import { createServer } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Env } from '../src/server/route.ts'
import { streamRoutes, type StreamTimes } from '../src/server/routes/stream.ts'
import type { Answer } from './served.ts'
import { SECRET, trailServer, type TrailServer } from './server-trail.ts'

const because = { 'counterfoil-purpose': 'on call' }
const quick: StreamTimes = { beatMs: 50, stalledMs: 200, rightsMs: 0 }

interface Message { readonly id?: string; readonly event?: string; readonly data?: Answer; readonly text: string }

/** A client of server-sent events: the blocks as they come. */
class Client {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #decoder = new TextDecoder()
  #text = ''

  constructor(response: Response) {
    this.#reader = response.body!.getReader()
  }

  /** The next block; undefined at the end. */
  async next(): Promise<Message | undefined> {
    for (let at = -1; (at = this.#text.indexOf('\n\n')) === -1; ) {
      const { done, value } = await this.#reader.read()
      if (done) return undefined
      this.#text += this.#decoder.decode(value, { stream: true })
    }
    const at = this.#text.indexOf('\n\n')
    const text = this.#text.slice(0, at)
    this.#text = this.#text.slice(at + 2)
    const field = (name: string): string | undefined => text.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
    const [id, event, data] = [field('id'), field('event'), field('data')]
    return { text, ...(id === undefined ? {} : { id }), ...(event === undefined ? {} : { event }), ...(data === undefined ? {} : { data: JSON.parse(data) as Answer }) }
  }

  /** The next `count` events, past beats. */
  async events(count: number): Promise<Message[]> {
    const found: Message[] = []
    while (found.length < count) {
      const message = await this.next()
      if (message === undefined) throw new Error(`the stream ended after ${found.length} events`)
      if (message.data !== undefined) found.push(message)
    }
    return found
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel()
  }
}

async function endOf({ served }: TrailServer): Promise<number> {
  const { ledger } = served.parts.tenants.open('default')!
  await ledger.call('flush')
  return ledger.status().size
}

async function listen(server: TrailServer, key: string, path = '/v1/stream', headers: object = {}): Promise<Client> {
  const response = await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${key}`, ...headers } })
  expect(response.status).toBe(200)
  expect([response.headers.get('content-type'), response.headers.get('cache-control')]).toEqual(['text/event-stream', 'no-store'])
  return new Client(response)
}

/** The same routes in times that a test can wait for, on a port of their own. */
async function quickServer(server: TrailServer, times: StreamTimes = quick): Promise<TrailServer> {
  const app = new OpenAPIHono<Env>()
  streamRoutes(app, server.served.parts, times)
  const http = createServer(getRequestListener((request, env) => app.fetch(request, env), { overrideGlobalObjects: false }))
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => { http.closeAllConnections(); http.close() })
  return { ...server, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` }
}

describe('a stream', () => {
  it('tells what comes from now on, in the order of the log, with its index as the id', async () => {
    const server = await trailServer()
    const client = await listen(server, server.key('security'))
    const first = await client.next()
    expect(first?.text).toContain('retry: 2000')
    const told = await server.tell('new-bot')
    const heard = await client.events(7)
    expect(heard.map(({ data }) => data.event_id)).toEqual(told.events)
    expect(heard.every(({ id, data }) => id === String(data.index))).toBe(true)
    expect(JSON.stringify(heard)).not.toContain(SECRET)
    expect(heard[0]!.data).toMatchObject({ event_type: 'session_start', user_message: { absent: 'withheld' } })
    await client.cancel()
  })

  it('goes on after the last that a client has, and begins where it is told to', async () => {
    const server = await trailServer()
    const key = server.key('security')
    const all = (await (await listen(server, key, '/v1/stream?from=0')).events(15)).map(({ id }) => id)
    expect(all).toEqual(Array.from({ length: 15 }, (_, i) => String(i)))
    const rest = await listen(server, key, '/v1/stream?from=3', { 'last-event-id': '11' })
    expect((await rest.events(3)).map(({ id }) => id)).toEqual(['12', '13', '14'])
    for (const last of ['-1', 'x', '1e9', '99999999999999999999', '1.5']) {
      expect((await server.ask(key, 'GET', '/v1/stream', undefined, { 'last-event-id': last })).status, last).toBe(400)
    }
    expect((await server.ask(key, 'GET', '/v1/stream?from=-1')).status).toBe(400)
  })

  it('is of what its listener may see and asked for, and moves them on past the rest', async () => {
    const server = await quickServer(await trailServer())
    const developer = await listen(server, server.key('developer', { agents: ['refund-bot'] }), '/v1/stream?from=0')
    expect((await developer.events(7)).map(({ data }) => data.session_id)).toEqual(Array(7).fill(server.refund.session_id))
    let beat = await developer.next()
    while (beat?.id === undefined) beat = await developer.next()
    expect(beat).toMatchObject({ id: String(await endOf(server) - 1) }) // what follows is another's: it is at the end, and has heard nothing of it
    expect(beat.data).toBeUndefined()
    const calls = await listen(server, server.key('security'), '/v1/stream?from=0&event_type=tool_call,tool_result&agent_id=billing-bot')
    expect((await calls.events(2)).map(({ data }) => data.event_id)).toEqual([server.billing.call, server.billing.result])
    expect((await server.ask(server.key('security'), 'GET', '/v1/stream?text=SECRET')).status).toBe(400)
  })

  it('shows a sign of life when nothing comes', async () => {
    const server = await quickServer(await trailServer())
    const client = await listen(server, server.key('security'))
    await client.next()
    expect((await client.next())?.text).toBe(': still here')
  })

  it('with content says why, and is on record before the first word is out; its own entries make no others', async () => {
    const server = await trailServer()
    const key = server.key('security', { id: 'sam' })
    expect((await server.ask(key, 'GET', '/v1/stream?content=full')).status).toBe(400)
    const { index } = (await server.ask(key, 'GET', `/v1/events/${server.billing.start}`)).body
    const client = await listen(server, key, `/v1/stream?from=${index}&content=full`, because)
    const [first] = await client.events(1)
    expect(JSON.stringify(first)).toContain(SECRET)
    const { ledger } = server.served.parts.tenants.open('default')!
    const access = async (): Promise<Answer[]> => (await ledger.call<{ items: Answer[] }>('events', { event_types: ['access'] }, 100)).items
    expect(await access()).toMatchObject([{ action: 'stream', capture: 'before', identity: { subject: 'sam' }, purpose: 'on call', query: { stream: {}, content: 'full' } }])
    const heard = await client.events(await endOf(server) - index - 1)
    expect(heard.at(-1)!.data).toMatchObject({ event_type: 'access' }) // it hears of itself
    await server.tell('new-bot')
    await client.events(7)
    expect(await access()).toHaveLength(1)
    await client.cancel()
    await server.served.parts.accesses.end()
    expect((await access())[1]).toMatchObject({ capture: 'after', counts: (await endOf(server)) - index - 2 }) // all but the two accesses
  })

  it('ends for a key that is revoked, and for a scope that is taken away, while it is open', async () => {
    const server = await quickServer(await trailServer())
    const { people, keys } = server.served.parts
    const key = server.key('developer', { id: 'dan', agents: ['refund-bot', 'billing-bot'] })
    const client = await listen(server, key, '/v1/stream?from=0')
    await client.events(14) // both sessions
    people.put({ ...people.get('default', 'dan')!, agents: ['refund-bot'] })
    await server.tell('billing-bot')
    const refund = await server.tell('refund-bot')
    expect((await client.events(7)).map(({ data }) => data.session_id)).toEqual(Array(7).fill(refund.session_id))
    keys.revoke('default', key.split('_')[1]!)
    await server.tell('refund-bot')
    let last = await client.next()
    while (last !== undefined && last.event !== 'end') {
      expect(last.data).toBeUndefined()
      last = await client.next()
    }
    expect(last).toMatchObject({ event: 'end', data: { code: 'no_key' } })
    expect(await client.next()).toBeUndefined()
    expect(server.served.parts.streams.open).toBe(0)
  })

  it('is bounded in number, of one principal and of all, with an answer that says so; and one that ends makes room', async () => {
    const server = await trailServer({ limits: { streams: 5, ownStreams: 3 } })
    const [ada, bob] = [server.key('security', { id: 'ada' }), server.key('security', { id: 'bob' })]
    const open: Client[] = []
    for (const key of [ada, ada, ada, bob, bob]) open.push(await listen(server, key))
    expect(await server.ask(ada, 'GET', '/v1/stream')).toMatchObject({ status: 429, body: { code: 'too_many_at_once' } })
    expect(await server.ask(bob, 'GET', '/v1/stream')).toMatchObject({ status: 503, body: { code: 'busy' } })
    await open[0]!.cancel()
    while (server.served.parts.streams.open > 4) await new Promise((resolve) => setTimeout(resolve, 5))
    open.push(await listen(server, bob))
    expect((await server.ask(ada, 'GET', '/v1/sessions')).status).toBe(200) // and requests are not in their way
  })

  it('cuts off who does not read, having held little for them, and lets them go on later', async () => {
    const server = await quickServer(await trailServer())
    const key = server.key('security')
    const writer = server.key('agent', { id: 'w2' })
    // 64 MB of content, of which sockets and streams together hold a few
    const text = 'x'.repeat(1024 * 1024)
    const session_id = '01890000-0000-7000-8000-00000000abcd'
    await server.served.parts.tenants.open('default')!.ledger.ready()
    for (let i = 0; i < 8; i++) {
      const events = [...(i === 0 ? [{ event_type: 'session_start', session_id, agent_id: 'big-bot' }] : []), ...Array.from({ length: 8 }, () => ({ event_type: 'reasoning', session_id, kind: 'author_stated', text }))]
      const response = await fetch(`${server.served.url}/v1/events`, { method: 'POST', body: JSON.stringify(events), headers: { authorization: `Bearer ${writer}`, 'content-type': 'application/json' } })
      expect(response.status).toBe(200)
    }
    const socket = await rawGet(server, key, '/v1/stream?from=0&content=full&purpose=x')
    const { parts } = server.served
    while (parts.streams.open < 1) await new Promise((resolve) => setTimeout(resolve, 5))
    while (parts.streams.open > 0) await new Promise((resolve) => setTimeout(resolve, 20)) // it is cut off without having read
    await parts.accesses.end()
    const { items } = await parts.tenants.open('default')!.ledger.call<{ items: Answer[] }>('events', { event_types: ['access'] }, 10)
    expect(items.at(-1).counts).toBeLessThan(60) // what nobody took was never read for them
    socket.destroy()
    const again = await listen(server, key, '/v1/stream?content=full&purpose=x', { 'last-event-id': '40' })
    expect((await again.events(1))[0]!.id).toBe('41')
    await again.cancel()
  })
})

/** A connection that asks, and reads nothing of the answer. */
async function rawGet(server: TrailServer, key: string, path: string): Promise<Socket> {
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  await new Promise((resolve) => socket.once('connect', resolve))
  socket.pause()
  socket.on('error', () => {})
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${key}\r\n\r\n`)
  return socket
}
