// A witness's key: one line in `witness.key`, as Go's note package writes signer keys, of signature type 0x04:
//   PRIVATE+KEY+<name>+<id>+<base64(0x04 ‖ Ed25519 seed[32])>

import { randomBytes } from 'node:crypto'
import { ed25519Key, signEd25519, type Ed25519Key } from '../base/ed25519-key.ts'
import { MisuseError, StoreError, messageOf } from '../base/errors.ts'
import { COSIGNATURE_ED25519, formatSignerKey, formatVerifierKey, parseSignerKey, verifierKey, type NoteSigner, type VerifierKey } from '../log/note.ts'

/** What a witness signs with: pass it to `cosignatureSigner`. */
export interface WitnessKey extends NoteSigner {
  /** The public half, which logs and policies name. */
  readonly vkey: string
}

/** The text of a new key for a witness called `name`, like `witness.example.com/w1`: a secret. MisuseError for a name that notes do not allow. */
export function newWitnessKey(name: string, seed: Uint8Array = randomBytes(32)): string {
  if (name === '' || name.length > 255) throw badName(name)
  return `${formatSignerKey({ ...verifierOf(name, ed25519Key(seed)), seed })}\n`
}

/** The key in the text of a key file; a StoreError `key_malformed` says where, never what stands there. */
export function parseWitnessKey(text: string, path: string): WitnessKey {
  try {
    const { name, keyId, type, seed } = parseSignerKey(text.endsWith('\n') ? text.slice(0, -1) : text)
    if (type !== COSIGNATURE_ED25519) throw new TypeError(`expected a key of type ${COSIGNATURE_ED25519}, got ${type}`)
    const pair = ed25519Key(seed)
    const verifier = verifierOf(name, pair)
    if (verifier.keyId !== keyId) throw new TypeError('the key does not match its id: the file is damaged')
    return { name, keyId, vkey: formatVerifierKey(verifier), sign: (message) => signEd25519(pair, message) }
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    throw new StoreError('key_malformed', `witness: ${path}: ${messageOf(cause)}`, 'restore it from a copy; a new key is another witness', { cause })
  }
}

function verifierOf(name: string, { publicKey }: Ed25519Key): VerifierKey {
  return verifierKey(name, COSIGNATURE_ED25519, publicKey)
}

function badName(name: string): MisuseError {
  return new MisuseError('witness_name', `witness: expected a name up to 255 characters, got ${JSON.stringify(name.slice(0, 300))}`, 'choose a host and path, like witness.example.com/w1')
}
