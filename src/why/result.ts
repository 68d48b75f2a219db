// What `why` says about one act, as data. Every statement carries the index of the entry it rests on. Provenance, never a verdict:
// nothing here says that an act was right, wrong, safe or attacked.

import type { Risk } from '../event/vocabulary.ts'
import type { Match } from './match.ts'

/** Who put a text into the record. `data` is what a `data_access` names, `human` an approver's comment or an intervention's note, `earlier_call` the input of a call that no model asked for. */
export type SourceKind =
  | 'user_message' | 'system_prompt' | 'tool_definition' | 'tool_answer' | 'data' | 'human' | 'author' | 'model' | 'earlier_call' | 'message'

/** As declared, never judged: a tool's answer and a data source are `untrusted` until a `data_access` declares them `trusted`. `unknown`: a message of a role we do not know. */
export type Trust = 'user' | 'author' | 'human' | 'model' | 'trusted' | 'untrusted' | 'unknown'

/** Where a value stands in the record. */
export interface Source {
  readonly index: number
  readonly event_id: string
  readonly event_type: string
  /** another session than the act's: the parent's */
  readonly session_id: string
  readonly kind: SourceKind
  readonly trust: Trust
  /** the tool that answered, the tool defined, the data source, a foreign role; else null */
  readonly name: string | null
  /** position in the list of messages sent, from 0, when the text is one of those; else null */
  readonly message: number | null
  readonly match: Match
  /** in UTF-16 units in the text; a JSON value counts as written without escapes */
  readonly offset: number
  readonly length: number
  /** the text around, at most 160 characters and whole if it fits; from `context_offset` of the text */
  readonly context: string
  readonly context_offset: number
  readonly context_whole: boolean
  /** the text is a JSON value, and `context` is all of it as JSON */
  readonly context_json: boolean
}

/**
 * `traced`: found whole. `partly`: a long text of which parts were found. `nowhere`: everything before the act was asked for is there to
 * read, and it is in none of that: if `as_asked`, the model's own or written in another form. `unknown`: found in nothing that can be read,
 * and not everything can. `untraced`: not looked for, `reason` says why.
 */
export type ValueStatus = 'traced' | 'partly' | 'nowhere' | 'unknown' | 'untraced'

/** A sentence or an identifier inside a long text. */
export interface Part { readonly kind: 'sentence' | 'identifier'; readonly text: string; readonly offset: number; readonly source: Source | null }

/** One leaf of the act's input. */
export interface Value {
  /** `order_id`, `flights[0].date`; empty for an input that is itself a leaf */
  readonly path: string
  /** strings at most 400 characters; `characters` is the length of the whole */
  readonly value: string | number | boolean | null
  readonly characters: number
  readonly status: ValueStatus
  readonly reason: 'too_short' | 'no_letter_or_digit' | 'boolean' | 'null' | 'absent' | 'not_a_plain_number' | 'masked' | null
  /** everything that could hold it was looked at: of a value found, everything before `source`. If not, `source` is the first that can be read */
  readonly complete: boolean
  /** first appearance: in the value's own spelling if there is one, else in another */
  readonly source: Source | null
  /** an appearance before `source`, in another spelling */
  readonly earlier: Source | null
  /** where `source` is the model's own words, an earlier call's input or a tool's definition: the first appearance, in any spelling, in anybody else's words; null if that is `earlier` */
  readonly outside: Source | null
  readonly parts: readonly Part[]
  /** the model asked for another value here, or for none: it was changed between the request and the act. Null when no request is on record. */
  readonly as_asked: boolean | null
}

/** The answer of a model that asked for this act. */
export interface AskedFor {
  readonly index: number
  readonly event_id: string
  /** the call it answers; null when that is not on record */
  readonly call_index: number | null
  readonly model_id: string | null
  /** what links them: named by the recorder, or as the act's parent; the provider's call id; the same tool with the same input; the same text */
  readonly by: 'requested_by' | 'parent' | 'call_id' | 'name_and_input' | 'output'
  /** whether the act's input is the one asked for; null when one of them cannot be read */
  readonly same_input: boolean | null
  /** what the model wrote beside the request; null if nothing */
  readonly said: string | null
  /** why what it asked for or wrote cannot be read, as `[erased by #9]`; null if it can */
  readonly absent: string | null
}

