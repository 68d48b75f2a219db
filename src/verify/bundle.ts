// Verifies an evidence bundle: one session of a log, without the log (docs/format.md §14). Pure: no network, no clock. A key that stands in
// the bundle is not believed: it says only that everything was signed by one and the same.

import { fromBase64, toBase64, utf8 } from '../base/bytes.ts'
import { CounterfoilError, messageOf } from '../base/errors.ts'
import { LOG_FORMAT, ownRefs, type Entry } from '../event/entry.ts'
import { NewerFormatError } from '../event/fault.ts'
import { parseEntry } from '../event/parse.ts'
import { openCheckpoint, type Checkpoint } from '../log/checkpoint.ts'
import { cosignatureVerifier } from '../log/cosignature.ts'
import { leafHash, type Hash } from '../log/hash.ts'
import { checkInclusions } from '../log/inclusions.ts'
import { ed25519Verifier, formatVerifierKey, parseNote, parseVerifierKey, type VerifierKey } from '../log/note.ts'
import { commit, digestOf } from '../vault/commitment.ts'
import { parseBundle, type Bundle, type BundlePayload } from './bundle-text.ts'
import { Erasures } from './erasures.ts'
import { idOf, isKeyEntry, KeyChain, type KeyReign } from './key-chain.ts'
import { SessionCheck } from './session-check.ts'
import type { Problem, Property, PropertyVerdict, Verdict } from './verdict.ts'

const PROBLEMS_KEPT = 100
/** Failures that hold whatever an entry of a newer format says. */
const SURE: ReadonlySet<string> = new Set(['checkpoint', 'keys', 'key', 'key_reign', 'root', 'entry_malformed', 'index', 'commitment'])
/** Failures that hold before the first such entry. */
const SURE_BEFORE: ReadonlySet<string> = new Set(['key_rotation', 'key_compromise', 'seq', 'prev', 'session', 'reference', 'approval', 'list_root', 'stream_count'])

export type BundleProperty = Exclude<Property, 'indexes'>

/** As a log's verdict, of one session. `counts.withheld` are payloads that are not in the file and that no erasure accounts for. */
export interface BundleVerdict extends Omit<Verdict, 'properties' | 'counts' | 'keys'> {
  readonly session_id: string
  readonly keys: readonly string[]
  /** The log's keys one after the other, where the bundle has the entries that say so: it has them of a log that changed its key. */
  readonly reigns: readonly KeyReign[]
  readonly properties: { readonly [name in BundleProperty]: PropertyVerdict }
  readonly counts: { readonly entries: number; readonly payloads: number; readonly withheld: number; readonly erased: number; readonly gaps: number; readonly newer_entries: number; readonly unknown_vocabulary: number }
}

/** What a payload of the bundle is: bytes that match their commitment, or why there are none. `by` is the entry that ordered the erasure. */
export type BundleContent = { readonly index: number; readonly slot: string; readonly position: number; readonly media: string } & ({ readonly bytes: Uint8Array } | { readonly absent: 'withheld' } | { readonly absent: 'erased'; readonly by: number } | { readonly absent: 'mismatch' })

export interface BundleTrust {
  /** The log's verifier key (`name+id+base64`), known from elsewhere. Without it nothing says whose log it is. */
  readonly key?: string
  /** Witnesses' verifier keys, known from elsewhere. */
  readonly witnesses?: readonly string[]
}

export interface OpenedBundle { readonly verdict: BundleVerdict; readonly entries: readonly Entry[]; readonly contents: readonly BundleContent[] }

/**
 * Verifies the JSON text of a bundle. What is wrong is in the verdict; a text that is no bundle is a VerifyError `bundle_malformed`, a bad key in
 * `trust` a MisuseError, entries of a newer format and nothing wrong beside them a CounterfoilError `newer_format`.
 */
export function verifyBundle(json: string, trust: BundleTrust = {}): OpenedBundle {
  const pinned = trust.key === undefined ? undefined : formatVerifierKey(parseVerifierKey(trust.key))
  if (pinned !== undefined) ed25519Verifier(pinned)
  const witnesses = (trust.witnesses ?? []).map((key) => formatVerifierKey(parseVerifierKey(key)))
  const run = new BundleRun(parseBundle(json), pinned, witnesses)
  run.checkCheckpoint()
  run.readEntries()
  run.checkKeys()
  run.checkRoot()
  run.checkPayloads()
  return run.opened()
}

