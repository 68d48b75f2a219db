import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkClock, checkFileSystem, checkFolder, checkMode, checkNode, checkSqlite, checkState } from './checks.ts'
import { testContext, type Told } from './fixtures.ts'
import { run } from './program.ts'
import { shellQuoted } from './shell.ts'

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'counterfoil-checks-')) })
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('versions are compared as numbers', () => {
  expect(['22.17.9', '22.18.0', '24.0.0', '9.99.0'].map((version) => checkNode(version).status)).toEqual(['fail', 'ok', 'ok', 'fail'])
  expect(['3.9.0', '3.39.4', '3.40.0', '3.53.4', '4.0.0'].map((version) => checkSqlite(version).status)).toEqual(['fail', 'fail', 'ok', 'ok', 'ok'])
  expect(checkSqlite(new Error('no such module'))).toMatchObject({ status: 'fail', says: expect.stringContaining('no such module') })
})

test('a clock that cannot be right, or that was set back, is said', () => {
  const now = Date.UTC(2026, 10, 21, 8)
  expect(checkClock(now)).toMatchObject({ status: 'ok', says: '2026-11-21T08:00:00.000Z' })
  expect(checkClock(0)).toMatchObject({ status: 'fail', next: expect.any(String) })
  expect(checkClock(now, new Date(now).toISOString()).status).toBe('ok')
  expect(checkClock(now, new Date(now + 7_200_000).toISOString())).toMatchObject({ status: 'warn', says: expect.stringContaining('2 h later') })
})

test('a folder must be there and be one', () => {
  writeFileSync(join(folder, 'file'), '')
  expect(checkFolder(folder).status).toBe('ok')
  expect(checkFolder(join(folder, 'it is not there'))).toMatchObject({ status: 'fail', run: `mkdir -p '${folder}/it is not there'` })
  expect(checkFolder(join(folder, 'file')).status).toBe('fail')
  expect(checkFileSystem(join(folder, 'not', 'yet')).says).toBe(checkFileSystem(folder).says)
})

test.skipIf(process.platform === 'win32' || process.getuid?.() === 0)('a folder that may not be written is said', () => {
  chmodSync(folder, 0o500)
  expect([checkFolder(folder).status, checkState(folder)[0]?.status, checkState(join(folder, 'state'))[0]?.status]).toEqual(['fail', 'fail', 'fail'])
  chmodSync(folder, 0o700)
})

describe.skipIf(process.platform === 'win32')('the state folder', () => {
  test('that others may enter is wrong, and the command given puts it right', () => {
    const home = join(folder, "ada's state")
    mkdirSync(home)
    chmodSync(home, 0o755)
    const [, rights] = checkState(home)
    expect(rights).toMatchObject({ name: 'state rights', status: 'fail' })
    execFileSync('sh', ['-c', rights!.run!])
    expect(statSync(home).mode & 0o777).toBe(0o700)
    expect(checkState(home).map(({ status }) => status)).toEqual(['ok', 'ok'])
  })

  test('is made at the first use, and is no file', () => {
    writeFileSync(join(folder, 'file'), '')
    expect(checkState(join(folder, 'a', 'b'))).toMatchObject([{ status: 'ok', says: expect.stringContaining('made at the first use') }])
    expect(checkState(join(folder, 'file'))).toMatchObject([{ status: 'fail' }])
  })

  test('of a database says what others may', () => {
    const path = join(folder, 'a.db')
    writeFileSync(path, '')
    chmodSync(path, 0o644)
    expect(checkMode('trail', path, 0o600)).toMatchObject({ status: 'warn', says: '0644: others may read it', run: `chmod 0600 ${path}` })
  })
})

test('before there is a trail, everything that it will need is looked at, and nothing is made', async () => {
  const told: Told = { out: '', err: '' }
  const [trail, home] = [join(folder, 'agent_audit.db'), join(folder, 'state')]
  const code = await run(['doctor', '--json'], ({ json }) => testContext(told, { json, trail, env: { COUNTERFOIL_HOME: home } }))
  const { checks } = JSON.parse(told.out) as { checks: { name: string; status: string; next?: string; run?: string }[] }
  expect([code, told.err]).toEqual([0, ''])
  expect(checks.map(({ name }) => name)).toEqual(['node', 'sqlite', 'clock', 'trail', 'folder', 'disk', 'folder rights', 'spool', 'state', 'keys apart', 'git'])
  expect(checks.filter(({ status, next, run: command }) => (status === 'warn' || status === 'fail') && next === undefined && command === undefined)).toEqual([])
  expect(statSync(home, { throwIfNoEntry: false })).toBeUndefined()
  const relative = await run(['doctor'], () => testContext(told, { trail, env: { COUNTERFOIL_HOME: 'here' } }))
  expect([relative, told.out]).toEqual([2, expect.stringContaining('wrong    state')])
})

test.skipIf(process.platform === 'win32')('a quoted word is one word to the shell', () => {
  for (const text of ['/a/b.db', "it's", 'a b', '$HOME', '', '~', '`x`', 'a"b\\', '-n']) expect(execFileSync('sh', ['-c', `printf %s. ${shellQuoted(text)}`], { encoding: 'utf8' })).toBe(`${text}.`)
})
