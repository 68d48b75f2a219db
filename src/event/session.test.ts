import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sha256 } from '#crypto'
import { fromHex, toBase64, utf8 } from '../base/bytes.ts'
import type { Entry } from './entry.ts'
import { entry, hash, ref, SESSION, STREAM, uuid } from './fixtures.ts'
import { decodeSession, encodeSession, firstPrev, foldSession, stepOf, type SessionState } from './session.ts'
import { OUTCOMES, VOCABULARY } from './vocabulary.ts'

const fold = (...entries: readonly Entry[]): SessionState => entries.reduce<SessionState | undefined>((row, each) => foldSession(row, each, hash(each.index)), undefined)!
const start = entry(0, 'session_start', {
  facts: { agent_id: 'agent', agent_version: '1.4.0', source: 'sdk', user: STREAM, parent_session_id: uuid(50), root_session_id: uuid(51) }, payloads: { identity: ref(1), system_prompt: ref(2) },
})
const stream = (n: number): string => n.toString(16).padStart(32, '0')
const at = (seq: number, name: string, stream_seq: number): Entry => entry(seq, 'reasoning', { stream: name, stream_seq })

test('the first prev binds the session to its log', () => {
  const bytes = [...utf8('counterfoil/session/v1'), 0, ...utf8('example.com/log'), 0, ...fromHex(SESSION.replaceAll('-', ''))]
  expect(firstPrev('example.com/log', SESSION)).toBe(toBase64(sha256(Uint8Array.from(bytes))))
  expect(firstPrev('example.com/log2', SESSION)).not.toBe(firstPrev('example.com/log', SESSION))
})

test('a session is folded from its start to its end', () => {
  const entries = [
    start,
    entry(1, 'llm_call', { facts: { provider: 'p', model_id: 'opus' }, payloads: { system_prompt: { same: 0 } } }),
    entry(2, 'llm_result', { facts: { input_tokens: 100, output_tokens: 8 }, parent_event_id: uuid(1) }),
    entry(3, 'tool_call', { facts: { tool_name: 'refund', risk: 'low' } }),
    entry(4, 'llm_result', { facts: { input_tokens: 20 } }),
    entry(5, 'session_end', { outcome: 'success' }),
  ]
  expect(fold(...entries)).toEqual({
    session_id: SESSION, writer: 'local', agent_id: 'agent', agent_version: '1.4.0', model_id: 'opus', source: 'sdk', user: STREAM, parent_session_id: uuid(50), root_session_id: uuid(51),
    state: 'ended', outcome: 'success', started_at: start.timestamp, last_at: entries[5]!.timestamp, ended_at: entries[5]!.timestamp, first_index: 0, last_index: 5, next_seq: 6, prev: hash(5),
    next_step: 3, events: 6, steps: 2, tools: { refund: 1 }, input_tokens: 120, output_tokens: 8, streams: {}, stream_total: 0, system_prompt: 0, identity: 0,
  })
  expect(fold(entry(0, 'log_start')).agent_id).toBe('')
})

test('configuration changes what is constant, a late event does not move time back', () => {
  const row = fold(start, entry(9, 'config_change', { facts: { what: 'model', model_id: 'haiku', agent_version: '2' }, payloads: { system_prompt: ref(3) } }), entry(3, 'llm_call', { facts: { provider: 'p', model_id: 'opus' } }))
  expect(row).toMatchObject({ model_id: 'haiku', agent_version: '2', system_prompt: 9, last_at: entry(9, 'x').timestamp })
})

test('steps are the author’s, else one more for each call', () => {
  const steps: number[] = []
  let row: SessionState | undefined
  const types: [string, number?][] = [['session_start'], ['llm_call'], ['reasoning'], ['tool_call'], ['tool_result'], ['llm_call', 10], ['tool_call'], ['reasoning', 20], ['reasoning'], ['tool_call'], ['tool_call', 2], ['llm_call']]
  for (const [seq, [type, step_number]] of types.entries()) {
    const each = entry(seq, type, step_number === undefined ? {} : { step_number })
    steps.push(stepOf(row, each))
    row = foldSession(row, each, hash(seq))
  }
  expect(steps).toEqual([0, 1, 1, 2, 2, 10, 11, 20, 20, 21, 2, 22])
  expect(row!.steps).toBe(7)
})

