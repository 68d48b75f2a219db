// A store as evidence for `verify`: the log's own rows here, the vault's in `vault-evidence.ts`.

import { setImmediate as turn } from 'node:timers/promises'
import { sha256 } from '#crypto'
import { toBase64, utf8 } from '../base/bytes.ts'
import { StoreError, VerifyError } from '../base/errors.ts'
import { NewerFormatError } from '../event/fault.ts'
import { parseEntry } from '../event/parse.ts'
import { decodeSession } from '../event/session.ts'
import { parseTreeHead } from '../log/checkpoint.ts'
import { parseNote } from '../log/note.ts'
import type { Head, StoreView } from '../store/contract.ts'
import type { KeptKeys, Keyring } from '../vault/keyring.ts'
import type { Evidence, Fault } from '../verify/evidence.ts'
import type { Share } from '../verify/part.ts'
import { messageOf } from './content.ts'
import { restoredBy } from './restored.ts'
import { StoredVault } from './vault-evidence.ts'

const PAGE = 500

/**
 * The checkpoints that this machine signed, proved and restored last. Read them before the snapshot that is compared with them: another process may
 * append, and write a newer one, in between.
 */
export function rememberedBy(keyring: Pick<KeptKeys, 'folder' | 'readHead' | 'readProved' | 'readRestored'> | undefined): Evidence['remembered'] {
  if (keyring === undefined) return []
  const notes = [['signed', keyring.readHead()], ['proved', keyring.readProved()], ['restored', restoredBy(keyring)?.checkpoint]] as const
  return notes.flatMap(([what, note]) => (note === undefined ? [] : [{ note, what }]))
}

/**
 * The evidence in one snapshot of a store. Without a keyring the verifier key is taken from the log's first entry, which proves nothing about whose
 * it is (`pinned: false`), or from `vkey`: one that was given, or what this machine keeps where its secrets are under a passphrase. Payloads are not opened then.
 */
export async function evidenceOf(view: StoreView, keyring: Keyring | undefined, vkey?: string | { readonly kept: KeptKeys }, remembered: Evidence['remembered'] = rememberedBy(keyring)): Promise<Evidence> {
  const kept = keyring ?? (typeof vkey === 'object' ? vkey.kept : undefined)
  const own = kept?.vkeys() // as they were when the snapshot was: this process may rotate meanwhile
  const head = await headOf(view)
  const given = kept === undefined && typeof vkey === 'string' ? vkey : undefined
  const origin = originOf(head.checkpoint, kept)
  const cosigned = kept?.readCosigned()
  const restored = kept === undefined ? undefined : restoredBy(kept)
  const text = own?.[0] ?? given ?? (await vkeyInLog(view))
  return {
    origin, head: { note: head.checkpoint, size: head.size }, vkey: { text, pinned: kept !== undefined || given !== undefined, given: given !== undefined }, ...(own === undefined ? {} : { own }), remembered, ...(restored === undefined ? {} : { restored }), ...(cosigned === undefined ? {} : { cosigned }),
    ...entriesIn(view),
    earlier: (session_id, before) => earlierEntries(view, session_id, before),
    extra: (size, _, database) => extraRows(view, size, () => database ?? databaseCheck(view)),
    tile: (level, n) => view.tile(level, n),
    sessions: () => sessionRows(view),
    vault: new StoredVault(view, keyring),
  }
}

function entriesIn(view: StoreView): Pick<Evidence, 'entries' | 'texts' | 'next'> {
  return {
    entries: async (from, to) => {
      await turn() // appends take their turn between pages
      return view.entries(from, to)
    },
    texts: async (from, to) => {
      await turn()
      return view.entryTexts(from, to)
    },
    next: async (from) => (await view.events({ from, limit: 1 }))[0]?.index,
  }
}

async function* earlierEntries(view: StoreView, session_id: string, before: number): AsyncGenerator<{ readonly index: number; readonly entry: Uint8Array }> {
  for (let seq = 0; ; seq += PAGE) {
    await turn()
    const page = await view.sessionEntries(session_id, seq, PAGE)
    for (const row of page) {
      if (row.index >= before) return
      yield row
    }
    if (page.length < PAGE) return
  }
}

/** What one part of a verification reads: the same as `evidenceOf`, without what concerns the whole log. */
export function partEvidenceOf(view: StoreView, keyring: Keyring | undefined, origin: string, share: Share & Pick<Evidence, 'restored'>): Pick<Evidence, 'origin' | 'entries' | 'texts' | 'next' | 'earlier' | 'vault' | 'restored'> {
  return { origin, ...entriesIn(view), earlier: (session_id, before) => earlierEntries(view, session_id, before), vault: new StoredVault(view, keyring, share), ...(share.restored === undefined ? {} : { restored: share.restored }) }
}

