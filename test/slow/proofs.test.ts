// Every proof to size 256 (PROOFS) and what is left of it when one thing is changed; a million changed proofs of trees up to 2^40 leaves; proofs and
// checkpoints changed as text. MUTATIONS=… gives another number than a million. What is said twice is no mutation: each is compared first.
//
// An inclusion proof does not bind the size: of a leaf in the left half of a tree it has the same hashes in the same order as long as the
// height stays. Which root belongs to which size only a checkpoint says, so a changed size comes with the root of that size.

import { expect, test } from 'vitest'
import { equal, fromUtf8, toHex, utf8 } from '../../src/base/bytes.ts'
import { VerifyError } from '../../src/base/errors.ts'
import { openCheckpoint, signCheckpoint } from '../../src/log/checkpoint.ts'
import { checkConsistency, proveConsistency, type Consistency } from '../../src/log/consistency.ts'
import { cosignatureSigner } from '../../src/log/cosignature.ts'
import { emptyRoot, leafHash, nodeHash, type Hash } from '../../src/log/hash.ts'
import { checkInclusion, proveInclusion, type Inclusion } from '../../src/log/inclusion.ts'
import { checkInclusions, proveInclusions, type Inclusions } from '../../src/log/inclusions.ts'
import { addSignature, COSIGNATURE_ED25519, ed25519Verifier } from '../../src/log/note.ts'
import { formatProof, openProof } from '../../src/log/proof.ts'
import type { HashReader } from '../../src/log/reader.ts'
import { Chance, mutated } from '../fuzz/mutate.ts'
import { testSigner } from '../signer.ts'

const SEED = Number(process.env['SEED'])
const MUTATIONS = Number(process.env['MUTATIONS'] ?? 1_000_000)
const MAX = Number(process.env['PROOFS'] ?? 256)

// Millions of refusals are made here, and nobody reads where: a stack costs more than the check.
Error.stackTraceLimit = 0

/** RFC 6962 §2.1, by the letter and apart from our code: the root over leaves `from` to `to`. `known` gives a subtree without looking into it. */
function mth(from: number, to: number, known: (from: number, to: number) => Hash | undefined): Hash {
  const found = known(from, to)
  if (found !== undefined) return found
  let split = 1
  while (split * 2 < to - from) split *= 2
  return nodeHash(mth(from, from + split, known), mth(from + split, to, known))
}

function readerOf(hash: (from: number, to: number) => Hash): HashReader {
  return { readHashes: async (nodes) => nodes.map(({ height, index }) => hash(index * 2 ** height, (index + 1) * 2 ** height)) }
}

const leaves = Array.from({ length: MAX + 2 }, (_, i) => leafHash(utf8(`leaf ${i}`)))
const subtrees = new Map<number, Hash>()
const range = (from: number, to: number): Hash => {
  const key = from * 1024 + to
  let hash = subtrees.get(key)
  if (hash === undefined) subtrees.set(key, (hash = to - from === 1 ? leaves[from]! : mth(from, to, (a, b) => (a === from && b === to ? undefined : range(a, b)))))
  return hash
}
const rootOf = (size: number): Hash => (size === 0 ? emptyRoot() : range(0, size))
const reader = readerOf(range)

/** Whether a check takes what it is given. Any error but a VerifyError of a closed code is a fault of the check itself. */
function takes<T>(check: (statement: T) => void, statement: T): boolean {
  try {
    check(statement)
    return true
  } catch (error) {
    if (error instanceof VerifyError && /^(?:inclusion|consistency)_(?:shape|mismatch)$/.test(error.code)) return false
    throw error
  }
}

function flipped(hash: Hash, bit: number): Hash {
  const out = hash.slice()
  out[bit >> 3]! ^= 1 << (bit & 7)
  return out
}

const sameHashes = (a: readonly Hash[], b: readonly Hash[]): boolean => a.length === b.length && a.every((hash, i) => equal(hash, b[i]!))

