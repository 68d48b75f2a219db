// openTrail: the public face over a ledger and a recorder.

import { AsyncLocalStorage } from 'node:async_hooks'
import { fileURLToPath } from 'node:url'
import { type CounterfoilError, MisuseError, StoreError, VerifyError } from '../base/errors.ts'
import { isUuid } from '../base/ids.ts'
import { openRemote, RemoteLedger } from '../client/remote-ledger.ts'
import { RemoteOversight } from '../client/remote-oversight.ts'
import { serverAt } from '../client/server.ts'
import { checkMasks, defaultMasks, type Mask } from '../event/mask.ts'
import { MODEL_CALLS, type ModelCallSink, type Subject } from '../event/model-call.ts'
import type { LLMCall, SessionSummary, ToolCall, TrailRow } from '../event/public.ts'
import { label, quote } from '../event/label.ts'
import { didYouMean } from '../event/near.ts'
import type { ViewEvent } from '../event/view.ts'
import { VOCABULARY } from '../event/vocabulary.ts'
import type { ExportedBundle } from '../ledger/bundle.ts'
import { openLedger, type LocalLedger } from '../ledger/handle.ts'
import type { Erased } from '../ledger/ledger.ts'
import type { EventSearch, SessionSearch } from '../ledger/reader.ts'
import { SEVERITIES } from '../monitor/finding.ts'
import { LOCAL_POLICY, REMOTE_POLICY } from '../recorder/policy.ts'
import { AgentSession, type SessionHost } from '../recorder/session.ts'
import type { SessionFacts } from '../recorder/session-facts.ts'
import type { Level, Receipt } from '../recorder/sink.ts'
import { runAbout } from '../recorder/subject.ts'
import { makeTool, RISKS } from '../recorder/tool.ts'
import { verifyBundle } from '../verify/bundle.ts'
import { exitCode, PROPERTIES, type Verdict } from '../verify/verdict.ts'
import type { Why } from '../why/result.ts'
import { lastWorthAsking, withParents } from '../why/pick.ts'
import { why } from '../why/why.ts'
import { bundleOrder } from './export-order.ts'
import { localFindings, remoteFindings, type Finding } from './findings.ts'
import { LocalOversight } from './local-oversight.ts'
import { resultsOf, type Page, type Results } from './results.ts'
import type { EventQuery, ExportOrder, FindingQuery, Session, SessionQuery, Trail, TrailOptions, TrailProblem, TrailStatus, VerifyOptions } from './types.ts'

/** The sessions of async contexts, one store for all copies of the package in this process. */
const CURRENT: unique symbol = Symbol.for('counterfoil.current/1') as never
const current = ((globalThis as { [CURRENT]?: AsyncLocalStorage<AgentSession> })[CURRENT] ??= new AsyncLocalStorage<AgentSession>())

/** The session of this async context, if there is one. */
export function currentSession(): Session | undefined {
  return current.getStore() as Session | undefined
}

/**
 * Opens the trail at `where`: a path, a `file:` URL, `':memory:'`, or the URL of a server; without it `$COUNTERFOIL_URL`, `$COUNTERFOIL_DB`, then
 * `./agent_audit.db`. A log that is not there is begun. Synchronous: throws at once for what can be known at once (no such folder, bad options);
 * `ready()` for the rest.
 */
