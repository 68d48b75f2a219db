import { describe, expect, expectTypeOf, test } from 'vitest'
import { sha256 } from '#crypto'
import { toBase64, toHex, utf8 } from '../base/bytes.ts'
import { ownRefs, type Entry, type Ref } from './entry.ts'
import { entry, hash, ref, SESSION, STREAM, uuid } from './fixtures.ts'
import { CallJoiner } from './join.ts'
import type { RefPlace } from './list.ts'
import type { AuditEvent, EventInputs, EventType, LLMCall, ToolCall, TrailRow } from './public.ts'
import { foldSession, type SessionState } from './session.ts'
import { Absent, type ViewEvent } from './view.ts'
import { callViews, classicRows, personOf, streamCalls, streamRows, summaryOf, viewEvents, type ReadPayloads, type StoredEntry } from './views.ts'
import { GIVEN, VOCABULARY, type KnownType } from './vocabulary.ts'

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = []
  for await (const item of items) out.push(item)
  return out
}

const stored = (entries: readonly Entry[]): StoredEntry[] => entries.map((each) => ({ entry: each, entry_hash: hash(each.index + 500) }))

/** Content by the number in its ref; what is not there is erased by 877. */
function reader(content: { readonly [n: number]: string | Uint8Array }): ReadPayloads & { asked: RefPlace[][] } {
  const byCommitment = new Map(Object.entries(content).map(([n, value]) => [hash(Number(n)), typeof value === 'string' ? utf8(value) : value]))
  const asked: RefPlace[][] = []
  return Object.assign((places: readonly RefPlace[]) => {
    asked.push([...places])
    return Promise.resolve(places.map(({ ref }) => byCommitment.get(ref.c) ?? new Absent('erased', 877)))
  }, { asked })
}

async function views(entries: readonly Entry[], content: { readonly [n: number]: string | Uint8Array } = {}, options = {}): Promise<ViewEvent[]> {
  return all(viewEvents(stored(entries), reader(content), options))
}

const text = (n: number): Ref => ref(n, { m: 'text' })
const start = entry(0, 'session_start', { facts: { agent_id: 'agent', agent_version: '1.4.0' }, payloads: { identity: ref(1), system_prompt: text(2), user_message: text(3) } })
const CONTENT = { 1: '{"subject":"c-4711","role":"user"}', 2: 'Be kind.', 3: 'Where is it?', 4: '{"role":"user"}', 5: '{"role":"assistant"}', 6: 'Here.', 7: '{"order_id":"1182"}', 8: '{"ok":true}', 9: '[{"name":"refund"}]' }
const PROMPT_HASH = toHex(sha256(utf8('Be kind.')))
const run = [
  start,
  entry(1, 'llm_call', { facts: { provider: 'p', model_id: 'opus' }, payloads: { system_prompt: { same: 0 }, input_messages: { add: [ref(4)], count: 1, root: hash(0) } } }),
  entry(2, 'llm_result', { parent_event_id: uuid(1), outcome: 'success', capture: 'after', facts: { model_id: 'opus-1', input_tokens: 10, output_tokens: 3, latency_ms: 900 }, payloads: { output_text: text(6), tool_calls_requested: ref(9) } }),
  entry(3, 'tool_call', { facts: { tool_name: 'refund', risk: 'high', call_id: 'tu_1' }, payloads: { tool_input: ref(7) } }),
  entry(4, 'tool_result', { parent_event_id: uuid(3), outcome: 'success', capture: 'after', facts: { execution_time_ms: 33, call_id: 'tu_1' }, payloads: { tool_output: ref(8) } }),
  entry(5, 'llm_call', { facts: { provider: 'p', model_id: 'opus' }, payloads: { input_messages: { base: 1, keep: 1, add: [ref(5)], count: 2, root: hash(0) } } }),
  entry(6, 'custom', { facts: { name: 'order_escalated' }, payloads: { content: ref(7) } }),
  entry(7, 'session_end', { outcome: 'success', facts: { reason: 'done' } }),
]

