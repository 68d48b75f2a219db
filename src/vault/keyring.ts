// A log's keys, and what stands beside them so that a restored database is noticed (DESIGN §6 "Keys", "Rollback"):
//
//   <state folder>/<slug of origin>/   log.key  log.pub  kek-<generation>  fingerprint.key  head  proved  cosigned  restored
//
// A log whose keys are not there is an error, never a reason for new ones. Protection by a passphrase is not here yet.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { hmacSha256 } from '#crypto'
import { utf8 } from '../base/bytes.ts'
import { signEd25519 } from '../base/ed25519-key.ts'
import { MisuseError, StoreError } from '../base/errors.ts'
import { formatVerifierKey, type NoteSigner } from '../log/note.ts'
import { createDiskFolder, type KeyFolder, memoryFolder, openDiskFolder } from './key-folder.ts'
import { formatSecretKey, formatSigningKey, isOrigin, parseSecretKey, parseSigningKey, type SigningKey } from './key-text.ts'
import { slugOf, stateHome } from './paths.ts'
import type { Kek } from './scope.ts'

/** Where the keys of `origin` lie or would lie. */
export function keyringFolder(origin: string, home: string = stateHome()): string {
  return join(home, slugOf(origin))
}

/** Makes the keys of a new log, durably. StoreError `key_exists` if there are some; of two processes that call it, one succeeds. */
export function createKeyring(origin: string, home: string = stateHome()): Keyring {
  return new Keyring(origin, createDiskFolder(keyringFolder(origin, home), newKeys(origin)))
}

/**
 * The keys of a log. StoreError `keys_missing` names the folder where they were expected, `key_permissions` the chmod to run,
 * `key_malformed` the file that is damaged or belongs to another log.
 */
export function openKeyring(origin: string, home: string = stateHome()): Keyring {
  return new Keyring(origin, openDiskFolder(keyringFolder(origin, home)))
}

/** Keys that end with the process, for a trail in memory. */
export function ephemeralKeyring(origin: string): Keyring {
  return new Keyring(origin, memoryFolder(newKeys(origin)))
}

function newKeys(origin: string): Map<string, string> {
  if (!isOrigin(origin)) throw new MisuseError('origin', `vault: expected an origin without spaces and plus signs, at most 255 bytes, got ${JSON.stringify(origin.slice(0, 300))}`, 'choose a host and path, like audit.example.com/agents')
  const key = formatSigningKey(origin, randomBytes(32))
  return new Map([
    ['log.key', key.secret],
    ['log.pub', key.vkey],
    ['kek-1', formatSecretKey('kek-1', origin, randomBytes(32))],
    ['fingerprint.key', formatSecretKey('fingerprint', origin, randomBytes(32))],
  ])
}

/** What this machine saw and did: in another place, or later, it would be wrong. */
const OWN_MEMORY: ReadonlySet<string> = new Set(['head', 'proved', 'restored'])

/** One log's open keys. Everything is synchronous; what writes has reached the disk when it returns. */
export class Keyring {
  readonly origin: string
  /** The folder's path, or `memory`. */
  readonly folder: string
  /** The log's verifier key, as in `log_start` and in notes. */
  readonly vkey: string
  readonly #files: KeyFolder
  readonly #signing: SigningKey
  readonly #fingerprint: Uint8Array
  readonly #keks = new Map<number, Uint8Array>()

