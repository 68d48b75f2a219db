// Names that an export's own ids give to events and sessions, so that the same span handed in again is the same event (RFC 9562, UUID version 8).
// Ids of traces and spans are random and no secret. What an author chose as session id may be somebody's name, and a log record is content: of
// these an id is made with a key, or it would say what it was made from to whoever guesses.

import { createHmac, hash } from 'node:crypto'
import { concat, fromHex, utf8 } from '../../base/bytes.ts'
import { formatUuid, isUuid } from '../../base/ids.ts'

/** The session that stands for a trace: its id with version and variant set, so that one can be recognised in the other. */
export function sessionOfTrace(trace_id: string): string {
  return version8(fromHex(trace_id))
}

/** The session of this name: itself where it is a UUID, else an id that only who has the key can make of the name. */
export function sessionOfName(name: string, key: Uint8Array): string {
  const lower = name.toLowerCase()
  return isUuid(lower) ? lower : keyed(key, 'session', name)
}

/** The event that `part` of a span is. */
export function eventOfSpan(trace_id: string, span_id: string, part: string): string {
  return version8(hash('sha256', concat(utf8('counterfoil/otlp/span/v1\0'), fromHex(trace_id), fromHex(span_id), utf8(part)), 'buffer'))
}

/** An id made of `texts` with the key. */
export function keyed(key: Uint8Array, ...texts: readonly string[]): string {
  const hmac = createHmac('sha256', key)
  for (const text of ['counterfoil/otlp/v1', ...texts]) hmac.update(`${Buffer.byteLength(text)}:${text}`)
  return version8(hmac.digest())
}

function version8(bytes: Uint8Array): string {
  const id = bytes.slice(0, 16)
  id[6] = (id[6]! & 0x0f) | 0x80
  id[8] = (id[8]! & 0x3f) | 0x80
  return formatUuid(id)
}
