// The statements behind a snapshot and an append: one method of the contract, one or two statements each.

import { MisuseError } from '../base/errors.ts'
import { expectedSchema } from './schema.ts'
import type { Connection, Value } from './connection.ts'
import type {
  ContentKey, ContentRow, EntryRow, EventFilter, Head, PlaceRow, ScopeRow, SegmentRow, SessionFilter, SessionRow, SpoolRow, StoreTx, StoreView,
  StreamRow, SubjectRow, TileRow,
} from './contract.ts'
import { CONTENT, ENTRY, HEAD, PLACE, rowOf, rowsOf, SCOPE, SEGMENT, SEGMENT_ID, SESSION, SPOOL, STREAM, TILE } from './row.ts'

const TABLES = ['heads', 'entries', 'tiles', 'sessions', 'scopes', 'segments', 'places', 'contents', 'subjects', 'spools', 'streams'] as const

/** The generation of a scope whose secret is gone. Its row stays, overwritten: see schema.ts. */
const ERASED = ' '.repeat(10)

/** Segments whose content is there. The row of an erased one stays, without bytes: see schema.ts. */
const LIVING = 'length(bytes) > 0'

const ENTRY_COLUMNS = 'idx AS "index", entry'
/** What is no number in `generation` becomes a text, which the shape refuses. */
const SCOPE_COLUMNS = "scope, session_id, k, CASE WHEN generation NOT GLOB '*[^0-9]*' THEN CAST(generation AS INTEGER) ELSE generation END AS generation, wrapped"

const CALL_ID = "json_extract(CAST(entry AS TEXT), '$.facts.call_id')"

/** So few events in a span of time are sorted; more are walked in the order of the log. */
const SORTED_AT_MOST = 5_000

/** How the tables, keys, triggers and views differ from what this release makes, one sentence each. */
export function schemaFaults(db: Connection): string[] {
  const found = new Map(db.all("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'").map((row) => [String(row['name']), row['sql']]))
  const faults: string[] = []
  for (const { type, name, sql } of expectedSchema()) {
    if (found.get(name) !== sql) faults.push(`expected the ${type} ${name} as this release makes it, got ${found.has(name) ? 'another one' : 'none'}`)
    found.delete(name)
  }
  for (const name of found.keys()) faults.push(`expected nothing named ${name} in the database, got it`)
  return faults
}

/** A snapshot of log `logId`, as long as `connection` is in its transaction. After `end` every call is a MisuseError. */
export class SqliteView implements StoreView {
  protected readonly logId: number
  readonly #connection: Connection
  #ended = false

  constructor(connection: Connection, logId: number) {
    this.#connection = connection
    this.logId = logId
  }

  end(): void {
    this.#ended = true
  }

