// counterfoil doctor: whether this machine keeps the trail as it should, and which files are what.

import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { MisuseError, VerifyError } from '../../base/errors.ts'
import { stateHome } from '../../vault/paths.ts'
import type { TrailStatus } from '../api.ts'
import {
  checkApart, checkBacklog, checkClock, checkFileSystem, checkFolder, checkGit, checkHistory, checkMode, checkNode, checkSpool, checkSqlite, checkState, checkWitness, sqliteVersion, type Check,
} from '../checks.ts'
import { checkServer } from '../server-checks.ts'
import { isServer, trailPlace, type Context } from '../context.ts'
import { bytes, green, grey, pad, plural, red, whole, width, wrap, yellow, type Line, type Span } from '../terminal.ts'

/** A file of the trail. `keep`: what to do with it. */
export interface TrailFile { readonly path: string; readonly bytes: number; readonly keep: string }

export function doctorCommand(program: Command, context: () => Context): void {
  program.command('doctor')
    .description('check this machine, the files of the trail and who may read them; or a server')
    .argument('[url]', 'a server, asked from here; its key in $COUNTERFOIL_KEY')
    .addHelpText('after', `
Exit code: 0 nothing is wrong, 2 something must be put right.

Examples:
  $ counterfoil doctor
  $ counterfoil doctor --trail /var/lib/agent/audit.db --json
  $ counterfoil doctor https://audit.example.com`)
    .action(async (url: string | undefined) => {
      const ctx = context()
      const path = url ?? trailPlace(ctx)
      if (url !== undefined || isServer(path)) return doctorServer(ctx, path)
      const { checks, files } = await examine(ctx, path)
      if (checks.some(({ status }) => status === 'fail')) ctx.exit = 2
      if (ctx.json) ctx.screen.json({ trail: path, checks, files })
      else for (const line of doctorLines(path, checks, files, ctx.screen.columns)) ctx.screen.line(...line)
    })
}

async function doctorServer(ctx: Context, text: string): Promise<void> {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') throw new MisuseError('bad_url', `cli: expected the URL of a server, got ${JSON.stringify(text.slice(0, 100).replace(/^.*@/s, '…@'))}`, 'https://HOST without a name and password; a file is named with --trail PATH')
  const checks = await checkServer(url, ctx.env['COUNTERFOIL_KEY'] || undefined, ctx.now)
  if (checks.some(({ status }) => status === 'fail')) ctx.exit = 2
  if (ctx.json) ctx.screen.json({ server: url.href, checks })
  else for (const line of doctorLines(url.href, checks, [], ctx.screen.columns)) ctx.screen.line(...line)
}

async function examine(ctx: Context, path: string): Promise<{ checks: Check[]; files: TrailFile[] }> {
  const home = homeOf(ctx)
  const machine = [checkNode(process.versions.node), checkSqlite(await sqliteVersion())]
  const place = [checkFolder(dirname(path)), checkFileSystem(dirname(path)), checkMode('folder', dirname(path), 0o755)]
  if (!existsSync(path)) {
    const none: Check = { name: 'trail', status: 'warn', says: `there is none at ${path}`, next: 'nothing to do before the first agent runs; else name it with --trail PATH' }
    const keys = typeof home === 'string' ? [checkSpool(path, home), ...checkState(home), checkApart(path, home)] : [home]
    return { checks: [...machine, checkClock(ctx.now()), none, ...place, ...keys, await checkGit(path)], files: filesOf(path, undefined) }
  }
  const { check, status, recorded_at } = await open(ctx, path)
  const trail = status === undefined ? [] : [checkHistory(status), ...checkBacklog(status, ctx.now()), checkWitness(status, ctx.now())]
  const keys = [...(typeof home === 'string' ? checkState(home) : [home]), ...(status === undefined ? [] : [checkMode('keys', status.keys, 0o700), checkApart(path, status.keys)])]
  return { checks: [...machine, checkClock(ctx.now(), recorded_at), check, ...trail, ...place, checkMode('trail', path, 0o600), ...keys, await checkGit(path)], files: filesOf(path, status) }
}

/** The state folder, or what is wrong with where it should be. */
function homeOf({ env }: Context): string | Check {
  try {
    return stateHome({ platform: process.platform, env, home: homedir() })
  } catch (error) {
    return { name: 'state', status: 'fail', says: (error as Error).message, next: 'set COUNTERFOIL_HOME to an absolute path' }
  }
}

async function open(ctx: Context, path: string): Promise<{ check: Check; status?: TrailStatus; recorded_at?: string }> {
  try {
    const trail = await ctx.open(path, 'read')
    try {
      const status = await trail.status()
      const [newest] = await trail.newest(1)
      return { check: { name: 'trail', status: 'ok', says: `opens; ${plural(status.size, 'entry', 'entries')} · ${status.origin}` }, status, ...(newest === undefined ? {} : { recorded_at: newest.recorded_at }) }
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

/** What lies beside the database, and what may be done with it. Only looked at, never opened: an open database loses its locks to a reader. */
export function filesOf(path: string, status: TrailStatus | undefined): TrailFile[] {
  const part = (suffix: string, keep: string): TrailFile[] => (existsSync(path + suffix) ? [{ path: path + suffix, bytes: sizeOf(path + suffix), keep }] : [])
  return [
    ...part('', "back up with counterfoil backup, never cp"),
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
  const lines: Line[] = [[whole(path, 'bold')], []]
  for (const { name, status, says, next, run } of checks) {
    const text = [...copyable(says, columns), ...(next === undefined ? [] : copyable(`→ ${next}`, columns))]
    lines.push(...text.map((part, i): Line => ['  ', i === 0 ? MARKS[status] : ' '.repeat(9), pad(i === 0 ? name : '', 15), status === 'unknown' ? { ...part, style: 'grey' } : part]))
    if (run !== undefined) lines.push([' '.repeat(26), whole(run)])
  }
  if (files.length === 0) return lines
  lines.push([])
  for (const file of files) lines.push(['  ', pad(bytes(file.bytes), 9, 'right'), '  ', whole(file.path)], ...wrap(file.keep, columns - 13).map((part): Line => [' '.repeat(13), grey(part)]))
  return lines
}

/** `text` in lines; a path or a name that is wider than the column has a line of its own, in one piece. */
function copyable(text: string, columns: number): Span[] {
  const room = Math.max(20, columns - 26)
  const lines: Span[] = []
  let prose = ''
  const end = (): void => {
    if (prose.trim() !== '') lines.push(...wrap(prose.trimEnd(), room).map((part) => ({ text: part })))
    prose = ''
  }
  for (const word of text.split(/(?<= )/)) {
    if (width(word.trimEnd()) <= room) {
      prose += word
      continue
    }
    end()
    lines.push(whole(word.trimEnd()))
  }
  end()
  return lines
}

const MARKS: { readonly [status in Check['status']]: Span } = { ok: green('ok       '), warn: yellow('warning  '), fail: red('wrong    '), unknown: grey('unknown  ') }
