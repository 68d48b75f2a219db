// A log whose signing key was changed: what a verifier sees with each key, what attackers can do, and a rotation that is killed on its way.

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { appendAll, appendRun, copyOf, forge, forget, openKeyring, openLog, originAt, place, sameOrigin, scratch, signingKey, strangeKey, tamper, Telling, verifyAt, type Place, type Signing } from './sample-log.ts'
import { toBase64 } from '../src/base/bytes.ts'
import { encodeEntry, parseEntry } from '../src/event/parse.ts'
import { archiveEvidence } from '../src/archive/evidence.ts'
import { archiveFolder, writableFolder } from '../src/archive/folder.ts'
import { writeArchive } from '../src/archive/write.ts'
import { archiveSource } from '../src/cli/archive-source.ts'
import type { CosignReport } from '../src/ledger/cosign.ts'
import { testContext, type Told } from '../src/cli/fixtures.ts'
import { openLocalTrail } from '../src/cli/local-trail.ts'
import { run } from '../src/cli/program.ts'
import { exportBundle } from '../src/ledger/bundle.ts'
import { parseTreeHead, signCheckpoint } from '../src/log/checkpoint.ts'
import { leafHash } from '../src/log/hash.ts'
import { parseNote } from '../src/log/note.ts'
import { parsePolicy, type Policy } from '../src/log/policy.ts'
import { rotationStatement } from '../src/log/rotation.ts'
import { TreeEdge } from '../src/log/tree.ts'
import { keyringFolder } from '../src/vault/keyring.ts'
import type { StoreView } from '../src/store/contract.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { formatBundle, parseBundle } from '../src/verify/bundle-text.ts'
import { verifyBundle } from '../src/verify/bundle.ts'
import { exitCode, type Verdict } from '../src/verify/verdict.ts'
import { verifyLog } from '../src/verify/verify.ts'
import { startWitness, type TestWitness } from './witness-server.ts'

const folder = scratch()
afterAll(() => folder.remove())
let n = 0
const copied = (of: Place): Place => sameOrigin(of, copyOf(of, join(folder.folder, `copy-${n++}`)))
const codes = (verdict: Verdict): string[] => [...new Set(verdict.problems.map(({ code }) => code))].sort()

/** Runs with three rotations between them; the keys as a thief could have had them, and the heads that each signed last. */
let log: Place
const keys: Signing[] = []
const heads: string[] = []
const rotations: number[] = []
beforeAll(async () => {
  log = place(join(folder.folder, 'log'))
  const ledger = await openLog(log)
  for (let i = 0; i < 4; i++) {
    await appendRun(ledger, new Telling(), { user: `user-${i}`, order: String(1_000 + i), end: i % 2 === 0 })
    keys.push(signingKey(log))
    heads.push((await ledger.read((view) => view.head()))!.checkpoint)
    if (i < 3) rotations.push((await ledger.rotate()).index)
  }
  await ledger.close()
})

describe('a log with three rotations', () => {
  it('is whole with its keys, with none, and with any of its keys given; the verdict lists them', async () => {
    const verdict = await verifyAt(log)
    expect(verdict).toMatchObject({ whole: true, problems: [], properties: { unchanged: { status: 'proved' }, pinned: { status: 'proved' }, not_truncated: { status: 'proved' } } })
    expect(verdict.keys).toEqual(keys.map(({ vkey }, i) => ({ vkey, from: i === 0 ? 0 : rotations[i - 1], ...(i === 3 ? { state: 'in_force' } : { to: rotations[i], state: 'retired' }) })))
    expect(await verifyAt(log, { who: 'none' })).toMatchObject({ whole: true, properties: { pinned: { status: 'unknown' } } })
    for (const [i, { vkey }] of keys.entries()) {
      const given = await verifyAt(log, { who: 'none', vkey })
      expect(given).toMatchObject({ whole: true, problems: [], properties: { pinned: { status: 'proved' } } })
      expect(given.properties.pinned.says).toContain(['3 rotations lead', '2 rotations lead', 'it handed over', 'the one that was given'][i])
    }
    const other = await verifyAt(log, { who: 'none', vkey: strangeKey(originAt(log)).vkey })
    expect(codes(other)).toEqual(['checkpoint', 'log_start'])
  })

  it('keeps public halves, and no secret but the one in force', () => {
    const ring = openKeyring(originAt(log), log.home)
    expect(ring.vkey).toBe(keys[3]!.vkey)
    const ids = keys.map(({ vkey }) => vkey.split('+')[1])
    expect(readdirSync(ring.folder).filter((name) => name.startsWith('log')).sort()).toEqual([`log-${ids[3]}.key`, ...ids.slice(0, 3).map((id) => `log-${id}.pub`), 'log.pub'].sort())
  })

  it('opens, appends and is whole again, and what was seen before each rotation still counts', async () => {
    for (const [i, note] of heads.entries()) {
      const copy = forget(copied(log))
      writeFileSync(join(keyringFolder(originAt(copy), copy.home), 'proved'), note, { mode: 0o600 })
      const ledger = await openLog(copy)
      await appendRun(ledger, new Telling(), { user: 'again', order: '1' })
      await ledger.close()
      expect(await verifyAt(copy), String(i)).toMatchObject({ whole: true, problems: [], properties: { not_truncated: { status: 'proved' } } })
    }
  })
})

