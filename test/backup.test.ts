// Backups: taken while others write, of logs whose keys are renewed meanwhile; restored whole or not at all; attacked file by file.

import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { testContext, type Told } from '../src/cli/fixtures.ts'
import { openLocalTrail } from '../src/cli/local-trail.ts'
import { run } from '../src/cli/program.ts'
import { backUp, type BackedUp } from '../src/ledger/backup.ts'
import { formatManifest, parseManifest } from '../src/ledger/backup-manifest.ts'
import { hashFile } from '../src/ledger/backup-folder.ts'
import { LogReader } from '../src/ledger/reader.ts'
import { restoreBackup, verifyBackup, type RestoredLog } from '../src/ledger/restore.ts'
import type { Store } from '../src/store/contract.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { formatSecretKey } from '../src/vault/key-text.ts'
import { slugOf } from '../src/vault/paths.ts'
import { appendRun, copyOf, openKeyring, openLog, originAt, place, scratch, smallLog, tamper, Telling, verifyAt, type Place } from './sample-log.ts'

const tmp = scratch()
afterAll(() => tmp.remove())
let made = 0
const fresh = (): string => join(tmp.folder, `f${made++}`)

async function backup(where: Place, folder: string = fresh(), keys = true): Promise<BackedUp & { folder: string }> {
  const store = await openSqliteStore(where.db, { readOnly: true })
  try {
    return { ...(await backUp(store, openKeyring(originAt(where), where.home), folder, { keys })), folder }
  } finally {
    await store.close()
  }
}

function restore(from: string, to: Place): Promise<RestoredLog> {
  return restoreBackup(from, to.db, { home: to.home })
}

/** Every event with its payloads, as somebody with the keys reads it. */
async function readBack({ db, home }: Place): Promise<string> {
  const store = await openSqliteStore(db, { readOnly: true })
  try {
    return JSON.stringify(await new LogReader(store, openKeyring(originAt({ db }), home)).newest(100_000))
  } finally {
    await store.close()
  }
}

/** Every file and folder below, with bytes and rights. */
function snapshot(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort().map((name) => {
    const stat = statSync(join(folder, name))
    return `${name} ${(stat.mode & 0o777).toString(8)} ${stat.isFile() ? readFileSync(join(folder, name), 'base64') : ''}`
  })
}

const log = place(join(tmp.folder, 'log'))
let whole = ''
beforeAll(async () => {
  await smallLog(log)
  whole = (await backup(log)).folder
})

