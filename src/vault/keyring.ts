// A log's keys, and what stands beside them so that a restored database is noticed (DESIGN §6 "Keys", "Rollback"):
//
//   <state folder>/<slug of origin>/   log.key  log.pub  kek-<generation>  fingerprint.key  head  proved  cosigned  restored
//                                      log-<id>.key  log-<id>.next  log-<id>.pub
//
// log.key is the first signing key, log-<id>.key one that a rotation made, log-<id>.next the public half of one that is kept elsewhere. Which of them
// is in force the log says: it is the one that signed its newest checkpoint. A key is on disk before the log may name it, and is destroyed only after
// the log named its successor; so at every moment the key in force is there. log.pub is that of the newest, log-<id>.pub those of the retired.
//
// A log whose keys are not there is an error, never a reason for new ones.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { hmacSha256 } from '#crypto'
import { utf8 } from '../base/bytes.ts'
import { signEd25519 } from '../base/ed25519-key.ts'
import { messageOf, MisuseError, StoreError } from '../base/errors.ts'
import { ed25519Verifier, formatNote, formatVerifierKey, openNote, parseSignerKey, type NoteSigner, type NoteVerifier } from '../log/note.ts'
import type { Signer } from '../log/signer.ts'
import { createDiskFolder, type KeyFolder, memoryFolder, openDiskFolder } from './key-folder.ts'
import { formatSecretKey, formatSigningKey, isOrigin, isSealed, LOG_USE, parseSecretKey, parseSigningKey, type SigningKey } from './key-text.ts'
import { PASSPHRASE_FILE, Protection, type Cost } from './protection.ts'
import { slugOf, stateHome } from './paths.ts'
import type { Kek } from './scope.ts'

/** Where the keys of `origin` lie or would lie. */
export function keyringFolder(origin: string, home: string = stateHome()): string {
  return join(home, slugOf(origin))
}

/** Makes the keys of a new log, durably. StoreError `key_exists` if there are some; of two processes that call it, one succeeds. */
export function createKeyring(origin: string, home: string = stateHome(), { passphrase, signer }: { readonly passphrase?: string; readonly signer?: Signer } = {}): Keyring {
  const protection = passphrase === undefined ? undefined : Protection.create(origin, passphrase)
  return new Keyring(origin, createDiskFolder(keyringFolder(origin, home), newKeys(origin, protection, signer?.vkey)), protection, signer)
}

/**
 * The keys of a log. StoreError `keys_missing` names the folder where they were expected, `key_permissions` the chmod to run,
 * `key_malformed` the file that is damaged or belongs to another log, `passphrase_needed` and `passphrase_wrong` that they are under one. A
 * passphrase for keys that are under none is not looked at. Under one it takes some 0.4 s, and 128 MiB for that long.
 */
export function openKeyring(origin: string, home: string = stateHome(), { passphrase, signer }: { readonly passphrase?: string | undefined; readonly signer?: Signer | undefined } = {}): Keyring {
  const files = openDiskFolder(keyringFolder(origin, home))
  return new Keyring(origin, files, protectionOf(files, origin, passphrase), signer)
}

/** What of a log's keys is no secret, and can be read where they are under a passphrase. */
export type KeptKeys = Pick<Keyring, 'origin' | 'folder' | 'vkey' | 'vkeys' | 'verifiers' | 'holds' | 'readHead' | 'readProved' | 'readCosigned' | 'readRestored' | 'writeProved'>

/** StoreErrors as `openKeyring`. */
export function openKept(origin: string, home: string = stateHome()): KeptKeys {
  const files = openDiskFolder(keyringFolder(origin, home))
  const vkey = files.read('log.pub')?.trimEnd()
  if (vkey === undefined) throw missing(files, 'log.pub')
  inFile(files, 'log.pub', () => checkKey(vkey, origin))
  const vkeys = (): string[] => publicKeys(files, origin, vkey)
  return { origin, folder: files.name, vkey, vkeys, verifiers: () => vkeys().map((text) => ed25519Verifier(text)), holds: (text) => holdsKey(files, text), readHead: () => files.read('head'), readProved: () => files.read('proved'), readCosigned: () => files.read('cosigned'), readRestored: () => files.read('restored'), writeProved: (note) => files.replace('proved', note) }
}

