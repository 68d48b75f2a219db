// On runs of other people's agents: every source that `why` names is the one that a plain scan of the raw messages finds.

import { describe, expect, test } from 'vitest'

import type { ViewEvent } from '../src/event/view.ts'
import type { Source, Value } from '../src/why/result.ts'
import { reader } from '../src/why/why.ts'
import { type Hit, lookUp } from './replay/look-up.ts'
import { RUNS_FOLDER, runsArePresent, someRuns } from './replay/runs.ts'
import { replaySteps, type Run, type Step } from './replay/steps.ts'
import { viewEventsOf } from './replay/view-events.ts'

const CHOICE = [['agentdyn', 100], ['tau', 60], ['asb', 40]] as const

const present = runsArePresent()
if (!present) console.warn(`why-runs: skipped, there is no ${RUNS_FOLDER}`)

describe.skipIf(!present)('on 200 runs of other people\'s agents', () => {
  test.each(CHOICE)('%s: the sources of every value of every tool call are those of a plain look-up', { timeout: 240_000 }, (format, count) => {
    const runs = someRuns(format, count)
    expect(runs).toHaveLength(count)
    const tally = { runs: runs.length, calls: 0, values: 0, traced: 0, partly: 0, nowhere: 0, untraced: 0, parts: 0, parts_found: 0, earlier: 0, mismatches: 0 }
    const sources: Record<string, number> = {}
    const mismatches: unknown[] = []
    for (const run of runs) {
      const steps = replaySteps(run)
      const events = viewEventsOf(steps)
      const explain = reader(events)
      for (const [i, step] of steps.entries()) {
        if (step.type !== 'tool_call') continue
        tally.calls++
        const said = explain((events[i] as ViewEvent).event_id)
        const asked = steps.findLastIndex((one, at) => at < i && one.type === 'llm_result' && one.message === step.message)
        if (said.asked_for?.index !== asked || said.asked_for.same_input !== true) mismatches.push({ run: run.name, step, asked: said.asked_for })
        for (const value of said.values) {
          tally.values++
          tally[value.status]++
          if (value.source) sources[value.source.kind] = (sources[value.source.kind] ?? 0) + 1
          tally.earlier += value.earlier ? 1 : 0
          tally.parts += value.parts.length
          tally.parts_found += value.parts.filter(({ source }) => source).length
          for (const found of differences(run, steps, step, value)) mismatches.push({ run: run.name, tool: step.tool_name, path: value.path, value: value.value, ...found })
        }
      }
    }
    tally.mismatches = mismatches.length
    const findable = tally.traced + tally.partly + tally.nowhere
    console.log(`why-runs ${format}: ${JSON.stringify(tally)}; traced whole ${share(tally.traced, findable)}, or in part ${share(tally.traced + tally.partly, findable)} of what can be looked up; first in ${JSON.stringify(sources)}`)
    expect(mismatches.slice(0, 5)).toEqual([])
  })
})

function share(part: number, all: number): string {
  return all === 0 ? 'none' : `${((100 * part) / all).toFixed(1)} %`
}

type Call = Extract<Step, { type: 'tool_call' }>

/** What `why` says of one value beside what the raw run says; empty where they agree. */
function differences(run: Run, steps: readonly Step[], call: Call, value: Value): { said: unknown; expected: unknown }[] {
  const whole = leafAt(call.tool_input, value.path)
  if (value.status === 'untraced') return tooShort(whole) ? [] : [{ said: value.status, expected: 'a look' }]
  if (tooShort(whole)) return [{ said: value.status, expected: 'untraced' }]
  const pairs: [Source | null, Hit | null][] = []
  const looked = lookUp(run, call.message, whole)
  pairs.push([value.source, looked.source], [value.earlier, looked.earlier], [value.outside, looked.outside])
  for (const part of value.parts) {
    if (!String(whole).slice(part.offset).startsWith(part.text.replace(/…$/, ''))) return [{ said: part, expected: 'a part of the value' }]
    if (!part.text.endsWith('…')) pairs.push([part.source, lookUp(run, call.message, part.text).source])
  }
  return pairs.map(([said, expected]) => ({ said: hitOf(steps, said, expected), expected })).filter(({ said, expected }) => JSON.stringify(said) !== JSON.stringify(expected))
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

function hitOf(steps: readonly Step[], source: Source | null, expected: Hit | null): Hit | null {
  if (source === null) return null
  const step = steps[source.index] as Step
  return {
    message: source.message ?? step.message, kind: source.kind, tool: source.kind === 'tool_answer' ? source.name : null, match: source.match,
    offset: expected?.offset === null || expected === null ? null : source.offset,
  }
}
