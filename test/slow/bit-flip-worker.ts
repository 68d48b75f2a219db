// One part of the bit flips, in a process of its own: `node bit-flip-worker.ts values|file FOLDER PART PARTS SEED COUNT`. Prints one JSON line.
//
// values: each byte of each stored value, one random bit (all eight of the checkpoint), as verify would read it. The database's own check of its
// pages is left out: it would see most of this, and an attacker who goes through SQL leaves it nothing to see.
// file: random bits of the closed file.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { CounterfoilError } from '../../src/base/errors.ts'
import { evidenceOf } from '../../src/ledger/evidence.ts'
import type { StoreView } from '../../src/store/contract.ts'
import { Connection } from '../../src/store/connection.ts'
import { SqliteView } from '../../src/store/sqlite-view.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { openKeyring } from '../../src/vault/keyring.ts'
import type { Verdict } from '../../src/verify/verdict.ts'
import { verifyLog } from '../../src/verify/verify.ts'
import { originAt, place } from '../sample-log.ts'

type Who = 'keys' | 'none'
const [what = '', folder = '', part = '0', parts = '1', seed = '1', count = '0'] = process.argv.slice(2)
const where = place(folder)
const keyring = openKeyring(originAt(where), where.home)

/** Small and repeatable: mulberry32. */
function dice(start: number): (n: number) => number {
  let a = start >>> 0
  return (n) => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), a | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n)
  }
}

/** What a look said: `whole`, the lowest first bad index, `typed` for an error of ours, `crash` for any other. */
async function look(view: StoreView, who: Who): Promise<{ said: 'whole' | 'bad' | 'typed' | 'crash'; index?: number; why?: string }> {
  try {
    return outcome(await verifyLog(await evidenceOf(view, who === 'keys' ? keyring : undefined)))
  } catch (error) {
    return failure(error)
  }
}
function outcome(verdict: Verdict): { said: 'whole' | 'bad'; index?: number } {
  if (verdict.whole) return { said: 'whole' }
  const indexes = Object.values(verdict.properties).flatMap(({ first_bad_index }) => (first_bad_index === undefined ? [] : [first_bad_index]))
  return { said: 'bad', ...(indexes.length === 0 ? {} : { index: Math.min(...indexes) }) }
}
function failure(error: unknown): { said: 'typed' | 'crash'; why: string; index?: number } {
  if (!(error instanceof CounterfoilError)) return { said: 'crash', why: String((error as Error)?.stack ?? error) }
  const index = (error as { first_bad_index?: number }).first_bad_index
  return { said: 'typed', why: error.code, ...(index === undefined ? {} : { index }) }
}

const UNUSED = 'the unused part of a page'
const tally: { [name: string]: number } = {}
const odd: string[] = []
const add = (name: string): void => { tally[name] = (tally[name] ?? 0) + 1 }

/** Columns by table, and which row of the log a value belongs to: the first entry that it could falsify. */
const TABLES: { readonly [table: string]: readonly string[] } = {
  entries: ['entry', 'idx'], heads: ['checkpoint', 'size'], tiles: ['hashes', 'level', 'n'], sessions: ['summary', 'session_id'], scopes: ['scope', 'session_id', 'k', 'generation', 'wrapped'], segments: ['segment', 'scope', 'bytes'],
  places: ['idx', 'ordinal', 'segment', 'frame', 'position', 'frames'], contents: ['scope', 'key', 'segment', 'frame', 'position', 'frames'], subjects: ['scope', 'subject'], spools: ['spool', 'read_to'], streams: ['stream', 'session_id', 'spool', 'owner'], logs: ['format', 'last_segment'],
}

