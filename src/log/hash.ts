// RFC 6962 §2.1 hashing. The prefixes 0x00 and 0x01 keep a leaf from passing as a node.

import { sha256, sha256Base64, sha256Latin1 } from '#crypto'

/** A SHA-256 hash: 32 bytes, never changed after it was made. */
export type Hash = Uint8Array

/** The length of a Hash in bytes. */
export const HASH_BYTES = 32

const LEAF = new Uint8Array([0x00])
/** One buffer for all leaves that fit, as for pairs below; what is larger than an entry may be does not. */
const leaf = new Uint8Array(1 + 65_535)
const pair = new Uint8Array(1 + 2 * HASH_BYTES).fill(0x01, 0, 1)

/** SHA-256(0x00 ‖ entry): the Merkle leaf of an entry's exact bytes. */
export function leafHash(entry: Uint8Array): Hash {
  if (entry.length >= leaf.length) return sha256(LEAF, entry)
  leaf.set(entry, 1)
  return sha256(leaf.subarray(0, 1 + entry.length))
}

/** `leafHash` of an entry that is ASCII, given as text, in base64: what sessions chain by. Much cheaper than by way of bytes. */
export function leafHashOfText(entry: string): string {
  return sha256Base64(`\0${entry}`)
}

/** SHA-256(0x01 ‖ left ‖ right): an inner node. Both MUST be 32 bytes; callers check what comes from outside. */
export function nodeHash(left: Hash, right: Hash): Hash {
  pair.set(left, 1) // one buffer for all calls: sha256 is synchronous and keeps nothing of it
  pair.set(right, 1 + HASH_BYTES)
  return sha256(pair)
}

/** A hash as a text of 32 characters, one a byte: smaller than a Hash and cheaper to make, for the many that lists keep. */
export type HashText = string

/** The same hash as bytes. */
export function hashOfText(text: HashText): Hash {
  const hash = new Uint8Array(HASH_BYTES)
  for (let i = 0; i < HASH_BYTES; i++) hash[i] = text.charCodeAt(i)
  return hash
}

const leafOfHash = new Uint8Array(1 + HASH_BYTES)

/** `leafHash` of 32 bytes. */
export function leafHashText(hash: Uint8Array): HashText {
  if (hash.length !== HASH_BYTES) throw new RangeError(`log: expected ${HASH_BYTES} bytes, got ${hash.length}`)
  leafOfHash.set(hash, 1)
  return sha256Latin1(leafOfHash)
}

/** `nodeHash` of texts. */
export function nodeHashText(left: HashText, right: HashText): HashText {
  for (let i = 0; i < HASH_BYTES; i++) {
    pair[1 + i] = left.charCodeAt(i)
    pair[1 + HASH_BYTES + i] = right.charCodeAt(i)
  }
  return sha256Latin1(pair)
}

/** SHA-256 of nothing: the root of a tree of size 0. */
export function emptyRoot(): Hash {
  return sha256()
}

/** `emptyRoot` as a text. */
export function emptyRootText(): HashText {
  return sha256Latin1(new Uint8Array())
}
