// A large log of small payloads for measurements of reading: many short sessions and one long one, through the real ledger. The same seed
// gives the same events; salts and keys are new each time.
//
//   node bench/large-log.ts FOLDER [EVENTS]      goes on where it ended, so that it may be made in pieces

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatTime } from '../src/base/clock.ts'
import type { Draft, DraftPayload } from '../src/event/draft.ts'
import { Ledger } from '../src/ledger/ledger.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'

/** Where a log lies: the database and the state folder with its keys. */
export interface LargeLog { readonly db: string; readonly home: string }

/** How many sessions are written at once, and how many events a short one has. */
const OPEN = 40
const SESSION_EVENTS = 50
const BATCH = 1_000
/** One event of so many belongs to the long session. */
const LONG_EVERY = 10
const START = Date.UTC(2026, 10, 21, 8)
const AGENTS = ['support-bot', 'invoice-bot', 'research-bot', 'ops-bot']
const TOOLS = ['lookup_order', 'search_mail', 'refund', 'read_file', 'send_mail']

export function largeLog(folder: string): LargeLog {
  return { db: join(folder, 'large.db'), home: join(folder, 'home') }
}

/** Appends `events` events to the log in `folder`, at most `within` ms of work at a time; resolves with how many are there. */
export async function growLargeLog(folder: string, events: number, { seed = 1, within = Infinity }: { seed?: number; within?: number } = {}): Promise<number> {
  mkdirSync(folder, { recursive: true })
  const { db, home } = largeLog(folder)
  const mark = join(folder, 'events')
  const done = existsSync(mark) ? Number(readFileSync(mark, 'utf8')) : 0
  const drafts = new LargeLoad(seed)
  drafts.skip(done)
  let at = START + done * 3
  const ledger = await Ledger.open({ open: () => openSqliteStore(db), home, clock: () => (at += 3) })
  const began = performance.now()
  let written = done
  try {
    while (written < events && performance.now() - began < within) {
      const batch = Array.from({ length: Math.min(BATCH, events - written) }, () => ({ draft: drafts.next(), writer: 'local' }))
      const answers = await ledger.append(batch)
      const refused = answers.find((answer) => 'refused' in answer)
      if (refused !== undefined) throw new Error(`large log: an event was refused: ${JSON.stringify(refused)}`)
      written += batch.length
    }
  } finally {
    await ledger.close()
    writeFileSync(mark, String(written))
  }
  return written
}

/** The events in order: of the long session every tenth, of `OPEN` short ones in turn the others. */
export class LargeLoad {
  /** The session that gets a tenth of all events. */
  readonly long: string
  readonly #seed: number
  #made = 0
  readonly #tells: Tell[] = []
  readonly #longTell: Tell
  #sessions = 0

  constructor(seed = 1) {
    this.#seed = seed
    this.long = idOf(START, seed, 0, 1)
    this.#longTell = new Tell(this.long, seed, 0, Infinity)
  }

  skip(count: number): void {
    for (let i = 0; i < count; i++) this.next()
  }

  next(): Draft {
    const n = this.#made++
    const ms = START + n * 3
    if (n % LONG_EVERY === 0) return this.#longTell.next(ms)
    const slot = n % OPEN
    let tell = this.#tells[slot]
    if (tell === undefined || tell.ended) {
      const session = ++this.#sessions
      this.#tells[slot] = tell = new Tell(idOf(ms, this.#seed, session, 1), this.#seed, session, SESSION_EVENTS)
    }
    return tell.next(ms)
  }
}

/** One session's events: a start, turns of a model call, its answer, a tool call and its result, and an end. */
class Tell {
  ended = false
  readonly #session_id: string
  readonly #seed: number
  readonly #session: number
  readonly #length: number
  #seq = 0
  #call = ''
  #messages = ''
  #kept = 0

  constructor(session_id: string, seed: number, session: number, length: number) {
    this.#session_id = session_id
    this.#seed = seed
    this.#session = session
    this.#length = length
  }

