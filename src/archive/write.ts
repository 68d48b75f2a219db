// Writing a log into an archive, or going on with one: only what is new, and the checkpoint last, so that at every moment the archive is that of
// its checkpoint, and a run that was killed is simply made again.
//
//   1 the archive's checkpoint is one of this log, no larger, and the log's tree continues it     2 bundles, segments and full tiles
//   3 the tree of what was read has the signed root     4 partial tiles     5 checkpoint     6 what the new tiles replace, and what was erased, goes

import { sha256 } from '#crypto'
import { equal, utf8 } from '../base/bytes.ts'
import { StoreError, VerifyError } from '../base/errors.ts'
import { parseTreeHead, type Checkpoint } from '../log/checkpoint.ts'
import { checkConsistency, proveConsistency } from '../log/consistency.ts'
import { leafHash } from '../log/hash.ts'
import { parseNote } from '../log/note.ts'
import { fullTileSource, tileHashReader } from '../log/reader.ts'
import { decodeBundle, encodeBundle, formatTilePath, TILE_WIDTH, tileWidth } from '../log/tile.ts'
import { edgeTiles, TreeEdge } from '../log/tree.ts'
import type { WritableArchive } from './files.ts'
import { bundlePath, CHECKPOINT, formatList, listPath, MAX_BYTES, parseList, segmentPath, type ListedSegment } from './layout.ts'

/** What is archived: one snapshot of a log. Nothing that it says is believed before it is checked against the signed head. */
export interface ArchiveSource {
  readonly origin: string
  /** Opens a checkpoint of this log under the key that was in force at its size. Throws a VerifyError for any other. */
  open(note: string | Uint8Array): Checkpoint
  /** The newest checkpoint, a signed note. */
  readonly head: string
  /** Ascending by index; rows that are missing are left out. */
  entries(from: number, to: number): Promise<readonly { readonly index: number; readonly entry: Uint8Array }[]>
  tile(level: number, n: number): Promise<Uint8Array | undefined>
  /** The segments in which content of these entries lies, each once, ascending by id. `scope` is `<session id>/<k>`. */
  segments(from: number, to: number): AsyncIterable<{ readonly segment: number; readonly scope: string; readonly bytes: Uint8Array }>
  /** Scopes whose erasure is on record as done. */
  erased(): Promise<ReadonlySet<string>>
}

export interface ArchiveOptions {
  readonly progress?: (done: number, total: number) => void
}

/** `from` is the size of the archive before, `files` how many were written. */
export interface Archived { readonly origin: string; readonly from: number; readonly size: number; readonly files: number; readonly segments: number; readonly checkpoint: string }

/**
 * The codes of what is refused, before anything is written unless said otherwise.
 *
 * - StoreErrors: `archive_foreign`, the folder holds another log's archive; `not_an_archive`, it holds other things.
 * - VerifyErrors: `archive_checkpoint`, its checkpoint is not one of this log's key; `archive_ahead`, the log has fewer entries than it;
 *   `archive_forked`, the log does not continue it; `archive_damaged`, its tiles do not have its root; `archive_segment`, it has other bytes of a segment.
 * - `archive_source`, a VerifyError: the log's own rows do not have the signed root. Files may have been added by then, the checkpoint not.
 */
export type ArchiveFault = 'archive_foreign' | 'not_an_archive' | 'archive_checkpoint' | 'archive_ahead' | 'archive_forked' | 'archive_damaged' | 'archive_segment' | 'archive_source'

/** Brings the archive up to `source`. May be run again after any failure; writes nothing when there is nothing new. */
export async function writeArchive(archive: WritableArchive, source: ArchiveSource, options: ArchiveOptions = {}): Promise<Archived> {
  const head = source.open(source.head)
  const before = await openBefore(archive, source)
  if (before !== undefined) await checkContinues(before, head, source)
  return new Writing(archive, source, head, options).run(before)
}

