// `why` of events that are no acts: each says so, what it has to do with an act, and what to ask next.

import { describe, expect, test } from 'vitest'

import { viewEvent } from '../../test/replay/view-events.ts'
import { Absent, type ViewEvent } from '../event/view.ts'
import { linesOf } from './format.ts'
import { reader, why } from './why.ts'

const INPUT = { order_id: '1182' }

/** A refund asked for in #2, approved in #4, done in #5; then the answer in #9. */
function session(change: { readonly [index: number]: { readonly [field: string]: unknown } } = {}): ViewEvent[] {
  return [
    viewEvent(0, 'session_start', { user_message: 'refund 1182' }),
    viewEvent(1, 'llm_call', { input_messages: [{ role: 'user', content: 'refund 1182' }] }),
    viewEvent(2, 'llm_result', { parent_event_id: 'event-1', tool_calls_requested: [{ name: 'refund', input: INPUT, call_id: 'c1' }] }),
    viewEvent(3, 'approval_request', { parent_event_id: 'event-2', tool_name: 'refund', call_id: 'c1', tool_input: INPUT }),
    viewEvent(4, 'approval_decision', { parent_event_id: 'event-3', request: 'hash-3', decision: 'approved' }),
    viewEvent(5, 'tool_call', { parent_event_id: 'event-2', tool_name: 'refund', call_id: 'c1', risk: 'high', approval: 4, requires_approval: true, tool_input: INPUT }),
    viewEvent(5.5, 'data_access', { parent_event_id: 'event-5', source: 'erp' }),
    viewEvent(6, 'tool_result', { parent_event_id: 'event-5', call_id: 'c1', outcome: 'success', tool_output: 'done' }),
    viewEvent(7, 'llm_call', {}),
    viewEvent(8, 'llm_result', { parent_event_id: 'event-7', output_text: 'It is done.' }),
    viewEvent(9, 'final_output', { output: 'It is done.' }),
    viewEvent(10, 'session_end', {}),
  ].map((event) => ({ ...event, ...change[event.index] }))
}

const lines = (events: readonly ViewEvent[], id: string): string[] => linesOf(why(events, id), 160)
const says = (events: readonly ViewEvent[], id: string): string | undefined => why(events, id).about?.says

test('a tool_result is explained as the call that it answers', () => {
  const [of, call] = [why(session(), 'event-6'), why(session(), 'event-5')]
  expect({ ...of, event: null, about: null }).toEqual({ ...call, event: null, about: null })
  expect(of).toMatchObject({ event: { index: 6, event_type: 'tool_result', tool_name: 'refund', input: INPUT, risk: 'high' }, about: { act_index: 5, act_event_id: 'event-5', explained: true } })
  expect(lines(session(), 'event-6')).toEqual([
    'refund {"order_id":"1182"} · high · #6, 6.000 s into session ession-1',
    '',
    '  no act       the result of #5, which is what is explained here',
    ...lines(session(), 'event-5').slice(2),
  ])
  expect(why(session({ 6: { parent_event_id: null } }), 'event-6').about?.act_index).toBe(5)
  expect(says(session({ 6: { parent_event_id: null, call_id: 'c9' } }), 'event-6')).toBe('a result; the call that it answers is not on record')
})

describe('an approval', () => {
  test('names the act that it was for', () => {
    expect(why(session(), 'event-3').about).toEqual({ says: 'a person is asked whether to do refund: it was done in #5', act_index: 5, act_event_id: 'event-5', explained: false })
    expect(says(session(), 'event-4')).toBe('it answers #3, whether to do refund: it was done in #5')
    expect(lines(session(), 'event-4').at(-1)).toBe("  next         counterfoil why '#5'")
  })

  test('of an act that never happened says so', () => {
    const refused = session({ 4: { decision: 'rejected' } }).filter(({ index }) => index < 5)
    for (const id of ['event-3', 'event-4']) expect(says(refused, id)).toMatch(/whether to do refund: no such act is on record; it was rejected in #4$/)
    expect(says(refused.filter(({ index }) => index < 4), 'event-3')).toMatch(/no such act is on record; nobody has answered$/)
    expect(says(session().filter(({ index }) => index < 5), 'event-4')).toMatch(/no such act is on record; it was approved in #4$/)
  })

  test('is not matched with an act that names another approval', () => {
    expect(why(session({ 5: { approval: 77 } }), 'event-3').about?.act_index).toBeNull()
  })

  test('whose request is gone says so', () => {
    expect(says(session().filter(({ index }) => index !== 3), 'event-4')).toBe('it answers a request that is not on record')
  })
})

describe('a model\'s call and answer', () => {
  test('say which acts they led to', () => {
    expect(why(session(), 'event-1').about).toMatchObject({ says: 'a model is asked; it answers in #2, which led to #5', act_index: 5 })
    expect(why(session(), 'event-2').about).toMatchObject({ says: "a model's answer; it asked for refund; done: #5", act_index: 5 })
    expect(says(session(), 'event-8')).toBe("a model's answer; it asked for no tool")
    expect(says(session().filter(({ index }) => index !== 2), 'event-1')).toBe('a model is asked; no answer is on record')
    expect(says(session().filter(({ index }) => index !== 5), 'event-2')).toBe("a model's answer; it asked for refund; no act that it asked for is on record")
  })

  test('say it from facts where the content was erased', () => {
    expect(says(session({ 2: { tool_calls_requested: new Absent('erased', 90) } }), 'event-2')).toBe("a model's answer; what it asked for: [erased by #90]; done: #5")
  })
})

test.each([
  ['event-0', "a session begins; no model's answer before it is on record; the next act is #5"],
  ['event-5.5', 'data is read, inside #5'],
  ['event-9', "the answer that was given, after the model's answer #8; the last act before it is #5"],
  ['event-10', "a session ends, after the model's answer #8; the last act before it is #5"],
])('%s says what it is and what is nearest', (id, expected) => {
  expect(says(session(), id)).toBe(expected)
  expect(lines(session(), id).at(-1)).toBe("  next         counterfoil why '#5'")
})

test('an entry of the log\'s own, or of a session without acts, says that', () => {
  const alone = [viewEvent(90, 'erasure', { phase: 'done' })]
  expect(says(alone, 'event-90')).toBe("an event of type erasure; no model's answer before it is on record; no act is on record in its session")
  expect(lines(alone, 'event-90').at(-1)).toBe('  next         counterfoil show ession-1')
})

test('every event but an act says that it is none, before anything else, and what to do next', () => {
  const explain = reader(session())
  for (const { event_id, event_type } of session()) {
    const said = linesOf(explain(event_id), 160)
    expect(said[2]?.startsWith('  no act '), event_type).toBe(event_type !== 'tool_call')
    expect(said.at(-1)?.startsWith('  next ') ?? false, event_type).toBe(event_type !== 'tool_call' && event_type !== 'tool_result')
  }
})
