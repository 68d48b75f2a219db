// counterfoil erase: destroys the keys to what was said, and keeps the proof that it was said.

import type { Command } from 'commander'
import { MisuseError } from '../../base/errors.ts'
import { withTrail, type Context } from '../context.ts'
import { findSession } from '../find.ts'
import { quoteUnlessPlain } from '../summary.ts'
import { bold, green, grey, plural, shortId, wrap } from '../terminal.ts'

interface Options { user?: string; subject?: string; reason: string; legalBasis?: string; yes?: true }

export function eraseCommand(program: Command, context: () => Context): void {
  program.command('erase')
    .description('erase the content of a session, or of a person wherever it is theirs; every proof still verifies')
    .argument('[session]', 'id, its beginning or end, #INDEX of one of its events, or last')
    .option('--user <id>', 'what is of this person, in every session')
    .option('--subject <id>', 'only what is of this person in the session')
    .requiredOption('--reason <text>', 'why; it goes on record')
    .option('--legal-basis <text>', 'the legal basis; it goes on record')
    .option('--yes', 'do not ask')
    .addHelpText('after', `
What goes: messages, prompts, tool inputs and outputs, errors, names.
What stays: order, times, event types, tool names, outcomes, token counts.
This cannot be undone. Sessions that the session started are erased with it.
Of a person: sessions for them, and content said to be of them in others.

Examples:
  $ counterfoil erase 7f3a91c2 --reason "request of 2026-11-20"
  $ counterfoil erase 7f3a91c2 --subject c-4712 --reason "request 89"
  $ counterfoil erase --user c-4711 --reason "request 88" --legal-basis "GDPR Art. 17(1)(a)"`)
    .action(async (session: string | undefined, options: Options) => {
      const ctx = context()
      if ((session === undefined) === (options.user === undefined)) {
        throw new MisuseError('erase_what', `cli: expected a session or --user, got ${session === undefined ? 'neither' : 'both'}`, 'counterfoil erase --help')
      }
      if (options.subject !== undefined && session === undefined) throw new MisuseError('erase_what', 'cli: expected --subject with a session, got --user', 'to erase a person everywhere, --user ID is enough')
      if (options.subject === '' || options.user === '') throw new MisuseError('erase_what', "cli: expected a person's id, got an empty one", 'counterfoil erase --help')
      if (options.reason.trim() === '') throw new MisuseError('no_reason', 'cli: expected a reason, got an empty one', 'say why with --reason "…"')
      if (!options.yes && !ctx.interactive) throw new MisuseError('not_asked', 'cli: erasing asks first, and there is no terminal to ask in', 'add --yes if you are sure')
      await withTrail(ctx, 'write', async (trail) => {
        const what = session === undefined ? { user_id: options.user! } : { session_id: await findSession(trail, session), ...(options.subject === undefined ? {} : { subject: options.subject }) }
        const { sessions, ends, events, payloads, kept } = await trail.erasable(what, options.reason)
        const whose = 'user_id' in what ? `user ${quoteUnlessPlain(what.user_id)}` : what.subject === undefined ? `session ${shortId(what.session_id)}` : `${quoteUnlessPlain(what.subject)} in session ${shortId(what.session_id)}`
        if (sessions.length === 0) throw new MisuseError('nothing_to_erase', `cli: nothing to erase of ${whose}: no session holds content`, 'ids are in: counterfoil sessions')
        const extent = `${plural(sessions.length, 'session')} with ${plural(payloads, 'payload')} of ${plural(events, 'event')}`
        if (!ctx.json && kept > 0) for (const line of wrap(`${plural(kept, 'scope')} of other persons in these sessions ${kept === 1 ? 'stays' : 'stay'}`, ctx.screen.columns)) ctx.screen.note(line)
        if (!ctx.json && !options.yes && ends.length > 0) ctx.screen.note(`${plural(ends.length, 'session')} ${ends.length === 1 ? 'ends' : 'end'} with it, if still open`)
        if (!options.yes && !(await ctx.confirm(`Erase the content of ${whose} for ever (${extent})?`))) {
          ctx.screen.note('nothing was erased')
          ctx.exit = 2
          return
        }
        const erased = await trail.erase(what, { reason: options.reason, ...(options.legalBasis === undefined ? {} : { legal_basis: options.legalBasis }) })
        if (ctx.json) return ctx.screen.json(erased)
        ctx.screen.line(green('erased'), ' ', bold(whose), `: ${extent}`)
        ctx.screen.line('  ', grey(`ordered in #${erased.ordered}, done in #${erased.done}`))
        for (const line of wrap(erased.remains, ctx.screen.columns - 2)) ctx.screen.line('  ', grey(line))
      })
    })
}
