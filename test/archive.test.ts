// A log's archive: written in steps, killed in between, verified without keys, and attacked file by file.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { archiveEvidence } from '../src/archive/evidence.ts'
import type { WritableArchive } from '../src/archive/files.ts'
import { archiveFolder, writableFolder } from '../src/archive/folder.ts'
import { writeArchive, type Archived } from '../src/archive/write.ts'
import { archiveSource } from '../src/cli/archive-source.ts'
import { testContext, type Told } from '../src/cli/fixtures.ts'
import { openLocalTrail } from '../src/cli/local-trail.ts'
import { run } from '../src/cli/program.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import type { Verdict } from '../src/verify/verdict.ts'
import { verifyLog } from '../src/verify/verify.ts'
import { appendRun, copyOf, forge, openKeyring, openLog, originAt, place, scratch, Telling, type Place } from './sample-log.ts'

const tmp = scratch()
afterAll(() => tmp.remove())

/** Appends whole sessions until the log has at least `size` entries; the last stays open. */
async function grow(where: Place, size: number): Promise<number> {
  const ledger = await openLog(where)
  try {
    for (let n = 0; ; n++) {
      await appendRun(ledger, new Telling(), { user: `user-${n}`, order: String(1000 + n), end: n % 5 !== 4 })
      const head = (await ledger.read((view) => view.head()))!
      if (head.size >= size) return head.size
    }
  } finally {
    await ledger.close()
  }
}

async function archive({ db }: Place, folder: string, wrap: (archive: WritableArchive) => WritableArchive = (same) => same): Promise<Archived> {
  const store = await openSqliteStore(db, { readOnly: true })
  try {
    return await store.read(async (view) => writeArchive(wrap(await writableFolder(folder)), await archiveSource(view)))
  } finally {
    await store.close()
  }
}

async function verify(folder: string, vkey?: string): Promise<Verdict> {
  return verifyLog(await archiveEvidence(archiveFolder(folder), vkey))
}

function files(folder: string): string[] {
  return (readdirSync(folder, { recursive: true, encoding: 'utf8' })).filter((name) => statSync(join(folder, name)).isFile()).sort()
}

function snapshot(folder: string): Map<string, string> {
  return new Map(files(folder).map((name) => [name, readFileSync(join(folder, name), 'base64')]))
}

const big = place(join(tmp.folder, 'big'))
const small = place(join(tmp.folder, 'small'))
const whole = join(tmp.folder, 'whole')
let size = 0
let vkey = ''

beforeAll(async () => {
  await made('other', 20)
  await grow(small, 100)
  copyOf(small, big.folder)
  size = await grow(big, 560)
  await archive(big, whole)
  vkey = openKeyring(originAt(big), big.home).vkey
})

describe('an archive', () => {
  test('has the files of C2SP tlog-tiles, and sealed content under a prefix of its own', () => {
    const names = files(whole)
    const last = size % 256
    expect(names.filter((name) => !name.startsWith('segment/data/'))).toEqual([
      'checkpoint', 'segment/list/000', 'segment/list/001', `segment/list/002.p/${last}`, 'tile/0/000', 'tile/0/001', `tile/0/002.p/${last}`, 'tile/1/000.p/2', 'tile/entries/000', 'tile/entries/001', `tile/entries/002.p/${last}`,
    ])
    expect(names.filter((name) => name.startsWith('segment/data/')).length).toBeGreaterThan(40)
  })

  test('verifies with the key alone, and says what it did not prove', async () => {
    const verdict = await verify(whole, vkey)
    expect(verdict.problems).toEqual([])
    expect([verdict.whole, verdict.size]).toEqual([true, size])
    expect(verdict.properties).toMatchObject({ unchanged: { status: 'proved' }, complete: { status: 'proved' }, payloads: { status: 'unknown' }, indexes: { status: 'proved' }, not_truncated: { status: 'unknown' }, pinned: { status: 'proved', says: 'the key is the one that was given' } })
    expect((await verify(whole)).properties.pinned).toEqual({ status: 'unknown', says: 'whose key signed: it was found in the log itself' })
  })

  test('does not verify under another key', async () => {
    const { vkey: other } = openKeyring(originAt(place(join(tmp.folder, 'other'))), join(tmp.folder, 'other/home'))
    expect((await verify(whole, other)).properties.unchanged).toMatchObject({ status: 'failed' })
  })

  test('grown in steps is the one written at once', async () => {
    const folder = join(tmp.folder, 'steps')
    expect(await archive(small, folder)).toMatchObject({ from: 0 })
    const first = snapshot(folder)
    const then = await archive(big, folder)
    expect(then).toMatchObject({ size, from: (await verify(folder)).size === size ? then.from : -1 })
    expect(then.from).toBeGreaterThan(99)
    expect(snapshot(folder)).toEqual(snapshot(whole))
    expect([...first.keys()].filter((name) => name.startsWith('segment/data/') && !existsSync(join(folder, name)))).toEqual([])
  })

  test('is left alone when there is nothing new', async () => {
    const folder = join(tmp.folder, 'again')
    cpSync(whole, folder, { recursive: true })
    expect(await archive(big, folder)).toMatchObject({ from: size, size, files: 0, segments: 0 })
    expect(snapshot(folder)).toEqual(snapshot(whole))
  })
})

