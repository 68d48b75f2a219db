// Each step of a verification has an attack that it alone sees. Attackers with the file change rows; attackers with the key too count, chain,
// hash and sign everything again (`forge`), so that nothing but the step in question can notice.

import { randomBytes } from 'node:crypto'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import type { SQLInputValue } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { appendAll, appendRun, copyOf, forge, forget, openKeyring, openLog, originAt, place, sameOrigin, scratch, smallLog, steppingClock, tamper, Telling, text, verifyAt, type Place } from '../../test/sample-log.ts'
import { toBase64, utf8 } from '../base/bytes.ts'
import { canonicalJson } from '../base/canonical-json.ts'
import { VerifyError } from '../base/errors.ts'
import { encodeEntry, parseEntry } from '../event/parse.ts'
import { decodeSession, encodeSession } from '../event/session.ts'
import { leafHash } from '../log/hash.ts'
import { exitCode, type Property, type Verdict } from './verdict.ts'

const folder = scratch()
let log: Place
let tiled: Place
let sessions: string[]
let n = 0

beforeAll(async () => {
  log = place(join(folder.folder, 'log'))
  ;({ sessions } = await smallLog(log))
  tiled = place(join(folder.folder, 'tiled'))
  const ledger = await openLog(tiled)
  for (let i = 0; i < 54; i++) await appendRun(ledger, new Telling(), { user: `user-${i}`, order: String(1000 + i), end: i % 3 !== 0 })
  await ledger.close()
})
afterAll(() => folder.remove())

type Sql = (statement: string, ...values: SQLInputValue[]) => { [column: string]: unknown }[]

/** A changed copy, which remembers nothing unless it says so. */
function changed(change: (sql: Sql) => void, of = log): Place {
  const copy = sameOrigin(of, forget(copyOf(of, join(folder.folder, `copy-${n++}`))))
  tamper(copy, change)
  return copy
}
function forged(edit: Parameters<typeof forge>[1], more: Parameters<typeof forge>[2] = {}, of = log): Place {
  const copy = sameOrigin(of, forget(copyOf(of, join(folder.folder, `copy-${n++}`))))
  forge(copy, edit, more)
  return copy
}
const codes = (verdict: Verdict): string[] => [...new Set(verdict.problems.map(({ code }) => code))].sort()
const firstBad = (verdict: Verdict, property: Property): number | undefined => verdict.properties[property].first_bad_index
const entryAt = (sql: Sql, index: number): Uint8Array => sql('SELECT entry FROM entries WHERE idx = ?', index)[0]!['entry'] as Uint8Array
const setEntry = (sql: Sql, index: number, bytes: Uint8Array): unknown => sql('UPDATE entries SET entry = ? WHERE idx = ?', bytes, index)
function editEntry(sql: Sql, index: number, change: (entry: any) => void): void {
  const { entry } = parseEntry(entryAt(sql, index))
  change(entry)
  setEntry(sql, index, encodeEntry(entry))
}
/** The session row of an entry's session, made to agree with the entry as it is now the last. */
function mendRow(sql: Sql, session_id: string, change: (row: any) => void): void {
  const row = decodeSession(String(sql('SELECT summary FROM sessions WHERE session_id = ?', session_id)[0]!['summary']))
  change(row)
  sql('UPDATE sessions SET summary = ? WHERE session_id = ?', encodeSession(row), session_id)
}
const each = ['keys', 'none'] as const

describe('a whole log', () => {
  it('is whole with keys and without, and says what was proved, asserted and is unknown', async () => {
    const verdict = await verifyAt(log)
    expect(verdict).toMatchObject({ whole: true, size: 46, problems: [], problem_count: 0, counts: { entries: 46, payloads: 49, sessions: 4, ended: 2, open: 2, erased: 0 } })
    expect(Object.fromEntries(Object.entries(verdict.properties).map(([name, { status, says }]) => [name, `${status}: ${says.replace(/[0-9a-f]{32}/, 'ORIGIN')}`]))).toEqual({
      unchanged: 'proved: the 46 entries are the ones signed: none edited, inserted, reordered or removed before #45',
      complete: 'proved: 2 sessions are whole to their end; 2 are open',
      payloads: 'proved: 49 payloads match their commitments',
      indexes: 'proved: tiles, session rows and content index agree with the entries',
      not_truncated: 'proved: nothing was rolled back since this machine last signed (#45)',
      witnessed: 'unknown: whether newer entries were cut off since: no witness is configured',
      pinned: 'proved: the key is the one this machine keeps for counterfoil.local/ORIGIN',
      time: "asserted: event times are the recorder's clock",
    })
    const without = await verifyAt(log, { who: 'none' })
    expect(without).toMatchObject({
      whole: true, properties: {
        unchanged: { status: 'proved' }, payloads: { status: 'unknown', says: 'payloads: not checked (no key)' }, not_truncated: { status: 'unknown' },
        pinned: { status: 'unknown', says: 'whose key signed: it was found in the log itself' },
      },
    })
    expect([exitCode(verdict), exitCode(verdict, ['payloads']), exitCode(without, ['payloads']), exitCode(verdict, ['witnessed'])]).toEqual([0, 0, 3, 3])
  })

  it('of one entry reads well', async () => {
    const one = place(join(folder.folder, 'one'))
    await (await openLog(one)).close()
    const { properties, counts } = await verifyAt(one)
    expect(properties.unchanged.says).toBe('the 1 entry is the one signed: none edited, inserted, reordered or removed before #0')
    expect(properties.complete.says).toBe('no sessions are on record')
    expect(counts.sessions).toBe(0)
  })

  it('with full tiles is whole, and progress is told to the end', async () => {
    const seen: [number, number][] = []
    const verdict = await verifyAt(tiled, { progress: (done, total) => seen.push([done, total]) })
    expect(verdict.problems).toEqual([])
    expect(verdict.size).toBe(577)
    expect(seen[0]).toEqual([577, 577])
    expect(seen.length).toBeGreaterThan(1)
    expect(seen.every(([done, total]) => done <= total)).toBe(true)
  })

  it('says what this machine remembers of having proved', async () => {
    const copy = forget(copyOf(log, join(folder.folder, `copy-${n++}`)))
    const fresh = await verifyAt(copy)
    expect(fresh.properties.not_truncated).toEqual({ status: 'unknown', says: 'whether anything was rolled back: this machine has not looked at this log before' })
    openKeyring(originAt(copy), copy.home).writeProved(fresh.checkpoint)
    expect((await verifyAt(copy)).properties.not_truncated.says).toBe('nothing was rolled back since this machine last looked (#45)')
  })
})

