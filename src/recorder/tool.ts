// Tools on the record: durable intent, then a human where the policy asks for one, then the act, then its result.

import { performance } from 'node:perf_hooks'
import { MisuseError } from '../base/errors.ts'
import { MAX_QUORUM } from '../event/approval.ts'
import type { JsonSchema, ObjectSchema } from '../event/public.ts'
import { quote } from '../event/label.ts'
import type { Subject } from '../event/model-call.ts'
import type { Outcome, Risk } from '../event/vocabulary.ts'
import { ApprovalDenied, type Approval, type Approver, type Others, type RecordedApproval } from './approval.ts'
import { errorText, isA, jsonPiece, messageOf } from './content.ts'
import type { AgentSession } from './session.ts'
import { currentSubject, personsOf } from './subject.ts'

/** The Standard Schema interface (standardschema.dev, version 1): what zod, valibot and arktype schemas have. Only types. */
export interface StandardSchema<Out> { readonly '~standard': { readonly version: 1; readonly vendor: string; readonly validate: (value: unknown) => unknown; readonly types?: { readonly input: unknown; readonly output: Out } | undefined } }

/**
 * `subject` says of whom a call is: of its input, as it was recorded, gives whose the input, the output, errors, approvals and all recorded meanwhile are.
 * `approval`: who is asked before the tool runs, `true` for the trail's `approve`, `'others'` for people who decide elsewhere, `quorum` of them. `when` says which inputs it is needed for; all without.
 */
export interface ToolPolicy<In = unknown> { readonly risk?: Risk; readonly subject?: (input: In) => Subject | undefined; readonly approval?: Approver<In> | Others | boolean; readonly when?: (input: In) => boolean; readonly quorum?: number }

export interface ToolDefinition<In> extends ToolPolicy<In> { readonly name: string; readonly description?: string; readonly input?: StandardSchema<In>; readonly input_schema?: JsonSchema }

/** What is said of an SDK's tool. `name` is for a tool that does not know its own, as the AI SDK's, which is named by its key in `tools`. */
export interface RunnablePolicy extends ToolPolicy { readonly name?: string }

/** What a tool's function is given beside its input and its session. `signal` is aborted when a person stops the session. */
export interface CallContext { readonly call_id: string; readonly signal: AbortSignal; readonly approval?: Approval }

/** The same with the session. */
export interface ToolContext extends CallContext { readonly session: AgentSession }

/** A tool on the record. Call it with an input, or give `run` what the model sent: it answers with content for the model and never throws for the tool's own errors. */
export interface Tool<In, Out> {
  (input: In): Promise<Out>
  readonly definition: { readonly name: string; readonly description: string; readonly input_schema: ObjectSchema }
  run(input: unknown, call_id?: string): Promise<{ content: string; is_error: boolean }>
}

/** A tool object of an SDK: Anthropic's `betaZodTool`, the AI SDK's `tool()`, OpenAI Agents' `tool()`. */
export interface RunnableTool { readonly name?: string; run?: (...args: never[]) => unknown; execute?: (...args: never[]) => unknown }

export const RISKS: readonly string[] = ['low', 'medium', 'high', 'critical']

type CurrentSession = () => AgentSession
type ToolPolicyNamed = { readonly name?: string; readonly subject?: (input: never) => unknown }
type Subjects = Map<string, (input: never) => unknown>

/** `tool(definition, run)` or `tool(sdkTool, policy)`. */
export function makeTool(definition: object, run: unknown, session: () => AgentSession, subjects: Subjects): unknown {
  if (typeof definition !== 'object' || definition === null) throw new MisuseError('bad_tool', `tool: expected a definition or a tool object, got ${typeof definition}`, "trail.tool({ name: 'refund', … }, async (input) => …)")
  const tool = typeof run === 'function' ? toolOf(definition as never, run as never, session) : wrapTool(definition as never, (run ?? {}) as never, session)
  const { name = (definition as ToolPolicyNamed).name, subject } = (typeof run === 'function' ? definition : (run ?? {})) as ToolPolicyNamed
  if (name !== undefined && subject !== undefined) subjects.set(name, subject)
  return tool
}

