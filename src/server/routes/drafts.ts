// Drafts come in as a client's spool holds them (event/draft.ts): (u32be length ‖ draft)*. A body is stored whole, or not at all.

import { z } from '@hono/zod-openapi'
import type { Parts } from '../app.ts'
import { mediaOf } from '../body.ts'
import { HttpError } from '../problem.ts'
import { addRoute, type App } from '../route.ts'
import { receipts, receiptsSchema } from './append.ts'

const DRAFTS_TYPE = 'application/vnd.counterfoil.drafts'

export function draftRoutes(app: App, parts: Parts): void {
  addRoute(app, parts, {
    method: 'post', path: '/v1/drafts', permission: 'append', tag: 'append', summary: 'Put events on record as the TypeScript client sends them.',
    bodies: { [DRAFTS_TYPE]: z.string() },
    answers: { 200: { says: 'All of them are durable, or refused one by one.', schema: receiptsSchema } },
  }, (given) => parts.bodies.with(given.c, async (body) => {
    mediaOf(given.c, [DRAFTS_TYPE])
    const drafts = draftsIn(body, parts.limits.events)
    return receipts(parts, given.tenant.name, await given.tenant.ledger.append(given.who.id, drafts, { patience: parts.limits.patience }))
  }))
}

function draftsIn(body: Uint8Array, most: number): Uint8Array[] {
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  const drafts: Uint8Array[] = []
  for (let at = 0; at < body.length;) {
    const length = at + 4 <= body.length ? view.getUint32(at) : Infinity
    if (at + 4 + length > body.length) throw new HttpError(400, 'bad_drafts', `server: expected (length, draft)*, got a body that ends inside of draft ${drafts.length}`, 'send it again as docs/http.md describes it')
    if (drafts.length === most) throw new HttpError(413, 'too_many_events', `server: expected at most ${most} events in one body, got more`, 'send them in several')
    drafts.push(body.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return drafts
}
