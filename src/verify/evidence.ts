// What a verification reads. Whoever has the evidence (a database, an archive, later a bundle) implements this; nothing that it says is
// believed before it is checked.

import type { Entry } from '../event/entry.ts'
import type { Hash } from '../log/hash.ts'
import type { Restored } from './rollback.ts'

/** A payload's bytes with the salt (32 bytes) of its commitment; or why they are not there. */
export type Disclosed =
  | { readonly bytes: Uint8Array; readonly salt: Uint8Array }
  /** no secret for its scope: erased, or lost */
  | { readonly absent: 'no_scope' }
  /** the content is there, and its secret is said to have been left behind when the log was restored */
  | { readonly absent: 'sealed' }
  /** the secret is there and the content is not */
  | { readonly absent: 'missing' }
  | { readonly absent: 'damaged'; readonly why: string }

/** A fault that the evidence's own layer found: a segment that does not open, an index row that is wrong. */
export interface Fault { readonly code: string; readonly message: string; readonly index?: number }

/** What was read of a page of the log: its bounds, and which of its entries are followed. */
export interface Followed { readonly from: number; readonly to: number; readonly own: ReadonlySet<number> }

/** What checking the sealed bytes of some entries found, and counts that only mean something of the whole log. Plain data: it may come from another thread. */
export interface VaultFindings { readonly faults: readonly Fault[]; readonly counts: { readonly [what: string]: number } }

/** Sealed content and what leads to it. One for all of a log, or one for each part of its sessions. */
export interface Vault {
  /** Whether there are keys to open it with. */
  readonly opened: boolean
  /** Takes the entries of a page, ascending, each once: the payloads of each one's own refs in the order of `ownRefs`, or undefined without keys. `page.own` are those that are there, also where they do not parse. After an error they may be given again, one by one. */
  follow(entries: readonly Entry[], page: Followed): Promise<readonly (readonly Disclosed[])[] | undefined>
  /** Scopes whose secret is there, as `<session id>/<k>`. */
  scopes(): Promise<ReadonlySet<string>>
  /** SHA-256 of each segment of a session, in the order of sealing. */
  segmentHashes(session_id: string): Promise<readonly Hash[]>
  /** After all entries: checks every segment (with keys: opens it) and every derived row of the vault, of the sessions of this part, and says what does not fit. Codes of what concerns sealed bytes begin with `segment` or `secret`. */
  findings(progress: (done: number) => void): Promise<VaultFindings>
  /** The findings of all parts together, and what only they show. */
  faults(findings: readonly VaultFindings[]): Promise<readonly Fault[]>
}

export interface Evidence {
  readonly origin: string
  /** The newest checkpoint as stored, a signed note, with the size that the store says it has. */
  readonly head: { readonly note: string; readonly size: number }
  /** The log's verifier key (`name+id+base64`), and whether it comes from outside the evidence; `given`: from whoever verifies, not from this machine's keys. */
  readonly vkey: { readonly text: string; readonly pinned: boolean; readonly given?: boolean }
  /** Every key that this machine has of the log, the one in force first: a copy from before a rotation, and a checkpoint from after it, are opened with them. */
  readonly own?: readonly string[]
  /** Checkpoints that this machine saw before: the newest that its key signed, the last that it proved, and the one that it restored the log with. */
  readonly remembered: readonly { readonly note: string; readonly what: 'signed' | 'proved' | 'restored' }[]
  /** What this machine noted when it restored the log; unchecked, and only used to say what an older log is. */
  readonly restored?: Restored
  /** This is a copy made at some moment, which may be older than what is remembered. Absent for the log itself. */
  readonly copy?: 'archive' | 'backup'
  /** A checkpoint that witnesses cosigned, with their signatures; read where a policy is given. */
  readonly cosigned?: string
  /** Ascending by index; rows that are missing are left out. */
  entries(from: number, to: number): Promise<readonly { readonly index: number; readonly entry: Uint8Array }[]>
  /** The same as texts, which is cheaper to check, where every one of them is ASCII; else undefined. */
  readonly texts?: (from: number, to: number) => Promise<readonly { readonly index: number; readonly entry: string }[] | undefined>
  /** The entries of a session before index `before`, ascending by seq; needed to go on from a size that was proved. They are checked by the hashes that later entries name. */
  readonly earlier?: (session_id: string, before: number) => AsyncIterable<{ readonly index: number; readonly entry: Uint8Array }>
  /** The first index from `from` on that has an entry. */
  next(from: number): Promise<number | undefined>
  /**
   * Entries beyond `size` (code `entries_extra`), and everything else that a log of that size does not account for. `partialTile` gives what the last
   * tile of a level must be; absent where entries are missing, so that there is no tree. `database`: what the database found wrong with itself, where it was asked elsewhere.
   */
  extra(size: number, partialTile?: (level: number) => Uint8Array, database?: Promise<readonly string[]>): Promise<readonly Fault[]>
  /** A stored full tile. Absent where the evidence keeps none. */
  readonly tile?: (level: number, n: number) => Promise<Uint8Array | undefined>
  /** The derived session rows, by session id. Absent where the evidence keeps none. */
  readonly sessions?: () => AsyncIterable<{ readonly session_id: string; readonly row: string }>
  /** Absent where the evidence has no content. */
  readonly vault?: Vault
}
