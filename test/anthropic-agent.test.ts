import Anthropic from '@anthropic-ai/sdk'
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { StoreError } from '../src/base/errors.ts'
import { type ContentBlock, type Script, startModelServer } from '../src/cli/model-server.ts'
import { captureCalls, sinkOf, sourceOf } from './model-server/capture.ts'
import { type AgentTrail, type AuditedAgent, type AuditedTool, runAuditedAgent, type RunnableTool } from '../src/integrations/anthropic-agent.ts'

/** A trail that notes what it is told, in order, and in which session. */
function fakeTrail(): { trail: AgentTrail; told: unknown[]; capture: ReturnType<typeof captureCalls> } {
  const told: unknown[] = []
  const capture = captureCalls()
  let current: string | undefined
  const trail: AgentTrail = {
    ...sourceOf(() => ({
      call: (call) => {
        const open = sinkOf(capture).call(call)
        told.push(['llm_call', current])
        return { ...open, finish: (result) => (told.push(['llm_result', result.stop_reason ?? result.error_type]), open.finish(result)) }
      },
    })),
    start: async (facts) => {
      told.push(['session_start', facts])
      return {
        session_id: 's1',
        run: (fn) => ((current = 's1'), fn()),
        record: (type, event) => told.push([type, event]),
        end: async (end) => told.push(['session_end', end]),
      }
    },
    tool: (tool) => ({ ...tool, run: (...args: never[]) => (told.push(['tool_call', tool.name, (args[1] as unknown as { toolUse: { id: string } }).toolUse.id]), tool.run!(...args)) }),
  }
  return { trail, told, capture }
}

const use = (id: string, name: string, input: object): ContentBlock => ({ type: 'tool_use', id, name, input })

async function run(script: Script, options: Partial<AuditedAgent> = {}): Promise<ReturnType<typeof fakeTrail> & { result: Awaited<ReturnType<typeof runAuditedAgent>> | Error }> {
  await using server = await startModelServer(script)
  const fake = fakeTrail()
  const client = new Anthropic({ apiKey: 'k', baseURL: server.url, maxRetries: 0 })
  const result = await runAuditedAgent({ client, trail: fake.trail, model: 'm', user_message: 'go', ...options }).catch((error: Error) => error)
  return { ...fake, result }
}

const kinds = (told: readonly unknown[]): unknown[] => told.map((one) => (one as unknown[])[0])

for (const stream of [false, true]) {
  test(`message in, tools in parallel, answer out, all of it in one session (${stream ? 'streamed' : 'in one piece'})`, async () => {
    const order: string[] = []
    const audited: AuditedTool = { definition: { name: 'slow' }, run: async (input, call_id) => {
      order.push(`slow begins ${JSON.stringify(input)} ${call_id}`)
      await new Promise((resolve) => setTimeout(resolve, 30))
      order.push('slow ends')
      return { content: 'slow done', is_error: false }
    } }
    const zod = betaZodTool({ name: 'quick', description: 'q', inputSchema: z.object({ n: z.number() }), run: ({ n }) => (order.push('quick'), `quick ${n}`) })
    const text: string[] = []
    const { result, told, capture } = await run(
      ({ messages }) => (messages.length === 1 ? { content: [use('t1', 'slow', { a: 1 }), use('t2', 'quick', { n: 2 })] } : { content: [{ type: 'text', text: 'All done.' }], chunk: 4 }),
      { tools: [audited, zod, { type: 'web_search_20250305', name: 'web_search' }], system: 'be good', user_id: 'u', stream, on_text: (part) => text.push(part), parameters: { temperature: 0 } },
    )
    expect(result).toMatchObject({ outcome: 'success', output: 'All done.', stop_reason: 'end_turn', iterations: 2, session_id: 's1' })
    expect(order).toEqual(['slow begins {"a":1} t1', 'quick', 'slow ends'])
    expect(kinds(told)).toEqual(['session_start', 'llm_call', 'llm_result', 'tool_call', 'llm_call', 'llm_result', 'session_end'])
    expect(told[0]).toEqual(['session_start', { user_message: 'go', model_id: 'm', system_prompt: 'be good', user_id: 'u' }])
    expect(told[1]).toEqual(['llm_call', 's1'])
    expect(told[3]).toEqual(['tool_call', 'quick', 't2'])
    expect(told.at(-1)).toEqual(['session_end', { outcome: 'success', reason: 'end_turn', final_output: 'All done.' }])
    const [first, second] = capture.calls
    expect(first!.call).toMatchObject({ streaming: stream, system_prompt: { content: 'be good' }, parameters: { temperature: '0', max_tokens: 4096 } })
    expect(first!.call.tool_definitions.map(({ content }) => (JSON.parse(String(content)) as { name: string }).name)).toEqual(['slow', 'quick', 'web_search'])
    expect(String(first!.call.tool_definitions[1]!.content)).not.toContain('"run"')
    expect(JSON.parse(String(second!.call.input_messages[2]!.content))).toEqual({ role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: 'slow done' }, { type: 'tool_result', tool_use_id: 't2', content: 'quick 2' }] })
    expect(text.join('')).toBe(stream ? 'All done.' : '')
  })
}

