// Backups of logs whose keys change: rotated while one is taken, before it and after it; under a passphrase; kept by somebody else.

import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { testContext, type Told } from '../src/cli/fixtures.ts'
import { openLocalTrail, type Secrets } from '../src/cli/local-trail.ts'
import { run } from '../src/cli/program.ts'
import { toBase64 } from '../src/base/bytes.ts'
import { ed25519Key, signEd25519 } from '../src/base/ed25519-key.ts'
import { backUp, type BackedUp } from '../src/ledger/backup.ts'
import { Ledger } from '../src/ledger/ledger.ts'
import { restoreBackup, verifyBackup } from '../src/ledger/restore.ts'
import { ED25519, formatVerifierKey, verifierKey } from '../src/log/note.ts'
import type { Signer } from '../src/log/signer.ts'
import type { Store } from '../src/store/contract.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { isSealed } from '../src/vault/key-text.ts'
import { keyringFolder, openKept, openKeyring } from '../src/vault/keyring.ts'
import { CHEAP } from './protect-kill.ts'
import { appendRun, copyOf, forge, forget, openLog, originAt, place, sameOrigin, scratch, steppingClock, Telling, verifyAt, type Place } from './sample-log.ts'

const tmp = scratch()
afterAll(() => tmp.remove())
let made = 0
const path = (): string => join(tmp.folder, `f${made++}`)
const fresh = (): Place => place(path())

type Opening = { readonly passphrase?: string; readonly signer?: Signer }
function open({ db, home }: Place, { passphrase, signer }: Opening = {}): Promise<Ledger> {
  return Ledger.open({ open: () => openSqliteStore(db, { waitMs: 2_000 }), home, clock: steppingClock(), passphrase, signer: signer === undefined ? undefined : async () => signer })
}

/** Adds a run, then `change`; how many entries there are and which key signs them. */
async function grow(where: Place, opening: Opening = {}, change: (ledger: Ledger) => Promise<unknown> = async () => {}): Promise<{ size: number; vkey: string; id: string }> {
  const ledger = await open(where, opening)
  await appendRun(ledger, new Telling(), { user: `u${made++}`, order: '1' })
  await change(ledger)
  const { size } = (await ledger.read((view) => view.head()))!
  await ledger.close()
  const { vkey } = ledger.keyring
  return { size, vkey, id: vkey.split('+')[1]! }
}
const rotating = (ledger: Ledger): Promise<unknown> => ledger.rotate()
const renewing = (ledger: Ledger): Promise<unknown> => ledger.renewKek()
const protecting = (passphrase: string) => async (ledger: Ledger): Promise<void> => ledger.keyring.protect(passphrase, CHEAP)

async function backup(where: Place, { passphrase, keys = true, copied }: Opening & { readonly keys?: boolean; readonly copied?: (times: number) => Promise<unknown> } = {}): Promise<BackedUp & { folder: string }> {
  const store = await openSqliteStore(where.db, { readOnly: true })
  let times = 0
  const watched: Store = {
    name: store.name, read: (fn) => store.read(fn), append: (fn) => store.append(fn), wipe: () => store.wipe(), close: () => store.close(),
    async copyTo(to) {
      await store.copyTo(to)
      await copied?.(++times)
    },
  }
  const folder = path()
  try {
    return { ...(await backUp(watched, openKeyring(originAt(where), where.home, { passphrase }), folder, { keys })), folder }
  } finally {
    await store.close()
  }
}

const keysIn = (folder: string): string => join(folder, 'keys', readdirSync(join(folder, 'keys'))[0]!)
const keysOf = (where: Place): string => keyringFolder(originAt(where), where.home)
const logFiles = (folder: string): string[] => readdirSync(folder).filter((name) => name.startsWith('log')).sort()
const texts = (folder: string): { [name: string]: string } => Object.fromEntries(readdirSync(folder).sort().map((name) => [name, readFileSync(join(folder, name), 'utf8')]))