async function values(): Promise<void> {
  const db = new DatabaseSync(where.db)
  db.exec('PRAGMA synchronous = OFF')
  for (const { name } of db.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all()) db.exec(`DROP TRIGGER "${String(name)}"`)
  const store = await openSqliteStore(where.db, { readOnly: true })
  const random = dice(Number(seed))
  const every = Number(count) // each, or every 10th byte
  let n = 0
  for (const [table, columns] of Object.entries(TABLES)) {
    const rows = db.prepare(`SELECT * FROM ${table}`).all() as { [column: string]: SQLInputValue }[]
    for (const row of rows) for (const column of columns) {
      const bytes = bytesOf(row[column]!)
      for (let at = 0; at < bytes.length; at++) for (const bit of column === 'checkpoint' ? [0, 1, 2, 3, 4, 5, 6, 7] : [random(8)]) {
        if (n++ % (Number(parts) * every) !== Number(part) * every) continue
        const flipped = Uint8Array.from(bytes)
        flipped[at] = flipped[at]! ^ (1 << bit)
        await one(db, store, table, column, row, flipped, at)
      }
    }
  }
  await store.close()
  db.close()
}

async function one(db: DatabaseSync, store: Awaited<ReturnType<typeof openSqliteStore>>, table: string, column: string, row: { [column: string]: SQLInputValue }, flipped: Uint8Array, at: number): Promise<void> {
  const value = valueOf(row[column]!, flipped)
  const byProxy = column === 'entry' || column === 'summary' // what is generated from these would refuse most flips; a bit on the disk asks nobody
  if (!byProxy) {
    try {
      update(db, table, row, column, value)
    } catch {
      add(`${table}.${column}: refused by the database (STRICT, CHECK, a unique key)`)
      return
    }
  }
  try {
    for (const who of ['keys', 'none'] as const) {
      const said = await store.read((view) => look(byProxy ? flippedView(view, table, row, value as never) : uncheckedView(view), who))
      if (said.said === 'crash') odd.push(`${table}.${column} byte ${at} ${who}: ${said.why}`)
      const expected = indexOf(db, table, row)
      const right = expected === undefined || said.index === undefined ? 'somewhere' : said.index === expected ? 'exact' : said.index < expected ? 'before' : 'after'
      add(`${table}.${column} ${who}: ${said.said === 'whole' ? 'not reported' : said.said === 'bad' && table === 'entries' && column === 'entry' ? `reported, first bad index ${right}` : 'reported'}`)
      if (table === 'entries' && column === 'entry' && said.said === 'bad' && right !== 'exact') odd.push(`entry ${String(row['idx'])} byte ${at} ${who}: index ${said.index}`)
    }
  } finally {
    if (!byProxy) update(db, table, { ...row, [column]: value }, column, row[column]!)
  }
}

/** The values that are given by name to `update` identify the row; entries only by their index. */
function update(db: DatabaseSync, table: string, row: { [column: string]: SQLInputValue }, column: string, value: SQLInputValue): void {
  const keys = (table === 'entries' ? ['idx'] : Object.keys(row)).filter((name) => !['agent_id', 'state', 'outcome', 'started_at'].includes(name) || table !== 'sessions').filter((name) => table !== 'sessions' || name !== 'summary')
  db.prepare(`UPDATE ${table} SET ${column} = ${typeof value === 'object' && isTextColumn(table, column) ? 'CAST(? AS TEXT)' : '?'} WHERE ${keys.map((name) => `${name} = ${isTextColumn(table, name) && typeof row[name] === 'object' ? 'CAST(? AS TEXT)' : '?'}`).join(' AND ')}`).run(value, ...keys.map((name) => row[name]!))
}

function bytesOf(value: SQLInputValue): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (typeof value === 'string') return Buffer.from(value)
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(value as number))
  return bytes
}
function valueOf(before: SQLInputValue, flipped: Uint8Array): SQLInputValue {
  if (typeof before === 'string' || before instanceof Uint8Array) return flipped
  return Buffer.from(flipped).readBigInt64BE()
}
function isTextColumn(table: string, column: string): boolean {
  return `${table}.${column}` === 'heads.checkpoint' || ['session_id', 'generation', 'spool', 'stream', 'owner', 'format', 'summary'].includes(column)
}
function indexOf(db: DatabaseSync, table: string, row: { [column: string]: SQLInputValue }): number | undefined {
  void db
  return table === 'entries' ? Number(row['idx']) : undefined
}

