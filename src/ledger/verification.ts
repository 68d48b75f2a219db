// Verifying a log in a store, on all cores where it is large: the sessions are divided among threads, each of which reads every entry and checks
// its own, and what concerns the whole log is put together here, in order. Only that nothing is wrong is concluded in this way. Where something
// is, or a thread fails, everything is read again by one, so that a finding never depends on how the work was divided.

import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { StoreError } from '../base/errors.ts'
import type { Policy } from '../log/policy.ts'
import type { Store, StoreView } from '../store/contract.ts'
import type { KeptKeys, Keyring } from '../vault/keyring.ts'
import type { Evidence } from '../verify/evidence.ts'
import type { PageReport, PartEnd, PartReading } from '../verify/part.ts'
import type { Verdict } from '../verify/verdict.ts'
import { verifyLog, verifyParts, verifySince, type VerifyOptions } from '../verify/verify.ts'
import { evidenceOf, rememberedBy, snapshotPrint } from './evidence.ts'
import { errorFrom } from './message.ts'
import type { FromPart, PartStart, ToPart } from './part-worker.ts'
import { partSource } from './part-source.ts'

/** A log of fewer entries is verified by one thread: others would take longer to start. */
const SMALL_LOG = 20_000
/** How often all threads try to look at the same moment of a log that is being written, before one does it alone. */
const SNAPSHOTS = 50

export interface VerifiedStore {
  readonly store: Pick<Store, 'read'>
  /** The database's file; absent for a log in memory, which other threads cannot see. */
  readonly path?: string
  /** Opens payloads. Its folder is in the state folder `home`, where the other threads open it with the passphrase. */
  readonly keyring: Keyring | undefined
  /** This machine's keys as far as they are no secret. */
  readonly kept: KeptKeys | undefined
  readonly home?: string
  readonly passphrase?: string | undefined
}

export interface VerifyStoreOptions {
  /** How many threads share the work; default as many as there are cores, and for a log of fewer than `SMALL_LOG` entries one. */
  readonly jobs?: number | undefined
  readonly policy?: Policy | undefined
  /** Go on from what was proved before: a checkpoint as a signed note, or `proved`, the newest that a verification on this machine found whole. */
  readonly since?: string | undefined
  readonly progress?: ((done: number, total: number) => void) | undefined
}

/** `verifyLog` of the log in a store, whose verdict does not depend on `jobs`; or with `since` the verdict of `verifySince`, where it has one. */
export async function verifyStore(what: VerifiedStore, { jobs, policy, progress, since }: VerifyStoreOptions = {}): Promise<Verdict> {
  const { store, path, keyring, kept } = what
  const remembered = rememberedBy(kept) // before the snapshot: see there
  const options: VerifyOptions = { ...(policy === undefined ? {} : { policy }), ...(progress === undefined ? {} : { progress }) }
  const evidence = (view: StoreView): Promise<Evidence> => evidenceOf(view, keyring, keyring === undefined && kept !== undefined ? { kept } : undefined, remembered)
  const note = since === 'proved' ? remembered.find(({ what: of }) => of === 'proved')?.note : since
  if (note !== undefined) {
    const whole = await store.read(async (view) => verifySince(await evidence(view), note, options))
    if (whole !== undefined) return whole
  }
  const threads = jobs ?? availableParallelism()
  if (threads > 1 && path !== undefined) {
    const whole = await together({ ...what, path }, threads, jobs === undefined ? SMALL_LOG : 0, evidence, options)
    if (whole !== undefined) return whole
  }
  return store.read(async (view) => verifyLog(await evidence(view), options))
}

/** The verdict if many threads find nothing wrong; undefined otherwise. */
async function together(what: VerifiedStore & { readonly path: string }, jobs: number, small: number, evidenceIn: (view: StoreView) => Promise<Evidence>, options: VerifyOptions): Promise<Verdict | undefined> {
  const { store, path, keyring, home, passphrase } = what
  let crew: Crew | undefined
  try {
    const first = await store.read(evidenceIn)
    if (first.head.size < small) return undefined
    const keys = keyring === undefined || home === undefined ? undefined : { home, ...(passphrase === undefined ? {} : { passphrase }) }
    if (keyring !== undefined && keys === undefined) return undefined
    crew = new Crew(jobs, { path, origin: first.origin, ...(keys === undefined ? {} : { keys }) }, first.restored)
    await crew.ready()
    for (let i = 0; i < SNAPSHOTS; i++) {
      const verdict = await store.read(async (view) => ((await crew!.agrees(view)) ? verifyWith(crew!, await evidenceIn(view), options) : undefined))
      if (verdict !== undefined) return verdict.whole ? verdict : undefined
    }
  } catch {
    // whatever it was: who reads everything alone meets it too, or it does not matter
  } finally {
    await crew?.end()
  }
  return undefined
}

