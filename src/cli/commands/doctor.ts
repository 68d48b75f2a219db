// counterfoil doctor: whether this machine keeps the trail as it should, and which files are what.

import { execFile } from 'node:child_process'
import { existsSync, lstatSync, readdirSync, statSync, statfsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Command } from 'commander'
import { VerifyError } from '../../base/errors.ts'
import { NETWORK_FILE_SYSTEMS } from '../../store/file-system.ts'
import type { TrailStatus } from '../api.ts'
import { trailPath, type Context } from '../context.ts'
import { bold, bytes, duration, green, grey, pad, plural, red, wrap, yellow, type Line, type Span } from '../terminal.ts'

/** One thing looked at. `next` is what to do about it. */
export interface Check { readonly name: string; readonly status: 'ok' | 'warn' | 'fail' | 'unknown'; readonly says: string; readonly next?: string }

/** A file of the trail. `keep`: what to do with it. */
export interface TrailFile { readonly path: string; readonly bytes: number; readonly keep: string }

export function doctorCommand(program: Command, context: () => Context): void {
  program.command('doctor')
    .description('check this machine, the files of the trail and who may read them')
    .addHelpText('after', `
Exit code: 0 nothing is wrong, 2 something must be put right.

Examples:
  $ counterfoil doctor
  $ counterfoil doctor --trail /var/lib/agent/audit.db --json`)
    .action(async () => {
      const ctx = context()
      const path = trailPath(ctx)
      const { checks, files } = await examine(ctx, path)
      if (checks.some(({ status }) => status === 'fail')) ctx.exit = 2
      if (ctx.json) ctx.screen.json({ trail: path, checks, files })
      else for (const line of doctorLines(path, checks, files, ctx.screen.columns)) ctx.screen.line(...line)
    })
}

async function examine(ctx: Context, path: string): Promise<{ checks: Check[]; files: TrailFile[] }> {
  const checks = [checkNode(process.versions.node), await checkSqlite()]
  if (!existsSync(path)) {
    return { checks: [...checks, { name: 'trail', status: 'warn', says: `there is none at ${path}`, next: 'nothing to do before the first agent runs; else name it with --trail PATH' }], files: [] }
  }
  const { check, status } = await open(ctx, path)
  checks.push(
    check, ...(status === undefined ? [] : [checkBacklog(status), checkWitness(status, ctx.now())]), checkFileSystem(path), checkMode('trail', path, 0o600), checkMode('folder', dirname(path), 0o755),
    ...(status === undefined ? [] : [checkMode('keys', status.keys, 0o700), checkApart(path, status.keys)]), await checkGit(path),
  )
  return { checks, files: filesOf(path, status) }
}

async function open(ctx: Context, path: string): Promise<{ check: Check; status?: TrailStatus }> {
  try {
    const trail = await ctx.open(path, 'read')
    try {
      const status = await trail.status()
      return { check: { name: 'trail', status: 'ok', says: `opens; ${plural(status.size, 'entry', 'entries')} · ${status.origin}` }, status }
    } finally {
      await trail.close()
    }
  } catch (error) {
    const next = (error as { next?: unknown }).next
    return {
      check: {
        name: 'trail', status: 'fail', says: `${error instanceof VerifyError ? 'evidence of tampering: ' : 'does not open: '}${error instanceof Error ? error.message : String(error)}`,
        ...(typeof next === 'string' && next !== '' ? {} : { next: 'counterfoil verify says more' }),
      },
    }
  }
}

export function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const fits = major > 22 || (major === 22 && minor >= 18)
  return fits ? { name: 'node', status: 'ok', says: version } : { name: 'node', status: 'fail', says: version, next: 'install Node 22.18 or newer' }
}

async function checkSqlite(): Promise<Check> {
  try {
    const { DatabaseSync } = await import('node:sqlite')
    using database = new DatabaseSync(':memory:')
    const row = database.prepare('SELECT sqlite_version() AS version').get()
    return { name: 'sqlite', status: 'ok', says: String(row?.['version']) }
  } catch (error) {
    return { name: 'sqlite', status: 'fail', says: `node:sqlite does not load: ${(error as Error).message}`, next: 'install a Node that has it: 22.18 or newer from nodejs.org' }
  }
}

export function checkBacklog({ spools, lost }: Pick<TrailStatus, 'spools' | 'lost'>): Check {
  const waiting = spools.reduce((sum, spool) => sum + spool.waiting, 0)
  if (lost > 0) return { name: 'spool', status: 'fail', says: `${plural(lost, 'event')} could not be kept; the log shows the gap`, next: "look for gaps: counterfoil sql \"SELECT * FROM audit_events WHERE event_type = 'gap'\"" }
  if (waiting === 0) return { name: 'spool', status: 'ok', says: 'nothing waits to be put into the log' }
  return { name: 'spool', status: 'warn', says: `${plural(waiting, 'event')} ${waiting === 1 ? 'waits' : 'wait'} in ${plural(spools.length, 'spool')}`, next: 'they are put into the log when an agent opens the trail again' }
}

