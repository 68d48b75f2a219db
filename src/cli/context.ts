// What a command runs in: where its lines go, what the user asked for in global options, and how it opens a trail. Tests make
// one of their own; nothing below reads `process` by itself.

import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MisuseError, StoreError } from '../base/errors.ts'
import { stateHome } from '../vault/paths.ts'
import type { CliTrail, OpenMode } from './api.ts'
import { grey, plural, render, safeJson, type Line } from './terminal.ts'

/** Exit codes of every command (docs/cli.md). */
export const EXIT = { fine: 0, tampering: 1, failed: 2, not_proved: 3 } as const

export interface Context {
  readonly env: { readonly [name: string]: string | undefined }
  readonly cwd: string
  readonly now: () => number
  readonly screen: Screen
  /** a person sits at both ends: stdin and stdout are terminals */
  readonly interactive: boolean
  readonly json: boolean
  /** what `--trail` said, if anything */
  readonly trail: string | undefined
  /** what `--purpose` said: why content of a server is looked at */
  readonly purpose?: string | undefined
  /** Opens the trail at a path, or at the URL of a server. */
  readonly open: (place: string, mode: OpenMode) => Promise<CliTrail>
  /** Asks yes or no; no when the question is left. Only where `interactive`. */
  readonly confirm: (question: string) => Promise<boolean>
  /** Asks for a secret, not shown while it is typed; undefined when the question is left. Only where `interactive`. */
  readonly secret: (question: string) => Promise<string | undefined>
  /** Says `message` and waits for Enter. Only where `interactive`. */
  readonly pause: (message: string) => Promise<void>
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  exit: number
}

/** Where a command's lines go: results to standard output, the rest to standard error. */
export interface Screen {
  readonly columns: number
  readonly color: boolean
  line(...line: Line): void
  note(...line: Line): void
  /** Text that has lines of its own, as a shell prompt's answer: every line is made visible, none is cut. */
  text(text: string): void
  json(value: unknown): void
  /** Replaced in place on a terminal, not shown elsewhere. An empty one takes it away. */
  progress(text: string): void
  /** Resolves when what was said so far is written. Long lists await it now and then. */
  drain(): Promise<void>
}

/** A screen on two sinks. `write` and `writeError` resolve when the stream takes more. */
export function makeScreen(options: { columns: number; color: boolean; errorColumns: number; errorColor: boolean; errorIsTerminal: boolean; write: (text: string) => Promise<void> | void; writeError: (text: string) => Promise<void> | void }): Screen {
  let pending: Promise<void> = Promise.resolve()
  let buffer = ''
  let shown = false
  const flush = (): void => {
    if (buffer === '') return
    const text = buffer
    buffer = ''
    pending = pending.then(() => options.write(text))
  }
  const say = (text: string): void => {
    buffer += `${text}\n`
    if (buffer.length > 65_536) flush()
  }
  const sayError = (text: string): void => {
    flush()
    pending = pending.then(() => options.writeError(text))
  }
  const clear = (before: boolean): string => (before ? '\r\u001b[2K' : '')
  return {
    columns: options.columns,
    color: options.color,
    line: (...line) => say(render(line, options)),
    note: (...line) => {
      sayError(`${clear(shown)}${render(line, { color: options.errorColor, columns: Infinity })}\n`)
      shown = false
    },
    text: (text) => {
      for (const line of text.replace(/\n$/, '').split('\n')) say(render([line], { color: false, columns: Infinity }))
    },
    json: (value) => say(safeJson(value)),
    progress: (text) => {
      if (!options.errorIsTerminal || (text === '' && !shown)) return
      sayError(clear(true) + render([text], { color: false, columns: Math.max(1, options.errorColumns - 1) }))
      shown = text !== ''
    },
    drain: () => {
      flush()
      return pending
    },
  }
}

