// Two verifiers that share no code, over generated evidence: databases, archives and bundles, honest and tampered with. They must agree on
// whole or not, on the first bad index and on the codes. SEED repeats a run, CASES scales it.

import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { archiveEvidence } from '../../src/archive/evidence.ts'
import { archiveFolder, writableFolder } from '../../src/archive/folder.ts'
import { writeArchive } from '../../src/archive/write.ts'
import { fromBase64, toBase64 } from '../../src/base/bytes.ts'
import { canonicalJson } from '../../src/base/canonical-json.ts'
import { CounterfoilError, MisuseError, VerifyError } from '../../src/base/errors.ts'
import { archiveSource } from '../../src/cli/archive-source.ts'
import type { Entry } from '../../src/event/entry.ts'
import { exportBundle } from '../../src/ledger/bundle.ts'
import { cosignatureSigner } from '../../src/log/cosignature.ts'
import { addSignature, COSIGNATURE_ED25519 } from '../../src/log/note.ts'
import { makePage } from '../../src/page/page.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { bundleIn, formatBundle, parseBundle, type Bundle } from '../../src/verify/bundle-text.ts'
import { verifyBundle } from '../../src/verify/bundle.ts'
import { verifyLog } from '../../src/verify/verify.ts'
import { attacks, chanceAt, honestLog, makeBases, pick, random, type Base } from '../attacks.ts'
import { noPython, Python, type Answer, type Said } from '../interop/python.ts'
import { copyOf, forge, forget, openKeyring, originAt, place, sameOrigin, tamper, verifyAt, type Place, type Writable } from '../sample-log.ts'
import { testSigner } from '../signer.ts'

const SCALE = Number(process.env['CASES'] ?? 1_000) / 1_000
const times = (n: number): number[] => Array.from({ length: Math.ceil(n * SCALE) }, (_, i) => i)

/**
 * Codes that are not compared: `database` is what the engine of each finds wrong with the file itself; what a session row holds beside its last
 * entry is this library's own, so that `session_row` says more here than there.
 */
const OWN: ReadonlySet<string> = new Set(['database', 'session_row'])

interface Outcome { readonly verdict: 'whole' | 'not whole' | 'newer' | 'cannot run'; readonly bad: number | null; readonly codes: readonly string[] }
interface Found { readonly whole: boolean; readonly problems: readonly { readonly code: string; readonly index?: number }[]; readonly problem_count: number }

async function ours(verify: () => Promise<Found> | Found): Promise<Outcome> {
  try {
    const { whole, problems, problem_count } = await verify()
    if (problem_count > problems.length) return { verdict: 'not whole', bad: null, codes: ['…'] }
    return outcome(whole ? 'whole' : 'not whole', problems)
  } catch (error) {
    if (error instanceof MisuseError) return outcome('cannot run', [])
    if (!(error instanceof CounterfoilError)) throw error
    if (error.code === 'newer_format') return outcome('newer', [])
    return error instanceof VerifyError ? outcome('not whole', [{ code: error.code, index: error.first_bad_index ?? null }]) : outcome('cannot run', [])
  }
}

function theirs(answer: Answer<Said>): Outcome {
  if ('refused' in answer) throw new Error(answer.refused)
  const { whole, newer_format, exit_code, problems } = answer.is
  return outcome(whole ? 'whole' : newer_format ? 'newer' : exit_code === 2 ? 'cannot run' : 'not whole', problems)
}

function outcome(verdict: Outcome['verdict'], problems: readonly { readonly code: string; readonly index?: number | null | undefined }[]): Outcome {
  // without an opened checkpoint nothing says how far the log goes: how much of it is read then is up to the verifier
  if (problems.some(({ code }) => code === 'checkpoint')) return { verdict, bad: null, codes: ['checkpoint'] }
  const shared = problems.filter(({ code }) => !OWN.has(code))
  const indexes = shared.flatMap(({ index }) => (index === undefined || index === null ? [] : [index]))
  return { verdict, bad: indexes.length === 0 ? null : Math.min(...indexes), codes: [...new Set(shared.map(({ code }) => code))].sort() }
}

