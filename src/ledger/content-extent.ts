// How much content lies in scopes: what an erasure of them would take.

import { ownRefs } from '../event/entry.ts'
import { parseEntry } from '../event/parse.ts'
import type { Store } from '../store/contract.ts'

const PAGE = 500

/** How many payloads lie in these scopes, each `session_id/k`, and of how many events. */
export async function extentOf(store: Pick<Store, 'read'>, scopes: ReadonlySet<string>): Promise<{ events: number; payloads: number }> {
  let [events, payloads] = [0, 0]
  for (const session_id of new Set([...scopes].map((scope) => scope.slice(0, 36)))) {
    for (let seq = 0; ; ) {
      const page = await store.read((view) => view.sessionEntries(session_id, seq, PAGE))
      for (const { entry } of page) {
        const parsed = parseEntry(entry).entry
        const own = [...ownRefs(parsed)].filter(({ ref }) => scopes.has(`${session_id}/${ref.k ?? 0}`)).length
        payloads += own
        if (own > 0) events++
        seq = parsed.seq + 1
      }
      if (page.length < PAGE) break
    }
  }
  return { events, payloads }
}
