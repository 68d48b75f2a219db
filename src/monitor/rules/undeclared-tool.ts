// A tool was called that no call of the model so far declared: a name that the model made up, or that was put into its mouth, and that
// something ran all the same. Without declarations on record nothing can be said, and neither where one of them cannot be read.

import { isMasked } from '../../why/match.ts'
import { Absent, type ViewEvent } from '../../event/view.ts'
import type { Session } from '../../why/session.ts'
import { isAct, isRiskyAct, shown, toolNameOf } from '../act.ts'
import type { Noticed } from '../finding.ts'
import type { Rule, Watcher } from '../rule.ts'

export const undeclaredTool: Rule = { name: 'undeclared_tool', says: 'a tool was called that was not declared to the model', begin }

function begin(): Watcher {
  const declared = new Set<string>()
  const told = new Set<string>()
  let readable = true
  return (event, session) => {
    if (event.event_type === 'llm_call' || event.event_type === 'session_start' || event.event_type === 'context') {
      if (!declare(event['tool_definitions'], declared)) readable = false
      return []
    }
    // What a tool calls inside itself, no model asked for.
    if (!isAct(event) || !readable || declared.size === 0 || isInsideAnother(event, session)) return []
    const name = toolNameOf(event)
    if (name === undefined || isMasked(name) || declared.has(name) || told.has(name)) return []
    const asked = requestFor(event, session)
    if (asked !== undefined && declared.has(asked.name)) return [] // run under another name than the model has for it
    told.add(name)
    return [noticed(event, asked === undefined ? undefined : session.at(asked.position), declared.size)]
  }
}

function noticed(act: ViewEvent, answer: ViewEvent | undefined, count: number): Noticed {
  const who = answer === undefined ? 'no answer of the model on record asks for it' : `the model asks for it in #${answer.index}`
  const risky = isRiskyAct(act)
  return {
    severity: answer === undefined ? (risky ? 'medium' : 'low') : risky ? 'high' : 'medium', acts: [act], ...(answer === undefined ? {} : { sources: [answer] }),
    explanation: `${shown(act)} was called, and is not among the ${count === 1 ? 'one tool' : `${count} tools`} declared to the model before it in this session; ${who}. Later calls of it are not told again.`,
  }
}

/** Takes in the names that a list of definitions declares. False where one of them cannot be read, or stands for tools that are not named. */
function declare(definitions: unknown, into: Set<string>): boolean {
  if (definitions === undefined || definitions === null) return true
  if (!Array.isArray(definitions)) return false
  let readable = true
  for (const definition of definitions) {
    const names = namesIn(definition)
    if (names.length === 0 || names.some(isMasked)) readable = false
    for (const name of names) into.add(name)
  }
  return readable
}

/** The names in one definition: Anthropic's and the AI SDK's `name`, OpenAI's `function.name`, Gemini's lists, a provider's own tool by its `type`. A set of a server's tools names none. */
function namesIn(definition: unknown): string[] {
  if (typeof definition !== 'object' || definition === null || definition instanceof Absent) return []
  const { name, type, function: inner, functionDeclarations, function_declarations } = definition as { readonly [field: string]: unknown }
  if (typeof name === 'string') return [name]
  if (typeof inner === 'object' && inner !== null) return namesIn(inner)
  const list = functionDeclarations ?? function_declarations
  if (Array.isArray(list)) return list.flatMap(namesIn)
  return typeof type === 'string' && !/mcp|toolset|namespace|function|custom/.test(type) ? [type] : []
}

function isInsideAnother({ parent_event_id }: ViewEvent, session: Session): boolean {
  const position = parent_event_id === null ? undefined : session.position(parent_event_id)
  return position !== undefined && session.at(position).event_type === 'tool_call'
}

/** What the model asked for when it asked for this: by the call's id, else by name in the newest answer. */
function requestFor(event: ViewEvent, session: Session): { name: string; position: number } | undefined {
  const call_id = event['call_id']
  const own = session.answers.filter(({ position }) => session.at(position).session_id === event.session_id)
  if (typeof call_id === 'string') {
    for (const { position, requests } of own.toReversed()) {
      const found = requests.find((request) => request.call_id === call_id)
      if (found !== undefined) return { name: found.name, position }
    }
  }
  const last = own.at(-1)
  const found = last?.requests.find(({ name }) => name === toolNameOf(event))
  return found === undefined || last === undefined ? undefined : { name: found.name, position: last.position }
}
