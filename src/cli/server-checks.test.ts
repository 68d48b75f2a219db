import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { testServer } from '../../test/served.ts'
import { checkServer } from './server-checks.ts'

const statusOf = async (url: string, key?: string, now: () => number = Date.now): Promise<Record<string, string>> => Object.fromEntries((await checkServer(new URL(url), key, now)).map(({ name, status }) => [name, status]))

test('a server that is well is said to be, with whose the key is', async () => {
  const server = await testServer()
  const key = server.key('agent', { id: 'bot' })
  expect(await statusOf(server.url, key)).toEqual({ server: 'ok', transport: 'ok', clock: 'ok', log: 'ok', key: 'ok' })
  expect((await checkServer(new URL(server.url), key, Date.now)).at(-1)).toMatchObject({ says: "is bot's of default: agent" })
  expect(await statusOf(server.url)).toMatchObject({ key: 'unknown' })
  expect(await statusOf(server.url, `${key}x`)).toMatchObject({ key: 'fail' })
  expect(await statusOf(server.url, server.key('auditor', { expires_at: new Date(Date.now() + 86_400_000).toISOString() }))).toMatchObject({ key: 'warn' })
  expect(await statusOf(server.url, key, () => Date.now() + 3_600_000)).toMatchObject({ clock: 'warn' })
})

test('what is no server, or none any more, is said, with what to do', async () => {
  const other = createServer((_request, response) => response.end('<html>')).listen(0, '127.0.0.1')
  onTestFinished(() => void other.close())
  await new Promise((resolve) => { other.once('listening', resolve) })
  const { port } = other.address() as AddressInfo
  for (const url of [`http://127.0.0.1:${port}`, `http://127.0.0.1:${port}/behind/a/proxy/`, 'http://127.0.0.1:1']) {
    const [check, ...more] = await checkServer(new URL(url), undefined, Date.now)
    expect([check!.name, check!.status, more]).toEqual(['server', 'fail', []])
    expect(check!.next).not.toBe('')
  }
})
