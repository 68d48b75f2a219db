// A log read in parts, as threads read it, and by threads: what is concluded must not depend on how the work was divided.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifyStore } from '../src/ledger/verification.ts'
import { fromUtf8, toBase64, utf8 } from '../src/base/bytes.ts'
import { leafHash } from '../src/log/hash.ts'
import { signCheckpoint } from '../src/log/checkpoint.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { partOf, sessionIn } from '../src/verify/part.ts'
import type { Verdict } from '../src/verify/verdict.ts'
import { attacks, makeBases, type Base } from './attacks.ts'
import { appendAll, appendRun, copyOf, forge, forget, handed, openKeyring, openLog, originAt, place, sameOrigin, steppingClock, tamper, Telling, text, verifyAt, type Place } from './sample-log.ts'

const folder = mkdtempSync(join(tmpdir(), 'counterfoil-parts-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let bases: readonly Base[]
beforeAll(async () => { bases = await makeBases(folder, 2) }, 120_000)

const outcome = (verdict: Promise<Verdict>): Promise<unknown> => verdict.catch((error: unknown) => String(error))

async function byThreads({ db, home }: Place, who: 'keys' | 'none', jobs: number): Promise<Verdict> {
  const store = await openSqliteStore(db, { readOnly: true })
  try {
    const keyring = who === 'keys' ? openKeyring(originAt({ db }), home) : undefined
    return await verifyStore({ store, path: db, keyring, kept: keyring, home }, { jobs })
  } finally {
    await store.close()
  }
}

describe('in parts', () => {
  test.each([2, 3, 7])('an honest log has the same verdict, read in %i', async (of) => {
    for (const { where } of bases) for (const who of ['keys', 'none'] as const) expect(await verifyAt(where, { who, of })).toEqual(await verifyAt(where, { who }))
  })

  test.each(Object.entries(attacks))('%s is seen as it is in one', async (_, attack) => {
    for (const [n, base] of bases.entries()) {
      const copy = sameOrigin(base.where, forget(copyOf(base.where, join(folder, 'copy'))))
      attack(copy, base)
      for (const who of ['keys', 'none'] as const) {
        const vkey = openKeyring(originAt(base.where), base.where.home).vkey
        const [alone, parts] = [await outcome(verifyAt(copy, { who, vkey })), await outcome(verifyAt(copy, { who, vkey, of: 2 + n }))] as (Verdict | string)[]
        expect(typeof parts === 'object' && parts.whole, `${who}, ${2 + n} parts`).toBe(typeof alone === 'object' && alone.whole)
      }
    }
  })

  test('content that the index puts into a segment of a session of another part is seen', async () => {
    const { where } = bases[0]!
    const copy = sameOrigin(where, copyOf(where, join(folder, 'crossed')))
    tamper(copy, (sql) => {
      const rows = sql('SELECT p.idx AS idx, p.ordinal AS ordinal, p.segment AS segment, s.scope AS scope FROM places p JOIN segments s ON s.segment = p.segment ORDER BY p.idx') as { idx: number; ordinal: number; segment: number; scope: Uint8Array }[]
      const session = (scope: Uint8Array): string => String(sql('SELECT session_id FROM scopes WHERE scope = ?', scope)[0]!['session_id'])
      const one = rows[0]!
      const other = rows.find(({ scope }) => partOf(session(scope), 2) !== partOf(session(one.scope), 2))!
      sql('UPDATE places SET segment = ? WHERE idx = ? AND ordinal = ?', other.segment, one.idx, one.ordinal)
    })
    for (const who of ['keys', 'none'] as const) for (const parts of [1, 2]) expect((await verifyAt(copy, { who, of: parts })).whole, `${who} ${parts}`).toBe(false)
  })
})

describe('a session that goes on after its end, in parts', () => {
  let where: Place
  beforeAll(async () => {
    where = place(join(folder, 'resumed'))
    const ledger = await openLog(where)
    for (let n = 0; n < 3; n++) {
      const tell = new Telling(undefined, Date.UTC(2026, 10, 21, 8, n))
      let { call2: last } = await appendRun(ledger, tell, { user: `user-${n}`, order: `${n}` })
      for (let times = 0; times < 2; times++) {
        const [before, keep] = [last!, 3 + times]
        last = tell.draft('llm_call', { provider: 'anthropic', model_id: 'claude-opus-4-6' }, { input_messages: { base: before.event_id, keep, add: [text(`And once more, ${times}.`)] } })
        await appendAll(ledger, [tell.draft('session_resume', { reason: 'resumed' }), last, tell.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' })])
      }
    }
    await ledger.close()
  })

  test('is whole, as read in one', async () => {
    const alone = await verifyAt(where)
    expect(alone).toMatchObject({ whole: true, counts: { sessions: 3 } })
    for (const of of [2, 3, 7]) expect(await verifyAt(where, { of })).toEqual(alone)
  })

  test('and a list that it does not have there is seen', async () => {
    for (const [what, edit] of Object.entries({
      'another root': (change: { root: string }) => ({ ...change, root: `A${change.root.slice(1)}`.replace(/^AA/, 'AB') }),
      'another length': (change: { keep: number; count: number }) => ({ ...change, keep: change.keep - 1, count: change.count - 1 }),
      'another base': (change: { base: number }) => ({ ...change, base: change.base - 1 }),
    })) {
      const copy = sameOrigin(where, forget(copyOf(where, join(folder, what.replaceAll(' ', '-')))))
      forge(copy, (entries) => {
        const late = entries.findLast(({ event_type }) => event_type === 'llm_call')!
        late.payloads = { ...late.payloads, input_messages: edit(late.payloads['input_messages'] as never) as never }
      })
      expect((await verifyAt(copy)).whole, what).toBe(false)
      for (const of of [2, 3]) expect(await verifyAt(copy, { of }).then(({ whole }) => whole, () => false), what).toBe(false)
    }
  })
})

describe('by threads', () => {
  test('an honest log has the verdict of one, and so has a log that was changed', async () => {
    const { where } = bases[0]!
    const changed = sameOrigin(where, copyOf(where, join(folder, 'changed')))
    tamper(changed, (sql) => sql("UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), '\"capture\":\"before\"', '\"capture\":\"after\"') AS BLOB) WHERE idx = 5"))
    for (const log of [where, changed]) for (const who of ['keys', 'none'] as const) {
      const alone = await byThreads(log, who, 1)
      expect(alone.whole).toBe(log === where)
      for (const jobs of [2, 3]) expect(await byThreads(log, who, jobs), `${who} ${jobs}`).toEqual(alone)
    }
  }, 60_000)

  test('a log that is written meanwhile has the verdict of one moment', async () => {
    const where = { ...copyOf(bases[1]!.where, join(folder, 'busy')) }
    sameOrigin(bases[1]!.where, where)
    const ledger = await openLog(where, { clock: Date.now })
    let writing = true
    const tell = new Telling(undefined, Date.now())
    const written = (async () => {
      await ledger.append(handed(tell.draft('session_start', { agent_id: 'busy-bot' }, { user_message: text('go on') })))
      for (let i = 0; writing; i++, await turn()) await ledger.append(handed(tell.draft('reasoning', { kind: 'author_stated', form: 'full' }, { text: text(`thought ${i}`) })))
    })()
    try {
      const verdict = await verifyStore({ store: ledger.store, path: where.db, keyring: ledger.keyring, kept: ledger.keyring, home: where.home }, { jobs: 2 })
      expect(verdict.problems).toEqual([])
      expect(verdict.whole).toBe(true)
    } finally {
      writing = false
      await written
      await ledger.close()
    }
  }, 60_000)
})

describe('since what was proved', () => {
  const verifySinceAt = async ({ db, home }: Place, since: string, who: 'keys' | 'none' = 'keys'): Promise<Verdict> => {
    const store = await openSqliteStore(db, { readOnly: true })
    try {
      const keyring = openKeyring(originAt({ db }), home)
      return await verifyStore({ store, path: db, keyring: who === 'keys' ? keyring : undefined, kept: keyring, home }, { since, jobs: 1 })
    } finally {
      await store.close()
    }
  }

  /** A log of some runs, proved, and one run more; another session goes on. */
  async function grown(name: string): Promise<{ where: Place; size: number; total: number; open: string; closed: string }> {
    const where = place(join(folder, name))
    const first = await openLog(where, { clock })
    const tells = [new Telling(), new Telling()]
    for (let i = 0; i < 30; i++) await appendRun(first, new Telling(), { user: `user-${i}`, order: String(i) })
    await appendRun(first, tells[0]!, { user: 'ingrid.maximova', order: '1182', end: false })
    await appendRun(first, tells[1]!, { user: 'jonas.weidenfeld', order: '2045' })
    const size = first.head!.size
    await first.close()
    const proved = await verifyAt(where)
    expect(proved.whole).toBe(true)
    openKeyring(originAt(where), where.home).writeProved(proved.checkpoint)
    const second = await openLog(where, { clock })
    await second.append(handed(tells[0]!.draft('reasoning', { kind: 'author_stated', form: 'full' }, { text: text('It goes on.') })))
    await appendRun(second, new Telling(), { user: 'petra.quandt', order: '3307' })
    const total = second.head!.size
    await second.close()
    return { where, size, total, open: tells[0]!.session_id, closed: tells[1]!.session_id }
  }
  const clock = steppingClock()

  let log: Awaited<ReturnType<typeof grown>>
  beforeAll(async () => { log = await grown('grown') }, 60_000)
  const copy = (): Place => sameOrigin(log.where, copyOf(log.where, join(folder, 'since')))
  const edit = (where: Place, index: number): void => tamper(where, (sql) => sql("UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), '\"writer\":\"local\"', '\"writer\":\"loca1\"') AS BLOB) WHERE idx = ?", index))
  const lastOf = (where: Place, session_id: string, before: number): number => {
    let index = -1
    tamper(where, (sql) => { index = Number(sql('SELECT max(idx) AS idx FROM entries WHERE session_id = ? AND idx < ?', session_id, before)[0]!['idx']) })
    return index
  }

  test('only what is new is read, and nothing else is called proved', async () => {
    const verdict = await verifySinceAt(log.where, 'proved')
    expect(verdict).toMatchObject({ whole: true, since: log.size, size: log.total, problems: [], counts: { entries: log.total - log.size, sessions: 2, open: 1, ended: 1 } })
    for (const name of ['unchanged', 'complete', 'payloads', 'indexes'] as const) expect(verdict.properties[name].status, name).toBe('asserted')
    expect(verdict.properties.unchanged.says).toContain(`the first ${log.size} entries, which were proved before and not read again`)
    expect(verdict.properties.not_truncated.status).toBe('proved')
    expect((await verifySinceAt(log.where, 'proved', 'none')).properties.payloads.status).toBe('unknown')
  })

  test('an older entry of a session without newer ones is not looked at, and the whole verification sees it', async () => {
    const changed = copy()
    edit(changed, 20) // in a full tile; those after the last full one are hashed again
    expect(await verifySinceAt(changed, 'proved')).toMatchObject({ whole: true, since: log.size })
    expect((await verifyAt(changed)).whole).toBe(false)
  })

  test('an older entry of a session that goes on, a newer entry, content and rows that were changed are named as without it', async () => {
    const changes: { readonly [what: string]: (where: Place) => void } = {
      'an older entry of a session that goes on': (where) => edit(where, lastOf(where, log.open, log.size)),
      'its first': (where) => edit(where, lastOf(where, log.open, log.size) - 8),
      'a newer entry': (where) => edit(where, log.size + 1),
      'the last entry': (where) => edit(where, log.total - 1),
      'the log\'s first entry': (where) => tamper(where, (sql) => sql("UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), '\"writer\":\"ledger\"', '\"writer\":\"ledges\"') AS BLOB) WHERE idx = 0")),
      'a tile': (where) => tamper(where, (sql) => sql('UPDATE tiles SET hashes = zeroblob(8192) WHERE n = 0 AND level = 0')),
      'a session row': (where) => tamper(where, (sql) => sql('UPDATE sessions SET summary = replace(summary, \'"events":\', \'"events":1\') WHERE session_id = ?', log.open)),
      'content': (where) => tamper(where, (sql) => sql("UPDATE segments SET bytes = zeroblob(length(bytes)) WHERE segment = (SELECT max(segment) FROM places WHERE idx >= ?)", log.size)),
      'the end': (where) => tamper(where, (sql) => sql('DELETE FROM entries WHERE idx >= ?', log.size)),
    }
    for (const [what, change] of Object.entries(changes)) {
      const changed = copy()
      change(changed)
      const whole = await outcome(verifyAt(changed))
      expect((whole as Verdict).whole, what).toBe(false)
      expect(await outcome(verifySinceAt(changed, 'proved')), what).toEqual(whole)
    }
  })

  test('where nothing was proved, or something else, everything is read', async () => {
    const { checkpoint } = await verifyAt(log.where)
    const never = forget(copy())
    expect(await verifySinceAt(never, 'proved')).toEqual(await verifyAt(never))
    for (const note of [bases[0]!.checkpoint, checkpoint.replace(/\n\d+\n/, '\n7\n'), 'nothing']) expect((await verifySinceAt(log.where, note)).since).toBeUndefined()
    expect(await verifySinceAt(log.where, checkpoint)).toMatchObject({ whole: true, since: log.total, counts: { entries: 0, sessions: 0 } })
  })

  test('an older entry that speaks of erasures is believed only where it stands in the tree that was proved', async () => {
    const where = copyOf(log.where, join(folder, 'erased-before'))
    sameOrigin(log.where, where)
    const first = await openLog(where, { clock })
    await first.erase({ session_ids: [log.closed], reason: 'asked for' })
    for (let i = 0; i < 30; i++) await appendRun(first, new Telling(), { user: `later-${i}`, order: String(i) }) // the erasure stands in a full tile
    await first.close()
    openKeyring(originAt(where), where.home).writeProved((await verifyAt(where)).checkpoint)
    const second = await openLog(where, { clock })
    await appendRun(second, new Telling(), { user: 'petra.quandt', order: '3308' })
    await second.close()
    expect((await verifySinceAt(where, 'proved')).since).toBeGreaterThan(log.total)
    // nothing newer in the ledger's own session names this one's hash
    tamper(where, (sql) => {
      const [last] = sql("SELECT idx, entry FROM entries WHERE event_type = 'erasure' ORDER BY idx DESC LIMIT 1")
      expect(sql("SELECT max(idx) AS idx FROM entries WHERE session_id = (SELECT session_id FROM entries WHERE idx = 0)")[0]!['idx']).toBe(last!['idx'])
      const [before] = [last!['entry'] as Uint8Array]
      const after = utf8(fromUtf8(before).replace('"result":"wiped"', '"result":"wipet"'))
      expect(after).not.toEqual(before)
      sql('UPDATE entries SET entry = ? WHERE idx = ?', after, Number(last!['idx']))
      // and its session's row, which has the hash of the last entry
      sql('UPDATE sessions SET summary = replace(summary, ?, ?)', toBase64(leafHash(before)), toBase64(leafHash(after)))
    })
    const whole = await outcome(verifyAt(where))
    expect((whole as Verdict).whole).toBe(false)
    expect(await outcome(verifySinceAt(where, 'proved'))).toEqual(whole)
  })

  test('a checkpoint of another history under the same key is none to go on from', async () => {
    const fork = signCheckpoint({ origin: originAt(log.where), size: log.size, root: new Uint8Array(32).fill(7) }, [openKeyring(originAt(log.where), log.where.home).signer()])
    const verdict = await verifySinceAt(log.where, fork)
    expect(verdict.since).toBeUndefined()
    expect(verdict.whole).toBe(true)
  })

  test('an erasure since then is followed, of a session from before', async () => {
    const where = copy()
    const ledger = await openLog(where, { clock })
    await ledger.erase({ session_ids: [log.closed], reason: 'asked for' })
    await ledger.close()
    const verdict = await verifySinceAt(where, 'proved')
    expect(verdict).toMatchObject({ whole: true, since: log.size })
    expect(verdict).toMatchObject({ whole: (await verifyAt(where)).whole })
  })
})

describe('the session of an entry', () => {
  test('is found in its text as in its fields, whatever facts and payloads are called', async () => {
    const id = '01a1fd1e-8c39-7001-8000-001200000001'
    expect(sessionIn(`{"facts":{"session_id":"x"},"payloads":{"session_id":{"c":"","m":"text"}},"session_id":"${id}","v":1}`)).toBe(id)
    expect(sessionIn('{"v":1}')).toBe('')
    expect(sessionIn(new TextEncoder().encode(`{"parent_session_id":"y","session_id":"${id}"}`))).toBe(id)
    const parts = Array.from({ length: 400 }, (_, n) => partOf(id.slice(0, -4) + String(n).padStart(4, '0'), 4))
    expect(new Set(parts)).toEqual(new Set([0, 1, 2, 3]))
  })
})
