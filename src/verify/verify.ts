// Verification, in named steps. Storage is not trusted: every stored byte that means something is read and compared with what the signed
// checkpoint covers. Pure: reads through `Evidence`, knows no clock and no disk.
//
//   1 checkpoint signature   2 consistency with what this machine saw before (its root is met while the tree grows)
//   3 tree from the stored entries   4 entries canonical
//   5 seq, prev, streams     6 list roots     7 payload commitments     8 derived rows agree     9 what is absent is accounted for

import { equal, toBase64 } from '../base/bytes.ts'
import { CounterfoilError, VerifyError } from '../base/errors.ts'
import { isListChange, ownRefs, type Entry } from '../event/entry.ts'
import { NewerFormatError } from '../event/fault.ts'
import { ListIndex } from '../event/list.ts'
import { parseEntry } from '../event/parse.ts'
import { encodeSession, firstPrev, foldSession, type SessionState } from '../event/session.ts'
import { openCheckpoint, type Checkpoint } from '../log/checkpoint.ts'
import { leafHash, type Hash } from '../log/hash.ts'
import { ed25519Verifier } from '../log/note.ts'
import { TreeEdge, treeRoot } from '../log/tree.ts'
import { commit, digestOf } from '../vault/commitment.ts'
import type { Disclosed, Evidence } from './evidence.ts'
import { ListRoots } from './list-root.ts'
import type { Problem, Property, PropertyVerdict, Verdict } from './verdict.ts'

const PAGE = 1_000
const PROBLEMS_KEPT = 100

export interface VerifyOptions {
  readonly progress?: (done: number, total: number) => void
}

/** Verifies `evidence`. Rejects with an error only when it could not run; what is wrong with the evidence is in the verdict. */
export async function verifyLog(evidence: Evidence, options: VerifyOptions = {}): Promise<Verdict> {
  const run = new Run(evidence, options)
  run.checkCheckpoint()
  await run.readEntries()
  run.checkRoot()
  await run.checkDerived()
  await run.checkVault()
  run.checkAbsent()
  return run.verdict()
}

/** One session as far as it was read. */
interface Reading {
  state: SessionState | undefined
  readonly lists: ListIndex
  readonly roots: ListRoots
  readonly usedApprovals: Set<number>
  readonly decisions: Map<number, Entry>
  readonly requests: Map<string, Entry>
}

interface SessionEnding { readonly index: number; readonly session_id: string; readonly count: number; readonly root: string }
interface Missing { readonly index: number; readonly session_id: string; readonly scope: string; readonly slot: string; readonly late: boolean }

class Run {
  readonly #evidence: Evidence
  readonly #options: VerifyOptions
  readonly #size: number
  readonly #edge = new TreeEdge()
  readonly #sessions = new Map<string, Reading>()
  readonly #problems: Problem[] = []
  #problemCount = 0
  readonly #firstBad = new Map<Property, number>()
  readonly #failed = new Set<Property>()
  #checkpoint: Checkpoint | undefined
  #rememberedRoots = new Map<number, Hash>()
  #tailFrom = 0
  #recordedAt = ''
  #payloads = 0
  #erasedPayloads = 0
  #sealed = 0
  #endings: SessionEnding[] = []
  #missing: Missing[] = []
  /** scope → the entry that orders its erasure, and whether one says that it is done */
  #ordered = new Map<string, { index: number; erasure: string }>()
  #done = new Set<string>()
  #notRead: Problem[] = []
  #newer = 0
  #unknown = 0
  #toldAfter = 0
  #imported = 0
  #remembering: { size: number; what: string } | undefined

  constructor(evidence: Evidence, options: VerifyOptions) {
    this.#evidence = evidence
    this.#options = options
    this.#size = evidence.head.size
  }