async function made(name: string, entries: number): Promise<Place> {
  const where = place(join(tmp.folder, name))
  await grow(where, entries)
  return where
}

describe('a run that is killed', () => {
  /** Fails for ever from the `count`th change on, as a process that is gone. */
  function dying(count: number): (archive: WritableArchive) => WritableArchive {
    let left = count
    const step = async <T>(work: () => Promise<T>): Promise<T> => {
      if (left-- <= 0) throw new Error('killed')
      return work()
    }
    return (archive) => ({ ...archive, write: (path, bytes) => step(() => archive.write(path, bytes)), remove: (path) => step(() => archive.remove(path)), sync: () => step(() => archive.sync()) })
  }

  test('at any change leaves the archive that was, or the new one; the next run ends as if nothing had been', async () => {
    const from = join(tmp.folder, 'from')
    await archive(small, from)
    const before = (await verify(from)).size
    let ends = 0
    for (let count = 0; ends === 0; count += count < 12 ? 1 : 7) {
      const folder = join(tmp.folder, 'killed')
      rmSync(folder, { recursive: true, force: true })
      cpSync(from, folder, { recursive: true })
      const died = await archive(big, folder, dying(count)).then(() => false, (error: Error) => error.message === 'killed')
      if (!died) ends++
      const verdict = await verify(folder, vkey)
      expect([verdict.problems, [before, size].includes(verdict.size)], `after ${count} changes`).toEqual([[], true])
      await archive(big, folder)
      if (verdict.size === before) expect(snapshot(folder), `after ${count} changes`).toEqual(snapshot(whole))
      expect((await verify(folder, vkey)).problems).toEqual([])
    }
  })

  test('by SIGKILL, whenever it comes, ends the same', async () => {
    const from = join(tmp.folder, 'sigkill-from')
    await archive(small, from)
    const before = (await verify(from)).size
    let killed = 0
    for (const files of [1, 10, 25, 40]) {
      const folder = join(tmp.folder, 'sigkill')
      rmSync(folder, { recursive: true, force: true })
      cpSync(from, folder, { recursive: true })
      const there = readdirSync(folder, { recursive: true }).length
      const child = spawn(process.execPath, [join(import.meta.dirname, 'archive-child.ts'), big.db, folder], { stdio: 'ignore' })
      const ended = once(child, 'exit')
      const watching = setInterval(() => { if (readdirSync(folder, { recursive: true }).length >= there + files) child.kill('SIGKILL') }, 1)
      const [, signal] = (await ended) as [number | null, string | null]
      clearInterval(watching)
      if (signal === 'SIGKILL') killed++
      const verdict = await verify(folder, vkey)
      expect([verdict.problems, [before, size].includes(verdict.size)], `killed after ${files} files`).toEqual([[], true])
      await archive(big, folder)
      expect((await verify(folder, vkey)).size).toBe(size)
      if (verdict.size === before) expect(snapshot(folder), `killed after ${files} files`).toEqual(snapshot(whole))
    }
    expect(killed).toBeGreaterThan(1)
  })

  test('at its first run leaves no checkpoint, and goes on only with the same log', async () => {
    const folder = join(tmp.folder, 'first')
    await expect(archive(big, folder, dying(9))).rejects.toThrow('killed')
    await expect(verify(folder)).rejects.toMatchObject({ code: 'checkpoint' })
    await expect(archive(place(join(tmp.folder, 'other')), folder)).rejects.toMatchObject({ code: 'archive_foreign' })
    await archive(big, folder)
    expect(snapshot(folder)).toEqual(snapshot(whole))
  })
})