/** Every proof that differs in one element: a bit flipped, dropped, twice, added in front, in the middle and at the end, two exchanged. */
function* changedProofs(proof: readonly Hash[], chance: Chance): Generator<Hash[]> {
  const extra = leafHash(utf8('extra'))
  for (let i = 0; i < proof.length; i++) {
    yield proof.with(i, flipped(proof[i]!, chance.below(256)))
    yield proof.toSpliced(i, 1)
    yield proof.toSpliced(i, 0, proof[i]!)
    yield proof.with(i, extra)
    yield proof.with(i, proof[i]!.slice(0, 31))
    for (let j = i + 1; j < proof.length; j++) yield proof.with(i, proof[j]!).with(j, proof[i]!)
  }
  for (const at of new Set([0, Math.floor(proof.length / 2), proof.length])) yield proof.toSpliced(at, 0, extra)
  if (proof.length > 1) yield proof.toReversed()
}

test(`each inclusion to size ${MAX} checks, and nothing that differs from it in one thing (SEED=${SEED})`, async () => {
  const chance = new Chance(SEED)
  let [honest, changed] = [0, 0]
  const refused = (statement: Inclusion): void => {
    changed++
    if (takes(checkInclusion, statement)) throw new Error(`taken: ${describe(statement)}`)
  }
  for (let size = 1; size <= MAX; size++) {
    for (let index = 0; index < size; index++) {
      const right: Inclusion = { index, size, leafHash: leaves[index]!, root: rootOf(size), proof: await proveInclusion(reader, index, size) }
      expect(takes(checkInclusion, right)).toBe(true)
      honest++
      for (const proof of changedProofs(right.proof, chance)) if (!sameHashes(proof, right.proof)) refused({ ...right, proof })
      for (const other of [index - 1, index + 1, size, -1]) refused({ ...right, index: other })
      for (const other of [index - 1, index + 1]) if (other >= 0) refused({ ...right, leafHash: leaves[other]! })
      for (const other of [size - 1, size + 1]) refused({ ...right, size: other, root: rootOf(other) })
      for (const root of [rootOf(size - 1), rootOf(size + 1), flipped(right.root, chance.below(256))]) refused({ ...right, root })
      refused({ ...right, leafHash: flipped(right.leafHash, chance.below(256)) })
      if (size > 1) refused({ ...right, root: right.leafHash, leafHash: right.root })
    }
  }
  process.stderr.write(`inclusions: ${honest} taken, ${changed} changed ones refused\n`)
  expect(honest).toBe((MAX * (MAX + 1)) / 2)
})

test('an inclusion proof whose size alone is changed is taken exactly where both trees have it at the same place', async () => {
  for (let size = 1; size <= MAX; size++) {
    for (let index = 0; index < size; index += 1 + (index % 3)) {
      const right: Inclusion = { index, size, leafHash: leaves[index]!, root: rootOf(size), proof: await proveInclusion(reader, index, size) }
      for (const other of [size - 1, size + 1]) if (takes(checkInclusion, { ...right, size: other }) !== (turns(index, size) === turns(index, other))) throw new Error(`index ${index}: ${size} and ${other}`)
    }
  }
})

/** The way from the leaf to the root: on which side each sibling stands. */
function turns(index: number, size: number): string {
  if (index >= size) return 'nowhere'
  let out = ''
  for (let [from, to] = [0, size]; to - from > 1; ) {
    let split = 1
    while (split * 2 < to - from) split *= 2
    const right = index >= from + split
    out = (right ? 'l' : 'r') + out
    if (right) from += split
    else to = from + split
  }
  return out
}

test(`each consistency to size ${MAX} checks, and nothing that differs from it in one thing (SEED=${SEED})`, async () => {
  const chance = new Chance(SEED + 1)
  let [honest, changed] = [0, 0]
  const refused = (statement: Consistency): void => {
    changed++
    if (takes(checkConsistency, statement)) throw new Error(`taken: ${describe(statement)}`)
  }
  for (let size = 0; size <= MAX; size++) {
    for (let oldSize = 0; oldSize <= size; oldSize++) {
      const right: Consistency = { oldSize, size, oldRoot: rootOf(oldSize), root: rootOf(size), proof: await proveConsistency(reader, oldSize, size) }
      expect(takes(checkConsistency, right)).toBe(true)
      honest++
      for (const proof of changedProofs(right.proof, chance)) if (!sameHashes(proof, right.proof)) refused({ ...right, proof })
      for (const other of [oldSize - 1, oldSize + 1]) {
        // from nothing, and from itself, every tree goes on by an empty proof: that is true
        const isTrue = right.proof.length === 0 && (other === 0 || other === size)
        if (other >= 0 && !isTrue) refused({ ...right, oldSize: other, oldRoot: rootOf(other) })
        if (other !== size || oldSize !== size) refused({ ...right, oldSize: other })
      }
      for (const other of [size - 1, size + 1]) if (other >= 0 && !(oldSize === 0 || other === oldSize)) refused({ ...right, size: other, root: rootOf(other) })
      if (oldSize !== size) refused({ ...right, oldRoot: right.root, root: right.oldRoot })
      refused({ ...right, oldRoot: flipped(right.oldRoot, chance.below(256)) })
      if (oldSize > 0) refused({ ...right, root: flipped(right.root, chance.below(256)) })
    }
  }
  process.stderr.write(`consistencies: ${honest} taken, ${changed} changed ones refused\n`)
  expect(honest).toBe(((MAX + 1) * (MAX + 2)) / 2)
})