function uncheckedView(view: StoreView): StoreView {
  return new Proxy(view, { get: (target, name) => (name === 'check' ? async () => [] : bound(target, name)) })
}

/** One entry in a table of its own, with nothing generated from it: what the store's own statement makes of its bytes as text. */
const alone = new Connection(':memory:', 'write', 'one entry')
alone.exec('CREATE TABLE entries (log_id INTEGER, idx INTEGER, entry BLOB)')
async function textOf(index: number, value: Uint8Array): Promise<{ index: number; entry: string } | undefined> {
  alone.exec('DELETE FROM entries')
  alone.run('INSERT INTO entries VALUES (1, ?, ?)', index, value)
  return (await new SqliteView(alone, 1).entryTexts(index, index + 1))?.[0]
}
async function flippedTexts(target: StoreView, from: number, to: number, index: number, value: Uint8Array): Promise<{ index: number; entry: string }[] | undefined> {
  const texts = await target.entryTexts(from, to)
  if (texts === undefined || index < from || index >= to) return texts
  const text = await textOf(index, value)
  return text === undefined ? undefined : texts.map((each) => (each.index === index ? text : each))
}

function flippedView(view: StoreView, table: string, row: { [column: string]: SQLInputValue }, value: Uint8Array): StoreView {
  return new Proxy(view, {
    get(target, name) {
      if (name === 'check') return async () => []
      if (table === 'entries' && name === 'entries') return async (from: number, to: number) => (await target.entries(from, to)).map((each) => (each.index === row['idx'] ? { ...each, entry: value } : each))
      if (table === 'entries' && name === 'entryTexts') return (from: number, to: number) => flippedTexts(target, from, to, Number(row['idx']), value)
      if (table === 'sessions' && name === 'listSessions') return async (filter: never) => (await target.listSessions(filter)).map((each) => (each.session_id === row['session_id'] ? { ...each, row: new TextDecoder().decode(value) } : each))
      return bound(target, name)
    },
  })
}
function bound(target: StoreView, name: string | symbol): unknown {
  const value = (target as never)[name] as unknown
  return typeof value === 'function' ? value.bind(target) : value
}

async function file(): Promise<void> {
  const whole = readFileSync(where.db)
  const random = dice(Number(seed) * 31 + Number(part))
  const kind = mapOf(where.db, whole)
  const idle: Flip[] = []
  for (let i = 0; i < Number(count); i++) {
    const flip = { at: random(whole.length), bit: random(8) }
    if (kind(flip.at) !== UNUSED) await together([flip])
    else if (idle.push(flip) === 8) await together(idle.splice(0))
  }
  if (idle.length > 0) await together(idle)

  /** Bits where nothing should lie are flipped eight at a time: when nobody reports the eight, nobody reported one. When somebody does, each by itself. */
  async function together(flips: readonly Flip[]): Promise<void> {
    for (const { at, bit } of flips) write(at, whole[at]! ^ (1 << bit))
    const said = await openAndLook()
    for (const { at } of flips) write(at, whole[at]!)
    if (flips.length > 1 && Object.values(said).some((got) => got.said !== 'whole')) for (const flip of flips) await together([flip])
    else for (const flip of flips) tell(flip, said)
  }

  function tell({ at, bit }: Flip, said: Awaited<ReturnType<typeof openAndLook>>): void {
    for (const [who, got] of Object.entries(said)) {
      if (got.said === 'crash') odd.push(`byte ${at} bit ${bit} ${who}: ${got.why}`)
      add(`${who}: ${got.said === 'whole' ? 'not reported' : got.said === 'typed' ? `does not open: ${got.why}` : 'reported'}`)
      if (got.said !== 'whole') continue
      add(`not reported, ${who}: ${kind(at)}`)
      if (kind(at).startsWith('?')) odd.push(`byte ${at} bit ${bit} ${who}: ${kind(at)}`)
    }
  }
}

interface Flip { readonly at: number; readonly bit: number }

