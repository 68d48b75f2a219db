// Power cuts, by replay: a process is traced with all that it writes, and a disk is laid out as a cut at some instant could leave it (`disk.ts`). Then the log
// must open, hold all that was promised by then, verify, and go on.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { root } from '../built-package.ts'
import { scratch } from '../scratch.ts'
import { FATES, Disk, laidOut } from './disk.ts'
import { changed, MUTANTS, mutated } from './mutants.ts'
import { Promises, wrongWith } from './power.ts'
import { replay, tracing } from './trace.ts'

const CUTS = Number(process.env['CUTS'] ?? 80)
/** For each mutant, until one shows it; fewer where none is expected to. */
const MUTANT_CUTS = { harmful: 600, harmless: 150 }

let state = Number(process.env['SEED'] ?? 1) >>> 0
/** 0 to 1; the same sequence for the same SEED. */
function random(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return state / 2 ** 32
}

const traced = process.platform === 'linux' && spawnSync('strace', ['-V']).status === 0
if (!traced) process.stderr.write('skipped: power cuts (no strace here)\n')

/** Runs `what` of the child out of `from` (a copy of the project) in a new folder, and returns the trace. */
function traceOf(from: string, what: string, at: string): { trace: string; folder: string } {
  const [trace, folder] = [join(at, `${what}.trace`), join(at, what)]
  mkdirSync(join(folder, 'data'), { recursive: true })
  const { status, stderr } = spawnSync(tracing(trace)[0]!, [...tracing(trace).slice(1), process.execPath, join(from, 'test/slow/power-child.ts'), folder, what], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`the child of ${what} ended with ${status}: ${stderr.slice(0, 2_000)}`)
  return { trace, folder }
}

/** Most steps write a page, and it matters little which: a cut comes five times as often after one of the others. */
function weight(call: string): number {
  return call.endsWith('pwrite64') ? 1 : 5
}

/** Goes through the trace, or its first part of `until`, with some `cuts` power cuts; what was wrong after each, until `enough` were. */
async function cutThrough({ trace, folder }: { trace: string; folder: string }, at: string, cuts: number, enough = Infinity, until = 1): Promise<{ cuts: number; steps: number; promises: number; wrong: string[] }> {
  const begin = (): Disk => {
    const disk = new Disk()
    disk.make('data', 'folder')
    disk.syncAll()
    return disk
  }
  let [steps, weights] = [0, 0]
  for await (const { call } of replay(trace, folder, begin())) {
    steps++
    weights += weight(call)
  }
  const disk = begin()
  const promised = new Promises()
  const wrong: string[] = []
  let [step, weighed, done] = [0, 0, 0]
  for await (const { call, said } of replay(trace, folder, disk)) {
    step++
    weighed += weight(call)
    for (const line of said) promised.hear(line)
    for (; done < (weighed / (weights * until)) * cuts && done < cuts && wrong.length < enough; done++) {
      const fate = FATES[Math.floor(random() * FATES.length)]!
      const remains = disk.cut(fate, random)
      const to = join(at, 'cut')
      rmSync(to, { recursive: true, force: true })
      // shared memory is made new by whoever comes first; what a crash left of it means nothing
      const files = new Map([...remains.files].filter(([path]) => !path.endsWith('-shm') || random() < 0.5).map(([path, bytes]) => [path, path.endsWith('-shm') ? Buffer.alloc(32_768, Math.floor(random() * 256)) : bytes]))
      laidOut({ ...remains, files }, to)
      for (const what of await wrongWith(to, remains, promised)) wrong.push(`cut at ${call} (step ${step} of ${steps}), of what was not synced ${fate}: ${what}`)
    }
  }
  return { cuts: done, steps, promises: promised.count, wrong }
}

/** A folder where an fsync costs nothing, if there is one: it is the disk that is modelled that counts. */
function fastFolder(): string {
  const shared = '/dev/shm'
  if (!existsSync(shared)) return scratch().folder
  const folder = mkdtempSync(join(shared, 'counterfoil-cut-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

test.runIf(traced).each(['agent', 'upkeep'])(`after ${CUTS} power cuts all that was promised is there (%s)`, async (what) => {
  const folder = fastFolder()
  const { cuts, steps, promises, wrong } = await cutThrough(traceOf(root, what, folder), folder, CUTS, 10)
  process.stderr.write(`${what}: ${cuts} power cuts in a run of ${steps} steps, with ${promises} promises: ${wrong.length} were broken\n`)
  expect(wrong.slice(0, 10)).toEqual([])
  expect(cuts).toBeGreaterThanOrEqual(CUTS)
  expect(promises).toBeGreaterThan(10)
})

/** One of the mutants at random; MUTANTS=99 is all. */
const chosen = MUTANTS.map((mutant) => ({ mutant, at: random() })).sort((a, b) => a.at - b.at).slice(0, Number(process.env['MUTANTS'] ?? 1)).map(({ mutant }) => mutant)

test.runIf(traced).each(chosen)('a power cut shows it when $name', async (mutant) => {
  const folder = fastFolder()
  const { cuts, steps, wrong } = await cutThrough(traceOf(mutated(mutant, join(folder, 'source')), mutant.run, folder), folder, mutant.harmless === undefined ? MUTANT_CUTS.harmful : MUTANT_CUTS.harmless, 1, mutant.until)
  process.stderr.write(`${mutant.name}: ${wrong[0] === undefined ? `not shown by ${cuts} cuts in ${steps} steps` : `cut ${cuts}: ${wrong[0].replaceAll(folder, '')}`}\n`)
  expect(wrong.length > 0).toBe(mutant.harmless === undefined)
})

test('each mutant is one: what it changes is there, once', () => {
  for (const mutant of MUTANTS) expect(changed(mutant)).not.toBe(readFileSync(join(root, mutant.file), 'utf8'))
})
