import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ModelCall, ModelResult } from '../event/model-call.ts'
import { type Interruption, modelEndpoint, readRequest, type ResponseFacts, ResponseReader } from './anthropic.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const ask = (body: string | Uint8Array | undefined): ModelCall => readRequest(body, { endpoint: '/v1/messages', attempt: 0 })

function answer(body: string | Uint8Array, facts: Partial<ResponseFacts> = {}, interruption?: Interruption): ModelResult {
  const reader = new ResponseReader({ status: 200, content_type: 'application/json', streaming: false, model_id: 'asked', ...facts })
  reader.push(typeof body === 'string' ? bytes(body) : body)
  return reader.result(interruption)
}

const events = (...list: readonly object[]): string => list.map((event) => `event: ${(event as { type: string }).type}\ndata: ${JSON.stringify(event)}\n\n`).join('')
const stream = (list: readonly object[], interruption?: Interruption): ModelResult => answer(events(...list), { content_type: 'text/event-stream', streaming: true }, interruption)
const start = { type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-sonnet-4-5', content: [], stop_reason: null, usage: { input_tokens: 3, output_tokens: 1, cache_read_input_tokens: 2 } } }
const stop = [{ type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 9, input_tokens: null } }, { type: 'message_stop' }]
const block = (index: number, content_block: object, ...deltas: readonly object[]): object[] => [
  { type: 'content_block_start', index, content_block },
  ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
  { type: 'content_block_stop', index },
]

test('only what asks for a message is a call', () => {
  const url = 'https://api.anthropic.com/v1/messages'
  for (const [method, at, path] of [['POST', url, '/v1/messages'], ['post', `${url}?beta=true`, '/v1/messages'], ['POST', 'http://gateway:8080/anthropic/v1/messages/#x', '/anthropic/v1/messages/'], ['POST', '/v1/messages', '/v1/messages']]) {
    expect(modelEndpoint(method!, at!)).toBe(path)
  }
  for (const [method, at] of [['GET', url], ['POST', `${url}/count_tokens`], ['POST', `${url}/batches`], ['POST', 'https://x/v1/models?u=/v1/messages'], ['POST', 'https://v1/messages'], ['POST', '']]) {
    expect(modelEndpoint(method!, at!), at).toBeUndefined()
  }
})

test('a request is cut into the slices it was sent as', () => {
  const call = ask('{"model":"m","max_tokens":10,"temperature":0.25,"top_p":1e-9,"top_k":5,"stream":true,"system":"be \\"good\\"","messages":[{"role":"user","content":"1"}, {"content":[{"type":"text","text":"\\u00e4"}],"role":"user"}],"tools":[{"name":"a"}],"thinking":{"type":"enabled","budget_tokens":2000},"metadata":{"n":12345678901234567890}}')
  expect(call).toEqual({
    provider: 'anthropic', endpoint: '/v1/messages', attempt: 0, model_id: 'm', streaming: true,
    input_messages: [{ m: 'json', content: '{"role":"user","content":"1"}' }, { m: 'json', content: '{"content":[{"type":"text","text":"\\u00e4"}],"role":"user"}' }],
    system_prompt: { m: 'text', content: 'be "good"' },
    tool_definitions: [{ m: 'json', content: '{"name":"a"}' }],
    parameters: { max_tokens: 10, temperature: '0.25', top_k: 5, budget_tokens: 2000 },
    request_parameters: { m: 'json', content: '{"top_p":1e-9,"thinking":{"type":"enabled","budget_tokens":2000},"metadata":{"n":12345678901234567890}}' },
  })
  expect(ask('{"system":[{"type":"text","text":"x"}],"model":"m"}').system_prompt).toEqual({ m: 'json', content: '[{"type":"text","text":"x"}]' })
})

test('a request of any shape is kept whole', () => {
  expect(ask(undefined)).toMatchObject({ model_id: 'unknown', input_messages: [] })
  expect(ask('not json').request_parameters).toEqual({ m: 'text', content: 'not json' })
  expect(ask('[1]').request_parameters).toEqual({ m: 'json', content: '[1]' })
  expect(ask(new Uint8Array([0xff])).request_parameters).toEqual({ m: 'bytes', content: new Uint8Array([0xff]) })
  const odd = '{"model":7,"stream":"yes","messages":"all","tools":{},"system":3,"max_tokens":1.5,"temperature":"hot"}'
  expect(ask(odd)).toMatchObject({ model_id: 'unknown', streaming: false, parameters: {}, request_parameters: { content: odd } })
  expect(ask('{"messages":[1],"model":"a","messages":[2]}')).toMatchObject({ input_messages: [{ content: '2' }], request_parameters: { content: '{"messages":[1]}' } })
  expect(ask('{"__proto__":{"model":"evil"}}')).toMatchObject({ model_id: 'unknown', request_parameters: { content: '{"__proto__":{"model":"evil"}}' } })
})

