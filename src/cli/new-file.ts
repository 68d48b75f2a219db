// Files that a command writes for its user: never over one that is there, unless the user says so.

import { writeFileSync } from 'node:fs'
import { MisuseError, StoreError } from '../base/errors.ts'

/** Writes `text` to `file`, readable by its owner only. A MisuseError `file_exists` when there is one and `force` is not given. */
export function writeNewFile(file: string, text: string, force: boolean): void {
  try {
    writeFileSync(file, text, { flag: force ? 'w' : 'wx', mode: 0o600 })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw new MisuseError('file_exists', `cli: ${file} is there already; nothing was written`, 'name another file, or overwrite it with --force')
    throw new StoreError('not_written', `cli: ${file} cannot be written: ${(cause as Error).message}`, 'choose another file, or make room and rights for this one', { cause })
  }
}
