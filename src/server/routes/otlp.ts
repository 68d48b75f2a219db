// OpenTelemetry's own protocol comes in: traces and logs over HTTP, in protobuf and JSON. An export is answered when all of it is durable. What was refused
// is counted in the answer, as the protocol asks, and the rest is on record.

import { randomBytes } from 'node:crypto'
import { z } from '../schema.ts'
import { formatOtlpAnswer, formatOtlpStatus } from '../../capture/otlp/answer.ts'
import { OtlpIntake, type Encoding, type OtlpSink, type Signal, type Taken } from '../../capture/otlp/intake.ts'
import { decodeDraft } from '../../event/draft.ts'
import { defaultMasks } from '../../event/mask.ts'
import type { Parts } from '../app.ts'
import { mediaOf } from '../body.ts'
import { transact } from '../database.ts'
import { mayWrite } from '../own-agents.ts'
import { problemOf, problemResponse } from '../problem.ts'
import type { Principal } from '../roles.ts'
import { addRoute, type App } from '../route.ts'
import type { Tenant } from '../tenants.ts'

export const OTLP_TABLE = 'CREATE TABLE IF NOT EXISTS otlp_keys (tenant TEXT PRIMARY KEY, key BLOB NOT NULL) STRICT'

const PROTOBUF = 'application/x-protobuf'
const JSON_TYPE = 'application/json'
/** What goes into the log in one commit. */
const COMMIT_EVENTS = 1_000
const COMMIT_BYTES = 8 * 1024 * 1024

const exportSchema = z.looseObject({}).openapi('OtlpExport', { description: 'An ExportTraceServiceRequest or ExportLogsServiceRequest of opentelemetry-proto, in its JSON mapping.' })
const answerSchema = z.object({ partialSuccess: z.object({ rejectedSpans: z.string().optional(), rejectedLogRecords: z.string().optional(), errorMessage: z.string().optional() }).optional() }).openapi('OtlpAnswer')

export function otlpRoutes(app: App, parts: Parts): void {
  const intakes = new Map<string, OtlpIntake>()
  const counts = { model_call: 0, tool_call: 0, decision: 0, custom: 0, refused: 0 }
  for (const [name, says] of [['model_call', 'became model calls'], ['tool_call', 'became tool calls'], ['decision', 'became decisions'], ['custom', 'are kept as they came'], ['refused', 'were refused']] as const) {
    parts.metrics.gauge(`counterfoil_otlp_${name}s`, `Spans and log records that ${says}, since the server started.`, () => counts[name])
  }
  const intakeOf = (tenant: string): OtlpIntake => {
    const known = intakes.get(tenant)
    if (known !== undefined) return known
    const made = new OtlpIntake({ key: keyOf(parts, tenant), masks: defaultMasks })
    intakes.set(tenant, made)
    return made
  }
  for (const [prefix, of] of [['/otlp/v1', ''], ['/v1', ', for exporters whose endpoint has no path']] as const) {
    for (const signal of ['traces', 'logs'] as const) {
      addRoute(app, parts, {
        method: 'post', path: `${prefix}/${signal}`, permission: 'append', tag: 'otlp', summary: `Put OpenTelemetry ${signal} on record${of}.`,
        bodies: { [JSON_TYPE]: exportSchema, [PROTOBUF]: z.string() },
        answers: { 200: { says: 'All of it is durable, but for what the answer counts as refused. In the encoding of the request.', schema: answerSchema } },
      }, async (given) => {
        const encoding: Encoding = mediaOf(given.c, [PROTOBUF, JSON_TYPE]) === PROTOBUF ? 'protobuf' : 'json'
        try {
          const taken = await parts.bodies.with(given.c, (body) => intakeOf(given.tenant.name).take(signal, encoding, body, sinkOf(given, parts)))
          for (const [sort, count] of Object.entries(taken.sorts)) counts[sort as keyof typeof taken.sorts] += count
          counts.refused += taken.refused
          return answer(signal, encoding, taken)
        } catch (error) {
          return failed(encoding, error)
        }
      })
    }
  }
}

function answer(signal: Signal, encoding: Encoding, taken: Taken): Response {
  const bytes = formatOtlpAnswer(signal, encoding, taken)
  return new Response(bytes, { headers: { 'content-type': encoding === 'json' ? JSON_TYPE : PROTOBUF, 'cache-control': 'no-store' } })
}

/** The protocol has errors in protobuf too; in JSON they are problems, as everywhere here. */
function failed(encoding: Encoding, error: unknown): Response {
  if (encoding === 'json') throw error
  const { problem: { status, detail, next } } = problemOf(error)
  if (status >= 500 && status !== 503) throw error
  const { headers } = problemResponse(error)
  headers.set('content-type', PROTOBUF)
  return new Response(formatOtlpStatus(`${detail}; ${next}`), { status, headers })
}

function sinkOf({ who, tenant }: { readonly who: Principal; readonly tenant: Tenant }, parts: Parts): OtlpSink {
  return {
    agents: who.agents,
    append: async (drafts) => {
      if (who.agents !== undefined) await mayWrite(parts, who, tenant, drafts.map(decodeDraft))
      const answers = []
      for (let from = 0; from < drafts.length;) {
        let [to, bytes] = [from, 0]
        while (to < drafts.length && to - from < COMMIT_EVENTS && (to === from || bytes + drafts[to]!.length <= COMMIT_BYTES)) bytes += drafts[to++]!.length
        answers.push(...(await tenant.ledger.append(who.id, drafts.slice(from, to), { patience: parts.limits.patience })))
        from = to
      }
      const refused = answers.filter((each) => 'refused' in each).length
      parts.metrics.appended(tenant.name, answers.length - refused, refused)
      return answers
    },
    sessionsOf: async (event_ids) => new Map(await tenant.ledger.call<[string, string][]>('sessionsOf', event_ids)),
  }
}

/** The tenant's key for ids, made when it is first asked for. */
function keyOf({ database }: Parts, tenant: string): Uint8Array {
  return transact(database, () => {
    database.prepare('INSERT OR IGNORE INTO otlp_keys (tenant, key) VALUES (?, ?)').run(tenant, randomBytes(32))
    return (database.prepare('SELECT key FROM otlp_keys WHERE tenant = ?').get(tenant) as { key: Uint8Array }).key
  })
}
