// `counterfoil serve` and `counterfoil people` as processes: the server runs while people are added and removed beside it.

import { execFile, spawn, type ExecFileException } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'counterfoil-serve-cli-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const main = join(import.meta.dirname, 'main.ts')
const env = { PATH: process.env['PATH'], HOME: folder, COUNTERFOIL_HOME: join(folder, 'home'), COUNTERFOIL_DB: join(folder, 'audit.db'), COLUMNS: '80' }

function counterfoil(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env, cwd: folder }, (error: ExecFileException | null, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }))
  })
}

test('a server and its people', async () => {
  expect(await counterfoil('people')).toMatchObject({ code: 2, err: expect.stringContaining('counterfoil serve') })
  expect(existsSync(env.COUNTERFOIL_DB)).toBe(false)
  const server = spawn(process.execPath, [main, 'serve', '--port', '0', '--json'], { env, cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  const { value } = await createInterface({ input: server.stdout })[Symbol.asyncIterator]().next()
  const { url, key: admin } = JSON.parse(String(value)) as { url: string; key: string }
  const status = async (key: string): Promise<number> => (await fetch(`${url}/v1/me`, { headers: { authorization: `Bearer ${key}` } })).status
  expect(await status(admin)).toBe(200)
  expect(await counterfoil('serve', '--port', new URL(url).port)).toMatchObject({ code: 2, out: '', err: expect.stringContaining('choose another --port') })

  const added = await counterfoil('people', 'add', 'ada', '--role', 'security', 'approver', '--name', 'Ada L.', '--expires', '90d')
  const key = /cf_\w+/.exec(added.out)?.[0] ?? ''
  expect([added.code, await status(key)]).toEqual([0, 200])
  const again = await counterfoil('people', 'add', 'ada', '--role', 'auditor')
  expect(again).toMatchObject({ code: 0, out: 'ada has other rights now\n' })
  expect(await counterfoil('people', 'add', 'local', '--role', 'agent')).toMatchObject({ code: 2, err: expect.stringContaining('choose another id') })
  expect(await counterfoil('people', 'key', 'ada', '--expires', '2020-01-01')).toMatchObject({ code: 2, err: expect.stringContaining('a moment to come') })
  const { out } = await counterfoil('people')
  expect(out).toContain('ada auditor')
  expect(out).not.toContain(key)
  expect(await counterfoil('people', 'revoke', key.split('_')[1]!)).toMatchObject({ code: 0 })
  expect(await status(key)).toBe(401)
  expect(await counterfoil('people', 'remove', 'ada')).toMatchObject({ code: 0, out: 'ada is removed\n' })
  server.kill('SIGTERM')
  expect(await once(server, 'exit')).toEqual([0, null])
  expect(await counterfoil('verify')).toMatchObject({ code: 0 })
})
