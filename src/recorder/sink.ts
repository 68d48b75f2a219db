// Where a recorder hands its events: a local ledger's spool now, a client of a server later. The recorder knows no database and no key.

/**
 * How far an event has come. `accepted`: in this process's spool, survives every death of the process. `spooled`: the spool was fsynced.
 * `durable`: it has an index, fsynced, under a signed checkpoint. `witnessed`: a witness cosigned a checkpoint that covers it.
 */
export type Level = 'accepted' | 'spooled' | 'durable' | 'witnessed'

/** What an append returns. `index`, `entry_hash` (base64) and `checkpoint` (a signed note) are there from level `durable` on. */
export interface Receipt { readonly event_id: string; readonly level: Level; readonly index?: number; readonly entry_hash?: string; readonly checkpoint?: string }

export interface Sink {
  /** Takes an encoded draft, whose bytes are the caller's again after that. When it returns, the event is accepted; it throws a StoreError when it cannot be. Synchronous, no callback. */
  accept(event_id: string, draft: Uint8Array): void
  /**
   * Resolves when the event has reached `level`; rejects when it was refused or the store failed, and with a StoreError `stalled` when nothing
   * came forward for `patience` milliseconds. Without it a wait has no end of its own.
   */
  reach(event_id: string, level: Level, patience?: number): Promise<Receipt>
  /** While much waits for the log: resolves when it is less, when the log failed, or after `patience` milliseconds. Undefined when there is room. */
  room(patience: number): Promise<void> | undefined
}

/** A ledger's answer that the event itself may not be, or does not count: it holds back the act whatever the policy. */
export function isRefusal(error: unknown): boolean {
  return typeof error === 'object' && error !== null && (error as { refused?: unknown }).refused === true
}
