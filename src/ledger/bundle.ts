// Writes evidence bundles: one session out of one snapshot of a store, with the content that is to be disclosed (docs/format.md §14). What is
// written was verified first.

import { toBase64 } from '../base/bytes.ts'
import { MisuseError, StoreError, VerifyError } from '../base/errors.ts'
import { isListChange, ownRefs, type Entry } from '../event/entry.ts'
import { ListIndex, type RefPlace } from '../event/list.ts'
import { parseEntry } from '../event/parse.ts'
import { parseTreeHead } from '../log/checkpoint.ts'
import { proveInclusions } from '../log/inclusions.ts'
import { formatNote, parseNote, parseVerifierKey } from '../log/note.ts'
import { tileHashReader } from '../log/reader.ts'
import type { EntryRow, StoreView } from '../store/contract.ts'
import type { Keyring } from '../vault/keyring.ts'
import { BUNDLE_FORMAT, formatBundle, payloadBytes, type BundlePayload } from '../verify/bundle-text.ts'
import { verifyBundle, type BundleVerdict } from '../verify/bundle.ts'
import { ContentReader } from './content.ts'
import { keyChainOf, keyEntries } from './keys.ts'
import { storeTiles } from './proof.ts'

const PAGE = 500

/**
 * Payloads of one event: all that it has, or the one in `slot`. Of a list what the event adds to it, or the element `position` of the whole list
 * as the event had it, or `all` of that.
 */
export interface DisclosedPayload { readonly index: number; readonly slot?: string; readonly position?: number | 'all' }

/** What of the session's content is disclosed: nothing, everything, or payloads of events. */
export type Disclose = 'none' | 'all' | readonly DisclosedPayload[]

export interface BundleOrder {
  readonly session_id: string
  readonly disclose: Disclose
  /** Witnesses' verifier keys: their cosignatures go along. Signatures of keys that are not known are left out. */
  readonly witnesses?: readonly string[]
}

/** A payload that was asked for by an event that re-uses it, and stands in the bundle with the earlier one that brought it, `stands`. */
export interface EarlierPayload { readonly index: number; readonly slot: string; readonly position?: number; readonly stands: number }

/** The JSON text, and what a verifier says of it. `missing` counts payloads that were to be disclosed and are not there any more. */
export interface ExportedBundle { readonly json: string; readonly verdict: BundleVerdict; readonly missing: number; readonly earlier: readonly EarlierPayload[] }

/** The bundle of a session as it is in `view`. StoreErrors: `no_session`, `no_key` for content without keys; MisuseErrors for what there is not; a VerifyError when the record itself does not verify. */
export async function exportBundle(view: StoreView, keyring: Keyring | undefined, { session_id, disclose, witnesses = [] }: BundleOrder): Promise<ExportedBundle> {
  const head = await view.head()
  if (head === undefined) throw new StoreError('no_log', 'export: the database holds no log', 'name another file')
  if (disclose !== 'none' && keyring === undefined) throw new StoreError('no_key', 'export: content cannot be disclosed without the keys', "run it where the log's keys are, or export with --disclose none")
  const own = await sessionRows(view, session_id)
  if (own.length === 0) throw new StoreError('no_session', `export: session ${session_id} is not in this trail`, 'ids are in: counterfoil sessions')
  const chain = await keyChainOf(view)
  // what leads from older keys to the one that signs, where there were others
  const keyRows = chain.reigns.length === 1 ? [] : (await keyEntries(view)).filter(({ entry }) => entry.session_id !== session_id).map(({ row }) => row)
  const rows = [...own, ...(await erasuresOf(view, session_id)), ...keyRows].sort((a, b) => a.index - b.index)
  const entries = rows.map(({ entry }) => parseEntry(entry).entry)
  const { wanted, earlier } = placesOf(entries, session_id, disclose)
  const { payloads, missing } = await readPayloads(view, keyring, entries, session_id, wanted)
  const { checkpoint, keys } = signedBy(head.checkpoint, [chain.newest.vkey, ...witnesses])
  const proof = await proveInclusions(tileHashReader(head.size, storeTiles(view, head.size)), rows.map(({ index }) => index), head.size)
  const json = formatBundle({
    format: BUNDLE_FORMAT, origin: parseTreeHead(parseNote(checkpoint).text).origin, session_id, checkpoint, keys,
    entries: rows.map(({ index, entry }) => ({ index, entry: toBase64(entry) })), proof: proof.map(toBase64), payloads,
  })
  const { verdict } = verifyBundle(json, keyring === undefined ? { witnesses } : { key: keyring.vkey, witnesses })
  if (!verdict.whole) throw new VerifyError('not_whole', `export: the record of this session does not verify: ${verdict.problems[0]?.message ?? ''}`, 'run counterfoil verify', verdict.problems[0]?.index === undefined ? {} : { first_bad_index: verdict.problems[0].index })
  return { json, verdict, missing, earlier }
}

