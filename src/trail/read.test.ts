import { describe, expect, test } from 'vitest'
import { scratchTrail } from '../../test/scratch.ts'
import { MisuseError } from '../base/errors.ts'
import type { ToolCall } from '../event/public.ts'
import type { Trail } from './types.ts'

/** Six sessions of two agents and three people, told apart in every way that can be asked for. */
async function filled(): Promise<{ trail: Trail; ids: string[]; times: Date[] }> {
  const { trail } = scratchTrail()
  const [ids, times]: [string[], Date[]] = [[], []]
  const look = trail.tool({ name: 'look' }, ({ n }: { n: number }) => { if (n % 3 === 0) throw new Error('nothing there'); return n })
  const send = trail.tool({ name: 'send', risk: 'medium' }, () => 'sent')
  for (let n = 0; n < 6; n++) {
    times.push(new Date())
    await new Promise((resolve) => setTimeout(resolve, 5))
    const session = await trail.start({ agent_id: n % 2 === 0 ? 'even' : 'odd', user_id: `user-${n % 3}`, user_message: `question ${n}` })
    ids.push(session.session_id)
    await session.run(async () => {
      trail.record('reasoning', { text: `Thinking about the number ${n} with a Straße` })
      await look.run({ n })
      await send({})
    })
    if (n < 5) await session.end({ outcome: n === 4 ? 'timeout' : 'success' })
  }
  await trail.flush()
  return { trail, ids, times }
}

