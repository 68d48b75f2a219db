// Vectors that others made, from ../shared/data/vectors beside the repository. They are not part of the project: without the folder these
// tests are skipped and say so.

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { equal, fromBase64, fromUtf8, toHex, utf8 } from '../src/base/bytes.ts'
import { canonicalJson, parseStrictJson, type CanonicalValue } from '../src/base/canonical-json.ts'
import { openCheckpoint } from '../src/log/checkpoint.ts'
import { checkConsistency, proveConsistency } from '../src/log/consistency.ts'
import { cosignatureVerifier, parseCosignature } from '../src/log/cosignature.ts'
import { strictEd25519 } from '../src/log/ed25519.ts'
import { leafHash } from '../src/log/hash.ts'
import { checkInclusion, proveInclusion } from '../src/log/inclusion.ts'
import { ed25519Verifier, openNote, parseNote } from '../src/log/note.ts'
import { rootAt, tileHashReader, type TileSource } from '../src/log/reader.ts'
import { decodeBundle, formatTilePath, splitHashes, tilesOf } from '../src/log/tile.ts'
import { TreeEdge, treeRoot } from '../src/log/tree.ts'
import { accepted, backends, readVectors } from './ed25519-verdicts.ts'
import acceptedVectors from './ed25519-accepted.json' with { type: 'json' }
import { ES6_NUMBER_HASHES, es6Numbers } from './es6-numbers.ts'
import { testReader } from './tree-source.ts'

const FOLDER = new URL('../../shared/data/vectors/', import.meta.url)
const present = existsSync(FOLDER)
const because = present ? '' : ' (skipped: ../shared/data/vectors is absent)'
const bytes = (path: string): Uint8Array => new Uint8Array(readFileSync(new URL(path, FOLDER)))
const text = (path: string): string => fromUtf8(bytes(path))

describe.skipIf(!present)(`RFC 6962 proofs of transparency-dev/merkle${because}`, () => {
  // Our decisions: a hash is 32 bytes, whatever is compared with it; a proof from size 0 is accepted if it is empty and the old root is
  // SHA-256(""), where they refuse every size 0 (a witness that meets a log begins there). The first makes one verdict differ from
  // theirs; the second none, because their vectors with size 0 have another root or a hash too many.
  const DIFFERENT = [
    'consistency/additional/sizes-are-equal-one-and-proof-is-empty.json', // we refuse: both roots are the text "don't care 2", 12 bytes
  ]

  test('inclusion: the verdict of all 98 is theirs', () => {
    const files = jsonFiles('rfc6962/inclusion')
    expect(files.length).toBe(98)
    expect(files.filter((file) => accepts(() => checkInclusion(inclusionOf(file))) === readCase(file).wantErr)).toEqual([])
  })

  test('consistency: the verdict of all 98 is theirs, but for those listed', () => {
    const files = jsonFiles('rfc6962/consistency')
    const different = files.filter((file) => accepts(() => checkConsistency(consistencyOf(file))) === readCase(file).wantErr)
    expect(files.length).toBe(98)
    expect(different.map((file) => file.replace('rfc6962/', ''))).toEqual(DIFFERENT)
  })
})

describe.skipIf(!present)(`the log of transparency-dev/tessera${because}`, () => {
  const verifier = ed25519Verifier('example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx')
  const entriesOf = (size: number): Uint8Array[] => (size === 0 ? [] : decodeBundle(bytes(`tessera-log/log/tile/entries/000.p/${size}`), size))

  test('all 16 checkpoints open, and their roots follow from the entry bundles', () => {
    for (let size = 0; size < 16; size++) {
      const checkpoint = openCheckpoint(bytes(`tessera-log/log/checkpoint.${size}`), [verifier])
      const leaves = entriesOf(size).map(leafHash)
      const edge = new TreeEdge()
      edge.append(leaves)
      expect(checkpoint).toMatchObject({ origin: 'example.com/log/testdata', size })
      expect(treeRoot(leaves)).toEqual(checkpoint.root)
      expect(edge.root()).toEqual(checkpoint.root)
      if (size > 0) expect(edge.partialTile(0)).toEqual(bytes(`tessera-log/log/tile/0/000.p/${size}`))
    }
  })

  test('every entry is proved in, and every checkpoint is consistent with every later one', async () => {
    const heads = Array.from({ length: 16 }, (_, size) => openCheckpoint(bytes(`tessera-log/log/checkpoint.${size}`), [verifier]))
    const leaves = entriesOf(15).map(leafHash)
    for (const { size, root } of heads) {
      const reader = tileHashReader(size, folderTiles('tessera-log/log/'))
      for (let index = 0; index < size; index++) {
        checkInclusion({ index, size, leafHash: leaves[index]!, root, proof: await proveInclusion(reader, index, size) })
      }
      for (const old of heads.slice(0, size + 1)) {
        checkConsistency({ oldSize: old.size, size, oldRoot: old.root, root, proof: await proveConsistency(reader, old.size, size) })
      }
    }
  })

  test('no flipped bit of the last checkpoint, bundle or tile passes', () => {
    const note = bytes('tessera-log/log/checkpoint.15')
    const bundle = bytes('tessera-log/log/tile/entries/000.p/15')
    const tile = bytes('tessera-log/log/tile/0/000.p/15')
    const { root } = openCheckpoint(note, [verifier])
    expect(flips(note).filter((flipped) => accepts(() => openCheckpoint(flipped, [verifier]))).length).toBe(0)
    expect(flips(bundle).filter((flipped) => accepts(() => mustEqual(treeRoot(decodeBundle(flipped, 15).map(leafHash)), root))).length).toBe(0)
    expect(flips(tile).filter((flipped) => accepts(() => mustEqual(treeRoot(splitHashes(flipped)), root))).length).toBe(0)
  })
})

