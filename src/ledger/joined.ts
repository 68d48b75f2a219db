// Calls with their results, and acts with their approvals, of a part of a session: as `CallJoiner` joins them in all of it, out of those entries alone
// that could have a say in it. Which those are follows from what it looks at: a call's id, the provider's id of it, and the requests for approval.

import type { Entry } from '../event/entry.ts'
import { CallJoiner, type Joined } from '../event/join.ts'
import { isCall } from '../event/session.ts'
import type { ViewEvent } from '../event/view.ts'
import type { StoredEntry } from '../event/views.ts'
import type { EntryRow, StoreView } from '../store/contract.ts'
import { storedOf } from './stored.ts'

const PAGE = 1_000

/** What stands for itself among `wanted`, entries of one session, each with what was joined to it, in the order of the log; a result that was joined to its call does not. Facts only: the events are not to be shown. */
export async function joinedOf(view: StoreView, session_id: string, wanted: readonly StoredEntry[]): Promise<{ joined: Joined[]; entries: ReadonlyMap<number, StoredEntry> }> {
  const related = new Related(view, session_id)
  await related.gather(wanted)
  const joiner = new CallJoiner()
  const all = [...related.entries.values()].sort((a, b) => a.entry.seq - b.entry.seq).flatMap((stored) => joiner.push(factsOf(stored)))
  const own = new Set(wanted.map(({ entry }) => entry.index))
  return { joined: [...all, ...joiner.end()].filter(({ event }) => own.has(event.index)), entries: related.entries }
}

class Related {
  readonly entries = new Map<number, StoredEntry>()
  readonly #view: StoreView
  readonly #session_id: string
  #fresh: Entry[] = []
  /** Provider's ids whose calls, and whose results without a parent, are here. */
  readonly #named = new Set<string>()
  readonly #orphaned = new Set<string>()

  constructor(view: StoreView, session_id: string) {
    this.#view = view
    this.#session_id = session_id
  }

  async gather(wanted: readonly StoredEntry[]): Promise<void> {
    for (const stored of wanted) this.#take(stored)
    if (wanted.some(({ entry }) => entry.event_type === 'tool_call' || entry.event_type === 'approval_request')) await this.#approvals()
    const own = new Set(wanted.map(({ entry }) => entry.index))
    do {
      await this.#byParent()
      await this.#byName(own)
    } while (this.#fresh.length > 0)
  }

  async #approvals(): Promise<void> {
    for (let from = 0; ;) {
      const page = await this.#view.events({ session_id: this.#session_id, event_types: ['approval_request', 'approval_decision'], from, limit: PAGE })
      this.#takeRows(page)
      if (page.length < PAGE) break
      from = page.at(-1)!.index + 1
    }
    if (this.#all('approval_decision').length > 0) this.#takeRows(await this.#view.approvedCalls(this.#session_id))
  }

  /** Calls with all that names them as its parent, and of what names one, the call. */
  async #byParent(): Promise<void> {
    while (this.#fresh.length > 0) {
      const ids = this.#fresh.flatMap(({ event_id, event_type, parent_event_id }) => (isCall(event_type) ? [event_id] : JOINED.has(event_type) && parent_event_id !== undefined ? [parent_event_id] : []))
      this.#fresh = []
      if (ids.length === 0) return
      this.#takeRows(await this.#view.findEvents(ids))
      this.#takeRows(await this.#view.resultsOf(ids))
    }
  }

  /** What is joined by the provider's id of a call: a result without a parent, and an act that names no decision. */
  async #byName(own: ReadonlySet<number>): Promise<void> {
    const calls = this.#all('tool_call')
    const orphans = [...namesOf(calls), ...this.#orphans()].filter((name) => !this.#orphaned.has(name))
    for (const name of orphans) this.#orphaned.add(name)
    this.#takeRows(await this.#view.orphanResults(this.#session_id, [...new Set(orphans)]))
    const names = new Set(this.#orphans())
    const requests = this.#all('approval_request')
    const asked = new Set(namesOf(requests))
    for (const name of namesOf(calls.filter(({ facts }) => typeof facts['approval'] !== 'number'))) if (asked.has(name)) names.add(name)
    const taken = this.#taken(calls)
    for (const name of namesOf(requests.filter(({ index }) => own.has(index) && !taken.has(this.entries.get(index)!.entry_hash)))) names.add(name)
    const fresh = [...names].filter((name) => !this.#named.has(name))
    for (const name of fresh) this.#named.add(name)
    this.#takeRows(await this.#view.callsNamed(this.#session_id, fresh))
  }

  /** The requests, by entry hash, whose decision an act names: no other act changes that they were followed by one. */
  #taken(calls: readonly Entry[]): Set<unknown> {
    const decisions = new Map(this.#all('approval_decision').map((entry) => [entry.seq, entry]))
    const requests = new Map([...this.entries.values()].map(({ entry, entry_hash }) => [entry_hash, entry.seq]))
    return new Set(calls.flatMap(({ seq, facts }) => {
      const decision = decisions.get(facts['approval'] as number)
      const request = decision?.facts['request']
      return decision !== undefined && decision.seq < seq && typeof request === 'string' && (requests.get(request) ?? Infinity) < seq ? [request] : []
    }))
  }

  /** The names of results that have nothing else to be joined by. */
  #orphans(): string[] {
    return namesOf(this.#all('tool_result').filter(({ parent_event_id }) => parent_event_id === undefined))
  }

  #all(event_type: string): Entry[] {
    return [...this.entries.values()].map(({ entry }) => entry).filter((entry) => entry.event_type === event_type)
  }

  #takeRows(rows: readonly EntryRow[]): void {
    for (const row of rows) if (!this.entries.has(row.index)) this.#take(storedOf(row))
  }

  #take(stored: StoredEntry): void {
    const { entry } = stored
    if (entry.session_id !== this.#session_id || this.entries.has(entry.index)) return
    this.entries.set(entry.index, stored)
    this.#fresh.push(entry)
  }
}

function namesOf(entries: readonly Entry[]): string[] {
  return entries.flatMap(({ facts }) => (typeof facts['call_id'] === 'string' ? [facts['call_id']] : []))
}

const JOINED: ReadonlySet<string> = new Set(['llm_result', 'tool_result', 'approval_request'])

/** As much of an event as is joined by. */
function factsOf({ entry, entry_hash }: StoredEntry): ViewEvent {
  const { index, event_id, event_type, session_id, seq, facts } = entry
  return { ...facts, index, event_id, event_type, session_id, seq, entry_hash, parent_event_id: entry.parent_event_id ?? null, outcome: entry.outcome ?? null } as unknown as ViewEvent
}