describe('views', () => {
  test('an event has its facts, its payloads and what is constant in its session', async () => {
    const [, call, result, tool] = await views(run, CONTENT)
    expect(call).toEqual({
      index: 1, event_id: uuid(1), event_type: 'llm_call', session_id: SESSION, seq: 1, writer: 'local', stream: null, stream_seq: null, step_number: 1, parent_event_id: null, timestamp: run[1]!.timestamp,
      recorded_at: run[1]!.recorded_at, capture: 'before', outcome: null, agent_id: 'agent', agent_version: '1.4.0', user_id: 'c-4711', model_id: 'opus', system_prompt_hash: PROMPT_HASH, entry_hash: hash(501),
      provider: 'p', system_prompt: 'Be kind.', input_messages: [{ role: 'user' }],
    })
    expect(result).toMatchObject({ step_number: 1, model_id: 'opus-1', output_text: 'Here.', tool_calls_requested: [{ name: 'refund' }] })
    expect(tool).toMatchObject({ step_number: 2, model_id: 'opus', tool_input: { order_id: '1182' }, risk: 'high' })
  })

  test('a result carries the step of its call, whatever came in between', async () => {
    const step = (seq: number, type: string, parent?: number): Entry => entry(seq, type, parent === undefined ? {} : { parent_event_id: uuid(parent) })
    const steps = await views([step(0, 'tool_call'), step(1, 'tool_call'), step(2, 'tool_result', 0), step(3, 'tool_result', 1), { ...step(4, 'tool_result', 1), step_number: 9 }, step(5, 'reasoning')])
    expect(steps.map(({ step_number }) => step_number)).toEqual([1, 2, 1, 2, 9, 9])
  })

  test('lists come whole, their elements are shared', async () => {
    const events = await views(run, CONTENT)
    expect(events[5]!['input_messages']).toEqual([{ role: 'user' }, { role: 'assistant' }])
    expect((events[5]!['input_messages'] as unknown[])[0]).toBe((events[1]!['input_messages'] as unknown[])[0])
  })

  test('what is erased is an Absent that says by what, also inside a list, and the prompt’s hash goes with it', async () => {
    const events = await views(run, { 5: CONTENT[5] })
    const gone = new Absent('erased', 877)
    expect(events[5]).toMatchObject({ input_messages: [gone, { role: 'assistant' }], system_prompt_hash: null, user_id: gone })
    expect(events[0]).toMatchObject({ user_message: gone, identity: gone })
  })

  test('only what is wanted is made, and only its payloads are read', async () => {
    const read = reader(CONTENT)
    const wanted = await all(viewEvents(stored(run), read, { want: ({ seq }) => seq === 4 }))
    expect(wanted.map(({ seq, step_number, user_id }) => [seq, step_number, user_id])).toEqual([[4, 2, 'c-4711']])
    expect(read.asked.flat().map(({ index, slot }) => `${index} ${slot}`).sort()).toEqual(['0 identity', '0 system_prompt', '4 tool_output'])
  })

  test('places are those of the own refs of the entry that introduced them', async () => {
    const read = reader(CONTENT)
    await all(viewEvents(stored(run), read))
    for (const { index, ordinal, ref, slot, position } of read.asked.flat()) expect([...ownRefs(run[index]!)][ordinal]).toEqual({ ref, slot, position })
  })

  test('batches read nothing twice that the last one had, and give the same', async () => {
    const whole = await views(run, CONTENT)
    for (const batch of [1, 2, 3]) expect(await views(run, CONTENT, { batch })).toEqual(whole)
    const read = reader(CONTENT)
    await all(viewEvents(stored(run.slice(0, 3)), read, { batch: 1 }))
    expect(read.asked.flat().filter(({ slot }) => slot === 'identity')).toHaveLength(1)
  })

  test('sessions may be mixed', async () => {
    const other = run.map((each) => ({ ...each, session_id: uuid(99), facts: each.seq === 0 ? { agent_id: 'other' } : each.facts }))
    const mixed = await views(run.flatMap((each, i) => [each, other[i]!]), CONTENT)
    expect(new Set(mixed.map(({ session_id, agent_id }) => `${session_id} ${agent_id}`))).toEqual(new Set([`${SESSION} agent`, `${uuid(99)} other`]))
  })

  test('configuration changes hold from their event on', async () => {
    const [a, b, c] = await views([start, entry(1, 'config_change', { facts: { what: 'model', model_id: 'haiku' }, payloads: { system_prompt: text(6) } }), entry(2, 'reasoning')], CONTENT)
    expect([a, b, c].map((each) => [each!.model_id, each!.system_prompt_hash])).toEqual([[null, PROMPT_HASH], ['haiku', toHex(sha256(utf8('Here.')))], ['haiku', toHex(sha256(utf8('Here.')))]])
  })

  test('bytes that are not what their media says stay readable', async () => {
    const [view] = await views([entry(0, 'session_start', { payloads: { tags: ref(1), user_message: text(2), on_behalf_of: ref(3, { m: 'bytes' }), client_session_id: ref(4) } })], { 1: '{"cut', 2: new Uint8Array([0xff]), 3: new Uint8Array([1]), 4: new Uint8Array([0xfe]) })
    expect(view).toMatchObject({ tags: '{"cut', user_message: new Uint8Array([0xff]), on_behalf_of: new Uint8Array([1]), client_session_id: new Uint8Array([0xfe]) })
  })

  test('no fact of a later vocabulary passes for the envelope', async () => {
    const [view] = await views([entry(0, 'dream', { writer: 'w', facts: { writer: 'forged', seq: 9, user_id: 'x', agent_id: 'forged', outcome: 'success', model_id: 'opus' } })])
    expect(view).toMatchObject({ writer: 'w', seq: 0, user_id: null, agent_id: '', outcome: null, model_id: 'opus' })
  })

  test('a gap says how many, an error what', async () => {
    const [gap, error] = await views([entry(0, 'gap', { facts: { missing_stream: STREAM, from: 3, to: 7, cause: 'unknown' } }), entry(1, 'error', { payloads: { message: text(6) } })], CONTENT)
    expect(gap).toMatchObject({ count: 5 })
    expect(error).toMatchObject({ message: 'Here.', error: 'Here.' })
  })

  test('a reference that leads nowhere is evidence', async () => {
    await expect(views([entry(0, 'llm_call', { payloads: { input_messages: { same: 0 } } })])).rejects.toThrow(expect.objectContaining({ code: 'same_malformed' }))
  })

  test('an identity names its subject', () => {
    expect([personOf({ subject: 'a' }), personOf('b'), personOf({}), personOf(null), personOf(['a'])]).toEqual(['a', 'b', null, null, null])
    expect(personOf(new Absent('forbidden'))).toEqual(new Absent('forbidden'))
  })
})

