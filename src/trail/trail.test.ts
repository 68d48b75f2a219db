import { describe, expect, test } from 'vitest'
import { scratch, scratchTrail } from '../../test/scratch.ts'
import { MisuseError, StoreError } from '../base/errors.ts'
import { modelCallsOf } from '../event/model-call.ts'
import type { EventInputs } from '../event/public.ts'
import { currentSession, openTrail } from './trail.ts'
import type { Session, Trail } from './types.ts'

async function typesOf(trail: Trail, session_id: string): Promise<string[]> {
  return (await trail.events({ session_id }).all()).map(({ event_type }) => event_type)
}

describe('a session', () => {
  test('given as a callback begins, is the current one, and ends with success', async () => {
    const { trail } = scratchTrail()
    let session_id = ''
    const result = await trail.session({ user_id: 'u-1', user_message: 'hello', session_id: 'ticket 7', tags: { team: 'a' } }, async (session) => {
      session_id = session.session_id
      expect(currentSession()).toBe(session)
      trail.record('reasoning', { text: 'through the trail' })
      await Promise.resolve()
      trail.log('reasoning', { text: 'after an await' })
      return 42
    })
    expect(result).toBe(42)
    expect(currentSession()).toBeUndefined()
    const events = await trail.events({ session_id }).all()
    expect(events.map(({ event_type }) => event_type)).toEqual(['session_start', 'reasoning', 'reasoning', 'session_end'])
    expect(events[0]).toMatchObject({ user_message: 'hello', client_session_id: 'ticket 7', tags: { team: 'a' }, agent_id: 'agent-1', user_id: 'u-1', capture: 'before', seq: 0, stream_seq: 0 })
    expect(events[1]).toMatchObject({ text: 'through the trail', kind: 'author_stated', capture: 'after', user_id: 'u-1' })
    expect(events.at(-1)).toMatchObject({ outcome: 'success' })
    expect((await trail.verify()).whole).toBe(true)
  })

  test('that throws records the error, ends as a failure and throws the same error on', async () => {
    const { trail } = scratchTrail()
    const boom = new RangeError('boom')
    await expect(trail.session({}, () => { throw boom })).rejects.toBe(boom)
    const [session] = await trail.sessions().all()
    expect(session).toMatchObject({ outcome: 'failure', state: 'ended' })
    expect(await trail.events({ event_type: 'error' }).first()).toMatchObject({ error: 'boom', error_type: 'RangeError', recoverable: false, stack: expect.stringContaining('trail.test') })
  })

  test('that was ended inside is not ended again, and its first receipt is given again', async () => {
    const { trail } = scratchTrail()
    await trail.session({}, async (session) => {
      const receipt = await session.end({ outcome: 'denied', reason: 'not today', final_output: 'no' })
      expect(await session.end({ outcome: 'success' })).toEqual(receipt)
      expect(receipt).toMatchObject({ level: 'durable', index: expect.any(Number), entry_hash: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/), checkpoint: expect.stringContaining('counterfoil.local/') })
    })
    const events = await trail.events({ session_id: (await trail.sessions().first())!.session_id }).all()
    expect(events.map(({ event_type }) => event_type)).toEqual(['session_start', 'final_output', 'session_end'])
    expect(events[1]).toMatchObject({ output: 'no' })
    expect(events[2]).toMatchObject({ outcome: 'denied', reason: 'other', note: 'not today' })
  })

  test('with a bad end records nothing of it, and can still be ended', async () => {
    const { trail } = scratchTrail()
    const session = await trail.start({})
    await expect(session.end({ outcome: 'great' as never, final_output: 'x' })).rejects.toThrow(MisuseError)
    await session.end({ outcome: 'timeout', final_output: 'x' })
    expect(await typesOf(trail, session.session_id)).toEqual(['session_start', 'final_output', 'session_timeout'])
  })

  test('under await using ends when the block does', async () => {
    const { trail } = scratchTrail()
    let session_id: string
    {
      await using session = await trail.start({ agent_id: 'other', agent_version: '2.0' })
      session_id = session.session_id
      session.record('final_output', { output: 'x' })
    }
    expect(await trail.sessions().first()).toMatchObject({ session_id, agent_id: 'other', state: 'ended', outcome: 'unknown' })
  })

  test('takes an event after its end, and says that it was resumed for it', async () => {
    const { trail } = scratchTrail()
    const session = await trail.start({})
    void session.end()
    session.record('reasoning', { text: 'late' }) // in the same batch as the end
    await trail.flush()
    session.record('reasoning', { text: 'later' })
    await trail.flush()
    expect(await typesOf(trail, session.session_id)).toEqual(['session_start', 'session_end', 'session_resume', 'reasoning', 'reasoning'])
    expect((await trail.verify()).problems).toEqual([])
  })

  test('begun inside another one is its child, whoever runs between', async () => {
    const { trail } = scratchTrail()
    const ids: string[] = []
    await trail.session({}, async (outer) => {
      await Promise.all([1, 2].map(() => trail.session({}, async (middle) => {
        await trail.session({}, (inner) => { ids.push(outer.session_id, middle.session_id, inner.session_id) })
      })))
    })
    const starts = await trail.events({ event_type: 'session_start' }).all()
    const [outer, middle, inner] = ids
    const start = (id: string | undefined) => starts.find(({ session_id }) => session_id === id)
    expect(start(outer)).not.toHaveProperty('parent_session_id')
    expect(start(middle)).toMatchObject({ parent_session_id: outer, root_session_id: outer })
    expect(start(inner)).toMatchObject({ parent_session_id: middle, root_session_id: outer })
  })

  test('hands work to another agent: what the trail says of its own agent is not said of that one', async () => {
    const { trail } = scratchTrail({ agent_version: '1.4', model_id: 'm-1', system_prompt: 'the parent prompt' })
    const result = await trail.session({ user_id: 'u' }, (session) => session.agent({ agent_id: 'researcher', instructions: 'look it up' }, async (child) => {
      expect(currentSession()).toBe(child)
      child.record('reasoning', { text: 'child' })
      return 'found'
    }))
    expect(result).toBe('found')
    const [child, parent] = await trail.sessions().all()
    expect([parent?.agent_id, child?.agent_id, child?.user_id]).toEqual(['agent-1', 'researcher', 'u'])
    const start = await trail.events({ session_id: child!.session_id, event_type: 'session_start' }).first()
    expect(start).toMatchObject({ user_message: 'look it up', parent_session_id: parent!.session_id, agent_version: null, model_id: null, system_prompt_hash: null })
    expect(await trail.events({ event_type: 'handoff' }).first()).toMatchObject({ to_agent_id: 'researcher', child_session_id: child!.session_id, instructions: 'look it up', session_id: parent!.session_id })
    await expect(trail.session({}, (session) => session.agent({} as never, () => {}))).rejects.toMatchObject({ code: 'no_agent_id' })
  })

  test('keeps its own events while others run at the same time', async () => {
    const { trail } = scratchTrail()
    const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
    await Promise.all(Array.from({ length: 20 }, (_, n) => trail.session({ user_message: `s${n}` }, async () => {
      for (let i = 0; i < 10; i++) {
        await wait((n * 7 + i * 3) % 5)
        trail.record('reasoning', { text: `${n}/${i}` })
      }
    })))
    for (const { session_id } of await trail.sessions().all()) {
      const [start, ...rest] = await trail.events({ session_id }).all()
      const n = String((start as unknown as { user_message: string }).user_message).slice(1)
      expect(rest.map((event) => (event as { text?: unknown }).text)).toEqual([...Array.from({ length: 10 }, (_, i) => `${n}/${i}`), undefined])
      expect(rest.map(({ seq, stream_seq }) => [seq, stream_seq])).toEqual(rest.map((_, i) => [i + 1, i + 1]))
    }
  })

  test('that a person steps into has who and why on record', async () => {
    const { trail } = scratchTrail()
    await trail.session({}, (session) => {
      session.intervene('stop', { actor: 'op-7', note: 'enough' })
      expect(() => session.intervene('wave' as never, { actor: 'x' })).toThrow(MisuseError)
      expect(() => session.intervene('stop', {} as never)).toThrow('expected intervene() to name an actor')
    })
    expect(await trail.events({ event_type: 'human_intervention' }).all()).toMatchObject([{ kind: 'stop', note: 'enough', identity: { subject: 'op-7', role: 'operator' }, actor: expect.stringMatching(/^[0-9a-f]{32}$/) }])
  })
})

