// What the rules notice in a trail's sessions, together with what is on record of it already.

import { Absent, type ViewEvent } from '../event/view.ts'
import { recordedIn, SEVERITIES, type Finding, type Severity } from '../monitor/finding.ts'
import { findingsOf } from '../monitor/watch.ts'
import { textOf } from '../why/message.ts'
import { withParents } from '../why/pick.ts'
import type { CliTrail } from './api.ts'
import { instant } from './timeline.ts'
import { bold, grey, red, shortId, visible, wrap, yellow, type Line, type Span } from './terminal.ts'

/** A finding, and the index of the entry that it is on record with, or null. */
export interface Told extends Finding { readonly index: number | null }

/** All that is noticed in a session, and what was noticed in it once, in the order of the events at which it was. */
export async function sessionFindings(trail: CliTrail, session_id: string): Promise<Told[]> {
  if (trail.recorded !== undefined) return allRecorded(trail, trail.recorded(session_id))
  const events = await withParents(session_id, async (id) => {
    const own: ViewEvent[] = []
    for await (const event of trail.events({ session_id: id })) own.push(event)
    return own
  })
  const recorded = events.filter((event) => event.session_id === session_id).flatMap((event) => recordedFinding(event, events))
  const known = new Map(recorded.map((told) => [told.event_id, told]))
  const noticed = findingsOf(session_id, events).map((finding): Told => ({ ...finding, index: known.get(finding.event_id)?.index ?? null }))
  const seen = new Set(noticed.map(({ event_id }) => event_id))
  return [...noticed, ...recorded.filter(({ event_id }) => !seen.has(event_id))]
}

/** Findings as they are on record, each with the indexes of its events. */
export async function allRecorded(trail: CliTrail, found: AsyncIterable<ViewEvent> | Iterable<ViewEvent>): Promise<Told[]> {
  const sessions = new Map<string, ViewEvent[]>()
  const all: Told[] = []
  for await (const event of found) {
    let among = sessions.get(event.session_id)
    if (among === undefined) {
      sessions.set(event.session_id, (among = []))
      for await (const one of trail.events({ session_id: event.session_id, facts: true })) among.push(one)
    }
    all.push(...recordedFinding(event, among))
  }
  return all
}

/** A finding on record. */
export function recordedFinding(event: ViewEvent, among: readonly ViewEvent[] = []): Told[] {
  const found = recordedIn(event)
  if (found === undefined) return []
  const indexes = found.events.flatMap((id) => among.find(({ event_id }) => event_id === id)?.index ?? [])
  const explanation = textOf(event['explanation']) ?? (event['explanation'] instanceof Absent ? event['explanation'].toString() : '')
  return [{ event_id: event.event_id, session_id: event.session_id, ...found, indexes, explanation, timestamp: event.timestamp, index: event.index }]
}

/** Whether a finding is at least as severe as `least`. */
export function isAtLeast({ severity }: { readonly severity: Severity }, least: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(least)
}

/** A finding for people: what, how severe, where; then what it says. */
export function findingLines(told: Told, columns: number, place: 'session' | 'trail'): Line[] {
  const where = place === 'session' ? [] : [`  session ${shortId(told.session_id)}`]
  const record = told.index === null ? [] : [grey(`  on record #${told.index}`)]
  return [
    ['  ', severityOf(told.severity), ' ', bold(told.rule), ...where, grey(`  ${instant(told.timestamp)}`), ...record],
    ...wrap(visible(told.explanation), Math.max(20, columns - 4)).map((line): Line => ['    ', line]),
  ]
}

function severityOf(severity: Severity): Span {
  const text = severity.padEnd(8)
  return severity === 'critical' || severity === 'high' ? red(text) : severity === 'medium' ? yellow(text) : grey(text)
}
