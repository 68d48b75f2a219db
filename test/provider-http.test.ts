// The real SDK against recorded answers, wrapped and unwrapped: the caller must not be able to tell, and the record must say
// what the caller got. Then everything that can go wrong with a connection.

import Anthropic from '@anthropic-ai/sdk'
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod'
import { execFile } from 'node:child_process'
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { z } from 'zod'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type MessageReply, type Script, startModelServer } from '../src/cli/model-server.ts'
import type { ModelCall, ModelCallSource, ModelResult } from '../src/event/model-call.ts'
import { auditAnthropic, auditedFetch } from '../src/integrations/anthropic.ts'
import { type Captured, captureCalls, sinkOf, sourceOf } from './model-server/capture.ts'
import { cassettes, type Exchange, fixtures, missing } from './model-server/recorded.ts'
import { type Handler, type RawServer, startRawServer } from './model-server/raw-server.ts'

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
    vi.restoreAllMocks()
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

const REQUEST = { model: 'claude-test', max_tokens: 64, messages: [{ role: 'user' as const, content: 'hi' }] }
const REPLY: MessageReply = { content: [{ type: 'thinking', thinking: 'Let me see.', signature: 'c2ln' }, { type: 'text', text: 'Hello, 🌍! How are you today, my friend?' }] }

