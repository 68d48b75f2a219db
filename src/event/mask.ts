// Masks cut out of a payload what must not be recorded at all, before anything is hashed. What is cut is replaced by `[masked:NAME]`.
// JSON stays JSON of the same structure: strings are masked as what they say, however they are escaped, and everything else keeps its bytes.
// Every pattern here takes linear time: what it reads was written by anybody.

import { MisuseError } from '../base/errors.ts'
import type { Media } from './draft.ts'
import { isLabel, quote } from './label.ts'
import { MAX_MASK_LENGTH, MAX_MASKS } from './entry.ts'

/** Spans of a text, as offsets in UTF-16 units; `end` is exclusive. */
export type Spans = Iterable<[start: number, end: number]>

/**
 * What to cut out: everything that `find` matches in a text, or in one string or number of a JSON text. `name` is a label of at most 32
 * characters. A `find` that throws cuts the whole text. `hint` is optional and cheap: false when `find` cannot match anywhere in a text.
 */
export type Mask = { name: string; find: RegExp | ((text: string) => Spans); hint?: (text: string) => boolean }

export interface Masked {
  readonly text: string
  /** The names of the masks that cut something, sorted; when more than four did, three of them and `others`. */
  readonly masked: string[]
}

/** Throws a MisuseError unless each of `masks` has a name that a ref can carry. For when a trail is opened. */
export function checkMasks(masks: readonly Mask[]): void {
  for (const { name } of masks) {
    if (isLabel(name) && name.length <= MAX_MASK_LENGTH) continue
    throw new MisuseError('bad_mask', `event: expected a mask name that is a label of at most ${MAX_MASK_LENGTH} characters, got ${quote(name)}`, 'rename the mask: its name stays in the log')
  }
}

/**
 * `text` without what `masks` match. The first mask that starts at a place names it; what overlaps goes with it. JSON of media `json` is
 * masked string by string and number by number (a number that matches becomes a string); text that is not JSON is masked as text.
 * Cost on clean text: a few passes of `indexOf`; otherwise linear for the masks of this file.
 */
export function applyMasks(text: string, media: Media, masks: readonly Mask[]): Masked {
  const worth = media === 'json' ? worthLooking(text, masks) : possible(text, masks)
  if (worth.length === 0) return { text, masked: [] }
  const found = new Set<string>()
  const out = media === 'json' ? maskJson(text, masks, found, 0) : maskText(text, worth, found)
  return { text: out, masked: bounded([...found].sort()) }
}

function bounded(names: string[]): string[] {
  return names.length <= MAX_MASKS ? names : [...names.slice(0, MAX_MASKS - 1), 'others']
}

function possible(text: string, masks: readonly Mask[]): readonly Mask[] {
  return masks.filter(({ hint }) => hint === undefined || hint(text))
}

function maskText(text: string, masks: readonly Mask[], found: Set<string>): string {
  const cuts = cutsIn(text, masks)
  let [out, at] = ['', 0]
  for (const { start, end, name } of cuts) {
    found.add(name)
    out += `${text.slice(at, start)}[masked:${name}]`
    at = end
  }
  return at === 0 ? text : out + text.slice(at)
}

interface Cut { start: number; end: number; name: string }

/** What `masks` find in `text`: ascending, without overlap, never between the halves of a surrogate pair. */
function cutsIn(text: string, masks: readonly Mask[]): Cut[] {
  const cuts: Cut[] = []
  for (const { name, find, hint } of masks) {
    if (hint !== undefined && !hint(text)) continue // most strings of a text that holds a secret somewhere
    for (const [start, end] of spansOf(text, find)) {
      if (start < end) cuts.push({ start: isLow(text, start) ? start - 1 : start, end: isLow(text, end) ? end + 1 : end, name })
    }
  }
  if (cuts.length < 2) return cuts
  cuts.sort((a, b) => a.start - b.start)
  const merged: Cut[] = []
  for (const cut of cuts) {
    const last = merged.at(-1)
    if (last !== undefined && cut.start < last.end) last.end = Math.max(last.end, cut.end)
    else merged.push(cut)
  }
  return merged
}

