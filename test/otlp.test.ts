// OTLP over real HTTP, onto a real trail: what is acknowledged is on record, once, whatever is sent.

import { gzipSync, zstdCompressSync } from 'node:zlib'
import { BinaryReader } from '@bufbuild/protobuf/wire'
import { expect, test } from 'vitest'
import { formatOtlpAnswer, formatOtlpStatus } from '../src/capture/otlp/answer.ts'
import { sessionOfTrace } from '../src/capture/otlp/ids.ts'
import type { SessionSummary } from '../src/event/public.ts'
import type { ViewEvent } from '../src/event/view.ts'
import { logsBytes, logsJson, SECOND, spanId, T0, TRACE, tracesBytes, tracesJson, type TestSpan } from './otlp-export.ts'
import { testServer, type TestServer } from './served.ts'

const PROTOBUF = { 'content-type': 'application/x-protobuf' }
const ledgerOf = (server: TestServer): { call<T>(method: string, ...args: unknown[]): Promise<T> } => server.served.parts.tenants.open('default')!.ledger
const sessionsOf = async (server: TestServer): Promise<SessionSummary[]> => (await ledgerOf(server).call<{ items: SessionSummary[] }>('sessions', {}, 100)).items
const eventsOf = (server: TestServer, session_id: string): Promise<ViewEvent[]> => ledgerOf(server).call('session', session_id)
const typesOf = async (server: TestServer, session_id: string): Promise<string[]> => (await eventsOf(server, session_id)).map(({ event_type }) => event_type)
const isWhole = async (server: TestServer): Promise<boolean> => (await ledgerOf(server).call<{ whole: boolean }>('verify')).whole

const chat = (at: number, more: Partial<TestSpan> = {}): TestSpan => ({ id: spanId(at), parent: spanId(1), name: 'chat m', start: T0 + BigInt(at) * SECOND, attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm', 'gen_ai.usage.input_tokens': at, 'gen_ai.input.messages': '[{"role":"user","parts":[{"type":"text","content":"Hello"}]}]' }, ...more })
const tool = (at: number, more: Partial<TestSpan> = {}): TestSpan => ({ id: spanId(at), parent: spanId(1), name: 'execute_tool lookup', start: T0 + BigInt(at) * SECOND, attributes: { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'lookup', 'gen_ai.tool.call.arguments': '{"order":"1182"}', 'gen_ai.tool.call.result': 'sent' }, ...more })
const root: TestSpan = { id: spanId(1), name: 'handle a ticket', kind: 1, start: T0, end: T0 + 20n * SECOND, attributes: { 'user.id': 'c-4711' } }
const RUN = [chat(2), tool(4), chat(6), root]

/** One run as it should be on record. */
async function checkRun(server: TestServer, session_id: string): Promise<void> {
  const events = await eventsOf(server, session_id)
  expect(events.map(({ event_type, capture }) => `${event_type} ${capture}`)).toEqual(['session_start', 'custom', 'custom', 'llm_call', 'llm_result', 'tool_call', 'tool_result', 'custom', 'llm_call', 'llm_result', 'session_end'].map((type) => `${type} imported`))
  const [start, , outer, asked, answered, called, came] = events
  expect(start).toMatchObject({ agent_id: 'support-bot', user_id: 'c-4711', timestamp: '2026-11-21T08:00:00.000Z' })
  expect(outer).toMatchObject({ parent_event_id: null, content: { name: 'handle a ticket', trace_id: TRACE } })
  expect(asked).toMatchObject({ parent_event_id: outer!.event_id, timestamp: '2026-11-21T08:00:02.000Z', model_id: 'm', input_messages: [{ role: 'user', parts: [{ type: 'text', content: 'Hello' }] }] })
  expect(answered).toMatchObject({ parent_event_id: asked!.event_id, timestamp: '2026-11-21T08:00:03.000Z', input_tokens: 2, latency_ms: 1000 })
  expect(called).toMatchObject({ parent_event_id: outer!.event_id, tool_name: 'lookup', tool_input: { order: '1182' } })
  expect(came).toMatchObject({ parent_event_id: called!.event_id, outcome: 'success', tool_output: 'sent', execution_time_ms: 1000 })
}

test.each([
  ['protobuf', tracesBytes(RUN), PROTOBUF], ['JSON', JSON.stringify(tracesJson(RUN)), {}], ['protobuf in gzip', gzipSync(tracesBytes(RUN)), { ...PROTOBUF, 'content-encoding': 'gzip' }], ['JSON in zstd', zstdCompressSync(JSON.stringify(tracesJson(RUN))), { 'content-encoding': 'zstd' }],
])('a trace in %s is a session, and again is the same one', async (_what, body, headers) => {
  const server = await testServer()
  const key = server.key('agent')
  for (const path of ['/otlp/v1/traces', '/v1/traces']) {
    const answer = await server.ask(key, 'POST', path, body, headers)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'content-type' in headers ? PROTOBUF['content-type'] : 'application/json'])
    expect(answer.body).toEqual('content-type' in headers ? '' : {})
  }
  await checkRun(server, sessionOfTrace(TRACE))
  expect(await isWhole(server)).toBe(true)
})

