// Erasure as an attacker and an operator meet it: what is gone is gone from every byte, what remains still proves, and nothing can be
// put back or taken away unseen.

import { execFileSync } from 'node:child_process'
import { createHash, createHmac } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { randomRef } from '../src/base/ids.ts'
import type { Ledger } from '../src/ledger/ledger.ts'
import { createSpool } from '../src/spool/writer.ts'
import { encodeDraft } from '../src/event/draft.ts'
import { SPOOL_ORIGIN } from '../src/vault/spool-key.ts'
import { unwrapSecret } from '../src/vault/scope.ts'
import { openKeyring } from '../src/vault/keyring.ts'
import { appendAll, appendRun, copyOf, forge, forget, handed, json, openLog, originAt, place, scratch, tamper, Telling, text, verifyAt, type Place } from './sample-log.ts'

const folder = scratch()
afterAll(() => folder.remove())
let where: Place
let n = 0
beforeEach(() => { where = place(join(folder.folder, `log-${n++}`)) })

const because = { reason: 'the customer asked' }
const codes = (verdict: { problems: readonly { code: string }[] }): string[] => [...new Set(verdict.problems.map(({ code }) => code))].sort()

/** Two sessions of one person with a child, one of another; what is to be gone of the first two. */
async function people(options: Parameters<typeof openLog>[1] = {}): Promise<{ ledger: Ledger; ingrid: Telling[]; jonas: Telling }> {
  const ledger = await openLog(where, options)
  const [first, second, child, jonas] = [new Telling(), new Telling(), new Telling(), new Telling()]
  await appendRun(ledger, first, { user: 'ingrid.maximova', order: '1182' })
  await appendRun(ledger, jonas, { user: 'jonas.weidenfeld', order: '2045' })
  await appendRun(ledger, second, { user: 'ingrid.maximova', order: '4419', end: false })
  await appendRun(ledger, child, { user: 'helper-agent', order: '1182', parent: first.session_id })
  return { ledger, ingrid: [first, second, child], jonas }
}

