import { describe, expect, test } from 'vitest'
import { logsJson, SECOND, spanId, T0, tracesJson, type TestLog, type TestSpan } from '../../../test/otlp-export.ts'
import { utf8 } from '../../base/bytes.ts'
import type { Piece } from '../../event/model-call.ts'
import type { Told } from './happening.ts'
import { readJsonLogs, readJsonTraces } from './json.ts'
import { tellLog } from './log.ts'
import { tellSpan } from './span.ts'

type Plain = { [name: string]: unknown }

function value({ m, content }: Piece): unknown {
  return m === 'json' ? (JSON.parse(content as string) as unknown) : content
}

/** Happenings with their payloads read, in plain members. */
function plain({ sort, happenings }: Told): { sort: string; events: Plain[] } {
  return { sort, events: happenings.map(({ event_type, facts, payloads, outcome }) => ({ event_type, ...facts, ...(outcome === undefined ? {} : { outcome }), ...Object.fromEntries(Object.entries(payloads).flatMap(([name, each]) => (each === undefined ? [] : [[name, Array.isArray(each) ? (each as Piece[]).map(value) : value(each as Piece)]]))) })) }
}

const tell = (attributes: Plain, more: Partial<TestSpan> = {}, by = 'test'): ReturnType<typeof plain> => plain(tellSpan({ ...readJsonTraces(utf8(JSON.stringify(tracesJson([{ id: spanId(1), attributes, ...more }])))).items[0]!, scope: { name: by, attributes: [] } }))
const tellRecord = (log: TestLog): ReturnType<typeof plain> => plain(tellLog(readJsonLogs(utf8(JSON.stringify(logsJson([log])))).items[0]!))

const QUESTION = { role: 'user', parts: [{ type: 'text', content: 'Where is order 1182?' }] }
const ASKS = { role: 'assistant', parts: [{ type: 'reasoning', content: 'Look it up.' }, { type: 'text', content: 'One moment.' }, { type: 'tool_call', id: 'c1', name: 'lookup', arguments: { order: '1182' } }], finish_reason: 'tool_call' }
const REQUESTED = [{ name: 'lookup', input: { order: '1182' }, call_id: 'c1' }]

