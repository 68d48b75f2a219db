// Agents in Python on the OpenAI SDK, the Anthropic SDK and LangChain, instrumented by OpenInference, export to a server while they run against a model on this machine. The
// packages are installed from PyPI into an environment of their own (VENV=… names one that has them); without PyPI this is skipped.

import { spawnSync, spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { startModelServer, type Message } from '../../src/cli/model-server.ts'
import type { LLMCall, SessionSummary, ToolCall } from '../../src/event/public.ts'
import { testServer } from '../served.ts'

const PACKAGES = ['opentelemetry-sdk', 'opentelemetry-exporter-otlp-proto-http', 'openai', 'anthropic', 'langchain-openai', 'openinference-instrumentation-openai', 'openinference-instrumentation-anthropic', 'openinference-instrumentation-langchain']
const made = process.env['VENV'] === undefined ? mkdtempSync(join(tmpdir(), 'counterfoil-venv-')) : undefined
const folder = process.env['VENV'] ?? made!
const python = join(folder, 'bin/python')

/** Why there is no environment, if so. */
const missing: string | undefined = (() => {
  const run = (command: string, ...args: string[]): boolean => spawnSync(command, args, { stdio: 'ignore', timeout: 400_000 }).status === 0
  if (!existsSync(python) && !run('python3', '-m', 'venv', folder)) return 'there is no python3 with venv on this machine'
  if (made !== undefined && !run(python, '-m', 'pip', 'install', '--quiet', ...PACKAGES)) return 'the packages could not be installed from PyPI'
  return undefined
})()

afterAll(() => {
  if (made !== undefined) rmSync(made, { recursive: true, force: true })
})

const ASKED = { order_id: '1182' }
const ANSWER = 'Your refund of 42 is on its way.'
const isAnswered = (messages: readonly unknown[]): boolean => /returned/.test(JSON.stringify(messages))

/** Chat completions as OpenAI has them: first it asks for the tool, then it answers. */
async function openaiServer(): Promise<string> {
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const { model, messages } = JSON.parse(body) as { model: string; messages: unknown[] }
      const message = isAnswered(messages) ? { role: 'assistant', content: ANSWER } : { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'lookup_order', arguments: JSON.stringify(ASKED) } }] }
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ id: `chatcmpl-${messages.length}`, object: 'chat.completion', created: 1_790_000_000, model: `${model}-2026`, choices: [{ index: 0, message, finish_reason: message.content === null ? 'tool_calls' : 'stop' }], usage: { prompt_tokens: 40 + messages.length, completion_tokens: 9, total_tokens: 49 + messages.length } }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => { server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function anthropicServer(): Promise<string> {
  const server = await startModelServer(({ messages }: { messages: readonly Message[] }) => ({ content: isAnswered(messages) ? [{ type: 'text', text: ANSWER }] : [{ type: 'text', text: 'One moment.' }, { type: 'tool_use', id: 'toolu_1', name: 'lookup_order', input: ASKED }], usage: { input_tokens: 40 + messages.length, output_tokens: 9 } }))
  onTestFinished(() => server.close())
  return server.url
}

describe.skipIf(missing !== undefined)(`agents in Python${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  test.each([['openai', openaiServer, 'gpt-4o'], ['anthropic', anthropicServer, 'claude-opus-4-6'], ['langchain', openaiServer, 'gpt-4o']] as const)('on %s appear as sessions while they run', async (which, model, asked) => {
    const server = await testServer()
    const child = spawn(python, [join(import.meta.dirname, '../live/agent.py'), which, await model(), `${server.url}/otlp`, server.key('agent')], { stdio: ['ignore', 'pipe', 'pipe'] })
    const [said, problems, code] = await Promise.all([text(child.stdout), text(child.stderr), new Promise((resolve) => child.on('exit', resolve))])
    expect([code, said, problems]).toEqual([0, '', expect.not.stringMatching(/Failed to export|Traceback/)])
    const { ledger } = server.served.parts.tenants.open('default')!
    const { items: [session, ...others] } = await ledger.call<{ items: SessionSummary[] }>('sessions', {}, 10)
    expect(others).toEqual([])
    expect(session).toMatchObject({ agent_id: `python-${which}`, user_id: 'c-4711', state: 'ended', tools: { lookup_order: 1 }, output_tokens: 18 })
    const { items } = await ledger.call<{ items: (LLMCall | ToolCall)[] }>('calls', { event_types: ['llm_call', 'tool_call'] }, 10)
    // between a tool and the call after it lies less than some machines' clocks step back by
    expect(items.map(({ event_type }) => event_type).sort()).toEqual(['llm_call', 'llm_call', 'tool_call'])
    const [first, last] = items.filter(({ event_type }) => event_type === 'llm_call') as [LLMCall, LLMCall]
    const tool = items.find(({ event_type }) => event_type === 'tool_call') as ToolCall
    expect(first).toMatchObject({ model_id: expect.stringContaining(asked) as unknown, input_tokens: 41, output_tokens: 9, answered: true, tool_calls_requested: [{ name: 'lookup_order', input: ASKED }] })
    expect(JSON.stringify(first.input_messages)).toContain('Where is my refund for order 1182?')
    expect(JSON.stringify(tool.tool_input)).toContain('1182')
    expect(JSON.stringify(tool.tool_output)).toContain('returned')
    expect(last).toMatchObject({ input_tokens: 43, output_text: ANSWER })
    expect(JSON.stringify(last.input_messages)).toContain('returned')
    expect(await ledger.call('verify')).toMatchObject({ whole: true })
  })
})