test(`inclusions of several leaves to size ${MAX} check, and nothing that differs from them in one thing (SEED=${SEED})`, async () => {
  const chance = new Chance(SEED + 2)
  let [honest, changed] = [0, 0]
  for (let size = 1; size <= MAX; size++) {
    const all = Array.from({ length: size }, (_, i) => i)
    const sets = [...all.filter((index) => index % 16 === size % 16).map((index) => [index]), all, all.filter((index) => index % 2 === 0), ...Array.from({ length: 3 }, () => all.filter(() => chance.below(1 + chance.below(size)) === 0))].filter((set) => set.length > 0)
    for (const indexes of sets) {
      const right: Inclusions = { indexes, size, leafHashes: indexes.map((index) => leaves[index]!), root: rootOf(size), proof: await proveInclusions(reader, indexes, size) }
      expect(takes(checkInclusions, right)).toBe(true)
      honest++
      for (const statement of changedInclusions(right, chance)) {
        changed++
        if (takes(checkInclusions, statement)) throw new Error(`taken: ${describe(statement)}`)
      }
    }
  }
  process.stderr.write(`inclusions of several: ${honest} taken, ${changed} changed ones refused\n`)
})

function* changedInclusions(right: Inclusions, chance: Chance): Generator<Inclusions> {
  const { indexes, leafHashes, size, proof } = right
  for (const each of changedProofs(proof.length > 12 ? proof.slice(0, 12) : proof, chance)) {
    const whole = proof.length > 12 ? [...each, ...proof.slice(12)] : each
    if (!sameHashes(whole, proof)) yield { ...right, proof: whole }
  }
  for (let n = 0; n < 4; n++) {
    const at = chance.below(indexes.length)
    yield { ...right, leafHashes: leafHashes.with(at, flipped(leafHashes[at]!, chance.below(256))) }
    yield { ...right, leafHashes: leafHashes.toSpliced(at, 1) }
    yield { ...right, indexes: indexes.toSpliced(at, 1), leafHashes: leafHashes.toSpliced(at, 1) }
    yield { ...right, indexes: indexes.toSpliced(at, 0, indexes[at]!), leafHashes: leafHashes.toSpliced(at, 0, leafHashes[at]!) }
    for (const by of [-1, 1]) yield { ...right, indexes: indexes.with(at, indexes[at]! + by) }
    if (indexes.length > 1) {
      const other = (at + 1) % indexes.length
      yield { ...right, leafHashes: leafHashes.with(at, leafHashes[other]!).with(other, leafHashes[at]!) }
      yield { ...right, indexes: indexes.with(at, indexes[other]!).with(other, indexes[at]!), leafHashes: leafHashes.with(at, leafHashes[other]!).with(other, leafHashes[at]!) }
    }
  }
  for (const other of [size - 1, size + 1]) if (other > 0) yield { ...right, size: other, root: rootOf(other) }
  yield { ...right, root: flipped(right.root, chance.below(256)) }
}

