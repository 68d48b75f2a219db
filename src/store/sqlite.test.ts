// The SQLite driver: the contract's suite on files and in memory, and what only SQLite can do wrong. Real files and real
// processes throughout; a test that needs the sqlite3 shell, strace or another user says so when it is skipped.

import { execFile, execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statfsSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it, test } from 'vitest'
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { StoreError } from '../base/errors.ts'
import { Connection, type Row, type Value } from './connection.ts'
import type { Store, StoreView } from './contract.ts'
import { checkFileSystem, checkType, NETWORK_FILE_SYSTEMS } from './file-system.ts'
import { nodeSqlite, silently } from './node-sqlite.ts'
import { APPLICATION_ID, SCHEMA } from './schema.ts'
import { openSqliteStore } from './sqlite.ts'
import { SqliteTx } from './sqlite-view.ts'
import { bytes, id, row, storeSuite, time, type Subject } from './suite.ts'

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const each of cleanup.splice(0).reverse()) await each()
})

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'counterfoil-store-'))
  cleanup.push(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function open(path: string, options = {}): Promise<Store> {
  const store = await openSqliteStore(path, options)
  cleanup.push(() => store.close())
  return store
}

const has = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
const shell = (file: string, ...sql: string[]): string => execFileSync('sqlite3', ['-bail', '-cmd', '.timeout 10000', file, ...sql], { encoding: 'utf8', stdio: 'pipe' }).trim()
const failing = (code: string, ...parts: RegExp[]) => expect.toSatisfy((error: unknown) =>
  error instanceof StoreError && error.code === code && error.next !== '' && [/^store: /, /./, ...parts].every((part) => part.test(error.message)), `a StoreError ${code} that says ${parts.join(' and ')}`)

/** A node process that runs `code` with the store's functions in scope. */
function node(code: string, ...args: string[]): string[] {
  const from = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href)
  return ['--input-type=module', '-e', `import { openSqliteStore } from ${from('./sqlite.ts')}; import { row } from ${from('./suite.ts')}; import { execFileSync } from 'node:child_process'; import fs from 'node:fs'
    const append = (store, index) => store.append(async (tx) => { await tx.insertEntries([row(index)]); await tx.replaceHead({ size: index + 1, checkpoint: 'x' }) })
    ${code}`, ...args]
}
const run = promisify(execFile)

/** Starts a node process; resolves with it when it has written `word`. */
function started(code: string, word: string): Promise<ChildProcess & { said: () => string }> {
  const child = spawn(process.execPath, node(code), { stdio: ['pipe', 'pipe', 'pipe'] })
  cleanup.push(() => child.kill('SIGKILL'))
  let said = ''
  return new Promise((resolve, reject) => {
    child.stderr.on('data', (data: Buffer) => { said += data.toString() })
    child.stdout.on('data', (data: Buffer) => {
      said += data.toString()
      if (said.includes(word)) resolve(Object.assign(child, { said: () => said }))
    })
    child.on('exit', () => reject(new Error(`ended before it said ${word}: ${said}`)))
  })
}
const ended = (child: ChildProcess): Promise<void> => new Promise((resolve) => { if (child.exitCode !== null || child.signalCode !== null) resolve(); else child.on('exit', () => resolve()) })
const indexes = async (store: Store): Promise<number[]> => (await store.read((view) => view.entries(0, 1_000_000))).map(({ index }) => index)
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

async function onDisk(): Promise<Subject> {
  const path = folder()
  const file = join(path, 'log.db')
  const opened: Store[] = []
  const again = async (): Promise<Store> => {
    const store = await openSqliteStore(file)
    opened.push(store)
    return store
  }
  const close = async (): Promise<void> => { for (const store of opened.splice(0)) await store.close() }
  const store = await again()
  return {
    store,
    another: again,
    reopen: async () => (await close(), again()),
    search: async (needles) => {
      await close()
      const code = `const all = Buffer.concat(fs.readdirSync(process.argv[1]).map((name) => fs.readFileSync(process.argv[1] + '/' + name)))
        const needles = JSON.parse(fs.readFileSync(0, 'utf8')); process.stdout.write(String(needles.filter((each) => all.includes(Buffer.from(each, 'hex'))).length))`
      return Number(execFileSync(process.execPath, node(code, path), { input: JSON.stringify(needles.map((each) => Buffer.from(each).toString('hex'))), encoding: 'utf8' }))
    },
    destroy: async () => {
      await close()
      rmSync(path, { recursive: true })
    },
  }
}

storeSuite({ name: 'SQLite in a file', open: onDisk }, { describe, it })
storeSuite({ name: 'SQLite in memory', open: async () => {
  const store = await openSqliteStore(':memory:')
  return { store, destroy: () => store.close() }
} }, { describe, it })

