// How SQLite will look things up: every statement that the store prepares, in every form that its filters give it, goes by a key or an index, and a
// page in order is not sorted. What reads more is named here with its reason.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { utf8 } from '../base/bytes.ts'
import { Connection } from './connection.ts'
import type { EventFilter, SessionFilter } from './contract.ts'
import { openSqliteStore } from './sqlite.ts'
import { SqliteTx, SqliteView } from './sqlite-view.ts'

/** Reads a whole table or index, or sorts; by method, with the part of the plan that says so. */
const NAMED: { readonly [method: string]: { readonly plan: RegExp; readonly why: string } } = {
  check: { plan: /^SCAN \w+/, why: 'verification asks the database whether it is sound: everything is read' },
  counts: { plan: /^SEARCH \w+ USING (COVERING )?(INDEX|PRIMARY KEY).* \(log_id=\?\)$/, why: 'counting is walking an index, and where erased rows are left out the rows; for verify and doctor' },
  subjects: { plan: /^USE TEMP B-TREE FOR ORDER BY$/, why: 'the persons of one scope, who are few' },
  subjectScopes: { plan: /^(SCAN subjects|USE TEMP B-TREE FOR (DISTINCT|ORDER BY))$/, why: 'one row for each person and scope, looked for in an erasure: an index would move hashes that must be overwritten in place' },
  findIds: { plan: /^(SEARCH entries USING INDEX entries_event|SEARCH sessions USING COVERING INDEX sqlite_autoindex_sessions_1) \(log_id=\?\)$/, why: 'the end of an id is looked for in the index of ids: one over reversed ids would cost each append' },
  events: { plan: /^USE TEMP B-TREE FOR ORDER BY$/, why: 'a span of time that holds at most 5,000 events is sorted; a longer one is walked in the order of the log' },
}
/** Tables that grow with the log. The others have a row for each process or spool. */
const BIG = ['entries', 'tiles', 'sessions', 'scopes', 'segments', 'places', 'contents', 'subjects']

const id = '01a1fd1e-8c39-7001-8000-001200000001'
const long = '01a1fd1e-8c39-7001-8000-001200000002'
const blob = new Uint8Array(16)
const key = new Uint8Array(32)
/** Every way to call a method that makes another statement. A method without a row here fails the test. */
const CALLS: { readonly [method: string]: readonly (readonly unknown[])[] } = {
  head: [[]], entries: [[0, 9]], entryTexts: [[0, 9]], sessionEntries: [[id, 0, 9]], configEntries: [[id, 9, 9]], promptEntry: [[id, 0, 9]], resultsOf: [[[id]]], approvedCalls: [[id]], callsNamed: [[id, ['toolu_1']]], orphanResults: [[id, ['toolu_1']]], findEvents: [[[id]]],
  events: subsets<EventFilter>({ session_id: id, event_types: ['erasure', 'clock'], tool_name: 'refund', since: '2026-11-21T08:00:00.000Z', until: '2026-11-22T08:00:00.000Z', from: 7 }).map((filter) => [{ ...filter, limit: 9 }]).concat([[{ session_id: long, event_types: ['erasure', 'clock'], limit: 9 }], [{ session_id: long, event_types: ['erasure'], tool_name: 'refund', from: 7, limit: 9 }]]),
  findIds: [['01a1', 9]], tile: [[0, 0]], tiles: [[0, 0, 9]], tileCount: [[0]], sessions: [[[id]]],
  listSessions: subsets<SessionFilter>({ agent_id: 'bot', state: 'ended', outcome: 'success', since: '2026-11-21T08:00:00.000Z', until: '2026-11-22T08:00:00.000Z', before: { started_at: '2026-11-21T08:00:00.000Z', session_id: id } }).map((filter) => [{ ...filter, limit: 9 }]),
  scopes: [[[id]]], scopePage: [[undefined, 9], [blob, 9]], segment: [[1]], segmentPage: [[0, 9]], segmentIds: [[[blob]]], places: [[0, 9]], contents: [[[{ scope: blob, key }]]], contentPage: [[undefined, 9], [{ scope: blob, key }, 9]],
  subjectScopes: [[key]], subjects: [[[blob]]], spools: [[]], streams: [[]], check: [[]], counts: [[]], nextSegment: [[]],
  insertEntries: [[[]]], insertTiles: [[[]]], replaceHead: [[{ size: 0, checkpoint: '' }]], putSessions: [[[]]], insertScopes: [[[]]],
  rewrapScopes: [[[{ scope: blob, session_id: id, k: 0, generation: 1, wrapped: blob }]]], insertSegments: [[[]]], insertPlaces: [[[]]], insertContents: [[[]]], insertSubjects: [[[]]],
  putSpool: [[{ spool: 'a', offset: 1 }]], deleteSpool: [['a']], putStreams: [[[]]], deleteStreams: [[['a']]], deleteScopes: [[[blob]]],
}