/** `vkey`, the key that log.pub names and those that were retired, each once. */
function publicKeys(files: KeyFolder, origin: string, vkey: string): string[] {
  const names = ['log.pub', ...files.list().filter((name) => /^log-[0-9a-f]{8}\.pub$/.test(name))]
  const named = names.flatMap((name) => {
    const text = files.read(name)?.trimEnd()
    if (text !== undefined) inFile(files, name, () => checkKey(text, origin))
    return text ?? []
  })
  return [...new Set([vkey, ...named])]
}

/** Whether a key that a rotation made, or the name of one that is kept elsewhere, lies there: the log may be signed with it already. */
function holdsKey(files: KeyFolder, vkey: string): boolean {
  return ['key', 'next'].some((kind) => files.read(`log-${idOf(vkey)}.${kind}`) !== undefined)
}

function missing(files: KeyFolder, name: string): StoreError {
  return new StoreError('keys_missing', `vault: expected ${name} in ${files.name}, and it is not there`, 'restore it from a copy; no new key can continue this log')
}

function protectionOf(files: KeyFolder, origin: string, passphrase: string | undefined): Protection | undefined {
  const text = files.read(PASSPHRASE_FILE)
  if (text === undefined) return undefined
  if (passphrase === undefined) throw new StoreError('passphrase_needed', `vault: the keys in ${files.name} are under a passphrase, and none was given`, 'set COUNTERFOIL_PASSPHRASE, or pass it to openTrail as key')
  return inFile(files, PASSPHRASE_FILE, () => Protection.open(origin, text, passphrase, files.name))
}

/** Keys that end with the process, for a trail in memory. */
export function ephemeralKeyring(origin: string): Keyring {
  return new Keyring(origin, memoryFolder(newKeys(origin)))
}

function newKeys(origin: string, protection?: Protection, elsewhere?: string): Map<string, string> {
  if (!isOrigin(origin)) throw new MisuseError('origin', `vault: expected an origin without spaces and plus signs, at most 255 bytes, got ${JSON.stringify(origin.slice(0, 300))}`, 'choose a host and path, like audit.example.com/agents')
  if (elsewhere !== undefined) checkKey(elsewhere, origin)
  const seed = randomBytes(32)
  const key = formatSigningKey(origin, seed)
  const secret = (use: string): string => secretText(use, origin, randomBytes(32), protection)
  return new Map([
    ...(elsewhere === undefined
      ? [['log.key', protection === undefined ? key.secret : protection.seal(LOG_USE, seed)], ['log.pub', key.vkey]] as const
      : [[`log-${idOf(elsewhere)}.next`, `${elsewhere}\n`], ['log.pub', `${elsewhere}\n`]] as const),
    ['kek-1', secret('kek-1')],
    ['fingerprint.key', secret('fingerprint')],
    ...(protection === undefined ? [] : [[PASSPHRASE_FILE, protection.text] as const]),
  ])
}

/** What this machine saw and did: in another place, or later, it would be wrong. */
const OWN_MEMORY: ReadonlySet<string> = new Set(['head', 'proved', 'restored'])

/** One log's open keys. Everything is synchronous; what writes has reached the disk when it returns. */
export class Keyring {
  readonly origin: string
  /** The folder's path, or `memory`. */
  readonly folder: string
  readonly #files: KeyFolder
  #protection: Protection | undefined
  #vkey: string
  /** Absent where the key in force is kept elsewhere. */
  #signing: SigningKey | undefined
  readonly #elsewhere: Signer | undefined
  #settled = false
  readonly #fingerprint: Uint8Array
  readonly #keks = new Map<number, Uint8Array>()

  /** Use `createKeyring`, `openKeyring` or `ephemeralKeyring`. */
  constructor(origin: string, files: KeyFolder, protection?: Protection, signer?: Signer) {
    this.origin = origin
    this.folder = files.name
    this.#files = files
    this.#protection = protection
    this.#elsewhere = signer
    const { vkey, signing } = this.#newest()
    this.#vkey = vkey
    this.#signing = signing
    this.#fingerprint = this.#parse('fingerprint.key', (text) => parseSecretKey(text, 'fingerprint', origin, protection))
    this.currentKek()
  }

  /** The verifier key in force, as far as this machine knows. */
  get vkey(): string {
    return this.#vkey
  }

