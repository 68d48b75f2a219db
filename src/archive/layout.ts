// What an archive's files are called and hold (docs/format.md §13). `checkpoint` and `tile/…` are C2SP tlog-tiles; sealed content, of
// which that specification knows nothing, lies under `segment/`:
//   segment/list/<N>[.p/<W>]   the segments in which the content of bundle N's entries lies, one a line
//   segment/data/<id>          a segment's bytes

import { fromBase64, fromUtf8, toBase64, utf8 } from '../base/bytes.ts'
import { VerifyError } from '../base/errors.ts'
import { HASH_BYTES, type Hash } from '../log/hash.ts'
import { formatTilePath, MAX_ENTRY_BYTES, TILE_BYTES, TILE_WIDTH } from '../log/tile.ts'
import { MAX_NOTE_BYTES } from '../log/note.ts'

export const CHECKPOINT = 'checkpoint'

/** The most bytes of each kind of file that a reader takes in. A segment is at most 128 MiB with header and tag (§6.3). */
export const MAX_BYTES: { readonly [kind in 'checkpoint' | 'tile' | 'bundle' | 'list' | 'segment']: number } = {
  checkpoint: MAX_NOTE_BYTES, tile: TILE_BYTES, bundle: TILE_WIDTH * (2 + MAX_ENTRY_BYTES), list: 32 * 1024 * 1024, segment: 129 * 1024 * 1024,
}

/** One segment as a list names it: its id, `<session id>/<k>` of its scope, and the SHA-256 of its bytes. */
export interface ListedSegment { readonly segment: number; readonly scope: string; readonly hash: Hash }

export function bundlePath(index: number, width: number): string {
  return formatTilePath({ level: 'entries', index, width })
}

export function listPath(index: number, width: number): string {
  return bundlePath(index, width).replace('tile/entries/', 'segment/list/')
}

/** `segment/data/x001/x234/067` for id 1234067. */
export function segmentPath(segment: number): string {
  return bundlePath(segment, TILE_WIDTH).replace('tile/entries/', 'segment/data/')
}

/** Lines `<id> <session id>/<k> <base64 SHA-256>`, ascending by id. */
export function formatList(segments: readonly ListedSegment[]): Uint8Array {
  return utf8(segments.map(({ segment, scope, hash }) => `${segment} ${scope} ${toBase64(hash)}\n`).join(''))
}

const LINE = /^(0|[1-9][0-9]{0,15}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\/(?:0|[1-9][0-9]{0,4})) ([A-Za-z0-9+/]{43}=)$/

/** The segments of a list; a VerifyError `segment_list` unless formatting them again gives `bytes`. */
export function parseList(bytes: Uint8Array): ListedSegment[] {
  const lines = decode(bytes).split('\n')
  if (lines.pop() !== '') throw malformed('a newline at its end')
  let last = -1
  return lines.map((line) => {
    const [, id = '', scope = '', hash = ''] = LINE.exec(line) ?? []
    const segment = Number(id)
    if (id === '' || !Number.isSafeInteger(segment) || segment <= last) throw malformed('"<id> <session id>/<k> <hash>" a line, ascending')
    last = segment
    return { segment, scope, hash: parseHash(hash) }
  })
}

function decode(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes)
  } catch {
    throw malformed('text')
  }
}

function parseHash(text: string): Hash {
  try {
    const hash = fromBase64(text)
    if (hash.length === HASH_BYTES) return hash
  } catch {
    // the same answer
  }
  throw malformed('hashes as the base64 of 32 bytes')
}

function malformed(expected: string): VerifyError {
  return new VerifyError('segment_list', `archive: expected ${expected} in a list of segments`, 'compare with another copy')
}
