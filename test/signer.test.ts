// Logs whose key is kept by another process: begun under it, moved to it and back, and what happens when it fails, lies or is slow.

import { spawn, type ChildProcess } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { appendRun, openLog, originAt, place, scratch, Telling, verifyAt, type Place } from './sample-log.ts'
import { testContext, type Told } from '../src/cli/fixtures.ts'
import { openLocalTrail } from '../src/cli/local-trail.ts'
import { run } from '../src/cli/program.ts'
import { openTrail } from '../src/trail/trail.ts'
import { keyringFolder } from '../src/vault/keyring.ts'

const folder = scratch()
const children: ChildProcess[] = []
afterAll(() => {
  for (const child of children) child.kill()
  folder.remove()
})
let n = 0

interface Kms { readonly vkey: string; readonly module: string; how(what: { delayMs?: number; mode?: string }): Promise<number>; kill(): void }

/** A signing process, and a module that asks it. */
async function kms(name: string, seed = 1): Promise<Kms> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'kms-child.ts'), name, String(seed)], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } })
  children.push(child)
  const line = String((await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()).value)
  const [port = '', vkey = ''] = line.split(' ')
  const module = join(folder.folder, `kms-${n++}.mjs`)
  writeFileSync(module, `
    const sign = async (message) => {
      const response = await fetch('http://127.0.0.1:${port}/sign', { method: 'POST', body: message })
      if (!response.ok) throw new Error('the KMS said ' + response.status)
      return new Uint8Array(await response.arrayBuffer())
    }
    export default { vkey: ${JSON.stringify(vkey)}, sign }
  `)
  return { vkey, module, how: async (what) => Number(await (await fetch(`http://127.0.0.1:${port}/how`, { method: 'POST', body: JSON.stringify(what) })).text()), kill: () => child.kill() }
}

const logFiles = (where: Place): string[] => readdirSync(keyringFolder(originAt(where), where.home)).filter((name) => name.startsWith('log')).sort()

describe('a log that begins under a signer', () => {
  it('has no signing key in its folder, is named by the key, and is whole; without the signer it can be read, not written', async () => {
    const key = await kms('log.example/kms-1')
    const where = place(join(folder.folder, 'begun'))
    const trail = openTrail(where.db, { agent_id: 'bot', home: where.home, signer: pathToFileURL(key.module) })
    await trail.session({}, (session) => { session.record('final_output', { output: 'done' }) })
    expect(await trail.verify()).toMatchObject({ whole: true, origin: 'log.example/kms-1', keys: [{ vkey: key.vkey, state: 'in_force' }] })
    await trail.close()
    expect(logFiles(where)).toEqual([`log-${key.vkey.split('+')[1]}.next`, 'log.pub'])
    const again = openTrail(where.db, { agent_id: 'bot', home: where.home, signer: key.module })
    await again.session({}, (session) => { session.record('final_output', { output: 'again' }) })
    await again.close()
    expect(await verifyAt(where)).toMatchObject({ whole: true, problems: [], properties: { pinned: { status: 'proved' }, payloads: { status: 'proved' } } })
    const ledger = await openLog(where)
    await expect(appendRun(ledger, new Telling(), { user: 'a', order: '1' })).rejects.toMatchObject({ code: 'signer_missing' })
    await ledger.close()
    expect(await verifyAt(where)).toMatchObject({ whole: true })
    // a second log under the same key would be the same log twice
    const other = openTrail(join(where.folder, 'other.db'), { agent_id: 'bot', home: where.home, signer: key.module })
    await expect(other.ready()).rejects.toMatchObject({ code: 'key_exists' })
    await other.close().catch(() => {})
  }, 60_000)

  it('that fails, or answers with other bytes, fails the append and nothing else: what was accepted is on record when it is right again', async () => {
    const key = await kms('log.example/kms-2')
    const where = place(join(folder.folder, 'failing'))
    const trail = openTrail(where.db, { agent_id: 'bot', home: where.home, signer: key.module, report: () => {} })
    const session = await trail.start({})
    for (const [mode, code] of [['fail', 'signer_failed'], ['wrong', 'signer_wrong'], ['stranger', 'signer_wrong']] as const) {
      await key.how({ mode })
      const event = session.record('final_output', { output: mode })
      await expect(event.durable()).rejects.toMatchObject({ code })
      await key.how({ mode: 'right' })
      expect((await event.durable()).level).toBe('durable')
    }
    await session.end()
    const verdict = await trail.verify()
    expect(verdict).toMatchObject({ whole: true, counts: { gaps: 0, ended: 1 } })
    expect(new Set((await trail.events({ event_type: 'final_output' }).all()).map(({ output }) => output))).toEqual(new Set(['fail', 'stranger', 'wrong']))
    await trail.close()
  }, 60_000)

  it('loses nothing when it is gone for good while events are accepted: another process puts them into the log', async () => {
    const key = await kms('log.example/kms-3', 3)
    const where = place(join(folder.folder, 'gone'))
    const trail = openTrail(where.db, { agent_id: 'bot', home: where.home, signer: key.module, report: () => {} })
    const session = await trail.start({})
    key.kill()
    for (let i = 0; i < 50; i++) session.record('final_output', { output: String(i) })
    await expect(trail.close()).rejects.toMatchObject({ code: 'signer_failed' })
    const back = await kms('log.example/kms-3', 3)
    const again = openTrail(where.db, { agent_id: 'bot', home: where.home, signer: back.module })
    expect(await again.events({ event_type: 'final_output' }).all()).toHaveLength(50)
    await again.close()
  }, 60_000)
})

