// What every span has whatever it is: its times, whether it failed, and what of it found no place of its own.

import type { Piece } from '../../event/model-call.ts'
import type { Json } from '../../event/public.ts'
import type { Scope, Span, SpanEvent } from './request.ts'
import { Taking, textIn } from './taking.ts'

/** What of a span found no other place, with its name and ids. */
export function restOf(span: Span, attributes: { [name: string]: Json } | undefined, events: readonly SpanEvent[], scope: Scope): Piece {
  const { trace_id, span_id, parent_span_id, trace_state, flags, name, kind, start, end, links, status, dropped } = span
  return {
    m: 'json',
    content: JSON.stringify({
      name, kind, trace_id, span_id, parent_span_id, trace_state, flags, start: start.toString(), end: end.toString(), status: status.code === 'unset' && status.message === undefined ? undefined : status,
      attributes, events: events.length === 0 ? undefined : events.map(({ name, time, attributes }) => ({ name, time: time.toString(), attributes: new Taking(attributes).rest() })),
      links: links.length === 0 ? undefined : links.map(({ attributes, ...link }) => ({ ...link, attributes: new Taking(attributes).rest() })), dropped, scope: scopeOf(scope),
    }),
  }
}

export function scopeOf({ name, version, attributes }: Scope): Json | undefined {
  return name === undefined && version === undefined && attributes.length === 0 ? undefined : ({ ...(name === undefined ? {} : { name }), ...(version === undefined ? {} : { version }), ...(attributes.length === 0 ? {} : { attributes: new Taking(attributes).rest()! }) })
}

export interface Failure { readonly type: string; readonly message?: string }

/** Why a span failed; undefined when nothing says that it did. */
export function failureOf(span: Span, attributes: Taking, events: readonly SpanEvent[]): Failure | undefined {
  const thrown = events.findLast(({ name }) => name === 'exception')
  const about = thrown === undefined ? undefined : new Taking(thrown.attributes)
  const type = attributes.text('error.type') ?? about?.text('exception.type')
  if (type === undefined && span.status.code !== 'error') return undefined
  const message = span.status.message ?? textIn(attributes.peek('error.message')) ?? about?.text('exception.message') ?? textIn(attributes.peek('error'))
  return { type: type ?? 'error', ...(message === undefined ? {} : { message }) }
}

export function textual(text: string): Piece | undefined {
  return text === '' ? undefined : text.isWellFormed() ? { m: 'text', content: text } : { m: 'json', content: JSON.stringify(text) }
}

/** When a span began; of one that does not say, when it ended. */
export function timeOf({ start, end }: Span): bigint {
  return start === 0n ? end : start
}

export function endOf({ start, end }: Span): bigint {
  return end === 0n ? start : end
}
