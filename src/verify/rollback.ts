// A log that is not the newest one that somebody saw, named for what it is: a backup that was restored here, an older copy, or a copy that
// went another way. One text for opening, verifying and `doctor`.

import { idOf } from './key-chain.ts'

/**
 * What this machine wrote down when it restored the log: when, out of what, and how many entries it had signed before, if any. `sealed`: scopes
 * whose first content is at an index from the first to before the second were restored from an archive without their secrets.
 */
export interface Restored { readonly at: string; readonly from: 'backup' | 'archive'; readonly size: number; readonly signed?: number; readonly sealed?: readonly [from: number, to: number] }

/** `message` says what is wrong, `next` what the owner does. */
export interface Setback { readonly code: 'restored_backup' | 'rolled_back' | 'forked' | 'key_retired'; readonly message: string; readonly next: string }

const LOST = 'if it is lost for good, keep this one to be read and verified, and begin a log that names it: counterfoil init --continues PATH'

const NEXT: { readonly [code in Setback['code']]: string } = {
  restored_backup: `put the newest copy back in place of the restored one; ${LOST}`,
  rolled_back: `put the newest copy back (counterfoil verify THIS --against IT shows whether this one is a part of it); ${LOST}`,
  forked: 'keep both copies as they are, and see where they part: counterfoil verify COPY --against OTHER',
  key_retired: 'these keys are an older copy: restore the newest copy of the folder',
}

/** What to do about a problem of this code; undefined for others. */
export function nextOf(code: string): string | undefined {
  return Object.hasOwn(NEXT, code) ? NEXT[code as Setback['code']] : undefined
}

/** There are `size` entries, and this machine signed, proved or restored `seen` of them before. */
export function setbackOf(size: number, seen: number, what: string, restored?: Restored): Setback {
  if (restored?.size !== size) {
    return { code: 'rolled_back', message: `this machine ${what} ${entries(seen)} of this log before, and ${count(size)} are here: an older copy was put in its place, or its end was cut off`, next: NEXT.rolled_back }
  }
  const since = (restored.signed ?? 0) < seen
  const missing = seen - size === 1 ? `entry #${size} is` : `entries #${size} to #${seen - 1} are`
  return {
    code: 'restored_backup',
    message: `these are the ${entries(size)} of the ${restored.from} that was restored here at ${restored.at}, and this machine ${what} ${count(seen)} ${since ? 'since' : 'before that'}: ${missing} not in it`,
    next: NEXT.restored_backup,
  }
}

/** The `size` entries end under a key that this machine has retired, and the rotation is not among them; how many there were is not known. */
export function retiredOf(size: number, restored?: Restored): Setback {
  const retired = 'signed with a key that this machine has retired: the rotation to the next one is not in it'
  if (restored?.size === size) return { code: 'restored_backup', message: `these are the ${entries(size)} of the ${restored.from} that was restored here at ${restored.at}, ${retired}`, next: NEXT.restored_backup }
  return { code: 'rolled_back', message: `this log of ${entries(size)} is ${retired}; an older copy was put in its place, or its end was cut off`, next: NEXT.rolled_back }
}

/** The keys lead from one that this machine had to `vkey`, which it never had, and here to another. */
export function keysForkOf(vkey: string): Setback {
  return { code: 'forked', message: `two copies of this log went different ways: its keys lead to ${idOf(vkey)}, and on this machine another came after the same one`, next: NEXT.forked }
}

/** The first `seen` of the `size` entries here are not those that this machine signed, proved or restored. */
export function forkOf(size: number, seen: number, what: string): Setback {
  return {
    code: 'forked',
    message: `two copies of this log went different ways: the first ${entries(seen)} of the ${count(size)} here are not those that this machine ${what} under this key, so history was rewritten or written twice`,
    next: NEXT.forked,
  }
}

function entries(n: number): string {
  return `${count(n)} ${n === 1 ? 'entry' : 'entries'}`
}

const count = (n: number): string => n.toLocaleString('en-US')
