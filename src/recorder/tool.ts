// Tools on the record: durable intent, then a human where the policy asks for one, then the act, then its result.

import { performance } from 'node:perf_hooks'
import { MisuseError } from '../base/errors.ts'
import type { JsonSchema, ObjectSchema } from '../event/public.ts'
import type { Outcome, Risk } from '../event/vocabulary.ts'
import { ApprovalDenied, type Approval, type Approver, type RecordedApproval } from './approval.ts'
import { errorText, isA, jsonPiece, messageOf } from './content.ts'
import type { AgentSession } from './session.ts'

/** The Standard Schema interface (standardschema.dev, version 1): what zod, valibot and arktype schemas have. Only types. */
export interface StandardSchema<Out> { readonly '~standard': { readonly version: 1; readonly vendor: string; readonly validate: (value: unknown) => unknown; readonly types?: { readonly input: unknown; readonly output: Out } | undefined } }

/** `approval`: an approver, `true` for the trail's, or a question about the input. */
export interface ToolPolicy { readonly risk?: Risk; readonly approval?: Approver | boolean | ((input: unknown) => boolean) }

export interface ToolDefinition<In> extends ToolPolicy { readonly name: string; readonly description?: string; readonly input?: StandardSchema<In>; readonly input_schema?: JsonSchema }

/** What a tool's function is given beside its input and its session. `signal` is reserved for an operator's stop. */
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
export interface RunnableTool { readonly name: string; run?: (...args: never[]) => unknown; execute?: (...args: never[]) => unknown }

export const RISKS: readonly string[] = ['low', 'medium', 'high', 'critical']

type CurrentSession = () => AgentSession

/** `tool(definition, run)` or `tool(sdkTool, policy)`. */
export function makeTool(definition: object, run: unknown, session: () => AgentSession): unknown {
  if (typeof definition !== 'object' || definition === null) throw new MisuseError('bad_tool', `tool: expected a definition or a tool object, got ${typeof definition}`, "trail.tool({ name: 'refund', … }, async (input) => …)")
  return typeof run === 'function' ? toolOf(definition as never, run as never, session) : wrapTool(definition as never, (run ?? {}) as never, session)
}

