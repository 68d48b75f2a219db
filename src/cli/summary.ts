// One event in one line: its kind in at most ten columns, and what it says. `say` gives the parts; the screen decides how much
// of the content fits between them, so that an outcome or a risk is never cut off by a long payload.

import { Absent, type ViewEvent } from '../event/view.ts'
import { compact, fitted, quote } from './fitted.ts'
import { bytes, count, duration, fits, green, grey, lineWidth, plural, red, yellow, type Line, type Span, type Style } from './terminal.ts'

/** `before` and `after` are shown whole, `content` as far as there is room between them, and `rest` only beside all of the content. */
export interface Summary { readonly kind: string; readonly style?: Style; readonly before: Line; readonly content?: unknown; readonly after?: Line; readonly rest?: Line }

/** What is known of the session's earlier events when one of them is shown. */
export interface Known {
  /** the index of the session's event with this seq */
  indexOf(seq: number): number | undefined
  /** the call that this event is the result of, and whether it stands directly before it */
  callOf(event: ViewEvent): { index: number; tool_name?: string; adjacent: boolean } | undefined
  /** the model in the session's header */
  readonly model_id: string | null
}

/** What `event` says. Of a type this version does not know: its name, and that a newer one wrote it. */
export function summarize(event: ViewEvent, known: Known): Summary {
  const say = SAY[event.event_type]
  if (say === undefined) return { kind: event.event_type, style: 'grey', before: [grey('written by a newer version; this one cannot read it')] }
  return say(event, known)
}

/** `summary` in at most `columns`, its content shortened where it must be. */
export function fitSummary({ before, content, after = [], rest = [] }: Summary, columns: number): Line {
  if (content === undefined) return [...before, ...after, ...rest]
  const room = columns - lineWidth(before) - lineWidth(after)
  if (fits(compact(content), room - lineWidth(rest))) return [...before, compact(content), ...after, ...rest]
  return [...before, room < 4 ? '…' : fitted(content, room), ...after]
}

type Say = (event: ViewEvent, known: Known) => Summary

