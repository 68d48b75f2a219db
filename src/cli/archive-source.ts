// One snapshot of a stored log as what an archive is written from.

import { toHex } from '../base/bytes.ts'
import { StoreError, VerifyError } from '../base/errors.ts'
import { parseEntry } from '../event/parse.ts'
import type { ArchiveSource } from '../archive/write.ts'
import { keyChainOf } from '../ledger/keys.ts'
import { SEALED } from '../vault/scope.ts'
import type { StoreView } from '../store/contract.ts'

const PAGE = 500

/** The keys are those that its entries lead to, of which `vkey`, if it is given, must be one: whoever verifies the archive decides whether to believe them. */
export async function archiveSource(view: StoreView, vkey?: string): Promise<ArchiveSource> {
  const head = await view.head()
  if (head === undefined) throw new StoreError('no_log', 'archive: the database holds no log', 'name another file')
  await checkUnsealed(view)
  const chain = await keyChainOf(view)
  if (vkey !== undefined && chain.indexOf(vkey) === -1) throw new VerifyError('no_vkey', `archive: the log's entries do not lead to its key ${vkey}`, 'verify the log', { first_bad_index: 0 })
  return {
    origin: chain.origin, head: head.checkpoint,
    open: (note) => chain.open(note),
    entries: (from, to) => view.entries(from, to),
    tile: (level, n) => view.tile(level, n),
    segments: (from, to) => segmentsOf(view, from, to),
    erased: () => erasedScopes(view),
  }
}

async function* segmentsOf(view: StoreView, from: number, to: number): ReturnType<ArchiveSource['segments']> {
  const named = new Set((await view.places(from, to)).map(({ segment }) => segment))
  if (named.size === 0) return
  const sessions = new Set((await view.entries(from, to)).map(({ entry }) => parseEntry(entry).entry.session_id))
  const names = new Map((await view.scopes([...sessions])).map(({ scope, session_id, k }) => [toHex(scope), `${session_id}/${k}`]))
  for (const segment of [...named].sort((a, b) => a - b)) {
    const row = await view.segment(segment)
    const scope = row === undefined ? undefined : names.get(toHex(row.scope))
    if (row === undefined || scope === undefined) throw new VerifyError('archive_source', `archive: segment ${segment}, with content of entries #${from} to #${to - 1}, is not there or of no scope of theirs`, 'verify the log; the checkpoint of the archive was left as it is', { first_bad_index: from })
    yield { segment, scope, bytes: row.bytes }
  }
}

/** Which of their segments hold the content of which entries, nobody can tell without the secrets. */
async function checkUnsealed(view: StoreView): Promise<void> {
  for (let after: Uint8Array | undefined; ; ) {
    const page = await view.scopePage(after, PAGE)
    if (page.some(({ generation }) => generation === SEALED)) throw new StoreError('sealed', 'archive: this log was restored from an archive without the secrets of its content, and an archive says which entries its content belongs to', 'keep the archive that it came from; restore with --secrets to go on archiving')
    if (page.length < PAGE) return
    after = page.at(-1)!.scope
  }
}

/** Scopes that an entry orders erased and another says are. */
async function erasedScopes(view: StoreView): Promise<ReadonlySet<string>> {
  const ordered = new Map<string, readonly string[]>()
  const erased = new Set<string>()
  for (let from = 0; ; ) {
    const page = await view.events({ event_types: ['erasure'], from, limit: PAGE })
    for (const { index, entry } of page) {
      from = index + 1
      const { facts, writer } = parseEntry(entry).entry
      if (writer !== 'ledger') continue
      const erasure = String(facts['erasure'])
      const scopes = Array.isArray(facts['scopes']) ? (facts['scopes'] as readonly string[]) : []
      if (facts['phase'] === 'done') for (const scope of ordered.get(erasure) ?? []) erased.add(scope)
      else ordered.set(erasure, [...(ordered.get(erasure) ?? []), ...scopes])
    }
    if (page.length < PAGE) return erased
  }
}
