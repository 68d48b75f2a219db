// Fourteen attacks on a log, 100 generated cases each: none may pass, and the first bad index must be right. Then 1,000 honest logs: no alarm.
//
// The first attackers have the file and no key: they change rows and sign nothing. Those marked "with the key" count, chain, hash and sign
// everything again; where nothing inside the log can show that, the case says that it needs an anchor, and is caught with one.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SQLInputValue } from 'node:sqlite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { uuidv7 } from '../../src/base/ids.ts'
import type { Entry } from '../../src/event/entry.ts'
import { encodeEntry, parseEntry } from '../../src/event/parse.ts'
import type { Verdict } from '../../src/verify/verdict.ts'
import { appendAll, appendRun, copyOf, forge, forget, openKeyring, openLog, originAt, place, sameOrigin, steppingClock, tamper, Telling, text, verifyAt, type Place, type Writable } from '../sample-log.ts'

const CASES = Number(process.env['ATTACKS'] ?? 100)
const HONEST = Number(process.env['HONEST'] ?? 1_000)
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'counterfoil-attacks-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Sql = (statement: string, ...values: SQLInputValue[]) => { [column: string]: unknown }[]
interface Base { readonly where: Place; readonly size: number; readonly checkpoint: string }
/**
 * What an attack did: where the first entry is that is not as it was signed; whether it needs an anchor; whether only keys show it; whether the new
 * entry `fits`: it takes index, seq and prev of the one that it pushes back, and where neither content nor a full tile tells, that one is the first that is wrong.
 */
interface Done { readonly first?: number; readonly anchor?: true; readonly keys?: true; readonly fits?: true }
interface Refusal { readonly code: string; readonly first_bad_index?: number }
type Attack = (copy: Place, base: Base) => Done

