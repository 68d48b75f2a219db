// Anthropic's SDK on the record, through the doors that the SDK itself opens: its `middleware` option (0.101 and later) and
// before that its `fetch` option. The client that comes back is the SDK's own class; nothing of it is replaced or wrapped.
//
// Each HTTP attempt is one call and one result. A request leaves after `ready()`; when that rejects, by the failure policy,
// the rejection is the caller's error and nothing is sent. No other failure to record reaches the caller.
//
// Not seen: requests of a client made later with `withOptions({ middleware: […] })` or `({ fetch })`, which replaces the list
// that we are in; wrap the client you made last. A body given as a stream is not read, so its call has no messages.

import { modelCallsOf, type ModelCall, type ModelCallSource, type ModelResult, type OpenModelCall, type Subject } from '../event/model-call.ts'
import { checkSubject } from '../recorder/subject.ts'
import { type Interruption, modelEndpoint, noAnswer, readRequest, ResponseReader } from '../wire/anthropic.ts'
import { type BodyEnd, type BodyObserver, observeResponse } from './observed-response.ts'

/** What we need of the SDK's client; `new Anthropic()`, the Bedrock, Vertex and Foundry clients and their like have it. */
export interface AnthropicClient { withOptions(options: never): unknown }

/** Where the calls are recorded: a Trail (then in the session of the async context of each request) or a Session. */
export type AnthropicRecorder = ModelCallSource

/** `subject` says of a message, as the API has it, whose it is: a person's id, several, null, or undefined for whoever the call is about. The answer is asked for as an assistant's message. */
export interface AuditOptions { readonly subject?: (message: unknown) => Subject | undefined }

/** The SDK's Middleware, as far as we use it. */
interface APIRequest extends RequestInit { readonly url: string }
interface MiddlewareContext { readonly options?: { readonly signal?: AbortSignal | null | undefined } | undefined }
type Middleware = (request: APIRequest, next: (request: APIRequest) => Promise<Response>, context: MiddlewareContext) => Promise<Response>
type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** Our own middlewares and fetches, with where they record and what they stand before. */
const recorders = new WeakMap<object, { readonly to: AnthropicRecorder; readonly subject: AuditOptions['subject']; readonly inner?: Fetch }>()

/**
 * A client like `client`, of the same class and with the same options, whose model calls are recorded in `to`. A client that
 * is on the record already comes back as it is, or recording in `to` alone. Throws a TypeError when it is not an SDK client.
 */
export function auditAnthropic<C extends AnthropicClient>(client: C, to: AnthropicRecorder, options: AuditOptions = {}): C {
  const { subject } = options
  const isOurs = (one: object): boolean => recorders.get(one)?.to === to && recorders.get(one)?.subject === subject
  if (modelCallsOf(to) === undefined) throw new TypeError('anthropic: expected a trail or a session to record in')
  if (typeof client?.withOptions !== 'function') throw new TypeError('anthropic: expected a client of @anthropic-ai/sdk; it has no withOptions()')
  const { middleware } = client as { middleware?: readonly object[] }
  const withOptions = (options: object): C => (client as unknown as { withOptions(options: object): C }).withOptions(options)
  if (Array.isArray(middleware)) {
    if (middleware.some(isOurs)) return client
    return withOptions({ middleware: [...middleware.filter((one) => !recorders.has(one)), auditMiddleware(to, subject)] })
  }
  const fetch = (client as { fetch?: Fetch }).fetch ?? globalThis.fetch
  if (isOurs(fetch)) return client
  return withOptions({ fetch: auditedFetch(to, recorders.get(fetch)?.inner ?? fetch, options) })
}

/** `fetch` whose requests to the Messages API are recorded in `to`; others pass. For SDKs and code that take a `fetch`. */
export function auditedFetch(to: AnthropicRecorder, fetch: Fetch = globalThis.fetch, { subject }: AuditOptions = {}): Fetch {
  const audited: Fetch = async (input, init) => {
    const request = input instanceof Request ? input : undefined
    const url = input instanceof Request ? input.url : input.toString()
    const attempt = beginAttempt({ to, subject }, url, { method: init?.method ?? request?.method, headers: init?.headers ?? request?.headers, body: init?.body, signal: init?.signal ?? request?.signal })
    // Called without `this`: fetch refuses another one in some runtimes.
    return attempt === undefined ? fetch.call(undefined, input, init) : await attempt.run(() => fetch.call(undefined, input, init))
  }
  recorders.set(audited, { to, subject, inner: fetch })
  return audited
}

