// A span of a tool's execution, in any of the conventions, as `tool_call` and `tool_result`, and what else it holds beside them.

import type { Piece } from '../../event/model-call.ts'
import type { Json } from '../../event/public.ts'
import type { Outcome } from '../../event/vocabulary.ts'
import { Names, millisecondsBetween, type Told } from './happening.ts'
import { contentPiece, jsonText } from './messages.ts'
import { endOf, failureOf, restOf, textual, timeOf } from './remainder.ts'
import type { Scope, Span, SpanEvent } from './request.ts'
import type { Taking } from './taking.ts'
import { unwrapArguments, unwrapCall, unwrapResult, type Unwrapped } from './wrapped.ts'

const TOOL_NAME = ['gen_ai.tool.name', 'tool.name', 'ai.toolCall.name', 'tool_call.function.name', 'tool_name', 'traceloop.entity.name']
const CALL_ID = ['gen_ai.tool.call.id', 'tool_call.id', 'ai.toolCall.id', 'tool_use_id', 'tool.id']
const ARGUMENTS = ['gen_ai.tool.call.arguments', 'ai.toolCall.args', 'ai.toolCall.input', 'tool_call.function.arguments', 'input.value', 'tool_input', 'traceloop.entity.input', 'tool_arguments', 'gcp.vertex.agent.tool_call_args', 'input', 'tool.parameters']
const RESULT = ['gen_ai.tool.call.result', 'ai.toolCall.result', 'ai.toolCall.output', 'output.value', 'tool_output', 'traceloop.entity.output', 'tool_response', 'gcp.vertex.agent.tool_response', 'output']

export function readToolCall(span: Span, attributes: Taking, events: readonly SpanEvent[], scope: Scope): Told {
  const names = new Names()
  const failure = failureOf(span, attributes, events)
  const tool_name = attributes.text(...TOOL_NAME) ?? span.name.replace(/^(?:execute_tool|tools\/call)\s+/, '')
  const byLangChain = /\blangchain\b/i.test(scope.name ?? '') // not by what the content looks like: a tool may give back anything
  const input = contentOf(attributes, ARGUMENTS, (name, value) => (byLangChain ? unwrapArguments(value) : name.startsWith('traceloop.') ? unwrapCall(value) : undefined))
  const output = contentOf(attributes, RESULT, (_name, value) => (byLangChain ? unwrapResult(value) : undefined))
  const call = { ...names.fact('tool_name', tool_name), ...names.fact('call_id', attributes.text(...CALL_ID) ?? input?.call_id ?? output?.call_id) }
  const took = millisecondsBetween(span.start, span.end)
  const resultNames = new Names()
  const outcome: Outcome = failure !== undefined ? 'failure' : span.status.code === 'ok' || output !== undefined ? 'success' : 'unknown'
  const facts = { ...call, ...resultNames.fact('error_type', failure?.type), ...(took === undefined ? {} : { execution_time_ms: took }) }
  const error = failure === undefined ? undefined : textual(failure.message ?? resultNames.odd['error_type'] ?? '')
  return {
    sort: 'tool_call',
    happenings: [
      { part: 'begin', event_type: 'tool_call', time: timeOf(span), parent: 'outer', facts: { ...call, risk: 'low' }, payloads: { tool_input: input?.piece, names: names.piece() } },
      { part: 'end', event_type: 'tool_result', time: endOf(span), parent: 'begin', outcome, facts, payloads: { tool_output: output?.piece, error } },
      { part: 'rest', event_type: 'custom', time: endOf(span), parent: 'begin', facts: { name: 'otel_span' }, payloads: { content: restOf(span, attributes.rest(), events, scope) } },
    ],
  }
}

/** The first of `names` that says anything. Where a framework put something around it, what stands inside, and the whole stays with the rest. */
function contentOf(attributes: Taking, names: readonly string[], unwrap: (name: string, value: Json) => Unwrapped | undefined): { readonly piece: Piece; readonly call_id?: string } | undefined {
  const name = names.find((each) => (attributes.peek(each) ?? null) !== null)
  if (name === undefined) return undefined
  const value = attributes.peek(name)!
  const inner = unwrap(name, value)
  if (inner === undefined) attributes.take(name)
  const mime = name.endsWith('.value') ? (attributes.peek(name.replace(/value$/, 'mime_type')) ?? 'text/plain') : undefined // OpenInference names the type where it is no text
  const piece = inner === undefined ? contentPiece(value, mime) : inner.json ? jsonText(inner.text) : contentPiece(inner.text)
  return { piece, ...(inner?.call_id === undefined ? {} : { call_id: inner.call_id }) }
}
