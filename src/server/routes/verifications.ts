// Verification of the whole log, as a job that is begun and looked at.

import { z } from '../schema.ts'
import { MAX_NOTE_BYTES } from '../../log/note.ts'
import type { Parts } from '../app.ts'
import { addRoute, type App } from '../route.ts'
import { Verifications } from '../verifications.ts'
import { uuidSchema, viewerOf } from '../viewer.ts'
import { missing } from './sessions.ts'

const schema = z.object({
  id: z.string(), state: z.enum(['running', 'done', 'failed']), started_at: z.string(), ended_at: z.string().optional(), done: z.int(), total: z.int(), since: z.string().optional(),
  verdict: z.looseObject({ whole: z.boolean(), size: z.int() }).optional(), error: z.object({ code: z.string(), detail: z.string(), next: z.string() }).optional(),
}).openapi('Verification')
const unkept = { 'cache-control': 'no-store' }

export function verificationRoutes(app: App, parts: Parts): void {
  const verifications = new Verifications(parts.clock)

  addRoute(app, parts, {
    method: 'post', path: '/v1/verifications', permission: 'verify', tag: 'log', summary: 'Verify the whole log, or what was added to a checkpoint: one that is given, or `proved`, the newest that a verification here found whole.',
    body: z.strictObject({ since: z.string().min(1).max(MAX_NOTE_BYTES).optional() }).openapi('VerificationInput'),
    answers: { 202: { says: 'It is begun; `Location` is where it is looked at.', schema, headers: ['location'] } },
  }, ({ tenant, body }) => {
    const begun = verifications.begin(tenant, body.since)
    return Response.json(begun, { status: 202, headers: { ...unkept, location: `/v1/verifications/${begun.id}` } })
  })

  addRoute(app, parts, {
    method: 'get', path: '/v1/verifications/{id}', permission: 'verify', tag: 'log', summary: 'How far a verification is, and its verdict when it is done. The newest 20 are remembered, until the server ends.', params: z.object({ id: uuidSchema }),
    answers: { 200: { says: 'The verification.', schema }, ...missing },
  }, async (given) => {
    const { tenant, params: { id } } = given
    const found = await verifications.get(tenant, id)
    if (found === undefined) throw await (await viewerOf(given, 'GET /v1/verifications/{id}', { content: 'none' })).missing('verification', { id })
    return Response.json(found, { headers: unkept })
  })
}
