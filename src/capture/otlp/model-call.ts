// A span of a model call, in any of the conventions, as `llm_call` and `llm_result`. Each field is looked for under all the names that it has or had:
// OpenTelemetry GenAI now and before, OpenInference (llm.*), OpenLLMetry (gen_ai.prompt.N, llm.*), the AI SDK (ai.*).

import { decimal } from '../../event/label.ts'
import type { CallParameters, Piece } from '../../event/model-call.ts'
import type { Json } from '../../event/public.ts'
import type { Outcome } from '../../event/vocabulary.ts'
import { Names, millisecondsBetween, type Happening, type Told } from './happening.ts'
import { contentPiece, jsonText, listIn, listMember, openInferenceMessage, readAnswer, said, type Answer, type Said } from './messages.ts'
import type { Scope, Span, SpanEvent } from './request.ts'
import { endOf, failureOf, restOf, textual, timeOf } from './remainder.ts'
import { fieldsOf, jsonIn, numberIn, type Taking, textIn } from './taking.ts'

const PROVIDER = ['gen_ai.provider.name', 'gen_ai.system', 'llm.provider', 'llm.system', 'ai.model.provider']
const ASKED_MODEL = ['gen_ai.request.model', 'llm.request.model', 'llm.request.model_name', 'llm.model_name', 'ai.model.id', 'model']
const ANSWERED_MODEL = ['gen_ai.response.model', 'llm.response.model', 'llm.response.model_name', 'ai.response.model']
const RESPONSE_ID = ['gen_ai.response.id', 'ai.response.id']
const TOKENS = {
  input_tokens: ['gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens', 'llm.token_count.prompt', 'llm.usage.prompt_tokens', 'ai.usage.inputTokens', 'ai.usage.promptTokens', 'input_tokens'],
  output_tokens: ['gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens', 'llm.token_count.completion', 'llm.usage.completion_tokens', 'ai.usage.outputTokens', 'ai.usage.completionTokens', 'output_tokens'],
  cache_read_tokens: ['gen_ai.usage.cache_read.input_tokens', 'gen_ai.usage.cache_read_input_tokens', 'llm.token_count.prompt_details.cache_read', 'ai.usage.cachedInputTokens', 'ai.usage.inputTokenDetails.cacheReadTokens', 'cache_read_tokens'],
  cache_write_tokens: ['gen_ai.usage.cache_creation.input_tokens', 'gen_ai.usage.cache_creation_input_tokens', 'llm.token_count.prompt_details.cache_write', 'ai.usage.inputTokenDetails.cacheWriteTokens', 'cache_creation_tokens'],
  reasoning_tokens: ['gen_ai.usage.reasoning.output_tokens', 'gen_ai.usage.reasoning_tokens', 'llm.token_count.completion_details.reasoning', 'ai.usage.reasoningTokens', 'ai.usage.outputTokenDetails.reasoningTokens'],
} as const
const USAGE = ['gen_ai.usage.', 'llm.token_count.', 'llm.usage.', 'ai.usage.']
const INTEGERS = {
  max_tokens: ['gen_ai.request.max_tokens', 'llm.request.max_tokens', 'ai.settings.maxOutputTokens', 'ai.settings.maxTokens'], top_k: ['gen_ai.request.top_k', 'llm.top_k', 'ai.settings.topK'],
  seed: ['gen_ai.request.seed', 'ai.settings.seed'], budget_tokens: ['gen_ai.request.thinking.budget_tokens'],
} as const
const DECIMALS = { temperature: ['gen_ai.request.temperature', 'llm.temperature', 'ai.settings.temperature'], top_p: ['gen_ai.request.top_p', 'llm.top_p', 'ai.settings.topP'] } as const
const FLAT_MESSAGES = ['llm.input_messages', 'gen_ai.prompt', 'llm.prompts'] as const
const PARAMETERS = ['gen_ai.request.', 'llm.request.', 'ai.settings.', 'ai.prompt.toolChoice']

