// What a verification says: per property what was proved, what is only asserted, what cannot be known, what failed.

import type { KeyReign } from './key-chain.ts'

/** The properties of a log, in the order in which they are reported. */
export const PROPERTIES = ['unchanged', 'complete', 'payloads', 'indexes', 'not_truncated', 'witnessed', 'pinned', 'time'] as const
export type Property = (typeof PROPERTIES)[number]

export type Status = 'proved' | 'asserted' | 'unknown' | 'failed'

export interface PropertyVerdict { readonly status: Status; readonly says: string; readonly first_bad_index?: number }

/** One thing that does not fit. `code` is from the closed list of `FaultCode`. */
export interface Problem { readonly property: Property; readonly code: string; readonly message: string; readonly index?: number }

/** `whole`: nothing failed. `problems` names at most 100 of what did; `problem_count` counts all. */
export interface Verdict {
  readonly whole: boolean
  readonly origin: string
  readonly size: number
  /** The first entries, so many, were proved before and not read again: nothing here speaks of their bytes or content. Then `counts` are of the sessions and payloads that were read. */
  readonly since?: number
  readonly checkpoint: string
  /** `recorded_at` of the last entry; absent in an empty log */
  readonly recorded_at?: string
  /** The log's keys, one after the other, as its entries have them. */
  readonly keys: readonly KeyReign[]
  readonly properties: { readonly [name in Property]: PropertyVerdict }
  readonly problems: readonly Problem[]
  readonly problem_count: number
  readonly counts: {
    readonly entries: number; readonly payloads: number; readonly erased: number; readonly sessions: number; readonly ended: number; readonly open: number
    readonly suspended: number; readonly interrupted: number; readonly gaps: number; readonly newer_entries: number; readonly unknown_vocabulary: number; readonly told_after: number; readonly imported: number
  }
}

/** A verdict of a log or of a part of one, which has no `indexes` to compare. */
export type AnyVerdict = Omit<Verdict, 'properties' | 'counts' | 'keys'> & { readonly properties: Omit<Verdict['properties'], 'indexes'> & { readonly indexes?: PropertyVerdict } }

/** 0 whole; 1 evidence of tampering; 3 whole, but a property of `require` is not proved. (2, could not run, is an error.) */
export function exitCode(verdict: AnyVerdict, require: readonly Property[] = []): 0 | 1 | 3 {
  if (!verdict.whole) return 1
  return require.every((property) => verdict.properties[property]?.status === 'proved') ? 0 : 3
}
