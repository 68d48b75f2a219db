// What a trail reads, by a server's routes: the methods of a ledger's service (ledger/service.ts), as far as a trail calls them. What a key may not
// do, the server says, in a RemoteError.

import { setTimeout as sleep } from 'node:timers/promises'
import { fromUtf8 } from '../base/bytes.ts'
import { RemoteError } from '../base/errors.ts'
import { parseView } from '../event/view-json.ts'
import { ask, jsonOf, notOurs, type Ask } from './http.ts'
import type { Server } from './server.ts'

/** `content`: how much of payloads is asked for, `none` without a purpose and `full` with one. `purpose`: why, which is put on record. */
export interface ReadOptions { readonly content?: 'none' | 'masked' | 'full'; readonly purpose?: string }

/** As a ledger takes them. */
interface Export { readonly session_id: string; readonly disclose: 'none' | 'all' | readonly { readonly index: number; readonly slot?: string; readonly position?: number | 'all' }[]; readonly witnesses: readonly string[] }
interface Erase { readonly session_ids?: readonly string[]; readonly user_id?: string; readonly reason: string; readonly legal_basis?: string; readonly actor?: string }
interface Listed { readonly items: unknown[]; readonly next: string | null }

const TIMEOUT_MS = 60_000
const PAGE = 1_000
const MOST_BYTES: number = 1024 * 1024 * 1024
/** A verification is asked after this often. */
const POLL_MS = 250

export class Reader {
  readonly #server: Server
  readonly #content: string
  readonly #purpose: { readonly purpose?: string }

  constructor(server: Server, { purpose, content = purpose === undefined ? 'none' : 'full' }: ReadOptions) {
    this.#server = server
    this.#content = content
    this.#purpose = purpose === undefined ? {} : { purpose } // in the query: a header is ASCII only
  }

  async call(method: string, args: readonly unknown[]): Promise<unknown> {
    const [a, b, c] = args
    switch (method) {
      case 'sessions': return this.#page('/v1/sessions', a as object, b as number, c as string | undefined)
      case 'events': return this.#page('/v1/events', a as object, b as number, c as string | undefined)
      case 'calls': return this.#page('/v1/calls', a as object, b as number, c as string | undefined)
      case 'event': return this.#event(a as string)
      case 'findings': return this.#page('/v1/findings', a as object, b as number, c as string | undefined)
      case 'session': return this.#all('/v1/events', { session_id: a })
      case 'rows': return this.#all(`/v1/sessions/${a as string}/rows`, {})
      case 'summary': return this.#summary(a as string)
      case 'resumption': return this.#resumption(a as string)
      case 'why': return this.#why(a as string | undefined)
      case 'prove': return this.#prove(a as string)
      case 'verify': return this.#verify()
      case 'export': return this.#export(a as Export)
      case 'erase': return this.#erase(a as Erase)
      case 'flush': return undefined
      default: throw new RemoteError('not_remote', `client: ${method} is not for a trail on a server`, 'do it where the log lies, with counterfoil on the server')
    }
  }

  async #page(path: string, search: object, size: number, cursor: string | undefined): Promise<Listed> {
    const { items, next } = (await this.#view(path, { ...search, ...this.#asked, limit: size, cursor })) as Partial<Listed>
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

  /** Undefined for one that is not there, or not for this key. */
  async #event(event_id: string): Promise<unknown> {
    try {
      return await this.#json(`/v1/events/${encodeURIComponent(event_id)}`, this.#asked)
    } catch (error) {
      if (error instanceof RemoteError && error.status === 404) return undefined
      throw error
    }
  }