  protected get db(): Connection {
    if (this.#ended) throw new MisuseError('transaction_over', 'store: expected a call while the read or append runs, got one after it', 'await every call inside the function')
    return this.#connection
  }

  async head(): Promise<Head | undefined> {
    return rowsOf(HEAD, this.db, 'SELECT size, checkpoint FROM heads WHERE log_id = ? ORDER BY size DESC LIMIT 1', this.logId)[0]
  }

  async entries(from: number, to: number): Promise<EntryRow[]> {
    return rowsOf(ENTRY, this.db, `SELECT ${ENTRY_COLUMNS} FROM entries WHERE log_id = ? AND idx >= ? AND idx < ? ORDER BY idx`, this.logId, from, to)
  }

  async entryTexts(from: number, to: number): Promise<{ index: number; entry: string }[] | undefined> {
    const sql = `SELECT idx, CAST(entry AS TEXT), CASE typeof(entry) WHEN 'blob' THEN length(entry) END FROM entries WHERE log_id = ? AND idx >= ? AND idx < ? ORDER BY idx`
    const texts: { index: number; entry: string }[] = []
    for (const [index, entry, bytes] of this.db.allArrays(sql, this.logId, from, to)) {
      // as long as its bytes, and nothing in it stands for bytes that are no UTF-8: then each byte is a character
      if (!Number.isSafeInteger(index) || typeof entry !== 'string' || entry.length !== bytes || entry.includes('\ufffd')) return undefined
      texts.push({ index: index as number, entry })
    }
    return texts
  }

  async sessionEntries(session_id: string, from_seq: number, limit: number): Promise<EntryRow[]> {
    const sql = `SELECT ${ENTRY_COLUMNS} FROM entries WHERE log_id = ? AND session_id = ? AND seq >= ? ORDER BY seq LIMIT ?`
    return rowsOf(ENTRY, this.db, sql, this.logId, session_id, from_seq, limit)
  }

  async configEntries(session_id: string, to: number, limit: number): Promise<EntryRow[]> {
    const sql = `SELECT ${ENTRY_COLUMNS} FROM entries INDEXED BY entries_config WHERE log_id = ? AND session_id = ? AND event_type IN ('session_start', 'config_change') AND idx <= ? ORDER BY idx DESC LIMIT ?`
    return rowsOf(ENTRY, this.db, sql, this.logId, session_id, to, limit)
  }

  async promptEntry(session_id: string, from_seq: number, to_seq: number): Promise<EntryRow | undefined> {
    const sql = `SELECT ${ENTRY_COLUMNS} FROM entries INDEXED BY entries_seq WHERE log_id = ? AND session_id = ? AND seq >= ? AND seq <= ? AND event_type IN ('session_start', 'config_change', 'llm_call')
      AND json_type(CAST(entry AS TEXT), '$.payloads.system_prompt') IS NOT NULL ORDER BY seq DESC LIMIT 1`
    return rowsOf(ENTRY, this.db, sql, this.logId, session_id, from_seq, to_seq)[0]
  }

  async resultsOf(event_ids: readonly string[]): Promise<EntryRow[]> {
    const sql = `SELECT ${ENTRY_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN entries INDEXED BY entries_result ON log_id = ? AND parent_event_id = wanted.value AND event_type IN ('llm_result', 'tool_result')`
    return inOrder(rowsOf(ENTRY, this.db, sql, JSON.stringify([...new Set(event_ids)]), this.logId))
  }

  async approvedCalls(session_id: string): Promise<EntryRow[]> {
    const sql = `SELECT ${ENTRY_COLUMNS} FROM entries INDEXED BY entries_approval WHERE log_id = ? AND session_id = ? AND event_type = 'tool_call' AND approval IS NOT NULL`
    return inOrder(rowsOf(ENTRY, this.db, sql, this.logId, session_id))
  }

  async callsNamed(session_id: string, call_ids: readonly string[]): Promise<EntryRow[]> {
    if (call_ids.length === 0) return []
    const sql = `SELECT ${ENTRY_COLUMNS} FROM entries INDEXED BY entries_seq WHERE log_id = ? AND session_id = ? AND event_type = 'tool_call' AND ${CALL_ID} IN (SELECT value FROM json_each(?))`
    return inOrder(rowsOf(ENTRY, this.db, sql, this.logId, session_id, JSON.stringify(call_ids)))
  }

  async orphanResults(session_id: string, call_ids: readonly string[]): Promise<EntryRow[]> {
    if (call_ids.length === 0) return []
    const sql = `SELECT ${ENTRY_COLUMNS} FROM entries INDEXED BY entries_result WHERE log_id = ? AND parent_event_id IS NULL AND event_type IN ('llm_result', 'tool_result') AND session_id = ? AND ${CALL_ID} IN (SELECT value FROM json_each(?))`
    return inOrder(rowsOf(ENTRY, this.db, sql, this.logId, session_id, JSON.stringify(call_ids)))
  }

  async findEvents(event_ids: readonly string[]): Promise<EntryRow[]> {
    // One statement for a batch: of a thousand events mostly none is found. CROSS JOIN: it must not walk the log for a short list.
    const sql = `SELECT ${ENTRY_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN entries ON log_id = ? AND event_id = wanted.value`
    return rowsOf(ENTRY, this.db, sql, JSON.stringify([...new Set(event_ids)]), this.logId).sort((a, b) => a.index - b.index)
  }

  async events(filter: EventFilter): Promise<EntryRow[]> {
    const where: [condition: string, value: Value][] = []
    if (filter.tool_name !== undefined) where.push(['tool_name = ?', filter.tool_name])
    if (filter.since !== undefined) where.push(['timestamp >= ?', filter.since])
    if (filter.until !== undefined) where.push(['timestamp < ?', filter.until])
    const from = filter.from ?? 0
    const { event_types: types, limit } = filter
    if (types?.length === 0) return []

    if (filter.session_id !== undefined) {
      where.push(['session_id = ?', filter.session_id])
      const few = types === undefined || filter.since !== undefined || filter.until !== undefined ? undefined : this.#few(filter.session_id, types, from)
      if (few !== undefined) return this.#ofTypes(types!, [...where, ['idx >= ?', from], ['idx <= ?', few]], limit)
      where.push(['seq >= ?', this.#seqAt(filter.session_id, from)], ['idx >= ?', from])
      return this.#select('entries_seq', where, types, 'seq', limit)
    }
    if (filter.since !== undefined || filter.until !== undefined) {
      if (this.#isShort(filter)) return this.#select('entries_time', [...where, ['+idx >= ?', from]], types, '+idx', limit)
      where.push(...this.#bounds(filter))
    }
    where.push(['idx >= ?', from])
    if (filter.tool_name !== undefined) return this.#select('entries_tool', where, types, 'idx', limit)
    if (types === undefined) return this.#select('sqlite_autoindex_entries_1', where, undefined, 'idx', limit)
    return this.#ofTypes(types, where, limit)
  }

  /** One ordered walk for each type, merged: an IN list would be sorted whole for each page. */
  #ofTypes(types: readonly string[], where: readonly [string, Value][], limit: number): EntryRow[] {
    const walks = types.flatMap((type) => this.#select('entries_type', [...where, ['event_type = ?', type]], undefined, 'idx', limit))
    return inOrder(walks).slice(0, limit)
  }

  /** The session's last index, where the log has much fewer entries of these types from `from` up to it than the session has of all: an approval in a long session is found among approvals. */
  #few(session_id: string, types: readonly string[], from: number): number | undefined {
    const last = this.db.get('SELECT seq, idx FROM entries WHERE log_id = ? AND session_id = ? ORDER BY seq DESC LIMIT 1', this.logId, session_id)
    const many = Math.floor((Number(last?.['seq'] ?? 0) - this.#seqAt(session_id, from)) / 8)
    if (many < 1) return undefined
    const sql = 'SELECT count(*) AS n FROM (SELECT 1 FROM entries INDEXED BY entries_type WHERE log_id = ? AND event_type = ? AND idx >= ? AND idx <= ? LIMIT ?)'
    let n = 0
    for (const type of types) {
      n += Number(this.db.get(sql, this.logId, type, from, Number(last!['idx']), many - n)?.['n'])
      if (n >= many) return undefined
    }
    return Number(last!['idx'])
  }

  #select(index: string, where: readonly [string, Value][], types: readonly string[] | undefined, order: string, limit: number): EntryRow[] {
    const conditions = where.map(([condition]) => ` AND ${condition}`).join('')
    const values = where.map(([, value]) => value)
    const of = types === undefined ? '' : ` AND event_type IN (${types.map(() => '?').join(', ')})`
    const sql = `SELECT ${ENTRY_COLUMNS} FROM entries INDEXED BY ${index} WHERE log_id = ?${conditions}${of} ORDER BY ${order} LIMIT ?`
    return rowsOf(ENTRY, this.db, sql, this.logId, ...values, ...(types ?? []), limit)
  }

  /** The lowest seq of the session at or after log index `from`; both ascend together. */
  #seqAt(session_id: string, from: number): number {
    if (from === 0) return 0
    const at = 'SELECT seq, idx FROM entries WHERE log_id = ? AND session_id = ? AND seq >= ? ORDER BY seq LIMIT 1'
    let low = 0
    let high = Number(this.db.get('SELECT max(seq) AS seq FROM entries WHERE log_id = ? AND session_id = ?', this.logId, session_id)?.['seq'] ?? -1) + 1
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const row = this.db.get(at, this.logId, session_id, middle)
      if (row === undefined || Number(row['idx']) >= from) high = middle
      else low = Number(row['seq']) + 1
    }
    return low
  }

  #isShort({ since, until }: EventFilter): boolean {
    const sql = `SELECT count(*) AS n FROM (SELECT 1 FROM entries INDEXED BY entries_time WHERE log_id = ? AND timestamp >= ? AND timestamp < ? LIMIT ${SORTED_AT_MOST + 1})`
    return Number(this.db.get(sql, this.logId, since ?? '', until ?? '~')?.['n']) <= SORTED_AT_MOST
  }

  /** Where in the log a long span of time begins and ends. Only the first page pays for the beginning. */
  #bounds({ since, until, from }: EventFilter): [string, number][] {
    const end = (f: string): number =>
      Number(this.db.get(`SELECT ${f}(idx) AS idx FROM entries INDEXED BY entries_time WHERE log_id = ? AND timestamp >= ? AND timestamp < ?`, this.logId, since ?? '', until ?? '~')?.['idx'] ?? 0)
    const bounds: [string, number][] = []
    if (since !== undefined && from === undefined) bounds.push(['idx >= ?', end('min')])
    if (until !== undefined) bounds.push(['idx <= ?', end('max')])
    return bounds
  }

  async findIds(digits: string, limit: number): Promise<{ kind: 'event' | 'session'; id: string }[]> {
    if (!/^[0-9a-f-]{1,36}$/.test(digits)) throw new MisuseError('digits', `store: expected 1 to 36 lower-case hex digits and hyphens, got ${JSON.stringify(digits.slice(0, 64))}`, 'give the beginning or the end of an id as it is shown')
    const found: { kind: 'event' | 'session'; id: string }[] = []
    for (const kind of ['session', 'event'] as const) {
      const id = `${kind}_id`
      const from = kind === 'event' ? 'entries INDEXED BY entries_event' : 'sessions'
      const take = (sql: string, ...values: Value[]): void => {
        for (const row of this.db.all(sql, this.logId, ...values, limit)) if (!found.some((one) => one.kind === kind && one.id === row['id'])) found.push({ kind, id: String(row['id']) })
      }
      // '~' sorts behind every hex digit
      take(`SELECT DISTINCT ${id} AS id FROM ${from} WHERE log_id = ? AND ${id} >= ? AND ${id} < ? ORDER BY ${id} LIMIT ?`, digits, `${digits}~`)
      // A suffix is looked for in the whole index: one over reversed ids would cost each append.
      if (found.length < limit) take(`SELECT DISTINCT ${id} AS id FROM ${from} WHERE log_id = ? AND substr(${id}, ?) = ? ORDER BY ${id} LIMIT ?`, -digits.length, digits)
    }
    return found.slice(0, limit)
  }

  async tile(level: number, n: number): Promise<Uint8Array | undefined> {
    return rowsOf(TILE, this.db, 'SELECT level, n, hashes FROM tiles WHERE log_id = ? AND level = ? AND n = ?', this.logId, level, n)[0]?.hashes
  }

  async tiles(level: number, from: number, to: number): Promise<TileRow[]> {
    const sql = 'SELECT level, n, hashes FROM tiles WHERE log_id = ? AND level = ? AND n >= ? AND n < ? ORDER BY n'
    return rowsOf(TILE, this.db, sql, this.logId, level, from, to)
  }

  async tileCount(level: number): Promise<number> {
    return Number(this.db.get('SELECT count(*) AS n FROM tiles WHERE log_id = ? AND level = ?', this.logId, level)?.['n'])
  }

  async sessions(session_ids: readonly string[]): Promise<SessionRow[]> {
    return session_ids.flatMap((id) => rowsOf(SESSION, this.db, 'SELECT session_id, summary AS row FROM sessions WHERE log_id = ? AND session_id = ?', this.logId, id))
  }

  async listSessions(filter: SessionFilter): Promise<SessionRow[]> {
    const where: [condition: string, values: Value[]][] = [['log_id = ?', [this.logId]]]
    for (const name of ['agent_id', 'state', 'outcome'] as const) if (filter[name] !== undefined) where.push([`${name} = ?`, [filter[name]]])
    if (filter.since !== undefined) where.push(['started_at >= ?', [filter.since]])
    if (filter.until !== undefined) where.push(['started_at < ?', [filter.until]])
    if (filter.before !== undefined) where.push(['(started_at, session_id) < (?, ?)', [filter.before.started_at, filter.before.session_id]])
    const index = filter.agent_id === undefined ? 'sessions_newest' : 'sessions_agent'
    const sql = `SELECT session_id, summary AS row FROM sessions INDEXED BY ${index} WHERE ${where.map(([c]) => c).join(' AND ')} ORDER BY started_at DESC, session_id DESC LIMIT ?`
    return rowsOf(SESSION, this.db, sql, ...where.flatMap(([, values]) => values), filter.limit)
  }

  async scopes(session_ids: readonly string[]): Promise<ScopeRow[]> {
    const sql = `SELECT ${SCOPE_COLUMNS} FROM scopes WHERE log_id = ? AND session_id = ? AND generation <> '${ERASED}' ORDER BY k`
    return session_ids.flatMap((id) => rowsOf(SCOPE, this.db, sql, this.logId, id))
  }

  async scopePage(after: Uint8Array | undefined, limit: number): Promise<ScopeRow[]> {
    const sql = `SELECT ${SCOPE_COLUMNS} FROM scopes WHERE log_id = ? AND scope > ? AND generation <> '${ERASED}' ORDER BY scope LIMIT ?`
    return rowsOf(SCOPE, this.db, sql, this.logId, after ?? new Uint8Array(), limit)
  }

  async segment(segment: number): Promise<SegmentRow | undefined> {
    return rowsOf(SEGMENT, this.db, `SELECT segment, scope, bytes FROM segments WHERE log_id = ? AND segment = ? AND ${LIVING}`, this.logId, segment)[0]
  }

  async segmentPage(after: number, limit: number): Promise<SegmentRow[]> {
    return rowsOf(SEGMENT, this.db, `SELECT segment, scope, bytes FROM segments WHERE log_id = ? AND segment > ? AND ${LIVING} ORDER BY segment LIMIT ?`, this.logId, after, limit)
  }

  async segmentIds(scopes: readonly Uint8Array[]): Promise<{ segment: number; scope: Uint8Array }[]> {
    const sql = `SELECT segment, scope FROM segments WHERE log_id = ? AND scope = ? AND ${LIVING}`
    return scopes.flatMap((scope) => rowsOf(SEGMENT_ID, this.db, sql, this.logId, scope)).sort((a, b) => a.segment - b.segment)
  }

  async places(from: number, to: number): Promise<PlaceRow[]> {
    const sql = 'SELECT idx AS "index", ordinal, segment, frame, position, frames FROM places WHERE log_id = ? AND idx >= ? AND idx < ? ORDER BY idx, ordinal'
    return rowsOf(PLACE, this.db, sql, this.logId, from, to)
  }

  async contents(keys: readonly ContentKey[]): Promise<ContentRow[]> {
    const sql = 'SELECT scope, key, segment, frame, position, frames FROM contents WHERE log_id = ? AND scope = ? AND key = ?'
    return keys.flatMap(({ scope, key }) => rowOf(CONTENT, this.db, sql, this.logId, scope, key) ?? [])
  }

  async contentPage(after: ContentKey | undefined, limit: number): Promise<ContentRow[]> {
    const sql = 'SELECT scope, key, segment, frame, position, frames FROM contents WHERE log_id = ? AND (scope, key) > (?, ?) ORDER BY scope, key LIMIT ?'
    return rowsOf(CONTENT, this.db, sql, this.logId, after?.scope ?? new Uint8Array(), after?.key ?? new Uint8Array(), limit)
  }

  async subjectScopes(subject: Uint8Array): Promise<Uint8Array[]> {
    return rowsOf<{ scope: Uint8Array }>({ scope: 'blob' }, this.db, 'SELECT DISTINCT scope FROM subjects NOT INDEXED WHERE log_id = ? AND subject = ? ORDER BY scope', this.logId, subject).map(({ scope }) => scope)
  }

  async subjects(scopes: readonly Uint8Array[]): Promise<SubjectRow[]> {
    const sql = 'SELECT subject, scope FROM subjects WHERE log_id = ? AND scope = ? AND subject <> zeroblob(32) ORDER BY subject'
    return scopes.flatMap((scope) => rowsOf<SubjectRow>({ subject: 'blob', scope: 'blob' }, this.db, sql, this.logId, scope))
  }

  async spools(): Promise<SpoolRow[]> {
    return rowsOf(SPOOL, this.db, 'SELECT spool, read_to AS offset FROM spools WHERE log_id = ? ORDER BY spool', this.logId)
  }

  async streams(): Promise<StreamRow[]> {
    return rowsOf(STREAM, this.db, 'SELECT stream, session_id, spool, owner FROM streams WHERE log_id = ? ORDER BY stream', this.logId)
  }

  async check(): Promise<string[]> {
    const found = this.db.all('PRAGMA integrity_check(20)').map((row) => String(row['integrity_check'])).filter((line) => line !== 'ok')
    found.push(...schemaFaults(this.db))
    for (const table of TABLES) {
      const others = Number(this.db.get(`SELECT count(*) AS n FROM ${table} WHERE log_id <> ?`, this.logId)?.['n'])
      if (others > 0) found.push(`table ${table} holds ${others} rows of another log`)
    }
    return found
  }

  async counts(): Promise<{ readonly [table: string]: number }> {
    const living: { readonly [table: string]: string } = { scopes: ` AND generation <> '${ERASED}'`, segments: ` AND ${LIVING}`, subjects: ' AND subject <> zeroblob(32)' }
    return Object.fromEntries(TABLES.map((table) => [table, Number(this.db.get(`SELECT count(*) AS n FROM ${table} WHERE log_id = ?${living[table] ?? ''}`, this.logId)?.['n'])]))
  }
}

/** The writes of one append. A write that fails dooms the append, also when the caller catches its error: half a batch is never committed. */
export class SqliteTx extends SqliteView implements StoreTx {
  #failure: { readonly error: unknown } | undefined

