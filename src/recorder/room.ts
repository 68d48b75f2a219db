// The room that characters take, over all sessions of this thread: what was least lately used is given up for what is used.

/** What a holder weighs beside its characters. */
const HOLDER_WEIGHT = 1024

export class CharacterRoom {
  readonly #most: number
  /** Least lately used first. */
  readonly #held = new Map<object, { readonly weight: number; readonly giveUp: () => void }>()
  #weight = 0

  constructor(most: number) {
    this.#most = most
  }

  /** `holder` is in use and holds so many characters; `giveUp` is called when others need their room. */
  hold(holder: object, characters: number, giveUp: () => void): void {
    this.release(holder)
    const weight = characters + HOLDER_WEIGHT
    this.#held.set(holder, { weight, giveUp })
    this.#weight += weight
    for (const [oldest, its] of this.#held) {
      if (this.#weight <= this.#most) return
      its.giveUp()
      this.release(oldest)
    }
  }

  release(holder: object): void {
    this.#weight -= this.#held.get(holder)?.weight ?? 0
    this.#held.delete(holder)
  }
}
