// A trail and its witness from end to end: what is cosigned is proved by verify, and what an owner with the key does to the trail
// afterwards (cutting it off, rewriting and signing it again) is refused by the witness and fails verify, where nothing else remembers.

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CosignReport } from '../src/ledger/cosign.ts'
import { openLocalTrail } from '../src/cli/local-trail.ts'
import { COSIGNATURE_ED25519, parseNote } from '../src/log/note.ts'
import { parsePolicy, type Policy } from '../src/log/policy.ts'
import { exitCode, type Verdict } from '../src/verify/verdict.ts'
import { appendRun, copyOf, forge, forget, openKeyring, openLog, originAt, place, sameOrigin, scratch, smallLog, steppingClock, Telling, verifyAt, type Place } from './sample-log.ts'
import { testSigner } from './signer.ts'
import { startWitness, type TestWitness } from './witness-server.ts'

const folder = scratch()
let log: Place
let early: Place
let witness: TestWitness
let policy: Policy
let policyText: string
let first: CosignReport

const vkeyOf = (at: Place): string => openKeyring(originAt(at), at.home).vkey
const cosignedOf = (at: Place): string | undefined => openKeyring(originAt(at), at.home).readCosigned()
async function submit(at: Place, under: Policy = policy): Promise<CosignReport> {
  const trail = await openLocalTrail(at.db, 'read', at.home)
  try {
    return await trail.cosign(under, 5_000)
  } finally {
    await trail.close()
  }
}
/** A copy that remembers nothing but what witnesses cosigned. */
function copied(of: Place, name: string): Place {
  const copy = sameOrigin(of, forget(copyOf(of, join(folder.folder, name))))
  const note = cosignedOf(log)
  if (note !== undefined) openKeyring(originAt(copy), copy.home).writeCosigned(note)
  return copy
}
const witnessed = ({ properties, problems }: Verdict): unknown[] => [properties.witnessed.status, [...new Set(problems.filter(({ property }) => property === 'witnessed').map(({ code }) => code))]]

beforeAll(async () => {
  log = place(join(folder.folder, 'log'))
  await smallLog(log)
  early = copyOf(log, join(folder.folder, 'early'))
  const ledger = await openLog(log, { clock: steppingClock(Date.UTC(2026, 10, 22)) })
  for (let i = 0; i < 40; i++) await appendRun(ledger, new Telling(), { user: `late-${i}`, order: '1', end: true })
  await ledger.close()
  witness = await startWitness(join(folder.folder, 'witness'), [vkeyOf(log)])
  policyText = `log ${vkeyOf(log)}\nwitness w1 ${witness.vkey} ${witness.url}/\nquorum w1\n`
  policy = parsePolicy(policyText)
})
afterAll(async () => {
  await witness.stop()
  folder.remove()
})

describe('a trail that nobody cosigned yet', () => {
  test('is not called witnessed, whatever the policy', async () => {
    expect(witnessed(await verifyAt(log))).toEqual(['unknown', []])
    const verdict = await verifyAt(log, { policy })
    expect([witnessed(verdict), exitCode(verdict), exitCode(verdict, ['witnessed'])]).toEqual([['unknown', []], 0, 3])
    expect((await verifyAt(log, { policy: parsePolicy('quorum none\n') })).properties.witnessed).toEqual({ status: 'unknown', says: 'whether newer entries were cut off since: the policy asks for no witness' })
  })
})

