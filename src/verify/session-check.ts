// One session as a verification reads it: seq, prev, streams, list roots, approvals and what its end states (docs/format.md §10, steps 5
// and 6). The session's entries come in the order of the log; whether they are the signed ones is checked elsewhere.

import { fromBase64, toBase64 } from '../base/bytes.ts'
import { messageOf, VerifyError } from '../base/errors.ts'
import { Settling } from '../event/approval.ts'
import { isListChange, isSameRef, type Entry } from '../event/entry.ts'
import { ListIndex } from '../event/list.ts'
import { encodeEntry } from '../event/parse.ts'
import { firstPrev, foldSession, type SessionState } from '../event/session.ts'
import { hashOfText, leafHash, type HashText } from '../log/hash.ts'
import { leafOf, ListRoots } from './list-root.ts'
import { StreamTrack } from './stream-track.ts'
import type { Property } from './verdict.ts'

/** Takes what does not fit; codes are those of docs/format.md §10. */
export type Bad = (property: Property, code: string, message: string, index?: number) => void

/** What an end of the session, the entry `index`, states of its segments. */
export interface SessionEnding { readonly index: number; readonly count: number; readonly root: string }

/** An entry whose `prev` is not the hash of the one before: which of the two was changed, the next one shows. */
export interface Broken { readonly before: number; readonly index: number; readonly mended: string }

export class SessionCheck {
  /** As far as it was read; undefined before the first entry. */
  state: SessionState | undefined
  /** The index of its first entry. */
  first = -1
  readonly streams: Map<string, StreamTrack> = new Map()
  /** scope → the first entry that puts content into it */
  readonly scopes: Map<number, number> = new Map()
  readonly endings: SessionEnding[] = []
  #lists = new ListIndex(leafOf)
  #roots = new ListRoots(this.#lists)
  #added = 0
  #forgot: 'nothing' | 'lists' | 'once' = 'nothing'
  readonly #origin: string
  readonly #session_id: string
  readonly #bad: Bad
  broken: Broken | undefined
  // neighbours mostly have the same
  #lastScope = -1
  #lastStream = ''
  #lastTrack: StreamTrack | undefined
  readonly #usedApprovals = new Set<number>()
  readonly #decisions = new Map<number, Entry>()
  readonly #requests = new Map<string, { readonly entry: Entry; readonly settling: Settling }>()

  constructor(origin: string, session_id: string, bad: Bad) {
    this.#origin = origin
    this.#session_id = session_id
    this.#bad = bad
  }

  /** The next entry of the session, with its entry hash (base64). */
  add(entry: Entry, hash: string): void {
    const { index, seq } = entry
    const expected = this.state?.next_seq ?? 0
    this.#added++
    if (this.first === -1) this.first = index
    if (seq !== expected) this.#bad('unchanged', 'seq', `entry #${index} has seq ${seq} in its session, expected ${expected}`, index)
    this.settle(entry.prev)
    this.#checkPrev(entry, seq === expected)
    this.#noteScopes(entry)
    this.#checkEnd(entry)
    this.#checkLists(entry)
    this.#checkApproval(entry, hash)
    if (entry.stream !== undefined && entry.stream_seq !== undefined) this.#track(entry.stream).add(entry.stream_seq)
    try {
      this.state = foldSession(this.state, entry, hash, true)
    } catch (error) {
      this.#bad('unchanged', 'session', `entry #${index}: ${messageOf(error)}`, index)
    }
  }

  /** Whether its lists were forgotten: nothing can be added before they are recalled. */
  get forgot(): boolean {
    return this.#forgot === 'lists'
  }

