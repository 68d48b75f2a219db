// The table of faults: every step of every kind of append fails once, before it is done and after it was done, and for good from there on. Afterwards the log is as it
// was or as it was to become, never between; what was answered is true; and it goes on.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toBase64 } from '../../src/base/bytes.ts'
import type { Draft } from '../../src/event/draft.ts'
import { encodeDraft } from '../../src/event/draft.ts'
import { parseEntry } from '../../src/event/parse.ts'
import type { Placed, Refused } from '../../src/ledger/batch.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { leafHash } from '../../src/log/hash.ts'
import type { Signer } from '../../src/log/signer.ts'
import { thisOwner } from '../../src/spool/owner.ts'
import { createSpool } from '../../src/spool/writer.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../../src/vault/spool-key.ts'
import { copyFolder, Faults, faultyFiles, faultySigner, faultyStore, type Fault } from '../faults.ts'
import { appendAll, appendRun, handed, json, place, run, strangeKey, Telling, text, verifyAt, type Place } from '../sample-log.ts'

/** One row in so many of the table is tried, others with another seed. */
const SEED = Number(process.env['SEED'] ?? 1)
const EVERY = Number(process.env['FAULTS_EVERY'] ?? 30)
const START = Date.UTC(2026, 10, 21, 8)

const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'counterfoil-faults-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const key = strangeKey('faults.example/log')
const elsewhere: Signer = { vkey: key.vkey, sign: async (message) => key.signer.sign(message) }

/** Opens the log at `where`, with `faults` under it; `opened` counts how often its store was. */
async function open({ db, home }: Place, { faults, signed = false }: { readonly faults?: Faults; readonly signed?: boolean } = {}): Promise<{ ledger: Ledger; opened: () => number }> {
  let [opened, at] = [0, START]
  const ledger = await Ledger.open({
    open: async () => {
      opened++
      const store = await openSqliteStore(db, { waitMs: 2_000 })
      return faults === undefined ? store : faultyStore(store, faults)
    },
    home, clock: () => (at += 10), spools: { folder: `${db}.spool`, key: openSpoolKey(home) },
    ...(signed ? { signer: async () => (faults === undefined ? elsewhere : faultySigner(elsewhere, faults)) } : {}),
  })
  return { ledger, opened: () => opened }
}

interface Shape {
  readonly name: string
  readonly signed?: boolean
  /** What was there before; without it, no log. */
  readonly before?: (ledger: Ledger, where: Place) => Promise<void>
  /** What is tried, and the answers that it gives for its events. */
  readonly act: (ledger: Ledger) => Promise<readonly (Placed | Refused)[]>
  /** The drafts of which all are on record afterwards, or none; handed in again they change nothing. */
  readonly drafts: readonly Draft[]
  /** Whether a single fault of the store is overcome without anybody noticing. */
  readonly overcomes?: boolean
}

