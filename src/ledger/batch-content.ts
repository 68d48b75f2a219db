// The content of one batch: the commitment to each payload, where its bytes lie, and the segments that hold what is not stored yet.

import { toBase64, toHex, utf8 } from '../base/bytes.ts'
import { isList, isSame, type Draft, type DraftPayload } from '../event/draft.ts'
import type { ContentKey, ContentRow, SegmentRow, StoreTx } from '../store/contract.ts'
import { commit, digestOf, saltOf } from '../vault/commitment.ts'
import { contentKeyOf } from '../vault/scope.ts'
import { sealSegment } from '../vault/segment.ts'
import { sha256 } from '#crypto'
import type { LiveSession } from './live-session.ts'
import type { OpenScope } from './open-scope.ts'

/** A payload that a draft brings. */
export interface NewPayload { readonly slot: string; readonly position: number; readonly payload: DraftPayload; readonly bytes: Uint8Array; readonly digest: Uint8Array }

/** The payloads that `draft` brings, in the order of `ownRefs`. */
export function newPayloads({ payloads }: Draft): NewPayload[] {
  const found: NewPayload[] = []
  for (const slot of Object.keys(payloads).sort()) {
    const value = payloads[slot]!
    if (isSame(value)) continue
    for (const [position, payload] of (isList(value) ? value.add : [value]).entries()) {
      const bytes = bytesOf(payload)
      found.push({ slot, position, payload, bytes, digest: digestOf(bytes) })
    }
  }
  return found
}

function bytesOf({ content }: DraftPayload): Uint8Array {
  return typeof content === 'string' ? utf8(content) : content
}

/** The commitments (base64) to an event's payloads, and where the bytes of each lie; nowhere in an erased scope. In the order of `ownRefs`. */
export interface Placement { readonly commitments: readonly string[]; readonly places: readonly (ContentRow | undefined)[] }

type Writable<T> = { -readonly [K in keyof T]: T[K] }
/** Content that this batch seals: `row` learns its place when the segment is made. */
interface NewContent { readonly bytes: Uint8Array; readonly row: Writable<ContentRow> }
/** What one event says, in one scope, that is not stored yet. */
type Group = NewContent[]
/** One payload of an event, on its way: its scope and, unless that is erased, the key that its content is found by. */
interface Keyed { readonly payload: NewPayload; readonly scope: OpenScope | 'erased'; readonly key: Uint8Array | undefined }

export class BatchContent {
  readonly #events: { readonly event_id: string; readonly live: LiveSession; readonly keyed: Keyed[] }[] = []
  /** What is stored, or will be, by content key in hex. */
  readonly #rows = new Map<string, ContentRow>()
  readonly #fresh: ContentRow[] = []
  readonly #sealing = new Map<OpenScope, { readonly live: LiveSession; readonly groups: Group[] }>()

  /** Takes in what an event brings, whose scopes must be at hand. */
  add(event_id: string, payloads: readonly NewPayload[], live: LiveSession): void {
    const keyed = payloads.map((payload): Keyed => {
      const scope = live.scopes.get(payload.payload.k ?? 0)!
      return { payload, scope, key: scope === 'erased' ? undefined : contentKeyOf(scope.indexKey, payload.digest) }
    })
    this.#events.push({ event_id, live, keyed })
  }

  /** The placement of each event that was added, in that order; the bytes of new content get their places in `seal`. Reads once which of it is stored already. */
  async place(tx: StoreTx): Promise<Placement[]> {
    const keys: ContentKey[] = []
    for (const { keyed } of this.#events) for (const { scope, key } of keyed) if (scope !== 'erased') keys.push({ scope: scope.id, key: key! })
    for (const row of await tx.contents(keys)) this.#rows.set(toHex(row.key), row)
    return this.#events.map(({ event_id, live, keyed }) => {
      const groups = new Map<OpenScope, Group>()
      const placement = {
        commitments: keyed.map(({ payload, scope }) => toBase64(commitmentTo(event_id, payload, scope))),
        places: keyed.map(({ payload, scope, key }) => (scope === 'erased' ? undefined : this.#rowOf(payload.bytes, scope, key!, groups))),
      }
      for (const [scope, group] of groups) {
        const sealing = this.#sealing.get(scope)
        if (sealing === undefined) this.#sealing.set(scope, { live, groups: [group] })
        else sealing.groups.push(group)
      }
      return placement
    })
  }

  #rowOf(bytes: Uint8Array, scope: OpenScope, key: Uint8Array, groups: Map<OpenScope, Group>): ContentRow {
    const hex = toHex(key)
    const known = this.#rows.get(hex)
    if (known !== undefined) return known
    const row = { key, scope: scope.id, segment: 0, frame: 0, position: 0, frames: 1 }
    this.#rows.set(hex, row)
    this.#fresh.push(row)
    const group = groups.get(scope)
    if (group === undefined) groups.set(scope, [{ bytes, row }])
    else group.push({ bytes, row })
    return row
  }

  /** One segment for each scope that there is new content for, and the rows by which it is found again. */
  async seal(tx: StoreTx, origin: string): Promise<{ segments: SegmentRow[]; contents: readonly ContentRow[] }> {
    if (this.#sealing.size === 0) return { segments: [], contents: [] }
    let next = await tx.nextSegment()
    const segments = [...this.#sealing].map(([scope, { live, groups }]) => {
      const id = next++
      const { segment, places } = sealSegment({ origin, scope: scope.id, secret: scope.secret, groups: groups.map((group) => group.map(({ bytes }) => bytes)) })
      for (const [g, group] of groups.entries()) {
        for (const [i, { row }] of group.entries()) {
          const { frame, position, frames } = places[g]![i]!
          row.segment = id
          row.frame = frame
          row.position = position
          row.frames = frames
        }
      }
      live.segmentHashes.set(id, sha256(segment))
      return { segment: id, scope: scope.id, bytes: segment }
    })
    return { segments, contents: this.#fresh }
  }
}

/** The commitment to a payload of an event. What comes late for an erased scope is on record without its content, and nobody keeps the salt. */
export function commitmentTo(event_id: string, { slot, position, digest }: NewPayload, scope: OpenScope | 'erased'): Uint8Array {
  return commit(scope === 'erased' ? crypto.getRandomValues(new Uint8Array(32)) : saltOf(scope.saltKey, { event_id, slot, position, digest }), digest)
}
