// What waits for the log has a bound, is told, and slows what can wait. The ledger is held up for real: another process keeps the database's write lock.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { openTrail, type CounterfoilError, type Trail, type TrailOptions } from '../src/index.ts'
import { MODEL_CALLS, type ModelCallSink } from '../src/event/model-call.ts'
import { startChild } from './child.ts'
import { root } from './built-package.ts'
import { makeDisk, noDisk } from './disk.ts'
import { parseReadme } from './readme.ts'
import { scratch, type Scratch } from './scratch.ts'

const MIB = 1024 * 1024

/** Keeps the write lock of `db` until it is called. */
async function holdUp(db: string): Promise<() => Promise<void>> {
  const { child, said, ended } = startChild(`
    import { DatabaseSync } from 'node:sqlite'
    const db = new DatabaseSync(process.argv[2])
    for (;;) {
      try { db.exec('BEGIN IMMEDIATE'); break } catch { await new Promise((done) => setTimeout(done, 5)) }
    }
    process.stdout.write('held')
    setInterval(() => {}, 1000)
  `, [db], {})
  const release = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  onTestFinished(release)
  while (said() !== 'held') await sleep(5)
  return release
}

function opened(options: TrailOptions = {}, at: Scratch = scratch()): { trail: Trail; problems: CounterfoilError[]; at: Scratch } {
  const problems: CounterfoilError[] = []
  const trail = openTrail(at.db, { agent_id: 'agent-1', mask: [], report: (problem) => { problems.push(problem) }, ...options })
  onTestFinished(() => trail.close().catch(() => undefined))
  return { trail, problems, at }
}

/** Drained by itself, as nobody asks for anything. */
async function drained(trail: Trail): Promise<void> {
  while (trail.status().waiting > 0) await sleep(10)
}

/** A text that does not compress, about `kib` long. */
const text = (kib: number): string => randomBytes(kib * 768).toString('base64')

test('at the bound nothing more is accepted: reported once, counted, in the log as a gap, and the policy decides what acts do', async () => {
  const { trail, problems, at } = opened({ backlog: MIB, patience: 500, failure: { medium: 'continue' } })
  const session = await trail.start({})
  const ran: string[] = []
  const tool = (name: string, risk: 'low' | 'medium' | 'high'): (() => Promise<unknown>) => { const made = session.tool({ name, risk }, () => { ran.push(name) }); return () => made({}) }
  session.record('reasoning', { text: 'before' })
  await trail.flush()
  expect(trail.status()).toMatchObject({ waiting: 0, spooled: 0, oldest_ms: 0, backlog: MIB, left: 0, lost: 0, problem: null })
  const release = await holdUp(at.db)

  const recorded = Array.from({ length: 200 }, () => session.record('reasoning', { text: text(10) }))
  const refused = recorded.filter(({ problem }) => problem !== undefined)
  expect(refused.length).toBeGreaterThan(50)
  expect(recorded.length - refused.length).toBeGreaterThan(90) // the bound is in bytes: as many as fit
  expect(refused[0]!.problem).toMatchObject({ code: 'spool_full', retry: true, next: expect.stringContaining('counterfoil doctor') })
  expect(trail.status()).toMatchObject({ waiting: recorded.length - refused.length, lost: refused.length, problem: { code: 'spool_full', timestamp: expect.stringMatching(/^20.*Z$/) } })
  expect(trail.status().spooled).toBeGreaterThanOrEqual(MIB)
  expect(trail.status().spooled).toBeLessThan(MIB + 20_000)
  await sleep(60)
  expect(trail.status().oldest_ms).toBeGreaterThan(40)
  expect(problems.map(({ code }) => code)).toEqual(['spool_full'])
  expect(await Promise.allSettled([tool('low', 'low')(), tool('high', 'high')()])).toMatchObject([{ reason: { code: 'spool_full' } }, { reason: { code: 'spool_full' } }])
  await tool('medium', 'medium')()
  expect(ran).toEqual(['medium'])

  await release()
  await drained(trail)
  const { lost } = trail.status()
  expect(lost).toBeGreaterThan(refused.length)
  await session.record('reasoning', { text: 'after' }).durable()
  const gaps = await trail.events({ event_type: 'gap' }).all()
  expect(gaps.reduce((sum, gap) => sum + Number(gap.count), 0)).toBe(lost)
  expect(await trail.events({ event_type: 'reasoning' }).count()).toBe(2 + recorded.length - refused.length)
  expect(trail.status()).toMatchObject({ waiting: 0, spooled: 0, oldest_ms: 0, lost })
})

