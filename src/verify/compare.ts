// Whether two copies are of one log, and where they part. Each is verified by itself first: what a copy says counts only as far as it is what the
// key signed. Then their entries are compared, byte by byte, in the order of the log.

import { equal } from '../base/bytes.ts'
import type { Evidence } from './evidence.ts'
import type { Verdict } from './verdict.ts'
import { verifyLog } from './verify.ts'

const PAGE = 1_000

/** One of the two: how many entries its checkpoint states, whether they are the ones that the key signed, and the verdict. */
export interface Compared { readonly origin: string; readonly size: number; readonly signed: boolean; readonly checkpoint: string; readonly verdict: Verdict }

/**
 * `relation`: the `same` entries; one that is longer and goes on from the other, `first_longer` or `second_longer`; they `parted`, first at
 * `parted_at`; or they are `other` logs. Where one is not what the key signed, that may be all there is to it: see `signed`.
 */
export interface Comparison {
  readonly relation: 'same' | 'first_longer' | 'second_longer' | 'parted' | 'other'
  /** How many entries they have in common from the beginning. */
  readonly common: number
  readonly parted_at?: number
  /** What each has there, if anything. */
  readonly entries?: readonly [Uint8Array | undefined, Uint8Array | undefined]
  readonly copies: readonly [Compared, Compared]
}

export async function compareLogs(first: Evidence, second: Evidence, progress?: (done: number, total: number) => void): Promise<Comparison> {
  const copies = [await judge(first, progress), await judge(second, progress)] as const
  const [a, b] = copies
  if (a.origin !== b.origin) return { relation: 'other', common: 0, copies }
  const shorter = Math.min(a.size, b.size)
  const parted = await firstDifference(first, second, shorter)
  if (parted !== undefined) return { relation: 'parted', common: parted.index, parted_at: parted.index, entries: parted.entries, copies }
  return { relation: a.size === b.size ? 'same' : a.size > b.size ? 'first_longer' : 'second_longer', common: shorter, copies }
}

/** Only what it is in itself: what this machine remembers is of neither. */
async function judge(evidence: Evidence, progress: ((done: number, total: number) => void) | undefined): Promise<Compared> {
  const verdict = await verifyLog({ ...evidence, remembered: [] }, progress === undefined ? {} : { progress })
  return { origin: verdict.origin, size: verdict.size, signed: verdict.properties.unchanged.status !== 'failed', checkpoint: verdict.checkpoint, verdict }
}

/** An entry that one lacks is a difference. */
async function firstDifference(first: Evidence, second: Evidence, size: number): Promise<{ readonly index: number; readonly entries: readonly [Uint8Array | undefined, Uint8Array | undefined] } | undefined> {
  for (let from = 0; from < size; from += PAGE) {
    const to = Math.min(from + PAGE, size)
    const [left, right] = [await rows(first, from, to), await rows(second, from, to)]
    for (let index = from; index < to; index++) {
      const [a, b] = [left.get(index), right.get(index)]
      if (a === undefined || b === undefined || !equal(a, b)) return { index, entries: [a, b] }
    }
  }
  return undefined
}

async function rows(evidence: Evidence, from: number, to: number): Promise<Map<number, Uint8Array>> {
  return new Map((await evidence.entries(from, to)).map(({ index, entry }) => [index, entry]))
}