export function readModelCall(span: Span, attributes: Taking, all: readonly SpanEvent[], scope: Scope): Told {
  const events = new Set(all)
  const names = new Names()
  const resultNames = new Names()
  const failure = failureOf(span, attributes, all)
  const reply = replyIn(attributes)
  const answered = attributes.text(...ANSWERED_MODEL) ?? reply.model
  // OpenInference's model name is the one that answered as soon as that is known; the one asked for stands among the parameters then
  const invoked = answered === undefined || answered !== attributes.peek('llm.model_name') ? undefined : textIn(fieldsOf(jsonIn(attributes.peek('llm.invocation_parameters')))?.['model'])
  const asked = invoked === undefined ? attributes.text(...ASKED_MODEL) : (attributes.take('llm.model_name'), invoked)
  const provider = attributes.text(...PROVIDER)
  const system = attributes.first(['gen_ai.system_instructions'], systemPiece)
  const tools = toolDefinitions(attributes)
  const { input, count } = inputOf(attributes, events)
  const streaming = attributes.first(['gen_ai.request.stream', 'gen_ai.is_streaming', 'llm.is_streaming'], boolean) ?? (/\.do?stream$/i.test(textIn(attributes.peek('ai.operationId')) ?? '') ? true : undefined)
  const parameters = parametersOf(attributes)
  const invocation = attributes.take('llm.invocation_parameters')
  const requested = { ...attributes.all(...PARAMETERS), ...(invocation === undefined ? {} : { 'llm.invocation_parameters': jsonIn(invocation) ?? invocation }) }

  const answer = answerOf(attributes, events)
  const tokens = defined({
    input_tokens: attributes.count(...TOKENS.input_tokens), output_tokens: attributes.count(...TOKENS.output_tokens), cache_read_tokens: attributes.count(...TOKENS.cache_read_tokens),
    cache_write_tokens: attributes.count(...TOKENS.cache_write_tokens), reasoning_tokens: attributes.count(...TOKENS.reasoning_tokens),
  })
  const usage = attributes.all(...USAGE)
  const response_id = attributes.text(...RESPONSE_ID) ?? reply.id
  const stop = attributes.first(['gen_ai.response.finish_reasons'], firstText) ?? attributes.text('ai.response.finishReason', 'gen_ai.response.finish_reason', 'llm.response.finish_reason', 'llm.response.stop_reason', 'llm.finish_reason', 'stop_reason') ?? answer.stop_reason
  const latency = millisecondsBetween(span.start, span.end)
  const first = firstTokenMs(attributes)
  const outcome: Outcome = failure !== undefined ? 'failure' : span.status.code === 'ok' || stop !== undefined || answer.output.length > 0 || answer.text !== undefined || response_id !== undefined ? 'success' : 'unknown'
  const result: Happening = {
    part: 'end', event_type: 'llm_result', time: endOf(span), parent: 'begin', outcome,
    facts: {
      ...resultNames.fact('model_id', answered), ...resultNames.fact('stop_reason', stop), ...resultNames.fact('error_type', failure?.type), ...tokens,
      ...(latency === undefined ? {} : { latency_ms: latency }), ...(first === undefined ? {} : { time_to_first_token_ms: first }),
    },
    payloads: {
      output: answer.output.length === 0 ? undefined : answer.output, output_text: textual(answer.text ?? ''), tool_calls_requested: answer.tools.length === 0 ? undefined : { m: 'json', content: JSON.stringify(answer.tools) },
      response_id: textual(response_id ?? ''), error: textual(failure?.message ?? ''), usage: usage === undefined ? undefined : { m: 'json', content: JSON.stringify(usage) },
      names: resultNames.piece(), raw: restOf(span, attributes.rest(), [...events], scope),
    },
  }
  const call: Happening = {
    part: 'begin', event_type: 'llm_call', time: timeOf(span), parent: 'outer',
    facts: {
      ...names.fact('provider', provider ?? 'unknown'), ...names.fact('model_id', asked ?? answered ?? 'unknown'), message_count: count,
      ...(streaming === undefined ? {} : { streaming }), ...parameters,
    },
    payloads: {
      input_messages: input.length === 0 ? undefined : input, system_prompt: system, tool_definitions: tools.length === 0 ? undefined : tools,
      request_parameters: Object.keys(requested).length === 0 ? undefined : { m: 'json', content: JSON.stringify(requested) }, model_name: textual(names.odd['model_id'] ?? ''),
    },
  }
  const thoughts = answer.thinking.map(({ text, form }, i): Happening => ({
    part: `reasoning ${i}`, event_type: 'reasoning', time: endOf(span), parent: 'end', facts: { kind: 'model_reported', form }, payloads: { text: textual(text ?? '') },
  }))
  return { sort: 'model_call', happenings: [call, result, ...thoughts] }
}