describe('an attacker', () => {
  const entryAt = (sql: Parameters<Parameters<typeof tamper>[1]>[0], index: number): any => parseEntry(sql('SELECT entry FROM entries WHERE idx = ?', index)[0]!['entry'] as Uint8Array).entry
  const both = async (copy: Place): Promise<Verdict[]> => [await verifyAt(copy), await verifyAt(copy, { who: 'none' })]

  it('who forges a rotation to a key of his own, signed by himself or with bytes of nobody, is seen', async () => {
    const stranger = strangeKey(originAt(log))
    const last = async (sign: (message: Uint8Array) => Uint8Array, mine: Signing = stranger, { from_size, ...more }: { writer?: string; session_id?: string; from_size?: number } = {}): Promise<void> => {
      const copy = forget(copied(log))
      const at = { index: 0 }
      forge(copy, (entries) => {
        const own = entries.filter(({ session_id }) => session_id === entries[0]!.session_id).at(-1)!
        const edge = new TreeEdge()
        edge.append(entries.map((entry) => leafHash(encodeEntry(entry))))
        at.index = entries.length
        const rotation = { origin: originAt(log), size: edge.size, root: edge.root(), vkey: mine.vkey }
        return [...entries, { ...own, index: edge.size, event_id: own.event_id.replace(/.{4}$/, 'ffff'), facts: { vkey: mine.vkey, from_size: from_size ?? edge.size, root: toBase64(rotation.root), signature: toBase64(sign(rotationStatement(rotation))) }, ...more }]
      }, { signer: mine.signer })
      for (const verdict of await both(copy)) {
        expect(verdict.whole).toBe(false)
        expect(codes(verdict)).toContain('key_rotation')
        expect(verdict.properties.unchanged.first_bad_index).toBe(at.index)
      }
    }
    await last(stranger.signer.sign)
    await last(keys[3]!.signer.sign, keys[0]) // back to a key that the log had
    await last(keys[3]!.signer.sign, stranger, { writer: 'local' })
    await last(keys[3]!.signer.sign, stranger, { session_id: '0190a2b4-0000-7000-8000-000000000001' })
    await last(keys[3]!.signer.sign, strangeKey('another.example/log'))
    await last(keys[3]!.signer.sign, stranger, { from_size: 7 })
    await last(() => new Uint8Array(64))
    await last(keys[2]!.signer.sign) // a key that was retired before
  })

  it('who removes a rotation, or moves one, is seen', async () => {
    for (const gone of rotations) {
      const removed = forget(copied(log))
      forge(removed, (entries) => entries.filter(({ index }) => index !== gone), { signer: keys[3]!.signer })
      for (const verdict of await both(removed)) expect(verdict.whole).toBe(false)
      const moved = forget(copied(log))
      forge(moved, (entries) => {
        const [one] = entries.splice(gone, 1)
        entries.splice(gone - 2, 0, one!)
      }, { signer: keys[3]!.signer })
      for (const verdict of await both(moved)) expect(codes(verdict)).toContain('key_rotation')
    }
  })

  it('who replays the rotation of another log is seen', async () => {
    const other = place(join(folder.folder, 'other'))
    const ledger = await openLog(other)
    await appendRun(ledger, new Telling(), { user: 'other', order: '9' })
    await ledger.rotate()
    const theirs = (await ledger.read((view) => view.events({ event_types: ['key_rotation'], limit: 1 })))[0]!
    await ledger.close()
    const copy = forget(copied(log))
    forge(copy, (entries) => { entries[rotations[2]!]!.facts = { ...parseEntry(theirs.entry).entry.facts } }, { signer: keys[3]!.signer })
    for (const verdict of await both(copy)) expect(codes(verdict)).toContain('key_rotation')
  })

  it('who says that other entries stood before a rotation is seen, also by a holder of every key', async () => {
    const copy = forget(copied(log))
    const at = rotations[1]!
    forge(copy, (entries) => { entries[at - 2]!.timestamp = '2026-11-20T00:00:00.000Z' }, { signer: keys[3]!.signer })
    for (const verdict of await both(copy)) {
      expect(codes(verdict)).toEqual(['key_rotation'])
      expect(verdict.problems.map(({ index }) => index)).toEqual(rotations.slice(1))
    }
  })

  it('who signs with a retired key is seen, and so is one with a key that was never in the log', async () => {
    for (const { signer } of keys.slice(0, 3)) {
      const copy = forget(copied(log))
      forge(copy, () => {}, { signer })
      for (const verdict of await both(copy)) expect(codes(verdict)).toEqual(['key_reign'])
    }
    const never = forget(copied(log))
    forge(never, () => {}, { signer: strangeKey(originAt(log)).signer })
    for (const verdict of await both(never)) expect(codes(verdict)).toEqual(['checkpoint'])
  })

  it('who remembers a checkpoint of a retired key for a size beyond its time is told so', async () => {
    const copy = copied(log)
    const edge = new TreeEdge()
    tamper(copy, (sql) => edge.append(sql('SELECT entry FROM entries ORDER BY idx').map(({ entry }) => leafHash(entry as Uint8Array))))
    const note = signCheckpoint({ origin: originAt(copy), size: edge.size, root: edge.root() }, [keys[1]!.signer])
    writeFileSync(join(keyringFolder(originAt(copy), copy.home), 'proved'), note, { mode: 0o600 })
    expect(codes(await verifyAt(copy))).toEqual(['key_reign'])
  })

  it('with a stolen old key who cuts the log before a rotation and goes on is seen by who pins a newer key or remembers', async () => {
    const copy = copied(log)
    const cut = (to: Place): void => forge(to, (entries) => entries.slice(0, rotations[0]! - 3), { signer: keys[0]!.signer })
    cut(copy)
    expect((await verifyAt(copy)).whole).toBe(false)
    const forgotten = forget(copied(log))
    cut(forgotten)
    expect(codes(await verifyAt(forgotten))).toContain('rolled_back') // the machine has a newer key
    expect((await verifyAt(forgotten, { who: 'none', vkey: keys[1]!.vkey })).whole).toBe(false)
    // what nobody can see who pins the old key alone, which docs/keys.md says
    expect(await verifyAt(forgotten, { who: 'none', vkey: keys[0]!.vkey })).toMatchObject({ properties: { unchanged: { status: 'proved' }, pinned: { status: 'proved' } } })
    await expect(openLog(copy)).rejects.toMatchObject({ code: 'rolled_back' })
    await expect(openLog(forgotten)).rejects.toMatchObject({ code: 'rolled_back' })
  })

  it('who edits an entry without a key is told where, whatever rotations follow', async () => {
    for (let index = 0; index < rotations[2]!; index += 5) {
      const copy = forget(copied(log))
      tamper(copy, (sql) => sql('UPDATE entries SET entry = ? WHERE idx = ?', encodeEntry({ ...entryAt(sql, index), timestamp: '2026-11-20T00:00:00.000Z' }), index))
      for (const verdict of await both(copy)) expect(verdict.properties.unchanged, `#${index}`).toMatchObject({ status: 'failed', first_bad_index: index })
    }
  })
})

