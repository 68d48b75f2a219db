// The tables of a log in SQLite (DESIGN §8). Every table is keyed by `log_id` first, as on servers, where it distributes them.
// An entry is kept as the exact bytes that were hashed; what rows are looked up by is GENERATED from those bytes, so that an
// index cannot say something else than its entry. Written for SQLite 3.40 and later: the `sqlite3` shell of a stable
// distribution reads the file while an agent writes it.
//
// Measured (Node 24, SQLite 3.53, batches of 1,000 entries of 870 bytes with 20 segments of 40 KB, synchronous=FULL; processor time
// of a mean of 40 batches): 6.0 µs an entry without lookups, 11.6 with all eight indexes over VIRTUAL columns, 12.5 over STORED ones,
// which also make the file 15 % larger. So VIRTUAL. An index costs 0.3 to 1 µs; none has random keys on the path of an append. Two
// places and two contents an entry add 6 µs; with contents keyed by their random key alone they would add 13, and more as the log grows.

/** Stands in the header of every file, so that nobody else's database is taken for ours: "CFST". */
export const APPLICATION_ID = 0x43465354
/** `PRAGMA user_version`. A file with a higher one was written by a newer release. */
export const SCHEMA_VERSION = 1
/** Stands in `logs`, for people who look. */
export const FORMAT = 'counterfoil/store/v1'

// SQLite takes a BLOB for its own binary JSON, hence the CAST in front of every extraction.
const entry = (path: string, alias = ''): string => `json_extract(CAST(${alias}entry AS TEXT), '$.${path}')`
const generated = (name: string, type: string, expression: string): string => `${name} ${type} GENERATED ALWAYS AS (${expression}) VIRTUAL`