describe('step 1, the checkpoint', () => {
  it.each(each)('sees a checkpoint signed by another key (%s)', async (who) => {
    const other = openKeyring(originAt(tiled), tiled.home)
    const copy = forged(() => {}, { signer: { ...other.signer(), name: originAt(log) } })
    const verdict = await verifyAt(copy, { who })
    expect([verdict.whole, codes(verdict)]).toEqual([false, ['checkpoint']])
  })

  it('sees a whole log of another key and the same name', async () => {
    const intruder = place(join(folder.folder, 'intruder'))
    await (await openLog(intruder)).close()
    const forgedKeys = openKeyring(originAt(intruder), intruder.home)
    const copy = forged((entries) => {
      ;(entries[0]!.facts as any)['vkey'] = forgedKeys.vkey.replace(originAt(intruder), originAt(log))
    }, { signer: { ...forgedKeys.signer(), name: originAt(log) } })
    expect(codes(await verifyAt(copy))).toEqual(['checkpoint', 'log_start'])
    expect(codes(await verifyAt(copy, { who: 'none', vkey: openKeyring(originAt(log), log.home).vkey }))).toEqual(['checkpoint', 'log_start'])
  })

  it.each(each)('sees another size in the head row (%s)', async (who) => {
    const copy = changed((sql) => sql('UPDATE heads SET size = 40'))
    const verdict = await verifyAt(copy, { who })
    expect([codes(verdict), firstBad(verdict, 'unchanged')]).toEqual([['head_mismatch'], 40])
  })

  it.each([9_007_199_254_740_990n, 9_007_199_254_740_993n, -1n])('answers at once to a head that claims %s entries', async (size) => {
    const copy = changed((sql) => {
      sql('UPDATE heads SET size = ?', size)
      sql("UPDATE heads SET checkpoint = 'nonsense'")
    })
    const looked = verifyAt(copy)
    if (size === 9_007_199_254_740_993n) await expect(looked).rejects.toThrow(VerifyError)
    else expect((await looked).whole).toBe(false)
    await expect(verifyAt(copy, { who: 'none' })).rejects.toThrow(VerifyError)
  })

  it('sees that there is no head', async () => {
    await expect(verifyAt(changed((sql) => sql('DELETE FROM heads')))).rejects.toMatchObject({ code: 'checkpoint', first_bad_index: 0 })
  })

  it('sees a second head', async () => {
    expect(codes(await verifyAt(changed((sql) => sql("INSERT INTO heads VALUES (1, 3, 'older')"))))).toEqual(['heads_extra'])
  })

  it.each(each)('sees a log that begins under another name or key (%s)', async (who) => {
    const verdict = await verifyAt(forged((entries) => { (entries[0]!.facts as any)['origin'] = 'elsewhere.example' }), { who })
    expect([codes(verdict), firstBad(verdict, 'unchanged')]).toEqual([['log_start'], 0])
  })
})

