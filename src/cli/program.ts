// The counterfoil command: its verbs, its global options, and how every error becomes an exit code.

import { Command, CommanderError, type OutputConfiguration } from 'commander'
import { VerifyError } from '../base/errors.ts'
import { approvalsCommand, stopCommand } from './commands/approvals.ts'
import { archiveCommand } from './commands/archive.ts'
import { backupCommand } from './commands/backup.ts'
import { demoCommand } from './commands/demo.ts'
import { docsCommand } from './commands/docs.ts'
import { doctorCommand } from './commands/doctor.ts'
import { eraseCommand } from './commands/erase.ts'
import { findingsCommand } from './commands/findings.ts'
import { exportCommand } from './commands/export.ts'
import { initCommand } from './commands/init.ts'
import { keysCommand } from './commands/keys.ts'
import { openCommand } from './commands/open.ts'
import { peopleCommand } from './commands/people.ts'
import { proveCommand } from './commands/prove.ts'
import { restoreCommand } from './commands/restore.ts'
import { serveCommand } from './commands/serve.ts'
import { sessionsCommand } from './commands/sessions.ts'
import { showCommand } from './commands/show.ts'
import { sqlCommand } from './commands/sql.ts'
import { tailCommand } from './commands/tail.ts'
import { verifyCommand } from './commands/verify.ts'
import { whyCommand } from './commands/why.ts'
import { witnessCommand } from './commands/witness.ts'
import { EXIT, type Context } from './context.ts'
import { packageVersion } from './package.ts'
import { bold, red, safeJson, yellow } from './terminal.ts'

interface GlobalOptions { trail?: string; db?: string; purpose?: string; json?: true; color: boolean }

/** Runs the command line `args` (without node and script) and resolves with the exit code. `surroundings` is made once the global options are known. */
export async function run(args: readonly string[], surroundings: (options: { color: boolean; json: boolean; trail: string | undefined; purpose?: string | undefined }) => Context): Promise<number> {
  // Color is asked for before parsing: help and errors of the parser are printed by the same screen.
  const first = surroundings({ color: !args.includes('--no-color'), json: args.includes('--json'), trail: undefined })
  const made: { context?: Context } = {}
  const version = packageVersion()
  const program = build(() => made.context!, first.json ? safeJson({ version }) : version, {
    writeOut: (text) => first.screen.text(text),
    writeErr: (text) => first.json || note(first, text),
    getOutHelpWidth: () => Math.min(first.screen.columns, 100),
    getErrHelpWidth: () => Math.min(first.screen.columns, 100),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
    outputError: (text) => first.json || first.screen.note(red('counterfoil: '), text.trim().replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ')),
  })
  program.hook('preAction', (command) => {
    const { trail, db, purpose, json, color } = command.opts<GlobalOptions>()
    made.context = surroundings({ color, json: json === true, trail: trail ?? db, purpose })
  })
  try {
    await program.parseAsync(args, { from: 'user' })
    await (made.context ?? first).screen.drain()
    return made.context?.exit ?? EXIT.fine
  } catch (error) {
    const context = made.context ?? first
    await context.screen.drain()
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.fine
      if (first.json) tellJson(first, usageError(error, program, args))
      await first.screen.drain()
      return EXIT.failed
    }
    tell(context, error)
    await context.screen.drain()
    return error instanceof VerifyError ? EXIT.tampering : EXIT.failed
  }
}

/** The program with all its commands; `context` gives what an action runs in. `output` is where help and the parser's errors go. */
function build(context: () => Context, version: string, output: OutputConfiguration): Command {
  const program = new Command('counterfoil')
    .description('The audit trail for AI agents: what an agent did and why, provably unchanged.')
    .version(version, '-V, --version', 'show the version')
    .option('--trail <path>', 'the trail, a file or the URL of a server; default $COUNTERFOIL_URL, $COUNTERFOIL_DB, then ./agent_audit.db')
    .option('--db <path>', 'the same as --trail')
    .option('--purpose <text>', 'why you look at content of a server; it goes on record. Default $COUNTERFOIL_PURPOSE')
    .option('--json', 'for programs: one JSON value a line (docs cli)')
    .option('--no-color', 'no colours; there are none outside a terminal, and with NO_COLOR set')
    .helpOption('-h, --help', 'show help, with examples')
    .helpCommand('help [command]', 'show help for a command')
    .showHelpAfterError('(counterfoil --help)')
    .exitOverride()
    .configureOutput(output) // before the commands are added: they copy it
  program.commandsGroup('Start:')
  for (const add of [demoCommand, initCommand, doctorCommand, docsCommand]) add(program, context)
  program.commandsGroup('Look:')
  for (const add of [sessionsCommand, showCommand, tailCommand, whyCommand, findingsCommand, sqlCommand]) add(program, context)
  program.commandsGroup('Prove:')
  for (const add of [verifyCommand, exportCommand, openCommand, proveCommand, witnessCommand]) add(program, context)
  program.commandsGroup('Keep:')
  for (const add of [backupCommand, restoreCommand, archiveCommand, eraseCommand, keysCommand]) add(program, context)
  program.commandsGroup('Serve:')
  for (const add of [serveCommand, peopleCommand, approvalsCommand, stopCommand]) add(program, context)
  program.addHelpText('after', `
Exit code: 0 fine, 1 verify found tampering, 2 could not run, 3 whole but a
required property is not proved.

Examples:
  $ counterfoil demo                 see it all in ten seconds
  $ counterfoil show                 what the last session did
  $ counterfoil why '#21'            what led to the act in entry 21
  $ counterfoil verify               whether the record is whole and unchanged`)
  return program
}

/** An error for people: what was wrong and what to do next; with --json as one object. The stack only with COUNTERFOIL_DEBUG. */
function tell(context: Context, error: unknown): void {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  if (context.json) return tellJson(context, told(error))
  const [head = '', ...rest] = message.split('\n')
  context.screen.note(red('counterfoil: '), error instanceof VerifyError ? bold(head) : head)
  for (const line of rest) context.screen.note(line)
  if (context.env['COUNTERFOIL_DEBUG']) for (const line of (stack ?? '').split('\n')) context.screen.note(yellow(line))
}

/** An error with `--json`. `message` does not hold `next`. */
interface Told { readonly code: string; readonly message: string; readonly next: string }

function tellJson(context: Context, error: Told): void {
  context.screen.note(safeJson({ error }))
}

function told(error: unknown): Told {
  const { message, code, next } = (error instanceof Error ? error : new Error(String(error))) as Error & { code?: unknown; next?: unknown }
  if (typeof code === 'string' && typeof next === 'string' && next !== '') return { code, message: message.endsWith(`; ${next}`) ? message.slice(0, -next.length - 2) : message, next }
  return { code: typeof code === 'string' ? code : 'unexpected', message, next: 'set COUNTERFOIL_DEBUG=1 and run it again without --json: it shows where this comes from' }
}

/** What the parser refused: its codes are `commander.unknownOption`, ours `unknown_option`. */
function usageError({ code, message }: CommanderError, program: Command, args: readonly string[]): Told {
  const verb = program.commands.find((command) => args.includes(command.name()))?.name()
  const next = `counterfoil ${verb === undefined ? '' : `${verb} `}--help`
  if (code === 'commander.help') return { code: 'no_command', message: 'cli: expected a command, got none', next }
  const name = code.replace(/^commander\./, '').replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  return { code: name === 'error' ? 'bad_argument' : name, message: `cli: ${message.trim().replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ')}`, next }
}

function note(context: Context, text: string): void {
  for (const line of text.replace(/\n$/, '').split('\n')) context.screen.note(line)
}
