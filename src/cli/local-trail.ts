// A trail in a file, as the commands use it: read without being changed, or opened as a ledger where a command writes.

import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { sha256Hex } from '#crypto'
import { writableFolder } from '../archive/folder.ts'
import { writeArchive } from '../archive/write.ts'
import { MisuseError, StoreError } from '../base/errors.ts'
import { decisionDraft, stopDrafts, type Person } from '../event/deciding.ts'
import type { Draft } from '../event/draft.ts'
import { defaultMasks } from '../event/mask.ts'
import { parseEntry } from '../event/parse.ts'
import type { SessionSummary } from '../event/public.ts'
import type { ViewEvent } from '../event/view.ts'
import { classicRows } from '../event/views.ts'
import { ApprovalReader, type ShownApproval } from '../ledger/approvals.ts'
import { backUp } from '../ledger/backup.ts'
import { exportBundle } from '../ledger/bundle.ts'
import { extentOf } from '../ledger/content-extent.ts'
import { cosign, cosignedAt } from '../ledger/cosign.ts'
import { KEK_LIFE_MS, Ledger, type EraseOrder } from '../ledger/ledger.ts'
import { proofOf } from '../ledger/proof.ts'
import { keyChainOf } from '../ledger/keys.ts'
import { LogReader } from '../ledger/reader.ts'
import { loadSigner } from '../ledger/signer-module.ts'
import { setbackIn } from '../ledger/standing.ts'
import { verifyStore } from '../ledger/verification.ts'
import { parseTreeHead } from '../log/checkpoint.ts'
import { parseNote } from '../log/note.ts'
import { findingDraft, MONITOR } from '../monitor/finding.ts'
import type { Store } from '../store/contract.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import { openKept, openKeyring, type KeptKeys, type Keyring } from '../vault/keyring.ts'
import { stateHome } from '../vault/paths.ts'
import { openSpoolKey } from '../vault/spool-key.ts'
import { archiveSource } from './archive-source.ts'
import type { CliTrail, EraseTarget, EventQuery, KeyReport, OpenMode, SessionQuery, SqlResult, TrailStatus } from './api.ts'
import { deadSpoolsOf, reportSpools } from './spools.ts'

const PAGE = 500

/** What opens the keys: `ask` is for a person at a terminal, undefined when the question is left; `signer` is the URL of a module. */
export interface Secrets { readonly passphrase?: string; readonly signer?: string; readonly ask?: () => Promise<string | undefined> }

/** Opens the trail at `path`. Reading without the log's keys shows facts, and no content. */
export async function openLocalTrail(path: string, mode: OpenMode, home: string = stateHome(), secrets: Secrets = {}): Promise<CliTrail> {
  try {
    return await openWith(path, mode, home, secrets)
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'passphrase_needed' || secrets.ask === undefined) throw error
    const { ask, ...given } = secrets
    const passphrase = await ask()
    if (passphrase === undefined && mode !== 'read') throw error
    return openWith(path, mode, home, passphrase === undefined ? given : { ...given, passphrase })
  }
}

async function openWith(path: string, mode: OpenMode, home: string, secrets: Secrets): Promise<CliTrail> {
  if (mode !== 'read' || deadSpoolsOf(path).length > 0) {
    try {
      return await openWriting(path, mode, home, secrets)
    } catch (error) {
      // What a dead process left in its spool waits for a machine that can write; reading must not fail for it.
      if (mode !== 'read' || !(error instanceof StoreError) || (error.code === 'passphrase_needed' && secrets.ask !== undefined) || error.code === 'passphrase_wrong') throw error
    }
  }
  const store = await openSqliteStore(path, { readOnly: true })
  try {
    return trailOver({ path, home, store, ...(await keysOf(store, home, secrets)), passphrase: secrets.passphrase, ledger: undefined })
  } catch (error) {
    await store.close()
    throw error
  }
}

async function openWriting(path: string, mode: OpenMode, home: string, { passphrase, signer }: Secrets): Promise<CliTrail> {
  if (mode !== 'create' && !existsSync(path)) throw new StoreError('no_trail', `trail: expected a trail at ${path}, got no file`, 'name it with --trail PATH')
  const ledger = await Ledger.open({ open: () => openSqliteStore(path), home, passphrase, signer: signer === undefined ? undefined : (origin) => loadSigner(signer, origin), spools: { folder: `${path}.spool`, key: openSpoolKey(home) } })
  return trailOver({ path, home, store: ledger.store, keyring: ledger.keyring, kept: ledger.keyring, passphrase, ledger })
}

