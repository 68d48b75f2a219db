// A draft is an event as a recorder hands it over: everything the recorder knows, and the payload bytes. The ledger adds
// position, time of recording and commitments and makes the entry of it. `encodeDraft` is what stands in a spool record.
//
//   draft bytes = u32be header length ‖ header (JSON) ‖ payload bytes, in the order in which the header names them

import { concat, fromUtf8, u32be, utf8 } from '../base/bytes.ts'
import type { Capture, KnownType, Outcome } from './vocabulary.ts'

/** How a payload's bytes are to be read. */
export type Media = 'json' | 'text' | 'bytes'

/** New content. A string stands for its UTF-8 bytes and must be well formed. `k` is the scope (default 0), `masked` the masks that cut something out. */
export interface DraftPayload { readonly m: Media; readonly content: string | Uint8Array; readonly k?: number; readonly masked?: readonly string[] }

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
}

export function isSame(slot: DraftSlot): slot is DraftSame {
  return 'same' in slot
}

export function isList(slot: DraftSlot): slot is DraftList {
  return 'add' in slot
}

type HeaderPayload = Omit<DraftPayload, 'content'> & { n: number }

/** `draft` as bytes. Cost: one JSON.stringify of the small fields and one copy of each payload. */
export function encodeDraft(draft: Draft): Uint8Array {
  const contents: Uint8Array[] = []
  const lift = (payload: DraftPayload): HeaderPayload => {
    const { content, ...rest } = payload
    const bytes = typeof content === 'string' ? utf8(content) : content
    contents.push(bytes)
    return { ...rest, n: bytes.length }
  }
  const payloads: Record<string, unknown> = {}
  for (const [name, slot] of Object.entries(draft.payloads)) {
    payloads[name] = isSame(slot) ? slot : isList(slot) ? { ...slot, add: slot.add.map(lift) } : lift(slot)
  }
  const header = utf8(JSON.stringify({ ...draft, payloads }))
  return concat(u32be(header.length), header, ...contents)
}

/** The draft in `bytes`, whose payloads are views into them. Throws a TypeError when the bytes are not exactly one draft. */
export function decodeDraft(bytes: Uint8Array): Draft {
  const fail = (why: string): never => { throw new TypeError(`event: not a draft: ${why}`) }
  if (bytes.length < 4) fail(`${bytes.length} bytes`)
  const headerLength = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0)
  let offset = 4 + headerLength
  if (offset > bytes.length) fail('the header is cut short')
  const header = JSON.parse(fromUtf8(bytes.subarray(4, offset))) as Draft
  const lower = (payload: HeaderPayload): DraftPayload => {
    const { n, ...rest } = payload
    if (!Number.isSafeInteger(n) || n < 0 || offset + n > bytes.length) fail('a payload is cut short')
    const content = bytes.subarray(offset, offset + n)
    offset += n
    return { ...rest, content }
  }
  const payloads: Record<string, DraftSlot> = {}
  for (const [name, slot] of Object.entries(header.payloads as Record<string, unknown>)) {
    const typed = slot as DraftSame | (Omit<DraftList, 'add'> & { add: HeaderPayload[] }) | HeaderPayload
    payloads[name] = 'same' in typed ? typed : 'add' in typed ? { ...typed, add: typed.add.map(lower) } : lower(typed)
  }
  if (offset !== bytes.length) fail(`${bytes.length - offset} bytes after its end`)
  return { ...header, payloads }
}
