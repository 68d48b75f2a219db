// A store as evidence for `verify`: what it reads, and the vault opened where there are keys.

import { equal, toHex, utf8 } from '../base/bytes.ts'
import { ownRefs } from '../event/entry.ts'
import { parseEntry } from '../event/parse.ts'
import { decodeSession } from '../event/session.ts'
import { parseTreeHead } from '../log/checkpoint.ts'
import { parseNote } from '../log/note.ts'
import type { StoreView } from '../store/contract.ts'
import { digestOf } from '../vault/commitment.ts'
import type { Keyring } from '../vault/keyring.ts'
import { contentKeyOf, indexKeyOf, unwrapSecret } from '../vault/scope.ts'
import { openSegment, placesOf, readPayload, type OpenSegment } from '../vault/segment.ts'
import type { Evidence, Fault, OpenVault } from '../verify/evidence.ts'
import { StoreError, VerifyError } from '../base/errors.ts'
import { sha256 } from '#crypto'
import { ContentReader, messageOf } from './content.ts'

const PAGE = 500

/**
 * The evidence in one snapshot of a store. Without a keyring the verifier key is taken from the log's first entry, which proves nothing about whose
 * it is (`pinned: false`), or from `vkey`; and payloads are not checked.
 */
export async function evidenceOf(view: StoreView, keyring: Keyring | undefined, vkey?: string): Promise<Evidence> {
  const head = await view.head()
  if (head === undefined) throw new StoreError('no_log', 'verify: the database holds no log', 'name another file')
  const origin = originOf(head.checkpoint, keyring)
  const text = keyring?.vkey ?? vkey ?? (await vkeyInLog(view))
  const remembered: { note: string; what: 'signed' | 'proved' }[] = []
  const [signed, proved] = [keyring?.readHead(), keyring?.readProved()]
  if (signed !== undefined) remembered.push({ note: signed, what: 'signed' })
  if (proved !== undefined) remembered.push({ note: proved, what: 'proved' })
  return {
    origin, head: { note: head.checkpoint, size: head.size }, vkey: { text, pinned: keyring !== undefined || vkey !== undefined }, remembered,
    entries: (from, to) => view.entries(from, to),
    extra: () => extraRows(view, head.size),
    tile: (level, n) => view.tile(level, n),
    sessions: () => sessionRows(view),
    ...(keyring === undefined ? {} : { vault: vaultOf(view, keyring) }),
  }
}

function originOf(note: string, keyring: Keyring | undefined): string {
  try {
    return parseTreeHead(parseNote(note).text).origin
  } catch (error) {
    if (keyring !== undefined) return keyring.origin
    throw new VerifyError('checkpoint', `verify: the stored checkpoint is not one: ${messageOf(error)}`, 'the head row was changed; compare with a copy', { first_bad_index: 0 })
  }
}

async function vkeyInLog(view: StoreView): Promise<string> {
  const first = (await view.entries(0, 1))[0]
  const vkey = first === undefined ? undefined : parseEntry(first.entry).entry.facts['vkey']
  if (typeof vkey !== 'string') throw new VerifyError('no_vkey', 'verify: entry #0 names no verifier key, and none was given', 'pass the log\'s verifier key', { first_bad_index: 0 })
  return vkey
}

async function* sessionRows(view: StoreView): AsyncGenerator<{ session_id: string; row: string }> {
  let before: { started_at: string; session_id: string } | undefined
  for (;;) {
    const page = await view.listSessions({ limit: PAGE, ...(before === undefined ? {} : { before }) })
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return
    before = { started_at: decodeSession(last.row).started_at, session_id: last.session_id }
  }
}

/** Rows that the log's size leaves no room for: entries after its end, tiles that are not full yet. */
async function extraRows(view: StoreView, size: number): Promise<Fault[]> {
  const faults: Fault[] = []
  const beyond = await view.entries(size, Number.MAX_SAFE_INTEGER)
  if (beyond.length > 0) faults.push({ code: 'entries_extra', message: `${beyond.length} entries stand after the signed end of the log`, index: size })
  const counts = await view.counts()
  const extraEntries = (counts['entries'] ?? 0) - size - beyond.length
  if (extraEntries > 0) faults.push({ code: 'entries_extra', message: `${extraEntries} entries have no place in the log` })
  let tiles = 0
  for (let full = Math.floor(size / 256); full > 0; full = Math.floor(full / 256)) tiles += full
  if ((counts['tiles'] ?? 0) > tiles) faults.push({ code: 'tiles_extra', message: `${counts['tiles']} tiles are stored, a log of ${size} entries has ${tiles}` })
  if ((counts['heads'] ?? 1) > 1) faults.push({ code: 'heads_extra', message: `${counts['heads']} heads are stored, expected 1` })
  for (const message of await view.check()) faults.push({ code: 'database', message })
  return faults
}

