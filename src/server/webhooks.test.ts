import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { testServer, type TestServer } from '../../test/served.ts'
import { uuidv7 } from '../base/ids.ts'
import { encodeDraft } from '../event/draft.ts'
import { Targets } from './webhook-target.ts'

interface Told { readonly headers: IncomingHttpHeaders; readonly body: string; readonly path: string }

/** A receiver on a real socket; `answer` gives the status for the nth message. */
async function receiver(answer: (nth: number) => number): Promise<{ url: string; told: Told[] }> {
  const told: Told[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => { body += text }).on('end', () => {
      told.push({ headers: request.headers, body, path: request.url! })
      const status = answer(told.length - 1)
      response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end('x'.repeat(100_000))
    })
  })
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done) })
  onTestFinished(() => void server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=1`, told }
}

/** A request for approval, or a finding, as the ledger's own would be. */
async function happens(server: TestServer, what: { readonly severity?: string; readonly expires_at?: string; readonly tool_name?: string }): Promise<string> {
  const event_id = uuidv7(Date.now())
  const finding = what.severity !== undefined
  const draft = {
    event_id, session_id: uuidv7(Date.now()), timestamp: new Date().toISOString(), capture: 'after' as const,
    ...(finding ? { event_type: 'finding' as const, facts: { rule: 'loop', severity: what.severity } } : { event_type: 'approval_request' as const, facts: { tool_name: what.tool_name ?? 'pay', risk: 'high', quorum: 1, ...(what.expires_at === undefined ? {} : { expires_at: what.expires_at }) } }),
    payloads: finding ? { explanation: { m: 'text' as const, content: 'SECRET content' } } : { tool_input: { m: 'json' as const, content: '{"amount":"SECRET content"}' } },
  }
  await server.served.parts.tenants.open('default')!.ledger.append('bot', [encodeDraft(draft)])
  return event_id
}

const make = (server: TestServer, url: string, more: object = {}) => server.ask(server.key('admin'), 'POST', '/v1/webhooks', { url, ...more })

describe('a webhook', () => {
  test('is told of requests and severe findings, signed, in order, without content', async () => {
    const server = await testServer()
    const { url, told } = await receiver(() => 204)
    await happens(server, {}) // before it was made
    const { status, body: made } = await make(server, url, { severity: 'high' })
    expect([status, made]).toMatchObject([201, { secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/), events: ['approval.requested', 'finding.raised'] }])
    const admin = server.key('admin')
    const { body: list } = await server.ask(admin, 'GET', '/v1/webhooks')
    expect(JSON.stringify(list)).not.toContain(made.secret.slice(6))
    const first = await happens(server, {})
    await happens(server, { severity: 'low' })
    await happens(server, { expires_at: '2026-01-01T00:00:00.000Z' }) // nobody can answer it any more
    const second = await happens(server, { severity: 'critical' })
    await expect.poll(() => told.length, { timeout: 20_000 }).toBe(2)
    expect(told.map(({ body }) => JSON.parse(body) as unknown)).toMatchObject([
      { type: 'approval.requested', data: { tenant: 'default', approval_id: first, tool_name: 'pay', risk: 'high', quorum: 1, expires_at: null } },
      { type: 'finding.raised', data: { event_id: second, rule: 'loop', severity: 'critical' } },
    ])
    const key = Buffer.from(made.secret.slice(6), 'base64')
    for (const { headers, body } of told) {
      expect(body).not.toContain('SECRET')
      const signature = createHmac('sha256', key).update([headers['webhook-id'], headers['webhook-timestamp'], body].join('.')).digest('base64')
      expect(headers['webhook-signature']).toBe(`v1,${signature}`)
    }
    expect(told[0]!.headers['webhook-id']).toBe(`msg_${first}`)
    expect((await server.ask(admin, 'GET', '/v1/webhooks')).body.items).toMatchObject([{ told: 2, skipped: 0, attempts: 0, problem: null }])
    const { ledger } = server.served.parts.tenants.open('default')!
    const changes = await ledger.call<{ items: { after: { id?: string; origin?: string } }[] }>('events', { event_types: ['config_change'] }, 50)
    expect(changes.items.map(({ after }) => after).find(({ id }) => id === made.id)).toMatchObject({ origin: url.slice(0, url.indexOf('/hook')) }) // and not the token in its path
    expect((await server.ask(admin, 'DELETE', `/v1/webhooks/${made.id}`)).status).toBe(204)
    await happens(server, {})
    await server.served.parts.webhooks.look()
    expect(told).toHaveLength(2)
  })

  test('is told again until it takes it, also by a server that was started anew, and nothing overtakes', async () => {
    const server = await testServer({ again: [0, 0, 0, 3600] })
    const { url, told } = await receiver((nth) => (nth < 3 ? 503 : 200))
    await make(server, url)
    const [first, second] = [await happens(server, { tool_name: 'one' }), await happens(server, { tool_name: 'two' })]
    await expect.poll(() => told.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(2)
    await server.served.close()
    const again = await testServer({ db: server.db, home: server.home, again: [0, 0, 0, 0] })
    await expect.poll(() => told.length, { timeout: 20_000 }).toBe(5)
    const ids = told.map(({ headers }) => headers['webhook-id'])
    expect(ids).toEqual([first, first, first, first, second].map((id) => `msg_${id}`))
    expect((await again.ask(again.key('admin'), 'GET', '/v1/webhooks')).body.items).toMatchObject([{ told: 2, skipped: 0 }])
  })

  test('is given up for one message that it will never take, goes nowhere else when sent there, and ends when it is gone', async () => {
    const server = await testServer({ again: [0] })
    const { url, told } = await receiver((nth) => [500, 500, 302, 410][nth] ?? 200)
    await make(server, url)
    for (const tool_name of ['one', 'two', 'three', 'four']) await happens(server, { tool_name })
    const admin = server.key('admin')
    await expect.poll(async () => (await server.ask(admin, 'GET', '/v1/webhooks')).body.items[0].disabled_at, { timeout: 20_000 }).not.toBeNull()
    expect(told.map(({ body, path }) => [(JSON.parse(body) as { data: { tool_name: string } }).data.tool_name, path])).toEqual([['one', '/hook?token=1'], ['one', '/hook?token=1'], ['two', '/hook?token=1'], ['three', '/hook?token=1']])
    expect((await server.ask(admin, 'GET', '/v1/webhooks')).body.items).toMatchObject([{ told: 0, skipped: 2, problem: 'it answered 410' }])
  })
})

describe('a target', () => {
  const targets = new Targets(['10.1.0.0/16'])

  test.each(['https://example.org/x', 'https://8.8.8.8/', 'https://[2606:4700::1]/', 'http://localhost:8080/', 'http://127.0.0.1/', 'http://[::1]:9/', 'https://10.1.2.3/', 'http://10.1.2.3/'])('may be %s', (url) => {
    expect(targets.check(url).href).toBe(url)
  })

  test.each([
    'http://example.org/', 'ftp://example.org/', 'https://10.2.0.1/', 'https://192.168.1.1/', 'https://169.254.169.254/latest/meta-data', 'https://[fd00::1]/', 'https://[fe80::1]/', 'https://[::ffff:10.2.0.1]/', 'https://[::ffff:169.254.169.254]/',
    'https://0.0.0.0/', 'https://100.64.0.1/', 'https://[64:ff9b::a00:1]/', 'https://2130706433.example/../'.replace('2130706433.example', '0x0a020001'), 'https://user:pw@example.org/', 'nonsense', `https://example.org/${'x'.repeat(3_000)}`,
  ])('may not be %s', (url) => {
    expect(() => targets.check(url)).toThrow(expect.objectContaining({ code: 'bad_target' }))
  })

  test('whose name leads to an address that is not public is not connected to', async () => {
    const inside = await receiver(() => 200)
    const port = new URL(inside.url).port
    // a public name for this machine: what is looked up is looked at before it is connected to
    const { hostname } = await import('node:os')
    const open = new AbortController().signal
    await expect(targets.post(`https://${hostname()}:${port}/`, {}, '{}', open)).rejects.toThrow()
    expect(inside.told).toEqual([])
  })
})
