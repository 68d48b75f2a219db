// A log that is not the newest this machine knows: a restored backup, an older copy, two copies that went different ways. Each is called what
// it is where it is opened, verified and examined, and nothing is signed on it.

import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { testContext, type Told } from '../src/cli/fixtures.ts'
import { openLocalTrail } from '../src/cli/local-trail.ts'
import { run } from '../src/cli/program.ts'
import { openTrail } from '../src/index.ts'
import { backUp } from '../src/ledger/backup.ts'
import { restoreBackup } from '../src/ledger/restore.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { createKeyring } from '../src/vault/keyring.ts'
import { appendRun, copyOf, forge, forget, openKeyring, openLog, originAt, place, sameOrigin, scratch, tamper, Telling, verifyAt, type Place } from './sample-log.ts'

const tmp = scratch()
afterAll(() => tmp.remove())
let made = 0
const fresh = (): Place => place(join(tmp.folder, `f${made++}`))

async function grow(where: Place, runs = 1): Promise<number> {
  const ledger = await openLog(where)
  for (let n = 0; n < runs; n++) await appendRun(ledger, new Telling(), { user: `u${made++}`, order: '1' })
  const { size } = (await ledger.read((view) => view.head()))!
  await ledger.close()
  return size
}

async function backup(where: Place): Promise<string> {
  const folder = join(tmp.folder, `b${made++}`)
  const store = await openSqliteStore(where.db, { readOnly: true })
  await backUp(store, openKeyring(originAt(where), where.home), folder, { keys: true })
  await store.close()
  return folder
}

async function counterfoil(where: Place, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const before = process.env['COUNTERFOIL_HOME']
  process.env['COUNTERFOIL_HOME'] = where.home
  try {
    const told: Told = { out: '', err: '' }
    const code = await run(['--trail', where.db, ...args], ({ json, trail }) => testContext(told, { json, cwd: where.folder, env: { COUNTERFOIL_HOME: where.home }, open: (path, mode) => openLocalTrail(path, mode), ...(trail === undefined ? {} : { trail }) }))
    return { code, ...told }
  } finally {
    process.env['COUNTERFOIL_HOME'] = before
  }
}

/** Opening, verifying and examining it all say `code` and something like `says`, and none of them adds an entry. */
async function expectNamed(where: Place, code: string, says: RegExp): Promise<void> {
  const before = (await verifyAt(where)).checkpoint
  const refused = await openLog(where).then((ledger) => ledger.close(), (error: unknown) => error as { name: string; code: string; message: string; next: string })
  expect(refused).toMatchObject({ name: 'VerifyError', code, message: expect.stringMatching(says), next: expect.stringMatching(/^(?:put the newest copy back.*init --continues PATH|keep both copies .*--against OTHER)$/) })
  const verdict = await verifyAt(where)
  expect(verdict.problems.map((problem) => problem.code)).toEqual([code])
  expect(verdict.properties.not_truncated).toMatchObject({ status: 'failed', says: expect.stringMatching(says) })
  const doctor = await counterfoil(where, 'doctor', '--json')
  const { checks } = JSON.parse(doctor.out) as { checks: { name: string; status: string; says: string; next?: string }[] }
  expect([doctor.code, checks.find(({ name }) => name === 'history')]).toEqual([2, { name: 'history', status: 'fail', says: expect.stringMatching(says), next: (refused as { next: string }).next }])
  const shown = await counterfoil(where, 'verify')
  expect([shown.code, shown.out.replaceAll(/\s+/g, ' ')]).toEqual([1, expect.stringContaining(`→ ${(refused as { next: string }).next}`)])
  expect((await verifyAt(where)).checkpoint).toBe(before)
}

