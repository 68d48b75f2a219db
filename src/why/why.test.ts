import { describe, expect, test } from 'vitest'

import { viewEvent } from '../../test/replay/view-events.ts'
import { Absent, type ViewEvent } from '../event/view.ts'
import type { Value, Why } from './result.ts'
import { reader, riskiest, why } from './why.ts'

const REFUND = { order_id: '1182', amount: 42 }

/** The session of the README: look the order up, have the refund approved, refund. `change` edits single events by index. */
function refund(change: { readonly [index: number]: { readonly [field: string]: unknown } } = {}): ViewEvent[] {
  const first = 'Where is my refund for order 1182?'
  const messages = [{ role: 'user', content: first }]
  const later = [...messages, { role: 'assistant', content: [{ type: 'tool_use', id: 'c1', name: 'lookup_order', input: { order_id: '1182' } }] }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c1', content: '{"status":"returned","amount":42}' }] }]
  const prompt = { system_prompt_hash: '5f1e'.repeat(16) }
  const events = [
    viewEvent(12, 'session_start', { user_message: first, user: 'ref-user', identity: { subject: 'c-4711' }, ...prompt }),
    viewEvent(13, 'llm_call', { input_messages: messages, model_id: 'claude-opus-4-6', ...prompt }),
    viewEvent(14, 'llm_result', { parent_event_id: 'event-13', model_id: 'claude-opus-4-6', tool_calls_requested: [{ name: 'lookup_order', input: { order_id: '1182' }, call_id: 'c1' }] }),
    viewEvent(15, 'tool_call', { tool_name: 'lookup_order', call_id: 'c1', risk: 'low', tool_input: { order_id: '1182' } }),
    viewEvent(16, 'tool_result', { parent_event_id: 'event-15', call_id: 'c1', outcome: 'success', execution_time_ms: 29, tool_output: { status: 'returned', amount: 42 } }),
    viewEvent(17, 'llm_call', { input_messages: later, model_id: 'claude-opus-4-6', ...prompt }),
    viewEvent(18, 'llm_result', { parent_event_id: 'event-17', model_id: 'claude-opus-4-6', output_text: 'I will refund it.', tool_calls_requested: [{ name: 'refund', input: REFUND, call_id: 'c2' }] }),
    viewEvent(19, 'reasoning', { kind: 'model_reported', form: 'full', text: 'The customer asks for a refund.' }),
    viewEvent(20, 'policy_decision', { policy: 'refund_limit', decision: 'allow' }),
    viewEvent(21, 'approval_request', { tool_name: 'refund', call_id: 'c2', tool_input: REFUND, shown: 'Refund 42 €' }),
    viewEvent(22, 'approval_decision', { request: 'hash-21', decision: 'approved', approver: 'ref-lead', identity: 'lead-2', assurance: 'oidc', time_to_decide_ms: 28_144 }),
    viewEvent(23, 'tool_call', { tool_name: 'refund', call_id: 'c2', risk: 'high', requires_approval: true, approval: 22, tool_input: { amount: 42, order_id: '1182' } }),
    viewEvent(24, 'tool_result', { parent_event_id: 'event-23', call_id: 'c2', outcome: 'success', execution_time_ms: 893, tool_output: 'done' }),
  ]
  return events.map((event) => ({ ...event, ...change[event.index] }))
}

const act = (events: readonly ViewEvent[]): Why => why(events, 'event-23')
const value = (said: Why, path: string): Value => said.values.find((one) => one.path === path) as Value
const unknowns = (said: Why): string[] => said.not_known.map(({ text }) => text)

describe('the refund of the README', () => {
  test('is explained from its entries', () => {
    const said = act(refund())
    expect(said.event).toMatchObject({ index: 23, tool_name: 'refund', risk: 'high', elapsed_ms: 11_000 })
    expect(said.asked_for).toEqual({ index: 18, event_id: 'event-18', call_index: 17, model_id: 'claude-opus-4-6', by: 'call_id', same_input: true, said: 'I will refund it.', absent: null })
    expect(said.reasoning).toEqual([{ index: 19, by: 'model', form: 'full', text: 'The customer asks for a refund.', absent: null }])
    expect(value(said, 'order_id').source).toMatchObject({ index: 12, kind: 'user_message', trust: 'user', match: 'exact', offset: 29, context: 'Where is my refund for order 1182?' })
    expect(value(said, 'amount').source).toMatchObject({ index: 16, kind: 'tool_answer', name: 'lookup_order', trust: 'untrusted', context: '{"status":"returned","amount":42}', context_json: true })
    expect(said.prompt).toMatchObject({ hash: '5f1e'.repeat(16), since_index: 12, changes: [] })
    expect(said.rules).toEqual([{ index: 20, policy: 'refund_limit', version: null, decision: 'allow', reason: null }])
    expect(said.approval).toMatchObject({ status: 'approved', request_index: 21, shown: 'Refund 42 €', same_input: true })
    expect(said.approval.decisions).toMatchObject([{ index: 22, who: 'lead-2', assurance: 'oidc', time_to_decide_ms: 28_144, is_requester: false }])
    expect(said.happened).toMatchObject({ index: 24, outcome: 'success', time_ms: 893, answer: 'done', more: [] })
    expect(unknowns(said)).toEqual(['whether the answer of lookup_order was true'])
  })

  test('is the same whatever the order of the events', () => {
    expect(act(refund().reverse())).toEqual(act(refund()))
  })

  test('is data: JSON and back changes nothing', () => {
    const said = act(refund())
    expect(JSON.parse(JSON.stringify(said))).toEqual(said)
  })
})

describe('which act', () => {
  test('is the last call of risk high or above', () => {
    const events = refund()
    expect(riskiest(events)?.event_id).toBe('event-23')
    expect(riskiest([...events, viewEvent(30, 'tool_call', { risk: 'medium' })])?.event_id).toBe('event-23')
    expect(riskiest([viewEvent(30, 'tool_call', { risk: 'critical' }), ...events])?.event_id).toBe('event-30')
  })

  test('is the last call where none is risky, and nothing where there is none', () => {
    expect(riskiest([viewEvent(2, 'tool_call', { risk: 'low' }), viewEvent(1, 'tool_call', { risk: 'medium' })])?.event_id).toBe('event-2')
    expect(riskiest([viewEvent(1, 'llm_call')])).toBeUndefined()
  })

  test('that is not there is misuse', () => {
    expect(() => why(refund(), 'event-99')).toThrow(RangeError)
  })

  test('may be any event', () => {
    const explain = reader(refund())
    for (const event of refund()) expect(explain(event.event_id).event.index).toBe(event.index)
  })

  test('may be the approval: what it is about is traced, and what came of it', () => {
    const events = refund()
    for (const id of ['event-21', 'event-22']) {
      const said = why(events, id)
      expect(value(said, 'amount').source?.index).toBe(16)
      expect(said.asked_for?.index).toBe(18)
      expect(said.approval.status).toBe('approved')
    }
    expect(why(events, 'event-21').happened).toMatchObject({ index: 22, answer: 'approved', time_ms: 28_144 })
  })

  test('may be a model call: its result is what happened', () => {
    const said = why(refund({ 18: { latency_ms: 700, outcome: 'success' } }), 'event-17')
    expect(said.happened).toMatchObject({ index: 18, time_ms: 700, outcome: 'success' })
    expect(said.values).toEqual([])
  })

  test('may be the final output: the model that wrote it, and where its sentences come from', () => {
    const output = 'Your order 1182 is done. Its status was reported as "returned" on 2026-01-02 by warehouse WH-77.'
    const events = [...refund(), viewEvent(25, 'llm_call', { input_messages: [{ role: 'tool', tool_call_id: 'c2', content: 'shipped by WH-77' }] }), viewEvent(26, 'llm_result', { parent_event_id: 'event-25', output_text: output }), viewEvent(27, 'final_output', { output })]
    const said = why(events, 'event-27')
    expect(said.asked_for).toMatchObject({ index: 26, call_index: 25, by: 'output', said: null })
    expect(said.values).toMatchObject([{ path: '', status: 'nowhere' }])
  })
})

describe('asked for', () => {
  test('by the answer that the recorder named, before anything else', () => {
    const events = refund({ 14: { tool_calls_requested: [{ name: 'refund', input: REFUND, call_id: 'c2' }] }, 23: { requested_by: 14 } })
    expect(act(events).asked_for).toMatchObject({ index: 14, by: 'requested_by', same_input: true })
  })

  test('by the nearest answer before it with that call id', () => {
    const again = viewEvent(25, 'llm_result', { tool_calls_requested: [{ name: 'refund', input: REFUND, call_id: 'c2' }] })
    expect(act([...refund(), again]).asked_for?.index).toBe(18)
  })

  test('else by tool name and equal input, whatever the order of its keys', () => {
    expect(act(refund({ 23: { call_id: undefined } })).asked_for).toMatchObject({ index: 18, by: 'name_and_input', same_input: true })
  })

  test('in the forms of providers: blocks of the answer, arguments as text', () => {
    const blocks = refund({ 18: { tool_calls_requested: undefined, output: [{ type: 'tool_use', id: 'c2', name: 'refund', input: REFUND }] } })
    expect(act(blocks).asked_for).toMatchObject({ index: 18, same_input: true })
    const chat = refund({ 18: { tool_calls_requested: [{ id: 'c2', type: 'function', function: { name: 'refund', arguments: JSON.stringify(REFUND) } }] } })
    expect(act(chat).asked_for).toMatchObject({ index: 18, same_input: true })
  })

  test('with other input: said, and the changed value is looked for up to the act', () => {
    const events = refund({ 20: { event_type: 'human_intervention', kind: 'edit', note: 'make it 4200, I promised' }, 23: { tool_input: { order_id: '1182', amount: 4200 } } })
    const said = act(events)
    expect(said.asked_for?.same_input).toBe(false)
    expect(value(said, 'amount')).toMatchObject({ as_asked: false, source: { index: 20, kind: 'human', trust: 'human' } })
    expect(value(said, 'order_id')).toMatchObject({ as_asked: true, source: { index: 12 } })
    expect(said.approval.same_input).toBe(false)
  })

  test('by no model on record', () => {
    const said = act(refund({ 18: { tool_calls_requested: [] } }))
    expect(said.asked_for).toBeNull()
    expect(unknowns(said)).toContain('who asked for it: no model call on record does')
  })

  test('in an answer that cannot be read: the equality is not known', () => {
    expect(act(refund({ 23: { tool_input: new Absent('erased', 40) } }))).toMatchObject({ asked_for: { same_input: null }, event: { input: new Absent('erased', 40) } })
  })
})

describe('reasoning', () => {
  test('is what stands between the act before the request and this act, of model and author', () => {
    const events = [...refund(), viewEvent(12.5, 'reasoning', { kind: 'author_stated', text: 'before the first act' }), viewEvent(16.5, 'reasoning', { kind: 'author_stated', text: 'policy 4.2 allows it' })]
    expect(act(events).reasoning.map(({ index, by }) => [index, by])).toEqual([[16.5, 'author'], [19, 'model']])
  })

  test('is shared by calls asked for together', () => {
    const both = [{ name: 'notify', input: {}, call_id: 'c3' }, { name: 'refund', input: REFUND, call_id: 'c2' }]
    const events = [...refund({ 18: { tool_calls_requested: both } }), viewEvent(22.5, 'tool_call', { tool_name: 'notify', call_id: 'c3', tool_input: {} })]
    expect(act(events).reasoning.map(({ index }) => index)).toEqual([19])
  })

  test.each([
    [{ form: 'encrypted', text: 'AAAA' }, 'what the model reasoned: the provider gave it encrypted'],
    [{ form: 'withheld', text: undefined }, 'what the model reasoned: the provider withheld it'],
    [{ form: 'summarised' }, 'what the model reasoned word for word: the provider gave a summary'],
    [{ text: new Absent('erased', 31) }, 'what was reasoned: [erased by #31]'],
  ])('that is not all there is said to be so: %j', (fields, expected) => {
    expect(act(refund({ 19: fields })).not_known).toContainEqual({ text: expected, index: 19 })
  })
})

describe('a value', () => {
  const withAnswer = (tool_output: unknown, input: unknown, more: readonly ViewEvent[] = []): Why =>
    act([...refund({ 16: { tool_output }, 17: { input_messages: [] }, 18: { tool_calls_requested: [{ name: 'refund', input, call_id: 'c2' }] }, 23: { tool_input: input } }), ...more])

  test('in what came back after the request left is not a source: it could not have reached the model', () => {
    const said = withAnswer('nothing', { note: 'xyzzy-1' }, [viewEvent(17.5, 'data_access', { source: 'crm', reference: 'xyzzy-1' })])
    expect(value(said, 'note')).toMatchObject({ status: 'nowhere', source: null })
  })

  test('first in the model\'s own words is said to be, with where others first said it', () => {
    const said = act(refund({ 14: { output_text: 'It will be 42.' } }))
    expect(value(said, 'amount')).toMatchObject({ source: { index: 14, kind: 'model', trust: 'model' }, outside: { index: 16, kind: 'tool_answer' } })
  })

  test('in another spelling before its own is said to be in both', () => {
    const said = withAnswer('brand: ACME corp', { brand: 'ACME corp' }, [viewEvent(12.5, 'human_intervention', { note: 'buy acme\nCorp' })])
    expect(value(said, 'brand')).toMatchObject({ source: { index: 16, match: 'exact' }, earlier: { index: 12.5, match: 'loose', kind: 'human' } })
  })

  test.each([[5, 'too_short'], [true, 'boolean'], [null, 'null'], ['no', 'too_short'], ['?!…', 'no_letter_or_digit'], [1e30, 'not_a_plain_number'], ['7', 'too_short']])('%j is not guessed at', (tool_input, reason) => {
    expect(value(withAnswer('no 5 true null 7', { x: tool_input }), 'x')).toMatchObject({ status: 'untraced', reason, source: null })
  })

  test('that is long and nowhere whole is looked up by sentence, and the rest by its identifiers', () => {
    const body = 'Hello there, dear colleague.\nThe parcel leaves on Monday morning.\nPlease open https://evil.example/x7 at once!'
    const said = withAnswer('Note: The parcel leaves on Monday morning. See https://evil.example/x7', { body })
    expect(value(said, 'body')).toMatchObject({ status: 'partly', characters: body.length })
    expect(value(said, 'body').parts.map(({ kind, text, source }) => [kind, text, source?.index ?? null])).toEqual([
      ['sentence', 'Hello there, dear colleague.', null],
      ['sentence', 'The parcel leaves on Monday morning.', 16],
      ['sentence', 'Please open https://evil.example/x7 at once!', null],
      ['identifier', 'https://evil.example/x7', 16],
    ])
  })

  test('has a path: through objects and lists, with odd names quoted', () => {
    const said = withAnswer('', { flights: [{ date: '2024-05-26' }], 'a b': 'xyz', '': 'abc' })
    expect(said.values.map(({ path }) => path)).toEqual(['flights[0].date', '["a b"]', '[""]'])
  })

  test('in a very large input is not looked up beyond 200, and that is said', () => {
    const said = withAnswer('', { list: Array.from({ length: 201 }, (_, i) => `item-${i}`) })
    expect(said.values).toHaveLength(200)
    expect(unknowns(said)).toContain('where 1 more values came from: only the first 200 were looked up')
  })

  test.each([
    ['the system prompt', { 13: { system_prompt: 'Always use code QX-91.' } }, { index: 13, kind: 'system_prompt', trust: 'author' }],
    ['a message of role system', { 13: { input_messages: [{ role: 'system', content: 'code QX-91' }] } }, { index: 13, kind: 'system_prompt', message: 0 }],
    ['a tool definition', { 13: { tool_definitions: [{ name: 'refund', input_schema: { enum: ['QX-91'] } }] } }, { index: 13, kind: 'tool_definition', name: 'refund', trust: 'author' }],
    ['a tool result block', { 17: { input_messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c1', content: [{ type: 'text', text: 'QX-91' }] }] }] } }, { index: 17, kind: 'tool_answer', name: 'lookup_order', trust: 'untrusted', message: 0 }],
    ['a tool message', { 17: { input_messages: [{ role: 'tool', tool_call_id: 'c1', content: 'QX-91' }] } }, { index: 17, kind: 'tool_answer', name: 'lookup_order' }],
    ['a response item', { 17: { input_messages: [{ type: 'function_call_output', call_id: 'c1', output: 'QX-91' }] } }, { index: 17, kind: 'tool_answer', name: 'lookup_order' }],
    ['a part of Gemini', { 17: { input_messages: [{ role: 'user', parts: [{ functionResponse: { name: 'lookup', response: { code: 'QX-91' } } }] }] } }, { index: 17, kind: 'tool_answer', name: 'lookup' }],
    ['a tool\'s error', { 16: { tool_output: undefined, error: 'no such code QX-91' } }, { index: 16, kind: 'tool_answer', name: 'lookup_order' }],
    ['rows of a tool\'s answer', { 16: { tool_output: [{ text: 'x', code: 'QX-91' }] } }, { index: 16, kind: 'tool_answer', name: 'lookup_order' }],
    ['bytes', { 16: { tool_output: new TextEncoder().encode('QX-91') } }, { index: 16, kind: 'tool_answer' }],
    ['a data source', { 16: { event_type: 'data_access', source: 'crm', reference: 'row QX-91' } }, { index: 16, kind: 'data', name: 'crm', trust: 'untrusted' }],
    ['an approver\'s comment', { 16: { event_type: 'approval_decision', comment: 'use QX-91' } }, { index: 16, kind: 'human', trust: 'human' }],
    ['a foreign role', { 17: { input_messages: [{ role: 'oracle', content: 'QX-91' }] } }, { index: 17, kind: 'message', name: 'oracle', trust: 'unknown' }],
  ])('is found in %s', (_, change, expected) => {
    const input = { code: 'QX-91' }
    const events = refund({ ...change, 18: { tool_calls_requested: [{ name: 'refund', input, call_id: 'c2' }] }, 23: { tool_input: input } })
    expect(value(act(events), 'code').source).toMatchObject(expected)
  })

  test('in a parent session\'s events names that session', () => {
    const parent = viewEvent(3, 'session_start', { session_id: 'parent', user_message: 'refund 42 please' })
    expect(value(act([...refund(), parent]), 'amount').source).toMatchObject({ index: 3, session_id: 'parent', kind: 'user_message' })
  })
})

describe('trust', () => {
  const trustOf = (...declared: readonly ViewEvent[]): string | undefined => value(act([...refund(), ...declared]), 'amount').source?.trust
  const access = (index: number, fields: { readonly [field: string]: unknown }): ViewEvent => viewEvent(index, 'data_access', fields)

  test('is given to a tool\'s answer only by a declaration inside its call, or for that source', () => {
    expect(trustOf(access(15.5, { source: 'erp', trust: 'trusted', parent_event_id: 'event-15' }))).toBe('trusted')
    expect(trustOf(access(15.5, { source: 'lookup_order', trust: 'trusted' }))).toBe('trusted')
    expect(trustOf(access(15.5, { source: 'erp', trust: 'trusted' }))).toBe('untrusted')
    expect(trustOf(access(15.5, { source: 'erp', parent_event_id: 'event-15' }))).toBe('untrusted')
  })

  test('is not given by a declaration after the request, nor against one that says untrusted', () => {
    expect(trustOf(access(19.5, { source: 'lookup_order', trust: 'trusted' }))).toBe('untrusted')
    expect(trustOf(access(15.5, { source: 'lookup_order', trust: 'trusted' }), access(15.6, { source: 'lookup_order', trust: 'untrusted' }))).toBe('untrusted')
  })
})

describe('the prompt', () => {
  test('that another call changed is in force from there, and the change is named', () => {
    const said = act(refund({ 12: { system_prompt_hash: null, system_prompt: 'A' }, 13: { system_prompt_hash: null, system_prompt: 'A' }, 17: { system_prompt_hash: null, system_prompt: 'B' } }))
    expect(said.prompt).toMatchObject({ first_index: 12, since_index: 17, changes: [{ index: 17, event_type: 'llm_call' }] })
  })

  test('may be sent as the first messages', () => {
    const system = (content: string) => ({ system_prompt_hash: null, input_messages: [{ role: 'system', content }, { role: 'user', content: 'x' }] })
    const said = act(refund({ 12: { system_prompt_hash: null }, 13: system('A'), 17: system('B') }))
    expect(said.prompt).toMatchObject({ first_index: 13, since_index: 17 })
  })

  test('changed by configuration is named, by fingerprint too', () => {
    const said = act(refund({ 12: { system_prompt_fingerprint: 'f1' }, 13: { system_prompt_fingerprint: 'f1' }, 16: { event_type: 'config_change', what: 'system_prompt', system_prompt_fingerprint: 'f2' }, 17: { system_prompt_fingerprint: 'f2' } }))
    expect(said.prompt).toMatchObject({ fingerprint: 'f2', since_index: 16, changes: [{ index: 16, event_type: 'config_change' }] })
  })

  test('of none on record is null; a change after the request does not count', () => {
    const none = { system_prompt_hash: null }
    expect(act(refund({ 12: none, 13: none, 17: none })).prompt).toBeNull()
    expect(act([...refund(), viewEvent(19.5, 'config_change', { what: 'system_prompt', system_prompt_hash: 'other' })]).prompt?.changes).toEqual([])
  })
})

describe('rules', () => {
  test('are those since the request that are not about another call', () => {
    const rule = (index: number, fields = {}): ViewEvent => viewEvent(index, 'policy_decision', { policy: 'p', decision: 'deny', ...fields })
    const said = act([...refund(), rule(16.5), rule(18.5, { parent_event_id: 'event-15' }), rule(23.5, { parent_event_id: 'event-23' }), rule(23.6)])
    expect(said.rules.map(({ index }) => index)).toEqual([20, 23.5])
  })
})

describe('approval', () => {
  const without = (...indexes: readonly number[]): ViewEvent[] => refund().filter(({ index }) => !indexes.includes(index))

  test('none asked for', () => {
    const events = refund({ 23: { approval: undefined, requires_approval: undefined } }).filter(({ index }) => index !== 21 && index !== 22)
    expect(act(events).approval.status).toBe('none_asked')
  })

  test('required and not there', () => {
    expect(act(without(21, 22)).approval.status).toBe('required_missing')
    expect(act(without(22)).approval.status).toBe('required_missing')
    const unasked = refund({ 23: { approval: undefined } }).filter(({ index }) => index !== 21 && index !== 22)
    expect(act(unasked).approval.status).toBe('required_missing')
  })

  test.each(['rejected', 'expired'])('%s is stated, also where the act was done', (decision) => {
    expect(act(refund({ 22: { decision } })).approval.status).toBe(decision)
  })

  test('of another request says nothing about this one', () => {
    const other = viewEvent(22.5, 'approval_decision', { request: 'hash-99', decision: 'rejected', approver: 'ref-other' })
    expect(act([...refund(), other]).approval).toMatchObject({ status: 'approved', decisions: [{ index: 22 }] })
  })

  test('that names no request on record is not bound to this act', () => {
    const said = act(refund({ 22: { request: 'hash-99' } }))
    expect(said.approval).toMatchObject({ request_index: null, same_input: null })
  })

  test('of other input is seen', () => {
    expect(act(refund({ 21: { tool_input: { ...REFUND, amount: 24 } } })).approval.same_input).toBe(false)
    expect(act(refund({ 21: { tool_input: { ...REFUND, to: 'me' } } })).approval.same_input).toBe(false)
    expect(act(refund({ 21: { tool_input: { order_id: '1182' } } })).approval.same_input).toBe(false)
    expect(act(refund({ 21: { tool_name: 'lookup_order' } })).approval.same_input).toBe(false)
    expect(act(refund({ 21: { tool_input: new Absent('erased', 30) } })).approval.same_input).toBeNull()
  })

  test('by the requester is seen: by reference, else by name, else not known', () => {
    expect(act(refund({ 22: { approver: 'ref-user' } })).approval.decisions[0]?.is_requester).toBe(true)
    expect(act(refund({ 12: { user: undefined, identity: { user_id: 'lead-2' } } })).approval.decisions[0]?.is_requester).toBe(true)
    expect(act(refund({ 12: { user: undefined, identity: undefined } })).approval.decisions[0]?.is_requester).toBeNull()
    expect(act(refund({ 12: { identity: undefined } })).approval.decisions[0]?.is_requester, 'references may be made for one event each').toBeNull()
  })

  test('needs its quorum of different people', () => {
    expect(act(refund({ 21: { quorum: 2 } })).approval.status).toBe('pending')
    const second = (approver: string): ViewEvent => viewEvent(22.5, 'approval_decision', { request: 'hash-21', decision: 'approved', approver })
    expect(act([...refund({ 21: { quorum: 2 } }), second('ref-lead')]).approval.status).toBe('pending')
    expect(act([...refund({ 21: { quorum: 2 } }), second('ref-other')]).approval.status).toBe('approved')
  })
})

describe('happened', () => {
  test('by parent, else by call id up to the next call of that id', () => {
    expect(act(refund({ 24: { parent_event_id: null } })).happened?.index).toBe(24)
    const again = viewEvent(23.5, 'tool_call', { tool_name: 'refund', call_id: 'c2', tool_input: {} })
    expect(act([...refund({ 24: { parent_event_id: null } }), again]).happened).toBeNull()
  })

  test('with an error, and more than once', () => {
    const said = act([...refund({ 24: { outcome: 'failure', error_type: 'timeout', error: 'no answer' } }), viewEvent(25, 'tool_result', { parent_event_id: 'event-23' })])
    expect(said.happened).toMatchObject({ outcome: 'failure', error_type: 'timeout', error: 'no answer', more: [25] })
  })

  test('nothing on record is said', () => {
    const said = act(refund().filter(({ index }) => index !== 24))
    expect(said.happened).toBeNull()
    expect(unknowns(said)).toContain('whether it was done: no result is on record')
  })
})

describe('not known', () => {
  test('names what was erased, and gaps, before the act only', () => {
    const events = refund({ 16: { tool_output: new Absent('erased', 90) }, 17: { input_messages: [new Absent('erased', 90)] }, 24: { tool_output: new Absent('missing') } })
    const gap = (index: number): ViewEvent => viewEvent(index, 'gap', { from: 4, to: 6, cause: 'lost' })
    const said = act([...events, gap(16.5), gap(99)])
    expect(said.not_known.filter(({ text }) => /not here|not on record/.test(text))).toEqual([
      { text: 'what stood in content that is not here: [erased by #90]', index: 16 },
      { text: 'what happened in 3 events not on record (lost)', index: 16.5 },
    ])
  })
})