test('an event larger than the bound is taken when nothing waits, and the bound holds in memory too', async () => {
  const { trail } = opened({ backlog: MIB })
  const session = await trail.start({})
  await trail.flush()
  await session.record('reasoning', { text: text(3_000) }).durable()
  const memory = openTrail(':memory:', { agent_id: 'agent-1', backlog: MIB, report: () => {} })
  const inMemory = await memory.start({})
  await memory.flush()
  const problems = Array.from({ length: 300 }, () => inMemory.record('reasoning', { text: text(10) }).problem?.code)
  expect(problems.filter((code) => code === 'spool_full').length).toBeGreaterThan(100)
  expect(memory.status().waiting).toBe(problems.filter((code) => code === undefined).length)
  await memory.flush()
  expect(memory.status()).toMatchObject({ waiting: 0, spooled: 0 })
  expect(inMemory.record('reasoning', { text: 'room' }).problem).toBeUndefined()
  await memory.close()
})

test('acts that need not be durable wait while half of the bound waits, a burst does not, and they go on when it is less', async () => {
  const { trail, at } = opened({ backlog: 2 * MIB, wait: { low: 'accepted' } })
  const session = await trail.start({})
  await trail.flush()
  const release = await holdUp(at.db)
  const order: string[] = []
  const act = session.tool({ name: 'act', risk: 'low' }, () => { order.push('act') })
  await act({}) // little waits
  expect(order).toEqual(['act'])
  for (let i = 0; i < 120; i++) expect(session.record('reasoning', { text: text(10) }).problem).toBeUndefined()
  expect(trail.status().spooled).toBeGreaterThan(MIB)
  const sink = (session as unknown as { [MODEL_CALLS](): ModelCallSink })[MODEL_CALLS]()
  const calling = sink.call({ provider: 'p', model_id: 'm', streaming: false, attempt: 1, endpoint: 'messages', parameters: {}, input_messages: [], tool_definitions: [] }).ready().then(() => order.push('call'))
  const { waiting } = trail.status()
  const acting = act({})
  const asking = session.llm({ provider: 'p', model_id: 'm', input_messages: [] }, async () => { order.push('llm') }, () => ({ output_text: '' }))
  await sleep(300)
  expect(order).toEqual(['act'])
  expect(trail.status().waiting).toBe(waiting) // neither is there yet: what waits does not add to it
  order.push('released')
  await release()
  await Promise.all([acting, asking, calling])
  expect(order.slice(0, 2)).toEqual(['act', 'released'])
  expect(order.slice(2).sort()).toEqual(['act', 'call', 'llm'])
})

test('an act waits no longer than its patience for a log that does not move, and then its policy decides', async () => {
  const { trail, problems, at } = opened({ patience: 600, wait: { medium: 'accepted' } })
  const session = await trail.start({})
  await trail.flush()
  const release = await holdUp(at.db)
  const ran: string[] = []
  const tool = (name: string, risk: 'low' | 'high'): Promise<unknown> => session.tool({ name, risk }, () => { ran.push(name) })({})
  const acts = await Promise.allSettled([tool('low', 'low'), tool('high', 'high')])
  expect(acts).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { code: 'stalled', retry: true, next: expect.stringContaining('disk') } }])
  expect(ran).toEqual(['low'])
  expect(problems.map(({ code }) => code)).toEqual(['stalled'])
  expect(trail.status().waiting).toBe(4) // both intents, what came of the first, and that the other was denied
  await release()
  await trail.flush()
  expect((await trail.calls().all()).map((call) => [(call as { tool_name: string }).tool_name, call.outcome])).toEqual([['low', 'success'], ['high', 'denied']])
  await tool('high', 'high')
  expect(ran).toEqual(['low', 'high'])
})

