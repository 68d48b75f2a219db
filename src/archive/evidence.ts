// An archive as evidence for `verify`. Entries, tiles and segments are read as they lie there; nothing is needed but the log's verifier key.
// Content is not opened: its keys are not in an archive. That each sealed segment is there and unchanged is checked without them.

import { sha256 } from '#crypto'
import { equal, fromUtf8 } from '../base/bytes.ts'
import { CounterfoilError, StoreError, VerifyError } from '../base/errors.ts'
import { ownRefs, type Entry } from '../event/entry.ts'
import { NewerFormatError } from '../event/fault.ts'
import { parseEntry } from '../event/parse.ts'
import { parseTreeHead, type TreeHead } from '../log/checkpoint.ts'
import { HASH_BYTES, type Hash } from '../log/hash.ts'
import { parseNote, parseVerifierKey } from '../log/note.ts'
import { formatTilePath, TILE_BYTES, TILE_WIDTH } from '../log/tile.ts'
import type { Disclosed, Evidence, Fault, Vault, VaultFindings } from '../verify/evidence.ts'
import type { ArchiveFiles } from './files.ts'
import { bundlePath, CHECKPOINT, listPath, MAX_BYTES, parseList, segmentPath, type ListedSegment } from './layout.ts'

/**
 * The evidence in an archive. `vkey` pins the log's key; without it the key is taken from entry 0, which proves nothing about whose it is.
 * Rejects with a VerifyError `checkpoint` or `no_vkey` where nothing can begin, a StoreError `no_archive` for what is none.
 */
export async function archiveEvidence(files: ArchiveFiles, vkey?: string): Promise<Evidence> {
  const note = await files.read(CHECKPOINT, MAX_BYTES.checkpoint)
  if (note === undefined) throw await noCheckpoint(files)
  const head = parseHead(note)
  const bundles = new Bundles(files, head.size)
  const text = vkey ?? (await bundles.vkey())
  return {
    origin: vkey === undefined ? head.origin : parseVerifierKey(vkey).name,
    head: { note: fromUtf8(note), size: head.size },
    vkey: { text, pinned: vkey !== undefined, given: vkey !== undefined },
    remembered: [],
    entries: (from, to) => bundles.entries(from, to),
    next: (from) => bundles.next(from),
    extra: async (size, partialTile) => [...bundles.faults, ...(partialTile === undefined ? [] : await partialTileFaults(files, size, partialTile))],
    tile: (level, n) => files.read(formatTilePath({ level, index: n, width: TILE_WIDTH }), TILE_BYTES),
    vault: new SealedVault(files, head.size),
  }
}

async function noCheckpoint(files: ArchiveFiles): Promise<Error> {
  if ((await files.names('tile')).length === 0) return new StoreError('no_archive', `archive: expected an archive in ${files.name}, got no checkpoint`, 'name another folder')
  return new VerifyError('checkpoint', `archive: there are tiles in ${files.name} and no checkpoint`, 'it was removed, or a first run was stopped: then archive again', { first_bad_index: 0 })
}

function parseHead(note: Uint8Array): TreeHead {
  try {
    return parseTreeHead(parseNote(note).text)
  } catch (error) {
    throw new VerifyError('checkpoint', `archive: its checkpoint is not one: ${(error as Error).message}`, 'compare with another copy', { first_bad_index: 0, cause: error })
  }
}

/** The entry bundles of an archive whose checkpoint says `size`. */
class Bundles {
  /** What is wrong with bundles beside missing entries. */
  readonly faults: Fault[] = []
  readonly #files: ArchiveFiles
  readonly #size: number
  readonly #faulty = new Set<number>()
  #there: readonly number[] | undefined

  constructor(files: ArchiveFiles, size: number) {
    this.#files = files
    this.#size = size
  }

  async entries(from: number, to: number): Promise<{ readonly index: number; readonly entry: Uint8Array }[]> {
    const rows: { index: number; entry: Uint8Array }[] = []
    for (let n = Math.floor(from / TILE_WIDTH); n * TILE_WIDTH < to; n++) {
      const entries = await this.#bundle(n)
      entries?.forEach((entry, i) => {
        const index = n * TILE_WIDTH + i
        if (index >= from && index < to) rows.push({ index, entry })
      })
    }
    return rows
  }