describe('calls', () => {
  const calls = async (entries: readonly Entry[], content: object = CONTENT): Promise<(LLMCall | ToolCall)[]> => [...callViews(await views(entries, content as never))]

  test('are joined with their results, in the order of the calls', async () => {
    const [first, tool, last] = await calls(run)
    expect(first).toMatchObject({ event_type: 'llm_call', event_id: uuid(1), outcome: 'success', model_id: 'opus', output_text: 'Here.', tool_calls_requested: [{ name: 'refund' }], input_tokens: 10, output_tokens: 3, latency_ms: 900, answered: true })
    expect(tool).toMatchObject({ event_type: 'tool_call', tool_name: 'refund', tool_input: { order_id: '1182' }, tool_output: { ok: true }, error: null, execution_time_ms: 33, requires_approval: false, approval_status: null, approver_id: null, answered: true })
    expect(last).toMatchObject({ event_id: uuid(5), output_text: null, tool_calls_requested: [], input_tokens: null, latency_ms: null, outcome: null, answered: false })
    expect(first).not.toHaveProperty('provider')
  })

  test('without their result are shown as exactly that', async () => {
    expect(await calls(run.slice(0, 4).filter(({ seq }) => seq !== 2))).toMatchObject([{ event_id: uuid(1), answered: false }, { event_id: uuid(3), answered: false, tool_output: null, outcome: null }])
  })

  test('told after the act, or whose result came first, are joined likewise', async () => {
    const after = run.map((each) => (each.seq === 3 ? { ...each, capture: 'after' as const } : each))
    expect((await calls(after))[1]).toMatchObject({ capture: 'after', answered: true, tool_output: { ok: true } })
    const early = [start, { ...run[4]!, seq: 1 }, { ...run[3]!, seq: 2 }]
    expect(await calls(early)).toMatchObject([{ event_id: uuid(3), answered: true, execution_time_ms: 33 }])
    expect([...classicRows(await views(early, CONTENT))].map(({ event_type }) => event_type)).toEqual(['session_start', 'tool_call'])
  })

  test('are found by the provider’s call id where a result names no parent', async () => {
    const { parent_event_id: _, ...loose } = run[4]!
    expect((await calls([...run.slice(0, 4), loose]))[1]).toMatchObject({ answered: true, execution_time_ms: 33 })
  })

  test('have one result: a second one stands for itself', async () => {
    const twice = [...run.slice(0, 5), { ...run[4]!, seq: 5, event_id: uuid(40), facts: { execution_time_ms: 99 } }]
    expect((await calls(twice))[1]).toMatchObject({ execution_time_ms: 33 })
    expect([...classicRows(await views(twice, CONTENT))].map(({ event_type }) => event_type)).toEqual(['session_start', 'llm_call', 'tool_call', 'tool_result'])
    const joiner = new CallJoiner()
    expect((await views(twice, CONTENT)).map((event) => joiner.push(event).length)).toEqual([1, 0, 1, 0, 1, 1]) // and holds nothing up
  })

  const request = entry(1, 'approval_request', { facts: { tool_name: 'refund', risk: 'high', call_id: 'tu_1' }, payloads: { tool_input: ref(7) } })
  const decision = (seq: number, answer: string, more: Partial<Entry> = {}): Entry => entry(seq, 'approval_decision', { facts: { request: hash(501), decision: answer }, payloads: { identity: ref(20) }, ...more })
  const approved = entry(3, 'tool_call', { facts: { tool_name: 'refund', risk: 'high', requires_approval: true, approval: 2 }, payloads: { tool_input: { same: 1 } } })
  const people = { ...CONTENT, 20: '{"subject":"lead-2"}' }

  test('carry their approval', async () => {
    const done = entry(4, 'tool_result', { parent_event_id: uuid(3), outcome: 'success' })
    expect(await calls([start, request, decision(2, 'approved'), approved, done], people)).toMatchObject([{ event_id: uuid(3), tool_input: { order_id: '1182' }, requires_approval: true, approval_status: 'approved', approver_id: 'lead-2', answered: true }])
  })

  test('that were refused, or wait for an answer, are calls that did not happen', async () => {
    expect(await calls([start, request], people)).toMatchObject([{ event_type: 'tool_call', event_id: uuid(1), tool_name: 'refund', requires_approval: true, approval_status: 'pending', approver_id: null, outcome: null, answered: false }])
    expect(await calls([start, request, decision(2, 'rejected', { outcome: 'denied' })], people)).toMatchObject([{ approval_status: 'rejected', approver_id: 'lead-2', outcome: 'denied', answered: false }])
    expect(await calls([start, request, decision(2, 'expired', { payloads: {}, outcome: 'timeout' })], people)).toMatchObject([{ approval_status: 'rejected', approver_id: null, outcome: 'timeout' }])
  })

  test('wait for the quorum, and one refusal outweighs all', async () => {
    const two = { ...request, facts: { ...request.facts, quorum: 2 } }
    const by = (seq: number, who: number): Entry => decision(seq, 'approved', { facts: { request: hash(501), decision: 'approved', approver: String(who).padStart(32, '0') } })
    expect(await calls([start, two, decision(2, 'approved')], people)).toMatchObject([{ approval_status: 'pending' }])
    expect(await calls([start, two, by(2, 1), by(3, 2)], people)).toMatchObject([{ approval_status: 'approved' }])
    expect(await calls([start, two, by(2, 1), by(3, 1)], people)).toMatchObject([{ approval_status: 'pending' }]) // one person
    expect(await calls([start, two, by(2, 1), { ...by(3, 2), outcome: 'failure' }], people)).toMatchObject([{ approval_status: 'pending' }]) // refused
    expect(await calls([start, two, decision(2, 'approved'), decision(3, 'rejected')], people)).toMatchObject([{ approval_status: 'rejected' }])
    expect(await calls([start, entry(1, 'tool_call', { facts: { tool_name: 'refund', requires_approval: true } })])).toMatchObject([{ approval_status: 'pending', requires_approval: true }])
  })

  test('whose approval is asked after they are on record, or by call id, carry it too', async () => {
    const call = entry(1, 'tool_call', { facts: { tool_name: 'refund' } })
    const asked = entry(2, 'approval_request', { facts: { tool_name: 'refund' }, parent_event_id: uuid(1) })
    expect(await calls([start, call, asked, decision(3, 'approved', { facts: { request: hash(502), decision: 'approved' } })], people)).toMatchObject([{ event_id: uuid(1), approval_status: 'approved', approver_id: 'lead-2' }])
    const byId = entry(3, 'tool_call', { facts: { tool_name: 'refund', call_id: 'tu_1' } })
    expect(await calls([start, request, decision(2, 'approved'), byId], people)).toMatchObject([{ event_id: uuid(3), approval_status: 'approved' }])
  })

  test('erased content stays an Absent in its place', async () => {
    const [model, tool] = await calls(run, {})
    const gone = new Absent('erased', 877)
    expect(model).toMatchObject({ output_text: gone, tool_calls_requested: [gone], input_messages: [gone], input_tokens: 10 })
    expect(tool).toMatchObject({ tool_input: gone, tool_output: gone })
  })

  test('stream, and what is complete does not wait for the end', async () => {
    const events = await views(run, CONTENT)
    const stream = async function* (): AsyncGenerator<ViewEvent> { yield* events }
    expect(await all(streamCalls(stream()))).toEqual([...callViews(events)])
    expect(await all(streamRows(stream()))).toEqual([...classicRows(events)])
    let pulled = 0
    const counted = function* (): Generator<ViewEvent> { for (const each of events) { pulled++; yield each } }
    for (const call of callViews(counted())) if (call.event_type === 'tool_call') break
    expect(pulled).toBe(5)
  })

  test('a hundred thousand events with an unanswered call at their head take seconds at most', () => {
    const base = { session_id: SESSION, parent_event_id: null, entry_hash: '', outcome: null } as never as ViewEvent
    const many = function* (): Generator<ViewEvent> {
      yield { ...base, event_type: 'llm_call', event_id: 'open', seq: 0 }
      for (let seq = 1; seq < 50_000; seq++) {
        yield { ...base, event_type: 'tool_call', event_id: `c${seq}`, seq, call_id: `c${seq}` }
        yield { ...base, event_type: 'tool_result', event_id: `r${seq}`, seq, parent_event_id: `c${seq}` }
      }
    }
    const begun = performance.now()
    let answered = 0
    for (const call of callViews(many())) if (call.answered) answered++
    expect(answered).toBe(49_999)
    expect(performance.now() - begun).toBeLessThan(5000)
  })
})