  next(ms: number): Draft {
    const seq = this.#seq++
    const tool_name = TOOLS[(this.#session + Math.floor(seq / 4)) % TOOLS.length]!
    if (seq === 0) {
      return this.#draft(ms, seq, 'session_start', { agent_id: AGENTS[this.#session % AGENTS.length]!, agent_version: '1.4.0', model_id: 'claude-opus-4-6' }, {
        identity: json({ subject: `user-${this.#session % 500}`, role: 'user' }), user_message: text(`Where is order ${this.#session}?`),
      })
    }
    if (seq === this.#length - 1) {
      this.ended = true
      return this.#draft(ms, seq, 'session_end', { reason: 'done' }, {}, { outcome: 'success' })
    }
    switch (seq % 4) {
      case 1: {
        // what is said grows; every twelfth call begins anew, as an agent that summarises does
        const anew = this.#messages === '' || seq % 48 === 1
        const draft = this.#draft(ms, seq, 'llm_call', { provider: 'anthropic', model_id: 'claude-opus-4-6' }, {
          input_messages: anew ? { add: [json({ role: 'user', content: `Step ${seq} of ${this.#session}` })] } : { base: this.#messages, keep: this.#kept, add: [json({ role: 'user', content: `Step ${seq} of ${this.#session}` })] },
        })
        this.#kept = anew ? 1 : this.#kept + 1
        this.#messages = this.#call = draft.event_id
        return draft
      }
      case 2:
        return this.#draft(ms, seq, 'llm_result', { stop_reason: 'tool_use', input_tokens: 120 + seq % 50, output_tokens: 31, latency_ms: 812 }, { output: { add: [json({ type: 'tool_use', name: tool_name, input: { order_id: String(this.#session * 31 + seq) } })] } }, { parent_event_id: this.#call, capture: 'after', outcome: 'success' })
      case 3: {
        const draft = this.#draft(ms, seq, 'tool_call', { tool_name, risk: 'low' }, { tool_input: json({ order_id: String(this.#session * 31 + seq - 1) }) })
        this.#call = draft.event_id
        return draft
      }
      default:
        return this.#draft(ms, seq, 'tool_result', { tool_name, execution_time_ms: 29 }, { tool_output: json({ status: 'sent', amount: seq % 90 }) }, { parent_event_id: this.#call, capture: 'after', outcome: 'success' })
    }
  }

  #draft(ms: number, seq: number, event_type: Draft['event_type'], facts: Draft['facts'], payloads: Draft['payloads'], more: Partial<Draft> = {}): Draft {
    return { event_id: idOf(ms, this.#seed, this.#session, seq + 2), event_type, session_id: this.#session_id, stream: hex(this.#seed, 8) + hex(this.#session, 24), stream_seq: seq, timestamp: formatTime(ms), capture: 'before', facts, payloads, ...more }
  }
}

function json(value: unknown): DraftPayload {
  return { m: 'json', content: JSON.stringify(value) }
}
function text(content: string): DraftPayload {
  return { m: 'text', content }
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')

/** A UUIDv7 of that moment whose other digits are no random ones. */
function idOf(ms: number, seed: number, session: number, n: number): string {
  const time = hex(ms, 12)
  const rest = hex(session, 7) + hex(n, 8)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(seed % 4096, 3)}-8${rest.slice(0, 3)}-${rest.slice(3)}`
}

if (import.meta.main) {
  const [folder, events = '1000000'] = process.argv.slice(2)
  if (folder === undefined) throw new Error('large log: name a folder')
  const began = performance.now()
  const written = await growLargeLog(folder, Number(events), { within: Number(process.env['WITHIN_MS'] ?? Infinity) })
  console.log(`${written} events, ${((performance.now() - began) / 1_000).toFixed(1)} s, ${(process.cpuUsage().user / 1e6).toFixed(1)} s user`)
}
