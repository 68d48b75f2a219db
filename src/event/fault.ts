// The closed list of what this room can find wrong in a record, and the one way to say it.

import { CounterfoilError, VerifyError } from '../base/errors.ts'

/** The `code` of each VerifyError from this room: an entry that is not of the format, or a reference inside a session that leads nowhere. */
export type EventFault = 'entry_malformed' | 'list_malformed' | 'same_malformed' | 'session_malformed'

/** A VerifyError of this room; `message` says expected and got, `next` what an operator does. */
export function eventFault(code: EventFault, message: string, next: string, cause?: unknown): VerifyError {
  return new VerifyError(code, `event: ${message}`, next, cause === undefined ? {} : { cause })
}

/** An entry of a later format than this version reads (code `newer_format`): not evidence of anything, only not checked. */
export class NewerFormatError extends CounterfoilError {
  constructor(message: string) {
    super('newer_format', `event: ${message}`, 'verify this log with a newer counterfoil')
  }
}
