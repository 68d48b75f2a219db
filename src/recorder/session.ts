// A session as an author holds it: records events, runs tools, asks for approval, nests child sessions, ends once.

import { AsyncLocalStorage } from 'node:async_hooks'
import { MisuseError, StoreError } from '../base/errors.ts'
import { isUuid, randomRef, uuidv7 } from '../base/ids.ts'
import { identityOf } from '../event/person.ts'
import { foreignLabel, isLabel, label } from '../event/label.ts'
import { MODEL_CALLS, type Subject, type ModelCall, type ModelCallSink, type ModelResult, type OpenModelCall } from '../event/model-call.ts'
import { VOCABULARY, type Capture, type KnownType, type Outcome, type Risk } from '../event/vocabulary.ts'
import { ApprovalDenied, askApproval, type Action, type Approval, type Approver, type Others, type RecordedApproval } from './approval.ts'
import { isA, jsonPiece, pieceOf, textPiece } from './content.ts'
import { errorInto, sortInput } from './inputs.ts'
import { JsonMemory } from './json-memory.ts'
import type { Policy } from './policy.ts'
import { SessionStopped, type Oversight } from './oversight.ts'
import { isRefusal, type Level, type Receipt } from './sink.ts'
import { currentSubject, personsOf, runAbout, together } from './subject.ts'
import { CallSubjects } from './call-subjects.ts'
import { checkEnd, checkFacts, type AgentFacts, type SessionEnd, type SessionFacts } from './session-facts.ts'
import { makeTool } from './tool.ts'
import { Stream, type About, type Recorded, type StreamHost, type Value } from './stream.ts'

/** What all sessions of a trail share. */
export interface SessionHost extends StreamHost {
  readonly current: AsyncLocalStorage<AgentSession>
  readonly defaults: Partial<AgentFacts>
  readonly policy: Policy
  readonly approve: Approver | Others | undefined
  /** What people do from outside this process. */
  readonly oversight: Oversight
  /** By tool name, whose an input is, of the tools that say it: what a model asks of them is theirs before the tool runs. */
  readonly subjects: Map<string, (input: never) => unknown>
  /** Resolves when the ledger is open; rejects when it cannot be. */
  readonly ready: () => Promise<void>
  readonly rows: (session_id: string) => Promise<unknown[]>
}

/** The tool call that this async context carries out: what is recorded meanwhile (a rule, a source that is read) belongs to it. */
const acting = new AsyncLocalStorage<string>()

/** How many texts of reasoning an approver is shown. */
const REASONING_SHOWN = 8
const REASONING_KEPT = 64

export class AgentSession implements AsyncDisposable, ModelCallSink {
  readonly session_id: string
  readonly user_id: string | undefined
  readonly #host: SessionHost
  readonly #stream: Stream
  /** What the lists of this session's events were as JSON. */
  readonly #said = new JsonMemory()
  #ended: Promise<Receipt> | undefined
  #suspended = false
  /** Aborted when a person stops the session, and when it is laid down; tools are told of the first only. */
  readonly #halt = new AbortController()
  readonly #laid = new AbortController()
  #unwatch: (() => void) | undefined
  /** Of a session that was taken up: the requests for approval that were found again. */
  #found: Set<string> | undefined
  /** The newest texts of reasoning, each with whose it is. */
  #reasoning: { readonly text: string; readonly of: string }[] = []
  /** Open calls by the provider's id, so that a result told by hand finds its call. */
  #calls = new Map<string, string>()
  #lastCall = new Map<KnownType, string>()
  /** The event that a tool call belongs to: the newest model answer. */
  #asked: string | undefined
  readonly #calledFor = new CallSubjects()

  private constructor(host: SessionHost, session_id: string, user_id: string | undefined, about?: About) {
    this.#host = host
    this.session_id = session_id
    this.user_id = user_id
    this.#stream = new Stream(session_id, host, about)
  }

