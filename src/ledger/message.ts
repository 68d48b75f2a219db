// What a ledger's worker and the thread that records say to each other. Everything is a structured clone; errors travel as data.

import { CounterfoilError, MisuseError, StoreError, VerifyError } from '../base/errors.ts'
import { Absent } from '../event/view.ts'
import type { Drained } from '../spool/backlog.ts'
import type { Placed, Refused } from './batch.ts'

/** What the worker is told at its start. */
export interface Start {
  /** The database, or `:memory:`. */
  readonly path: string
  /** The state folder; absent for a trail in memory. */
  readonly home?: string
  /** Of the log's keys. It crosses the thread here and nowhere else: not in arguments, not in the environment. */
  readonly passphrase?: string
  /** The URL of the module that signs, where the log's key is kept elsewhere. */
  readonly signer?: string
  /** `own` is the spool that is written now; `left` were given up by this process and hold what is not in the log yet. */
  readonly spools?: { readonly folder: string; readonly key: Uint8Array; readonly own: string; readonly left: readonly string[] }
  /** The log was open in this process before: it is never begun anew. */
  readonly began?: boolean
  /** Int32[0] is 1 while the worker looks again by itself, or a wake is on its way: the recording thread posts none. */
  readonly flag: SharedArrayBuffer
  /** The text of the tlog-policy whose witnesses are asked while the log is written. */
  readonly policy?: string
  /** Marks an Absent in answers; random. */
  readonly mark: string
}

/** What is asked for now and then, of what other processes recorded: nothing of this one has to be on record for it, and an answer is no sign that the log moves. */
export const GLANCES: ReadonlySet<string> = new Set(['approval', 'interventions', 'notices'])

export type ToWorker =
  | { readonly kind: 'wake' }
  /** Trails in memory have no spool: the draft itself. */
  | { readonly kind: 'draft'; readonly draft: Uint8Array }
  /** The recording thread writes into this spool from now on; what it wrote before stays to be drained. */
  | { readonly kind: 'spool'; readonly own: string }
  /** Answers when the event is on record, at the latest once `spool` is drained to `offset`. */
  | { readonly kind: 'wait'; readonly id: number; readonly event_id: string; readonly spool: string; readonly offset: number }
  /** Encoded drafts one after the other, and how long each is; they pass by the spool. Answered as a `Handing`. */
  | { readonly kind: 'append'; readonly id: number; readonly writer: string; readonly bytes: Uint8Array; readonly lengths: readonly number[]; readonly stamped: readonly boolean[] }
  | { readonly kind: 'call'; readonly id: number; readonly method: string; readonly args: readonly unknown[] }

/** What became of the drafts of one `append`, in order. */
export type Handing = readonly ((Placed | Refused) & { readonly event_id: string })[]

export type FromWorker =
  /** `left`: the bytes of spools whose process is gone. */
  | { readonly kind: 'open'; readonly origin: string; readonly left: number }
  | { readonly kind: 'failed'; readonly error: ErrorData; readonly left: number }
  | { readonly kind: 'placed'; readonly id: number; readonly placed: Placed }
  | { readonly kind: 'refused'; readonly id: number; readonly error: ErrorData }
  | { readonly kind: 'value'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: ErrorData }
  /** `spools` are those that the worker reads, the last one is written now. */
  | { readonly kind: 'progress'; readonly size: number; readonly checkpoint: string; readonly spools: readonly Drained[] }
  /** The spool is not there any more, and was not in the log to its end. */
  | { readonly kind: 'missing'; readonly spool: string }
  | { readonly kind: 'witnessed'; readonly size: number }
  | { readonly kind: 'report'; readonly error: ErrorData }

/** An error as data. `message` is without its next step. */
export interface ErrorData { readonly type: 'store' | 'verify' | 'misuse' | 'other'; readonly code: string; readonly message: string; readonly next: string; readonly retry?: boolean; readonly first_bad_index?: number; readonly refused?: boolean; readonly stack?: string }

