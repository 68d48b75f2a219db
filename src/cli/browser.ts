// Shows a file in the user's browser, by what the system has for it. The file is handed over by its path: nothing listens anywhere.

import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** What opens a file, by platform. */
const OPENERS: { readonly [platform: string]: string } = { darwin: 'open', win32: 'explorer.exe' }
const OTHER = 'xdg-open'
/** An opener that is still there after this has handed the file on, or is the browser itself. */
const SETTLED_MS = 3_000

/** The path of the opener, undefined where there is none, or no screen to show anything on. */
export function findOpener(env: { readonly [name: string]: string | undefined }, platform: NodeJS.Platform = process.platform): string | undefined {
  const name = OPENERS[platform] ?? OTHER
  // without a screen xdg-open starts a browser for terminals, which runs no scripts
  if (name === OTHER && !env['DISPLAY'] && !env['WAYLAND_DISPLAY']) return undefined
  return (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '').map((folder) => join(folder, name)).find(isProgram)
}

/** Starts `opener` on `file`. Resolves with whether it took it. */
export function openInBrowser(opener: string, file: string, env: { readonly [name: string]: string | undefined }, platform: NodeJS.Platform = process.platform): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(opener, [file], { detached: true, stdio: 'ignore', env: { ...env } })
    const settled = setTimeout(() => done(true), SETTLED_MS)
    const done = (taken: boolean): void => {
      clearTimeout(settled)
      child.unref()
      resolve(taken)
    }
    child.once('error', () => done(false))
    child.once('exit', (code) => done(code === 0 || platform === 'win32')) // explorer.exe ends with 1 when all is well
  })
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
