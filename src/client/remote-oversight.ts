// What people do to the sessions of this process, by a server's routes: an answer is waited for by long poll, a stop is looked for while an agent acts.

import { RemoteError } from '../base/errors.ts'
import type { Oversight, RequestStanding } from '../recorder/oversight.ts'
import { ask, jsonOf, notOurs } from './http.ts'
import type { Server } from './server.ts'

/** One long poll lasts no longer than this; proxies end what says nothing for a minute. */
const POLL_MS = 25_000
const TIMEOUT_MS = 15_000
/** How often a stop is looked for. By short questions and a timer that is unref'd: a request on its way would keep the process alive. */
const STOP_MS = 700

interface Watched { readonly told: Set<() => void>; after: number; stopped: boolean }

export class RemoteOversight implements Oversight {
  readonly #server: Server
  readonly #watched = new Map<string, Watched>()
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(server: Server) {
    this.#server = server
  }

  async approval(approval_id: string, wait: number, signal: AbortSignal): Promise<RequestStanding> {
    const end = performance.now() + wait
    for (;;) {
      const left = Math.ceil(Math.min(POLL_MS, Math.max(0, end - performance.now())))
      const path = `/v1/approvals/${encodeURIComponent(approval_id)}?wait=${Math.floor(left / 1_000)}`
      const known = jsonOf(this.#server, await ask(this.#server, { path, timeoutMs: left + TIMEOUT_MS, signal })) as RequestStanding
      if (!['open', 'approved', 'rejected', 'expired'].includes(known?.state) || !Array.isArray(known.decisions)) throw notOurs(this.#server.url, 'a request for approval without a state')
      if (known.state !== 'open' || left < 1_000) return known
    }
  }

  async matches(session_id: string, action: { readonly tool_name: string; readonly tool_input: string }): Promise<readonly string[]> {
    const body = JSON.stringify({ session_id, tool_name: action.tool_name, tool_input: action.tool_input })
    try {
      const { items } = jsonOf(this.#server, await ask(this.#server, { method: 'POST', path: '/v1/approval-matches', body, type: 'application/json', timeoutMs: TIMEOUT_MS })) as { items?: readonly string[] }
      if (!Array.isArray(items)) throw notOurs(this.#server.url, 'matching requests that are no list')
      return items
    } catch (error) {
      if (error instanceof RemoteError && error.status === 404) return [] // the session's beginning is still on its way
      throw error
    }
  }

  watch(session_id: string, stopped: () => void): () => void {
    const watched: Watched = this.#watched.get(session_id) ?? { told: new Set(), after: -1, stopped: false }
    this.#watched.set(session_id, watched)
    watched.told.add(stopped)
    if (watched.stopped) queueMicrotask(() => watched.told.has(stopped) && stopped())
    if (this.#timer === undefined && !this.#closed) this.#look()
    return () => {
      watched.told.delete(stopped)
      if (watched.told.size === 0 && !watched.stopped) this.#watched.delete(session_id)
    }
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #look(): void {
    this.#timer = setTimeout(() => {
      void Promise.allSettled([...this.#watched].filter(([, { told }]) => told.size > 0).map(([session_id, watched]) => this.#read(session_id, watched))).then(() => { // a server that is away is heard of elsewhere
        this.#timer = undefined
        if (!this.#closed && [...this.#watched.values()].some(({ told, stopped }) => told.size > 0 && !stopped)) this.#look()
      })
    }, STOP_MS).unref()
  }

  async #read(session_id: string, watched: Watched): Promise<void> {
    if (watched.stopped) return
    const path = `/v1/sessions/${encodeURIComponent(session_id)}/interventions?after=${watched.after}`
    const { items, next } = jsonOf(this.#server, await ask(this.#server, { path, timeoutMs: TIMEOUT_MS })) as { items?: readonly { readonly kind?: string }[]; next?: number }
    if (!Array.isArray(items) || !Number.isSafeInteger(next)) throw notOurs(this.#server.url, 'interventions that are no list')
    watched.after = next!
    if (!items.some(({ kind }) => kind === 'stop')) return
    watched.stopped = true
    for (const tell of watched.told) tell()
  }
}
