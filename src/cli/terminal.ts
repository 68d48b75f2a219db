// Text for a terminal. Everything the command line prints goes through `render`, and `render` makes visible whatever could move
// the cursor, colour the terminal, forge a line or hide in it: a record holds what attackers wrote (Trojan Source, CVE-2021-42574;
// escape-sequence injection, CWE-150). A screen is made of lines of spans, so that no text of a record ever stands beside a
// control sequence of ours before it is cleaned.

import { createColors } from 'picocolors'

export type Style = 'bold' | 'grey' | 'red' | 'green' | 'yellow' | 'cyan'

/** A piece of text with a style of ours. The text may be anything, from anybody. A line with a `whole` span is not cut: it is there to be copied. */
export interface Span { readonly text: string; readonly style?: Style; readonly whole?: true }

/** One line of a screen; a string is a span without style. */
export type Line = readonly (string | Span)[]

export const bold = (text: string): Span => ({ text, style: 'bold' })
export const grey = (text: string): Span => ({ text, style: 'grey' })
export const red = (text: string): Span => ({ text, style: 'red' })
export const green = (text: string): Span => ({ text, style: 'green' })
export const yellow = (text: string): Span => ({ text, style: 'yellow' })
export const cyan = (text: string): Span => ({ text, style: 'cyan' })
/** A path, a key or a command that somebody copies: the terminal may break its line, we do not, or what is copied would be wrong. */
export const whole = (text: string, style?: Style): Span => ({ text, whole: true, ...(style === undefined ? {} : { style }) })

/** How a screen is rendered: `columns` is where lines are cut (Infinity: nowhere). */
export interface Rendering { readonly color: boolean; readonly columns: number }

const PLAIN = createColors(false)
const COLORED = createColors(true)

/** `line` as one line of text, without a line break, at most `columns` wide unless it is whole. The only way from a record to a terminal. */
export function render(line: Line, { color, columns: most }: Rendering): string {
  const paint = color ? COLORED : PLAIN
  const columns = line.some((part) => typeof part !== 'string' && part.whole) ? Infinity : most
  const spans = line.map((part) => (typeof part === 'string' ? { text: part } : part))
    .map((span: Span) => ({ ...span, text: visible(head(span.text, columns)) }))
  const tooWide = spans.reduce((sum, span) => sum + width(span.text), 0) > columns
  let left = tooWide ? columns - 1 : columns
  let text = ''
  for (const span of spans) {
    const kept = tooWide ? fit(span.text, left) : span.text
    left -= width(kept)
    text += span.style === undefined || kept === '' ? kept : paint[span.style === 'grey' ? 'gray' : span.style](kept)
    if (kept !== span.text) break
  }
  return tooWide ? `${text}…` : text
}

// Controls, format characters, line and paragraph separators, lone surrogates, what is not assigned or private, and all
// that Unicode says may be drawn as nothing (zero-width, fillers, tags, variation selectors).
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Cn}\p{Co}\p{Default_Ignorable_Code_Point}]/u
const NEEDS_WORK = /[^\x20-\x7e]/
const MARK = /\p{M}/u
const EMOJI = /\p{Emoji}/u
const MAX_MARKS = 4 // as many as any written language stacks; beyond that they paint over the neighbouring lines

const SHORT: { readonly [character: string]: string } = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\b': '\\b', '\f': '\\f', '\v': '\\v' }

/** `text` with everything that is not plainly drawn in its place written as an escape: `\n`, `\x1b`, `\u202e`, `\u{e0041}`. Ordinary text comes back as it is. */
export function visible(text: string): string {
  if (!NEEDS_WORK.test(text)) return text
  let result = ''
  let marks = MAX_MARKS // a mark at the very start would sit on whatever we printed before it
  let previous = ''
  for (const character of text) {
    const selector = (character === '\ufe0f' || character === '\ufe0e') && EMOJI.test(previous)
    const mark = !selector && MARK.test(character)
    const bad = selector ? false : HIDDEN.test(character) || (mark && marks >= MAX_MARKS)
    result += bad ? escape(character) : character
    marks = bad ? MAX_MARKS : mark ? marks + 1 : 0
    previous = bad ? '' : character
  }
  return result
}

