// Reading some events of a session is reading all of it and taking those: the same, to the byte, for what a small part of the work gives.

import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { scratch } from '../../test/scratch.ts'
import { toBase64 } from '../base/bytes.ts'
import { formatTime } from '../base/clock.ts'
import type { Draft, DraftPayload } from '../event/draft.ts'
import type { Entry } from '../event/entry.ts'
import { entry, ref, SESSION } from '../event/fixtures.ts'
import { encodeEntry } from '../event/parse.ts'
import { encodeSession, foldSession, type SessionState } from '../event/session.ts'
import type { ViewEvent } from '../event/view.ts'
import { callViews, classicRows } from '../event/views.ts'
import { leafHash } from '../log/hash.ts'
import type { EntryRow, Store, StoreView } from '../store/contract.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import { Ledger } from './ledger.ts'
import { LogReader, type Sight } from './reader.ts'

const START = Date.parse('2026-11-21T08:00:00.000Z')
const id = (n: number, kind = 1): string => `019a0000-0000-7000-800${kind}-${n.toString(16).padStart(12, '0')}`
const json = (value: unknown): DraftPayload => ({ m: 'json', content: JSON.stringify(value) })
const text = (content: string): DraftPayload => ({ m: 'text', content })

async function openLedger(): Promise<Ledger> {
  const { db, home } = scratch()
  const ledger = await Ledger.open({ open: () => openSqliteStore(db), home, clock: () => START })
  onTestFinished(() => ledger.close())
  return ledger
}

async function recorded(ledger: Ledger, drafts: readonly Draft[]): Promise<void> {
  const answers = await ledger.append(drafts.map((draft) => ({ draft, writer: 'local' })))
  expect(answers.filter((answer) => 'refused' in answer)).toEqual([])
}

/** `store`, with how many entries it handed out. */
function counted(store: Pick<Store, 'read'>): { store: Pick<Store, 'read'>; rows: () => number } {
  let rows = 0
  const ROWS = new Set(['entries', 'sessionEntries', 'configEntries', 'promptEntry', 'findEvents', 'events', 'resultsOf', 'approvedCalls', 'callsNamed', 'orphanResults'])
  const watch = (view: StoreView): StoreView => new Proxy(view, {
    get: (target, name) => {
      const method = (target as unknown as { [name: string | symbol]: (...args: unknown[]) => Promise<EntryRow[] | EntryRow | undefined> })[name]!
      return async (...args: unknown[]) => {
        const found = await method.apply(target, args)
        if (typeof name === 'string' && ROWS.has(name)) rows += Array.isArray(found) ? found.length : found === undefined ? 0 : 1
        return found
      }
    },
  })
  return { store: { read: (fn) => store.read((view) => fn(watch(view))) }, rows: () => rows }
}

/** What one session's author does next; every number is taken modulo what there is to choose from. */
const move = fc.record({
  what: fc.constantFrom('call', 'call', 'call', 'result', 'early', 'tool', 'reasoning', 'config', 'error', 'context', 'subject', 'start', 'custom'),
  session: fc.nat(2), stream: fc.nat(1), a: fc.nat(99), b: fc.nat(99), skip: fc.integer({ min: 0, max: 9 }), prompt: fc.constantFrom('none', 'none', 'new', 'old'), step: fc.constantFrom(undefined, undefined, undefined, 7),
})
type Move = typeof move extends fc.Arbitrary<infer T> ? T : never

