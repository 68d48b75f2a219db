// The public surface of a trail and a session, as types. What lands in the record is snake_case; every option is one word.

import type { CounterfoilError } from '../base/errors.ts'
import type { Mask } from '../event/mask.ts'
import type { Disclose, ExportedBundle } from '../ledger/bundle.ts'
import type { ModelCallSource, Subject } from '../event/model-call.ts'
import type { AuditEvent, EventInputs, EventType, Json, LLMCall, Place, SessionSummary, ToolCall, TrailRow } from '../event/public.ts'
import type { Outcome, Risk } from '../event/vocabulary.ts'
import type { Action, Approval, Approver, Others } from '../recorder/approval.ts'
import type { Failure } from '../recorder/policy.ts'
import type { AgentFacts, SessionEnd, SessionFacts } from '../recorder/session-facts.ts'
import type { Level, Receipt } from '../recorder/sink.ts'
import type { Recorded } from '../recorder/stream.ts'
import type { CallContext, RunnablePolicy, RunnableTool, Tool, ToolDefinition } from '../recorder/tool.ts'
import type { Property, Verdict } from '../verify/verdict.ts'
import type { Why } from '../why/result.ts'
import type { Finding } from './findings.ts'
import type { Results } from './results.ts'

/** What a tool's function is given beside its input. */
export interface ToolContext extends CallContext { readonly session: Session }

export interface TrailOptions extends Partial<AgentFacts> {
  /** The state folder where keys lie; default `$COUNTERFOIL_HOME`, then the user's state folder. */
  readonly home?: string
  /**
   * Of a trail in a file, the passphrase that the keys are under, if they are; of a log that begins, the one to put them under. Default `$COUNTERFOIL_PASSPHRASE`.
   * Of a server, the key that it knows this agent or person by. Default `$COUNTERFOIL_KEY`.
   */
  readonly key?: string
  /** The module that signs, where the log's key is kept elsewhere: its default export is a `Signer`, or a function from the log's origin to one. Default `$COUNTERFOIL_SIGNER`. */
  readonly signer?: string | URL
  /** The folder of spools; default `<path>.spool`, of a server one in the state folder. */
  readonly spool?: string
  /** The most that may wait for the log, in bytes; default 1 GiB, at least 1 MiB. At this bound nothing is accepted, as on a full disk; from half of it on, acts wait. */
  readonly backlog?: number
  /** What is cut out of payloads before anything is hashed; default secrets and card numbers. `[]` masks nothing. */
  readonly mask?: readonly Mask[]
  /** What an act of each risk waits for before it happens; default `durable`; with a server `durable` for high and critical, `spooled` below. */
  readonly wait?: Partial<Record<Risk, Level>>
  /** What happens to an act of each risk when the log cannot take its intent; default `block` for high and critical, `buffer` below. */
  readonly failure?: Partial<Record<Risk, Failure>>
  /** How long an act waits for a log in which nothing moves, in milliseconds; then `failure` decides. Default 30,000. */
  readonly patience?: number
  /** The path of a C2SP tlog-policy: its witnesses are asked while the trail is open. Without it nothing becomes `witnessed`. */
  readonly witness?: string
  /** With a server: why content is read. It is put on record there, and asked for of persons. */
  readonly purpose?: string
  /** With a server: how much of payloads to read; default `none`, with a purpose `full`. */
  readonly content?: 'none' | 'masked' | 'full'
  /** With a server: true allows http to another machine, where the network itself is trusted. Default `$COUNTERFOIL_INSECURE` = 1. */
  readonly insecure?: boolean
  /** Who is asked when a tool or `approval()` names nobody; `'others'`: people who decide elsewhere (`counterfoil approvals`, a server), and whose answers are waited for. */
  readonly approve?: Approver | Others
  /** Told of failures that nobody awaited, once per cause; default: one line on stderr. */
  readonly report?: (problem: CounterfoilError) => void
}

/** What can be recorded into: a Session, or a Trail (then: the session of this async context). */
export interface Recorder extends ModelCallSource {
  /** Records an event and returns at once. Its arguments are read before it returns. Throws a TypeError for what is not in the vocabulary. */
  record<K extends keyof EventInputs>(event_type: K, event: EventInputs[K] & Place): Recorded
  /** The classic `log()`: a type of ours when the content fits it, else a `custom` event. */
  log(name: string, content: Json, step_number?: number): Recorded
  /** A model call told by hand: recorded before `run` begins and after it ended. */
  llm<R>(call: EventInputs['llm_call'] & Place, run: () => Promise<R>, read: (result: Awaited<R>) => EventInputs['llm_result']): Promise<R>
  /** Runs `fn` with everything recorded meanwhile said to be of `subject`: model calls, events, tools, sessions begun in it. That of a session makes it the current one. */
  about<R>(subject: Subject, fn: () => R): R
  /** A tool on the record: durable intent, approval where the policy asks for one, the act, its result. */
  tool<In, Out>(definition: ToolDefinition<In>, run: (input: In, context: ToolContext) => Out | Promise<Out>): Tool<In, Out>
  /** An SDK's tool object, on the record; everything else about it is as it was. */
  tool<T extends RunnableTool>(tool: T, policy?: RunnablePolicy): T
  /** Puts an action before a person and resolves with the answer, which is durable then. */
  approval(action: Action): Promise<Approval>
}

export interface EventQuery<K> { readonly session_id?: string; readonly event_type?: K | readonly K[]; readonly tool_name?: string; readonly agent_id?: string; readonly user_id?: string; readonly outcome?: Outcome; readonly since?: Date; readonly until?: Date; readonly text?: string }
/** With a `session_id` one session is looked up. `user_id` is whom it is for, `subject` anybody of whom it has content. */
export interface SessionQuery { readonly session_id?: string; readonly agent_id?: string; readonly user_id?: string; readonly subject?: string; readonly outcome?: Outcome; readonly since?: Date; readonly until?: Date; readonly open?: boolean; readonly text?: string }

