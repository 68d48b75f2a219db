// A provider's message, cut into who said what. Knows the shapes of Anthropic, OpenAI (chat and responses), Gemini, the AI SDK and OpenTelemetry by
// their field names; what it does not know is taken whole, under the message's role. Nothing is left out but binary data.

import { parseShallowJson } from '../base/shallow-json.ts'
import { Absent } from '../event/view.ts'
import type { SourceKind } from './result.ts'

/** A piece of a message. `call_id` is the tool call that it answers or, for a `request`, the one it asks for. */
export interface Said {
  readonly kind: SourceKind
  readonly text: string
  readonly json?: unknown
  readonly name?: string
  readonly call_id?: string
}

/** Told while reading: of each part that is not there, and of each that holds no text to look into. */
export interface Gone { absent(what: Absent): void; opaque(what: string): void }

/** A tool that a message asks for. */
export interface Request { readonly name: string; readonly call_id: string | null; readonly input: unknown }

type Fields = { readonly [name: string]: unknown }

/** What a message says, in order. */
export function readMessage(message: unknown, gone: Gone): { said: Said[]; requests: Request[] } {
  const said: Said[] = []
  const requests: Request[] = []
  const reader = new Reader(said, requests, gone)
  if (message instanceof Absent) gone.absent(message)
  else if (typeof message === 'string') reader.take('user_message', message)
  else if (isFields(message)) reader.message(message)
  return { said, requests }
}

/** What a model's output blocks say and ask for. */
export function readOutput(blocks: readonly unknown[], gone: Gone): { said: Said[]; requests: Request[] } {
  return readMessage({ role: 'assistant', content: blocks }, gone)
}

/** A value as text to look in: a string as it stands, JSON written out without escapes, bytes as UTF-8 if they are; null for anything else. */
export function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value
  if (value instanceof Uint8Array) {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(value)
    } catch {
      return null
    }
  }
  if (value === undefined || value instanceof Absent) return null
  return written(value, 0)
}

/** Why the first of these that is not there is not, as `[erased by #9]`; null if all are. */
export function absentOf(...values: readonly unknown[]): string | null {
  return values.find((value) => value instanceof Absent)?.toString() ?? null
}

class Reader {
  readonly #said: Said[]
  readonly #requests: Request[]
  readonly #gone: Gone

  constructor(said: Said[], requests: Request[], gone: Gone) {
    this.#said = said
    this.#requests = requests
    this.#gone = gone
  }

  message(message: Fields): void {
    const role = message.role ?? message.type
    const [kind, name] = speaker(role)
    const answered = idOf(message.tool_call_id) ?? idOf(message.call_id)
    this.#content(message.content ?? message.parts, kind, name ?? (kind === 'tool_answer' ? idOf(message.name) : undefined), answered)
    if (kind === 'tool_answer') this.take(kind, message.error ?? undefined, idOf(message.name), answered)
    if (message.content === undefined && message.parts === undefined) this.#block(message, kind, name, answered)
    if (Array.isArray(message.tool_calls)) for (const call of message.tool_calls) this.#request(call)
  }

  take(kind: SourceKind, value: unknown, name?: string, call_id?: string): void {
    if (value instanceof Absent) this.#gone.absent(value)
    const text = textOf(value)
    if (text === null && value instanceof Uint8Array) this.#gone.opaque('bytes that are no text')
    if (text === null || text === '') return
    const json = typeof value === 'string' || value instanceof Uint8Array ? {} : { json: value }
    this.#said.push({ kind, text, ...json, ...(name !== undefined && { name }), ...(call_id !== undefined && { call_id }) })
  }

