// A session that is about somebody else than its user, taken up over HTTP: what is recorded from then on goes with that person.

import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { openTrail, type Trail } from '../src/index.ts'
import { scratch } from './scratch.ts'
import { testServer, type Answer, type TestServer } from './served.ts'

const [PERSON, LATER] = ['c-4712', 'said later, of whom it is about']

/** All that is on record of a session, in the clear. */
async function said(server: TestServer, session_id: string): Promise<string> {
  const { ledger } = server.served.parts.tenants.open('default')!
  return JSON.stringify(await ledger.call<unknown[]>('session', session_id))
}

async function erase(server: TestServer): Promise<void> {
  expect((await server.ask(server.key('compliance'), 'POST', '/v1/erasures', { user_id: PERSON, reason: 'case 1' })).status).toBe(200)
}

const problems = (server: TestServer): Promise<unknown> => server.served.parts.tenants.open('default')!.ledger.call<{ problems: unknown[] }>('verify').then((verdict) => verdict.problems)

test.each(['an agent', 'a reader'])('a trail of %s: what the taken up session says is gone when the person is erased, and what is nobody\'s is not', async (who) => {
  const server = await testServer()
  const key = server.key('agent', { id: 'bot', ...(who === 'a reader' ? { kind: 'person', roles: ['agent', 'compliance'] } : {}) })
  const open = (): Trail => {
    const trail = openTrail(server.url, { key, home: scratch().home, agent_id: 'bot', ...(who === 'a reader' ? { purpose: 'a test' } : {}) })
    onTestFinished(() => trail.close().catch(() => undefined))
    return trail
  }
  const first = open()
  const session = await first.start({ user_id: 'employee-7', subject: PERSON })
  session.record('reasoning', { text: 'said at first' })
  await session.suspend()
  await first.close()
  const second = open()
  const resumed = await second.resume(session.session_id)
  resumed.record('reasoning', { text: LATER })
  resumed.record('reasoning', { text: 'of nobody', subject: null })
  await resumed.tool({ name: 'look' }, (input: { at: string }) => input.at)({ at: `${LATER} 2` })
  await resumed.end({ final_output: `${LATER} 3` })
  await second.flush()
  expect(await said(server, session.session_id)).toContain(`${LATER} 3`)
  await erase(server)
  const after = await said(server, session.session_id)
  expect([after.includes('said at first'), after.includes(LATER), after.includes('of nobody')]).toEqual([false, false, true])
  const denied = await server.served.parts.tenants.open('default')!.ledger.call<{ items: unknown[] }>('events', { event_types: ['access'], outcome: 'denied' }, 10)
  expect(denied.items).toEqual([]) // to go on is no attempt to read
  expect(await problems(server)).toEqual([])
})

test('an author who speaks JSON: what says nothing of whom it is goes with whom the session is about, in this body, in later ones and after a restart', async () => {
  const at = scratch()
  let server = await testServer(at)
  const key = server.key('agent', { id: 'bot' })
  const session_id = randomUUID()
  const tell = async (...events: object[]): Promise<Answer> => (await server.ask(key, 'POST', '/v1/events', events.map((event) => ({ session_id, ...event })))).body
  const [again, start] = [{ event_type: 'reasoning', event_id: randomUUID(), text: `${LATER} 1` }, { event_type: 'session_start', event_id: randomUUID(), agent_id: 'agent-1', user_id: 'employee-7', subject: PERSON }]
  await tell(start, again)
  await tell({ event_type: 'tool_call', tool_name: 'look', tool_input: { at: `${LATER} 2` } }, { event_type: 'reasoning', subject: null, text: 'of nobody' }, { event_type: 'reasoning', subject: 'c-9', text: 'of another' })
  await server.served.close()
  server = await testServer(at)
  expect((await tell(start, again)).receipts.map(({ level }: Answer) => level)).toEqual(['durable', 'durable']) // the same events, and no others
  expect((await tell(again)).receipts.map(({ level }: Answer) => level)).toEqual(['durable'])
  const { body: asked } = await server.ask(key, 'POST', '/v1/approvals', { session_id, tool_name: 'pay', tool_input: { to: `${LATER} 3` } })
  await tell({ event_type: 'session_end', outcome: 'success', final_output: `${LATER} 4` })
  expect(asked.state).toBe('open')
  for (const n of [1, 2, 3, 4]) expect(await said(server, session_id)).toContain(`${LATER} ${n}`)
  await erase(server)
  const after = await said(server, session_id)
  expect([after.includes(LATER), after.includes('of nobody'), after.includes('of another')]).toEqual([false, true, true])
  await tell({ event_type: 'reasoning', text: `${LATER} 5` })
  expect(await said(server, session_id)).not.toContain(LATER) // nor is what comes after
  expect(await problems(server)).toEqual([])
})

test('a session that says only late whom it is about has what comes after that go with them, after a restart too', async () => {
  const at = scratch()
  let server = await testServer(at)
  const key = server.key('agent', { id: 'bot' })
  const session_id = randomUUID()
  const tell = async (...events: object[]): Promise<Answer> => (await server.ask(key, 'POST', '/v1/events', events.map((event) => ({ session_id, ...event })))).body
  for (let n = 0; n < 3; n++) await tell(...Array.from({ length: 10 }, () => ({ event_type: 'reasoning', text: 'before anybody was named' })))
  await tell({ event_type: 'session_start', agent_id: 'agent-1', subject: PERSON })
  await tell({ event_type: 'reasoning', text: `${LATER} 1` })
  await server.served.close()
  server = await testServer(at)
  await tell({ event_type: 'reasoning', text: `${LATER} 2` })
  expect(await said(server, session_id)).toContain(`${LATER} 2`)
  await erase(server)
  const after = await said(server, session_id)
  expect([after.includes(LATER), after.includes('before anybody')]).toEqual([false, true])
  expect(await problems(server)).toEqual([])
})

test('the answer of a session says whom it is about: by reference, and who that is only to who reads content', async () => {
  const server = await testServer()
  const key = server.key('agent', { id: 'bot' })
  const session_id = randomUUID()
  await server.ask(key, 'POST', '/v1/events', [{ event_type: 'session_start', session_id, agent_id: 'agent-1', subject: PERSON }, { event_type: 'reasoning', session_id, text: 'a' }])
  const reader = server.key('compliance')
  const facts = (await server.ask(reader, 'GET', `/v1/sessions/${session_id}`)).body
  const full = (await server.ask(reader, 'GET', `/v1/sessions/${session_id}?content=full&purpose=a`)).body
  const resumption = await server.ask(key, 'GET', `/v1/sessions/${session_id}/resumption`)
  expect(facts.about).toEqual({ ref: expect.stringMatching(/^[0-9a-f]{32}$/) })
  expect(full.about).toEqual({ ref: facts.about.ref, subject: [PERSON] })
  expect(resumption.body).toEqual({ session_id, root_session_id: session_id, state: 'open', about: facts.about })
  expect((await server.ask(server.key('agent', { id: 'bound', agents: ['agent-2'] }), 'GET', `/v1/sessions/${session_id}/resumption`)).body).toMatchObject({ status: 403, code: 'not_own_agent' })
  expect((await server.ask(key, 'GET', `/v1/sessions/${randomUUID()}/resumption`)).status).toBe(404)
})