describe('a backup', () => {
  test('holds the database, the keys, the checkpoint and what they are, for its owner only', () => {
    const slug = slugOf(originAt(log))
    expect(readdirSync(whole, { recursive: true, encoding: 'utf8' }).sort()).toEqual([
      'README.txt', 'checkpoint', 'keys', `keys/${slug}`, ...['fingerprint.key', 'kek-1', 'log.key', 'log.pub'].map((name) => `keys/${slug}/${name}`), 'log.db', 'manifest.json',
    ].sort())
    for (const name of readdirSync(whole, { recursive: true, encoding: 'utf8' })) expect(statSync(join(whole, name)).mode & 0o077, name).toBe(0)
    expect(statSync(whole).mode & 0o777).toBe(0o700)
    const readme = readFileSync(join(whole, 'README.txt'), 'utf8')
    expect(readme).toContain(originAt(log))
    expect(readme).toContain('can read everything in it, and can sign as this log')
    expect(readme.split('\n').filter((line) => line.length > 88)).toEqual([])
  })

  test('is restored on a new machine to the same log, which goes on', async () => {
    const to = place(fresh())
    const { verdict, keys, signed } = await restore(whole, to)
    expect([verdict.whole, keys, signed]).toEqual([true, 'restored', undefined])
    expect(await readBack(to)).toBe(await readBack(log))
    expect((await verifyAt(to)).checkpoint).toBe((await verifyAt(log)).checkpoint)
    expect(statSync(to.db).mode & 0o777).toBe(0o600)
    expect(readdirSync(to.folder).sort()).toEqual(['home', 'log.db'])
    const ledger = await openLog(to)
    await appendRun(ledger, new Telling(), { user: 'after', order: '9' })
    await ledger.close()
    const after = await verifyAt(to)
    expect(after.whole).toBe(true)
    expect(after.properties.not_truncated.says).toMatch(/last signed \(#\d+\); it was restored from a backup of \d+ entries at 20.*what was recorded elsewhere after that is not known here/)
  })

  test('of random logs reads back equal', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.record({ user: fc.string({ maxLength: 20 }), order: fc.string({ maxLength: 60 }), end: fc.boolean(), renew: fc.boolean(), erase: fc.boolean() }), { minLength: 1, maxLength: 4 }), async (runs) => {
      const [from, to] = [place(fresh()), place(fresh())]
      const ledger = await openLog(from)
      for (const { user, order, end, renew, erase } of runs) {
        const tell = new Telling()
        await appendRun(ledger, tell, { user, order, end })
        if (renew) await ledger.renewKek()
        if (erase) await ledger.erase({ session_ids: [tell.session_id], reason: 'test' })
      }
      await ledger.close()
      const { folder, size, checkpoint } = await backup(from)
      const { verdict } = await restore(folder, to)
      expect([verdict.problems, verdict.size, verdict.checkpoint]).toEqual([[], size, checkpoint])
      expect(await readBack(to)).toBe(await readBack(from))
    }), { numRuns: 8 })
  })

  test('without keys says so, opens nothing, and is restored beside keys that are there', async () => {
    const { folder, keys } = await backup(log, fresh(), false)
    expect(keys).toBe(false)
    expect(existsSync(join(folder, 'keys'))).toBe(false)
    expect(readFileSync(join(folder, 'README.txt'), 'utf8')).toContain('made with --no-keys')
    const stranger = place(fresh())
    const { verdict, keys: none } = await restore(folder, stranger)
    expect([none, verdict.properties.payloads.status, verdict.properties.pinned.status, existsSync(stranger.home)]).toEqual(['none', 'unknown', 'unknown', false])
    await expect(openLog(stranger)).rejects.toMatchObject({ code: 'keys_missing' })
    const owner = copyOf(log, fresh())
    rmSync(owner.db)
    expect((await restore(folder, owner)).keys).toBe('here')
    expect(await readBack(owner)).toBe(await readBack(log))
  })

  test('is not written over anything, and not of a log that is behind', async () => {
    const folder = fresh()
    writeFileSync(folder, 'x')
    await expect(backup(log, folder)).rejects.toMatchObject({ code: 'not_a_folder' })
    await expect(backup(log, whole)).rejects.toMatchObject({ code: 'folder_not_empty' })
    const behind = copyOf(log, fresh())
    const older = copyOf(behind, fresh())
    const ledger = await openLog(behind)
    await appendRun(ledger, new Telling(), { user: 'x', order: '1' })
    await ledger.close()
    cpSync(older.db, behind.db)
    const target = fresh()
    await expect(backup(behind, target)).rejects.toMatchObject({ code: 'rolled_back' })
    expect(existsSync(target)).toBe(false)
  })

  test('holds no KEK that is on its way out', async () => {
    const where = copyOf(log, fresh())
    const ledger = await openLog(where)
    await ledger.renewKek()
    await ledger.close()
    const slug = slugOf(originAt(log))
    cpSync(join(log.home, slug, 'kek-1'), join(where.home, slug, 'kek-1')) // a renewal that was killed before its last step
    const { folder } = await backup(where)
    expect(readdirSync(join(folder, 'keys', slug)).filter((name) => name.startsWith('kek'))).toEqual(['kek-2'])
  })

  test('is taken again when the KEK is renewed between its database and its keys', async () => {
    const where = copyOf(log, fresh())
    const ledger = await openLog(where)
    const store = await openSqliteStore(where.db, { readOnly: true })
    let copies = 0
    const racing: Store = {
      name: store.name, read: (fn) => store.read(fn), append: (fn) => store.append(fn), wipe: () => store.wipe(), close: () => store.close(),
      async copyTo(path) {
        await store.copyTo(path)
        if (copies++ === 0) await ledger.renewKek()
      },
    }
    const folder = fresh()
    await backUp(racing, ledger.keyring, folder, { keys: true })
    await store.close()
    await ledger.close()
    expect([copies, readdirSync(join(folder, 'keys', slugOf(originAt(log)))).filter((name) => name.startsWith('kek'))]).toEqual([2, ['kek-2']])
    expect(await verifyBackup(folder, { home: fresh() })).toMatchObject({ whole: true, properties: { payloads: { status: 'proved' } } })
  })

  test('of two at once into one folder is one, whole', async () => {
    const folder = fresh()
    const runs = await Promise.allSettled([backup(log, folder), backup(log, folder)])
    expect(runs.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(runs.find((run) => run.status === 'rejected')?.reason).toMatchObject({ code: 'folder_not_empty' })
    expect((await verifyBackup(folder, { home: fresh() })).whole).toBe(true)
  })

  test('refused for a KEK that is gone leaves nothing', async () => {
    const broken = copyOf(log, fresh())
    const keyring = openKeyring(originAt(log), broken.home)
    keyring.makeKek(2)
    keyring.destroyKek(1)
    const target = fresh()
    await expect(backup(broken, target)).rejects.toMatchObject({ code: 'kek_missing' })
    expect(existsSync(target)).toBe(false)
  })
})