/** `severity`: at least so severe. */
export interface FindingQuery { readonly session_id?: string; readonly agent_id?: string; readonly rule?: string; readonly severity?: Finding['severity']; readonly since?: Date; readonly until?: Date }

export interface VerifyOptions { readonly require?: readonly Property[] }

/** `disclose` is `'none'` by default: no content goes out unasked. `witnesses` are verifier keys, whose cosignatures go along. */
export interface ExportOrder { readonly session_id: string; readonly disclose?: Disclose; readonly witnesses?: readonly string[] }

/** A failure that was reported. `timestamp` is when it came last. */
export interface TrailProblem { readonly code: string; readonly message: string; readonly next: string; readonly timestamp: string }

/** What a trail is at, as far as this process knows. Nothing is read for it: it may be asked for at any time. */
export interface TrailStatus {
  readonly origin: string
  /** Entries in the log. */
  readonly size: number
  /** Events accepted since it was opened. */
  readonly accepted: number
  /** Bytes and events that are accepted and not in the log yet. */
  readonly spooled: number
  readonly waiting: number
  /** For how long the oldest of them waits, in milliseconds; 0 when none does. */
  readonly oldest_ms: number
  /** The bound: at this many bytes nothing more is accepted. */
  readonly backlog: number
  /** Bytes in spools of processes that are gone, as they were when the log was opened; they count against the bound. */
  readonly left: number
  /** Events that could not be accepted, or were accepted and lost with a spool that somebody removed. */
  readonly lost: number
  /** The last failure, of whatever kind; null without any. */
  readonly problem: TrailProblem | null
  readonly last_checkpoint: string | null
  /** How many entries the policy's witnesses have seen, null without any. */
  readonly witnessed: number | null
}

export interface Trail extends Recorder, AsyncDisposable {
  /** Where the log is: a path, or the URL of a server. */
  readonly path: string
  /** Resolves when the log is open; rejects with what is wrong with it. */
  ready(): Promise<void>
  /** Runs `run` in a new session and ends it; an error is recorded and thrown on. */
  session<R>(facts: SessionFacts, run: (session: Session) => R | Promise<R>): Promise<R>
  /** A new session, to be ended by `end()` or `await using`. */
  start(facts: SessionFacts): Promise<Session>
  /** Takes up a session that this or another process began. */
  resume(session_id: string): Promise<Session>
  sessions(query?: SessionQuery): Results<SessionSummary>
  events<K extends EventType = EventType>(query?: EventQuery<K>): Results<AuditEvent<K>>
  calls(query?: EventQuery<'llm_call' | 'tool_call'>): Results<LLMCall | ToolCall>
  /**
   * What the rules notice, with what the ledger refused. Of a file: as it is read, each session when it is come to, the newest first. Of a server: what it put
   * on record, in the order of the log; the key needs the permission `findings`.
   */
  findings(query?: FindingQuery): Results<Finding>
  /** Checks the whole log. With `require`, a property that is not proved makes it throw a VerifyError. */
  verify(options?: VerifyOptions): Promise<Verdict>
  /**
   * Where an act came from, also out of the sessions that its session came from. Without an id: of the newest 200 sessions the last act of risk high or
   * above, done or only asked for, else the last tool call; undefined when there is none.
   */
  why(event_id?: string): Promise<Why | undefined>
  /** Proof that an event is in the log, for whoever has the entry and the log's verifier key: a C2SP `tlog-proof` text. */
  prove(event_id: string): Promise<string>
  /** One session's evidence as the JSON text of a bundle, for `verifyBundle` of `counterfoil/verify`, and for `evidencePage` of `counterfoil/page`, which makes the page of it. */
  export(order: ExportOrder): Promise<ExportedBundle>
  /**
   * Destroys the content of a session with its child sessions; of a person, wherever it is said to be theirs (`user_id`); or of a person in one
   * session and its child sessions. Proofs go on verifying.
   */
  erase(what: { readonly session_id: string; readonly subject?: string } | { readonly user_id: string }, why: { readonly reason: string; readonly legal_basis?: string; readonly actor?: string }): Promise<Receipt>
  /** Resolves when everything accepted so far has reached `level` (default durable). */
  flush(level?: Level): Promise<void>
  status(): TrailStatus
  /** Puts what was accepted into the log and closes it. */
  close(): Promise<void>
}

export interface Session extends Recorder, AsyncDisposable {
  readonly session_id: string
  /** Aborted within a second when a person stops the session, from wherever. */
  readonly signal: AbortSignal
  readonly user_id: string | undefined
  /** Makes it the current session of this async context while `fn` runs. */
  run<R>(fn: () => R): R
  /** Hands work to another agent: a child session, ended when `run` is done. */
  agent<R>(facts: AgentFacts & { readonly instructions?: string; readonly subject?: Subject }, run: (child: Session) => R | Promise<R>): Promise<R>
  /** A person steps in. */
  intervene(kind: 'stop' | 'override' | 'edit' | 'takeover', note: { readonly actor: string; readonly note?: string }): Recorded
  /** Lays the session down, for `trail.resume(session_id)`. */
  suspend(reason?: string): Promise<Receipt>
  /** Ends the session, once. Resolves when the end, and with it all before, is durable. */
  end(end?: SessionEnd): Promise<Receipt>
  /** The classic `get_session_trail()`: oldest first, one row per call. */
  trail(): Promise<TrailRow[]>
}
