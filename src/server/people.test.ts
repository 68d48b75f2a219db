import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { sharedServer, testServer, type TestServer } from '../../test/served.ts'
import { uuidv7 } from '../base/ids.ts'
import type { ViewEvent } from '../event/view.ts'

const shared = sharedServer()

const changes = async (server: TestServer, tenant = 'default'): Promise<ViewEvent[]> => {
  const { items } = await server.served.parts.tenants.open(tenant)!.ledger.call<{ items: ViewEvent[] }>('events', { event_types: ['config_change'] }, 1_000)
  return items
}

describe('the first start', () => {
  test('makes an admin and gives out their key once', async () => {
    const server = await testServer()
    const { firstKey } = server.served
    expect(firstKey).toMatch(/^cf_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}$/)
    expect((await server.ask(firstKey, 'GET', '/v1/me')).body).toMatchObject({ kind: 'person', roles: ['admin'], tenant: 'default' })
    await server.served.close()
    const again = await testServer({ db: server.db, home: server.home })
    expect(again.served.firstKey).toBeUndefined()
    expect((await again.ask(firstKey, 'GET', '/v1/me')).status).toBe(200)
  })
})

describe('a key', () => {
  test('is not in the files of the server, which its owner alone may read', async () => {
    const server = await testServer()
    const admin = server.served.firstKey!
    const made = await server.ask(admin, 'POST', '/v1/people', { id: 'bot', kind: 'agent', name: 'Bot', roles: ['agent'] })
    expect(made.status).toBe(200)
    const { status, body } = await server.ask(admin, 'POST', '/v1/keys', { principal: 'bot', name: 'ci' })
    expect(status).toBe(201)
    expect(await server.ask(body.key, 'GET', '/v1/me')).toMatchObject({ status: 200, body: { id: 'bot', permissions: ['self', 'append', 'ask'] } })
    await server.served.close()
    const folder = `${server.db}.server`
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(statSync(join(folder, 'people.db')).mode & 0o777).toBe(0o600)
    const secret = body.key.split('_')[2]
    expect(readFileSync(join(folder, 'people.db')).includes(secret)).toBe(false)
    expect(JSON.stringify((await testServer({ db: server.db, home: server.home })).served.parts.keys.list('default'))).not.toContain(secret)
  })

  test('that is not in force is 401 whatever is wrong with it', async () => {
    let now = Date.now()
    const server = await testServer({ clock: () => now })
    const admin = server.served.firstKey!
    const key = server.key('auditor', { id: 'eve' })
    const [, id, secret] = key.split('_')
    const wrong = [undefined, '', 'x', `cf_${id}_${'0'.repeat(43)}`, `cf_${'0'.repeat(12)}_${secret}`, `${key}0`, key.toUpperCase(), `${key} x`]
    for (const one of wrong) {
      const answer = await server.ask(one, 'GET', '/v1/me')
      expect([answer.status, answer.body.code, answer.headers.get('www-authenticate')]).toEqual([401, 'no_key', 'Bearer realm="counterfoil"'])
    }
    const basic = await fetch(`${server.url}/v1/me`, { headers: { authorization: `Basic ${btoa(`x:${key}`)}` } })
    expect(basic.status).toBe(401)
    const { body: expiring } = await server.ask(admin, 'POST', '/v1/keys', { principal: 'eve', expires_at: new Date(now + 1_000).toISOString() })
    expect((await server.ask(expiring.key, 'GET', '/v1/me')).status).toBe(200)
    now += 1_001
    expect((await server.ask(expiring.key, 'GET', '/v1/me')).status).toBe(401)
    expect((await server.ask(key, 'GET', '/v1/me')).status).toBe(200)
    expect((await server.ask(admin, 'DELETE', `/v1/keys/${id}`)).status).toBe(204)
    expect((await server.ask(key, 'GET', '/v1/me')).status).toBe(401)
    expect((await server.ask(admin, 'DELETE', `/v1/keys/${id}`)).status).toBe(404)
  })

  test('gives no more than its principal has now, and may give less', async () => {
    const server = shared()
    const admin = server.key('admin', { id: 'root' })
    const put = (roles: readonly string[]): Promise<unknown> => server.ask(admin, 'POST', '/v1/people', { id: 'ada', kind: 'person', name: 'Ada', roles })
    await put(['security', 'approver'])
    const { body: narrow } = await server.ask(admin, 'POST', '/v1/keys', { principal: 'ada', roles: ['approver', 'admin'] })
    expect((await server.ask(narrow.key, 'GET', '/v1/me')).body.roles).toEqual(['approver'])
    const { body: wide } = await server.ask(admin, 'POST', '/v1/keys', { principal: 'ada' })
    await put(['developer'])
    expect((await server.ask(wide.key, 'GET', '/v1/me')).body.roles).toEqual(['developer'])
    expect((await server.ask(narrow.key, 'GET', '/v1/me')).status).toBe(403)
  })

  test('ends with its principal, whose id nobody else gets', async () => {
    const server = shared()
    const admin = server.key('admin')
    const key = server.key('developer', { id: 'bob' })
    expect((await server.ask(admin, 'DELETE', '/v1/people/bob')).status).toBe(204)
    expect((await server.ask(key, 'GET', '/v1/me')).status).toBe(401)
    expect(await server.ask(admin, 'POST', '/v1/people', { id: 'bob', kind: 'person', name: 'Bob', roles: ['developer'] })).toMatchObject({ status: 409, body: { code: 'id_used' } })
    expect((await server.ask(admin, 'POST', '/v1/keys', { principal: 'bob' })).status).toBe(404)
  })
})

