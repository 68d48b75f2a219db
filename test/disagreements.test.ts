// Where this library and the verifier in Python (test/interop/python) once disagreed, and docs/format.md said that the library was wrong.

import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { archiveEvidence } from '../src/archive/evidence.ts'
import { archiveFolder, writableFolder } from '../src/archive/folder.ts'
import { writeArchive } from '../src/archive/write.ts'
import { archiveSource } from '../src/cli/archive-source.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import type { Verdict } from '../src/verify/verdict.ts'
import { verifyLog } from '../src/verify/verify.ts'
import { appendRun, copyOf, forge, openKeyring, openLog, originAt, place, sameOrigin, scratch, smallLog, tamper, Telling, verifyAt, type Place } from './sample-log.ts'

const tmp = scratch()
const small = place(join(tmp.folder, 'small'))
const big = place(join(tmp.folder, 'big'))
const archived = join(tmp.folder, 'archive')
beforeAll(async () => {
  await smallLog(small)
  const ledger = await openLog(big)
  for (let n = 0; n < 30; n++) await appendRun(ledger, new Telling(), { user: `user-${n}`, order: String(n) })
  await ledger.close()
  await archive(big, archived)
})
afterAll(() => tmp.remove())

async function archive({ db }: Place, to: string): Promise<void> {
  const store = await openSqliteStore(db, { readOnly: true })
  try {
    await store.read(async (view) => writeArchive(await writableFolder(to), await archiveSource(view)))
  } finally {
    await store.close()
  }
}
const copy = (from: Place = small): Place => sameOrigin(from, copyOf(from, join(tmp.folder, 'copy')))
const told = ({ problems }: Verdict): string[] => problems.map(({ code, index }) => `${code} ${index ?? '-'}`)
const verifyFolder = async (folder: string, vkey?: string): Promise<Verdict> => verifyLog(await archiveEvidence(archiveFolder(folder), vkey))
const unchanged = (problems: string[]): string[] => problems.filter((each) => !/^(forked|session_row|subject)/.test(each))

describe('of a log', () => {
  test('the first entry must name the format too', async () => {
    const where = copy()
    forge(where, (entries) => { entries[0]!.facts = { ...entries[0]!.facts, format: 'counterfoil/v9' } })
    expect(unchanged(told(await verifyAt(where)))).toContain('log_start 0')
  })

  test('only a phase `ordered` orders an erasure', async () => {
    const where = copy()
    forge(where, (entries) => {
      const own = { ...entries[0]!, event_type: 'erasure', facts: { phase: 'wished', erasure: '0'.repeat(32), scopes: [`${entries[1]!.session_id}/0`] }, event_id: entries[0]!.event_id.replace(/.$/, (c) => (c === '0' ? '1' : '0')), recorded_at: entries.at(-1)!.recorded_at } as never
      return [...entries, own]
    })
    tamper(where, (sql) => {
      sql("UPDATE scopes SET generation = '          ' WHERE k = 0 AND session_id = (SELECT session_id FROM entries WHERE idx = 1)")
      sql("DELETE FROM places WHERE idx = 1")
    })
    expect(told(await verifyAt(where))).toContain('missing 1')
  })

  test('a place in a segment of another scope does not damage what lies in it rightly', async () => {
    const where = copy()
    tamper(where, (sql) => { sql('UPDATE places SET segment = (SELECT max(segment) FROM segments), frame = 0, position = 0, frames = 1 WHERE idx = 1 AND ordinal = 0') })
    expect([...new Set(told(await verifyAt(where)).filter((each) => each.startsWith('damaged')))]).toEqual(['damaged 1'])
  })

  test('an end whose `streams` is no object of counts states none', async () => {
    const where = copy()
    forge(where, (entries) => { const end = entries.find(({ event_type }) => event_type === 'session_end')!; end.facts = { ...end.facts, streams: ['odd'] } })
    expect(told(await verifyAt(where)).filter((each) => each.startsWith('stream_count'))).toEqual([])
  })

  test('a decision whose `request` is no text answers none', async () => {
    const where = copy()
    forge(where, (entries) => { const decision = entries.find(({ event_type }) => event_type === 'approval_decision')!; decision.facts = { ...decision.facts, request: ['odd'] } })
    const index = (await verifyAt(where)).problems.find(({ code }) => code === 'approval')?.index
    forge(where, (entries) => { entries[index!]!.facts = { ...entries[index!]!.facts, request: [entries[index!]!.prev] } })
    expect(told(await verifyAt(where)).filter((each) => each.startsWith('approval'))).toEqual([`approval ${index}`, `approval ${index! + 1}`])
  })

  test('after a missing entry no tile is compared', async () => {
    const where = copy(big)
    tamper(where, (sql) => { sql('DELETE FROM entries WHERE idx = 40') })
    expect(told(await verifyAt(where)).filter((each) => /^(entries_missing|tile|root)/.test(each))).toEqual(['entries_missing 40'])
  })
})

