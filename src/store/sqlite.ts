// A log in one SQLite file (DESIGN §8), by `node:sqlite`: WAL, synchronous=FULL, secure_delete, each read back.
//
// Any number of processes on one machine may write it; they take turns by the file's own lock. POSIX locks belong to a process,
// and closing any descriptor of the file drops them all (sqlite.org/howtocorrupt.html §2.2). So nothing in a process with an open
// store may touch the database, `-wal` or `-shm` by `fs` or by another SQLite library, except `stat`: this file uses `stat` only,
// and looks after every commit whether the write-ahead log is still the one it opened.

import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { randomRef } from '../base/ids.ts'
import { StoreError } from '../base/errors.ts'
import { Connection } from './connection.ts'
import type { Store, StoreCode, StoreTx, StoreView } from './contract.ts'
import { checkFileSystem, isUnborn, makePrivate, publishCopy, removeCopy } from './file-system.ts'
import { APPLICATION_ID, expectedSchema, FORMAT, SCHEMA, SCHEMA_VERSION } from './schema.ts'
import { schemaFaults, SqliteTx, SqliteView } from './sqlite-view.ts'
import { patiently, Turns } from './turns.ts'

export interface SqliteOptions {
  /** Only reads: nothing is created, no lock is taken that a writer would notice. Default false. */
  readonly readOnly?: boolean
  /** Nobody writes the file any more (a backup): it is opened without locks, nothing is made beside it, and it may lie on any file system. Reads only. Default false. */
  readonly finished?: boolean
  /** How long an append waits for its turn, a read for a place, a wipe for readers; milliseconds, default 10,000. */
  readonly waitMs?: number
  /** How many snapshots may be open at once, each on a connection of its own; default 4. */
  readonly readers?: number
  /** The key of the log in its tables; default 1. */
  readonly logId?: number
}

/**
 * Opens the log at `path`, or makes an empty one; `':memory:'` is a log that ends with its store, in which reads and appends take
 * turns. Fails with a StoreError that says what was expected and what to do; what is not ours is not changed by one byte.
 */
export async function openSqliteStore(path: string, options: SqliteOptions = {}): Promise<Store> {
  const { finished = false, readOnly = finished, waitMs = 10_000, readers = 4, logId = 1 } = options
  if (path === ':memory:') {
    const db = new Connection(path, 'write', path)
    configure(db, 'memory')
    create(db, path, logId)
    return new SqliteStore({ name: path, db, logId, waitMs, readers: 1 })
  }
  const file = locate(path, readOnly, finished)
  const alone = statSync(`${file}-wal`, { throwIfNoEntry: false }) === undefined
  if (!readOnly && isUnborn(file)) await patiently(path, waitMs, () => takeBack(file))
  const access = finished ? 'immutable' : checkIsOurs(file)
  if (readOnly) {
    const first = openReader(file, access, path)
    try {
      await patiently(path, waitMs, () => checkTables(first, path))
    } catch (error) {
      first.close()
      throw error
    }
    return new SqliteStore({ name: path, file, access, first, alone, logId, waitMs, readers })
  }
  const db = new Connection(file, 'write', path)
  try {
    await patiently(path, waitMs, () => {
      if (db.get('SELECT 1 FROM sqlite_schema LIMIT 1') === undefined || db.pragma('application_id') !== APPLICATION_ID) create(db, path, logId)
    })
    await patiently(path, waitMs, () => configure(db, 'wal'))
    await patiently(path, waitMs, () => checkSchema(db, path))
    await patiently(path, waitMs, () => addLog(db, logId))
    const first = openReader(file, 'read', path)
    await patiently(path, waitMs, () => first.get('SELECT 1 FROM logs'))
    return new SqliteStore({ name: path, file, access: 'read', db, first, logId, waitMs, readers })
  } catch (error) {
    db.close()
    throw error
  }
}

