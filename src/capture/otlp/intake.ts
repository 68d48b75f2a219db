// Exports on their way into one log: what each item tells, in which session, in which order. An answer is given when everything is durable.
//
// Which session: the one that the item names (session.id and its like), else the one that the item's trace is known to belong to, else one that
// stands for the trace. An exporter that tries again sends the same ids, and the ledger answers with the old receipts; where a span was recorded
// before, its session is the one that it is in.

import { MisuseError } from '../../base/errors.ts'
import { randomRef } from '../../base/ids.ts'
import { encodeDraft, type Draft } from '../../event/draft.ts'
import { isLabel } from '../../event/label.ts'
import type { Mask } from '../../event/mask.ts'
import type { Json } from '../../event/public.ts'
import { identityOf } from '../../event/person.ts'
import { maskPiece } from '../../recorder/content.ts'
import { draftsOf, timeText } from './drafts.ts'
import type { Happening, Sort, Told } from './happening.ts'
import { eventOfSpan, keyed, sessionOfName, sessionOfTrace } from './ids.ts'
import { readJsonLogs, readJsonTraces } from './json.ts'
import { otherLog, tellLog, timeOf as timeOfLog } from './log.ts'
import { readLogs, readTraces } from './protobuf.ts'
import { endOf, textual, timeOf } from './remainder.ts'
import type { Exported, Export, LogRecord, Resource, Span } from './request.ts'
import { readOther, tellSpan } from './span.ts'
import { Taking } from './taking.ts'

export type Signal = 'traces' | 'logs'
export type Encoding = 'protobuf' | 'json'

/** What one draft came to: `refused` says why it is not on record. */
export interface Appended { readonly event_id: string; readonly refused?: { readonly code: string; readonly message: string; readonly next: string } }

/** The log that takes what is exported, on behalf of one writer. */
export interface OtlpSink {
  /** Resolves when all are durable, with an answer for each, in order. */
  append(drafts: readonly Uint8Array[]): Promise<readonly Appended[]>
  /** The session of each of these events that is on record. */
  sessionsOf(event_ids: readonly string[]): Promise<ReadonlyMap<string, string>>
  /** The agents that the writer may write as, the first where an export names none of them; without it any. */
  readonly agents?: readonly string[] | undefined
}

export interface IntakeOptions {
  /** 32 random bytes that stay the same: ids are made with it of what may not be guessed. */
  readonly key: Uint8Array
  readonly masks: readonly Mask[]
}

/** What became of an export. `refused` items are not on record, `fault` says why the first of them is not. */
export interface Taken { readonly items: number; readonly refused: number; readonly fault?: string; readonly sorts: { readonly [sort in Sort]: number } }

/** Sessions whose beginning is known to be on record, and traces whose session is known; beyond it the oldest half is looked up again. */
const KEPT = 20_000

export class OtlpIntake {
  readonly #key: Uint8Array
  readonly #masks: readonly Mask[]
  /** What is recorded once (a session's start, a resource), by event id: fulfilled when it is durable. */
  #once = new Map<string, Promise<boolean>>()
  /** By trace id, where a span of it named a session. */
  #sessions = new Map<string, string>()

  constructor({ key, masks }: IntakeOptions) {
    this.#key = key
    this.#masks = masks
  }

  /** Records an export, whose bytes are `body`, unpacked. A MisuseError (`bad_otlp`) for what is no export; nothing is recorded then. */
  async take(signal: Signal, encoding: Encoding, body: Uint8Array, sink: OtlpSink): Promise<Taken> {
    if (signal === 'traces') {
      const found = encoding === 'json' ? readJsonTraces(body) : readTraces(body)
      return this.#record(found, this.#spans(found.items), sink)
    }
    const found = encoding === 'json' ? readJsonLogs(body) : readLogs(body)
    return this.#record(found, this.#logs(found.items), sink)
  }