describe('step 2, what this machine saw before', () => {
  it('sees the tail cut off and signed again', async () => {
    const copy = sameOrigin(log, copyOf(log, join(folder.folder, `copy-${n++}`)))
    forge(copy, (entries) => entries.slice(0, 44))
    const verdict = await verifyAt(copy)
    expect(codes(verdict)).toContain('rolled_back')
    expect(firstBad(verdict, 'not_truncated')).toBe(44)
    expect((await verifyAt(forget(copy))).properties.not_truncated.status).toBe('unknown')
  })

  it('sees history rewritten under the same key, by the head file or by what was proved, also when they are of one size', async () => {
    const rewrite = (entries: any[]): void => { entries[15].facts.latency_ms = 7 }
    for (const memory of ['head', 'proved', 'both'] as const) {
      const copy = forged(rewrite)
      const keyring = openKeyring(originAt(copy), copy.home)
      const own = (await verifyAt(copy)).checkpoint
      const before = (await verifyAt(log)).checkpoint
      if (memory === 'head') keyring.writeHead(before)
      else keyring.writeProved(before)
      if (memory === 'both') keyring.writeHead(own)
      expect(codes(await verifyAt(copy)), memory).toEqual(['forked'])
      keyring.writeHead(before)
      keyring.writeProved(own)
      expect(codes(await verifyAt(copy)), memory).toEqual(['forked'])
    }
  })

  it('sees an older copy put back', async () => {
    const place1 = place(join(folder.folder, 'rollback'))
    const first = await openLog(place1)
    await appendRun(first, new Telling(), { user: 'a', order: '1' })
    await first.close()
    const older = copyOf(place1, join(folder.folder, 'older'))
    const second = await openLog(place1)
    await appendRun(second, new Telling(), { user: 'b', order: '2' })
    await second.close()
    cpSync(older.db, place1.db)
    const verdict = await verifyAt(place1)
    expect([codes(verdict), firstBad(verdict, 'not_truncated')]).toEqual([['rolled_back'], 12])
    await expect(openLog(place1)).rejects.toMatchObject({ code: 'rolled_back' })
  })

  it('sees that what it remembers is of another key', async () => {
    const copy = copyOf(log, join(folder.folder, `copy-${n++}`))
    const other = openKeyring(originAt(tiled), tiled.home)
    openKeyring(originAt(log), copy.home).writeProved(other.readHead()!)
    expect(codes(await verifyAt(copy))).toEqual(['remembered'])
  })
})

describe('step 3, the tree', () => {
  it.each(each)('sees an edit, and where, wherever in its session the entry stands (%s)', async (who) => {
    for (const index of [1, 5, 10, 11, 30, 32, 44, 45]) {
      const verdict = await verifyAt(changed((sql) => editEntry(sql, index, (entry) => { entry.facts.step_note = 7 })), { who })
      expect([verdict.whole, firstBad(verdict, 'unchanged')], String(index)).toEqual([false, index])
      expect(codes(verdict)).toContain('root')
    }
  })

  it.each(each)('sees a changed prev in the entry that was changed (%s)', async (who) => {
    for (const index of [1, 5, 11, 44, 45]) {
      const verdict = await verifyAt(changed((sql) => editEntry(sql, index, (entry) => { entry.prev = 'A'.repeat(43) + '=' })), { who })
      expect([verdict.whole, firstBad(verdict, 'unchanged')], String(index)).toEqual([false, index])
    }
  })

  it('sees an edit of the last entry of a session whose row was made to agree, by the tree alone', async () => {
    const copy = changed((sql) => {
      editEntry(sql, 45, (entry) => { entry.timestamp = '2026-11-21T09:00:00.000Z' })
      const { leafHash64 } = hashes(entryAt(sql, 45))
      mendRow(sql, sessions[3]!, (row) => Object.assign(row, { prev: leafHash64, last_at: '2026-11-21T09:00:00.000Z' }))
    })
    const verdict = await verifyAt(copy)
    expect(codes(verdict)).toEqual(['root'])
    expect(verdict.properties.unchanged).toMatchObject({ status: 'failed', first_bad_index: 0, says: 'the stored entries do not have the signed root; the change lies at or after #0' })
  })

  it('finds the changed entry by its tile, when everything after it was chained anew', async () => {
    for (const index of [200, 255, 256, 300, 511]) {
      const keyless = changed((sql) => {
        const head = sql('SELECT size, checkpoint FROM heads')[0]!
        const tiles = sql('SELECT level, n, hashes FROM tiles')
        void [head, tiles]
      }, tiled)
      const kept = keep(keyless)
      forge(keyless, (entries) => { (entries[index]!.facts as any)['step_note'] = 7 })
      tamper(keyless, kept)
      const verdict = await verifyAt(keyless)
      expect([verdict.whole, firstBad(verdict, 'unchanged')], String(index)).toEqual([false, index])
      expect(codes(verdict)).toEqual(['root', 'tile'])
    }
  })

  it.each(each)('sees a deleted, inserted, exchanged, repeated and moved entry (%s)', async (who) => {
    const at = async (change: (sql: Sql) => void, index: number, code: string): Promise<void> => {
      const verdict = await verifyAt(changed(change), { who })
        expect([firstBad(verdict, 'unchanged'), codes(verdict).includes(code)], code).toEqual([index, true])
    }
    await at((sql) => sql('DELETE FROM entries WHERE idx = 20'), 20, 'entries_missing')
    await at((sql) => sql('DELETE FROM entries WHERE idx BETWEEN 20 AND 30'), 20, 'entries_missing')
    await at((sql) => sql('DELETE FROM entries WHERE idx >= 40'), 40, 'entries_missing')
    if (who === 'keys') await at((sql) => sql('DELETE FROM entries'), 0, 'entries_missing')
    await at((sql) => exchange(sql, 4, 5), 4, 'index')
    await at((sql) => exchange(sql, 4, 14), 4, 'index')
    await at((sql) => {
      for (let index = 45; index >= 20; index--) sql('UPDATE entries SET idx = ? WHERE idx = ?', index + 1, index)
      insertEntry(sql, 20, (entry) => Object.assign(entry, { event_id: '01930000-0000-7000-8000-000000000001', seq: 700 }), 19)
    }, 20, 'index')
  })

  it.each(each)('sees entries beyond the signed end and before the first (%s)', async (who) => {
    const beyond = await verifyAt(changed((sql) => insertEntry(sql, 46, (entry) => Object.assign(entry, { index: 46, seq: 13, event_id: '01930000-0000-7000-8000-000000000001' }), 45)), { who })
    expect([codes(beyond), firstBad(beyond, 'unchanged')]).toEqual([['entries_extra'], 46])
    const before = await verifyAt(changed((sql) => insertEntry(sql, -3, (entry) => Object.assign(entry, { seq: 13, event_id: '01930000-0000-7000-8000-000000000001' }), 45)), { who })
    expect(codes(before)).toEqual(['entries_extra'])
    const far = await verifyAt(changed((sql) => insertEntry(sql, 9_007_199_254_740_993n, (entry) => Object.assign(entry, { seq: 13, event_id: '01930000-0000-7000-8000-000000000001' }), 45)), { who })
    expect(far.whole).toBe(false)
  })

  it('sees a tile changed, missing, extra', async () => {
    const wrong = await verifyAt(changed((sql) => {
      const hashes = Uint8Array.from(sql('SELECT hashes FROM tiles WHERE level = 0 AND n = 1')[0]!['hashes'] as Uint8Array)
      hashes[32 * 9] = hashes[32 * 9]! ^ 1
      sql('UPDATE tiles SET hashes = ? WHERE level = 0 AND n = 1', hashes)
    }, tiled))
    expect([codes(wrong), firstBad(wrong, 'indexes'), wrong.properties.unchanged.status]).toEqual([['tile'], 265, 'proved'])
    const missing = await verifyAt(changed((sql) => sql('DELETE FROM tiles WHERE n = 1'), tiled))
    expect(codes(missing)).toEqual(['tile_missing'])
    const extra = await verifyAt(changed((sql) => sql('INSERT INTO tiles SELECT log_id, 1, 0, hashes FROM tiles WHERE n = 0'), tiled))
    expect(codes(extra)).toEqual(['tiles_extra'])
  })

  it('sees a change in a stretch whose tile was removed with it', async () => {
    const verdict = await verifyAt(changed((sql) => {
      sql('DELETE FROM tiles WHERE n = 1')
      editEntry(sql, 300, (entry) => { entry.facts.step_note = 7 })
    }, tiled))
    expect([codes(verdict).includes('root'), firstBad(verdict, 'unchanged')]).toEqual([true, 300])
  })
})