function shapes(): Shape[] {
  const tells = Array.from({ length: 12 }, (_, n) => new Telling(undefined, START + n))
  const [one, fresh, again, ending, spooled, kept, forgotten, turned, keyed, second] = tells as [Telling, Telling, Telling, Telling, Telling, Telling, Telling, Telling, Telling, Telling]
  const starts = new Map(tells.map((tell) => [tell, run(tell, { user: `user-${tell.session_id.slice(-4)}`, order: '1182' })]))
  const begun = (...of: Telling[]) => (ledger: Ledger): Promise<void> => appendAll(ledger, of.flatMap((tell) => starts.get(tell)!.drafts))
  const appends = (drafts: readonly Draft[], more: Omit<Shape, 'act' | 'drafts'>): Shape => ({ ...more, drafts, overcomes: true, act: (ledger) => ledger.append(handed(...drafts)) })
  const thought = (tell: Telling, content = 'so be it'): Draft => tell.draft('reasoning', { kind: 'author_stated' }, { text: text(content) })
  const list = starts.get(again)!.named['call2']!.event_id
  const spool = createSpool('', { origin: SPOOL_ORIGIN, key: new Uint8Array(32) }).id
  const drained = starts.get(spooled)!.drafts
  return [
    { name: 'the birth of a log', drafts: [], act: async () => [] },
    appends([thought(one)], { name: 'one event', before: begun(one) }),
    appends([...starts.get(fresh)!.drafts, fresh.draft('final_output', {}, { output: text('of a person', { k: 1 }) }), fresh.draft('data_access', { source: 'crm' }, { reference: text('of another', { k: 2 }) })], { name: 'a new session with several scopes', before: begun(one) }),
    appends([starts.get(again)!.named['call2']!, again.draft('llm_call', { provider: 'p', model_id: 'm' }, { input_messages: { base: list, keep: 3, add: [json({ role: 'user', content: 'And now?' })] } }), { ...starts.get(again)!.named['reason']!, facts: { kind: 'author_stated', form: 'full' } }], { name: 'a repeated event, a list that goes on, an id used again', before: begun(again) }),
    appends([thought(ending), ending.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' })], { name: 'the end of a session', before: async (ledger) => void (await ledger.append(starts.get(ending)!.drafts.map((draft) => ({ draft, writer: 'local', stream: { spool, owner: '{"pid":1}' } })))) }),
    appends(Array.from({ length: 300 }, (_, n) => thought(second, `thought ${n}`)), { name: 'a batch that fills a tile', before: begun(second) }),
    appends([thought(keyed)], { name: 'one event, signed elsewhere', signed: true, before: begun(keyed) }),
    {
      name: 'a dead spool', drafts: drained, before: async (ledger, { db, home }) => {
        await begun(one)(ledger)
        using writer = createSpool(`${db}.spool`, { origin: SPOOL_ORIGIN, key: openSpoolKey(home), owner: { ...thisOwner(), start_time: '1' } })
        for (const draft of drained) writer.append(encodeDraft(draft))
      },
      act: async () => [], // opening drains it
    },
    { name: 'a rotation of the key', drafts: [], before: begun(turned), act: async (ledger) => { await ledger.rotate(); return [] } },
    { name: 'a renewal of the KEK', drafts: [], before: begun(turned), act: async (ledger) => { await ledger.renewKek(); return [] } },
    {
      name: 'an erasure', drafts: [], before: async (ledger) => { await begun(kept)(ledger); await appendRun(ledger, forgotten, { user: 'ingrid.maximova', order: '1182' }) },
      act: async (ledger) => { const { ordered, done } = await ledger.erase({ session_ids: [forgotten.session_id], reason: 'asked for' }); return [ordered, done] },
    },
  ]
}

/** Entries as they are stored, how far spools were read, and what is open of each step that takes more than one. */
async function stateOf(where: Place): Promise<{ hashes: string[]; ids: string[]; spools: { spool: string; offset: number }[] }> {
  if (!existsSync(where.db)) return { hashes: [], ids: [], spools: [] }
  const store = await openSqliteStore(where.db)
  try {
    return await store.read(async (view) => {
      const rows = await view.entries(0, (await view.head())?.size ?? 0)
      return { hashes: rows.map(({ entry }) => toBase64(leafHash(entry))), ids: rows.map(({ entry }) => parseEntry(entry).entry.event_id), spools: [...(await view.spools())] }
    })
  } finally {
    await store.close()
  }
}

describe.each(shapes())('$name', (shape) => {
  const first = place(join(folder, shape.name.replaceAll(/\W+/g, '-')))
  let [steps, old] = [[] as string[], { hashes: [] as string[], ids: [] as string[], spools: [] as { spool: string; offset: number }[] }]
  let n = 0

  /** Opens a copy of what was before and acts, under `fault`. */
  async function tried(fault?: Fault): Promise<{ where: Place; faults: Faults; ledger: Ledger | undefined; opened: number; answers?: readonly (Placed | Refused)[]; error?: Error }> {
    const where = place(`${first.folder}-${n++}`)
    copyFolder(first.folder, where.folder)
    const faults = new Faults()
    const opening = shape.before === undefined || shape.name === 'a dead spool' // there the opening is what is tried
    const restore = faultyFiles(where.folder, faults)
    let [ledger, opened]: [Ledger | undefined, () => number] = [undefined, () => 0]
    try {
      if (opening) faults.begin(fault)
      ;({ ledger, opened } = await open(where, { faults, ...(shape.signed === undefined ? {} : { signed: shape.signed }) }))
      if (!opening) faults.begin(fault)
      const answers = await shape.act(ledger)
      return { where, faults, ledger, opened: opened(), answers }
    } catch (error) {
      return { where, faults, ledger, opened: opened(), error: error as Error }
    } finally {
      faults.end()
      restore()
    }
  }

  async function checkAfter(row: string, { where, answers, error }: Awaited<ReturnType<typeof tried>>, whole: { hashes: string[]; ids: string[] }): Promise<void> {
    const { ledger } = await open(where, shape.signed === undefined ? {} : { signed: shape.signed })
    try {
      const placed = await ledger.append(handed(...shape.drafts))
      const tell = new Telling(undefined, START + 99)
      await appendAll(ledger, [tell.draft('session_start', { agent_id: 'bot' }), tell.draft('final_output', {}, { output: text('it goes on') })])
      if (answers !== undefined && shape.drafts.length === answers.length) {
        for (const [i, answer] of answers.entries()) if ('index' in answer) expect(placed[i], row).toMatchObject({ index: answer.index, entry_hash: answer.entry_hash })
      }
    } finally {
      await ledger.close()
    }
    const now = await stateOf(where)
    expect(now.hashes.slice(0, old.hashes.length), row).toEqual(old.hashes)
    expect(new Set(now.ids).size, row).toBe(now.ids.length)
    for (const answer of answers ?? []) if ('index' in answer) expect(now.hashes[answer.index], row).toBe(answer.entry_hash)
    if (error === undefined && answers !== undefined) expect(now.hashes.length, row).toBeGreaterThanOrEqual(whole.hashes.length)
    const verdict = await verifyAt(where)
    expect([verdict.problems, verdict.properties.payloads.status], row).toEqual([[], 'proved'])
  }

  beforeAll(async () => {
    if (shape.before !== undefined) {
      const { ledger } = await open(first, shape.signed === undefined ? {} : { signed: shape.signed })
      await shape.before(ledger, first)
      await ledger.close()
      old = await stateOf(first)
    }
  })

  test('is true, whole and goes on after each fault', async () => {
    const clean = await tried()
    expect(clean.error).toBeUndefined()
    await clean.ledger!.close()
    steps = clean.faults.steps
    const whole = await stateOf(clean.where)
    expect(steps.length).toBeGreaterThan(3)
    let [rows, chosen, overcame] = [0, 0, 0]
    for (const [at, name] of steps.entries()) for (const fault of [{ side: 'before' }, { side: 'after' }, { side: 'before', forGood: true }, { side: 'after', forGood: true }, { side: 'before', full: true }] as const) {
      if ((rows++ + at + SEED) % EVERY !== 0) continue
      chosen++
      const row = `step ${at}, ${name}, fails ${JSON.stringify(fault)}`
      const done = await tried({ at, forGood: false, ...fault })
      expect(done.faults.hits, row).toBeGreaterThan(0)
      if (done.error !== undefined) expect((done.error as { next?: string }).next ?? done.error.message, row).not.toBe('')
      if (done.ledger !== undefined) {
        // the same ledger goes on by itself, as soon as nothing fails any more
        if (done.error !== undefined && shape.overcomes === true && !(('forGood' in fault) && at % 2 === 0)) {
          await done.ledger.append(handed(...shape.drafts))
          overcame++
        }
        await done.ledger.close().catch(() => undefined)
      }
      const raw = await stateOf(done.where)
      const there = shape.drafts.filter(({ event_id }) => raw.ids.includes(event_id) && !old.ids.includes(event_id)).length
      const wanted = shape.drafts.filter(({ event_id }) => !old.ids.includes(event_id)).length
      expect([0, wanted], row).toContain(there)
      if (shape.overcomes === true && !('forGood' in fault) && !('full' in fault) && !name.endsWith('Sync') && name !== 'sign') expect([done.error, done.opened], row).toEqual([undefined, 2])
      // nothing is refused for what a disk did: it would be on record all the same
      if (done.answers !== undefined) expect(done.answers.map((answer) => 'refused' in answer), row).toEqual(clean.answers!.map((answer) => 'refused' in answer))
      await checkAfter(row, done, whole)
      rmSync(done.where.folder, { recursive: true })
    }
    process.stderr.write(`${shape.name}: ${steps.length} steps, ${chosen} of ${rows} rows; after ${overcame} the same ledger went on, none left a state in between\n`)
  })
})
