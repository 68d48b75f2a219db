// counterfoil backup: a folder from which the log, its content and its keys come back.

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { withTrail, type Context } from '../context.ts'
import { bold, bytes, green, grey, plural, wrap, yellow } from '../terminal.ts'

export function backupCommand(program: Command, context: () => Context): void {
  program.command('backup')
    .description('write a copy from which the log, its content and its keys come back, while agents go on')
    .argument('<folder>', 'a new or empty folder, one for each backup')
    .option('--no-keys', 'leave the keys out: nothing in it can be opened or continued without them')
    .addHelpText('after', `
In it: the database, the keys, the signed checkpoint, a manifest, a README. Whoever
holds it can read everything and sign as the log: encrypt it, keep it apart. What
agents accepted a moment ago and did not put into the log yet is not in it. A folder
with a file INCOMPLETE is not whole.

Examples:
  $ counterfoil backup /mnt/backup/2026-11-21
  $ counterfoil verify /mnt/backup/2026-11-21
  $ counterfoil restore /mnt/backup/2026-11-21 --trail ./restored.db`)
    .action(async (to: string, { keys }: { keys: boolean }) => {
      const ctx = context()
      await withTrail(ctx, 'read', async (trail) => {
        const folder = resolve(ctx.cwd, to)
        const done = await trail.backup(folder, { keys })
        if (ctx.json) return ctx.screen.json({ folder, ...done })
        ctx.screen.line(green('backed up'), ' ', bold(plural(done.size, 'entry', 'entries')), ` to ${folder} · ${plural(done.files, 'file')}, ${bytes(done.bytes)}`)
        if (done.waiting > 0) ctx.screen.line('  ', yellow(`${plural(done.waiting, 'event')} that a running agent has accepted and not put into the log yet ${done.waiting === 1 ? 'is' : 'are'} not in it`))
        const say = keys ? `the keys are in it${done.elsewhere ? ', but the one that signs, which is kept elsewhere' : ''}: whoever holds it${done.protected ? ' and has the passphrase' : ''} can read everything${done.elsewhere ? '' : ' and sign as this log'}` : 'the keys are not in it: without them its content cannot be opened, and nothing can be added'
        for (const line of wrap(say, ctx.screen.columns - 2)) ctx.screen.line('  ', grey(line))
      })
    })
}