const SAY: { readonly [event_type: string]: Say } = {
  session_start: (event) => ({ kind: 'start', ...told(event['user_message']) }),
  llm_call: (event, known) => ({
    kind: 'llm →',
    ...dots([
      [size(event['input_messages'], 'message', event['message_count']), size(event['tool_definitions'], 'tool')].filter(Boolean).join(', '),
      typeof event.model_id === 'string' && event.model_id !== known.model_id ? event.model_id : '',
      isNumber(event['attempt']) && event['attempt'] > 0 ? yellow(`retry ${event['attempt']}`) : '', ...capture(event),
    ]),
  }),
  context: (event) => ({ kind: 'context', before: [plural(list(event['input_messages']).length, 'earlier message')] }),
  llm_result: (event, known) => ({
    kind: 'llm ←',
    ...dots([
      ofCall(event, known), event.outcome === 'success' || event.outcome === null ? string(event['stop_reason']) : outcome(event),
      event['complete'] === false ? yellow('broken off') : '', isNumber(event['status']) && event['status'] >= 400 ? red(`HTTP ${event['status']}`) : '',
      tokens(event['input_tokens'], 'in'), tokens(event['output_tokens'], 'out'), time(event['latency_ms']),
    ], event['error'] ?? event['output_text']),
  }),
  reasoning: (event) => ({
    kind: event['kind'] === 'author_stated' ? 'stated' : 'thinking',
    ...dots([event['form'] === 'full' || event['form'] === 'summarised' || event['form'] === undefined ? '' : grey(string(event['form']))], event['text']),
  }),
  tool_call: (event, known) => ({
    kind: 'tool →',
    before: [`${toolName(event)} `],
    ...(event['tool_input'] === undefined ? {} : { content: event['tool_input'] }),
    after: trailing([
      risk(event), approvalOf(event, known) === undefined ? '' : `approval ${place(approvalOf(event, known))}`,
      isNumber(event['attempt']) && event['attempt'] > 0 ? yellow(`retry ${event['attempt']}`) : '', ...capture(event),
    ]),
    rest: trailing([isNumber(event['approval']) && approvalOf(event, known) === undefined ? 'approval' : '']),
  }),
  tool_result: (event, known) => ({
    kind: 'tool ←',
    ...dots([ofCall(event, known), outcome(event), time(event['execution_time_ms'])], event['error'] ?? event['tool_output']),
  }),
  approval_request: (event) => ({
    kind: 'approval →',
    before: [`${toolName(event)} `],
    ...(event['tool_input'] === undefined ? {} : { content: event['tool_input'] }),
    after: trailing([risk(event), isNumber(event['quorum']) && event['quorum'] > 1 ? `needs ${event['quorum']} people` : '']),
    rest: trailing([typeof event['expires_at'] === 'string' ? `open for ${duration(Date.parse(event['expires_at']) - Date.parse(event.timestamp))}` : '']),
  }),
  approval_decision: (event) => {
    const decision = string(event['decision'])
    const style = decision === 'approved' ? green : decision === 'expired' ? yellow : red
    const by = who(event['approver_id'] ?? event['identity'], event['approver'])
    const assurance = ASSURANCE[string(event['assurance'])] ?? ''
    const after = isNumber(event['time_to_decide_ms']) ? ` after ${duration(event['time_to_decide_ms'])}` : ''
    const { before, content } = dots([`${by === '' ? '' : ` by ${by}${assurance}`}${after}`], event['comment'])
    return { kind: 'approval ←', before: [style(decision), ...before], ...(content === undefined ? {} : { content }) }
  },
  human_intervention: (event) => ({ kind: 'human', style: 'yellow', ...dots([yellow(string(event['kind'])), who(event['identity'], event['actor'])], event['note']) }),
  policy_decision: (event) => {
    const decision = string(event['decision'])
    const style = decision === 'allow' ? green : decision === 'deny' ? red : yellow
    return { kind: 'policy', ...dots([`${string(event['policy'])}${event['version'] === undefined ? '' : ` ${string(event['version'])}`}`, style(decision)], event['reason']) }
  },
  data_access: (event) => ({
    kind: 'read',
    ...dots([
      string(event['source']), string(event['classification']), isNumber(event['record_count']) ? plural(event['record_count'], 'record') : '',
      event['trust'] === 'untrusted' ? yellow('untrusted') : string(event['trust']),
    ], event['reference']),
  }),
  sandbox_crossing: (event) => ({
    kind: 'boundary',
    ...dots([`${string(event['kind'])}${event['direction'] === undefined ? '' : ` ${string(event['direction'])}`}`, event['allowed'] === false ? red('not allowed') : green('allowed')], event['target']),
  }),
  state_snapshot: (event) => ({ kind: 'state', ...dots([string(event['kind']), isNumber(event['bytes']) ? bytes(event['bytes']) : ''], event['state']) }),
  handoff: (event) => ({
    kind: 'handoff →',
    ...dots([string(event['to_agent_id']), typeof event['child_session_id'] === 'string' ? `session ${event['child_session_id'].slice(-8)}` : ''], event['instructions']),
  }),
  config_change: (event) => ({ kind: 'config', style: 'yellow', ...dots([string(event['what']), string(event['agent_version']), string(event['model_id'])], event['after']) }),
  error: (event) => ({ kind: 'error', style: 'red', ...dots([string(event['error_type']), event['recoverable'] === true ? 'recoverable' : ''], event['message']) }),
  final_output: (event) => ({ kind: 'answer', ...told(event['output']) }),
  subject: (event) => ({ kind: 'concerns', before: [who(event['identity'], event['subject'])] }),
  session_suspend: (event) => ({ kind: 'suspend', ...dots([string(event['reason']) || 'laid down']) }),
  session_resume: (event) => ({ kind: 'resume', ...dots([string(event['reason']) || 'taken up again']) }),
  session_interrupted: (event) => ({
    kind: 'broken off', style: 'yellow', before: [yellow('the process that wrote it is gone'), isNumber(event['last_stream_seq']) ? ` · its last event was number ${event['last_stream_seq']} of its stream` : ''],
  }),
  session_end: (event) => ({ kind: 'end', ...dots([outcome(event), string(event['reason'])], event['note']) }),
  session_timeout: (event) => ({ kind: 'timeout', style: 'yellow', ...dots([outcome(event), string(event['reason'])], event['note']) }),
  gap: (event) => ({
    kind: 'gap', style: 'red',
    before: [red(isNumber(event['from']) && isNumber(event['to']) ? `${plural(event['to'] - event['from'], 'event')} missing` : 'events missing'), ` · ${string(event['cause'])}`],
  }),
  finding: (event) => ({ kind: 'finding', style: 'yellow', ...dots([string(event['rule']), yellow(string(event['severity']))], event['explanation']) }),
  access: (event) => ({ kind: 'access', ...dots([string(event['action']), who(event['identity'], undefined)], event['purpose']) }),
  retention: disposal('retention'),
  hold: disposal('hold'),
  erasure: disposal('erasure'),
  log_start: (event) => ({ kind: 'log start', ...dots([string(event['origin']), string(event['format'])]) }),
  log_end: (event) => ({ kind: 'log end', ...dots([string(event['reason']), event['next'] === undefined ? '' : `goes on in ${string(event['next'])}`]) }),
  key_rotation: (event) => ({ kind: 'new key', style: 'yellow', ...dots([string(event['vkey'])]) }),
  key_compromise: (event) => ({ kind: 'bad key', style: 'red', ...dots([string(event['vkey']), isNumber(event['last_good_size']) ? `good up to size ${count(event['last_good_size'])}` : ''], event['note']) }),
  integrity_check: (event) => ({ kind: 'check', ...dots([string(event['result']), isNumber(event['size']) ? plural(event['size'], 'entry', 'entries') : '']) }),
  clock: (event) => ({ kind: 'clock', style: 'yellow', before: [`set back from ${string(event['from'])} to ${string(event['to'])}`] }),
  custom: (event) => ({ kind: 'custom', ...dots([string(event['name'])], event['content']) }),
}