export function openTrail(where?: string | URL, options: TrailOptions = {}): Trail {
  const place = locationOf(where)
  checkOptions(options)
  const { home, spool, backlog, key, signer, witness, patience, purpose, content, insecure } = options
  const common = { ...(home === undefined ? {} : { home }), ...(spool === undefined ? {} : { spool }), ...(backlog === undefined ? {} : { backlog }) }
  if (place instanceof URL) {
    refuse(options, ['signer', 'witness'], `a server's trail: ${place.protocol}//${place.host}`, 'the server signs its log and has it witnessed')
    const server = serverAt(place, key ?? process.env['COUNTERFOIL_KEY'], insecure ?? process.env['COUNTERFOIL_INSECURE'] === '1')
    return new OpenTrail(openRemote(server, { ...common, ...(patience === undefined ? {} : { patience }), ...(purpose === undefined ? {} : { purpose }), ...(content === undefined ? {} : { content }) }), options) as unknown as Trail
  }
  refuse(options, ['purpose', 'content', 'insecure'], `the trail in a file, ${place}`, 'leave it out: it is for a server')
  return new OpenTrail(openLedger(place, { ...common, ...(key === undefined ? {} : { passphrase: key }), ...(signer === undefined ? {} : { signer }), ...(witness === undefined ? {} : { witness }) }), options) as unknown as Trail
}

function refuse(options: TrailOptions, names: readonly (keyof TrailOptions)[], what: string, next: string): void {
  for (const name of names) if (options[name] !== undefined) throw new MisuseError('bad_option', `trail: expected no ${name} for ${what}`, next)
}

/** A path, or the URL of a server. */
function locationOf(where: string | URL | undefined): string | URL {
  const place = where ?? (process.env['COUNTERFOIL_URL'] || process.env['COUNTERFOIL_DB'] || './agent_audit.db')
  if (place instanceof URL || /^[a-z][a-z0-9+.-]+:\/\//i.test(place)) {
    const url = parseUrl(place)
    return url.protocol === 'file:' ? fileURLToPath(url) : url
  }
  if (place === '') throw new MisuseError('no_path', 'trail: expected a path, got an empty string', "for example './agent_audit.db'")
  return place
}

function parseUrl(place: string | URL): URL {
  try {
    return new URL(place)
  } catch {
    throw new MisuseError('bad_url', `trail: expected an URL, got ${quote(String(place))}`, "for example 'https://trail.example.com'")
  }
}

const OPTIONS = new Set(['agent_id', 'agent_version', 'model_id', 'system_prompt', 'home', 'key', 'signer', 'spool', 'backlog', 'mask', 'wait', 'failure', 'patience', 'approve', 'report', 'witness', 'purpose', 'content', 'insecure'])

function checkOptions(options: TrailOptions): void {
  for (const name of Object.keys(options)) if (!OPTIONS.has(name)) throw new MisuseError('unknown_option', `trail: expected an option of openTrail, got ${JSON.stringify(name)}`, `it has ${[...OPTIONS].join(', ')}`)
  for (const name of ['agent_id', 'agent_version', 'model_id'] as const) if (options[name] !== undefined) label(options[name], name)
  for (const name of ['home', 'spool', 'system_prompt', 'witness', 'purpose'] as const) expectType(name, options[name], 'string')
  expectWhole('backlog', options.backlog, 1024 * 1024, 'bytes')
  expectWhole('patience', options.patience, 1, 'milliseconds')
  // what is no passphrase may still be a secret: it is not shown
  if (options.key !== undefined && (typeof options.key !== 'string' || options.key === '')) throw new MisuseError('bad_option', 'trail: expected key to be a passphrase, or the key of a server, a string that is not empty', 'leave it out where the keys are under none')
  if (options.insecure !== undefined && typeof options.insecure !== 'boolean') throw new MisuseError('bad_option', `trail: expected insecure to be true or false, got ${quote(options.insecure)}`, 'leave it out: https asks for nothing')
  if (options.content !== undefined && !['none', 'masked', 'full'].includes(options.content)) throw new MisuseError('bad_option', `trail: expected content to be none, masked or full, got ${quote(options.content)}`, 'leave it out: with a purpose it is full')
  if (!(options.signer instanceof URL)) expectType('signer', options.signer, 'string')
  expectType('report', options.report, 'function')
  if (options.approve !== 'others') expectType('approve', options.approve, 'function')
  if (options.mask !== undefined && !Array.isArray(options.mask)) throw new MisuseError('bad_option', `trail: expected mask to be an array of masks, got ${quote(options.mask)}`, '[] masks nothing')
  checkMasks(options.mask ?? [])
  checkPolicy('wait', options.wait, ['accepted', 'spooled', 'durable', 'witnessed'])
  checkPolicy('failure', options.failure, ['block', 'buffer', 'continue'])
}

