// A session as a timeline: a header, then each event in one line as `#index offset kind summary` (DESIGN §14).

import { Absent, type ViewEvent } from '../event/view.ts'
import type { SessionSummary } from './api.ts'
import { compact } from './fitted.ts'
import { fitSummary, quoteUnlessPlain, summarize, toolName, type Known } from './summary.ts'
import { duration, green, grey, joined, plural, red, shortId, visible, width, wrap, yellow, type Line, type Span, bold } from './terminal.ts'

/** Who, on what, when, how long, how it ended; in as many lines as `columns` needs. `start` is the session's first event. */
export function sessionHeader(session: SessionSummary, start: ViewEvent | undefined, columns: number): Line[] {
  const version = start?.agent_version ?? ''
  const model = start?.model_id ?? ''
  const parts: Line[] = [
    [bold(version === '' ? session.agent_id : `${session.agent_id} ${version}`)], [`session ${shortId(session.session_id)}`], ...person(session.user_id), ...(model === '' ? [] : [[model]]),
    [instant(session.started_at)], ...(session.ended_at === null ? [] : [[duration(Date.parse(session.ended_at) - Date.parse(session.started_at))]]), [sessionEnd(session)],
  ]
  return joined(parts, columns)
}

function person(user_id: SessionSummary['user_id']): Line[] {
  if (user_id === null) return []
  return [[user_id instanceof Absent ? grey(`user ${user_id.toString()}`) : `user ${quoteUnlessPlain(user_id)}`]]
}

/** How a session ended, or that it has not: `success`, `open`, `interrupted`. */
export function sessionEnd({ state, outcome }: Pick<SessionSummary, 'state' | 'outcome'>): Span {
  if (state !== 'ended') return state === 'open' ? grey('open') : yellow(state)
  if (outcome === null) return grey('ended')
  return outcome === 'success' ? green(outcome) : outcome === 'unknown' ? grey(outcome) : outcome === 'failure' ? red(outcome) : yellow(outcome)
}

