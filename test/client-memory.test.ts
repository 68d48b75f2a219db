// A client remembers its receipts: a server that forgets, forks, rewrites, or begins anew is noticed, said once, and kept in status().

import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { toBase64 } from '../src/base/bytes.ts'
import { canonicalJson } from '../src/base/canonical-json.ts'
import { openTrail } from '../src/index.ts'
import { LogMemory } from '../src/client/log-memory.ts'
import { openCheckpoint, parseTreeHead, signCheckpoint } from '../src/log/checkpoint.ts'
import { ed25519Verifier, parseNote } from '../src/log/note.ts'
import { rotationStatement } from '../src/log/rotation.ts'
import { openKeyring, openLog, signingKey, strangeKey } from './sample-log.ts'
import { scratch } from './scratch.ts'
import { testServer, type TestServer } from './served.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** Records `count` events through the server as it is now, to the end; what was reported, and what status() says. */
async function visit(proxy: { readonly url: string }, key: string, home: string, count = 3): Promise<{ reports: string[]; problem: string | undefined }> {
  const reports: string[] = []
  const trail = openTrail(proxy.url, { key, home, agent_id: 'agent-1', report: ({ code }) => reports.push(code) })
  await trail.ready()
  const session = await trail.start({})
  for (let i = 0; i < count; i++) session.record('custom', { name: 'step', content: { i } })
  await session.end()
  await trail.close()
  return { reports, problem: trail.status().problem?.code }
}

interface Place { readonly proxy: TcpProxy; readonly home: string; readonly key: string; rotate(): Promise<string>; copy(to: string): Promise<void>; back(from: string | undefined): Promise<void> }

/** A server whose log, with its keys, can be copied, and put back as it was, or begun anew. Whom it knows stays. */
async function place(): Promise<Place> {
  const at = scratch()
  const client = scratch()
  const log = (): string[] => readdirSync(at.folder).filter((name) => name === 'home' || (name.startsWith('audit.db') && name !== 'audit.db.server'))
  let server: TestServer = await testServer(at)
  const key = server.key('agent', { id: 'bot' })
  const proxy = await TcpProxy.to(server.url)
  onTestFinished(() => proxy.down())
  const restart = async (meanwhile: () => void): Promise<void> => {
    await server.served.close()
    meanwhile()
    server = await testServer(at)
    proxy.target = Number(new URL(server.url).port)
  }
  return {
    proxy, home: client.home, key,
    rotate: () => rotate(at.db, at.home),
    copy: (to) => restart(() => {
      const names = log()
      mkdirSync(join(at.folder, to))
      execFileSync('cp', ['-a', ...names, to], { cwd: at.folder })
    }),
    back: (from) => restart(() => {
      for (const name of log()) rmSync(join(at.folder, name), { recursive: true })
      if (from !== undefined) execFileSync('cp', ['-a', `${from}/.`, '.'], { cwd: at.folder })
    }),
  }
}

function memoryOf(home: string): string {
  const found = readdirSync(join(home, 'servers'), { recursive: true }).map(String).filter((name) => /log-[^/]*\.json$/.test(name))
  expect(found.length).toBe(1)
  return join(home, 'servers', found[0]!)
}

test('a log that goes on is remembered further, and nothing is said', async () => {
  const { proxy, home, key, copy } = await place()
  expect(await visit(proxy, key, home)).toEqual({ reports: [], problem: undefined })
  const before = readFileSync(memoryOf(home), 'utf8')
  await copy('copy')
  expect(await visit(proxy, key, home, 600)).toEqual({ reports: [], problem: undefined })
  const sizeIn = (text: string): number => Number((JSON.parse(text) as { checkpoint: string }).checkpoint.split('\n')[1])
  expect(sizeIn(readFileSync(memoryOf(home), 'utf8')) - sizeIn(before)).toBe(602)
})

test.for<[string, number, number, string]>([
  ['shorter than what it signed for', 600, 3, 'log_rolled_back'],
  ['as long by now, with other events', 300, 400, 'log_forked'],
])('a server restored from an old backup, whose log is %s, is noticed each time', async ([, lost, since, code]) => {
  const { proxy, home, key, copy, back } = await place()
  await visit(proxy, key, home)
  await copy('backup')
  await visit(proxy, key, home, lost)
  const remembered = readFileSync(memoryOf(home), 'utf8')
  await back('backup')
  expect(await visit(proxy, key, scratch().home, since)).toEqual({ reports: [], problem: undefined }) // who was not there before sees nothing
  expect(await visit(proxy, key, home)).toEqual({ reports: [code], problem: code })
  expect(readFileSync(memoryOf(home), 'utf8')).toBe(remembered)
  expect(await visit(proxy, key, home)).toEqual({ reports: [code], problem: code })
})