/** `[{"type":"text","content":…}]` as its text where that is all it says. */
function systemPiece(value: Json): Piece | undefined {
  const parts = listIn(value)
  if (parts === undefined) return contentPiece(value)
  const only = parts.length === 1 ? fieldsOf(parts[0]!.value) : undefined
  const text = only !== undefined && Object.keys(only).length === 2 && only['type'] === 'text' ? textIn(only['content']) : undefined
  return text === undefined ? (typeof value === 'string' ? jsonText(value) : { m: 'json', content: JSON.stringify(value) }) : textual(text)
}

function toolDefinitions(attributes: Taking): Piece[] {
  const given = attributes.first(['gen_ai.tool.definitions', 'ai.prompt.tools', 'gen_ai.request.tools', 'tools'], listIn)
  if (given !== undefined) return given.map(({ piece }) => piece)
  const flat = [...attributes.list('llm.tools').map((each) => fieldsOf(fieldsOf(each)?.['tool'])?.['json_schema'] ?? each), ...attributes.list('llm.request.functions')]
  return flat.map((each) => said(each).piece)
}

/** The messages of the request, and how many it had: more than there are where the exporter dropped some. */
function inputOf(attributes: Taking, events: Set<SpanEvent>): { readonly input: readonly Piece[]; readonly count: number } {
  const of = (input: readonly Piece[], count = input.length): { readonly input: readonly Piece[]; readonly count: number } => ({ input, count })
  const given = attributes.first(['gen_ai.input.messages', 'ai.prompt.messages', 'gen_ai.request.messages'], listIn)
  if (given !== undefined) return of(pieces(given))
  const flat = FLAT_MESSAGES.flatMap((prefix) => (prefix === 'llm.input_messages' ? attributes.list(prefix).map(openInferenceMessage) : attributes.list(prefix)))
  if (flat.length > 0) return of(flat.map((each) => said(each).piece), FLAT_MESSAGES.reduce((sum, prefix) => sum + attributes.reach(prefix), 0))
  const told = takeEvents(events, MESSAGE_EVENT)
  if (told.length > 0) return of(told.map((each) => said(each).piece))
  for (const name of ['gen_ai.prompt', 'input.value', 'gcp.vertex.agent.llm_request', 'input']) {
    const value = attributes.peek(name)
    const list = listIn(value) ?? listMember(value, 'messages') ?? listMember(value, 'contents')
    if (list === undefined && (value === undefined || value === null || value === '')) continue
    if (list === undefined || listIn(value) !== undefined) attributes.take(name) // of an object the other members stay with the rest
    return of(list === undefined ? [said(value!).piece] : pieces(list))
  }
  return of([])
}

function pieces(list: readonly Said[]): Piece[] {
  return list.map(({ piece }) => piece)
}

const MESSAGE_EVENT = /^gen_ai\.(system|user|assistant|tool)\.message$/
const CHOICE_EVENT = /^gen_ai\.(choice)$/

/** The messages in events of these names, each as its attributes say; the events are taken. */
function takeEvents(events: Set<SpanEvent>, names: RegExp): Json[] {
  const found: Json[] = []
  for (const event of events) {
    const role = names.exec(event.name)?.[1]
    if (role === undefined) continue
    events.delete(event)
    const fields = Object.fromEntries(event.attributes.filter(([name]) => name !== 'gen_ai.system' && name !== 'gen_ai.provider.name').map(([name, value]) => [name, /^(?:tool_calls|message|gen_ai\.event\.content)$/.test(name) ? (jsonIn(value) ?? value) : value]))
    const whole = fieldsOf(fields['gen_ai.event.content'])
    found.push({ ...(role === 'choice' ? {} : { role }), ...(whole ?? fields) })
  }
  return found
}

interface Answered extends Answer { readonly output: readonly Piece[] }

/** The answer, from the first place that has any. */
function answerOf(attributes: Taking, events: Set<SpanEvent>): Answered {
  const given = attributes.first(['gen_ai.output.messages'], listIn)
  if (given !== undefined) return { ...readAnswer(given.map(({ value }) => value)), output: blocksOf(given) }
  const flat = [...attributes.list('llm.output_messages').map(openInferenceMessage), ...attributes.list('gen_ai.completion'), ...attributes.list('llm.completions')]
  if (flat.length > 0) return { ...readAnswer(flat), output: flat.map((each) => said(each).piece) }
  const aiSdk = aiSdkAnswer(attributes)
  if (aiSdk !== undefined) return aiSdk
  const told = takeEvents(events, CHOICE_EVENT)
  if (told.length > 0) return { ...readAnswer(told), output: told.map((each) => said(each).piece) }
  for (const name of ['gen_ai.completion', 'output.value', 'gcp.vertex.agent.llm_response', 'output']) {
    const value = attributes.peek(name)
    if (value === undefined || value === null || value === '') continue
    attributes.take(name)
    const list = listIn(value) ?? listMember(value, 'choices') ?? [said(value)]
    return { ...readAnswer(list.map((each) => each.value)), output: [said(value).piece] }
  }
  return { tools: [], thinking: [], output: [] }
}

