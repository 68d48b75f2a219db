// Who is told of requests for approval and of findings.

import { z } from '../schema.ts'
import type { Parts } from '../app.ts'
import { pageOf, pageQuery, pageSchema } from '../page.ts'
import { notFound } from '../problem.ts'
import { addRoute, type App } from '../route.ts'
import { SEVERITIES, WEBHOOK_EVENTS } from '../webhooks.ts'

const webhookSchema = z.object({
  id: z.string(), url: z.string(), events: z.array(z.enum(WEBHOOK_EVENTS)), severity: z.enum(SEVERITIES), created_by: z.string(), created_at: z.string(),
  told: z.int(), skipped: z.int(), attempts: z.int(), problem: z.string().nullable(), disabled_at: z.string().nullable(),
}).openapi('Webhook')

export function webhookRoutes(app: App, parts: Parts): void {
  const { webhooks } = parts

  addRoute(app, parts, {
    method: 'get', path: '/v1/webhooks', permission: 'webhooks', tag: 'webhooks', summary: 'Who is told, without secrets, by id.', query: pageQuery,
    answers: { 200: { says: 'A page of them.', schema: pageSchema(webhookSchema, 'Webhooks') } },
  }, ({ who, query }) => pageOf(webhooks.list(who.tenant).toSorted((a, b) => (a.id < b.id ? -1 : 1)), ({ id }) => id, query))

  addRoute(app, parts, {
    method: 'post', path: '/v1/webhooks', permission: 'webhooks', tag: 'webhooks', summary: 'Have a URL told of what comes from now on. Its secret is in this answer and nowhere else.',
    body: z.strictObject({
      url: z.string().min(1).max(2_048), events: z.array(z.enum(WEBHOOK_EVENTS)).min(1).max(WEBHOOK_EVENTS.length).default([...WEBHOOK_EVENTS]),
      severity: z.enum(SEVERITIES).default('medium').openapi({ description: 'Findings of at least this severity.' }),
    }).openapi('WebhookInput'),
    answers: { 201: { says: 'The webhook, and its secret.', schema: webhookSchema.extend({ secret: z.string() }).openapi('NewWebhook') } },
  }, async ({ who, tenant, body }) => Response.json(await webhooks.create(who.id, tenant, body), { status: 201, headers: { 'cache-control': 'no-store' } }))

  addRoute(app, parts, {
    method: 'delete', path: '/v1/webhooks/{webhook}', permission: 'webhooks', tag: 'webhooks', summary: 'Tell it nothing any more.', params: z.object({ webhook: z.string().min(1).max(64) }),
    answers: { 204: { says: 'Done.' }, 404: { says: 'There is none of that id.' } },
  }, async ({ who, tenant, params }) => {
    if (!(await webhooks.remove(who.id, tenant, params.webhook))) throw notFound('webhook')
    return new Response(null, { status: 204 })
  })
}
