// One part of a log as a verification reads it: the entries of some of its sessions, each hashed, parsed and checked against its session, and
// its content (docs/format.md §10, steps 3 to 7). What concerns the whole log (tree, keys, times, erasures) is in the reports, in the order of
// the entries, for `verify.ts` to put together. A log in one part is read as one in many; several parts may be read in threads of their own.

import { toBase64 } from '../base/bytes.ts'
import { messageOf, MisuseError, StoreError, VerifyError } from '../base/errors.ts'
import { ownRefs, type Entry } from '../event/entry.ts'
import { NewerFormatError } from '../event/fault.ts'
import { parseEntry, parseEntryText, type ParsedEntry } from '../event/parse.ts'
import { encodeSession, type SessionPhase } from '../event/session.ts'
import { leafHash, leafHashOfText, type Hash } from '../log/hash.ts'
import { treeRoot } from '../log/tree.ts'
import { commit, digestOf } from '../vault/commitment.ts'
import type { Disclosed, Evidence, VaultFindings } from './evidence.ts'
import { SessionCheck, type Broken } from './session-check.ts'
import type { Problem } from './verdict.ts'

/** How many entries a report covers. */
export const PAGE = 1_000

/** Part `n` of `of`. */
export interface Share { readonly n: number; readonly of: number }

/** Something that the whole log has to hear of, in the order in which it was found; `index` is the entry's. */
export type Note =
  | { readonly kind: 'problem'; readonly index: number; readonly problem: Problem }
  | { readonly kind: 'newer'; readonly index: number }
  /** entry 0, and what speaks of keys or erasures */
  | { readonly kind: 'entry'; readonly index: number; readonly entry: Entry }

/** Content that is not there. */
export interface Missing { readonly index: number; readonly scope: string; readonly slot: string; readonly late: boolean }

/** What was found in the entries `from` to `to` of one part. Plain data: it may come from another thread. */
export interface PageReport {
  readonly from: number
  readonly to: number
  /** The part's entries that are there, ascending, with the entry hash of each (base64). */
  readonly indexes: readonly number[]
  readonly hashes: readonly string[]
  /** `recorded_at` of each, empty where the entry does not parse. */
  readonly times: readonly string[]
  /** Which of them say that the clock was set: there time may go back. */
  readonly clocks: readonly number[]
  /** Before the entries: what of the page could not be read. */
  readonly unread: readonly Problem[]
  /** Of single entries, ascending: what is wrong with the entry as such, and then with its place in its session. */
  readonly notes: readonly Note[]
  readonly inSession: readonly Note[]
  /** After the entries: those that are missing at the page's end, and what is wrong with content. */
  readonly after: readonly Problem[]
  readonly missing: readonly Missing[]
  readonly payloads: number
  readonly sealed: number
  readonly unknown: number
  readonly toldAfter: number
  readonly imported: number
}

/** A session after its last entry. Plain data. */
export interface SessionEnd {
  readonly session_id: string
  /** its first entry */
  readonly first: number
  /** Absent where no entry of it could be followed. */
  readonly state?: { readonly agent_id: string; readonly phase: SessionPhase; readonly next_seq: number; readonly prev: string; readonly last_index: number; readonly row: string }
  readonly broken?: Broken
  /** scope → the first entry that puts content into it */
  readonly scopes: ReadonlyMap<number, number>
  /** What its ends state of its segments: whether that is so, or why it cannot be read. */
  readonly endings: readonly { readonly index: number; readonly agrees: boolean; readonly unread?: string }[]
  /** How many events never arrived, and how many came with a number that another has. */
  readonly gaps: number
  readonly repeated: number
}

/** What is left to say of a part after its last page. */
export interface PartEnd {
  readonly sessions: readonly SessionEnd[]
  readonly vault?: VaultFindings | { readonly unread: string }
}

/** One part of a log that can be read once, from its first page to its end. */
export interface PartReading {
  /** The reports of all pages of a log of `total` entries. */
  pages(total: number): AsyncIterable<PageReport>
  /** After the pages. */
  end(progress: (done: number) => void): Promise<PartEnd>
}

type PartEvidence = Pick<Evidence, 'origin' | 'entries' | 'texts' | 'earlier' | 'next' | 'vault' | 'restored'>

interface Found { readonly index: number; readonly entry: Uint8Array | string }

export class Part implements PartReading {
  readonly #evidence: PartEvidence
  readonly #share: Share
  /** Where reading begins: what is before was proved. */
  readonly #since: number
  readonly #sessions = new Map<string, SessionCheck>()
  #page = newPage(0)
  /** Of the entry that is read now. */
  #index = 0
  #texts: boolean

