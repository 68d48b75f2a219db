// What the command line asks of a trail: types only. `open.ts` is the one place that joins them to the real thing, and tests
// hand in a trail made of a list of events.

import type { Decided } from '../event/deciding.ts'
import type { ShownApproval } from '../ledger/approvals.ts'
import type { Content, ViewEvent } from '../event/view.ts'
import type { Outcome } from '../event/vocabulary.ts'
import type { Policy } from '../log/policy.ts'
import type { BundleOrder, ExportedBundle } from '../ledger/bundle.ts'
import type { Finding } from '../monitor/finding.ts'
import type { BackedUp } from '../ledger/backup.ts'
import type { CosignReport } from '../ledger/cosign.ts'
import type { KeyReign } from '../verify/key-chain.ts'
import type { Setback } from '../verify/rollback.ts'
import type { Property, Verdict } from '../verify/verdict.ts'
import type { Why } from '../why/result.ts'
import type { SpoolReport } from './spools.ts'

/** How a command opens a trail. `read`: changes nothing, not even a spool; `write`: an existing trail; `create`: a new one is fine. */
export type OpenMode = 'read' | 'write' | 'create'

export interface CliTrail {
  /** Newest first. */
  sessions(query?: SessionQuery): AsyncIterable<SessionSummary>
  /** Ascending by index. */
  events(query?: EventQuery): AsyncIterable<ViewEvent>
  /** Of a server where content is withheld: findings as they are on record, since the rules cannot look at what is not there. */
  recorded?(session_id?: string): AsyncIterable<ViewEvent>
  /** Of a server, which says by itself where an act came from: of an event, or of the last act worth asking about. */
  why?(event_id?: string): Promise<Why | undefined>
  /** Of a server: why content is not shown and how to see it, or undefined. */
  withheld?(): Promise<string | undefined>
  /** Ids that start or end with these hex digits, at most `limit`. */
  findIds(digits: string, limit: number): Promise<{ kind: 'event' | 'session'; id: string }[]>
  /** The newest events, at most `count`, ascending by index. */
  newest(count: number, query?: { readonly session_id?: string; readonly facts?: true }): Promise<ViewEvent[]>
  verify(options: { require?: readonly Property[]; progress?: (done: number, total: number) => void; policy?: Policy; jobs?: number; since?: string }): Promise<Verdict & SaidBy>
  /** Has the policy's witnesses cosign the newest checkpoint, and keeps it beside the keys. */
  cosign(policy: Policy, timeoutMs: number): Promise<CosignReport>
  /** The JSON text of a session's evidence bundle. */
  export(order: BundleOrder): Promise<ExportedBundle>
  /** The C2SP tlog-proof of an event. */
  prove(event_id: string): Promise<string | undefined>
  sql(query: string): Promise<SqlResult>
  /** Puts findings on record, each once; gives the index of each by its id. */
  recordFindings(findings: readonly Finding[]): Promise<ReadonlyMap<string, number>>
  erase(what: EraseTarget, why: { reason: string; legal_basis?: string }): Promise<Erased>
  /** What an erasure would take: sessions with child sessions; `kept` are scopes of other persons in these. Nothing is changed. */
  erasable(what: EraseTarget, reason: string): Promise<{ sessions: readonly string[]; ends: readonly string[]; events: number; payloads: number; scopes: number; kept: number }>
  keys(): Promise<KeyReport>
  renewKeys(): Promise<KeyReport>
  /** Hands over to a new signing key, or to the one of the module with the URL `signer`. `index` is that of the entry that says so. */
  rotateKey(signer?: string): Promise<KeyReport & { readonly index: number; readonly before: string }>
  /** Reports a signing key stolen; without `vkey` the one in force, which is rotated first. */
  reportKey(order: { readonly vkey?: string; readonly last_good_size: number; readonly note?: string }): Promise<KeyReport & { readonly index: number; readonly stolen: string; readonly rotated: boolean }>
  /** Puts the keys under `passphrase`, or takes it away. */
  protectKeys(passphrase: string | undefined): Promise<KeyReport>
  status(): Promise<TrailStatus>
  /** A backup in `folder`, new or empty. `waiting` events are accepted by running agents and not in the log yet, so not in it. */
  backup(folder: string, options: { readonly keys: boolean }): Promise<BackedUp & { readonly waiting: number }>
  /** A consistent copy at `path`, made by the database itself. */
  copy(path: string): Promise<void>
  /** Brings the archive in `folder` up to this trail, or begins one. `from` is its size before. */
  archive(folder: string, options: { progress?: (done: number, total: number) => void }): Promise<Archived>
  /** Requests for approval with what is asked, in the order of asking: those that wait, or `all`. */
  approvals(which: 'open' | 'all', query?: { readonly facts?: true }): AsyncIterable<ShownApproval>
  /** Answers a request as this terminal's user, or as whose the server's key is. A StoreError or RemoteError where the answer does not count: late, own, or the same person again. */
  decide(approval: ShownApproval, decided: Decided): Promise<{ readonly index: number; readonly by: string }>
  /** Stops a session, with what came out of it, as the same. `index` is the first of the entries that say so. */
  stop(session_id: string, note: string | undefined): Promise<{ readonly index: number; readonly sessions: readonly string[]; readonly rejected: number; readonly by: string }>
  close(): Promise<void>
}

