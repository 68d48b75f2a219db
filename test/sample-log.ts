// Logs for attacks: small real ones on a disk, made through a ledger without its worker, and their closed files changed by another hand.

import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { toBase64, utf8 } from '../src/base/bytes.ts'
import { canonicalJson } from '../src/base/canonical-json.ts'
import { formatTime } from '../src/base/clock.ts'
import { ed25519Key, signEd25519 } from '../src/base/ed25519-key.ts'
import { randomRef, uuidv7 } from '../src/base/ids.ts'
import type { Draft, DraftPayload } from '../src/event/draft.ts'
import type { Entry } from '../src/event/entry.ts'
import { encodeSession, firstPrev, foldSession, type SessionState } from '../src/event/session.ts'
import { Ledger } from '../src/ledger/ledger.ts'
import { evidenceOf, partEvidenceOf } from '../src/ledger/evidence.ts'
import { signCheckpoint } from '../src/log/checkpoint.ts'
import { leafHash, type Hash } from '../src/log/hash.ts'
import { ED25519, formatVerifierKey, verifierKey, type NoteSigner } from '../src/log/note.ts'
import { TreeEdge, type FullTile } from '../src/log/tree.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { parseSigningKey } from '../src/vault/key-text.ts'
import { keyringFolder, openKeyring } from '../src/vault/keyring.ts'
import { Part } from '../src/verify/part.ts'
import type { Verdict } from '../src/verify/verdict.ts'
import { verifyLog, verifyParts, type VerifyOptions } from '../src/verify/verify.ts'

/** The keys of a log; here for tests of rooms that may not know the vault. */
export { openKeyring }

/** Where one log lies: the database, the keys, the spools. */
export interface Place { readonly folder: string; readonly db: string; readonly home: string }

export function place(folder: string): Place {
  mkdirSync(folder, { recursive: true })
  return { folder, db: join(folder, 'log.db'), home: join(folder, 'home') }
}