describe('a principal', () => {
  test.each([
    ['with the id of the embedded trail', { id: 'local' }, 'id_taken'], ['with the id of the ledger', { id: 'ledger' }, 'id_taken'], ['with an id that is no label', { id: 'a b' }, 'bad_id'],
    ['that is an agent and approves', { kind: 'agent', roles: ['agent', 'approver'] }, 'bad_role'], ['without a role', { roles: [] }, 'bad_body'], ['with a role that is none', { roles: ['root'] }, 'bad_body'],
    ['with a field too much', { admin: true }, 'bad_body'], ['in another tenant', { tenant: 'other' }, 'bad_body'],
  ])('%s is refused', async (_what, more, code) => {
    const server = shared()
    const before = await changes(server)
    expect(await server.ask(server.key('admin'), 'POST', '/v1/people', { id: 'carl', kind: 'person', name: 'Carl', roles: ['auditor'], ...more })).toMatchObject({ status: 400, body: { code } })
    expect(await changes(server)).toHaveLength(before.length)
  })

  test('that is an admin does not take the role from themselves', async () => {
    const server = shared()
    const admin = server.key('admin', { id: 'only' })
    expect(await server.ask(admin, 'DELETE', '/v1/people/only')).toMatchObject({ status: 409, body: { code: 'last_admin' } })
    expect(await server.ask(admin, 'POST', '/v1/people', { id: 'only', kind: 'person', name: 'x', roles: ['auditor'] })).toMatchObject({ status: 409, body: { code: 'last_admin' } })
  })

  test('is listed in pages, and each change is on record: by whom, and the rights before and after, without names', async () => {
    const server = await testServer()
    const admin = server.served.firstKey!
    const me = (await server.ask(admin, 'GET', '/v1/me')).body.id
    for (const id of ['a', 'b', 'c']) await server.ask(admin, 'POST', '/v1/people', { id, kind: 'person', name: 'Somebody Else', email: 'x@example.com', roles: ['auditor'] })
    await server.ask(admin, 'POST', '/v1/people', { id: 'a', kind: 'person', name: 'A', roles: ['auditor', 'security'] })
    await server.ask(admin, 'DELETE', '/v1/people/b')
    const first = (await server.ask(admin, 'GET', '/v1/people?limit=2')).body
    const second = (await server.ask(admin, 'GET', `/v1/people?limit=2&cursor=${first.next}`)).body
    expect([...first.items, ...second.items].map(({ id }: { id: string }) => id)).toEqual(['a', me, 'c'])
    expect(second.next).toBeNull()
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'cursor=%21', 'cursor=', 'limit=1&limit=2']) expect((await server.ask(admin, 'GET', `/v1/people?${query}`)).status).toBe(400)
    const found = await changes(server)
    expect(found.map(({ what, writer }) => [what, writer])).toEqual([['people', 'server'], ['keys', 'server'], ...Array.from({ length: 5 }, () => ['people', 'server'])])
    expect(found[5]).toMatchObject({ before: { id: 'a', roles: ['auditor'] }, after: { by: me, id: 'a', roles: ['auditor', 'security'] } })
    expect(found[6]).toMatchObject({ before: { id: 'b' }, after: { by: me, removed: true } })
    expect(JSON.stringify(found)).not.toContain('Somebody Else')
    expect(await server.served.parts.tenants.open('default')!.ledger.call('verify')).toMatchObject({ whole: true })
  })
})

