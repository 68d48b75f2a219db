// Events that are handed in around the spool.

import { describe, expect, onTestFinished, test } from 'vitest'
import { scratch } from '../../test/scratch.ts'
import { formatTime } from '../base/clock.ts'
import { MisuseError } from '../base/errors.ts'
import { uuidv7 } from '../base/ids.ts'
import { encodeDraft, type Draft } from '../event/draft.ts'
import type { ViewEvent } from '../event/view.ts'
import { openLedger, type LocalLedger } from './handle.ts'

function opened(): LocalLedger {
  const { db, home } = scratch()
  const ledger = openLedger(db, { home })
  onTestFinished(() => ledger.close())
  return ledger
}

const NOW = Date.parse('2026-11-21T08:00:00.000Z')
const session_id = uuidv7(NOW)

function draft(text: string, more: Partial<Draft> = {}): Draft {
  return { event_id: uuidv7(NOW), event_type: 'reasoning', session_id, timestamp: formatTime(NOW), capture: 'after', facts: { kind: 'author_stated' }, payloads: { text: { m: 'text', content: text } }, ...more }
}

const stored = (ledger: LocalLedger): Promise<ViewEvent[]> => ledger.call<ViewEvent[]>('session', session_id)

describe('drafts handed in around the spool', () => {
  test('are durable when they are answered, in order, and stamped with who handed them in', async () => {
    const ledger = opened()
    const drafts = [draft('one'), draft('two')]
    const answers = await ledger.append('support-bot', drafts.map(encodeDraft))
    expect(answers).toMatchObject(drafts.map(({ event_id }, i) => ({ event_id, level: 'durable', index: i + 1 })))
    const events = await stored(ledger)
    expect(events.map(({ writer, text }) => [writer, text])).toEqual([['support-bot', 'one'], ['support-bot', 'two']])
    expect(events.map(({ entry_hash }) => entry_hash)).toEqual(answers.map((answer) => ('refused' in answer ? '' : answer.entry_hash)))
    expect(ledger.status().handed).toBe(0)
  })

  test('of several requests are one commit, under one checkpoint', async () => {
    const ledger = opened()
    await ledger.ready()
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => ledger.append(`writer-${i}`, [encodeDraft(draft(`of ${i}`))])))
    const checkpoints = new Set(answers.flat().map((answer) => ('refused' in answer ? '' : answer.checkpoint)))
    expect(checkpoints.size).toBeLessThan(5)
    expect((await stored(ledger)).map(({ writer }) => writer)).toEqual(Array.from({ length: 20 }, (_, i) => `writer-${i}`))
  })

  test('get their old receipts when they are handed in again, and another writer\'s of the same id are another event', async () => {
    const ledger = opened()
    const bytes = [encodeDraft(draft('once'))]
    const [first] = await ledger.append('a', bytes)
    const [again] = await ledger.append('a', bytes)
    expect(again).toEqual(first)
    const [other] = await ledger.append('b', bytes)
    expect(other).not.toMatchObject({ index: (first as { index: number }).index })
    expect(await stored(ledger)).toHaveLength(2)
  })

  test('are answered one by one where one is refused, and the others are stored', async () => {
    const ledger = opened()
    const event_id = uuidv7(NOW)
    await ledger.append('a', [encodeDraft(draft('first', { event_id }))])
    const answers = await ledger.append('a', [draft('before'), draft('other content', { event_id }), draft('after', { payloads: { text: { same: uuidv7(NOW) } } }), draft('last')].map(encodeDraft))
    expect(answers.map((answer) => ('refused' in answer ? answer.refused.code : answer.level))).toEqual(['durable', 'event_id_reused', 'reference_missing', 'durable'])
    expect((await stored(ledger)).map(({ text }) => text)).toEqual(['first', 'before', 'last'])
  })

  test('are none of them stored where one is malformed, and other requests of the same moment are', async () => {
    const ledger = opened()
    const good = encodeDraft(draft('good'))
    const bad = [new Uint8Array([0, 0, 0, 9, 1]), encodeDraft(draft('x', { facts: { kind: 'no kind' } })), encodeDraft(draft('x', { event_type: 'access', facts: { action: 'read' }, payloads: {} }))]
    const other = draft('of another request')
    const tries = await Promise.allSettled([...bad.map((one) => ledger.append('a', [good, one])), ledger.append('b', [encodeDraft(other)])])
    expect(tries.map((one) => (one.status === 'rejected' && one.reason instanceof MisuseError ? one.reason.code : one.status))).toEqual(['bad_draft', 'bad_event', 'ledger_only', 'fulfilled'])
    expect((await stored(ledger)).map(({ text }) => text)).toEqual(['of another request'])
  })

  test('without a time of their author\'s are the same event at another time, and with one are not', async () => {
    const ledger = opened()
    const [event_id, timed] = [uuidv7(NOW), uuidv7(NOW)]
    const later = formatTime(NOW + 5_000)
    const [first] = await ledger.append('a', [encodeDraft(draft('x', { event_id }))], { stamped: [true] })
    const [again] = await ledger.append('a', [encodeDraft(draft('x', { event_id, timestamp: later }))], { stamped: [true] })
    expect(again).toEqual(first)
    const twice = await ledger.append('a', [draft('y', { event_id: timed }), draft('y', { event_id: timed, timestamp: later })].map(encodeDraft), { stamped: [false, false] })
    expect(twice.map((answer) => 'refused' in answer)).toEqual([false, true])
    const both = await ledger.append('a', ['2', '3'].map((n) => encodeDraft(draft('z', { event_id: uuidOnce, timestamp: `2026-11-21T08:00:0${n}.000Z` }))), { stamped: [true, true] })
    expect(both[1]).toEqual(both[0])
  })

  test('are refused while more than the bound waits, and taken after that', async () => {
    const { db, home } = scratch()
    const ledger = openLedger(db, { home, backlog: 1024 * 1024 })
    onTestFinished(() => ledger.close())
    const large = (): Uint8Array => encodeDraft(draft('x'.repeat(700_000)))
    const first = ledger.append('a', [large()])
    await expect(ledger.append('a', [large()])).rejects.toMatchObject({ code: 'too_much_waits', retry: true })
    await first
    await expect(ledger.append('a', [large()])).resolves.toMatchObject([{ level: 'durable' }])
  })

  test('go into a log that also drains a spool, and a close answers them first', async () => {
    const { db, home } = scratch()
    const ledger = openLedger(db, { home })
    const own = draft('through the spool')
    ledger.accept(own.event_id, encodeDraft(own))
    const answer = ledger.append('a', [encodeDraft(draft('around it'))])
    await ledger.close()
    await expect(answer).resolves.toMatchObject([{ level: 'durable' }])
    const again = openLedger(db, { home })
    onTestFinished(() => again.close())
    expect((await stored(again)).map(({ writer }) => writer).toSorted()).toEqual(['a', 'local'])
  })
})

const uuidOnce = uuidv7(NOW)