/** Makes a tool of `run`. The session is looked up at each call, so a tool is made once, at module scope. */
export function toolOf<In, Out>(given: ToolDefinition<In>, run: (input: In, context: ToolContext) => Out | Promise<Out>, current: CurrentSession): Tool<In, Out> {
  const definition: ToolDefinition<In> = { ...given }
  checkDefinition(definition)
  if (typeof run !== 'function') throw new MisuseError('bad_tool', `tool: expected a function that runs ${definition.name}, got ${typeof run}`, "trail.tool({ name: 'refund', … }, async (input) => …)")
  const act = async (input: unknown, call_id: string | undefined): Promise<Out> => {
    const session = current()
    return perform(new ToolAct(session, definition as ActPolicy, input, call_id), async (taken, context) => run((await validated(definition, taken)) as In, context))
  }
  const tool = ((input: In) => act(input, undefined)) as Tool<In, Out>
  Object.defineProperty(tool, 'name', { value: definition.name })
  return Object.assign(tool, {
    definition: { name: definition.name, description: definition.description ?? '', input_schema: { type: 'object', ...(definition.input_schema ?? schemaOf(definition.input)) } },
    run: async (input: unknown, call_id?: string) => {
      try {
        const output = await act(input, call_id)
        return { content: typeof output === 'string' ? output : ((jsonPiece(output)?.content as string | undefined) ?? ''), is_error: false }
      } catch (error) {
        if (isHeldBack(error)) throw error
        return { content: messageOf(error), is_error: true }
      }
    },
  })
}

/** The SDK's own tool object with its `run` or `execute` on the record; everything else is as it was. */
export function wrapTool<T extends RunnableTool>(tool: T, policy: RunnablePolicy, current: CurrentSession): T {
  if ((tool as { [ON_RECORD]?: true })[ON_RECORD] === true) return tool // wrapped twice would be recorded twice
  const method = typeof tool.run === 'function' ? 'run' : typeof tool.execute === 'function' ? 'execute' : undefined
  if (method === undefined) throw new MisuseError('bad_tool', 'tool: expected a definition and a function, or a tool object with run() or execute(), got neither', "trail.tool({ name: 'refund', … }, async (input) => …)")
  const definition = { ...policy, name: policy.name ?? tool.name, copies: true }
  if (definition.name === undefined) throw new MisuseError('no_tool_name', 'tool: expected the tool to have a name, got none', "pass the one the model knows it by: trail.tool(sdkTool, { name: 'refund' })")
  checkDefinition(definition)
  const original = tool[method] as (...args: unknown[]) => unknown
  const actOf = (args: readonly unknown[]): ToolAct => new ToolAct(current(), definition as ActPolicy, args[0], callIdOf(args[1]))
  const runOf = (self: unknown, args: readonly unknown[]) => (taken: unknown): unknown => original.call(self === wrappedTool ? tool : self, taken, ...args.slice(1))
  const recorded = isGenerator(original)
    ? function (this: unknown, ...args: unknown[]): AsyncGenerator { return performYielding(actOf(args), runOf(this, args) as (taken: unknown) => AsyncGenerator) }
    : async function (this: unknown, ...args: unknown[]): Promise<unknown> { return perform(actOf(args), runOf(this, args)) }
  const wrappedTool: T = Object.create(Object.getPrototypeOf(tool) as object, Object.getOwnPropertyDescriptors(tool)) as T
  Object.defineProperty(wrappedTool, method, { value: recorded, writable: true, enumerable: true, configurable: true })
  Object.defineProperty(wrappedTool, ON_RECORD, { value: true })
  return wrappedTool
}

/** An SDK looks for an iterator on what comes back at once, before anything is on record: so it is asked of the function. */
function isGenerator(run: unknown): boolean {
  return Object.prototype.toString.call(run) === '[object AsyncGeneratorFunction]'
}

const ON_RECORD: unique symbol = Symbol.for('counterfoil.onRecord/1') as never

/** Runs the act; what it returns is its result. */
async function perform<Out>(act: ToolAct, run: (taken: unknown, context: ToolContext) => Out | Promise<Out>): Promise<Out> {
  await act.begin()
  let output: Out
  try {
    output = await act.within(() => run(act.taken(), act.context))
  } catch (error) {
    act.end({ outcome: outcomeOf(error), error })
    throw error
  }
  act.end({ outcome: 'success', output })
  return output
}