function auditMiddleware(to: AnthropicRecorder, subject: AuditOptions['subject']): Middleware {
  const middleware: Middleware = async (request, next, context) => {
    const attempt = beginAttempt({ to, subject }, request.url, request, context.options?.signal ?? null)
    return attempt === undefined ? next(request) : await attempt.run(() => next(request))
  }
  recorders.set(middleware, { to, subject })
  return middleware
}

type RequestParts = { readonly [K in 'method' | 'headers' | 'body' | 'signal']?: RequestInit[K] | undefined }

/** An attempt whose intent has been handed in; undefined when the request is no model call, or could not be handed in. */
function beginAttempt({ to, subject }: { to: AnthropicRecorder; subject: AuditOptions['subject'] }, url: string, request: RequestParts, callerSignal?: AbortSignal | null): Attempt | undefined {
  const endpoint = modelEndpoint(request.method ?? 'GET', url)
  if (endpoint === undefined) return undefined
  try {
    const headers = request.headers instanceof Headers ? request.headers : new Headers(request.headers)
    const attempt = Number(headers.get('x-stainless-retry-count'))
    const asked = readRequest(bodyOf(request.body), { endpoint, attempt: Number.isSafeInteger(attempt) && attempt > 0 ? attempt : 0 })
    const timeoutMs = Number(headers.get('x-stainless-timeout') ?? Number.NaN) * 1000
    const call = subject === undefined ? asked : { ...asked, input_messages: asked.input_messages.map((piece) => ({ ...piece, subject: subjectOf(subject, () => JSON.parse(String(piece.content))) })) }
    return new Attempt(modelCallsOf(to)!().call(call), { ...call, subject }, { caller: callerSignal, request: request.signal, timeoutMs })
  } catch (error) {
    warnOnce(error) // a sink does not throw; one that does must not stop the agent, nor go unnoticed
    return undefined
  }
}

/** Whose a message is. A question that fails leaves it to the call, and is told: the agent must not stop for it. */
function subjectOf(ask: NonNullable<AuditOptions['subject']>, message: () => unknown): Subject | undefined {
  try {
    return checkSubject(ask(message()))
  } catch (error) {
    warnOnce(error, 'nobody could say whose a message is, so it is recorded as its call is')
    return undefined
  }
}

let warned = false

function warnOnce(error: unknown, what = 'a model call went out unrecorded'): void {
  if (warned) return
  warned = true
  globalThis.process?.emitWarning?.(`anthropic: ${what}: ${describeError(error).content}`, 'CounterfoilWarning')
}

function bodyOf(body: RequestParts['body']): string | Uint8Array | undefined {
  if (typeof body === 'string' || body instanceof Uint8Array) return body
  if (body instanceof ArrayBuffer) return new Uint8Array(body)
  return ArrayBuffer.isView(body) ? new Uint8Array(body.buffer, body.byteOffset, body.byteLength) : undefined
}

/** `caller` is null when the caller gave none, undefined when it cannot be seen. */
interface Signals { readonly caller: AbortSignal | null | undefined; readonly request: AbortSignal | null | undefined; readonly timeoutMs: number }

/** One HTTP attempt: the request, then its answer as the caller reads it. */
class Attempt implements BodyObserver {
  readonly #open: OpenModelCall
  readonly #asked: Pick<ModelCall, 'streaming' | 'model_id'>
  readonly #subject: AuditOptions['subject']
  readonly #signals: Signals
  #reader: ResponseReader | undefined
  readonly #begunAt = performance.now()
  #sentAt = 0
  #firstTokenAt: number | undefined

  constructor(open: OpenModelCall, call: Pick<ModelCall, 'streaming' | 'model_id'> & { readonly subject: AuditOptions['subject'] }, signals: Signals) {
    this.#subject = call.subject
    this.#open = open
    this.#asked = { streaming: call.streaming, model_id: call.model_id } // not the messages, for as long as the answer takes
    this.#signals = signals
  }

