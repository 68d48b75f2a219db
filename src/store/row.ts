// Rows as the contract types them. A STRICT table checks what is written to it; a bit that flipped on the disk turns a blob into a
// text or a number, and nobody asks SQLite again. So each value is looked at when it is read.

import { StoreError } from '../base/errors.ts'
import type { Connection, Row, Value } from './connection.ts'
import type { ContentRow, EntryRow, Head, PlaceRow, ScopeRow, SegmentRow, SessionRow, SpoolRow, StreamRow, TileRow } from './contract.ts'

type Kind = 'integer' | 'text' | 'blob'
type Shape<T> = { readonly [K in keyof T]: Kind }

export const HEAD: Shape<Head> = { size: 'integer', checkpoint: 'text' }
export const ENTRY: Shape<EntryRow> = { index: 'integer', entry: 'blob' }
export const TILE: Shape<TileRow> = { level: 'integer', n: 'integer', hashes: 'blob' }
export const SESSION: Shape<SessionRow> = { session_id: 'text', row: 'text' }
/** `generation` is text in its table: see schema.ts. */
export const SCOPE: Shape<ScopeRow> = { scope: 'blob', session_id: 'text', k: 'integer', generation: 'integer', wrapped: 'blob' }
export const SEGMENT: Shape<SegmentRow> = { segment: 'integer', scope: 'blob', bytes: 'blob' }
export const SEGMENT_ID: Shape<Pick<SegmentRow, 'segment' | 'scope'>> = { segment: 'integer', scope: 'blob' }
export const PLACE: Shape<PlaceRow> = { index: 'integer', ordinal: 'integer', segment: 'integer', frame: 'integer', position: 'integer', frames: 'integer' }
export const CONTENT: Shape<ContentRow> = { scope: 'blob', key: 'blob', segment: 'integer', frame: 'integer', position: 'integer', frames: 'integer' }
export const SPOOL: Shape<SpoolRow> = { spool: 'text', offset: 'integer' }
export const STREAM: Shape<StreamRow> = { stream: 'text', session_id: 'text', spool: 'text', owner: 'text' }

/** What `sql` finds, each row of `shape`; a StoreError `corrupt` names the column that is of another type. */
export function rowsOf<T>(shape: Shape<T>, db: Connection, sql: string, ...values: Value[]): T[] {
  const rows = db.all(sql, ...values)
  for (const row of rows) check(shape, row, db)
  return rows as unknown as T[]
}

/** The one row that `sql` can find, as `rowsOf`: half the time where nothing is found. */
export function rowOf<T>(shape: Shape<T>, db: Connection, sql: string, ...values: Value[]): T | undefined {
  const row = db.get(sql, ...values)
  if (row !== undefined) check(shape, row, db)
  return row as T | undefined
}

function check<T>(shape: Shape<T>, row: Row, db: Connection): void {
  for (const column in shape) {
    const kind = kindOf(row[column] ?? null)
    if (kind !== shape[column]) throw new StoreError('corrupt', `store: ${db.name}: expected ${shape[column]} in the column ${column}, got ${kind}`, 'keep the file as it is, restore a backup, and compare both with "counterfoil verify"')
  }
}

function kindOf(value: Row[string]): string {
  if (value instanceof Uint8Array) return 'blob'
  if (typeof value === 'string') return 'text'
  return Number.isSafeInteger(value) ? 'integer' : value === null ? 'nothing' : 'another number'
}
