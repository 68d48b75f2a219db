// Joins the command line to an archive folder. Loaded only when a command reads one.

import { archiveEvidence } from '../archive/evidence.ts'
import { archiveFolder } from '../archive/folder.ts'
import { MisuseError, messageOf } from '../base/errors.ts'
import { ed25519Verifier } from '../log/note.ts'
import type { Policy } from '../log/policy.ts'
import type { Verdict } from '../verify/verdict.ts'
import { verifyLog } from '../verify/verify.ts'

/** Verifies the archive in `folder` under the verifier key `key`, or under the one that it names itself. */
export async function verifyArchive(folder: string, { key, policy, progress }: { key?: string; policy?: Policy; progress: (done: number, total: number) => void }): Promise<Verdict> {
  const vkey = key?.trim()
  if (vkey !== undefined) checkKey(vkey)
  return verifyLog(await archiveEvidence(archiveFolder(folder), vkey), { progress, ...(policy === undefined ? {} : { policy }) })
}

function checkKey(vkey: string): void {
  try {
    ed25519Verifier(vkey)
  } catch (error) {
    throw new MisuseError('bad_key', `cli: --key is no verifier key: ${messageOf(error)}`, 'counterfoil keys prints it, where the log is kept')
  }
}
