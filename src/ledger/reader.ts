// Reading a log back: events with their payloads, calls, sessions. Every payload is checked against its commitment before it is shown; what
// does not match is shown as missing, and `verify` says why.

import { setImmediate as turn } from 'node:timers/promises'
import { equal, fromBase64, toHex, utf8 } from '../base/bytes.ts'
import { MisuseError, StoreError } from '../base/errors.ts'
import type { Entry } from '../event/entry.ts'
import { ownRefs } from '../event/entry.ts'
import type { Joined } from '../event/join.ts'
import type { RefPlace } from '../event/list.ts'
import { maskValue } from '../event/masked.ts'
import { parseEntry } from '../event/parse.ts'
import { personsIn } from '../event/person.ts'
import type { LLMCall, SessionSummary, ToolCall, TrailRow } from '../event/public.ts'
import { decodeSession, type SessionState } from '../event/session.ts'
import { Absent, type ViewEvent } from '../event/view.ts'
import { isStepped, viewSome } from '../event/past.ts'
import { callOf, eventsOf, isRow, personOf, rowOf, streamRows, summaryOf, viewEvents, type ReadPayloads, type StoredEntry } from '../event/views.ts'
import type { EventFilter, Store, StoreView } from '../store/contract.ts'
import { commit, digestOf } from '../vault/commitment.ts'
import type { Keyring } from '../vault/keyring.ts'
import { ContentReader } from './content.ts'
import { joinedOf } from './joined.ts'
import { SessionPast } from './session-past.ts'
import { storedOf } from './stored.ts'

/** Filters of events; times are time strings. `text` looks into payloads, decrypting as it goes. */
export interface EventSearch { readonly session_id?: string; readonly event_types?: readonly string[]; readonly tool_name?: string; readonly agent_id?: string; readonly user_id?: string; readonly outcome?: string; readonly since?: string; readonly until?: string; readonly text?: string }
export interface SessionSearch { readonly agent_id?: string; readonly user_id?: string; readonly subject?: string; readonly outcome?: string; readonly since?: string; readonly until?: string; readonly open?: boolean; readonly text?: string }
/**
 * What a reader is given to see. `content`: payloads as they are, masked, or as an Absent `withheld`. `only`: nothing but sessions of these agents, and
 * these sessions; the ledger's own is of no agent. `scan`: about how many entries one page looks at; what is left is behind its cursor.
 */
export interface Sight { readonly content: 'none' | 'masked' | 'full'; readonly only?: { readonly agents: readonly string[]; readonly sessions: readonly string[] }; readonly scan?: number }

/** Whether a session, or an event of it, is in this sight. */
export function sees({ only }: Sight, { agent_id, session_id }: { readonly agent_id: string; readonly session_id: string }): boolean {
  return only === undefined || (agent_id !== '' && only.agents.includes(agent_id)) || only.sessions.includes(session_id)
}

const EVERYTHING: Sight = { content: 'full' }

/** An entry that was read. */
export interface Place { readonly index: number; readonly entry_hash: string; readonly event_type: string }

export interface FoundId { readonly kind: 'event' | 'session'; readonly id: string }

export interface Page<T> { readonly items: T[]; readonly next: string | null }

const READ_AT_ONCE = 1_000
/** What is to be known of a session to go on with it. `subject`: the reference of whom it is about; once `settled` it stays so. */
export interface Begun { readonly root_session_id: string; readonly state: string; readonly settled: boolean; readonly subject: string | null }

/** How far into a session its start is looked for. */
const BEFORE_START = 16
/** How many entries more than rows are read at once: a result is no row of its own. */
const BEYOND = 16

export class LogReader {
  readonly #store: Pick<Store, 'read'>
  readonly #keyring: Keyring | undefined

  readonly #sight: Sight

  /** Without a keyring every payload is an Absent with reason `no_key`. */
  constructor(store: Pick<Store, 'read'>, keyring: Keyring | undefined, sight: Sight = EVERYTHING) {
    this.#store = store
    this.#keyring = keyring
    this.#sight = sight
  }