/** As `perform`, for what yields: everything goes on to the caller, and the last of it is the result, as the AI SDK has it. */
async function* performYielding(act: ToolAct, run: (taken: unknown) => AsyncGenerator): AsyncGenerator {
  await act.begin()
  let output: unknown
  let outcome: Outcome = 'unknown' // the caller went away before the end
  let failure: { error?: unknown } = {}
  try {
    const source = act.within(() => run(act.taken()))
    try {
      let step = await act.within(() => source.next())
      while (step.done !== true) {
        output = step.value
        const sent: unknown = yield output
        step = await act.within(() => source.next(sent))
      }
      outcome = 'success'
      return step.value
    } finally {
      if (outcome !== 'success') await act.within(() => source.return(undefined))
    }
  } catch (error) {
    outcome = outcomeOf(error)
    failure = { error }
    throw error
  } finally {
    act.end({ outcome, output, ...failure })
  }
}

type ActPolicy = ToolPolicy & { readonly name: string; readonly input?: StandardSchema<unknown>; readonly copies?: boolean }

/** One act: approval where asked for, intent on record as the policy demands, then the act, then its result. Its input is taken when it is made. */
class ToolAct {
  readonly #session: AgentSession
  readonly #policy: ActPolicy
  readonly #call_id: string | undefined
  readonly #text: string
  readonly #plain: boolean
  readonly #copy: { value: unknown } | undefined
  #recorded: RecordedApproval | undefined
  #unfit: { error: unknown } | undefined
  #event_id = ''
  #subject: Subject | undefined
  #began = 0