describe('reading back', () => {
  test('finds events by every filter, alone and together', async () => {
    const { trail, ids, times } = await filled()
    const count = (query: Parameters<Trail['events']>[0]): Promise<number> => trail.events(query).count()
    const all = await trail.events().all()
    expect(all.map(({ index }) => index)).toEqual(all.map((_, i) => i))
    expect(await count({ session_id: ids[2]! })).toBe(7)
    expect(await count({ event_type: 'reasoning' })).toBe(6)
    expect(await count({ event_type: ['tool_call', 'tool_result'] })).toBe(24)
    expect(await count({ event_type: 'tool_call', tool_name: 'send' })).toBe(6)
    expect(await count({ agent_id: 'even', event_type: 'session_start' })).toBe(3)
    expect(await count({ user_id: 'user-1', event_type: 'session_start' })).toBe(2)
    expect(await count({ user_id: 'user-1', agent_id: 'odd', event_type: 'session_start' })).toBe(1)
    expect(await count({ user_id: 'nobody' })).toBe(0)
    expect(await count({ outcome: 'failure' })).toBe(2)
    expect(await count({ outcome: 'success', event_type: 'tool_result', agent_id: 'odd' })).toBe(5)
    expect(await count({ event_type: 'session_start', since: times[2]! })).toBe(4)
    expect(await count({ event_type: 'session_start', since: times[1]!, until: times[3]! })).toBe(2)
    expect(await count({ text: 'NUMBER 4 with a stra' })).toBe(1)
    expect(await count({ text: 'not there' })).toBe(0)
    expect(await count({ session_id: '019ab1c2-0000-7000-8000-000000000000' })).toBe(0)
    expect(await count({ event_type: [] })).toBe(0)
  })

  test('refuses an event type that there is not, which would find nothing', async () => {
    const { trail } = scratchTrail()
    const wrong = (event_type: unknown) => () => trail.events({ event_type: event_type as never })
    expect(wrong('tool_cal')).toThrow('expected an event type, got "tool_cal"; did you mean tool_call? (your own events have the type custom')
    expect(wrong(['reasoning', 'toolResult'])).toThrow('did you mean tool_result?')
    expect(wrong('of a later vocabulary')).toThrow(MisuseError)
    expect(wrong('__proto__')).toThrow(MisuseError)
    expect(wrong(5)).toThrow(MisuseError)
    expect(() => trail.calls({ event_type: 'reasoning' as never })).toThrow('there are llm_call, tool_call')
  })

  test('finds calls with what came of them', async () => {
    const { trail } = await filled()
    const calls = (await trail.calls({ tool_name: 'look' }).all()) as ToolCall[]
    expect(calls.map(({ outcome, tool_input }) => [outcome, (tool_input as { n: number }).n])).toEqual([['failure', 0], ['success', 1], ['success', 2], ['failure', 3], ['success', 4], ['success', 5]])
    expect(await trail.calls({ outcome: 'failure' }).count()).toBe(2)
    expect(await trail.calls({ outcome: 'success', agent_id: 'even' }).count()).toBe(5)
    expect(await trail.calls({ text: 'nothing there' }).count()).toBe(2)
    expect(await trail.calls({ event_type: 'llm_call' }).count()).toBe(0)
  })

  test('finds sessions, newest first, by every filter', async () => {
    const { trail, ids, times } = await filled()
    const found = async (query: Parameters<Trail['sessions']>[0]): Promise<number[]> => (await trail.sessions(query).all()).map(({ session_id }) => ids.indexOf(session_id))
    expect(await found({})).toEqual([5, 4, 3, 2, 1, 0])
    expect(await found({ agent_id: 'odd' })).toEqual([5, 3, 1])
    expect(await found({ user_id: 'user-2' })).toEqual([5, 2])
    expect(await found({ open: true })).toEqual([5])
    expect(await found({ open: false, agent_id: 'odd' })).toEqual([3, 1])
    expect(await found({ outcome: 'timeout' })).toEqual([4])
    expect(await found({ since: times[1]!, until: times[3]! })).toEqual([2, 1])
    expect(await found({ text: 'number 3' })).toEqual([3])
    const one = { session_id: ids[3]! }
    for (const more of [{}, { agent_id: 'odd' }, { user_id: 'user-0' }, { outcome: 'success' as const }, { open: false }, { text: 'number 3' }, { since: times[3]!, until: times[4]! }]) expect(await found({ ...one, ...more })).toEqual([3])
    for (const more of [{ agent_id: 'even' }, { user_id: 'user-1' }, { outcome: 'timeout' as const }, { open: true }, { text: 'number 4' }, { since: times[4]! }, { until: times[3]! }]) expect(await found({ ...one, ...more })).toEqual([])
    expect((await trail.sessions(one).all())[0]).toEqual((await trail.sessions().all())[2])
    expect(await found({ session_id: '019ab1c2-0000-7000-8000-000000000000' })).toEqual([])
    expect(await found({ session_id: (await trail.events({ event_type: 'log_start' }).first())!.session_id })).toEqual([])
    expect(await trail.sessions().first()).toMatchObject({ agent_id: 'odd', user_id: 'user-2', state: 'open', outcome: null, ended_at: null, steps: 2, tools: { look: 1, send: 1 } })
  })

  test('looks a session up by its id, and reads no other for it', async () => {
    const { trail, ids } = await filled()
    const asked: string[] = []
    const ledger = (trail as unknown as { ledger(): { call(method: string, ...args: unknown[]): Promise<unknown> } }).ledger()
    const call = ledger.call.bind(ledger)
    ledger.call = (method, ...args) => (asked.push(method), call(method, ...args))
    expect(await trail.sessions({ session_id: ids[0]! }).count()).toBe(1)
    expect(asked).toEqual(['summary'])
  })

  test('finds the session of an id of the author\'s own by its text, and says so', async () => {
    const { trail } = scratchTrail()
    const session = await trail.start({ session_id: 'ticket 7' })
    const own = await trail.start({ session_id: '6f1c9e6e-2f51-4d0f-9f7e-0d8f3c1b2a49' })
    for (const wrong of [() => trail.resume('ticket 7'), async () => trail.sessions({ session_id: 'ticket 7' }), async () => trail.events({ session_id: 'ticket 7' })]) {
      await expect(wrong()).rejects.toThrow('trail.sessions({ text: "ticket 7" }) finds its session')
    }
    expect(await trail.sessions({ text: 'ticket 7' }).all()).toMatchObject([{ session_id: session.session_id }])
    expect((await trail.resume('6f1c9e6e-2f51-4d0f-9f7e-0d8f3c1b2a49')).session_id).toBe(own.session_id)
  })

  test('pages through everything in pages of any size, each item once', async () => {
    const { trail } = await filled()
    for (const make of [() => trail.events(), () => trail.events({ agent_id: 'odd', outcome: 'success' }), () => trail.calls(), () => trail.sessions(), () => trail.sessions({ agent_id: 'even' })]) {
      const all = await make().all()
      for (const size of [1, 2, 3, 5, 100]) {
        const paged: unknown[] = []
        let cursor: string | undefined
        do {
          const page = await (make() as ReturnType<typeof trail.events>).page({ size, ...(cursor === undefined ? {} : { cursor }) })
          expect(page.items.length).toBeLessThanOrEqual(size)
          paged.push(...page.items)
          cursor = page.next ?? undefined
        } while (cursor !== undefined)
        expect(paged).toEqual(all)
      }
    }
    expect(await trail.events().first()).toMatchObject({ event_type: 'log_start' })
    expect(await trail.events({ text: 'not there' }).first()).toBeUndefined()
  })

  test('says which steps there were: each call one more, a result its call\'s, the author\'s own as given', async () => {
    const { trail } = scratchTrail()
    await trail.session({}, (session) => {
      const call = session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: [] })
      const tool = session.record('tool_call', { tool_name: 't', tool_input: 1 })
      session.record('llm_result', { parent_event_id: call.event_id })
      session.record('tool_result', { outcome: 'success', parent_event_id: tool.event_id })
      session.record('tool_call', { tool_name: 't', tool_input: 1, step_number: 40 })
      session.record('tool_call', { tool_name: 't', tool_input: 1 })
      session.record('reasoning', { text: 'x' })
    })
    const { session_id } = (await trail.sessions().first())!
    expect((await trail.events({ session_id }).all()).map(({ step_number }) => step_number)).toEqual([0, 1, 2, 1, 2, 40, 41, 41, 41])
  })
})

describe('why without a name', () => {
  test('asks about what the command asks about: a refused request of high risk before a harmless act', async () => {
    const { trail } = scratchTrail({ approve: async () => ({ decision: 'rejected', approver_id: 'lead-2' }) })
    expect(await trail.why()).toBeUndefined()
    const pay = trail.tool({ name: 'pay', risk: 'high', approval: true }, () => 'paid')
    const look = trail.tool({ name: 'look' }, () => 'there')
    await trail.session({ agent_id: 'a' }, async () => { await pay.run({ amount: 42 }); await look.run({}) })
    await trail.session({ agent_id: 'a' }, async () => { await look.run({}) })
    expect(await trail.why()).toMatchObject({ event: { event_type: 'approval_request', tool_name: 'pay' }, approval: { status: 'rejected' } })
  })

  test('reads the sessions that the act\'s came from', async () => {
    const { trail } = scratchTrail()
    const refund = trail.tool({ name: 'refund', risk: 'high' }, () => 'done')
    await trail.session({ agent_id: 'a', user_message: 'refund order 118255, please' }, (session) => session.agent({ agent_id: 'b', instructions: 'do it' }, async () => { await refund.run({ order_id: '118255' }) }))
    expect((await trail.why())!.values).toMatchObject([{ path: 'order_id', status: 'traced', source: { kind: 'user_message', index: 1 } }])
  })
})
