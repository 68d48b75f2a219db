// Whatever the caller does to its objects after a call, the record has what was said.

import { describe, expect, test } from 'vitest'
import { AgentAuditTrail, type EventInputs } from '../src/index.ts'
import { VOCABULARY } from '../src/event/vocabulary.ts'
import { scratch, scratchTrail } from './scratch.ts'

/** Changes everything that can be reached from `value`, in place. */
function spoil(value: unknown, seen: Set<unknown> = new Set()): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  if (value instanceof Date) value.setTime(0)
  if (value instanceof Uint8Array) value.fill(0)
  for (const name of Reflect.ownKeys(value)) {
    const each = (value as Record<PropertyKey, unknown>)[name]
    spoil(each, seen)
    try {
      (value as Record<PropertyKey, unknown>)[name] = typeof each === 'number' ? each + 1_000 : typeof each === 'object' ? { spoiled: true } : 'spoiled'
    } catch {
      // a length, a getter
    }
  }
  if (Array.isArray(value)) value.push('spoiled')
  else if (!(value instanceof Error)) (value as { spoiled?: unknown }).spoiled = true
}

const deep = (): { a: { b: (number | { c: string })[] } } => ({ a: { b: [1, { c: 'old' }] } })

/** One of each type that an author may record, made anew at each call, with what must be read back. */
const EVENTS: { readonly [K in keyof EventInputs]: () => EventInputs[K] & object } = {
  llm_call: () => ({ provider: 'p', model_id: 'm', input_messages: [deep(), { role: 'user', content: [{ type: 'text', text: 'old' }] }], system_prompt: 'old', tool_definitions: [deep()], parameters: { max_tokens: 5, stop: ['old'] } }),
  llm_result: () => ({ output_text: 'old', output: [deep()], tool_calls_requested: [{ name: 't', input: deep() }], stop_reason: 'end', input_tokens: 1, output_tokens: 2 }),
  tool_call: () => ({ tool_name: 't', tool_input: deep(), risk: 'high' }),
  tool_result: () => ({ outcome: 'success', tool_output: deep(), execution_time_ms: 3 }),
  reasoning: () => ({ text: 'old', kind: 'author_stated' }),
  policy_decision: () => ({ policy: 'p', decision: 'allow', reason: 'old' }),
  data_access: () => ({ source: 's', reference: 'old', record_count: 1, trust: 'untrusted' }),
  sandbox_crossing: () => ({ kind: 'network', target: 'old', allowed: true }),
  state_snapshot: () => ({ state: deep() }),
  handoff: () => ({ to_agent_id: 'b', instructions: 'old' }),
  config_change: () => ({ what: 'w', before: deep(), after: deep() }),
  error: () => ({ error: Object.assign(new RangeError('old'), { detail: deep() }), recoverable: true }),
  final_output: () => ({ output: 'old' }),
  custom: () => ({ name: 'mine', content: deep() }),
}

/** Fields as they are read back. */
function readBack(type: string, event: object): object {
  if (type === 'llm_call') {
    const { parameters: _, ...rest } = event as { parameters: unknown }
    return { ...rest, max_tokens: 5, request_parameters: { stop: ['old'] } }
  }
  return type === 'error' ? { error: 'old', error_type: 'RangeError', recoverable: true } : event
}

