// Requests for approval as they stand on record, for who waits and for who decides, and what people did to sessions.

import { toBase64 } from '../base/bytes.ts'
import { formatTime } from '../base/clock.ts'
import { MisuseError } from '../base/errors.ts'
import { REFUSED_OUTCOME, Settling } from '../event/approval.ts'
import type { Stopping } from '../event/deciding.ts'
import type { Entry } from '../event/entry.ts'
import { parseEntry } from '../event/parse.ts'
import { personsIn } from '../event/person.ts'
import { decodeSession, type SessionState } from '../event/session.ts'
import { leafHash } from '../log/hash.ts'
import type { Store, StoreView } from '../store/contract.ts'
import type { Keyring } from '../vault/keyring.ts'
import { storedText } from './oversight.ts'

export const APPROVAL_STATES = ['open', 'approved', 'rejected', 'expired'] as const
export type ApprovalState = (typeof APPROVAL_STATES)[number]

/** One decision. `counts` is false where the ledger refused it. `approver_id` and `comment` are null where they are not there, or not to be read. */
export interface DecisionOnRecord { readonly event_id: string; readonly index: number; readonly decision: string; readonly counts: boolean; readonly approver_id: string | null; readonly assurance: string | null; readonly comment: string | null; readonly timestamp: string }

/**
 * A request as it stands. `open`: it waits for `quorum` less `approvals` people. `expired` is also what nobody answered in time, and what was open when
 * its session ended; `rejected` what was open when its session was stopped. `decision` settled it. `used`: an act rests on it.
 */
export interface ApprovalOnRecord {
  readonly approval_id: string; readonly index: number; readonly entry_hash: string; readonly session_id: string; readonly agent_id: string; readonly writer: string
  readonly tool_name: string; readonly risk: string | null; readonly asked_at: string; readonly expires_at: string | null; readonly quorum: number; readonly approvals: number
  readonly state: ApprovalState; readonly used: boolean; readonly decision: string | null; readonly decisions: readonly DecisionOnRecord[]
}

/** The same with what is on record of the action: `tool_input` as JSON text, `reasoning` and `summary` as the approver is to be shown them; null where they are not to be read. */
export interface ShownApproval extends ApprovalOnRecord { readonly tool_input: string | null; readonly reasoning: readonly string[]; readonly summary: string | null; readonly user_id: string | null }

/**
 * What an act rests on that names a request: `decision` settled it, null while it waits. `tool_input` is the input as JSON text, null where it is not to be
 * read, or something was cut out of it: then nobody can say whether another is the same.
 */
export interface AskedAction { readonly decision: string | null; readonly risk: string | null; readonly tool_input: string | null }

/** A person who stepped in. */
export interface Intervention { readonly event_id: string; readonly index: number; readonly session_id: string; readonly kind: string; readonly timestamp: string }

/** An entry without its content. */
export interface Notice { readonly event_id: string; readonly event_type: string; readonly index: number; readonly session_id: string; readonly facts: Entry['facts']; readonly outcome: string | null; readonly timestamp: string }

export interface ApprovalSearch { readonly state?: ApprovalState; readonly session_id?: string; readonly agent_id?: string }

const PAGE = 500
/** A session's requests are looked at all at once; more than this, and the oldest are left out. */
const MAX_PAGES = 200
const TYPES = ['approval_request', 'approval_decision', 'human_intervention']
/** Of the decisions of a request that do not count, so many are told: the newest. */
const REFUSED_TOLD = 50

export class ApprovalReader {
  readonly #store: Pick<Store, 'read'>
  readonly #keyring: Keyring | undefined
  readonly #clock: () => number

  constructor(store: Pick<Store, 'read'>, keyring: Keyring | undefined, clock: () => number = Date.now) {
    this.#store = store
    this.#keyring = keyring
    this.#clock = clock
  }