/** The bundle that another exported for `order`: what a verifier says of it, and what of the order is not in it. */
export function readExported(json: string, { session_id, disclose }: BundleOrder): ExportedBundle {
  const { verdict, entries, contents } = verifyBundle(json)
  if (!verdict.whole || verdict.session_id !== session_id) throw new VerifyError('not_whole', `export: what came does not verify as session ${session_id}: ${verdict.problems[0]?.message ?? `it is of session ${verdict.session_id}`}`, 'have counterfoil verify run where the log lies', verdict.problems[0]?.index === undefined ? {} : { first_bad_index: verdict.problems[0].index })
  const { wanted, earlier } = placesOf(entries, session_id, disclose)
  const own = new Set(entries.filter((entry) => entry.session_id === session_id).map(({ index }) => index))
  const ordinals = new Map<number, number>()
  const missing = contents.filter((content) => {
    const ordinal = ordinals.get(content.index) ?? 0
    ordinals.set(content.index, ordinal + 1)
    return 'absent' in content && (wanted === 'all' ? own.has(content.index) : wanted.has(`${content.index}/${ordinal}`))
  }).length
  return { json, verdict, missing, earlier }
}

async function sessionRows(view: StoreView, session_id: string): Promise<EntryRow[]> {
  const rows: EntryRow[] = []
  for (let seq = 0; ; seq += PAGE) {
    const page = await view.sessionEntries(session_id, seq, PAGE)
    rows.push(...page)
    if (page.length < PAGE) return rows
  }
}

/** The ledger's entries that order an erasure of this session's scopes, or say that it is done. */
async function erasuresOf(view: StoreView, session_id: string): Promise<EntryRow[]> {
  const found: { row: EntryRow; entry: Entry }[] = []
  for (let from = 0; ; ) {
    const page = await view.events({ event_types: ['erasure'], from, limit: PAGE })
    for (const row of page) {
      from = row.index + 1
      const { entry } = parseEntry(row.entry)
      if (entry.writer === 'ledger' && entry.session_id !== session_id) found.push({ row, entry })
    }
    if (page.length < PAGE) break
  }
  const own = new Set(found.filter(({ entry }) => ((entry.facts['scopes'] as readonly string[] | undefined) ?? []).some((scope) => scope.startsWith(`${session_id}/`))).map(({ entry }) => entry.facts['erasure']))
  return found.filter(({ entry }) => own.has(entry.facts['erasure'])).map(({ row }) => row)
}

