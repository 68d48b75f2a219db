// The spools beside one database: `<db>.spool/<id>`.

import { readdirSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { StoreError } from '../base/errors.ts'
import { ownerState, thisOwner } from './owner.ts'
import { spoolOwner } from './reader.ts'

/** The paths of all spools in `folder`, none if it is not there. Their file names are their ids. */
export function listSpools(folder: string): string[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
  return names.filter((name) => /^[0-9a-f]{32}$/.test(name)).sort().map((name) => join(folder, name))
}

/** The bytes of the spools in `folder` whose process is proved gone. What does not read, or is removed meanwhile, counts for nothing. */
export function deadBytes(folder: string): number {
  const self = thisOwner()
  return spoolsIn(folder).reduce((sum, path) => {
    try {
      const owner = spoolOwner(path)
      return owner !== undefined && ownerState(owner, self) === 'dead' ? sum + statSync(path).size : sum
    } catch {
      return sum // the ledger says what is wrong with it when it drains it
    }
  }, 0)
}

function spoolsIn(folder: string): string[] {
  try {
    return listSpools(folder)
  } catch {
    return []
  }
}

/**
 * Deletes a spool. Only when it is drained to its end *and* nobody appends to it any more: its writer is closed in this process, or
 * `ownerState` is `dead`. A living writer would go on into a file without a name, and its events would be lost. StoreError `spool_failed` when the disk does not let it go.
 */
export function removeSpool(path: string): void {
  try {
    unlinkSync(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code !== 'ENOENT') throw new StoreError('spool_failed', `spool: ${path} could not be removed (${code})`, 'see to its disk; what it held is in the log, and whoever opens the trail after this process removes it', { cause, retry: true })
  }
}
