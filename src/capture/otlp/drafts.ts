// Happenings as drafts: masked, bounded, with ids that follow from the export's own. A list that one event has no room for stands in `context`
// events before it.

import { formatTime } from '../../base/clock.ts'
import { MAX_ADDED } from '../../event/entry.ts'
import { encodeDraft, type Draft, type DraftPayload, type DraftSlot } from '../../event/draft.ts'
import type { Mask } from '../../event/mask.ts'
import type { Piece } from '../../event/model-call.ts'
import { checkDraft } from '../../event/parse.ts'
import { maskPiece } from '../../recorder/content.ts'
import type { Happening } from './happening.ts'

/** What the payloads of one event may come to. */
const MAX_EVENT_BYTES = 72 * 1024 * 1024
/** The elements of one `context` come to no more than this, or it is one element. */
const MAX_CONTEXT_BYTES = 8 * 1024 * 1024

export interface Place {
  readonly session_id: string
  readonly masks: readonly Mask[]
  /** the id of a part of this item, or of what it stands in */
  readonly id: (part: string) => string | undefined
}

/** The drafts of a happening; the last one is the event itself. Throws a MisuseError for what is no event of the vocabulary. */
export function draftsOf(happening: Happening, { session_id, masks, id }: Place): Uint8Array[] {
  const { part, event_type, time, parent, outcome, facts } = happening
  const event_id = id(part)!
  const timestamp = timeText(time)
  const parent_event_id = parent === undefined ? undefined : id(parent)
  const drafts: Draft[] = []
  const payloads: { [name: string]: DraftSlot } = {}
  const left = { count: MAX_ADDED, bytes: MAX_EVENT_BYTES }
  const lists: [string, readonly Piece[]][] = []
  for (const [name, value] of Object.entries(happening.payloads)) {
    if (value === undefined) continue
    if (isList(value)) lists.push([name, value])
    else left.bytes -= byteLength((payloads[name] = maskPiece(value, masks, left.bytes)))
  }
  for (const [name, pieces] of lists) {
    payloads[name] = listOf(pieces.map((piece) => maskPiece(piece, masks)), left, (base, add, chunk) => {
      const context = id(`${part} ${name} ${chunk}`)!
      drafts.push({ event_id: context, event_type: 'context', session_id, timestamp, capture: 'imported', facts: {}, payloads: { [name]: { ...base, add } } })
      return context
    })
  }
  drafts.push({ event_id, event_type, session_id, timestamp, capture: 'imported', ...(outcome === undefined ? {} : { outcome }), ...(parent_event_id === undefined ? {} : { parent_event_id }), facts, payloads })
  return drafts.map((draft) => {
    checkDraft(draft)
    return encodeDraft(draft)
  })
}

type Base = { readonly base: string; readonly keep: number } | undefined

/** A list as it goes into its event; `context` is given what has no room there, in chunks, and says the id of each. */
function listOf(payloads: readonly DraftPayload[], left: { count: number; bytes: number }, context: (base: Base, add: readonly DraftPayload[], chunk: number) => string): DraftSlot {
  const sizes = payloads.map(byteLength)
  let bytes = sizes.reduce((sum, size) => sum + size, 0)
  let base: Base
  let done = 0
  for (let chunk = 0; payloads.length - done > left.count || (done < payloads.length && bytes > left.bytes); chunk++) {
    let [count, taken] = [0, 0]
    while (done + count < payloads.length && count < MAX_ADDED && (count === 0 || taken + sizes[done + count]! <= MAX_CONTEXT_BYTES)) taken += sizes[done + count++]!
    base = { base: context(base, payloads.slice(done, done + count), chunk), keep: (done += count) }
    bytes -= taken
  }
  left.count -= payloads.length - done
  left.bytes -= bytes
  return { ...base, add: payloads.slice(done) }
}

function isList(value: Piece | readonly Piece[]): value is readonly Piece[] {
  return Array.isArray(value)
}

function byteLength({ content }: DraftPayload): number {
  return typeof content === 'string' ? Buffer.byteLength(content) : content.length
}

export function timeText(nanoseconds: bigint): string {
  return formatTime(Number(nanoseconds / 1_000_000n))
}
