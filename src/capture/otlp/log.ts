// A log record as events. Claude Code tells what it does in records named `claude_code.*` (its monitoring documentation): of a model call and
// of a tool call there is one each, after the act. Every other record is kept as it came.

import type { Piece } from '../../event/model-call.ts'
import { foreignLabel } from '../../event/label.ts'
import type { Outcome } from '../../event/vocabulary.ts'
import { Names, type Happening, type Told } from './happening.ts'
import { contentPiece } from './messages.ts'
import { scopeOf, textual } from './remainder.ts'
import type { Exported, LogRecord, Scope } from './request.ts'
import { numberIn, Taking, textIn } from './taking.ts'

export function tellLog({ item, scope }: Exported<LogRecord>): Told {
  const attributes = new Taking(item.attributes)
  const name = nameOf(item, attributes)
  if (name.startsWith('claude_code.')) {
    switch (name.slice('claude_code.'.length)) {
      case 'api_request': case 'api_error': case 'api_refusal': return apiRequest(item, name, attributes, scope)
      case 'tool_result': return toolResult(item, name, attributes, scope)
      case 'tool_decision': return toolDecision(item, name, attributes, scope)
    }
  }
  return otherLog(item, scope)
}

/** `claude_code.api_request`: the record's event name, or its attribute `event.name`, which has no prefix, or its body. */
function nameOf({ event_name, body }: LogRecord, attributes: Taking): string {
  const inBody = textIn(body)
  return event_name ?? (inBody !== undefined && /^claude_code\.[a-z_]{1,64}$/.test(inBody) ? inBody : (textIn(attributes.peek('event.name')) ?? ''))
}

/** A record that has no place of its own: kept as it came. */
export function otherLog(record: LogRecord, scope: Scope): Told {
  const name = nameOf(record, new Taking(record.attributes))
  return { sort: 'custom', happenings: [{ part: 'begin', event_type: 'custom', time: timeOf(record), parent: 'outer', facts: { name: name === '' ? 'otel_log' : foreignLabel(name).label }, payloads: { content: recordOf(record, new Taking(record.attributes), scope) } }] }
}

// Told when the answer is there: the call began that much earlier.
function apiRequest(record: LogRecord, name: string, attributes: Taking, scope: Scope): Told {
  const names = new Names()
  const resultNames = new Names()
  const took = durationOf(attributes)
  const model = attributes.text('model')
  const failed = name !== 'claude_code.api_request'
  const status = attributes.count('status_code', 'error_code')
  const attempt = attributes.count('attempt')
  const tokens = { input_tokens: attributes.count('input_tokens'), output_tokens: attributes.count('output_tokens'), cache_read_tokens: attributes.count('cache_read_tokens'), cache_write_tokens: attributes.count('cache_creation_tokens') }
  const response_id = attributes.text('request_id')
  const error = failed ? attributes.text('error', 'error.message') : undefined
  const call: Happening = { part: 'begin', event_type: 'llm_call', time: before(record, took), parent: 'outer', facts: { provider: 'anthropic', ...names.fact('model_id', model ?? 'unknown') }, payloads: { model_name: textual(names.odd['model_id'] ?? '') } }
  const result: Happening = {
    part: 'end', event_type: 'llm_result', time: timeOf(record), parent: 'begin', outcome: failed ? 'failure' : 'success',
    facts: {
      ...resultNames.fact('model_id', model), ...(failed ? { error_type: status === undefined ? 'api_error' : `http_${status}` } : {}), ...(status === undefined ? {} : { status }), ...(attempt === undefined ? {} : { attempt }),
      ...(took === undefined ? {} : { latency_ms: took }), ...Object.fromEntries(Object.entries(tokens).filter(([, count]) => count !== undefined)) as { [name: string]: number },
    },
    payloads: { response_id: textual(response_id ?? ''), error: textual(error ?? ''), names: resultNames.piece(), raw: recordOf(record, attributes, scope) },
  }
  return { sort: 'model_call', happenings: [call, result] }
}

function toolResult(record: LogRecord, _name: string, attributes: Taking, scope: Scope): Told {
  const names = new Names()
  const took = durationOf(attributes)
  const call = { ...names.fact('tool_name', attributes.text('tool_name') ?? 'unknown'), ...names.fact('call_id', attributes.text('tool_use_id')) }
  const input = attributes.text('tool_input', 'tool_parameters')
  const output = attributes.text('tool_output', 'tool_result', 'output')
  const error = attributes.text('error')
  const success = attributes.take('success')
  const outcome: Outcome = success === true || success === 'true' ? 'success' : success === false || success === 'false' || error !== undefined ? 'failure' : 'unknown'
  const kind = attributes.text('error_type')
  return {
    sort: 'tool_call',
    happenings: [
      { part: 'begin', event_type: 'tool_call', time: before(record, took), parent: 'outer', facts: { ...call, risk: 'low' }, payloads: { tool_input: input === undefined ? undefined : contentPiece(input), names: names.piece() } },
      {
        part: 'end', event_type: 'tool_result', time: timeOf(record), parent: 'begin', outcome, facts: { ...call, ...(kind === undefined ? {} : { error_type: foreignLabel(kind).label }), ...(took === undefined ? {} : { execution_time_ms: took }) },
        payloads: { tool_output: output === undefined ? undefined : contentPiece(output), error: textual(error ?? '') },
      },
      { part: 'rest', event_type: 'custom', time: timeOf(record), parent: 'begin', facts: { name: 'claude_code.tool_result' }, payloads: { content: recordOf(record, attributes, scope) } },
    ],
  }
}

// Whether a tool may run, and who said so: a setting, a hook, or the person at the terminal.
function toolDecision(record: LogRecord, name: string, attributes: Taking, scope: Scope): Told {
  const decision = attributes.peek('decision')
  if (decision !== 'accept' && decision !== 'reject') return otherLog(record, scope)
  const reason = recordOf(record, attributes, scope)
  return {
    sort: 'decision',
    happenings: [{ part: 'begin', event_type: 'policy_decision', time: timeOf(record), parent: 'outer', facts: { policy: name, decision: decision === 'accept' ? 'allow' : 'deny' }, payloads: { reason: { m: 'text', content: reason.content } } }],
  }
}

/** What of a record found no other place, with its name, times and ids. */
function recordOf(record: LogRecord, attributes: Taking, scope: Scope): Piece {
  const { time, observed, attributes: _all, ...rest } = record
  return { m: 'json', content: JSON.stringify({ ...rest, time: time === 0n ? undefined : time.toString(), observed: observed === 0n ? undefined : observed.toString(), attributes: attributes.rest(), scope: scopeOf(scope) }) }
}

/** When it happened; of a record that does not say, when it was seen. */
export function timeOf({ time, observed }: LogRecord): bigint {
  return time === 0n ? observed : time
}

function before(record: LogRecord, ms: number | undefined): bigint {
  const time = timeOf(record) - BigInt(ms ?? 0) * 1_000_000n
  return time < 0n ? 0n : time
}

function durationOf(attributes: Taking): number | undefined {
  const ms = attributes.first(['duration_ms'], numberIn)
  return ms === undefined || ms < 0 || ms > 1e12 ? undefined : Math.round(ms)
}