async function counterfoil(where: Place, env: { [name: string]: string }, ...args: string[]): Promise<{ code: number; out: string; err: string; asked: string[] }> {
  return asking(where, env, undefined, ...args)
}
/** `answers`, one after the other; a person sits at the terminal where there are some. */
async function asking(where: Place, env: { [name: string]: string }, answers: string[] | undefined, ...args: string[]): Promise<{ code: number; out: string; err: string; asked: string[] }> {
  process.env['COUNTERFOIL_HOME'] = where.home
  const told: Told = { out: '', err: '' }
  const asked: string[] = []
  const secret = async (question: string): Promise<string | undefined> => {
    asked.push(question)
    return answers?.shift()
  }
  const { COUNTERFOIL_PASSPHRASE: passphrase } = env
  const secrets: Secrets = { ...(passphrase === undefined ? {} : { passphrase }), ...(answers === undefined ? {} : { ask: () => secret('keys') }) }
  const code = await run(['--trail', where.db, ...args], ({ json, trail }) => ({ ...testContext(told, { json, cwd: where.folder, env: { COUNTERFOIL_HOME: where.home, ...env }, open: (at, mode) => openLocalTrail(at, mode, where.home, secrets), ...(trail === undefined ? {} : { trail }) }), interactive: answers !== undefined, secret }))
  return { code, ...told, asked }
}

/** Opening, verifying and doctor say the same of a log that may not go on. */
async function expectNamed(where: Place, code: string, says: RegExp): Promise<void> {
  const refused = await openLog(where).then((ledger) => ledger.close(), (error: unknown) => error as { name: string; message: string; next: string })
  expect(refused).toMatchObject({ name: 'VerifyError', code, message: expect.stringMatching(says) })
  const { next } = refused as { next: string }
  const verdict = await verifyAt(where)
  expect([verdict.problems.map((problem) => problem.code), verdict.properties.not_truncated.says]).toEqual([[code], expect.stringMatching(says)])
  const shown = await counterfoil(where, {}, 'verify')
  expect([shown.code, shown.out.replaceAll(/\s+/g, ' ')]).toEqual([1, expect.stringContaining(`→ ${next}`)])
  const { checks } = JSON.parse((await counterfoil(where, {}, 'doctor', '--json')).out) as { checks: { name: string }[] }
  expect(checks.find(({ name }) => name === 'history')).toEqual({ name: 'history', status: 'fail', says: expect.stringMatching(says), next })
}

async function expectGoesOn(where: Place, opening: Opening = {}): Promise<void> {
  const before = openKept(originAt(where), where.home).vkey
  await grow(where, opening, rotating)
  const { vkey } = await grow(where, { ...opening })
  expect(vkey).not.toBe(before)
}

describe('a rotation while a backup is taken', () => {
  test('between its database and its keys: both are taken again, and the backup can sign on', async () => {
    const log = fresh()
    await grow(log)
    const ledger = await open(log)
    const counts: number[] = []
    const { folder, size } = await backup(log, { copied: async (times) => {
      counts.push(times)
      if (times === 1) await ledger.rotate()
    } })
    await ledger.close()
    expect(counts).toEqual([1, 2])
    const id = ledger.keyring.vkey.split('+')[1]
    expect(logFiles(keysIn(folder)).filter((name) => name.endsWith('.key'))).toEqual([`log-${id}.key`])
    expect(await verifyBackup(folder, { home: path() })).toMatchObject({ whole: true, size, properties: { payloads: { status: 'proved' } } })
    const to = fresh()
    await restoreBackup(folder, to.db, { home: to.home })
    await expectGoesOn(to)
    expect((await verifyAt(to)).problems).toEqual([])
  })

  test('before its database is copied, by another process, is followed', async () => {
    const log = fresh()
    await grow(log)
    const stale = openKeyring(originAt(log), log.home)
    const { size, id } = await grow(log, {}, rotating)
    const store = await openSqliteStore(log.db, { readOnly: true })
    const folder = path()
    await backUp(store, stale, folder, { keys: true })
    const bare = path()
    await backUp(store, stale, bare, { keys: false })
    const nobody = path()
    await backUp(store, undefined, nobody, { keys: false })
    await store.close()
    expect(logFiles(keysIn(folder))).toContain(`log-${id}.key`)
    for (const each of [folder, bare, nobody]) expect(await verifyBackup(each, { home: path() })).toMatchObject({ whole: true, size })
  })

  test('that was killed after the log named its key is finished in the copy, and leaves no retired secret in it', async () => {
    const log = fresh()
    await grow(log)
    const before = texts(keysOf(log))
    const { id } = await grow(log, {}, rotating)
    for (const name of ['log.key', 'log.pub']) writeFileSync(join(keysOf(log), name), before[name]!, { mode: 0o600 })
    for (const name of logFiles(keysOf(log))) if (/^log-.*\.pub$/.test(name)) rmSync(join(keysOf(log), name))
    const { folder } = await backup(log)
    expect(logFiles(keysIn(folder)).filter((name) => name.endsWith('.key'))).toEqual([`log-${id}.key`])
    expect(logFiles(keysOf(log)), 'the log is only read').toContain('log.key')
    const to = fresh()
    await restoreBackup(folder, to.db, { home: to.home })
    await expectGoesOn(to)
    writeFileSync(join(keysOf(log), `log-${id}.key`), 'damaged\n', { mode: 0o600 })
    await expect(backup(log), 'the key that signs is there by its name only').rejects.toMatchObject({ code: 'key_retired' })
  })

  test('with keys that are an older copy of the folder is refused: they cannot sign on', async () => {
    const log = fresh()
    await grow(log)
    const old = path()
    cpSync(log.home, old, { recursive: true })
    await grow(log, {}, rotating)
    rmSync(log.home, { recursive: true })
    cpSync(old, log.home, { recursive: true })
    chmodSync(keysOf(log), 0o700) // cpSync forgets the modes of folders
    await expect(backup(log)).rejects.toMatchObject({ code: 'key_retired', next: expect.stringContaining('newest copy') })
    const { checks } = JSON.parse((await counterfoil(log, {}, 'doctor', '--json')).out) as { checks: { name: string; status: string; says: string }[] }
    expect(checks.find(({ name }) => name === 'history')).toMatchObject({ status: 'fail', says: expect.stringContaining('the newest key in') })
  })
})

