// Restoring a log from a backup folder: put together and verified beside its place, then moved there. Until then nothing is changed; a run
// that was killed is made again. Keys that are here are never overwritten: a missing KEK generation is added to them.

import { copyFileSync, constants, linkSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { formatTime, type Clock } from '../base/clock.ts'
import { MisuseError, StoreError, VerifyError } from '../base/errors.ts'
import { parseTreeHead } from '../log/checkpoint.ts'
import { parseNote } from '../log/note.ts'
import type { StoreView } from '../store/contract.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import { createDiskFolder, openDiskFolder, syncFolder } from '../vault/key-folder.ts'
import { SEALED } from '../vault/scope.ts'
import { keyringFolder, openKept, openKeyring, type KeptKeys, type Keyring } from '../vault/keyring.ts'
import type { Evidence } from '../verify/evidence.ts'
import { verifyLog } from '../verify/verify.ts'
import type { Verdict } from '../verify/verdict.ts'
import { generationOf, generationsIn } from './backup.ts'
import { filesUnder, hashFile, keepPrivate, readText } from './backup-folder.ts'
import { CHECKPOINT, DATABASE, INCOMPLETE, KEYS, MANIFEST, MAX_MANIFEST_BYTES, parseManifest, type Manifest } from './backup-manifest.ts'
import { evidenceOf, rememberedBy } from './evidence.ts'
import { formatRestored, restoredBy } from './restored.ts'

export interface RestoreOptions {
  /** The state folder that the keys go to. */
  readonly home: string
  /** Opens this machine's keys of the log, where they are under one. */
  readonly passphrase?: string | undefined
  /** Opens those in the backup; default `passphrase`. */
  readonly backupPassphrase?: string | undefined
  readonly clock?: Clock
  readonly progress?: (done: number, total: number) => void
}

/**
 * `keys`: `restored` from the backup, `here` on this machine already, or `none`. `signed` is how many entries this machine had signed: more than
 * `size` means that nothing can be appended, since newer entries are missing.
 */
export interface RestoredLog { readonly origin: string; readonly size: number; readonly made_at: string; readonly keys: 'restored' | 'here' | 'none'; readonly signed?: number; readonly verdict: Verdict }

/** Restores the backup in `from` to a trail at `path`. StoreErrors `not_a_backup`, `backup_incomplete`, `backup_manifest`, `backup_file`, `backup_other` say what is wrong with it, a VerifyError that it is not whole. */
export async function restoreBackup(from: string, path: string, options: RestoreOptions): Promise<RestoredLog> {
  const { home, clock = Date.now, progress } = options
  checkFree(path)
  const manifest = readManifest(from)
  const staging = `${resolve(path)}.restoring`
  rmSync(staging, { recursive: true, force: true }) // what a run that was killed left
  mkdirSync(staging, { mode: 0o700 })
  try {
    stage(from, manifest, staging)
    const { keys, keyring } = await mergeKeys(manifest, staging, options)
    const { verdict, checkpoint } = await verifyCopy(staging, manifest, keyring, localKept(manifest.origin, home), progress)
    wholeOf(verdict, 'backup')
    const signed = commitKeys(keyring, home, keys, { at: formatTime(clock()), from: 'backup', checkpoint, ...(manifest.sealed === undefined ? {} : { sealed: manifest.sealed }) })
    rmSync(join(staging, KEYS), { recursive: true, force: true }) // killed from here on, it leaves no copy of them
    publish(join(staging, DATABASE), path)
    return { origin: manifest.origin, size: manifest.size, made_at: manifest.made_at, keys, ...(signed === undefined ? {} : { signed }), verdict }
  } finally {
    rmSync(staging, { recursive: true, force: true })
  }
}

/** The verdict on a backup folder as it stands, compared with what this machine remembers of the log. Nothing is written. Content is opened where it can be, or must be with `open`. */
export async function verifyBackup(from: string, { home, passphrase, backupPassphrase = passphrase, open = false, progress }: Omit<RestoreOptions, 'clock'> & { readonly open?: boolean }): Promise<Verdict> {
  const manifest = readManifest(from)
  checkFiles(from, manifest)
  const opened = (): Keyring | undefined => (manifest.keys ? ofBackup(() => openKeyring(manifest.origin, join(from, KEYS), { passphrase: backupPassphrase })) : localKeyring(manifest.origin, home, passphrase))
  const keyring = open ? opened() : unlessClosed(opened)
  const { verdict } = await verifyCopy(from, manifest, keyring, localKept(manifest.origin, home), progress)
  return verdict
}

/** Runs `work` on the log in a backup folder whose files are what its manifest says, under the key that this machine keeps for it, or the one in the backup. Content is not opened. */
export async function withBackup<T>(from: string, { home }: Pick<RestoreOptions, 'home'>, work: (evidence: Evidence) => Promise<T>): Promise<T> {
  const manifest = readManifest(from)
  checkFiles(from, manifest)
  const kept = localKept(manifest.origin, home) ?? (manifest.keys ? openKept(manifest.origin, join(from, KEYS)) : undefined)
  const store = await openSqliteStore(join(from, DATABASE), { finished: true })
  try {
    return await store.read(async (view) => {
      await checkManifest(view, manifest, readText(from, CHECKPOINT, 64 * 1024))
      return work(await evidenceOf(view, undefined, kept === undefined ? undefined : { kept }))
    })
  } finally {
    await store.close()
  }
}

/** A trail that is there is never overwritten. */
export function checkFree(path: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) {
    if (lstatSync(path + suffix, { throwIfNoEntry: false }) === undefined) continue
    throw new MisuseError('trail_exists', `restore: expected nothing at ${path}${suffix}, got a file`, 'name a new path with --trail, or move what is there away; nothing was written')
  }
  if (lstatSync(dirname(resolve(path)), { throwIfNoEntry: false })?.isDirectory() !== true) throw new MisuseError('no_folder', `restore: there is no folder ${dirname(resolve(path))}`, 'create it')
}

