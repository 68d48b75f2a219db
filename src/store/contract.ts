// What a ledger asks of a database. One interface for every driver; `suite.ts` is its conformance suite.
//
// Trust: none. Whatever a store returns is checked against the log by the ledger and by `verify`.
// Durability: when `append` resolves, everything its function wrote has reached the disk, and nothing of it is seen before.
// A failed `append` may or may not have happened: the caller must reopen and look (DESIGN §6, poisoning).
// Every call names the log: on servers `log_id` is the key by which tables are distributed.

/**
 * The codes of the StoreErrors that drivers throw. With `retry` the same call may be made again.
 *
 * - `busy` (retry): the lock, or a reader's place, was not to be had within `waitMs`; nothing was done. `full` (retry): no room; rolled back.
 * - `poisoned`: a COMMIT failed, what it wrote may or may not be there; reopen and look. `wal_replaced`, `file_replaced`: the files under the
 *   store are not those it opened; nothing was acknowledged since. All three are final for this store, as `closed` is.
 * - `index_taken` `event_taken` `seq_taken` `approval_used` `conflict`: a row with this key is there; the append was rolled back.
 * - `append_only`: an entry or tile would have been changed.
 * - On opening: `cannot_open` `not_a_database` `foreign` `newer_format` `schema` `setting` `network_file_system` `corrupt` `read_only`.
 * - `exists`: the copy's path is taken. `io`, `sqlite`: what the disk or the engine said.
 */
export type StoreCode =
  | 'busy' | 'full' | 'poisoned' | 'wal_replaced' | 'file_replaced' | 'closed'
  | 'index_taken' | 'event_taken' | 'seq_taken' | 'approval_used' | 'conflict' | 'append_only'
  | 'cannot_open' | 'not_a_database' | 'foreign' | 'newer_format' | 'schema' | 'setting' | 'network_file_system' | 'corrupt' | 'read_only'
  | 'exists' | 'io' | 'sqlite'

/** The newest signed checkpoint. Older ones are not kept: each would be a keyless rollback. */
export interface Head { readonly size: number; readonly checkpoint: string }

/** A full tile of `level`, number `n`: 256 hashes, 8,192 bytes. */
export interface TileRow { readonly level: number; readonly n: number; readonly hashes: Uint8Array }

export interface EntryRow { readonly index: number; readonly entry: Uint8Array }

/** Derived from a session's entries by `foldSession`; `row` is canonical JSON with at least session_id, agent_id, state, started_at, last_at. */
export interface SessionRow { readonly session_id: string; readonly row: string }

/** A scope's wrapped secret. `scope` is 16 bytes; `k` its number in the session; `generation` the KEK's. */
export interface ScopeRow { readonly scope: Uint8Array; readonly session_id: string; readonly k: number; readonly generation: number; readonly wrapped: Uint8Array }

/** A sealed segment. Ids ascend in the order of sealing. */
export interface SegmentRow { readonly segment: number; readonly scope: Uint8Array; readonly bytes: Uint8Array }

/** Where the `ordinal`-th own ref of entry `index` (order of `ownRefs`) has its bytes: `frames` frames from `frame` in `segment`, at `position` in the frame. Derived. */
export interface PlaceRow { readonly index: number; readonly ordinal: number; readonly segment: number; readonly frame: number; readonly position: number; readonly frames: number }

/** Names content within a scope: `key` is `HMAC(index key, digest)`, 32 bytes. Stores keep contents by scope first: keys are random, and pages of their own for each would cost more than the rest of an append. */
export interface ContentKey { readonly scope: Uint8Array; readonly key: Uint8Array }

/** Where equal content of one scope already lies. Derived. */
export interface ContentRow extends ContentKey { readonly segment: number; readonly frame: number; readonly position: number; readonly frames: number }

/** Whose content a scope holds: `subject` is a keyed hash of a person's id, 32 bytes. */
export interface SubjectRow { readonly subject: Uint8Array; readonly scope: Uint8Array }

/** How far a spool has been read into the log. */
export interface SpoolRow { readonly spool: string; readonly offset: number }

/** Which process feeds a stream. Operational, not evidence; dropped when the session ends. `owner` is JSON. */
export interface StreamRow { readonly stream: string; readonly session_id: string; readonly spool: string; readonly owner: string }

/** Filters of the session list; times are time strings, `since` inclusive, `until` exclusive. Newest first. */
export interface SessionFilter { readonly agent_id?: string; readonly state?: string; readonly outcome?: string; readonly since?: string; readonly until?: string; readonly before?: { started_at: string; session_id: string }; readonly limit: number }

/** Filters of the event list; times are compared with the events' `timestamp`, `since` inclusive, `until` exclusive; no type in `event_types` finds nothing. Ascending by index from `from` (inclusive). */
export interface EventFilter { readonly session_id?: string; readonly event_types?: readonly string[]; readonly tool_name?: string; readonly since?: string; readonly until?: string; readonly from?: number; readonly limit: number }

