// What is remembered of a server's log, so that a server that forgets, forks or rewrites is noticed: its key on first use, and the newest
// checkpoint that was proved to go on from the one before (RFC 6962 §2.1.2, over C2SP tiles). One small file for each server and tenant.

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { CounterfoilError, messageOf, RemoteError, StoreError, VerifyError } from '../base/errors.ts'
import { parseEntry } from '../event/parse.ts'
import { openCheckpoint, parseTreeHead, type Checkpoint } from '../log/checkpoint.ts'
import { checkConsistency, proveConsistency } from '../log/consistency.ts'
import { ed25519Verifier, parseNote } from '../log/note.ts'
import { tileHashReader, type TileSource } from '../log/reader.ts'
import { formatTilePath, TILE_BYTES, TILE_WIDTH } from '../log/tile.ts'
import { KeyChain } from '../verify/key-chain.ts'
import { ask, jsonOf } from './http.ts'
import type { Server } from './server.ts'

interface Remembered { readonly url: string; readonly vkey: string; readonly checkpoint: string }

const TIMEOUT_MS = 20_000
const MAX_TEXT_BYTES = 1024 * 1024
/** Of what the log says of its keys: some 600 bytes for each. */
const MAX_KEYS_BYTES = 8 * 1024 * 1024

export class LogMemory {
  readonly #server: Server
  readonly #path: string
  readonly #report: (problem: VerifyError) => void
  /** From the key that was known first: what a key signed in its time, it signed for good. */
  #chain: KeyChain
  #newest: { readonly note: string; readonly checkpoint: Checkpoint } | undefined
  /** A checkpoint that no known key signed: the log's next one may have. */
  #strange: string | undefined

  private constructor(server: Server, path: string, vkey: string, report: (problem: VerifyError) => void) {
    this.#server = server
    this.#path = path
    this.#chain = new KeyChain(nameOf(vkey), vkey, false)
    this.#report = report
  }

