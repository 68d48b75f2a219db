// A trail made of a list of events, and a screen that remembers, for the tests of the command line.

import type { ViewEvent } from '../event/view.ts'
import type { Verdict } from '../verify/verdict.ts'
import type { CliTrail, SessionSummary } from './api.ts'
import { makeScreen, type Context } from './context.ts'

export const SESSION = '019aa552-3c00-7abc-8def-00007f3a91c2'
const START = Date.UTC(2026, 10, 21, 8)

/** An event at `index`, `offset` seconds into the session. */
export function event(index: number, offset: number, event_type: string, more: { [name: string]: unknown } = {}): ViewEvent {
  const time = new Date(START + offset * 1000).toISOString()
  const made: ViewEvent = {
    index, event_id: idOf(index), event_type, session_id: SESSION, seq: index - 12, writer: 'local', stream: '00'.repeat(16), stream_seq: index - 12, step_number: 0, parent_event_id: null,
    timestamp: time, recorded_at: time, capture: 'before', outcome: null, agent_id: 'customer-service-v1', agent_version: '1.4.0', user_id: 'c-4711', model_id: 'claude-opus-4-6',
    system_prompt_hash: null, entry_hash: `hash-${index}`, ...more,
  }
  return made
}

export function idOf(index: number): string {
  return `019aa552-3c00-7000-8000-${index.toString().padStart(12, '0')}`
}

const REFUND = { order_id: '1182', amount: 42 }

/** The session of DESIGN §14. */
export const EVENTS: readonly ViewEvent[] = [
  event(12, 0, 'session_start', { user_message: 'Where is my refund for order 1182?', source: 'sdk' }),
  event(13, 0.004, 'llm_call', { provider: 'anthropic', input_messages: [{ role: 'user', content: 'Where is my refund for order 1182?' }], tool_definitions: [{}, {}, {}, {}], message_count: 1 }),
  event(14, 2.31, 'llm_result', { parent_event_id: idOf(13), outcome: 'success', stop_reason: 'tool_use', input_tokens: 1204, output_tokens: 88, latency_ms: 2306, tool_calls_requested: [{ name: 'lookup_order', input: { order_id: '1182' }, call_id: 't1' }] }),
  event(15, 2.31, 'reasoning', { kind: 'model_reported', form: 'full', text: 'The customer asks for a refund. I should look the order up first.' }),
  event(16, 2.312, 'tool_call', { tool_name: 'lookup_order', call_id: 't1', risk: 'low', tool_input: { order_id: '1182' } }),
  event(17, 2.341, 'tool_result', { parent_event_id: idOf(16), outcome: 'success', execution_time_ms: 29, tool_output: '{"status":"returned","amount":42}' }),
  event(18, 4.8, 'policy_decision', { policy: 'refund_limit', version: '4.2', decision: 'allow', reason: 'Under 50 EUR.' }),
  event(19, 4.871, 'approval_request', { tool_name: 'refund', tool_input: REFUND, risk: 'high', quorum: 1, expires_at: new Date(START + 304_871).toISOString() }),
  event(20, 33.015, 'approval_decision', { request: 'hash-19', decision: 'approved', approver: 'ab'.repeat(16), identity: { subject: 'lead-2', role: 'approver' }, assurance: 'oidc', time_to_decide_ms: 28_144, capture: 'after', outcome: 'success' }),
  event(21, 33.018, 'tool_call', { tool_name: 'refund', risk: 'high', requires_approval: true, approval: 8, tool_input: REFUND }),
  event(22, 33.911, 'tool_result', { parent_event_id: idOf(21), outcome: 'success', execution_time_ms: 893, tool_output: 'done' }),
  event(23, 41.1, 'final_output', { output: 'Your refund of 42 € is on its way.' }),
  event(24, 41.2, 'session_end', { outcome: 'success', reason: 'end_turn' }),
]

export const SUMMARY: SessionSummary = {
  session_id: SESSION, agent_id: 'customer-service-v1', user_id: 'c-4711', started_at: new Date(START).toISOString(), ended_at: new Date(START + 41_200).toISOString(), state: 'ended', outcome: 'success',
  events: EVENTS.length, steps: 2, tools: { lookup_order: 1, refund: 1 }, input_tokens: 1204, output_tokens: 88,
}

