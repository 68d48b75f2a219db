// A log restored from its archive: with the secrets in a backup it is the log again; without them its content is sealed, which is said, and
// which nobody can use to hide a deletion.

import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { testContext, type Told } from '../src/cli/fixtures.ts'
import { openLocalTrail } from '../src/cli/local-trail.ts'
import { run } from '../src/cli/program.ts'
import type { ViewEvent } from '../src/event/view.ts'
import { LogReader } from '../src/ledger/reader.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { createKeyring } from '../src/vault/keyring.ts'
import { appendAll, appendRun, copyOf, json, openKeyring, openLog, originAt, place, scratch, tamper, Telling, text, verifyAt, type Place } from './sample-log.ts'

const tmp = scratch()
afterAll(() => tmp.remove())
let made = 0
const fresh = (): Place => place(join(tmp.folder, `f${made++}`))

async function counterfoil(where: Place, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  process.env['COUNTERFOIL_HOME'] = where.home
  const told: Told = { out: '', err: '' }
  const code = await run(['--trail', where.db, ...args], ({ json: asJson, trail }) => testContext(told, { json: asJson, cwd: where.folder, env: { COUNTERFOIL_HOME: where.home }, open: (path, mode) => openLocalTrail(path, mode), ...(trail === undefined ? {} : { trail }) }))
  return { code, ...told }
}

async function done(where: Place, ...args: string[]): Promise<{ [name: string]: unknown }> {
  const { code, out, err } = await counterfoil(where, ...args, '--json')
  if (code !== 0) throw Object.assign(new Error(err), { told: JSON.parse(err) as unknown })
  return JSON.parse(out) as { [name: string]: unknown }
}

async function codeOf(where: Place, ...args: string[]): Promise<string> {
  const { err } = await counterfoil(where, ...args, '--json')
  return (JSON.parse(err) as { error: { code: string } }).error.code
}

async function read({ db, home }: Place): Promise<ViewEvent[]> {
  const store = await openSqliteStore(db, { readOnly: true })
  try {
    return await new LogReader(store, openKeyring(originAt({ db }), home)).newest(100_000)
  } finally {
    await store.close()
  }
}

async function grow(where: Place, runs: readonly { user: string; end?: boolean }[]): Promise<Telling[]> {
  const ledger = await openLog(where)
  const tells: Telling[] = []
  for (const about of runs) {
    const tell = new Telling()
    await appendRun(ledger, tell, { order: String(1000 + made++), ...about })
    tells.push(tell)
  }
  await ledger.close()
  return tells
}

/** A log; a backup in the middle of it, while a session is open; more of that session, other sessions, an erasure and a renewal; an archive of all. */
const log = fresh()
const backup = join(tmp.folder, 'backup')
const archive = join(tmp.folder, 'archive')
let late: Telling
beforeAll(async () => {
  const tells = await grow(log, [...Array.from({ length: 24 }, (_, n) => ({ user: `early-${n % 5}` })), { user: 'open', end: false }])
  await done(log, 'backup', backup)
  const ledger = await openLog(log)
  const open = tells.at(-1)!
  await appendAll(ledger, [open.draft('final_output', {}, { output: text('after the backup, in a session from before it') }), open.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' })])
  await ledger.erase({ session_ids: [tells[3]!.session_id], reason: 'test' })
  late = new Telling()
  await appendRun(ledger, late, { user: 'late', order: '77' })
  await ledger.close()
  await done(log, 'archive', archive)
})

describe('an archive with the secrets of a later moment', () => {
  test('is the log again: same size and root, every event read back equal, erased what was erased, and it goes on', async () => {
    const newest = join(tmp.folder, `b${made++}`)
    await done(log, 'backup', newest)
    const to = fresh()
    expect(await done(to, 'restore', archive, '--secrets', newest)).toMatchObject({ from: 'archive', keys: 'restored', sealed: 0, can_append: true })
    const verdict = await verifyAt(to)
    expect([verdict.problems, verdict.checkpoint, verdict.properties.payloads.status]).toEqual([[], (await verifyAt(log)).checkpoint, 'proved'])
    expect(JSON.stringify(await read(to))).toBe(JSON.stringify(await read(log)))
    const ledger = await openLog(to)
    expect((await ledger.erasable({ user_id: 'early-1' })).rows).toHaveLength(5)
    await appendRun(ledger, new Telling(), { user: 'after', order: '1' })
    await ledger.renewKek()
    await ledger.close()
    expect((await verifyAt(to)).problems).toEqual([])
    const again = join(tmp.folder, `a${made++}`)
    cpSync(archive, again, { recursive: true })
    await done(to, 'archive', again)
    expect((await counterfoil(to, 'verify', again)).code).toBe(0)
  })

  test('of random logs reads back equal', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.record({ user: fc.string({ maxLength: 12 }), end: fc.boolean(), messages: fc.array(fc.string({ maxLength: 40 }), { maxLength: 6 }), erase: fc.boolean() }), { minLength: 1, maxLength: 5 }), async (runs) => {
      const [from, to] = [fresh(), fresh()]
      const ledger = await openLog(from)
      for (const { user, end, messages, erase } of runs) {
        const tell = new Telling()
        await appendRun(ledger, tell, { user, order: '1', end: false })
        // equal content, in one event, in one scope, in another one: stored once for each scope
        await appendAll(ledger, [tell.draft('llm_call', { provider: 'p', model_id: 'm' }, { input_messages: { add: messages.map((message) => json(message)) } }), tell.draft('custom', { name: 'again' }, { content: text(messages[0] ?? '', { k: 1 }) })])
        if (end) await appendAll(ledger, [tell.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' })])
        if (erase) await ledger.erase({ session_ids: [tell.session_id], reason: 'test' })
      }
      await ledger.close()
      const [a, b] = [join(tmp.folder, `a${made++}`), join(tmp.folder, `b${made++}`)]
      await done(from, 'archive', a)
      await done(from, 'backup', b)
      expect(await done(to, 'restore', a, '--secrets', b)).toMatchObject({ sealed: 0 })
      expect((await verifyAt(to)).problems).toEqual([])
      expect(JSON.stringify(await read(to))).toBe(JSON.stringify(await read(from)))
    }), { numRuns: 6 })
  })
})