  #spans(items: readonly Exported<Span>[]): Item[] {
    const named = new Map<string, string | undefined>()
    for (const { item, resource } of items) {
      const name = nameIn(SESSION_NAMES, item.attributes, resource)
      if (name !== undefined) named.set(item.trace_id, named.has(item.trace_id) && named.get(item.trace_id) !== name ? undefined : name)
    }
    return items.map((exported): Item => {
      const { item, resource, scope } = exported
      const { trace_id, span_id, parent_span_id } = item
      const own = nameIn(SESSION_NAMES, item.attributes, resource)
      const name = own ?? named.get(trace_id)
      if (name !== undefined) remember(this.#sessions, trace_id, sessionOfName(name, this.#key))
      const session_id = name === undefined ? (this.#sessions.get(trace_id) ?? sessionOfTrace(trace_id)) : sessionOfName(name, this.#key)
      const outer = parent_span_id === undefined ? undefined : eventOfSpan(trace_id, parent_span_id, 'begin')
      return {
        tell: () => tellSpan(exported), plain: () => readOther(item, scope), ...(parent_span_id === undefined ? { root: item } : {}), resource, session_id, name: name ?? trace_id, user: nameIn(USER_NAMES, item.attributes, resource),
        agent: nameIn(AGENT_NAMES, item.attributes), time: timeOf(item), id: (part) => (part === 'outer' ? outer : eventOfSpan(trace_id, span_id, part)),
      }
    })
  }

  #logs(items: readonly Exported<LogRecord>[]): Item[] {
    const times = new Map<string, number>()
    return items.map((exported): Item => {
      const { item, resource, scope } = exported
      const { trace_id, span_id } = item
      const name = nameIn(SESSION_NAMES, item.attributes, resource)
      const session_id = name !== undefined ? sessionOfName(name, this.#key) : trace_id !== undefined ? (this.#sessions.get(trace_id) ?? sessionOfTrace(trace_id)) : keyed(this.#key, 'resource', textOf(resource))
      const outer = trace_id === undefined || span_id === undefined ? undefined : eventOfSpan(trace_id, span_id, 'begin')
      const text = JSON.stringify([item, scope], (_name, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))
      const time = (times.get(text) ?? 0) + 1 // two records may be the same to the nanosecond
      times.set(text, time)
      const own = keyed(this.#key, 'log', textOf(resource), text, String(time))
      return {
        tell: () => tellLog(exported), plain: () => otherLog(item, scope), resource, session_id, name: name ?? trace_id, user: nameIn(USER_NAMES, item.attributes, resource), agent: nameIn(AGENT_NAMES, item.attributes),
        time: timeOfLog(item), id: (part) => (part === 'outer' ? outer : part === 'begin' ? own : keyed(this.#key, 'part', own, part)),
      }
    })
  }

  async #record(found: Export<unknown>, items: readonly Item[], sink: OtlpSink): Promise<Taken> {
    const before = items.length === 0 ? new Map<string, string>() : await sink.sessionsOf(items.map(({ id }) => id('begin')!))
    const placed = items.map((item) => ({ ...item, session_id: before.get(item.id('begin')!) ?? item.session_id }))
    const parts = this.#parts(placed)
    const sorts = { model_call: 0, tool_call: 0, decision: 0, custom: 0 }
    for (const { sort } of parts) sorts[sort]++
    const refused = new Set<number>()
    let fault = found.fault
    await this.#begun(placed, sink, async (first) => {
      const ranks = ranksOf(placed)
      const drafts = parts.flatMap(({ happenings }, at) => happenings.map(({ part, time, drafts }, nth) => ({ ms: time / 1_000_000n, rank: ranks[at]![part === 'begin' ? 'begins' : 'ends'], nth, at, drafts })))
      drafts.sort((a, b) => (a.ms < b.ms ? -1 : a.ms > b.ms ? 1 : a.rank - b.rank || a.nth - b.nth))
      const answers = await sink.append([...first, ...drafts.flatMap(({ drafts }) => drafts)])
      let next = first.length
      for (const { at, drafts: { length } } of drafts) {
        for (const answer of answers.slice(next, (next += length))) {
          if (answer.refused === undefined) continue
          refused.add(at)
          fault ??= answer.refused.message
        }
      }
    })
    return { items: items.length, refused: found.refused + refused.size, ...(fault === undefined ? {} : { fault }), sorts }
  }

  /** Each item's events as drafts; of an item that is not understood after all, as one that is not. */
  #parts(items: readonly Item[]): Part[] {
    return items.map(({ tell, plain, root, session_id, id }) => {
      const drafts = ({ sort, happenings }: Told): Part => ({ sort, happenings: happenings.map((one) => ({ part: one.part, time: one.time, drafts: draftsOf(one, { session_id, masks: this.#masks, id }) })) })
      const whole = (told: Told): Told => (root !== undefined && session_id === sessionOfTrace(root.trace_id) ? ended(root, told) : told)
      try {
        return drafts(whole(tell()))
      } catch (error) {
        if (!(error instanceof MisuseError)) throw error
        return drafts(whole(plain()))
      }
    })
  }

  /** Runs `append` with the drafts that begin what is not on record yet: sessions, and the resource that an item is of. Two exports that begin the same wait for each other. */
  async #begun(items: readonly Item[], sink: OtlpSink, append: (first: readonly Uint8Array[]) => Promise<void>): Promise<void> {
    const wanted = new Map<string, () => Draft>()
    const sessions = Map.groupBy(items, ({ session_id }) => session_id)
    for (const item of items) {
      const start = keyed(this.#key, 'start', item.session_id)
      if (!wanted.has(start)) wanted.set(start, () => this.#start(start, item, sessions.get(item.session_id)!, sink.agents))
      if (item.resource.attributes.length === 0) continue
      const id = keyed(this.#key, 'of', item.session_id, textOf(item.resource))
      if (!wanted.has(id)) wanted.set(id, () => this.#resource(id, item))
    }
    let settle: (durable: boolean) => void = () => {}
    const durable = new Promise<boolean>((resolve) => (settle = resolve))
    const mine = new Set<string>()
    let done = false
    try {
      for (const id of [...wanted.keys()].sort()) { // in one order, or two exports could wait for each other for ever
        while (this.#once.has(id)) if (await this.#once.get(id)!) break // else who was about to record it failed, and another one does
        if (this.#once.has(id)) continue
        remember(this.#once, id, durable)
        mine.add(id)
      }
      const known = mine.size === 0 ? new Map<string, string>() : await sink.sessionsOf([...mine])
      await append([...wanted].filter(([id]) => mine.has(id) && !known.has(id)).map(([, make]) => encodeDraft(make())))
      done = true
    } finally {
      if (!done) for (const id of mine) this.#once.delete(id)
      settle(done)
    }
  }

  /** `own`: the items of the session. */
  #start(event_id: string, item: Item, own: readonly Item[], allowed: readonly string[] | undefined): Draft {
    const { session_id, name, resource } = item
    const first = own.reduce((least, { time }) => (time < least ? time : least), own[0]!.time)
    const user = own.find((each) => each.user !== undefined)?.user
    const [service, version] = ['service.name', 'service.version'].map((each) => new Taking(resource.attributes).text(each))
    const agent = [service !== undefined && !service.startsWith('unknown_service') ? service : undefined, ...own.map((each) => each.agent), service].find((each) => each !== undefined && isLabel(each) && allowed?.includes(each) !== false) ?? allowed?.find(isLabel) ?? 'otel'
    return {
      event_id, event_type: 'session_start', session_id, timestamp: timeText(first), capture: 'imported',
      facts: { agent_id: agent, source: 'otlp', ...(version !== undefined && isLabel(version) ? { agent_version: version } : {}), ...(user === undefined ? {} : { user: randomRef() }) },
      payloads: {
        ...(user === undefined ? {} : { identity: maskPiece({ m: 'json', content: identityOf([user], 'user') }, this.#masks) }),
        ...(name === undefined || name === session_id ? {} : { client_session_id: maskPiece(textual(name)!, this.#masks) }),
      },
      ...(user === undefined ? {} : { persons: [user] }),
    }
  }

  #resource(event_id: string, { session_id, resource, time }: Item): Draft {
    const content = { ...resource, attributes: new Taking(resource.attributes).rest() }
    return { event_id, event_type: 'custom', session_id, timestamp: timeText(time), capture: 'imported', facts: { name: 'otel_resource' }, payloads: { content: maskPiece({ m: 'json', content: JSON.stringify(content) }, this.#masks) } }
  }
}

/** An item as drafts, each happening's together. */
interface Part { readonly sort: Sort; readonly happenings: readonly (Pick<Happening, 'part' | 'time'> & { readonly drafts: readonly Uint8Array[] })[] }

/** An exported item with its place. `plain` tells it as one that nobody understood. */
interface Item {
  readonly tell: () => Told
  readonly plain: () => Told
  /** the span that nothing stands above */
  readonly root?: Span
  readonly resource: Resource
  readonly session_id: string
  /** what its author or exporter calls the session */
  readonly name: string | undefined
  readonly user: string | undefined
  readonly agent: string | undefined
  readonly time: bigint
  readonly id: (part: string) => string | undefined
}

const SESSION_NAMES = ['session.id', 'gen_ai.conversation.id', 'langfuse.session.id', 'traceloop.association.properties.session_id', 'ai.telemetry.metadata.sessionId', 'gcp.vertex.agent.session_id']
const USER_NAMES = ['user.id', 'enduser.id', 'langfuse.user.id', 'traceloop.association.properties.user_id', 'ai.telemetry.metadata.userId']
const AGENT_NAMES = ['gen_ai.agent.name', 'agent.name', 'agent_name', 'ai.telemetry.functionId']
const MAX_NAME = 1024

/** The first of `names` that an item says, or else its resource. */
function nameIn(names: readonly string[], attributes: Exported<Span>['item']['attributes'], resource?: Resource): string | undefined {
  for (const all of resource === undefined ? [attributes] : [attributes, resource.attributes]) {
    for (const name of names) {
      const value: Json | undefined = all.find(([each]) => each === name)?.[1]
      const text = typeof value === 'number' ? String(value) : value
      if (typeof text === 'string' && text !== '' && text.length <= MAX_NAME) return text
    }
  }
  return undefined
}

/** With the span that nothing stands above the trace is over, as far as its exporter says. */
function ended(span: Span, told: Told): Told {
  const { happenings } = told
  const outcome = happenings.find((each) => each.outcome !== undefined)?.outcome ?? (span.status.code === 'error' ? 'failure' : span.status.code === 'ok' ? 'success' : 'unknown')
  return { ...told, happenings: [...happenings, { part: 'session_end', event_type: 'session_end', time: endOf(span), outcome, facts: { reason: 'root_span_ended' }, payloads: {} }] }
}

/**
 * The place of each item's beginning and end where clocks cannot tell: browsers and Node give a span's start in whole milliseconds. What stands in
 * another begins after it and ends before it; what stands beside another comes in the order of the export, which is mostly that of their ends.
 * Parents are names that a stranger chose: they may form circles.
 */
function ranksOf(items: readonly Item[]): { begins: number; ends: number }[] {
  const inner = new Map<string, number[]>()
  const own = new Set(items.map(({ id }) => id('begin')!))
  const tops: number[] = []
  for (const [at, { id }] of items.entries()) {
    const outer = id('outer')
    if (outer === undefined || !own.has(outer)) tops.push(at)
    else if (inner.has(outer)) inner.get(outer)!.push(at)
    else inner.set(outer, [at])
  }
  const ranks = items.map(() => ({ begins: -1, ends: -1 }))
  let next = 0
  const byTime = (a: number, b: number): number => Number(items[b]!.time / 1_000_000n - items[a]!.time / 1_000_000n) || b - a // last first: it is a stack
  for (const top of [...tops.sort(byTime).reverse(), ...items.keys()]) {
    const waiting = [top]
    for (let at = waiting.at(-1); at !== undefined; at = waiting.at(-1)) {
      if (ranks[at]!.begins === -1) {
        ranks[at]!.begins = next++
        waiting.push(...(inner.get(items[at]!.id('begin')!) ?? []).filter((each) => ranks[each]!.begins === -1).sort(byTime))
      } else {
        waiting.pop()
        if (ranks[at]!.ends === -1) ranks[at]!.ends = next++
      }
    }
  }
  return ranks
}

const texts = new WeakMap<Resource, string>()

function textOf(resource: Resource): string {
  let text = texts.get(resource)
  if (text === undefined) texts.set(resource, (text = JSON.stringify(resource)))
  return text
}

function remember<T>(map: Map<string, T>, name: string, value: T): void {
  map.delete(name)
  map.set(name, value)
  if (map.size > KEPT) for (const oldest of [...map.keys()].slice(0, KEPT / 2)) map.delete(oldest)
}
