// A value is called the model's own, or first in a place, only where everything before was looked at.

import { describe, expect, test } from 'vitest'

import { viewEvent } from '../../test/replay/view-events.ts'
import { Absent, type ViewEvent } from '../event/view.ts'
import { linesOf } from './format.ts'
import type { Value, Why } from './result.ts'
import { why } from './why.ts'

const INPUT = { code: 'QX-91', order: '1182' }

/** The model asked in #3 for INPUT, of which `order` stands in #0 and #2 and `code` nowhere. */
function session(change: { readonly [index: number]: { readonly [field: string]: unknown } } = {}, input: unknown = INPUT): ViewEvent[] {
  return [
    viewEvent(0, 'session_start', { user_message: 'Look at order 1182' }),
    viewEvent(1, 'tool_result', { tool_name: 'lookup', tool_output: 'nothing' }),
    viewEvent(2, 'llm_call', { input_messages: [{ role: 'user', content: 'Look at order 1182' }] }),
    viewEvent(3, 'llm_result', { parent_event_id: 'event-2', tool_calls_requested: [{ name: 'act', input, call_id: 'c1' }] }),
    viewEvent(4, 'tool_call', { parent_event_id: 'event-3', tool_name: 'act', call_id: 'c1', tool_input: input }),
    viewEvent(5, 'tool_result', { parent_event_id: 'event-4', call_id: 'c1', tool_output: 'done' }),
  ].map((event) => ({ ...event, ...change[event.index] }))
}
const act = (events: readonly ViewEvent[]): Why => why(events, 'event-4')
const value = (said: Why, path = 'code'): Value => said.values.find((one) => one.path === path) as Value
const line = (said: Why, label: string): string => linesOf(said, 160).find((one) => one.startsWith(`  ${label} `)) ?? ''
const image = { type: 'image', source: { type: 'base64', data: 'AAAA' } }

test('where all is there to read, a value found nowhere is the model\'s own', () => {
  expect(value(act(session()))).toMatchObject({ status: 'nowhere', complete: true })
  expect(line(act(session()), 'code')).toContain("nowhere before: the model's own, or in another form")
  expect(line(act(session()), 'order')).toContain('first in #0')
})

describe('a value that is not found is unknown, and what was not looked at is named, where', () => {
  test.each<[string, readonly ViewEvent[], string]>([
    ['content was erased', session({ 1: { tool_output: new Absent('erased', 9) } }), 'what stood in content that is not here: [erased by #9]'],
    ['a message was erased', session({ 2: { input_messages: [new Absent('erased', 9)] } }), 'what stood in content that is not here: [erased by #9]'],
    ['no key is here', session({ 1: { tool_output: new Absent('no_key') } }), 'what stood in content that is not here: [no_key]'],
    ['something was masked', session({ 1: { tool_output: 'the code is [masked:secret].' } }), 'what stood where something was masked before it was recorded'],
    ['an image was sent', session({ 2: { input_messages: [{ role: 'user', content: [image, { type: 'text', text: 'order 1182' }] }] } }), 'what stood in content of type image: only text is looked into'],
    ['a tool answered with an image', session({ 1: { tool_output: [image] } }), 'what stood in content of type image: only text is looked into'],
    ['a tool answered with bytes', session({ 1: { tool_output: new Uint8Array([255, 254]) } }), 'what stood in bytes that are no text: only text is looked into'],
    ['a document has no text', session({ 2: { input_messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'base64', data: 'AAAA' } }] }] } }), 'what stood in content of type document: only text is looked into'],
    ['events are missing', [...session(), viewEvent(1.5, 'gap', { from: 4, to: 6, cause: 'lost' })], 'what happened in 3 events not on record (lost)'],
    ['a gap is noticed later', [...session().map((event, i) => ({ ...event, stream: 's', stream_seq: i < 2 ? i : i + 1 })), viewEvent(9, 'gap', { missing_stream: 's', from: 2, to: 2, cause: 'lost' })], 'what happened in 1 event not on record (lost)'],
    ['the parent session is not on hand', session({ 0: { parent_session_id: 'aaaa-12345678', user_message: 'order 1182' } }), 'what was said in the parent session 12345678: it was not looked at'],
    ['the model\'s call is not on record', session().filter(({ index }) => index !== 2), 'what the model was given: the call that it answers is not on record'],
    ['no model\'s call is on record', session().filter(({ index }) => index !== 2 && index !== 3), 'what a model was given: no call of one is on record before it'],
    ['the provider keeps the conversation', session({ 2: { continues: 'msg_0' } }), 'what was said before in the conversation that a call continues: it is not on record'],
    ['a call has fewer messages than it sent', session({ 2: { message_count: 3 } }), 'what stood in 2 of the messages of a call: they are not on record'],
  ])('%s', (_, events, missing) => {
    const said = act(events)
    expect(value(said)).toMatchObject({ status: 'unknown', source: null, complete: false })
    expect(line(said, 'code')).toContain('unknown: in nothing that can be read before')
    expect(said.not_known.map(({ text }) => text)).toContain(missing)
    expect(linesOf(said, 160).join('\n')).not.toContain("model's own")
  })
})

