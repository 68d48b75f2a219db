// An event as it is read back: the envelope, its facts and its payloads' values in one flat object, with the session's
// constants joined in. Facts, payloads and envelope never share a name (a test compares the vocabulary).

import type { Capture, Outcome } from './vocabulary.ts'

/** Why a payload has no value here. */
export type AbsentReason = 'erased' | 'masked' | 'withheld' | 'forbidden' | 'missing' | 'no_key'

/** A payload that is not there, and why: `erased` by entry `by`, `withheld` or `forbidden` by whoever shows it, `missing` (tampering), `no_key`. */
export class Absent {
  readonly reason: AbsentReason
  readonly by?: number
  constructor(reason: AbsentReason, by?: number) {
    this.reason = reason
    if (by !== undefined) this.by = by
  }
  toString(): string {
    return this.by === undefined ? `[${this.reason}]` : `[${this.reason} by #${this.by}]`
  }
  toJSON(): { absent: AbsentReason; by?: number } {
    return this.by === undefined ? { absent: this.reason } : { absent: this.reason, by: this.by }
  }
}

/** A payload as read back: the value, or an Absent that says why not. `instanceof Absent` narrows. */
export type Content<T> = T | Absent

/** What every event read back has. */
export interface ViewEnvelope {
  readonly index: number
  readonly event_id: string
  readonly event_type: string
  readonly session_id: string
  readonly seq: number
  readonly writer: string
  readonly stream: string | null
  readonly stream_seq: number | null
  readonly step_number: number
  readonly parent_event_id: string | null
  readonly timestamp: string
  readonly recorded_at: string
  readonly capture: Capture
  readonly outcome: Outcome | null
  readonly agent_id: string
  readonly agent_version: string | null
  readonly user_id: Content<string> | null
  readonly model_id: string | null
  readonly system_prompt_hash: string | null
  /** base64 RFC 6962 leaf hash of the entry */
  readonly entry_hash: string
}

/**
 * An event read back, loosely typed: besides the envelope each fact under its name and each payload's value under its own:
 * JSON as a value, text as a string, bytes as a Uint8Array, a list as an array (whole, not the change), or an Absent in the
 * place of each value that is not there. The public `AuditEvent` types narrow this per event type.
 */
export type ViewEvent = ViewEnvelope & { readonly [name: string]: unknown }
