// Files of a backup folder, and of what is put together for a restore: made for their owner only, hashed in pieces, on disk before they count.
// Nothing here touches a database that a store of this process has open.

import { createHash } from 'node:crypto'
import { closeSync, constants, fchmodSync, fsyncSync, lstatSync, openSync, readdirSync, readFileSync, readSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { StoreError } from '../base/errors.ts'
import type { BackupFile } from './backup-manifest.ts'

const PIECE = 1024 * 1024

/** Writes a new file, 0600, and fsyncs it. */
export function writeFile(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    const bytes = Buffer.from(text)
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Writes a new file that is there whole or not at all. */
export function publishFile(path: string, text: string): void {
  writeFile(`${path}.partial`, text)
  renameSync(`${path}.partial`, path)
}

/** Takes rights to a file from everybody but its owner, and fsyncs it. */
export function keepPrivate(path: string): void {
  const fd = openSync(path, 'r+')
  try {
    fchmodSync(fd, 0o600)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Size and SHA-256 of a plain file, whatever its size. */
export function hashFile(folder: string, path: string): BackupFile {
  const fd = openSync(join(folder, path), 'r')
  try {
    const hash = createHash('sha256')
    const piece = Buffer.alloc(PIECE)
    let bytes = 0
    for (let n = -1; n !== 0; bytes += n) {
      n = readSync(fd, piece, 0, PIECE, null)
      hash.update(piece.subarray(0, n))
    }
    return { path, bytes, sha256: hash.digest('hex') }
  } finally {
    closeSync(fd)
  }
}

/** The text of a file of at most `maxBytes`; undefined when there is none. StoreError `backup_file` for another kind of file, or a larger one. */
export function readText(folder: string, path: string, maxBytes: number): string | undefined {
  const stat = lstatSync(join(folder, path), { throwIfNoEntry: false })
  if (stat === undefined) return undefined
  if (!stat.isFile() || stat.size > maxBytes) throw new StoreError('backup_file', `backup: expected a plain file of at most ${maxBytes} bytes at ${join(folder, path)}`, 'take another backup')
  return readFileSync(join(folder, path), 'utf8')
}

/** Plain files under `folder`, ascending, with `/`; a StoreError `backup_file` for anything that is neither file nor folder, and for a tree too large to be a backup. */
export function filesUnder(folder: string): string[] {
  const found: string[] = []
  const walk = (at: string, depth: number): void => {
    for (const entry of readdirSync(join(folder, at), { withFileTypes: true })) {
      const path = at === '' ? entry.name : `${at}/${entry.name}`
      if (entry.isDirectory() && depth < 3) walk(path, depth + 1)
      else if (entry.isFile() && found.length < 2_000) found.push(path)
      else throw new StoreError('backup_file', `backup: expected the files of a backup in ${folder}, got ${JSON.stringify(path.slice(0, 200))}`, 'name the folder that counterfoil backup wrote')
    }
  }
  walk('', 0)
  return found.sort()
}
