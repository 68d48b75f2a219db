// A message put together from the events of a stream (docs "Streaming Messages"): the source slices of its blocks, with what
// the deltas brought. Members that no delta touches stay as they came; a tool's input is its joined `partial_json`.
//
// A stream may start its message twice (the same one again, or another after a fallback broke off the first): what was put
// together so far is then kept as `superseded_messages`. Events and deltas of unknown kinds are kept as `unknown_events`.

import type { Piece } from '../event/model-call.ts'
import { cutObject, joinMembers, type Member, type ObjectCut, parseJson } from './json-slices.ts'
import type { ServerSentEvent } from './sse.ts'

/** An error event in mid-stream. */
export interface StreamError { readonly outcome: 'failure'; readonly error_type: string; readonly error: Piece }

/** A message as it grows. Give it every event of the stream, in order. */
export class StreamedMessage {
  #members = new Map<string, string>()
  #usage = new Map<string, string>()
  #blocks = new Map<number, GrowingBlock>()
  readonly #superseded: string[] = []
  readonly #unknown: string[] = []
  #ended = false
  #error: StreamError | undefined

  /** Whether a block has begun. */
  get started(): boolean {
    return this.#blocks.size > 0
  }

  /** Whether `message_stop` has come. */
  get ended(): boolean {
    return this.#ended
  }

  get error(): StreamError | undefined {
    return this.#error
  }

  add({ event: name, data }: ServerSentEvent): void {
    const event = cutObject(data)
    const type = event?.value('type') ?? name
    const known = event === undefined ? this.#addUnreadable(type, data) : this.#addKnown(type, event, data)
    if (!known) this.#unknown.push(event === undefined ? JSON.stringify(data) : data)
  }

