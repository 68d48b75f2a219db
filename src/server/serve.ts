// The server on a port: HTTP with a bound on everything, and an end that answers what it has accepted.

import { getRequestListener } from '@hono/node-server'
import { createServer, STATUS_CODES, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { formatTime, type Clock } from '../base/clock.ts'
import { type CounterfoilError, StoreError } from '../base/errors.ts'
import type { LocalOptions } from '../ledger/handle.ts'
import { makeApp, makeParts, type Parts } from './app.ts'
import { dataFolder, openDatabase } from './database.ts'
import { KEYS_TABLE } from './keys.ts'
import type { Limits } from './limits.ts'
import { People, PEOPLE_TABLE } from './people.ts'
import { HttpError, problemOf, PROBLEM_TYPE } from './problem.ts'
import { DEFAULT_TENANT, Tenants, TENANTS_TABLE } from './tenants.ts'

export interface OpenOptions {
  /** The database of the trail; made where it is missing. */
  readonly trail: string
  /** The folder of what is the server's own; default beside the trail. */
  readonly data?: string
  readonly version: string
  readonly clock?: Clock
  readonly limits?: Partial<Limits>
  readonly options?: LocalOptions
  /** Told of what nobody waits for, and of what failed on this side. */
  readonly report: (problem: unknown) => void
}

export interface ServeOptions extends OpenOptions {
  /** 0 for any free one. */
  readonly port: number
  readonly host: string
  /** The id of the first admin; default `admin-` and the day. */
  readonly admin?: string
}

export interface Served {
  readonly url: string
  readonly parts: Parts
  /** The key of the first admin, when this start made one. */
  readonly firstKey: string | undefined
  /** Takes no more, answers what was accepted, and closes the logs. */
  close(): Promise<void>
}

/** All tables of the server's database. */
export const TABLES: readonly string[] = [PEOPLE_TABLE, KEYS_TABLE, TENANTS_TABLE]

/** A server's trail and people, opened, listening nowhere: for commands, and for `serve`. */
export interface OpenServer { readonly parts: Parts; readonly ending: AbortController; close(): Promise<void> }

/** Opens the trail, which is made where it is missing, and who may do what with it. Rejects with what is wrong with the log. */
export async function openServer({ trail, data = dataFolder(trail), version, clock = Date.now, limits, options = {}, report }: OpenOptions): Promise<OpenServer> {
  const database = openDatabase(data, TABLES)
  const ending = new AbortController()
  const tenants = new Tenants(database, clock, { folder: data, trail, options, report: (_tenant: string, problem: CounterfoilError) => report(problem) })
  const close = async (): Promise<void> => {
    try {
      await tenants.close()
    } finally {
      database.close()
    }
  }
  try {
    await tenants.open(DEFAULT_TENANT)!.ledger.ready()
    return { parts: makeParts({ database, people: new People(database, clock), tenants, clock, ending: ending.signal, version, ...(limits === undefined ? {} : { limits }), report }), ending, close }
  } catch (error) {
    await close().catch(report)
    throw error
  }
}

/** Opens the server and listens. StoreError `listen_failed` when the port cannot be had. */
export async function serve({ port, host, admin, ...options }: ServeOptions): Promise<Served> {
  const { parts, ending, close } = await openServer(options)
  const server = listener(parts)
  try {
    await listen(server, port, host) // before the first key: who cannot listen gives none out
    const firstKey = await parts.administration.firstAdmin(admin ?? `admin-${formatTime(parts.clock()).slice(0, 10)}`)
    const { address, family, port: taken } = server.address() as AddressInfo
    return {
      url: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`, parts, firstKey,
      close: async () => {
        ending.abort()
        await closed(server, parts.limits.graceMs)
        await parts.accesses.end()
        await close()
      },
    }
  } catch (error) {
    server.close()
    await close().catch(options.report)
    throw error
  }
}

function listener(parts: Parts): Server {
  const { limits } = parts
  const app = makeApp(parts)
  const handle = getRequestListener((request, env) => app.fetch(request, env), { overrideGlobalObjects: false })
  const server = createServer(
    { maxHeaderSize: limits.headers, headersTimeout: limits.headersMs, requestTimeout: limits.requestMs, keepAliveTimeout: 30_000, connectionsCheckingInterval: Math.min(1_000, limits.headersMs), noDelay: true, requireHostHeader: true },
    (request, response) => {
      if ((request.url ?? '').length > limits.url) return void response.writeHead(414, { 'content-type': PROBLEM_TYPE, connection: 'close' }).end(says(414, 'url_too_long', `expected a path and query of at most ${limits.url} characters`))
      void handle(request, response)
    },
  )
  server.on('clientError', refuse)
  server.maxConnections = limits.connections
  server.maxHeadersCount = 100
  return server
}

/** What is no HTTP, or too slow, or has too much in its headers, never becomes a request; its answer is written by hand. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [status, code, expected] = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? ([408, 'too_slow', 'expected the request sooner'] as const)
    : error.code === 'HPE_HEADER_OVERFLOW' ? ([431, 'headers_too_large', 'expected smaller headers'] as const)
    : ([400, 'bad_http', 'expected HTTP/1.1 as RFC 9112 has it'] as const)
  const body = says(status, code, expected)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`)
}

function says(status: number, code: string, expected: string): string {
  return JSON.stringify(problemOf(new HttpError(status, code, `server: ${expected}`, 'send it again as the docs have it')).problem)
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new StoreError('listen_failed', `server: cannot listen on ${host}:${port}: ${cause.message}`, 'choose another --port or --host', { cause })))
    server.listen(port, host, resolve)
  })
}

/** Ends when every request is answered, at the latest after `graceMs`. */
async function closed(server: Server, graceMs: number): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), graceMs)
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  try {
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeIdleConnections()
    })
  } finally {
    clearTimeout(timer)
    clearInterval(idle)
  }
}
