// Verification, in named steps. Storage is not trusted: every stored byte that means something is read and compared with what the signed
// checkpoint covers. Pure: reads through `Evidence`, knows no clock and no disk.
//
//   1 checkpoint signature (under the key that the entries lead to, so it is opened after them)   2 consistency with what this machine and witnesses saw before (its root is met while the tree grows)
//   3 tree from the stored entries   4 entries canonical
//   5 seq, prev, streams     6 list roots     7 payload commitments     8 derived rows agree     9 what is absent is accounted for

import { equal, fromBase64, toBase64 } from '../base/bytes.ts'
import { CounterfoilError, messageOf, MisuseError, VerifyError } from '../base/errors.ts'
import { LOG_FORMAT, type Entry } from '../event/entry.ts'
import { encodeEntry, parseEntry } from '../event/parse.ts'
import type { SessionPhase } from '../event/session.ts'
import { parseTreeHead, type Checkpoint } from '../log/checkpoint.ts'
import { checkConsistency, proveConsistency } from '../log/consistency.ts'
import { leafHash, type Hash } from '../log/hash.ts'
import { checkInclusion, proveInclusion } from '../log/inclusion.ts'
import { parseNote } from '../log/note.ts'
import { evaluatePolicy, type Policy, type PolicyResult } from '../log/policy.ts'
import { fullTileSource, tileHashReader, type HashReader } from '../log/reader.ts'
import { TILE_WIDTH } from '../log/tile.ts'
import { edgeTiles, TreeEdge, type FullTile } from '../log/tree.ts'
import type { Evidence, VaultFindings } from './evidence.ts'
import { forkOf, keysForkOf, retiredOf, setbackOf } from './rollback.ts'
import { Erasures } from './erasures.ts'
import { idOf, KeyChain, type KeyReign } from './key-chain.ts'
import { checkUnreadable, Part, unreadable, type Missing, type Note, type PageReport, type PartEnd, type PartReading, type SessionEnd } from './part.ts'
import { settled } from './session-check.ts'
import type { Problem, Property, PropertyVerdict, Verdict } from './verdict.ts'

const PROBLEMS_KEPT = 100
/** Failures that hold whatever an entry of a newer format says. Others may come of not reading it, and are no evidence beside one. */
const SURE: ReadonlySet<string> = new Set(['checkpoint', 'head_mismatch', 'rolled_back', 'restored_backup', 'remembered', 'forked', 'key_reign', 'policy_log', 'cosigned', 'witness_ahead', 'witness_forked', 'entries_missing', 'entries_extra', 'unreadable', 'entry_malformed', 'index', 'root', 'tile', 'tile_missing', 'tiles_extra', 'bundle', 'heads_extra', 'commitment'])
/** Failures that hold as far as everything before them is of this format. */
const SURE_BEFORE: ReadonlySet<string> = new Set(['log_start', 'key_rotation', 'key_compromise', 'time', 'seq', 'prev', 'session', 'reference', 'approval', 'list_root', 'stream_count'])

export interface VerifyOptions {
  /** How many of `total` entries were read; once all were, `total` goes on with each sealed segment that is. */
  readonly progress?: (done: number, total: number) => void
  /** Which witnesses must have cosigned; without it nothing is said of witnesses. */
  readonly policy?: Policy
}

/** Verifies `evidence`. Rejects with an error only when it could not run; what is wrong with the evidence is in the verdict. */
export function verifyLog(evidence: Evidence, options: VerifyOptions = {}): Promise<Verdict> {
  return verifyParts(evidence, [new Part(evidence)], options)
}

/** `verifyLog` of a log in parts that may be read elsewhere, as in threads; together they are the whole of `evidence`. What is wrong may be said in another order, and in other words. */
export async function verifyParts(evidence: Evidence, parts: readonly PartReading[], options: VerifyOptions = {}): Promise<Verdict> {
  const run = new Run(evidence, options, parts)
  run.readClaims()
  await run.readEntries()
  run.checkKeys()
  run.checkCheckpoint()
  run.checkWitnesses()
  run.checkRoot()
  await run.checkDerived()
  await run.checkVault()
  run.checkAbsent()
  return run.verdict()
}

/**
 * Verifies what `evidence` has beyond the checkpoint `note`, which was proved before: its tree is taken up from the stored tiles, believed as far as
 * they give the root of `note`, and of older entries only those are read that belong to sessions with newer ones, or speak of keys and erasures. The verdict says
 * so. Undefined where that shows anything but a whole log, or cannot be done: then `verifyLog` reads everything.
 */
export async function verifySince(evidence: Evidence, note: string, options: VerifyOptions = {}): Promise<Verdict | undefined> {
  try {
    const { size, root } = parseTreeHead(parseNote(note).text)
    if (size === 0 || size > evidence.head.size || evidence.tile === undefined || evidence.earlier === undefined) return undefined
    const run = new Run(evidence, options, [new Part(evidence, undefined, size)], { note, size, root })
    run.readClaims()
    if (!(await run.takeUp())) return undefined
    await run.readEntries()
    run.checkKeys()
    run.checkCheckpoint()
    await run.checkSince()
    run.checkWitnesses()
    run.checkRoot()
    await run.checkDerived()
    await run.checkVault()
    run.checkAbsent()
    const verdict = run.verdict()
    return verdict.whole ? verdict : undefined
  } catch (error) {
    if (error instanceof MisuseError) throw error
    return undefined // whatever it is, reading everything names it
  }
}

/** A checkpoint that was seen before, and whether the tree had its root when it had its size. Not believed before its signature is checked. */
interface Seen { readonly note: string; readonly what: 'signed' | 'proved' | 'restored' | 'cosigned'; readonly size: number; readonly root: Hash; differs: boolean }

interface Since { readonly note: string; readonly size: number; readonly root: Hash }