  /** Step 1. */
  checkCheckpoint(): void {
    const { head, vkey, origin, remembered } = this.#evidence
    try {
      this.#checkpoint = openCheckpoint(head.note, [ed25519Verifier(vkey.text)], { origin })
      if (this.#checkpoint.size !== head.size) this.#bad('unchanged', 'head_mismatch', `the store says ${head.size} entries, the signed checkpoint ${this.#checkpoint.size}`, Math.min(head.size, this.#checkpoint.size))
    } catch (error) {
      this.#bad('unchanged', 'checkpoint', `the checkpoint is not one of this log's key: ${messageOf(error)}`)
    }
    for (const { note, what } of remembered) {
      try {
        const before = openCheckpoint(note, [ed25519Verifier(vkey.text)], { origin })
        if (before.size > this.#total) this.#bad('not_truncated', 'rolled_back', `this machine ${what} ${before.size} entries before, and ${this.#total} are here`, this.#total)
        else this.#rememberedRoots.set(before.size, before.root)
        if (this.#remembering === undefined || before.size > this.#remembering.size) this.#remembering = { size: before.size, what }
      } catch (error) {
        this.#bad('not_truncated', 'remembered', `the checkpoint that this machine ${what} before does not open under this log's key: ${messageOf(error)}`)
      }
    }
  }

  /** The size that the signature speaks for, where there is one. */
  get #total(): number {
    return this.#checkpoint?.size ?? this.#size
  }

  /** Steps 3 to 7: each entry once, in order. */
  async readEntries(): Promise<void> {
    const total = this.#total
    this.#noteRoot()
    for (let from = 0; from < total; from += PAGE) {
      const to = Math.min(from + PAGE, total)
      const rows = await this.#evidence.entries(from, to)
      const parsed: Entry[] = []
      let expected = from
      for (const { index, entry } of rows) {
        if (index !== expected) this.#bad('unchanged', 'entries_missing', index === expected + 1 ? `entry #${expected} is not there` : `entries #${expected} to #${index - 1} are not there`, expected)
        expected = index + 1
        const read = await this.#readEntry(index, entry)
        if (read !== undefined) parsed.push(read)
      }
      if (expected < to) this.#bad('unchanged', 'entries_missing', `entries #${expected} to #${to - 1} are not there`, expected)
      await this.#checkPayloads(parsed)
      this.#options.progress?.(to, total)
    }
    for (const { code, message, index } of await this.#evidence.extra()) this.#bad('unchanged', code, message, index)
  }

  async #readEntry(index: number, bytes: Uint8Array): Promise<Entry | undefined> {
    const hash = leafHash(bytes)
    await this.#addLeaf(index, hash)
    let entry: Entry
    try {
      const read = parseEntry(bytes)
      entry = read.entry
      if (read.unknown.length > 0) this.#unknown++
    } catch (error) {
      if (error instanceof NewerFormatError) {
        this.#newer++
        this.#notRead.push({ property: 'unchanged', code: 'newer_format', message: messageOf(error), index })
      } else this.#bad('unchanged', 'entry_malformed', `entry #${index}: ${messageOf(error)}`, index)
      return undefined
    }
    if (entry.index !== index) this.#bad('unchanged', 'index', `entry #${index} says that it is #${entry.index}`, index)
    this.#checkTime(entry)
    if (entry.capture === 'after' && (entry.event_type === 'llm_call' || entry.event_type === 'tool_call')) this.#toldAfter++
    if (entry.capture === 'imported') this.#imported++
    this.#checkSession(entry, toBase64(hash))
    return entry
  }

  async #addLeaf(index: number, hash: Hash): Promise<void> {
    const full = this.#edge.append([hash])
    this.#noteRoot()
    if (this.#evidence.tile === undefined) return
    for (const { level, index: n, bytes } of full) {
      const stored = await this.#evidence.tile(level, n)
      if (stored === undefined) this.#bad('indexes', 'tile_missing', `tile ${level}/${n} is not there`)
      else if (!equal(stored, bytes)) this.#badTile(level, n, stored, bytes)
    }
    if (full.length > 0) this.#tailFrom = index + 1
  }

  /** A tile that differs names the entry, or the tile itself was changed: the signed root decides, at the end. */
  #badTile(level: number, n: number, stored: Uint8Array, bytes: Uint8Array): void {
    const at = bytes.findIndex((byte, i) => stored[i] !== byte)
    const leaf = (n * 256 + Math.floor((at === -1 ? bytes.length : at) / 32)) * 256 ** level
    this.#bad('indexes', 'tile', `tile ${level}/${n} is not that of the stored entries, first at #${leaf}`, level === 0 ? leaf : undefined)
  }

  #noteRoot(): void {
    const before = this.#rememberedRoots.get(this.#edge.size)
    if (before === undefined || equal(before, this.#edge.root())) return
    this.#bad('not_truncated', 'forked', `the first ${this.#edge.size} entries are not those that this machine saw before under this key: history was rewritten and signed again`)
  }

  #checkTime({ index, recorded_at, event_type }: Entry): void {
    // a clock entry is the one place where time may go back
    if (recorded_at < this.#recordedAt && event_type !== 'clock') this.#bad('unchanged', 'time', `entry #${index} was recorded at ${recorded_at}, after one of ${this.#recordedAt}, without a clock entry`, index)
    this.#recordedAt = recorded_at
  }

  /** Steps 5 and 6. */
  #checkSession(entry: Entry, hash: string): void {
    const { index, session_id, seq } = entry
    let reading = this.#sessions.get(session_id)
    if (reading === undefined) {
      const lists = new ListIndex()
      this.#sessions.set(session_id, (reading = { state: undefined, lists, roots: new ListRoots(lists), usedApprovals: new Set(), decisions: new Map(), requests: new Map() }))
    }
    const expected = reading.state?.next_seq ?? 0
    if (seq !== expected) this.#bad('unchanged', 'seq', `entry #${index} has seq ${seq} in its session, expected ${expected}`, index)
    const prev = reading.state?.prev ?? firstPrev(this.#evidence.origin, session_id)
    if (entry.prev !== prev) this.#bad('unchanged', 'prev', reading.state === undefined ? `entry #${index} does not begin a session of this log` : `entry #${index} does not follow the entry stored before it in its session, #${reading.state.last_index}`, reading.state?.last_index ?? index)
    this.#checkEnd(entry, reading.state)
    this.#checkLists(entry, reading)
    this.#checkApproval(entry, reading, hash)
    this.#noteErasure(entry)
    try {
      reading.state = foldSession(reading.state, entry, hash)
    } catch (error) {
      this.#bad('unchanged', 'session', `entry #${index}: ${messageOf(error)}`, index)
    }
  }

  #checkEnd({ index, event_type, session_id, facts }: Entry, state: SessionState | undefined): void {
    if (event_type !== 'session_end' && event_type !== 'session_timeout') return
    const { streams, segment_count, segment_root } = facts
    if (typeof streams === 'object' && state !== undefined) {
      for (const [stream, count] of Object.entries(streams as { [stream: string]: number })) {
        const got = state.streams[stream]?.next ?? 0
        if (got !== count) this.#bad('complete', 'stream_count', `the end of session ${session_id} counts ${count} events of stream ${stream.slice(-8)}, ${got} are here`, index)
      }
    }
    if (typeof segment_count === 'number' && typeof segment_root === 'string') this.#endings.push({ index, session_id, count: segment_count, root: segment_root })
  }

  #checkLists(entry: Entry, { lists, roots }: Reading): void {
    const { index, seq } = entry
    try {
      lists.add(entry)
    } catch (error) {
      this.#bad('unchanged', 'reference', `entry #${index}: ${messageOf(error)}`, index)
      return
    }
    for (const [slot, value] of Object.entries(entry.payloads)) {
      if (!isListChange(value)) continue
      const root = toBase64(roots.root(seq, slot, value))
      if (root !== value.root) this.#bad('unchanged', 'list_root', `entry #${index} states root ${value.root} for ${slot}, its elements have ${root}`, index)
    }
  }