  constructor(evidence: PartEvidence, share: Share = { n: 0, of: 1 }, since = 0) {
    this.#evidence = evidence
    this.#share = share
    this.#since = since
    this.#texts = evidence.texts !== undefined
  }

  async *pages(total: number): AsyncGenerator<PageReport> {
    if (this.#since > 0) yield await this.#begun()
    for (let from = this.#since; from < total; ) {
      const to = Math.min(from + PAGE, total)
      const page = (this.#page = newPage(from))
      const rows = await this.#rows(from, to)
      if (this.#since > 0) for (const { entry } of rows) await this.#readEarlier(sessionIn(entry))
      const parsed: Entry[] = []
      const kept = this.#evidence.vault !== undefined // else they may go at once
      let expected = from
      for (const { index, entry } of rows) {
        if (index !== expected) this.#note(this.#missingEntries(expected, index))
        expected = index + 1
        if (this.#share.of > 1) {
          const session_id = sessionIn(entry)
          if (partOf(session_id, this.#share.of) !== this.#share.n) continue
          if (this.#sessions.get(session_id)?.forgot === true) await this.#recall(session_id, index)
        }
        const read = this.#readEntry(index, entry)
        if (read !== undefined && kept) parsed.push(read)
      }
      const next = expected === to ? to : await this.#next(to, total)
      if (expected < next && this.#tellsOfAll) page.after.push(this.#missingEntries(expected, next))
      if (kept) await this.#checkPayloads(parsed, from, to, new Set(page.indexes))
      page.to = next
      yield page
      from = next
    }
  }

  /** Where only what is new is read: the ledger's own session, in which keys and erasures stand, as far as it is older. A page without entries of its own. */
  async #begun(): Promise<PageReport> {
    this.#page = newPage(0)
    const first = (await this.#evidence.entries(0, 1))[0]
    if (first !== undefined) await this.#readEarlier(sessionIn(first.entry))
    this.#page.to = this.#since
    return this.#page
  }

  /** A session that began before: what it holds is needed to check what follows. Its bytes are bound by the hashes that its later entries name. */
  async #readEarlier(session_id: string): Promise<void> {
    if (this.#sessions.has(session_id) || this.#evidence.earlier === undefined) return
    for await (const { entry, bytes } of this.#earlier(session_id, this.#since)) {
      this.#index = this.#page.from
      if (entry.index === 0 || KEEPS_UP.has(entry.event_type)) this.#page.notes.push({ kind: 'entry', index: this.#page.from, entry })
      this.#checkSession(session_id, entry, toBase64(leafHash(bytes)))
    }
  }

  /** Something comes into a session that ended. */
  async #recall(session_id: string, before: number): Promise<void> {
    await this.#sessions.get(session_id)!.recallLists(this.#earlier(session_id, before))
  }

  /** Entries of a session out of the rows that the store has for it; throws where one is of another, or stands elsewhere. */
  async *#earlier(session_id: string, before: number): AsyncGenerator<{ readonly entry: Entry; readonly bytes: Uint8Array }> {
    for await (const { index, entry: bytes } of this.#evidence.earlier!(session_id, before)) {
      const { entry } = parseEntry(bytes)
      if (entry.index !== index || entry.session_id !== session_id) throw new VerifyError('index', `verify: entry #${index} is not the one that its row says`, 'verify without --since', { first_bad_index: index })
      yield { entry, bytes }
    }
  }

  /** What does not lie in one part's entries is said by the first. */
  get #tellsOfAll(): boolean {
    return this.#share.n === 0
  }

  #note(problem: Problem): void {
    if (this.#tellsOfAll) this.#page.notes.push({ kind: 'problem', index: problem.index!, problem })
  }

  #missingEntries(from: number, to: number): Problem {
    return problem('unchanged', 'entries_missing', to === from + 1 ? `entry #${from} is not there` : `entries #${from} to #${to - 1} are not there`, from)
  }

  /** A page of entries; where the evidence breaks within it, one by one, so that the break has an index. */
  async #rows(from: number, to: number): Promise<readonly Found[]> {
    try {
      if (this.#texts) {
        const texts = await this.#evidence.texts!(from, to)
        if (texts !== undefined) return texts
      }
      return await this.#evidence.entries(from, to)
    } catch (error) {
      checkUnreadable(error)
    }
    const rows: Found[] = []
    for (let index = from; index < to; index++) rows.push(...((await this.#reading(index, this.#page.unread, () => this.#evidence.entries(index, index + 1))) ?? []))
    return rows
  }

  /** Where to read on after a page that was not full: what is missing may be most of a log that says it is huge. */
  async #next(from: number, total: number): Promise<number> {
    const next = await this.#reading(from, this.#page.after, () => this.#evidence.next(from))
    return Math.min(next ?? total, total)
  }

  async #reading<T>(index: number, problems: Problem[], read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read()
    } catch (error) {
      checkUnreadable(error)
      if (this.#tellsOfAll) problems.push(unreadable('unchanged', index, error))
      return undefined
    }
  }

  #readEntry(index: number, bytes: Uint8Array | string): Entry | undefined {
    const page = this.#page
    this.#index = index
    page.indexes.push(index)
    const hash = typeof bytes === 'string' ? leafHashOfText(bytes) : toBase64(leafHash(bytes))
    page.hashes.push(hash)
    let read: ParsedEntry
    try {
      read = typeof bytes === 'string' ? parseEntryText(bytes) : parseEntry(bytes)
    } catch (error) {
      page.times.push('')
      if (error instanceof NewerFormatError) page.notes.push({ kind: 'newer', index })
      else page.notes.push({ kind: 'problem', index, problem: problem('unchanged', 'entry_malformed', `entry #${index}: ${messageOf(error)}`, index) })
      return undefined
    }
    if (read.unknown.length > 0) page.unknown++
    let { entry } = read
    if (entry.index !== index) {
      page.notes.push({ kind: 'problem', index, problem: problem('unchanged', 'index', `entry #${index} says that it is #${entry.index}`, index) })
      entry = { ...entry, index } // what else is wrong with it is said of where it stands
    }
    const { event_type, capture, recorded_at, session_id } = entry
    if (this.#share.of > 1 && partOf(session_id, this.#share.of) !== this.#share.n) page.notes.push({ kind: 'problem', index, problem: problem('unchanged', 'session', `entry #${index} is of a session that another part has`, index) })
    if (index === 0 || event_type === 'key_rotation' || event_type === 'key_compromise') page.notes.push({ kind: 'entry', index, entry })
    page.times.push(recorded_at)
    if (event_type === 'clock') page.clocks.push(index)
    if (capture === 'after' && (event_type === 'llm_call' || event_type === 'tool_call')) page.toldAfter++
    if (capture === 'imported') page.imported++
    this.#checkSession(session_id, entry, hash)
    if (event_type === 'erasure') page.inSession.push({ kind: 'entry', index, entry })
    return entry
  }

  /** Steps 5 and 6. */
  #checkSession(session_id: string, entry: Entry, hash: string): void {
    let session = this.#sessions.get(session_id)
    if (session === undefined) {
      session = new SessionCheck(this.#evidence.origin, session_id, (property, code, message, index) => {
        this.#page.inSession.push({ kind: 'problem', index: this.#index, problem: { property, code, message, ...(index === undefined ? {} : { index }) } })
      })
      this.#sessions.set(session_id, session)
    }
    session.add(entry, hash)
    // Of several parts: what these find wrong is read again by one that holds everything, so nothing that is said rests on rows found by session
    if (this.#share.of > 1 && this.#evidence.earlier !== undefined) session.forgetLists()
  }

  /** Step 7. */
  async #checkPayloads(entries: readonly Entry[], from: number, to: number, own: ReadonlySet<number>): Promise<void> {
    const page = this.#page
    let disclosed: readonly (readonly Disclosed[])[] | undefined
    try {
      disclosed = await this.#evidence.vault?.follow(entries, { from, to, own })
    } catch (error) {
      checkUnreadable(error)
      if (to === from + 1) {
        if (entries.length > 0) page.after.push(problem('payloads', 'unreadable', `the content of #${from} cannot be read: ${messageOf(error)}`, from))
      } else for (let index = from; index < to; index++) if (own.has(index)) await this.#checkPayloads(entries.filter((entry) => entry.index === index), index, index + 1, own)
      return
    }
    if (disclosed === undefined) return
    for (const [i, entry] of entries.entries()) {
      let n = 0
      for (const { slot, ref } of ownRefs(entry)) {
        const got: Disclosed = disclosed[i]?.[n++] ?? { absent: 'missing' }
        const scope = `${entry.session_id}/${ref.k ?? 0}`
        if ('bytes' in got) {
          if (toBase64(commit(got.salt, digestOf(got.bytes))) === ref.c) page.payloads++
          else page.after.push(problem('payloads', 'commitment', `the content of ${slot} of #${entry.index} is not what the entry commits to`, entry.index))
        } else if (got.absent === 'sealed') this.#checkSealed(entry, slot, ref.k ?? 0)
        else if (got.absent === 'damaged') page.after.push(problem('payloads', 'damaged', `the content of ${slot} of #${entry.index}: ${got.why}`, entry.index))
        else page.missing.push({ index: entry.index, scope, slot, late: got.absent === 'no_scope' })
      }
    }
  }

  /** A scope without its secret is believed only where this machine noted that it restored the log without it, and only of the scopes that this was said of. */
  #checkSealed({ index, session_id }: Entry, slot: string, k: number): void {
    const { restored } = this.#evidence
    const first = this.#sessions.get(session_id)?.scopes.get(k)
    if (first !== undefined && restored?.sealed !== undefined && first >= restored.sealed[0] && first < restored.sealed[1]) this.#page.sealed++
    else this.#page.after.push(problem('payloads', 'sealed', `the secret of the content of ${slot} of #${index} is not there, and this machine did not restore the log without it`, index))
  }

