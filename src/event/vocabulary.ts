// The event types of format v1 (docs/format.md §4): which facts each may hold, and which payloads it may name.
// Writing is closed: `parse.ts` refuses what is not here. Reading is open: a verifier counts what it does not know.
//
// A fact's kind, as a literal type so that the TypeScript types are derived from this table:
//   label uuid ref hash time int bool decimal   one value (`decimal` is a fraction as a string)
//   signature                                   64 bytes as padded base64
//   scope                                       `<session id>/<k>`, k a decimal number: what an erasure or a hold names
//   =a|b|c                                      an enum
//   uuid[64]                                    a list with its maximum
//   counts[256]                                 an object from ref to int, with its maximum
// A trailing `?` marks what may be absent. A payload is `one` or a `list`; every payload may be absent.

export const VOCABULARY = {
  session_start: {
    facts: {
      agent_id: 'label', agent_version: 'label?', model_id: 'label?', source: 'label?', user: 'ref?', subject: 'ref?',
      parent_session_id: 'uuid?', root_session_id: 'uuid?', system_prompt_fingerprint: 'hash?', implicit: 'bool?',
    },
    payloads: {
      identity: 'one', user_message: 'one', system_prompt: 'one', tool_definitions: 'list', client_session_id: 'one', tags: 'one', on_behalf_of: 'one',
    },
  },
  llm_call: {
    facts: {
      provider: 'label', model_id: 'label', streaming: 'bool?', attempt: 'int?', call_id: 'label?', endpoint: 'label?', message_count: 'int?',
      system_prompt_fingerprint: 'hash?', max_tokens: 'int?', temperature: 'decimal?', top_p: 'decimal?', top_k: 'int?', seed: 'int?', budget_tokens: 'int?',
    },
    payloads: { input_messages: 'list', system_prompt: 'one', tool_definitions: 'list', request_parameters: 'one', model_name: 'one', continues: 'one' },
  },
  context: { facts: {}, payloads: { input_messages: 'list', tool_definitions: 'list', output: 'list' } },
  llm_result: {
    facts: {
      model_id: 'label?', stop_reason: 'label?', input_tokens: 'int?', output_tokens: 'int?', cache_read_tokens: 'int?', cache_write_tokens: 'int?',
      reasoning_tokens: 'int?', latency_ms: 'int?', time_to_first_token_ms: 'int?', status: 'int?', error_type: 'label?', attempt: 'int?', complete: 'bool?',
    },
    payloads: { output: 'list', output_text: 'one', tool_calls_requested: 'one', response_id: 'one', error: 'one', usage: 'one', raw: 'one', names: 'one' },
  },
  reasoning: {
    facts: { kind: '=model_reported|author_stated', form: '=full|summarised|encrypted|withheld?' },
    payloads: { text: 'one' },
  },
  tool_call: {
    facts: {
      tool_name: 'label', call_id: 'label?', risk: '=low|medium|high|critical', requires_approval: 'bool?', approval: 'int?', attempt: 'int?', requested_by: 'int?',
    },
    payloads: { tool_input: 'one', names: 'one' },
  },
  tool_result: {
    facts: { tool_name: 'label?', call_id: 'label?', execution_time_ms: 'int?', error_type: 'label?' },
    payloads: { tool_output: 'one', error: 'one' },
  },
  approval_request: {
    facts: { tool_name: 'label', call_id: 'label?', risk: '=low|medium|high|critical?', expires_at: 'time?', quorum: 'int?' },
    payloads: { tool_input: 'one', shown: 'one' },
  },
  approval_decision: {
    facts: {
      request: 'hash', decision: '=approved|rejected|expired', approver: 'ref?', assurance: '=asserted|terminal|api_key|oidc?', time_to_decide_ms: 'int?',
    },
    payloads: { identity: 'one', comment: 'one' },
  },
  human_intervention: { facts: { kind: '=stop|override|edit|takeover', actor: 'ref' }, payloads: { identity: 'one', note: 'one' } },
  policy_decision: { facts: { policy: 'label', version: 'label?', decision: '=allow|deny|transform' }, payloads: { reason: 'one' } },
  data_access: {
    facts: { source: 'label', classification: 'label?', record_count: 'int?', trust: '=trusted|untrusted?' },
    payloads: { reference: 'one' },
  },
  sandbox_crossing: { facts: { kind: '=network|file|process', direction: '=in|out?', allowed: 'bool' }, payloads: { target: 'one' } },
  state_snapshot: { facts: { kind: 'label?', bytes: 'int?' }, payloads: { state: 'one' } },
  handoff: { facts: { to_agent_id: 'label', child_session_id: 'uuid?' }, payloads: { instructions: 'one' } },
  config_change: {
    facts: { what: 'label', agent_version: 'label?', model_id: 'label?', system_prompt_fingerprint: 'hash?' },
    payloads: { before: 'one', after: 'one', system_prompt: 'one' },
  },
  error: { facts: { error_type: 'label?', recoverable: 'bool?' }, payloads: { message: 'one', stack: 'one' } },
  final_output: { facts: {}, payloads: { output: 'one' } },
  subject: { facts: { subject: 'ref' }, payloads: { identity: 'one' } },
  session_suspend: { facts: { reason: 'label?' }, payloads: {} },
  session_resume: { facts: { reason: 'label?' }, payloads: {} },
  session_interrupted: { facts: { interrupted_stream: 'ref', last_stream_seq: 'int' }, payloads: {} },
  session_end: {
    facts: { reason: 'label?', streams: 'counts[256]?', stream_total: 'int?', segment_count: 'int?', segment_root: 'hash?' },
    payloads: { note: 'one' },
  },
  session_timeout: {
    facts: { reason: 'label?', streams: 'counts[256]?', stream_total: 'int?', segment_count: 'int?', segment_root: 'hash?' },
    payloads: { note: 'one' },
  },
  gap: { facts: { missing_stream: 'ref', from: 'int', to: 'int', cause: 'label' }, payloads: {} },
  finding: { facts: { rule: 'label', severity: '=info|low|medium|high|critical', events: 'uuid[64]?', expected: 'hash?', got: 'hash?' }, payloads: { explanation: 'one' } },
  access: { facts: { action: 'label', counts: 'int?', root: 'hash?' }, payloads: { identity: 'one', query: 'one', purpose: 'one' } },
  retention: { facts: { phase: 'label', scopes: 'scope[500]?', part: 'int?', parts: 'int?', result: 'label?' }, payloads: { identity: 'one', reason: 'one', legal_basis: 'one' } },
  hold: { facts: { phase: 'label', scopes: 'scope[500]?', part: 'int?', parts: 'int?', result: 'label?' }, payloads: { identity: 'one', reason: 'one', legal_basis: 'one' } },
  erasure: {
    facts: { phase: '=ordered|done', erasure: 'ref', scopes: 'scope[500]?', part: 'int?', parts: 'int?', scope_count: 'int?', segment_count: 'int?', result: 'label?' },
    payloads: { identity: 'one', reason: 'one', legal_basis: 'one' },
  },
  log_start: { facts: { format: 'label', origin: 'label', vkey: 'label', previous: 'label?' }, payloads: {} },
  log_end: { facts: { reason: 'label?', next: 'label?' }, payloads: {} },
  key_rotation: { facts: { vkey: 'label', from_size: 'int', root: 'hash', signature: 'signature' }, payloads: {} },
  key_compromise: { facts: { vkey: 'label', last_good_size: 'int' }, payloads: { note: 'one' } },
  integrity_check: { facts: { result: 'label', size: 'int', root: 'hash?' }, payloads: {} },
  clock: { facts: { from: 'time', to: 'time' }, payloads: {} },
  custom: { facts: { name: 'label' }, payloads: { content: 'one' } },
} as const

