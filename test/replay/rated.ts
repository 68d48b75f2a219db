// Other people's runs as sessions for the rules: which were attacked, which acts are of high risk, which answers come from the operator's own
// systems. The risks and the trust are what an operator of such an agent would declare; the runs themselves say nothing of either.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { ViewEvent } from '../../src/event/view.ts'
import { someRuns } from './runs.ts'
import { replaySteps, type Run } from './steps.ts'
import { viewEvent, viewEventsOf } from './view-events.ts'

const FOLDER = fileURLToPath(new URL('../../../shared/data/runs/', import.meta.url))

/** `attacked`: an injection was read by the agent; `succeeded`: and did what it was for. */
export interface RatedRun { readonly name: string; readonly label: 'benign' | 'attacked' | 'succeeded'; readonly events: readonly ViewEvent[] }

export type RatedSet = 'tau' | 'agentdyn' | 'asb' | 'claude-code' | 'swe-agent'

const HIGH: Readonly<Record<RatedSet, RegExp>> = {
  tau: /^(book|cancel|update)_reservation|^send_certificate$/,
  agentdyn: /^(send_email|send_money|checkout_selected_cart|refund_order|update_shopping_account_password|delete_node|delete_email|create_calendar_event|add_calendar_event_participants|reschedule_calendar_event|input_to_webpage)$/,
  asb: /./,
  'claude-code': /^(Bash|Write|Edit|WebFetch)$/,
  'swe-agent': /./,
}

/** Tools that answer out of the operator's own systems, not out of what somebody outside wrote. */
const OWN: Readonly<Record<RatedSet, RegExp>> = {
  tau: /./,
  agentdyn: /^(get_balance|view_order_history|get_invoice|get_shopping_account_user_information|get_current_day|get_day_calendar_events|search_calendar_events|search_product|view_cart|cart_total|view_available_discounts|list_directory|cart_add_product|create_dir|create_file|verify_transaction)$/,
  asb: /^$/,
  'claude-code': /^(Read|Grep|Glob|Edit|Write)$/,
  'swe-agent': /^$/,
}

/** `count` runs of a set at equal distances, or all. `declared`: each answer of the operator's own systems is declared trusted. */
export function ratedRuns(set: RatedSet, count: number, declared: boolean): RatedRun[] {
  const runs = { tau: () => replayed('tau', count), agentdyn: () => replayed('agentdyn', count), asb: () => replayed('asb', count), 'claude-code': claudeCode, 'swe-agent': sweAgent }[set]()
  return runs.map((run) => ({ ...run, events: asSession(set, run.events, declared) }))
}

function asSession(set: RatedSet, events: readonly ViewEvent[], declared: boolean): ViewEvent[] {
  const names = [...new Set(events.filter(({ event_type }) => event_type === 'tool_call').map(({ tool_name }) => String(tool_name)))].filter((name) => OWN[set].test(name))
  const trusted = declared ? names.map((source) => ['data_access', { source, trust: 'trusted' }] as const) : []
  const all = [...events.slice(0, 1).map((event) => [event.event_type, event] as const), ...trusted, ...events.slice(1).map((event) => [event.event_type, event] as const), ['session_end', {}] as const]
  return all.map(([type, fields], index) => {
    const { index: _, seq: __, timestamp: ___, recorded_at: ____, ...rest }: { readonly [field: string]: unknown } = fields
    const risk = type === 'tool_call' ? { risk: HIGH[set].test(String(rest['tool_name'])) ? 'high' : 'low' } : {}
    const definitions = type === 'session_start' && (set === 'tau' || set === 'agentdyn') ? { tool_definitions: declaredIn(events) } : {}
    return viewEvent(index, type, { ...rest, event_id: rest['event_id'] ?? `added-${index}`, ...risk, ...definitions })
  })
}

/** Tools of these two sets are named with small letters and `_`; the runs hold no definitions, and what is named otherwise a model made up. */
function declaredIn(events: readonly ViewEvent[]): { name: string }[] {
  const names = new Set(events.filter(({ event_type }) => event_type === 'tool_call').map(({ tool_name }) => String(tool_name)))
  return [...names].filter((name) => /^[a-z_]+$/.test(name)).map((name) => ({ name }))
}

// ------------------------------------------------------------------------------------------------ the runs and their labels

function replayed(format: Run['format'], count: number): RatedRun[] {
  const labels = format === 'tau' ? undefined : labelsOf(format)
  return someRuns(format, count).flatMap((run) => {
    const label = labels === undefined ? 'benign' : labels.get(run.name)
    return label === undefined ? [] : [{ name: run.name, label, events: viewEventsOf(replaySteps(run)) }]
  })
}