  /** The request with this event id; undefined when there is none. */
  approval(approval_id: string): Promise<ApprovalOnRecord | undefined> {
    return this.#store.read(async (view) => {
      const session_id = await requestSession(view, approval_id)
      return session_id === undefined ? undefined : (await this.#ofSession(view, session_id)).find((one) => one.approval_id === approval_id)
    })
  }

  /** The same with the action. */
  shown(approval_id: string): Promise<ShownApproval | undefined> {
    return this.#store.read(async (view) => {
      const session_id = await requestSession(view, approval_id)
      const found = session_id === undefined ? undefined : (await this.#ofSession(view, session_id)).find((one) => one.approval_id === approval_id)
      return found === undefined ? undefined : this.#show(view, found)
    })
  }

  /** Requests in the order they were asked, from index `cursor`; at most `size`. */
  approvals(search: ApprovalSearch, size: number, cursor?: string): Promise<{ items: ApprovalOnRecord[]; next: string | null }> {
    const from = cursor === undefined ? 0 : Number(cursor)
    if (!Number.isSafeInteger(from) || from < 0) throw new MisuseError('bad_cursor', `approvals: expected a cursor that a page gave, got ${JSON.stringify(cursor?.slice(0, 100))}`, 'begin without one')
    return this.#store.read(async (view) => {
      const items: ApprovalOnRecord[] = []
      const known = new Map<string, readonly ApprovalOnRecord[]>()
      for (let at = from; ;) {
        const page = await view.events({ event_types: ['approval_request'], ...(search.session_id === undefined ? {} : { session_id: search.session_id }), from: at, limit: PAGE })
        for (const { index, entry } of page) {
          const { session_id, event_id } = parseEntry(entry).entry
          if (!known.has(session_id)) known.set(session_id, await this.#ofSession(view, session_id))
          const one = known.get(session_id)!.find(({ approval_id }) => approval_id === event_id)
          if (one === undefined || (search.state ?? one.state) !== one.state || (search.agent_id ?? one.agent_id) !== one.agent_id) continue
          items.push(one)
          if (items.length === size) return { items, next: String(index + 1) }
        }
        if (page.length < PAGE) return { items, next: null }
        at = page.at(-1)!.index + 1
      }
    })
  }

  /**
   * Requests of the session for exactly this action that are open, approved and not used, or answered after the recorder that asked fell silent: what
   * an agent that takes the session up again need not ask twice. Oldest first. Of content that was masked nobody can say that it is the same.
   */
  matches(session_id: string, action: { readonly tool_name: string; readonly tool_input: string }): Promise<string[]> {
    return this.#store.read(async (view) => {
      const entries = await sessionEntries(view, session_id)
      const found: string[] = []
      for (const one of await this.#ofSession(view, session_id)) {
        if (one.tool_name !== action.tool_name || one.used) continue
        const asked = entries.find(({ event_id }) => event_id === one.approval_id)!
        const answered = one.decisions.find(({ event_id }) => event_id === one.decision)?.index ?? Infinity
        if (one.state === 'approved' && one.expires_at !== null && Date.parse(one.expires_at) < this.#clock()) continue
        const byRecorder = entries.some(({ event_id, stream }) => event_id === one.decision && stream !== undefined) // who waited says so, and knows it
        if ((one.state === 'rejected' || one.state === 'expired') && (byRecorder || await heard(view, asked, answered))) continue
        if (this.#keyring !== undefined && await storedText(view, this.#keyring, asked, 'tool_input') === action.tool_input) found.push(one.approval_id)
      }
      return found
    })
  }

  /** The session's requests with these ids, in their order; null for an id that is of none. */
  actions(session_id: string, approval_ids: readonly string[]): Promise<(AskedAction | null)[]> {
    return this.#store.read(async (view) => {
      const requests = requestsIn(await sessionEntries(view, session_id))
      const byId = new Map([...requests.values()].map((one) => [one.entry.event_id, one]))
      const out: (AskedAction | null)[] = []
      for (const id of approval_ids) {
        const one = byId.get(id)
        if (one === undefined) out.push(null)
        else {
          const tool_input = this.#keyring === undefined ? undefined : await storedText(view, this.#keyring, one.entry, 'tool_input')
          out.push({ decision: one.decisions.find(({ seq }) => seq === one.settling.settled?.seq)?.event_id ?? null, risk: textOrNull(one.entry.facts['risk']), tool_input: tool_input ?? null })
        }
      }
      return out
    })
  }

  /** What people did to sessions from entry `from` on, with the index to go on from. */
  async interventions(from: number, session_id?: string): Promise<{ items: Intervention[]; next: number }> {
    const { items, next } = await this.notices(from, ['human_intervention'], session_id)
    return { items: items.map(({ event_id, index, session_id, facts, timestamp }) => ({ event_id, index, session_id, kind: String(facts['kind']), timestamp })), next }
  }

  /** Events of these types from entry `from` on, facts only, with the index to go on from: as many as one page holds. */
  notices(from: number, event_types: readonly string[], session_id?: string): Promise<{ items: Notice[]; next: number }> {
    return this.#store.read(async (view) => {
      const page = await view.events({ event_types, ...(session_id === undefined ? {} : { session_id }), from, limit: PAGE })
      const items = page.map(({ index, entry }) => {
        const { event_id, event_type, session_id, facts, outcome, timestamp } = parseEntry(entry).entry
        return { event_id, event_type, index, session_id, facts, outcome: outcome ?? null, timestamp }
      })
      return { items, next: (page.at(-1)?.index ?? from - 1) + 1 }
    })
  }

  /** What a stop of the session is of: it and all that came out of it and has not ended, with the requests that wait in them. No sessions where it is not there. */
  stopping(session_id: string): Promise<Stopping> {
    return this.#store.read(async (view) => {
      const sessions = await this.#family(view, session_id)
      const open: ApprovalOnRecord[] = []
      for (const one of sessions) open.push(...(await this.#ofSession(view, one)).filter(({ state }) => state === 'open'))
      return { sessions, open }
    })
  }

  async #family(view: StoreView, session_id: string): Promise<string[]> {
    const [row] = await view.sessions([session_id])
    if (row === undefined) return []
    const parents = new Map<string, SessionState>()
    for (let before: { started_at: string; session_id: string } | undefined; ;) {
      const page = await view.listSessions({ limit: PAGE, since: decodeSession(row.row).started_at, ...(before === undefined ? {} : { before }) })
      for (const one of page) {
        const state = decodeSession(one.row)
        parents.set(state.session_id, state)
        before = { started_at: state.started_at, session_id: state.session_id }
      }
      if (page.length < PAGE) break
    }
    const family = [session_id]
    for (const parent of family) for (const [id, state] of parents) if (state.parent_session_id === parent && !family.includes(id)) family.push(id)
    return family.filter((id) => id === session_id || parents.get(id)?.state !== 'ended')
  }

  async #ofSession(view: StoreView, session_id: string): Promise<ApprovalOnRecord[]> {
    const [row] = await view.sessions([session_id])
    if (row === undefined) return []
    const session = decodeSession(row.row)
    const entries = await sessionEntries(view, session_id)
    const stopped = entries.some(({ event_type, facts }) => event_type === 'human_intervention' && facts['kind'] === 'stop')
    const out: ApprovalOnRecord[] = []
    for (const { entry, settling, decisions } of requestsIn(entries).values()) {
      const { facts } = entry
      const { settled, quorum } = settling
      const by = decisions.find(({ seq }) => seq === settled?.seq)
      const overdue = typeof facts['expires_at'] === 'string' && facts['expires_at'] < formatTime(this.#clock())
      out.push({
        approval_id: entry.event_id, index: entry.index, entry_hash: entry.hash, session_id, agent_id: session.agent_id, writer: entry.writer, tool_name: String(facts['tool_name']),
        risk: textOrNull(facts['risk']), asked_at: entry.recorded_at, expires_at: textOrNull(facts['expires_at']), quorum, approvals: settled?.decision === 'rejected' || settled?.decision === 'expired' ? settling.counted.length - 1 : settling.counted.length,
        state: settled?.decision ?? (stopped ? 'rejected' : overdue || session.state === 'ended' ? 'expired' : 'open'), used: settled?.decision === 'approved' && by !== undefined && await isUsed(view, by), decision: by?.event_id ?? null,
        decisions: await this.#decisions(view, decisions),
      })
    }
    return out
  }

  async #decisions(view: StoreView, all: readonly (Entry & { readonly counts: boolean })[]): Promise<DecisionOnRecord[]> {
    const refused = new Set(all.filter(({ counts }) => !counts).slice(-REFUSED_TOLD))
    const out: DecisionOnRecord[] = []
    for (const one of all) if (one.counts || refused.has(one)) out.push(await this.#decision(view, one))
    return out
  }

  async #decision(view: StoreView, entry: Entry & { readonly counts: boolean }): Promise<DecisionOnRecord> {
    const { event_id, index, facts, counts, timestamp } = entry
    const identity = this.#keyring === undefined ? undefined : await storedText(view, this.#keyring, entry, 'identity')
    const comment = this.#keyring === undefined ? undefined : await storedText(view, this.#keyring, entry, 'comment')
    return { event_id, index, decision: String(facts['decision']), counts: counts && entry.outcome !== REFUSED_OUTCOME, approver_id: identity === undefined ? null : (personsIn(identity)[0] ?? null), assurance: textOrNull(facts['assurance']), comment: comment ?? null, timestamp }
  }

  async #show(view: StoreView, found: ApprovalOnRecord): Promise<ShownApproval> {
    const keyring = this.#keyring
    const [row] = await view.entries(found.index, found.index + 1)
    if (keyring === undefined || row === undefined) return { ...found, tool_input: null, reasoning: [], summary: null, user_id: null }
    const { entry } = parseEntry(row.entry)
    const shown = objectOf(await storedText(view, keyring, entry, 'shown', true))
    const [start] = await view.events({ session_id: found.session_id, event_types: ['session_start'], limit: 1 })
    const identity = start === undefined ? undefined : await storedText(view, keyring, parseEntry(start.entry).entry, 'identity', true)
    return {
      ...found, tool_input: (await storedText(view, keyring, entry, 'tool_input', true)) ?? null, summary: textOrNull(shown['summary']), user_id: identity === undefined ? null : (personsIn(identity)[0] ?? null),
      reasoning: Array.isArray(shown['reasoning']) ? shown['reasoning'].filter((text) => typeof text === 'string') : [],
    }
  }
}