/** The checkpoint of what is there; undefined for a folder that is empty, or in which a first run of this log was stopped. */
async function openBefore(archive: WritableArchive, source: ArchiveSource): Promise<Checkpoint | undefined> {
  const { origin } = source
  const note = await archive.read(CHECKPOINT, MAX_BYTES.checkpoint)
  if (note !== undefined) {
    let found: string
    try {
      found = parseTreeHead(parseNote(note).text).origin
      if (found === origin) return source.open(note)
    } catch (error) {
      throw new VerifyError('archive_checkpoint', `archive: the checkpoint in ${archive.name} is not one of this log's key: ${(error as Error).message}`, 'keep it to be looked into, and archive to another folder', { cause: error })
    }
    throw foreign(archive.name, found, origin)
  }
  const strange = (await archive.names('')).filter((name) => name !== 'tile' && name !== 'segment')
  if (strange.length > 0) throw new StoreError('not_an_archive', `archive: expected an empty folder or an archive, got ${JSON.stringify(strange[0]!.slice(0, 80))} in ${archive.name}`, 'name another folder')
  const first = await firstEntry(archive)
  const own = (await source.entries(0, 1))[0]?.entry
  if (first !== undefined && (own === undefined || !equal(first, own))) throw foreign(archive.name, 'another log', origin)
  return undefined
}

function foreign(name: string, found: string, origin: string): StoreError {
  return new StoreError('archive_foreign', `archive: expected an archive of ${origin} in ${name}, got one of ${found}`, 'name another folder')
}

/** Entry 0 as a stopped run left it. It names its log, so no two logs have the same. */
async function firstEntry(archive: WritableArchive): Promise<Uint8Array | undefined> {
  for (const path of [bundlePath(0, TILE_WIDTH), ...(await archive.names('tile/entries/000.p')).map((width) => `tile/entries/000.p/${width}`)]) {
    const bytes = await archive.read(path, MAX_BYTES.bundle)
    if (bytes === undefined || bytes.length < 2) continue
    return decodeBundle(bytes.subarray(0, 2 + bytes[0]! * 256 + bytes[1]!), 1)[0]
  }
  return undefined
}

async function checkContinues(before: Checkpoint, head: Checkpoint, source: ArchiveSource): Promise<void> {
  const { size: oldSize, root: oldRoot } = before
  if (oldSize > head.size) throw new VerifyError('archive_ahead', `archive: it has ${oldSize} signed entries, the log ${head.size}: the log was rolled back`, 'verify both; the archive was left as it is', { first_bad_index: head.size })
  const reader = tileHashReader(head.size, fullTileSource(head.size, {
    readFullTiles: async (tiles) => Promise.all(tiles.map(async ({ level, index }) => (await source.tile(level, index)) ?? new Uint8Array())),
    readLeafHashes: async (from, to) => (await source.entries(from, to)).map(({ entry }) => leafHash(entry)),
  }))
  try {
    const proof = oldSize === 0 ? [] : await proveConsistency(reader, oldSize, head.size)
    checkConsistency({ oldSize, size: head.size, oldRoot, root: head.root, proof })
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error
    throw new VerifyError('archive_forked', `archive: the log of ${head.size} entries cannot be shown to continue the ${oldSize} in the archive: ${error.message}`, 'verify both; the archive was left as it is', { cause: error })
  }
}

class Writing {
  readonly #archive: WritableArchive
  readonly #source: ArchiveSource
  readonly #head: Checkpoint
  readonly #options: ArchiveOptions
  /** Tiles, bundles and lists of this run, by their full path → the width they have now. */
  readonly #widths = new Map<string, number>()
  #files = 0
  #segments = 0

  constructor(archive: WritableArchive, source: ArchiveSource, head: Checkpoint, options: ArchiveOptions) {
    this.#archive = archive
    this.#source = source
    this.#head = head
    this.#options = options
  }

  async run(before: Checkpoint | undefined): Promise<Archived> {
    const { size, root, origin } = this.#head
    const from = before?.size ?? 0
    const edge = await this.#restore(from - (from % TILE_WIDTH))
    while (edge.size < size) {
      const entries = await this.#bundle(edge.size, Math.min(edge.size + TILE_WIDTH, size))
      const hashes = entries.map(leafHash)
      if (before !== undefined && edge.size < from) checkOldRoot(edge, hashes, before)
      // first of all files: a stopped first run shows by it whose it was
      await this.#write((width) => bundlePath(Math.floor(edge.size / TILE_WIDTH), width), entries.length, encodeBundle(entries))
      await this.#writeSegments(edge.size, edge.size + entries.length)
      for (const { level, index, bytes } of edge.append(hashes)) await this.#write((width) => formatTilePath({ level, index, width }), TILE_WIDTH, bytes)
      this.#options.progress?.(edge.size, size)
    }
    if (!equal(edge.root(), root)) throw new VerifyError('archive_source', `archive: the ${size} stored entries do not have the signed root`, 'verify the log; the checkpoint of the archive was left as it is')
    for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
      const index = Math.floor(count / TILE_WIDTH)
      const width = tileWidth(level, index, size)
      if (width > 0) await this.#write((width) => formatTilePath({ level, index, width }), width, edge.partialTile(level))
    }
    await this.#publish(before)
    await this.#clean()
    return { origin, from, size, files: this.#files, segments: this.#segments, checkpoint: this.#source.head }
  }

