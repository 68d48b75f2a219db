// The checks of doctor: each looks at one thing and says what to do about it.

import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { promisify } from 'node:util'
import { BACKLOG_BYTES } from '../spool/backlog.ts'
import { NETWORK_FILE_SYSTEMS } from '../store/file-system.ts'
import type { TrailStatus } from './api.ts'
import { shellQuoted } from './shell.ts'
import { LEFT_NEXT, leftBehind, type SpoolReport } from './spools.ts'
import { bytes, duration, plural } from './terminal.ts'

/** One thing looked at. `next` is what to do about it, `run` the command for it. */
export interface Check { readonly name: string; readonly status: 'ok' | 'warn' | 'fail' | 'unknown'; readonly says: string; readonly next?: string; readonly run?: string }

const OLDEST_SQLITE = '3.40.0' // the schema's
const TOO_EARLY = Date.UTC(2025, 0, 1) // no version is as old
const CLOCK_SLACK_MS = 5_000

export function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const fits = major > 22 || (major === 22 && minor >= 18)
  return fits ? { name: 'node', status: 'ok', says: version } : { name: 'node', status: 'fail', says: version, next: 'install Node 22.18 or newer' }
}

/** SQLite's version, or why it does not load. */
export async function sqliteVersion(): Promise<string | Error> {
  try {
    const { DatabaseSync } = await import('node:sqlite')
    using database = new DatabaseSync(':memory:')
    return String(database.prepare('SELECT sqlite_version() AS version').get()?.['version'])
  } catch (error) {
    return error as Error
  }
}

export function checkSqlite(version: string | Error): Check {
  if (version instanceof Error) return { name: 'sqlite', status: 'fail', says: `node:sqlite does not load: ${version.message}`, next: 'install a Node that has it: 22.18 or newer from nodejs.org' }
  return atLeast(version, OLDEST_SQLITE) ? { name: 'sqlite', status: 'ok', says: version } : { name: 'sqlite', status: 'fail', says: `${version}; expected ${OLDEST_SQLITE} or newer`, next: 'install a Node with its own SQLite: from nodejs.org' }
}

function atLeast(version: string, oldest: string): boolean {
  const [got, wanted] = [version, oldest].map((text) => text.split('.').map(Number))
  for (const [i, part] of wanted!.entries()) if ((got![i] ?? 0) !== part) return (got![i] ?? 0) > part
  return true
}

/** Entries keep the recorder's times: a clock that is wrong is wrong in them for ever. */
export function checkClock(now: number, recorded_at?: string): Check {
  const says = new Date(now).toISOString()
  const next = "set the clock, and let a time service keep it: entries keep the recorder's times for ever"
  if (now < TOO_EARLY) return { name: 'clock', status: 'fail', says: `${says} is before this version was made`, next }
  const ahead = recorded_at === undefined ? 0 : Date.parse(recorded_at) - now
  if (ahead > CLOCK_SLACK_MS) return { name: 'clock', status: 'warn', says: `${says}; the newest entry is ${duration(ahead)} later: the clock was set back, or was wrong then`, next }
  return { name: 'clock', status: 'ok', says }
}

/** Whether a trail can be made and written in `folder`: SQLite makes files beside the database. */
export function checkFolder(folder: string): Check {
  const stat = statSync(folder, { throwIfNoEntry: false })
  if (stat === undefined) return { name: 'folder', status: 'fail', says: `there is none at ${folder}`, next: 'make it', run: `mkdir -p ${shellQuoted(folder)}` }
  if (!stat.isDirectory()) return { name: 'folder', status: 'fail', says: `${folder} is a file`, next: 'name another path with --trail PATH' }
  return writable(folder) ? { name: 'folder', status: 'ok', says: 'may be written' } : { name: 'folder', status: 'fail', says: `may not be written by this user: ${folder}`, next: "give the agent's user the right to, or run as that user" }
}

function writable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The folder of all keys, `home`: whether it can be used, or made at the first use. */
export function checkState(home: string): Check[] {
  const stat = statSync(home, { throwIfNoEntry: false })
  if (stat?.isDirectory()) {
    const writes: Check = writable(home) ? { name: 'state', status: 'ok', says: home } : { name: 'state', status: 'fail', says: `may not be written by this user: ${home}`, next: 'set COUNTERFOIL_HOME to a folder of the user that runs the agent' }
    return [writes, checkMode('state', home, 0o700)]
  }
  if (stat !== undefined) return [{ name: 'state', status: 'fail', says: `${home} is a file`, next: 'set COUNTERFOIL_HOME to a folder' }]
  const parent = existing(home)
  return [writable(parent)
    ? { name: 'state', status: 'ok', says: `made at the first use: ${home}` }
    : { name: 'state', status: 'fail', says: `cannot be made, ${parent} may not be written by this user: ${home}`, next: 'set COUNTERFOIL_HOME to a folder of the user that runs the agent' }]
}