let state = Number(process.env['SEED'] ?? 1) >>> 0
/** mulberry32: small and repeatable. */
function random(below: number): number {
  state = (state + 0x6d2b79f5) >>> 0
  let t = Math.imul(state ^ (state >>> 15), state | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
}
const between = (from: number, to: number): number => from + random(to - from)
const pick = <T>(of: readonly T[]): T => of[random(of.length)]!

const bases: Base[] = []
beforeAll(async () => {
  for (let i = 0; i < 12; i++) {
    const where = place(join(folder, `base-${i}`))
    const ledger = await openLog(where)
    for (let run = 0, runs = i === 0 ? 27 : 1 + random(4); run < runs; run++) await appendRun(ledger, new Telling(), { user: `user-${i}-${run}`, order: String(1_000 + random(9_000)), end: random(3) > 0 })
    const head = (await ledger.read((view) => view.head()))!
    await ledger.close()
    bases.push({ where, size: head.size, checkpoint: head.checkpoint })
  }
})

const entryAt = (sql: Sql, index: number): Writable<Entry> => parseEntry(sql('SELECT entry FROM entries WHERE idx = ?', index)[0]!['entry'] as Uint8Array).entry
const bytesAt = (sql: Sql, index: number): Uint8Array => sql('SELECT entry FROM entries WHERE idx = ?', index)[0]!['entry'] as Uint8Array

/** Puts entries at their places, through the keys that would refuse two of one id: the attacker drops and makes them again where he can. */
function store(sql: Sql, from: number, to: number, bytes: readonly Uint8Array[]): void {
  const keys = sql("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'entries' AND sql LIKE 'CREATE UNIQUE%'")
  for (const { name } of keys) sql(`DROP INDEX ${String(name)}`)
  sql('DELETE FROM entries WHERE idx >= ? AND idx < ?', from, to)
  for (const [i, each] of bytes.entries()) sql('INSERT INTO entries (log_id, idx, entry) VALUES (1, ?, ?)', from + i, each)
  for (const key of keys) try {
    sql(String(key['sql']))
  } catch {
    // two of one id: the missing key is one more thing that verify sees
  }
}
function through(change: (sql: Sql, base: Base) => Done): Attack {
  return (copy, base) => {
    let done: Done = {}
    tamper(copy, (sql) => { done = change(sql, base) })
    return done
  }
}
const range = (sql: Sql, from: number, to: number): Uint8Array[] => Array.from({ length: to - from }, (_, i) => bytesAt(sql, from + i))

/** An entry with something about it changed that still is an entry. */
function edited(entry: Writable<Entry>): Writable<Entry> {
  const facts = { ...entry.facts } as { [name: string]: unknown }
  const number = Object.keys(facts).find((name) => typeof facts[name] === 'number')
  if (number !== undefined && random(2) === 0) return { ...entry, facts: { ...facts, [number]: Number(facts[number]) + 1 } as Entry['facts'] }
  return { ...entry, timestamp: '2026-11-20T00:00:00.000Z' }
}

const attacks: { readonly [name: string]: Attack } = {
  'edit an entry': through((sql, { size }) => {
    const first = random(size)
    sql('UPDATE entries SET entry = ? WHERE idx = ?', encodeEntry(edited(entryAt(sql, first))), first)
    return { first }
  }),
  'delete an entry': through((sql, { size }) => {
    const first = random(size - 1)
    if (random(2) === 0) sql('DELETE FROM entries WHERE idx = ?', first)
    else store(sql, first, size, range(sql, first + 1, size))
    return { first }
  }),
  'insert an entry': through((sql, { size }) => {
    const first = between(1, size)
    const like = pick([first - 1, first])
    const made = { ...entryAt(sql, like), event_id: uuidv7(Date.UTC(2026, 10, 21)), index: first }
    store(sql, first, size, [encodeEntry(edited(made)), ...range(sql, first, size)])
    return { first, ...(like === first ? { fits: true } : {}) }
  }),
  'reorder two entries': through((sql, { size }) => {
    const first = random(size - 1)
    const second = between(first + 1, size)
    const all = range(sql, first, second + 1)
    store(sql, first, second + 1, [all.at(-1)!, ...all.slice(1, -1), all[0]!])
    return { first }
  }),
  'duplicate an entry': through((sql, { size }) => {
    const at = random(size)
    const first = between(at + 1, size + 1)
    if (first === size) {
      store(sql, size, size, [bytesAt(sql, at)])
      return { first }
    }
    store(sql, first, size, [bytesAt(sql, at), ...range(sql, first, size)])
    return { first }
  }),
  'truncate the tail': (copy, base) => {
    const first = between(1, base.size)
    if (random(2) === 0) return through((sql) => (sql('DELETE FROM entries WHERE idx >= ?', first), { first }))(copy, base)
    forge(copy, (entries) => entries.slice(0, first)) // with the key
    return { first, anchor: true }
  },
  'splice an entry of another session in': through((sql, { size }) => {
    const first = between(1, size)
    const session = entryAt(sql, first).session_id
    const others = Array.from({ length: size }, (_, i) => i).filter((i) => i !== first && entryAt(sql, i).session_id !== session)
    store(sql, first, first + 1, [encodeEntry({ ...entryAt(sql, pick(others)), index: first })])
    return { first }
  }),
  'swap a payload and its commitment': through((sql) => {
    const places = sql('SELECT idx, ordinal, segment, frame, position, frames FROM places ORDER BY idx, ordinal')
    const one = pick(places)
    const other = pick(places.filter((each) => each['segment'] !== one['segment'] || each['frame'] !== one['frame'] || each['position'] !== one['position']))
    const put = 'UPDATE places SET segment = ?, frame = ?, position = ?, frames = ? WHERE idx = ? AND ordinal = ?'
    for (const [from, to] of [[one, other], [other, one]] as const) sql(put, ...(['segment', 'frame', 'position', 'frames'].map((name) => from[name]) as number[]), to['idx'] as number, to['ordinal'] as number)
    return { first: Math.min(Number(one['idx']), Number(other['idx'])), keys: true }
  }),
  'replace the whole log': (copy, base) => {
    const other = pick(bases.filter(({ where }) => where !== base.where))
    through((sql) => {
      sql('ATTACH ? AS other', other.where.db)
      for (const table of ['heads', 'entries', 'tiles', 'sessions', 'scopes', 'segments', 'places', 'contents', 'subjects']) {
        const columns = sql(`SELECT name FROM pragma_table_info('${table}')`).map(({ name }) => String(name)).join(', ')
        sql(`DELETE FROM ${table}`)
        sql(`INSERT INTO ${table} (${columns}) SELECT ${columns} FROM other.${table}`)
      }
      sql('DETACH other')
      return {}
    })(copy, base)
    return { first: 0 }
  },
  'fork: another history of one length, with the key': (copy, { size }) => {
    const at = between(1, size)
    forge(copy, (entries) => { entries[at]!.timestamp = '2026-11-20T00:00:00.000Z' })
    return { anchor: true }
  },
  'backdate, with the key': (copy, { size }) => {
    const at = between(1, size)
    if (random(2) === 0) {
      forge(copy, (entries) => { entries[at]!.recorded_at = '2026-11-01T00:00:00.000Z' })
      return { first: at }
    }
    forge(copy, (entries) => { for (const entry of entries) entry.recorded_at = entry.recorded_at.replace('2026-11', '2026-10') })
    return { anchor: true }
  },
  're-sign with another key': (copy, base) => {
    const other = pick(bases.filter(({ where }) => where !== base.where))
    const signer = openKeyring(originAt(other.where), other.where.home).signer()
    const at = between(1, base.size)
    forge(copy, (entries) => { if (random(2) === 0) entries[at]!.timestamp = '2026-11-20T00:00:00.000Z' }, { signer: { ...signer, name: originAt(base.where) } })
    return {}
  },
  'downgrade the version': through((sql, { size }) => {
    const first = random(size)
    const bytes = Buffer.from(bytesAt(sql, first)).toString('latin1').replace(/"v":\d+/, `"v":${random(2)}`.replace('"v":1', '"v":0'))
    sql('UPDATE entries SET entry = ? WHERE idx = ?', Buffer.from(bytes, 'latin1'), first)
    return { first }
  }),
  'forge an erasure': (copy, base) => {
    let done: Done = {}
    const kind = random(3)
    tamper(copy, (sql) => {
      const scope = pick(sql('SELECT scope, session_id, k FROM scopes'))
      const entries = range(sql, 0, base.size).map((bytes) => parseEntry(bytes).entry)
      const first = entries.findIndex((entry) => entry.session_id === scope['session_id'] && Object.keys(entry.payloads).length > 0)
      if (kind === 0) {
        // the content goes and no entry says why
        sql("UPDATE scopes SET generation = '          ', wrapped = zeroblob(length(wrapped)) WHERE scope = ?", scope['scope'] as Uint8Array)
        sql('DELETE FROM places WHERE segment IN (SELECT segment FROM segments WHERE scope = ?)', scope['scope'] as Uint8Array)
        sql("UPDATE segments SET bytes = x'' WHERE scope = ?", scope['scope'] as Uint8Array)
        sql('DELETE FROM contents WHERE scope = ?', scope['scope'] as Uint8Array)
        sql('UPDATE subjects SET subject = zeroblob(32) WHERE scope = ?', scope['scope'] as Uint8Array)
        done = { first, keys: true }
      } else if (kind === 1) {
        // one piece of content goes
        const segment = pick(sql('SELECT segment FROM segments WHERE scope = ?', scope['scope'] as Uint8Array))['segment'] as number
        const hurt = Number(sql('SELECT min(idx) AS idx FROM places WHERE segment = ?', segment)[0]!['idx'])
        sql('DELETE FROM segments WHERE segment = ?', segment)
        done = { first: hurt, keys: true }
      } else {
        // an order in the words of the ledger, put where another entry stands
        const at = between(1, base.size)
        const entry = { ...entries[at]!, event_type: 'erasure', writer: 'ledger', facts: { phase: 'ordered', part: 0, scopes: [`${String(scope['session_id'])}/${String(scope['k'])}`] }, payloads: {} } as unknown as Entry
        sql('UPDATE entries SET entry = ? WHERE idx = ?', encodeEntry(entry), at)
        done = { first: at }
      }
    })
    return done
  },
}

/** The lowest index that any property names. */
function firstBad(verdict: Verdict): number | undefined {
  const indexes = Object.values(verdict.properties).flatMap(({ first_bad_index }) => (first_bad_index === undefined ? [] : [first_bad_index]))
  return indexes.length === 0 ? undefined : Math.min(...indexes)
}

const told: string[] = []
afterAll(() => { process.stderr.write(`\n${told.join('\n')}\n`) })

it.each(Object.entries(attacks))('%s: none passes, the first bad index is right', async (name, attack) => {
  const missed: string[] = []
  let anchored = 0
  for (let n = 0; n < CASES; n++) {
    const base = pick(bases)
    const copy = sameOrigin(base.where, forget(copyOf(base.where, join(folder, 'copy'))))
    const before = state
    const done = attack(copy, base)
    const label = `${name} ${n}, state ${before}, log of ${base.size}: ${JSON.stringify(done)}`
    for (const who of done.keys === true ? (['keys'] as const) : (['keys', 'none'] as const)) {
      const vkey = openKeyring(originAt(base.where), base.where.home).vkey
      let verdict: Verdict | Refusal = await verifyAt(copy, { who, vkey }).catch((error: unknown) => error as Refusal)
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
      else if (done.first !== undefined && bad !== done.first && !(done.fits === true && bad === done.first + 1)) missed.push(`${label} ${who}: first bad index ${bad}: ${'whole' in verdict ? JSON.stringify(verdict.problems.slice(0, 4)) : String(verdict)}`)
    }
  }
  told.push(`${String(CASES).padStart(5)}  ${name}: ${missed.length} missed${anchored > 0 ? `; ${anchored} only an anchor shows` : ''}`)
  expect(missed.slice(0, 5)).toEqual([])
})

it(`raises no alarm for ${HONEST} honest logs: ended, open, resumed, interrupted, erased, renewed, rotated, of several writers`, async () => {
  const alarms: string[] = []
  const seen = { events: 0, erased: 0, renewed: 0, reopened: 0, resumed: 0, rotated: 0 }
  for (let n = 0; n < HONEST; n++) {
    const before = state
    const where = place(join(folder, `honest-${n}`))
    const clock = steppingClock()
    let ledger = await openLog(where, { clock })
    const tells: Telling[] = []
    for (let step = between(1, 6); step > 0; step--) {
      const what = random(11)
      if (what < 5 || tells.length === 0) {
        const tell = new Telling()
        await appendRun(ledger, tell, { user: `user-${random(3)}`, order: String(random(10_000)), end: random(2) === 0 })
        tells.push(tell)
      } else if (what === 5) {
        const tell = pick(tells)
        await appendAll(ledger, [tell.draft('session_resume', { reason: 'resumed' }), tell.draft('final_output', {}, { output: text('on its way') })])
        seen.resumed++
      } else if (what === 6) {
        const order = random(2) === 0 ? { user_id: `user-${random(3)}` } : { session_ids: [pick(tells).session_id] }
        const nothing = await ledger.erase({ ...order, reason: 'the customer asked' }).then(() => false, (error: { code?: string }) => {
          if (error.code !== 'nothing_to_erase' && error.code !== 'erased_already') throw error
          return true
        })
        if (!nothing) seen.erased++
      } else if (what === 7) {
        await ledger.renewKek()
        seen.renewed++
      } else if (what === 8) {
        const [one, two] = [ledger, await openLog(where, { clock })]
        await Promise.all([one, two].map((each, i) => appendRun(each, new Telling(), { user: `user-${i}`, order: '7' })))
        await two.close()
      } else if (what === 9) {
        await ledger.close()
        ledger = await openLog(where, { clock })
        seen.reopened++
      } else {
        const before = (await ledger.read((view) => view.head()))!.size
        const { vkey } = ledger.keyring
        await ledger.rotate()
        if (random(4) === 0) await ledger.reportKey({ vkey, last_good_size: before })
        seen.rotated++
      }
    }
    await ledger.close()
    for (const who of ['keys', 'none'] as const) {
      const verdict = await verifyAt(where, { who }).catch((error: unknown) => error as Error)
      if (who === 'keys' && 'whole' in verdict) seen.events += verdict.size
      if (!('whole' in verdict) || !verdict.whole) alarms.push(`log ${n}, state ${before}, ${who}: ${'whole' in verdict ? JSON.stringify(verdict.problems.slice(0, 3)) : String(verdict.stack)}`)
    }
    rmSync(where.folder, { recursive: true, force: true })
  }
  told.push(`${String(HONEST).padStart(5)}  honest logs: ${alarms.length} false alarms (${JSON.stringify(seen)})`)
  expect(alarms.slice(0, 3)).toEqual([])
})
