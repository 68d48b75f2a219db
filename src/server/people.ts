// Principals: the agents and persons of each tenant, with their roles. Who is removed keeps their id, which stands as writer in the log.

import { formatTime, type Clock } from '../base/clock.ts'
import { MisuseError, StoreError } from '../base/errors.ts'
import { isLabel, LABEL_SAYS, quote } from '../event/label.ts'
import type { Database } from './database.ts'
import { ROLES, type Principal, type Role } from './roles.ts'

export const PEOPLE_TABLE = `
CREATE TABLE IF NOT EXISTS people (
  tenant TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, roles TEXT NOT NULL, agents TEXT, sessions TEXT, email TEXT,
  created_at TEXT NOT NULL, expires_at TEXT, removed_at TEXT, PRIMARY KEY (tenant, id)
) STRICT`

export type Row = { readonly [column: string]: unknown }

/** The most principals of one tenant. */
export const MAX_PEOPLE = 10_000
/** Writers that are nobody's: what an embedded trail writes, what the ledger does, what the server does. */
const TAKEN: ReadonlySet<string> = new Set(['local', 'ledger', 'server', 'monitor'])

export class People {
  readonly #database: Database
  readonly #clock: Clock

  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  /** A principal in force now; undefined for one that never was, was removed, or expired. */
  get(tenant: string, id: string): Principal | undefined {
    const row = this.#database.prepare('SELECT * FROM people WHERE tenant = ? AND id = ? AND removed_at IS NULL').get(tenant, id) as Row | undefined
    const found = row === undefined ? undefined : principalOf(row)
    return found?.expires_at !== undefined && Date.parse(found.expires_at) <= this.#clock() ? undefined : found
  }

  /** Of a tenant, those that were removed left out; by id. */
  list(tenant: string): Principal[] {
    return rowsOf(this.#database.prepare('SELECT * FROM people WHERE tenant = ? AND removed_at IS NULL ORDER BY id').all(tenant)).map(principalOf)
  }

  count(tenant: string): number {
    return (this.#database.prepare('SELECT count(*) AS n FROM people WHERE tenant = ? AND removed_at IS NULL').get(tenant) as { n: number }).n
  }

  /** Throws unless `put` would take it. */
  check(who: Principal): void {
    checkPrincipal(who)
    const { tenant, id, kind } = who
    const old = this.#database.prepare('SELECT kind, removed_at FROM people WHERE tenant = ? AND id = ?').get(tenant, id) as { kind: string; removed_at: string | null } | undefined
    if (old !== undefined && old.removed_at !== null) throw new StoreError('id_used', `server: ${id} was somebody who was removed`, 'choose another id: what they wrote is on record under it')
    if (old !== undefined && old.kind !== kind) throw new StoreError('id_used', `server: ${id} is ${old.kind === 'agent' ? 'an agent' : 'a person'}`, 'choose another id')
    if (old === undefined && this.count(tenant) >= MAX_PEOPLE) throw new MisuseError('too_many_people', `server: expected at most ${MAX_PEOPLE} principals in ${tenant}, got as many`, 'remove those that are gone')
  }

  /** Adds a principal, or gives one that is there other rights. Who was removed does not come back: their id is in the log. */
  put(who: Principal): void {
    this.check(who)
    const { tenant, id, kind, name, roles, agents, sessions, expires_at, email } = who
    this.#database.prepare(`INSERT INTO people (tenant, id, kind, name, roles, agents, sessions, email, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, roles = excluded.roles, agents = excluded.agents, sessions = excluded.sessions, email = excluded.email, expires_at = excluded.expires_at`)
      .run(tenant, id, kind, name, JSON.stringify(roles), listOrNull(agents), listOrNull(sessions), email ?? null, formatTime(this.#clock()), expires_at ?? null)
  }

  /** Removes a principal, and with them every key of theirs. False where there is none. */
  remove(tenant: string, id: string): boolean {
    const now = formatTime(this.#clock())
    const { changes } = this.#database.prepare('UPDATE people SET removed_at = ?, email = NULL WHERE tenant = ? AND id = ? AND removed_at IS NULL').run(now, tenant, id)
    this.#database.prepare('UPDATE keys SET revoked_at = ? WHERE tenant = ? AND principal = ? AND revoked_at IS NULL').run(now, tenant, id)
    return Number(changes) > 0
  }
}

/** Throws a MisuseError unless `who` can be a principal. */
export function checkPrincipal({ id, kind, name, roles, agents, sessions }: Principal): void {
  if (!isLabel(id)) throw new MisuseError('bad_id', `server: expected an id that is ${LABEL_SAYS}, got ${quote(id)}`, 'it stands in the log for ever as who wrote: choose one without personal data where you can')
  if (TAKEN.has(id)) throw new MisuseError('id_taken', `server: ${id} is the writer of what ${id === 'local' ? 'an embedded trail' : `the ${id} itself`} records`, 'choose another id')
  if (name === '' || name.length > 200) throw new MisuseError('bad_name', 'server: expected a name of 1 to 200 characters', 'give one')
  if (roles.length === 0 || !roles.every((role) => (ROLES as readonly string[]).includes(role))) throw new MisuseError('bad_role', `server: expected roles out of ${ROLES.join(', ')}, got ${quote(roles.join(', '))}`, 'name at least one')
  if (kind === 'agent' && roles.some((role) => role !== 'agent')) throw new MisuseError('bad_role', `server: expected an agent to have the role agent and no other, got ${roles.join(', ')}`, 'people have the other roles: who approves must not be who asks')
  if ((agents?.length ?? 0) > 1_000 || (sessions?.length ?? 0) > 10_000) throw new MisuseError('bad_scope', 'server: expected at most 1000 agents and 10000 sessions', 'name fewer; an auditor may be given * for all sessions')
}

/** What SQLite gives back, as rows. */
export function rowsOf(all: readonly unknown[]): Row[] {
  return all as Row[]
}

/** A column that is NOT NULL text. */
export function textOf(row: Row, column: string): string {
  return String(row[column])
}

function principalOf(row: Row): Principal {
  const { agents, sessions, expires_at, email } = row
  return {
    id: textOf(row, 'id'), tenant: textOf(row, 'tenant'), kind: row['kind'] === 'agent' ? 'agent' : 'person', name: textOf(row, 'name'), roles: JSON.parse(textOf(row, 'roles')) as Role[],
    ...(typeof agents === 'string' ? { agents: JSON.parse(agents) as string[] } : {}), ...(typeof sessions === 'string' ? { sessions: JSON.parse(sessions) as string[] } : {}),
    ...(typeof expires_at === 'string' ? { expires_at } : {}), ...(typeof email === 'string' ? { email } : {}),
  }
}

function listOrNull(list: readonly string[] | undefined): string | null {
  return list === undefined ? null : JSON.stringify(list)
}
