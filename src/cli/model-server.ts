// A server on this machine that speaks Anthropic's Messages API, in one piece and as a stream, so that an agent written for
// the real API runs without a network: the demo and the tests use it. What it answers is a script: a function of the request.
//
// Speaks POST /v1/messages (with message threads, in which the SDK's tool runner sends only what is new) and
// /v1/messages/count_tokens, and GET /v1/models. Leaves out keys, limits, batches and files.

import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * A request for a message. `index` counts the requests for messages from 0, `attempt` the SDK's tries of this one. `messages`
 * is the whole conversation, also where the request continues a thread; `body` is what was sent.
 */
export interface ModelRequest {
  readonly index: number
  readonly attempt: number
  readonly model: string
  readonly stream: boolean
  readonly messages: readonly Message[]
  readonly body: { readonly [key: string]: unknown }
  readonly headers: IncomingMessage['headers']
}

export interface Message { readonly role: string; readonly content: string | readonly ContentBlock[] }

/** A content block as the API shapes it: `text`, `thinking` (with its `signature`), `tool_use`, or any other. */
export interface ContentBlock { readonly type: string; readonly [key: string]: unknown }

/** A message. What is left out is made up: ids, a `stop_reason` that fits the blocks, a usage from the lengths. */
export interface MessageReply {
  readonly content: readonly ContentBlock[]
  readonly id?: string
  readonly model?: string
  readonly stop_reason?: string
  readonly usage?: { readonly [key: string]: unknown }
  readonly headers?: { readonly [name: string]: string }
  /** how many characters of text, thinking or tool input one event of a stream carries; 24 by default */
  readonly chunk?: number
  /** how long to think before the first byte, and between the events of a stream */
  readonly delay_ms?: number
  /** an error that breaks the stream off after the blocks, instead of the message's end */
  readonly error?: ErrorReply['error']
}

/** An error, as `{ status: 529, error: { type: 'overloaded_error', message: 'Overloaded' }, headers: { 'retry-after': '1' } }`. */
export interface ErrorReply {
  readonly status: number
  readonly error: { readonly type: string; readonly message: string; readonly details?: object }
  readonly headers?: { readonly [name: string]: string }
}

/** What the model answers. What it throws becomes an `api_error` with status 500. */
export type Script = (request: ModelRequest) => MessageReply | ErrorReply | Promise<MessageReply | ErrorReply>

/** A server that listens. Give `url` to the SDK as its `baseURL`. */
export interface ModelServer extends AsyncDisposable { readonly url: string; close(): Promise<void> }

const MAX_REQUEST_BYTES = 128 * 2 ** 20
const MAX_THREADS = 1000

type Asked = Omit<ModelRequest, 'index'>
/** Conversations by the id of their last answer. */
type Threads = Map<string, readonly Message[]>

/** Starts the server on the loopback address; `port` 0 takes a free one. */
export async function startModelServer(script: Script, port = 0): Promise<ModelServer> {
  let index = 0
  const threads: Threads = new Map()
  const server = createServer((request, response) => {
    answer(request, response, (asked) => script({ index: index++, ...asked }), threads).catch((error: unknown) => response.destroy(error as Error))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close, [Symbol.asyncDispose]: close }
}

async function answer(request: IncomingMessage, response: ServerResponse, script: (asked: Asked) => ReturnType<Script>, threads: Threads): Promise<void> {
  const route = `${request.method} ${request.url!.split('?')[0]}`
  const bytes = await readBody(request)
  if (bytes === undefined) return sendError(response, { status: 413, error: { type: 'request_too_large', message: 'Request exceeds the maximum size' } })
  if (route === 'GET /v1/models') return send(response, 200, MODELS)
  if (route === 'POST /v1/messages/count_tokens') return send(response, 200, { input_tokens: tokens(bytes.length) })
  if (route !== 'POST /v1/messages') return sendError(response, { status: 404, error: { type: 'not_found_error', message: 'Not found' } })

  const asked = readRequest(request, bytes, threads)
  if ('error' in asked) return sendError(response, asked)
  const reply = await runScript(script, asked)
  if (!('content' in reply)) return sendError(response, reply)
  if (reply.delay_ms !== undefined) await sleep(reply.delay_ms)
  const message = completeMessage(reply, asked, bytes.length)
  if (asked.body['thread'] !== undefined) rememberThread(threads, message.id, [...asked.messages, { role: 'assistant', content: reply.content }])
  if (asked.stream) return sendStream(response, message, reply)
  if (reply.error !== undefined) return sendError(response, { status: 500, error: reply.error })
  send(response, 200, message, reply.headers)
}

const MODELS = { data: [{ type: 'model', id: 'claude-demo', display_name: 'Demo', created_at: '2026-01-01T00:00:00Z' }], has_more: false, first_id: 'claude-demo', last_id: 'claude-demo' }

type CompleteMessage = ReturnType<typeof completeMessage>

function completeMessage(reply: MessageReply, { model }: Asked, requestLength: number) {
  return {
    id: reply.id ?? `msg_${randomBytes(12).toString('hex')}`,
    type: 'message',
    role: 'assistant',
    model: reply.model ?? model,
    content: reply.content,
    stop_reason: reply.stop_reason ?? (reply.content.some(({ type }) => type === 'tool_use') ? 'tool_use' : 'end_turn'),
    stop_sequence: null,
    usage: { input_tokens: tokens(requestLength), cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: tokens(JSON.stringify(reply.content).length), ...reply.usage },
  }
}

function rememberThread(threads: Threads, id: string, messages: readonly Message[]): void {
  threads.set(id, messages)
  if (threads.size > MAX_THREADS) threads.delete(threads.keys().next().value!)
}

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length <= MAX_REQUEST_BYTES) chunks.push(chunk)
  }
  return length <= MAX_REQUEST_BYTES ? Buffer.concat(chunks) : undefined
}

