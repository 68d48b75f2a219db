// Requests for approval: those who ask wait here, those who decide answer here. And a person's step into a session.

import { z } from '../schema.ts'
import { MAX_QUORUM } from '../../event/approval.ts'
import { INTERVENTIONS } from '../../event/deciding.ts'
import { APPROVAL_STATES, type ApprovalOnRecord, type ShownApproval } from '../../ledger/approvals.ts'
import type { SessionState } from '../../event/session.ts'
import type { Parts } from '../app.ts'
import { mayWrite } from '../own-agents.ts'
import { MAX_WAIT_S } from '../oversight.ts'
import { decodeCursor, encodeCursor, pageQuery, pageSchema } from '../page.ts'
import { HttpError, notFound } from '../problem.ts'
import { allows, type Principal } from '../roles.ts'
import { addRoute, type App } from '../route.ts'
import type { Tenant } from '../tenants.ts'
import { uuidSchema } from '../viewer.ts'
import { idsFor } from './append.ts'

const decisionSchema = z.object({
  event_id: z.string(), index: z.int(), decision: z.string(), counts: z.boolean(), approver_id: z.string().nullable(), assurance: z.string().nullable(), comment: z.string().nullable(), timestamp: z.string(),
}).openapi('Decision')

const approvalSchema = z.object({
  approval_id: z.string(), index: z.int(), entry_hash: z.string(), session_id: z.string(), agent_id: z.string(), writer: z.string(), tool_name: z.string(), risk: z.string().nullable(), asked_at: z.string(), expires_at: z.string().nullable(),
  quorum: z.int(), approvals: z.int(), state: z.enum(APPROVAL_STATES), used: z.boolean(), decision: z.string().nullable(), decisions: z.array(decisionSchema),
  tool_input: z.string().nullable().optional(), reasoning: z.array(z.string()).optional(), summary: z.string().nullable().optional(), user_id: z.string().nullable().optional(),
}).openapi('Approval')

const askSchema = z.strictObject({
  session_id: uuidSchema, approval_id: uuidSchema.optional().openapi({ description: 'The id that the request is to have: asked again under it, it is there once.' }), tool_name: z.string().min(1).max(128),
  tool_input: z.unknown().refine((value) => value !== undefined, 'expected the input').openapi({ description: 'What is approved, and nothing else: the act has this input.' }), risk: z.enum(['low', 'medium', 'high', 'critical']).optional(), quorum: z.int().min(1).max(MAX_QUORUM).optional().openapi({ description: 'How many people have to approve; 1 unless you say.' }),
  expires_at: z.iso.datetime({ offset: true }).optional().openapi({ description: 'From when on nobody in time is a no; ten minutes from now unless you say.' }), call_id: z.string().min(1).max(512).optional(),
  summary: z.string().min(1).max(10_000).optional(), reasoning: z.array(z.string().max(100_000)).max(64).optional().openapi({ description: 'What the agent says for it, as the people who decide are shown it.' }),
  parent_event_id: uuidSchema.optional(), step_number: z.int().min(0).optional(), subject: z.union([z.string().min(1).max(1_024), z.array(z.string().min(1).max(1_024)).min(1).max(256), z.null()]).optional(),
  reuse: z.boolean().optional().openapi({ description: 'A request of one\'s own for exactly this action that waits, was approved and not used, or was rejected, is answered with, and nobody is asked twice: for an agent that takes its session up again.' }),
}).openapi('ApprovalInput')

const approvalId = z.object({ approval_id: z.uuid() })
const sessionId = z.object({ session_id: z.uuid() })
const content = z.enum(['none', 'full']).default('none').openapi({ description: '`full`: what is asked, as it is on record. For whoever decides; it is on record that they saw it.' })
const wait = z.coerce.number().int().min(0).max(MAX_WAIT_S).default(0).openapi({ description: 'Seconds to wait for an answer.' })
const unkept = { headers: { 'cache-control': 'no-store' } }