describe('a key reported stolen', () => {
  let stolenLog: Place
  const range: number[] = []
  beforeAll(async () => {
    stolenLog = copied(log)
    const ledger = await openLog(stolenLog)
    range.push(rotations[0]! + 6, rotations[1]!)
    await ledger.reportKey({ vkey: keys[1]!.vkey, last_good_size: range[0]!, note: 'a laptop was stolen' })
    await ledger.close()
  })

  it('splits the verdict there: before and after is proved, between is asserted, nothing fails', async () => {
    for (const who of ['keys', 'none'] as const) {
      const verdict = await verifyAt(stolenLog, { who })
      expect(verdict).toMatchObject({ whole: true, problems: [], properties: { unchanged: { status: 'asserted' }, pinned: { status: who === 'keys' ? 'proved' : 'unknown' } } })
      expect(verdict.properties.unchanged.says).toContain(`#${range[0]} to #${range[1]! - 1} were signed with a key reported stolen`)
      expect([exitCode(verdict), exitCode(verdict, ['unchanged'])]).toEqual([0, 3])
      expect(verdict.keys.map(({ state, last_good_size }) => [state, last_good_size])).toEqual([['retired', undefined], ['compromised', range[0]], ['retired', undefined], ['in_force', undefined]])
    }
  })

  it('pins what comes after it only to whoever has a newer key', async () => {
    const status = async (i: number): Promise<string> => (await verifyAt(stolenLog, { who: 'none', vkey: keys[i]!.vkey })).properties.pinned.status
    expect([await status(0), await status(1), await status(2), await status(3)]).toEqual(['asserted', 'asserted', 'proved', 'proved'])
    expect((await verifyAt(stolenLog, { who: 'none', vkey: keys[1]!.vkey })).properties.pinned.says).toContain('reported stolen')
  })

  it('is rotated away first when it is in force, and a report that was stopped half way asks which one is meant', async () => {
    const copy = copied(log)
    const ledger = await openLog(copy)
    const { size } = (await ledger.read((view) => view.head()))!
    expect(await ledger.reportKey({ last_good_size: size - 2 })).toMatchObject({ vkey: keys[3]!.vkey, rotated: true })
    await expect(ledger.reportKey({ last_good_size: size - 2 })).rejects.toMatchObject({ code: 'which_key' })
    await expect(ledger.reportKey({ vkey: keys[0]!.vkey, last_good_size: rotations[0]! + 1 })).rejects.toMatchObject({ code: 'bad_size' })
    await expect(ledger.reportKey({ vkey: strangeKey(originAt(log)).vkey, last_good_size: 1 })).rejects.toMatchObject({ code: 'not_a_key' })
    await ledger.close()
    const verdict = await verifyAt(copy)
    expect(verdict).toMatchObject({ whole: true, problems: [], properties: { unchanged: { status: 'asserted' }, pinned: { status: 'proved' } } })
    expect(verdict.keys.slice(-2)).toMatchObject([{ state: 'compromised', to: size, last_good_size: size - 2 }, { from: size, state: 'in_force' }])
  })

  it('reported falsely by a holder of the newest key is seen', async () => {
    for (const facts of [{ vkey: keys[3]!.vkey, last_good_size: 3 }, { vkey: keys[0]!.vkey, last_good_size: rotations[0]! + 1 }, { vkey: strangeKey(originAt(log)).vkey, last_good_size: 3 }]) {
      const copy = forget(copied(stolenLog))
      forge(copy, (entries) => { entries.find(({ event_type }) => event_type === 'key_compromise')!.facts = facts }, { signer: keys[3]!.signer })
      expect(codes(await verifyAt(copy))).toContain('key_compromise')
    }
  })
})