test('a server whose log was begun anew is noticed, and what is recorded is on record there', async () => {
  const { proxy, home, key, back } = await place()
  await visit(proxy, key, home)
  await back(undefined)
  expect(await visit(proxy, key, home)).toEqual({ reports: ['log_replaced'], problem: 'log_replaced' })
  rmSync(memoryOf(home))
  expect(await visit(proxy, key, home)).toEqual({ reports: [], problem: undefined })
})

test('a memory that is damaged is not taken for none', async () => {
  const { proxy, home, key } = await place()
  await visit(proxy, key, home)
  writeFileSync(memoryOf(home), '{"url":')
  expect(await visit(proxy, key, home)).toEqual({ reports: ['memory_malformed'], problem: 'memory_malformed' })
})

/** Rotates the key of the log, as `counterfoil keys rotate` does beside the server. */
async function rotate(db: string, home: string, stolen = false): Promise<string> {
  const ledger = await openLog({ folder: '', db, home }, { clock: Date.now })
  try {
    if (!stolen) return (await ledger.rotate()).vkey
    await ledger.reportKey({ last_good_size: (await ledger.read((view) => view.head()))!.size })
    return ledger.keyring.vkey
  } finally {
    await ledger.close()
  }
}

/** A server in the place of another: what is not in `answers` it asks that one. */
async function forger(url: string): Promise<{ readonly url: string; readonly answers: Map<string, () => string | Promise<string>>; readonly missing: Set<string> }> {
  const answers = new Map<string, () => string | Promise<string>>()
  const missing = new Set<string>()
  const server = createServer((request, response) => {
    if (missing.has(request.url!)) return void response.writeHead(404).end()
    void (async () => {
      const own = answers.get(request.url!)
      if (own !== undefined) return void response.end(await own())
      const chunks: Buffer[] = []
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
      const body = Buffer.concat(chunks)
      const { host: _, connection: __, 'content-length': ___, ...headers } = request.headers as { [name: string]: string }
      const answer = await fetch(`${url}${request.url!}`, { method: request.method!, headers, ...(body.length === 0 ? {} : { body }) })
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' }).end(Buffer.from(await answer.arrayBuffer()))
    })().catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  onTestFinished(() => { server.closeAllConnections(); server.close() })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, answers, missing }
}

describe('the key of the log', () => {
  test('that was rotated away goes on standing for what it signed in its time, and for nothing later', async () => {
    const server = await testServer()
    const key = server.key('agent', { id: 'bot' })
    const reports: string[] = []
    const ours = { url: server.url, key }
    const path = join(scratch().folder, 'log.json')
    const memory = await LogMemory.meet(ours, path, ({ code }) => reports.push(code))
    const old = memory.newest!
    const thief = signingKey({ folder: '', db: server.db, home: server.home })
    await rotate(server.db, server.home)
    const newer = (await server.ask(key, 'GET', '/v1/log/checkpoint')).body as string
    expect(memory.saw(newer)).toBe(false)
    await memory.prove()
    expect([memory.newest, reports]).toEqual([newer, ['log_key_changed']])
    expect(memory.saw(old)).toBe(true) // an answer that was on its way
    expect(memory.newest).toBe(newer)
    const { size, root } = parseTreeHead(parseNote(newer).text)
    expect(memory.saw(signCheckpoint({ origin: memory.origin, size: size + 1, root }, [thief.signer]))).toBe(false)
    await expect(memory.prove()).rejects.toThrow(expect.objectContaining({ code: 'log_replaced' }))
  })

  test('is followed to the next one, while the client is away and while it records', async () => {
    const server = await testServer()
    const client = scratch()
    const [key, proxy] = [server.key('agent', { id: 'bot' }), await TcpProxy.to(server.url)]
    onTestFinished(() => proxy.down())
    const reports: { code: string; message: string }[] = []
    await visit(proxy, key, client.home)
    const first = (JSON.parse(readFileSync(memoryOf(client.home), 'utf8')) as { vkey: string }).vkey
    await rotate(server.db, server.home)
    const third = await rotate(server.db, server.home)
    const trail = openTrail(proxy.url, { key, home: client.home, agent_id: 'agent-1', report: ({ code, message }) => reports.push({ code, message }) })
    await trail.ready()
    const session = await trail.start({})
    await session.record('custom', { name: 'step', content: {} }).durable()
    expect(reports.map(({ code }) => code)).toEqual(['log_key_changed'])
    expect(reports[0]!.message).toContain(`${third.split('+')[1]} now`)
    expect(reports[0]!.message).toContain(`${first.split('+')[1]} handed over`)
    const fourth = await rotate(server.db, server.home)
    await session.record('custom', { name: 'step', content: {} }).durable()
    await trail.close()
    expect(reports.map(({ code }) => code)).toEqual(['log_key_changed', 'log_key_changed'])
    expect(trail.status().problem?.code).toBe('log_key_changed')
    expect((JSON.parse(readFileSync(memoryOf(client.home), 'utf8')) as { vkey: string }).vkey).toBe(fourth)
    expect(await visit(proxy, key, client.home)).toEqual({ reports: [], problem: undefined })
  })

  test('of a copy from before it was rotated is taken for none of the log, and said to look older', async () => {
    const { proxy, home, key, rotate, copy, back } = await place()
    await visit(proxy, key, home)
    await copy('backup')
    await rotate()
    expect(await visit(proxy, key, home)).toEqual({ reports: ['log_key_changed'], problem: 'log_key_changed' })
    await back('backup')
    const said: string[] = []
    const trail = openTrail(proxy.url, { key, home, agent_id: 'agent-1', report: ({ code, message }) => said.push(`${code} ${message}`) })
    await trail.ready()
    await trail.close()
    expect(said).toEqual([expect.stringMatching(/^log_replaced .*as an older copy from before its key was rotated would be/)])
  })

  test('that comes while the client records, and of which the server does not say whence, is told', async () => {
    const server = await testServer()
    const client = scratch()
    const forged = await forger(server.url)
    const reports: string[] = []
    const trail = openTrail(forged.url, { key: server.key('agent', { id: 'bot' }), home: client.home, agent_id: 'agent-1', report: ({ code }) => reports.push(code) })
    await trail.ready()
    const session = await trail.start({})
    await session.record('custom', { name: 'step', content: {} }).durable()
    forged.missing.add('/v1/log/keys')
    await rotate(server.db, server.home)
    for (let times = 0; times < 3; times++) await session.record('custom', { name: 'step', content: {} }).durable()
    await trail.close()
    expect([reports, trail.status().problem?.code]).toEqual([['log_not_shown'], 'log_not_shown'])
  })

  test('that was reported stolen is said to be, with its successor', async () => {
    const server = await testServer()
    const client = scratch()
    const [key, proxy] = [server.key('agent', { id: 'bot' }), await TcpProxy.to(server.url)]
    onTestFinished(() => proxy.down())
    await visit(proxy, key, client.home)
    await rotate(server.db, server.home, true)
    const reports: string[] = []
    const trail = openTrail(proxy.url, { key, home: client.home, agent_id: 'agent-1', report: ({ message, next }) => reports.push(`${message}; ${next}`) })
    await trail.ready()
    await trail.close()
    expect(reports).toEqual([expect.stringMatching(/was reported stolen afterwards; ask who runs the server/)])
  })

  test.each(['no handover', 'a handover by itself', 'a handover to another', 'no list of keys'])('is not taken from a stranger: %s', async (how) => {
    const server = await testServer()
    const client = scratch()
    const key = server.key('agent', { id: 'bot' })
    const forged = await forger(server.url)
    await visit(forged, key, client.home)
    const remembered = readFileSync(memoryOf(client.home), 'utf8')
    const { vkey, checkpoint } = JSON.parse(remembered) as { vkey: string; checkpoint: string }
    const origin = vkey.split('+')[0]!
    const thief = strangeKey(origin)
    forged.answers.set('/v1/log/vkey', () => thief.vkey)
    forged.answers.set('/v1/log/checkpoint', () => signCheckpoint(openCheckpoint(checkpoint, [ed25519Verifier(vkey)]), [thief.signer]))
    const { entries } = (await (await fetch(`${server.url}/v1/log/keys`, { headers: { authorization: `Bearer ${key}` } })).json()) as { entries: string[] }
    expect(entries.length).toBe(1)
    const size = openCheckpoint(checkpoint, [ed25519Verifier(vkey)]).size
    const handover = async (by: { readonly sign: (text: Uint8Array) => Uint8Array | Promise<Uint8Array> }, to: string): Promise<string> => {
      const root = new Uint8Array(32)
      const signature = await by.sign(rotationStatement({ origin, size, root, vkey: to }))
      return canonicalJson({ ...(JSON.parse(entries[0]!) as { [name: string]: string }), event_type: 'key_rotation', index: size, seq: 1, facts: { vkey: to, from_size: size, root: toBase64(root), signature: toBase64(signature) } })
    }
    if (how === 'a handover by itself') forged.answers.set('/v1/log/keys', async () => JSON.stringify({ entries: [...entries, await handover(thief.signer, thief.vkey)] }))
    if (how === 'a handover to another') forged.answers.set('/v1/log/keys', async () => JSON.stringify({ entries: [...entries, await handover(openKeyring(origin, server.home).signer(), strangeKey(origin, 9).vkey)] }))
    if (how === 'no list of keys') forged.answers.set('/v1/log/keys', () => '[]')
    expect(await visit(forged, key, client.home)).toEqual({ reports: ['log_replaced'], problem: 'log_replaced' })
    expect(readFileSync(memoryOf(client.home), 'utf8')).toBe(remembered)
  })
})
