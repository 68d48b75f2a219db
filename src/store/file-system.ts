// Which file systems a SQLite log may lie on. WAL needs memory shared between processes and locks that hold: a network file
// system has neither, and loses rows that were acknowledged. And what is done with files that no store has open, new ones and copies:
// this is the one file of the room that may open any.

import { closeSync, fsyncSync, openSync, readSync, renameSync, rmSync, statfsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { StoreError } from '../base/errors.ts'

/** `f_type` of statfs(2) on Linux, from linux/magic.h and the file systems' own headers. */
export const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB2'],
  [0xff534d42, 'CIFS'],
  [0x65735546, 'FUSE'],
  [0x01021997, '9P'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0x19830326, 'BeeGFS'],
  [0x20030528, 'OrangeFS'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0x564c, 'NCP'],
  [0x786f4256, 'VirtualBox shared folder'],
  [0xbacbacbc, 'VMware shared folder'],
])

/** Throws a StoreError `network_file_system` unless a log may lie in `folder`. Elsewhere than on Linux the types are other numbers, and nothing is refused. */
export function checkFileSystem(folder: string): void {
  if (process.platform !== 'linux') return
  checkType(statfsSync(folder).type, folder)
}

/** The same for a type that is known. */
export function checkType(type: number, folder: string): void {
  const found = NETWORK_FILE_SYSTEMS.get(type < 0 ? type + 2 ** 32 : type) // 32-bit systems report a signed number
  if (found === undefined) return
  throw new StoreError('network_file_system', `store: expected a local file system for ${folder}, got ${found}`, 'keep the log on a local disk, or send events to a server instead')
}

/** Makes an empty file that only this user may read, unless it is there already: SQLite would make it by the umask, and gives its -wal and -shm the same rights. */
export function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

const JOURNAL_MAGIC = 'd9d505f920a163d7'

/**
 * Whether the making of the database `file` was cut off: the rollback journal beside it says that it had no pages before (sqlite.org/fileformat2.html §3.1).
 * Then the file may be anything, and whoever opens it to write makes it empty again. Once made, a log has a write-ahead log and no such journal.
 */
export function isUnborn(file: string): boolean {
  if (statSync(`${file}-journal`, { throwIfNoEntry: false })?.isFile() !== true) return false // as a rule there is none
  let fd: number
  try {
    fd = openSync(`${file}-journal`, 'r')
  } catch {
    return false // its process is done with it
  }
  try {
    const header = Buffer.alloc(20)
    return readSync(fd, header, 0, 20, 0) === 20 && header.toString('hex', 0, 8) === JOURNAL_MAGIC && header.readUInt32BE(16) === 0
  } finally {
    closeSync(fd)
  }
}

/** Gives the finished copy `partial` its name, so that it is there whole or not at all, also after a power cut. */
export function publishCopy(partial: string, path: string): void {
  sync(partial)
  renameSync(partial, path)
  sync(dirname(resolve(path)))
}

/** Removes what is left of a copy that was not finished. */
export function removeCopy(partial: string): void {
  rmSync(partial, { force: true })
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