  async end(progress: (done: number) => void): Promise<PartEnd> {
    const { vault } = this.#evidence
    let found: VaultFindings | { readonly unread: string } | undefined
    try {
      if (this.#since === 0) found = await vault?.findings(progress)
    } catch (error) {
      checkUnreadable(error)
      found = { unread: messageOf(error) }
    }
    const sessions: SessionEnd[] = []
    for (const [session_id, session] of this.#sessions) sessions.push(await this.#sessionEnd(session_id, session))
    return { sessions, ...(found === undefined ? {} : { vault: found }) }
  }

  async #sessionEnd(session_id: string, session: SessionCheck): Promise<SessionEnd> {
    const { state, first, broken, scopes } = session
    let [gaps, repeated] = [0, 0]
    for (const track of session.streams.values()) {
      gaps += track.missing
      repeated += track.repeated
    }
    return {
      session_id, first, scopes, gaps, repeated, endings: await this.#endings(session_id, session),
      ...(state === undefined ? {} : { state: { agent_id: state.agent_id, phase: state.state, next_seq: state.next_seq, prev: state.prev, last_index: state.last_index, row: encodeSession(state) } }),
      ...(broken === undefined ? {} : { broken }),
    }
  }

  async #endings(session_id: string, { endings }: SessionCheck): Promise<SessionEnd['endings']> {
    const { vault } = this.#evidence
    if (vault === undefined || endings.length === 0) return []
    let hashes: readonly Hash[] = []
    let unread: string | undefined
    try {
      hashes = await vault.segmentHashes(session_id)
    } catch (error) {
      checkUnreadable(error)
      unread = messageOf(error)
    }
    return endings.map(({ index, count, root }, i) => ({
      index, agrees: hashes.length >= count && toBase64(treeRoot(hashes.slice(0, count).map(leafHash))) === root, ...(unread === undefined || i > 0 ? {} : { unread }),
    }))
  }
}

