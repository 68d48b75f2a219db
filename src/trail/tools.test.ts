import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { scratchTrail } from '../../test/scratch.ts'
import { MisuseError } from '../base/errors.ts'
import { ApprovalDenied, type ApprovalRequest, type Approver } from '../recorder/approval.ts'
import type { AgentSession } from '../recorder/session.ts'
import type { ToolCall } from '../event/public.ts'
import type { Trail } from './types.ts'

const yes: Approver = async () => ({ decision: 'approved', approver_id: 'boss' })

async function calls(trail: Trail): Promise<ToolCall[]> {
  await trail.flush()
  return (await trail.calls({ event_type: 'tool_call' }).all()) as ToolCall[]
}

describe('a tool', () => {
  test('is on record, durable, before it runs, and its result after', async () => {
    const { trail } = scratchTrail()
    const look = trail.tool({ name: 'look', description: 'Looks', input: z.object({ id: z.string() }) }, async ({ id }, context) => {
      const [intent] = await trail.events({ event_type: 'tool_call' }).all()
      expect(intent).toMatchObject({ tool_name: 'look', tool_input: { id: '7' }, risk: 'low', capture: 'before' })
      expect(await trail.events({ event_type: 'tool_result' }).count()).toBe(0)
      expect(context).toMatchObject({ call_id: expect.any(String), signal: expect.any(AbortSignal) })
      trail.record('data_access', { source: 'orders' })
      return { found: id }
    })
    expect(look.definition).toMatchObject({ name: 'look', description: 'Looks', input_schema: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] } })
    expect(look.name).toBe('look')
    await trail.session({}, async () => expect(await look({ id: '7' })).toEqual({ found: '7' }))
    expect(await calls(trail)).toMatchObject([{ tool_name: 'look', tool_input: { id: '7' }, tool_output: { found: '7' }, outcome: 'success', answered: true, execution_time_ms: expect.any(Number), requires_approval: false, approval_status: null }])
  })

  test('gets what its schema makes of the recorded input, and does not run on what does not fit', async () => {
    const { trail } = scratchTrail()
    let ran = 0
    const pay = trail.tool({ name: 'pay', input: z.object({ amount: z.coerce.number().max(10), note: z.string().default('none') }) }, (input) => (ran++, input))
    await trail.session({}, async () => {
      expect(await pay({ amount: '3' } as never)).toEqual({ amount: 3, note: 'none' })
      expect(await pay.run({ amount: 11 }, 'call-1')).toEqual({ content: expect.stringContaining('amount'), is_error: true })
      await expect(pay({ amount: 'x' } as never)).rejects.toMatchObject({ name: 'InvalidInput' })
    })
    expect(ran).toBe(1)
    expect(await calls(trail)).toMatchObject([{ tool_input: { amount: '3' }, outcome: 'success' }, { tool_input: { amount: 11 }, outcome: 'failure', tool_output: null, error: expect.stringContaining('amount') }, { outcome: 'failure' }])
    expect(await trail.events({ event_type: 'tool_result' }).all()).toMatchObject([{}, { error_type: 'InvalidInput', call_id: 'call-1' }, {}])
  })

  test('that fails is on record with its error, which is thrown on as it is or told to the model', async () => {
    const { trail } = scratchTrail()
    const boom = new RangeError('no such order')
    const bad = trail.tool({ name: 'bad' }, () => { throw boom })
    await trail.session({}, async () => {
      await expect(bad({})).rejects.toBe(boom)
      expect(await bad.run({}, 'c')).toEqual({ content: 'no such order', is_error: true })
    })
    expect((await calls(trail)).map(({ outcome, error }) => [outcome, error])).toEqual([['failure', 'no such order'], ['failure', 'no such order']])
  })

  test.each<[string, unknown]>([
    ['a string', 'plain'], ['nothing', undefined], ['a symbol', Symbol('s')], ['null', null], ['an object without prototype', Object.create(null)],
    ['an error that throws when it is read', Object.defineProperty(new Error('x'), 'message', { get: () => { throw new Error('never') } })],
    ['a thing that throws whatever is asked of it', new Proxy({}, { get: () => { throw new Error('never') }, getPrototypeOf: () => { throw new Error('never') }, ownKeys: () => { throw new Error('never') }, has: () => { throw new Error('never') } })],
    ['an error of a nameless class', new (class extends Error { static override name = '' })('y')],
    ['an error with a message that is no string', Object.assign(new Error('x'), { message: { a: 1 } })],
    ['lone surrogates', new Error('a\ud800b')],
  ])('may throw %s: it is on record, and the caller gets the same', async (_what, thrown) => {
    const { trail } = scratchTrail()
    const odd = trail.tool({ name: 'odd' }, () => { throw thrown })
    await trail.session({}, async () => {
      const got = await odd({}).then(() => 'nothing thrown', (error: unknown) => [error])
      expect(got[0] === thrown).toBe(true)
      expect(await odd.run({})).toEqual({ content: expect.any(String), is_error: true })
    })
    expect((await calls(trail)).map(({ outcome, answered }) => [outcome, answered])).toEqual([['failure', true], ['failure', true]])
  })

  test('may return what JSON cannot say: the act succeeded, and so does the answer', async () => {
    const { trail } = scratchTrail()
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    const outputs = [10n, cycle, new Map([[1, 2]]), () => 1, undefined, NaN, '\ud800', new Date(0), { toJSON: () => { throw new Error('no') } }]
    const give = trail.tool({ name: 'give' }, ({ n }: { n: number }) => outputs[n])
    await trail.session({}, async () => {
      for (const [n, output] of outputs.entries()) {
        expect(await give({ n })).toBe(output)
        expect(await give.run({ n })).toMatchObject({ content: expect.any(String), is_error: false })
      }
    })
    const done = await calls(trail)
    expect(new Set(done.map(({ outcome }) => outcome))).toEqual(new Set(['success']))
    expect(done.filter((_, i) => i % 2 === 0).map(({ tool_output }) => tool_output)).toMatchObject([{ not_json: expect.stringContaining('BigInt'), text: '10n' }, { text: expect.stringContaining('Circular') }, {}, null, null, null, '\ud800', '1970-01-01T00:00:00.000Z', { not_json: 'no' }])
  })

  test('does not run on an input that JSON cannot say, since what ran would not be what is on record', async () => {
    const { trail } = scratchTrail()
    let ran = 0
    const pay = trail.tool({ name: 'pay' }, () => ran++)
    await trail.session({}, async () => {
      await expect(pay({ amount: 5n })).rejects.toMatchObject({ name: 'InvalidInput' })
    })
    expect(ran).toBe(0)
    expect(await calls(trail)).toMatchObject([{ outcome: 'failure', tool_input: { text: '{ amount: 5n }' } }])
  })

  test('gets the recorded input whatever becomes of the caller\'s object', async () => {
    const { trail } = scratchTrail()
    const act = trail.tool({ name: 'act' }, (input: { to: string[] }) => input.to)
    await trail.session({}, async () => {
      const input = { to: ['a'] }
      const acting = act(input)
      input.to.push('b')
      expect(await acting).toEqual(['a'])
    })
    expect(await calls(trail)).toMatchObject([{ tool_input: { to: ['a'] }, tool_output: ['a'] }])
  })

  test('may be called many times at once, each with its own result', async () => {
    const { trail } = scratchTrail()
    const echo = trail.tool({ name: 'echo' }, async ({ n }: { n: number }) => {
      await new Promise((resolve) => setTimeout(resolve, (n * 13) % 7))
      return n * 2
    })
    await trail.session({}, async () => {
      expect(await Promise.all(Array.from({ length: 40 }, (_, n) => echo({ n })))).toEqual(Array.from({ length: 40 }, (_, n) => n * 2))
    })
    const done = await calls(trail)
    expect(done.map(({ tool_input, tool_output }) => [(tool_input as { n: number }).n * 2, tool_output])).toEqual(done.map(({ tool_output }) => [tool_output, tool_output]))
    expect(done).toHaveLength(40)
  })

  test('of an SDK keeps everything about it, and its own parsed input', async () => {
    const { trail } = scratchTrail()
    const seen: unknown[] = []
    const sdk = Object.assign(Object.create({ inherited: 1 }) as { inherited: number }, { type: 'custom', name: 'when', run: (input: { at: Date }, _context: object) => (seen.push(input.at), 'ok') })
    const tool = trail.tool(sdk, { risk: 'medium' })
    expect([Object.keys(tool), tool.inherited]).toEqual([Object.keys(sdk), 1])
    await trail.session({}, async () => {
      const at = new Date(5)
      const running = tool.run({ at }, { toolUseBlock: { id: 'toolu_1' } })
      at.setTime(99)
      expect(await running).toBe('ok')
    })
    expect(seen).toEqual([new Date(5)])
    expect(await calls(trail)).toMatchObject([{ tool_name: 'when', tool_input: { at: '1970-01-01T00:00:00.005Z' }, tool_output: 'ok' }])
    expect(await trail.events({ event_type: 'tool_call' }).first()).toMatchObject({ risk: 'medium', call_id: 'toolu_1' })
  })

  test('of an SDK that names tools elsewhere is recorded under the name it is given', async () => {
    const { trail } = scratchTrail()
    const weather = trail.tool({ description: 'Weather', execute: async ({ city }: { city: string }) => `rain in ${city}` }, { name: 'weather' })
    await trail.session({}, async () => expect(await weather.execute({ city: 'Kiel' })).toBe('rain in Kiel'))
    expect(await calls(trail)).toMatchObject([{ tool_name: 'weather', tool_output: 'rain in Kiel' }])
  })

  test('of an SDK that yields goes on yielding, and the last of it is its result', async () => {
    const { trail } = scratchTrail()
    const steps: string[] = []
    const sdk = {
      name: 'count',
      async *execute({ to }: { to: number }): AsyncGenerator<number> {
        try {
          for (let n = 1; n <= to; n++) {
            trail.record('data_access', { source: `step-${n}` })
            yield n
          }
          if (to > 3) throw new RangeError('too far')
        } finally {
          steps.push('closed')
        }
      },
    }
    const tool = trail.tool(sdk)
    await trail.session({}, async () => {
      const seen: number[] = []
      const running = tool.execute({ to: 3 })
      expect(running[Symbol.asyncIterator]).toBeTypeOf('function')
      for await (const n of running) seen.push(n)
      expect(seen).toEqual([1, 2, 3])
      await expect((async () => { for await (const n of tool.execute({ to: 4 })) seen.push(n) })()).rejects.toThrow('too far')
      for await (const n of tool.execute({ to: 5 })) if (n === 2) break
    })
    expect(steps).toEqual(['closed', 'closed', 'closed'])
    expect((await calls(trail)).map(({ outcome, tool_output, error }) => [outcome, tool_output, error])).toEqual([['success', 3, null], ['failure', 4, 'too far'], ['unknown', 2, null]])
    const [first] = await trail.events({ event_type: 'tool_call' }).all()
    expect((await trail.events({ event_type: 'data_access' }).all()).slice(0, 3).map(({ parent_event_id }) => parent_event_id)).toEqual([first!.event_id, first!.event_id, first!.event_id])
  })

  test('is refused with a bad definition', () => {
    const { trail } = scratchTrail()
    const make = trail.tool as (...args: unknown[]) => unknown
    expect(() => make.call(trail, { name: 'x', risk: 'huge' }, () => 1)).toThrow(/risk to be one of low, medium, high, critical, got "huge"/)
    expect(() => make.call(trail, { name: '' }, () => 1)).toThrow(MisuseError)
    expect(() => make.call(trail, { name: 'x' })).toThrow(MisuseError)
    expect(() => make.call(trail, 'x', () => 1)).toThrow(MisuseError)
    expect(() => make.call(trail, { name: 'x', when: () => true }, () => 1)).toThrow('expected an approval beside when')
    expect(() => make.call(trail, { name: 'x', approval: 'boss' }, () => 1)).toThrow('expected approval to be true, false or a function')
    expect(() => make.call(trail, { execute: () => 1 })).toThrow("expected the tool to have a name, got none; pass the one the model knows it by")
    expect(() => make.call(trail, { name: 'x', input: { '~standard': { version: 1, vendor: 'v', validate: () => ({ value: 1 }) } } }, () => 1)).toThrow('pass input_schema beside input')
  })
})

