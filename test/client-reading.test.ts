// Reading a trail on a server: what a local trail gives back, the server's routes give back, and what a role may not do is said in its words.

import { expect, onTestFinished, test } from 'vitest'
import { Absent, openTrail, RemoteError, type ToolCall, type Trail, type TrailOptions } from '../src/index.ts'
import { scratch } from './scratch.ts'
import { testServer, type Answer } from './served.ts'

async function recorded(): Promise<{ open(role: 'agent' | 'compliance', options?: TrailOptions): Trail; local: Trail; session_id: string; call: string }> {
  const server = await testServer()
  const { home } = scratch()
  const open = (role: 'agent' | 'compliance', options: TrailOptions = {}): Trail => {
    const trail = openTrail(server.url, { key: server.key(role), home, agent_id: 'agent-1', ...options })
    onTestFinished(() => trail.close().catch(() => undefined))
    return trail
  }
  const agent = open('agent')
  const refund = agent.tool({ name: 'refund', risk: 'high' }, (input: { order: string }) => ({ refunded: input.order }))
  const session = await agent.start({ user_id: 'c-1', user_message: 'where is my refund?' })
  await session.run(() => refund.run({ order: '7' }))
  await session.end({ outcome: 'success' })
  const local = openTrail(server.db, { home: server.home })
  onTestFinished(() => local.close())
  const [call] = await local.calls().all()
  return { open, local, session_id: session.session_id, call: call!.event_id }
}

test('with a purpose is as reading the file', async () => {
  const { open, local, session_id, call } = await recorded()
  const remote = open('compliance', { purpose: 'a test of reading' })
  const { session_id: id } = (await remote.sessions({ user_id: 'c-1' }).first())!
  expect(id).toBe(session_id)
  expect(await remote.sessions({ session_id }).all()).toEqual(await local.sessions({ session_id }).all())
  expect(await remote.events({ session_id }).all()).toEqual(await local.events({ session_id }).all())
  expect((await remote.events({ session_id, event_type: ['tool_call', 'tool_result'] }).all()).map(({ event_type }) => event_type)).toEqual(['tool_call', 'tool_result'])
  expect(await remote.calls({ tool_name: 'refund' }).all()).toEqual(await local.calls({ tool_name: 'refund' }).all())
  expect(await remote.why(call)).toEqual(await local.why(call))
  expect(await remote.why()).toEqual(await local.why())
  expect(await remote.prove(call)).toMatch(/^c2sp.org\/tlog-proof@v1\n/)
  expect((await remote.verify()).whole).toBe(true)
  const { json, verdict, missing } = await remote.export({ session_id, disclose: 'all' })
  expect([verdict.whole, missing, JSON.parse(json).payloads.length > 0]).toEqual([true, 0, true])
})