describe('an archive with the secrets of an earlier moment', () => {
  test('opens what began before it, and says of the rest that it is sealed', async () => {
    const to = fresh()
    const { size } = (await done(to, 'restore', archive, '--secrets', backup)) as { size: number; sealed: number }
    const verdict = await verifyAt(to)
    expect([verdict.problems, verdict.size, verdict.properties.payloads.status]).toEqual([[], size, 'unknown'])
    expect(verdict.properties.payloads.says).toMatch(/\d+ payloads match their commitments; \d+ were erased, by entry #\d+; \d+ payloads cannot be opened: the log was restored from an archive without their secrets/)
    const [was, is] = [await read(log), await read(to)]
    const sealed = new Set<string>()
    for (const [i, event] of is.entries()) if (JSON.stringify(event) !== JSON.stringify(was[i])) sealed.add(event.session_id)
    const own = was[0]!.session_id // the order of the erasure: its reason is content too, of a scope that may be younger than the backup
    expect([...sealed].filter((id) => id !== own)).toEqual([late.session_id])
    const shown = await counterfoil(to, 'show', late.session_id)
    expect([shown.code, shown.out]).toEqual([0, expect.stringContaining('[no_key]')])
    expect(shown.out).not.toContain('missing')
    expect((await counterfoil(to, 'verify')).code).toBe(0)
    expect((await counterfoil(to, 'verify', '--require', 'payloads')).code).toBe(3)
  })

  test('a deletion cannot hide behind that: what had its secret, or came later, is missed as ever', async () => {
    const to = fresh()
    await done(to, 'restore', archive, '--secrets', backup)
    const ledger = await openLog(to)
    const after = new Telling()
    await appendRun(ledger, after, { user: 'after', order: '5' })
    await ledger.close()
    const first = (await read(to)).find(({ event_type }) => event_type === 'session_start')!.session_id
    for (const session_id of [first, after.session_id]) {
      const attacked = copyOf(to, join(tmp.folder, `t${made++}`))
      tamper(attacked, (sql) => sql("UPDATE scopes SET generation = '0000000000', wrapped = zeroblob(105) WHERE session_id = ?", session_id))
      const { problems, properties } = await verifyAt(attacked)
      expect([properties.payloads.status, new Set(problems.map(({ code }) => code)).has('sealed')]).toEqual(['failed', true])
    }
    const gone = copyOf(to, join(tmp.folder, `t${made++}`))
    tamper(gone, (sql) => sql("UPDATE segments SET bytes = x'' WHERE scope IN (SELECT scope FROM scopes WHERE session_id = ?)", late.session_id))
    expect((await verifyAt(gone)).problems.map(({ code }) => code)).toContain('segment_root')
    const removed = copyOf(to, join(tmp.folder, `t${made++}`))
    tamper(removed, (sql) => sql('DELETE FROM scopes WHERE session_id = ?', late.session_id))
    expect((await verifyAt(removed)).whole).toBe(false)
    const unmarked = copyOf(to, join(tmp.folder, `t${made++}`))
    for (const slug of readdirSync(unmarked.home)) rmSync(join(unmarked.home, slug, 'restored'), { force: true })
    expect((await verifyAt(unmarked)).problems.map(({ code }) => code)).toContain('sealed')
  })

  test('goes on: new sessions are whole, a sealed one takes no content and says so, keys renew, erasures reach it', async () => {
    const to = fresh()
    await done(to, 'restore', archive, '--secrets', backup)
    const ledger = await openLog(to)
    const answers = await ledger.append([{ draft: late.draft('final_output', {}, { output: text('too late') }), writer: 'local' }])
    expect(answers).toMatchObject([{ refused: { code: 'reference_missing', message: expect.stringContaining('restored from an archive without it') } }])
    await appendRun(ledger, new Telling(), { user: 'new', order: '1' })
    await ledger.renewKek()
    await ledger.close()
    const again = join(tmp.folder, `b${made++}`)
    await done(to, 'backup', again)
    const writing = await openLog(to)
    await writing.erase({ session_ids: [late.session_id], reason: 'sealed, and now gone' })
    await writing.close()
    const { problems, properties } = await verifyAt(to)
    expect([problems, properties.payloads.status, (await read(to)).some((event) => event['reason'] === 'sealed, and now gone')]).toEqual([[], 'unknown', true])
    expect(await codeOf(to, 'archive', join(tmp.folder, `a${made++}`))).toBe('sealed')
    expect((await counterfoil(to, 'verify', again)).code).toBe(0)
    const other = fresh()
    await done(other, 'restore', again)
    await grow(other, [{ user: 'newer' }])
    expect((await verifyAt(other)).problems).toEqual([])
  })
})

describe('an archive without secrets', () => {
  test('is restored to be read and verified, on a machine without keys', async () => {
    const to = fresh()
    expect(await done(to, 'restore', archive)).toMatchObject({ keys: 'none', opened: 0, can_append: false })
    const verified = await counterfoil(to, 'verify', '--json')
    expect([verified.code, JSON.parse(verified.out)]).toEqual([0, expect.objectContaining({ whole: true })])
    expect((await counterfoil(to, 'show', late.session_id)).out).toContain('[no_key]')
    await expect(openLog(to)).rejects.toMatchObject({ code: 'keys_missing' })
  })

  test('and with the keys of the machine goes on, all of it sealed', async () => {
    const to = copyOf(log, join(tmp.folder, `k${made++}`))
    rmSync(to.db)
    expect(await done(to, 'restore', archive)).toMatchObject({ keys: 'here', opened: 0, can_append: true })
    expect((await verifyAt(to)).problems).toEqual([])
    await grow(to, [{ user: 'new' }])
    const { problems, properties } = await verifyAt(to)
    expect([problems, properties.payloads.status]).toEqual([[], 'unknown'])
  })
})

describe('a restore from an archive refuses, and changes nothing,', () => {
  async function refused(code: string, ...args: string[]): Promise<void> {
    const to = fresh()
    expect(await codeOf(to, 'restore', ...args)).toBe(code)
    expect(readdirSync(to.folder)).toEqual([])
  }

  test('a backup of another log', async () => {
    const other = fresh()
    await grow(other, [{ user: 'x' }])
    const folder = join(tmp.folder, `b${made++}`)
    await done(other, 'backup', folder)
    await refused('backup_other', archive, '--secrets', folder)
  })

  test('a backup that is newer, or of another history', async () => {
    const on = copyOf(log, join(tmp.folder, `n${made++}`))
    await grow(on, [{ user: 'x' }])
    const folder = join(tmp.folder, `b${made++}`)
    await done(on, 'backup', folder)
    await refused('backup_newer', archive, '--secrets', folder)
    const apart = fresh()
    await done(apart, 'restore', backup)
    await grow(apart, [{ user: 'y' }])
    const other = join(tmp.folder, `b${made++}`)
    await done(apart, 'backup', other)
    await refused('forked', archive, '--secrets', other)
  })

  test('a backup without keys where the machine has none, and a backup with --secrets', async () => {
    const folder = join(tmp.folder, `b${made++}`)
    await done(log, 'backup', folder, '--no-keys')
    await refused('keys_missing', archive, '--secrets', folder)
    await refused('secrets_for_what', backup, '--secrets', folder)
  })

  test('an archive with any file changed or gone', async () => {
    const attacked = join(tmp.folder, 'attacked')
    const all = readdirSync(archive, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(archive.length + 1))
    for (const [i, name] of all.entries()) {
      if (name.startsWith('segment/data') && i % 20 !== 0) continue
      for (const attack of ['flip', 'gone'] as const) {
        rmSync(attacked, { recursive: true, force: true })
        cpSync(archive, attacked, { recursive: true })
        const bytes = readFileSync(join(archive, name))
        if (bytes.length > 0) bytes[bytes.length >> 1]! ^= 4
        if (attack === 'flip') writeFileSync(join(attacked, name), bytes)
        else rmSync(join(attacked, name))
        if (attack === 'flip' && bytes.length === 0) continue
        const to = fresh()
        expect((await counterfoil(to, 'restore', attacked, '--secrets', backup)).code, `${name} ${attack}`).not.toBe(0)
        expect(readdirSync(to.folder), `${name} ${attack}`).toEqual([])
      }
    }
  })

  test('another key than this machine keeps for that log', async () => {
    const to = fresh()
    createKeyring(originAt(log), to.home)
    expect(await codeOf(to, 'restore', archive)).toBe('archive_not_whole')
    expect(readdirSync(to.folder)).toEqual(['home'])
  })
})
