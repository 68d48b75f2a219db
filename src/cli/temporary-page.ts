// Pages that `open` makes for a look: plain text, so for this user only, and not for long.

import { lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StoreError } from '../base/errors.ts'

const PREFIX = 'counterfoil-open-'
/** A page that nobody removed is removed by the next `open` after this. */
const LIFE_MS = 3_600_000

/** Writes `page` (0600) into a folder of its own (0700). */
export function writeTemporaryPage(page: string, folder: string = tmpdir()): string {
  try {
    const file = join(mkdtempSync(join(folder, PREFIX)), 'evidence.html')
    writeFileSync(file, page, { flag: 'wx', mode: 0o600 })
    return file
  } catch (cause) {
    throw new StoreError('not_written', `cli: no page can be written in ${folder}: ${(cause as Error).message}`, 'name another folder in $TMPDIR, or write it where you want: counterfoil export -o FILE', { cause })
  }
}

/** Removes a page that `writeTemporaryPage` wrote, with its folder. */
export function removeTemporaryPage(file: string): void {
  rmSync(join(file, '..'), { recursive: true, force: true })
}

/** Removes what earlier ones left, of this user alone. */
export function sweepTemporaryPages(now: number, folder: string = tmpdir()): void {
  try {
    for (const name of readdirSync(folder)) {
      if (!name.startsWith(PREFIX)) continue
      const path = join(folder, name)
      const stat = lstatSync(path, { throwIfNoEntry: false })
      if (stat?.isDirectory() === true && stat.mtimeMs < now - LIFE_MS && (process.getuid === undefined || stat.uid === process.getuid())) rmSync(path, { recursive: true, force: true })
    }
  } catch {
    // a folder that cannot be read now, or a page that another `open` removes: the next one looks again
  }
}
