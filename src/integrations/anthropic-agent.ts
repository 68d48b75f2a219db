// The classic audited agent in one call: a message goes in, the model and its tools take turns, and everything is one session
// from `session_start` to `session_end`, or to `session_timeout` when the limit of turns is reached.

import type { ModelCallSource, Subject } from '../event/model-call.ts'
import { MisuseError, RemoteError, StoreError } from '../base/errors.ts'
import { auditAnthropic } from './anthropic.ts'

/** What we need of a trail. */
export interface AgentTrail extends ModelCallSource {
  start(facts: AgentSessionFacts): Promise<AgentSession>
  tool<T extends RunnableTool>(tool: T): T
}

/** What we need of a session. `end` with the outcome `timeout` is a `session_timeout`. */
export interface AgentSession {
  readonly session_id: string
  run<R>(fn: () => R): R
  record(event_type: 'error', event: { error: unknown; recoverable?: boolean }): unknown
  end(end: { outcome: 'success' | 'failure' | 'timeout'; reason: string; final_output?: string }): Promise<unknown>
}

interface AgentSessionFacts { user_message: string; subject?: Subject; user_id?: string; session_id?: string; model_id?: string; system_prompt?: string }

/** A tool that `trail.tool(definition, run)` made. */
export interface AuditedTool {
  readonly definition: { readonly name: string }
  run(input: unknown, call_id?: string): Promise<{ content: unknown; is_error: boolean }>
}

/** A tool of the SDK's helpers (`betaZodTool`, `betaTool`, …). It is put on the record with `trail.tool(tool)`, which gives back what is on it already. */
export interface RunnableTool { name: string; run?: (...args: never[]) => unknown; parse?: (content: unknown) => unknown }

/** A tool that the provider runs, as `{ type: 'web_search_20250305', name: 'web_search' }`; it goes into the request as it is. */
export interface ProviderTool { readonly type?: string | null; readonly name?: string; readonly [key: string]: unknown }

interface ContentBlock { readonly type: string }
interface ToolUse extends ContentBlock { readonly type: 'tool_use'; readonly id: string; readonly name: string; readonly input: unknown }
interface TextBlock extends ContentBlock { readonly type: 'text'; readonly text: string }

/** What we need of the SDK's client. */
export interface AgentClient {
  withOptions(options: never): unknown
  readonly messages: {
    create(request: never, options?: never): PromiseLike<unknown>
    stream(request: never, options?: never): { finalMessage(): Promise<unknown>; on(event: 'text', listener: (text: string) => void): unknown }
  }
}

interface AgentReply { readonly content: readonly ContentBlock[]; readonly stop_reason: string | null }

/** A message of the conversation, as the API takes it. */
export interface AgentMessage { readonly role: 'user' | 'assistant'; readonly content: string | readonly unknown[] }

export interface AuditedAgent {
  /** the SDK's client; it need not be on the record already */
  client: AgentClient
  trail: AgentTrail
  model: string
  user_message: string
  system?: string
  tools?: readonly (AuditedTool | RunnableTool | ProviderTool)[]
  /** the conversation before `user_message` */
  messages?: readonly AgentMessage[]
  /** how many times the model is asked at most; 10 by default */
  max_iterations?: number
  /** 4096 by default */
  max_tokens?: number
  user_id?: string
  session_id?: string
  /** whom the session is about: a person's id, or of a message whose it is, as `auditAnthropic` asks */
  subject?: string | readonly string[] | ((message: unknown) => Subject | undefined)
  /** ask for streams; `on_text` gets the text as it comes */
  stream?: boolean
  on_text?: (text: string) => void
  signal?: AbortSignal
  /** more of the request, as `{ temperature: 0, thinking: {…} }` */
  parameters?: { readonly [key: string]: unknown }
}

export interface AuditedAgentResult {
  readonly session_id: string
  /** `timeout`: the limit was reached while the model still asked for tools; those of its last reply were not run */
  readonly outcome: 'success' | 'timeout'
  /** the text of the last reply */
  readonly output: string
  readonly stop_reason: string | null
  readonly iterations: number
  readonly messages: readonly AgentMessage[]
}

/**
 * Runs the agent in a session of its own. Tools asked for together run together; a tool that throws gives the model an error
 * result. What else throws (the API, a policy that forbids a call, an abort) is recorded as an `error`, ends the session as a
 * failure and is thrown on as it is.
 */
export async function runAuditedAgent(agent: AuditedAgent): Promise<AuditedAgentResult> {
  const { trail, user_message, user_id, session_id, subject, system, model } = agent
  const session = await trail.start({
    user_message,
    model_id: model,
    ...(system !== undefined && { system_prompt: system }),
    ...(user_id !== undefined && { user_id }),
    ...(session_id !== undefined && { session_id }),
    ...(subject !== undefined && typeof subject !== 'function' && { subject }),
  })
  let result: Conversation
  try {
    result = await session.run(() => converse(agent))
  } catch (error) {
    session.record('error', { error, recoverable: false })
    await session.end({ outcome: 'failure', reason: 'error' }).catch(() => undefined) // the first error is the one to tell
    throw error
  }
  if (result.outcome === 'timeout') {
    await session.end({ outcome: 'timeout', reason: 'max_iterations' })
  } else {
    await session.end({ outcome: 'success', reason: result.stop_reason ?? 'end', final_output: result.output })
  }
  return { session_id: session.session_id, ...result }
}