test('the same in other batches, in another order, in the other encoding and after a restart adds nothing', async () => {
  const server = await testServer()
  const key = server.key('agent', { id: 'bot' })
  await server.ask(key, 'POST', '/v1/traces', tracesJson(RUN))
  const { db, home } = server
  const size = ledgerOf(server)
  const before = (await eventsOf(server, sessionOfTrace(TRACE))).length
  await server.served.close()
  const again = await testServer({ db, home })
  const key2 = again.key('agent', { id: 'bot' })
  expect(size).not.toBe(ledgerOf(again))
  for (const span of [root, ...[...RUN].reverse()]) expect((await again.ask(key2, 'POST', '/v1/traces', tracesBytes([span]), PROTOBUF)).body).toBe('')
  expect(await eventsOf(again, sessionOfTrace(TRACE))).toHaveLength(before)
})

test('what was recorded in a named session is found there again when nothing is remembered', async () => {
  const server = await testServer()
  const key = server.key('agent', { id: 'bot' })
  const named = chat(2, { attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm', 'session.id': 'a ticket' } })
  const record = logsJson([{ body: 'said', trace: TRACE, span: spanId(2) }])
  await server.ask(key, 'POST', '/v1/traces', tracesJson([named]))
  await server.ask(key, 'POST', '/v1/traces', tracesJson([root]))
  await server.ask(key, 'POST', '/v1/logs', record)
  const [session] = await sessionsOf(server)
  const types = await typesOf(server, session!.session_id)
  expect(types).toEqual(['session_start', 'custom', 'llm_call', 'llm_result', 'custom', 'custom', 'custom']) // the records have a resource of their own
  const { db, home } = server
  await server.served.close()
  const again = await testServer({ db, home })
  const key2 = again.key('agent', { id: 'bot' })
  for (const [path, body] of [['/v1/traces', tracesJson([root])], ['/v1/logs', record], ['/v1/traces', tracesJson([named])]] as const) expect((await again.ask(key2, 'POST', path, body)).body).toEqual({})
  expect((await sessionsOf(again)).map(({ session_id, state }) => [session_id, state])).toEqual([[session!.session_id, 'open']])
  expect(await typesOf(again, session!.session_id)).toEqual(types)
})

test('ten exports of one new session at once begin it once', async () => {
  const server = await testServer()
  const key = server.key('agent')
  const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => server.ask(key, 'POST', '/v1/traces', tracesJson([chat(i + 2), chat(i + 50, { trace: 'f'.repeat(32) })]))))
  expect(answers.map(({ status, body }) => [status, body])).toEqual(answers.map(() => [200, {}]))
  for (const trace of [TRACE, 'f'.repeat(32)]) {
    const types = await typesOf(server, sessionOfTrace(trace))
    expect(types.filter((type) => type === 'session_start')).toHaveLength(1)
    expect(types.filter((type) => type === 'custom')).toHaveLength(1)
    expect(types.filter((type) => type === 'llm_result')).toHaveLength(10)
  }
})

