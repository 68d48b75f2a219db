// What a ledger keeps in memory of a session that is being written: enough to resolve "the payload of that earlier event" and
// "the list as it was then" without reading. Everything here can be read again from the store, and is when another process moved the log.

import { Settling } from '../event/approval.ts'
import { isListChange, isSameRef, type Entry, type Ref } from '../event/entry.ts'
import { ListIndex } from '../event/list.ts'
import { foldSession, type SessionState } from '../event/session.ts'
import { hashOfText, type Hash } from '../log/hash.ts'
import { leafOf, ListRoots } from '../verify/list-root.ts'
import type { OpenScope } from './open-scope.ts'

/** An earlier event of the session, as later ones may refer to it: no more than that, since a session may have a hundred thousand. `approval` are the facts of a decision. */
export interface Known { readonly seq: number; readonly event_type: string; readonly step_number?: number; readonly approval?: Entry['facts'] }

/** A request for approval, and what became of it. */
export interface Asked { readonly seq: number; readonly writer: string; readonly facts: Entry['facts']; readonly settling: Settling }

export class LiveSession {
  readonly session_id: string
  state: SessionState | undefined
  /** Scopes by number; `erased` when entries name one whose secret is gone. */
  readonly scopes: Map<number, OpenScope | 'erased'> = new Map()
  readonly seenScopes: Set<number> = new Set()
  /** Whom content is said to be of, by the reference of a `subject` entry, and in which scope it is. */
  readonly subjects: Map<string, number> = new Map()
  /** Per scope the keyed hashes (hex) of the persons that it is of, as the store has them; undefined when they are not read. */
  persons: Map<number, Set<string>> | undefined
  readonly usedApprovals: Set<number> = new Set()
  /** Who made the decision at a seq, as keyed hashes (hex), of those that had to be compared. */
  readonly deciders: Map<number, ReadonlySet<string>> = new Map()
  /** Whether a person stopped it: no act may follow. */
  stopped = false
  /** SHA-256 of this session's segments that this process has sealed or read, by segment id. */
  readonly segmentHashes: Map<number, Uint8Array> = new Map()
  #events = 0
  #known = new Map<string, Known>()
  /** The requests for approval, by entry hash. */
  #requests = new Map<string, Asked>()
  #lists = new ListIndex(leafOf)
  #roots = new ListRoots(this.#lists)

  constructor(session_id: string) {
    this.session_id = session_id
  }

  /** How many events it remembers: what it costs, some 700 bytes each. */
  get events(): number {
    return this.#events
  }

  get nextSeq(): number {
    return this.state?.next_seq ?? 0
  }

  /** Takes in the session's next entry. */
  follow(entry: Entry, entryHash: string): void {
    this.#events++
    this.state = foldSession(this.state, entry, entryHash)
    this.#lists.add(entry)
    this.#see(entry.payloads)
    const { identity } = entry.payloads
    if (entry.event_type === 'subject' && typeof entry.facts['subject'] === 'string' && identity !== undefined && 'c' in identity) this.subjects.set(entry.facts['subject'], identity.k ?? 0)
    const known: Known = {
      seq: entry.seq, event_type: entry.event_type,
      ...(entry.step_number === undefined ? {} : { step_number: entry.step_number }), ...(entry.event_type === 'approval_decision' ? { approval: entry.facts } : {}),
    }
    this.#known.set(entry.event_id, known)
    if (entry.event_type === 'approval_request') this.#requests.set(entryHash, { seq: entry.seq, writer: entry.writer, facts: entry.facts, settling: new Settling(entry.facts['quorum']) })
    if (entry.event_type === 'approval_decision') this.#requests.get(String(entry.facts['request']))?.settling.add({ seq: entry.seq, decision: entry.facts['decision'], approver: entry.facts['approver'], outcome: entry.outcome })
    if (entry.event_type === 'human_intervention' && entry.facts['kind'] === 'stop') this.stopped = true
    if (entry.event_type === 'tool_call' && typeof entry.facts['approval'] === 'number') this.usedApprovals.add(entry.facts['approval'])
  }

  /** The scopes that new content went into. */
  #see(payloads: Entry['payloads']): void {
    for (const name in payloads) {
      const slot = payloads[name]!
      if (isListChange(slot)) for (const { k = 0 } of slot.add) this.seenScopes.add(k)
      else if (!isSameRef(slot)) this.seenScopes.add(slot.k ?? 0)
    }
  }

  known(event_id: string): Known | undefined {
    return this.#known.get(event_id)
  }

  /** The approval_request with this entry hash. */
  requestOf(entryHash: string): Asked | undefined {
    return this.#requests.get(entryHash)
  }

  /** How many elements the list `name` of the event at `seq` has; undefined when it has no such list. */
  listCount(seq: number, name: string): number | undefined {
    return this.#lists.list(seq, name)?.count
  }

  /** The root that an earlier entry would have by `change`: computed apart, since what a repeated event says is not what is on record. */
  listRootAgain(seq: number, name: string, change: { readonly base?: number; readonly keep?: number; readonly add: readonly Ref[] }): Hash {
    return hashOfText(new ListRoots(this.#lists).root(seq, name, { ...change, add: change.add.map(leafOf) }))
  }

  /** The RFC 6962 root of a list that the next entry makes by `change`. */
  listRoot(seq: number, name: string, change: { readonly base?: number; readonly keep?: number; readonly add: readonly Ref[] }): Hash {
    return hashOfText(this.#roots.root(seq, name, { ...change, add: change.add.map(leafOf) }))
  }
}