class BundleRun {
  readonly #bundle: Bundle
  readonly #pinned: string | undefined
  readonly #witnesses: readonly string[]
  readonly #session: SessionCheck
  readonly #erasures = new Erasures()
  readonly #entries: (Entry | undefined)[] = []
  readonly #hashes: Hash[] = []
  readonly #contents: BundleContent[] = []
  readonly #problems: Problem[] = []
  readonly #failed = new Map<Property, { worst: Problem; count: number; first: number | undefined }>()
  #problemCount = 0
  #checkpoint: Checkpoint | undefined
  #chain: KeyChain | undefined
  #newer = 0
  #firstNewer: number | undefined
  #unknown = 0
  #disclosed = 0

  constructor(bundle: Bundle, pinned: string | undefined, witnesses: readonly string[]) {
    this.#bundle = bundle
    this.#pinned = pinned
    this.#witnesses = witnesses
    this.#session = new SessionCheck(bundle.origin, bundle.session_id, (...problem) => this.#bad(...problem))
  }

  /** Each signature line has its key in the bundle and is verified: nothing in the note is mere decoration. */
  checkCheckpoint(): void {
    const { checkpoint, origin, keys } = this.#bundle
    try {
      const parsed = keys.map(parseVerifierKey)
      for (const [i, key] of parsed.entries()) if (formatVerifierKey(key) !== keys[i]) throw new TypeError(`keys[${i}] is another spelling of a key`)
      checkSigners(parseNote(checkpoint).signatures, parsed)
      this.#checkpoint = openCheckpoint(checkpoint, [ed25519Verifier(parsed[0]!)], { origin, cosigners: parsed.slice(1).map(cosignatureVerifier) })
    } catch (error) {
      this.#bad('unchanged', 'checkpoint', `origin, keys and checkpoint do not agree: ${messageOf(error)}`)
    }
  }

  readEntries(): void {
    const { entries, session_id } = this.#bundle
    for (const { index, entry: text } of entries) {
      const bytes = fromBase64(text)
      const hash = leafHash(bytes)
      this.#hashes.push(hash)
      const entry = this.#parse(index, bytes)
      this.#entries.push(entry)
      if (entry === undefined) continue
      this.#erasures.add(entry)
      this.#readKey(entry)
      if (entry.session_id === session_id) this.#session.add(entry, toBase64(hash))
    }
    this.#session.settle(undefined)
    if (this.#session.state === undefined) this.#bad('complete', 'session_missing', `no entry here is of the session ${session_id}`)
    this.#checkOthers()
  }

  #parse(index: number, bytes: Uint8Array): Entry | undefined {
    try {
      const { entry, unknown } = parseEntry(bytes)
      if (unknown.length > 0) this.#unknown++
      if (entry.index === index) return entry
      this.#bad('unchanged', 'index', `entry #${index} says that it is #${entry.index}`, index)
      return { ...entry, index }
    } catch (error) {
      if (error instanceof NewerFormatError) {
        this.#newer++
        this.#firstNewer ??= index
      } else this.#bad('unchanged', 'entry_malformed', `entry #${index}: ${messageOf(error)}`, index)
      return undefined
    }
  }