describe.skipIf(!present)(`the tiles of FiloSottile/sunlight${because}`, () => {
  test('have the names and lengths that their size gives them', () => {
    const sizes = [...tilesOf(3 * 256 + 10)].filter(({ level }) => level === 0)
    expect(sizes.map(formatTilePath)).toEqual(['tile/0/000', 'tile/0/001', 'tile/0/002', 'tile/0/003.p/10'])
    for (const tile of sizes) expect(bytes(`sunlight-tiles/navigli2025h2/${formatTilePath(tile)}`).length).toBe(tile.width * 32)
  })

  test('give roots and proofs that agree with the tree over their leaf hashes', async () => {
    const size = 3 * 256 + 10
    const tiles = [...tilesOf(size)].filter(({ level }) => level === 0)
    const leaves = tiles.flatMap((tile) => splitHashes(bytes(`sunlight-tiles/navigli2025h2/${formatTilePath(tile)}`)))
    const reader = testReader(leaves)
    const root = treeRoot(leaves)
    expect(await rootAt(reader, size)).toEqual(root)
    for (const index of [0, 255, 256, 767, 768, 777]) checkInclusion({ index, size, leafHash: leaves[index]!, root, proof: await proveInclusion(reader, index, size) })
  })

  test('of a mirror give the root that its checkpoint signs, and its own level 1', async () => {
    const folder = 'cosignature/witness/mirror/000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706/'
    const root = fromBase64(text(`${folder}checkpoint`).split('\n')[2]!)
    const reader = tileHashReader(300, folderTiles(folder))
    expect(await rootAt(reader, 300)).toEqual(root)
    expect(treeRoot(splitHashes(bytes(`${folder}tile/0/000`)))).toEqual(bytes(`${folder}tile/1/000.p/1`))
    const leaves = [...splitHashes(bytes(`${folder}tile/0/000`)), ...splitHashes(bytes(`${folder}tile/0/001.p/44`))]
    for (let index = 0; index < 300; index += 7) {
      checkInclusion({ index, size: 300, leafHash: leaves[index]!, root, proof: await proveInclusion(reader, index, 300) })
    }
  })
})

describe.skipIf(!present)(`the cosignatures of FiloSottile/sunlight${because}`, () => {
  test.each([
    ['cosignature/witness/000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706/checkpoint', 'cosignature/witness/witness.v0.json'],
    ['cosignature/witness2/88ad7a28caeb0b2aa890fdf0304c2fcaf59fca2ee140134ff8c1300bac493482/checkpoint', 'cosignature/witness2/witness.v0.json'],
    ['cosignature/witness/mirror/000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706/checkpoint', 'cosignature/witness/mirror/mirror.v0.json'],
  ])('%s verifies, and none of its flipped bits that matter', (path, keyFile) => {
    const { verifier_keys } = JSON.parse(text(keyFile)) as { verifier_keys: string[] }
    const verifier = cosignatureVerifier(verifier_keys[0]!)
    const { verified } = openNote(bytes(path), [verifier])
    expect(parseCosignature(verified[0]!.signature)?.time).toBe(1_767_139_200)
    const signed = parseNote(bytes(path))
    const body = utf8(signed.text)
    expect(flips(body).filter((flipped) => verifier.verify(flipped, verified[0]!.signature)).length).toBe(0)
    expect(flips(verified[0]!.signature).filter((flipped) => verifier.verify(body, flipped)).length).toBe(0)
  })

  test('do not make a checkpoint without the signature of the log, whose kind of key we do not know', () => {
    const path = 'cosignature/witness/000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706/checkpoint'
    const { verifier_keys } = JSON.parse(text('cosignature/witness/witness.v0.json')) as { verifier_keys: string[] }
    expect(() => openCheckpoint(bytes(path), [], { cosigners: [cosignatureVerifier(verifier_keys[0]!)] })).toThrow('got only cosignatures')
  })
})

