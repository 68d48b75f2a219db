import { describe, expect, test } from 'vitest'
import { toBase64 } from '../base/bytes.ts'
import type { AccessNote } from '../ledger/access.ts'
import { leafHash } from '../log/hash.ts'
import { treeRoot } from '../log/tree.ts'
import { AccessLog, DENIALS_MS, DENIALS_NAMED, HOUR_MS, type Reading, type Shown } from './access.ts'
import type { Principal } from './roles.ts'

const ada: Principal = { id: 'ada', tenant: 'default', kind: 'person', name: 'Ada', roles: ['compliance'] }
const reading: Reading = { who: ada, action: 'read', query: { session_id: 's-1' }, purpose: 'case 4711' }
const entry = (index: number, event_type = 'tool_call'): Shown => ({ index, entry_hash: toBase64(leafHash(new Uint8Array([index % 256, index >> 8]))), event_type })
const rootOver = (...indexes: number[]): string => toBase64(treeRoot(indexes.map((index) => leafHash(new Uint8Array([index % 256, index >> 8])))))

/** An access log that writes into a list, at a time that is set; `hold` keeps writes from being durable. */
function accesses(): { log: AccessLog; notes: AccessNote[]; problems: unknown[]; time: { now: number }; gate: { hold: Promise<unknown> } } {
  const notes: AccessNote[] = []
  const problems: unknown[] = []
  const time = { now: 0 }
  const gate = { hold: Promise.resolve() as Promise<unknown> }
  const log = new AccessLog(async (more) => {
    await gate.hold
    notes.push(...more)
    return more.map((_, i) => ({ event_id: `e-${notes.length - more.length + i}` }))
  }, () => time.now, (problem) => problems.push(problem))
  return { log, notes, problems, time, gate }
}

describe('a reading', () => {
  test('is one entry before, and one after with what was shown, each entry once and in the order of the log', async () => {
    const { log, notes } = accesses()
    await log.shown(reading, [entry(9), entry(3)])
    await log.shown(reading, [entry(3), entry(4)])
    expect(notes).toEqual([{ action: 'read', identity: { subject: 'ada', roles: ['compliance'] }, query: { session_id: 's-1' }, purpose: 'case 4711' }])
    await log.end()
    expect(notes[1]).toEqual({ action: 'read', identity: { subject: 'ada', roles: ['compliance'] }, purpose: 'case 4711', after: 'e-0', counts: 3, root: rootOver(3, 4, 9) })
    await log.end()
    expect(notes).toHaveLength(2)
  })

  test('is another for another actor, action, query or purpose, and after an hour', async () => {
    const { log, notes, time } = accesses()
    const others: Reading[] = [{ ...reading, who: { ...ada, id: 'bob' } }, { ...reading, action: 'export' }, { ...reading, query: { session_id: 's-2' } }, { ...reading, purpose: 'case 4712' }, { ...reading, purpose: undefined }]
    for (const one of [reading, ...others, ...others]) await log.shown(one, [entry(1)])
    expect(notes).toHaveLength(6)
    time.now = HOUR_MS - 1
    await log.shown(reading, [entry(2)])
    expect(notes).toHaveLength(6)
    time.now = HOUR_MS
    await log.shown(reading, [entry(3)])
    await log.end('over')
    expect(notes.filter(({ after }) => after === 'e-0')).toEqual([expect.objectContaining({ counts: 2, root: rootOver(1, 2) })])
    expect(notes.filter(({ after }) => after === undefined)).toHaveLength(7)
    expect(notes.filter(({ after }) => after !== undefined)).toHaveLength(6)
  })

  test('waits until it is on record, also when others began it', async () => {
    const { log, notes, gate } = accesses()
    const held = Promise.withResolvers<void>()
    gate.hold = held.promise
    let done = 0
    const both = [log.shown(reading, [entry(1)]).then(() => done++), log.shown(reading, [entry(2)]).then(() => done++)]
    await new Promise((resolve) => setImmediate(resolve))
    expect({ done, notes: notes.length }).toEqual({ done: 0, notes: 0 })
    held.resolve()
    await Promise.all(both)
    await log.end()
    expect(notes).toMatchObject([{ purpose: 'case 4711' }, { counts: 2, root: rootOver(1, 2) }])
  })

  test('that cannot be put on record is refused, and the next one tries again', async () => {
    const { log, notes, problems, gate } = accesses()
    gate.hold = Promise.reject(new Error('the disk is full'))
    await expect(log.shown(reading, [entry(1)])).rejects.toThrow('the disk is full')
    gate.hold = Promise.resolve()
    await log.shown(reading, [entry(1)])
    await log.end()
    expect(notes).toHaveLength(2)
    expect(problems).toEqual([])
  })

  test('of a search that found nothing is one too; of access entries alone it is none', async () => {
    const { log, notes } = accesses()
    await log.shown({ ...reading, query: { event_type: 'access' } }, [entry(1, 'access'), entry(2, 'access')])
    expect(notes).toEqual([])
    await log.shown({ ...reading, action: 'search', query: { text: 'ingrid' } }, [])
    await log.shown(reading, [entry(1, 'access'), entry(2)])
    await log.end()
    expect(notes.filter(({ after }) => after !== undefined)).toMatchObject([{ action: 'search', counts: 0 }, { action: 'read', counts: 1, root: rootOver(2) }])
  })

  test('ends early, with what it showed, when more is under way than is remembered', async () => {
    const { log, notes } = accesses()
    for (let i = 0; i < 1_001; i++) await log.shown({ ...reading, query: { session_id: `s-${i}` } }, [entry(i)])
    const many = Array.from({ length: 100_001 }, (_, i) => entry(i))
    await log.shown({ ...reading, action: 'export' }, many)
    await log.end()
    const ends = notes.filter(({ after }) => after !== undefined)
    expect(ends).toHaveLength(1_002)
    expect(ends[0]).toMatchObject({ counts: 1, root: rootOver(0) })
    expect(ends.filter(({ action }) => action === 'export')).toMatchObject([{ counts: 100_001 }])
  })
})

