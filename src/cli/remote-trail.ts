// A trail on a server, as the commands use it: read by the server's routes, and written to one act at a time. Content comes only for a purpose, which the
// server puts on record; what somebody names is looked up by facts alone.

import { setTimeout as sleep } from 'node:timers/promises'
import { fromUtf8 } from '../base/bytes.ts'
import { MisuseError, RemoteError } from '../base/errors.ts'
import { Reader } from '../client/reader.ts'
import { ask, jsonOf, notOurs, plain, type Ask } from '../client/http.ts'
import { serverAt, type Server } from '../client/server.ts'
import type { ViewEvent } from '../event/view.ts'
import { readExported } from '../ledger/bundle.ts'
import type { ShownApproval } from '../ledger/approvals.ts'
import { parseTreeHead } from '../log/checkpoint.ts'
import { parseNote } from '../log/note.ts'
import { PROPERTIES, type Verdict } from '../verify/verdict.ts'
import type { Why } from '../why/result.ts'
import type { CliTrail, EraseTarget, EventQuery, SessionQuery, SessionSummary } from './api.ts'

const TIMEOUT_MS = 60_000
const ERASE_MS = 600_000
/** A verification is looked at this often. */
const POLL_MS = 250
const PAGE = 500
const SESSIONS_PAGE = 100

interface Page<T> { readonly items: T[]; readonly next: string | null }
interface Me { readonly id: string; readonly permissions: readonly string[] }

/** The trail of the server at `url`, with the key in the environment. Nothing is asked before a command asks. */
export function openRemoteTrail(url: string, env: { readonly [name: string]: string | undefined }, asked: string | undefined): CliTrail {
  const server = serverOf(url, env)
  const purpose = asked ?? (env['COUNTERFOIL_PURPOSE'] || undefined)
  return new RemoteTrail(server, purpose)
}

/** MisuseErrors say what is wrong with the URL, and where the key belongs. */
function serverOf(url: string, { COUNTERFOIL_KEY: key = '', COUNTERFOIL_INSECURE: insecure }: { readonly [name: string]: string | undefined }): Server {
  try {
    return serverAt(url, key, insecure === '1')
  } catch (error) {
    if (!(error instanceof MisuseError)) throw error
    const next = NEXT[error.code]
    throw next === undefined ? error : new MisuseError(error.code, error.message.slice(0, -error.next.length - 2).replace('client:', 'cli:'), next)
  }
}

const NEXT: { readonly [code: string]: string } = {
  no_server_key: 'set $COUNTERFOIL_KEY; whoever runs the server makes one: counterfoil people key ID',
  bad_server_key: 'set $COUNTERFOIL_KEY to the key as it was printed, without line ends',
  bad_url: 'name the address that counterfoil serve is reached at, https://HOST; the key goes into $COUNTERFOIL_KEY',
  not_encrypted: 'put TLS before the server (counterfoil docs operate), or set COUNTERFOIL_INSECURE=1 where the network itself is trusted',
}

class RemoteTrail implements CliTrail {
  readonly #server: Server
  readonly #purpose: string | undefined
  readonly #reader: Reader
  /** Without content. */
  readonly #facts: Reader
  #me: Promise<Me> | undefined
  /** There where the rules cannot look at content themselves. */
  readonly recorded?: (session_id?: string) => AsyncIterable<ViewEvent>