/** This log's keys, if this machine has them. */
async function keysOf(store: Store, home: string, { passphrase, ask }: Secrets): Promise<Pick<Opened, 'keyring' | 'kept'>> {
  const head = await store.read((view) => view.head())
  if (head === undefined) throw new StoreError('no_log', `trail: ${store.name} holds no log`, 'name another file')
  let origin: string
  try {
    ;({ origin } = parseTreeHead(parseNote(head.checkpoint).text))
  } catch {
    return { keyring: undefined, kept: undefined } // verify says what is wrong with it
  }
  try {
    const keyring = openKeyring(origin, home, { passphrase })
    return { keyring, kept: keyring }
  } catch (error) {
    if (error instanceof StoreError && error.code === 'keys_missing') return { keyring: undefined, kept: undefined }
    if (error instanceof StoreError && error.code === 'passphrase_needed' && ask === undefined) return { keyring: undefined, kept: openKept(origin, home) }
    throw error
  }
}

interface Opened { readonly path: string; readonly home: string; readonly store: Store; readonly keyring: Keyring | undefined; readonly kept: KeptKeys | undefined; readonly passphrase: string | undefined; readonly ledger: Ledger | undefined }

function trailOver({ path, home, store, keyring, kept, passphrase, ledger }: Opened): CliTrail {
  const reader = new LogReader(store, keyring)
  const writing = (): Ledger => {
    if (ledger === undefined) throw new MisuseError('read_only', 'cli: this command opened the trail to read', 'report it: a command that writes must open the trail to write')
    return ledger
  }
  return {
    sessions: ({ session_id, ...query } = {}) => (session_id === undefined ? pages((cursor) => reader.sessions(searchOf(query), PAGE, cursor)) : sessionOf(reader, session_id)),
    events: (query = {}) => eventsOf(store, reader, query),
    findIds: (digits, limit) => store.read((view) => view.findIds(digits, limit)),
    newest: (count, { session_id } = {}) => reader.newest(count, session_id),
    async verify(options) {
      const verdict = await verifyStore({ store, path, keyring, kept, home, passphrase }, options)
      if (verdict.whole) kept?.writeProved(verdict.checkpoint)
      return verdict
    },
    cosign: (policy, timeoutMs) => cosign(store, required(keyring, home), policy, timeoutMs),
    export: (order) => store.read((view) => exportBundle(view, keyring, order)),
    prove: (event_id) => store.read((view) => proofOf(view, event_id)),
    sql: (query) => runSql(store, reader, query),
    async recordFindings(findings) {
      const placed = new Map<string, number>()
      for (const [i, answer] of (await writing().append(findings.map((finding) => ({ draft: findingDraft(finding), writer: MONITOR })))).entries()) {
        if ('refused' in answer) throw new StoreError(answer.refused.code, `cli: a finding could not be put on record: ${answer.refused.message}`, answer.refused.next)
        placed.set(findings[i]!.event_id, answer.index)
      }
      return placed
    },
    async erase(what, why) {
      const erased = await writing().erase({ ...orderOf(what), ...why, actor: userInfo().username })
      return { ordered: erased.ordered.index, done: erased.done.index, sessions: erased.sessions.length, scopes: erased.scopes, remains: remains(writing().keyring) }
    },
    async erasable(what) {
      const { sessions, ends, rows, kept } = await writing().erasable(orderOf(what))
      return { sessions, ends, scopes: rows.length, kept, ...(await extentOf(store, new Set(rows.map((row) => `${row.session_id}/${row.k}`)))) }
    },
    keys: () => keyReport(store, required(keyring, home)),
    async renewKeys() {
      await writing().renewKek()
      return keyReport(store, writing().keyring)
    },
    async rotateKey(signer) {
      const { index, before } = await writing().rotate(signer === undefined ? undefined : await loadSigner(signer, writing().origin))
      return { index, before, ...(await keyReport(store, writing().keyring)) }
    },
    async reportKey(order) {
      const { index, vkey: stolen, rotated } = await writing().reportKey(order)
      return { index, stolen, rotated, ...(await keyReport(store, writing().keyring)) }
    },
    async protectKeys(passphrase) {
      await writing().protectKeys(passphrase)
      return keyReport(store, writing().keyring)
    },
    status: () => statusOf(path, store, kept, home),
    async backup(folder, options) {
      const done = await backUp(store, keyring ?? kept, folder, options)
      const { spools } = await statusOf(path, store, kept, home)
      return { ...done, waiting: spools.reduce((sum, { waiting }) => sum + (waiting ?? 0), 0) }
    },
    approvals: (which) => approvalsOf(new ApprovalReader(store, keyring), which),
    async decide(approval, decided) {
      const person = terminalUser()
      const [placed] = await handIn(writing(), [decisionDraft(approval, decided, person, Date.now(), defaultMasks)])
      return { index: placed!.index, by: person.id }
    },
    async stop(session_id, note) {
      const person = terminalUser()
      const what = await new ApprovalReader(store, keyring).stopping(session_id)
      const [placed] = await handIn(writing(), stopDrafts(what, note, person, Date.now(), defaultMasks))
      return { index: placed!.index, sessions: what.sessions, rejected: what.open.length, by: person.id }
    },
    copy: (to) => (ledger === undefined ? store.copyTo(to) : ledger.copyTo(to)),
    archive: (folder, options) => store.read(async (view) => writeArchive(await writableFolder(folder), await archiveSource(view, keyring?.vkey), options)),
    close: () => (ledger === undefined ? store.close() : ledger.close()),
  }
}

