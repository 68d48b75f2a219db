// An erasure with the system against it: killed at each of its system calls, with a reader that holds old pages and another process that writes.

import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openKeyring } from '../../src/vault/keyring.ts'
import { copyOf, openLog, originAt, place, scratch, smallLog, Telling, verifyAt, type Place } from '../sample-log.ts'

const folder = scratch()
afterAll(() => folder.remove())
const child = join(import.meta.dirname, 'erase-child.ts')
const traced = process.platform === 'linux' && spawnSync('strace', ['-V']).status === 0
let log: Place
let session: string
let tokens: Buffer[]

beforeAll(async () => {
  log = place(join(folder.folder, 'log'))
  session = (await smallLog(log)).sessions[0]!
  using database = new DatabaseSync(log.db, { readOnly: true })
  tokens = database.prepare('SELECT wrapped AS bytes FROM scopes WHERE session_id = ?1 UNION ALL SELECT substr(bytes, -32) FROM segments WHERE scope IN (SELECT scope FROM scopes WHERE session_id = ?1)').all(session).map(({ bytes }) => Buffer.from(bytes as Uint8Array).subarray(-32))
})

/** All that lies beside the keys, read by another process. */
function bytesOf({ folder: at }: Place): Buffer {
  return execFileSync('cat', readdirSync(at).filter((name) => name.startsWith('log.db') && !name.endsWith('.spool')).map((name) => join(at, name)), { maxBuffer: 1 << 30 })
}

/** The calls by which a process changes files, in order: what a kill can fall between. */
const CHANGES = ['pwrite64', 'write', 'fsync', 'fdatasync', 'ftruncate', 'unlink', 'rename', 'link']

/** Runs the child under strace until its `n`-th `call` kills it; whether it was killed. (strace counts each call for itself.) */
async function killedAt(call: string, n: number, where: Place, ...args: string[]): Promise<boolean> {
  try {
    await promisify(execFile)('strace', ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${n}`, process.execPath, child, where.folder, ...args])
    return false
  } catch {
    return true
  }
}

async function atEveryCall(what: string, args: string[], check: (where: Place, at: string) => Promise<void>): Promise<number> {
  let killed = 0
  for (const call of CHANGES) for (let n = 1, past = false; !past; n += 2) {
    past = !(await Promise.all([n, n + 1].map(async (at) => {
      const where = copyOf(log, join(folder.folder, `${what}-${at % 4}`))
      const was = await killedAt(call, at, where, ...args)
      if (was) killed++
      await check(where, `${call} ${at}`)
      return was
    }))).every(Boolean)
  }
  return killed
}

it.skipIf(!traced)('killed at every change of a file, an erasure is finished by the next open, or was never ordered', async () => {
  let finished = 0
  const killed = await atEveryCall('erase', ['erase', session], async (where, at) => {
    await (await openLog(where)).close()
    const verdict = await verifyAt(where)
    expect([verdict.problems, verdict.properties.payloads.status], `killed at ${at}`).toEqual([[], 'proved'])
    const left = bytesOf(where)
    const there = tokens.filter((token) => left.includes(token)).length
    expect([0, tokens.length], `killed at ${at}`).toContain(there)
    if (there === 0) finished++
    expect(verdict.counts.erased > 0, `killed at ${at}`).toBe(there === 0)
  })
  process.stderr.write(`an erasure was killed at ${killed} system calls; ${finished} times it had been ordered, and the next open finished it\n`)
  expect(finished).toBeGreaterThan(5)
})

it.skipIf(!traced)('killed at every change of a file, a renewal of the KEK is finished by the next open, and nothing is lost', async () => {
  const killed = await atEveryCall('renew', ['renew'], async (where, at) => {
    await (await openLog(where)).close()
    const verdict = await verifyAt(where)
    expect([verdict.problems, verdict.counts.payloads], `killed at ${at}`).toEqual([[], 49])
    expect(openKeyring(originAt(where), where.home).keks(), `killed at ${at}`).toHaveLength(1)
  })
  process.stderr.write(`a renewal was killed at ${killed} system calls\n`)
  expect(killed).toBeGreaterThan(30)
})

it('an erasure waits for a reader while another process writes, and leaves no byte', async () => {
  const where = copyOf(log, join(folder.folder, 'busy'))
  for (const token of tokens) expect(bytesOf(where).includes(token)).toBe(true)
  const started = (...args: string[]): Promise<{ done: Promise<number | null> }> => new Promise((resolve) => {
    const process1 = spawn(process.execPath, [child, where.folder, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    const done = new Promise<number | null>((end) => process1.on('exit', end))
    process1.stdout.once('data', () => resolve({ done }))
  })
  const writer = await started('write', new Telling().session_id)
  const reader = await started('reader', '1500')
  const before = performance.now()
  const eraser = await started('erase', session)
  expect(await eraser.done).toBe(0)
  expect(performance.now() - before).toBeGreaterThan(1_000) // it had to wait
  expect([await reader.done, await writer.done]).toEqual([0, 0])
  const verdict = await verifyAt(where)
  expect([verdict.problems, verdict.whole]).toEqual([[], true])
  expect(verdict.properties.payloads.says).toMatch(/; 12 were erased, by entry #\d+$/)
  const left = bytesOf(where)
  expect(tokens.filter((token) => left.includes(token))).toEqual([])
})
