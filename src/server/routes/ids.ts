// Ids by their digits: what people type for a session or an event is its beginning or its end.

import { z } from '../schema.ts'
import type { FoundId } from '../../ledger/reader.ts'
import type { Parts } from '../app.ts'
import { addRoute, type App } from '../route.ts'
import { viewerOf } from '../viewer.ts'

const MOST = 100
const query = z.strictObject({
  digits: z.string().regex(/^[0-9a-f-]{4,36}$/).openapi({ description: 'Four or more of its digits, in lower case, with its hyphens.' }),
  limit: z.coerce.number().int().min(1).max(MOST).default(10),
})

export function idRoutes(app: App, parts: Parts): void {
  addRoute(app, parts, {
    method: 'get', path: '/v1/ids', permission: 'read', tag: 'read', summary: 'Sessions and events whose ids begin or end with these digits.', query,
    answers: { 200: { says: 'Those that this key may see; `more`: there may be others.', schema: z.object({ items: z.array(z.object({ kind: z.enum(['event', 'session']), id: z.string() })), more: z.boolean() }).openapi('Ids') } },
  }, async (given) => {
    const viewer = await viewerOf(given, 'GET /v1/ids', { content: 'none' })
    return viewer.json(await viewer.see<{ items: FoundId[]; more: boolean }>('findIds', given.query.digits, given.query.limit))
  })
}