/** Who sits at the terminal, as the machine knows them. */
function terminalUser(): Person {
  return { id: userInfo().username, assurance: 'terminal' }
}

/** Appends what a person did; throws where it is refused. */
async function handIn(ledger: Ledger, drafts: readonly Draft[]): Promise<{ index: number }[]> {
  return (await ledger.append(drafts.map((draft) => ({ draft, writer: 'local' })))).map((answer) => {
    if ('refused' in answer) throw new StoreError(answer.refused.code, answer.refused.message, answer.refused.next)
    return answer
  })
}

async function* approvalsOf(reader: ApprovalReader, which: 'open' | 'all'): AsyncGenerator<ShownApproval> {
  for await (const { approval_id } of pages((cursor) => reader.approvals(which === 'open' ? { state: 'open' } : {}, PAGE, cursor))) {
    const shown = await reader.shown(approval_id)
    if (shown !== undefined) yield shown
  }
}

function orderOf(what: EraseTarget): Omit<EraseOrder, 'reason'> {
  return 'session_id' in what ? { session_ids: [what.session_id], ...(what.subject === undefined ? {} : { user_id: what.subject }) } : { user_id: what.user_id }
}

function searchOf({ since, until, ...rest }: SessionQuery): Parameters<LogReader['sessions']>[0] {
  return { ...rest, ...(since === undefined ? {} : { since: since.toISOString() }), ...(until === undefined ? {} : { until: until.toISOString() }) }
}

async function* pages<T>(read: (cursor: string | undefined) => Promise<{ items: T[]; next: string | null }>): AsyncGenerator<T> {
  for (let cursor: string | undefined; ; ) {
    const page = await read(cursor)
    yield* page.items
    if (page.next === null) return
    cursor = page.next
  }
}

/** One session, looked up and not searched for; the ledger's own is none. */
async function* sessionOf(reader: LogReader, session_id: string): AsyncGenerator<SessionSummary> {
  const found = await reader.summary(session_id)
  if (found === undefined || found.agent_id === '') return
  const { root_session_id: _, about: __, ...summary } = found
  yield summary
}

async function* eventsOf(store: Store, reader: LogReader, { session_id, event_id, event_type, from, to }: EventQuery): AsyncGenerator<ViewEvent> {
  if (event_id !== undefined) {
    for (const row of await store.read((view) => view.findEvents([event_id]))) {
      const event = await reader.at(row.index)
      if (event !== undefined) yield event
    }
    return
  }
  const within = (event: ViewEvent): boolean => event.index >= (from ?? 0) && event.index < (to ?? Infinity)
  if (session_id !== undefined && from === undefined && event_type === undefined) {
    for (const event of await reader.session(session_id)) if (within(event)) yield event
    return
  }
  let cursor: string | undefined = String(from ?? 0)
  while (cursor !== undefined) {
    const page: { items: ViewEvent[]; next: string | null } = await reader.events({ ...(session_id === undefined ? {} : { session_id }), ...(event_type === undefined ? {} : { event_types: [event_type] }) }, PAGE, cursor)
    for (const event of page.items) {
      if (!within(event)) return
      yield event
    }
    cursor = page.next ?? undefined
  }
}

const COLUMNS = ['event_id', 'session_id', 'agent_id', 'timestamp', 'event_type', 'step_number', 'content', 'model_id', 'system_prompt_hash', 'created_at'] as const

/**
 * Runs one statement on a copy in memory of the classic table, content decrypted (`audit_events`), and of all entries (`audit_entries`). A copy, since no
 * plain text may reach the database's files.
 */
