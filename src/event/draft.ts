// A draft is an event as a recorder hands it over: everything the recorder knows, and the payload bytes. The ledger adds
// position, time of recording and commitments and makes the entry of it. `encodeDraft` is what stands in a spool record.
//
//   draft bytes = u32be header length ‖ header (JSON) ‖ payload bytes, in the order in which the header names them

import { concat, fromUtf8, u32be, utf8 } from '../base/bytes.ts'
import { isRecord } from './kind.ts'
import type { Capture, KnownType, Outcome } from './vocabulary.ts'

/** How a payload's bytes are to be read. */
export type Media = 'json' | 'text' | 'bytes'

/**
 * New content. A string stands for its UTF-8 bytes and must be well formed. `of` says whose it is, by the reference that a `subject` event of this
 * session gave; the ledger knows the scope. `k` is the scope itself (default 0). `masked`: the masks that cut something out.
 */
export interface DraftPayload { readonly m: Media; readonly content: string | Uint8Array; readonly of?: string; readonly k?: number; readonly masked?: readonly string[] }

/** The payload of the same name in an earlier event of the session, by that event's id. */
export interface DraftSame { readonly same: string }

/** A list as a change: the first `keep` elements of the list of this name in event `base`, then `add`. At most 256 added per event, over all its lists. */
export interface DraftList { readonly base?: string; readonly keep?: number; readonly add: readonly DraftPayload[] }

export type DraftSlot = DraftPayload | DraftSame | DraftList

/** An event before it has a place in the log. `links` are facts that name an earlier event of the session by id; the ledger writes its seq. */
export interface Draft {
  readonly event_id: string
  readonly event_type: KnownType
  readonly session_id: string
  readonly stream?: string
  readonly stream_seq?: number
  readonly timestamp: string
  readonly parent_event_id?: string
  readonly step_number?: number
  readonly capture: Capture
  readonly outcome?: Outcome
  readonly facts: { readonly [name: string]: unknown }
  readonly links?: { readonly [fact: string]: string }
  readonly payloads: { readonly [name: string]: DraftSlot }
  /** The ids of the persons that its `identity` names, unmasked: the ledger keeps only keyed hashes of them. */
  readonly persons?: readonly string[]
}

/** The most persons that one scope can be of: a message carries the results of many calls. */
export const MAX_PERSONS = 8_192

export function isSame(slot: DraftSlot): slot is DraftSame {
  return 'same' in slot
}

export function isList(slot: DraftSlot): slot is DraftList {
  return 'add' in slot
}

type HeaderPayload = Omit<DraftPayload, 'content'> & { n: number }

/** Room for the next draft: its header ends where its contents begin. Pages that no draft reaches are never touched. */
const ROOM_BYTES = 1024 * 1024
const HEADER_ROOM = 8192
let room: Uint8Array | undefined
const encoder = new TextEncoder()

/** `draft` as bytes. */
export function encodeDraft(draft: Draft): Uint8Array {
  return writeDraft(draft).slice()
}

/**
 * `draft` as bytes that are there until the next draft is written: who keeps them copies them. Cost: one JSON.stringify of the small
 * fields, and each payload is encoded once, where it belongs.
 */