test('suspended, resumed, interrupted, ended: each by its own event', () => {
  const phases: [string, Partial<Entry>, SessionState['state']][] = [
    ['session_start', {}, 'open'], ['session_suspend', {}, 'suspended'], ['reasoning', {}, 'suspended'], ['session_resume', {}, 'open'], ['session_interrupted', {}, 'interrupted'], ['finding', {}, 'interrupted'],
    ['reasoning', { stream: STREAM, stream_seq: 0 }, 'open'], ['session_end', { outcome: 'failure' }, 'ended'], ['finding', {}, 'ended'], ['session_interrupted', {}, 'ended'], ['session_suspend', {}, 'ended'],
    ['session_resume', {}, 'open'], ['session_timeout', {}, 'ended'],
  ]
  let row: SessionState | undefined
  for (const [seq, [type, more, state]] of phases.entries()) {
    row = foldSession(row, entry(seq, type, more), hash(seq))
    expect(row.state, `${seq} ${type}`).toBe(state)
    expect([row.ended_at === undefined, row.outcome === undefined]).toEqual([state !== 'ended', state !== 'ended'])
  }
  expect(row!.outcome).toBe('timeout')
})

// Two counters: seq is dense whatever happens, only stream_seq shows what never arrived; and a late event closes the hole.
test('a jump in stream_seq is a hole until the late events come', () => {
  expect(fold(at(0, STREAM, 0), at(1, STREAM, 1)).streams).toEqual({ [STREAM]: { next: 2, last: 1 } })
  expect(fold(at(0, STREAM, 3)).streams[STREAM]).toEqual({ next: 4, last: 0, missing: [[0, 2]] })
  expect(fold(at(0, STREAM, 3), at(1, STREAM, 1)).streams[STREAM]).toEqual({ next: 4, last: 1, missing: [[0, 0], [2, 2]] })
  expect(fold(at(0, STREAM, 3), at(1, STREAM, 1), at(2, STREAM, 0), at(3, STREAM, 2)).streams[STREAM]).toEqual({ next: 4, last: 3 })
  expect(fold(at(0, STREAM, 0), at(1, STREAM, 0)).streams[STREAM]).toEqual({ next: 1, last: 1, repeated: 1 })
})

test('holes, streams, tools and tokens are bounded', () => {
  const holes = fold(...Array.from({ length: 200 }, (_, i) => at(i, STREAM, 2 * i + 1))).streams[STREAM]!
  expect([holes.missing!.length, holes.missing_more]).toEqual([64, true])
  // each in a process of its own, as hooks are: the newest 256 stay
  const many = fold(at(0, stream(0), 0), ...Array.from({ length: 1000 }, (_, i) => at(i + 1, stream(i + 1), 0)))
  expect([Object.keys(many.streams).length, many.stream_total, many.streams[stream(1000)]!.next, many.streams[stream(0)]]).toEqual([256, 1001, 1, undefined])
  const alive = fold(...Array.from({ length: 1000 }, (_, i) => (i % 2 === 0 ? at(i, STREAM, i / 2) : at(i, stream(i), 0))))
  expect(alive.streams[STREAM]).toEqual({ next: 500, last: 998 })
  const tools = fold(...Array.from({ length: 100 }, (_, i) => entry(i, 'tool_call', { facts: { tool_name: i === 0 ? 'constructor' : `t${i}`, risk: 'low' } }))).tools
  expect([Object.keys(tools).length, tools['other'], tools['constructor']]).toEqual([65, 36, 1])
  expect(fold(...[0, 1].map((i) => entry(i, 'llm_result', { facts: { input_tokens: Number.MAX_SAFE_INTEGER, output_tokens: -5 } })))).toMatchObject({ input_tokens: Number.MAX_SAFE_INTEGER, output_tokens: 0 })
})

