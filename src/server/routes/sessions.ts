// Sessions: which there are, one of them, and its classic rows.

import { z } from '../schema.ts'
import type { SessionSummary, TrailRow } from '../../event/public.ts'
import type { Begun, Page, Place } from '../../ledger/reader.ts'
import type { Parts } from '../app.ts'
import { mayWrite } from '../own-agents.ts'
import { badCursor, decodeCursor, pageQuery, pageSchema } from '../page.ts'
import { notFound } from '../problem.ts'
import { addRoute, type App } from '../route.ts'
import { checkSearch, queryOf, sessionQuery, sessionSearch } from '../search.ts'
import { contentQuery, purposeHeader, uuidSchema, viewerOf } from '../viewer.ts'

/** A payload that is not shown says why. */
export const absentSchema: z.ZodType = z.object({ absent: z.enum(['withheld', 'erased', 'masked', 'forbidden', 'missing', 'no_key']), by: z.int().optional() }).openapi('Absent')
export const missing = { 404: { says: 'There is none of that id that this key may see.' } } as const

const sessionSchema = z.object({
  session_id: z.string(), agent_id: z.string(), user_id: z.union([z.string(), absentSchema, z.null()]), started_at: z.string(), ended_at: z.string().nullable(), state: z.string(), outcome: z.string().nullable(),
  events: z.int(), steps: z.int(), tools: z.record(z.string(), z.int()), input_tokens: z.int(), output_tokens: z.int(),
}).openapi('Session')
const rowSchema = z.object({
  event_id: z.string(), session_id: z.string(), agent_id: z.string(), timestamp: z.string(), event_type: z.string(), step_number: z.int(), content: z.string(), model_id: z.string().nullable(), system_prompt_hash: z.string().nullable(), created_at: z.string(),
  marks: z.array(z.string()).optional().openapi({ description: 'Where `content` says that something is not there, or is bytes, as JSON pointers; what has such a form elsewhere is content.' }),
}).openapi('Row')

export function sessionRoutes(app: App, parts: Parts): void {
  addRoute(app, parts, {
    method: 'get', path: '/v1/sessions', permission: 'read', content: true, tag: 'read', summary: 'Sessions, newest first.', query: sessionQuery, headers: purposeHeader,
    answers: { 200: { says: 'A page of them. It may hold fewer than asked for, or none, and still have a next.', schema: pageSchema(sessionSchema, 'Sessions') } },
  }, async (given) => {
    const { query } = given
    const viewer = await viewerOf(given, 'GET /v1/sessions', query)
    checkSearch(query, viewer)
    const search = sessionSearch(query)
    const { items, next } = await viewer.see<Page<SessionSummary>>('sessions', search, query.limit, query.cursor === undefined ? undefined : checkedCursor(query.cursor))
    // whom a session is for is content; there is no entry of the log that it would be a part of by itself
    return viewer.page(items, next, ({ started_at, session_id }) => JSON.stringify({ started_at, session_id }), () => viewer.shown(queryOf(search).action, { list: 'sessions', ...search }, []))
  })

  addRoute(app, parts, {
    method: 'get', path: '/v1/sessions/{session_id}', permission: 'read', content: true, tag: 'read', summary: 'One session.', params: z.object({ session_id: uuidSchema }), query: contentQuery, headers: purposeHeader,
    answers: { 200: { says: 'The session.', schema: sessionSchema.extend({ root_session_id: z.string(), about: z.object({ ref: z.string(), subject: z.array(z.string()).optional() }).optional().openapi({ description: 'Whom it said at its start that it is about: the reference, and with `content=full` who that is, unless they were erased.' }) }).openapi('OneSession') }, ...missing },
  }, async (given) => {
    const { params: { session_id } } = given
    const viewer = await viewerOf(given, 'GET /v1/sessions/{session_id}', given.query)
    const found = await viewer.see<SessionSummary | undefined>('summary', session_id)
    if (found === undefined) throw await viewer.missing('session', { session_id })
    await viewer.shown('read', { session_id }, [])
    return viewer.json(found)
  })

  addRoute(app, parts, {
    method: 'get', path: '/v1/sessions/{session_id}/resumption', permission: 'append', tag: 'append', summary: 'What is to be known of a session to go on with it: facts, and no content.', params: z.object({ session_id: uuidSchema }),
    answers: { 200: { says: 'The reference under `about` is whom its new content is of, where nobody says otherwise.', schema: z.object({ session_id: z.string(), root_session_id: z.string(), state: z.string(), about: z.object({ ref: z.string() }).optional() }).openapi('Resumption') }, ...missing },
  }, async ({ who, tenant, params: { session_id } }) => {
    await mayWrite(parts, who, tenant, [{ session_id, event_type: 'session_resume' }])
    const [begun] = await tenant.ledger.call<(Begun | null)[]>('begun', [session_id])
    if (begun === null || begun === undefined) throw notFound('session')
    const { root_session_id, state, subject } = begun
    return Response.json({ session_id, root_session_id, state, ...(subject === null ? {} : { about: { ref: subject } }) }, { headers: { 'cache-control': 'no-store' } })
  })

  addRoute(app, parts, {
    method: 'get', path: '/v1/sessions/{session_id}/rows', permission: 'read', content: true, tag: 'read', summary: 'A session as rows of the classic table, one a call, oldest first.', params: z.object({ session_id: uuidSchema }), query: contentQuery.extend(pageQuery.shape), headers: purposeHeader,
    answers: { 200: { says: 'A page of them; `content` is JSON text.', schema: pageSchema(rowSchema, 'Rows') }, ...missing },
  }, async (given) => {
    const { params: { session_id }, query } = given
    const viewer = await viewerOf(given, 'GET /v1/sessions/{session_id}/rows', query)
    if ((await viewer.see('summary', session_id)) === undefined) throw await viewer.missing('session', { session_id })
    const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor)
    const { items, next, of } = await viewer.see<Page<TrailRow> & { of: Place[][] }>('rowPage', session_id, query.limit, after)
    return viewer.page(items, next, ({ event_id }) => event_id, (count) => viewer.shown('read', { session_id }, of.slice(0, count).flat()))
  })
}

const CURSOR = /^\{"started_at":"[0-9TZ:.-]{24}","session_id":"[0-9a-f-]{36}"\}$/

function checkedCursor(cursor: string): string {
  const position = decodeCursor(cursor)
  if (!CURSOR.test(position)) throw badCursor()
  return position
}