describe('the screens', () => {
  test('of backup and restore say what was done and who can read it, in 80 columns', async () => {
    const where = copyOf(log, fresh())
    const [folder, back] = [fresh(), fresh()]
    const said = async (home: string, ...args: string[]): Promise<string> => {
      process.env['COUNTERFOIL_HOME'] = home
      const told: Told = { out: '', err: '' }
      expect([await run(args, ({ json, trail }) => testContext(told, { json, cwd: where.folder, open: (path, mode) => openLocalTrail(path, mode), ...(trail === undefined ? {} : { trail }) })), told.err]).toEqual([0, ''])
      expect(told.out.split('\n').filter((line) => line.length > 80)).toEqual([])
      return told.out.replaceAll(/\s+/g, ' ')
    }
    const size = (await verifyAt(where)).size
    expect(await said(where.home, '--trail', where.db, 'backup', folder)).toMatch(new RegExp(`^backed up ${size} entries to .*whoever holds it can read everything and sign as this log`))
    expect(await said(where.home, '--trail', where.db, 'backup', back, '--no-keys')).toContain('the keys are not in it')
    const out = await said(join(fresh(), 'home'), '--trail', join(where.folder, 'new.db'), 'restore', folder)
    expect(out).toMatch(/^restored \d+ entries to .* the backup was made 20\S+Z; what was recorded after that is not in it the keys were restored with it, from the backup .*erase it again $/)
  })
})

