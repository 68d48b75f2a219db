// The OTLP bodies that others' exporters sent, from ../shared/data/runs/otel beside the repository: each is posted as it was, and what the trail then has
// is compared with what the body says, read here by itself. They are not part of the project: without the folder these tests are skipped.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { ViewEvent } from '../src/event/view.ts'
import { testServer, type TestServer } from './served.ts'

const FOLDER = fileURLToPath(new URL('../../shared/data/runs/otel/', import.meta.url))
const present = existsSync(join(FOLDER, 'otlp-replay'))
const because = present ? '' : ' (skipped: ../shared/data/runs/otel is absent)'

type Attributes = { readonly [name: string]: unknown }
interface Found { readonly source: string; readonly trace_id: string; readonly span_id: string; readonly name: string; readonly attributes: Attributes }

/** The spans of an OTLP body in JSON, with plain values. */
function spansOf(source: string, body: string): Found[] {
  const { resourceSpans } = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: { traceId: string; spanId: string; name: string; attributes: { key: string; value: object }[] }[] }[] }[] }
  return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)).map(({ traceId, spanId, name, attributes }) => ({
    source, trace_id: traceId, span_id: spanId, name, attributes: Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)])),
  }))
}

function plain(value: object): unknown {
  const [kind, inner] = Object.entries(value)[0] ?? []
  if (kind === 'arrayValue') return ((inner as { values?: object[] }).values ?? []).map(plain)
  return kind === 'intValue' ? Number(inner) : inner
}

const isModel = ({ name, attributes }: Found): boolean => attributes['gen_ai.operation.name'] === 'chat' || /\.do(?:Generate|Stream)$/.test(name) && !/embed/i.test(name) || attributes['openinference.span.kind'] === 'LLM'
const isTool = ({ attributes }: Found): boolean => attributes['ai.operationId'] === 'ai.toolCall' || attributes['gen_ai.operation.name'] === 'execute_tool' || attributes['openinference.span.kind'] === 'TOOL' || typeof attributes['gen_ai.tool.call.id'] === 'string'

/** The first attribute whose name fits. */
function pick({ attributes }: Found, ...names: readonly RegExp[]): unknown {
  for (const name of names) {
    const found = Object.entries(attributes).find(([each]) => name.test(each))
    if (found !== undefined) return found[1]
  }
  return undefined
}

const ASKED = [/^gen_ai\.request\.model$/, /^llm\.model_name$/]
const ANSWERED = [/^gen_ai\.response\.model$/]
const TOKENS_IN = [/^gen_ai\.usage\.(?:input|prompt)_tokens$/, /^llm\.token_count\.prompt$/]
const TOKENS_OUT = [/^gen_ai\.usage\.(?:output|completion)_tokens$/, /^llm\.token_count\.completion$/]
const INPUT = [/^gen_ai\.input\.messages$/, /^ai\.prompt\.messages$/, /^gen_ai\.prompt$/]
const OUTPUT = [/^gen_ai\.output\.messages$/, /^gen_ai\.completion$/]
const STOP = [/^gen_ai\.response\.finish_reasons$/]
const ARGUMENTS = [/^ai\.toolCall\.args$/, /^gen_ai\.tool\.call\.arguments$/, /^tool_arguments$/, /^input\.value$/, /^input$/]
const RESULT = [/^ai\.toolCall\.result$/, /^gen_ai\.tool\.call\.result$/, /^tool_response$/, /^output\.value$/, /^output$/]

