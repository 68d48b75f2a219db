// What an act waits for before it happens, and what happens when that cannot be had (DESIGN §9).

import type { Risk } from '../event/vocabulary.ts'
import type { Level } from './sink.ts'

/** `block`: no act without the level waited for. `buffer`: accepted in the spool is enough. `continue`: the act goes on even so, and is counted. */
export type Failure = 'block' | 'buffer' | 'continue'

/** `patience`: how long an act waits for a log in which nothing moves, in milliseconds; then it is as if the log had failed. */
export interface Policy { readonly wait: Readonly<Record<Risk, Level>>; readonly failure: Readonly<Record<Risk, Failure>>; readonly patience: number }

/** On a local trail every tool waits for `durable`; only acts of risk high and critical are held back when the log cannot take them. */
export const LOCAL_POLICY: Policy = {
  wait: { low: 'durable', medium: 'durable', high: 'durable', critical: 'durable' },
  failure: { low: 'buffer', medium: 'buffer', high: 'block', critical: 'block' },
  patience: 30_000,
}

/**
 * Where the log is a server's: acts of risk high and critical wait for its receipt, the others for a spool that was fsynced, so that no agent waits for the
 * network before an everyday act.
 */
export const REMOTE_POLICY: Policy = { ...LOCAL_POLICY, wait: { low: 'spooled', medium: 'spooled', high: 'durable', critical: 'durable' } }
