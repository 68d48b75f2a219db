// The text of an evidence bundle (docs/format.md §14): one canonical JSON document in a script block of an HTML page, in which `<` is always
// written \u003c, so that nothing in it ends the block. Parsing is strict: what is not exactly of the form is no bundle.

import { fromBase64, fromUtf8, toBase64 } from '../base/bytes.ts'
import { canonicalJson, type CanonicalValue } from '../base/canonical-json.ts'
import { isUuid } from '../base/ids.ts'
import { messageOf, MisuseError, VerifyError } from '../base/errors.ts'
import { MAX_ENTRY_BYTES, MAX_PAYLOAD_BYTES } from '../event/entry.ts'
import { MAX_NOTE_BYTES } from '../log/note.ts'

export const BUNDLE_FORMAT = 'counterfoil/bundle/v1'
/** The longest page, in UTF-16 units: what a JavaScript string can hold, with room. */
export const MAX_BUNDLE_LENGTH: number = 256 * 1024 * 1024
const MAX_ENTRIES = 1_000_000
const MAX_PAYLOADS = 4_000_000
const MAX_KEYS = 100
const OPENING = '<script type="application/json" id="counterfoil-bundle">'
const CLOSING = '</script>'

/** A payload that an entry of the bundle introduces: where it stands, and its bytes with their salt (base64), or that they are withheld. */
export type BundlePayload = { readonly index: number; readonly slot: string; readonly position: number; readonly media: string } & (
  | { readonly withheld: true }
  | { readonly salt: string; readonly text: string }
  | { readonly salt: string; readonly base64: string }
)

/** A bundle taken apart: claims, until `verifyBundle`. */
export interface Bundle {
  readonly format: typeof BUNDLE_FORMAT
  readonly origin: string
  readonly session_id: string
  readonly checkpoint: string
  /** One for each signature line of the checkpoint, in order; the first is the log's. */
  readonly keys: readonly string[]
  /** Ascending by index; `entry` is the base64 of its bytes. */
  readonly entries: readonly { readonly index: number; readonly entry: string }[]
  readonly proof: readonly string[]
  readonly payloads: readonly BundlePayload[]
}

/** The JSON text of `bundle`, as it stands in the block. RangeError for one that nobody would read back. */
export function formatBundle(bundle: Bundle): string {
  const text = spell(bundle as unknown as CanonicalValue)
  if (text.length > MAX_BUNDLE_LENGTH - 1024 * 1024) throw new MisuseError('bundle_too_large', `bundle: expected at most ${MAX_BUNDLE_LENGTH} characters, got ${text.length}`, 'disclose less of the content')
  return text
}

function spell(value: CanonicalValue): string {
  return canonicalJson(value).replaceAll('<', '\\u003c')
}

/** The block that carries the JSON text of a bundle. */
export function bundleBlock(json: string): string {
  return `${OPENING}${json}${CLOSING}`
}

/** The JSON text in a page, of which there must be exactly one. A MisuseError `not_a_bundle` for a file without any. */
export function bundleIn(page: string): string {
  if (page.length > MAX_BUNDLE_LENGTH) throw malformed(`expected at most ${MAX_BUNDLE_LENGTH} characters, got ${page.length}`)
  const start = page.indexOf(OPENING)
  if (start === -1) throw new MisuseError('not_a_bundle', 'bundle: expected a page with a block counterfoil-bundle, got none', 'counterfoil export writes one')
  if (page.indexOf(OPENING, start + 1) !== -1) throw malformed('expected one block counterfoil-bundle in the page, got more')
  const end = page.indexOf('<', start + OPENING.length)
  if (end === -1 || !page.startsWith(CLOSING, end)) throw malformed('expected the block to end with </script>')
  return page.slice(start + OPENING.length, end)
}

