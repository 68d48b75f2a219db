// The table of system calls: at every instance of each call by which a process touches its log's files, EIO, ENOSPC, EIO for good from there on, or SIGKILL, injected by
// strace. Afterwards the same process goes on where it lives, and the log is opened: all that was promised is there, it verifies, and goes on.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeDraft } from '../../src/event/draft.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { thisOwner } from '../../src/spool/owner.ts'
import { createSpool } from '../../src/spool/writer.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../../src/vault/spool-key.ts'
import { root } from '../built-package.ts'
import { copyFolder } from '../faults.ts'
import { appendRun, run, Telling } from '../sample-log.ts'
import { Promises, wrongWith } from './power.ts'
import { mutated } from './mutants.ts'

/** How many rows of each table are tried; 0 is all. */
const ROWS = Number(process.env['SYSCALLS'] ?? 4)

let state = Number(process.env['SEED'] ?? 1) >>> 0
function random(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return state / 2 ** 32
}

const CALLS = [
  'openat', 'read', 'pread64', 'write', 'pwrite64', 'fsync', 'fdatasync', 'ftruncate', 'fallocate', 'rename', 'link', 'unlink', 'rmdir', 'mkdir', 'fcntl', 'mmap', 'close',
  'stat', 'fstat', 'lstat', 'newfstatat', 'statx', 'access', 'faccessat2', 'getdents64', 'lseek', 'chmod', 'fchmod', 'fchown', 'utimensat', 'statfs',
]
const ROOM = new Set(['openat', 'write', 'pwrite64', 'fsync', 'fdatasync', 'ftruncate', 'fallocate', 'rename', 'link', 'mkdir', 'mmap'])

/** Whether strace can be set on a process that runs. */
const attachable = ((): boolean => {
  if (process.platform !== 'linux' || spawnSync('strace', ['-V']).status !== 0) return false
  const other = spawn('sleep', ['5'])
  const { stderr } = spawnSync('timeout', ['-s', 'INT', '0.5', 'strace', '-p', String(other.pid)], { encoding: 'utf8' })
  other.kill()
  return stderr.includes('attached')
})()
if (!attachable) process.stderr.write('skipped: faults of system calls (no strace here, or it may not be set on a process that runs)\n')

const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'counterfoil-syscalls-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A process that does what it is told, until it is killed. */
class Child {
  readonly process: ChildProcess
  readonly said: string[] = []
  readonly ended: Promise<void>
  #wake: () => void = () => {}
  gone = false

