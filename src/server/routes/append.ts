// Events come in: in their author's words, or as drafts out of a client's spool. A body is stored whole or, where anything in it is malformed, not at all;
// an answer is given only when what it says is durable.

import { z } from '../schema.ts'
import { MisuseError, messageOf } from '../../base/errors.ts'
import { isUuid, uuidv7 } from '../../base/ids.ts'
import { decodeDraft, type Draft } from '../../event/draft.ts'
import { checkDraft } from '../../event/parse.ts'
import { LEDGER_TYPES } from '../../event/vocabulary.ts'
import type { Receipt, RefusedEvent } from '../../ledger/handle.ts'
import { aboutOf, begunNow } from '../about.ts'
import type { Parts } from '../app.ts'
import { mediaOf, parseJson } from '../body.ts'
import { Drafter, uuidOf, type Prepared } from '../draft.ts'
import { checkClaims } from '../oversight.ts'
import { HttpError, type Fault } from '../problem.ts'
import { mayWrite } from '../own-agents.ts'
import type { Principal } from '../roles.ts'
import { addRoute, type App, type Given } from '../route.ts'

const JSON_TYPE = 'application/json'
const DRAFTS_TYPE = 'application/vnd.counterfoil.drafts'
const LINES_TYPE = 'application/x-ndjson'

/** The most faults that one answer names. */
const MAX_FAULTS = 20

const eventSchema = z.looseObject({
  event_type: z.string(), session_id: z.string(), event_id: z.string().optional(), stream: z.string().optional(), stream_seq: z.int().optional(),
  timestamp: z.string().optional(), step_number: z.int().optional(), parent_event_id: z.string().optional(), outcome: z.string().optional(),
}).openapi('EventInput', { description: 'An event in its author\'s words: besides these, the fields of its type (docs/recording.md). Also `session_start` and `session_end`.' })

export const receiptsSchema: z.ZodObject = z.object({
  receipts: z.array(z.union([
    z.object({ event_id: z.string(), level: z.literal('durable'), index: z.int(), entry_hash: z.string() }),
    z.object({ event_id: z.string(), refused: z.object({ code: z.string(), message: z.string(), next: z.string() }) }),
  ])),
  checkpoint: z.string().optional(),
}).openapi('Receipts')

export function eventRoutes(app: App, parts: Parts): void {
  addRoute(app, parts, {
    method: 'post', path: '/v1/events', permission: 'append', tag: 'append', summary: 'Put events on record.',
    bodies: { [JSON_TYPE]: z.union([eventSchema, z.array(eventSchema)]), [LINES_TYPE]: z.string() },
    headers: z.object({ 'idempotency-key': z.string().min(1).max(200).optional() }),
    answers: { 200: { says: 'All of them are durable, or refused one by one.', schema: receiptsSchema } },
  }, (given) => parts.bodies.with(given.c, (body) => appendEvents(given, body)))

  addRoute(app, parts, {
    method: 'post', path: '/v1/drafts', permission: 'append', tag: 'append', summary: 'Put drafts on record, as the TypeScript client has them in its spool.',
    bodies: { [DRAFTS_TYPE]: z.string().openapi({ format: 'binary', description: 'Each draft with its length before it, as 4 bytes, big-endian.' }) },
    answers: { 200: { says: 'All of them are durable, or refused one by one.', schema: receiptsSchema } },
  }, (given) => {
    mediaOf(given.c, [DRAFTS_TYPE])
    return parts.bodies.with(given.c, (body) => appendDrafts(given, body))
  })
}

/** A body of drafts as a client's spool has them: each with its length before it. */
async function appendDrafts({ who, tenant, parts }: Given<unknown, unknown, unknown>, body: Uint8Array): Promise<Response> {
  const drafts = splitDrafts(body, parts.limits.events)
  const told = drafts.map((bytes, at) => draftOf(bytes, at))
  checkClaims(told)
  await mayWrite(parts, who, tenant, told)
  return receipts(parts, tenant.name, await tenant.ledger.append(who.id, drafts, { patience: parts.limits.patience }))
}

function splitDrafts(body: Uint8Array, most: number): Uint8Array[] {
  const drafts: Uint8Array[] = []
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  for (let at = 0; at < body.length; ) {
    if (drafts.length === most) throw tooMany(most)
    const length = at + 4 > body.length ? Infinity : view.getUint32(at)
    const end = at + 4 + length
    if (end > body.length) throw new HttpError(400, 'bad_drafts', `server: nothing was stored: expected draft ${drafts.length} to be whole, and the body ends before it`, 'send drafts each with its length before it, as 4 bytes, big-endian')
    drafts.push(body.subarray(at + 4, end))
    at = end
  }
  return drafts
}

/** The draft in `bytes`, checked: what is malformed is said with its place. */
function draftOf(bytes: Uint8Array, at: number): Draft {
  try {
    const draft = decodeDraft(bytes)
    checkDraft(draft)
    if (LEDGER_TYPES.has(draft.event_type)) throw new MisuseError('ledger_only', `server: expected an event that a recorder may hand in, got ${draft.event_type}`, 'only the ledger itself writes it')
    return draft
  } catch (error) {
    const { code, next } = error instanceof MisuseError ? error : { code: 'bad_draft', next: 'send drafts as the client encodes them' }
    const fault = { at, code, detail: messageOf(error), next: next === '' ? 'change it where the event is made' : next }
    throw new HttpError(400, code, `server: nothing was stored: draft ${at}: ${fault.detail}`, fault.next, { errors: [fault] })
  }
}