describe('a session that is laid down', () => {
  test('is taken up again with a stream of its own, by the person it belongs to', async () => {
    const { trail, at } = scratchTrail()
    const first = await trail.start({ user_id: 'anna' })
    await first.suspend('waiting')
    expect(() => first.record('reasoning', { text: 'x' })).toThrow('take the session up with trail.resume')
    await expect(first.suspend()).rejects.toThrow(MisuseError)
    expect(await trail.sessions({ open: true }).first()).toMatchObject({ state: 'suspended' })
    await trail.close()
    const again = scratchTrail({ approve: async () => ({ decision: 'approved', approver_id: 'anna' }) }, at).trail
    const session = await again.resume(first.session_id)
    expect(session.user_id).toBe('anna')
    const approval = await session.approval({ tool_name: 'pay', tool_input: { n: 1 } })
    expect(approval).toMatchObject({ decision: 'rejected', comment: 'the person the agent works for cannot approve' })
    await session.end({ outcome: 'success' })
    const events = await again.events({ session_id: first.session_id }).all()
    expect(events.map(({ event_type }) => event_type)).toEqual(['session_start', 'session_suspend', 'session_resume', 'approval_request', 'approval_decision', 'session_end'])
    expect(events[2]!.stream).not.toBe(events[1]!.stream)
    expect((await again.verify()).whole).toBe(true)
  })

  test('keeps its root when it is a child', async () => {
    const { trail } = scratchTrail()
    let child: Session
    await trail.session({}, async (root) => {
      child = await trail.start({})
      const taken = await trail.resume(child.session_id)
      await taken.run(() => trail.session({ user_message: 'grandchild' }, () => {}))
      const starts = await trail.events({ event_type: 'session_start' }).all()
      expect(starts.at(-1)).toMatchObject({ parent_session_id: child.session_id, root_session_id: root.session_id })
    })
  })

  test('lets an error through that is thrown after it was laid down', async () => {
    const { trail } = scratchTrail()
    await expect(trail.session({}, async (session) => {
      await session.suspend()
      throw new Error('the real one')
    })).rejects.toThrow('the real one')
  })

  test('stays usable when its reason is refused', async () => {
    const { trail } = scratchTrail()
    const session = await trail.start({})
    await expect(session.suspend('not a label!')).rejects.toThrow(MisuseError)
    session.record('reasoning', { text: 'still here' })
    await session.end()
    expect(await typesOf(trail, session.session_id)).toEqual(['session_start', 'reasoning', 'session_end'])
  })

  test('that nobody knows cannot be taken up', async () => {
    const { trail } = scratchTrail()
    await expect(trail.resume('019ab1c2-0000-7000-8000-000000000000')).rejects.toThrow(StoreError)
    await expect(trail.resume('nonsense')).rejects.toThrow(MisuseError)
  })
})

