// A tenant's log as it grows, for everybody who listens: however many streams stand at its end, each page is read once.

import type { ViewEvent } from '../event/view.ts'
import type { LocalLedger } from '../ledger/handle.ts'
import type { Content } from './sight.ts'

export interface FeedPage { readonly items: readonly ViewEvent[]; readonly next: number }

/** Events of one page. */
export const MAX_FEED_PAGE = 100
/** How long a page is there for others that ask for it. Not for long: what is erased must not be shown out of memory. */
const SHARED_MS = 500

export class Feed {
  readonly #ledger: LocalLedger
  readonly #pages = new Map<string, Promise<FeedPage>>()
  readonly #waiting = new Set<() => void>()
  #growths = 0

  constructor(ledger: LocalLedger) {
    this.#ledger = ledger
    ledger.onGrown(() => {
      this.#growths++
      for (const wake of this.#waiting) wake()
      this.#waiting.clear()
    })
  }

  /** How often it grew. */
  get growths(): number {
    return this.#growths
  }

  /** At most `size` events from `from` on; none when the log ends there. */
  page(content: Content, from: number, size: number): Promise<FeedPage> {
    const key = `${content}/${from}/${size}`
    let page = this.#pages.get(key)
    if (page === undefined) {
      const read = this.#ledger.call<FeedPage>('see', { content }, 'after', [from, size])
      page = read
      this.#pages.set(key, read)
      const forget = (): void => { if (this.#pages.get(key) === read) this.#pages.delete(key) }
      read.then(({ next }) => (next === from ? forget() : setTimeout(forget, SHARED_MS).unref()), forget)
    }
    return page
  }

  /** Resolves when the log has grown more often than `growths`, when `ms` are over, or `signal` is aborted. */
  grown(growths: number, ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', wake)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      if (signal.aborted || this.#growths > growths) return wake()
      signal.addEventListener('abort', wake, { once: true })
      this.#waiting.add(wake)
    })
  }
}
