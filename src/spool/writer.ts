// A recorder's own file: one synchronous append per event, after which it survives every death of the process (DESIGN §9).
// One writer per file, one file per process or worker thread; a file that was left is never continued.

import { randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { chmodSync, closeSync, constants, fdatasync, fstatSync, fsync, ftruncateSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { toHex } from '../base/bytes.ts'
import { StoreError } from '../base/errors.ts'
import { type Owner, thisOwner } from './owner.ts'
import { encodeHeader, MAX_RECORD_BYTES, OVERHEAD_BYTES, recordKey, sealRecord } from './record.ts'

/** `key` is the log's spool key, 32 bytes; `owner` is this process unless a test says otherwise. */
export interface SpoolOptions { readonly origin: string; readonly key: Uint8Array; readonly owner?: Owner }

/** A spool in `folder` (`<db>.spool`), which is made 0700 with the file at the first append. */
export function createSpool(folder: string, options: SpoolOptions): SpoolWriter {
  return new SpoolWriter(folder, options)
}

// Larger records get memory of their own, so that one long event does not stay allocated.
const SCRATCH_BYTES = 128 * 1024
let scratch: Buffer | undefined

export class SpoolWriter {
  /** The spool's id, 32 hex digits: its file name, and its name in the log's database. */
  readonly id: string
  readonly path: string
  readonly #folder: string
  readonly #options: SpoolOptions
  readonly #idBytes: Uint8Array
  #fd: number | undefined
  #key: KeyObject | undefined
  #end = 0
  #attempt = 0
  #ended: 'open' | 'closed' | 'failed' = 'open'
  /** The uppermost folder that had to be made for the file, or its own. */
  #top: string | undefined
  #listed = false
  #syncing = 0

  /** Use `createSpool`. */
  constructor(folder: string, options: SpoolOptions) {
    this.#idBytes = randomBytes(16)
    this.id = toHex(this.#idBytes)
    this.path = join(folder, this.id)
    this.#folder = folder
    this.#options = options
  }

  /** The offset after the last record: what a ledger must have drained before everything is in the log. 0 while there is no file. */
  get end(): number {
    return this.#end
  }

  /** Whether the file was deleted: what is in it ends with this process. */
  get deleted(): boolean {
    return this.#fd !== undefined && fstatSync(this.#fd).nlink === 0
  }

  /**
   * Hands `content` to the operating system in one synchronous write and returns the offset after it. When it throws, nothing of it
   * is in the file: StoreError `spool_full` (disk, quota or file size; may be tried again), `spool_failed` (anything else; if its
   * `retry` is false, make a new spool). RangeError for more than 80 MiB, TypeError after `close`.
   */
  append(content: Uint8Array): number {
    if (content.length > MAX_RECORD_BYTES) throw new RangeError(`spool: expected at most ${MAX_RECORD_BYTES} bytes, got ${content.length}`)
    if (this.#ended === 'closed') throw new TypeError('spool: append after close')
    if (this.#ended === 'failed') throw failed(this.path, undefined, false)
    const fd = this.#fd ?? this.#create()
    const length = content.length + OVERHEAD_BYTES
    const buffer = length > SCRATCH_BYTES ? Buffer.allocUnsafeSlow(length) : (scratch ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES))
    sealRecord(buffer, this.#key!, this.#attempt, this.#end, content)
    try {
      for (let done = 0; done < length; ) done += writeSync(fd, buffer, done, length - done)
    } catch (cause) {
      throw this.#takeBack(fd, cause)
    }
    return (this.#end += length)
  }

  /** Resolves when everything appended so far has reached the disk, which is the level `spooled`. StoreError `spool_failed`: then it is not known what did, make a new spool. */
  async sync(): Promise<void> {
    if (this.#ended === 'failed') throw failed(this.path, undefined, false)
    const fd = this.#fd
    if (fd === undefined) return
    this.#syncing++
    try {
      await call((done) => fdatasync(fd, done))
      if (this.#listed) return
      const last = dirname(this.#top!)
      for (let at = resolve(this.#folder); ; at = dirname(at)) {
        await syncFolder(at)
        if (at.length <= last.length) break
      }
      this.#listed = true
    } catch (cause) {
      this.#ended = 'failed' // the system reports such a failure once: the next fdatasync would succeed without the data
      throw failed(this.path, cause, false)
    } finally {
      if (--this.#syncing === 0 && this.#fd === undefined) closeSync(fd)
    }
  }

  /** Closes the file and leaves it to be drained. May be called again; a sync under way ends first. */
  close(): void {
    if (this.#fd !== undefined && this.#syncing === 0) closeSync(this.#fd)
    this.#fd = undefined
    this.#ended = 'closed'
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #create(): number {
    // The file gets its name when its header is whole: whoever lists the folder never sees a spool without an owner.
    const draft = join(this.#folder, `.new-${this.id}`)
    let fd: number | undefined
    try {
      const top = makeFolder(this.#folder)
      this.#top ??= top
      const header = encodeHeader(this.#idBytes, randomBytes(32), this.#options.owner ?? thisOwner())
      this.#key = recordKey(this.#options.key, this.#options.origin, header.bytes)
      fd = openSync(draft, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL, 0o600)
      for (let done = 0; done < header.bytes.length; ) done += writeSync(fd, header.bytes, done)
      renameSync(draft, this.path)
      this.#end = header.bytes.length
      return (this.#fd = fd)
    } catch (cause) {
      if (fd !== undefined) {
        closeSync(fd)
        rmSync(draft, { force: true })
      }
      if (cause instanceof TypeError || cause instanceof RangeError) throw cause
      throw isFull(cause) ? full(this.path, cause) : failed(this.path, cause, true)
    }
  }

  /** Cuts a record that could not be written whole off again, and returns the error to throw. */
  #takeBack(fd: number, cause: unknown): StoreError {
    this.#attempt++
    try {
      ftruncateSync(fd, this.#end)
    } catch {
      // a read-only disk refuses this too, and has taken nothing
      if (sizeOf(fd) !== this.#end) {
        this.#ended = 'failed' // a torn end: readers stop before it, and nothing may follow it
        return failed(this.path, cause, false)
      }
    }
    return isFull(cause) ? full(this.path, cause) : failed(this.path, cause, true)
  }
}

function sizeOf(fd: number): number | undefined {
  try {
    return fstatSync(fd).size
  } catch {
    return undefined
  }
}

/** Returns the uppermost folder that was made, or `folder`. */
function makeFolder(folder: string): string {
  const top = mkdirSync(resolve(folder), { recursive: true, mode: 0o700 }) ?? resolve(folder)
  if ((statSync(folder).mode & 0o077) !== 0) chmodSync(folder, 0o700) // a copied folder takes the umask's mode
  try {
    writeFileSync(join(folder, '.gitignore'), '*\n', { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return top
}

async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const fd = openSync(path, 'r')
  try {
    await call((done) => fsync(fd, done))
  } finally {
    closeSync(fd)
  }
}

function call(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error === null ? resolve() : reject(error))))
}

function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes((error as NodeJS.ErrnoException).code ?? '')
}

function full(path: string, cause: unknown): StoreError {
  return new StoreError('spool_full', `spool: no room for another record in ${path} (${(cause as NodeJS.ErrnoException).code})`, 'make room on its disk', { cause, retry: true })
}

function failed(path: string, cause: unknown, retry: boolean): StoreError {
  const why = cause === undefined ? 'an earlier append or sync failed' : (cause as Error).message
  return new StoreError('spool_failed', `spool: could not append to ${path}: ${why}`, retry ? 'see to the disk and try again' : 'make a new spool', { cause, retry })
}