/** `2026-11-21 08:00:00Z` of a time string. */
export function instant(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 19)}Z`
}

export interface TimelineOptions {
  readonly columns: number
  /** the largest index that will be shown, for the width of the first column */
  readonly lastIndex: number
  /** milliseconds from which offsets count */
  readonly start: number
  readonly lastOffsetMs: number
  readonly model_id: string | null
  /** every payload whole, below its event */
  readonly full?: boolean
}

/** Renders a session's events one after the other; remembers only what later lines refer to. */
export class Timeline implements Known {
  readonly model_id: string | null
  readonly #options: TimelineOptions
  readonly #indexes = new Map<number, number>()
  readonly #open = new Map<string, { index: number; seq: number; call_id?: string; what: string; type: string }>()
  readonly #shown = new Map<string, { index: number; values: readonly string[] }>()
  #previous: number | undefined

  constructor(options: TimelineOptions) {
    this.#options = options
    this.model_id = options.model_id
  }

  /** The lines of `event`, which must come in order of seq. */
  lines(event: ViewEvent): Line[] {
    const { columns, lastIndex, start, lastOffsetMs } = this.#options
    this.#indexes.set(event.seq, event.index)
    const index = `#${event.index}`.padEnd(`#${lastIndex}`.length + 2)
    const offset = offsetText(Date.parse(event.timestamp) - start).padStart(Math.max(6, offsetText(lastOffsetMs).length))
    const summary = summarize(event, this)
    const kind = summary.kind.slice(0, 10).padEnd(11)
    const left = 2 + index.length + offset.length + 2 + kind.length
    const lines: Line[] = [['  ', grey(index), grey(offset), '  ', summary.style === undefined ? kind : { text: kind, style: summary.style }, ...fitSummary(summary, columns - left)]]
    if (this.#options.full) lines.push(...this.#payloads(event))
    this.#remember(event)
    return lines
  }

  indexOf(seq: number): number | undefined {
    return this.#indexes.get(seq)
  }

  callOf(event: ViewEvent): { index: number; tool_name?: string; adjacent: boolean } | undefined {
    const call = this.#callKey(event)
    if (call === undefined) return undefined
    const { index, what, type } = this.#open.get(call)!
    return { index, adjacent: index === this.#previous, ...(type === 'tool_call' ? { tool_name: what } : {}) }
  }

  /** Calls that have no result on record, in order. */
  unanswered(): { index: number; what: string }[] {
    return [...this.#open.values()].map(({ index, what }) => ({ index, what }))
  }

  #callKey(event: ViewEvent): string | undefined {
    if (event.parent_event_id !== null && this.#open.has(event.parent_event_id)) return event.parent_event_id
    const wanted = event.event_type === 'tool_result' ? 'tool_call' : 'llm_call'
    for (const [key, call] of this.#open) {
      if (call.type === wanted && call.call_id !== undefined && call.call_id === event['call_id']) return key
    }
    return undefined
  }

  #remember(event: ViewEvent): void {
    if (event.event_type === 'tool_call' || event.event_type === 'llm_call') {
      const call_id = event['call_id']
      this.#open.set(event.event_id, {
        index: event.index, seq: event.seq, type: event.event_type, what: event.event_type === 'tool_call' ? toolName(event) : 'the model call',
        ...(typeof call_id === 'string' ? { call_id } : {}),
      })
    }
    if (event.event_type === 'tool_result' || event.event_type === 'llm_result') {
      const key = this.#callKey(event)
      if (key !== undefined) this.#open.delete(key)
    }
    this.#previous = event.index
  }

  /** Facts and payloads of `event`, each whole; what a list shares with the one shown before is only named. */
  #payloads(event: ViewEvent): Line[] {
    const lines: Line[] = []
    for (const [name, value] of Object.entries(event)) {
      if (ENVELOPE.has(name) || value === undefined || value === null || (name === 'model_id' && !event.event_type.startsWith('llm_'))) continue
      if (Array.isArray(value)) {
        lines.push(...this.#list(event, name, value))
      } else {
        const text = asText(value)
        const before = this.#shown.get(name)
        if (text.length > 40 && before?.values.length === 1 && before.values[0] === text) lines.push(gutter([grey(`${name}: as in #${before.index}`)]))
        else lines.push(...this.#block(name, text))
        this.#shown.set(name, { index: event.index, values: [text] })
      }
    }
    return lines
  }

  #list(event: ViewEvent, name: string, values: readonly unknown[]): Line[] {
    const texts = values.map(asText)
    const before = this.#shown.get(name)
    const differs = texts.findIndex((text, i) => text !== before?.values[i])
    const same = differs < 0 ? texts.length : differs
    this.#shown.set(name, { index: event.index, values: texts })
    const lines: Line[] = same > 0 ? [gutter([grey(`${name}: the first ${same} of ${texts.length} as in #${before!.index}`)])] : []
    for (let i = same; i < texts.length; i++) lines.push(...this.#block(`${name}[${i}]`, texts[i]!))
    return lines
  }

  #block(name: string, text: string): Line[] {
    const lines = wrap(text, Math.max(20, this.#options.columns - GUTTER.length - 2))
    if (lines.length === 1 && width(name) + 2 + width(lines[0]!) <= this.#options.columns - GUTTER.length) return [gutter([grey(`${name}: `), lines[0]!])]
    return [gutter([grey(`${name}:`)]), ...lines.map((line) => gutter(['  ', line]))]
  }
}

const GUTTER = '        │ '
const gutter = (line: Line): Line => [grey(GUTTER), ...line]

const ENVELOPE = new Set([
  'index', 'event_id', 'event_type', 'session_id', 'seq', 'writer', 'stream', 'stream_seq', 'step_number', 'parent_event_id', 'timestamp', 'recorded_at', 'capture', 'outcome',
  'agent_id', 'agent_version', 'user_id', 'system_prompt_hash', 'entry_hash',
])

function asText(value: unknown): string {
  if (typeof value === 'string') return value
  if (value instanceof Absent || value instanceof Uint8Array || typeof value !== 'object') return compact(value)
  const short = JSON.stringify(value) ?? ''
  return short.length <= 60 ? short : JSON.stringify(value, null, 2)
}

function offsetText(ms: number): string {
  return `${ms < 0 ? '-' : ''}${(Math.abs(ms) / 1000).toFixed(3)}`
}

/** What a reader of the timeline should know that no line says: calls that never came back. */
export function timelineNotes(timeline: Timeline, session: Pick<SessionSummary, 'state'>, columns: number): Line[] {
  const calls = timeline.unanswered()
  if (calls.length === 0) return []
  const names = calls.slice(0, 5).map(({ index, what }) => `#${index} ${visible(what)}`).join(', ') + (calls.length > 5 ? ', …' : '')
  const running = session.state === 'open' ? 'has no result yet' : 'has no result on record: whether it happened is not known'
  // Continued further in: a tool's name at the beginning of a line must not pass for an event.
  const lead = `  ${plural(calls.length, 'call')}: `
  return wrap(`${names} ${running}`, columns - lead.length).map((text, i) => [yellow(i === 0 ? lead : ' '.repeat(lead.length)), yellow(text)])
}
