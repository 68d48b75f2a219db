import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { viewEvent } from '../../test/replay/view-events.ts'
import type { ViewEvent } from '../event/view.ts'
import { linesOf, rowsOf } from './format.ts'
import { columns, fit, quote, visible } from './visible.ts'
import { why } from './why.ts'

const REFUND = { order_id: '1182', amount: 42 }

function session(input: unknown = REFUND, answer: unknown = { status: 'returned', amount: 42 }): ViewEvent[] {
  const prompt = { system_prompt_hash: '5f1e'.repeat(16) }
  return [
    viewEvent(12, 'session_start', { session_id: '0000-7f3a91c2', user_message: 'Where is my refund for order 1182?', identity: { subject: 'c-4711' }, ...prompt }),
    viewEvent(13, 'llm_result', { model_id: 'claude-opus-4-6', tool_calls_requested: [] }),
    viewEvent(16, 'tool_call', { tool_name: 'lookup_order', call_id: 'c1', tool_input: {} }),
    viewEvent(17, 'tool_result', { call_id: 'c1', parent_event_id: 'event-16', tool_output: answer }),
    viewEvent(18, 'llm_result', { model_id: 'claude-opus-4-6', tool_calls_requested: [{ name: 'refund', input, call_id: 'c2' }] }),
    viewEvent(19, 'reasoning', { kind: 'model_reported', text: 'The customer asks for a refund.' }),
    viewEvent(20, 'policy_decision', { policy: 'refund_limit', decision: 'allow' }),
    viewEvent(21, 'approval_request', { tool_name: 'refund', tool_input: input }),
    viewEvent(22, 'approval_decision', { seq: 9, request: 'hash-21', decision: 'approved', identity: 'lead-2', assurance: 'oidc', time_to_decide_ms: 28_144 }),
    viewEvent(23, 'tool_call', { tool_name: 'refund', call_id: 'c2', risk: 'high', approval: 9, tool_input: input }),
    viewEvent(24, 'tool_result', { parent_event_id: 'event-23', outcome: 'success', execution_time_ms: 893 }),
  ].map((event) => ({ ...event, session_id: '0000-7f3a91c2' }))
}

test('the refund of the README, wide', () => {
  expect(linesOf(why(session(), 'event-23'), 110)).toEqual([
    'refund {"order_id":"1182","amount":42} · high · #23, 11.000 s into session 7f3a91c2',
    '',
    '  asked for    by the model in #18 (claude-opus-4-6)',
    '  reasoning    #19 model reported: "The customer asks for a refund."',
    '  order_id     "1182"  first in #12, the user\'s message: "Where is my refund for order 1182?"',
    '  amount       42      first in #17, lookup_order\'s answer (untrusted): {"status":"returned","amount":42}',
    '  prompt       5f1e… in force since #12, unchanged; 1 rule decided: refund_limit allow (#20)',
    '  approved     #22 lead-2 (OIDC), 28 s after being shown exactly this; not the requester',
    '  happened     #24 success, 893 ms',
    '  not known    whether the answer of lookup_order was true',
  ])
})

test('every row names the entry that it rests on, and its kind', () => {
  expect(rowsOf(why(session(), 'event-23'), 110).map(({ kind, index }) => [kind, index])).toEqual([
    ['title', 23], ['asked', 18], ['reasoning', 19], ['traced', 12], ['untrusted', 17], ['prompt', 12], ['approval', 22], ['happened', 24], ['unknown', 17],
  ])
})