describe('opening', () => {
  test('makes a log of two more files beside it while it is open, and of one when it is closed', async () => {
    const path = folder()
    const store = await open(join(path, 'log.db'))
    expect(readdirSync(path).sort()).toEqual(['log.db', 'log.db-shm', 'log.db-wal'])
    await store.append((tx) => tx.insertEntries([row(0)]))
    await store.close()
    expect(readdirSync(path)).toEqual(['log.db'])
  })

  test('finds a log behind a symbolic link, and watches the files it is', async () => {
    const path = folder()
    await (await open(join(path, 'log.db'))).close()
    symlinkSync(join(path, 'log.db'), join(path, 'link.db'))
    const store = await open(join(path, 'link.db'))
    await store.append((tx) => tx.insertEntries([row(0)]))
    expect(await indexes(store)).toEqual([0])
  })

  test('takes an empty file for a new log', async () => {
    const file = join(folder(), 'log.db')
    writeFileSync(file, '')
    const store = await open(file)
    await store.append((tx) => tx.insertEntries([row(0)]))
  })

  test('by several processes at once makes one log', async () => {
    const file = join(folder(), 'log.db')
    const code = `const store = await openSqliteStore(${JSON.stringify(file)}); for (let i = 0; i < 5; i++) await store.append(async (tx) => { const size = (await tx.head())?.size ?? 0; await tx.insertEntries([row(size)]); await tx.replaceHead({ size: size + 1, checkpoint: '' }) }); await store.close()`
    await Promise.all(upTo(4).map(() => run(process.execPath, node(code))))
    expect(await indexes(await open(file))).toEqual(upTo(20))
  })

  describe('refuses, without changing a byte or leaving a file behind,', () => {
    const cases: [what: string, code: string, says: RegExp, make: (file: string) => void][] = [
      ["another program's database", 'foreign', /expected a Counterfoil log .* got another program's database \(0\)/, (file) => other(file, 'CREATE TABLE t (x); INSERT INTO t VALUES (1)')],
      ["another program's database in WAL mode", 'foreign', /another program/, (file) => other(file, 'PRAGMA journal_mode = WAL; CREATE TABLE t (x)')],
      ['a database with another application id', 'foreign', /\(7\)/, (file) => other(file, 'PRAGMA application_id = 7; CREATE TABLE t (x)')],
      ['a newer format', 'newer_format', /expected format 1 or older, got 2; upgrade/, (file) => other(file, `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 2; CREATE TABLE t (x)`)],
      ['a text', 'not_a_database', /expected a SQLite database/, (file) => writeFileSync(file, 'Dear auditor, '.repeat(100))],
      ['a short text', 'not_a_database', /expected a SQLite database/, (file) => writeFileSync(file, 'hello')],
    ]
    for (const [what, code, says, make] of cases) {
      for (const readOnly of [false, true]) {
        test(`${what}${readOnly ? ', read-only' : ''}`, async () => {
          const path = folder()
          make(join(path, 'x.db'))
          const before = readFileSync(join(path, 'x.db'))
          await expect(openSqliteStore(join(path, 'x.db'), { readOnly })).rejects.toEqual(failing(code, says))
          expect(readdirSync(path)).toEqual(['x.db'])
          expect(readFileSync(join(path, 'x.db')).equals(before)).toBe(true)
        })
      }
    }
  })

  test('refuses what is no file, no folder, or not there to be read', async () => {
    const path = folder()
    await expect(openSqliteStore(path)).rejects.toEqual(failing('not_a_database', /expected a file/))
    await expect(openSqliteStore(join(path, 'no', 'log.db'))).rejects.toEqual(failing('cannot_open', /expected a folder .*no, got none; create it/))
    await expect(openSqliteStore(join(path, 'log.db'), { readOnly: true })).rejects.toEqual(failing('cannot_open', /got no file/))
    expect(readdirSync(path)).toEqual([])
  })

  test('makes a log where the making of one was cut off by a kill, whatever of it reached the file', async () => {
    for (const header of ['as it was written', 'zeros', 'noise']) {
      const file = join(folder(), 'log.db')
      const { signal } = spawnSync(process.execPath, ['-e', `
        const db = new (require('node:sqlite').DatabaseSync)(${JSON.stringify(file)})
        db.exec('PRAGMA cache_size = 1; BEGIN EXCLUSIVE; PRAGMA application_id = ${APPLICATION_ID}; CREATE TABLE logs (x)')
        for (let i = 0; i < 500; i++) db.prepare('INSERT INTO logs VALUES (zeroblob(4000))').run()
        process.kill(process.pid, 'SIGKILL')`])
      expect(signal).toBe('SIGKILL')
      expect([statSync(file).size > 4096, statSync(`${file}-journal`).size > 0]).toEqual([true, true])
      const bytes = readFileSync(file)
      if (header !== 'as it was written') writeFileSync(file, bytes.fill(header === 'zeros' ? 0 : 0x55, 0, 4096))
      const store = await open(file)
      await store.append((tx) => tx.insertEntries([row(0)]))
      expect(await store.read((view) => view.check())).toEqual([])
      await store.close()
      expect(readdirSync(join(file, '..'))).toEqual(['log.db'])
    }
  })

  test("leaves another program's database alone that was cut off in a transaction", async () => {
    const file = join(folder(), 'x.db')
    other(file, 'CREATE TABLE t (x); INSERT INTO t VALUES (1)')
    spawnSync(process.execPath, ['-e', `
      const db = new (require('node:sqlite').DatabaseSync)(${JSON.stringify(file)})
      db.exec('PRAGMA cache_size = 1; BEGIN EXCLUSIVE; UPDATE t SET x = 2')
      for (let i = 0; i < 500; i++) db.prepare('INSERT INTO t VALUES (zeroblob(4000))').run()
      process.kill(process.pid, 'SIGKILL')`])
    const before = [readFileSync(file), readFileSync(`${file}-journal`)]
    await expect(openSqliteStore(file)).rejects.toEqual(failing('foreign'))
    expect([readFileSync(file), readFileSync(`${file}-journal`)].map((now, i) => now.equals(before[i]!))).toEqual([true, true])
  })

  test('refuses a log whose file was cut short or overwritten', async () => {
    const path = folder()
    const file = join(path, 'log.db')
    const store = await open(file)
    await store.append((tx) => tx.insertEntries(upTo(200).map((i) => row(i))))
    await store.close()
    copyFileSync(file, join(path, 'cut.db'))
    truncateSync(join(path, 'cut.db'), 4096 * 3)
    await expect(openSqliteStore(join(path, 'cut.db'))).rejects.toEqual(failing('corrupt', /expected a sound database, got .*malformed.*; keep the file as it is/))
    const noise = readFileSync(file)
    noise.fill(0x55, 100, 4096)
    writeFileSync(join(path, 'noise.db'), noise)
    await expect(openSqliteStore(join(path, 'noise.db'))).rejects.toEqual(failing('corrupt'))
  })

  for (const [what, sql] of [
    ['a trigger was dropped', 'DROP TRIGGER entries_refuse_update'],
    ['the single use of approvals was dropped', 'DROP INDEX entries_approval'],
    ['a unique key was weakened', 'DROP INDEX entries_seq; CREATE INDEX entries_seq ON entries (log_id, session_id, seq)'],
    ['a view says something else', "DROP VIEW audit_events; CREATE VIEW audit_events AS SELECT 'all is well' AS event_id"],
  ] as const) {
    test(`does not write a log in which ${what}; reading it, \`check\` says so`, async () => {
      const file = join(folder(), 'log.db')
      await (await open(file)).close()
      other(file, sql)
      await expect(openSqliteStore(file)).rejects.toEqual(failing('schema', /as this release makes it, got (none|another one)/))
      const reader = await open(file, { readOnly: true })
      expect(await reader.read((view) => view.check())).toEqual([expect.stringMatching(/^expected the (trigger|index|view) \w+ as this release makes it, got (none|another one)$/)])
    })
  }

  test('refuses network file systems by their type, and no local one', () => {
    expect(() => checkFileSystem(tmpdir())).not.toThrow()
    for (const [type, name] of NETWORK_FILE_SYSTEMS) expect(() => checkType(type, '/mnt')).toThrow(failing('network_file_system', new RegExp(`for /mnt, got ${name}; keep the log on a local disk`)))
    expect(() => checkType(0xfe534d42 - 2 ** 32, '/mnt')).toThrow(/SMB2/)
    for (const local of [0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630]) expect(() => checkType(local, '/mnt')).not.toThrow() // ext4 xfs btrfs tmpfs overlay
  })

  test('asks for the type of the folder that holds the file', async () => {
    const path = folder()
    const { type } = statfsSync(path)
    const types = NETWORK_FILE_SYSTEMS as Map<number, string> // there is no network file system here, so this one is called one
    cleanup.push(() => types.delete(type))
    types.set(type, 'a network')
    await expect(openSqliteStore(join(path, 'log.db'))).rejects.toEqual(failing('network_file_system', /got a network/))
    expect(readdirSync(path)).toEqual([])
  })

  test('refuses a folder or file that this user cannot write', async () => {
    const path = folder()
    const file = join(path, 'log.db')
    await (await open(file)).close()
    const attempt = async (): Promise<string> => {
      // root writes everywhere, so another user tries
      const code = `await openSqliteStore(${JSON.stringify(file)}).catch((error) => console.log(error.code, error.message)); const reader = await openSqliteStore(${JSON.stringify(file)}, { readOnly: true }); console.log((await reader.read((view) => view.counts())).entries); await reader.close()`
      return (await run(process.execPath, node(code), process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {})).stdout
    }
    chmodSync(file, 0o444)
    chmodSync(path, 0o555)
    expect(await attempt()).toMatch(/^read_only store: .*expected to write in .*\n0\n$/)
    chmodSync(path, 0o777)
    expect(await attempt()).toMatch(/^read_only store: .*expected to write the file.*\n0\n$/)
  })
})

describe('settings', () => {
  test('that do not take are an error with both values', () => {
    const db = new Connection(':memory:', 'write', 'x')
    expect(() => db.set('journal_mode', 'wal', 'wal')).toThrow(failing('setting', /expected PRAGMA journal_mode to be wal \(wal\), got memory; /))
    expect(() => db.set('no_such_pragma', '1', 1)).toThrow(failing('setting', /got undefined/))
    db.close()
  })

  test.skipIf(!has('strace'))('reach the disk: each append ends with an fsync of the write-ahead log', async () => {
    const path = folder()
    const code = `const store = await openSqliteStore(${JSON.stringify(join(path, 'log.db'))}); for (let i = 0; i < 20; i++) { await append(store, i); fs.writeSync(1, 'acknowledged\\n') } process.kill(process.pid, 'SIGKILL')`
    spawnSync('strace', ['-f', '-y', '-qq', '-e', 'trace=fsync,fdatasync,write', '-o', join(path, 'trace'), process.execPath, ...node(code)])
    const calls = readFileSync(join(path, 'trace'), 'utf8').split('\n').flatMap((line) => (line.includes('acknowledged') ? ['ack'] : /f(data)?sync\(.*log\.db-wal/.test(line) ? ['sync'] : []))
    if (calls.length === 0) return // tracing is not allowed here
    expect(calls.join(' ').replaceAll(/(sync )+ack/g, 'ok').split(' ').filter((each) => each === 'ok')).toHaveLength(20)
    expect(calls.join(' ')).not.toContain('ack ack')
  })
})

describe('append-only', () => {
  test('is what the tables say to whoever tries', async () => {
    const file = join(folder(), 'log.db')
    const store = await open(file)
    await store.append(async (tx) => {
      await tx.insertEntries([row(0)])
      await tx.insertTiles([{ level: 0, n: 0, hashes: new Uint8Array(8192) }])
    })
    for (const sql of ["UPDATE entries SET entry = x'7b7d'", 'UPDATE entries SET idx = 7', 'DELETE FROM entries', 'UPDATE tiles SET n = 1', 'DELETE FROM tiles']) {
      expect(() => other(file, sql)).toThrow(/are append-only: an audit log has no (update|delete); erase content with "counterfoil erase"/)
    }
    expect(() => other(file, 'UPDATE entries SET session_id = 1')).toThrow(/cannot UPDATE generated column/)
    expect(await indexes(store)).toEqual([0])
  })

  test('refuses what is no entry', async () => {
    const store = await open(':memory:')
    for (const text of ['', 'no json', '{}', '{"session_id":"s"}']) {
      await expect(store.append((tx) => tx.insertEntries([{ index: 0, entry: utf8(text) }]))).rejects.toBeInstanceOf(StoreError)
    }
    expect((await store.read((view) => view.counts()))['entries']).toBe(0)
  })
})

describe('waiting', () => {
  test('for the lock of another process ends with an error that allows a retry, and nothing was done', async () => {
    const file = join(folder(), 'log.db')
    const store = await open(file, { waitMs: 60 })
    const holder = new (nodeSqlite().DatabaseSync)(file)
    cleanup.push(() => holder.isOpen && holder.close())
    holder.exec('BEGIN IMMEDIATE')
    const before = performance.now()
    let ran = false
    await expect(store.append(async () => { ran = true })).rejects.toEqual(expect.objectContaining({ code: 'busy', retry: true }))
    expect(performance.now() - before).toBeGreaterThan(55)
    expect(ran).toBe(false)
    await expect(store.read((view) => view.entries(0, 1))).resolves.toEqual([]) // reads do not wait for a writer
    holder.exec('ROLLBACK')
    await store.append((tx) => tx.insertEntries([row(0)]))
  })

  test('goes on while the lock is held, and ends soon after it is free', async () => {
    const file = join(folder(), 'log.db')
    const store = await open(file)
    const holder = new (nodeSqlite().DatabaseSync)(file)
    cleanup.push(() => holder.isOpen && holder.close())
    holder.exec('BEGIN IMMEDIATE')
    let freed = 0
    setTimeout(() => { holder.exec('ROLLBACK'); freed = performance.now() }, 300)
    await store.append((tx) => tx.insertEntries([row(0)]))
    expect(freed).toBeGreaterThan(0)
    expect(performance.now() - freed).toBeLessThan(100)
  })

  test('for a place among the readers is in order and bounded', async () => {
    const store = await open(join(folder(), 'log.db'), { readers: 2, waitMs: 50 })
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => { release = resolve })
    const long = [store.read(() => held), store.read(() => held)]
    await expect(store.read(async () => undefined)).rejects.toEqual(expect.objectContaining({ code: 'busy', retry: true }))
    const waiting = store.read(async () => 'in time')
    release()
    expect(await waiting).toBe('in time')
    await Promise.all(long)
  })

  test('is fair: of three processes that append all the time none waits long', async () => {
    const file = join(folder(), 'log.db')
    await (await open(file)).close()
    const code = `const store = await openSqliteStore(${JSON.stringify(file)}); let longest = 0; let done = 0; const end = performance.now() + 1500
      while (performance.now() < end) { const begun = performance.now(); await store.append(async (tx) => { const size = (await tx.head())?.size ?? 0; await tx.insertEntries([row(size)]); await tx.replaceHead({ size: size + 1, checkpoint: '' }) }); longest = Math.max(longest, performance.now() - begun); done++ }
      console.log(JSON.stringify({ longest, done })); await store.close()`
    const results = (await Promise.all(upTo(3).map(() => run(process.execPath, node(code))))).map(({ stdout }) => JSON.parse(stdout) as { longest: number; done: number })
    expect(await indexes(await open(file))).toEqual(upTo(results.reduce((sum, { done }) => sum + done, 0)))
    for (const { longest, done } of results) {
      expect(longest).toBeLessThan(1_000)
      expect(done).toBeGreaterThan(5)
    }
  })
})

describe('the files under an open store', () => {
  test.skipIf(!has('sqlite3'))('survive the sqlite3 shell coming and going, and a kill of the writer', async () => {
    const file = join(folder(), 'log.db')
    const child = await started(`const store = await openSqliteStore(${JSON.stringify(file)}); await append(store, 0)
      process.stdin.on('data', async (data) => { for (let i = 1; i < 100; i++) await append(store, i); console.log('ready') }); console.log('begun')`, 'begun')
    const inode = statSync(`${file}-wal`).ino
    expect(shell(file, 'SELECT count(*) FROM audit_entries')).toBe('1')
    expect(statSync(`${file}-wal`).ino).toBe(inode) // the shell did not take itself for the last one
    child.stdin!.write('go')
    while (!child.said().includes('ready')) await new Promise((resolve) => { setTimeout(resolve, 10) })
    expect(shell(file, 'SELECT count(*) FROM audit_events')).toBe('100')
    child.kill('SIGKILL')
    await ended(child)
    expect(await indexes(await open(file))).toEqual(upTo(100))
  })

  test.skipIf(!has('sqlite3'))('are missed when they were replaced: nothing is acknowledged, and nothing that was is lost', async () => {
    const file = join(folder(), 'log.db')
    // One read of the database by `fs` in the writing process drops its locks; the shell then deletes the write-ahead log as it leaves.
    const code = `const file = ${JSON.stringify(file)}; const store = await openSqliteStore(file); await append(store, 0); fs.readFileSync(file)
      execFileSync('sqlite3', [file, 'SELECT count(*) FROM entries'])
      const errors = []; for (const i of [1, 2]) await append(store, i).catch((error) => errors.push(error.code, error.message))
      await store.read((view) => view.head()).catch((error) => errors.push(error.code)); await store.close(); console.log(JSON.stringify(errors))`
    const { stdout } = await run(process.execPath, node(code))
    const errors = JSON.parse(stdout) as string[]
    expect(errors[0]).toBe('wal_replaced')
    expect(errors[1]).toMatch(/^store: the write-ahead log was replaced under us \(.*log\.db-wal\); what was appended last is not acknowledged; find what opened/)
    expect(errors.slice(2)).toEqual(['wal_replaced', errors[1], 'wal_replaced'])
    const store = await open(file)
    expect(await indexes(store)).toEqual([0])
    expect(await store.read((view) => view.check())).toEqual([])
    await store.append((tx) => tx.insertEntries([row(1)]))
  })

  test.skipIf(!has('sqlite3'))('are left alone by a store that lost them, also when another has written since', async () => {
    const file = join(folder(), 'log.db')
    const code = `const file = ${JSON.stringify(file)}; const store = await openSqliteStore(file); await append(store, 0); fs.readFileSync(file)
      execFileSync('sqlite3', [file, 'SELECT count(*) FROM entries'])
      execFileSync(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(node(`const store = await openSqliteStore(${JSON.stringify(file)}); for (let i = 1; i < 40; i++) await append(store, i); await store.close()`)[2])}])
      await store.append(async (tx) => { await tx.insertEntries([100, 101, 102].map((i) => row(i))) }).catch((error) => console.log(error.code)); await store.close()`
    expect((await run(process.execPath, node(code))).stdout).toBe('wal_replaced\n')
    const store = await open(file)
    expect(await indexes(store)).toEqual(upTo(40))
    expect(await store.read((view) => view.check())).toEqual([])
  })

  test('are missed when the database itself was moved away', async () => {
    const path = folder()
    const store = await open(join(path, 'log.db'))
    renameSync(join(path, 'log.db'), join(path, 'old.db'))
    await expect(store.append((tx) => tx.insertEntries([row(0)]))).rejects.toEqual(failing('file_replaced', /the database file was replaced under us/))
    await expect(store.append((tx) => tx.insertEntries([row(0)]))).rejects.toEqual(failing('file_replaced'))
  })
})

describe('a failing disk', () => {
  /** Runs `code` where no file may grow beyond `kib`: the write that would fails, as on a broken disk. */
  const limited = async (kib: number, code: string): Promise<string> => (await run('bash', ['-c', `ulimit -f ${kib}; trap '' XFSZ; exec "$0" "$@"`, process.execPath, ...node(code)])).stdout

  test('under COMMIT poisons the store: every later call fails until it is opened again, and then what was acknowledged is there', async () => {
    const file = join(folder(), 'log.db')
    const code = `const store = await openSqliteStore(${JSON.stringify(file)}); let i = 0; const said = []
      const batch = () => store.append(async (tx) => { await tx.insertEntries(Array.from({ length: 5 }, (_, j) => row(i + j))); await tx.replaceHead({ size: i + 5, checkpoint: '' }) })
      for (; i < 100_000; i += 5) { try { await batch() } catch (error) { said.push(error.code, error.message, error.retry); break } }
      for (const call of [batch, () => store.read((view) => view.head()), () => store.wipe(), () => store.copyTo('/nowhere')]) await call().catch((error) => said.push(error.code))
      console.log(JSON.stringify({ acknowledged: i, said }))`
    const { acknowledged, said } = JSON.parse(await limited(1_000, code)) as { acknowledged: number; said: unknown[] }
    expect(said).toEqual(['poisoned', expect.stringMatching(/COMMIT failed, and whether it took effect is not known: .*; open the store again, verify its tail/), false, 'poisoned', 'poisoned', 'poisoned', 'poisoned'])
    expect(acknowledged).toBeGreaterThan(50)
    const store = await open(file)
    const found = await indexes(store)
    expect(found.length === acknowledged || found.length === acknowledged + 5).toBe(true)
    expect(found).toEqual(upTo(found.length))
    expect((await store.read((view) => view.head()))?.size).toBe(found.length)
  })

  test('inside an append rolls it back, and the store goes on', async () => {
    const file = join(folder(), 'log.db')
    const code = `const store = await openSqliteStore(${JSON.stringify(file)}); await append(store, 0)
      await store.append(async (tx) => { await tx.insertSegments(Array.from({ length: 400 }, (_, i) => ({ segment: i + 1, scope: new Uint8Array(16), bytes: new Uint8Array(60_000) }))) }).catch((error) => console.log(error.code))
      await append(store, 1); console.log(JSON.stringify(await store.read((view) => view.counts())))`
    const [error, counts] = (await limited(4_000, code)).trim().split('\n')
    expect(error).toBe('io')
    expect(JSON.parse(counts!)).toMatchObject({ entries: 2, segments: 0 })
  })

  const small = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs -o size=1m none /mnt']).status === 0
  test.skipIf(!small)('that is full says so; after room was made the same store or a new one goes on', async () => {
    const code = `let store = await openSqliteStore('/mnt/log.db'); let done = 0; let error
      while (error === undefined) await append(store, done).then(() => { done++ }, (caught) => { error = caught })
      const inside = await store.append(async (tx) => { for (let i = 0; i < 400; i++) await tx.insertEntries([row(done + i)]) }).catch((caught) => caught)
      console.log(error.code, /full/.test(error.message)); await store.close(); fs.rmSync('/mnt/ballast'); store = await openSqliteStore('/mnt/log.db')
      const found = (await store.read((view) => view.entries(0, 1e6))).length; console.log(found - done === 0 || found - done === 1); await append(store, found); await store.close()`
    const { stdout } = await run('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs -o size=3m none /mnt && head -c 2000000 /dev/zero > /mnt/ballast && exec "$0" "$@"', process.execPath, ...node(code)])
    expect(stdout).toMatch(/^(poisoned|full) true\ntrue\n$/)
  })
})