/** The session of a request; undefined when the id is of no request. */
async function requestSession(view: StoreView, approval_id: string): Promise<string | undefined> {
  for (const row of await view.findEvents([approval_id])) {
    const { entry } = parseEntry(row.entry)
    if (entry.event_type === 'approval_request') return entry.session_id
  }
  return undefined
}

async function sessionEntries(view: StoreView, session_id: string): Promise<(Entry & { readonly hash: string })[]> {
  const out: (Entry & { readonly hash: string })[] = []
  for (let from = 0, pages = 0; pages < MAX_PAGES; pages++) {
    const page = await view.events({ session_id, event_types: TYPES, from, limit: PAGE })
    for (const { entry } of page) out.push({ ...parseEntry(entry).entry, hash: toBase64(leafHash(entry)) })
    if (page.length < PAGE) break
    from = page.at(-1)!.index + 1
  }
  return out
}

interface RequestIn { readonly entry: Entry & { readonly hash: string }; readonly settling: Settling; readonly decisions: (Entry & { readonly counts: boolean })[] }

/** The requests among a session's entries, with what became of each, by entry hash. */
function requestsIn(entries: readonly (Entry & { readonly hash: string })[]): Map<string, RequestIn> {
  const requests = new Map<string, RequestIn>()
  for (const entry of entries) {
    const { event_type, facts, seq, outcome } = entry
    if (event_type === 'approval_request') requests.set(entry.hash, { entry, settling: new Settling(facts['quorum']), decisions: [] })
    const asked = event_type === 'approval_decision' ? requests.get(String(facts['request'])) : undefined
    asked?.decisions.push({ ...entry, counts: asked.settling.add({ seq, decision: facts['decision'], approver: facts['approver'], outcome }) })
  }
  return requests
}