const TABLES: readonly string[] = [
  `CREATE TABLE logs (
  log_id INTEGER NOT NULL PRIMARY KEY,
  format TEXT NOT NULL,
  last_segment INTEGER NOT NULL
) STRICT`,

  // The newest signed checkpoint and no other: an older one would be a rollback that needs no key.
  `CREATE TABLE heads (
  log_id INTEGER NOT NULL,
  size INTEGER NOT NULL,
  checkpoint TEXT NOT NULL,
  PRIMARY KEY (log_id, size)
) STRICT`,

  `CREATE TABLE entries (
  log_id INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  entry BLOB NOT NULL,
  ${generated('session_id', 'TEXT NOT NULL', entry('session_id'))},
  ${generated('seq', 'INTEGER NOT NULL', entry('seq'))},
  ${generated('event_id', 'TEXT NOT NULL', entry('event_id'))},
  ${generated('writer', 'TEXT NOT NULL', entry('writer'))},
  ${generated('event_type', 'TEXT NOT NULL', entry('event_type'))},
  ${generated('timestamp', 'TEXT NOT NULL', entry('timestamp'))},
  ${generated('parent_event_id', 'TEXT', entry('parent_event_id'))},
  ${generated('tool_name', 'TEXT', entry('facts.tool_name'))},
  ${generated('approval', 'INTEGER', entry('facts.approval'))},
  PRIMARY KEY (log_id, idx)
) STRICT`,
  'CREATE UNIQUE INDEX entries_event ON entries (log_id, event_id, writer)',
  'CREATE UNIQUE INDEX entries_seq ON entries (log_id, session_id, seq)',
  // An approval is used once: the second tool_call that names it fails inside the append.
  `CREATE UNIQUE INDEX entries_approval ON entries (log_id, session_id, approval) WHERE event_type = 'tool_call' AND approval IS NOT NULL`,
  'CREATE INDEX entries_type ON entries (log_id, event_type, idx)',
  'CREATE INDEX entries_tool ON entries (log_id, tool_name, idx) WHERE tool_name IS NOT NULL',
  'CREATE INDEX entries_time ON entries (log_id, timestamp, idx)',
  // Both for the views: a call finds its result, an event the constants of its session.
  `CREATE INDEX entries_result ON entries (log_id, parent_event_id) WHERE event_type IN ('llm_result', 'tool_result')`,
  `CREATE INDEX entries_config ON entries (log_id, session_id, idx) WHERE event_type IN ('session_start', 'config_change')`,

  `CREATE TABLE tiles (
  log_id INTEGER NOT NULL,
  level INTEGER NOT NULL,
  n INTEGER NOT NULL,
  hashes BLOB NOT NULL CHECK (length(hashes) = 8192),
  PRIMARY KEY (log_id, level, n)
) STRICT`,

  `CREATE TABLE sessions (
  log_id INTEGER NOT NULL,
  session_id TEXT NOT NULL,
  summary TEXT NOT NULL,
  agent_id TEXT GENERATED ALWAYS AS (json_extract(summary, '$.agent_id')) VIRTUAL,
  state TEXT GENERATED ALWAYS AS (json_extract(summary, '$.state')) VIRTUAL,
  outcome TEXT GENERATED ALWAYS AS (json_extract(summary, '$.outcome')) VIRTUAL,
  started_at TEXT NOT NULL GENERATED ALWAYS AS (json_extract(summary, '$.started_at')) VIRTUAL,
  PRIMARY KEY (log_id, session_id)
) STRICT`,
  'CREATE INDEX sessions_newest ON sessions (log_id, started_at, session_id)',
  'CREATE INDEX sessions_agent ON sessions (log_id, agent_id, started_at, session_id)',

  // Erasing a scope overwrites its row in place, which stays. Deleting rows makes SQLite move the rows beside them to other pages,
  // and the copies left behind outlive secure_delete (measured: 4 of 1,800 deleted secrets were still in the file). So a row here
  // never changes its length, and `generation` is ten characters: digits, or spaces when the secret is gone.
  `CREATE TABLE scopes (
  log_id INTEGER NOT NULL,
  scope BLOB NOT NULL CHECK (length(scope) = 16),
  session_id TEXT NOT NULL,
  k INTEGER NOT NULL,
  generation TEXT NOT NULL CHECK (length(generation) = 10),
  wrapped BLOB NOT NULL,
  PRIMARY KEY (log_id, scope)
) STRICT`,
  'CREATE UNIQUE INDEX scopes_session ON scopes (log_id, session_id, k)',

  // An erased segment keeps its row and loses its bytes, for the same reason: pages of overflow are freed and zeroed, the cell shrinks where it
  // is, and no neighbour is moved, whose old copy would outlive its own erasure. New rows are the last ones and move nobody.
  `CREATE TABLE segments (
  log_id INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  scope BLOB NOT NULL CHECK (length(scope) = 16),
  bytes BLOB NOT NULL,
  PRIMARY KEY (log_id, segment)
) STRICT`,
  'CREATE INDEX segments_scope ON segments (log_id, scope, segment)',

  `CREATE TABLE places (
  log_id INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  frame INTEGER NOT NULL,
  position INTEGER NOT NULL,
  frames INTEGER NOT NULL,
  PRIMARY KEY (log_id, idx, ordinal)
) STRICT, WITHOUT ROWID`,
  'CREATE INDEX places_segment ON places (log_id, segment)',

  // Scope before key: keys are random, and a batch that touched a random page per payload would cost more than all the rest.
  `CREATE TABLE contents (
  log_id INTEGER NOT NULL,
  scope BLOB NOT NULL CHECK (length(scope) = 16),
  key BLOB NOT NULL CHECK (length(key) = 32),
  segment INTEGER NOT NULL,
  frame INTEGER NOT NULL,
  position INTEGER NOT NULL,
  frames INTEGER NOT NULL,
  PRIMARY KEY (log_id, scope, key)
) STRICT, WITHOUT ROWID`,

  // As in `scopes`, an erased row is overwritten and stays; an index over subjects would move their hashes about, so who is looked
  // up, which is once in an erasure, is looked for in the whole table.
  `CREATE TABLE subjects (
  log_id INTEGER NOT NULL,
  scope BLOB NOT NULL CHECK (length(scope) = 16),
  subject BLOB NOT NULL CHECK (length(subject) = 32)
) STRICT`,
  'CREATE INDEX subjects_scope ON subjects (log_id, scope)',

  `CREATE TABLE spools (
  log_id INTEGER NOT NULL,
  spool TEXT NOT NULL,
  read_to INTEGER NOT NULL,
  PRIMARY KEY (log_id, spool)
) STRICT, WITHOUT ROWID`,

  `CREATE TABLE streams (
  log_id INTEGER NOT NULL,
  stream TEXT NOT NULL,
  session_id TEXT NOT NULL,
  spool TEXT NOT NULL,
  owner TEXT NOT NULL,
  PRIMARY KEY (log_id, stream)
) STRICT, WITHOUT ROWID`,
]

// A speed bump and not the proof: whoever can write the file can drop a trigger. What a changed row cannot escape is the tree.
const refuse = (table: string, verb: 'UPDATE' | 'DELETE'): string =>
  `CREATE TRIGGER ${table}_refuse_${verb.toLowerCase()} BEFORE ${verb} ON ${table} BEGIN
  SELECT RAISE(ABORT, '${table} are append-only: an audit log has no ${verb.toLowerCase()}; erase content with "counterfoil erase", a change here would fail "counterfoil verify"');
END`
const TRIGGERS: readonly string[] = [refuse('entries', 'UPDATE'), refuse('entries', 'DELETE'), refuse('tiles', 'UPDATE'), refuse('tiles', 'DELETE')]