/** A regular expression with the flag g goes on from where its owner used it last: what stands before would not be masked. */
function copyOfMask(mask: Mask): Mask {
  return { ...mask, find: mask.find instanceof RegExp ? new RegExp(mask.find) : mask.find }
}

function expectType(name: string, value: unknown, type: 'string' | 'function'): void {
  if (value !== undefined && typeof value !== type) throw new MisuseError('bad_option', `trail: expected ${name} to be a ${type}, got ${quote(value)}`, `pass a ${type}, or leave ${name} out for the default`)
}

function expectWhole(name: string, value: unknown, least: number, unit: string): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && (value as number) >= least)) throw new MisuseError('bad_option', `trail: expected ${name} to be a whole number of ${unit}, ${least} or more, got ${quote(value)}`, `leave ${name} out for the default`)
}

function checkPolicy(name: string, policy: { readonly [risk: string]: string } | undefined, known: readonly string[]): void {
  for (const [risk, value] of Object.entries(policy ?? {})) {
    if (!RISKS.includes(risk)) throw new MisuseError('bad_risk', `trail: expected ${name} to name risks (${RISKS.join(', ')}), got ${quote(risk)}`, `${name}: { high: '${known[2] ?? known[0]!}' }`)
    if (!known.includes(value)) throw new MisuseError('bad_option', `trail: expected ${name}.${risk} to be one of ${known.join(', ')}, got ${quote(value)}`, `name one of them, or leave ${risk} out for the default`)
  }
}

/** A session as the ledger knows it; `about` is whom it said at its start that it is about. */
type Summary = SessionSummary & { root_session_id: string; about?: { ref: string; subject?: readonly string[] } }

class OpenTrail implements AsyncDisposable {
  readonly path: string
  readonly #ledger: LocalLedger | RemoteLedger
  readonly #host: SessionHost
  readonly #oversight: LocalOversight | RemoteOversight
  readonly #report: (problem: CounterfoilError) => void
  readonly #reported = new Set<string>()
  #lost = 0
  #problem: { readonly problem: CounterfoilError; readonly at: number } | undefined
  #closing: Promise<void> | undefined