describe('a value of another type than its column', () => {
  // A flipped bit in the head of a record does this. Here the table is told, for a moment, that it is not STRICT.
  test.each([
    ['entries', 'entry', 'CAST(entry AS TEXT)', (view: StoreView) => view.entries(0, 9)],
    ['segments', 'bytes', "'text'", (view: StoreView) => view.segment(1)],
    ['tiles', 'hashes', '17', (view: StoreView) => view.tile(0, 0)],
    ['scopes', 'generation', "'00000x0001'", (view: StoreView) => view.scopePage(undefined, 9)],
    ['heads', 'size', '1.5', (view: StoreView) => view.head()],
  ] as const)('is a corrupt file, not a crash: %s.%s = %s', async (table, column, value, read) => {
    const file = join(folder(), 'log.db')
    const store = await open(file)
    await store.append(async (tx) => {
      await tx.insertEntries([row(0)])
      await tx.insertTiles([{ level: 0, n: 0, hashes: bytes(8_192, 't') }])
      await tx.insertSegments([{ segment: 1, scope: bytes(16, 's'), bytes: bytes(80, 'b') }])
      await tx.insertScopes([{ scope: bytes(16, 's'), session_id: id(0, 'session'), k: 0, generation: 1, wrapped: bytes(92, 'w') }])
      await tx.replaceHead({ size: 1, checkpoint: 'note' })
    })
    await store.close()
    const db = new (nodeSqlite().DatabaseSync)(file)
    db.enableDefensive?.(false) // where Node has it, it is on
    for (const { name } of db.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all()) db.exec(`DROP TRIGGER ${String(name)}`)
    db.exec(`PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = '${table}'`)
    db.close()
    const loose = new (nodeSqlite().DatabaseSync)(file)
    loose.exec(`PRAGMA ignore_check_constraints = ON; UPDATE ${table} SET ${column} = ${value}`)
    loose.close()
    const again = await open(file, { readOnly: true })
    await expect(again.read<unknown>(read)).rejects.toEqual(failing('corrupt', new RegExp(`in the column ${column}, got`)))
  })
})