describe('the surface of the SDK', () => {
  test('the client is of its class, with its options, and is recorded once however often it is wrapped', async () => {
    await using server = await startModelServer(() => REPLY)
    const capture = captureCalls()
    class Mine extends Anthropic { readonly mine = 1 }
    const client = new Mine({ apiKey: 'k', baseURL: server.url, timeout: 1234, maxRetries: 7, defaultHeaders: { 'x-mine': '1' } })
    const audited: Mine = auditAnthropic(client, capture)
    expect(audited).toBeInstanceOf(Mine)
    expect(audited).toMatchObject({ mine: 1, apiKey: 'k', baseURL: server.url, timeout: 1234, maxRetries: 7 })
    expect(auditAnthropic(audited, capture)).toBe(audited)
    await auditAnthropic(auditAnthropic(client, capture), capture).messages.create(REQUEST)
    expect(capture.calls).toHaveLength(1)
    const other = captureCalls()
    await auditAnthropic(audited, other).messages.create(REQUEST)
    await audited.withOptions({ timeout: 99 }).messages.create(REQUEST)
    expect([capture.calls.length, other.calls.length]).toEqual([2, 1])
    await client.messages.create(REQUEST)
    expect(capture.calls).toHaveLength(2)
  })

  test('what is no model call passes unrecorded', async () => {
    await using server = await startModelServer(() => REPLY)
    const capture = captureCalls()
    const client = auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: server.url }), capture)
    expect((await client.messages.countTokens({ model: 'm', messages: REQUEST.messages })).input_tokens).toBeGreaterThan(0)
    expect((await client.models.list()).data).toHaveLength(1)
    await expect(client.messages.batches.create({ requests: [] })).rejects.toThrow('Not found')
    expect(capture.calls).toEqual([])
    await client.beta.messages.create({ ...REQUEST, betas: ['x'] })
    expect(capture.calls).toHaveLength(1)
  })

  test('each request is recorded where its own async context says', async () => {
    await using server = await startModelServer(() => ({ ...REPLY, delay_ms: 5 }))
    const sessions = new AsyncLocalStorage<ReturnType<typeof captureCalls>>()
    const client = auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: server.url }), sourceOf(() => sinkOf(sessions.getStore()!)))
    const [one, two] = [captureCalls(), captureCalls()]
    await Promise.all([
      sessions.run(one, () => client.messages.create({ ...REQUEST, model: 'one' })),
      sessions.run(two, () => client.messages.stream({ ...REQUEST, model: 'two' }).finalMessage()),
    ])
    expect([one, two].map(({ calls }) => calls.map(({ call, results }) => [call.model_id, results.length]))).toEqual([[['one', 1]], [['two', 1]]])
  })

  test('toolRunner runs betaZodTools in parallel, in one piece and as a stream; each turn is a call', async () => {
    const script: Script = ({ messages }) =>
      messages.length === 1
        ? { content: [{ type: 'text', text: 'I look.' }, { type: 'tool_use', id: 't1', name: 'weather', input: { city: 'Köln' } }, { type: 'tool_use', id: 't2', name: 'weather', input: { city: 'Ulm' } }], chunk: 3 }
        : { content: [{ type: 'text', text: 'Fine.' }] }
    await using server = await startModelServer(script)
    for (const stream of [false, true]) {
      const capture = captureCalls()
      const cities: string[] = []
      const weather = betaZodTool({ name: 'weather', description: 'weather', inputSchema: z.object({ city: z.string() }), run: ({ city }) => (cities.push(city), `sunny in ${city}`) })
      const client = auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: server.url }), capture)
      const last = await client.beta.messages.toolRunner({ ...REQUEST, tools: [weather], stream }).runUntilDone()
      expect(last.content).toMatchObject([{ type: 'text', text: 'Fine.' }])
      expect(cities).toEqual(['Köln', 'Ulm'])
      expect(capture.results.map(({ stop_reason, complete, tool_calls_requested }) => ({ stop_reason, complete, tool_calls_requested }))).toEqual([
        { stop_reason: 'tool_use', complete: true, tool_calls_requested: [{ name: 'weather', input: { city: 'Köln' }, call_id: 't1' }, { name: 'weather', input: { city: 'Ulm' }, call_id: 't2' }] },
        { stop_reason: 'end_turn', complete: true, tool_calls_requested: [] },
      ])
      // The tool runner opens a thread: the second request holds the tools' results alone and names the answer it continues.
      expect(capture.calls[1]!.call.input_messages).toHaveLength(1)
      expect(capture.calls[1]!.call.continues).toBe(capture.results[0]!.response_id)
      expect(capture.calls[0]!.call.tool_definitions).toHaveLength(1)
    }
  })

  test('other middleware sees what it saw before, and can read the answer', async () => {
    await using server = await startModelServer(() => REPLY)
    const capture = captureCalls()
    const seen: unknown[] = []
    const client = auditAnthropic(
      new Anthropic({
        apiKey: 'k',
        baseURL: server.url,
        middleware: [async (request, next, context) => {
          const response = await next(request)
          seen.push((await context.parse<Anthropic.Message>(response)).type, await response.clone().json().then((body) => (body as Json)['type']))
          return response
        }],
      }),
      capture,
    )
    expect((await client.messages.create(REQUEST)).content).toHaveLength(2)
    expect(seen).toEqual(['message', 'message'])
    expect(capture.results).toMatchObject([{ complete: true, thinking: [{ text: 'Let me see.', form: 'summarised' }] }])
  })

  test('an SDK without middleware is recorded through its fetch', async () => {
    await using server = await startModelServer(() => REPLY)
    const capture = captureCalls()
    const old = new Anthropic({ apiKey: 'k', baseURL: server.url })
    Object.assign(old, { middleware: undefined })
    const audited = auditAnthropic(old, capture)
    await audited.messages.create(REQUEST)
    await new Anthropic({ apiKey: 'k', baseURL: server.url, fetch: auditedFetch(capture) }).messages.create({ ...REQUEST, stream: true }).then(drain)
    expect(capture.results).toMatchObject([{ complete: true }, { complete: true, time_to_first_token_ms: expect.any(Number) }])
    Object.assign(audited, { middleware: undefined })
    expect(auditAnthropic(audited, capture)).toBe(audited)
    const slow = new Anthropic({ apiKey: 'k', baseURL: server.url, fetch: auditedFetch(capture, (_, init) => new Promise((_resolve, reject) => init!.signal!.addEventListener('abort', () => reject(init!.signal!.reason as Error)))), timeout: 1000, maxRetries: 0 })
    await expect(slow.messages.create(REQUEST)).rejects.toThrow('timed out')
    expect(capture.results[2]).toMatchObject({ outcome: 'timeout', error_type: 'timeout' })
  })

  test('what is no client or no trail is refused', () => {
    expect(() => auditAnthropic({} as Anthropic, captureCalls())).toThrow(TypeError)
    expect(() => auditAnthropic(new Anthropic({ apiKey: 'k' }), {} as ModelCallSource)).toThrow(TypeError)
  })
})