describe('a restored backup', () => {
  test('on the machine that signed more before it is called one, with what is missing', async () => {
    const log = fresh()
    const small = await grow(log)
    const folder = await backup(log)
    const size = await grow(log)
    rmSync(log.db)
    const { signed } = await restoreBackup(folder, log.db, { home: log.home, clock: () => Date.UTC(2026, 10, 21, 9) })
    expect(signed).toBe(size)
    await expectNamed(log, 'restored_backup', new RegExp(`these are the ${small} entries of the backup that was restored here at 2026-11-21T09:00:00.000Z, and this machine signed ${size} before that: entries #${small} to #${size - 1} are not in it`))
  })

  test('put back after more was signed on it is called one that was signed on since', async () => {
    const log = fresh()
    const small = await grow(log)
    const folder = await backup(log)
    const other = fresh()
    await restoreBackup(folder, other.db, { home: other.home })
    const size = await grow(other)
    rmSync(other.db)
    cpSync(join(folder, 'log.db'), other.db)
    await expectNamed(other, 'restored_backup', new RegExp(`these are the ${small} entries of the backup.*signed ${size} since: entries`))
  })

  test('where nothing newer was signed goes on, and the trail of an agent too', async () => {
    const log = fresh()
    await grow(log)
    const folder = await backup(log)
    const other = fresh()
    await restoreBackup(folder, other.db, { home: other.home })
    expect(await counterfoil(other, 'doctor', '--json').then(({ out }) => (JSON.parse(out) as { checks: { name: string; status: string }[] }).checks.find(({ name }) => name === 'history')?.status)).toBe('ok')
    process.env['COUNTERFOIL_HOME'] = other.home
    const trail = openTrail(other.db, { agent_id: 'again' })
    await trail.session({}, (session) => session.record('reasoning', { text: 'going on' }).durable())
    await trail.close()
    expect((await verifyAt(other)).problems).toEqual([])
  })

  test('put back whole is no restored backup any more', async () => {
    const log = fresh()
    await grow(log)
    const folder = await backup(log)
    await grow(log)
    const newest = copyOf(log, join(tmp.folder, `n${made++}`))
    rmSync(log.db)
    await restoreBackup(folder, log.db, { home: log.home })
    await expect(openLog(log)).rejects.toMatchObject({ code: 'restored_backup' })
    cpSync(newest.db, log.db)
    await grow(log)
    const { problems, properties } = await verifyAt(log)
    expect([problems, properties.not_truncated.says]).toEqual([[], expect.not.stringContaining('restored')])
  })

  test('is refused to an agent that opens the trail, who hears why', async () => {
    const log = fresh()
    await grow(log)
    const folder = await backup(log)
    await grow(log)
    rmSync(log.db)
    await restoreBackup(folder, log.db, { home: log.home })
    process.env['COUNTERFOIL_HOME'] = log.home
    const trail = openTrail(log.db, { agent_id: 'agent', report: () => undefined })
    await expect(trail.start({})).rejects.toMatchObject({ code: 'restored_backup' })
    await trail.close().catch(() => undefined)
  })
})

describe('an older copy', () => {
  test('put in place is called one', async () => {
    const log = fresh()
    const small = await grow(log)
    const older = copyOf(log, join(tmp.folder, `o${made++}`))
    const size = await grow(log)
    cpSync(older.db, log.db)
    await expectNamed(log, 'rolled_back', new RegExp(`this machine signed ${size} entries of this log before, and ${small} are here: an older copy was put in its place, or its end was cut off`))
  })

  test('that is older than the restored one too', async () => {
    const log = fresh()
    await grow(log)
    const older = copyOf(log, join(tmp.folder, `o${made++}`))
    await grow(log)
    const folder = await backup(log)
    const other = fresh()
    await restoreBackup(folder, other.db, { home: other.home })
    cpSync(older.db, other.db)
    await expectNamed(other, 'rolled_back', /an older copy was put in its place/)
  })
})

describe('two copies of one log that went different ways', () => {
  /** Two copies that were one up to `size`, each with its own machine's memory. */
  async function parted(runsOfA: number, runsOfB: number): Promise<{ a: Place; b: Place; size: number }> {
    const a = fresh()
    const size = await grow(a)
    const b = copyOf(a, join(tmp.folder, `p${made++}`))
    await grow(a, runsOfA)
    await grow(b, runsOfB)
    return { a, b, size }
  }

  test.each([['more', 1, 2], ['as many', 1, 1]] as const)('are called that where the other has %s entries', async (_how, runsOfA, runsOfB) => {
    const { a, b } = await parted(runsOfA, runsOfB)
    cpSync(b.db, a.db)
    await expectNamed(a, 'forked', /two copies of this log went different ways: the first \d+ entries of the \d+ here are not those that this machine signed/)
  })

  test('are called that where the other has fewer entries, and parted before what was proved here', async () => {
    const { a, b } = await parted(1, 1)
    openKeyring(originAt(a), a.home).writeProved((await verifyAt(a)).checkpoint)
    await grow(a)
    cpSync(b.db, a.db)
    await expect(openLog(a)).rejects.toMatchObject({ code: 'forked' })
    expect((await verifyAt(a)).problems.map(({ code }) => code)).toEqual(expect.arrayContaining(['forked']))
  })

  test('both longer than what was remembered are called that as soon as one was looked at', async () => {
    const { a, b } = await parted(1, 2)
    forget(a)
    cpSync(b.db, `${a.db}.b`)
    expect((await counterfoil(a, 'verify')).code).toBe(0) // writes what was proved
    cpSync(`${a.db}.b`, a.db)
    await expectNamed(a, 'forked', /this machine proved/)
  })

  test('of which one is a backup that would be restored beside the other are not restored', async () => {
    const { a, b } = await parted(1, 2)
    const folder = await backup(b)
    rmSync(a.db)
    await expect(restoreBackup(folder, a.db, { home: a.home })).rejects.toMatchObject({ code: 'backup_not_whole', message: expect.stringContaining('went different ways') })
  })

  test('and history rewritten under the same key look the same, and are called by that name', async () => {
    const log = fresh()
    await grow(log)
    sameOrigin(log, log)
    forge(log, (entries) => { entries[3]!.timestamp = '2026-11-21T08:00:00.001Z' })
    await expectNamed(log, 'forked', /history was rewritten or written twice/)
  })
})