function write(at: number, byte: number): void {
  const fd = openSync(where.db, 'r+')
  writeSync(fd, Uint8Array.of(byte), 0, 1, at)
  closeSync(fd)
}

/** Opens the file once and looks twice. What the database says of its own pages does not depend on who looks. */
async function openAndLook(): Promise<{ [who in Who]: Awaited<ReturnType<typeof look>> }> {
  let store
  try {
    store = await openSqliteStore(where.db, { readOnly: true })
    return await store.read(async (view) => {
      let said: Promise<string[]> | undefined
      const once = new Proxy(view, { get: (target, name) => (name === 'check' ? () => (said ??= target.check()) : bound(target, name)) })
      return { keys: await look(once, 'keys'), none: await look(once, 'none') }
    })
  } catch (error) {
    return { keys: failure(error), none: failure(error) }
  } finally {
    await store?.close().catch(() => undefined)
  }
}

/** What lies at each byte of the file, as far as it matters: which table or index a page is of, what is free on it, what of it is a header. */
function mapOf(path: string, bytes: Buffer): (at: number) => string {
  const db = new DatabaseSync(path, { readOnly: true })
  const pageSize = Number(Object.values(db.prepare('PRAGMA page_size').get()!)[0])
  const names = new Map<number, string>()
  for (const { rootpage, name } of db.prepare('SELECT rootpage, name FROM sqlite_schema WHERE rootpage > 0').all()) walk(Number(rootpage), String(name))
  db.close()
  function walk(page: number, name: string): void {
    names.set(page, name)
    const start = (page - 1) * pageSize
    const head = start + (page === 1 ? 100 : 0)
    const type = bytes[head]
    const cells = bytes.readUInt16BE(head + 3)
    if (type !== 5 && type !== 2) return
    walk(bytes.readUInt32BE(head + 8), name)
    for (let i = 0; i < cells; i++) walk(bytes.readUInt32BE(start + bytes.readUInt16BE(head + 12 + 2 * i)), name)
  }
  return (at) => {
    if (at < 100) return `the database header (byte ${at})`
    const page = Math.floor(at / pageSize) + 1
    const name = names.get(page)
    if (name === undefined) return 'a page that is free, or goes on from a cell'
    const start = (page - 1) * pageSize
    const head = start + (page === 1 ? 100 : 0)
    const inner = bytes[head] === 5 || bytes[head] === 2
    const offset = at - start
    const arrayEnd = head - start + (inner ? 12 : 8) + 2 * bytes.readUInt16BE(head + 3)
    if (offset < arrayEnd) return `a page header of ${name}`
    for (let pointer = head + (inner ? 12 : 8); pointer < start + arrayEnd; pointer += 2) {
      const cell = bytes.readUInt16BE(pointer)
      if (offset >= cell && offset < cell + cellBytes(bytes, start + cell, bytes[head]!, pageSize)) return `a cell of ${name}`
    }
    return UNUSED
  }
}

/** How long a cell is (sqlite.org/fileformat2.html §1.6). */
function cellBytes(bytes: Buffer, at: number, type: number, pageSize: number): number {
  let end = at
  const varint = (): number => {
    let value = 0
    for (let i = 0; i < 9; i++) {
      const byte = bytes[end++]!
      value = value * 128 + (byte & 0x7f)
      if (byte < 0x80) break
    }
    return value
  }
  if (type === 5 || type === 2) end += 4
  if (type === 5) {
    varint()
    return end - at
  }
  const payload = varint()
  if (type === 13) varint()
  const most = type === 13 ? pageSize - 35 : Math.floor(((pageSize - 12) * 64) / 255) - 23
  const least = Math.floor(((pageSize - 12) * 32) / 255) - 23
  const spilled = least + ((payload - least) % (pageSize - 4))
  return end - at + (payload <= most ? payload : (spilled <= most ? spilled : least) + 4)
}

if (what === 'values') await values()
else await file()
process.stdout.write(`${JSON.stringify({ tally, odd: odd.slice(0, 40), odd_count: odd.length })}\n`)
