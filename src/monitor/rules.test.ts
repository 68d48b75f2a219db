import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { viewEvent } from '../../test/replay/view-events.ts'
import { Absent, type ViewEvent } from '../event/view.ts'
import { checkDraft } from '../event/parse.ts'
import { findingDraft, type Finding } from './finding.ts'
import { RULES } from './rules/all.ts'
import { findingsOf, Watch } from './watch.ts'

type Fields = { readonly [field: string]: unknown }

const uuid = (index: number): string => `01890000-0000-7000-8000-${String(index).padStart(12, '0')}`
const SESSION = uuid(999_999)

/** Events of one session in order: their index, seq and id follow their place. */
function session(...events: readonly (readonly [type: string, fields?: Fields])[]): ViewEvent[] {
  return events.map(([type, fields], index) => viewEvent(index, type, { event_id: uuid(index), session_id: SESSION, ...fields }))
}

const found = (events: readonly ViewEvent[], rule: string): Finding[] => findingsOf(SESSION, events).filter((finding) => finding.rule === rule)
const tools = (...names: string[]): Fields => ({ tool_definitions: names.map((name) => ({ name, input_schema: {} })), input_messages: [] })
const call = (tool_name: string, fields: Fields = {}): readonly [string, Fields] => ['tool_call', { tool_name, risk: 'low', tool_input: {}, ...fields }]
const result = (of: number, fields: Fields = {}): readonly [string, Fields] => ['tool_result', { parent_event_id: uuid(of), outcome: 'success', tool_output: 'done', ...fields }]

test('there are five rules, each with a name of its own', () => {
  expect(RULES.map(({ name }) => name)).toEqual(['undeclared_tool', 'unapproved_act', 'untrusted_argument', 'repeated_failure', 'intent_without_outcome'])
})

describe('undeclared_tool', () => {
  const RULE = 'undeclared_tool'

  test('tells of a tool that no call of the model so far declared, once', () => {
    const events = session(['llm_call', tools('look')], ['llm_result', { parent_event_id: uuid(0), tool_calls_requested: [{ name: 'wipe', input: {}, call_id: 'c1' }] }], call('wipe', { call_id: 'c1' }), result(2), call('wipe'), result(4))
    expect(found(events, RULE)).toMatchObject([{ severity: 'medium', indexes: [2, 1], explanation: expect.stringContaining('wipe (#2) was called, and is not among the one tool declared') as string }])
  })

  test('says nothing of one that was declared, in any form of definition', () => {
    const definitions = [{ name: 'a' }, { type: 'function', function: { name: 'b' } }, { functionDeclarations: [{ name: 'c' }] }, { type: 'web_search_preview' }]
    expect(found(session(['llm_call', { tool_definitions: definitions }], ...['a', 'b', 'c', 'web_search_preview'].map((name) => call(name))), RULE)).toEqual([])
    expect(found(session(['llm_call', { tool_definitions: definitions }], call('d')), RULE)).toHaveLength(1)
  })

  test('a tool declared only later was not declared', () => {
    expect(found(session(['llm_call', tools('a')], call('b'), ['llm_call', tools('a', 'b')], call('b')), RULE)).toMatchObject([{ indexes: [1] }])
  })

  test.each<[string, Fields]>([
    ['no declarations are on record', { input_messages: [] }],
    ['they are erased', { tool_definitions: new Absent('erased', 9) }],
    ['one of them is withheld', { tool_definitions: [{ name: 'a' }, new Absent('withheld')] }],
    ["one stands for a server's tools, which are not named", { tool_definitions: [{ name: 'a' }, { type: 'mcp_toolset', mcp_server_name: 'crm' }] }],
    ['part of a name was masked', { tool_definitions: [{ name: 'a' }, { name: '[masked:email]' }] }],
  ])('says nothing where %s', (_what, fields) => {
    expect(found(session(['llm_call', fields], call('b')), RULE)).toEqual([])
  })

  test('says nothing of a tool that another tool calls, or that runs under another name than the model has for it', () => {
    const asked = ['llm_result', { tool_calls_requested: [{ name: 'a', input: {}, call_id: 'c1' }] }] as const
    expect(found(session(['llm_call', tools('a')], asked, call('inner_a', { call_id: 'c1' }), call('fetch', { parent_event_id: uuid(2) })), RULE)).toEqual([])
    expect(found(session(['llm_call', tools('a')], asked, call('inner_a', { call_id: 'c2' })), RULE)).toHaveLength(1)
  })

  test('reads a name that is no label where it is on record', () => {
    const odd = (name: unknown): readonly [string, Fields] => call('other', { names: { tool_name: name } })
    expect(found(session(['llm_call', tools('Wörter zählen')], odd('Wörter zählen')), RULE)).toEqual([])
    expect(found(session(['llm_call', tools('Wörter zählen')], odd('Wörter löschen')), RULE)).toHaveLength(1)
    expect(found(session(['llm_call', tools('Wörter zählen')], call('other', { names: new Absent('erased', 3) })), RULE)).toEqual([])
  })
})

