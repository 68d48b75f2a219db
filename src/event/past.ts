// Views of some of a session's entries, each with what it stands on looked up behind it: the same as `viewEvents` gives, which walks the session from
// its first entry, at the cost of what is shown. The entries between are not looked at, so nothing is said of them.

import type { Entry } from './entry.ts'
import type { PastPayloads } from './past-payloads.ts'
import type { SessionConstants } from './session.ts'
import { Values, viewsOf, type Pending, type ReadPayloads, type StoredEntry, type ViewOptions } from './views.ts'

/** What the entries of one session stand on. */
export interface Past {
  readonly payloads: PastPayloads
  /** What is constant in the session after `entry`. Asked in the order of seq. */
  constants(entry: Entry): Promise<Pick<SessionConstants, 'agent_id' | 'agent_version' | 'model_id' | 'identity' | 'system_prompt'>>
}

/** An entry that says which step it is of, as every one does that this ledger wrote: otherwise that follows from all before it. */
export type SteppedEntry = StoredEntry & { readonly entry: { readonly step_number: number } }

export function isStepped(stored: StoredEntry): stored is SteppedEntry {
  return stored.entry.step_number !== undefined
}

/** Events of `entries`, which are of one session and ascend by seq. A VerifyError when one refers to what is not there. */
export async function* viewSome(entries: readonly SteppedEntry[], past: Past, read: ReadPayloads, { batch = 256, mask }: Omit<ViewOptions, 'want'> = {}): AsyncGenerator<Awaited<ReturnType<typeof viewsOf>>[number], void, undefined> {
  const values = new Values(read, mask)
  for (const { entry } of entries) past.payloads.know(entry)
  for (let from = 0; from < entries.length; from += batch) {
    const pending: Pending[] = []
    for (const stored of entries.slice(from, from + batch)) pending.push(await pendingOf(stored, past))
    yield* await viewsOf(pending, values)
  }
}

async function pendingOf({ entry, entry_hash }: SteppedEntry, past: Past): Promise<Pending> {
  const { payloads } = past
  const slots: Pending['slots'][number][] = []
  for (const name of Object.keys(entry.payloads)) {
    const one = await payloads.place(entry.seq, name)
    slots.push(one === undefined ? { name, places: await payloads.places(entry.seq, name), list: true } : { name, places: [one], list: false })
  }
  const { agent_id, agent_version, model_id, identity, system_prompt } = await past.constants(entry)
  const constants = { agent_id, ...(agent_version === undefined ? {} : { agent_version }), ...(model_id === undefined ? {} : { model_id }) }
  const at = async (seq: number | undefined, name: string) => (seq === undefined ? undefined : payloads.place(seq, name))
  return { entry, entry_hash, constants, step_number: entry.step_number, slots, identity: await at(identity, 'identity'), prompt: await at(system_prompt, 'system_prompt') }
}
