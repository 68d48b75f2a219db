// Kills at random instants. What a process printed a receipt for is in the log for ever, in its place, under proof.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openTrail, type Trail } from '../../src/index.ts'
import { root } from '../built-package.ts'
import { startChild } from '../child.ts'
import { scratch, type Scratch } from '../scratch.ts'

const CYCLES = Number(process.env['CYCLES'] ?? 300)

let state = Number(process.env['SEED'] ?? 1)
/** 0 to 1; the same sequence for the same SEED. */
function random(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return state / 2 ** 32
}

/**
 * Appends for ever and prints what it was told: a line for each receipt (`12 ID HASH`), for what it only handed in (`accepted ID`), for an erasure that was
 * answered (`erased SESSION`). Several sessions, events of several sizes, some awaited one by one, some together, some by nobody.
 */
const APPENDING = `
  import { openTrail } from ${JSON.stringify(join(root, 'src/index.ts'))}
  const [, , db, name] = process.argv
  const trail = openTrail(db, { agent_id: name })
  const say = (receipt) => process.stdout.write(receipt.index + ' ' + receipt.event_id + ' ' + receipt.entry_hash + '\\n')
  const work = async (n) => {
    for (let round = 0; ; round++) {
      const session = await trail.start({ user_id: name + n, user_message: 'hello' })
      process.stdout.write('session ' + session.session_id + '\\n')
      const messages = []
      for (let i = 0; i < 12; i++) {
        messages.push({ role: 'user', content: 'm' + i + 'x'.repeat((i * 977) % 3_000) })
        const call = session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: messages })
        const result = session.record('llm_result', { output_text: 'answer ' + i })
        if (i % 3 === 0) for (const each of await Promise.all([call.durable(), result.durable()])) say(each)
        else say(await result.durable())
        if (i % 4 === 1) process.stdout.write('accepted ' + session.record('reasoning', { text: 'nobody waits for this ' + i }).event_id + '\\n')
      }
      say(await session.end({ outcome: 'success' }))
      if (n === 1) {
        await trail.erase({ session_id: session.session_id }, { reason: 'asked for' })
        process.stdout.write('erased ' + session.session_id + '\\n')
      }
    }
  }
  await Promise.all([work(0), work(1), work(2)])
`

interface Acknowledged { readonly index: number; readonly event_id: string; readonly entry_hash: string }

/** The receipts that were printed whole. */
function receipts(said: string): Acknowledged[] {
  return said.slice(0, said.lastIndexOf('\n') + 1).split('\n').filter((line) => /^\d/.test(line)).map((line) => {
    const [index, event_id, entry_hash] = line.split(' ') as [string, string, string]
    return { index: Number(index), event_id, entry_hash }
  })
}

/** The second words of the whole lines that begin with `what`. */
function told(said: string, what: 'accepted' | 'erased'): string[] {
  return said.slice(0, said.lastIndexOf('\n') + 1).split('\n').filter((line) => line.startsWith(`${what} `)).map((line) => line.split(' ')[1]!)
}

/** All events by their index, which are dense from 0; each acknowledged one is in its place. */
async function checkAcknowledged(trail: Trail, acknowledged: readonly Acknowledged[], accepted: readonly string[] = []): Promise<number> {
  const seen = new Map<string, { index: number; entry_hash: string }>()
  let size = 0
  for await (const { index, event_id, entry_hash } of trail.events()) {
    expect(index).toBe(size++)
    expect(seen.has(event_id)).toBe(false)
    seen.set(event_id, { index, entry_hash })
  }
  const lost = acknowledged.filter(({ index, event_id, entry_hash }) => {
    const got = seen.get(event_id)
    return got?.index !== index || got.entry_hash !== entry_hash
  })
  expect(lost).toEqual([])
  expect(accepted.filter((event_id) => !seen.has(event_id))).toEqual([])
  return size
}

function start({ db, home }: Scratch, name: string, prefix: readonly string[] = []): ReturnType<typeof startChild> {
  return startChild(APPENDING, [db, name], { COUNTERFOIL_HOME: home }, { prefix })
}

async function saidMore(child: ReturnType<typeof startChild>, than: number, ms = 20_000): Promise<void> {
  const deadline = Date.now() + ms
  while (child.said().length <= than && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 2))
}