function escape(character: string): string {
  const short = SHORT[character]
  if (short !== undefined) return short
  const code = character.codePointAt(0)!
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`
  if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, '0')}`
  return `\\u{${code.toString(16)}}`
}

const GRAPHEMES = new Intl.Segmenter('en', { granularity: 'grapheme' })

// East Asian Width W and F of Unicode 16 that are not emoji by default, as first and last code point.
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f], [0x2329, 0x232a], [0x2630, 0x2637], [0x268a, 0x268f], [0x2e80, 0x303e], [0x3041, 0xa4cf], [0xa960, 0xa97f],
  [0xac00, 0xd7a3], [0xf900, 0xfaff], [0xfe10, 0xfe19], [0xfe30, 0xfe6f], [0xff01, 0xff60], [0xffe0, 0xffe6], [0x16fe0, 0x18aff],
  [0x1aff0, 0x1b2ff], [0x1d300, 0x1d376], [0x1f200, 0x1f265], [0x20000, 0x3fffd],
]
const EMOJI_BY_DEFAULT = /\p{Emoji_Presentation}/u

/** How many columns visible text takes. Where terminals differ it errs on the wide side. */
export function width(text: string): number {
  if (!NEEDS_WORK.test(text)) return text.length
  let sum = 0
  for (const { segment } of GRAPHEMES.segment(text)) sum += graphemeWidth(segment)
  return sum
}

function graphemeWidth(grapheme: string): number {
  if (grapheme.includes('\ufe0f')) return 2
  let sum = 0
  for (const character of grapheme) {
    if (/[\p{Mn}\p{Me}]/u.test(character)) continue
    const code = character.codePointAt(0)!
    sum += code > 0x10ff && (EMOJI_BY_DEFAULT.test(character) || WIDE.some(([from, to]) => code >= from && code <= to)) ? 2 : 1
  }
  // a flag is two regional indicators, an emoji with a skin tone two emoji: drawn as one
  return EMOJI_BY_DEFAULT.test(grapheme) ? Math.min(sum, 2) : sum
}

/** A cluster that is wider than the room there is cannot be cut. */
function firstOf(text: string): string {
  for (const { segment } of GRAPHEMES.segment(text)) return segment
  return ''
}

/** The beginning of visible text that is at most `columns` wide. */
function fit(text: string, columns: number): string {
  if (!NEEDS_WORK.test(text)) return text.slice(0, Math.max(0, columns))
  let left = columns
  let kept = ''
  for (const { segment } of GRAPHEMES.segment(text)) {
    left -= graphemeWidth(segment)
    if (left < 0) break
    kept += segment
  }
  return kept
}

/** Whether `text`, made visible, is at most `columns` wide. */
export function fits(text: string, columns: number): boolean {
  return head(text, columns) === text && width(visible(text)) <= columns
}

/** `text` made visible and cut to `columns`, with `…` where something is missing. */
export function cut(text: string, columns: number): string {
  const clean = visible(head(text, columns))
  if (width(clean) <= columns) return clean
  return columns < 1 ? '' : `${fit(clean, columns - 1)}…`
}

/** `text` made visible, cut and filled with blanks to exactly `columns`. */
export function pad(text: string, columns: number, side: 'left' | 'right' = 'left'): string {
  const clean = cut(text, columns)
  const blanks = ' '.repeat(Math.max(0, columns - width(clean)))
  return side === 'left' ? clean + blanks : blanks + clean
}