describe('what was handed over', () => {
  const inStore = async <T>(where: Place, fn: (view: StoreView) => Promise<T>): Promise<T> => {
    const store = await openSqliteStore(where.db, { readOnly: true })
    try {
      return await store.read(fn)
    } finally {
      await store.close()
    }
  }
  const sessionsOf = (where: Place): Promise<string[]> => inStore(where, async (view) => (await view.listSessions({ limit: 100 })).map(({ session_id }) => session_id))
  const bundled = (where: Place, session_id: string): Promise<string> => inStore(where, async (view) => (await exportBundle(view, openKeyring(originAt(where), where.home), { session_id, disclose: 'all' })).json)

  it('as a bundle verifies with each key, says through which ones, and is refused with a stranger', async () => {
    for (const session of await sessionsOf(log)) {
      const json = await bundled(log, session)
      for (const { vkey } of keys) expect(verifyBundle(json, { key: vkey }).verdict).toMatchObject({ whole: true, problems: [], properties: { pinned: { status: 'proved' }, unchanged: { status: 'proved' } }, reigns: [{}, {}, {}, {}] })
      expect(verifyBundle(json).verdict).toMatchObject({ whole: true, properties: { pinned: { status: 'unknown' } } })
      expect(verifyBundle(json, { key: strangeKey(originAt(log)).vkey }).verdict.problems.map(({ code }) => code)).toEqual(['key'])
    }
  })

  it('as a bundle with a rotation left out, or signed by a retired key, is refused', async () => {
    const bundle = parseBundle(await bundled(log, (await sessionsOf(log))[0]!))
    const without = { ...bundle, entries: bundle.entries.filter(({ index }) => index !== rotations[1]) }
    expect(verifyBundle(formatBundle(without), { key: keys[0]!.vkey }).verdict.problems.map(({ code }) => code)).toEqual(expect.arrayContaining(['key_rotation', 'root']))
    const { size, root, origin } = parseTreeHead(parseNote(bundle.checkpoint).text)
    const retired = { ...bundle, keys: [keys[1]!.vkey], checkpoint: signCheckpoint({ origin, size, root }, [keys[1]!.signer]) }
    for (const key of [keys[0]!.vkey, keys[1]!.vkey]) expect(verifyBundle(formatBundle(retired), { key }).verdict.problems.map(({ code }) => code)).toEqual(['key_reign'])
    const stranger = strangeKey(origin)
    const foreign = { ...bundle, keys: [stranger.vkey], checkpoint: signCheckpoint({ origin, size, root }, [stranger.signer]) }
    expect(verifyBundle(formatBundle(foreign), { key: keys[0]!.vkey }).verdict.problems.map(({ code }) => code)).toEqual(['key'])
  })

  it('as a bundle with a stolen key says which of its entries rest on it, and to whom the newer key is proved', async () => {
    const copy = copied(log)
    const ledger = await openLog(copy)
    await ledger.reportKey({ vkey: keys[1]!.vkey, last_good_size: rotations[0]! + 6 })
    await ledger.close()
    const found = new Set<string>()
    for (const session of await sessionsOf(copy)) {
      const json = await bundled(copy, session)
      const { properties, whole } = verifyBundle(json, { key: keys[1]!.vkey }).verdict
      expect([whole, properties.pinned.status, verifyBundle(json, { key: keys[3]!.vkey }).verdict.properties.pinned.status]).toEqual([true, 'asserted', 'proved'])
      found.add(properties.unchanged.status)
    }
    expect(found).toEqual(new Set(['proved', 'asserted']))
  })

  it('as an archive, written before and continued after, verifies with each key', async () => {
    const where = place(join(folder.folder, 'archived'))
    const to = join(folder.folder, 'archive')
    const pinned: string[] = []
    for (let i = 0; i < 3; i++) {
      const ledger = await openLog(where)
      pinned.push(ledger.keyring.vkey)
      for (let run = 0; run < 12; run++) await appendRun(ledger, new Telling(), { user: `u-${run}`, order: '1' })
      await inStore(where, async (view) => writeArchive(await writableFolder(to), await archiveSource(view, ledger.keyring.vkey)))
      for (const vkey of pinned) expect(await verifyLog(await archiveEvidence(archiveFolder(to), vkey))).toMatchObject({ whole: true, problems: [], properties: { pinned: { status: 'proved' } } })
      await ledger.rotate()
      await ledger.close()
    }
    expect((await verifyLog(await archiveEvidence(archiveFolder(to), strangeKey(originAt(where)).vkey))).problems.map(({ code }) => code)).toEqual(expect.arrayContaining(['checkpoint', 'log_start']))
    // a retired key signs the archive's last size anew: neither continued nor believed
    const note = readFileSync(join(to, 'checkpoint'), 'utf8')
    const { size, root, origin } = parseTreeHead(parseNote(note).text)
    writeFileSync(join(to, 'checkpoint'), signCheckpoint({ origin, size, root }, [strangeKey(origin).signer]))
    await expect(inStore(where, async (view) => writeArchive(await writableFolder(to), await archiveSource(view)))).rejects.toMatchObject({ code: 'archive_checkpoint' })
  })

  it('to a witness goes on, with a policy that names both keys', async () => {
    const where = place(join(folder.folder, 'witnessed'))
    const ledger = await openLog(where)
    await appendRun(ledger, new Telling(), { user: 'a', order: '1' })
    const old = ledger.keyring.vkey
    const submit = async (policy: Policy): Promise<CosignReport> => {
      const trail = await openLocalTrail(where.db, 'read', where.home)
      try {
        return await trail.cosign(policy, 5_000)
      } finally {
        await trail.close()
      }
    }
    const first = await startWitness(join(folder.folder, 'witness'), [old])
    const policyOf = (vkeys: readonly string[], { vkey, url }: TestWitness): Policy => parsePolicy(`${vkeys.map((each) => `log ${each}\n`).join('')}witness w1 ${vkey} ${url}/\nquorum w1\n`)
    expect(await submit(policyOf([old], first))).toMatchObject({ satisfied: true })
    await ledger.rotate()
    // cosigned before the rotation, it still counts; a policy of the new key alone does not name who signed that
    expect(await verifyAt(where, { policy: policyOf([old], first) })).toMatchObject({ whole: true, properties: { witnessed: { status: 'proved' } } })
    expect(codes(await verifyAt(where, { policy: policyOf([ledger.keyring.vkey], first) }))).toEqual(['policy_log'])
    await first.stop()
    const both = [old, ledger.keyring.vkey]
    const second = await startWitness(join(folder.folder, 'witness'), both)
    expect(await submit(policyOf(both, second))).toMatchObject({ satisfied: true })
    expect(await verifyAt(where, { policy: policyOf(both, second) })).toMatchObject({ whole: true, properties: { witnessed: { status: 'proved' } } })
    await ledger.close()
    await second.stop()
  })
})

