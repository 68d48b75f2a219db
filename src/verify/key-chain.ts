// The keys of a log, one after the other (docs/format.md §2.6): the first stands in entry 0, each next one in a `key_rotation` that the one
// before signed. Feed it the entries of a log, or the key entries of a bundle, in order.

import { fromBase64 } from '../base/bytes.ts'
import { messageOf, VerifyError } from '../base/errors.ts'
import type { Entry } from '../event/entry.ts'
import { openCheckpoint, parseTreeHead, type Checkpoint, type CheckpointTrust } from '../log/checkpoint.ts'
import { parseNote, type NoteVerifier } from '../log/note.ts'
import { checkRotation, logVerifier } from '../log/rotation.ts'

/**
 * One key's time. `from`: its first entry, 0 or the index of the rotation to it. `to`: the index of the rotation to the next, absent while it is in
 * force. It may sign checkpoints of sizes above `from` (the first key: from 0) up to `to`. `last_good_size`: from there on it was reported stolen.
 */
export interface KeyReign { readonly vkey: string; readonly from: number; readonly to?: number; readonly state: 'in_force' | 'retired' | 'compromised'; readonly last_good_size?: number }

type Reign = { -readonly [K in keyof KeyReign]: KeyReign[K] } & { readonly verifier: NoteVerifier }

/** The entry types that speak of keys; the ledger writes them. */
export function isKeyEntry({ event_type, writer }: Pick<Entry, 'event_type' | 'writer'>): boolean {
  return writer === 'ledger' && (event_type === 'log_start' || event_type === 'key_rotation' || event_type === 'key_compromise')
}

export class KeyChain {
  readonly origin: string
  readonly #reigns: Reign[]
  readonly #ids = new Set<number>()
  readonly #verifierOf: (vkey: string) => NoteVerifier
  readonly #begun: boolean

  /**
   * Begins with the first key, or where entry 0 names none (`begun` is false) with the trusted one: then it follows the rotations that this one
   * leads to, and has nothing to say against the others. Throws as `logVerifier` for a text that is no key of this log.
   */
  constructor(origin: string, vkey: string, begun = true) {
    this.origin = origin
    this.#begun = begun
    this.#verifierOf = (text) => logVerifier(text, origin)
    const verifier = this.#verifierOf(vkey)
    this.#reigns = [{ vkey, from: 0, state: 'in_force', verifier }]
    this.#ids.add(verifier.keyId)
  }

  get reigns(): readonly KeyReign[] {
    return this.#reigns.map(({ vkey, from, to, state, last_good_size }) => ({ vkey, from, ...(to === undefined ? {} : { to }), state, ...(last_good_size === undefined ? {} : { last_good_size }) }))
  }

  /** The key in force after all that was added. */
  get newest(): KeyReign {
    return this.#reigns.at(-1)!
  }

  /** Where `vkey` stands among the keys; -1 for a stranger. */
  indexOf(vkey: string): number {
    return this.#reigns.findIndex((reign) => reign.vkey === vkey)
  }

  /**
   * Takes a `key_rotation` or `key_compromise`; anything else changes nothing. What is wrong with it, or undefined. A rotation that is wrong and names a
   * key counts all the same, so that what comes after it can be read: whoever gets an answer must not call the log whole.
   */
  add({ event_type, index, writer, facts }: Entry): string | undefined {
    if (event_type !== 'key_rotation' && event_type !== 'key_compromise') return undefined
    if (writer !== 'ledger') return this.#begun ? `it was handed in by ${writer}, and only the ledger writes it` : undefined
    const wrong = event_type === 'key_rotation' ? this.#rotate(index, facts) : this.#report(index, facts)
    return this.#begun ? wrong : undefined
  }

