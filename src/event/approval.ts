// What the decisions on record make of a request for approval (docs/format.md §5.7). One place for the ledger, which refuses what does not
// count, for the verifier and for the views.

/** The most people that one request can ask for. */
export const MAX_QUORUM = 16

/** The outcome of a decision that the ledger refused: late, by somebody who may not decide, or by the same person again. It is on record, and does not count. */
export const REFUSED_OUTCOME = 'failure'

/** A decision, as far as it is needed here; facts as they stand in its entry. */
export interface DecisionFacts { readonly seq: number; readonly decision?: unknown; readonly approver?: unknown; readonly outcome?: unknown }

/** How a request ended, and the seq of the decision that ended it. */
export interface Settled { readonly decision: 'approved' | 'rejected' | 'expired'; readonly seq: number }

/** One request: `quorum` decisions `approved` by different people end it well, one of another kind ends it badly, and what comes after does not count. */
export class Settling {
  readonly quorum: number
  /** The seqs of the decisions that count. */
  readonly counted: number[] = []
  readonly #approvers = new Set<unknown>()
  settled: Settled | undefined

  constructor(quorum: unknown) {
    this.quorum = Number.isSafeInteger(quorum) && (quorum as number) > 1 ? (quorum as number) : 1
  }

  /** Takes in the next decision of the request, in the order of the session; whether it counts. */
  add({ seq, decision, approver, outcome }: DecisionFacts): boolean {
    if (this.settled !== undefined || outcome === REFUSED_OUTCOME) return false
    if (decision === 'rejected' || decision === 'expired') {
      this.counted.push(seq)
      this.settled = { decision, seq }
      return true
    }
    // where several are asked for, each has a reference of their own
    if (decision !== 'approved' || (this.quorum > 1 && (typeof approver !== 'string' || this.#approvers.has(approver)))) return false
    this.#approvers.add(approver)
    this.counted.push(seq)
    if (this.counted.length >= this.quorum) this.settled = { decision, seq }
    return true
  }
}
