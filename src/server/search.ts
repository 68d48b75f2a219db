// Filters of sessions, events and calls as a query string has them.

import { z } from './schema.ts'
import { OUTCOMES, VOCABULARY } from '../event/vocabulary.ts'
import type { EventSearch, SessionSearch } from '../ledger/reader.ts'
import { HttpError } from './problem.ts'
import type { Content } from './sight.ts'
import { pageQuery } from './page.ts'
import { contentQuery, uuidSchema, type Viewer } from './viewer.ts'

const labelSchema = z.string().min(1).max(128)
const timeSchema = z.iso.datetime({ offset: true }).openapi({ example: '2026-11-21T08:00:00Z' })
const person = z.string().min(1).max(512)
const text = z.string().min(1).max(500)
const index = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const common = { agent_id: labelSchema.optional(), user_id: person.optional(), outcome: z.enum(OUTCOMES).optional(), since: timeSchema.optional(), until: timeSchema.optional(), text: text.optional() }

interface Common { readonly content: Content; readonly purpose?: string | undefined; readonly limit: number; readonly cursor?: string | undefined; readonly agent_id?: string | undefined; readonly user_id?: string | undefined; readonly outcome?: string | undefined; readonly since?: string | undefined; readonly until?: string | undefined; readonly text?: string | undefined }
export interface SessionQuery extends Common { readonly subject?: string | undefined; readonly open?: 'true' | 'false' | undefined }
export interface EventQuery extends Common { readonly session_id?: string | undefined; readonly event_type?: string | undefined; readonly tool_name?: string | undefined; readonly from?: number | undefined; readonly order?: 'log' | 'newest' | undefined }
/** Of a stream: filters by facts, and the index to begin at. */
export interface StreamQuery extends Pick<EventQuery, 'content' | 'purpose' | 'session_id' | 'event_type' | 'tool_name' | 'agent_id' | 'outcome'> { readonly from?: number | undefined }

export const sessionQuery: z.ZodType<SessionQuery> = contentQuery.extend(pageQuery.shape).extend({ ...common, subject: person.optional(), open: z.enum(['true', 'false']).optional() })
const eventFields = contentQuery.extend(pageQuery.shape).extend({ ...common, session_id: uuidSchema.optional(), event_type: z.string().min(1).max(500).optional().openapi({ description: 'One, or several with commas.' }), tool_name: labelSchema.optional() })
export const callQuery: z.ZodType<EventQuery> = eventFields
export const eventQuery: z.ZodType<EventQuery> = eventFields.extend({
  from: index.optional().openapi({ description: 'The index to begin at.' }),
  order: z.enum(['log', 'newest']).default('log').openapi({ description: '`newest`: newest first, of the log or of a `session_id`, with no other filter.' }),
})
export const streamQuery: z.ZodType<StreamQuery> = contentQuery.extend({ session_id: uuidSchema.optional(), event_type: z.string().min(1).max(500).optional(), tool_name: labelSchema.optional(), agent_id: labelSchema.optional(), outcome: z.enum(OUTCOMES).optional(), from: index.optional() })

/** The filters without what is not said. */
export function sessionSearch({ agent_id, user_id, subject, outcome, since, until, open, text: words }: SessionQuery): SessionSearch {
  return said({ agent_id, user_id, subject, outcome, since: timeOf(since), until: timeOf(until), text: words, open: open === undefined ? undefined : open === 'true' })
}

/** As `sessionSearch`, of events, or of calls where `known` is their types. */
export function eventSearch({ session_id, event_type, tool_name, agent_id, user_id, outcome, since, until, text: words }: Omit<EventQuery, 'content' | 'purpose' | 'limit' | 'cursor'>, known: readonly string[] = Object.keys(VOCABULARY)): EventSearch {
  const event_types = event_type?.split(',')
  for (const type of event_types ?? []) if (!known.includes(type)) throw new HttpError(400, 'unknown_event_type', `server: expected an event type, got ${JSON.stringify(type.slice(0, 64))}`, `there are ${known.join(', ')}`)
  return said({ session_id, event_types, tool_name, agent_id, user_id, outcome, since: timeOf(since), until: timeOf(until), text: words })
}

/** What is on record of a search: one session where that is all that was asked for, else its filters. */
export function queryOf(search: EventSearch | SessionSearch): { action: 'read' | 'search'; query: { readonly [name: string]: unknown } } {
  const { session_id, text: words, user_id, subject } = search as EventSearch & SessionSearch
  if ((words ?? user_id ?? subject) !== undefined) return { action: 'search', query: { ...search } }
  return { action: 'read', query: session_id === undefined ? { ...search } : { session_id } }
}

/** A search that looks into content is a reading of it, whatever it shows. HttpError 400 where it is asked without. */
export function checkSearch({ text: words, user_id, subject }: { readonly text?: string | undefined; readonly user_id?: string | undefined; readonly subject?: string | undefined }, { content }: Pick<Viewer, 'content'>): void {
  if (content === 'full' || (words ?? user_id ?? subject) === undefined) return
  throw new HttpError(400, 'needs_content', 'server: expected content=full with a search for text or a person: its answer says what is in the content', 'add content=full and a purpose, or search by facts: session, agent, type, tool, outcome, time')
}

function timeOf(time: string | undefined): string | undefined {
  return time === undefined ? undefined : new Date(time).toISOString()
}

function said<T extends object>(filters: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined)) as never
}