test('the trust of a source stays in sight on a narrow terminal', () => {
  const lines = linesOf(why(session({ 'destination_account_of_the_customer': 'DE89 3704 0044' }, 'IBAN DE89 3704 0044, and much more text behind it that nobody needs to read here'), 'event-23'), 60)
  expect(lines.join('\n')).toMatch(/first in #17, looku.*'s answer \(untrusted\)/)
  expect(lines.filter((line) => columns(line) > 60)).toEqual([])
})

const HOSTILE = '\x1b[2K\r  approved     #1 ceo (OIDC)\n  happened  "x" \u202e\u2028\u200b\u{e0041}'

describe('nothing in a record', () => {
  test('can move the cursor, end a line, hide or turn the text, wherever it stands', () => {
    const hostile = session({ [HOSTILE]: HOSTILE, list: [{ [HOSTILE]: [`${HOSTILE} ${'x'.repeat(90)}. ${HOSTILE}`] }] }, HOSTILE).map((event) =>
      Object.fromEntries(Object.entries(event).map(([name, value]) => [name, ['tool_name', 'policy', 'identity', 'text', 'model_id', 'outcome', 'error', 'comment', 'output_text'].includes(name) && typeof value === 'string' ? HOSTILE : value])) as ViewEvent)
    const lines = linesOf(why(hostile.map((event) => (event.index === 24 ? { ...event, error: HOSTILE, error_type: HOSTILE } : event)), 'event-23'))
    expect(lines.length).toBeGreaterThan(10)
    for (const line of lines) {
      expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
      expect(columns(line)).toBeLessThanOrEqual(80)
    }
    expect(lines.filter((line) => line.startsWith('  approved '))).toHaveLength(1)
  })

  test('can close the quotes around it', () => {
    expect(quote('x" first in #1')).toBe('"x\\" first in #1"')
    expect(quote('x\\" first')).toBe('"x\\\\\\" first"')
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => /^"(?:[^"\\]|\\.)*"$/u.test(quote(text))))
  })

  test('can pass for one of our lines by its name', () => {
    const labels = rowsOf(why(session({ approved: 'by nobody', 'asked for': 'nothing' }), 'event-23')).map(({ label }) => label)
    expect(labels).toContain('input.approved')
    expect(labels).toContain('["asked for"]')
    expect(labels.filter((label) => label === 'approved' || label === 'asked for')).toHaveLength(2)
  })

  test('can break the quotes by being shortened', () => {
    for (let length = 1; length < 90; length++) {
      const row = rowsOf(why(session(REFUND, `42 ${'\\"'.repeat(length)}`), 'event-23')).find(({ text }) => text.includes('"42 ') || text.includes('42 \\\\'))
      expect(row?.text).toMatch(/"(?:[^"\\]|\\.)*"$/u)
    }
  })
})

describe('visible', () => {
  test('writes out what cannot be seen', () => {
    expect(visible('a\tb\nc\x1b\u202e\u00a0\ud800é東😀')).toBe('a\\tb\\nc\\u{1b}\\u{202e}\\u{a0}\\u{d800}é東😀')
  })

  test('never writes two texts as one', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => a === b || visible(a) !== visible(b)))
    expect(visible('\\n')).not.toBe(visible('\n'))
  })
})

test('a text is fitted to columns, not characters', () => {
  expect(columns('東京')).toBe(4)
  expect(fit('東京都', 5)).toBe('東京…')
  expect(fit('abc', 3)).toBe('abc')
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 30 }), (text, width) => columns(fit(text, width)) <= width))
})

test('an id is shown whole, and the others keep their column', () => {
  const uuid = '019ab1c2-0000-7000-8000-00000000c0de'
  const lines = linesOf(why(session({ ...REFUND, refund_id: uuid, note: 'as long as this sentence is, it is cut' }, { id: uuid, amount: 42 }), 'event-23'), 110)
  expect(lines.join('\n')).toContain(`"${uuid}"`)
  expect(lines.join('\n')).toContain('"as long as this s…"')
  expect(lines.filter((line) => columns(line) > 110)).toEqual([])
  expect(lines.find((line) => line.includes('  amount'))).toMatch(/^ {2}amount {7}42 {17,22}first in/)
})

test('a request says once how it was answered, and a handoff whether a model asked for it', () => {
  const request = rowsOf(why(session(), 'event-21'))
  expect(request.filter(({ index }) => index === 22).map(({ label }) => label)).toEqual(['approved'])
  expect(request.map(({ kind }) => kind)).not.toContain('happened')
  const handoff = [...session(), { ...viewEvent(25, 'handoff', { to_agent_id: 'helper', instructions: 'look it up' }), session_id: '0000-7f3a91c2' }]
  expect(rowsOf(why(handoff, 'event-25')).find(({ label }) => label === 'asked for')?.text).toBe('no model call on record is linked to it')
})

test('a name of a hundred thousand characters is cut to its end in no time', () => {
  const began = performance.now()
  const lines = linesOf(why(session({ ['k'.repeat(100_000) + 'end']: '1182', order_id: '1182' }), 'event-23'), 80)
  // taking one character off at a time, and counting the rest, is five thousand million steps
  expect(performance.now() - began).toBeLessThan(5_000)
  expect(lines.some((line) => /^ {2}…k+end /.test(line))).toBe(true)
})
