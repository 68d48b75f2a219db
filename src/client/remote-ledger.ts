// A server's trail as the recording thread holds it: a spool to append to, a thread that sends it, and promises for what is waited for. It has the
// shape of a local ledger, so that a trail over it is the same trail. One server under one key is one of these in a process.

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { type CounterfoilError, MisuseError, RemoteError, StoreError } from '../base/errors.ts'
import type { Level, Receipt } from '../recorder/sink.ts'
import { BACKLOG_BYTES } from '../spool/backlog.ts'
import { Intake } from '../spool/intake.ts'
import { slugOf, stateHome } from '../vault/paths.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../vault/spool-key.ts'
import { errorFrom, type FromSender, type Start, type ToSender } from './message.ts'
import { removeSent } from './offset.ts'
import { Reader, type ReadOptions } from './reader.ts'
import { senderSource } from './sender-source.ts'
import type { Server } from './server.ts'

/** `home`: the state folder; `spool`: another folder for spools; `patience`: how long a wait lasts while the server is away, in milliseconds. */
export interface RemoteOptions extends ReadOptions { readonly home?: string; readonly spool?: string; readonly backlog?: number; readonly patience?: number }

/** As a local ledger's; `spooled`, `waiting` and `oldest_ms` are of what the server has not acknowledged. */
export interface RemoteStatus {
  readonly origin: string; readonly size: number; readonly accepted: number; readonly spooled: number; readonly waiting: number; readonly oldest_ms: number; readonly backlog: number; readonly left: number; readonly lost: number
  readonly last_checkpoint: string | null; readonly witnessed: number | null
}

const RESTART_MS = 1_000
const PATIENCE_MS = 30_000

interface Waiting { readonly resolve: (receipt: Receipt | undefined) => void; readonly reject: (error: Error) => void }

/** Open in this process, and spools that it closed before they were sent: on `globalThis`, since a second copy of the package is the same process. */
const REGISTRY: unique symbol = Symbol.for('counterfoil.remotes/1') as never
interface Registry { readonly open: Map<string, RemoteLedger>; readonly left: Map<string, string[]> }

function registry(): Registry {
  return ((globalThis as { [REGISTRY]?: Registry })[REGISTRY] ??= { open: new Map(), left: new Map() })
}

/** The trail of `server`. Synchronous: it looks at the state folder only; what the server says comes through `ready()`. */
export function openRemote(server: Server, options: RemoteOptions = {}): RemoteLedger {
  const home = options.home ?? stateHome()
  const about = join(home, 'servers', slugOf(server.url))
  // keys are random: their hash tells nothing, and two keys are two tenants until the server says otherwise
  const folder = options.spool ?? join(about, createHash('sha256').update(`counterfoil/client/v1\0${server.key}`).digest('hex').slice(0, 16))
  const name = `${server.url}\0${server.key}\0${folder}`
  const { open } = registry()
  const known = open.get(name)
  if (known !== undefined && !known.closing) {
    if (options.backlog !== undefined && options.backlog !== known.backlog) throw new MisuseError('other_backlog', `client: this process has ${server.url} open with a backlog of ${known.backlog} bytes, got ${options.backlog}`, 'open it with the same backlog, or close it first')
    return known.again()
  }
  const ledger: RemoteLedger = new RemoteLedger(server, { home, about, folder }, options, () => {
    if (open.get(name) === ledger) open.delete(name)
  })
  open.set(name, ledger)
  return ledger
}

export class RemoteLedger {
  /** The server's URL. */
  readonly path: string
  /** The bound on what waits for the server, in bytes. */
  readonly backlog: number
  readonly server: Server
  readonly #reader: Reader
  readonly #folder: string
  readonly #intake: Intake
  readonly #patience: number
  readonly #waiting = new Map<number, Waiting>()
  readonly #reports = new Set<(problem: CounterfoilError) => void>()
  readonly #onClosed: () => void
  #room: Promise<void> | undefined
  #makeRoom: () => void = () => {}
  #worker: Worker | undefined
  #start: Start
  #ran = 0
  #next = 1
  #holders = 1
  #held = 0
  #met = false
  #origin = ''
  #size = 0
  #checkpoint: string | null = null
  #broken: CounterfoilError | undefined
  #closing: Promise<void> | undefined