/** Which payloads are wanted, as `<index>/<ordinal>`. */
function placesOf(entries: readonly Entry[], session_id: string, disclose: Disclose): { readonly wanted: ReadonlySet<string> | 'all'; readonly earlier: readonly EarlierPayload[] } {
  if (disclose === 'all') return { wanted: 'all', earlier: [] }
  const wanted = new Set<string>()
  const earlier: EarlierPayload[] = []
  if (disclose === 'none') return { wanted, earlier }
  const lists = new ListIndex()
  const own = new Map<number, Entry>()
  for (const entry of entries) if (entry.session_id === session_id) {
    lists.add(entry)
    own.set(entry.index, entry)
  }
  for (const { index, slot, position } of disclose) {
    const entry = own.get(index)
    if (entry === undefined) throw new MisuseError('bad_disclose', `export: entry #${index} is not of this session`, "its events are in: counterfoil show")
    if (slot !== undefined && !Object.hasOwn(entry.payloads, slot)) throw new MisuseError('bad_disclose', `export: entry #${index} has no payload ${slot}`, `it has ${Object.keys(entry.payloads).join(', ') || 'none'}`)
    for (const name of slot === undefined ? Object.keys(entry.payloads) : [slot]) {
      for (const { place, at } of namedPlaces(lists, entry, name, position)) {
        wanted.add(`${place.index}/${place.ordinal}`)
        if (place.index !== index) earlier.push({ index, slot: name, ...(at === undefined ? {} : { position: at }), stands: place.index })
      }
    }
  }
  return { wanted, earlier }
}

/** A single payload where it was introduced, or elements of a list, each with its position in the whole of it. */
function namedPlaces(lists: ListIndex, entry: Entry, slot: string, position: number | 'all' | undefined): { readonly place: RefPlace; readonly at?: number }[] {
  const one = lists.place(entry.seq, slot)
  if (one !== undefined) {
    if (position !== undefined) throw new MisuseError('bad_disclose', `export: ${slot} of entry #${entry.index} is no list`, 'leave its position out')
    return [{ place: one }]
  }
  const value = entry.payloads[slot]!
  const places = lists.places(entry.seq, slot).map((place, at) => ({ place, at }))
  if (position === 'all') return places
  if (position === undefined) return isListChange(value) ? places.slice(value.keep ?? 0) : places
  const found = places[position]
  if (found === undefined) throw new MisuseError('bad_disclose', `export: ${slot} of entry #${entry.index} has ${places.length} elements, got position ${position}`, 'positions count from 0')
  return [found]
}

async function readPayloads(view: StoreView, keyring: Keyring | undefined, entries: readonly Entry[], session_id: string, wanted: ReadonlySet<string> | 'all'): Promise<{ payloads: BundlePayload[]; missing: number }> {
  const content = keyring === undefined ? undefined : new ContentReader(view, keyring)
  const payloads: BundlePayload[] = []
  let missing = 0
  for (const entry of entries) {
    const refs = [...ownRefs(entry)]
    const asked = refs.map((_, ordinal) => (wanted === 'all' ? entry.session_id === session_id : wanted.has(`${entry.index}/${ordinal}`)))
    const disclosed = asked.includes(true) ? (await content?.payloads([entry]))?.[0] : undefined
    for (const [ordinal, { slot, position, ref }] of refs.entries()) {
      const place = { index: entry.index, slot, position, media: ref.m }
      const got = asked[ordinal] === true ? disclosed?.[ordinal] : undefined
      if (got !== undefined && 'bytes' in got) payloads.push({ ...place, salt: toBase64(got.salt), ...payloadBytes(got.bytes) })
      else {
        if (asked[ordinal] === true) missing++
        payloads.push({ ...place, withheld: true })
      }
    }
  }
  return { payloads, missing }
}

/** The checkpoint with the signatures of these keys alone: a line that nobody can check would be one that anybody can change. */
function signedBy(note: string, known: readonly string[]): { checkpoint: string; keys: string[] } {
  const { text, signatures } = parseNote(note)
  const parsed = known.map((vkey) => ({ vkey, key: parseVerifierKey(vkey) }))
  const found = parsed.flatMap(({ vkey, key }) => {
    const signature = signatures.find(({ name, keyId }) => name === key.name && keyId === key.keyId)
    return signature === undefined ? [] : [{ vkey, signature }]
  })
  if (found.length === 0) throw new VerifyError('checkpoint', "export: the stored checkpoint is not signed by this log's key", 'run counterfoil verify')
  return { checkpoint: formatNote({ text, signatures: found.map(({ signature }) => signature) }), keys: found.map(({ vkey }) => vkey) }
}
