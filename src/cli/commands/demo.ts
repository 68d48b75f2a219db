// counterfoil demo: the whole product in ten seconds, in a folder of its own.

import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { MisuseError } from '../../base/errors.ts'
import { EXIT, type Context } from '../context.ts'
import { DEFAULT_PORT, parsePort, untilEnd } from './serve.ts'

/** Serves the trail of the demo with one key, which may do everything that a person may. */
async function serveDemo(ctx: Context, trail: string, home: string, port: number): Promise<void> {
  const { serveAll, sayServed } = await import('../demo/served.ts') // the server is not needed for the demo alone
  const served = await serveAll({ trail, home, port, report: (problem) => ctx.screen.note(String((problem as Error)?.message ?? problem)) })
  await sayServed(ctx, served)
  await untilEnd(ctx, served)
}

interface Options { keep?: string; approve?: 'yes' | 'no'; model?: string; scripted?: true; serve?: true; port: number }

export function demoCommand(program: Command, context: () => Context): void {
  program.command('demo')
    .description('watch an agent at work, then see, explain and verify its record, and tamper with copies')
    .option('--keep <dir>', 'do it in this new or empty folder, and leave everything there')
    .addOption(new Option('--approve <answer>', 'answer the approval in advance; without a terminal: no').choices(['yes', 'no']))
    .option('--model <id>', 'the model to ask, with ANTHROPIC_API_KEY set')
    .option('--scripted', 'the scripted model, even with ANTHROPIC_API_KEY set')
    .option('--serve', 'serve its trail over HTTP after that, until Ctrl-C')
    .option('--port <number>', 'the port to serve on; where it is taken, any free one', parsePort, DEFAULT_PORT)
    .addHelpText('after', `
With ANTHROPIC_API_KEY set a real model answers, which costs a little money. Without it
a scripted one does, on this machine; then nothing leaves it. Your own trails and keys
are not touched.

Exit code: 0 when everything came out as it should, else 1.

Examples:
  $ counterfoil demo
  $ counterfoil demo --approve yes --keep ./demo
  $ counterfoil demo --serve`)
    .action(async ({ keep, approve, model, scripted, serve, port }: Options) => {
      const ctx = context()
      const folder = keep === undefined ? mkdtempSync(join(tmpdir(), 'counterfoil-demo-')) : emptyFolder(resolve(ctx.cwd, keep))
      try {
        const [{ runDemo }, { library }] = await Promise.all([import('../demo/run.ts'), import('../open.ts')])
        const { surprises, trail, home } = await runDemo(ctx, {
          folder,
          library,
          apiKey: scripted ? undefined : ctx.env['ANTHROPIC_API_KEY'] || undefined,
          model,
          answer: approve,
          command: ctx.env['npm_lifecycle_event'] === undefined ? 'counterfoil' : 'npm run -s counterfoil --',
          kept: keep !== undefined,
          served: serve === true,
        })
        if (surprises.length > 0) ctx.exit = EXIT.tampering
        if (serve === true) await serveDemo(ctx, trail, home, port)
      } finally {
        if (keep === undefined) rmSync(folder, { recursive: true, force: true })
      }
    })
}

function emptyFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  if (readdirSync(path).length > 0) throw new MisuseError('folder_not_empty', `cli: expected a new or empty folder, and ${path} has something in it`, 'name another one')
  return path
}
