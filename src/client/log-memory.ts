// What is remembered of a server's log, so that a server that forgets, forks or rewrites is noticed: its key on first use, and the newest
// checkpoint that was proved to go on from the one before (RFC 6962 §2.1.2, over C2SP tiles). One small file for each server and tenant.

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fromUtf8 } from '../base/bytes.ts'
import { messageOf, RemoteError, StoreError, VerifyError } from '../base/errors.ts'
import { openCheckpoint, parseTreeHead, type Checkpoint } from '../log/checkpoint.ts'
import { checkConsistency, proveConsistency } from '../log/consistency.ts'
import { ed25519Verifier, parseNote, type NoteVerifier } from '../log/note.ts'
import { tileHashReader, type TileSource } from '../log/reader.ts'
import { formatTilePath, TILE_BYTES, TILE_WIDTH } from '../log/tile.ts'
import { ask } from './http.ts'
import type { Server } from './server.ts'

interface Remembered { readonly url: string; readonly vkey: string; readonly checkpoint: string }

const TIMEOUT_MS = 20_000
const MAX_TEXT_BYTES = 1024 * 1024

export class LogMemory {
  readonly #server: Server
  readonly #path: string
  readonly #vkey: string
  readonly #verifier: NoteVerifier
  #newest: { readonly note: string; readonly checkpoint: Checkpoint } | undefined

  private constructor(server: Server, path: string, vkey: string) {
    this.#server = server
    this.#path = path
    this.#vkey = vkey
    this.#verifier = ed25519Verifier(vkey)
  }

  /**
   * Asks the server for its log's key and newest checkpoint. A VerifyError where they are not of the log remembered at `path`. The next key of the same
   * log is taken when what it signs goes on from what the old one did; `report` is told.
   */
  static async meet(server: Server, path: string, report: (problem: VerifyError) => void): Promise<LogMemory> {
    const vkey = fromUtf8((await ask(server, { path: '/v1/log/vkey', headers: { accept: 'text/plain' }, timeoutMs: TIMEOUT_MS, most: MAX_TEXT_BYTES })).bytes).trim()
    const known = readMemory(path)
    const memory = new LogMemory(server, path, vkey)
    if (known !== undefined && ed25519Verifier(known.vkey).name !== memory.origin) throw memory.#otherLog(known.vkey)
    await memory.#ask()
    if (known === undefined || known.vkey === vkey) return memory
    await memory.prove()
    memory.#remember()
    report(memory.#broken('log_key_changed', `the server's log is signed by the key ${idOf(vkey)} now, and was by ${idOf(known.vkey)} before; its entries are the same`, undefined, 'compare with counterfoil keys where the log lies: whether the old key handed over to this one is on record there'))
    return memory
  }

  get origin(): string {
    return this.#verifier.name
  }

  get size(): number {
    return this.#newest?.checkpoint.size ?? 0
  }

  get newest(): string | null {
    return this.#newest?.note ?? null
  }

  /** Takes a checkpoint that the server gave: a VerifyError unless the log's key signed it. */
  saw(note: string): void {
    if (note === this.#newest?.note) return
    let checkpoint: Checkpoint
    try {
      checkpoint = openCheckpoint(note, [this.#verifier], { origin: this.origin })
    } catch (cause) {
      if (!(cause instanceof VerifyError)) throw cause
      throw this.#broken('log_replaced', `a checkpoint of the server does not open under the log's key: ${messageOf(cause)}`, cause)
    }
    if (checkpoint.size >= this.size) this.#newest = { note, checkpoint }
  }

  /** Proves that the newest checkpoint goes on from the remembered one, and remembers it. VerifyErrors for a log that does not; a RemoteError where the server does not say. */
  async prove(): Promise<void> {
    if (this.#newest === undefined) return
    const known = readMemory(this.#path)
    if (known === undefined) return this.#remember()
    const old = openCheckpoint(known.checkpoint, [ed25519Verifier(known.vkey)])
    if (old.origin !== this.origin) throw this.#otherLog(known.vkey)
    if (this.#newest.checkpoint.size < old.size) await this.#ask() // another process may have had a newer one than our answers
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
    if (checkpoint.size > old.size) this.#remember()
  }

  async #ask(): Promise<void> {
    this.saw(fromUtf8((await ask(this.#server, { path: '/v1/log/checkpoint', headers: { accept: 'text/plain' }, timeoutMs: TIMEOUT_MS, most: MAX_TEXT_BYTES })).bytes))
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

  #otherLog(vkey: string): VerifyError {
    return this.#broken('log_replaced', `the server's log is ${this.origin}, and was ${ed25519Verifier(vkey).name} before: it was begun anew, or another was put in its place`)
  }

  #broken(code: string, message: string, cause?: unknown, next = `ask who runs the server; keep ${this.#path} as evidence, and move it away to accept the log as it is now`): VerifyError {
    return new VerifyError(code, `client: ${this.#server.url}: ${message}`, next, cause === undefined ? {} : { cause })
  }
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

/** A key as people compare it: its name and id. */
function idOf(vkey: string): string {
  return vkey.split('+').slice(0, 2).join('+').slice(0, 300)
}

function entries(size: number): string {
  return size === 1 ? '1 entry' : `${size} entries`
}