/** A tree of `size` leaves of which only what stands beside `points` is made: every other perfect subtree is a hash of its name. */
function sparseTree(name: string, points: readonly { readonly leaf?: number; readonly edge?: number }[]): { hash: (from: number, to: number) => Hash } {
  const made = new Map<string, Hash>()
  const looksInto = (from: number, to: number): boolean => points.some(({ leaf, edge }) => (leaf !== undefined && from <= leaf && leaf < to) || (edge !== undefined && from < edge && edge < to))
  const hash = (from: number, to: number): Hash => mth(from, to, (a, b) => {
    const length = b - a
    const perfect = 2 ** Math.round(Math.log2(length)) === length && a % length === 0
    if (length > 1 && (!perfect || looksInto(a, b))) return undefined
    const key = `${name} ${a} ${b}`
    let found = made.get(key)
    if (found === undefined) made.set(key, (found = leafHash(utf8(key))))
    return found
  })
  return { hash }
}

test(`of ${MUTATIONS.toLocaleString('en-US')} changed proofs of trees up to 2^40 leaves none is taken (SEED=${SEED})`, async () => {
  const chance = new Chance(SEED + 3)
  const below = (n: number): number => Math.min(n - 1, Math.floor(((chance.next() * 2 ** 21 + (chance.next() >>> 11)) / 2 ** 53) * n))
  let [asked, taken, honest] = [0, 0, 0]
  const kinds = { inclusion: 0, consistency: 0, inclusions: 0 }
  for (let tree = 0; asked < MUTATIONS; tree++) {
    const size = 2 + below(2 ** (1 + chance.below(40)) - 1)
    const index = below(size)
    const oldSize = 1 + below(size)
    const more = [...new Set([index, below(size), below(size)])].sort((a, b) => a - b)
    const { hash } = sparseTree(`${SEED}/${tree}`, [...more.map((leaf) => ({ leaf })), { edge: oldSize }])
    const from = readerOf(hash)
    const root = hash(0, size)
    const leafOf = (at: number): Hash => hash(at, at + 1)
    const inclusion: Inclusion = { index, size, leafHash: leafOf(index), root, proof: await proveInclusion(from, index, size) }
    const consistency: Consistency = { oldSize, size, oldRoot: hash(0, oldSize), root, proof: await proveConsistency(from, oldSize, size) }
    const inclusions: Inclusions = { indexes: more, size, leafHashes: more.map(leafOf), root, proof: await proveInclusions(from, more, size) }
    expect([takes(checkInclusion, inclusion), takes(checkConsistency, consistency), takes(checkInclusions, inclusions)], `size ${size}, old ${oldSize}, index ${index}`).toEqual([true, true, true])
    honest += 3
    const strange = leafHash(utf8(`strange ${tree}`))
    for (let n = 0; n < 120; n++) {
      const which = chance.below(5)
      if (which < 2) {
        const statement = { ...inclusion, ...changedSome(inclusion.proof, strange, chance) }
        if (chance.below(6) === 0) Object.assign(statement, { index: other(index, size, chance, below) })
        if (chance.below(8) === 0) statement.leafHash = chance.of([strange, root, flipped(inclusion.leafHash, chance.below(256))])
        if (statement.index === index && equal(statement.leafHash, inclusion.leafHash) && sameHashes(statement.proof, inclusion.proof)) continue
        kinds.inclusion++
        taken += count(takes(checkInclusion, statement), statement)
      } else if (which < 4) {
        const statement = { ...consistency, ...changedSome(consistency.proof, strange, chance) }
        if (chance.below(8) === 0) statement.oldRoot = chance.of([strange, root, flipped(consistency.oldRoot, chance.below(256))])
        if (chance.below(8) === 0) statement.root = chance.of([strange, consistency.oldRoot, flipped(root, chance.below(256))])
        const isSame = equal(statement.oldRoot, consistency.oldRoot) && equal(statement.root, consistency.root) && sameHashes(statement.proof, consistency.proof)
        if (isSame || (oldSize === size && equal(statement.oldRoot, statement.root) && statement.proof.length === 0)) continue
        kinds.consistency++
        taken += count(takes(checkConsistency, statement), statement)
      } else {
        const statement = { ...inclusions, ...changedSome(inclusions.proof, strange, chance) }
        if (chance.below(4) === 0) {
          const at = chance.below(more.length)
          statement.leafHashes = inclusions.leafHashes.with(at, chance.of([strange, flipped(inclusions.leafHashes[at]!, chance.below(256))]))
        }
        if (sameHashes(statement.leafHashes, inclusions.leafHashes) && sameHashes(statement.proof, inclusions.proof)) continue
        kinds.inclusions++
        taken += count(takes(checkInclusions, statement), statement)
      }
      asked++
    }
  }
  process.stderr.write(`${asked} changed proofs (${JSON.stringify(kinds)}), ${taken} taken; ${honest} honest ones taken\n`)
  expect([asked >= MUTATIONS, taken]).toEqual([true, 0])
})

