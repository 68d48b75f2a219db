// A bound on everything that comes from outside. What is beyond one gets a clear error, and what it would have cost is never spent.

import { HttpError } from './problem.ts'

export interface Limits {
  /** Bytes of a body as it is sent, and as it reads when it is unpacked. */
  readonly body: number
  readonly unpacked: number
  /** Events of one body: they are one commit. */
  readonly events: number
  /** Bytes of all request headers together. */
  readonly headers: number
  /** Characters of a URL's path and query. */
  readonly url: number
  /** How long a client may take to send its headers, and the whole request. */
  readonly headersMs: number
  readonly requestMs: number
  readonly connections: number
  /** Requests at once: of all, and of one principal. Streams count apart. */
  readonly requests: number
  readonly ownRequests: number
  readonly streams: number
  readonly ownStreams: number
  /** Bytes of bodies that are held at once. */
  readonly held: number
  /** How long an answer may take while nothing moves. */
  readonly patience: number
  /** How long requests may still take when the server ends. */
  readonly graceMs: number
}

export const LIMITS: Limits = {
  body: 16 * 1024 * 1024, unpacked: 64 * 1024 * 1024, events: 1_000, headers: 16 * 1024, url: 8 * 1024, headersMs: 10_000, requestMs: 60_000, connections: 4_096,
  requests: 512, ownRequests: 64, streams: 1_024, ownStreams: 32, held: 256 * 1024 * 1024, patience: 30_000, graceMs: 10_000,
}

/** Counts what goes on at once, of all and of each principal. */
export class Gate {
  readonly #what: string
  readonly #most: number
  readonly #own: number
  readonly #by = new Map<string, number>()
  #all = 0

  constructor(what: string, most: number, own: number) {
    this.#what = what
    this.#most = most
    this.#own = own
  }

  get open(): number {
    return this.#all
  }

  /** Lets one more in, and returns how it goes out, which counts once. HttpError 429 or 503 where there are as many as may be. */
  enter(principal: string): () => void {
    const mine = this.#by.get(principal) ?? 0
    if (mine >= this.#own) throw new HttpError(429, 'too_many_at_once', `server: expected at most ${this.#own} ${this.#what} at once of one principal, got as many`, 'wait for the answers of those that run', { headers: { 'retry-after': '1' } })
    if (this.#all >= this.#most) throw new HttpError(503, 'busy', `server: expected at most ${this.#most} ${this.#what} at once, got as many`, 'send it again in a moment', { headers: { 'retry-after': '1' } })
    this.#all++
    this.#by.set(principal, mine + 1)
    let left = false
    return () => {
      if (left) return
      left = true
      this.#all--
      const now = this.#by.get(principal)! - 1
      if (now === 0) this.#by.delete(principal)
      else this.#by.set(principal, now)
    }
  }
}