test('a conversation that the provider keeps and the record has is complete', () => {
  const before = viewEvent(0.5, 'llm_result', { response_id: 'msg_0', tool_calls_requested: [] })
  expect(value(act([before, ...session({ 2: { continues: 'msg_0' } })])).status).toBe('nowhere')
})

test('what is missing only after the request changes nothing', () => {
  expect(value(act(session({ 5: { tool_output: new Absent('erased', 9) } }))).status).toBe('nowhere')
})

describe('the first place of a value', () => {
  test('is only the first that can be read, where something before it cannot', () => {
    const said = act(session({ 0: { user_message: new Absent('erased', 9) } }))
    expect(value(said, 'order')).toMatchObject({ status: 'traced', complete: false, source: { index: 2 } })
    expect(line(said, 'order')).toContain('first readable in #2')
    expect(line(act(session({ 1: { tool_output: new Absent('erased', 9) } })), 'order')).toContain('first in #0')
  })

  test('in a tool\'s definition does not hide who said it', () => {
    const input = { code: 'express' }
    const tool = { name: 'act', input_schema: { properties: { code: { enum: ['express'], default: 'express' } } } }
    const said = act(session({ 0: { tool_definitions: [tool] }, 1: { tool_output: 'use express' } }, input))
    expect(value(said)).toMatchObject({ source: { index: 0, kind: 'tool_definition' }, outside: { index: 1, kind: 'tool_answer', trust: 'untrusted' } })
    expect(value(act(session({ 0: { tool_definitions: [tool] } }, input)))).toMatchObject({ source: { kind: 'tool_definition' }, outside: null })
  })
})

describe('a value that was masked', () => {
  test('is not traced to another that was masked the same way', () => {
    const input = { code: '[masked:iban]' }
    const said = act(session({ 1: { tool_output: 'pay to [masked:iban]' } }, input))
    expect(value(said)).toMatchObject({ status: 'untraced', reason: 'masked', source: null })
    expect(line(said, 'code')).toContain('unknown: masked before it was recorded')
  })

  test('in part is looked up in its other parts', () => {
    const body = 'Please pay to [masked:iban] at once.\nThe parcel leaves on Monday morning.'
    const said = act(session({ 1: { tool_output: 'The parcel leaves on Monday morning. Please pay to [masked:iban] at once.' } }, { code: body }))
    expect(value(said)).toMatchObject({ status: 'partly', reason: 'masked' })
    expect(value(said).parts.map(({ source }) => source?.index ?? null)).toEqual([null, 1])
  })
})

describe('the model\'s own', () => {
  test('is nothing that the model did not ask for', () => {
    const said = act(session({ 4: { tool_input: { code: 'ZZ-77', order: '1182' } } }))
    expect(value(said)).toMatchObject({ status: 'nowhere', as_asked: false })
    expect(line(said, 'code')).toContain('nowhere before: not what the model asked for')
  })

  test('is nothing of an act that no model asked for', () => {
    const said = act(session({ 3: { tool_calls_requested: [] } }))
    expect(line(said, 'code')).toMatch(/nowhere before, or in another form$/)
  })

  test('is nothing where what it asked for cannot be read', () => {
    const said = act(session({ 3: { tool_calls_requested: new Absent('erased', 9) } }))
    expect(said.asked_for).toMatchObject({ index: 3, by: 'parent' })
    expect(linesOf(said, 160).join('\n')).not.toContain("model's own")
  })
})

describe('in other forms', () => {
  const traced = (input: unknown, text: string): [string, string | undefined] => {
    const said = act(session({ 1: { tool_output: text } }, { code: input }))
    return [value(said).status, value(said).source?.match]
  }

  test.each<[unknown, string, string, string?]>([
    ['42', '{"amount":42}', 'traced', 'exact'], [42, 'amount "42"', 'traced', 'exact'], [42, '42.0 €', 'traced', 'exact'], ['42 €', 'for 42 € only', 'traced', 'exact'],
    ['42 €', 'for 42 euro', 'nowhere'], ['42.0', '42', 'traced', 'loose'], [42, '4200', 'nowhere'], ['true', 'is true', 'traced', 'exact'], [true, 'true', 'untraced'], ['a', 'a b c', 'untraced'], [7, 'item 7', 'untraced'],
  ])('%j against %j: %s', (input, text, status, match) => {
    expect(traced(input, text)).toEqual([status, match])
  })

  test('every value inside lists and objects has its own line, empty ones none', () => {
    const input = { code: [{ to: ['DE89-1'], flags: [true] }, {}], deep: { er: [[12345]] } }
    const said = act(session({ 1: { tool_output: 'DE89-1 and 12345' } }, input))
    expect(said.values.map(({ path, status, source }) => [path, status, source?.index ?? null])).toEqual([['code[0].to[0]', 'traced', 1], ['code[0].flags[0]', 'untraced', null], ['deep.er[0][0]', 'traced', 1]])
  })
})
