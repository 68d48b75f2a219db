// The log itself, for whoever checks it with tools of others: proofs, the newest checkpoint, tiles and the verifier key, under the paths of C2SP tlog-tiles
// below /v1/log.

import { z } from '../schema.ts'
import { VerifyError } from '../../base/errors.ts'
import type { ViewEvent } from '../../event/view.ts'
import { parseTilePath, type TilePath } from '../../log/tile.ts'
import type { Parts } from '../app.ts'
import { HttpError, notFound } from '../problem.ts'
import { allows } from '../roles.ts'
import { addRoute, type App, type Given } from '../route.ts'
import { seesAll } from '../sight.ts'
import { IMMUTABLE, uuidSchema, viewerOf } from '../viewer.ts'
import { missing } from './sessions.ts'

interface Log { readonly origin: string; readonly vkey: string; readonly checkpoint: string | undefined }

const NOW = 'private, no-cache'
const text = (media: string): { says: string; schema: z.ZodString; media: string } => ({ says: 'The text.', schema: z.string(), media })

export function logRoutes(app: App, parts: Parts): void {
  addRoute(app, parts, {
    method: 'get', path: '/v1/events/{event_id}/proof', permission: 'read', tag: 'log', summary: 'A C2SP tlog-proof that the event is in the log, under the newest checkpoint.', params: z.object({ event_id: uuidSchema }),
    answers: { 200: text('text/plain'), ...missing },
  }, async (given) => {
    const { params: { event_id }, tenant } = given
    const viewer = await viewerOf(given, 'GET /v1/events/{event_id}/proof', { content: 'none' })
    const proof = (await viewer.see<ViewEvent | undefined>('event', event_id)) === undefined ? undefined : await tenant.ledger.call<string | undefined>('prove', event_id)
    if (proof === undefined) throw await viewer.missing('event', { event_id })
    return plain(proof)
  })

  // whoever writes must be able to see that the log goes on from what was acknowledged: these show sizes and hashes only
  addRoute(app, parts, {
    method: 'get', path: '/v1/log/checkpoint', permission: 'self', tag: 'log', summary: 'The newest checkpoint, a signed note.', answers: { 200: text('text/plain') },
  }, async ({ tenant }) => {
    const { checkpoint } = await tenant.ledger.call<Log>('log')
    if (checkpoint === undefined) throw notFound('checkpoint')
    return plain(checkpoint)
  })

  addRoute(app, parts, {
    method: 'get', path: '/v1/log/vkey', permission: 'self', tag: 'log', summary: "The log's verifier key in force, as C2SP signed-note writes them. Whoever relies on it pins it from elsewhere.", answers: { 200: text('text/plain') },
  }, async ({ tenant }) => plain(`${(await tenant.ledger.call<Log>('log')).vkey}\n`))

  addRoute(app, parts, {
    method: 'get', path: '/v1/log/keys', permission: 'self', tag: 'log', summary: "The log's keys: its first entry, which names the first one, and those by which each handed over to the next or was reported stolen.",
    answers: { 200: { says: 'The entries, each in its canonical bytes as text.', schema: z.object({ entries: z.array(z.string()) }).openapi('LogKeys') } },
  }, async ({ tenant }) => Response.json({ entries: await tenant.ledger.call<string[]>('keys') }, { headers: { 'cache-control': NOW, vary: 'authorization' } }))

  addRoute(app, parts, {
    method: 'get', path: '/v1/log/tile/{path}', rest: 'path', permission: 'self', tag: 'log', summary: 'A tile of the tree, `<L>/<N>[.p/<W>]`, or a bundle of entries, `entries/<N>[.p/<W>]`. It never changes. Entries are of all sessions: for who sees all of them.',
    params: z.object({ path: z.string().min(1).max(64) }), answers: { 200: { says: 'The bytes.', schema: z.string(), media: 'application/octet-stream' }, 304: { says: 'As it was.' }, ...missing },
  }, tile)
}

async function tile({ who, tenant, parts, params, c }: Given<{ path: string }, unknown, unknown>): Promise<Response> {
  const wanted = tileOf(`tile/${params.path}`)
  if (wanted.level === 'entries' && !(allows(who.roles, 'read') && seesAll(who, parts.clock()))) {
    await parts.denied(who, tenant, 'GET /v1/log/tile/entries', 'read')
    throw new HttpError(403, 'not_allowed', 'server: entries of all sessions are for who sees all of them', 'take the tiles of the tree, proofs of events, and bundles of sessions')
  }
  const etag = `"${params.path}"`
  const bytes = await tenant.ledger.call<Uint8Array | undefined>('tile', wanted)
  if (bytes === undefined) throw notFound('tile of that width')
  const headers = { 'cache-control': IMMUTABLE, vary: 'authorization', etag }
  if (c.req.header('if-none-match') === etag) return new Response(null, { status: 304, headers })
  return new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { ...headers, 'content-type': 'application/octet-stream' } })
}

function tileOf(path: string): TilePath {
  try {
    return parseTilePath(path)
  } catch (error) {
    if (error instanceof VerifyError) throw new HttpError(404, 'not_found', 'server: there is no tile at this path', error.next)
    throw error
  }
}

function plain(said: string): Response {
  return new Response(said, { headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': NOW, vary: 'authorization' } })
}