/** Where the file is, or will be, behind symbolic links; SQLite names the write-ahead log after that. */
function locate(path: string, readOnly: boolean, finished: boolean): string {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat !== undefined && !stat.isFile()) throw fail('not_a_database', path, 'expected a file, got something else', 'name a file')
  if (stat === undefined && readOnly) throw fail('cannot_open', path, 'expected a log, got no file', 'check the path')
  const folder = dirname(resolve(path))
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw fail('cannot_open', path, `expected a folder ${folder}, got none`, 'create it')
  const file = stat === undefined ? join(realpathSync(folder), basename(path)) : realpathSync(path)
  if (!finished) checkFileSystem(dirname(file))
  if (!readOnly && !isWritable(dirname(file))) throw fail('read_only', path, `expected to write in ${dirname(file)}, got a folder this user cannot write in`, 'make it writable (SQLite keeps two more files beside the log), or open the log read-only')
  if (!readOnly && stat !== undefined && !isWritable(file)) throw fail('read_only', path, 'expected to write the file, got one this user cannot write', 'make it writable, or open the log read-only')
  if (stat === undefined) makePrivate(file)
  return file
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK) // access(2) opens nothing, so no lock is dropped
    return true
  } catch {
    return false
  }
}

/** Looks at an existing file before anything may write to it. Says how a reader can open it. */
function checkIsOurs(file: string): 'read' | 'immutable' {
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat === undefined || stat.size === 0) return 'read'
  try {
    probe(file, 'immutable')
  } catch (error) {
    // A look at the file alone may meet a checkpoint half done, by a process that is at it or that died of a full disk.
    if (!(error instanceof StoreError) || error.code !== 'corrupt') throw error
    probe(file, 'read')
  }
  // A finished log on a read-only medium: nobody writes it, and SQLite could not create the files that sharing needs.
  const unshared = !isWritable(dirname(file)) && statSync(`${file}-wal`, { throwIfNoEntry: false }) === undefined
  return unshared ? 'immutable' : 'read'
}

/** Has SQLite undo what it did to a database whose making was cut off; a look that only reads could not. */
function takeBack(file: string): void {
  const db = new Connection(file, 'write', file)
  try {
    db.get('SELECT 1 FROM sqlite_schema')
  } finally {
    db.close()
  }
}

function probe(file: string, access: 'read' | 'immutable'): void {
  const db = new Connection(file, access, file)
  try {
    checkHeader(db, file)
  } finally {
    db.close()
  }
}

function checkHeader(db: Connection, name: string): void {
  const application = db.pragma('application_id')
  if (application !== APPLICATION_ID) throw fail('foreign', name, `expected a Counterfoil log (application_id ${APPLICATION_ID}), got another program's database (${application})`, 'choose another path; the file was not changed')
  const version = db.pragma('user_version')
  if (Number(version) > SCHEMA_VERSION) throw fail('newer_format', name, `expected format ${SCHEMA_VERSION} or older, got ${version}`, 'upgrade counterfoil; the file was not changed')
}

