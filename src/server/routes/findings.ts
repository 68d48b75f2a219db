// What the rules noticed, and what the ledger refused, as it is on record.

import { z } from '../schema.ts'
import type { ViewEvent } from '../../event/view.ts'
import type { Page } from '../../ledger/reader.ts'
import { recordedIn, SEVERITIES } from '../../monitor/finding.ts'
import type { Parts } from '../app.ts'
import { badCursor, decodeCursor, pageQuery, pageSchema } from '../page.ts'
import { addRoute, type App } from '../route.ts'
import { contentQuery, purposeHeader, uuidSchema, viewerOf } from '../viewer.ts'

const severitySchema = z.enum(SEVERITIES)
const findingSchema = z.looseObject({
  index: z.int(), event_id: z.string(), session_id: z.string(), agent_id: z.string(), writer: z.string(), rule: z.string(), severity: severitySchema, events: z.array(z.string()), timestamp: z.string(), recorded_at: z.string(),
}).openapi('Finding', { description: 'Something that a rule noticed. `explanation` is content, and absent without.' })
const findingQuery = contentQuery.extend(pageQuery.shape).extend({
  session_id: uuidSchema.optional(), agent_id: z.string().min(1).max(128).optional(), rule: z.string().min(1).max(128).optional(), severity: severitySchema.optional().openapi({ description: 'At least so severe.' }),
  since: z.iso.datetime({ offset: true }).optional(), until: z.iso.datetime({ offset: true }).optional(),
})

export function findingRoutes(app: App, parts: Parts): void {
  addRoute(app, parts, {
    method: 'get', path: '/v1/findings', permission: 'findings', content: true, tag: 'read', summary: 'What the rules noticed, in the order of the log.', query: findingQuery, headers: purposeHeader,
    answers: { 200: { says: 'A page of them. It may hold fewer than asked for, or none, and still have a next.', schema: pageSchema(findingSchema, 'Findings') } },
  }, async (given) => {
    const { session_id, agent_id, rule, severity, since, until, limit, cursor } = given.query
    const viewer = await viewerOf(given, 'GET /v1/findings', given.query)
    const search = {
      event_types: ['finding'], ...(session_id === undefined ? {} : { session_id }), ...(agent_id === undefined ? {} : { agent_id }),
      ...(since === undefined ? {} : { since: new Date(since).toISOString() }), ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
    }
    const page = await viewer.see<Page<ViewEvent>>('events', search, limit, cursor === undefined ? undefined : indexIn(cursor))
    const least = severity === undefined ? 0 : SEVERITIES.indexOf(severity)
    const found = page.items.filter((event) => {
      const says = recordedIn(event)
      return says !== undefined && (rule ?? says.rule) === says.rule && SEVERITIES.indexOf(says.severity) >= least
    })
    return viewer.page(found, page.next, ({ index }) => String(index + 1), (count) => viewer.shown('read', search, found.slice(0, count)))
  })
}

function indexIn(cursor: string): string {
  const index = decodeCursor(cursor)
  if (!/^(0|[1-9][0-9]{0,15})$/.test(index)) throw badCursor()
  return index
}
