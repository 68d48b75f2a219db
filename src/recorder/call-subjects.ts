// Whose a call is, by its event id and the provider's: its result is theirs, and so are messages that carry it.

import type { Piece, Subject } from '../event/model-call.ts'
import { together } from './subject.ts'

/** Calls whose subject is remembered, by two ids each; fewer than MAX_PERSONS, so that one message may carry them all. */
const CALLS_REMEMBERED = 4_096
/** The id of a tool call in a message, as the providers write it. */
const CALL_ID = /"(?:id|tool_use_id|tool_call_id|call_id|toolCallId)"\s*:\s*"([^"\\]{1,256})"/g

export class CallSubjects {
  #subjects = new Map<string, Subject>()

  get isEmpty(): boolean {
    return this.#subjects.size === 0
  }

  /** Whose the call with this id is. */
  of(id: string): Subject | undefined {
    return this.#subjects.get(id)
  }

  /** The call with these ids is of `subject`, where that is known. */
  belong(subject: Subject | undefined, ...ids: readonly (string | undefined)[]): void {
    if (subject === undefined) return
    for (const id of ids) if (id !== undefined) this.#subjects.set(id, subject)
    if (this.#subjects.size > CALLS_REMEMBERED) this.#subjects = new Map([...this.#subjects].slice(-CALLS_REMEMBERED / 2))
  }

  /** Whose a message is that carries a call or its result. */
  in({ content }: Piece): Subject | undefined {
    if (typeof content !== 'string') return undefined
    const found: Subject[] = []
    for (const [, id] of content.matchAll(CALL_ID)) {
      const subject = this.#subjects.get(id!)
      if (subject !== undefined) found.push(subject)
    }
    return together(...found)
  }
}
