// Two verifiers that share no code, over generated evidence: databases, archives and bundles, honest and tampered with. They must agree on
// whole or not, on the first bad index and on the codes. SEED repeats a run, CASES scales it.

import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { constants, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { archiveEvidence } from '../../src/archive/evidence.ts'
import { archiveFolder, writableFolder } from '../../src/archive/folder.ts'
import { bundlePath, listPath } from '../../src/archive/layout.ts'
import { writeArchive } from '../../src/archive/write.ts'
import { fromBase64, toBase64, toHex } from '../../src/base/bytes.ts'
import { canonicalJson } from '../../src/base/canonical-json.ts'
import { CounterfoilError, MisuseError, VerifyError } from '../../src/base/errors.ts'
import { archiveSource } from '../../src/cli/archive-source.ts'
import { ownRefs, type Entry } from '../../src/event/entry.ts'
import { NewerFormatError } from '../../src/event/fault.ts'
import { parseEntry } from '../../src/event/parse.ts'
import { VOCABULARY } from '../../src/event/vocabulary.ts'
import { exportBundle } from '../../src/ledger/bundle.ts'
import { openCheckpoint, parseTreeHead, signCheckpoint } from '../../src/log/checkpoint.ts'
import { cosignatureSigner } from '../../src/log/cosignature.ts'
import { addSignature, COSIGNATURE_ED25519, ed25519Verifier, parseNote, signNote } from '../../src/log/note.ts'
import { leafHash, type Hash } from '../../src/log/hash.ts'
import { rotationStatement } from '../../src/log/rotation.ts'
import { decodeBundle, encodeBundle, formatTilePath, joinHashes, tileWidth } from '../../src/log/tile.ts'
import { treeRoot } from '../../src/log/tree.ts'
import { makePage } from '../../src/page/page.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { bundleIn, formatBundle, parseBundle, type Bundle } from '../../src/verify/bundle-text.ts'
import { verifyBundle } from '../../src/verify/bundle.ts'
import type { KeyReign } from '../../src/verify/key-chain.ts'
import type { AnyVerdict } from '../../src/verify/verdict.ts'
import { verifyLog } from '../../src/verify/verify.ts'
import { attacks, between, chanceAt, honestLog, makeBases, pick, random, rotatedLog, type Base } from '../attacks.ts'
import acceptedVectors from '../ed25519-accepted.json' with { type: 'json' }
import { readVectors } from '../ed25519-verdicts.ts'
import { noPython, Python, type Answer, type Said } from '../interop/python.ts'
import { copyOf, forge, forget, openKeyring, originAt, place, sameOrigin, signingKey, strangeKey, tamper, verifyAt, type Place, type Signing, type Writable } from '../sample-log.ts'
import { testSigner } from '../signer.ts'

const VECTORS = new URL('../../../shared/data/vectors/', import.meta.url)
const SCALE = Number(process.env['CASES'] ?? 1_000) / 1_000
const times = (n: number): number[] => Array.from({ length: Math.ceil(n * SCALE) }, (_, i) => i)

/**
 * Codes that are not compared: `database` is what the engine of each finds wrong with the file itself; what a session row holds beside its last
 * entry is this library's own, so that `session_row` says more here than there.
 */
const OWN: ReadonlySet<string> = new Set(['database', 'session_row'])

/** `keys`: of what is whole, the keys with their times, which entries rest on a stolen one, and whether the trusted one leads to the newest. */
interface Outcome { readonly verdict: 'whole' | 'not whole' | 'newer' | 'cannot run'; readonly bad: number | null; readonly codes: readonly string[]; readonly keys?: unknown }
type Found = AnyVerdict & { readonly keys: readonly (KeyReign | string)[]; readonly reigns?: readonly KeyReign[] }

async function ours(verify: () => Promise<Found> | Found): Promise<Outcome> {
  try {
    const found = await verify()
    const { whole, problems, problem_count } = found
    if (problem_count > problems.length) return { verdict: 'not whole', bad: null, codes: ['…'] }
    return { ...outcome(whole ? 'whole' : 'not whole', problems), ...(whole ? { keys: keysOf(found) } : {}) }
  } catch (error) {
    if (error instanceof MisuseError) return outcome('cannot run', [])
    if (!(error instanceof CounterfoilError)) throw error
    if (error.code === 'newer_format') return outcome('newer', [])
    return error instanceof VerifyError ? outcome('not whole', [{ code: error.code, index: error.first_bad_index ?? null }]) : outcome('cannot run', [])
  }
}

function theirs(answer: Answer<Said>, bundle: boolean): Outcome {
  if ('refused' in answer) throw new Error(answer.refused)
  const { whole, newer_format, exit_code, problems, keys: reigns, doubtful = [], whose } = answer.is
  return { ...outcome(whole ? 'whole' : newer_format ? 'newer' : exit_code === 2 ? 'cannot run' : 'not whole', problems), ...(whole ? { keys: { reigns, doubtful: doubtful.length > 0 && (bundle || rangesSaid(doubtful)), whose } } : {}) }
}

/** As the verdict of a log says it. */
const rangesSaid = (ranges: readonly (readonly [number, number])[]): string => `${ranges.slice(0, 3).map(([from, to]) => (to === from + 1 ? `#${from}` : `#${from} to #${to - 1}`)).join(', ')}${ranges.length > 3 ? ', …' : ''}`

function keysOf({ keys, reigns = keys as readonly KeyReign[], properties }: Found): unknown {
  return { reigns: reigns.map(({ vkey, from, to, last_good_size }) => ({ vkey, from, ...(to === undefined ? {} : { to }), ...(last_good_size === undefined ? {} : { last_good_size }) })), doubtful: /; (#.*) were signed with a key reported stolen/.exec(properties.unchanged.says)?.[1] ?? (properties.unchanged.status === 'asserted'), whose: properties.pinned.status }
}

function outcome(verdict: Outcome['verdict'], problems: readonly { readonly code: string; readonly property?: string; readonly index?: number | null | undefined }[]): Outcome {
  // without an opened checkpoint nothing says how far the log goes: how much of it is read then is up to the verifier
  const head = problems.find(({ code, property }) => code === 'checkpoint' || (code === 'key_reign' && property !== 'not_truncated'))
  if (head !== undefined) return { verdict, bad: null, codes: [head.code] }
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
  /** Logs of four keys each, and the keys of all logs by their origin. */
  const rotated: Place[] = []
  const keysAt = new Map<string, readonly Signing[]>()
  const keysFor = (where: Place): readonly Signing[] => keysAt.get(originAt(where))!

  beforeAll(async () => {
    python = new Python()
    bases = await makeBases(folder, 6)
    for (let n = 0; n < 14; n++) {
      const where = place(join(folder, `honest-${n}`))
      const keys = await honestLog(where, { erased: 0, renewed: 0, rotated: 0, reopened: 0, resumed: 0, scoped: 0 })
      keysAt.set(originAt(where), keys)
      honest.push(where)
    }
    for (let n = 0; n < 4; n++) {
      const where = place(join(folder, `rotated-${n}`))
      const keys = await rotatedLog(where, 3, n === 0 ? 7 : 1)
      keysAt.set(originAt(where), keys)
      rotated.push(where)
    }
    for (const { where } of bases) keysAt.set(originAt(where), [signingKey(where)])
  })
  afterAll(() => {
    python.close()
    rmSync(folder, { recursive: true, force: true })
    process.stderr.write(`\n${[...seen].sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, n]) => `${String(n).padStart(5)}  ${what}`).join('\n')}\n`)
  })

  async function compare(what: string, question: { file: string; key?: string; keys?: string }, verify: () => Promise<Found> | Found): Promise<void> {
    const before = chanceAt()
    const asked = python.ask<Said>(question)
    const [one, other] = [await ours(verify), theirs(await asked, what.startsWith('bundle'))]
    seen.set(`${what}: ${one.verdict}`, (seen.get(`${what}: ${one.verdict}`) ?? 0) + 1)
    const same = one.codes[0] === '…' ? one.verdict === other.verdict : JSON.stringify(one) === JSON.stringify(other)
    if (!same) differ.push(`${what}, chance ${before}: ${JSON.stringify(one)} here, ${JSON.stringify(other)} there`)
  }

  /** One of the log's keys: the first, the newest or one between; now and then one that it never had. */
  const vkeyOf = (where: Place): string => (random(12) === 0 ? strangeKey(originAt(where)) : pick(keysFor(where))).vkey

  /** How many of a kind were not whole: agreement over nothing would say nothing. */
  const failed = (kind: string): number => [...seen].filter(([what]) => what.startsWith(`${kind}, `) && what.endsWith(': not whole')).reduce((sum, [, n]) => sum + n, 0)

  const folderOf = ({ home }: Place): string => join(home, readdirSync(home)[0]!)

  /** A database as four people see it: with its keys, with the verifier key, with neither. */
  async function database(what: string, where: Place): Promise<void> {
    const vkey = vkeyOf(where)
    const who = random(4)
    if (who < 2) await compare(`database, ${what}`, { file: where.db, keys: folderOf(where) }, () => verifyAt(where, { who: 'keys' }))
    else if (who === 2) await compare(`database, ${what}`, { file: where.db, key: vkey }, () => verifyAt(where, { who: 'none', vkey }))
    else await compare(`database, ${what}`, { file: where.db }, () => verifyAt(where, { who: 'none' }))
  }

  const fresh = (from: Place): Place => sameOrigin(from, random(2) === 0 ? forget(copyOf(from, join(folder, 'copy'))) : copyOf(from, join(folder, 'copy')))
  const anyLog = (): Place => pick([pick(bases).where, pick(bases).where, pick(honest), pick(rotated)])

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
    const odd = [0, 1, -1, 3, 2 ** 53 - 1, true, 'odd', 'approved', [], ['a'], { a: 1 }, '0', entry['prev'], [entry['prev']], '2026-11-21T08:00:00.000Z', 'x'.repeat(128)]
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

  test(`says what we say of ${times(550).length} databases`, async () => {
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
      const [table, column] = cells[n % cells.length]!
      const where = fresh(table === 'tiles' ? bases[0]!.where : anyLog())
      flipCell(where, table, column)
      await database(`a bit of ${table}.${column}`, where)
    }
    const rows = ['places', 'contents', 'scopes', 'segments', 'subjects', 'sessions', 'tiles', 'heads'] as const
    for (const n of times(32)) {
      const table = rows[n % rows.length]!
      const where = fresh(table === 'tiles' ? bases[0]!.where : anyLog())
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
    for (const n of times(150)) {
      const where = fresh(pick(rotated))
      const [what, attack] = Object.entries(keyAttacks)[n % Object.keys(keyAttacks).length]!
      if (random(3) > 0) forget(where)
      attack(where, keysFor(where))
      await database(what, where)
    }
    expect(differ.splice(0)).toEqual([])
    expect(failed('database')).toBeGreaterThan(times(300).length)
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

  /** An archive of these segments, of the entries and under the checkpoint of a database that the library would not archive. */
  function retell(archive: string, where: Place): void {
    const entries = new Map<number, Uint8Array>()
    let note = ''
    tamper(where, (sql) => {
      for (const { idx, entry } of sql('SELECT idx, entry FROM entries ORDER BY idx')) entries.set(Number(idx), entry as Uint8Array)
      note = String(sql('SELECT checkpoint FROM heads')[0]!['checkpoint'])
    })
    const { size } = parseTreeHead(parseNote(note).text)
    // the first that is not there cuts its bundle
    const there = Array.from({ length: size }, (_, i) => i).findIndex((i) => !entries.has(i))
    const bytes = Array.from({ length: there === -1 ? size : there }, (_, i) => entries.get(i)!)
    const lists = Array.from({ length: Math.ceil(size / 256) }, (_, n) => ['', `.p/${tileWidth(0, n, sizeOf(archive))}`].map((end) => join(archive, `segment/list/${String(n).padStart(3, '0')}${end}`)).find((path) => existsSync(path) && statSync(path).isFile())).map((path) => (path === undefined ? '' : readFileSync(path)))
    for (const part of ['tile', 'segment/list']) rmSync(join(archive, part), { recursive: true, force: true })
    const put = (path: string, content: string | Uint8Array): void => {
      mkdirSync(dirname(join(archive, path)), { recursive: true })
      writeFileSync(join(archive, path), content)
    }
    put('checkpoint', note)
    const leaves = bytes.map(leafHash)
    for (const [n, list] of lists.entries()) {
      const width = tileWidth(0, n, size)
      const own = bytes.slice(n * 256, n * 256 + width)
      put(bundlePath(n, width), own.length === 0 ? '' : encodeBundle(own))
      put(listPath(n, width), list)
      put(formatTilePath({ level: 0, index: n, width }), joinHashes(leaves.slice(n * 256, n * 256 + width)))
    }
    const full = Math.floor(size / 256)
    if (full > 0) put(formatTilePath({ level: 1, index: 0, width: full }), joinHashes(Array.from({ length: full }, (_, n) => treeRoot(leaves.slice(n * 256, n * 256 + 256)))))
  }
  const sizeOf = (archive: string): number => parseTreeHead(parseNote(readFileSync(join(archive, 'checkpoint'), 'utf8')).text).size

  test(`says what we say of ${times(450).length} archives`, async () => {
    const sources = [bases[0]!.where, ...bases.slice(1, 3).map(({ where }) => where), ...honest.slice(0, 8), ...rotated]
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
    for (const n of times(150)) {
      const i = sources.indexOf(pick(rotated))
      const where = fresh(sources[i]!)
      rmSync(changed, { recursive: true, force: true })
      cpSync(join(folder, `archive-${i}`), changed, { recursive: true })
      const [what, attack] = Object.entries(keyAttacks)[n % Object.keys(keyAttacks).length]!
      attack(where, keysFor(where))
      retell(changed, where)
      await check(what, where)
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
    expect(failed('archive')).toBeGreaterThan(times(250).length)
  })

  test(`says what we say of ${times(380).length} bundles`, async () => {
    const sources: { where: Place; json: string }[] = []
    for (const where of [bases[0]!.where, bases[1]!.where, ...honest, ...rotated]) {
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
    for (const n of times(240)) {
      const { where, json } = pick(n % 3 === 0 ? sources.filter(({ where: one }) => rotated.includes(one)) : sources)
      const bundle = structuredClone(parseBundle(json)) as { -readonly [name in keyof Bundle]: any }
      rearrange(bundle, where)
      await check('rearranged', where, formatBundle(bundle))
    }
    expect(differ.splice(0)).toEqual([])
    expect(failed('bundle')).toBeGreaterThan(times(200).length)
  })

  test('parses entries as we do, also those of every kind that are nearly right', async () => {
    const rows: Entry[] = []
    tamper(bases[1]!.where, (sql) => { rows.push(...sql('SELECT entry FROM entries').map(({ entry }) => JSON.parse(Buffer.from(entry as Uint8Array).toString()) as Entry)) })
    for (const _ of times(6_000)) {
      const bytes = nearly(structuredClone(pick(rows)) as never)
      const answer = await python.ask<{ newer_format: boolean; newer_words: boolean; own_refs: string[] }>({ entry: bytes.toString('base64') })
      const told = 'is' in answer ? (answer.is.newer_format ? 'newer' : JSON.stringify([answer.is.newer_words, answer.is.own_refs])) : 'refused'
      if (told !== readEntry(bytes)) differ.push(`${bytes.toString()}: ${readEntry(bytes)} here, ${told} there`)
    }
    expect(differ.splice(0)).toEqual([])
  })

  function readEntry(bytes: Uint8Array): string {
    try {
      const { entry, unknown } = parseEntry(bytes)
      return JSON.stringify([unknown.length > 0, [...ownRefs(entry)].map(({ slot, position }) => `${slot}/${position}`)])
    } catch (error) {
      return error instanceof NewerFormatError ? 'newer' : 'refused'
    }
  }

  test('opens notes as we do', async () => {
    const { signer, vkey } = testSigner('counterfoil.example/log', 3)
    const texts = ['counterfoil.example/log\n5\nqY/i6C26Nn6icvbCuTB10jPlxoLF9cQyKZ/chiE9XTM=\n', 'counterfoil.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n', 'counterfoil.example/log\n7\nqY/i6C26Nn6icvbCuTB10jPlxoLF9cQyKZ/chiE9XTM=\nmore\n']
    const other = testSigner('witness.example/w', 9, COSIGNATURE_ED25519)
    for (const _ of times(2_000)) {
      let note = signNote(pick(texts), [signer, ...(random(3) === 0 ? [cosignatureSigner(other.signer, 1_795_000_000)] : [])])
      const at = random(note.length)
      const line = note.slice(note.lastIndexOf('\n', note.length - 2) + 1)
      note = pick([note, note + line, note + line.replace(/.{6}\n$/, 'AAAA==\n'), note.replace('log 5', 'log'), note.slice(0, at) + pick(['\n', ' ', '0', '\t', '=', '\u2014', '\ud800']) + note.slice(at + random(2)), note.slice(0, at) + String.fromCharCode(note.charCodeAt(at) ^ (1 << random(7))) + note.slice(at + 1), note.slice(0, at)])
      const bytes = Buffer.from(note)
      const answer = await python.ask<{ origin: string; size: number; root: string; signed: string[] }>({ note: bytes.toString('base64'), keys: [vkey] })
      const told = 'is' in answer && answer.is.signed.length > 0 ? JSON.stringify([answer.is.origin, answer.is.size, answer.is.root]) : 'refused'
      const one = readNote(bytes, vkey)
      if (told !== one) differ.push(`${JSON.stringify(note)}: ${one} here, ${told} there`)
    }
    expect(differ.splice(0)).toEqual([])
  })

  function readNote(bytes: Uint8Array, vkey: string): string {
    try {
      const { origin, size, root } = openCheckpoint(bytes, [ed25519Verifier(vkey)])
      return JSON.stringify([origin, size, toHex(root)])
    } catch (error) {
      if (!(error instanceof CounterfoilError)) throw error
      return 'refused'
    }
  }

  test('decompresses what Zstandard compressed, in every level', async () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/format.md'))
    for (const n of times(60)) {
      const level = [1, 3, 9, 19][n % 4]!
      const content = pick([page.subarray(random(5_000), 5_000 + random(60_000)), Buffer.from(JSON.stringify(Array.from({ length: random(900) }, (_, i) => ({ i, n: random(1e9) })))), Buffer.alloc(random(300_000), 65), Buffer.concat([page, page.subarray(100), page])])
      const packed = zstdCompressSync(content, { params: { [constants.ZSTD_c_compressionLevel]: level } })
      expect(await python.ask({ zstd: packed.toString('base64'), most: 2 ** 21 })).toEqual({ is: content.toString('base64') })
      packed[random(packed.length)]! ^= 1 << random(8)
      const answer = await python.ask({ zstd: packed.toString('base64'), most: 2 ** 21 }) // refused, or other content: never an accident
      expect('is' in answer || 'refused' in answer).toBe(true)
    }
  })

  describe.skipIf(!existsSync(VECTORS))(`over the published vectors${existsSync(VECTORS) ? '' : ' (skipped: ../shared/data/vectors is absent)'}`, () => {
    const read = (path: string): Buffer => readFileSync(new URL(path, VECTORS))
    const names = (path: string): string[] => readdirSync(new URL(path, VECTORS), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json')).sort()

    test('RFC 6962: its verdict on 98 inclusion and 98 consistency proofs is theirs', async () => {
      const told: Record<string, string[]> = {}
      for (const kind of ['inclusion', 'consistency'] as const) for (const name of names(`rfc6962/${kind}`)) {
        const json = read(`rfc6962/${kind}/${name}`).toString()
        const one = JSON.parse(json) as { wantErr: boolean; root: string; root1: string; root2: string; leafHash: string; proof: string[] | null }
        const integer = (field: string): string => new RegExp(`"${field}": (\\d+)`).exec(json)![1]!
        const asked = kind === 'inclusion' ? { inclusion: [integer('leafIdx'), integer('treeSize'), one.leafHash, one.root, one.proof ?? []] } : { consistency: [integer('size1'), integer('size2'), one.root1, one.root2, one.proof ?? []] }
        const answer = await python.ask<boolean>(asked)
        if (!('is' in answer) || answer.is === one.wantErr) (told[kind] ??= []).push(name)
      }
      // as test/vectors.test.ts: a hash is 32 bytes, whatever it is compared with
      expect(told).toEqual({ consistency: ['additional/sizes-are-equal-one-and-proof-is-empty.json'] })
    })

    test('RFC 8785: its 6 outputs', async () => {
      for (const name of names('jcs/input')) expect(await python.ask({ json: read(`jcs/input/${name}`).toString('base64') })).toEqual({ is: read(`jcs/output/${name}`).toString() })
      expect(names('jcs/input').length).toBe(6)
    })

    test('Ed25519: accepts of the 914 edge cases exactly what we accept', async () => {
      const accepted: number[] = []
      for (const { number, key, sig, msg } of readVectors() as never as { number: number; key: string; sig: string; msg: string }[]) {
        const answer = await python.ask<boolean>({ ed25519: [key, Buffer.from(msg).toString('hex'), sig] })
        if ('is' in answer && answer.is) accepted.push(number)
      }
      expect(accepted).toEqual(acceptedVectors.accepted)
    })

    test('signed notes and trees: the 16 checkpoints of Tessera open, with the roots of their entries', async () => {
      const key = 'example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx'
      for (let size = 0; size < 16; size++) {
        const entries = size === 0 ? [] : decodeBundle(read(`tessera-log/log/tile/entries/000.p/${size}`), size)
        const [note, root] = [await python.ask<{ size: number; root: string; signed: string[] }>({ note: read(`tessera-log/log/checkpoint.${size}`).toString('base64'), keys: [key] }), await python.ask<string>({ leaves: entries.map(toBase64) })]
        expect(note).toMatchObject({ is: { size, signed: [key], ...('is' in root ? { root: root.is } : {}) } })
      }
    })
  })

  /** Parts of a bundle changed, in its one spelling. */
  function rearrange(bundle: { -readonly [name in keyof Bundle]: any }, where: Place): void {
    const i = random(bundle.entries.length)
    const j = random(Math.max(1, bundle.payloads.length))
    switch (random(16)) {
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
      case 12: case 13: {
        // signed again, by a key of the log at a size of its time or not, or by a stranger; over the same root
        const { signer, vkey } = random(6) === 0 ? strangeKey(originAt(where)) : pick(keysFor(where))
        const { origin, size, root } = parseTreeHead(parseNote(bundle.checkpoint).text)
        bundle.checkpoint = signCheckpoint({ origin, size: random(3) === 0 ? between(1, size + 1) : size, root }, [signer])
        bundle.keys = [vkey]
        break
      }
      case 14: {
        // an entry that speaks of keys left out, put in from another log, or another such word
        const own = [...bundle.entries.keys()].filter((at) => /"(log_start|key_rotation|key_compromise)"/.test(Buffer.from(bundle.entries[at].entry, 'base64').toString()))
        if (own.length === 0) break
        const at = pick(own)
        if (random(2) === 0) bundle.entries.splice(at, 1)
        else {
          const entry = JSON.parse(Buffer.from(bundle.entries[at].entry, 'base64').toString()) as Writable<Entry>
          reword(entry, keysFor(where))
          bundle.entries[at].entry = Buffer.from(canonicalJson(entry as never)).toString('base64')
        }
        if (bundle.entries.length === 0) bundle.entries = [{ entry: '', index: 0 }]
        break
      }
      default: bundle.keys = pick([[], [...bundle.keys, ...bundle.keys], [vkeyOf(bases[2]!.where)], ['odd'], [`${bundle.keys[0]}=`]])
    }
  }
})

/** Another word in an entry that speaks of keys. */
function reword(entry: Writable<Entry>, keys: readonly Signing[]): void {
  const stranger = strangeKey(String(entry.facts['origin'] ?? keys[0]!.signer.name))
  const vkeys = [...keys.map(({ vkey }) => vkey), stranger.vkey, strangeKey('another.example/log').vkey, 'odd', `${keys[0]!.vkey}=`, 7, ['a']]
  const sizes = [entry.index, entry.index - 1, entry.index + 1, 0, 1, -1, 2 ** 53 - 1, String(entry.index), true]
  const more: { [name: string]: readonly unknown[] } = { vkey: vkeys, last_good_size: sizes, from_size: sizes, root: [HASH, HASH.slice(1), 7], signature: [SIGNATURE, HASH, ''.padEnd(88, 'A')], format: ['counterfoil/v9'], origin: ['another.example/log'] }
  const name = pick(Object.keys(entry.facts).filter((one) => more[one] !== undefined))
  const kind = random(8)
  if (kind === 0) entry.writer = 'local'
  else if (kind === 1) entry.session_id = ID
  else if (kind === 2) entry.event_type = pick(['log_start', 'key_rotation', 'key_compromise', 'later_kind'])
  else if (kind === 3) entry.facts = Object.fromEntries(Object.entries(entry.facts).filter(([one]) => one !== name))
  else if (name !== undefined) entry.facts = { ...entry.facts, [name]: pick(more[name]!) } as Entry['facts']
}

const rotations = (entries: readonly Entry[]): number[] => entries.flatMap(({ event_type }, i) => (event_type === 'key_rotation' ? [i] : []))

function rotationsIn(where: Place): number[] {
  let found: number[] = []
  tamper(where, (sql) => { found = rotations(sql('SELECT entry FROM entries ORDER BY idx').map(({ entry }) => JSON.parse(Buffer.from(entry as Uint8Array).toString()) as Entry)) })
  return found
}

/** Signs the rotations of a changed log again, each by the key before it, as somebody could who had them all. `change` has the last word on each. */
function turned(where: Place, keys: readonly Signing[], edit: (entries: Writable<Entry>[]) => Writable<Entry>[] | void, change: (facts: { vkey: string; from_size: number; root: Hash }, by: Signing, n: number) => Signing = (_, by) => by, signer: Signing['signer'] = keys.at(-1)!.signer): void {
  let n = 0
  forge(where, edit, { signer, amend: (entry, before) => {
    if (entry.event_type !== 'key_rotation') return
    n = Math.min(n + 1, keys.length - 1)
    const facts = { vkey: keys[n]!.vkey, from_size: entry.index, root: before() }
    const by = change(facts, keys[n - 1]!, n)
    // what is signed may be right where what is stated is not
    const signature = by.signer.sign(rotationStatement({ origin: originAt(where), size: pick([facts.from_size, entry.index]), root: facts.root, vkey: facts.vkey }))
    entry.facts = { vkey: facts.vkey, from_size: facts.from_size, root: toBase64(facts.root), signature: toBase64(signature) }
  } })
}

/** What somebody with retired keys, or with all of them, does to the rotations of a log. */
const keyAttacks: { readonly [name: string]: (where: Place, keys: readonly Signing[]) => void } = {
  'rotations signed again': (where, keys) => turned(where, keys, (entries) => { entries[between(1, entries.length)]!.timestamp = '2026-11-20T00:00:00.000Z' }),
  'a rotation signed by another key': (where, keys) => {
    const at = between(1, keys.length)
    turned(where, keys, () => {}, (_, by, n) => (n === at ? pick([...keys, strangeKey(originAt(where))].filter((key) => key !== by)) : by))
  },
  'a rotation for another root': (where, keys) => {
    const at = between(1, keys.length)
    turned(where, keys, () => {}, (facts, by, n) => {
      if (n === at) facts.root = fromBase64(HASH)
      return by
    })
  },
  'a rotation for another place': (where, keys) => {
    const at = between(1, keys.length)
    turned(where, keys, () => {}, (facts, by, n) => {
      if (n === at) facts.from_size = pick([0, facts.from_size - 1, facts.from_size + 1])
      return by
    })
  },
  'a rotation or report of another session or writer': (where, keys) => turned(where, keys, (entries) => {
    const one = pick(entries.filter(({ event_type }) => event_type.startsWith('key_')))
    if (random(2) === 0) one.writer = 'local'
    else one.session_id = pick([ID, ...entries.map(({ session_id }) => session_id)])
  }),
  'a rotation to another key': (where, keys) => {
    const at = between(1, keys.length)
    const to = pick([...keys, strangeKey(originAt(where)), strangeKey('another.example/log')])
    turned(where, keys, () => {}, (facts, by, n) => {
      if (n === at) facts.vkey = to.vkey
      return by
    }, pick([keys.at(-1)!, to]).signer)
  },
  'a rotation removed': (where, keys) => {
    const gone = (entries: readonly Entry[]): number => pick(rotations(entries))
    if (random(2) === 0) forge(where, (entries) => { entries.splice(gone(entries), 1) })
    else turned(where, keys, (entries) => { entries.splice(gone(entries), 1) })
  },
  'a rotation moved': (where, keys) => {
    const move = (entries: Writable<Entry>[]): void => {
      const [one] = entries.splice(pick(rotations(entries)), 1)
      entries.splice(between(1, entries.length + 1), 0, one!)
    }
    if (random(2) === 0) forge(where, move)
    else turned(where, keys, move)
  },
  'a checkpoint of another key': (where, keys) => forge(where, () => {}, { signer: pick([...keys.slice(0, -1), strangeKey(originAt(where))]).signer }),
  'cut, and signed by a key before': (where, keys) => {
    const { signer } = pick(keys)
    if (random(2) === 0) return forge(where, (entries) => entries.slice(0, between(1, entries.length)), { signer })
    turned(where, keys, (entries) => entries.slice(0, between(1, entries.length)), undefined, signer)
  },
  'an entry of keys reworded': (where, keys) => forge(where, (entries) => reword(pick(entries.filter(({ event_type, index }) => index === 0 || event_type.startsWith('key_'))), keys)),
  'a report of a key': (where, keys) => forge(where, (entries) => {
    const own = entries[0]!
    const [old] = pick([entries, entries.filter(({ event_type }) => event_type === 'key_compromise'), []])
    const facts = { vkey: old?.facts['last_good_size'] === undefined ? pick([...keys, strangeKey(own.facts['origin'] as string)]).vkey : old.facts['vkey'], last_good_size: random(pick([entries.length + 2, 3, ...rotations(entries)])) - random(2) }
    const id = own.event_id.replace(/.{4}$/, 'ffff')
    const at = between(entries.length - 3, entries.length + 1)
    entries.splice(at, 0, { ...own, event_id: id, event_type: 'key_compromise', facts, payloads: {}, recorded_at: entries[at - 1]!.recorded_at } as never)
  }),
  'a newer entry beside rotations': (where, keys) => turned(where, keys, (entries) => { Object.assign(entries[random(entries.length)]!, random(2) === 0 ? { v: 2 } : { later: 1 }) }, (facts, by) => {
    if (random(4) === 0) facts.from_size = 1
    return by
  }, pick([keys.at(-1)!, pick(keys)]).signer),
  'an entry of keys not there or not read': (where) => tamper(where, (sql) => {
    const entries = sql('SELECT entry FROM entries ORDER BY idx').map(({ entry }) => JSON.parse(Buffer.from(entry as Uint8Array).toString()) as Entry)
    const at = pick([0, ...rotations(entries), random(entries.length)])
    if (random(2) === 0) sql('DELETE FROM entries WHERE idx = ?', at)
    else sql('UPDATE entries SET entry = ? WHERE idx = ?', Buffer.from(canonicalJson({ ...entries[at], recorded_at: 'odd' } as never)), at)
  }),
  'a memory of another key': (where, keys) => {
    const leaves: Hash[] = []
    tamper(where, (sql) => { leaves.push(...sql('SELECT entry FROM entries ORDER BY idx').map(({ entry }) => leafHash(entry as Uint8Array))) })
    const size = pick([between(1, leaves.length + 20), ...rotationsIn(where).flatMap((at) => [at, at + 1])])
    const note = signCheckpoint({ origin: originAt(where), size, root: random(4) === 0 ? fromBase64(HASH) : treeRoot(leaves.slice(0, size)) }, [pick([...keys, strangeKey(originAt(where))]).signer])
    writeFileSync(join(where.home, readdirSync(where.home)[0]!, pick(['head', 'proved'])), note, { mode: 0o600 })
    if (random(3) === 0) forge(where, (entries) => entries.slice(0, between(1, entries.length)), { signer: pick(keys).signer })
  },
}

const HASH = 'n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg='
const SIGNATURE = `${'A'.repeat(86)}==`
const ID = '01a1fd1e-8c00-7324-8f47-a67f6dc0978d'
const REF = '0c31afa0e071d602df96abb68a5044e5'
const ref = { c: HASH, m: 'json' }
const refs = (n: number): object[] => Array.from({ length: n }, () => ({ ...ref }))
const list = { add: [ref], count: 1, root: HASH }
/** Values at the edges of the forms of docs/format.md §3. */
const EDGES: readonly unknown[] = [
  0, 1, -1, 65_535, 65_536, 2 ** 53 - 1, -(2 ** 53 - 1), 2 ** 53, 1.5, true, false, null, '', 'a', 'A b', 'é', '~', '.a', 'a.b/c', 'x'.repeat(128), 'x'.repeat(129), 'x'.repeat(70_000),
  '0.7', '-0', '00.1', '1.', '1'.repeat(32), '1'.repeat(33), HASH, HASH.replace('gg=', 'gh='), HASH.replace('=', ''), SIGNATURE, SIGNATURE.replace('A==', 'B=='), SIGNATURE.slice(4), ID, ID.toUpperCase(), `${ID}/0`, `${ID}/65535`, `${ID}/65536`, `${ID}/00`, REF, REF.toUpperCase(),
  '2026-02-29T00:00:00.000Z', '2024-02-29T00:00:00.000Z', '0000-02-29T00:00:00.000Z', '1900-02-29T00:00:00.000Z', '2026-11-21T24:00:00.000Z', '2026-11-21T23:59:60.000Z', '2026-11-21T23:59:59.999Z', '2026-11-21T23:59:59.99Z', '2026-13-01T00:00:00.000Z', '2026-00-01T00:00:00.000Z',
  [], ['a'], ['a', 1], [[]], [''], [ID], Array(64).fill(ID), Array(65).fill(ID), ['x'.repeat(129)], {}, { a: 1 }, { a: -1 }, { '': 1 }, { a: 'b' }, { a: 1.5 }, { [REF]: 3 }, { [REF]: -3 },
  { same: 0 }, { same: 2 }, { same: -1 }, { same: 0, x: 1 }, ref, { ...ref, m: 'html' }, { ...ref, k: 0 }, { ...ref, k: 1 }, { ...ref, k: 65_535 }, { ...ref, k: 65_536 }, { ...ref, masked: [] }, { ...ref, masked: ['email'] }, { ...ref, masked: ['x'.repeat(33)] }, { ...ref, masked: ['a', 'b', 'c', 'd', 'e'] }, { ...ref, x: 1 }, { c: HASH },
  list, { ...list, count: 2 }, { ...list, base: 0 }, { ...list, base: 0, keep: 1, count: 2 }, { ...list, base: 0, keep: 0 }, { ...list, base: 99, keep: 0 }, { ...list, x: 1 }, { add: [], count: 0, root: HASH }, { ...list, add: [{ same: 0 }] }, { ...list, add: refs(256), count: 256 }, { ...list, add: refs(257), count: 257 },
  'failure', 'before', 'high', 'custom', 'log_start', Array.from({ length: 61 }).reduce((inner: unknown) => [inner], 0), Array.from({ length: 63 }).reduce((inner: unknown) => [inner], 0), Array.from({ length: 64 }).reduce((inner: unknown) => [inner], 0),
]

/** A value of a form of §4, as the vocabulary of the sources writes it. */
function valueOf(form: string): unknown {
  const bare = form.replace('?', '')
  if (bare.startsWith('=')) return pick(bare.slice(1).split('|'))
  const several = /^([a-z]+)\[[0-9]+\]$/.exec(bare)?.[1]
  if (several === 'counts') return { [REF]: 3 }
  if (several !== undefined) return [valueOf(several)]
  return { label: 'abc', uuid: ID, ref: REF, hash: HASH, signature: SIGNATURE, time: '2026-11-21T23:59:59.999Z', decimal: '0.7', int: 5, bool: true, scope: `${ID}/0` }[bare]
}

/** The bytes of an entry in which one thing was changed. */
function nearly(entry: { [name: string]: unknown; facts: { [name: string]: unknown }; payloads: { [name: string]: unknown } }): Buffer {
  if (random(2) === 0) {
    const [type, rules] = pick(Object.entries(VOCABULARY)) as [string, { facts: { [name: string]: string }; payloads: { [name: string]: string } }]
    entry['event_type'] = type
    entry.facts = Object.fromEntries(Object.entries(rules.facts).filter(([, form]) => !form.endsWith('?') || random(3) === 0).map(([name, form]) => [name, valueOf(form)]))
    entry.payloads = Object.fromEntries(Object.entries(rules.payloads).filter(() => random(3) === 0).map(([name, form]) => [name, random(4) === 0 ? { same: 0 } : form === 'list' ? list : ref]))
  }
  const where: { [name: string]: unknown } = pick([entry, entry.facts, entry.payloads])
  const names = Object.keys(where)
  const kind = random(9)
  if (kind < 5 && names.length > 0) where[pick(names)] = pick(EDGES)
  else if (kind === 5 && names.length > 0) delete where[pick(names)]
  else if (kind === 6) where[pick(['x', 'Ab', '0a', 'a'.repeat(64), 'a'.repeat(65), 'v', 'stream', 'stream_seq', 'step_number', 'outcome', 'parent_event_id', 'risk', 'input_messages'])] = pick(EDGES)
  else if (kind === 7) {
    const text = canonicalJson(entry as never)
    const at = random(text.length)
    return Buffer.from(random(2) === 0 ? text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << random(7))) + text.slice(at + 1) : text.slice(0, at) + pick(['1', ' ', '-', '"', '0', 'e', '\\u0041', ',', '{', '}', '.0']) + text.slice(at + random(2)))
  } else {
    entry[pick(['v', 'index', 'seq'])] = pick(EDGES)
    if (random(2) === 0) entry['x'] = pick(EDGES)
  }
  return Buffer.from(spelled(entry))
}

/** Canonical also where the library would not spell it: too deep. */
function spelled(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spelled).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${spelled((value as { [name: string]: unknown })[name])}`).join(',')}}`
}