  constructor(ledger: LocalLedger | RemoteLedger, options: TrailOptions) {
    this.path = ledger.path
    this.#ledger = ledger
    const tell = options.report ?? ((problem) => process.stderr.write(`counterfoil: ${problem.message}\n`))
    this.#report = (problem) => {
      this.#problem = { problem, at: Date.now() }
      const cause = `${problem.code}/${problem.message}`
      if (this.#reported.has(cause)) return
      this.#reported.add(cause)
      try {
        const told: unknown = tell(problem)
        if (told instanceof Promise) told.catch(() => {})
      } catch {
        // recording must not break the agent, and neither must the author's own report
      }
    }
    ledger.onReport(this.#report)
    const { agent_id, agent_version, model_id, system_prompt } = options
    const policy = ledger instanceof RemoteLedger ? REMOTE_POLICY : LOCAL_POLICY
    this.#host = {
      sink: ledger, clock: Date.now, masks: (options.mask ?? defaultMasks).map(copyOfMask), report: this.#report, lost: () => { this.#lost++ }, current,
      defaults: { ...(agent_id === undefined ? {} : { agent_id }), ...(agent_version === undefined ? {} : { agent_version }), ...(model_id === undefined ? {} : { model_id }), ...(system_prompt === undefined ? {} : { system_prompt }) },
      policy: { wait: { ...policy.wait, ...options.wait }, failure: { ...policy.failure, ...options.failure }, patience: options.patience ?? policy.patience },
      approve: options.approve, oversight: (this.#oversight = ledger instanceof RemoteLedger ? new RemoteOversight(ledger.server) : new LocalOversight(ledger)), subjects: new Map(), ready: () => ledger.ready(), rows: (session_id) => ledger.call<TrailRow[]>('rows', session_id),
    }
  }

  ready(): Promise<void> {
    return this.#ledger.ready()
  }

  async session<R>(facts: SessionFacts, run: (session: AgentSession) => R | Promise<R>): Promise<R> {
    if (typeof run !== 'function') throw new MisuseError('no_function', `trail: expected session(facts, run) with a function, got ${typeof run}`, 'use trail.start(facts) for a session that you end yourself')
    return (await this.start(facts)).through(run)
  }

  async start(facts: SessionFacts): Promise<AgentSession> {
    const session = AgentSession.begin(this.#host, facts, parentOf(current.getStore(), this.#host))
    await this.ready()
    return session
  }

  /** As `start`, at once; what is wrong with the log is reported, or rejects the first thing awaited. For the classic class. */
  begin(facts: SessionFacts = {}): AgentSession {
    return AgentSession.begin(this.#host, facts)
  }

  async resume(session_id: string): Promise<AgentSession> {
    checkSessionId(session_id)
    const known = await this.#ledger.call<Summary | undefined>(this.#ledger instanceof RemoteLedger ? 'resumption' : 'summary', session_id)
    if (known === undefined) throw new StoreError('no_session', `trail: session ${session_id} is not in this trail`, 'check the path of the trail, or start a new session')
    const { user_id, root_session_id, about } = known
    return AgentSession.resume(this.#host, session_id, { root_session_id, ...(typeof user_id === 'string' ? { user_id } : {}), ...(about === undefined ? {} : { about }) })
  }

  record(event_type: string, event: { readonly [name: string]: unknown }): ReturnType<AgentSession['record']> {
    return this.#current('record').record(event_type, event)
  }

  log(name: string, content: unknown, step_number?: number): ReturnType<AgentSession['log']> {
    return this.#current('log').log(name, content, step_number)
  }

  about<R>(subject: Subject, fn: () => R): R {
    return runAbout(subject, fn)
  }

  llm<R>(call: { readonly [name: string]: unknown }, run: () => Promise<R>, read: (result: Awaited<R>) => { readonly [name: string]: unknown }): Promise<R> {
    return this.#current('llm').llm(call, run, read)
  }

  tool(definition: object, run?: unknown): unknown {
    return makeTool(definition, run, () => this.#current('a tool'), this.#host.subjects)
  }

  async approval(action: Parameters<AgentSession['approval']>[0]): ReturnType<AgentSession['approval']> {
    return this.#current('approval').approval(action)
  }

  /** The session of this async context; a model call outside of any opens one of its own, so that nothing is lost. */
  modelCalls(): ModelCallSink {
    const session = current.getStore()
    if (session?.isOf(this.#host) === true) return session
    return {
      call: (call) => {
        let own: AgentSession
        try {
          own = AgentSession.begin(this.#host, {}, { implicit: true })
        } catch (error) {
          return { event_id: '', ready: () => Promise.reject(error), finish: () => {} }
        }
        const open = own.call(call)
        return {
          event_id: open.event_id, ready: () => open.ready(),
          finish: (result) => {
            open.finish(result)
            own.end({ outcome: result.outcome, reason: 'one_call' }).catch((problem: CounterfoilError) => this.#report(problem))
          },
        }
      },
    }
  }

  sessions(query: SessionQuery = {}): Results<SessionSummary> {
    const { since, until, session_id, ...rest } = checkQuery(query, SESSION_QUERY)
    const search: SessionSearch = { ...rest, ...times(since, until) }
    if (session_id !== undefined) {
      checkSessionId(session_id)
      return resultsOf(async () => ({ items: await this.#theSession(session_id, search), next: null }))
    }
    return resultsOf((size, cursor) => this.#ledger.call<Page<SessionSummary>>('sessions', search, size, cursor))
  }

  /** One session, looked up and not searched for, where it is as `search` says. */
  async #theSession(session_id: string, { agent_id, user_id, subject, outcome, since, until, open, text }: SessionSearch): Promise<SessionSummary[]> {
    const known = await this.#ledger.call<Summary | undefined>('summary', session_id)
    if (known === undefined || known.agent_id === '') return [] // the ledger's own is none
    const { root_session_id: _, about: __, ...summary } = known
    const isSo = (agent_id ?? summary.agent_id) === summary.agent_id && (user_id ?? summary.user_id) === summary.user_id && (outcome ?? summary.outcome) === summary.outcome
      && (since === undefined || summary.started_at >= since) && (until === undefined || summary.started_at < until) && (open === undefined || open === (summary.state !== 'ended'))
    if (subject !== undefined && !(await this.sessions({ subject }).all()).some((one) => one.session_id === session_id)) return []
    return isSo && (text === undefined || (await this.events({ session_id, text }).first()) !== undefined) ? [summary] : []
  }

  events(query: EventQuery<string> = {}): Results<ViewEvent> {
    const search = searchOf(query)
    return resultsOf((size, cursor) => this.#ledger.call<Page<ViewEvent>>('events', search, size, cursor))
  }

  calls(query: EventQuery<string> = {}): Results<LLMCall | ToolCall> {
    const search = searchOf(query, CALL_TYPES)
    return resultsOf((size, cursor) => this.#ledger.call<Page<LLMCall | ToolCall>>('calls', search, size, cursor))
  }

  findings(query: FindingQuery = {}): Results<Finding> {
    const { since, until, severity, ...rest } = checkQuery(query, FINDING_QUERY)
    if (rest.session_id !== undefined) checkSessionId(rest.session_id)
    if (severity !== undefined && !SEVERITIES.includes(severity)) throw new MisuseError('bad_query', `trail: expected severity to be one of ${SEVERITIES.join(', ')}, got ${quote(severity)}`, 'name the least that you want to see')
    const search = { ...rest, ...(severity === undefined ? {} : { severity }), ...times(since, until) }
    const call = <T>(method: string, ...args: readonly unknown[]): Promise<T> => this.#ledger.call<T>(method, ...args)
    return this.#ledger instanceof RemoteLedger ? remoteFindings(call, search) : localFindings(call, search)
  }

  async verify(options: VerifyOptions = {}): Promise<Verdict> {
    for (const property of options.require ?? []) if (!(PROPERTIES as readonly string[]).includes(property)) throw new MisuseError('bad_property', `verify: expected a property, got ${JSON.stringify(property)}`, `it has ${PROPERTIES.join(', ')}`)
    const verdict = await this.#ledger.call<Verdict>('verify')
    if (options.require !== undefined && exitCode(verdict, options.require) !== 0) {
      const missing = options.require.find((property) => verdict.properties[property].status !== 'proved')
      const { says, first_bad_index } = missing === undefined ? { says: verdict.problems[0]?.message ?? 'not whole', first_bad_index: undefined } : verdict.properties[missing]
      throw new VerifyError('not_proved', `verify: ${missing ?? 'the log'} is not proved: ${says}`, 'run counterfoil verify', first_bad_index === undefined ? {} : { first_bad_index })
    }
    return verdict
  }

  async why(event_id?: string): Promise<Why | undefined> {
    const eventsOf = (session_id: string): Promise<ViewEvent[]> => this.#ledger.call<ViewEvent[]>('session', session_id)
    if (this.#ledger instanceof RemoteLedger) return this.#ledger.call<Why | undefined>('why', event_id)
    let event: ViewEvent | undefined
    if (event_id === undefined) {
      event = await lastWorthAsking(this.sessions(), eventsOf)
      if (event === undefined) return undefined
    } else {
      const placed = await this.#ledger.call<{ index: number } | undefined>('find', event_id)
      if (placed === undefined) throw new StoreError('no_event', `why: event ${event_id} is not in this trail`, 'counterfoil show lists the events of a session')
      event = await this.#ledger.call<ViewEvent>('at', placed.index)
    }
    return why(await withParents(event.session_id, eventsOf), event.event_id)
  }

  async prove(event_id: string): Promise<string> {
    const proof = await this.#ledger.call<string | undefined>('prove', event_id)
    if (proof === undefined) throw new StoreError('no_event', `trail: event ${event_id} is not in this trail`, 'counterfoil show lists the events of a session')
    return proof
  }

  async export(order: ExportOrder): Promise<ExportedBundle> {
    const asked = bundleOrder(order, checkSessionId)
    if (!(this.#ledger instanceof RemoteLedger)) return this.#ledger.call<ExportedBundle>('export', asked)
    const { json } = await this.#ledger.call<{ json: string }>('export', asked)
    const { verdict, contents } = verifyBundle(json)
    return { json, verdict, missing: asked.disclose === 'none' ? 0 : contents.filter((content) => 'absent' in content && content.absent !== 'withheld').length, earlier: [] }
  }

  async erase(what: { session_id?: string; user_id?: string; subject?: string }, because: { reason: string; legal_basis?: string; actor?: string }): Promise<Receipt> {
    if (typeof because?.reason !== 'string' || because.reason === '') throw new MisuseError('no_reason', 'erase: expected a reason, got none', 'say why the content is erased; the reason is put on record')
    const done = await this.#ledger.call<Erased>('erase', { ...eraseOrder(what), ...because })
    return { event_id: done.event_id, level: 'durable', ...done.done }
  }

  async flush(level: Level = 'durable'): Promise<void> {
    if (level === 'accepted') return
    await this.#ledger.call('flush')
    if (level === 'witnessed') await this.#ledger.call('witnessed')
  }

  status(): TrailStatus {
    const status = this.#ledger.status()
    return { ...status, lost: status.lost + this.#lost, problem: problemOf(this.#problem) }
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#oversight.close()
    const { lost } = this.status()
    if (lost > 0) this.#report(new StoreError('events_lost', `trail: ${lost} ${lost === 1 ? 'event is' : 'events are'} not on record: they could not be accepted`, 'the log names them as a gap where something came after them; what was wrong is in status() and was reported'))
    try {
      await this.#ledger.close()
    } finally {
      this.#ledger.offReport(this.#report)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The ledger's own calls, for the command line. */
  ledger(): LocalLedger | RemoteLedger {
    return this.#ledger
  }

  #current(what: string): AgentSession {
    const session = current.getStore()
    if (session?.isOf(this.#host) !== true) throw new MisuseError('no_session', `trail: expected ${what} inside a session of this trail, got ${session === undefined ? 'none' : 'one of another trail'}`, 'run it inside trail.session({ … }, async (session) => { … }), or call the method on the session')
    return session
  }
}

Object.defineProperty(OpenTrail.prototype, MODEL_CALLS, {
  value: function (this: OpenTrail): ModelCallSink {
    return this.modelCalls()
  },
})

function problemOf(last: { readonly problem: CounterfoilError; readonly at: number } | undefined): TrailProblem | null {
  if (last === undefined) return null
  const { code = 'internal', message, next = '' } = last.problem as Partial<CounterfoilError> & Error
  return { code, message, next, timestamp: new Date(last.at).toISOString() }
}

/** A session begun inside another one of the same trail is its child. */
function parentOf(session: AgentSession | undefined, host: SessionHost): { parent?: AgentSession } {
  return session === undefined || session.ended || !session.isOf(host) ? {} : { parent: session }
}

const ERASE_NEXT = "pass { session_id } for a session, { user_id } for a person, or { session_id, subject } for what is of a person in a session"

/** What is misspelt would erase more, or something else. */
function eraseOrder(what: { session_id?: string; user_id?: string; subject?: string }): { session_ids?: string[]; user_id?: string } {
  const { session_id, user_id, subject, ...rest } = what ?? {}
  const [odd] = Object.keys(rest)
  if (odd !== undefined) throw new MisuseError('erase_what', `erase: expected session_id, user_id or subject, got ${quote(odd)}`, ERASE_NEXT)
  for (const [name, id] of Object.entries({ session_id, user_id, subject })) if (id !== undefined && (typeof id !== 'string' || id === '')) throw new MisuseError('erase_what', `erase: expected ${name} to be an id, got ${quote(id)}`, ERASE_NEXT)
  if ((session_id === undefined) === (user_id === undefined) || (subject !== undefined && session_id === undefined)) throw new MisuseError('erase_what', 'erase: expected a session_id or a user_id, and not both', ERASE_NEXT)
  const person = user_id ?? subject
  return { ...(session_id === undefined ? {} : { session_ids: [session_id] }), ...(person === undefined ? {} : { user_id: person }) }
}

const EVENT_QUERY = new Set(['session_id', 'event_type', 'tool_name', 'agent_id', 'user_id', 'outcome', 'since', 'until', 'text'])
const FINDING_QUERY = new Set(['session_id', 'agent_id', 'rule', 'severity', 'since', 'until'])
const EVENT_TYPES: readonly string[] = Object.keys(VOCABULARY)
const CALL_TYPES: readonly string[] = ['llm_call', 'tool_call']
const SESSION_QUERY = new Set(['session_id', 'agent_id', 'user_id', 'subject', 'outcome', 'since', 'until', 'open', 'text'])

/** A filter that is misspelt would give back everything. */
function checkQuery<Q extends object>(query: Q, known: ReadonlySet<string>): Q {
  for (const name of Object.keys(query)) if (!known.has(name)) throw new MisuseError('bad_query', `trail: expected a filter, got ${quote(name)}`, `there are ${[...known].join(', ')}`)
  return query
}

function searchOf(query: EventQuery<string>, known: readonly string[] = EVENT_TYPES): EventSearch {
  const { event_type, since, until, ...rest } = checkQuery(query, EVENT_QUERY)
  if (rest.session_id !== undefined) checkSessionId(rest.session_id)
  for (const type of event_type === undefined ? [] : [event_type].flat()) if (!known.includes(type)) throw unknownType(type, known)
  return { ...rest, ...(event_type === undefined ? {} : { event_types: typeof event_type === 'string' ? [event_type] : event_type }), ...times(since, until) }
}

/** An id of the author's own is content, which only a search can find. */
function checkSessionId(session_id: unknown): void {
  if (typeof session_id === 'string' && isUuid(session_id)) return
  const next = `take the session_id of a session; one that you gave yourself, and that is no lower-case UUID, is content: trail.sessions({ text: ${quote(session_id)} }) finds its session`
  throw new MisuseError('bad_session_id', `trail: expected a session_id as trail.start() gave it, got ${quote(session_id)}`, next)
}

/** A type that is misspelt would find nothing, and look as if nothing had happened. */
function unknownType(type: unknown, known: readonly string[]): MisuseError {
  const meant = didYouMean(String(type), known)
  const next = meant === '' ? `there are ${known.join(', ')}` : meant
  return new MisuseError('unknown_event_type', `trail: expected an event type, got ${quote(type)}`, known === CALL_TYPES ? next : `${next} (your own events have the type custom, and their name in name)`)
}

function times(since: Date | undefined, until: Date | undefined): { since?: string; until?: string } {
  for (const [name, date] of [['since', since], ['until', until]] as const) {
    if (date !== undefined && !(date instanceof Date && !Number.isNaN(date.getTime()))) throw new MisuseError('bad_query', `trail: expected ${name} to be a Date, got ${date instanceof Date ? 'an invalid one' : quote(date)}`, `${name}: new Date('2026-11-21T08:00Z')`)
  }
  return { ...(since === undefined ? {} : { since: since.toISOString() }), ...(until === undefined ? {} : { until: until.toISOString() }) }
}
