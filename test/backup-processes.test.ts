// Backups beside processes that write and renew, and runs that are killed wherever it hurts.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { backUp } from '../src/ledger/backup.ts'
import { restoreBackup, verifyBackup } from '../src/ledger/restore.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { appendRun, openKeyring, openLog, originAt, place, scratch, smallLog, Telling, verifyAt } from './sample-log.ts'

const tmp = scratch()
afterAll(() => tmp.remove())

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [join(import.meta.dirname, 'backup-child.ts'), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
}

test('backups taken while two processes append and renew the keys are each whole, and each opens', async () => {
  const log = place(join(tmp.folder, 'busy'))
  await smallLog(log)
  const writers = [start('write', log.db, log.home), start('write', log.db, log.home)]
  await Promise.all(writers.map((writer) => once(writer.stdout!, 'data')))
  const keyring = openKeyring(originAt(log), log.home)
  const sizes: number[] = []
  const generations = new Set<string>()
  try {
    const store = await openSqliteStore(log.db, { readOnly: true, waitMs: 20_000 })
    for (let n = 0; n < 12; n++) {
      const folder = join(tmp.folder, `busy-${n}`)
      const { size } = await backUp(store, keyring, folder, { keys: true })
      sizes.push(size)
      const verdict = await verifyBackup(folder, { home: join(tmp.folder, 'nobody') })
      expect([verdict.problems, verdict.size, verdict.properties.payloads.status]).toEqual([[], size, 'proved'])
      const [slug] = readdirSync(join(folder, 'keys'))
      generations.add(readdirSync(join(folder, 'keys', slug!)).filter((name) => name.startsWith('kek')).join())
    }
    await store.close()
  } finally {
    for (const writer of writers) {
      writer.kill('SIGKILL')
      await once(writer, 'exit')
    }
  }
  expect(sizes.at(-1)).toBeGreaterThan(sizes[0]!)
  expect(generations.size, [...generations].join(' ')).toBeGreaterThan(1)
  const to = place(join(tmp.folder, 'busy-restored'))
  const { size } = await restoreBackup(join(tmp.folder, 'busy-11'), to.db, { home: to.home })
  const ledger = await openLog(to, { clock: Date.now })
  await appendRun(ledger, new Telling(), { user: 'after', order: '1' })
  await ledger.close()
  const after = await verifyAt(to)
  expect([after.problems, after.size > size]).toEqual([[], true])
})

/** Kills `child` once `ready`, and says whether it was still there to be killed. */
async function killed(child: ChildProcess, ready: () => boolean): Promise<boolean> {
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>
  const watching = setInterval(() => { if (ready()) child.kill('SIGKILL') }, 0.2)
  const [, signal] = await ended
  clearInterval(watching)
  return signal === 'SIGKILL'
}

test('a backup that is killed leaves no folder that verifies or restores, and stops nothing', async () => {
  const log = place(join(tmp.folder, 'killed'))
  await smallLog(log)
  const points: [string, (folder: string) => boolean][] = [
    ['at the beginning', (folder) => existsSync(join(folder, 'INCOMPLETE'))],
    ['while it copies', (folder) => existsSync(folder) && readdirSync(folder).some((name) => name.startsWith('log.db'))],
    ['at the keys', (folder) => existsSync(join(folder, 'keys'))],
    ['at the end', (folder) => existsSync(join(folder, 'README.txt'))],
    ['at the manifest', (folder) => existsSync(join(folder, 'manifest.json'))],
  ]
  let hits = 0
  for (const [i, [what, ready]] of points.entries()) {
    const folder = join(tmp.folder, `killed-${i}`)
    const hit = await killed(start('backup', log.db, log.home, folder), () => ready(folder))
    const whole = existsSync(join(folder, 'manifest.json')) && !existsSync(join(folder, 'INCOMPLETE'))
    if (hit && !whole) {
      hits++
      const to = place(join(tmp.folder, `killed-to-${i}`))
      await expect(restoreBackup(folder, to.db, { home: to.home }), what).rejects.toMatchObject({ code: expect.stringMatching(/^(?:backup_incomplete|not_a_backup)$/) })
      expect(readdirSync(to.folder), what).toEqual([])
      const store = await openSqliteStore(log.db, { readOnly: true })
      await expect(backUp(store, openKeyring(originAt(log), log.home), folder, { keys: true }), what).rejects.toMatchObject({ code: 'folder_not_empty' })
      await store.close()
    } else expect((await verifyBackup(folder, { home: log.home })).whole, what).toBe(true)
  }
  expect(hits).toBeGreaterThan(1)
  expect((await verifyAt(log)).problems).toEqual([])
})

test('a restore that is killed leaves no trail or the whole one; the next run ends it', async () => {
  const log = place(join(tmp.folder, 'source'))
  await smallLog(log)
  const store = await openSqliteStore(log.db, { readOnly: true })
  const folder = join(tmp.folder, 'source-backup')
  await backUp(store, openKeyring(originAt(log), log.home), folder, { keys: true })
  await store.close()
  const points: ((to: ReturnType<typeof place>) => boolean)[] = [
    ({ db }) => existsSync(`${db}.restoring`),
    ({ db }) => existsSync(join(`${db}.restoring`, 'log.db')),
    ({ db }) => existsSync(join(`${db}.restoring`, 'keys')),
    ({ home }) => existsSync(home),
    ({ home }) => existsSync(home) && readdirSync(home).some((slug) => existsSync(join(home, slug, 'restored'))),
    ({ db }) => existsSync(db),
  ]
  let hits = 0
  for (const [i, ready] of points.entries()) {
    const to = place(join(tmp.folder, `restored-${i}`))
    const hit = await killed(start('restore', folder, to.db, to.home), () => ready(to))
    if (hit && !existsSync(to.db)) {
      hits++
      await restoreBackup(folder, to.db, { home: to.home })
    }
    expect(readdirSync(to.folder).filter((name) => name !== 'home'), String(i)).toEqual(expect.arrayContaining(['log.db']))
    const ledger = await openLog(to, { clock: Date.now })
    await appendRun(ledger, new Telling(), { user: 'after', order: '1' })
    await ledger.close()
    expect((await verifyAt(to)).problems, String(i)).toEqual([])
    if (existsSync(`${to.db}.restoring`)) expect(readdirSync(`${to.db}.restoring`), 'no copy of the keys').not.toContain('keys')
  }
  expect(hits).toBeGreaterThan(1)
})
