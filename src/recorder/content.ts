// Content as it is recorded: bytes taken at the call, masked, never changed by what the caller does to its objects afterwards.

import { inspect } from 'node:util'
import type { DraftPayload } from '../event/draft.ts'
import { MAX_PAYLOAD_BYTES } from '../event/entry.ts'
import { applyMasks, type Mask } from '../event/mask.ts'
import type { Piece } from '../event/model-call.ts'

/** What stands in the place of content that was too large to record whole: its head, and how long it was. */
const CUT_BYTES: number = 1024 * 1024

/** What is never cut, whatever else the event holds. */
const ALWAYS_BYTES: number = 64 * 1024

/**
 * `value` as JSON, taken now. What JSON cannot say (a cycle, a BigInt, an object that throws when it is read) becomes
 * `{"not_json": why, "text": …}` with its textual form: content is never refused for its shape. Undefined when there is no value at all.
 */
export function jsonPiece(value: unknown): Piece | undefined {
  try {
    const text = JSON.stringify(value)
    return text === undefined ? undefined : { m: 'json', content: text }
  } catch (error) {
    return { m: 'json', content: JSON.stringify({ not_json: messageOf(error).split('\n')[0], text: textOf(value) }) }
  }
}

function textOf(value: unknown): string {
  try {
    return inspect(value, { depth: 8, maxArrayLength: 1_000, maxStringLength: 100_000, breakLength: Infinity, getters: false })
  } catch {
    return `[${typeof value} that cannot be looked at]`
  }
}

/** What was thrown, in words. It may itself be made to throw when it is read. */
export function messageOf(error: unknown): string {
  try {
    return String((error as Error)?.message ?? error)
  } catch {
    return textOf(error)
  }
}

/** A text as it is, or as a JSON string when it has lone surrogates, which UTF-8 cannot hold. */
export function textPiece(text: string): Piece {
  return text.isWellFormed() ? { m: 'text', content: text } : { m: 'json', content: JSON.stringify(text) }
}

/** A string as text, anything else as JSON. */
export function pieceOf(value: unknown): Piece | undefined {
  return typeof value === 'string' ? textPiece(value) : value instanceof Uint8Array ? { m: 'bytes', content: value.slice() } : jsonPiece(value)
}

/** A piece as it goes into a draft: masked, and bounded to the largest payload, or to `room` bytes where that is less. */
export function maskPiece(piece: Piece, masks: readonly Mask[], room: number = MAX_PAYLOAD_BYTES): Omit<DraftPayload, 'of'> {
  const most = Math.min(Math.max(room, ALWAYS_BYTES), MAX_PAYLOAD_BYTES)
  const { m, content } = piece
  const bounded = boundPiece({ m, content }, most)
  if (typeof bounded.content !== 'string' || bounded.m === 'bytes' || masks.length === 0) return bounded
  const { text, masked } = applyMasks(bounded.content, bounded.m, masks)
  return masked.length === 0 ? bounded : { ...boundPiece({ m: bounded.m, content: text }, most), masked } // a mask's name may be longer than what it cut
}

function boundPiece(piece: Piece, most: number): Piece {
  const bytes = typeof piece.content === 'string' ? (piece.content.length * 3 <= most ? 0 : Buffer.byteLength(piece.content)) : piece.content.length
  if (bytes <= most) return piece
  const head = typeof piece.content === 'string' ? piece.content.slice(0, CUT_BYTES) : Buffer.from(piece.content.subarray(0, CUT_BYTES)).toString('latin1')
  return { m: 'json', content: JSON.stringify({ cut: true, bytes, media: piece.m, head }) }
}

/** `thrown instanceof kind`, for what may throw even at that. */
export function isA<T>(thrown: unknown, kind: abstract new (...args: never[]) => T): thrown is T {
  try {
    return thrown instanceof kind
  } catch {
    return false
  }
}

/** The message and the name of anything that was thrown. */
export function errorText(error: unknown): { message: string; error_type: string; name?: string; stack?: string } {
  try {
    if (error instanceof Error) {
      const stack = typeof error.stack === 'string' ? error.stack : undefined
      return { message: String(error.message), error_type: String(error.constructor?.name || error.name || 'Error'), name: String(error.name), ...(stack === undefined ? {} : { stack }) }
    }
  } catch {
    // an error that throws when it is read: told by its form
  }
  return { message: typeof error === 'string' ? error : textOf(error), error_type: typeof error }
}
