import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { formatTime } from '../base/clock.ts'
import { uuidv7 } from '../base/ids.ts'
import type { Draft } from '../event/draft.ts'
import { LOG_FORMAT } from '../event/entry.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import { SqliteView } from '../store/sqlite-view.ts'
import { ephemeralKeyring } from '../vault/keyring.ts'
import { Appender } from './append.ts'
import { ledgerDraft } from './event.ts'
import { Faults, faultyStore } from '../../test/faults.ts'
import { openLog, place, verifyAt } from '../../test/sample-log.ts'

const START = Date.parse('2026-11-21T08:00:00.000Z')
const ORIGIN = 'counterfoil.local/00112233445566778899aabbccddeeff'

async function appender(kept: { sessions: number; events: number }, faults = new Faults()): Promise<Appender> {
  const store = faultyStore(await openSqliteStore(':memory:'), faults)
  onTestFinished(() => store.close())
  const keyring = ephemeralKeyring(ORIGIN)
  const made = new Appender(store, keyring, () => START, uuidv7(START), kept)
  await made.begin(ledgerDraft('log_start', made.ownSession, START, { format: LOG_FORMAT, origin: ORIGIN, vkey: keyring.vkey }))
  return made
}

function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-append-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

let thoughts = 0
function thought(session_id: string): Draft {
  return { event_id: uuidv7(START), event_type: 'reasoning', session_id, timestamp: formatTime(START), capture: 'after', facts: { kind: 'author_stated' }, payloads: { text: { m: 'text', content: `because ${thoughts++}` } } }
}

async function write(to: Appender, ...sessions: string[]): Promise<void> {
  await to.append(sessions.map((session_id) => ({ writer: 'local', draft: thought(session_id) })))
}

test('the sessions that were not written for longest are forgotten first, and never the ledger\'s own', async () => {
  const to = await appender({ sessions: 3, events: 1_000 })
  const [a, b, c] = [uuidv7(START), uuidv7(START), uuidv7(START)]
  for (const session of [a, b, a, a, c]) await write(to, session) // with its own, four
  expect(to.remembered).toEqual({ sessions: 3, events: 1 + 3 + 1 }) // b is gone, though a is older
  await write(to, ...Array.from({ length: 9 }, () => uuidv7(START)))
  expect(to.remembered).toEqual({ sessions: 3, events: 1 + 2 })
})

test('long sessions are forgotten for their events, but not the one that is written', async () => {
  const to = await appender({ sessions: 100, events: 10 })
  const [a, b] = [uuidv7(START), uuidv7(START)]
  await write(to, ...Array.from({ length: 8 }, () => a))
  await write(to, b)
  expect(to.remembered).toEqual({ sessions: 3, events: 1 + 8 + 1 })
  await write(to, b)
  expect(to.remembered).toEqual({ sessions: 2, events: 1 + 2 })
  await write(to, ...Array.from({ length: 20 }, () => a)) // read again, and it goes on
  expect(to.remembered).toEqual({ sessions: 2, events: 1 + 28 })
  expect(to.head!.size).toBe(1 + 8 + 2 + 20)
})

test('a disk that fails while a repeated event is compared does not make it another event', async () => {
  const faults = new Faults()
  const to = await appender({ sessions: 100, events: 1_000 }, faults)
  const draft = thought(uuidv7(START))
  const again = () => to.append([{ writer: 'local', draft }])
  const [first] = await again()
  const { size } = to.head!
  faults.begin()
  expect(await again()).toEqual([{ ...first, checkpoint: to.head!.checkpoint }])
  const { steps } = faults
  expect(steps).toContain('scopes')
  for (const [at, step] of steps.entries()) {
    if (step === 'COMMIT') continue // then the store has to be opened again
    faults.begin({ at, side: 'before', forGood: false })
    await expect(again(), step).rejects.toMatchObject({ code: 'io' })
    faults.end()
    expect(await again(), step).toEqual([{ ...first, checkpoint: to.head!.checkpoint }])
  }
  expect(to.head!.size).toBe(size)
})

/** Refers to an event that is not there: refused when everything before it in its batch is made. */
function dangling(session_id: string): Draft {
  return { ...thought(session_id), capture: 'before', event_type: 'llm_call', facts: { provider: 'x', model_id: 'm' }, payloads: { system_prompt: { same: uuidv7(START) } } }
}
/** Refused before anything is made. */
function malformed(session_id: string): Draft {
  return { ...thought(session_id), event_type: 'no such thing' as never }
}

test('a refused draft has no session read again that it did not change, and none is told of what is not stored', async () => {
  const where = place(scratchFolder())
  const ledger = await openLog(where)
  const [long, other, fresh] = [uuidv7(START), uuidv7(START), uuidv7(START)]
  const append = (...drafts: Draft[]) => ledger.append(drafts.map((draft) => ({ writer: 'local', draft })))
  await append(...Array.from({ length: 300 }, () => thought(long)), thought(other))
  const read = vi.spyOn(SqliteView.prototype, 'sessionEntries')
  onTestFinished(() => read.mockRestore())
  for (let times = 0; times < 20; times++) {
    const [bad] = await append(times % 2 === 0 ? dangling(long) : malformed(long))
    expect(bad).toMatchObject({ refused: { code: times % 2 === 0 ? 'reference_missing' : 'bad_event' } })
    await append(thought(other))
  }
  expect(read.mock.calls.filter(([session_id]) => session_id === long || session_id === other)).toEqual([])

  // a secret, segments and entries of a transaction that was rolled back are none
  for (const bad of [malformed, dangling]) {
    const answers = await append(thought(fresh), thought(long), bad(other))
    expect(answers.map((answer) => 'refused' in answer)).toEqual([false, false, true])
    expect((await append(bad(other), thought(fresh))).map((answer) => 'refused' in answer)).toEqual([true, false])
  }
  const start: Draft = { ...thought(fresh), event_type: 'session_start', facts: { agent_id: 'a' }, payloads: {} }
  const end: Draft = { ...thought(fresh), event_type: 'session_end', facts: {}, payloads: {}, outcome: 'success' }
  expect((await append(start, malformed(fresh), thought(fresh), dangling(fresh), end)).map((answer) => 'refused' in answer)).toEqual([false, true, false, true, false])
  expect((await append(thought(fresh), end)).every((answer) => !('refused' in answer))).toBe(true)
  await ledger.close()
  const verdict = await verifyAt(where)
  expect(verdict.problems).toEqual([])
  expect(verdict).toMatchObject({ whole: true, properties: { payloads: { status: 'proved' } } })
})