describe('a log whose newest entries are lost', () => {
  test('stays as it is, and a new one is begun that names it', async () => {
    const log = fresh()
    await grow(log)
    const older = copyOf(log, join(tmp.folder, `l${made++}`))
    await grow(log)
    cpSync(older.db, log.db)
    const next = { ...log, db: join(log.folder, 'next.db') }
    const begun = await counterfoil(next, 'init', '--continues', log.db, '--json')
    expect([begun.code, JSON.parse(begun.out)]).toEqual([0, { trail: next.db, origin: originAt(next), previous: originAt(log) }])
    expect(originAt(next)).not.toBe(originAt(log))
    const store = await openSqliteStore(next.db, { readOnly: true })
    const first = (await store.read((view) => view.entries(0, 1)))[0]!
    await store.close()
    expect(JSON.parse(new TextDecoder().decode(first.entry))).toMatchObject({ event_type: 'log_start', facts: { origin: originAt(next), previous: originAt(log) } })
    await grow(next)
    expect((await verifyAt(next)).problems).toEqual([])
    expect((await counterfoil(next, 'init', '--continues', log.db)).err).toContain('expected no trail')
    await expect(openLog(log)).rejects.toMatchObject({ code: 'rolled_back' })
  })
})

describe('comparing two copies', () => {
  interface Said { readonly relation: string; readonly common: number; readonly parted_at: number | null; readonly copies: readonly { readonly signed: boolean; readonly size: number }[]; readonly exit_code: number }
  async function compare(at: Place, first: string, second: string): Promise<Said> {
    const { code, out, err } = await counterfoil(at, 'verify', first, '--against', second, '--json')
    if (out === '') throw new Error(err)
    expect((JSON.parse(out) as Said).exit_code).toBe(code)
    return JSON.parse(out) as Said
  }

  test('says whether one goes on from the other, in databases, backups and archives alike', async () => {
    const log = fresh()
    const small = await grow(log)
    const folder = await backup(log)
    const archive = join(tmp.folder, `a${made++}`)
    await counterfoil(log, 'archive', archive)
    const size = await grow(log, 24) // more than one full tile
    expect(await compare(log, log.db, log.db)).toMatchObject({ relation: 'same', common: size, parted_at: null, exit_code: 0 })
    for (const other of [folder, archive]) {
      expect(await compare(log, log.db, other), other).toMatchObject({ relation: 'first_longer', common: small, parted_at: null, exit_code: 0, copies: [{ signed: true, size }, { signed: true, size: small }] })
      expect(await compare(fresh(), other, log.db), other).toMatchObject({ relation: 'second_longer', common: small, exit_code: 0 })
    }
    expect(await compare(log, folder, archive)).toMatchObject({ relation: 'same', common: small })
    const { out, code } = await counterfoil(log, 'verify', '--against', folder)
    expect([code, out]).toEqual([0, expect.stringContaining(`one log: the first goes on from the second with ${size - small} more`)])
  })

  test('finds the first entry in which they differ, whichever is longer, and that both are signed', async () => {
    const a = fresh()
    const size = await grow(a)
    const b = copyOf(a, join(tmp.folder, `p${made++}`))
    await grow(a, 2)
    await grow(b, 1)
    for (const [first, second] of [[a, b], [b, a]] as const) {
      expect(await compare(a, first.db, second.db)).toMatchObject({ relation: 'parted', common: size, parted_at: size, exit_code: 1, copies: [{ signed: true }, { signed: true }] })
    }
    const { out } = await counterfoil(a, 'verify', a.db, '--against', b.db)
    expect(out.replaceAll(/\s+/g, ' ')).toMatch(new RegExp(`they part at #${size}: #0 to #${size - 1} are the same .*both are signed by the key: two histories of one log`))
    expect(out.split('\n').filter((line) => line.length > 80)).toEqual([])
  })

  test('says which of the two is not what the key signed', async () => {
    const log = fresh()
    await grow(log)
    const changed = copyOf(log, join(tmp.folder, `c${made++}`))
    tamper(changed, (sql) => sql("UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), 'support-bot', 'support-bat') AS BLOB) WHERE idx = 1"))
    expect(await compare(log, log.db, changed.db)).toMatchObject({ relation: 'parted', parted_at: 1, exit_code: 1, copies: [{ signed: true }, { signed: false }] })
    const { out } = await counterfoil(log, 'verify', changed.db, '--against', log.db)
    expect(out).toContain('the first is not what the key signed: trust the second')
  })

  test('of other logs says so, and compares no bundle', async () => {
    const [a, b] = [fresh(), fresh()]
    await grow(a)
    await grow(b)
    expect(await compare(a, a.db, b.db)).toMatchObject({ relation: 'other', common: 0, exit_code: 2 })
    expect((await counterfoil(a, 'verify', '--against', import.meta.filename)).err).toContain('--against compares whole logs')
    expect((await counterfoil(a, 'verify', '--against', b.db, '--require', 'unchanged')).err).toContain('no other option')
  })
})