type Conversation = Omit<AuditedAgentResult, 'session_id'>

async function converse(agent: AuditedAgent): Promise<Conversation> {
  const { max_iterations = 10, signal } = agent
  if (!Number.isSafeInteger(max_iterations) || max_iterations < 1) throw new RangeError(`anthropic: expected max_iterations of at least 1, got ${max_iterations}`)
  const tools = (agent.tools ?? []).map((tool) => prepareTool(agent.trail, tool))
  const ask = asker(agent, tools.map(({ definition }) => definition))
  const messages: AgentMessage[] = [...(agent.messages ?? []), { role: 'user', content: agent.user_message }]
  for (let iterations = 1; ; iterations++) {
    const { content, stop_reason } = await ask(messages)
    messages.push({ role: 'assistant', content })
    const asked = stop_reason === 'tool_use' ? content.filter((block): block is ToolUse => block.type === 'tool_use') : []
    const goesOn = asked.length > 0 || stop_reason === 'pause_turn'
    const done = { output: textOf(content), stop_reason, iterations, messages }
    if (!goesOn) return { outcome: 'success', ...done }
    if (iterations === max_iterations) return { outcome: 'timeout', ...done }
    signal?.throwIfAborted()
    if (asked.length > 0) messages.push({ role: 'user', content: await Promise.all(asked.map((use) => runTool(tools, use, signal))) })
  }
}

/** Asks the model, in one piece or as a stream. */
function asker(agent: AuditedAgent, tools: readonly object[]): (messages: readonly AgentMessage[]) => Promise<AgentReply> {
  const client = auditAnthropic(agent.client, agent.trail, typeof agent.subject === 'function' ? { subject: agent.subject } : {})
  const api = client.messages as unknown as {
    create(request: object, options: object): PromiseLike<AgentReply>
    stream(request: object, options: object): { finalMessage(): Promise<AgentReply>; on(event: 'text', listener: (text: string) => void): unknown }
  }
  const { model, max_tokens = 4096, system, parameters, signal, on_text } = agent
  return async (messages) => {
    const request = { ...parameters, model, max_tokens, messages: [...messages], ...(system !== undefined && { system }), ...(tools.length > 0 && { tools }) }
    const options = signal === undefined ? {} : { signal }
    if (agent.stream !== true) return await api.create(request, options)
    const stream = api.stream(request, options)
    if (on_text !== undefined) stream.on('text', (text) => on_text(text))
    return await stream.finalMessage()
  }
}

interface PreparedTool { readonly definition: object; readonly name: string | undefined; run?(use: ToolUse, signal: AbortSignal | undefined): Promise<{ content: unknown; is_error: boolean }> }

function prepareTool(trail: AgentTrail, tool: AuditedTool | RunnableTool | ProviderTool): PreparedTool {
  if (isAuditedTool(tool)) return { definition: tool.definition, name: tool.definition.name, run: (use) => tool.run(use.input, use.id) }
  if (!isRunnableTool(tool)) return { definition: tool, name: tool.name }
  const { run: _run, parse, close: _close, ...definition } = tool as RunnableTool & { close?: unknown }
  const audited = trail.tool(tool) as { run(input: unknown, context: object): unknown }
  return {
    definition,
    name: tool.name,
    run: async (use, signal) => {
      try {
        const input = parse === undefined ? use.input : parse.call(tool, use.input)
        return { content: await audited.run(input, { toolUse: use, toolUseBlock: use, signal }), is_error: false }
      } catch (error) {
        if (isOurs(error)) throw error
        return { content: errorContent(error), is_error: true }
      }
    },
  }
}

function isAuditedTool(tool: object): tool is AuditedTool {
  return 'definition' in tool && 'run' in tool
}

function isRunnableTool(tool: RunnableTool | ProviderTool): tool is RunnableTool {
  return typeof tool.run === 'function'
}

async function runTool(tools: readonly PreparedTool[], use: ToolUse, signal: AbortSignal | undefined): Promise<object> {
  const tool = tools.find(({ name }) => name === use.name)
  const { content, is_error } = (await tool?.run?.(use, signal)) ?? { content: `Error: Tool '${use.name}' not found`, is_error: true }
  return { type: 'tool_result', tool_use_id: use.id, content, ...(is_error && { is_error }) }
}

// The act could not be put on record, so it did not happen: nothing that the model could answer to.
function isOurs(error: unknown): boolean {
  return error instanceof StoreError || error instanceof RemoteError || error instanceof MisuseError
}

// The SDK's ToolError carries the content that the model is to see.
function errorContent(error: unknown): unknown {
  if (error instanceof Error && error.name === 'ToolError' && 'content' in error) return error.content
  return `Error: ${error instanceof Error ? error.message : String(error)}`
}

function textOf(content: readonly ContentBlock[]): string {
  return content.flatMap((block) => (block.type === 'text' ? [(block as TextBlock).text] : [])).join('')
}
