// Attributes on their way into an event: what is taken has found its place, and the rest is kept as it came.

import { isRecord } from '../../event/kind.ts'
import type { Json } from '../../event/public.ts'
import { parseShallowJson } from '../../base/shallow-json.ts'
import type { Attributes } from './request.ts'

/** Elements of one flattened list, and how deep its names go; what is beyond stays with the rest. */
const MAX_ELEMENTS = 10_000
const MAX_SEGMENTS = 24

export class Taking {
  readonly #attributes: Attributes
  readonly #at = new Map<string, number>()
  readonly #taken = new Set<number>()
  /** Names without their last segments, as often as each begins one: asks for a flattened list that is not there cost nothing. */
  #prefixes: Set<string> | undefined

  constructor(attributes: Attributes) {
    this.#attributes = attributes
    for (const [at, [name]] of attributes.entries()) if (!this.#at.has(name)) this.#at.set(name, at)
  }

  has(name: string): boolean {
    return this.#at.has(name)
  }

  /** The value of `name`, which is not taken by that. */
  peek(name: string): Json | undefined {
    const at = this.#at.get(name)
    return at === undefined ? undefined : this.#attributes[at]![1]
  }

  take(name: string): Json | undefined {
    const at = this.#at.get(name)
    if (at === undefined) return undefined
    this.#taken.add(at)
    return this.#attributes[at]![1]
  }

  /** The first of `names` that `read` makes something of, taken. */
  first<T>(names: readonly string[], read: (value: Json) => T | undefined): T | undefined {
    for (const name of names) {
      const at = this.#at.get(name)
      const value = at === undefined || this.#taken.has(at) ? undefined : read(this.#attributes[at]![1])
      if (value === undefined) continue
      this.#taken.add(at!)
      return value
    }
    return undefined
  }

  text(...names: readonly string[]): string | undefined {
    return this.first(names, textIn)
  }

  count(...names: readonly string[]): number | undefined {
    return this.first(names, countIn)
  }

  /** Whether there is a list flattened under `prefix`, as `prefix.0.name`. */
  begins(prefix: string): boolean {
    if (this.#prefixes === undefined) {
      this.#prefixes = new Set()
      for (const name of this.#at.keys()) for (let dot = name.indexOf('.'), n = 0; dot > 0 && n < MAX_SEGMENTS; dot = name.indexOf('.', dot + 1), n++) this.#prefixes.add(name.slice(0, dot))
    }
    return this.#prefixes.has(prefix)
  }

  /** Takes what is flattened under `prefix` (`prefix.0.message.role`): the elements in the order of their numbers, each as the JSON that its names spell. */
  list(prefix: string): Json[] {
    if (!this.begins(prefix)) return []
    const tree = new Branch()
    for (const [name, at] of this.#at) {
      if (this.#taken.has(at) || !name.startsWith(`${prefix}.`)) continue
      const segments = name.slice(prefix.length + 1).split('.')
      if (!/^\d{1,5}$/.test(segments[0]!) || Number(segments[0]) >= MAX_ELEMENTS || segments.length > MAX_SEGMENTS) continue
      if (tree.put(segments, this.#attributes[at]![1])) this.#taken.add(at)
    }
    return tree.elements()
  }

  /** How many elements a list flattened under `prefix` had, by their numbers: exporters drop attributes beyond a limit, the oldest first. */
  reach(prefix: string): number {
    if (!this.begins(prefix)) return 0
    const numbers = [...this.#at.keys()].flatMap((name) => (name.startsWith(`${prefix}.`) ? (/^\d{1,5}(?=\.|$)/.exec(name.slice(prefix.length + 1)) ?? []) : []))
    return numbers.reduce((most, text) => (Number(text) < MAX_ELEMENTS ? Math.max(most, Number(text) + 1) : most), 0)
  }

  /** Takes all whose name begins with one of `prefixes`, by their whole names. */
  all(...prefixes: readonly string[]): { [name: string]: Json } | undefined {
    const found: [string, Json][] = []
    for (const [name, at] of this.#at) {
      if (this.#taken.has(at) || !prefixes.some((prefix) => name.startsWith(prefix))) continue
      this.#taken.add(at)
      found.push([name, this.#attributes[at]![1]])
    }
    return found.length === 0 ? undefined : Object.fromEntries(found)
  }

  /** What nobody took, by name; a name's further values as `name#2` and so on. Undefined when everything is taken. */
  rest(): { [name: string]: Json } | undefined {
    const found = new Map<string, Json>()
    const times = new Map<string, number>()
    for (const [at, [name, value]] of this.#attributes.entries()) {
      const time = (times.get(name) ?? 0) + 1
      times.set(name, time)
      if (!this.#taken.has(at)) found.set(time === 1 ? name : `${name}#${time}`, value)
    }
    return found.size === 0 ? undefined : Object.fromEntries(found)
  }
}

/** Names of a flattened value, one segment a level. A name is a leaf or a branch, whichever came first. */
class Branch {
  readonly #members = new Map<string, Json | Branch>()

  put(segments: readonly string[], value: Json): boolean {
    const [first, ...inner] = segments
    const member = this.#members.get(first!)
    if (inner.length === 0) {
      if (member === undefined) this.#members.set(first!, value)
      return member === undefined
    }
    if (member !== undefined) return member instanceof Branch && member.put(inner, value)
    const branch = new Branch()
    this.#members.set(first!, branch)
    return branch.put(inner, value)
  }

  elements(): Json[] {
    return [...this.#members].sort(([a], [b]) => Number(a) - Number(b)).map(([, member]) => (member instanceof Branch ? member.json() : member))
  }

  json(): Json {
    if ([...this.#members.keys()].every((name) => /^\d{1,5}$/.test(name))) return this.elements()
    return Object.fromEntries([...this.#members].map(([name, member]) => [name, member instanceof Branch ? member.json() : member]))
  }
}

export function textIn(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A count, also as the decimal text that some exporters send. */
export function countIn(value: Json | undefined): number | undefined {
  const number = typeof value === 'string' && /^\d{1,15}(?:\.0+)?$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined
}

export function numberIn(value: Json | undefined): number | undefined {
  const number = typeof value === 'string' && /^-?\d{1,15}(?:\.\d{1,15})?$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

/** The value of a JSON text; undefined for other texts. What nests deeper than 500 levels is one. */
export function jsonIn(value: Json | undefined): Json | undefined {
  if (typeof value !== 'string' || !/^\s*[[{"\d\-tfn]/.test(value)) return undefined
  try {
    return parseShallowJson(value) as Json
  } catch {
    return undefined
  }
}

export function fieldsOf(value: Json | undefined): { readonly [name: string]: Json | undefined } | undefined {
  return isRecord(value) ? value : undefined
}