test('a worker that ended while nothing more is accepted is started again, and what waits is counted on', async () => {
  let worker: Worker | undefined
  process.once('worker', (made) => { worker = made })
  const { trail, problems, at } = opened({ backlog: MIB })
  const session = await trail.start({})
  for (let i = 0; i < 20; i++) session.record('reasoning', { text: 'before' })
  await trail.flush()
  const release = await holdUp(at.db)
  const waiting = Array.from({ length: 150 }, () => session.record('reasoning', { text: text(10) })).filter(({ problem }) => problem === undefined).length
  await worker!.terminate()
  expect(problems.map(({ code }) => code)).toContain('worker_ended')
  expect(trail.status()).toMatchObject({ waiting })
  await release()
  while (session.record('reasoning', { text: 'again' }).problem !== undefined) await sleep(50)
  await trail.flush()
  expect(trail.status()).toMatchObject({ waiting: 0, spooled: 0 })
  expect(await trail.events({ event_type: 'reasoning' }).count()).toBe(20 + waiting + 1)
})

test('what processes that are gone left counts against the bound, as long as it cannot be put into the log', async () => {
  const at = scratch()
  const leave = `
    import { openTrail } from ${JSON.stringify(join(root, 'src/index.ts'))}
    const trail = openTrail(process.argv[2], { agent_id: 'a', mask: [], report() {} })
    await trail.ready()
    const started = await trail.start({})
    for (let i = 0; i < 3000; i++) started.record('reasoning', { text: 'x'.repeat(1000) })
    process.kill(process.pid, 'SIGKILL')`
  await startChild(leave, [at.db], { COUNTERFOIL_HOME: at.home }).ended
  const elsewhere = join(at.folder, 'other-home') // without the log's keys nothing can be put into it
  const { trail, problems } = opened({ backlog: MIB, home: elsewhere }, at)
  await expect(trail.ready()).rejects.toMatchObject({ code: 'keys_missing' })
  expect(trail.status().left).toBeGreaterThan(MIB)
  await expect(trail.start({})).rejects.toThrow()
  expect(trail.status().lost).toBe(1)
  expect(problems.map(({ code }) => code)).toContain('spool_full')
  await trail.close()

  const { trail: again } = opened({ backlog: MIB }, at)
  await again.ready()
  expect(again.status()).toMatchObject({ left: 0, lost: 0 })
  const session = await again.start({})
  expect(await again.events({ event_type: 'reasoning' }).count()).toBe(3_000)
  await session.end()
})

/** A trail in a folder of its own that can go, with one event on record. */
async function recordingOnDisk(options: Parameters<typeof opened>[0] = {}, at: ReturnType<typeof scratch> = scratch()) {
  const folder = join(at.folder, 'disk')
  mkdirSync(folder)
  const { trail, problems } = opened(options, { ...at, db: join(folder, 'audit.db') })
  const session = await trail.start({})
  await session.record('reasoning', { text: 'before' }).durable()
  return { folder, trail, problems, session }
}

test('a trail whose folder is moved away and brought back loses nothing, and begins no other in its place', async () => {
  const { folder, trail, problems, session } = await recordingOnDisk()
  renameSync(folder, `${folder}.away`)
  mkdirSync(folder) // as an unmounted disk leaves it
  expect(session.record('reasoning', { text: 'meanwhile' }).problem).toBeUndefined()
  const pay = session.tool({ name: 'pay', risk: 'high' }, () => 'paid')
  await expect(pay({})).rejects.toThrow(/is not there any more|replaced|moved/)
  await expect(pay({})).rejects.toMatchObject({ code: 'trail_gone' })
  expect(readdirSync(folder)).toEqual([])
  rmSync(folder, { recursive: true })
  renameSync(`${folder}.away`, folder)
  await session.record('reasoning', { text: 'after' }).durable()
  expect(await pay({})).toBe('paid')
  await session.end()
  expect((await trail.events({ event_type: 'reasoning' }).all()).map(({ text: said }) => said)).toEqual(['before', 'meanwhile', 'after'])
  expect(trail.status()).toMatchObject({ lost: 0, waiting: 0 })
  expect(problems.map(({ code }) => code)).not.toContain('spool_missing')
  expect((await trail.verify()).whole).toBe(true)
})