  /** Begins a session; its `session_start` is accepted when this returns. */
  static begin(host: SessionHost, facts: SessionFacts, place: { parent?: AgentSession; implicit?: boolean } = {}): AgentSession {
    checkFacts(facts)
    const agent: Partial<AgentFacts> = { ...host.defaults, ...defined({ agent_id: facts.agent_id, agent_version: facts.agent_version, model_id: facts.model_id, system_prompt: facts.system_prompt }) }
    if (agent.agent_id === undefined) throw new MisuseError('no_agent_id', 'session: expected an agent_id, got none', "pass agent_id to openTrail or to the session, for example 'support-bot'")
    for (const name of ['agent_id', 'agent_version', 'model_id'] as const) if (agent[name] !== undefined) label(agent[name], name)
    const own = facts.session_id !== undefined && isUuid(facts.session_id) ? facts.session_id : undefined
    personsOf(facts.subject)
    // who is named is who it is about; else a session begun while the work is about somebody goes on being about them
    const subject = facts.subject === undefined && facts.user_id === undefined ? (currentSubject() ?? place.parent?.subject) : facts.subject
    const session = new AgentSession(host, own ?? uuidv7(host.clock()), facts.user_id, { subject })
    const payloads: Record<string, Value> = {
      identity: facts.user_id === undefined ? undefined : { m: 'json', content: identityOf([facts.user_id], 'user'), subject: null },
      user_message: facts.user_message === undefined ? undefined : textPiece(facts.user_message),
      system_prompt: agent.system_prompt === undefined ? undefined : textPiece(agent.system_prompt),
      client_session_id: facts.session_id === undefined || own !== undefined ? undefined : textPiece(facts.session_id),
      on_behalf_of: facts.on_behalf_of === undefined ? undefined : jsonPiece({ subject: facts.on_behalf_of }),
      tags: facts.tags === undefined ? undefined : jsonPiece(facts.tags),
    }
    const { parent } = place
    session.#stream.emit('session_start', {
      facts: {
        agent_id: agent.agent_id, source: 'counterfoil-node', ...defined({ agent_version: agent.agent_version, model_id: agent.model_id }),
        ...(facts.user_id === undefined ? {} : { user: randomRef() }), ...(place.implicit === true ? { implicit: true } : {}),
        ...(parent === undefined ? {} : { parent_session_id: parent.session_id, root_session_id: parent.#root }),
      },
      payloads, subject: subject ?? null, persons: facts.user_id === undefined ? undefined : [facts.user_id],
    })
    session.#root = parent === undefined ? session.session_id : parent.#root
    if (parent !== undefined) parent.#children.add(session)
    session.#parent = parent
    if (parent?.isStopped === true) session.#stop()
    return session
  }

  /** Takes up a session that another recorder began. The caller has checked that it is there, and knows whose it is. */
  static resume(host: SessionHost, session_id: string, known: { user_id?: string; root_session_id?: string; about?: About } = {}, reason = 'resumed'): AgentSession {
    const session = new AgentSession(host, session_id, known.user_id, known.about)
    session.#root = known.root_session_id ?? session_id
    session.#found = new Set()
    session.#stream.emit('session_resume', { facts: { reason } })
    return session
  }

  #root = ''
  #parent: AgentSession | undefined
  /** The sessions begun in it that have not ended: a stop is theirs too. */
  #children = new Set<AgentSession>()

  /** Aborted when a person stops the session; its reason is a SessionStopped. */
  get signal(): AbortSignal {
    this.#watch()
    return this.#halt.signal
  }

  get isStopped(): boolean {
    return this.#halt.signal.aborted
  }

  /** Throws when a person stopped the session: nothing is to happen any more. */
  checkNotStopped(): void {
    this.#watch()
    this.#halt.signal.throwIfAborted()
  }

  /** From the first act on somebody may want to stop it. */
  #watch(): void {
    if (this.#unwatch !== undefined || this.#ended !== undefined || this.#suspended || this.#halt.signal.aborted) return
    this.#unwatch = () => {}
    this.#unwatch = this.#host.oversight.watch(this.session_id, () => this.#stop())
  }

  #stop(): void {
    this.#left()
    if (!this.#halt.signal.aborted) this.#halt.abort(new SessionStopped(this.session_id))
    for (const child of this.#children) child.#stop()
  }

  /** Nobody here waits for what people do to it any more. */
  #left(): void {
    this.#unwatch?.()
    this.#unwatch = undefined
  }

