// The classic loop in its own words: run_audited_agent with AgentAuditTrail, translated line by line from Python, against a
// model on loopback. The same calls fill a plain table as the classic class did, and both answer the classic questions alike.

import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createHash, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startModelServer, type ModelServer, type Script } from '../src/cli/model-server.ts'
import { AgentAuditTrail, openTrail, type Json } from '../src/index.ts'

const run = promisify(execFile)
const SYSTEM = 'You are a customer service agent. Refund at most 50 EUR.'
const USER = 'Where is my refund for order 1182?'
const folder = mkdtempSync(join(tmpdir(), 'counterfoil-classic-'))
const home = join(folder, 'home')
const audited = join(folder, 'agent_audit.db')
const plain = join(folder, 'plain.db')
const ids: { ours: string; theirs: string }[] = []
let server: ModelServer
let before: string | undefined

beforeAll(async () => {
  before = process.env.COUNTERFOIL_HOME
  process.env.COUNTERFOIL_HOME = home
  server = await startModelServer(script)
  for (const model of ['claude-opus-4-6', 'claude-haiku-4-5', 'claude-opus-4-6']) await runAuditedAgent(USER, 'customer-service-v1', model)
})
afterAll(async () => {
  await server?.close()
  if (before === undefined) delete process.env.COUNTERFOIL_HOME
  else process.env.COUNTERFOIL_HOME = before
  rmSync(folder, { recursive: true, force: true })
})

/** Two tools at once, one of which fails; the failed one again; an answer. */
const script: Script = ({ messages, model }) => {
  const tool = (id: string, name: string, input: object): { type: 'tool_use'; id: string; name: string; input: object } => ({ type: 'tool_use', id: `toolu_${id}`, name, input })
  const turn = messages.filter(({ role }) => role === 'assistant').length
  const usage = { input_tokens: 100 * (turn + 1), output_tokens: model.includes('opus') ? 40 + turn : 7 }
  if (turn === 0) return { content: [{ type: 'text', text: 'I look both up.' }, tool('1', 'lookup_order', { order_id: '1182' }), tool('2', 'shipping_status', { order_id: '1182' })], usage }
  if (turn === 1) return { content: [tool('3', 'shipping_status', { order_id: '1182', "customer's note": 'größer – 42 €' })], usage }
  return { content: [{ type: 'text', text: 'Your parcel arrived on Monday; 42 € are on their way.' }], usage }
}

const TOOLS = ['lookup_order', 'shipping_status'].map((name) => ({ name, description: name, input_schema: { type: 'object' as const } }))

function executeTool(name: string, input: { [key: string]: Json }): Json {
  if (name === 'lookup_order') return { status: 'returned', amount: 42, lines: [1, 2.5, null, true] }
  if (Object.keys(input).length === 1) throw new Error("the warehouse did not answer: '503'")
  return 'arrived'
}

// def run_audited_agent(user_message, agent_id, model):
async function runAuditedAgent(user_message: string, agent_id: string, model: string): Promise<string> {
  const client = new Anthropic({ apiKey: 'none-needed', baseURL: server.url })
  const trail = new AgentAuditTrail(audited, agent_id, model, SYSTEM)
  const shadow = new PlainTrail(plain, agent_id, model, SYSTEM)
  ids.push({ ours: trail.session_id, theirs: shadow.session_id })
  trail.log('session_start', { user_message })
  shadow.log('session_start', { user_message })
  const messages: Anthropic.MessageParam[] = [{ role: 'user', content: user_message }]
  for (let step = 1; ; step++) {
    const response = await client.messages.create({ model, max_tokens: 4096, system: SYSTEM, tools: TOOLS, messages })
    const response_text = response.content.filter((block) => block.type === 'text').map((block) => block.text).join('')
    const tool_calls = response.content.filter((block) => block.type === 'tool_use').map((block) => ({ name: block.name, input: block.input as Json }))
    const tokens = { input: response.usage.input_tokens, output: response.usage.output_tokens }
    trail.logLlmCall(messages, response_text, tool_calls, tokens, step)
    shadow.logLlmCall(messages, response_text, tool_calls, tokens, step)
    if (response.stop_reason !== 'tool_use') {
      trail.log('final_output', { output: response_text }, step)
      shadow.log('final_output', { output: response_text }, step)
      await trail.close()
      shadow.close()
      return response_text
    }
    messages.push({ role: 'assistant', content: response.content })
    const results: Anthropic.ToolResultBlockParam[] = []
    for (const call of response.content) {
      if (call.type !== 'tool_use') continue
      const input = call.input as { [key: string]: Json }
      try {
        const output = executeTool(call.name, input)
        trail.logToolCall(call.name, input, output, null, step)
        shadow.logToolCall(call.name, input, output, null, step)
        results.push({ type: 'tool_result', tool_use_id: call.id, content: JSON.stringify(output) })
      } catch (error) {
        trail.logToolCall(call.name, input, null, (error as Error).message, step)
        shadow.logToolCall(call.name, input, null, (error as Error).message, step)
        results.push({ type: 'tool_result', tool_use_id: call.id, content: (error as Error).message, is_error: true })
      }
    }
    messages.push({ role: 'user', content: results })
  }
}

