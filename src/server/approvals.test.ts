import { describe, expect, test } from 'vitest'
import { testServer, type TestServer } from '../../test/served.ts'
import { concat, u32be } from '../base/bytes.ts'
import { uuidv7 } from '../base/ids.ts'
import { encodeDraft, type Draft } from '../event/draft.ts'

const TYPE = { 'content-type': 'application/vnd.counterfoil.drafts' }

/** An agent's session on the server, by drafts, as a client sends them. */
class Agent {
  readonly server: TestServer
  readonly key: string
  readonly session_id: string = uuidv7(Date.now())

  constructor(server: TestServer, id = 'bot') {
    this.server = server
    this.key = server.key('agent', { id })
  }

  async start(more: { agent_id?: string; user_id?: string } = {}): Promise<this> {
    await this.server.ask(this.key, 'POST', '/v1/events', { event_type: 'session_start', session_id: this.session_id, agent_id: 'agent-1', ...more })
    return this
  }

  async hand(...drafts: Omit<Draft, 'session_id' | 'timestamp' | 'capture'>[]) {
    const bytes = drafts.map((draft) => encodeDraft({ session_id: this.session_id, timestamp: new Date().toISOString(), capture: 'before', ...draft }))
    return this.server.ask(this.key, 'POST', '/v1/drafts', concat(...bytes.flatMap((one) => [u32be(one.length), one])), TYPE)
  }

  /** Asks, and gives the request's id. */
  async request(facts: { quorum?: number; expires_at?: string } = {}, input = '{"amount":5}'): Promise<string> {
    const event_id = uuidv7(Date.now())
    await this.hand({ event_id, event_type: 'approval_request', facts: { tool_name: 'pay', risk: 'high', expires_at: new Date(Date.now() + 60_000).toISOString(), ...facts }, payloads: { tool_input: { m: 'json', content: input }, shown: { m: 'json', content: '{"reasoning":["it is owed"]}' } } })
    return event_id
  }

  async pay(request: string, decision: string) {
    const { body } = await this.hand({ event_id: uuidv7(Date.now()), event_type: 'tool_call', facts: { tool_name: 'pay', risk: 'high', requires_approval: true }, links: { approval: decision }, payloads: { tool_input: { same: request } } })
    return body.receipts[0].refused?.code ?? 'placed'
  }
}

const decide = (server: TestServer, key: string, id: string, decision = 'approved', comment?: string) => server.ask(key, 'POST', `/v1/approvals/${id}/decisions`, { decision, ...(comment === undefined ? {} : { comment }) })
const verified = async (server: TestServer): Promise<unknown> => server.served.parts.tenants.open('default')!.ledger.call<{ problems: unknown[] }>('verify').then(({ problems }) => problems)

