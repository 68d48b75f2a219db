// Who the key belongs to, and what it may do.

import { z } from '../schema.ts'
import type { Parts } from '../app.ts'
import { PERMISSIONS, rightsOf, ROLES } from '../roles.ts'
import { addRoute, type App } from '../route.ts'

export const principalSchema: z.ZodObject = z.object({
  id: z.string(), tenant: z.string(), kind: z.enum(['agent', 'person']), name: z.string(), roles: z.array(z.enum(ROLES)),
  agents: z.array(z.string()).optional(), sessions: z.array(z.string()).optional(), expires_at: z.string().optional(), email: z.string().optional(),
}).openapi('Principal')

export function meRoutes(app: App, parts: Parts): void {
  addRoute(app, parts, {
    method: 'get', path: '/v1/me', permission: 'self', tag: 'people', summary: 'Who the key belongs to, and what it may do.',
    answers: { 200: { says: 'The principal.', schema: principalSchema.extend({ permissions: z.array(z.enum(PERMISSIONS)) }).openapi('Me') } },
  }, ({ who }) => Response.json({ ...who, permissions: rightsOf(who.roles) }, { headers: { 'cache-control': 'no-store' } }))
}