export const VERDICT: Verdict = {
  whole: true, origin: 'counterfoil.local/8f31c2aabbccddeeff00112233445566', size: 1204, checkpoint: 'checkpoint', keys: [], recorded_at: new Date(START + 41_200).toISOString(),
  properties: {
    unchanged: { status: 'proved', says: 'the 1,204 entries are the ones signed: none edited, inserted, reordered or removed before #1203' },
    complete: { status: 'proved', says: '36 sessions are whole to their end; 1 is open, 1 was interrupted at #640' },
    payloads: { status: 'proved', says: '5,311 payloads match their commitments; 12 were erased, by entry #877' },
    indexes: { status: 'proved', says: 'what is looked up by agrees with the entries' },
    not_truncated: { status: 'unknown', says: 'whether newer entries were cut off since: no witness is configured' },
    witnessed: { status: 'unknown', says: 'no witness has seen this log' },
    pinned: { status: 'proved', says: 'nothing was rolled back since this machine last looked (#1180, yesterday)' },
    time: { status: 'asserted', says: "event times are the recorder's clock" },
  },
  problems: [], problem_count: 0,
  counts: { entries: 1204, payloads: 5311, erased: 12, sessions: 38, ended: 36, open: 1, suspended: 0, interrupted: 1, gaps: 0, newer_entries: 0, unknown_vocabulary: 0, told_after: 0, imported: 0 },
}

export const FAILED: Verdict = {
  ...VERDICT, whole: false,
  properties: {
    ...VERDICT.properties,
    unchanged: { status: 'failed', says: 'the stored entries are not the ones signed: the tree of 1,204 entries has another root', first_bad_index: 877 },
    complete: { status: 'failed', says: 'session 7f3a91c2 has seq 4 twice at #877', first_bad_index: 877 },
  },
}

/** A trail of these events; what a test does not need throws. */
export function fakeTrail(events: readonly ViewEvent[] = EVENTS, more: Partial<CliTrail> & { summaries?: readonly SessionSummary[] } = {}): CliTrail {
  const summaries = more.summaries ?? [SUMMARY]
  const no = (name: string) => (): never => { throw new Error(`the test's trail has no ${name}`) }
  return {
    async *sessions({ session_id, agent_id, outcome } = {}) {
      yield* summaries.filter((one) => (session_id === undefined || one.session_id === session_id) && (agent_id === undefined || one.agent_id === agent_id) && (outcome === undefined || one.outcome === outcome))
    },
    async *events({ session_id, event_id, event_type, from = 0, to = Infinity } = {}) {
      yield* events.filter((one) => (session_id === undefined || one.session_id === session_id) && (event_id === undefined || one.event_id === event_id) && (event_type === undefined || one.event_type === event_type) && one.index >= from && one.index < to)
    },
    findIds: async (digits, limit) => {
      const ids = [...summaries.map(({ session_id }) => ({ kind: 'session' as const, id: session_id })), ...events.map((one) => ({ kind: 'event' as const, id: one.event_id }))]
      return ids.filter(({ id }) => id.startsWith(digits) || id.endsWith(digits)).slice(0, limit)
    },
    newest: async (count) => events.slice(-count),
    verify: async () => VERDICT,
    export: no('export'), prove: no('prove'), cosign: no('cosign'), sql: no('sql'), recordFindings: no('recordFindings'), erase: no('erase'), erasable: no('erasable'), backup: no('backup'), keys: no('keys'), renewKeys: no('renewKeys'), rotateKey: no('rotateKey'), reportKey: no('reportKey'), protectKeys: no('protectKeys'), copy: no('copy'), archive: no('archive'), approvals: no('approvals'), decide: no('decide'), stop: no('stop'),
    status: async () => ({ origin: VERDICT.origin, size: (events.at(-1)?.index ?? -1) + 1, keys: '/nowhere', spools: [], witnessed: null, setback: null }),
    close: async () => undefined,
    ...more,
  }
}

export interface Told { out: string; err: string }

/** Surroundings whose output is in `told`. */
export function testContext(told: Told, more: Partial<Context> & { columns?: number } = {}): Context {
  const columns = more.columns ?? 80
  return {
    env: {}, cwd: '/nowhere', now: () => START + 60_000, json: false, trail: import.meta.filename, interactive: false, signal: new AbortController().signal, exit: 0,
    screen: makeScreen({
      columns, color: false, errorColumns: columns, errorColor: false, errorIsTerminal: false,
      write: (text) => { told.out += text }, writeError: (text) => { told.err += text },
    }),
    open: async () => fakeTrail(),
    confirm: async () => false,
    secret: async () => undefined,
    pause: async () => undefined,
    ...more,
  }
}