/** Reads inside one snapshot. */
export interface StoreView {
  head(): Promise<Head | undefined>
  /** Entries `from` (inclusive) to `to` (exclusive) that are there, ascending; fewer than asked for means that rows are missing. */
  entries(from: number, to: number): Promise<EntryRow[]>
  /** The same as texts, several times cheaper, where every one of them is ASCII; else undefined. */
  entryTexts(from: number, to: number): Promise<{ readonly index: number; readonly entry: string }[] | undefined>
  /** One session's entries from `from_seq`, ascending by seq. */
  sessionEntries(session_id: string, from_seq: number, limit: number): Promise<EntryRow[]>
  /** One session's `session_start` and `config_change` up to index `to` (inclusive), newest first: what is constant in it, and few of its entries. */
  configEntries(session_id: string, to: number, limit: number): Promise<EntryRow[]>
  /** The session's last entry of seq `from_seq` to `to_seq` (inclusive) that sets its prompt: a `session_start`, `config_change` or `llm_call` with a payload `system_prompt`. */
  promptEntry(session_id: string, from_seq: number, to_seq: number): Promise<EntryRow | undefined>
  /** Results, of a model's call or a tool's, that name one of these events as their parent, in the order of the log. */
  resultsOf(event_ids: readonly string[]): Promise<EntryRow[]>
  /** What is joined in a session by another way: the `tool_call` entries that name an approval; by one of these provider's ids of a call the `tool_call` entries, and the results without a parent. In the order of the log. */
  approvedCalls(session_id: string): Promise<EntryRow[]>
  callsNamed(session_id: string, call_ids: readonly string[]): Promise<EntryRow[]>
  orphanResults(session_id: string, call_ids: readonly string[]): Promise<EntryRow[]>
  /** Those of the named events that are there. Two writers may use one id. */
  findEvents(event_ids: readonly string[]): Promise<EntryRow[]>
  events(filter: EventFilter): Promise<EntryRow[]>
  /** Ids whose text starts or ends with `digits` (hex digits and hyphens), at most `limit`; both event and session ids. */
  findIds(digits: string, limit: number): Promise<{ kind: 'event' | 'session'; id: string }[]>
  tile(level: number, n: number): Promise<Uint8Array | undefined>
  tiles(level: number, from: number, to: number): Promise<TileRow[]>
  tileCount(level: number): Promise<number>
  sessions(session_ids: readonly string[]): Promise<SessionRow[]>
  listSessions(filter: SessionFilter): Promise<SessionRow[]>
  scopes(session_ids: readonly string[]): Promise<ScopeRow[]>
  scopePage(after: Uint8Array | undefined, limit: number): Promise<ScopeRow[]>
  segment(segment: number): Promise<SegmentRow | undefined>
  segmentPage(after: number, limit: number): Promise<SegmentRow[]>
  /** Segments of these scopes without their bytes, ascending. */
  segmentIds(scopes: readonly Uint8Array[]): Promise<{ segment: number; scope: Uint8Array }[]>
  places(from: number, to: number): Promise<PlaceRow[]>
  contents(keys: readonly ContentKey[]): Promise<ContentRow[]>
  /** Ascending by scope, then key. */
  contentPage(after: ContentKey | undefined, limit: number): Promise<ContentRow[]>
  subjectScopes(subject: Uint8Array): Promise<Uint8Array[]>
  /** Whose content these scopes hold: the other way round. */
  subjects(scopes: readonly Uint8Array[]): Promise<SubjectRow[]>
  spools(): Promise<SpoolRow[]>
  streams(): Promise<StreamRow[]>
  /** Row counts by table, for `doctor` and `verify`. */
  counts(): Promise<{ readonly [table: string]: number }>
  /** What the database itself finds wrong with its pages, indexes and constraints, one sentence each, at most 20; and rows of other logs. Reads everything. */
  check(): Promise<string[]>
}

/** Writes of one append, atomic. Inserting an index, tile, event or approval that is there already fails. */
export interface StoreTx extends StoreView {
  insertEntries(rows: readonly EntryRow[]): Promise<void>
  insertTiles(rows: readonly TileRow[]): Promise<void>
  /** Inserts the new head and deletes the one before. */
  replaceHead(head: Head): Promise<void>
  putSessions(rows: readonly SessionRow[]): Promise<void>
  insertScopes(rows: readonly ScopeRow[]): Promise<void>
  /** Replaces wrapped secret and generation of scopes that are there. */
  rewrapScopes(rows: readonly ScopeRow[]): Promise<void>
  insertSegments(rows: readonly SegmentRow[]): Promise<void>
  insertPlaces(rows: readonly PlaceRow[]): Promise<void>
  insertContents(rows: readonly ContentRow[]): Promise<void>
  insertSubjects(rows: readonly SubjectRow[]): Promise<void>
  putSpool(row: SpoolRow): Promise<void>
  deleteSpool(spool: string): Promise<void>
  putStreams(rows: readonly StreamRow[]): Promise<void>
  deleteStreams(streams: readonly string[]): Promise<void>
  /** Deletes these scopes' secrets, segments, contents, places and subjects. A scope does not come back: its id, and its number in the session, stay taken. Returns how many segments went. */
  deleteScopes(scopes: readonly Uint8Array[]): Promise<number>
  /** The next segment id, from 1; an id is never given twice, also when its segment was deleted. */
  nextSegment(): Promise<number>
}

/** A log's database. `close` waits for what was called before it. */
export interface Store {
  /** For messages: the path, or the host and database. */
  readonly name: string
  /** Runs `fn` on one snapshot. */
  read<T>(fn: (view: StoreView) => Promise<T>): Promise<T>
  /** Runs `fn` in one transaction under the log's write lock; resolves after the commit reached the disk. Waits fairly for the lock, at most `waitMs` (default 10 s), then a StoreError with `retry`. */
  append<T>(fn: (tx: StoreTx) => Promise<T>): Promise<T>
  /**
   * Makes what was deleted unreachable on disk: no byte of an erased secret, segment or subject is left in any file of the store (SQLite: overwritten
   * in place, the write-ahead log emptied). Of derived rows remnants may stay in free space until the database is copied. Resolves with what was done; a StoreError `busy` when readers keep old bytes alive for `waitMs`.
   */
  wipe(): Promise<string>
  /** A consistent copy of the database at `path`, made by the database itself. */
  copyTo(path: string): Promise<void>
  close(): Promise<void>
}
