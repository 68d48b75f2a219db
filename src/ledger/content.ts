// Payload bytes of entries, out of sealed segments. Checks nothing against commitments: `verify` and `reader.ts` do.

import { equal, toHex } from '../base/bytes.ts'
import { CounterfoilError } from '../base/errors.ts'
import { ownRefs, type Entry } from '../event/entry.ts'
import type { PlaceRow, StoreView } from '../store/contract.ts'
import { digestOf, saltOf } from '../vault/commitment.ts'
import type { Keyring } from '../vault/keyring.ts'
import { SEALED } from '../vault/scope.ts'
import { openSegment, placesOf, readPayload, type OpenSegment } from '../vault/segment.ts'
import type { Disclosed } from '../verify/evidence.ts'
import { openScope, type OpenScope } from './open-scope.ts'

/** Opened segments kept: a session's content lies in neighbouring ones. */
const SEGMENTS_KEPT = 64

/** A scope whose secret does not open; `sealed`: its row says that it was never here. */
interface DamagedScope { readonly damaged: string; readonly sealed?: true }

/** Reads content within one snapshot. Not for longer: a scope erased afterwards would still be in its cache. */
export class ContentReader {
  readonly #view: StoreView
  readonly #keyring: Keyring
  readonly #scopes = new Map<string, Map<number, OpenScope | DamagedScope>>()
  readonly #segments = new Map<number, OpenSegment | { readonly damaged: string } | 'missing'>()

  /** How many contents each segment holds that was opened. */
  readonly contents: Map<number, number> = new Map()

  constructor(view: StoreView, keyring: Keyring) {
    this.#view = view
    this.#keyring = keyring
  }

  /** The payloads of each entry's own refs, in the order of `ownRefs`. Entries ascend by index. */
  async payloads(entries: readonly Entry[]): Promise<Disclosed[][]> {
    if (entries.length === 0) return []
    const places = await this.#places(entries)
    const out: Disclosed[][] = []
    for (const entry of entries) {
      const own: Disclosed[] = []
      for (const { slot, position, ref } of ownRefs(entry)) own.push(await this.#payload(entry, slot, position, ref.k ?? 0, places.get(entry.index)?.[own.length]))
      out.push(own)
    }
    return out
  }

  async #places(entries: readonly Entry[]): Promise<Map<number, (PlaceRow | undefined)[]>> {
    const found = new Map<number, (PlaceRow | undefined)[]>()
    // one range per run of neighbours: a session's entries may lie far apart
    for (let i = 0; i < entries.length; ) {
      let j = i + 1
      while (j < entries.length && entries[j]!.index - entries[j - 1]!.index <= 64) j++
      for (const row of await this.#view.places(entries[i]!.index, entries[j - 1]!.index + 1)) {
        const rows = found.get(row.index) ?? []
        rows[row.ordinal] = row
        found.set(row.index, rows)
      }
      i = j
    }
    return found
  }

  async #payload(entry: Entry, slot: string, position: number, k: number, place: PlaceRow | undefined): Promise<Disclosed> {
    const scope = await this.scope(entry.session_id, k)
    if (scope === undefined) return { absent: 'no_scope' }
    if ('damaged' in scope) return scope.sealed === true ? { absent: 'sealed' } : { absent: 'damaged', why: scope.damaged }
    if (place === undefined) return { absent: 'missing' }
    const segment = await this.#segment(place.segment, scope)
    if (segment === 'missing') return { absent: 'missing' }
    if ('damaged' in segment) return { absent: 'damaged', why: segment.damaged }
    try {
      const bytes = readPayload(segment, place)
      return { bytes, salt: saltOf(scope.saltKey, { event_id: entry.event_id, slot, position, digest: digestOf(bytes) }) }
    } catch (error) {
      return { absent: 'damaged', why: messageOf(error) }
    }
  }

  /** The scope `k` of a session; undefined when its secret is not there. */
  async scope(session_id: string, k: number): Promise<OpenScope | DamagedScope | undefined> {
    let scopes = this.#scopes.get(session_id)
    if (scopes === undefined) {
      scopes = new Map()
      for (const row of await this.#view.scopes([session_id])) {
        try {
          scopes.set(row.k, openScope(row, this.#keyring))
        } catch (error) {
          scopes.set(row.k, { damaged: messageOf(error), ...(row.generation === SEALED ? { sealed: true } : {}) })
        }
      }
      this.#scopes.set(session_id, scopes)
    }
    return scopes.get(k)
  }

  async #segment(id: number, scope: OpenScope): Promise<OpenSegment | { readonly damaged: string } | 'missing'> {
    let segment = this.#segments.get(id)
    if (segment === undefined) {
      const row = await this.#view.segment(id)
      if (row === undefined) segment = 'missing'
      else if (!equal(row.scope, scope.id)) return { damaged: `segment ${id} is of another scope` } // not kept: it opens for its own
      else {
        try {
          segment = openSegment(row.bytes, { origin: this.#keyring.origin, scope: scope.id, secret: scope.secret })
          this.contents.set(id, placesOf(segment).length)
        } catch (error) {
          segment = { damaged: messageOf(error) }
        }
      }
      if (this.#segments.size >= SEGMENTS_KEPT) this.#segments.delete(this.#segments.keys().next().value!)
      this.#segments.set(id, segment)
    }
    if (typeof segment === 'object' && 'scope' in segment && toHex(segment.scope) !== toHex(scope.id)) return { damaged: `segment ${id} is of another scope` }
    return segment
  }
}

export function messageOf(error: unknown): string {
  return error instanceof CounterfoilError && error.next !== '' ? error.message.slice(0, -error.next.length - 2) : String((error as Error)?.message ?? error)
}
