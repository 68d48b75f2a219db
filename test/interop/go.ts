// The Go programs beside this file, and random trees for them: what golang.org/x/mod makes of our proofs, and we of theirs.

import { createHash, randomInt } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { fromBase64, toBase64, utf8 } from '../../src/base/bytes.ts'
import { openCheckpoint, signCheckpoint } from '../../src/log/checkpoint.ts'
import { checkConsistency, proveConsistency } from '../../src/log/consistency.ts'
import { leafHash, type Hash } from '../../src/log/hash.ts'
import { checkInclusion, proveInclusion } from '../../src/log/inclusion.ts'
import { ED25519, ed25519Verifier, formatSignerKey } from '../../src/log/note.ts'
import { tileHashReader, type HashReader } from '../../src/log/reader.ts'
import { formatTilePath, TILE_WIDTH, tilesOf } from '../../src/log/tile.ts'
import { TreeEdge, treeRoot } from '../../src/log/tree.ts'
import { testSigner } from '../signer.ts'

/** Why the programs cannot be had here, if so. */
export const noGo: string | undefined = spawnSync('go', ['version']).status === 0 ? undefined : 'there is no `go` on this machine'

/** The programs of a module beside this file, built: `proofs` and `fsck`, or `witness`. Fetches what they need through the Go module proxy the first time. */
export function buildGo(module: 'go' | 'witness' = 'go'): string {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-go-'))
  const { status, stderr } = spawnSync('go', ['build', '-o', `${folder}/`, './...'], { cwd: join(import.meta.dirname, module), encoding: 'utf8' })
  if (status !== 0) throw new Error(`go build: ${stderr}`)
  return folder
}

const ORIGIN = 'counterfoil.example/interop'
const { signer, vkey } = testSigner(ORIGIN, 7)
const skey = formatSignerKey({ name: ORIGIN, keyId: signer.keyId, type: ED25519, seed: new Uint8Array(32).fill(7) })
const verifiers = [ed25519Verifier(vkey)]

interface Case { seed: string; size: number; oldSize: number; index: number; vkey: string; skey: string; checkpoint: string; inclusion: string[]; consistency: string[]; oldRoot: string }
interface Answer { refused?: string; checkpoint: string; inclusion: string[] | null; consistency: string[] | null; tiles: [string, string][] }
interface Tree { readonly hashes: readonly Hash[]; readonly root: Hash; readonly reader: HashReader; readonly tile: (path: string) => Uint8Array }

/** Compares `count` random trees with x/mod's, both ways. */
export async function compareTrees(programs: string, count: number, seed: number): Promise<void> {
  const random = chance(seed)
  for (let done = 0; done < count; done += 500) {
    const cases = await Promise.all(Array.from({ length: Math.min(500, count - done) }, (_, i) => makeCase(`${seed}/${done + i}`, random)))
    const answers = ask(programs, cases.map(({ asked }) => asked))
    for (const [i, { asked, tree }] of cases.entries()) compare(asked, tree, answers[i]!)
  }
}

/** How often x/mod takes a case in which one thing was changed, of those that it must refuse; and how many were asked. */
export async function askChanged(programs: string, count: number, seed: number): Promise<{ asked: number; taken: string[] }> {
  const random = chance(seed)
  const changed: { what: string; asked: Case }[] = []
  for (let i = 0; i < count; i++) {
    const { asked } = await makeCase(`${seed}/${i}`, random)
    const flip = (hashes: readonly string[]): string[] => hashes.map((hash, n) => (n === asked.size % hashes.length ? flipped(hash, random(256)) : hash))
    changed.push(
      ...(asked.inclusion.length > 0 ? [{ what: 'a flipped inclusion proof', asked: { ...asked, inclusion: flip(asked.inclusion) } }, { what: 'a cut inclusion proof', asked: { ...asked, inclusion: asked.inclusion.slice(1) } }] : []),
      ...(asked.consistency.length > 0 ? [{ what: 'a flipped consistency proof', asked: { ...asked, consistency: flip(asked.consistency) } }, { what: 'a cut consistency proof', asked: { ...asked, consistency: asked.consistency.slice(0, -1) } }] : []),
      { what: 'another old root', asked: { ...asked, oldRoot: flipped(asked.oldRoot, random(256)) } },
      { what: 'a signature line of others', asked: { ...asked, checkpoint: asked.checkpoint.replace(/.{8}\n$/, 'AAAAAAA=\n') } },
      { what: 'another size', asked: { ...asked, checkpoint: asked.checkpoint.replace(/\n[0-9]+\n/, `\n${asked.size + 1}\n`) } },
    )
  }
  const answers = ask(programs, changed.map(({ asked }) => asked))
  return { asked: changed.length, taken: changed.filter((_, i) => answers[i]!.refused === undefined).map(({ what, asked }) => `${what}: ${JSON.stringify(asked)}`) }
}

