// Where key files lie: never in the folder that a database backup takes, but in the user's state folder, by origin.
// What differs between platforms is here. Linux is tested; the values for macOS and Windows are unit-tested, not run.

import { createHash } from 'node:crypto'
import { homedir } from 'node:os'
import { posix, win32 } from 'node:path'
import { MisuseError } from '../base/errors.ts'

/** What the answer depends on. */
export interface Surroundings { readonly platform: NodeJS.Platform; readonly env: { readonly [name: string]: string | undefined }; readonly home: string }

/** This process's. */
export function surroundings(): Surroundings {
  return { platform: process.platform, env: process.env, home: homedir() }
}

/**
 * The folder of all keyrings: `$COUNTERFOIL_HOME`; else on Windows `%LOCALAPPDATA%\counterfoil`, elsewhere `$XDG_STATE_HOME/counterfoil`,
 * else `~/Library/Application Support/counterfoil` on macOS and `~/.local/state/counterfoil` on the rest. MisuseError if
 * `$COUNTERFOIL_HOME` is relative: keys would be found or not by where the process was started.
 */
export function stateHome({ platform, env, home }: Surroundings = surroundings()): string {
  const path = platform === 'win32' ? win32 : posix
  const own = env.COUNTERFOIL_HOME
  if (own !== undefined && own !== '') {
    if (!path.isAbsolute(own)) throw new MisuseError('relative_home', `vault: expected an absolute path in COUNTERFOIL_HOME, got ${JSON.stringify(own)}`, 'set it to one')
    return own
  }
  if (platform === 'win32') return path.join(env.LOCALAPPDATA ?? path.join(home, 'AppData', 'Local'), 'counterfoil')
  const xdg = env.XDG_STATE_HOME
  if (xdg !== undefined && path.isAbsolute(xdg)) return path.join(xdg, 'counterfoil') // a relative one is to be ignored: XDG Base Directory 0.8
  if (platform === 'darwin') return path.join(home, 'Library', 'Application Support', 'counterfoil')
  return path.join(home, '.local', 'state', 'counterfoil')
}

/** The folder name of an origin: its readable part, and 16 hex digits of its SHA-256, since some file systems know no case. */
export function slugOf(origin: string): string {
  const readable = origin.replaceAll(/[^A-Za-z0-9.-]+/g, '_').replace(/^\.+/, '_').slice(0, 80)
  return `${readable}-${createHash('sha256').update(origin).digest('hex').slice(0, 16)}`
}

/** Whether file modes say who may read. Windows has its own lists; a file in the user's profile is the user's by default. */
export function modesMatter(platform: NodeJS.Platform = process.platform): boolean {
  return platform !== 'win32'
}

/** Whether a folder can be opened and fsynced. */
export function foldersSync(platform: NodeJS.Platform = process.platform): boolean {
  return platform !== 'win32'
}

