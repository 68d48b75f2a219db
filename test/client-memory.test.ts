// A client remembers its receipts: a server that forgets, forks, rewrites, or begins anew is noticed, said once, and kept in status().

import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openTrail } from '../src/index.ts'
import { scratch } from './scratch.ts'
import { testServer, type TestServer } from './served.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** Records `count` events through the server as it is now, to the end; what was reported, and what status() says. */
async function visit(proxy: TcpProxy, key: string, home: string, count = 3): Promise<{ reports: string[]; problem: string | undefined }> {
  const reports: string[] = []
  const trail = openTrail(proxy.url, { key, home, agent_id: 'agent-1', report: ({ code }) => reports.push(code) })
  await trail.ready()
  const session = await trail.start({})
  for (let i = 0; i < count; i++) session.record('custom', { name: 'step', content: { i } })
  await session.end()
  await trail.close()
  return { reports, problem: trail.status().problem?.code }
}

interface Place { readonly proxy: TcpProxy; readonly home: string; readonly key: string; copy(to: string): Promise<void>; back(from: string | undefined): Promise<void> }

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