  // The tool gets the value parsed from what was recorded, never the caller's object, which may change while a human thinks.
  // An SDK's tool was promised what its own schema made of the input (a Date, a Map), so without an approval it gets a copy made in the same moment.
  constructor(session: AgentSession, policy: ActPolicy, input: unknown, call_id: string | undefined) {
    this.#session = session
    this.#policy = policy
    this.#call_id = call_id
    ;({ text: this.#text, plain: this.#plain } = textOf(input))
    this.#copy = policy.copies === true ? copyOf(input) : undefined
  }

  /** Resolves when the act may happen; rejects, with that on record, when it must not. */
  async begin(): Promise<void> {
    const { name, risk = 'low' } = this.#policy
    this.#checkNotStopped()
    if (!this.#plain && (this.#copy === undefined || asksFirst(this.#policy))) {
      this.#unfit = { error: new InvalidInput(`tool ${name}: the input is not JSON, so what would run is not what was recorded`) }
    }
    try {
      this.#subject = subjectOf(this.#policy, this.#text)
    } catch (error) {
      this.#unfit ??= { error: new InvalidInput(`tool ${name}: nobody can say whose this input is: ${messageOf(error)}`) }
    }
    if (this.#unfit === undefined && asksFirst(this.#policy)) await this.#ask(risk)
    const room = this.#session.room()
    if (room !== undefined) await room // else the intent is on record in this tick
    this.#checkNotStopped()
    const intent = this.#session.beginTool(name, this.#text, { risk, subject: this.#subject, call_id: this.#call_id, approval: this.#recorded })
    this.#event_id = intent.event_id
    try {
      await this.#session.guard(intent, risk, this.#recorded !== undefined)
    } catch (error) {
      this.#session.endTool(intent.event_id, { tool_name: name, call_id: this.#call_id, outcome: 'denied', error, subject: this.#subject })
      throw heldBack(error)
    }
    this.#began = performance.now()
  }

  #checkNotStopped(): void {
    try {
      this.#session.checkNotStopped()
    } catch (error) {
      throw heldBack(error)
    }
  }

  /** What the function gets. Throws when the input is none. */
  taken(): unknown {
    if (this.#unfit !== undefined) throw this.#unfit.error
    return this.#recorded === undefined && this.#copy !== undefined ? this.#copy.value : (JSON.parse(this.#text) as unknown)
  }

  get context(): ToolContext {
    return { call_id: this.#call_id ?? this.#event_id, session: this.#session, signal: this.#session.signal, ...(this.#recorded === undefined ? {} : { approval: this.#recorded.approval }) }
  }

  /** Runs a part of the act: what is recorded meanwhile belongs to it. */
  within<R>(run: () => R): R {
    return this.#session.act(this.#event_id, this.#subject, run)
  }

  end(result: { outcome: Outcome; output?: unknown; error?: unknown }): void {
    this.#session.endTool(this.#event_id, { tool_name: this.#policy.name, call_id: this.#call_id, execution_time_ms: performance.now() - this.#began, subject: this.#subject, ...result })
  }

  /** Whoever looks at the input (a question, an approver) gets a copy of its own: what they change in it is neither recorded nor run. */
  async #ask(risk: Risk): Promise<void> {
    const { name, approval, when, quorum } = this.#policy
    let input: unknown
    try {
      input = await validated(this.#policy, JSON.parse(this.#text))
    } catch (error) {
      this.#unfit = { error } // it cannot run, so nobody is asked
      return
    }
    if (when !== undefined && !asks(name, when(input))) return
    const recorded = await this.#session.ask({ tool_name: name, tool_input: JSON.parse(this.#text) as unknown, risk, ...(quorum === undefined ? {} : { quorum }), ...(this.#subject === undefined ? {} : { subject: this.#subject }) }, typeof approval === 'boolean' ? undefined : approval, this.#call_id).catch((error: unknown) => {
      throw heldBack(error) // nobody said no: the agent must not go on as if somebody had
    })
    this.#checkNotStopped()
    if (recorded.approval.decision !== 'approved') throw new ApprovalDenied(recorded.approval, name)
    this.#recorded = recorded
  }
}

/** `input` as JSON, taken now; `plain` unless JSON cannot say it. */
function textOf(input: unknown): { text: string; plain: boolean } {
  try {
    return { text: JSON.stringify(input) ?? 'null', plain: true }
  } catch {
    return { text: jsonPiece(input)!.content as string, plain: false }
  }
}

/** Whose the recorded input is, as the tool says. */
function subjectOf({ subject }: ActPolicy, text: string): Subject | undefined {
  if (subject === undefined) return currentSubject()
  const said = subject(JSON.parse(text))
  personsOf(said)
  return said === undefined ? currentSubject() : said
}

function copyOf(input: unknown): { value: unknown } | undefined {
  try {
    return { value: structuredClone(input) }
  } catch {
    return undefined
  }
}

function asksFirst({ approval }: ToolPolicy): boolean {
  return approval !== undefined && approval !== false
}

/** The answer of a question about the input. Anything but a boolean is no answer, and no act happens on it. */
function asks(name: string, answer: unknown): boolean {
  if (typeof answer === 'boolean') return answer
  if (answer instanceof Promise) answer.catch(() => {})
  throw new MisuseError('bad_approval', `tool ${name}: expected when(input) to return true or false, got ${answer instanceof Promise ? 'a promise' : typeof answer}`, 'a function that asks a person belongs to approval')
}

async function validated(definition: { readonly name: string; readonly input?: StandardSchema<unknown> }, value: unknown): Promise<unknown> {
  if (definition.input === undefined) return value
  const result = (await definition.input['~standard'].validate(value)) as { value?: unknown; issues?: readonly { message?: string; path?: readonly unknown[] }[] }
  if (result.issues === undefined) return result.value
  const issues = result.issues.map(({ message, path }) => `${(path ?? []).map((part) => (typeof part === 'object' && part !== null && 'key' in part ? String(part.key) : String(part))).join('.') || 'input'}: ${message ?? 'invalid'}`)
  throw new InvalidInput(`tool ${definition.name}: the input does not fit its schema: ${issues.join('; ')}`)
}

/** The input that the model sent does not fit the tool's schema; the tool did not run. */
export class InvalidInput extends TypeError {
  constructor(message: string) {
    super(message)
    this.name = 'InvalidInput'
  }
}

function schemaOf(input: StandardSchema<unknown> | undefined): JsonSchema {
  if (input === undefined) return { type: 'object' }
  const convert = (input as { toJSONSchema?: (options?: unknown) => JsonSchema }).toJSONSchema
  const json = (input['~standard'] as { jsonSchema?: { input?: (options: unknown) => JsonSchema } }).jsonSchema
  try {
    const schema = json?.input?.({ target: 'draft-2020-12' }) ?? convert?.call(input, { io: 'input' })
    if (schema !== undefined) return withoutMeta(schema)
  } catch {
    // a schema that JSON Schema cannot say: the author passes input_schema
  }
  throw new MisuseError('no_input_schema', `tool: the ${input['~standard'].vendor} schema of this tool cannot say itself as JSON Schema`, 'pass input_schema beside input')
}

function withoutMeta(schema: JsonSchema): JsonSchema {
  const { $schema: _, '~standard': __, ...rest } = schema
  return rest
}

const TOOL_FIELDS: ReadonlySet<string> = new Set(['name', 'description', 'input', 'input_schema', 'risk', 'subject', 'approval', 'when', 'quorum', 'copies'])

function checkDefinition(definition: { readonly name?: string | undefined; readonly risk?: Risk; readonly subject?: unknown; readonly approval?: unknown; readonly when?: unknown; readonly quorum?: unknown }): void {
  // a misspelt `approval` would be an act that nobody was asked about
  for (const name of Object.keys(definition)) if (!TOOL_FIELDS.has(name)) throw new MisuseError('unknown_field', `tool: expected a field of a tool, got ${JSON.stringify(name)}`, 'it has name, description, input, input_schema, risk, subject, approval, when, quorum')
  const { name, risk, approval, when, subject, quorum } = definition
  if (typeof name !== 'string' || name === '') throw new MisuseError('bad_tool', `tool: expected a name, got ${JSON.stringify(name)}`, 'give it the name that the model knows it by')
  if (risk !== undefined && !RISKS.includes(risk)) throw new MisuseError('bad_risk', `tool: expected risk to be one of ${RISKS.join(', ')}, got ${JSON.stringify(risk)}`, 'name one of them, or leave risk out for low')
  if (approval !== undefined && typeof approval !== 'boolean' && typeof approval !== 'function' && approval !== 'others') throw new MisuseError('bad_approval', `tool: expected approval to be true, false or a function, or 'others', got ${quote(approval)}`, "approval: true asks the trail's approve; a function asks whom it asks; 'others' waits for people who decide elsewhere")
  if (subject !== undefined && typeof subject !== 'function') throw new MisuseError('bad_subject', `tool: expected subject to be a function of the input, got ${quote(subject)}`, "subject: ({ customer_id }) => customer_id")
  if (quorum !== undefined && !(Number.isSafeInteger(quorum) && (quorum as number) >= 1 && (quorum as number) <= MAX_QUORUM)) throw new MisuseError('bad_quorum', `tool: expected quorum to be 1 to ${MAX_QUORUM} people, got ${quote(quorum)}`, "quorum: 2 beside approval: 'others'")
  if (when === undefined) return
  if (typeof when !== 'function') throw new MisuseError('bad_approval', `tool: expected when to be a function, got ${quote(when)}`, 'when: (input) => input.amount > 50; leave it out to ask about every input')
  if (!asksFirst({ approval } as ToolPolicy)) throw new MisuseError('bad_approval', 'tool: expected an approval beside when, got none', "add approval: true, or a function that asks a person")
}

function callIdOf(context: unknown): string | undefined {
  if (typeof context !== 'object' || context === null) return undefined
  const { toolUseBlock, toolCallId, toolCall } = context as { toolUseBlock?: { id?: unknown }; toolCallId?: unknown; toolCall?: { callId?: unknown } }
  const id = toolUseBlock?.id ?? toolCallId ?? toolCall?.callId
  return typeof id === 'string' ? id : undefined
}

function outcomeOf(error: unknown): Outcome {
  const { name } = errorText(error)
  return name === 'TimeoutError' ? 'timeout' : name === 'AbortError' ? 'unknown' : 'failure'
}

const held = new WeakSet<object>()

/** The record could not take the intent, so the act did not happen: no answer for the model, the agent must stop. */
function heldBack(error: unknown): unknown {
  if (typeof error === 'object' && error !== null) held.add(error)
  return error
}

/** Whether an act was held back because its intent could not be put on record, so that an agent loop must stop instead of telling the model. */
export function isHeldBack(error: unknown): boolean {
  return typeof error === 'object' && error !== null && (held.has(error) || isA(error, MisuseError))
}