  /** An approval binds one call: the decision names a request on record, the call re-uses that request's input, once. */
  #checkApproval(entry: Entry, { usedApprovals, decisions, requests }: Reading, hash: string): void {
    const { index, seq, event_type, facts, payloads } = entry
    if (event_type === 'approval_request') requests.set(hash, entry)
    if (event_type === 'approval_decision') {
      decisions.set(seq, entry)
      if (!requests.has(String(facts['request']))) this.#bad('unchanged', 'approval', `the decision #${index} answers no request on record`, index)
    }
    const approval = facts['approval']
    if (event_type !== 'tool_call' || typeof approval !== 'number') return
    const decision = decisions.get(approval)
    const request = decision === undefined ? undefined : requests.get(String(decision.facts['request']))
    const input = payloads['tool_input']
    const bound = request !== undefined && input !== undefined && 'same' in input && input.same === request.seq && request.facts['tool_name'] === facts['tool_name']
    if (decision?.facts['decision'] !== 'approved' || !bound) this.#bad('unchanged', 'approval', `the call #${index} uses an approval that is not for it`, index)
    else if (usedApprovals.has(approval)) this.#bad('unchanged', 'approval', `the call #${index} uses an approval a second time`, index)
    usedApprovals.add(approval)
  }

  #noteErasure({ index, event_type, facts }: Entry): void {
    if (event_type !== 'erasure') return
    const erasure = String(facts['erasure'])
    if (facts['phase'] === 'done') this.#done.add(erasure)
    else for (const scope of (facts['scopes'] as readonly string[] | undefined) ?? []) this.#ordered.set(scope, { index, erasure })
  }

  /** Step 7. */
  async #checkPayloads(entries: readonly Entry[]): Promise<void> {
    const vault = this.#evidence.vault
    if (vault === undefined) return
    const disclosed = await vault.payloads(entries)
    for (const [i, entry] of entries.entries()) {
      let n = 0
      for (const { slot, ref } of ownRefs(entry)) {
        const got: Disclosed = disclosed[i]?.[n++] ?? { absent: 'missing' }
        const scope = `${entry.session_id}/${ref.k ?? 0}`
        if ('bytes' in got) {
          if (toBase64(commit(got.salt, digestOf(got.bytes))) === ref.c) this.#payloads++
          else this.#bad('payloads', 'commitment', `the content of ${slot} of #${entry.index} is not what the entry commits to`, entry.index)
        } else if (got.absent === 'damaged') this.#bad('payloads', 'damaged', `the content of ${slot} of #${entry.index}: ${got.why}`, entry.index)
        else this.#missing.push({ index: entry.index, session_id: entry.session_id, scope, slot, late: got.absent === 'no_scope' })
      }
    }
  }

  /** Step 3, its end: the root is the one that was signed. */
  checkRoot(): void {
    const checkpoint = this.#checkpoint
    if (checkpoint === undefined || this.#edge.size !== checkpoint.size || equal(this.#edge.root(), checkpoint.root)) return
    if (this.#firstBad.has('unchanged')) {
      this.#bad('unchanged', 'root', 'the stored entries do not have the signed root')
      return
    }
    // Nothing inside the entries shows it: look where the derived rows disagree.
    const tile = this.#firstBad.get('indexes')
    this.#suspectRoot = tile ?? this.#tailFrom
    this.#bad('unchanged', 'root', tile === undefined ? `the stored entries do not have the signed root; the change lies at or after #${this.#tailFrom}` : `the stored entries do not have the signed root, first at #${tile}`, tile)
  }
  #suspectRoot: number | undefined

  /** Step 8: derived rows. */
  async checkDerived(): Promise<void> {
    const stored = this.#evidence.sessions
    if (stored === undefined) return
    const left = new Map(this.#sessions)
    for await (const { session_id, row } of stored()) {
      const state = left.get(session_id)?.state
      left.delete(session_id)
      if (state === undefined) this.#bad('indexes', 'session_extra', `the session list has ${session_id}, of which the log has no entry`)
      else if (encodeSession(state) !== row) {
        if (this.#suspectRoot !== undefined && !this.#firstBad.has('unchanged') && prevOf(row) !== state.prev) this.#firstBad.set('unchanged', state.last_index)
        this.#bad('indexes', 'session_row', `the stored row of session ${session_id} is not what its entries say`, state.last_index)
      }
    }
    for (const session_id of left.keys()) this.#bad('indexes', 'session_missing', `the session list lacks ${session_id}`)
    if (this.#suspectRoot !== undefined && !this.#firstBad.has('unchanged')) this.#firstBad.set('unchanged', this.#suspectRoot)
  }

  /** Steps 7 and 8 for the vault: every sealed byte is read, every derived row compared. */
  async checkVault(): Promise<void> {
    const vault = this.#evidence.vault
    if (vault === undefined) return
    const { faults, sealed } = await vault.faults((done) => this.#options.progress?.(this.#total, this.#total + done))
    this.#sealed = sealed
    for (const { code, message, index } of faults) this.#bad(code.startsWith('segment') || code.startsWith('secret') ? 'payloads' : 'indexes', code, message, index)
    const there = await vault.scopes()
    for (const { index, session_id, count, root } of this.#endings) {
      if ([...this.#ordered.keys()].some((scope) => scope.startsWith(session_id) && !there.has(scope))) continue
      const hashes = (await vault.segmentHashes(session_id)).slice(0, count)
      if (hashes.length !== count || toBase64(treeRoot(hashes.map(leafHash))) !== root) this.#bad('payloads', 'segment_root', `the sealed content of session ${session_id} is not that which its end, #${index}, states`, index)
    }
    for (const [scope, { index, erasure }] of this.#ordered) {
      if (there.has(scope) && this.#done.has(erasure)) this.#bad('payloads', 'not_erased', `the erasure ordered by #${index} is on record as done, and the secret of ${scope} is there`, index)
    }
  }

  /** Step 9. */
  checkAbsent(): void {
    for (const { index, scope, slot, late } of this.#missing) {
      const order = this.#ordered.get(scope)
      if (order === undefined) this.#bad('payloads', 'missing', `the content of ${slot} of #${index} is not there, and no entry says that it was erased`, index)
      else if (!late) this.#bad('payloads', 'missing', `the content of ${slot} of #${index} is not there, though its secret is`, index)
      else this.#erasedPayloads++
    }
  }

  #bad(property: Property, code: string, message: string, index?: number): void {
    this.#failed.add(property)
    this.#problemCount++
    if (this.#problems.length < PROBLEMS_KEPT) this.#problems.push({ property, code, message, ...(index === undefined ? {} : { index }) })
    if (index !== undefined) this.#firstBad.set(property, Math.min(index, this.#firstBad.get(property) ?? Infinity))
  }

  verdict(): Verdict {
    if (this.#newer > 0 && this.#failed.size === 0) {
      throw new VerifyError('newer_format', `verify: ${this.#newer} entries are of a newer format, the first #${this.#notRead[0]!.index}`, 'verify this log with a newer counterfoil', { first_bad_index: this.#notRead[0]!.index! })
    }
    const states = [...this.#sessions.values()].flatMap(({ state }) => (state === undefined || state.agent_id === '' ? [] : [state]))
    const count = (phase: SessionState['state']): number => states.filter((state) => state.state === phase).length
    const gaps = states.reduce((sum, state) => sum + Object.values(state.streams).reduce((holes, { missing = [] }) => holes + missing.reduce((n, [from, to]) => n + to - from + 1, 0), 0), 0)
    const counts = {
      entries: this.#edge.size, payloads: this.#payloads, erased: this.#erasedPayloads, sessions: states.length, ended: count('ended'), open: count('open'), suspended: count('suspended'), interrupted: count('interrupted'),
      gaps, newer_entries: this.#newer, unknown_vocabulary: this.#unknown, told_after: this.#toldAfter, imported: this.#imported,
    }
    if (gaps > 0) this.#failedGaps(states, gaps)
    return {
      whole: this.#failed.size === 0, origin: this.#evidence.origin, size: this.#total, checkpoint: this.#evidence.head.note, ...(this.#recordedAt === '' ? {} : { recorded_at: this.#recordedAt }),
      properties: this.#properties(counts), problems: this.#problems, problem_count: this.#problemCount, counts,
    }
  }

  #gapsSay = ''
  #failedGaps(states: readonly SessionState[], gaps: number): void {
    const where = states.filter((state) => Object.values(state.streams).some(({ missing }) => missing !== undefined)).map((state) => state.session_id.slice(-8))
    this.#gapsSay = `${plural(gaps, 'event')} of ${plural(where.length, 'session')} never arrived (${where.slice(0, 3).join(', ')}${where.length > 3 ? ', …' : ''})`
  }

  #properties(counts: Verdict['counts']): Verdict['properties'] {
    const n = counts.entries
    const last = n === 0 ? 'the log is empty' : `none edited, inserted, reordered or removed before #${n - 1}`
    return {
      unchanged: this.#say('unchanged', 'proved', `the ${plural(n, 'entry')} are the ones signed: ${last}`),
      complete: this.#say('complete', this.#gapsSay === '' ? 'proved' : 'unknown', this.#gapsSay === '' ? sessionsSay(counts) : this.#gapsSay),
      payloads: this.#evidence.vault === undefined
        ? this.#say('payloads', 'unknown', 'payloads: not checked (no key)')
        : this.#say('payloads', 'proved', `${plural(counts.payloads, 'payload')} match their commitments${counts.erased === 0 ? '' : `; ${counts.erased} were erased, by ${this.#erasuresSay()}`}`),
      indexes: this.#evidence.sessions === undefined ? this.#say('indexes', 'unknown', 'there are no derived rows here to compare') : this.#say('indexes', 'proved', 'tiles, session rows and content index agree with the entries'),
      not_truncated: this.#remembering === undefined
        ? this.#say('not_truncated', 'unknown', 'whether anything was rolled back: this machine has not looked at this log before')
        : this.#say('not_truncated', 'proved', `nothing was rolled back since this machine last ${this.#remembering.what === 'signed' ? 'signed' : 'looked'} (#${Math.max(0, this.#remembering.size - 1)})`),
      witnessed: this.#say('witnessed', 'unknown', 'whether newer entries were cut off since: no witness is configured'),
      pinned: this.#evidence.vkey.pinned
        ? this.#say('pinned', 'proved', `the key is the one this machine keeps for ${this.#evidence.origin}`)
        : this.#say('pinned', 'unknown', 'whose key signed: it was found in the log itself'),
      time: this.#say('time', 'asserted', "event times are the recorder's clock"),
    }
  }

  #erasuresSay(): string {
    const indexes = [...new Set([...this.#ordered.values()].map(({ index }) => index))].sort((a, b) => a - b)
    return indexes.length === 1 ? `entry #${indexes[0]}` : `entries ${indexes.slice(0, 3).map((index) => `#${index}`).join(', ')}${indexes.length > 3 ? ', …' : ''}`
  }

  #say(property: Property, status: PropertyVerdict['status'], says: string): PropertyVerdict {
    if (!this.#failed.has(property)) return { status, says }
    const own = this.#problems.filter((problem) => problem.property === property)
    const first = this.#firstBad.get(property)
    const shown = own.find((problem) => problem.index === first) ?? own[0]
    const more = own.length - 1
    return { status: 'failed', says: `${shown?.message ?? says}${more > 0 ? ` (and ${more} more)` : ''}`, ...(first === undefined ? {} : { first_bad_index: first }) }
  }
}

function sessionsSay({ ended, open, suspended, interrupted, sessions }: Verdict['counts']): string {
  if (sessions === 0) return 'no sessions are on record'
  const parts = [open > 0 ? `${open} ${open === 1 ? 'is' : 'are'} open` : '', suspended > 0 ? `${suspended} suspended` : '', interrupted > 0 ? `${interrupted} ${interrupted === 1 ? 'was' : 'were'} interrupted` : ''].filter(Boolean)
  return `${plural(ended, 'session')} ${ended === 1 ? 'is' : 'are'} whole to ${ended === 1 ? 'its' : 'their'} end${parts.length === 0 ? '' : `; ${parts.join(', ')}`}`
}

function plural(n: number, noun: string): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? noun : noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`}`
}

function messageOf(error: unknown): string {
  if (error instanceof CounterfoilError) return error.message.slice(0, error.next === '' ? undefined : -error.next.length - 2)
  return String((error as Error)?.message ?? error)
}

function prevOf(row: string): string | undefined {
  try {
    return (JSON.parse(row) as { prev?: string }).prev
  } catch {
    return undefined
  }
}