describe('the classic table', () => {
  test('has one row per call, and everything but results and context', async () => {
    const context = entry(8, 'context', { payloads: { input_messages: { add: [ref(4)], count: 1, root: hash(0) } } })
    const rows: TrailRow[] = [...classicRows(await views([...run, context], CONTENT))]
    expect(rows.map(({ event_type, step_number }) => [event_type, step_number])).toEqual([['session_start', 0], ['llm_call', 1], ['tool_call', 2], ['llm_call', 3], ['order_escalated', 3], ['session_end', 3]])
    expect(rows[1]).toEqual({
      event_id: uuid(1), session_id: SESSION, agent_id: 'agent', timestamp: run[1]!.timestamp, event_type: 'llm_call', step_number: 1, model_id: 'opus', system_prompt_hash: PROMPT_HASH, created_at: run[1]!.recorded_at,
      content: '{"input_messages":[{"role":"user"}],"output_text":"Here.","tool_calls_requested":[{"name":"refund"}],"input_tokens":10,"output_tokens":3,"latency_ms":900,"answered":true}',
    })
    expect(JSON.parse(rows[2]!.content)).toEqual({ tool_name: 'refund', tool_input: { order_id: '1182' }, tool_output: { ok: true }, error: null, execution_time_ms: 33, requires_approval: false, approval_status: null, approver_id: null, answered: true })
    expect(rows[4]!.content).toBe('{"order_id":"1182"}')
    expect(rows[5]!.content).toBe('{"reason":"done"}')
  })

  test('says of what is absent why, and keeps bytes', async () => {
    const rows = [...classicRows(await views(run, { ...CONTENT, 7: undefined as never }))]
    expect(JSON.parse(rows[2]!.content)).toMatchObject({ tool_input: { absent: 'erased', by: 877 } })
    expect(rows.map(({ marks }) => marks)).toEqual(rows.map((_, i) => (i === 2 ? ['/tool_input'] : i === 4 ? [''] : undefined)))
    const [bytes] = classicRows(await views([entry(0, 'final_output', { payloads: { output: ref(1, { m: 'bytes' }) } })], { 1: new Uint8Array([1, 2]) }))
    expect(bytes!.content).toBe(`{"output":{"base64":"${toBase64(new Uint8Array([1, 2]))}"}}`)
    expect(bytes!.marks).toEqual(['/output'])
  })

  test('says of nothing that it is absent where content only looks like it', async () => {
    const looks = new TextEncoder().encode('{"absent":"erased","by":877}')
    const custom = entry(0, 'custom', { facts: { name: 'note' }, payloads: { content: ref(1) } })
    const [row] = classicRows(await views([custom], { 1: looks }))
    expect([row!.content, row!.marks]).toEqual(['{"absent":"erased","by":877}', undefined])
    const [gone] = classicRows(await views([custom], { 1: undefined as never }))
    expect([gone!.content, gone!.marks]).toEqual(['{"absent":"erased","by":877}', ['']])
  })
})

