// Reads a spool, also while its writer appends, and also what a dead writer left. Every record that is whole is authenticated.

import type { KeyObject } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { basename } from 'node:path'
import { StoreError } from '../base/errors.ts'
import { SpoolError } from './fault.ts'
import type { Owner } from './owner.ts'
import { lengthOf, MAX_HEADER_BYTES, openRecord, OVERHEAD_BYTES, parseHeader, PREFIX_BYTES, recordKey, type SpoolHeader } from './record.ts'

const CHUNK_BYTES = 1024 * 1024

/** `offset` is where the record starts, `end` where the next one does: what to commit as drained and to pass as `fromOffset`. `bytes` are the caller's. */
export interface SpoolRecord { readonly offset: number; readonly end: number; readonly bytes: Uint8Array }

/**
 * The whole records of a spool from `fromOffset` (0, or an `end` from before), in order, up to the file's end or the record that is
 * being written or was when its writer died. StoreError `spool_missing`; SpoolError `spool_header`, or `spool_corrupt` at the first record
 * that does not authenticate: wrong key or origin, damage, removed or exchanged records. Nothing after it is given.
 */
export function* readSpool(path: string, keys: { readonly origin: string; readonly key: Uint8Array }, fromOffset = 0): Generator<SpoolRecord, void, undefined> {
  const reader = openSpool(path, keys)
  try {
    yield* reader.records(fromOffset)
  } finally {
    reader.close()
  }
}

/** A spool to read from again and again: the file stays open, the key derived. */
export function openSpool(path: string, keys: { readonly origin: string; readonly key: Uint8Array }): SpoolReader {
  return new SpoolReader(path, keys)
}

/**
 * Whose spool it says it is: a claim in clear, until the first record that opens proves the header. Undefined if the header never
 * reached the disk, and then no record did. StoreError `spool_missing`, SpoolError `spool_header`.
 */
export function spoolOwner(path: string): Owner | undefined {
  const fd = openFile(path)
  try {
    return readHeader(fd, path)?.owner
  } finally {
    closeSync(fd)
  }
}

export class SpoolReader {
  readonly path: string
  readonly #fd: number
  readonly #keys: { readonly origin: string; readonly key: Uint8Array }
  #header: SpoolHeader | undefined
  #key: KeyObject | undefined
  #closed = false

  /** Use `openSpool`. */
  constructor(path: string, keys: { readonly origin: string; readonly key: Uint8Array }) {
    this.path = path
    this.#keys = keys
    this.#fd = openFile(path)
  }

  /** As `readSpool`. Reads in chunks of 1 MiB, or of one record if that is longer. */
  *records(fromOffset = 0): Generator<SpoolRecord, void, undefined> {
    const key = this.#open()
    if (key === undefined) return
    const start = this.#header!.bytes.length
    if (fromOffset !== 0 && fromOffset < start) throw new RangeError(`spool: expected offset 0 or at least ${start}, got ${fromOffset}`)
    let offset = fromOffset === 0 ? start : fromOffset
    const size = fstatSync(this.#fd).size
    let chunk: Uint8Array = new Uint8Array(0)
    let chunkStart = offset
    // What is there when we begin is what we read. A record that ends after it is not there yet; a file that is shorter than what was
    // read before lost what the ledger has already, in a power cut.
    const peek = (length: number): Uint8Array | undefined => {
      if (offset + length > size) return undefined
      if (offset + length > chunkStart + chunk.length) {
        chunk = readAt(this.#fd, offset, Math.min(Math.max(length, CHUNK_BYTES), size - offset))
        chunkStart = offset
      }
      const found = chunk.subarray(offset - chunkStart, offset - chunkStart + length)
      return found.length === length ? found : undefined // the writer took a record back meanwhile
    }
    for (let prefix = peek(PREFIX_BYTES); prefix !== undefined; prefix = peek(PREFIX_BYTES)) {
      const length = lengthOf(prefix)
      if (length === undefined) {
        if (isBlank(this.#fd, offset)) return
        throw new SpoolError('spool_corrupt', this.path, offset, 'the length of a record contradicts itself')
      }
      const record = peek(OVERHEAD_BYTES + length)
      if (record === undefined) return
      const end = offset + record.length
      yield { offset, end, bytes: this.#openRecord(record, key, offset) }
      offset = end
    }
  }

  close(): void {
    if (!this.#closed) closeSync(this.#fd)
    this.#closed = true
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #open(): KeyObject | undefined {
    this.#header ??= readHeader(this.#fd, this.path)
    if (this.#header === undefined) return undefined
    return (this.#key ??= recordKey(this.#keys.key, this.#keys.origin, this.#header.bytes))
  }

  #openRecord(record: Uint8Array, key: KeyObject, offset: number): Uint8Array {
    try {
      return openRecord(record, key, offset)
    } catch {
      // A second look: the writer may have taken a record back and put another in its place while we read.
    }
    try {
      return openRecord(readAt(this.#fd, offset, record.length), key, offset)
    } catch (cause) {
      throw new SpoolError('spool_corrupt', this.path, offset, 'a record does not open: it is damaged, or the key is another', cause)
    }
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw new StoreError('spool_failed', `spool: ${path} could not be opened`, 'see to its permissions', { cause })
    throw new StoreError('spool_missing', `spool: ${path} is not there`, 'it was drained, or somebody deleted it', { cause })
  }
}

function readHeader(fd: number, path: string): SpoolHeader | undefined {
  const bytes = readAt(fd, 0, MAX_HEADER_BYTES)
  if (bytes[0] === 0 && isBlank(fd, 0)) return undefined
  let header: SpoolHeader | undefined
  try {
    header = parseHeader(bytes)
  } catch (cause) {
    throw new SpoolError('spool_header', path, 0, (cause as Error).message, cause)
  }
  // The ledger keeps by name how far it has read.
  if (header !== undefined && header.id !== basename(path)) throw new SpoolError('spool_header', path, 0, `it is the spool ${header.id} under another name`)
  return header
}

/** Whether there are only zeros from `offset` to the end: after a power cut a file may be longer than what reached the disk. Nothing of ours is only zeros. */
function isBlank(fd: number, offset: number): boolean {
  for (let at = offset; ; at += CHUNK_BYTES) {
    const bytes = readAt(fd, at, CHUNK_BYTES)
    if (bytes.some((byte) => byte !== 0)) return false
    if (bytes.length < CHUNK_BYTES) return true
  }
}

function readAt(fd: number, offset: number, length: number): Uint8Array {
  const out = Buffer.allocUnsafeSlow(length)
  let done = 0
  for (let n = -1; n !== 0 && done < length; done += n) n = readSync(fd, out, done, length - done, offset + done)
  return out.subarray(0, done)
}
