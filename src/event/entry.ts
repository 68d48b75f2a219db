// An entry: the exact bytes of one event in the log, canonical JSON, the Merkle leaf (docs/format.md §3).
// `parseEntry` is strict about the shape that every version-1 entry has and open about vocabulary.

import type { Media } from './draft.ts'
import type { Capture, Outcome } from './vocabulary.ts'

/** Names one payload: its commitment (base64), how to read it, its scope (absent: 0), and the masks that cut something out. */
export interface Ref { readonly c: string; readonly m: Media; readonly k?: number; readonly masked?: readonly string[] }

/** The payload of the same name in entry `same` (a seq of this session). */
export interface SameRef { readonly same: number }

/** A list as a change; `root` is the RFC 6962 tree hash over the `count` commitments (32 bytes each) in order. */
export interface ListChange { readonly base?: number; readonly keep?: number; readonly add: readonly Ref[]; readonly count: number; readonly root: string }

export type Slot = Ref | SameRef | ListChange

/** A parsed entry. Field order here is for readers; the bytes are RFC 8785. */
export interface Entry {
  readonly v: 1
  readonly index: number
  readonly event_id: string
  readonly event_type: string
  readonly session_id: string
  readonly seq: number
  readonly prev: string
  readonly writer: string
  readonly stream?: string
  readonly stream_seq?: number
  readonly timestamp: string
  readonly recorded_at: string
  readonly parent_event_id?: string
  readonly step_number?: number
  readonly capture: Capture
  readonly outcome?: Outcome
  readonly facts: { readonly [name: string]: FactValue }
  readonly payloads: { readonly [name: string]: Slot }
}

export type FactValue = string | number | boolean | readonly string[] | { readonly [ref: string]: number }

export function isSameRef(slot: Slot): slot is SameRef {
  return 'same' in slot
}

export function isListChange(slot: Slot): slot is ListChange {
  return 'root' in slot
}

/** What `log_start` says of the log that it begins. */
export const LOG_FORMAT = 'counterfoil/v1'
/** The largest entry, in bytes: what a C2SP entry bundle can hold with its u16 length. */
export const MAX_ENTRY_BYTES = 65_535
/** The most elements that the lists of one entry add together. */
export const MAX_ADDED = 256
/** The most masks that one ref names. */
export const MAX_MASKS = 4
/** The longest name of a mask, which is a label. */
export const MAX_MASK_LENGTH = 32
/** The largest payload, in bytes. */
export const MAX_PAYLOAD_BYTES: number = 64 * 1024 * 1024

/** The refs that an entry itself introduces, in their fixed order: payload names in UTF-16 order, list elements in list order. `position` counts within the slot. */
export function ownRefs(entry: Pick<Entry, 'payloads'>): { slot: string; position: number; ref: Ref }[] {
  const refs: { slot: string; position: number; ref: Ref }[] = []
  for (const slot of Object.keys(entry.payloads).sort()) {
    const value = entry.payloads[slot]!
    if (isSameRef(value)) continue
    if (!isListChange(value)) refs.push({ slot, position: 0, ref: value })
    else for (let position = 0; position < value.add.length; position++) refs.push({ slot, position, ref: value.add[position]! })
  }
  return refs
}