describe('the command', () => {
  const counterfoil = async (where: Place, ...args: string[]): Promise<{ code: number; out: string; err: string }> => {
    const told: Told = { out: '', err: '' }
    const code = await run(args, ({ json }) => testContext(told, { json, trail: where.db, cwd: folder.folder, open: (path, mode) => openLocalTrail(path, mode, where.home) }))
    return { code, ...told }
  }

  it('rotates, reports and lists keys, within 80 columns, and in JSON', async () => {
    const where = place(join(folder.folder, 'command'))
    const ledger = await openLog(where, { clock: Date.now })
    await appendRun(ledger, new Telling(), { user: 'a', order: '1' })
    await ledger.close()
    expect((await counterfoil(where, 'keys')).out).not.toContain('signing keys')
    const rotated = await counterfoil(where, 'keys', 'rotate')
    expect(rotated).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/rotated by #12[\s\S]*signing keys[\s\S]*retired[\s\S]*in force/) })
    const reported = await counterfoil(where, 'keys', 'compromised', '--last-good', '13', '--note', 'a laptop', '--json')
    expect(JSON.parse(reported.out)).toMatchObject({ index: 14, rotated: true, keys: [{ state: 'retired' }, { state: 'compromised', last_good_size: 13 }, { state: 'in_force', from: 13 }] })
    const listed = await counterfoil(where, 'keys')
    for (const line of [...listed.out.split('\n'), ...rotated.out.split('\n')]) if (!line.includes('+') && !line.includes('/')) expect(line.length).toBeLessThanOrEqual(80)
    expect((await counterfoil(where, 'verify')).out).toContain('proved    the 15 entries')
    const { keys: [first] } = JSON.parse((await counterfoil(where, 'keys', '--json')).out) as { keys: [{ vkey: string }] }
    await counterfoil(where, 'keys', 'compromised', '--key', first.vkey, '--last-good', '10')
    expect(await counterfoil(where, 'verify', '--require', 'unchanged')).toMatchObject({ code: 3, out: expect.stringContaining('#10 to #11 were signed with a key') })
    for (const args of [['renew', '--note', 'x'], ['compromised'], ['rotate', '--key', first.vkey], ['compromised', '--last-good', '-1'], ['compromised', '--last-good', '99'], ['compromised', '--key', 'nokey', '--last-good', '1']]) expect(await counterfoil(where, 'keys', ...args), args.join(' ')).toMatchObject({ code: 2, out: '' })
  })
})