describe('a record', () => {
  test('is not a promise, and says when it is durable', async () => {
    const { trail } = scratchTrail()
    await trail.session({}, async (session) => {
      const recorded = session.record('reasoning', { text: 'x' })
      expect(recorded).not.toHaveProperty('then')
      const receipt = await recorded.durable()
      expect(await trail.events({ event_type: 'reasoning' }).first()).toMatchObject({ event_id: recorded.event_id, index: receipt.index, entry_hash: receipt.entry_hash })
      expect(trail.status()).toMatchObject({ size: expect.any(Number), lost: 0, last_checkpoint: expect.any(String) })
      await expect(recorded.witnessed()).rejects.toMatchObject({ code: 'no_witness' })
    })
  })

  test('that is durable gives the same receipt each time it is asked', async () => {
    const { trail } = scratchTrail()
    await trail.session({}, async (session) => {
      const recorded = session.record('reasoning', { text: 'x' })
      const receipt = await recorded.durable()
      expect(await recorded.durable()).toEqual(receipt)
    })
  })

  test('outside of any session is refused with the next step, a model call opens a session of its own', async () => {
    const { trail } = scratchTrail()
    expect(() => trail.record('reasoning', { text: 'x' })).toThrow(/outside|inside/)
    const open = modelCallsOf(trail)!().call({ provider: 'p', model_id: 'm', endpoint: '/v1', streaming: false, attempt: 1, parameters: {}, input_messages: [{ m: 'json', content: '"hi"' }], tool_definitions: [] } as never)
    await open.ready()
    open.finish({ outcome: 'success', complete: true, output: [], tool_calls_requested: [], thinking: [], output_text: 'yo' } as never)
    await trail.flush()
    const [session] = await trail.sessions().all()
    expect(await typesOf(trail, session!.session_id)).toEqual(['session_start', 'llm_call', 'llm_result', 'session_end'])
    expect(await trail.events({ event_type: 'session_start' }).first()).toMatchObject({ implicit: true })
  })

  test('of a model call told by hand stands before and after it, with the error when it fails', async () => {
    const { trail } = scratchTrail()
    await trail.session({}, async () => {
      const answer = await trail.llm({ provider: 'p', model_id: 'm', input_messages: ['hi'], parameters: { max_tokens: 5, temperature: 0.5, stop: ['x'] } }, async () => ({ text: 'yo', n: 3 }), ({ text, n }) => ({ output_text: text, output_tokens: n }))
      expect(answer).toEqual({ text: 'yo', n: 3 })
      await expect(trail.llm({ provider: 'p', model_id: 'm', input_messages: ['hi', 'again'] }, () => Promise.reject(new Error('down')), () => ({}))).rejects.toThrow('down')
    })
    expect(await trail.calls().all()).toMatchObject([
      { event_type: 'llm_call', input_messages: ['hi'], output_text: 'yo', output_tokens: 3, outcome: 'success', answered: true, latency_ms: expect.any(Number) },
      { input_messages: ['hi', 'again'], output_text: null, outcome: 'failure', answered: true },
    ])
    expect(await trail.events({ event_type: 'llm_call' }).first()).toMatchObject({ max_tokens: 5, temperature: '0.5', request_parameters: { stop: ['x'] } })
  })

  test('of your own has its name and content, where record() puts events', async () => {
    const { trail } = scratchTrail()
    await trail.session({}, (session) => {
      const first = session.record('custom', { name: 'order_escalated', content: { order_id: '7' }, step_number: 3 })
      session.record('custom', { name: 'order_closed', parent_event_id: first.event_id })
      expect(() => session.record('order_escalated' as never, {} as never)).toThrow("record an event of your own as 'custom', with its name and content")
      expect(() => session.record('tool_cal' as never, {} as never)).toThrow('did you mean tool_call?')
      expect(() => session.record('custom', { content: 1 } as never)).toThrow(MisuseError)
    })
    const [first, second] = await trail.events({ event_type: 'custom' }).all()
    expect(first).toMatchObject({ name: 'order_escalated', content: { order_id: '7' }, step_number: 3 })
    expect(second).toMatchObject({ name: 'order_closed', parent_event_id: first!.event_id })
  })

  test('without what its type needs is refused at the call, whatever is missing', async () => {
    const { trail } = scratchTrail()
    await trail.session({}, (session) => {
      const full: { readonly [K in keyof EventInputs]: EventInputs[K] } = {
        llm_call: { provider: 'p', model_id: 'm', input_messages: [] }, llm_result: {}, tool_call: { tool_name: 't', tool_input: null }, tool_result: { outcome: 'success' }, reasoning: { text: '' },
        policy_decision: { policy: 'p', decision: 'allow' }, data_access: { source: 's' }, sandbox_crossing: { kind: 'file', target: 't', allowed: true }, state_snapshot: { state: null }, handoff: { to_agent_id: 'b' },
        config_change: { what: 'w' }, error: { error: undefined }, final_output: { output: '' }, custom: { name: 'n' },
      }
      for (const [type, event] of Object.entries(full)) {
        expect(session.record(type as never, event as never).problem).toBeUndefined()
        for (const name of Object.keys(event)) {
          const { [name]: _, ...rest } = event as { readonly [name: string]: unknown }
          expect(() => session.record(type as never, rest as never), `${type} without ${name}`).toThrow(MisuseError)
        }
      }
      expect(() => session.record('reasoning', {} as never)).toThrow('recorder: expected reasoning.text, got none; reasoning needs text')
      expect(() => session.record('error', {} as never)).toThrow('recorder: expected error.error, got none; error needs error')
      expect(() => session.record('tool_call', { tool_name: 't' } as never)).toThrow('tool_call needs tool_name, tool_input')
    })
  })

  test.each<unknown>([undefined, null, 0])('of an error says that %s was thrown', async (thrown) => {
    const { trail } = scratchTrail()
    await expect(trail.session({}, () => { throw thrown })).rejects.toBe(thrown)
    expect(await trail.events({ event_type: 'error' }).all()).toMatchObject([{ error: String(thrown), error_type: typeof thrown }])
  })

  test('told through log() is a type of ours when it fits one, else a custom event with its name', async () => {
    const { trail } = scratchTrail()
    await trail.session({}, (session) => {
      session.log('reasoning', { text: 'fits' })
      session.log('reasoning', { nonsense: 1 })
      session.log('session_end', { mine: true })
      session.log('order_escalated', [1, 2], 9)
      session.log('Überschrift mit Leerzeichen', 'x')
    })
    const events = await trail.events({ event_type: ['reasoning', 'custom'] }).all()
    expect(events).toMatchObject([
      { event_type: 'reasoning', text: 'fits' },
      { event_type: 'custom', name: 'reasoning', content: { nonsense: 1 } },
      { event_type: 'custom', name: 'session_end', content: { mine: true } },
      { event_type: 'custom', name: 'order_escalated', content: [1, 2], step_number: 9 },
      { event_type: 'custom', name: 'other', content: { name: 'Überschrift mit Leerzeichen', content: 'x' } },
    ])
  })
})

