// Reading over HTTP: what each gets who asks, what it takes to see content, and what is on record of it before the content is out.

import { describe, expect, it } from 'vitest'
import { SECRET, trailServer, type TrailServer } from './server-trail.ts'
import type { Answer } from './served.ts'

const because = { 'counterfoil-purpose': 'case 4711' }
type Access = { index: number; action: string; capture: string; outcome: string | null; identity: { subject: string }; query?: Answer; purpose?: string; counts?: number; root?: string; parent_event_id: string | null; event_id: string }
const accesses = async ({ served }: TrailServer, tenant = 'default'): Promise<Access[]> => {
  const found: Access[] = []
  for (let cursor: string | undefined; ; ) {
    const { items, next } = await served.parts.tenants.open(tenant)!.ledger.call<{ items: Access[]; next: string | null }>('events', { event_types: ['access'] }, 1_000, cursor)
    found.push(...items)
    if (next === null) return found
    cursor = next
  }
}

describe('who reads facts', () => {
  it('gets sessions, events, calls, rows and where an act came from, without a word of content and without an entry', async () => {
    const server = await trailServer()
    const { ask, refund } = server
    const key = server.key('security')
    const paths = ['/v1/sessions', `/v1/sessions/${refund.session_id}`, `/v1/sessions/${refund.session_id}/rows`, '/v1/events', `/v1/events?session_id=${refund.session_id}`, `/v1/events/${refund.call}`, '/v1/calls', `/v1/events/${refund.call}/why`, '/v1/why']
    for (const path of paths) {
      const { status, body } = await ask(key, 'GET', path)
      expect(status, `${path} ${JSON.stringify(body)}`).toBe(200)
      expect(JSON.stringify(body), path).not.toContain(SECRET)
    }
    const { body } = await ask(key, 'GET', `/v1/events?session_id=${refund.session_id}`)
    expect(body.items.map(({ event_id }: { event_id: string }) => event_id)).toEqual(refund.events)
    expect(body.items[0]).toMatchObject({ event_type: 'session_start', agent_id: 'refund-bot', user_id: { absent: 'withheld' }, user_message: { absent: 'withheld' }, system_prompt_hash: null })
    expect(body.next).toBeNull()
    expect(await accesses(server)).toEqual([])
  })

  it('is answered from their own cache by what never changes', async () => {
    const server = await trailServer()
    const key = server.key('security')
    const first = await server.ask(key, 'GET', `/v1/events/${server.refund.call}`)
    expect(first.headers.get('cache-control')).toBe('private, max-age=31536000, immutable')
    const etag = first.headers.get('etag')!
    expect(await server.ask(key, 'GET', `/v1/events/${server.refund.call}`, undefined, { 'if-none-match': etag })).toMatchObject({ status: 304, body: '' })
    expect((await server.ask(server.key('developer'), 'GET', `/v1/events/${server.refund.call}`, undefined, { 'if-none-match': etag })).status).toBe(404)
    const content = await server.ask(key, 'GET', `/v1/events/${server.refund.call}?content=full`, undefined, { ...because, 'if-none-match': etag })
    expect(content.status).toBe(200)
    expect([content.headers.get('etag'), content.headers.get('cache-control')]).toEqual([null, 'no-store'])
  })
})

