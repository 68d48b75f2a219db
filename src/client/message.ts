// What the thread that records and the one that sends say to each other. Everything is a structured clone; errors travel as data.

import { CounterfoilError, MisuseError, RemoteError, StoreError, VerifyError } from '../base/errors.ts'
import type { Receipt } from '../recorder/sink.ts'
import type { Drained } from '../spool/backlog.ts'
import type { Server } from './server.ts'

/** What the sending thread is told at its start. `own` is the spool that is written now, `left` were given up by this process before they were sent. */
export interface Start {
  readonly server: Server
  /** Where spools lie, and where what is known of the server is kept. */
  readonly folder: string
  readonly about: string
  readonly key: Uint8Array
  readonly own: string
  readonly left: readonly string[]
  /** Int32[0] is 1 while the sending thread looks again by itself, or a wake is on its way. */
  readonly flag: SharedArrayBuffer
}

export type ToSender =
  | { readonly kind: 'wake' }
  | { readonly kind: 'spool'; readonly own: string }
  /** Answers when the event is acknowledged, at the latest once `spool` is sent to `offset`; without an event, when that much is sent. Rejected when the server is away for `patience`. */
  | { readonly kind: 'wait'; readonly id: number; readonly event_id?: string; readonly spool: string; readonly offset: number; readonly patience: number }
  /** Answers when the server was met, or could not be. */
  | { readonly kind: 'meet'; readonly id: number }
  /** Looks once more whether the server's log goes on from what is remembered, and ends. */
  | { readonly kind: 'close'; readonly id: number }

export type FromSender =
  | { readonly kind: 'met'; readonly origin: string }
  | { readonly kind: 'done'; readonly id: number; readonly receipt?: Receipt }
  | { readonly kind: 'error'; readonly id: number; readonly error: ErrorData }
  /** `left`: the bytes of spools whose process is gone. */
  | { readonly kind: 'progress'; readonly size: number; readonly checkpoint: string | null; readonly spools: readonly Drained[]; readonly left: number }
  | { readonly kind: 'missing'; readonly spool: string }
  | { readonly kind: 'report'; readonly error: ErrorData }
  /** The server's log is not the one that it was: said once, and kept in `status()`. */
  | { readonly kind: 'broken'; readonly error: ErrorData }

/** An error as data. `message` is without its next step; `refused`: the event itself may not be. */
export interface ErrorData {
  readonly type: 'remote' | 'store' | 'verify'; readonly code: string; readonly message: string; readonly next: string
  readonly retry?: boolean; readonly status?: number; readonly refused?: boolean
}

export function errorData(error: unknown): ErrorData {
  if (error instanceof CounterfoilError || error instanceof MisuseError) {
    const type = error instanceof VerifyError ? 'verify' : error instanceof RemoteError ? 'remote' : 'store'
    return {
      type, code: error.code, message: withoutNext(error), next: error.next,
      ...(error instanceof RemoteError || error instanceof StoreError ? { retry: error.retry } : {}), ...(error instanceof RemoteError && error.status !== undefined ? { status: error.status } : {}),
    }
  }
  const { code, message } = error as NodeJS.ErrnoException
  if (typeof code === 'string' && !code.startsWith('ERR_')) return { type: 'store', code: 'disk_failed', message: `client: ${message}`, next: 'see to the disk of the state folder; what was accepted is sent when it answers again', retry: true }
  return { type: 'store', code: 'internal', message: `client: ${String(message ?? error)}`, next: 'this is a defect of Counterfoil: please report it' }
}

/** The error that `data` was, thrown anew on this side. */
export function errorFrom({ type, code, message, next, retry = false, status, refused }: ErrorData): CounterfoilError {
  const error = type === 'verify' ? new VerifyError(code, message, next) : type === 'remote' ? new RemoteError(code, message, next, { retry, ...(status === undefined ? {} : { status }) }) : new StoreError(code, message, next, { retry })
  return refused === true ? Object.assign(error, { refused: true }) : error
}

function withoutNext({ message, next }: CounterfoilError | MisuseError): string {
  return next !== '' && message.endsWith(`; ${next}`) ? message.slice(0, -next.length - 2) : message
}