describe.skipIf(noPython !== undefined)(`the verifier in Python${noPython === undefined ? '' : ` (skipped: ${noPython})`}`, () => {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'counterfoil-python-'))
  const seen = new Map<string, number>()
  const differ: string[] = []
  let python: Python
  let bases: readonly Base[]
  const honest: Place[] = []

  beforeAll(async () => {
    python = new Python()
    bases = await makeBases(folder, 6)
    for (let n = 0; n < 14; n++) {
      const where = place(join(folder, `honest-${n}`))
      await honestLog(where, { erased: 0, renewed: 0, reopened: 0, resumed: 0 })
      honest.push(where)
    }
  })
  afterAll(() => {
    python.close()
    rmSync(folder, { recursive: true, force: true })
    process.stderr.write(`\n${[...seen].sort().map(([what, n]) => `${String(n).padStart(5)}  ${what}`).join('\n')}\n`)
  })

  async function compare(what: string, question: { file: string; key?: string; keys?: string }, verify: () => Promise<Found> | Found): Promise<void> {
    const before = chanceAt()
    const asked = python.ask<Said>(question)
    const [one, other] = [await ours(verify), theirs(await asked)]
    seen.set(`${what}: ${one.verdict}`, (seen.get(`${what}: ${one.verdict}`) ?? 0) + 1)
    const same = one.codes[0] === '…' ? one.verdict === other.verdict : JSON.stringify(one) === JSON.stringify(other)
    if (!same) differ.push(`${what}, chance ${before}: ${JSON.stringify(one)} here, ${JSON.stringify(other)} there`)
  }

  const vkeyOf = (where: Place): string => openKeyring(originAt(where), where.home).vkey

  const keysOf = ({ home }: Place): string => join(home, readdirSync(home)[0]!)

  /** A database as four people see it: with its keys, with the verifier key, with neither. */
  async function database(what: string, where: Place): Promise<void> {
    const vkey = vkeyOf(where)
    const who = random(4)
    if (who < 2) await compare(`database, ${what}`, { file: where.db, keys: keysOf(where) }, () => verifyAt(where, { who: 'keys' }))
    else if (who === 2) await compare(`database, ${what}`, { file: where.db, key: vkey }, () => verifyAt(where, { who: 'none', vkey }))
    else await compare(`database, ${what}`, { file: where.db }, () => verifyAt(where, { who: 'none' }))
  }

  const fresh = (from: Place): Place => sameOrigin(from, random(2) === 0 ? forget(copyOf(from, join(folder, 'copy'))) : copyOf(from, join(folder, 'copy')))
  const anyLog = (): Place => (random(3) === 0 ? pick(honest) : pick(bases).where)

  /** One bit of an entry, in the file itself: the tables would not have what is no JSON. */
  function flipEntry(where: Place): void {
    const entries: Uint8Array[] = []
    tamper(where, (sql) => { entries.push(...sql('SELECT entry FROM entries').map(({ entry }) => entry as Uint8Array)) })
    const file = readFileSync(where.db)
    const bytes = pick(entries)
    const at = file.indexOf(bytes)
    if (at === -1) return // it lies on more than one page
    file[at + random(bytes.length)]! ^= 1 << random(8)
    writeFileSync(where.db, file)
  }

  /** One bit of one cell of a table. */
  function flipCell(where: Place, table: string, column: string): void {
    if (table === 'entries') return flipEntry(where)
    tamper(where, (sql) => {
      const rows = sql(`SELECT rowid AS id, ${column} AS cell FROM ${table} WHERE length(${column}) > 0`)
      if (rows.length === 0) return
      const { id, cell } = pick(rows)
      const text = typeof cell === 'string'
      const bytes = Buffer.from(cell as Uint8Array | string)
      const at = random(bytes.length)
      bytes[at]! ^= 1 << random(text ? 7 : 8)
      sql(`UPDATE ${table} SET ${column} = ? WHERE rowid = ?`, text ? bytes.toString() : bytes, id as number)
    })
  }

  /** A change that its maker signs: another form of something, a newer word, a newer version. */
  function reworded(entries: Writable<Entry>[]): void {
    const entry = pick(entries) as { facts: { [name: string]: unknown }; payloads: { [name: string]: unknown } } & { [name: string]: unknown }
    const odd = [0, 1, -1, 3, 2 ** 53 - 1, true, 'odd', 'approved', [], ['a'], { a: 1 }, entry['prev'], '2026-11-21T08:00:00.000Z', 'x'.repeat(128)]
    const facts = Object.keys(entry.facts)
    switch (random(9)) {
      case 0: entry.facts = { ...entry.facts, [facts.length === 0 ? 'odd' : pick(facts)]: pick(odd) }; break
      case 1: entry.facts = Object.fromEntries(Object.entries(entry.facts).filter(([name]) => name !== pick([...facts, 'none']))); break
      case 2: entry['event_type'] = pick(['later_kind', 'log_start', 'custom', 'session_end', 'tool_call', 'approval_decision', 'clock']); break
      case 3: entry['v'] = 2; break
      case 4: entry['later'] = pick([...odd, null, 1.5, 'ü']); break
      case 5: entry['recorded_at'] = '2026-11-20T08:00:00.000Z'; break
      case 6: entry['stream_seq'] = random(20); entry['stream'] ??= '0'.repeat(32); break
      case 7: entry.payloads = { ...entry.payloads, [pick([...Object.keys(entry.payloads), 'input_messages', 'odd'])]: pick([{ same: 0 }, { add: [], count: 0, root: '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' }, { add: [], base: 1, count: 1, keep: 1, root: entry['prev'] }]) }; break
      default: entry.facts = { ...entry.facts, streams: { [String(entry['stream'] ?? '0'.repeat(32))]: random(12) } }
    }
  }

  /** Reworded and signed again; false where the tables would not have it. */
  function signed(where: Place): boolean {
    try {
      forge(where, (entries) => {
        for (let i = 1 + random(2); i > 0; i--) reworded(entries)
      }, { keepOrder: random(4) === 0 })
      return true
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_SQLITE_ERROR') throw error
      return false
    }
  }

  test(`says what we say of ${times(400).length} databases`, async () => {
    for (const n of times(60)) await database('honest', n < honest.length ? honest[n]! : anyLog())
    for (const n of times(168)) {
      const [what, attack] = Object.entries(attacks)[n % 14]!
      const base = pick(bases)
      const where = fresh(base.where)
      attack(where, base)
      await database(what, where)
    }
    const cells = [['entries', 'entry'], ['entries', 'entry'], ['heads', 'checkpoint'], ['tiles', 'hashes'], ['scopes', 'wrapped'], ['scopes', 'scope'], ['segments', 'bytes'], ['segments', 'scope'], ['subjects', 'subject']] as const
    for (const n of times(99)) {
      const where = fresh(anyLog())
      const [table, column] = cells[n % cells.length]!
      flipCell(where, table, column)
      await database(`a bit of ${table}.${column}`, where)
    }
    const rows = ['places', 'contents', 'scopes', 'segments', 'subjects', 'sessions', 'tiles', 'heads'] as const
    for (const n of times(32)) {
      const where = fresh(anyLog())
      const table = rows[n % rows.length]!
      tamper(where, (sql) => {
        const order = `${sql(`SELECT count(*) AS n FROM ${table}`)[0]!['n'] === 0 ? 0 : random(Number(sql(`SELECT count(*) AS n FROM ${table}`)[0]!['n']))}`
        const key = { places: 'idx, ordinal', contents: 'scope, key' }[table as string] ?? 'rowid'
        sql(`DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} LIMIT 1 OFFSET ${order})`)
      })
      await database(`a row of ${table} gone`, where)
    }
    for (const _ of times(41)) {
      const where = fresh(anyLog())
      if (signed(where)) await database('reworded and signed', where)
    }
    expect(differ.splice(0)).toEqual([])
  })

  async function archiveOf({ db }: Place, to: string): Promise<void> {
    rmSync(to, { recursive: true, force: true })
    const store = await openSqliteStore(db, { readOnly: true })
    try {
      await store.read(async (view) => writeArchive(await writableFolder(to), await archiveSource(view)))
    } finally {
      await store.close()
    }
  }

  test(`says what we say of ${times(300).length} archives`, async () => {
    const sources = [bases[0]!.where, ...bases.slice(1, 3).map(({ where }) => where), ...honest.slice(0, 8)]
    for (const [i, where] of sources.entries()) await archiveOf(where, join(folder, `archive-${i}`))
    const changed = join(folder, 'changed')
    const check = async (what: string, where: Place): Promise<void> => {
      const vkey = random(2) === 0 ? vkeyOf(where) : undefined
      await compare(`archive, ${what}`, { file: changed, ...(vkey === undefined ? {} : { key: vkey }) }, async () => verifyLog(await archiveEvidence(archiveFolder(changed), vkey)))
    }
    const copied = (): { where: Place; files: string[] } => {
      const i = random(sources.length)
      rmSync(changed, { recursive: true, force: true })
      cpSync(join(folder, `archive-${i}`), changed, { recursive: true })
      return { where: sources[i]!, files: readdirSync(changed, { recursive: true, encoding: 'utf8' }).map((name) => join(changed, name)).filter((name) => statSync(name).isFile()).sort() }
    }
    for (const _ of times(30)) await check('honest', copied().where)
    for (const kind of ['checkpoint', 'tile/entries', 'tile/0', 'tile/1', 'segment/list', 'segment/data']) {
      for (const n of times(36)) {
        const { where, files } = copied()
        const chosen = files.filter((name) => name.includes(`/${kind}`))
        if (chosen.length === 0) continue
        const name = pick(chosen)
        const bytes = readFileSync(name)
        if (n % 4 === 0) rmSync(name)
        else if (n % 8 === 1) truncateSync(name, random(bytes.length + 1))
        else if (n % 8 === 5) writeFileSync(name, Buffer.concat([bytes, bytes.subarray(0, 1 + random(70))]))
        else if (n % 8 === 3 && chosen.length > 1) {
          const other = pick(chosen)
          const aside = `${name}-aside`
          renameSync(name, aside)
          if (other !== name) renameSync(other, name)
          renameSync(aside, other)
        } else if (bytes.length > 0) {
          bytes[random(bytes.length)]! ^= 1 << random(8)
          writeFileSync(name, bytes)
        }
        await check(`${kind} ${n % 4 === 0 ? 'gone' : 'changed'}`, where)
      }
    }
    for (const _ of times(54)) {
      const where = fresh(anyLog())
      try {
        if (!signed(where)) continue
        await archiveOf(where, changed)
      } catch (error) {
        if (!(error instanceof CounterfoilError || error instanceof MisuseError)) throw error
        continue // it archives nothing that it cannot read
      }
      await check('reworded and signed', where)
    }
    expect(differ.splice(0)).toEqual([])
  })

  test(`says what we say of ${times(300).length} bundles`, async () => {
    const sources: { where: Place; json: string }[] = []
    for (const where of [bases[0]!.where, bases[1]!.where, ...honest]) {
      const store = await openSqliteStore(where.db, { readOnly: true })
      try {
        const sessions = await store.read((view) => view.listSessions({ limit: 3 }))
        for (const { session_id } of sessions) for (const disclose of ['all', 'none'] as const) sources.push({ where, json: (await store.read((view) => exportBundle(view, openKeyring(originAt(where), where.home), { session_id, disclose }))).json })
      } finally {
        await store.close()
      }
    }
    const check = async (what: string, where: Place, json: string, page = false): Promise<void> => {
      const file = join(folder, page ? 'bundle.html' : 'bundle.json')
      writeFileSync(file, json)
      const key = random(3) === 0 ? undefined : vkeyOf(random(12) === 0 ? bases[2]!.where : where)
      await compare(`bundle, ${what}`, { file, ...(key === undefined ? {} : { key }) }, () => verifyBundle(page ? bundleIn(json) : json, key === undefined ? {} : { key }).verdict)
    }
    for (const n of times(40)) {
      const { where, json } = n < sources.length ? sources[n]! : pick(sources)
      await check('honest', where, n % 4 === 0 ? makePage(json, '') : json, n % 4 === 0)
    }
    for (const n of times(100)) {
      const { where, json } = pick(sources)
      const whole = n % 5 === 0 ? makePage(json, '') : json
      const at = 1 + random(whole.length - 1)
      const made = pick([whole.slice(0, at) + String.fromCharCode(whole.charCodeAt(at) ^ (1 << random(7))) + whole.slice(at + 1), whole.slice(0, at) + whole.slice(at + 1), whole.slice(0, at) + pick(['0', ' ', '"', '<', '\\u0041']) + whole.slice(at)])
      await check('a character', where, made, n % 5 === 0)
    }
    for (const _ of times(160)) {
      const { where, json } = pick(sources)
      const bundle = structuredClone(parseBundle(json)) as { -readonly [name in keyof Bundle]: any }
      rearrange(bundle, where)
      await check('rearranged', where, formatBundle(bundle))
    }
    expect(differ.splice(0)).toEqual([])
  })

  /** Parts of a bundle changed, in its one spelling. */
  function rearrange(bundle: { -readonly [name in keyof Bundle]: any }, where: Place): void {
    const i = random(bundle.entries.length)
    const j = random(Math.max(1, bundle.payloads.length))
    switch (random(13)) {
      case 0: bundle.entries.splice(i, 1); if (bundle.entries.length === 0) bundle.entries = [{ entry: '', index: 0 }]; break
      case 1: bundle.entries[i].index += random(3) - 1; bundle.entries.sort((a: { index: number }, b: { index: number }) => a.index - b.index); break
      case 2: {
        const bytes = fromBase64(bundle.entries[i].entry)
        bytes[random(bytes.length)]! ^= 1 << random(8)
        bundle.entries[i].entry = toBase64(bytes)
        break
      }
      case 3: {
        const entry = [JSON.parse(Buffer.from(bundle.entries[i].entry, 'base64').toString())] as Writable<Entry>[]
        reworded(entry)
        bundle.entries[i].entry = Buffer.from(canonicalJson(entry[0] as never)).toString('base64')
        break
      }
      case 4: if (bundle.proof.length > 0) bundle.proof.splice(random(bundle.proof.length), 1); break
      case 5: bundle.proof.splice(random(bundle.proof.length + 1), 0, toBase64(new Uint8Array(32))); break
      case 6: if (bundle.payloads.length > 0) bundle.payloads.splice(j, 1); break
      case 7: bundle.payloads.splice(j, 0, { index: random(50), media: 'text', position: 0, slot: 'output', withheld: true }); break
      case 8: {
        const one = bundle.payloads[j]
        if (one === undefined) break
        if ('text' in one) one.text = `${one.text}${pick(['', ' ', '<'])}`
        else bundle.payloads[j] = { index: one.index, media: one.media, position: one.position, salt: toBase64(new Uint8Array(32)), slot: one.slot, ...pick([{ text: 'made up' }, { base64: toBase64(new Uint8Array([255, 0])) }]) }
        break
      }
      case 9: if (bundle.payloads[j] !== undefined) bundle.payloads[j] = { ...bundle.payloads[j], ...pick([{ position: 1 }, { media: 'bytes' }, { slot: 'odd' }, { index: 0 }]) }; break
      case 10: bundle[pick(['origin', 'session_id'] as const)] = pick([bundle.origin, bundle.session_id, 'counterfoil.local/0', '01a1fd1e-8c00-7324-8f47-a67f6dc0978d']); break
      case 11: {
        const { signer, vkey } = testSigner('witness.example/w', 9, COSIGNATURE_ED25519)
        bundle.checkpoint = addSignature(bundle.checkpoint, cosignatureSigner(signer, 1_795_000_000))
        if (random(3) > 0) bundle.keys.push(vkey)
        if (random(3) === 0) bundle.keys.reverse()
        break
      }
      default: bundle.keys = pick([[], [...bundle.keys, ...bundle.keys], [vkeyOf(bases[2]!.where)], ['odd'], [`${bundle.keys[0]}=`]]); void where
    }
  }
})
