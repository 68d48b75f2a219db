// `counterfoil witness` as processes: a key, a witness that serves until Ctrl-C, and what misuse of them says.

import { execFile, spawn, type ExecFileException } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, expect, test } from 'vitest'
import { testSigner } from '../../test/signer.ts'
import { openKeyring, originAt, place, smallLog } from '../../test/sample-log.ts'

const folder = mkdtempSync(join(tmpdir(), 'counterfoil-witness-cli-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const main = join(import.meta.dirname, 'main.ts')
const log = place(join(folder, 'log'))
const env = { PATH: process.env['PATH'], HOME: folder, COUNTERFOIL_HOME: log.home, COUNTERFOIL_DB: log.db, COLUMNS: '80' }

function counterfoil(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env, cwd: folder }, (error: ExecFileException | null, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }))
  })
}

test('a key, a witness, a submission and a proof', async () => {
  await smallLog(log)
  const vkey = openKeyring(originAt(log), log.home).vkey
  expect(await counterfoil('witness', 'serve', '--state', 'w', '--log', vkey)).toMatchObject({ code: 2, err: expect.stringContaining('counterfoil witness key --state DIR --name NAME') })
  const made = await counterfoil('witness', 'key', '--state', 'w', '--name', 'witness.example/w1')
  expect(made).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^witness\.example\/w1\+[0-9a-f]{8}\+\S+\n$/) })
  expect((await counterfoil('witness', 'key', '--state', 'w')).out).toBe(made.out)
  expect(await counterfoil('witness', 'key', '--state', 'w', '--name', 'other')).toMatchObject({ code: 2, err: expect.stringContaining('exists already') })
  expect(await counterfoil('witness', 'serve', '--state', 'w', '--log', testSigner('x', 1).vkey.slice(1))).toMatchObject({ code: 2 })

  const server = spawn(process.execPath, [main, 'witness', 'serve', '--state', 'w', '--log', vkey, testSigner('other.example', 1).vkey, '--port', '0', '--json'], { env, cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] })
  const { value } = await createInterface({ input: server.stdout })[Symbol.asyncIterator]().next()
  const { url, logs } = JSON.parse(String(value)) as { url: string; logs: string[] }
  expect(logs).toEqual([originAt(log), 'other.example'])
  expect(await counterfoil('witness', 'serve', '--state', 'w', '--log', vkey, '--port', '0')).toMatchObject({ code: 2, err: expect.stringContaining('another process holds') })

  writeFileSync(join(folder, 'policy.txt'), `log ${vkey}\nwitness w1 ${made.out.trim()} ${url}\nquorum w1\n`)
  expect(await counterfoil('verify', '--policy', 'policy.txt', '--require', 'witnessed')).toMatchObject({ code: 3 })
  expect(await counterfoil('witness', 'submit', '--policy', 'policy.txt')).toMatchObject({ code: 0, out: expect.stringMatching(/^ {2}w1: cosigned at .*\nsatisfied: 1 witness of 1 organisation, /) })
  expect(await counterfoil('verify', '--policy', 'policy.txt', '--require', 'witnessed')).toMatchObject({ code: 0, out: expect.stringContaining('whole, witnessed') })
  server.kill('SIGINT')
  expect(await once(server, 'exit')).toEqual([0, null])
  expect(await counterfoil('witness', 'submit', '--policy', 'policy.txt')).toMatchObject({ code: 3, out: expect.stringContaining('cannot be reached') })
  for (const [file, said] of [['no.txt', 'cannot be read'], ['audit.db', 'policy']]) expect(await counterfoil('verify', '--policy', file!)).toMatchObject({ code: 2, err: expect.stringContaining(said!) })
  writeFileSync(join(folder, 'bad.txt'), 'quorum w1\n')
  expect(await counterfoil('verify', '--policy', 'bad.txt')).toMatchObject({ code: 2, err: expect.stringContaining('policy line 1') })
  chmodSync(join(folder, 'w', 'witness.key'), 0o644)
  expect(await counterfoil('witness', 'key', '--state', 'w')).toMatchObject({ code: 2, err: expect.stringContaining('chmod 600') })
})
