// Events and calls as they are read back, and where an act came from.

import { z } from '../schema.ts'
import type { LLMCall, SessionSummary, ToolCall } from '../../event/public.ts'
import type { ViewEvent } from '../../event/view.ts'
import type { EventSearch, Page, Place } from '../../ledger/reader.ts'
import { lastWorthAsking, withParents } from '../../why/pick.ts'
import { why } from '../../why/why.ts'
import type { Parts } from '../app.ts'
import { badCursor, decodeCursor, pageSchema } from '../page.ts'
import { HttpError } from '../problem.ts'
import { addRoute, type App, type Given } from '../route.ts'
import { callQuery, checkSearch, eventQuery, eventSearch, queryOf, type EventQuery } from '../search.ts'
import { contentQuery, IMMUTABLE, purposeHeader, uuidSchema, viewerOf, type Viewer } from '../viewer.ts'
import { missing } from './sessions.ts'

const eventSchema = z.looseObject({
  index: z.int(), event_id: z.string(), event_type: z.string(), session_id: z.string(), seq: z.int(), writer: z.string(), stream: z.string().nullable(), stream_seq: z.int().nullable(), step_number: z.int(), parent_event_id: z.string().nullable(),
  timestamp: z.string(), recorded_at: z.string(), capture: z.string(), outcome: z.string().nullable(), agent_id: z.string(), agent_version: z.string().nullable(), model_id: z.string().nullable(), system_prompt_hash: z.string().nullable(), entry_hash: z.string(),
}).openapi('Event', { description: 'Besides these, the facts and payloads of its type (docs/format.md). A payload that is not shown is `{ "absent": why }`, bytes are `{ "base64": … }`; content of such a form stands in `{ "json": … }`.' })
const whySchema = z.looseObject({}).openapi('Why', { description: 'As `trail.why()` gives it.' })
/** What is masked has no values to trace. */
const whyQuery = contentQuery.extend({ content: z.enum(['none', 'full']).default('none') })

const CALL_TYPES = ['llm_call', 'tool_call']

export function readEventRoutes(app: App, parts: Parts): void {
  addRoute(app, parts, {
    method: 'get', path: '/v1/events', permission: 'read', content: true, tag: 'read', summary: 'Events that match, in the order of the log.', query: eventQuery, headers: purposeHeader,
    answers: { 200: { says: 'A page of them. It may hold fewer than asked for, or none, and still have a next.', schema: pageSchema(eventSchema, 'Events') } },
  }, (given) => list(given, 'events', '/v1/events'))

  addRoute(app, parts, {
    method: 'get', path: '/v1/calls', permission: 'read', content: true, tag: 'read', summary: 'Model and tool calls that match, each with its result and approval.', query: callQuery, headers: purposeHeader,
    answers: { 200: { says: 'A page of them.', schema: pageSchema(z.looseObject({ event_id: z.string(), event_type: z.enum(['llm_call', 'tool_call']), answered: z.boolean() }).openapi('Call'), 'Calls') } },
  }, (given) => list(given, 'calls', '/v1/calls', CALL_TYPES))

  addRoute(app, parts, {
    method: 'get', path: '/v1/events/{event_id}', permission: 'read', content: true, tag: 'read', summary: 'One event. Without content it never changes.', params: z.object({ event_id: uuidSchema }), query: contentQuery, headers: purposeHeader,
    answers: { 200: { says: 'The event.', schema: eventSchema, headers: ['etag'] }, 304: { says: 'As it was.' }, ...missing },
  }, async (given) => {
    const { params: { event_id }, c } = given
    const viewer = await viewerOf(given, 'GET /v1/events/{event_id}', given.query)
    const event = await viewer.see<ViewEvent | undefined>('event', event_id)
    if (event === undefined) throw await viewer.missing('event', { event_id })
    const etag = `"${event.entry_hash.slice(0, 43)}/${parts.version}"`
    if (viewer.content === 'none' && c.req.header('if-none-match') === etag) return new Response(null, { status: 304, headers: { etag, 'cache-control': IMMUTABLE, vary: 'authorization' } })
    await viewer.shown('read', { session_id: event.session_id }, [event])
    return viewer.json(event, etag)
  })

  addRoute(app, parts, {
    method: 'get', path: '/v1/events/{event_id}/why', permission: 'read', content: true, tag: 'read', summary: 'Where an act came from, out of its session and those that it came from.', params: z.object({ event_id: uuidSchema }), query: whyQuery, headers: purposeHeader,
    answers: { 200: { says: 'What the record says.', schema: whySchema }, ...missing },
  }, async (given) => {
    const { params: { event_id } } = given
    const viewer = await viewerOf(given, 'GET /v1/events/{event_id}/why', given.query)
    const event = await viewer.see<ViewEvent | undefined>('event', event_id)
    if (event === undefined) throw await viewer.missing('event', { event_id })
    return answer(viewer, event)
  })

  addRoute(app, parts, {
    method: 'get', path: '/v1/why', permission: 'read', content: true, tag: 'read', summary: 'The same of the last act worth asking about, in the newest 200 sessions.', query: whyQuery, headers: purposeHeader,
    answers: { 200: { says: 'What the record says.', schema: whySchema }, ...missing },
  }, async (given) => {
    const viewer = await viewerOf(given, 'GET /v1/why', given.query)
    const event = await lastWorthAsking(sessionsOf(viewer), (session_id) => facts(viewer).see<ViewEvent[]>('session', session_id))
    if (event === undefined) throw await viewer.missing('act', {})
    return answer(viewer, event)
  })
}

