// What is read back, as JSON and as it was again: an Absent is `{"absent": why, "by": index}`, bytes are `{"base64": …}`. Recorded content may have that very
// form. It says so by standing in `{"json": …}`, and so does content of that form: what a reader finds there is content, whatever it looks like.
// Nothing else is changed, at no depth.

import { fromBase64, toBase64 } from '../base/bytes.ts'
import { Absent, type AbsentReason } from './view.ts'

type Fields = { readonly [name: string]: unknown }

/** `value` as JSON text; the opposite of `parseView`. */
export function formatView(value: unknown): string {
  return JSON.stringify(value, function (this: Fields, name: string, given: unknown): unknown {
    const own = this[name] // as it was before its toJSON
    if (own instanceof Absent) return given
    if (own instanceof Uint8Array) return { base64: toBase64(own) }
    return this instanceof Content || !isMark(given) ? given : new Content(given)
  })
}

/** The value that `formatView` was given. A mark that this version does not know stays as it came. A SyntaxError for what is no JSON. */
export function parseView(text: string): unknown {
  const top: { [name: string]: unknown } = { value: JSON.parse(text) }
  const waiting: object[] = [top] // and no recursion: content nests as deep as its author likes
  for (let holder = waiting.pop(); holder !== undefined; holder = waiting.pop()) {
    for (const [name, given] of Object.entries(holder)) {
      if (typeof given !== 'object' || given === null) continue
      const value = isMark(given) ? meantBy(given as Fields) : given
      if (value !== given) (holder as { [name: string]: unknown })[name] = value // its own already, also where it is __proto__
      if (typeof value === 'object' && value !== null && !(value instanceof Absent || value instanceof Uint8Array)) waiting.push(value)
    }
  }
  return top['value']
}

/** Content that looks like a mark. */
class Content {
  readonly json: unknown
  constructor(json: unknown) {
    this.json = json
  }
}

/** By its names alone, so that marks of a later version are no content to this one, nor content marks. */
function isMark(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const names = Object.keys(value)
  return names.length === 1 ? names[0] === 'absent' || names[0] === 'base64' || names[0] === 'json' : names.length === 2 && names.includes('absent') && names.includes('by')
}

const REASONS: ReadonlySet<unknown> = new Set<AbsentReason>(['erased', 'masked', 'withheld', 'forbidden', 'missing', 'no_key'])

function meantBy(mark: Fields): unknown {
  if (Object.hasOwn(mark, 'json')) return mark['json']
  const { absent, by, base64 } = mark
  if (typeof base64 === 'string') return bytesIn(base64) ?? mark
  return REASONS.has(absent) && (by === undefined || Number.isSafeInteger(by)) ? new Absent(absent as AbsentReason, by as number | undefined) : mark
}

function bytesIn(base64: string): Uint8Array | undefined {
  try {
    return fromBase64(base64)
  } catch {
    return undefined
  }
}
