// Events to a server from where there is no disk and no thread: edge functions, browsers. Fetch and Web Crypto only. What `append` resolves with is
// durable; until it resolves, nothing is, and it is the caller who holds the events. To append the same again is safe: events are on record once.

import { MisuseError, RemoteError } from '../base/errors.ts'
import { isUuid, uuidv7 } from '../base/ids.ts'
import { ask, jsonOf, notOurs, Refusal } from './http.ts'
import { serverAt, type Server } from './server.ts'

/** An event in its author's words: `event_type`, `session_id` and the fields of its type (docs/recording.md); also `session_start` and `session_end`. */
export interface EventInput { readonly event_type: string; readonly session_id: string; readonly event_id?: string; readonly [field: string]: unknown }

/** An event on record: where, and under which signed checkpoint. */
export interface AppendReceipt { readonly event_id: string; readonly level: 'durable'; readonly index: number; readonly entry_hash: string; readonly checkpoint: string }

export interface ClientOptions {
  /** The key that the server knows this agent by. */
  readonly key: string
  /** How long a request is tried again while the server is away, in milliseconds. Default 30,000. */
  readonly patience?: number
  /** True allows http to another machine, where the network itself is trusted. */
  readonly insecure?: boolean
  /** Default: the platform's. */
  readonly fetch?: typeof fetch
}

/** One session, so that its id need not be said again. */
export interface ClientSession {
  readonly session_id: string
  /** As the client's, of this session. */
  append(events: SessionEvent | readonly SessionEvent[]): Promise<AppendReceipt[]>
  /** Ends it, once; again it gives the first receipt. */
  end(end?: { readonly outcome?: string; readonly reason?: string; readonly final_output?: string }): Promise<AppendReceipt>
}
export interface SessionEvent { readonly event_type: string; readonly event_id?: string; readonly [field: string]: unknown }

export interface Client {
  readonly url: string
  /**
   * Puts events on record, in order. Resolves when they are durable, one receipt each. Rejects with a RemoteError when one is malformed, and then none is
   * stored; with EventsRefused when the log refused some, and the others are on record; when the server is away for `patience`: append the same objects
   * again then, they are the same events.
   */
  append(events: EventInput | readonly EventInput[]): Promise<AppendReceipt[]>
  /** Begins a session: agent_id, and what else `trail.start()` takes. */
  start(facts: { readonly agent_id: string; readonly session_id?: string; readonly [field: string]: unknown }): Promise<ClientSession>
}

/** The log refused some of the events; the others are on record. */
export class EventsRefused extends RemoteError {
  readonly refused: readonly { readonly event_id: string; readonly code: string; readonly message: string; readonly next: string }[]
  readonly receipts: readonly AppendReceipt[]
  constructor(refused: EventsRefused['refused'], receipts: readonly AppendReceipt[]) {
    const [first] = refused
    super(first!.code, `client: ${refused.length === 1 ? `event ${first!.event_id} was` : `${refused.length} events were`} refused: ${first!.message}`, first!.next, { status: 200 })
    this.refused = refused
    this.receipts = receipts
  }
}

const PATIENCE_MS = 30_000
const TIMEOUT_MS = 20_000
const RETRY_MS = 250
const MAX_RETRY_MS = 5_000

/** A client of the server at `url`. Throws a MisuseError for what is no https URL, or no key. */
export function connect(url: string | URL, { key, patience = PATIENCE_MS, insecure = false, fetch = globalThis.fetch }: ClientOptions): Client {
  const server = serverAt(url, key, insecure)
  if (typeof fetch !== 'function') throw new MisuseError('no_fetch', 'client: expected a fetch function, got none', 'pass { fetch }')
  const append = async (events: EventInput | readonly EventInput[]): Promise<AppendReceipt[]> => {
    const all = (Array.isArray(events) ? (events as readonly EventInput[]) : [events as EventInput]).map(withId)
    return all.length === 0 ? [] : receiptsOf(server, all, await deliver(server, JSON.stringify(all), patience, fetch))
  }
  return {
    url: server.url,
    append,
    async start(facts) {
      const session_id = facts.session_id ?? uuidv7(Date.now())
      await append({ ...facts, event_type: 'session_start', session_id })
      return sessionOf(session_id, append)
    },
  }
}