/**
 * What the author of an event must give beside its required facts: payloads, and the envelope's `outcome`. Readers ask for none of it, and neither
 * do recorders of what a provider or a tool said, since that is never refused for its shape.
 */
export const GIVEN = {
  llm_call: ['input_messages'], tool_call: ['tool_input'], tool_result: ['outcome'], reasoning: ['text'], sandbox_crossing: ['target'], state_snapshot: ['state'],
  error: ['message'], final_output: ['output'],
} as const

/** Types that say what the ledger did. From a recorder they would be forgeries, and are refused. */
export const LEDGER_TYPES: ReadonlySet<string> = new Set(['session_interrupted', 'gap', 'access', 'retention', 'hold', 'erasure', 'log_start', 'log_end', 'key_rotation', 'key_compromise', 'integrity_check', 'clock'])

type Vocabulary = typeof VOCABULARY

/** One of the event types of format v1. */
export type KnownType = keyof Vocabulary

type Value<K extends string> =
  K extends `${infer Base}[${string}]` ? (Base extends 'counts' ? { readonly [ref: string]: number } : readonly string[])
  : K extends `=${infer Names}` ? Split<Names>
  : K extends 'int' ? number
  : K extends 'bool' ? boolean
  : string
type Split<S extends string> = S extends `${infer Head}|${infer Tail}` ? Head | Split<Tail> : S
type Kinds<K extends KnownType> = Vocabulary[K]['facts']
type OptionalNames<F> = { [N in keyof F]: F[N] extends `${string}?` ? N : never }[keyof F]

/** The facts of event type `K`, exactly. */
export type Facts<K extends KnownType> =
  & { readonly [N in Exclude<keyof Kinds<K>, OptionalNames<Kinds<K>>>]: Value<Kinds<K>[N] & string> }
  & { readonly [N in OptionalNames<Kinds<K>> & keyof Kinds<K>]?: Kinds<K>[N] extends `${infer Base}?` ? Value<Base> : never }

/** The payload names of event type `K`. */
export type PayloadName<K extends KnownType> = keyof Vocabulary[K]['payloads'] & string

/** Outcomes an event may carry in its envelope. */
export const OUTCOMES = ['success', 'failure', 'denied', 'timeout', 'unknown'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** When an event was told: before the act, after it, or read from somebody else's record. */
export const CAPTURES = ['before', 'after', 'imported'] as const
export type Capture = (typeof CAPTURES)[number]

export type Risk = 'low' | 'medium' | 'high' | 'critical'