  /** The blocks by their index, each as JSON. */
  blocks(): string[] {
    return [...this.#blocks].sort(([a], [b]) => a - b).map(([, block]) => block.text())
  }

  /** The message without its blocks, in the shape of an answer that came in one piece. */
  cut(): ObjectCut {
    const members = [...this.#members].map(([key, text]) => ({ key, text }))
    if (this.#usage.size > 0) members.push({ key: 'usage', text: joinMap(this.#usage) })
    if (this.#superseded.length > 0) members.push({ key: 'superseded_messages', text: `[${this.#superseded.join(',')}]` })
    if (this.#unknown.length > 0) members.push({ key: 'unknown_events', text: `[${this.#unknown.join(',')}]` })
    return cutObject(joinMembers(members))!
  }

  #addKnown(type: unknown, event: ObjectCut, data: string): boolean {
    switch (type) {
      case 'ping':
        return true
      case 'message_start':
        return this.#startMessage(event.object('message'))
      case 'content_block_start':
        return this.#startBlock(event)
      case 'content_block_delta':
        return this.#growBlock(event)
      case 'content_block_stop':
        return this.#blocks.has(event.value('index') as number)
      case 'message_delta':
        return this.#changeMessage(event)
      case 'message_stop':
        this.#ended = true
        return true
      case 'error':
        this.#fail(event.object('error')?.value('type'), { m: 'json', content: data })
        return true
      default:
        return false
    }
  }

  // The SDK takes an `error` event's data as text when it is no JSON.
  #addUnreadable(type: unknown, data: string): boolean {
    if (type === 'error') this.#fail(undefined, { m: 'text', content: data })
    return type === 'error'
  }

  #fail(type: unknown, error: Piece): void {
    this.#error ??= { outcome: 'failure', error_type: typeof type === 'string' ? type : 'error', error }
  }

  #startMessage(message: ObjectCut | undefined): boolean {
    if (message === undefined) return false
    if (this.#members.get('id') !== message.text('id')) this.#supersede()
    setSaid(this.#members, message.members.filter(({ key }) => key !== 'content' && key !== 'usage'))
    setSaid(this.#usage, message.object('usage')?.members)
    for (const [index, text] of (message.elements('content') ?? []).entries()) this.#setBlock(index, cutObject(text))
    this.#ended = false
    return true
  }

  #supersede(): void {
    if (this.#members.size === 0 && this.#blocks.size === 0) return
    const whole = [...[...this.#members].map(([key, text]) => ({ key, text })), { key: 'content', text: `[${this.blocks().join(',')}]` }, { key: 'usage', text: joinMap(this.#usage) }]
    this.#superseded.push(joinMembers(whole))
    this.#members = new Map()
    this.#usage = new Map()
    this.#blocks = new Map()
  }

  #startBlock(event: ObjectCut): boolean {
    const index = event.value('index')
    const block = event.object('content_block')
    const model = block?.value('type') === 'fallback' ? block.object('to')?.text('model') : undefined
    if (model !== undefined) this.#members.set('model', model) // another model answers from here on
    return Number.isSafeInteger(index) && this.#setBlock(index as number, block)
  }

  #setBlock(index: number, block: ObjectCut | undefined): boolean {
    if (block === undefined) return false
    const before = this.#blocks.get(index)
    if (before !== undefined) this.#superseded.push(joinMembers([{ key: 'content', text: `[${before.text()}]` }]))
    this.#blocks.set(index, new GrowingBlock(block))
    return true
  }

  #growBlock(event: ObjectCut): boolean {
    const delta = event.object('delta')
    return delta !== undefined && (this.#blocks.get(event.value('index') as number)?.grow(delta) ?? false)
  }

  // `message_delta` carries the message's last members in `delta`, and cumulative counts in `usage`; null says nothing.
  #changeMessage(event: ObjectCut): boolean {
    setSaid(this.#members, event.object('delta')?.members)
    setSaid(this.#members, event.members.filter(({ key }) => key !== 'type' && key !== 'delta' && key !== 'usage'))
    setSaid(this.#usage, event.object('usage')?.members)
    return true
  }
}

/** One content block: its first members, and what has been added. */
class GrowingBlock {
  readonly #start: ObjectCut
  readonly #grown = { text: [] as string[], thinking: [] as string[] }
  readonly #input: string[] = []
  readonly #citations: string[] = []
  readonly #replaced = new Map<string, string>()

  constructor(start: ObjectCut) {
    this.#start = start
  }

  /** Adds a delta; false when its kind or shape is unknown. */
  grow(delta: ObjectCut): boolean {
    switch (delta.value('type')) {
      case 'text_delta':
        return push(this.#grown.text, delta.value('text'))
      case 'thinking_delta':
        return push(this.#grown.thinking, delta.value('thinking'))
      case 'input_json_delta':
        return push(this.#input, delta.value('partial_json'))
      case 'citations_delta':
        return push(this.#citations, delta.text('citation'))
      case 'signature_delta': // carries the final value, as compaction_delta does
        return this.#replace(delta, ['signature'])
      case 'compaction_delta':
        return this.#replace(delta, ['content', 'encrypted_content'])
      default:
        return false
    }
  }

  /** The block as JSON. */
  text(): string {
    const changed = new Map(this.#replaced)
    for (const key of ['text', 'thinking'] as const) {
      const first = this.#start.value(key)
      const grown = this.#grown[key].join('')
      if (grown !== '') changed.set(key, JSON.stringify((typeof first === 'string' ? first : '') + grown))
    }
    const input = this.#input.join('')
    if (input !== '') changed.set('input', parseJson(input) === undefined ? JSON.stringify(input) : input)
    if (this.#citations.length > 0) changed.set('citations', `[${[...(this.#start.elements('citations') ?? []), ...this.#citations].join(',')}]`)
    const members: Member[] = this.#start.members.map((member) => {
      const text = changed.get(member.key)
      changed.delete(member.key)
      return text === undefined ? member : { key: member.key, text }
    })
    return joinMembers([...members, ...[...changed].map(([key, text]) => ({ key, text }))])
  }

  #replace(delta: ObjectCut, keys: readonly string[]): boolean {
    const found = keys.filter((key) => delta.text(key) !== undefined)
    for (const key of found) this.#replaced.set(key, delta.text(key)!)
    return found.length > 0
  }
}

/** Sets what `members` say; null says nothing of what was said before. */
function setSaid(map: Map<string, string>, members: readonly Member[] | undefined): void {
  for (const { key, text } of members ?? []) if (text !== 'null' || !map.has(key)) map.set(key, text)
}

function push(parts: string[], part: unknown): boolean {
  return typeof part === 'string' && parts.push(part) > 0
}

function joinMap(members: ReadonlyMap<string, string>): string {
  return joinMembers([...members].map(([key, text]) => ({ key, text })))
}