/** What Tessera's fsck says of an archive folder: `whole`, or what it found. */
export function fsck(programs: string, folder: string, vkey: string): string {
  const { stdout, error } = spawnSync(join(programs, 'fsck'), [folder, vkey], { encoding: 'utf8' })
  if (error !== undefined) throw error
  return stdout.trim()
}

async function makeCase(seed: string, random: (below: number) => number): Promise<{ asked: Case; tree: Tree }> {
  const size = 1 + random(random(8) === 0 ? 1_200 : 2 + random(300))
  const oldSize = 1 + random(size)
  const index = random(size)
  const tree = grow(seed, size)
  const { reader, root, hashes } = tree
  const [inclusion, consistency] = [await proveInclusion(reader, index, size), await proveConsistency(reader, oldSize, size)]
  return {
    tree,
    asked: {
      seed, size, oldSize, index, vkey, skey, checkpoint: signCheckpoint({ origin: ORIGIN, size, root }, [signer]),
      inclusion: inclusion.map(toBase64), consistency: consistency.map(toBase64), oldRoot: toBase64(treeRoot(hashes.slice(0, oldSize))),
    },
  }
}

function grow(seed: string, size: number): Tree {
  const hashes = Array.from({ length: size }, (_, i) => leafHash(utf8(`${seed}/${i}`)))
  const edge = new TreeEdge()
  const full = new Map(edge.append(hashes).map(({ level, index, bytes }) => [formatTilePath({ level, index, width: TILE_WIDTH }), bytes]))
  const tile = (path: string): Uint8Array => full.get(path) ?? edge.partialTile(Number(path.split('/')[1]))
  return { hashes, root: edge.root(), tile, reader: tileHashReader(size, { readTiles: async (tiles) => tiles.map((id) => tile(formatTilePath(id))) }) }
}

function ask(programs: string, cases: readonly Case[]): Answer[] {
  const { stdout, stderr, status, error } = spawnSync(join(programs, 'proofs'), { input: cases.map((one) => `${JSON.stringify(one)}\n`).join(''), encoding: 'utf8', maxBuffer: 2 ** 30 })
  if (status !== 0) throw error ?? new Error(stderr)
  const answers = stdout.trim().split('\n').map((line) => JSON.parse(line) as Answer)
  expect(answers).toHaveLength(cases.length)
  return answers
}

/** x/mod took what we made; what it makes is the same, and we take it. */
function compare(asked: Case, { root, hashes, tile }: Tree, answer: Answer): void {
  const { seed, size, oldSize, index, checkpoint } = asked
  expect(answer.refused, seed).toBe(undefined)
  expect([answer.checkpoint, answer.inclusion ?? [], answer.consistency ?? []], seed).toEqual([checkpoint, asked.inclusion, asked.consistency])
  expect(answer.tiles, seed).toEqual([...tilesOf(size)].map((id) => [formatTilePath(id), createHash('sha256').update(tile(formatTilePath(id))).digest('hex')]))
  const opened = openCheckpoint(answer.checkpoint, verifiers, { origin: ORIGIN })
  checkInclusion({ index, size, leafHash: hashes[index]!, root: opened.root, proof: (answer.inclusion ?? []).map(fromBase64) })
  checkConsistency({ oldSize, size, oldRoot: fromBase64(asked.oldRoot), root, proof: (answer.consistency ?? []).map(fromBase64) })
}

function flipped(hash: string, bit: number): string {
  const bytes = fromBase64(hash)
  bytes[Math.floor(bit / 8)]! ^= 1 << bit % 8
  return toBase64(bytes)
}

/** Repeatable: SHA-256 in counter mode. */
function chance(seed: number): (below: number) => number {
  let n = 0
  return (below) => createHash('sha256').update(`${seed}:${n++}`).digest().readUIntBE(0, 6) % below
}

/** `$TREES` trees, else `otherwise`; `$SEED`, else a new one. */
export function treesAsked(otherwise: number): { count: number; seed: number } {
  return { count: Number(process.env['TREES'] ?? otherwise), seed: Number(process.env['SEED'] ?? process.env['FC_SEED'] ?? randomInt(2 ** 31)) }
}
