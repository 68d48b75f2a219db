import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { scratch } from '../../test/scratch.ts'
import { formatTime } from '../base/clock.ts'
import { randomRef, uuidv7 } from '../base/ids.ts'
import { encodeDraft, type Draft, type DraftPayload } from '../event/draft.ts'
import type { ViewEvent } from '../event/view.ts'
import { spoolFile, type SpoolFile } from '../spool/scrub.ts'
import { createSpool } from '../spool/writer.ts'
import type { Store, StoreTx } from '../store/contract.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import { SPOOL_ORIGIN } from '../vault/spool-key.ts'
import { verifyLog } from '../verify/verify.ts'
import type { Handed, Placed, Refused } from './batch.ts'
import { evidenceOf } from './evidence.ts'
import { Ledger } from './ledger.ts'
import { LogReader } from './reader.ts'

const START = Date.parse('2026-11-21T08:00:00.000Z')

interface Bench {
  readonly ledger: Ledger
  /** Set it to set the ledger's clock. */
  readonly clock: { now: number }
  hand(...drafts: readonly (Draft | Handed)[]): Promise<(Placed | Refused)[]>
  events(session_id?: string): Promise<ViewEvent[]>
  problems(): Promise<string[]>
  again(): Promise<Bench>
}

async function bench(at: { db: string; home: string } = scratch(), clock: { now: number } = { now: START }): Promise<Bench> {
  const ledger = await Ledger.open({ open: () => openSqliteStore(at.db), home: at.home, clock: () => clock.now })
  onTestFinished(() => ledger.close())
  return {
    ledger, clock,
    hand: (...drafts) => ledger.append(drafts.map((one) => ('draft' in one ? one : { draft: one, writer: 'local' }))),
    events: async (session_id) => {
      const reader = new LogReader(ledger, ledger.keyring)
      return session_id === undefined ? reader.newest(1_000) : reader.session(session_id)
    },
    problems: async () => (await ledger.read(async (view) => verifyLog(await evidenceOf(view, ledger.keyring)))).problems.map(({ message }) => message),
    again: () => bench(at, clock),
  }
}

const text = (content: string): DraftPayload => ({ m: 'text', content })

/** Drafts of one stream of one session, in order. */
function stream(session_id: string = uuidv7(START)): { session_id: string; stream: string; next(more?: Partial<Draft>, skip?: number): Draft } {
  const id = randomRef()
  let seq = 0
  return {
    session_id, stream: id,
    next(more = {}, skip = 0) {
      seq += skip
      return { event_id: uuidv7(START), event_type: 'reasoning', session_id, stream: id, stream_seq: seq++, timestamp: formatTime(START), capture: 'after', facts: { kind: 'author_stated' }, payloads: { text: text('because') }, ...more }
    },
  }
}

const refusedAs = (answer: Placed | Refused | undefined): string | undefined => (answer !== undefined && 'refused' in answer ? answer.refused.code : undefined)

