// Each parser of the table gets FUZZ_SECONDS (default 5; a long run has 300) of changed inputs, in a process of its own with a small heap and a
// watchdog, two at once. FUZZ=name,name runs some. What is found is kept under test/fuzz/seeds, where test/parsers.test.ts replays it.

import { execFile } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { Report } from '../fuzz/child.ts'
import { PARSERS } from '../fuzz/parsers.ts'

const SEED = Number(process.env['SEED'])
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 5)
const NAMES = process.env['FUZZ']?.split(',') ?? Object.keys(PARSERS)
/** What a run may come to need above what it began with: some thousand inputs of 128 KiB and what they become, until the collector comes. */
const MORE_MIB = 700

const run = promisify(execFile)

async function fuzz(parser: string): Promise<Report> {
  const child = join(import.meta.dirname, '../fuzz/child.ts')
  const { stdout } = await run(process.execPath, ['--disable-warning=ExperimentalWarning', child, parser, String(SECONDS), String(SEED)], { maxBuffer: 2 ** 28, env: { ...process.env, NODE_OPTIONS: '' } })
  return JSON.parse(stdout) as Report
}

test(`${NAMES.length} parsers hold for ${SECONDS} s each (SEED=${SEED})`, async () => {
  const waiting = [...NAMES]
  const reports: Report[] = []
  const next = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const report = await fuzz(name)
      reports.push(report)
      const { executions, accepted, slowestMs, baseMiB, peakMiB } = report
      process.stderr.write(`${name.padEnd(18)} ${String(executions).padStart(9)} inputs, ${String(accepted).padStart(9)} taken, slowest ${slowestMs} ms, memory ${baseMiB} to ${peakMiB} MiB\n`)
    }
  }
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, next))
  const found = reports.flatMap(({ parser, findings }) => findings.map(({ what, input }) => `${parser}: ${what}\n  ${input.slice(0, 20_000)}`))
  expect(found, 'decode the input and keep it in test/fuzz/seeds').toEqual([])
  expect(reports.filter(({ executions, accepted }) => executions < 20 || accepted === 0).map(({ parser }) => parser), 'saw nothing').toEqual([])
  expect(reports.filter(({ baseMiB, peakMiB }) => peakMiB - baseMiB > MORE_MIB).map(({ parser, peakMiB }) => `${parser}: ${peakMiB} MiB`)).toEqual([])
}, 600_000 + NAMES.length * SECONDS * 1_500)