describe.skipIf(!present)(`RFC 8785 vectors of cyberphone/json-canonicalization${because}`, () => {
  const names = present ? readdirSync(new URL('jcs/input/', FOLDER)).map((name) => name.replace('.json', '')) : []

  test('there are 6', () => expect(names.length).toBe(6))

  test.each(names)('%s: output and outhex', (name) => {
    const out = canonicalJson(JSON.parse(text(`jcs/input/${name}.json`)) as CanonicalValue)
    expect(out).toBe(text(`jcs/output/${name}.json`))
    expect(toHex(utf8(out))).toBe(text(`jcs/outhex/${name}.txt`).replaceAll(/\s/g, ''))
    expect(canonicalJson(parseStrictJson(out))).toBe(out)
  })
})

test('the ES6 number table: the first 1,000, 10,000 and 1,000,000 lines have the published hashes', () => {
  const hash = createHash('sha256')
  const bits = new DataView(new ArrayBuffer(8))
  let lines = 0
  for (const value of es6Numbers()) {
    bits.setFloat64(0, value)
    hash.update(`${bits.getBigUint64(0).toString(16)},${canonicalJson(value)}\n`)
    const published = ES6_NUMBER_HASHES[++lines]
    if (published !== undefined) expect(hash.copy().digest('hex')).toBe(published)
    if (lines === 1_000_000) break
  }
})

describe.skipIf(!present)(`Ed25519 edge cases of C2SP/CCTV${because}`, () => {
  test.each(Object.entries(backends))('over %s: exactly the vectors on our list are accepted', (_, backend) => {
    const vectors = readVectors()
    expect(vectors.length).toBe(914)
    expect(accepted(vectors, strictEd25519(backend))).toEqual(acceptedVectors.accepted)
  })

  test('what is accepted has a large-order key, a large-order R and nothing encoded twice', () => {
    const flags = new Set(readVectors().filter(({ number }) => acceptedVectors.accepted.includes(number)).flatMap((vector) => vector.flags ?? []))
    expect([...flags].sort()).toEqual(['low_order_component_A', 'low_order_component_R'])
  })
})

interface ProofCase {
  readonly wantErr: boolean
  readonly root: string
  readonly root1: string
  readonly root2: string
  readonly leafHash: string
  readonly proof: readonly string[] | null
}

function readCase(file: string): ProofCase {
  return JSON.parse(text(file)) as ProofCase
}

/** Integers are read as text: some of the vectors' are beyond the safe ones, and no size we accept is. */
function integer(file: string, field: string): number {
  return Number(new RegExp(`"${field}": (\\d+)`).exec(text(file))![1])
}

function inclusionOf(file: string): Parameters<typeof checkInclusion>[0] {
  const { leafHash: leaf, root, proof } = readCase(file)
  return { index: integer(file, 'leafIdx'), size: integer(file, 'treeSize'), leafHash: fromBase64(leaf), root: fromBase64(root), proof: (proof ?? []).map(fromBase64) }
}

function consistencyOf(file: string): Parameters<typeof checkConsistency>[0] {
  const { root1, root2, proof } = readCase(file)
  return { oldSize: integer(file, 'size1'), size: integer(file, 'size2'), oldRoot: fromBase64(root1), root: fromBase64(root2), proof: (proof ?? []).map(fromBase64) }
}

function jsonFiles(folder: string): string[] {
  return readdirSync(new URL(folder, FOLDER), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => `${folder}/${name}`)
    .sort()
}

function folderTiles(folder: string): TileSource {
  return { readTiles: async (tiles) => tiles.map((tile) => bytes(`${folder}${formatTilePath(tile)}`)) }
}

function accepts(check: () => unknown): boolean {
  try {
    check()
    return true
  } catch (error) {
    expect(error).toMatchObject({ name: 'VerifyError' })
    return false
  }
}

function mustEqual(a: Uint8Array, b: Uint8Array): void {
  if (!equal(a, b)) throw Object.assign(new Error('other root'), { name: 'VerifyError' })
}

function flips(original: Uint8Array): Uint8Array[] {
  return Array.from({ length: original.length * 8 }, (_, bit) => {
    const flipped = original.slice()
    flipped[Math.floor(bit / 8)]! ^= 2 ** (bit % 8)
    return flipped
  })
}
