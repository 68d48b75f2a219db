// `trail.why` on runs of other people's agents, recorded through a real trail and read back from it: its sources are those of a
// plain look-up in the raw messages.

import { describe, expect, test } from 'vitest'
import { formatTally } from './replay/compare.ts'
import { recordAndCompare } from './replay/recorded.ts'
import { RUNS_FOLDER, runsArePresent, someRuns } from './replay/runs.ts'
import { scratchTrail } from './scratch.ts'

const CHOICE = [['agentdyn', 100], ['tau', 60], ['asb', 40]] as const

const present = runsArePresent()
if (!present) console.warn(`why-recorded: skipped, there is no ${RUNS_FOLDER}`)

describe.skipIf(!present)('on 200 recorded runs of other people\'s agents', () => {
  test.each(CHOICE)('%s: the sources of every value of every tool call are those of a plain look-up', async (format, count) => {
    const { trail } = scratchTrail({ mask: [] })
    const tally = await recordAndCompare(trail, someRuns(format, count))
    process.stdout.write(`${formatTally(`why-recorded ${format}`, tally)}\n`)
    expect(tally.calls).toBeGreaterThan(count / 2)
    expect(tally.mismatches.slice(0, 5)).toEqual([])
    expect((await trail.verify()).problems).toEqual([])
  })
})

test.skipIf(!present)('a message that many calls were sent is one object in a session that is read back', async () => {
  const { trail } = scratchTrail({ mask: [] })
  await recordAndCompare(trail, someRuns('tau', 1))
  const [session] = await trail.sessions().all()
  const lists = (await trail.events({ session_id: session!.session_id, event_type: 'llm_call' }).all()).map(({ input_messages }) => input_messages as readonly object[])
  expect(lists.length).toBeGreaterThan(2)
  for (const [i, list] of lists.entries()) for (const [at, message] of (lists[i - 1] ?? []).entries()) expect(list[at]).toBe(message)
})
