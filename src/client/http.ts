// One request to a server, and what its answer means: the bytes, or a RemoteError with the server's own words. Fetch only, so that it runs
// wherever there is fetch; redirects are not followed, since the key would go along.

import { RemoteError } from '../base/errors.ts'
import { fromUtf8 } from '../base/bytes.ts'
import type { Server } from './server.ts'

export interface Ask {
  readonly method?: 'GET' | 'POST' | 'DELETE'
  /** Below the server's URL, with its query. */
  readonly path: string
  readonly body?: Uint8Array | string
  readonly type?: string
  readonly headers?: { readonly [name: string]: string }
  /** How long the whole of it may take. */
  readonly timeoutMs: number
  /** The most bytes that an answer may have. */
  readonly most?: number
  readonly signal?: AbortSignal
  /** Where it is not the one of this thread. */
  readonly fetch?: typeof fetch
}

export interface Answer { readonly status: number; readonly headers: Headers; readonly bytes: Uint8Array }

const MOST_BYTES: number = 64 * 1024 * 1024
/** The longest wait that a server may ask for, in milliseconds. */
const MAX_RETRY_AFTER_MS = 300_000
/** Statuses after which the same request may find another answer. */
const PASSING: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504])

/** A refusal or a failure of a server, with how long it asked to be left alone. */
export class Refusal extends RemoteError {
  readonly retryAfterMs: number | undefined
  /** Whether the server itself said it, in a problem document: not something on the way to it. */
  readonly said: boolean
  constructor(code: string, message: string, next: string, options: { cause?: unknown; retry: boolean; status?: number; retryAfterMs?: number | undefined; said?: boolean }) {
    super(code, message, next, options)
    this.name = 'RemoteError'
    this.retryAfterMs = options.retryAfterMs
    this.said = options.said ?? false
  }
}

/** Sends a request and reads its answer to the end. Rejects with a RemoteError for anything but a 2xx (and a 304, where `headers` ask for one). */
export async function ask({ url, key }: Server, { method = 'GET', path, body, type, headers = {}, timeoutMs, most = MOST_BYTES, signal, fetch = globalThis.fetch }: Ask): Promise<Answer> {
  const late = AbortSignal.timeout(timeoutMs)
  let response: Response
  let bytes: Uint8Array
  try {
    response = await fetch(`${url}${path}`, {
      method, redirect: 'manual', signal: signal === undefined ? late : AbortSignal.any([signal, late]),
      headers: { accept: 'application/json', authorization: `Bearer ${key}`, ...(type === undefined ? {} : { 'content-type': type }), ...headers }, ...(body === undefined ? {} : { body: body as string }),
    })
    bytes = await readBody(response, most)
  } catch (cause) {
    if (cause instanceof RemoteError) throw cause
    throw new Refusal('unreachable', `client: no answer from ${url}: ${reasonOf(cause, late.aborted ? timeoutMs : undefined)}`, 'see whether it runs and can be reached from here', { cause, retry: true })
  }
  if (response.status >= 200 && response.status < 300) return { status: response.status, headers: response.headers, bytes }
  throw refusalOf(url, response, bytes)
}

/** The JSON of an answer; a RemoteError where it is none. */
export function jsonOf({ url }: Server, { bytes, headers }: Answer, parse: (text: string) => unknown = JSON.parse): unknown {
  try {
    return parse(fromUtf8(bytes))
  } catch (cause) {
    throw notOurs(url, `an answer of type ${plain(headers.get('content-type') ?? 'none').slice(0, 100)} that is no JSON`, cause)
  }
}

/** What came is not what a counterfoil server says: a portal, a proxy, another program. */
export function notOurs(url: string, got: string, cause?: unknown): RemoteError {
  return new Refusal('not_a_server', `client: expected a counterfoil server at ${url}, got ${got}`, 'check the URL, and what stands between here and it', { cause, retry: true })
}

async function readBody(response: Response, most: number): Promise<Uint8Array> {
  const declared = Number(response.headers.get('content-length') ?? 0)
  const tooMuch = (): RemoteError => new Refusal('answer_too_large', `client: expected an answer of at most ${most} bytes, got more`, 'ask for less at once', { retry: false, status: response.status })
  if (declared > most) {
    await response.body?.cancel()
    throw tooMuch()
  }
  if (response.body === null) return new Uint8Array()
  const parts: Uint8Array[] = []
  let length = 0
  const reader = response.body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > most) {
      await reader.cancel()
      throw tooMuch()
    }
    parts.push(value)
  }
  const out = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

function refusalOf(url: string, { status, headers }: Response, bytes: Uint8Array): RemoteError {
  const problem = problemIn(headers, bytes)
  const retryAfterMs = retryAfter(headers.get('retry-after'))
  const retry = PASSING.has(status) || problem?.code === 'body_cut'
  if (problem === undefined && status >= 300 && status < 400) return new Refusal('redirected', `client: expected an answer from ${url}, got a redirect (${status})`, 'name the address itself: a key is not sent after a redirect', { retry: false, status })
  if (problem === undefined) return new Refusal(CODES[status] ?? 'not_a_server', `client: expected an answer of a counterfoil server at ${url}, got status ${status}`, retry ? 'what is before the server says that it is not there; see to it' : 'check the URL, and what stands between here and it', { retry, status, retryAfterMs })
  const { code, message, next } = problem
  return new Refusal(code ?? CODES[status] ?? 'refused', `client: ${url} says: ${message}`, next ?? (retry ? 'try again later' : 'ask an admin of the server'), { retry, status, retryAfterMs, said: true })
}

const CODES: { readonly [status: number]: string } = { 401: 'not_signed_in', 403: 'forbidden', 404: 'not_found', 408: 'unreachable', 413: 'too_large', 425: 'unavailable', 429: 'too_many', 500: 'failed', 502: 'unreachable', 503: 'unavailable', 504: 'unreachable' }

/** What a problem document (RFC 9457) says, in bounds: it came from outside. */
function problemIn(headers: Headers, bytes: Uint8Array): { code?: string; message: string; next?: string } | undefined {
  if (!/^application\/problem\+json\b/i.test(headers.get('content-type') ?? '')) return undefined
  try {
    const { title, detail, code, next } = JSON.parse(fromUtf8(bytes)) as { [name: string]: unknown }
    const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? plain(value) : undefined)
    const [said, known] = [text(next), text(code)]
    return { message: text(detail) ?? text(title) ?? 'no reason', ...(known === undefined || !/^[a-z0-9_]{1,64}$/.test(known) ? {} : { code: known }), ...(said === undefined ? {} : { next: said }) }
  } catch {
    return undefined
  }
}

/** What a server says, for an error that may be shown on a terminal: bounded, and without what would steer one. */
export function plain(text: string): string {
  return text.slice(0, 2_000).replaceAll(/\p{Cc}+/gu, ' ')
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now()
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS) : undefined
}

/** Fetch says only "fetch failed"; what failed is in its cause. */
function reasonOf(error: unknown, timeoutMs: number | undefined): string {
  if (timeoutMs !== undefined) return `nothing within ${timeoutMs / 1_000} s`
  const cause = (error as { cause?: { code?: unknown; message?: unknown } }).cause
  return String(cause?.code ?? cause?.message ?? (error as Error).message)
}
