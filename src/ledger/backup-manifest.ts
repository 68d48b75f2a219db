// What a backup folder says of itself: which log, how large, and every file with its SHA-256. It is written last, so a folder without it is
// no backup. `check` is over the text before it: a changed bit shows, a lie does not, and is found by comparing with the log itself.

import { createHash } from 'node:crypto'
import { isTime } from '../base/clock.ts'
import { StoreError } from '../base/errors.ts'
import { isOrigin } from '../vault/key-text.ts'
import { isRange } from './restored.ts'

export const BACKUP_FORMAT = 'counterfoil/backup/v1'
export const MANIFEST = 'manifest.json'
export const DATABASE = 'log.db'
export const CHECKPOINT = 'checkpoint'
export const README = 'README.txt'
export const KEYS = 'keys'
/** There while a backup is written, and after it was stopped. */
export const INCOMPLETE = 'INCOMPLETE'

/** A key file is at most 64 KiB (`vault/key-folder.ts`), and a log has few. */
const MAX_FILES = 1_000
export const MAX_MANIFEST_BYTES: number = 1024 * 1024
const PATH = /^(?:log\.db|checkpoint|README\.txt|keys\/[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\/[a-z0-9][a-z0-9.-]{0,99})$/
const HASH = /^[0-9a-f]{64}$/

export interface BackupFile { readonly path: string; readonly bytes: number; readonly sha256: string }

/** `keys`: whether the log's keys are in it; `elsewhere`: all but the one that signs, which somebody else keeps; `sealed`: of which scopes the log lacks the secrets (`verify/rollback.ts`). Files ascend by path. */
export interface Manifest { readonly made_at: string; readonly origin: string; readonly size: number; readonly keys: boolean; readonly elsewhere?: true; readonly sealed?: readonly [number, number]; readonly files: readonly BackupFile[] }

export function formatManifest({ made_at, origin, size, keys, elsewhere, sealed, files }: Manifest): string {
  const body = { format: BACKUP_FORMAT, made_at, origin, size, keys, ...(elsewhere === undefined ? {} : { elsewhere }), ...(sealed === undefined ? {} : { sealed }), files: files.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })) }
  const check = createHash('sha256').update(JSON.stringify(body)).digest('hex')
  return `${JSON.stringify({ ...body, check }, undefined, 2)}\n`
}

/** The manifest in `text`: a StoreError `backup_manifest` for anything that `formatManifest` would not write. */
export function parseManifest(text: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw bad(`expected JSON: ${(cause as Error).message}`)
  }
  if (typeof value !== 'object' || value === null) throw bad('expected an object')
  const { format, made_at, origin, size, keys, elsewhere, sealed, files } = value as { [name: string]: unknown }
  if (typeof format === 'string' && format !== BACKUP_FORMAT && format.startsWith('counterfoil/backup/')) throw new StoreError('newer_format', `backup: expected the format ${BACKUP_FORMAT}, got ${format}`, 'restore it with a newer counterfoil')
  if (format !== BACKUP_FORMAT || typeof made_at !== 'string' || !isTime(made_at) || typeof origin !== 'string' || !isOrigin(origin)) throw bad('expected format, made_at and origin')
  if (!Number.isSafeInteger(size) || (size as number) < 1 || typeof keys !== 'boolean' || !Array.isArray(files) || files.length > MAX_FILES) throw bad(`expected size, keys, and at most ${MAX_FILES} files`)
  if (elsewhere !== undefined && (elsewhere !== true || !keys)) throw bad('expected elsewhere to be true, and keys')
  if (sealed !== undefined && !isRange(sealed)) throw bad('expected sealed to be two indexes')
  const manifest: Manifest = { made_at, origin, size: size as number, keys, ...(elsewhere === undefined ? {} : { elsewhere: true as const }), ...(sealed === undefined ? {} : { sealed }), files: files.map(parseFile) }
  for (const [i, { path }] of manifest.files.entries()) if (i > 0 && manifest.files[i - 1]!.path >= path) throw bad('expected files that ascend by path')
  for (const path of [README, CHECKPOINT, DATABASE]) if (!manifest.files.some((file) => file.path === path)) throw bad(`expected the file ${path}`)
  if (keys !== manifest.files.some(({ path }) => path.startsWith(`${KEYS}/`))) throw bad(keys ? 'expected key files' : 'expected no key files')
  if (formatManifest(manifest) !== text) throw bad('expected the text that its check is of')
  return manifest
}

function parseFile(value: unknown): BackupFile {
  const { path, bytes, sha256 } = (value ?? {}) as { [name: string]: unknown }
  if (typeof path !== 'string' || !PATH.test(path)) throw bad(`expected the name of a backup's file, got ${JSON.stringify(path)?.slice(0, 100)}`)
  if (!Number.isSafeInteger(bytes) || (bytes as number) < 0 || typeof sha256 !== 'string' || !HASH.test(sha256)) throw bad(`expected bytes and sha256 of ${path}`)
  return { path, bytes: bytes as number, sha256 }
}

function bad(expected: string): StoreError {
  return new StoreError('backup_manifest', `backup: ${MANIFEST} is damaged or was written by another hand: ${expected}`, 'take another backup')
}
