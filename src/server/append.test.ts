import { describe, expect, test } from 'vitest'
import { sharedServer, testServer, type TestServer } from '../../test/served.ts'
import { formatTime } from '../base/clock.ts'
import { concat, u32be } from '../base/bytes.ts'
import { randomRef, uuidv7 } from '../base/ids.ts'
import { encodeDraft, type Draft } from '../event/draft.ts'
import type { ViewEvent } from '../event/view.ts'

const shared = sharedServer()
const newId = (): string => uuidv7(Date.now())
const session = (server: TestServer, session_id: string, tenant = 'default'): Promise<ViewEvent[]> => server.served.parts.tenants.open(tenant)!.ledger.call<ViewEvent[]>('session', session_id)

describe('POST /v1/events', () => {
  test('puts a session in its author\'s words on record, and answers when it is durable', async () => {
    const server = shared()
    const key = server.key('agent', { id: 'support-bot' })
    const session_id = newId()
    const { status, body } = await server.ask(key, 'POST', '/v1/events', [
      { event_type: 'session_start', session_id, agent_id: 'support-v1', user_id: 'c-1', user_message: 'where is it?' },
      { event_type: 'llm_call', session_id, provider: 'p', model_id: 'm', input_messages: [{ role: 'user', content: 'where is it?' }] },
      { event_type: 'llm_result', session_id, output_text: 'I look.', outcome: 'success' },
      { event_type: 'tool_call', session_id, tool_name: 'look_up', tool_input: { order: 1182 }, call_id: 't1' },
      { event_type: 'tool_result', session_id, call_id: 't1', outcome: 'success', tool_output: { state: 'sent' } },
      { event_type: 'session_end', session_id, outcome: 'success', reason: 'answered', final_output: 'It is sent.' },
    ])
    expect(status).toBe(200)
    expect(body.receipts).toHaveLength(6)
    expect(body.receipts.every((receipt: { level: string }) => receipt.level === 'durable')).toBe(true)
    const { ledger } = server.served.parts.tenants.open('default')!
    expect(body.checkpoint).toBe(ledger.status().last_checkpoint)
    const events = await session(server, session_id)
    expect(events.map(({ event_type }) => event_type)).toEqual(['session_start', 'llm_call', 'llm_result', 'tool_call', 'tool_result', 'final_output', 'session_end'])
    expect(events.every(({ writer }) => writer === 'support-bot')).toBe(true)
    expect(events[0]).toMatchObject({ user_id: 'c-1', user_message: 'where is it?' })
    const calls = await ledger.call<{ items: unknown[] }>('calls', { session_id }, 10)
    expect(calls.items).toMatchObject([{ output_text: 'I look.', answered: true }, { tool_name: 'look_up', tool_output: { state: 'sent' }, answered: true }])
    expect(await ledger.call('verify')).toMatchObject({ whole: true })
  })

  test('sent again under its idempotency key, or with its own ids, gets the same receipts, later and after a restart', async () => {
    let now = Date.parse('2026-11-21T08:00:00.000Z')
    const clock = (): number => now
    const first = await testServer({ clock })
    const key = first.key('agent')
    const session_id = newId()
    const body = [
      { event_type: 'session_start', session_id, agent_id: 'a', user_id: 'u', subject: 'u' }, { event_type: 'reasoning', session_id, text: 'because', subject: ['u', 'v'] },
      { event_type: 'llm_call', session_id, provider: 'p', model_id: 'm', input_messages: Array.from({ length: 600 }, (_, i) => ({ role: 'user', content: `message ${i}` })) },
      { event_type: 'session_end', session_id, final_output: 'done' },
    ]
    const own = body.map((event) => ({ ...event, session_id: newId(), event_id: newId() }))
    const [derived, named] = [await first.ask(key, 'POST', '/v1/events', body, { 'idempotency-key': 'one' }), await first.ask(key, 'POST', '/v1/events', own)]
    expect([derived.status, named.status]).toEqual([200, 200])
    now += 60_000
    expect((await first.ask(key, 'POST', '/v1/events', body, { 'idempotency-key': 'one' })).body.receipts).toEqual(derived.body.receipts)
    await first.served.close()
    const second = await testServer({ db: first.db, home: first.home, clock })
    expect((await second.ask(key, 'POST', '/v1/events', body, { 'idempotency-key': 'one' })).body).toEqual(derived.body.receipts === undefined ? undefined : expect.objectContaining({ receipts: derived.body.receipts }))
    expect((await second.ask(key, 'POST', '/v1/events', own)).body.receipts).toEqual(named.body.receipts)
    const events = await session(second, session_id)
    expect(events.map(({ event_type }) => event_type)).toEqual(['subject', 'session_start', 'subject', 'reasoning', 'context', 'context', 'llm_call', 'final_output', 'session_end'])
    expect(events.find(({ event_type }) => event_type === 'llm_call')!['input_messages']).toHaveLength(600)
    const other = await second.ask(key, 'POST', '/v1/events', body, { 'idempotency-key': 'two' })
    expect(other.body.receipts[0].index).not.toBe(derived.body.receipts[0].index)
  })

  test('whose id is on record with other content is refused, and the rest of its body is stored', async () => {
    const server = shared()
    const key = server.key('agent')
    const [session_id, event_id] = [newId(), newId()]
    await server.ask(key, 'POST', '/v1/events', { event_type: 'reasoning', session_id, event_id, text: 'first' })
    const { status, body } = await server.ask(key, 'POST', '/v1/events', [{ event_type: 'reasoning', session_id, event_id, text: 'second' }, { event_type: 'reasoning', session_id, text: 'third' }])
    expect(status).toBe(200)
    expect(body.receipts).toMatchObject([{ event_id, refused: { code: 'event_id_reused' } }, { level: 'durable' }])
    expect(body.receipts[0].refused.next).not.toBe('')
    expect((await session(server, session_id)).map(({ text }) => text)).toEqual(['first', 'third'])
  })

  test('takes lines, and cuts secrets out before anything is hashed', async () => {
    const server = shared()
    const session_id = newId()
    const secret = `sk-ant-${'a1'.repeat(20)}`
    const lines = [{ event_type: 'reasoning', session_id, text: `the key is ${secret}` }, { event_type: 'custom', session_id, name: 'note', content: { key: secret } }].map((one) => JSON.stringify(one))
    const { status } = await server.ask(server.key('agent'), 'POST', '/v1/events', `${lines.join('\r\n')}\n\n`, { 'content-type': 'application/x-ndjson; charset=utf-8' })
    expect(status).toBe(200)
    const events = await session(server, session_id)
    expect(events).toMatchObject([{ text: 'the key is [masked:api_key]' }, { content: { key: '[masked:api_key]' } }])
    expect(JSON.stringify(events)).not.toContain(secret)
  })

  test('says of a person is found by that person', async () => {
    const server = shared()
    const session_id = newId()
    await server.ask(server.key('agent'), 'POST', '/v1/events', [{ event_type: 'session_start', session_id, agent_id: 'a' }, { event_type: 'tool_call', session_id, tool_name: 'pay', tool_input: { to: 'c-77' }, subject: 'c-77' }])
    const { ledger } = server.served.parts.tenants.open('default')!
    expect(await ledger.call('sessions', { subject: 'c-77' }, 10)).toMatchObject({ items: [{ session_id }] })
    await ledger.call('erase', { user_id: 'c-77', reason: 'asked for' })
    expect((await session(server, session_id)).find(({ event_type }) => event_type === 'tool_call')!['tool_input']).toMatchObject({ reason: 'erased' })
  })
})

