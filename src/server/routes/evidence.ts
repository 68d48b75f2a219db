// One session's evidence to take away: a bundle that verifies offline, with the content that is to be disclosed.

import { z } from '../schema.ts'
import { fromBase64, toBase64 } from '../../base/bytes.ts'
import type { Disclose, DisclosedPayload, ExportedBundle } from '../../ledger/bundle.ts'
import type { Place } from '../../ledger/reader.ts'
import { leafHash } from '../../log/hash.ts'
import type { Parts } from '../app.ts'
import { HttpError } from '../problem.ts'
import { addRoute, type App } from '../route.ts'
import { contentQuery, purposeHeader, uuidSchema, viewerOf } from '../viewer.ts'
import { missing } from './sessions.ts'

const MAX_DISCLOSED = 1_000
const query = contentQuery.omit({ content: true }).extend({
  disclose: z.string().min(1).max(4_000).default('none').openapi({ description: '`none`, `all`, or events with commas: INDEX[:PAYLOAD[:N|all]], as `counterfoil export --disclose`.' }),
})

export function evidenceRoutes(app: App, parts: Parts): void {
  addRoute(app, parts, {
    method: 'get', path: '/v1/sessions/{session_id}/bundle', permission: 'export', content: true, tag: 'log', summary: "A session's evidence bundle (docs/format.md, §14).", params: z.object({ session_id: uuidSchema }), query, headers: purposeHeader,
    answers: { 200: { says: 'The bundle.', schema: z.looseObject({ format: z.string() }).openapi('Bundle') }, ...missing },
  }, async (given) => {
    const { params: { session_id }, tenant } = given
    const disclose = discloseOf(given.query['disclose'] as string)
    const viewer = await viewerOf(given, 'GET /v1/sessions/{session_id}/bundle', { content: disclose === 'none' ? 'none' : 'full', purpose: given.query['purpose'] as string | undefined })
    if ((await viewer.see('summary', session_id)) === undefined) throw await viewer.missing('session', { session_id })
    const { json } = await tenant.ledger.call<ExportedBundle>('export', { session_id, disclose })
    await viewer.shown('export', { session_id, disclose: given.query['disclose'] }, viewer.content === 'none' ? [] : disclosedIn(json))
    const kept = viewer.content === 'none' ? 'private, no-cache' : 'no-store'
    return new Response(json, { headers: { 'content-type': 'application/json', 'cache-control': kept, vary: 'authorization', 'content-disposition': `attachment; filename="session-${session_id}.bundle.json"` } })
  })
}

/** `disclose` as the ledger takes it. */
export function discloseOf(text: string): Disclose {
  if (text === 'none' || text === 'all') return text
  const parts = text.split(',')
  if (parts.length > MAX_DISCLOSED) throw bad(`at most ${MAX_DISCLOSED} events`)
  return parts.map((part): DisclosedPayload => {
    const [, index, slot, position] = /^#?(0|[1-9][0-9]{0,15})(?::([a-z_]{1,64})(?::(all|0|[1-9][0-9]{0,15}))?)?$/.exec(part) ?? []
    if (index === undefined) throw bad('none, all, or INDEX[:PAYLOAD[:N|all]] with commas')
    return { index: Number(index), ...(slot === undefined ? {} : { slot }), ...(position === undefined ? {} : { position: position === 'all' ? position : Number(position) }) }
  })
}

function bad(expected: string): HttpError {
  return new HttpError(400, 'bad_disclose', `server: expected disclose to be ${expected}`, 'for example disclose=12,13:tool_input,14:input_messages:0')
}

/** The entries of which a bundle has content. */
function disclosedIn(json: string): Place[] {
  const { entries, payloads } = JSON.parse(json) as { entries: readonly { index: number; entry: string }[]; payloads: readonly { index: number; withheld?: true }[] }
  const disclosed = new Set(payloads.filter(({ withheld }) => withheld !== true).map(({ index }) => index))
  return entries.filter(({ index }) => disclosed.has(index)).map(({ index, entry }) => ({ index, entry_hash: toBase64(leafHash(fromBase64(entry))), event_type: '' }))
}
