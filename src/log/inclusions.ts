// One proof for many leaves of one tree: the hashes that RFC 6962's tree needs beside them. The tree is walked from its root, left before
// right; a subtree without any of the leaves is one hash of the proof, a leaf is its own hash, and every other subtree is split where RFC
// 6962 splits it. Size and indexes alone say how many hashes there are, and of which subtrees: a proof has one form.

import { equal, toHex } from '../base/bytes.ts'
import { logFault } from './fault.ts'
import { HASH_BYTES, nodeHash, type Hash } from './hash.ts'
import { readRanges, splitPoint, type HashReader, type LeafRange } from './reader.ts'
import { checkSize } from './tile.ts'

/** What `checkInclusions` compares: the leaf hashes at `indexes`, ascending, in the tree of `size` with `root`. */
export interface Inclusions {
  readonly indexes: readonly number[]
  readonly size: number
  readonly leafHashes: readonly Hash[]
  readonly root: Hash
  readonly proof: readonly Hash[]
}

/** The proof that the leaves at `indexes` (ascending, each once, at least one) are in the tree of the first `size` leaves. One read. */
export async function proveInclusions(reader: HashReader, indexes: readonly number[], size: number): Promise<Hash[]> {
  checkSize(size)
  if (!areIndexes(indexes, size)) throw new RangeError(`log: expected ascending indexes below the size ${size}`)
  const ranges: LeafRange[] = []
  walk(indexes, size, { outside: (range) => void ranges.push(range), leaf: () => undefined, node: () => undefined })
  return readRanges(reader, ranges)
}

/**
 * Throws a VerifyError unless `proof` shows that `leafHashes` are the leaves at `indexes` of the tree of `size` with `root`:
 * `inclusion_shape` when no such proof can exist, `inclusion_mismatch` when it leads to another root. At most 53 hashes a leaf.
 */
export function checkInclusions({ indexes, size, leafHashes, root, proof }: Inclusions): void {
  if (!Number.isSafeInteger(size) || !areIndexes(indexes, size)) throw badShape(`expected ascending indexes below the size ${size}`)
  if (leafHashes.length !== indexes.length) throw badShape(`expected ${indexes.length} leaf hashes, got ${leafHashes.length}`)
  for (const hash of [root, ...leafHashes, ...proof]) if (hash.length !== HASH_BYTES) throw badShape(`expected hashes of ${HASH_BYTES} bytes, got ${hash.length}`)
  let [used, leaves] = [0, 0]
  const got = walk<Hash>(indexes, size, {
    outside: () => proof[used++] ?? fail('got fewer hashes than the tree needs'),
    leaf: () => leafHashes[leaves++]!,
    node: nodeHash,
  })
  if (used !== proof.length) throw badShape(`expected ${used} hashes, got ${proof.length}`)
  if (!equal(got, root)) {
    throw logFault('inclusion_mismatch', `expected root ${toHex(root)} of size ${size} from ${indexes.length} entries, got ${toHex(got)}`, 'an entry, the proof or the checkpoint is not the original')
  }
}

interface Walk<T> {
  readonly outside: (range: LeafRange) => T
  readonly leaf: () => T
  readonly node: (left: T, right: T) => T
}

/** Depth at most 53: a range halves at each step. */
function walk<T>(indexes: readonly number[], size: number, { outside, leaf, node }: Walk<T>): T {
  let at = 0
  const visit = (from: number, to: number): T => {
    const next = indexes[at]
    if (next === undefined || next >= to) return outside({ from, to })
    if (to - from === 1) {
      at++
      return leaf()
    }
    const middle = from + splitPoint(to - from)
    const left = visit(from, middle)
    return node(left, visit(middle, to))
  }
  return visit(0, size)
}

function areIndexes(indexes: readonly number[], size: number): boolean {
  return indexes.length > 0 && indexes.every((index, i) => Number.isSafeInteger(index) && index >= 0 && index < size && (i === 0 || index > indexes[i - 1]!))
}

function fail(message: string): never {
  throw badShape(message)
}

function badShape(message: string): Error {
  return logFault('inclusion_shape', `inclusion proof: ${message}`, 'ask for the proof again')
}
