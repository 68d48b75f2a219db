import fc from 'fast-check'
import { expect, test } from 'vitest'
import { testLeaves, testReader } from '../../test/tree-source.ts'
import type { Hash } from './hash.ts'
import { proveInclusion } from './inclusion.ts'
import { checkInclusions, proveInclusions, type Inclusions } from './inclusions.ts'
import { treeRoot } from './tree.ts'

const leaves = testLeaves(3_000)
const refused = expect.objectContaining({ name: 'VerifyError', code: expect.stringMatching(/^inclusion_(mismatch|shape)$/) })

async function given(indexes: readonly number[], size: number): Promise<Inclusions> {
  const own = leaves.slice(0, size)
  return { indexes, size, leafHashes: indexes.map((i) => own[i]!), root: treeRoot(own), proof: await proveInclusions(testReader(own), indexes, size) }
}

test('for every set of leaves of every tree to 9 the proof is accepted, and no other set, size, order or hash is', async () => {
  for (let size = 1; size <= 9; size++) {
    for (let set = 1; set < 2 ** size; set++) {
      const indexes = Array.from({ length: size }, (_, i) => i).filter((i) => Math.floor(set / 2 ** i) % 2 === 1)
      const honest = await given(indexes, size)
      checkInclusions(honest)
      for (const forged of forgeries(honest)) expect(() => checkInclusions(forged), JSON.stringify([size, indexes])).toThrow(refused)
    }
  }
})

test('of one leaf it has the hashes of an inclusion proof', async () => {
  for (const [index, size] of [[0, 1], [36, 53], [299, 300], [2_999, 3_000]] as const) {
    const [many, one] = [await given([index], size), await proveInclusion(testReader(leaves.slice(0, size)), index, size)]
    expect(many.proof.map(String).sort()).toEqual(one.map(String).sort())
  }
})

test('of leaves anywhere in a tree of any size it is accepted', async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 3_000 }), fc.array(fc.nat(2_999), { minLength: 1, maxLength: 40 }), async (size, some) => {
    const indexes = [...new Set(some.map((i) => i % size))].sort((a, b) => a - b)
    checkInclusions(await given(indexes, size))
  }), { numRuns: 30 })
})

test('a run of neighbours costs a few hashes', async () => {
  const { proof } = await given(Array.from({ length: 1_000 }, (_, i) => 777 + i), 3_000)
  expect(proof.length).toBeLessThan(24)
})

function* forgeries({ indexes, size, leafHashes, root, proof }: Inclusions): Generator<Inclusions> {
  const honest = { indexes, size, leafHashes, root, proof }
  for (let i = 0; i < proof.length; i++) {
    yield { ...honest, proof: proof.with(i, flip(proof[i]!)) }
    yield { ...honest, proof: proof.toSpliced(i, 1) }
    yield { ...honest, proof: proof.toSpliced(i, 0, proof[i]!) }
  }
  yield { ...honest, proof: [...proof, root] }
  for (let i = 0; i < leafHashes.length; i++) {
    yield { ...honest, leafHashes: leafHashes.with(i, flip(leafHashes[i]!)) }
    yield { ...honest, indexes: indexes.toSpliced(i, 1), leafHashes: leafHashes.toSpliced(i, 1) }
    yield { ...honest, indexes: indexes.with(i, indexes[i]! + 1) }
    yield { ...honest, indexes: indexes.with(i, indexes[i]! - 1) }
  }
  if (leafHashes.length > 1) yield { ...honest, leafHashes: leafHashes.toReversed() }
  yield { ...honest, root: flip(root) }
  yield { ...honest, size: indexes.at(-1)! }
  yield { ...honest, indexes: [], leafHashes: [] }
}

function flip(hash: Hash): Hash {
  return hash.with(7, hash[7]! ^ 1)
}