class Run {
  readonly #evidence: Evidence
  readonly #options: VerifyOptions
  readonly #size: number
  #edge = new TreeEdge()
  readonly #since: Since | undefined
  /** Of older entries that speak of the whole log, what was read. */
  readonly #older: { readonly index: number; readonly hash: Hash }[] = []
  readonly #parts: readonly PartReading[]
  readonly #ends: PartEnd[] = []
  readonly #sessions = new Map<string, SessionEnd>()
  readonly #problems: Problem[] = []
  #problemCount = 0
  readonly #firstBad = new Map<Property, number>()
  readonly #failed = new Map<Property, { readonly worst: Problem; readonly count: number }>()
  #checkpoint: Checkpoint | undefined
  /** How many entries the checkpoint says there are. */
  #claimed: number | undefined
  readonly #seen: Seen[] = []
  #chain: KeyChain | undefined
  /** Keys that count: the log's, or where they do not lead to the trusted one, that alone. */
  #trusted: KeyChain | undefined
  #ownSession = ''
  /** Entry 0 names the first key. */
  #begun = false
  /** The first entry under a key says what tree was before it; where the stored one differs. */
  readonly #rotatedRoots: number[] = []
  /** The newest key of the log that this machine had, and retired: the key after it here is not the one after it there. */
  #retired: KeyReign | undefined
  /** The key that its keys lead to, another way than this machine's. */
  #keysPart: string | undefined
  /** The most entries that this machine saw, where they are more than are here. */
  #ahead: { readonly size: number; readonly what: string } | undefined
  #witnessed: PolicyResult & { readonly size: number } | undefined
  /** The sizes at which these are other entries than this machine saw. */
  readonly #strayed: { readonly size: number; readonly what: string }[] = []
  #rootDiffers = false
  /** The first leaf that differs from its stored tile. */
  #tileLeaf: number | undefined
  /** From here on no stored tile says which entry was changed. */
  #untiled: number
  #recordedAt = ''
  #payloads = 0
  #erasedPayloads = 0
  #sealedPayloads = 0
  readonly #missing: Missing[] = []
  readonly #erasures = new Erasures()
  #firstNewer: number | undefined
  #newer = 0
  #unknown = 0
  #toldAfter = 0
  #imported = 0
  #remembering: { size: number; what: string } | undefined

  constructor(evidence: Evidence, options: VerifyOptions, parts: readonly PartReading[], since?: Since) {
    this.#evidence = evidence
    this.#options = options
    this.#since = since
    this.#parts = parts
    this.#size = evidence.head.size
    this.#untiled = evidence.tile === undefined ? 0 : Infinity
  }

  /** What the checkpoints say, before anything is believed: how far to read, and which roots to meet. */
  readClaims(): void {
    const { head, remembered, cosigned } = this.#evidence
    try {
      this.#claimed = parseTreeHead(parseNote(head.note).text).size
    } catch {
      // step 1 says why
    }
    for (const { note, what } of remembered) this.#remember(note, what)
    if (cosigned !== undefined && this.#options.policy !== undefined) this.#remember(cosigned, 'cosigned')
  }

  #remember(note: string, what: Seen['what']): void {
    try {
      const { size, root } = parseTreeHead(parseNote(note).text)
      this.#seen.push({ note, what, size, root, differs: false })
    } catch (error) {
      this.#badSeen(what, error)
    }
  }

