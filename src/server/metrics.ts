// The server's figures in Prometheus' text format: what it answered, how long that took, what it stored. Labels are route patterns, statuses and tenants,
// never what somebody sent.

import type { Tenants } from './tenants.ts'

/** Seconds; the upper ends of the histogram. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

interface Timing { readonly counts: number[]; sum: number; count: number }

export class Metrics {
  readonly #requests = new Map<string, number>()
  readonly #timings = new Map<string, Timing>()
  readonly #appended = new Map<string, { events: number; refused: number; bodies: number }>()
  readonly #denied = new Map<string, number>()
  readonly #gauges: { readonly name: string; readonly help: string; readonly read: () => number }[] = []

  answered(route: string, status: number, ms: number): void {
    const key = `${route}\n${status}`
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1)
    let timing = this.#timings.get(route)
    if (timing === undefined) this.#timings.set(route, (timing = { counts: BUCKETS.map(() => 0), sum: 0, count: 0 }))
    const seconds = ms / 1000
    timing.sum += seconds
    timing.count++
    const at = BUCKETS.findIndex((end) => seconds <= end)
    if (at !== -1) timing.counts[at]!++
  }

  appended(tenant: string, events: number, refused: number): void {
    const one = this.#appended.get(tenant) ?? { events: 0, refused: 0, bodies: 0 }
    this.#appended.set(tenant, { events: one.events + events, refused: one.refused + refused, bodies: one.bodies + 1 })
  }

  /** `why`: `no_key` or `not_allowed`. */
  denied(why: string): void {
    this.#denied.set(why, (this.#denied.get(why) ?? 0) + 1)
  }

  /** Adds a figure that is read when it is asked for. */
  gauge(name: string, help: string, read: () => number): void {
    this.#gauges.push({ name, help, read })
  }

  text(tenants: Tenants): string {
    const lines: string[] = []
    const family = (name: string, type: string, help: string, samples: readonly (readonly [labels: string, value: number])[]): void => {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples.map(([labels, value]) => `${name}${labels} ${value}`))
    }
    family('counterfoil_requests_total', 'counter', 'Requests answered, by route and status.', [...this.#requests].map(([key, n]) => [labels({ route: key.split('\n')[0]!, status: key.split('\n')[1]! }), n]))
    lines.push('# HELP counterfoil_request_seconds How long answers took.', '# TYPE counterfoil_request_seconds histogram')
    for (const [route, { counts, sum, count }] of this.#timings) {
      let under = 0
      for (const [i, end] of BUCKETS.entries()) lines.push(`counterfoil_request_seconds_bucket${labels({ route, le: String(end) })} ${(under += counts[i]!)}`)
      lines.push(`counterfoil_request_seconds_bucket${labels({ route, le: '+Inf' })} ${count}`, `counterfoil_request_seconds_sum${labels({ route })} ${sum}`, `counterfoil_request_seconds_count${labels({ route })} ${count}`)
    }
    const appended = [...this.#appended]
    family('counterfoil_appended_events_total', 'counter', 'Events put on record over HTTP.', appended.map(([tenant, { events }]) => [labels({ tenant }), events]))
    family('counterfoil_refused_events_total', 'counter', 'Events refused by the ledger.', appended.map(([tenant, { refused }]) => [labels({ tenant }), refused]))
    family('counterfoil_denials_total', 'counter', 'Requests without a key in force, or whose key may not.', [...this.#denied].map(([why, n]) => [labels({ why }), n]))
    const open = tenants.opened.map(({ name, ledger }) => ({ tenant: name, status: ledger.status() }))
    family('counterfoil_log_size', 'gauge', 'Entries in the log, as far as this process knows.', open.map(({ tenant, status }) => [labels({ tenant }), status.size]))
    family('counterfoil_backlog_bytes', 'gauge', 'Bytes that wait for the log.', open.map(({ tenant, status }) => [labels({ tenant }), status.spooled + status.handed]))
    family('counterfoil_backlog_oldest_seconds', 'gauge', 'For how long the oldest of them waits.', open.map(({ tenant, status }) => [labels({ tenant }), status.oldest_ms / 1000]))
    family('counterfoil_database_bytes', 'gauge', 'Bytes of the database on disk.', tenants.list().map(({ name }) => [labels({ tenant: name }), tenants.bytes(name)]))
    for (const { name, help, read } of this.#gauges) family(name, 'gauge', help, [['', read()]])
    family('process_cpu_seconds_total', 'counter', 'Processor time of the server.', [['', (({ user, system }) => (user + system) / 1e6)(process.cpuUsage())]])
    family('process_resident_memory_bytes', 'gauge', 'Memory of the server.', [['', process.memoryUsage.rss()]])
    return `${lines.join('\n')}\n`
  }
}

function labels(values: { readonly [name: string]: string }): string {
  return `{${Object.entries(values).map(([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`).join(',')}}`
}
