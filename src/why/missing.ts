// What could not be looked at: content that is not there, was cut out or is no text, events not on record, sessions not on hand. While any of
// it lies before a place, "nowhere before" and "first" cannot be said there.

import { isMasked } from './match.ts'
import type { Session } from './session.ts'

/** Something not looked at, from the event at `position` on. */
export interface Missing { readonly position: number; readonly what: string }

/** All that is missing among the events on hand, in the order of the log. */
export function missingOf(session: Session): readonly Missing[] {
  const missing: Missing[] = [
    ...session.absent.map(({ position, what }) => ({ position, what: `what stood in content that is not here: ${what.toString()}` })),
    ...session.opaque.map(({ position, what }) => ({ position, what: `what stood in ${what}: only text is looked into` })),
    ...session.texts.texts.filter(({ text }) => isMasked(text)).map(({ position }) => ({ position, what: 'what stood where something was masked before it was recorded' })),
    ...gaps(session), ...parents(session), ...conversations(session),
  ]
  const { charactersLeftOut, firstLeftOut } = session.texts
  if (firstLeftOut !== undefined) missing.push({ position: firstLeftOut, what: `what stood in ${charactersLeftOut} characters: the session is too long to look at whole` })
  return missing.sort((a, b) => a.position - b.position)
}

// The notice of a gap comes later than what is missing: that lies before the next event of the stream.
function gaps(session: Session): Missing[] {
  return session.events.flatMap((gap, position) => {
    if (gap.event_type !== 'gap') return []
    const next = session.events.findIndex(({ stream, stream_seq }) => stream !== null && stream === gap.missing_stream && stream_seq !== null && typeof gap.from === 'number' && stream_seq > gap.from)
    const count = typeof gap.from === 'number' && typeof gap.to === 'number' ? gap.to - gap.from + 1 : undefined
    const events = count === undefined ? 'events' : count === 1 ? '1 event' : `${count} events`
    return [{ position: next >= 0 ? Math.min(next, position) - 1 : position, what: `what happened in ${events} not on record (${String(gap.cause)})` }]
  })
}

function parents(session: Session): Missing[] {
  const here = new Set(session.events.map(({ session_id }) => session_id))
  return session.events.flatMap(({ event_type, parent_session_id: parent }, position) =>
    event_type === 'session_start' && typeof parent === 'string' && !here.has(parent) ? [{ position, what: `what was said in the parent session ${parent.slice(-8)}: it was not looked at` }] : [])
}

// A call may send only what is new of a conversation that the provider has, or be recorded with fewer messages than it sent.
function conversations(session: Session): Missing[] {
  const answered = new Set<unknown>()
  return session.events.flatMap(({ event_type, response_id, continues, message_count, input_messages }, position) => {
    if (event_type === 'llm_result') answered.add(response_id)
    if (event_type !== 'llm_call') return []
    if (continues !== undefined && continues !== null && !answered.has(continues)) return [{ position, what: 'what was said before in the conversation that a call continues: it is not on record' }]
    const count = Array.isArray(input_messages) ? input_messages.length : 0
    return typeof message_count === 'number' && message_count > count ? [{ position, what: `what stood in ${message_count - count} of the messages of a call: they are not on record` }] : []
  })
}
