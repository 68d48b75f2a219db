// What a span or a log record tells, as events that have no place yet: times in nanoseconds, names that may be any text.

import { foreignLabel } from '../../event/label.ts'
import type { Piece } from '../../event/model-call.ts'
import type { KnownType, Outcome } from '../../event/vocabulary.ts'

/** What was understood. `spans` and `records` that nobody understood are `custom`. */
export type Sort = 'model_call' | 'tool_call' | 'decision' | 'custom'

export interface Happening {
  /** which part of its span or record it is: an id is made of it */
  readonly part: string
  readonly event_type: KnownType
  readonly time: bigint
  /** another part of the same item, or `outer` for what the item stands in */
  readonly parent?: string
  readonly outcome?: Outcome
  readonly facts: { readonly [name: string]: string | number | boolean }
  readonly payloads: { readonly [name: string]: Piece | readonly Piece[] | undefined }
}

/** An item as events; the first one stands for it. */
export interface Told { readonly sort: Sort; readonly happenings: readonly Happening[] }

/** Foreign names as facts; those that are no labels are collected as text. */
export class Names {
  readonly odd: { [fact: string]: string } = {}

  fact(name: string, text: string | undefined): { [fact: string]: string } {
    if (text === undefined) return {}
    const { label, odd } = foreignLabel(text)
    if (odd !== undefined) this.odd[name] = odd
    return { [name]: label }
  }

  /** The names that are no labels, as a payload. */
  piece(): Piece | undefined {
    return Object.keys(this.odd).length === 0 ? undefined : { m: 'json', content: JSON.stringify(this.odd) }
  }
}

/** `from` to `to` in whole milliseconds; none where the second comes first, as clocks may have it. */
export function millisecondsBetween(from: bigint, to: bigint): number | undefined {
  return from > 0n && to >= from ? Number((to - from + 500_000n) / 1_000_000n) : undefined
}
