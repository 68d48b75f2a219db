// The values inside an act's input, and the parts of a long text.

import { Absent } from '../event/view.ts'

export interface Leaf { readonly path: string; readonly keys: readonly (string | number)[]; readonly value: unknown }

/** How many values of one input are looked up; an input with more says how many were left. */
export const MAX_LEAVES = 200
const MAX_DEPTH = 64

/** The leaves of a JSON value in order, with their paths. Empty objects and lists have none. */
export function leavesOf(input: unknown): { leaves: Leaf[]; left: number } {
  const leaves: Leaf[] = []
  let left = 0
  const walk = (value: unknown, keys: readonly (string | number)[]): void => {
    const deeper = typeof value === 'object' && value !== null && !(value instanceof Absent) && !(value instanceof Uint8Array) && keys.length < MAX_DEPTH
    if (deeper) for (const [key, item] of Array.isArray(value) ? value.entries() : Object.entries(value)) walk(item, [...keys, key])
    else if (leaves.length < MAX_LEAVES) leaves.push({ path: pathOf(keys), keys, value })
    else left++
  }
  if (input !== undefined && input !== null) walk(input, [])
  return { leaves, left }
}

/** The value at `keys` inside `input`, or undefined. */
export function valueAt(input: unknown, keys: readonly (string | number)[]): unknown {
  let value = input
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as { readonly [key: string | number]: unknown })[key]
  }
  return value
}

function pathOf(keys: readonly (string | number)[]): string {
  let path = ''
  for (const key of keys) {
    if (typeof key === 'number') path += `[${key}]`
    else if (!/^[\p{L}_$][\p{L}\p{N}_$-]*$/u.test(key)) path += `[${JSON.stringify(key)}]`
    else path += path === '' ? key : `.${key}`
  }
  return path
}

/** A text this long, or of several lines, is also looked up in parts. */
export const LONG_TEXT = 60
const MIN_SENTENCE = 12
const MIN_IDENTIFIER = 6
const MAX_PARTS = 50

export function isLong(text: string): boolean {
  return text.length > LONG_TEXT || /[\r\n]/.test(text.trim())
}

/** The lines and sentences of a text, trimmed, of 12 characters and more, with their offsets; at most 50. A sentence ends at `.`, `!` or `?` before white space. */
export function sentencesOf(text: string): { text: string; offset: number }[] {
  const sentences: { text: string; offset: number }[] = []
  for (const { 0: sentence, index } of text.matchAll(/\S(?:[^\r\n.!?]|[.!?](?!\s))*[.!?]*/gu)) {
    if (sentences.length === MAX_PARTS) break
    const trimmed = sentence.trimEnd()
    if (trimmed.length >= MIN_SENTENCE) sentences.push({ text: trimmed, offset: index })
  }
  return sentences
}

/** What looks like an identifier: a run without white space, quotes or brackets, of 6 characters and more, with a digit, `@`, `/`, `_` or an inner dot. */
export function identifiersOf(text: string): { text: string; offset: number }[] {
  const identifiers: { text: string; offset: number }[] = []
  for (const { 0: run, index } of text.matchAll(/[^\s"'`<>()[\]{},;]+/gu)) {
    if (identifiers.length === MAX_PARTS) break
    let end = run.length // by hand: /[.:!?]+$/ tries again from each dot of a long row of them
    while (end > 0 && '.:!?'.includes(run[end - 1]!)) end--
    const trimmed = run.slice(0, end)
    if (trimmed.length >= MIN_IDENTIFIER && (/[0-9@/_]/.test(trimmed) || /[^.]\.[^.]/.test(trimmed))) identifiers.push({ text: trimmed, offset: index })
  }
  return identifiers
}