/** What an older entry may say of the whole log. */
const KEEPS_UP: ReadonlySet<string> = new Set(['key_rotation', 'key_compromise', 'erasure'])

type Writing = { -readonly [K in keyof PageReport]: PageReport[K] extends readonly (infer T)[] ? T[] : PageReport[K] }

function newPage(from: number): Writing {
  return { from, to: from, indexes: [], hashes: [], times: [], clocks: [], unread: [], notes: [], inSession: [], after: [], missing: [], payloads: 0, sealed: 0, unknown: 0, toldAfter: 0, imported: 0 }
}

/**
 * The session that an entry names, if it is one: in canonical JSON the last member of this name is the envelope's, since only facts and payloads
 * come before it, and no text after it holds a quote. Of anything else it gives something, and always the same.
 */
export function sessionIn(entry: Uint8Array | string): string {
  const text = typeof entry === 'string' ? entry : latin1(entry)
  const at = text.lastIndexOf('"session_id":"')
  return at === -1 ? '' : text.slice(at + 14, at + 50)
}

function latin1(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4_096) text += String.fromCharCode(...bytes.subarray(at, at + 4_096))
  return text
}

/** Which of `of` parts a session belongs to. */
export function partOf(session_id: string, of: number): number {
  let mixed = 0x811c9dc5 // FNV-1a
  for (let i = 0; i < session_id.length; i++) mixed = Math.imul(mixed ^ session_id.charCodeAt(i), 0x01000193)
  return ((mixed ^ (mixed >>> 15)) >>> 0) % of
}

/** Store errors that say what is wrong with the file; the others say that it could not be read now. */
const UNREADABLE: ReadonlySet<string> = new Set(['corrupt', 'sqlite', 'not_a_database'])

/** Throws `error` again unless it says that the evidence itself is broken. */
export function checkUnreadable(error: unknown): void {
  if (error instanceof MisuseError || (error instanceof StoreError && !UNREADABLE.has(error.code))) throw error
}

function problem(property: Problem['property'], code: string, message: string, index: number): Problem {
  return { property, code, message, index }
}

/** What cannot be read, as a problem. */
export function unreadable(property: Problem['property'], index: number | undefined, error: unknown): Problem {
  return { property, code: 'unreadable', message: `${index === undefined ? 'the evidence' : `what belongs to #${index}`} cannot be read: ${messageOf(error)}`, ...(index === undefined ? {} : { index }) }
}