  /** Whether it is recorded where `host` records: several trails on one file are one log. */
  isOf(host: SessionHost): boolean {
    return host.sink === this.#host.sink
  }

  /** Whom it is recorded about now, as far as that is known. */
  get subject(): Subject | undefined {
    return this.#stream.subject
  }

  /** Runs `fn` with this as the current session and everything recorded meanwhile said to be of `subject`. */
  about<R>(subject: Subject, fn: () => R): R {
    return this.#host.current.run(this, () => runAbout(subject, fn))
  }

  /** As `record`, for what is told after the act. */
  recordAfter(event_type: string, event: { readonly [name: string]: unknown }): Recorded {
    return this.#record(event_type, event, 'after')
  }

  /** Records one event; see `EventInputs` for the fields of each type. Returns at once. */
  record(event_type: string, event: { readonly [name: string]: unknown }): Recorded {
    return this.#record(event_type, event)
  }

  #record(event_type: string, event: { readonly [name: string]: unknown }, capture?: Capture): Recorded {
    this.#open(event_type)
    const sorted = sortInput(event_type, event, this.#said)
    const type = event_type as KnownType
    const call_id = typeof event['call_id'] === 'string' ? event['call_id'] : undefined
    if (call_id !== undefined && Object.hasOwn(VOCABULARY[type].facts, 'call_id')) sorted.facts['call_id'] = foreignLabel(call_id).label
    sorted.parent_event_id ??= this.#callOf(type, call_id)
    if (sorted.subject === undefined && sorted.parent_event_id !== undefined && type.endsWith('_result')) sorted.subject = this.#calledFor.of(sorted.parent_event_id)
    const { subject } = sorted
    const isCall = type.endsWith('_call')
    sorted.capture = capture ?? (isCall || type === 'handoff' ? 'before' : 'after')
    const recorded = this.#stream.emit(type, sorted)
    this.#remember(type, recorded.event_id, call_id)
    if (isCall) this.#calledFor.belong(subject === undefined ? currentSubject() : subject, recorded.event_id, call_id)
    if (type === 'reasoning' && typeof event['text'] === 'string') this.#reasoned(event['text'], subject)
    return recorded
  }

  /** The classic `log()`: a type of ours when `name` is one and `content` fits it, else a `custom` event. */
  log(name: string, content: unknown, step_number?: number, capture?: Capture): Recorded {
    const step = step_number === undefined ? {} : { step_number }
    // a free text has subjects of its own (a mail's): here the word means nobody, and is content
    if (Object.hasOwn(VOCABULARY, name) && typeof content === 'object' && content !== null && !Array.isArray(content) && !Object.hasOwn(content, 'subject')) {
      try {
        return this.#record(name, { ...content, ...step }, capture)
      } catch (error) {
        if (!(error instanceof MisuseError)) throw error
      }
    }
    this.#open('custom')
    const fits = isLabel(name)
    return this.#stream.emit('custom', { facts: { name: fits ? name : 'other' }, payloads: { content: jsonPiece(fits ? content : { name, content }) }, capture: 'after', ...step })
  }