/** Whether an act rests on a decision: the call comes after it, mostly at once. */
async function isUsed(view: StoreView, { session_id, index, seq }: Entry): Promise<boolean> {
  for (let from = index + 1; ;) {
    const page = await view.events({ session_id, event_types: ['tool_call'], from, limit: PAGE })
    if (page.some(({ entry }) => parseEntry(entry).entry.facts['approval'] === seq)) return true
    if (page.length < PAGE) return false
    from = page.at(-1)!.index + 1
  }
}

/** Whether the recorder that asked went on recording after the answer: then it knew it. */
async function heard(view: StoreView, asked: Entry, answered: number): Promise<boolean> {
  if (asked.stream === undefined || answered === Infinity) return false
  for (let seq = asked.seq + 1; ;) {
    const page = await view.sessionEntries(asked.session_id, seq, PAGE)
    for (const { index, entry } of page) {
      const { stream, seq: at } = parseEntry(entry).entry
      if (stream === asked.stream && index > answered) return true
      seq = at + 1
    }
    if (page.length < PAGE) return false
  }
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function objectOf(text: string | undefined): { readonly [name: string]: unknown } {
  try {
    const value: unknown = JSON.parse(text ?? '{}')
    return typeof value === 'object' && value !== null ? (value as { readonly [name: string]: unknown }) : {}
  } catch {
    return {}
  }
}