describe('a restore', () => {
  test('writes over no trail', async () => {
    for (const suffix of ['', '-wal']) {
      const to = place(fresh())
      writeFileSync(`${to.db}${suffix}`, 'mine')
      await expect(restore(whole, to)).rejects.toMatchObject({ code: 'trail_exists' })
      expect(readdirSync(to.folder)).toEqual([`log.db${suffix}`])
      expect(readFileSync(`${to.db}${suffix}`, 'utf8')).toBe('mine')
    }
  })

  test('adds a KEK that the keys here lack, and the next opening renews it away', async () => {
    const here = copyOf(log, fresh())
    const ledger = await openLog(here)
    await ledger.renewKek()
    await ledger.close()
    rmSync(here.db)
    expect((await restore(whole, here)).keys).toBe('here')
    expect(openKeyring(originAt(log), here.home).keks().map(({ generation }) => generation)).toEqual([1, 2])
    const again = await openLog(here)
    await again.close()
    expect(openKeyring(originAt(log), here.home).keks().map(({ generation }) => generation)).toEqual([2])
    expect(await readBack(here)).toBe(await readBack(log))
  })

  test('adds no KEK that no secret in it is under: it would be the newest, and known to whoever put it there', async () => {
    const here = copyOf(log, fresh())
    rmSync(here.db)
    const folder = fresh()
    cpSync(whole, folder, { recursive: true })
    const slug = slugOf(originAt(log))
    const known = formatSecretKey('kek-9', originAt(log), new Uint8Array(32))
    writeFileSync(join(folder, 'keys', slug, 'kek-9'), known, { mode: 0o600 })
    writeFileSync(join(folder, 'keys', slug, 'head'), 'nobody signed this\n', { mode: 0o600 })
    lie(folder)
    expect((await restore(folder, here)).keys).toBe('here')
    expect(openKeyring(originAt(log), here.home).keks().map(({ generation }) => generation)).toEqual([1])
    await (await openLog(here)).close()
  })

  test('under keys that do not open it changes nothing', async () => {
    const here = copyOf(log, fresh())
    const renewed = copyOf(log, fresh())
    for (const one of [here, renewed]) {
      const ledger = await openLog(one)
      await ledger.renewKek()
      await ledger.close()
    }
    const { folder } = await backup(renewed)
    rmSync(here.db)
    const before = snapshot(here.folder)
    await expect(restore(folder, here)).rejects.toMatchObject({ code: 'backup_not_whole', message: expect.stringContaining('does not open with KEK generation 2') })
    expect(snapshot(here.folder)).toEqual(before)
  })

  test('of a backup with any bit flipped, any file cut, gone, added or exchanged changes nothing and says why', async () => {
    const other = (await backup(await another())).folder
    const slug = slugOf(originAt(log))
    const files = readdirSync(whole, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(whole, name)).isFile())
    expect(files.length).toBe(8)
    const attacks: [string, (folder: string) => void, boolean][] = []
    for (const name of files) {
      const bytes = readFileSync(join(whole, name))
      const step = Math.max(1, Math.floor(bytes.length / (name === 'manifest.json' ? 400 : 16)))
      for (let at = 0; at < bytes.length; at += step) attacks.push([`${name} bit at ${at}`, (folder) => { const flipped = Buffer.from(bytes); flipped[at]! ^= 1 << at % 8; writeFileSync(join(folder, name), flipped) }, at > 0])
      attacks.push([`${name} cut`, (folder) => writeFileSync(join(folder, name), bytes.subarray(0, -1)), false])
      attacks.push([`${name} longer`, (folder) => writeFileSync(join(folder, name), Buffer.concat([bytes, Buffer.of(10)])), false])
      attacks.push([`${name} gone`, (folder) => rmSync(join(folder, name)), false])
      if (!name.startsWith('keys')) attacks.push([`${name} of another backup`, (folder) => cpSync(join(other, name), join(folder, name)), false])
    }
    attacks.push(['one file more', (folder) => writeFileSync(join(folder, 'keys', slug, 'kek-2'), 'x'), false])
    attacks.push(['INCOMPLETE', (folder) => writeFileSync(join(folder, 'INCOMPLETE'), ''), false])
    const attacked = join(tmp.folder, 'attacked')
    const to = place(fresh())
    cpSync(whole, attacked, { recursive: true })
    for (const [what, attack, verified] of attacks) {
      attack(attacked)
      const looked = verified ? verifyBackup(attacked, { home: to.home }) : restore(attacked, to)
      const error = await looked.then(() => undefined, (error: unknown) => error as { code: string; next: string })
      expect(error?.code, what).toMatch(/^(?:backup_manifest|backup_file|backup_incomplete|not_a_backup|newer_format)$/)
      expect(error?.next, what).not.toBe('')
      expect(readdirSync(to.folder), what).toEqual([])
      for (const name of [what.split(' ')[0]!, `keys/${slug}/kek-2`, 'INCOMPLETE']) rmSync(join(attacked, name), { force: true })
      if (files.includes(what.split(' ')[0]!)) cpSync(join(whole, what.split(' ')[0]!), join(attacked, what.split(' ')[0]!))
    }
    expect((await restore(attacked, to)).verdict.whole).toBe(true) // nothing else was wrong with it
  })

  test('of a backup whose manifest lies is refused by what the log itself says', async () => {
    const lies: [string, (folder: string) => void, RegExp][] = [
      ['another size', (folder) => lie(folder, { size: 7 }), /^backup_other$/],
      ['another log', (folder) => lie(folder, { origin: 'elsewhere.example' }), /^backup_other$|^keys_missing$/],
      ['another checkpoint', (folder) => { writeFileSync(join(folder, 'checkpoint'), 'elsewhere\n'); lie(folder) }, /^backup_other$/],
      ['an entry changed', (folder) => { tamper({ folder, db: join(folder, 'log.db'), home: '' }, (sql) => sql("UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), 'refund', 'refunD') AS BLOB) WHERE idx = 20")); lie(folder) }, /^backup_not_whole$/],
      ['content gone', (folder) => { tamper({ folder, db: join(folder, 'log.db'), home: '' }, (sql) => sql("UPDATE segments SET bytes = x'' WHERE segment = 2")); lie(folder) }, /^backup_not_whole$/],
      ['keys of another log', (folder) => {
        const [slug] = readdirSync(join(folder, 'keys'))
        rmSync(join(folder, 'keys', slug!), { recursive: true })
        const from = place(join(tmp.folder, 'another'))
        cpSync(join(from.home, slugOf(originAt(from))), join(folder, 'keys', slug!), { recursive: true })
        for (const name of ['head', 'proved']) rmSync(join(folder, 'keys', slug!, name), { force: true })
        lie(folder)
      }, /^key_malformed$/],
    ]
    await another()
    for (const [what, attack, code] of lies) {
      const folder = fresh()
      cpSync(whole, folder, { recursive: true })
      attack(folder)
      const to = place(fresh())
      const error = await restore(folder, to).then(() => undefined, (error: unknown) => error as { code: string })
      expect(error?.code, what).toMatch(code)
      expect(readdirSync(to.folder), what).toEqual([])
    }
  })
})

