// Cuts a JSON text into the exact source slices of an object's members and of its arrays' elements. Nothing is re-encoded, so
// that what is recorded is what went over the wire: spaces, escapes, long numbers and repeated keys included.
//
// `JSON.parse` decides what is JSON; the scanner below relies on that and only looks for boundaries. Linear time, no recursion.

/** One member as it stands in the source: its key decoded, its value as text. A key may occur twice. */
export interface Member { readonly key: string; readonly text: string }

/** An object of a JSON text. Reads its values from the one parse; makes slices when they are asked for. */
export class ObjectCut {
  readonly #source: () => string
  readonly #value: { readonly [key: string]: unknown }
  #members: Member[] | undefined

  /** `source` gives the object's text, which must be the JSON of `value`; it is asked at most once. */
  constructor(source: () => string, value: { readonly [key: string]: unknown }) {
    this.#source = source
    this.#value = value
  }

  /** The members in source order. */
  get members(): readonly Member[] {
    return (this.#members ??= cutMembers(this.#source()))
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
    return isObject(value) ? new ObjectCut(() => this.text(key)!, value) : undefined
  }
}

/** `text` cut open if it is a JSON object; undefined when it is another value or no JSON, and the caller keeps it whole. */
export function cutObject(text: string): ObjectCut | undefined {
  const value = parseJson(text)
  return isObject(value) ? new ObjectCut(() => text, value) : undefined
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

// Character codes and plain loops: measured 4 times faster here than regular expressions that jump from bracket to bracket.
const [TAB, LF, CR, SPACE, QUOTE, BACKSLASH] = [0x09, 0x0a, 0x0d, 0x20, 0x22, 0x5c]
const [COMMA, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x2c, 0x5b, 0x5d, 0x7b, 0x7d]

function isSpace(code: number): boolean {
  return code === SPACE || code === LF || code === CR || code === TAB
}

function skipSpace(text: string, at: number): number {
  while (isSpace(text.charCodeAt(at))) at++
  return at
}

function skipValue(text: string, at: number): number {
  const first = text.charCodeAt(at)
  if (first === QUOTE) return skipString(text, at)
  if (first === OPEN_OBJECT || first === OPEN_LIST) return skipNested(text, at)
  for (let end = at; ; end++) {
    const code = text.charCodeAt(end)
    if (code === COMMA || code === CLOSE_OBJECT || code === CLOSE_LIST || isSpace(code)) return end
  }
}

function skipNested(text: string, at: number): number {
  for (let depth = 0; ; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = skipString(text, at) - 1
    else if (code === OPEN_OBJECT || code === OPEN_LIST) depth++
    else if ((code === CLOSE_OBJECT || code === CLOSE_LIST) && --depth === 0) return at + 1
  }
}

// `indexOf` passes many characters at a time. Measured on a request of 100 KB: 0.15 ms to read it whole, 0.7 ms where each character is looked at.
function skipString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = end
    while (text.charCodeAt(backslashes - 1) === BACKSLASH) backslashes--
    if ((end - backslashes) % 2 === 0) return end + 1
  }
}
