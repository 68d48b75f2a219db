// On runs of other people's agents: every source that `why` names is the one that a plain scan of the raw messages finds. Events made by
// hand; why-recorded.test.ts takes them from a trail.

import { describe, expect, test } from 'vitest'

import type { ViewEvent } from '../src/event/view.ts'
import { reader } from '../src/why/why.ts'
import { compare, formatTally, newTally } from './replay/compare.ts'
import { RUNS_FOLDER, runsArePresent, someRuns } from './replay/runs.ts'
import { replaySteps } from './replay/steps.ts'
import { viewEventsOf } from './replay/view-events.ts'

const CHOICE = [['agentdyn', 100], ['tau', 60], ['asb', 40]] as const

const present = runsArePresent()
if (!present) console.warn(`why-runs: skipped, there is no ${RUNS_FOLDER}`)

describe.skipIf(!present)('on 200 runs of other people\'s agents', () => {
  test.each(CHOICE)('%s: the sources of every value of every tool call are those of a plain look-up', { timeout: 240_000 }, (format, count) => {
    const runs = someRuns(format, count)
    expect(runs).toHaveLength(count)
    const tally = newTally()
    for (const run of runs) {
      const steps = replaySteps(run)
      const events = viewEventsOf(steps)
      const explain = reader(events)
      for (const [i, step] of steps.entries()) {
        if (step.type === 'tool_call') compare(run, steps, i, explain((events[i] as ViewEvent).event_id), (index) => steps[index], tally)
      }
    }
    console.log(formatTally(`why-runs ${format}`, tally))
    expect(tally.mismatches.slice(0, 5)).toEqual([])
  })
})