describe('several trails', () => {
  test('on one file are one ledger, also by another spelling of the path, until the last is closed', async () => {
    const at = scratch()
    const { trail: a } = scratchTrail({}, at)
    const b = openTrail(`${at.folder}/./audit.db`, { agent_id: 'b' })
    const session = await a.start({})
    await session.run(async () => b.record('reasoning', { text: 'through b' }))
    await a.close()
    await session.end()
    expect((await b.events().all()).map(({ event_type }) => event_type)).toEqual(['log_start', 'session_start', 'reasoning', 'session_end'])
    expect(a.status().origin).toBe(b.status().origin)
    await b.close()
    await expect(b.events().all()).rejects.toMatchObject({ code: 'trail_closed' })
  })

  test('of which one closes put what was accepted into the log', async () => {
    const at = scratch()
    const { trail: a } = scratchTrail({}, at)
    const { trail: b } = scratchTrail({}, at)
    const session = await a.start({})
    for (let i = 0; i < 3_000; i++) session.record('reasoning', { text: `${i}` })
    await a.close()
    expect(b.status().spooled).toBe(0)
  })

  test('on different files keep their sessions apart, in one async context too', async () => {
    const { trail: a } = scratchTrail()
    const { trail: b } = scratchTrail()
    await a.session({}, async () => {
      expect(() => b.record('reasoning', { text: 'x' })).toThrow('one of another trail')
      const open = modelCallsOf(b)!().call({ provider: 'p', model_id: 'm', endpoint: 'e', streaming: false, attempt: 1, parameters: {}, input_messages: [], tool_definitions: [] })
      await open.ready()
      open.finish({ outcome: 'success', complete: true, output: [], tool_calls_requested: [], thinking: [] } as never)
      await b.session({}, (own) => expect((own as unknown as { session_id: string }).session_id).toBeTruthy())
      await b.flush()
    })
    expect((await a.events().all()).map(({ event_type }) => event_type)).toEqual(['log_start', 'session_start', 'session_end'])
    expect((await b.events({ event_type: 'session_start' }).all()).map((start) => 'parent_session_id' in start)).toEqual([false, false])
  })

  test('opened while the same file is being closed work, and nothing of either is lost', async () => {
    const at = scratch()
    let trail = openTrail(at.db, { agent_id: 'a' })
    for (let round = 0; round < 3; round++) {
      const session = await trail.start({ user_message: `${round}` })
      session.record('reasoning', { text: `${round}` })
      const closing = trail.close()
      trail = openTrail(at.db, { agent_id: 'a' })
      await closing
    }
    const other = openTrail(at.db, { agent_id: 'b' })
    await trail.session({}, () => { other.record('reasoning', { text: 'the same ledger again' }) })
    expect(await other.events({ event_type: 'reasoning' }).count()).toBe(4)
    expect((await trail.verify()).whole).toBe(true)
    await Promise.all([trail.close(), other.close()])
  })

  test('cannot differ in their state folder', () => {
    const { at } = scratchTrail()
    expect(() => openTrail(at.db, { home: `${at.folder}/elsewhere` })).toThrow(MisuseError)
  })

  test('in memory keep nothing on the disk, and read back like any other', async () => {
    scratch()
    await using trail = openTrail(':memory:', { agent_id: 'a' })
    await trail.session({}, (session) => { for (let i = 0; i < 2_500; i++) session.record('reasoning', { text: `${i}` }) })
    expect(await trail.events({ event_type: 'reasoning' }).count()).toBe(2_500)
    expect((await trail.verify()).whole).toBe(true)
  })
})