/** Drafts of three sessions that take turns: two streams each with holes, lists that grow, branch and shrink, prompts that change and come back. */
function draftsOf(moves: readonly Move[]): Draft[] {
  const drafts: Draft[] = []
  const sessions = Array.from({ length: 3 }, (_, n) => ({ session_id: id(n, 2), next: [0, 0], lists: [] as { event_id: string; count: number }[], prompts: [] as string[], calls: [] as string[], subjects: [] as string[] }))
  for (const [n, { what, session, stream, a, b, skip, prompt, step }] of moves.entries()) {
    const own = sessions[session]!
    own.next[stream]! += skip === 0 ? 2 : 0
    const event_id = id(n)
    const base: Draft = {
      event_id, event_type: 'reasoning', session_id: own.session_id, stream: `${session}${stream}`.padEnd(32, 'f'), stream_seq: own.next[stream]!++, timestamp: formatTime(START + ((a * 7) % 50)), capture: 'before',
      facts: { kind: 'author_stated' }, payloads: { text: text(`because ${n}`) }, ...(step === undefined ? {} : { step_number: step }),
    }
    const prompts = (): Draft['payloads'] => {
      if (prompt === 'old' && own.prompts.length > 0) return { system_prompt: { same: own.prompts[b % own.prompts.length]! } }
      if (prompt !== 'new') return {}
      own.prompts.push(event_id)
      return { system_prompt: text(`Be ${n}.`) }
    }
    const of = own.subjects.length > 0 && b % 3 === 0 ? { of: own.subjects[b % own.subjects.length]! } : {}
    const list = (): Draft['payloads'] => {
      const add = Array.from({ length: b % 4 }, (_, i) => ({ ...json({ role: 'user', content: `${n}.${i}` }), ...of }))
      const from = a % 5 === 0 ? undefined : own.lists[a % own.lists.length]
      const keep = from === undefined ? 0 : b % (from.count + 1)
      own.lists.push({ event_id, count: keep + add.length })
      return { input_messages: from === undefined ? { add } : { base: from.event_id, keep, add } }
    }
    const parent = own.calls[a % own.calls.length]
    switch (what) {
      case 'start': drafts.push({ ...base, event_type: 'session_start', facts: { agent_id: `agent-${a}`, ...(b % 2 === 0 ? { model_id: `m-${b}`, agent_version: `v${a}` } : {}) }, payloads: { ...(a % 3 === 0 ? {} : { identity: json({ subject: `person-${a}` }) }), ...prompts() } }); break
      case 'config': drafts.push({ ...base, event_type: 'config_change', facts: { what: 'model', ...(a % 2 === 0 ? { model_id: `c-${a}` } : {}), ...(b % 3 === 0 ? { agent_version: `w${b}` } : {}) }, payloads: prompts() }); break
      case 'call': own.calls.push(event_id); drafts.push({ ...base, event_type: 'llm_call', facts: { provider: 'p', model_id: `q-${a % 3}` }, payloads: { ...list(), ...prompts() } }); break
      case 'context': drafts.push({ ...base, event_type: 'context', facts: {}, payloads: list() }); break
      case 'tool': own.calls.push(event_id); drafts.push({ ...base, event_type: 'tool_call', facts: { tool_name: `t${a % 3}`, risk: 'low', call_id: `call-${b}` }, payloads: { tool_input: { ...json({ n }), ...of } } }); break
      case 'result': drafts.push({ ...base, event_type: b % 2 === 0 ? 'tool_result' : 'llm_result', facts: b % 2 === 0 ? { tool_name: 't' } : {}, payloads: b % 2 === 0 ? { tool_output: json({ n }) } : { output_text: text(`out ${n}`) }, capture: 'after', ...(parent === undefined ? {} : { parent_event_id: parent }) }); break
      case 'early': drafts.push({ ...base, event_type: 'tool_result', facts: { tool_name: 't' }, payloads: { tool_output: json({ n }) }, capture: 'after', parent_event_id: id(n + 2) }); break // of what comes later, or is nobody's
      case 'error': drafts.push({ ...base, event_type: 'error', facts: { error_type: 'Boom' }, payloads: { message: text(`no ${n}, Anna Meyer`) } }); break
      case 'subject': { const ref = n.toString(16).padStart(32, 'e'); own.subjects.push(ref); drafts.push({ ...base, event_type: 'subject', facts: { subject: ref }, payloads: { identity: { ...json({ subject: `subject-${n}` }), of: ref } }, persons: [`subject-${n}`] }); break }
      case 'custom': drafts.push({ ...base, event_type: 'custom', facts: { name: 'thought' }, payloads: { content: json({ n }) } }); break
      default: drafts.push(base)
    }
  }
  return drafts
}

