// What an intruder with write access to the database could do, done to closed copies: and who notices.

import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { VerifyError } from '../../base/errors.ts'
import type { CliTrail } from '../api.ts'

/** Who verifies: the machine that ran the agent, or one that has the keys and has never looked at this trail. */
export type Onlooker = 'this' | 'new'

/** What somebody found out. `where` is the first bad index. */
export interface Outcome { readonly caught: boolean; readonly where?: number; readonly says: string }

export interface Tampering {
  readonly what: string
  readonly outcomes: { readonly [who in Onlooker]: Outcome }
  /** whether each onlooker should have caught it */
  readonly expected: { readonly [who in Onlooker]: boolean }
}

/**
 * Changes one digit of the time in the entry of `event_id`: one byte of the file, and the entry is still well formed. Returns the
 * changed text.
 */
export function changeOneByte(file: string, event_id: string): { before: string; after: string } {
  const bytes = readFileSync(file)
  const name = '"timestamp":"'
  let change: { before: string; after: string } | undefined
  // SQLite leaves copies of rows in pages that it split: all of them are changed, the one that counts among them.
  for (let entry = -1; (entry = bytes.indexOf(`"event_id":"${event_id}"`, entry + 1)) >= 0; ) {
    const start = bytes.indexOf(name, entry) + name.length
    const minute = start + 15 // 2026-11-21T08:0·0
    const before = bytes.toString('latin1', start, start + 19)
    bytes[minute] = bytes[minute] === 0x30 ? 0x31 : 0x30
    change = { before, after: bytes.toString('latin1', start, start + 19) }
  }
  if (change === undefined) throw new Error(`demo: the entry of ${event_id} is not in ${file}`)
  writeFileSync(file, bytes)
  return change
}

/** Deletes the entry `index`, as whoever has the file can: the triggers that refuse it are dropped first. */
export function deleteEntry(file: string, index: number): void {
  edit(file, (database) => database.prepare('DELETE FROM entries WHERE idx = ?').run(index))
}

/** Deletes all entries from `size` on. */
export function cutTail(file: string, size: number): void {
  edit(file, (database) => database.prepare('DELETE FROM entries WHERE idx >= ?').run(size))
}

function edit(file: string, change: (database: DatabaseSync) => void): void {
  using database = new DatabaseSync(file)
  const triggers = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all()
  for (const { name } of triggers) database.exec(`DROP TRIGGER "${String(name)}"`)
  change(database)
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
}

/** The state folder of a machine that has the keys of `home` and has never looked: what this one remembers is left out. */
export function neverLooked(home: string, to: string): string {
  rmSync(to, { recursive: true, force: true })
  cpSync(home, to, { recursive: true, preserveTimestamps: true })
  chmodSync(to, 0o700)
  for (const log of readdirSync(to, { withFileTypes: true })) {
    if (!log.isDirectory()) continue
    chmodSync(join(to, log.name), 0o700) // a copied folder takes the umask's mode
    for (const memory of ['head', 'proved']) rmSync(join(to, log.name, memory), { force: true })
  }
  return to
}

/** Verifies the trail that `open` opens. A trail that refuses to open because of what is wrong with it was caught too. */
export async function look(open: () => Promise<CliTrail>): Promise<Outcome> {
  try {
    const trail = await open()
    try {
      const { whole, properties } = await trail.verify({})
      const failed = Object.values(properties).filter(({ status }) => status === 'failed')
      // The entries themselves say best where; what is derived from them may point at a neighbour.
      const where = properties.unchanged.first_bad_index ?? failed.map(({ first_bad_index }) => first_bad_index ?? Infinity).reduce((a, b) => Math.min(a, b), Infinity)
      return { caught: !whole, says: failed.map(({ says }) => says).join('; '), ...(where === Infinity ? {} : { where }) }
    } finally {
      await trail.close()
    }
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error
    return { caught: true, says: error.message, ...(error.first_bad_index === undefined ? {} : { where: error.first_bad_index }) }
  }
}
