// Events as they come, as server-sent events: the id of each is its index, and a client that was cut off goes on after the last that it has. Nothing is
// held for a client that does not read: it is asked for as it is taken, and who takes nothing for too long is cut off.

import { z } from '../schema.ts'
import { utf8 } from '../../base/bytes.ts'
import { formatView } from '../../event/view-json.ts'
import type { ViewEvent } from '../../event/view.ts'
import { sees } from '../../ledger/reader.ts'
import type { Parts } from '../app.ts'
import { Feed, MAX_FEED_PAGE } from '../feed.ts'
import { HttpError, problemOf } from '../problem.ts'
import { addRoute, type App, type Given } from '../route.ts'
import { eventSearch, streamQuery, type StreamQuery } from '../search.ts'
import { sightOf } from '../sight.ts'
import type { Tenant } from '../tenants.ts'
import { purposeHeader, viewerOf, type Viewer } from '../viewer.ts'

/** A client hears something this often, and the key's rights are looked at at least as often. */
const BEAT_MS = 15_000
/** Who takes nothing for so long is cut off. */
const STALLED_MS = 60_000
/** Rights are looked at not more often than this. */
const RIGHTS_MS = 1_000
/** What is made for one taking, about: the next is of fewer events where it was more. */
const CHUNK_BYTES: number = 256 * 1024
const FIRST_PAGE = 8

export interface StreamTimes { readonly beatMs: number; readonly stalledMs: number; readonly rightsMs: number }