const SIGHTS: readonly Sight[] = [{ content: 'full' }, { content: 'masked' }, { content: 'none' }]

/** Every event as its whole session gives it, by index. */
async function folded(reader: LogReader, sessions: Iterable<string>): Promise<Map<number, ViewEvent>> {
  const all = new Map<number, ViewEvent>()
  for (const session_id of sessions) for (const event of await reader.session(session_id)) all.set(event.index, event)
  return all
}

async function compare(ledger: Ledger, pages: readonly { readonly from: number; readonly size: number }[]): Promise<void> {
  const sessions = [0, 1, 2].map((n) => id(n, 2)).concat(ledger.ownSession)
  const size = ledger.head!.size
  for (const keyring of [ledger.keyring, undefined]) for (const sight of SIGHTS) {
    const reader = new LogReader(ledger, keyring, sight)
    const all = await folded(reader, sessions)
    expect(all.size).toBe(size)
    const same = (got: readonly ViewEvent[], indexes: readonly number[]): void => expect(got).toEqual(indexes.map((index) => all.get(index)))
    for (const { from, size: count } of pages) {
      const at = from % size
      same([(await reader.at(at))!], [at])
      const after = await reader.after(at, count)
      same(after.items, [...all.keys()].sort((a, b) => a - b).slice(at, at + count))
      same(await reader.newest(count), [...all.keys()].sort((a, b) => a - b).slice(-count))
      for (const session_id of sessions) {
        const own = [...all.values()].filter((event) => event.session_id === session_id).map(({ index }) => index).sort((a, b) => a - b)
        same((await reader.events({ session_id }, count, String(at))).items, own.filter((index) => index >= at).slice(0, count))
        same(await reader.newest(count, session_id), own.slice(-count))
      }
      const tools = [...all.values()].filter(({ event_type }) => event_type === 'tool_call' || event_type === 'error').map(({ index }) => index).sort((a, b) => a - b)
      same((await reader.events({ event_types: ['tool_call', 'error'] }, count, String(at))).items, tools.filter((index) => index >= at).slice(0, count))
    }
  }
}

test('an event, a page, what comes after an index and the newest are those of the whole sessions, whatever was recorded and erased', async () => {
  await fc.assert(fc.asyncProperty(fc.array(move, { minLength: 5, maxLength: 120 }), fc.array(fc.record({ from: fc.nat(), size: fc.integer({ min: 1, max: 40 }) }), { minLength: 1, maxLength: 3 }), fc.array(fc.nat(119), { maxLength: 2 }), async (moves, pages, erase) => {
    const ledger = await openLedger()
    const drafts = draftsOf(moves)
    const half = Math.floor(drafts.length / 2)
    for (const part of [drafts.slice(0, half), drafts.slice(half)]) {
      await recorded(ledger, part)
      for (const n of erase) await ledger.erase({ ...(n % 3 === 0 ? { session_ids: [id(n % 2, 2)] } : { user_id: n % 2 === 0 ? `person-${n}` : `subject-${n}` }), reason: 'asked' }).catch(() => {})
    }
    await compare(ledger, pages)
  }), { numRuns: Number(process.env['PAST_RUNS'] ?? 5) })
}, 60_000)

/** A row as it was before anything was named in the session. */
function before(state: SessionState): SessionState {
  const { model_id: _, system_prompt: __, ...rest } = state
  return { ...rest, next_seq: 3 }
}

/** A store that holds these entries, whoever wrote them, and the row of their session. */
async function storing(entries: readonly Entry[], change: (state: SessionState) => SessionState = (state) => state): Promise<Store> {
  const store = await openSqliteStore(scratch().db)
  onTestFinished(() => store.close())
  const rows = entries.map((each) => ({ index: each.index, entry: encodeEntry(each) }))
  let state: SessionState | undefined
  for (const [i, each] of entries.entries()) state = foldSession(state, each, toBase64(leafHash(rows[i]!.entry)))
  await store.append(async (tx) => {
    await tx.insertEntries(rows)
    await tx.putSessions([{ session_id: SESSION, row: encodeSession(change(state!)) }])
  })
  return store
}

