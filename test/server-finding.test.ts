// What somebody looks for on a server: ids by their digits, the newest events, and events from an index on, each in the sight of who asks.

import { expect, test } from 'vitest'
import { trailServer, type TrailServer } from './server-trail.ts'
import type { Answer } from './served.ts'

async function all(server: TrailServer, key: string, query: string): Promise<Answer[]> {
  const items: Answer[] = []
  for (let cursor = ''; ;) {
    const { status, body } = await server.ask(key, 'GET', `/v1/events?${query}${cursor}`)
    expect(status, JSON.stringify(body)).toBe(200)
    items.push(...body.items)
    if (body.next === null) return items
    cursor = `&cursor=${body.next}`
  }
}

test('newest first is the log, or a session, the other way round, in pages of any size', async () => {
  const server = await trailServer()
  const [whole, dev] = [server.key('security'), server.key('developer', { agents: ['refund-bot'] })]
  for (const key of [whole, dev]) {
    for (const session of ['', `&session_id=${server.refund.session_id}`]) {
      const log = await all(server, key, `limit=1000${session}`)
      expect(log.length).toBeGreaterThan(6)
      for (const limit of [1, 3, 7, 1000]) expect(await all(server, key, `order=newest&limit=${limit}${session}`), `${limit}${session}`).toEqual(log.toReversed())
    }
  }
  expect(new Set((await all(server, dev, 'order=newest')).map(({ agent_id }) => agent_id))).toEqual(new Set(['refund-bot']))
  expect(await all(server, dev, `order=newest&session_id=${server.billing.session_id}`)).toEqual([])
  for (const more of ['event_type=tool_call', 'agent_id=refund-bot', 'from=3', 'cursor=x', 'since=2026-01-01T00:00:00Z']) {
    expect((await server.ask(whole, 'GET', `/v1/events?order=newest&${more}`)).status, more).toBe(400)
  }
  expect((await server.ask(whole, 'GET', '/v1/calls?order=newest')).status).toBe(400)
})

test('from is the index to begin at, and goes with every filter', async () => {
  const server = await trailServer()
  const key = server.key('security')
  const log = await all(server, key, 'limit=1000')
  for (const from of [0, 1, 7, log.length - 1, log.length, 999_999]) {
    expect((await all(server, key, `from=${from}&limit=2`)).map(({ index }) => index)).toEqual(log.slice(from).map(({ index }) => index))
    expect(await all(server, key, `from=${from}&event_type=tool_call`)).toEqual(log.slice(from).filter(({ event_type }) => event_type === 'tool_call'))
  }
  for (const from of ['-1', 'x', '1.5', '1e99']) expect((await server.ask(key, 'GET', `/v1/events?from=${from}`)).status, from).toBe(400)
})

test('ids are found by beginning and end, and only those that one may see', async () => {
  const server = await trailServer()
  const { refund, billing } = server
  const ids = async (key: string, digits: string, limit = 100): Promise<Answer> => (await server.ask(key, 'GET', `/v1/ids?digits=${digits}&limit=${limit}`)).body
  const [whole, dev] = [server.key('auditor', { sessions: ['*'] }), server.key('developer', { agents: ['refund-bot'] })]
  const kinds = (found: Answer): string[] => found.items.map(({ kind, id }: { kind: string; id: string }) => `${kind} ${id}`).toSorted()
  const own = [`session ${refund.session_id}`, ...refund.events.map((id) => `event ${id}`)].toSorted()
  const others = [`session ${billing.session_id}`, ...billing.events.map((id) => `event ${id}`)]
  const beginning = refund.session_id.slice(0, 6)
  expect(kinds(await ids(whole, beginning))).toEqual(expect.arrayContaining([...own, ...others]))
  expect(await ids(dev, beginning)).toMatchObject({ more: false })
  expect(kinds(await ids(dev, beginning))).toEqual(own)
  expect(await ids(whole, beginning, 3)).toMatchObject({ items: { length: 3 }, more: true })
  for (const [i, id] of [billing.session_id, ...billing.events].entries()) {
    const kind = i === 0 ? 'session' : 'event'
    for (const digits of [id, id.slice(-12), id.slice(0, 35)]) expect(await ids(dev, digits), digits).toEqual({ items: [], more: false })
    expect(await ids(whole, id)).toEqual({ items: [{ kind, id }], more: false })
  }
  expect(await ids(server.key('developer'), beginning)).toEqual({ items: [], more: false })
  expect(await ids(server.key('auditor', { sessions: [billing.session_id] }), billing.call)).toEqual({ items: [{ kind: 'event', id: billing.call }], more: false })
  for (const query of ['', 'digits=abc', 'digits=ABCD', 'digits=%25%25%25%25', 'digits=abcd&limit=0', 'digits=abcd&limit=101', `digits=${'a'.repeat(37)}`, 'digits=abcd&content=full']) {
    expect((await server.ask(whole, 'GET', `/v1/ids?${query}`)).status, query).toBe(400)
  }
  const other = server.key('security', { tenant: 'default' })
  expect((await server.ask(other, 'POST', '/v1/ids?digits=abcd')).status).toBe(405)
})
