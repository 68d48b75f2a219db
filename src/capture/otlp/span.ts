// A span as events: a model call, a tool call, or itself. What a span is says the first of its conventions that says it at all; nothing else
// is looked at, neither its parent nor its neighbours, so that it is the same whichever batch it comes in.

import type { Told } from './happening.ts'
import { readModelCall } from './model-call.ts'
import { failureOf, restOf, timeOf } from './remainder.ts'
import type { Exported, Scope, Span } from './request.ts'
import { Taking } from './taking.ts'
import { readToolCall } from './tool-call.ts'

/** Events of a span that hold what other conventions have as attributes. */
const AS_ATTRIBUTES: ReadonlySet<string> = new Set(['gen_ai.client.inference.operation.details', 'gen_ai.content.prompt', 'gen_ai.content.completion'])

export function tellSpan({ item, scope }: Exported<Span>): Told {
  const merged = item.events.filter(({ name }) => AS_ATTRIBUTES.has(name))
  const attributes = new Taking([...item.attributes, ...merged.flatMap(({ attributes }) => attributes)])
  const events = item.events.filter(({ name }) => !AS_ATTRIBUTES.has(name))
  switch (sortOf(attributes)) {
    case 'model_call': return readModelCall(item, attributes, events, scope)
    case 'tool_call': return readToolCall(item, attributes, events, scope)
    default: return readOther(item, scope)
  }
}

const MODEL_OPERATIONS: ReadonlySet<unknown> = new Set(['chat', 'text_completion', 'generate_content', 'completion'])
const AI_SDK_MODEL = /^ai\.(?:generateText\.doGenerate|streamText\.doStream|generateObject\.doGenerate|streamObject\.doStream)$/
const MODEL_MARKS = ['gen_ai.input.messages', 'gen_ai.output.messages', 'gen_ai.usage.input_tokens', 'gen_ai.usage.output_tokens', 'gen_ai.usage.prompt_tokens', 'gen_ai.usage.completion_tokens'] as const

function sortOf(attributes: Taking): 'model_call' | 'tool_call' | 'custom' {
  const kind = attributes.peek('openinference.span.kind')
  if (kind !== undefined) return kind === 'LLM' ? 'model_call' : kind === 'TOOL' ? 'tool_call' : 'custom'
  const aiSdk = attributes.peek('ai.operationId')
  if (typeof aiSdk === 'string') return AI_SDK_MODEL.test(aiSdk) ? 'model_call' : aiSdk === 'ai.toolCall' ? 'tool_call' : 'custom'
  const claude = attributes.peek('span.type')
  if (claude === 'llm_request' || claude === 'tool') return claude === 'tool' ? 'tool_call' : 'model_call'
  const operation = attributes.peek('gen_ai.operation.name')
  if (operation !== undefined) return MODEL_OPERATIONS.has(operation) ? 'model_call' : operation === 'execute_tool' ? 'tool_call' : 'custom'
  if (attributes.peek('mcp.method.name') !== undefined) return attributes.peek('mcp.method.name') === 'tools/call' ? 'tool_call' : 'custom'
  const traceloop = attributes.peek('traceloop.span.kind')
  if (traceloop !== undefined) return traceloop === 'tool' ? 'tool_call' : 'custom'
  const request = attributes.peek('llm.request.type')
  if (request !== undefined) return request === 'chat' || request === 'completion' ? 'model_call' : 'custom'
  if (attributes.has('gen_ai.tool.call.id') || attributes.has('gen_ai.tool.call.arguments')) return 'tool_call'
  const asked = attributes.has('gen_ai.request.model') || attributes.has('gen_ai.response.model')
  const answered = MODEL_MARKS.some((name) => attributes.has(name)) || ['gen_ai.prompt', 'gen_ai.completion'].some((prefix) => attributes.begins(prefix) || attributes.has(prefix))
  return asked && answered && !attributes.has('gen_ai.agent.name') ? 'model_call' : 'custom'
}

/** A span that is neither: kept as it came. */
export function readOther(span: Span, scope: Scope): Told {
  const failed = failureOf(span, new Taking(span.attributes), span.events) !== undefined
  const content = restOf(span, span.attributes.length === 0 ? undefined : new Taking(span.attributes).rest(), span.events, scope)
  return { sort: 'custom', happenings: [{ part: 'begin', event_type: 'custom', time: timeOf(span), parent: 'outer', ...(failed ? { outcome: 'failure' as const } : {}), facts: { name: 'otel_span' }, payloads: { content } }] }
}
