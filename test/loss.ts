// The loss matrix: an agent records without awaiting anything, on a disk that misbehaves, and ends. What was accepted must be on record, once and in
// order, when the disk is well again and somebody opens the trail; what was not is counted.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { openTrail } from '../src/index.ts'
import { builtPackage } from './built-package.ts'
import { startChild } from './child.ts'
import { makeDisk, noDisk, slowFsync, type Disk } from './disk.ts'
import { ENDINGS } from './ending.ts'

export const PACES = ['burst', 'paced'] as const
export const DISKS = ['normal', '50 ms an fsync', 'full', 'full, room again', 'read-only', 'gone'] as const
export type Pace = (typeof PACES)[number]
export type DiskState = (typeof DISKS)[number]

/** How the agent ends, under the names of the table. */
export const ENDS: { readonly [name: string]: string } = {
  end: 'its natural end', exit: 'process.exit(3)', throw: 'a throw', rejection: 'an unhandled rejection', SIGTERM: 'SIGTERM', SIGINT: 'SIGINT', SIGKILL: 'SIGKILL from outside', abort: 'process.abort()', memory: 'no memory left',
}

/**
 * Writes a line for each event when `record()` has returned: whether it was accepted, and its id. One write each, on another disk: it survives
 * whatever happens next. At a third the disk fails, at two thirds it has room again where it should.
 */
const AGENT = `
  const [, , index, db, lines, pace, count, disk] = process.argv
  const { openTrail } = await import(index)
  const { openSync, readdirSync, writeSync, renameSync, rmSync, writeFileSync } = await import('node:fs')
  const { execFileSync } = await import('node:child_process')
  const { dirname, join } = await import('node:path')
  const trail = openTrail(db, { agent_id: 'agent-1', mask: [] })
  const session = await trail.start({})
  await trail.flush()
  const fd = openSync(lines, 'a')
  const folder = dirname(db)
  const ballast = join(folder, 'ballast')
  const fail = () => {
    if (disk === 'gone') renameSync(folder, folder + '.away')
    // not the shared memory: a disk that is read-only has no mapping that is written
    if (disk === 'read-only') execFileSync('chattr', ['+i', db, db + '-wal', ...readdirSync(db + '.spool').map((name) => join(db + '.spool', name)), db + '.spool', folder])
    if (!disk.startsWith('full')) return
    for (let size = 1024 * 1024; size >= 1; size >>= 1) {
      try {
        for (;;) writeFileSync(ballast, Buffer.alloc(size), { flag: 'a' })
      } catch {
        // no room for this much more
      }
    }
  }
  for (let i = 0; i < Number(count); i++) {
    if (i === Math.floor(Number(count) / 3)) fail()
    if (i === Math.floor((2 * Number(count)) / 3) && disk === 'full, room again') rmSync(ballast)
    const recorded = session.record('custom', { name: 'step', content: { i, text: 'what the agent did '.repeat(10) } })
    writeSync(fd, (recorded.problem === undefined ? '+ ' : '- ') + recorded.event_id + '\\n')
    if (pace === 'paced') await new Promise((done) => setTimeout(done, 2))
  }
  process.stdout.write('recorded ')
`

/** Says which events have a receipt; then the disk fails under it, and it goes on for a while. */
const FAILING = `
  const [, , index, db, count, fault] = process.argv
  const { openTrail } = await import(index)
  const { writeFileSync } = await import('node:fs')
  const session = await openTrail(db, { agent_id: 'agent-1', report: () => {} }).start({})
  const record = (i) => session.record('custom', { name: 'step', content: { i } })
  const told = []
  for (let i = 0; i < Number(count); i++) told.push(record(i).durable().then(({ event_id }) => process.stdout.write(event_id + '\\n')))
  await Promise.all(told)
  for (let i = 0; i < 200; i++) {
    if (i === 100) writeFileSync(fault, 'a test')
    record(i)
    if (i % 20 === 0) await new Promise((done) => setTimeout(done, 2))
  }
  process.exit()
`

/** One cell: `accepted` of `issued`, `recorded` of those; `gaps`: refused, and named by a gap; `last`: refused after everything accepted, which only stderr and the session's end say. */
export interface Cell {
  readonly issued: number; readonly accepted: readonly string[]; readonly refused: number; readonly recorded: readonly string[]; readonly gaps: number; readonly last: number
  readonly whole: boolean; readonly stderr: string; readonly ended: string; readonly recordedToTheEnd: boolean; readonly slowed: boolean
}