/** What a backup says of itself; a StoreError where it is none, was stopped, or is damaged. */
export function readManifest(from: string): Manifest {
  if (lstatSync(join(from, INCOMPLETE), { throwIfNoEntry: false }) !== undefined) throw new StoreError('backup_incomplete', `restore: the backup in ${from} was stopped before it was whole`, 'use another one')
  const text = readText(from, MANIFEST, MAX_MANIFEST_BYTES)
  if (text === undefined) throw new StoreError('not_a_backup', `restore: expected ${MANIFEST} in ${from}, and it is not there`, 'name a folder that counterfoil backup wrote')
  return parseManifest(text)
}

/** Every file that the manifest lists is in `folder` as it says, and there are no others. */
function checkFiles(folder: string, manifest: Manifest): void {
  const listed = new Set(manifest.files.map(({ path }) => path))
  const there = new Set(filesUnder(folder))
  for (const path of there) if (path !== MANIFEST && !listed.has(path)) throw damaged(folder, path, 'is not in the manifest')
  for (const file of manifest.files) {
    if (!there.has(file.path)) throw damaged(folder, file.path, 'is not there')
    checkFile(folder, file)
  }
}

function checkFile(folder: string, file: Manifest['files'][number]): void {
  const got = hashFile(folder, file.path)
  if (got.bytes !== file.bytes) throw damaged(folder, file.path, `has ${got.bytes} bytes, the manifest says ${file.bytes}`)
  if (got.sha256 !== file.sha256) throw damaged(folder, file.path, 'is not the one that was backed up: its SHA-256 is another')
}

function damaged(folder: string, path: string, why: string): StoreError {
  return new StoreError('backup_file', `restore: ${path} in ${folder} ${why}`, 'use another backup; nothing was changed')
}