export function writeDraft(draft: Draft): Uint8Array {
  const contents: (string | Uint8Array)[] = []
  const sizes: HeaderPayload[] = []
  const lift = (payload: DraftPayload): HeaderPayload => {
    const { content, ...sized } = payload as DraftPayload & { n: number }
    sized.n = 0
    contents.push(content)
    sizes.push(sized)
    return sized
  }
  const payloads: { [name: string]: DraftSame | HeaderPayload | (Omit<DraftList, 'add'> & { add: HeaderPayload[] }) } = { __proto__: null } as never
  for (const name of Object.keys(draft.payloads)) {
    const slot = draft.payloads[name]!
    payloads[name] = isSame(slot) ? slot : isList(slot) ? { ...slot, add: slot.add.map(lift) } : lift(slot)
  }
  const out = (room ??= new Uint8Array(ROOM_BYTES))
  let end: number | undefined = HEADER_ROOM
  for (let i = 0; i < contents.length && end !== undefined; i++) {
    const to = put(out, end, contents[i]!)
    if (to !== undefined) sizes[i]!.n = to - end
    end = to
  }
  if (end !== undefined) {
    const start = putBefore(out, HEADER_ROOM, JSON.stringify({ ...draft, payloads }))
    if (start !== undefined) return out.subarray(start, end)
  }
  const encoded = contents.map((content) => (typeof content === 'string' ? utf8(content) : content))
  for (const [i, bytes] of encoded.entries()) sizes[i]!.n = bytes.length
  const header = utf8(JSON.stringify({ ...draft, payloads }))
  return concat(u32be(header.length), header, ...encoded)
}

/** Writes `content` at `at` and returns where it ends; undefined where there may be no room for it. */
function put(out: Uint8Array, at: number, content: string | Uint8Array): number | undefined {
  if (at + content.length * (typeof content === 'string' ? 3 : 1) > out.length) return undefined
  if (typeof content === 'string') return at + encoder.encodeInto(content, out.subarray(at)).written
  out.set(content, at)
  return at + content.length
}

/** Writes `header` and before it its length, so that it ends at `end`, and returns where that begins; undefined where it does not fit or is not ASCII. */
function putBefore(out: Uint8Array, end: number, header: string): number | undefined {
  const at = end - header.length
  if (at < 4) return undefined
  const { read, written } = encoder.encodeInto(header, out.subarray(at, end))
  if (read !== header.length || written !== header.length) return undefined
  new DataView(out.buffer).setUint32(at - 4, header.length)
  return at - 4
}

/**
 * The draft in `bytes`, whose payloads are views into them. Throws a TypeError when the bytes are not exactly one draft in form; what it
 * says, `checkDraft` checks.
 */
export function decodeDraft(bytes: Uint8Array): Draft {
  const { header, end } = decodeHeader(bytes)
  let offset = end
  const lower = (payload: unknown): DraftPayload => {
    if (!isRecord(payload)) throw notDraft('a payload is no object')
    const { n, ...rest } = payload
    if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < 0 || offset + n > bytes.length) throw notDraft('a payload is cut short')
    const content = bytes.subarray(offset, offset + n)
    offset += n
    return { ...(rest as Omit<HeaderPayload, 'n'>), content }
  }
  const slot = (value: unknown): DraftSlot => {
    if (!isRecord(value)) throw notDraft('a payload is no object')
    if ('same' in value) return value as unknown as DraftSame
    if (!('add' in value)) return lower(value)
    if (!Array.isArray(value['add'])) throw notDraft('a list adds no array')
    return { ...(value as Omit<DraftList, 'add'>), add: value['add'].map(lower) }
  }
  // not by assignment: a payload called __proto__ must stay visible, so that it is refused
  const payloads = Object.fromEntries(Object.entries(header.payloads).map(([name, value]) => [name, slot(value)]))
  if (offset !== bytes.length) throw notDraft(`${bytes.length - offset} bytes after its end`)
  return { ...(header as unknown as Draft), payloads }
}

function decodeHeader(bytes: Uint8Array): { header: { readonly payloads: object }; end: number } {
  if (bytes.length < 4) throw notDraft(`${bytes.length} bytes`)
  const end = 4 + new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0)
  if (end > bytes.length) throw notDraft('the header is cut short')
  const header = parseHeader(bytes.subarray(4, end))
  if (!isRecord(header) || !isRecord(header['payloads'])) throw notDraft('the header has no payloads')
  return { header: header as { readonly payloads: object }, end }
}

function parseHeader(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(bytes))
  } catch (cause) {
    throw notDraft('the header is no JSON', cause)
  }
}

function notDraft(why: string, cause?: unknown): TypeError {
  return new TypeError(`event: not a draft: ${why}`, cause === undefined ? {} : { cause })
}
