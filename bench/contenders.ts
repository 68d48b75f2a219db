// Who is measured: each opens in a folder of its own, records pairs, and says when they are durable.

import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { pino } from 'pino'
import { openTrail } from '../src/index.ts'
import type { Pair } from './load.ts'

export interface Contender {
  readonly name: string
  /** What an event costs to lose: said beside the figures. */
  readonly keeps: string
  open(folder: string): Promise<Recorder>
}

export interface Recorder {
  /** Records one pair; what the caller waits for. */
  record(pair: Pair): void
  /** Resolves when everything recorded has reached the disk. */
  durable(): Promise<void>
  close(): Promise<void>
}

export const counterfoil: Contender = {
  name: 'counterfoil',
  keeps: 'every ending of the process; durable: power cut',
  async open(folder) {
    const trail = openTrail(join(folder, 'audit.db'), { agent_id: 'bench', home: join(folder, 'home') })
    const session = await trail.start({ user_id: 'c-1' })
    return {
      record({ call, result }) {
        session.record('llm_call', call)
        session.record('llm_result', result)
      },
      durable: () => trail.flush(),
      close: async () => {
        await session.end({ outcome: 'success' })
        await trail.close()
      },
    }
  },
}

/** pino to a file, each line written before the call returns. */
export const pinoSync: Contender = {
  name: 'pino, sync file',
  keeps: 'every ending of the process',
  async open(folder) {
    const destination = pino.destination({ dest: join(folder, 'log.jsonl'), sync: true })
    const logger = pino(destination)
    return {
      record({ call, result }) {
        logger.info({ event: 'llm_call', ...call })
        logger.info({ event: 'llm_result', ...result })
      },
      async durable() {
        destination.flushSync()
      },
      async close() {
        destination.end()
      },
    }
  },
}

/** pino with its 4 KB buffer. */
export const pinoAsync: Contender = {
  name: 'pino, async file',
  keeps: 'loses its buffer on SIGKILL',
  async open(folder) {
    const destination = pino.destination({ dest: join(folder, 'log.jsonl'), sync: false, minLength: 4096 })
    await new Promise<void>((resolve) => destination.once('ready', resolve))
    const logger = pino(destination)
    return {
      record({ call, result }) {
        logger.info({ event: 'llm_call', ...call })
        logger.info({ event: 'llm_result', ...result })
      },
      async durable() {
        destination.flushSync()
      },
      async close() {
        destination.end()
      },
    }
  },
}

const CLASSIC = `CREATE TABLE IF NOT EXISTS audit_events (event_id TEXT PRIMARY KEY, session_id TEXT, agent_id TEXT, timestamp TEXT, event_type TEXT, step_number INTEGER,
  content TEXT, model_id TEXT, system_prompt_hash TEXT, created_at TEXT DEFAULT CURRENT_TIMESTAMP)`

/** The classic design: a connection, an insert and a commit for every event. */
export const classic: Contender = {
  name: 'classic, a connection per event',
  keeps: 'power cut',
  async open(folder) {
    const path = join(folder, 'classic.db')
    const once = new DatabaseSync(path)
    once.exec(CLASSIC)
    once.close()
    const insert = (type: string, content: unknown): void => {
      const db = new DatabaseSync(path)
      db.prepare('INSERT INTO audit_events (event_id, session_id, agent_id, timestamp, event_type, step_number, content) VALUES (?, ?, ?, ?, ?, ?, ?)')
        .run(crypto.randomUUID(), 's', 'bench', new Date().toISOString(), type, 1, JSON.stringify(content))
      db.close()
    }
    return {
      record({ call, result }) {
        insert('llm_call', call)
        insert('llm_result', result)
      },
      async durable() {},
      async close() {},
    }
  },
}

/** The yardstick: the same bytes into one table, batches of 1,000, WAL, synchronous=FULL, nothing else. */
export const bareSqlite: Contender = {
  name: 'bare node:sqlite, batches of 1,000',
  keeps: 'power cut, after its batch',
  async open(folder) {
    const db = new DatabaseSync(join(folder, 'bare.db'))
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE e (id INTEGER PRIMARY KEY, body TEXT)')
    const insert = db.prepare('INSERT INTO e (body) VALUES (?)')
    let open = 0
    const flush = (): void => {
      if (open > 0) db.exec('COMMIT')
      open = 0
    }
    const put = (event: unknown): void => {
      if (open === 0) db.exec('BEGIN')
      insert.run(JSON.stringify(event))
      if (++open === 1_000) flush()
    }
    return {
      record({ call, result }) {
        put(call)
        put(result)
      },
      async durable() {
        flush()
      },
      async close() {
        flush()
        db.close()
      },
    }
  },
}
