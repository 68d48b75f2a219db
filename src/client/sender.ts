// Sends what this process's spools hold, in order and one request at a time, and says what came of it. Only a receipt moves a spool on. When the
// server is away it tries again, later each time; what dead processes left goes out beside it.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CounterfoilError, messageOf, RemoteError, StoreError, VerifyError } from '../base/errors.ts'
import type { Receipt } from '../recorder/sink.ts'
import { deadBytes, listSpools } from '../spool/folder.ts'
import { ownerState } from '../spool/owner.ts'
import { openSpool, spoolOwner, type SpoolReader } from '../spool/reader.ts'
import { createSpool, type SpoolWriter } from '../spool/writer.ts'
import { slugOf } from '../vault/paths.ts'
import { SPOOL_ORIGIN } from '../vault/spool-key.ts'
import { deliver, type Delivered } from './delivery.ts'
import { ask, jsonOf, notOurs, Refusal } from './http.ts'
import { LogMemory } from './log-memory.ts'
import { errorData, type ErrorData, type FromSender, type Start, type ToSender } from './message.ts'
import { claim, readOffset, removeSent, writeOffset } from './offset.ts'

/** The most that one request takes; one larger event goes alone. */
const MAX_BATCH_EVENTS = 500
const MAX_BATCH_BYTES: number = 1024 * 1024
/** After something came, how long until the next look when nobody waits: a request is what came meanwhile. */
const LINGER_MS = 20
/** How soon a failed request is tried again; twice as long each time, up to the second, or the third while somebody waits. All with jitter. */
const RETRY_MS = 250
const MAX_RETRY_MS = 30_000
const MAX_AWAITED_MS = 5_000
/** The same for what no time will mend: a key that is refused, an address that is none of a server. */
const SLOW_MS = 30_000
const MAX_SLOW_MS = 300_000
/** Who begins to wait makes it try again, not sooner after the last attempt than this. */
const ASKED_MS = 1_000
/** How long the server may be away before that is reported where nobody waits. */
const REPORT_MS = 5_000
const LOOK_MS = 500
/** How often what dead processes left is looked for, and the log proved to go on. */
const DEAD_MS = 15_000
const PROVE_MS = 60_000
/** Whether a spool's owner in another container or machine lives cannot be known: it is sent when nothing was written for this long, and kept. */
const QUIET_MS = 600_000
/** The folder, among a key's spools, of those with events that the server could not take. */
const REFUSED = 'refused'
const ANSWERS_KEPT = 20_000

interface Sending { readonly id: string; sent: number; events: number }
interface Waiting { readonly id: number; readonly event_id?: string; readonly spool: string; readonly offset: number; readonly patience: number; readonly since: number }
/** `since`: when the first attempt that failed began. */
interface Outage { readonly since: number; attempts: number; error: Error; reported: boolean }

export class Sender {
  readonly #start: Start
  readonly #say: (message: FromSender) => void
  readonly #end: () => void
  readonly #flag: Int32Array
  /** This process's spools in the order of writing, the last one is written now. */
  readonly #spools: Sending[]
  readonly #readers = new Map<string, SpoolReader>()
  #waits: Waiting[] = []
  readonly #meets = new Set<number>()
  readonly #answers = new Map<string, Receipt | ErrorData>()
  #written = false
  #again = false
  #driving: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #outage: Outage | undefined
  #attempted = -Infinity
  #met = false
  #memory: LogMemory | undefined
  /** Whether a checkpoint that the known key did not sign is being looked into. */
  #following = false
  /** Whether it was told that the server does not say whence such a key is. */
  #unexplained = false
  #broken = false
  #provedAt = -Infinity
  #proving: Promise<void> = Promise.resolve()
  #folders: string[] = []
  #deadTimer: NodeJS.Timeout | undefined
  readonly #unread = new Set<string>()
  #left = 0
  #refused: SpoolWriter | undefined
  /** Time is counted in looks, as the local ledger's is: a machine that was suspended is no server that does not answer. */
  #looks = 0
  #moved = 0
  #watch: NodeJS.Timeout | undefined
  #closed = false
  readonly #abort = new AbortController()

  constructor(start: Start, say: (message: FromSender) => void, end: () => void = () => {}) {
    this.#start = start
    this.#say = say
    this.#end = end
    this.#flag = new Int32Array(start.flag)
    this.#spools = [...start.left, start.own].map((id) => ({ id, sent: readOffset(join(start.folder, id)), events: 0 }))
    this.#left = deadBytes(start.folder)
    this.#progress()
    void this.#drive()
  }