describe('an event handed in again', () => {
  test('with the same content gets its old receipt and adds nothing, in another batch or the same one, after a restart too', async () => {
    const first = await bench()
    const own = stream()
    const [a, b] = [own.next({ event_type: 'llm_call', facts: { provider: 'p', model_id: 'm' }, payloads: { input_messages: { add: [text('x'), text('y')] } } }), own.next()]
    const [placed, , twin] = await first.hand(a, b, structuredClone(a)) as Placed[]
    expect(twin).toEqual(placed)
    const size = (await first.events()).length
    const [again] = await first.hand(a) as Placed[]
    expect([again!.index, again!.entry_hash]).toEqual([placed!.index, placed!.entry_hash])
    const second = await first.again()
    expect((await second.hand(b, a) as Placed[]).map(({ index }) => index)).toEqual([placed!.index + 1, placed!.index])
    expect((await second.events()).length).toBe(size)
    expect(await second.problems()).toEqual([])
  })

  test.each<[string, (draft: Draft) => Draft]>([
    ['another text', (draft) => ({ ...draft, payloads: { text: text('other') } })],
    ['another fact', (draft) => ({ ...draft, facts: { kind: 'model_reported' } })],
    ['another outcome', (draft) => ({ ...draft, outcome: 'failure' })],
    ['another step', (draft) => ({ ...draft, step_number: 77 })],
    ['another time', (draft) => ({ ...draft, timestamp: formatTime(START + 1) })],
    ['another place in the stream', (draft) => ({ ...draft, stream_seq: 9 })],
    ['another type', (draft) => ({ ...draft, event_type: 'final_output', facts: {}, payloads: { output: text('because') } })],
    ['another session', (draft) => ({ ...draft, session_id: uuidv7(START) })],
    ['a payload more', (draft) => ({ ...draft, event_type: 'error', facts: {}, payloads: { message: text('because'), stack: text('s') } })],
    ['a scope that nobody made', (draft) => ({ ...draft, payloads: { text: { ...text('because'), k: 3 } } })],
    ['a reference to nothing', (draft) => ({ ...draft, payloads: { text: { same: uuidv7(START) } } })],
  ])('with %s is refused with a finding, in another batch or the same one', async (_what, change) => {
    const { hand, events, problems } = await bench()
    const draft = stream().next({ outcome: 'success' })
    const [placed, twin] = await hand(draft, change(draft))
    expect([refusedAs(placed), refusedAs(twin)]).toEqual([undefined, 'event_id_reused'])
    expect(refusedAs((await hand(change(draft)))[0])).toBe('event_id_reused')
    expect((await hand(draft))[0]).toMatchObject({ index: (placed as Placed).index })
    const all = await events()
    expect(all.filter(({ event_id }) => event_id === draft.event_id)).toHaveLength(1)
    expect(all.filter(({ event_type }) => event_type === 'finding')).toMatchObject([{ rule: 'event_id_reused', events: [draft.event_id] }, { rule: 'event_id_reused' }])
    expect(await problems()).toEqual([])
  })

  test('of another writer is another event', async () => {
    const { hand, problems } = await bench()
    const draft = { ...stream().next(), stream: undefined, stream_seq: undefined }
    const { stream: _, stream_seq: __, ...loose } = draft
    const [a, b] = await hand({ draft: loose, writer: 'local' }, { draft: loose, writer: 'importer' }) as Placed[]
    expect(b!.index).toBe(a!.index + 1)
    expect(await problems()).toEqual([])
  })

  test('with another list does not change what later lists build on', async () => {
    const { hand, problems } = await bench()
    const own = stream()
    const call = (add: string[], base?: Draft): Draft => own.next({ event_type: 'llm_call', facts: { provider: 'p', model_id: 'm' }, payloads: { input_messages: base === undefined ? { add: add.map(text) } : { base: base.event_id, keep: 2, add: add.map(text) } } })
    const first = call(['a', 'b'])
    await hand(first)
    await hand({ ...first, payloads: { input_messages: { add: [text('c'), text('d')] } } }) // refused
    await hand(call(['e'], first))
    expect(await problems()).toEqual([])
  })
})

describe('a stream', () => {
  test('that jumps leaves a gap, and the late event that closes it is taken', async () => {
    const { hand, events, problems, ledger } = await bench()
    const own = stream()
    const [first, late, second] = [own.next(), own.next(), own.next()]
    await hand(first, second)
    await hand(own.next({}, 3))
    expect((await events(own.session_id)).map(({ event_type }) => event_type)).toEqual(['reasoning', 'gap', 'reasoning', 'gap', 'reasoning'])
    expect((await events(own.session_id)).filter(({ event_type }) => event_type === 'gap')).toMatchObject([{ from: 1, to: 1, count: 1, cause: 'not_received' }, { from: 3, to: 5, count: 3 }])
    await hand(late)
    const state = await ledger.session(own.session_id)
    expect(state!.streams[own.stream]).toMatchObject({ next: 7, missing: [[3, 5]] })
    expect((await problems()).filter((problem) => !/missing|stream/.test(problem))).toEqual([])
  })

  test('of its own for each writer keeps each dense, mixed as they come', async () => {
    const { hand, events } = await bench()
    const a = stream()
    const b = stream(a.session_id)
    await hand(a.next(), b.next(), b.next(), a.next(), b.next())
    const all = await events(a.session_id)
    expect(all.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4])
    expect(all.map((event) => event.stream_seq)).toEqual([0, 0, 1, 1, 2])
  })
})

