// A log in memory that signs what it is told to, also a rewritten history, and a witness over real loopback HTTP. For tests.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testSigner } from './signer.ts'
import { utf8 } from '../src/base/bytes.ts'
import { signCheckpoint } from '../src/log/checkpoint.ts'
import { proveConsistency } from '../src/log/consistency.ts'
import { leafHash, type Hash } from '../src/log/hash.ts'
import type { HashReader } from '../src/log/reader.ts'
import { treeRoot } from '../src/log/tree.ts'
import { formatAddCheckpoint } from '../src/witness/request.ts'
import { serveWitness, type WitnessServer, type WitnessServerOptions } from '../src/witness/server.ts'
import { createWitnessKey, readWitnessKey, WitnessState } from '../src/witness/state.ts'
import { Witness } from '../src/witness/witness.ts'

export const ORIGIN = 'log.example/agents'
export const NAME = 'witness.example/w1'
/** 2023-11-14T22:13:20Z */
export const NOW_MS = 1_700_000_000_000

export interface TestLog {
  readonly vkey: string
  readonly reader: HashReader
  root(size: number): Hash
  checkpoint(size: number): string
  proof(oldSize: number, size: number): Promise<Hash[]>
  /** A request from `oldSize` to `size`, right unless parts of it are said. */
  request(oldSize: number, size: number, more?: { readonly proof?: readonly Hash[]; readonly checkpoint?: string }): Promise<Uint8Array>
}

/** A log whose entries are `<history> <i>` from `fork` on, and the same in all histories before. */
export function testLog({ history = 'a', fork = 0, seed = 1, origin = ORIGIN }: { history?: string; fork?: number; seed?: number; origin?: string } = {}): TestLog {
  const { signer, vkey } = testSigner(origin, seed)
  const leaf = (i: number): Hash => leafHash(utf8(`${i < fork ? 'a' : history} ${i}`))
  const leaves = (from: number, to: number): Hash[] => Array.from({ length: to - from }, (_, i) => leaf(from + i))
  const root = (size: number): Hash => treeRoot(leaves(0, size))
  const reader: HashReader = { readHashes: async (nodes) => nodes.map(({ height, index }) => treeRoot(leaves(index * 2 ** height, (index + 1) * 2 ** height))) }
  const checkpoint = (size: number): string => signCheckpoint({ origin, size, root: root(size) }, [signer])
  const proof = (oldSize: number, size: number): Promise<Hash[]> => proveConsistency(reader, oldSize, size)
  return {
    vkey, reader, root, checkpoint, proof,
    request: async (oldSize, size, more = {}) => formatAddCheckpoint({ oldSize, proof: more.proof ?? (oldSize <= size ? await proof(oldSize, size) : []), checkpoint: more.checkpoint ?? checkpoint(size) }),
  }
}

export interface TestWitness extends WitnessServer {
  readonly folder: string
  readonly vkey: string
  readonly state: WitnessState
  post(body: Uint8Array | string): Promise<{ status: number; type: string | null; body: string }>
  /** Ends it and starts it again on the same folder. */
  restart(): Promise<TestWitness>
  stop(): Promise<void>
}

/** A new folder that is removed with `remove`. */
export function witnessFolder(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-witness-'))
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** A witness in `folder` that serves the logs of `vkeys`. */
export async function startWitness(folder: string, vkeys: readonly string[], options: Partial<WitnessServerOptions> & { now?: () => number } = {}): Promise<TestWitness> {
  const { now = () => NOW_MS, ...server } = options
  const key = keyIn(folder)
  const state = WitnessState.open(folder)
  let witness: Witness
  try {
    witness = new Witness(state, key, vkeys, now)
  } catch (error) {
    state.close()
    throw error
  }
  const served = await serveWitness(witness, { port: 0, ...server })
  const stop = async (): Promise<void> => {
    await served.close()
    state.close()
  }
  return {
    ...served, folder, vkey: key.vkey, state, stop,
    async post(body) {
      const response = await fetch(`${served.url}/add-checkpoint`, { method: 'POST', body: typeof body === 'string' ? body : Buffer.from(body) })
      return { status: response.status, type: response.headers.get('content-type'), body: await response.text() }
    },
    async restart() {
      await stop()
      return startWitness(folder, vkeys, options)
    },
  }
}

function keyIn(folder: string): ReturnType<typeof readWitnessKey> {
  try {
    return readWitnessKey(folder)
  } catch {
    return createWitnessKey(folder, NAME)
  }
}
