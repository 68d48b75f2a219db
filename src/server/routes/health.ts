// Whether the server is there, whether it can store, and its figures.

import { z } from '../schema.ts'
import type { Parts } from '../app.ts'
import { addRoute, type App } from '../route.ts'
import { DEFAULT_TENANT } from '../tenants.ts'

export function healthRoutes(app: App, parts: Parts): void {
  const says = z.object({ status: z.literal('ok'), version: z.string() }).openapi('Health')
  addRoute(app, parts, {
    method: 'get', path: '/healthz', permission: 'public', tag: 'health', summary: 'Whether the process answers. It looks at nothing else.',
    answers: { 200: { says: 'It does.', schema: says } },
  }, () => Response.json({ status: 'ok', version: parts.version }))

  addRoute(app, parts, {
    method: 'get', path: '/readyz', permission: 'public', tag: 'health', summary: 'Whether the log is open and takes events.',
    answers: { 200: { says: 'It is.', schema: says } },
  }, async () => {
    await parts.tenants.open(DEFAULT_TENANT)!.ledger.ready()
    return Response.json({ status: 'ok', version: parts.version })
  })

  addRoute(app, parts, {
    method: 'get', path: '/metrics', permission: 'metrics', tag: 'health', summary: 'Figures in the text format of Prometheus.',
    answers: { 200: { says: 'The figures.', schema: z.string(), media: 'text/plain' } },
  }, () => new Response(parts.metrics.text(parts.tenants), { headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', 'cache-control': 'no-store' } }))
}
