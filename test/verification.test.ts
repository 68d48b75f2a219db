// A log read in parts, as threads read it, and by threads: what is concluded must not depend on how the work was divided.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifyStore } from '../src/ledger/verification.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { partOf, sessionIn } from '../src/verify/part.ts'
import type { Verdict } from '../src/verify/verdict.ts'
import { attacks, makeBases, type Base } from './attacks.ts'
import { copyOf, forget, openKeyring, openLog, originAt, sameOrigin, tamper, Telling, handed, text, verifyAt, type Place } from './sample-log.ts'

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
