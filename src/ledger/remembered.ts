// A stored log held against what this machine remembers of it: the newest checkpoint that it signed or proved, and its keys.

import { StoreError, VerifyError } from '../base/errors.ts'
import { checkConsistency, proveConsistency } from '../log/consistency.ts'
import { openCheckpoint, type Checkpoint } from '../log/checkpoint.ts'
import { tileHashReader } from '../log/reader.ts'
import type { StoreView } from '../store/contract.ts'
import type { KeptKeys } from '../vault/keyring.ts'
import type { Evidence } from '../verify/evidence.ts'
import type { KeyChain } from '../verify/key-chain.ts'
import { forkOf, keysForkOf, nextOf, retiredOf, setbackOf, type Setback } from '../verify/rollback.ts'
import { keyChainOf } from './keys.ts'
import { restoredBy } from './restored.ts'
import { storeTiles } from './proof.ts'

/** Refuses keys that are older than the log: they lack the one that signs it now. `held`: which of those that lie beside the one in force count. */
export async function checkNotRetired(view: StoreView, keyring: Pick<KeptKeys, 'vkey' | 'folder'>, held: (vkey: string) => boolean = () => false): Promise<void> {
  let newest: string
  try {
    const chain = await keyChainOf(view)
    if (chain.indexOf(keyring.vkey) === -1) return // the log is another's, which shows below
    newest = chain.newest.vkey
  } catch (error) {
    if (error instanceof VerifyError) return // as does what is wrong with its entries
    throw error
  }
  if (newest === keyring.vkey || held(newest)) return
  throw new StoreError('key_retired', `ledger: the log is signed by ${newest}, and the newest key in ${keyring.folder} is ${keyring.vkey}`, nextOf('key_retired')!)
}

/** Refuses a store that is behind, or beside, what this machine remembers, and says which of the two it is. `note` is its newest checkpoint. */
export async function checkNotBehind(view: StoreView, note: string, remembered: Evidence['remembered'], keys: PublicKeys): Promise<void> {
  const chain = await chainIn(view)
  const head = openOwn(keys, note, chain)
  const seen = remembered.flatMap(({ note, what }) => {
    try {
      return [{ ...openOwn(keys, note, chain), what }]
    } catch (error) {
      if (what === 'signed') throw error
      return [] // `verify` says so; an agent need not stop for it
    }
  }).sort((a, b) => b.size - a.size)
  const reader = tileHashReader(head.size, storeTiles(view, head.size))
  for (const { size, root, what } of seen) {
    if (size > head.size) continue
    const proof = await proveConsistency(reader, size, head.size)
    try {
      checkConsistency({ oldSize: size, size: head.size, oldRoot: root, root: head.root, proof })
    } catch (cause) {
      const { code, message, next } = forkOf(head.size, size, what)
      throw new VerifyError(code, `ledger: ${message}`, next, { cause })
    }
  }
  const last = seen[0]
  const beside = standsBeside(chain, head.size, keys)
  const setback = last === undefined || last.size <= head.size || beside?.code === 'forked' ? beside : setbackOf(head.size, last.size, last.what, restoredBy(keys))
  if (setback === undefined) return
  throw new VerifyError(setback.code, `ledger: ${setback.message}`, setback.next, setback.code === 'forked' ? {} : { first_bad_index: head.size })
}

/** What the keys alone say: the log has one of this machine's, and not the newest. */
export function standsBeside(chain: KeyChain | undefined, size: number, keys: PublicKeys): Setback | undefined {
  const own = keys.vkeys()
  if (chain === undefined || chain.indexOf(keys.vkey) !== -1 || !own.some((vkey) => chain.indexOf(vkey) !== -1)) return undefined
  return own.includes(chain.newest.vkey) ? retiredOf(size, restoredBy(keys)) : keysForkOf(chain.newest.vkey)
}

/** The keys that the log's entries lead to; undefined where something is wrong with them, which shows elsewhere. */
export async function chainIn(view: StoreView): Promise<KeyChain | undefined> {
  try {
    return await keyChainOf(view)
  } catch (error) {
    if (error instanceof VerifyError) return undefined
    throw error
  }
}

type PublicKeys = Pick<KeptKeys, 'origin' | 'folder' | 'vkey' | 'vkeys' | 'verifiers' | 'readRestored'>

/**
 * A checkpoint note that this log's own key signed, or one of those before it; with `chain` also one that they handed over to. VerifyError when none
 * did.
 */
export function openOwn(keys: Pick<KeptKeys, 'origin' | 'vkeys' | 'verifiers'>, note: string, chain?: KeyChain): Checkpoint {
  try {
    return openCheckpoint(note, keys.verifiers(), { origin: keys.origin })
  } catch (error) {
    if (chain === undefined || chain.origin !== keys.origin || !keys.vkeys().some((vkey) => chain.indexOf(vkey) !== -1)) throw error
    return chain.open(note)
  }
}