/** The parts of the only message, each as it came, since that is what other recorders of answers have; of several, the messages. */
function blocksOf(messages: readonly Said[]): Piece[] {
  const only = messages.length === 1 ? messages[0]! : undefined
  const parts = only === undefined ? undefined : typeof only.piece.content === 'string' ? listMember(only.piece.content, 'parts') : undefined
  return pieces(parts ?? messages)
}

function aiSdkAnswer(attributes: Taking): Answered | undefined {
  const [text, object, thought] = [attributes.text('ai.response.text'), attributes.text('ai.response.object'), attributes.text('ai.response.reasoning', 'ai.response.reasoningText')]
  const calls = attributes.first(['ai.response.toolCalls'], listIn) ?? []
  const files = attributes.first(['ai.response.files'], listIn) ?? []
  if (text === undefined && object === undefined && thought === undefined && calls.length + files.length === 0) return undefined
  const { tools } = readAnswer([{ tool_calls: calls.map(({ value }) => value) }])
  const said_ = text ?? object
  const output: Piece[] = [
    ...(thought === undefined ? [] : [{ m: 'json' as const, content: JSON.stringify({ type: 'reasoning', text: thought }) }]),
    ...(said_ === undefined ? [] : [{ m: 'json' as const, content: JSON.stringify({ type: 'text', text: said_ }) }]), ...pieces(calls), ...pieces(files),
  ]
  return { ...(said_ === undefined ? {} : { text: said_ }), tools, thinking: thought === undefined ? [] : [{ text: thought, form: 'full' }], output }
}

function parametersOf(attributes: Taking): CallParameters {
  const found: { [name: string]: number | string | undefined } = {}
  for (const [name, keys] of Object.entries(INTEGERS)) found[name] = attributes.count(...keys)
  for (const [name, keys] of Object.entries(DECIMALS)) found[name] = attributes.first(keys, (value) => { const number = numberIn(value); return number === undefined ? undefined : decimal(number) })
  const invocation = fieldsOf(jsonIn(attributes.peek('llm.invocation_parameters')))
  for (const name of [...Object.keys(INTEGERS), ...Object.keys(DECIMALS)]) {
    const value = found[name] === undefined ? numberIn(invocation?.[name]) : undefined
    if (value !== undefined) found[name] = name in DECIMALS ? decimal(value) : Number.isSafeInteger(value) ? value : undefined
  }
  return defined(found)
}

/** Which model answered and under which id, out of the provider's own answer where a span has it whole (OpenInference), or LangChain's account of it. It stays with the rest. */
function replyIn(attributes: Taking): { readonly id?: string; readonly model?: string } {
  if (attributes.peek('openinference.span.kind') === undefined) return {}
  const answer = fieldsOf(jsonIn(attributes.peek('output.value')))
  const reply = fieldsOf(answer?.['llm_output']) ?? answer
  const [id, model] = [textIn(reply?.['id']), textIn(reply?.['model']) ?? textIn(reply?.['model_name'])]
  return id === undefined || model === undefined ? {} : { id, model } // both, or it is something else
}

/** In milliseconds, whatever the unit of its name. */
function firstTokenMs(attributes: Taking): number | undefined {
  const seconds = attributes.first(['gen_ai.response.time_to_first_chunk', 'gen_ai.server.time_to_first_token'], numberIn)
  const ms = seconds === undefined ? attributes.first(['ai.response.msToFirstChunk', 'ttft_ms'], numberIn) : seconds * 1000
  return ms === undefined || ms < 0 || ms > 1e12 ? undefined : Math.round(ms)
}

function firstText(value: Json): string | undefined {
  return textIn(value) ?? (Array.isArray(value) ? (value as Json[]).map((each) => textIn(each)).find((each) => each !== undefined) : undefined)
}

function boolean(value: Json): boolean | undefined {
  return value === true || value === 'true' ? true : value === false || value === 'false' ? false : undefined
}

function defined<T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never
}