test(`${CYCLES} times one or two processes are killed at random instants, and lose no acknowledged event`, async () => {
  let [kills, total, spooled, forgotten, killedBefore, interrupted] = [0, 0, 0, 0, 0, 0]
  for (let cycle = 0; cycle < CYCLES; ) {
    // A fresh log every ten cycles, so that each can verify the whole of it.
    const at = scratch()
    const acknowledged: Acknowledged[] = []
    const accepted: string[] = []
    const erased: string[] = []
    for (let i = 0; i < 10 && cycle < CYCLES; i++, cycle++) {
      const children = Array.from({ length: random() < 0.4 ? 2 : 1 }, (_, n) => start(at, `a${n}`))
      // Most of them once they work, some at any moment since their birth: while they load, open, recover what the one before left.
      if (random() < 0.7) await Promise.all(children.map((child) => saidMore(child, 0)))
      for (const child of children) {
        await new Promise((resolve) => setTimeout(resolve, random() * 350))
        child.child.kill('SIGKILL')
        const { signal, stdout, stderr } = await child.ended
        expect({ signal, stderr }).toEqual({ signal: 'SIGKILL', stderr: '' })
        kills++
        const got = receipts(stdout)
        if (got.length === 0) killedBefore++
        acknowledged.push(...got)
        accepted.push(...told(stdout, 'accepted'))
        erased.push(...told(stdout, 'erased'))
      }
      const trail = openTrail(at.db, { agent_id: 'checker', home: at.home })
      await trail.ready()
      await checkAcknowledged(trail, acknowledged, accepted)
      const verdict = await trail.verify({ require: ['unchanged', 'not_truncated', 'payloads', 'indexes'] })
      expect(verdict.problems).toEqual([])
      for (const { state: of } of await trail.sessions().all()) expect(of).not.toBe('open')
      for (const session_id of erased) expect((await trail.events({ session_id, event_type: 'session_start' }).all()).map((event) => (event as unknown as { user_message: { reason?: string } }).user_message.reason)).toEqual(['erased'])
      await trail.close()
    }
    total += acknowledged.length
    spooled += accepted.length
    forgotten += erased.length
    const trail = openTrail(at.db, { home: at.home })
    const noted = (await trail.events({ event_type: 'session_interrupted' }).all()).map((event) => (event as unknown as { interrupted_stream: string }).interrupted_stream)
    expect(new Set(noted).size).toBe(noted.length) // once per stream
    interrupted += noted.length
    await trail.close()
  }
  process.stderr.write(`${CYCLES} cycles, ${kills} kills (${killedBefore} before the first receipt): ${total} acknowledged events and ${spooled} that nobody awaited, none lost; ${forgotten} sessions erased, none came back; ${interrupted} streams noted as interrupted\n`)
  expect(total).toBeGreaterThan(CYCLES)
}, 600_000 + 2_000 * CYCLES)

test('eight processes on one file, two of them killed and one erasing a session, lose no acknowledged event', async () => {
  const at = scratch()
  const erasing = startChild(`
    import { openTrail } from ${JSON.stringify(join(root, 'src/index.ts'))}
    const trail = openTrail(process.argv[2], { agent_id: 'eraser' })
    const session = await trail.start({ user_id: 'forget-me', user_message: 'secret' })
    await session.end({ outcome: 'success' })
    await new Promise((resolve) => setTimeout(resolve, 800))
    await trail.erase({ session_id: session.session_id }, { reason: 'asked for' })
    process.stdout.write('erased ' + session.session_id + '\\n')
    await trail.close()`, [at.db], { COUNTERFOIL_HOME: at.home })
  const children = Array.from({ length: 7 }, (_, n) => start(at, `a${n}`))
  await Promise.all(children.map((child) => saidMore(child, 200)))
  for (const child of children.slice(0, 2)) {
    await new Promise((resolve) => setTimeout(resolve, 300 + random() * 500))
    child.child.kill('SIGKILL')
  }
  const erased = await erasing.ended
  expect(erased).toMatchObject({ code: 0, stderr: '' })
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  for (const child of children.slice(2)) child.child.kill('SIGTERM')
  const ended = await Promise.all(children.map((child) => child.ended))
  const acknowledged = ended.flatMap(({ stdout }) => receipts(stdout))
  for (const { stderr } of ended) expect(stderr).toBe('')
  await using trail = openTrail(at.db, { home: at.home })
  const size = await checkAcknowledged(trail, acknowledged)
  const verdict = await trail.verify({ require: ['unchanged', 'not_truncated', 'payloads', 'indexes'] })
  expect(verdict.problems).toEqual([])
  process.stderr.write(`8 processes: ${acknowledged.length} acknowledged of ${size} entries, none lost\n`)
})

