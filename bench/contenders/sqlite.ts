// The yardstick: the same bytes into one table by `node:sqlite`, in batches of 1,000, WAL, synchronous=FULL, and nothing else.

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Contender } from '../contender.ts'
import { findMarks, noMarks } from '../load.ts'

const BATCH = 1_000

export const bareSqlite: Contender = {
  name: 'sqlite', title: 'node:sqlite in batches', kind: 'keeps', durable: true,
  async open({ folder, sessions }) {
    const db = new DatabaseSync(join(folder, 'bare.db'))
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE e (id INTEGER PRIMARY KEY, body TEXT)')
    const insert = db.prepare('INSERT INTO e (body) VALUES (?)')
    let open = 0
    const commit = (): void => {
      if (open > 0) db.exec('COMMIT')
      open = 0
    }
    const put = (event: unknown): void => {
      if (open === 0) db.exec('BEGIN')
      insert.run(JSON.stringify(event))
      if (++open === BATCH) commit()
    }
    // the start of a session is an event too; so no number of acts fills batches exactly by chance
    for (let i = 0; i < sessions; i++) put({ session: i, event: 'session_start' })
    return {
      record({ call, result }) {
        put(call)
        put(result)
      },
      settle: async () => commit(),
      async close() {
        commit()
        db.close()
      },
    }
  },
  async find(folder) {
    const db = new DatabaseSync(join(folder, 'bare.db'))
    const marks = noMarks()
    for (const row of db.prepare('SELECT body FROM e').iterate()) findMarks(String(row['body']), marks)
    db.close()
    return { marks }
  },
}
