// How a route is declared: method, path, the one permission that it asks for, what it takes and what it answers. From this come the check of rights, the
// check of what was sent, the figures, and the OpenAPI document. A route without a permission cannot be written down.

import { OpenAPIRegistry } from '@asteasolutions/zod-to-openapi'
import { Hono, type Context } from 'hono'
import type { IncomingMessage } from 'node:http'
import { performance } from 'node:perf_hooks'
import type { Parts } from './app.ts'
import { HttpError, problemResponse, problemSchema, PROBLEM_TYPE } from './problem.ts'
import { allows, type Permission, type Principal } from './roles.ts'
import { z } from './schema.ts'
import type { Tenant } from './tenants.ts'

export interface Env { Bindings: { incoming?: IncomingMessage }; Variables: object }

/** A route as it was declared, for whoever checks all of them. */
export interface Declared { readonly method: string; readonly path: string; readonly permission: Permission | 'public'; readonly content: boolean; readonly rest?: string | undefined }

/** The application: its handlers, and what the document says of them. */
export class App extends Hono<Env> {
  readonly registry: OpenAPIRegistry = new OpenAPIRegistry()
  readonly declared: Declared[] = []
}

/** One answer of a route. `media` is JSON where a schema is given and nothing is said. */
export interface Answer { readonly says: string; readonly schema?: z.ZodType; readonly media?: string; readonly headers?: readonly string[] }

export interface RouteSpec<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  readonly method: 'get' | 'post' | 'delete' | 'put'
  /** As in OpenAPI: `/v1/sessions/{session_id}`. */
  readonly path: string
  /** A parameter of the path that may hold slashes. */
  readonly rest?: string
  /** `public` routes ask for no key. */
  readonly permission: Permission | 'public'
  readonly summary: string
  readonly tag: string
  /** It can show payloads. */
  readonly content?: boolean
  /** It goes on for as long as the client listens, and is not counted among requests. */
  readonly stream?: boolean
  readonly params?: P
  readonly query?: Q
  /** A JSON body, read and checked before the handler is called. */
  readonly body?: B
  /** Bodies that the handler reads itself, for the document: schema by media type. */
  readonly bodies?: { readonly [media: string]: z.ZodType }
  readonly headers?: z.ZodObject
  readonly answers: { readonly [status: number]: Answer }
}

/** What a handler is given. `who` and `tenant` are there on every route that is not public. */
export interface Given<P, Q, B> {
  readonly who: Principal
  readonly tenant: Tenant
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly request: Request
  readonly c: Context<Env>
  readonly parts: Parts
}

const nothing: z.ZodObject = z.object({})
/** Declares a route. The handler may throw: errors become problems. */
export function addRoute<P extends z.ZodType = z.ZodObject, Q extends z.ZodType = z.ZodObject, B extends z.ZodType = z.ZodUndefined>(app: App, parts: Parts, spec: RouteSpec<P, Q, B>, handle: (given: Given<z.output<P>, z.output<Q>, z.output<B>>) => Response | Promise<Response>): void {
  describe(app, spec)
  app.declared.push({ method: spec.method, path: spec.path, permission: spec.permission, content: spec.content === true, rest: spec.rest })
  const name = `${spec.method.toUpperCase()} ${spec.path}`
  app.on(spec.method.toUpperCase(), honoPath(spec.path, spec.rest), async (c) => {
    const began = performance.now()
    let leave: (() => void) | undefined
    let response: Response
    try {
      const { who, tenant } = spec.permission === 'public' ? nobody() : await admit(parts, c, spec.permission, name)
      if (spec.permission !== 'public' && spec.stream !== true) leave = parts.gate.enter(`${who.tenant}/${who.id}`)
      const params = check(spec.params ?? nothing, c.req.param(), 'path')
      const query = check(spec.query ?? nothing, queryOf(c), 'query')
      const body = spec.body === undefined ? undefined : check(spec.body, await parts.bodies.json(c), 'body')
      response = await handle({ who, tenant, params: params as z.output<P>, query: query as z.output<Q>, body: body as z.output<B>, request: c.req.raw, c, parts })
    } catch (error) {
      response = problemResponse(error)
      if (response.status >= 500) parts.failed(name, error)
    } finally {
      leave?.()
    }
    parts.metrics.answered(name, response.status, performance.now() - began)
    return response
  })
}