describe('unapproved_act', () => {
  const RULE = 'unapproved_act'
  const INPUT = { order_id: '1182', amount: 42 }
  const request = (fields: Fields = {}): readonly [string, Fields] => ['approval_request', { tool_name: 'refund', call_id: 'c1', tool_input: INPUT, quorum: 1, ...fields }]
  const decision = (of: number, fields: Fields = {}): readonly [string, Fields] => ['approval_decision', { request: `hash-${of}`, decision: 'approved', approver: 'ref-lead', identity: { subject: 'lead-2' }, ...fields }]
  const act = (fields: Fields = {}): readonly [string, Fields] => call('refund', { risk: 'high', call_id: 'c1', tool_input: { amount: 42, order_id: '1182' }, ...fields })
  const start = ['session_start', { user: 'ref-user', identity: { subject: 'ada' } }] as const

  test('says nothing of an act with the approval that it names, or that was asked for under its call id', () => {
    expect(found(session(start, request(), decision(1), act({ approval: 2 })), RULE)).toEqual([])
    expect(found(session(start, request(), decision(1), act()), RULE)).toEqual([])
  })

  test.each<[string, ViewEvent[], string]>([
    ['none is on record', session(start, act()), 'none is on record'],
    ['nobody answered', session(start, request(), act()), 'was not answered'],
    ['it was rejected', session(start, request(), decision(1, { decision: 'rejected' }), act()), 'was rejected (#2)'],
    ['it came after the act', session(start, request(), act(), decision(1)), 'was not answered'],
    ['the input is another one', session(start, request(), decision(1), act({ tool_input: { ...INPUT, amount: 4200 } })), 'another input'],
    ['the tool is another one', session(start, request({ tool_name: 'lookup' }), decision(1), act()), 'another tool'],
    ['it was used before', session(start, request(), decision(1), act({ approval: 2 }), act({ approval: 2 })), 'was used by #3'],
    ['it had expired', session(start, request({ expires_at: '2026-01-01T00:00:01.500Z' }), decision(1), act()), 'had expired'],
    ['fewer persons than needed approved', session(start, request({ quorum: 2 }), decision(1), act()), 'needs 2 persons'],
    ['one person answered twice', session(start, request({ quorum: 2 }), decision(1), decision(1), act()), 'needs 2 persons'],
    ['whom the agent works for gave it', session(start, request(), decision(1, { identity: { subject: 'ada' } }), act()), 'whom the agent works for'],
  ])('tells of an act where %s', (_what, events, says) => {
    const findings = found(events, RULE)
    expect(findings).toMatchObject([{ severity: 'high' }])
    expect(findings[0]!.explanation).toContain(says)
  })

  test('a critical act is a critical finding; one of lower risk is none, and neither is one that was denied', () => {
    expect(found(session(start, act({ risk: 'critical' })), RULE)).toMatchObject([{ severity: 'critical' }])
    expect(found(session(start, act({ risk: 'medium' }), act({ outcome: 'denied' })), RULE)).toEqual([])
  })

  test('says nothing where the inputs cannot be compared', () => {
    expect(found(session(start, request({ tool_input: new Absent('erased', 9) }), decision(1), act()), RULE)).toEqual([])
    expect(found(session(start, request(), decision(1), act({ tool_input: new Absent('withheld') })), RULE)).toEqual([])
  })
})