describe('a killed process', () => {
  test('leaves one note per open stream, and its sessions can be taken up; a living one is left alone', async () => {
    const at = scratch()
    const source = `
      import { openTrail } from ${JSON.stringify(join(root, 'src/index.ts'))}
      const trail = openTrail(process.argv[2], { agent_id: process.argv[3] })
      const open = await trail.start({})
      const twice = await trail.resume(open.session_id) // a second stream of the same session
      twice.record('reasoning', { text: 'x' })
      const ended = await trail.start({})
      await ended.end()
      const laid = await trail.start({})
      await laid.suspend()
      await trail.flush()
      process.stdout.write([open, ended, laid].map(({ session_id }) => session_id).join(' ') + '\\n')
      setInterval(() => {}, 1000)`
    const [killed, living] = ['killed', 'living'].map((name) => startChild(source, [at.db, name], { COUNTERFOIL_HOME: at.home }))
    await Promise.all([saidMore(killed!, 0), saidMore(living!, 0)])
    const [open, , laid] = killed!.said().trim().split(' ')
    const [alive] = living!.said().trim().split(' ')
    killed!.child.kill('SIGKILL')
    await killed!.ended
    for (let round = 0; round < 2; round++) {
      await using trail = openTrail(at.db, { agent_id: 'x', home: at.home })
      const noted = await trail.events({ event_type: 'session_interrupted' }).all()
      expect(noted.map(({ session_id }) => session_id)).toEqual([open, open])
      const states = new Map((await trail.sessions().all()).map(({ session_id, state: of }) => [session_id, of]))
      expect([states.get(open!), states.get(laid!), states.get(alive!)]).toEqual(['interrupted', 'suspended', 'open'])
    }
    {
      await using trail = openTrail(at.db, { agent_id: 'x', home: at.home })
      await using session = await trail.resume(open!)
      session.record('reasoning', { text: 'going on' })
      await session.end({ outcome: 'success' })
      expect((await trail.verify()).problems).toEqual([])
    }
    living!.child.kill('SIGKILL')
    await living!.ended
  })
})

const straced = spawnSync('strace', ['-V']).status === 0
if (!straced) process.stderr.write('skipped: counting fsyncs (no strace here)\n')

test.runIf(straced)('each acknowledged batch has been through an fsync of its own', async () => {
  const at = scratch()
  mkdirSync(at.folder, { recursive: true })
  const trace = join(at.folder, 'trace')
  const { code, stdout, stderr } = await startChild(`
    import { openTrail } from ${JSON.stringify(join(root, 'src/index.ts'))}
    const trail = openTrail(process.argv[2], { agent_id: 'a' })
    const session = await trail.start({})
    await trail.flush()
    process.stdout.write('x')
    const checkpoints = new Set()
    for (let i = 0; i < 200; i++) checkpoints.add((await session.record('reasoning', { text: 'r' + i }).durable()).checkpoint)
    process.stdout.write(' ' + checkpoints.size)`, [at.db], { COUNTERFOIL_HOME: at.home }, { prefix: ['strace', '-f', '-y', '-e', 'trace=fsync,fdatasync', '-o', trace] }).ended
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const batches = Number(stdout.split(' ')[1])
  expect(batches).toBe(200)
  const synced = readFileSync(trace, 'utf8').split('\n').filter((line) => line.includes('audit.db-wal') && line.includes('= 0')).length
  process.stderr.write(`${synced} fsyncs of the write-ahead log for ${batches} acknowledged batches\n`)
  expect(synced).toBeGreaterThanOrEqual(batches)
  expect(existsSync(at.db)).toBe(true)
})