test('an answer in one piece: exact blocks, and nothing of it is lost', () => {
  const result = answer('{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"a"},{"text":"b","type":"text"},{"type":"tool_use","id":"t","name":"n","input":{"x":1.0}},{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"new_kind","x":1}],"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal"},"usage":{"input_tokens":1,"output_tokens":2,"output_tokens_details":{"thinking_tokens":1},"cache_creation_input_tokens":-1}}')
  expect(result).toEqual({
    outcome: 'success', complete: true, status: 200, response_id: 'msg_1', model_id: 'claude-sonnet-4-5', stop_reason: 'refusal',
    output: ['{"type":"text","text":"a"}', '{"text":"b","type":"text"}', '{"type":"tool_use","id":"t","name":"n","input":{"x":1.0}}', '{"type":"server_tool_use","id":"s","name":"web_search","input":{}}', '{"type":"new_kind","x":1}'].map((content) => ({ m: 'json', content })),
    output_text: 'ab',
    tool_calls_requested: [{ name: 'n', input: { x: 1 }, call_id: 't' }, { name: 'web_search', input: {}, call_id: 's', provider_run: true }],
    thinking: [], input_tokens: 1, output_tokens: 2, reasoning_tokens: 1,
    usage: { m: 'json', content: '{"input_tokens":1,"output_tokens":2,"output_tokens_details":{"thinking_tokens":1},"cache_creation_input_tokens":-1}' },
    raw: { m: 'json', content: '{"stop_details":{"type":"refusal"}}' },
  })
})

test('thinking is labelled by what is known of it', () => {
  const thinking = [{ type: 'thinking', thinking: 'hm', signature: 's' }, { type: 'thinking', thinking: '', signature: 's' }, { type: 'redacted_thinking', data: 'x' }, { type: 'thinking', thinking: '', signature: '' }]
  const of = (model: string): unknown => answer(JSON.stringify({ model, content: thinking })).thinking
  expect(of('claude-opus-4-6')).toEqual([{ text: 'hm', form: 'summarised' }, { form: 'withheld' }, { form: 'encrypted' }])
  expect(of('claude-3-7-sonnet-20250219')).toEqual([{ text: 'hm', form: 'full' }, { form: 'withheld' }, { form: 'encrypted' }])
})

test('a stream is put together from its deltas', () => {
  const result = stream([
    start,
    ...block(0, { type: 'thinking', thinking: '', signature: '' }, { type: 'thinking_delta', thinking: 'h' }, { type: 'thinking_delta', thinking: 'm' }, { type: 'signature_delta', signature: 'sig' }),
    { type: 'ping' },
    ...block(1, { type: 'text', text: '', citations: [] }, { type: 'text_delta', text: '\ud83c' }, { type: 'text_delta', text: '\udf0d' }, { type: 'citations_delta', citation: { n: 1 } }),
    ...block(2, { type: 'tool_use', id: 't', name: 'n', input: {} }, { type: 'input_json_delta', partial_json: '' }, { type: 'input_json_delta', partial_json: '{"id": 123456789' }, { type: 'input_json_delta', partial_json: '01234567890}' }),
    ...block(3, { type: 'tool_use', id: 'u', name: 'no_input', input: {} }, { type: 'input_json_delta', partial_json: '' }),
    ...stop,
  ])
  expect(result.output.map(({ content }) => content)).toEqual([
    '{"type":"thinking","thinking":"hm","signature":"sig"}',
    '{"type":"text","text":"🌍","citations":[{"n":1}]}',
    '{"type":"tool_use","id":"t","name":"n","input":{"id": 12345678901234567890}}',
    '{"type":"tool_use","id":"u","name":"no_input","input":{}}',
  ])
  expect(result).toMatchObject({ outcome: 'success', complete: true, output_text: '🌍', input_tokens: 3, output_tokens: 9, cache_read_tokens: 2, stop_reason: 'end_turn', thinking: [{ text: 'hm', form: 'summarised' }] })
  expect(result.raw).toBeUndefined()
})

test('a message that starts twice, one that another replaces, and a model that another relieves', () => {
  const text = (index: number, said: string): object[] => block(index, { type: 'text', text: '' }, { type: 'text_delta', text: said })
  const twice = stream([start, start, ...text(0, 'hi'), ...stop])
  expect(twice).toMatchObject({ complete: true, output_text: 'hi', output_tokens: 9 })
  expect(twice.raw).toBeUndefined()
  const second = { type: 'message_start', message: { ...start.message, id: 'msg_2' } }
  const replaced = stream([start, ...text(0, 'first'), second, ...text(0, 'second'), ...stop])
  expect(replaced).toMatchObject({ complete: true, output_text: 'second', response_id: 'msg_2' })
  expect(JSON.parse(String(replaced.raw!.content))).toMatchObject({ superseded_messages: [{ id: 'msg_1', content: [{ type: 'text', text: 'first' }], usage: { input_tokens: 3 } }] })
  const again = stream([start, ...text(0, 'one'), ...text(0, 'two'), ...stop])
  expect(again).toMatchObject({ output_text: 'two', raw: { content: '{"superseded_messages":[{"content":[{"type":"text","text":"one"}]}]}' } })
  const relieved = stream([start, ...block(0, { type: 'fallback', from: { model: 'claude-sonnet-4-5' }, to: { model: 'claude-opus-4-8' } }), ...text(1, 'hi'), ...stop])
  expect(relieved).toMatchObject({ model_id: 'claude-opus-4-8', output_text: 'hi' })
  const continued = ask('{"model":"m","messages":[],"thread":{"type":"continue","previous_message_id":"msg_1"}}')
  expect(continued).toMatchObject({ continues: 'msg_1', request_parameters: { content: '{"thread":{"type":"continue","previous_message_id":"msg_1"}}' } })
})

