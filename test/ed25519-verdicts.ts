// The verdicts of our Ed25519 check on the 914 edge cases of C2SP/CCTV, over both backends. Run under any Node, it prints the counts and one
// hash; every supported runtime must print the same:
//   node test/ed25519-verdicts.ts
// The vectors are not part of the project. Ours is the list of those we accept, test/ed25519-accepted.json.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import * as browser from '../src/base/crypto-browser.ts'
import { fromHex, utf8 } from '../src/base/bytes.ts'
import * as node from '../src/base/crypto-node.ts'
import { strictEd25519, type Ed25519Backend } from '../src/log/ed25519.ts'

/** Where the vectors are, when they are there. */
export const VECTORS: URL = new URL('../../shared/data/vectors/ed25519/ed25519vectors.json', import.meta.url)

/** One CCTV vector: `key` and `sig` in hex, `msg` as text. */
export interface Vector {
  readonly number: number
  readonly key: string
  readonly sig: string
  readonly msg: string
  readonly flags: readonly string[] | null
}

/** The numbers of the vectors that `verify` accepts. */
export function accepted(vectors: readonly Vector[], verify: Ed25519Backend): number[] {
  return vectors.filter(({ key, sig, msg }) => verify(fromHex(key), utf8(msg), fromHex(sig))).map(({ number }) => number)
}

/** All vectors in the folder. */
export function readVectors(): Vector[] {
  return JSON.parse(readFileSync(VECTORS, 'utf8')) as Vector[]
}

/** The backends, bare and behind our check. */
export const backends: Readonly<Record<'node' | 'noble', Ed25519Backend>> = { node: node.ed25519Verify, noble: browser.ed25519Verify }

function main(): void {
  if (!existsSync(VECTORS)) {
    console.log(`skipped: no vectors at ${VECTORS.pathname}`)
    return
  }
  const vectors = readVectors()
  for (const [name, backend] of Object.entries(backends)) {
    const bare = accepted(vectors, backend)
    const ours = accepted(vectors, strictEd25519(backend))
    const digest = createHash('sha256').update(JSON.stringify(ours)).digest('hex')
    console.log(`${name}: ${ours.length} of ${vectors.length} accepted, ${bare.length} by the backend alone, sha256 ${digest}`)
  }
}

if (import.meta.main ?? process.argv[1]?.endsWith('ed25519-verdicts.ts')) main()