describe('the clock', () => {
  test('that goes back less than a second is held, further back is put on record, and forward again is just time', async () => {
    const { hand, events, clock, problems } = await bench()
    const own = stream()
    const at = async (ms: number): Promise<void> => { clock.now = START + ms; await hand(own.next()) }
    for (const ms of [5_000, 4_200, 4_001, 1_000, 900, 60_000]) await at(ms)
    const all = await events()
    expect(all.slice(1).map(({ event_type, recorded_at }) => [event_type, Date.parse(recorded_at) - START])).toEqual([
      ['reasoning', 5_000], ['reasoning', 5_000], ['reasoning', 5_000], ['clock', 1_000], ['reasoning', 1_000], ['reasoning', 1_000], ['reasoning', 60_000],
    ])
    expect(all.find(({ event_type }) => event_type === 'clock')).toMatchObject({ from: formatTime(START + 5_000), to: formatTime(START + 1_000) })
    expect(await problems()).toEqual([])
  })

  test('years ahead once does not bind what comes after', async () => {
    const { hand, events, clock, problems, ledger } = await bench()
    const own = stream()
    clock.now = Date.parse('2036-01-01T00:00:00.000Z')
    await hand(own.next())
    clock.now = START
    await hand(own.next())
    expect((await events()).at(-1)!.recorded_at).toBe(formatTime(START))
    expect(await problems()).toEqual([])
    expect(ledger.keyring.readHead()).toBeDefined()
  })
})

describe('one bad draft', () => {
  test.each<[string, Partial<Draft>]>([
    ['that refers to an event that is not there', { payloads: { text: { same: uuidv7(START) } } }],
    ['that builds on a list that is not there', { event_type: 'llm_call', facts: { provider: 'p', model_id: 'm' }, payloads: { input_messages: { base: uuidv7(START), keep: 1, add: [] } } }],
    ['of a type that is not there', { event_type: 'nonsense' as never }],
    ['with a fact of another kind', { facts: { kind: 'rumour' } }],
    ['whose identity is no JSON', { event_type: 'session_start', facts: { agent_id: 'a' }, payloads: { identity: text('not json') } }],
  ])('%s is refused and told, and those around it are on record', async (_what, bad) => {
    const { hand, events, problems } = await bench()
    const own = stream()
    const [a, b, c] = [own.next(), own.next(bad), own.next()]
    const answers = await hand(a, b, c)
    expect(answers.map((answer) => refusedAs(answer) !== undefined)).toEqual([false, true, false])
    const all = await events()
    expect(all.filter(({ event_type }) => event_type === 'finding')).toMatchObject([{ rule: 'event_refused', events: [b.event_id], explanation: expect.stringContaining(b.event_id) }])
    expect(await problems()).toEqual([])
  })

  test('that names the payload of an event that has none is refused as well', async () => {
    const { hand } = await bench()
    const own = stream()
    const first = own.next({ event_type: 'final_output', facts: {}, payloads: {} })
    const answers = await hand(first, own.next({ payloads: { text: { same: first.event_id } } }), own.next())
    expect(answers.map((answer) => refusedAs(answer) !== undefined)).toEqual([false, true, false])
  })
})