describe('POST /v1/drafts', () => {
  const draft = (session_id: string, stream: string, stream_seq: number, more: Partial<Draft> = {}): Draft => ({
    event_id: newId(), event_type: 'reasoning', session_id, stream, stream_seq, timestamp: formatTime(Date.now()), capture: 'after', facts: { kind: 'author_stated' }, payloads: { text: { m: 'text', content: `no ${stream_seq}` } }, ...more,
  })
  const bodyOf = (drafts: readonly Draft[]): Uint8Array => concat(...drafts.map(encodeDraft).flatMap((bytes) => [u32be(bytes.length), bytes]))
  const media = { 'content-type': 'application/vnd.counterfoil.drafts' }

  test('puts drafts of a stream on record as they are, once', async () => {
    const server = shared()
    const key = server.key('agent')
    const [session_id, stream] = [newId(), randomRef()]
    const drafts = [0, 1, 3].map((seq) => draft(session_id, stream, seq))
    const { status, body } = await server.ask(key, 'POST', '/v1/drafts', bodyOf(drafts), media)
    expect(status).toBe(200)
    expect((await server.ask(key, 'POST', '/v1/drafts', bodyOf(drafts), media)).body.receipts).toEqual(body.receipts)
    expect((await session(server, session_id)).map(({ event_type, text }) => text ?? event_type)).toEqual(['no 0', 'no 1', 'gap', 'no 3'])
  })

  test('stores nothing of a body in which one is malformed', async () => {
    const server = shared()
    const key = server.key('agent')
    const session_id = newId()
    const good = draft(session_id, randomRef(), 0)
    const whole = bodyOf([good])
    const bodies = [whole.subarray(0, whole.length - 1), concat(whole, u32be(3), new Uint8Array(3)), concat(whole, u32be(0xffffffff)), bodyOf([good, draft(session_id, randomRef(), 0, { facts: { kind: 'none' } })]), bodyOf([good, draft(session_id, randomRef(), 0, { event_type: 'gap', facts: {}, payloads: {} })])]
    for (const body of bodies) expect(await server.ask(key, 'POST', '/v1/drafts', body, media)).toMatchObject({ status: 400 })
    expect(await session(server, session_id)).toEqual([])
  })
})

