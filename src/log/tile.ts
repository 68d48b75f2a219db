// C2SP tlog-tiles: which tiles a tree has, what they are called, and how entries are bundled.
// A tile of level L holds up to 256 hashes, each over 256^L entries; `entries` bundles hold the entries themselves.
// Left out: tiles of other heights, and compression, which belongs to the server.

import { logFault } from './fault.ts'
import { HASH_BYTES, type Hash } from './hash.ts'

/** How many hashes or entries a full tile has. */
export const TILE_WIDTH = 256

/** The length of a full tile of hashes. */
export const TILE_BYTES: number = TILE_WIDTH * HASH_BYTES

/** The largest entry a bundle can carry: its length prefix is a u16. */
export const MAX_ENTRY_BYTES = 65_535

/** A tile of hashes: `level` from 0, `index` from 0, `width` 1 to 256 (256 is full, less is a partial tile of one tree size). */
export interface TileId {
  readonly level: number
  readonly index: number
  readonly width: number
}

/** A TileId, or one of entries. */
export interface TilePath {
  readonly level: number | 'entries'
  readonly index: number
  readonly width: number
}

/** Throws a RangeError unless `size` is a tree size: a safe integer from 0. */
export function checkSize(size: number): void {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`log: expected a size that is a safe integer from 0, got ${size}`)
}

/** How many hashes the tile (`level`, `index`) has in a tree of `size`: 0 to 256. */
export function tileWidth(level: number, index: number, size: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level)
  return Math.min(TILE_WIDTH, Math.max(0, hashes - index * TILE_WIDTH))
}

/** Every hash tile of a tree of `size`, level by level, the partial one of a level last. */
export function tilesOf(size: number): Generator<TileId> {
  return newTiles(0, size)
}

/** The hash tiles of a tree of `size` that a tree of `oldSize` does not have: what a publisher writes before the new checkpoint. */
export function* newTiles(oldSize: number, size: number): Generator<TileId> {
  checkSize(size)
  checkSize(oldSize)
  if (oldSize > size) throw new RangeError(`log: expected an old size up to ${size}, got ${oldSize}`)
  let [old, now] = [oldSize, size]
  for (let level = 0; now > old; level++) {
    for (let index = Math.floor(old / TILE_WIDTH); index * TILE_WIDTH < now; index++) {
      yield { level, index, width: Math.min(TILE_WIDTH, now - index * TILE_WIDTH) }
    }
    old = Math.floor(old / TILE_WIDTH)
    now = Math.floor(now / TILE_WIDTH)
  }
}

/** The hashes of a tile's bytes, as views of 32 bytes. Throws a RangeError unless the length is a multiple of 32. */
export function splitHashes(bytes: Uint8Array): Hash[] {
  if (bytes.length % HASH_BYTES !== 0) throw new RangeError(`log: expected a multiple of ${HASH_BYTES} bytes, got ${bytes.length}`)
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, i) => bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))
}

/** Hashes as the bytes of a tile. */
export function joinHashes(hashes: readonly Hash[]): Uint8Array {
  const bytes = new Uint8Array(hashes.length * HASH_BYTES)
  hashes.forEach((hash, i) => bytes.set(hash, i * HASH_BYTES))
  return bytes
}

/** `tile/<L>/<N>[.p/<W>]`, N in groups of three digits: (0, 1234067, 256) is `tile/0/x001/x234/067`. */
export function formatTilePath(tile: TilePath): string {
  checkTile(tile)
  const digits = String(tile.index)
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0')
  const groups = padded.match(/.{3}/g)!
  const path = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/')
  return `tile/${tile.level}/${path}${tile.width < TILE_WIDTH ? `.p/${tile.width}` : ''}`
}

const PATH = /^tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/

/** The tile of a path; a VerifyError unless formatting it again gives `path`. */
export function parseTilePath(path: string): TilePath {
  const found = PATH.exec(path)
  if (found === null) throw malformedPath(path)
  const [, level = '', groups = '', width] = found
  const tile = {
    level: level === 'entries' ? ('entries' as const) : Number(level),
    index: Number(groups.replaceAll(/[x/]/g, '')),
    width: width === undefined ? TILE_WIDTH : Number(width),
  }
  const outOfRange = (tile.level !== 'entries' && tile.level > MAX_LEVEL) || !Number.isSafeInteger(tile.index) || tile.width > TILE_WIDTH
  if (outOfRange || formatTilePath(tile) !== path) throw malformedPath(path) // the second: padding, and a full tile spelled `.p/256`
  return tile
}

const MAX_LEVEL = 63 // tlog-tiles; a safe integer of leaves never passes 6

function checkTile({ level, index, width }: TilePath): void {
  if (level !== 'entries' && !(Number.isInteger(level) && level >= 0 && level <= MAX_LEVEL)) {
    throw new RangeError(`log: expected a tile level from 0 to ${MAX_LEVEL}, got ${level}`)
  }
  if (!Number.isSafeInteger(index) || index < 0) throw new RangeError(`log: expected a tile index that is a safe integer from 0, got ${index}`)
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) throw new RangeError(`log: expected a tile width from 1 to 256, got ${width}`)
}

function malformedPath(path: string): Error {
  return logFault('tile_malformed', `expected a tile path, got ${JSON.stringify(path.slice(0, 80))}`, 'ask for tile/<level>/<index>[.p/<width>]')
}

/** A bundle of 1 to 256 entries, each as u16 big-endian length and bytes. Throws a RangeError for another count or a longer entry. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  if (entries.length < 1 || entries.length > TILE_WIDTH) throw new RangeError(`log: expected 1 to ${TILE_WIDTH} entries, got ${entries.length}`)
  const bytes = new Uint8Array(entries.reduce((sum, entry) => sum + 2 + entry.length, 0))
  let at = 0
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES) throw new RangeError(`log: expected an entry up to ${MAX_ENTRY_BYTES} bytes, got ${entry.length}`)
    bytes[at] = Math.floor(entry.length / 256)
    bytes[at + 1] = entry.length % 256
    bytes.set(entry, at + 2)
    at += 2 + entry.length
  }
  return bytes
}

/** The `width` entries of a bundle, as views; a VerifyError unless the bytes are exactly that many. */
export function decodeBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  const entries: Uint8Array[] = []
  let at = 0
  while (at < bytes.length && entries.length < width) {
    const start = at + 2
    at = start + bytes[at]! * 256 + (bytes[at + 1] ?? 0)
    entries.push(bytes.subarray(start, at)) // of one that is cut short `at` is past the end, and nothing is returned
  }
  if (at !== bytes.length || entries.length !== width) {
    const message = `expected a bundle of ${width} entries in ${bytes.length} bytes, got ${entries.length} in ${at}`
    throw logFault('bundle_malformed', message, 'fetch the bundle again, or from another copy')
  }
  return entries
}