  #badSeen(what: Seen['what'], error: unknown): void {
    if (error instanceof VerifyError && error.code === 'key_reign') this.#bad(what === 'cosigned' ? 'witnessed' : 'not_truncated', 'key_reign', messageOf(error).replace(/^verify: /, ''))
    else if (what === 'cosigned') this.#bad('witnessed', 'cosigned', `the cosigned checkpoint does not open under this log's and the policy's keys: ${messageOf(error)}`)
    else this.#bad('not_truncated', 'remembered', `the checkpoint that this machine ${what} before does not open under this log's key: ${messageOf(error)}`)
  }

  /** The trusted key is one of the log's: the first, the newest or one between. Otherwise it alone counts. */
  checkKeys(): void {
    const { origin, vkey } = this.#evidence
    const own = this.#evidence.own ?? []
    const chain = this.#chain
    const known = chain?.reigns.findLast((reign) => own.includes(reign.vkey))
    // a key of this machine stands for those that it retired: a log from before a rotation does not know its successor
    if (chain !== undefined && (chain.indexOf(vkey.text) !== -1 || (known !== undefined && own.includes(vkey.text)))) {
      this.#trusted = chain
      if (known === undefined || chain.indexOf(own[0]!) !== -1) return
      this.#retired = known
      if (known.vkey !== chain.newest.vkey) this.#keysPart = chain.newest.vkey
      return
    }
    if (chain !== undefined) this.#bad('unchanged', 'log_start', `entry #0 does not begin the log ${origin} under this key`, 0)
    this.#trusted = chainOf(origin, vkey.text)
  }

  /** Step 1, and of step 2 what this machine saw. */
  checkCheckpoint(): void {
    const { head } = this.#evidence
    try {
      this.#checkpoint = this.#open(head.note)
      if (this.#checkpoint.size !== head.size) this.#bad('unchanged', 'head_mismatch', `the store says ${head.size} entries, the signed checkpoint ${this.#checkpoint.size}`, Math.min(head.size, this.#checkpoint.size))
    } catch (error) {
      if (error instanceof VerifyError && error.code === 'key_reign') this.#bad('unchanged', 'key_reign', messageOf(error).replace(/^verify: /, ''))
      else this.#bad('unchanged', 'checkpoint', `the checkpoint is not one of this log's key: ${messageOf(error)}`)
    }
    for (const seen of this.#seen) {
      const { note, what, size } = seen
      if (what === 'cosigned') continue
      try {
        this.#openSeen(note, size)
        if (size > this.#total) {
          if (size > (this.#ahead?.size ?? 0)) this.#ahead = { size, what }
        } else if (seen.differs) this.#strayed.push({ size, what })
        if (this.#remembering === undefined || size > this.#remembering.size) this.#remembering = { size, what }
      } catch (error) {
        this.#badSeen(what, error)
      }
    }
    this.#checkBehind()
  }

  /** Step 2, its end: a log that is behind what this machine saw. A copy may be. */
  #checkBehind(): void {
    if ((this.#ahead === undefined && this.#retired === undefined) || this.#strayed.length > 0 || this.#keysPart !== undefined || this.#evidence.copy !== undefined) return
    const { code, message } = this.#ahead === undefined ? retiredOf(this.#total, this.#evidence.restored) : setbackOf(this.#total, this.#ahead.size, this.#ahead.what, this.#evidence.restored)
    this.#bad('not_truncated', code, message, this.#total)
  }

  #open(note: string, cosigners?: Parameters<KeyChain['open']>[1]): Checkpoint {
    if (this.#trusted === undefined) throw new VerifyError('checkpoint', `the key is not one of ${this.#evidence.origin}`, 'name the key of this log')
    return this.#trusted.open(note, cosigners)
  }

  /** A checkpoint of a larger log, or of another history, may be under a key that the entries here do not reach; the trusted one, or one of this machine, still says whose it is. */
  #openSeen(note: string, size: number, cosigners?: Parameters<KeyChain['open']>[1]): Checkpoint {
    try {
      return this.#open(note, cosigners)
    } catch (error) {
      const { origin, vkey, own = [] } = this.#evidence
      for (const text of new Set([vkey.text, ...own])) {
        const pinned = (text === vkey.text && size > this.#total) || this.#trusted?.indexOf(text) === -1 ? chainOf(origin, text) : undefined
        try {
          if (pinned !== undefined) return pinned.open(note, cosigners)
        } catch {
          // another of them
        }
      }
      throw error
    }
  }

  /** Step 2 for what others saw: the cosigned checkpoint is of this log, not larger, and has the root that the tree had at its size. */
  checkWitnesses(): void {
    const { policy } = this.#options
    const { origin } = this.#evidence
    if (policy === undefined) return
    const named = (vkey: string): boolean => policy.logs.length === 0 || policy.logs.some((log) => log.vkey === vkey)
    const seen = this.#seen.find(({ what }) => what === 'cosigned')
    const due = (seen === undefined ? this.#trusted?.newest : this.#trusted?.at(seen.size))?.vkey ?? this.#evidence.vkey.text
    if (!named(due)) {
      this.#bad('witnessed', 'policy_log', `the policy names other logs than ${origin} under this key`)
      return
    }
    if (seen === undefined) return
    try {
      const before = this.#openSeen(seen.note, seen.size, policy.witnesses.map(({ verifier }) => verifier))
      if (before.size > this.#total) this.#bad('witnessed', 'witness_ahead', `a checkpoint of ${before.size} entries was given to witnesses, and ${this.#total} are here`, this.#total)
      else if (seen.differs) this.#bad('witnessed', 'witness_forked', `the first ${before.size} entries are not those that were given to witnesses under this key: history was rewritten`)
      else this.#witnessed = { ...evaluatePolicy(policy, before.cosignatures), size: before.size }
    } catch (error) {
      this.#badSeen('cosigned', error)
    }
  }

  /** The size that the checkpoint speaks for, where there is one. */
  get #total(): number {
    return this.#claimed ?? this.#size
  }

  /** The tree as it was proved, out of stored tiles and the entries that fill none: whether they have the root that was proved. */
  async takeUp(): Promise<boolean> {
    const { size, root } = this.#since!
    const { tile } = this.#evidence
    const stored = new Map<string, Uint8Array>()
    for (const { level, index } of edgeTiles(size)) {
      const bytes = await tile!(level, index)
      if (bytes === undefined) return false
      stored.set(`${level}/${index}`, bytes)
    }
    const last = await this.#evidence.entries(size - (size % TILE_WIDTH), size)
    if (last.length !== size % TILE_WIDTH) return false
    this.#edge = TreeEdge.restore({ size, tile: (level, index) => stored.get(`${level}/${index}`)!, leafHashes: last.map(({ entry }) => leafHash(entry)) })
    if (!equal(this.#edge.root(), root)) return false
    const reader = this.#provedTree()
    for (const { size: before, root: had } of this.#seen) if (before > 0 && before < size) checkConsistency({ oldSize: before, size, oldRoot: had, root, proof: await proveConsistency(reader, before, size) })
    const [newest] = await this.#evidence.entries(size - 1, size)
    const { entry } = parseEntry(newest!.entry)
    this.#older.push({ index: size - 1, hash: leafHash(newest!.entry) })
    this.#recordedAt = entry.recorded_at
    return true
  }

  /** Hashes of the tree that was proved, out of the store: whatever is proved with them is compared with its root. */
  #provedTree(): HashReader {
    const { size } = this.#since!
    const evidence = this.#evidence
    return tileHashReader(size, fullTileSource(size, {
      readFullTiles: (wanted) => Promise.all(wanted.map(async ({ level, index }) => (await evidence.tile!(level, index)) ?? new Uint8Array())),
      readLeafHashes: async (from, to) => (await evidence.entries(from, to)).map(({ entry }) => leafHash(entry)),
    }))
  }

  /** The checkpoint to go on from is this log's, and the older entries that were believed of keys and erasures stand in its tree. */
  async checkSince(): Promise<void> {
    const { note, size, root } = this.#since!
    this.#openSeen(note, size)
    const reader = this.#provedTree()
    for (const { index, hash } of this.#older) checkInclusion({ index, size, leafHash: hash, root, proof: await proveInclusion(reader, index, size) })
  }

  /** Steps 3 to 7: each entry once, in order. The parts cover the same pages. */
  async readEntries(): Promise<void> {
    const total = this.#total
    this.#noteRoot()
    const readings = this.#parts.map((part) => part.pages(total)[Symbol.asyncIterator]())
    for (;;) {
      const read = await Promise.all(readings.map((reading) => reading.next()))
      const pages = read.flatMap(({ done, value }) => (done === true ? [] : [value]))
      if (pages.length === 0) break
      await this.#readPage(pages)
      this.#options.progress?.(pages[0]!.to, total)
    }
    // both read much that is not entries; in threads they do so at the same time
    const [extra, ends] = await Promise.all([
      this.#reading('unchanged', undefined, () => this.#evidence.extra(total, this.#edge.size === total ? (level) => this.#edge.partialTile(level) : undefined, this.#since === undefined ? undefined : Promise.resolve([]))),
      Promise.all(this.#parts.map((part, i) => part.end((done) => this.#sealedProgress(i, done)))),
    ])
    for (const { code, message, index } of extra ?? []) this.#bad(code === 'entries_extra' ? 'unchanged' : 'indexes', code, message, index)
    this.#ends.push(...ends)
    const sessions = ends.flatMap((end) => end.sessions)
    if (ends.length > 1) sessions.sort((a, b) => a.first - b.first)
    for (const session of sessions) this.#sessions.set(session.session_id, session)
  }

  readonly #sealedDone: number[] = []
  #sealedProgress(part: number, done: number): void {
    this.#sealedDone[part] = done
    this.#options.progress?.(this.#total, this.#total + this.#sealedDone.reduce((sum, each) => sum + (each ?? 0), 0))
  }

  /** What the parts say of one page, in the order of the log. */
  async #readPage(pages: readonly PageReport[]): Promise<void> {
    for (const { unread } of pages) for (const problem of unread) this.#found(problem)
    const notes = inOrder(pages.flatMap((page) => page.notes), pages.length)
    const inSession = inOrder(pages.flatMap((page) => page.inSession), pages.length)
    const clocks = new Set(pages.flatMap((page) => page.clocks))
    const at = pages.map(() => 0)
    let [note, said] = [0, 0]
    for (;;) {
      // the next entry, of whichever part
      let next = -1
      for (let i = 0; i < pages.length; i++) if (at[i]! < pages[i]!.indexes.length && (next === -1 || pages[i]!.indexes[at[i]!]! < pages[next]!.indexes[at[next]!]!)) next = i
      if (next === -1) break
      const page = pages[next]!
      const i = at[next]!++
      const index = page.indexes[i]!
      for (; note < notes.length && notes[note]!.index < index; note++) this.#take(notes[note]!)
      const rotates = notes[note]?.index === index && notes.some((one) => one.index === index && one.kind === 'entry' && one.entry.event_type === 'key_rotation')
      const before = rotates ? this.#edge.root() : undefined
      const full = this.#addLeaf(index, page.hashes[i]!)
      if (full.length > 0) await this.#checkTiles(index, full)
      for (; notes[note]?.index === index; note++) this.#take(notes[note]!, before)
      if (page.times[i] !== '') this.#checkTime(index, page.times[i]!, clocks.has(index))
      for (; inSession[said]?.index === index; said++) this.#take(inSession[said]!)
    }
    for (; note < notes.length; note++) this.#take(notes[note]!)
    for (; said < inSession.length; said++) this.#take(inSession[said]!)
    for (const page of pages) {
      this.#payloads += page.payloads
      this.#sealedPayloads += page.sealed
      this.#unknown += page.unknown
      this.#toldAfter += page.toldAfter
      this.#imported += page.imported
      for (const problem of page.after) this.#found(problem)
      this.#missing.push(...page.missing)
    }
  }

  #take(note: Note, before?: Hash): void {
    if (note.kind === 'problem') return this.#found(note.problem)
    if (note.kind === 'newer') {
      this.#newer++
      this.#firstNewer ??= note.index
      return
    }
    const { entry } = note
    if (entry.index < (this.#since?.size ?? 0)) this.#older.push({ index: entry.index, hash: leafHash(encodeEntry(entry)) })
    if (entry.event_type === 'erasure') this.#erasures.add(entry)
    else {
      if (entry.index === 0) this.#checkStart(note.entry)
      if (note.entry.event_type === 'key_rotation' || note.entry.event_type === 'key_compromise') this.#checkKeyEntry(note.entry, before)
    }
  }

  /** What the evidence throws while it is read is wrong with it; only an operation that failed (a busy store) ends the run. */
  async #reading<T>(property: Property, index: number | undefined, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read()
    } catch (error) {
      checkUnreadable(error)
      this.#found(unreadable(property, index, error))
      return undefined
    }
  }

  #addLeaf(index: number, hash: string): readonly FullTile[] {
    if (this.#edge.size !== index) return [] // after a missing entry there is no tree
    const full = this.#edge.appendLeaf(fromBase64(hash))
    this.#noteRoot()
    return full
  }

  async #checkTiles(index: number, full: readonly FullTile[]): Promise<void> {
    const { tile } = this.#evidence
    if (tile === undefined) return
    for (const { level, index: n, bytes } of full) {
      const stored = await this.#reading('indexes', index, () => tile(level, n))
      if (stored === undefined) {
        this.#bad('indexes', 'tile_missing', `tile ${level}/${n} is not there`, n * 256 ** (level + 1))
        if (level === 0) this.#untiled = Math.min(this.#untiled, n * 256)
      } else if (!equal(stored, bytes)) this.#badTile(level, n, stored, bytes)
    }
  }

  /** A tile that differs names the entry, or the tile itself was changed: the signed root decides, at the end. */
  #badTile(level: number, n: number, stored: Uint8Array, bytes: Uint8Array): void {
    const at = bytes.findIndex((byte, i) => stored[i] !== byte)
    const leaf = (n * 256 + Math.floor((at === -1 ? bytes.length : at) / 32)) * 256 ** level
    if (level === 0) this.#tileLeaf ??= leaf
    this.#bad('indexes', 'tile', `tile ${level}/${n} is not that of the stored entries, first at #${leaf}`, leaf)
  }

  #noteRoot(): void {
    for (const seen of this.#seen) if (seen.size === this.#edge.size) seen.differs = !equal(seen.root, this.#edge.root())
  }

  /** A log says in its first entry which log it is, and under which key. */
  #checkStart({ event_type, facts, session_id }: Entry): void {
    const { origin } = this.#evidence
    this.#ownSession = session_id
    this.#chain = event_type === 'log_start' && facts['format'] === LOG_FORMAT && facts['origin'] === origin ? chainOf(origin, String(facts['vkey'])) : undefined
    this.#begun = this.#chain !== undefined
    if (!this.#begun) this.#bad('unchanged', 'log_start', `entry #0 does not begin the log ${origin} under this key`, 0)
  }

  /** What an entry says of keys. `before` is the root of the entries before it. */
  #checkKeyEntry(entry: Entry, before: Hash | undefined): void {
    const chain = (this.#chain ??= chainOf(this.#evidence.origin, this.#evidence.vkey.text, false))
    const wrong = chain?.add(entry)
    if (!this.#begun) return
    const why = wrong ?? (entry.session_id === this.#ownSession ? undefined : "it is not in the ledger's own session")
    if (why !== undefined && entry.event_type === 'key_rotation') this.#bad('unchanged', 'key_rotation', `entry #${entry.index} is no rotation of a key: ${why}`, entry.index)
    else if (why !== undefined) this.#bad('unchanged', 'key_compromise', `entry #${entry.index} is no report of a stolen key: ${why}`, entry.index)
    else if (before !== undefined && toBase64(before) !== entry.facts['root']) this.#rotatedRoots.push(entry.index)
  }

  #checkTime(index: number, recorded_at: string, clock: boolean): void {
    // a clock entry is the one place where time may go back
    if (recorded_at < this.#recordedAt && !clock) this.#bad('unchanged', 'time', `entry #${index} was recorded at ${recorded_at}, after one of ${this.#recordedAt}, without a clock entry`, index)
    this.#recordedAt = recorded_at
  }

  /** Step 3, its end: the root is the one that was signed. Where the change lies, `locateChange` says. */
  checkRoot(): void {
    const checkpoint = this.#checkpoint
    const whole = checkpoint !== undefined && this.#edge.size === checkpoint.size
    this.#rootDiffers = whole && !equal(this.#edge.root(), checkpoint.root)
    this.#untiled = Math.min(this.#untiled, this.#edge.size - (this.#edge.size % 256))
    // whoever read it: an entry that nobody reported is none that was checked
    if (this.#edge.size !== this.#total && !this.#failed.has('unchanged')) this.#bad('unchanged', 'entries_missing', `entry #${this.#edge.size} was not read`, this.#edge.size)
    // where the whole has another root than signed, or none, so have its beginnings: they say nothing more
    const signed = whole && !this.#rootDiffers
    if (signed) for (const index of this.#rotatedRoots) this.#bad('unchanged', 'key_rotation', `entry #${index} is no rotation of a key: the entries before it are not those that it was signed for`, index)
    if (this.#keysPart !== undefined && this.#strayed.length === 0) this.#bad('not_truncated', 'forked', keysForkOf(this.#keysPart).message)
    // Entries that are not even those of their own checkpoint were changed. Those that are were signed, as were the ones remembered.
    for (const { size, what } of this.#strayed) this.#bad('not_truncated', 'forked', signed ? forkOf(this.#total, size, what).message : `the first ${plural(size, 'entry')} are not those that this machine saw before under this key: history was rewritten`)
  }

  /** Step 8: derived rows. */
  async checkDerived(): Promise<void> {
    const stored = this.#evidence.sessions
    let changedLast = Infinity
    const left = new Map(this.#sessions)
    const done = new Set<string>()
    const settle = ({ session_id, broken }: SessionEnd, next: string | undefined): void => {
      if (broken !== undefined && !done.has(session_id)) this.#bad(...settled(broken, next))
      done.add(session_id)
    }
    if (stored !== undefined) await this.#reading('indexes', undefined, async () => {
      for await (const { session_id, row } of stored()) {
        const session = left.get(session_id)
        left.delete(session_id)
        const state = session?.state
        if (session === undefined && this.#since !== undefined) continue // it was not read
        if (session === undefined || state === undefined) {
          this.#bad('indexes', 'session_extra', `the session list has ${session_id}, of which the log has no entry`)
          continue
        }
        const said = prevOf(row)
        // a row of more entries says nothing about the last that was read
        const prev = said.next_seq === state.next_seq ? said.prev : undefined
        settle(session, prev)
        if (state.row === row) continue
        // nothing follows a session's last entry: its row is what still knows the hash
        if (prev !== undefined && prev !== state.prev && state.last_index >= this.#untiled) changedLast = Math.min(changedLast, state.last_index)
        this.#bad('indexes', 'session_row', `the stored row of session ${session_id} is not what its entries say`, prev === undefined ? undefined : state.last_index)
      }
      for (const [session_id, { state }] of left) if (state !== undefined) this.#bad('indexes', 'session_missing', `the session list lacks ${session_id}`, state.last_index)
    })
    for (const session of this.#sessions.values()) settle(session, undefined)
    if (this.#rootDiffers) this.#locateChange(changedLast)
  }

  #locateChange(changedLast: number): void {
    const first = Math.min(this.#firstBad.get('unchanged') ?? Infinity, this.#tileLeaf ?? Infinity, changedLast, this.#firstNewer ?? Infinity)
    if (first === Infinity) this.#bad('unchanged', 'root', `the stored entries do not have the signed root; the change lies at or after #${this.#untiled}`, this.#untiled)
    else this.#bad('unchanged', 'root', `the stored entries do not have the signed root, first at #${first}`, first)
  }

  /** Steps 7 and 8 for the vault: every sealed byte is read, every derived row compared. Without keys, what shows without them. */
  async checkVault(): Promise<void> {
    const { vault } = this.#evidence
    if (vault === undefined) return
    const findings: VaultFindings[] = []
    for (const { vault: found } of this.#ends) if (found !== undefined && 'faults' in found) findings.push(found)
    const unread = this.#ends.find(({ vault: found }) => found !== undefined && 'unread' in found)?.vault as { readonly unread: string } | undefined
    if (unread !== undefined) this.#bad('payloads', 'unreadable', `the evidence cannot be read: ${unread.unread}`)
    const faults = unread === undefined && this.#since === undefined ? await this.#reading('payloads', undefined, () => vault.faults(findings)) : []
    for (const { code, message, index } of faults ?? []) this.#bad(code.startsWith('segment') || code.startsWith('secret') ? 'payloads' : 'indexes', code, message, index)
    const there = (await this.#reading('payloads', undefined, () => vault.scopes())) ?? new Set()
    this.#checkScopes(there)
    const erased = new Set([...this.#erasures.ordered.keys()].filter((scope) => !there.has(scope)).map((scope) => scope.slice(0, 36)))
    for (const { session_id, endings } of this.#sessions.values()) for (const { index, agrees, unread: why } of endings) {
      if (erased.has(session_id)) continue
      if (why !== undefined) this.#bad('payloads', 'unreadable', `what belongs to #${index} cannot be read: ${why}`, index)
      if (!agrees) this.#bad('payloads', 'segment_root', `the sealed content of session ${session_id} is not that which its end, #${index}, states`, index)
    }
  }

  /** Each secret belongs to a scope that an entry uses; none is there whose erasure is done; none is gone that nothing erased. */
  #checkScopes(there: ReadonlySet<string>): void {
    if (this.#since === undefined) for (const scope of there) {
      if (this.#sessions.get(scope.slice(0, 36))?.scopes.has(Number(scope.slice(37))) !== true) this.#bad('payloads', 'secret_extra', `there is a secret of scope ${scope}, of which the log has no content`)
    }
    for (const [scope, { index, erasures }] of this.#erasures.ordered) {
      if (there.has(scope) && erasures.some((erasure) => this.#erasures.done.has(erasure))) this.#bad('payloads', 'not_erased', `the erasure ordered by #${index} is on record as done, and the secret of ${scope} is there`, index)
    }
    if (this.#evidence.vault?.opened === true) return // each payload says so itself
    for (const [session_id, { scopes }] of this.#sessions) for (const [k, index] of scopes) {
      const scope = `${session_id}/${k}`
      if (!there.has(scope) && !this.#erasures.ordered.has(scope)) this.#bad('payloads', 'missing', `the secret of the content of #${index} is not there, and no entry says that it was erased`, index)
    }
  }

  /** Step 9. */
  checkAbsent(): void {
    for (const { index, scope, slot, late } of this.#missing) {
      const order = this.#erasures.ordered.get(scope)
      if (order === undefined) this.#bad('payloads', 'missing', `the content of ${slot} of #${index} is not there, and no entry says that it was erased`, index)
      else if (!late) this.#bad('payloads', 'missing', `the content of ${slot} of #${index} is not there, though its secret is`, index)
      else this.#erasedPayloads++
    }
  }

  #found({ property, code, message, index }: Problem): void {
    this.#bad(property, code, message, index)
  }

  #bad(property: Property, code: string, message: string, index?: number): void {
    if (this.#newer > 0 && !SURE.has(code) && !(SURE_BEFORE.has(code) && index !== undefined && index < this.#firstNewer!)) return
    const problem: Problem = { property, code, message, ...(index === undefined ? {} : { index }) }
    const known = this.#failed.get(property)
    // the one to show: the lowest index, and of those the first found
    const worst = known === undefined || (index ?? Infinity) < (known.worst.index ?? Infinity) ? problem : known.worst
    this.#failed.set(property, { worst, count: (known?.count ?? 0) + 1 })
    this.#problemCount++
    if (this.#problems.length < PROBLEMS_KEPT) this.#problems.push(problem)
    if (index !== undefined) this.#firstBad.set(property, Math.min(index, this.#firstBad.get(property) ?? Infinity))
  }

  verdict(): Verdict {
    if (this.#newer > 0 && this.#failed.size === 0) {
      const first = this.#firstNewer!
      // not evidence of anything: it could not be checked
      const error = new CounterfoilError('newer_format', `verify: ${plural(this.#newer, 'entry')} ${this.#newer === 1 ? 'is' : 'are'} of a newer format, the first #${first}`, 'verify this log with a newer counterfoil')
      throw Object.assign(error, { first_bad_index: first })
    }
    const states = [...this.#sessions.values()].flatMap(({ state }) => (state === undefined || state.agent_id === '' ? [] : [state]))
    const count = (phase: SessionPhase): number => states.filter((state) => state.phase === phase).length
    const holed = [...this.#sessions.values()].filter((session) => session.gaps + session.repeated > 0)
    const gaps = holed.reduce((sum, session) => sum + session.gaps, 0)
    const repeated = holed.reduce((sum, session) => sum + session.repeated, 0)
    const counts = {
      entries: this.#edge.size - (this.#since?.size ?? 0), payloads: this.#payloads, erased: this.#erasedPayloads, sessions: states.length, ended: count('ended'), open: count('open'), suspended: count('suspended'), interrupted: count('interrupted'),
      gaps, newer_entries: this.#newer, unknown_vocabulary: this.#unknown, told_after: this.#toldAfter, imported: this.#imported,
    }
    if (gaps + repeated > 0) this.#sayGaps(holed, gaps, repeated)
    return {
      whole: this.#failed.size === 0, origin: this.#evidence.origin, size: this.#total, ...(this.#since === undefined ? {} : { since: this.#since.size }), checkpoint: this.#evidence.head.note, ...(this.#recordedAt === '' ? {} : { recorded_at: this.#recordedAt }),
      keys: this.#trusted?.reigns ?? [], properties: this.#properties(counts), problems: this.#problems, problem_count: this.#problemCount, counts,
    }
  }

  #gapsSay = ''
  #sayGaps(sessions: readonly SessionEnd[], gaps: number, repeated: number): void {
    const where = [...new Set(sessions.map(({ session_id }) => session_id.slice(-8)))]
    const parts = [gaps > 0 ? `${plural(gaps, 'event')} never arrived` : '', repeated > 0 ? `${plural(repeated, 'event')} came with a number in their stream that another has` : '']
    this.#gapsSay = `${parts.filter(Boolean).join('; ')}, in ${plural(where.length, 'session')} (${where.slice(0, 3).join(', ')}${where.length > 3 ? ', …' : ''})`
  }

  #properties(counts: Verdict['counts']): Verdict['properties'] {
    const n = counts.entries
    const all = this.#allProperties(counts)
    const { unchanged, complete, payloads, indexes } = all
    if (this.#since === undefined) return all
    const { size } = this.#since
    const from = `the first ${plural(size, 'entry')}, which ${size === 1 ? 'was' : 'were'} proved before and not read again`
    const less = (verdict: PropertyVerdict, says: string): PropertyVerdict => (verdict.status === 'proved' || verdict.status === 'asserted' ? { status: 'asserted', says } : verdict)
    // what was not looked at is not proved here, whoever proved it before
    return {
      ...all,
      unchanged: less(unchanged, n === 0 ? `nothing was added to ${from}${this.#doubt}` : `the ${plural(n, 'entry')} from #${size} on ${n === 1 ? 'is the one' : 'are the ones'} signed, and ${n === 1 ? 'continues' : 'continue'} ${from}${this.#doubt}`),
      complete: less(complete, counts.sessions === 0 ? 'no session has newer entries' : `of the sessions with newer entries ${complete.says}`),
      payloads: less(payloads, `of the newer entries ${payloads.says}; older content was not opened again`),
      indexes: less(indexes, "newer tiles, and the rows of the sessions with newer entries, agree with the entries; the rest, and the database's own check, were left out"),
    }
  }

  #allProperties(counts: Verdict['counts']): Verdict['properties'] {
    const n = counts.entries
    return {
      unchanged: this.#say('unchanged', this.#doubt === '' ? 'proved' : 'asserted', n === 0 ? 'the log is empty, and signed so' : `the ${plural(n, 'entry')} ${n === 1 ? 'is the one' : 'are the ones'} signed: none edited, inserted, reordered or removed before #${n - 1}${this.#doubt}`),
      complete: this.#say('complete', this.#gapsSay === '' ? 'proved' : 'unknown', this.#gapsSay === '' ? sessionsSay(counts) : this.#gapsSay),
      payloads: this.#payloadsVerdict(counts),
      indexes: this.#evidence.sessions === undefined ? this.#indexless() : this.#say('indexes', 'proved', `tiles${this.#evidence.vault?.opened === true ? ', session rows and content index' : ' and session rows'} agree with the entries`),
      not_truncated: this.#notTruncated(),
      witnessed: this.#witnessedVerdict(),
      pinned: this.#pinnedVerdict(),
      time: this.#say('time', 'asserted', "event times are the recorder's clock"),
    }
  }

  /** Nobody but this machine, which has a newer key, says that the one that signed was the log's. */
  get #restsOnRetired(): boolean {
    return this.#retired !== undefined && this.#trusted?.indexOf(this.#evidence.vkey.text) === -1
  }

  /** Which entries rest on a key that was reported stolen, and on nothing else. */
  get #doubt(): string {
    if (this.#restsOnRetired) return '; but with a key that this machine has retired'
    const ranges = this.#trusted?.doubtful ?? []
    if (ranges.length === 0) return ''
    return `; ${ranges.slice(0, 3).map(({ from, to }) => (to === from + 1 ? `#${from}` : `#${from} to #${to - 1}`)).join(', ')}${ranges.length > 3 ? ', …' : ''} were signed with a key reported stolen`
  }

  #pinnedVerdict(): PropertyVerdict {
    const { text, pinned, given } = this.#evidence.vkey
    if (!pinned) return this.#say('pinned', 'unknown', 'whose key signed: it was found in the log itself')
    const what = given === true ? 'the key is the one that was given' : `the key is the one this machine keeps for ${this.#evidence.origin}`
    const chain = this.#trusted
    if (this.#restsOnRetired) return this.#say('pinned', 'asserted', `it rests on the key ${idOf(this.#retired!.vkey)}, which this machine has retired: it is from before the rotation, or somebody else had the key; compare with the log (verify --against)`)
    const since = chain === undefined ? 0 : chain.reigns.length - 1 - chain.indexOf(text)
    if (chain === undefined || since === 0) return this.#say('pinned', 'proved', what)
    const led = `${what}, and ${since === 1 ? 'it handed over to the newest one' : `${since} rotations lead from it to the newest one`} (${idOf(chain.newest.vkey)})`
    const stolen = chain.stolenSince(text)
    if (stolen === undefined) return this.#say('pinned', 'proved', led)
    return this.#say('pinned', 'asserted', `${led}; but ${stolen.vkey === text ? 'it' : `the key ${idOf(stolen.vkey)} between them`} was reported stolen, so what it signed after the first ${plural(stolen.last_good_size ?? 0, 'entry')}, its successor too, may be the thief's: check with the newest key from elsewhere`)
  }

  #notTruncated(): PropertyVerdict {
    const { copy, restored } = this.#evidence
    if (this.#ahead !== undefined) return this.#say('not_truncated', 'unknown', `whether anything was cut off: this ${copy} has ${plural(this.#total, 'entry')}, and this machine ${this.#ahead.what} ${this.#ahead.size.toLocaleString('en-US')} of the log`)
    if (this.#retired !== undefined) return this.#say('not_truncated', 'unknown', `whether anything was cut off: this ${copy} is from before a rotation to a key that this machine has`)
    if (this.#remembering === undefined) return this.#say('not_truncated', 'unknown', 'whether anything was rolled back: this machine has not looked at this log before')
    const { what, size } = this.#remembering
    const since = restored === undefined || copy !== undefined || (restored.signed ?? 0) >= restored.size ? '' : `; it was restored from ${restored.from === 'archive' ? 'an archive' : 'a backup'} of ${plural(restored.size, 'entry')} at ${restored.at}: what was recorded elsewhere after that is not known here`
    return this.#say('not_truncated', 'proved', `nothing was rolled back since this machine last ${what === 'proved' ? 'looked' : what} (#${Math.max(0, size - 1)})${since}`)
  }

  #witnessedVerdict(): PropertyVerdict {
    const { policy } = this.#options
    if (policy === undefined) return this.#say('witnessed', 'unknown', 'whether newer entries were cut off since: no witness is configured')
    if (policy.quorum === 'none' && policy.minOrganisations === 0) return this.#say('witnessed', 'unknown', 'whether newer entries were cut off since: the policy asks for no witness')
    const found = this.#witnessed
    if (found === undefined) return this.#say('witnessed', 'unknown', 'whether newer entries were cut off since: no cosigned checkpoint is kept here (counterfoil witness submit)')
    const who = `${plural(found.witnesses.length, 'witness')} of ${plural(found.organisations, 'organisation')}`
    if (!found.satisfied) return this.#say('witnessed', 'unknown', `whether newer entries were cut off since: ${who} cosigned the first ${plural(found.size, 'entry')}, and the policy asks for more`)
    const since = this.#total - found.size
    const last = timeSay(Math.max(...found.witnesses.map(({ time }) => time)))
    return this.#say('witnessed', 'proved', `${who} cosigned the first ${plural(found.size, 'entry')} (${found.witnesses.map(({ name }) => name).join(', ')}; ${last})${since === 0 ? '' : `; ${plural(since, 'entry')} since`}`)
  }

  #indexless(): PropertyVerdict {
    return this.#evidence.tile === undefined ? this.#say('indexes', 'unknown', 'there are no derived rows here to compare') : this.#say('indexes', 'proved', 'tiles agree with the entries; there are no other derived rows here')
  }

  #payloadsVerdict({ payloads, erased }: Verdict['counts']): PropertyVerdict {
    if (this.#evidence.vault?.opened !== true) return this.#say('payloads', 'unknown', 'payloads: not checked (no key)')
    const gone = erased === 0 ? '' : `; ${erased.toLocaleString('en-US')} ${erased === 1 ? 'was' : 'were'} erased, by ${this.#erasuresSay(() => true)}`
    const match = `${plural(payloads, 'payload')} ${payloads === 1 ? 'matches its commitment' : 'match their commitments'}${gone}`
    const open = ({ erasures }: { readonly erasures: readonly string[] }): boolean => !erasures.some((erasure) => this.#erasures.done.has(erasure))
    if (this.#sealedPayloads > 0) return this.#say('payloads', 'unknown', `${match}; ${plural(this.#sealedPayloads, 'payload')} cannot be opened: the log was restored from an archive without ${this.#sealedPayloads === 1 ? 'its secret' : 'their secrets'}`)
    if (![...this.#erasures.ordered.values()].some(open)) return this.#say('payloads', 'proved', match)
    return this.#say('payloads', 'unknown', `${match}; the erasure ordered by ${this.#erasuresSay(open)} is not done yet: opening the trail to write finishes it`)
  }

  #erasuresSay(which: (order: { readonly index: number; readonly erasures: readonly string[] }) => boolean): string {
    const indexes = [...new Set([...this.#erasures.ordered.values()].filter(which).map(({ index }) => index))].sort((a, b) => a - b)
    return indexes.length === 1 ? `entry #${indexes[0]}` : `entries ${indexes.slice(0, 3).map((index) => `#${index}`).join(', ')}${indexes.length > 3 ? ', …' : ''}`
  }

  #say(property: Property, status: PropertyVerdict['status'], says: string): PropertyVerdict {
    const failed = this.#failed.get(property)
    if (failed === undefined) return { status, says }
    const first = this.#firstBad.get(property)
    return { status: 'failed', says: `${failed.worst.message}${failed.count > 1 ? ` (and ${failed.count - 1} more)` : ''}`, ...(first === undefined ? {} : { first_bad_index: first }) }
  }
}

/** The chain that begins with `vkey`, where that may be a key of the log. */
function chainOf(origin: string, vkey: string, begun = true): KeyChain | undefined {
  try {
    return new KeyChain(origin, vkey, begun)
  } catch {
    return undefined
  }
}

function sessionsSay({ ended, open, suspended, interrupted, sessions }: Verdict['counts']): string {
  if (sessions === 0) return 'no sessions are on record'
  const parts = [open > 0 ? `${open} ${open === 1 ? 'is' : 'are'} open` : '', suspended > 0 ? `${suspended} suspended` : '', interrupted > 0 ? `${interrupted} ${interrupted === 1 ? 'was' : 'were'} interrupted` : ''].filter(Boolean)
  return `${plural(ended, 'session')} ${ended === 1 ? 'is' : 'are'} whole to ${ended === 1 ? 'its' : 'their'} end${parts.length === 0 ? '' : `; ${parts.join(', ')}`}`
}

/** Seconds since 1970 for people; a witness may say any number. */
function timeSay(seconds: number): string {
  return seconds < 8_640_000_000_000 ? new Date(seconds * 1000).toISOString().replace('.000Z', 'Z').replace('T', ' ') : `second ${seconds}`
}

function plural(n: number, noun: string): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? noun : noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : noun.endsWith('ss') ? `${noun}es` : `${noun}s`}`
}

/** Of several parts: ascending by entry, and each entry's in their own order. */
function inOrder(notes: readonly Note[], parts: number): readonly Note[] {
  return parts === 1 ? notes : notes.toSorted((a, b) => a.index - b.index)
}

/** What a stored session row says of the entry hash it ends with, if anything. */
function prevOf(row: string): { readonly prev?: string; readonly next_seq?: number } {
  try {
    return (JSON.parse(row) ?? {}) as { prev?: string; next_seq?: number }
  } catch {
    return {}
  }
}
