// Whether a stored log may go on: it is not behind, and not beside, what this machine remembers of it.

import { messageOf, VerifyError } from '../base/errors.ts'
import type { Store } from '../store/contract.ts'
import type { Keyring } from '../vault/keyring.ts'
import { nextOf, type Setback } from '../verify/rollback.ts'
import { rememberedBy } from './evidence.ts'
import { checkNotBehind, openOwn } from './ledger.ts'

/** Throws the VerifyError with which opening the log to write would be refused for its history. */
export async function checkStanding(store: Store, keyring: Keyring): Promise<void> {
  const remembered = rememberedBy(keyring) // before the snapshot that it is compared with: another process may append in between
  await store.read(async (view) => {
    const head = await view.head()
    if (head !== undefined) await checkNotBehind(view, openOwn(keyring, head.checkpoint), remembered, keyring)
  })
}

/** The same as an answer, `undefined` where nothing stands against it. Other faults of the log throw. */
export async function setbackIn(store: Store, keyring: Keyring): Promise<Setback | undefined> {
  try {
    await checkStanding(store, keyring)
    return undefined
  } catch (error) {
    if (!(error instanceof VerifyError) || nextOf(error.code) === undefined) throw error
    return { code: error.code as Setback['code'], message: messageOf(error).replace(/^ledger: /, ''), next: error.next }
  }
}