/** Where the trail is: a path, or the URL of a server, as it was named. Out of `--trail`, `$COUNTERFOIL_URL`, `$COUNTERFOIL_DB`, `./agent_audit.db`. */
export function trailPlace(context: Context): string {
  const { env, trail } = context
  const asked = trail ?? (env['COUNTERFOIL_URL'] || env['COUNTERFOIL_DB'] || 'agent_audit.db')
  if (isServer(asked)) return asked
  const from = trail !== undefined ? '--trail' : env['COUNTERFOIL_URL'] ? '$COUNTERFOIL_URL' : '$COUNTERFOIL_DB'
  if (/^file:/i.test(asked)) return pathOfUrl(asked, from)
  // no more of it than the scheme: there may be a password in it
  const [scheme] = /^[a-z][a-z0-9+.-]+:\/\//i.exec(asked) ?? []
  if (scheme !== undefined) throw new MisuseError('trail_url', `cli: ${from} is an URL that begins with ${scheme}, expected https:// or a path`, 'name a server by its https URL, a file with --trail PATH')
  return resolve(context.cwd, asked)
}

/** The file that the trail is in. MisuseError where it is on a server. */
export function trailPath(context: Context): string {
  const place = trailPlace(context)
  if (isServer(place)) throw new MisuseError('not_remote', `cli: the trail is on a server, ${trailName(place)}, and this command works where its file is`, 'run it there, or name a file here with --trail PATH')
  return place
}

/** Whether a trail is named by the URL of a server. */
export function isServer(place: string): boolean {
  return /^https?:\/\//i.test(place)
}

/** The path of a `file:` URL. What the URL has besides would be lost in it: `#1.db` is a part of a name only as `%231.db`. */
function pathOfUrl(text: string, from: string): string {
  try {
    const url = new URL(text)
    if (/^file:\//i.test(text) && url.search === '' && url.hash === '') return fileURLToPath(url)
  } catch {
    // no URL, or of another machine's file
  }
  throw new MisuseError('trail_url', `cli: ${from} is ${text}, expected file:///PATH without a host, ? or #`, 'name the file with --trail PATH; in a URL # is %23 and ? is %3F')
}

/** Opens the trail for `run` and closes it whatever happens. A missing database is an error, never a new one, unless a dead process left its beginning in a spool. */
export async function withTrail<R>(context: Context, mode: Exclude<OpenMode, 'create'>, run: (trail: CliTrail, place: string) => Promise<R>): Promise<R> {
  const place = trailPlace(context)
  const remote = isServer(place)
  if (!remote && context.purpose !== undefined) throw new MisuseError('purpose_for_what', 'cli: --purpose goes with a server, which puts on record who reads what, got a file', 'leave it out: whoever holds the file and its keys reads it unseen')
  const trail = remote || existsSync(place) ? await context.open(place, mode) : await recovered(context, place)
  try {
    return await run(trail, place)
  } finally {
    await trail.close()
  }
}

/** Says in a line why content of a server is not shown, and how to see it. */
export async function noteWithheld({ screen, json }: Context, trail: CliTrail): Promise<void> {
  const says = json ? undefined : await trail.withheld?.()
  if (says !== undefined) screen.note(grey(says))
}

/** The trail that a process which is gone would have made: what it left in its spool, put into a log, and said so. */
async function recovered(context: Context, path: string): Promise<CliTrail> {
  const { leftBehind, LEFT_NEXT } = await import('./spools.ts') // not needed for --help
  const { spools, events, why } = leftBehind(path, stateHome({ platform: process.platform, env: context.env, home: homedir() }))
  if (spools === 0) throw noTrail(context, path)
  if (why !== undefined) throw new StoreError('not_drained', `cli: there is no trail at ${path}, and ${path}.spool holds what an agent recorded`, LEFT_NEXT[why])
  const trail = await context.open(path, 'create')
  context.screen.note(`made ${path}, and put into it what a process that is gone left in ${path}.spool: ${plural(events, 'event')}`)
  return trail
}

function noTrail({ trail, env }: Context, path: string): MisuseError {
  const named = trail !== undefined || env['COUNTERFOIL_DB']
  return new MisuseError('no_trail', `cli: there is no trail at ${path}`, named
    ? 'check the path; nothing was created'
    : `run this in the agent's folder, name the file with --trail PATH or $COUNTERFOIL_DB, or see one made: counterfoil demo --keep ./demo`)
}

/** The name of a file, or host and path of a server. */
export function trailName(place: string): string {
  if (!isServer(place)) return basename(place)
  if (!URL.canParse(place)) return 'an URL that cannot be read'
  const { host, pathname } = new URL(place)
  return `${host}${pathname.replace(/\/+$/, '')}`
}