describe('who reads content', () => {
  it('says why, and it is on record before the content is out', async () => {
    const server = await trailServer()
    const { ask, refund, served } = server
    const key = server.key('compliance', { id: 'ada' })
    const path = `/v1/events/${refund.call}?content=full`
    expect(await ask(key, 'GET', path)).toMatchObject({ status: 400, body: { code: 'no_purpose' } })
    expect(await accesses(server)).toEqual([])
    const size = served.parts.tenants.open('default')!.ledger.status().size
    const { status, body } = await ask(key, 'GET', path, undefined, because)
    expect(status).toBe(200)
    expect(body.tool_input).toEqual({ order: '1182', note: SECRET })
    expect(await accesses(server)).toMatchObject([{ index: size, action: 'read', capture: 'before', identity: { subject: 'ada', roles: ['compliance'] }, query: { session_id: refund.session_id, content: 'full' }, purpose: 'case 4711' }])
    await served.close()
  })

  it('makes one entry for the hour however often they look at the session, and one after it', async () => {
    const server = await trailServer()
    const { ask, refund, served } = server
    const key = server.key('compliance', { id: 'ada' })
    const texts = [`/v1/events/${refund.call}`, `/v1/events/${refund.start}`, `/v1/events?session_id=${refund.session_id}`, `/v1/sessions/${refund.session_id}/rows`, `/v1/sessions/${refund.session_id}`, `/v1/calls?session_id=${refund.session_id}`]
    for (const path of [...texts, ...texts]) {
      const { body } = await ask(key, 'GET', `${path}${path.includes('?') ? '&' : '?'}content=full&purpose=case%204711`)
      expect(JSON.stringify(body), path).toContain(SECRET)
    }
    expect(await accesses(server)).toHaveLength(1)
    await served.parts.accesses.end()
    const [before, after] = await accesses(server)
    expect(after).toMatchObject({ capture: 'after', action: 'read', parent_event_id: before!.event_id, counts: 7 })
    expect(await served.parts.tenants.open('default')!.ledger.call('verify')).toMatchObject({ whole: true })
  })

  it('reads who read what without another entry', async () => {
    const server = await trailServer()
    const key = server.key('compliance')
    await server.ask(key, 'GET', `/v1/events/${server.refund.call}?content=full`, undefined, because)
    for (let i = 0; i < 3; i++) {
      const { body } = await server.ask(key, 'GET', '/v1/events?event_type=access&content=full', undefined, because)
      expect(body.items).toMatchObject([{ event_type: 'access', purpose: 'case 4711' }])
      expect((await server.ask(key, 'GET', `/v1/events/${body.items[0].event_id}?content=full`, undefined, because)).body.purpose).toBe('case 4711')
    }
    expect(await accesses(server)).toHaveLength(1)
  })

  it('gets nothing where it cannot be put on record', async () => {
    const server = await trailServer()
    const key = server.key('compliance')
    const { ledger } = server.served.parts.tenants.open('default')!
    const call = ledger.call.bind(ledger)
    // the ledger's disk is full for this one thing
    ledger.call = ((method: string, ...args: unknown[]) => (method === 'access' ? Promise.reject(Object.assign(new Error('disk'), { code: 'full' })) : call(method, ...args)))
    for (const path of [`/v1/events/${server.refund.call}?content=full`, `/v1/sessions?content=full`, `/v1/calls?content=full`, `/v1/sessions/${server.refund.session_id}/rows?content=full`, `/v1/sessions/${server.refund.session_id}?content=full`, `/v1/why?content=full`]) {
      const { status, body } = await server.ask(key, 'GET', path, undefined, because)
      expect(status, path).toBeGreaterThanOrEqual(500)
      expect(JSON.stringify(body), path).not.toContain(SECRET)
    }
    ledger.call = call
  })

  it('searches in it only as somebody who sees it, and that is on record with what was searched for, found or not', async () => {
    const server = await trailServer()
    const key = server.key('compliance')
    for (const path of ['/v1/events?text=1182', '/v1/calls?text=1182', '/v1/sessions?text=1182', `/v1/sessions?subject=${SECRET}`, `/v1/events?user_id=${SECRET}-refund-bot`]) {
      for (const content of ['', '&content=none', '&content=masked']) expect(await server.ask(key, 'GET', path + content, undefined, because), path).toMatchObject({ status: 400, body: { code: 'needs_content' } })
    }
    expect(await accesses(server)).toEqual([])
    const found = await server.ask(key, 'GET', '/v1/calls?text=order%201182&content=full', undefined, because)
    expect(found.body.items).toHaveLength(2)
    const none = await server.ask(key, 'GET', '/v1/sessions?user_id=nobody&content=full', undefined, because)
    expect(none.body).toEqual({ items: [], next: null })
    expect(await accesses(server)).toMatchObject([{ action: 'search', query: { text: 'order 1182' } }, { action: 'search', query: { list: 'sessions', user_id: { keyed: expect.any(String) } } }])
  })
})

describe('a purpose', () => {
  it('comes in the header or in the query, once and readable', async () => {
    const server = await trailServer()
    const key = server.key('security')
    const path = `/v1/events/${server.refund.call}?content=full`
    const status = async (query: string, header?: string): Promise<[number, string]> => {
      const { status, body } = await server.ask(key, 'GET', `${path}${query}`, undefined, header === undefined ? {} : { 'counterfoil-purpose': header })
      return [status, body.code]
    }
    expect(await status('&purpose=case%204711')).toEqual([200, undefined])
    expect(await status('', 'case 4711')).toEqual([200, undefined])
    expect(await status('&purpose=case%204711', 'case 4711')).toEqual([200, undefined])
    expect(await status('&purpose=Fall%20M%C3%BCller')).toEqual([200, undefined])
    expect(await status('&purpose=one', 'two')).toEqual([400, 'bad_purpose'])
    for (const query of ['&purpose=', '&purpose=%20%20', '&purpose=a%0Ab', '&purpose=a%00b', '&purpose=a&purpose=b', `&purpose=${'x'.repeat(501)}`]) expect((await status(query))[0], query).toBe(400)
    expect(await status('', 'M\u00fcller')).toEqual([400, 'bad_purpose'])
    expect((await status('', 'x'.repeat(501)))[0]).toBe(400)
    expect(await status('', '   ')).toEqual([400, 'bad_purpose'])
  })
})