describe('a tenant', () => {
  test('has people, keys and a log of its own, and only admins of default make one', async () => {
    const server = await testServer()
    const root = server.served.firstKey!
    const { status, body } = await server.ask(root, 'POST', '/v1/tenants', { name: 'acme', admin: 'zoe' })
    expect(status).toBe(201)
    expect((await server.ask(body.key, 'GET', '/v1/me')).body).toMatchObject({ id: 'zoe', tenant: 'acme', roles: ['admin'] })
    for (const [method, more] of [['GET', undefined], ['POST', { name: 'other', admin: 'zoe' }]] as const) expect((await server.ask(body.key, method, '/v1/tenants', more)).status).toBe(403)
    expect((await server.ask(root, 'POST', '/v1/tenants', { name: 'acme', admin: 'zoe' })).status).toBe(409)
    expect((await server.ask(body.key, 'GET', '/v1/people')).body.items.map(({ id }: { id: string }) => id)).toEqual(['zoe'])
    expect((await server.ask(root, 'DELETE', '/v1/people/zoe')).status).toBe(404)
    const [own] = (await server.ask(body.key, 'GET', '/v1/keys')).body.items
    expect((await server.ask(root, 'DELETE', `/v1/keys/${own.id}`)).status).toBe(404)
    const bot = server.key('agent', { id: 'bot', tenant: 'acme' })
    const session_id = uuidv7(Date.now())
    expect((await server.ask(bot, 'POST', '/v1/events', { event_type: 'reasoning', session_id, text: 'x' })).status).toBe(200)
    const [mine, theirs] = ['default', 'acme'].map((name) => server.served.parts.tenants.open(name)!.ledger)
    expect(await mine!.call('session', session_id)).toEqual([])
    expect(await theirs!.call<unknown[]>('session', session_id)).toHaveLength(1)
    expect(mine!.status().origin).not.toBe(theirs!.status().origin)
    expect((await changes(server, 'acme')).map(({ what }) => what)).toEqual(['people', 'keys'])
  })
})

describe('a denial', () => {
  test('of somebody known is an entry and a figure; of nobody known only a figure', async () => {
    const server = await testServer()
    const bot = server.key('agent', { id: 'bot' })
    expect((await server.ask(bot, 'GET', '/v1/people')).status).toBe(403)
    expect((await server.ask(undefined, 'GET', '/v1/people')).status).toBe(401)
    const { ledger } = server.served.parts.tenants.open('default')!
    const denied = async (): Promise<ViewEvent[]> => (await ledger.call<{ items: ViewEvent[] }>('events', { event_types: ['access'], outcome: 'denied' }, 100)).items
    await expect.poll(async () => (await denied()).length).toBe(1)
    expect((await denied())[0]).toMatchObject({ action: 'people', identity: { subject: 'bot' }, query: { route: 'GET /v1/people' } })
    const figures = (await server.ask(server.served.firstKey, 'GET', '/metrics')).body
    expect(figures).toContain('counterfoil_denials_total{why="no_key"} 1')
    expect(figures).toContain('counterfoil_denials_total{why="not_allowed"} 1')
    expect(figures).toContain('counterfoil_requests_total{route="GET /v1/people",status="403"} 1')
  })
})