/** Why a disk cannot be had on this machine. */
export type Missing = { readonly [disk in DiskState]?: string }

export interface Laboratory { readonly missing: Missing; cell(pace: Pace, disk: DiskState, end: string, events: number): Promise<Cell>; bare(end: string): Promise<string>; failing(events: number): Promise<{ receipts: string[]; recorded: string[]; whole: boolean }>; close(): void }

export async function laboratory(): Promise<Laboratory> {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-loss-'))
  const index = pathToFileURL(join((await builtPackage()).folder, 'dist', 'index.js')).href
  const open = ((await import(index)) as { openTrail: typeof openTrail }).openTrail
  const [none, slow] = [noDisk(), slowFsync(folder, 50)]
  const missing: Missing = { ...(none === undefined ? {} : { full: none, 'full, room again': none, 'read-only': none }), ...(typeof slow === 'string' ? { '50 ms an fsync': slow } : {}) }
  let cells = 0
  return {
    missing,
    async cell(pace, state, end, events) {
      const own = join(folder, `cell-${cells++}`)
      const [place, home, lines, seen] = [join(own, 'disk'), join(own, 'home'), join(own, 'lines'), join(own, 'seen')]
      mkdirSync(own)
      let disk: Disk | undefined
      if (state.startsWith('full') || state === 'read-only') disk = makeDisk(own, 24)
      else mkdirSync(place)
      try {
        const db = join(place, 'audit.db')
        const { said, stderr, how } = await runAgent(end, [index, db, lines, pace, String(events), state], { COUNTERFOIL_HOME: home, ...(state === '50 ms an fsync' && typeof slow === 'function' ? slow(seen) : {}) })
        if (state === 'gone') renameSync(`${place}.away`, place)
        if (state === 'full') rmSync(join(place, 'ballast'))
        if (state === 'read-only') disk!.writable()
        const told = readFileSync(lines, 'utf8').trimEnd().split('\n')
        const accepted = told.filter((line) => line.startsWith('+')).map((line) => line.slice(2))
        await using trail = open(db, { home, report: () => {} })
        const recorded = (await trail.events({ event_type: 'custom' }).all()).map(({ event_id }) => event_id)
        const gaps = (await trail.events({ event_type: 'gap' }).all()).reduce((sum, { count }) => sum + Number(count), 0)
        const last = told.length - 1 - told.findLastIndex((line) => line.startsWith('+'))
        const { whole } = await trail.verify()
        return { issued: told.length, accepted, refused: told.length - accepted.length, recorded, gaps, last, whole, stderr, ended: how, recordedToTheEnd: said.startsWith('recorded '), slowed: existsSync(seen) }
      } finally {
        disk?.remove()
        rmSync(own, { recursive: true, force: true })
      }
    },
    async failing(events) {
      const own = join(folder, `cell-${cells++}`)
      mkdirSync(own)
      const disk = makeDisk(own, 24)
      try {
        const [db, home] = [join(disk.at, 'audit.db'), join(own, 'home')]
        const { ended } = startChild(FAILING, [index, db, String(events), disk.fault], { COUNTERFOIL_HOME: home })
        const receipts = (await ended).stdout.trimEnd().split('\n')
        disk.repair()
        await using trail = open(db, { home, report: () => {} })
        const recorded = (await trail.events({ event_type: 'custom' }).all()).map(({ event_id }) => event_id)
        return { receipts, recorded, whole: (await trail.verify()).whole }
      } finally {
        disk.remove()
        rmSync(own, { recursive: true, force: true })
      }
    },
    async bare(end) {
      return (await runAgent(end, [], {}, '')).how
    },
    close: () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }),
  }
}

async function runAgent(end: string, args: readonly string[], env: { readonly [name: string]: string }, source = AGENT): Promise<{ said: string; stderr: string; how: string }> {
  const { code, node = [], kill } = ENDINGS[ENDS[end]!]!
  const { child, said, ended } = startChild(source + code, args, env, { node })
  if (kill !== undefined) child.stdout!.on('data', () => { if (said().endsWith('done')) child.kill(kill) })
  const { code: status, signal, stderr } = await ended
  return { said: said(), stderr, how: signal ?? String(status) }
}

/** The cell as the table shows it: on record, of those accepted; then what was refused, by how it is known. */
export function shown({ accepted, recorded, gaps, last }: Cell): string {
  const on = recorded.length === accepted.length ? String(recorded.length) : `${recorded.length} of ${accepted.length}`
  return `${on}${gaps > 0 ? ` +${gaps}g` : ''}${last > 0 ? ` +${last}r` : ''}`
}
