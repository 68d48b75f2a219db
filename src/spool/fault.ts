// What a spool finds wrong in its own file. Failed operations are StoreErrors: spool_full, spool_failed, spool_missing.

import { VerifyError } from '../base/errors.ts'

/** `spool_header`: not a spool, or of a newer format. `spool_corrupt`: a record is whole and does not authenticate. */
export type SpoolFault = 'spool_header' | 'spool_corrupt'

/** Evidence in a spool file. Nothing after `offset` was read; what stood before it is good. */
export class SpoolError extends VerifyError {
  readonly path: string
  readonly offset: number
  constructor(code: SpoolFault, path: string, offset: number, why: string, cause?: unknown) {
    super(code, `spool: ${path} at byte ${offset}: ${why}`, 'keep the file as evidence; what it held from there on is not in the log', cause === undefined ? {} : { cause })
    this.path = path
    this.offset = offset
  }
}