/** A copy of the backup's files, checked where it will be used. */
export function stage(from: string, manifest: Manifest, staging: string): void {
  const there = new Set(filesUnder(from))
  for (const path of there) if (path !== MANIFEST && !manifest.files.some((file) => file.path === path)) throw damaged(from, path, 'is not in the manifest')
  for (const file of manifest.files) {
    if (!there.has(file.path)) throw damaged(from, file.path, 'is not there')
    mkdirSync(dirname(join(staging, file.path)), { recursive: true, mode: 0o700 })
    copyFileSync(join(from, file.path), join(staging, file.path), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    keepPrivate(join(staging, file.path))
    checkFile(staging, file)
  }
}

/** The keys that this machine has for `origin`, if any. */
export function localKeyring(origin: string, home: string, passphrase?: string): Keyring | undefined {
  return unlessMissing(() => openKeyring(origin, home, { passphrase }))
}

/** What of them can be read without a passphrase. */
export function localKept(origin: string, home: string): KeptKeys | undefined {
  return unlessMissing(() => openKept(origin, home))
}

/** Undefined for keys under a passphrase that was not given: what needs no secret goes on without. */
function unlessClosed<T>(open: () => T): T | undefined {
  try {
    return open()
  } catch (error) {
    if (error instanceof StoreError && (error.code === 'passphrase_needed' || error.code === 'backup_passphrase_needed')) return undefined
    throw error
  }
}

function unlessMissing<T>(open: () => T): T | undefined {
  try {
    return open()
  } catch (error) {
    if (error instanceof StoreError && error.code === 'keys_missing') return undefined
    throw error
  }
}

/**
 * Makes the staged keys those that will be there: this machine's where it has some, with what they lack of the backup's KEKs. Only those that
 * secrets in the backup are under, which verification opens with them: another KEK, put in by somebody, would be the newest, and known to him.
 * They come under the passphrase that is here, or under none if none is; StoreErrors `passphrase_needed` and those of `ofBackup` where one has to be known.
 */
export async function mergeKeys({ origin, keys }: Manifest, staging: string, { home, passphrase, backupPassphrase = passphrase }: RestoreOptions): Promise<{ readonly keys: RestoredLog['keys']; readonly keyring: Keyring | undefined }> {
  const local = localKeyring(origin, home, passphrase)
  const open = (): Keyring => ofBackup(() => openKeyring(origin, join(staging, KEYS), { passphrase: backupPassphrase }))
  if (local === undefined) return keys ? { keys: 'restored', keyring: open() } : { keys: 'none', keyring: undefined }
  const folder = keyringFolder(origin, join(staging, KEYS))
  const own = local.texts()
  const added: [string, string][] = []
  if (keys) {
    const used = await usedIn(join(staging, DATABASE))
    const lacking = openDiskFolder(folder).list().filter((name) => used.has(generationOf(name)) && !own.has(name))
    const copy = lacking.length === 0 ? undefined : open()
    for (const name of lacking) added.push([name, local.kekText(generationOf(name), copy!)])
  }
  rmSync(folder, { recursive: true, force: true })
  return { keys: 'here', keyring: local.copied(createDiskFolder(folder, new Map([...own, ...added]))) }
}

/** What is said of a passphrase is said of the backup's keys, which may be under another one than those here: StoreErrors `backup_passphrase_needed` and `backup_passphrase_wrong`. */
function ofBackup<T>(open: () => T): T {
  try {
    return open()
  } catch (error) {
    if (!(error instanceof StoreError) || (error.code !== 'passphrase_needed' && error.code !== 'passphrase_wrong')) throw error
    const why = error.code === 'passphrase_needed' ? 'and none was given' : 'and not under the one that was given'
    throw new StoreError(`backup_${error.code}`, `restore: the keys in the backup are under a passphrase, ${why}; nothing was changed`, 'set COUNTERFOIL_PASSPHRASE, or COUNTERFOIL_BACKUP_PASSPHRASE where it is another than that of the keys here', { cause: error })
  }
}

async function usedIn(database: string): Promise<Set<number>> {
  const store = await openSqliteStore(database, { finished: true })
  try {
    const used = await store.read(generationsIn)
    used.delete(SEALED)
    return used
  } finally {
    await store.close()
  }
}

/** `verdict`, or a VerifyError `backup_not_whole` or `archive_not_whole` with the first of its problems. */
export function wholeOf(verdict: Verdict, what: 'backup' | 'archive'): Verdict {
  const [problem] = verdict.problems
  if (problem === undefined) return verdict
  throw new VerifyError(`${what}_not_whole`, `restore: the ${what} does not verify: ${problem.message}${verdict.problem_count > 1 ? ` (and ${verdict.problem_count - 1} more)` : ''}`, `use another ${what}; nothing was changed`, problem.index === undefined ? {} : { first_bad_index: problem.index })
}

/** Verifies the database in `folder`, after the manifest was found to speak of it. */
async function verifyCopy(folder: string, manifest: Manifest, keyring: Keyring | undefined, local: KeptKeys | undefined, progress: RestoreOptions['progress']): Promise<{ verdict: Verdict; checkpoint: string }> {
  const store = await openSqliteStore(join(folder, DATABASE), { finished: true })
  try {
    return await store.read(async (view) => {
      const checkpoint = await checkManifest(view, manifest, readText(folder, CHECKPOINT, 64 * 1024))
      const { made_at: at, size, sealed } = manifest
      const kept = keyring === undefined && manifest.keys ? unlessMissing(() => openKept(manifest.origin, join(folder, KEYS))) : keyring ?? local
      const found = await evidenceOf(view, keyring, kept === undefined ? undefined : { kept }, rememberedBy(local))
      // whose keys they are, only those of this machine say
      const pinned = local === undefined ? { vkey: { text: found.vkey.text, pinned: false } } : { vkey: { text: local.vkey, pinned: true }, own: local.vkeys() }
      const evidence: Evidence = { ...found, ...pinned, copy: 'backup', restored: { at, from: 'archive', size, ...(sealed === undefined ? {} : { sealed }) } }
      return { verdict: await verifyLog(evidence, progress === undefined ? {} : { progress }), checkpoint }
    })
  } finally {
    await store.close()
  }
}

async function checkManifest(view: StoreView, { origin, size }: Manifest, checkpoint: string | undefined): Promise<string> {
  const head = await view.head()
  if (head === undefined) throw new StoreError('backup_other', `restore: ${DATABASE} holds no log`, 'use another backup; nothing was changed')
  if (head.checkpoint !== checkpoint) throw new StoreError('backup_other', 'restore: the checkpoint is not the one of the database: the files are of different backups', 'use another backup; nothing was changed')
  const stated = parseTreeHead(parseNote(head.checkpoint).text)
  if (stated.origin !== origin || stated.size !== size) throw new StoreError('backup_other', `restore: the manifest speaks of ${size} entries of ${origin}, the database of ${stated.size} of ${stated.origin}`, 'use another backup; nothing was changed')
  return head.checkpoint
}

/** Keys first, so that the database is never there without them. Returns how many entries this machine had signed of this log. */
export function commitKeys(staged: Keyring | undefined, home: string, keys: RestoredLog['keys'], mark: Parameters<typeof formatRestored>[0]): number | undefined {
  if (staged === undefined) return undefined
  const path = keyringFolder(staged.origin, home)
  const folder = keys === 'restored' ? createDiskFolder(path, staged.texts()) : openDiskFolder(path)
  const keyring = staged.copied(folder)
  if (keys === 'here') for (const [name, text] of staged.texts()) if (generationOf(name) > 0 && folder.read(name) === undefined) folder.create(name, text)
  const signed = keyring.readHead()
  // A run that was killed here noted what there was before it: nothing.
  const again = signed === mark.checkpoint && restoredBy(keyring)?.checkpoint === signed
  if (!again) keyring.writeRestored(formatRestored({ ...mark, ...(signed === undefined ? {} : { signed }) }))
  if (signed === undefined) keyring.writeHead(mark.checkpoint)
  return signed === undefined ? undefined : parseTreeHead(parseNote(signed).text).size
}

/** Gives the finished database its name, unless somebody else has taken it. */
export function publish(staged: string, path: string): void {
  keepPrivate(staged)
  try {
    linkSync(staged, path)
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException
    if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP'].includes(code)) { // a file system without links
      checkFree(path)
      renameSync(staged, path)
    } else if (code === 'EEXIST') throw new MisuseError('trail_exists', `restore: something was put at ${path} meanwhile`, 'name a new path with --trail')
    else throw cause
  }
  syncFolder(dirname(resolve(path)))
}