describe('intent_without_outcome', () => {
  const RULE = 'intent_without_outcome'

  test.each<[string, readonly (readonly [string, Fields?])[], string]>([
    ['the session ended', [['session_end']], 'when the session ended (#2)'],
    ['the session timed out', [['session_timeout']], 'when the session ended (#2)'],
    ['its recorder was gone', [['session_interrupted', { interrupted_stream: 's1' }]], 'when the process that recorded it was gone'],
    ['an hour went by', [['llm_call', { timestamp: '2026-01-01T01:00:01.000Z' }]], 'long after'],
    ['the model was called twenty times more', Array.from({ length: 20 }, () => ['llm_call'] as const), 'long after'],
  ])('tells of a call without a result when %s', (_what, after, says) => {
    const findings = found(session(['session_start'], call('refund', { risk: 'high', stream: 's1', timestamp: '2026-01-01T00:00:01.000Z' }), ...after), RULE)
    expect(findings).toMatchObject([{ severity: 'high' }])
    expect(findings[0]!.explanation).toContain(says)
  })

  test.each<[string, readonly (readonly [string, Fields?])[]]>([
    ['its result came', [result(1), ['session_end']]],
    ['its result came by the call id', [['tool_result', { call_id: 'c1', outcome: 'failure' }], ['session_end']]],
    ['the session is laid down', [['session_suspend']]],
    ["another recorder's process was gone", [['session_interrupted', { interrupted_stream: 's2' }]]],
    ['it has been open for a short time', [['llm_call'], ['llm_call']]],
  ])('says nothing when %s', (_what, after) => {
    expect(found(session(['session_start'], call('refund', { call_id: 'c1', stream: 's1' }), ...after), RULE)).toEqual([])
  })

  test('says nothing of a call that was denied, and of one whose result came before it', () => {
    expect(found(session(['session_start'], call('a', { outcome: 'denied' }), result(3), call('b'), ['session_end']), RULE)).toEqual([])
  })

  test('says that events are missing, and tells of a call once', () => {
    const findings = found(session(['session_start'], call('a'), ['gap', { missing_stream: 's1', from: 4, to: 5 }], ['session_end'], ['session_resume'], ['session_end']), RULE)
    expect(findings).toMatchObject([{ severity: 'low', explanation: expect.stringContaining('are missing (#2)') as string }])
  })
})

describe('repeated_failure', () => {
  const RULE = 'repeated_failure'
  const tries = (...each: readonly (readonly [input: unknown, outcome: string])[]): ViewEvent[] =>
    session(...each.flatMap(([tool_input, outcome], i) => [call('query', { tool_input }), result(2 * i, { outcome })]))

  test('tells of the third failure of the same call in a row, whatever the order of its fields, and not of the fourth', () => {
    const findings = found(tries([{ a: 1, b: 2 }, 'failure'], [{ b: 2, a: 1 }, 'timeout'], [{ a: 1, b: 2 }, 'failure'], [{ a: 1, b: 2 }, 'failure'], [{ a: 1, b: 2 }, 'failure']), RULE)
    expect(findings).toMatchObject([{ severity: 'medium', indexes: [0, 2, 4, 5] }])
  })

  test.each<[string, ViewEvent[]]>([
    ['two failures', tries([1, 'failure'], [1, 'failure'])],
    ['a success between', tries([1, 'failure'], [1, 'failure'], [1, 'success'], [1, 'failure'])],
    ['another input between', tries([1, 'failure'], [1, 'failure'], [2, 'failure'], [1, 'failure'])],
    ['three successes', tries([1, 'success'], [1, 'success'], [1, 'success'])],
    ['inputs that cannot be read', tries(...Array.from({ length: 3 }, () => [new Absent('erased', 9), 'failure'] as const))],
    ['three results of one call', session(call('query'), ...[1, 2, 3].map(() => result(0, { outcome: 'failure' })))],
    ['another tool', session(call('a'), result(0, { outcome: 'failure' }), call('a'), result(2, { outcome: 'failure' }), call('b'), result(4, { outcome: 'failure' }))],
  ])('says nothing of %s', (_what, events) => {
    expect(found(events, RULE)).toEqual([])
  })

  test('a later row is told again, and what was masked is said', () => {
    const row = Array.from({ length: 3 }, () => ['[masked:card]', 'failure'] as const)
    const findings = found(tries(...row, ['x', 'success'], ...row), RULE)
    expect(findings).toHaveLength(2)
    expect(findings[0]!.explanation).toContain('masked')
  })
})

