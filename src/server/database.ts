// The server's own database: who may do what, and what is not an event. One SQLite file beside the trail, readable by its owner only. Each noun's
// file brings its own tables.

import { chmodSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { StoreError } from '../base/errors.ts'
import { nodeSqlite } from '../store/node-sqlite.ts'

export type Database = InstanceType<ReturnType<typeof nodeSqlite>['DatabaseSync']>

/** Where a server keeps what is its own: beside its trail. */
export function dataFolder(trail: string): string {
  return `${trail}.server`
}

/** Opens `people.db` in `folder`, which is made where it is missing (0700). `tables` are statements that may run again. */
export function openDatabase(folder: string, tables: readonly string[]): Database {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, 'people.db')
  const fresh = !existsSync(path)
  const mask = process.umask(0o077)
  try {
    const database = new (nodeSqlite().DatabaseSync)(path, { timeout: 5_000 })
    if (fresh) chmodSync(path, 0o600)
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON')
    for (const table of tables) database.exec(table)
    return database
  } catch (cause) {
    throw new StoreError('people_unreadable', `server: ${path} does not open: ${(cause as Error).message}`, 'restore it from a copy, or move it away: the next start makes a new one and prints a new first key', { cause })
  } finally {
    process.umask(mask)
  }
}

/** Runs `change` in a transaction: all of it or nothing. */
export function transact<T>(database: Database, change: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const done = change()
    database.exec('COMMIT')
    return done
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}