export function approvalRoutes(app: App, parts: Parts): void {
  const { oversight } = parts

  addRoute(app, parts, {
    method: 'get', path: '/v1/approvals', permission: 'ask', tag: 'approvals', summary: 'Requests for approval, in the order of asking: an agent\'s own, or those that one may decide about.', content: true,
    query: pageQuery.extend({ state: z.enum(APPROVAL_STATES).optional(), session_id: z.uuid().optional(), content }),
    answers: { 200: { says: 'A page of them.', schema: pageSchema(approvalSchema, 'Approvals') } },
  }, async ({ who, tenant, query }) => {
    const search = { ...(query.state === undefined ? {} : { state: query.state }), ...(query.session_id === undefined ? {} : { session_id: query.session_id }) }
    const { items, next } = await oversight.list(who, tenant, search, query.limit, query.cursor === undefined ? undefined : decodeCursor(query.cursor))
    const shown = await Promise.all(items.map((one) => present(parts, who, tenant, one, query.content)))
    return Response.json({ items: shown, next: next === null ? null : encodeCursor(next) }, unkept)
  })

  addRoute(app, parts, {
    method: 'post', path: '/v1/approvals', permission: 'append', tag: 'approvals', summary: 'Ask people whether an act may happen, with exactly this input. On record and durable when it is answered.',
    headers: z.object({ 'idempotency-key': z.string().min(1).max(200).optional() }), body: askSchema,
    answers: {
      201: { says: 'The request, which waits.', schema: approvalSchema, headers: ['location'] }, 200: { says: 'It was on record already, and stands like this now.', schema: approvalSchema, headers: ['location'] },
      404: { says: 'There is no such session that one may write to.' }, 409: { says: 'The id is of another question, or the session has ended or was stopped.' },
    },
  }, async ({ who, tenant, body, c }) => {
    const { approval_id = idsFor(who, c.req.header('idempotency-key'), parts.clock(), 'approval')(0), ...asked } = body
    await mayWrite(parts, who, tenant, [{ session_id: asked.session_id, event_type: 'approval_request' }])
    const { approval, made } = await oversight.ask(who, tenant, approval_id, asked)
    return Response.json(await present(parts, who, tenant, approval, 'none'), { status: made ? 201 : 200, headers: { ...unkept.headers, location: `/v1/approvals/${approval.approval_id}` } })
  })

  addRoute(app, parts, {
    method: 'get', path: '/v1/approvals/{approval_id}', permission: 'ask', tag: 'approvals', summary: 'How a request stands; with `wait`, as soon as it is settled.', content: true, stream: true,
    params: approvalId, query: z.object({ wait, content }),
    answers: { 200: { says: 'The request.', schema: approvalSchema }, 404: { says: 'There is none of that id that one may see.' } },
  }, async ({ who, tenant, params, query, request }) => {
    const leave = parts.streams.enter(`${who.tenant}/${who.id}`)
    try {
      const found = await oversight.approval(who, tenant, params.approval_id, query.wait * 1_000, request.signal)
      return Response.json(await present(parts, who, tenant, found, query.content), unkept)
    } finally {
      leave()
    }
  })

  addRoute(app, parts, {
    method: 'post', path: '/v1/approval-matches', permission: 'ask', tag: 'approvals', summary: 'The requests of one\'s own for exactly this action that need not be made again.',
    body: z.strictObject({ session_id: z.uuid(), tool_name: z.string().min(1).max(128), tool_input: z.string().openapi({ description: 'The input as JSON text, as it was recorded.' }) }).openapi('Action'),
    answers: { 200: { says: 'Their ids, oldest first.', schema: z.object({ items: z.array(z.string()) }).openapi('Matches') } },
  }, async ({ who, tenant, body }) => Response.json({ items: await oversight.matches(who, tenant, body.session_id, body) }, unkept))

  addRoute(app, parts, {
    method: 'post', path: '/v1/approvals/{approval_id}/decisions', permission: 'decide', tag: 'approvals', summary: 'Answer a request, for this one act with this one input.',
    params: approvalId, body: z.strictObject({ decision: z.enum(['approved', 'rejected']), comment: z.string().min(1).max(10_000).optional() }).openapi('DecisionInput'),
    answers: { 200: { says: 'The answer is on record, and the request as it stands now.', schema: z.object({ event_id: z.string(), index: z.int(), approval: approvalSchema }).openapi('Decided') }, 404: { says: 'There is no such request.' }, 409: { says: 'The answer does not count: late, one\'s own, or the same person again. It is on record.' } },
  }, async ({ who, tenant, params, body, request }) => {
    const { event_id, index } = await oversight.decide(who, tenant, params.approval_id, body)
    return Response.json({ event_id, index, approval: await oversight.approval(who, tenant, params.approval_id, 0, request.signal) }, unkept)
  })

  addRoute(app, parts, {
    method: 'post', path: '/v1/sessions/{session_id}/interventions', permission: 'intervene', tag: 'approvals', summary: 'Step into a session. A stop is also of the sessions that came out of it, and no act follows.',
    params: sessionId, body: z.strictObject({ kind: z.enum(INTERVENTIONS), note: z.string().min(1).max(10_000).optional() }).openapi('InterventionInput'),
    answers: { 201: { says: 'It is on record. `rejected`: how many requests for approval ended with it.', schema: z.object({ event_id: z.string(), index: z.int(), sessions: z.array(z.string()), rejected: z.int() }).openapi('Intervened') }, 404: { says: 'There is no such session.' } },
  }, async ({ who, tenant, params, body }) => {
    const { receipt, sessions, rejected } = await oversight.intervene(who, tenant, params.session_id, body)
    return Response.json({ event_id: receipt.event_id, index: receipt.index, sessions, rejected }, { ...unkept, status: 201 })
  })

  addRoute(app, parts, {
    method: 'get', path: '/v1/sessions/{session_id}/interventions', permission: 'ask', tag: 'approvals', summary: 'What people did to a session; with `wait`, as soon as there is something.', stream: true,
    params: sessionId, query: z.object({ wait, after: z.coerce.number().int().min(-1).default(-1).openapi({ description: 'The `next` of the answer before.' }) }),
    answers: {
      200: { says: 'Interventions after entry `after`, in order.', schema: z.object({ items: z.array(z.object({ event_id: z.string(), index: z.int(), kind: z.string(), timestamp: z.string() })), next: z.int() }).openapi('Interventions') },
      404: { says: 'There is no such session that one may see.' },
    },
  }, async ({ who, tenant, params, query, request }) => {
    const state = await tenant.ledger.call<SessionState | undefined>('state', params.session_id)
    if (state === undefined || !oversight.sees(who, state)) throw notFound('session')
    const leave = parts.streams.enter(`${who.tenant}/${who.id}`)
    try {
      const { items, next } = await oversight.interventions(tenant, params.session_id, query.after, query.wait * 1_000, request.signal)
      return Response.json({ items: items.map(({ event_id, index, facts, timestamp }) => ({ event_id, index, kind: String(facts['kind']), timestamp })), next }, unkept)
    } finally {
      leave()
    }
  })
}

/** What `who` is shown of a request: who answered and said what, its own agent and who decides; what is asked, only who decides, and that is on record first. */
async function present(parts: Parts, who: Principal, tenant: Tenant, found: ApprovalOnRecord, content: 'none' | 'full'): Promise<ApprovalOnRecord | ShownApproval> {
  const decides = allows(who.roles, 'decide')
  if (content === 'full') {
    if (!decides) throw new HttpError(403, 'not_allowed', 'server: content=full asks for the permission decide', 'leave content out')
    await parts.accesses.of(tenant).shown({ who, action: 'read', query: { approval_id: found.approval_id }, purpose: 'approval' }, [{ index: found.index, entry_hash: found.entry_hash }])
    return (await parts.oversight.shown(tenant, found.approval_id)) ?? found
  }
  if (decides || found.writer === who.id) return found
  return { ...found, decisions: found.decisions.map((one) => ({ ...one, approver_id: null, comment: null })) }
}