export function streamRoutes(app: App, parts: Parts, times: StreamTimes = { beatMs: BEAT_MS, stalledMs: STALLED_MS, rightsMs: RIGHTS_MS }): void {
  const feeds = new Map<string, Feed>()
  const feedOf = ({ name, ledger }: Tenant): Feed => {
    let feed = feeds.get(name)
    if (feed === undefined) feeds.set(name, (feed = new Feed(ledger)))
    return feed
  }

  addRoute(app, parts, {
    method: 'get', path: '/v1/stream', permission: 'read', content: true, stream: true, tag: 'read', summary: 'Events as they come, as server-sent events; the id of each is its index.', query: streamQuery,
    headers: purposeHeader.extend({ 'last-event-id': z.string().optional() }),
    answers: { 200: { says: 'The stream: from the event after `Last-Event-ID`, else from the index `from`, else from now on.', schema: z.string(), media: 'text/event-stream' } },
  }, async (given) => {
    const viewer = await viewerOf(given, 'GET /v1/stream', given.query)
    const [start, matches] = [startOf(given), matcher(given.query)]
    const leave = parts.streams.enter(`${viewer.tenant.name}/${viewer.who.id}`)
    try {
      const listening = new Listening(given, viewer, feedOf(viewer.tenant), matches, start ?? (await endOf(viewer.tenant)), leave, times)
      return new Response(listening.body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' } })
    } catch (error) {
      leave()
      throw error
    }
  })
}

/** One stream. */
class Listening {
  readonly body: ReadableStream<Uint8Array>
  readonly #given: Given<unknown, StreamQuery, unknown>
  readonly #viewer: Viewer
  readonly #feed: Feed
  readonly #matches: (event: ViewEvent) => boolean
  readonly #times: StreamTimes
  readonly #leave: () => void
  readonly #over = new AbortController()
  readonly #watch: NodeJS.Timeout
  #sight: Viewer['sight']
  /** The index to go on from, and how far the client knows that it is. */
  #next: number
  #known: number
  #size: number
  #begun = false
  /** When it was taken from last; undefined while something is made to be taken. */
  #idleSince: number | undefined = performance.now()
  #rightsAt = performance.now()

  constructor(given: Given<unknown, StreamQuery, unknown>, viewer: Viewer, feed: Feed, matches: (event: ViewEvent) => boolean, next: number, leave: () => void, times: StreamTimes) {
    this.#given = given
    this.#viewer = viewer
    this.#feed = feed
    this.#matches = matches
    this.#next = next
    this.#known = next
    this.#size = viewer.content === 'none' ? MAX_FEED_PAGE : FIRST_PAGE
    this.#leave = leave
    this.#times = times
    this.#sight = viewer.sight
    const { ending } = given.parts
    const end = (): void => this.#end()
    ending.addEventListener('abort', end, { once: true })
    this.#over.signal.addEventListener('abort', () => ending.removeEventListener('abort', end), { once: true })
    if (ending.aborted) this.#end()
    this.#watch = setInterval(() => this.#cutIfStalled(), times.stalledMs / 4).unref()
    this.body = new ReadableStream<Uint8Array>({ pull: (controller) => this.#pull(controller), cancel: end }, { highWaterMark: 0 })
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#idleSince = undefined
    try {
      const text = this.#begun ? await this.#more() : 'retry: 2000\n: the id of each event is its index\n\n'
      this.#begun = true
      if (text !== undefined) controller.enqueue(utf8(text))
      if (text === undefined) controller.close()
    } catch (error) {
      const { problem } = problemOf(error)
      controller.enqueue(utf8(`event: end\ndata: ${JSON.stringify({ code: problem.code, detail: problem.detail, next: problem.next })}\n\n`))
      controller.close()
      this.#end()
      if (problem.status >= 500) this.#given.parts.failed('GET /v1/stream', error)
    } finally {
      this.#idleSince = performance.now()
    }
  }

  /** What comes next: events, or a sign of life after a while without any; undefined when it is over. Throws when the key may not listen any more. */
  async #more(): Promise<string | undefined> {
    const until = performance.now() + this.#times.beatMs
    for (;;) {
      if (this.#over.signal.aborted) return undefined
      this.#checkRights()
      const { growths } = this.#feed // before the page: what comes while it is read is not slept through
      const { items, next } = await this.#feed.page(this.#viewer.content, this.#next, this.#size)
      const found = items.filter((event) => sees(this.#sight, event) && this.#matches(event))
      if (found.length > 0) return this.#told(found, next)
      this.#next = next
      const left = until - performance.now()
      // an id alone moves a client on past what is not for it
      if (left <= 0) return this.#beat()
      if (items.length === 0) await this.#feed.grown(growths, left, this.#over.signal)
    }
  }

  #beat(): string {
    if (this.#next === this.#known) return ': still here\n\n'
    this.#known = this.#next
    return `id: ${this.#next - 1}\n\n`
  }

  /** Events as they go out, on record before they do. */
  async #told(found: readonly ViewEvent[], next: number): Promise<string | undefined> {
    const text = found.map((event) => `id: ${event.index}\ndata: ${formatView(event)}\n\n`).join('')
    this.#size = text.length > CHUNK_BYTES ? Math.max(1, Math.floor(this.#size / 2)) : Math.min(MAX_FEED_PAGE, this.#size * 2)
    await this.#viewer.shown('stream', { stream: queryOf(this.#given.query) }, found)
    if (this.#over.signal.aborted) return undefined
    this.#next = next
    this.#known = found.at(-1)!.index + 1
    return text
  }

  /** A stream outlives the moment in which its key was looked at: who was removed, or has other rights now, is not told any more. */
  #checkRights(): void {
    const now = performance.now()
    if (now - this.#rightsAt < this.#times.rightsMs) return
    this.#rightsAt = now
    const { c, parts } = this.#given
    const who = parts.signIn(c.req.header('authorization'))
    const sight = sightOf(who, this.#viewer.content, parts.clock())
    if (sight === undefined) throw new HttpError(403, 'not_allowed', 'server: the key may not listen any more', 'ask an admin whose role has it')
    this.#sight = sight
  }

  #cutIfStalled(): void {
    if (this.#idleSince === undefined || performance.now() - this.#idleSince < this.#times.stalledMs) return
    this.#end()
    this.#given.c.env?.incoming?.socket.destroy()
  }

  #end(): void {
    clearInterval(this.#watch)
    this.#over.abort()
    this.#leave()
  }
}

async function endOf({ ledger }: Tenant): Promise<number> {
  await ledger.call('flush') // a ledger that was just opened says only then how long its log is
  return ledger.status().size
}

function startOf({ c, query }: Given<unknown, StreamQuery, unknown>): number | undefined {
  const last = c.req.header('last-event-id')
  if (last === undefined) return query.from
  if (!/^(0|[1-9][0-9]{0,14})$/.test(last)) throw new HttpError(400, 'bad_cursor', 'server: expected Last-Event-ID to be the id of an event of this stream, its index', 'begin without one')
  return Number(last) + 1
}

/** Filters of a stream are of facts: it looks into nothing. */
function matcher(query: StreamQuery): (event: ViewEvent) => boolean {
  const { session_id, event_types, tool_name, agent_id, outcome } = eventSearch(query)
  return (event) => (session_id === undefined || event.session_id === session_id) && (event_types === undefined || event_types.includes(event.event_type)) && (tool_name === undefined || event['tool_name'] === tool_name)
    && (agent_id === undefined || event.agent_id === agent_id) && (outcome === undefined || event.outcome === outcome)
}

function queryOf({ session_id, event_type, tool_name, agent_id, outcome }: StreamQuery): object {
  return JSON.parse(JSON.stringify({ session_id, event_type, tool_name, agent_id, outcome })) as object
}