  constructor(server: Server, purpose: string | undefined) {
    this.#server = server
    this.#purpose = purpose
    this.#facts = new Reader(server, {})
    this.#reader = purpose === undefined ? this.#facts : new Reader(server, { purpose })
    if (purpose === undefined) this.recorded = (session_id) => pages((cursor) => this.#facts.call('findings', [session_id === undefined ? {} : { session_id }, PAGE, cursor]) as Promise<Page<ViewEvent>>)
  }

  async *sessions({ session_id, facts, since, until, ...search }: SessionQuery = {}): AsyncGenerator<SessionSummary> {
    const reader = facts === true ? this.#facts : this.#reader
    if (session_id !== undefined) {
      const found = (await reader.call('summary', [session_id])) as (SessionSummary & { root_session_id?: string }) | undefined
      // of a key that may not look, a trail learns no more than that it may go on; here the server is to say why
      if (found !== undefined && (found.agent_id as string | undefined) === undefined) await reader.call('events', [{ session_id }, 1])
      if (found === undefined || !found.agent_id) return
      const { root_session_id: _, ...summary } = found
      yield summary
      return
    }
    if (this.#purpose === undefined && (search.user_id ?? search.subject) !== undefined) throw this.#noPurpose('who a session is for is content')
    const filters = { ...search, ...(since === undefined ? {} : { since: since.toISOString() }), ...(until === undefined ? {} : { until: until.toISOString() }) }
    yield* pages((cursor) => reader.call('sessions', [filters, SESSIONS_PAGE, cursor]) as Promise<Page<SessionSummary>>)
  }

  async *events({ session_id, event_id, event_type, facts, from, to = Infinity }: EventQuery = {}): AsyncGenerator<ViewEvent> {
    const reader = facts === true ? this.#facts : this.#reader
    if (event_id !== undefined) {
      const event = (await reader.call('event', [event_id])) as ViewEvent | undefined
      if (event !== undefined) yield event
      return
    }
    const search = { ...(session_id === undefined ? {} : { session_id }), ...(event_type === undefined ? {} : { event_types: [event_type] }), ...(from === undefined ? {} : { from }) }
    const size = Math.min(PAGE, Math.max(1, to - (from ?? 0)))
    for await (const event of pages((cursor) => reader.call('events', [search, size, cursor]) as Promise<Page<ViewEvent>>)) {
      if (event.index >= to) return
      yield event
    }
  }

  async newest(count: number, { session_id, facts }: { readonly session_id?: string; readonly facts?: true } = {}): Promise<ViewEvent[]> {
    const reader = facts === true ? this.#facts : this.#reader
    const search = { order: 'newest', ...(session_id === undefined ? {} : { session_id }) }
    const found: ViewEvent[] = []
    for await (const event of pages((cursor) => reader.call('events', [search, Math.min(PAGE, count - found.length), cursor]) as Promise<Page<ViewEvent>>)) {
      found.push(event)
      if (found.length === count) break
    }
    return found.reverse()
  }

  async findIds(digits: string, limit: number): Promise<{ kind: 'event' | 'session'; id: string }[]> {
    const { items, more } = (await this.#json(`/v1/ids?${queryOf({ digits, limit: String(limit) })}`)) as { items?: { kind: 'event' | 'session'; id: string }[]; more?: boolean }
    if (!Array.isArray(items)) throw notOurs(this.#server.url, 'no list of ids')
    if (more === true && items.length < 2) throw new MisuseError('ambiguous', `cli: ${digits} could be one of many`, 'give more digits')
    return items
  }

  async why(event_id?: string): Promise<Why | undefined> {
    return (await this.#reader.call('why', [event_id])) as Why | undefined
  }

  async withheld(): Promise<string | undefined> {
    if (this.#purpose !== undefined) return undefined
    const { permissions } = await this.#whoami()
    return permissions.includes('content') ? 'content is withheld: --purpose TEXT shows it, and goes on record' : 'content is withheld: the roles of this key do not show it'
  }

  /** The server's verdict of itself: what it calls proved is asserted here. */
  async verify({ since, policy, progress }: Parameters<CliTrail['verify']>[0]): Promise<Verdict & { readonly by: string }> {
    if (policy !== undefined) throw this.#notRemote('a policy', 'the server verifies with its own; with another, verify where the log lies')
    const begun = (await this.#post('/v1/verifications', since === undefined ? {} : { since })) as { id?: unknown }
    if (typeof begun.id !== 'string') throw notOurs(this.#server.url, 'a verification without an id')
    for (;;) {
      const { state, verdict, error, done, total } = (await this.#json(`/v1/verifications/${encodeURIComponent(begun.id)}`)) as { state?: string; verdict?: Verdict; error?: { code?: string; detail?: string; next?: string }; done?: number; total?: number }
      if (state === 'failed') throw new RemoteError(error?.code ?? 'verification_failed', `cli: ${this.#server.url} could not verify its log: ${plain(String(error?.detail ?? 'no reason'))}`, plain(String(error?.next ?? 'ask who runs the server')))
      if (state === 'done') {
        if (!isVerdict(verdict)) throw notOurs(this.#server.url, 'no verdict')
        const properties = Object.fromEntries(PROPERTIES.map((name) => [name, verdict.properties[name].status === 'proved' ? { ...verdict.properties[name], status: 'asserted' as const } : verdict.properties[name]]))
        return { ...verdict, properties: properties as Verdict['properties'], by: this.#server.url }
      }
      if (state !== 'running') throw notOurs(this.#server.url, 'a verification without a state')
      if (Number.isSafeInteger(done) && Number.isSafeInteger(total)) progress?.(done!, total!)
      await sleep(POLL_MS)
    }
  }

  async export(order: Parameters<CliTrail['export']>[0]): ReturnType<CliTrail['export']> {
    if (order.disclose !== 'none' && this.#purpose === undefined) throw this.#noPurpose('what is disclosed is content')
    const { json } = (await this.#reader.call('export', [{ ...order, witnesses: order.witnesses ?? [] }])) as { json: string }
    return readExported(json, order)
  }

  async prove(event_id: string): Promise<string | undefined> {
    return (await this.#reader.call('prove', [event_id])) as string | undefined
  }

  async erasable(what: EraseTarget, reason: string): ReturnType<CliTrail['erasable']> {
    try {
      return (await this.#post('/v1/erasures', { ...targetOf(what), reason, preview: true })) as Awaited<ReturnType<CliTrail['erasable']>>
    } catch (error) {
      if (error instanceof RemoteError && error.status === 404) return { sessions: [], ends: [], events: 0, payloads: 0, scopes: 0, kept: 0 }
      throw error
    }
  }

  async erase(what: EraseTarget, why: Parameters<CliTrail['erase']>[1]): ReturnType<CliTrail['erase']> {
    const { ordered, done, sessions, scopes } = (await this.#post('/v1/erasures', { ...targetOf(what), ...why }, ERASE_MS)) as { ordered: number; done: number; sessions: string[]; scopes: number }
    return { ordered, done, sessions: sessions.length, scopes, remains: "copies of the server's database made before can still be read with its keys until they are renewed: ask who runs it" }
  }

  async *approvals(which: 'open' | 'all', { facts }: { readonly facts?: true } = {}): AsyncGenerator<ShownApproval> {
    // what somebody is to decide about they are to see; the server puts on record that they did
    const content = facts !== true && (await this.#whoami()).permissions.includes('decide') ? 'full' : 'none'
    const query = { ...(which === 'open' ? { state: 'open' } : {}), content, limit: String(PAGE) }
    yield* pages(async (cursor) => {
      const { items, next } = (await this.#json(`/v1/approvals?${queryOf({ ...query, ...(cursor === undefined ? {} : { cursor }) })}`)) as Page<ShownApproval>
      if (!Array.isArray(items)) throw notOurs(this.#server.url, 'no list of requests')
      return { items: items.map((one) => ({ ...one, tool_input: one.tool_input ?? null, reasoning: one.reasoning ?? [], summary: one.summary ?? null, user_id: one.user_id ?? null })), next }
    })
  }

  async decide({ approval_id }: ShownApproval, { decision, comment }: Parameters<CliTrail['decide']>[1]): ReturnType<CliTrail['decide']> {
    const { id } = await this.#whoami()
    const { index } = (await this.#post(`/v1/approvals/${encodeURIComponent(approval_id)}/decisions`, { decision, comment })) as { index: number }
    return { index, by: id }
  }

  async stop(session_id: string, note: string | undefined): ReturnType<CliTrail['stop']> {
    const { id } = await this.#whoami()
    const { index, sessions, rejected } = (await this.#post(`/v1/sessions/${encodeURIComponent(session_id)}/interventions`, { kind: 'stop', note })) as { index: number; sessions: string[]; rejected: number }
    return { index, sessions, rejected, by: id }
  }

  /** As far as a server says: its log's origin and size. */
  async status(): ReturnType<CliTrail['status']> {
    const note = fromUtf8((await ask(this.#server, { path: '/v1/log/checkpoint', headers: { accept: 'text/plain' }, timeoutMs: TIMEOUT_MS })).bytes)
    const { origin, size } = headIn(note) ?? {}
    if (origin === undefined || size === undefined) throw notOurs(this.#server.url, 'no checkpoint')
    return { origin, size, keys: '', spools: [], witnessed: null, setback: null }
  }

  async recordFindings(): Promise<never> { throw this.#notRemote('putting findings on record', 'leave --record out: a server puts them on record by itself') }
  async sql(): Promise<never> { throw this.#notRemote('sql', HERE) }
  async keys(): Promise<never> { throw this.#notRemote('keys', HERE) }
  async renewKeys(): Promise<never> { throw this.#notRemote('keys', HERE) }
  async rotateKey(): Promise<never> { throw this.#notRemote('keys', HERE) }
  async reportKey(): Promise<never> { throw this.#notRemote('keys', HERE) }
  async protectKeys(): Promise<never> { throw this.#notRemote('keys', HERE) }
  async cosign(): Promise<never> { throw this.#notRemote('asking witnesses', HERE) }
  async backup(): Promise<never> { throw this.#notRemote('backup', HERE) }
  async archive(): Promise<never> { throw this.#notRemote('archive', HERE) }
  async copy(): Promise<never> { throw this.#notRemote('copying', HERE) }
  async close(): Promise<void> {}

  #whoami(): Promise<Me> {
    return (this.#me ??= (async () => {
      const { id, permissions } = (await this.#json('/v1/me')) as Partial<Me>
      if (typeof id !== 'string' || !Array.isArray(permissions)) throw notOurs(this.#server.url, 'nobody as whose the key is')
      return { id, permissions: permissions as string[] }
    })())
  }

  async #json(path: string, how: Partial<Ask> = {}): Promise<object> {
    const value = jsonOf(this.#server, await ask(this.#server, { path, timeoutMs: TIMEOUT_MS, ...how }))
    if (typeof value !== 'object' || value === null) throw notOurs(this.#server.url, `something at ${path.split('?')[0]} that is no object`)
    return value
  }

  #post(path: string, body: object, timeoutMs: number = TIMEOUT_MS): Promise<object> {
    return this.#json(path, { method: 'POST', body: JSON.stringify(body), type: 'application/json', timeoutMs })
  }

  #notRemote(what: string, next: string): MisuseError {
    return new MisuseError('not_remote', `cli: ${what} is not for a trail on a server, got ${this.#server.url}`, next)
  }

  #noPurpose(says: string): MisuseError {
    return new MisuseError('no_purpose', `cli: expected a purpose, since ${says}`, 'say why with --purpose TEXT or $COUNTERFOIL_PURPOSE; it goes on record')
  }
}

const HERE = 'run it on the machine of the server, where the log and its keys lie, with --trail PATH'

function targetOf(what: EraseTarget): { session_id?: string; user_id?: string } {
  return 'user_id' in what ? { user_id: what.user_id } : { session_id: what.session_id, ...(what.subject === undefined ? {} : { user_id: what.subject }) }
}

function headIn(note: string): { readonly origin: string; readonly size: number } | undefined {
  try {
    return parseTreeHead(parseNote(note).text)
  } catch {
    return undefined
  }
}

function isVerdict(verdict: Verdict | undefined): verdict is Verdict {
  return typeof verdict?.whole === 'boolean' && Array.isArray(verdict.problems) && PROPERTIES.every((name) => typeof (verdict.properties as Partial<Verdict['properties']> | undefined)?.[name]?.says === 'string')
}

function queryOf(query: { readonly [name: string]: string }): string {
  return new URLSearchParams(query).toString()
}

async function* pages<T>(read: (cursor: string | undefined) => Promise<Page<T>>): AsyncGenerator<T> {
  for (let cursor: string | undefined; ;) {
    const { items, next } = await read(cursor)
    yield* items
    if (next === null || next === undefined) return
    cursor = next
  }
}
