// A disk without room. Needs a small file system of its own: a tmpfs where we may mount one, else the tests are skipped and say so.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openTrail } from '../src/index.ts'
import { root } from './built-package.ts'
import { runChild } from './child.ts'
import { scratch } from './scratch.ts'

const SIZE = '4m'

function smallDisk(at: string): boolean {
  mkdirSync(at)
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', at]).status === 0
}

const mountable = ((): boolean => {
  const at = `/tmp/counterfoil-mount-${process.pid}`
  const can = process.platform === 'linux' && smallDisk(at)
  if (can) spawnSync('umount', [at])
  rmSync(at, { recursive: true, force: true })
  if (!can) process.stderr.write('skipped: a full disk (a tmpfs cannot be mounted here)\n')
  return can
})()

function disk(): string {
  const at = join(scratch().folder, 'disk')
  smallDisk(at)
  onTestFinished(() => void spawnSync('umount', ['-l', at]))
  return at
}

describe.runIf(mountable)('on a full disk', () => {
  test('an agent that awaits nothing ends with code 0, and stderr says what is not on record', async () => {
    const at = disk()
    const { code, signal, stderr } = await runChild(`
      import { AgentAuditTrail } from ${JSON.stringify(join(root, 'src/index.ts'))}
      const trail = new AgentAuditTrail(process.argv[2], 'agent-1')
      for (let i = 0; i < 2_000; i++) trail.log('step', { i, text: 'x'.repeat(4_000) })
      console.log('worked to the end')`, [join(at, 'audit.db')], { COUNTERFOIL_HOME: process.env['COUNTERFOIL_HOME']! })
    expect({ code, signal }).toEqual({ code: 0, signal: null })
    expect(stderr).toMatch(/counterfoil: spool: no room for another record in .* make room on its disk/)
    expect(stderr.split('\n').length).toBeLessThan(12)
  })

  test('what comes when there is room again is on record, and the hole is named', async () => {
    const at = disk()
    const db = join(at, 'audit.db')
    const reports: string[] = []
    await using trail = openTrail(db, { agent_id: 'agent-1', report: ({ message }) => reports.push(message) })
    const session = await trail.start({})
    session.record('reasoning', { text: 'before' })
    await trail.flush()
    const fill = (): void => {
      for (let size = 1024 * 1024; size > 512; size /= 2) {
        try {
          for (;;) writeFileSync(join(at, 'ballast'), Buffer.alloc(size), { flag: 'a' })
        } catch {
          // no room for this much more
        }
      }
    }
    fill()
    let refused = 0
    for (let i = 0; i < 50; i++) if (session.record('reasoning', { text: `${i} ${'y'.repeat(10_000)}` }).problem !== undefined) refused++
    expect(refused).toBeGreaterThan(40)
    expect(trail.status().lost).toBe(refused)
    const pay = trail.tool({ name: 'pay', risk: 'high' }, () => 'paid')
    const note = trail.tool({ name: 'note', risk: 'low' }, () => 'noted')
    await session.run(async () => {
      // the worker gives room back when it has drained a spool: then it is filled again, and what was recorded meanwhile is on record
      const refusal = async (act: (input: { big: string }) => Promise<unknown>): Promise<unknown> => {
        for (let tries = 0; tries < 50; tries++) {
          fill()
          const error = await act({ big: 'z'.repeat(10_000) }).then(() => undefined, (thrown: unknown) => thrown)
          if (error !== undefined) return error
        }
        return undefined
      }
      expect(await refusal(pay)).toMatchObject({ code: 'spool_full' })
      expect(await refusal(note)).toMatchObject({ code: 'spool_full' }) // buffer: the spool at least
    })
    rmSync(join(at, 'ballast'))
    session.record('reasoning', { text: 'after' })
    await session.end({ outcome: 'success' })
    const events = await trail.events({ session_id: session.session_id }).all()
    const gaps = events.filter(({ event_type }) => event_type === 'gap') as unknown as { count: number }[]
    expect(gaps.reduce((sum, { count }) => sum + count, 0)).toBe(trail.status().lost) // the tools' intents too
    expect(events.filter(({ event_type }) => event_type === 'reasoning').at(-1)).toMatchObject({ text: 'after' })
    // 4874 is SQLITE_IOERR_SHMSIZE: no room for the shared memory beside the write-ahead log
    expect(reports.filter((message) => !/room|spool|SQLite 4874/.test(message))).toEqual([])
    expect(existsSync(db)).toBe(true)
    const verdict = await trail.verify()
    expect([verdict.properties.unchanged.status, verdict.properties.payloads.status]).toEqual(['proved', 'proved'])
  })

  test('what is accepted but has no room in the database gets there without being asked, once there is room', async () => {
    const at = disk()
    const spool = join(scratch().folder, 'spool') // another disk: spools are accepted while the database is not
    mkdirSync(spool)
    const reports: string[] = []
    await using trail = openTrail(join(at, 'audit.db'), { agent_id: 'agent-1', spool, home: process.env['COUNTERFOIL_HOME']!, report: ({ message }) => reports.push(message) })
    const session = await trail.start({})
    for (let i = 0; i < 400; i++) session.record('reasoning', { text: `${i} ${Buffer.from(crypto.getRandomValues(new Uint8Array(24_000))).toString('base64')}` })
    await expect(trail.flush()).rejects.toMatchObject({ code: expect.stringMatching(/full|poisoned|io/) })
    spawnSync('mount', ['-o', 'remount,size=64m', at])
    for (let tries = 0; trail.status().spooled > 0 && tries < 100; tries++) await new Promise((resolve) => setTimeout(resolve, 100))
    expect(trail.status().spooled).toBe(0)
    expect(await trail.events({ event_type: 'reasoning' }).count()).toBe(400)
    expect((await trail.verify()).problems).toEqual([])
    expect(reports.length).toBeGreaterThan(0)
    await session.end()
  })
})