/** The nearest folder above `path` that is there. */
function existing(path: string): string {
  let folder = path
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  return folder
}

/** What waits beside a database that is not there. */
export function checkSpool(path: string, home: string): Check {
  const { spools, events, why } = leftBehind(path, home)
  if (spools === 0) return { name: 'spool', status: 'ok', says: 'nothing waits to be put into a log' }
  if (why !== undefined) return { name: 'spool', status: 'warn', says: `${path}.spool holds what an agent recorded`, next: LEFT_NEXT[why] }
  return { name: 'spool', status: 'warn', says: `${plural(events, 'event')} ${events === 1 ? 'was' : 'were'} left in ${path}.spool by a process that is gone`, next: 'counterfoil show makes the trail and puts them into it' }
}

/** An event of a process that lives is in the log within moments; after this long something holds it up. */
const OLD_MS = 60_000
/** So many spools are told one by one, those with the most in them. */
const SPOOLS_SHOWN = 5

/** What waits for the log: all of it against the bound of one process, then spool by spool. */
export function checkBacklog({ spools }: Pick<TrailStatus, 'spools'>, now: number): Check[] {
  const waiting = spools.filter(({ waiting_bytes }) => waiting_bytes > 0).sort((a, b) => b.waiting_bytes - a.waiting_bytes)
  if (waiting.length === 0) {
    const live = spools.filter(({ owner }) => owner === 'alive').length
    return [{ name: 'spool', status: 'ok', says: `nothing waits to be put into the log${live === 0 ? '' : `; ${live === 1 ? '1 process records' : `${live} processes record`}`}` }]
  }
  const sum = waiting.reduce((total, { waiting_bytes }) => total + waiting_bytes, 0)
  const near: Check[] = sum < 0.75 * BACKLOG_BYTES ? [] : [{ name: 'spool', status: 'warn', says: `${bytes(sum)} wait for the log; at ${bytes(BACKLOG_BYTES)}, unless openTrail says otherwise, a process accepts no more events`, next: 'see why the log does not keep up: its disk, and who holds the database' }]
  const more = waiting.slice(SPOOLS_SHOWN)
  const rest: Check[] = more.length === 0 ? [] : [{ name: 'spool', status: 'warn', says: `${plural(more.length, 'more spool')} with ${bytes(more.reduce((total, { waiting_bytes }) => total + waiting_bytes, 0))}`, next: 'counterfoil doctor --json lists the files' }]
  return [...near, ...waiting.slice(0, SPOOLS_SHOWN).map((spool) => checkWaiting(spool, now)), ...rest]
}

function checkWaiting({ path, owner, pid, waiting, waiting_bytes, oldest }: SpoolReport, now: number): Check {
  const age = oldest === null ? undefined : Math.max(0, now - Date.parse(oldest))
  const what = `${waiting === null ? 'an unknown number of events' : plural(waiting, 'event')}, ${bytes(waiting_bytes)}${age === undefined ? '' : `, the oldest for ${duration(age)}`}`
  if (waiting === 0 && owner !== 'alive' && owner !== 'self') return { name: 'spool', status: 'warn', says: `${bytes(waiting_bytes)} that do not read here, of process ${pid}: damaged, or under another key of spools: ${path}`, next: "keep the file, and run this as the user of that agent, with its COUNTERFOIL_HOME" }
  switch (owner) {
    case 'self':
    case 'alive':
      if (age === undefined || age < OLD_MS) return { name: 'spool', status: 'ok', says: `${what}: process ${pid} lives and puts them into the log` }
      return { name: 'spool', status: 'warn', says: `${what}: process ${pid} lives, and they are not in the log`, next: 'look at what it reported, or at the problem in its status(): a full or failing disk of the database, keys, a lock that another process holds' }
    case 'dead': return { name: 'spool', status: 'warn', says: `${what}, left by process ${pid}, which is gone`, next: "they could not be put into the log now: run this as the user of that agent, with its COUNTERFOIL_HOME" }
    case 'unknown': return { name: 'spool', status: 'warn', says: `${what}: whether process ${pid} lives cannot be known here`, next: 'it puts them into the log; if it is gone, open the trail where it ran: same machine, same container' }
  }
}

