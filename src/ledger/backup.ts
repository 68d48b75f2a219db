// A backup: a folder with a log's database, its keys and its checkpoint, which belong together, taken while other processes write.
//
//   INCOMPLETE → log.db, by SQLite itself → keys, read after it and both taken again when a key was renewed or rotated in between → checkpoint → README.txt
//   → manifest.json → INCOMPLETE goes
//
// So a folder that a crash left has no manifest, and says by a file's name that it is not whole. What processes accepted and did not put into
// the log yet is in their spools, which are not copied: it is theirs to append, and would be there twice.

import { chmodSync, readdirSync, rmSync, statSync, type Stats } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { formatTime, type Clock } from '../base/clock.ts'
import { MisuseError, StoreError, VerifyError } from '../base/errors.ts'
import { parseTreeHead } from '../log/checkpoint.ts'
import { parseNote } from '../log/note.ts'
import type { Store, StoreView } from '../store/contract.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import { createDiskFolder, makeFolder, syncFolder } from '../vault/key-folder.ts'
import { keyringFolder, type KeptKeys, type Keyring } from '../vault/keyring.ts'
import { SEALED, unwrapSecret } from '../vault/scope.ts'
import { readTip } from './append.ts'
import { filesUnder, hashFile, keepPrivate, publishFile, writeFile } from './backup-folder.ts'
import { CHECKPOINT, DATABASE, formatManifest, INCOMPLETE, KEYS, MANIFEST, README } from './backup-manifest.ts'
import { backupReadme } from './backup-readme.ts'
import { keyChainOf } from './keys.ts'
import { checkNotRetired } from './remembered.ts'
import { restoredBy } from './restored.ts'
import { checkStanding } from './standing.ts'

/** A renewal takes seconds and happens every 30 days, a rotation less often: neither comes twice in a row. */
const TRIES = 5

export interface BackupOptions {
  /** Whether the keys go into the copy, without which nothing in it can be opened and nothing added. */
  readonly keys: boolean
  readonly clock?: Clock
}

/** `bytes` is of all files together. */
export interface BackedUp extends Held { readonly origin: string; readonly size: number; readonly checkpoint: string; readonly keys: boolean; readonly files: number; readonly bytes: number }

/**
 * Writes a backup of the log in `store` into `folder`, which must be empty or not there yet. Other processes go on appending; the copy is the log
 * at one moment of it. `keyring` may be closed keys (`openKept`) for a copy without them. StoreError `keys_missing` where keys are wanted and are not
 * here; VerifyError where the log is behind what this machine signed, or is not what its checkpoint says: a backup of that must not take the
 * place of a good one.
 */
