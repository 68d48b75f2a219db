// What people type for an event or a session: `last`, `#12`, a whole id, or its unique beginning or end.

import { MisuseError } from '../base/errors.ts'
import { isUuid } from '../base/ids.ts'
import type { ViewEvent } from '../event/view.ts'
import type { CliTrail } from './api.ts'
import { instant } from './timeline.ts'
import { shortId } from './terminal.ts'

const MIN_DIGITS = 4
const MAX_CANDIDATES = 10

/** The id of the session that `text` names. MisuseError `not_found` or `ambiguous`, with the candidates. */
export async function findSession(trail: CliTrail, text: string): Promise<string> {
  if (text === 'last') {
    for await (const session of trail.sessions({ facts: true })) return session.session_id
    throw new MisuseError('not_found', 'cli: this trail has no session yet', 'counterfoil demo --keep ./demo makes one to look at')
  }
  if (text.startsWith('#')) return (await eventAt(trail, text)).session_id
  const found = await findId(trail, text)
  return found.kind === 'session' ? found.id : (await eventOf(trail, found.id)).session_id
}

/** The event that `text` names. `last` is the newest. */
export async function findEvent(trail: CliTrail, text: string): Promise<ViewEvent> {
  if (text === 'last') {
    const [event] = await trail.newest(1, { facts: true })
    if (event === undefined) throw new MisuseError('not_found', 'cli: this trail has no event yet', 'counterfoil demo --keep ./demo makes one to look at')
    return event
  }
  if (text.startsWith('#')) return eventAt(trail, text)
  const found = await findId(trail, text)
  if (found.kind === 'event') return eventOf(trail, found.id)
  throw new MisuseError('not_an_event', `cli: ${shortId(found.id)} is a session, expected an event`, `look for the event's #index with: counterfoil show ${shortId(found.id)}`)
}

/** Whether `text` names an event of this id and index: `#INDEX`, or its id, the beginning or the end of it. MisuseError for what is no name. */
export function namesEvent(text: string): (event: { readonly id: string; readonly index: number }) => boolean {
  if (text.startsWith('#')) {
    const wanted = indexOf(text)
    return ({ index }) => index === wanted
  }
  const digits = digitsOf(text)
  return ({ id }) => id.startsWith(digits) || id.endsWith(digits)
}

/** Whether `text` names a session, an event, or neither by its form. */
export async function findAny(trail: CliTrail, text: string): Promise<{ session_id: string } | { event: ViewEvent }> {
  if (text === 'last' || text.startsWith('#')) return { event: await findEvent(trail, text) }
  const found = await findId(trail, text)
  return found.kind === 'session' ? { session_id: found.id } : { event: await eventOf(trail, found.id) }
}

async function findId(trail: CliTrail, text: string): Promise<{ kind: 'event' | 'session'; id: string }> {
  const digits = digitsOf(text)
  const found = await trail.findIds(digits, MAX_CANDIDATES + 1)
  const exact = isUuid(digits) ? found.filter(({ id }) => id === digits) : found
  const sessions = exact.filter(({ kind }) => kind === 'session')
  const candidates = sessions.length === 1 && exact.length > 1 && exact.every(({ id }) => id === sessions[0]!.id) ? sessions : exact
  if (candidates.length === 1) return candidates[0]!
  if (candidates.length === 0) throw new MisuseError('not_found', `cli: no session or event has an id that begins or ends with ${text}`, 'ids are in: counterfoil sessions')
  throw new MisuseError('ambiguous', `cli: ${text} could be ${await listOf(trail, candidates)}`, 'give more digits')
}

/** The digits of an id, its beginning or its end. */
function digitsOf(text: string): string {
  const digits = text.toLowerCase()
  if (!/^[0-9a-f-]+$/.test(digits)) throw new MisuseError('bad_id', `cli: expected an id, its beginning or end, #INDEX or last, got ${JSON.stringify(text.slice(0, 60))}`, 'ids are in: counterfoil sessions')
  if (digits.length < MIN_DIGITS) throw new MisuseError('bad_id', `cli: expected at least ${MIN_DIGITS} digits of an id, got ${JSON.stringify(text)}`, `for an index write '#${text}'`)
  return digits
}

async function listOf(trail: CliTrail, candidates: readonly { kind: 'event' | 'session'; id: string }[]): Promise<string> {
  const lines = await Promise.all(candidates.slice(0, MAX_CANDIDATES).map(async ({ kind, id }) => {
    if (kind === 'event') return `\n  ${id}  event`
    for await (const session of trail.sessions({ session_id: id, facts: true })) return `\n  ${id}  session of ${session.agent_id}, ${instant(session.started_at)}`
    return `\n  ${id}  session`
  }))
  return `one of${lines.join('')}${candidates.length > MAX_CANDIDATES ? '\n  …' : ''}\n`
}

function indexOf(text: string): number {
  if (!/^#\d{1,15}$/.test(text)) throw new MisuseError('bad_index', `cli: expected #INDEX, got ${JSON.stringify(text.slice(0, 60))}`, "in a shell, quote it: '#12'")
  return Number(text.slice(1))
}

async function eventAt(trail: CliTrail, text: string): Promise<ViewEvent> {
  const index = indexOf(text)
  for await (const event of trail.events({ from: index, to: index + 1, facts: true })) return event
  const { size } = await trail.status()
  throw new MisuseError('not_found', `cli: there is no entry #${index}`, size === 0 ? 'the log is empty' : `the last one is #${size - 1}`)
}

async function eventOf(trail: CliTrail, event_id: string): Promise<ViewEvent> {
  for await (const event of trail.events({ event_id, facts: true })) return event
  throw new MisuseError('not_found', `cli: the event ${event_id} is not there any more`, 'counterfoil verify says whether the record is whole')
}
