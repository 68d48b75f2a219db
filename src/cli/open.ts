// Joins the command line to the trail. Loaded only when a command opens one, so that `--help` is immediate.

import { runAuditedAgent } from '../anthropic.ts'
import { openTrail } from '../trail/trail.ts'
import type { CliTrail, OpenMode } from './api.ts'
import type { DemoTrail, Library } from './demo/library.ts'
import { signerUrl } from '../ledger/signer-module.ts'
import { isServer } from './context.ts'
import { openLocalTrail } from './local-trail.ts'
import { openRemoteTrail } from './remote-trail.ts'

/** The trail in the database at a path, or of the server with an URL. `ask` is for the keys of a file, `purpose` for the content of a server. */
export async function openCliTrail(place: string, mode: OpenMode, env: { readonly [name: string]: string | undefined } = process.env, ask?: () => Promise<string | undefined>, purpose?: string): Promise<CliTrail> {
  if (isServer(place)) return openRemoteTrail(place, env, purpose)
  const { COUNTERFOIL_PASSPHRASE: passphrase = '', COUNTERFOIL_SIGNER: signer = '' } = env
  return openLocalTrail(place, mode, undefined, { ...(passphrase === '' ? {} : { passphrase }), ...(signer === '' ? {} : { signer: signerUrl(signer) }), ...(ask === undefined ? {} : { ask }) })
}

/** The library as the demo uses it. */
export const library: Library = {
  openTrail: (path, options) => openTrail(path, options) as unknown as DemoTrail,
  runAuditedAgent,
  inspect: (path, home) => openLocalTrail(path, 'read', home),
}
