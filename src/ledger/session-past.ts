// What some entries of a session stand on, out of a store: looked up by seq and by the index of what sets a session's constants, and never walked to.

import type { Entry } from '../event/entry.ts'
import { isLabel } from '../event/label.ts'
import { parseEntry } from '../event/parse.ts'
import type { Past } from '../event/past.ts'
import { PastPayloads } from '../event/past-payloads.ts'
import { decodeSession, foldConstants, type SessionConstants, type SessionState } from '../event/session.ts'
import type { EntryRow, StoreView } from '../store/contract.ts'

/** Entries that set constants, a page: most sessions have one. */
const PAGE = 16

type Constants = { -readonly [name in keyof SessionConstants]: SessionConstants[name] }

export interface PastOptions {
  /** Whether the hash of the prompt is shown, and so the prompt in force wanted. */
  readonly prompts: boolean
  /** Is handed every entry that a payload may stand in. */
  readonly onEntry: (entry: Entry) => void
}

export class SessionPast implements Past {
  readonly payloads: PastPayloads
  readonly #view: StoreView
  readonly #session_id: string
  readonly #first: Entry
  readonly #last: Entry
  readonly #options: PastOptions
  /** Entries that change what is constant, ascending; those up to the one that was asked for last are taken in. */
  #changes: Entry[] | undefined
  #taken = 0
  readonly #constants: Constants = { agent_id: '' }
  /** The prompt in force, looked for up to this seq. */
  #prompt: number | undefined
  #promptTo = -1
  #prompts: boolean

  /** Of `entries`, ascending by seq, at least one. */
  constructor(view: StoreView, entries: readonly Entry[], options: PastOptions) {
    this.#view = view
    this.#first = entries[0]!
    this.#last = entries.at(-1)!
    this.#session_id = this.#first.session_id
    this.#options = options
    this.#prompts = options.prompts
    this.payloads = new PastPayloads(async (seq) => {
      const [row] = await view.sessionEntries(this.#session_id, seq, 1)
      const entry = row === undefined ? undefined : parseEntry(row.entry).entry
      if (entry?.seq !== seq) return undefined
      options.onEntry(entry)
      return entry
    })
  }

  async constants(entry: Entry): Promise<SessionConstants> {
    const changes = (this.#changes ??= await this.#read())
    for (; this.#taken < changes.length && changes[this.#taken]!.index <= entry.index; this.#taken++) foldConstants(this.#constants, changes[this.#taken]!)
    const { system_prompt: _, ...constants } = this.#constants
    if (!this.#prompts) return constants
    await this.#followPrompt(entry.seq)
    return this.#prompt === undefined ? constants : { ...constants, system_prompt: this.#prompt }
  }

  async #read(): Promise<Entry[]> {
    const state = await this.#state()
    const changes = await this.#configs()
    if (state !== undefined && state.system_prompt === undefined) this.#prompts = false // none was ever set
    const named = changes.some((entry) => entry.index <= this.#first.index && isLabel(entry.facts['model_id']))
    const asked = named || (state !== undefined && state.model_id === undefined) ? undefined : await this.#firstModel()
    if (asked !== undefined) changes.push(asked)
    // where the first entry's prompt is looked for from
    this.#promptTo = Math.max(-1, ...changes.filter(({ index, payloads }) => index <= this.#first.index && payloads['system_prompt'] !== undefined).map(({ seq }) => seq - 1))
    return changes.sort((a, b) => a.index - b.index)
  }

  /** The session's row, as far as it speaks of these entries. What it never had, none of them has. */
  async #state(): Promise<SessionState | undefined> {
    try {
      const [row] = await this.#view.sessions([this.#session_id])
      const state = row === undefined ? undefined : decodeSession(row.row)
      return state !== undefined && state.next_seq > this.#last.seq ? state : undefined
    } catch {
      return undefined // it can be read in the entries
    }
  }

  /** What sets constants, from the last entry down to where all of them are known for the first. */
  async #configs(): Promise<Entry[]> {
    const found: Entry[] = []
    for (let to = this.#last.index; ;) {
      const page = await this.#view.configEntries(this.#session_id, to, PAGE)
      for (const row of page) found.push(this.#took(row))
      if (page.length < PAGE || isEnough(found.filter(({ index }) => index <= this.#first.index))) return found
      to = page.at(-1)!.index - 1
    }
  }

  /** The first call that names a model: it stands for the session where its author named none. */
  async #firstModel(): Promise<Entry | undefined> {
    for (let [from, limit] = [0, 1]; ; limit = Math.min(2 * limit, 512)) { // nearly always it is the first
      const page = await this.#view.events({ session_id: this.#session_id, event_types: ['llm_call'], from, limit })
      for (const row of page) {
        if (row.index > this.#last.index) return undefined
        const entry = this.#took(row)
        if (isLabel(entry.facts['model_id'])) return entry
      }
      if (page.length < limit) return undefined
      from = page.at(-1)!.index + 1
    }
  }

  async #followPrompt(seq: number): Promise<void> {
    if (seq <= this.#promptTo) return
    const row = await this.#view.promptEntry(this.#session_id, this.#promptTo + 1, seq)
    if (row !== undefined) this.#prompt = this.#took(row).seq
    this.#promptTo = seq
  }

  #took(row: EntryRow): Entry {
    const { entry } = parseEntry(row.entry)
    this.payloads.know(entry)
    this.#options.onEntry(entry)
    return entry
  }
}

function isEnough(changes: readonly Entry[]): boolean {
  const starts = changes.filter(({ event_type }) => event_type === 'session_start')
  return starts.some(({ facts }) => isLabel(facts['agent_id'])) && starts.some(({ payloads }) => payloads['identity'] !== undefined)
    && changes.some(({ facts }) => isLabel(facts['agent_version'])) && changes.some(({ facts }) => isLabel(facts['model_id']))
}