describe('a backup from before a rotation', () => {
  async function rotatedSince(): Promise<{ log: Place; folder: string; small: number; size: number; old: string; vkey: string }> {
    const log = fresh()
    const { size: small, vkey: old } = await grow(log)
    const { folder } = await backup(log)
    await grow(log, {}, rotating)
    const { size, vkey } = await grow(log)
    return { log, folder, small, size, old, vkey }
  }

  test('on the machine that rotated since is called a restored backup', async () => {
    const { log, folder, small, size } = await rotatedSince()
    rmSync(log.db)
    const { code, out } = await counterfoil(log, {}, 'restore', folder, '--json')
    expect([code, JSON.parse(out)]).toEqual([0, expect.objectContaining({ size: small, keys: 'here', signed: size, can_append: false })])
    await expectNamed(log, 'restored_backup', new RegExp(`these are the ${small} entries of the backup .* this machine (?:signed|proved) ${size}`))
  })

  test('put there by hand is called an older copy, and nothing is forgotten with head and proved', async () => {
    const { log, folder, small } = await rotatedSince()
    cpSync(join(folder, 'log.db'), log.db)
    await expectNamed(log, 'rolled_back', /an older copy was put in its place/)
    forget(log)
    await expectNamed(log, 'rolled_back', new RegExp(`this log of ${small} entries is signed with a key that this machine has retired`))
  })

  test('put under a running agent is refused to it', async () => {
    const { log, folder } = await rotatedSince()
    const ledger = await open(log)
    const store = await openSqliteStore(log.db)
    const rows = await openSqliteStore(join(folder, 'log.db'), { finished: true })
    const head = (await rows.read((view) => view.head()))!
    await rows.close()
    await store.append((tx) => tx.replaceHead(head))
    await store.close()
    await expect(appendRun(ledger, new Telling(), { user: 'x', order: '1' })).rejects.toMatchObject({ code: 'rolled_back', next: expect.stringContaining('newest copy') })
    await ledger.close()
  })

  test('on a new machine, where nothing newer was signed, goes on and rotates', async () => {
    const { folder } = await rotatedSince()
    const to = fresh()
    await restoreBackup(folder, to.db, { home: to.home })
    await expectGoesOn(to)
    expect((await verifyAt(to)).problems).toEqual([])
  })

  test('verifies on the machine that rotated since, under what it retired, and does not pass for the newest log', async () => {
    const { log, folder, small, size, old, vkey } = await rotatedSince()
    const verdict = await verifyBackup(folder, { home: log.home })
    expect(verdict).toMatchObject({ whole: true, size: small, properties: { unchanged: { status: 'asserted' }, pinned: { status: 'asserted', says: expect.stringContaining(`the key ${old.split('+')[1]}, which this machine has retired`) }, not_truncated: { status: 'unknown', says: expect.stringContaining(String(size)) } } })
    // an archive that was made then, by the machine that has the newer key now
    const then = fresh()
    await restoreBackup(folder, then.db, { home: then.home })
    const archive = path()
    expect((await counterfoil(then, {}, 'archive', archive)).code).toBe(0)
    const verify = async (...args: string[]): Promise<[number, unknown]> => {
      const { code, out } = await counterfoil(log, {}, 'verify', archive, '--json', ...args)
      return [code, JSON.parse(out)]
    }
    const own = { whole: true, problems: [], properties: { unchanged: { status: 'asserted' }, pinned: { status: 'asserted' } } }
    expect(await verify()).toMatchObject([0, own])
    expect(await verify('--key', vkey)).toMatchObject([0, own])
    expect(await verify('--key', old)).toMatchObject([0, { whole: true, problems: [], properties: { unchanged: { status: 'proved' }, pinned: { status: 'proved' }, not_truncated: { status: 'unknown' } } }])
    expect((await verify('--require', 'unchanged'))[0]).toBe(3)
    const stranger = { ...fresh(), db: log.db }
    expect(JSON.parse((await counterfoil(stranger, {}, 'verify', archive, '--json', '--key', vkey)).out)).toMatchObject({ whole: false, problems: expect.arrayContaining([expect.objectContaining({ code: 'log_start' })]) })
    // one that was made after it, with the old key and the new
    const newer = path()
    expect((await counterfoil(log, {}, 'archive', newer)).code).toBe(0)
    for (const key of [[], ['--key', old], ['--key', vkey]]) expect(JSON.parse((await counterfoil(log, {}, 'verify', newer, '--json', ...key)).out), key.join()).toMatchObject({ whole: true, problems: [], properties: { unchanged: { status: 'proved' }, pinned: { status: 'proved' }, not_truncated: { status: 'proved' } } })
  })

  test('gives an archive from after it its secrets, and the keys of then cannot sign on', async () => {
    const { log, folder, size } = await rotatedSince()
    const archive = path()
    expect((await counterfoil(log, {}, 'archive', archive)).code).toBe(0)
    const to = fresh()
    const { code, out } = await counterfoil(to, {}, 'restore', archive, '--secrets', folder, '--json')
    expect([code, JSON.parse(out)]).toEqual([0, expect.objectContaining({ size, keys: 'restored', can_append: false })])
    expect((JSON.parse(out) as { opened: number; sealed: number })).toMatchObject({ opened: expect.any(Number), sealed: expect.any(Number) })
    await expect(openLog(to)).rejects.toMatchObject({ code: 'key_retired' })
    expect((await verifyAt(to)).problems).toEqual([])
    const bare = fresh()
    expect(JSON.parse((await counterfoil(bare, {}, 'restore', archive, '--json')).out)).toMatchObject({ size, keys: 'none', can_append: false })
    expect((await counterfoil(bare, {}, 'verify')).code).toBe(0)
    // with a backup of now everything opens, and the log goes on
    const { folder: now } = await backup(log)
    const whole = fresh()
    expect(JSON.parse((await counterfoil(whole, {}, 'restore', archive, '--secrets', now, '--json')).out)).toMatchObject({ size, keys: 'restored', sealed: 0, can_append: true })
    await expectGoesOn(whole)
    // on the machine that has the newest keys, secrets of an older backup are enough to go on
    rmSync(log.db)
    expect(JSON.parse((await counterfoil(log, {}, 'restore', archive, '--secrets', folder, '--json')).out)).toMatchObject({ size, keys: 'here', can_append: true })
    await expectGoesOn(log)
  })
})