test('a log whose disk is gone is not begun anew in its place, while spools on another disk go on', async () => {
  const at = scratch()
  const { folder, trail, session } = await recordingOnDisk({ spool: join(at.folder, 'spools') }, at)
  renameSync(folder, `${folder}.away`)
  mkdirSync(folder)
  const act = (name: string, risk: 'low' | 'high'): Promise<unknown> => session.tool({ name, risk }, () => name)({})
  await expect(act('high', 'high')).rejects.toMatchObject({ code: expect.stringMatching(/_replaced|trail_gone/) })
  await expect(act('high', 'high')).rejects.toMatchObject({ code: 'trail_gone' })
  expect(await act('low', 'low')).toBe('low')
  expect(readdirSync(folder)).toEqual([])
  rmSync(folder, { recursive: true })
  renameSync(`${folder}.away`, folder)
  await session.end()
  expect((await trail.calls().all()).map(({ outcome }) => outcome)).toEqual(['denied', 'denied', 'success'])
  expect((await trail.verify()).whole).toBe(true)
})

test('a trail whose folder is deleted counts what is lost with it, and refuses what comes', async () => {
  const { folder, trail, problems, session } = await recordingOnDisk()
  rmSync(folder, { recursive: true })
  expect(session.record('reasoning', { text: 'lost' }).problem).toBeUndefined() // into a file that has no name any more
  await trail.flush().catch(() => undefined)
  await trail.flush().catch(() => undefined)
  expect(session.record('reasoning', { text: 'refused' }).problem).toMatchObject({ code: 'trail_gone' })
  expect(trail.status()).toMatchObject({ lost: 2, waiting: 0 })
  await trail.close().catch(() => undefined)
  expect(problems.map(({ code, message }) => (code === 'events_lost' ? message : code))).toEqual(expect.arrayContaining(['spool_missing', expect.stringContaining('2 events are not on record')]))
  expect(existsSync(dirname(join(folder, 'audit.db')))).toBe(false)
})

test('options that make no sense are refused', () => {
  const { db } = scratch()
  for (const options of [{ backlog: 0 }, { backlog: 1.5 }, { backlog: Number.NaN }, { backlog: '1g' as never }, { patience: 0 }, { patience: -1 }]) {
    expect(() => openTrail(db, options), JSON.stringify(options)).toThrow(/expected (backlog|patience) to be a whole number/)
  }
  writeFileSync(join(dirname(db), 'x'), '')
  const trail = openTrail(db, { backlog: 2 * MIB })
  onTestFinished(() => trail.close().catch(() => undefined))
  expect(() => openTrail(db, { backlog: 3 * MIB })).toThrow(/with a backlog of 2097152 bytes/)
})

test('the example for Prometheus in the docs answers with what status() says', async () => {
  const { folder, home } = scratch()
  const snippet = parseReadme(readFileSync(join(root, 'docs/recording.md'), 'utf8')).snippets.find(({ file }) => file === 'metrics.ts')!
  const source = snippet.text.replace("'counterfoil'", JSON.stringify(join(root, 'src/index.ts'))).replace('./agent_audit.db', join(folder, 'audit.db')).replace('listen(9464)', "listen(0, '127.0.0.1')")
  expect(source).toContain("listen(0, '127.0.0.1')")
  const { child, said, ended } = startChild(`${source}
await trail.session({}, async (session) => { session.record('reasoning', { text: 'one' }) })
process.stdout.write(String(metrics.address().port) + '\\n')`, [], { COUNTERFOIL_HOME: home })
  onTestFinished(async () => { child.kill('SIGKILL'); await ended })
  while (!said().endsWith('\n')) await sleep(10)
  const answer = await fetch(`http://127.0.0.1:${said().trim()}/metrics`)
  const values = Object.fromEntries((await answer.text()).trimEnd().split('\n').map((line) => /^(counterfoil_[a-z_]+) (\d+(?:\.\d+)?)$/.exec(line)!.slice(1)))
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4')
  expect(values).toEqual({ counterfoil_size: '4', counterfoil_accepted_total: '3', counterfoil_waiting: '0', counterfoil_waiting_bytes: '0', counterfoil_oldest_seconds: '0', counterfoil_backlog_bytes: String(2 ** 30), counterfoil_lost_total: '0' })
})

