// The closed list of what the log's maths can find wrong, and the one way to say it.

import { VerifyError } from '../base/errors.ts'

/** The `code` of each VerifyError from this room. `…_malformed` is text or bytes that are not of the format at all. */
export type LogFault =
  | 'bundle_malformed'
  | 'checkpoint_malformed'
  | 'checkpoint_origin'
  | 'consistency_mismatch'
  | 'consistency_shape'
  | 'inclusion_mismatch'
  | 'inclusion_shape'
  | 'key_origin'
  | 'note_malformed'
  | 'note_signature'
  | 'note_unverified'
  | 'proof_malformed'
  | 'tile_malformed'

/** A VerifyError of this room; `message` says expected and got, `next` what an operator does. */
export function logFault(code: LogFault, message: string, next: string, cause?: unknown): VerifyError {
  return new VerifyError(code, `log: ${message}`, next, cause === undefined ? {} : { cause })
}