describe('a cursor', () => {
  it('leads through every page once', async () => {
    const server = await trailServer()
    const key = server.key('security')
    for (const list of [`/v1/events?session_id=${server.refund.session_id}&limit=2`, '/v1/calls?limit=1', '/v1/sessions?limit=1', `/v1/sessions/${server.refund.session_id}/rows?limit=2`]) {
      const whole = (await server.ask(key, 'GET', list.replace(/limit=\d/, 'limit=1000'))).body
      const found: unknown[] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const { status, body } = await server.ask(key, 'GET', `${list}${cursor === '' ? '' : `&cursor=${cursor}`}`)
        expect(status).toBe(200)
        found.push(...body.items)
        cursor = body.next
      }
      expect(found, list).toEqual(whole.items)
      expect(found.length, list).toBeGreaterThan(1)
    }
  })

  it('that a stranger made up shows nothing that its holder may not see, or is refused', async () => {
    const server = await trailServer()
    const developer = server.key('developer', { agents: ['refund-bot'] })
    const forged = ['0', '5', '999999', '-1', '1e3', '9007199254740993', '0x5', '{"started_at":"9999-12-31T23:59:59.999Z","session_id":"ffffffff-ffff-ffff-ffff-ffffffffffff"}', `{"started_at":"2999-01-01T00:00:00.000Z","session_id":"${server.billing.session_id}"}`, "'; DROP TABLE entries --", server.billing.call, '{"__proto__":1}']
    for (const list of ['/v1/events?', '/v1/calls?', '/v1/sessions?', `/v1/sessions/${server.refund.session_id}/rows?`]) {
      for (const cursor of [...forged.map((text) => Buffer.from(text).toString('base64url')), '%00', 'not*base64', 'A']) {
        const { status, body } = await server.ask(developer, 'GET', `${list}cursor=${cursor}`)
        expect([200, 400], `${list} ${cursor} ${JSON.stringify(body)}`).toContain(status)
        if (status === 200) for (const { agent_id } of body.items) expect(agent_id).toBe('refund-bot')
        else expect(body.code).toMatch(/^bad_(cursor|query)$/)
      }
    }
    expect(server.reported).toEqual([])
  })
})

describe('a developer', () => {
  it('sees sessions of own agents only, with payloads by their form, and of others not that they are there', async () => {
    const server = await trailServer()
    const { refund, billing } = server
    const key = server.key('developer', { id: 'dan', agents: ['refund-bot'] })
    const own = await server.ask(key, 'GET', '/v1/events?content=masked')
    expect(new Set(own.body.items.map(({ session_id }: { session_id: string }) => session_id))).toEqual(new Set([refund.session_id]))
    expect(JSON.stringify(own.body)).not.toContain(SECRET)
    expect(own.body.items.find(({ event_id }: { event_id: string }) => event_id === refund.result)).toMatchObject({ tool_output: { state: '[6 characters]', amount: '[number]' } })
    expect((await server.ask(key, 'GET', '/v1/sessions')).body.items).toMatchObject([{ session_id: refund.session_id }])
    expect((await server.ask(key, 'GET', '/v1/events?agent_id=billing-bot')).body).toEqual({ items: [], next: null })
    expect((await server.ask(key, 'GET', `/v1/events?session_id=${billing.session_id}`)).body).toEqual({ items: [], next: null })
    const nowhere = '01890000-0000-7000-8000-000000000000'
    for (const path of ['/v1/events/EVENT', '/v1/events/EVENT/why', '/v1/sessions/SESSION', '/v1/sessions/SESSION/rows']) {
      const there = await server.ask(key, 'GET', path.replace('EVENT', billing.call).replace('SESSION', billing.session_id))
      const not = await server.ask(key, 'GET', path.replace('EVENT', nowhere).replace('SESSION', nowhere))
      expect(there.status, path).toBe(404)
      expect(there.body, path).toEqual(not.body)
    }
    expect(await server.ask(key, 'GET', '/v1/events?content=full', undefined, because)).toMatchObject({ status: 403, body: { code: 'not_allowed' } })
    const denied = (await accesses(server)).filter(({ outcome }) => outcome === 'denied')
    expect(denied).toHaveLength(9)
    expect(denied.every(({ identity }) => identity.subject === 'dan')).toBe(true)
    expect(denied.at(-1)).toMatchObject({ action: 'content', query: { route: 'GET /v1/events' } })
  })
})
