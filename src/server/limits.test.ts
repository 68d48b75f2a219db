// What somebody may send who means ill, over a real socket: it is bounded, it gets a clear error, and nothing of it is stored.

import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { sharedServer, type TestServer } from '../../test/served.ts'
import { uuidv7 } from '../base/ids.ts'

const shared = sharedServer({ limits: { body: 64 * 1024, unpacked: 256 * 1024, events: 50, headersMs: 1_000, requestMs: 2_000, ownRequests: 4, url: 2_000 } })

const event = (text = 'x'): object => ({ event_type: 'reasoning', session_id: uuidv7(Date.now()), text })
const size = async ({ served }: TestServer): Promise<number> => (await served.parts.tenants.open('default')!.ledger.call<{ entries: number }>('counts')).entries

/** Sends raw bytes and gives back everything that came until the other side closed, or until `until` was in it. */
function raw(url: string, parts: readonly (string | Uint8Array)[], until?: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let text = ''
    socket.on('data', (bytes) => {
      text += bytes.toString()
      if (until !== undefined && text.includes(until)) socket.destroy()
    })
    socket.on('error', () => {}) // the server may close while we write
    socket.on('close', () => resolve(text))
    for (const part of parts) socket.write(part)
  })
}

const head = (key: string, lines: readonly string[]): string => ['POST /v1/events HTTP/1.1', 'Host: x', `Authorization: Bearer ${key}`, 'Content-Type: application/json', ...lines, '', ''].join('\r\n')
const statusOf = (answer: string): string => answer.slice(9, 12)

/** Runs `attack`, and requires that the log did not grow. */
async function storesNothing(server: TestServer, attack: () => Promise<void>): Promise<void> {
  const before = await size(server)
  await attack()
  expect(await size(server)).toBe(before)
  expect(server.served.parts.bodies.held).toBe(0)
}

describe('a body', () => {
  test('that says it is too large is refused before it is read', async () => {
    const server = shared()
    await storesNothing(server, async () => {
      const answer = await raw(server.url, [head(server.key('agent'), ['Content-Length: 99999999'])])
      expect(statusOf(answer)).toBe('413')
      expect(answer).toContain('"code":"too_large"')
      expect(answer.toLowerCase()).toContain('connection: close')
    })
  })

  test('that turns out to be too large is not read to its end', async () => {
    const server = shared()
    await storesNothing(server, async () => {
      const chunk = `${(8192).toString(16)}\r\n${'x'.repeat(8192)}\r\n`
      const answer = await raw(server.url, [head(server.key('agent'), ['Transfer-Encoding: chunked']), ...Array.from({ length: 20 }, () => chunk)])
      expect(statusOf(answer)).toBe('413')
    })
  })

  test.each([['gzip', gzipSync], ['zstd', zstdCompressSync]] as const)('that is a bomb in %s is not unpacked to its end', async (encoding, pack) => {
    const server = shared()
    const bomb = pack(Buffer.alloc(50_000_000, 32))
    expect(bomb.length).toBeLessThan(64 * 1024)
    await storesNothing(server, async () => {
      const { status, body } = await server.ask(server.key('agent'), 'POST', '/v1/events', new Uint8Array(bomb), { 'content-encoding': encoding })
      expect([status, body.code]).toEqual([413, 'too_large'])
    })
  })

  test.each([['gzip', gzipSync], ['zstd', zstdCompressSync]] as const)('in %s is read, and refused where it is cut off', async (encoding, pack) => {
    const server = shared()
    const key = server.key('agent')
    const packed = new Uint8Array(pack(Buffer.from(JSON.stringify(event()))))
    expect((await server.ask(key, 'POST', '/v1/events', packed, { 'content-encoding': encoding })).status).toBe(200)
    await storesNothing(server, async () => {
      const { status, body } = await server.ask(key, 'POST', '/v1/events', packed.subarray(0, packed.length - 9), { 'content-encoding': encoding })
      expect([status, body.code]).toEqual([400, 'bad_encoding'])
    })
  })

  test('in an encoding or of a type that is not known is refused', async () => {
    const server = shared()
    const key = server.key('agent')
    await storesNothing(server, async () => {
      expect(await server.ask(key, 'POST', '/v1/events', event(), { 'content-encoding': 'gzip, gzip' })).toMatchObject({ status: 415, body: { code: 'unknown_encoding' } })
      expect(await server.ask(key, 'POST', '/v1/events', event(), { 'content-type': 'text/plain' })).toMatchObject({ status: 415, body: { code: 'unknown_media' } })
      expect(await server.ask(key, 'POST', '/v1/events', '', { 'content-type': 'application/json' })).toMatchObject({ status: 400, body: { code: 'bad_json' } })
      expect(await server.ask(key, 'POST', '/v1/events', new Uint8Array([0x22, 0xff, 0x22]))).toMatchObject({ status: 400, body: { code: 'bad_json' } })
    })
  })

  test('that comes too slowly is given up, and so are headers that do', async () => {
    const server = shared()
    await storesNothing(server, async () => {
      const key = server.key('agent')
      const [slow, slower] = await Promise.all([raw(server.url, [head(key, ['Content-Length: 1000']), '[']), raw(server.url, ['POST /v1/events HTTP/1.1\r\nHost: x\r\n'])])
      expect([statusOf(slow), statusOf(slower)]).toEqual(['408', '408'])
      expect(slower).toContain('"code":"too_slow"')
    })
  })

  test('whose connection ends in it leaves nothing behind', async () => {
    const server = shared()
    await storesNothing(server, async () => {
      const line = JSON.stringify(event())
      await new Promise<void>((resolve) => {
        const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
          socket.write(head(server.key('agent'), [`Content-Length: ${line.length + 2}`]) + line, () => socket.destroy())
        })
        socket.on('close', () => resolve())
      })
      await server.ask(server.key('auditor'), 'GET', '/v1/me')
      await expect.poll(() => server.served.parts.gate.open).toBe(0)
    })
  })
})