describe('the failure policy', () => {
  test('a request leaves after its intent is on record', async () => {
    await using server = await startRawServer((_, response) => void response.end())
    let release!: () => void
    const capture = captureCalls(() => new Promise((resolve) => (release = resolve)))
    const asked = auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: server.url }), capture).messages.create(REQUEST)
    await sleep(50)
    expect([capture.calls.length, server.requests.length]).toEqual([1, 0])
    release()
    await asked
    expect(server.requests).toHaveLength(1)
  })

  test('when the policy forbids it nothing leaves, and the caller gets that very error', async () => {
    await using server = await startRawServer((_, response) => void response.end())
    const refusal = new Error('spool is full')
    const capture = captureCalls(() => Promise.reject(refusal))
    await expect(auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: server.url }), capture).messages.create(REQUEST)).rejects.toBe(refusal)
    expect(server.requests).toEqual([])
    expect(capture.results).toMatchObject([{ outcome: 'failure', complete: false, error_type: 'not_sent' }])
  })

  test('a sink that breaks its word does not stop the agent', async () => {
    await using server = await startModelServer(() => REPLY)
    const boom = (): never => { throw new Error('boom') }
    const warnings: string[] = []
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warnings.push(String(warning)))
    for (const call of [boom, () => ({ event_id: '1', ready: async () => undefined, finish: boom })]) {
      const client = auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: server.url }), sourceOf(() => ({ call })))
      expect((await client.messages.create(REQUEST)).type).toBe('message')
    }
    expect(warnings).toEqual(['anthropic: a model call went out unrecorded: Error: boom'])
    warn.mockRestore()
  })
})

