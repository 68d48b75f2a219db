// Where a value first stands in a run, found the plain way: every message from the first, every place in it, with expressions. It follows
// the rules written at the top of src/why/match.ts and shares no code with it; being slow is what makes it simple.

import { type Message, plainText, type Run } from './steps.ts'

/** A hit: whose message, its position in the run, how and where in its text. `call` is set for what a model asked for in that message. */
export interface Hit { readonly message: number; readonly kind: string; readonly tool: string | null; readonly match: string; readonly offset: number | null }

interface Said { readonly message: number; readonly kind: string; readonly tool: string | null; readonly text: string; readonly exactOffset: boolean }

/** The first exact hit, the first hit of any spelling if it is before that, and the first of anybody but the model, among the messages before `end`. */
export function lookUp(run: Run, end: number, value: unknown): { source: Hit | null; earlier: Hit | null; outside: Hit | null } {
  const said = run.messages.slice(0, end).flatMap((message, i) => saidIn(run, message, i))
  const all = firstHits(said, value)
  const source = all.exact ?? all.loose
  const earlier = before(all.loose, all.exact) ? all.loose : null
  if (source?.hit.kind !== 'model') return { source: source?.hit ?? null, earlier: earlier?.hit ?? null, outside: null }
  const others = firstHits(said.filter(({ kind }) => kind !== 'model'), value)
  const outside = others.exact === null || before(others.loose, others.exact) ? others.loose : others.exact
  return { source: source.hit, earlier: earlier?.hit ?? null, outside: outside !== null && outside.said === earlier?.said ? null : (outside?.hit ?? null) }
}

interface Found { readonly said: Said; readonly order: number; readonly hit: Hit }

function before(a: Found | null, b: Found | null): boolean {
  return a !== null && b !== null && a.order < b.order
}

function firstHits(said: readonly Said[], value: unknown): { exact: Found | null; loose: Found | null } {
  const first = (ways: typeof exactWays): Found | null => {
    for (const [order, one] of said.entries()) {
      const way = ways(value, one.text)
      if (way) return { said: one, order, hit: { message: one.message, kind: one.kind, tool: one.tool, match: way[0], offset: one.exactOffset && way[0] === 'exact' ? way[1] : null } }
    }
    return null
  }
  return { exact: first(exactWays), loose: first(looseWays) }
}

// ---------------------------------------------------------------------------------------------- the texts of a run, raw

const KIND: Readonly<Record<string, string>> = { user: 'user_message', system: 'system_prompt', assistant: 'model', tool: 'tool_answer' }

function saidIn(run: Run, message: Message, i: number): Said[] {
  const kind = KIND[message.role] as string
  const tool = kind !== 'tool_answer' ? null : toolOf(run, message)
  const one = (text: string, exactOffset = true): Said => ({ message: i, kind, tool, text, exactOffset })
  const asked = (Array.isArray(message.tool_calls) ? message.tool_calls : []).map((call: Message) => {
    const given = run.format === 'tau' ? (JSON.parse((call.function as { arguments: string }).arguments) as unknown) : call.args
    return one(unquoted(given), false)
  })
  if (run.format === 'asb' && kind === 'model') return plainText(message.content).split(';[Observation]: ').map((text, n) => ({ ...one(text), ...(n === 1 && { kind: 'tool_answer' }) }))
  return [one(plainText(message.content)), ...(typeof message.error === 'string' ? [one(message.error)] : []), ...asked]
}

// Ids are used again in these runs; an answer that names its tool is believed.
function toolOf(run: Run, answer: Message): string | null {
  if (typeof answer.name === 'string') return answer.name
  for (const { tool_calls } of run.messages) {
    for (const call of (tool_calls ?? []) as Message[]) if (call.id === answer.tool_call_id) return run.format === 'tau' ? (call.function as { name: string }).name : String(call.function)
  }
  return null
}

// An input as text, its strings as they are.
function unquoted(input: unknown): string {
  const strings: string[] = []
  const json = JSON.stringify(input, (_, value: unknown) => (typeof value === 'string' ? `<${strings.push(value) - 1}>` : value))
  return json.replace(/<(\d+)>/g, (_, n: string) => strings[Number(n)] ?? '').replaceAll(/,(?=[\d-])/g, ', ')
}

// ------------------------------------------------------------------------------------------------------------- the rules

type Way = [match: string, offset: number] | null

function exactWays(value: unknown, text: string): Way {
  if (typeof value === 'number') return numberIn(text, value, false)
  const at = wholeAt(String(value), text)
  return at < 0 ? null : ['exact', at]
}