describe('rotating', () => {
  it('is noticed by another process with the old key in memory, in its next append', async () => {
    const where = place(join(folder.folder, 'two'))
    const [a, b] = [await openLog(where), await openLog(where)]
    await appendRun(a, new Telling(), { user: 'a', order: '1' })
    await appendRun(b, new Telling(), { user: 'b', order: '2' })
    const one = await a.rotate()
    await appendRun(b, new Telling(), { user: 'b', order: '3' })
    expect(b.keyring.vkey).toBe(one.vkey)
    const two = await b.rotate()
    expect(two.before).toBe(one.vkey)
    await Promise.all([appendRun(a, new Telling(), { user: 'a', order: '4' }), appendRun(b, new Telling(), { user: 'b', order: '5' })])
    const three = await Promise.all([a.rotate(), b.rotate()])
    await appendRun(a, new Telling(), { user: 'a', order: '6' })
    await a.close()
    await b.close()
    const verdict = await verifyAt(where)
    expect(verdict).toMatchObject({ whole: true, problems: [] })
    expect(verdict.keys).toHaveLength(5)
    expect(new Set(three.map(({ index }) => index)).size).toBe(2)
  })

  it('with a clock that was set back puts the clock entry first, and is right', async () => {
    const where = place(join(folder.folder, 'clock'))
    let now = Date.UTC(2026, 10, 21, 8)
    const ledger = await openLog(where, { clock: () => now })
    await appendRun(ledger, new Telling(), { user: 'a', order: '1' })
    now -= 60_000
    const { index } = await ledger.rotate()
    expect(ledger.head!.size).toBe(index + 1)
    await ledger.close()
    expect(await verifyAt(where)).toMatchObject({ whole: true, problems: [] })
  })

  it('is refused to keys that are an older copy, with the reason', async () => {
    const where = place(join(folder.folder, 'older'))
    const ledger = await openLog(where)
    await ledger.close()
    const before = copied(where)
    const again = await openLog(where)
    await again.rotate()
    await again.close()
    rmSync(where.home, { recursive: true })
    const old = sameOrigin(where, { ...where, home: before.home })
    await expect(openLog(old)).rejects.toMatchObject({ code: 'key_retired', next: expect.stringContaining('restore') })
    expect(await verifyAt(old)).toMatchObject({ whole: true }) // reading needs no newest key
  })

  it('killed at each of its steps leaves a log that opens, appends and rotates, whole', async () => {
    const base = place(join(folder.folder, 'killed'))
    const ledger = await openLog(base, { clock: Date.now })
    await appendRun(ledger, new Telling(), { user: 'a', order: '1' })
    await ledger.close()
    const seen = new Set<number>()
    for (let step = 1, ended = false; !ended; step++) {
      const copy = copied(base)
      const said = await new Promise<string>((resolve) => execFile(process.execPath, [join(import.meta.dirname, 'rotate-child.ts'), copy.db, copy.home, String(step)], { env: { ...process.env, NODE_OPTIONS: '' } }, (_, stdout) => resolve(stdout)))
      ended = said !== ''
      expect(step).toBeLessThan(80)
      expect(await verifyAt(copy), `killed at ${step}`).toMatchObject({ whole: true, problems: [] })
      const after = await openLog(copy, { clock: Date.now })
      await appendRun(after, new Telling(), { user: 'b', order: '2' })
      await after.rotate()
      await appendAll(after, [new Telling().draft('session_start', { agent_id: 'x' })])
      const { folder: path, vkey } = after.keyring
      await after.close()
      const verdict = await verifyAt(copy)
      expect(verdict, `killed at ${step}`).toMatchObject({ whole: true, problems: [] })
      seen.add(verdict.keys.length)
      const left = readdirSync(path).filter((name) => name.endsWith('.key') && name.startsWith('log'))
      expect(left, `killed at ${step}`).toEqual([`log-${vkey.split('+')[1]}.key`])
    }
    expect(seen).toEqual(new Set([2, 3])) // killed before the log named it, and after
  }, 120_000)
})
