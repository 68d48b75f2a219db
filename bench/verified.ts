// A log verified with its keys on all cores, in a process of its own, so that what that takes is not counted with what wrote it.
//
//   node bench/verified.ts DATABASE STATE_FOLDER     prints the result as JSON

import { verifyStore } from '../src/ledger/verification.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { openKeyring } from '../src/vault/keyring.ts'

/** `rss`: the most memory it had, in bytes. */
export interface Verified { readonly whole: boolean; readonly problems: readonly string[]; readonly size: number; readonly seconds: number; readonly rss: number }

const [path, home] = process.argv.slice(2) as [string, string]
const store = await openSqliteStore(path, { readOnly: true })
const head = await store.read((view) => view.head())
const keyring = openKeyring(head!.checkpoint.split('\n')[0]!, home)
const began = performance.now()
const { whole, problems, size } = await verifyStore({ store, path, keyring, kept: keyring, home })
const seconds = (performance.now() - began) / 1_000
await store.close()
console.log(JSON.stringify({ whole, problems: problems.map(({ message }) => message), size, seconds, rss: process.resourceUsage().maxRSS * 1_024 } satisfies Verified))
