// A ledger as the recording thread holds it: a spool to append to, a worker that drains it, and promises for what is waited for. The same file
// opened twice in one process is one ledger.

import { existsSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import { CounterfoilError, MisuseError, StoreError } from '../base/errors.ts'
import { randomRef } from '../base/ids.ts'
import { removeSpool } from '../spool/folder.ts'
import { createSpool, type SpoolWriter } from '../spool/writer.ts'
import { stateHome } from '../vault/paths.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../vault/spool-key.ts'
import { errorFrom, unpackAbsent, type ErrorData, type FromWorker, type Start, type ToWorker } from './message.ts'
import { readPolicyText } from './policy-file.ts'
import { signerUrl } from './signer-module.ts'
import { workerSource } from './worker-source.ts'

export type Level = 'accepted' | 'spooled' | 'durable' | 'witnessed'
export interface Receipt { readonly event_id: string; readonly level: Level; readonly index?: number; readonly entry_hash?: string; readonly checkpoint?: string }
export interface LedgerStatus { readonly origin: string; readonly size: number; readonly accepted: number; readonly spooled: number; readonly last_checkpoint: string | null; readonly witnessed: number | null }

/** A spool this long is left to be drained and removed, and a new one begun: a process that runs for a year must not keep everything twice. */
const SPOOL_BYTES: number = 64 * 1024 * 1024
/** A worker that died is started again by the next event, not more often than this. */
const RESTART_MS = 1_000

interface Waiting { readonly event_id?: string; readonly resolve: (value: never) => void; readonly reject: (error: Error) => void }

/** `passphrase` of the log's keys and `signer`, a module: where they are not said, `$COUNTERFOIL_PASSPHRASE` and `$COUNTERFOIL_SIGNER`. `witness` is the path of a tlog-policy. */
export interface LocalOptions { readonly home?: string; readonly spool?: string; readonly passphrase?: string; readonly signer?: string | URL; readonly witness?: string }

/** Ledgers open in this process by real path; on `globalThis`, since a bundle, a hot reload or a second copy of the package is the same process. */
const REGISTRY: unique symbol = Symbol.for('counterfoil.ledgers/1') as never

/**
 * The ledger of the database at `path` (or `:memory:`). Synchronous: it looks at the folder and at the spool key only; the log itself is opened in the
 * worker, and what is wrong with it rejects `ready()`. Throws a StoreError for a folder that is missing or cannot be written.
 */
export function openLedger(path: string, options: LocalOptions = {}): LocalLedger {
  const policy = options.witness === undefined ? undefined : readPolicyText(options.witness)
  if (path === ':memory:') return new LocalLedger(path, undefined, policy === undefined ? {} : { policy })
  const file = locate(path)
  const registry = ((globalThis as { [REGISTRY]?: Map<string, LocalLedger> })[REGISTRY] ??= new Map())
  const known = registry.get(file)
  if (known !== undefined && !known.closing) {
    if (options.home !== undefined && options.home !== known.home) throw new MisuseError('other_home', `ledger: expected the state folder ${known.home}, with which this process has ${file} open, got ${options.home}`, 'open it with the same home, or close it first')
    if (policy !== undefined && policy !== known.policy) throw new MisuseError('other_policy', `ledger: this process has ${file} open ${known.policy === undefined ? 'without witnesses' : 'under another policy'}`, 'open it with the same policy, or close it first')
    return known.again()
  }
  const given = { ...secretsOf(options), ...(policy === undefined ? {} : { policy }) }
  const ledger: LocalLedger = new LocalLedger(file, options.home ?? stateHome(), given, options.spool, () => {
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

function leave(path: string, spool: string): void {
  const left = ((globalThis as { [LEFT]?: Map<string, string[]> })[LEFT] ??= new Map())
  left.set(path, [...(left.get(path) ?? []), spool])
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
  #spool: SpoolWriter | undefined
  readonly #newSpool: (() => SpoolWriter) | undefined
  readonly #flag = new SharedArrayBuffer(4)
  readonly #woken = new Int32Array(this.#flag)
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
  #accepted = 0
  #origin = ''
  #size = 0
  #checkpoint: string | null = null
  #witnessed: number | null = null
  #drained = 0
  #failed: Error | undefined
  #ready: { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void }
  #closing: Promise<void> | undefined
  closed = false

  /** Use `openLedger`. */
  constructor(path: string, home: string | undefined, given: Pick<Start, 'passphrase' | 'signer' | 'policy'>, spoolFolder?: string, onClosed: () => void = () => {}) {
    this.path = path
    this.home = home
    this.policy = given.policy
    this.#onClosed = onClosed
    const folder = spoolFolder ?? `${path}.spool`
    const key = home === undefined ? undefined : openSpoolKey(home)
    this.#newSpool = key === undefined ? undefined : () => createSpool(folder, { origin: SPOOL_ORIGIN, key })
    this.#spool = this.#newSpool?.()
    this.#start = { path, flag: this.#flag, mark: randomRef(), ...given, ...(home === undefined ? {} : { home }), ...(key === undefined || this.#spool === undefined ? {} : { spools: { folder, key, own: this.#spool.id, left: takeLeft(path) } }) }
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

  /** Takes an encoded draft, and copies what it keeps: one synchronous append to the spool. Throws a StoreError when it cannot be taken. */
  accept(_event_id: string, draft: Uint8Array): void {
    if (this.closing) throw closedError()
    if (this.#spool === undefined) {
      this.#tell({ kind: 'draft', draft: draft.slice() })
      this.#accepted++
      return
    }
    if (this.#spool.end > SPOOL_BYTES) this.#renewSpool()
    try {
      this.#spool.append(draft)
    } catch (error) {
      // A file that cannot be continued is left to be drained; the next event goes into a new one.
      if (error instanceof StoreError && error.code === 'spool_failed' && !error.retry) this.#renewSpool()
      throw error
    }
    this.#accepted++
    if (this.#worker === undefined && performance.now() - this.#ran > RESTART_MS) this.#run()
    if (Atomics.exchange(this.#woken, 0, 1) === 0) this.#tell({ kind: 'wake' })
  }

  /** Resolves when the event has reached `level`. */
  async reach(event_id: string, level: Level): Promise<Receipt> {
    if (level === 'accepted') return { event_id, level }
    if (level === 'witnessed') {
      const durable = await this.reach(event_id, 'durable')
      return { ...durable, level, checkpoint: await this.call<string>('witnessed', durable.index) }
    }
    if (level === 'spooled' && this.#spool !== undefined) {
      await this.#spool.sync()
      return { event_id, level }
    }
    const placed = await this.#ask<{ index: number; entry_hash: string; checkpoint: string }>((id) => ({ kind: 'wait', id, event_id, spool: this.#spool?.id ?? '', offset: this.#spool?.end ?? 0 }), event_id)
    return { event_id, level: 'durable', ...placed }
  }

  /** Calls a method of the ledger's service (`service.ts`). */
  call<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    return this.#ask<T>((id) => ({ kind: 'call', id, method, args }))
  }

  status(): LedgerStatus {
    return { origin: this.#origin, size: this.#size, accepted: this.#accepted, spooled: Math.max(0, (this.#spool?.end ?? 0) - this.#drained), last_checkpoint: this.#checkpoint, witnessed: this.#witnessed }
  }

  /** Puts what was accepted into the log, and closes it when the last holder closes. */
  close(): Promise<void> {
    if (--this.#holders > 0) return this.call('flush')
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    const end = this.#spool?.end ?? 0
    this.#spool?.close()
    try {
      // What was accepted and is not in the log makes one more attempt; a log that never opened has nothing to close.
      if (end > this.#drained || (this.#worker !== undefined && this.#failed === undefined)) {
        await this.#send((id) => ({ kind: 'call', id, method: 'close', args: [] }))
        if (this.#spool !== undefined && this.#drained >= end) removeSpool(this.#spool.path)
        else if (this.#spool !== undefined && end > 0) throw new StoreError('not_drained', 'ledger: not everything that was accepted is in the log', 'it is in the spool; open the trail again')
      }
    } catch (error) {
      if (this.#spool !== undefined && end > 0) leave(this.path, this.#spool.id)
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

  /** Writes into a new file from now on; the worker drains the old one to its end and removes it. */
  #renewSpool(): void {
    if (this.#newSpool === undefined) return
    this.#spool?.close()
    this.#spool = this.#newSpool()
    this.#drained = 0
    this.#start = { ...this.#start, spools: { ...this.#start.spools!, left: [...this.#start.spools!.left, this.#start.spools!.own], own: this.#spool.id } }
    this.#tell({ kind: 'spool', own: this.#spool.id })
    Atomics.store(this.#woken, 0, 0) // the next event says that the file is there
  }

  #ask<T>(message: (id: number) => ToWorker, event_id?: string): Promise<T> {
    return this.closing ? Promise.reject(closedError()) : this.#send(message, event_id)
  }

  #send<T>(message: (id: number) => ToWorker, event_id?: string): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const id = this.#next++
      this.#waiting.set(id, { resolve, reject, ...(event_id === undefined ? {} : { event_id }) })
      if (this.#worker === undefined) this.#run()
      this.#hold()
      this.#tell(message(id))
    })
  }

  #hear(message: FromWorker): void {
    switch (message.kind) {
      case 'open':
        this.#origin = message.origin
        if (this.#failed !== undefined) this.#ready = newReady() // it failed before, and opened at a later attempt
        this.#failed = undefined
        this.#ready.resolve()
        return
      case 'failed':
        this.#failed = errorFrom(message.error)
        this.#ready.reject(this.#failed)
        return
      case 'progress':
        this.#size = message.size
        this.#checkpoint = message.checkpoint
        if (message.spool === (this.#spool?.id ?? '')) this.#drained = message.drained
        return
      case 'witnessed':
        this.#witnessed = message.size
        return
      case 'report':
        if (message.error.code === 'spool_missing') this.#renewSpool()
        this.#report(message.error)
        return
      case 'placed': return this.#settle(message.id, (waiting) => waiting.resolve(message.placed as never))
      case 'value': return this.#settle(message.id, (waiting) => waiting.resolve(unpackAbsent(message.value, this.#start.mark) as never))
      case 'refused':
      case 'error': return this.#settle(message.id, (waiting) => waiting.reject(errorFrom(message.error)))
    }
  }

  #settle(id: number, how: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    this.#release()
    how(waiting)
  }

  #report(data: ErrorData): void {
    const error = errorFrom(data)
    const problem = error instanceof CounterfoilError ? error : new StoreError(data.code, data.message, data.next)
    for (const report of this.#reports) report(problem)
  }

  #lost(error: StoreError): void {
    this.#worker = undefined
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
    if (this.#held++ === 0) this.#worker?.ref()
  }
  #release(): void {
    if (--this.#held === 0) this.#worker?.unref()
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
