// Where this library and the verifier in Python (test/interop/python) once disagreed, and docs/format.md said that the library was wrong.

import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { archiveEvidence } from '../src/archive/evidence.ts'
import { archiveFolder, writableFolder } from '../src/archive/folder.ts'
import { writeArchive } from '../src/archive/write.ts'
import { archiveSource } from '../src/cli/archive-source.ts'
import { canonicalJson } from '../src/base/canonical-json.ts'
import type { Entry } from '../src/event/entry.ts'
import { exportBundle } from '../src/ledger/bundle.ts'
import { signCheckpoint } from '../src/log/checkpoint.ts'
import { emptyRoot } from '../src/log/hash.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { formatBundle, parseBundle } from '../src/verify/bundle-text.ts'
import { verifyBundle } from '../src/verify/bundle.ts'
import type { Verdict } from '../src/verify/verdict.ts'
import { verifyLog } from '../src/verify/verify.ts'
import { appendRun, copyOf, forge, forget, openKeyring, openLog, originAt, place, sameOrigin, scratch, signingKey, smallLog, tamper, Telling, verifyAt, type Place, type Writable } from './sample-log.ts'

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

describe('of a log that changed its key', () => {
  const where = place(join(tmp.folder, 'turned'))
  let keys: readonly string[]
  let rotations: number[]
  beforeAll(async () => {
    const ledger = await openLog(where)
    const vkeys: string[] = []
    for (let n = 0; n < 3; n++) {
      await appendRun(ledger, new Telling(), { user: `user-${n}`, order: String(n) })
      vkeys.push(ledger.keyring.vkey)
      if (n < 2) await ledger.rotate()
    }
    keys = vkeys
    await ledger.close()
    rotations = (await verifyAt(where)).keys.slice(1).map(({ from }) => from)
  })
  const turned = (): Place => forget(copy(where))

  test('a rotation that is wrong counts also beside a newer entry after it, and a checkpoint of a retired key beside any', async () => {
    const one = turned()
    forge(one, (entries) => {
      const rotation = entries[rotations[0]!]!
      rotation.facts = { ...rotation.facts, from_size: 3 }
      Object.assign(entries[rotations[0]! + 4]!, { v: 2 })
    })
    expect(told(await verifyAt(one))).toEqual([`key_rotation ${rotations[0]}`])
    const other = turned()
    forge(other, (entries) => { Object.assign(entries[2]!, { v: 2 }) })
    const { signer } = signingKey(other)
    await expect(verifyAt(other)).rejects.toMatchObject({ code: 'newer_format' })
    writeFileSync(join(other.home, readdirSync(other.home)[0]!, 'proved'), signCheckpoint({ origin: originAt(other), size: rotations[0]!, root: emptyRoot() }, [signer]), { mode: 0o600 })
    expect(told(await verifyAt(other))).toEqual(['key_reign -'])
  })

  test('after a missing entry no root of a rotation is compared', async () => {
    const one = turned()
    tamper(one, (sql) => { sql('DELETE FROM entries WHERE idx = 3') })
    expect(told(await verifyAt(one)).filter((each) => /^(entries_missing|key)/.test(each))).toEqual(['entries_missing 3'])
  })

  test.each(['gone', 'malformed', 'of another format'])('an entry 0 that is %s says nothing against the rotations, and each key still leads to the newest', async (what) => {
    for (const vkey of keys) {
      const one = turned()
      if (what === 'of another format') forge(one, (entries) => { entries[0]!.facts = { ...entries[0]!.facts, format: 'counterfoil/v9' } })
      else tamper(one, (sql) => { sql(what === 'gone' ? 'DELETE FROM entries WHERE idx = 0' : `UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), '"v":1', '"v":0') AS BLOB) WHERE idx = 0`) })
      const codes = told(await verifyAt(one, { who: 'none', vkey })).filter((each) => /^(entries_missing|entry_malformed|log_start|key|checkpoint)/.test(each))
      expect(codes).toEqual([`${{ gone: 'entries_missing', malformed: 'entry_malformed', 'of another format': 'log_start' }[what]!} 0`])
    }
  })

  /** The failures of a bundle of the last session, with other words in its entries, but that of the root. */
  async function ofBundle(edit: (entries: { index: number; entry: Writable<Entry> }[]) => void, key: string): Promise<string[]> {
    const store = await openSqliteStore(where.db, { readOnly: true })
    try {
      const bundle = await store.read(async (view) => {
        const last = (await view.entries(rotations[1]! + 1, rotations[1]! + 2))[0]!.entry
        const { session_id } = JSON.parse(Buffer.from(last).toString()) as Entry
        return parseBundle((await exportBundle(view, openKeyring(originAt(where), where.home), { session_id, disclose: 'none' })).json)
      })
      const entries = bundle.entries.map(({ index, entry }) => ({ index, entry: JSON.parse(Buffer.from(entry, 'base64').toString()) as Writable<Entry> }))
      edit(entries)
      const json = formatBundle({ ...bundle, entries: entries.sort((one, other) => one.index - other.index).map(({ index, entry }) => ({ index, entry: Buffer.from(canonicalJson(entry as never)).toString('base64') })) })
      return told(verifyBundle(json, { key }).verdict as never).filter((each) => !each.startsWith('root'))
    } finally {
      await store.close()
    }
  }

  test('a bundle follows nothing from an entry 0 of another format, and has no `log_start` of another session but that', async () => {
    expect(await ofBundle(() => {}, keys[0]!)).toEqual([])
    expect(await ofBundle((entries) => { entries[0]!.entry.facts = { ...entries[0]!.entry.facts, format: 'counterfoil/v9' } }, keys[0]!)).toEqual(['entry_extra 0', ...rotations.map((index) => `entry_extra ${index}`), 'key -'])
    expect(await ofBundle((entries) => { entries.push({ index: 5, entry: { ...entries[0]!.entry, index: 5 } }) }, keys[0]!)).toEqual(['entry_extra 5'])
  })

  test('in a bundle, what is wrong before an entry of a newer format counts where only what comes after it decides which of two it was', async () => {
    const at = rotations[1]! + 4
    expect(await ofBundle((entries) => {
      for (const { index, entry } of entries) {
        if (index === at) entry.prev = entries[0]!.entry.prev
        if (index === at + 1) Object.assign(entry, { v: 2 })
      }
    }, keys[2]!)).toEqual([`prev ${at - 1}`])
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