describe('step 4, the entries', () => {
  it.each(each)('sees bytes that are no entry, or another spelling of one, that the key holder signed (%s)', async (who) => {
    for (const spoil of [(bytes: Uint8Array) => bytes.subarray(0, -1), () => Uint8Array.of(0xff, 0xfe), () => new Uint8Array(70_000), () => new Uint8Array(0)]) {
      const verdict = await verifyAt(changed((sql) => {
        // an index over what is generated from the entry refuses bytes that are no JSON
        for (const name of indexes(sql)) sql(`DROP INDEX ${name.name}`)
        sql('PRAGMA ignore_check_constraints = ON')
        try {
          setEntry(sql, 20, spoil(entryAt(sql, 20)))
        } catch {
          setEntry(sql, 20, utf8('{"session_id":"x","seq":1,"event_id":"y","writer":"z","event_type":"w","timestamp":"t"}'))
        }
        for (const index of restoreIndexes(sql)) void index
      }), { who }).catch((error: unknown) => error)
      if (verdict instanceof Error) expect(verdict).toMatchObject({ code: expect.stringMatching(/corrupt|schema|sqlite/) as string })
      else expect(firstBad(verdict as Verdict, 'unchanged')).toBe(20)
    }
    const spelled = await verifyAt(changed((sql) => setEntry(sql, 20, utf8(` ${new TextDecoder().decode(entryAt(sql, 20))}`))), { who })
    expect([codes(spelled).includes('entry_malformed'), firstBad(spelled, 'unchanged')]).toEqual([true, 20])
  })

  it('does not take an entry of a newer format for tampering, unless the tree says so', async () => {
    const newer = forged((entries) => {
      ;(entries[20] as any).v = 2
      ;(entries[31] as any).hologram = true
    })
    await expect(verifyAt(newer)).rejects.toMatchObject({ code: 'newer_format', first_bad_index: 20, message: expect.stringContaining('2 entries are of a newer format') as string })
    await expect(verifyAt(newer, { who: 'none' })).rejects.toMatchObject({ code: 'newer_format' })
    const hidden = await verifyAt(changed((sql) => editRaw(sql, 20, (value) => { value.v = 2 })))
    expect([hidden.whole, codes(hidden)]).toEqual([false, ['root']])
  })

  it('counts vocabulary that it does not know, and is whole', async () => {
    const verdict = await verifyAt(forged((entries) => {
      entries[10]!.event_type = 'telepathy'
      ;(entries[14]!.facts as any)['mood'] = 'fine'
    }))
    expect([verdict.whole, verdict.counts.unknown_vocabulary]).toEqual([true, 2])
  })
})

