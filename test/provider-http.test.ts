// The real SDK against recorded answers, wrapped and unwrapped: the caller must not be able to tell, and the record must say
// what the caller got. Then everything that can go wrong with a connection.

import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ModelCall, ModelResult } from '../src/event/model-call.ts'
import { auditAnthropic } from '../src/integrations/anthropic.ts'
import { type Capture, type Captured, captureCalls } from './model-server/capture.ts'
import { cassettes, type Exchange, fixtures, missing } from './model-server/recorded.ts'
import { type RawServer, startRawServer } from './model-server/raw-server.ts'

type Params = Anthropic.MessageCreateParams
type Json = { readonly [key: string]: unknown }

const why = missing()
if (why !== undefined) console.warn(`provider-http: recorded traffic skipped: ${why}`)

describe.skipIf(why !== undefined)(`recorded answers of the Messages API${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
  let exchanges: Exchange[] = []
  let server: RawServer
  const counts = { exchanges: 0, json: 0, streams: 0, calls: 0, results: 0, errors: 0, text: 0, tool_calls: 0, thinking: 0 }
  const capture = captureCalls()

  beforeAll(async () => {
    vi.spyOn(console, 'warn').mockReturnValue(undefined) // the SDK's word on retired models
    exchanges = [...cassettes(), ...fixtures()]
    server = await startRawServer(async ({ url }, response) => {
      const { status, headers, body } = exchanges[Number(/^\/x\/(\d+)\//.exec(url)![1])]!
      response.writeHead(status, headers.flat())
      // Cut at odd places, so that no chunk is an event.
      for (let at = 0; at < body.length; at += 1021) {
        response.write(body.subarray(at, at + 1021))
        if (at % (1021 * 8) === 0) await new Promise(setImmediate)
      }
      response.end()
    })
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
    console.log(`provider-http: ${JSON.stringify(counts)}`)
  })

  /** What `run` gives with the plain client and with the audited one, on exchange `i`. */
  async function both(i: number, run: (client: Anthropic, exchange: Exchange) => Promise<unknown>): Promise<{ got: unknown; expected: unknown; recorded: Captured[] }> {
    const plain = new Anthropic({ apiKey: 'k', baseURL: `${server.url}/x/${i}`, maxRetries: 0, logLevel: 'off' })
    const expected = await outcome(run(plain, exchanges[i]!))
    capture.clear()
    const got = await outcome(run(auditAnthropic(plain, capture), exchanges[i]!))
    const recorded = [...capture.calls]
    counts.calls += recorded.length
    counts.results += capture.results.length
    return { got, expected, recorded }
  }

  test('there are 60 exchanges of cassettes and some 60 fixtures', () => {
    expect(exchanges.filter(({ name }) => !/\.(?:json|txt)$/.test(name))).toHaveLength(60)
    expect(exchanges.length).toBeGreaterThanOrEqual(115)
    counts.exchanges = exchanges.length
  })

  test('create(): the same value or error, one call, one result that says the same', async () => {
    for (const [i, exchange] of exchanges.entries()) {
      const { got, expected, recorded } = await both(i, create)
      expect(got, exchange.name).toEqual(expected)
      expect(recorded, exchange.name).toHaveLength(1)
      expect(recorded[0]!.results, exchange.name).toHaveLength(1)
      checkRequest(recorded[0]!.call, server.requests.at(-1)!.body, exchange)
      if (exchange.stream) counts.streams++
      else counts.json++
      if (!('value' in (expected as object))) counts.errors++
      else if (!exchange.stream) checkResult(recorded[0]!.results[0]!, (expected as { value: Anthropic.Message }).value, exchange)
    }
  }, 120_000)

  test('stream(): the same events and final message, and the record equals that message', async () => {
    for (const [i, exchange] of exchanges.entries()) {
      if (!exchange.stream) continue
      const { got, expected, recorded } = await both(i, streamed)
      expect(got, exchange.name).toEqual(expected)
      expect(recorded[0]!.results, exchange.name).toHaveLength(1)
      const { final } = (expected as { value: { final: { value?: Anthropic.Message } } }).value
      if (final.value !== undefined) checkResult(recorded[0]!.results[0]!, final.value, exchange)
      else counts.errors++
    }
  }, 120_000)

  test('withResponse() and asResponse(): the same data, status, url, type and headers', async () => {
    for (const [i, exchange] of exchanges.entries()) {
      const { got, expected, recorded } = await both(i, withResponse)
      expect(got, exchange.name).toEqual(expected)
      expect(recorded.map(({ results }) => results.length), exchange.name).toEqual([1, 1, 1])
    }
  }, 120_000)

  test('a message that starts twice is recorded once, and one that another replaces is kept', async () => {
    const result = async (name: string): Promise<ModelResult> => {
      const i = exchanges.findIndex((exchange) => exchange.name === name)
      return (await both(i, create)).recorded[0]!.results[0]!
    }
    const twice = await result('duplicate-message-start.chunks.txt')
    expect(twice).toMatchObject({ complete: true, response_id: 'msg_dup', output_text: 'Hello, World!', output_tokens: 227, input_tokens: 17 })
    expect(twice.raw).toBeUndefined()
    const spliced = await result('spliced-message-start.chunks.txt')
    expect(spliced).toMatchObject({ complete: true, response_id: 'msg_second', stop_reason: 'tool_use', tool_calls_requested: [{ name: 'test-tool', input: { value: 'Sparkle Day' }, call_id: 'toolu_second' }] })
    const { superseded_messages } = JSON.parse(String(spliced.raw!.content)) as { superseded_messages: { id: string; content: { input?: unknown }[] }[] }
    expect(superseded_messages[0]!.id).toBe('msg_first')
    expect(superseded_messages[0]!.content[1]!.input).toBe('{"value":"Spark')
    expect((await result('anthropic-refusal.chunks.txt')).raw!.content).toContain('violative cyber content')
  })

  function checkResult(result: ModelResult, message: Anthropic.Message, { name }: Exchange): void {
    const content = message.content as unknown as Json[]
    expect(result.outcome, name).toBe('success')
    expect(result.complete, name).toBe(true)
    expect(result.response_id, name).toBe(message.id)
    expect(result.model_id, name).toBe(message.model)
    expect(result.stop_reason ?? null, name).toBe(message.stop_reason)
    expect(result.input_tokens, name).toBe(message.usage.input_tokens)
    expect(result.output_tokens, name).toBe(message.usage.output_tokens)
    expect(result.cache_read_tokens, name).toBe(message.usage.cache_read_input_tokens ?? undefined)
    expect(result.cache_write_tokens, name).toBe(message.usage.cache_creation_input_tokens ?? undefined)
    const text = content.flatMap((block) => (block['type'] === 'text' ? [block['text']] : [])).join('')
    expect(result.output_text ?? '', name).toBe(text)
    expect(result.tool_calls_requested.filter(({ provider_run }) => !provider_run), name).toEqual(
      content.filter(({ type }) => type === 'tool_use').map((block) => ({ name: block['name'], input: block['input'], call_id: block['id'] })),
    )
    expect(result.thinking.flatMap(({ text }) => text ?? []), name).toEqual(content.flatMap((block) => (block['type'] === 'thinking' && block['thinking'] !== '' ? [block['thinking']] : [])))
    // The SDK's stream leaves the input of `mcp_tool_use` empty; the record has it.
    const comparable = (block: Json): Json => (block['type'] === 'mcp_tool_use' ? { ...block, input: null } : block)
    expect(result.output.map((piece) => comparable(JSON.parse(String(piece.content)) as Json)), name).toEqual(content.map(comparable))
    if (text !== '') counts.text++
    counts.tool_calls += result.tool_calls_requested.length
    counts.thinking += result.thinking.length
  }
})

/** Every part of the request is a slice of what the server got, and together they are all of it. */
function checkRequest(call: ModelCall, body: string, { name }: { name: string }): void {
  const sent = JSON.parse(body) as Json
  const pieces = [...call.input_messages, ...call.tool_definitions]
  for (const piece of pieces) expect(body.includes(String(piece.content)), name).toBe(true)
  const parsed = (piece: { content: string | Uint8Array }): unknown => JSON.parse(String(piece.content))
  const { temperature, top_p, budget_tokens: _, ...counts } = call.parameters
  expect({
    model: call.model_id,
    messages: call.input_messages.map(parsed),
    ...('tools' in sent && { tools: call.tool_definitions.map(parsed) }),
    ...('stream' in sent && { stream: call.streaming }),
    ...(call.system_prompt && { system: call.system_prompt.m === 'text' ? call.system_prompt.content : parsed(call.system_prompt) }),
    ...counts,
    ...(temperature !== undefined && { temperature: Number(temperature) }),
    ...(top_p !== undefined && { top_p: Number(top_p) }),
    ...(call.request_parameters && (parsed(call.request_parameters) as Json)),
  }, name).toEqual(sent)
}

async function create(client: Anthropic, { params, beta }: Exchange): Promise<unknown> {
  const messages = beta ? (client.beta.messages as unknown as Anthropic.Messages) : client.messages
  const made = await messages.create(params as unknown as Params)
  return made !== null && typeof made === 'object' && Symbol.asyncIterator in made ? await drain(made) : made
}

/** A stream's events, and how it ended. */
async function drain(stream: AsyncIterable<unknown>): Promise<unknown> {
  const events: unknown[] = []
  const end = await outcome((async () => {
    for await (const event of stream) events.push(event)
  })())
  return { events, end }
}

async function streamed(client: Anthropic, { params, beta }: Exchange): Promise<unknown> {
  const stream = (beta ? (client.beta.messages as unknown as Anthropic.Messages) : client.messages).stream(params as unknown as Anthropic.MessageStreamParams)
  const events: unknown[] = []
  for (const name of ['connect', 'streamEvent', 'text', 'inputJson', 'thinking', 'signature', 'citation', 'contentBlock', 'message', 'finalMessage', 'error', 'abort', 'end'] as const) {
    stream.on(name, (...args: unknown[]) => events.push([name, name === 'error' ? describeError(args[0]) : name === 'streamEvent' ? (args[0] as Json)['type'] : name === 'text' ? args[0] : null]))
  }
  const final = await outcome(stream.finalMessage())
  return { events, final, request_id: stream.request_id }
}

async function withResponse(client: Anthropic, { params, beta, stream }: Exchange): Promise<unknown> {
  const messages = beta ? (client.beta.messages as unknown as Anthropic.Messages) : client.messages
  const { data, response, request_id } = await messages.create(params as unknown as Params).withResponse()
  const raw = await messages.create(params as unknown as Params).asResponse()
  const clone = raw.clone()
  const cloned = await clone.text()
  const text = await raw.text()
  const unread = await messages.create(params as unknown as Params).asResponse()
  const chunks: Uint8Array[] = []
  for await (const chunk of unread.body as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return {
    data: stream ? await drain(data as AsyncIterable<unknown>) : data,
    request_id,
    text,
    same: cloned === text && Buffer.concat(chunks).toString() === text,
    responses: [response, raw, clone, unread].map(describeResponse),
  }
}

function describeResponse(response: Response): unknown {
  const { status, statusText, ok, url, type, redirected, bodyUsed } = response
  return { status, statusText, ok, url, type, redirected, bodyUsed, headers: [...response.headers], global: response instanceof Response, class: response.constructor.name, keys: Object.keys(response) }
}

async function outcome(promise: Promise<unknown>): Promise<unknown> {
  try {
    const value = await promise
    // The SDK puts the request's id beside the value where `toEqual` does not look.
    return { value, id: (value as { _request_id?: string } | null)?._request_id }
  } catch (error) {
    return describeError(error)
  }
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { thrown: error }
  const { status, headers, error: body, requestID, type } = error as Partial<InstanceType<typeof Anthropic.APIError>>
  return { class: error.constructor.name, name: error.name, message: error.message, status, headers: headers && [...headers], body, requestID, type, cause: (error.cause as Error | undefined)?.message }
}
