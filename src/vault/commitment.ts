// Commitments: the salted hash by which an entry names a payload (docs/format.md, "Commitments"). Runs in browsers.
//
//   digest     = SHA-256(payload bytes)
//   commitment = SHA-256("counterfoil/payload/v1" ‖ 0x00 ‖ salt[32] ‖ digest[32])
//   salt       = HMAC-SHA-256(salt key, event_id[16] ‖ u8(length of slot) ‖ slot ‖ u32be(position) ‖ digest[32])
//
// A verifier knows a salt only as 32 opaque bytes that belong to one commitment; how it is made is this vault's own affair.

import { hmacSha256, sha256 } from '#crypto'
import { concat, equal, toHex, u32be, utf8 } from '../base/bytes.ts'
import { parseUuid } from '../base/ids.ts'
import { vaultFault } from './fault.ts'

const LABEL = concat(utf8('counterfoil/payload/v1'), new Uint8Array(1))

/** The SHA-256 of a payload's bytes, 32 bytes. Never stored and never in an entry: whoever has it can test guesses. */
export function digestOf(payload: Uint8Array): Uint8Array {
  return sha256(payload)
}

/** The commitment, 32 bytes, to a `digest` (32 bytes) under a `salt` (32 bytes) that serves this commitment alone. */
export function commit(salt: Uint8Array, digest: Uint8Array): Uint8Array {
  expectBytes('salt', salt)
  expectBytes('digest', digest)
  return sha256(LABEL, salt, digest)
}

/** Where a payload stands: the event's UUID, the payload's name, its position in the list (0 outside of lists), and its digest. */
export interface SaltPlace { readonly event_id: string; readonly slot: string; readonly position: number; readonly digest: Uint8Array }

/** The salt, 32 bytes, of the payload at `place`, under the scope's salt key (`saltKeyOf`). No two places share one. */
export function saltOf(saltKey: Uint8Array, place: SaltPlace): Uint8Array {
  expectBytes('salt key', saltKey)
  expectBytes('digest', place.digest)
  const slot = utf8(place.slot)
  if (slot.length === 0 || slot.length > 255) throw new RangeError(`vault: expected a payload name of 1 to 255 bytes, got ${slot.length}`)
  if (!Number.isInteger(place.position) || place.position < 0 || place.position > 0xffff_ffff) {
    throw new RangeError(`vault: expected a position from 0 to 2^32-1, got ${place.position}`)
  }
  return hmacSha256(saltKey, parseUuid(place.event_id), Uint8Array.of(slot.length), slot, u32be(place.position), place.digest)
}

/** Returns if `commitment` is the one to `payload` under `salt`, else throws a VerifyError `payload_commitment`. */
export function checkCommitment(commitment: Uint8Array, salt: Uint8Array, payload: Uint8Array): void {
  const got = commit(salt, digestOf(payload))
  if (equal(commitment, got)) return
  throw vaultFault(
    'payload_commitment',
    `payload of ${payload.length} bytes: expected commitment ${toHex(commitment)}, got ${toHex(got)}`,
    'the content or its salt is not what was recorded; compare with a copy made earlier',
  )
}

function expectBytes(what: string, bytes: Uint8Array): void {
  // A shorter salt with a longer digest would be a second reading of the same hash.
  if (bytes.length !== 32) throw new TypeError(`vault: expected a ${what} of 32 bytes, got ${bytes.length}`)
}
