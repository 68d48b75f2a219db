// The checks of `doctor URL`: whether a server is there, takes events, knows the key and has the time.

import type { Check } from './checks.ts'
import { duration } from './terminal.ts'

const TIMEOUT_MS = 10_000
/** The server's `Date` has whole seconds. */
const CLOCK_SLACK_MS = 5_000
/** A key that ends so soon is said to. */
const SOON_MS = 14 * 24 * 60 * 60 * 1000

interface Asked { readonly status: number; readonly date: number; readonly ms: number; readonly body: { readonly [name: string]: unknown } }

/** Looks at the server at `base`, with `key` where there is one. */
export async function checkServer(base: URL, key: string | undefined, now: () => number): Promise<Check[]> {
  const ask = (path: string, headers: { readonly [name: string]: string } = {}): Promise<Asked | Error> => get(new URL(path.slice(1), withSlash(base)), headers, now)
  const health = await ask('/healthz')
  if (health instanceof Error) return [{ name: 'server', status: 'fail', says: `${base.href} cannot be reached: ${health.message}`, next: 'check the URL, that counterfoil serve runs there, and what is between' }]
  if (health.status !== 200 || health.body['status'] !== 'ok') return [{ name: 'server', status: 'fail', says: `${base.href} answers ${health.status}, and not as a server of counterfoil`, next: 'check the URL and the proxy before it' }]
  const ready = await ask('/readyz')
  return [
    { name: 'server', status: 'ok', says: `answers in ${duration(health.ms)}; version ${String(health.body['version'])}` },
    transport(base),
    clock(health, now()),
    ready instanceof Error ? { name: 'log', status: 'fail', says: `cannot be asked for: ${ready.message}`, next: 'run it again' }
      : ready.status === 200 ? { name: 'log', status: 'ok', says: 'is open and takes events' }
      : { name: 'log', status: 'fail', says: String(ready.body['detail'] ?? `answers ${ready.status}`), next: String(ready.body['next'] ?? "see the server's own log") },
    keyCheck(key, key === undefined ? undefined : await ask('/v1/me', { authorization: `Bearer ${key}` }), now()),
  ]
}

function transport({ protocol, hostname }: URL): Check {
  const near = ['127.0.0.1', '[::1]', 'localhost'].includes(hostname)
  if (protocol === 'https:') return { name: 'transport', status: 'ok', says: 'TLS' }
  return near ? { name: 'transport', status: 'ok', says: 'HTTP on the loopback' } : { name: 'transport', status: 'fail', says: 'HTTP across a network: keys and content can be read on the way', next: 'put a proxy with TLS before it (counterfoil docs operate)' }
}

function clock({ date }: Asked, now: number): Check {
  if (Number.isNaN(date)) return { name: 'clock', status: 'unknown', says: 'the server does not say what time it is' }
  const off = Math.abs(now - date)
  if (off <= CLOCK_SLACK_MS) return { name: 'clock', status: 'ok', says: 'agrees with the server' }
  return { name: 'clock', status: 'warn', says: `this machine and the server differ by ${duration(off)}`, next: 'set both by NTP: times in the log are those of who recorded' }
}

function keyCheck(key: string | undefined, me: Asked | Error | undefined, now: number): Check {
  if (key === undefined || me === undefined) return { name: 'key', status: 'unknown', says: 'there is none in $COUNTERFOIL_KEY', next: 'set it to have it checked too' }
  if (me instanceof Error) return { name: 'key', status: 'fail', says: `cannot be asked about: ${me.message}`, next: 'run it again' }
  if (me.status === 401) return { name: 'key', status: 'fail', says: 'the one in $COUNTERFOIL_KEY is not in force', next: 'ask an admin for another: counterfoil people key ID' }
  if (me.status !== 200) return { name: 'key', status: 'fail', says: `answers ${me.status}: ${String(me.body['detail'])}`, next: String(me.body['next'] ?? 'ask an admin') }
  const { id, tenant, roles, expires_at } = me.body
  const says = `is ${String(id)}'s of ${String(tenant)}: ${(Array.isArray(roles) ? roles : []).map(String).join(', ')}`
  const left = typeof expires_at === 'string' ? Date.parse(expires_at) - now : Infinity
  return left < SOON_MS ? { name: 'key', status: 'warn', says: `${says}; until ${String(expires_at)}`, next: 'ask an admin to extend it' } : { name: 'key', status: 'ok', says }
}

async function get(url: URL, headers: { readonly [name: string]: string }, now: () => number): Promise<Asked | Error> {
  const began = now()
  try {
    const response = await fetch(url, { headers, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) })
    const text = await response.text()
    return { status: response.status, date: Date.parse(response.headers.get('date') ?? ''), ms: now() - began, body: objectIn(text) }
  } catch (error) {
    const { cause, message } = error as Error
    return new Error(cause instanceof Error ? cause.message : message)
  }
}

function objectIn(text: string): { readonly [name: string]: unknown } {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as { readonly [name: string]: unknown }) : {}
  } catch {
    return {}
  }
}

function withSlash(base: URL): URL {
  return base.pathname.endsWith('/') ? base : new URL(`${base.href}/`)
}
