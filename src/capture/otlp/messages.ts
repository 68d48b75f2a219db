// Messages as instrumentations write them: a JSON text, a list of values, or one attribute for each part of each message. A text is cut where its
// elements end and not written again; what was flattened is put together in OpenAI's shape, which is what it was flattened from.

import type { Piece, RequestedTool, Thinking } from '../../event/model-call.ts'
import type { Json } from '../../event/public.ts'
import { ObjectCut } from '../../wire/json-slices.ts'
import { fieldsOf, jsonIn, textIn } from './taking.ts'

type Fields = { readonly [name: string]: Json | undefined }

/** A value with the text that it is, or was read from. */
export interface Said { readonly value: Json; readonly piece: Piece }

/** `value` as JSON; a text that holds JSON as it stands. */
export function said(value: Json): Said {
  const inner = jsonIn(value)
  return inner === undefined || typeof inner !== 'object' ? { value, piece: { m: 'json', content: JSON.stringify(value) } } : { value: inner, piece: jsonText(value as string) }
}

/** The elements of a list, given as a JSON text or as itself. Undefined for what is no list. */
export function listIn(value: Json | undefined): Said[] | undefined {
  if (Array.isArray(value)) return (value as Json[]).map(said)
  const inner = jsonIn(value)
  return Array.isArray(inner) ? cut(value as string, inner as Json[]) : undefined
}

/** As `listIn`, of a member of a JSON object given as its text or as itself. */
export function listMember(value: Json | undefined, name: string): Said[] | undefined {
  const outer = typeof value === 'string' ? jsonIn(value) : value
  const list = fieldsOf(outer)?.[name]
  if (!Array.isArray(list)) return undefined
  if (typeof value !== 'string') return (list as Json[]).map(said)
  const texts = new ObjectCut(() => value, outer as { readonly [key: string]: unknown }).elements(name)!
  return (list as Json[]).map((each, i) => ({ value: each, piece: jsonText(texts[i]!) }))
}

function cut(text: string, list: readonly Json[]): Said[] {
  const texts = new ObjectCut(() => `{"":${text}}`, { '': list }).elements('')!
  return list.map((each, i) => ({ value: each, piece: jsonText(texts[i]!) }))
}

/** A JSON text as a piece; with lone surrogates, which UTF-8 cannot hold, written again. */
export function jsonText(text: string): Piece {
  return { m: 'json', content: text.isWellFormed() ? text : JSON.stringify(JSON.parse(text)) }
}

/**
 * Content of a text attribute, as JSON where it is JSON, else as text; any other value as JSON. A number is JSON only where it is written as numbers are, since a text
 * may look like one (an order "0042", "1e5"), and not where `mime` says that it is text.
 */
export function contentPiece(value: Json, mime?: Json): Piece {
  if (typeof value !== 'string') return { m: 'json', content: JSON.stringify(value) }
  const inner = jsonIn(value)
  const isJson = inner !== null && typeof inner === 'object' ? true : inner !== undefined && (mime === undefined || mime === 'application/json') && (typeof inner !== 'number' || String(inner) === value)
  if (isJson) return jsonText(value)
  return value.isWellFormed() ? { m: 'text', content: value } : { m: 'json', content: JSON.stringify(value) }
}

/** A message of `llm.input_messages.N` (OpenInference), whose levels each repeat the name of what they hold. */
export function openInferenceMessage(element: Json): Json {
  const { content, contents, tool_calls, ...message } = (fieldsOf(fieldsOf(element)?.['message']) ?? {}) as { [name: string]: Json }
  const blocks = Array.isArray(contents) ? (contents as Json[]).map((each) => fieldsOf(each)?.['message_content'] ?? each) : undefined
  const calls = Array.isArray(tool_calls) ? (tool_calls as Json[]).map((each) => fieldsOf(each)?.['tool_call'] ?? each) : undefined
  return { ...message, ...(content === undefined ? {} : { content }), ...(blocks === undefined ? {} : content === undefined ? { content: blocks } : { contents: blocks }), ...(calls === undefined ? {} : { tool_calls: calls }) }
}

/** What an answer says, out of its messages. */
export interface Answer { readonly text?: string; readonly tools: readonly RequestedTool[]; readonly thinking: readonly Thinking[]; readonly stop_reason?: string }

export function readAnswer(messages: readonly Json[]): Answer {
  const answer = { texts: [] as string[], tools: [] as RequestedTool[], thinking: [] as Thinking[] }
  let stop_reason: string | undefined
  for (const message of messages) {
    const fields = fieldsOf(message)
    if (fields === undefined) {
      if (typeof message === 'string') answer.texts.push(message)
      continue
    }
    stop_reason ??= textIn(fields['finish_reason'])
    const inner = fieldsOf(jsonIn(fields['message'])) ?? fieldsOf(fields['message'])
    for (const each of inner === undefined ? [fields] : [fields, inner]) readParts(each, answer)
  }
  const text = answer.texts.join('')
  return { ...(text === '' ? {} : { text }), tools: answer.tools, thinking: answer.thinking, ...(stop_reason === undefined ? {} : { stop_reason }) }
}

interface Found { readonly texts: string[]; readonly tools: RequestedTool[]; readonly thinking: Thinking[] }

function readParts(message: Fields, found: Found): void {
  const content = message['parts'] ?? message['content'] ?? message['text']
  const blocks = typeof content === 'string' ? jsonIn(content) : content
  if (Array.isArray(blocks) && (blocks as Json[]).every((block) => fieldsOf(block)?.['type'] !== undefined)) for (const block of blocks as Json[]) readBlock(fieldsOf(block)!, found)
  else if (typeof content === 'string' && content !== '') found.texts.push(content)
  const thinking = textIn(message['reasoning_content']) ?? textIn(message['reasoning'])
  if (thinking !== undefined) found.thinking.push({ text: thinking, form: 'full' })
  const calls = typeof message['tool_calls'] === 'string' ? jsonIn(message['tool_calls']) : message['tool_calls']
  for (const call of Array.isArray(calls) ? (calls as Json[]) : []) readCall(fieldsOf(call) ?? {}, found)
  const named = textIn(message['function_call_name'])
  if (named !== undefined) found.tools.push({ name: named, input: jsonIn(message['function_call_arguments_json']) ?? message['function_call_arguments_json'] ?? null })
}

function readBlock(block: Fields, found: Found): void {
  const type = String(block['type'])
  const text = textIn(block['text']) ?? textIn(block['content'])
  if (/^(?:text|output_text)$/.test(type)) {
    if (text !== undefined) found.texts.push(text)
  } else if (/^(?:reasoning|thinking)$/.test(type)) {
    const thought = text ?? textIn(block['thinking']) ?? textIn(block['reasoning'])
    if (thought !== undefined) found.thinking.push({ text: thought, form: 'full' })
  } else if (type === 'redacted_thinking') found.thinking.push({ form: 'encrypted' })
  else if (/^(?:tool_call|tool-call|tool_use|function_call)$/.test(type)) readCall(block, found)
}

function readCall(call: Fields, found: Found): void {
  const inner = fieldsOf(call['function']) ?? call
  const name = textIn(inner['name']) ?? textIn(call['toolName'])
  if (name === undefined) return
  const id = textIn(call['id']) ?? textIn(call['toolCallId']) ?? textIn(call['tool_call_id']) ?? textIn(call['call_id'])
  const input = inner['arguments'] ?? inner['input'] ?? inner['args']
  found.tools.push({ name, input: jsonIn(input) ?? input ?? null, ...(id === undefined ? {} : { call_id: id }) })
}
