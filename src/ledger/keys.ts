// The keys of a stored log, read from its entries alone: for who writes archives and bundles of it, lists them, or asks whose turn it is to sign.

import { CounterfoilError, messageOf, VerifyError } from '../base/errors.ts'
import type { Draft } from '../event/draft.ts'
import type { Entry } from '../event/entry.ts'
import { parseEntry } from '../event/parse.ts'
import type { EntryRow, StoreView } from '../store/contract.ts'
import { isKeyEntry, KeyChain } from '../verify/key-chain.ts'
import { ledgerDraft } from './event.ts'

const PAGE = 500

/** The ledger's entries that speak of keys, ascending: the first is entry 0. */
export async function keyEntries(view: StoreView): Promise<{ row: EntryRow; entry: Entry }[]> {
  const rows = await view.entries(0, 1)
  for (let from = 1; ; ) {
    const page = await view.events({ event_types: ['key_rotation', 'key_compromise'], from, limit: PAGE })
    rows.push(...page)
    if (page.length < PAGE) break
    from = page.at(-1)!.index + 1
  }
  return rows.map((row) => ({ row, entry: parseEntry(row.entry).entry })).filter(({ entry }) => isKeyEntry(entry))
}

/** The keys that the log's entries lead to. VerifyError `no_vkey` for a log that names none, `key_rotation` where one did not hand over to the next. That the entries are the signed ones is not checked. */
export async function keyChainOf(view: StoreView): Promise<KeyChain> {
  let chain: KeyChain | undefined
  for (const { entry } of await keyEntries(view)) {
    if (entry.event_type === 'log_start') chain ??= startOf(entry)
    else {
      const wrong = chain?.add(entry)
      if (wrong !== undefined) throw new VerifyError(entry.event_type, `ledger: entry #${entry.index} is no ${entry.event_type}: ${wrong}`, 'run counterfoil verify', { first_bad_index: entry.index })
    }
  }
  if (chain === undefined) throw new VerifyError('no_vkey', 'ledger: entry #0 names no verifier key', 'run counterfoil verify', { first_bad_index: 0 })
  return chain
}

function startOf({ facts }: Entry): KeyChain {
  try {
    return new KeyChain(String(facts['origin']), String(facts['vkey']))
  } catch (cause) {
    throw new VerifyError('no_vkey', `ledger: entry #0 names no verifier key of its log: ${cause instanceof CounterfoilError ? messageOf(cause) : String(cause)}`, 'run counterfoil verify', { first_bad_index: 0, cause })
  }
}

/** A rotation as it is handed in: whose turn it is, and what it signs over, is known in the append transaction only. */
export function rotationDraft(session_id: string, ms: number): Draft {
  return ledgerDraft('key_rotation', session_id, ms, { vkey: 'next', from_size: 0, root: `${'A'.repeat(43)}=`, signature: `${'A'.repeat(86)}==` })
}
