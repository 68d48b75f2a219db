// What can go wrong, in kinds that are never mixed: misuse is a TypeError or RangeError (`MisuseError` carries the next step),
// a failed operation is a StoreError or RemoteError, and evidence of tampering is a VerifyError.

/** The base of every error that is not misuse: a stable `code`, and `next`, what an operator does about it. */
export class CounterfoilError extends Error {
  readonly code: string
  readonly next: string
  constructor(code: string, message: string, next: string, options?: { cause?: unknown }) {
    super(next === '' ? message : `${message}; ${next}`, options)
    this.name = new.target.name
    this.code = code
    this.next = next
  }
}

/** The store, the spool or a key file could not do its work. `retry` says whether the same call may be made again. */
export class StoreError extends CounterfoilError {
  readonly retry: boolean
  constructor(code: string, message: string, next: string, options?: { cause?: unknown; retry?: boolean }) {
    super(code, message, next, options)
    this.retry = options?.retry ?? false
  }
}

/** A server could not be reached or refused. `retry` says whether the same call may be made again. */
export class RemoteError extends CounterfoilError {
  readonly retry: boolean
  readonly status?: number
  constructor(code: string, message: string, next: string, options?: { cause?: unknown; retry?: boolean; status?: number }) {
    super(code, message, next, options)
    this.retry = options?.retry ?? false
    if (options?.status !== undefined) this.status = options.status
  }
}

/** What was stored contradicts itself: evidence of tampering, or of a damaged disk. */
export class VerifyError extends CounterfoilError {
  readonly first_bad_index?: number
  constructor(code: string, message: string, next: string, options?: { cause?: unknown; first_bad_index?: number }) {
    super(code, message, next, options)
    if (options?.first_bad_index !== undefined) this.first_bad_index = options.first_bad_index
  }
}

/** The caller's mistake: `expected` against `got`, and the next step. A TypeError, so that it is never taken for a failing disk. */
export class MisuseError extends TypeError {
  readonly code: string
  readonly next: string
  constructor(code: string, message: string, next: string) {
    super(next === '' ? message : `${message}; ${next}`)
    this.name = 'MisuseError'
    this.code = code
    this.next = next
  }
}

/** What an error says went wrong, without the next step: for a sentence around it. */
export function messageOf(error: unknown): string {
  if (error instanceof CounterfoilError || error instanceof MisuseError) return error.message.slice(0, error.next === '' ? undefined : -error.next.length - 2)
  return String((error as Error)?.message ?? error)
}
