// The rules over one session, as its events come.

import type { ViewEvent } from '../event/view.ts'
import { Session } from '../why/session.ts'
import { findingOf, type Finding } from './finding.ts'
import type { Watcher } from './rule.ts'
import { RULES } from './rules/all.ts'

/** How many characters of a session are searched for arguments: what a server keeps of one that it follows. */
export const MAX_CHARACTERS: number = 8 * 1024 * 1024

export class Watch {
  readonly session_id: string
  readonly #session: Session
  readonly #watchers: readonly { readonly name: string; readonly see: Watcher }[]

  /** `before`: the events of the sessions that it came from, up to where it began. What is noticed there is told there. */
  constructor(session_id: string, before: readonly ViewEvent[] = [], limit: number = MAX_CHARACTERS) {
    this.session_id = session_id
    this.#session = new Session(before, limit)
    this.#watchers = RULES.map(({ name, begin }) => ({ name, see: begin() }))
  }

  /** How much of what was said it remembers, in characters, with a little for each event. */
  get size(): number {
    return this.#session.texts.characters + 200 * this.#session.events.length
  }

  /** What is noticed at the next event of the session, in the order of the log. */
  see(event: ViewEvent): Finding[] {
    if (event.session_id !== this.session_id) throw new RangeError(`monitor: expected an event of session ${this.session_id}, got one of ${event.session_id}`)
    this.#session.add(event, withoutLists(event))
    if (event.event_type === 'finding') return []
    return this.#watchers.flatMap(({ name, see }) => see(event, this.#session).map((noticed) => findingOf(name, noticed, event)))
  }
}

// What was said in them is in the texts; each call has all messages again.
function withoutLists(event: ViewEvent): ViewEvent {
  if (event.event_type !== 'llm_call' && event.event_type !== 'llm_result' && event.event_type !== 'context') return event
  const { input_messages: _, tool_definitions: __, output: ___, raw: ____, ...kept } = event as ViewEvent & { readonly [list in 'input_messages' | 'tool_definitions' | 'output' | 'raw']?: unknown }
  return kept
}

/** All that is noticed in one session. `events` are its own and, if on hand, those of the sessions that it came from, in any order. */
export function findingsOf(session_id: string, events: readonly ViewEvent[]): Finding[] {
  const sorted = [...events].sort((a, b) => a.index - b.index)
  const begin = sorted.find((event) => event.session_id === session_id)?.index ?? Infinity
  const watch = new Watch(session_id, sorted.filter((event) => event.session_id !== session_id && event.index < begin))
  return sorted.filter((event) => event.session_id === session_id).flatMap((event) => watch.see(event))
}
