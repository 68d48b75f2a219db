// What `why` says of a tool call beside what a plain look-up in the raw run finds.

import type { Source, Value, Why } from '../../src/why/result.ts'
import { type Hit, lookUp } from './look-up.ts'
import type { Run, Step } from './steps.ts'

export type Call = Extract<Step, { type: 'tool_call' }>

/** What was counted of all that was compared. */
export interface Tally { calls: number; values: number; traced: number; partly: number; nowhere: number; unknown: number; untraced: number; parts: number; parts_found: number; earlier: number; mismatches: unknown[]; sources: Record<string, number> }

export function newTally(): Tally {
  return { calls: 0, values: 0, traced: 0, partly: 0, nowhere: 0, unknown: 0, untraced: 0, parts: 0, parts_found: 0, earlier: 0, mismatches: [], sources: {} }
}

/** Compares what `why` said of step `i`, a tool call, and counts it. `stepAt` gives the step on record at an index of the log. */
export function compare(run: Run, steps: readonly Step[], i: number, said: Why, stepAt: (index: number) => Step | undefined, tally: Tally): void {
  const step = steps[i] as Call
  tally.calls++
  const asked = steps.findLast((one, at) => at < i && one.type === 'llm_result' && one.message === step.message)
  if (said.asked_for === null || stepAt(said.asked_for.index) !== asked || !said.asked_for.same_input) tally.mismatches.push({ run: run.name, step, asked: said.asked_for })
  for (const value of said.values) {
    tally.values++
    tally[value.status]++
    if (value.source) tally.sources[value.source.kind] = (tally.sources[value.source.kind] ?? 0) + 1
    tally.earlier += value.earlier ? 1 : 0
    tally.parts += value.parts.length
    tally.parts_found += value.parts.filter(({ source }) => source).length
    for (const found of differences(run, stepAt, step, value)) tally.mismatches.push({ run: run.name, tool: step.tool_name, path: value.path, value: value.value, ...found })
  }
}

/** One line for people. */
export function formatTally(title: string, { mismatches, sources, ...counts }: Tally): string {
  const findable = counts.traced + counts.partly + counts.nowhere
  return `${title}: ${JSON.stringify({ ...counts, mismatches: mismatches.length })}; traced whole ${share(counts.traced, findable)}, or in part ${share(counts.traced + counts.partly, findable)} of what can be looked up; first in ${JSON.stringify(sources)}`
}

function share(part: number, all: number): string {
  return all === 0 ? 'none' : `${((100 * part) / all).toFixed(1)} %`
}

/** What `why` says of one value beside what the raw run says; empty where they agree. */
function differences(run: Run, stepAt: (index: number) => Step | undefined, call: Call, value: Value): { said: unknown; expected: unknown }[] {
  const whole = leafAt(call.tool_input, value.path)
  if (value.status === 'untraced') return tooShort(whole) ? [] : [{ said: value.status, expected: 'a look' }]
  if (value.status === 'unknown' || !value.complete) return [{ said: 'not everything was looked at', expected: 'a whole look' }]
  if (tooShort(whole)) return [{ said: value.status, expected: 'untraced' }]
  const pairs: [Source | null, Hit | null][] = []
  const looked = lookUp(run, call.message, whole)
  pairs.push([value.source, looked.source], [value.earlier, looked.earlier], [value.outside, looked.outside])
  for (const part of value.parts) {
    if (!String(whole).slice(part.offset).startsWith(part.text.replace(/…$/, ''))) return [{ said: part, expected: 'a part of the value' }]
    if (!part.text.endsWith('…')) pairs.push([part.source, lookUp(run, call.message, part.text).source])
  }
  return pairs.map(([said, expected]) => ({ said: hitOf(stepAt, said, expected), expected })).filter(({ said, expected }) => JSON.stringify(said) !== JSON.stringify(expected))
}

// A value that `why` may decline to look up: by the rule as documented.
function tooShort(value: unknown): boolean {
  if (typeof value === 'string') return value.trim().length < (/^[0-9]+$/.test(value.trim()) ? 2 : 3) || !/[\p{L}\p{N}_]/u.test(value)
  return typeof value !== 'number' || String(Math.abs(value)).replace('.', '').length < 2
}

function leafAt(input: unknown, path: string): unknown {
  let value = input
  for (const [plain, quoted] of path.matchAll(/\[("(?:[^"\\]|\\.)*")\]|[^.[\]]+/g)) {
    value = (value as Record<string, unknown>)[quoted === undefined ? plain : (JSON.parse(quoted) as string)]
  }
  return value
}

function hitOf(stepAt: (index: number) => Step | undefined, source: Source | null, expected: Hit | null): Hit | null {
  if (source === null) return null
  const step = stepAt(source.index)
  return {
    message: source.message ?? step?.message ?? -1, kind: source.kind, tool: source.kind === 'tool_answer' ? source.name : null, match: source.match,
    offset: expected?.offset === null || expected === null ? null : source.offset,
  }
}