function verifyWith(crew: Crew, evidence: Evidence, options: VerifyOptions): Promise<Verdict> {
  const checked: Evidence = { ...evidence, extra: (size, partialTile) => evidence.extra(size, partialTile, crew.databaseFaults()) }
  return verifyParts(checked, crew.parts(evidence.head.size), options)
}

/** The threads of one verification: one for each part of the sessions, and one in which the database looks at itself. */
class Crew {
  readonly #parts: Member[]
  readonly #database: Member

  constructor(jobs: number, start: Omit<PartStart, 'part'>, restored: Evidence['restored']) {
    this.#parts = Array.from({ length: jobs }, (_, n) => new Member({ ...start, part: { n, of: jobs, ...(restored === undefined ? {} : { restored }) } }))
    const { keys: _, ...open } = start
    this.#database = new Member(open)
  }

  get #all(): Member[] {
    return [...this.#parts, this.#database]
  }

  async ready(): Promise<void> {
    await Promise.all(this.#all.map((member) => member.hear('ready')))
  }

  /** Whether every thread has a snapshot that shows what `view` does. */
  async agrees(view: StoreView): Promise<boolean> {
    for (const member of this.#all) member.say({ kind: 'snapshot' })
    const [own, ...others] = await Promise.all([snapshotPrint(view), ...this.#all.map(async (member) => (await member.hear('snapshot')).print)])
    return others.every((print) => print === own)
  }

  parts(total: number): readonly PartReading[] {
    for (const member of this.#all) member.say({ kind: 'begin', total })
    return this.#parts.map((member) => ({ pages: () => pagesOf(member), end: (progress) => endOf(member, progress) }))
  }

  async databaseFaults(): Promise<readonly string[]> {
    return (await this.#database.hear('checked')).found
  }

  async end(): Promise<void> {
    await Promise.all(this.#all.map((member) => member.end()))
  }
}

async function* pagesOf(member: Member): AsyncGenerator<PageReport> {
  for (;;) {
    const message = await member.hear('page', 'pages_done')
    if (message.kind === 'pages_done') return
    member.say({ kind: 'more' })
    yield message.page
  }
}

async function endOf(member: Member, progress: (done: number) => void): Promise<PartEnd> {
  member.say({ kind: 'finish' })
  for (;;) {
    const message = await member.hear('sealed', 'end')
    if (message.kind === 'end') return message.end
    progress(message.done)
  }
}

/** One thread, and what it said that was not heard yet. */
class Member {
  readonly #worker: Worker
  readonly #heard: FromPart[] = []
  #failure: Error | undefined
  #wake: (() => void) | undefined

  constructor(start: PartStart) {
    const options = { workerData: start, name: 'counterfoil verify', execArgv: [], stdin: false }
    this.#worker = 'code' in partSource ? new Worker(partSource.code, { ...options, eval: true }) : new Worker(partSource.url, options)
    this.#worker.on('message', (message: FromPart) => {
      if (message.kind === 'failed') this.#fail(errorFrom(message.error))
      else this.#heard.push(message)
      this.#wake?.()
    })
    this.#worker.on('error', (error: Error) => this.#fail(error))
    this.#worker.on('exit', () => this.#fail(new StoreError('worker_ended', 'ledger: a thread of the verification ended', 'verify with --jobs 1')))
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#wake?.()
  }

  say(message: ToPart): void {
    this.#worker.postMessage(message)
  }

  /** The next thing that it says, which must be of one of these kinds. Rejects with what it failed with. */
  async hear<K extends FromPart['kind']>(...kinds: K[]): Promise<Extract<FromPart, { kind: K }>> {
    for (;;) {
      const message = this.#heard.shift()
      if (message !== undefined) {
        if ((kinds as string[]).includes(message.kind)) return message as Extract<FromPart, { kind: K }>
        throw new StoreError('worker_failed', `ledger: expected ${kinds.join(' or ')} of a thread of the verification, got ${message.kind}`, 'verify with --jobs 1, and report it')
      }
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }
}