describe('writing refuses, and changes nothing,', () => {
  async function refused(where: Place, folder: string, code: string): Promise<void> {
    const before = snapshot(folder)
    await expect(archive(where, folder)).rejects.toMatchObject({ code, next: expect.stringMatching(/./) })
    expect(snapshot(folder)).toEqual(before)
  }

  test('over the archive of another log', () => refused(place(join(tmp.folder, 'other')), whole, 'archive_foreign'))
  test('over a larger archive', () => refused(small, whole, 'archive_ahead'))
  test('over the archive of a fork, signed by the same key', async () => {
    const fork = copyOf(small, join(tmp.folder, 'fork'))
    await grow(fork, 600)
    await refused(fork, whole, 'archive_forked')
  })
  test('where history was rewritten and signed again', async () => {
    const rewritten = copyOf(big, join(tmp.folder, 'rewritten'))
    forge(rewritten, (entries) => { Object.assign(entries[5]!, { timestamp: '2026-11-21T08:00:00.001Z' }) })
    await refused(rewritten, whole, 'archive_forked')
  })
  test('in a folder with other things', async () => {
    const folder = join(tmp.folder, 'things')
    mkdirSync(folder)
    writeFileSync(join(folder, 'thesis.tex'), 'x')
    await refused(big, folder, 'not_an_archive')
  })
  test('over a checkpoint that the key did not sign', async () => {
    const folder = join(tmp.folder, 'unsigned')
    cpSync(whole, folder, { recursive: true })
    writeFileSync(join(folder, 'checkpoint'), readFileSync(join(folder, 'checkpoint'), 'utf8').replace(/\n[0-9]+\n/, '\n12\n'))
    await refused(big, folder, 'archive_checkpoint')
  })
})

