// What goes wrong, as RFC 9457 problem details: `detail` is what our error says, `code` and `next` are its own.

import { z } from './schema.ts'
import { CounterfoilError, messageOf, MisuseError, StoreError, VerifyError } from '../base/errors.ts'

export const PROBLEM_TYPE = 'application/problem+json'

/** One of several things wrong with a body. `at`: the event's place in it, from 0. */
export interface Fault { readonly at: number; readonly code: string; readonly detail: string; readonly next: string }

export interface Problem { readonly type: string; readonly title: string; readonly status: number; readonly code: string; readonly detail: string; readonly next: string; readonly errors?: readonly Fault[] }

export const problemSchema: z.ZodType<Problem> = z.object({
  type: z.string(), title: z.string(), status: z.int(), code: z.string(), detail: z.string(), next: z.string(),
  errors: z.array(z.object({ at: z.int(), code: z.string(), detail: z.string(), next: z.string() })).optional(),
}).openapi('Problem') as unknown as z.ZodType<Problem>

const TITLES: { readonly [status: number]: string } = {
  400: 'Bad request', 401: 'Not signed in', 403: 'Not allowed', 404: 'Not found', 405: 'Method not allowed', 406: 'Not acceptable', 408: 'Too slow', 409: 'Conflict', 412: 'Precondition failed', 413: 'Too large', 414: 'URI too long', 415: 'Unsupported media type',
  422: 'Refused', 429: 'Too many requests', 431: 'Header too large', 500: 'Failed', 503: 'Not now',
}

/** An answer that is not the one that was asked for. */
export class HttpError extends CounterfoilError {
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly errors: readonly Fault[] | undefined
  constructor(status: number, code: string, message: string, next: string, { headers = {}, errors, cause }: { headers?: { readonly [name: string]: string }; errors?: readonly Fault[]; cause?: unknown } = {}) {
    super(code, message, next, cause === undefined ? {} : { cause })
    this.status = status
    this.headers = headers
    this.errors = errors
  }
}

/** For something that is not there, or not for this principal: the two answer alike. */
export function notFound(what: string): HttpError {
  return new HttpError(404, 'not_found', `server: there is no ${what} here that this key may see`, 'check the id, and whose key it is')
}

/** The problem that `error` is, and the headers that go with it. */
export function problemOf(error: unknown): { problem: Problem; headers: { readonly [name: string]: string } } {
  const { status, headers } = placeOf(error)
  const known = error instanceof CounterfoilError || error instanceof MisuseError
  const code = known ? error.code : 'internal'
  const problem = {
    type: `urn:counterfoil:problem:${code}`, title: TITLES[status] ?? 'Failed', status, code,
    detail: known ? messageOf(error) : 'server: this request failed for a reason that is in the log of the server',
    next: known && error.next !== '' ? error.next : 'send the same request again later; if it stays so, tell whoever runs the server',
    ...(error instanceof HttpError && error.errors !== undefined ? { errors: error.errors } : {}),
  }
  return { problem, headers }
}

const NOT_FOUND: ReadonlySet<string> = new Set(['no_session', 'no_event', 'no_such_event', 'no_such_session'])
const CONFLICTS: ReadonlySet<string> = new Set(['id_used', 'tenant_exists', 'event_id_reused'])

function placeOf(error: unknown): { status: number; headers: { readonly [name: string]: string } } {
  if (error instanceof HttpError) return error
  if (error instanceof MisuseError) return error.code === 'trail_closed' ? { status: 503, headers: { 'retry-after': '1' } } : { status: 400, headers: {} }
  if (error instanceof StoreError) {
    if (NOT_FOUND.has(error.code)) return { status: 404, headers: {} }
    if (CONFLICTS.has(error.code)) return { status: 409, headers: {} }
    return { status: 503, headers: { 'retry-after': error.retry ? '1' : '10' } }
  }
  if (error instanceof VerifyError) return { status: 500, headers: {} }
  return { status: 500, headers: {} }
}

/** `error` as an answer. */
export function problemResponse(error: unknown): Response {
  const { problem, headers } = problemOf(error)
  return new Response(JSON.stringify(problem), { status: problem.status, headers: { 'content-type': PROBLEM_TYPE, 'cache-control': 'no-store', ...headers } })
}