/** The classic class as it was: one INSERT an event into one table. */
class PlainTrail {
  readonly session_id = randomUUID()
  readonly #db: DatabaseSync
  readonly #facts: readonly [agent_id: string, model_id: string, system_prompt_hash: string]

  constructor(db_path: string, agent_id: string, model_id: string, system_prompt: string) {
    this.#db = new DatabaseSync(db_path)
    this.#facts = [agent_id, model_id, createHash('sha256').update(system_prompt).digest('hex')]
    this.#db.exec(`CREATE TABLE IF NOT EXISTS audit_events (event_id TEXT PRIMARY KEY, session_id TEXT, agent_id TEXT, timestamp TEXT, event_type TEXT,
      step_number INTEGER, content TEXT, model_id TEXT, system_prompt_hash TEXT, created_at TEXT DEFAULT CURRENT_TIMESTAMP)`)
  }

  log(event_type: string, content: object, step_number = 0): string {
    const event_id = randomUUID()
    const [agent_id, model_id, hash] = this.#facts
    this.#db.prepare('INSERT INTO audit_events (event_id, session_id, agent_id, timestamp, event_type, step_number, content, model_id, system_prompt_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
      .run(event_id, this.session_id, agent_id, new Date().toISOString(), event_type, step_number, JSON.stringify(content), model_id, hash)
    return event_id
  }

  logLlmCall(input_messages: readonly unknown[], output_text: string, tool_calls_requested: readonly unknown[], tokens: { input: number; output: number }, step: number): string {
    return this.log('llm_call', { input_messages, output_text, tool_calls_requested, input_tokens: tokens.input, output_tokens: tokens.output }, step)
  }

  logToolCall(tool_name: string, tool_input: Json, tool_output: Json, error: string | null, step: number): string {
    return this.log('tool_call', { tool_name, tool_input, tool_output, error }, step)
  }

  close(): void {
    this.#db.close()
  }
}

type Row = { [column: string]: unknown }

async function ours(query: string): Promise<Row[]> {
  const { stdout } = await run(process.execPath, [join(import.meta.dirname, '../src/cli/main.ts'), 'sql', query, '--json', '--trail', audited], { env: { ...process.env, COUNTERFOIL_HOME: home } })
  return stdout.trim().split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Row)
}

function theirs(query: string): Row[] {
  const db = new DatabaseSync(plain, { readOnly: true })
  try {
    return db.prepare(query).all().map((row) => ({ ...row }))
  } finally {
    db.close()
  }
}

/** What a row of each type said, in the classic content. */
const SAID = ['user_message', 'input_messages', 'output_text', 'tool_calls_requested', 'input_tokens', 'output_tokens', 'tool_name', 'tool_input', 'tool_output', 'error', 'output']
  .map((name) => `json_extract(content, '$.${name}') AS ${name}`).join(', ')

describe('the classic loop', () => {
  test('a session in order: its rows are the classic ones, between our own beginning and end', async () => {
    for (const id of ids) {
      const query = (session_id: string): string => `SELECT event_type, step_number, agent_id, model_id, system_prompt_hash, ${SAID} FROM audit_events WHERE session_id = '${session_id}' ORDER BY timestamp`
      const [start, ...rows] = await ours(query(id.ours))
      const end = rows.pop()
      expect([start?.['event_type'], end?.['event_type']]).toEqual(['session_start', 'session_end'])
      const expected = theirs(query(id.theirs))
      expect(expected).toHaveLength(8)
      expect(rows).toEqual(expected)
    }
  })

  test('every failing tool call', async () => {
    const query = `SELECT step_number, agent_id, json_extract(content, '$.tool_name') AS tool, json_extract(content, '$.tool_input') AS input, json_extract(content, '$.error') AS error
      FROM audit_events WHERE event_type = 'tool_call' AND json_extract(content, '$.error') IS NOT NULL ORDER BY timestamp`
    expect(theirs(query)).toHaveLength(3)
    expect(await ours(query)).toEqual(theirs(query))
  })

  test('tokens per model', async () => {
    const query = `SELECT model_id, count(*) AS calls, sum(json_extract(content, '$.input_tokens')) AS input, sum(json_extract(content, '$.output_tokens')) AS output
      FROM audit_events WHERE event_type = 'llm_call' GROUP BY model_id ORDER BY model_id`
    expect(theirs(query)).toEqual([{ model_id: 'claude-haiku-4-5', calls: 3, input: 600, output: 21 }, { model_id: 'claude-opus-4-6', calls: 6, input: 1200, output: 246 }])
    expect(await ours(query)).toEqual(theirs(query))
  })

  test('getSessionTrail gave rows of the classic columns', async () => {
    const trail = new AgentAuditTrail(join(folder, 'other.db'), 'a', 'm', '')
    const event_id = trail.log('note', { text: 'hello' }, 4)
    const rows = await trail.getSessionTrail()
    await trail.close()
    expect(Object.keys(rows[1]!)).toEqual(theirs('SELECT * FROM audit_events LIMIT 1').flatMap((row) => Object.keys(row)))
    expect(rows[1]).toMatchObject({ event_id, event_type: 'note', step_number: 4, content: '{"text":"hello"}', agent_id: 'a', session_id: trail.session_id })
  })

  test('takes every name, number and null that the classic class took', async () => {
    const path = join(folder, 'odd.db')
    const trail = new AgentAuditTrail(path, 'Support Bot ü', 'my model (v2)', null)
    trail.logLlmCall([{ role: 'user', content: 'hi' }], null, null, { input: 10.4, output: 2 ** 60 }, 1.2)
    trail.logLlmCall(null, 'hello', [], null, null)
    trail.logToolCall('send mail!', undefined as never, null, null, -1)
    trail.logToolCall('地图', { a: 1 }, 'found', 'late', Number.NaN)
    trail.log('Bestellung geprüft', { ok: true }, 2.5)
    const rows = (await trail.getSessionTrail()).map(({ event_type, step_number, agent_id, model_id, content }) => ({ event_type, step_number, agent_id, model_id, content: JSON.parse(content) as Row }))
    await trail.close()
    expect(rows).toMatchObject([
      { event_type: 'session_start', agent_id: 'other', model_id: 'other', content: { tags: { agent_id: 'Support Bot ü', model_id: 'my model (v2)' } } },
      { event_type: 'llm_call', step_number: 1, content: { input_messages: [{ content: 'hi' }], output_text: null, tool_calls_requested: [], input_tokens: 10, output_tokens: null } },
      { event_type: 'llm_call', content: { input_messages: [], output_text: 'hello', tool_calls_requested: [], input_tokens: null } },
      { event_type: 'tool_call', content: { tool_name: 'other', tool_input: null, error: null } },
      { event_type: 'tool_call', content: { tool_name: 'other', tool_input: { a: 1 }, tool_output: 'found', error: 'late' } },
      { event_type: 'other', step_number: 3, content: { name: 'Bestellung geprüft', content: { ok: true } } },
    ])
    await using again = openTrail(path, { agent_id: 'reader' })
    expect(await again.events({ event_type: 'llm_call' }).first()).toMatchObject({ model_id: 'other', model_name: 'my model (v2)' })
    expect(await again.events({ event_type: 'llm_result' }).first()).toMatchObject({ usage: { input: 10.4, output: 2 ** 60 } })
    expect((await again.events({ event_type: 'tool_call' }).all()).map((event) => (event as { names?: unknown }).names)).toEqual([{ tool_name: 'send mail!' }, { tool_name: '地图' }])
    expect((await again.verify()).problems).toEqual([])
  })

  test.skipIf(spawnSync('sqlite3', ['--version']).status !== 0)('the sqlite3 shell sees the same rows in the same order, content as facts and commitments', async () => {
    const { stdout } = await run('sqlite3', ['-json', audited, 'SELECT * FROM audit_events'])
    const shown = JSON.parse(stdout) as Row[]
    expect(Object.keys(shown[0]!)).toEqual(theirs('SELECT * FROM audit_events LIMIT 1').flatMap((row) => Object.keys(row)))
    const columns = ['event_id', 'session_id', 'agent_id', 'timestamp', 'step_number', 'model_id', 'created_at']
    const named = (rows: readonly Row[]): Row[] => rows.map((row) => Object.fromEntries(columns.map((name) => [name, row[name]])))
    expect(shown).toHaveLength(1 + 3 * 10) // the log's own beginning
    expect(named(shown)).toEqual(named(await ours('SELECT * FROM audit_events')))
    expect(stdout).not.toMatch(/refund|1182|warehouse|arrived/)
    const failed = shown.filter(({ content }) => (JSON.parse(String(content)) as Row)['outcome'] === 'failure')
    expect(failed.map(({ event_type, content }) => [event_type, (JSON.parse(String(content)) as Row)['tool_name']])).toEqual(Array.from({ length: 3 }, () => ['tool_call', 'shipping_status']))
  })
})
