// What a ledger's worker does for the recording thread besides appending: one method a call, arguments and answers as structured clones.

import { fromUtf8 } from '../base/bytes.ts'
import { MisuseError, StoreError } from '../base/errors.ts'
import type { Policy } from '../log/policy.ts'
import type { TilePath } from '../log/tile.ts'
import type { AccessNote } from './access.ts'
import { ApprovalReader, type ApprovalSearch } from './approvals.ts'
import { exportBundle, type BundleOrder } from './bundle.ts'
import { extentOf } from './content-extent.ts'
import type { EraseOrder, Ledger } from './ledger.ts'
import { keyEntries } from './keys.ts'
import { packAbsent } from './message.ts'
import { LogReader, type EventSearch, type SessionSearch, type Sight } from './reader.ts'
import { verifyStore, type VerifiedStore } from './verification.ts'
import type { Witnessing } from './witnessing.ts'

/** What is read in somebody's sight. */
const SEEING: ReadonlySet<string> = new Set(['session', 'summary', 'rows', 'rowPage', 'event', 'events', 'calls', 'sessions', 'after', 'at', 'newestFirst', 'findIds'])

export class LedgerService {
  readonly #ledger: Ledger
  readonly #mark: string
  readonly #witnessing: Witnessing | undefined
  readonly #policy: Policy | undefined
  readonly #progress = new Map<string, { readonly done: number; readonly total: number }>()
  readonly #where: Pick<VerifiedStore, 'path' | 'home' | 'passphrase'>

  /** `where` is for a verification in threads of its own. */
  constructor(ledger: Ledger, mark: string, witnessing?: Witnessing, policy?: Policy, where: Pick<VerifiedStore, 'path' | 'home' | 'passphrase'> = {}) {
    this.#where = where
    this.#ledger = ledger
    this.#mark = mark
    this.#witnessing = witnessing
    this.#policy = policy
  }

  async call(method: string, args: readonly unknown[]): Promise<unknown> {
    const [a, b, c] = args
    if (method === 'see') return this.#call(a as Sight, b as string, c as readonly unknown[])
    return this.#call(undefined, method, args)
  }