describe('step 5, sessions and streams', () => {
  it.each(each)('sees a wrong index, seq or prev under the signature (%s)', async (who) => {
    for (const [name, value, code] of [['index', 21, 'index'], ['seq', 40, 'seq'], ['prev', `${'A'.repeat(43)}=`, 'prev']] as const) {
      const verdict = await verifyAt(forged((entries) => { (entries[20] as any)[name] = value }, { keepOrder: true }), { who })
      expect([codes(verdict).includes(code), firstBad(verdict, 'unchanged')], name).toEqual([true, 20])
    }
  })

  it('sees an entry taken over from another log, or from another session', async () => {
    const other = await verifyAt(forged((entries) => { entries[12]!.prev = entries[1]!.prev }, { keepOrder: true }))
    expect([codes(other), firstBad(other, 'unchanged')]).toEqual([['prev'], 12])
    const replayed = await verifyAt(forged(() => {}, { firstPrevOf: 'another.example/log' }))
    expect([codes(replayed), firstBad(replayed, 'unchanged')]).toEqual([['prev'], 0])
    const spliced = await verifyAt(changed((sql) => {
      const [a, b] = [entryAt(sql, 5), entryAt(sql, 16)]
      swap(sql, 5, b, 16, a)
    }))
    expect([spliced.whole, firstBad(spliced, 'unchanged')]).toEqual([false, 5])
  })

  it('sees a clock that goes back, except at a clock entry', async () => {
    const back = await verifyAt(forged((entries) => { entries[20]!.recorded_at = '2026-11-21T07:00:00.000Z' }))
    expect([codes(back), firstBad(back, 'unchanged')]).toEqual([['time'], 20])
    const where = place(join(folder.folder, 'clock'))
    const clock = steppingClock()
    const ledger = await openLog(where, { clock })
    await appendRun(ledger, new Telling(), { user: 'a', order: '1' })
    clock.at -= 3_600_000
    await appendRun(ledger, new Telling(), { user: 'b', order: '2' })
    await ledger.close()
    const honest = await verifyAt(where)
    expect([honest.problems, honest.counts.entries]).toEqual([[], 24])
  })

  it('sees an end that counts other events of a stream', async () => {
    const verdict = await verifyAt(forged((entries) => {
      const streams = entries[11]!.facts['streams'] as any
      for (const name of Object.keys(streams)) streams[name]++
    }))
    expect([codes(verdict), firstBad(verdict, 'complete'), verdict.properties.complete.status]).toEqual([['stream_count'], 11, 'failed'])
  })

  it('names what never arrived, without calling it tampering', async () => {
    const where = place(join(folder.folder, 'gap'))
    const ledger = await openLog(where)
    const tell = new Telling()
    const start = tell.draft('session_start', { agent_id: 'support-bot' })
    const lost = tell.draft('reasoning', { kind: 'author_stated' }, { text: text('lost') })
    const later = tell.draft('reasoning', { kind: 'author_stated' }, { text: text('later') })
    await appendAll(ledger, [start, later])
    await ledger.close()
    const open = await verifyAt(where)
    expect([open.whole, open.counts.gaps, open.properties.complete.status, exitCode(open, ['complete'])]).toEqual([true, 1, 'unknown', 3])
    expect(open.properties.complete.says).toBe(`1 event never arrived, in 1 session (${tell.session_id.slice(-8)})`)
    const again = await openLog(where)
    await appendAll(again, [lost])
    await again.close()
    expect(await verifyAt(where)).toMatchObject({ whole: true, counts: { gaps: 0 }, properties: { complete: { status: 'proved' } } })
  })

  it('sees an approval for another input, another tool, used twice, rejected, expired, or of no request', async () => {
    const denied = async (edit: (entries: any[]) => void, index: number): Promise<void> => {
      const verdict = await verifyAt(forged(edit))
      expect(codes(verdict).filter((code) => code === 'approval')).toEqual(['approval'])
      expect(firstBad(verdict, 'unchanged')).toBe(index)
    }
    // #7 request, #8 decision, #9 call; the decision names the request by its hash, so what is changed stands after it
    await denied((entries) => { entries[9].payloads.tool_input = { ...entries[7].payloads.tool_input } }, 9)
    await denied((entries) => { entries[9].facts.tool_name = 'wire_transfer' }, 9)
    await denied((entries) => { entries[8].facts.decision = 'rejected' }, 9)
    await denied((entries) => { entries[8].outcome = 'failure' }, 9) // the ledger refused it
    await denied((entries) => { entries[8].facts.request = `${'A'.repeat(43)}=` }, 8)
    await denied((entries) => { entries[9].facts.approval = 2 }, 9)
    await denied((entries) => { Object.assign(entries[10], { event_type: 'tool_call', facts: entries[9].facts, payloads: entries[9].payloads }) }, 10).catch((error: Error) => {
      if (!/UNIQUE/.test(error.message)) throw error // the database refuses it first
    })
  })
})