  constructor(from: string) {
    this.process = spawn(process.execPath, ['--no-warnings', join(from, 'test/slow/syscall-child.ts')], { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, NODE_OPTIONS: '', UV_THREADPOOL_SIZE: '1' } })
    this.process.stdin!.on('error', () => {})
    this.ended = new Promise((resolve) => this.process.on('close', () => {
      this.gone = true
      this.#wake()
      resolve()
    }))
    createInterface({ input: this.process.stdout! }).on('line', (line) => {
      this.said.push(line)
      this.#wake()
    })
  }

  tell(line: string): void {
    this.process.stdin!.write(`${line}\n`)
  }

  /** Resolves when it has said `word`; false when it is gone before. */
  async hears(word: string): Promise<boolean> {
    for (;;) {
      if (this.said.some((line) => line.startsWith(`${word} `))) return true
      if (this.gone) return false
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}

/** Sets strace on `child`; resolves with the function that takes it off again. */
async function traced(child: Child, log: string, args: readonly string[]): Promise<() => Promise<void>> {
  const strace = spawn('strace', ['-f', '-y', '-o', log, ...args, '-p', String(child.process.pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = new Promise<void>((resolve) => strace.on('close', () => resolve()))
  await new Promise<void>((resolve) => {
    strace.stderr.on('data', (text: Buffer) => { if (text.includes('attached')) resolve() })
    void ended.then(resolve)
  })
  return async () => {
    strace.kill('SIGINT')
    await ended
  }
}

interface Row { readonly call: string; readonly n: number; readonly what: string; readonly inject: string }

describe.runIf(attachable).each([
  { name: 'append', what: 'append' }, { name: 'append with a checkpoint', what: 'append', often: true }, { name: 'birth', what: 'birth' }, { name: 'spool', what: 'spool' },
  { name: 'drain', what: 'drain' }, { name: 'erase', what: 'erase' }, { name: 'close', what: 'close' },
])('$name', ({ name, what, often = false }) => {
  const first = join(folder, name.replaceAll(' ', '-'))
  let from = root
  let n = 0
  let child: Child | undefined
  /** What only the content that is erased has. */
  let secrets: string[] = []
  afterAll(() => void child?.process.kill('SIGKILL'))

  beforeAll(async () => {
    mkdirSync(join(first, 'data'), { recursive: true })
    // SQLite copies the write-ahead log back every 1,000 pages; here so often that a small append meets it
    if (often) from = mutated({ name: 'often', run: 'agent', file: 'src/store/sqlite.ts', change: [["  ['fullfsync', 'ON', 1],", "  ['wal_autocheckpoint', '8', 8],\n  ['fullfsync', 'ON', 1],"]] }, join(folder, 'often'))
    if (what === 'birth') return
    const [db, home] = [join(first, 'data', 'log.db'), join(first, 'state', 'counterfoil')]
    const ledger = await Ledger.open({ open: () => openSqliteStore(db), home })
    await appendRun(ledger, new Telling(undefined, Date.now()), { user: 'ingrid.maximova', order: '1182' })
    await ledger.close()
    {
      using database = new DatabaseSync(db, { readOnly: true })
      const own = ledger.ownSession
      secrets = database.prepare('SELECT hex(wrapped) AS hex FROM scopes WHERE session_id <> ?1 UNION ALL SELECT hex(substr(bytes, -32)) FROM segments WHERE scope IN (SELECT scope FROM scopes WHERE session_id <> ?1)').all(own).map(({ hex }) => String(hex).slice(-64))
    }
    const key = openSpoolKey(home)
    if (what !== 'drain') return
    using spool = createSpool(join(first, 'data', 'spools', 'of', 'agents'), { origin: SPOOL_ORIGIN, key, owner: { ...thisOwner(), start_time: '1' } })
    for (const draft of run(new Telling(undefined, Date.now() + 5), { user: 'petra.quandt', order: '7' }).drafts) spool.append(encodeDraft(draft))
  })

  /** Has the child act in a copy of what was before, under strace; what it said, and strace. */
  async function acted(args: readonly string[]): Promise<{ where: string; said: string[]; trace: string; alive: boolean }> {
    const where = join(folder, `at-${n++ % 2}`)
    copyFolder(first, where)
    if (child === undefined || child.gone) child = new Child(from)
    child.said.length = 0
    child.tell(`${where} ${what}`)
    if (!(await child.hears('ready'))) throw new Error('the child did not begin')
    const log = join(folder, 'trace')
    const off = await traced(child, log, args)
    child.tell('go')
    const alive = await child.hears('end')
    await off()
    if (alive) {
      child.tell('more')
      await child.hears('closed')
    } else await child.ended
    return { where, said: [...child.said], trace: readFileSync(log, 'latin1'), alive }
  }

  // `close`: SQLite passes over it. `read` and `write` for good: the child could not hear or speak.
  test('holds its promises whatever a system call says', async () => {
    const clean = await acted(['-e', `trace=${CALLS.join(',')}`])
    expect(clean.said.filter((line) => line.startsWith('failed'))).toEqual([])
    const counts = new Map<string, number>()
    const rows: Row[] = []
    for (const line of clean.trace.split('\n')) {
      const [, pid, call] = /^(\d+)\s+(\w+)\(/.exec(line) ?? []
      if (pid === undefined || call === undefined) continue
      const at = (counts.get(`${pid} ${call}`) ?? 0) + 1
      counts.set(`${pid} ${call}`, at)
      if (!line.includes(clean.where)) continue
      for (const inject of ['signal=KILL', ...(call === 'close' ? [] : ['error=EIO']), ...(['close', 'read', 'write'].includes(call) ? [] : ['error=EIO for good']), ...(ROOM.has(call) ? ['error=ENOSPC'] : [])]) rows.push({ call, n: at, inject, what: line.slice(0, 160) })
    }
    expect(rows.length).toBeGreaterThan(20)
    expect(secrets.length > 1).toBe(what !== 'birth')
    const tried = ROWS === 0 ? rows : rows.map((row) => ({ row, at: random() })).sort((a, b) => a.at - b.at).slice(0, ROWS).map(({ row }) => row)
    const wrong: string[] = []
    let [hits, kills, failed] = [0, 0, 0]
    for (const { call, n: at, inject } of tried) {
      const [how, forGood] = inject.split(' for ')
      const { where, said, trace, alive } = await acted(['-e', `trace=${call}`, '-e', `inject=${call}:${how}:when=${at}${forGood === undefined ? '' : '+'}`])
      const row = `${call} ${at}, ${inject}`
      if (!alive) kills++
      if (how === 'signal=KILL' ? !alive : trace.includes('(INJECTED)')) hits++
      const promised = new Promises()
      for (const line of said) {
        if (line.startsWith('erased')) promised.hear(`erased ${JSON.stringify({ ...(JSON.parse(line.slice(7)) as object), bytes: secrets })}`)
        else if (/^(?:durable|spooled|batch) /.test(line)) promised.hear(line)
        else if (line.startsWith('failed')) {
          failed++
          const { code, next, message } = JSON.parse(line.slice(7)) as { code?: string; next?: string; message: string }
          // a file of keys or a spool fails with what the system says; the worker adds a next step to it
          if (code === undefined || next === '' || (next === undefined && !/^E[A-Z]+$/.test(code))) wrong.push(`${row}: an error that does not say what it is: ${message}`)
        } else if (!/^(?:ready|end|closed) /.test(line)) wrong.push(`${row}: it said ${line.slice(0, 100)}`)
      }
      // strace counts the calls of each thread: libuv ends the process when a thread cannot wake another, which no disk makes happen
      if (!alive && how !== 'signal=KILL' && !/<anon_inode:\[eventfd\]>.*\(INJECTED\)/.test(trace)) wrong.push(`${row}: the process died of it`)
      const files = new Map(readdirSync(where, { recursive: true }).map(String).map((path) => [path, statSync(join(where, path)).isFile() ? readFileSync(join(where, path)) : undefined]))
      for (const what of await wrongWith(where, { files, lost: [] }, promised)) wrong.push(`${row}: ${what}`)
    }
    process.stderr.write(`${name}: ${tried.length} of ${rows.length} rows, ${hits} hit, ${kills} killed, ${failed} answered with an error; ${wrong.length} wrong\n`)
    expect(wrong).toEqual([])
  })
})
