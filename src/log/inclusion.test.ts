import { describe, expect, test } from 'vitest'
import { testLeaves, testReader } from '../../test/tree-source.ts'
import { VerifyError } from '../base/errors.ts'
import { nodeHash, type Hash } from './hash.ts'
import { checkInclusion, proveInclusion, type Inclusion } from './inclusion.ts'
import { treeRoot } from './tree.ts'

const MAX = process.env.SLOW ? 256 : 72
const leaves = testLeaves(70_000)
const roots = Array.from({ length: 600 }, (_, size) => treeRoot(leaves.slice(0, size)))
const mismatch = expect.objectContaining({ name: 'VerifyError', code: 'inclusion_mismatch' })
const shape = expect.objectContaining({ name: 'VerifyError', code: 'inclusion_shape' })

/** PATH of RFC 6962 §2.1.1, as written there. */
function path(index: number, hashes: readonly Hash[]): Hash[] {
  if (hashes.length === 1) return []
  let k = 1
  while (k * 2 < hashes.length) k *= 2
  if (index < k) return [...path(index, hashes.slice(0, k)), treeRoot(hashes.slice(k))]
  return [...path(index - k, hashes.slice(k)), treeRoot(hashes.slice(0, k))]
}

describe(`for all indexes and sizes to ${MAX}`, { timeout: 600_000 }, () => {
  test('the proof is that of RFC 6962 and is accepted', async () => {
    const reader = testReader(leaves.slice(0, MAX))
    for (let size = 1; size <= MAX; size++) {
      for (let index = 0; index < size; index++) {
        const proof = await proveInclusion(reader, index, size)
        expect(proof).toEqual(path(index, leaves.slice(0, size)))
        checkInclusion(given(index, size, proof))
      }
    }
  })

  test('no proof is accepted for another index, size, leaf or root, nor with a hash changed, dropped, added or swapped', async () => {
    const reader = testReader(leaves.slice(0, MAX))
    for (let size = 1; size <= MAX; size++) {
      for (let index = 0; index < size; index++) {
        const honest = given(index, size, await proveInclusion(reader, index, size))
        for (const forged of forgeries(honest)) mustRefuse(forged)
      }
    }
  })
})

test('a proof for another index of the same tree is a mismatch or has another shape', async () => {
  const reader = testReader(leaves.slice(0, 40))
  for (let size = 2; size <= 40; size++) {
    for (let index = 0; index < size; index++) {
      const proof = await proveInclusion(reader, index, size)
      for (let other = 0; other < size; other++) {
        if (other !== index) mustRefuse({ ...given(index, size, proof), index: other })
      }
    }
  }
})

test('every bit of a proof matters', async () => {
  const proof = await proveInclusion(testReader(leaves.slice(0, 53)), 37, 53)
  for (let i = 0; i < proof.length; i++) {
    for (let bit = 0; bit < 256; bit++) {
      const forged = proof.with(i, flip(proof[i]!, bit))
      expect(() => checkInclusion(given(37, 53, forged))).toThrow(mismatch)
    }
  }
})

test('proofs in a tree of several tile levels are accepted', async () => {
  const reader = testReader(leaves)
  for (const index of [0, 255, 256, 65_535, 65_536, 69_888, 69_999]) checkInclusion(given(index, 70_000, await proveInclusion(reader, index, 70_000)))
  for (const index of [0, 65_535, 65_536]) checkInclusion(given(index, 65_537, await proveInclusion(reader, index, 65_537)))
})

test('sizes past 2^32 are no problem', () => {
  // All leaves but one are the same, so that the hash of a subtree depends on its height alone.
  const height = 45
  const same = [leaves[0]!]
  for (let h = 1; h <= height; h++) same.push(nodeHash(same[h - 1]!, same[h - 1]!))
  const size = 2 ** height
  const index = 2 ** 40 + 12_345
  let root = leaves[1]!
  for (let h = 0, rest = index; h < height; h++, rest = Math.floor(rest / 2)) root = rest % 2 === 1 ? nodeHash(same[h]!, root) : nodeHash(root, same[h]!)
  const proof = same.slice(0, height)
  checkInclusion({ index, size, leafHash: leaves[1]!, root, proof })
  expect(() => checkInclusion({ index: index - 2 ** 32, size, leafHash: leaves[1]!, root, proof })).toThrow(mismatch)
  expect(() => checkInclusion({ index, size: size - 1, leafHash: leaves[1]!, root, proof })).not.toThrow() // same path: only the root tells the sizes apart
  expect(() => checkInclusion({ index, size: 2 * size, leafHash: leaves[1]!, root, proof })).toThrow(shape)
})

test('what cannot be a proof is refused for its shape', () => {
  const honest = given(0, 2, [leaves[1]!])
  for (const size of [0, -1, 1.5, NaN, 2 ** 53]) expect(() => checkInclusion({ ...honest, size })).toThrow(shape)
  for (const index of [2, -1, 0.5, NaN]) expect(() => checkInclusion({ ...honest, index })).toThrow(shape)
  for (const bad of [new Uint8Array(), new Uint8Array(31), new Uint8Array(33)]) {
    expect(() => checkInclusion({ ...honest, leafHash: bad })).toThrow(shape)
    expect(() => checkInclusion({ ...honest, root: bad })).toThrow(shape)
    expect(() => checkInclusion({ ...honest, proof: [bad] })).toThrow(shape)
  }
  const long = Array.from({ length: 64 }, () => leaves[1]!)
  expect(() => checkInclusion({ ...honest, size: Number.MAX_SAFE_INTEGER, proof: long })).toThrow('expected at most 63 hashes, got 64')
})

test('a proof in a larger tree does not pass for one in a smaller tree, though its hashes lead to the root', async () => {
  const proof = await proveInclusion(testReader(leaves.slice(0, 4)), 3, 4)
  checkInclusion(given(3, 4, proof))
  expect(() => checkInclusion({ ...given(3, 4, proof), index: 1, size: 2 })).toThrow('got more hashes than the tree is high')
})

test('proveInclusion says what it cannot prove', async () => {
  const reader = testReader(leaves.slice(0, 10))
  for (const [index, size] of [[10, 10], [-1, 10], [0, 0], [0.5, 10], [0, 2 ** 53], [0, 11]] as const) {
    await expect(proveInclusion(reader, index, size)).rejects.toThrow(RangeError)
  }
})

function given(index: number, size: number, proof: readonly Hash[]): Inclusion {
  return { index, size, leafHash: leaves[index]!, root: roots[size] ?? treeRoot(leaves.slice(0, size)), proof }
}

function* forgeries(honest: Inclusion): Generator<Inclusion> {
  const { index, size, proof } = honest
  yield { ...honest, leafHash: flip(honest.leafHash, 3) }
  yield { ...honest, root: flip(honest.root, 255) }
  yield { ...honest, root: roots[size + 1]! }
  for (const other of [index - 1, index + 1, size, index + size]) yield { ...honest, index: other }
  for (const other of [size * 2, size * 2 + 1, 0]) yield { ...honest, size: other }
  for (const extra of [leaves[0]!, honest.root, honest.leafHash]) {
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
function mustRefuse(forged: Inclusion): void {
  try {
    checkInclusion(forged)
  } catch (error) {
    if (error instanceof VerifyError && error.code.startsWith('inclusion_')) return
    throw error
  }
  expect.fail(`accepted a forgery: ${JSON.stringify(forged)}`)
}

function flip(hash: Hash, bit: number): Hash {
  const forged = hash.slice()
  forged[Math.floor(bit / 8)]! ^= 2 ** (bit % 8)
  return forged
}