test('a disk that never answers holds back what must be durable, for no longer than its patience, and nothing else', async ({ skip }) => {
  const missing = noDisk()
  if (missing !== undefined) skip(missing)
  const at = scratch()
  const disk = makeDisk(at.folder, 24)
  onTestFinished(() => disk.remove())
  const { trail, problems } = opened({ spool: join(at.folder, 'spools'), patience: 600, failure: { medium: 'continue' } }, { ...at, db: join(disk.at, 'audit.db') })
  onTestFinished(() => disk.thaw()) // before it is closed
  const session = await trail.start({})
  await trail.flush()
  disk.freeze()
  const ran: string[] = []
  const act = (name: string, risk: 'low' | 'medium' | 'critical'): Promise<unknown> => session.tool({ name, risk }, () => { ran.push(name) })({})
  const acts = await Promise.allSettled([act('low', 'low'), act('medium', 'medium'), act('critical', 'critical')])
  expect(acts).toMatchObject([{ status: 'fulfilled' }, { status: 'fulfilled' }, { status: 'rejected', reason: { code: 'stalled' } }])
  expect(ran.sort()).toEqual(['low', 'medium'])
  const late = session.record('reasoning', { text: 'accepted meanwhile' })
  expect(late.problem).toBeUndefined()
  expect(trail.status()).toMatchObject({ waiting: 7, lost: 0, problem: { code: 'stalled' } })
  expect(problems.map(({ code }) => code)).toEqual(['stalled'])
  disk.thaw()
  await late.durable()
  await trail.flush()
  expect(trail.status()).toMatchObject({ waiting: 0, lost: 0 })
  await session.end()
  expect((await trail.calls().all()).map(({ outcome }) => outcome)).toEqual(['success', 'success', 'denied'])
})

test('a disk that is read-only for a while keeps its spool: what was refused is counted, and the same file goes on', async ({ skip }) => {
  const missing = noDisk()
  if (missing !== undefined) skip(missing)
  const at = scratch()
  const disk = makeDisk(at.folder, 24)
  onTestFinished(() => disk.remove())
  const { trail, problems } = opened({}, { ...at, db: join(disk.at, 'audit.db') })
  onTestFinished(() => trail.close().catch(() => undefined))
  const session = await trail.start({})
  await session.record('reasoning', { text: 'before' }).durable()
  const spools = (): string[] => readdirSync(join(disk.at, 'audit.db.spool')).filter((name) => !name.startsWith('.'))
  const [spool] = spools()
  const immutable = (sign: '+' | '-'): void => void execFileSync('chattr', [`${sign}i`, join(disk.at, 'audit.db.spool', spool!), join(disk.at, 'audit.db.spool')])
  immutable('+')
  expect([1, 2, 3].map(() => session.record('reasoning', { text: 'refused' }).problem)).toMatchObject([1, 2, 3].map(() => ({ code: 'spool_failed', retry: true })))
  immutable('-')
  await session.record('reasoning', { text: 'after' }).durable()
  expect(spools()).toEqual([spool])
  expect((await trail.events({ event_type: 'gap' }).all()).map(({ count }) => count)).toEqual([3])
  expect(problems.map(({ code }) => code)).toEqual(['spool_failed'])
  await session.end()
})
