// A scope of the vault whose secret is in hand, with the keys that are derived from it.

import { StoreError } from '../base/errors.ts'
import type { ScopeRow } from '../store/contract.ts'
import type { Keyring } from '../vault/keyring.ts'
import { indexKeyOf, saltKeyOf, SEALED, unwrapSecret } from '../vault/scope.ts'

export interface OpenScope { readonly k: number; readonly id: Uint8Array; readonly secret: Uint8Array; readonly saltKey: Uint8Array; readonly indexKey: Uint8Array }

/** A stored scope with its secret and keys. VerifyError when its wrapped secret is not what was stored. */
export function openScope(row: ScopeRow, keyring: Keyring): OpenScope {
  if (row.generation === SEALED) throw new StoreError('reference_missing', `ledger: the secret of session ${row.session_id} is not here: the log was restored from an archive without it, so nothing can be added to the session's content`, 'begin a new session')
  const secret = unwrapSecret(row.wrapped, row.scope, keyring.origin, (generation) => keyring.kek(generation))
  return { k: row.k, id: row.scope, secret, saltKey: saltKeyOf(secret, keyring.origin), indexKey: indexKeyOf(secret, keyring.origin) }
}