describe('two copies of a log', () => {
  test('of which one rotated are forked, and comparing says where and which key signed each', async () => {
    const log = fresh()
    const { size, id } = await grow(log)
    const { folder } = await backup(log)
    const other = fresh()
    await restoreBackup(folder, other.db, { home: other.home })
    for (let runs = 0; runs < 3; runs++) await grow(other)
    await grow(log, {}, rotating)
    const rotated = await grow(log)
    const mine = copyOf(log, path())
    cpSync(other.db, log.db)
    await expectNamed(log, 'forked', /two copies of this log went different ways/)
    const args = ['verify', mine.db, '--against', other.db]
    const compared = await counterfoil(log, {}, ...args)
    expect(compared.code).toBe(1)
    for (const says of [`they part at #${size}`, `as the key ${rotated.id} signed them`, `as the key ${id} signed them`, 'both are signed by keys of the log']) expect(compared.out.replaceAll(/\s+/g, ' ')).toContain(says)
    const { copies } = JSON.parse((await counterfoil(log, {}, ...args, '--json')).out) as { copies: { signed: boolean; keys: { vkey: string }[] }[] }
    expect(copies.map(({ signed, keys }) => [signed, keys.length])).toEqual([[true, 2], [true, 1]])
    // both rotated: each to a key that the other never had
    await grow(other, {}, rotating)
    const last = await grow(other)
    const there = copyOf(log, path())
    cpSync(other.db, there.db)
    await expectNamed(sameOrigin(log, there), 'forked', /two copies of this log went different ways/)
    forget(there)
    await expectNamed(there, 'forked', new RegExp(`its keys lead to ${last.id}`))
    const both = await counterfoil(log, {}, 'verify', mine.db, '--against', other.db)
    for (const says of [`they part at #${size}`, rotated.id, last.id, 'both are signed by keys of the log']) expect(both.out.replaceAll(/\s+/g, ' ')).toContain(says)
  })

  test('of which one has a key reported stolen are still both signed', async () => {
    const log = fresh()
    const { size } = await grow(log)
    const { folder } = await backup(log)
    await grow(log, {}, (ledger) => ledger.reportKey({ last_good_size: 3 }))
    const { out, code } = await counterfoil(log, {}, 'verify', log.db, '--against', folder, '--json')
    expect([code, JSON.parse(out)]).toEqual([0, expect.objectContaining({ relation: 'first_longer', common: size })])
  })

  test('of which one is a thief’s, made with the retired key, is not the newest log here, nor proved', async () => {
    const log = fresh()
    await grow(log)
    const { folder } = await backup(log)
    await grow(log, {}, rotating)
    const thief = fresh()
    await restoreBackup(folder, thief.db, { home: thief.home })
    forge(thief, (entries) => entries.map((entry) => (entry.event_type === 'reasoning' ? { ...entry, timestamp: '2026-11-20T00:00:00.000Z' } : entry)))
    for (const name of ['head', 'restored']) rmSync(join(keysOf(thief), name))
    await grow(thief)
    const archive = path()
    await counterfoil(thief, {}, 'archive', archive)
    forget(log)
    const { code, out } = await counterfoil(log, {}, 'verify', archive, '--require', 'unchanged', '--json')
    expect([code, JSON.parse(out)]).toEqual([3, expect.objectContaining({ properties: expect.objectContaining({ unchanged: expect.objectContaining({ status: 'asserted' }), pinned: expect.objectContaining({ status: 'asserted' }) }) })])
    cpSync(thief.db, log.db)
    await expect(openLog(log)).rejects.toMatchObject({ code: 'rolled_back' })
    await grow(thief, {}, rotating)
    const gone = path()
    await counterfoil(thief, {}, 'archive', gone)
    expect(JSON.parse((await counterfoil(log, {}, 'verify', gone, '--json')).out)).toMatchObject({ whole: false, problems: [{ code: 'forked' }], properties: { unchanged: { status: 'asserted' }, pinned: { status: 'asserted' } } })
  })
})

