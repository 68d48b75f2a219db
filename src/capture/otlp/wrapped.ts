// What frameworks put around a tool's arguments and its result when they write them into a span: OpenLLMetry's decorator the way a Python function was
// called, and LangChain's callbacks the run that they belong to and the message that the result becomes. Inside stands what the model asked for and
// what it will read.

import type { Json } from '../../event/public.ts'
import { ObjectCut } from '../../wire/json-slices.ts'
import { fieldsOf, jsonIn, textIn } from './taking.ts'

/** What stands inside: JSON as its text, cut and not written again, and text as itself. `call_id`: the call that it is about, as the model named it. */
export interface Unwrapped { readonly text: string; readonly json: boolean; readonly call_id?: string }

/** OpenLLMetry's decorator around arguments: `{"args":[],"kwargs":{…}}`. Undefined for all else, which has no wrapping. */
export function unwrapCall(value: Json): Unwrapped | undefined {
  const outer = cut(value)
  const { args, kwargs } = outer?.value ?? {}
  const isCall = outer !== undefined && Object.keys(outer.value).length === 2 && Array.isArray(args) && args.length === 0 && fieldsOf(kwargs) !== undefined
  return isCall ? { text: outer.cut.text('kwargs')!, json: true } : undefined
}

/** LangChain's callback around arguments, as OpenLLMetry writes it: `{"input_str":…,"inputs":{…},"kwargs":…}`. */
export function unwrapArguments(value: Json): Unwrapped | undefined {
  const outer = cut(value)
  const { inputs, input_str, kwargs } = outer?.value ?? {}
  return outer === undefined || input_str === undefined || fieldsOf(inputs) === undefined ? undefined : { text: outer.cut.text('inputs')!, json: true, ...callId(fieldsOf(kwargs)?.['tool_call_id']) }
}

/** LangChain's message around a result: `{"output":{"lc":1,…},"kwargs":…}` or `{"output":"…","kwargs":…}` as OpenLLMetry writes it, `{"type":"tool","data":{…}}` as OpenInference does. */
export function unwrapResult(value: Json): Unwrapped | undefined {
  const outer = cut(value)
  if (outer === undefined || Object.keys(outer.value).length !== 2) return undefined
  const { output, kwargs, type, data } = outer.value
  if (type === 'tool' && fieldsOf(data)?.['type'] === 'tool') return contentOf(outer.cut.object('data'), fieldsOf(data))
  if (fieldsOf(kwargs) === undefined) return undefined
  if (typeof output === 'string') return { text: output, json: false }
  const message = fieldsOf(output)
  return message?.['lc'] === undefined ? undefined : contentOf(outer.cut.object('output')?.object('kwargs'), fieldsOf(message['kwargs']))
}

function contentOf(message: ObjectCut | undefined, fields: ReturnType<typeof fieldsOf>): Unwrapped | undefined {
  const content = fields?.['content']
  if (message === undefined || content === undefined || content === null) return undefined
  return { ...(typeof content === 'string' ? { text: content, json: false } : { text: message.text('content')!, json: true }), ...callId(fields?.['tool_call_id']) }
}

function callId(value: Json | undefined): { call_id?: string } {
  const text = textIn(value)
  return text === undefined ? {} : { call_id: text }
}

function cut(given: Json): { readonly cut: ObjectCut; readonly value: { readonly [name: string]: Json | undefined } } | undefined {
  const inner = typeof given === 'string' ? jsonIn(given) : given
  const value = fieldsOf(typeof inner === 'string' ? undefined : inner)
  return value === undefined ? undefined : { cut: new ObjectCut(() => (typeof given === 'string' ? given : JSON.stringify(given)), value), value }
}
