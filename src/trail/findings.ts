// What the rules notice: of a server's trail what it put on record, of a file's what they notice as it is read, with what is on record already.

import { MisuseError } from '../base/errors.ts'
import { Absent, type Content, type ViewEvent } from '../event/view.ts'
import { recordedIn, SEVERITIES, type Severity } from '../monitor/finding.ts'
import { findingsOf } from '../monitor/watch.ts'
import { withParents } from '../why/pick.ts'
import { resultsOf, type Page, type Results } from './results.ts'

/** Something that a rule noticed in a session, or that the ledger refused. It says what stands in the record, and never that an act was wrong. */
export interface Finding {
  readonly event_id: string
  readonly session_id: string
  readonly rule: string
  readonly severity: Severity
  /** Event ids: what it is about, then what else one looks at. */
  readonly events: readonly string[]
  readonly explanation: Content<string>
  /** When the event came at which it was noticed. */
  readonly timestamp: string
  /** The entry that it is on record with; null where nobody has put it there. */
  readonly index: number | null
}

/** `severity`: at least so severe. */
export interface FindingSearch { readonly session_id?: string; readonly agent_id?: string; readonly rule?: string; readonly severity?: Severity; readonly since?: string; readonly until?: string }

/** A ledger's or server's calls. */
type Call = <T>(method: string, ...args: readonly unknown[]) => Promise<T>

/** Of a server: in the order of the log. */
export function remoteFindings(call: Call, search: FindingSearch): Results<Finding> {
  return resultsOf(async (size, cursor) => {
    const { items, next } = await call<Page<ViewEvent>>('findings', search, size, cursor)
    return { items: items.flatMap((event) => recorded(event)), next }
  })
}

/** Where a page goes on: before the sessions, with the ledger's own; at a session, by the cursor of the list of sessions; and how many findings of it were told. */
interface Position { readonly own: boolean; readonly sessions?: string; readonly told: number }

/** Of a file: first what the ledger refused, then by session, the newest first. Each session is read when it is come to. */
export function localFindings(call: Call, search: FindingSearch): Results<Finding> {
  const { session_id, agent_id } = search
  const step = async ({ own, sessions }: Position): Promise<{ found: Finding[]; next: Position | null }> => {
    if (session_id !== undefined) return { found: agent_id === undefined || (await isOf(call, session_id, agent_id)) ? await ofSession(call, session_id) : [], next: null }
    if (own) return { found: agent_id === undefined ? await ofLedger(call) : [], next: { own: false, told: 0 } }
    const { items: [session], next } = await call<Page<{ session_id: string }>>('sessions', agent_id === undefined ? {} : { agent_id }, 1, sessions)
    return { found: session === undefined ? [] : await ofSession(call, session.session_id), next: next === null ? null : { own: false, sessions: next, told: 0 } }
  }
  return resultsOf(async (size, cursor) => {
    const items: Finding[] = []
    for (let at: Position = cursor === undefined ? { own: true, told: 0 } : positionIn(cursor); ;) {
      const { found, next } = await step(at)
      const fitting = found.filter((finding) => fits(finding, search))
      const taken = fitting.slice(at.told, at.told + size - items.length)
      items.push(...taken)
      const rest = at.told + taken.length < fitting.length ? { ...at, told: at.told + taken.length } : next
      if (rest === null || items.length === size) return { items, next: rest === null ? null : JSON.stringify(rest) }
      at = rest
    }
  })
}

/** What is noticed in a session, and what was noticed in it once and is on record. */
async function ofSession(call: Call, session_id: string): Promise<Finding[]> {
  const events = await withParents(session_id, (id) => call<ViewEvent[]>('session', id))
  const known = new Map(events.filter((event) => event.session_id === session_id).flatMap((event) => recorded(event)).map((finding) => [finding.event_id, finding]))
  const noticed = findingsOf(session_id, events).map((finding): Finding => {
    const { indexes: _, ...told } = finding
    return { ...told, index: known.get(told.event_id)?.index ?? null }
  })
  for (const { event_id } of noticed) known.delete(event_id)
  return [...noticed, ...known.values()]
}

/** What the ledger itself has on record, in its own session. */
async function ofLedger(call: Call): Promise<Finding[]> {
  const session_id = await call<string>('own')
  const found: Finding[] = []
  for (let cursor: string | undefined; ;) {
    const { items, next } = await call<Page<ViewEvent>>('events', { session_id, event_types: ['finding'] }, 1_000, cursor)
    found.push(...items.flatMap((event) => recorded(event)))
    if (next === null) return found
    cursor = next
  }
}

async function isOf(call: Call, session_id: string, agent_id: string): Promise<boolean> {
  return (await call<{ agent_id: string } | undefined>('state', session_id))?.agent_id === agent_id
}

function recorded(event: ViewEvent): Finding[] {
  const found = recordedIn(event)
  if (found === undefined) return []
  const { event_id, session_id, timestamp, index } = event
  const { explanation } = event as { explanation?: unknown }
  return [{ event_id, session_id, ...found, explanation: typeof explanation === 'string' || explanation instanceof Absent ? explanation : '', timestamp, index }]
}

function fits({ rule, severity, timestamp }: Finding, search: FindingSearch): boolean {
  return (search.rule ?? rule) === rule && (search.severity === undefined || SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(search.severity))
    && (search.since === undefined || timestamp >= search.since) && (search.until === undefined || timestamp < search.until)
}

function positionIn(cursor: string): Position {
  try {
    const { own, sessions, told } = JSON.parse(cursor) as Partial<Position>
    if (typeof own === 'boolean' && Number.isSafeInteger(told) && told! >= 0 && (sessions === undefined || typeof sessions === 'string')) return { own, told: told!, ...(sessions === undefined ? {} : { sessions }) }
  } catch {
    // no cursor of ours
  }
  throw new MisuseError('bad_cursor', `findings: expected a cursor that a page gave, got ${JSON.stringify(String(cursor).slice(0, 100))}`, 'begin without one')
}