/** An answer of a model that may have asked for the act, and why that cannot be read. */
export interface UnreadAnswer { readonly index: number; readonly absent: string }

export interface Reasoning {
  readonly index: number
  readonly by: 'model' | 'author'
  readonly form: 'full' | 'summarised' | 'encrypted' | 'withheld' | null
  /** null when there is none to read; `absent` says why */
  readonly text: string | null
  readonly absent: string | null
}

/** The system prompt that the act stood under, and where it changed since the session began. */
export interface Prompt {
  readonly hash: string | null
  readonly fingerprint: string | null
  readonly since_index: number
  readonly first_index: number
  readonly changes: readonly { readonly index: number; readonly event_type: string }[]
  /** why its text cannot be read; null if it can, or only its hash is on record */
  readonly absent: string | null
  /** each prompt stated could be compared with the one before it; if not, there may be more changes */
  readonly compared: boolean
}

export interface Rule { readonly index: number; readonly policy: string; readonly version: string | null; readonly decision: string; readonly reason: string | null }

export interface Decision {
  readonly index: number
  readonly decision: string
  /** who, as the record names them; null when that cannot be read */
  readonly who: string | null
  readonly assurance: string | null
  readonly time_to_decide_ms: number | null
  readonly comment: string | null
  /** why who decided, or the comment, cannot be read; null if they can */
  readonly absent: string | null
  /** whether the approver is the user the session works for; null when that cannot be told */
  readonly is_requester: boolean | null
}

/** `none_asked`: no approval needed or asked for. `required_missing`: the act says it needs one and none is on record. */
export interface Approval {
  readonly status: 'approved' | 'rejected' | 'expired' | 'pending' | 'none_asked' | 'required_missing'
  readonly request_index: number | null
  readonly shown: string | null
  readonly quorum: number | null
  /** whether the act's input is what was put before the approver; null when it cannot be told */
  readonly same_input: boolean | null
  /** why that cannot be told; null if it can */
  readonly absent: string | null
  readonly decisions: readonly Decision[]
}

export interface Happened {
  readonly index: number
  readonly outcome: string | null
  readonly time_ms: number | null
  readonly error_type: string | null
  readonly error: string | null
  /** at most 160 characters of what came back */
  readonly answer: string | null
  /** why what came back cannot be read; null if it can */
  readonly absent: string | null
  /** other results on record for the same act */
  readonly more: readonly number[]
}

export interface Unknown { readonly text: string; readonly index: number | null }

/**
 * What an event that is no act has to do with acts. `act_index` is the act that a result or an approval belongs to, else the one nearest to
 * ask about. `explained`: what is said beside this is about that act.
 */
export interface About { readonly says: string; readonly act_index: number | null; readonly act_event_id: string | null; readonly explained: boolean }

/** What the record says about one act. */
export interface Why {
  readonly event: {
    readonly index: number
    readonly event_id: string
    readonly session_id: string
    readonly event_type: string
    readonly tool_name: string | null
    readonly call_id: string | null
    /** a JSON value, or an Absent, which in JSON is `{"absent": reason}` */
    readonly input: unknown
    readonly risk: Risk | null
    readonly timestamp: string
    /** since the session's first event on hand */
    readonly elapsed_ms: number | null
  }
  /** null where the event is an act */
  readonly about: About | null
  readonly asked_for: AskedFor | null
  /** while no firm link says who asked: the answers that may have */
  readonly unread_answers: readonly UnreadAnswer[]
  readonly reasoning: readonly Reasoning[]
  readonly values: readonly Value[]
  readonly prompt: Prompt | null
  readonly rules: readonly Rule[]
  readonly approval: Approval
  readonly happened: Happened | null
  readonly not_known: readonly Unknown[]
}