const stepped = (seq: number, event_type: string, more: Partial<Entry> = {}): Entry => entry(seq, event_type, { step_number: 1, ...more })

test('where an entry does not say its step, as another ledger may leave it out, its session is read from the beginning', async () => {
  const entries = [
    entry(0, 'session_start', { facts: { agent_id: 'a' } }), entry(1, 'llm_call', { facts: { model_id: 'm' } }), entry(2, 'tool_call'), entry(3, 'llm_result', { parent_event_id: entry(1, '').event_id }),
    entry(4, 'reasoning'), entry(5, 'tool_call', { step_number: 9 }), entry(6, 'reasoning'),
  ]
  const store = await storing(entries)
  const reader = new LogReader(store, undefined)
  const all = await reader.session(SESSION)
  expect(all.map(({ step_number }) => step_number)).toEqual([0, 1, 2, 1, 2, 9, 9])
  for (const event of all) expect(await reader.at(event.index)).toEqual(event)
  expect((await reader.after(3, 3)).items).toEqual(all.slice(3, 6))
})

test('constants are those of the whole session, where many changes set them, one at a time, and where a row of the session is of no use', async () => {
  const prompt = (seq: number): Partial<Entry> => (seq % 7 === 0 ? { payloads: { system_prompt: seq % 14 === 0 && seq > 0 ? { same: 0 } : ref(seq) } } : {})
  const entries = Array.from({ length: 150 }, (_, seq) => {
    if (seq === 0 || seq === 90) return stepped(seq, 'session_start', { facts: { agent_id: `a${seq}`, ...(seq === 90 ? { agent_version: 'v90' } : {}) }, payloads: { identity: ref(1000 + seq), ...prompt(seq).payloads } })
    if (seq % 5 === 0 && seq < 80) return stepped(seq, 'config_change', { facts: { what: 'x', ...(seq === 20 ? { model_id: 'm20' } : {}) }, ...prompt(seq) })
    return stepped(seq, seq % 2 === 0 ? 'reasoning' : 'llm_call', { facts: seq % 6 === 3 ? { model_id: `q${seq}` } : {}, ...prompt(seq) })
  })
  for (const [row, change] of Object.entries<(state: SessionState) => SessionState>({ whole: (state) => state, old: before })) {
    const store = await storing(entries, change)
    const keyring = (await openLedger()).keyring // its own log's: everything is missing, and asked for
    for (const of of [keyring, undefined]) {
      const reader = new LogReader(store, of)
      const all = await reader.session(SESSION)
      expect(new Set(all.map(({ agent_id, agent_version, model_id }) => `${agent_id} ${agent_version} ${model_id}`)).size).toBeGreaterThan(3)
      for (const event of all) expect(await reader.at(event.index), row).toEqual(event)
      for (const from of [0, 19, 77, 89, 120]) expect((await reader.after(from, 30)).items).toEqual(all.slice(from, from + 30))
      expect((await reader.events({ event_types: ['reasoning'] }, 20, '85')).items).toEqual(all.filter(({ event_type, index }) => event_type === 'reasoning' && index >= 85).slice(0, 20))
    }
  }
})

test('an entry that was changed is evidence where an event stands on it, and to whoever reads the session; an event that does not stand on it is shown', async () => {
  const list = (base?: number): Entry['payloads'] => ({ input_messages: base === undefined ? { add: [ref(1)], count: 1, root: ref(0).c } : { add: [ref(base + 2)], base, count: 2, keep: 1, root: ref(0).c } })
  const entries = [
    stepped(0, 'session_start'), stepped(1, 'llm_call', { payloads: list() }), stepped(2, 'llm_call', { payloads: { input_messages: { ...list(1)['input_messages'] as object, base: 0 } as Entry['payloads'][string] } }),
    stepped(3, 'llm_call', { payloads: list(2) }), stepped(4, 'reasoning'), stepped(5, 'llm_call', { payloads: list(1) }),
  ]
  const store = await storing(entries)
  const reader = new LogReader(store, undefined)
  const fault = expect.objectContaining({ name: 'VerifyError', code: 'list_malformed', message: expect.stringContaining('input_messages of entry 2 to build on an earlier list, got entry 0') })
  await expect(reader.session(SESSION)).rejects.toThrow(fault)
  await expect(reader.at(2)).rejects.toThrow(fault)
  await expect(reader.at(3)).rejects.toThrow(fault)
  await expect(reader.after(3, 3)).rejects.toThrow(fault)
  expect((await reader.at(4))!.seq).toBe(4)
  expect((await reader.at(5))!['input_messages']).toHaveLength(2)
})