describe('a refusal', () => {
  const erase = { action: 'erase', identity: { subject: 'ada', roles: ['compliance'] }, query: { route: 'POST /v1/erasures' }, denied: true }

  test('is on record at once, and its answer does not depend on the disk', async () => {
    const { log, notes, problems, gate } = accesses()
    await log.denied(ada, 'erase', { route: 'POST /v1/erasures' })
    expect(notes).toEqual([erase])
    gate.hold = Promise.reject(new Error('the disk is full'))
    await log.denied(ada, 'erase', {})
    expect(problems).toHaveLength(1)
    gate.hold = Promise.resolve()
    await log.denied(ada, 'erase', {})
    expect(notes).toHaveLength(2) // it was not there, and so is no second one
  })

  test('that comes again within a minute is counted, and told once: after the minute, or when the server ends', async () => {
    const { log, notes, time } = accesses()
    for (let i = 0; i < 1_000; i++) await log.denied(ada, 'erase', { route: 'POST /v1/erasures' })
    await log.denied({ ...ada, id: 'bob' }, 'erase', { route: 'POST /v1/erasures' })
    await log.denied(ada, 'read', { route: 'GET /v1/sessions/{session_id}', session_id: 's-1' })
    expect(notes.map(({ identity, action, counts }) => [identity.subject, action, counts])).toEqual([['ada', 'erase', undefined], ['bob', 'erase', undefined], ['ada', 'read', undefined]])
    time.now = DENIALS_MS
    await log.denied(ada, 'erase', { route: 'POST /v1/erasures' })
    await log.end()
    expect(notes.slice(3)).toEqual(expect.arrayContaining([{ ...erase, counts: 999, after: 'e-0' }, erase]))
    expect(notes).toHaveLength(5)
    await log.end()
    expect(notes).toHaveLength(5)
  })

  test('of one who asks for ever other ids is named a hundred times a minute, and counted by route beyond; others are not held back by it', async () => {
    const { log, notes } = accesses()
    for (let i = 0; i < DENIALS_NAMED + 5_000; i++) await log.denied(ada, 'read', { route: 'GET /v1/sessions/{session_id}', session_id: `s-${i}` })
    await log.denied({ ...ada, id: 'bob' }, 'read', { route: 'GET /v1/sessions/{session_id}', session_id: 's-1' })
    expect(notes).toHaveLength(DENIALS_NAMED + 1)
    await log.end()
    expect(notes.slice(DENIALS_NAMED + 1)).toEqual([{ action: 'read', identity: erase.identity, query: { route: 'GET /v1/sessions/{session_id}' }, denied: true, counts: 5_000 }])
  })
})