/** The bundle that a JSON text is. A VerifyError `bundle_malformed` that names the place, for anything else. Nothing is verified. */
export function parseBundle(json: string): Bundle {
  if (json.length > MAX_BUNDLE_LENGTH) throw malformed(`expected at most ${MAX_BUNDLE_LENGTH} characters, got ${json.length}`)
  let value: unknown
  let again: string
  try {
    value = JSON.parse(json)
    again = spell(value as CanonicalValue)
  } catch (error) {
    throw malformed(`expected canonical JSON: ${messageOf(error)}`)
  }
  if (again !== json) throw malformed(`expected canonical JSON with \\u003c for <, got another spelling from character ${differs(json, again)}`)
  const bundle = record(value, '', ['checkpoint', 'entries', 'format', 'keys', 'origin', 'payloads', 'proof', 'session_id'])
  if (bundle['format'] !== BUNDLE_FORMAT) throw malformed(`format: expected ${BUNDLE_FORMAT}, got ${shown(bundle['format'])}`)
  const session_id = string(bundle['session_id'], 'session_id', 36)
  if (!isUuid(session_id)) throw malformed(`session_id: expected a UUID, got ${shown(session_id)}`)
  string(bundle['origin'], 'origin', 4_096)
  string(bundle['checkpoint'], 'checkpoint', MAX_NOTE_BYTES)
  const keys = array(bundle['keys'], 'keys', 1, MAX_KEYS)
  keys.forEach((key, i) => string(key, `keys[${i}]`, 10_000))
  const entries = array(bundle['entries'], 'entries', 1, MAX_ENTRIES)
  let last = -1
  for (const [i, each] of entries.entries()) {
    const { index, entry } = record(each, `entries[${i}]`, ['entry', 'index'])
    if (integer(index, `entries[${i}].index`) <= last) throw malformed(`entries[${i}].index: expected more than ${last}, got ${String(index)}`)
    last = index as number
    bytes(entry, `entries[${i}].entry`, MAX_ENTRY_BYTES)
  }
  for (const [i, hash] of array(bundle['proof'], 'proof', 0, 53 * entries.length).entries()) if (bytes(hash, `proof[${i}]`, 32).length !== 32) throw malformed(`proof[${i}]: expected a hash of 32 bytes`)
  for (const [i, payload] of array(bundle['payloads'], 'payloads', 0, MAX_PAYLOADS).entries()) checkPayload(payload, `payloads[${i}]`)
  return value as Bundle
}

function checkPayload(value: unknown, where: string): void {
  const form = typeof value === 'object' && value !== null && !Array.isArray(value) ? ('withheld' in value ? ['withheld'] : 'text' in value ? ['salt', 'text'] : ['base64', 'salt']) : []
  const payload = record(value, where, [...form, 'index', 'media', 'position', 'slot'].sort())
  integer(payload['index'], `${where}.index`)
  integer(payload['position'], `${where}.position`)
  string(payload['slot'], `${where}.slot`, 64)
  string(payload['media'], `${where}.media`, 16)
  if ('withheld' in payload) {
    if (payload['withheld'] !== true) throw malformed(`${where}.withheld: expected true, got ${shown(payload['withheld'])}`)
    return
  }
  if (bytes(payload['salt'], `${where}.salt`, 32).length !== 32) throw malformed(`${where}.salt: expected 32 bytes`)
  if ('text' in payload) string(payload['text'], `${where}.text`, MAX_PAYLOAD_BYTES)
  else if (asText(bytes(payload['base64'], `${where}.base64`, MAX_PAYLOAD_BYTES)) !== undefined) throw malformed(`${where}.base64: expected text, since its bytes are UTF-8`)
}

/** How a payload's bytes stand in a bundle: as text wherever they are UTF-8. */
export function payloadBytes(content: Uint8Array): { readonly text: string } | { readonly base64: string } {
  const text = asText(content)
  return text === undefined ? { base64: toBase64(content) } : { text }
}

function asText(content: Uint8Array): string | undefined {
  try {
    return fromUtf8(content)
  } catch {
    return undefined
  }
}

function record(value: unknown, where: string, names: readonly string[]): { readonly [name: string]: unknown } {
  const at = where === '' ? '' : `${where}: `
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(`${at}expected an object, got ${shown(value)}`)
  const got = Object.keys(value)
  const odd = got.find((name) => !names.includes(name)) ?? names.find((name) => !got.includes(name))
  if (odd !== undefined) throw malformed(`${at}expected the members ${names.join(', ')}, got ${got.map((name) => shown(name)).join(', ').slice(0, 200)}`)
  return value as { readonly [name: string]: unknown }
}

function array(value: unknown, where: string, min: number, max: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length < min || value.length > max) throw malformed(`${where}: expected an array of ${min} to ${max}, got ${Array.isArray(value) ? value.length : shown(value)}`)
  return value
}

function string(value: unknown, where: string, max: number): string {
  if (typeof value !== 'string' || value.length > max) throw malformed(`${where}: expected a string of at most ${max} characters, got ${shown(value)}`)
  return value
}

function integer(value: unknown, where: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw malformed(`${where}: expected an integer from 0, got ${shown(value)}`)
  return value as number
}

function bytes(value: unknown, where: string, max: number): Uint8Array {
  try {
    return fromBase64(string(value, where, Math.ceil(max / 3) * 4))
  } catch (error) {
    throw error instanceof VerifyError ? error : malformed(`${where}: ${messageOf(error)}`)
  }
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 60)
}

function differs(a: string, b: string): number {
  let i = 0
  while (i < a.length && a[i] === b[i]) i++
  return i
}

function malformed(message: string): VerifyError {
  return new VerifyError('bundle_malformed', `bundle: ${message}`, 'ask for the file again')
}
