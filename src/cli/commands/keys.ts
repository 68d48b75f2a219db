// counterfoil keys: where a trail's keys lie, and renewing the one that wraps the secrets of payloads.

import type { Command } from 'commander'
import type { KeyReport } from '../api.ts'
import { withTrail, type Context } from '../context.ts'
import { green, grey, whole, width, wrap, type Line } from '../terminal.ts'
import { instant } from '../timeline.ts'

export function keysCommand(program: Command, context: () => Context): void {
  program.command('keys')
    .description("say where the trail's keys are, or renew them")
    .argument('[action]', 'renew: make a new generation, re-wrap what lives, destroy the old one')
    .addHelpText('after', `
Without its keys a trail cannot be read or continued: back the folder up, but never
together with the database. Renewing makes earlier erasures true in old copies of
the database too. No secret is ever printed.

Examples:
  $ counterfoil keys
  $ counterfoil keys renew`)
    .action(async (action: string | undefined) => {
      const ctx = context()
      if (action !== undefined && action !== 'renew') program.error(`error: expected renew or nothing, got ${JSON.stringify(action)}`)
      await withTrail(ctx, action === 'renew' ? 'write' : 'read', async (trail) => {
        const report = action === 'renew' ? await trail.renewKeys() : await trail.keys()
        if (ctx.json) return ctx.screen.json(report)
        if (action === 'renew') ctx.screen.line(green('renewed'), ': copies of the database made before can no longer show what was erased')
        for (const line of keyLines(report, ctx.screen.columns)) ctx.screen.line(...line)
      })
    })
}

export function keyLines({ folder, origin, vkey, fingerprint, generations, next_renewal }: KeyReport, columns: number): Line[] {
  const row = (label: string, text: string): Line[] => wrap(text, Math.max(20, columns - 15)).map((part, i) => ['  ', grey((i === 0 ? label : '').padEnd(13)), part])
  // What is copied is beside its label where it fits, else on a line of its own.
  const copied = (label: string, text: string): Line[] => (15 + width(text) <= columns ? row(label, text) : [['  ', grey(label)], ['  ', whole(text)]])
  return [
    [whole(origin, 'bold')], [],
    ...copied('folder', folder),
    ...copied('public key', vkey),
    ...row('fingerprint', fingerprint),
    ...generations.flatMap((one, i) => row(i === 0 ? 'payload keys' : '', `generation ${one.generation}, made ${instant(one.made_at)}${one.current ? ', in use' : ', being replaced'}`)),
    ...row('renewal', next_renewal === null ? 'not planned' : `due ${instant(next_renewal)}`),
    ...row('back up', 'the folder, apart from the database; without it nothing can be read or continued'),
  ]
}
