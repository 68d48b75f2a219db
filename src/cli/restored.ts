// Joins the command line to backups and to what is restored from them. Loaded only when a command needs it.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { MisuseError } from '../base/errors.ts'
import { archivedLog } from './archived.ts'
import type { Context } from './context.ts'
import { withPassphrases, type Passphrases } from './passphrases.ts'
import { restoreArchive } from '../ledger/restore-archive.ts'
import { Ledger } from '../ledger/ledger.ts'
import { restoreBackup, verifyBackup, type RestoredLog } from '../ledger/restore.ts'
import { setbackIn } from '../ledger/standing.ts'
import { parseTreeHead } from '../log/checkpoint.ts'
import { parseNote } from '../log/note.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import { openKept } from '../vault/keyring.ts'
import { stateHome } from '../vault/paths.ts'
import type { Setback } from '../verify/rollback.ts'
import type { Verdict } from '../verify/verdict.ts'

type Asking = Pick<Context, 'env' | 'interactive' | 'secret'>
interface Reading { readonly ctx: Asking; readonly progress: (done: number, total: number) => void }

/** What was restored. `behind`: why nothing can be added to it, if so. `made_at` is a backup's; `opened` and `sealed` count an archive's payloads. */
export type Restoration = Omit<RestoredLog, 'made_at'> & { readonly from: 'backup' | 'archive'; readonly behind: Setback | null; readonly made_at?: string; readonly opened?: number; readonly sealed?: number }

/** Restores the backup or the archive in `from` to `path`; an archive's content with the `secrets` in a backup. */
export async function restoreTrail(from: string, path: string, { ctx, progress, secrets }: Reading & { readonly secrets?: string }): Promise<Restoration> {
  const home = stateHome()
  const archive = existsSync(join(from, 'checkpoint')) && existsSync(join(from, 'tile'))
  if (!archive && secrets !== undefined) throw new MisuseError('secrets_for_what', 'cli: --secrets goes with an archive, which has none; a backup has its own', 'leave it out')
  const restored: Omit<Restoration, 'behind'> = await withPassphrases(ctx, async (given) => (archive
    ? { from: 'archive' as const, ...(await restoreArchive(await archivedLog(from), path, secrets, { home, progress, ...given })) }
    : { from: 'backup' as const, ...(await restoreBackup(from, path, { home, progress, ...given })) }))
  if (restored.keys === 'none') return { ...restored, behind: null }
  const store = await openSqliteStore(path, { readOnly: true })
  try {
    return { ...restored, behind: (await setbackIn(store, openKept(restored.origin, home))) ?? null }
  } finally {
    await store.close()
  }
}

/** Without a passphrase that is missing it is verified as far as that goes, unless a person gives it. */
export function verifyBackupFolder(folder: string, { ctx, progress }: Reading): Promise<Verdict> {
  const verify = (given: Passphrases & { readonly open?: boolean }): Promise<Verdict> => verifyBackup(folder, { home: stateHome(), progress, ...given })
  return withPassphrases(ctx, (given) => verify({ ...given, open: true }), () => verify({}))
}

/** Begins a log at `path` whose first entry names the log at `old`. That one is only read. */
export async function continueLog(old: string, path: string): Promise<{ readonly origin: string; readonly previous: string }> {
  if (existsSync(path)) throw new MisuseError('trail_exists', `cli: expected no trail at ${path} yet, got one`, 'name a new one with --trail')
  if (!existsSync(old)) throw new MisuseError('no_trail', `cli: there is no trail at ${old}`, 'name the log that ended')
  const before = await openSqliteStore(old, { readOnly: true })
  let previous: string
  try {
    const head = await before.read((view) => view.head())
    if (head === undefined) throw new MisuseError('no_log', `cli: ${old} holds no log`, 'name the log that ended')
    previous = parseTreeHead(parseNote(head.checkpoint).text).origin
  } finally {
    await before.close()
  }
  const ledger = await Ledger.open({ open: () => openSqliteStore(path), home: stateHome(), previous })
  await ledger.close()
  return { origin: ledger.origin, previous }
}