  #rotate(index: number, { vkey, from_size: size, root, signature }: Entry['facts']): string | undefined {
    const old = this.#reigns.at(-1)!
    let verifier: NoteVerifier
    try {
      verifier = this.#verifierOf(String(vkey))
    } catch (error) {
      return `it names no key of this log: ${messageOf(error)}`
    }
    if (this.#ids.has(verifier.keyId)) return 'it names a key, or the id of a key, that this log had before'
    let right = false
    try {
      right = size === index && checkRotation({ origin: this.origin, size: index, root: fromBase64(String(root)), vkey: String(vkey) }, old.verifier, fromBase64(String(signature)))
    } catch {
      // a root or signature that is not even of the form
    }
    if (right || this.#begun) {
      this.#ids.add(verifier.keyId)
      old.to = index
      if (old.state === 'in_force') old.state = 'retired'
      this.#reigns.push({ vkey: String(vkey), from: index, state: 'in_force', verifier })
    }
    if (size !== index) return `it says that the new key is in force from ${String(size).slice(0, 20)}, and stands at #${index}`
    return right ? undefined : 'it is not signed by the key that was in force'
  }

  #report(index: number, { vkey, last_good_size: size }: Entry['facts']): string | undefined {
    const reign = this.#reigns.find((one) => one.vkey === vkey)
    if (reign === undefined || reign.to === undefined) return `it reports ${reign === undefined ? 'a key that this log never had' : 'the key that is in force, which must be rotated first'}`
    if (!Number.isSafeInteger(size) || (size as number) < 0 || (size as number) > reign.to) return `it says that the key was good up to ${String(size).slice(0, 20)}, and its time ended at ${reign.to}`
    if (index <= reign.to) return 'it stands before the rotation'
    reign.state = 'compromised'
    reign.last_good_size = Math.min(size as number, reign.last_good_size ?? Infinity)
    return undefined
  }

  /** The key that signs checkpoints of `size`. */
  at(size: number): KeyReign {
    return this.#at(size)
  }

  #at(size: number): Reign {
    return this.#reigns.findLast((reign) => reign.from < size) ?? this.#reigns[0]!
  }

  /**
   * Opens a checkpoint of this log under the key that was in force at its size. VerifyErrors as `openCheckpoint`, and `key_reign` when it is signed by
   * another of the log's keys, which had no say at that size.
   */
  open(note: string | Uint8Array, cosigners: CheckpointTrust['cosigners'] = []): Checkpoint {
    const { size } = parseTreeHead(parseNote(note).text)
    const due = this.#at(size)
    try {
      return openCheckpoint(note, [due.verifier], { origin: this.origin, cosigners })
    } catch (error) {
      const other = this.#reigns.find((reign) => reign !== due && opens(note, reign.verifier, this.origin))
      if (other === undefined) throw error
      const when = other.from >= size ? `came into force at #${other.from} only` : `was retired at #${other.to}`
      throw new VerifyError('key_reign', `verify: a checkpoint of ${size} entries is signed by the key ${idOf(other.vkey)}, which ${when}`, 'somebody used a retired key; compare with a witness or an archive', { cause: error })
    }
  }

  /** The entries that rest on keys reported stolen, as ranges [from, to) that do not overlap, ascending. */
  get doubtful(): readonly { readonly from: number; readonly to: number }[] {
    return this.#reigns.flatMap(({ from, to, last_good_size }) => {
      const since = Math.max(from, last_good_size ?? Infinity)
      return to === undefined || since >= to ? [] : [{ from: since, to }]
    })
  }

  /** Of the keys from `vkey` to the newest but one, the first that was reported stolen: whoever trusts `vkey` alone has its successors from it. */
  stolenSince(vkey: string): KeyReign | undefined {
    return this.#reigns.slice(Math.max(0, this.indexOf(vkey))).find(({ state }) => state === 'compromised')
  }
}

function opens(note: string | Uint8Array, verifier: NoteVerifier, origin: string): boolean {
  try {
    openCheckpoint(note, [verifier], { origin })
    return true
  } catch {
    return false
  }
}

/** A key's id, for messages: what tells it from the others of its log. */
export function idOf(vkey: string): string {
  return vkey.split('+')[1] ?? vkey
}
