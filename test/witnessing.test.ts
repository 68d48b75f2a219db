// A trail that is witnessed while it is written: what is waited for, what is not held back, and who hears when a witness says no.

import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openTrail, type Trail, type TrailOptions } from '../src/index.ts'
import { ed25519Verifier } from '../src/log/note.ts'
import { evaluatePolicy, openUnderPolicy, parsePolicy } from '../src/log/policy.ts'
import { copyOf, forge, forget, openKeyring, originAt, place, scratch, sameOrigin, type Place } from './sample-log.ts'
import { testSigner } from './signer.ts'
import { startWitness, type TestWitness } from './witness-server.ts'

const folder = scratch()
const at = place(join(folder.folder, 'log'))
const policyPath = join(folder.folder, 'policy.txt')
let vkey: string
let witness: TestWitness

function openAt(where: Place, options: TrailOptions = {}): { trail: Trail; told: string[] } {
  const told: string[] = []
  return { told, trail: openTrail(where.db, { agent_id: 'agent', home: where.home, report: (problem) => told.push(problem.code), ...options }) }
}
const policyFor = (url: string): string => `log ${vkey}\nwitness w1 ${witness.vkey} ${url}\nquorum w1\n`

beforeAll(async () => {
  const { trail } = openAt(at)
  await trail.session({}, (session) => session.record('final_output', { output: 'before' }))
  await trail.close()
  vkey = openKeyring(originAt(at), at.home).vkey
  witness = await startWitness(join(folder.folder, 'witness'), [vkey])
  writeFileSync(policyPath, policyFor(witness.url))
})
afterAll(async () => {
  await witness.stop()
  folder.remove()
})

describe('with witnesses', () => {
  test('an event becomes witnessed, and the receipt has the cosigned checkpoint that covers it', async () => {
    const { trail, told } = openAt(at, { witness: policyPath })
    const [early, late] = await trail.session({}, async (session) => {
      const recorded = [session.record('reasoning', { text: 'one' }), session.record('reasoning', { text: 'two' })]
      return Promise.all(recorded.map((each) => each.witnessed()))
    })
    for (const receipt of [early!, late!]) {
      const policy = parsePolicy(policyFor(witness.url))
      const head = openUnderPolicy(policy, receipt.checkpoint!, [ed25519Verifier(vkey)])
      expect([receipt.level, evaluatePolicy(policy, head.cosignatures).satisfied, head.size > receipt.index!]).toEqual(['witnessed', true, true])
    }
    await trail.flush('witnessed')
    expect(trail.status()).toMatchObject({ witnessed: trail.status().size })
    expect((await trail.verify({ require: ['witnessed'] })).properties.witnessed.status).toBe('proved')
    await trail.close()
    expect(told).toEqual([])
  })

  test('what nobody waits for is submitted when the trail is closed', async () => {
    const { trail } = openAt(at, { witness: policyPath })
    await trail.flush('witnessed')
    for (let i = 0; i < 3; i++) await trail.session({}, (session) => session.record('final_output', { output: 'after' }))
    const { size } = trail.status()
    await trail.close()
    const again = openAt(at, { witness: policyPath })
    await again.trail.ready()
    expect(again.trail.status().witnessed).toBe(size)
    await again.trail.close()
  })

  test('many waits are few submissions', async () => {
    const { trail } = openAt(at, { witness: policyPath })
    const receipts = await trail.session({}, (session) => Promise.all(Array.from({ length: 200 }, (_, i) => session.record('reasoning', { text: `thought ${i}` }).witnessed())))
    await trail.close()
    expect(receipts.every(({ level }) => level === 'witnessed')).toBe(true)
    expect(new Set(receipts.map(({ checkpoint }) => checkpoint)).size).toBeLessThan(20)
  })

  test('an act that waits for a witness happens after it cosigned', async () => {
    const { trail } = openAt(at, { witness: policyPath, wait: { critical: 'witnessed' } })
    const seen: (number | null)[] = []
    const pay = trail.tool({ name: 'pay', risk: 'critical' }, () => seen.push(trail.status().witnessed))
    await trail.session({}, () => pay({ amount: 7 }))
    const calls = await trail.events({ event_type: 'tool_call' }).all()
    await trail.close()
    expect(seen[0]).toBeGreaterThan(calls.at(-1)!.index)
  })
})