/** `by`: the URL of the server that verified itself; then nothing is proved here. */
export interface SaidBy { readonly by?: string }

/** A session, a person, or a person in a session. */
export type EraseTarget = { readonly session_id: string; readonly subject?: string } | { readonly user_id: string }

/** `files` were written, `segments` of them sealed content. `checkpoint` is the archive's, a signed note. */
export interface Archived { readonly origin: string; readonly from: number; readonly size: number; readonly files: number; readonly segments: number; readonly checkpoint: string }

/** `facts`: of a server, without content, so that looking something up is no reading of it. */
export interface SessionQuery { readonly facts?: true; readonly agent_id?: string; readonly user_id?: string; readonly subject?: string; readonly outcome?: Outcome; readonly since?: Date; readonly until?: Date; readonly open?: boolean; readonly session_id?: string }
export interface EventQuery { readonly facts?: true; readonly session_id?: string; readonly event_id?: string; readonly event_type?: string; readonly from?: number; readonly to?: number }

export type SessionState = 'open' | 'suspended' | 'interrupted' | 'ended'
export interface SessionSummary {
  readonly session_id: string; readonly agent_id: string; readonly user_id: Content<string> | null; readonly started_at: string; readonly ended_at: string | null
  readonly state: SessionState; readonly outcome: Outcome | null; readonly events: number; readonly steps: number
  readonly tools: { readonly [name: string]: number }; readonly input_tokens: number; readonly output_tokens: number
}

export interface SqlResult { readonly columns: readonly string[]; readonly rows: AsyncIterable<readonly unknown[]> | Iterable<readonly unknown[]> }

/** `ordered` and `done` are indexes of the erasure's entries. `remains`: what is said about copies made before. */
export interface Erased { readonly ordered: number; readonly done: number; readonly sessions: number; readonly scopes: number; readonly remains: string }

export interface KeyReport {
  readonly folder: string; readonly origin: string
  /** the log key's C2SP verifier key, which may be given to anybody */
  readonly vkey: string
  readonly fingerprint: string
  /** every signing key of the log, the first one first */
  readonly keys: readonly KeyReign[]
  /** whether the folder is under a passphrase, and whether the key in force is kept elsewhere */
  readonly protected: boolean
  readonly elsewhere: boolean
  readonly generations: readonly { readonly generation: number; readonly made_at: string; readonly current: boolean }[]
  readonly next_renewal: string | null
}

export interface TrailStatus {
  readonly origin: string; readonly size: number
  /** where the trail's keys, its `head` file and what was proved last lie */
  readonly keys: string
  readonly spools: readonly SpoolReport[]
  /** the last cosigned checkpoint that is kept, and when, as it says itself; or null: then whoever holds key and disk could rewrite what nobody looked at */
  readonly witnessed: { readonly size: number; readonly at: string } | null
  /** why nothing can be added: it is older, or another one, than this machine remembers */
  readonly setback: Setback | null
}