describe('an erasure', () => {
  it('takes a person\'s sessions and their children, ends what is open, and verifies by which entry', async () => {
    const { ledger, ingrid, jonas } = await people()
    const done = await ledger.erase({ user_id: 'ingrid.maximova', ...because })
    expect([...done.sessions].sort()).toEqual(ingrid.map(({ session_id }) => session_id).sort())
    expect((await ledger.session(ingrid[1]!.session_id))?.state).toBe('ended')
    await ledger.close()
    const verdict = await verifyAt(where)
    expect(verdict).toMatchObject({ whole: true, counts: { erased: 36 } })
    expect(verdict.properties.payloads).toEqual({ status: 'proved', says: `${verdict.counts.payloads} payloads match their commitments; 36 were erased, by entry #${done.ordered.index}` })
    expect((await verifyAt(where, { who: 'none' })).whole).toBe(true)
    const again = await openLog(where)
    await expect(again.erase({ user_id: 'ingrid.maximova', ...because })).rejects.toMatchObject({ code: 'nothing_to_erase' })
    await expect(again.erase({ session_ids: [ingrid[0]!.session_id], ...because })).rejects.toMatchObject({ code: 'erased_already' })
    await again.erase({ session_ids: [jonas.session_id], ...because })
    await again.close()
    expect((await verifyAt(where)).properties.payloads.says).toMatch(/; 48 were erased, by entries #\d+, #\d+$/)
  })

  it('leaves a late event without content, also in a process that has the secret at hand', async () => {
    const { ledger, ingrid } = await people()
    const other = await openLog(where)
    const late = ingrid[1]!
    await appendAll(other, [late.draft('reasoning', { kind: 'author_stated' }, { text: text('before the erasure') })])
    await ledger.erase({ session_ids: [late.session_id], ...because })
    await appendAll(other, [late.draft('reasoning', { kind: 'author_stated' }, { text: text('a late secret about Ingrid') })])
    await other.close()
    await ledger.close()
    const verdict = await verifyAt(where)
    expect([verdict.problems, verdict.whole]).toEqual([[], true])
    expect(bytesOf(where).includes('a late secret')).toBe(false)
  })

  it('leaves no content behind a writer that appended between the order and the deletion', async () => {
    // The deletion moves no head: only the vault itself tells another process that a secret it holds is gone.
    const { ledger, ingrid } = await people()
    const other = await openLog(where)
    const late = ingrid[1]!
    const store = ledger.store
    const append = store.append.bind(store)
    let calls = 0
    store.append = (async (fn: never) => {
      const result = await append(fn)
      // after the transaction that deletes the secrets, before the one that says so
      if (++calls === 3) await appendAll(other, [late.draft('reasoning', { kind: 'author_stated' }, { text: text('sealed too late') })])
      if (calls === 2) await appendAll(other, [late.draft('reasoning', { kind: 'author_stated' }, { text: text('sealed just in time') })])
      return result
    }) as typeof store.append
    await ledger.erase({ session_ids: [late.session_id], ...because })
    expect(calls).toBe(4)
    store.append = append
    await other.close()
    await ledger.close()
    const verdict = await verifyAt(where)
    expect([verdict.problems, verdict.whole]).toEqual([[], true])
  })

  it('is finished by the next open, or by the same order again, when a reader kept it from being wiped', async () => {
    const { ledger, ingrid } = await people({ waitMs: 200 })
    const reader = new DatabaseSync(where.db, { readOnly: true })
    reader.exec('BEGIN')
    reader.prepare('SELECT count(*) FROM entries').get()
    await expect(ledger.erase({ session_ids: [ingrid[0]!.session_id], ...because })).rejects.toMatchObject({ code: 'busy', retry: true })
    const underWay = await ledger.read(async () => undefined).then(() => verifyAt(where))
    expect(underWay.whole).toBe(true)
    expect(underWay.properties.payloads).toMatchObject({ status: 'unknown', says: expect.stringMatching(/the erasure ordered by entry #\d+ is not done yet/) as string })
    const told: string[] = []
    const second = await openLog(where, { waitMs: 200, report: (problem) => told.push(problem.message) })
    expect(told).toHaveLength(1) // it opens, so that nobody stops recording, and says why the erasure waits
    await second.close()
    reader.exec('COMMIT')
    reader.close()
    const done = await ledger.erase({ session_ids: [ingrid[0]!.session_id], ...because })
    expect(done.sessions).toContain(ingrid[0]!.session_id)
    await ledger.close()
    expect((await verifyAt(where)).properties.payloads.status).toBe('proved')
  })

  it('is not stopped by a foreign file among the spools, and blanks what a spool still holds', async () => {
    const key = new Uint8Array(32).fill(7)
    const spools = { folder: join(where.folder, 'spools'), key }
    const writer = createSpool(spools.folder, { origin: SPOOL_ORIGIN, key })
    const ledger = await openLog(where, { spools })
    const tell = new Telling()
    for (const draft of [tell.draft('session_start', { agent_id: 'a' }, { identity: json({ subject: 'ingrid' }) }), tell.draft('final_output', {}, { output: text('spooled words') })]) writer.append(encodeDraft(draft))
    const path = join(spools.folder, writer.id)
    await ledger.drain({ id: writer.id, path, owner: {} as never })
    const [before] = [readFileSync(path)]
    writeFileSync(join(spools.folder, 'a'.repeat(32)), 'no spool at all')
    await ledger.erase({ session_ids: [tell.session_id], ...because })
    const after = readFileSync(path)
    expect(after.length).toBe(before.length)
    const ciphertext = before.subarray(-60, -20)
    expect(before.includes(ciphertext)).toBe(true)
    expect(after.includes(ciphertext)).toBe(false)
    writer.append(encodeDraft(tell.draft('final_output', {}, { output: text('and on') })))
    await ledger.drain({ id: writer.id, path, owner: {} as never })
    writer.close()
    await ledger.close()
    expect((await verifyAt(where)).problems).toEqual([])
  })

  it('is ordered by nobody but the ledger', async () => {
    const { ledger, jonas } = await people()
    const forged = jonas.draft('erasure', { phase: 'ordered', erasure: randomRef(), scopes: [`${jonas.session_id}/0`], part: 0, parts: 1, scope_count: 1 })
    await ledger.append(handed(forged))
    await ledger.close()
    await (await openLog(where)).close() // would carry it out
    expect((await verifyAt(where)).problems).toEqual([])
    tamper(where, (sql) => remove(sql, jonas.session_id))
    expect(codes(await verifyAt(where))).toContain('missing')
  })
})

describe('whoever changes what an erasure left', () => {
  async function erased(): Promise<{ before: Place; ingrid: Telling; ordered: number; done: number }> {
    const { ledger, ingrid } = await people()
    await ledger.close()
    const before = copyOf(where, `${where.folder}-before`)
    const again = await openLog(where)
    const { ordered, done } = await again.erase({ session_ids: [ingrid[1]!.session_id], ...because })
    await again.close()
    return { before, ingrid: ingrid[1]!, ordered: ordered.index, done: done.index }
  }

  it.each(['keys', 'none'] as const)('and puts the payloads back is seen (%s)', async (who) => {
    const { before, ingrid, ordered } = await erased()
    tamper(where, (sql) => putBack(sql, before, ingrid.session_id))
    const verdict = await verifyAt(where, { who })
    expect(codes(verdict)).toContain('not_erased')
    expect(verdict.properties.payloads).toMatchObject({ status: 'failed', first_bad_index: ordered })
  })

  it.each(['keys', 'none'] as const)('and puts them back under a scope that nobody looks for is seen (%s)', async (who) => {
    const { before, ingrid } = await erased()
    tamper(where, (sql) => {
      putBack(sql, before, ingrid.session_id)
      sql('UPDATE scopes SET k = 77 WHERE session_id = ?', ingrid.session_id)
    })
    expect(codes(await verifyAt(where, { who }))).toContain('secret_extra')
  })

  it('and puts back segments without the secret, or places, is seen', async () => {
    const { before, ingrid } = await erased()
    const whole = copyOf(where, `${where.folder}-whole`)
    tamper(where, (sql) => {
      putBack(sql, before, ingrid.session_id)
      sql('DELETE FROM scopes WHERE session_id = ?', ingrid.session_id)
    })
    for (const who of ['keys', 'none'] as const) expect(codes(await verifyAt(where, { who }))).toContain('segment_orphan')
    tamper(whole, (sql) => sql('INSERT INTO places SELECT log_id, (SELECT max(idx) FROM entries), 0, segment, frame, position, frames FROM places LIMIT 1'))
    for (const who of ['keys', 'none'] as const) expect((await verifyAt(whole, { who })).whole).toBe(false)
  })

  it('and removes the erasure entry, as the key holder could, is seen by what is missing', async () => {
    const { ordered } = await erased()
    tamper(where, (sql) => sql('DELETE FROM entries WHERE idx = ?', ordered))
    expect((await verifyAt(where)).properties.unchanged).toMatchObject({ status: 'failed', first_bad_index: ordered })
    const { ordered: again } = await (async () => { where = place(join(folder.folder, `log-${n++}`)); return erased() })()
    forge(forget(where), (entries) => entries.filter(({ event_type }) => event_type !== 'erasure'))
    for (const who of ['keys', 'none'] as const) {
      const verdict = await verifyAt(where, { who })
      expect(codes(verdict)).toContain('missing')
      expect(verdict.properties.payloads.first_bad_index).toBeLessThan(again)
    }
  })

  it('and removes a payload by hand is seen, by its entry', async () => {
    const { ledger, jonas } = await people()
    await ledger.close()
    tamper(where, (sql) => remove(sql, jonas.session_id))
    for (const who of ['keys', 'none'] as const) {
      const verdict = await verifyAt(where, { who })
      expect([verdict.whole, verdict.properties.payloads.first_bad_index]).toEqual([false, 12])
    }
  })

  it('and forges that an erasure was done which was not carried out is seen', async () => {
    const { ledger, jonas } = await people()
    await ledger.close()
    const erasure = randomRef()
    forge(forget(where), (entries) => {
      const like = entries[0]!
      const made = (phase: string, more: object): any => ({ ...like, event_id: `01930000-0000-7000-8000-0000000000${phase === 'done' ? '01' : '02'}`, event_type: 'erasure', recorded_at: entries.at(-1)!.recorded_at, facts: { phase, erasure, ...more } })
      entries.push(made('ordered', { scopes: [`${jonas.session_id}/0`] }), made('done', {}))
    })
    for (const who of ['keys', 'none'] as const) expect(codes(await verifyAt(where, { who }))).toEqual(['not_erased'])
  })
})

describe('the bytes', () => {
  it('of an erased session are gone from the database, its log and its spools', async () => {
    const { ledger, ingrid, jonas } = await people()
    await ledger.close()
    const [gone, kept] = [tokensOf(where, ingrid[0]!.session_id), tokensOf(where, jonas.session_id)]
    const before = bytesOf(where)
    for (const [what, token] of [...gone, ...kept]) expect(before.includes(token), what).toBe(true)
    const again = await openLog(where)
    await again.erase({ user_id: 'ingrid.maximova', ...because })
    const live = bytesOf(where) // nobody of this process has it open but the store, and closing comes after
    await again.close()
    const after = bytesOf(where)
    for (const [what, token] of gone) expect([live.includes(token), after.includes(token)], what).toEqual([false, false])
    for (const [what, token] of kept) expect(after.includes(token), what).toBe(true)
  })

  it('are gone however often sessions were erased before, in any order: no page keeps what was moved', async () => {
    const ledger = await openLog(where)
    const tells = Array.from({ length: 40 }, () => new Telling())
    for (const [i, tell] of tells.entries()) await appendRun(ledger, tell, { user: `person-${i}`, order: String(5_000 + i) })
    await ledger.close()
    const tokens = tells.map((tell) => tokensOf(where, tell.session_id))
    const order = tells.map((_, i) => (i * 17) % 40)
    for (let round = 0; round < 4; round++) {
      const again = await openLog(where)
      const now = order.slice(round * 8, round * 8 + 8)
      for (const i of now) await again.erase({ session_ids: [tells[i]!.session_id], ...because })
      await again.close()
      const after = bytesOf(where)
      for (const i of order.slice(0, round * 8 + 8)) for (const [what, token] of tokens[i]!) expect(after.includes(token), `${what} of ${i} after round ${round}`).toBe(false)
      for (const i of order.slice(round * 8 + 8)) for (const [what, token] of tokens[i]!) expect(after.includes(token), `${what} of ${i}`).toBe(true)
    }
    expect((await verifyAt(where)).problems).toEqual([])
  })

  it('answer no guess: what is stored after an erasure has no digest of a name, an amount, a prompt or an approval', async () => {
    const { ledger, ingrid } = await people()
    await ledger.erase({ user_id: 'ingrid.maximova', ...because })
    await ledger.erase({ session_ids: [ingrid[2]!.session_id], ...because }).catch(() => undefined)
    await ledger.close()
    const guesses = guessesAbout(['ingrid.maximova', '1182', '4419', 'helper-agent', 'lead-2'])
    const stored = bytesOf(where)
    const digests = guesses.flatMap(digestsOf)
    expect(digests.length).toBeGreaterThan(3_000)
    expect(digests.filter((digest) => stored.includes(digest))).toEqual([])
    // the same search finds a control: a log that kept plain digests of the same values
    const control = Buffer.concat(['ingrid.maximova', JSON.stringify({ subject: 'ingrid.maximova', role: 'user' }), JSON.stringify({ order_id: '1182', amount: 42 })].map((value) => createHash('sha256').update(value).digest()))
    expect(digests.filter((digest) => control.includes(digest)).length).toBe(3)
    const inText = Buffer.from(JSON.stringify({ prompt: createHash('sha256').update('Where is my refund for order 1182?').digest('hex'), amount: createHash('sha256').update('42').digest('base64') }))
    expect(digests.filter((digest) => inText.includes(digest)).length).toBeGreaterThanOrEqual(2)
  })
})

describe('a renewal of the KEK', () => {
  it('kills every copy made before', async () => {
    const { ledger, ingrid } = await people()
    await ledger.close()
    const copy = copyOf(where, `${where.folder}-copy`)
    const again = await openLog(where)
    await again.erase({ session_ids: [ingrid[0]!.session_id], ...because })
    const opens = (): number => {
      const keyring = openKeyring(originAt(where), where.home)
      using database = new DatabaseSync(copy.db, { readOnly: true })
      return (database.prepare('SELECT scope, wrapped FROM scopes').all() as { scope: Uint8Array; wrapped: Uint8Array }[]).filter(({ scope, wrapped }) => {
        try {
          return unwrapSecret(wrapped, scope, keyring.origin, (generation) => keyring.kek(generation)).length === 32
        } catch {
          return false
        }
      }).length
    }
    expect(opens()).toBe(4) // until the renewal, whoever has the keys reads the copy: the window that is reported
    await again.renewKek()
    expect(opens()).toBe(0)
    expect(readdirSync(join(where.home, readdirSync(where.home)[0]!)).filter((name) => name.startsWith('kek-'))).toEqual(['kek-2'])
    await again.close()
    expect((await verifyAt(where)).problems).toEqual([])
  })

  it('that was cut short is finished at the next open', async () => {
    const { ledger } = await people()
    await ledger.close()
    openKeyring(originAt(where), where.home).makeKek(2)
    await (await openLog(where)).close()
    expect(openKeyring(originAt(where), where.home).keks().map(({ generation }) => generation)).toEqual([2])
    const verdict = await verifyAt(where)
    expect([verdict.problems, verdict.counts.payloads]).toEqual([[], 48])
  })

  it('by two processes at once, while both append, loses nothing', async () => {
    const { ledger, jonas } = await people()
    const other = await openLog(where)
    const tells = [new Telling(), new Telling()]
    const work = async (who: Ledger, tell: Telling): Promise<void> => {
      for (let i = 0; i < 5; i++) {
        await appendAll(who, [tell.draft(i === 0 ? 'session_start' : 'final_output', i === 0 ? { agent_id: 'a' } : {}, i === 0 ? {} : { output: text(`words ${i}`) })])
        await who.renewKek().catch((error: { code?: string; name?: string }) => { if (error.code !== 'key_exists' && error.name !== 'RangeError') throw error })
      }
    }
    await Promise.all([work(ledger, tells[0]!), work(other, tells[1]!)])
    await appendAll(other, [jonas.draft('final_output', {}, { output: text('still readable') })])
    await ledger.close()
    await other.close()
    await (await openLog(where)).close()
    const verdict = await verifyAt(where)
    expect([verdict.problems, verdict.counts.payloads]).toEqual([[], 57])
    expect(openKeyring(originAt(where), where.home).keks()).toHaveLength(1)
  })
})

// ---- what an intruder does, and what is searched for

type Sql = Parameters<Parameters<typeof tamper>[1]>[0]

function remove(sql: Sql, session_id: string): void {
  const [row] = sql('SELECT scope FROM scopes WHERE session_id = ?', session_id)
  const scope = row!['scope'] as Uint8Array
  sql('DELETE FROM places WHERE segment IN (SELECT segment FROM segments WHERE scope = ?)', scope)
  for (const table of ['contents', 'subjects', 'scopes', 'segments']) sql(`DELETE FROM ${table} WHERE scope = ?`, scope)
}

function putBack(sql: Sql, from: Place, session_id: string): void {
  sql('ATTACH ? AS before', from.db)
  sql('CREATE TEMP TABLE gone AS SELECT scope FROM before.scopes WHERE session_id = ?', session_id)
  sql('INSERT INTO main.places SELECT * FROM before.places WHERE segment IN (SELECT segment FROM before.segments WHERE scope IN (SELECT scope FROM gone))')
  for (const table of ['scopes', 'subjects', 'segments']) sql(`DELETE FROM main.${table} WHERE scope IN (SELECT scope FROM gone)`) // the erased row stands there still
  for (const table of ['contents', 'subjects', 'scopes', 'segments']) sql(`INSERT INTO main.${table} SELECT * FROM before.${table} WHERE scope IN (SELECT scope FROM gone)`)
  sql('DETACH before')
}

/** Every byte of the database, the files beside it and the spools, read by another process: this one may have the store open. */
function bytesOf({ folder: at }: Place): Buffer {
  const files: string[] = []
  for (const name of readdirSync(at, { recursive: true, encoding: 'utf8' })) {
    const path = join(at, name)
    if (statSync(path).isFile() && !name.startsWith('home')) files.push(path)
  }
  return execFileSync('cat', files, { maxBuffer: 1 << 30 })
}

/**
 * What must be gone: plaintext never stands there; ciphertext, wrapped secret and the person's hash do. Not the keys of the content index: SQLite
 * may leave old copies of rows that it moved between pages, and a keyed hash says nothing once the scope's secret is destroyed (docs/erasure.md).
 */
function tokensOf({ db }: Place, session_id: string): [string, Buffer][] {
  using database = new DatabaseSync(db, { readOnly: true })
  const found: [string, Buffer][] = []
  const all = (sql: string): { [column: string]: Uint8Array }[] => database.prepare(sql).all(session_id) as never
  for (const { wrapped } of all('SELECT wrapped FROM scopes WHERE session_id = ?')) found.push(['the wrapped secret', Buffer.from(wrapped!.slice(57, 89))], ['its salt', Buffer.from(wrapped!.slice(25, 57))])
  const ofScope = (table: string): string => `SELECT * FROM ${table} WHERE scope IN (SELECT scope FROM scopes WHERE session_id = ?)`
  for (const { bytes } of all(ofScope('segments'))) found.push(['ciphertext', Buffer.from(bytes!.slice(60, 92))], ['ciphertext at its end', Buffer.from(bytes!.slice(-32))])
  for (const { subject } of all(ofScope('subjects'))) found.push(['the person', Buffer.from(subject!)])
  return found
}

/** Values as a guesser would form them: alone, as JSON in every order, in the sentences of the templates. */
function guessesAbout(known: readonly string[]): string[] {
  const out = new Set<string>()
  for (const value of [...known, '42', 'approved', 'refund']) {
    for (const form of [value, JSON.stringify(value), value.toUpperCase(), `${value}\n`]) out.add(form)
    for (const role of ['user', 'approver']) for (const name of ['subject', 'user_id', 'name']) out.add(JSON.stringify({ [name]: value, role })).add(JSON.stringify({ role, [name]: value })).add(JSON.stringify({ [name]: value }))
    out.add(`Where is my refund for order ${value}?`).add(JSON.stringify({ role: 'user', content: `Where is my refund for order ${value}?` })).add(JSON.stringify({ status: 'refunded', order: value }))
    for (const amount of [41, 42, 43, '42', '42 €']) out.add(JSON.stringify({ order_id: value, amount })).add(JSON.stringify({ amount, order_id: value }))
    for (const who of known) out.add(JSON.stringify({ type: 'text', text: `I look order ${value} up for ${who}.` })).add(`The customer ${who} asks for a refund.`)
  }
  out.add('You are a careful support agent. Policy 4.2 allows refunds under 50 euro.').add('Please hurry.').add(because.reason.toUpperCase())
  return [...out]
}

/** SHA-256 and what could be built of it without a secret, in every spelling. */
function digestsOf(guess: string): Buffer[] {
  const bytes = Buffer.from(guess)
  const sha = (...parts: (Buffer | string)[]): Buffer => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()
  const digest = sha(bytes)
  const raw = [digest, sha(Buffer.of(0), bytes), sha(digest), sha('counterfoil/payload/v1\0', Buffer.alloc(32), digest), sha('counterfoil/payload/v1\0', digest), createHmac('sha256', '').update(bytes).digest(), createHash('sha1').update(bytes).digest(), createHash('md5').update(bytes).digest()]
  return raw.flatMap((hash) => [hash, Buffer.from(hash.toString('hex')), Buffer.from(hash.toString('base64')), Buffer.from(hash.toString('base64url'))])
}
