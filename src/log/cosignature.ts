// C2SP tlog-cosignature, version 1 with Ed25519 (signature type 0x04): a witness says that at a time this was the largest
// consistent tree it had seen of the log. A cosignature is u64be(seconds since 1970) ‖ Ed25519 signature, 72 bytes, over
//   cosignature/v1\n
//   time <seconds>\n
//   <the checkpoint's text>
// Left out: ML-DSA-44 (0x06). Its lines are signatures of unknown keys, so checkpoints that carry them stay readable.

import { concat, u64be, utf8 } from '../base/bytes.ts'
import { verifyEd25519 } from './ed25519.ts'
import { checkEd25519Key, COSIGNATURE_ED25519, type NoteSigner, type NoteVerifier, type VerifierKey } from './note.ts'

/** The bytes that a cosignature at `time` (seconds since 1970) signs; `text` is the checkpoint's, to its last newline. */
export function cosignatureMessage(time: number, text: Uint8Array): Uint8Array {
  checkTime(time)
  return concat(utf8(`cosignature/v1\ntime ${time}\n`), text)
}

/** `time` (seconds since 1970) and a 64-byte Ed25519 signature as the 72 bytes of a note signature. */
export function formatCosignature(time: number, signature: Uint8Array): Uint8Array {
  checkTime(time)
  if (signature.length !== 64) throw new RangeError(`log: expected a signature of 64 bytes, got ${signature.length}`)
  return concat(u64be(time), signature)
}

/** The parts of a cosignature; undefined unless it is 72 bytes with a time that is a safe integer. */
export function parseCosignature(bytes: Uint8Array): { time: number; signature: Uint8Array } | undefined {
  if (bytes.length !== 72) return undefined
  const time = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0))
  return Number.isSafeInteger(time) ? { time, signature: bytes.slice(8) } : undefined
}

/** Verifies `0x04` signatures. Whether the time is believable is the caller's policy. MisuseError for a key of another kind. */
export function cosignatureVerifier(vkey: string | VerifierKey): NoteVerifier {
  const { name, keyId, publicKey } = checkEd25519Key(vkey, COSIGNATURE_ED25519)
  return {
    name,
    keyId,
    verify(text, bytes) {
      const parsed = parseCosignature(bytes)
      return parsed !== undefined && verifyEd25519(publicKey, cosignatureMessage(parsed.time, text), parsed.signature)
    },
  }
}

/** A signer for one cosignature at `time` (seconds since 1970), from an Ed25519 `key` whose id is that of type 0x04. */
export function cosignatureSigner(key: NoteSigner, time: number): NoteSigner {
  checkTime(time)
  return { name: key.name, keyId: key.keyId, sign: (text) => formatCosignature(time, key.sign(cosignatureMessage(time, text))) }
}

function checkTime(time: number): void {
  if (!Number.isSafeInteger(time) || time < 0) throw new RangeError(`log: expected a time in whole seconds since 1970, got ${time}`)
}
