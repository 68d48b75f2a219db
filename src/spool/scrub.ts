// What a spool still holds of events that are in the log already, overwritten. Its writer may go on appending meanwhile: the file stays the same.

import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import { basename } from 'node:path'
import type { Owner } from './owner.ts'
import { MAX_HEADER_BYTES, parseHeader } from './record.ts'

/** A spool that is there: its id, path and whose it says it is. */
export interface SpoolFile { readonly id: string; readonly path: string; readonly owner: Owner }

/** The spool at `path`; undefined when its header never reached the disk. Throws a TypeError for a foreign file. */
export function spoolFile(path: string): SpoolFile | undefined {
  const header = headerAt(path)
  return header === undefined ? undefined : { id: basename(path), path, owner: header.owner }
}

const ZEROS = Buffer.alloc(64 * 1024)

/** Overwrites the records before `offset` with zeros and fsyncs. Only for what the log has: nothing reads it again. */
export function scrubSpool(path: string, offset: number): void {
  const header = headerAt(path)
  if (header === undefined) return
  const fd = openSync(path, 'r+')
  try {
    for (let at = header.bytes.length; at < offset; ) at += writeSync(fd, ZEROS, 0, Math.min(ZEROS.length, offset - at), at)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function headerAt(path: string): ReturnType<typeof parseHeader> {
  const fd = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(MAX_HEADER_BYTES)
    const read = readSync(fd, bytes, 0, bytes.length, 0)
    return bytes[0] === 0 ? undefined : parseHeader(Uint8Array.from(bytes.subarray(0, read)))
  } finally {
    closeSync(fd)
  }
}
