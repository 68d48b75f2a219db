// A rule that needs no model: a fold over one session's events in the order of the log. What it notices follows from these events alone:
// no clock, no chance, and it does not matter in how many pieces they came.

import type { ViewEvent } from '../event/view.ts'
import type { Session } from '../why/session.ts'
import type { Noticed } from './finding.ts'

/** Sees the next event, which is the last in `session` then, and says what it notices. What it remembers is its own. */
export type Watcher = (event: ViewEvent, session: Session) => readonly Noticed[]

/** `says` is one sentence for people. `begin` makes a watcher for one session. */
export interface Rule { readonly name: string; readonly says: string; readonly begin: () => Watcher }
