// Fourteen attacks on a log, 100 generated cases each: none may pass, and the first bad index must be right. Then 1,000 honest logs: no alarm.
//
// The first attackers have the file and no key: they change rows and sign nothing. Those marked "with the key" count, chain, hash and sign
// everything again; where nothing inside the log can show that, the case says that it needs an anchor, and is caught with one.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Verdict } from '../../src/verify/verdict.ts'
import { attacks, chanceAt, firstBad, honestLog, makeBases, pick, type Base, type Refusal } from '../attacks.ts'
import { copyOf, forget, openKeyring, originAt, place, sameOrigin, verifyAt } from '../sample-log.ts'

const CASES = Number(process.env['ATTACKS'] ?? 100)
const HONEST = Number(process.env['HONEST'] ?? 1_000)
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'counterfoil-attacks-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let bases: readonly Base[]
beforeAll(async () => { bases = await makeBases(folder, 12) })

/** The table of docs/security.md, as this run fills it, and a line on honest logs. */
const told: string[] = ['| attack | cases | missed | shown only by an anchor |', '|---|---|---|---|']
afterAll(() => { process.stderr.write(`\n${told.join('\n')}\n`) })

it.each(Object.entries(attacks))('%s: none passes, the first bad index is right', async (name, attack) => {
  const missed: string[] = []
  let anchored = 0
  for (let n = 0; n < CASES; n++) {
    const base = pick(bases)
    const copy = sameOrigin(base.where, forget(copyOf(base.where, join(folder, 'copy'))))
    const before = chanceAt()
    const done = attack(copy, base)
    const label = `${name} ${n}, state ${before}, log of ${base.size}: ${JSON.stringify(done)}`
    for (const who of done.keys === true ? (['keys'] as const) : (['keys', 'none'] as const)) {
      const vkey = openKeyring(originAt(base.where), base.where.home).vkey
      let verdict: Verdict | Refusal = await verifyAt(copy, { who, vkey }).catch((error: unknown) => error as Refusal)
      // in parts, as threads read it, nothing else may be concluded
      const parts = await verifyAt(copy, { who, vkey, of: 2 + (n % 3) }).catch((error: unknown) => error as Refusal)
      if (('whole' in parts && parts.whole) !== ('whole' in verdict && verdict.whole)) missed.push(`${label} ${who}: ${'whole' in parts ? `whole is ${parts.whole}` : String(parts)} in parts, ${'whole' in verdict && verdict.whole} in one`)
      if (done.anchor === true) {
        // what content was left behind may tell already; whoever says whole must say that it does not know
        const alone = 'whole' in verdict && verdict.whole
        if ('whole' in verdict && alone && verdict.properties.not_truncated.status !== 'unknown') missed.push(`${label} ${who}: without an anchor expected "unknown", got ${verdict.properties.not_truncated.says}`)
        if (who === 'none') continue
        if (alone) anchored++
        openKeyring(originAt(base.where), copy.home).writeProved(base.checkpoint)
        verdict = await verifyAt(copy)
        if (!('whole' in verdict) || verdict.properties.not_truncated.status !== 'failed') missed.push(`${label}: the anchor did not tell`)
      }
      const bad = 'whole' in verdict ? firstBad(verdict) : verdict.first_bad_index
      if ('whole' in verdict && verdict.whole) missed.push(`${label} ${who}: whole`)
      else if (done.first !== undefined && !(bad !== undefined && bad >= done.first && bad <= (done.fits ?? done.first))) missed.push(`${label} ${who}: first bad index ${bad}: ${'whole' in verdict ? JSON.stringify(verdict.problems.slice(0, 4)) : String(verdict)}`)
    }
  }
  told.push(`| ${name} | ${CASES} | ${missed.length} | ${anchored} |`)
  expect(missed.slice(0, 5)).toEqual([])
})

it('stand in docs/security.md, each with its row', () => {
  const table = readFileSync(join(import.meta.dirname, '../../docs/security.md'), 'utf8').split('| attack |')[1]!.split('\n\n')[0]!
  expect(table.split('\n').slice(2).map((row) => row.split(' | ')[0]!.slice(2))).toEqual(Object.keys(attacks))
})

it(`raises no alarm for ${HONEST} honest logs: ended, open, resumed, interrupted, erased, renewed, rotated, of several writers`, async () => {
  const alarms: string[] = []
  const seen = { events: 0, erased: 0, renewed: 0, reopened: 0, resumed: 0, rotated: 0, scoped: 0 }
  for (let n = 0; n < HONEST; n++) {
    const before = chanceAt()
    const where = place(join(folder, `honest-${n}`))
    await honestLog(where, seen)
    for (const who of ['keys', 'none'] as const) {
      const verdict = await verifyAt(where, { who }).catch((error: unknown) => error as Error)
      expect(await verifyAt(where, { who, of: 2 + (n % 3) }).catch((error: unknown) => error), `log ${n}, state ${before}, ${who}, in parts`).toEqual(verdict)
      if (who === 'keys' && 'whole' in verdict) seen.events += verdict.size
      if (!('whole' in verdict) || !verdict.whole) alarms.push(`log ${n}, state ${before}, ${who}: ${'whole' in verdict ? JSON.stringify(verdict.problems.slice(0, 3)) : String(verdict.stack)}`)
    }
    rmSync(where.folder, { recursive: true, force: true })
  }
  told.push('', `${HONEST} honest logs: ${alarms.length} false alarms (${JSON.stringify(seen)})`)
  expect(alarms.slice(0, 3)).toEqual([])
})