  hear(message: ToSender): void {
    switch (message.kind) {
      case 'wake':
        this.#written = true
        if (this.#outage === undefined) void this.#drive() // else it is tried again in its time
        return
      case 'spool':
        this.#spools.push({ id: message.own, sent: 0, events: 0 })
        this.#written = false
        if (this.#outage === undefined) void this.#drive()
        return
      case 'wait':
        if (message.offset > 0) this.#written = true
        this.#wait({ ...message, since: this.#looks })
        return
      case 'meet':
        if (this.#met) return this.#say({ kind: 'done', id: message.id })
        this.#meets.add(message.id)
        return this.#urge()
      case 'close':
        void this.#close(message.id)
    }
  }

  #wait(wait: Waiting): void {
    const known = wait.event_id === undefined ? undefined : this.#answers.get(wait.event_id)
    if (known !== undefined) return this.#tell(wait, known)
    this.#waits.push(wait)
    this.#watch ??= setInterval(() => this.#look(), LOOK_MS)
    this.#settle()
    if (this.#waits.includes(wait)) this.#urge()
  }

  /** Sends now, or as soon as the last failed attempt is long enough ago. */
  #urge(): void {
    if (this.#outage === undefined) return void this.#drive()
    if (this.#driving !== undefined) return
    const left = this.#attempted + Math.max(ASKED_MS, retryAfterOf(this.#outage.error)) - performance.now()
    this.#later(Math.max(0, left))
  }

  #later(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    this.#timer = setTimeout(() => void this.#drive(), ms)
  }

  #drive(): Promise<void> {
    this.#again = true
    return (this.#driving ??= this.#run())
  }

  async #run(): Promise<void> {
    if (this.#closed) return
    clearTimeout(this.#timer)
    this.#attempted = performance.now()
    try {
      if (!this.#met) await this.#meet()
      let moved = false
      do {
        this.#again = false
        if (await this.#sendOwn()) moved = this.#again = true
        if (this.#again) continue
        Atomics.store(this.#flag, 0, 0) // what comes from now on wakes us; what came before is found here
        if (await this.#sendOwn()) moved = this.#again = true
      } while (this.#again)
      this.#outage = undefined
      if (!moved) return
      Atomics.store(this.#flag, 0, 1)
      this.#later(LINGER_MS)
    } catch (error) {
      this.#failed(error as Error)
    } finally {
      this.#driving = undefined
    }
  }

  /** Asks who we are and whose log it is. Nothing is sent before. */
  async #meet(): Promise<void> {
    const { server, about, folder } = this.#start
    const me = jsonOf(server, await ask(server, { path: '/v1/me', timeoutMs: 20_000, signal: this.#abort.signal })) as { id?: unknown; tenant?: unknown } | null
    if (typeof me?.id !== 'string' || typeof me.tenant !== 'string') throw notOurs(server.url, 'an answer that does not say whose key it is')
    for (const path of [about, folder]) mkdirSync(path, { recursive: true, mode: 0o700 })
    const who = JSON.stringify({ tenant: me.tenant, id: me.id })
    const name = join(folder, `.principal-${this.#start.own}`)
    writeFileSync(name, who, { mode: 0o600 })
    renameSync(name, join(folder, 'principal.json'))
    this.#folders = [folder, ...foldersOf(about, who).filter((path) => path !== folder)]
    try {
      this.#memory = await LogMemory.meet(server, join(about, `log-${slugOf(me.tenant)}.json`), (error) => this.#say({ kind: 'report', error: errorData(error) }))
    } catch (error) {
      if (error instanceof RemoteError && error.status !== 403 && error.status !== 404) throw error
      this.#breaks(error instanceof RemoteError ? notShown(error) : (error as Error)) // what is recorded must still go somewhere
    }
    this.#met = true
    this.#say({ kind: 'met', origin: this.#memory?.origin ?? '' })
    for (const id of this.#meets) this.#say({ kind: 'done', id })
    this.#meets.clear()
    void this.#prove()
    void this.#sendDead()
  }

  /** Sends what our own spools hold; whether there was something. */
  async #sendOwn(): Promise<boolean> {
    let moved = false
    while (this.#spools.length > 0) {
      const own = this.#spools[0]!
      const current = this.#spools.length === 1
      const path = join(this.#start.folder, own.id)
      if (!existsSync(path)) {
        if (current && !this.#written) break
        await this.#sendMissing(own, path)
        moved = true
        continue
      }
      const before = own.sent
      await this.#sendSpool(path, this.#readerOf(path), own.sent, (answers, end) => {
        own.sent = end
        own.events += answers.length
        this.#answered(answers)
      })
      if (own.sent !== before) moved = true
      if (this.#spools.length === 1) break
      if (current) continue // the file that was written is now left: it may have grown before that
      this.#forget(own)
      removeSent(path)
      this.#progress()
    }
    this.#settle()
    return moved
  }

  /** Somebody removed the file: what it holds can be read while it is open here. The rest is lost, and whoever waits for it hears that. */
  async #sendMissing(own: Sending, path: string): Promise<void> {
    const reader = this.#readers.get(path)
    if (reader !== undefined) await this.#sendSpool(path, reader, own.sent, (answers, end) => {
      own.sent = end
      own.events += answers.length
      this.#answered(answers)
    })
    this.#settle()
    this.#reject(this.#waits.filter(({ spool }) => spool === own.id), new StoreError('spool_missing', `client: the spool ${path} was removed while it was in use`, 'what was accepted into it and was not sent is lost; keep cleaners away from the folder'))
    this.#forget(own)
    this.#say({ kind: 'missing', spool: own.id })
  }

  #forget(own: Sending): void {
    this.#spools.splice(this.#spools.indexOf(own), 1)
    const path = join(this.#start.folder, own.id)
    this.#readers.get(path)?.close()
    this.#readers.delete(path)
  }

  #readerOf(path: string): SpoolReader {
    let reader = this.#readers.get(path)
    if (reader === undefined) this.#readers.set(path, (reader = openSpool(path, { origin: SPOOL_ORIGIN, key: this.#start.key })))
    return reader
  }

  /** Sends a spool from `from` to where it ends now, and keeps how far it is. */
  async #sendSpool(path: string, reader: SpoolReader, from: number, sent: (answers: readonly Delivered[], end: number) => void): Promise<void> {
    for (const { drafts, end } of batchesOf(reader.records(from))) {
      const answers = await deliver(this.#start.server, drafts, (checkpoint) => this.#saw(checkpoint), this.#abort.signal)
      for (const [i, { unread }] of answers.entries()) if (unread === true) this.#keep(drafts[i]!)
      if (existsSync(path)) noteOffset(path, end)
      sent(answers, end)
    }
  }

  /** An event that the server cannot take would be nowhere: it stays here, and a later process offers it again. */
  #keep(draft: Uint8Array): void {
    this.#refused ??= createSpool(join(this.#start.folder, REFUSED), { origin: SPOOL_ORIGIN, key: this.#start.key })
    this.#refused.append(draft)
  }

  #saw(checkpoint: string): void {
    if (this.#memory === undefined || this.#broken) return
    const known = this.#memory.saw(checkpoint)
    if (known ? performance.now() - this.#provedAt <= PROVE_MS : this.#following) return
    this.#following = !known
    void this.#prove().finally(() => { this.#following = false })
  }

  /** Proves the log to go on from what is remembered, one proof after the other and beside the sending. */
  #prove(): Promise<void> {
    this.#provedAt = performance.now()
    return (this.#proving = this.#proving.then(async () => {
      if (this.#broken) return
      try {
        await this.#memory?.prove()
      } catch (error) {
        if (!(error instanceof RemoteError)) this.#breaks(error as Error)
        else if (this.#memory?.unexplained === true && (error.status === 403 || error.status === 404) && !this.#unexplained) {
          this.#unexplained = true
          this.#breaks(notShown(error))
        } // what a server does not say now, it says the next time
      }
    }))
  }

  #breaks(error: Error): void {
    if (error instanceof VerifyError) {
      this.#broken = true
      this.#say({ kind: 'broken', error: errorData(error) })
    } else this.#say({ kind: 'report', error: errorData(error) })
  }

  #answered(answers: readonly Delivered[]): void {
    this.#moved = this.#looks
    this.#progress() // whoever is answered finds it so in status()
    for (const answer of answers) {
      const { event_id } = answer
      const kept = answer.receipt ?? this.#refusal(answer)
      const waiting = this.#waits.filter((wait) => wait.event_id === event_id)
      if (waiting.length > 0) this.#waits = this.#waits.filter((wait) => wait.event_id !== event_id)
      for (const wait of waiting) this.#tell(wait, kept)
      if (waiting.length === 0 && !('level' in kept) && !kept.code.startsWith('approval_')) this.#say({ kind: 'report', error: kept })
      this.#answers.set(event_id, kept)
      if (this.#answers.size > ANSWERS_KEPT) this.#answers.delete(this.#answers.keys().next().value!)
    }
    this.#settle()
  }

  #refusal({ event_id, refused, unread }: Delivered): ErrorData {
    const { code, message, next } = refused!
    return { type: 'remote', code, message: unread === true ? `client: event ${event_id} is kept in ${join(this.#start.folder, REFUSED)}: ${message}` : message, next, refused: true }
  }

  /** Answers those that wait for no event of their own, or for one whose answer is no longer kept. */
  #settle(): void {
    const due = this.#waits.filter(({ spool, offset }) => {
      const at = this.#spools.findIndex(({ id }) => id === spool)
      return at === -1 || (at === 0 && this.#spools[0]!.sent >= offset) // those before it are sent first
    })
    if (due.length === 0) return
    this.#waits = this.#waits.filter((wait) => !due.includes(wait))
    for (const wait of due) this.#tell(wait, wait.event_id === undefined ? undefined : (this.#answers.get(wait.event_id) ?? { event_id: wait.event_id, level: 'durable' }))
  }

  #tell({ id }: Waiting, answer: Receipt | ErrorData | undefined): void {
    if (answer === undefined) this.#say({ kind: 'done', id })
    else if ('level' in answer) this.#say({ kind: 'done', id, receipt: answer })
    else this.#say({ kind: 'error', id, error: answer })
  }

  #progress(): void {
    this.#say({ kind: 'progress', size: this.#memory?.size ?? 0, checkpoint: this.#memory?.newest ?? null, spools: this.#spools.map(({ id, sent, events }) => ({ id, drained: sent, events })), left: this.#left })
  }

  #failed(error: Error): void {
    const outage = (this.#outage ??= { since: this.#attempted, attempts: 0, error, reported: false })
    outage.attempts++
    if (errorData(outage.error).code !== errorData(error).code) outage.reported = false
    outage.error = error
    const passing = isPassing(error)
    const awayMs = performance.now() - outage.since
    const given = this.#waits.filter(({ patience }) => !passing || awayMs >= patience)
    this.#reject(given, error)
    for (const id of this.#meets) this.#say(passing ? { kind: 'done', id } : { kind: 'error', id, error: errorData(error) })
    this.#meets.clear()
    if (!outage.reported && given.length === 0 && (!passing || awayMs >= REPORT_MS)) {
      outage.reported = true
      this.#say({ kind: 'report', error: errorData(error) })
    }
    this.#later(this.#pause(outage, passing))
  }

  #pause({ attempts, error }: Outage, passing: boolean): number {
    const [first, most] = passing ? [RETRY_MS, this.#waits.length > 0 ? MAX_AWAITED_MS : MAX_RETRY_MS] : [SLOW_MS, MAX_SLOW_MS]
    const ms = Math.min(first * 2 ** Math.min(attempts - 1, 20), most)
    return Math.max(ms * (0.5 + Math.random() / 2), retryAfterOf(error))
  }

  #reject(given: readonly Waiting[], error: Error): void {
    if (given.length === 0) return
    this.#waits = this.#waits.filter((wait) => !given.includes(wait))
    for (const { id } of given) this.#say({ kind: 'error', id, error: errorData(error) })
  }

  /** Lets those go whose patience is over while a request goes on. */
  #look(): void {
    this.#looks++
    if (this.#waits.length === 0) {
      clearInterval(this.#watch)
      this.#watch = undefined
      return
    }
    const given = this.#waits.filter(({ since, patience }) => (this.#looks - Math.max(since, this.#moved) - 1) * LOOK_MS >= patience)
    for (const wait of given) this.#reject([wait], this.#outage?.error ?? new RemoteError('stalled', `client: no answer from ${this.#start.server.url} for ${wait.patience / 1_000} s`, 'see whether it runs and can be reached from here; what is recorded waits in the spool', { retry: true }))
  }

  /** Sends what dead processes left, under this key or an earlier one of the same principal; of what may live elsewhere, what has long been quiet. */
  async #sendDead(): Promise<void> {
    clearTimeout(this.#deadTimer)
    try {
      for (const path of this.#outage === undefined ? this.#folders.flatMap((folder) => [...listSpools(folder), ...listSpools(join(folder, REFUSED))]) : []) {
        if (this.#closed) return
        await this.#sendLeft(path)
      }
    } catch {
      // the server went away: the sending of our own says so
    }
    const left = this.#folders.reduce((sum, folder) => sum + deadBytes(folder), 0)
    if (left !== this.#left) {
      this.#left = left
      this.#progress()
    }
    if (!this.#closed) this.#deadTimer = setTimeout(() => void this.#sendDead(), DEAD_MS)
  }

  async #sendLeft(path: string): Promise<void> {
    let reader: SpoolReader | undefined
    try {
      const owner = spoolOwner(path)
      const state = owner === undefined ? 'alive' : ownerState(owner)
      const quiet = state === 'unknown' && Date.now() - statSync(path).mtimeMs > QUIET_MS && readOffset(path) < statSync(path).size
      if ((state !== 'dead' && !quiet) || this.#unread.has(path) || !claim(path)) return
      reader = openSpool(path, { origin: SPOOL_ORIGIN, key: this.#start.key })
      await this.#sendSpool(path, reader, readOffset(path), (answers) => {
        for (const answer of answers) if (answer.refused !== undefined && !answer.refused.code.startsWith('approval_')) this.#say({ kind: 'report', error: this.#refusal(answer) })
      })
      if (state === 'dead') removeSent(path)
    } catch (error) {
      if (error instanceof RemoteError || !existsSync(path)) throw error
      this.#unread.add(path)
      this.#say({ kind: 'report', error: { type: 'store', code: (error as Partial<CounterfoilError>).code ?? 'spool_failed', message: `client: the spool ${path} could not be sent to its end: ${messageOf(error)}`, next: 'keep the file: what stands before the damage was sent' } })
    } finally {
      reader?.close()
    }
  }

  /** A last proof, not longer than it takes to ask; then nothing more. */
  async #close(id: number): Promise<void> {
    clearTimeout(this.#timer)
    clearTimeout(this.#deadTimer)
    if (this.#met && this.#outage === undefined) await Promise.race([this.#prove(), new Promise((done) => setTimeout(done, MAX_AWAITED_MS))])
    this.#closed = true
    this.#abort.abort()
    clearTimeout(this.#timer)
    clearTimeout(this.#deadTimer)
    clearInterval(this.#watch)
    for (const reader of this.#readers.values()) reader.close()
    this.#refused?.close()
    this.#say({ kind: 'done', id })
    this.#end()
  }
}

/** An offset that cannot be kept costs sending again what the server has, and no more. */
function noteOffset(path: string, offset: number): void {
  try {
    writeOffset(path, offset)
  } catch {
    // a full disk: it gets room when the spool is sent and removed
  }
}

function notShown(cause: RemoteError): RemoteError {
  return new RemoteError('log_not_shown', `client: whether the server's log goes on from what was acknowledged cannot be checked: ${messageOf(cause)}`, 'ask an admin to let this key read the log below /v1/log', { cause })
}

/** Whether the next attempt may find another answer without anybody doing anything. */
function isPassing(error: Error): boolean {
  return error instanceof RemoteError ? error.retry && error.code !== 'not_a_server' : true
}

function retryAfterOf(error: Error): number {
  return error instanceof Refusal ? (error.retryAfterMs ?? 0) : 0
}

function* batchesOf(records: Iterable<{ end: number; bytes: Uint8Array }>): Generator<{ drafts: Uint8Array[]; end: number }> {
  let [drafts, bytes, last]: [Uint8Array[], number, number] = [[], 0, 0]
  for (const { end, bytes: draft } of records) {
    if (drafts.length === MAX_BATCH_EVENTS || (drafts.length > 0 && bytes + draft.length > MAX_BATCH_BYTES)) {
      yield { drafts, end: last }
      ;[drafts, bytes] = [[], 0]
    }
    drafts.push(draft)
    bytes += draft.length
    last = end
  }
  if (drafts.length > 0) yield { drafts, end: last }
}

/** The folders of this server's keys that belonged to the same principal: keys are exchanged. */
function foldersOf(about: string, who: string): string[] {
  const names = readdirSync(about, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => join(about, name))
  return names.filter((folder) => {
    try {
      return readFileSync(join(folder, 'principal.json'), 'utf8') === who
    } catch {
      return false // a key that never reached the server
    }
  })
}