describe('erasing', () => {
  test('leaves no secret in the file, however rows were moved', async () => {
    // Found by search: with this order of deletions a store that deletes rows leaves four secrets behind, secure_delete or not.
    const { store, search, destroy } = await onDisk()
    cleanup.push(destroy)
    let state = 11
    const random = (below: number): number => ((state = (state * 48_271) % 2_147_483_647) % below)
    const alive = upTo(1_500).map((i) => ({ scope: bytes(16, `s${i}`), session_id: `0190${String(i).padStart(32, '0')}`, k: 0, generation: 1, wrapped: bytes(92, `w${i}`) }))
    const dead: Uint8Array[] = []
    await store.append((tx) => tx.insertScopes(alive))
    for (let round = 0; round < 20; round++) {
      const gone = upTo(Math.floor(alive.length * 0.2)).map(() => alive.splice(random(alive.length), 1)[0]!)
      await store.append((tx) => tx.deleteScopes(gone.map(({ scope }) => scope)))
      dead.push(...gone.map(({ wrapped }) => wrapped))
    }
    const again = alive.map((row, i) => ({ ...row, generation: 4_000_000_000, wrapped: bytes(92, `again ${i}`) }))
    await store.append((tx) => tx.rewrapScopes(again))
    dead.push(...alive.map(({ wrapped }) => wrapped))
    await store.wipe()
    const windows = (secret: Uint8Array): Uint8Array[] => upTo(11).map((i) => secret.subarray(8 * i, 8 * i + 12))
    expect(await search!(dead.flatMap(windows))).toBe(0)
    expect(await search!(again.map(({ wrapped }) => wrapped))).toBe(again.length)
  })

  test('leaves nothing of a segment in the file, however often its neighbours were erased before', async () => {
    const path = folder()
    const store = await open(join(path, 'log.db'))
    let state = 18 * 7_919 // found by search: a store that deletes these rows in this order leaves two of them in the file
    const random = (below: number): number => ((state = (state * 48_271) % 2_147_483_647) % below)
    const alive = upTo(1_500).map((i) => ({ segment: i + 1, scope: bytes(16, `s${i}`), bytes: bytes(40 + random(i % 7 === 0 ? 3_000 : 300), `c${i}`) }))
    await store.append((tx) => tx.insertSegments(alive))
    const dead: Uint8Array[] = []
    for (let round = 0; round < 20; round++) {
      const gone = upTo(Math.floor(alive.length * 0.2)).map(() => alive.splice(random(alive.length), 1)[0]!)
      expect(await store.append((tx) => tx.deleteScopes(gone.map(({ scope }) => scope)))).toBe(gone.length)
      dead.push(...gone.map((row) => row.bytes))
    }
    await store.wipe()
    expect((await store.read((view) => view.segmentPage(0, 10_000))).length).toBe(alive.length)
    expect((await store.read((view) => view.counts()))['segments']).toBe(alive.length)
    await store.close()
    const left = new Set<string>()
    const all = Buffer.concat(readdirSync(path).map((name) => readFileSync(join(path, name)))).toString('latin1')
    for (let at = 0; at + 16 <= all.length; at++) left.add(all.slice(at, at + 16))
    const inside = (content: Uint8Array): boolean => upTo(Math.floor(content.length / 16)).some((i) => left.has(Buffer.from(content.subarray(16 * i, 16 * i + 16)).toString('latin1')))
    expect(alive.every((row) => inside(row.bytes))).toBe(true)
    expect(dead.filter(inside).length).toBe(0)
  })

  test('is not reported as done while a reader keeps the write-ahead log', async () => {
    const file = join(folder(), 'log.db')
    const store = await open(file, { waitMs: 80 })
    await store.append((tx) => tx.insertEntries([row(0)]))
    const reader = new (nodeSqlite().DatabaseSync)(file)
    cleanup.push(() => reader.isOpen && reader.close())
    reader.exec('BEGIN; SELECT count(*) FROM entries')
    await store.append((tx) => tx.insertEntries([row(1)]))
    await expect(store.wipe()).rejects.toEqual(failing('busy', /got a reader that keeps it: what was deleted is still in .*-wal; end long reads/))
    expect(statSync(`${file}-wal`).size).toBeGreaterThan(0)
    reader.exec('COMMIT')
    expect(await store.wipe()).toMatch(/emptied/)
    expect(statSync(`${file}-wal`).size).toBe(0)
  })
})

