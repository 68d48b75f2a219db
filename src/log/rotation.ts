// How a log's key hands over to the next: a statement in the manner of a signed note's text, signed by the key that goes.
//   counterfoil/key-rotation/v1\n<origin>\n<size>\n<base64 root of the first size entries>\n<new verifier key>\n
// Its second line is an origin where a checkpoint has a size, which is never one line of digits and these four more: no reader takes one for the other.

import { toBase64, utf8 } from '../base/bytes.ts'
import { logFault } from './fault.ts'
import type { Hash } from './hash.ts'
import { ed25519Verifier, type NoteVerifier } from './note.ts'

/** From `size` on, checkpoints of the log `origin` are signed by `vkey`; `root` is that of the entries before. */
export interface Rotation { readonly origin: string; readonly size: number; readonly root: Hash; readonly vkey: string }

/** What the old key signs: UTF-8. */
export function rotationStatement({ origin, size, root, vkey }: Rotation): Uint8Array {
  return utf8(`counterfoil/key-rotation/v1\n${origin}\n${size}\n${toBase64(root)}\n${vkey}\n`)
}

/** The verifier of `vkey`, if it may be a key of the log `origin`: a MisuseError for what is no Ed25519 key, a VerifyError `key_origin` for one of another name. */
export function logVerifier(vkey: string, origin: string): NoteVerifier {
  const verifier = ed25519Verifier(vkey)
  if (verifier.name !== origin) throw logFault('key_origin', `expected a key of ${origin}, got one of ${verifier.name.slice(0, 255)}`, "name the log's verifier key")
  return verifier
}

/** Whether `signature` of the statement is by `by`, the key in force until then. */
export function checkRotation(rotation: Rotation, by: NoteVerifier, signature: Uint8Array): boolean {
  return by.verify(rotationStatement(rotation), signature)
}
