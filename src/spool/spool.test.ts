import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, closeSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { equal, fromHex, toHex, utf8 } from '../base/bytes.ts'
import { SpoolError } from './fault.ts'
import { listSpools, removeSpool } from './folder.ts'
import { ownerState } from './owner.ts'
import { openSpool, readSpool, spoolOwner, type SpoolRecord } from './reader.ts'
import { encodeHeader, MAX_RECORD_BYTES, recordKey, sealRecord } from './record.ts'
import { createSpool, type SpoolWriter } from './writer.ts'

const key = new Uint8Array(32).fill(9)
const keys = { origin: 'example.com/log', key }
let home: string
let folder: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'spool-'))
  folder = join(home, 'trail.db.spool')
})
afterEach(() => rmSync(home, { recursive: true }))
const coded = (code: string): unknown => expect.objectContaining({ code })

describe('a spool', () => {
  test('gives back what was appended, from any offset it gave', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 }), (contents) => {
      const writer = createSpool(folder, keys)
      const ends = contents.map((bytes) => writer.append(bytes))
      const records = [...readSpool(writer.path, keys)]
      expect(records.map((record) => toHex(record.bytes))).toEqual(contents.map(toHex))
      expect(records.map((record) => record.end)).toEqual(ends)
      expect(writer.end).toBe(ends.at(-1))
      for (const [i, end] of ends.entries()) expect([...readSpool(writer.path, keys, end)].map((record) => record.offset)).toEqual(ends.slice(i, -1))
      writer.close()
      removeSpool(writer.path)
    }), { numRuns: 50 })
  })

  test('is made at the first append, 0600 in a folder 0700 that git ignores', async () => {
    const writer = createSpool(folder, keys)
    await writer.sync()
    expect([readdirSync(home), writer.end]).toEqual([[], 0])
    writer.append(utf8('a'))
    await writer.sync()
    expect(readdirSync(folder).sort()).toEqual(['.gitignore', writer.id])
    expect(readFileSync(join(folder, '.gitignore'), 'utf8')).toBe('*\n')
    expect([folder, writer.path].map(modeOf)).toEqual(['700', '600'])
    expect(listSpools(folder)).toEqual([writer.path])
    expect(ownerState(spoolOwner(writer.path)!)).toBe(process.platform === 'linux' ? 'self' : 'unknown')
    writer.close()
    writer.close()
    expect(() => writer.append(utf8('b'))).toThrow(TypeError)
    removeSpool(writer.path)
    removeSpool(writer.path)
    expect(listSpools(folder)).toEqual([])
    expect(listSpools(join(home, 'none'))).toEqual([])
    expect(() => [...readSpool(writer.path, keys)]).toThrow(coded('spool_missing'))
  })

  test('narrows a folder that others could enter', () => {
    mkdirSync(folder)
    chmodSync(folder, 0o755)
    createSpool(folder, keys).append(utf8('a'))
    expect(modeOf(folder)).toBe('700')
  })

  test('holds no content in clear, and the same content never looks the same', () => {
    const writer = createSpool(folder, keys)
    for (let i = 0; i < 3; i++) writer.append(utf8('the patient is known to us'))
    const file = readFileSync(writer.path).toString('latin1')
    expect(file).not.toContain('patient')
    const records = [...readSpool(writer.path, keys)].map(({ offset, end }) => file.slice(offset + 12, end))
    expect(new Set(records).size).toBe(3)
  })

  test('takes records longer than its buffers, up to 80 MiB', () => {
    const writer = createSpool(folder, keys)
    const contents = [0, 1, 131_043, 131_044, 131_045, 1_048_575, 1_048_576, 1_500_000, 5, MAX_RECORD_BYTES].map((size, i) => new Uint8Array(size).fill(i))
    for (const bytes of contents) writer.append(bytes)
    const read = [...readSpool(writer.path, keys)]
    expect(read.length).toBe(contents.length)
    for (const [i, record] of read.entries()) expect(Buffer.compare(record.bytes, contents[i]!)).toBe(0)
    expect(() => writer.append(new Uint8Array(MAX_RECORD_BYTES + 1))).toThrow(RangeError)
    writer.close()
  })

  test('keeps several spools of one process apart, also of worker threads', async () => {
    const writers = [createSpool(folder, keys), createSpool(folder, keys)]
    for (const writer of writers) writer.append(utf8(writer.id))
    const code = `import { createSpool } from ${source('writer.ts')}
      const writer = createSpool(${JSON.stringify(folder)}, { origin: 'example.com/log', key: new Uint8Array(32).fill(9) })
      for (let i = 0; i < 500; i++) writer.append(new TextEncoder().encode(writer.id))`
    const workers = [1, 2, 3].map(() => new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`)))
    await Promise.all(workers.map((worker) => once(worker, 'exit')))
    const spools = listSpools(folder)
    expect(spools.length).toBe(5)
    for (const path of spools) {
      expect(ownerState(spoolOwner(path)!)).not.toBe('dead')
      for (const record of readSpool(path, keys)) expect(path.endsWith(Buffer.from(record.bytes).toString())).toBe(true)
    }
    expect(spools.reduce((sum, path) => sum + [...readSpool(path, keys)].length, 0)).toBe(1_502)
  })

  test('is read as the format says: a file made once is read for ever', () => {
    const golden = JSON.parse(readFileSync(new URL('golden.json', import.meta.url), 'utf8')) as { origin: string; key: string; id: string; random: string; owner: { pid: number }; contents: string[]; attempts: number[]; file: string }
    mkdirSync(folder)
    const path = join(folder, golden.id)
    writeFileSync(path, fromHex(golden.file))
    const opened = { origin: golden.origin, key: fromHex(golden.key) }
    expect([...readSpool(path, opened)].map((record) => Buffer.from(record.bytes).toString())).toEqual(golden.contents)
    expect(spoolOwner(path)).toEqual(golden.owner)
    const header = encodeHeader(fromHex(golden.id), fromHex(golden.random), golden.owner)
    let file = Buffer.from(header.bytes)
    for (const [i, text] of golden.contents.entries()) {
      const record = Buffer.alloc(text.length + 28)
      sealRecord(record, recordKey(opened.key, opened.origin, header.bytes), golden.attempts[i]!, file.length, utf8(text))
      file = Buffer.concat([file, record])
    }
    expect(file.toString('hex')).toBe(golden.file)
  })
})

describe('a torn spool', () => {
  test('ends before the record that was being written, at every byte of it', () => {
    const { path, ends } = written('first', 'second', 'the third record')
    const [, second, third] = ends as [number, number, number]
    for (let size = third - 1; size >= second; size--) {
      truncateSync(path, size)
      expect(texts(path)).toEqual(['first', 'second'])
    }
    expect(texts(path, second)).toEqual([])
    truncateSync(path, second - 1)
    expect(texts(path, second)).toEqual([]) // a power cut took what the ledger has already
  })

  test('has no record and no owner when its header is cut at any byte', () => {
    const { path, start } = written('first')
    for (let size = start - 1; size >= 0; size--) {
      truncateSync(path, size)
      expect(texts(path)).toEqual([])
      expect(spoolOwner(path)).toBeUndefined()
    }
  })

  test('may end in zeros, which a power cut leaves, and in nothing else', () => {
    for (const zeros of [1, 11, 12, 28, 5_000, 2_100_000]) {
      const { path } = written('first', 'second')
      appendFileSync(path, new Uint8Array(zeros))
      expect(texts(path)).toEqual(['first', 'second'])
      if (zeros < 11) continue
      appendFileSync(path, 'x')
      expect(thrown(path)).toMatchObject({ read: ['first', 'second'], error: coded('spool_corrupt') })
    }
    const { path, ends } = written('first')
    writeFileSync(path, new Uint8Array(ends[0]!))
    expect([texts(path), spoolOwner(path)]).toEqual([[], undefined])
  })
})

describe('a damaged spool', () => {
  test('is an error that names file and offset, for every bit, and what stood before is given', () => {
    const { path, start, ends } = written('first', 'second', 'third')
    const good = readFileSync(path)
    const starts = [start, ...ends]
    for (let bit = 0; bit < 8 * good.length; bit++) {
      const bad = Buffer.from(good)
      const at = Math.floor(bit / 8)
      bad[at]! ^= 1 << bit % 8
      writeFileSync(path, bad)
      const { read, error } = thrown(path)
      const expected = Math.max(0, starts.findLastIndex((each) => each <= at))
      expect(read, `bit ${bit}`).toEqual(['first', 'second', 'third'].slice(0, expected))
      expect(error, `bit ${bit}`).toBeInstanceOf(SpoolError)
      expect(error?.message).toContain(path)
      if (at >= start) expect(error).toMatchObject({ code: 'spool_corrupt', path, offset: starts[expected] })
    }
  })

  test('is noticed when a record is removed, doubled, exchanged or taken from another spool', () => {
    const { path, start, ends } = written('aaaaa', 'bbbbb', 'ccccc')
    const other = written('ddddd')
    const file = readFileSync(path)
    const header = file.subarray(0, start)
    const [a, b, c] = [start, ends[0]!, ends[1]!].map((at) => file.subarray(at, at + 33)) as [Buffer, Buffer, Buffer]
    const d = readFileSync(other.path).subarray(other.start)
    for (const [records, good] of [[[b, c], 0], [[a, c], 1], [[a, a, b], 1], [[b, a, c], 0], [[a, c, b], 1], [[d], 0], [[a, d, c], 1]] as const) {
      writeFileSync(path, Buffer.concat([header, ...records]))
      expect(thrown(path)).toMatchObject({ read: ['aaaaa'].slice(0, good), error: coded('spool_corrupt') })
    }
  })

  test('is noticed under another name, key or origin, and as something else', () => {
    const { path } = written('a')
    const renamed = join(folder, 'f'.repeat(32))
    copyFileSync(path, renamed)
    expect(thrown(renamed).error).toMatchObject({ code: 'spool_header' })
    expect(() => spoolOwner(renamed)).toThrow(coded('spool_header'))
    expect(() => [...readSpool(path, { ...keys, key: new Uint8Array(32) })]).toThrow(coded('spool_corrupt'))
    expect(() => [...readSpool(path, { ...keys, origin: 'example.com/other' })]).toThrow(coded('spool_corrupt'))
    writeFileSync(path, 'cfsp2\nand so on')
    expect(thrown(path).error).toMatchObject({ code: 'spool_header' })
    expect(() => [...readSpool(written('a').path, keys, 3)]).toThrow(RangeError)
  })

  test('cannot make a reader crash or allocate', () => {
    const { path, start } = written('a')
    const header = readFileSync(path).subarray(0, start)
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (noise, complement) => {
      if (complement && noise.length >= 8) for (let i = 0; i < 4; i++) noise[i + 4] = 255 - noise[i]!
      writeFileSync(path, Buffer.concat([header, noise]))
      const { read, error } = thrown(path)
      expect(read).toEqual([])
      if (error !== undefined) expect(error).toMatchObject({ code: 'spool_corrupt' })
    }))
  })
})

describe('a spool whose disk refuses', () => {
  // One child fills what it may, prints what happened, makes room and goes on.
  const fill = `import { createSpool } from ${source('writer.ts')}
    import { rmSync, statSync } from 'node:fs'
    const [folder, filler] = process.argv.slice(1)
    const writer = createSpool(folder, { origin: 'example.com/log', key: new Uint8Array(32).fill(9) })
    const out = { n: 0, codes: [], sizes: [] }
    const attempt = (size) => {
      try { writer.append(new Uint8Array(size).fill(++out.n & 255)) } catch (error) { out.n--; out.codes.push(error.code, error.retry, error.cause.code) }
      out.sizes.push(statSync(writer.path).size - writer.end)
    }
    while (out.codes.length === 0) attempt(5000)
    attempt(5000)
    if (filler) { rmSync(filler); attempt(100); attempt(5000) }
    console.log(JSON.stringify({ ...out, path: writer.path, end: writer.end }))`

  test.skipIf(process.platform === 'win32')('takes a half-written record back at the limit of a file size', () => {
    const child = spawnSync('/bin/sh', ['-c', 'ulimit -f 100; exec "$0" "$@"', process.execPath, '--input-type=module', '-e', fill, folder], { encoding: 'utf8' })
    const out = JSON.parse(child.stdout) as Filled
    expect(out.codes).toEqual(['spool_full', true, 'EFBIG', 'spool_full', true, 'EFBIG'])
    checkFilled(out, [...readSpool(out.path, keys)])
  })

  const mounts = spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs -o size=64k none /mnt'], { encoding: 'utf8' }).status === 0
  if (!mounts) console.warn('skipped: a spool on a full disk (mounting a tmpfs needs root)')
  test.runIf(mounts)('goes on after a full disk has room again, with nothing lost and no nonce used twice', () => {
    const script = 'mount -t tmpfs -o size=400k none "$3" && head -c 100000 /dev/zero > "$3/filler" && "$0" --input-type=module -e "$1" "$3/s" "$3/filler" && cp -r "$3/s" "$2"'
    const mount = join(home, 'mount')
    mkdirSync(mount)
    const child = spawnSync('unshare', ['-m', 'sh', '-c', script, process.execPath, fill, folder, mount], { encoding: 'utf8' })
    const out = JSON.parse(child.stdout) as Filled
    expect(out.codes).toEqual(['spool_full', true, 'ENOSPC', 'spool_full', true, 'ENOSPC'])
    const path = join(folder, out.path.slice(-32))
    const records = [...readSpool(path, keys)]
    checkFilled(out, records)
    expect(records.at(-1)!.bytes.length).toBe(5_000)
    const file = readFileSync(path)
    expect(records.map((record) => file.readUInt32BE(record.offset + 8)).filter((attempt) => attempt !== 0)).toEqual([2, 2])
  })

  test('says so when its folder cannot be made, and may be tried again', () => {
    writeFileSync(folder, 'a file')
    const writer = createSpool(folder, keys)
    expect(() => writer.append(utf8('a'))).toThrow(expect.objectContaining({ code: 'spool_failed', retry: true }))
    rmSync(folder)
    writer.append(utf8('b'))
    expect(texts(writer.path)).toEqual(['b'])
  })

  test.runIf(process.platform === 'linux')('takes nothing more when a record could not be taken back, or a sync failed', async () => {
    for (const fail of ['append', 'sync'] as const) {
      const writer = createSpool(folder, keys)
      writer.append(utf8('a'))
      closeSync(Number(readdirSync('/proc/self/fd').find((fd) => linkOf(fd) === writer.path)))
      const failed = expect.objectContaining({ code: 'spool_failed', retry: false }) as Error
      if (fail === 'append') expect(() => writer.append(utf8('b'))).toThrow(failed)
      else await expect(writer.sync()).rejects.toThrow(failed)
      expect(() => writer.append(utf8('c'))).toThrow(failed)
      await expect(writer.sync()).rejects.toThrow(failed)
      expect(texts(writer.path)).toEqual(['a'])
    }
  })

  interface Filled { n: number; codes: unknown[]; sizes: number[]; path: string; end: number }
  function checkFilled(out: Filled, records: SpoolRecord[]): void {
    expect(out.sizes.every((extra) => extra === 0)).toBe(true)
    expect(records.length).toBe(out.n)
    expect(records.at(-1)!.end).toBe(out.end)
    for (const [i, record] of records.entries()) expect(record.bytes[0]).toBe((i + 1) & 255)
  }
})

describe('a spool of another process', () => {
  // Appends as fast as it can; each append's offset is printed only after it returned.
  const loop = `import { createSpool } from ${source('writer.ts')}
    import { writeSync } from 'node:fs'
    const writer = createSpool(process.argv[1], { origin: 'example.com/log', key: new Uint8Array(32).fill(9) })
    for (let i = 0; i < Number(process.argv[2]); i++) {
      const bytes = new Uint8Array(8 + (i * 37) % 6000).fill(i & 255)
      new DataView(bytes.buffer).setUint32(0, i)
      writeSync(1, writer.append(bytes) + '\\n')
    }`
  const start = (count: number): ChildProcess => spawn(process.execPath, ['--input-type=module', '-e', loop, folder, String(count)], { stdio: ['ignore', 'pipe', 'inherit'] })

  test('has every record that was accepted when it is killed', async () => {
    for (let cycle = 0; cycle < 6; cycle++) {
      const child = start(1e9)
      let printed = ''
      child.stdout!.on('data', (chunk: Buffer) => {
        if (printed === '') setTimeout(() => child.kill('SIGKILL'), 5 + 20 * cycle)
        printed += chunk.toString()
      })
      await once(child, 'close')
      const accepted = printed.slice(0, printed.lastIndexOf('\n')).split('\n').map(Number)
      const path = listSpools(folder)[0]!
      const records = [...readSpool(path, keys)]
      checkSequence(records)
      expect(accepted.length).toBeGreaterThan(0)
      expect(records.slice(0, accepted.length).map((record) => record.end)).toEqual(accepted)
      expect(records.length - accepted.length).toBeLessThanOrEqual(1)
      if (process.platform === 'linux') expect(ownerState(spoolOwner(path)!)).toBe('dead')
      removeSpool(path)
    }
  })

  test('is read while it grows: every record once, in order, never half', async () => {
    const child = start(4_000)
    child.stdout!.resume()
    const closed = once(child, 'close')
    while (listSpools(folder).length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    const reader = openSpool(listSpools(folder)[0]!, keys)
    const records: SpoolRecord[] = []
    let reads = 0
    while (records.length < 4_000) {
      for (const record of reader.records(records.at(-1)?.end)) records.push(record)
      if (++reads % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    reader.close()
    reader.close()
    expect(reads).toBeGreaterThan(3)
    checkSequence(records)
    expect(await closed).toEqual([0, null])
  })

  function checkSequence(records: readonly SpoolRecord[]): void {
    for (const [i, record] of records.entries()) {
      const bytes = new Uint8Array(8 + (i * 37) % 6000).fill(i & 255)
      new DataView(bytes.buffer).setUint32(0, i)
      if (!equal(record.bytes, bytes)) throw new Error(`record ${i} is another`)
    }
  }
})

function written(...contents: string[]): { writer: SpoolWriter; path: string; start: number; ends: number[] } {
  const writer = createSpool(folder, { ...keys, owner: { pid: 1 } })
  const ends = contents.map((text) => writer.append(utf8(text)))
  writer.close()
  return { writer, path: writer.path, start: ends[0]! - contents[0]!.length - 28, ends }
}

function texts(path: string, from = 0): string[] {
  return [...readSpool(path, keys, from)].map((record) => Buffer.from(record.bytes).toString())
}

function thrown(path: string): { read: string[]; error: Error | undefined } {
  const read: string[] = []
  try {
    for (const record of readSpool(path, keys)) read.push(Buffer.from(record.bytes).toString())
  } catch (error) {
    return { read, error: error as Error }
  }
  return { read, error: undefined }
}

function source(file: string): string {
  return JSON.stringify(new URL(file, import.meta.url).href)
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8)
}

function linkOf(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return undefined // the descriptor of this very listing
  }
}