test('a summary is what the row says', () => {
  const state = run.reduce<SessionState | undefined>((row, each) => foldSession(row, each, hash(each.seq)), undefined)!
  expect(summaryOf(state, 'c-4711')).toEqual({
    session_id: SESSION, agent_id: 'agent', user_id: 'c-4711', started_at: run[0]!.timestamp, ended_at: run[7]!.timestamp, state: 'ended', outcome: 'success', events: 8, steps: 3, tools: { refund: 1 }, input_tokens: 10, output_tokens: 3,
  })
  expect(summaryOf(foldSession(undefined, start, hash(0)), null)).toMatchObject({ ended_at: null, outcome: null, state: 'open', user_id: null })
})

test('what an author must give by the public types is what the vocabulary says', () => {
  type Needed<T> = { [N in keyof T]-?: object extends Pick<T, N> ? never : N }[keyof T]
  type NeededFacts<F> = { [N in keyof F]: F[N] extends `${string}?` ? never : N }[keyof F]
  type Defaulted = { reasoning: 'kind'; tool_call: 'risk' }
  type GivenOf<K> = K extends 'error' ? 'error' : K extends keyof typeof GIVEN ? (typeof GIVEN)[K][number] : never // a message is made of the error
  expectTypeOf<{ [K in keyof EventInputs]: Needed<EventInputs[K]> }>()
    .toEqualTypeOf<{ [K in keyof EventInputs]: Exclude<NeededFacts<(typeof VOCABULARY)[K]['facts']>, K extends keyof Defaulted ? Defaulted[K] : never> | GivenOf<K> }>()
  for (const [type, names] of Object.entries(GIVEN)) for (const name of names) expect([...Object.keys(VOCABULARY[type as keyof typeof GIVEN].payloads), 'outcome']).toContain(name)
})

test('the public types narrow by event type', () => {
  expectTypeOf<AuditEvent<'tool_call'>['tool_name']>().toEqualTypeOf<string | Absent>()
  expectTypeOf<AuditEvent<'approval_decision'>['decision']>().toEqualTypeOf<'approved' | 'rejected' | 'expired'>()
  expectTypeOf<KnownType extends EventType ? true : false>().toEqualTypeOf<true>()
  const narrow = (event: AuditEvent): unknown => (event.event_type === 'final_output' ? event.output : event.seq)
  expect(narrow({ seq: 1 } as AuditEvent)).toBe(1)
})
