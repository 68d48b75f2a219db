// The key of a user's spools. It is one per state folder, not one per log: a recorder accepts its first event before the log is open,
// so before it can know the log's name. It is under no passphrase, for the same reason, and since no recording thread can wait for scrypt.

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { StoreError, messageOf } from '../base/errors.ts'
import { makeFolder, openDiskFolder } from './key-folder.ts'
import { formatSecretKey, parseSecretKey } from './key-text.ts'

/** What stands in the place of a log's origin in the derivation of spool keys. */
export const SPOOL_ORIGIN = 'counterfoil.local/spool'

const FILE = 'spool.key'

/** The key, 32 bytes, from `<home>/spool.key`; made at the first use, by one of all processes that ask at once. Synchronous, two file reads. */
export function openSpoolKey(home: string): Uint8Array {
  if (!existsSync(join(home, FILE))) makeFolder(home)
  const folder = openDiskFolder(home)
  if (folder.read(FILE) === undefined) {
    try {
      folder.create(FILE, formatSecretKey('spool', SPOOL_ORIGIN, randomBytes(32)))
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'key_exists') throw error
    }
  }
  try {
    return parseSecretKey(folder.read(FILE)!, 'spool', SPOOL_ORIGIN)
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    throw new StoreError('key_malformed', `vault: ${join(home, FILE)}: ${messageOf(cause)}`, 'restore it from a copy; without it what is left in spools cannot be read', { cause })
  }
}
