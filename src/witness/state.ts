// What a witness remembers: a folder with its key, and for each log one file with the newest checkpoint that it cosigned, as the note
// that it gave back. It is in this folder, fsynced, before anybody sees the cosignature.
//
//   lock   witness.key   <hex SHA-256 of the origin>.checkpoint
//
// One process holds the folder. The lock is SQLite's on an empty file, the one lock in Node that the system gives back when its holder is killed.

import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeSync, constants } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { sha256Hex } from '#crypto'
import { utf8 } from '../base/bytes.ts'
import { StoreError } from '../base/errors.ts'
import { MAX_NOTE_BYTES } from '../log/note.ts'
import { nodeSqlite } from '../store/node-sqlite.ts'
import { newWitnessKey, parseWitnessKey, type WitnessKey } from './key.ts'

type Database = InstanceType<ReturnType<typeof nodeSqlite>['DatabaseSync']>

/** Where on disk and under which URL path a log goes by: the lower-case hex of SHA-256 of its origin. */
export function originHash(origin: string): string {
  return sha256Hex(origin)
}

/** Makes the key of a new witness in `folder`, which is made where it is missing. StoreError `key_exists` if there is one. */
export function createWitnessKey(folder: string, name: string): WitnessKey {
  const text = newWitnessKey(name)
  const first = mkdirSync(resolve(folder), { recursive: true, mode: 0o700 })
  if (first !== undefined) for (let at = resolve(folder); at.length >= first.length; at = dirname(at)) syncFolder(dirname(at))
  const path = join(folder, 'witness.key')
  try {
    writeNew(path, text)
  } catch (cause) {
    if (!isCode(cause, 'EEXIST')) throw cause
    throw new StoreError('key_exists', `witness: ${path} exists already`, 'one folder is one witness: use it, or name another folder', { cause })
  }
  syncFolder(folder)
  return parseWitnessKey(text, path)
}

/** The key in `folder`. StoreError `keys_missing`, `key_permissions` or `key_malformed`. */
export function readWitnessKey(folder: string): WitnessKey {
  const path = join(folder, 'witness.key')
  let text: string
  try {
    const { mode, size } = statSync(path)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) throw new StoreError('key_permissions', `witness: ${path} has mode ${(mode & 0o777).toString(8)}, expected 600: others may read the key`, `run: chmod 600 '${path}'`)
    if (size > 10_000) throw new StoreError('key_malformed', `witness: expected at most 10000 bytes in ${path}, got ${size}`, 'restore it from a copy')
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (!isCode(cause, 'ENOENT', 'ENOTDIR')) throw cause
    throw new StoreError('keys_missing', `witness: expected a key in ${path}, and it is not there`, 'make one: counterfoil witness key --state DIR --name NAME', { cause })
  }
  return parseWitnessKey(text, path)
}

/** The folder of one witness, held by this process until `close`. Everything is synchronous, so that nothing comes between reading and writing. */
export class WitnessState {
  readonly folder: string
  readonly #lock: Database
  /** Origins that had a note while this process ran: a file that goes away is no log that was never seen. */
  readonly #known = new Set<string>()

  private constructor(folder: string, lock: Database) {
    this.folder = folder
    this.#lock = lock
  }

  /** Opens an existing folder. StoreError `witness_locked` while another process, or another state of this one, holds it. */
  static open(folder: string): WitnessState {
    const state = new WitnessState(folder, lockFolder(folder))
    for (const name of readdirSync(folder)) if (name.startsWith('.new-')) rmSync(join(folder, name), { force: true }) // left by a process that was killed
    return state
  }

  /** The note last written for `origin`, as it is on disk now; the caller checks its signature. Undefined when there never was one; StoreError `witness_state` when it went away. */
  read(origin: string): string | undefined {
    const path = this.#path(origin)
    try {
      const { size } = statSync(path)
      if (size > MAX_NOTE_BYTES) throw new StoreError('witness_state', `witness: expected at most ${MAX_NOTE_BYTES} bytes in ${path}, got ${size}`, 'restore it; a witness that forgot must not sign')
      const note = readFileSync(path, 'utf8')
      this.#known.add(origin)
      return note
    } catch (cause) {
      if (!isCode(cause, 'ENOENT')) throw cause
      if (!this.#known.has(origin)) return undefined
      throw new StoreError('witness_state', `witness: ${path} was here and is gone`, 'restore it; a witness that forgot must not sign', { cause })
    }
  }

  /**
   * Replaces the note of `origin`; when it returns, a power cut keeps it. After an error it may be there or not, which is safe: what is there
   * was never given away, and before anything is given away it is written again.
   */
  write(origin: string, note: string): void {
    const draft = join(this.folder, `.new-${randomBytes(8).toString('hex')}`)
    try {
      writeNew(draft, note)
      renameSync(draft, this.#path(origin))
      this.#known.add(origin)
      syncFolder(this.folder)
    } catch (cause) {
      rmSync(draft, { force: true })
      throw new StoreError('witness_write', `witness: the state in ${this.folder} could not be written: ${(cause as Error).message}`, 'nothing was signed; make room or repair the disk', { cause, retry: true })
    }
  }

  /** Gives the folder to another process. */
  close(): void {
    if (this.#lock.isOpen) this.#lock.close()
  }

  #path(origin: string): string {
    return join(this.folder, `${originHash(origin)}.checkpoint`)
  }
}

function lockFolder(folder: string): Database {
  const path = join(folder, 'lock')
  const lock = new (nodeSqlite().DatabaseSync)(path, { timeout: 0 })
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE') // otherwise an empty journal lies beside it
    return lock
  } catch (cause) {
    lock.close()
    if ((cause as { errcode?: number }).errcode !== 5) throw cause
    throw new StoreError('witness_locked', `witness: another process holds ${folder}`, 'one folder is one witness: stop the other one, or name another folder', { cause })
  }
}

function writeNew(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    const bytes = utf8(text)
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function syncFolder(path: string): void {
  if (process.platform === 'win32') return // folders cannot be opened there
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '')
}