function sessionOf(session_id: string, append: Client['append']): ClientSession {
  let last: EventInput | undefined
  return {
    session_id,
    append: async (events) => append((Array.isArray(events) ? (events as readonly SessionEvent[]) : [events as SessionEvent]).map((event) => ({ ...withId(event), session_id }))),
    async end(end = {}) {
      last ??= { outcome: 'success', ...end, event_type: 'session_end', session_id } // to end it again is to ask for the same receipt
      const [receipt] = await append(last)
      return receipt!
    },
  }
}

/** Ids given to events that had none, by object: who appends the same object again means the same event. */
const given = new WeakMap<object, { readonly event_id: string; readonly timestamp: string }>()

function withId<E extends SessionEvent>(event: E): E {
  if (typeof event !== 'object' || event === null) throw new MisuseError('bad_event', `client: expected an event as an object, got ${event === null ? 'null' : typeof event}`, "{ event_type: 'custom', session_id, name: 'step' }")
  if (event.event_id !== undefined && !isUuid(event.event_id)) throw new MisuseError('bad_event_id', 'client: expected event_id to be a lower-case UUID', 'leave it out, or make one for each event')
  let own = given.get(event)
  if (own === undefined) given.set(event, (own = { event_id: uuidv7(Date.now()), timestamp: new Date().toISOString() }))
  return { ...own, ...event }
}

async function deliver(server: Server, body: string, patience: number, fetch: typeof globalThis.fetch): Promise<unknown> {
  const began = performance.now()
  for (let attempt = 0; ; attempt++) {
    try {
      return jsonOf(server, await ask(server, { method: 'POST', path: '/v1/events', body, type: 'application/json', timeoutMs: TIMEOUT_MS, fetch }))
    } catch (error) {
      if (!(error instanceof RemoteError) || !error.retry) throw error
      const pause = Math.max(Math.min(RETRY_MS * 2 ** Math.min(attempt, 20), MAX_RETRY_MS) * (0.5 + Math.random() / 2), error instanceof Refusal ? (error.retryAfterMs ?? 0) : 0)
      if (performance.now() - began + pause > patience) throw error
      await new Promise((done) => setTimeout(done, pause))
    }
  }
}

/** One receipt for each event, in order. What the server says is checked in form: nothing counts as on record that has no receipt. */
function receiptsOf({ url }: Server, events: readonly EventInput[], answer: unknown): AppendReceipt[] {
  const { receipts, checkpoint } = (answer ?? {}) as { receipts?: unknown; checkpoint?: unknown }
  if (!Array.isArray(receipts) || receipts.length !== events.length) throw notOurs(url, `an answer without the receipts of ${events.length} events`)
  const taken: AppendReceipt[] = []
  const refused: EventsRefused['refused'][number][] = []
  for (const [i, { event_id }] of events.entries()) {
    const one = (receipts[i] ?? {}) as { [name: string]: unknown }
    if (one['event_id'] !== event_id) throw notOurs(url, `the receipt of another event in the place of that of ${event_id!}`)
    if (one['refused'] !== undefined) refused.push({ event_id: event_id!, code: 'refused', message: 'no reason was given', next: 'see the findings of the log', ...(one['refused'] as object) })
    else if (one['level'] !== 'durable' || !Number.isSafeInteger(one['index']) || typeof one['entry_hash'] !== 'string' || typeof checkpoint !== 'string') throw notOurs(url, `no durable receipt of ${event_id!}`)
    else taken.push({ event_id: event_id!, level: 'durable', index: one['index'] as number, entry_hash: one['entry_hash'], checkpoint })
  }
  if (refused.length > 0) throw new EventsRefused(refused, taken)
  return taken
}