describe('rotating', () => {
  const counterfoil = async (where: Place, signer: string | undefined, ...args: string[]): Promise<{ code: number; out: string; err: string }> => {
    const told: Told = { out: '', err: '' }
    const code = await run(args, ({ json }) => testContext(told, { json, trail: where.db, cwd: folder.folder, open: (path, mode) => openLocalTrail(path, mode, where.home, signer === undefined ? {} : { signer: pathToFileURL(signer).href }) }))
    return { code, ...told }
  }

  it('to a signer, to another, and back to the folder, is whole all the way', async () => {
    const where = place(join(folder.folder, 'moved'))
    const ledger = await openLog(where, { clock: Date.now })
    await appendRun(ledger, new Telling(), { user: 'a', order: '1' })
    await ledger.close()
    const [one, two, foreign] = [await kms(originAt(where), 1), await kms(originAt(where), 2), await kms('log.example/foreign')]
    expect(await counterfoil(where, undefined, 'keys', 'rotate', '--signer', foreign.module)).toMatchObject({ code: 2, err: expect.stringContaining('expected a key named') })
    await one.how({ mode: 'stranger' })
    expect(await counterfoil(where, undefined, 'keys', 'rotate', '--signer', one.module)).toMatchObject({ code: 2, err: expect.stringContaining('got other bytes') })
    expect(await verifyAt(where)).toMatchObject({ whole: true, keys: [{}] })
    await one.how({ mode: 'right' })
    expect(await counterfoil(where, undefined, 'keys', 'rotate', '--signer', one.module)).toMatchObject({ code: 0, err: '', out: expect.stringContaining('the signing key is kept elsewhere') })
    expect(logFiles(where).filter((name) => name.endsWith('.key'))).toEqual([])
    expect(await counterfoil(where, undefined, 'keys', 'rotate')).toMatchObject({ code: 2, err: expect.stringContaining('COUNTERFOIL_SIGNER') })
    expect(await counterfoil(where, one.module, 'keys', 'rotate', '--signer', two.module)).toMatchObject({ code: 0 })
    expect(await counterfoil(where, two.module, 'keys', 'rotate', '--signer', one.module)).toMatchObject({ code: 2, err: expect.stringContaining('did not have before') })
    expect(await counterfoil(where, two.module, 'keys', 'rotate')).toMatchObject({ code: 0 })
    const after = await openLog(where, { clock: Date.now })
    await appendRun(after, new Telling(), { user: 'a', order: '2' })
    await after.close()
    const verdict = await verifyAt(where)
    expect(verdict).toMatchObject({ whole: true, problems: [], properties: { pinned: { status: 'proved' }, unchanged: { status: 'proved' } } })
    expect(verdict.keys.map(({ vkey }) => vkey).slice(1, 3)).toEqual([one.vkey, two.vkey])
    expect(logFiles(where).filter((name) => name.endsWith('.next'))).toEqual([])
  }, 60_000)
})

describe('a slow signer', () => {
  it('holds the lock while it is asked, and is asked once for all that waits', async () => {
    const key = await kms('log.example/slow')
    const where = place(join(folder.folder, 'slow'))
    const trail = openTrail(where.db, { agent_id: 'bot', home: where.home, signer: key.module })
    const session = await trail.start({})
    const told: string[] = []
    for (const delayMs of [0, 50]) {
      const before = await key.how({ delayMs })
      const started = performance.now()
      const events = Array.from({ length: 2_000 }, (_, i) => session.record('final_output', { output: `event ${i}` }))
      const recorded = performance.now() - started
      await events.at(-1)!.durable()
      const all = performance.now() - started
      const alone = performance.now()
      await session.record('final_output', { output: 'alone' }).durable()
      const asked = (await key.how({})) - before
      told.push(`signer +${delayMs} ms: 2,000 events accepted in ${recorded.toFixed(0)} ms, durable in ${all.toFixed(0)} ms (${Math.round(2_000_000 / all)}/s), one alone in ${(performance.now() - alone).toFixed(0)} ms, ${asked} signatures`)
      expect(asked).toBeLessThan(60)
    }
    process.stderr.write(`${told.join('\n')}\n`)
    await trail.close()
  }, 60_000)
})
