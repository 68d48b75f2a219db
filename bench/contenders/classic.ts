// The design that many agents have: a connection, an insert and a commit for every event; in Node, and in Python where there is one.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Contender } from '../contender.ts'
import { findMarks, noMarks } from '../load.ts'

const SCHEMA = `CREATE TABLE IF NOT EXISTS audit_events (event_id TEXT PRIMARY KEY, session_id TEXT, agent_id TEXT, timestamp TEXT, event_type TEXT, step_number INTEGER,
  content TEXT, model_id TEXT, system_prompt_hash TEXT, created_at TEXT DEFAULT CURRENT_TIMESTAMP)`

const find: Contender['find'] = async (folder) => {
  const db = new DatabaseSync(join(folder, 'classic.db'))
  const marks = noMarks()
  for (const row of db.prepare('SELECT content FROM audit_events').iterate()) findMarks(String(row['content']), marks)
  db.close()
  return { marks }
}

export const classicNode: Contender = {
  name: 'classic-node', title: 'classic table in Node', kind: 'keeps', durable: true, slow: true, find,
  async open({ folder }) {
    const path = join(folder, 'classic.db')
    const once = new DatabaseSync(path)
    once.exec(SCHEMA)
    once.close()
    const insert = (type: string, session: number, content: unknown): void => {
      const db = new DatabaseSync(path)
      db.prepare('INSERT INTO audit_events (event_id, session_id, agent_id, timestamp, event_type, step_number, content) VALUES (?, ?, ?, ?, ?, ?, ?)')
        .run(crypto.randomUUID(), `s-${session}`, 'bench', new Date().toISOString(), type, 1, JSON.stringify(content))
      db.close()
    }
    return {
      record({ kind, call, result }, session) {
        insert(`${kind}_call`, session, call)
        insert(`${kind}_result`, session, result)
      },
      async settle() {},
      async close() {},
    }
  },
}

/** Measures itself: `classic.py` beside this file. */
export const classicPython: Contender = {
  name: 'classic-python', title: 'classic table in Python', kind: 'keeps', durable: true, slow: true, find, program: ['python3', join(import.meta.dirname, 'classic.py')],
}

/** Python's version; undefined where there is none. */
export function pythonVersion(): string | undefined {
  const { status, stdout } = spawnSync('python3', ['--version'], { encoding: 'utf8' })
  return status === 0 ? stdout.trim().replace('Python ', '') : undefined
}
