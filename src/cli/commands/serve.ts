// counterfoil serve: the trail for a team, over HTTP, until Ctrl-C.

import { InvalidArgumentError, type Command } from 'commander'
import { resolve } from 'node:path'
import type { Served } from '../../server/serve.ts'
import { packageVersion } from '../package.ts'
import { trailPath, type Context } from '../context.ts'
import { grey, red, whole } from '../terminal.ts'

export const DEFAULT_PORT = 4180

interface Options { port: number; host: string; data?: string }

export function serveCommand(program: Command, context: () => Context): void {
  program.command('serve')
    .description('serve the trail over HTTP until Ctrl-C: agents append, people look')
    .option('--port <number>', 'the port', parsePort, DEFAULT_PORT)
    .option('--host <address>', 'the address to listen on', '127.0.0.1')
    .option('--data <dir>', "the folder of people and keys; default beside the trail, PATH.server")
    .addHelpText('after', `
The first start makes an admin and prints their key, once. TLS is the work of a
reverse proxy (docs operate).

Examples:
  $ counterfoil serve
  $ counterfoil serve --trail /var/lib/counterfoil/audit.db --port 4180`)
    .action(async ({ port, host, data }: Options) => {
      const ctx = context()
      const { serve } = await import('../../server/serve.ts')
      const trail = trailPath(ctx)
      const served = await serve({
        trail, port, host, version: packageVersion(), ...(data === undefined ? {} : { data: resolve(ctx.cwd, data) }),
        report: (problem) => ctx.screen.note(red('serve: '), String((problem as Error)?.message ?? problem)),
      })
      if (ctx.json) ctx.screen.json({ url: served.url, trail, ...(served.firstKey === undefined ? {} : { key: served.firstKey }) })
      else {
        ctx.screen.line(whole(served.url), grey(' serves '), whole(trail))
        if (served.firstKey !== undefined) ctx.screen.line('first key ', whole(served.firstKey), grey('  an admin\'s, shown once'))
      }
      await untilEnd(ctx, served)
    })
}

/** Until Ctrl-C, or until a service manager ends it; then what was accepted is answered. */
export async function untilEnd(ctx: Context, served: Served): Promise<void> {
  await ctx.screen.drain()
  const ended = Promise.withResolvers<void>()
  const end = (): void => ended.resolve()
  process.once('SIGTERM', end)
  ctx.signal.addEventListener('abort', end, { once: true })
  if (ctx.signal.aborted) end()
  await ended.promise
  process.off('SIGTERM', end)
  await served.close()
}

/** A port, as an option says it. */
export function parsePort(text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError('Expected a port, 0 to 65535.')
  return port
}