  /** The first index from `from` on that a bundle there has. */
  async next(from: number): Promise<number | undefined> {
    this.#there ??= (await bundlesIn(this.#files, 'tile/entries', '', 0)).sort((a, b) => a - b)
    for (const n of this.#there) {
      if ((n + 1) * TILE_WIDTH <= from) continue
      const found = Math.max(from, n * TILE_WIDTH)
      if (found < n * TILE_WIDTH + ((await this.#bundle(n))?.length ?? 0)) return found
    }
    return undefined
  }

  async vkey(): Promise<string> {
    const first = (await this.#bundle(0))?.[0]
    let found: unknown
    try {
      found = first === undefined ? undefined : parseEntry(first).entry.facts['vkey']
    } catch (error) {
      if (error instanceof NewerFormatError) throw error
      throw new VerifyError('entry_malformed', `archive: entry #0, which names the verifier key, cannot be read: ${(error as Error).message}`, 'pass the log\'s verifier key', { first_bad_index: 0, cause: error })
    }
    if (typeof found !== 'string') throw new VerifyError('no_vkey', 'archive: entry #0, which names the verifier key, is not there or names none, and no key was given', 'pass the log\'s verifier key', { first_bad_index: 0 })
    return found
  }

  /** The entries of bundle `n`, as far as they are whole; undefined when there is no such file. */
  async #bundle(n: number): Promise<Uint8Array[] | undefined> {
    const width = Math.min(TILE_WIDTH, this.#size - n * TILE_WIDTH)
    if (width <= 0) return undefined
    const path = bundlePath(n, width)
    const bytes = await this.#files.read(path, MAX_BYTES.bundle)
    if (bytes === undefined) return undefined
    const entries: Uint8Array[] = []
    let at = 0
    while (entries.length < width && at + 2 <= bytes.length) {
      const end = at + 2 + bytes[at]! * 256 + bytes[at + 1]!
      if (end > bytes.length) break
      entries.push(bytes.subarray(at + 2, end))
      at = end
    }
    if ((entries.length < width || at < bytes.length) && !this.#faulty.has(n)) {
      this.#faulty.add(n)
      this.faults.push({ code: 'bundle', message: `${path} is not a bundle of ${width} entries: ${entries.length} are whole, ${bytes.length - at} bytes are left over`, index: n * TILE_WIDTH + Math.min(entries.length, width - 1) })
    }
    return entries
  }
}

/** Numbers of the bundles in a folder, from the names alone. */
async function bundlesIn(files: ArchiveFiles, folder: string, digits: string, depth: number): Promise<number[]> {
  const found: number[] = []
  for (const name of await files.names(folder)) {
    const [, prefix, group] = /^(x?)([0-9]{3})(?:\.p)?$/.exec(name) ?? []
    if (group === undefined) continue
    if (prefix === 'x' && depth < 5) found.push(...(await bundlesIn(files, `${folder}/${name}`, digits + group, depth + 1)))
    else if (prefix === '') found.push(Number(digits + group))
  }
  return found
}

/** Verification compares full tiles while the tree grows; here the last one of each level. */
async function partialTileFaults(files: ArchiveFiles, size: number, partialTile: (level: number) => Uint8Array): Promise<Fault[]> {
  const faults: Fault[] = []
  for (const tile of lastTiles(size)) {
    const path = formatTilePath(tile)
    const index = tile.index * TILE_WIDTH ** (tile.level + 1)
    const stored = await files.read(path, TILE_BYTES)
    const made = partialTile(tile.level)
    if (stored === undefined) faults.push({ code: 'tile_missing', message: `${path} is not there`, index })
    else if (!equal(stored, made)) faults.push({ code: 'tile', message: `${path} is not that of the stored entries`, index: index + Math.floor(firstChange(stored, made) / HASH_BYTES) * TILE_WIDTH ** tile.level })
  }
  return faults
}

function firstChange(stored: Uint8Array, made: Uint8Array): number {
  const at = made.findIndex((byte, i) => stored[i] !== byte)
  return at === -1 ? made.length - 1 : at
}

/** The partial tile of each level. */
function lastTiles(size: number): { level: number; index: number; width: number }[] {
  const tiles: { level: number; index: number; width: number }[] = []
  for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
    if (count % TILE_WIDTH > 0) tiles.push({ level, index: Math.floor(count / TILE_WIDTH), width: count % TILE_WIDTH })
  }
  return tiles
}

/** Sealed segments without keys: each one that the lists name is there and has its hash, and each scope in use has some. */
class SealedVault implements Vault {
  readonly opened = false
  readonly #files: ArchiveFiles
  readonly #size: number
  /** per bundle: scope → the first of its entries that uses it */
  readonly #used = new Map<number, Map<string, number>>()
  readonly #first = new Map<string, number>()
  readonly #ordered = new Map<string, Set<string>>()
  readonly #done = new Set<string>()
  /** session → its segments that are there, by id */
  readonly #hashes = new Map<string, Map<number, Hash>>()
  readonly #there = new Set<string>()
  /** the last bundle of which an entry was read */
  #last = -1

  constructor(files: ArchiveFiles, size: number) {
    this.#files = files
    this.#size = size
  }

  async follow(entries: readonly Entry[]): Promise<readonly (readonly Disclosed[])[] | undefined> {
    for (const entry of entries) {
      const { index, session_id, event_type, writer, facts } = entry
      const n = Math.floor(index / TILE_WIDTH)
      this.#last = Math.max(this.#last, n)
      for (const { ref } of ownRefs(entry)) {
        const scope = `${session_id}/${ref.k ?? 0}`
        const used = this.#used.get(n) ?? new Map<string, number>()
        this.#used.set(n, used)
        if (!used.has(scope)) used.set(scope, index)
        if (!this.#first.has(scope)) this.#first.set(scope, index)
      }
      if (event_type !== 'erasure' || writer !== 'ledger') continue
      if (facts['phase'] === 'done') this.#done.add(String(facts['erasure']))
      else if (facts['phase'] === 'ordered') for (const scope of Array.isArray(facts['scopes']) ? (facts['scopes'] as readonly string[]) : []) this.#ordered.set(scope, (this.#ordered.get(scope) ?? new Set<string>()).add(String(facts['erasure'])))
    }
    return undefined
  }

  /** No secret is in an archive: a scope counts as there unless its erasure is done, or under way with nothing left. */
  async scopes(): Promise<ReadonlySet<string>> {
    return new Set([...this.#first.keys()].filter((scope) => !this.#erased(scope) && (this.#there.has(scope) || !this.#ordered.has(scope))))
  }

  async segmentHashes(session_id: string): Promise<readonly Hash[]> {
    return [...(this.#hashes.get(session_id) ?? [])].sort(([a], [b]) => a - b).map(([, hash]) => hash)
  }

  async faults(findings: readonly VaultFindings[]): Promise<readonly Fault[]> {
    return findings.flatMap(({ faults }) => faults)
  }

  async findings(progress: (done: number) => void): Promise<VaultFindings> {
    const faults: Fault[] = []
    const seen = new Map<number, ListedSegment>()
    let done = 0
    // no further than what was read, whatever size a false checkpoint states
    for (let n = 0; n <= this.#last; n++) {
      const listed = await this.#list(n, faults)
      const named = new Set<string>()
      for (const one of listed ?? []) {
        named.add(one.scope)
        const before = seen.get(one.segment)
        if (before === undefined) await this.#checkSegment(one, n, faults)
        else if (before.scope !== one.scope || !equal(before.hash, one.hash)) faults.push({ code: 'segment_list', message: `the lists of segments say two things of segment ${one.segment}`, ...this.#place(one.scope, n) })
        seen.set(one.segment, one)
        progress(++done)
      }
      for (const [scope, index] of listed === undefined ? [] : (this.#used.get(n) ?? [])) {
        if (!named.has(scope) && !this.#ordered.has(scope)) faults.push({ code: 'segment_list', message: `no segment is listed for the content of #${index}`, index })
      }
    }
    return { faults, counts: {} }
  }

  async #list(n: number, faults: Fault[]): Promise<ListedSegment[] | undefined> {
    const path = listPath(n, Math.min(TILE_WIDTH, this.#size - n * TILE_WIDTH))
    try {
      const bytes = await this.#files.read(path, MAX_BYTES.list)
      if (bytes !== undefined) return parseList(bytes)
      faults.push({ code: 'segment_list', message: `${path} is not there`, index: n * TILE_WIDTH })
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error
      faults.push({ code: 'segment_list', message: `${path}: ${messageOf(error)}`, index: n * TILE_WIDTH })
    }
    return undefined
  }

  async #checkSegment({ segment, scope, hash }: ListedSegment, n: number, faults: Fault[]): Promise<void> {
    const path = segmentPath(segment)
    const place = this.#place(scope, n)
    if (!this.#first.has(scope)) faults.push({ code: 'segment_orphan', message: `${path} is listed for the scope ${scope}, of which the log has no content`, ...place })
    let bytes: Uint8Array | undefined
    try {
      bytes = await this.#files.read(path, MAX_BYTES.segment)
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error
      faults.push({ code: 'segment', message: `${path}: ${messageOf(error)}`, ...place })
      return
    }
    if (bytes === undefined) {
      if (!this.#ordered.has(scope)) faults.push({ code: 'segment_missing', message: `${path} is not there, and no entry says that it was erased`, ...place })
      return
    }
    const got = sha256(bytes)
    if (!equal(got, hash)) faults.push({ code: 'segment', message: `${path} is not the segment that was archived`, ...place })
    const session = scope.slice(0, 36)
    this.#hashes.set(session, (this.#hashes.get(session) ?? new Map<number, Hash>()).set(segment, got))
    this.#there.add(scope)
  }

  #erased(scope: string): boolean {
    return [...(this.#ordered.get(scope) ?? [])].some((erasure) => this.#done.has(erasure))
  }

  /** The first entry of bundle `n` that has content in the scope. */
  #place(scope: string, n: number): { index: number } {
    return { index: this.#used.get(n)?.get(scope) ?? n * TILE_WIDTH }
  }
}

function messageOf(error: Error): string {
  return error instanceof CounterfoilError && error.next !== '' ? error.message.slice(0, -error.next.length - 2) : error.message
}