test('a stream that broke off keeps its parts, and a tool input that is no JSON its text', () => {
  const result = stream([start, ...block(0, { type: 'tool_use', id: 't', name: 'n', input: {} }, { type: 'input_json_delta', partial_json: '{"a":' })], { outcome: 'unknown', error_type: 'aborted' })
  expect(result).toMatchObject({ outcome: 'unknown', error_type: 'aborted', complete: false, tool_calls_requested: [{ name: 'n', input: '{"a":', call_id: 't' }], output_tokens: 1 })
  expect(stream([start, ...stop], { outcome: 'unknown', error_type: 'aborted' })).toMatchObject({ outcome: 'success', complete: true })
})

test('unknown events, deltas and blocks are kept', () => {
  const unknown = [{ type: 'message_note', x: 1 }, { type: 'content_block_delta', index: 0, delta: { type: 'new_delta', y: 2 } }, { type: 'content_block_delta', index: 9, delta: { type: 'text_delta', text: 'lost' } }]
  const result = stream([start, ...block(0, { type: 'new_block', z: 3 }), ...unknown, ...stop])
  expect(result.output.map(({ content }) => content)).toEqual(['{"type":"new_block","z":3}'])
  expect(JSON.parse(String(result.raw!.content))).toEqual({ unknown_events: unknown })
  const broken = answer('event: message_start\ndata: {"type":\n\ndata: {"__proto__":1}\n\n', { content_type: 'text/event-stream', streaming: true })
  expect(JSON.parse(String(broken.raw!.content))).toEqual({ unknown_events: ['{"type":', JSON.parse('{"__proto__":1}')] })
  expect(broken).toMatchObject({ outcome: 'failure', complete: false, error_type: 'incomplete_stream' })
})

test('errors: in one piece, in mid-stream, as text, and of any shape', () => {
  expect(answer('{"type":"error","error":{"type":"overloaded_error","message":"x"},"request_id":"req_1"}', { status: 529 })).toMatchObject({ outcome: 'failure', status: 529, error_type: 'overloaded_error', response_id: 'req_1', complete: true })
  expect(answer('oops', { status: 500, request_id: 'req_2' })).toMatchObject({ error_type: 'http_500', response_id: 'req_2', error: { m: 'text', content: 'oops' } })
  expect(answer('{"type":"error","error":{"type":"overloaded_error"}}', { status: 529, content_type: 'text/event-stream', streaming: true })).toMatchObject({ error_type: 'overloaded_error', complete: true })
  expect(answer('', { status: 500 }).error).toBeUndefined()
  expect(answer(new Uint8Array([0xff, 0xfe]), { status: 500 }).error).toEqual({ m: 'bytes', content: new Uint8Array([0xff, 0xfe]) })
  expect(stream([start, { type: 'error', error: { type: 'overloaded_error' } }, ...stop])).toMatchObject({ outcome: 'failure', error_type: 'overloaded_error', complete: false })
  expect(answer('event: error\ndata: gone\n\n', { content_type: 'text/event-stream' })).toMatchObject({ outcome: 'failure', error_type: 'error', error: { m: 'text', content: 'gone' } })
  expect(answer('<html>', { content_type: 'text/html', streaming: true })).toMatchObject({ outcome: 'unknown', error_type: 'unreadable_response', raw: { m: 'text', content: '<html>' } })
})

test('nothing that comes in makes it throw', () => {
  const any = fc.oneof(fc.json(), fc.string({ unit: 'binary' }), fc.jsonValue().map((value) => JSON.stringify({ type: 'message', content: value, usage: value, model: value, error: value })))
  fc.assert(fc.property(any, fc.constantFrom('application/json', 'text/event-stream', ''), fc.constantFrom(200, 400), fc.boolean(), (text, content_type, status, streaming) => {
    ask(text)
    ask(bytes(text))
    answer(text, { content_type, status, streaming })
  }))
  const type = fc.constantFrom('message_start', 'content_block_start', 'content_block_delta', 'content_block_stop', 'message_delta', 'error', 'x')
  const member = fc.oneof(fc.jsonValue(), fc.record({ type: fc.constantFrom('text', 'text_delta', 'input_json_delta', 'thinking'), text: fc.jsonValue(), partial_json: fc.jsonValue(), content: fc.jsonValue(), usage: fc.jsonValue() }))
  const event = fc.record({ type, index: fc.oneof(fc.nat(2), fc.jsonValue()), message: member, content_block: member, delta: member, error: member, usage: member })
  fc.assert(fc.property(fc.array(event, { maxLength: 8 }), (list) => {
    for (const piece of stream(list).output) JSON.parse(String(piece.content))
  }), { numRuns: 500 })
})
