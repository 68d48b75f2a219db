// The class that everybody copies: one session per instance, the classic names. What it is told after the act is on record as that.
// It takes what the classic class took: a name that is no label is recorded as `other`, with its text as content; a list or text that
// is null as none; a number that is no count rounded, with the numbers as given beside it.

import { MisuseError } from '../base/errors.ts'
import { sha256Hex } from '#crypto'
import { isCount } from '../event/kind.ts'
import { foreignLabel } from '../event/label.ts'
import type { Json, Place, TrailRow } from '../event/public.ts'
import type { AgentSession } from '../recorder/session.ts'
import type { SessionFacts } from '../recorder/session-facts.ts'
import { openTrail } from './trail.ts'
import type { Trail } from './types.ts'

interface Tokens { readonly input?: number | null; readonly output?: number | null }

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
  readonly #model: { readonly label: string; readonly odd?: string }

  constructor(db_path = 'agent_audit.db', agent_id: string | null = 'agent', model_id: string | null = 'unknown', system_prompt: string | null = '') {
    const agent = foreignLabel(String(agent_id ?? 'agent'))
    this.#model = foreignLabel(String(model_id ?? 'unknown'))
    const prompt = system_prompt ?? ''
    this.#trail = openTrail(db_path, { agent_id: agent.label, model_id: this.#model.label, ...(prompt === '' ? {} : { system_prompt: prompt }) })
    const odd = { ...(agent.odd === undefined ? {} : { agent_id: agent.odd }), ...(this.#model.odd === undefined ? {} : { model_id: this.#model.odd }) }
    this.#session = (this.#trail as unknown as { begin(facts: SessionFacts): AgentSession }).begin(Object.keys(odd).length === 0 ? {} : { tags: odd })
    this.session_id = this.#session.session_id
    this.system_prompt_hash = sha256Hex(prompt)
  }

  /** An event of any name; content of one of our types is recorded as that type. */
  log(event_type: string, content: Json, step_number?: number | null): string {
    return this.#session.log(String(event_type), content, placeOf(step_number).step_number, 'after').event_id
  }

  /** A model call that has happened. */
  logLlmCall(
    messages: readonly unknown[] | null, response_text: string | null, tool_calls: readonly unknown[] | null, tokens: Tokens | null = {}, step?: number | null,
  ): string {
    if (messages !== null && messages !== undefined && !Array.isArray(messages)) throw new MisuseError('bad_messages', `logLlmCall: expected an array of messages, got ${typeof messages}`, "pass what was sent to the model: [{ role: 'user', content: '…' }]")
    const place = placeOf(step)
    const { label: model_id, odd: model_name } = this.#model
    const call = this.#session.recordAfter('llm_call', { provider: 'unknown', model_id, input_messages: messages ?? [], ...(model_name === undefined ? {} : { model_name }), ...place })
    this.#session.recordAfter('llm_result', { ...textOf(response_text), tool_calls_requested: tool_calls ?? [], outcome: 'success', parent_event_id: call.event_id, ...countsOf(tokens ?? {}), ...place })
    return call.event_id
  }

  /** A tool call that has happened; `error` is its message, null when it succeeded. */
  logToolCall(tool_name: string, tool_input: Json, tool_output: unknown, error: string | null = null, step?: number | null): string {
    const place = placeOf(step)
    const name = foreignLabel(String(tool_name))
    const call = this.#session.recordAfter('tool_call', { tool_name: name.label, tool_input: tool_input ?? null, ...(name.odd === undefined ? {} : { names: { tool_name: name.odd } }), ...place })
    this.#session.recordAfter('tool_result', { tool_name: name.label, tool_output, outcome: error === null ? 'success' : 'failure', parent_event_id: call.event_id, ...(error === null ? {} : { error }), ...place })
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

/** A step as given, or the nearest that a step can be; none where it is no number. */
function placeOf(step: number | null | undefined): Pick<Place, 'step_number'> {
  const step_number = Math.round(step ?? Number.NaN)
  return isCount(step_number) ? { step_number } : {}
}

function textOf(response_text: unknown): { output_text?: string } {
  if (response_text === null || response_text === undefined) return {}
  return { output_text: typeof response_text === 'string' ? response_text : (JSON.stringify(response_text) ?? String(response_text)) }
}

function countsOf(tokens: Tokens): { input_tokens?: number; output_tokens?: number; usage?: Tokens } {
  const [input, output] = [Math.round(tokens.input ?? Number.NaN), Math.round(tokens.output ?? Number.NaN)]
  const exact = [[tokens.input, input], [tokens.output, output]].every(([given, count]) => given === undefined || given === null || (given === count && isCount(count)))
  return { ...(isCount(input) ? { input_tokens: input } : {}), ...(isCount(output) ? { output_tokens: output } : {}), ...(exact ? {} : { usage: tokens }) }
}
