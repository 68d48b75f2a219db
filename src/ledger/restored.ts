// What this machine notes beside a log's keys when it restores the log, so that a restored backup is later called one. One line of JSON:
// `at`, `from`, `checkpoint` (the restored one, a signed note), `signed` (the newest note that these keys had signed here before), and `sealed`
// (between which indexes content was restored without its secrets).

import { canonicalJson } from '../base/canonical-json.ts'
import { isTime } from '../base/clock.ts'
import { StoreError, VerifyError } from '../base/errors.ts'
import { parseTreeHead } from '../log/checkpoint.ts'
import { parseNote } from '../log/note.ts'
import type { KeptKeys, Keyring } from '../vault/keyring.ts'
import { retiredOf, type Restored } from '../verify/rollback.ts'

export interface RestoredMark extends Restored { readonly checkpoint: string }

export function formatRestored({ at, from, checkpoint, signed, sealed }: { readonly at: string; readonly from: 'backup' | 'archive'; readonly checkpoint: string; readonly signed?: string; readonly sealed?: Restored['sealed'] }): string {
  return `${canonicalJson({ at, checkpoint, from, ...(signed === undefined ? {} : { signed }), ...(sealed === undefined ? {} : { sealed: [...sealed] }) })}\n`
}

/** Sizes are those that the notes state: whoever uses them opens the notes. TypeError for what is no such line. */
export function parseRestored(text: string): RestoredMark {
  const { at, from, checkpoint, signed, sealed, ...rest } = JSON.parse(text) as { [name: string]: unknown }
  if (Object.keys(rest).length > 0) throw new TypeError(`expected at, from, checkpoint, signed and sealed, got ${Object.keys(rest)[0]!.slice(0, 40)}`)
  if (typeof at !== 'string' || !isTime(at) || (from !== 'backup' && from !== 'archive') || typeof checkpoint !== 'string') throw new TypeError('expected the time, kind and checkpoint of a restored log')
  if ((signed !== undefined && typeof signed !== 'string') || (sealed !== undefined && !isRange(sealed))) throw new TypeError('expected signed to be a note, and sealed two indexes')
  return { at, from, checkpoint, size: sizeOf(checkpoint), ...(signed === undefined ? {} : { signed: sizeOf(signed) }), ...(sealed === undefined ? {} : { sealed }) }
}

/** Two indexes, ascending. */
export function isRange(value: unknown): value is readonly [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every((index) => Number.isSafeInteger(index)) && value[0] >= 0 && value[0] < value[1]
}

function sizeOf(note: string): number {
  return parseTreeHead(parseNote(note).text).size
}

/** What `keyring` has of it; undefined where nothing was restored. StoreError `key_malformed` for a damaged file. */
export function restoredBy(keyring: Pick<KeptKeys, 'folder' | 'readRestored'>): RestoredMark | undefined {
  const text = keyring.readRestored()
  if (text === undefined) return undefined
  try {
    return parseRestored(text)
  } catch (cause) {
    throw new StoreError('key_malformed', `ledger: ${keyring.folder}/restored is damaged: ${(cause as Error).message}`, 'restore the backup again, or remove the file: then a restored log is called an older copy', { cause })
  }
}

/** Has `keyring` follow the log's newest checkpoint; a VerifyError `restored_backup` or `rolled_back` for one of a key that was retired. */
export function followLog(keyring: Keyring, note: string): void {
  if (keyring.follow(note)) return
  const size = sizeOf(note)
  const { code, message, next } = retiredOf(size, restoredBy(keyring))
  throw new VerifyError(code, `ledger: ${message}`, next, { first_bad_index: size })
}