  /** Entries of other sessions are there to account for what was erased of this one, and for nothing else. */
  #checkOthers(): void {
    const { session_id } = this.#bundle
    const own = new Set([...this.#erasures.ordered].filter(([scope]) => scope.startsWith(`${session_id}/`)).flatMap(([, { erasures }]) => erasures))
    for (const entry of this.#entries) {
      if (entry === undefined || entry.session_id === session_id) continue
      if (this.#chain !== undefined && (entry.index === 0 || (isKeyEntry(entry) && entry.event_type !== 'log_start'))) continue
      if (entry.event_type !== 'erasure' || entry.writer !== 'ledger' || !own.has(String(entry.facts['erasure']))) this.#bad('unchanged', 'entry_extra', `entry #${entry.index} is of another session and erases nothing of this one`, entry.index)
    }
  }

  /** Where entry 0 and what the log says of its keys are here, they lead to the one that signed. */
  #readKey(entry: Entry): void {
    const start = this.#bundle.entries[0]!.index === 0 ? this.#entries[0] : undefined
    if (entry.index === 0) this.#chain = chainOf(this.#bundle.origin, entry)
    else if (this.#chain !== undefined && (entry.event_type === 'key_rotation' || entry.event_type === 'key_compromise')) {
      const why = this.#chain.add(entry) ?? (entry.session_id === start?.session_id ? undefined : "it is not in the ledger's own session")
      if (why === undefined) return
      if (entry.event_type === 'key_rotation') this.#bad('unchanged', 'key_rotation', `entry #${entry.index} is no rotation of a key: ${why}`, entry.index)
      else this.#bad('unchanged', 'key_compromise', `entry #${entry.index} is no report of a stolen key: ${why}`, entry.index)
    }
  }

  /** The key that signed is the one in force at that size, and the trusted one is among those that lead to it. */
  checkKeys(): void {
    const signer = this.#bundle.keys[0]!
    const chain = this.#chain
    const size = this.#checkpoint?.size
    if (chain !== undefined && size !== undefined && chain.at(size).vkey !== signer) {
      if (chain.indexOf(signer) === -1) this.#bad('unchanged', 'key', `the bundle is signed under ${signer.slice(0, 200)}, to which its entries do not lead`)
      else this.#bad('unchanged', 'key_reign', `the checkpoint of ${size} entries is signed by the key ${idOf(signer)}, which was not in force at that size`)
    }
    if (this.#pinned === undefined || this.#pinned === signer || (chain !== undefined && chain.indexOf(this.#pinned) !== -1)) return
    this.#bad('pinned', 'key', `the bundle is signed under ${signer.slice(0, 200)}, which is not the key that you trust`)
  }

  checkRoot(): void {
    const { entries, proof, session_id } = this.#bundle
    const checkpoint = this.#checkpoint
    if (checkpoint === undefined) return
    try {
      checkInclusions({ indexes: entries.map(({ index }) => index), size: checkpoint.size, leafHashes: this.#hashes, root: checkpoint.root, proof: proof.map(fromBase64) })
    } catch (error) {
      const first = this.#failed.get('unchanged')?.first
      const last = this.#session.state?.last_index
      const others = this.#entries.flatMap((entry) => (entry === undefined || entry.session_id === session_id ? [] : [`#${entry.index}`])).slice(0, 5)
      const where = first === undefined ? `; no other entry breaks its session, so the change lies in the proof${last === undefined ? '' : `, in #${last}`}${others.length === 0 ? '' : ` or in ${others.join(', ')}`}` : `, first at #${first}`
      this.#bad('unchanged', 'root', `entries and proof do not lead to the signed root${where} (${messageOf(error).slice(0, 160)})`, first)
    }
  }

  /** `payloads` names what the entries introduce, each payload once, in their order. */
  checkPayloads(): void {
    const { payloads } = this.#bundle
    let n = 0
    for (const [i, entry] of this.#entries.entries()) {
      if (entry === undefined) {
        while (payloads[n] !== undefined && payloads[n]!.index <= this.#bundle.entries[i]!.index) n++
        continue
      }
      for (const { slot, position, ref } of ownRefs(entry)) {
        const payload = payloads[n]
        if (payload === undefined || payload.index !== entry.index || payload.slot !== slot || payload.position !== position || payload.media !== ref.m) {
          this.#bad('payloads', 'payload_list', `payloads[${n}] is expected to be ${slot} ${position} of #${entry.index} with media ${ref.m}, and is ${payload === undefined ? 'not there' : `${payload.slot.slice(0, 64)} ${payload.position} of #${payload.index} with media ${payload.media}`}`, entry.index)
          return
        }
        n++
        this.#contents.push(this.#content(payload, `${entry.session_id}/${ref.k ?? 0}`, ref.c, n - 1))
      }
    }
    if (n < payloads.length) this.#bad('payloads', 'payload_list', `payloads[${n}] belongs to no entry`)
  }

  #content(payload: BundlePayload, scope: string, commitment: string, n: number): BundleContent {
    const { index, slot, position, media } = payload
    const place = { index, slot, position, media }
    if ('withheld' in payload) {
      const order = this.#erasures.ordered.get(scope)
      return order === undefined ? { ...place, absent: 'withheld' } : { ...place, absent: 'erased', by: order.index }
    }
    const bytes = 'text' in payload ? utf8(payload.text) : fromBase64(payload.base64)
    if (toBase64(commit(fromBase64(payload.salt), digestOf(bytes))) === commitment) {
      this.#disclosed++
      return { ...place, bytes }
    }
    this.#bad('payloads', 'commitment', `payloads[${n}], ${slot} ${position} of #${index}, is not what the entry commits to: its content or its salt was changed`, index)
    return { ...place, absent: 'mismatch' }
  }

  #bad(property: Property, code: string, message: string, index?: number): void {
    if (this.#newer > 0 && !SURE.has(code) && !(SURE_BEFORE.has(code) && index !== undefined && index < this.#firstNewer!)) return
    const problem: Problem = { property, code, message, ...(index === undefined ? {} : { index }) }
    const known = this.#failed.get(property)
    const worst = known === undefined || (index ?? Infinity) < (known.worst.index ?? Infinity) ? problem : known.worst
    const first = known?.first === undefined ? index : Math.min(known.first, index ?? Infinity)
    this.#failed.set(property, { worst, count: (known?.count ?? 0) + 1, first })
    this.#problemCount++
    if (this.#problems.length < PROBLEMS_KEPT) this.#problems.push(problem)
  }

  opened(): OpenedBundle {
    if (this.#newer > 0 && this.#failed.size === 0) throw new CounterfoilError('newer_format', `bundle: ${this.#newer} of its entries are of a newer format`, 'verify it with a newer counterfoil')
    const { origin, session_id, checkpoint, keys } = this.#bundle
    const entries = this.#entries.filter((entry) => entry !== undefined)
    const recorded_at = entries.findLast((entry) => entry.session_id === session_id)?.recorded_at
    const gaps = [...this.#session.streams.values()].reduce((sum, track) => sum + track.missing + track.repeated, 0)
    const absent = (why: string): number => this.#contents.filter((content) => 'absent' in content && content.absent === why).length
    const counts = { entries: this.#entries.length, payloads: this.#disclosed, withheld: absent('withheld'), erased: absent('erased'), gaps, newer_entries: this.#newer, unknown_vocabulary: this.#unknown }
    const verdict: BundleVerdict = {
      whole: this.#failed.size === 0, origin, session_id, size: this.#checkpoint?.size ?? 0, checkpoint, keys, reigns: this.#chain?.reigns ?? [], ...(recorded_at === undefined ? {} : { recorded_at }),
      properties: this.#properties(counts), problems: this.#problems, problem_count: this.#problemCount, counts,
    }
    return { verdict, entries, contents: this.#contents }
  }

  #properties(counts: BundleVerdict['counts']): BundleVerdict['properties'] {
    const size = this.#checkpoint?.size ?? 0
    return {
      unchanged: this.#say('unchanged', this.#doubt === '' ? 'proved' : 'asserted', `the ${plural(counts.entries, 'entry')} here ${counts.entries === 1 ? 'is' : 'are'} in the signed log of ${plural(size, 'entry')}, unchanged and in ${counts.entries === 1 ? 'its' : 'their'} places${this.#doubt}`),
      complete: this.#completeVerdict(counts.gaps),
      payloads: this.#payloadsVerdict(counts),
      not_truncated: this.#say('not_truncated', 'unknown', `what the log recorded after #${Math.max(0, size - 1)}: the bundle was made at that size`),
      witnessed: this.#witnessedVerdict(),
      pinned: this.#pinned === undefined
        ? this.#say('pinned', 'unknown', `unpinned: whose key signed. The key was found in the bundle itself; compare it with the one you know: ${this.#bundle.keys[0]}`)
        : this.#pinnedVerdict(this.#pinned),
      time: this.#say('time', 'asserted', "event times are the recorder's clock"),
    }
  }

  /** Which of the session's entries rest on a key that was reported stolen. */
  get #doubt(): string {
    const { session_id } = this.#bundle
    const ranges = this.#chain?.doubtful ?? []
    const doubtful = this.#entries.filter((entry) => entry?.session_id === session_id && ranges.some(({ from, to }) => entry.index >= from && entry.index < to))
    if (doubtful.length === 0) return ''
    return `; ${plural(doubtful.length, 'entry')} of them, from #${doubtful[0]!.index} on, ${doubtful.length === 1 ? 'was' : 'were'} signed with a key reported stolen`
  }

  #pinnedVerdict(pinned: string): PropertyVerdict {
    const trusted = `the key is the one that you trust for ${this.#bundle.origin}`
    const signer = this.#bundle.keys[0]!
    if (this.#chain === undefined || pinned === signer) return this.#say('pinned', 'proved', trusted)
    const led = `${trusted}, and it leads to the newer one that signed (${idOf(signer)})`
    const stolen = this.#chain.stolenSince(pinned)
    if (stolen === undefined) return this.#say('pinned', 'proved', led)
    return this.#say('pinned', 'asserted', `${led}; but ${stolen.vkey === pinned ? 'it' : `the key ${idOf(stolen.vkey)} between them`} was reported stolen, so what it signed after the first ${plural(stolen.last_good_size ?? 0, 'entry')}, its successor too, may be the thief's: check with the newest key from elsewhere`)
  }

  #completeVerdict(gaps: number): PropertyVerdict {
    const state = this.#session.state
    if (state === undefined || this.#failed.has('unchanged')) return this.#say('complete', 'unknown', 'whether the session is whole: its entries are not the signed ones')
    if (gaps > 0) return this.#say('complete', 'unknown', `${plural(gaps, 'event')} of the session never arrived or came twice`)
    if (state.state !== 'ended') return this.#say('complete', 'unknown', `the session has no end here: its first ${plural(state.events, 'event')} are, without a hole; whether newer ones were recorded or left out after #${state.last_index} does not show`)
    return this.#say('complete', 'proved', `the session is whole from its start to its end, #${state.last_index}: ${plural(state.events, 'event')}`)
  }

  #payloadsVerdict({ payloads, withheld, erased }: BundleVerdict['counts']): PropertyVerdict {
    const parts = [
      withheld > 0 ? `${plural(withheld, 'payload')} ${withheld === 1 ? 'is' : 'are'} not in this file` : '',
      erased > 0 ? `${plural(erased, 'payload')} ${erased === 1 ? 'was' : 'were'} erased, by ${this.#erasedBy()}` : '',
    ].filter(Boolean)
    if (payloads === 0) return this.#say('payloads', 'unknown', ['no payload is disclosed', ...parts].join('; '))
    return this.#say('payloads', 'proved', [`${plural(payloads, 'payload')} ${payloads === 1 ? 'matches its commitment' : 'match their commitments'}`, ...parts].join('; '))
  }

  #erasedBy(): string {
    const orders = [...this.#erasures.ordered].filter(([scope]) => scope.startsWith(`${this.#bundle.session_id}/`)).map(([, order]) => order)
    const indexes = [...new Set(orders.map(({ index }) => `#${index}`))].slice(0, 5).join(', ')
    return orders.every(({ erasures }) => erasures.some((erasure) => this.#erasures.done.has(erasure))) ? `entry ${indexes}` : `entry ${indexes}, which is ordered and not done yet`
  }

  #witnessedVerdict(): PropertyVerdict {
    const cosigned = this.#checkpoint?.cosignatures ?? []
    const trusted = cosigned.filter(({ name, keyId }) => this.#witnesses.some((text) => {
      const key = parseVerifierKey(text)
      return key.name === name && key.keyId === keyId && this.#bundle.keys.includes(text)
    }))
    if (trusted.length > 0) return this.#say('witnessed', 'proved', trusted.map(({ name, time }) => `${name} saw this log of ${plural(this.#checkpoint!.size, 'entry')} at ${new Date(time * 1000).toISOString()}`).join('; '))
    if (cosigned.length > 0) return this.#say('witnessed', 'unknown', `cosigned by ${cosigned.map(({ name }) => name).join(', ')}, whose keys were found in the bundle itself`)
    return this.#say('witnessed', 'unknown', 'whether anybody else saw this log: no witness cosigned it')
  }

  #say(property: Property, status: PropertyVerdict['status'], says: string): PropertyVerdict {
    const failed = this.#failed.get(property)
    if (failed === undefined) return { status, says }
    const { worst, count, first } = failed
    return { status: 'failed', says: `${worst.message}${count > 1 ? ` (and ${count - 1} more)` : ''}`, ...(first === undefined ? {} : { first_bad_index: first }) }
  }
}

function chainOf(origin: string, { event_type, facts }: Entry): KeyChain | undefined {
  try {
    return event_type === 'log_start' && facts['format'] === LOG_FORMAT && facts['origin'] === origin ? new KeyChain(origin, String(facts['vkey'])) : undefined
  } catch {
    return undefined
  }
}

function checkSigners(signatures: readonly { readonly name: string; readonly keyId: number }[], keys: readonly VerifierKey[]): void {
  if (signatures.length !== keys.length) throw new TypeError(`the checkpoint has ${signatures.length} signatures, and ${keys.length} keys are named`)
  for (const [i, { name, keyId }] of signatures.entries()) if (keys[i]!.name !== name || keys[i]!.keyId !== keyId) throw new TypeError(`keys[${i}] is not the key of signature ${i}`)
  if (new Set(keys.map(({ name, keyId }) => `${name} ${keyId}`)).size !== keys.length) throw new TypeError('a key signs twice')
}

function plural(n: number, noun: string): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? noun : noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`}`
}
