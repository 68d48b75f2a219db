// An event as `show --json` and `tail --json` print it: what a reader looks for first stands first, always in this order (docs/cli.md).

import type { ViewEvent } from '../event/view.ts'
import { VOCABULARY } from '../event/vocabulary.ts'

const FIRST = [
  'index', 'event_id', 'event_type', 'timestamp', 'recorded_at', 'session_id', 'seq', 'step_number', 'parent_event_id', 'outcome', 'capture', 'agent_id', 'agent_version', 'user_id', 'model_id',
  'system_prompt_hash',
] as const
const LAST = ['writer', 'stream', 'stream_seq', 'entry_hash'] as const

/** `event` with its fields in order: who, what and when; then facts and payloads as its type lists them, and by name what the type does not know; then where it was written. */
export function inOrder(event: ViewEvent): ViewEvent {
  const spec = VOCABULARY[event.event_type as keyof typeof VOCABULARY] as { readonly facts: object; readonly payloads: object } | undefined
  const own = [...Object.keys(spec?.facts ?? {}), ...Object.keys(spec?.payloads ?? {})]
  const known = new Set<string>([...FIRST, ...LAST, ...own])
  const other = Object.keys(event).filter((name) => !known.has(name)).sort()
  const names = new Set<string>([...FIRST, ...[...own, ...other].filter((name) => !(LAST as readonly string[]).includes(name)), ...LAST])
  return Object.fromEntries([...names].filter((name) => Object.hasOwn(event, name)).map((name) => [name, event[name]])) as unknown as ViewEvent
}
