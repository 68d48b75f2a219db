// Principals, their keys, and tenants.

import { z } from '../schema.ts'
import type { Parts } from '../app.ts'
import { HttpError } from '../problem.ts'
import { pageOf, pageQuery, pageSchema } from '../page.ts'
import { ROLES, type Principal } from '../roles.ts'
import { addRoute, type App } from '../route.ts'
import { DEFAULT_TENANT } from '../tenants.ts'
import { principalSchema } from './me.ts'

const timeSchema = z.iso.datetime().openapi({ example: '2027-01-01T00:00:00.000Z' })
const idSchema = z.string().min(1).max(128)
const rolesSchema = z.array(z.enum(ROLES)).min(1).max(ROLES.length)

const personSchema = z.strictObject({
  id: idSchema, kind: z.enum(['agent', 'person']), name: z.string().min(1).max(200), roles: rolesSchema,
  agents: z.array(idSchema).max(1_000).optional(), sessions: z.array(z.union([z.uuid(), z.literal('*')])).max(10_000).optional(), expires_at: timeSchema.optional(), email: z.string().min(3).max(254).optional(),
}).openapi('PrincipalInput')

const keySchema = z.object({
  id: z.string(), tenant: z.string(), principal: z.string(), name: z.string(), roles: z.array(z.enum(ROLES)).optional(),
  created_at: z.string(), expires_at: z.string().optional(), revoked_at: z.string().optional(), used_at: z.string().optional(),
}).openapi('Key')

const tenantSchema = z.object({ name: z.string(), created_at: z.string() }).openapi('Tenant')
const gone = { 204: { says: 'Done.' }, 404: { says: 'There is none of that id.' } }
const unkept = { headers: { 'cache-control': 'no-store' } }

export function peopleRoutes(app: App, parts: Parts): void {
  const { people, keys, tenants, administration } = parts

  addRoute(app, parts, {
    method: 'get', path: '/v1/people', permission: 'people', tag: 'people', summary: 'The principals of this tenant, by id.', query: pageQuery,
    answers: { 200: { says: 'A page of them.', schema: pageSchema(principalSchema, 'People') } },
  }, ({ who, query }) => pageOf(people.list(who.tenant), ({ id }) => id, query))

  addRoute(app, parts, {
    method: 'post', path: '/v1/people', permission: 'people', tag: 'people', summary: 'Add a principal, or give one that is there other rights.', body: personSchema,
    answers: { 200: { says: 'The principal as it is now.', schema: principalSchema }, 409: { says: 'The id is somebody else\'s, or was.' } },
  }, async ({ who, body }) => Response.json(await administration.put(who.id, { ...given(body), tenant: who.tenant } as Principal), unkept))

  addRoute(app, parts, {
    method: 'delete', path: '/v1/people/{principal}', permission: 'people', tag: 'people', summary: 'Remove a principal and revoke their keys. The id stays theirs.', params: z.object({ principal: idSchema }),
    answers: { ...gone, 409: { says: 'An admin does not remove themselves.' } },
  }, async ({ who, params }) => {
    await administration.remove(who.id, who.tenant, params.principal)
    return new Response(null, { status: 204 })
  })

  addRoute(app, parts, {
    method: 'get', path: '/v1/keys', permission: 'people', tag: 'people', summary: 'The keys of this tenant without their secrets, by id.', query: pageQuery.extend({ principal: idSchema.optional() }),
    answers: { 200: { says: 'A page of them.', schema: pageSchema(keySchema, 'Keys') } },
  }, ({ who, query }) => pageOf(keys.list(who.tenant, query.principal).toSorted((a, b) => (a.id < b.id ? -1 : 1)), ({ id }) => id, query))

  addRoute(app, parts, {
    method: 'post', path: '/v1/keys', permission: 'people', tag: 'people', summary: 'Make a key. Its text is in this answer and nowhere else.',
    body: z.strictObject({ principal: idSchema, name: z.string().max(200).optional(), roles: rolesSchema.optional(), expires_at: timeSchema.optional() }).openapi('KeyInput'),
    answers: { 201: { says: 'The key.', schema: keySchema.extend({ key: z.string() }).openapi('NewKey') }, 404: { says: 'There is no such principal.' } },
  }, async ({ who, body }) => {
    const { key, view } = await administration.issue(who.id, { ...given(body), tenant: who.tenant } as Parameters<typeof administration.issue>[1])
    return Response.json({ ...view, key }, { status: 201, ...unkept })
  })

  addRoute(app, parts, {
    method: 'delete', path: '/v1/keys/{key}', permission: 'people', tag: 'people', summary: 'Revoke a key, at once and for good.', params: z.object({ key: z.string().min(1).max(64) }), answers: gone,
  }, async ({ who, params }) => {
    await administration.revoke(who.id, who.tenant, params.key)
    return new Response(null, { status: 204 })
  })

  addRoute(app, parts, {
    method: 'get', path: '/v1/tenants', permission: 'tenants', tag: 'people', summary: 'The tenants of this server, by name. For admins of `default`.', query: pageQuery,
    answers: { 200: { says: 'A page of them.', schema: pageSchema(tenantSchema, 'Tenants') } },
  }, ({ who, query }) => {
    ofDefault(who)
    return pageOf(tenants.list(), ({ name }) => name, query)
  })

  addRoute(app, parts, {
    method: 'post', path: '/v1/tenants', permission: 'tenants', tag: 'people', summary: 'Make a tenant, a trail with a log and keys of its own, and its first admin. For admins of `default`.',
    body: z.strictObject({ name: z.string().min(1).max(63), admin: idSchema }).openapi('TenantInput'),
    answers: { 201: { says: 'The tenant, and the key of its first admin.', schema: tenantSchema.extend({ key: z.string() }).openapi('NewTenant') }, 409: { says: 'There is one of that name.' } },
  }, async ({ who, body }) => {
    ofDefault(who)
    const { tenant, key } = await administration.createTenant(who.id, body.name, body.admin)
    return Response.json({ ...tenant, key }, { status: 201, ...unkept })
  })
}

function ofDefault({ tenant }: Principal): void {
  if (tenant !== DEFAULT_TENANT) throw new HttpError(403, 'not_allowed', 'server: expected an admin of the tenant default', 'ask whoever runs the server')
}

/** A body without what it leaves out, and with its time as the log writes times. */
function given(body: { readonly expires_at?: string | undefined; readonly [name: string]: unknown }): object {
  const members = Object.entries(body).filter(([, value]) => value !== undefined)
  return { ...Object.fromEntries(members), ...(body.expires_at === undefined ? {} : { expires_at: new Date(body.expires_at).toISOString() }) }
}
