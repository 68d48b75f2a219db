// The runs of others, read where they lie; undefined where they are not there. None of them is part of the project.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Message, Run } from './steps.ts'

const FOLDER = fileURLToPath(new URL('../../../shared/data/runs/', import.meta.url))

/** Where the runs should be, for the message of a skipped test. */
export const RUNS_FOLDER: string = 'shared/data/runs beside the project'

export const runsArePresent = (): boolean => ['agentdyn-runs', 'tau-bench', 'asb-logs'].every((name) => existsSync(join(FOLDER, name)))

/** `count` of the runs of a data set, at equal distances in the order of their names. */
export function someRuns(format: Run['format'], count: number): Run[] {
  const all = { agentdyn: agentdynFiles, tau: tauRuns, asb: asbRuns }[format]()
  const wanted = Math.min(count, all.length)
  return Array.from({ length: wanted }, (_, i) => all[Math.floor((i * all.length) / wanted)] as () => Run).map((load) => load())
}

function agentdynFiles(): (() => Run)[] {
  const folder = join(FOLDER, 'agentdyn-runs')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json')).sort()
  return files.map((name) => () => {
    const { messages, pipeline_name } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as { messages: Message[]; pipeline_name: string }
    return { format: 'agentdyn', name, model_id: pipeline_name, messages }
  })
}

function tauRuns(): (() => Run)[] {
  const folder = join(FOLDER, 'tau-bench/historical_trajectories')
  return readdirSync(folder).sort().flatMap((name) => {
    const runs = JSON.parse(readFileSync(join(folder, name), 'utf8')) as { task_id: number; trial: number; traj: Message[] }[]
    return runs.map(({ task_id, trial, traj }) => () => ({ format: 'tau' as const, name: `${name} task ${task_id} trial ${trial}`, model_id: 'gpt-4o', messages: traj }))
  })
}

function asbRuns(): (() => Run)[] {
  const folder = join(FOLDER, 'asb-logs/logs')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.csv')).sort()
  return files.flatMap((name) => {
    const [, ...rows] = csv(readFileSync(join(folder, name), 'utf8'))
    return rows.map((row, i) => () => ({ format: 'asb' as const, name: `${name} row ${i}`, model_id: 'gpt-4o-mini', messages: pythonLiteral(row.at(-1) ?? '') as Message[] }))
  })
}

function csv(text: string): string[][] {
  const rows: string[][] = [[]]
  for (const found of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    rows.at(-1)?.push(found[1]?.replaceAll('""', '"') ?? found[2] ?? '')
    if (found[3] === '') break
    if (found[3] !== ',') rows.push([])
  }
  return rows.filter((row) => row.length > 1)
}

// What Python's repr() writes for lists, dicts, strings, numbers and None.
function pythonLiteral(source: string): unknown {
  const json = source.replace(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|\bNone\b|\bTrue\b|\bFalse\b/gs, (whole, single?: string, double?: string) => {
    if (whole === 'None') return 'null'
    if (whole === 'True' || whole === 'False') return whole.toLowerCase()
    return JSON.stringify(pythonString(single ?? double ?? ''))
  })
  return JSON.parse(json) as unknown
}

function pythonString(body: string): string {
  return body.replace(/\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([\s\S]))/g, (_, x?: string, u?: string, wide?: string, one?: string) =>
    one === undefined ? String.fromCodePoint(Number.parseInt(x ?? u ?? wide ?? '', 16)) : ({ n: '\n', t: '\t', r: '\r' }[one] ?? one))
}
