// A server for tests: a trail of its own in a scratch folder, and keys for whoever is asked for.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import type { Limits } from '../src/server/limits.ts'
import type { Principal, Role } from '../src/server/roles.ts'
import { serve, type Served } from '../src/server/serve.ts'
import { scratch } from './scratch.ts'

export interface TestServer {
  readonly served: Served
  readonly url: string
  readonly db: string
  readonly home: string
  /** What was reported as failed on the server's side. */
  readonly reported: unknown[]
  /** A new principal with this role, and the text of a key of theirs. */
  key(role: Role, more?: Partial<Principal>): string
  /** Asks with a key: JSON out where `body` is an object or array, the answer's JSON or text in. */
  ask(key: string | undefined, method: string, path: string, body?: unknown, headers?: { readonly [name: string]: string }): Promise<{ status: number; headers: Headers; body: Answer }>
}

// oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of every form
export type Answer = any

type Options = { limits?: Partial<Limits>; db?: string; home?: string; clock?: () => number; /** the rules look at what comes in by themselves */ watch?: true; targets?: readonly string[]; again?: readonly number[] }

/** Started on a free port of the loopback, and closed when the test is done. */
export async function testServer(options: Options = {}): Promise<TestServer> {
  const at = options.db === undefined || options.home === undefined ? scratch() : { db: options.db, home: options.home }
  const server = await start(at, options)
  onTestFinished(() => server.served.close())
  return server
}

/** One server for all tests of a file: call it in the body of a `describe`, and what it returns in the tests. */
export function sharedServer(options: Options = {}): () => TestServer {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-test-'))
  let server: TestServer
  beforeAll(async () => { server = await start({ db: join(folder, 'audit.db'), home: join(folder, 'home') }, options) })
  afterAll(async () => {
    await server.served.close()
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  })
  return () => server
}

async function start(at: { db: string; home: string }, options: Options): Promise<TestServer> {
  const reported: unknown[] = []
  const served = await serve({ trail: at.db, port: 0, host: '127.0.0.1', version: 'test', options: { home: at.home }, watch: options.watch === true, report: (problem) => reported.push(problem), ...(options.limits === undefined ? {} : { limits: options.limits }), ...(options.clock === undefined ? {} : { clock: options.clock }), ...(options.targets === undefined ? {} : { targets: options.targets }), ...(options.again === undefined ? {} : { again: options.again }) })
  let closed = false
  const { close } = served
  const once: Served = { ...served, close: async () => { if (!closed) { closed = true; await close() } } }
  let count = 0
  const { people, keys } = served.parts
  return {
    served: once, url: served.url, db: at.db, home: at.home, reported,
    key(role, more = {}) {
      const id = more.id ?? `${role}-${++count}`
      const tenant = more.tenant ?? 'default'
      people.put({ kind: role === 'agent' ? 'agent' : 'person', name: id, ...more, id, tenant, roles: more.roles ?? [role] })
      return keys.issue({ tenant, principal: id }).key
    },
    async ask(key, method, path, body, headers = {}) {
      const raw = body === undefined || typeof body === 'string' || body instanceof Uint8Array
      const response = await fetch(`${served.url}${path}`, {
        method, ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
        headers: { ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      })
      const text = await response.text()
      return { status: response.status, headers: response.headers, body: (response.headers.get('content-type') ?? '').endsWith('json') && text !== '' ? JSON.parse(text) : text }
    },
  }
}
