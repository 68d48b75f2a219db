// A note signer from a seed, for tests: the sources of the log have no private-key code.

import { ed25519 } from '@noble/curves/ed25519.js'
import { ED25519, formatVerifierKey, verifierKey, type NoteSigner } from '../src/log/note.ts'

/** A signer and its vkey text. The seed is 32 times `seed`; `type` is the signature type byte that goes into the key id. */
export function testSigner(name: string, seed: number, type: number = ED25519): { signer: NoteSigner; vkey: string } {
  const secret = new Uint8Array(32).fill(seed)
  const key = verifierKey(name, type, ed25519.getPublicKey(secret))
  return { signer: { name, keyId: key.keyId, sign: (message) => ed25519.sign(message, secret) }, vkey: formatVerifierKey(key) }
}