function count(accepted: boolean, statement: unknown): number {
  if (accepted) process.stderr.write(`taken: ${describe(statement)}\n`)
  return accepted ? 1 : 0
}

/** Another index of a tree of `size`, near by or anywhere, or beyond it. */
function other(index: number, size: number, chance: Chance, below: (n: number) => number): number {
  return chance.of([index + 1, index - 1, below(size), size, -1, index + 0.5, size - 1 - index])
}

/** One to three elements changed, moved, dropped or added; or nothing, where something else is changed. */
function changedSome(proof: readonly Hash[], strange: Hash, chance: Chance): { proof: readonly Hash[] } {
  let out = proof.slice()
  for (let n = chance.below(5) === 0 ? 0 : 1 + chance.below(chance.of([1, 1, 3])); n > 0; n--) {
    const [at, to] = [chance.below(out.length + 1), chance.below(out.length + 1)]
    switch (chance.below(7)) {
      case 0: out = at < out.length ? out.with(at, flipped(out[at]!, chance.below(8 * out[at]!.length))) : out; break
      case 1: out = out.toSpliced(at, 1); break
      case 2: out = out.toSpliced(at, 0, strange); break
      case 3: out = at < out.length ? out.toSpliced(to, 0, out[at]!) : out; break
      case 4: out = at < out.length && to < out.length ? out.with(at, out[to]!).with(to, out[at]!) : out; break
      case 5: out = at < out.length ? out.with(at, chance.of([strange, out[at]!.slice(1), new Uint8Array(32), emptyRoot()])) : out; break
      default: out = out.slice(0, at)
    }
  }
  return { proof: out }
}

test(`proofs and checkpoints changed as text say what they said, or nothing (SEED=${SEED})`, async () => {
  const chance = new Chance(SEED + 4)
  const { signer, vkey } = testSigner('log.example/proofs', 7)
  const witness = testSigner('witness.example', 8, COSIGNATURE_ED25519)
  const verifiers = [ed25519Verifier(vkey)]
  let [asked, refused] = [0, 0]
  for (const [index, size] of [[0, 1], [3, 5], [Math.floor(MAX / 4), MAX]] as const) {
    const plain = signCheckpoint({ origin: 'log.example/proofs', size, root: rootOf(size) }, [signer])
    const checkpoint = addSignature(plain, cosignatureSigner(witness.signer, 1_700_000_000))
    const text = formatProof({ index, proof: await proveInclusion(reader, index, size), checkpoint, extra: utf8('extra') })
    const said = (bytes: Uint8Array): string => {
      const opened = openProof(bytes, { leafHash: leaves[index]!, verifiers })
      return `${opened.index} ${opened.checkpoint.size} ${toHex(opened.checkpoint.root)}`
    }
    const head = (bytes: Uint8Array): string => {
      const opened = openCheckpoint(bytes, verifiers)
      return `${opened.origin} ${opened.size} ${toHex(opened.root)}`
    }
    for (const [seed, says] of [[utf8(text), said], [utf8(checkpoint), head]] as const) {
      const honest = says(seed)
      const flips = Array.from(seed, (byte, at) => seed.with(at, byte ^ (1 << chance.below(8))))
      for (const bytes of [...flips, ...Array.from({ length: 4_000 }, () => mutated(seed, [utf8(text), utf8(plain)], chance))]) {
        asked++
        let got: string | undefined
        try {
          got = says(bytes)
        } catch (error) {
          if (!(error instanceof VerifyError)) throw error
          refused++
        }
        if (got !== undefined && got !== honest) throw new Error(`${JSON.stringify(fromUtf8(bytes))} says ${got}`)
      }
    }
  }
  process.stderr.write(`${asked} changed texts, ${refused} refused, the others say what they said\n`)
  expect(refused).toBeGreaterThan(asked / 2)
})

function describe(statement: unknown): string {
  return JSON.stringify(statement, (_, value: unknown) => (value instanceof Uint8Array ? toHex(value) : value))
}