/** Differs between two snapshots that show different things: each append changes the head, and an erasure or a new key the scopes. */
export async function snapshotPrint(view: StoreView): Promise<string> {
  const head = await view.head()
  const parts: Uint8Array[] = [utf8(`${head?.size} ${head?.checkpoint}`)]
  for (let after: Uint8Array | undefined; ; ) {
    const page = await view.scopePage(after, PAGE)
    for (const { scope, generation } of page) parts.push(scope, utf8(String(generation)))
    if (page.length < PAGE) break
    after = page.at(-1)!.scope
  }
  return toBase64(sha256(...parts))
}

async function headOf(view: StoreView): Promise<Head> {
  let head: Head | undefined
  try {
    head = await view.head()
  } catch (error) {
    if (error instanceof StoreError && !(error.cause instanceof RangeError)) throw error // a size that is no size of a log is not a sick disk
    throw new VerifyError('head_mismatch', `verify: the head row cannot be read: ${messageOf(error)}`, 'the head row was changed; compare with a copy', { first_bad_index: 0, cause: error })
  }
  if (head !== undefined) return head
  if ((await view.entries(0, 1)).length > 0) throw new VerifyError('checkpoint', 'verify: the log has entries and no head', 'the head row was removed; compare with a copy', { first_bad_index: 0 })
  throw new StoreError('no_log', 'verify: the database holds no log', 'name another file')
}

/** With keys the origin is theirs, whatever the head says. */
function originOf(note: string, keyring: KeptKeys | undefined): string {
  if (keyring !== undefined) return keyring.origin
  try {
    return parseTreeHead(parseNote(note).text).origin
  } catch (error) {
    throw new VerifyError('checkpoint', `verify: the stored checkpoint is not one: ${messageOf(error)}`, 'the head row was changed; compare with a copy', { first_bad_index: 0 })
  }
}

/** The verifier key that the log names in its first entry: nothing says whose it is. */
export async function vkeyInLog(view: StoreView): Promise<string> {
  const first = (await view.entries(0, 1))[0]
  const vkey = first === undefined ? undefined : vkeyOf(first.entry)
  if (typeof vkey !== 'string') throw new VerifyError('no_vkey', 'verify: entry #0 names no verifier key, and none was given', 'pass the log\'s verifier key', { first_bad_index: 0 })
  return vkey
}

function vkeyOf(entry: Uint8Array): unknown {
  try {
    return parseEntry(entry).entry.facts['vkey']
  } catch (error) {
    if (error instanceof NewerFormatError) throw error
    throw new VerifyError('entry_malformed', `verify: entry #0, which names the verifier key, cannot be read: ${messageOf(error)}`, 'pass the log\'s verifier key', { first_bad_index: 0, cause: error })
  }
}

async function* sessionRows(view: StoreView): AsyncGenerator<{ session_id: string; row: string }> {
  for (let before: { started_at: string; session_id: string } | undefined; ; ) {
    const page = await view.listSessions({ limit: PAGE, ...(before === undefined ? {} : { before }) })
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return
    before = { started_at: decodeSession(last.row).started_at, session_id: last.session_id }
  }
}

/** Rows that the log's size leaves no room for: entries after its end, tiles that are not full yet. */
async function extraRows(view: StoreView, size: number, database: () => Promise<readonly string[]>): Promise<Fault[]> {
  const faults: Fault[] = []
  const beyond = (await view.events({ from: size, limit: 1 }))[0]
  if (beyond !== undefined) faults.push({ code: 'entries_extra', message: `entries stand after the signed end of the log, the first is #${beyond.index}`, index: size })
  for (const message of await database()) faults.push({ code: 'database', message })
  const counts = await view.counts()
  if (beyond === undefined && (counts['entries'] ?? 0) > size) faults.push({ code: 'entries_extra', message: `${counts['entries']} entries are stored, the log has ${size}` })
  let tiles = 0
  for (let full = Math.floor(size / 256); full > 0; full = Math.floor(full / 256)) tiles += full
  if ((counts['tiles'] ?? 0) > tiles) faults.push({ code: 'tiles_extra', message: `${counts['tiles']} tiles are stored, a log of ${size} entries has ${tiles}` })
  if ((counts['heads'] ?? 1) > 1) faults.push({ code: 'heads_extra', message: `${counts['heads']} heads are stored, expected 1` })
  return faults
}

/** What the database finds wrong with itself; that it cannot even look is one more finding. */
export async function databaseCheck(view: StoreView): Promise<string[]> {
  try {
    return await view.check()
  } catch (error) {
    if (error instanceof StoreError && error.code !== 'corrupt' && error.code !== 'sqlite') throw error
    return [messageOf(error)]
  }
}
