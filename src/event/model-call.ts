// A model call as the wire parsers hand it to a recorder: the bytes that went over the wire, cut into payloads, beside the few
// numbers that become facts. Wire parsers make it, recorders take it; neither knows the other.

import type { Media } from './draft.ts'

/** To whom content belongs: a person's id, several where it is of all of them at once, or null for nobody but the session. */
export type Subject = string | readonly string[] | null

/** A piece of a request or response as it stood on the wire. `subject` says whose it is, where it is not its event's. `own`: its text is no part of a longer one. */
export interface Piece { readonly m: Media; readonly content: string | Uint8Array; readonly subject?: Subject | undefined; readonly own?: true }

/** The closed list of request numbers that are facts; fractions are decimal strings. Everything else of the request is `request_parameters`. */
export interface CallParameters { readonly max_tokens?: number; readonly temperature?: string; readonly top_p?: string; readonly top_k?: number; readonly seed?: number; readonly budget_tokens?: number }

/** A request as it is about to leave. Foreign names may be any text; the recorder makes labels of them. */
export interface ModelCall {
  readonly provider: string
  readonly model_id: string
  /** the API's path, as `/v1/messages` */
  readonly endpoint: string
  readonly streaming: boolean
  /** 0 for the first HTTP attempt, 1 for its first retry */
  readonly attempt: number
  /**
   * The provider's id of the answer whose conversation this request continues at the provider. Then `input_messages` is only
   * what is new, and the system prompt and tools left out are those of the call that began it.
   */
  readonly continues?: string
  readonly input_messages: readonly Piece[]
  readonly system_prompt?: Piece
  readonly tool_definitions: readonly Piece[]
  readonly parameters: CallParameters
  /** the request without what is above, as JSON; absent when nothing is left */
  readonly request_parameters?: Piece
}

/**
 * A tool the model asked for. `input` is the value, or the text as it came when it is no JSON; `call_id` the provider's.
 * `provider_run` marks one that the provider ran itself: its result is among the output blocks, nobody else will run it.
 */
export interface RequestedTool { readonly name: string; readonly input: unknown; readonly call_id?: string; readonly provider_run?: true }

/** Thinking that a model exposed. `withheld`: the provider says there was some and shows none. */
export interface Thinking { readonly text?: string; readonly form: 'full' | 'summarised' | 'encrypted' | 'withheld' }

/** How a call ended. Every call gets one, also when the request failed, broke off or was abandoned. */
export interface ModelResult {
  /** whose the answer is, where it is not that of the call */
  readonly subject?: Subject | undefined
  readonly outcome: 'success' | 'failure' | 'timeout' | 'unknown'
  /** whether the answer arrived to its end */
  readonly complete: boolean
  readonly status?: number
  readonly model_id?: string
  readonly stop_reason?: string
  readonly response_id?: string
  /** the answer's content blocks, each as JSON */
  readonly output: readonly Piece[]
  readonly output_text?: string
  readonly tool_calls_requested: readonly RequestedTool[]
  readonly thinking: readonly Thinking[]
  readonly input_tokens?: number
  readonly output_tokens?: number
  readonly cache_read_tokens?: number
  readonly cache_write_tokens?: number
  readonly reasoning_tokens?: number
  /** the provider's whole usage object as JSON */
  readonly usage?: Piece
  readonly latency_ms?: number
  readonly time_to_first_token_ms?: number
  /** a short name as `overloaded_error`, `aborted`, `connection_error`; any text, made a label by the recorder */
  readonly error_type?: string
  readonly error?: Piece
  /** of the answer what has no place above: a JSON object of its other members, or all of it as it came when it could not be read */
  readonly raw?: Piece
}

/** The method by which a Trail or a Session gives its sink: on a trail the one of this async context's session, asked anew for each request. */
export const MODEL_CALLS: unique symbol = Symbol.for('counterfoil.modelCalls')

// Two doors show this type to users, so it names a method they know; integrations go through `MODEL_CALLS`, which stays ours.
/** Whatever model calls can be recorded to: a Trail or a Session. */
export interface ModelCallSource { llm(call: never, run: never, read: never): Promise<unknown> }

/** The method behind `MODEL_CALLS`; undefined when there is none. */
export function modelCallsOf(source: unknown): (() => ModelCallSink) | undefined {
  const method = (source as { [MODEL_CALLS]?: () => ModelCallSink } | null | undefined)?.[MODEL_CALLS]
  return typeof method === 'function' ? () => method.call(source) : undefined
}

/** Where integrations hand calls in. `call` takes its arguments' values before it returns, and never throws: what fails comes through `ready()`. */
export interface ModelCallSink {
  call(call: ModelCall): OpenModelCall
}

/** A call that has begun. */
export interface OpenModelCall {
  readonly event_id: string
  /** Resolves when the call's intent is on record as the failure policy demands; rejects when the policy says that the request must not leave. */
  ready(): Promise<void>
  /** Records the result, once; a second call is ignored. Never throws. */
  finish(result: ModelResult): void
}
