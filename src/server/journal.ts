// What the server itself puts on record, in the ledger's own session: who was given which rights, who was denied what. Its writer is `server`.

import { formatTime, type Clock } from '../base/clock.ts'
import { uuidv7 } from '../base/ids.ts'
import { encodeDraft, type DraftSlot } from '../event/draft.ts'
import type { Facts, KnownType } from '../event/vocabulary.ts'
import type { Receipt, RefusedEvent } from '../ledger/handle.ts'
import { jsonPiece, maskPiece } from '../recorder/content.ts'
import type { Tenant } from './tenants.ts'

/** Records one event of the server; resolves when it is durable. Values of `payloads` become JSON. */
export async function journal<K extends KnownType>(tenant: Tenant, clock: Clock, event_type: K, facts: Facts<K>, payloads: { readonly [name: string]: unknown }, writer = 'server'): Promise<Receipt | RefusedEvent> {
  const session_id = await tenant.ledger.call<string>('own')
  const now = clock()
  const slots: Record<string, DraftSlot> = {}
  for (const [name, value] of Object.entries(payloads)) {
    const piece = value === undefined ? undefined : jsonPiece(value)
    if (piece !== undefined) slots[name] = maskPiece(piece, [])
  }
  const draft = { event_id: uuidv7(now), event_type, session_id, timestamp: formatTime(now), capture: 'after' as const, facts, payloads: slots }
  return (await tenant.ledger.append(writer, [encodeDraft(draft)]))[0]!
}