function vaultOf(view: StoreView, keyring: Keyring): OpenVault {
  const content = new ContentReader(view, keyring)
  return {
    payloads: (entries) => content.payloads(entries),
    async scopes() {
      const found = new Set<string>()
      for await (const row of scopeRows(view)) found.add(`${row.session_id}/${row.k}`)
      return found
    },
    async segmentHashes(session_id) {
      const scopes = (await view.scopes([session_id])).map((row) => row.scope)
      const hashes: Uint8Array[] = []
      for (const { segment } of scopes.length === 0 ? [] : await view.segmentIds(scopes)) {
        const row = await view.segment(segment)
        if (row !== undefined) hashes.push(sha256(row.bytes))
      }
      return hashes
    },
    faults: (progress) => vaultFaults(view, keyring, progress),
  }
}

async function* scopeRows(view: StoreView): AsyncGenerator<Awaited<ReturnType<StoreView['scopePage']>>[number]> {
  for (let after: Uint8Array | undefined; ; ) {
    const page = await view.scopePage(after, PAGE)
    yield* page
    if (page.length < PAGE) return
    after = page.at(-1)!.scope
  }
}

/** Opens every segment and checks scopes, places, content index and subjects against it. */
async function vaultFaults(view: StoreView, keyring: Keyring, progress: (done: number) => void): Promise<{ faults: Fault[]; sealed: number }> {
  const faults: Fault[] = []
  const secrets = new Map<string, { secret: Uint8Array; session_id: string; k: number }>()
  for await (const row of scopeRows(view)) {
    try {
      secrets.set(toHex(row.scope), { secret: unwrapSecret(row.wrapped, row.scope, keyring.origin, (generation) => keyring.kek(generation)), session_id: row.session_id, k: row.k })
    } catch (error) {
      faults.push({ code: 'secret', message: `the secret of scope ${row.k} of session ${row.session_id}: ${messageOf(error)}` })
    }
    const { generation } = row
    if (keyring.keks().every((kek) => kek.generation !== generation)) faults.push({ code: 'secret_generation', message: `the secret of scope ${row.k} of session ${row.session_id} names KEK generation ${generation}, which is not there` })
  }
  const named = await namedPlaces(view, faults)
  let sealed = 0
  for (let after = 0; ; ) {
    const page = await view.segmentPage(after, 32)
    for (const row of page) {
      sealed++
      after = row.segment
      const scope = secrets.get(toHex(row.scope))
      if (scope === undefined) {
        faults.push({ code: 'segment_orphan', message: `segment ${row.segment} is of a scope whose secret is not there` })
        continue
      }
      try {
        checkSegment(row.segment, openSegment(row.bytes, { origin: keyring.origin, scope: row.scope, secret: scope.secret }), named, faults)
      } catch (error) {
        faults.push({ code: 'segment', message: `segment ${row.segment}: ${messageOf(error)}` })
      }
    }
    progress(sealed)
    if (page.length < 32) break
  }
  await checkContents(view, keyring, secrets, faults)
  await checkSubjects(view, keyring, secrets, faults)
  return { faults, sealed }
}

/** Places by segment, and faults for those that no entry's ref stands behind. */
async function namedPlaces(view: StoreView, faults: Fault[]): Promise<Map<number, Set<string>>> {
  const named = new Map<number, Set<string>>()
  const size = (await view.head())!.size
  let counted = 0
  for (let from = 0; from < size; from += PAGE) {
    const to = Math.min(size, from + PAGE)
    const refs = new Map<number, number>()
    for (const { index, entry } of await view.entries(from, to)) {
      try {
        refs.set(index, [...ownRefs(parseEntry(entry).entry)].length)
      } catch {
        // reported where entries are read
      }
    }
    for (const place of await view.places(from, to)) {
      counted++
      if (place.ordinal >= (refs.get(place.index) ?? 0)) faults.push({ code: 'place_extra', message: `the content index names payload ${place.ordinal} of #${place.index}, which has ${refs.get(place.index) ?? 0}`, index: place.index })
      const set = named.get(place.segment) ?? new Set()
      named.set(place.segment, set.add(`${place.frame}/${place.position}/${place.frames}`))
    }
  }
  const stored = (await view.counts())['places'] ?? counted
  if (stored > counted) faults.push({ code: 'place_extra', message: `${stored - counted} rows of the content index belong to no entry` })
  return named
}

