// What an author says of a session when it begins and when it ends, checked before anything of it is recorded.

import { MisuseError } from '../base/errors.ts'
import { quote } from '../event/label.ts'
import type { Subject } from '../event/model-call.ts'
import { OUTCOMES, type Outcome } from '../event/vocabulary.ts'

/** Who the agent is. All three names are labels. */
export interface AgentFacts { readonly agent_id: string; readonly agent_version?: string; readonly model_id?: string; readonly system_prompt?: string }

export interface SessionFacts extends Partial<AgentFacts> { readonly user_id?: string; readonly session_id?: string; readonly user_message?: string; readonly on_behalf_of?: string; readonly subject?: Subject; readonly tags?: Record<string, string> }

export interface SessionEnd { readonly outcome?: Outcome; readonly reason?: string; readonly final_output?: string }

const FACTS: ReadonlySet<string> = new Set(['agent_id', 'agent_version', 'model_id', 'system_prompt', 'user_id', 'session_id', 'user_message', 'on_behalf_of', 'subject', 'tags', 'instructions'])

/** A misspelt fact would be a person who cannot be found, or a prompt that is not on record. */
export function checkFacts(facts: SessionFacts): void {
  if (typeof facts !== 'object' || facts === null) throw new MisuseError('bad_session', `session: expected an object of facts, got ${facts === null ? 'null' : typeof facts}`, 'trail.start({ user_id, user_message })')
  for (const name of Object.keys(facts)) if (!FACTS.has(name)) throw new MisuseError('unknown_fact', `session: expected a fact of a session, got ${JSON.stringify(name)}`, `it has ${[...FACTS].join(', ')}; put anything else into tags or an event`)
  for (const name of ['user_id', 'session_id', 'user_message', 'on_behalf_of', 'system_prompt'] as const) {
    const value = facts[name]
    if (value !== undefined && typeof value !== 'string') throw new MisuseError('bad_session', `session: expected ${name} to be a string, got ${typeof value}`, `pass ${name} as text, or leave it out`)
  }
}

/** Before anything of the end is recorded. */
export function checkEnd({ outcome, reason }: SessionEnd): void {
  if (outcome !== undefined && !OUTCOMES.includes(outcome)) throw new MisuseError('bad_outcome', `session: expected outcome to be one of ${OUTCOMES.join(', ')}, got ${quote(outcome)}`, "session.end({ outcome: 'success' })")
  if (reason !== undefined && typeof reason !== 'string') throw new MisuseError('bad_session', `session: expected reason to be a string, got ${quote(reason)}`, "say why in a word or a sentence: session.end({ reason: 'answered' })")
}
