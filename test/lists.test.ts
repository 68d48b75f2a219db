// Conversations as they come back: however they grew, were cut or branched, the list that is read is the list that was sent.

import { describe, expect, test } from 'vitest'
import type { LLMCall, Trail } from '../src/index.ts'
import { scratchTrail } from './scratch.ts'

type Message = { role: string; content: string }
const message = (n: number, more = ''): Message => ({ role: n % 2 === 0 ? 'user' : 'assistant', content: `message ${n} ${more}` })
const messages = (count: number, more = ''): Message[] => Array.from({ length: count }, (_, n) => message(n, more))

/** Records each list as a model call in one session, and requires that reading gives the same lists back. Gives the number of events. */
async function roundTrip(lists: readonly (readonly unknown[])[], options: { trail?: Trail } = {}): Promise<{ context: number; read: readonly unknown[][] }> {
  const trail = options.trail ?? scratchTrail().trail
  await trail.session({}, (session) => {
    for (const input_messages of lists) {
      session.record('llm_call', { provider: 'p', model_id: 'm', input_messages })
      session.record('llm_result', { output_text: 'ok' })
    }
  })
  const calls = (await trail.calls({ event_type: 'llm_call' }).all()) as LLMCall[]
  const read = calls.map(({ input_messages }) => input_messages as unknown[])
  const events = await trail.events({ event_type: 'context' }).all()
  expect((await trail.verify()).problems).toEqual([])
  return { context: events.length, read }
}

describe('a list of messages', () => {
  test.each([0, 1, 255, 256, 257, 512, 513, 5_000])('of %i reads back exactly, with as many context events as it needs', async (count) => {
    const list = messages(count)
    const { read, context } = await roundTrip([list])
    expect(read).toEqual([list])
    expect(context).toBe(Math.max(0, Math.ceil(count / 256) - 1))
  })

  test('that grows by every step, is compacted, edited and branched reads back exactly at each step', async () => {
    const grown = Array.from({ length: 30 }, (_, i) => messages(3 * i))
    const compacted = [{ role: 'user', content: 'summary of it all' }, ...messages(90).slice(-4)]
    const edited = messages(90).with(40, { role: 'user', content: 'I never said that' })
    const shorter = messages(90).slice(0, 12)
    const branches = ['a', 'b', 'c'].flatMap((name) => [1, 2, 3].map((n) => [...messages(60), ...messages(n, name)]))
    const lists = [...grown, compacted, [...compacted, message(7)], edited, shorter, ...branches, [], messages(90)]
    expect((await roundTrip(lists)).read).toEqual(lists)
  })

  test('changed in place between two calls is two lists', async () => {
    const { trail } = scratchTrail()
    const list = messages(5)
    await trail.session({}, (session) => {
      session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: list })
      list[2]!.content = 'changed'
      list.push(message(9))
      session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: list })
    })
    const calls = (await trail.calls().all()) as LLMCall[]
    expect(calls.map(({ input_messages }) => input_messages)).toEqual([messages(5), list])
  })

  test('random histories read back exactly', async () => {
    let state = 20_261_121
    const random = (below: number): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % below
    const lists: Message[][] = [[]]
    while (lists.length < 120) {
      const base = lists[random(lists.length)]!
      const kept = base.slice(0, random(4) === 0 ? random(base.length + 1) : base.length)
      lists.push([...kept, ...messages(random(6), `${random(3)}`)])
    }
    expect((await roundTrip(lists)).read).toEqual(lists)
  })

  test('of sessions in parallel, each with its own history, read back exactly', async () => {
    const { trail } = scratchTrail()
    await Promise.all([0, 1, 2, 3].map((n) => trail.session({ agent_id: `a${n}` }, async (session) => {
      for (let i = 1; i <= 20; i++) {
        session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: messages(i, `${n}`) })
        await null
      }
    })))
    for (let n = 0; n < 4; n++) expect((await trail.calls({ agent_id: `a${n}` }).all()).map((call) => (call as LLMCall).input_messages)).toEqual(Array.from({ length: 20 }, (_, i) => messages(i + 1, `${n}`)))
  })

  test('goes on in another process, which sends it whole, and is stored once', async () => {
    const { trail, at } = scratchTrail()
    const session = await trail.start({})
    session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: messages(300) })
    await trail.close()
    const { trail: again } = scratchTrail({}, at)
    await using resumed = await again.resume(session.session_id)
    resumed.record('llm_call', { provider: 'p', model_id: 'm', input_messages: messages(301) })
    await again.flush()
    expect((await again.calls().all()).map((call) => (call as LLMCall).input_messages)).toEqual([messages(300), messages(301)])
    expect((await again.verify()).problems).toEqual([])
  })

  test('beside a long list of tools takes context events for both', async () => {
    const { trail } = scratchTrail()
    const tools = Array.from({ length: 400 }, (_, n) => ({ name: `tool_${n}` }))
    await trail.session({}, (session) => { session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: messages(300), tool_definitions: tools }) })
    expect(await trail.events({ event_type: 'llm_call' }).all()).toMatchObject([{ input_messages: messages(300), tool_definitions: tools }])
  })
})

