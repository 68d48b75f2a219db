// What the ledger has on record of erasures: which scopes it ordered, and which of its orders are done.

import type { Entry } from '../event/entry.ts'

/** An order to erase a scope: the entry that gave it first, and all erasures that name it. */
export interface Ordered { readonly index: number; readonly erasures: readonly string[] }

/** Add entries in the order of the log. */
export class Erasures {
  readonly #ordered = new Map<string, { index: number; erasures: string[] }>()
  readonly #done = new Set<string>()

  /** By scope, `<session id>/<k>`. */
  get ordered(): ReadonlyMap<string, Ordered> {
    return this.#ordered
  }

  get done(): ReadonlySet<string> {
    return this.#done
  }

  /** Only the ledger orders: whoever may record could name any session otherwise. */
  add({ index, event_type, writer, facts }: Entry): void {
    if (event_type !== 'erasure' || writer !== 'ledger') return
    const erasure = String(facts['erasure'])
    if (facts['phase'] === 'done') this.#done.add(erasure)
    else if (facts['phase'] === 'ordered') for (const scope of Array.isArray(facts['scopes']) ? (facts['scopes'] as readonly string[]) : []) {
      const known = this.#ordered.get(scope)
      if (known === undefined) this.#ordered.set(scope, { index, erasures: [erasure] })
      else known.erasures.push(erasure)
    }
  }
}