describe('copies', () => {
  test('are whole logs at the moment of copying, and never overwrite', async () => {
    const path = folder()
    const store = await open(join(path, 'log.db'))
    await store.append((tx) => tx.insertEntries([row(0)]))
    await store.read(async (view) => {
      await view.head()
      await store.append((tx) => tx.insertEntries([row(1)]))
    })
    await store.copyTo(join(path, 'copy.db'))
    await store.append((tx) => tx.insertEntries([row(2)]))
    expect(readdirSync(path).filter((name) => name.includes('partial'))).toEqual([])
    const copy = await open(join(path, 'copy.db'))
    expect(await indexes(copy)).toEqual([0, 1])
    expect(await copy.read((view) => view.check())).toEqual([])
    await copy.append((tx) => tx.insertEntries([row(2)]))
    await expect(store.copyTo(join(path, 'copy.db'))).rejects.toEqual(failing('exists'))
    await expect(store.copyTo(join(path, 'no', 'copy.db'))).rejects.toBeInstanceOf(StoreError)
    expect(await indexes(store)).toEqual([0, 1, 2])
  })

  test('of a log in memory work too', async () => {
    const file = join(folder(), 'copy.db')
    const store = await open(':memory:')
    await store.append((tx) => tx.insertEntries([row(0)]))
    await store.copyTo(file)
    expect(await indexes(await open(file))).toEqual([0])
  })
})

