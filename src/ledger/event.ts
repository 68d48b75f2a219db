// Events that the ledger itself makes: notices about streams, sessions, time and erasure.

import { formatTime } from '../base/clock.ts'
import { uuidv7 } from '../base/ids.ts'
import type { Draft, DraftPayload } from '../event/draft.ts'
import type { Facts, KnownType } from '../event/vocabulary.ts'

/** A draft made by the ledger at `ms`. `texts` are its payloads; that of `identity` is JSON already. */
export function ledgerDraft<K extends KnownType>(event_type: K, session_id: string, ms: number, facts: Facts<K>, texts: { readonly [payload: string]: string | undefined } = {}): Draft {
  const payloads: Record<string, DraftPayload> = {}
  for (const [name, text] of Object.entries(texts)) if (text !== undefined) payloads[name] = payloadOf(name, text)
  return { event_id: uuidv7(ms), event_type, session_id, timestamp: formatTime(ms), capture: 'after', facts, payloads }
}

function payloadOf(name: string, text: string): DraftPayload {
  if (name === 'identity') return { m: 'json', content: text }
  return text.isWellFormed() ? { m: 'text', content: text } : { m: 'json', content: JSON.stringify(text) }
}
