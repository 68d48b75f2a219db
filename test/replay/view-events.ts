// Events as they would be read back, made by hand: for tests that need no trail.

import type { ViewEvent } from '../../src/event/view.ts'
import type { Step } from './steps.ts'

/** A whole ViewEvent out of the fields that matter. Index and ids follow `index`; times are a second apart. */
export function viewEvent(index: number, event_type: string, fields: { readonly [name: string]: unknown } = {}): ViewEvent {
  const timestamp = new Date(Date.UTC(2026, 0, 1) + index * 1000).toISOString()
  return {
    index, event_id: `event-${index}`, event_type, session_id: 'session-1', seq: index, writer: 'local', stream: null, stream_seq: null, step_number: 0,
    parent_event_id: null, timestamp, recorded_at: timestamp, capture: 'before', outcome: null, agent_id: 'agent', agent_version: null, user_id: null,
    model_id: null, system_prompt_hash: null, entry_hash: `hash-${index}`, ...fields,
  }
}

/** The steps as events, index by index: results name their calls as parents, what a step does not have is absent. */
export function viewEventsOf(steps: readonly Step[]): ViewEvent[] {
  const events: ViewEvent[] = []
  const calls: { event_id: string; call_id: string | null; tool_name: string }[] = []
  for (const [index, step] of steps.entries()) {
    const { type, message: _, ...rest } = step
    const fields = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null))
    const parent = type === 'llm_result' ? events.at(-1)?.event_id : type === 'tool_result' ? calls.findLast((call) => call.call_id === step.call_id && call.tool_name === step.tool_name)?.event_id : undefined
    const event = viewEvent(index, type, { ...fields, ...(parent !== undefined && { parent_event_id: parent }), ...(type === 'tool_call' && { risk: 'low' }) })
    if (type === 'tool_call') calls.push({ event_id: event.event_id, call_id: step.call_id, tool_name: step.tool_name })
    events.push(event)
  }
  return events
}
