// What this process accepted and the log does not have yet: bytes, events, and since when. It counts for every event that is recorded, so
// accepting one costs a few additions; the time is kept for stretches of the file, not for each event.

import { performance } from 'node:perf_hooks'

/** How far one spool is in the log: `drained` is an offset, `events` how many this worker has put there out of it. A trail in memory has one, with the id ''. */
export interface Drained { readonly id: string; readonly drained: number; readonly events: number }

/** What may wait for the log, unless `openTrail` says otherwise: at this many bytes nothing more is accepted. */
export const BACKLOG_BYTES: number = 1024 * 1024 * 1024

/** A stretch gets a time of its own after this long. */
const STRETCH_MS = 50
/** Stretches kept; beyond it two become one, and a stretch twice as long. */
const STRETCHES_KEPT = 1_000

/** One spool of this process. `base`: where it begins in all that was written; `before`: events that workers before this one put into the log; `known`: a worker has spoken of it. */
interface Part { readonly id: string; readonly base: number; end: number; drained: number; taken: number; settled: number; before: number; known: boolean }

export class Backlog {
  /** In the order of writing; the last one is written now. */
  #parts: Part[] = []
  #current: Part
  /** Bytes in the parts before the last. */
  #older = 0
  #stretches: { readonly from: number; readonly at: number }[] = []
  #stretchMs = STRETCH_MS
  #last = -Infinity
  readonly #now: () => number

  /** `left` are spools of this process that an earlier ledger gave up: their bytes are known, not their events. `now` in milliseconds, monotonic. */
  constructor(own: string, left: readonly { readonly id: string; readonly bytes: number }[] = [], now: () => number = () => performance.now()) {
    this.#now = now
    for (const { id, bytes } of left) this.#add(id).end = bytes
    this.#current = this.#add(own)
    this.#sum()
    if (this.#older > 0) this.#stretches.push({ from: 0, at: now() })
  }

  /** An event was written into the spool that is written now, which ends at `end` since. */
  took(end: number): void {
    const part = this.#current
    const now = this.#now()
    if (now - this.#last >= this.#stretchMs || part.drained >= part.end) this.#stretch(part.base + part.end, now)
    part.end = end
    part.taken++
  }

  /** The next event goes into the spool `id`. */
  renewed(id: string): void {
    this.#current = this.#add(id)
    this.#sum()
  }

  /** What the worker says of its spools, all that it has left to read. */
  reached(spools: readonly Drained[]): void {
    for (const part of this.#parts) {
      const found = spools.find(({ id }) => id === part.id)
      if (found === undefined) {
        if (part !== this.#current && part.known) part.drained = part.end // it was put into the log to its end, and removed
        continue
      }
      part.known = true
      part.drained = Math.max(part.drained, found.drained)
      part.settled = part.before + found.events
    }
    this.#sum()
  }

  /** Another worker counts from 0. */
  restarted(): void {
    for (const part of this.#parts) part.before = part.settled
  }

  /** The spool `id` is no more: what was in it and not in the log is lost. Gives the number of events. */
  lost(id: string): number {
    const part = this.#parts.find((one) => one.id === id)
    if (part === undefined) return 0
    const events = waitingIn(part)
    part.drained = part.end
    this.#sum()
    return events
  }

  get bytes(): number {
    return this.#older + this.#current.end - this.#current.drained
  }

  get events(): number {
    return this.#parts.reduce((sum, part) => sum + waitingIn(part), 0)
  }

  /** The age of the oldest event that waits, in milliseconds, 50 too much at most while the log keeps up; 0 when none waits. */
  get oldestMs(): number {
    const first = this.#parts.find(({ end, drained }) => end > drained)
    if (first === undefined) return 0
    this.#forget(first.base + first.drained)
    return Math.max(0, Math.round(this.#now() - (this.#stretches[0]?.at ?? this.#now())))
  }

  /** The spools that are not in the log to their end, but for the one that is written now. */
  get unfinished(): string[] {
    return this.#parts.filter((part) => part !== this.#current).map(({ id }) => id)
  }

  #add(id: string): Part {
    const last = this.#parts.at(-1)
    const part: Part = { id, base: last === undefined ? 0 : last.base + last.end, end: 0, drained: 0, taken: 0, settled: 0, before: 0, known: false }
    this.#parts.push(part)
    return part
  }

  #sum(): void {
    this.#parts = this.#parts.filter((part) => part === this.#current || part.end > part.drained)
    this.#older = 0
    for (const part of this.#parts) if (part !== this.#current) this.#older += part.end - part.drained
  }

  #stretch(from: number, at: number): void {
    this.#last = at
    const first = this.#parts.find(({ end, drained }) => end > drained)
    if (first === undefined) [this.#stretches, this.#stretchMs] = [[], STRETCH_MS]
    else this.#forget(first.base + first.drained)
    this.#stretches.push({ from, at })
    if (this.#stretches.length <= STRETCHES_KEPT) return
    this.#stretches = this.#stretches.filter((_, i) => i % 2 === 0)
    this.#stretchMs *= 2
  }

  /** Drops the stretches that end before `from`. */
  #forget(from: number): void {
    const keep = this.#stretches.findIndex((_, i) => (this.#stretches[i + 1]?.from ?? Infinity) > from)
    if (keep > 0) this.#stretches.splice(0, keep)
  }
}

function waitingIn({ end, drained, taken, settled }: Part): number {
  return drained >= end ? 0 : Math.max(0, taken - settled)
}