/** Who sends a request, and their tenant. HttpError 401 or 403. */
async function admit(parts: Parts, c: Context<Env>, permission: Permission, route: string): Promise<{ who: Principal; tenant: Tenant }> {
  const who = parts.signIn(c.req.header('authorization'))
  const tenant = parts.tenants.open(who.tenant)
  if (tenant === undefined) throw new HttpError(401, 'no_key', 'server: the tenant of this key is not here', 'ask an admin for a key')
  if (!allows(who.roles, permission)) {
    await parts.denied(who, tenant, route, permission)
    throw new HttpError(403, 'not_allowed', `server: this asks for the permission ${permission}, which ${who.roles.join(', ')} does not have`, 'ask an admin whose role has it')
  }
  return { who, tenant }
}

function nobody(): { who: Principal; tenant: Tenant } {
  return { who: undefined as never, tenant: undefined as never }
}

/** One value by name; two of the same are refused: what they mean, two readers may see differently. */
function queryOf(c: Context<Env>): Record<string, string> {
  const out: Record<string, string> = {}
  for (const [name, values] of Object.entries(c.req.queries())) {
    if (values.length > 1) throw new HttpError(400, 'bad_query', `server: expected ${JSON.stringify(name.slice(0, 64))} once in the query, got it ${values.length} times`, 'send it once')
    out[name] = values[0]!
  }
  return out
}

/** `value` as `schema` reads it; HttpError 400 says what does not fit and where. */
function check<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const read = schema.safeParse(value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const place = issue === undefined || issue.path.length === 0 ? where : `${where}.${issue.path.map(String).join('.')}`
  throw new HttpError(400, `bad_${where}`, `server: ${place.slice(0, 128)}: ${(issue?.message ?? 'does not fit').slice(0, 200)}`, 'GET /openapi.json says what fits')
}

/** The methods of the routes whose path `path` is, for an answer to any other. */
export function methodsAt(app: App, path: string): string[] {
  return app.declared.filter((one) => new RegExp(`^${one.path.replaceAll('.', '\\.').replaceAll(/\{([a-z_]+)\}/g, (_, name: string) => (name === one.rest ? '.+' : '[^/]+'))}$`).test(path)).map(({ method }) => method.toUpperCase())
}

function honoPath(path: string, rest: string | undefined): string {
  return path.replaceAll(/\{([a-z_]+)\}/g, (_, name: string) => (name === rest ? `:${name}{.+}` : `:${name}`))
}

const PROBLEMS: { readonly [status: number]: string } = { 400: 'What was sent does not fit.', 401: 'No key, or one that is not in force.', 403: 'The key may not.', 413: 'Larger than the limit.', 415: 'Of a media type or in an encoding that is not known.', 429: 'Too many requests at once.', 500: 'A defect, or evidence that the record was changed.', 503: 'Not now: send it again after `Retry-After`.' }

function describe(app: App, { method, path, permission, summary, tag, params, query, headers, body, bodies, answers, content }: RouteSpec<z.ZodType, z.ZodType, z.ZodType>): void {
  const problem = { [PROBLEM_TYPE]: { schema: problemSchema } }
  const media = bodies ?? (body === undefined ? undefined : { 'application/json': body })
  const own = Object.entries(answers).map(([status, { says, schema, media: type = 'application/json' }]) => [status, { description: says, ...(schema === undefined ? {} : { content: { [Number(status) >= 400 ? PROBLEM_TYPE : type]: { schema } } }) }])
  const common = Object.entries(PROBLEMS).filter(([status]) => !(status in answers) && (status === '415' || status === '413' ? media !== undefined : permission !== 'public' || status === '400' || status === '500' || status === '503')).map(([status, description]) => [status, { description, content: problem }])
  app.registry.registerPath({
    method, path, summary, tags: [tag],
    ...(permission === 'public' ? { security: [] } : { description: `Permission: \`${permission}\`.${content === true ? ' Can show content.' : ''}` }),
    request: {
      ...(params === undefined ? {} : { params: params as z.ZodObject }), ...(query === undefined ? {} : { query: query as z.ZodObject }), ...(headers === undefined ? {} : { headers }),
      ...(media === undefined ? {} : { body: { required: true, content: Object.fromEntries(Object.entries(media).map(([type, schema]) => [type, { schema }])) } }),
    },
    responses: Object.fromEntries([...own, ...common]),
  })
}
