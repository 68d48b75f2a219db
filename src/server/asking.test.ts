// Approvals for authors who speak JSON: they ask with POST /v1/approvals, wait, and name the request in the call. Every guard that drafts meet holds for them.

import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { scratch } from '../../test/scratch.ts'
import { sharedServer, testServer, type Answer, type TestServer } from '../../test/served.ts'
import type { ViewEvent } from '../event/view.ts'
import { findingsOf } from '../monitor/watch.ts'

/** An agent that speaks JSON, in a session of its own. */
class Author {
  readonly server: TestServer
  readonly key: string
  readonly session_id: string

  constructor(server: TestServer, key: string, session_id: string = randomUUID()) {
    this.server = server
    this.key = key
    this.session_id = session_id
  }

  static async begin(server: TestServer, { id = 'bot', ...more }: { id?: string; agent_id?: string; user_id?: string } = {}): Promise<Author> {
    const author = new Author(server, server.key('agent', { id }))
    await author.tell({ event_type: 'session_start', agent_id: 'agent-1', ...more })
    return author
  }

  async tell(event: object): Promise<Answer> {
    return (await this.server.ask(this.key, 'POST', '/v1/events', { session_id: this.session_id, ...event })).body
  }

  ask(more: object = {}, headers: { readonly [name: string]: string } = {}) {
    return this.server.ask(this.key, 'POST', '/v1/approvals', { session_id: this.session_id, tool_name: 'pay', tool_input: { amount: 5 }, risk: 'high', ...more }, headers)
  }

  /** `placed`, or why not. */
  async pay(approval_id: string, more: object = {}): Promise<string> {
    const said = await this.tell({ event_type: 'tool_call', tool_name: 'pay', tool_input: { amount: 5 }, approval_id, ...more })
    return said.receipts?.[0].refused?.code ?? (said.receipts === undefined ? said.code : 'placed')
  }

  events(): Promise<ViewEvent[]> {
    return this.server.served.parts.tenants.open('default')!.ledger.call<ViewEvent[]>('session', this.session_id)
  }
}

const decide = (server: TestServer, key: string, id: string, decision = 'approved') => server.ask(key, 'POST', `/v1/approvals/${id}/decisions`, { decision })
const problems = (server: TestServer): Promise<unknown> => server.served.parts.tenants.open('default')!.ledger.call<{ problems: unknown[] }>('verify').then((verdict) => verdict.problems)

