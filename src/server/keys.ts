// API keys: `cf_<id>_<secret>`, 32 random bytes as base62, shown once and kept as SHA-256. A secret of 256 random bits needs no slow hash: there is
// nothing to guess. What is compared is two hashes, in constant time.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { formatTime, type Clock } from '../base/clock.ts'
import { MisuseError } from '../base/errors.ts'
import type { Database } from './database.ts'
import { rowsOf, textOf, type Row } from './people.ts'
import type { Role } from './roles.ts'

export const KEYS_TABLE = `
CREATE TABLE IF NOT EXISTS keys (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, principal TEXT NOT NULL, hash BLOB NOT NULL, name TEXT NOT NULL, roles TEXT,
  created_at TEXT NOT NULL, expires_at TEXT, revoked_at TEXT, used_at TEXT,
  FOREIGN KEY (tenant, principal) REFERENCES people (tenant, id)
) STRICT;
CREATE INDEX IF NOT EXISTS keys_by_principal ON keys (tenant, principal)`

/** A key as it is shown: without its secret. `roles`: those of its principal's that it gives; without it, all. */
export interface KeyView { readonly id: string; readonly tenant: string; readonly principal: string; readonly name: string; readonly roles?: readonly Role[]; readonly created_at: string; readonly expires_at?: string; readonly revoked_at?: string; readonly used_at?: string }

/** What a new key is to be. */
export interface KeyOrder { readonly tenant: string; readonly principal: string; readonly name?: string; readonly roles?: readonly Role[]; readonly expires_at?: string }

const KEY = /^cf_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})$/
/** The newest use is written down this often. */
const USED_MS = 60_000
/** The most keys of one principal that are not revoked. */
export const MAX_KEYS = 100

export class Keys {
  readonly #database: Database
  readonly #clock: Clock
  readonly #used = new Map<string, number>()

  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  /** Makes a key. `key` is its text, which nobody can ask for again. */
  issue({ tenant, principal, name = '', roles, expires_at }: KeyOrder): { key: string; view: KeyView } {
    const held = this.#database.prepare('SELECT count(*) AS n FROM keys WHERE tenant = ? AND principal = ? AND revoked_at IS NULL').get(tenant, principal) as { n: number }
    if (held.n >= MAX_KEYS) throw new MisuseError('too_many_keys', `server: expected at most ${MAX_KEYS} keys of ${principal}, got as many`, 'revoke those that are not used')
    const id = base62(randomBytes(9), 12)
    const key = `cf_${id}_${base62(randomBytes(32), 43)}`
    const created_at = formatTime(this.#clock())
    this.#database.prepare('INSERT INTO keys (id, tenant, principal, hash, name, roles, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)').run(id, tenant, principal, hashOf(key), name, roles === undefined ? null : JSON.stringify(roles), created_at, expires_at ?? null)
    return { key, view: this.get(id)! }
  }

  /** The key that `text` is: in force now, or undefined. */
  check(text: string): KeyView | undefined {
    const id = KEY.exec(text)?.[1]
    const row = id === undefined ? undefined : (this.#database.prepare('SELECT * FROM keys WHERE id = ?').get(id) as Row | undefined)
    const right = timingSafeEqual(hashOf(text), row === undefined ? NO_HASH : (row['hash'] as Uint8Array))
    if (row === undefined || !right) return undefined
    const key = viewOf(row)
    const now = this.#clock()
    if (key.revoked_at !== undefined || (key.expires_at !== undefined && Date.parse(key.expires_at) <= now)) return undefined
    if (now - (this.#used.get(key.id) ?? -Infinity) > USED_MS) {
      this.#used.set(key.id, now)
      try {
        this.#database.prepare('UPDATE keys SET used_at = ? WHERE id = ?').run(formatTime(now), key.id)
      } catch {
        // when it was used is a convenience: a disk that is full must not keep readers out
      }
    }
    return key
  }

  get(id: string): KeyView | undefined {
    const row = this.#database.prepare('SELECT * FROM keys WHERE id = ?').get(id) as Row | undefined
    return row === undefined ? undefined : viewOf(row)
  }

  /** Of a tenant, oldest first; of one principal where it is named. */
  list(tenant: string, principal?: string): KeyView[] {
    const all = principal === undefined
      ? this.#database.prepare('SELECT * FROM keys WHERE tenant = ? ORDER BY created_at, id').all(tenant)
      : this.#database.prepare('SELECT * FROM keys WHERE tenant = ? AND principal = ? ORDER BY created_at, id').all(tenant, principal)
    return rowsOf(all).map(viewOf)
  }

  /** Takes a key out of force, at once and for good. False where there is none of that tenant. */
  revoke(tenant: string, id: string): boolean {
    return Number(this.#database.prepare('UPDATE keys SET revoked_at = ? WHERE tenant = ? AND id = ? AND revoked_at IS NULL').run(formatTime(this.#clock()), tenant, id).changes) > 0
  }
}

const NO_HASH: Uint8Array = new Uint8Array(32)

function hashOf(text: string): Uint8Array {
  return createHash('sha256').update(text).digest()
}

function viewOf(row: Row): KeyView {
  const { roles } = row
  return {
    id: textOf(row, 'id'), tenant: textOf(row, 'tenant'), principal: textOf(row, 'principal'), name: textOf(row, 'name'), created_at: textOf(row, 'created_at'),
    ...(typeof roles === 'string' ? { roles: JSON.parse(roles) as Role[] } : {}),
    ...(typeof row['expires_at'] === 'string' ? { expires_at: row['expires_at'] } : {}), ...(typeof row['revoked_at'] === 'string' ? { revoked_at: row['revoked_at'] } : {}), ...(typeof row['used_at'] === 'string' ? { used_at: row['used_at'] } : {}),
  }
}

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** `bytes` as a number of exactly `length` digits in base 62. */
function base62(bytes: Uint8Array, length: number): string {
  let number = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  let text = ''
  for (let i = 0; i < length; i++) {
    text = DIGITS[Number(number % 62n)]! + text
    number /= 62n
  }
  return text
}
