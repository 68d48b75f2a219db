// Where those that send, send to: an HTTP server on the loopback in a process of its own, which answers, keeps what it got, and counts
// the acts in it by number when it is asked.

import { fork } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { delivered, findMarks, noMarks } from './load.ts'
import type { CountResult } from './spec.ts'

/** `ok` answers at once, `slow` after 100 ms, `503` with that; to `down` nobody listens. */
export const SINKS = ['ok', 'slow', '503', 'down'] as const
export type SinkKind = (typeof SINKS)[number]

export interface SinkCount extends CountResult { readonly requests: number; readonly bytes: number }
export interface Sink {
  readonly url: string
  /** Of the acts 0 to `count` - 1; only requests that were answered with success count. */
  count(count: number): Promise<SinkCount>
  stop(): void
}

const SLOW_MS = 100

export async function startSink(kind: SinkKind): Promise<Sink> {
  if (kind === 'down') {
    const server = createServer()
    const url = await listen(server)
    await new Promise((resolve) => server.close(resolve))
    return { url, count: async () => ({ delivered: 0, halves: 0, whole: null, requests: 0, bytes: 0 }), stop() {} }
  }
  const child = fork(fileURLToPath(import.meta.url), [kind], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], serialization: 'json' })
  const said = <T>(): Promise<T> => new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as T))
    child.once('exit', () => reject(new Error('bench: the sink ended')))
  })
  const url = await said<string>()
  return {
    url,
    async count(count) {
      child.send(count)
      return said<SinkCount>()
    },
    stop: () => void child.kill('SIGKILL'),
  }
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What a LangSmith server says about itself; no compression asked for, which is the cheapest for its client. */
const INFO = { version: '0.12.0', instance_flags: {}, batch_ingest_config: { use_multipart_endpoint: true, size_limit: 100, size_limit_bytes: 20_971_520 } }

async function serve(kind: SinkKind): Promise<void> {
  const bodies: { encoding: string; chunks: Buffer[] }[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      if (kind === '503') return void response.writeHead(503, { 'content-type': 'application/json' }).end('{}')
      bodies.push({ encoding: request.headers['content-encoding'] ?? '', chunks })
      const answer = (): void => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(request.url?.endsWith('/info') === true ? INFO : {}))
      if (kind === 'slow') setTimeout(answer, SLOW_MS)
      else answer()
    })
  })
  process.send!(await listen(server))
  process.on('message', (count: number) => {
    const marks = noMarks()
    let bytes = 0
    for (const { encoding, chunks } of bodies) {
      const body = Buffer.concat(chunks)
      bytes += body.length
      findMarks((encoding === 'gzip' ? gunzipSync(body) : encoding === 'zstd' ? zstdDecompressSync(body) : body).toString('latin1'), marks)
    }
    const both = delivered(marks, count)
    const halves = [...marks.asked, ...marks.answered].filter((number) => number < count).length - 2 * both
    process.send!({ delivered: both, halves, whole: null, requests: bodies.length, bytes } satisfies SinkCount)
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve(process.argv[2] as SinkKind)