function disposal(kind: string): Say {
  return (event) => ({
    kind,
    ...dots([
      string(event['phase']), isNumber(event['scope_count']) ? plural(event['scope_count'], 'scope') : Array.isArray(event['scopes']) ? plural(event['scopes'].length, 'scope') : '',
      string(event['result']), who(event['identity'], undefined),
    ], event['reason']),
  })
}

const ASSURANCE: { readonly [assurance: string]: string } = { oidc: ' (OIDC)', api_key: ' (API key)', terminal: ' (at the terminal)', asserted: ' (as asserted)' }

function told(value: unknown): Pick<Summary, 'before' | 'content'> {
  if (value instanceof Absent) return { before: [grey(value.toString())] }
  return value === undefined || value === null ? { before: [] } : { before: [], content: value }
}

/** `parts` that say something, joined by ` · `, and the content behind them. */
function dots(parts: readonly (string | Span)[], content?: unknown): Pick<Summary, 'before' | 'content'> {
  const before = parts.filter((part) => (typeof part === 'string' ? part : part.text) !== '').flatMap((part, i) => (i === 0 ? [part] : [' · ', part]))
  if (content === undefined || content === null) return { before }
  const separator = before.length > 0 ? [' · '] : []
  if (content instanceof Absent) return { before: [...before, ...separator, grey(content.toString())] }
  return { before: [...before, ...separator], content }
}

function trailing(parts: readonly (string | Span)[]): (string | Span)[] {
  return parts.filter((part) => (typeof part === 'string' ? part : part.text) !== '').flatMap((part) => [' · ', part])
}

function capture(event: ViewEvent): Span[] {
  return event.capture === 'before' ? [] : [grey(event.capture === 'after' ? 'told afterwards' : 'imported')]
}

function ofCall(event: ViewEvent, known: Known): string {
  const call = known.callOf(event)
  if (call === undefined) return 'of no call on record'
  return call.adjacent ? '' : [place(call.index), call.tool_name].filter(Boolean).join(' ')
}

function outcome(event: ViewEvent): Span | string {
  // a thrown text has no class to name: the text itself follows
  const error = typeof event['error_type'] === 'string' && event['error_type'] !== 'string' ? ` (${event['error_type']})` : ''
  switch (event.outcome) {
    case 'success': return green('ok')
    case 'failure': return red(`failed${error}`)
    case 'denied': return yellow(`denied${error}`)
    case 'timeout': return yellow('timed out')
    case 'unknown': return grey('outcome unknown')
    case null: return ''
  }
}

function approvalOf(event: ViewEvent, known: Known): number | undefined {
  return isNumber(event['approval']) ? known.indexOf(event['approval']) : undefined
}

function risk(event: ViewEvent): Span | string {
  return event['risk'] === 'high' || event['risk'] === 'critical' ? yellow(event['risk']) : ''
}

/** A tool's name. One that is no label is on record as `other`, and its text as a payload. */
export function toolName(event: ViewEvent): string {
  const names = event['names']
  if (event['tool_name'] === 'other' && typeof names === 'object' && names !== null && 'tool_name' in names) return compact(names.tool_name)
  return string(event['tool_name'])
}

/** Who somebody is: an identity's text or id, or, erased or unknown, the reference in the record. */
function who(identity: unknown, ref: unknown): string {
  if (identity instanceof Absent) return `${typeof ref === 'string' ? `${ref.slice(-8)} ` : ''}${identity.toString()}`
  if (typeof identity === 'string') return quoteUnlessPlain(identity)
  if (typeof identity === 'object' && identity !== null) {
    const several: unknown = (identity as { subjects?: unknown }).subjects
    if (Array.isArray(several)) return several.map((one) => quoteUnlessPlain(String(one))).join(', ')
    for (const name of ['subject', 'approver_id', 'user_id', 'actor', 'id']) {
      const value: unknown = (identity as { [name: string]: unknown })[name]
      if (typeof value === 'string') return quoteUnlessPlain(value)
    }
    return compact(identity)
  }
  return typeof ref === 'string' ? ref.slice(-8) : ''
}

/** An id somebody chose: as it is when it is plain, quoted when it could be read as something else. */
export function quoteUnlessPlain(text: string): string {
  return /^[A-Za-z0-9][A-Za-z0-9._:/+@-]{0,127}$/.test(text) ? text : quote(text)
}

const place = (index: number | undefined): string => (index === undefined ? '' : `#${index}`)
const isNumber = (value: unknown): value is number => typeof value === 'number'
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const string = (value: unknown): string => (typeof value === 'string' ? value : value === undefined || value === null ? '' : compact(value))
const time = (value: unknown): string => (isNumber(value) ? duration(value) : '')
const tokens = (value: unknown, way: string): string => (isNumber(value) ? `${count(value)} ${way}` : '')

function size(value: unknown, one: string, known?: unknown): string {
  if (Array.isArray(value)) return value.length === 0 && one === 'tool' ? '' : plural(value.length, one)
  return isNumber(known) ? plural(known, one) : value instanceof Absent ? `${one}s ${value.toString()}` : ''
}
