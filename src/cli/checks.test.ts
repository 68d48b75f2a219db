import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { formatTime } from '../base/clock.ts'
import { randomRef, uuidv7 } from '../base/ids.ts'
import { encodeDraft, type Draft } from '../event/draft.ts'
import { thisOwner, type Owner } from '../spool/owner.ts'
import { createSpool, type SpoolWriter } from '../spool/writer.ts'
import { openTrail } from '../trail/trail.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../vault/spool-key.ts'
import { checkBacklog, checkClock, checkFileSystem, checkFolder, checkMode, checkNode, checkSqlite, checkState } from './checks.ts'
import { testContext, type Told } from './fixtures.ts'
import { openLocalTrail } from './local-trail.ts'
import { run } from './program.ts'
import { shellQuoted } from './shell.ts'
import type { SpoolReport } from './spools.ts'

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

describe('what waits for the log', () => {
  const NOW = Date.parse('2026-11-21T12:00:00.000Z')
  const spool = (of: Partial<SpoolReport>): SpoolReport => ({ path: '/a.db.spool/0', owner: 'alive', pid: 7, bytes: 500, waiting_bytes: 300, waiting: 3, oldest: '2026-11-21T11:59:58.000Z', ...of })
  const said = (...spools: SpoolReport[]): string[] => checkBacklog({ spools }, NOW).map(({ status, says, next }) => `${status}: ${says}${next === undefined ? '' : ' → ' + next}`)

  test('is fine while its process lives and it is young, and a warning with a next step when it is old', () => {
    expect(said()).toEqual(['ok: nothing waits to be put into the log'])
    expect(said(spool({ waiting: 0, waiting_bytes: 0 }))).toEqual(['ok: nothing waits to be put into the log; 1 process records'])
    expect(said(spool({}))).toEqual(['ok: 3 events, 300 B, the oldest for 2.0 s: process 7 lives and puts them into the log'])
    expect(said(spool({ oldest: '2026-11-21T11:50:00.000Z' }))).toEqual([expect.stringMatching(/^warn: 3 events, 300 B, the oldest for 10 min: process 7 lives, and they are not in the log → look at what it reported/)])
  })

  test('of a process that is gone, or that nobody can know of, says who puts it into the log', () => {
    expect(said(spool({ owner: 'dead' }))).toEqual([expect.stringMatching(/^warn: .*left by process 7, which is gone → they could not be put into the log now: .*COUNTERFOIL_HOME/)])
    expect(said(spool({ owner: 'unknown' }))).toEqual([expect.stringMatching(/^warn: .*cannot be known here → .*same machine, same container/)])
    expect(said(spool({ owner: 'dead', waiting: null, oldest: null }))).toEqual([expect.stringContaining('an unknown number of events, 300 B, left by process 7')])
    expect(said(spool({ owner: 'dead', waiting: 0, oldest: null }))).toEqual([expect.stringMatching(/^warn: 300 B that do not read here, of process 7.* → keep the file, .*COUNTERFOIL_HOME/)])
  })

  test('near the bound is a warning of its own, and of many spools the fullest are told', () => {
    expect(said(spool({ waiting_bytes: 0.75 * 2 ** 30 }))[0]).toMatch(/^warn: 805 MB wait for the log; at 1\.1 GB, unless openTrail says otherwise/)
    const many = said(...Array.from({ length: 9 }, (_, i) => spool({ pid: i, waiting_bytes: 100 + i })))
    expect(many).toHaveLength(6)
    expect([many[0], many[5]]).toEqual([expect.stringContaining('process 8'), expect.stringContaining('4 more spools with 406 B')])
  })
})

test('the spools of a trail that is written are told with owner, size and age, as doctor tells them', async () => {
  const [path, home] = [join(folder, 'a.db'), join(folder, 'home')]
  const trail = openTrail(path, { agent_id: 'a', home })
  const session = await trail.start({})
  await session.record('reasoning', { text: 'on record' }).durable()
  const told: Told = { out: '', err: '' }
  const backlog = async (keys = home): Promise<{ status: string; says: string }[]> => {
    told.out = ''
    await run(['doctor', '--json'], ({ json }) => ({ ...testContext(told, { json, trail: path, env: { COUNTERFOIL_HOME: home } }), open: (at, mode) => openLocalTrail(at, mode, keys), now: Date.now }))
    return (JSON.parse(told.out) as { checks: { name: string; status: string; says: string }[] }).checks.filter(({ name }) => name === 'spool')
  }
  expect(await backlog()).toMatchObject([{ status: 'ok', says: 'nothing waits to be put into the log' }])
  await session.end()
  await trail.close()
  const spool = (owner: Owner): SpoolWriter => createSpool(`${path}.spool`, { origin: SPOOL_ORIGIN, key: openSpoolKey(home), owner })
  const draft: Draft = { event_id: uuidv7(Date.now()), event_type: 'custom', session_id: uuidv7(Date.now()), timestamp: formatTime(Date.now() - 5_000), capture: 'after', facts: { name: 'left' }, payloads: {} }
  const dead = spool({ ...thisOwner(), pid: 1, start_time: '1' })
  dead.append(encodeDraft({ ...draft, stream: randomRef(), stream_seq: 0 }))
  dead.close()
  expect(await backlog(join(folder, 'other'))).toMatchObject([{ status: 'warn', says: expect.stringMatching(/^\d+ B that do not read here, of process 1: /) }])
  expect(await backlog()).toMatchObject([{ status: 'ok' }]) // with the keys, a look at it put them into the log
  const alive = spool(thisOwner())
  alive.append(encodeDraft({ ...draft, event_id: uuidv7(Date.now()), stream: randomRef(), stream_seq: 0 }))
  expect(await backlog()).toMatchObject([{ status: 'ok', says: expect.stringMatching(/^1 event, \d+ B, the oldest for \d+\.\d s: process \d+ lives and puts them into the log$/) }])
  alive.close()
})
