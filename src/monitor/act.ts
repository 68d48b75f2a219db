// An act as rules see and name it.

import { isLabel } from '../event/label.ts'
import { Absent, type ViewEvent } from '../event/view.ts'

/** Whether this is a tool that ran, or was about to: a call that the ledger put on record as denied did not happen. */
export function isAct(event: ViewEvent): boolean {
  return event.event_type === 'tool_call' && event.outcome !== 'denied'
}

/** Whether this is an act of risk high or critical. */
export function isRiskyAct(event: ViewEvent): boolean {
  return isAct(event) && (event['risk'] === 'high' || event['risk'] === 'critical')
}

/** The tool's name as the model knows it: one that is no label is on record as content. Undefined where that cannot be read. */
export function toolNameOf(event: ViewEvent): string | undefined {
  const { names, tool_name } = event as { names?: unknown; tool_name?: unknown }
  if (names instanceof Absent) return undefined
  const own: unknown = typeof names === 'object' && names !== null ? Reflect.get(names, 'tool_name') : undefined
  return typeof own === 'string' ? own : typeof tool_name === 'string' ? tool_name : undefined
}

/** `refund (#23)`: facts only. */
export function shown(event: ViewEvent): string {
  return `${labelOr(event['tool_name'], 'a tool')} (#${event.index})`
}

/** `refund (#23, high risk)`. */
export function shownWithRisk(event: ViewEvent): string {
  return shown(event).replace(/\)$/, `, ${String(event['risk'])} risk)`)
}

/** A name where it is a label, so that nothing else gets into an explanation. */
export function labelOr(name: unknown, other: string): string {
  return typeof name === 'string' && isLabel(name) ? name : other
}