describe('content of any form', () => {
  test('is recorded, never refused, and comes back as JSON has it', async () => {
    const cycle: { a: unknown } = { a: 1 }
    cycle.a = cycle
    const thrower = { get content() { throw new Error('no') } }
    const proto: unknown = JSON.parse('{"__proto__":{"admin":true},"constructor":1}')
    const list = ['\ud800 lone \udfff', proto, NaN, Infinity, cycle, 10n, new Map([['k', 1]]), new Set([1]), new Date(0), () => 1, Symbol('x'), undefined, null, thrower, Array(3), new Proxy({}, { get: () => { throw new Error('never') } }), -0, new Uint8Array([1, 2])]
    const { read } = await roundTrip([list, [...list, 'more']])
    expect(read[1]).toEqual([...read[0]!, 'more'])
    expect(read[0]).toEqual([
      '\ud800 lone \udfff', proto, null, null, { not_json: expect.stringContaining('circular'), text: '<ref *1> { a: [Circular *1] }' }, { not_json: expect.stringContaining('BigInt'), text: '10n' }, {}, {}, '1970-01-01T00:00:00.000Z',
      null, null, null, null, { not_json: 'no', text: '{ content: [Getter] }' }, [null, null, null], { not_json: 'never', text: expect.any(String) }, 0, { 0: 1, 1: 2 },
    ])
    expect(Object.hasOwn(read[0]![1] as object, '__proto__')).toBe(true)
    expect(({} as { admin?: unknown }).admin).toBeUndefined()
  })

  test('of 50 MB in one message is whole, two such messages and an answer of the same length too', async () => {
    const { trail } = scratchTrail()
    const big = (letter: string): Message => ({ role: 'user', content: letter.repeat(50 * 1024 * 1024) })
    await trail.session({}, (session) => {
      session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: [big('a')] })
      session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: [big('a'), big('b'), message(3)] })
      const recorded = session.record('llm_result', { output_text: 'c'.repeat(50 * 1024 * 1024), output: [big('d'), big('e')] })
      expect(recorded.problem).toBeUndefined()
    })
    const same = (got: unknown, letter: string): boolean => (got as Message).content === big(letter).content
    const [first, second] = (await trail.calls().all()) as LLMCall[]
    expect(same((first!.input_messages as unknown[])[0], 'a')).toBe(true)
    const [a, b, c] = second!.input_messages as unknown[]
    expect([same(a, 'a'), same(b, 'b'), c]).toEqual([true, true, message(3)])
    const result = (await trail.events({ event_type: 'llm_result' }).first())!
    expect([(result.output_text as string).length, (result.output as unknown[]).map((block, i) => same(block, 'de'[i]!))]).toEqual([50 * 1024 * 1024, [true, true]])
    expect((await trail.verify()).problems).toEqual([])
  })

  test('over the largest payload is cut, and says so', async () => {
    const { trail } = scratchTrail()
    await trail.session({}, (session) => {
      session.record('final_output', { output: 'é'.repeat(40 * 1024 * 1024) })
      session.record('llm_result', { output_text: 'x'.repeat(60 * 1024 * 1024), error: 'y'.repeat(60 * 1024 * 1024) })
    })
    expect(await trail.events({ event_type: 'final_output' }).first()).toMatchObject({ output: { cut: true, bytes: 80 * 1024 * 1024, media: 'text', head: 'é'.repeat(1024 * 1024) } })
    const result = (await trail.events({ event_type: 'llm_result' }).first())!
    expect([(result.output_text as string).length, (result.error as { cut: boolean; bytes: number }).bytes]).toEqual([60 * 1024 * 1024, 60 * 1024 * 1024])
    expect((await trail.verify()).problems).toEqual([])
  })
})