describe('connections', () => {
  /** The plain and the audited client against the same server; gives both errors' descriptions and the results. */
  async function compare(handler: Handler, options: Partial<ConstructorParameters<typeof Anthropic>[0]>, run: (client: Anthropic) => Promise<unknown>): Promise<{ error: unknown; capture: ReturnType<typeof captureCalls> }> {
    await using server = await startRawServer(handler)
    const capture = captureCalls()
    const plain = new Anthropic({ apiKey: 'k', baseURL: server.url, maxRetries: 0, logLevel: 'off', ...options })
    const expected = await outcome(run(plain))
    const error = await outcome(run(auditAnthropic(plain, capture)))
    expect(error).toEqual(expected)
    await capture.settled(capture.calls.length)
    expect(capture.calls.every(({ results }) => results.length === 1)).toBe(true)
    return { error, capture }
  }

  const frame = (event: Json): string => `event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`
  const beginning = [
    { type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null, usage: { input_tokens: 5, output_tokens: 1 } } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hel' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'lo' } },
  ].map(frame)
  const partly = (end: (response: Parameters<Handler>[1]) => void): Handler => async (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const part of beginning) response.write(part)
    await sleep(30)
    end(response)
  }
  const stay = partly(() => undefined)
  const stream = (client: Anthropic): Promise<unknown> => client.messages.create({ ...REQUEST, stream: true }).then(drain)

  test('a socket destroyed in mid-stream: the same error, the partial answer kept', async () => {
    const { capture } = await compare(partly((response) => response.destroy()), {}, stream)
    expect(capture.results).toMatchObject([{ outcome: 'failure', error_type: 'connection_error', complete: false, output_text: 'Hello', response_id: 'msg_1', input_tokens: 5, status: 200, error: { m: 'text' } }])
  })

  test('a stream that ends before its message does', async () => {
    const { capture } = await compare(partly((response) => void response.end()), {}, stream)
    expect(capture.results).toMatchObject([{ outcome: 'failure', error_type: 'incomplete_stream', complete: false, output_text: 'Hello' }])
  })

  test('an error event in mid-stream', async () => {
    const failing = partly((response) => void response.end(frame({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } })))
    const { capture } = await compare(failing, {}, stream)
    expect(capture.results).toMatchObject([{ outcome: 'failure', error_type: 'overloaded_error', complete: false, output_text: 'Hello' }])
    expect(String(capture.results[0]!.error!.content)).toContain('Overloaded')
  })

  test('a socket destroyed before the answer: each retry is an attempt of its own', async () => {
    const { capture } = await compare((_, response) => void response.destroy(), { maxRetries: 1 }, (client) => client.messages.create(REQUEST))
    expect(capture.calls.map(({ call, results }) => [call.attempt, results[0]!.error_type, results[0]!.outcome])).toEqual([[0, 'connection_error', 'failure'], [1, 'connection_error', 'failure']])
  })

  test('a socket destroyed inside a JSON answer', async () => {
    const handler: Handler = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' }).write('{"id":"msg_1","content":[')
      setTimeout(() => response.destroy(), 30)
    }
    const { capture } = await compare(handler, {}, (client) => client.messages.create(REQUEST))
    expect(capture.results).toMatchObject([{ outcome: 'failure', error_type: 'connection_error', complete: false, raw: { m: 'text', content: '{"id":"msg_1","content":[' } }])
  })

  test('a timeout before the answer', async () => {
    const { error, capture } = await compare(() => undefined, { timeout: 80, defaultHeaders: { 'x-stainless-timeout': null } }, (client) => client.messages.create(REQUEST))
    expect(error).toMatchObject({ class: 'APIConnectionTimeoutError' })
    expect(capture.results).toMatchObject([{ outcome: 'timeout', error_type: 'timeout', complete: false, latency_ms: expect.any(Number) }])
  })

  test('an abort by the caller before the answer, and the caller own time limit', async () => {
    const aborted = await compare(() => undefined, {}, (client) => {
      const controller = new AbortController()
      setTimeout(() => controller.abort(), 40)
      return client.messages.create(REQUEST, { signal: controller.signal })
    })
    expect(aborted.error).toMatchObject({ class: 'APIUserAbortError' })
    expect(aborted.capture.results).toMatchObject([{ outcome: 'unknown', error_type: 'aborted', complete: false }])
    const limited = await compare(() => undefined, {}, (client) => client.messages.create(REQUEST, { signal: AbortSignal.timeout(40) }))
    expect(limited.capture.results).toMatchObject([{ outcome: 'timeout', error_type: 'timeout' }])
  })

  test('a stream that the caller leaves, aborts by controller, by signal, and through stream()', async () => {
    const left = await compare(stay, {}, async (client) => {
      for await (const event of await client.messages.create({ ...REQUEST, stream: true })) if (event.type === 'content_block_delta') return event
      return undefined
    })
    const byController = await compare(stay, {}, async (client) => {
      const events = await client.messages.create({ ...REQUEST, stream: true })
      const seen: string[] = []
      for await (const event of events) {
        seen.push(event.type)
        if (event.type === 'content_block_delta') events.controller.abort()
      }
      return seen
    })
    const bySignal = await compare(stay, {}, async (client) => {
      const controller = new AbortController()
      setTimeout(() => controller.abort(), 60)
      return drain(await client.messages.create({ ...REQUEST, stream: true }, { signal: controller.signal }))
    })
    const byHelper = await compare(stay, {}, async (client) => {
      const events = client.messages.stream(REQUEST)
      events.on('text', () => events.abort())
      return events.finalMessage()
    })
    for (const { capture } of [left, byController, bySignal, byHelper]) {
      expect(capture.results).toMatchObject([{ outcome: 'unknown', error_type: 'aborted', complete: false, response_id: 'msg_1', input_tokens: 5 }])
      expect(capture.results[0]!.output_text).toMatch(/^Hel/)
    }
  })

  test('a body that the caller cancels is cancelled at the server', async () => {
    let closed = false
    await using server = await startRawServer((request, response) => {
      response.on('close', () => (closed = true))
      return stay(request, response)
    })
    const capture = captureCalls()
    const response = await auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: server.url }), capture).messages.create({ ...REQUEST, stream: true }).asResponse()
    await response.body!.cancel()
    for (let i = 0; i < 100 && !closed; i++) await sleep(10)
    expect(closed).toBe(true)
    expect(capture.results).toMatchObject([{ outcome: 'unknown', error_type: 'aborted', complete: false }])
  })

  test('an abort while nobody reads is told at once', async () => {
    await using server = await startRawServer(stay)
    const capture = captureCalls()
    const controller = new AbortController()
    const response = await auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: server.url }), capture).messages.create({ ...REQUEST, stream: true }, { signal: controller.signal }).asResponse()
    controller.abort()
    await capture.settled(1, 1000)
    expect(capture.results).toMatchObject([{ outcome: 'unknown', error_type: 'aborted', complete: false, status: 200 }])
    await expect(response.text()).rejects.toThrow('aborted')
  })

  test('overloaded, then limited, then well: three attempts, each with its own answer', async () => {
    let count = 0
    const script: Script = () => {
      count++
      if (count % 3 === 1) return { status: 529, error: { type: 'overloaded_error', message: 'Overloaded' }, headers: { 'retry-after-ms': '1' } }
      if (count % 3 === 2) return { status: 429, error: { type: 'rate_limit_error', message: 'Slow down' }, headers: { 'retry-after': '0.01' } }
      return REPLY
    }
    await using server = await startModelServer(script)
    const capture = captureCalls()
    const client = auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: server.url }), capture)
    expect((await client.messages.create({ ...REQUEST, stream: true }).then(drain)) as object).toMatchObject({ end: { value: undefined } })
    await capture.settled(3)
    expect(capture.calls.map(({ call, results: [result] }) => [call.attempt, result!.status, result!.outcome, result!.error_type, result!.complete])).toEqual([
      [0, 529, 'failure', 'overloaded_error', true],
      [1, 429, 'failure', 'rate_limit_error', true],
      [2, 200, 'success', undefined, true],
    ])
    expect(capture.calls[0]!.results[0]).toMatchObject({ response_id: expect.stringMatching(/^req_/), error: { m: 'json', content: expect.stringContaining('Overloaded') } })
  })

  test('errors with a body of their own kind', async () => {
    const answer = (status: number, type: string, body: string): Handler => (_, response) => void response.writeHead(status, { 'content-type': type, 'request-id': 'req_9' }).end(body)
    const bad = await compare(answer(400, 'application/json', '{"type":"error","error":{"type":"invalid_request_error","message":"no"}}'), {}, stream)
    expect(bad.capture.results).toMatchObject([{ outcome: 'failure', status: 400, error_type: 'invalid_request_error', response_id: 'req_9', complete: true }])
    const proxy = await compare(answer(502, 'text/html', '<h1>Bad gateway</h1>'), {}, stream)
    expect(proxy.capture.results).toMatchObject([{ status: 502, error_type: 'http_502', error: { m: 'text', content: '<h1>Bad gateway</h1>' } }])
    const strange = await compare(answer(200, 'application/json', '[1,2]'), {}, (client) => client.messages.create(REQUEST))
    expect(strange.capture.results).toMatchObject([{ status: 200, outcome: 'unknown', error_type: 'unreadable_response', raw: { m: 'json', content: '[1,2]' } }])
    const nothing = await compare((_, response) => void response.writeHead(204).end(), {}, (client) => client.messages.create(REQUEST))
    expect(nothing.capture.results).toMatchObject([{ status: 204, complete: true }])
  })

  test('50 MB there and back', async () => {
    const text = 'Äé"\\n and more of the same. '.repeat(2_000_000)
    await using server = await startModelServer(({ messages }) => ({ content: [{ type: 'text', text: messages[0]!.content }] }))
    const capture = captureCalls()
    const client = auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: server.url }), capture)
    const message = await client.messages.create({ ...REQUEST, messages: [{ role: 'user', content: text }] })
    expect((message.content[0] as { text: string }).text === text).toBe(true)
    expect(capture.results[0]).toMatchObject({ outcome: 'success', complete: true })
    expect(capture.results[0]!.output_text === text).toBe(true)
    expect(Buffer.byteLength(String(capture.calls[0]!.call.input_messages[0]!.content))).toBeGreaterThan(50_000_000)
  }, 60_000)

  test('an answer over the limit reaches the caller whole, and the record says that it is cut', async () => {
    const body = Buffer.concat([Buffer.from('{"type":"message","content":[{"type":"text","text":"'), Buffer.alloc(70 * 2 ** 20, 'x'), Buffer.from('"}]}')])
    const { capture } = await compare((_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(body), {}, async (client) => {
      const message = await client.messages.create(REQUEST)
      return (message.content[0] as { text: string }).text.length
    })
    expect(capture.results).toMatchObject([{ complete: false, outcome: 'unknown' }])
  }, 60_000)

  test('a slow reader holds the sender back as it does without us', async () => {
    let written = 0
    const part = Buffer.from(frame({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'x'.repeat(60_000) } }))
    const endless: Handler = async (_, response) => {
      written = 0
      const closed = new AbortController()
      response.on('close', () => closed.abort())
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(beginning.join(''))
      while (written < 200_000_000 && !response.destroyed) {
        written += part.length
        if (!response.write(part)) await once(response, 'drain', { signal: closed.signal }).catch(() => undefined)
      }
    }
    const sent: number[] = []
    const { capture } = await compare(endless, {}, async (client) => {
      for await (const event of await client.messages.create({ ...REQUEST, stream: true })) {
        if (event.type !== 'content_block_delta') continue
        await sleep(200)
        sent.push(written)
        return
      }
    })
    expect(sent[1]!).toBeLessThan(Math.max(sent[0]! * 1.5, 8_000_000))
    expect(capture.results).toMatchObject([{ error_type: 'aborted' }])
  })

  test('chunks, byte readers and errors of the body are the same', async () => {
    const failure = new Error('mine')
    const parts = ['{"a":', new Uint8Array(0), '1', '}'].map((part) => (typeof part === 'string' ? new TextEncoder().encode(part) : part))
    const bodies: (() => ReadableStream)[] = [
      () => ReadableStream.from(parts.filter((part) => part.length > 0)),
      () => new ReadableStream({ type: 'bytes', pull: (controller) => (controller.enqueue(new TextEncoder().encode('abc')), controller.close()) }),
      () => new ReadableStream({ pull: (controller) => controller.error(failure) }),
    ]
    for (const body of bodies) {
      const read = async (fetch: typeof globalThis.fetch): Promise<unknown> => {
        const response = await fetch('https://x/v1/messages', { method: 'POST', body: '{}' })
        const chunks: unknown[] = []
        return outcome((async () => {
          for await (const chunk of response.body as AsyncIterable<Uint8Array>) chunks.push(chunk)
          return chunks
        })())
      }
      const answer = async (): Promise<Response> => new Response(body() as ConstructorParameters<typeof Response>[0], { headers: { 'set-cookie': 'a=b' } })
      const capture = captureCalls()
      expect(await read(auditedFetch(capture, answer))).toEqual(await read(answer))
      expect(capture.results).toHaveLength(1)
      const [observed, plain] = [await auditedFetch(capture, answer)('https://x/v1/messages', { method: 'POST' }), await answer()]
      expect(observed.headers.getSetCookie()).toEqual(plain.headers.getSetCookie())
    }
    const bytes = await auditedFetch(captureCalls(), async () => new Response(bodies[1]!() as ConstructorParameters<typeof Response>[0]))('https://x/v1/messages', { method: 'POST' })
    const reader = bytes.body!.getReader({ mode: 'byob' })
    const first = await reader.read(new Uint8Array(2))
    expect([[...first.value!], [...(await reader.read(new Uint8Array(2))).value!], (await reader.read(new Uint8Array(2))).done]).toEqual([[97, 98], [99], true])
  })

  test('a body that nobody reads ends as abandoned when it is collected, and gives its connection back', async () => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    let closed = 0
    await using server = await startRawServer((request, response) => {
      response.on('close', () => closed++)
      return stay(request, response)
    })
    const capture = captureCalls()
    const client = auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: server.url }), capture)
    await (async () => {
      await client.messages.create({ ...REQUEST, stream: true }).asResponse()
      await client.messages.create({ ...REQUEST, stream: true })
    })()
    for (let i = 0; i < 200 && (capture.results.length < 2 || closed < 2); i++) {
      gc()
      await sleep(10)
    }
    expect(capture.results).toMatchObject([0, 1].map(() => ({ outcome: 'unknown', error_type: 'abandoned', complete: false, status: 200 })))
    expect(closed).toBe(2)
  })

  test('a process that exits with an answer half read records what it had', async () => {
    await using server = await startRawServer(stay)
    const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(new URL('model-server/exit-child.ts', import.meta.url)), server.url])
    expect(JSON.parse(stdout)).toMatchObject([{ outcome: 'unknown', error_type: 'abandoned', complete: false, response_id: 'msg_1' }])
  })
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
