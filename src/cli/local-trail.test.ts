import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ViewEvent } from '../event/view.ts'
import { LogReader } from '../ledger/reader.ts'
import { createSpool } from '../spool/writer.ts'
import { openTrail } from '../trail/trail.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../vault/spool-key.ts'
import { fakeTrail, testContext, type Told } from './fixtures.ts'
import { openLocalTrail } from './local-trail.ts'
import { run } from './program.ts'

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'counterfoil-local-')) })
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function all(events: AsyncIterable<ViewEvent>): Promise<ViewEvent[]> {
  const found: ViewEvent[] = []
  for await (const event of events) found.push(event)
  return found
}

test('events of a session from an index on are those of the whole session, and the session is not read for it', async () => {
  const [path, home] = [join(folder, 'a.db'), join(folder, 'home')]
  const trail = openTrail(path, { agent_id: 'bot', agent_version: '2', home })
  const session = await trail.start({ user_id: 'c-1' })
  const other = await trail.start({})
  for (let i = 0; i < 5; i++) {
    session.record('reasoning', { text: `thought ${i}` })
    other.record('reasoning', { text: 'of another session' })
  }
  await session.end()
  await other.end()
  await trail.close()
  const open = await openLocalTrail(path, 'read', home)
  const whole = await all(open.events({ session_id: session.session_id }))
  expect(whole.length).toBeGreaterThan(6)
  const read = vi.spyOn(LogReader.prototype, 'session')
  for (const { index } of whole) expect(await all(open.events({ session_id: session.session_id, from: index }))).toEqual(whole.filter((event) => event.index >= index))
  expect(await all(open.events({ session_id: session.session_id, from: whole.at(-1)!.index + 1 }))).toEqual([])
  expect(await all(open.events({ session_id: session.session_id, from: whole[2]!.index, to: whole[4]!.index }))).toEqual(whole.slice(2, 4))
  expect(read).not.toHaveBeenCalled()
  read.mockRestore()
  await open.close()
})

test('one session is looked up, not searched for among all', async () => {
  const [path, home] = [join(folder, 'a.db'), join(folder, 'home')]
  const trail = openTrail(path, { agent_id: 'bot', home })
  const { session_id } = await trail.start({ user_id: 'c-1' })
  await trail.start({})
  const [, expected] = await trail.sessions().all()
  await trail.close()
  const open = await openLocalTrail(path, 'read', home)
  const search = vi.spyOn(LogReader.prototype, 'sessions')
  const found = []
  for await (const session of open.sessions({ session_id })) found.push(session)
  expect(found).toEqual([expected])
  expect(search).not.toHaveBeenCalled()
  search.mockRestore()
  await open.close()
})

describe('a spool without a database', () => {
  /** What a process leaves that was killed before its log was there. */
  function leave(path: string, home: string): void {
    const script = `
      import { openTrail } from ${JSON.stringify(join(import.meta.dirname, '..', 'index.ts'))}
      const trail = openTrail(${JSON.stringify(path)}, { agent_id: 'bot', home: ${JSON.stringify(home)} })
      void trail.session({ user_message: 'hello' }, (session) => {
        session.record('reasoning', { text: 'and then the light went out' })
        process.kill(process.pid, 'SIGKILL')
      })`
    try {
      execFileSync(process.execPath, ['--input-type=module', '-e', script], { stdio: 'pipe' })
    } catch {
      // it killed itself
    }
    for (const name of readdirSync(folder)) if (/^a\.db(-wal|-shm)?$/.test(name)) rmSync(join(folder, name))
  }

  async function counterfoil(args: readonly string[], path: string, home: string): Promise<Told & { code: number }> {
    const told: Told = { out: '', err: '' }
    const code = await run(args, ({ json }) => testContext(told, { json, trail: path, env: { COUNTERFOIL_HOME: home }, open: (file, mode) => openLocalTrail(file, mode, home) }))
    return { ...told, code }
  }

  test.runIf(process.platform === 'linux')('is put into a log by the command that looks for it, which says so', async () => {
    const [path, home] = [join(folder, 'a.db'), join(folder, 'home')]
    leave(path, home)
    const doctor = await counterfoil(['doctor', '--json'], path, home)
    expect(JSON.parse(doctor.out)).toMatchObject({ checks: expect.arrayContaining([{ name: 'spool', status: 'warn', says: expect.stringContaining('2 events'), next: expect.stringContaining('counterfoil') }]) })
    expect(existsSync(path)).toBe(false)
    const stranger = await counterfoil(['show'], path, join(folder, 'other-home'))
    expect([stranger.code, stranger.err]).toEqual([2, expect.stringContaining('set COUNTERFOIL_HOME')])
    expect([existsSync(path), existsSync(join(folder, 'other-home'))]).toEqual([false, false])
    const { code, out, err } = await counterfoil(['show'], path, home)
    expect([code, err]).toEqual([0, `made ${path}, and put into it what a process that is gone left in ${path}.spool: 2 events\n`])
    expect(out).toContain('and then the light went out')
    expect(await counterfoil(['verify'], path, home)).toMatchObject({ code: 0, err: '' })
  })

  test('of a process that lives is left to it', async () => {
    const [path, home] = [join(folder, 'a.db'), join(folder, 'home')]
    const spool = createSpool(`${path}.spool`, { origin: SPOOL_ORIGIN, key: openSpoolKey(home) })
    spool.append(new Uint8Array(3))
    const { code, err } = await counterfoil(['show', '--json'], path, home)
    expect([code, JSON.parse(err)]).toMatchObject([2, { error: { code: 'not_drained', next: expect.stringContaining('the process that recorded it') } }])
    expect(existsSync(path)).toBe(false)
    spool.close()
  })
})

test('no spool and no database is no trail', async () => {
  const told: Told = { out: '', err: '' }
  expect(await run(['show'], () => testContext(told, { trail: join(folder, 'a.db'), open: async () => fakeTrail() }))).toBe(2)
  expect(told.err).toContain('there is no trail at')
})