function subsets<T>(filter: Omit<T, 'limit'>): Partial<T>[] {
  return Object.entries(filter).reduce<Partial<T>[]>((made, [name, value]) => [...made, ...made.map((one) => ({ ...one, [name]: value }))], [{}])
}

const folder = mkdtempSync(join(tmpdir(), 'counterfoil-plans-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const statements = new Map<string, Set<string>>()

beforeAll(async () => {
  const store = await openSqliteStore(join(folder, 'log.db'))
  let method = ''
  const note = (sql: string): void => { statements.get(method)?.add(sql) }
  const spies = (['all', 'get', 'run'] as const).map((name) => {
    const original = Connection.prototype[name] as (sql: string, ...values: unknown[]) => unknown
    return vi.spyOn(Connection.prototype, name).mockImplementation(function (this: Connection, sql: string, ...values: unknown[]) {
      note(sql)
      return original.call(this, sql, ...values) as never
    })
  })
  await store.append(async (tx) => {
    // in a session of some length what is rare is looked for by its type
    const entries = Array.from({ length: 40 }, (_, seq) => ({ index: seq, entry: utf8(JSON.stringify({ session_id: long, seq, event_id: `${seq}`, writer: 'local', event_type: 'reasoning', timestamp: '2026-11-21T08:00:00.000Z' })) }))
    await tx.insertEntries(entries)
    for (const [name, calls] of Object.entries(CALLS)) {
      method = name
      statements.set(name, new Set())
      for (const args of calls) await (tx as unknown as { [method: string]: (...args: readonly unknown[]) => Promise<unknown> })[name]!(...args)
    }
    method = ''
  })
  for (const spy of spies) spy.mockRestore()
  await store.close()
})

test('every method of a snapshot and of an append is asked', () => {
  const methods = [SqliteView, SqliteTx].flatMap(({ prototype }) => Object.getOwnPropertyNames(prototype)).filter((name) => !['constructor', 'end', 'checkWhole', 'db'].includes(name))
  expect(Object.keys(CALLS).sort()).toEqual([...new Set(methods)].sort())
})

test('every statement goes by a key or an index, and no page is sorted, but those that are named', () => {
  using db = new DatabaseSync(join(folder, 'log.db'))
  const others: string[] = []
  const used = new Set<string>()
  let looked = 0
  for (const [method, all] of statements) for (const sql of all) {
    if (!/^(SELECT|UPDATE|DELETE|INSERT)/.test(sql)) continue // a pragma has no plan
    looked++
    for (const { detail } of db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as { detail: string }[]) {
      const scan = /^SCAN (\w+)/.exec(detail)
      // by the log alone is everything, in a file that holds one log
      const whole = /^SEARCH (\w+) USING (?:COVERING )?(?:INDEX \w+|PRIMARY KEY) \(log_id=\?\)$/.exec(detail)
      const bad = (scan !== null && BIG.includes(scan[1]!)) || (whole !== null && BIG.includes(whole[1]!) && !ordered(sql)) || detail.includes('TEMP B-TREE')
      if (!bad) continue
      if (NAMED[method]?.plan.test(detail) === true) used.add(method)
      else others.push(`${method}: ${detail}: ${sql}`)
    }
  }
  expect(others).toEqual([])
  expect(looked).toBeGreaterThan(100)
  expect([...used].sort()).toEqual(Object.keys(NAMED).sort())
})

/** A page in the order of an index ends at its limit, wherever it begins. */
function ordered(sql: string): boolean {
  return (/ORDER BY [^()]+ LIMIT \?$/.test(sql) && !sql.includes('substr(')) || /LIMIT \d+\)$/.test(sql)
}