  /** Sends the request once the intent is on record. */
  async run(send: () => Promise<Response>): Promise<Response> {
    try {
      await this.#open.ready()
    } catch (error) {
      this.#finish(() => noAnswer({ outcome: 'failure', error_type: 'not_sent', error: describeError(error) }))
      throw error
    }
    this.#sentAt = performance.now()
    let response: Response
    try {
      response = await send()
    } catch (error) {
      this.#finish(() => ({ ...noAnswer(this.#classify(error, 'request')), latency_ms: this.#elapsed() }))
      throw error
    }
    return this.#observe(response)
  }

  #observe(response: Response): Response {
    try {
      const request_id = response.headers.get('request-id')
      this.#reader = new ResponseReader({
        status: response.status,
        content_type: response.headers.get('content-type') ?? '',
        ...this.#asked,
        ...(request_id !== null && { request_id }),
      })
      return observeResponse(response, this, !response.ok)
    } catch (error) {
      this.#finish(() => noAnswer({ outcome: 'unknown', error_type: 'unobservable', error: describeError(error) }))
      return response
    }
  }

  chunk(bytes: Uint8Array): void {
    this.#reader!.push(bytes)
    if (this.#reader!.started) this.#firstTokenAt ??= performance.now()
  }

  end(end: BodyEnd): void {
    this.#finish(() => ({
      ...this.#reader!.result(this.#interruption(end)),
      ...(end.how !== 'abandoned' && end.how !== 'exit' && { latency_ms: this.#elapsed() }),
      ...(this.#firstTokenAt !== undefined && { time_to_first_token_ms: Math.round(this.#firstTokenAt - this.#sentAt) }),
    }))
  }

  #interruption(end: BodyEnd): Interruption | undefined {
    if (end.how === 'complete') return undefined
    if (end.how === 'error') return this.#classify(end.error, 'body')
    return { outcome: 'unknown', error_type: end.how === 'cancelled' ? 'aborted' : end.how === 'exit' ? 'abandoned' : end.how }
  }

  // The SDK's own timer and the caller's signal abort the same controller; only the caller's signal can be told apart, and
  // where it cannot be seen (an SDK without middleware) the time that has passed, nearly: the timer began before our fetch was
  // called, and a busy process takes its time in between. It stops when the headers are here.
  #classify(error: unknown, phase: 'request' | 'body'): Interruption {
    const said = describeError(error)
    const { caller, request, timeoutMs } = this.#signals
    const aborted = nameOf(error) === 'AbortError' || request?.aborted === true
    const late = phase === 'request' && (caller === undefined ? performance.now() - this.#begunAt >= timeoutMs * 0.95 : caller?.aborted !== true)
    if (nameOf(error) === 'TimeoutError' || nameOf(caller?.reason) === 'TimeoutError' || (aborted && late) || /_TIMEOUT$|^ETIMEDOUT$/.test(codeOf(error))) {
      return { outcome: 'timeout', error_type: 'timeout', error: said }
    }
    if (aborted) return { outcome: 'unknown', error_type: 'aborted', error: said }
    return { outcome: 'failure', error_type: nameOf(error) === 'TypeError' || codeOf(error) !== '' ? 'connection_error' : nameOf(error), error: said }
  }

  #elapsed(): number {
    return Math.max(0, Math.round(performance.now() - this.#sentAt))
  }

  #finish(result: () => ModelResult): void {
    try {
      const made = result()
      const ask = this.#subject
      this.#open.finish(ask === undefined ? made : { ...made, subject: subjectOf(ask, () => ({ role: 'assistant', content: made.output.map(({ content }) => JSON.parse(String(content))) })) })
    } catch {
      // finish() does not throw; if it does, the answer is still the caller's.
    }
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error || error instanceof DOMException ? error.name : typeof error === 'object' ? 'Error' : typeof error
}

// undici says what happened in the cause of its "fetch failed".
function codeOf(error: unknown): string {
  for (let at = error, depth = 0; typeof at === 'object' && at !== null && depth < 8; at = (at as { cause?: unknown }).cause, depth++) {
    const { code } = at as { code?: unknown }
    if (typeof code === 'string') return code
  }
  return ''
}

function describeError(error: unknown): { m: 'text'; content: string } {
  const code = codeOf(error)
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return { m: 'text', content: (code === '' ? message : `${message} (${code})`).toWellFormed() }
}