/** Every text and number in a value, in order, JSON inside texts opened too. Names of message parts are no content. */
function leaves(value: unknown, key = ''): string[] {
  if (typeof value === 'string') {
    if (/^\s*[[{"]/.test(value)) {
      try {
        return leaves(JSON.parse(value), key)
      } catch {
        // a text that only looks like JSON
      }
    }
    return ['role', 'type', 'finish_reason'].includes(key) || value === '' ? [] : [value]
  }
  if (Array.isArray(value)) return value.flatMap((each) => leaves(each, key))
  if (typeof value === 'object' && value !== null) return Object.entries(value).flatMap(([name, each]) => leaves(each, name))
  return value === null || value === undefined ? [] : [String(value)]
}

/** The flattened messages under `prefix`: their texts, whatever stands between. */
function flattened({ attributes }: Found, prefix: string): string[] {
  return Object.entries(attributes).filter(([name]) => name.startsWith(`${prefix}.`)).flatMap(([name, value]) => leaves(value, name.split('.').at(-1)))
}

const sorted = (texts: readonly string[]): string[] => [...texts].sort()
const without = (texts: readonly string[], others: readonly string[]): string[] => others.reduce((left, each) => (left.includes(each) ? left.toSpliced(left.indexOf(each), 1) : left), [...texts])

interface Told { readonly call: ViewEvent; readonly result: ViewEvent; readonly rest: { readonly [name: string]: unknown } }

/** What the trail has of each span, by its ids: they stand in what is kept of it. */
async function toldOf(server: TestServer): Promise<Map<string, Told>> {
  const { ledger } = server.served.parts.tenants.open('default')!
  const told = new Map<string, Told>()
  for (let cursor: string | undefined; ;) {
    const { items, next } = await ledger.call<{ items: { session_id: string }[]; next: string | null }>('sessions', {}, 200, cursor)
    for (const { session_id } of items) {
      const events = await ledger.call<ViewEvent[]>('session', session_id)
      const byId = new Map(events.map((event) => [event.event_id, event]))
      for (const event of events) {
        const rest = (event.event_type === 'llm_result' ? event['raw'] : event['name'] === 'otel_span' ? event['content'] : undefined) as { trace_id: string; span_id: string } | undefined
        if (rest === undefined) continue
        const call = event.event_type === 'llm_result' ? byId.get(event.parent_event_id!)! : byId.get(event.parent_event_id ?? '')
        const tool = call?.event_type === 'tool_call' && event.event_type === 'custom'
        const own = event.event_type === 'llm_result' ? call! : tool ? call : event
        const result = event.event_type === 'llm_result' ? event : tool ? events.find((each) => each.event_type === 'tool_result' && each.parent_event_id === call.event_id)! : event
        told.set(`${rest.trace_id}/${rest.span_id}`, { call: own, result, rest })
      }
    }
    if (next === null) return told
    cursor = next
  }
}

/** Compares one model or tool call with its span; says which of what a record wants the span lacks. */
function compare(span: Found, told: Told | undefined): string[] {
  const where = `${span.source} ${span.span_id}`
  if (told === undefined) throw new Error(`${where}: not on record`)
  const { call, result } = told
  const lacking: string[] = []
  const has = (what: string, given: unknown, check: () => void): void => {
    if (given === undefined || (Array.isArray(given) && given.length === 0)) lacking.push(what)
    else check()
  }
  if (isTool(span)) {
    expect(call.event_type, where).toBe('tool_call')
    expect(result.event_type, where).toBe('tool_result')
    has('name', pick(span, /^ai\.toolCall\.name$/, /^gen_ai\.tool\.name$/, /^tool\.name$/), () => expect(call['tool_name'], where).toBe(pick(span, /^ai\.toolCall\.name$/, /^gen_ai\.tool\.name$/, /^tool\.name$/)))
    has('call id', pick(span, /^ai\.toolCall\.id$/, /^gen_ai\.tool\.call\.id$/), () => expect(call['call_id'], where).toBe(pick(span, /^ai\.toolCall\.id$/, /^gen_ai\.tool\.call\.id$/)))
    has('arguments', pick(span, ...ARGUMENTS), () => expect(sorted(leaves(call['tool_input'])), where).toEqual(sorted(leaves(pick(span, ...ARGUMENTS)))))
    has('result', pick(span, ...RESULT), () => expect(sorted(leaves(result['tool_output'])), where).toEqual(sorted(leaves(pick(span, ...RESULT)))))
    return lacking
  }
  expect(call.event_type, where).toBe('llm_call')
  expect(result.event_type, where).toBe('llm_result')
  has('model asked', pick(span, ...ASKED), () => expect([call['model_id'], call['model_name']], where).toContain(pick(span, ...ASKED)))
  has('model that answered', pick(span, ...ANSWERED), () => expect([result['model_id'], ...leaves(result['names'])], where).toContain(pick(span, ...ANSWERED)))
  has('input tokens', pick(span, ...TOKENS_IN), () => expect(result['input_tokens'], where).toBe(Number(pick(span, ...TOKENS_IN))))
  has('output tokens', pick(span, ...TOKENS_OUT), () => expect(result['output_tokens'], where).toBe(Number(pick(span, ...TOKENS_OUT))))
  has('stop reason', pick(span, ...STOP), () => expect(leaves(pick(span, ...STOP)), where).toContain(result['stop_reason'] === 'other' ? leaves(result['names'])[0] : result['stop_reason']))
  has('response id', pick(span, /^gen_ai\.response\.id$/), () => expect(result['response_id'], where).toBe(pick(span, /^gen_ai\.response\.id$/)))
  const given = pick(span, ...INPUT)
  const input = given === undefined ? flattened(span, 'llm.input_messages') : leaves(given)
  has('messages', input, () => expect(sorted(leaves(call['input_messages'])), where).toEqual(sorted(input)))
  const said = pick(span, ...OUTPUT)
  const output = said !== undefined ? leaves(said) : [...flattened(span, 'llm.output_messages'), ...leaves(span.attributes['ai.response.text']), ...leaves(span.attributes['ai.response.object']), ...leaves(span.attributes['ai.response.toolCalls'])]
  has('answer', output, () => expect(without(output, leaves([result['output'], result['output_text']])), where).toEqual([]))
  const arguments_ = [...JSON.stringify(said ?? span.attributes['ai.response.toolCalls'] ?? '').matchAll(/tool_call|toolCallId/g)]
  if (arguments_.length > 0) expect(result['tool_calls_requested'], where).toBeDefined()
  const system = pick(span, /^gen_ai\.system_instructions$/)
  if (system !== undefined) expect(leaves(call['system_prompt']), where).toEqual(leaves(system))
  const tools = pick(span, /^gen_ai\.tool\.definitions$/, /^ai\.prompt\.tools$/)
  if (tools !== undefined) expect(sorted(leaves(call['tool_definitions'])), where).toEqual(sorted(leaves(tools)))
  if (output.length > 0 && JSON.stringify(said ?? '').includes('tool_call\\"') && leaves((result['tool_calls_requested'] as { input: unknown }[] | undefined)?.map((each) => each.input)).length === 0) lacking.push('arguments of the calls it asks for')
  return lacking
}

/** One line for each instrumentation: how many calls there are, and of how many something is lacking. */
function tableOf(rows: ReadonlyMap<string, { model: number; tool: number; lacking: Map<string, number> }>): string {
  const lines = ['| instrumentation | model calls | tool calls | lacking (in how many) |', '|---|---|---|---|']
  for (const [name, { model, tool, lacking }] of [...rows].sort(([a], [b]) => a.localeCompare(b))) lines.push(`| ${name} | ${model} | ${tool} | ${[...lacking].sort(([a, n], [b, m]) => m - n || a.localeCompare(b)).map(([what, n]) => `${what} (${n})`).join(', ') || 'nothing'} |`)
  return lines.join('\n')
}

const rows = new Map<string, { model: number; tool: number; lacking: Map<string, number> }>()

function count(span: Found, lacking: readonly string[]): void {
  const name = span.source.split('/')[0]!
  if (name.startsWith('langfuse')) return // what is not there may be what Langfuse took out
  const row = rows.get(name) ?? { model: 0, tool: 0, lacking: new Map<string, number>() }
  rows.set(name, row)
  if (isTool(span)) row.tool++
  else row.model++
  for (const what of lacking) row.lacking.set(isTool(span) ? `tool ${what}` : what, (row.lacking.get(isTool(span) ? `tool ${what}` : what) ?? 0) + 1)
}

describe.skipIf(!present)(`bodies of real exporters${because}`, () => {
  test('every model call and tool call is found again with all that its body says', async () => {
    const server = await testServer()
    const key = server.key('agent')
    const files = readdirSync(join(FOLDER, 'otlp-replay'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.otlp.json')).sort()
    expect(files).toHaveLength(105)
    const spans: Found[] = []
    for (const [i, file] of files.entries()) {
      const body = readFileSync(join(FOLDER, 'otlp-replay', file), 'utf8')
      const packed = i % 2 === 0
      const { status, body: said } = await server.ask(key, 'POST', packed ? '/otlp/v1/traces' : '/v1/traces', packed ? gzipSync(body) : body, packed ? { 'content-encoding': 'gzip' } : {})
      expect([status, said], file).toEqual([200, {}])
      spans.push(...spansOf(file, body))
    }
    expect(spans).toHaveLength(348)
    const told = await toldOf(server)
    expect(told.size).toBe(348)
    for (const span of spans) {
      const one = told.get(`${span.trace_id}/${span.span_id}`)
      expect(one?.rest['name'], span.source).toBe(span.name)
      if (isModel(span) || isTool(span)) count(span, compare(span, one))
      else expect(one!.call.event_type, span.source).toBe('custom')
    }
    expect([...rows.values()].map(({ model, tool }) => model + tool).reduce((a, b) => a + b)).toBe(57 + 49 + 104 + 12 + 16)
  })

  test('attributes as OpenInference and the AI SDK write them', async () => {
    const server = await testServer()
    const key = server.key('agent')
    const spans = [...openInference(), ...langfuse()]
    for (const [i, { trace_id, span_id, name, attributes }] of spans.entries()) {
      const body = { resourceSpans: [{ scopeSpans: [{ spans: [{ traceId: trace_id, spanId: span_id, name, startTimeUnixNano: `${1_770_000_000_000_000_000n + BigInt(i)}`, endTimeUnixNano: `${1_770_000_001_000_000_000n + BigInt(i)}`, attributes: Object.entries(attributes).map(([name, value]) => ({ key: name, value: valued(value) })) }] }] }] }
      expect((await server.ask(key, 'POST', '/otlp/v1/traces', body)).body, name).toEqual({})
    }
    const told = await toldOf(server)
    for (const span of spans) {
      const one = told.get(`${span.trace_id}/${span.span_id}`)
      if (isModel(span) || isTool(span)) count(span, compare(span, one))
      else expect(one!.call.event_type, span.source).toBe('custom')
    }
  })

  test('what each instrumentation lacks is in docs/otlp.md', () => {
    const table = tableOf(rows)
    console.log(table)
    expect(readFileSync(new URL('../docs/otlp.md', import.meta.url), 'utf8')).toContain(table)
  })
})

function valued(value: unknown): object {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  if (typeof value === 'number') return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value }
  return Array.isArray(value) ? { arrayValue: { values: value.map(valued) } } : { stringValue: JSON.stringify(value) }
}

function openInference(): Found[] {
  const folder = join(FOLDER, 'openinference')
  const plainSpans = readdirSync(join(folder, 'openinference-genai/test/__fixtures__')).sort().map((file, i): Found => ({
    source: `openinference-genai (examples)/${file}`, trace_id: `${i + 1}`.padStart(32, 'a'), span_id: `${i + 1}`.padStart(16, 'a'), name: file,
    attributes: JSON.parse(readFileSync(join(folder, 'openinference-genai/test/__fixtures__', file), 'utf8')) as Attributes,
  }))
  const captured = JSON.parse(readFileSync(join(folder, 'openinference-vercel/test/__fixtures__/v6-spans/all-spans.json'), 'utf8')) as { name: string; spanContext: { traceId: string; spanId: string }; attributes: Attributes }[]
  return [...plainSpans, ...captured.map(({ name, spanContext, attributes }): Found => ({ source: 'ai-sdk 6/all-spans.json', trace_id: spanContext.traceId, span_id: spanContext.spanId, name, attributes }))]
}

/** Observations with the attributes that their spans had, as far as Langfuse kept them. */
function langfuse(): Found[] {
  const folder = join(FOLDER, 'langfuse-framework-traces')
  return readdirSync(folder).filter((name) => name.endsWith('.trace.json')).sort().flatMap((file, i) => {
    const { observations } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { observations: { id: string; name: string; metadata: string | object }[] }
    return observations.flatMap(({ name, metadata }, j): Found[] => {
      const { attributes } = (typeof metadata === 'string' ? JSON.parse(metadata) : metadata) as { attributes?: Attributes }
      if (attributes === undefined || Object.keys(attributes).length === 0) return []
      return [{ source: `langfuse: ${file.replace(/-\d{4}.*$/, '')}/${file}`, trace_id: `${i + 1}`.padStart(32, 'b'), span_id: `${100 * (i + 1) + j}`.padStart(16, 'b'), name, attributes }]
    })
  })
}