test('facts of kinds that a later vocabulary may have are left alone', () => {
  const odd = fold(entry(0, 'session_start', { facts: { agent_id: 7, user: ['x'], model_id: true, parent_session_id: 'x' } }), entry(1, 'tool_call', { facts: { tool_name: 3 } }), entry(2, 'llm_result', { facts: { input_tokens: '9' } }), entry(3, 'erasure', { facts: { phase: 'ordered', scopes: 'all' } }))
  expect(decodeSession(encodeSession(odd))).toMatchObject({ agent_id: '', tools: {}, input_tokens: 0, events: 4 })
})

test('scopes that an own entry orders erased are remembered, others are not', () => {
  const erasure = (phase: string, ...scopes: string[]): Entry => entry(1, 'erasure', { facts: { phase, scopes } })
  expect(fold(start, erasure('ordered', `${SESSION}/2`, `${uuid(9)}/1`), erasure('ordered', `${SESSION}/0`, `${SESSION}/2`), erasure('done', `${SESSION}/5`)).erased).toEqual([0, 2])
  expect(fold(start, erasure('ordered', `${uuid(9)}/1`)).erased).toBeUndefined()
})

const anyEntry = fc.record({
  type: fc.constantFrom(...Object.keys(VOCABULARY), 'dream'),
  stream: fc.option(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.nat(9))),
  step: fc.option(fc.nat(20)),
  outcome: fc.option(fc.constantFrom(...OUTCOMES)),
  late: fc.integer({ min: -5, max: 5 }),
  tool: fc.constantFrom('a', 'b', 'other', 'constructor'),
  tokens: fc.nat(),
  prompt: fc.boolean(),
})

test('folding on from a stored row is folding all', () => {
  fc.assert(fc.property(fc.array(anyEntry, { minLength: 1, maxLength: 40 }), fc.func(fc.boolean()), (made, stored) => {
    const entries = made.map((each, seq) => entry(seq, each.type, {
      ...(each.stream === null ? {} : { stream: stream(each.stream[0]), stream_seq: each.stream[1] }), ...(each.step === null ? {} : { step_number: each.step }), ...(each.outcome === null ? {} : { outcome: each.outcome }),
      timestamp: entry(Math.max(0, seq + each.late), 'x').timestamp, payloads: each.prompt ? { system_prompt: seq > 3 ? { same: 1 } : ref(seq) } : {},
      facts: { tool_name: each.tool, input_tokens: each.tokens, model_id: each.tool, agent_id: 'a', phase: 'ordered', scopes: [`${SESSION}/${each.tokens % 9}`] },
    }))
    const whole = fold(...entries)
    const incremental = entries.reduce<SessionState | undefined>((row, each) => {
      const frozen = row === undefined ? undefined : stored(each.seq) ? decodeSession(encodeSession(row)) : deepFreeze(row)
      return foldSession(frozen, each, hash(each.index))
    }, undefined)!
    expect(encodeSession(incremental)).toBe(encodeSession(whole))
    expect(encodeSession(entries.reduce<SessionState | undefined>((row, each) => foldSession(row, each, hash(each.index), true), undefined)!)).toBe(encodeSession(whole))
    expect(decodeSession(encodeSession(whole))).toEqual(whole)
  }))
})

test('a row that is not one is evidence', () => {
  const text = encodeSession(fold(start, at(1, STREAM, 4)))
  for (const bad of [
    '', 'null', '[]', '{}', `${text} `, text.replace('"events":2', '"events":-2'), text.replace('"state":"open"', '"state":"shut"'), text.replace('"tools":{}', '"tools":{"a":"b"}'),
    text.replace('"next":5', '"next":"5"'), text.replace('[0,3]', '[0]'), text.replace('"writer"', '"writerr"'), text.replace('"writer":"local"', '"writer":"local","x":1'), text.replace(',"writer":"local"', ''),
  ]) {
    expect(bad, bad).not.toBe(text)
    expect(() => decodeSession(bad), bad).toThrow(expect.objectContaining({ name: 'VerifyError', code: 'session_malformed' }))
  }
})

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze)
  return value
}
