// `why` as lines for a terminal. Everything that comes from the record passes `visible` or `quote`; what is too wide is shortened, the
// quotation before the statement.

import { Absent } from '../event/view.ts'
import type { Approval, Decision, Part, Reasoning, Source, Unknown, Value, Why } from './result.ts'
import { columns, fit, quote, visible } from './visible.ts'

/** `kind` is for colours: what the line is about and, for a value, how far it is traced. */
export type LineKind =
  | 'title' | 'asked' | 'reasoning' | 'traced' | 'untrusted' | 'partly' | 'nowhere' | 'untraced' | 'prompt' | 'approval' | 'happened' | 'unknown'

/** One line. `label` is empty where it goes on with the one above; `index` is the entry that it rests on, null if none. */
export interface Row { readonly label: string; readonly text: string; readonly index: number | null; readonly kind: LineKind }

const LABEL = 13
const VALUE = 20
const NARROWEST = 40
const MIN_QUOTE = 24
const MIN_NAME = 6

/** The lines of `why`, each at most `width` columns with two of indent and the label's column. The title's label is empty. */
export function rowsOf(why: Why, width = 80): Row[] {
  const room = Math.max(NARROWEST, width) - 2 - labelWidth(why, width)
  const rows = [...about(why), ...asked(why), ...why.reasoning.map((one, i) => reasoning(one, i === 0, room)), ...values(why, room, width), ...prompt(why), ...approval(why), ...happened(why), ...unknown(why.not_known), ...next(why)]
  return [title(why, Math.max(NARROWEST, width)), ...rows.map((row) => ({ ...row, text: fit(row.text, room) }))]
}

/** `rowsOf` as text: the title, an empty line, then labels and texts in two columns. */
export function linesOf(why: Why, width = 80): string[] {
  const [first, ...rows] = rowsOf(why, width)
  const label = labelWidth(why, width)
  return [first?.text ?? '', '', ...rows.map((row) => `  ${row.label}${' '.repeat(Math.max(0, label - columns(row.label)))}${row.text}`)]
}

// Of the column of labels with its gap: the widest of them, but at most a quarter of the line.
function labelWidth(why: Why, width: number): number {
  return Math.max(LABEL, ...why.values.map((value) => columns(labelOf(value, width)) + 2))
}

function title({ event }: Why, width: number): Row {
  const place = [...(event.risk === null ? [] : [event.risk]), `#${event.index}${event.elapsed_ms === null ? '' : `, ${(event.elapsed_ms / 1000).toFixed(3)} s into session ${event.session_id.slice(-8)}`}`]
  const tail = ` · ${place.join(' · ')}`
  const input = event.input === null ? '' : ` ${event.input instanceof Absent ? event.input.toString() : typeof event.input === 'string' ? quote(event.input.slice(0, 400)) : visible(JSON.stringify(event.input).slice(0, 4000)).replaceAll('\\\\', '\\')}`
  return { label: '', text: fit(visible(event.tool_name ?? event.event_type) + input, width - columns(tail)) + tail, index: event.index, kind: 'title' }
}

function about({ about, event }: Why): Row[] {
  return about === null ? [] : [{ label: 'no act', text: visible(about.says), index: about.act_index ?? event.index, kind: 'asked' }]
}

function next({ about, event }: Why): Row[] {
  if (about === null || about.explained) return []
  return [{ label: 'next', text: about.act_index === null ? `counterfoil show ${event.session_id.slice(-8)}` : `counterfoil why '#${about.act_index}'`, index: about.act_index, kind: 'unknown' }]
}

const ACTS = new Set(['tool_call', 'handoff'])

function asked({ asked_for: asked, unread_answers: unread, event, about, approval }: Why): Row[] {
  const askable = ACTS.has(event.event_type) || about?.explained === true || (event.event_type.startsWith('approval_') && approval.request_index !== null)
  if (asked === null) return !askable ? [] : [{ label: 'asked for', text: event.event_type === 'handoff' ? 'no model call on record is linked to it' : notAsked(unread), index: unread[0]?.index ?? null, kind: 'asked' }]
  const verb = asked.by === 'output' ? 'written by' : asked.by === 'parent' && asked.absent !== null && event.call_id === null ? 'the act names as its parent what was said by' : 'by'
  const model = asked.model_id === null ? '' : ` (${visible(asked.model_id)})`
  const how = asked.by === 'name_and_input' ? '; linked by tool name and equal input' : ''
  const unreadable = asked.absent ?? (event.input instanceof Absent ? event.input.toString() : null)
  const differs = asked.same_input === false ? '; with other input than this' : asked.same_input !== null ? '' : unreadable === null ? '; whether with this input cannot be read' : `; with what input: ${unreadable}`
  const rows: Row[] = [{ label: 'asked for', text: `${verb} the model in #${asked.index}${model}${how}${differs}`, index: asked.index, kind: 'asked' }]
  if (asked.said !== null) rows.push({ label: '', text: `beside it: ${quote(asked.said.slice(0, 400))}`, index: asked.index, kind: 'asked' })
  return rows
}

