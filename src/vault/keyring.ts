// A log's keys, and what stands beside them so that a restored database is noticed (DESIGN §6 "Keys", "Rollback"):
//
//   <state folder>/<slug of origin>/   log.key  log.pub  kek-<generation>  fingerprint.key  head  proved  cosigned
//                                      log-<id>.key  log-<id>.next  log-<id>.pub
//
// log.key is the first signing key, log-<id>.key one that a rotation made, log-<id>.next the public half of one that is kept elsewhere. Which of them
// is in force the log says: it is the one that signed its newest checkpoint. A key is on disk before the log may name it, and is destroyed only after
// the log named its successor; so at every moment the key in force is there. log.pub is that of the newest, log-<id>.pub those of the retired.
//
// A log whose keys are not there is an error, never a reason for new ones. Protection by a passphrase is not here yet.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { hmacSha256 } from '#crypto'
import { utf8 } from '../base/bytes.ts'
import { signEd25519 } from '../base/ed25519-key.ts'
import { MisuseError, StoreError, VerifyError } from '../base/errors.ts'
import { ed25519Verifier, formatNote, formatVerifierKey, openNote, type NoteSigner, type NoteVerifier } from '../log/note.ts'
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

/** One log's open keys. Everything is synchronous; what writes has reached the disk when it returns. */
export class Keyring {
  readonly origin: string
  /** The folder's path, or `memory`. */
  readonly folder: string
  readonly #files: KeyFolder
  #vkey: string
  #signing: SigningKey
  #settled = false
  readonly #fingerprint: Uint8Array
  readonly #keks = new Map<number, Uint8Array>()

  /** Use `createKeyring`, `openKeyring` or `ephemeralKeyring`. */
  constructor(origin: string, files: KeyFolder) {
    this.origin = origin
    this.folder = files.name
    this.#files = files
    const { vkey, signing } = this.#newest()
    this.#vkey = vkey
    this.#signing = signing
    this.#fingerprint = this.#parse('fingerprint.key', (text) => parseSecretKey(text, 'fingerprint', origin))
    this.currentKek()
  }

  /** The verifier key in force, as far as this machine knows. */
  get vkey(): string {
    return this.#vkey
  }

