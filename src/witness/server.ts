// C2SP tlog-witness over HTTP: `POST /add-checkpoint`, and `GET /<origin hash>/checkpoint` for monitors, under one prefix, the root.
// Everything that a client can send is bounded in bytes and time. TLS, where it is wanted, is a proxy's work.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { StoreError } from '../base/errors.ts'
import { MAX_REQUEST_BYTES } from './request.ts'
import { originHash } from './state.ts'
import type { Answer, Witness } from './witness.ts'

export interface WitnessServerOptions {
  /** 0 for any free one. */
  readonly port: number
  /** Loopback unless said otherwise. */
  readonly host?: string
  /** Told of each judged request, after it was answered for good or bad. */
  readonly onAnswer?: (answer: Answer) => void
  /** Told of what failed on this side; the client gets 500. */
  readonly onError?: (error: unknown) => void
  /** How long a client may take to send a request, in ms; default 10,000. */
  readonly requestMs?: number
}

export interface WitnessServer {
  /** The submission and monitoring prefix, without a slash at its end. */
  readonly url: string
  /** Stops listening; open connections are ended. The witness's state stays open. */
  close(): Promise<void>
}

/** Serves `witness` until `close`. StoreError `witness_listen` when the port cannot be had. */
export async function serveWitness(witness: Witness, { port, host = '127.0.0.1', requestMs = 10_000, ...tell }: WitnessServerOptions): Promise<WitnessServer> {
  const server = createServer(
    { maxHeaderSize: 8_192, headersTimeout: requestMs, requestTimeout: requestMs, keepAliveTimeout: 30_000, connectionsCheckingInterval: Math.min(1_000, requestMs) },
    (request, response) => void handle(witness, request, response, tell),
  )
  server.maxConnections = 256
  await listen(server, port, host)
  const { address, family, port: taken } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`,
    close: () => new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    }),
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new StoreError('witness_listen', `witness: cannot listen on ${host}:${port}: ${cause.message}`, 'choose another --port or --host', { cause })))
    server.listen(port, host, resolve)
  })
}

async function handle(witness: Witness, request: IncomingMessage, response: ServerResponse, tell: Pick<WitnessServerOptions, 'onAnswer' | 'onError'>): Promise<void> {
  try {
    const path = (request.url ?? '').split('?', 1)[0]!
    if (path === '/add-checkpoint') return await addCheckpoint(witness, request, response, tell)
    const origin = witness.origins.find((one) => path === `/${originHash(one)}/checkpoint`)
    if (origin !== undefined) return serveCheckpoint(witness.checkpoint(origin), request, response)
    send(response, 404, 'there is nothing here')
  } catch (error) {
    if (request.destroyed && !request.complete) return // the client went away
    tell.onError?.(error)
    send(response, 500, 'the witness failed; nothing was signed')
  }
}

async function addCheckpoint(witness: Witness, request: IncomingMessage, response: ServerResponse, { onAnswer }: Pick<WitnessServerOptions, 'onAnswer'>): Promise<void> {
  if (request.method !== 'POST') return send(response, 405, 'expected POST', { allow: 'POST' })
  const body = await readBody(request)
  if (body === undefined) return send(response, 413, `expected at most ${MAX_REQUEST_BYTES} bytes`, { connection: 'close' })
  const answer = witness.addCheckpoint(body)
  if (answer.status === 200) send(response, 200, answer.body)
  else if (answer.status === 409) send(response, 409, `${answer.size}\n`, { 'content-type': 'text/x.tlog.size' })
  else send(response, answer.status, answer.says)
  onAnswer?.(answer)
}

function serveCheckpoint(note: string | undefined, request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'expected GET', { allow: 'GET, HEAD' })
  if (note === undefined) return send(response, 404, 'this witness has cosigned no checkpoint of that log')
  send(response, 200, note)
}

/** The whole body, or undefined when there is more than a request may have. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_REQUEST_BYTES) return undefined
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of request as AsyncIterable<Uint8Array>) {
    length += part.length
    if (length > MAX_REQUEST_BYTES) return undefined
    parts.push(part)
  }
  return Buffer.concat(parts)
}

function send(response: ServerResponse, status: number, body: string, headers: { readonly [name: string]: string } = {}): void {
  if (response.headersSent || response.destroyed) return
  const text = body.endsWith('\n') ? body : `${body}\n`
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': String(Buffer.byteLength(text)), 'x-content-type-options': 'nosniff', ...headers })
  response.end(text)
}
