// A store's vault as evidence for `verify`: every segment opened, every derived row of the vault compared with what the entries say. Without
// keys the forms are checked, and that rows, segments and scopes belong together.

import { setImmediate as turn } from 'node:timers/promises'
import { equal, toHex, utf8 } from '../base/bytes.ts'
import { ownRefs, type Entry } from '../event/entry.ts'
import { personsIn } from '../event/person.ts'
import type { Hash } from '../log/hash.ts'
import type { ContentRow, PlaceRow, ScopeRow, SegmentRow, StoreView } from '../store/contract.ts'
import { digestOf } from '../vault/commitment.ts'
import type { Keyring } from '../vault/keyring.ts'
import { contentKeyOf, parseWrapped, SEALED, unwrapSecret } from '../vault/scope.ts'
import { openSegment, parseSegmentHeader, placesOf } from '../vault/segment.ts'
import type { Disclosed, Fault, Followed, Vault, VaultFindings } from '../verify/evidence.ts'
import { partOf, type Share } from '../verify/part.ts'
import { sha256 } from '#crypto'
import { ContentReader, messageOf } from './content.ts'
import { PlaceTable } from './place-table.ts'

const PAGE = 500
const SEGMENTS_AT_ONCE = 32

/** `foreign`: of a session of another part. */
interface StoredScope { readonly name: string; readonly secret?: Uint8Array; readonly sealed?: true; readonly foreign?: true }

export class StoredVault implements Vault {
  readonly opened: boolean
  readonly #view: StoreView
  readonly #keyring: Keyring | undefined
  readonly #content: ContentReader | undefined
  readonly #named = new PlaceTable()
  /** scope → the first entry that puts content into it */
  readonly #firstOf = new Map<string, number>()
  /** who is on record, as `<subject>/<session id>/<k>` in hex → the entry that says so */
  readonly #persons = new Map<string, { index: number; subject: Uint8Array; name: string }>()
  /** Persons whose ids masks have changed: their hashes are of what was given, which nobody has any more. */
  #masked = 0
  readonly #found: Fault[] = []
  readonly #share: Share
  #places = 0

  /** `share`: the sessions of one part of the log, the other parts are somebody else's. */
  constructor(view: StoreView, keyring: Keyring | undefined, share: Share = { n: 0, of: 1 }) {
    this.#view = view
    this.#keyring = keyring
    this.#share = share
    this.#content = keyring === undefined ? undefined : new ContentReader(view, keyring)
    this.opened = keyring !== undefined
  }

  async follow(entries: readonly Entry[], { from, to, own }: Followed): Promise<readonly (readonly Disclosed[])[] | undefined> {
    const rows = await this.#view.places(from, to)
    const disclosed = await this.#content?.payloads(entries)
    // nothing is noted before everything was read: a page that breaks is followed again, entry by entry
    const refs = new Map<number, { readonly i: number; readonly names: readonly string[] }>()
    for (const [i, entry] of entries.entries()) {
      const own = ownRefs(entry)
      if (own.length === 0) continue
      const plain = `${entry.session_id}/0`
      const names = own.map(({ ref: { k } }) => (k === undefined ? plain : `${entry.session_id}/${k}`))
      refs.set(entry.index, { i, names })
      for (const name of names) if (!this.#firstOf.has(name)) this.#firstOf.set(name, entry.index)
      if (disclosed !== undefined) this.#notePerson(entry, own.findIndex(({ slot }) => slot === 'identity'), names, disclosed[i]!)
    }
    for (const row of rows) {
      if (!own.has(row.index)) continue
      const of = refs.get(row.index)
      this.#notePlace(row, of?.names ?? [], of === undefined || disclosed === undefined ? undefined : await this.#keyOf(of.names[row.ordinal], disclosed[of.i]?.[row.ordinal]))
    }
    return disclosed
  }

  /** The key under which the content index must have what is disclosed in the scope `name`. */
  async #keyOf(name: string | undefined, disclosed: Disclosed | undefined): Promise<Uint8Array | undefined> {
    if (name === undefined || disclosed === undefined || !('bytes' in disclosed)) return undefined
    const scope = await this.#content!.scope(name.slice(0, 36), Number(name.slice(37)))
    return scope === undefined || 'damaged' in scope ? undefined : contentKeyOf(scope.indexKey, digestOf(disclosed.bytes))
  }

  #notePlace(row: PlaceRow, names: readonly string[], key: Uint8Array | undefined): void {
    const { index, ordinal, segment } = row
    this.#places++
    const name = names[ordinal]
    if (name === undefined) {
      this.#found.push({ code: 'place_extra', message: `the content index names payload ${ordinal} of #${index}, which has ${names.length}`, index })
      return
    }
    if (this.#named.add(row, index, name, key) !== name) this.#found.push({ code: 'place', message: `the content index has content of #${index} in segment ${segment}, which is of another scope`, index })
  }