describe('a closed trail', () => {
  test('closes once, reports what still comes, and takes nothing', async () => {
    const { trail, reports } = scratchTrail()
    const session = await trail.start({})
    await Promise.all([trail.close(), trail.close()])
    const recorded = session.record('reasoning', { text: 'late' })
    expect(recorded.problem).toMatchObject({ code: 'trail_closed' })
    session.record('reasoning', { text: 'later' })
    expect(reports).toEqual(['recorder: reasoning is not on record: ledger: expected an open trail, got one that is closed; open it again with openTrail'])
    expect(trail.status().lost).toBe(2)
    await expect(recorded.durable()).rejects.toThrow(StoreError)
    await expect(trail.start({})).rejects.toMatchObject({ code: 'trail_closed' })
    await expect(trail.verify()).rejects.toMatchObject({ code: 'trail_closed' })
  })

  test('answers everything that was asked before it closed', async () => {
    const { trail } = scratchTrail()
    const session = await trail.start({})
    const asked = [trail.events().count(), trail.flush(), session.record('reasoning', { text: 'x' }).durable(), trail.verify()].map((each) => each.then(() => 'answered', () => 'refused'))
    await trail.close()
    expect((await Promise.all(asked)).every((how) => how === 'answered' || how === 'refused')).toBe(true)
    expect(await Promise.all(asked.slice(0, 3))).toEqual(['answered', 'answered', 'answered'])
  })
})

test('flush() resolves when everything accepted so far is in the log, however long that takes', async () => {
  const { trail } = scratchTrail()
  const session = await trail.start({})
  for (let i = 0; i < 5_000; i++) session.record('reasoning', { text: `${i}` })
  await trail.flush()
  expect(trail.status().spooled).toBe(0)
  expect(trail.status().size).toBe(5_002)
})
