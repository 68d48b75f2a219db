// Opening a log: its keys found or made, its first entry written, and nothing appended to one that is behind what this machine remembers.

import type { Clock } from '../base/clock.ts'
import { StoreError, VerifyError } from '../base/errors.ts'
import { randomRef, uuidv7 } from '../base/ids.ts'
import { LOG_FORMAT } from '../event/entry.ts'
import { parseEntry } from '../event/parse.ts'
import { parseTreeHead } from '../log/checkpoint.ts'
import { parseNote, parseVerifierKey } from '../log/note.ts'
import type { Signer } from '../log/signer.ts'
import type { Head, Store, StoreView } from '../store/contract.ts'
import { createKeyring, ephemeralKeyring, openKeyring, type Keyring } from '../vault/keyring.ts'
import { SEALED } from '../vault/scope.ts'
import { Appender, readTip } from './append.ts'
import { ledgerDraft } from './event.ts'
import { rememberedBy } from './evidence.ts'
import { chainIn, checkNotBehind, checkNotRetired, standsBeside } from './remembered.ts'
import type { SignerOf } from './signer-module.ts'

/** Where the log's keys are, or are to be made; see `LedgerOptions`. */
export interface KeySources { readonly home?: string | undefined; readonly passphrase?: string | undefined; readonly signer?: SignerOf | undefined; readonly previous?: string | undefined }

/** A log that is ready to be appended to. */
export interface Opening { readonly keyring: Keyring; readonly appender: Appender }

/** Begins the log of an empty store; where another process began it meanwhile, opens that one. */
export async function beginLog(store: Store, { home, passphrase, signer: signerOf, previous }: KeySources, clock: Clock): Promise<Opening> {
  const made = `counterfoil.local/${randomRef()}`
  const signer = home === undefined ? undefined : await signerOf?.(made)
  const origin = signer === undefined ? made : parseVerifierKey(signer.vkey).name
  const keyring = home === undefined ? ephemeralKeyring(origin) : signer === undefined ? createKeyring(origin, home, passphrase === undefined ? {} : { passphrase }) : createOrTake(signer, origin, home, passphrase)
  const ms = clock()
  const appender = new Appender(store, keyring, clock, uuidv7(ms))
  try {
    await appender.begin(ledgerDraft('log_start', appender.ownSession, ms, { format: LOG_FORMAT, origin, vkey: keyring.vkey, ...(previous === undefined ? {} : { previous }) }))
    if (appender.head !== undefined) keyring.writeHead(appender.head.checkpoint)
    return { keyring, appender }
  } catch (error) {
    if (error instanceof StoreError && error.code === 'log_exists') {
      const head = await store.read((view) => view.head())
      return reopenLog(store, head!, { home, passphrase, signer: signerOf }, clock)
    }
    throw error
  }
}

/** Under a key that is kept elsewhere the origin is given: what a beginning that failed left behind is taken, what signed already is not. */
function createOrTake(signer: Signer, origin: string, home: string, passphrase: string | undefined): Keyring {
  try {
    return createKeyring(origin, home, { ...(passphrase === undefined ? {} : { passphrase }), signer })
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'key_exists') throw error
    const keyring = openKeyring(origin, home, { passphrase, signer })
    if (keyring.readHead() === undefined && keyring.vkey === signer.vkey) return keyring
    throw new StoreError('key_exists', `ledger: a log began under ${signer.vkey} already, and it is not in this database`, 'put that log back, or make another key: a key is of one log', { cause: error })
  }
}

/** Opens the log whose head is known. Rejects when it is behind what this machine remembers, or when its keys are not here. */
export async function reopenLog(store: Store, head: Head, { home, passphrase, signer }: KeySources, clock: Clock, known?: Keyring): Promise<Opening> {
  const { origin } = parseTreeHead(parseNote(head.checkpoint).text)
  if (known === undefined && home === undefined) throw new StoreError('no_home', 'ledger: a log in memory cannot be opened again', 'begin a new one; for a record that outlives the process, give openTrail a path')
  const keyring = known ?? openKeyring(origin, home, { passphrase, signer: await signer?.(origin) })
  const remembered = rememberedBy(keyring) // before the head it is compared with: another process may append in between
  const own = await store.read(async (view) => {
    const now = (await view.head()) ?? head
    if (!keyring.follow(now.checkpoint) || standsBeside(await chainIn(view), now.size, keyring) !== undefined) await checkNotBehind(view, now.checkpoint, remembered, keyring)
    await checkNotRetired(view, keyring)
    await readTip(view, now, keyring)
    await checkNotBehind(view, now.checkpoint, remembered, keyring)
    const first = (await view.entries(0, 1))[0]
    if (first === undefined) throw new VerifyError('entries_missing', 'ledger: entry 0 is not there', 'run counterfoil verify', { first_bad_index: 0 })
    return ownSession(view, parseEntry(first.entry).entry.session_id, clock)
  })
  return { keyring, appender: new Appender(store, keyring, clock, own) }
}

/** The ledger's own session, that of entry 0; another one, without an agent too, where the log was restored without the secret of that one's content. */
async function ownSession(view: StoreView, first: string, clock: Clock): Promise<string> {
  const isSealed = async (session_id: string): Promise<boolean> => (await view.scopes([session_id])).some(({ generation }) => generation === SEALED)
  if (!(await isSealed(first))) return first
  for (const { session_id } of await view.listSessions({ agent_id: '', limit: 100 })) if (!(await isSealed(session_id))) return session_id
  return uuidv7(clock())
}