describe('an attacker who', () => {
  /** What verification of a changed copy finds: whether it is reported, and where. */
  async function attacked(change: (path: (name: string) => string) => void): Promise<{ reported: boolean; first: number | undefined; codes: string[]; says: string }> {
    const folder = join(tmp.folder, 'attacked')
    rmSync(folder, { recursive: true, force: true })
    cpSync(whole, folder, { recursive: true })
    change((name) => join(folder, name))
    try {
      const { whole: intact, problems } = await verify(folder, vkey)
      const indexes = problems.flatMap(({ index }) => (index === undefined ? [] : [index]))
      return { reported: !intact, first: indexes.length === 0 ? undefined : Math.min(...indexes), codes: problems.map(({ code }) => code), says: problems.map(({ message }) => message).join('\n') }
    } catch (error) {
      return { reported: (error as { name: string }).name === 'VerifyError', first: (error as { first_bad_index?: number }).first_bad_index, codes: [(error as { code: string }).code], says: (error as Error).message }
    }
  }

  /** Where a change to a file must be reported: the entries that it concerns, or the file's name. */
  function expectPlace(name: string, { reported, first, says }: Awaited<ReturnType<typeof attacked>>, what: string): void {
    expect(reported, `${name} ${what}`).toBe(true)
    const bundle = /^(?:tile\/0|tile\/entries|segment\/list)\/(\d+)/.exec(name)
    if (bundle !== null) {
      const from = Number(bundle[1]) * 256
      expect(first, `${name} ${what}: ${says}`).toBeGreaterThanOrEqual(from)
      expect(first, `${name} ${what}: ${says}`).toBeLessThan(from + 256)
    } else if (name.startsWith('segment/data/')) expect(says, what).toContain(name)
  }

  test('flips a bit, cuts, lengthens, empties or deletes any file is found out, with the place', async () => {
    const all = files(whole)
    const chosen = all.filter((name, i) => !name.startsWith('segment/data/') || i % 12 === 0)
    for (const name of chosen) {
      const bytes = readFileSync(join(whole, name))
      for (const at of bytes.length === 0 ? [] : [0, Math.floor(bytes.length / 2), bytes.length - 1]) {
        const flipped = Buffer.from(bytes)
        flipped[at]! ^= 1 << at % 8
        expectPlace(name, await attacked((path) => writeFileSync(path(name), flipped)), `flipped at ${at}`)
      }
      expectPlace(name, await attacked((path) => truncateSync(path(name), bytes.length - 1)), 'cut')
      expectPlace(name, await attacked((path) => truncateSync(path(name), 0)), 'emptied')
      if (name !== 'checkpoint') expectPlace(name, await attacked((path) => writeFileSync(path(name), Buffer.concat([bytes, Buffer.of(0)]))), 'lengthened')
      expectPlace(name, await attacked((path) => rmSync(path(name))), 'deleted')
    }
  })

  test('puts a folder where a file was is found out', async () => {
    expect(await attacked((path) => { rmSync(path('tile/entries/001')); mkdirSync(path('tile/entries/001')) })).toMatchObject({ reported: true })
  })

  test('swaps two files is found out', async () => {
    const swap = (a: string, b: string) => (path: (name: string) => string): void => {
      renameSync(path(a), path('kept'))
      renameSync(path(b), path(a))
      renameSync(path('kept'), path(b))
    }
    const segments = files(whole).filter((name) => name.startsWith('segment/data/'))
    expect(await attacked(swap('tile/entries/000', 'tile/entries/001'))).toMatchObject({ reported: true, first: 0 })
    expect(await attacked(swap('tile/0/000', 'tile/0/001'))).toMatchObject({ reported: true, first: 0 })
    expect(await attacked(swap('segment/list/000', 'segment/list/001'))).toMatchObject({ reported: true })
    expect(await attacked(swap(segments[3]!, segments[9]!))).toMatchObject({ reported: true, codes: expect.arrayContaining(['segment']) })
  })

  test('swaps two entries of a bundle, or changes one, with the tiles made new, is found out at the entry', async () => {
    const { codes, first } = await attacked((path) => {
      const bytes = readFileSync(path('tile/entries/001'))
      bytes.write('X', bytes.indexOf('"agent_id":"', 20_000) + 12)
      writeFileSync(path('tile/entries/001'), bytes)
    })
    expect(codes).toEqual(expect.arrayContaining(['root', 'tile']))
    expect(first).toBeGreaterThan(255)
  })

  test('replaces sealed content and its hash in the list is found out by the end of the session', async () => {
    const ended = readFileSync(join(whole, 'segment/list/000'), 'utf8').split('\n')[0]!.split(' ')
    const name = `segment/data/${ended[0]!.padStart(3, '0')}`
    const { codes, says } = await attacked((path) => {
      const bytes = readFileSync(path(name))
      bytes[bytes.length - 1]! ^= 1
      writeFileSync(path(name), bytes)
      const hash = createHash('sha256').update(bytes).digest('base64')
      for (const list of files(path('segment/list'))) writeFileSync(path(`segment/list/${list}`), readFileSync(path(`segment/list/${list}`), 'utf8').replaceAll(ended[2]!, hash))
    })
    expect([codes, says]).toEqual([['segment_root'], expect.stringContaining(ended[1]!.slice(0, 36))])
  })

  test('claims a log of absurd size costs no time', async () => {
    const started = performance.now()
    const { reported } = await attacked((path) => writeFileSync(path('checkpoint'), readFileSync(path('checkpoint'), 'utf8').replace(/\n[0-9]+\n/, '\n9007199254740991\n')))
    expect(reported).toBe(true)
    expect(performance.now() - started).toBeLessThan(10_000)
  })
})