const joining = fc.record({
  what: fc.constantFrom('llm_call', 'tool_call', 'tool_call', 'llm_result', 'tool_result', 'tool_result', 'approval_request', 'approval_request', 'approval_decision', 'approval_decision', 'reasoning', 'context'),
  id: fc.nat(60), twice: fc.integer({ min: 0, max: 9 }), parent: fc.option(fc.integer({ min: -6, max: 4 })), name: fc.option(fc.constantFrom('x', 'y', 'undefined')), on: fc.nat(8), decision: fc.constantFrom('approved', 'approved', 'rejected', 'expired'), refused: fc.integer({ min: 0, max: 4 }),
})

test('calls and rows, page by page, are those of the whole session, whatever names what', async () => {
  await fc.assert(fc.asyncProperty(fc.array(joining, { minLength: 2, maxLength: 45 }), fc.integer({ min: 1, max: 12 }), async (moves, size) => {
    const entries: Entry[] = []
    const requests: string[] = []
    for (const [seq, { what, twice, id: other, parent, name, on, decision, refused }] of moves.entries()) {
      const again = twice === 0 && seq > 0
      const own = stepped(seq, what, {
        ...(again ? { event_id: entry(other % seq, '').event_id, writer: `w${seq}` } : {}),
        ...(parent === null || (what.endsWith('_call') && what !== 'tool_call') ? {} : { parent_event_id: entry(Math.max(0, seq + parent), '').event_id }),
        facts: {
          ...(name === null || what === 'approval_decision' ? {} : { call_id: name }), ...(what.startsWith('tool') || what === 'approval_request' ? { tool_name: 't' } : {}),
          ...(what === 'tool_call' && on < 5 && !entries.some(({ facts }) => facts['approval'] === Math.max(0, seq - on)) ? { approval: Math.max(0, seq - on) } : {}),
          ...(what === 'approval_decision' ? { request: requests[requests.length - 1 - (on % 3)] ?? ref(9).c, decision } : {}),
        },
        ...(what === 'approval_decision' && refused === 0 ? { outcome: 'failure' } : {}),
      })
      entries.push(own)
      if (what === 'approval_request') requests.push(toBase64(leafHash(encodeEntry(own))))
    }
    const reader = new LogReader(await storing(entries), undefined, { content: 'none' })
    const session = await reader.session(SESSION)
    const calls = [...callViews(session)]
    const rows = [...classicRows(session)]
    const pages = async <T>(read: (cursor: string | undefined) => Promise<{ items: T[]; next: string | null }>): Promise<T[]> => {
      const got: T[] = []
      for (let cursor: string | undefined; ;) {
        const { items, next } = await read(cursor)
        got.push(...items)
        if (next === null) return got
        expect(items).toHaveLength(size)
        cursor = next
      }
    }
    expect(await pages((cursor) => reader.calls({}, size, cursor))).toEqual(calls)
    expect(await pages((cursor) => reader.calls({ tool_name: 't' }, size, cursor))).toEqual(calls.filter(({ event_type }) => event_type === 'tool_call'))
    expect(await pages((cursor) => reader.calls({ event_types: ['llm_call'] }, size, cursor))).toEqual(calls.filter(({ event_type }) => event_type === 'llm_call'))
    if (new Set(rows.map(({ event_id }) => event_id)).size === rows.length) expect(await pages((cursor) => reader.rowPage(SESSION, size, cursor))).toEqual(rows) // a cursor is the id of a row
    for (const { event_id } of entries) {
      const first = rows.findIndex((row) => row.event_id === event_id)
      const page = reader.rowPage(SESSION, size, event_id)
      if (first === -1) await expect(page).rejects.toThrow('expected a cursor')
      else expect((await page).items).toEqual(rows.slice(first + 1, first + 1 + size))
    }
  }), { numRuns: Number(process.env['PAST_RUNS'] ?? 25) })
}, 120_000)