/** A folder that goes when the test file ends. */
export function scratch(): { readonly folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-'))
  process.env['COUNTERFOIL_HOME'] = join(folder, 'no-home')
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** A clock that goes on by 10 ms each time it is asked. */
export function steppingClock(start: number = Date.UTC(2026, 10, 21, 8)): { (): number; at: number } {
  const clock = (): number => (clock.at += 10)
  clock.at = start
  return clock
}

export interface LogOptions { readonly clock?: () => number; readonly waitMs?: number; readonly spools?: { folder: string; key: Uint8Array }; readonly report?: (problem: Error) => void }

export function openLog({ db, home }: Place, options: LogOptions = {}): Promise<Ledger> {
  const { waitMs = 2_000, clock = steppingClock(), ...rest } = options
  return Ledger.open({ open: () => openSqliteStore(db, { waitMs }), home, clock, ...rest })
}

export function text(content: string, more: Partial<DraftPayload> = {}): DraftPayload {
  return { m: 'text', content, ...more }
}
export function json(value: unknown, more: Partial<DraftPayload> = {}): DraftPayload {
  return { m: 'json', content: JSON.stringify(value), ...more }
}

/** One recorder's part of a session: drafts in order, each with its place in the stream. */
export class Telling {
  readonly session_id: string
  readonly stream: string = randomRef()
  seq = 0
  #ms: number

  constructor(session_id?: string, ms: number = Date.UTC(2026, 10, 21, 8)) {
    this.session_id = session_id ?? uuidv7(ms)
    this.#ms = ms
  }

  draft(event_type: Draft['event_type'], facts: Draft['facts'] = {}, payloads: Draft['payloads'] = {}, more: Partial<Draft> = {}): Draft {
    this.#ms += 7
    return { event_id: uuidv7(this.#ms), event_type, session_id: this.session_id, stream: this.stream, stream_seq: this.seq++, timestamp: formatTime(this.#ms), capture: 'before', facts, payloads, ...more }
  }
}

export function handed(...drafts: readonly Draft[]): { draft: Draft; writer: string }[] {
  return drafts.map((draft) => ({ draft, writer: 'local' }))
}

/** A whole run: start, two model calls on a growing list, a tool call under an approval, its result, and the end. 11 events with `end`, of which each has its id by name. */
export function run(tell: Telling, about: { readonly user: string; readonly order: string; readonly end?: boolean; readonly parent?: string }): { drafts: Draft[]; named: { [name: string]: Draft } } {
  const { user, order } = about
  const named: { [name: string]: Draft } = {}
  const add = (name: string, draft: Draft): Draft => (named[name] = draft)
  add('start', tell.draft('session_start', { agent_id: 'support-bot', agent_version: '1.4.0', ...(about.parent === undefined ? {} : { parent_session_id: about.parent, root_session_id: about.parent }) }, {
    identity: json({ subject: user, role: 'user' }), user_message: text(`Where is my refund for order ${order}?`), system_prompt: text('You are a careful support agent. Policy 4.2 allows refunds under 50 euro.'),
  }))
  add('call', tell.draft('llm_call', { provider: 'anthropic', model_id: 'claude-opus-4-6' }, {
    input_messages: { add: [json({ role: 'user', content: `Where is my refund for order ${order}?` })] }, system_prompt: { same: named['start']!.event_id },
  }))
  add('result', tell.draft('llm_result', { stop_reason: 'tool_use', input_tokens: 120, output_tokens: 31 }, { output: { add: [json({ type: 'text', text: `I look order ${order} up for ${user}.` })] } }, { parent_event_id: named['call']!.event_id, capture: 'after', outcome: 'success' }))
  add('reason', tell.draft('reasoning', { kind: 'model_reported', form: 'full' }, { text: text(`The customer ${user} asks for a refund.`) }, { capture: 'after' }))
  add('call2', tell.draft('llm_call', { provider: 'anthropic', model_id: 'claude-opus-4-6' }, {
    input_messages: { base: named['call']!.event_id, keep: 1, add: [json({ role: 'assistant', content: `I look order ${order} up for ${user}.` }), json({ role: 'user', content: 'Please hurry.' })] },
  }))
  add('result2', tell.draft('llm_result', { stop_reason: 'tool_use', input_tokens: 160, output_tokens: 12 }, { output: { add: [json({ type: 'tool_use', name: 'refund', input: { order_id: order, amount: 42 } })] } }, { parent_event_id: named['call2']!.event_id, capture: 'after', outcome: 'success' }))
  add('request', tell.draft('approval_request', { tool_name: 'refund', risk: 'high' }, { tool_input: json({ order_id: order, amount: 42 }) }))
  return { drafts: Object.values(named), named }
}

/** Appends a run; the decision names its request by entry hash, so it comes in two parts. */
export async function appendRun(ledger: Ledger, tell: Telling, about: Parameters<typeof run>[1]): Promise<{ [name: string]: Draft }> {
  const { drafts, named } = run(tell, about)
  await appendAll(ledger, drafts)
  const request = (await ledger.find(named['request']!.event_id))!.entry_hash
  const decision = tell.draft('approval_decision', { request, decision: 'approved', approver: randomRef(), assurance: 'terminal' }, { identity: json({ subject: 'lead-2', role: 'approver' }) }, { capture: 'after' })
  const call = tell.draft('tool_call', { tool_name: 'refund', risk: 'high', requires_approval: true }, { tool_input: { same: named['request']!.event_id } }, { links: { approval: decision.event_id } })
  const result = tell.draft('tool_result', { tool_name: 'refund', execution_time_ms: 893 }, { tool_output: json({ status: 'refunded', order: about.order }) }, { parent_event_id: call.event_id, capture: 'after', outcome: 'success' })
  const end = about.end === false ? [] : [tell.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' })]
  await appendAll(ledger, [decision, call, result, ...end])
  return { ...named, decision, call3: call, result3: result, ...(end[0] === undefined ? {} : { end: end[0] }) }
}

export async function appendAll(ledger: Ledger, drafts: readonly Draft[]): Promise<void> {
  for (const answer of await ledger.append(handed(...drafts))) if ('refused' in answer) throw new Error(answer.refused.message)
}

/** Four sessions, 45 entries: two ended, one open, one ended and resumed. */
export async function smallLog(where: Place): Promise<{ sessions: string[]; size: number }> {
  const ledger = await openLog(where)
  const tells = [new Telling(), new Telling(undefined, Date.UTC(2026, 10, 21, 8, 1)), new Telling(undefined, Date.UTC(2026, 10, 21, 8, 2)), new Telling(undefined, Date.UTC(2026, 10, 21, 8, 3))]
  await appendRun(ledger, tells[0]!, { user: 'ingrid.maximova', order: '1182' })
  await appendRun(ledger, tells[1]!, { user: 'jonas.weidenfeld', order: '2045' })
  await appendRun(ledger, tells[2]!, { user: 'petra.quandt', order: '3307', end: false })
  await appendRun(ledger, tells[3]!, { user: 'ingrid.maximova', order: '4419' })
  const spool = randomRef()
  const late = [tells[3]!.draft('session_resume', { reason: 'resumed' }), tells[3]!.draft('final_output', {}, { output: text('Your refund is on its way, Ingrid.') })]
  await ledger.append(handed(...late).map((each) => ({ ...each, stream: { spool, owner: '{"pid":4711}' } })), { id: spool, offset: 1_024 })
  const size = (await ledger.read((view) => view.head()))!.size
  await ledger.close()
  return { sessions: tells.map(({ session_id }) => session_id), size }
}

/** A copy of a closed log, keys and all. */
export function copyOf(from: Place, folder: string): Place {
  rmSync(folder, { recursive: true, force: true })
  cpSync(from.folder, folder, { recursive: true, preserveTimestamps: true })
  const copy = place(folder)
  for (const log of readdirSync(copy.home)) chmodSync(join(copy.home, log), 0o700) // cpSync forgets the modes of folders
  return copy
}

/** Runs statements on a closed log as somebody with write access would: triggers dropped for the moment, so that the schema is the right one afterwards. */
export function tamper({ db }: Place, change: (sql: (statement: string, ...values: SQLInputValue[]) => { [column: string]: unknown }[]) => void): void {
  using database = new DatabaseSync(db)
  database.exec('PRAGMA synchronous = OFF')
  const triggers = database.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").all() as { name: string; sql: string }[]
  for (const { name } of triggers) database.exec(`DROP TRIGGER ${name}`)
  change((statement, ...values) => database.prepare(statement).all(...values))
  for (const { sql } of triggers) database.exec(sql)
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
}

export interface Looking extends VerifyOptions {
  /** `keys`: this machine's; `none`: an onlooker without any. */
  readonly who?: 'keys' | 'none'
  readonly vkey?: string
  /** Reads the log in so many parts, as threads do. */
  readonly of?: number
}

/** Verifies a closed log. */
export async function verifyAt({ db, home }: Place, { who = 'keys', vkey, of, ...options }: Looking = {}): Promise<Verdict> {
  const store = await openSqliteStore(db, { readOnly: true })
  try {
    return await store.read(async (view) => {
      const keyring = who === 'none' ? undefined : openKeyring(originAt({ db }), home)
      const evidence = await evidenceOf(view, keyring, vkey)
      const { origin, restored } = evidence
      const parts = of === undefined ? undefined : Array.from({ length: of }, (_, n) => new Part(partEvidenceOf(view, keyring, origin, { n, of, ...(restored === undefined ? {} : { restored }) }), { n, of }))
      return parts === undefined ? verifyLog(evidence, options) : verifyParts(evidence, parts, options)
    })
  } finally {
    await store.close()
  }
}

const origins = new Map<string, string>()

/** The log's name, out of its first entry, which may be changed later. */
export function originAt({ db }: Pick<Place, 'db'>): string {
  const known = origins.get(db)
  if (known !== undefined) return known
  using database = new DatabaseSync(db, { readOnly: true })
  const origin = String((database.prepare('SELECT checkpoint FROM heads').get() as { checkpoint: string }).checkpoint.split('\n')[0])
  origins.set(db, origin)
  return origin
}

/** `originAt` answers for a copy what it answers for the original. */
export function sameOrigin(original: Place, copy: Place): Place {
  origins.set(copy.db, originAt(original))
  return copy
}

export interface Signing { readonly vkey: string; readonly signer: NoteSigner }

/** The signing key in the folder of a log, as a thief could have it before a rotation destroys it. */
export function signingKey({ db, home }: Place): Signing {
  const origin = originAt({ db })
  const path = keyringFolder(origin, home)
  const vkey = readFileSync(join(path, 'log.pub'), 'utf8').trim()
  const file = readdirSync(path).find((name) => name === `log-${vkey.split('+')[1]}.key`) ?? 'log.key'
  const { pair, verifier } = parseSigningKey(readFileSync(join(path, file), 'utf8'), origin)
  return { vkey, signer: { name: verifier.name, keyId: verifier.keyId, sign: (message) => signEd25519(pair, message) } }
}

/** A key of the log's name that the log never had. */
export function strangeKey(origin: string, seed = 7): Signing {
  const pair = ed25519Key(new Uint8Array(32).fill(seed))
  const verifier = verifierKey(origin, ED25519, pair.publicKey)
  return { vkey: formatVerifierKey(verifier), signer: { name: origin, keyId: verifier.keyId, sign: (message) => signEd25519(pair, message) } }
}

/** What the key holder could do: the entries changed, then counted, chained, hashed and signed again, with every derived row of the log made new. */
export function forge(where: Place, edit: (entries: Writable<Entry>[]) => Writable<Entry>[] | void, more: { readonly signer?: NoteSigner; readonly keepOrder?: boolean; /** changes an entry in its place, over the root of those before */ readonly amend?: (entry: Writable<Entry>, before: () => Hash) => void; /** the log that sessions claim to begin in */ readonly firstPrevOf?: string } = {}): void {
  const origin = originAt(where)
  const keyring = openKeyring(origin, where.home)
  tamper(where, (sql) => {
    const before = sql('SELECT entry FROM entries ORDER BY idx').map(({ entry }) => JSON.parse(new TextDecoder().decode(entry as Uint8Array)) as Writable<Entry>)
    const hashes = new Map(before.map((entry) => [entry.event_id, toBase64(leafHash(utf8(canonicalJson(entry as never))))]))
    const entries = edit(before) ?? before
    const states = new Map<string, SessionState>()
    const edge = new TreeEdge()
    const rows: Uint8Array[] = []
    const tiles: FullTile[] = []
    const renamed = new Map<unknown, string>()
    for (const [index, entry] of entries.entries()) {
      const state = states.get(entry.session_id)
      const request = renamed.get(entry.facts['request'])
      if (request !== undefined) entry.facts = { ...entry.facts, request }
      if (more.keepOrder !== true) Object.assign(entry, { index, seq: state?.next_seq ?? 0, prev: state?.prev ?? firstPrev(more.firstPrevOf ?? origin, entry.session_id) })
      more.amend?.(entry, () => edge.root())
      const bytes = utf8(canonicalJson(entry as never))
      const hash = leafHash(bytes)
      renamed.set(hashes.get(entry.event_id), toBase64(hash)) // a decision names its request by hash
      rows.push(bytes)
      tiles.push(...edge.append([hash]))
      states.set(entry.session_id, foldSession(state, entry, toBase64(hash)))
    }
    for (const table of ['entries', 'tiles', 'sessions', 'heads']) sql(`DELETE FROM ${table}`)
    for (const [index, bytes] of rows.entries()) sql('INSERT INTO entries (log_id, idx, entry) VALUES (1, ?, ?)', index, bytes)
    for (const { level, index, bytes } of tiles) sql('INSERT INTO tiles (log_id, level, n, hashes) VALUES (1, ?, ?, ?)', level, index, bytes)
    for (const [id, state] of states) sql('INSERT INTO sessions (log_id, session_id, summary) VALUES (1, ?, ?)', id, encodeSession(state))
    const checkpoint = signCheckpoint({ origin, size: rows.length, root: edge.root() }, [more.signer ?? keyring.signer()])
    sql('INSERT INTO heads (log_id, size, checkpoint) VALUES (1, ?, ?)', rows.length, checkpoint)
  })
}

export type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** The state folder without what the machine remembers of having looked. */
export function forget(where: Place): Place {
  for (const log of readdirSync(where.home)) for (const name of ['head', 'proved']) rmSync(join(where.home, log, name), { force: true })
  return where
}