  /** Signs checkpoints as this log. */
  signer(): NoteSigner {
    return noteSigner(this.#signing)
  }

  /** Signs `message` with the key in force. */
  async sign(message: Uint8Array): Promise<Uint8Array> {
    return signEd25519(this.#signing.pair, message)
  }

  /** The note of `text`, signed with the key in force, or with the one that `makeNext` gave. */
  async signNote(text: string, next?: NextKey): Promise<string> {
    const signer = next?.signer ?? this.signer()
    return formatNote({ text, signatures: [{ name: signer.name, keyId: signer.keyId, signature: signer.sign(utf8(text)) }] })
  }

  /** Every key of this log that this machine has had, the newest first. */
  verifiers(): NoteVerifier[] {
    const names = this.#files.list().filter((name) => /^log-[0-9a-f]{8}\.pub$/.test(name))
    const vkeys = new Set([this.#vkey, ...names.map((name) => this.#parse(name, (text) => text.trimEnd()))])
    return [...vkeys].map((vkey) => ed25519Verifier(vkey))
  }

  /**
   * First step of a rotation, inside the append transaction: a new key, durably on disk before anything names it. One that an earlier rotation made and did
   * not come to use is taken again. Once the log's newest checkpoint is signed by it, `follow` makes it the key in force.
   */
  makeNext(): NextKey {
    const known = this.#secrets().find(({ name, vkey }) => name !== 'log.key' && vkey !== this.#vkey && this.#files.read(`log-${idOf(vkey)}.pub`) === undefined)
    if (known !== undefined) return { vkey: known.vkey, signer: noteSigner(known.signing) }
    const text = formatSigningKey(this.origin, randomBytes(32))
    const vkey = text.vkey.trimEnd()
    this.#files.create(`log-${idOf(vkey)}.key`, text.secret)
    return { vkey, signer: noteSigner(parseSigningKey(text.secret, this.origin)) }
  }

  /**
   * Makes the key that signed `note`, the log's newest checkpoint, the one in force: another process may have rotated, or this one was stopped on its way.
   * What is left to do then is done: the older key's public half is kept, its secret destroyed. Call it inside the append transaction whenever another
   * process moved the log. A note of a stranger changes nothing: whoever opens it sees that. VerifyError `rolled_back` for one of a key that was retired.
   */
  follow(note: string): void {
    if (!isBy(note, ed25519Verifier(this.#vkey))) {
      const found = this.#secrets().find(({ vkey }) => isBy(note, ed25519Verifier(vkey)))
      if (found === undefined) {
        if (!this.verifiers().some((verifier) => isBy(note, verifier))) return
        throw new VerifyError('rolled_back', `vault: the newest checkpoint of the log is signed by a key that ${this.folder} retired`, 'this is an older copy of the log, or one restored from a backup; put the newest copy back')
      }
      this.#vkey = found.vkey
      this.#signing = found.signing
      this.#settled = false
    }
    if (!this.#settled) this.#settle()
    this.#settled = true
  }

  /** Killed anywhere in here, the next `follow` goes on. Two processes may be at it at once. */
  #settle(): void {
    const before = this.#files.read('log.pub')?.trimEnd()
    if (before !== this.#vkey) {
      if (before !== undefined) this.#files.replace(`log-${idOf(before)}.pub`, `${before}\n`)
      this.#files.replace('log.pub', `${this.#vkey}\n`)
    }
    const own = idOf(this.#vkey)
    for (const name of this.#files.list()) {
      const id = /^log-([0-9a-f]{8})\.pub$/.exec(name)?.[1]
      if (id === undefined || id === own) continue
      this.#files.destroy(`log-${id}.key`)
      // the first key's file has no id in its name; half destroyed it has none in its text either
      if (this.#secrets().every((secret) => secret.name !== 'log.key' || secret.vkey !== this.#vkey)) this.#files.destroy('log.key')
    }
  }

  /** The signing keys in the folder that can be read. */
  #secrets(): { readonly name: string; readonly vkey: string; readonly signing: SigningKey }[] {
    return this.#files.list().filter((name) => name === 'log.key' || /^log-[0-9a-f]{8}\.key$/.test(name)).flatMap((name) => {
      try {
        const signing = parseSigningKey(this.#files.read(name) ?? '', this.origin)
        return [{ name, vkey: formatVerifierKey(signing.verifier), signing }]
      } catch (error) {
        if (error instanceof StoreError) throw error
        return [] // half destroyed
      }
    })
  }

  /** The key that log.pub names, with its secret. */
  #newest(): { vkey: string; signing: SigningKey } {
    const named = this.#files.read('log.pub')?.trimEnd() ?? ''
    const own = `log-${idOf(named)}.key`
    const file = named !== '' && this.#files.read(own) !== undefined ? own : 'log.key'
    const signing = this.#parse(file, (text) => parseSigningKey(text, this.origin))
    const vkey = formatVerifierKey(signing.verifier)
    this.#parse('log.pub', (text) => {
      if (text.trimEnd() !== vkey) throw new TypeError(`expected ${vkey}, the public half of ${file}`)
    })
    return { vkey, signing }
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

/** A key that a rotation goes to. */
export interface NextKey { readonly vkey: string; readonly signer: NoteSigner }

function noteSigner({ pair, verifier }: SigningKey): NoteSigner {
  return { name: verifier.name, keyId: verifier.keyId, sign: (message) => signEd25519(pair, message) }
}

/** The id in a verifier key's text; empty for what is none. */
function idOf(vkey: string): string {
  return /^[^+]+\+([0-9a-f]{8})\+/.exec(vkey)?.[1] ?? ''
}

function isBy(note: string, verifier: NoteVerifier): boolean {
  try {
    openNote(note, [verifier])
    return true
  } catch {
    return false
  }
}