describe('keys under a passphrase', () => {
  const env = { COUNTERFOIL_PASSPHRASE: 'one' }

  test('are backed up as they are; verified with and without it; restored with it only', async () => {
    const log = fresh()
    const { size } = await grow(log, {}, protecting('one'))
    const { folder } = await backup(log, { passphrase: 'one' })
    expect(texts(keysIn(folder))).toEqual(Object.fromEntries(Object.entries(texts(keysOf(log))).filter(([name]) => !['head', 'proved', 'restored'].includes(name))))
    expect(readFileSync(join(folder, 'README.txt'), 'utf8')).toContain('under a passphrase')
    const closed = await counterfoil(log, {}, 'backup', path(), '--json')
    expect([closed.code, JSON.parse(closed.err)]).toMatchObject([2, { error: { code: 'passphrase_needed', next: expect.stringContaining('COUNTERFOIL_PASSPHRASE') } }])
    const bare = path()
    expect((await counterfoil(log, {}, 'backup', bare, '--no-keys')).code).toBe(0)
    const nobody = fresh()
    for (const at of [log, nobody]) {
      expect(JSON.parse((await counterfoil(at, {}, 'verify', folder, '--json')).out), at.home).toMatchObject({ whole: true, properties: { payloads: { status: 'unknown' } } })
      expect(JSON.parse((await counterfoil(at, env, 'verify', folder, '--json')).out), at.home).toMatchObject({ whole: true, properties: { payloads: { status: 'proved' } } })
      expect(await asking(at, {}, [], 'verify', folder), at.home).toMatchObject({ code: 0, asked: ['passphrase of the keys in the backup'], out: expect.stringContaining('not checked (no key)') })
      expect(await asking(at, {}, ['one'], 'verify', folder, '--require', 'payloads'), at.home).toMatchObject({ code: 0 })
      expect((await counterfoil(at, {}, 'verify', bare)).code, at.home).toBe(0)
    }
    expect((await counterfoil(nobody, { COUNTERFOIL_PASSPHRASE: 'two' }, 'verify', folder, '--json')).err).toContain('backup_passphrase_wrong')
    const none = await counterfoil(nobody, {}, 'restore', folder, '--json')
    expect([none.code, JSON.parse(none.err), readdirSync(nobody.folder)]).toEqual([2, { error: { code: 'backup_passphrase_needed', message: expect.any(String), next: expect.stringContaining('COUNTERFOIL_PASSPHRASE') } }, []])
    expect(await asking(nobody, {}, ['one'], 'restore', folder, '--json')).toMatchObject({ code: 0, asked: ['passphrase of the keys in the backup'] })
    expect(openKept(originAt(nobody), nobody.home).vkey).toBe(openKept(originAt(log), log.home).vkey)
    expect(() => openKeyring(originAt(nobody), nobody.home)).toThrow('passphrase')
    await expectGoesOn(nobody, { passphrase: 'one' })
    const { checks } = JSON.parse((await counterfoil(nobody, {}, 'doctor', '--json')).out) as { checks: { name: string; status: string }[] }
    expect(checks.find(({ name }) => name === 'history')).toMatchObject({ status: 'ok' })
    expect((await counterfoil(log, {}, 'verify', log.db, '--against', folder)).code).toBe(0)
    const archive = path()
    expect((await counterfoil(log, {}, 'archive', archive)).code).toBe(0)
    expect(JSON.parse((await counterfoil(log, {}, 'verify', archive, '--json')).out)).toMatchObject({ whole: true, size, properties: { pinned: { status: 'proved' } } })
    expect((await counterfoil(log, {}, 'verify', archive, '--against', folder)).code).toBe(0)
    const back = fresh()
    expect(JSON.parse((await counterfoil(back, env, 'restore', archive, '--secrets', folder, '--json')).out)).toMatchObject({ sealed: 0, can_append: true })
    await expectGoesOn(back, { passphrase: 'one' })
  })

  test('an older copy is named without it, in doctor too', async () => {
    const log = fresh()
    await grow(log, {}, protecting('one'))
    const { folder } = await backup(log, { passphrase: 'one' })
    await grow(log, { passphrase: 'one' }, rotating)
    cpSync(join(folder, 'log.db'), log.db)
    const { checks } = JSON.parse((await counterfoil(log, {}, 'doctor', '--json')).out) as { checks: { name: string; status: string; says: string }[] }
    expect(checks.find(({ name }) => name === 'history')).toMatchObject({ status: 'fail', says: expect.stringContaining('an older copy was put in its place') })
    expect((await counterfoil(log, {}, 'verify')).code).toBe(1)
    await expect(open(log, { passphrase: 'one' })).rejects.toMatchObject({ code: 'rolled_back' })
  })

  // what a backup has that is lacking here: a KEK of before a renewal, in clear or under another passphrase and folder key
  test.each([
    ['in clear, and protected since', undefined, 'two'],
    ['under another passphrase of the same folder key', 'one', 'changed'],
    ['under a passphrase of another folder key', 'one', 'two'],
    ['under one, and unprotected since', 'one', undefined],
  ] as const)('%s: what a backup has besides comes under what is here, and nothing else of it', async (_, then, now) => {
    const log = fresh()
    await grow(log, {}, then === undefined ? undefined : protecting(then))
    const { folder } = await backup(log, then === undefined ? {} : { passphrase: then })
    const here = now === 'changed' ? 'two' : now
    await grow(log, then === undefined ? {} : { passphrase: then }, async (ledger) => {
      if (then !== undefined && now !== 'changed') ledger.keyring.unprotect()
      if (here !== undefined) ledger.keyring.protect(here, CHEAP)
      await ledger.renewKek()
    })
    const before = texts(keysOf(log))
    rmSync(log.db)
    const given: { [name: string]: string } = here === undefined ? {} : { COUNTERFOIL_PASSPHRASE: here }
    const other = then !== undefined
    if (other) {
      const { code, err } = await counterfoil(log, given, 'restore', folder, '--json')
      expect([code, JSON.parse(err), texts(keysOf(log))]).toMatchObject([2, { error: { code: here === undefined ? 'backup_passphrase_needed' : 'backup_passphrase_wrong', next: expect.stringContaining('COUNTERFOIL_BACKUP_PASSPHRASE') } }, before])
    }
    if (here !== undefined) expect((await counterfoil(log, {}, 'restore', folder, '--json')).err).toContain('passphrase_needed')
    const { code, err } = await counterfoil(log, { ...given, ...(other ? { COUNTERFOIL_BACKUP_PASSPHRASE: then } : {}) }, 'restore', folder)
    expect([code, err]).toEqual([0, ''])
    const after = texts(keysOf(log))
    expect(Object.keys(after).sort()).toEqual([...Object.keys(before), 'kek-1', 'restored'].sort())
    for (const name of Object.keys(before)) expect(after[name], name).toBe(before[name])
    expect(isSealed(after['kek-1']!)).toBe(here !== undefined)
    const keyring = openKeyring(originAt(log), log.home, { passphrase: here })
    const copy = openKeyring(originAt(log), join(folder, 'keys'), { passphrase: then })
    expect(toBase64(keyring.kek(1))).toBe(toBase64(copy.kek(1)))
    await expect(open(log, here === undefined ? {} : { passphrase: here })).rejects.toMatchObject({ code: 'restored_backup' })
  })

  test('changed while a restore runs: nothing is added to them', async () => {
    const log = fresh()
    await grow(log)
    const { folder } = await backup(log)
    await grow(log, {}, renewing)
    rmSync(log.db)
    let told = false
    const progress = (): void => {
      if (told) return
      told = true
      openKeyring(originAt(log), log.home).protect('one', CHEAP)
    }
    await expect(restoreBackup(folder, log.db, { home: log.home, progress })).rejects.toMatchObject({ code: 'passphrase_changed' })
    expect([told, readdirSync(keysOf(log)).includes('kek-1')]).toEqual([true, false])
  })
})