describe('an approval', () => {
  test('shows a person the recorded input, and binds the act to it', async () => {
    const asked: ApprovalRequest[] = []
    const { trail } = scratchTrail()
    const ask: Approver = async (request) => (asked.push(request), { decision: 'approved', approver_id: 'boss', comment: 'fine', assurance: 'terminal' })
    const pay = trail.tool({ name: 'pay', risk: 'critical', approval: ask }, ({ n }: { n: number }, { approval }) => [n, approval?.approver_id])
    await trail.session({ user_id: 'anna' }, async (session) => {
      session.record('reasoning', { text: 'because' })
      expect(await pay({ n: 5 })).toEqual([5, 'boss'])
    })
    const events = await trail.events({ session_id: asked[0]!.session_id }).all()
    expect(events.map(({ event_type }) => event_type)).toEqual(['session_start', 'reasoning', 'approval_request', 'approval_decision', 'tool_call', 'tool_result', 'session_end'])
    const [, , request, decision, call] = events
    expect(asked[0]).toMatchObject({ tool_name: 'pay', tool_input: { n: 5 }, risk: 'critical', user_id: 'anna', reasoning: ['because'], approval_id: request!.event_id, action_digest: request!.entry_hash })
    expect(asked[0]!.signal.aborted).toBe(true)
    expect(request).toMatchObject({ quorum: 1, shown: { tool_name: 'pay', tool_input: { n: 5 }, reasoning: ['because'] } })
    expect(decision).toMatchObject({ request: request!.entry_hash, decision: 'approved', assurance: 'terminal', comment: 'fine', identity: { subject: 'boss', role: 'approver' } })
    expect(call).toMatchObject({ approval: decision!.seq, requires_approval: true, tool_input: { n: 5 } })
    expect(await calls(trail)).toMatchObject([{ approval_status: 'approved', approver_id: 'boss', requires_approval: true, outcome: 'success' }])
    expect((await trail.verify()).problems).toEqual([])
  })

  test.each<[string, Approver, object]>([
    ['rejected', async () => ({ decision: 'rejected', approver_id: 'boss', comment: 'no' }), { decision: 'rejected', approver_id: 'boss', comment: 'no' }],
    ['given by an approver who throws', async () => { throw new Error('slack is down') }, { decision: 'rejected', comment: 'the approver failed: slack is down' }],
    ['given by the person the agent works for', async () => ({ decision: 'approved', approver_id: 'anna' }), { decision: 'rejected', approver_id: 'anna' }],
    ['given by nobody', async () => ({ decision: 'approved', approver_id: '' }), { decision: 'rejected', comment: 'the answer does not say who decided' }],
    ['no answer', async () => undefined as never, { decision: 'rejected' }],
    ['an answer of another kind', async () => ({ decision: 'ok', approver_id: 'b' }) as never, { decision: 'rejected', comment: expect.stringContaining('"ok"') }],
  ])('that is %s keeps the act from happening', async (_what, approval, expected) => {
    const { trail } = scratchTrail()
    let ran = 0
    const pay = trail.tool({ name: 'pay', approval }, () => ran++)
    await trail.session({ user_id: 'anna' }, async () => {
      const error = await pay({}).then(() => undefined, (thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(ApprovalDenied)
      expect((error as ApprovalDenied).approval).toMatchObject(expected)
      expect(await pay.run({}, 'c')).toMatchObject({ is_error: true, content: expect.stringContaining('did not run') })
    })
    expect(ran).toBe(0)
    expect(await trail.events({ event_type: 'tool_call' }).count()).toBe(0)
    expect(await calls(trail)).toMatchObject([{ approval_status: 'rejected', answered: false }, { approval_status: 'rejected' }])
  })

  test('that nobody gives in time is expired, and a late yes changes nothing', async () => {
    const { trail } = scratchTrail()
    await trail.session({}, async (session) => {
      const approval = await (session as unknown as AgentSession).approval({ tool_name: 'pay', tool_input: {}, expires: new Date(Date.now() + 60) }, ({ signal }) => new Promise((resolve) => {
        setTimeout(() => { expect(signal.aborted).toBe(true); resolve({ decision: 'approved', approver_id: 'late' }) }, 120)
      }))
      expect(approval.decision).toBe('expired')
      await new Promise((resolve) => setTimeout(resolve, 100))
    })
    expect(await trail.events({ event_type: 'approval_decision' }).all()).toMatchObject([{ decision: 'expired', outcome: 'timeout' }])
  })

  test('runs what was approved, whatever becomes of the input while a person thinks', async () => {
    const { trail } = scratchTrail()
    const input = { to: 'anna', amount: 1 }
    const ask: Approver = async ({ tool_input }) => {
      Object.assign(tool_input as object, { amount: 777 })
      input.amount = 1_000_000
      return { decision: 'approved', approver_id: 'boss' }
    }
    const pay = trail.tool({ name: 'pay', approval: ask }, (given: typeof input) => given.amount)
    await trail.session({}, async () => expect(await pay(input)).toBe(1))
    expect(await calls(trail)).toMatchObject([{ tool_input: { to: 'anna', amount: 1 } }])
  })

  test('asked by hand shows the input as it was at the call', async () => {
    let shown: unknown
    const { trail } = scratchTrail({ approve: async ({ tool_input }) => (shown = tool_input, { decision: 'approved', approver_id: 'b' }) })
    await trail.session({}, async (session) => {
      const input = { amount: 1 }
      const asking = session.approval({ tool_name: 'pay', tool_input: input })
      input.amount = 9
      expect(await asking).toMatchObject({ decision: 'approved' })
    })
    expect(shown).toEqual({ amount: 1 })
    expect(await trail.events({ event_type: 'approval_request' }).first()).toMatchObject({ tool_input: { amount: 1 } })
  })

  test('may depend on the input; anything but true or false is no answer', async () => {
    const { trail } = scratchTrail({ approve: yes })
    const when = (answer: (input: { n: number }) => unknown) => trail.tool({ name: 'pay', approval: true, when: answer as never }, ({ n }: { n: number }) => n)
    await trail.session({}, async () => {
      expect(await when(({ n }) => n > 5)({ n: 6 })).toBe(6)
      expect(await when(({ n }) => n > 5)({ n: 4 })).toBe(4)
      await expect(when(() => undefined)({ n: 6 })).rejects.toThrow('expected when(input) to return true or false, got undefined')
      await expect(when(() => Promise.reject(new Error('x')))({ n: 6 })).rejects.toThrow('got a promise; a function that asks a person belongs to approval')
      expect(await trail.tool({ name: 'pay', approval: (request) => yes(request) }, () => 'asked')({})).toBe('asked')
      await expect(trail.tool({ name: 'pay', approval: (() => true) as never }, () => 1)({})).rejects.toThrow('a question about the input belongs to when')
    })
    expect((await calls(trail)).map(({ approval_status }) => approval_status)).toEqual(['approved', null, 'approved', 'rejected'])
  })

  test('written in place knows the input of its tool', async () => {
    const { trail } = scratchTrail()
    const asked: string[] = []
    const pay = trail.tool({
      name: 'pay', input: z.object({ to: z.string(), amount: z.number() }),
      when: (input) => (expectTypeOf(input).toEqualTypeOf<{ to: string; amount: number }>(), input.amount > 5),
      approval: async (request) => {
        expectTypeOf(request).toEqualTypeOf<ApprovalRequest<{ to: string; amount: number }>>()
        asked.push(request.tool_input.to)
        return { decision: 'approved', approver_id: 'boss' }
      },
    }, ({ to }) => to)
    const plain = trail.tool({ name: 'plain', approval: async ({ tool_input }) => (asked.push(tool_input.to), { decision: 'rejected', approver_id: 'boss' }) }, ({ to }: { to: string }) => to)
    const sdk = trail.tool({ name: 'sdk', run: async (input: { at: Date }) => input }, { approval: async (request) => (expectTypeOf(request.tool_input).toBeUnknown(), { decision: 'rejected', approver_id: 'boss' }) })
    await trail.session({}, async () => {
      expect([await pay({ to: 'a', amount: 5 }), await pay({ to: 'b', amount: 6 })]).toEqual(['a', 'b'])
      await expect(plain({ to: 'c' })).rejects.toThrow(ApprovalDenied)
      await expect(sdk.run({ at: new Date() })).rejects.toThrow(ApprovalDenied)
    })
    expect(asked).toEqual(['b', 'c'])
  })

  test('is asked of what the schema makes of the input, and for nothing that cannot run', async () => {
    let asked = 0
    const { trail } = scratchTrail({ approve: async () => (asked++, { decision: 'approved', approver_id: 'boss' }) })
    const pay = trail.tool({ name: 'pay', input: z.object({ amount: z.coerce.number().default(9) }), approval: true, when: ({ amount }) => amount > 5 }, ({ amount }) => amount)
    await trail.session({}, async () => {
      expect(await pay({} as never)).toBe(9)
      expect(asked).toBe(1)
      expect(await pay({ amount: '3' } as never)).toBe(3)
      await expect(pay({ amount: 'much' } as never)).rejects.toMatchObject({ name: 'InvalidInput' })
      expect(asked).toBe(1)
    })
    expect((await calls(trail)).map(({ approval_status, outcome }) => [approval_status, outcome])).toEqual([['approved', 'success'], [null, 'success'], [null, 'failure']])
  })

  test('that nobody is there to give is misuse, and the act does not happen', async () => {
    const { trail } = scratchTrail()
    const pay = trail.tool({ name: 'pay', approval: true }, () => 1)
    await trail.session({}, async (session) => {
      await expect(pay({})).rejects.toMatchObject({ code: 'no_approver' })
      await expect(pay.run({}, 'c')).rejects.toThrow(MisuseError) // an agent must stop, not tell the model
      await expect(session.approval({ tool_name: 'x', tool_input: 1, quorum: 2 })).rejects.toThrow(MisuseError)
    })
  })

  test.each(['accepted', 'spooled', 'durable'] as const)('is used once: the ledger refuses the second act, which does not run (wait: %s)', async (wait) => {
    const { trail, reports } = scratchTrail({ approve: yes, wait: { low: wait }, failure: { low: 'continue' } })
    await trail.session({}, async (given) => {
      const session = given as unknown as AgentSession
      const use = async (name: string, recorded: Awaited<ReturnType<AgentSession['ask']>>) => {
        const intent = session.beginTool(name, '{"n":2}', { risk: 'low', approval: recorded })
        await session.guard(intent, 'low', true)
      }
      const first = await session.ask({ tool_name: 'pay', tool_input: { n: 1 } }, undefined)
      await use('pay', first)
      await expect(use('pay', first)).rejects.toMatchObject({ code: 'approval_used' })
      const other = await session.ask({ tool_name: 'pay', tool_input: { n: 1 } }, undefined)
      await expect(use('delete', other)).rejects.toMatchObject({ code: 'approval_other_tool' })
      await expect(use('pay', { ...other, request: first.request })).rejects.toMatchObject({ code: 'approval_other_input' })
      await expect(use('pay', { ...other, decision: first.request })).rejects.toMatchObject({ code: 'approval_missing' })
      await use('pay', other)
      const rejected = await session.ask({ tool_name: 'pay', tool_input: { n: 1 } }, async () => ({ decision: 'rejected', approver_id: 'b' }))
      await expect(use('pay', rejected)).rejects.toMatchObject({ code: 'approval_missing' })
      const short = await session.ask({ tool_name: 'pay', tool_input: { n: 1 }, expires: new Date(Date.now() + 50) }, yes)
      await new Promise((resolve) => setTimeout(resolve, 60))
      await expect(use('pay', short)).rejects.toMatchObject({ code: 'approval_expired' })
    })
    const intents = await trail.events({ event_type: 'tool_call' }).all()
    expect(intents.map(({ outcome }) => outcome)).toEqual([null, 'denied', 'denied', 'denied', 'denied', null, 'denied', 'denied'])
    expect((await trail.verify()).problems).toEqual([])
    expect(reports).toEqual([])
  })

  test('makes an act wait for the log even where others need not', async () => {
    const { trail, reports } = scratchTrail({ wait: { low: 'accepted' }, failure: { low: 'continue' } })
    await trail.session({}, async (given) => {
      const session = given as unknown as AgentSession
      const lost = { ...session.record('reasoning', { text: 'x' }), event_id: '019ab1c2-0000-7000-8000-000000000000' }
      await session.guard(lost, 'low')
      await expect(session.guard(lost, 'low', true)).rejects.toMatchObject({ code: 'not_recorded' })
    })
    expect(reports).toEqual([])
  })

  test('of another session is not one here', async () => {
    const { trail } = scratchTrail({ approve: yes })
    const other = await trail.session({}, (session) => (session as unknown as AgentSession).ask({ tool_name: 'pay', tool_input: {} }, undefined))
    await trail.session({}, async (given) => {
      const session = given as unknown as AgentSession
      const intent = session.beginTool('pay', '{}', { risk: 'low', approval: other })
      await expect(session.guard(intent, 'low', true)).rejects.toThrow()
    })
    expect((await trail.verify()).problems).toEqual([])
  })
})