  /** Use `createKeyring`, `openKeyring` or `ephemeralKeyring`. */
  constructor(origin: string, files: KeyFolder) {
    this.origin = origin
    this.folder = files.name
    this.#files = files
    this.#signing = this.#parse('log.key', (text) => parseSigningKey(text, origin))
    this.vkey = formatVerifierKey(this.#signing.verifier)
    this.#parse('log.pub', (text) => {
      if (text.trimEnd() !== this.vkey) throw new TypeError(`expected ${this.vkey}, the public half of log.key`)
    })
    this.#fingerprint = this.#parse('fingerprint.key', (text) => parseSecretKey(text, 'fingerprint', origin))
    this.currentKek()
  }

  /** Signs checkpoints as this log. */
  signer(): NoteSigner {
    const { pair, verifier } = this.#signing
    return { name: verifier.name, keyId: verifier.keyId, sign: (message) => signEd25519(pair, message) }
  }

  /** The generations that are there, ascending, with the time each was made (its file's, in ms since 1970). */
  keks(): { generation: number; made_ms: number }[] {
    const found = this.#files.list().flatMap((name) => /^kek-([1-9]\d{0,9})$/.exec(name)?.[1] ?? [])
    return found.map((text) => ({ generation: Number(text), made_ms: Math.floor(this.#files.madeAt(`kek-${text}`) ?? 0) })).sort((a, b) => a.generation - b.generation)
  }

  /**
   * The newest generation, under which new secrets are wrapped. Looks into the folder each time (10 µs), since another process may
   * have renewed it: call it inside the append transaction, so that no secret is wrapped under a generation about to be destroyed.
   */
  currentKek(): Kek {
    const there = new Set(this.keks().map((kek) => kek.generation))
    for (const generation of this.#keks.keys()) if (!there.has(generation)) this.#keks.delete(generation)
    const generation = Math.max(0, ...there)
    return { generation, key: this.kek(generation) }
  }

  /** The key of one generation. StoreError `kek_missing` if it was destroyed or is lost. */
  kek(generation: number): Uint8Array {
    const known = this.#keks.get(generation)
    if (known !== undefined) return known
    const name = `kek-${generation}`
    if (this.#files.read(name) === undefined) {
      throw new StoreError('kek_missing', `vault: KEK generation ${generation} is not in ${this.folder}`, 'it was destroyed at a renewal, so this copy of the secrets is dead; use the live database, or restore the key folder')
    }
    const key = this.#parse(name, (text) => parseSecretKey(text, name, this.origin))
    this.#keks.set(generation, key)
    return key
  }

  /**
   * First step of a renewal: makes generation g+1 beside the current g. Then re-wrap every secret that is not under g+1 in append
   * transactions until none is left, then `destroyKek(g)`. A crash between the steps leaves both; go on from the second.
   * RangeError unless `generation` follows the current one; StoreError `key_exists` if another process made it just now.
   */
  makeKek(generation: number): Kek {
    const current = this.currentKek().generation
    if (generation !== current + 1) throw new RangeError(`vault: expected KEK generation ${current + 1}, got ${generation}`)
    const name = `kek-${generation}`
    this.#files.create(name, formatSecretKey(name, this.origin, randomBytes(32)))
    return this.currentKek()
  }

  /**
   * Last step of a renewal: destroys an older generation, and with it every copy of the secrets that are wrapped under it. The file is
   * overwritten, fsynced and unlinked; on flash and on copy-on-write file systems (btrfs, ZFS, APFS, snapshots) the old blocks may
   * live on for a while, and copies of the key folder live as long as they are kept. RangeError for the newest generation.
   */
  destroyKek(generation: number): void {
    if (generation >= this.currentKek().generation) throw new RangeError(`vault: expected an older KEK generation than the current one, got ${generation}`)
    this.#files.destroy(`kek-${generation}`)
    this.#keks.delete(generation)
  }

  /** HMAC-SHA-256(fingerprint key, label ‖ 0x00 ‖ bytes), 32 bytes: for what an author declares as configuration. */
  fingerprint(label: string, bytes: Uint8Array): Uint8Array {
    if (label.includes('\0')) throw new TypeError('vault: expected a label without NUL')
    return hmacSha256(this.#fingerprint, utf8(label), new Uint8Array(1), bytes)
  }

  /** The newest checkpoint note that this machine gave away, as it was written; the caller checks its signature. */
  readHead(): string | undefined {
    return this.#files.read('head')
  }

  /** Replaces the head; two fsyncs, so at most once a second. Of two processes the last one stands: write under the lock, or accept an older head. */
  writeHead(note: string): void {
    this.#files.replace('head', note)
  }

  /** The last checkpoint note that `verify` proved on this machine. */
  readProved(): string | undefined {
    return this.#files.read('proved')
  }

  writeProved(note: string): void {
    this.#files.replace('proved', note)
  }

  /** The newest checkpoint note that witnesses cosigned, as it was written; the caller checks every signature. */
  readCosigned(): string | undefined {
    return this.#files.read('cosigned')
  }

  writeCosigned(note: string): void {
    this.#files.replace('cosigned', note)
  }

  /** What was noted when this machine restored the log (`ledger/restored.ts`). */
  readRestored(): string | undefined {
    return this.#files.read('restored')
  }

  writeRestored(text: string): void {
    this.#files.replace('restored', text)
  }

  /** Every file that a copy of the keys needs, by name, as it lies there: all but what only this machine remembers. */
  texts(): Map<string, string> {
    const texts = new Map<string, string>()
    for (const name of this.#files.list()) {
      const text = OWN_MEMORY.has(name) ? undefined : this.#files.read(name) // one that goes meanwhile is a KEK that was destroyed
      if (text !== undefined) texts.set(name, text)
    }
    return texts
  }

  #parse<T>(name: string, parse: (text: string) => T): T {
    const text = this.#files.read(name)
    if (text === undefined) throw new StoreError('keys_missing', `vault: expected ${name} in ${this.folder}, and it is not there`, 'restore it from a copy; no new key can continue this log')
    try {
      return parse(text)
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause
      throw new StoreError('key_malformed', `vault: ${join(this.folder, name)}: ${cause.message}`, 'restore it from a copy', { cause })
    }
  }
}
