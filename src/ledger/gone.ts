// A log that was open, and whose file is not there any more. Making a new one in its place would be another log: an unmounted disk leaves an
// empty folder behind.

import { existsSync } from 'node:fs'
import { StoreError } from '../base/errors.ts'

export function checkNotGone(path: string): void {
  if (!existsSync(path)) throw new StoreError('trail_gone', `ledger: ${path} is not there any more: it or its folder was moved or removed, or its disk is gone`, 'bring it back: what is accepted goes into the log then; else end this process and open another trail', { retry: true })
}
