// What a trail reads, by a server's routes: the methods of a ledger's service (ledger/service.ts), as far as a trail calls them. What a key may not
// do, the server says, in a RemoteError.

import { setTimeout as sleep } from 'node:timers/promises'
import { fromUtf8 } from '../base/bytes.ts'
import { RemoteError } from '../base/errors.ts'
import { Absent, type AbsentReason } from '../event/view.ts'
import { ask, jsonOf, notOurs, type Ask } from './http.ts'
import type { Server } from './server.ts'

/** `content`: how much of payloads is asked for, `none` without a purpose and `full` with one. `purpose`: why, which is put on record. */
export interface ReadOptions { readonly content?: 'none' | 'masked' | 'full'; readonly purpose?: string }

interface Listed { readonly items: unknown[]; readonly next: string | null }

const TIMEOUT_MS = 60_000
const PAGE = 1_000
/** A verification is asked after this often. */
const POLL_MS = 250

export class Reader {
  readonly #server: Server
  readonly #content: string
  readonly #headers: { readonly [name: string]: string }

  constructor(server: Server, { purpose, content = purpose === undefined ? 'none' : 'full' }: ReadOptions) {
    this.#server = server
    this.#content = content
    this.#headers = purpose === undefined ? {} : { 'counterfoil-purpose': encodeURIComponent(purpose) }
  }

  async call(method: string, args: readonly unknown[]): Promise<unknown> {
    const [a, b, c] = args
    switch (method) {
      case 'sessions': return this.#page('/v1/sessions', a as object, b as number, c as string | undefined)
      case 'events': return this.#page('/v1/events', a as object, b as number, c as string | undefined)
      case 'calls': return this.#page('/v1/calls', a as object, b as number, c as string | undefined)
      case 'session': return this.#all('/v1/events', { session_id: a })
      case 'rows': return this.#all(`/v1/sessions/${a as string}/rows`, {})
      case 'summary': return this.#summary(a as string)
      case 'why': return this.#json(a === undefined ? '/v1/why' : `/v1/events/${encodeURIComponent(a as string)}/why`, { content: this.#content })
      case 'prove': return this.#prove(a as string)
      case 'verify': return this.#verify()
      case 'export': return this.#export(a as { session_id: string; disclose: unknown; witnesses: readonly string[] })
      case 'erase': return this.#json('/v1/erasures', {}, { method: 'POST', body: JSON.stringify(a), type: 'application/json', timeoutMs: 10 * TIMEOUT_MS })
      case 'flush': return undefined
      default: throw new RemoteError('not_remote', `client: ${method} is not for a trail on a server`, 'do it where the log lies, with counterfoil on the server')
    }
  }

  async #page(path: string, search: object, size: number, cursor: string | undefined): Promise<Listed> {
    const { items, next } = (await this.#json(path, { ...search, content: this.#content, limit: size, cursor })) as Partial<Listed>
    if (!Array.isArray(items) || (next !== null && typeof next !== 'string')) throw notOurs(this.#server.url, `something at ${path} that is no list`)
    return { items, next }
  }

  async #all(path: string, search: object): Promise<unknown[]> {
    const all: unknown[] = []
    let cursor: string | undefined
    do {
      const { items, next } = await this.#page(path, search, PAGE, cursor)
      all.push(...items)
      cursor = next ?? undefined
    } while (cursor !== undefined)
    return all
  }

  /** Undefined for a session that is not there. A key that may only append gets no more than that it may go on. */
  async #summary(session_id: string): Promise<unknown> {
    try {
      const summary = await this.#json(`/v1/sessions/${session_id}`, { content: this.#content })
      return { root_session_id: session_id, ...(summary as object) }
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error
      if (error.status === 404) return undefined
      if (error.status === 403) return { session_id, root_session_id: session_id, user_id: null }
      throw error
    }
  }

  async #prove(event_id: string): Promise<string | undefined> {
    try {
      return fromUtf8((await this.#ask({ path: `/v1/events/${encodeURIComponent(event_id)}/proof`, headers: { ...this.#headers, accept: 'text/plain' }, timeoutMs: TIMEOUT_MS })).bytes)
    } catch (error) {
      if (error instanceof RemoteError && error.status === 404) return undefined
      throw error
    }
  }

  async #verify(): Promise<unknown> {
    const { id } = (await this.#json('/v1/verifications', {}, { method: 'POST', body: '{}', type: 'application/json' })) as { id?: unknown }
    if (typeof id !== 'string') throw notOurs(this.#server.url, 'a verification without an id')
    for (;;) {
      const { state, verdict, error } = (await this.#json(`/v1/verifications/${encodeURIComponent(id)}`, {})) as { state?: string; verdict?: unknown; error?: { code?: string; detail?: string; message?: string; next?: string } }
      if (verdict !== undefined && verdict !== null) return verdict
      if (error !== undefined && error !== null) throw new RemoteError(error.code ?? 'verification_failed', `client: ${this.#server.url} says: ${error.detail ?? error.message ?? 'the verification failed'}`, error.next ?? 'ask who runs the server')
      if (state === undefined) throw notOurs(this.#server.url, 'a verification without a state')
      await sleep(POLL_MS)
    }
  }

  async #export({ session_id, disclose, witnesses }: { session_id: string; disclose: unknown; witnesses: readonly string[] }): Promise<unknown> {
    const query = { disclose: typeof disclose === 'string' ? disclose : JSON.stringify(disclose), witness: witnesses }
    const bundle = fromUtf8((await this.#ask({ path: `/v1/sessions/${session_id}/bundle${queryOf(query)}`, headers: this.#headers, timeoutMs: 10 * TIMEOUT_MS, most: 1024 * 1024 * 1024 })).bytes)
    return { text: bundle }
  }

  async #json(path: string, query: object, how: Partial<Ask> = {}): Promise<unknown> {
    const answer = await this.#ask({ path: `${path}${queryOf(query)}`, headers: this.#headers, timeoutMs: TIMEOUT_MS, most: 1024 * 1024 * 1024, ...how })
    return revive(jsonOf(this.#server, answer))
  }

  #ask(how: Ask): ReturnType<typeof ask> {
    return ask(this.#server, how)
  }
}

function queryOf(query: object): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (name === 'event_types') for (const type of value as string[]) params.append('event_type', type)
    else if (Array.isArray(value)) for (const each of value) params.append(name, String(each))
    else if (value !== undefined) params.append(name, String(value))
  }
  const text = params.toString()
  return text === '' ? '' : `?${text}`
}

const REASONS: ReadonlySet<unknown> = new Set<AbsentReason>(['erased', 'masked', 'withheld', 'forbidden', 'missing', 'no_key'])

/** An answer with each `{ absent, by? }` of its outer levels as the Absent that it stands for; what lies deeper is content. */
function revive(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || depth > 5) return value
  if (Array.isArray(value)) return value.map((each) => revive(each, depth + 1))
  const { absent, by, ...rest } = value as { absent?: unknown; by?: unknown }
  if (REASONS.has(absent) && Object.keys(rest).length === 0 && (by === undefined || Number.isSafeInteger(by))) return new Absent(absent as AbsentReason, by as number | undefined)
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, revive(each, depth + 1)]))
}
