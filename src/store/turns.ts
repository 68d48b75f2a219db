// Waiting for a turn: in this process in the order of asking, between processes by short jittered retries of our own.
// SQLite's own busy handler sleeps longer each time, up to 100 ms: under load the one who waits longest then waits on for seconds.

import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from '../base/errors.ts'

/** What nobody could get in time. Nothing was done, so the same call may be made again. */
export function busy(what: string, waitMs: number): StoreError {
  return new StoreError('busy', `store: waited ${waitMs} ms for ${what}`, 'try again; if it stays so, find the process that holds the database open in a transaction', { retry: true })
}

/** At most `slots` holders at a time, first come first served. */
export class Turns {
  #free: number
  readonly #waiting: (() => void)[] = []
  constructor(slots: number) {
    this.#free = slots
  }

  /** Resolves with the function that gives the turn back; rejects with a StoreError `busy` after `waitMs`. */
  async take(what: string, waitMs: number): Promise<() => void> {
    if (this.#free > 0) this.#free--
    else await this.#wait(what, waitMs)
    let held = true
    return () => {
      if (!held) return
      held = false
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }

  #wait(what: string, waitMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1)
        reject(busy(what, waitMs))
      }, waitMs)
      this.#waiting.push(turn)
    })
  }
}

/** Calls `attempt` until it does not throw a StoreError `busy`, for at most `waitMs`; resolves with its result. */
export async function patiently<T>(what: string, waitMs: number, attempt: () => T): Promise<T> {
  const deadline = performance.now() + waitMs
  for (;;) {
    try {
      return attempt()
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'busy') throw error
      if (performance.now() >= deadline) throw busy(what, waitMs)
    }
    await sleep(1 + Math.random() * 4)
  }
}
