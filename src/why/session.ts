// One pass over a session's events: what everybody said, in order, and what answers what. Messages that a caller sends again with
// every call are read once.

import { Absent, type ViewEvent } from '../event/view.ts'
import { type Gone, isFields, readMessage, readOutput, readRequest, type Request, type Said, textOf } from './message.ts'
import { type Missing, missingOf } from './missing.ts'
import type { SourceKind, Trust } from './result.ts'
import { type Text, TextIndex } from './text-index.ts'

/** What an answer of a model asked for. `by_output`: read from its content blocks, not from `tool_calls_requested`. */
export interface Answer {
  readonly position: number
  readonly requests: readonly Request[]
  readonly by_output: boolean
  /** why what it asked for cannot be read */
  readonly absent: Absent | null
}

export class Session {
  readonly events: readonly ViewEvent[]
  readonly #events: ViewEvent[] = []
  readonly texts: TextIndex
  /** the models' answers in order */
  readonly answers: readonly Answer[]
  /** payloads that are not there, by the position of the first event that has them */
  readonly absent: readonly { readonly position: number; readonly what: Absent }[]
  /** content that holds no text, by the position of the first event that has it */
  readonly opaque: readonly { readonly position: number; readonly what: string }[]
  readonly #positions = new Map<string, number>()
  readonly #children = new Map<string, number[]>()
  readonly #answers: Answer[] = []
  readonly #absent: { position: number; what: Absent }[] = []
  readonly #opaque: { position: number; what: string }[] = []
  readonly #toolNames = new Map<string, string>()
  readonly #declarations: ViewEvent[] = []
  readonly #read = new WeakSet<object>()
  #missing: readonly Missing[] | undefined

  /** `events` of one session and, if wanted, of its parents; put in the order of the log. `limit` is in characters. */
  constructor(events: readonly ViewEvent[], limit?: number) {
    this.events = this.#events
    this.texts = new TextIndex(limit)
    this.answers = this.#answers
    this.absent = this.#absent
    this.opaque = this.#opaque
    for (const event of [...events].sort((a, b) => a.index - b.index)) this.add(event)
  }

  /** Takes the next event in, which is later in the log than all before it; gives its position. `kept`: what of it stays in `events`. */
  add(event: ViewEvent, kept: ViewEvent = event): number {
    const position = this.#events.push(kept) - 1
    this.#positions.set(event.event_id, position)
    const parent = event.parent_event_id
    if (parent !== null && parent !== undefined) {
      const children = this.#children.get(parent)
      if (children === undefined) this.#children.set(parent, [position])
      else children.push(position)
    }
    this.#readEvent(event, position)
    this.#missing = undefined
    return position
  }

  /** What was not looked at. Made anew once events were added. */
  get missing(): readonly Missing[] {
    return (this.#missing ??= missingOf(this))
  }

  position(event_id: string): number | undefined {
    return this.#positions.get(event_id)
  }

  children(event_id: string): readonly number[] {
    return this.#children.get(event_id) ?? []
  }

  at(position: number): ViewEvent {
    return this.events[position] as ViewEvent
  }

  /** Everything that the events before `end` said is there to read. */
  complete(end: number): boolean {
    return (this.missing[0]?.position ?? end) >= end
  }

  /** Whom a text comes from, as declared up to the event at `end`. */
  trust(text: Text, end: number): Trust {
    switch (text.kind) {
      case 'user_message': return 'user'
      case 'system_prompt': case 'tool_definition': case 'author': return 'author'
      case 'human': return 'human'
      case 'model': return 'model'
      case 'data': return this.at(text.position).trust === 'trusted' ? 'trusted' : 'untrusted'
      case 'tool_answer': return this.#declared(text, end)
      default: return 'unknown'
    }
  }

  // A data_access speaks for a tool's answer when it happened inside that call, or names the tool as its source. One word of
  // `untrusted` outweighs any of `trusted`.
  #declared(text: Text, end: number): Trust {
    const source = this.at(text.position)
    const declared = this.#declarations.filter((event) =>
      (this.position(event.event_id) ?? end) < end &&
      ((text.answers !== null && (event.parent_event_id === text.answers || this.#callIdOf(event.parent_event_id) === text.answers)) ||
        event.parent_event_id === source.event_id || (text.name !== null && event.source === text.name)))
    return declared.length > 0 && declared.every((event) => event.trust === 'trusted') ? 'trusted' : 'untrusted'
  }

  #callIdOf(event_id: string | null | undefined): string | undefined {
    const position = event_id === null || event_id === undefined ? undefined : this.position(event_id)
    const call_id = position === undefined ? undefined : this.at(position).call_id
    return typeof call_id === 'string' ? call_id : undefined
  }

  // ------------------------------------------------------------------------------------------------ what each event says

