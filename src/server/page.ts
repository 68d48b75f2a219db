// Lists in pages: `{ items, next }`. A cursor is opaque to whoever has it, and says where to go on, not what to leave out: what comes meanwhile is seen.

import { z } from './schema.ts'
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { HttpError } from './problem.ts'

export const MAX_PAGE = 1_000
const DEFAULT_PAGE = 100

export type PageQuery = { readonly limit: number; readonly cursor?: string | undefined }

export const pageQuery: z.ZodObject<{ limit: z.ZodDefault<z.ZodCoercedNumber>; cursor: z.ZodOptional<z.ZodString> }> = z.object({
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
  cursor: z.string().min(1).max(1_000).optional().openapi({ description: '`next` of the page before.' }),
})

/** A page of what `items` describes. */
export function pageSchema(items: z.ZodType, name: string): z.ZodObject {
  return z.object({ items: z.array(items), next: z.string().nullable() }).openapi(`${name}Page`)
}

/** A position as a cursor. */
export function encodeCursor(position: string): string {
  return Buffer.from(utf8(position)).toString('base64url')
}

/** The position in a cursor; HttpError 400 for anything else. */
export function decodeCursor(cursor: string): string {
  try {
    const bytes = Buffer.from(cursor, 'base64url')
    if (bytes.toString('base64url') === cursor && bytes.length > 0) return fromUtf8(bytes)
  } catch {
    // said below
  }
  throw badCursor()
}

export function badCursor(): HttpError {
  return new HttpError(400, 'bad_cursor', 'server: expected cursor to be the next of a page', 'begin without one')
}

/** A page of a list that is in memory, in the order of `keyOf`. */
export function pageOf<T>(all: readonly T[], keyOf: (item: T) => string, { limit, cursor }: PageQuery): Response {
  const after = cursor === undefined ? undefined : decodeCursor(cursor)
  const rest = after === undefined ? all : all.filter((item) => keyOf(item) > after)
  const items = rest.slice(0, limit)
  return Response.json({ items, next: rest.length > limit ? encodeCursor(keyOf(items.at(-1)!)) : null }, { headers: { 'cache-control': 'no-store' } })
}
