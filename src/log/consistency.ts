// Consistency proofs: RFC 6962 §2.1.2, checked by the algorithm of RFC 9162 §2.1.4.2.
// Size 0 is our decision, the one of tlog-witness: every tree is consistent with the empty tree, by an empty proof, if the old root
// is SHA-256(""). A caller that wants to have seen something before says so itself.

import { equal, toHex } from '../base/bytes.ts'
import { logFault } from './fault.ts'
import { emptyRoot, HASH_BYTES, nodeHash, type Hash } from './hash.ts'
import { MAX_PROOF_HASHES, readRanges, splitPoint, type HashReader, type LeafRange } from './reader.ts'
import { checkSize } from './tile.ts'

/** What `checkConsistency` compares. Hashes are 32 bytes. */
export interface Consistency {
  readonly oldSize: number
  readonly size: number
  readonly oldRoot: Hash
  readonly root: Hash
  readonly proof: readonly Hash[]
}

/** The proof that the tree of `size` begins with the tree of `oldSize`. One read; empty for old size 0 and for equal sizes. */
export async function proveConsistency(reader: HashReader, oldSize: number, size: number): Promise<Hash[]> {
  checkSize(size)
  checkSize(oldSize)
  if (oldSize > size) throw new RangeError(`log: expected an old size up to ${size}, got ${oldSize}`)
  if (oldSize === 0 || oldSize === size) return []
  return readRanges(reader, subproof(oldSize, size))
}

/** SUBPROOF of RFC 6962 §2.1.2, without the recursion: from the top down, then turned round. */
function subproof(oldSize: number, size: number): LeafRange[] {
  const ranges: LeafRange[] = []
  let [from, to] = [0, size]
  while (to !== oldSize) {
    const middle = from + splitPoint(to - from)
    if (oldSize <= middle) {
      ranges.push({ from: middle, to })
      to = middle
    } else {
      ranges.push({ from, to: middle })
      from = middle
    }
  }
  if (from > 0) ranges.push({ from, to }) // otherwise it is the old tree itself, which the verifier knows
  return ranges.reverse()
}

/**
 * Throws a VerifyError unless `proof` shows that the tree of `size` with `root` begins with the tree of `oldSize` with `oldRoot`:
 * `consistency_shape` when no such proof can exist, `consistency_mismatch` when the roots disagree, which means a rewritten log.
 */
export function checkConsistency({ oldSize, size, oldRoot, root, proof }: Consistency): void {
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(oldSize) || oldSize < 0 || oldSize > size) {
    throw badShape(`expected an old size from 0 up to the size ${size}, got ${oldSize}`)
  }
  if (proof.length > MAX_PROOF_HASHES) throw badShape(`expected at most ${MAX_PROOF_HASHES} hashes, got ${proof.length}`)
  for (const hash of [oldRoot, root, ...proof]) {
    if (hash.length !== HASH_BYTES) throw badShape(`expected hashes of ${HASH_BYTES} bytes, got ${hash.length}`)
  }
  if (oldSize === 0 || oldSize === size) return checkWithoutProof(oldSize, size, oldRoot, root, proof)
  const [gotOld, got] = rootsFromConsistency(oldSize, size, oldRoot, proof)
  checkRoot(oldSize, oldRoot, gotOld)
  checkRoot(size, root, got)
}

function checkWithoutProof(oldSize: number, size: number, oldRoot: Hash, root: Hash, proof: readonly Hash[]): void {
  if (proof.length > 0) throw badShape(`expected no hashes from ${oldSize} to ${size}, got ${proof.length}`)
  if (oldSize === 0) checkRoot(0, oldRoot, emptyRoot())
  if (oldSize === size) checkRoot(size, root, oldRoot)
}

/** RFC 9162 §2.1.4.2, halving instead of shifting: both roots that the proof leads to. */
function rootsFromConsistency(oldSize: number, size: number, oldRoot: Hash, proof: readonly Hash[]): [Hash, Hash] {
  let [node, last] = [oldSize - 1, size - 1]
  while (node % 2 === 1) [node, last] = [(node - 1) / 2, Math.floor(last / 2)]
  // When the old size is a power of two, the old tree is a subtree of the new one and starts the climb itself.
  const [start, ...rest] = node === 0 ? [oldRoot, ...proof] : proof
  if (start === undefined) throw badShape('got fewer hashes than the trees are high')
  let [old, now] = [start, start]
  for (const sibling of rest) {
    if (last === 0) throw badShape('got more hashes than the trees are high')
    if (node % 2 === 1 || node === last) {
      old = nodeHash(sibling, old)
      now = nodeHash(sibling, now)
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)]
    } else {
      now = nodeHash(now, sibling)
    }
    ;[node, last] = [Math.floor(node / 2), Math.floor(last / 2)]
  }
  if (last !== 0) throw badShape('got fewer hashes than the trees are high')
  return [old, now]
}

function checkRoot(size: number, root: Hash, got: Hash): void {
  if (equal(root, got)) return
  const message = `expected root ${toHex(root)} of size ${size}, got ${toHex(got)}`
  throw logFault('consistency_mismatch', message, 'keep both checkpoints: two signed ones that disagree prove a rewritten log')
}

function badShape(message: string): Error {
  return logFault('consistency_shape', `consistency proof: ${message}`, 'ask for the proof again')
}
