// What a command runs in: where its lines go, what the user asked for in global options, and how it opens a trail. Tests make
// one of their own; nothing below reads `process` by itself.

import { existsSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { MisuseError, StoreError } from '../base/errors.ts'
import { listSpools } from '../spool/folder.ts'
import type { CliTrail, OpenMode } from './api.ts'
import { render, safeJson, type Line } from './terminal.ts'

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
  readonly open: (path: string, mode: OpenMode) => Promise<CliTrail>
  /** Asks yes or no; no when the question is left. Only where `interactive`. */
  readonly confirm: (question: string) => Promise<boolean>
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

/** Where the trail is: `--trail`, `$COUNTERFOIL_URL`, `$COUNTERFOIL_DB`, `./agent_audit.db`. */
export function trailPath(context: Context): string {
  const { env, trail } = context
  const asked = trail ?? (env['COUNTERFOIL_URL'] || env['COUNTERFOIL_DB'] || 'agent_audit.db')
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(asked) && !asked.startsWith('file://')) {
    const from = trail === undefined ? '$COUNTERFOIL_URL is' : '--trail is'
    throw new MisuseError('trail_url', `cli: ${from} ${asked}, expected the path of a database`, 'servers come later; name a file with --trail PATH')
  }
  return resolve(context.cwd, asked.startsWith('file://') ? new URL(asked).pathname : asked)
}

/** Opens the trail for `run` and closes it whatever happens. A missing database is an error, never a new one. */
export async function withTrail<R>(context: Context, mode: Exclude<OpenMode, 'create'>, run: (trail: CliTrail, path: string) => Promise<R>): Promise<R> {
  const path = trailPath(context)
  if (!existsSync(path) && listSpools(`${path}.spool`).length > 0) {
    throw new StoreError('not_drained', `cli: there is no trail at ${path} yet, and ${path}.spool holds what an agent recorded before it ended`, 'open the trail once from code: openTrail puts it into the log')
  }
  if (!existsSync(path)) {
    const named = context.trail !== undefined || context.env['COUNTERFOIL_DB']
    throw new MisuseError('no_trail', `cli: there is no trail at ${path}`, named
      ? 'check the path; nothing was created'
      : `run this in the agent's folder, name the file with --trail PATH or $COUNTERFOIL_DB, or see one made: counterfoil demo --keep ./demo`)
  }
  const trail = await context.open(path, mode)
  try {
    return await run(trail, path)
  } finally {
    await trail.close()
  }
}

export function trailName(path: string): string {
  return basename(path)
}