/** `text` in lines of at most `columns`, broken at blanks where there are any. Line breaks of the text are kept as breaks. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  for (const paragraph of text.split(/\r\n|\n/)) {
    let line = ''
    for (const word of visible(paragraph).split(/(?<= )/)) {
      if (width(line) + width(trimmed(word)) <= columns) {
        line += word
        continue
      }
      if (trimmed(line) !== '') lines.push(trimmed(line))
      line = word
      while (width(trimmed(line)) > columns) {
        const part = fit(line, columns) || firstOf(line)
        lines.push(part)
        line = line.slice(part.length)
      }
    }
    lines.push(trimmed(line))
  }
  return lines
}

/** `parts` joined by ` · `, in as many lines of at most `columns` as they need; a part that is wider has a line of its own. */
export function joined(parts: readonly Line[], columns: number): Line[] {
  const lines: (string | Span)[][] = [[]]
  let used = 0
  for (const part of parts) {
    const wide = lineWidth(part)
    if (used > 0 && used + 3 + wide > columns) {
      lines.push([])
      used = 0
    }
    lines.at(-1)!.push(...(used === 0 ? part : [' · ', ...part]))
    used += (used === 0 ? 0 : 3) + wide
  }
  return lines
}

/** How many columns a line takes when nothing of it is cut. */
export function lineWidth(line: Line): number {
  return line.reduce((sum, part) => sum + width(visible(typeof part === 'string' ? part : part.text)), 0)
}

/** Widths that fit into `room` with `gap` between them: narrow columns are shown whole, the wide ones share what is left; none is under `least`. */
export function fitColumns(wanted: readonly number[], room: number, gap = 2, least = 1): number[] {
  let left = room - gap * (wanted.length - 1)
  const widths: number[] = Array.from({ length: wanted.length }, () => 0)
  const ascending = wanted.map((columns, i) => ({ columns, i })).sort((a, b) => a.columns - b.columns)
  for (const [position, { columns, i }] of ascending.entries()) {
    const share = Math.max(least, Math.floor(left / (ascending.length - position)))
    widths[i] = Math.min(columns, share)
    left -= widths[i]
  }
  return widths
}

/** Without the spaces at its end; other blanks of a record (U+00A0, U+3000) are content. */
function trimmed(line: string): string {
  let end = line.length
  while (line[end - 1] === ' ') end--
  return line.slice(0, end)
}

/** The beginning of `text` that is certainly enough for `columns`: nobody cleans 50 MB to show 80 columns of it. */
function head(text: string, columns: number): string {
  const enough = columns * 12 + 100 // a column can hold a cluster of several code units
  return text.length <= enough ? text : text.slice(0, enough).replace(/[\ud800-\udbff]$/, '')
}

/** `value` as JSON in which everything `visible` would escape is escaped: the same value for a parser, harmless in a terminal. */
export function safeJson(value: unknown): string {
  const text = JSON.stringify(value, (_, item: unknown) => (item instanceof Uint8Array ? { bytes: Buffer.from(item).toString('base64') } : item)) ?? 'null'
  if (!NEEDS_WORK.test(text)) return text
  return text.replace(new RegExp(HIDDEN, 'gu'), (character) => {
    let escaped = ''
    for (let i = 0; i < character.length; i++) escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
    return escaped
  })
}

/** A record's id as people read and type it: its last 8 digits. */
export function shortId(id: string): string {
  return id.slice(-8)
}

export function count(n: number): string {
  return n.toLocaleString('en-US')
}

/** `1 event`, `2 events`. */
export function plural(n: number, one: string, many: string = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`
}

/** A duration as people say it: `29 ms`, `41.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 99_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60]
  if (days > 0) return hours === 0 ? `${count(days)} d` : `${count(days)} d ${hours} h`
  if (hours > 0) return minutes === 0 ? `${hours} h` : `${hours} h ${minutes} min`
  return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`
}

/** A file's size: `812 B`, `4.2 kB`, `1.3 GB`. */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let [value, unit] = [n, 0]
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1]
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`
}
