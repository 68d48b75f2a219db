// What a rule noticed: data, and the draft that puts it on record. The explanation names facts, places and the paths of arguments,
// and quotes no content: it needs no scope but its session's, and says nothing that an erasure would have to find here.

import { sha256 } from '#crypto'
import { utf8 } from '../base/bytes.ts'
import { formatUuid } from '../base/ids.ts'
import type { Draft } from '../event/draft.ts'
import type { ViewEvent } from '../event/view.ts'

/** Who hands findings in: the same on the command line and the server, so that what both noticed is on record once. */
export const MONITOR = 'monitor'

export const SEVERITIES = ['info', 'low', 'medium', 'high', 'critical'] as const
export type Severity = (typeof SEVERITIES)[number]

/** What a rule hands back. `acts` are what it is about and give the finding its id; `sources` are what else one looks at. */
export interface Noticed { readonly severity: Severity; readonly acts: readonly ViewEvent[]; readonly sources?: readonly ViewEvent[]; readonly explanation: string }

/** Something that a rule noticed in a session. */
export interface Finding {
  /** A UUIDv8 of the rule, the session and the acts: the same whenever and wherever it is noticed. */
  readonly event_id: string
  readonly session_id: string
  readonly rule: string
  readonly severity: Severity
  /** Event ids, at most 64: what it is about, then what else one looks at. */
  readonly events: readonly string[]
  /** The indexes of the same. */
  readonly indexes: readonly number[]
  readonly explanation: string
  /** The `timestamp` of the event at which it was noticed. */
  readonly timestamp: string
}

/** The most events that the vocabulary lets a finding name. */
const MAX_EVENTS = 64

/** The finding of `rule`, noticed at the event `at` of its session. */
export function findingOf(rule: string, { severity, acts, sources = [], explanation }: Noticed, at: ViewEvent): Finding {
  const about = new Map([...acts, ...sources].map((event) => [event.event_id, event.index]))
  const events = [...about.keys()].slice(0, MAX_EVENTS)
  return {
    event_id: idOf([rule, at.session_id, ...acts.map(({ event_id }) => event_id)]), session_id: at.session_id, rule, severity,
    events, indexes: events.map((event_id) => about.get(event_id)!), explanation, timestamp: at.timestamp,
  }
}

/** The event that puts it on record, in its session. It depends on nothing else, so that it may be handed in again. */
export function findingDraft({ event_id, session_id, rule, severity, events, explanation, timestamp }: Finding): Draft {
  return { event_id, event_type: 'finding', session_id, timestamp, capture: 'after', facts: { rule, severity, events }, payloads: { explanation: { m: 'text', content: explanation } } }
}

/** What a `finding` event on record says. Undefined for any other event, and for what anybody but the rules and the ledger calls a finding: that is an event like others. */
export function recordedIn({ event_type, writer, ...facts }: ViewEvent): Pick<Finding, 'rule' | 'severity' | 'events'> | undefined {
  if (event_type !== 'finding' || (writer !== MONITOR && writer !== 'ledger')) return undefined
  const { rule, severity, events } = facts as { rule?: unknown; severity?: unknown; events?: unknown }
  return { rule: typeof rule === 'string' ? rule : '', severity: SEVERITIES.find((one) => one === severity) ?? 'info', events: Array.isArray(events) ? events.filter((id) => typeof id === 'string') : [] }
}

function idOf(parts: readonly string[]): string {
  const bytes = sha256(utf8(JSON.stringify(['counterfoil finding', ...parts]))).slice(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80 // version 8
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return formatUuid(bytes)
}