describe('a key that is bound to agents', () => {
  test('begins sessions as them and writes to those, and to nobody else\'s', async () => {
    const server = shared()
    const [bound, other] = [server.key('agent', { agents: ['support-v1', 'support-v2'] }), server.key('agent', { agents: ['billing'] })]
    const [session_id, free] = [newId(), newId()]
    const start = (id: string, agent_id: string): object => ({ event_type: 'session_start', session_id: id, agent_id })
    const note = (id: string): object => ({ event_type: 'reasoning', session_id: id, text: 'x' })
    expect(await server.ask(bound, 'POST', '/v1/events', [start(session_id, 'support-v2'), note(session_id)])).toMatchObject({ status: 200 })
    expect(await server.ask(bound, 'POST', '/v1/events', note(session_id))).toMatchObject({ status: 200 })
    expect(await server.ask(bound, 'POST', '/v1/events', start(newId(), 'billing'))).toMatchObject({ status: 403, body: { code: 'not_own_agent' } })
    expect(await server.ask(other, 'POST', '/v1/events', [start(free, 'billing'), note(session_id)])).toMatchObject({ status: 403, body: { code: 'not_own_agent' } })
    expect(await session(server, free)).toEqual([])
    expect(await session(server, session_id)).toHaveLength(3)
    expect(await server.ask(bound, 'POST', '/v1/events', note(free))).toMatchObject({ status: 200 }) // nobody began it
    expect(await server.ask(other, 'POST', '/v1/events', note(free))).toMatchObject({ status: 403 })
  })
})

describe('the ledger\'s own session', () => {
  test('is nobody\'s to write to: what the server says of itself cannot be forged', async () => {
    const server = shared()
    const session_id = await server.served.parts.tenants.open('default')!.ledger.call<string>('own')
    const key = server.key('agent')
    const forged = { event_type: 'config_change', session_id, what: 'people', after: { by: 'ada', id: 'mallory', roles: ['security'] } }
    expect(await server.ask(key, 'POST', '/v1/events', [{ event_type: 'reasoning', session_id: newId(), text: 'x' }, forged])).toMatchObject({ status: 403, body: { code: 'not_own_agent' } })
    expect((await session(server, session_id)).some(({ writer }) => writer !== 'ledger' && writer !== 'server')).toBe(false)
  })
})

describe('the server', () => {
  test('that ends answers what it has accepted, and takes no more', async () => {
    const server = await testServer()
    const key = server.key('agent')
    const asked = Promise.allSettled(Array.from({ length: 50 }, () => server.ask(key, 'POST', '/v1/events', { event_type: 'reasoning', session_id: newId(), text: 'x' })))
    await expect.poll(() => server.served.parts.gate.open, { interval: 1, timeout: 10_000 }).toBeGreaterThan(0)
    await server.served.close()
    const answers = await asked
    const stored = answers.flatMap((one) => (one.status === 'fulfilled' && one.value.status === 200 ? one.value.body.receipts : []))
    expect(stored.length).toBeGreaterThan(0)
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow()
    const again = await testServer({ db: server.db, home: server.home })
    const { ledger } = again.served.parts.tenants.open('default')!
    for (const { event_id, index } of stored) expect(await ledger.call('at', index)).toMatchObject({ event_id })
  })
})
