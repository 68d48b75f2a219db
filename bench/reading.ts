// What reading a large log costs: verifying it, beside bare SHA-256 over the same entries in the same run; the first page of a long session; a
// proof among ten million leaves. `reading` gives the rows; run as a program, it prints them.
//
//   node bench/reading.ts [FOLDER [EVENTS [LEAVES]]]      keeps the log in FOLDER for the next time
//   READING=entries,whole,payloads,cores,page,deep,proof  only some of it

import { hash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { evidenceOf } from '../src/ledger/evidence.ts'
import { storeTiles } from '../src/ledger/proof.ts'
import { LogReader } from '../src/ledger/reader.ts'
import { verifyStore } from '../src/ledger/verification.ts'
import { signCheckpoint } from '../src/log/checkpoint.ts'
import { leafHash, type Hash } from '../src/log/hash.ts'
import { checkInclusion, proveInclusion } from '../src/log/inclusion.ts'
import { formatProof } from '../src/log/proof.ts'
import { PartialTiles, tileHashReader } from '../src/log/reader.ts'
import { TreeEdge } from '../src/log/tree.ts'
import { Watch } from '../src/monitor/watch.ts'
import type { Store } from '../src/store/contract.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { ephemeralKeyring, openKeyring, type Keyring } from '../src/vault/keyring.ts'
import { verifyLog } from '../src/verify/verify.ts'
import { why } from '../src/why/why.ts'
import { growLargeLog, largeLog, LargeLoad } from './large-log.ts'

/** One figure; `bar` is what DESIGN §12 asks for. */
export interface ReadingRow { readonly what: string; readonly figure: string; readonly bar?: string }

export const READINGS = ['entries', 'whole', 'payloads', 'cores', 'page', 'deep', 'proof'] as const

export interface ReadingOptions { readonly folder: string; readonly events?: number; readonly leaves?: number; readonly only?: readonly string[] }

export async function reading({ folder, events = 1_000_000, leaves = 10_000_000, only = READINGS }: ReadingOptions): Promise<ReadingRow[]> {
  const rows: ReadingRow[] = []
  if (only.some((one) => one !== 'proof')) {
    await growLargeLog(folder, events)
    const { db, home } = largeLog(folder)
    const store = await openSqliteStore(db, { readOnly: true })
    try {
      const head = (await store.read((view) => view.head()))!
      const keyring = openKeyring(head.checkpoint.split('\n')[0]!, home)
      const log: Log = { store, db, home, keyring, size: head.size }
      if (only.includes('entries')) rows.push(...(await entriesRows(log)))
      if (only.includes('whole')) rows.push(await verifyRow('verify without keys, one thread', log, 1, false))
      if (only.includes('payloads')) rows.push(await verifyRow('verify with keys, each payload opened, one thread', log, 1, true))
      if (only.includes('cores')) for (const keys of [false, true]) rows.push(await verifyRow(`verify ${keys ? 'with' : 'without'} keys, ${availableParallelism()} threads`, log, availableParallelism(), keys))
      if (only.includes('page')) rows.push(...(await pageRows(log)))
      if (only.includes('deep')) rows.push(...(await deepRows(log)))
    } finally {
      await store.close()
    }
  }
  if (only.includes('proof')) rows.push(...(await proofRows(leaves)))
  return rows
}

interface Log { readonly store: Store; readonly db: string; readonly home: string; readonly keyring: Keyring; readonly size: number }

/** The entries, the tree, sessions and lists; without content and what the database says of itself. And bare hashing, over the same bytes, of one call an entry. */
async function entriesRows({ store, size }: Log): Promise<ReadingRow[]> {
  let bytes = 0
  let bare = 0
  await store.read(async (view) => {
    for (let from = 0; from < size; from += 1_000) {
      const page = await view.entries(from, from + 1_000)
      const began = performance.now()
      for (const { entry } of page) hash('sha256', entry, 'hex')
      bare += performance.now() - began
      for (const { entry } of page) bytes += entry.length
    }
  })
  const [began, cpu] = [performance.now(), process.cpuUsage()]
  const verdict = await store.read(async (view) => {
    const { vault: _, ...evidence } = await evidenceOf(view, undefined)
    return verifyLog({ ...evidence, extra: async () => [] })
  })
  const ms = performance.now() - began
  const used = process.cpuUsage(cpu)
  if (!verdict.whole) throw new Error(`reading: ${JSON.stringify(verdict.problems[0])}`)
  return [
    { what: `verify ${count(size)} entries of ${Math.round(bytes / size)} bytes: tree, sessions, lists; one core`, figure: `${rate(size, ms)} entries/s (${((used.user + used.system) / size).toFixed(1)} µs of processor time each)`, bar: '100,000 a core' },
    { what: 'the same against bare SHA-256 over the same bytes', figure: `${(bare / ms).toFixed(2)}× (bare: ${rate(size, bare)} entries/s)`, bar: '0.5× on all cores (moonshot)' },
  ]
}

async function verifyRow(what: string, { store, db, home, keyring, size }: Log, jobs: number, keys: boolean): Promise<ReadingRow> {
  const [began, cpu] = [performance.now(), process.cpuUsage()]
  const verdict = await verifyStore({ store, path: db, keyring: keys ? keyring : undefined, kept: keyring, home }, { jobs })
  if (!verdict.whole) throw new Error(`reading: ${JSON.stringify(verdict.problems[0])}`)
  const ms = performance.now() - began
  const used = process.cpuUsage(cpu)
  return { what, figure: `${(ms / 1_000).toFixed(1)} s, ${rate(size, ms)} entries/s, ${((used.user + used.system) / 1e6).toFixed(1)} s of processor time, RSS up to ${Math.round(process.resourceUsage().maxRSS / 1_024)} MB` }
}

async function pageRows({ store, keyring, size }: Log): Promise<ReadingRow[]> {
  const { long } = new LargeLoad()
  const reader = new LogReader(store, keyring)
  const events = (await store.read((view) => view.sessions([long]))).map(({ row }) => Number((JSON.parse(row) as { events: number }).events))[0]!
  return [
    { what: `first page (100 entries) of a session of ${count(events)}, from the store`, figure: await median(() => store.read((view) => view.sessionEntries(long, 0, 100))), bar: '50 ms' },
    { what: 'the same as events with their content', figure: await median(() => reader.events({ session_id: long }, 100)) },
    { what: 'the newest 50 sessions', figure: await median(() => reader.sessions({}, 50)) },
    { what: 'the newest 50 sessions of an agent', figure: await median(() => reader.sessions({ agent_id: 'ops-bot' }, 50)) },
    { what: 'the sessions of a person', figure: await median(() => reader.sessions({ user_id: 'user-77' }, 50)) },
    { what: '50 events of a tool', figure: await median(() => reader.events({ tool_name: 'refund' }, 50)) },
    { what: '50 events of a type in ten seconds', figure: await median(() => reader.events({ event_types: ['tool_call'], since: '2026-11-21T08:03:00.000Z', until: '2026-11-21T08:03:10.000Z' }, 50)) },
    { what: `100 events late in the session of ${count(events)}`, figure: await median(() => reader.events({ session_id: long }, 100, String(size - 1_500)), 3) },
  ]
}

/** Far into a long session, in processor time: what somebody waits for who looks at one event, and how fast the rules of a server follow. */
async function deepRows({ store, keyring, size }: Log): Promise<ReadingRow[]> {
  const { long } = new LargeLoad()
  const reader = new LogReader(store, keyring)
  const [event] = await reader.newest(1, long)
  const middle = Math.floor(event!.seq / 2)
  const [row] = await store.read((view) => view.sessionEntries(long, middle, 1))
  const { event_id } = (await reader.at(row!.index))!
  const session = await reader.session(long)
  const act = session.findLast(({ event_type }) => event_type === 'tool_call')!
  const seen = session.slice(middle, middle + 1_000)
  const watch = new Watch(long)
  for (const before of session.slice(0, middle)) watch.see(before)
  let at = 0
  const followed = async (): Promise<void> => {
    const { items } = await reader.after(size - 5_000 + 500 * (at++ % 9), 500)
    if (items.length === 0) throw new Error('reading: expected events behind the log')
  }
  const of = `of a session of ${count(event!.seq + 1)}`
  return [
    { what: `the last event ${of}, with its content`, figure: await processor(() => reader.event(event!.event_id)) },
    { what: 'the one in its middle', figure: await processor(() => reader.event(event_id)) },
    { what: 'a page of 100 events from there on, with their content', figure: await processor(() => reader.events({ session_id: long }, 100, String(row!.index))) },
    { what: 'a page of 100 calls from there on', figure: await processor(() => reader.calls({ session_id: long }, 100, String(row!.index))) },
    { what: 'a page of 100 classic rows after it', figure: await processor(() => reader.rowPage(long, 100, event_id)) },
    { what: `why, of the last act: all that was said ${of} is read and searched`, figure: await processor(async () => why(await reader.session(long), act.event_id), 3) },
    { what: 'the monitor: 500 events late in the log, as it reads them on', figure: await processor(followed) },
    { what: 'the monitor: its rules over 1,000 events in the middle of the session', figure: await processor(async () => { for (const one of seen) watch.see(one) }, 1) },
  ]
}

/** Processor time, the median. */
async function processor(run: () => Promise<unknown>, times = 11): Promise<string> {
  const took: number[] = []
  for (let i = 0; i < times; i++) {
    const before = process.cpuUsage()
    await run()
    const { user, system } = process.cpuUsage(before)
    took.push((user + system) / 1_000)
  }
  took.sort((a, b) => a - b)
  return `${took[Math.floor(times / 2)]!.toFixed(1)} ms of processor time`
}

/** Hashes only: tiles in a store, by the way that receipts and proofs take. */
async function proofRows(leaves: number): Promise<ReadingRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-proof-'))
  try {
    const store = await openSqliteStore(join(folder, 'log.db'))
    const keyring = ephemeralKeyring('bench.example/proof')
    const edge = new TreeEdge()
    const entryAt = (index: number): Uint8Array => {
      const bytes = new Uint8Array(8)
      new DataView(bytes.buffer).setFloat64(0, index)
      return bytes
    }
    // any 32 bytes will do, but for the leaves that fill no tile: those are read as entries
    const leafAt = (index: number): Hash => {
      if (index >= leaves - (leaves % 256)) return leafHash(entryAt(index))
      const hash = new Uint8Array(32)
      new DataView(hash.buffer).setFloat64(0, index)
      return hash
    }
    for (let from = 0; from < leaves; from += 100_000) {
      const full = edge.append(Array.from({ length: Math.min(100_000, leaves - from) }, (_, i) => leafAt(from + i)))
      await store.append((tx) => tx.insertTiles(full.map(({ level, index, bytes }) => ({ level, n: index, hashes: bytes }))))
    }
    const root = edge.root()
    const checkpoint = signCheckpoint({ origin: keyring.origin, size: leaves, root }, [keyring.signer()])
    const made = new PartialTiles()
    let [bytes, text] = [0, 0]
    let at = 0
    const prove = async (): Promise<void> => {
      at = (at * 7 + 4_999_999) % leaves
      await store.read(async (view) => {
        const proof = await proveInclusion(tileHashReader(leaves, storeTiles({ tile: (level, n) => view.tile(level, n), entries: async (from, to) => Array.from({ length: to - from }, (_, i) => ({ index: from + i, entry: entryAt(from + i) })) }, leaves, made)), at, leaves)
        checkInclusion({ index: at, size: leaves, leafHash: leafAt(at), root, proof })
        bytes = Math.max(bytes, proof.length * 32)
        text = formatProof({ index: at, proof, checkpoint }).length
      })
    }
    const began = performance.now()
    await prove()
    const first = performance.now() - began
    const warm = await median(prove, 201)
    await store.close()
    return [
      { what: `a proof among ${count(leaves)} leaves, warm, made and checked`, figure: `${warm} (the first: ${first.toFixed(0)} ms)`, bar: '1 ms' },
      { what: 'its hashes', figure: `${bytes} bytes (as tlog-proof with its checkpoint, in base64: ${text})`, bar: '1 KB' },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function median(run: () => Promise<unknown>, times = 21): Promise<string> {
  const took: number[] = []
  for (let i = 0; i < times; i++) {
    const began = performance.now()
    await run()
    took.push(performance.now() - began)
  }
  took.sort((a, b) => a - b)
  return `${took[Math.floor(times / 2)]!.toFixed(2)} ms (p90 ${took[Math.floor(times * 0.9)]!.toFixed(2)})`
}

const count = (n: number): string => n.toLocaleString('en-US')
const rate = (n: number, ms: number): string => count(Math.round(n / (ms / 1_000)))

if (import.meta.main) {
  const [folder = mkdtempSync(join(tmpdir(), 'counterfoil-reading-')), events = '1000000', leaves = '10000000'] = process.argv.slice(2)
  const only = process.env['READING']?.split(',')
  for (const { what, figure, bar } of await reading({ folder, events: Number(events), leaves: Number(leaves), ...(only === undefined ? {} : { only }) })) console.log(`${what}: ${figure}${bar === undefined ? '' : ` [${bar}]`}`)
  if (process.argv[2] === undefined) rmSync(folder, { recursive: true, force: true })
}