  /** Runs a model call told by hand: `llm_call` before, `llm_result` after, as `read` sees the result. */
  async llm<R>(call: { readonly [name: string]: unknown }, run: () => Promise<R>, read: (result: Awaited<R>) => { readonly [name: string]: unknown }): Promise<R> {
    const room = this.room()
    if (room !== undefined) await room // else it is on record in this tick
    const began = this.#host.clock()
    const opened = this.record('llm_call', call)
    await this.guard(opened, 'low')
    let result: Awaited<R>
    try {
      result = await run()
    } catch (error) {
      this.record('llm_result', { error, outcome: 'failure', latency_ms: Math.max(0, Math.round(this.#host.clock() - began)), parent_event_id: opened.event_id })
      throw error
    }
    const known = { outcome: 'success', latency_ms: Math.max(0, Math.round(this.#host.clock() - began)), parent_event_id: opened.event_id }
    try {
      this.record('llm_result', { ...known, ...read(result), parent_event_id: opened.event_id })
    } catch (error) {
      // the answer is there and paid for: what `read` could not make of it must not lose it
      this.record('llm_result', { ...known, error })
      this.#host.report(error as never)
    }
    return result
  }

  /** For integrations: a model call as it goes over the wire. */
  call(call: ModelCall): OpenModelCall {
    try {
      return this.#call(call)
    } catch (error) {
      // what cannot be recorded comes through ready(), where the failure policy has its say
      const problem = error as Error
      return { event_id: '', ready: () => Promise.reject(problem), finish: () => {} }
    }
  }

  #call(call: ModelCall): OpenModelCall {
    this.#open('llm_call')
    const provider = foreignLabel(call.provider).label
    const model = foreignLabel(call.model_id)
    const about = currentSubject()
    const recorded = this.#stream.emit('llm_call', {
      facts: { provider, model_id: model.label, streaming: call.streaming, attempt: call.attempt, endpoint: foreignLabel(call.endpoint.replace(/^\/+/, '')).label, message_count: call.input_messages.length, ...call.parameters },
      payloads: {
        input_messages: this.#calledFor.isEmpty ? call.input_messages : call.input_messages.map((piece) => (piece.subject === undefined ? { ...piece, subject: this.#calledFor.in(piece) } : piece)), system_prompt: call.system_prompt, tool_definitions: call.tool_definitions.length === 0 ? undefined : call.tool_definitions,
        request_parameters: call.request_parameters, continues: call.continues === undefined ? undefined : textPiece(call.continues), model_name: model.odd === undefined ? undefined : textPiece(model.odd),
      },
    })
    let finished = false
    return {
      event_id: recorded.event_id,
      ready: () => this.guard(recorded, 'low'),
      finish: (result) => {
        if (finished) return
        finished = true
        runAbout(about, () => this.#finish(recorded.event_id, call, result))
      },
    }
  }

  #finish(event_id: string, call: ModelCall, result: ModelResult): void {
    const names: Record<string, string> = {}
    const named = (fact: string, text: string | undefined): Record<string, string> => {
      if (text === undefined) return {}
      const { label: fits, odd } = foreignLabel(text)
      if (odd !== undefined) names[fact] = odd
      return { [fact]: fits }
    }
    const counts = defined({
      input_tokens: whole(result.input_tokens), output_tokens: whole(result.output_tokens), cache_read_tokens: whole(result.cache_read_tokens), cache_write_tokens: whole(result.cache_write_tokens),
      reasoning_tokens: whole(result.reasoning_tokens), latency_ms: whole(result.latency_ms), time_to_first_token_ms: whole(result.time_to_first_token_ms), status: whole(result.status),
    })
    const facts = { ...named('model_id', result.model_id), ...named('stop_reason', result.stop_reason), ...named('error_type', result.error_type), ...counts, attempt: call.attempt, complete: result.complete }
    try {
      const subject = this.#requested(result)
      const recorded = this.#stream.emit('llm_result', {
        subject, facts, outcome: result.outcome, capture: 'after', parent_event_id: event_id,
        payloads: {
          output: result.output.length === 0 ? undefined : result.output, output_text: result.output_text === undefined ? undefined : textPiece(result.output_text),
          tool_calls_requested: result.tool_calls_requested.length === 0 ? undefined : jsonPiece(result.tool_calls_requested), response_id: result.response_id === undefined ? undefined : textPiece(result.response_id),
          error: result.error, usage: result.usage, raw: result.raw, names: Object.keys(names).length === 0 ? undefined : jsonPiece(names),
        },
      })
      this.#asked = recorded.event_id
      for (const { text, form } of result.thinking) {
        if (text !== undefined) this.#reasoned(text, subject)
        this.#stream.emit('reasoning', { facts: { kind: 'model_reported', form }, payloads: { text: text === undefined ? undefined : textPiece(text) }, subject, capture: 'after', parent_event_id: recorded.event_id })
      }
    } catch (error) {
      this.#host.report(error as never)
    }
  }

  /** Whose an answer is: of whom its author says, and of whom the tools that it asks for say; undefined when nobody says anything. */
  #requested(result: ModelResult): Subject | undefined {
    const found: Subject[] = []
    for (const { name, input, call_id } of this.#host.subjects.size === 0 ? [] : result.tool_calls_requested) {
      const subject = this.subjectOf(name, input)
      if (subject === undefined) continue
      found.push(subject)
      this.#calledFor.belong(subject, call_id)
    }
    return found.length === 0 ? result.subject : together(result.subject === undefined ? this.subject : result.subject, ...found)
  }

  /** Whose the input of a tool is, as the tool says; undefined where it says nothing, or fails. */
  subjectOf(tool_name: string, input: unknown): Subject | undefined {
    const ask = this.#host.subjects.get(tool_name)
    if (ask === undefined) return undefined
    try {
      const said = ask(JSON.parse(JSON.stringify(input)) as never) as Subject | undefined
      personsOf(said)
      return said
    } catch {
      return undefined // it will say so itself when the call comes
    }
  }

  /** Waits until an event is as safe as an act of `risk` demands, an `approved` one always in the log; throws when the act must not happen. */
  async guard(recorded: Recorded, risk: Risk, approved = false): Promise<void> {
    try {
      await this.#guard(recorded, risk, approved)
    } catch (error) {
      if (isRefusal(error) && (error as { code?: unknown }).code === 'session_stopped') this.#stop()
      throw error
    }
  }

  async #guard(recorded: Recorded, risk: Risk, approved: boolean): Promise<void> {
    const { policy } = this.#host
    // That an approval is used once, only the ledger can say.
    const failure = approved ? 'block' : policy.failure[risk]
    const level = approved && policy.wait[risk] !== 'witnessed' ? 'durable' : policy.wait[risk]
    if (recorded.problem !== undefined) {
      if (failure !== 'continue') throw recorded.problem // not even the spool has it; reported already
      return
    }
    try {
      if (level === 'accepted' || level === 'spooled') await this.room()
      if (level !== 'accepted') await this.#stream.reach(recorded.event_id, level, policy.patience)
    } catch (error) {
      if (isRefusal(error) || failure === 'block') throw error
      this.#host.report(error as never)
    }
  }