function looseWays(value: unknown, text: string): Way {
  if (typeof value === 'number') return numberIn(text, value, true)
  const wanted = simple(String(value)).trim()
  if (wholeAt(wanted, simple(text)) >= 0) return ['loose', 0]
  if (/^-?(0|[1-9]\d*)(\.\d+)?$/.test(wanted) && wanted.replace(/\D/g, '').length >= 2 && (numberIn(text, Number(wanted), false) || numberIn(text, Number(wanted), true))) return ['loose', 0]
  if (!/^\d{4}-\d\d-\d\d$/.test(wanted)) return null
  return spellings(wanted, true).some((one) => one.test(text)) ? ['date', 0] : spellings(wanted, false).some((one) => one.test(text)) ? ['date_without_year', 0] : null
}

function wholeAt(value: string, text: string): number {
  for (let at = text.indexOf(value); at >= 0; at = text.indexOf(value, at + 1)) {
    const left = text.slice(Math.max(0, at - 2), at)
    const right = text.slice(at + value.length, at + value.length + 2)
    const glued = (/[\p{L}\p{M}\p{N}_]$/u.test(left) && /^[\p{L}\p{M}\p{N}_]/u.test(value)) || (/^[\p{L}\p{M}\p{N}_]/u.test(right) && /[\p{L}\p{M}\p{N}_]$/u.test(value))
    const decimal = (/\d\.$/.test(left) && /^\d/.test(value)) || (/^\.\d/.test(right) && /\d$/.test(value))
    if (!glued && !decimal) return at
  }
  return -1
}

function simple(text: string): string {
  return text
    .replace(/\\(u[0-9a-fA-F]{4}|[ntr"'\\/])/g, (_, escaped: string) => (escaped.length > 1 ? String.fromCharCode(Number.parseInt(escaped.slice(1), 16)) : (({ n: ' ', t: ' ', r: ' ' })[escaped] ?? escaped)))
    .replace(/\s+/g, ' ')
    .toLowerCase()
}

function numberIn(raw: string, value: number, grouped: boolean): Way {
  const undone = raw.replace(/\\[ntr]/g, '  ').replace(/\\(["'\\/])/g, ' $1')
  for (const text of [raw, undone]) {
    for (const { 0: run, index } of text.matchAll(/\d[\d.,:/-]*/g)) {
      const whole = run.replace(/[.,:/-]+$/, '').replace(/([.,:/-])[.,:/-].*$/, '')
      const rest = text.slice(index + whole.length)
      if (/[\p{L}\p{M}\p{N}_.]$/u.test(text.slice(0, index)) || /^[\p{L}\p{M}\p{N}_]/u.test(rest)) continue
      const negative = /(^|[^\p{L}\p{M}\p{N}_)])[-\u2212]$/u.test(text.slice(0, index))
      const isGrouped = /^[1-9]\d{0,2}(,\d{3})+(\.\d+)?$/.test(whole) && !text.slice(0, index).endsWith('[') && !rest.startsWith(']')
      const parts = isGrouped ? [whole.replaceAll(',', '')] : /,/.test(whole) ? whole.split(',') : /^[\d.]+-[\d.]+$/.test(whole) ? whole.split('-') : [whole]
      if (isGrouped !== grouped || !parts.every((part) => /^\d+(\.\d+)?$/.test(part))) continue
      const at = parts.findIndex((part, i) => !/^0\d/.test(part) && Number(part) * (i === 0 && negative ? -1 : 1) === value)
      if (at >= 0) return [grouped ? 'loose' : 'exact', index + parts.slice(0, at).join(',').length + (at > 0 ? 1 : 0)]
    }
  }
  return null
}

function spellings(date: string, year: boolean): RegExp[] {
  const [y, m, d] = date.split('-').map(Number) as [number, number, number]
  const name = ['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december'][m - 1] as string
  const month = `(?:${name}|${name.slice(0, 3)}${m === 9 ? '|sept' : ''})\\.?`
  const day = `0?${d}(?:st|nd|rd|th)?`
  const end = year ? `,? ${y}\\b` : '(?!,? \\d{4}\\b)\\b'
  return [new RegExp(`\\b${month} ${day}${end}`, 'i'), new RegExp(`\\b${day}(?: of)? ${month}${end}`, 'i'), ...(year ? [new RegExp(`\\b${y}/0?${m}/0?${d}\\b`)] : [])]
}