test('the limit ends the session as a timeout, and the tools of the last reply do not run', async () => {
  let ran = 0
  const tool: AuditedTool = { definition: { name: 'again' }, run: async () => (ran++, { content: 'ok', is_error: false }) }
  const { result, told } = await run(({ index }) => ({ content: [{ type: 'text', text: `turn ${index}` }, use(`t${index}`, 'again', {})] }), { tools: [tool], max_iterations: 3 })
  expect(result).toMatchObject({ outcome: 'timeout', iterations: 3, stop_reason: 'tool_use', output: 'turn 2' })
  expect(ran).toBe(2)
  expect(told.at(-1)).toEqual(['session_end', { outcome: 'timeout', reason: 'max_iterations' }])
})

test('a tool that fails or is not there gives the model an error to read', async () => {
  const failing = betaZodTool({ name: 'bad', description: 'b', inputSchema: z.object({ n: z.number() }), run: () => { throw new Error('boom') } })
  const { result, capture } = await run(({ messages }) => (messages.length === 1 ? { content: [use('a', 'bad', { n: 1 }), use('b', 'bad', { n: 'x' }), use('c', 'gone', {})] } : { content: [{ type: 'text', text: 'ok' }] }), { tools: [failing] })
  expect(result).toMatchObject({ outcome: 'success' })
  const { content } = JSON.parse(String(capture.calls[1]!.call.input_messages[2]!.content)) as { content: object[] }
  expect(content).toMatchObject([{ is_error: true, content: 'Error: boom' }, { is_error: true, content: expect.stringContaining('expected number') }, { is_error: true, content: "Error: Tool 'gone' not found" }])
})

test('what else fails is recorded, ends the session and is thrown as it is', async () => {
  const api = await run(() => ({ status: 400, error: { type: 'invalid_request_error', message: 'no' } }))
  expect(api.result).toBeInstanceOf(Anthropic.BadRequestError)
  expect(kinds(api.told)).toEqual(['session_start', 'llm_call', 'llm_result', 'error', 'session_end'])
  expect(api.told.at(-2)).toEqual(['error', { error: api.result, recoverable: false }])
  expect(api.told.at(-1)).toEqual(['session_end', { outcome: 'failure', reason: 'error' }])
  const held = new StoreError('full', 'spool: full', '')
  const unrecorded = betaZodTool({ name: 'act', description: 'a', inputSchema: z.object({}), run: () => { throw held } })
  expect((await run(() => ({ content: [use('a', 'act', {})] }), { tools: [unrecorded as RunnableTool] })).result).toBe(held)
  const stopped = await run(() => ({ content: [] }), { signal: AbortSignal.abort() })
  expect(stopped.result).toBeInstanceOf(Anthropic.APIUserAbortError)
  expect((await run(() => ({ content: [] }), { max_iterations: 0 })).result).toBeInstanceOf(RangeError)
})

test('a turn that the provider paused goes on', async () => {
  const { result, capture } = await run(({ index }) => (index === 0 ? { content: [{ type: 'text', text: 'wait' }], stop_reason: 'pause_turn' } : { content: [{ type: 'text', text: 'done' }] }), { messages: [{ role: 'user', content: 'before' }, { role: 'assistant', content: 'yes' }] })
  expect(result).toMatchObject({ outcome: 'success', output: 'done', iterations: 2 })
  expect(capture.calls.map(({ call }) => call.input_messages.length)).toEqual([3, 4])
})