function notAsked(unread: Why['unread_answers']): string {
  if (unread.length === 0) return 'not asked for by any model call on record'
  const which = unread.slice(-3).map(({ index, absent }) => `#${index} ${absent}`).join(', ')
  return `not known: what the model asked for in ${which}${unread.length > 3 ? ` and ${unread.length - 3} more` : ''} cannot be read`
}

function reasoning(one: Reasoning, first: boolean, room: number): Row {
  const said = one.by === 'author' ? 'author stated' : one.form === 'summarised' ? 'model reported, summarised' : 'model reported'
  const text = one.text !== null ? quote(one.text.slice(0, 400)) : (one.absent ?? (one.form === 'full' || one.form === null ? '[no text]' : `[${one.form}]`))
  const lead = `#${one.index} ${said}: `
  return { label: first ? 'reasoning' : '', text: lead + shortQuote(text, room - columns(lead)), index: one.index, kind: 'reasoning' }
}

// ------------------------------------------------------------------------------------------------------------------ values

const OURS = new Set(['reasoning', 'prompt', 'approved', 'rejected', 'expired', 'pending', 'happened', 'input'])

// A field that has the name of one of our lines, or none, is told apart.
function labelOf({ path }: Value, width: number): string {
  const most = Math.max(LABEL, width >> 2) - 2
  const label = path === '' ? 'input' : OURS.has(path) ? `input.${path}` : visible(path)
  return columns(label) <= most ? label : `…${tail(label, most - 1)}`
}

/** As much of the end as fits. From the end: a name may be a megabyte long. */
function tail(text: string, width: number): string {
  const characters = Array.from(text)
  let from = characters.length
  for (let used = 0; from > 0; from--) {
    used += columns(characters[from - 1]!)
    if (used > width) break
  }
  return characters.slice(from).join('')
}

function values(why: Why, room: number, width: number): Row[] {
  const texts = why.values.map((value) => valueText(value, why, VALUE))
  const widest = Math.max(0, ...texts.map(columns).filter((wide) => wide <= VALUE)) // an id longer than that has its line to itself
  return why.values.flatMap((value, i) => {
    const text = texts[i] ?? ''
    const lead = `${text}${' '.repeat(Math.max(0, widest - columns(text)))}  `
    return [...valueRows(why, value, lead, room, labelOf(value, width)), ...partRows(value, room)]
  })
}

// One line where it fits. Where the statement does not, the value has a line of its own; quotation and further appearances follow below.
function valueRows(why: Why, value: Value, lead: string, room: number, label: string): Row[] {
  const { source } = value
  const kind = lineKind(value)
  const stacked = columns(lead) + columns(statement(value, Number.POSITIVE_INFINITY, why)) > room
  const indent = ' '.repeat(stacked ? 2 : columns(lead))
  const left = room - indent.length
  const says = statement(value, left, why)
  const rows: Row[] = [{ label, text: stacked ? valueText(value, why, room) : lead + says, index: source?.index ?? null, kind }]
  const more = (text: string, index: number | null): void => void rows.push({ label: '', text: indent + text, index, kind })
  if (stacked) more(says, source?.index ?? null)
  if (source !== null) {
    const last = rows[rows.length - 1] as Row
    const beside = room - columns(last.text) - 2
    const whole = columns(context(source, room))
    if (beside >= (source.context_json ? whole : Math.min(MIN_QUOTE, whole))) rows[rows.length - 1] = { ...last, text: `${last.text}: ${context(source, beside)}` }
    else more(context(source, left), source.index)
  }
  if (value.as_asked === false && why.asked_for !== null) more(`not as the model asked in #${why.asked_for.index}`, why.asked_for.index)
  if (value.earlier !== null) more(`before that ${place(value.earlier, left - 12)}`, value.earlier.index)
  if (value.outside !== null) more(`from others first in ${place(value.outside, left - 21)}`, value.outside.index)
  return rows
}

