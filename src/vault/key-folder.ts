// The files of one keyring: on disk, 0600 in a folder 0700, or in memory. Texts of one line or a signed note each.
// Everything is written so that a crash leaves the old state or the new one, and fsynced together with its folder.

import { randomBytes } from 'node:crypto'
import { closeSync, constants, fstatSync, fsyncSync, linkSync, mkdirSync, openSync, readdirSync, readSync, renameSync, rmSync, statSync, unlinkSync, utimesSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { StoreError } from '../base/errors.ts'
import { foldersSync, modesMatter } from './paths.ts'

const MAX_FILE_BYTES = 64 * 1024

/** Named texts that survive a crash. A name is `[a-z0-9.-]+`. */
export interface KeyFolder {
  /** For messages. */
  readonly name: string
  list(): string[]
  /** The text, or undefined if there is no such file. StoreError `key_permissions` if others may read it. */
  read(name: string): string | undefined
  /** Milliseconds since 1970 of the last write, or undefined. */
  madeAt(name: string): number | undefined
  /** Makes a file that must not exist yet; StoreError `key_exists` if it does. Of two processes one wins. */
  create(name: string, text: string): void
  /** Replaces or makes a file; readers see the old text or the new one. */
  replace(name: string, text: string): void
  /** As `replace`, and what stood there is overwritten afterwards: it was a secret. `madeAt` stays: the key is as old as it was. */
  supplant(name: string, text: string): void
  /** Deletes a file, if it is there, and overwrites it afterwards: readers see it whole or not at all. */
  discard(name: string): void
  /** Overwrites and deletes a file, if it is there. */
  destroy(name: string): void
}

/** Makes the folder `path` with `files` in one step. StoreError `key_exists` if it is there, whoever made it. */
export function createDiskFolder(path: string, files: ReadonlyMap<string, string>): KeyFolder {
  const parent = dirname(path)
  makeFolder(parent)
  const draft = join(parent, `.new-${randomBytes(8).toString('hex')}`)
  mkdirSync(draft, { mode: 0o700 })
  try {
    for (const [name, text] of files) writeNew(join(draft, name), text)
    syncFolder(draft)
    renameSync(draft, path) // refused by the system if `path` exists and is not empty: of two processes one wins, whole
  } catch (cause) {
    try {
      rmSync(draft, { recursive: true, force: true })
    } catch {
      // on a disk that is gone it fails too, with less to say
    }
    if (!isCode(cause, 'ENOTEMPTY', 'EEXIST', 'EPERM')) throw cause
    throw new StoreError('key_exists', `vault: ${path} has keys already`, 'open them instead', { cause })
  }
  syncFolder(parent)
  return new DiskFolder(path)
}

/** The folder `path`. StoreError `keys_missing` if there is none, `key_permissions` if others may enter it. */
export function openDiskFolder(path: string): KeyFolder {
  let mode: number
  try {
    mode = statSync(path).mode
  } catch (cause) {
    if (!isCode(cause, 'ENOENT', 'ENOTDIR')) throw cause
    throw new StoreError('keys_missing', `vault: expected this log's keys in ${path}, and it is not there`, 'restore it from a copy, or set COUNTERFOIL_HOME to where it is; no new key can continue this log', { cause })
  }
  checkMode(path, mode, '700')
  return new DiskFolder(path)
}

class DiskFolder implements KeyFolder {
  readonly name: string
  constructor(path: string) {
    this.name = path
  }

  list(): string[] {
    return readdirSync(this.name).filter((name) => !name.startsWith('.')).sort()
  }

  read(name: string): string | undefined {
    const path = join(this.name, name)
    let fd: number
    try {
      fd = openSync(path, 'r')
    } catch (cause) {
      if (isCode(cause, 'ENOENT')) return undefined
      throw cause
    }
    try {
      checkMode(path, fstatSync(fd).mode, '600')
      const bytes = Buffer.alloc(MAX_FILE_BYTES + 1)
      let length = 0
      for (let n = -1; n !== 0 && length < bytes.length; length += n) n = readSync(fd, bytes, length, bytes.length - length, null)
      if (length > MAX_FILE_BYTES) throw new StoreError('key_malformed', `vault: expected at most ${MAX_FILE_BYTES} bytes in ${path}`, 'restore it from a copy')
      return bytes.toString('utf8', 0, length)
    } finally {
      closeSync(fd)
    }
  }

  madeAt(name: string): number | undefined {
    return statSync(join(this.name, name), { throwIfNoEntry: false })?.mtimeMs
  }

  create(name: string, text: string): void {
    const path = join(this.name, name)
    const draft = this.#draft(text)
    try {
      linkSync(draft, path) // like O_EXCL, but never half written
    } catch (cause) {
      if (!isCode(cause, 'EEXIST')) throw cause
      throw new StoreError('key_exists', `vault: ${path} exists already`, 'read it instead', { cause })
    } finally {
      unlinkSync(draft)
    }
    syncFolder(this.name)
  }

  replace(name: string, text: string): void {
    renameSync(this.#draft(text), join(this.name, name))
    syncFolder(this.name)
  }

  supplant(name: string, text: string): void {
    const old = openToWrite(join(this.name, name))
    try {
      const draft = this.#draft(text)
      if (old !== undefined) {
        const { atime, mtime } = fstatSync(old)
        utimesSync(draft, atime, mtime)
      }
      renameSync(draft, join(this.name, name))
      syncFolder(this.name)
      if (old !== undefined) overwrite(old)
    } finally {
      if (old !== undefined) closeSync(old)
    }
  }

  discard(name: string): void {
    const path = join(this.name, name)
    const fd = openToWrite(path)
    if (fd === undefined) return
    try {
      rmSync(path, { force: true })
      syncFolder(this.name)
      overwrite(fd)
    } finally {
      closeSync(fd)
    }
  }

  destroy(name: string): void {
    const path = join(this.name, name)
    const fd = openToWrite(path)
    if (fd === undefined) return
    try {
      overwrite(fd)
    } finally {
      closeSync(fd)
    }
    rmSync(path, { force: true }) // another process may be at the same
    syncFolder(this.name)
  }

  #draft(text: string): string {
    const path = join(this.name, `.new-${randomBytes(8).toString('hex')}`)
    writeNew(path, text)
    return path
  }
}

/** A folder that ends with the process. */
export function memoryFolder(files: ReadonlyMap<string, string>): KeyFolder {
  const kept = new Map<string, { text: string; at: number }>()
  for (const [name, text] of files) kept.set(name, { text, at: Date.now() })
  return {
    name: 'memory',
    list: () => [...kept.keys()].sort(),
    read: (name) => kept.get(name)?.text,
    madeAt: (name) => kept.get(name)?.at,
    create(name, text) {
      if (kept.has(name)) throw new StoreError('key_exists', `vault: ${name} exists already`, 'read it instead')
      kept.set(name, { text, at: Date.now() })
    },
    replace: (name, text) => void kept.set(name, { text, at: Date.now() }),
    supplant: (name, text) => void kept.set(name, { text, at: kept.get(name)?.at ?? Date.now() }),
    discard: (name) => void kept.delete(name),
    destroy: (name) => void kept.delete(name),
  }
}

function checkMode(path: string, mode: number, wanted: '600' | '700'): void {
  if (!modesMatter() || (mode & 0o077) === 0) return
  throw new StoreError('key_permissions', `vault: ${path} has mode ${(mode & 0o777).toString(8)}, expected ${wanted}: others may read the keys`, `run: chmod ${wanted} '${path}'`)
}

function openToWrite(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY)
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) return undefined
    throw cause
  }
}

/** Where a file system writes in place, what stood there is gone. */
function overwrite(fd: number): void {
  writeWhole(fd, randomBytes(fstatSync(fd).size))
  fsyncSync(fd)
}

function writeNew(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    writeWhole(fd, Buffer.from(text))
    fsyncSync(fd)
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  } finally {
    closeSync(fd)
  }
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
}

/** What was made, renamed or removed in a folder has reached the disk when this returns. */
export function syncFolder(path: string): void {
  if (!foldersSync()) return
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Makes the folder `path`, and those above it that are not there, 0700. It has reached the disk when this returns, also where another process made it just now. */
export function makeFolder(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 }) ?? path
  for (let at = dirname(path); ; at = dirname(at)) {
    try {
      syncFolder(at)
    } catch (error) {
      if (!isCode(error, 'EACCES', 'EINVAL', 'EROFS')) throw error // a folder above that we may not read, or whose file system is read-only: nothing was made in it
    }
    if (at.length <= dirname(first).length) return
  }
}

function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '')
}