/** Makes the tables in one transaction, unless another process was faster. Application id before WAL: a look at the file alone must know it. */
function create(db: Connection, name: string, logId: number): void {
  for (const [pragma, value, expected] of SETTINGS) db.set(pragma, value, expected)
  db.exec('PRAGMA encoding = "UTF-8"')
  db.exec('BEGIN EXCLUSIVE')
  try {
    if (db.get('SELECT 1 FROM sqlite_schema LIMIT 1') === undefined) {
      for (const sql of SCHEMA) db.exec(sql)
      db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`)
      db.run('INSERT INTO logs (log_id, format, last_segment) VALUES (?, ?, 0)', logId, FORMAT)
    }
    checkHeader(db, name)
    db.exec('COMMIT')
  } catch (error) {
    if (db.inTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function addLog(db: Connection, logId: number): void {
  if (db.get('SELECT 1 FROM logs WHERE log_id = ?', logId) === undefined) db.run('INSERT INTO logs (log_id, format, last_segment) VALUES (?, ?, 0)', logId, FORMAT)
}

/** What each connection that writes has, and what reading it back gives. */
const SETTINGS: readonly (readonly [name: string, value: string, expected: number | string])[] = [
  ['busy_timeout', '0', 0],
  ['secure_delete', 'ON', 1], // the default leaves deleted keys in the file
  ['temp_store', 'MEMORY', 2], // nothing that was sorted lands in a temporary file
  ['synchronous', 'FULL', 2], // in WAL mode a lower one acknowledges before the fsync
  ['fullfsync', 'ON', 1], // macOS: fsync alone does not reach the platter
  ['checkpoint_fullfsync', 'ON', 1],
  ['cache_size', '-8192', -8192], // KiB: a batch dirties some 4 MiB, and what the default of 2 cannot hold is written twice
  ['wal_autocheckpoint', '4000', 4000], // pages, 16 MiB: pages that every batch touches reach the database once for many (measured: 22 % less is written)
  ['trusted_schema', 'OFF', 0], // a file that was tampered with calls no functions of ours
]

function configure(db: Connection, journal: 'wal' | 'memory'): void {
  db.set('journal_mode', journal, journal)
  for (const [pragma, value, expected] of SETTINGS) db.set(pragma, value, expected)
  const encoding = db.pragma('encoding')
  if (encoding !== 'UTF-8') throw new StoreError('setting', `store: expected PRAGMA encoding to be UTF-8, got ${encoding}`, 'restore a backup: an entry read back in another encoding has another hash')
}

/** A reader needs the tables; triggers and keys that somebody dropped are for `check()` to tell, so that a changed log can still be verified. */
function checkTables(db: Connection, name: string): void {
  checkHeader(db, name)
  const found = new Set(db.all("SELECT name FROM sqlite_schema WHERE type = 'table'").map((row) => row['name']))
  for (const { type, name: object } of expectedSchema()) {
    if (type === 'table' && !found.has(object)) throw fail('schema', name, `expected the table ${object}, got none`, 'somebody changed the database: restore a backup')
  }
}

/** Compares the tables with what this release makes: a unique key or trigger that was dropped would not be missed otherwise. */
function checkSchema(db: Connection, name: string): void {
  checkHeader(db, name)
  const fault = schemaFaults(db)[0]
  if (fault !== undefined) throw fail('schema', name, fault, 'somebody changed the database: run "counterfoil verify", and restore a backup or the statement')
}

function openReader(file: string, access: 'read' | 'immutable', name: string): Connection {
  const reader = new Connection(file, access, name)
  for (const setting of ['busy_timeout', 'temp_store', 'trusted_schema'] as const) reader.set(...SETTINGS.find(([pragma]) => pragma === setting)!)
  return reader
}

function fail(code: StoreCode, name: string, message: string, next: string): StoreError {
  return new StoreError(code, `store: ${name}: ${message}`, next)
}

interface Parts {
  readonly name: string
  /** Absent in memory. */
  readonly file?: string
  readonly access?: 'read' | 'immutable'
  /** The connection that writes; absent when read-only. */
  readonly db?: Connection
  /** The first reader; absent in memory. Open as long as the store is: see `#abandon`. */
  readonly first?: Connection
  /** Read-only: whether nobody had the log open before. */
  readonly alone?: boolean
  readonly logId: number
  readonly waitMs: number
  readonly readers: number
}

/** Readers of stores whose files were replaced, kept from the garbage collector: see `#abandon`. */
const abandoned: Connection[] = []

class SqliteStore implements Store {
  readonly name: string
  readonly #parts: Parts
  readonly #writing = new Turns(1)
  readonly #reading: Turns
  readonly #idle: Connection[]
  readonly #identity: { readonly [suffix: string]: string | undefined }
  #end: StoreError | undefined

  constructor(parts: Parts) {
    this.name = parts.name
    this.#parts = parts
    this.#reading = new Turns(parts.readers)
    this.#idle = parts.first === undefined ? [] : [parts.first]
    this.#identity = { '': this.#inode(''), '-wal': this.#inode('-wal') }
  }

  async read<T>(fn: (view: StoreView) => Promise<T>): Promise<T> {
    this.#checkOpen()
    const { file, logId, waitMs } = this.#parts
    if (file === undefined) return this.#inMemory(fn)
    const release = await this.#reading.take('a place among the readers', waitMs)
    try {
      this.#checkSound()
      const reader = this.#idle.pop() ?? this.#openReader(file)
      try {
        // The first statement takes the snapshot, not BEGIN.
        await patiently('a snapshot', waitMs, () => {
          if (!reader.inTransaction) reader.exec('BEGIN')
          reader.get('SELECT 1 FROM logs')
        })
        return await this.#within(new SqliteView(reader, logId), fn)
      } finally {
        this.#giveBack(reader)
      }
    } finally {
      release()
    }
  }

  async append<T>(fn: (tx: StoreTx) => Promise<T>): Promise<T> {
    this.#checkOpen()
    const { logId, waitMs } = this.#parts
    const db = this.#writer()
    const since = performance.now()
    const release = await this.#writing.take('the write lock', waitMs)
    try {
      this.#checkSound()
      await patiently('the write lock', Math.max(0, waitMs - (performance.now() - since)), () => db.exec('BEGIN IMMEDIATE'))
      const tx = new SqliteTx(db, logId)
      let result: T
      try {
        result = await this.#within(tx, fn)
        tx.checkWhole()
      } catch (error) {
        this.#rollback(db)
        throw error
      }
      this.#commit(db)
      this.#checkUnmoved()
      return result
    } finally {
      release()
    }
  }

  async wipe(): Promise<string> {
    this.#checkOpen()
    const { file, waitMs } = this.#parts
    const db = this.#writer()
    const release = await this.#writing.take('the write lock', waitMs)
    try {
      this.#checkSound()
      db.set('secure_delete', 'ON', 1)
      if (file === undefined) return 'secure_delete on; in memory, so no file'
      let tries = 0
      await patiently('readers to let go of the write-ahead log', waitMs, () => {
        tries++
        const row = db.get('PRAGMA wal_checkpoint(TRUNCATE)')
        if (row?.['busy'] !== 0) throw new StoreError('busy', 'store: a reader holds the write-ahead log', 'try again', { retry: true })
      })
      this.#checkUnmoved()
      return `secure_delete on; write-ahead log emptied after ${tries} ${tries === 1 ? 'try' : 'tries'}`
    } catch (error) {
      if (error instanceof StoreError && error.code === 'busy') {
        throw new StoreError('busy', `store: expected the write-ahead log to be emptied within ${waitMs} ms, got a reader that keeps it: what was deleted is still in ${this.name}-wal`, 'end long reads of this database (verify, export, a shell in a transaction), then try again', { cause: error, retry: true })
      }
      throw error
    } finally {
      release()
    }
  }

  async copyTo(path: string): Promise<void> {
    this.#checkOpen()
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) throw fail('exists', path, 'expected a new path for the copy, got one that exists', 'choose another; nothing was written')
    const { file, waitMs } = this.#parts
    const partial = `${path}.${randomRef()}.partial`
    const release = await this.#reading.take('a place among the readers', waitMs)
    try {
      this.#checkSound()
      const reader = file === undefined ? this.#writer() : (this.#idle.pop() ?? this.#openReader(file))
      try {
        await patiently('a snapshot', waitMs, () => reader.run('VACUUM INTO ?', partial))
      } finally {
        if (file !== undefined) this.#giveBack(reader)
      }
      publishCopy(partial, path)
    } finally {
      removeCopy(partial)
      release()
    }
  }

  async close(): Promise<void> {
    if (this.#end !== undefined) return
    this.#end = fail('closed', this.name, 'expected an open store, got a closed one', 'open it again')
    const { db, readers, waitMs } = this.#parts
    await this.#writing.take('the last append', waitMs).catch(() => undefined)
    for (let i = 0; i < readers; i++) await this.#reading.take('the last read', waitMs).catch(() => undefined)
    // The writer last: it empties and removes the write-ahead log.
    for (const reader of this.#idle) reader.close()
    db?.close()
    this.#tidy()
  }

  /** SQLite lets a reader make the two files beside the log, but not remove them: whoever only verified evidence should not leave files beside it. */
  #tidy(): void {
    const { file, name, alone = false, access } = this.#parts
    if (file === undefined || !alone || access === 'immutable' || !isWritable(file) || statSync(`${file}-wal`, { throwIfNoEntry: false })?.size !== 0) return
    const last = new Connection(file, 'write', name)
    try {
      last.get('SELECT 1 FROM logs')
    } catch {
      // somebody else has it open now, and removes them when it is done
    } finally {
      last.close()
    }
  }

  #checkOpen(): void {
    if (this.#end !== undefined) throw this.#end
  }

  /** After waiting: `close` lets those finish who asked before it. */
  #checkSound(): void {
    if (this.#end !== undefined && this.#end.code !== 'closed') throw this.#end
  }

  #writer(): Connection {
    const { db, name } = this.#parts
    if (db === undefined) throw fail('read_only', name, 'expected a store that writes, got one opened read-only', 'open it without readOnly')
    return db
  }

  async #within<V extends SqliteView, T>(view: V, fn: (view: V) => Promise<T>): Promise<T> {
    try {
      return await fn(view)
    } finally {
      view.end()
    }
  }

  async #inMemory<T>(fn: (view: StoreView) => Promise<T>): Promise<T> {
    const release = await this.#writing.take('a turn', this.#parts.waitMs)
    try {
      this.#checkSound()
      return await this.#within(new SqliteView(this.#writer(), this.#parts.logId), fn)
    } finally {
      release()
    }
  }

  #openReader(file: string): Connection {
    return openReader(file, this.#parts.access ?? 'read', this.name)
  }

  #giveBack(reader: Connection): void {
    try {
      if (reader.inTransaction) reader.exec('COMMIT')
      if (this.#end === undefined || this.#end.code === 'closed') this.#idle.push(reader)
      else reader.close()
    } catch {
      reader.close() // it only read: a new one takes its place
    }
  }

  #rollback(db: Connection): void {
    try {
      if (db.inTransaction) db.exec('ROLLBACK') // some errors have rolled back already
    } catch (error) {
      this.#poison('ROLLBACK', error)
    }
  }

  #commit(db: Connection): void {
    try {
      db.exec('COMMIT')
    } catch (error) {
      throw this.#poison('COMMIT', error)
    }
  }

  /** After an error of COMMIT this process may see as committed what the disk does not have. */
  #poison(what: string, cause: unknown): StoreError {
    const end = new StoreError('poisoned', `store: ${this.name}: ${what} failed, and whether it took effect is not known: ${cause instanceof Error ? cause.message : String(cause)}`, 'open the store again, verify its tail, and look for each event by its id', { cause })
    this.#end = end
    for (const reader of this.#idle.splice(0)) reader.close()
    this.#parts.db?.close()
    return end
  }

  /** Compares the files with those that were opened: 2 µs, against acknowledging into a file that nobody will find. */
  #checkUnmoved(): void {
    for (const [suffix, code, what] of [['-wal', 'wal_replaced', 'the write-ahead log was'], ['', 'file_replaced', 'the database file was']] as const) {
      if (this.#inode(suffix) === this.#identity[suffix]) continue
      this.#end = new StoreError(code, `store: ${what} replaced under us (${this.name}${suffix})`, 'what was appended last is not acknowledged; find what opened, copied or moved the file, stop it, and open the store again')
      this.#abandon()
      throw this.#end
    }
  }

  /**
   * Lets go without a checkpoint: the last connection to close would copy its orphaned write-ahead log over what others wrote since.
   * A reader cannot, and as long as one is open the writer is not the last.
   */
  #abandon(): void {
    abandoned.push(...this.#idle.splice(0))
    this.#parts.db?.close()
  }

  #inode(suffix: string): string | undefined {
    const { file } = this.#parts
    if (file === undefined) return undefined
    const stat = statSync(`${file}${suffix}`, { bigint: true, throwIfNoEntry: false })
    return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
  }
}