  /** Use `openRemote`. */
  constructor(server: Server, { home, about, folder }: { home: string; about: string; folder: string }, options: RemoteOptions, onClosed: () => void) {
    this.path = server.url
    this.backlog = options.backlog ?? BACKLOG_BYTES
    this.#patience = options.patience ?? PATIENCE_MS
    this.#reader = new Reader(server, options)
    this.server = server
    this.#folder = folder
    this.#onClosed = onClosed
    const key = openSpoolKey(home)
    const left = registry().left.get(folder) ?? []
    registry().left.delete(folder)
    this.#intake = new Intake({ folder, origin: SPOOL_ORIGIN, key, bound: this.backlog, left, renewed: (own, unfinished) => {
      this.#start = { ...this.#start, left: unfinished, own }
      this.#tell({ kind: 'spool', own })
    } })
    this.#start = { server, folder, about, key, own: this.#intake.spool.id, left, flag: this.#intake.flag }
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
    if (this.#broken !== undefined) report(this.#broken) // it is said to whoever opens the trail
  }

  offReport(report: (problem: CounterfoilError) => void): void {
    this.#reports.delete(report)
  }

  #run(): void {
    const options = { workerData: this.#start, name: 'counterfoil', execArgv: [], stdin: false }
    const worker = 'code' in senderSource ? new Worker(senderSource.code, { ...options, eval: true }) : new Worker(senderSource.url, options)
    worker.on('message', (message: FromSender) => this.#hear(message))
    worker.on('error', (error: Error) => this.#lost(new StoreError('worker_failed', `client: the sending thread failed: ${error.message}`, 'what was accepted is in the spool; open the trail again', { cause: error })))
    worker.on('exit', () => {
      if (this.#worker === worker && !this.closing) this.#lost(new StoreError('worker_ended', 'client: the sending thread ended', 'what was accepted is in the spool; open the trail again'))
    })
    if (this.#held === 0) worker.unref() // last: a listener for messages holds the process again
    this.#worker = worker
    this.#ran = performance.now()
  }

  /**
   * Resolves when the server was met, or is away: recording goes on without it. Rejects with a RemoteError when it refuses the key, or is none of ours,
   * and was never met before.
   */
  async ready(): Promise<void> {
    if (this.closing) throw closedError()
    if (!this.#met) await this.#send((id) => ({ kind: 'meet', id }))
  }

  /** Takes an encoded draft, and copies what it keeps: one synchronous append to the spool. Throws a StoreError when it cannot be taken: `spool_full` at the bound too. */
  accept(_event_id: string, draft: Uint8Array): void {
    if (this.closing) throw closedError()
    if (this.#intake.isFull()) {
      this.#revive()
      throw new StoreError('spool_full', `client: expected less than ${this.backlog} bytes to wait for ${this.path}, got as many`, 'see why the server does not take them, or open the trail with a larger backlog', { retry: true })
    }
    const wake = this.#intake.append(draft)
    this.#revive()
    if (wake) this.#tell({ kind: 'wake' })
  }

  #revive(): void {
    if (this.#worker === undefined && performance.now() - this.#ran > RESTART_MS) this.#run()
  }

  /** Resolves when the event has reached `level`. Rejects when the server refused it, and when it was away for `patience` milliseconds: the event is sent when it comes back. */
  async reach(event_id: string, level: Level, patience: number = this.#patience): Promise<Receipt> {
    if (level === 'accepted') return { event_id, level }
    if (level === 'spooled') {
      await this.#synced(patience)
      return { event_id, level }
    }
    const { spool } = this.#intake
    const receipt = (await this.#ask((id) => ({ kind: 'wait', id, event_id, spool: spool.id, offset: spool.end, patience })))!
    if (level === 'witnessed') throw new RemoteError('no_witness', `client: ${this.path} does not say what its witnesses have seen`, "wait for 'durable'; the server's policy has its log witnessed")
    return receipt
  }

  async #synced(patience: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => { timer = setTimeout(() => reject(new StoreError('stalled', `client: the disk of ${this.#folder} did not answer for ${patience / 1_000} s`, 'see to the disk of the state folder', { retry: true })), Math.min(patience, 2 ** 31 - 1)) })
    try {
      await Promise.race([this.#intake.spool.sync(), late])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Above half of the bound: resolves when less waits, or when the server was away for `patience`. Undefined below. */
  room(patience: number): Promise<void> | undefined {
    if (this.closing || this.#intake.backlog.bytes < this.backlog / 2) return undefined
    return (this.#room ??= new Promise<void>((resolve) => {
      this.#makeRoom = () => {
        this.#room = undefined
        resolve()
      }
      this.#flush(patience).then(this.#makeRoom, this.#makeRoom)
    }))
  }

  /** Resolves when all that was accepted by now is acknowledged. */
  async #flush(patience: number = this.#patience): Promise<void> {
    const { spool } = this.#intake
    await this.#ask((id) => ({ kind: 'wait', id, spool: spool.id, offset: spool.end, patience }))
  }

  /** A method of the ledger's service, by the server's routes. What was recorded before is there first, so that it is read. */
  async call<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    if (this.closing) throw closedError()
    await this.#flush()
    return (await this.#reader.call(method, args)) as T
  }

  status(): RemoteStatus {
    const { accepted, dead, lost } = this.#intake
    const { bytes, events, oldestMs } = this.#intake.backlog
    return { origin: this.#origin, size: this.#size, accepted, spooled: bytes, waiting: events, oldest_ms: oldestMs, backlog: this.backlog, left: dead, lost, last_checkpoint: this.#checkpoint, witnessed: null }
  }

  /** Why the server's log is not believed any more, once that is so. */
  get broken(): CounterfoilError | undefined {
    return this.#broken
  }

  /** Waits until all is acknowledged, and ends when the last holder closes. Rejects when the server is away: the rest is in the spool, and goes out when somebody opens the trail on this machine. */
  close(): Promise<void> {
    if (--this.#holders > 0) return this.#flush()
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    const { spool, backlog } = this.#intake
    spool.close()
    try {
      if (backlog.bytes > 0) await this.#send((id) => ({ kind: 'wait', id, spool: spool.id, offset: spool.end, patience: this.#patience }))
      if (spool.end > 0) removeSent(spool.path)
      if (this.#worker !== undefined) await this.#send((id) => ({ kind: 'close', id }))
    } catch (cause) {
      const { left } = registry()
      left.set(this.#folder, [...(left.get(this.#folder) ?? []), ...this.#intake.unfinished])
      const { events } = backlog
      throw new RemoteError('not_sent', `client: ${events} accepted ${events === 1 ? 'event waits' : 'events wait'} for ${this.path}: ${(cause as Error).message}`, `they are in ${this.#folder}, and are sent when the trail is opened on this machine again`, { cause, retry: true })
    } finally {
      this.#onClosed()
      const worker = this.#worker
      this.#worker = undefined
      await worker?.terminate()
      this.#dropWaiting(closedError())
    }
  }

  #ask(message: (id: number) => ToSender): Promise<Receipt | undefined> {
    return this.closing ? Promise.reject(closedError()) : this.#send(message)
  }

  #send(message: (id: number) => ToSender): Promise<Receipt | undefined> {
    return new Promise((resolve, reject) => {
      const id = this.#next++
      this.#waiting.set(id, { resolve, reject })
      if (this.#worker === undefined) this.#run()
      if (this.#held++ === 0) this.#worker?.ref()
      this.#tell(message(id))
    })
  }

  #hear(message: FromSender): void {
    switch (message.kind) {
      case 'met':
        this.#met = true
        this.#origin = message.origin
        return
      case 'done':
        return this.#settle(message.id, ({ resolve }) => resolve(message.receipt))
      case 'error':
        return this.#settle(message.id, ({ reject }) => reject(errorFrom(message.error)))
      case 'progress':
        this.#size = message.size
        this.#checkpoint = message.checkpoint
        this.#intake.dead = message.left
        this.#intake.backlog.reached(message.spools)
        if (this.#room !== undefined && this.#intake.backlog.bytes < this.backlog / 2) this.#makeRoom()
        return
      case 'missing':
        return this.#forget(message.spool)
      case 'broken':
        this.#broken = errorFrom(message.error)
        return this.#report(this.#broken)
      case 'report':
        return this.#report(errorFrom(message.error))
    }
  }

  #settle(id: number, how: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    if (--this.#held === 0) this.#worker?.unref()
    how(waiting)
  }

  /** The spool is not there any more: what it held for the server is lost, and what comes goes into a new one. */
  #forget(id: string): void {
    const lost = this.#intake.forget(id)
    if (lost > 0) this.#report(new StoreError('spool_missing', `client: ${lost} accepted ${lost === 1 ? 'event is' : 'events are'} lost: the spool ${id} was removed before they were sent`, 'keep cleaners away from the folder of spools; the log shows the gap'))
  }

  #report(problem: CounterfoilError): void {
    for (const report of this.#reports) report(problem)
  }

  #lost(error: StoreError): void {
    this.#worker = undefined
    this.#intake.backlog.restarted()
    if (!this.#dropWaiting(error)) this.#report(error)
  }

  /** Rejects everything that is waited for; false when that is nothing. */
  #dropWaiting(error: Error): boolean {
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    this.#held = 0
    for (const { reject } of waiting) reject(error)
    return waiting.length > 0
  }

  #tell(message: ToSender): void {
    this.#worker?.postMessage(message)
  }
}

function closedError(): MisuseError {
  return new MisuseError('trail_closed', 'client: expected an open trail, got one that is closed', 'open it again with openTrail')
}