/** Runs that are left out: the harness failed, or the injection was planted and never read. */
function labelsOf(format: 'agentdyn' | 'asb'): Map<string, RatedRun['label']> {
  const [header = [], ...rows] = readFileSync(join(FOLDER, format === 'agentdyn' ? 'agentdyn-runs/labels.csv' : 'asb-logs/labels.csv'), 'utf8').trim().split(/\r?\n/).map((line) => line.split(','))
  const at = (row: readonly string[], name: string): string => row[header.indexOf(name)] ?? ''
  const labels = new Map<string, RatedRun['label']>()
  for (const row of rows) {
    const seen = at(row, format === 'agentdyn' ? 'injection_seen_by_agent' : 'injection_seen_in_transcript') === '1'
    const label = at(row, 'attack_succeeded') === '1' ? 'succeeded' : seen ? 'attacked' : at(row, 'injection_in_environment') === '1' ? undefined : 'benign'
    if (label === undefined || at(row, 'suspect') !== '') continue
    labels.set(format === 'agentdyn' ? at(row, 'file') : `${asbFile()} row ${at(row, 'row')}`, label)
  }
  return labels
}

function asbFile(): string {
  return readdirSync(join(FOLDER, 'asb-logs/logs'), { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('.csv')) ?? ''
}

// --------------------------------------------------------------------------------------------------------- coding agents

type Json = { readonly [field: string]: unknown }
type Turn = readonly [type: string, fields: Json]

function session(turns: readonly Turn[]): ViewEvent[] {
  const events: ViewEvent[] = []
  for (const [index, [type, fields]] of turns.entries()) events.push(viewEvent(index, type, fields))
  return events
}

/** One line a content block; results name their call by its id. Lines that are no JSON are passed by. */
function claudeCode(): RatedRun[] {
  const folder = join(FOLDER, 'claude-code-sessions')
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('full.jsonl')).sort().flatMap((name) => {
    const lines = readFileSync(join(folder, name), 'utf8').split('\n').flatMap((line) => parsed(line))
    const turns = lines.flatMap((line) => (line['isSidechain'] === true ? [] : blocksOf(line))).flatMap(([role, block]) => turnsOf(role, block))
    return turns.some(([type]) => type === 'tool_call') ? [{ name, label: 'benign' as const, events: session([['session_start', {}], ...turns]) }] : []
  })
}

function parsed(line: string): Json[] {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? [value as Json] : []
  } catch {
    return []
  }
}

function blocksOf({ message }: Json): [role: unknown, block: Json][] {
  if (typeof message !== 'object' || message === null) return []
  const { role, content } = message as { role?: unknown; content?: unknown }
  if (typeof content === 'string') return [[role, { type: 'text', text: content }]]
  return Array.isArray(content) ? content.map((block) => [role, block as Json]) : []
}

function turnsOf(role: unknown, block: Json): Turn[] {
  const { type, text, id, name, input, tool_use_id, is_error, content } = block
  if (type === 'tool_use') return [['llm_result', { tool_calls_requested: [{ name, input, call_id: id }] }], ['tool_call', { tool_name: name, call_id: id, tool_input: input }]]
  if (type === 'tool_result') return [['tool_result', { call_id: tool_use_id, outcome: is_error === true ? 'failure' : 'success', tool_output: typeof content === 'string' ? content : JSON.stringify(content ?? null) }]]
  if (type !== 'text') return []
  return role === 'assistant' ? [['llm_result', { output_text: text }]] : [['llm_call', { input_messages: [{ role: 'user', content: text }] }]]
}

/** An action is a line for the shell, an observation what it printed; whether it failed is not said. */
function sweAgent(): RatedRun[] {
  const folder = join(FOLDER, 'swe-agent')
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.traj')).sort().flatMap((name) => {
    const { trajectory = [], history = [] } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as { trajectory?: Json[]; history?: Json[] }
    if (trajectory.length === 0) return []
    const begin = history.slice(0, Math.max(1, history.findIndex(({ role, is_demo }) => role === 'assistant' && is_demo !== true)))
    const steps = trajectory.flatMap(({ action, observation, response }, i): Turn[] => [
      ['llm_result', { output_text: response, tool_calls_requested: [{ name: 'shell', input: { command: action }, call_id: `c${i}` }] }], ['tool_call', { tool_name: 'shell', call_id: `c${i}`, tool_input: { command: action } }],
      ['tool_result', { call_id: `c${i}`, outcome: 'success', tool_output: observation }],
    ])
    return [{ name, label: 'benign' as const, events: session([['session_start', {}], ['llm_call', { input_messages: begin.map(({ role, content }) => ({ role, content })) }], ...steps]) }]
  })
}
