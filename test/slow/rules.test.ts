// How often the rules speak on runs of other people's agents, benign and attacked: the table of docs/rules.md. `RULE_RUNS` is how many runs of
// each large set are read (default 60, all with a large number). Printed, and not compared with a figure: what is asserted is that each rule can be silent.

import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

import { RULES } from '../../src/monitor/rules/all.ts'
import { findingsOf } from '../../src/monitor/watch.ts'
import { ratedRuns, type RatedRun, type RatedSet } from '../replay/rated.ts'
import { RUNS_FOLDER, runsArePresent } from '../replay/runs.ts'

const COUNT = Number(process.env['RULE_RUNS'] ?? 60)
const present = runsArePresent() && ['claude-code-sessions', 'swe-agent'].every((name) => existsSync(new URL(`../../../shared/data/runs/${name}`, import.meta.url)))
if (!present) console.warn(`rules: skipped, there is no ${RUNS_FOLDER}`)

const SETS: readonly (readonly [RatedSet, boolean])[] = [['tau', false], ['tau', true], ['agentdyn', false], ['agentdyn', true], ['asb', false], ['claude-code', false], ['claude-code', true], ['swe-agent', false]]

interface Row { runs: number; acts: number; risky: number; readonly found: Map<string, { runs: number; findings: number; medium: number }> }

function rate(runs: readonly RatedRun[]): Map<string, Row> {
  const rows = new Map<string, Row>()
  for (const { label, events } of runs) {
    const row = rows.get(label) ?? { runs: 0, acts: 0, risky: 0, found: new Map(RULES.map(({ name }) => [name, { runs: 0, findings: 0, medium: 0 }])) }
    rows.set(label, row)
    const calls = events.filter(({ event_type }) => event_type === 'tool_call')
    row.runs++
    row.acts += calls.length
    row.risky += calls.filter(({ risk }) => risk === 'high').length
    const findings = findingsOf('session-1', events)
    for (const [rule, count] of row.found) {
      const own = findings.filter((finding) => finding.rule === rule)
      count.findings += own.length
      if (own.length > 0) count.runs++
      if (own.some(({ severity }) => severity !== 'low' && severity !== 'info')) count.medium++
    }
  }
  return rows
}

describe.skipIf(!present)(`the rules on runs of other people's agents${present ? '' : ` (skipped: there is no ${RUNS_FOLDER})`}`, () => {
  test.each(SETS)('%s, own systems declared trusted: %s', (set, declared) => {
    const rows = rate(ratedRuns(set, COUNT, declared))
    expect(rows.size).toBeGreaterThan(0)
    for (const [label, { runs, acts, risky, found }] of rows) {
      const rules = [...found].map(([rule, { runs: with_, findings, medium }]) => `${rule} ${with_} runs (${medium} medium or above), ${findings} findings`)
      console.log(`${set}${declared ? ', own systems declared' : ''}, ${label}: ${runs} runs, ${acts} calls, ${risky} of high risk; ${rules.join('; ')}`)
      // every call has a result in these runs or a session that ended without it: nothing may be told more often than there are calls
      for (const { findings } of found.values()) expect(findings).toBeLessThanOrEqual(acts)
    }
  })
})