async function list(given: Given<unknown, EventQuery, undefined>, method: 'events' | 'calls', path: string, known?: readonly string[]): Promise<Response> {
  const { query } = given
  const viewer = await viewerOf(given, `GET ${path}`, query)
  checkSearch(query, viewer)
  const search = eventSearch(query, known)
  if (query.order === 'newest') return newest(viewer, search, query)
  const { action, query: asked } = queryOf(search)
  const { items, next, of = items.map((event) => [event]) } = await viewer.see<Page<ViewEvent | LLMCall | ToolCall> & { of?: Place[][] }>(method, search, query.limit, query.cursor === undefined ? query.from?.toString() : indexIn(query.cursor))
  return viewer.page(items, next, ({ index }) => String(index + 1), (count) => viewer.shown(action, asked, of.slice(0, count).flat()))
}

async function newest(viewer: Viewer, { session_id, ...others }: EventSearch, { from, limit, cursor }: EventQuery): Promise<Response> {
  if (from !== undefined || Object.keys(others).length > 0) throw new HttpError(400, 'bad_order', 'server: expected order=newest by itself or with a session_id', 'leave the other filters out, or read in the order of the log')
  const { items, next } = await viewer.see<Page<ViewEvent>>('newestFirst', limit, session_id, cursor === undefined ? undefined : indexIn(cursor))
  return viewer.page(items, next, ({ index, seq }) => String(session_id === undefined ? index : seq), (count) => viewer.shown('read', session_id === undefined ? {} : { session_id }, items.slice(0, count)))
}

async function answer(viewer: Viewer, event: ViewEvent): Promise<Response> {
  const read: ViewEvent[] = await withParents(event.session_id, (session_id) => viewer.see<ViewEvent[]>('session', session_id))
  await viewer.shown('why', { event_id: event.event_id }, read)
  return viewer.json(why(read, event.event_id))
}

/** Sessions are looked through by their facts: what is shown of the one that is chosen is read, and put on record, by itself. */
function facts(viewer: Viewer): Pick<Viewer, 'see'> {
  return { see: (method, ...args) => viewer.tenant.ledger.call('see', { ...viewer.sight, content: 'none' }, method, args) }
}

async function* sessionsOf(viewer: Viewer): AsyncGenerator<SessionSummary> {
  for (let cursor: string | undefined; ; ) {
    const { items, next } = await facts(viewer).see<Page<SessionSummary>>('sessions', {}, 50, cursor)
    yield* items
    if (next === null) return
    cursor = next
  }
}

function indexIn(cursor: string): string {
  const index = decodeCursor(cursor)
  if (!/^(0|[1-9][0-9]{0,15})$/.test(index)) throw badCursor()
  return index
}