function isLow(text: string, at: number): boolean {
  return at > 0 && at < text.length && (text.charCodeAt(at) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800
}

function spansOf(text: string, find: Mask['find']): [number, number][] {
  try {
    if (typeof find === 'function') return [...find(text)].map(([start, end]) => [clamp(start, text), clamp(end, text)])
    const global = find.global ? find : new RegExp(find, `${find.flags}g`)
    return Array.from(text.matchAll(global), (match) => [match.index, match.index + match[0].length])
  } catch {
    return [[0, text.length]] // what cannot be looked at is not recorded
  }
}

function clamp(offset: number, text: string): number {
  return Math.min(Math.max(0, Math.trunc(offset) || 0), text.length)
}

// ---- JSON ----------------------------------------------------------------------------------------------------------------------

const MAX_NESTING = 4

// An escape behind which a printable ASCII character may hide; JSON.stringify and its like make none, so most JSON has none.
const ODD_ESCAPE = /\\(?:u00[2-7]|\/)/

/** The masks that may find something in a JSON text. */
function worthLooking(text: string, masks: readonly Mask[]): readonly Mask[] {
  return text.includes('\\') && ODD_ESCAPE.test(text) ? masks : possible(text, masks)
}

function maskJson(text: string, masks: readonly Mask[], found: Set<string>, nesting: number): string {
  const worth = worthLooking(text, masks)
  if (worth.length === 0) return text
  const tokens = tokensOf(text)
  if (tokens === undefined) return maskText(text, worth, found)
  let [out, at, keys] = ['', 0, 0]
  for (const { start, end, kind } of tokens) {
    const token = text.slice(start, end)
    let masked = kind === 'number' ? maskNumber(token, worth, found) : maskString(token, worth, found, nesting)
    if (masked === token) continue
    if (kind === 'key' && keys++ > 0) masked = `${masked.slice(0, -1)} ${keys}"` // two keys that are cut stay two
    out += text.slice(at, start) + masked
    at = end
  }
  return at === 0 ? text : out + text.slice(at)
}

function maskNumber(token: string, masks: readonly Mask[], found: Set<string>): string {
  const masked = maskText(token, masks, found)
  return masked === token ? token : JSON.stringify(masked)
}

/** A string with its quotes, masked as what it says. Its escapes stay as they are where nothing is cut. */
function maskString(token: string, masks: readonly Mask[], found: Set<string>, nesting: number): string {
  const raw = token.slice(1, -1)
  const value = raw.includes('\\') ? decode(token) : raw
  if (value === undefined) return maskRaw(raw, masks, found)
  if (nesting < MAX_NESTING && isJsonContainer(value)) {
    const inner = maskJson(value, masks, found, nesting + 1)
    return inner === value ? token : JSON.stringify(inner)
  }
  const cuts = cutsIn(value, masks)
  if (cuts.length === 0) return token
  const offsets = value === raw ? undefined : rawOffsets(raw)
  let [out, at] = ['"', 0]
  for (const { start, end, name } of cuts) {
    found.add(name)
    out += `${raw.slice(at, offsets?.[start] ?? start)}[masked:${name}]`
    at = offsets?.[end] ?? end
  }
  return `${out}${raw.slice(at)}"`
}

function maskRaw(raw: string, masks: readonly Mask[], found: Set<string>): string {
  const masked = maskText(raw, masks, found)
  return masked === raw ? `"${raw}"` : JSON.stringify(masked)
}

function decode(token: string): string | undefined {
  try {
    return JSON.parse(token) as string
  } catch {
    return undefined
  }
}

/** Where each UTF-16 unit of the decoded string begins in `raw`, and after the last its end. */
function rawOffsets(raw: string): number[] {
  const offsets: number[] = []
  for (let at = 0; at < raw.length; ) {
    offsets.push(at)
    at += raw[at] !== '\\' ? 1 : raw[at + 1] === 'u' ? 6 : 2
  }
  offsets.push(raw.length)
  return offsets
}

/** Tool arguments often come as JSON in a string: its own strings are masked, so that it stays JSON too. */
function isJsonContainer(value: string): boolean {
  const first = value.trimStart()[0]
  if (first !== '{' && first !== '[') return false
  try {
    JSON.parse(value)
    return true
  } catch {
    return false
  }
}

interface Token { readonly start: number; readonly end: number; readonly kind: 'key' | 'string' | 'number' }

/** The strings and numbers of a JSON text in order; undefined when it is no JSON. */
function tokensOf(text: string): Token[] | undefined {
  const tokens: Token[] = []
  let at = 0
  while (at < text.length) {
    const open = text.indexOf('"', at)
    if (!pushNumbers(text, at, open === -1 ? text.length : open, tokens)) return undefined
    if (open === -1) return tokens
    const end = closingQuote(text, open) + 1
    if (end === 0) return undefined
    tokens.push({ start: open, end, kind: isKey(text, end) ? 'key' : 'string' })
    at = end
  }
  return tokens
}

function closingQuote(text: string, open: number): number {
  for (let at = text.indexOf('"', open + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let first = at
    while (text[first - 1] === '\\' && first - 1 > open) first--
    if ((at - first) % 2 === 0) return at
  }
  return -1
}

function isKey(text: string, at: number): boolean {
  let next = at
  while (text[next] === ' ' || text[next] === '\n' || text[next] === '\r' || text[next] === '\t') next++
  return text[next] === ':'
}

const STRUCTURE = /[\s[\]{},:]+|true|false|null|(-?\d[\d.eE+-]*)/y

function pushNumbers(text: string, from: number, to: number, tokens: Token[]): boolean {
  STRUCTURE.lastIndex = from
  while (STRUCTURE.lastIndex < to) {
    const start = STRUCTURE.lastIndex
    const match = STRUCTURE.exec(text)
    if (match === null) return false
    if (match[1] !== undefined) tokens.push({ start, end: STRUCTURE.lastIndex, kind: 'number' })
  }
  return true
}

// ---- the default masks ---------------------------------------------------------------------------------------------------------

/** What `pattern` (global) matches, without its first group: what introduces a secret stays readable. */
function after(pattern: RegExp): (text: string) => Spans {
  return (text) => Array.from(text.matchAll(pattern), (match) => [match.index + (match[1]?.length ?? 0), match.index + match[0].length])
}

// Every text that is recorded goes through every hint. Measured on 4 KB of prose: `includes` of a needle that begins with a rare character, and an
// expression that begins with a class of few rare ones (what comes before is looked back at), take 0.05 to 0.5 µs; an alternation of words 1 to 3 µs.
function holds(pattern: RegExp): (text: string) => boolean {
  return (text) => pattern.test(text)
}

// Not \b: it is also true within a run of word characters and hyphens, and every start in a long run is a scan of its rest.
const PROVIDER_KEY = /(?<![A-Za-z0-9_-])(?:sk-ant-[A-Za-z0-9_-]{16,}|sk-(?:proj|svcacct|admin|or-v1)-[A-Za-z0-9_-]{16,}|sk-[A-Za-z0-9]{20,}|[rs]k_live_[A-Za-z0-9]{16,}|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{30,}|xai-[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|glpat-[A-Za-z0-9_-]{20,})/g
const AWS_KEY = /(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])/g
const GITHUB_TOKEN = /(?<![A-Za-z0-9_])(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})/g
const SLACK_TOKEN = /(?<![A-Za-z0-9_-])(?:xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,})/g
const JWT = /(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g
const AUTHORIZATION = /(\bbearer[ \t]{1,8}|\bauthorization["']?[ \t]{0,8}[:=][ \t]{0,8}["']?(?:basic|token|digest|apikey)[ \t]{1,8})[A-Za-z0-9._~+/=-]{8,}/gi
const SECRET_PARAMETER = /([?&;](?:password|passwd|pwd|secret|token|access_token|refresh_token|client_secret|api_?key)=)[^&;\s"'#<>]+/gi
const URL_PASSWORD = /(:\/\/[^\s:@/?#"]{0,256}:)[^\s@/?#"]{1,256}(?=@)/g

const KEY_DASH = /[-_](?<=sk-|k_live_|hf_|gsk_|xai-|npm_|glpat-)/
// no blank after it: a tab is two characters in JSON, and a hint sees it as it stands there
const AUTHORIZING = /[bB](?=[eE][aA][rR][eE][rR])|[zZ](?<=[aA][uU][tT][hH][oO][rR][iI][zZ])/

/**
 * Secrets (keys of providers and clouds, private keys, JSON Web Tokens, authorization headers, passwords in URLs) and card numbers. A
 * secret that has no form of its own, as a password in a sentence, is not found.
 */
export const defaultMasks: readonly Mask[] = [
  { name: 'api_key', find: PROVIDER_KEY, hint: (text) => KEY_DASH.test(text) || text.includes('AIza') },
  { name: 'aws_key', find: AWS_KEY, hint: (text) => text.includes('AKIA') || text.includes('ASIA') },
  { name: 'github_token', find: GITHUB_TOKEN, hint: holds(/[-_](?<=gh[pousr]_|github_pat_)/) },
  { name: 'slack_token', find: SLACK_TOKEN, hint: (text) => text.includes('xox') || text.includes('xapp-') },
  { name: 'private_key', find: findPrivateKeys, hint: (text) => text.includes('PRIVATE KEY') },
  { name: 'jwt', find: JWT, hint: (text) => text.includes('.eyJ') },
  { name: 'authorization', find: after(AUTHORIZATION), hint: (text) => AUTHORIZING.test(text) && /earer|EARER|uthoriz|UTHORIZ/.test(text) },
  { name: 'password', find: (text) => [...after(SECRET_PARAMETER)(text), ...after(URL_PASSWORD)(text)], hint: mayHoldPassword },
  { name: 'card', find: findCards, hint: holds(/[2-6](?=\d\d(?:[ -]?\d){10})/) },
]

const PARAMETER_NAME = /[?&;](?:password|passwd|pwd|secret|token|access_token|refresh_token|client_secret|api_?key)$/i

/** Looks only at each `=` and each `://`: the expressions themselves cost five times as much on a text full of ordinary URLs. */
function mayHoldPassword(text: string): boolean {
  for (let at = text.indexOf('='); at !== -1; at = text.indexOf('=', at + 1)) {
    if ('dntyDNTY'.includes(text[at - 1] ?? ' ') && PARAMETER_NAME.test(text.slice(Math.max(0, at - 16), at))) return true
  }
  if (!text.includes('@')) return false
  for (let at = text.indexOf('://'); at !== -1; at = text.indexOf('://', at + 3)) {
    if (text.slice(at, at + 520).includes('@')) return true
  }
  return false
}

const BEGIN_KEY = /-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g

/** From BEGIN to the next END line, or to the end of a text that was cut off in between. */
function* findPrivateKeys(text: string): Spans {
  let at = 0
  for (const { index, 0: begin } of text.matchAll(BEGIN_KEY)) {
    if (index < at) continue
    const end = text.indexOf('-----END ', index + begin.length)
    const close = end === -1 ? -1 : text.indexOf('-----', end + 9)
    at = close === -1 ? text.length : close + 5
    yield [index, at]
  }
}

const DIGIT_RUN = /\d+(?:[ -]\d+)*/g

/** Card numbers: 13 to 19 digits, in one piece or in groups of 3 to 6 (the last from 1), with a plausible issuer and a right check digit. */
function* findCards(text: string): Spans {
  for (const { index, 0: run } of text.matchAll(DIGIT_RUN)) {
    if (run.length < 13) continue
    const groups: { start: number; digits: string }[] = []
    for (const group of run.matchAll(/\d+/g)) groups.push({ start: index + group.index, digits: group[0] })
    for (let first = 0; first < groups.length; first++) {
      const last = cardEnd(text, groups, first)
      if (last === undefined) continue
      yield [groups[first]!.start, groups[last]!.start + groups[last]!.digits.length]
      first = last
    }
  }
}

/** The last group of the longest card number that begins with group `first`. */
function cardEnd(text: string, groups: readonly { start: number; digits: string }[], first: number): number | undefined {
  let [digits, found]: [string, number | undefined] = ['', undefined]
  for (let last = first; last < groups.length; last++) {
    const group = groups[last]!
    digits += group.digits
    if (digits.length > 19) break
    const grouped = last > first
    if (grouped && (groups[last - 1]!.digits.length < 3 || groups[last - 1]!.digits.length > 6 || group.digits.length > 6)) break
    if (digits.length >= 13 && isCard(digits) && standsAlone(text, groups[first]!.start, group.start + group.digits.length)) found = last
  }
  return found
}

/** Not a part of an identifier, and not the digits of a fraction. */
function standsAlone(text: string, start: number, end: number): boolean {
  return !/[A-Za-z0-9_]$|\d\.$/.test(text.slice(Math.max(0, start - 2), start)) && !/^(?:[A-Za-z0-9_]|\.\d)/.test(text.slice(end, end + 2))
}

// Issuers and lengths: ISO/IEC 7812 ranges of Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay, Maestro.
const ISSUERS: readonly (readonly [RegExp, readonly number[]])[] = [
  [/^4/, [13, 16, 19]],
  [/^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, [16]],
  [/^3[47]/, [15]],
  [/^3(?:0[0-5]|[689])/, [14, 15, 16, 17, 18, 19]],
  [/^(?:6011|64[4-9]|65|62|35(?:2[89]|[3-8]))/, [16, 17, 18, 19]],
  [/^(?:5018|5020|5038|5893|6304|6759|676[123])/, [13, 14, 15, 16, 17, 18, 19]],
]

function isCard(digits: string): boolean {
  return ISSUERS.some(([prefix, lengths]) => prefix.test(digits) && lengths.includes(digits.length)) && luhn(digits)
}

function luhn(digits: string): boolean {
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 48
    sum += i % 2 === 0 ? digit : digit > 4 ? 2 * digit - 9 : 2 * digit
  }
  return sum % 10 === 0
}
