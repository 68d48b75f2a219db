// A ledger as the recording thread holds it: a spool to append to, a worker that drains it, and promises for what is waited for. The same file
// opened twice in one process is one ledger.

import { existsSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import { CounterfoilError, MisuseError, StoreError } from '../base/errors.ts'
import { concat } from '../base/bytes.ts'
import { randomRef } from '../base/ids.ts'
import { label } from '../event/label.ts'
import { Backlog, BACKLOG_BYTES } from '../spool/backlog.ts'
import { removeSpool } from '../spool/folder.ts'
import { Intake } from '../spool/intake.ts'
import { stateHome } from '../vault/paths.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../vault/spool-key.ts'
import type { Refused } from './batch.ts'
import { checkNotGone } from './gone.ts'
import { errorFrom, GLANCES, unpackAbsent, type ErrorData, type FromWorker, type Handing, type Start, type ToWorker } from './message.ts'
import { readPolicyText } from './policy-file.ts'
import { signerUrl } from './signer-module.ts'
import { workerSource } from './worker-source.ts'

export type Level = 'accepted' | 'spooled' | 'durable' | 'witnessed'
export interface Receipt { readonly event_id: string; readonly level: Level; readonly index?: number; readonly entry_hash?: string; readonly checkpoint?: string }
/** An event that is not on record, and why. */
export interface RefusedEvent extends Refused { readonly event_id: string }
/** `spooled` and `waiting`: bytes and events accepted and not in the log; `oldest_ms`: for how long the oldest of them; `backlog`: the bound; `left`: bytes of processes that are gone, which count against it; `lost`: events accepted whose spool was removed; `handed`: bytes handed in around the spool and not answered. */
export interface LedgerStatus {
  readonly origin: string; readonly size: number; readonly accepted: number; readonly spooled: number; readonly waiting: number; readonly oldest_ms: number; readonly backlog: number; readonly left: number; readonly lost: number; readonly handed: number
  readonly last_checkpoint: string | null; readonly witnessed: number | null
}

/** How long nothing may move before that is reported, while somebody waits. */
const STALLED_MS = 30_000
/** A long call (a verification) keeps the worker from everything else: nothing is said to have stopped for this long. */
const CALL_MS = 600_000
const LONG_CALLS: ReadonlySet<string> = new Set(['verify', 'export', 'erase', 'renewKek', 'copy'])
/** How often what waits is looked at. */
const LOOK_MS = 500
/** A worker that died is started again by the next event, not more often than this. */
const RESTART_MS = 1_000

/** `since`: the look before which it began. `patience`: when the ledger does not move for so long, it waits no more. `long`: what it asks for may take its time. `glance`: its answer is no sign that the log moves. */
interface Waiting { readonly since: number; readonly patience: number; readonly long: boolean; readonly glance: boolean; readonly resolve: (value: never) => void; readonly reject: (error: Error) => void }

/** `passphrase` of the log's keys and `signer`, a module: where they are not said, `$COUNTERFOIL_PASSPHRASE` and `$COUNTERFOIL_SIGNER`. `witness` is the path of a tlog-policy. `backlog`: the most bytes that wait for the log. */
export interface LocalOptions { readonly home?: string; readonly spool?: string; readonly backlog?: number; readonly passphrase?: string; readonly signer?: string | URL; readonly witness?: string }

/** Ledgers open in this process by real path; on `globalThis`, since a bundle, a hot reload or a second copy of the package is the same process. */
const REGISTRY: unique symbol = Symbol.for('counterfoil.ledgers/1') as never

/**
 * The ledger of the database at `path` (or `:memory:`). Synchronous: it looks at the folder and at the spool key only; the log itself is opened in the
 * worker, and what is wrong with it rejects `ready()`. Throws a StoreError for a folder that is missing or cannot be written.
 */
export function openLedger(path: string, options: LocalOptions = {}): LocalLedger {
  const policy = options.witness === undefined ? undefined : readPolicyText(options.witness)
  const { backlog = BACKLOG_BYTES } = options
  if (path === ':memory:') return new LocalLedger(path, undefined, policy === undefined ? {} : { policy }, backlog)
  const file = locate(path)
  const registry = ((globalThis as { [REGISTRY]?: Map<string, LocalLedger> })[REGISTRY] ??= new Map())
  const known = registry.get(file)
  if (known !== undefined && !known.closing) {
    if (options.home !== undefined && options.home !== known.home) throw new MisuseError('other_home', `ledger: expected the state folder ${known.home}, with which this process has ${file} open, got ${options.home}`, 'open it with the same home, or close it first')
    if (policy !== undefined && policy !== known.policy) throw new MisuseError('other_policy', `ledger: this process has ${file} open ${known.policy === undefined ? 'without witnesses' : 'under another policy'}`, 'open it with the same policy, or close it first')
    if (options.backlog !== undefined && backlog !== known.backlog) throw new MisuseError('other_backlog', `ledger: this process has ${file} open with a backlog of ${known.backlog} bytes, got ${backlog}`, 'open it with the same backlog, or close it first')
    return known.again()
  }
  const given = { ...secretsOf(options), ...(policy === undefined ? {} : { policy }) }
  const ledger: LocalLedger = new LocalLedger(file, options.home ?? stateHome(), given, backlog, options.spool, () => {
    if (registry.get(file) === ledger) registry.delete(file)
  })
  registry.set(file, ledger)
  return ledger
}

function secretsOf({ passphrase = process.env['COUNTERFOIL_PASSPHRASE'] ?? '', signer = process.env['COUNTERFOIL_SIGNER'] ?? '' }: LocalOptions): Pick<Start, 'passphrase' | 'signer'> {
  return { ...(passphrase === '' ? {} : { passphrase }), ...(signer === '' ? {} : { signer: signerUrl(signer) }) }
}

/** Spools that this process closed before they were drained, by database: nobody else may drain them while it lives, so the next ledger here does. */
const LEFT: unique symbol = Symbol.for('counterfoil.left/1') as never

function leave(path: string, ...spools: readonly string[]): void {
  const left = ((globalThis as { [LEFT]?: Map<string, string[]> })[LEFT] ??= new Map())
  left.set(path, [...(left.get(path) ?? []), ...spools])
}

function takeLeft(path: string): string[] {
  const left = (globalThis as { [LEFT]?: Map<string, string[]> })[LEFT]
  const spools = left?.get(path) ?? []
  left?.delete(path)
  return spools
}

function locate(path: string): string {
  const full = resolve(path)
  const folder = dirname(full)
  if (!existsSync(folder)) throw new StoreError('no_folder', `ledger: expected the folder ${folder}, got none`, 'create it, or name another path')
  const stat = statSync(full, { throwIfNoEntry: false })
  if (stat !== undefined && !stat.isFile()) throw new StoreError('not_a_file', `ledger: expected a file at ${full}, got a ${stat.isDirectory() ? 'folder' : 'special file'}`, 'name a file')
  return stat === undefined ? join(realpathSync(folder), basename(full)) : realpathSync(full)
}

export class LocalLedger {
  readonly path: string
  readonly home: string | undefined
  /** The text of the policy whose witnesses are asked. */
  readonly policy: string | undefined
  /** Where events go; a trail in memory has none, and posts them. */
  readonly #intake: Intake | undefined
  /** The bound on what waits for the log, in bytes. */
  readonly backlog: number
  readonly #backlog: Backlog
  /** Time is counted in looks while somebody waits: a process that was suspended, or busy itself, is no ledger that does not answer. */
  #looks = 0
  /** The look before which the worker spoke last, and the one before which somebody began to wait. */
  #moved = 0
  #waits = 0
  #watch: NodeJS.Timeout | undefined
  #room: Promise<void> | undefined
  #makeRoom: () => void = () => {}
  readonly #waiting = new Map<number, Waiting>()
  readonly #onClosed: () => void
  readonly #reports = new Set<(problem: CounterfoilError) => void>()
  #worker: Worker | undefined
  #start: Start
  #ran = 0
  #next = 1
  #holders = 1
  /** The worker keeps the process alive while something is awaited, and only then. */
  #held = 0
  /** Drafts of a trail in memory, and their bytes. */
  #posted = { events: 0, bytes: 0 }
  /** Bytes of drafts that were handed in around the spool and are not answered. */
  #handed = 0
  readonly #grown = new Set<(size: number) => void>()
  #origin = ''
  #size = 0
  #checkpoint: string | null = null
  #witnessed: number | null = null
  #failed: Error | undefined
  #ready: { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void }
  #closing: Promise<void> | undefined
  closed = false

  /** Use `openLedger`. */
  constructor(path: string, home: string | undefined, given: Pick<Start, 'passphrase' | 'signer' | 'policy'>, backlog: number, spoolFolder?: string, onClosed: () => void = () => {}) {
    this.path = path
    this.home = home
    this.policy = given.policy
    this.backlog = backlog
    this.#onClosed = onClosed
    const folder = spoolFolder ?? `${path}.spool`
    const key = home === undefined ? undefined : openSpoolKey(home)
    const left = key === undefined ? [] : takeLeft(path)
    const beside = dirname(resolve(folder)) === dirname(path)
    this.#intake = key === undefined ? undefined : new Intake({ folder, origin: SPOOL_ORIGIN, key, bound: backlog, left, begin: () => { if (beside) this.#begin() }, renewed: (own, unfinished) => this.#renewed(own, unfinished) })
    this.#backlog = this.#intake?.backlog ?? new Backlog('')
    this.#start = { path, flag: this.#intake?.flag ?? new SharedArrayBuffer(4), mark: randomRef(), ...given, ...(home === undefined ? {} : { home }), ...(key === undefined || this.#intake === undefined ? {} : { spools: { folder, key, own: this.#intake.spool.id, left } }) }
    this.#ready = newReady()
    this.#run()
  }

  /** Whether it takes nothing any more. */
  get closing(): boolean {
    return this.#closing !== undefined
  }

  again(): this {
    this.#holders++
    return this
  }

  onReport(report: (problem: CounterfoilError) => void): void {
    this.#reports.add(report)
  }

  offReport(report: (problem: CounterfoilError) => void): void {
    this.#reports.delete(report)
  }

  #run(): void {
    const options = { workerData: this.#start, name: 'counterfoil', execArgv: [], stdin: false }
    const worker = 'code' in workerSource ? new Worker(workerSource.code, { ...options, eval: true }) : new Worker(workerSource.url, options)
    worker.on('message', (message: FromWorker) => this.#hear(message))
    worker.on('error', (error: Error) => this.#lost(new StoreError('worker_failed', `ledger: the worker thread failed: ${error.message}`, 'what was accepted is in the spool; open the trail again', { cause: error })))
    worker.on('exit', () => {
      const closed = this.closing && this.#waiting.size === 0 // it ends by itself when it has answered close()
      if (this.#worker === worker && !closed) this.#lost(new StoreError('worker_ended', 'ledger: the worker thread ended', 'what was accepted is in the spool; open the trail again'))
    })
    if (this.#held === 0) worker.unref() // last: a listener for messages holds the process again
    this.#worker = worker
    this.#ran = performance.now()
  }

  /** Resolves when the log is open. Rejects with what is wrong with it. */
  async ready(): Promise<void> {
    if (this.closing) throw closedError()
    this.#hold()
    try {
      if (this.#failed !== undefined) {
        // it failed before: ask once more, the cause may be gone
        this.#failed = undefined
        this.#ready = newReady()
        if (this.#worker === undefined) this.#run()
        else void this.call('flush').catch(() => {}) // it opens the log, or says again why not
      }
      await this.#ready.promise
    } finally {
      this.#release()
    }
  }

  /** Takes an encoded draft, and copies what it keeps: one synchronous append to the spool. Throws a StoreError when it cannot be taken: `spool_full` at the bound too. */
  accept(_event_id: string, draft: Uint8Array): void {
    if (this.closing) throw closedError()
    const intake = this.#intake
    if (intake?.isFull() ?? this.#backlog.bytes >= this.backlog) {
      this.#revive()
      throw new StoreError('spool_full', `ledger: expected less than ${this.backlog} bytes to wait for the log ${this.path}, got as many: it does not keep up`, 'counterfoil doctor says what waits since when; see to the disk of the log, or open the trail with a larger backlog', { retry: true })
    }
    if (intake === undefined) {
      this.#tell({ kind: 'draft', draft: draft.slice() })
      this.#posted.events++
      this.#backlog.took((this.#posted.bytes += draft.length))
      return
    }
    const wake = intake.append(draft)
    this.#revive()
    if (wake) this.#tell({ kind: 'wake' })
  }

  /** Before a spool's file is made on the disk of the log, for a log that was open before. */
  #begin(): void {
    if (this.#start.began === true) checkNotGone(this.path)
  }

  #renewed(own: string, left: readonly string[]): void {
    this.#start = { ...this.#start, spools: { ...this.#start.spools!, left, own } }
    this.#tell({ kind: 'spool', own })
  }

  #revive(): void {
    if (this.#worker === undefined && this.#intake !== undefined && performance.now() - this.#ran > RESTART_MS) this.#run()
  }

  /** Resolves when the event has reached `level`. With `patience` it rejects when the ledger does not move for so many milliseconds. */
  async reach(event_id: string, level: Level, patience: number = Infinity): Promise<Receipt> {
    if (level === 'accepted') return { event_id, level }
    if (level === 'witnessed') {
      const durable = await this.reach(event_id, 'durable', patience)
      return { ...durable, level, checkpoint: await this.call<string>('witnessed', durable.index) }
    }
    const spool = this.#intake?.spool
    if (level === 'spooled' && spool !== undefined) {
      await within(spool.sync(), patience, () => stalled(spool.path, patience))
      return { event_id, level }
    }
    const placed = await this.#ask<{ index: number; entry_hash: string; checkpoint: string }>((id) => ({ kind: 'wait', id, event_id, spool: spool?.id ?? '', offset: spool?.end ?? 0 }), { patience })
    return { event_id, level: 'durable', ...placed }
  }

  /**
   * Puts encoded drafts of `writer` into the log, around the spool: what several callers hand in meanwhile is one commit. Resolves when all of them are
   * durable or refused, one answer each, in order; rejects when one is malformed, and then none is stored, or when the log could not take them. To hand
   * in the same again is safe: (writer, event_id) is on record once. `stamped` says of which drafts the author gave no time.
   */
  async append(writer: string, drafts: readonly Uint8Array[], { stamped = [], patience = Infinity }: { stamped?: readonly boolean[]; patience?: number } = {}): Promise<(Receipt | RefusedEvent)[]> {
    label(writer, 'writer')
    if (drafts.length === 0) return []
    const bytes = concat(...drafts)
    if (this.#handed + bytes.length > this.backlog && this.#handed > 0) throw new StoreError('too_much_waits', `ledger: expected less than ${this.backlog} bytes to wait for the log ${this.path}, got as many: it does not keep up`, 'hand in the same again in a moment', { retry: true })
    const { length } = bytes
    this.#handed += length
    try {
      const answers = await this.#ask<Handing>((id) => ({ kind: 'append', id, writer, bytes, lengths: drafts.map((draft) => draft.length), stamped }), { patience })
      return answers.map((answer) => ('refused' in answer ? answer : { ...answer, level: 'durable' }))
    } finally {
      this.#handed -= length
    }
  }

  /** Calls `grown` with the log's size whenever this process put something into it. Returns how to end that. */
  onGrown(grown: (size: number) => void): () => void {
    this.#grown.add(grown)
    return () => this.#grown.delete(grown)
  }

  /** Above half of the bound: resolves when less waits, when the ledger failed, or after `patience` milliseconds without a move. Undefined below. */
  room(patience: number): Promise<void> | undefined {
    if (this.closing || this.#backlog.bytes < this.backlog / 2) return undefined
    return (this.#room ??= new Promise<void>((resolve) => {
      this.#makeRoom = () => {
        this.#room = undefined
        resolve()
      }
      // whoever is told to go on hears of a failure where the policy has its say
      this.#ask((id) => ({ kind: 'call', id, method: 'flush', args: [] }), { patience }).then(this.#makeRoom, this.#makeRoom)
    }))
  }

  /** Calls a method of the ledger's service (`service.ts`). */
  call<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    return this.#ask<T>((id) => ({ kind: 'call', id, method, args }), { long: LONG_CALLS.has(method), glance: GLANCES.has(method) })
  }

  status(): LedgerStatus {
    const { bytes, events, oldestMs } = this.#backlog
    return { origin: this.#origin, size: this.#size, accepted: this.#intake?.accepted ?? this.#posted.events, spooled: bytes, waiting: events, oldest_ms: oldestMs, backlog: this.backlog, left: this.#intake?.dead ?? 0, lost: this.#intake?.lost ?? 0, handed: this.#handed, last_checkpoint: this.#checkpoint, witnessed: this.#witnessed }
  }

  /** Puts what was accepted into the log, and closes it when the last holder closes. */
  close(): Promise<void> {
    if (--this.#holders > 0) return this.call('flush')
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    const intake = this.#intake
    intake?.spool.close()
    try {
      // What was accepted and is not in the log makes one more attempt; a log that never opened has nothing to close.
      if (this.#backlog.bytes > 0 || (this.#worker !== undefined && this.#failed === undefined)) {
        await this.#send((id) => ({ kind: 'call', id, method: 'close', args: [] }))
        if (intake !== undefined && this.#backlog.bytes === 0) removeSpool(intake.spool.path)
        else if (intake !== undefined) throw new StoreError('not_drained', 'ledger: not everything that was accepted is in the log', 'it is in the spool; open the trail again')
      }
    } catch (error) {
      if (intake !== undefined) leave(this.path, ...intake.unfinished)
      throw error
    } finally {
      this.closed = true
      this.#onClosed()
      const worker = this.#worker
      this.#worker = undefined
      await worker?.terminate()
      this.#dropWaiting(closedError())
    }
  }

  #ask<T>(message: (id: number) => ToWorker, how: { patience?: number; long?: boolean; glance?: boolean } = {}): Promise<T> {
    return this.closing ? Promise.reject(closedError()) : this.#send(message, how)
  }

  #send<T>(message: (id: number) => ToWorker, { patience = Infinity, long = false, glance = false }: { patience?: number; long?: boolean; glance?: boolean } = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const id = this.#next++
      this.#waiting.set(id, { since: this.#looks, patience, long, glance, resolve, reject })
      if (this.#worker === undefined) this.#run()
      this.#hold()
      this.#tell(message(id))
    })
  }

  /** Says when what is waited for does not move, and lets those go who wait no longer. */
  #look(): void {
    if (this.#held === 0) {
      clearInterval(this.#watch)
      this.#watch = undefined
      return
    }
    this.#looks++
    const waiting = [...this.#waiting]
    const most = waiting.some(([, { long }]) => long) ? CALL_MS : 0
    const quietMs = (since: number): number => (this.#looks - Math.max(since, this.#moved) - 1) * LOOK_MS
    for (const [id, { since, patience }] of waiting) {
      if (quietMs(since) >= Math.max(patience, most)) this.#settle(id, ({ reject }) => reject(stalled(this.path, patience)))
    }
    if (quietMs(this.#waits) < Math.max(STALLED_MS, most)) return
    for (const report of this.#reports) report(stalled(this.path, STALLED_MS))
  }

  #hear(message: FromWorker): void {
    if (!('id' in message && this.#waiting.get(message.id)?.glance === true)) this.#moved = this.#looks
    switch (message.kind) {
      case 'open':
        this.#origin = message.origin
        if (this.path !== ':memory:') this.#start = { ...this.#start, began: true }
        if (this.#intake !== undefined) this.#intake.dead = message.left
        if (this.#failed !== undefined) this.#ready = newReady() // it failed before, and opened at a later attempt
        this.#failed = undefined
        this.#ready.resolve()
        return
      case 'failed':
        this.#failed = errorFrom(message.error)
        this.#ready.reject(this.#failed)
        if (this.#intake !== undefined) this.#intake.dead = message.left
        return
      case 'progress':
        if (message.size !== this.#size) for (const grown of this.#grown) grown(message.size)
        this.#size = message.size
        this.#checkpoint = message.checkpoint
        this.#backlog.reached(message.spools)
        if (this.#room !== undefined && this.#backlog.bytes < this.backlog / 2) this.#makeRoom()
        return
      case 'missing':
        this.#forget(message.spool)
        return
      case 'witnessed':
        this.#witnessed = message.size
        return
      case 'report':
        this.#lookFor(message.error)
        this.#report(message.error)
        return
      case 'placed': return this.#settle(message.id, (waiting) => waiting.resolve(message.placed as never))
      case 'value': return this.#settle(message.id, (waiting) => waiting.resolve(unpackAbsent(message.value, this.#start.mark) as never))
      case 'refused':
      case 'error':
        this.#lookFor(message.error)
        return this.#settle(message.id, (waiting) => waiting.reject(errorFrom(message.error)))
    }
  }

  #settle(id: number, how: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    this.#release()
    how(waiting)
  }

  /** Whether a trail that is gone took the spool with it, or was only moved: then what is written into it comes back with it. */
  #lookFor({ code }: ErrorData): void {
    if (code === 'trail_gone' && this.#intake?.spool.deleted === true) this.#forget(this.#intake.spool.id)
  }

  /** The spool is not there any more: what it held for the log is lost, and what comes goes into a new one. */
  #forget(id: string): void {
    const lost = this.#intake?.forget(id) ?? 0
    if (lost === 0) return
    const problem = new StoreError('spool_missing', `ledger: ${lost} accepted ${lost === 1 ? 'event is' : 'events are'} lost: the spool ${id} was removed before they were in the log`, 'keep cleaners away from the folder of spools; the log shows the gap')
    for (const report of this.#reports) report(problem)
  }

  #report(data: ErrorData): void {
    const error = errorFrom(data)
    const problem = error instanceof CounterfoilError ? error : new StoreError(data.code, data.message, data.next)
    for (const report of this.#reports) report(problem)
  }

  #lost(error: StoreError): void {
    this.#worker = undefined
    this.#backlog.restarted()
    this.#failed = error
    this.#ready.reject(error)
    if (!this.#dropWaiting(error)) for (const report of this.#reports) report(error)
  }

  /** Rejects everything that is waited for; false when that is nothing. */
  #dropWaiting(error: Error): boolean {
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of waiting) {
      this.#release()
      reject(error)
    }
    return waiting.length > 0
  }

  #tell(message: ToWorker): void {
    this.#worker?.postMessage(message)
  }

  #hold(): void {
    if (this.#held++ > 0) return
    this.#worker?.ref()
    this.#waits = this.#looks
    this.#watch ??= setInterval(() => this.#look(), LOOK_MS).unref()
  }

  #release(): void {
    if (--this.#held === 0) this.#worker?.unref()
  }
}

function stalled(path: string, ms: number): StoreError {
  return new StoreError('stalled', `ledger: nothing moved for ${ms / 1000} s while events wait to reach ${path}`, 'see to its disk, and to who else has the database open; they reach it when it answers', { retry: true })
}

/** As `promise`, but rejects with what `late` makes after `ms`. */
async function within<T>(promise: Promise<T>, ms: number, late: () => Error): Promise<T> {
  if (ms === Infinity) return promise
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([promise, new Promise<never>((_, reject) => { timer = setTimeout(() => reject(late()), ms) })])
  } finally {
    clearTimeout(timer)
  }
}

function closedError(): MisuseError {
  return new MisuseError('trail_closed', 'ledger: expected an open trail, got one that is closed', 'open it again with openTrail')
}

function newReady(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  const ready = Promise.withResolvers<void>()
  ready.promise.catch(() => {}) // whoever calls ready() hears of it
  return ready
}