describe('read-only', () => {
  test('reads while another writes, and never writes', async () => {
    const path = folder()
    const writer = await open(join(path, 'log.db'))
    const reader = await open(join(path, 'log.db'), { readOnly: true })
    for (const i of upTo(3)) {
      await writer.append((tx) => tx.insertEntries([row(i)]))
      expect(await indexes(reader)).toEqual(upTo(i + 1))
    }
    await expect(reader.append(async () => undefined)).rejects.toEqual(failing('read_only', /opened read-only/))
    await expect(reader.wipe()).rejects.toEqual(failing('read_only'))
    await reader.copyTo(join(path, 'copy.db'))
  })

  test('leaves the bytes of a finished log as they are, and no file beside it', async () => {
    const path = folder()
    const writer = await open(join(path, 'log.db'))
    await writer.append((tx) => tx.insertEntries([row(0)]))
    await writer.close()
    const before = readFileSync(join(path, 'log.db'))
    const reader = await open(join(path, 'log.db'), { readOnly: true })
    expect(await indexes(reader)).toEqual([0])
    await reader.close()
    expect(readFileSync(join(path, 'log.db')).equals(before)).toBe(true)
    expect(readdirSync(path)).toEqual(['log.db'])
  })
})

describe('the views', () => {
  const SESSION = id(0, 'session')
  const ref = { c: 'C'.repeat(43) + '=', m: 'json' }
  const run9 = [
    row(0, { event_type: 'session_start', facts: { agent_id: 'support', agent_version: '1.0', model_id: 'opus' }, payloads: { user_message: ref } }),
    row(1, { event_type: 'context', payloads: { input_messages: { add: [ref], count: 1, root: ref.c } } }),
    row(2, { event_type: 'llm_call', facts: { provider: 'anthropic', model_id: 'sonnet' }, payloads: { input_messages: { base: 1, keep: 1, add: [], count: 1, root: ref.c } } }),
    row(3, { event_type: 'llm_result', parent_event_id: id(2, 'event'), outcome: 'success', facts: { model_id: 'sonnet-2', input_tokens: 10, output_tokens: 3, latency_ms: 900, stop_reason: 'tool_use' }, payloads: { output_text: ref } }),
    row(4, { event_type: 'tool_call', parent_event_id: id(3, 'event'), facts: { tool_name: 'refund', risk: 'high', approval: 1 }, payloads: { tool_input: ref } }),
    row(5, { event_type: 'tool_result', parent_event_id: id(4, 'event'), outcome: 'failure', facts: { execution_time_ms: 33, error_type: 'timeout' }, payloads: { error: ref } }),
    row(6, { event_type: 'tool_result', parent_event_id: id(4, 'event'), outcome: 'success', facts: { execution_time_ms: 1 } }), // a second one hides nothing
    row(7, { event_type: 'config_change', facts: { what: 'model', model_id: 'haiku' } }),
    row(8, { event_type: 'tool_call', facts: { tool_name: 'lookup', risk: 'low' } }), // never answered
    row(9, { event_type: 'llm_result', outcome: 'unknown', parent_event_id: id(77, 'event') }), // of a call that is not here
    row(10, { event_type: 'tool_result', session_id: id(1, 'session'), seq: 0, parent_event_id: id(8, 'event'), facts: { execution_time_ms: 7 } }), // another session's
  ]
  const WANTED = [
    ['session_start', 0, 'opus', { agent_id: 'support', agent_version: '1.0', model_id: 'opus', user_message: ref }],
    ['llm_call', 2, 'sonnet', { provider: 'anthropic', model_id: 'sonnet', input_messages: { base: 1, keep: 1, add: [], count: 1, root: ref.c }, input_tokens: 10, output_tokens: 3, latency_ms: 900, stop_reason: 'tool_use', output_text: ref, outcome: 'success' }],
    ['tool_call', 4, 'opus', { tool_name: 'refund', risk: 'high', approval: 1, tool_input: ref, execution_time_ms: 33, error_type: 'timeout', error: ref, outcome: 'failure' }],
    ['tool_result', 6, 'opus', { execution_time_ms: 1, outcome: 'success' }],
    ['config_change', 7, 'haiku', { what: 'model', model_id: 'haiku' }],
    ['tool_call', 8, 'haiku', { tool_name: 'lookup', risk: 'low' }],
    ['llm_result', 9, 'haiku', { outcome: 'unknown' }],
  ] as const

  async function filled(): Promise<string> {
    const file = join(folder(), 'log.db')
    await (await open(file)).append((tx) => tx.insertEntries(run9))
    return file
  }
  const check = (rows: Record<string, unknown>[]): void => {
    expect(rows.map((r) => [r['event_type'], r['step_number'], r['model_id'], JSON.parse(String(r['content'])) as unknown])).toEqual(WANTED)
    for (const [i, [, index]] of WANTED.entries()) {
      expect(rows[i]).toMatchObject({ event_id: id(index, 'event'), session_id: SESSION, agent_id: 'support', timestamp: time(index), created_at: time(index), system_prompt_hash: null })
      expect(Object.keys(rows[i]!)).toEqual(['event_id', 'session_id', 'agent_id', 'timestamp', 'event_type', 'step_number', 'content', 'model_id', 'system_prompt_hash', 'created_at'])
    }
  }

  test('give the classic shape: a call and its result are one row, nothing else is hidden', async () => {
    const db = new (nodeSqlite().DatabaseSync)(await filled(), { readOnly: true })
    cleanup.push(() => db.close())
    check(db.prepare('SELECT * FROM audit_events WHERE session_id = ? ORDER BY created_at').all(SESSION))
    expect(db.prepare('SELECT event_type, agent_id, model_id FROM audit_events WHERE session_id = ?').all(id(1, 'session'))).toEqual([{ event_type: 'tool_result', agent_id: null, model_id: null }])
    const entries = db.prepare('SELECT * FROM audit_entries ORDER BY "index"').all()
    expect(entries.map((each) => each['entry'])).toEqual(run9.map(({ entry }) => fromUtf8(entry)))
    expect(entries[5]).toMatchObject({ index: 5, seq: 5, writer: 'local', capture: 'before', outcome: 'failure', parent_event_id: id(4, 'event'), facts: '{"execution_time_ms":33,"error_type":"timeout"}', stream: null })
  })

  test.skipIf(!has('sqlite3'))('are read by the sqlite3 shell while a process writes', async () => {
    const file = await filled()
    const child = await started(`const store = await openSqliteStore(${JSON.stringify(file)}); console.log('begun'); for (let i = 11; ; i++) { await append(store, i); await new Promise((go) => setTimeout(go, 5)) }`, 'begun') // without a pause the shell may starve
    for (let i = 0; i < 5; i++) {
      check(JSON.parse(execFileSync('sqlite3', ['-json', file, `SELECT * FROM audit_events WHERE session_id = '${SESSION}' AND step_number <= 10 ORDER BY created_at`], { encoding: 'utf8' })) as Record<string, unknown>[])
      expect(Number(shell(file, 'SELECT count(*) FROM audit_entries'))).toBeGreaterThanOrEqual(11)
    }
    expect(() => shell(file, '.timeout 5000', 'DELETE FROM entries WHERE idx = 3')).toThrow(/append-only/)
    child.kill('SIGKILL')
  })
})

