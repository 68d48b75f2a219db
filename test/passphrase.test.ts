// Key files under a passphrase: what lies on the disk, who can open it, and being killed while it changes.

import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { runChild } from './child.ts'
import { all, CHEAP, killProtecting } from './protect-kill.ts'
import { appendRun, openKeyring, openLog, originAt, place, scratch, Telling, verifyAt, type Place } from './sample-log.ts'
import { fromBase64, toBase64 } from '../src/base/bytes.ts'
import { testContext, type Told } from '../src/cli/fixtures.ts'
import { openLocalTrail, type Secrets } from '../src/cli/local-trail.ts'
import { run } from '../src/cli/program.ts'
import { Ledger } from '../src/ledger/ledger.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { openTrail } from '../src/trail/trail.ts'
import { createKeyring, keyringFolder } from '../src/vault/keyring.ts'

const folder = scratch()
afterAll(() => folder.remove())
let n = 0
const fresh = (): Place => place(join(folder.folder, `log-${n++}`))

function files(path: string): { [name: string]: string } {
  return Object.fromEntries(readdirSync(path).sort().map((name) => [name, readFileSync(join(path, name), 'utf8')]))
}
function code(fn: () => unknown): string {
  try {
    fn()
    return 'fine'
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

describe('keys under a passphrase', () => {
  const origin = 'log.example/agents'
  const make = (): { home: string; path: string; before: string } => {
    const { home } = fresh()
    const keyring = createKeyring(origin, home)
    keyring.makeKek(2)
    return { home, path: keyring.folder, before: all(keyring) }
  }

  it('open with it, say that it is wrong or missing, and leave no secret in clear', () => {
    const { home, path, before } = make()
    const clear = files(path)
    const secrets = Object.entries(clear).filter(([name]) => name !== 'log.pub').map(([, text]) => /[A-Za-z0-9/+=]{44}\n$/.exec(text)![0].slice(0, 44))
    const keyring = openKeyring(origin, home)
    keyring.protect('correct horse', CHEAP)
    keyring.makeKek(3)
    keyring.makeNext()
    const sealed = files(path)
    expect(Object.keys(sealed).length).toBe(Object.keys(clear).length + 3)
    expect(secrets).toHaveLength(4)
    for (const secret of secrets) for (const [name, text] of Object.entries(sealed)) {
      expect(text.includes(secret), name).toBe(false)
      for (let i = 1; i < 33; i += 8) expect(text.includes(secret.slice(i + 1, i + 12)), name).toBe(false)
    }
    for (const [name, text] of Object.entries(sealed)) if (name !== 'log.pub') expect(text, name).toMatch(/^COUNTERFOIL\+KEY\+[^\n]+\n$/)
    expect(code(() => openKeyring(origin, home))).toBe('passphrase_needed')
    expect(code(() => openKeyring(origin, home, { passphrase: 'correct horsf' }))).toBe('passphrase_wrong')
    expect(files(path)).toEqual(sealed)
    expect(openKeyring(origin, home, { passphrase: 'correct horse' }).keks().length).toBe(3)
    keyring.destroyKek(1)
    keyring.destroyKek(2)
    expect(code(() => openKeyring(origin, home, { passphrase: '' }))).toBe('bad_passphrase')
    expect(before).not.toBe('')
  })

  it('are the same keys before, under one passphrase, under another, and without', () => {
    const { home, path, before } = make()
    const clear = files(path)
    utimesSync(join(path, 'kek-2'), 1_700_000_000, 1_700_000_000)
    openKeyring(origin, home).protect('one', CHEAP)
    expect(openKeyring(origin, home, { passphrase: 'one' }).keks()[1]!.made_ms).toBe(1_700_000_000_000) // its renewal is due when it was
    expect(all(openKeyring(origin, home, { passphrase: 'one' }))).toBe(before)
    openKeyring(origin, home, { passphrase: 'one' }).protect('zwei \u00e4', CHEAP)
    expect(code(() => openKeyring(origin, home, { passphrase: 'one' }))).toBe('passphrase_wrong')
    expect(all(openKeyring(origin, home, { passphrase: 'zwei a\u0308' }))).toBe(before) // another keyboard
    openKeyring(origin, home, { passphrase: 'zwei \u00e4' }).unprotect()
    expect(files(path)).toEqual(clear)
    expect(all(openKeyring(origin, home, { passphrase: 'not looked at' }))).toBe(before)
  })

  it('do not open with any character of any file changed, nor with files swapped, nor at a cost beyond the bounds', () => {
    const { home, path } = make()
    openKeyring(origin, home).protect('one', CHEAP)
    const whole = files(path)
    for (const name of ['kek-1', 'kek-2', 'log.key', 'fingerprint.key']) {
      const text = whole[name]!
      for (let at = 0; at < text.length - 1; at += 3) {
        writeFileSync(join(path, name), text.slice(0, at) + (text[at] === 'x' ? 'y' : 'x') + text.slice(at + 1))
        expect(code(() => all(openKeyring(origin, home, { passphrase: 'one' }))), `${name} ${at}`).toBe('key_malformed')
        at += 20
      }
      writeFileSync(join(path, name), text)
    }
    writeFileSync(join(path, 'kek-1'), whole['kek-2']!.replace('kek-2', 'kek-1'))
    expect(code(() => all(openKeyring(origin, home, { passphrase: 'one' })))).toBe('key_malformed')
    writeFileSync(join(path, 'kek-1'), whole['kek-1']!)
    const at = whole['passphrase.key']!.length - 113
    const bytes = fromBase64(whole['passphrase.key']!.slice(at, -1))
    expect(bytes).toHaveLength(84)
    for (const [i, value] of [[1, 30], [1, 13], [2, 32], [2, 0], [3, 5], [3, 0], [0, 1]] as const) {
      const changed = Uint8Array.from(bytes)
      changed[i] = value
      writeFileSync(join(path, 'passphrase.key'), `${whole['passphrase.key']!.slice(0, at)}${toBase64(changed)}\n`)
      const started = performance.now()
      expect(code(() => openKeyring(origin, home, { passphrase: 'one' })), `${i}=${value}`).toBe('key_malformed')
      expect(performance.now() - started).toBeLessThan(50)
    }
  })

  it('killed at steps of protecting, changing and unprotecting, open with the old passphrase or the new one', async () => {
    expect(await killProtecting(join(folder.folder, 'killed'), 9)).toBeGreaterThan(8)
  }, 180_000)
})

async function counterfoil(where: Place, secrets: Secrets, env: { [name: string]: string }, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const told: Told = { out: '', err: '' }
  const code = await run(args, ({ json }) => testContext(told, { json, env, trail: where.db, cwd: folder.folder, open: (path, mode) => openLocalTrail(path, mode, where.home, secrets) }))
  return { code, ...told }
}

describe('a log whose keys are under a passphrase', () => {
  it('records, rotates and renews with it; without it verify reads what needs no key, and nothing is written', async () => {
    const where = fresh()
    const ledger = await openLog(where, { clock: Date.now })
    await appendRun(ledger, new Telling(), { user: 'a', order: '1' })
    await ledger.close()
    const done = await counterfoil(where, {}, { COUNTERFOIL_NEW_PASSPHRASE: 'open sesame' }, 'keys', 'protect')
    expect(done).toMatchObject({ code: 0, out: expect.stringContaining('the folder is under one') })
    const path = keyringFolder(originAt(where), where.home)
    const before = files(path)
    const none = await counterfoil(where, {}, {}, 'verify')
    expect(none).toMatchObject({ code: 0, out: expect.stringContaining('payloads: not checked (no key)') })
    expect(none.out).toMatch(/proved +the key is the one this machine keeps/)
    expect(none.out).toMatch(/proved +nothing was rolled back/)
    expect((await counterfoil(where, {}, {}, 'show')).out).not.toContain('Where is my refund')
    const wrong = await counterfoil(where, { passphrase: 'open sesam' }, {}, 'verify')
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('the passphrase does not open') })
    expect(wrong.err).not.toContain('sesam')
    expect(await counterfoil(where, {}, {}, 'keys', 'rotate')).toMatchObject({ code: 2, err: expect.stringContaining('COUNTERFOIL_PASSPHRASE') })
    expect({ ...files(path), proved: '' }).toEqual({ ...before, proved: '' })
    const asked: Secrets = { ask: async () => 'open sesame' }
    for (const args of [['keys', 'rotate'], ['keys', 'renew'], ['verify', '--require', 'payloads,pinned,unchanged']]) expect(await counterfoil(where, asked, {}, ...args), args.join(' ')).toMatchObject({ code: 0 })
    for (const [name, text] of Object.entries(files(path))) if (name.includes('key') || name.startsWith('kek')) expect(text, name).toMatch(/^COUNTERFOIL/)
    expect(await counterfoil(where, asked, {}, 'keys', 'unprotect')).toMatchObject({ code: 0 })
    expect(await verifyAt(where)).toMatchObject({ whole: true, problems: [], properties: { payloads: { status: 'proved' } } })
  }, 60_000)

  it('opened before by another process goes on there, but that makes no key which would be in clear, or lost', async () => {
    const where = fresh()
    const open = (passphrase?: string): Promise<Ledger> => Ledger.open({ open: () => openSqliteStore(where.db), home: where.home, passphrase })
    const plain = await open()
    await appendRun(plain, new Telling(), { user: 'a', order: '1' })
    await plain.protectKeys('one')
    const under = await open('one')
    const late = await openLog(where, { clock: Date.now }).catch((error: { code?: string }) => error.code)
    expect(late).toBe('passphrase_needed')
    await under.protectKeys(undefined)
    for (const each of [plain]) {
      await appendRun(each, new Telling(), { user: 'b', order: '2' })
      await expect(each.rotate()).rejects.toMatchObject({ code: 'passphrase_changed' })
      await expect(each.renewKek()).rejects.toMatchObject({ code: 'passphrase_changed' })
      await appendRun(each, new Telling(), { user: 'b', order: '3' })
      await each.close()
    }
    await under.rotate()
    await under.close()
    expect(await verifyAt(where)).toMatchObject({ whole: true, problems: [] })
  }, 60_000)

  it('is made so by openTrail with a key, which is in no argument, environment or message; what is recorded under a wrong one waits', async () => {
    const where = fresh()
    const secret = 'tr0ub4dor & 3'
    const child = await runChild(`
      import { readdirSync, readFileSync } from 'node:fs'
      import { openTrail } from ${JSON.stringify(join(import.meta.dirname, '../src/trail/trail.ts'))}
      const key = Buffer.from(process.argv[4], 'base64').toString()
      const trail = openTrail(process.argv[2], { agent_id: 'bot', home: process.argv[3], key })
      await trail.session({}, async (session) => { session.record('final_output', { output: 'done' }) })
      const seen = ['cmdline', 'environ', ...readdirSync('/proc/self/task').flatMap((task) => ['comm', 'cmdline', 'environ'].map((name) => 'task/' + task + '/' + name))].map((name) => readFileSync('/proc/self/' + name, 'latin1')).join('')
      console.log(seen.includes(key), (await trail.verify()).properties.payloads.status)
      await trail.close()
    `, [where.db, where.home, Buffer.from(secret).toString('base64')], {})
    expect(child).toMatchObject({ code: 0, stdout: 'false proved\n', stderr: '' })
    expect(() => openKeyring(originAt(where), where.home)).toThrow(expect.objectContaining({ code: 'passphrase_needed' }))
    const reports: string[] = []
    const wrong = openTrail(where.db, { agent_id: 'bot', home: where.home, key: 'wrong one', report: (problem) => reports.push(`${problem.code} ${problem.message}`) })
    await expect(wrong.ready()).rejects.toMatchObject({ code: 'passphrase_wrong' })
    await expect(wrong.start({})).rejects.toMatchObject({ code: 'passphrase_wrong' }) // and is in the spool
    await wrong.close().catch(() => {})
    expect(reports.join()).not.toContain('wrong one')
    const right = openTrail(where.db, { agent_id: 'bot', home: where.home, key: secret })
    expect(await right.sessions().all()).toHaveLength(2)
    await right.close()
    expect(() => openTrail(where.db, { key: 7 as never })).toThrow(expect.objectContaining({ code: 'bad_option' }))
  }, 60_000)
})