describe('events', () => {
  test('of a batch with one bad line are none of them stored, and the answer names the line', async () => {
    const server = shared()
    const key = server.key('agent')
    const lines = [event(), event(), { ...event(), outcome: 'perhaps' }, event(), { event_type: 'reasoning' }].map((one) => JSON.stringify(one))
    lines.splice(3, 0, '{"event_type": ')
    await storesNothing(server, async () => {
      const { status, body } = await server.ask(key, 'POST', '/v1/events', lines.join('\n'), { 'content-type': 'application/x-ndjson' })
      expect(status).toBe(400)
      expect(body.errors.map(({ at, code }: { at: number; code: string }) => [at, code])).toEqual([[2, 'bad_outcome'], [3, 'bad_json'], [5, 'bad_session_id']])
      expect(body.errors.every(({ detail, next }: { detail: string; next: string }) => detail !== '' && next !== '')).toBe(true)
    })
  })

  test('that are too many are refused, as an array, as lines and as drafts', async () => {
    const server = shared()
    const key = server.key('agent')
    const many = Array.from({ length: 51 }, () => event())
    await storesNothing(server, async () => {
      expect(await server.ask(key, 'POST', '/v1/events', many)).toMatchObject({ status: 413, body: { code: 'too_many_events' } })
      expect(await server.ask(key, 'POST', '/v1/events', many.map((one) => JSON.stringify(one)).join('\n'), { 'content-type': 'application/x-ndjson' })).toMatchObject({ status: 413 })
      expect(await server.ask(key, 'POST', '/v1/drafts', new Uint8Array(4 * 51), { 'content-type': 'application/vnd.counterfoil.drafts' })).toMatchObject({ status: 413 })
    })
  })

  test.each<[string, unknown]>([
    ['nothing', null], ['a number', 7], ['an array in the array', [[]]], ['a type of the ledger\'s', [{ ...event(), event_type: 'erasure' }]], ['an unknown type', { ...event(), event_type: 'toString' }],
    ['a field of the prototype', JSON.parse('{"event_type":"reasoning","session_id":"0193546e-7c00-7000-8000-000000000000","text":"x","__proto__":{"a":1}}')],
    ['an id that is none', { ...event(), event_id: '../../x' }], ['a time that is none', { ...event(), timestamp: '2026-02-30T00:00:00.000Z' }], ['half a stream', { ...event(), stream: '0'.repeat(32) }],
  ])('that are %s are refused with 400', async (_what, body) => {
    const server = shared()
    await storesNothing(server, async () => {
      const { status, body: problem } = await server.ask(server.key('agent'), 'POST', '/v1/events', body === null ? 'null' : body)
      expect(status).toBe(400)
      expect(problem.next).not.toBe('')
    })
  })

  test('nested deeper than a stack goes, or with lone surrogates, are stored as what they were', async () => {
    const server = shared()
    const key = server.key('agent')
    const deep = `{"event_type":"custom","session_id":"${uuidv7(Date.now())}","name":"deep","content":${'['.repeat(20_000)}${']'.repeat(20_000)}}`
    expect((await server.ask(key, 'POST', '/v1/events', deep)).status).toBe(200)
    expect((await server.ask(key, 'POST', '/v1/events', JSON.stringify(event('\ud800')))).status).toBe(200)
    expect(server.reported).toEqual([])
  })
})

