// Inclusion proofs: RFC 6962 §2.1.1, checked by the algorithm of RFC 9162 §2.1.3.2. At most 53 hashes, so 1,696 bytes.

import { equal, toHex } from '../base/bytes.ts'
import { logFault } from './fault.ts'
import { HASH_BYTES, nodeHash, type Hash } from './hash.ts'
import { MAX_PROOF_HASHES, readRanges, splitPoint, type HashReader, type LeafRange } from './reader.ts'
import { checkSize } from './tile.ts'

/** What `checkInclusion` compares. Hashes are 32 bytes; `proof` goes from the leaf's sibling up. */
export interface Inclusion {
  readonly index: number
  readonly size: number
  readonly leafHash: Hash
  readonly root: Hash
  readonly proof: readonly Hash[]
}

/** The proof that the leaf at `index` is in the tree of the first `size` leaves. One read; RangeError unless 0 ≤ index < size. */
export async function proveInclusion(reader: HashReader, index: number, size: number): Promise<Hash[]> {
  checkSize(size)
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new RangeError(`log: expected an index from 0 and below the size ${size}, got ${index}`)
  }
  return readRanges(reader, siblings(index, size))
}

/** The subtrees beside the way from the leaf to the root, lowest first. */
function siblings(index: number, size: number): LeafRange[] {
  const ranges: LeafRange[] = []
  let [from, to] = [0, size]
  while (to - from > 1) {
    const middle = from + splitPoint(to - from)
    if (index < middle) {
      ranges.push({ from: middle, to })
      to = middle
    } else {
      ranges.push({ from, to: middle })
      from = middle
    }
  }
  return ranges.reverse()
}

/**
 * Throws a VerifyError unless `proof` shows that `leafHash` is leaf `index` of the tree of `size` with `root`: `inclusion_shape` when no
 * such proof can exist (range, count, lengths), `inclusion_mismatch` when it leads to another root. Costs a hash per proof element.
 */
export function checkInclusion({ index, size, leafHash, root, proof }: Inclusion): void {
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw badShape(`expected an index from 0 and below the size ${size}, got ${index}`)
  }
  if (proof.length > MAX_PROOF_HASHES) throw badShape(`expected at most ${MAX_PROOF_HASHES} hashes, got ${proof.length}`)
  for (const hash of [leafHash, root, ...proof]) {
    if (hash.length !== HASH_BYTES) throw badShape(`expected hashes of ${HASH_BYTES} bytes, got ${hash.length}`)
  }
  const got = rootFromInclusion(index, size, leafHash, proof)
  if (!equal(got, root)) {
    const message = `expected root ${toHex(root)} of size ${size} from entry ${index}, got ${toHex(got)}`
    throw logFault('inclusion_mismatch', message, 'the entry, the proof or the checkpoint is not the original')
  }
}

/** RFC 9162 §2.1.3.2, halving instead of shifting. `last` is the index of the rightmost node at the height reached. */
function rootFromInclusion(index: number, size: number, leafHash: Hash, proof: readonly Hash[]): Hash {
  let hash = leafHash
  let [node, last] = [index, size - 1]
  for (const sibling of proof) {
    if (last === 0) throw badShape('got more hashes than the tree is high')
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash)
      // A rightmost node without a right sibling is the same hash one level up.
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)]
    } else {
      hash = nodeHash(hash, sibling)
    }
    ;[node, last] = [Math.floor(node / 2), Math.floor(last / 2)]
  }
  if (last !== 0) throw badShape('got fewer hashes than the tree is high')
  return hash
}

function badShape(message: string): Error {
  return logFault('inclusion_shape', `inclusion proof: ${message}`, 'ask for the proof again')
}