describe('step 6, lists', () => {
  it.each(each)('sees a list root that is not that of its elements, and a base that is not there (%s)', async (who) => {
    const root = await verifyAt(forged((entries) => { (entries[5]!.payloads['input_messages'] as any).root = (entries[2]!.payloads['input_messages'] as any).root }), { who })
    expect([codes(root), firstBad(root, 'unchanged')]).toEqual([['list_root'], 5])
    const base = await verifyAt(forged((entries) => { (entries[5]!.payloads['input_messages'] as any).base = 0 }), { who })
    expect([codes(base).includes('reference'), firstBad(base, 'unchanged')]).toEqual([true, 5])
  })
})

describe('steps 7 and 8, the vault', () => {
  it('sees a payload that is not what the entry commits to', async () => {
    const verdict = await verifyAt(forged((entries) => { (entries[4]!.payloads['text'] as any).c = (entries[15]!.payloads['text'] as any).c }))
    expect([codes(verdict), firstBad(verdict, 'payloads')]).toEqual([['commitment'], 4])
  })

  it('sees two segments exchanged, in one session and between two', async () => {
    for (const [a, b, first] of [[1, 2, 1], [2, 5, 8]] as const) {
      const verdict = await verifyAt(changed((sql) => exchangeBytes(sql, a, b)))
      expect([verdict.whole, firstBad(verdict, 'payloads')], `${a} ${b}`).toEqual([false, first])
      const without = await verifyAt(changed((sql) => exchangeBytes(sql, a, b)), { who: 'none' })
      expect([without.whole, codes(without)], `${a} ${b}`).toEqual([false, a === 1 ? ['segment_root'] : ['segment', 'segment_root']])
    }
  })

  it.each(['frame', 'position', 'frames', 'segment', 'ordinal'])('sees a place row whose %s was changed', async (column) => {
    const verdict = await verifyAt(changed((sql) => sql(`UPDATE places SET ${column} = ${column} + 1 WHERE idx = 13 AND ordinal = (SELECT max(ordinal) FROM places WHERE idx = 13)`)))
    expect(verdict.whole).toBe(false)
    expect(Math.min(firstBad(verdict, 'payloads') ?? Infinity, firstBad(verdict, 'indexes') ?? Infinity)).toBeLessThanOrEqual(13)
  })

  it.each(['frame', 'position', 'frames', 'segment', 'key', 'scope'])('sees a row of the content index whose %s was changed', async (column) => {
    const change = column === 'key' ? 'randomblob(32)' : column === 'scope' ? '(SELECT scope FROM scopes ORDER BY rowid DESC LIMIT 1)' : `${column} + 1`
    for (const who of each) {
      if (who === 'none' && column === 'key') continue // HMAC under a secret: only a key shows it
      const verdict = await verifyAt(changed((sql) => sql(`UPDATE contents SET ${column} = ${change} WHERE segment = 1 AND frame = 0 AND position = 0`)), { who })
      expect([verdict.whole, codes(verdict)], who).toEqual([false, ['content_index']])
    }
  })

  it.each(each)('sees a row of the content index missing, and one too many (%s)', async (who) => {
    expect(codes(await verifyAt(changed((sql) => sql('DELETE FROM contents WHERE segment = 1 AND position = 0 AND frame = 0')), { who }))).toEqual(['content_index'])
    expect(codes(await verifyAt(changed((sql) => sql('INSERT INTO contents SELECT log_id, scope, randomblob(32), segment, frame, position, frames FROM contents LIMIT 1')), { who }))).toEqual(['content_index'])
    expect(codes(await verifyAt(changed((sql) => sql('INSERT INTO places VALUES (1, 999, 0, 1, 0, 0, 1)')), { who }))).toContain('place_extra')
    expect(codes(await verifyAt(changed((sql) => sql('INSERT INTO places VALUES (1, 3, 9, 1, 0, 0, 1)')), { who }))).toContain('place_extra')
    const dangling = await verifyAt(changed((sql) => sql('UPDATE places SET segment = 77 WHERE idx = 4')), { who })
    expect(codes(dangling)).toContain('place')
  })

  it('sees the persons\' index changed, missing, with one too many', async () => {
    expect(codes(await verifyAt(changed((sql) => sql('UPDATE subjects SET subject = randomblob(32) WHERE subject = (SELECT subject FROM subjects LIMIT 1)'))))).toEqual(['subject'])
    expect(codes(await verifyAt(changed((sql) => sql('DELETE FROM subjects WHERE scope = (SELECT scope FROM subjects LIMIT 1)'))))).toEqual(['subject'])
    expect(codes(await verifyAt(changed((sql) => sql('INSERT INTO subjects SELECT log_id, scope, randomblob(32) FROM subjects LIMIT 1'))))).toEqual(['subject_extra'])
  })

  it('sees scopes exchanged between sessions, a secret changed, gone, of another generation', async () => {
    const swapped = await verifyAt(changed((sql) => {
      const [a, b] = sql('SELECT rowid AS id, session_id FROM scopes WHERE session_id IN (?, ?)', sessions[0]!, sessions[1]!)
      sql('UPDATE scopes SET session_id = ? WHERE rowid = ?', 'x', a!['id'] as number)
      sql('UPDATE scopes SET session_id = ? WHERE rowid = ?', a!['session_id'] as string, b!['id'] as number)
      sql('UPDATE scopes SET session_id = ? WHERE rowid = ?', b!['session_id'] as string, a!['id'] as number)
    }))
    expect([swapped.whole, firstBad(swapped, 'payloads')]).toEqual([false, 1])
    const damaged = await verifyAt(changed((sql) => sql('UPDATE scopes SET wrapped = randomblob(105) WHERE session_id = ?', sessions[1]!)))
    expect([codes(damaged).includes('secret'), firstBad(damaged, 'payloads')]).toEqual([true, 12])
    for (const who of each) {
      const generation = await verifyAt(changed((sql) => sql("UPDATE scopes SET generation = '0000000002' WHERE session_id = ?", sessions[1]!)), { who })
      expect([codes(generation), firstBad(generation, 'payloads')]).toEqual([['secret'], 12])
      const gone = await verifyAt(changed((sql) => sql('DELETE FROM scopes WHERE session_id = ?', sessions[1]!)), { who })
      expect([codes(gone).includes('missing'), firstBad(gone, 'payloads')], who).toEqual([true, 12])
    }
  })

  it.each(each)('sees content removed by hand, and content that no entry names (%s)', async (who) => {
    const gone = await verifyAt(changed((sql) => {
      sql('DELETE FROM places WHERE segment = 2')
      sql('DELETE FROM contents WHERE segment = 2')
      sql('DELETE FROM segments WHERE segment = 2')
    }), { who })
    expect([gone.whole, gone.properties.payloads.status]).toEqual([false, 'failed'])
    const more = await verifyAt(changed((sql) => sql('INSERT INTO segments SELECT log_id, 99, scope, bytes FROM segments WHERE segment = 2')), { who })
    expect(codes(more)).toContain('segment_unnamed')
    const orphan = await verifyAt(changed((sql) => sql('INSERT INTO segments SELECT log_id, 99, randomblob(16), bytes FROM segments WHERE segment = 2')), { who })
    expect(codes(orphan)).toContain('segment_orphan')
  })

  it.each(each)('sees a session row changed, missing, too many (%s)', async (who) => {
    const row = await verifyAt(changed((sql) => mendRow(sql, sessions[1]!, (state) => { state.input_tokens = 1 })), { who })
    expect([codes(row), firstBad(row, 'indexes'), row.properties.unchanged.status]).toEqual([['session_row'], 22, 'proved'])
    expect(codes(await verifyAt(changed((sql) => sql('DELETE FROM sessions WHERE session_id = ?', sessions[1]!)), { who }))).toEqual(['session_missing'])
    expect(codes(await verifyAt(changed((sql) => sql(`INSERT INTO sessions (log_id, session_id, summary) SELECT 1, 'x', summary FROM sessions WHERE session_id = ?`, sessions[1]!)), { who }))).toEqual(['session_extra'])
  })
})

