// Having a log witnessed while it is written. Appends never wait for it: what is the newest checkpoint now is submitted; what is appended
// meanwhile is in the next round. A round begins at once when somebody waits for it, else not more often than once in a while.

import { performance } from 'node:perf_hooks'
import { MisuseError, StoreError, VerifyError, type CounterfoilError } from '../base/errors.ts'
import type { Policy } from '../log/policy.ts'
import { checkAskable, cosign, witnessedNote, type CosignReport } from './cosign.ts'
import type { Ledger } from './ledger.ts'

/** A log for which nobody waits is submitted at most this often. */
export const PAUSE_MS = 60_000
/** For each request to a witness; the last round of a log that is closed has less. */
const TIMEOUT_MS = 10_000
const LAST_TIMEOUT_MS = 3_000

interface Waiter { readonly index: number; readonly resolve: (note: string) => void; readonly reject: (error: Error) => void }

export interface WitnessingOptions {
  readonly policy: Policy
  /** Told of a witness that saw another history, and of one that could not be asked. */
  readonly report: (problem: CounterfoilError) => void
  /** Told of each new size that is witnessed. */
  readonly witnessed: (size: number) => void
  /** In ms; for tests. */
  readonly pause?: number
}

export class Witnessing {
  readonly #ledger: Ledger
  readonly #options: WitnessingOptions
  #covered: { readonly note: string; readonly size: number } | undefined
  #waiters: Waiter[] = []
  #round: Promise<void> | undefined
  #began = -Infinity
  /** Whether the newest round did not get what the policy asks. */
  #failed = false
  /** The code of what the newest round reported. */
  #told: string | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** MisuseError when the policy is for another log, or names nobody who could be asked. */
  constructor(ledger: Ledger, options: WitnessingOptions) {
    const { quorum, minOrganisations } = options.policy
    if (quorum === 'none' && minOrganisations === 0) throw new MisuseError('no_witness', 'witness: the policy asks for nobody (quorum none)', 'name a witness or a group in its quorum line')
    checkAskable(options.policy, ledger.keyring)
    this.#ledger = ledger
    this.#options = options
    this.#learn()
  }

  /** The log may have grown. */
  grown(): void {
    if (this.#closed || this.#round !== undefined || !this.#isBehind()) return
    const wait = this.#waiters.length > 0 ? 0 : this.#began + (this.#options.pause ?? PAUSE_MS) - performance.now()
    if (wait <= 0) this.#begin(TIMEOUT_MS)
    else this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.grown()
    }, wait).unref()
  }

  /**
   * The cosigned checkpoint that covers entry `index`, once the policy is satisfied. Rejects when a round that began after the call did not get
   * there: VerifyError when a witness saw another history, else StoreError `not_witnessed`, which may be tried again.
   */
  async reach(index: number): Promise<string> {
    if (this.#covered !== undefined && this.#covered.size > index) return this.#covered.note
    if (this.#closed) throw closedError()
    return new Promise((resolve, reject) => {
      this.#waiters.push({ index, resolve, reject })
      this.grown()
    })
  }

  /** Submits what came since, unless the witnesses could not be had a moment ago. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#round
    if (this.#isBehind() && !this.#failed) this.#begin(LAST_TIMEOUT_MS)
    await this.#round
    for (const { reject } of this.#waiters.splice(0)) reject(closedError())
  }

  #isBehind(): boolean {
    return (this.#ledger.head?.size ?? 0) > (this.#covered?.size ?? 0)
  }

  #begin(timeoutMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#began = performance.now()
    const waiting = this.#waiters.splice(0)
    this.#round = this.#ask(waiting, timeoutMs).finally(() => {
      this.#round = undefined
      this.grown()
    })
  }

  async #ask(waiting: readonly Waiter[], timeoutMs: number): Promise<void> {
    let failure: CounterfoilError
    try {
      const report = await cosign(this.#ledger.store, this.#ledger.keyring, this.#options.policy, timeoutMs)
      this.#failed = !report.satisfied
      failure = problemOf(report)
      this.#learn()
    } catch (cause) {
      this.#failed = true
      failure = new StoreError('not_witnessed', `witness: the checkpoint could not be submitted: ${(cause as Error).message}`, 'wait for it again', { cause, retry: true })
    }
    const told = this.#told
    this.#told = this.#failed || failure instanceof VerifyError ? failure.code : undefined
    if (this.#told !== undefined && this.#told !== told) this.#options.report(failure) // once for each cause, not each round
    for (const waiter of waiting) if (!this.#settle(waiter)) waiter.reject(failure)
    this.#waiters = this.#waiters.filter((waiter) => !this.#settle(waiter)) // they came meanwhile, and may be covered too
  }

  #settle({ index, resolve }: Waiter): boolean {
    if (this.#covered === undefined || this.#covered.size <= index) return false
    resolve(this.#covered.note)
    return true
  }

  #learn(): void {
    const covered = witnessedNote(this.#ledger.keyring, this.#options.policy)
    if (covered === undefined || covered.size <= (this.#covered?.size ?? 0)) return
    this.#covered = covered
    this.#options.witnessed(covered.size)
  }
}

/** What kept a round from satisfying its policy; a witness that saw another history before all. */
function problemOf({ asked, size }: CosignReport): CounterfoilError {
  const failed = asked.flatMap(({ name, error }) => (error === undefined ? [] : [{ name, ...error }]))
  const alarm = failed.find((one) => one.alarm)
  if (alarm !== undefined) return new VerifyError(alarm.code, alarm.message, alarm.next)
  const why = failed.length === 0 ? 'the policy asks for more witnesses' : failed.map(({ name, message }) => `${name}: ${message}`).join('; ')
  return new StoreError('not_witnessed', `witness: the ${size} entries are not witnessed: ${why}`, 'counterfoil witness submit tries again', { retry: true })
}

function closedError(): StoreError {
  return new StoreError('not_witnessed', 'witness: the trail was closed before witnesses had cosigned', 'counterfoil witness submit asks them again', { retry: true })
}
