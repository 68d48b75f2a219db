// The closed list of what the vault can find wrong in stored bytes, and the one way to say it. Key files are in `key-folder.ts`.

import { VerifyError } from '../base/errors.ts'

/**
 * The `code` of each VerifyError from this room. `…_malformed` is bytes that are not of the format at all, `…_unsupported` a format
 * newer than this program (no evidence of anything), `…_sealed` an authentication that fails: damaged bytes or another key.
 */
export type VaultFault =
  | 'payload_commitment'
  | 'payload_place'
  | 'secret_malformed'
  | 'secret_scope'
  | 'secret_sealed'
  | 'secret_unsupported'
  | 'segment_frame'
  | 'segment_malformed'
  | 'segment_scope'
  | 'segment_sealed'
  | 'segment_unsupported'

/** A VerifyError of this room; `message` says expected and got, `next` what an operator does. */
export function vaultFault(code: VaultFault, message: string, next: string, cause?: unknown): VerifyError {
  return new VerifyError(code, `vault: ${message}`, next, cause === undefined ? {} : { cause })
}