  #readEvent(event: ViewEvent, position: number): void {
    switch (event.event_type) {
      case 'session_start':
        this.#one(position, 'system_prompt', event.system_prompt)
        this.#one(position, 'user_message', event.user_message)
        return this.#definitions(position, event.tool_definitions)
      case 'context':
      case 'llm_call':
        this.#one(position, 'system_prompt', event.system_prompt)
        this.#definitions(position, event.tool_definitions)
        return this.#messages(position, event.input_messages)
      case 'llm_result': return this.#answer(event, position)
      case 'reasoning': return this.#one(position, event.kind === 'author_stated' ? 'author' : 'model', event.text)
      case 'tool_call':
        if (typeof event.call_id === 'string') this.#toolNames.set(event.call_id, nameIn(event.tool_name))
        return this.#one(position, 'earlier_call', event.tool_input, nameIn(event.tool_name))
      case 'tool_result': return this.#toolResult(event, position)
      case 'data_access':
        if (event.trust !== undefined) this.#declarations.push(event)
        return this.#one(position, 'data', event.reference, nameIn(event.source))
      case 'approval_decision': return this.#one(position, 'human', event.comment)
      case 'human_intervention': return this.#one(position, 'human', event.note)
      case 'handoff': return this.#one(position, 'author', event.instructions)
      case 'config_change':
        this.#one(position, 'system_prompt', event.system_prompt)
        return this.#one(position, 'author', event.after)
      default:
    }
  }

  #one(position: number, kind: SourceKind, value: unknown, name?: string): void {
    this.#say(position, null, { kind, ...readWhole(value, this.#gone(position)), ...(name !== undefined && { name }) })
  }

  #say(position: number, message: number | null, said: Omit<Said, 'text'> & { readonly text?: string }, answers?: string): void {
    if (said.text === undefined) return
    const answered = answers ?? said.call_id ?? null
    const name = said.name ?? (said.kind === 'tool_answer' && answered !== null ? this.#toolNames.get(answered) : undefined) ?? null
    this.texts.add({ position, kind: said.kind, name, message, answers: answered, text: said.text, ...('json' in said && { json: said.json }) })
  }

  #definitions(position: number, list: unknown): void {
    for (const definition of this.#listOf(position, list)) {
      if (!this.#firstTime(definition)) continue
      const name = isFields(definition) ? (isFields(definition.function) ? definition.function.name : definition.name) : undefined
      this.#one(position, 'tool_definition', definition, typeof name === 'string' ? name : undefined)
    }
  }

  #messages(position: number, list: unknown): void {
    for (const [number, message] of this.#listOf(position, list).entries()) {
      if (!this.#firstTime(message)) continue
      const { said, requests } = readMessage(message, this.#gone(position))
      for (const request of requests) if (request.call_id !== null) this.#toolNames.set(request.call_id, request.name)
      for (const one of said) this.#say(position, number, one)
    }
  }

  #answer(event: ViewEvent, position: number): void {
    const output = readOutput(this.#listOf(position, event.output), this.#gone(position))
    const unread = this.#absent.findLast((one) => one.position === position)?.what ?? null
    for (const said of output.said) this.#say(position, null, said)
    this.#one(position, 'model', event.output_text)
    const named = this.#listOf(position, event.tool_calls_requested).flatMap((call) => readRequest(call) ?? [])
    for (const { input } of named) this.#one(position, 'model', input)
    const requests = named.length > 0 ? named : output.requests
    for (const request of requests) if (request.call_id !== null) this.#toolNames.set(request.call_id, request.name)
    const absent = event.tool_calls_requested instanceof Absent ? event.tool_calls_requested : named.length > 0 ? null : unread
    this.#answers.push({ position, requests, by_output: named.length === 0, absent })
  }

  #toolResult(event: ViewEvent, position: number): void {
    const call = event.parent_event_id === null ? undefined : this.position(event.parent_event_id)
    const call_id = typeof event.call_id === 'string' ? event.call_id : undefined
    const name = call !== undefined && this.at(call).event_type === 'tool_call' ? this.at(call).tool_name : event.tool_name
    const answers = call_id ?? (call === undefined ? undefined : this.at(call).event_id)
    for (const value of [event.tool_output, event.error]) {
      const gone = this.#gone(position)
      const said = isBlocks(value) ? readMessage({ role: 'tool', content: value }, gone).said : [readWhole(value, gone)]
      for (const one of said) this.#say(position, null, { kind: 'tool_answer', ...one, ...(typeof name === 'string' && { name }) }, answers)
    }
  }

  #listOf(position: number, list: unknown): readonly unknown[] {
    if (list instanceof Absent) this.#gone(position).absent(list)
    return Array.isArray(list) ? list : []
  }

  #firstTime(value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return true
    if (this.#read.has(value)) return false
    this.#read.add(value)
    return true
  }

  #gone(position: number): Gone {
    return { absent: (what) => void this.#absent.push({ position, what }), opaque: (what) => void this.#opaque.push({ position, what }) }
  }
}

// A fact is a label; what stands in its place in a record that was not checked may be anything.
function nameIn(fact: unknown): string {
  return typeof fact === 'string' ? fact : ''
}

// Content blocks in a provider's form, and not just a list that a tool gave back.
function isBlocks(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.length > 0 && value.every((block) => isFields(block) && typeof block.type === 'string' && /text|image|document/.test(block.type))
}

function readWhole(value: unknown, gone: Gone): { text?: string; json?: unknown } {
  if (value instanceof Absent) gone.absent(value)
  if (value === null || value === undefined) return {}
  const text = textOf(value)
  if (text === null && value instanceof Uint8Array) gone.opaque('bytes that are no text')
  if (text === null) return {}
  return typeof value === 'string' || value instanceof Uint8Array ? { text } : { text, json: value }
}