async function appendEvents({ who, tenant, c, parts }: Given<unknown, unknown, unknown>, body: Uint8Array): Promise<Response> {
  const events = mediaOf(c, [JSON_TYPE, LINES_TYPE]) === JSON_TYPE ? jsonEvents(body) : lineEvents(body, parts.limits.events)
  if (events.length > parts.limits.events) throw tooMany(parts.limits.events)
  const prepared = prepareAll(events, new Drafter(parts.clock(), idsFor(who, c.req.header('idempotency-key'), parts.clock()), { asked: await parts.oversight.asked(tenant, events), about: await aboutOf(tenant, sessionsToAsk(events)) }))
  await mayWrite(parts, who, tenant, prepared)
  const drafts = prepared.flatMap((one) => one.drafts)
  const stamped = prepared.flatMap((one) => one.drafts.map(() => one.stamped))
  const answers = await tenant.ledger.append(who.id, drafts, { stamped, patience: parts.limits.patience })
  begunNow(tenant, startsIn(events))
  return receipts(parts, tenant.name, answersOf(prepared, answers))
}

function startsIn(events: readonly unknown[]): string[] {
  return events.flatMap((event) => {
    const { session_id, event_type } = event as { session_id: string; event_type: unknown } // of the form by now
    return event_type === 'session_start' ? [session_id] : []
  })
}

/** The sessions of events that say nothing of whom they are about. */
function sessionsToAsk(events: readonly unknown[]): string[] {
  const begin = new Set<unknown>()
  return events.flatMap((event) => {
    const { session_id, event_type, subject } = (event ?? {}) as { session_id?: unknown; event_type?: unknown; subject?: unknown }
    if (event_type === 'session_start') begin.add(session_id)
    return subject === undefined && !begin.has(session_id) && typeof session_id === 'string' && isUuid(session_id) ? [session_id] : []
  })
}

/** One answer an event: that of the event itself, or of what it needs and was refused. */
function answersOf(prepared: readonly Prepared[], answers: readonly (Receipt | RefusedEvent)[]): (Receipt | RefusedEvent)[] {
  let at = 0
  return prepared.map(({ event_id, drafts }) => {
    const own = answers.slice(at, (at += drafts.length))
    const refused = own.find((answer) => 'refused' in answer)
    return refused === undefined ? own.at(-1)! : { ...refused, event_id }
  })
}

export function receipts(parts: Parts, tenant: string, answers: readonly (Receipt | RefusedEvent)[]): Response {
  let checkpoint: string | undefined
  let refused = 0
  const said = answers.map((answer) => {
    if ('refused' in answer) {
      refused++
      return { event_id: answer.event_id, refused: answer.refused }
    }
    checkpoint = answer.checkpoint
    return { event_id: answer.event_id, level: answer.level, index: answer.index, entry_hash: answer.entry_hash }
  })
  parts.metrics.appended(tenant, answers.length - refused, refused)
  return new Response(JSON.stringify({ receipts: said, ...(checkpoint === undefined ? {} : { checkpoint }) }), { headers: { 'content-type': JSON_TYPE, 'cache-control': 'no-store' } })
}

/** Ids for events that have none: out of the idempotency key and the place, or random. */
export function idsFor(who: Principal, key: string | undefined, now: number, what: 'event' | 'approval' = 'event'): (at: number) => string {
  if (key === undefined) return () => uuidv7(now)
  if (!/^[\x21-\x7e]{1,200}$/.test(key)) throw new HttpError(400, 'bad_header', 'server: expected Idempotency-Key to be 1 to 200 printable characters without spaces', 'a UUID is one')
  return (at) => uuidOf(`counterfoil/http/${what}\0${who.tenant}\0${who.id}\0${key}\0${at}`)
}

function jsonEvents(body: Uint8Array): unknown[] {
  const value = parseJson(body)
  return Array.isArray(value) ? value : [value]
}

/** A line an event; empty lines are nothing. A line that is no JSON is one fault among those that the events may have. */
function lineEvents(body: Uint8Array, most: number): unknown[] {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch (cause) {
    throw new HttpError(400, 'bad_json', 'server: expected lines of JSON in UTF-8', 'check what writes it', { cause })
  }
  const events: unknown[] = []
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    if (events.length === most) throw tooMany(most)
    try {
      events.push(JSON.parse(line))
    } catch {
      events.push(BAD_LINE)
    }
  }
  return events
}

/** Stands for a line that is no JSON. */
const BAD_LINE: unique symbol = Symbol('bad line')

function tooMany(most: number): HttpError {
  return new HttpError(413, 'too_many_events', `server: expected at most ${most} events in one body, got more`, 'send them in several')
}

function prepareAll(events: readonly unknown[], drafter: Drafter): Prepared[] {
  const prepared: Prepared[] = []
  const errors: Fault[] = []
  for (const [at, event] of events.entries()) {
    try {
      if (event === BAD_LINE) throw new MisuseError('bad_json', 'server: expected a line of JSON', 'one event a line, and no line breaks in it')
      prepared.push(drafter.prepare(event))
    } catch (error) {
      if (!(error instanceof MisuseError)) throw error
      errors.push({ at, code: error.code, detail: messageOf(error), next: error.next === '' ? 'change it where the event is made' : error.next })
      if (errors.length === MAX_FAULTS) break
    }
  }
  if (errors.length === 0) return prepared
  const [first] = errors
  throw new HttpError(400, first!.code, `server: nothing was stored: event ${first!.at}: ${first!.detail}`, first!.next, { errors })
}