describe('beside an entry of a newer format', () => {
  const newer = (where: Place, at: number): void => forge(where, (entries) => { Object.assign(entries[at]!, { v: 2 }) })

  test('what is wrong before it counts, also where only what comes after it decides which of two neighbours it was', async () => {
    const where = copy()
    forge(where, (entries) => {
      entries[11]!.prev = entries[1]!.prev
      Object.assign(entries[20]!, { v: 2 })
    }, { keepOrder: true })
    expect(unchanged(told(await verifyAt(where)))).toEqual(['prev 10'])
  })

  test('so does a tile that is not that of the entries, wherever', async () => {
    const where = copy(big)
    newer(where, 20)
    tamper(where, (sql) => { sql('UPDATE tiles SET hashes = zeroblob(8192)') })
    expect(unchanged(told(await verifyAt(where)))).toEqual(['tile 0'])
  })

  test('and content that is not what its entry commits to', async () => {
    const where = copy()
    newer(where, 40)
    tamper(where, (sql) => { sql('UPDATE places SET position = CASE position WHEN 0 THEN 1 ELSE 0 END WHERE idx = 1 AND position < 2') })
    expect(unchanged(told(await verifyAt(where)))).toEqual(['commitment 1', 'commitment 1'])
  })

  test('that is entry 0, without a key: a newer verifier is needed, and nothing was tampered with', async () => {
    const where = copy()
    newer(where, 0)
    await expect(verifyAt(where, { who: 'none' })).rejects.toMatchObject({ code: 'newer_format' })
    const folder = join(tmp.folder, 'newer')
    cpSync(archived, folder, { recursive: true })
    const path = join(folder, 'tile/entries/000')
    writeFileSync(path, Buffer.from(readFileSync(path).toString('latin1').replace('"v":1', '"v":2'), 'latin1'))
    await expect(verifyFolder(folder)).rejects.toMatchObject({ code: 'newer_format' })
  })
})

describe('of an archive', () => {
  const changed = (): string => {
    const folder = join(tmp.folder, 'changed')
    rmSync(folder, { recursive: true, force: true })
    cpSync(archived, folder, { recursive: true })
    return folder
  }

  test('one tile that is gone or changed is one failure, at its own place', async () => {
    const vkey = openKeyring(originAt(big), big.home).vkey
    const gone = changed()
    rmSync(join(gone, 'tile/0/000'))
    expect(told(await verifyFolder(gone, vkey))).toEqual(['tile_missing 0'])
    const other = changed()
    const bytes = readFileSync(join(other, 'tile/0/000'))
    bytes[231 * 32]! ^= 1
    writeFileSync(join(other, 'tile/0/000'), bytes)
    expect(told(await verifyFolder(other, vkey))).toEqual(['tile 231'])
  })

  test('entry 0 that cannot be read, without a key, is malformed; one that is not there names no key', async () => {
    const folder = changed()
    const path = join(folder, 'tile/entries/000')
    const bytes = readFileSync(path)
    bytes[2]! ^= 1
    writeFileSync(path, bytes)
    await expect(verifyFolder(folder)).rejects.toMatchObject({ code: 'entry_malformed', first_bad_index: 0 })
    renameSync(path, `${path}-aside`)
    await expect(verifyFolder(folder)).rejects.toMatchObject({ code: 'no_vkey', first_bad_index: 0 })
  })
})