function readRequest({ headers }: IncomingMessage, bytes: Buffer, threads: Threads): Asked | ErrorReply {
  let body: ModelRequest['body']
  try {
    body = JSON.parse(bytes.toString('utf8')) as ModelRequest['body']
  } catch {
    return { status: 400, error: { type: 'invalid_request_error', message: 'The request body is not valid JSON' } }
  }
  const { model, stream, messages, thread } = body as { model?: unknown; stream?: unknown; messages?: unknown; thread?: { previous_message_id?: string } }
  if (typeof model !== 'string') return { status: 400, error: { type: 'invalid_request_error', message: 'model: Field required' } }
  if (!Array.isArray(messages)) return { status: 400, error: { type: 'invalid_request_error', message: 'messages: Field required' } }
  const before = thread?.previous_message_id === undefined ? [] : threads.get(thread.previous_message_id)
  if (before === undefined) return { status: 404, error: { type: 'not_found_error', message: 'Thread not found', details: { error_code: 'thread_not_found' } } }
  const attempt = Number(headers['x-stainless-retry-count'] ?? 0)
  return { attempt, model, stream: stream === true, messages: [...before, ...(messages as Message[])], body, headers }
}

async function runScript(script: (asked: Asked) => ReturnType<Script>, asked: Asked): Promise<MessageReply | ErrorReply> {
  try {
    return await script(asked)
  } catch (error) {
    return { status: 500, error: { type: 'api_error', message: String(error) } }
  }
}

function send(response: ServerResponse, status: number, body: object, headers: { readonly [name: string]: string } = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', 'request-id': requestId(), ...headers }).end(JSON.stringify(body))
}

function sendError(response: ServerResponse, { status, error, headers }: ErrorReply): void {
  const request_id = requestId()
  send(response, status, { type: 'error', error, request_id }, { 'request-id': request_id, ...headers })
}

async function sendStream(response: ServerResponse, message: CompleteMessage, reply: MessageReply): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', 'request-id': requestId(), ...reply.headers })
  for (const event of streamEvents(message, reply)) {
    if (response.destroyed) return
    const flushed = response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    if (!flushed) await roomIn(response)
    if (reply.delay_ms !== undefined) await sleep(reply.delay_ms)
  }
  response.end()
}

async function roomIn(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const go = (): void => {
      response.off('drain', go).off('close', go)
      resolve()
    }
    response.on('drain', go).on('close', go)
  })
}

type StreamEvent = { readonly type: string; readonly [key: string]: unknown }

/** The events of a stream in the API's order. */
function* streamEvents(message: CompleteMessage, reply: MessageReply): Generator<StreamEvent> {
  yield { type: 'message_start', message: { ...message, content: [], stop_reason: null, usage: { ...message.usage, output_tokens: 1 } } }
  for (const [index, block] of message.content.entries()) {
    const { start, deltas } = splitBlock(block, reply.chunk ?? 24)
    yield { type: 'content_block_start', index, content_block: start }
    if (index === 0) yield { type: 'ping' }
    for (const delta of deltas) yield { type: 'content_block_delta', index, delta }
    yield { type: 'content_block_stop', index }
  }
  if (reply.error !== undefined) {
    yield { type: 'error', error: reply.error }
    return
  }
  yield { type: 'message_delta', delta: { stop_reason: message.stop_reason, stop_sequence: null }, usage: message.usage }
  yield { type: 'message_stop' }
}

function splitBlock(block: ContentBlock, chunk: number): { start: ContentBlock; deltas: StreamEvent[] } {
  if (block.type === 'text') {
    return { start: { ...block, text: '' }, deltas: pieces(String(block['text']), chunk).map((text) => ({ type: 'text_delta', text })) }
  }
  if (block.type === 'thinking') {
    const deltas = pieces(String(block['thinking']), chunk).map((thinking): StreamEvent => ({ type: 'thinking_delta', thinking }))
    return { start: { ...block, thinking: '', signature: '' }, deltas: [...deltas, { type: 'signature_delta', signature: block['signature'] ?? '' }] }
  }
  if (block.type === 'tool_use' || block.type === 'server_tool_use') {
    const parts = ['', ...pieces(JSON.stringify(block['input'] ?? {}), chunk)]
    return { start: { ...block, input: {} }, deltas: parts.map((partial_json) => ({ type: 'input_json_delta', partial_json })) }
  }
  return { start: block, deltas: [] }
}

function pieces(text: string, length: number): string[] {
  return Array.from({ length: Math.ceil(text.length / length) }, (_, i) => text.slice(i * length, (i + 1) * length))
}

function requestId(): string {
  return `req_${randomBytes(12).toString('hex')}`
}

function tokens(length: number): number {
  return Math.ceil(length / 4)
}
