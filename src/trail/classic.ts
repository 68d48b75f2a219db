// The class that everybody copies: one session per instance, the classic names. What it is told after the act is on record as that.

import { MisuseError } from '../base/errors.ts'
import { sha256Hex } from '#crypto'
import type { Json, TrailRow } from '../event/public.ts'
import type { AgentSession } from '../recorder/session.ts'
import { openTrail } from './trail.ts'
import type { Trail } from './types.ts'

/**
 * Drop-in for the classic logger. Recording is synchronous and returns the event's id; the session begins with the instance and ends with `close()`, or
 * stays open for `trail.resume`.
 */
export class AgentAuditTrail implements AsyncDisposable {
  readonly session_id: string
  /** SHA-256 of the system prompt in hex; of the empty string when there is none. */
  readonly system_prompt_hash: string
  readonly #trail: Trail
  readonly #session: AgentSession
  readonly #model: string

  constructor(db_path = 'agent_audit.db', agent_id = 'agent', model_id = 'unknown', system_prompt = '') {
    this.#trail = openTrail(db_path, { agent_id, model_id, ...(system_prompt === '' ? {} : { system_prompt }) })
    this.#session = (this.#trail as unknown as { begin(): AgentSession }).begin()
    this.#model = model_id
    this.session_id = this.#session.session_id
    this.system_prompt_hash = sha256Hex(system_prompt)
  }

  /** An event of any name; content of one of our types is recorded as that type. */
  log(event_type: string, content: Json, step_number?: number): string {
    return this.#session.log(event_type, content, step_number, 'after').event_id
  }

  /** A model call that has happened. */
  logLlmCall(messages: readonly unknown[], response_text: string, tool_calls: readonly unknown[], tokens: { input?: number; output?: number } = {}, step?: number): string {
    if (!Array.isArray(messages)) throw new MisuseError('bad_messages', `logLlmCall: expected an array of messages, got ${typeof messages}`, '')
    const place = step === undefined ? {} : { step_number: step }
    const call = this.#session.recordAfter('llm_call', { provider: 'unknown', model_id: this.#model, input_messages: messages, ...place })
    this.#session.recordAfter('llm_result', {
      output_text: response_text, tool_calls_requested: tool_calls, outcome: 'success', parent_event_id: call.event_id, ...place,
      ...(tokens.input === undefined ? {} : { input_tokens: tokens.input }), ...(tokens.output === undefined ? {} : { output_tokens: tokens.output }),
    })
    return call.event_id
  }

  /** A tool call that has happened; `error` is its message, null when it succeeded. */
  logToolCall(tool_name: string, tool_input: Json, tool_output: unknown, error: string | null = null, step?: number): string {
    const place = step === undefined ? {} : { step_number: step }
    const call = this.#session.recordAfter('tool_call', { tool_name, tool_input, ...place })
    this.#session.recordAfter('tool_result', { tool_name, tool_output, outcome: error === null ? 'success' : 'failure', parent_event_id: call.event_id, ...(error === null ? {} : { error }), ...place })
    return call.event_id
  }

  /** The session's rows, oldest first, as `SELECT * FROM audit_events WHERE session_id = ? ORDER BY timestamp` gave them. */
  async getSessionTrail(): Promise<TrailRow[]> {
    return (await this.#session.trail()) as TrailRow[]
  }

  /** Ends the session and closes the trail. */
  async close(): Promise<void> {
    if (!this.#session.ended) await this.#session.end({ outcome: 'success' })
    await this.#trail.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
