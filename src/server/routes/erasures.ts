// Erasure: the content of a session with its child sessions, of a person, or of a person in one session, destroyed for a reason that goes on record.

import { z } from '../schema.ts'
import { MisuseError } from '../../base/errors.ts'
import type { Erased } from '../../ledger/ledger.ts'
import type { Parts } from '../app.ts'
import { HttpError } from '../problem.ts'
import { addRoute, type App, type Given } from '../route.ts'
import { uuidSchema, viewerOf, type Viewer } from '../viewer.ts'
import { missing } from './sessions.ts'

const body = z.strictObject({
  session_id: uuidSchema.optional(), user_id: z.string().min(1).max(512).optional(), reason: z.string().min(1).max(2_000), legal_basis: z.string().min(1).max(500).optional(),
  preview: z.boolean().default(false).openapi({ description: 'Say what it would take, and take nothing.' }),
}).openapi('ErasureInput', { description: 'A `session_id`, a `user_id`, or both: that person in that session and its child sessions.' })
type Order = z.output<typeof body>

const preview = z.object({ sessions: z.array(z.string()), ends: z.array(z.string()), scopes: z.int(), events: z.int(), payloads: z.int(), kept: z.int() }).openapi('Erasable')
const erased = z.object({ event_id: z.string(), erasure: z.string(), ordered: z.int(), done: z.int(), sessions: z.array(z.string()), scopes: z.int(), segments: z.int(), checkpoint: z.string() }).openapi('Erasure')

export function erasureRoutes(app: App, parts: Parts): void {
  addRoute(app, parts, {
    method: 'post', path: '/v1/erasures', permission: 'erase', tag: 'rights', summary: 'Destroy content for good. Proofs go on verifying, and say by which entry it was erased.', body,
    answers: { 200: { says: 'It is done, and on record. Of a preview: what it would take, with `kept` scopes of other persons.', schema: z.union([erased, preview]) }, 409: { says: 'It was erased before.' }, ...missing },
  }, async (given) => {
    const { who, tenant, body: order } = given
    const what = { ...(order.session_id === undefined ? {} : { session_ids: [order.session_id] }), ...(order.user_id === undefined ? {} : { user_id: order.user_id }) }
    if (Object.keys(what).length === 0) throw new HttpError(400, 'erase_what', 'server: expected a session_id or a user_id', 'name a session, a person, or both')
    if (order.reason.trim() === '') throw new HttpError(400, 'no_reason', 'server: expected a reason, which goes on record', 'say why the content is erased')
    const viewer = await viewerOf(given, 'POST /v1/erasures', { content: 'full', purpose: oneLine(order.reason) })
    if (order.preview) return previewOf(given, viewer, what)
    const because = { reason: order.reason, ...(order.legal_basis === undefined ? {} : { legal_basis: order.legal_basis }), actor: who.id }
    const { event_id, erasure, ordered, done, sessions, scopes, segments } = await tenant.ledger.call<Erased>('erase', { ...what, ...because }).catch(async (error: unknown) => { throw await refusal(error, viewer, order) })
    return viewer.json({ event_id, erasure, ordered: ordered.index, done: done.index, sessions, scopes, segments, checkpoint: done.checkpoint })
  })
}

/** Whether there is content of somebody is a question about content: it goes on record as a search. */
async function previewOf({ tenant, body: order }: Given<unknown, unknown, Order>, viewer: Viewer, what: object): Promise<Response> {
  await viewer.shown('search', { erasure: 'preview', ...what }, [])
  const found = await tenant.ledger.call<{ sessions: string[]; ends: string[]; scopes: number; events: number; payloads: number; kept: number }>('erasable', what)
  if (found.sessions.length === 0) throw await viewer.missing('content of that', placeOf(order))
  return viewer.json(found)
}

async function refusal(error: unknown, viewer: Viewer, order: Order): Promise<unknown> {
  if (!(error instanceof MisuseError)) return error
  if (error.code === 'nothing_to_erase') return viewer.missing('content of that', placeOf(order))
  if (error.code === 'erased_already') return new HttpError(409, error.code, 'server: all content of this is erased already', 'GET /v1/events?event_type=erasure says by which entry')
  return error
}

/** Who was to be erased is not put on record by a failure: the id of a session is no content. */
function placeOf({ session_id }: Order): { session_id?: string } {
  return session_id === undefined ? {} : { session_id }
}

function oneLine(reason: string): string {
  return reason.replaceAll(/[\p{Cc}\p{Cs}]+/gu, ' ').trim().slice(0, 500).trim()
}
