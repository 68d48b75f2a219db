// Waiting for people who decide elsewhere: the request is on record, and so is each answer.

import { setTimeout as sleep } from 'node:timers/promises'
import { CounterfoilError } from '../base/errors.ts'
import type { Oversight, RequestStanding } from './oversight.ts'

/** One question to the ledger or server waits so long. */
const WAIT_MS = 20_000
/** After a failure that may pass. */
const AGAIN_MS = 1_000

export interface Waiting {
  readonly oversight: Oversight
  readonly clock: () => number
  /** Aborted when nobody waits any more: its reason is thrown. */
  readonly signal: AbortSignal
  /** Puts on record that nobody answered in time; whatever becomes of that, there is no approval. */
  readonly expire: (standing: RequestStanding) => Promise<void>
}

/** Resolves when the request is settled. Without an answer at `expires` (ms) that is put on record, and it is no. */
export async function waitForOthers(approval_id: string, expires: number, { oversight, clock, signal, expire }: Waiting): Promise<RequestStanding> {
  let last: RequestStanding | undefined
  for (;;) {
    signal.throwIfAborted()
    const left = Math.max(0, expires - clock())
    let standing: RequestStanding | undefined
    try {
      standing = last = await oversight.approval(approval_id, Math.min(left, WAIT_MS), signal)
    } catch (error) {
      signal.throwIfAborted()
      if (!mayPass(error)) throw error
      if (left > 0) await sleep(Math.min(AGAIN_MS, left), undefined, { signal }).catch(() => {})
    }
    if (standing !== undefined && standing.state !== 'open' && standing.decision !== null) return standing
    if (standing?.state === 'rejected') return standing // its session was stopped
    if (standing?.state !== 'expired' && clock() < expires) continue
    const overdue: RequestStanding = { entry_hash: '', expires_at: null, quorum: 1, decisions: [], ...last, state: 'expired', decision: null }
    if (overdue.entry_hash !== '') await expire(overdue)
    // somebody may have answered in the last moment: then that is what is on record
    return await oversight.approval(approval_id, 0, signal).catch(() => overdue).then((known) => (known.state === 'open' ? overdue : known))
  }
}

function mayPass(error: unknown): boolean {
  return error instanceof CounterfoilError && (error as { retry?: unknown }).retry === true
}
