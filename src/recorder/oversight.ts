// What people do to a session from outside the agent's process, as its recorder comes to see it: decide about requests, stop it. A local trail
// asks its ledger now and then; a client asks its server, by long poll.

import { CounterfoilError } from '../base/errors.ts'

/** A request for approval as it stands on record: what `GET /v1/approvals/{id}` answers has these members. `decision` is the event that settled it. */
export interface RequestStanding {
  readonly state: 'open' | 'approved' | 'rejected' | 'expired'
  readonly entry_hash: string
  readonly expires_at: string | null
  readonly quorum: number
  readonly decision: string | null
  readonly decisions: readonly { readonly event_id: string; readonly approver_id: string | null; readonly comment: string | null }[]
}

export interface Oversight {
  /**
   * How the request with this event id, which is on record, stands: at once when it is settled, else when it is, or after about `wait` milliseconds as
   * it is then. `signal` ends the wait. Rejects with a CounterfoilError; where it says `retry`, asking again may help.
   */
  approval(approval_id: string, wait: number, signal: AbortSignal): Promise<RequestStanding>
  /** The ids of the session's requests for exactly this action (the input as JSON text) that are open, approved and not used, or whose answer nobody heard. Oldest first. */
  matches(session_id: string, action: { readonly tool_name: string; readonly tool_input: string }): Promise<readonly string[]>
  /** Tells within a second of a stop of the session, until what it returns is called. Never throws; keeps no process alive. */
  watch(session_id: string, stopped: () => void): () => void
}

/** A person stopped the session: no act follows. */
export class SessionStopped extends CounterfoilError {
  readonly session_id: string
  constructor(session_id: string) {
    super('session_stopped', `session: ${session_id} was stopped by a person, and no tool of it runs any more`, 'ask who stopped it; begin a new session for what is still to be done')
    this.session_id = session_id
  }
}