export function checkWitness({ witnessed, size }: Pick<TrailStatus, 'witnessed' | 'size'>, now: number): Check {
  if (witnessed === null) return { name: 'witness', status: 'unknown', says: 'none: whoever holds the keys and this disk could rewrite what nobody looked at', next: 'keep checkpoints elsewhere: the verdict of counterfoil verify --json holds one' }
  const behind = size - witnessed.size
  return { name: 'witness', status: 'ok', says: `cosigned ${duration(Math.max(0, now - Date.parse(witnessed.at)))} ago; ${plural(behind, 'entry', 'entries')} since` }
}

function checkFileSystem(path: string): Check {
  if (process.platform !== 'linux') return { name: 'disk', status: 'unknown', says: 'whether this is a network file system is only looked at on Linux' }
  const { type, bavail, bsize } = statfsSync(path)
  const network = NETWORK_FILE_SYSTEMS.get(type < 0 ? type + 2 ** 32 : type)
  if (network !== undefined) return { name: 'disk', status: 'fail', says: `this is a network file system (${network}), which loses acknowledged rows`, next: 'move the trail to a local disk' }
  const free = bavail * bsize
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
  return { name: `${name} rights`, status: name === 'keys' ? 'fail' : 'warn', says: `${octal(mode)}: others may ${(excess & 0o022) !== 0 ? 'change' : 'read'} ${name === 'folder' ? 'what is in it' : 'it'}`, next: `chmod ${octal(mode & wanted)} ${path}` }
}

const octal = (mode: number): string => mode.toString(8).padStart(4, '0')

export function checkApart(path: string, keys: string): Check {
  const inside = `${keys}/`.startsWith(`${dirname(path)}/`)
  return inside
    ? { name: 'keys apart', status: 'warn', says: 'the keys lie in the folder of the database: one copy takes both, and erasure is not true in copies', next: 'set COUNTERFOIL_HOME to a folder elsewhere' }
    : { name: 'keys apart', status: 'ok', says: keys }
}

async function checkGit(path: string): Promise<Check> {
  const git = async (...args: string[]): Promise<boolean> => {
    try {
      await promisify(execFile)('git', ['-C', dirname(path), ...args], { timeout: 5000 })
      return true
    } catch {
      return false
    }
  }
  if (!(await git('rev-parse', '--is-inside-work-tree'))) return { name: 'git', status: 'ok', says: 'not in a git repository' }
  if (await git('ls-files', '--error-unmatch', '--', basename(path))) return { name: 'git', status: 'fail', says: 'the database is tracked by git: every commit is a copy that erasure does not reach', next: `git rm --cached ${basename(path)}, and ignore ${basename(path)}*` }
  if (await git('check-ignore', '-q', '--', basename(path))) return { name: 'git', status: 'ok', says: 'ignored' }
  return { name: 'git', status: 'warn', says: 'in a git repository and not ignored', next: `add ${basename(path)}* to .gitignore` }
}

/** What lies beside the database, and what may be done with it. Only looked at, never opened: an open database loses its locks to a reader. */
export function filesOf(path: string, status: TrailStatus | undefined): TrailFile[] {
  const part = (suffix: string, keep: string): TrailFile[] => (existsSync(path + suffix) ? [{ path: path + suffix, bytes: sizeOf(path + suffix), keep }] : [])
  return [
    ...part('', 'back up, with: VACUUM INTO or the backup of SQLite, never cp'),
    ...part('-wal', 'belongs to the database: never delete or copy alone'),
    ...part('-shm', 'made anew when needed; leave it while anything is open'),
    ...part('.spool', 'accepted events on their way into the log: never delete'),
    ...(status !== undefined && existsSync(status.keys) ? [{ path: status.keys, bytes: sizeOf(status.keys), keep: 'keys: back up apart from the database' }] : []),
  ]
}

function sizeOf(path: string): number {
  const stat = lstatSync(path)
  if (!stat.isDirectory()) return stat.size
  return readdirSync(path).reduce((sum, name) => sum + lstatSync(join(path, name)).size, 0)
}

export function doctorLines(path: string, checks: readonly Check[], files: readonly TrailFile[], columns: number): Line[] {
  const lines: Line[] = [[bold(path)], []]
  for (const { name, status, says, next } of checks) {
    const text = [...wrap(says, Math.max(20, columns - 26)), ...(next === undefined ? [] : wrap(`→ ${next}`, Math.max(20, columns - 26)))]
    lines.push(...text.map((part, i): Line => ['  ', i === 0 ? MARKS[status] : ' '.repeat(9), pad(i === 0 ? name : '', 15), status === 'unknown' ? grey(part) : part]))
  }
  if (files.length === 0) return lines
  lines.push([])
  for (const file of files) lines.push(['  ', pad(bytes(file.bytes), 9, 'right'), '  ', file.path], ['  ', ' '.repeat(11), grey(file.keep)])
  return lines
}

const MARKS: { readonly [status in Check['status']]: Span } = { ok: green('ok       '), warn: yellow('warning  '), fail: red('wrong    '), unknown: grey('unknown  ') }