export async function backUp(store: Store, keyring: Keyring | KeptKeys | undefined, folder: string, { keys, clock = Date.now }: BackupOptions): Promise<BackedUp> {
  if (keys && keyring !== undefined && !('texts' in keyring)) throw new StoreError('passphrase_needed', `backup: the keys in ${keyring.folder} are under a passphrase, and each secret is opened before it counts as copied`, 'set COUNTERFOIL_PASSPHRASE, or take a copy without them: --no-keys')
  if (keys && keyring === undefined) throw new StoreError('keys_missing', "backup: this log's keys are not on this machine, and without them the copy could not be read or continued", 'set COUNTERFOIL_HOME to where they are, or take a copy without them: --no-keys')
  const made = claimFolder(folder)
  try {
    const { origin, size, checkpoint, ...held } = await copyTogether(store, keyring, folder, keys)
    const made_at = formatTime(clock())
    writeFile(join(folder, CHECKPOINT), checkpoint)
    writeFile(join(folder, README), backupReadme({ origin, size, made_at, keys, ...held }))
    const files = filesUnder(folder).filter((path) => path !== INCOMPLETE).map((path) => hashFile(folder, path))
    syncFolder(folder)
    const sealed = keyring === undefined ? undefined : restoredBy(keyring)?.sealed
    publishFile(join(folder, MANIFEST), formatManifest({ made_at, origin, size, keys, ...(held.elsewhere ? { elsewhere: true } : {}), ...(sealed === undefined ? {} : { sealed }), files }))
    syncFolder(folder)
    rmSync(join(folder, INCOMPLETE))
    syncFolder(folder)
    syncFolder(dirname(resolve(folder)))
    return { origin, size, checkpoint, keys, ...held, files: files.length + 1, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) }
  } catch (error) {
    clear(folder)
    if (made) rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** Has the folder for this run alone, and for its owner only; says whether it was made. */
function claimFolder(folder: string): boolean {
  const stat = statSync(folder, { throwIfNoEntry: false })
  if (stat === undefined) makeFolder(resolve(folder))
  else checkEmpty(folder, stat)
  try {
    writeFile(join(folder, INCOMPLETE), 'This backup is being written, or was stopped: it is not whole. Delete the folder.\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    checkEmpty(folder, statSync(folder)) // another run was faster
  }
  chmodSync(folder, 0o700)
  return stat === undefined
}

function checkEmpty(folder: string, stat: Stats): void {
  const names = stat.isDirectory() ? readdirSync(folder) : undefined
  if (names === undefined) throw new MisuseError('not_a_folder', `backup: expected a folder, or none yet, at ${folder}, got something else`, 'name another path')
  if (names.includes(INCOMPLETE)) throw new MisuseError('folder_not_empty', `backup: ${folder} holds a backup that was stopped, or is being written now`, 'if nothing writes it, delete the folder; it may hold keys')
  if (names.length > 0) throw new MisuseError('folder_not_empty', `backup: expected an empty folder, or none yet, got ${JSON.stringify(names[0]!.slice(0, 80))} in ${folder}`, 'name a new one for each backup; nothing was written')
}

function clear(folder: string): void {
  for (const name of [MANIFEST, `${MANIFEST}.partial`, DATABASE, CHECKPOINT, README, KEYS, INCOMPLETE]) rmSync(join(folder, name), { recursive: true, force: true })
}

interface Copied { readonly origin: string; readonly size: number; readonly checkpoint: string }
/** What the keys in it can do: `elsewhere` if another has the one that signs, `protected` if they are under a passphrase. */
interface Held { readonly elsewhere: boolean; readonly protected: boolean }
const NONE: Held = { elsewhere: false, protected: false }

/** What two copies that were taken one after the other may show and two others would not. */
const TORN: ReadonlySet<string> = new Set(['kek_missing', 'key_malformed', 'keys_missing', 'key_retired', 'keys_newer'])

/**
 * The database and the keys that open it and sign on from its checkpoint. A renewal destroys the KEK that the database was copied under, a rotation the
 * signing key: then both are taken again.
 */
async function copyTogether(store: Store, keyring: Keyring | KeptKeys | undefined, folder: string, keys: boolean): Promise<Copied & Held> {
  for (let tries = 1; ; tries++) {
    if (keyring !== undefined) await checkStanding(store, keyring)
    await store.copyTo(join(folder, DATABASE))
    keepPrivate(join(folder, DATABASE))
    try {
      return await inCopy(folder, async (view) => {
        const copied = await checkSigned(view, keyring)
        return { ...copied, ...(keys ? await copyKeys(view, keyring as Keyring, folder, copied) : NONE) }
      })
    } catch (error) {
      if (tries === TRIES || !(error instanceof StoreError) || !TORN.has(error.code)) throw error
      rmSync(join(folder, DATABASE))
      rmSync(join(folder, KEYS), { recursive: true, force: true })
    }
  }
}

async function inCopy<T>(folder: string, work: (view: StoreView) => Promise<T>): Promise<T> {
  const copy = await openSqliteStore(join(folder, DATABASE), { finished: true })
  try {
    return await copy.read(work)
  } finally {
    await copy.close()
  }
}

/** The copy's checkpoint, which the newest of its keys signed, and whose root is that of what was copied. */
async function checkSigned(view: StoreView, keyring: Keyring | KeptKeys | undefined): Promise<Copied> {
  const head = await view.head()
  if (head === undefined) throw new StoreError('no_log', 'backup: the database holds no log', 'name another file')
  const { checkpoint, size } = head
  const { origin } = parseTreeHead(parseNote(checkpoint).text)
  const chain = await keyChainOf(view)
  if (keyring !== undefined && !keyring.vkeys().some((vkey) => chain.indexOf(vkey) !== -1)) throw new VerifyError('log_start', `backup: the log's entries do not lead to its key ${keyring.vkey}`, 'run counterfoil verify', { first_bad_index: 0 })
  await readTip(view, head, { origin: keyring?.origin ?? origin, vkey: chain.newest.vkey })
  return { origin, size, checkpoint }
}

async function copyKeys(view: StoreView, keyring: Keyring, folder: string, { origin, size, checkpoint }: Copied): Promise<Held> {
  const texts = keyring.texts()
  const used = await generationsIn(view)
  const newest = Math.max(0, ...[...texts.keys()].map(generationOf))
  for (const name of texts.keys()) { // one that is on its way out must not live on here
    const generation = generationOf(name)
    if (generation > 0 && generation < newest && !used.has(generation)) texts.delete(name)
  }
  const cosigned = texts.get('cosigned')
  if (cosigned !== undefined && parseTreeHead(parseNote(cosigned).text).size > size) texts.delete('cosigned') // of a newer log than the copy
  const home = join(folder, KEYS)
  const copy = keyring.copied(createDiskFolder(keyringFolder(origin, home), texts))
  // what a rotation left to do is done in the copy: no retired secret lives on in it
  if (!copy.follow(checkpoint)) throw new StoreError('keys_newer', `backup: the keys in ${keyring.folder} were rotated after the log of ${size} entries was copied`, 'run it again')
  await checkNotRetired(view, copy)
  await checkSecrets(view, copy)
  return { elsewhere: copy.isElsewhere, protected: copy.isProtected }
}

/** The KEK generations that secrets in `view` say they are wrapped under. */
export async function generationsIn(view: StoreView): Promise<Set<number>> {
  const found = new Set<number>()
  for (let after: Uint8Array | undefined; ; ) {
    const page = await view.scopePage(after, 500)
    for (const { generation } of page) found.add(generation)
    if (page.length < 500) return found
    after = page.at(-1)!.scope
  }
}

/** Which generation a key file is of; 0 for others. */
export function generationOf(name: string): number {
  return Number(/^kek-([1-9]\d{0,9})$/.exec(name)?.[1] ?? 0)
}

/** Every secret in `view` opens with `keyring`. */
async function checkSecrets(view: StoreView, keyring: Keyring): Promise<void> {
  for (let after: Uint8Array | undefined; ; ) {
    const page = await view.scopePage(after, 500)
    for (const row of page) if (row.generation !== SEALED) unwrapSecret(row.wrapped, row.scope, keyring.origin, (generation) => keyring.kek(generation))
    if (page.length < 500) return
    after = page.at(-1)!.scope
  }
}
