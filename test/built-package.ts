// The package as its users get it, built from the sources of this moment: a folder with package.json and dist/. Built
// once for the same sources, and kept under node_modules/.cache, because several suites want it.

import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build, type Built } from '../scripts/build.ts'

/** This repository. */
export const root: string = join(import.meta.dirname, '..')

/** A built package, and the bundler's account of what went into it. */
export type BuiltPackage = { folder: string; built: Built }

/** Builds the package, or finds the one built before from the same sources. */
export async function builtPackage(): Promise<BuiltPackage> {
  const cache = join(root, 'node_modules', '.cache', 'counterfoil')
  const folder = join(cache, sourceDigest())
  const account = join(folder, 'built.json')
  if (!existsSync(account)) {
    mkdirSync(cache, { recursive: true })
    const fresh = mkdtempSync(join(cache, 'new-'))
    const built = await build(join(fresh, 'dist'))
    copyFileSync(join(root, 'package.json'), join(fresh, 'package.json'))
    writeFileSync(join(fresh, 'built.json'), JSON.stringify(built))
    moveInto(folder, fresh)
    forgetOthers(cache, folder)
  }
  return { folder, built: JSON.parse(readFileSync(account, 'utf8')) }
}

function sourceDigest(): string {
  const hash = createHash('sha256')
  const files = globSync(['src/**/*.ts', 'scripts/*.ts'], { cwd: root }).filter((file) => !file.endsWith('.test.ts'))
  for (const file of ['package.json', 'package-lock.json', 'tsconfig.json', ...files.toSorted()]) {
    hash.update(`${file}\0`).update(readFileSync(join(root, file))).update('\0')
  }
  return hash.digest('hex').slice(0, 16)
}

/** Another suite may have built the same meanwhile; then theirs stays. */
function moveInto(folder: string, fresh: string): void {
  try {
    renameSync(fresh, folder)
  } catch (error) {
    rmSync(fresh, { recursive: true })
    if (!existsSync(folder)) throw error
  }
}

/** Keeps what was built within the hour: another suite may still run on it. */
function forgetOthers(cache: string, keep: string): void {
  for (const folder of readdirSync(cache).map((name) => join(cache, name))) {
    if (folder !== keep && statSync(folder).mtimeMs < Date.now() - 3_600_000) rmSync(folder, { recursive: true, force: true })
  }
}
