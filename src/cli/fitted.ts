// Content of a record in one line of a given width. An argument is shown whole or not at all, and how many are missing is said: `"amount":9…`
// would be read as another amount. Only long text is cut, with `…` before its closing quote.

import { parseShallowJson } from '../base/shallow-json.ts'
import { Absent } from '../event/view.ts'
import { cut, fitColumns, fits, plural, visible, width } from './terminal.ts'

const MIN_TEXT = 12 // columns that a cut text needs to say anything
const MAX_ID = 64 // a hash in hex digits: what is longer, or has blanks, is text
const MAX_PARTS = 50 // more than any line can show
const MAX_LEAF = 5000

/** Text as a quotation: what it holds cannot end the quotation and go on as ours. */
export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** Any payload's value in one line: text quoted, the rest as JSON, what is absent as `[erased by #877]`. */
export function compact(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (value instanceof Absent) return value.toString()
  if (value instanceof Uint8Array) return `<${plural(value.length, 'byte')}>`
  if (typeof value === 'string') {
    const read = parsed(value)
    return read === undefined ? quote(value) : JSON.stringify(read)
  }
  return JSON.stringify(value) ?? ''
}

/** `compact`, in at most `columns`: where JSON is too wide, `order_id:"1182",amount:42`, and then `order_id:"1182",… 1 more`. */
export function fitted(value: unknown, columns: number): string {
  const json = compact(value)
  if (fits(json, columns)) return visible(json)
  const read: unknown = typeof value === 'string' ? (parsed(value) ?? value) : value
  const parts = partsOf(read)
  return parts === undefined ? cut(json, columns) : fitParts(parts, columns)
}

/** Tools answer with JSON in a string; written anew it reads like the object it is, and still cannot end early. */
function parsed(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return parseShallowJson(text)
  } catch {
    return undefined
  }
}

interface Part { readonly lead: string; readonly value: unknown; readonly wanted: number; readonly least: number }

function partsOf(value: unknown): Part[] | undefined {
  if (!isNested(value)) return undefined
  const named = !Array.isArray(value)
  return Object.entries(value).map(([name, one]) => {
    const lead = !named ? '' : visible(/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name) ? `${name}:` : `${JSON.stringify(name)}:`)
    const wanted = width(lead) + width(leaf(one))
    return { lead, value: one, wanted, least: isText(one) || isNested(one) ? Math.min(wanted, width(lead) + MIN_TEXT) : wanted }
  })
}

const isNested = (value: unknown): value is object => typeof value === 'object' && value !== null && !(value instanceof Absent) && !(value instanceof Uint8Array)
const isText = (value: unknown): boolean => typeof value === 'string' && (value.length > MAX_ID || /\s/.test(value))

function leaf(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value !== 'string') return cut(compact(value), MAX_LEAF)
  return visible(value.length <= MAX_LEAF ? JSON.stringify(value) : `${JSON.stringify(value.slice(0, MAX_LEAF)).slice(0, -1)}…"`)
}

function fitParts(all: readonly Part[], columns: number): string {
  const kept: Part[] = []
  let used = 0
  for (const [i, part] of all.slice(0, MAX_PARTS).entries()) {
    const missing = i - kept.length
    const rest = missing === 0 && i === all.length - 1 ? 0 : 1 + more(all.length - kept.length - 1).length
    const own = (kept.length === 0 ? 0 : 1) + part.least
    if (used + own + rest > columns) continue
    kept.push(part)
    used += own
  }
  const missing = all.length - kept.length
  if (kept.length === 0) return missing === 0 ? '' : more(missing).length <= columns ? more(missing) : cut('…', columns)
  const spare = columns - used - (missing === 0 ? 0 : 1 + more(missing).length)
  const extra = fitColumns(kept.map(({ wanted, least }) => wanted - least), spare, 0, 0)
  const texts = kept.map(({ lead, value, least }, i) => lead + fitLeaf(value, least + extra[i]! - width(lead)))
  return [...texts, ...(missing === 0 ? [] : [more(missing)])].join(',')
}

const more = (n: number): string => `… ${n} more`

function fitLeaf(value: unknown, columns: number): string {
  const text = leaf(value)
  if (width(text) <= columns) return text
  const parts = partsOf(value)
  if (parts === undefined) return `${cut(text.slice(0, -1), columns - 1)}"`
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  return `${open}${fitParts(parts, columns - 2)}${close}`
}
