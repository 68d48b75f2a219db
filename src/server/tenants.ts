// Tenants: each is a trail of its own, with its own log, keys and file. `default` is the trail that the server was started on; the others lie in its
// folder. A tenant's ledger is opened when it is first asked for.

import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { formatTime, type Clock } from '../base/clock.ts'
import { type CounterfoilError, MisuseError } from '../base/errors.ts'
import { openLedger, type LocalLedger, type LocalOptions } from '../ledger/handle.ts'
import type { Database } from './database.ts'
import { rowsOf, textOf } from './people.ts'

export const TENANTS_TABLE = 'CREATE TABLE IF NOT EXISTS tenants (name TEXT PRIMARY KEY, created_at TEXT NOT NULL) STRICT'

export const DEFAULT_TENANT = 'default'
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** Each has a thread of its own. */
export const MAX_TENANTS = 100

/** A tenant in use: its name, and its ledger. */
export interface Tenant { readonly name: string; readonly path: string; readonly ledger: LocalLedger }

export interface TenantView { readonly name: string; readonly created_at: string }

export class Tenants {
  readonly #database: Database
  readonly #clock: Clock
  readonly #folder: string
  readonly #trail: string
  readonly #options: LocalOptions
  readonly #report: (tenant: string, problem: CounterfoilError) => void
  readonly #open = new Map<string, Tenant>()

  constructor(database: Database, clock: Clock, { folder, trail, options, report }: { folder: string; trail: string; options: LocalOptions; report: (tenant: string, problem: CounterfoilError) => void }) {
    this.#database = database
    this.#clock = clock
    this.#folder = folder
    this.#trail = trail
    this.#options = options
    this.#report = report
    database.prepare('INSERT OR IGNORE INTO tenants (name, created_at) VALUES (?, ?)').run(DEFAULT_TENANT, formatTime(clock()))
  }

  list(): TenantView[] {
    return rowsOf(this.#database.prepare('SELECT * FROM tenants ORDER BY name').all()).map((row) => ({ name: textOf(row, 'name'), created_at: textOf(row, 'created_at') }))
  }

  has(name: string): boolean {
    return this.#database.prepare('SELECT 1 FROM tenants WHERE name = ?').get(name) !== undefined
  }

  /** Those that are open now. */
  get opened(): readonly Tenant[] {
    return [...this.#open.values()]
  }

  /** The tenant of that name, opened where it is not; undefined where there is none. What is wrong with its log rejects `ledger.ready()`. */
  open(name: string): Tenant | undefined {
    const known = this.#open.get(name)
    if (known !== undefined) return known
    if (!this.has(name)) return undefined
    const path = this.#path(name)
    const { spool: _, ...options } = this.#options
    const ledger = openLedger(path, name === DEFAULT_TENANT ? this.#options : options)
    ledger.onReport((problem) => this.#report(name, problem))
    const tenant = { name, path, ledger }
    this.#open.set(name, tenant)
    return tenant
  }

  /** Makes a tenant: a new trail with keys of its own. Resolves when its log is there. */
  async create(name: string): Promise<Tenant> {
    this.check(name)
    mkdirSync(join(this.#folder, 'tenants', name), { recursive: true, mode: 0o700 })
    this.#database.prepare('INSERT OR IGNORE INTO tenants (name, created_at) VALUES (?, ?)').run(name, formatTime(this.#clock()))
    const tenant = this.open(name)!
    await tenant.ledger.ready()
    return tenant
  }

  /** Throws unless a tenant of that name could be made. */
  check(name: string): void {
    if (!NAME.test(name)) throw new MisuseError('bad_tenant', 'server: expected a tenant name of 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends', 'it is the name of a folder too')
    if (this.list().length >= MAX_TENANTS) throw new MisuseError('too_many_tenants', `server: expected at most ${MAX_TENANTS} tenants, got as many`, 'start another server')
  }

  /** Bytes of a tenant's database on disk. */
  bytes(name: string): number {
    return ['', '-wal'].reduce((sum, suffix) => sum + (statSync(`${this.#path(name)}${suffix}`, { throwIfNoEntry: false })?.size ?? 0), 0)
  }

  /** Puts what is waiting into the logs and closes them. */
  async close(): Promise<void> {
    const done = await Promise.allSettled(this.opened.map(({ ledger }) => ledger.close()))
    this.#open.clear()
    for (const each of done) if (each.status === 'rejected') throw each.reason
  }

  #path(name: string): string {
    return name === DEFAULT_TENANT ? this.#trail : join(this.#folder, 'tenants', name, 'audit.db')
  }
}