describe('an archive', () => {
  async function archived(log: Place): Promise<string> {
    const folder = join(tmp.folder, `a${made++}`)
    expect((await counterfoil(log, 'archive', folder)).code).toBe(0)
    return folder
  }
  interface Said { readonly whole: boolean; readonly properties: { readonly [name: string]: { readonly status: string; readonly says: string } }; readonly problems: readonly { readonly code: string }[] }
  async function verify(at: Place, folder: string): Promise<Said> {
    return JSON.parse((await counterfoil(at, 'verify', folder, '--json')).out) as Said
  }

  test('is compared with what this machine remembers of its log, and is under the key that it keeps', async () => {
    const log = fresh()
    await grow(log)
    const folder = await archived(log)
    expect(await verify(log, folder)).toMatchObject({ whole: true, properties: { not_truncated: { status: 'proved' }, pinned: { status: 'proved', says: expect.stringContaining('this machine keeps') } } })
    await grow(log)
    expect(await verify(log, folder)).toMatchObject({ whole: true, properties: { not_truncated: { status: 'unknown', says: expect.stringMatching(/this archive has 12 entries, and this machine signed 23 of the log/) } } })
    expect(await verify(fresh(), folder)).toMatchObject({ whole: true, properties: { not_truncated: { status: 'unknown' }, pinned: { status: 'unknown' } } })
  })

  test('of another history than this machine remembers is found out', async () => {
    const a = fresh()
    await grow(a)
    const b = copyOf(a, join(tmp.folder, `p${made++}`))
    await grow(a, 1)
    await grow(b, 2)
    const { whole, problems } = await verify(a, await archived(b))
    expect([whole, problems.map(({ code }) => code)]).toEqual([false, ['forked']])
  })

  test('that is longer than the log is remembered: the log is an older copy then', async () => {
    const log = fresh()
    await grow(log)
    const older = copyOf(log, join(tmp.folder, `o${made++}`))
    await grow(log)
    const folder = await archived(log)
    expect((await verify(older, folder)).whole).toBe(true)
    await expectNamed(older, 'rolled_back', /this machine proved 23 entries/)
  })

  test('under another key than this machine keeps does not pass for its own', async () => {
    const a = fresh()
    await grow(a)
    const impostor = createKeyring(originAt(a), fresh().home)
    const forged = copyOf(a, join(tmp.folder, `k${made++}`))
    forge(sameOrigin(a, forged), (entries) => { entries[0]!.facts = { ...entries[0]!.facts, vkey: impostor.vkey } }, { signer: impostor.signer() })
    const { whole, problems } = await verify(a, await archived({ ...forged, home: fresh().home }))
    expect([whole, problems.map(({ code }) => code)]).toEqual([false, expect.arrayContaining(['checkpoint'])])
  })
})
