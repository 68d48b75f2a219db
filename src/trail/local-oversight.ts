// What other processes on this machine do to the sessions of this one: the ledger is asked now and then.

import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from '../base/errors.ts'
import type { ApprovalOnRecord, Intervention } from '../ledger/approvals.ts'
import type { LocalLedger } from '../ledger/handle.ts'
import type { Oversight, RequestStanding } from '../recorder/oversight.ts'

/** How often the ledger is asked while somebody waits for an answer, and while an agent acts. */
const ANSWER_MS = 250
const STOP_MS = 500

export class LocalOversight implements Oversight {
  readonly #ledger: LocalLedger
  readonly #watched = new Map<string, Set<() => void>>()
  /** The sessions that were stopped, as far as the log was read. */
  readonly #stopped = new Set<string>()
  #next = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(ledger: LocalLedger) {
    this.#ledger = ledger
  }

  async approval(approval_id: string, wait: number, signal: AbortSignal): Promise<RequestStanding> {
    const end = performance.now() + wait
    for (;;) {
      const known = await this.#ledger.call<ApprovalOnRecord | undefined>('approval', approval_id)
      signal.throwIfAborted()
      if (known === undefined) throw new StoreError('no_request', `approval: no request ${approval_id} is on record`, 'counterfoil verify says whether the record is whole')
      const left = end - performance.now()
      if (known.state !== 'open' || left <= 0) return known
      await sleep(Math.min(ANSWER_MS, left), undefined, { signal }).catch(() => {})
      signal.throwIfAborted()
    }
  }

  matches(session_id: string, action: { readonly tool_name: string; readonly tool_input: string }): Promise<readonly string[]> {
    return this.#ledger.call<string[]>('matchingApprovals', session_id, action)
  }

  watch(session_id: string, stopped: () => void): () => void {
    const told = this.#watched.get(session_id) ?? new Set()
    this.#watched.set(session_id, told.add(stopped))
    if (this.#stopped.has(session_id)) queueMicrotask(() => told.has(stopped) && stopped())
    if (this.#timer === undefined && !this.#closed) this.#look()
    return () => {
      told.delete(stopped)
      if (told.size === 0) this.#watched.delete(session_id)
    }
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #look(): void {
    this.#timer = setTimeout(() => {
      this.#read().catch(() => {}).finally(() => { // what is wrong with the log, others hear
        this.#timer = undefined
        if (!this.#closed && this.#watched.size > 0) this.#look()
      })
    }, STOP_MS).unref()
  }

  async #read(): Promise<void> {
    for (;;) {
      const { items, next } = await this.#ledger.call<{ items: Intervention[]; next: number }>('interventions', this.#next)
      this.#next = next
      for (const { session_id, kind } of items) {
        if (kind !== 'stop') continue
        this.#stopped.add(session_id)
        for (const tell of this.#watched.get(session_id) ?? []) tell()
      }
      if (items.length === 0) return
    }
  }
}