describe('a request', () => {
  test('with too much in its headers, or in its path, is refused', async () => {
    const server = shared()
    expect(statusOf(await raw(server.url, [`GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`]))).toBe('431')
    const long = await raw(server.url, [`GET /healthz?x=${'a'.repeat(3_000)} HTTP/1.1\r\nHost: x\r\n\r\n`])
    expect(statusOf(long)).toBe('414')
    expect(long).toContain('url_too_long')
  })

  test.each([
    ['a line feed in a header', 'GET /v1/me HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\nX-Injected: b\r\n\r\n'],
    ['a NUL in a header', 'GET /v1/me HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n'],
    ['two lengths', 'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]'],
    ['a length and chunks', 'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/me HTTP/1.1\r\n\r\n'],
    ['a space before the colon', 'GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer x\r\n\r\n'],
    ['no host', 'GET /v1/me HTTP/1.1\r\n\r\n'],
    ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
  ])('with %s is refused and its connection closed', async (_what, bytes) => {
    const answer = await raw(shared().url, [bytes])
    expect(statusOf(answer)).toBe('400')
    expect(answer.match(/^HTTP\/1\.1 \d/gm)).toHaveLength(1)
    expect(answer.toLowerCase()).not.toContain('x-injected')
  })

  test.each(['/v1/../../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/v1/..%2f..%2fetc%2fpasswd', '//etc/passwd', '/v1/people/..%2f..%2fx', '/v1/keys/%00', '/v1/%ff', '/v1/people/%'])('for %s finds nothing', async (path) => {
    const server = shared()
    const answer = await raw(server.url, [`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${server.key('admin')}\r\nConnection: close\r\n\r\n`])
    expect(['400', '404', '405']).toContain(statusOf(answer))
    expect(answer).not.toContain('root:')
    expect(server.reported).toEqual([])
  })

  test('by another method than the path has is told which it has', async () => {
    const { status, headers, body } = await shared().ask(undefined, 'PUT', '/v1/drafts')
    expect([status, headers.get('allow'), body.code]).toEqual([405, 'POST', 'bad_method'])
  })

  test('for a tenant outside of the folder of tenants makes none', async () => {
    const server = shared()
    const key = server.key('admin')
    for (const name of ['../x', '..', '.', 'a/b', 'A', '', 'a\0', '-a', 'x'.repeat(64)]) expect((await server.ask(key, 'POST', '/v1/tenants', { name, admin: 'ada' })).status).toBe(400)
    expect((await server.ask(key, 'GET', '/v1/tenants')).body.items).toHaveLength(1)
  })

  test('beyond those that one principal may have at once is told so, and others are not', async () => {
    const server = shared()
    const key = server.key('agent')
    const open = Array.from({ length: 4 }, () => {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
      socket.on('error', () => {})
      socket.write(`${head(key, ['Content-Length: 100'])}[`)
      return socket
    })
    await expect.poll(() => server.served.parts.gate.open).toBe(4)
    const { status, body, headers } = await server.ask(key, 'POST', '/v1/events', event())
    expect([status, body.code, headers.get('retry-after')]).toEqual([429, 'too_many_at_once', '1'])
    expect((await server.ask(server.key('agent'), 'POST', '/v1/events', event())).status).toBe(200)
    for (const socket of open) socket.destroy()
    await expect.poll(() => server.served.parts.gate.open).toBe(0)
    expect((await server.ask(key, 'POST', '/v1/events', event())).status).toBe(200)
  })
})