function checkSegment(id: number, segment: OpenSegment, named: ReadonlyMap<number, ReadonlySet<string>>, faults: Fault[]): void {
  const here = named.get(id) ?? new Set()
  for (const { frame, position, frames } of placesOf(segment)) {
    if (!here.has(`${frame}/${position}/${frames}`)) faults.push({ code: 'segment_unnamed', message: `segment ${id} holds content at frame ${frame}, position ${position}, that no entry names` })
  }
}

type Secrets = ReadonlyMap<string, { readonly secret: Uint8Array; readonly session_id: string; readonly k: number }>

/** Each row of the content index must name content of its scope whose key it is. */
async function checkContents(view: StoreView, keyring: Keyring, secrets: Secrets, faults: Fault[]): Promise<void> {
  const opened = new Map<number, OpenSegment>()
  for (let after: { scope: Uint8Array; key: Uint8Array } | undefined; ; ) {
    const page = await view.contentPage(after, PAGE)
    for (const row of page) {
      after = row
      const scope = secrets.get(toHex(row.scope))
      const bad = (why: string): unknown => faults.push({ code: 'content_index', message: `a row of the content index of segment ${row.segment}: ${why}` })
      if (scope === undefined) {
        bad('its scope is not there')
        continue
      }
      try {
        let segment = opened.get(row.segment)
        if (segment === undefined) {
          const stored = await view.segment(row.segment)
          if (stored === undefined) {
            bad('its segment is not there')
            continue
          }
          segment = openSegment(stored.bytes, { origin: keyring.origin, scope: row.scope, secret: scope.secret })
          if (opened.size > 64) opened.clear()
          opened.set(row.segment, segment)
        }
        const key = contentKeyOf(indexKeyOf(scope.secret, keyring.origin), digestOf(readPayload(segment, row)))
        if (!equal(key, row.key)) bad('it names other content')
      } catch (error) {
        bad(messageOf(error))
      }
    }
    if (page.length < PAGE) return
  }
}

/** Who is found for erasure must be who the sessions say: each identity on record has its row, and there are no others. */
async function checkSubjects(view: StoreView, keyring: Keyring, secrets: Secrets, faults: Fault[]): Promise<void> {
  const content = new ContentReader(view, keyring)
  const scopeOf = new Map([...secrets].map(([scope, { session_id, k }]) => [`${session_id}/${k}`, scope]))
  let expected = 0
  for (let from = 0; ; ) {
    const page = await view.events({ event_types: ['session_start'], from, limit: PAGE })
    for (const { index, entry: bytes } of page) {
      from = index + 1
      let entry
      try {
        entry = parseEntry(bytes).entry
      } catch {
        continue // reported where entries are read
      }
      const own = [...ownRefs(entry)]
      const at = own.findIndex(({ slot }) => slot === 'identity')
      const disclosed = at === -1 ? undefined : (await content.payloads([entry]))[0]![at]
      if (disclosed === undefined || !('bytes' in disclosed)) continue
      const subject = subjectOf(disclosed.bytes)
      if (subject === undefined) continue
      expected++
      const scopes = (await view.subjectScopes(keyring.fingerprint('subject', utf8(subject)))).map(toHex)
      const scope = scopeOf.get(`${entry.session_id}/${own[at]!.ref.k ?? 0}`)
      if (scope !== undefined && !scopes.includes(scope)) faults.push({ code: 'subject', message: `the person of session ${entry.session_id} cannot be found for erasure`, index })
    }
    if (page.length < PAGE) break
  }
  const stored = (await view.counts())['subjects'] ?? 0
  if (stored > expected) faults.push({ code: 'subject_extra', message: `${stored} rows say whose sessions these are, the log accounts for ${expected}` })
}

function subjectOf(bytes: Uint8Array): string | undefined {
  try {
    const { subject } = JSON.parse(new TextDecoder().decode(bytes)) as { subject?: unknown }
    return typeof subject === 'string' ? subject : undefined
  } catch {
    return undefined
  }
}