  /**
   * Asks the server for its log's newest checkpoint, and on first use for its key. A VerifyError where they are not of the log remembered at `path`. The log's
   * next key is taken where the known one handed over to it, and `report` is told.
   */
  static async meet(server: Server, path: string, report: (problem: VerifyError) => void): Promise<LogMemory> {
    const known = readMemory(path)
    const memory = new LogMemory(server, path, known?.vkey ?? (await keyNow(server)), report)
    await memory.#ask()
    if (memory.#strange !== undefined) await memory.prove()
    return memory
  }

  get origin(): string {
    return this.#chain.origin
  }

  get size(): number {
    return this.#newest?.checkpoint.size ?? 0
  }

  /** Whether a checkpoint came under a key of which the server has not shown yet that the known one handed over to it. */
  get unexplained(): boolean {
    return this.#strange !== undefined
  }

  get newest(): string | null {
    return this.#newest?.note ?? null
  }

  /** Takes a checkpoint that the server gave. False where no known key signed it: then `prove` finds out whose it is. */
  saw(note: string): boolean {
    if (note === this.#newest?.note) return true
    let checkpoint: Checkpoint
    try {
      checkpoint = this.#chain.open(note)
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error
      this.#strange = note
      return false
    }
    if (checkpoint.size >= this.size) this.#newest = { note, checkpoint }
    return true
  }

  /** Proves that the newest checkpoint goes on from the remembered one, and remembers it. VerifyErrors for a log that does not; a RemoteError where the server does not say. */
  async prove(): Promise<void> {
    await this.#follow()
    if (this.#newest === undefined) return
    const known = readMemory(this.#path)
    if (known === undefined) return this.#remember()
    const old = openCheckpoint(known.checkpoint, [ed25519Verifier(known.vkey)])
    if (old.origin !== this.origin) throw this.#otherLog(this.origin, old.origin)
    if (this.#newest.checkpoint.size < old.size) { // another process may have had a newer one than our answers
      await this.#ask()
      await this.#follow()
    }
    const { note, checkpoint } = this.#newest
    if (checkpoint.size < old.size) throw this.#broken('log_rolled_back', `the server has ${entries(checkpoint.size)}, and signed for ${old.size} before: an older copy was put in its place, or its end was cut off`)
    try {
      const proof = await proveConsistency(tileHashReader(checkpoint.size, this.#tiles()), old.size, checkpoint.size)
      checkConsistency({ oldSize: old.size, size: checkpoint.size, oldRoot: old.root, root: checkpoint.root, proof })
    } catch (cause) {
      if (!(cause instanceof VerifyError)) throw cause
      writeFileSync(`${this.#path}.disagrees`, note, { mode: 0o600 }) // two signed checkpoints that disagree are the evidence
      throw this.#broken('log_forked', `the server's log of ${entries(checkpoint.size)} does not go on from the ${entries(old.size)} that it signed for before: history was rewritten, or went two ways`, cause)
    }
    if (checkpoint.size > old.size || this.#vkey !== known.vkey) this.#remember()
  }

  /** Of the key that signed the newest checkpoint. */
  get #vkey(): string {
    return this.#chain.at(this.size).vkey
  }

  async #ask(): Promise<void> {
    this.saw(fromUtf8((await ask(this.#server, { path: '/v1/log/checkpoint', headers: { accept: 'text/plain' }, timeoutMs: TIMEOUT_MS, most: MAX_TEXT_BYTES })).bytes))
  }

  /** Takes the key of a checkpoint that the known one did not sign, where that one signed over to it, directly or by others between (docs/format.md §2.6). A VerifyError where it did not. */
  async #follow(): Promise<void> {
    const note = this.#strange
    if (note === undefined) return
    const [now, texts] = [await keyNow(this.#server), await this.#keyEntries()]
    const before = this.#chain.newest.vkey
    const chain = new KeyChain(this.origin, this.#chain.reigns[0]!.vkey, false)
    try {
      if (nameOf(now) !== this.origin) throw this.#otherLog(nameOf(now), this.origin)
      for (const text of texts) chain.add(parseEntry(utf8(text)).entry)
      const checkpoint = chain.open(note)
      this.#chain = chain
      this.#strange = undefined
      if (checkpoint.size >= this.size) this.#newest = { note, checkpoint }
    } catch (cause) {
      if (!(cause instanceof CounterfoilError)) throw cause
      if (cause instanceof VerifyError && cause.code === 'log_replaced') throw cause
      throw this.#broken('log_replaced', `a checkpoint of the server is not signed by the log's key ${idOf(before)}, nor by one that it handed over to${this.#older(note)}: ${messageOf(cause)}`, cause)
    }
    const { vkey } = chain.newest
    if (vkey === before) return
    const stolen = chain.stolenSince(before)
    const doubt = stolen === undefined ? '' : `; the key ${idOf(stolen.vkey)} was reported stolen afterwards`
    this.#report(this.#broken('log_key_changed', `the server's log is signed by the key ${idOf(vkey)} now: ${idOf(before)} handed over to it${doubt}`, undefined, stolen === undefined ? 'nothing is to be done; counterfoil keys, where the log lies, says when and by whom' : 'ask who runs the server which key is the right one: what a thief signed looks the same from here'))
  }

  /** A copy from before a rotation is signed by a key that handed over, and no key of it says so. */
  #older(note: string): string {
    const sizeOf = (text: string | undefined): number => (text === undefined ? 0 : parseTreeHead(parseNote(text).text).size)
    try {
      const [now, before] = [sizeOf(note), Math.max(this.size, sizeOf(readMemory(this.#path)?.checkpoint))]
      return now < before ? `, and is of ${entries(now)} where it signed for ${before} before, as an older copy from before its key was rotated would be` : ''
    } catch {
      return ''
    }
  }

  async #keyEntries(): Promise<readonly string[]> {
    const { entries } = (jsonOf(this.#server, await ask(this.#server, { path: '/v1/log/keys', timeoutMs: TIMEOUT_MS, most: MAX_KEYS_BYTES })) ?? {}) as { entries?: unknown }
    return Array.isArray(entries) ? entries.filter((entry) => typeof entry === 'string') : []
  }

  #remember(): void {
    const remembered: Remembered = { url: this.#server.url, vkey: this.#vkey, checkpoint: this.#newest!.note }
    writeFileSync(`${this.#path}.${process.pid}.new`, `${JSON.stringify(remembered)}\n`, { mode: 0o600 })
    renameSync(`${this.#path}.${process.pid}.new`, this.#path)
  }

  #tiles(): TileSource {
    return {
      readTiles: (tiles) => Promise.all(tiles.map(async (tile) => {
        const read = async (width: number): Promise<Uint8Array> => (await ask(this.#server, { path: `/v1/log/${formatTilePath({ ...tile, width })}`, headers: { accept: 'application/octet-stream' }, timeoutMs: TIMEOUT_MS, most: TILE_BYTES })).bytes
        try {
          return await read(tile.width)
        } catch (error) {
          // a tile that was filled meanwhile may be kept only whole
          if (error instanceof RemoteError && error.status === 404 && tile.width < TILE_WIDTH) return read(TILE_WIDTH)
          throw error
        }
      })),
    }
  }

  #otherLog(now: string, before: string): VerifyError {
    return this.#broken('log_replaced', `the server's log is ${now}, and was ${before} before: it was begun anew, or another was put in its place`)
  }

  #broken(code: string, message: string, cause?: unknown, next = `ask who runs the server; keep ${this.#path} as evidence, and move it away to accept the log as it is now`): VerifyError {
    return new VerifyError(code, `client: ${this.#server.url}: ${message}`, next, cause === undefined ? {} : { cause })
  }
}

async function keyNow(server: Server): Promise<string> {
  return fromUtf8((await ask(server, { path: '/v1/log/vkey', headers: { accept: 'text/plain' }, timeoutMs: TIMEOUT_MS, most: MAX_TEXT_BYTES })).bytes).trim()
}

/** What stands at `path`; undefined when there is nothing. A StoreError for a file that is damaged: what it remembered must not be forgotten in silence. */
function readMemory(path: string): Remembered | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { url, vkey, checkpoint } = JSON.parse(text) as Remembered
    parseTreeHead(parseNote(checkpoint).text)
    ed25519Verifier(vkey)
    return { url, vkey, checkpoint }
  } catch (cause) {
    throw new StoreError('memory_malformed', `client: ${path} is damaged: ${messageOf(cause)}`, 'move it away; from then on the server is believed as if it were met for the first time', { cause })
  }
}

function nameOf(vkey: string): string {
  return ed25519Verifier(vkey).name
}

/** A key as people compare it: its name and id. */
function idOf(vkey: string): string {
  return vkey.split('+').slice(0, 2).join('+').slice(0, 300)
}

function entries(size: number): string {
  return size === 1 ? '1 entry' : `${size} entries`
}
