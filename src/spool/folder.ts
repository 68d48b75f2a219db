// The spools beside one database: `<db>.spool/<id>`.

import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

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

/**
 * Deletes a spool. Only when it is drained to its end *and* nobody appends to it any more: its writer is closed in this process, or
 * `ownerState` is `dead`. A living writer would go on into a file without a name, and its events would be lost.
 */
export function removeSpool(path: string): void {
  rmSync(path, { force: true })
}