describe('query plans', () => {
  /** Explains each statement before it runs it. */
  class Explaining extends Connection {
    readonly plans = new Map<string, string>()
    override all(sql: string, ...values: Value[]): Row[] { return this.#explain(sql, values), super.all(sql, ...values) }
    override get(sql: string, ...values: Value[]): Row | undefined { return this.#explain(sql, values), super.get(sql, ...values) }
    override run(sql: string, ...values: Value[]): number { return this.#explain(sql, values), super.run(sql, ...values) }
    override runEach<T>(sql: string, rows: readonly T[], values: (row: T) => Value[]): number { return rows.slice(0, 1).forEach((row) => this.#explain(sql, values(row))), super.runEach(sql, rows, values) }
    #explain(sql: string, values: Value[]): void {
      if (!sql.startsWith('PRAGMA')) this.plans.set(sql, super.all(`EXPLAIN QUERY PLAN ${sql}`, ...values).map(({ detail }) => String(detail)).join('\n'))
    }
  }

  test('never scan a table, and sort only short lists', async () => {
    const db = new Explaining(':memory:', 'write', 'x')
    cleanup.push(() => db.close())
    for (const sql of SCHEMA) db.exec(sql)
    const tx = new SqliteTx(db, 1)
    const scope = bytes(16, 's')
    const scopeRow = { scope, session_id: 's', k: 0, generation: 1, wrapped: bytes(92, 'w') }
    const contentRow = { key: bytes(32, 'k'), scope, segment: 1, frame: 0, position: 0, frames: 1 }
    const sessions = [{}, { agent_id: 'a' }, { state: 'open' }, { since: time(0), until: time(1), before: { started_at: time(1), session_id: 's' } }]
    const events = [{}, { session_id: 's' }, { event_types: ['a', 'b'] }, { tool_name: 't' }, { since: time(0) }, { until: time(1), event_types: ['a'] }, { session_id: 's', since: time(0), tool_name: 't', event_types: ['a'], from: 9 }]
    await tx.insertEntries(Array.from({ length: 6_000 }, (_, i) => row(i))) // more than are sorted
    for (const call of [
      tx.head(), tx.entries(0, 1), tx.sessionEntries('s', 0, 1), tx.findEvents(['a']), tx.findIds('a', 1), tx.tile(0, 0), tx.tiles(0, 0, 1), tx.tileCount(0), tx.sessions(['s']), tx.scopes(['s']), tx.scopePage(scope, 1),
      tx.segment(1), tx.segmentPage(0, 1), tx.segmentIds([scope]), tx.places(0, 1), tx.contents([contentRow]), tx.contentPage(contentRow, 1), tx.subjectScopes(bytes(32, 'p')), tx.spools(), tx.streams(), tx.nextSegment(),
      ...sessions.map((filter) => tx.listSessions({ ...filter, limit: 1 })), ...events.map((filter) => tx.events({ ...filter, limit: 1 })), tx.events({ since: time(5_990), limit: 9 }),
      tx.replaceHead({ size: 1, checkpoint: '' }), tx.putSessions([{ session_id: 's', row: `{"started_at":"${time(0)}"}` }]), tx.insertScopes([scopeRow]), tx.rewrapScopes([scopeRow]), tx.insertSegments([{ segment: 1, scope, bytes: scope }]),
      tx.insertPlaces([{ index: 0, ordinal: 0, segment: 1, frame: 0, position: 0, frames: 1 }]), tx.insertContents([contentRow]), tx.insertSubjects([{ subject: bytes(32, 'p'), scope }]), tx.putSpool({ spool: 's', offset: 1 }), tx.deleteSpool('s'),
      tx.putStreams([{ stream: 's', session_id: 's', spool: 's', owner: '' }]), tx.deleteStreams(['s']), tx.deleteScopes([scope]),
    ]) await call
    expect(db.plans.size).toBeGreaterThan(40)
    for (const [sql, plan] of db.plans) {
      expect(sql).not.toMatch(/\?\d/) // Node 22 takes a numbered parameter for a named one
      if (sql.includes('FROM subjects NOT INDEXED')) continue // once in an erasure: see schema.ts
      expect(plan, sql).not.toMatch(/SCAN (?!\(subquery|CONSTANT|wanted VIRTUAL TABLE)/) // `wanted` is the list that was asked for
      if (!sql.includes('entries_time') && !sql.includes('UNION')) expect(plan, sql).not.toContain('TEMP B-TREE FOR ORDER BY')
    }
  })

  test('of the views find a session, an event and a type by index', async () => {
    const db = new Connection(':memory:', 'write', 'x')
    cleanup.push(() => db.close())
    for (const sql of SCHEMA) db.exec(sql)
    for (const view of ['audit_events', 'audit_entries']) {
      for (const where of ['session_id', 'event_id', 'event_type', 'timestamp']) {
        const plan = db.all(`EXPLAIN QUERY PLAN SELECT * FROM ${view} WHERE ${where} = 'x'`).map(({ detail }) => String(detail))
        expect(plan.filter((line) => line.startsWith('SCAN')), `${view} ${where}`).toEqual(['SCAN logs'])
        for (const [alias, index] of view === 'audit_events' ? [['c', 'entries_config'], ['f', 'entries_result'], ['k', 'entries_event'], ['r', 'sqlite_autoindex_entries_1']] : []) {
          expect(plan.filter((line) => line.startsWith(`SEARCH ${alias} `)), `${view} ${where}`).not.toEqual([])
          for (const line of plan) if (line.startsWith(`SEARCH ${alias} `)) expect(line).toContain(`INDEX ${index} `)
        }
        expect(plan[1], `${view} ${where}`).toMatch(new RegExp(`SEARCH e USING INDEX \\w+ \\(log_id=\\? AND ${where}=\\?`))
      }
    }
  })
})

describe('the warning of Node 22', () => {
  test('is dropped, and only that one', async () => {
    const seen: string[] = []
    const listen = (warning: Error): void => { seen.push(`${warning.name}: ${warning.message}`) }
    process.on('warning', listen)
    const before = process.emitWarning
    silently(() => {
      process.emitWarning('SQLite is an experimental feature and might change at any time', 'ExperimentalWarning')
      process.emitWarning('Something else is an experimental feature', 'ExperimentalWarning')
      process.emitWarning('SQLite is an experimental feature, says a program', 'ProgramWarning')
    })
    expect(process.emitWarning).toBe(before)
    await new Promise((resolve) => { setTimeout(resolve, 10) })
    process.off('warning', listen)
    expect(seen).toEqual(['ExperimentalWarning: Something else is an experimental feature', 'ProgramWarning: SQLite is an experimental feature, says a program'])
  })

  test('does not appear when a store is opened', async () => {
    const { stderr } = await run(process.execPath, node(`await (await openSqliteStore(':memory:')).close()`))
    expect(stderr).toBe('')
  })
})

/** Runs `sql` as another program would, on a connection of its own. */
function other(file: string, sql: string): void {
  const db = new (nodeSqlite().DatabaseSync)(file)
  try {
    db.exec(sql)
  } finally {
    db.close()
  }
}