/** A session of `size` events as an agent's: a call with the messages so far, summarised every 40, its answer, a tool's call and result. */
function conversation(size: number): Draft[] {
  let list = ''
  let kept = 0
  return Array.from({ length: size }, (_, n): Draft => {
    const base = { event_id: id(n), session_id: id(0, 2), stream: 'a'.repeat(32), stream_seq: n, timestamp: formatTime(START + n), capture: 'before' as const }
    if (n === 0) return { ...base, event_type: 'session_start', facts: { agent_id: 'bot' }, payloads: { identity: json({ subject: 'anna' }), system_prompt: text('Be brief.') } }
    switch (n % 4) {
      case 1: {
        const from = kept === 0 || kept >= 40 ? undefined : { base: list, keep: kept }
        list = base.event_id
        kept = (from?.keep ?? 0) + 2
        return { ...base, event_type: 'llm_call', facts: { provider: 'p', model_id: 'm' }, payloads: { system_prompt: { same: id(0) }, input_messages: { ...from, add: [json({ n }), json({ n, more: true })] } } }
      }
      case 2: return { ...base, event_type: 'llm_result', facts: {}, payloads: { output_text: text(`answer ${n}`) }, parent_event_id: id(n - 1), capture: 'after' }
      case 3: return { ...base, event_type: 'tool_call', facts: { tool_name: 'look', risk: 'low', call_id: `c${n}` }, payloads: { tool_input: json({ n }) } }
      default: return { ...base, event_type: 'tool_result', facts: { tool_name: 'look' }, payloads: { tool_output: json({ n }) }, parent_event_id: id(n - 1), capture: 'after' }
    }
  })
}

test('reading costs what is shown: entries read of an event, of a page and of what comes after an index, wherever in the session they are', async () => {
  const ledger = await openLedger()
  for (let drafts = conversation(3_000); drafts.length > 0; drafts = drafts.slice(500)) await recorded(ledger, drafts.slice(0, 500))
  const last = ledger.head!.size
  for (const index of [300, 1_500, last - 10]) {
    for (const sight of SIGHTS) {
      const read = async (ask: (reader: LogReader) => Promise<unknown>): Promise<number> => {
        const { store, rows } = counted(ledger)
        await ask(new LogReader(store, ledger.keyring, sight))
        return rows()
      }
      const own = 22 // a list of 40 messages, two an entry; what sets constants; the prompt's entry
      for (const at of [index, index + 1, index + 2, index + 3]) {
        expect(await read((reader) => reader.event(id(at - 1)))).toBeLessThanOrEqual(1 + own)
        expect(await read((reader) => reader.at(at))).toBeLessThanOrEqual(1 + own)
      }
      expect(await read((reader) => reader.after(index, 8))).toBeLessThanOrEqual(2 * 8 + own)
      expect(await read((reader) => reader.events({ session_id: id(0, 2) }, 8, String(index)))).toBeLessThanOrEqual(3 * 16 + own)
      expect(await read((reader) => reader.newest(8, id(0, 2)))).toBeLessThanOrEqual(2 * 8 + own)
      const calls = await read((reader) => reader.calls({ session_id: id(0, 2) }, 8, String(index)))
      expect(calls).toBeLessThanOrEqual(9 * 16 + 2 * own)
      const rows = await read((reader) => reader.rowPage(id(0, 2), 8, id(4 * Math.floor(index / 4) + 1)))
      expect(rows).toBeLessThanOrEqual(9 * 24 + 2 * own)
    }
  }
})
