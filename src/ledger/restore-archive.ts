// Restoring a log from an archive: entries, tiles and sealed segments as they lie there, every derived row made again. Secrets are not in an
// archive; they come from a backup of the same log, matched by scope, and each must open. What opens tells, by its commitment, which
// payload of which entry it is: that is how places and the content index are made again. What has no secret stays sealed, and the log says so.

import { mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { equal, fromBase64, toBase64, utf8 } from '../base/bytes.ts'
import { formatTime } from '../base/clock.ts'
import { StoreError, VerifyError } from '../base/errors.ts'
import { ownRefs, type Entry } from '../event/entry.ts'
import { parseEntry } from '../event/parse.ts'
import { encodeSession, foldSession, type SessionState } from '../event/session.ts'
import { leafHash } from '../log/hash.ts'
import { TreeEdge } from '../log/tree.ts'
import type { ContentRow, PlaceRow, ScopeRow, SegmentRow, Store, SubjectRow } from '../store/contract.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import { commit, digestOf, saltOf } from '../vault/commitment.ts'
import { createDiskFolder } from '../vault/key-folder.ts'
import { keyringFolder, type KeptKeys, type Keyring } from '../vault/keyring.ts'
import { contentKeyOf, SEALED, WRAPPED_BYTES } from '../vault/scope.ts'
import { openSegment, parseSegmentHeader, placesOf, readPayload, type OpenSegment } from '../vault/segment.ts'
import { Erasures } from '../verify/erasures.ts'
import type { Evidence } from '../verify/evidence.ts'
import { verifyLog } from '../verify/verify.ts'
import { DATABASE, KEYS } from './backup-manifest.ts'
import { evidenceOf, rememberedBy } from './evidence.ts'
import { keyChainOf } from './keys.ts'
import { openOwn } from './remembered.ts'
import { openScope, type OpenScope } from './open-scope.ts'
import { checkFree, commitKeys, localKept, localKeyring, mergeKeys, publish, readManifest, stage, wholeOf, type RestoredLog, type RestoreOptions } from './restore.ts'

const AT_ONCE = 256
/** The row of a segment that was erased stands for its number, which is not given again. */
const NO_SCOPE = new Uint8Array(16)

/** An archive, as far as it was verified: `evidence` is its own, under the key to trust. */
export interface ArchivedLog {
  readonly evidence: Evidence
  /** The segments listed for the entries from `from` to `to`, ascending; `bytes` is absent for one that was erased. */
  segments(from: number, to: number): Promise<readonly { readonly segment: number; readonly scope: string; readonly bytes?: Uint8Array }[]>
}

/** `opened` payloads have their secrets, `sealed` ones not. */
export interface RestoredArchive extends Omit<RestoredLog, 'made_at'> { readonly opened: number; readonly sealed: number }

/** Makes a trail at `path` out of `archive`. `secrets` is a backup folder of the same log, no newer than the archive. */
export async function restoreArchive(archive: ArchivedLog, path: string, secrets: string | undefined, options: RestoreOptions): Promise<RestoredArchive> {
  const { home, clock = Date.now, progress } = options
  checkFree(path)
  const { origin, head } = archive.evidence
  wholeOf(await verifyLog(archive.evidence, progress === undefined ? {} : { progress }), 'archive')
  const staging = `${resolve(path)}.restoring`
  rmSync(staging, { recursive: true, force: true })
  mkdirSync(staging, { mode: 0o700 })
  try {
    const { keys, keyring } = secrets === undefined ? stageLocalKeys(origin, staging, options) : await stageBackup(origin, secrets, staging, options)
    const known = secrets === undefined ? undefined : await readSecrets(join(staging, DATABASE), archive.evidence, keyring)
    rmSync(join(staging, DATABASE), { force: true })
    const store = await openSqliteStore(join(staging, 'made.db'))
    let made: { opened: number; sealed: number }
    try {
      made = await new Making(store, archive, keyring, known).run()
    } finally {
      await store.close()
    }
    const mark = { at: formatTime(clock()), from: 'archive' as const, checkpoint: head.note, ...(made.sealed === 0 ? {} : { sealed: [known?.size ?? 0, head.size] as const }) }
    const verdict = await verifyMade(join(staging, 'made.db'), archive.evidence, keyring, localKept(origin, home), { ...mark, size: head.size }, progress)
    const signed = commitKeys(keyring, home, keys, mark)
    rmSync(join(staging, KEYS), { recursive: true, force: true })
    publish(join(staging, 'made.db'), path)
    return { origin, size: head.size, keys, verdict, ...made, ...(signed === undefined ? {} : { signed }) }
  } finally {
    rmSync(staging, { recursive: true, force: true })
  }
}

type Staged = Awaited<ReturnType<typeof mergeKeys>>

function stageLocalKeys(origin: string, staging: string, { home, passphrase }: RestoreOptions): Staged {
  const local = localKeyring(origin, home, passphrase)
  if (local === undefined) return { keys: 'none', keyring: undefined }
  return { keys: 'here', keyring: local.copied(createDiskFolder(keyringFolder(origin, join(staging, KEYS)), local.texts())) }
}

async function stageBackup(origin: string, secrets: string, staging: string, options: RestoreOptions): Promise<Staged> {
  const manifest = readManifest(secrets)
  if (manifest.origin !== origin) throw new StoreError('backup_other', `restore: expected a backup of ${origin} for its secrets, got one of ${manifest.origin}`, 'name a backup of this log; nothing was changed')
  stage(secrets, manifest, staging)
  const staged = await mergeKeys(manifest, staging, options)
  if (staged.keys === 'none') throw new StoreError('keys_missing', 'restore: the backup for --secrets was written without keys, and this machine has none', 'set COUNTERFOIL_HOME to where they are, or name a backup with keys; nothing was changed')
  return staged
}

interface Secrets { readonly size: number; readonly scopes: ReadonlyMap<string, ScopeRow> }

/** The wrapped secrets in a backup whose log is the beginning of the archived one. */
async function readSecrets(database: string, archive: Evidence, keyring: Keyring | undefined): Promise<Secrets> {
  const store = await openSqliteStore(database, { finished: true })
  try {
    return await store.read(async (view) => {
      const head = await view.head()
      if (head === undefined || keyring === undefined) throw new StoreError('backup_other', 'restore: the backup for --secrets holds no log', 'name a backup of this log')
      const { size, root } = openOwn(keyring, head.checkpoint, await keyChainOf(view)) // its own keys may be older or newer than those here
      if (size > archive.head.size) throw new StoreError('backup_newer', `restore: the backup has ${size} entries, the archive ${archive.head.size}`, 'restore the backup itself: nothing of the archive is missing in it')
      const edge = new TreeEdge()
      while (edge.size < size) {
        const page = await archive.entries(edge.size, Math.min(edge.size + AT_ONCE, size))
        edge.append(page.map(({ entry }) => leafHash(entry)))
        if (page.length === 0) break // the archive was verified: somebody changes it now, and the root tells
      }
      if (!equal(edge.root(), root)) throw new VerifyError('forked', `restore: the archive of ${archive.head.size} entries does not go on from the backup of ${size}: two copies of this log went different ways`, 'see where they part: counterfoil verify ARCHIVE --against BACKUP')
      const scopes = new Map<string, ScopeRow>()
      for (let after: Uint8Array | undefined; ; ) {
        const page = await view.scopePage(after, 500)
        for (const row of page) if (row.generation !== SEALED) scopes.set(`${row.session_id}/${row.k}`, row)
        if (page.length < 500) return { size, scopes }
        after = page.at(-1)!.scope
      }
    })
  } finally {
    await store.close()
  }
}

async function verifyMade(database: string, { head, vkey }: Evidence, keyring: Keyring | undefined, local: KeptKeys | undefined, restored: NonNullable<Evidence['restored']>, progress: RestoreOptions['progress']): Promise<RestoredLog['verdict']> {
  const store = await openSqliteStore(database, { finished: true })
  try {
    return await store.read(async (view) => {
      const evidence: Evidence = { ...(await evidenceOf(view, keyring, vkey.text, rememberedBy(local))), copy: 'archive', restored }
      if (evidence.head.note !== head.note) throw new StoreError('restore_failed', 'restore: what was made is not what the archive holds', 'run it again')
      return wholeOf(await verifyLog(evidence, progress === undefined ? {} : { progress }), 'archive')
    })
  } finally {
    await store.close()
  }
}

/** What opened segments of one scope hold, in the order of sealing, which is the order in which entries name it first. */
interface OpenContent { readonly scope: OpenScope; readonly contents: { readonly digest: Uint8Array; readonly row: ContentRow }[]; next: number }

class Making {
  readonly #store: Store
  readonly #archive: ArchivedLog
  readonly #keyring: Keyring | undefined
  readonly #secrets: Secrets | undefined
  readonly #edge = new TreeEdge()
  readonly #sessions = new Map<string, SessionState>()
  readonly #erased = new Set<string>()
  readonly #scopes = new Map<string, OpenContent | 'sealed'>()
  readonly #seen = new Set<number>()
  #opened = 0
  #sealed = 0

  constructor(store: Store, archive: ArchivedLog, keyring: Keyring | undefined, secrets: Secrets | undefined) {
    this.#store = store
    this.#archive = archive
    this.#keyring = keyring
    this.#secrets = secrets
  }

  async run(): Promise<{ opened: number; sealed: number }> {
    const { head } = this.#archive.evidence
    await this.#readErasures(head.size)
    while (this.#edge.size < head.size) await this.#append(this.#edge.size, Math.min(this.#edge.size + AT_ONCE, head.size))
    await this.#store.append(async (tx) => {
      await tx.putSessions([...this.#sessions.values()].map((state) => ({ session_id: state.session_id, row: encodeSession(state) })))
      await tx.replaceHead({ size: head.size, checkpoint: head.note })
    })
    return { opened: this.#opened, sealed: this.#sealed }
  }

  /** Known before the content of a scope is met: what was erased later does not come back. */
  async #readErasures(size: number): Promise<void> {
    const erasures = new Erasures()
    for (let from = 0; from < size; from += AT_ONCE) for (const { entry } of await this.#archive.evidence.entries(from, Math.min(from + AT_ONCE, size))) erasures.add(parseEntry(entry).entry)
    for (const [scope, { erasures: by }] of erasures.ordered) if (by.some((erasure) => erasures.done.has(erasure))) this.#erased.add(scope)
  }

  async #append(from: number, to: number): Promise<void> {
    const rows = await this.#archive.evidence.entries(from, to)
    if (rows.length !== to - from) throw new VerifyError('entries_missing', `restore: entries of #${from} to #${to - 1} are not in the archive any more`, 'run it again', { first_bad_index: from })
    const scopes: ScopeRow[] = []
    const segments: SegmentRow[] = []
    const contents: ContentRow[] = []
    const places: PlaceRow[] = []
    const subjects: SubjectRow[] = []
    const open = new Map<number, OpenSegment>()
    for (const { segment, scope, bytes } of await this.#archive.segments(from, to)) {
      if (this.#seen.has(segment)) continue
      this.#seen.add(segment)
      if (bytes === undefined || this.#erased.has(scope)) {
        segments.push({ segment, scope: NO_SCOPE, bytes: new Uint8Array() })
        continue
      }
      const id = parseSegmentHeader(bytes).scope
      const known = this.#scopes.get(scope) ?? this.#begin(scope, id, scopes)
      segments.push({ segment, scope: id, bytes })
      if (known === 'sealed') continue
      const opened = openSegment(bytes, { origin: this.#keyring!.origin, scope: id, secret: known.scope.secret })
      open.set(segment, opened)
      for (const place of placesOf(opened)) {
        const digest = digestOf(readPayload(opened, place))
        const row: ContentRow = { scope: id, key: contentKeyOf(known.scope.indexKey, digest), segment, ...place }
        known.contents.push({ digest, row })
        contents.push(row)
      }
    }
    for (const { index, entry: bytes } of rows) {
      const { entry } = parseEntry(bytes)
      this.#sessions.set(entry.session_id, foldSession(this.#sessions.get(entry.session_id), entry, toBase64(leafHash(bytes))))
      let ordinal = 0
      for (const { slot, position, ref } of ownRefs(entry)) {
        const row = this.#find(entry, slot, position, ref)
        if (row !== undefined) {
          places.push({ index, ordinal, segment: row.segment, frame: row.frame, position: row.position, frames: row.frames })
          if (slot === 'identity' && entry.event_type === 'session_start') subjects.push(...(await this.#subject(row, open)))
        }
        ordinal++
      }
    }
    const tiles = this.#edge.append(rows.map(({ entry }) => leafHash(entry)))
    await this.#store.append(async (tx) => {
      await tx.insertScopes(scopes)
      await tx.insertSegments(segments)
      await tx.insertEntries(rows)
      await tx.insertPlaces(places)
      await tx.insertContents(contents)
      await tx.insertSubjects(subjects)
      await tx.insertTiles(tiles.map(({ level, index, bytes }) => ({ level, n: index, hashes: bytes })))
    })
  }

  /** A scope at its first segment: with the secret that the backup has for it, or sealed. */
  #begin(name: string, id: Uint8Array, rows: ScopeRow[]): OpenContent | 'sealed' {
    const row = this.#secrets?.scopes.get(name)
    if (row !== undefined && !equal(row.scope, id)) throw new StoreError('backup_other', `restore: the secret of ${name} in the backup is of another scope than the archive's`, 'name a backup of this log; nothing was changed')
    const sealed = { scope: id, session_id: name.slice(0, 36), k: Number(name.slice(37)), generation: SEALED, wrapped: new Uint8Array(WRAPPED_BYTES) }
    rows.push(row ?? sealed)
    const known = row === undefined || this.#keyring === undefined ? 'sealed' : { scope: openScope(row, this.#keyring), contents: [], next: 0 }
    this.#scopes.set(name, known)
    return known
  }

  /** The content that the entry commits to. New content is the next one; what was there before may be named again. */
  #find({ event_id, index, session_id }: Entry, slot: string, position: number, { c, k }: { readonly c: string; readonly k?: number }): ContentRow | undefined {
    const name = `${session_id}/${k ?? 0}`
    const known = this.#scopes.get(name)
    if (known === 'sealed') this.#sealed++
    if (known === undefined || known === 'sealed') return undefined // erased, or verification says what is wrong
    const wanted = fromBase64(c)
    const fits = (at: number): boolean => {
      const { digest } = known.contents[at]!
      return equal(commit(saltOf(known.scope.saltKey, { event_id, slot, position, digest }), digest), wanted)
    }
    for (const at of order(known)) {
      if (!fits(at)) continue
      known.next = Math.max(known.next, at + 1)
      this.#opened++
      return known.contents[at]!.row
    }
    throw new VerifyError('commitment', `restore: no content in the archive is what ${slot} of #${index} commits to`, 'use another copy of the archive; nothing was changed', { first_bad_index: index })
  }

  async #subject({ scope, segment, frame, position, frames }: ContentRow, open: ReadonlyMap<number, OpenSegment>): Promise<SubjectRow[]> {
    const opened = open.get(segment)
    if (opened === undefined) return [] // a person named again in another bundle: the row is there
    const { subject } = JSON.parse(new TextDecoder().decode(readPayload(opened, { frame, position, frames }))) as { subject?: unknown }
    return typeof subject === 'string' ? [{ subject: this.#keyring!.fingerprint('subject', utf8(subject)), scope }] : []
  }
}

/** The next one, what comes after it, then what was named before, the newest first. */
function* order({ contents, next }: OpenContent): Generator<number> {
  for (let at = next; at < contents.length; at++) yield at
  for (let at = next - 1; at >= 0; at--) yield at
}