describe('erased content', () => {
  test('goes from the archive at the next run; the proofs stay', async () => {
    const where = copyOf(big, join(tmp.folder, 'erasing'))
    const folder = join(tmp.folder, 'erased')
    cpSync(whole, folder, { recursive: true })
    const [, id] = /^[0-9]+ ([0-9a-f-]{36})\//.exec(readFileSync(join(folder, 'segment/list/001'), 'utf8'))!
    const ledger = await openLog(where)
    await ledger.erase({ session_ids: [id!], reason: 'request 88', actor: 'dpo' })
    await ledger.close()
    const gone = readFileSync(join(folder, 'segment/list/001'), 'utf8').split('\n').filter((line) => line.includes(id!)).map((line) => `segment/data/${line.split(' ')[0]!.padStart(3, '0')}`)
    expect(gone.every((name) => existsSync(join(folder, name)))).toBe(true)
    await archive(where, folder)
    expect([gone.length > 0, gone.filter((name) => existsSync(join(folder, name)))]).toEqual([true, []])
    expect((await verify(folder, vkey)).problems).toEqual([])
    // where nothing can be deleted (Object Lock), what is left is bytes without a key
    for (const name of gone) cpSync(join(whole, name), join(folder, name))
    expect((await verify(folder, vkey)).problems).toEqual([])
  })
})

describe('the command', () => {
  async function counterfoil(where: Place, ...args: string[]): Promise<Told & { code: number }> {
    const told: Told = { out: '', err: '' }
    const code = await run(args, ({ json }) => testContext(told, { json, trail: where.db, cwd: tmp.folder, open: (path, mode) => openLocalTrail(path, mode, where.home) }))
    return { ...told, code }
  }

  test('archives, goes on, and verifies what it wrote', async () => {
    expect(await counterfoil(small, 'archive', 'cli')).toMatchObject({ code: 0, out: expect.stringMatching(/^archived 1\d\d entries in .*cli · \d+ files written/) })
    expect((await counterfoil(big, 'archive', 'cli')).out).toMatch(/^archived 4\d\d new of 56\d entries in /)
    expect((await counterfoil(big, 'archive', 'cli')).out).toMatch(/^archived nothing new in .* 0 files written/)
    const verified = await counterfoil(big, 'verify', 'cli', '--key', vkey, '--require', 'unchanged,complete,indexes,pinned')
    expect([verified.code, verified.err]).toEqual([0, ''])
    expect(verified.out).toMatch(/whole, not witnessed/)
    expect((await counterfoil(big, 'verify', 'cli', '--require', 'pinned')).code).toBe(3)
  })

  test('says what is wrong with exit code 1, and with 2 what it could not do', async () => {
    const folder = join(tmp.folder, 'cli-bad')
    cpSync(whole, folder, { recursive: true })
    rmSync(join(folder, 'tile/entries/001'))
    expect(await counterfoil(big, 'verify', folder, '--key', vkey)).toMatchObject({ code: 1, out: expect.stringContaining('entries #256 to #511 are not there') })
    expect(await counterfoil(small, 'archive', folder)).toMatchObject({ code: 1, err: expect.stringContaining('the log was rolled back') })
    expect(await counterfoil(big, 'verify', folder, '--key', 'x')).toMatchObject({ code: 2, err: expect.stringContaining('no verifier key') })
    expect(await counterfoil(big, 'verify', '--key', vkey)).toMatchObject({ code: 2, err: expect.stringContaining('--key goes with an archive') })
    expect(await counterfoil(place(join(tmp.folder, 'other')), 'archive', whole)).toMatchObject({ code: 2, err: expect.stringContaining('name another folder') })
    expect(await counterfoil(big, 'verify', tmp.folder)).toMatchObject({ code: 2, err: expect.stringContaining('expected an archive') })
  })
})
