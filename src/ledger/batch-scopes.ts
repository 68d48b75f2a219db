// The scopes of one batch: where the content of each person of a session is kept apart, so that it is erased with them and nothing else is. A scope
// is read, made, or known to be erased, before anything goes into it.

import { fromHex, toHex, utf8 } from '../base/bytes.ts'
import { isList, isSame, type Draft, type DraftPayload } from '../event/draft.ts'
import { personsIn } from '../event/person.ts'
import type { ScopeRow, StoreTx, SubjectRow } from '../store/contract.ts'
import type { Keyring } from '../vault/keyring.ts'
import { newScope, wrapSecret } from '../vault/scope.ts'
import type { NewPayload } from './batch-content.ts'
import type { LiveSession } from './live-session.ts'
import { openScope, type OpenScope } from './open-scope.ts'

/** The most scopes of persons in one session. Whoever is named beyond it shares the last one, and it is erased with the first of them. */
export const MAX_PERSON_SCOPES = 1_000

export class BatchScopes {
  /** New in this batch: scopes, and whose they are. */
  readonly rows: ScopeRow[] = []
  readonly subjects: SubjectRow[] = []
  readonly #tx: StoreTx
  readonly #keyring: Keyring
  readonly #read = new Set<string>()

  constructor(tx: StoreTx, keyring: Keyring) {
    this.#tx = tx
    this.#keyring = keyring
  }

