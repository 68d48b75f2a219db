import { describe, expect, test } from 'vitest'
import { testLeaves, testReader } from '../../test/tree-source.ts'
import { VerifyError } from '../base/errors.ts'
import { checkConsistency, proveConsistency, type Consistency } from './consistency.ts'
import { emptyRoot, type Hash } from './hash.ts'
import { treeRoot } from './tree.ts'

const MAX = process.env.SLOW ? 256 : 72
const leaves = testLeaves(70_000)
const roots = Array.from({ length: 600 }, (_, size) => treeRoot(leaves.slice(0, size)))
const mismatch = expect.objectContaining({ name: 'VerifyError', code: 'consistency_mismatch' })
const shape = expect.objectContaining({ name: 'VerifyError', code: 'consistency_shape' })

/** PROOF and SUBPROOF of RFC 6962 §2.1.2, as written there. */
function subproof(old: number, hashes: readonly Hash[], complete: boolean): Hash[] {
  if (old === hashes.length) return complete ? [] : [treeRoot(hashes)]
  let k = 1
  while (k * 2 < hashes.length) k *= 2
  if (old <= k) return [...subproof(old, hashes.slice(0, k), complete), treeRoot(hashes.slice(k))]
  return [...subproof(old - k, hashes.slice(k), false), treeRoot(hashes.slice(0, k))]
}

describe(`for all old and new sizes to ${MAX}`, { timeout: 600_000 }, () => {
  test('the proof is that of RFC 6962 and is accepted', async () => {
    const reader = testReader(leaves.slice(0, MAX))
    for (let size = 1; size <= MAX; size++) {
      for (let old = 1; old <= size; old++) {
        const proof = await proveConsistency(reader, old, size)
        expect(proof).toEqual(subproof(old, leaves.slice(0, size), true))
        checkConsistency(given(old, size, proof))
      }
    }
  })

  test('no proof is accepted for other sizes or roots, nor with a hash changed, dropped, added or swapped', async () => {
    const reader = testReader(leaves.slice(0, MAX))
    for (let size = 1; size <= MAX; size++) {
      for (let old = 1; old <= size; old++) {
        const honest = given(old, size, await proveConsistency(reader, old, size))
        for (const forged of forgeries(honest)) mustRefuse(forged)
      }
    }
  })
})

test('no proof is accepted for any other pair of sizes with the true roots of the first', async () => {
  const reader = testReader(leaves.slice(0, 20))
  for (let size = 2; size <= 20; size++) {
    for (let old = 1; old < size; old++) {
      const honest = given(old, size, await proveConsistency(reader, old, size))
      for (let otherOld = 1; otherOld <= 20; otherOld++) {
        if (otherOld !== old && otherOld <= size) mustRefuse({ ...honest, oldSize: otherOld, oldRoot: roots[otherOld]! })
      }
    }
  }
})

test('a rewritten log has no proof, whichever entry was changed', async () => {
  for (let bad = 0; bad < 20; bad++) {
    const rewritten = leaves.slice(0, 33).with(bad, leaves[999]!)
    const proof = await proveConsistency(testReader(rewritten), 20, 33)
    expect(() => checkConsistency({ oldSize: 20, size: 33, oldRoot: roots[20]!, root: treeRoot(rewritten), proof })).toThrow(mismatch)
  }
})

test('every bit of a proof matters', async () => {
  const proof = await proveConsistency(testReader(leaves.slice(0, 53)), 21, 53)
  for (let i = 0; i < proof.length; i++) {
    for (let bit = 0; bit < 256; bit++) {
      expect(() => checkConsistency(given(21, 53, proof.with(i, flip(proof[i]!, bit))))).toThrow(mismatch)
    }
  }
})

test('proofs across several tile levels are accepted', async () => {
  const reader = testReader(leaves)
  const root = treeRoot(leaves)
  for (const oldSize of [1, 255, 256, 257, 65_535, 65_536, 65_537, 69_999]) {
    checkConsistency({ oldSize, size: 70_000, oldRoot: treeRoot(leaves.slice(0, oldSize)), root, proof: await proveConsistency(reader, oldSize, 70_000) })
  }
})

test('every tree is consistent with the empty one, by an empty proof and its true root', async () => {
  const reader = testReader(leaves.slice(0, 5))
  expect(await proveConsistency(reader, 0, 5)).toEqual([])
  checkConsistency(given(0, 5, []))
  checkConsistency(given(0, 0, []))
  expect(() => checkConsistency({ ...given(0, 5, []), oldRoot: roots[1]! })).toThrow(mismatch)
  expect(() => checkConsistency({ ...given(0, 0, []), root: roots[1]! })).toThrow(mismatch)
  expect(() => checkConsistency({ ...given(0, 0, []), root: roots[1]!, oldRoot: roots[1]! })).toThrow(mismatch)
  expect(() => checkConsistency(given(0, 5, [emptyRoot()]))).toThrow(shape)
})

