// The README inside a backup: what it is and what can be done with it, for somebody who has never heard of Counterfoil.

import { DATABASE, KEYS, MANIFEST, type Manifest } from './backup-manifest.ts'

/** `protected`: the keys are under a passphrase. */
export function backupReadme({ origin, size, made_at, keys, elsewhere, protected: sealed }: Omit<Manifest, 'files' | 'elsewhere'> & { readonly elsewhere: boolean; readonly protected: boolean }): string {
  return `This folder is a backup of an audit log
=======================================

It was written by Counterfoil, which records what AI agents do, and why, in a log
that can be proved to be unchanged.

  log       ${origin}
  entries   ${size}
  made      ${made_at}

What is in it

  ${DATABASE}          the log and its encrypted content, one SQLite database
  checkpoint      a signed statement of how many entries the log has, and of their hash
${keys ? `  ${KEYS}/           the keys that open the content${elsewhere ? '; the one that signs is not here' : ' and sign the log'}${sealed ? ',\n                  under a passphrase' : ''}\n` : ''}  ${MANIFEST}   every file with its SHA-256

${keys ? [withKeys(elsewhere, sealed), ...(elsewhere ? [ELSEWHERE] : []), ...(sealed ? [PROTECTED] : [])].join('\n\n') : WITHOUT_KEYS}

Erasure

  What was erased from the log after this backup was made is still in this copy.
  ${keys ? 'Its secrets are encrypted under keys that are in this folder too: the content is\n  gone from it only when the folder is.' : 'Its secrets are encrypted under keys that are not here. They stay readable to\n  whoever has those keys, until the key generation that they are under has been\n  destroyed everywhere: a renewal does that ("counterfoil keys renew").'} Keep backups no
  longer than you must, and erase again after you restored one.

How to check it, and how to restore it

  npx counterfoil verify FOLDER
  npx counterfoil restore FOLDER --trail NEW.db

  Restoring changes nothing that is there, and verifies everything first. This is
  the log as it was when the backup was made. If the log recorded anything after
  that, do not go on writing in the restored one: two histories of one log would
  be signed. Begin a new log that names it:

  npx counterfoil --trail NEXT.db init --continues NEW.db

  A folder with a file INCOMPLETE, or without ${MANIFEST}, is not whole: delete it.
  Do not add files or open ${DATABASE} with programs that write: the folder would no
  longer be what the manifest says.
`
}

function withKeys(elsewhere: boolean, sealed: boolean): string {
  return `Whoever holds this folder${sealed ? ' and the passphrase' : ''} can read everything in it${elsewhere ? '' : ', and can sign as this log'}:
keep it as you keep passwords, encrypted, apart from other copies, and give it to
nobody who may not see all of it.`
}

const ELSEWHERE = `The key that signs is not in it: it is kept elsewhere, and a module asks for its
signatures. Restored, the log can be read and verified at once; to go on with it,
name the module: COUNTERFOIL_SIGNER=MODULE.`

const PROTECTED = `The keys are under the passphrase that they had when the backup was made. Verifying
needs none, but then content is not opened; restoring asks for it, or takes
COUNTERFOIL_PASSPHRASE. Without it nobody can open the content again.`

const WITHOUT_KEYS = `The keys are not in it (it was made with --no-keys). Without them its content
cannot be opened, and nothing can be added to the log. What can be read: who
called what, when, in which order, with which outcome.`