  /** All events of a session, oldest first; empty when there is none of that id. */
  session(session_id: string): Promise<ViewEvent[]> {
    return this.#store.read(async (view) => collect(this.#session(view, session_id)))
  }

  /** The classic rows of a session. */
  rows(session_id: string): Promise<TrailRow[]> {
    return this.#store.read(async (view) => collect(streamRows(this.#session(view, session_id))))
  }

  /** At most `size` classic rows of a session after the one of event `after`, and the entries that each is made of. */
  rowPage(session_id: string, size: number, after?: string): Promise<Page<TrailRow> & { of: Place[][] }> {
    return this.#store.read(async (view) => {
      const found: Joined[] = []
      const entries = new Map<number, StoredEntry>()
      const [row] = await view.sessions([session_id])
      if (row === undefined || !this.#sees(decodeSession(row.row))) {
        if (after !== undefined) throw badCursor(after)
        return { items: [], next: null, of: [] }
      }
      for (let seq = after === undefined ? 0 : (await rowAt(view, session_id, after)).seq + 1; found.length <= size;) {
        await turn()
        const page = (await view.sessionEntries(session_id, seq, Math.min(READ_AT_ONCE, size + BEYOND))).map(storedOf)
        if (page.length === 0) break
        const part = await joinedOf(view, session_id, page)
        for (const joined of part.joined) if (isRow(joined.event.event_type)) found.push(joined)
        for (const [index, stored] of part.entries) entries.set(index, stored)
        seq = page.at(-1)!.entry.seq + 1
      }
      const shown = await this.#joinedViews(view, found.slice(0, size), entries)
      return { items: shown.map(rowOf), next: found.length > size ? shown.at(-1)!.event.event_id : null, of: shown.map((joined) => placesOf(eventsOf(joined))) }
    })
  }

  /** The event of an id: of two writers' the first that this reader may see. */
  event(event_id: string): Promise<ViewEvent | undefined> {
    return this.#store.read(async (view) => {
      const found = await this.#seen(view, (await view.findEvents([event_id])).map(storedOf))
      return (await this.#withContext(view, found.slice(0, 1)))[0]
    })
  }

  /** Events that match, ascending by index; `cursor` is the index to go on from. */
  events(search: EventSearch, size: number, cursor?: string): Promise<Page<ViewEvent>> {
    this.#checkSearch(search)
    return this.#store.read(async (view) => {
      const scope = await this.#sessionsOf(view, search)
      return this.#pages(view, search, scope, size, cursor, (found) => this.#withContext(view, found))
    })
  }

  /** Model and tool calls that match, each with its result and approval; `of` are the entries that each is made of. */
  calls(search: EventSearch, size: number, cursor?: string): Promise<Page<LLMCall | ToolCall> & { of: Place[][] }> {
    this.#checkSearch(search)
    const types = search.event_types ?? (search.tool_name === undefined ? ['llm_call', 'tool_call', 'approval_request'] : ['tool_call', 'approval_request'])
    return this.#store.read(async (view) => {
      const scope = await this.#sessionsOf(view, search)
      const places = new Map<number, Place[]>()
      const page = await this.#pages(view, { ...search, event_types: types.includes('tool_call') ? [...types, 'approval_request'] : types }, scope, size, cursor, async (found) => {
        const calls: (LLMCall | ToolCall)[] = []
        for (const [session_id, own] of bySession(found)) {
          const { joined, entries } = await joinedOf(view, session_id, own)
          for (const each of await this.#joinedViews(view, joined.filter(({ event, taken }) => event.event_type !== 'approval_request' || !taken), entries)) {
            const call = callOf(each)
            if (call === undefined) continue
            calls.push(call)
            places.set(call.index, placesOf(eventsOf(each)))
          }
        }
        return calls.sort((a, b) => a.index - b.index)
      })
      return { ...page, of: page.items.map(({ index }) => places.get(index)!) }
    })
  }

  /** Sessions that match, newest first. The ledger's own is not one of them. */
  sessions(search: SessionSearch, size: number, cursor?: string): Promise<Page<SessionSummary>> {
    this.#checkSearch(search)
    return this.#store.read(async (view) => {
      const own = search.user_id === undefined ? undefined : await this.#personsSessions(view, search.user_id)
      const of = search.subject === undefined ? undefined : await this.#personsSessions(view, search.subject, 'any')
      const items: SessionSummary[] = []
      let before = cursor === undefined ? undefined : sessionCursor(cursor)
      // a cursor names the session where it stopped, which may be none of this reader's: they are led on to their own
      let left = this.#sight.only === undefined ? (this.#sight.scan ?? Infinity) : Infinity
      for (;;) {
        const page = await view.listSessions({
          limit: 200, ...(search.agent_id === undefined ? {} : { agent_id: search.agent_id }), ...(search.outcome === undefined ? {} : { outcome: search.outcome }),
          ...(search.since === undefined ? {} : { since: search.since }), ...(search.until === undefined ? {} : { until: search.until }), ...(before === undefined ? {} : { before }),
        })
        for (const row of page) {
          const state = decodeSession(row.row)
          const here = before
          if (left <= 0) return { items, next: JSON.stringify(here) }
          before = { started_at: state.started_at, session_id: state.session_id }
          left -= search.text === undefined ? 1 : state.events
          if (state.agent_id === '' || !this.#sees(state) || (own !== undefined && !own.has(state.session_id)) || (of !== undefined && !of.has(state.session_id)) || (search.open !== undefined && (state.state !== 'ended') !== search.open)) continue
          if (search.text !== undefined && !(await this.#mentions(view, state, search.text))) continue
          items.push(await this.#summary(view, state))
          if (items.length === size) return { items, next: JSON.stringify(before) }
        }
        if (page.length < 200) return { items, next: null }
      }
    })
  }

  /** Up to `count` newest events, ascending. */
  async newest(count: number, session_id?: string): Promise<ViewEvent[]> {
    return (await this.newestFirst(count, session_id)).items.toReversed()
  }

  /** Up to `size` of the newest events, newest first, of the log or of a session. `before` is where to go on: an index, in a session a seq. */
  newestFirst(size: number, session_id?: string, before?: string): Promise<Page<ViewEvent>> {
    return this.#store.read(async (view) => {
      let to = session_id === undefined ? ((await view.head())?.size ?? 0) : await this.#lengthOf(view, session_id)
      if (before !== undefined) to = Math.min(to, Number(before))
      let found: StoredEntry[] = []
      for (let left = this.#sight.scan ?? Infinity; to > 0 && found.length < size && left > 0;) {
        await turn()
        const from = Math.max(0, to - Math.min(READ_AT_ONCE, left, this.#sight.only === undefined ? size - found.length : READ_AT_ONCE))
        const rows = session_id === undefined ? await view.entries(from, to) : await view.sessionEntries(session_id, from, to - from)
        found = [...(await this.#seen(view, rows.map(storedOf))), ...found]
        left -= to - from
        to = from
      }
      const taken = found.slice(-size)
      const oldest = taken.length < found.length ? taken[0]! : undefined
      const next = oldest === undefined ? to : session_id === undefined ? oldest.entry.index : oldest.entry.seq
      return { items: (await this.#withContext(view, taken)).reverse(), next: next > 0 ? String(next) : null }
    })
  }

  /** Ids of sessions and events that begin or end with these hex digits, at most `limit`; `more`: there may be others. */
  findIds(digits: string, limit: number): Promise<{ items: FoundId[]; more: boolean }> {
    return this.#store.read(async (view) => {
      const most = this.#sight.only === undefined ? limit + 1 : Math.max(READ_AT_ONCE, limit + 1)
      const all = await view.findIds(digits, most)
      const found = this.#sight.only === undefined ? all : await this.#seenIds(view, all)
      return { items: found.slice(0, limit), more: found.length > limit || all.length === most }
    })
  }

  async #seenIds(view: StoreView, ids: readonly FoundId[]): Promise<FoundId[]> {
    const of = (wanted: FoundId['kind']): string[] => ids.filter(({ kind }) => kind === wanted).map(({ id }) => id)
    const sessions = (await view.sessions(of('session'))).map(({ row }) => decodeSession(row)).filter((state) => this.#sees(state))
    const events = await this.#seen(view, (await view.findEvents(of('event'))).map(storedOf))
    const seen = new Set([...sessions.map(({ session_id }) => `session ${session_id}`), ...events.map(({ entry }) => `event ${entry.event_id}`)])
    return ids.filter(({ kind, id }) => seen.has(`${kind} ${id}`))
  }

  /** How many events a session has; 0 where this reader may not see it. */
  async #lengthOf(view: StoreView, session_id: string): Promise<number> {
    const row = (await view.sessions([session_id]))[0]
    const state = row === undefined ? undefined : decodeSession(row.row)
    return state !== undefined && this.#sees(state) ? state.next_seq : 0
  }

  /** The event at an index. */
  at(index: number): Promise<ViewEvent | undefined> {
    return this.#store.read(async (view) => {
      const row = (await view.entries(index, index + 1))[0]
      return row === undefined ? undefined : (await this.#withContext(view, await this.#seen(view, [storedOf(row)])))[0]
    })
  }

  /** Of these events those that are on record, each with the session that it is in. */
  sessionsOf(event_ids: readonly string[]): Promise<[event_id: string, session_id: string][]> {
    return this.#store.read(async (view) => {
      const found: [string, string][] = []
      for (let from = 0; from < event_ids.length; from += READ_AT_ONCE) {
        for (const { entry } of await view.findEvents(event_ids.slice(from, from + READ_AT_ONCE))) {
          const { event_id, session_id } = parseEntry(entry).entry
          found.push([event_id, session_id])
        }
      }
      return found
    })
  }

  /** One session as in a list; undefined when there is no such session. */
  async summary(session_id: string): Promise<(SessionSummary & { readonly root_session_id: string; readonly about?: { readonly ref: string; readonly subject?: readonly string[] } }) | undefined> {
    return this.#store.read(async (view) => {
      const row = (await view.sessions([session_id]))[0]
      if (row === undefined) return undefined
      const state = decodeSession(row.row)
      if (!this.#sees(state)) return undefined
      const about = await this.#about(view, session_id)
      return { ...(await this.#summary(view, state)), root_session_id: state.root_session_id ?? session_id, ...(about === undefined ? {} : { about }) }
    })
  }

  /** Facts that whoever goes on with these sessions needs, null for one that is not there. */
  begun(session_ids: readonly string[]): Promise<(Begun | null)[]> {
    return this.#store.read(async (view) => {
      const rows = new Map((await view.sessions(session_ids)).map(({ session_id, row }) => [session_id, decodeSession(row)]))
      const out: (Begun | null)[] = []
      for (const session_id of session_ids) {
        const state = rows.get(session_id)
        if (state === undefined) out.push(null)
        else {
          const started = state.agent_id !== ''
          const ref = started ? (await startOf(view, session_id))?.facts['subject'] : undefined
          out.push({ root_session_id: state.root_session_id ?? session_id, state: state.state, settled: started || state.next_seq >= BEFORE_START, subject: typeof ref === 'string' ? ref : null })
        }
      }
      return out
    })
  }

  /** Whom the session said at its start that it is about: how it named them, and, for who sees content, who that is unless they were erased. */
  async #about(view: StoreView, session_id: string): Promise<{ ref: string; subject?: readonly string[] } | undefined> {
    const first = await firstEntries(view, session_id)
    const ref = startIn(first)?.facts['subject']
    const naming = first.find(({ event_type, facts }) => event_type === 'subject' && facts['subject'] === ref)
    if (typeof ref !== 'string' || naming === undefined) return undefined
    if (this.#sight.content !== 'full') return { ref }
    const [own] = [...ownRefs(naming)]
    const [bytes] = own === undefined ? [] : await new PayloadValues(view, this.#keyring).readOf(naming, [{ ...own, index: naming.index, seq: naming.seq, ordinal: 0 }])
    return bytes === undefined || bytes instanceof Absent || own!.ref.masked !== undefined ? { ref } : { ref, subject: personsIn(new TextDecoder().decode(bytes)) }
  }

  /** Events from `index` on, at most `size` of what is there; `next` is where to go on, `size` that of the log. What is not for this reader is left out. */
  after(index: number, size: number): Promise<{ items: ViewEvent[]; next: number }> {
    return this.#store.read(async (view) => {
      const entries = (await view.entries(index, index + size)).map(storedOf)
      return { items: await this.#withContext(view, await this.#seen(view, entries)), next: (entries.at(-1)?.entry.index ?? index - 1) + 1 }
    })
  }

  /** The session state as stored; undefined when there is no such session. */
  async state(session_id: string): Promise<SessionState | undefined> {
    const row = (await this.#store.read((view) => view.sessions([session_id])))[0]
    return row === undefined ? undefined : decodeSession(row.row)
  }

  /** Matching events page by page: the store narrows, what it cannot know is looked at after. */
  async #pages<T extends { readonly index: number }>(view: StoreView, search: EventSearch, sessions: ReadonlySet<string> | undefined, size: number, cursor: string | undefined, make: (found: StoredEntry[]) => Promise<T[]>): Promise<Page<T>> {
    const items: T[] = []
    let from = cursor === undefined ? 0 : Number(cursor)
    if (!Number.isSafeInteger(from) || from < 0) throw badCursor(cursor)
    let left = this.#sight.scan ?? Infinity
    const filter: Omit<EventFilter, 'from' | 'limit'> = {
      ...(search.session_id === undefined ? {} : { session_id: search.session_id }), ...(search.event_types === undefined ? {} : { event_types: search.event_types }), ...(search.tool_name === undefined ? {} : { tool_name: search.tool_name }),
      ...(search.since === undefined ? {} : { since: search.since }), ...(search.until === undefined ? {} : { until: search.until }),
    }
    for (;;) {
      const limit = Math.min(READ_AT_ONCE, Math.max(size - items.length, 16), left)
      await turn()
      const rows = await view.events({ ...filter, from, limit })
      const matching = rows.map(storedOf).filter(({ entry }) => sessions === undefined || sessions.has(entry.session_id))
      const found = await this.#seen(view, matching)
      for (const item of await make(found)) {
        if (search.outcome !== undefined && (item as { outcome?: unknown }).outcome !== search.outcome) continue
        if (search.text !== undefined && !mentions(item, search.text)) continue
        items.push(item)
        if (items.length === size) return { items, next: String(item.index + 1) }
      }
      if (rows.length < limit) return { items, next: null }
      from = rows.at(-1)!.index + 1
      left -= rows.length
      if (left <= 0) return { items, next: String(from) }
    }
  }

  /** What looks into content is asked by who sees content: its answer says what is there, whatever it shows. */
  #checkSearch({ text, user_id, subject }: Pick<SessionSearch, 'text' | 'user_id' | 'subject'>): void {
    if (this.#sight.content === 'full' || (text ?? user_id ?? subject) === undefined) return
    throw new MisuseError('needs_content', 'trail: expected a search for text or a person to be made by who sees content', 'search by facts: session, agent, type, tool, outcome, time')
  }

  #sees(state: SessionState): boolean {
    return sees(this.#sight, state)
  }

  /** Those of `entries` whose session this reader may see. */
  async #seen(view: StoreView, entries: StoredEntry[]): Promise<StoredEntry[]> {
    if (this.#sight.only === undefined || entries.length === 0) return entries
    const rows = await view.sessions([...new Set(entries.map(({ entry }) => entry.session_id))])
    const seen = new Set(rows.map(({ row }) => decodeSession(row)).filter((state) => this.#sees(state)).map(({ session_id }) => session_id))
    return entries.filter(({ entry }) => seen.has(entry.session_id))
  }

  /** All of a session that this reader may see. */
  async *#session(view: StoreView, session_id: string): AsyncGenerator<ViewEvent> {
    const row = (await view.sessions([session_id]))[0]
    if (row !== undefined && this.#sees(decodeSession(row.row))) yield* this.#views(view, sessionEntries(view, session_id))
  }

  /** Views of some entries, ascending by index: what each stands on is looked up behind it. */
  async #withContext(view: StoreView, entries: readonly StoredEntry[]): Promise<ViewEvent[]> {
    const events: ViewEvent[] = []
    for (const own of bySession(entries).values()) events.push(...(await this.#some(view, own)))
    return events.sort((a, b) => a.index - b.index)
  }

  /** What was joined by facts alone, as it is shown. */
  async #joinedViews(view: StoreView, joined: readonly Joined[], entries: ReadonlyMap<number, StoredEntry>): Promise<Joined[]> {
    const indexes = new Set(joined.flatMap((each) => eventsOf(each).map(({ index }) => index)))
    const views = new Map((await this.#withContext(view, [...indexes].map((index) => entries.get(index)!))).map((event) => [event.index, event]))
    const shown = ({ index }: ViewEvent): ViewEvent => views.get(index)!
    return joined.map(({ event, result, request, decisions, taken }) => ({
      event: shown(event), ...(result === undefined ? {} : { result: shown(result) }), ...(request === undefined ? {} : { request: shown(request) }), decisions: decisions.map(shown), taken,
    }))
  }

  /** Views of some entries of one session. */
  async #some(view: StoreView, entries: readonly StoredEntry[]): Promise<ViewEvent[]> {
    const sorted = entries.toSorted((a, b) => a.entry.seq - b.entry.seq)
    const stepped = sorted.filter(isStepped)
    if (stepped.length < entries.length) {
      // the step of one that does not say it follows from all before it
      const wanted = new Set(entries.map(({ entry }) => entry.index))
      const { session_id, seq } = sorted.at(-1)!.entry
      return collect(this.#views(view, sessionEntries(view, session_id, seq), (entry) => wanted.has(entry.index)))
    }
    const payloads = this.#payloads(view)
    for (const { entry } of stepped) payloads?.know(entry)
    const past = new SessionPast(view, stepped.map(({ entry }) => entry), { prompts: this.#sight.content === 'full' && payloads !== undefined, onEntry: (entry) => payloads?.know(entry) })
    return collect(viewSome(stepped, past, this.#reading(payloads), this.#shown))
  }

  /** Views of a session's entries from its first one on. */
  #views(view: StoreView, entries: AsyncIterable<StoredEntry>, want?: (entry: Entry) => boolean): AsyncGenerator<ViewEvent> {
    const options = { ...(want === undefined ? {} : { want }), ...this.#shown }
    const payloads = this.#payloads(view)
    return viewEvents(payloads === undefined ? entries : payloads.following(entries), this.#reading(payloads), options)
  }

  /** What payloads are read with; undefined where none is shown. */
  #payloads(view: StoreView): PayloadValues | undefined {
    return this.#sight.content === 'none' ? undefined : new PayloadValues(view, this.#keyring)
  }

  #reading(payloads: PayloadValues | undefined): ReadPayloads {
    return (places) => payloads?.read(places) ?? places.map(() => new Absent('withheld'))
  }

  get #shown(): { readonly mask?: typeof maskValue } {
    return this.#sight.content === 'masked' ? { mask: maskValue } : {}
  }

  async #summary(view: StoreView, state: SessionState): Promise<SessionSummary> {
    if (state.identity === undefined) return summaryOf(state, null)
    const rows = await view.sessionEntries(state.session_id, state.identity, 1)
    const entry = rows[0] === undefined ? undefined : parseEntry(rows[0].entry).entry
    const at = entry === undefined ? -1 : [...ownRefs(entry)].findIndex(({ slot }) => slot === 'identity')
    if (entry === undefined || at === -1) return summaryOf(state, null)
    if (this.#sight.content === 'none') return summaryOf(state, new Absent('withheld'))
    const payloads = new PayloadValues(view, this.#keyring)
    const { ref, slot, position } = [...ownRefs(entry)][at]!
    const [bytes] = await payloads.readOf(entry, [{ ref, slot, position, index: entry.index, seq: entry.seq, ordinal: at }])
    if (bytes instanceof Absent) return summaryOf(state, bytes)
    const user_id = personOf(JSON.parse(new TextDecoder().decode(bytes)) as never)
    return summaryOf(state, this.#sight.content === 'masked' ? (maskValue(user_id) as string | null) : user_id)
  }

  async #mentions(view: StoreView, state: SessionState, text: string): Promise<boolean> {
    for await (const event of this.#views(view, sessionEntries(view, state.session_id))) if (mentions(event, text)) return true
    return false
  }

  /** The sessions that a search is limited to by agent or person; undefined for all. */
  async #sessionsOf(view: StoreView, search: EventSearch): Promise<Set<string> | undefined> {
    if (search.agent_id === undefined && search.user_id === undefined) return undefined
    const persons = search.user_id === undefined ? undefined : await this.#personsSessions(view, search.user_id)
    if (search.agent_id === undefined) return persons
    const found = new Set<string>()
    for (let before: { started_at: string; session_id: string } | undefined; ; ) {
      const page = await view.listSessions({ agent_id: search.agent_id, limit: 500, ...(before === undefined ? {} : { before }) })
      for (const row of page) {
        const state = decodeSession(row.row)
        before = { started_at: state.started_at, session_id: state.session_id }
        if (persons === undefined || persons.has(state.session_id)) found.add(state.session_id)
      }
      if (page.length < 500) return found
    }
  }

  /** The sessions for a person, whose own scope is theirs; or any that has content of them. */
  async #personsSessions(view: StoreView, user_id: string, which: 'own' | 'any' = 'own'): Promise<Set<string>> {
    if (this.#keyring === undefined) throw new StoreError('no_key', 'trail: sessions of a person cannot be found without the keys', 'run it where the log\'s keys are')
    const scopes = new Set((await view.subjectScopes(this.#keyring.fingerprint('subject', utf8(user_id)))).map(toHex))
    const found = new Set<string>()
    for (let after: Uint8Array | undefined; scopes.size > 0; ) {
      const page = await view.scopePage(after, 500)
      for (const row of page) if (scopes.has(toHex(row.scope)) && (which === 'any' || row.k === 0)) found.add(row.session_id)
      if (page.length < 500) break
      after = page.at(-1)!.scope
    }
    return found
  }
}

function bySession(entries: readonly StoredEntry[]): Map<string, StoredEntry[]> {
  const sessions = new Map<string, StoredEntry[]>()
  for (const stored of entries) {
    const own = sessions.get(stored.entry.session_id)
    if (own === undefined) sessions.set(stored.entry.session_id, [stored])
    else own.push(stored)
  }
  return sessions
}

/** The entry of the row of an event. */
async function rowAt(view: StoreView, session_id: string, event_id: string): Promise<Entry> {
  const named = (await view.findEvents([event_id])).map(storedOf).filter(({ entry }) => entry.session_id === session_id)
  const { joined, entries } = await joinedOf(view, session_id, named)
  const first = joined.find(({ event }) => isRow(event.event_type))
  if (first === undefined) throw badCursor(event_id)
  return entries.get(first.event.index)!.entry
}

function placesOf(events: readonly ViewEvent[]): Place[] {
  return events.map(({ index, entry_hash, event_type }) => ({ index, entry_hash, event_type }))
}

function sessionCursor(cursor: string): { started_at: string; session_id: string } {
  try {
    const { started_at, session_id } = JSON.parse(cursor) as { started_at: unknown; session_id: unknown }
    if (typeof started_at === 'string' && typeof session_id === 'string') return { started_at, session_id }
  } catch {
    // no cursor of ours
  }
  throw badCursor(cursor)
}

/** The entries of a session among which its start is. */
async function firstEntries(view: StoreView, session_id: string): Promise<Entry[]> {
  return (await view.sessionEntries(session_id, 0, BEFORE_START)).map(({ entry }) => parseEntry(entry).entry)
}

function startIn(first: readonly Entry[]): Entry | undefined {
  return first.find(({ event_type }) => event_type === 'session_start')
}

/** The start of a session that has one; some sessions begin long before they say what they are. */
async function startOf(view: StoreView, session_id: string): Promise<Entry | undefined> {
  const first = startIn(await firstEntries(view, session_id))
  if (first !== undefined) return first
  const [late] = await view.events({ session_id, event_types: ['session_start'], limit: 1 })
  return late === undefined ? undefined : parseEntry(late.entry).entry
}

function badCursor(cursor: string | undefined): MisuseError {
  return new MisuseError('bad_cursor', `trail: expected a cursor that page() gave, got ${JSON.stringify(cursor?.slice(0, 100))}`, 'begin without one')
}

/** A session's entries in order, from `from_seq` up to `last_seq`. */
async function* sessionEntries(view: StoreView, session_id: string, last_seq = Number.MAX_SAFE_INTEGER, from_seq = 0): AsyncGenerator<StoredEntry> {
  for (let seq = from_seq; seq <= last_seq; ) {
    await turn() // appends take their turn between pages
    const page = await view.sessionEntries(session_id, seq, Math.min(READ_AT_ONCE, last_seq - seq + 1))
    for (const row of page) {
      const stored = storedOf(row)
      yield stored
      seq = stored.entry.seq + 1
    }
    if (page.length === 0) return
  }
}

/** Payload bytes by place, checked; remembers the entries that it was led past, since a place names only their index. */
class PayloadValues {
  readonly #view: StoreView
  readonly #content: ContentReader | undefined
  readonly #entries = new Map<number, Entry>()
  #erasures: Map<string, number> | undefined

  constructor(view: StoreView, keyring: Keyring | undefined) {
    this.#view = view
    this.#content = keyring === undefined ? undefined : new ContentReader(view, keyring)
  }

  async *following(entries: AsyncIterable<StoredEntry>): AsyncGenerator<StoredEntry> {
    for await (const stored of entries) {
      this.know(stored.entry)
      yield stored
    }
  }

  know(entry: Entry): void {
    this.#entries.set(entry.index, entry)
  }

  readOf(entry: Entry, places: readonly RefPlace[]): Promise<(Uint8Array | Absent)[]> {
    this.know(entry)
    return this.read(places)
  }

  async read(places: readonly RefPlace[]): Promise<(Uint8Array | Absent)[]> {
    if (this.#content === undefined) return places.map(() => new Absent('no_key'))
    const indexes = [...new Set(places.map(({ index }) => index))].sort((a, b) => a - b)
    const entries = indexes.map((index) => this.#entries.get(index)!)
    const disclosed = new Map((await this.#content.payloads(entries)).map((own, i) => [indexes[i]!, own]))
    const out: (Uint8Array | Absent)[] = []
    for (const { index, ordinal, ref } of places) {
      const got = disclosed.get(index)![ordinal]
      if (got !== undefined && 'absent' in got && got.absent === 'sealed') out.push(new Absent('no_key'))
      else if (got === undefined || !('bytes' in got)) out.push(await this.#absent(index, ref.k ?? 0))
      else out.push(equal(commit(got.salt, digestOf(got.bytes)), fromBase64(ref.c)) ? got.bytes : new Absent('missing'))
    }
    return out
  }

  /** Why a payload is not there: the entry that ordered its erasure, or nothing says so. */
  async #absent(index: number, k: number): Promise<Absent> {
    this.#erasures ??= await erasures(this.#view)
    const by = this.#erasures.get(`${this.#entries.get(index)!.session_id}/${k}`)
    return by === undefined ? new Absent('missing') : new Absent('erased', by)
  }
}

/** Scope → index of the entry that orders its erasure. */
async function erasures(view: StoreView): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  for (let from = 0; ; ) {
    const page = await view.events({ event_types: ['erasure'], from, limit: 500 })
    for (const { index, entry } of page) {
      from = index + 1
      const { facts, writer } = parseEntry(entry).entry
      if (writer === 'ledger' && facts['phase'] === 'ordered') for (const scope of (facts['scopes'] as readonly string[] | undefined) ?? []) found.set(scope, index)
    }
    if (page.length < 500) return found
  }
}

function mentions(value: unknown, text: string): boolean {
  return JSON.stringify(value).toLowerCase().includes(JSON.stringify(text).slice(1, -1).toLowerCase())
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = []
  for await (const item of items) out.push(item)
  return out
}