/** Whether this is the newest state of the log that this machine knows: where not, agents are refused. */
export function checkHistory({ setback }: Pick<TrailStatus, 'setback'>): Check {
  if (setback === null) return { name: 'history', status: 'ok', says: 'goes on from what this machine last signed and proved' }
  return { name: 'history', status: 'fail', says: setback.message, next: setback.next }
}

export function checkWitness({ witnessed, size }: Pick<TrailStatus, 'witnessed' | 'size'>, now: number): Check {
  if (witnessed === null) return { name: 'witness', status: 'unknown', says: 'none: whoever holds the keys and this disk could rewrite what nobody looked at', next: 'counterfoil docs witness' }
  const behind = size - witnessed.size
  return { name: 'witness', status: 'ok', says: `cosigned ${duration(Math.max(0, now - Date.parse(witnessed.at)))} ago; ${plural(behind, 'entry', 'entries')} since`, next: 'counterfoil verify --policy FILE says whose cosignatures count' }
}

/** Whether SQLite can keep a log in `folder`, and whether there is room. Where there is no such folder, the nearest above it is looked at. */
export function checkFileSystem(folder: string): Check {
  if (process.platform !== 'linux') return { name: 'disk', status: 'unknown', says: 'whether this is a network file system is only looked at on Linux' }
  const { type, bavail, bsize } = statfsSync(existing(folder))
  const network = NETWORK_FILE_SYSTEMS.get(type < 0 ? type + 2 ** 32 : type)
  if (network !== undefined) return { name: 'disk', status: 'fail', says: `this is a network file system (${network}), which loses acknowledged rows`, next: 'keep the trail on a local disk' }
  const free = bavail * bsize
  if (bsize < 4096) return { name: 'disk', status: 'warn', says: `a file system in blocks of ${bytes(bsize)}, ${bytes(free)} free`, next: 'keep the trail on one of 4 kB blocks: when one of smaller blocks is full, SQLite\'s shared memory ends the agent with SIGBUS' }
  return free < 100e6 ? { name: 'disk', status: 'warn', says: `${bytes(free)} free`, next: 'make room: a full disk stops agents that must record before they act' } : { name: 'disk', status: 'ok', says: `local, ${bytes(free)} free` }
}

/** Whether nobody but the owner may read `path`; for a folder of others' files, whether nobody else may write into it. */
export function checkMode(name: string, path: string, wanted: number): Check {
  if (process.platform === 'win32') return { name: `${name} rights`, status: 'unknown', says: 'file modes say nothing on Windows' }
  if (!existsSync(path)) return { name: `${name} rights`, status: 'unknown', says: `${path} is not there` }
  const mode = statSync(path).mode & 0o777
  const sticky = (statSync(path).mode & 0o1000) !== 0
  const excess = mode & ~wanted & (sticky ? 0o755 : 0o777)
  if (excess === 0) return { name: `${name} rights`, status: 'ok', says: octal(mode) }
  return { name: `${name} rights`, status: name === 'keys' || name === 'state' ? 'fail' : 'warn', says: `${octal(mode)}: others may ${(excess & 0o022) !== 0 ? 'change' : 'read'} ${name === 'folder' ? 'what is in it' : 'it'}`, next: 'take that right away', run: `chmod ${octal(mode & wanted)} ${shellQuoted(path)}` }
}

const octal = (mode: number): string => mode.toString(8).padStart(4, '0')

export function checkApart(path: string, keys: string): Check {
  const inside = `${keys}/`.startsWith(`${dirname(path)}/`)
  return inside
    ? { name: 'keys apart', status: 'warn', says: 'the keys lie in the folder of the database: one copy takes both, and erasure is not true in copies', next: 'set COUNTERFOIL_HOME to a folder elsewhere' }
    : { name: 'keys apart', status: 'ok', says: keys }
}

export async function checkGit(path: string): Promise<Check> {
  const git = async (...args: string[]): Promise<boolean> => {
    try {
      await promisify(execFile)('git', ['-C', dirname(path), ...args], { timeout: 5000 })
      return true
    } catch {
      return false
    }
  }
  if (!(await git('rev-parse', '--is-inside-work-tree'))) return { name: 'git', status: 'ok', says: 'not in a git repository' }
  if (await git('ls-files', '--error-unmatch', '--', basename(path))) return { name: 'git', status: 'fail', says: 'the database is tracked by git: every commit is a copy that erasure does not reach', next: `ignore ${basename(path)}*, and take it out of the index`, run: `git rm --cached ${shellQuoted(basename(path))}` }
  if (await git('check-ignore', '-q', '--', basename(path))) return { name: 'git', status: 'ok', says: 'ignored' }
  return { name: 'git', status: 'warn', says: 'in a git repository and not ignored', next: `add ${basename(path)}* to .gitignore` }
}

