// Entries that say who read what: only the ledger writes them, in its own session. One stands before the first content is shown (`capture`
// before), one after it, with how many entries were shown and a root over their hashes; one that was refused has the outcome `denied`.

import { formatTime } from '../base/clock.ts'
import { uuidv7 } from '../base/ids.ts'
import { isLabel } from '../event/label.ts'
import { MisuseError } from '../base/errors.ts'
import type { Draft, DraftPayload } from '../event/draft.ts'

/** What is put on record. `identity` and `query` become JSON payloads, with a `user_id` or `subject` in the query as a keyed hash; `after` is the event_id of the entry that stood before the reading. */
export interface AccessNote {
  readonly action: string
  readonly identity: { readonly subject: string; readonly [name: string]: unknown }
  readonly query?: { readonly [name: string]: unknown }
  readonly purpose?: string
  readonly denied?: true
  readonly after?: string
  /** How many entries were shown; of a denial, how many more like it. And the RFC 6962 root over their entry hashes, ascending by index, in base64. */
  readonly counts?: number
  readonly root?: string
}

/** The most that one call of `Ledger.access` puts on record. */
export const MAX_ACCESS_NOTES = 1_000

/** The draft of `note` in the ledger's session, made at `ms`. */
export function accessDraft(note: AccessNote, session_id: string, ms: number): Draft {
  const { action, identity, query, purpose, denied, after, counts, root } = note
  if (!isLabel(action)) throw new MisuseError('bad_action', `ledger: expected the action of an access to be a label, got ${JSON.stringify(action)?.slice(0, 100)}`, 'for example read')
  const payloads: Record<string, DraftPayload> = { identity: json(identity) }
  if (query !== undefined) payloads['query'] = json(query)
  if (purpose !== undefined) payloads['purpose'] = purpose.isWellFormed() ? { m: 'text', content: purpose } : json(purpose)
  return {
    event_id: uuidv7(ms), event_type: 'access', session_id, timestamp: formatTime(ms), capture: after === undefined ? 'before' : 'after',
    ...(after === undefined ? {} : { parent_event_id: after }), ...(denied === undefined ? {} : { outcome: 'denied' }),
    facts: { action, ...(counts === undefined ? {} : { counts }), ...(root === undefined ? {} : { root }) }, payloads,
  }
}

function json(value: unknown): DraftPayload {
  return { m: 'json', content: JSON.stringify(value) }
}
