// Drafts to the server, in order, and what it answers to each: a receipt, or that the event is refused. Nothing counts as
// delivered that has no receipt of its own.

import { zstdCompressSync } from 'node:zlib'
import { concat, u32be } from '../base/bytes.ts'
import type { RemoteError } from '../base/errors.ts'
import { decodeDraft } from '../event/draft.ts'
import type { Receipt } from '../recorder/sink.ts'
import { ask, jsonOf, notOurs, plain, Refusal } from './http.ts'
import type { Server } from './server.ts'

export interface Refused { readonly code: string; readonly message: string; readonly next: string }
/** `unread`: the server could not even read it as an event, so that nothing of it is on record. */
export interface Delivered { readonly event_id: string; readonly receipt?: Receipt; readonly refused?: Refused; readonly unread?: true }

export const DRAFTS_TYPE = 'application/vnd.counterfoil.drafts'

/** What an answer may take, beside what the body needs at a slow line's 50 KB/s. */
const TIMEOUT_MS = 20_000
const SLOWEST_BYTES_PER_MS = 50
/** A larger body is packed: it is one long event, which may only fit so. */
const PACKED_BYTES: number = 1024 * 1024 + 64 * 1024

/**
 * Delivers `drafts` in one request, or in several when the server refuses what is in one: then each event that it refuses is found. Rejects with a
 * RemoteError when some of them may have no place yet; all are to be delivered again then. `saw` is given the checkpoint of each answer.
 */
export async function deliver(server: Server, drafts: readonly Uint8Array[], saw: (checkpoint: string) => void, signal?: AbortSignal): Promise<Delivered[]> {
  const whole = concat(...drafts.flatMap((draft) => [u32be(draft.length), draft]))
  const packed = whole.length > PACKED_BYTES
  const body = packed ? Uint8Array.from(zstdCompressSync(whole)) : whole
  try {
    const answer = await ask(server, { method: 'POST', path: '/v1/drafts', body, type: DRAFTS_TYPE, ...(packed ? { headers: { 'content-encoding': 'zstd' } } : {}), timeoutMs: TIMEOUT_MS + Math.ceil(body.length / SLOWEST_BYTES_PER_MS), ...(signal === undefined ? {} : { signal }) })
    const { receipts, checkpoint } = (jsonOf(server, answer) ?? {}) as { receipts?: unknown; checkpoint?: unknown }
    const ids = drafts.map((draft) => decodeDraft(draft).event_id)
    const note = typeof checkpoint === 'string' ? checkpoint : undefined // there is none where all were refused
    if (!Array.isArray(receipts) || receipts.length !== ids.length) throw notOurs(server.url, `an answer without the receipts of ${ids.length} events`)
    const delivered = ids.map((event_id, i) => deliveredOf(server, event_id, receipts[i], note))
    if (note !== undefined) saw(note)
    return delivered
  } catch (error) {
    if (!refusesBody(error)) throw error
    if (drafts.length === 1) return [{ event_id: decodeDraft(drafts[0]!).event_id, unread: true, refused: { code: error.code, message: error.message.slice(0, -error.next.length - 2), next: error.next } }]
    const middle = Math.ceil(drafts.length / 2)
    return [...(await deliver(server, drafts.slice(0, middle), saw, signal)), ...(await deliver(server, drafts.slice(middle), saw, signal))]
  }
}

/**
 * Whether the server itself says that it takes none of these events as they are: malformed, too large, or of an agent that the key may not write as. What a
 * proxy says, or what is about the key altogether, is no such thing.
 */
function refusesBody(error: unknown): error is RemoteError {
  if (!(error instanceof Refusal) || !error.said || error.code === 'body_cut') return false
  return error.status === 400 || error.status === 413 || error.status === 422 || error.code === 'not_own_agent'
}

function deliveredOf({ url }: Server, event_id: string, answer: unknown, checkpoint: string | undefined): Delivered {
  const { event_id: answered, level, index, entry_hash, refused } = (answer ?? {}) as { [name: string]: unknown }
  if (answered !== event_id) throw notOurs(url, `the receipt of another event in the place of that of ${event_id}`)
  if (refused !== undefined) {
    const { code, message, next } = refused as { [name: string]: unknown }
    return { event_id, refused: { code: textOf(code, 'refused'), message: textOf(message, `event ${event_id} was refused`), next: textOf(next, 'see the findings of the log') } }
  }
  if (level !== 'durable' || !Number.isSafeInteger(index) || typeof entry_hash !== 'string' || checkpoint === undefined) throw notOurs(url, `no durable receipt of ${event_id}`)
  return { event_id, receipt: { event_id, level, index: index as number, entry_hash, checkpoint } }
}

function textOf(value: unknown, otherwise: string): string {
  return typeof value === 'string' && value !== '' ? plain(value) : otherwise
}