test('a span with the ids of another one and other content is refused, counted, and changes nothing', async () => {
  const server = await testServer()
  const key = server.key('agent')
  await server.ask(key, 'POST', '/v1/traces', tracesJson(RUN))
  const forged = [chat(2, { attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'other' } }), chat(8)]
  const { status, body } = await server.ask(key, 'POST', '/v1/traces', tracesJson(forged))
  expect([status, body]).toEqual([200, { partialSuccess: { rejectedSpans: '1', errorMessage: expect.stringMatching(/other content/) as unknown } }])
  const binary = new BinaryReader(Buffer.from((await server.ask(key, 'POST', '/v1/traces', tracesBytes(forged), PROTOBUF)).body as string, 'latin1'))
  expect(binary.tag()).toEqual([1, 2])
  const events = await eventsOf(server, sessionOfTrace(TRACE))
  expect(events.filter(({ event_type }) => event_type === 'llm_call').map((event) => event['model_id'])).toEqual(['m', 'm', 'm'])
  expect(await isWhole(server)).toBe(true)
})

test('a session that is named holds its traces, whoever names it', async () => {
  const server = await testServer()
  const key = server.key('agent')
  const named = { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm', 'gen_ai.conversation.id': 'ticket of ada@example.com' }
  await server.ask(key, 'POST', '/v1/traces', tracesJson([chat(2, { attributes: named }), tool(3)]))
  await server.ask(key, 'POST', '/v1/traces', tracesJson([tool(5), chat(7, { trace: 'e'.repeat(32), attributes: named })]))
  const uuid = '0198c5f0-0000-7000-8000-000000000001'
  await server.ask(key, 'POST', '/v1/traces', tracesJson([chat(9, { trace: 'd'.repeat(32), attributes: { ...named, 'session.id': uuid.toUpperCase() } })]))
  const sessions = await sessionsOf(server)
  expect(sessions.map(({ steps, state }) => `${steps} ${state}`).sort()).toEqual(['1 open', '4 open'])
  expect(sessions.map(({ session_id }) => session_id)).toContain(uuid)
  const [start] = await eventsOf(server, sessions.find(({ steps }) => steps === 4)!.session_id)
  expect(start!['client_session_id']).toBe('ticket of ada@example.com')
})

test('agents that a key may not write as are not taken at their word', async () => {
  const server = await testServer()
  await server.ask(server.key('agent', { agents: ['other-bot', 'third-bot'] }), 'POST', '/v1/traces', tracesJson(RUN))
  expect((await sessionsOf(server)).map(({ agent_id }) => agent_id)).toEqual(['other-bot'])
  const before = await typesOf(server, sessionOfTrace(TRACE))
  expect(await server.ask(server.key('agent', { agents: ['support-bot'] }), 'POST', '/v1/traces', tracesJson([tool(9)]))).toMatchObject({ status: 403, body: { code: 'not_own_agent' } })
  expect((await server.ask(server.key('agent', { agents: ['other-bot'] }), 'POST', '/v1/traces', tracesJson([tool(9)]))).status).toBe(200)
  expect((await typesOf(server, sessionOfTrace(TRACE))).slice(before.length)).toEqual(['session_resume', 'tool_call', 'tool_result', 'custom'])
})

test('records of Claude Code are a session with its calls; the same twice is once', async () => {
  const server = await testServer()
  const key = server.key('agent')
  const session = { 'session.id': '0198c5f0-0000-7000-8000-00000000000a', 'user.id': 'a-device' }
  const records = [
    { time: T0, body: 'claude_code.user_prompt', attributes: { ...session, 'event.sequence': 1, prompt: 'Fix it' } },
    { time: T0 + 5n * SECOND, body: 'claude_code.api_request', attributes: { ...session, 'event.sequence': 2, model: 'claude-opus-4-6', duration_ms: 4000, input_tokens: 10, output_tokens: 2 } },
    { time: T0 + 7n * SECOND, body: 'claude_code.tool_result', attributes: { ...session, 'event.sequence': 3, tool_name: 'Bash', success: 'true', duration_ms: 1000, tool_input: '{"command":"ls"}' } },
  ]
  for (const [body, headers] of [[logsJson(records), {}], [logsBytes(records), PROTOBUF], [logsJson(records.slice(1)), {}]] as const) expect((await server.ask(key, 'POST', '/otlp/v1/logs', body, headers)).status).toBe(200)
  expect(await typesOf(server, session['session.id'])).toEqual(['session_start', 'custom', 'custom', 'llm_call', 'llm_result', 'tool_call', 'tool_result', 'custom'])
  expect(await sessionsOf(server)).toMatchObject([{ agent_id: 'claude-code', user_id: 'a-device', input_tokens: 10, steps: 2 }])
  await server.ask(key, 'POST', '/otlp/v1/logs', logsJson([{ body: 'twice' }, { body: 'twice' }]))
  const other = (await sessionsOf(server)).find(({ session_id }) => session_id !== session['session.id'])!
  expect(await typesOf(server, other.session_id)).toEqual(['session_start', 'custom', 'custom', 'custom'])
})

test('a span beside malformed ones is on record, and these are counted', async () => {
  const server = await testServer()
  const body = tracesJson([chat(2)]) as { resourceSpans: { scopeSpans: { spans: unknown[] }[] }[] }
  body.resourceSpans[0]!.scopeSpans[0]!.spans.push({ traceId: 'x' }, 7)
  const { status, body: said } = await server.ask(server.key('agent'), 'POST', '/v1/traces', body)
  expect([status, said]).toEqual([200, { partialSuccess: { rejectedSpans: '2', errorMessage: expect.stringMatching(/traceId/) as unknown } }])
  expect(await typesOf(server, sessionOfTrace(TRACE))).toEqual(['session_start', 'custom', 'llm_call', 'llm_result'])
})

test('parents in a circle, a thousand deep, and a name of a million characters are on record', async () => {
  const server = await testServer()
  const spans = [
    { id: spanId(1), parent: spanId(2) }, { id: spanId(2), parent: spanId(1) }, { id: spanId(3), parent: spanId(3) },
    ...Array.from({ length: 1_000 }, (_, i) => ({ id: spanId(100 + i), parent: spanId(99 + i), start: T0, end: T0 })), { id: spanId(9), name: 'n'.repeat(1_000_000), attributes: { 'session.id': 's'.repeat(2_000) } },
  ]
  expect((await server.ask(server.key('agent'), 'POST', '/v1/traces', tracesBytes(spans), PROTOBUF)).status).toBe(200)
  expect(await typesOf(server, sessionOfTrace(TRACE))).toHaveLength(spans.length + 3)
  expect(await isWhole(server)).toBe(true)
})

test('what a hostile author writes into attributes is content, and stops nothing', async () => {
  const server = await testServer()
  const deep = '['.repeat(100_000)
  const hostile: { [name: string]: unknown }[] = [
    { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': '\ud800', 'gen_ai.input.messages': `${deep}${']'.repeat(100_000)}`, 'gen_ai.output.messages': '[{"parts":7},null,"x",{"parts":[{"type":"tool_call"}]}]', 'gen_ai.response.id': '\udc00' },
    { 'openinference.span.kind': 'LLM', 'llm.input_messages.99999999999.message.role': 'x', 'llm.input_messages.0': 'leaf', 'llm.input_messages.0.message.role': 'both', 'llm.input_messages.1.__proto__.polluted': 'yes', 'llm.input_messages.2.message.constructor': 'c', 'llm.tools.0.tool.json_schema': '{' },
    { 'ai.operationId': 'ai.toolCall', 'ai.toolCall.name': 'x'.repeat(500), 'ai.toolCall.id': '', 'ai.toolCall.args': '\ud800', 'ai.toolCall.result': { a: [null, '\udc00'] } },
    { 'gen_ai.operation.name': 'chat', 'gen_ai.usage.input_tokens': -1, 'gen_ai.usage.output_tokens': '99999999999999999999', 'gen_ai.request.temperature': 1.5e-40, 'gen_ai.response.finish_reasons': [[]], 'error.type': 'a b' },
    { 'gen_ai.prompt.0.content': 'a', 'gen_ai.request.model': 'm', [`gen_ai.prompt.1.${'x.'.repeat(1_000)}y`]: 'deep', toString: 'x', '__proto__': 'y', '': 'empty' },
    { 'service.name': 'x', 'user.id': '\ud800', 'session.id': '\ud800' },
  ]
  const { status, body } = await server.ask(server.key('agent'), 'POST', '/v1/traces', tracesJson(hostile.map((attributes, i) => ({ id: spanId(i + 1), attributes: Object.fromEntries(Object.entries(attributes)) })), { 'service.name': '\ud800', 'service.version': 'v \n' }))
  expect([status, body, server.reported]).toEqual([200, {}, []])
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  const counts = (await sessionsOf(server)).map(({ steps }) => steps)
  expect(counts.reduce((a, b) => a + b)).toBe(5)
  expect(await isWhole(server)).toBe(true)
})

test('a conversation that grows stores each message once', async () => {
  const server = await testServer()
  const key = server.key('agent')
  const messages = Array.from({ length: 400 }, (_, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', parts: [{ type: 'text', content: `${i} `.padEnd(2_000, 'abcdefghij'.slice(i % 10)) }] }))
  for (const [i, count] of [100, 200, 300, 400].entries()) expect((await server.ask(key, 'POST', '/v1/traces', tracesJson([chat(i + 2, { attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm', 'gen_ai.input.messages': JSON.stringify(messages.slice(0, count)) } })]))).body).toEqual({})
  const calls = (await eventsOf(server, sessionOfTrace(TRACE))).filter(({ event_type }) => event_type === 'llm_call')
  expect(calls.map((call) => call['input_messages'])).toEqual([100, 200, 300, 400].map((count) => messages.slice(0, count)))
  const { payloads, contents } = await stored(server)
  expect(payloads).toBeGreaterThanOrEqual(1_000)
  expect(contents).toBeLessThan(400 + 20)
})

/** How many payloads there are, and how many of them are stored. */
async function stored(server: TestServer): Promise<{ payloads: number; contents: number }> {
  const { DatabaseSync } = await import('node:sqlite')
  await server.served.close()
  const database = new DatabaseSync(server.db, { readOnly: true })
  const one = (sql: string): number => (database.prepare(sql).get() as { n: number }).n
  const counts = { payloads: one('SELECT count(*) AS n FROM places'), contents: one('SELECT count(*) AS n FROM (SELECT DISTINCT segment, frame, position FROM places)') }
  database.close()
  return counts
}

test('what is no export is refused with what was expected, in its own encoding', async () => {
  const server = await testServer({ limits: { unpacked: 1_000_000 } })
  const key = server.key('agent')
  expect(await server.ask(key, 'POST', '/v1/traces', '{"resourceSpans":7}')).toMatchObject({ status: 400, body: { code: 'bad_otlp', next: expect.stringMatching(/./) as unknown } })
  const binary = await server.ask(key, 'POST', '/v1/logs', '{"resourceLogs":[]}', PROTOBUF)
  expect([binary.status, binary.headers.get('content-type')]).toEqual([400, PROTOBUF['content-type']])
  expect(await server.ask(key, 'POST', '/v1/traces', 'x', { 'content-type': 'text/plain' })).toMatchObject({ status: 415 })
  expect(await server.ask(key, 'POST', '/v1/traces', gzipSync(Buffer.alloc(2_000_000)), { ...PROTOBUF, 'content-encoding': 'gzip' })).toMatchObject({ status: 413 })
  expect(await server.ask(undefined, 'POST', '/v1/traces', {})).toMatchObject({ status: 401 })
  expect(await server.ask(server.key('auditor'), 'POST', '/v1/traces', {})).toMatchObject({ status: 403 })
  expect((await sessionsOf(server)).length).toBe(0)
})

test('what is taken is counted by what became of it', async () => {
  const server = await testServer()
  await server.ask(server.key('agent'), 'POST', '/v1/traces', tracesJson(RUN))
  const text = (await server.ask(server.key('admin'), 'GET', '/metrics')).body as string
  expect(text).toContain('counterfoil_otlp_model_calls 2\n')
  expect(text).toContain('counterfoil_otlp_tool_calls 1\n')
  expect(text).toContain('counterfoil_otlp_customs 1\n')
})

test('answers have the fields of the protocol', () => {
  expect(formatOtlpAnswer('logs', 'protobuf', { refused: 0 })).toHaveLength(0)
  const reader = new BinaryReader(formatOtlpAnswer('logs', 'protobuf', { refused: 300, fault: 'why' }))
  expect(reader.tag()).toEqual([1, 2])
  const inner = new BinaryReader(reader.bytes())
  expect([inner.tag(), Number(inner.int64()), inner.tag(), inner.string()]).toEqual([[1, 0], 300, [2, 2], 'why'])
  expect(new TextDecoder().decode(formatOtlpAnswer('logs', 'json', { refused: 3, fault: 'why' }))).toBe('{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"why"}}')
  const status = new BinaryReader(formatOtlpStatus('wrong'))
  expect([status.tag(), status.int32(), status.tag(), status.string()]).toEqual([[1, 0], 3, [2, 2], 'wrong'])
})