  /** The edge at a multiple of 256, out of the archive's own full tiles. */
  async #restore(size: number): Promise<TreeEdge> {
    const tiles = new Map<string, Uint8Array>()
    for (const tile of edgeTiles(size)) {
      const path = formatTilePath(tile)
      const bytes = await this.#archive.read(path, MAX_BYTES.tile)
      if (bytes?.length !== MAX_BYTES.tile) throw new VerifyError('archive_damaged', `archive: expected ${MAX_BYTES.tile} bytes in ${path}, got ${bytes === undefined ? 'no file' : bytes.length}`, 'verify the archive, and write a new one')
      tiles.set(path, bytes)
    }
    return TreeEdge.restore({ size, leafHashes: [], tile: (level, index) => tiles.get(formatTilePath({ level, index, width: TILE_WIDTH }))! })
  }

  async #bundle(from: number, to: number): Promise<Uint8Array[]> {
    const rows = await this.#source.entries(from, to)
    const missing = Array.from({ length: to - from }, (_, i) => from + i).find((index, i) => rows[i]?.index !== index)
    if (missing !== undefined) throw new VerifyError('archive_source', `archive: entry #${missing} of the log is not there`, 'verify the log; the checkpoint of the archive was left as it is', { first_bad_index: missing })
    return rows.map(({ entry }) => entry)
  }

  async #writeSegments(from: number, to: number): Promise<void> {
    const listed: ListedSegment[] = []
    for await (const { segment, scope, bytes } of this.#source.segments(from, to)) {
      const path = segmentPath(segment)
      const there = await this.#archive.read(path, MAX_BYTES.segment)
      if (there === undefined) {
        await this.#archive.write(path, bytes)
        this.#files++
        this.#segments++
      } else if (!equal(there, bytes)) throw new VerifyError('archive_segment', `archive: ${path} is not segment ${segment} of the log`, 'verify both; segments never change')
      listed.push({ segment, scope, hash: sha256(bytes) })
    }
    await this.#write((width) => listPath(from / TILE_WIDTH, width), to - from, formatList(listed))
  }

  async #write(path: (width: number) => string, width: number, bytes: Uint8Array): Promise<void> {
    this.#widths.set(path(TILE_WIDTH), width)
    if (await this.#archive.write(path(width), bytes)) this.#files++
  }

  /** The new checkpoint, after everything that it speaks for is on disk. */
  async #publish(before: Checkpoint | undefined): Promise<void> {
    await this.#archive.sync()
    if (before !== undefined && before.size === this.#head.size) return // it may carry cosignatures that ours lacks
    await this.#archive.write(CHECKPOINT, utf8(this.#source.head))
    this.#files++
    await this.#archive.sync()
  }

  async #clean(): Promise<void> {
    for (const [path, width] of this.#widths) {
      if (width === TILE_WIDTH) await this.#archive.remove(`${path}.p`)
      else for (const name of await this.#archive.names(`${path}.p`)) if (name !== String(width)) await this.#archive.remove(`${path}.p/${name}`)
    }
    const erased = await this.#source.erased()
    if (erased.size === 0) return
    for (let from = 0; from < this.#head.size; from += TILE_WIDTH) {
      const bytes = await this.#archive.read(listPath(from / TILE_WIDTH, Math.min(TILE_WIDTH, this.#head.size - from)), MAX_BYTES.list)
      for (const { segment, scope } of bytes === undefined ? [] : parseList(bytes)) if (erased.has(scope)) await this.#archive.remove(segmentPath(segment))
    }
  }
}

/** The archive's tiles and the leaves after them have the root that its checkpoint signs. */
function checkOldRoot(edge: TreeEdge, hashes: Parameters<TreeEdge['append']>[0], { size, root }: Checkpoint): void {
  const old = edge.clone()
  old.append(hashes.slice(0, size - edge.size))
  if (!equal(old.root(), root)) throw new VerifyError('archive_damaged', `archive: its tiles and the log's entries do not have its signed root of size ${size}`, 'verify both, and write a new archive')
}