  /** While much waits for the log, what can wait does: for its failing too, and no longer than the policy's patience. Undefined when there is room. */
  room(): Promise<void> | undefined {
    return this.#host.sink.room(this.#host.policy.patience)
  }

  /** Puts an action before a person. Resolves with the answer, whatever it is; the request and the answer are durable then. */
  async approval(action: Action, approver?: Approver | Others): Promise<Approval> {
    return (await this.ask(action, approver)).approval
  }

  /** As `approval`, with the events that it left on record; for tools. */
  async ask(action: Action, approver: Approver | Others | undefined, call_id?: string): Promise<RecordedApproval> {
    this.#open('approval_request')
    this.checkNotStopped()
    return askApproval(action, {
      oversight: this.#host.oversight, masks: this.#host.masks, signal: AbortSignal.any([this.#halt.signal, this.#laid.signal]), patience: this.#host.policy.patience, found: this.#found,
      stream: this.#stream, approver: approver ?? this.#host.approve, user_id: this.user_id, reasoning: this.#reasoningOf(action.subject), clock: this.#host.clock,
      call_id: call_id === undefined ? undefined : foreignLabel(call_id).label, parent_event_id: this.#asked, subject: action.subject,
    })
  }

  /** Records that a tool is about to run; for `toolOf`. */
  beginTool(tool_name: string, input: string, options: { risk: Risk; subject?: Subject | undefined; call_id?: string | undefined; approval?: RecordedApproval | undefined }): Recorded {
    this.#open('tool_call')
    const name = foreignLabel(tool_name)
    const recorded = this.#stream.emit('tool_call', {
      facts: { tool_name: name.label, risk: options.risk, ...(options.call_id === undefined ? {} : { call_id: foreignLabel(options.call_id).label }), ...(options.approval === undefined ? {} : { requires_approval: true }) },
      ...(options.approval === undefined ? {} : { links: { approval: options.approval.decision } }),
      payloads: {
        tool_input: options.approval === undefined ? { m: 'json', content: input } : { same: options.approval.request },
        names: name.odd === undefined ? undefined : jsonPiece({ tool_name: name.odd }),
      },
      parent_event_id: this.#asked, subject: options.subject,
    })
    this.#calledFor.belong(options.subject, recorded.event_id, options.call_id)
    return recorded
  }

  /** Runs a tool as the act `event_id`, with this session as the current one; for `toolOf`. */
  act<R>(event_id: string, subject: Subject | undefined, run: () => R): R {
    return this.#host.current.run(this, () => acting.run(event_id, () => runAbout(subject === undefined ? currentSubject() : subject, run)))
  }

  /** Records how a tool call ended; for `toolOf`. */
  endTool(event_id: string, result: { tool_name: string; call_id?: string | undefined; outcome: Outcome; output?: unknown; error?: unknown; execution_time_ms?: number; subject?: Subject | undefined }): Recorded {
    const payloads: Record<string, Value> = { tool_output: jsonPiece(result.output) }
    const facts = result.error === undefined ? {} : errorInto('tool_result', result.error, payloads)
    return this.#stream.emit('tool_result', {
      facts: {
        tool_name: foreignLabel(result.tool_name).label, ...facts, ...(result.call_id === undefined ? {} : { call_id: foreignLabel(result.call_id).label }),
        ...(result.execution_time_ms === undefined ? {} : { execution_time_ms: Math.max(0, Math.round(result.execution_time_ms)) }),
      },
      payloads, outcome: result.outcome, capture: 'after', parent_event_id: event_id, subject: result.subject,
    })
  }

  /** Makes this the current session of the async context while `fn` runs. */
  run<R>(fn: () => R): R {
    const entered = this.#host.current.getStore() !== this // another session is about somebody else
    return this.#host.current.run(this, entered ? () => runAbout(undefined, fn) : fn)
  }

  /** A tool on the record, of this session whatever the async context. */
  tool(definition: object, run?: unknown): unknown {
    return makeTool(definition, run, () => this, this.#host.subjects)
  }

  /** Hands work to another agent: a child session, ended when `run` is done. */
  async agent<R>(facts: AgentFacts & { instructions?: string; subject?: Subject }, run: (child: AgentSession) => R | Promise<R>): Promise<R> {
    this.#open('handoff')
    // What the trail says of its own agent is not true of another one.
    const child = AgentSession.begin({ ...this.#host, defaults: {} }, { ...facts, ...(this.user_id === undefined ? {} : { user_id: this.user_id }), ...(facts.instructions === undefined ? {} : { user_message: facts.instructions }), subject: facts.subject === undefined ? this.subject ?? null : facts.subject }, { parent: this })
    this.#stream.emit('handoff', { subject: facts.subject, facts: { to_agent_id: facts.agent_id, child_session_id: child.session_id }, payloads: { instructions: facts.instructions === undefined ? undefined : textPiece(facts.instructions) } })
    return child.through(run)
  }

  /** Runs `run` as the current session and ends it: success, or an `error` event and failure. */
  through<R>(run: (session: AgentSession) => R | Promise<R>): Promise<R> {
    return this.run(() => this.#through(run))
  }

  async #through<R>(run: (session: AgentSession) => R | Promise<R>): Promise<R> {
    let result: R
    try {
      result = await run(this)
    } catch (error) {
      if (this.#ended === undefined && !this.#suspended) {
        const outcome = isA(error, ApprovalDenied) ? 'denied' : 'failure'
        this.record('error', { error, recoverable: false })
        await this.end({ outcome, reason: 'error' }).catch((problem) => this.#host.report(problem))
      }
      throw error
    }
    if (this.#ended === undefined && !this.#suspended) await this.end({ outcome: 'success' }).catch((problem) => this.#host.report(problem)) // the work is done: its result must not be lost for that
    return result
  }

  /** A person steps in. */
  intervene(kind: 'stop' | 'override' | 'edit' | 'takeover', note: { actor: string; note?: string }): Recorded {
    this.#open('human_intervention')
    if (typeof note?.actor !== 'string') throw new MisuseError('no_actor', 'session: expected intervene() to name an actor, got none', 'say who stepped in')
    const recorded = this.#stream.emit('human_intervention', { facts: { kind, actor: randomRef() }, payloads: { identity: { m: 'json', content: identityOf([note.actor], 'operator'), subject: null }, note: note.note === undefined ? undefined : textPiece(note.note) }, capture: 'after' })
    if (kind === 'stop') this.#stop()
    return recorded
  }

  /** Lays the session down; `trail.resume(session_id)` takes it up, here or elsewhere. */
  async suspend(reason = 'suspended'): Promise<Receipt> {
    this.#open('session_suspend')
    const recorded = this.#stream.emit('session_suspend', { facts: { reason }, capture: 'after' })
    this.#suspended = true
    this.#left()
    this.#laid.abort(new StoreError('session_suspended', `session: ${this.session_id} was laid down while somebody was asked`, 'take it up with trail.resume(session_id) and ask again: the request is found again'))
    this.#said.clear()
    return recorded.durable()
  }

  /** Ends the session, once, with the outcome `timeout` as a `session_timeout`; later calls give the first receipt. Resolves when the end, and with it all before, is durable. */
  async end(end: SessionEnd = {}): Promise<Receipt> {
    if (this.#ended === undefined) checkEnd(end)
    this.#left()
    if (this.#parent !== undefined) this.#parent.#children.delete(this)
    return (this.#ended ??= this.#end(end.outcome === 'timeout' ? 'session_timeout' : 'session_end', end))
  }

  #end(type: 'session_end' | 'session_timeout', { outcome, reason, final_output }: SessionEnd): Promise<Receipt> {
    if (final_output !== undefined) this.#stream.emit('final_output', { payloads: { output: pieceOf(final_output) }, capture: 'after' })
    const name = reason === undefined ? undefined : foreignLabel(reason)
    this.#said.clear()
    return this.#stream.emit(type, {
      facts: name === undefined ? {} : { reason: name.label }, payloads: { note: name?.odd === undefined ? undefined : textPiece(name.odd) }, capture: 'after', outcome: outcome ?? 'unknown',
    }).durable()
  }

  get ended(): boolean {
    return this.#ended !== undefined
  }

  /** The classic `get_session_trail()`: one row per call and event, oldest first. */
  async trail(): Promise<unknown[]> {
    return this.#host.rows(this.session_id)
  }

  reach(event_id: string, level: Level): Promise<Receipt> {
    return this.#stream.reach(event_id, level)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended === undefined && !this.#suspended) await this.end()
  }

  #open(event_type: string): void {
    if (this.#suspended) throw new MisuseError('session_suspended', `session: ${event_type} after suspend()`, 'take the session up with trail.resume(session_id)')
  }

  #reasoned(text: string, subject: Subject | undefined): void {
    this.#reasoning.push({ text, of: this.#named(subject) })
    if (this.#reasoning.length > REASONING_KEPT) this.#reasoning.shift()
  }

  /** What an approver is shown is on record with the request: of other persons it would stay there when they are erased. */
  #reasoningOf(subject: Subject | undefined): string[] {
    const wanted = this.#named(subject)
    return this.#reasoning.filter(({ of }) => of === wanted).slice(-REASONING_SHOWN).map(({ text }) => text)
  }

  #named(subject: Subject | undefined): string {
    return JSON.stringify(personsOf(subject === undefined ? this.subject : subject, Infinity) ?? [])
  }

  #callOf(type: KnownType, call_id: string | undefined): string | undefined {
    if (type === 'tool_result') return (call_id === undefined ? undefined : this.#calls.get(call_id)) ?? this.#lastCall.get('tool_call')
    if (type === 'llm_result') return this.#lastCall.get('llm_call')
    if (type === 'tool_call' || type === 'reasoning') return this.#asked
    return acting.getStore()
  }

  #remember(type: KnownType, event_id: string, call_id: string | undefined): void {
    if (type === 'llm_call' || type === 'tool_call') this.#lastCall.set(type, event_id)
    if (type === 'tool_call' && call_id !== undefined) this.#calls.set(call_id, event_id)
    if (type === 'tool_result' && call_id !== undefined) this.#calls.delete(call_id)
    if (type === 'llm_result') this.#asked = event_id
  }
}

Object.defineProperty(AgentSession.prototype, MODEL_CALLS, {
  value: function (this: AgentSession): ModelCallSink {
    return this
  },
})

function whole(value: number | undefined): number | undefined {
  return value === undefined || !Number.isFinite(value) ? undefined : Math.round(value)
}

function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never
}