describe('a trail that its witness cosigned', () => {
  beforeAll(async () => {
    first = await submit(log)
  })

  test('is witnessed, and says by whom and how far', async () => {
    expect(first).toMatchObject({ satisfied: true, organisations: 1, witnesses: [{ name: 'w1' }], asked: [{ name: 'w1' }] })
    const verdict = await verifyAt(log, { policy })
    expect([witnessed(verdict), exitCode(verdict, ['witnessed'])]).toEqual([['proved', []], 0])
    expect(verdict.properties.witnessed.says).toBe(`1 witness of 1 organisation cosigned the first ${first.size} entries (w1; 2023-11-14 22:13:20Z)`)
  })

  test('does not count for witnesses that the policy does not know, nor for too few', async () => {
    const other = testSigner('w2.example', 7, COSIGNATURE_ED25519).vkey
    for (const text of [`witness w2 ${other}\nquorum w2\n`, `witness w1 ${witness.vkey}\nwitness w2 ${other}\ngroup g all w1 w2\nquorum g\n`, `witness w1 ${witness.vkey}\nwitness w2 ${other}\nquorum w1\n#! organisation a w1\n#! organisation b w2\n#! organisations 2\n`]) {
      expect(witnessed(await verifyAt(log, { policy: parsePolicy(text) }))).toEqual(['unknown', []])
    }
  })

  test('fails under a policy for another log', async () => {
    const verdict = await verifyAt(log, { policy: parsePolicy(`log ${testSigner('log.example', 3).vkey}\nquorum none\n`) })
    expect([witnessed(verdict), exitCode(verdict)]).toEqual([['failed', ['policy_log']], 1])
    await expect(submit(log, parsePolicy(`log ${testSigner('log.example', 3).vkey}\n${policyText.split('\n')[1]!}\nquorum w1\n`))).rejects.toMatchObject({ code: 'policy_log' })
  })

  test('is noticed when it is cut off, on a machine that remembers nothing else', async () => {
    const cut = copied(early, 'cut')
    expect((await verifyAt(cut)).whole).toBe(true) // an older copy is whole in itself
    const verdict = await verifyAt(cut, { policy })
    expect([witnessed(verdict), exitCode(verdict), verdict.properties.witnessed.first_bad_index]).toEqual([['failed', ['witness_ahead']], 1, verdict.size])
    expect((await submit(cut)).asked).toMatchObject([{ error: { code: 'witness_ahead', alarm: true } }])
  })

  test.each([
    ['cut off', 'witness_ahead', () => copied(early, 'cut-2')],
    ['rewritten', 'witness_forked', () => {
      const rewritten = copied(log, 'rewritten-2')
      forge(rewritten, (entries) => {
        entries[10]!.timestamp = '2026-11-21T07:00:00.000Z'
      })
      return rewritten
    }],
  ])('and was %s does not forget that by asking a witness that never saw it', async (_, code, make) => {
    const changed = make()
    const second = await startWitness(join(folder.folder, `witness-without-${code}`), [vkeyOf(log)])
    const either = parsePolicy(`witness w1 ${witness.vkey} ${witness.url}\nwitness w2 ${second.vkey} ${second.url}\ngroup g any w1 w2\nquorum g\n`)
    expect(await submit(changed, either)).toMatchObject({ satisfied: true, kept: first.size, asked: [{ error: { code, alarm: true } }, { name: 'w2' }] })
    await second.stop()
    expect(witnessed(await verifyAt(changed, { policy: either }))).toEqual(['failed', [code]])
  })

  test('is noticed when its owner rewrites it and signs it again', async () => {
    const rewritten = copied(log, 'rewritten')
    forge(rewritten, (entries) => {
      entries[10]!.timestamp = '2026-11-21T07:00:00.000Z'
    })
    const verdict = await verifyAt(rewritten, { policy })
    expect(verdict.problems.map(({ code }) => code)).toContain('witness_forked')
    expect([verdict.properties.witnessed.status, exitCode(verdict)]).toEqual(['failed', 1])
    expect(await submit(rewritten)).toMatchObject({ satisfied: false, asked: [{ error: { code: 'witness_forked', alarm: true } }] })
  })

  test('fails when a byte of what is kept is changed', async () => {
    const copy = copied(log, 'flipped')
    const note = cosignedOf(log)!
    const { signatures } = parseNote(note)
    expect(signatures.length).toBe(2)
    for (const at of [note.indexOf('\n') + 1, note.length - 8]) {
      openKeyring(originAt(copy), copy.home).writeCosigned(note.slice(0, at) + (note[at] === '1' ? '2' : '1') + note.slice(at + 1))
      expect(witnessed(await verifyAt(copy, { policy }))).toEqual(['failed', ['cosigned']])
    }
  })

  test('stays witnessed up to there while the witness is away, and goes on after', async () => {
    const ledger = await openLog(log, { clock: steppingClock(Date.UTC(2026, 10, 23)) })
    await appendRun(ledger, new Telling(), { user: 'later', order: '2', end: true })
    await ledger.close()
    const dead = parsePolicy(policyText.replace(/:\d+\/\n/, ':1/\n'))
    expect(await submit(log, dead)).toMatchObject({ satisfied: false, kept: first.size, asked: [{ error: { code: 'witness_unreachable', alarm: false } }] })
    const verdict = await verifyAt(log, { policy })
    expect(verdict.properties.witnessed).toMatchObject({ status: 'proved', says: expect.stringMatching(/entries since$/) })
    const again = await submit(log)
    expect([again.satisfied, again.kept, again.size > first.size]).toEqual([true, again.size, true])
    expect((await verifyAt(log, { policy })).properties.witnessed.says).not.toContain('since')
  })

  test('keeps a satisfied checkpoint when a newer one has too few cosignatures', async () => {
    const second = await startWitness(join(folder.folder, 'witness-2'), [vkeyOf(log)])
    const both = `witness w1 ${witness.vkey} ${witness.url}\nwitness w2 ${second.vkey} ${second.url}\ngroup g all w1 w2\nquorum g\n`
    const full = await submit(log, parsePolicy(both))
    expect(full).toMatchObject({ satisfied: true, organisations: 2 })
    await second.stop()
    const ledger = await openLog(log, { clock: steppingClock(Date.UTC(2026, 10, 24)) })
    await appendRun(ledger, new Telling(), { user: 'latest', order: '3', end: true })
    await ledger.close()
    const part = await submit(log, parsePolicy(both))
    expect([part.satisfied, part.kept]).toEqual([false, full.size])
    expect((await verifyAt(log, { policy: parsePolicy(both) })).properties.witnessed.status).toBe('proved')
  })
})