/** Makes a tool of `run`. The session is looked up at each call, so a tool is made once, at module scope. */
export function toolOf<In, Out>(given: ToolDefinition<In>, run: (input: In, context: ToolContext) => Out | Promise<Out>, current: CurrentSession): Tool<In, Out> {
  const definition = { ...given }
  checkDefinition(definition)
  if (typeof run !== 'function') throw new MisuseError('bad_tool', `tool: expected a function that runs ${definition.name}, got ${typeof run}`, '')
  const act = async (input: unknown, call_id: string | undefined): Promise<Out> => {
    const session = current()
    return perform(session, definition, input, call_id, async (taken, context) => run((await validated(definition, taken)) as In, context))
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
export function wrapTool<T extends RunnableTool>(tool: T, policy: ToolPolicy, current: CurrentSession): T {
  if ((tool as { [ON_RECORD]?: true })[ON_RECORD] === true) return tool // wrapped twice would be recorded twice
  const method = typeof tool.run === 'function' ? 'run' : typeof tool.execute === 'function' ? 'execute' : undefined
  if (method === undefined) throw new MisuseError('bad_tool', 'tool: expected a definition and a function, or a tool object with run() or execute(), got neither', "trail.tool({ name: 'refund', … }, async (input) => …)")
  const definition = { ...policy, name: String(tool.name), copies: true }
  checkDefinition(definition)
  const original = tool[method] as (...args: unknown[]) => unknown
  const wrapped = function (this: unknown, ...args: unknown[]): Promise<unknown> {
    return perform(current(), definition, args[0], callIdOf(args[1]), (taken) => original.call(this === wrappedTool ? tool : this, taken, ...args.slice(1)))
  }
  const wrappedTool: T = Object.create(Object.getPrototypeOf(tool) as object, Object.getOwnPropertyDescriptors(tool)) as T
  Object.defineProperty(wrappedTool, method, { value: wrapped, writable: true, enumerable: true, configurable: true })
  Object.defineProperty(wrappedTool, ON_RECORD, { value: true })
  return wrappedTool
}

const ON_RECORD: unique symbol = Symbol.for('counterfoil.onRecord/1') as never

/** One act: approval where asked for, intent on record as the policy demands, the act, its result. */
async function perform<Out>(session: AgentSession, definition: ToolPolicy & { readonly name: string; readonly copies?: boolean }, input: unknown, call_id: string | undefined, run: (taken: unknown, context: ToolContext) => Out | Promise<Out>): Promise<Out> {
  const risk = definition.risk ?? 'low'
  // The tool gets the value parsed from what was recorded, never the caller's object, which may change while a human thinks.
  // An SDK's tool was promised what its own schema made of the input (a Date, a Map), so without an approval it gets a copy made in the same moment.
  const { text, plain } = textOf(input)
  const copy = definition.copies === true ? copyOf(input) : undefined
  const recorded = plain ? await approved(session, definition, text, risk, call_id) : undefined
  const taken = (recorded === undefined && copy !== undefined ? copy.value : JSON.parse(text)) as unknown
  const intent = session.beginTool(definition.name, text, { risk, call_id, approval: recorded })
  try {
    await session.guard(intent, risk, recorded !== undefined)
  } catch (error) {
    session.endTool(intent.event_id, { tool_name: definition.name, call_id, outcome: 'denied', error })
    throw heldBack(error)
  }
  const began = performance.now()
  const context: ToolContext = { call_id: call_id ?? intent.event_id, session, signal: new AbortController().signal, ...(recorded === undefined ? {} : { approval: recorded.approval }) }
  let output: Out
  try {
    if (!plain && (copy === undefined || asksFirst(definition))) throw new InvalidInput(`tool ${definition.name}: the input is not JSON, so what would run is not what was recorded`)
    output = await session.act(intent.event_id, () => run(taken, context))
  } catch (error) {
    session.endTool(intent.event_id, { tool_name: definition.name, call_id, outcome: outcomeOf(error), error, execution_time_ms: performance.now() - began })
    throw error
  }
  session.endTool(intent.event_id, { tool_name: definition.name, call_id, outcome: 'success', output, execution_time_ms: performance.now() - began })
  return output
}

/** `input` as JSON, taken now; `plain` unless JSON cannot say it. */
function textOf(input: unknown): { text: string; plain: boolean } {
  try {
    return { text: JSON.stringify(input) ?? 'null', plain: true }
  } catch {
    return { text: jsonPiece(input)!.content as string, plain: false }
  }
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

/** Whoever looks at the input (a question, an approver) gets a copy of its own: what they change in it is neither recorded nor run. */
async function approved(session: AgentSession, { name, approval }: ToolPolicy & { readonly name: string }, text: string, risk: Risk, call_id: string | undefined): Promise<RecordedApproval | undefined> {
  if (approval === undefined || approval === false) return undefined
  let approver: Approver | undefined
  if (typeof approval === 'function') {
    if (isApprover(approval)) approver = approval as Approver
    else if (!asks(name, (approval as (input: unknown) => unknown)(JSON.parse(text)))) return undefined
  }
  const recorded = await session.ask({ tool_name: name, tool_input: JSON.parse(text) as unknown, risk }, approver, call_id)
  if (recorded.approval.decision !== 'approved') throw new ApprovalDenied(recorded.approval, name)
  return recorded
}

/** The answer of a question about the input. Anything but a boolean is no answer, and no act happens on it. */
function asks(name: string, answer: unknown): boolean {
  if (typeof answer === 'boolean') return answer
  if (answer instanceof Promise) answer.catch(() => {}) // it belongs to an approver that was not marked
  throw new MisuseError('bad_approval', `tool ${name}: expected approval(input) to return true or false, got ${answer instanceof Promise ? 'a promise' : typeof answer}`, 'mark a plain function that asks a person with approver() from counterfoil')
}

/** Their types cannot tell them apart: an async function asks a person; a plain one is a question about the input (a plain function that returns a promise says so with `approver()`). */
function isApprover(approval: (...args: never[]) => unknown): boolean {
  return approval.constructor?.name === 'AsyncFunction' || (approval as { [APPROVER]?: true })[APPROVER] === true
}

const APPROVER: unique symbol = Symbol.for('counterfoil.approver') as never

/** Marks a plain function that returns a promise as one that asks a person. Async functions need no mark. */
export function approver(ask: Approver): Approver {
  return Object.assign((request: Parameters<Approver>[0]) => ask(request), { [APPROVER]: true as const })
}

async function validated<In>(definition: ToolDefinition<In>, value: unknown): Promise<unknown> {
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

const TOOL_FIELDS: ReadonlySet<string> = new Set(['name', 'description', 'input', 'input_schema', 'risk', 'approval', 'copies'])

function checkDefinition(definition: { name: string; risk?: Risk }): void {
  // a misspelt `approval` would be an act that nobody was asked about
  for (const name of Object.keys(definition)) if (!TOOL_FIELDS.has(name)) throw new MisuseError('unknown_field', `tool: expected a field of a tool, got ${JSON.stringify(name)}`, 'it has name, description, input, input_schema, risk, approval')
  const { name, risk } = definition
  if (typeof name !== 'string' || name === '') throw new MisuseError('bad_tool', `tool: expected a name, got ${JSON.stringify(name)}`, '')
  if (risk !== undefined && !RISKS.includes(risk)) throw new MisuseError('bad_risk', `tool: expected risk to be one of ${RISKS.join(', ')}, got ${JSON.stringify(risk)}`, '')
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