describe('a key that is kept elsewhere', () => {
  function signerOf(origin: string): Signer {
    const pair = ed25519Key(new Uint8Array(32).fill(9))
    return { vkey: formatVerifierKey(verifierKey(origin, ED25519, pair.publicKey)), sign: async (message) => signEd25519(pair, message) }
  }

  test('is not in a backup, which says so; restored without the signer it is read, with it it goes on', async () => {
    const log = fresh()
    await grow(log)
    const signer = signerOf(originAt(log))
    await grow(log, { signer }, (ledger) => ledger.rotate(signer))
    const { folder, size } = await backup(log)
    const id = signer.vkey.split('+')[1]
    expect(logFiles(keysIn(folder)).filter((name) => !/^log-.*\.pub$/.test(name))).toEqual([`log-${id}.next`, 'log.pub'])
    expect(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'))).toMatchObject({ keys: true, elsewhere: true })
    const readme = readFileSync(join(folder, 'README.txt'), 'utf8')
    expect(readme).toContain('COUNTERFOIL_SIGNER')
    expect(readme).not.toContain('can sign as this log')
    for (const line of readme.split('\n')) expect(line.length).toBeLessThanOrEqual(88)
    expect(await verifyBackup(folder, { home: path() })).toMatchObject({ whole: true, size, properties: { payloads: { status: 'proved' } } })
    const to = fresh()
    await restoreBackup(folder, to.db, { home: to.home })
    expect((await verifyAt(to)).problems).toEqual([])
    const ledger = await open(to)
    await expect(appendRun(ledger, new Telling(), { user: 'x', order: '1' })).rejects.toMatchObject({ code: 'signer_missing' })
    await ledger.close()
    await grow(to, { signer })
    await grow(to, { signer }, rotating) // back into the folder
    await grow(to)
    expect((await verifyAt(to)).problems).toEqual([])
  })
})
