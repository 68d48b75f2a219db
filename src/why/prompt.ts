// The system prompt that an act stood under.

import type { ViewEvent } from '../event/view.ts'
import { absentOf, isFields, readMessage, textOf } from './message.ts'
import type { Prompt } from './result.ts'
import type { Session } from './session.ts'

interface Stated { readonly event: ViewEvent; readonly text: string | null; readonly fingerprint: string | null; readonly hash: string | null; readonly absent: string | null }

/** The prompt in force at the event at `end`, itself included, and each event that changed it; null when none is on record. */
export function promptOf(session: Session, end: number, session_id: string): Prompt | null {
  let first: Stated | undefined
  let current: Stated | undefined
  let compared = true
  const changes: { index: number; event_type: string }[] = []
  for (const event of session.events.slice(0, end + 1)) {
    const stated = event.session_id === session_id ? promptIn(event) : undefined
    if (stated === undefined) continue
    first ??= stated
    compared &&= current === undefined || differ(current, stated) !== undefined
    if (current !== undefined && differ(current, stated)) changes.push({ index: event.index, event_type: event.event_type })
    else if (current !== undefined) {
      current = { ...current, text: current.text ?? stated.text, fingerprint: current.fingerprint ?? stated.fingerprint, hash: current.hash ?? stated.hash, absent: current.absent ?? stated.absent }
      continue
    }
    current = stated
  }
  if (first === undefined || current === undefined) return null
  return { hash: current.hash, fingerprint: current.fingerprint, since_index: current.event.index, first_index: first.event.index, changes, absent: current.text === null ? current.absent : null, compared }
}

// Events read back carry the session's hash; it only speaks for the events that set a prompt.
function promptIn(event: ViewEvent): Stated | undefined {
  if (event.event_type !== 'session_start' && event.event_type !== 'llm_call' && event.event_type !== 'config_change') return undefined
  const text = textOf(event.system_prompt) ?? (event.event_type === 'llm_call' ? leadingPrompt(event.input_messages) : null)
  const fingerprint = typeof event.system_prompt_fingerprint === 'string' ? event.system_prompt_fingerprint : null
  const hash = typeof event.system_prompt_hash === 'string' ? event.system_prompt_hash : null
  const absent = absentOf(event.system_prompt)
  if (text === null && absent === null && fingerprint === null && (hash === null || (event.event_type === 'config_change' && !/prompt/.test(String(event.what))))) return undefined
  return { event, text, fingerprint, hash, absent }
}

// Chat APIs without a field for it send the prompt as the first messages.
function leadingPrompt(messages: unknown): string | null {
  if (!Array.isArray(messages)) return null
  const parts: string[] = []
  for (const message of messages) {
    if (!isFields(message) || (message.role !== 'system' && message.role !== 'developer')) break
    parts.push(...readMessage(message, { absent() {}, opaque() {} }).said.map(({ text }) => text))
  }
  return parts.length === 0 ? null : parts.join('\n')
}

// By what both state; undefined where they cannot be compared, which is not called a change.
function differ(a: Stated, b: Stated): boolean | undefined {
  if (a.text !== null && b.text !== null) return a.text !== b.text
  if (a.fingerprint !== null && b.fingerprint !== null) return a.fingerprint !== b.fingerprint
  return a.hash !== null && b.hash !== null ? a.hash !== b.hash : undefined
}