  /** Lets go of its lists, which are most of what it holds, where it has ended: rarely anything comes after that. Once, so that a session that ends over and over is read twice at most. */
  forgetLists(): void {
    if (this.#forgot !== 'nothing' || this.state?.state !== 'ended') return
    this.#forgot = 'lists'
    this.#lists = new ListIndex(leafOf)
    this.#roots = new ListRoots(this.#lists)
  }

  /** Makes its lists again, of the entries that were added; throws where these are not as many. What is wrong with one was said when it was added. */
  async recallLists(entries: AsyncIterable<{ readonly entry: Entry }>): Promise<void> {
    let count = 0
    for await (const { entry } of entries) {
      count++
      try {
        this.#lists.add(entry)
      } catch {
        // as before
      }
    }
    if (count !== this.#added) throw new VerifyError('index', `verify: session ${this.#session_id} has ${this.#added} entries, ${count} are found by its id`, 'verify with --jobs 1')
    this.#forgot = 'once'
  }

  #noteScopes({ index, payloads }: Entry): void {
    for (const slot in payloads) {
      const value = payloads[slot]!
      if (isListChange(value)) for (const { k } of value.add) this.#noteScope(k, index)
      else if (!isSameRef(value)) this.#noteScope(value.k, index)
    }
  }

  #noteScope(k = 0, index: number): void {
    if (k === this.#lastScope) return
    this.#lastScope = k
    if (!this.scopes.has(k)) this.scopes.set(k, index)
  }

  #track(stream: string): StreamTrack {
    if (stream === this.#lastStream) return this.#lastTrack!
    let track = this.streams.get(stream)
    if (track === undefined) this.streams.set(stream, (track = new StreamTrack()))
    this.#lastStream = stream
    return (this.#lastTrack = track)
  }

  #checkPrev(entry: Entry, inPlace: boolean): void {
    const { index } = entry
    const { state } = this
    const prev = state?.prev ?? firstPrev(this.#origin, this.#session_id)
    if (entry.prev === prev) return
    if (state === undefined) this.#bad('unchanged', 'prev', `entry #${index} does not begin a session of this log`, index)
    else if (!inPlace) this.#bad('unchanged', 'prev', `entry #${index} does not follow the entry stored before it in its session, #${state.last_index}`, index)
    else this.broken = { before: state.last_index, index, mended: toBase64(leafHash(encodeEntry({ ...entry, prev }))) }
  }

  /** `next` is the hash that is named after the last entry, if any. */
  settle(next: string | undefined): void {
    if (this.broken === undefined) return
    this.#bad(...settled(this.broken, next))
    this.broken = undefined
  }

  #checkEnd({ index, event_type, facts }: Entry): void {
    if (event_type !== 'session_end' && event_type !== 'session_timeout') return
    const { streams, segment_count, segment_root } = facts
    if (typeof streams === 'object' && !Array.isArray(streams)) {
      for (const [stream, count] of Object.entries(streams as { [stream: string]: number })) {
        const got = this.streams.get(stream)?.next ?? 0
        if (got !== count) this.#bad('complete', 'stream_count', `the end of session ${this.#session_id} counts ${count} events of stream ${stream.slice(-8)}, ${got} are here`, index)
      }
    }
    if (typeof segment_count === 'number' && typeof segment_root === 'string') this.endings.push({ index, count: segment_count, root: segment_root })
  }

  #checkLists(entry: Entry): void {
    const { index, seq } = entry
    try {
      this.#lists.add(entry)
    } catch (error) {
      this.#bad('unchanged', 'reference', `entry #${index}: ${messageOf(error)}`, index)
      return
    }
    for (const slot in entry.payloads) {
      const value = entry.payloads[slot]!
      if (!isListChange(value)) continue
      const root = this.#roots.root(seq, slot, { ...(value.base === undefined ? {} : { base: value.base, keep: value.keep! }), add: this.#lists.list(seq, slot)!.add })
      if (!says(value.root, root)) this.#bad('unchanged', 'list_root', `entry #${index} states root ${value.root} for ${slot}, its elements have ${toBase64(hashOfText(root))}`, index)
    }
  }

  /** An approval binds one call: the decision names a request on record, the call names the decision that met its quorum and re-uses its input, once. */
  #checkApproval(entry: Entry, hash: string): void {
    const { event_type } = entry
    if (event_type !== 'tool_call' && event_type !== 'approval_request' && event_type !== 'approval_decision') return
    const { index, seq, facts, payloads, recorded_at } = entry
    if (event_type === 'approval_request') this.#requests.set(hash, { entry, settling: new Settling(facts['quorum']) })
    if (event_type === 'approval_decision') {
      this.#decisions.set(seq, entry)
      const asked = this.#requests.get(textOf(facts['request']))
      asked?.settling.add({ seq, decision: facts['decision'], approver: facts['approver'], outcome: entry.outcome })
      if (asked === undefined) this.#bad('unchanged', 'approval', `the decision #${index} answers no request on record`, index)
    }
    const approval = facts['approval']
    if (event_type !== 'tool_call' || typeof approval !== 'number') return
    const decision = this.#decisions.get(approval)
    const { entry: request, settling } = (decision === undefined ? undefined : this.#requests.get(textOf(decision.facts['request']))) ?? {}
    const input = payloads['tool_input']
    const expires = request?.facts['expires_at']
    const inTime = typeof expires !== 'string' || recorded_at <= expires
    const bound = request !== undefined && inTime && input !== undefined && 'same' in input && input.same === request.seq && request.facts['tool_name'] === facts['tool_name']
    const { settled } = settling ?? {}
    if (settled?.decision !== 'approved' || settled.seq !== approval || !bound) this.#bad('unchanged', 'approval', `the call #${index} uses an approval that is not for it`, index)
    else if (this.#usedApprovals.has(approval)) this.#bad('unchanged', 'approval', `the call #${index} uses an approval a second time`, index)
    this.#usedApprovals.add(approval)
  }
}

/** Two neighbours do not fit. If `next`, the hash that is named after them, is that of the second with the right `prev`, then that was changed in the second; else it was the first. */
export function settled(broken: Broken, next: string | undefined): Parameters<Bad> {
  return ['unchanged', 'prev', `entry #${broken.index} does not follow the entry stored before it in its session, #${broken.before}`, next === broken.mended ? broken.index : broken.before]
}

/** Whether `base64` says the hash `text`. */
function says(base64: string, text: HashText): boolean {
  const bytes = fromBase64(base64)
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== text.charCodeAt(i)) return false
  return bytes.length === text.length
}

/** A fact that is a text; of another kind it is newer vocabulary, and names nothing. */
function textOf(fact: unknown): string {
  return typeof fact === 'string' ? fact : ''
}