let otherLog: Promise<Place> | undefined
function another(): Promise<Place> {
  otherLog ??= (async () => {
    const where = place(join(tmp.folder, 'another'))
    await smallLog(where)
    return where
  })()
  return otherLog
}

/** Writes a manifest that fits the files, and says what the attacker wants. */
function lie(folder: string, more: { size?: number; origin?: string } = {}): void {
  const manifest = parseManifest(readFileSync(join(folder, 'manifest.json'), 'utf8'))
  rmSync(join(folder, 'log.db-wal'), { force: true })
  rmSync(join(folder, 'log.db-shm'), { force: true })
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile() && name !== 'manifest.json').sort()
  writeFileSync(join(folder, 'manifest.json'), formatManifest({ ...manifest, ...more, files: paths.map((path) => hashFile(folder, path)) }))
}

describe('verifying a backup folder', () => {
  test('proves it without restoring, and leaves it as it is', async () => {
    const before = snapshot(whole)
    const verdict = await verifyBackup(whole, { home: fresh() })
    expect([verdict.whole, verdict.properties.payloads.status, verdict.properties.not_truncated.status]).toEqual([true, 'proved', 'unknown'])
    expect(snapshot(whole)).toEqual(before)
  })

  test('says that the log has gone on since, which is no failure, and that it is of another history, which is', async () => {
    const on = copyOf(log, fresh())
    const ledger = await openLog(on)
    await appendRun(ledger, new Telling(), { user: 'x', order: '1' })
    await ledger.close()
    const verdict = await verifyBackup(whole, { home: on.home })
    expect([verdict.whole, verdict.properties.not_truncated.status, verdict.properties.not_truncated.says]).toEqual([true, 'unknown', expect.stringMatching(/this backup has \d+ entries, and this machine signed \d+ of the log/)])
    const fork = copyOf(log, fresh())
    const forked = await openLog(fork)
    await appendRun(forked, new Telling(), { user: 'y', order: '2' })
    await appendRun(forked, new Telling(), { user: 'y', order: '2' })
    await forked.close()
    const { folder } = await backup(fork)
    expect((await verifyBackup(folder, { home: on.home })).problems.map(({ code }) => code)).toEqual(['forked'])
    await expect(restoreBackup(folder, join(on.folder, 'second.db'), { home: on.home })).rejects.toMatchObject({ code: 'backup_not_whole', message: expect.stringContaining('went different ways') })
    expect(existsSync(join(on.folder, 'second.db'))).toBe(false)
    renameSync(on.db, `${on.db}.lost`)
    await expect(restoreBackup(folder, on.db, { home: on.home })).rejects.toMatchObject({ code: 'backup_not_whole' })
  })
})
