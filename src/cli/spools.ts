// The spools beside a database, as whoever did not write them sees them: whose they are, and what waits in them.

import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { decodeDraft } from '../event/draft.ts'
import { listSpools } from '../spool/folder.ts'
import { ownerState, type OwnerState } from '../spool/owner.ts'
import { readSpool } from '../spool/reader.ts'
import { spoolFile, type SpoolFile } from '../spool/scrub.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../vault/spool-key.ts'

/** The spools of the database at `path`. A file that is none of ours is left out: doctor shows the folder. */
export function spoolsOf(path: string): SpoolFile[] {
  return listSpools(`${path}.spool`).flatMap((file) => {
    try {
      return spoolFile(file) ?? []
    } catch {
      return []
    }
  })
}

/** Those whose process is proved gone: any process with the keys may put them into the log. */
export function deadSpoolsOf(path: string): SpoolFile[] {
  return spoolsOf(path).filter(({ owner }) => ownerState(owner) === 'dead')
}

/** The key of spools in the state folder `home`, if it is there. None is made. */
export function spoolKeyIn(home: string): Uint8Array | undefined {
  return existsSync(join(home, 'spool.key')) ? openSpoolKey(home) : undefined
}

/** How many events `spool` holds from `offset` on. One that does not read is counted up to there. */
export function waitingIn({ path }: SpoolFile, key: Uint8Array, offset: number): number {
  let count = 0
  try {
    for (const _ of readSpool(path, { origin: SPOOL_ORIGIN, key }, offset)) count++
  } catch {
    // the ledger reports what is wrong with it when it drains it
  }
  return count
}

/** A spool, and what in it is not in the log. `owner`: whether the process `pid` lives, as far as that can be known. Without the key of spools nobody can count: `waiting` and `oldest` are null. */
export interface SpoolReport { readonly path: string; readonly owner: OwnerState; readonly pid: number; readonly bytes: number; readonly waiting_bytes: number; readonly waiting: number | null; readonly oldest: string | null }

/** The spools of the database at `path`, of which the log has what stands before `offsets`. One that is drained and removed meanwhile is left out. */
export function reportSpools(path: string, home: string, offsets: ReadonlyMap<string, number>): SpoolReport[] {
  const key = spoolKeyIn(home)
  return spoolsOf(path).flatMap((spool) => {
    const offset = offsets.get(spool.id) ?? 0
    const size = statSync(spool.path, { throwIfNoEntry: false })?.size
    if (size === undefined) return []
    const found = size <= offset ? { waiting: 0, oldest: null } : key === undefined ? { waiting: null, oldest: null } : { waiting: waitingIn(spool, key, offset), oldest: oldestIn(spool, key, offset) }
    return [{ path: spool.path, owner: ownerState(spool.owner), pid: spool.owner.pid, bytes: size, waiting_bytes: Math.max(0, size - offset), ...found }]
  })
}

/** When the first event from `offset` on was recorded, by its recorder's clock; null when it does not read. */
function oldestIn({ path }: SpoolFile, key: Uint8Array, offset: number): string | null {
  try {
    for (const { bytes } of readSpool(path, { origin: SPOOL_ORIGIN, key }, offset)) return decodeDraft(bytes).timestamp
  } catch {
    // the ledger reports what is wrong with it when it drains it
  }
  return null
}

/** What is left in spools beside a database that is not there. `events` can be put into a log now; `why` says what keeps them from it. */
export function leftBehind(path: string, home: string): { readonly spools: number; readonly events: number; readonly why?: 'alive' | 'no_key' | 'unreadable' } {
  const spools = spoolsOf(path)
  const dead = deadSpoolsOf(path)
  if (dead.length === 0) return { spools: spools.length, events: 0, ...(spools.length === 0 ? {} : { why: 'alive' }) }
  const key = spoolKeyIn(home)
  if (key === undefined) return { spools: spools.length, events: 0, why: 'no_key' }
  const events = dead.reduce((sum, spool) => sum + waitingIn(spool, key, 0), 0)
  return { spools: spools.length, events, ...(events === 0 ? { why: 'unreadable' } : {}) }
}

/** What to do where nothing could be put into a log. */
export const LEFT_NEXT: { readonly [why in 'alive' | 'no_key' | 'unreadable']: string } = {
  alive: 'the process that recorded it puts it into the log; if that is gone, open the trail where it ran: same machine, same container',
  no_key: 'set COUNTERFOIL_HOME to the folder where that agent kept its keys',
  unreadable: 'put the database back beside the spool, if it was moved or removed; what is in the spool is then read from where it was left',
}