describe('an argument changed right after the call', () => {
  test.each(Object.keys(EVENTS) as (keyof EventInputs)[])('of record(%s) changes nothing on record', async (type) => {
    const { trail } = scratchTrail()
    await trail.session({}, async (session) => {
      const event = EVENTS[type]()
      session.record(type, event)
      spoil(event)
      await null
      spoil(event)
    })
    expect(await trail.events({ event_type: type }).all()).toMatchObject([readBack(type, EVENTS[type]())])
  })

  test('of a list that grows and is changed in place between its steps is on record as it was at each', async () => {
    const { trail } = scratchTrail()
    const messages: { role: string; content: unknown; n?: number }[] = []
    const said: unknown[] = []
    const step = (session: { record(type: 'llm_call', event: EventInputs['llm_call']): unknown }): void => {
      session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: messages })
      said.push(structuredClone(messages))
    }
    let reads = 0
    await trail.session({}, (session) => {
      for (let i = 0; i < 6; i++) {
        messages.push({ role: 'user', content: [{ type: 'text', text: `message ${i}` }, deep()] })
        step(session)
      }
      const part = (at: number): { text: string } => (messages[at]!.content as { text: string }[])[0]!
      part(2).text = 'message 9' // as long as it was
      step(session)
      part(2).text = 'message 2' // and back
      step(session)
      part(0).text += '!'
      step(session)
      messages[5]!.n = 1 // a member more, in the last
      step(session)
      delete messages[5]!.n
      ;[messages[1], messages[4]] = [messages[4]!, messages[1]!]
      step(session)
      messages.splice(1, 1)
      step(session)
      messages.length = 2
      step(session)
      messages.push({ role: 'user', get content() { return `read ${++reads}` } })
      for (let i = 0; i < 3; i++) {
        session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: messages })
        said.push([...(structuredClone(messages.slice(0, 2)) as object[]), { role: 'user', content: `read ${i + 1}` }])
      }
      spoil(messages)
    })
    const read = await trail.events({ event_type: 'llm_call' }).all()
    expect(read.map(({ input_messages }) => input_messages)).toEqual(said)
    expect((await trail.verify()).problems).toEqual([])
  })

  test('of a system prompt that changes and changes back is on record as it was at each', async () => {
    const { trail } = scratchTrail()
    const prompts = ['one', 'one', 'two', 'one', '"one"', 'one']
    await trail.session({}, (session) => { for (const system_prompt of prompts) session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: [], system_prompt }) })
    expect((await trail.events({ event_type: 'llm_call' }).all()).map(({ system_prompt }) => system_prompt)).toEqual(prompts)
  })

  test('covers every type that record() takes', () => {
    const others = ['context', 'subject', 'session_', 'approval_', 'human_', 'gap', 'finding', 'access', 'retention', 'hold', 'erasure', 'log_', 'key_', 'integrity_', 'clock']
    expect(Object.keys(EVENTS).sort()).toEqual(Object.keys(VOCABULARY).filter((type) => !others.some((name) => type.startsWith(name))).sort())
  })

  test('of a session, a custom event, a person stepping in, a handoff and an end changes nothing on record', async () => {
    const { trail } = scratchTrail()
    const facts = { user_id: 'old', user_message: 'old', on_behalf_of: 'old', tags: { team: 'old' }, agent_version: '1', model_id: 'm', system_prompt: 'old', session_id: 'old' }
    const expected = structuredClone(facts)
    const starting = trail.start(facts)
    spoil(facts)
    const session = await starting
    const content = deep()
    session.log('mine', content)
    spoil(content)
    const note = { actor: 'old', note: 'old' }
    session.intervene('edit', note)
    spoil(note)
    const handing = { agent_id: 'child', instructions: 'old' }
    const handed = session.agent(handing, () => {})
    spoil(handing)
    await handed
    const end = { outcome: 'success' as const, reason: 'old', final_output: 'old' }
    const ending = session.end(end)
    spoil(end)
    await ending
    const events = await trail.events({ session_id: session.session_id }).all()
    const { session_id: client_session_id, user_id, on_behalf_of, ...rest } = expected
    expect(events[0]).toMatchObject({ ...rest, client_session_id, user_id, on_behalf_of: { subject: on_behalf_of }, tags: { team: 'old' } })
    expect(events.slice(1)).toMatchObject([
      { event_type: 'custom', name: 'mine', content: deep() }, { event_type: 'human_intervention', identity: { subject: 'old' }, note: 'old' }, { event_type: 'handoff', instructions: 'old', to_agent_id: 'child' },
      { event_type: 'final_output', output: 'old' }, { event_type: 'session_end', outcome: 'success', reason: 'old' },
    ])
  })

  test('of a tool changes neither what is on record nor what runs', async () => {
    let shown: unknown
    const { trail } = scratchTrail({ approve: async (request) => (shown = structuredClone(request.tool_input), spoil(request), { decision: 'approved', approver_id: 'b' }) })
    const given: unknown[] = []
    const output = deep()
    const definition = { name: 'act', approval: true, risk: 'high' as const }
    const act = trail.tool(definition, (input: object) => (given.push(structuredClone(input)), spoil(input), output))
    spoil(definition)
    const wrapped = trail.tool({ name: 'sdk', run: async (input: object) => (given.push(structuredClone(input)), spoil(input), output) })
    await trail.session({}, async (session) => {
      for (const run of [act, (input: object) => wrapped.run(input)]) {
        const input = deep()
        const running = run(input)
        spoil(input)
        await running
      }
      const action = { tool_name: 'ask', tool_input: deep(), summary: 'old', risk: 'low' as const }
      const asking = session.approval(action)
      spoil(action)
      await asking
    })
    spoil(output)
    expect(given).toEqual([deep(), deep()])
    expect(shown).toEqual(deep())
    const calls = await trail.calls().all()
    expect(calls).toMatchObject([{ tool_input: deep(), tool_output: deep() }, { tool_input: deep(), tool_output: deep() }, { tool_name: 'ask', tool_input: deep() }])
    expect(await trail.events({ event_type: 'approval_request' }).all()).toMatchObject([{}, { tool_name: 'ask', risk: 'low', shown: { summary: 'old', tool_input: deep() } }])
  })

  test('of the classic class changes nothing on record', async () => {
    const { db } = scratch()
    await using trail = new AgentAuditTrail(db, 'agent-1', 'm')
    const [messages, tools, tokens, input, output, content] = [[deep()], [{ name: 't', input: deep() }], { input: 1, output: 2 }, deep(), deep(), deep()]
    trail.logLlmCall(messages, 'old', tools, tokens)
    trail.logToolCall('t', input, output)
    trail.log('mine', content)
    spoil([messages, tools, tokens, input, output, content])
    const rows = (await trail.getSessionTrail()).slice(1).map((row) => JSON.parse(row.content) as object)
    expect(rows).toMatchObject([{ input_messages: [deep()], output_text: 'old', tool_calls_requested: [{ name: 't', input: deep() }], input_tokens: 1, output_tokens: 2 }, { tool_input: deep(), tool_output: deep() }, deep()])
  })

  test('of the trail\'s own options changes nothing that comes after', async () => {
    const options = { agent_id: 'agent-1', system_prompt: 'old', mask: [{ name: 'word', find: /hidden/g }], wait: { low: 'durable' as const }, failure: { low: 'block' as const } }
    const { trail } = scratchTrail(options)
    spoil(options)
    await trail.session({}, (session) => { session.record('reasoning', { text: 'a hidden word' }) })
    expect(await trail.events({ event_type: 'reasoning' }).all()).toMatchObject([{ text: 'a [masked:word] word', agent_id: 'agent-1' }])
  })
})
