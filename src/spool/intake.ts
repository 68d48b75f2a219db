// What a recording thread holds of its way into a log, or to a server: the spool that it writes into, what waits in it and in the ones before it, the
// bound on that, and the flag by which the thread that drains them is woken.

import { statSync } from 'node:fs'
import { join } from 'node:path'
import { StoreError } from '../base/errors.ts'
import { Backlog } from './backlog.ts'
import { deadBytes } from './folder.ts'
import { createSpool, type SpoolWriter } from './writer.ts'

/**
 * `bound`: the most bytes that may wait. `left`: spools that an earlier holder in this process gave up. `begin` is called before a spool's file is
 * made: what it throws refuses the event. `renewed` is told that another spool is written from now on, and which others are not drained.
 */
export interface IntakeOptions {
  readonly folder: string
  readonly origin: string
  readonly key: Uint8Array
  readonly bound: number
  readonly left: readonly string[]
  readonly begin?: () => void
  readonly renewed: (own: string, left: readonly string[]) => void
}

/** A spool this long is left to be drained and removed, and a new one begun: a process that runs for a year must not keep everything twice. */
const SPOOL_BYTES: number = 64 * 1024 * 1024
/** What processes that are gone left is looked at again this often, while it keeps events from being accepted. */
const LEFT_MS = 1_000

export class Intake {
  readonly backlog: Backlog
  /** Not 0 while the draining thread knows that something came. */
  readonly flag: SharedArrayBuffer = new SharedArrayBuffer(4)
  /** Bytes that processes that are gone left in the folder, as far as that is known: they count against the bound. */
  dead = 0
  readonly #options: IntakeOptions
  readonly #woken: Int32Array = new Int32Array(this.flag)
  #spool: SpoolWriter
  #accepted = 0
  #lost = 0
  #deadAt = -Infinity

  constructor(options: IntakeOptions) {
    const { folder, left } = options
    this.#options = options
    this.#spool = this.#make()
    this.backlog = new Backlog(this.#spool.id, left.map((id) => ({ id, bytes: statSync(join(folder, id), { throwIfNoEntry: false })?.size ?? 0 })))
  }

  /** The spool that is written now. */
  get spool(): SpoolWriter {
    return this.#spool
  }

  /** Events that were appended. */
  get accepted(): number {
    return this.#accepted
  }

  /** Events whose spool was removed before they were drained. */
  get lost(): number {
    return this.#lost
  }

  /** Whether so much waits that nothing more may. What comes must find the disk with room for what it needs to go on. */
  isFull(): boolean {
    const { folder, bound } = this.#options
    if (this.backlog.bytes + this.dead < bound) return false
    if (this.dead > 0 && performance.now() - this.#deadAt > LEFT_MS) {
      this.#deadAt = performance.now()
      this.dead = deadBytes(folder)
    }
    return this.backlog.bytes + this.dead >= bound
  }

  /** One synchronous append; whether the draining thread is to be woken. Throws what `SpoolWriter.append` does, and goes on in a new file where the old one cannot be continued. */
  append(draft: Uint8Array): boolean {
    if (this.#spool.end > SPOOL_BYTES) this.renew()
    if (this.#spool.end === 0) this.#options.begin?.()
    try {
      this.backlog.took(this.#spool.append(draft))
    } catch (error) {
      if (error instanceof StoreError && error.code === 'spool_failed' && !error.retry) this.renew()
      throw error
    }
    this.#accepted++
    return Atomics.exchange(this.#woken, 0, 1) === 0
  }

  /** Writes into a new file from now on; the old one is drained to its end and removed. */
  renew(): void {
    this.#spool.close()
    this.#spool = this.#make()
    this.backlog.renewed(this.#spool.id)
    this.#options.renewed(this.#spool.id, this.backlog.unfinished)
    Atomics.store(this.#woken, 0, 0) // the next event says that the file is there
  }

  /** The spool `id` is not there any more: what it held is lost, and what comes goes into a new one. How many events that were. */
  forget(id: string): number {
    const lost = this.backlog.lost(id)
    this.#lost += lost
    if (id === this.#spool.id) this.renew()
    return lost
  }

  /** The spools that wait to be drained when this holder ends. */
  get unfinished(): string[] {
    return [...this.backlog.unfinished, ...(this.#spool.end > 0 ? [this.#spool.id] : [])]
  }

  #make(): SpoolWriter {
    const { folder, origin, key } = this.#options
    return createSpool(folder, { origin, key })
  }
}
