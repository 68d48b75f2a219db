// One connection to a SQLite file: statements prepared once, settings read back, and every error of SQLite as a StoreError.

import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { StoreError } from '../base/errors.ts'
import type { StoreCode } from './contract.ts'
import { nodeSqlite } from './node-sqlite.ts'

export type Row = { readonly [column: string]: null | number | bigint | string | Uint8Array }
export type Value = SQLInputValue

/** How a connection opens its file. `immutable` takes no lock and writes nothing, and must only look at what nobody writes. */
export type Access = 'write' | 'read' | 'immutable'

export class Connection {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly #arrays = new Map<string, StatementSync>()
  readonly name: string

  constructor(file: string, access: Access, name: string) {
    this.name = name
    const { DatabaseSync } = nodeSqlite()
    const location = access === 'immutable' ? `${pathToFileURL(file).href}?immutable=1` : file
    // `timeout: 0`: waiting is ours (turns.ts).
    this.#db = this.#guard(() => new DatabaseSync(location, { readOnly: access !== 'write', timeout: 0 }))
  }

  all(sql: string, ...values: Value[]): Row[] {
    return this.#guard(() => this.#prepared(sql).all(...values) as Row[])
  }

  /** As `all`, each row an array of its columns. Measured for entries of 640 bytes: 0.6 µs a row instead of 0.9 to 1.4. */
  allArrays(sql: string, ...values: Value[]): Row[string][][] {
    return this.#guard(() => this.#preparedArrays(sql).all(...values) as unknown as Row[string][][])
  }

  get(sql: string, ...values: Value[]): Row | undefined {
    return this.#guard(() => this.#prepared(sql).get(...values) as Row | undefined)
  }

  /** Runs a statement; how many rows it changed. */
  run(sql: string, ...values: Value[]): number {
    return this.#guard(() => Number(this.#prepared(sql).run(...values).changes))
  }

  /** Runs a statement for each of `rows`; how many rows it changed in all. */
  runEach<T>(sql: string, rows: readonly T[], values: (row: T) => Value[]): number {
    return this.#guard(() => {
      const statement = this.#prepared(sql)
      let changed = 0
      for (const row of rows) changed += Number(statement.run(...values(row)).changes)
      return changed
    })
  }

  /** Runs statements that are needed once. */
  exec(sql: string): void {
    this.#guard(() => this.#db.exec(sql))
  }

  /** Whether a transaction is open. */
  get inTransaction(): boolean {
    return this.#db.isOpen && this.#db.isTransaction
  }

  /** The one value of a `PRAGMA` that reads. */
  pragma(name: string): number | string {
    return Object.values(this.#guard(() => this.#db.prepare(`PRAGMA ${name}`).get() as Row | undefined) ?? {})[0] as number | string
  }

  /** Sets a `PRAGMA` and reads it back: what a library was compiled without, or a file refuses, must not pass in silence. */
  set(name: string, value: string, expected: number | string): void {
    this.exec(`PRAGMA ${name} = ${value}`)
    const got = this.pragma(name)
    if (got === expected) return
    throw new StoreError('setting', `store: ${this.name}: expected PRAGMA ${name} to be ${expected} (${value}), got ${got}`, 'use the SQLite that comes with Node, and stop other programs that open this file')
  }

  /** Closes; twice does nothing. */
  close(): void {
    if (this.#db.isOpen) this.#db.close()
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  #preparedArrays(sql: string): StatementSync {
    let statement = this.#arrays.get(sql)
    if (statement === undefined) {
      statement = this.#db.prepare(sql)
      statement.setReturnArrays(true)
      this.#arrays.set(sql, statement)
    }
    return statement
  }

  #guard<T>(call: () => T): T {
    try {
      return call()
    } catch (error) {
      throw storeError(error, this.name)
    }
  }
}

interface SqliteError extends Error { readonly code: 'ERR_SQLITE_ERROR'; readonly errcode: number; readonly errstr: string }

function isSqliteError(error: unknown): error is SqliteError {
  return error instanceof Error && 'code' in error && error.code === 'ERR_SQLITE_ERROR' && 'errcode' in error
}

/** What SQLite's primary result codes (sqlite.org/rescode.html) mean to an operator. */
const MEANING: { readonly [code: number]: { code: StoreCode; expected: string; next: string; retry?: boolean } } = {
  5: { code: 'busy', expected: 'the lock', next: 'try again', retry: true },
  6: { code: 'busy', expected: 'the lock', next: 'try again', retry: true },
  8: { code: 'read_only', expected: 'a database that can be written', next: 'make the file and its folder writable for this user, or open it read-only' },
  10: { code: 'io', expected: 'a working disk', next: 'look at the disk and the kernel log before writing again' },
  11: { code: 'corrupt', expected: 'a sound database', next: 'keep the file as it is, restore a backup, and compare both with "counterfoil verify"' },
  13: { code: 'full', expected: 'room on the disk', next: 'make room, then try again', retry: true },
  14: { code: 'cannot_open', expected: 'a file that opens', next: 'check that the folder exists and that this user may write in it' },
  26: { code: 'not_a_database', expected: 'a SQLite database', next: 'check the path; the file was not changed' },
}

/** The unique keys, by the columns that SQLite names when a row is there already. */
const TAKEN: readonly (readonly [columns: string, code: StoreCode, what: string])[] = [
  ['entries.log_id, entries.idx', 'index_taken', 'an index that is free'],
  ['entries.log_id, entries.event_id, entries.writer', 'event_taken', 'an event id that this writer has not used'],
  ['entries.log_id, entries.session_id, entries.seq', 'seq_taken', 'a seq that is free in the session'],
  ['entries.log_id, entries.session_id, entries.approval', 'approval_used', 'an approval that no tool call has used'],
]

/** `error` as a StoreError; what is not from SQLite comes back as it is. */
function storeError(error: unknown, name: string): unknown {
  // a row with an integer beyond 2^53, which nothing of ours writes: node:sqlite refuses to read it
  if (error instanceof RangeError && 'code' in error && error.code === 'ERR_OUT_OF_RANGE') {
    return new StoreError('corrupt', `store: ${name}: expected integers up to 2^53-1, got a larger one (${error.message})`, 'keep the file as it is, restore a backup, and compare both with "counterfoil verify"', { cause: error })
  }
  if (!isSqliteError(error)) return error
  const primary = error.errcode % 256
  const meaning = MEANING[primary]
  const got = `${error.message} (SQLite ${error.errcode})`
  if (meaning !== undefined) {
    return new StoreError(meaning.code, `store: ${name}: expected ${meaning.expected}, got ${got}`, meaning.next, { cause: error, retry: meaning.retry ?? false })
  }
  if (primary === 19) {
    const taken = TAKEN.find(([columns]) => error.message === `UNIQUE constraint failed: ${columns}`)
    if (taken !== undefined) return new StoreError(taken[1], `store: ${name}: expected ${taken[2]}, got one that is taken`, 'read the log again before deciding what to append', { cause: error })
    const code = error.errcode === 1811 ? 'append_only' : 'conflict' // SQLITE_CONSTRAINT_TRIGGER
    return new StoreError(code, `store: ${name}: ${error.message}`, 'counterfoil verify compares the rows with the log', { cause: error })
  }
  return new StoreError('sqlite', `store: ${name}: expected success, got ${got}`, 'report this with the message', { cause: error })
}
