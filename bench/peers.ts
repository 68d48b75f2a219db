// The peers: packages in a folder of the benchmark's own, which nobody else of the project sees. Installed when they are asked for.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
// @ts-expect-error plain JavaScript without types: it runs before anything is installed
import { installed } from '../scripts/bootstrap.mjs'

const folder: string = join(import.meta.dirname, 'peers')
const require: NodeJS.Require = createRequire(join(folder, 'package.json'))

/** Installs what the lock file names; says why not when that fails. */
export function installPeers(): string | undefined {
  if ((installed as (folder: string) => boolean)(folder)) return undefined
  process.stderr.write('bench: installing the peers into bench/peers/node_modules; this happens once, and again when their lock file changes\n')
  const { status, stderr, error } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
  if (error !== undefined) return `npm could not be started: ${error.message}`
  return status === 0 ? undefined : `npm ci failed: ${stderr.trim().split('\n')[0] ?? `exit code ${status}`}`
}

/** A peer's module. Its types are the caller's claim: nothing of the project depends on a peer's. */
export async function peer<T>(name: string): Promise<T> {
  const module = (await import(pathToFileURL(require.resolve(name)).href)) as { default?: T }
  return (module.default !== undefined && Object.keys(module).every((key) => key === 'default' || key === 'module.exports') ? module.default : module) as T
}

/** The installed version, undefined where there is none. */
export function peerVersion(name: string): string | undefined {
  const manifest = join(folder, 'node_modules', name, 'package.json')
  return existsSync(manifest) ? (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version : undefined
}
