// A loopback server that does exactly what a test says with each request: for recorded bytes, broken connections and silence.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface RawRequest { readonly url: string; readonly headers: IncomingMessage['headers']; readonly body: string }
export type Handler = (request: RawRequest, response: ServerResponse) => void | Promise<void>
export interface RawServer extends AsyncDisposable { readonly url: string; readonly requests: RawRequest[] }

export async function startRawServer(handler: Handler): Promise<RawServer> {
  const requests: RawRequest[] = []
  const server = createServer((request, response) => {
    response.sendDate = false
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
      const raw = { url: request.url!, headers: request.headers, body: Buffer.concat(chunks).toString() }
      requests.push(raw)
      await handler(raw, response)
    })().catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