describe('when the witness cannot be had', () => {
  let dead: Server
  let asked = 0
  beforeAll(async () => {
    dead = createServer((request) => {
      asked++
      setTimeout(() => request.socket.destroy(), 300)
    })
    await new Promise<void>((resolve) => dead.listen(0, '127.0.0.1', resolve))
    writeFileSync(join(folder.folder, 'dead.txt'), policyFor(`http://127.0.0.1:${(dead.address() as AddressInfo).port}`))
  })
  afterAll(() => dead.close())
  const policy = join(folder.folder, 'dead.txt')

  test('recording goes on; who waits is told, and so is the operator', async () => {
    const { trail, told } = openAt(at, { witness: policy })
    await trail.session({}, async (session) => {
      const recorded = session.record('reasoning', { text: 'unseen' })
      expect((await recorded.durable()).level).toBe('durable')
      await expect(recorded.witnessed()).rejects.toMatchObject({ code: 'not_witnessed', retry: true, message: expect.stringContaining('w1: ') })
      await expect(recorded.witnessed()).rejects.toMatchObject({ code: 'not_witnessed' })
    })
    const before = asked
    await trail.close() // it failed a moment ago: closing does not wait for it again
    expect([new Set(told), asked]).toEqual([new Set(['not_witnessed']), before])
  })

  test('an act that must be witnessed does not happen', async () => {
    const { trail } = openAt(at, { witness: policy, wait: { critical: 'witnessed' } })
    let paid = false
    const pay = trail.tool({ name: 'pay', risk: 'critical' }, () => { paid = true })
    await expect(trail.session({}, () => pay({ amount: 7 }))).rejects.toMatchObject({ code: 'not_witnessed' })
    await trail.close()
    expect(paid).toBe(false)
  })
})

test('a witness that saw another history raises the alarm, and recording goes on', async () => {
  const rewritten = copyOf(at, join(folder.folder, 'rewritten'))
  rmSync(join(rewritten.home, 'spool.key'))
  chmodSync(rewritten.home, 0o700)
  sameOrigin(at, forget(rewritten))
  forge(rewritten, (entries) => {
    entries[2]!.timestamp = '2026-11-21T07:00:00.000Z'
  })
  rmSync(join(openKeyring(originAt(rewritten), rewritten.home).folder, 'cosigned'), { force: true }) // it knows nothing of witnesses
  const { trail, told } = openAt(rewritten, { witness: policyPath })
  await trail.session({}, async (session) => {
    const recorded = session.record('reasoning', { text: 'on' })
    await expect(recorded.witnessed()).rejects.toMatchObject({ name: 'VerifyError', code: 'witness_forked' })
    expect((await recorded.durable()).level).toBe('durable')
  })
  await trail.close()
  expect(told).toEqual(['witness_forked'])
})

describe('a policy that does not fit', () => {
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder.folder, name), text)
    return join(folder.folder, name)
  }

  test('is refused at once where that can be seen', () => {
    expect(() => openAt(at, { witness: join(folder.folder, 'nowhere.txt') })).toThrow(expect.objectContaining({ code: 'policy_missing' }) as Error)
    expect(() => openAt(at, { witness: write('bad.txt', 'quorum\n') })).toThrow(expect.objectContaining({ name: 'MisuseError' }) as Error)
  })

  test.each([
    ['of another log', () => `log ${testSigner('log.example', 3).vkey}\nwitness w1 ${witness.vkey} ${witness.url}\nquorum w1\n`, 'policy_log'],
    ['that asks for nobody', () => `witness w1 ${witness.vkey} ${witness.url}\nquorum none\n`, 'no_witness'],
    ['without an address', () => `witness w1 ${witness.vkey}\nquorum w1\n`, 'no_witness'],
  ])('%s is refused when the log is opened', async (_, text, code) => {
    const { trail } = openAt(at, { witness: write('other.txt', text()) })
    await expect(trail.ready()).rejects.toMatchObject({ code })
    await trail.close()
  })

  test('is one for each trail of a process', async () => {
    const { trail } = openAt(at)
    expect(() => openAt(at, { witness: policyPath })).toThrow(expect.objectContaining({ code: 'other_policy' }) as Error)
    await trail.close()
  })
})

test('without a policy nothing becomes witnessed, and the error says what to do', async () => {
  const { trail } = openAt(at)
  const recorded = await trail.session({}, (session) => session.record('reasoning', { text: 'alone' }))
  await expect(recorded.witnessed()).rejects.toMatchObject({ code: 'no_witness', next: expect.stringContaining('openTrail') })
  await expect(trail.flush('witnessed')).rejects.toMatchObject({ code: 'no_witness' })
  expect(trail.status().witnessed).toBe(null)
  await trail.close()
})
