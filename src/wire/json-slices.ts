// Cuts a JSON text into the exact source slices of an object's members and of its arrays' elements. Nothing is re-encoded, so
// that what is recorded is what went over the wire: spaces, escapes, long numbers and repeated keys included.
//
// `JSON.parse` decides what is JSON; the scanner below relies on that and only looks for boundaries. Linear time, no recursion.

/** One member as it stands in the source: its key decoded, its value as text. A key may occur twice. */
export interface Member { readonly key: string; readonly text: string }

/** An object of a JSON text. Reads its values from the one parse; makes slices when they are asked for. */
export class ObjectCut {
  readonly #text: string
  readonly #value: { readonly [key: string]: unknown }
  #members: Member[] | undefined

  constructor(text: string, value: { readonly [key: string]: unknown }) {
    this.#text = text
    this.#value = value
  }

  /** The members in source order. */
  get members(): readonly Member[] {
    return (this.#members ??= cutMembers(this.#text))
  }

  /** The value of the own member `key` as `JSON.parse` sees it: of a repeated key the last. */
  value(key: string): unknown {
    return Object.hasOwn(this.#value, key) ? this.#value[key] : undefined
  }

  /** The source of that member's value. */
  text(key: string): string | undefined {
    return Object.hasOwn(this.#value, key) ? this.members.findLast((member) => member.key === key)!.text : undefined
  }

  /** The source of each element of the array `key`; undefined when it is no array. */
  elements(key: string): readonly string[] | undefined {
    return Array.isArray(this.value(key)) ? cutElements(this.text(key)!) : undefined
  }

  /** The object `key`; undefined when it is none. */
  object(key: string): ObjectCut | undefined {
    const value = this.value(key)
    return isObject(value) ? new ObjectCut(this.text(key)!, value) : undefined
  }
}

/** `text` cut open if it is a JSON object; undefined when it is another value or no JSON, and the caller keeps it whole. */
export function cutObject(text: string): ObjectCut | undefined {
  const value = parseJson(text)
  return isObject(value) ? new ObjectCut(text, value) : undefined
}

/** A JSON object with exactly these members, each as it came; the opposite of `cutObject`. */
export function joinMembers(members: readonly Member[]): string {
  return `{${members.map(({ key, text }) => `${JSON.stringify(key)}:${text}`).join(',')}}`
}

/** The value of `text`, or undefined when it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function cutMembers(text: string): Member[] {
  const members: Member[] = []
  let at = skipSpace(text, skipSpace(text, 0) + 1)
  while (text[at] !== '}') {
    const keyEnd = skipString(text, at)
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1) // past the colon
    const end = skipValue(text, start)
    members.push({ key: JSON.parse(text.slice(at, keyEnd)) as string, text: text.slice(start, end) })
    at = skipComma(text, end)
  }
  return members
}

function cutElements(text: string): string[] {
  const elements: string[] = []
  let at = skipSpace(text, skipSpace(text, 0) + 1)
  while (text[at] !== ']') {
    const end = skipValue(text, at)
    elements.push(text.slice(at, end))
    at = skipComma(text, end)
  }
  return elements
}

function skipComma(text: string, at: number): number {
  const next = skipSpace(text, at)
  return text[next] === ',' ? skipSpace(text, next + 1) : next
}

const SPACE = new Set([' ', '\t', '\n', '\r'])

function skipSpace(text: string, at: number): number {
  while (SPACE.has(text[at]!)) at++
  return at
}

function skipValue(text: string, at: number): number {
  const first = text[at]
  if (first === '"') return skipString(text, at)
  if (first === '{' || first === '[') return skipNested(text, at)
  return endOf(text, at, /[,\]}\s]/g)
}

function skipNested(text: string, at: number): number {
  const bracket = /["{}[\]]/g
  let depth = 0
  bracket.lastIndex = at
  for (;;) {
    const found = bracket.exec(text)!
    if (found[0] === '"') bracket.lastIndex = skipString(text, found.index)
    else if (found[0] === '{' || found[0] === '[') depth++
    else if (--depth === 0) return found.index + 1
  }
}

// A quote ends the string unless an odd number of backslashes stands before it. The runs counted are disjoint, so this is linear.
function skipString(text: string, at: number): number {
  for (let quote = text.indexOf('"', at + 1); ; quote = text.indexOf('"', quote + 1)) {
    let first = quote
    while (text[first - 1] === '\\') first--
    if ((quote - first) % 2 === 0) return quote + 1
  }
}

function endOf(text: string, at: number, end: RegExp): number {
  end.lastIndex = at
  return end.exec(text)?.index ?? text.length
}