describe('approvals over HTTP', () => {
  test('an agent waits by long poll, a person is shown what is on record, answers, and the act may happen once', async () => {
    const server = await testServer()
    const agent = await new Agent(server).start({ user_id: 'anna' })
    const ada = server.key('approver', { id: 'ada' })
    const request = await agent.request()
    const waiting = server.ask(agent.key, 'GET', `/v1/approvals/${request}?wait=20`)
    const { body: page } = await server.ask(ada, 'GET', '/v1/approvals?state=open&content=full')
    expect(page).toMatchObject({ next: null, items: [{ approval_id: request, tool_name: 'pay', risk: 'high', agent_id: 'agent-1', writer: 'bot', state: 'open', tool_input: '{"amount":5}', reasoning: ['it is owed'], user_id: 'anna' }] })
    const { body } = await decide(server, ada, request, 'approved', 'fine')
    expect(body).toMatchObject({ index: expect.any(Number), approval: { state: 'approved', approvals: 1, used: false } })
    const { body: answered } = await waiting
    expect(answered).toMatchObject({ state: 'approved', decision: body.event_id, decisions: [{ approver_id: 'ada', comment: 'fine', assurance: 'api_key', counts: true }] })
    expect(answered.tool_input).toBeUndefined()
    expect(await agent.pay(request, body.event_id)).toBe('placed')
    expect(await agent.pay(request, body.event_id)).toBe('approval_used')
    const { ledger } = server.served.parts.tenants.open('default')!
    const { items: accesses } = await ledger.call<{ items: unknown[] }>('events', { event_types: ['access'] }, 10)
    expect(accesses).toMatchObject([{ action: 'read', identity: { subject: 'ada' }, purpose: 'approval' }])
    expect(await verified(server)).toEqual([])
  })

  test('who asked, whose agent it is, whom it is for, and one person under two names cannot be the people who approve', async () => {
    const server = await testServer()
    const agent = await new Agent(server).start({ user_id: 'anna' })
    const [anna, ada, adaToo, eve, owner] = [server.key('approver', { id: 'anna' }), server.key('approver', { id: 'ada', email: 'ada@example.org' }), server.key('approver', { id: 'ada-2', email: 'Ada@example.org' }), server.key('approver', { id: 'eve' }), server.key('developer', { id: 'owen', roles: ['developer', 'approver'], agents: ['agent-1'] })]
    const request = await agent.request({ quorum: 2 })
    const refused = async (key: string) => decide(server, key, request).then(({ status, body }) => [status, body.code])
    expect(await refused(anna)).toEqual([409, 'approval_own'])
    expect(await refused(owner)).toEqual([409, 'approval_own'])
    expect((await decide(server, ada, request)).status).toBe(200)
    expect(await refused(ada)).toEqual([409, 'approval_again'])
    const { keys } = server.served.parts
    expect(await refused(keys.issue({ tenant: 'default', principal: 'ada' }).key)).toEqual([409, 'approval_again']) // another key
    expect(await refused(adaToo)).toEqual([409, 'approval_again']) // another name
    expect((await decide(server, agent.key, request)).status).toBe(403)
    expect((await server.ask(eve, 'GET', `/v1/approvals/${request}`)).body).toMatchObject({ state: 'open', approvals: 1, quorum: 2 })
    const { body } = await decide(server, eve, request)
    expect(body.approval).toMatchObject({ state: 'approved', approvals: 2 })
    expect(body.approval.decisions.map(({ approver_id, counts }: { approver_id: string; counts: boolean }) => [approver_id, counts])).toEqual([['anna', false], ['owen', false], ['ada', true], ['ada', false], ['ada', false], ['ada-2', false], ['eve', true]])
    expect(await refused(eve)).toEqual([409, 'approval_late'])
    expect(await agent.pay(request, body.event_id)).toBe('placed')
    expect(await verified(server)).toEqual([])
  })

  test('an agent cannot say who decided, nor see or answer what others ask', async () => {
    const server = await testServer()
    const agent = await new Agent(server).start()
    const other = await new Agent(server, 'other').start({ agent_id: 'agent-2' })
    const request = await agent.request()
    const { body: seen } = await server.ask(agent.key, 'GET', `/v1/approvals/${request}`)
    const claim = (assurance: string) => ({ event_id: uuidv7(Date.now()), event_type: 'approval_decision' as const, facts: { request: seen.entry_hash, decision: 'approved', approver: '0'.repeat(32), assurance }, payloads: { identity: { m: 'json' as const, content: '{"subject":"ada","role":"approver"}' } }, persons: ['ada'], outcome: 'success' as const })
    expect((await agent.hand(claim('api_key'))).body).toMatchObject({ status: 403, code: 'not_signed_in' })
    expect((await server.ask(other.key, 'GET', `/v1/approvals/${request}`)).status).toBe(404)
    expect((await server.ask(other.key, 'GET', '/v1/approvals')).body.items).toEqual([])
    expect((await server.ask(agent.key, 'GET', `/v1/approvals/${request}?content=full`)).status).toBe(403)
    const action = { session_id: agent.session_id, tool_name: 'pay', tool_input: '{"amount":5}' }
    expect((await server.ask(agent.key, 'POST', '/v1/approval-matches', action)).body).toEqual({ items: [request] })
    expect((await server.ask(agent.key, 'POST', '/v1/approval-matches', { ...action, tool_input: '{"amount":6}' })).body).toEqual({ items: [] })
    expect((await server.ask(other.key, 'POST', '/v1/approval-matches', action)).body).toEqual({ items: [] })
    expect((await server.ask(other.key, 'GET', `/v1/sessions/${agent.session_id}/interventions`)).status).toBe(404)
  })

  test('nobody answered in time: it is put on record where nobody waits', async () => {
    const server = await testServer()
    const agent = await new Agent(server).start()
    const request = await agent.request({ expires_at: new Date(Date.now() + 300).toISOString() })
    const { parts } = server.served
    const tenant = parts.tenants.open('default')!
    await expect.poll(async () => (await server.ask(agent.key, 'GET', `/v1/approvals/${request}?wait=1`)).body.state, { timeout: 20_000 }).toBe('expired')
    await parts.oversight.sweep(tenant)
    await parts.oversight.sweep(tenant)
    expect((await server.ask(agent.key, 'GET', `/v1/approvals/${request}`)).body).toMatchObject({ state: 'expired', decisions: [{ decision: 'expired', counts: true }] })
    expect((await decide(server, server.key('approver'), request)).body).toMatchObject({ status: 409, code: 'approval_late' })
  })

  test('a stop is heard by who waits for it, ends what waits for an approval, and no act follows', async () => {
    const server = await testServer()
    const agent = await new Agent(server).start()
    const child = new Agent(server, 'child')
    await server.ask(child.key, 'POST', '/v1/events', { event_type: 'session_start', session_id: child.session_id, agent_id: 'agent-2', parent_session_id: agent.session_id })
    const request = await agent.request()
    const waiting = [server.ask(agent.key, 'GET', `/v1/sessions/${agent.session_id}/interventions?wait=20`), server.ask(agent.key, 'GET', `/v1/approvals/${request}?wait=20`)]
    expect((await server.ask(agent.key, 'POST', `/v1/sessions/${agent.session_id}/interventions`, { kind: 'stop' })).status).toBe(403)
    const { status, body } = await server.ask(server.key('security', { id: 'sam' }), 'POST', `/v1/sessions/${agent.session_id}/interventions`, { kind: 'stop', note: 'enough' })
    expect([status, body]).toMatchObject([201, { sessions: [agent.session_id, child.session_id], rejected: 1 }])
    const [stopped, approval] = await Promise.all(waiting)
    expect(stopped!.body).toMatchObject({ items: [{ kind: 'stop', index: body.index }], next: body.index })
    expect(approval!.body).toMatchObject({ state: 'rejected' })
    for (const one of [agent, child]) {
      const { body: after } = await one.hand({ event_id: uuidv7(Date.now()), event_type: 'tool_call', facts: { tool_name: 'look', risk: 'low' }, payloads: { tool_input: { m: 'json', content: '{}' } } })
      expect(after.receipts[0].refused.code).toBe('session_stopped')
    }
    expect(await verified(server)).toEqual([])
  })
})