  #notePerson({ event_type, index, payloads }: Entry, at: number, names: readonly string[], disclosed: readonly Disclosed[]): void {
    const identity = event_type === 'session_start' || event_type === 'subject' ? disclosed[at] : undefined
    if (identity === undefined || !('bytes' in identity)) return
    const persons = namedIn(identity.bytes)
    if ('masked' in payloads['identity']!) {
      this.#masked += persons.length
      return
    }
    for (const person of persons) {
      const subject = this.#keyring!.fingerprint('subject', utf8(person))
      this.#persons.set(`${toHex(subject)}/${names[at]!}`, { index, subject, name: names[at]! })
    }
  }

  async scopes(): Promise<ReadonlySet<string>> {
    const found = new Set<string>()
    for await (const { session_id, k } of this.#scopeRows()) found.add(`${session_id}/${k}`)
    return found
  }

  async segmentHashes(session_id: string): Promise<readonly Hash[]> {
    const scopes = (await this.#view.scopes([session_id])).map(({ scope }) => scope)
    const hashes: Hash[] = []
    for (const { segment } of scopes.length === 0 ? [] : await this.#view.segmentIds(scopes)) {
      const row = await this.#view.segment(segment)
      if (row !== undefined) hashes.push(sha256(row.bytes))
    }
    return hashes
  }

  async findings(progress: (done: number) => void): Promise<VaultFindings> {
    const scopes = await this.#checkScopes()
    await this.#checkSegments(scopes, progress)
    const lacking = await this.#checkContents(scopes)
    if (this.opened) await this.#checkSubjects(scopes)
    return { faults: this.#found, counts: { places: this.#places, lacking, subjects: this.#persons.size + this.#masked } }
  }

  async faults(findings: readonly VaultFindings[]): Promise<readonly Fault[]> {
    const found = findings.flatMap(({ faults }) => faults)
    const of = (what: string): number => findings.reduce((sum, { counts }) => sum + (counts[what] ?? 0), 0)
    const stored = await this.#view.counts()
    const [places, subjects] = [stored['places'] ?? 0, stored['subjects'] ?? 0]
    if (of('lacking') > 0) found.push({ code: 'content_index', message: `the content index lacks ${of('lacking')} of the contents that entries name` })
    if (places > of('places')) found.push({ code: 'place_extra', message: `${places - of('places')} rows of the content index belong to no entry` })
    if (this.opened && subjects > of('subjects')) found.push({ code: 'subject_extra', message: `${subjects} rows say whose sessions these are, the log accounts for ${of('subjects')}` })
    return found
  }

  /** Every wrapped secret is of its row's scope and generation, and opens. */
  async #checkScopes(): Promise<Map<string, StoredScope>> {
    const scopes = new Map<string, StoredScope>()
    for await (const row of this.#scopeRows()) {
      const name = `${row.session_id}/${row.k}`
      if (!this.#isOwn(row.session_id)) {
        scopes.set(toHex(row.scope), { name, foreign: true })
        continue
      }
      if (row.generation === SEALED) { // whether that may be, each of its payloads is asked
        scopes.set(toHex(row.scope), { name, sealed: true })
        continue
      }
      let secret: Uint8Array | undefined
      try {
        secret = this.#open(row)
      } catch (error) {
        const index = this.#firstOf.get(name)
        this.#found.push({ code: 'secret', message: `the secret of scope ${name}: ${messageOf(error)}`, ...(index === undefined ? {} : { index }) })
      }
      scopes.set(toHex(row.scope), { name, ...(secret === undefined ? {} : { secret }) })
    }
    return scopes
  }

  #isOwn(session_id: string): boolean {
    return this.#share.of === 1 || partOf(session_id, this.#share.of) === this.#share.n
  }

  #open(row: ScopeRow): Uint8Array | undefined {
    const { scope, generation } = parseWrapped(row.wrapped)
    if (!equal(scope, row.scope)) throw new TypeError('it is that of another scope')
    if (generation !== row.generation) throw new TypeError(`its row says KEK generation ${row.generation}, it is wrapped under ${generation}`)
    const keyring = this.#keyring
    return keyring === undefined ? undefined : unwrapSecret(row.wrapped, row.scope, keyring.origin, (wanted) => keyring.kek(wanted))
  }

  async #checkSegments(scopes: ReadonlyMap<string, StoredScope>, progress: (done: number) => void): Promise<void> {
    const missing = new Set(this.#named.segments())
    for (let after = -Number.MAX_SAFE_INTEGER, done = 0; ; ) {
      await turn() // appends take their turn between pages
      const page = await this.#view.segmentPage(after, SEGMENTS_AT_ONCE)
      for (const row of page) {
        missing.delete(row.segment)
        after = row.segment
        this.#checkSegment(row, scopes.get(toHex(row.scope)))
      }
      progress((done += page.length))
      if (page.length < SEGMENTS_AT_ONCE) break
    }
    for (const segment of missing) this.#found.push({ code: 'place', message: `the content index names segment ${segment}, which is not there`, index: this.#named.segment(segment)!.first })
  }

  #checkSegment(row: SegmentRow, scope: StoredScope | undefined): void {
    const named = this.#named.segment(row.segment)
    const bad = (code: string, why: string): unknown => this.#found.push({ code, message: `segment ${row.segment} ${why}`, ...(named === undefined ? {} : { index: named.first }) })
    if (scope === undefined) return named !== undefined || this.#share.n === 0 ? void bad('segment_orphan', 'is of a scope whose secret is not there') : undefined
    if (scope.foreign === true) return named === undefined ? undefined : void bad('segment_scope', `is of the scope ${scope.name}, its content of ${named.name}`)
    if (scope.sealed === true && named === undefined) return this.#checkHeader(row, bad)
    if (named === undefined) return void bad('segment_unnamed', 'holds content that no entry names')
    if (named.name !== scope.name) bad('segment_scope', `is of the scope ${scope.name}, its content of ${named.name}`)
    try {
      if (!equal(parseSegmentHeader(row.bytes).scope, row.scope)) throw new TypeError('its bytes are of another scope')
      if (scope.secret === undefined || this.#keyring === undefined || this.#content?.contents.get(row.segment) === named.places) return
      const opened = openSegment(row.bytes, { origin: this.#keyring.origin, scope: row.scope, secret: scope.secret })
      for (const place of placesOf(opened)) {
        // nobody knows whose it was: the first entry of the segment is not to blame
        if (!this.#named.has({ segment: row.segment, ...place })) this.#found.push({ code: 'segment_unnamed', message: `segment ${row.segment} holds content at frame ${place.frame}, position ${place.position}, that no entry names` })
      }
    } catch (error) {
      bad('segment', `does not open: ${messageOf(error)}`)
    }
  }

  /** Of a segment without a secret only this can be said here; an ended session states the hashes of its own. */
  #checkHeader({ bytes, scope }: SegmentRow, bad: (code: string, why: string) => unknown): void {
    try {
      if (!equal(parseSegmentHeader(bytes).scope, scope)) bad('segment', 'has bytes of another scope')
    } catch (error) {
      bad('segment', `is none: ${messageOf(error)}`)
    }
  }

  /** The content index has one row for each content, under its key. Takes the named places away one by one; how many are left over. */
  async #checkContents(scopes: ReadonlyMap<string, StoredScope>): Promise<number> {
    let last: Uint8Array | undefined
    let scope: StoredScope | undefined
    for (let after: { scope: Uint8Array; key: Uint8Array } | undefined; ; ) {
      await turn()
      const page = await this.#view.contentPage(after, PAGE)
      for (const row of page) {
        after = row
        if (last === undefined || !equal(last, row.scope)) scope = scopes.get(toHex((last = row.scope)))
        if (scope?.foreign === true || (scope === undefined && this.#share.n > 0)) continue
        const why = contentFault(row, scope, this.#named)
        if (why !== undefined) this.#found.push({ code: 'content_index', message: `a row of the content index of segment ${row.segment}: ${why}` })
      }
      if (page.length < PAGE) break
    }
    return this.#named.left
  }

  /** Who is found for erasure must be who the sessions say: each identity on record has its row, and there are no others. */
  async #checkSubjects(scopes: ReadonlyMap<string, StoredScope>): Promise<void> {
    const ids = new Map([...scopes].map(([id, { name }]) => [name, id]))
    for (const { index, subject, name } of this.#persons.values()) {
      const found = (await this.#view.subjectScopes(subject)).map(toHex)
      if (!found.includes(ids.get(name) ?? '')) this.#found.push({ code: 'subject', message: `the person of session ${name.slice(0, 36)} cannot be found for erasure`, index })
    }
  }

  async *#scopeRows(): AsyncGenerator<ScopeRow> {
    for (let after: Uint8Array | undefined; ; ) {
      const page = await this.#view.scopePage(after, PAGE)
      yield* page
      if (page.length < PAGE) return
      after = page.at(-1)!.scope
    }
  }
}

function contentFault(row: ContentRow, scope: StoredScope | undefined, named: PlaceTable): string | undefined {
  if (scope === undefined) return 'its scope is not there'
  const key = named.segment(row.segment)?.name === scope.name ? named.take(row) : undefined
  if (key === undefined) return 'no entry names that content, or another row has it'
  return key === 'none' || equal(key, row.key) ? undefined : 'it names other content'
}

function namedIn(identity: Uint8Array): readonly string[] {
  try {
    return personsIn(new TextDecoder().decode(identity))
  } catch {
    return []
  }
}