  /** Has every scope that `payloads` go into at hand: read, made, or known to be erased. */
  async open(payloads: readonly NewPayload[], live: LiveSession, which: 'all' | 'known' = 'all'): Promise<void> {
    if (payloads.length === 0) return
    if (!this.#read.has(live.session_id)) await this.read(live) // a turn saved for each event
    for (const { payload: { k = 0 } } of payloads) {
      if (live.scopes.has(k) || (which === 'known' && !live.seenScopes.has(k))) continue
      live.scopes.set(k, live.seenScopes.has(k) ? 'erased' : this.#make(k, live))
    }
  }

  /** Once a batch, also when the secrets are at hand: another process may have erased them since, and that does not move the head. */
  async read(live: LiveSession): Promise<void> {
    if (this.#read.has(live.session_id)) return
    this.#read.add(live.session_id)
    const rows = new Map((await this.#tx.scopes([live.session_id])).map((row) => [row.k, row]))
    for (const k of live.scopes.keys()) if (!rows.has(k)) live.scopes.set(k, 'erased')
    for (const [k, row] of rows) if (typeof live.scopes.get(k) !== 'object') live.scopes.set(k, openScope(row, this.#keyring))
  }

  #make(k: number, live: LiveSession): OpenScope {
    const scope = newScope()
    const kek = this.#keyring.currentKek()
    const row = { scope: scope.id, session_id: live.session_id, k, generation: kek.generation, wrapped: wrapSecret(scope, kek, this.#keyring.origin) }
    this.rows.push(row)
    return openScope(row, this.#keyring)
  }

  /** The draft with its content in the scopes of those whom it is said to be of; whoever is new in the session gets one. */
  async give(draft: Draft, live: LiveSession): Promise<Draft> {
    for (const slot of Object.values(draft.payloads)) {
      for (const { of } of isSame(slot) ? [] : isList(slot) ? slot.add : [slot]) {
        if (of === undefined || live.subjects.has(of)) continue
        live.subjects.set(of, await this.#scopeOf(draft.event_type === 'subject' && draft.facts['subject'] === of ? personsOf(draft) : [], live))
      }
    }
    return inScopes(draft, live)
  }

  /** Whose content the session's own scope holds, by a keyed hash, so that a person can be found for erasure. */
  name(draft: Draft, live: LiveSession): void {
    const identity = draft.payloads['identity']
    const k = identity === undefined || !('m' in identity) ? 0 : (identity.k ?? 0)
    const scope = live.scopes.get(k)
    if (scope === undefined || scope === 'erased') return
    for (const name of personsOf(draft)) {
      const subject = this.#keyring.fingerprint('subject', utf8(name))
      this.subjects.push({ subject, scope: scope.id })
      live.persons?.set(k, (live.persons.get(k) ?? new Set()).add(toHex(subject)))
    }
  }

  /** Per scope the keyed hashes (hex) of the persons that it is of. */
  async personsOf(live: LiveSession): Promise<Map<number, Set<string>>> {
    return (live.persons ??= await this.#readPersons(live))
  }

  /** The scope of content that is of all these persons, and of nobody else, in the session. */
  async #scopeOf(names: readonly string[], live: LiveSession): Promise<number> {
    await this.read(live)
    const isOpen = (k: number): boolean => typeof live.scopes.get(k) === 'object'
    if (live.seenScopes.has(0) && !isOpen(0)) return 0 // the session itself is erased: nothing of it is kept any more
    const persons = await this.personsOf(live)
    const wanted = new Map(names.map((name) => this.#keyring.fingerprint('subject', utf8(name))).map((hash) => [toHex(hash), hash]))
    if (wanted.size > 0) for (const [k, held] of persons) if (isOpen(k) && held.size === wanted.size && [...wanted.keys()].every((hash) => held.has(hash))) return k
    let k = Math.max(0, ...live.seenScopes, ...live.scopes.keys()) + 1
    if (k > MAX_PERSON_SCOPES && isOpen(k - 1)) k--
    let scope = live.scopes.get(k)
    if (scope === undefined || scope === 'erased') live.scopes.set(k, (scope = this.#make(k, live)))
    const held = persons.get(k) ?? new Set()
    for (const [hex, subject] of wanted) if (!held.has(hex)) this.subjects.push({ subject, scope: scope.id })
    persons.set(k, new Set([...held, ...wanted.keys()]))
    return k
  }

  async #readPersons(live: LiveSession): Promise<Map<number, Set<string>>> {
    const persons = new Map<number, Set<string>>()
    const numbers = new Map([...live.scopes.values()].flatMap((scope) => (scope === 'erased' ? [] : [[toHex(scope.id), scope.k] as const])))
    const rows = numbers.size === 0 ? [] : await this.#tx.subjects([...numbers.keys()].map(fromHex))
    for (const { subject, scope } of [...rows, ...this.subjects]) {
      const k = numbers.get(toHex(scope))
      if (k !== undefined) persons.set(k, (persons.get(k) ?? new Set()).add(toHex(subject)))
    }
    return persons
  }
}

/** Whether content of it is said to be of somebody. */
export function hasSubjects({ payloads }: Draft): boolean {
  for (const name in payloads) {
    const slot = payloads[name]!
    if (isList(slot) ? slot.add.some(({ of }) => of !== undefined) : !isSame(slot) && slot.of !== undefined) return true
  }
  return false
}

/** Who the draft's `identity` names: as its recorder says, else as it says itself. */
export function personsOf({ payloads, persons }: Draft): readonly string[] {
  const { identity } = payloads
  if (persons !== undefined || identity === undefined || isSame(identity) || isList(identity)) return persons ?? []
  return personsIn(textOf(identity))
}

/** `draft` with the number of its scope in the place of each reference to a person. */
export function inScopes(draft: Draft, { subjects }: LiveSession): Draft {
  const placed = ({ of, ...payload }: DraftPayload): DraftPayload => (of === undefined ? payload : { ...payload, k: subjects.get(of) ?? 0 })
  return { ...draft, payloads: Object.fromEntries(Object.entries(draft.payloads).map(([name, slot]) => [name, isSame(slot) ? slot : isList(slot) ? { ...slot, add: slot.add.map(placed) } : placed(slot)])) }
}

function textOf({ content }: DraftPayload): string {
  return typeof content === 'string' ? content : new TextDecoder().decode(content)
}