describe('an author who speaks JSON', () => {
  const shared = sharedServer()

  test('asks, waits, and does what was approved, once: on record like any other approval, and no rule has anything to say', async () => {
    const server = shared()
    const author = await Author.begin(server, { user_id: 'anna' })
    const ada = server.key('approver', { id: 'ada' })
    const asked = await author.ask({ summary: 'a refund', reasoning: ['it is owed'], call_id: 't1' })
    expect([asked.status, asked.headers.get('location')]).toEqual([201, `/v1/approvals/${asked.body.approval_id}`])
    expect(asked.body).toMatchObject({ state: 'open', tool_name: 'pay', risk: 'high', quorum: 1, writer: 'bot', agent_id: 'agent-1', used: false })
    expect((await author.events()).at(-1)).toMatchObject({ event_id: asked.body.approval_id, event_type: 'approval_request', tool_input: { amount: 5 } }) // durable when it is answered
    const waiting = server.ask(author.key, 'GET', `/v1/approvals/${asked.body.approval_id}?wait=20`)
    const { body: page } = await server.ask(ada, 'GET', '/v1/approvals?state=open&content=full')
    expect(page.items).toMatchObject([{ approval_id: asked.body.approval_id, tool_input: '{"amount":5}', reasoning: ['it is owed'], summary: 'a refund', user_id: 'anna' }])
    expect((await decide(server, ada, asked.body.approval_id)).status).toBe(200)
    expect((await waiting).body).toMatchObject({ state: 'approved', decisions: [{ approver_id: 'ada', assurance: 'api_key' }] })
    expect(await author.pay(asked.body.approval_id)).toBe('placed')
    await author.tell({ event_type: 'tool_result', outcome: 'success', tool_output: 'done' })
    const events = await author.events()
    const [request, decision, call] = ['approval_request', 'approval_decision', 'tool_call'].map((type) => events.find(({ event_type }) => event_type === type)!)
    expect(call).toMatchObject({ approval: decision!.seq, requires_approval: true, risk: 'high', tool_input: { amount: 5 } })
    expect(request!.seq).toBeLessThan(decision!.seq)
    expect((await server.ask(author.key, 'GET', `/v1/approvals/${asked.body.approval_id}`)).body).toMatchObject({ used: true })
    expect(findingsOf(author.session_id, events).map(({ rule }) => rule)).not.toContain('unapproved_act')
    expect(await problems(server)).toEqual([])
  })

  test('a changed argument, another tool, and an input that only reads alike are refused and on record as denied', async () => {
    const server = shared()
    const author = await Author.begin(server)
    const ada = server.key('approver', { id: 'ada' })
    const { body: { approval_id } } = await author.ask({ tool_input: { amount: 5, to: 'x' } })
    await decide(server, ada, approval_id)
    expect(await author.pay(approval_id, { tool_input: { amount: 6, to: 'x' } })).toBe('approval_other_input')
    expect(await author.pay(approval_id, { tool_input: { amount: '5', to: 'x' } })).toBe('approval_other_input')
    expect(await author.pay(approval_id, { tool_input: { to: 'x', amount: 5 } })).toBe('approval_other_input')
    expect(await author.pay(approval_id, { tool_name: 'pay_out', tool_input: undefined })).toBe('approval_other_tool')
    const calls = (await author.events()).filter(({ event_type }) => event_type === 'tool_call')
    expect(calls.map(({ outcome, approval }) => [outcome, approval])).toEqual(Array.from({ length: 4 }, () => ['denied', undefined]))
    expect(calls[0]).toMatchObject({ tool_input: { amount: 6, to: 'x' } }) // what was tried
    expect(await author.pay(approval_id, { tool_input: undefined })).toBe('placed') // none of these used it up
    expect(await problems(server)).toEqual([])
  })

  test('of an input out of which something was cut nobody can say that it is the same; without one the act has the approved one', async () => {
    const server = shared()
    const author = await Author.begin(server)
    const ada = server.key('approver', { id: 'ada' })
    const input = (card: string): object => ({ tool_input: { card } })
    const { body: { approval_id } } = await author.ask(input('4111 1111 1111 1111'))
    await decide(server, ada, approval_id)
    expect(await author.pay(approval_id, input('5500 0000 0000 0004'))).toBe('approval_other_input')
    expect(await author.pay(approval_id, input('4111 1111 1111 1111'))).toBe('approval_other_input')
    expect(await author.pay(approval_id, { tool_input: undefined })).toBe('placed')
  })

  test('a second act on one approval is refused, also at the same moment; the same event sent again is not a second one', async () => {
    const server = shared()
    const author = await Author.begin(server)
    const ada = server.key('approver', { id: 'ada' })
    const { body: { approval_id } } = await author.ask()
    await decide(server, ada, approval_id)
    const ids = [randomUUID(), randomUUID()]
    const said = await Promise.all(ids.map((event_id) => author.pay(approval_id, { event_id })))
    expect(said.toSorted()).toEqual(['approval_used', 'placed'])
    const [placed, refused] = [ids[said.indexOf('placed')]!, ids[said.indexOf('approval_used')]!]
    expect(await author.pay(approval_id, { event_id: placed })).toBe('placed')
    expect(await author.pay(approval_id, { event_id: refused })).toBe('approval_refused')
    expect((await author.events()).filter(({ event_type }) => event_type === 'tool_call')).toHaveLength(2)
  })

  test('an act before anybody answered, after a no, and on an approval of another session is refused', async () => {
    const server = shared()
    const author = await Author.begin(server)
    const other = new Author(server, author.key)
    await other.tell({ event_type: 'session_start', agent_id: 'agent-1' })
    const ada = server.key('approver', { id: 'ada' })
    const { body: { approval_id } } = await author.ask()
    const event_id = randomUUID()
    expect(await author.pay(approval_id, { event_id })).toBe('approval_missing')
    await decide(server, ada, approval_id)
    expect(await author.pay(approval_id, { event_id })).toBe('approval_refused') // it is on record as denied
    expect(await other.pay(approval_id)).toBe('approval_missing')
    expect(await other.pay(approval_id, { tool_input: undefined })).toBe('missing_field')
    expect(await author.pay(approval_id)).toBe('placed')
    const { body: rejected } = await author.ask()
    await decide(server, ada, rejected.approval_id, 'rejected')
    expect(await author.pay(rejected.approval_id)).toBe('approval_missing')
    expect(await author.pay(randomUUID())).toBe('approval_missing')
    expect(await author.pay('#3')).toBe('bad_approval_id')
    expect(await problems(server)).toEqual([])
  })

  test('nobody in time is a no, and an approval that is old is none', async () => {
    const server = shared()
    const author = await Author.begin(server)
    const ada = server.key('approver', { id: 'ada' })
    const expires_at = new Date(Date.now() + 3_000).toISOString()
    const { body: unanswered } = await author.ask({ expires_at })
    const { body: approved } = await author.ask({ expires_at })
    expect((await decide(server, ada, approved.approval_id)).status).toBe(200)
    await expect.poll(async () => (await server.ask(author.key, 'GET', `/v1/approvals/${unanswered.approval_id}?wait=5`)).body.state, { timeout: 20_000 }).toBe('expired')
    expect((await decide(server, ada, unanswered.approval_id)).body).toMatchObject({ status: 409, code: 'approval_late' })
    expect(await author.pay(unanswered.approval_id)).toBe('approval_missing')
    expect(await author.pay(approved.approval_id)).toBe('approval_expired')
    expect((await author.ask({ expires_at })).body).toMatchObject({ status: 400, code: 'bad_expiry' })
    expect((await author.ask({ approval_id: unanswered.approval_id, expires_at })).body).toMatchObject({ state: 'expired' }) // it was asked when it was to come
    expect(await problems(server)).toEqual([])
  })

  test('who asked cannot approve, and neither can one person twice, whatever key they use', async () => {
    const server = shared()
    const both = new Author(server, server.key('developer', { id: 'eve', kind: 'person', roles: ['agent', 'approver'] }))
    await both.tell({ event_type: 'session_start', agent_id: 'agent-1', user_id: 'anna' })
    const { body: { approval_id } } = await both.ask({ quorum: 2 })
    const refused = async (key: string): Promise<unknown> => decide(server, key, approval_id).then(({ status, body }) => [status, body.code])
    expect(await refused(both.key)).toEqual([409, 'approval_own'])
    expect(await refused(server.key('approver', { id: 'anna' }))).toEqual([409, 'approval_own'])
    const [ada, adaToo, bob] = [server.key('approver', { id: 'ada', email: 'ada@example.org' }), server.key('approver', { id: 'ada-2', email: 'Ada@example.org' }), server.key('approver', { id: 'bob' })]
    expect((await decide(server, ada, approval_id)).status).toBe(200)
    expect([await refused(ada), await refused(adaToo)]).toEqual([[409, 'approval_again'], [409, 'approval_again']])
    expect(await both.pay(approval_id)).toBe('approval_missing') // one of two is none
    expect((await decide(server, bob, approval_id)).status).toBe(200)
    expect(await refused(bob)).toEqual([409, 'approval_late'])
    expect(await both.pay(approval_id)).toBe('placed')
    for (const event_type of ['approval_request', 'approval_decision', 'human_intervention']) expect(await both.tell({ event_type })).toMatchObject({ status: 400, code: 'not_for_events', next: expect.stringContaining('POST /v1/') })
  })

  test('the same question under the same id or key is asked once, and another one under it is refused', async () => {
    const server = shared()
    const author = await Author.begin(server)
    const approval_id = randomUUID()
    const twice = await Promise.all([author.ask({ approval_id }), author.ask({ approval_id })])
    expect(new Set(twice.map(({ status }) => status))).toEqual(new Set([200, 201]))
    expect(new Set(twice.map(({ body }) => body.expires_at)).size).toBe(1)
    expect((await author.ask({ approval_id, tool_input: { amount: 6 } })).body).toMatchObject({ status: 409, code: 'event_id_reused' })
    const keyed = [await author.ask({}, { 'idempotency-key': 'k1' }), await author.ask({}, { 'idempotency-key': 'k1' }), await author.ask({}, { 'idempotency-key': 'k2' })]
    expect(keyed.map(({ status }) => status)).toEqual([201, 200, 201])
    expect(new Set(keyed.map(({ body }) => body.approval_id)).size).toBe(2)
    const stranger = await Author.begin(server, { id: 'other' })
    expect((await stranger.ask({ approval_id })).body).toMatchObject({ status: 409, code: 'event_id_reused' })
    expect((await author.events()).filter(({ event_type }) => event_type === 'approval_request')).toHaveLength(3)
  })

  test('an agent that ended while it waited is answered with the request it made, on a server that was started anew', async () => {
    const at = scratch()
    const first = await testServer(at)
    const author = await Author.begin(first)
    const { body: { approval_id } } = await author.ask()
    await first.served.close()
    const server = await testServer(at)
    const ada = server.key('approver', { id: 'ada' })
    const again = new Author(server, author.key, author.session_id) // another process: it knows its session
    const found = await again.ask({ reuse: true })
    expect([found.status, found.body]).toMatchObject([200, { approval_id, state: 'open' }])
    await decide(server, ada, approval_id)
    expect((await again.ask({ reuse: true })).body).toMatchObject({ approval_id, state: 'approved' })
    expect((await again.ask({ reuse: true, tool_input: { amount: 6 } })).status).toBe(201) // not the same action
    expect((await again.ask({ reuse: true, quorum: 2 })).status).toBe(201) // more people are asked for now
    expect(await again.pay(approval_id)).toBe('placed')
    const { body: next } = await again.ask({ reuse: true, quorum: 1 })
    expect(next.approval_id).not.toBe(approval_id) // used up
    await decide(server, ada, next.approval_id, 'rejected')
    expect((await again.ask({ reuse: true })).body.approval_id).not.toBe(approval_id)
    expect(await problems(server)).toEqual([])
  })

  test('nobody is asked in a session that is not there, is not this agent\'s, has ended or was stopped; a stop rejects what waits, and no act follows', async () => {
    const server = shared()
    const author = await Author.begin(server)
    const ada = server.key('approver', { id: 'ada' })
    expect((await new Author(server, author.key).ask()).status).toBe(404)
    const bound = new Author(server, server.key('agent', { id: 'bound', agents: ['agent-2'] }), author.session_id)
    expect((await bound.ask()).body).toMatchObject({ status: 403, code: 'not_own_agent' })
    expect((await server.ask(ada, 'POST', '/v1/approvals', { session_id: author.session_id, tool_name: 'pay', tool_input: {} })).status).toBe(403)
    const [{ body: waits }, { body: approved }] = [await author.ask(), await author.ask()]
    await decide(server, ada, approved.approval_id)
    expect((await server.ask(server.key('security', { id: 'sam' }), 'POST', `/v1/sessions/${author.session_id}/interventions`, { kind: 'stop' })).status).toBe(201)
    expect((await server.ask(author.key, 'GET', `/v1/approvals/${waits.approval_id}`)).body).toMatchObject({ state: 'rejected' })
    expect(await author.pay(approved.approval_id)).toBe('session_stopped')
    expect((await author.ask()).body).toMatchObject({ status: 409, code: 'session_stopped' })
    const ended = await Author.begin(server, { id: 'other' })
    await ended.tell({ event_type: 'session_end', outcome: 'success' })
    expect((await ended.ask()).body).toMatchObject({ status: 409, code: 'session_ended' })
  })

  test.each([
    ['no input', { tool_input: undefined }], ['a name that is no label', { tool_name: 'pay; drop' }], ['a quorum of none', { quorum: 0 }], ['a risk that is none', { risk: 'fatal' }],
    ['a field that it does not have', { approved: true }], ['a time that is none', { expires_at: 'tomorrow' }], ['an id that is none', { approval_id: 'x' }], ['an id in capitals', { approval_id: randomUUID().toUpperCase() }],
    ['an input that nobody reads', { tool_input: 'x'.repeat(2 ** 20) }],
  ])('%s is refused, and nothing is asked', async (_what, more) => {
    const server = shared()
    const author = await Author.begin(server)
    expect((await author.ask(more)).status).toBe(400)
    expect((await author.events()).map(({ event_type }) => event_type)).toEqual(['session_start'])
  })

  test('what is asked of a person is theirs: erased with them, and the approval is still one', async () => {
    const server = shared()
    const author = await Author.begin(server)
    const ada = server.key('approver', { id: 'ada' })
    const { body: { approval_id } } = await author.ask({ subject: 'c-1', tool_input: { to: 'c-1' } })
    await decide(server, ada, approval_id)
    expect(await author.pay(approval_id, { tool_input: undefined })).toBe('placed')
    expect((await server.ask(server.key('compliance'), 'POST', '/v1/erasures', { user_id: 'c-1', reason: 'asked' })).status).toBe(200)
    const events = await author.events()
    expect(JSON.stringify(events)).not.toContain('"to":"c-1"')
    expect(events.find(({ event_type }) => event_type === 'tool_call')).toMatchObject({ approval: expect.any(Number) })
    expect(await problems(server)).toEqual([])
  })
})