async function runSql(store: Store, reader: LogReader, query: string): Promise<SqlResult> {
  const db = new DatabaseSync(':memory:')
  db.exec(`CREATE TABLE audit_events (${COLUMNS.join(', ')}); CREATE TABLE audit_entries (idx INTEGER PRIMARY KEY, event_id, session_id, seq, event_type, timestamp, recorded_at, writer, capture, outcome, step_number, parent_event_id, facts, payloads)`)
  const statement = prepare(db, query)
  db.exec('BEGIN')
  const insert = db.prepare(`INSERT INTO audit_events VALUES (${COLUMNS.map(() => '?').join(', ')})`)
  const sessions = new Set<string>() // the log's own one too, with its erasures
  await store.read(async (view) => {
    const insertEntry = db.prepare('INSERT INTO audit_entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
    const size = (await view.head())?.size ?? 0
    for (let from = 0; from < size; from += PAGE) {
      for (const { index, entry } of await view.entries(from, from + PAGE)) {
        const e = parseEntry(entry).entry
        insertEntry.run(index, e.event_id, e.session_id, e.seq, e.event_type, e.timestamp, e.recorded_at, e.writer, e.capture, e.outcome ?? null, e.step_number ?? null, e.parent_event_id ?? null, JSON.stringify(e.facts), JSON.stringify(e.payloads))
        sessions.add(e.session_id)
      }
    }
  })
  const rows: { index: number; values: SQLInputValue[] }[] = []
  for (const session_id of sessions) {
    const events = await reader.session(session_id)
    const indexes = new Map(events.map((event) => [event.event_id, event.index]))
    for (const row of classicRows(events)) rows.push({ index: indexes.get(row.event_id)!, values: COLUMNS.map((name) => (name === 'agent_id' ? row[name] || null : row[name])) })
  }
  for (const { values } of rows.sort((a, b) => a.index - b.index)) insert.run(...values)
  db.exec('COMMIT; PRAGMA query_only = ON')
  return { columns: statement.columns().map(({ name }) => name), rows: values(db, statement) }
}

function prepare(db: DatabaseSync, query: string): ReturnType<DatabaseSync['prepare']> {
  const refuse = (why: string): never => {
    db.close()
    throw new MisuseError('bad_sql', `sql: ${why}`, 'one SELECT; the tables are audit_events (classic columns) and audit_entries (one row per entry)')
  }
  let statement: ReturnType<DatabaseSync['prepare']>
  try {
    statement = db.prepare(query)
  } catch (error) {
    return refuse((error as Error).message)
  }
  // what gives no rows would only seem to change something, or write plain text into a file (VACUUM INTO, ATTACH)
  if (statement.columns().length === 0) return refuse('expected a statement that gives rows')
  if (!/^[\s;]*$/.test(query.slice(query.indexOf(statement.sourceSQL) + statement.sourceSQL.length))) return refuse('expected one statement, got more text after it')
  return statement
}

function* values(db: DatabaseSync, statement: ReturnType<DatabaseSync['prepare']>): Generator<readonly unknown[]> {
  try {
    for (const row of statement.iterate()) yield Object.values(row)
  } finally {
    db.close()
  }
}

function required(keyring: Keyring | undefined, home: string): Keyring {
  if (keyring === undefined) throw new StoreError('keys_missing', `keys: this log's keys are not in ${home}`, 'set COUNTERFOIL_HOME to where they are')
  return keyring
}

async function keyReport(store: Pick<Store, 'read'>, keyring: Keyring): Promise<KeyReport> {
  const { reigns } = await store.read((view) => keyChainOf(view))
  const generations = keyring.keks()
  const newest = generations.at(-1)
  return {
    folder: keyring.folder, origin: keyring.origin, vkey: keyring.vkey, fingerprint: sha256Hex(keyring.vkey).slice(0, 16).replaceAll(/(.{4})(?=.)/g, '$1 '),
    keys: reigns, protected: keyring.isProtected, elsewhere: keyring.isElsewhere, generations: generations.map(({ generation, made_ms }) => ({ generation, made_at: new Date(made_ms).toISOString(), current: generation === newest?.generation })),
    next_renewal: newest === undefined ? null : new Date(newest.made_ms + KEK_LIFE_MS).toISOString(),
  }
}

/** What an erasure leaves in copies made before, until the key-encryption key is renewed. */
function remains(keyring: Keyring): string {
  const made = keyring.keks().at(-1)?.made_ms ?? 0
  return `copies of the database made before can still be read with this machine's keys until ${new Date(made + KEK_LIFE_MS).toISOString().slice(0, 10)}; counterfoil keys renew ends that now`
}

async function statusOf(path: string, store: Store, keyring: KeptKeys | undefined, home: string): Promise<TrailStatus> {
  const [head, rows] = await store.read(async (view) => [await view.head(), await view.spools()] as const)
  const offsets = new Map(rows.map(({ spool, offset }) => [spool, offset]))
  return {
    origin: head === undefined ? '' : parseTreeHead(parseNote(head.checkpoint).text).origin, size: head?.size ?? 0, keys: keyring?.folder ?? home,
    spools: reportSpools(path, home, offsets),
    witnessed: keyring === undefined ? null : cosignedAt(keyring) ?? null, setback: keyring === undefined ? null : (await setbackIn(store, keyring)) ?? null,
  }
}
