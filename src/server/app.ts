// The server's application: everything but the listening. What it works with comes in as its parts.

import { OpenApiGeneratorV31 } from '@asteasolutions/zod-to-openapi'
import type { Clock } from '../base/clock.ts'
import { Accesses } from './access.ts'
import { Administration } from './administration.ts'
import { Bodies } from './body.ts'
import type { Database } from './database.ts'
import { Keys } from './keys.ts'
import { Monitor } from './monitor.ts'
import { Gate, LIMITS, type Limits } from './limits.ts'
import { Metrics } from './metrics.ts'
import { Oversight } from './oversight.ts'
import type { People } from './people.ts'
import { HttpError, problemResponse } from './problem.ts'
import type { Permission, Principal } from './roles.ts'
import { App, methodsAt } from './route.ts'
import { eventRoutes } from './routes/append.ts'
import { findingRoutes } from './routes/findings.ts'
import { approvalRoutes } from './routes/approvals.ts'
import { erasureRoutes } from './routes/erasures.ts'
import { readEventRoutes } from './routes/events.ts'
import { evidenceRoutes } from './routes/evidence.ts'
import { healthRoutes } from './routes/health.ts'
import { idRoutes } from './routes/ids.ts'
import { logRoutes } from './routes/log.ts'
import { meRoutes } from './routes/me.ts'
import { otlpRoutes } from './routes/otlp.ts'
import { peopleRoutes } from './routes/people.ts'
import { webhookRoutes } from './routes/webhooks.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { verificationRoutes } from './routes/verifications.ts'
import { streamRoutes } from './routes/stream.ts'
import type { Tenant, Tenants } from './tenants.ts'
import { Targets } from './webhook-target.ts'
import { Webhooks } from './webhooks.ts'

/** What the routes work with. */
export interface Parts {
  readonly database: Database
  readonly people: People
  readonly keys: Keys
  readonly administration: Administration
  readonly tenants: Tenants
  readonly clock: Clock
  readonly limits: Limits
  readonly metrics: Metrics
  readonly bodies: Bodies
  readonly gate: Gate
  readonly streams: Gate
  /** The rules, over what comes in. */
  readonly monitor: Monitor
  /** Aborted when the server ends: streams and long polls let go. */
  readonly ending: AbortSignal
  readonly version: string
  /** Who the header `Authorization` is; HttpError 401. */
  readonly signIn: (authorization: string | undefined) => Principal
  /** Answers to requests for approval, and people's steps into sessions. */
  readonly oversight: Oversight
  readonly webhooks: Webhooks
  /** Who read what, by tenant. */
  readonly accesses: Accesses
  /** A principal asked for what they may not: resolves when that is on record, or was reported. */
  readonly denied: (who: Principal, tenant: Tenant, route: string, permission: Permission) => Promise<void>
  /** A route failed on this side. */
  readonly failed: (route: string, error: unknown) => void
}

export interface MakeParts {
  readonly database: Database
  readonly people: People
  readonly tenants: Tenants
  readonly clock: Clock
  readonly ending: AbortSignal
  readonly version: string
  readonly limits?: Partial<Limits>
  /** Networks beyond the public internet that webhooks may go to, and the seconds between attempts. */
  readonly targets?: readonly string[]
  readonly again?: readonly number[]
  readonly report: (problem: unknown) => void
}

export function makeParts({ database, people, tenants, clock, ending, version, report, targets, again, ...given }: MakeParts): Parts {
  const limits = { ...LIMITS, ...given.limits }
  const keys = new Keys(database, clock)
  const metrics = new Metrics()
  const signIn = (authorization: string | undefined): Principal => {
    const text = /^Bearer ([\x21-\x7e]{1,200})$/i.exec(authorization ?? '')?.[1]
    const key = text === undefined ? undefined : keys.check(text)
    const who = key === undefined ? undefined : people.get(key.tenant, key.principal)
    if (who === undefined || key === undefined) {
      metrics.denied('no_key')
      throw new HttpError(401, 'no_key', `server: expected Authorization: Bearer and a key that is in force, got ${text === undefined ? 'none' : 'one that is not'}`, 'ask an admin for a key', { headers: { 'www-authenticate': 'Bearer realm="counterfoil"' } })
    }
    return key.roles === undefined ? who : { ...who, roles: who.roles.filter((role) => key.roles!.includes(role)) }
  }
  const accesses = new Accesses(clock, report)
  const denied = (who: Principal, tenant: Tenant, route: string, permission: Permission): Promise<void> => {
    metrics.denied('not_allowed')
    return accesses.of(tenant).denied(who, permission, { route })
  }
  return {
    database, people, keys, administration: new Administration({ people, keys, tenants, clock }), tenants, clock, limits, metrics, ending, version, signIn, accesses, denied, monitor: new Monitor({ database, ending, report }),
    oversight: new Oversight({ people, tenants, clock, ending, report }), webhooks: new Webhooks({ database, tenants, clock, ending, report, targets: new Targets(targets), ...(again === undefined ? {} : { again }) }),
    bodies: new Bodies(limits), gate: new Gate('requests', limits.requests, limits.ownRequests), streams: new Gate('streams', limits.streams, limits.ownStreams),
    failed: (route, error) => report(Object.assign(error instanceof Error ? error : new Error(String(error)), { route })),
  }
}

/** Every noun's routes. */
const ROUTES: readonly ((app: App, parts: Parts) => void)[] = [healthRoutes, meRoutes, eventRoutes, approvalRoutes, peopleRoutes, webhookRoutes, sessionRoutes, readEventRoutes, idRoutes, logRoutes, verificationRoutes, evidenceRoutes, erasureRoutes, streamRoutes, findingRoutes, otlpRoutes]

/** The application on these parts. It listens nowhere: `app.request()` asks it, and `serve.ts` puts it on a port. */
export function makeApp(parts: Parts): App {
  const app = new App()
  app.registry.registerComponent('securitySchemes', 'key', { type: 'http', scheme: 'bearer' })
  for (const add of ROUTES) add(app, parts)
  const document = new OpenApiGeneratorV31(app.registry.definitions).generateDocument({ openapi: '3.1.0', info: { title: 'Counterfoil', version: parts.version, license: { name: 'Apache-2.0' } }, security: [{ key: [] }] })
  const text = JSON.stringify(document)
  app.get('/openapi.json', (c) => c.body(text, 200, { 'content-type': 'application/json' }))
  app.notFound((c) => {
    const allow = methodsAt(app, c.req.path)
    if (allow.length > 0) return problemResponse(new HttpError(405, 'bad_method', `server: expected ${allow.join(' or ')} at this path`, 'GET /openapi.json lists what there is', { headers: { allow: allow.join(', ') } }))
    return problemResponse(new HttpError(404, 'no_route', 'server: there is nothing at this path', 'GET /openapi.json lists what there is'))
  })
  app.onError((error) => {
    parts.failed('-', error)
    return problemResponse(error)
  })
  return app
}
