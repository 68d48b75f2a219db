// The event types as users of the library see them: what they record and what they read back. Types only; the doors re-export them.

import type { Subject } from './model-call.ts'
import type { Content, ViewEnvelope } from './view.ts'
import type { Facts, KnownType, Outcome, PayloadName, Risk } from './vocabulary.ts'

/** Anything JSON can say; members that are undefined are left out, as `JSON.stringify` does. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined }

/** A JSON Schema, as tool definitions carry it. */
export type JsonSchema = { readonly [key: string]: unknown }

/** The schema of an object, which is what the input of a tool must be. */
export type ObjectSchema = JsonSchema & { readonly type: 'object' }

/** Where an event belongs. All optional: by default the next step, this moment, no parent. `timestamp` is `YYYY-MM-DDTHH:MM:SS.sssZ`. */
export interface Place {
  step_number?: number
  parent_event_id?: string
  timestamp?: string
  /** The provider's id of a tool call, which joins a result to it. */
  call_id?: string
  /** Whose content this is: a person's id, which `erase({ user_id })` finds; several where it is of all of them at once; null for nobody but the session. */
  subject?: Subject
}

/** What can be recorded, by event type. */
export interface EventInputs {
  llm_call: { provider: string; model_id: string; input_messages: readonly unknown[]; system_prompt?: string; tool_definitions?: readonly unknown[]; parameters?: Json }
  llm_result: { output_text?: string; output?: readonly unknown[]; tool_calls_requested?: readonly { name: string; input: unknown; call_id?: string }[]; stop_reason?: string; input_tokens?: number; output_tokens?: number; error?: unknown }
  tool_call: { tool_name: string; tool_input: Json; risk?: Risk }
  tool_result: { outcome: Outcome; tool_output?: Json; error?: unknown; execution_time_ms?: number }
  reasoning: { text: string; kind?: 'model_reported' | 'author_stated' }
  policy_decision: { policy: string; decision: 'allow' | 'deny' | 'transform'; reason?: string }
  data_access: { source: string; reference?: string; record_count?: number; trust?: 'trusted' | 'untrusted' }
  sandbox_crossing: { kind: 'network' | 'file' | 'process'; target: string; allowed: boolean }
  state_snapshot: { state: Json }
  handoff: { to_agent_id: string; instructions?: string }
  config_change: { what: string; before?: Json; after?: Json }
  error: { error: unknown; recoverable?: boolean }
  final_output: { output: string }
  /** An event of your own; `name` is a label. */
  custom: { name: string; content?: Json }
}

/** What every event read back has, beside `event_type` and its own fields. */
export type Envelope = Omit<ViewEnvelope, 'event_type'>

/** Events that are only ever read: counterfoil records them itself. */
export interface ReadOnlyEvents {
  session_start: { user_message: Content<string> }
  session_end: { reason: string }
  session_timeout: { reason: string }
  gap: { count: number | null; cause: string }
  erasure: { reason: Content<string> }
}

type Readable = EventInputs & ReadOnlyEvents

/** Every event type that can be read back. */
export type EventType = keyof Readable | KnownType

type Fields<K> = K extends keyof Readable
  ? { readonly [F in keyof Readable[K]]: Content<Readable[K][F]> }
  : K extends KnownType
    ? Facts<K> & { readonly [P in PayloadName<K>]?: Content<unknown> }
    : never

/** An event as read back; narrows by `event_type`. A payload may be an Absent that says why it is not there. */
export type AuditEvent<K extends EventType = EventType> = { [T in K]: Envelope & { readonly event_type: T } & Fields<T> }[K]

/** A model call with its result: `llm_call` + `llm_result`. `answered: false` when there is no result on record. */
export interface LLMCall extends Envelope {
  readonly event_type: 'llm_call'
  readonly input_messages: Content<readonly unknown[]>
  readonly output_text: Content<string> | null
  /** What the model asked for; one Absent when that is not there. */
  readonly tool_calls_requested: readonly unknown[]
  readonly input_tokens: number | null
  readonly output_tokens: number | null
  readonly latency_ms: number | null
  readonly answered: boolean
}

/**
 * An act with what came of it: `tool_call` + `tool_result` + its approval. A request that was never followed by the act is one too (its
 * event_id is the request's, `answered` is false). A decision that expired counts as rejected.
 */
export interface ToolCall extends Envelope {
  readonly event_type: 'tool_call'
  readonly tool_name: string
  readonly tool_input: Content<Json>
  readonly tool_output: Content<Json> | null
  readonly error: Content<string> | null
  readonly execution_time_ms: number | null
  readonly requires_approval: boolean
  readonly approval_status: 'approved' | 'rejected' | 'pending' | null
  readonly approver_id: Content<string> | null
  readonly answered: boolean
}

/** A row of the classic table: one per call, its result merged in; `content` is JSON text, `created_at` the time of recording. */
export interface TrailRow {
  readonly event_id: string
  readonly session_id: string
  readonly agent_id: string
  readonly timestamp: string
  readonly event_type: string
  readonly step_number: number
  readonly content: string
  readonly model_id: string | null
  readonly system_prompt_hash: string | null
  readonly created_at: string
  /** where `content` says that something is not there (`{"absent": …}`) or is bytes (`{"base64": …}`), as JSON pointers; what has such a form elsewhere is content. Left out where there are none. */
  readonly marks?: readonly string[]
}

/** A session in a list. `steps` counts model and tool calls, `tools` tool calls by name. */
export interface SessionSummary {
  readonly session_id: string
  readonly agent_id: string
  readonly user_id: Content<string> | null
  readonly started_at: string
  readonly ended_at: string | null
  readonly state: 'open' | 'suspended' | 'interrupted' | 'ended'
  readonly outcome: Outcome | null
  readonly events: number
  readonly steps: number
  readonly tools: Record<string, number>
  readonly input_tokens: number
  readonly output_tokens: number
}
