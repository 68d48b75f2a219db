// Whether a stored log may go on: it is not behind, and not beside, what this machine remembers of it, and its newest key is here.

import { messageOf, StoreError, VerifyError } from '../base/errors.ts'
import type { Store } from '../store/contract.ts'
import type { KeptKeys } from '../vault/keyring.ts'
import { nextOf, type Setback } from '../verify/rollback.ts'
import { rememberedBy } from './evidence.ts'
import { checkNotBehind, checkNotRetired } from './remembered.ts'

/** Throws the error with which opening the log to write would be refused for its history or its keys. */
export async function checkStanding(store: Store, keys: KeptKeys): Promise<void> {
  const remembered = rememberedBy(keys) // before the snapshot that it is compared with: another process may append in between
  await store.read(async (view) => {
    const head = await view.head()
    if (head === undefined) return
    await checkNotBehind(view, head.checkpoint, remembered, keys)
    await checkNotRetired(view, keys, (vkey) => keys.holds(vkey))
  })
}

/** The same as an answer, `undefined` where nothing stands against it. Other faults of the log throw. */
export async function setbackIn(store: Store, keys: KeptKeys): Promise<Setback | undefined> {
  try {
    await checkStanding(store, keys)
    return undefined
  } catch (error) {
    if (!(error instanceof VerifyError || error instanceof StoreError) || nextOf(error.code) === undefined) throw error
    return { code: error.code as Setback['code'], message: messageOf(error).replace(/^ledger: /, ''), next: error.next }
  }
}