  /** Undefined for an event, or any act, that is not there. */
  async #why(event_id: string | undefined): Promise<unknown> {
    const content = this.#content === 'masked' ? 'none' : this.#content // what is masked has no values to trace
    try {
      return await this.#view(event_id === undefined ? '/v1/why' : `/v1/events/${encodeURIComponent(event_id)}/why`, { content, ...this.#purpose })
    } catch (error) {
      if (event_id === undefined && error instanceof RemoteError && error.status === 404) return undefined
      throw error
    }
  }

  /** Undefined for a session that is not there. */
  async #summary(session_id: string): Promise<unknown> {
    try {
      return { root_session_id: session_id, ...((await this.#view(`/v1/sessions/${session_id}`, this.#asked)) as object) }
    } catch (error) {
      if (error instanceof RemoteError && error.status === 404) return undefined
      throw error
    }
  }

  /** What is to be known of a session to go on with it; who its persons are, only where content is read. Undefined for one that is not there. */
  async #resumption(session_id: string): Promise<unknown> {
    let begun: object
    try {
      begun = (await this.#json(`/v1/sessions/${session_id}/resumption`, {})) as object
    } catch (error) {
      if (error instanceof RemoteError && error.status === 404) return undefined
      throw error
    }
    if (this.#content !== 'full') return begun
    try {
      return { ...begun, ...((await this.#summary(session_id)) as object | undefined) }
    } catch (error) {
      if (error instanceof RemoteError && error.status === 403) return begun
      throw error
    }
  }

  async #prove(event_id: string): Promise<string | undefined> {
    try {
      return fromUtf8((await ask(this.#server, { path: `/v1/events/${encodeURIComponent(event_id)}/proof`, headers: { accept: 'text/plain' }, timeoutMs: TIMEOUT_MS })).bytes)
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

  /** The bundle's text; what it is worth, a verifier says. */
  async #export({ session_id, disclose, witnesses }: Export): Promise<{ json: string }> {
    if (witnesses.length > 0) throw new RemoteError('not_remote', 'client: a server takes no witnesses with an export', "leave them out, or export where the log lies: counterfoil export")
    const places = typeof disclose === 'string' ? disclose : disclose.map(({ index, slot, position }) => [index, slot, position].filter((part) => part !== undefined).join(':')).join(',')
    const path = `/v1/sessions/${session_id}/bundle${queryOf({ disclose: places, ...this.#purpose })}`
    return { json: fromUtf8((await ask(this.#server, { path, timeoutMs: 10 * TIMEOUT_MS, most: MOST_BYTES })).bytes) }
  }

  /** As the ledger answers. Who orders it is the principal of the key. */
  async #erase({ session_ids, user_id, reason, legal_basis, actor }: Erase): Promise<unknown> {
    if (actor !== undefined) throw new RemoteError('not_remote', 'client: who erases on a server is whose key it is', 'leave actor out')
    const [session_id] = session_ids ?? []
    const body = JSON.stringify({ session_id, user_id, reason, legal_basis })
    const { event_id, done, checkpoint } = (await this.#json('/v1/erasures', {}, { method: 'POST', body, type: 'application/json', timeoutMs: 10 * TIMEOUT_MS })) as { event_id?: unknown; done?: unknown; checkpoint?: unknown }
    if (typeof event_id !== 'string' || !Number.isSafeInteger(done)) throw notOurs(this.#server.url, 'no receipt of an erasure')
    return { event_id, done: { index: done, checkpoint } }
  }

  get #asked(): object {
    return { content: this.#content, ...this.#purpose }
  }

  /** As `#json`, of an answer that shows what is recorded. */
  #view(path: string, query: object): Promise<unknown> {
    return this.#json(path, query, {}, parseView)
  }

  async #json(path: string, query: object, how: Partial<Ask> = {}, parse?: (text: string) => unknown): Promise<unknown> {
    const value = jsonOf(this.#server, await ask(this.#server, { path: `${path}${queryOf(query)}`, timeoutMs: TIMEOUT_MS, most: MOST_BYTES, ...how }), parse)
    if (typeof value !== 'object' || value === null) throw notOurs(this.#server.url, `something at ${path} that is no object`)
    return value
  }
}

function queryOf(query: object): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (name === 'event_types') params.append('event_type', (value as string[]).join(','))
    else if (value !== undefined) params.append(name, String(value))
  }
  const text = params.toString()
  return text === '' ? '' : `?${text}`
}