function valueText(value: Value, { event }: Why, width: number): string {
  if (value.reason === 'absent') return value.path === '' && event.input instanceof Absent ? event.input.toString() : '[not readable]'
  return typeof value.value === 'string' ? shortQuote(quote(value.value), ID.test(value.value) ? Math.max(width, ID_WIDTH) : width) : String(value.value)
}

// What one copies into the next question: never cut, where it is no longer than ids are.
const ID = /^[A-Za-z0-9._:/+@-]{1,44}$/
const ID_WIDTH = 46

function lineKind({ status, source }: Value): LineKind {
  return status === 'unknown' ? 'nowhere' : status === 'traced' && source?.trust === 'untrusted' ? 'untrusted' : status
}

// Nothing is called the model's own unless the model asked for exactly this and everything before it was looked at.
function statement(value: Value, width: number, { asked_for }: Why): string {
  const first = value.complete ? 'first in' : 'first readable in'
  switch (value.status) {
    case 'traced': return value.source === null ? '' : `${first} ${place(value.source, width - columns(first) - 1)}`
    case 'nowhere':
      if (value.as_asked === false) return 'nowhere before: not what the model asked for'
      return asked_for !== null && value.as_asked === true ? "nowhere before: the model's own, or in another form" : 'nowhere before, or in another form'
    case 'unknown': return 'unknown: in nothing that can be read before'
    case 'partly': return `${value.complete ? 'not whole' : 'not whole in what can be read'}; ${value.parts.filter(({ source }) => source !== null).length} of ${value.parts.length} parts of it:`
    case 'untraced': return value.reason === 'too_short' ? 'too short to trace' : value.reason === 'masked' ? 'unknown: masked before it was recorded' : value.reason === 'absent' ? 'no value to read' : `not traced: ${(value.reason ?? '').replaceAll('_', ' ')}`
  }
}

function partRows(value: Value, room: number): Row[] {
  return value.parts.filter((part) => part.source !== null).map((part) => ({ label: '', text: partText(part, room), index: part.source?.index ?? null, kind: part.source?.trust === 'untrusted' ? 'untrusted' : 'traced' }))
}

function partText({ text, source }: Part, room: number): string {
  const where = source === null ? '' : `  ${place(source, room >> 1)}`
  return shortQuote(quote(text), room - columns(where)) + where
}

// `#12, the user's message`, `#17, lookup_order's answer (untrusted)`. Where it is too wide, the name is shortened: the trust stays.
function place(source: Source, width: number): string {
  const spelling = SPELLING[source.match]
  const name = source.name === null ? null : visible(source.name)
  const text = (shown: string | null): string => `#${source.index}, ${whose(source, shown)}${spelling}`
  const excess = columns(text(name)) - width
  return name === null || excess <= 0 ? text(name) : text(fit(name, Math.max(MIN_NAME, columns(name) - excess)))
}

const SPELLING = { exact: '', loose: ', in other spelling', date: ', as a date', date_without_year: ', as a date without year' } as const

function whose({ kind, trust }: Source, name: string | null): string {
  switch (kind) {
    case 'user_message': return "the user's message"
    case 'system_prompt': return 'the system prompt'
    case 'tool_definition': return `the definition of ${name ?? 'a tool'}`
    case 'tool_answer': return `${name ?? 'a tool'}'s answer (${trust})`
    case 'data': return `data read from ${name ?? 'a source'} (${trust})`
    case 'human': return "a person's comment"
    case 'author': return "the author's own text"
    case 'model': return "the model's own words"
    case 'earlier_call': return `the input of an earlier ${name ?? 'call'}`
    case 'message': return `a message of role ${name ?? 'unknown'}`
  }
}

// Only what is real JSON and whole stands without quotes: in the rest, a quotation mark could come from the record.
function context(source: Source, room: number): string {
  const json = visible(source.context).replaceAll('\\\\', '\\')
  if (source.context_json && columns(json) <= room) return json
  return shortQuote(quote(source.context_json ? source.context : around(source, room - 4)), room)
}

// So much of the context that the value itself is in sight.
function around({ context, offset, length, context_offset }: Source, room: number): string {
  const at = offset - context_offset
  const from = context.length <= room ? 0 : Math.max(0, Math.min(at, context.length - room, at - ((room - length) >> 1)))
  return (from > 0 || context_offset > 0 ? '…' : '') + context.slice(from)
}

