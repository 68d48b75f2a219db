// Agents in Python on the OpenAI SDK, the Anthropic SDK, LangChain and CrewAI, instrumented by OpenInference and by OpenLLMetry, export to a server while they run against a model on
// this machine. The packages are installed from PyPI into environments of their own, CrewAI by itself since it brings a gigabyte of others (VENV=… and CREWAI_VENV=… name such as have
// them); without PyPI this is skipped.

import { spawnSync, spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { startModelServer, type Message } from '../../src/cli/model-server.ts'
import type { LLMCall, SessionSummary, ToolCall } from '../../src/event/public.ts'
import type { ViewEvent } from '../../src/event/view.ts'
import { testServer } from '../served.ts'

const EXPORTER = ['opentelemetry-sdk', 'opentelemetry-exporter-otlp-proto-http', 'openinference-instrumentation-openai', 'opentelemetry-instrumentation-openai', 'openai']
const ENVIRONMENTS = {
  models: environment(process.env['VENV'], [...EXPORTER, 'anthropic', 'langchain-openai', ...['anthropic', 'langchain'].flatMap((name) => [`openinference-instrumentation-${name}`, `opentelemetry-instrumentation-${name}`])]),
  crews: environment(process.env['CREWAI_VENV'], [...EXPORTER, 'crewai', 'openinference-instrumentation-crewai', 'opentelemetry-instrumentation-crewai']),
}

interface Environment { readonly python: string; /** why there is none */ readonly missing?: string; readonly made?: string }

function environment(given: string | undefined, packages: readonly string[]): Environment {
  const folder = given ?? mkdtempSync(join(tmpdir(), 'counterfoil-venv-'))
  const python = join(folder, 'bin/python')
  const run = (command: string, ...args: string[]): boolean => spawnSync(command, args, { stdio: 'ignore', timeout: 400_000 }).status === 0
  const made = given === undefined ? { made: folder } : {}
  if (!existsSync(python) && !run('python3', '-m', 'venv', folder)) return { python, ...made, missing: 'there is no python3 with venv on this machine' }
  if (given === undefined && !run(python, '-m', 'pip', 'install', '--quiet', '--no-cache-dir', ...packages)) return { python, ...made, missing: 'the packages could not be installed from PyPI' }
  return { python, ...made }
}

afterAll(() => {
  for (const { made } of Object.values(ENVIRONMENTS)) if (made !== undefined) rmSync(made, { recursive: true, force: true })
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

const AGENTS = {
  openai: { env: 'models', model: openaiServer, asked: 'gpt-4o' }, anthropic: { env: 'models', model: anthropicServer, asked: 'claude-opus-4-6' },
  langchain: { env: 'models', model: openaiServer, asked: 'gpt-4o' }, crewai: { env: 'crews', model: openaiServer, asked: 'gpt-4o' },
} as const

/** What the events of a session do not say, though the agent's model and tool said it. */
function lackingIn(events: readonly ViewEvent[], ownTool: boolean): string[] {
  const results = events.filter(({ event_type }) => event_type === 'llm_result')
  const tool = events.find(({ event_type }) => event_type === 'tool_call')
  return [
    ...Object.entries({ model_id: 'the model that answered', response_id: 'response id', stop_reason: 'stop reason' }).filter(([name]) => results.some((event) => (event[name] ?? null) === null)).map(([, what]) => what),
    ...(tool === undefined ? ['tool calls'] : ownTool || tool['call_id'] !== undefined ? [] : ['the id of the tool call']), // an agent's own span has what the agent puts there
  ]
}

const docs = readFileSync(new URL('../../docs/otlp.md', import.meta.url), 'utf8')

describe.each(['openinference', 'openllmetry'])('instrumented by %s', (by) => {
  describe.each(Object.entries(AGENTS))('an agent in Python on %s', (which, { env, model, asked }) => {
    const { python, missing } = ENVIRONMENTS[env]
    test.skipIf(missing !== undefined)(`appears as a session while it runs${missing === undefined ? '' : ` (skipped: ${missing})`}`, async () => {
      const server = await testServer()
      const child = spawn(python, [join(import.meta.dirname, '../live/agent.py'), by, which, await model(), `${server.url}/otlp`, server.key('agent')], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: dirname(server.db), XDG_DATA_HOME: dirname(server.db) } }) // CrewAI keeps files of its own at home
      const [said, problems, code] = await Promise.all([text(child.stdout), text(child.stderr), new Promise((resolve) => child.on('exit', resolve))])
      expect([code, said, problems]).toEqual([0, '', expect.not.stringMatching(/Failed to export|Traceback/)])
      const { ledger } = server.served.parts.tenants.open('default')!
      const { items: [session, ...others] } = await ledger.call<{ items: SessionSummary[] }>('sessions', {}, 10)
      expect(others).toEqual([])
      const seesTools = !(by === 'openllmetry' && which === 'crewai') // it has spans of crews, tasks and agents only
      expect(session).toMatchObject({ agent_id: `python-${which}`, user_id: 'c-4711', state: 'ended', tools: seesTools ? { lookup_order: 1 } : {}, output_tokens: 18 })
      const { items } = await ledger.call<{ items: (LLMCall | ToolCall)[] }>('calls', { event_types: ['llm_call', 'tool_call'] }, 10)
      // between a tool and the call after it lies less than some machines' clocks step back by
      expect(items.map(({ event_type }) => event_type).sort()).toEqual(['llm_call', 'llm_call', ...(seesTools ? ['tool_call'] : [])])
      const [first, last] = items.filter(({ event_type }) => event_type === 'llm_call') as [LLMCall, LLMCall]
      const before = which === 'crewai' ? 1 : 0 // it says who the agent is in a message of its own
      expect(first).toMatchObject({ model_id: expect.stringContaining(asked) as unknown, input_tokens: 41 + before, output_tokens: 9, answered: true, tool_calls_requested: [{ name: 'lookup_order', input: ASKED }] })
      expect(JSON.stringify(first.input_messages)).toContain('Where is my refund for order 1182?')
      expect(last).toMatchObject({ input_tokens: 43 + before, output_tokens: 9, output_text: ANSWER })
      expect(JSON.stringify(last.input_messages)).toContain('returned')
      if (seesTools) {
        const tool = items.find(({ event_type }) => event_type === 'tool_call') as ToolCall
        expect(tool.tool_input).toEqual(by === 'openinference' && which === 'langchain' ? ASKED.order_id : ASKED) // of one argument it has the value
        expect(JSON.stringify(tool.tool_output)).toContain('returned')
      }
      expect(await ledger.call('verify')).toMatchObject({ whole: true })
      const lacking = lackingIn(await ledger.call<ViewEvent[]>('session', session!.session_id), which === 'openai' || which === 'anthropic')
      expect(docs).toContain(`| ${by} | ${which} | ${lacking.join(', ') || 'nothing'} |`)
    })
  })
})
