// Loads the module that signs a log whose key is kept elsewhere. It is named, not handed over: the ledger runs in a worker thread and in commands.

import { createRequire } from 'node:module'
import { isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { messageOf, MisuseError, StoreError } from '../base/errors.ts'
import type { Signer } from '../log/signer.ts'

/** Gives the signer of a log, or, where a log begins, the one that names it. */
export type SignerOf = (origin: string) => Promise<Signer>

/** The URL of a module: a path is relative to `cwd`, a bare name is a package as seen from there. */
export function signerUrl(module: string | URL, cwd: string = process.cwd()): string {
  if (module instanceof URL || module.startsWith('file:')) return new URL(module).href
  if (module.startsWith('.') || isAbsolute(module)) return pathToFileURL(resolve(cwd, module)).href
  try {
    return pathToFileURL(createRequire(join(cwd, 'index.js')).resolve(module)).href
  } catch (cause) {
    throw new MisuseError('no_signer', `signer: expected a module, got ${JSON.stringify(module.slice(0, 200))}: ${messageOf(cause)}`, 'name a file with ./ in front, or a package that is installed')
  }
}

/** The signer that the module at `url` exports by default, itself or by a function of the origin. StoreErrors `signer_module`. */
export async function loadSigner(url: string, origin: string): Promise<Signer> {
  const name = url.startsWith('file:') ? fileURLToPath(url) : url
  let found: unknown
  try {
    found = ((await import(url)) as { default?: unknown }).default
    if (typeof found === 'function') found = await (found as (origin: string) => unknown)(origin)
  } catch (cause) {
    throw new StoreError('signer_module', `signer: ${name} failed: ${messageOf(cause)}`, 'mend the module; what was recorded waits in the spool', { cause, retry: true })
  }
  const { vkey, sign } = (found ?? {}) as Partial<Signer>
  if (typeof vkey !== 'string' || typeof sign !== 'function') throw new StoreError('signer_module', `signer: expected ${name} to export by default { vkey, sign } or a function that gives one`, 'docs/keys.md shows one')
  return found as Signer
}