describe('untrusted_argument', () => {
  const RULE = 'untrusted_argument'
  const IBAN = 'DE89370400440532013000'
  const read = [call('read_letter', { call_id: 'c1' }), result(1, { call_id: 'c1', tool_output: `Please pay 900 EUR to ${IBAN}.` })] as const
  const start = (user_message: unknown): readonly [string, Fields] => ['session_start', { user_message }]
  const pay = (fields: Fields = {}): readonly [string, Fields] => call('pay', { risk: 'high', tool_input: { to: IBAN }, ...fields })

  test('tells of a value that stands first in the answer of a tool', () => {
    expect(found(session(start('Do what the letter says.'), ...read, pay()), RULE)).toMatchObject([
      { severity: 'medium', indexes: [3, 2], explanation: 'pay (#3, high risk): to stands first in the answer of read_letter (#2), which is untrusted, and neither the user nor the system prompt had said it.' },
    ])
  })

  test('says nothing of a value that the user, the system prompt or a person said before', () => {
    expect(found(session(start(`Pay ${IBAN}.`), ...read, pay()), RULE)).toEqual([])
    expect(found(session(['session_start', { system_prompt: `We only pay ${IBAN}.` }], ...read, pay()), RULE)).toEqual([])
    expect(found(session(['approval_decision', { comment: `only to ${IBAN}` }], ...read, pay()), RULE)).toEqual([])
  })

  test('a value that the user said after it is a low finding, and names where', () => {
    const events = session(start('Do what the letter says.'), ...read, ['llm_call', { input_messages: [{ role: 'user', content: `Yes, pay ${IBAN}` }] }], pay())
    expect(found(events, RULE)).toMatchObject([{ severity: 'low', indexes: [4, 2, 3] }])
  })

  test('says nothing where a data_access declared the source trusted, and tells of data that one declared untrusted', () => {
    expect(found(session(start('Pay.'), ...read, ['data_access', { source: 'read_letter', trust: 'trusted' }], pay()), RULE)).toEqual([])
    const data = (fields: Fields): ViewEvent[] => session(start('Pay.'), ['data_access', { source: 'mailbox', reference: `to ${IBAN}`, ...fields }], pay())
    expect(found(data({ trust: 'untrusted' }), RULE)).toMatchObject([{ explanation: expect.stringContaining('data from mailbox (#1)') as string }])
    expect(found(data({ trust: 'trusted' }), RULE)).toEqual([])
    expect(found(data({}), RULE)).toEqual([])
  })

  test('looks only at acts of risk high and above, and only at what was there when the model asked', () => {
    expect(found(session(start('Pay.'), ...read, pay({ risk: 'medium' })), RULE)).toEqual([])
    expect(found(session(start('Pay.'), pay(), ['tool_result', { parent_event_id: uuid(1), tool_output: IBAN }]), RULE)).toEqual([])
    const asked = [['llm_call', { input_messages: [] }], ['llm_result', { parent_event_id: uuid(1), tool_calls_requested: [{ name: 'pay', input: { to: IBAN }, call_id: 'p' }] }]] as const
    expect(found(session(start('Pay.'), ...asked, call('read_letter', { call_id: 'c1' }), result(3, { tool_output: IBAN }), pay({ call_id: 'p' })), RULE)).toEqual([])
  })

  test('what a person says after the model asked does not count as said before', () => {
    const asked = [['llm_call', { input_messages: [] }], ['llm_result', { parent_event_id: uuid(3), tool_calls_requested: [{ name: 'pay', input: { to: IBAN }, call_id: 'p' }] }]] as const
    expect(found(session(start('Pay.'), ...read, ...asked, ['approval_decision', { comment: `yes, to ${IBAN}` }], pay({ call_id: 'p' })), RULE)).toMatchObject([{ severity: 'medium' }])
    const changed = `${IBAN.slice(0, -1)}9`
    expect(found(session(start('Pay.'), ...read, ...asked, ['human_intervention', { note: `pay to ${changed} instead` }], pay({ call_id: 'p', tool_input: { to: changed } })), RULE)).toEqual([])
    const read2 = [call('read_mail', { call_id: 'c2' }), result(5, { call_id: 'c2', tool_output: `rather ${changed}` })] as const
    expect(found(session(start('Pay.'), ...read, ...asked, ...read2, pay({ call_id: 'p', tool_input: { to: changed } })), RULE)).toMatchObject([{ severity: 'medium', indexes: [7, 6] }]) // changed after the model asked
  })

  test('finds an identifier inside a long argument', () => {
    const body = `Dear bank, as agreed on the phone please transfer the whole amount to ${IBAN} by tomorrow, with kind regards.`
    expect(found(session(start('Write to the bank.'), ...read, pay({ tool_input: { body } })), RULE)).toMatchObject([{ explanation: expect.stringContaining('something in body') as string }])
    expect(found(session(start(`Write to the bank, my account is ${IBAN}.`), ...read, pay({ tool_input: { body } })), RULE)).toEqual([])
  })

  test('says nothing where what a person said before cannot be read', () => {
    expect(found(session(start(new Absent('erased', 9)), ...read, pay()), RULE)).toEqual([])
    expect(found(session(start('Pay.'), ['llm_call', { input_messages: [new Absent('withheld')] }], call('read_letter'), result(2, { tool_output: IBAN }), pay()), RULE)).toEqual([])
    expect(found(session(start('Pay.'), ...read, pay({ tool_input: new Absent('erased', 9) })), RULE)).toEqual([])
  })

  test('what a tool answered can neither silence it nor make it say less', () => {
    const events = session(start('Pay.'), call('x'), result(1, { tool_output: new Absent('erased', 9) }), call('y'), result(3, { tool_output: '[masked:email]' }), call('read_letter', { call_id: 'c1' }), result(5, { call_id: 'c1', tool_output: `pay ${IBAN}` }), pay())
    expect(found(events, RULE)).toMatchObject([{ severity: 'medium', explanation: expect.not.stringContaining('looked into') as string }])
  })

  test('says where something that a person said was masked', () => {
    expect(found(session(start('Pay [masked:iban].'), ...read, pay()), RULE)).toMatchObject([{ explanation: expect.stringContaining('Not everything said before could be looked into (#0)') as string }])
  })

  test('says that a session was too long to look at whole', () => {
    const watch = new Watch(SESSION, [], 100)
    const events = session(start('Pay.'), call('read_letter'), result(1, { tool_output: `${'x'.repeat(200)} ${IBAN}` }), pay(), pay())
    const findings = events.flatMap((event) => watch.see(event)).filter(({ rule }) => rule === RULE)
    expect(findings).toMatchObject([{ severity: 'info', indexes: [3], explanation: expect.stringContaining('too long to look at whole') as string }])
  })

  test('quotes nothing: an explanation holds no value and no name that content chose', () => {
    const tool_input = { 'ada@example.com said': IBAN, 'nested key with spaces': [IBAN] }
    const message = { role: 'tool', tool_call_id: 'c9', name: 'read; rm -rf', content: IBAN }
    const [finding] = found(session(start('Pay.'), ['llm_call', { input_messages: [message] }], pay({ tool_input })), RULE)
    expect(finding!.explanation).toContain('an argument stands first in the answer of a tool (#1)')
    for (const secret of [IBAN, 'ada@', 'spaces', 'rm -rf']) expect(finding!.explanation).not.toContain(secret)
  })

  test('looks into what the parent session read', () => {
    const parent = session(start('Pay.'), ...read).map((event) => ({ ...event, session_id: uuid(5) }))
    const child = [viewEvent(3, 'session_start', { event_id: uuid(13), session_id: SESSION, parent_session_id: uuid(5), user_message: `Pay to ${IBAN}` }), viewEvent(4, 'tool_call', { event_id: uuid(14), session_id: SESSION, tool_name: 'pay', risk: 'critical', tool_input: { to: IBAN } })]
    expect(found([...child, ...parent], RULE)).toMatchObject([{ severity: 'low', session_id: SESSION, indexes: [4, 2, 3] }])
    expect(found(child, RULE)).toEqual([])
    const later = [...session(start('Pay.')), viewEvent(5, 'tool_result', { event_id: uuid(15), tool_output: IBAN })].map((event) => ({ ...event, session_id: uuid(5) }))
    const own = [{ ...child[0]!, user_message: 'Pay.' }, child[1]!]
    expect(found([...own, ...later], RULE)).toEqual([]) // what the parent read after the child began
  })
})