describe('a model call', () => {
  test('as OpenTelemetry GenAI has it now', () => {
    const { sort, events } = tell({
      'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'anthropic', 'gen_ai.request.model': 'claude-opus-4-6', 'gen_ai.response.model': 'claude-opus-4-6-20260101', 'gen_ai.request.max_tokens': 512, 'gen_ai.request.temperature': 0.2, 'gen_ai.request.stop_sequences': ['x'],
      'gen_ai.response.id': 'msg_1', 'gen_ai.response.finish_reasons': ['tool_call'], 'gen_ai.usage.input_tokens': 40, 'gen_ai.usage.output_tokens': 9, 'gen_ai.usage.cache_read.input_tokens': 7, 'gen_ai.usage.cache_creation.input_tokens': 3, 'gen_ai.usage.reasoning.output_tokens': 2,
      'gen_ai.system_instructions': '[{"type":"text","content":"Be kind."}]', 'gen_ai.input.messages': JSON.stringify([QUESTION]), 'gen_ai.output.messages': JSON.stringify([ASKS]), 'gen_ai.tool.definitions': '[{"name":"lookup"}]', 'gen_ai.response.time_to_first_chunk': 0.25, 'server.port': 443,
    }, { name: 'chat claude-opus-4-6' })
    expect(sort).toBe('model_call')
    expect(events).toEqual([
      { event_type: 'llm_call', provider: 'anthropic', model_id: 'claude-opus-4-6', message_count: 1, max_tokens: 512, temperature: '0.2', input_messages: [QUESTION], system_prompt: 'Be kind.', tool_definitions: [{ name: 'lookup' }], request_parameters: { 'gen_ai.request.stop_sequences': ['x'] } },
      {
        event_type: 'llm_result', model_id: 'claude-opus-4-6-20260101', stop_reason: 'tool_call', input_tokens: 40, output_tokens: 9, cache_read_tokens: 7, cache_write_tokens: 3, reasoning_tokens: 2, latency_ms: 1000, time_to_first_token_ms: 250, outcome: 'success',
        output: ASKS.parts, output_text: 'One moment.', tool_calls_requested: REQUESTED, response_id: 'msg_1', raw: expect.objectContaining({ name: 'chat claude-opus-4-6', attributes: { 'gen_ai.operation.name': 'chat', 'server.port': 443 } }) as unknown,
      },
      { event_type: 'reasoning', kind: 'model_reported', form: 'full', text: 'Look it up.' },
    ])
  })

  test('with messages as values, and not as a text', () => {
    const { events } = tell({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm', 'gen_ai.input.messages': [QUESTION], 'gen_ai.output.messages': [ASKS] })
    expect(events[0]).toMatchObject({ input_messages: [QUESTION] })
    expect(events[1]).toMatchObject({ output: ASKS.parts, tool_calls_requested: REQUESTED, stop_reason: 'tool_call' })
  })

  test('keeps the bytes of messages as they came', () => {
    const spaced = '[ {"role":"user", "parts":[{"type":"text","content":"caf\\u00e9 1.0"}]} ]'
    const [call] = tellSpan(readJsonTraces(utf8(JSON.stringify(tracesJson([{ id: spanId(1), attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.input.messages': spaced } }])))).items[0]!).happenings
    expect((call!.payloads['input_messages'] as Piece[])[0]!.content).toBe('{"role":"user", "parts":[{"type":"text","content":"caf\\u00e9 1.0"}]}')
  })

  test('with messages in span events, as before', () => {
    const { events } = tell({ 'gen_ai.system': 'openai', 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.usage.prompt_tokens': 4 }, {
      events: [
        { name: 'gen_ai.system.message', attributes: { content: 'Be kind.' } }, { name: 'gen_ai.user.message', attributes: { content: 'Hello', 'gen_ai.system': 'openai' } },
        { name: 'gen_ai.choice', attributes: { index: 0, finish_reason: 'stop', message: '{"role":"assistant","content":"Hi"}' } }, { name: 'other', attributes: { a: 1 } },
      ],
    })
    expect(events[0]).toMatchObject({ provider: 'openai', input_messages: [{ role: 'system', content: 'Be kind.' }, { role: 'user', content: 'Hello' }] })
    expect(events[1]).toMatchObject({ input_tokens: 4, output_text: 'Hi', stop_reason: 'stop', raw: { events: [{ name: 'other', attributes: { a: 1 } }] } })
  })

  test('with its content in one span event', () => {
    const { events } = tell({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm' }, { events: [{ name: 'gen_ai.client.inference.operation.details', attributes: { 'gen_ai.input.messages': JSON.stringify([QUESTION]), 'gen_ai.output.messages': JSON.stringify([ASKS]) } }] })
    expect(events[0]).toMatchObject({ input_messages: [QUESTION] })
    expect(events[1]).toMatchObject({ output_text: 'One moment.' })
  })

  test('as OpenLLMetry flattens it', () => {
    const { sort, events } = tell({
      'llm.request.type': 'chat', 'gen_ai.system': 'OpenAI', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.usage.completion_tokens': 3, 'llm.usage.total_tokens': 9, 'llm.is_streaming': true,
      'gen_ai.prompt.0.role': 'user', 'gen_ai.prompt.0.content': 'Where?', 'gen_ai.prompt.10.role': 'user', 'gen_ai.prompt.10.content': 'last', 'gen_ai.prompt.2.role': 'tool', 'gen_ai.prompt.2.content': 'second', 'gen_ai.prompt.2.tool_call_id': 'c0',
      'gen_ai.completion.0.role': 'assistant', 'gen_ai.completion.0.finish_reason': 'tool_calls', 'gen_ai.completion.0.tool_calls.0.id': 'c1', 'gen_ai.completion.0.tool_calls.0.name': 'lookup', 'gen_ai.completion.0.tool_calls.0.arguments': '{"order":"1182"}',
      'llm.request.functions.0.name': 'lookup', 'llm.request.functions.0.parameters': '{"type":"object"}',
    })
    expect(sort).toBe('model_call')
    expect(events[0]).toMatchObject({ streaming: true, input_messages: [{ role: 'user', content: 'Where?' }, { role: 'tool', content: 'second', tool_call_id: 'c0' }, { role: 'user', content: 'last' }], tool_definitions: [{ name: 'lookup', parameters: '{"type":"object"}' }] })
    expect(events[1]).toMatchObject({ output_tokens: 3, stop_reason: 'tool_calls', tool_calls_requested: REQUESTED, usage: { 'llm.usage.total_tokens': 9 } })
  })

  test('as OpenInference flattens it', () => {
    const { sort, events } = tell({
      'openinference.span.kind': 'LLM', 'llm.model_name': 'gpt-4o', 'llm.provider': 'openai', 'llm.invocation_parameters': '{"temperature":0.5,"max_tokens":100,"stop":["x"]}', 'llm.token_count.prompt': 11, 'llm.token_count.completion': 4, 'llm.token_count.prompt_details.cache_read': 2,
      'llm.input_messages.0.message.role': 'user', 'llm.input_messages.0.message.contents.0.message_content.type': 'text', 'llm.input_messages.0.message.contents.0.message_content.text': 'Where?',
      'llm.input_messages.1.message.role': 'tool', 'llm.input_messages.1.message.content': 'sunny', 'llm.input_messages.1.message.tool_call_id': 'c0',
      'llm.output_messages.0.message.role': 'assistant', 'llm.output_messages.0.message.tool_calls.0.tool_call.id': 'c1', 'llm.output_messages.0.message.tool_calls.0.tool_call.function.name': 'lookup', 'llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments': '{"order":"1182"}',
      'llm.tools.0.tool.json_schema': '{"name":"lookup"}',
    })
    expect(sort).toBe('model_call')
    expect(events[0]).toMatchObject({ model_id: 'gpt-4o', temperature: '0.5', max_tokens: 100, input_messages: [{ role: 'user', content: [{ type: 'text', text: 'Where?' }] }, { role: 'tool', content: 'sunny', tool_call_id: 'c0' }], tool_definitions: [{ name: 'lookup' }], request_parameters: { 'llm.invocation_parameters': { stop: ['x'] } } })
    expect(events[1]).toMatchObject({ input_tokens: 11, output_tokens: 4, cache_read_tokens: 2, tool_calls_requested: REQUESTED })
  })

  test('that OpenInference saw answered says which model did, under which id, and why it stopped', () => {
    const openai = tell({ 'openinference.span.kind': 'LLM', 'llm.model_name': 'gpt-4o-2026', 'llm.invocation_parameters': '{"model":"gpt-4o"}', 'llm.finish_reason': 'tool_calls', 'output.value': '{"id":"chatcmpl-1","choices":[],"model":"gpt-4o-2026"}' }).events
    expect(openai[0]).toMatchObject({ model_id: 'gpt-4o' })
    expect(openai[1]).toMatchObject({ model_id: 'gpt-4o-2026', stop_reason: 'tool_calls', response_id: 'chatcmpl-1' })
    const anthropic = tell({ 'openinference.span.kind': 'LLM', 'llm.request.model_name': 'claude', 'llm.response.model_name': 'claude-2026', 'llm.finish_reason': 'end_turn' }).events
    expect(anthropic[0]).toMatchObject({ model_id: 'claude' })
    expect(anthropic[1]).toMatchObject({ model_id: 'claude-2026', stop_reason: 'end_turn' })
    const langchain = tell({ 'openinference.span.kind': 'LLM', 'llm.model_name': 'gpt-4o-2026', 'llm.invocation_parameters': '{"model":"gpt-4o"}', 'output.value': '{"generations":[],"llm_output":{"id":"chatcmpl-3","model_name":"gpt-4o-2026"}}' }).events
    expect([langchain[0]!['model_id'], langchain[1]!['model_id'], langchain[1]!['response_id']]).toEqual(['gpt-4o', 'gpt-4o-2026', 'chatcmpl-3'])
  })

  test('of which nothing says that it was answered keeps the model asked', () => {
    const { events } = tell({ 'openinference.span.kind': 'LLM', 'llm.model_name': 'gpt-4o', 'llm.invocation_parameters': '{"model":"gpt-4o"}', 'output.value': '{"id":"a user wrote this"}' })
    expect(events[0]).toMatchObject({ model_id: 'gpt-4o' })
    expect(Object.keys(events[1]!)).not.toContain('model_id')
    expect(Object.keys(events[1]!)).not.toContain('response_id')
  })

  test('of whose messages the exporter dropped some says how many it had', () => {
    const { events } = tell({ 'openinference.span.kind': 'LLM', 'llm.input_messages.166.message.content': 'sent', 'llm.input_messages.167.message.role': 'user', 'llm.input_messages.167.message.content': 'thanks', 'llm.input_messages.99999.message.role': 'user' })
    expect(events[0]).toMatchObject({ message_count: 168, input_messages: [{ content: 'sent' }, { role: 'user', content: 'thanks' }] })
    expect(tell({ 'llm.request.type': 'chat', 'gen_ai.prompt.2.role': 'user' }).events[0]).toMatchObject({ message_count: 3 })
    expect(tell({ 'llm.request.type': 'chat', 'gen_ai.input.messages': '[{"role":"user"}]', 'gen_ai.prompt.2.role': 'user' }).events[0]).toMatchObject({ message_count: 1 }) // said twice, with and without the system's
  })

  test('as the AI SDK has it', () => {
    const { sort, events } = tell({
      'ai.operationId': 'ai.streamText.doStream', 'ai.model.id': 'gpt-4o', 'ai.model.provider': 'openai.chat', 'ai.prompt.messages': '[{"role":"user","content":"Where?"}]', 'ai.prompt.tools': ['{"name":"lookup"}'], 'ai.response.text': 'One moment.', 'ai.response.finishReason': 'tool-calls',
      'ai.response.toolCalls': '[{"toolCallId":"c1","toolName":"lookup","input":"{\\"order\\":\\"1182\\"}"}]', 'ai.usage.inputTokens': 5, 'ai.usage.outputTokens': 6, 'ai.response.msToFirstChunk': 12.4,
    })
    expect(sort).toBe('model_call')
    expect(events[0]).toMatchObject({ provider: 'openai.chat', streaming: true, input_messages: [{ role: 'user', content: 'Where?' }], tool_definitions: [{ name: 'lookup' }] })
    expect(events[1]).toMatchObject({ stop_reason: 'tool-calls', output_text: 'One moment.', tool_calls_requested: REQUESTED, input_tokens: 5, output_tokens: 6, time_to_first_token_ms: 12 })
    expect(tell({ 'ai.operationId': 'ai.generateText', 'ai.prompt': '{}' }).sort).toBe('custom')
  })

  test('that failed says so', () => {
    const { events } = tell({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'a model with spaces', 'error.type': 'RateLimitError' }, { status: { code: 2, message: 'too many' } })
    expect(events[0]).toMatchObject({ model_id: 'other', model_name: 'a model with spaces' })
    expect(events[1]).toMatchObject({ outcome: 'failure', error_type: 'RateLimitError', error: 'too many' })
  })

  test('of which nothing came is of unknown outcome', () => {
    expect(tell({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm' }, { end: 0n }).events[1]).toEqual({ event_type: 'llm_result', outcome: 'unknown', raw: expect.anything() as unknown })
  })
})

describe('a tool call', () => {
  const called = { event_type: 'tool_call', tool_name: 'lookup', call_id: 'c1', risk: 'low', tool_input: { order: '1182' } }
  const came = { event_type: 'tool_result', tool_name: 'lookup', call_id: 'c1', execution_time_ms: 1000, outcome: 'success', tool_output: { status: 'sent' } }
  test.each<[string, Plain]>([
    ['OpenTelemetry GenAI', { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'lookup', 'gen_ai.tool.call.id': 'c1', 'gen_ai.tool.call.arguments': '{"order":"1182"}', 'gen_ai.tool.call.result': { status: 'sent' } }],
    ['OpenInference', { 'openinference.span.kind': 'TOOL', 'tool.name': 'lookup', 'tool_call.id': 'c1', 'input.value': '{"order":"1182"}', 'output.value': '{"status":"sent"}' }],
    ['the AI SDK', { 'ai.operationId': 'ai.toolCall', 'ai.toolCall.name': 'lookup', 'ai.toolCall.id': 'c1', 'ai.toolCall.args': '{"order":"1182"}', 'ai.toolCall.result': '{"status":"sent"}' }],
    ['MCP', { 'mcp.method.name': 'tools/call', 'gen_ai.tool.name': 'lookup', 'gen_ai.tool.call.id': 'c1', 'gen_ai.tool.call.arguments': '{"order":"1182"}', 'gen_ai.tool.call.result': '{"status":"sent"}' }],
    ['OpenLLMetry', { 'traceloop.span.kind': 'tool', 'traceloop.entity.name': 'lookup', 'gen_ai.tool.call.id': 'c1', 'traceloop.entity.input': '{"order":"1182"}', 'traceloop.entity.output': '{"status":"sent"}' }],
  ])('as %s has it', (_who, attributes) => {
    const { sort, events } = tell({ ...attributes, 'more.than': 'that' })
    expect(sort).toBe('tool_call')
    expect(events).toEqual([called, came, { event_type: 'custom', name: 'otel_span', content: expect.objectContaining({ attributes: expect.objectContaining({ 'more.than': 'that' }) as unknown }) as unknown }])
    expect(Object.keys((events[2]!['content'] as { attributes: Plain }).attributes)).toHaveLength(2) // beside it, what says that it is a tool
  })

  const LC = { lc: 1, type: 'constructor', id: ['langchain'], kwargs: { type: 'tool', content: '{"status": "sent"}', tool_call_id: 'c1' } }
  test.each<[string, Plain]>([
    ["OpenLLMetry's decorator", { 'traceloop.span.kind': 'tool', 'traceloop.entity.name': 'lookup', 'gen_ai.tool.call.id': 'c1', 'traceloop.entity.input': '{"args": [], "kwargs": {"order": "1182"}}', 'traceloop.entity.output': '{"status":"sent"}' }],
    ['OpenLLMetry of LangChain', { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'lookup', 'gen_ai.tool.call.arguments': '{"input_str":"{\'order\'}","inputs":{"order": "1182"},"kwargs":{"tool_call_id":"c1"}}', 'gen_ai.tool.call.result': JSON.stringify({ output: LC, kwargs: {} }) }],
    ['OpenInference of LangChain', { 'openinference.span.kind': 'TOOL', 'tool.name': 'lookup', 'input.value': '{"order":"1182"}', 'output.value': JSON.stringify({ type: 'tool', data: LC.kwargs }) }],
  ])('out of what %s puts around it, which is kept too', (who, attributes) => {
    const { events } = tell(attributes, {}, who)
    expect(events.slice(0, 2)).toEqual([called, came])
    const { attributes: rest } = events[2]!['content'] as { attributes: Plain }
    for (const [name, value] of Object.entries(attributes)) if (/kwargs|data/.test(String(value))) expect(rest[name]).toBe(value)
  })

  test('of which content says that something is around it, and not who wrote the span, is as it came', () => {
    const [input, output] = [{ args: [], kwargs: { order: '1182' } }, { type: 'tool', data: { type: 'tool', content: 'fine', tool_call_id: 'c9' } }]
    const attributes = { 'openinference.span.kind': 'TOOL', 'tool.name': 'lookup', 'input.value': JSON.stringify(input), 'output.value': JSON.stringify(output) }
    const { events } = tell(attributes, {}, 'agent')
    expect([events[0]!['tool_input'], events[1]!['tool_output'], events[0]!['call_id']]).toEqual([input, output, undefined])
    expect(tell(attributes, {}, 'openinference.instrumentation.langchain').events[1]).toMatchObject({ tool_output: 'fine', call_id: 'c9' })
  })

  test('keeps the bytes of what stands inside', () => {
    const [call] = tellSpan(readJsonTraces(utf8(JSON.stringify(tracesJson([{ id: spanId(1), attributes: { 'traceloop.span.kind': 'tool', 'traceloop.entity.input': '{"args":[],"kwargs": {"n": 1.0, "id":12345678901234567890} }' } }])))).items[0]!).happenings
    expect((call!.payloads['tool_input'] as Piece).content).toBe('{"n": 1.0, "id":12345678901234567890}')
  })

  test.each<[string, Plain, unknown]>([
    ['positional arguments are kept as they came', { 'traceloop.entity.input': '{"args":[1],"kwargs":{}}' }, { args: [1], kwargs: {} }], ['and what only looks like it', { 'traceloop.entity.input': '{"args":[],"kwargs":{},"more":1}' }, { args: [], kwargs: {}, more: 1 }],
    ['a text is one where its mime type says so', { 'input.value': '1182', 'input.mime_type': 'text/plain' }, '1182'], ['and where it says nothing of a type', { 'input.value': '1182' }, '1182'], ['a number is one', { 'input.value': '1182', 'input.mime_type': 'application/json' }, 1182],
    ['and where it is written as numbers are', { 'traceloop.entity.input': '1182' }, 1182], ['no number is so long', { 'traceloop.entity.input': '12345678901234567890' }, '12345678901234567890'], ['nor written so', { 'traceloop.entity.input': '1e5' }, '1e5'],
    ['a text in quotes is read', { 'traceloop.entity.input': '"caf\\u00e9"' }, 'café'], ['null is a value', { 'traceloop.entity.input': 'null' }, null],
  ])('%s', (_what, attributes, input) => {
    expect(tell({ 'traceloop.span.kind': 'tool', ...attributes }).events[0]!['tool_input']).toEqual(input)
  })

  test('that failed has the error of its exception', () => {
    const { events } = tell({ 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'my tool' }, { status: { code: 2 }, events: [{ name: 'exception', attributes: { 'exception.type': 'ValueError', 'exception.message': 'no such order', 'exception.stacktrace': 'at line 1' } }] })
    expect(events[0]).toEqual({ event_type: 'tool_call', tool_name: 'other', risk: 'low', names: { tool_name: 'my tool' } })
    expect(events[1]).toMatchObject({ outcome: 'failure', error_type: 'ValueError', error: 'no such order' })
    expect(JSON.stringify(events[2])).toContain('at line 1')
  })
})

test.each<[string, Plain]>([
  ['an agent', { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.usage.input_tokens': 5, 'gen_ai.request.model': 'm' }], ['a chain', { 'openinference.span.kind': 'CHAIN', 'input.value': 'x' }], ['tools/list', { 'mcp.method.name': 'tools/list' }], ['HTTP', { 'http.request.method': 'GET' }], ['nothing', {}],
])('a span of %s is kept whole', (_what, attributes) => {
  const { sort, events } = tell(attributes, { name: 'it' })
  expect(sort).toBe('custom')
  expect(events).toEqual([{ event_type: 'custom', name: 'otel_span', content: expect.objectContaining({ name: 'it', kind: 'client', ...(Object.keys(attributes).length === 0 ? {} : { attributes }) }) as unknown }])
})

describe('records of Claude Code', () => {
  test('a request is a model call that began before it', () => {
    const record = { time: T0 + 3n * SECOND, name: 'claude_code.api_request', attributes: { 'session.id': 's', model: 'claude-opus-4-6', duration_ms: '3000', input_tokens: '12', output_tokens: 5, cache_read_tokens: 100, cache_creation_tokens: 0, cost_usd: 0.01, 'event.sequence': 4 } }
    const told = tellLog(readJsonLogs(utf8(JSON.stringify(logsJson([record])))).items[0]!)
    expect(told.happenings.map(({ time }) => time)).toEqual([T0, T0 + 3n * SECOND])
    expect(plain(told).events[1]).toMatchObject({ event_type: 'llm_result', model_id: 'claude-opus-4-6', input_tokens: 12, output_tokens: 5, cache_read_tokens: 100, cache_write_tokens: 0, latency_ms: 3000, outcome: 'success', raw: { attributes: { cost_usd: 0.01, 'event.sequence': 4 } } })
  })

  test('an error is one that failed', () => {
    expect(tellRecord({ body: 'claude_code.api_error', attributes: { model: 'm', error: 'Overloaded', status_code: '529', attempt: 2, duration_ms: 10 } }).events[1]).toMatchObject({ outcome: 'failure', status: 529, error_type: 'http_529', error: 'Overloaded', attempt: 2 })
  })

  test('a tool result is a call and its result', () => {
    const { sort, events } = tellRecord({ name: 'claude_code.tool_result', attributes: { tool_name: 'Bash', tool_use_id: 'toolu_1', success: 'true', duration_ms: 20, tool_input: '{"command":"ls"}', 'prompt.id': 'p' } })
    expect(sort).toBe('tool_call')
    expect(events.slice(0, 2)).toEqual([
      { event_type: 'tool_call', tool_name: 'Bash', call_id: 'toolu_1', risk: 'low', tool_input: { command: 'ls' } }, { event_type: 'tool_result', tool_name: 'Bash', call_id: 'toolu_1', execution_time_ms: 20, outcome: 'success' },
    ])
    expect(tellRecord({ name: 'claude_code.tool_result', attributes: { tool_name: 'Bash', success: false, error: 'exit 1' } }).events[1]).toMatchObject({ outcome: 'failure', error: 'exit 1' })
  })

  test('a decision is one of a policy', () => {
    expect(tellRecord({ name: 'claude_code.tool_decision', attributes: { tool_name: 'Bash', decision: 'reject', source: 'user_reject' } }).events).toEqual([{ event_type: 'policy_decision', policy: 'claude_code.tool_decision', decision: 'deny', reason: expect.stringContaining('user_reject') as unknown }])
  })

  test('others are kept whole under their name', () => {
    expect(tellRecord({ body: 'claude_code.user_prompt', attributes: { prompt: 'Fix it', 'event.name': 'user_prompt' } }).events).toEqual([{ event_type: 'custom', name: 'claude_code.user_prompt', content: expect.objectContaining({ attributes: { prompt: 'Fix it', 'event.name': 'user_prompt' } }) as unknown }])
    expect(tellRecord({ body: 'any', attributes: {} }).events[0]).toMatchObject({ name: 'otel_log', content: { body: 'any' } })
  })
})