  /** With `sight` only what reads: a method that is not asked about what may be seen is none for who may not see everything. */
  async #call(sight: Sight | undefined, method: string, [a, b, c]: readonly unknown[]): Promise<unknown> {
    const reader = new LogReader({ read: (fn) => this.#ledger.read(fn) }, this.#ledger.keyring, sight)
    if (sight !== undefined && !SEEING.has(method)) throw new MisuseError('no_method', `ledger: ${method} does not ask what may be seen`, `it is asked by ${[...SEEING].join(', ')}`)
    switch (method) {
      case 'session': return packAbsent(await reader.session(a as string), this.#mark)
      case 'summary': return packAbsent(await reader.summary(a as string), this.#mark)
      case 'begun': return reader.begun(a as string[])
      case 'state': return reader.state(a as string)
      case 'rows': return reader.rows(a as string)
      case 'events': return packAbsent(await reader.events(a as EventSearch, b as number, c as string | undefined), this.#mark)
      case 'calls': return packAbsent(await reader.calls(a as EventSearch, b as number, c as string | undefined), this.#mark)
      case 'sessions': return packAbsent(await reader.sessions(a as SessionSearch, b as number, c as string | undefined), this.#mark)
      case 'newest': return packAbsent(await reader.newest(a as number, b as string | undefined), this.#mark)
      case 'newestFirst': return packAbsent(await reader.newestFirst(a as number, b as string | undefined, c as string | undefined), this.#mark)
      case 'rowPage': return reader.rowPage(a as string, b as number, c as string | undefined)
      case 'event': return packAbsent(await reader.event(a as string), this.#mark)
      case 'after': return packAbsent(await reader.after(a as number, b as number), this.#mark)
      case 'at': return packAbsent(await reader.at(a as number), this.#mark)
      case 'access': return this.#ledger.access(a as readonly AccessNote[])
      case 'approval': return this.#approvals().approval(a as string)
      case 'approvals': return this.#approvals().approvals(a as ApprovalSearch, b as number, c as string | undefined)
      case 'shownApproval': return this.#approvals().shown(a as string)
      case 'matchingApprovals': return this.#approvals().matches(a as string, b as { tool_name: string; tool_input: string })
      case 'askedActions': return this.#approvals().actions(a as string, b as string[])
      case 'interventions': return this.#approvals().interventions(a as number, b as string | undefined)
      case 'notices': return this.#approvals().notices(a as number, b as string[], c as string | undefined)
      case 'standing': return this.#ledger.read(async (view) => ({ next: (await view.head())?.size ?? 0 }))
      case 'stopping': return this.#approvals().stopping(a as string)
      case 'own': return this.#ledger.ownSession
      case 'sessionsOf': return reader.sessionsOf(a as string[])
      case 'findIds': return reader.findIds(a as string, b as number)
      case 'log': return { origin: this.#ledger.origin, vkey: this.#ledger.keyring.vkey, checkpoint: await this.#ledger.read(async (view) => (await view.head())?.checkpoint) }
      case 'keys': return this.#ledger.read(async (view) => (await keyEntries(view)).map(({ row }) => fromUtf8(row.entry)))
      case 'tile': return this.#ledger.tile(a as TilePath)
      case 'verify': return this.#verify(a as { since?: string; job?: string } | undefined)
      case 'progress': return this.#progress.get(a as string)
      case 'erase': return this.#ledger.erase(a as EraseOrder)
      case 'erasable': return this.#erasable(a as EraseOrder)
      case 'renewKek': return this.#ledger.renewKek()
      case 'copy': return this.#ledger.copyTo(a as string)
      case 'counts': return this.#ledger.read((view) => view.counts())
      case 'find': return this.#ledger.find(a as string)
      case 'export': return this.#ledger.read((view) => exportBundle(view, this.#ledger.keyring, a as BundleOrder))
      case 'prove': return this.#ledger.prove(a as string)
      case 'witnessed': return this.#witnessed(a as number | undefined)
      case 'flush': return undefined
      default: throw new MisuseError('no_method', `ledger: no method ${method}`, 'this is a fault in counterfoil, or two versions of it in one process: install one')
    }
  }

  async #erasable(order: EraseOrder): Promise<unknown> {
    const { rows, ...rest } = await this.#ledger.erasable(order)
    return { ...rest, scopes: rows.length, ...(await extentOf({ read: (fn) => this.#ledger.read(fn) }, new Set(rows.map(({ session_id, k }) => `${session_id}/${k}`)))) }
  }

  #approvals(): ApprovalReader {
    return new ApprovalReader({ read: (fn) => this.#ledger.read(fn) }, this.#ledger.keyring)
  }

  /** The cosigned checkpoint that covers entry `index`, or all that is on record now. */
  async #witnessed(index = (this.#ledger.head?.size ?? 0) - 1): Promise<string> {
    if (this.#witnessing === undefined) throw new StoreError('no_witness', 'ledger: no witness is configured, so nothing can become witnessed', "give openTrail the policy of your witnesses, or wait for 'durable'")
    return this.#witnessing.reach(index)
  }

  /** With a `job` its progress can be asked for meanwhile. */
  async #verify({ since, job }: { since?: string; job?: string } = {}): Promise<unknown> {
    const { keyring } = this.#ledger
    const progress = job === undefined ? undefined : (done: number, total: number) => void this.#progress.set(job, { done, total })
    try {
      // of a large log other threads do the work, and this one goes on appending
      const verdict = await verifyStore({ ...this.#where, store: { read: (fn) => this.#ledger.read(fn) }, keyring, kept: keyring }, { policy: this.#policy, progress, since })
      // from a checkpoint that somebody named, nothing was proved here of what is before it
      if (verdict.whole && (since === undefined || since === 'proved')) keyring.writeProved(verdict.checkpoint)
      return verdict
    } finally {
      if (job !== undefined) this.#progress.delete(job)
    }
  }
}