test('equal sizes need equal roots and no proof', () => {
  checkConsistency(given(7, 7, []))
  expect(() => checkConsistency({ ...given(7, 7, []), root: roots[8]! })).toThrow(mismatch)
  expect(() => checkConsistency(given(7, 7, [leaves[0]!]))).toThrow(shape)
})

test('what cannot be a proof is refused for its shape', () => {
  const honest = given(1, 2, [leaves[1]!])
  checkConsistency(honest)
  for (const size of [0, -1, 1.5, NaN, 2 ** 53]) expect(() => checkConsistency({ ...honest, size })).toThrow(shape)
  for (const oldSize of [3, -1, 0.5, NaN]) expect(() => checkConsistency({ ...honest, oldSize })).toThrow(`from 0 up to the size 2, got ${oldSize}`)
  for (const bad of [new Uint8Array(), new Uint8Array(31), new Uint8Array(33)]) {
    expect(() => checkConsistency({ ...honest, oldRoot: bad })).toThrow(shape)
    expect(() => checkConsistency({ ...honest, root: bad })).toThrow(shape)
    expect(() => checkConsistency({ ...honest, proof: [bad] })).toThrow(shape)
  }
  expect(() => checkConsistency(given(1, 2, []))).toThrow(shape)
  expect(() => checkConsistency(given(3, 4, []))).toThrow(shape)
  const long = Array.from({ length: 64 }, () => leaves[1]!)
  expect(() => checkConsistency({ ...honest, size: Number.MAX_SAFE_INTEGER, proof: long })).toThrow('expected at most 63 hashes, got 64')
})

test('a proof between larger trees does not pass for one between smaller trees, though its hashes lead to the roots', async () => {
  const proof = await proveConsistency(testReader(leaves.slice(0, 8)), 7, 8)
  checkConsistency(given(7, 8, proof))
  expect(() => checkConsistency({ ...given(7, 8, proof), oldSize: 3, size: 4 })).toThrow('got more hashes than the trees are high')
})

test('proveConsistency says what it cannot prove', async () => {
  const reader = testReader(leaves.slice(0, 10))
  for (const [old, size] of [[11, 10], [-1, 10], [0.5, 10], [1, 2 ** 53], [5, 11]] as const) {
    await expect(proveConsistency(reader, old, size)).rejects.toThrow(RangeError)
    if (old > size) await expect(proveConsistency(reader, old, size)).rejects.toThrow('expected an old size up to 10, got 11')
  }
})

function given(oldSize: number, size: number, proof: readonly Hash[]): Consistency {
  return { oldSize, size, oldRoot: roots[oldSize]!, root: roots[size]!, proof }
}

function* forgeries(honest: Consistency): Generator<Consistency> {
  const { oldSize, size, proof } = honest
  yield { ...honest, oldRoot: flip(honest.oldRoot, 3) }
  yield { ...honest, root: flip(honest.root, 255) }
  if (oldSize !== size) yield { ...honest, oldRoot: honest.root, root: honest.oldRoot }
  yield { ...honest, root: roots[size + 1]! }
  yield { ...honest, oldRoot: roots[oldSize + 1]! }
  yield { ...honest, size: size * 2 + 1, root: roots[size * 2 + 1]! }
  yield { ...honest, oldSize: size + 1 }
  for (const extra of [leaves[0]!, honest.root, honest.oldRoot]) {
    for (let at = 0; at <= proof.length; at++) yield { ...honest, proof: proof.toSpliced(at, 0, extra) }
  }
  for (let at = 0; at < proof.length; at++) {
    yield { ...honest, proof: proof.with(at, flip(proof[at]!, (at * 37) % 256)) }
    yield { ...honest, proof: proof.with(at, proof[at]!.slice(1)) }
    yield { ...honest, proof: proof.toSpliced(at, 1) }
    if (at > 0) yield { ...honest, proof: proof.with(at, proof[at - 1]!).with(at - 1, proof[at]!) }
  }
}

/** `expect(…).toThrow` for hundreds of thousands of forgeries: that one takes 1 ms each. */
function mustRefuse(forged: Consistency): void {
  try {
    checkConsistency(forged)
  } catch (error) {
    if (error instanceof VerifyError && error.code.startsWith('consistency_')) return
    throw error
  }
  expect.fail(`accepted a forgery: ${JSON.stringify(forged)}`)
}

function flip(hash: Hash, bit: number): Hash {
  const forged = hash.slice()
  forged[Math.floor(bit / 8)]! ^= 2 ** (bit % 8)
  return forged
}