  /** Throws what a write failed with. */
  checkWhole(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #write<T>(write: (db: Connection) => T): T {
    const db = this.db
    this.checkWhole()
    try {
      return write(db)
    } catch (error) {
      this.#failure = { error }
      throw error
    }
  }

  #each<R>(rows: readonly R[], sql: string, values: (row: R) => Value[]): number {
    return this.#write((db) => db.runEach(sql, rows, (row) => [this.logId, ...values(row)]))
  }

  async insertEntries(rows: readonly EntryRow[]): Promise<void> {
    this.#each(rows, 'INSERT INTO entries (log_id, idx, entry) VALUES (?, ?, ?)', (r) => [r.index, r.entry])
  }

  async insertTiles(rows: readonly TileRow[]): Promise<void> {
    this.#each(rows, 'INSERT INTO tiles (log_id, level, n, hashes) VALUES (?, ?, ?, ?)', (r) => [r.level, r.n, r.hashes])
  }

  async replaceHead(head: Head): Promise<void> {
    this.#write((db) => {
      db.run('DELETE FROM heads WHERE log_id = ?', this.logId)
      db.run('INSERT INTO heads (log_id, size, checkpoint) VALUES (?, ?, ?)', this.logId, head.size, head.checkpoint)
    })
  }

  async putSessions(rows: readonly SessionRow[]): Promise<void> {
    const sql = 'INSERT INTO sessions (log_id, session_id, summary) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET summary = excluded.summary'
    this.#each(rows, sql, (r) => [r.session_id, r.row])
  }

  async insertScopes(rows: readonly ScopeRow[]): Promise<void> {
    this.#each(rows, 'INSERT INTO scopes (log_id, scope, session_id, k, generation, wrapped) VALUES (?, ?, ?, ?, ?, ?)', (r) => [r.scope, r.session_id, r.k, formatGeneration(r.generation), r.wrapped])
  }

  async rewrapScopes(rows: readonly ScopeRow[]): Promise<void> {
    const sql = `UPDATE scopes SET generation = ?, wrapped = ? WHERE log_id = ? AND scope = ? AND generation <> '${ERASED}'`
    this.#write((db) => {
      for (const r of rows) db.run(sql, formatGeneration(r.generation), r.wrapped, this.logId, r.scope)
    })
  }

  async insertSegments(rows: readonly SegmentRow[]): Promise<void> {
    this.#each(rows, 'INSERT INTO segments (log_id, segment, scope, bytes) VALUES (?, ?, ?, ?)', (r) => [r.segment, r.scope, r.bytes])
    const last = rows.reduce((max, row) => Math.max(max, row.segment), 0)
    this.#write((db) => db.run('UPDATE logs SET last_segment = max(last_segment, ?) WHERE log_id = ?', last, this.logId))
  }

  async insertPlaces(rows: readonly PlaceRow[]): Promise<void> {
    const sql = 'INSERT INTO places (log_id, idx, ordinal, segment, frame, position, frames) VALUES (?, ?, ?, ?, ?, ?, ?)'
    this.#each(rows, sql, (r) => [r.index, r.ordinal, r.segment, r.frame, r.position, r.frames])
  }

  async insertContents(rows: readonly ContentRow[]): Promise<void> {
    const sql = 'INSERT INTO contents (log_id, scope, key, segment, frame, position, frames) VALUES (?, ?, ?, ?, ?, ?, ?)'
    this.#each(rows, sql, (r) => [r.scope, r.key, r.segment, r.frame, r.position, r.frames])
  }

  async insertSubjects(rows: readonly SubjectRow[]): Promise<void> {
    this.#each(rows, 'INSERT INTO subjects (log_id, subject, scope) VALUES (?, ?, ?)', (r) => [r.subject, r.scope])
  }

  async putSpool(row: SpoolRow): Promise<void> {
    this.#each([row], 'INSERT INTO spools (log_id, spool, read_to) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET read_to = excluded.read_to', (r) => [r.spool, r.offset])
  }

  async deleteSpool(spool: string): Promise<void> {
    this.#each([spool], 'DELETE FROM spools WHERE log_id = ? AND spool = ?', (r) => [r])
  }

  async putStreams(rows: readonly StreamRow[]): Promise<void> {
    const sql = `INSERT INTO streams (log_id, stream, session_id, spool, owner) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET session_id = excluded.session_id, spool = excluded.spool, owner = excluded.owner`
    this.#each(rows, sql, (r) => [r.stream, r.session_id, r.spool, r.owner])
  }

  async deleteStreams(streams: readonly string[]): Promise<void> {
    this.#each(streams, 'DELETE FROM streams WHERE log_id = ? AND stream = ?', (r) => [r])
  }

  async deleteScopes(scopes: readonly Uint8Array[]): Promise<number> {
    const scope = (s: Uint8Array): Value[] => [s]
    this.#each(scopes, 'DELETE FROM places INDEXED BY places_segment WHERE log_id = ? AND segment IN (SELECT segment FROM segments WHERE log_id = ? AND scope = ?)', (s) => [this.logId, s])
    this.#each(scopes, 'DELETE FROM contents WHERE log_id = ? AND scope = ?', scope)
    this.#each(scopes, 'UPDATE subjects SET subject = zeroblob(32) WHERE log_id = ? AND scope = ?', scope)
    this.#each(scopes, `UPDATE scopes SET generation = '${ERASED}', wrapped = zeroblob(length(wrapped)) WHERE log_id = ? AND scope = ?`, scope)
    return this.#each(scopes, `UPDATE segments SET bytes = x'' WHERE log_id = ? AND scope = ? AND ${LIVING}`, scope)
  }

  async nextSegment(): Promise<number> {
    return Number(this.db.get('SELECT last_segment + 1 AS next FROM logs WHERE log_id = ?', this.logId)?.['next'])
  }
}

function inOrder(rows: EntryRow[]): EntryRow[] {
  return rows.sort((a, b) => a.index - b.index)
}

function formatGeneration(generation: number): string {
  return String(generation).padStart(10, '0')
}
