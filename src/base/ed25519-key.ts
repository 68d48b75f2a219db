// An Ed25519 key pair from its seed (RFC 8032), by node:crypto. The rooms that run in a browser hold no private keys.

import { createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto'
import { concat, fromHex } from './bytes.ts'

const PKCS8_ED25519 = fromHex('302e020100300506032b657004220420') // RFC 8410 §7

/** A key pair. `publicKey` is 32 bytes. */
export interface Ed25519Key { readonly privateKey: KeyObject; readonly publicKey: Uint8Array }

/** The key pair of a 32-byte `seed`. */
export function ed25519Key(seed: Uint8Array): Ed25519Key {
  if (seed.length !== 32) throw new RangeError(`base: expected a seed of 32 bytes, got ${seed.length}`)
  const privateKey = createPrivateKey({ key: Buffer.from(concat(PKCS8_ED25519, seed)), format: 'der', type: 'pkcs8' })
  return { privateKey, publicKey: Uint8Array.from(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32)) }
}

/** The 64-byte signature of `message`. */
export function signEd25519({ privateKey }: Ed25519Key, message: Uint8Array): Uint8Array {
  return Uint8Array.from(sign(null, message, privateKey))
}