describe('garbage in any column', () => {
  const values: { readonly [name: string]: SQLInputValue } = { 'a huge number': 9_223_372_036_854_775_807n, 'a negative number': -7, 'nothing in it': new Uint8Array(0), 'a large blob': randomBytes(2_000_000), 'text that is no UTF-8': Buffer.from([0xff, 0xfe, 0x00, 0x41]), 'a text': 'no JSON \u0000' }
  const columns: { readonly [table: string]: readonly string[] } = {
    entries: ['idx', 'entry'], heads: ['size', 'checkpoint'], tiles: ['level', 'n', 'hashes'], sessions: ['session_id', 'summary'], scopes: ['scope', 'session_id', 'k', 'generation', 'wrapped'], segments: ['segment', 'scope', 'bytes'],
    places: ['idx', 'ordinal', 'segment', 'frame', 'position', 'frames'], contents: ['scope', 'key', 'segment', 'frame', 'position', 'frames'], subjects: ['subject', 'scope'],
  }
  for (const [table, names] of Object.entries(columns)) it(`of ${table} is a verdict or a typed error, never a crash`, async () => {
    for (const column of names) for (const [what, value] of Object.entries(values)) {
      let fits = true
      const copy = changed((sql) => {
        try {
          const keyOf = ['places', 'contents', 'subjects'].includes(table) ? '' : ` WHERE rowid = (SELECT max(rowid) FROM ${table})`
          if (keyOf === '') {
            const row = sql(`SELECT * FROM ${table} LIMIT 1 OFFSET 5`)[0] ?? sql(`SELECT * FROM ${table} LIMIT 1`)[0]!
            sql(`DELETE FROM ${table} WHERE ${Object.keys(row).map((name) => `${name} = ?`).join(' AND ')}`, ...(Object.values(row) as SQLInputValue[]))
            const spoilt = { ...row, [column]: value }
            sql(`INSERT INTO ${table} (${Object.keys(spoilt).join(', ')}) VALUES (${Object.keys(spoilt).map((name) => (name === column && value instanceof Uint8Array && isText(table, column) ? 'CAST(? AS TEXT)' : '?')).join(', ')})`, ...(Object.values(spoilt) as SQLInputValue[]))
          } else sql(`UPDATE ${table} SET ${column} = ${value instanceof Uint8Array && isText(table, column) ? 'CAST(? AS TEXT)' : '?'}${keyOf}`, value)
        } catch {
          fits = false // STRICT, a CHECK or a unique key refuses it
        }
      }, table === 'tiles' ? tiled : log)
      if (!fits) continue
      for (const who of each) {
        const verdict = await verifyAt(copy, { who }).catch((error: unknown) => error)
        if (verdict instanceof Error) expect(verdict, `${table}.${column} ${what}`).toBeInstanceOf(VerifyError)
        else if (!(who === 'none' && table === 'subjects')) expect((verdict as Verdict).whole, `${table}.${column} ${what} ${who}`).toBe(false)
      }
    }
  })
})