// A row's own facts and payload refs in one flat object. Facts, payloads and envelope never share a name.
const flat = (alias: string): string => `json_patch(${entry('facts', alias)}, ${entry('payloads', alias)})`
// INDEXED BY: without statistics the planner walks all entries of a type for each row (measured: minutes for 300,000 entries).
const fromConfig = `FROM entries c INDEXED BY entries_config WHERE c.log_id = e.log_id AND c.session_id = e.session_id AND c.event_type IN ('session_start', 'config_change')`
const firstResult = (call: string): string => `(SELECT f.idx FROM entries f INDEXED BY entries_result
    WHERE f.log_id = ${call}.log_id AND f.parent_event_id = ${call}.event_id AND f.event_type IN ('llm_result', 'tool_result')
      AND f.event_type = replace(${call}.event_type, '_call', '_result') AND f.session_id = ${call}.session_id ORDER BY f.idx LIMIT 1)`
const OUTCOME = `coalesce(${entry('outcome', 'r.')}, ${entry('outcome', 'e.')})`
const BOTH = `json_patch(coalesce(${flat('r.')}, '{}'), ${flat('e.')})`

// `logs` first: every index begins with log_id, which nobody who asks for a session writes down.
const VIEWS: readonly string[] = [
  // The classic shape: a call and its result are one row. A second result of the same call stays a row of its own.
  `CREATE VIEW audit_events AS
SELECT
  e.event_id AS event_id,
  e.session_id AS session_id,
  (SELECT ${entry('facts.agent_id', 'c.')} ${fromConfig} AND c.event_type = 'session_start' ORDER BY c.idx LIMIT 1) AS agent_id,
  e.timestamp AS timestamp,
  e.event_type AS event_type,
  ${entry('step_number', 'e.')} AS step_number,
  CASE WHEN ${OUTCOME} IS NULL THEN ${BOTH} ELSE json_set(${BOTH}, '$.outcome', ${OUTCOME}) END AS content,
  coalesce(${entry('facts.model_id', 'e.')}, (SELECT ${entry('facts.model_id', 'c.')} ${fromConfig}
    AND c.idx <= e.idx AND ${entry('facts.model_id', 'c.')} IS NOT NULL ORDER BY c.idx DESC LIMIT 1)) AS model_id,
  NULL AS system_prompt_hash,
  ${entry('recorded_at', 'e.')} AS created_at
FROM logs CROSS JOIN entries e ON e.log_id = logs.log_id LEFT JOIN entries r INDEXED BY sqlite_autoindex_entries_1
  ON e.event_type IN ('llm_call', 'tool_call') AND r.log_id = e.log_id AND r.idx = ${firstResult('e')}
WHERE e.event_type <> 'context' AND NOT (e.event_type IN ('llm_result', 'tool_result') AND EXISTS (
  SELECT 1 FROM entries k INDEXED BY entries_event WHERE k.log_id = e.log_id AND k.event_id = e.parent_event_id
    AND k.session_id = e.session_id AND k.event_type = replace(e.event_type, '_result', '_call') AND e.idx = ${firstResult('k')}))`,

  `CREATE VIEW audit_entries AS
SELECT
  e.log_id AS log_id,
  e.idx AS "index",
  e.event_id AS event_id,
  e.event_type AS event_type,
  e.session_id AS session_id,
  e.seq AS seq,
  e.writer AS writer,
  ${entry('stream', 'e.')} AS stream,
  ${entry('stream_seq', 'e.')} AS stream_seq,
  e.timestamp AS timestamp,
  ${entry('recorded_at', 'e.')} AS recorded_at,
  e.parent_event_id AS parent_event_id,
  ${entry('step_number', 'e.')} AS step_number,
  ${entry('capture', 'e.')} AS capture,
  ${entry('outcome', 'e.')} AS outcome,
  ${entry('facts', 'e.')} AS facts,
  ${entry('payloads', 'e.')} AS payloads,
  CAST(e.entry AS TEXT) AS entry
FROM logs CROSS JOIN entries e ON e.log_id = logs.log_id`,
]

/** The whole schema, in the order in which it is made. */
export const SCHEMA: readonly string[] = [...TABLES, ...TRIGGERS, ...VIEWS]

/** Names and exact texts as `sqlite_schema` gives them back: what opening a store compares. */
export function expectedSchema(): { type: string; name: string; sql: string }[] {
  return SCHEMA.map((sql) => {
    const [, type, name] = /^CREATE (?:UNIQUE )?(TABLE|INDEX|TRIGGER|VIEW) (\w+)/.exec(sql)!
    return { type: type!.toLowerCase(), name: name!, sql }
  })
}
