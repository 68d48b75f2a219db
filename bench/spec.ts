// What a child process is told to measure, and what it says back.

import type { LoadName } from './load.ts'

interface Place {
  readonly contender: string
  readonly folder: string
  readonly sink: string
  readonly sessions: number
  readonly seed: number
}

/** The acts as JSON, one a line: first those that are measured, then those that warm up. */
interface WithActs extends Place { readonly acts: string }

/** `everyMs` apart, or with 0 as fast as it goes; `warm` acts go before and are not counted. */
export interface CallerSpec extends WithActs { readonly mode: 'caller'; readonly load: LoadName; readonly count: number; readonly warm: number; readonly everyMs: number }
export interface DurableSpec extends WithActs { readonly mode: 'durable'; readonly load: LoadName; readonly count: number; readonly warm: number; readonly alone: number }
export interface GrowingSpec extends Place { readonly mode: 'growing'; readonly steps: number }
export interface EndingSpec extends WithActs { readonly mode: 'ending'; readonly load: LoadName; readonly count: number; readonly everyMs: number; readonly ending: Ending }
export interface CountSpec extends Place { readonly mode: 'count'; readonly count: number }
export type Spec = CallerSpec | DurableSpec | GrowingSpec | EndingSpec | CountSpec

/** `closed`: flushed and shut down in the documented way, then the natural end. */
export const ENDINGS = ['closed', 'end', 'exit', 'throw', 'reject', 'SIGTERM', 'SIGINT', 'SIGKILL'] as const
export type Ending = (typeof ENDINGS)[number]

export interface CallerResult {
  /** µs in the recording calls, one figure an act. */
  readonly times: readonly number[]
  /** The 99th percentile of the event loop's delay while acts were recorded, ms; null where there is no event loop. */
  readonly loopMs: number | null
  /** Processor time of the whole process, its threads included, until everything was settled; µs an act. */
  readonly cpu: number
  /** How far the resident memory's peak rose above where it began, bytes. */
  readonly rss: number
  /** Whether `settle` came to an end within its time. */
  readonly settled: boolean
}
/** `perSecond` of events (an act has two); `aloneUs`: one act and the wait until it is durable, µs. */
export interface DurableResult { readonly perSecond: number; readonly aloneUs: readonly number[] }
/** µs by step; `full`: the bytes of each step's request as JSON, added up. */
export interface GrowingResult { readonly caller: readonly number[]; readonly stringify: readonly number[]; readonly full: number }
export interface CountResult { readonly delivered: number; readonly halves: number; readonly whole: boolean | null }
export interface Results { readonly caller: CallerResult; readonly durable: DurableResult; readonly growing: GrowingResult; readonly ending: null; readonly count: CountResult }

/** No contender is waited for longer than this: "still sending" is a result. */
export const CAP_MS: number = 60_000
