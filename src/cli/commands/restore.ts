// counterfoil restore: a trail out of a backup folder, verified before it is there.

import { existsSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { trailPath, type Context } from '../context.ts'
import { bold, count, green, grey, plural, wrap, yellow } from '../terminal.ts'
import { progressLine } from './verify.ts'

export function restoreCommand(program: Command, context: () => Context): void {
  program.command('restore')
    .description('make a trail out of a backup or an archive; overwrites nothing, and verifies it first')
    .argument('<folder>', 'a folder that counterfoil backup or counterfoil archive wrote')
    .option('--secrets <backup>', 'a backup of the same log: opens the content of an archive, which has no secrets')
    .addHelpText('after', `
The trail is made at --trail, where nothing may be yet; the keys go to the state
folder unless this machine has them. Nothing is there before everything was
verified; a run that was stopped is simply made again. Erasures made after the
backup are undone by it: make them again. From an archive without --secrets the log
comes back with its content sealed: proved, and not to be read. For keys under a
passphrase it asks, or takes $COUNTERFOIL_PASSPHRASE, and for those in the backup,
if theirs is another, $COUNTERFOIL_BACKUP_PASSPHRASE.

Examples:
  $ counterfoil restore /mnt/backup/2026-11-21 --trail ./agent_audit.db
  $ counterfoil verify --trail ./agent_audit.db`)
    .action(async (folder: string, { secrets }: { secrets?: string }) => {
      const ctx = context()
      const { restoreTrail } = await import('../restored.ts')
      const [from, path] = [resolve(ctx.cwd, folder), trailPath(ctx)]
      const done = await restoreTrail(from, path, { ctx, progress: progressLine(ctx, 'verifying'), ...(secrets === undefined ? {} : { secrets: resolve(ctx.cwd, secrets) }) })
      ctx.screen.progress('')
      const { origin, size, from: kind, made_at, keys, signed, behind, opened, sealed } = done
      if (ctx.json) return ctx.screen.json({ trail: path, from: kind, origin, size, made_at: made_at ?? null, keys, opened: opened ?? null, sealed: sealed ?? null, signed: signed ?? null, can_append: keys !== 'none' && behind === null })
      ctx.screen.line(green('restored'), ' ', bold(plural(size, 'entry', 'entries')), ` to ${path} · verified`)
      const say = (text: string, style: typeof grey): void => { for (const line of wrap(text, ctx.screen.columns - 2)) ctx.screen.line('  ', style(line)) }
      if (made_at !== undefined) say(`the backup was made ${made_at}; what was recorded after that is not in it`, grey)
      say(KEYS_SAY[keys], grey)
      const { status, says } = done.verdict.properties.payloads
      if (kind === 'backup' && keys !== 'none' && status !== 'proved') say(says, yellow)
      if (sealed !== undefined && sealed > 0) say(`${plural(sealed, 'payload')} cannot be opened: an archive has no secrets, and ${secrets === undefined ? 'none were given (--secrets BACKUP)' : 'the backup is from before their sessions began'}`, yellow)
      if (behind !== null) {
        say(`nothing can be added to it: ${behind.message}`, yellow)
        say(`→ ${behind.next}`, yellow)
      } else if (keys !== 'none') say(`if this log recorded more than these ${count(size)} entries anywhere, do not go on with it; begin one that names it: counterfoil init --continues`, grey)
      if (kind === 'backup') say('what was erased after the backup is back: erase it again', grey)
      if (existsSync(`${path}.spool`) && readdirSync(`${path}.spool`).length > 0) say(`${path}.spool is there: what it holds and the log lacks is put into it when the trail is next opened`, grey)
    })
}

const KEYS_SAY = {
  restored: 'the keys were restored with it, from the backup',
  here: 'under the keys that this machine has',
  none: 'without keys: facts can be read and verified; content and appending need the keys',
} as const
