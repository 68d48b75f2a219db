// counterfoil witness: being a C2SP witness for other people's logs, and asking witnesses about this one.

import { InvalidArgumentError, type Command } from 'commander'
import { resolve } from 'node:path'
import { readPolicyText } from '../../ledger/policy-file.ts'
import { parsePolicy, type Policy } from '../../log/policy.ts'
import { serveWitness } from '../../witness/server.ts'
import { createWitnessKey, readWitnessKey, WitnessState } from '../../witness/state.ts'
import { Witness, type Answer } from '../../witness/witness.ts'
import { EXIT, withTrail, type Context } from '../context.ts'
import { green, grey, plural, red, wrap, yellow } from '../terminal.ts'

export function witnessCommand(program: Command, context: () => Context): void {
  const witness = program.command('witness')
    .description('remember the last checkpoint of logs and cosign what continues it; or ask witnesses to')
    .addHelpText('after', `
A witness is run by somebody else than the log, on another machine. Whoever rewrites
or cuts off a log that it has seen gets no cosignature any more (docs witness).

Examples:
  $ counterfoil witness key --state ./witness --name witness.example.com/w1
  $ counterfoil witness serve --state ./witness --log "$VKEY" --port 7380
  $ counterfoil witness submit --policy policy.txt
  $ counterfoil verify --policy policy.txt --require witnessed`)

  witness.command('key')
    .description("print a witness's verifier key; with --name make it first")
    .requiredOption('--state <dir>', 'the folder of the witness')
    .option('--name <name>', 'for a new key: host and path, like witness.example.com/w1')
    .action(({ state, name }: { state: string; name?: string }) => {
      const ctx = context()
      const folder = resolve(ctx.cwd, state)
      const { vkey } = name === undefined ? readWitnessKey(folder) : createWitnessKey(folder, name)
      if (ctx.json) ctx.screen.json({ vkey, folder })
      else ctx.screen.text(vkey)
    })

  witness.command('serve')
    .description('answer logs over HTTP until Ctrl-C')
    .requiredOption('--state <dir>', 'the folder of the witness, with its key')
    .requiredOption('--log <vkey...>', 'verifier keys of the logs that may come: counterfoil keys prints one')
    .option('--port <number>', 'the port', parsePort, 7380)
    .option('--host <address>', 'the address to listen on', '127.0.0.1')
    .action(async ({ state: folder, log, port, host }: { state: string; log: string[]; port: number; host: string }) => {
      const ctx = context()
      const path = resolve(ctx.cwd, folder)
      const key = readWitnessKey(path)
      const state = WitnessState.open(path)
      try {
        const served = new Witness(state, key, log, ctx.now)
        const server = await serveWitness(served, { port, host, onAnswer: (answer) => tellAnswer(ctx, answer), onError: (error) => ctx.screen.note(red('failed: '), String((error as Error).message)) })
        if (ctx.json) ctx.screen.json({ url: server.url, vkey: key.vkey, logs: served.origins })
        else ctx.screen.text(`${server.url} witnesses ${plural(served.origins.length, 'log')}`)
        await ctx.screen.drain()
        await aborted(ctx.signal)
        await server.close()
      } finally {
        state.close()
      }
    })

  witness.command('submit')
    .description("have the policy's witnesses cosign the trail's newest checkpoint, and keep what they sign")
    .requiredOption('--policy <file>', 'a C2SP tlog-policy with the URLs of its witnesses')
    .option('--timeout <ms>', 'for each request', parseTimeout, 10_000)
    .addHelpText('after', `
Exit code: 0 the policy is satisfied, 1 a witness saw another history of this log,
2 could not run, 3 too few witnesses cosigned just now.`)
    .action(async ({ policy: file, timeout }: { policy: string; timeout: number }) => {
      const ctx = context()
      const policy = readPolicy(ctx, file)
      await withTrail(ctx, 'read', async (trail) => {
        const report = await trail.cosign(policy, timeout)
        const alarm = report.asked.some(({ error }) => error?.alarm === true)
        ctx.exit = alarm ? EXIT.tampering : report.satisfied ? EXIT.fine : EXIT.not_proved
        if (ctx.json) return ctx.screen.json({ ...report, exit_code: ctx.exit })
        for (const { name, time, error } of report.asked) {
          const says = error === undefined ? `cosigned at ${new Date(time! * 1000).toISOString()}` : `${error.message}; ${error.next}`
          const color = error === undefined ? green : error.alarm ? red : yellow
          wrap(`${name}: ${says}`, Math.max(20, ctx.screen.columns - 2)).forEach((part) => ctx.screen.line('  ', color(part)))
        }
        ctx.screen.line(report.satisfied ? green('satisfied') : yellow('not satisfied'), grey(`: ${plural(report.witnesses.length, 'witness', 'witnesses')} of ${plural(report.organisations, 'organisation')}, ${plural(report.size, 'entry', 'entries')}`))
      })
    })
}

/** The policy in a file. MisuseError where it is none. */
export function readPolicy(ctx: Context, file: string): Policy {
  return parsePolicy(readPolicyText(resolve(ctx.cwd, file)))
}

/** Refusals of a known log's signed checkpoints are what somebody should look at. */
function tellAnswer(ctx: Context, answer: Answer): void {
  if (answer.status === 200) ctx.screen.note(grey(`cosigned ${plural(answer.head.size, 'entry', 'entries')} of ${answer.head.origin}`))
  else if (answer.status === 422) ctx.screen.note(red('refused: '), `${answer.origin} sent a signed checkpoint that does not continue the last one: ${answer.says}`)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done()
    else signal.addEventListener('abort', () => done(), { once: true })
  })
}

function parsePort(text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError('Expected a port, 0 to 65535.')
  return port
}

function parseTimeout(text: string): number {
  const ms = Number(text)
  if (!/^\d{1,6}$/.test(text) || ms < 1) throw new InvalidArgumentError('Expected milliseconds, 1 to 999999.')
  return ms
}