describe('an interrupted stream', () => {
  const owner = JSON.stringify({ pid: 1 })
  const handed = (draft: Draft): Handed => ({ draft, writer: 'local', stream: { spool: randomRef(), owner } })
  const note = (one: { session_id: string; stream: string }): Handed => ({ writer: 'ledger', draft: { event_id: uuidv7(START), event_type: 'session_interrupted', session_id: one.session_id, timestamp: formatTime(START), capture: 'after', facts: { interrupted_stream: one.stream, last_stream_seq: 0 }, payloads: {} } })

  test('is noted once per stream, by whichever process is first, and not after the end', async () => {
    const { hand, ledger, again, problems } = await bench()
    const a = stream()
    const b = stream(a.session_id)
    const ended = stream()
    await hand(handed(a.next()), handed(b.next()), handed(ended.next()), handed(ended.next({ event_type: 'session_end', facts: {}, payloads: {} })))
    const other = await again()
    const answers = await Promise.all([hand(note(a)), other.hand(note(a)), hand(note(b)), other.hand(note(ended))])
    expect(answers.flat().map(refusedAs).filter((code) => code === undefined)).toHaveLength(2)
    expect((await ledger.session(a.session_id))!.state).toBe('interrupted')
    expect((await ledger.session(ended.session_id))!.state).toBe('ended')
    expect(await problems()).toEqual([])
  })

  test('is still known when an event came after the end of its session, in the same batch', async () => {
    const { hand, ledger } = await bench()
    const a = stream()
    await hand(handed(a.next()), handed(a.next({ event_type: 'session_end', facts: {}, payloads: {} })), handed(a.next()))
    expect((await ledger.read((view) => view.streams())).map((row) => row.stream)).toEqual([a.stream])
  })
})

test('two ledgers on one file take turns: indexes dense, seqs dense, both see what the other wrote', async () => {
  const one = await bench()
  const two = await one.again()
  const [a, b] = [stream(), stream()]
  const shared = uuidv7(START)
  const [c, d] = [stream(shared), stream(shared)]
  const all = await Promise.all(Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? one.hand(a.next(), c.next()) : two.hand(b.next(), d.next()))))
  const indexes = all.flat().map((answer) => (answer as Placed).index).sort((x, y) => x - y)
  expect(indexes).toEqual(Array.from({ length: 120 }, (_, i) => i + 1))
  expect((await two.events(shared)).map(({ seq }) => seq)).toEqual(Array.from({ length: 60 }, (_, i) => i))
  expect(await one.problems()).toEqual([])
})

test('an error of the system after the commit is no refusal: the event is on record once, and its receipt is what is answered', async () => {
  const at = scratch()
  let [fails, opened] = [false, 0]
  const ledger = await Ledger.open({
    home: at.home, clock: () => START,
    open: async () => {
      opened++
      const store = await openSqliteStore(at.db)
      return Object.assign(Object.create(store) as Store, {
        name: store.name, read: store.read.bind(store), wipe: store.wipe.bind(store), copyTo: store.copyTo.bind(store), close: store.close.bind(store),
        append: async <T>(fn: (tx: StoreTx) => Promise<T>): Promise<T> => {
          const done = await store.append(fn)
          if (!fails) return done
          fails = false
          throw Object.assign(new Error('EIO: i/o error, stat'), { code: 'EIO', syscall: 'stat' }) // as when the write-ahead log is looked at
        },
      })
    },
  })
  onTestFinished(() => ledger.close())
  const draft = stream().next()
  fails = true
  const answers = await ledger.append([{ draft, writer: 'local' }])
  expect(answers).toEqual([await ledger.find(draft.event_id)])
  expect([ledger.head?.size, opened]).toEqual([2, 2])
})