test('gives content that looks like a mark of the server as content, and marks as what they stand for', async () => {
  const server = await testServer()
  const { home } = scratch()
  const agent = openTrail(server.url, { key: server.key('agent'), home, agent_id: 'agent-1' })
  const looks: object[] = [{ absent: 'erased' }, { absent: 'erased', by: 877 }, { absent: 'withheld' }, { base64: 'AQI=' }, { json: { absent: 'erased' } }, { deep: [{ absent: 'no_key' }] }]
  const odd = agent.tool({ name: 'odd', risk: 'low' }, (input: object) => looks[(looks.findIndex((each) => JSON.stringify(each) === JSON.stringify(input)) + 1) % looks.length]!)
  const session = await agent.start({})
  session.record('llm_call', { provider: 'other', model_id: 'm', input_messages: looks })
  for (const each of looks) {
    await session.run(() => odd.run(each))
    session.record('custom', { name: 'note', content: each as never })
  }
  await session.end()
  const gone = await agent.start({ user_message: 'forget this' })
  await gone.end()
  await agent.close()
  const { session_id } = session

  const local = openTrail(server.db, { home: server.home })
  onTestFinished(() => local.close())
  const remote = openTrail(server.url, { key: server.key('compliance'), home, purpose: 'a test of reading' })
  onTestFinished(() => remote.close())
  await remote.erase({ session_id: gone.session_id }, { reason: 'a test' })
  const events = await remote.events({ session_id }).all()
  expect(events).toStrictEqual(await local.events({ session_id }).all())
  expect(events.flatMap((event) => (event.event_type === 'custom' ? [event['content']] : []))).toStrictEqual(looks)
  expect(events.find(({ event_type }) => event_type === 'llm_call')).toMatchObject({ input_messages: looks })
  const calls = await remote.calls({ tool_name: 'odd' }).all()
  expect(calls).toStrictEqual(await local.calls({ tool_name: 'odd' }).all())
  expect(calls.map((call) => (call as ToolCall).tool_input)).toStrictEqual(looks)
  expect(calls.map((call) => (call as ToolCall).tool_output)).toStrictEqual([...looks.slice(1), looks[0]])
  expect(await remote.why(calls[1]!.event_id)).toStrictEqual(await local.why(calls[1]!.event_id))
  expect((await remote.events({ session_id: gone.session_id, event_type: 'session_start' }).first())!.user_message).toStrictEqual(new Absent('erased', expect.any(Number) as never))

  // over HTTP such content stands in `json`, at every route that shows it
  const key = server.key('compliance')
  const path = async (of: string): Promise<Answer> => (await server.ask(key, 'GET', `${of}${of.includes('?') ? '&' : '?'}content=full&purpose=test`)).body
  const call = calls[1]!.event_id
  const shown = [(await path(`/v1/events?session_id=${session_id}&event_type=tool_call`)).items[1], await path(`/v1/events/${call}`), (await path('/v1/calls?tool_name=odd')).items[1]]
  for (const one of shown) expect(one.tool_input).toEqual({ json: { absent: 'erased', by: 877 } })
  const stream = await fetch(`${server.url}/v1/stream?from=0&event_type=tool_call&content=full&purpose=test`, { headers: { authorization: `Bearer ${key}` } })
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while (text.split('"tool_input"').length <= looks.length) text += (await reader.read()).value ?? expect.fail('the stream ended')
  await reader.cancel()
  expect(text).toContain('"tool_input":{"json":{"base64":"AQI="}}')
  const { items: rows } = await path(`/v1/sessions/${session_id}/rows`)
  expect(rows.flatMap(({ event_type, content }: Answer) => (event_type === 'note' ? [JSON.parse(content)] : []))).toEqual(looks) // rows are text, as it was given
  expect(rows.every(({ marks }: Answer) => marks === undefined)).toBe(true)
  expect((await path(`/v1/sessions/${gone.session_id}/rows`)).items[0]).toMatchObject({ marks: ['/user_message'] })
})

test('without a purpose gives facts, and says of the rest that it is withheld', async () => {
  const { open, session_id } = await recorded()
  const [call] = await open('compliance').calls({ session_id }).all()
  expect(call).toMatchObject({ tool_name: 'refund', answered: true })
  expect((call as unknown as { tool_input: unknown }).tool_input).toBeInstanceOf(Absent)
})

test('is not for an agent, and the server says so', async () => {
  const { open, session_id } = await recorded()
  const trail = open('agent')
  const error = await trail.events().all().then(() => undefined, (problem: unknown) => problem)
  expect(error).toBeInstanceOf(RemoteError)
  expect(error).toMatchObject({ status: 403 })
  expect(String(error)).toContain('server: ')
  await expect(trail.verify()).rejects.toMatchObject({ status: 403 })
  await expect(trail.erase({ session_id }, { reason: 'a test' })).rejects.toMatchObject({ status: 403 })
  const again = await trail.resume(session_id) // to go on with is not to read
  await again.end()
})

test('and erasing is for compliance: its content is gone, and by which entry', async () => {
  const { open, local, session_id } = await recorded()
  const trail = open('compliance', { purpose: 'a request for erasure' })
  const receipt = await trail.erase({ session_id }, { reason: 'asked for by the customer' })
  expect(receipt).toMatchObject({ level: 'durable', index: expect.any(Number), checkpoint: expect.any(String) })
  const [start] = await trail.events({ session_id, event_type: 'session_start' }).all()
  expect(start!.user_message).toBeInstanceOf(Absent)
  expect(start!.user_message).toMatchObject({ reason: 'erased' })
  expect((await local.verify()).whole).toBe(true)
})