const FILE_CALLS = /^(open|read|write|fsync|fdatasync|ftruncate|unlink|rename|mkdir|rmdir|scandir|access|chmod|[fl]?stat)$/

export function errorData(error: unknown): ErrorData {
  if (error instanceof CounterfoilError || error instanceof MisuseError) {
    const suffix = error.next === '' ? '' : `; ${error.next}`
    const message = error.message.endsWith(suffix) ? error.message.slice(0, error.message.length - suffix.length) : error.message
    const type = error instanceof VerifyError ? 'verify' : error instanceof MisuseError ? 'misuse' : 'store'
    return {
      type, code: error.code, message, next: error.next,
      ...(error instanceof StoreError ? { retry: error.retry } : {}),
      ...(error instanceof VerifyError && error.first_bad_index !== undefined ? { first_bad_index: error.first_bad_index } : {}),
    }
  }
  const other = error as NodeJS.ErrnoException
  // a disk that fails is no defect of ours
  if (FILE_CALLS.test(other?.syscall ?? '')) return { type: 'store', code: 'disk_failed', message: `ledger: ${other.message}`, next: 'see to the disk; what was accepted goes into the log when it answers again', retry: true }
  return { type: 'other', code: 'internal', message: String(other?.message ?? error), next: 'this is a defect of Counterfoil: please report it', ...(other?.stack === undefined ? {} : { stack: other.stack }) }
}

/** The error that `data` was, thrown anew on this side. */
export function errorFrom(data: ErrorData): Error {
  const make = (): Error => {
    switch (data.type) {
      case 'verify': return new VerifyError(data.code, data.message, data.next, data.first_bad_index === undefined ? {} : { first_bad_index: data.first_bad_index })
      case 'misuse': return new MisuseError(data.code, data.message, data.next)
      case 'store': return new StoreError(data.code, data.message, data.next, { retry: data.retry ?? false })
      default: return new StoreError(data.code, `ledger: ${data.message}`, data.next, { cause: data.stack })
    }
  }
  const error = make()
  return data.refused === true ? Object.assign(error, { refused: true }) : error
}

/**
 * A structured clone loses the class of an Absent: it travels as `{[mark]: …}`, in place, and `unpackAbsent` makes it anew. `mark` is random,
 * one per worker: recorded content that looks like an Absent must not be read back as one.
 */
export function packAbsent<T>(value: T, mark: string): T {
  return mapAbsent(value, (each) => (each instanceof Absent ? { [mark]: each.toJSON() } : undefined)) as T
}

export function unpackAbsent<T>(value: T, mark: string): T {
  return mapAbsent(value, (each) => {
    const data = (each as { [mark: string]: { absent: Absent['reason']; by?: number } | undefined })[mark]
    return data === undefined ? undefined : new Absent(data.absent, data.by)
  }) as T
}

/**
 * `value` with each Absent of its outer levels (pages, events, lists) mapped; payload values are left as they are. What holds none stays the same
 * object, and what stands in several places stays one: the messages of a conversation are in the list of every call, and cross the thread once.
 */
function mapAbsent(value: unknown, map: (each: object) => unknown, depth = 0, seen: Map<object, unknown> = new Map()): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || depth > 5) return value
  const before = seen.get(value)
  if (before !== undefined) return before
  const mapped = map(value) ?? mapMembers(value, (each) => mapAbsent(each, map, depth + 1, seen))
  seen.set(value, mapped)
  return mapped
}

/** A copy of `value` where `map` changes a member, else `value` itself. */
function mapMembers(value: object, map: (each: unknown) => unknown): object {
  let out: object | undefined
  for (const [name, each] of Object.entries(value)) {
    const mapped = map(each)
    if (mapped === each) continue
    out ??= Array.isArray(value) ? [...(value as unknown[])] : Object.create(Object.getPrototypeOf(value) as object | null, Object.getOwnPropertyDescriptors(value)) as object
    Object.defineProperty(out, name, { value: mapped, enumerable: true, writable: true, configurable: true }) // a name may be __proto__
  }
  return out ?? value
}
