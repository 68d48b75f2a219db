// Anthropic's Messages API: the bytes of a request and of its answer, read into a ModelCall and a ModelResult. Nothing here
// refuses what it does not know: members without a place of their own go to `request_parameters` or `raw` as they came.
//
// What a thinking block is worth: the API sends the text of Claude 3.7's thinking in full and of all later models as a
// summary made by another model (docs "Extended thinking", "Summarized thinking"), in the same shape. The wire cannot tell,
// so the text counts as `summarised` unless the model that answered is a Claude 3.7. An empty text beside a signature means
// that the provider kept it back (`display: "omitted"`, the default of newer models): `withheld`. `redacted_thinking` is
// `encrypted`.

import type { CallParameters, ModelCall, ModelResult, Piece, RequestedTool, Thinking } from '../event/model-call.ts'
import { concat, fromUtf8 } from '../base/bytes.ts'
import { StreamedMessage } from './anthropic-stream.ts'
import { cutObject, joinMembers, type Member, type ObjectCut, parseJson } from './json-slices.ts'
import { SseParser } from './sse.ts'

/** What is kept of one answer, in bytes; a longer one reaches the caller whole and the record cut, with `complete: false`. */
const MAX_ANSWER_BYTES = 64 * 2 ** 20

/** The path of a request that asks a model for a message, without its query; undefined for everything else (token counts, batches, lists, files). */
export function modelEndpoint(method: string, url: string): string | undefined {
  if (method.toUpperCase() !== 'POST') return undefined
  const path = /^(?:[a-z][a-z0-9+.-]*:\/\/[^/?#]*)?([^?#]*)/i.exec(url)![1]!
  return /\/v1\/messages\/?$/.test(path) ? path : undefined
}

/** What a request says beside its body. */
export interface RequestFacts { readonly endpoint: string; readonly attempt: number }

/** A request body as a call. `undefined` is a body that could not be seen. */
export function readRequest(body: string | Uint8Array | undefined, facts: RequestFacts): ModelCall {
  const nothing = { provider: 'anthropic', model_id: 'unknown', ...facts, streaming: false, input_messages: [], tool_definitions: [], parameters: {} }
  if (body === undefined) return nothing
  const text = textOf(body)
  const request = text === undefined ? undefined : cutObject(text)
  if (request === undefined) return { ...nothing, request_parameters: asItCame(body) }

  const taken = new Set<Member>()
  const take = (key: string): void => { taken.add(request.members.findLast((member) => member.key === key)!) }
  const list = (key: string): Piece[] => {
    const elements = request.elements(key)
    if (elements !== undefined) take(key)
    return (elements ?? []).map(json)
  }
  const [model, stream] = [request.value('model'), request.value('stream')]
  if (typeof model === 'string') take('model')
  if (typeof stream === 'boolean') take('stream')
  const system = systemPrompt(request)
  if (system !== undefined) take('system')
  const input_messages = list('messages')
  const tool_definitions = list('tools')
  const parameters = readParameters(request, take)
  const continues = request.object('thread')?.value('previous_message_id') // beside `thread` in the rest, which says more
  const rest = request.members.filter((member) => !taken.has(member))
  return {
    ...nothing,
    model_id: typeof model === 'string' ? model : 'unknown',
    streaming: stream === true,
    input_messages,
    tool_definitions,
    parameters,
    ...(typeof continues === 'string' && { continues }),
    ...(system !== undefined && { system_prompt: system }),
    ...(rest.length > 0 && { request_parameters: json(joinMembers(rest)) }),
  }
}

function systemPrompt(request: ObjectCut): Piece | undefined {
  const value = request.value('system')
  if (typeof value === 'string' && value.isWellFormed()) return { m: 'text', content: value }
  return typeof value === 'string' || Array.isArray(value) ? json(request.text('system')!) : undefined
}

function readParameters(request: ObjectCut, take: (key: string) => void): CallParameters {
  const parameters: { -readonly [K in keyof CallParameters]: CallParameters[K] } = {}
  for (const key of ['max_tokens', 'top_k'] as const) {
    const value = count(request.value(key))
    if (value === undefined) continue
    parameters[key] = value
    take(key)
  }
  for (const key of ['temperature', 'top_p'] as const) {
    const value = decimal(request.value(key))
    if (value === undefined) continue
    parameters[key] = value
    take(key)
  }
  const budget = count(request.object('thinking')?.value('budget_tokens'))
  if (budget !== undefined) parameters.budget_tokens = budget // the rest of `thinking` stays where it is
  return parameters
}

/** What is known of an answer before its body. `model_id` is the one that was asked. */
export interface ResponseFacts { readonly status: number; readonly content_type: string; readonly streaming: boolean; readonly model_id: string; readonly request_id?: string }

/** Why an answer's body ended. `interruption` is absent when it came to its end. */
export interface Interruption { readonly outcome: ModelResult['outcome']; readonly error_type: string; readonly error?: Piece }

/** Reads an answer as it arrives. Holds at most 64 MiB of it. */
export class ResponseReader {
  readonly #facts: ResponseFacts
  readonly #stream: { readonly events: SseParser; readonly message: StreamedMessage } | undefined
  #chunks: Uint8Array[] = []
  #length = 0
  #cut = false

  constructor(facts: ResponseFacts) {
    this.#facts = facts
    const ok = facts.status >= 200 && facts.status < 300
    const sse = facts.content_type.includes('text/event-stream') || (facts.streaming && facts.content_type === '')
    if (ok && sse) this.#stream = { events: new SseParser(), message: new StreamedMessage() }
  }

  /** Whether the answer's first content has come; of an answer in one piece only its end tells. */
  get started(): boolean {
    return this.#stream?.message.started ?? false
  }

  /** Takes the next bytes; keeps no reference to `chunk`. */
  push(chunk: Uint8Array): void {
    this.#length += chunk.length
    if (this.#length > MAX_ANSWER_BYTES) this.#cut = true
    else if (this.#stream === undefined) this.#chunks.push(chunk.slice())
    else for (const event of this.#stream.events.push(chunk)) this.#stream.message.add(event)
  }

  /** The result, once the body has ended or nobody reads on. */
  result(interruption?: Interruption): ModelResult {
    const result = this.#stream === undefined ? this.#wholeResult(interruption) : this.#streamResult(interruption)
    return this.#cut ? { ...result, complete: false, error_type: result.error_type ?? 'record_limit' } : result
  }

  #streamResult(interruption: Interruption | undefined): ModelResult {
    const { events, message } = this.#stream!
    for (const event of events.end()) message.add(event)
    const { error } = message
    const complete = message.ended && error === undefined && events.dropped === 0
    const ending: Interruption | undefined =
      error ?? (complete ? undefined : (interruption ?? { outcome: 'failure', error_type: 'incomplete_stream' }))
    return describe(message.cut(), { facts: this.#facts, complete, ending, output: message.blocks() })
  }

  #wholeResult(interruption: Interruption | undefined): ModelResult {
    const { status } = this.#facts
    const body = concat(...this.#chunks)
    const text = textOf(body)
    const answer = text === undefined ? undefined : cutObject(text)
    if (status >= 400 || answer?.value('type') === 'error') return failure(this.#facts, body, answer, interruption)
    const output = answer?.elements('content') // JSON that can be read has come to its end, whoever stopped reading after it
    if (answer === undefined || output === undefined) {
      const ending = interruption ?? { outcome: 'unknown', error_type: 'unreadable_response' }
      return { ...empty(this.#facts), ...ending, complete: interruption === undefined, ...(body.length > 0 && { raw: asItCame(body) }) }
    }
    return describe(answer, { facts: this.#facts, complete: true, ending: undefined, output })
  }
}

/** The result of a request that brought no answer. */
export function noAnswer(ending: Interruption): ModelResult {
  return { ...ending, complete: false, output: [], tool_calls_requested: [], thinking: [] }
}

function empty(facts: ResponseFacts): Pick<ModelResult, 'status' | 'output' | 'tool_calls_requested' | 'thinking'> {
  return { status: facts.status, output: [], tool_calls_requested: [], thinking: [] }
}

// {"type":"error","error":{"type":"overloaded_error","message":"…"},"request_id":"req_…"}
function failure(facts: ResponseFacts, body: Uint8Array, answer: ObjectCut | undefined, interruption: Interruption | undefined): ModelResult {
  const type = answer?.object('error')?.value('type')
  const id = answer?.value('request_id') ?? facts.request_id
  return {
    ...empty(facts),
    outcome: 'failure',
    complete: interruption === undefined || answer !== undefined,
    error_type: typeof type === 'string' ? type : `http_${facts.status}`,
    ...(typeof id === 'string' && { response_id: id }),
    ...(body.length > 0 ? { error: asItCame(body) } : interruption?.error !== undefined && { error: interruption.error }),
  }
}

const PLACED = new Set(['id', 'model', 'content', 'stop_reason', 'usage'])

function describe(
  answer: ObjectCut,
  { facts, complete, ending, output }: { facts: ResponseFacts; complete: boolean; ending: Interruption | undefined; output: readonly string[] },
): ModelResult {
  const [id, model, stop] = [answer.value('id'), answer.value('model'), answer.value('stop_reason')]
  const usage = answer.object('usage')
  const rest = answer.members.filter(({ key, text }) => !PLACED.has(key) && text !== 'null' && !(key === 'type' && text === '"message"') && !(key === 'role' && text === '"assistant"'))
  return {
    status: facts.status,
    outcome: 'success',
    ...ending,
    complete,
    ...(typeof model === 'string' && { model_id: model }),
    ...(typeof stop === 'string' && { stop_reason: stop }),
    ...(typeof id === 'string' && { response_id: id }),
    output: output.map(json),
    ...readBlocks(output, typeof model === 'string' ? model : facts.model_id),
    ...(usage !== undefined && { ...readUsage(usage), usage: json(answer.text('usage')!) }),
    ...(rest.length > 0 && { raw: json(joinMembers(rest)) }),
  }
}

function readBlocks(output: readonly string[], model: string): Pick<ModelResult, 'output_text' | 'tool_calls_requested' | 'thinking'> {
  const texts: string[] = []
  const tool_calls_requested: RequestedTool[] = []
  const thinking: Thinking[] = []
  for (const text of output) {
    const block = cutObject(text)
    const type = block?.value('type')
    if (block === undefined || typeof type !== 'string') continue
    const [content, name] = [block.value('text'), block.value('name')]
    if (type === 'text' && typeof content === 'string') texts.push(content)
    else if (/^(?:[a-z]+_)?tool_use$/.test(type) && typeof name === 'string') tool_calls_requested.push(requestedTool(block, type, name))
    else if (type === 'redacted_thinking') thinking.push({ form: 'encrypted' })
    else if (type === 'thinking') thinking.push(...readThinking(block, model))
  }
  return { ...(texts.length > 0 && { output_text: texts.join('').toWellFormed() }), tool_calls_requested, thinking }
}

// `server_tool_use` and `mcp_tool_use` run at the provider.
function requestedTool(block: ObjectCut, type: string, name: string): RequestedTool {
  const id = block.value('id')
  return { name, input: block.value('input'), ...(typeof id === 'string' && { call_id: id }), ...(type !== 'tool_use' && { provider_run: true }) }
}

function readThinking(block: ObjectCut, model: string): Thinking[] {
  const [text, signature] = [block.value('thinking'), block.value('signature')]
  if (typeof text === 'string' && text !== '') return [{ text: text.toWellFormed(), form: /claude-3[-.]7/.test(model) ? 'full' : 'summarised' }]
  return typeof signature === 'string' && signature !== '' ? [{ form: 'withheld' }] : []
}

type Tokens = 'input_tokens' | 'output_tokens' | 'cache_read_tokens' | 'cache_write_tokens' | 'reasoning_tokens'

function readUsage(usage: ObjectCut): Pick<ModelResult, Tokens> {
  const tokens: { [K in Tokens]?: number } = {}
  const set = (name: Tokens, value: unknown): void => {
    const tokenCount = count(value)
    if (tokenCount !== undefined) tokens[name] = tokenCount
  }
  set('input_tokens', usage.value('input_tokens'))
  set('output_tokens', usage.value('output_tokens'))
  set('cache_read_tokens', usage.value('cache_read_input_tokens'))
  set('cache_write_tokens', usage.value('cache_creation_input_tokens'))
  set('reasoning_tokens', usage.object('output_tokens_details')?.value('thinking_tokens'))
  return tokens
}

function count(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined
}

// Plain decimals only; 1e-7 and the like stay where they came from.
function decimal(value: unknown): string | undefined {
  const text = typeof value === 'number' ? String(value) : '' // String() of an object may throw
  return /^-?\d+(?:\.\d+)?$/.test(text) ? text : undefined
}

function json(text: string): Piece {
  return { m: 'json', content: text }
}

/** `body` as a piece: JSON if it is, else text, else bytes. */
function asItCame(body: string | Uint8Array): Piece {
  const text = textOf(body)
  if (text === undefined) return { m: 'bytes', content: body }
  return { m: parseJson(text) === undefined ? 'text' : 'json', content: text }
}

// What leaves or arrives as text is UTF-8: a lone surrogate goes out as U+FFFD, and bytes that are no UTF-8 are no text.
function textOf(body: string | Uint8Array): string | undefined {
  if (typeof body === 'string') return body.toWellFormed()
  try {
    const text = fromUtf8(body)
    return text.startsWith('\ufeff') ? text.slice(1) : text
  } catch {
    return undefined
  }
}
