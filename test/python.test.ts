// The verifier in Python (test/interop/python) as an auditor runs it, over the example of docs/format.md and a log made here. Thousands of cases
// are in test/slow/python.test.ts.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromHex } from '../src/base/bytes.ts'
import { makePage } from '../src/page/page.ts'
import { noPython, type Said } from './interop/python.ts'
import { appendRun, forge, openKeyring, openLog, originAt, place, scratch, signingKey, smallLog, strangeKey, tamper, Telling, verifyAt, type Place } from './sample-log.ts'
import vectors from './vectors/format-v1.json' with { type: 'json' }

const PROGRAM = join(import.meta.dirname, 'interop/python/verify.py')

if (noPython !== undefined) process.stderr.write(`python: skipped, ${noPython}\n`)

describe.skipIf(noPython !== undefined)(`the verifier in Python${noPython === undefined ? '' : ` (skipped: ${noPython})`}`, () => {
  const tmp = scratch()
  const key = vectors.log_key['log.pub'].trimEnd()
  let log: Place
  beforeAll(async () => {
    log = place(join(tmp.folder, 'log'))
    await smallLog(log)
  })
  afterAll(() => tmp.remove())

  /** What it says, and its exit code. */
  function run(...args: string[]): { said: Said; code: number | null } {
    const { stdout, stderr, status } = spawnSync('python3', ['-B', PROGRAM, ...args], { encoding: 'utf8' })
    if (stdout === '') throw new Error(stderr)
    return { said: JSON.parse(stdout) as Said, code: status }
  }
  const keysOf = ({ home }: Place): string => join(home, readdirSync(home)[0]!)

  test('has the vocabulary of docs/format.md', () => {
    const { status, stdout } = spawnSync('python3', ['-B', join(dirname(PROGRAM), 'counterfoil/vocabulary.py'), join(import.meta.dirname, '../docs/format.md')], { encoding: 'utf8' })
    expect(status, `counterfoil/vocabulary.py should have:\n${stdout}`).toBe(0)
  })

  test('finds a database whole, with and without keys', async () => {
    const open = run(log.db, '--keys', keysOf(log))
    const { counts } = await verifyAt(log)
    expect([open.code, open.said.whole, open.said.counts]).toMatchObject([0, true, { entries: counts.entries, payloads: counts.payloads, erased: 0 }])
    expect([counts.entries, counts.payloads > 40]).toEqual([46, true])
    const vkey = openKeyring(originAt(log), log.home).vkey
    expect(run(log.db, '--key', vkey)).toMatchObject({ code: 0, said: { whole: true, pinned: true, content_opened: false } })
    expect(run(log.db)).toMatchObject({ code: 0, said: { whole: true, pinned: false } })
  })

  test('says which entry was changed', () => {
    cpSync(log.db, join(tmp.folder, 'changed.db'))
    tamper({ ...log, db: join(tmp.folder, 'changed.db') }, (sql) => { sql(`UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), '"amount":42', '"amount":43') AS BLOB), idx = idx WHERE idx = 7`); sql("UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), 'refund', 'refunb') AS BLOB) WHERE idx = 9") })
    expect(run(join(tmp.folder, 'changed.db'))).toMatchObject({ code: 1, said: { whole: false, first_bad_index: 9, codes: expect.arrayContaining(['root', 'prev']) } })
  })

  test('reads the archive and the bundle of docs/format.md, as JSON and in its page', () => {
    const { archive, checkpoint, entries, segments, bundle } = vectors
    const folder = join(tmp.folder, 'archive')
    const put = (path: string, bytes: Uint8Array | string): void => {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), bytes)
    }
    put('checkpoint', checkpoint.note)
    put('tile/0/000.p/5', fromHex(archive['tile/0/000.p/5']))
    put('tile/entries/000.p/5', Buffer.concat(entries.flatMap(({ bytes }) => [Buffer.of(bytes.length >> 8, bytes.length & 255), Buffer.from(bytes)])))
    put('segment/list/000.p/5', archive['segment/list/000.p/5'])
    segments.forEach(({ bytes }, i) => put(archive.segments[i]!, fromHex(bytes)))
    expect(run(folder, '--key', key)).toMatchObject({ code: 0, said: { whole: true, codes: [] } })
    put('tile/entries/000.p/5', Buffer.of(4))
    expect(run(folder)).toMatchObject({ code: 1, said: { first_bad_index: 0, codes: ['no_vkey'] } })
    writeFileSync(join(tmp.folder, 'bundle.json'), bundle.text)
    writeFileSync(join(tmp.folder, 'bundle.html'), makePage(bundle.text, ''))
    for (const name of ['bundle.json', 'bundle.html']) expect(run(join(tmp.folder, name), '--key', key)).toMatchObject({ code: 0, said: { whole: true, counts: { entries: 4, payloads: 2, withheld: 2 } } })
    writeFileSync(join(tmp.folder, 'bundle.json'), bundle.text.replace('Be brief.', 'Be broad.'))
    expect(run(join(tmp.folder, 'bundle.json'), '--key', key)).toMatchObject({ code: 1, said: { whole: false, first_bad_index: 1, codes: ['commitment'] } })
  })

  test('follows the keys of a log, says what rests on a stolen one, and whose signatures lead there', async () => {
    const where = place(join(tmp.folder, 'turned'))
    const ledger = await openLog(where)
    const keys: string[] = []
    for (let n = 0; n < 3; n++) {
      if (n > 0) await ledger.rotate()
      keys.push(ledger.keyring.vkey)
      await appendRun(ledger, new Telling(), { user: `user-${n}`, order: String(n) })
    }
    await ledger.reportKey({ vkey: keys[1]!, last_good_size: 20 })
    await ledger.close()
    const reigns = [{ vkey: keys[0], from: 0, to: 12 }, { vkey: keys[1], from: 12, to: 24, last_good_size: 20 }, { vkey: keys[2], from: 24 }]
    expect(run(where.db, '--keys', keysOf(where))).toMatchObject({ code: 0, said: { whole: true, keys: reigns, doubtful: [[20, 24]], whose: 'proved' } })
    const whose = (key: string): unknown => [run(where.db, '--key', key).code, run(where.db, '--key', key).said.whose]
    expect(keys.map(whose)).toEqual([[0, 'asserted'], [0, 'asserted'], [0, 'proved']])
    expect(run(where.db, '--key', strangeKey(originAt(where)).vkey)).toMatchObject({ code: 1, said: { codes: ['checkpoint', 'log_start'] } })
    const { signer } = signingKey(where)
    forge(where, (entries) => { entries[24]!.facts = { ...entries[24]!.facts, from_size: 23 } }, { signer })
    expect(run(where.db, '--key', keys[0]!)).toMatchObject({ code: 1, said: { first_bad_index: 24, codes: ['key_rotation'] } })
  })

  test('refuses what is no evidence, and keys that are not there, with exit code 2', () => {
    expect(run(PROGRAM)).toMatchObject({ code: 2, said: { whole: false, codes: [] } })
    expect(run(join(tmp.folder, 'nothing'))).toMatchObject({ code: 2 })
    expect(run(tmp.folder)).toMatchObject({ code: 2 })
    expect(run(log.db, '--key', 'odd')).toMatchObject({ code: 2 })
    expect(run(log.db, '--keys', tmp.folder)).toMatchObject({ code: 2 })
  })

  test('does not write to the database', () => {
    const before = readFileSync(log.db)
    run(log.db, '--keys', keysOf(log))
    expect(readFileSync(log.db).equals(before)).toBe(true)
    expect(readdirSync(log.folder).sort()).toEqual(['home', 'log.db'])
  })
})