  #content(content: unknown, kind: SourceKind, name?: string, call_id?: string): void {
    if (content === null || content === undefined) return
    if (!Array.isArray(content)) return this.take(kind, content, name, call_id)
    for (const block of content) {
      if (isFields(block)) this.#block(block, kind, name, call_id)
      else this.take(kind, block, name, call_id)
    }
  }

  #block(block: Fields, kind: SourceKind, name?: string, call_id?: string): void {
    const type = typeof block.type === 'string' ? block.type : ''
    const response = isFields(block.functionResponse) ? block.functionResponse : undefined
    if (response) return this.take('tool_answer', response.response, idOf(response.name), idOf(response.id))
    if (/^(tool.result|\w+_tool_result|function_call_output|\w+_call_output|tool_call_response)$/.test(type)) {
      const answered = idOf(block.tool_use_id) ?? idOf(block.toolCallId) ?? idOf(block.call_id) ?? idOf(block.id)
      return this.#content(block.content ?? block.output ?? block.result ?? block.response, 'tool_answer', idOf(block.toolName), answered)
    }
    if (/^(tool.use|server_tool_use|mcp_tool_use|tool.call|function_call)$/.test(type) || isFields(block.functionCall)) return this.#request(block)
    if (/^(image|image_url|input_image|input_audio|audio|file|input_file)$/.test(type) || block.inlineData !== undefined) return this.#gone.opaque(`content of type ${type || 'inlineData'}`)
    if (type === 'redacted_thinking') return
    if (type === '' && Object.keys(block).some((key) => !GEMINI_TEXT.has(key))) return this.take(kind, block, name, call_id)
    const text = block.text ?? block.thinking ?? block.refusal ?? (type.endsWith('text') ? block.content : undefined) ?? documentText(block.source)
    if (text !== undefined && text !== null) return this.take(kind, text, name, call_id)
    if (type === 'document') return this.#gone.opaque('content of type document')
    this.take(kind, block, name, call_id)
  }

  #request(call: unknown): void {
    const request = readRequest(call)
    if (request === undefined) return
    this.#requests.push(request)
    this.take('model', request.input)
  }
}

// A block without a type is text only if it is nothing else; otherwise its other fields would be lost.
const GEMINI_TEXT = new Set(['text', 'thought', 'thoughtSignature'])

/** A tool request in any of the providers' forms: `{name, input, call_id}` is ours. Undefined if it names no tool. */
export function readRequest(call: unknown): Request | undefined {
  if (!isFields(call)) return undefined
  const inner = isFields(call.function) ? call.function : isFields(call.functionCall) ? call.functionCall : call
  const name = idOf(inner.name) ?? idOf(call.toolName) ?? idOf(call.tool_name) ?? idOf(call.function)
  if (name === undefined) return undefined
  const call_id = idOf(call.call_id) ?? idOf(call.id) ?? idOf(call.toolCallId) ?? idOf(inner.id) ?? null
  return { name, call_id, input: parsed(inner.input ?? inner.arguments ?? inner.args) }
}

// OpenAI sends the arguments as a JSON text.
function parsed(input: unknown): unknown {
  if (typeof input !== 'string') return input
  try {
    return parseShallowJson(input)
  } catch {
    return input
  }
}

function speaker(role: unknown): [SourceKind, string | undefined] {
  switch (role) {
    case 'user': return ['user_message', undefined]
    case 'system': case 'developer': return ['system_prompt', undefined]
    case 'assistant': case 'model': case 'ai': case 'function_call': case 'reasoning': return ['model', undefined]
    case 'tool': case 'function': case 'function_call_output': return ['tool_answer', undefined]
    default: return ['message', typeof role === 'string' ? role : undefined]
  }
}

function documentText(source: unknown): unknown {
  return isFields(source) && source.type === 'text' ? source.data : undefined
}

function idOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array) && !(value instanceof Absent)
}

const MAX_DEPTH = 64

function written(value: unknown, depth: number): string {
  if (typeof value === 'string') return depth === 0 ? value : `"${value}"`
  if (typeof value !== 'object' || value === null) return String(value)
  if (depth > MAX_DEPTH || value instanceof Uint8Array || value instanceof Absent) return '…'
  if (Array.isArray(value)) return `[${value.map((item) => written(item, depth + 1)).join(', ')}]`
  return `{${Object.entries(value).map(([name, item]) => `"${name}":${written(item, depth + 1)}`).join(',')}}`
}