it('shows the right problem of a property when others filled the list', async () => {
  const verdict = await verifyAt(changed((sql) => {
    sql('DELETE FROM tiles')
    for (let index = 300; index < 420; index++) editEntry(sql, index, (entry) => { entry.facts.step_note = 7 })
    sql('DELETE FROM scopes WHERE rowid = (SELECT max(rowid) FROM scopes)')
  }, tiled))
  expect(verdict.problems.length).toBe(100)
  expect(verdict.problem_count).toBeGreaterThan(110)
  expect(verdict.properties.payloads).toMatchObject({ status: 'failed', says: expect.stringMatching(/is not there|secret is not there/) as string })
  expect(verdict.properties.unchanged.first_bad_index).toBe(300)
})

// ---- attackers' tools

function hashes(bytes: Uint8Array): { leafHash64: string } {
  return { leafHash64: toBase64(leafHash(bytes)) }
}
function isText(table: string, column: string): boolean {
  return (table === 'heads' && column === 'checkpoint') || table === 'sessions' || (table === 'scopes' && column === 'session_id')
}
function editRaw(sql: Sql, index: number, change: (value: any) => void): void {
  const value = JSON.parse(new TextDecoder().decode(entryAt(sql, index)))
  change(value)
  setEntry(sql, index, utf8(canonicalJson(value)))
}
function swap(sql: Sql, a: number, bytesA: Uint8Array, b: number, bytesB: Uint8Array): void {
  sql('DELETE FROM entries WHERE idx IN (?, ?)', a, b)
  sql('INSERT INTO entries (log_id, idx, entry) VALUES (1, ?, ?), (1, ?, ?)', a, bytesA, b, bytesB)
}
function exchange(sql: Sql, a: number, b: number): void {
  swap(sql, a, entryAt(sql, b), b, entryAt(sql, a))
}
function exchangeBytes(sql: Sql, a: number, b: number): void {
  const bytes = (id: number): Uint8Array => sql('SELECT bytes FROM segments WHERE segment = ?', id)[0]!['bytes'] as Uint8Array
  const [first, second] = [bytes(a), bytes(b)]
  sql('UPDATE segments SET bytes = ? WHERE segment = ?', second, a)
  sql('UPDATE segments SET bytes = ? WHERE segment = ?', first, b)
}
function insertEntry(sql: Sql, index: number | bigint, change: (entry: any) => void, like: number): void {
  const { entry } = parseEntry(entryAt(sql, like))
  const copy = structuredClone(entry)
  change(copy)
  sql('INSERT INTO entries (log_id, idx, entry) VALUES (1, ?, ?)', index, encodeEntry(copy))
}
function indexes(sql: Sql): { name: string; sql: string }[] {
  kept.splice(0, kept.length, ...(sql("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'entries' AND sql IS NOT NULL") as { name: string; sql: string }[]))
  return kept
}
const kept: { name: string; sql: string }[] = []
function restoreIndexes(sql: Sql): unknown[] {
  return kept.map((index) => sql(index.sql))
}
/** Puts head and tiles back as they were: what somebody without the key could not sign. */
function keep(where: Place): (sql: Sql) => void {
  let head: { [column: string]: unknown }[] = []
  let tiles: { [column: string]: unknown }[] = []
  tamper(where, (sql) => {
    head = sql('SELECT * FROM heads')
    tiles = sql('SELECT * FROM tiles')
  })
  return (sql) => {
    sql('DELETE FROM heads')
    sql('DELETE FROM tiles')
    for (const row of head) sql('INSERT INTO heads VALUES (?, ?, ?)', ...(Object.values(row) as SQLInputValue[]))
    for (const row of tiles) sql('INSERT INTO tiles VALUES (?, ?, ?, ?)', ...(Object.values(row) as SQLInputValue[]))
  }
}