  /** Signs checkpoints as this log, with a key that is in the folder. */
  signer(): NoteSigner {
    if (this.#signing === undefined) throw this.#signerMissing()
    const { pair, verifier } = this.#signing
    return { name: verifier.name, keyId: verifier.keyId, sign: (message) => signEd25519(pair, message) }
  }

  /** Whether the key in force is kept elsewhere. */
  get isElsewhere(): boolean {
    return this.#signing === undefined
  }

  /** Signs `message` with the key in force, which may be asked of whoever keeps it. StoreErrors `signer_missing`, `signer_failed` and `signer_wrong`. */
  async sign(message: Uint8Array): Promise<Uint8Array> {
    if (this.#signing !== undefined) return signEd25519(this.#signing.pair, message)
    if (this.#elsewhere?.vkey !== this.#vkey) throw this.#signerMissing()
    return askSigner(this.#elsewhere, message)
  }

  /** The note of `text`, signed with the key in force, or with the one that `makeNext` gave. Errors as `sign`. */
  async signNote(text: string, next?: NextKey): Promise<string> {
    const { name, keyId } = ed25519Verifier(next?.vkey ?? this.#vkey)
    const signature = await (next === undefined ? this.sign(utf8(text)) : next.sign(utf8(text)))
    return formatNote({ text, signatures: [{ name, keyId, signature }] })
  }

  #signerMissing(): StoreError {
    return new StoreError('signer_missing', `vault: the log is signed by ${this.#vkey}, whose key is kept elsewhere${this.#elsewhere === undefined ? '' : `; the signer is of ${this.#elsewhere.vkey.slice(0, 200)}`}`, 'name the module that signs: COUNTERFOIL_SIGNER, or signer in openTrail', { retry: true })
  }

  /** Every key of this log that this machine has had, the newest first. */
  verifiers(): NoteVerifier[] {
    return this.vkeys().map((vkey) => ed25519Verifier(vkey))
  }

  vkeys(): string[] {
    return publicKeys(this.#files, this.origin, this.#vkey)
  }

  /** Whether `vkey` is of a key that lies here beside the one in force, as before `follow`. */
  holds(vkey: string): boolean {
    return holdsKey(this.#files, vkey)
  }

  /** The keys in `files`, a copy of these under the same passphrase. StoreErrors as `openKeyring`, and `passphrase_changed`. */
  copied(files: KeyFolder): Keyring {
    this.#checkProtection(files)
    return new Keyring(this.origin, files, this.#protection, this.#elsewhere)
  }

  /** The file of a KEK that a copy of these keys has and these lack, as it has to lie here: under this passphrase, or none. */
  kekText(generation: number, copy: Keyring): string {
    return secretText(`kek-${generation}`, this.origin, copy.kek(generation), this.#protection)
  }

  /**
   * First step of a rotation, inside the append transaction: a new key, durably on disk before anything names it. One that an earlier rotation made and did
   * not come to use is taken again. With `signer` the next key is kept elsewhere. Once the log's newest checkpoint is signed by it, `follow` makes it the key in force.
   */
  makeNext(signer?: Signer): NextKey {
    if (signer !== undefined) {
      checkKey(signer.vkey, this.origin)
      const { vkey } = signer
      if (vkey === this.#vkey || this.#files.read(`log-${idOf(vkey)}.pub`) !== undefined) throw new MisuseError('key_used', `vault: expected a key that this log did not have before, got ${vkey}`, 'make a new one where it is kept')
      this.#files.replace(`log-${idOf(vkey)}.next`, `${vkey}\n`)
      return { vkey, sign: (message) => askSigner(signer, message) }
    }
    const known = this.#secrets().find(({ name, vkey }) => name !== 'log.key' && vkey !== this.#vkey && this.#files.read(`log-${idOf(vkey)}.pub`) === undefined)
    if (known !== undefined) return { vkey: known.vkey, sign: async (message) => signEd25519(known.signing.pair, message) }
    this.#checkProtection()
    const seed = randomBytes(32)
    const text = formatSigningKey(this.origin, seed)
    const vkey = text.vkey.trimEnd()
    this.#files.create(`log-${idOf(vkey)}.key`, this.#protection?.seal(LOG_USE, seed) ?? text.secret)
    const { pair } = parseSigningKey(text.secret, this.origin)
    return { vkey, sign: async (message) => signEd25519(pair, message) }
  }

  /**
   * Makes the key that signed `note`, the log's newest checkpoint, the one in force: another process may have rotated, or this one was stopped on its way.
   * What is left to do then is done: the older key's public half is kept, its secret destroyed. Call it inside the append transaction whenever another
   * process moved the log. A note of a stranger changes nothing: whoever opens it sees that. False for one of a key that was retired: the log is older than these keys.
   */
  follow(note: string): boolean {
    if (!isBy(note, ed25519Verifier(this.#vkey))) {
      this.#checkProtection()
      const found = [...this.#secrets(), ...this.#keptElsewhere()].find(({ vkey }) => isBy(note, ed25519Verifier(vkey)))
      if (found === undefined) return !this.verifiers().some((verifier) => isBy(note, verifier))
      this.#vkey = found.vkey
      this.#signing = found.signing
      this.#settled = false
    }
    if (!this.#settled) this.#settle()
    this.#settled = true
    return true
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
      this.#files.destroy(`log-${id}.next`)
      // the first key's file has no id in its name; half destroyed it has none in its text either
      if (this.#secrets().every((secret) => secret.name !== 'log.key' || secret.vkey !== this.#vkey)) this.#files.destroy('log.key')
    }
  }

  /** The signing keys in the folder that can be read. */
  #secrets(): { readonly name: string; readonly vkey: string; readonly signing: SigningKey }[] {
    return this.#files.list().filter((name) => name === 'log.key' || /^log-[0-9a-f]{8}\.key$/.test(name)).flatMap((name) => {
      try {
        const signing = parseSigningKey(this.#files.read(name) ?? '', this.origin, this.#protection)
        return [{ name, vkey: formatVerifierKey(signing.verifier), signing }]
      } catch (error) {
        if (error instanceof StoreError) throw error
        return [] // half destroyed
      }
    })
  }

  /** The keys that the log may be signed with by somebody else. */
  #keptElsewhere(): { readonly vkey: string; readonly signing: undefined }[] {
    return this.#files.list().filter((name) => /^log-[0-9a-f]{8}\.next$/.test(name)).map((name) => ({
      signing: undefined,
      vkey: this.#parse(name, (text) => {
        checkKey(text.trimEnd(), this.origin)
        return text.trimEnd()
      }),
    }))
  }

  /** The key that log.pub names, with its secret if it is here. */
  #newest(): { vkey: string; signing: SigningKey | undefined } {
    const named = this.#files.read('log.pub')?.trimEnd() ?? ''
    const elsewhere = this.#keptElsewhere().find(({ vkey }) => vkey === named)
    if (elsewhere !== undefined) return elsewhere
    const own = `log-${idOf(named)}.key`
    const file = named !== '' && this.#files.read(own) !== undefined ? own : 'log.key'
    const signing = this.#parse(file, (text) => parseSigningKey(text, this.origin, this.#protection))
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
    const key = this.#parse(name, (text) => parseSecretKey(text, name, this.origin, this.#protection))
    this.#keks.set(generation, key)
    return key
  }

  /**
   * First step of a renewal: makes generation g+1 beside the current g. Then re-wrap every secret that is not under g+1 in append
   * transactions until none is left, then `destroyKek(g)`. A crash between the steps leaves both; go on from the second.
   * Call it inside an append transaction. RangeError unless `generation` follows the current one; StoreError `key_exists` if another process made it just now.
   */
  makeKek(generation: number): Kek {
    const current = this.currentKek().generation
    if (generation !== current + 1) throw new RangeError(`vault: expected KEK generation ${current + 1}, got ${generation}`)
    const name = `kek-${generation}`
    this.#checkProtection()
    this.#files.create(name, secretText(name, this.origin, randomBytes(32), this.#protection))
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
    if (text === undefined) throw missing(this.#files, name)
    return inFile(this.#files, name, () => parse(text))
  }

  /** Whether the keys are under a passphrase. */
  get isProtected(): boolean {
    return this.#protection !== undefined
  }

  /**
   * Puts the keys under `passphrase`, or under another one. Call it inside an append transaction, so that no other process makes a key meanwhile. Killed at
   * any moment, the keys open with the old passphrase or the new one; where some were not sealed yet, doing it again goes on.
   */
  protect(passphrase: string, cost?: Cost): void {
    this.#checkProtection()
    const protection = this.#protection?.changed(passphrase, cost) ?? Protection.create(this.origin, passphrase, cost)
    this.#files.supplant(PASSPHRASE_FILE, protection.text)
    this.#protection = protection
    this.#rewrite((text, use) => (isSealed(text) ? undefined : protection.seal(use, this.#secretIn(text, use))))
  }

  /** Takes the passphrase away. As `protect`; killed at any moment, the keys open with the passphrase, until the last step, without. */
  unprotect(): void {
    this.#checkProtection()
    this.#rewrite((text, use) => {
      if (!isSealed(text)) return undefined
      const key = this.#secretIn(text, use)
      return use === LOG_USE ? formatSigningKey(this.origin, key).secret : formatSecretKey(use, this.origin, key)
    })
    this.#files.discard(PASSPHRASE_FILE)
    this.#protection = undefined
  }

  #secretIn(text: string, use: string): Uint8Array {
    return use === LOG_USE && !isSealed(text) ? parseSignerKey(text.trimEnd()).seed : parseSecretKey(text, use, this.origin, this.#protection)
  }

  /** Each secret file anew, as `change` says; what it leaves is left. Every text is parsed before it is put in the place of another. */
  #rewrite(change: (text: string, use: string) => string | undefined): void {
    for (const name of this.#files.list()) {
      const use = /^log(?:-[0-9a-f]{8})?\.key$/.test(name) ? LOG_USE : name === 'fingerprint.key' ? 'fingerprint' : /^kek-[1-9]\d{0,9}$/.test(name) ? name : undefined
      const text = use === undefined ? undefined : this.#files.read(name)
      if (use === undefined || text === undefined) continue
      const changed = this.#parse(name, () => change(text, use))
      if (changed !== undefined) this.#files.supplant(name, changed)
    }
  }

  /** What is made under a passphrase that another process took away could never be opened again. */
  #checkProtection(files: KeyFolder = this.#files): void {
    const text = files.read(PASSPHRASE_FILE)
    if (text === undefined ? this.#protection === undefined : this.#protection?.isOf(text) === true) return
    throw new StoreError('passphrase_changed', `vault: another process changed whether the keys in ${this.folder} are under a passphrase`, 'close the trail and open it again')
  }
}

function inFile<T>(files: KeyFolder, name: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (!(cause instanceof TypeError) || cause instanceof MisuseError && cause.code === 'bad_passphrase') throw cause
    throw new StoreError('key_malformed', `vault: ${join(files.name, name)}: ${messageOf(cause)}`, 'restore it from a copy', { cause })
  }
}

function secretText(use: string, origin: string, key: Uint8Array, protection: Protection | undefined): string {
  return protection?.seal(use, key) ?? formatSecretKey(use, origin, key)
}

/** A key that a rotation goes to. */
export interface NextKey { readonly vkey: string; readonly sign: (message: Uint8Array) => Promise<Uint8Array> }

/** How long a signer may take: the log is locked while it is asked. */
const SIGNER_MS = 10_000

/** Its answer, verified: what it signs goes into the log at once. */
async function askSigner(signer: Signer, message: Uint8Array): Promise<Uint8Array> {
  let timer: NodeJS.Timeout | undefined
  let signature: Uint8Array
  try {
    const late = new Promise<never>((_, reject) => { timer = setTimeout(() => reject(new Error(`it gave no answer within ${SIGNER_MS / 1000} s`)), SIGNER_MS) })
    signature = await Promise.race([signer.sign(Uint8Array.from(message)), late])
  } catch (cause) {
    throw new StoreError('signer_failed', `vault: the signer of ${signer.vkey} failed: ${messageOf(cause)}`, 'what was recorded waits; it is put into the log when the signer answers', { cause, retry: true })
  } finally {
    clearTimeout(timer)
  }
  if (!(signature instanceof Uint8Array) || !ed25519Verifier(signer.vkey).verify(message, signature)) {
    throw new StoreError('signer_wrong', `vault: expected a signature of ${signer.vkey}, got other bytes from its signer`, 'the signer holds another key than it says, or signs something else than it is given', { retry: true })
  }
  return Uint8Array.from(signature)
}

/** MisuseError unless `vkey` may be a key of the log. */
function checkKey(vkey: string, origin: string): void {
  if (ed25519Verifier(vkey).name !== origin) throw new MisuseError('other_log', `vault: expected a key named ${origin}, got ${vkey.slice(0, 200)}`, "a key's name is its log's origin")
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
