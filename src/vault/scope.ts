// Scopes: what is erased as one (docs/format.md, "Scopes"). A scope is a random id and a random secret; every key of its content
// comes from the secret, and the secret is stored only wrapped under the log's key-encryption key (KEK) of some generation.
//
//   wrapped = "cfw1" ‖ suite u8 = 1 ‖ scope id[16] ‖ generation u32be ‖ random[32] ‖ ciphertext[32] ‖ tag[16]          105 bytes
//   key[32] ‖ nonce[12] = HKDF-SHA-256(KEK, salt = random, info = "counterfoil/wrap/v1" ‖ 0x00 ‖ origin ‖ 0x00 ‖ scope id, 44)
//   ciphertext ‖ tag = AES-256-GCM(key, nonce, secret, AAD = the 57 bytes before the ciphertext)
//   salt key  = HKDF-SHA-256(secret, salt = "", info = "counterfoil/salt/v1" ‖ 0x00 ‖ origin, 32)
//   index key = HKDF-SHA-256(secret, salt = "", info = "counterfoil/index/v1" ‖ 0x00 ‖ origin, 32)

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { hmacSha256 } from '#crypto'
import { concat, equal, toHex, u32be, utf8 } from '../base/bytes.ts'
import { derive, deriveSealing } from './derive.ts'
import { vaultFault } from './fault.ts'

/** `id` is 16 bytes and public; `secret` is 32 bytes, and destroying every copy of it erases the scope. */
export interface Scope { readonly id: Uint8Array; readonly secret: Uint8Array }

/** The key-encryption key of one generation (counted from 1), 32 bytes. */
export interface Kek { readonly generation: number; readonly key: Uint8Array }

/** `n` random bytes; an argument only so that test vectors can be made. */
export type RandomSource = (n: number) => Uint8Array

/** The length of a wrapped secret, in bytes. */
export const WRAPPED_BYTES = 105

/**
 * The generation in the row of a scope whose secret is not here and was never destroyed: the log was restored from an archive, which has no
 * secrets. Its `wrapped` is zeros.
 */
export const SEALED = 0

const MAGIC = utf8('cfw1')
const SUITE = 1
const HEAD_BYTES = 57

/** A new scope. */
export function newScope(random: RandomSource = randomBytes): Scope {
  return { id: Uint8Array.from(random(16)), secret: Uint8Array.from(random(32)) }
}

/** `scope`'s secret under `kek`, for the log `origin`: 105 bytes that may be stored beside the content. */
export function wrapSecret(scope: Scope, kek: Kek, origin: string, random: RandomSource = randomBytes): Uint8Array {
  if (scope.id.length !== 16 || scope.secret.length !== 32) throw new TypeError('vault: expected a scope id of 16 bytes and a secret of 32')
  if (!Number.isInteger(kek.generation) || kek.generation < 1 || kek.generation > 0xffff_ffff) {
    throw new RangeError(`vault: expected a KEK generation from 1 to 2^32-1, got ${kek.generation}`)
  }
  const salt = random(32)
  const head = concat(MAGIC, Uint8Array.of(SUITE), scope.id, u32be(kek.generation), salt)
  const { key, nonce } = deriveSealing(kek.key, { label: 'counterfoil/wrap/v1', origin, context: scope.id, salt })
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(head)
  const sealed = cipher.update(scope.secret)
  cipher.final()
  return concat(head, sealed, cipher.getAuthTag())
}

/** What a wrapped secret says in clear. Unchecked: only `unwrapSecret` authenticates it. */
export function parseWrapped(wrapped: Uint8Array): { readonly scope: Uint8Array; readonly generation: number; readonly random: Uint8Array } {
  if (wrapped.length !== WRAPPED_BYTES || !equal(wrapped.subarray(0, 4), MAGIC)) {
    throw vaultFault('secret_malformed', `expected a wrapped secret of ${WRAPPED_BYTES} bytes that starts with "cfw1", got ${wrapped.length} bytes`, RESTORE)
  }
  if (wrapped[4] !== SUITE) throw vaultFault('secret_unsupported', `wrapped secret: expected suite ${SUITE}, got ${wrapped[4]}`, 'read it with a newer version of counterfoil')
  const generation = new DataView(wrapped.buffer, wrapped.byteOffset).getUint32(21)
  return { scope: wrapped.subarray(5, 21), generation, random: wrapped.subarray(25, HEAD_BYTES) }
}

/**
 * The secret, 32 bytes, in `wrapped`, which must be of the scope `id`. `kek` gives the key of a generation (`keyring.kek`).
 * VerifyError `secret_malformed`, `secret_unsupported`, `secret_scope`, or `secret_sealed` when a byte, the KEK or the origin is another.
 */
export function unwrapSecret(wrapped: Uint8Array, id: Uint8Array, origin: string, kek: (generation: number) => Uint8Array): Uint8Array {
  const { scope, generation, random } = parseWrapped(wrapped)
  if (!equal(scope, id)) throw vaultFault('secret_scope', `expected the secret of scope ${toHex(id)}, got that of ${toHex(scope)}`, RESTORE)
  const { key, nonce } = deriveSealing(kek(generation), { label: 'counterfoil/wrap/v1', origin, context: scope, salt: random })
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 }).setAAD(wrapped.subarray(0, HEAD_BYTES))
  decipher.setAuthTag(wrapped.subarray(HEAD_BYTES + 32))
  const secret = decipher.update(wrapped.subarray(HEAD_BYTES, HEAD_BYTES + 32))
  try {
    decipher.final()
  } catch (cause) {
    throw vaultFault('secret_sealed', `the secret of scope ${toHex(id)} does not open with KEK generation ${generation}: its bytes are damaged, or the key is another`, RESTORE, cause)
  }
  return Uint8Array.from(secret)
}

/** The key of this scope's salts (`saltOf`), 32 bytes. */
export function saltKeyOf(secret: Uint8Array, origin: string): Uint8Array {
  return derive(secret, { label: 'counterfoil/salt/v1', origin }, 32)
}

/** The key of this scope's content index (`contentKeyOf`), 32 bytes. */
export function indexKeyOf(secret: Uint8Array, origin: string): Uint8Array {
  return derive(secret, { label: 'counterfoil/index/v1', origin }, 32)
}

/** Under which equal content of one scope is found again: HMAC-SHA-256(index key, digest), 32 bytes. */
export function contentKeyOf(indexKey: Uint8Array, digest: Uint8Array): Uint8Array {
  return hmacSha256(indexKey, digest)
}

const RESTORE = 'restore the row from a copy made earlier and keep this one as evidence'