test('an end states all of its session\'s sealed content, also where it comes alone, after another process wrote and a part was read anew', async () => {
  const at = scratch()
  const [a, b] = [await bench(at), await bench(at)]
  const [s, other, forgotten] = [stream(), stream(), stream()]
  await a.hand(s.next({ payloads: { text: text('sealed first') } }), forgotten.next())
  await a.ledger.erase({ session_ids: [forgotten.session_id], reason: 'asked for' }) // what is in memory goes
  await a.hand(s.next({ payloads: { text: text('sealed later') } }))
  await b.hand(other.next())
  await a.hand(s.next({ event_type: 'session_end', facts: { reason: 'done' }, payloads: {}, outcome: 'success' }))
  expect((await a.events(s.session_id)).at(-1)).toMatchObject({ event_type: 'session_end', segment_count: 2 })
  expect(await a.problems()).toEqual([])
})

test('a memory of 512 sessions is enough for any number of them', async () => {
  const { hand, problems, events } = await bench()
  const all = Array.from({ length: 600 }, () => stream())
  for (let round = 0; round < 2; round++) await hand(...all.map((own) => own.next()))
  expect((await events(all[0]!.session_id)).map(({ seq, stream_seq }) => [seq, stream_seq])).toEqual([[0, 0], [1, 1]])
  expect(await problems()).toEqual([])
})

describe('a drain', () => {
  /** A spool with `count` events of one stream of one session, and where each record ends. */
  async function spooled(count: number): Promise<{ at: ReturnType<typeof scratch>; file: SpoolFile; ends: number[]; drafts: Draft[]; open: () => Promise<Ledger> }> {
    const at = scratch()
    const key = new Uint8Array(32).fill(5)
    const spool = createSpool(join(at.folder, 'elsewhere'), { origin: SPOOL_ORIGIN, key })
    const own = stream()
    const drafts = Array.from({ length: count }, (_, i) => own.next({ payloads: { text: text(`because of ${i}`) } }))
    const ends = drafts.map((one) => spool.append(encodeDraft(one)))
    spool.close()
    const open = async (): Promise<Ledger> => {
      const ledger = await Ledger.open({ open: () => openSqliteStore(at.db), home: at.home, clock: () => START, spools: { folder: join(at.folder, 'spools'), key } })
      onTestFinished(() => ledger.close())
      return ledger
    }
    return { at, file: spoolFile(spool.path)!, ends, drafts, open }
  }

  test('takes a spool of several batches in order, says each answer once it is durable, and goes on where it stood', async () => {
    const { file, ends, drafts, open } = await spooled(2_300)
    const ledger = await open()
    const heard: string[] = []
    const reached: [offset: number, stored: number][] = []
    const offsets: Promise<unknown>[] = []
    expect(await ledger.drain(file, (event_id, answer) => {
      if (!('refused' in answer) && answer.index === heard.length + 1) heard.push(event_id)
    }, (offset) => {
      reached.push([offset, ledger.head!.size])
      offsets.push(ledger.read((view) => view.spools()))
    })).toBe(ends.at(-1))
    expect(heard).toEqual(drafts.map(({ event_id }) => event_id))
    expect(reached).toEqual([[ends[999], 1_001], [ends[1_999], 2_001], [ends[2_299], 2_301]])
    expect(await offsets[0]).toMatchObject([{ spool: file.id }])
    expect(await ledger.drain(file, () => { throw new Error('it was in the log already') })).toBe(ends.at(-1))
  })

  test('puts what stands before damage into the log, to the record, and says what is damaged', async () => {
    const { file, ends, drafts, open } = await spooled(1_400)
    const fd = openSync(file.path, 'r+')
    writeSync(fd, Buffer.from([1, 2, 3, 4]), 0, 4, ends[1_233]! + 40)
    closeSync(fd)
    const ledger = await open()
    const heard: string[] = []
    await expect(ledger.drain(file, (event_id) => heard.push(event_id))).rejects.toMatchObject({ code: 'spool_corrupt', offset: ends[1_233] })
    expect(heard).toEqual(drafts.slice(0, 1_234).map(({ event_id }) => event_id))
    expect(ledger.head!.size).toBe(1_235)
    expect(await ledger.read((view) => view.spools())).toEqual([{ spool: file.id, offset: ends[1_233] }])
  })
})
