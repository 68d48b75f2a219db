// Every stored bit that means something is watched: of a small log each byte of each stored value, of a larger one 20,000 bits of the closed file.
// What nobody reports is listed by class, with the reason why it is none of what a log says.

import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, it } from 'vitest'
import { appendAll, appendRun, copyOf, openLog, place, smallLog, Telling, text, type Place } from '../sample-log.ts'

const PARTS = 2
/** All of it takes under ten minutes on two idle cores: CI looks at every 10th byte and at fewer bits of the file. */
const PATIENCE = 1_800_000
const EVERY = Number(process.env['EVERY'] ?? 1)
const FLIPS = Number(process.env['FLIPS'] ?? 20_000)
// in memory where there is such a place: nothing here asks what a disk keeps
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'counterfoil-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Told { readonly tally: { readonly [name: string]: number }; readonly odd: readonly string[]; readonly odd_count: number }

/** Runs the parts at once, each on a copy of its own, and adds up what they counted. */
async function flip(what: 'values' | 'file', where: Place, count: number): Promise<Told> {
  const seed = process.env['SEED'] ?? '1'
  const told = await Promise.all(Array.from({ length: PARTS }, async (_, part) => {
    const copy = copyOf(where, join(folder, `${what}-${part}`))
    const { stdout } = await promisify(execFile)(process.execPath, [join(import.meta.dirname, 'bit-flip-worker.ts'), what, copy.folder, String(part), String(PARTS), seed, String(count)], { maxBuffer: 1 << 26 })
    return JSON.parse(stdout) as Told
  }))
  const tally: { [name: string]: number } = {}
  for (const one of told) for (const [name, n] of Object.entries(one.tally)) tally[name] = (tally[name] ?? 0) + n
  return { tally, odd: told.flatMap(({ odd }) => odd), odd_count: told.reduce((sum, one) => sum + one.odd_count, 0) }
}

function show(title: string, tally: Told['tally'], why: (name: string) => string): void {
  const lines = Object.entries(tally).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, n]) => `  ${String(n).padStart(7)}  ${name}${name.includes('not reported') ? `: ${why(name)}` : ''}`)
  process.stderr.write(`\n${title}\n${lines.join('\n')}\n`)
}

/** Values whose change nobody reports, and why that is right. Everything else must be reported. */
const SILENT: readonly (readonly [pattern: RegExp, why: string])[] = [
  [/^(spools|streams)\./, 'how far a spool was read and who feeds a stream is operational and no evidence; a wrong value reads an event twice, which changes nothing, or leaves a hole in stream_seq, which is reported'],
  [/^logs\.last_segment /, 'a counter for the next segment id, of no meaning for what is stored'],
  [/^logs\.format /, 'a word for people who look; what opens the file is in its header'],
  [/^scopes\.wrapped none/, 'AES-GCM under a key that a verifier without keys does not have; it says "not checked"'],
  [/^segments\.bytes none/, 'the end of its session states no hash of it yet; only the key shows it, and the verdict says "not checked"'],
  [/^contents\.key none/, 'an HMAC under a key that a verifier without keys does not have'],
  [/^subjects\.\w+ none/, 'an HMAC under a key that a verifier without keys does not have'],
]
const whyValue = (name: string): string => SILENT.find(([pattern]) => pattern.test(name))?.[1] ?? '?'

it('reports a flipped bit in the bytes of every stored value of a log of 46 events, with the entry in which it lies', async () => {
  const where = place(join(folder, 'small'))
  await smallLog(where)
  const { tally, odd, odd_count } = await flip('values', where, EVERY)
  show('every byte of every stored value', tally, whyValue)
  expect([odd_count, odd]).toEqual([0, []])
  expect(Object.keys(tally).filter((name) => name.includes('not reported') && whyValue(name) === '?')).toEqual([])
  expect(Object.keys(tally).filter((name) => /first bad index (before|after|somewhere)/.test(name))).toEqual([])
  expect(tally['entries.entry keys: reported, first bad index exact']).toBeGreaterThan(25_000 / EVERY)
}, PATIENCE)

/** Bytes of the file that no statement about the log rests on. */
const UNUSED: readonly (readonly [pattern: RegExp, why: string])[] = [
  [/the database header/, 'SQLite\'s own counters (change counter, version, cache size, free list): read over, or refused when opening'],
  [/the unused part of a page/, 'between the cells of a page: read by nobody'],
  [/a page that is free/, 'free pages and the ends of overflow pages'],
  [/a cell of (spools|streams|logs|sqlite_autoindex_logs)/, 'operational rows'],
  [/a page header of \w+/, 'a page\'s count of fragmented bytes'],
  [/a cell of (?:scopes|segments|contents|subjects)\b.*/, 'without keys: what only a key shows, as among the values'],
  [/a cell of (?:entries_\w+|sessions_\w+|scopes_\w+|segments_\w+|places_\w+|subjects_\w+|sqlite_autoindex_\w+)/, 'an index: a change that leaves it consistent with its rows'],
  [/a cell of sqlite_schema/, 'the text of a statement'],
]

it('reports flipped bits of a file of 300 events, or they lie where nothing is', async () => {
  const where = place(join(folder, 'large'))
  const ledger = await openLog(where)
  for (let i = 0; i < 27; i++) await appendRun(ledger, new Telling(), { user: `user-${i}`, order: String(7_000 + i) })
  const last = new Telling()
  await appendAll(ledger, [last.draft('session_start', { agent_id: 'support-bot' }), last.draft('final_output', {}, { output: text('done') })])
  expect((await ledger.read((view) => view.head()))!.size).toBe(300)
  await ledger.close()
  const { tally, odd, odd_count } = await flip('file', where, Math.ceil(FLIPS / PARTS))
  show(`${FLIPS} bits of the file`, tally, (name) => UNUSED.find(([pattern]) => pattern.test(name))?.[1] ?? '?')
  expect([odd_count, odd]).toEqual([0, []])
  // with keys, whatever lies in a cell of evidence is reported
  expect(Object.keys(tally).filter((name) => /^not reported, keys: a cell of (?!spools|streams|logs)/.test(name))).toEqual([])
  expect(Object.keys(tally).filter((name) => name.startsWith('not reported') && !UNUSED.some(([pattern]) => pattern.test(name)))).toEqual([])
}, PATIENCE)