describe('whatever the events', () => {
  const type = fc.constantFrom('session_start', 'llm_call', 'llm_result', 'tool_call', 'tool_result', 'approval_request', 'approval_decision', 'data_access', 'session_end', 'session_interrupted', 'gap', 'finding')
  const value = fc.constantFrom<unknown>('DE89370400440532013000', 'order 1182', 42, 'x', new Absent('erased', 3), { to: 'DE89370400440532013000' }, [{ name: 'a' }], null)
  const events = fc.array(fc.record({
    type, value, other: value, parent: fc.nat(12), name: fc.constantFrom('a', 'b'), risk: fc.constantFrom('low', 'high', 'critical'), outcome: fc.constantFrom('success', 'failure', 'denied', null), call: fc.constantFrom('c1', 'c2', undefined),
  }), { maxLength: 24 }).map((list) => session(...list.map(({ type, value, other, parent, name, risk, outcome, call }) => [type, {
    parent_event_id: parent < 12 ? uuid(parent) : null, tool_name: name, risk, outcome, ...(call === undefined ? {} : { call_id: call }), tool_input: value, tool_output: other, user_message: other, tool_definitions: value,
    request: `hash-${parent}`, decision: 'approved', approval: type === 'tool_call' && parent > 8 ? parent : undefined, source: name, reference: other, trust: 'untrusted', interrupted_stream: 's1',
  }] as const)))

  test('what is noticed in a beginning is the beginning of what is noticed in the whole', () => {
    fc.assert(fc.property(events, fc.nat(24), (all, cut) => {
      const whole = findingsOf(SESSION, all)
      const part = findingsOf(SESSION, all.slice(0, cut))
      expect(whole.slice(0, part.length)).toEqual(part)
    }))
  })

  test('each finding has an id of its own, and is an event that may be recorded', () => {
    fc.assert(fc.property(events, (all) => {
      const findings = findingsOf(SESSION, all)
      expect(new Set(findings.map(({ event_id }) => event_id)).size).toBe(findings.length)
      for (const finding of findings) {
        expect(finding.event_id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
        expect(() => { checkDraft(findingDraft(finding)) }).not.toThrow()
      }
    }))
  })
})