// Keeps the closing quote.
function shortQuote(quoted: string, width: number): string {
  return columns(quoted) <= width || !quoted.startsWith('"') ? fit(quoted, width) : `${fit(quoted.slice(0, -1), width - 1).replace(/\\+…$/, '…')}"`
}

// ------------------------------------------------------------------------------------------------------------------ the rest

function prompt({ prompt, rules }: Why): Row[] {
  const decided = rules.length === 0 ? 'no rule decided' : `${rules.length} ${rules.length === 1 ? 'rule' : 'rules'} decided: ${rules.map((rule) => `${visible(rule.policy)} ${visible(rule.decision)} (#${rule.index})`).join(', ')}`
  if (prompt === null) return [{ label: 'prompt', text: `none on record; ${decided}`, index: null, kind: 'prompt' }]
  const name = prompt.hash ?? prompt.fingerprint
  const changed = prompt.changes.length === 0 ? (prompt.compared ? 'unchanged' : 'whether it changed cannot be read') : `changed since #${prompt.first_index} by ${prompt.changes.slice(-3).map(({ index }) => `#${index}`).join(', ')}`
  return [{ label: 'prompt', text: `${name === null ? '' : `${visible(name.slice(0, 4))}… `}${prompt.absent === null ? '' : `${prompt.absent} `}in force since #${prompt.since_index}, ${changed}; ${decided}`, index: prompt.since_index, kind: 'prompt' }]
}

function approval({ approval, about }: Why): Row[] {
  if (approval.status === 'none_asked' && about !== null && !about.explained) return []
  const row = (text: string, index: number | null, label = 'approved'): Row => ({ label, text, index, kind: 'approval' })
  if (approval.status === 'none_asked') return [row('none asked for', null)]
  if (approval.status === 'required_missing') return [row('required, and none on record', approval.request_index)]
  if (approval.decisions.length === 0) return [row(`asked in #${approval.request_index}, not answered`, approval.request_index)]
  return approval.decisions.map((one, i) => row(decision(one, approval), one.index, i === 0 ? approval.status === 'approved' ? 'approved' : approval.status : ''))
}

const ASSURANCE: Readonly<Record<string, string>> = { oidc: 'OIDC', api_key: 'API key', terminal: 'at the terminal', asserted: 'as asserted' }

function decision(one: Decision, approval: Approval): string {
  const verb = one.decision === 'approved' ? '' : `${visible(one.decision)} by `
  const who = one.who === null ? (one.absent ?? 'somebody unnamed') : visible(one.who)
  const comment = one.comment !== null ? `: ${quote(one.comment.slice(0, 200))}` : one.absent !== null && one.who !== null ? `: ${one.absent}` : ''
  const how = one.assurance === null ? '' : ` (${ASSURANCE[one.assurance] ?? visible(one.assurance)})`
  const shown = approval.same_input === true ? 'exactly this' : approval.same_input === false ? 'SOMETHING ELSE' : (approval.absent ?? 'an input that cannot be read')
  const time = one.time_to_decide_ms === null ? 'shown' : `${duration(one.time_to_decide_ms)} after being shown`
  const requester = one.is_requester === null ? 'whether the requester is not known' : one.is_requester ? 'the requester' : 'not the requester'
  return `#${one.index} ${verb}${who}${how}, ${time} ${shown}; ${requester}${comment}`
}

function happened({ happened, event }: Why): Row[] {
  if (event.event_type === 'approval_request') return [] // the answers stand above, as approvals
  if (happened === null) return event.event_type === 'tool_call' ? [{ label: 'happened', text: 'no result on record', index: null, kind: 'happened' }] : []
  const error = happened.error === null && happened.error_type === null ? '' : `: ${happened.error_type === null ? '' : `${visible(happened.error_type)} `}${happened.error === null ? '' : quote(happened.error)}`
  const more = happened.more.length === 0 ? '' : `; further results ${happened.more.slice(0, 3).map((index) => `#${index}`).join(', ')}`
  const time = happened.time_ms === null ? '' : `, ${duration(happened.time_ms)}`
  return [{ label: 'happened', text: `#${happened.index} ${visible(happened.outcome ?? 'outcome not recorded')}${time}${more}${error}${happened.absent === null ? '' : `; what came back: ${happened.absent}`}`, index: happened.index, kind: 'happened' }]
}

function unknown(list: readonly Unknown[]): Row[] {
  return list.map(({ text, index }, i) => ({ label: i === 0 ? 'not known' : '', text: visible(text), index, kind: 'unknown' }))
}

function duration(ms: number): string {
  return ms < 1000 ? `${ms} ms` : ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`
}
