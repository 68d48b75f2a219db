// counterfoil archive: the log as files that a stranger's tools can read and check, brought up to date each time.

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { withTrail, type Context } from '../context.ts'
import { bold, count, green, grey, plural, wrap } from '../terminal.ts'
import { progressLine } from './verify.ts'

const WITHOUT = 'the keys to the sealed content are not in it: without them it proves what happened and in which order, and shows no content'

export function archiveCommand(program: Command, context: () => Context): void {
  program.command('archive')
    .description('write the log to a folder that anybody can verify without keys; again to add what is new')
    .argument('<folder>', 'where; made if it is not there')
    .addHelpText('after', `
The folder is in the format of C2SP tlog-tiles: checkpoint, tile/…; sealed content
is beside it under segment/. A run that was stopped is simply made again. It refuses
to write over another log's archive, over a larger one, or over one that this log
does not continue. Keys are not in it: keep those apart.

Examples:
  $ counterfoil archive /mnt/archive/support
  $ counterfoil verify /mnt/archive/support --key "$(cat log.pub)"`)
    .action(async (folder: string) => {
      const ctx = context()
      await withTrail(ctx, 'read', async (trail) => {
        const path = resolve(ctx.cwd, folder)
        const archived = await trail.archive(path, { progress: progressLine(ctx, 'archiving') })
        ctx.screen.progress('')
        if (ctx.json) return ctx.screen.json({ folder: path, ...archived })
        const { from, size, files, segments } = archived
        const what = size === from ? 'nothing new in' : `${from === 0 ? '' : `${count(size - from)} new of `}${plural(size, 'entry', 'entries')} in`
        ctx.screen.line(green('archived'), ' ', bold(what), ` ${path} · ${plural(files, 'file')} written, ${count(segments)} of them sealed content`)
        for (const line of wrap(WITHOUT, ctx.screen.columns - 2)) ctx.screen.line('  ', grey(line))
      })
    })
}
