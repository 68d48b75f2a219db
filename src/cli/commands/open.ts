// counterfoil open: a bundle, or a session of the trail, verified and then shown in the browser, in a page of our own.

import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { MisuseError, StoreError } from '../../base/errors.ts'
import type { ExportedBundle } from '../../ledger/bundle.ts'
import { makePage } from '../../page/page.ts'
import { pageScript } from '../../page/script.ts'
import { exitCode } from '../../verify/verdict.ts'
import type { CliTrail } from '../api.ts'
import { findOpener, openInBrowser } from '../browser.ts'
import { EXIT, noteWithheld, withTrail, type Context } from '../context.ts'
import { findSession } from '../find.ts'
import { removeTemporaryPage, sweepTemporaryPages, writeTemporaryPage } from '../temporary-page.ts'
import { grey, plural, whole, wrap } from '../terminal.ts'
import { parseDisclose, placesOf, type Asked } from './export.ts'
import { kindOf, readBundle, report } from './verify.ts'

interface Options { print?: true; key?: string; disclose?: Asked }

export function openCommand(program: Command, context: () => Context): void {
  program.command('open')
    .description('verify a bundle, or take a session of the trail, and show it in the browser')
    .argument('[what]', 'a file that export wrote, or a session: id, #INDEX, last', 'last')
    .option('--key <vkey>', "the log's verifier key, for a bundle")
    .option('--disclose <what>', 'of a session: none, all, or events as for export; default all', parseDisclose)
    .option('--print', 'show nothing, print the path of the page')
    .addHelpText('after', `
A bundle is verified by this program, and its own page is shown only when it is
the one that this version writes; else the evidence is, in a page of our own. A
session is shown with all its content: it is for you. Nothing is served over a
network. A page made for a look is a file for you alone, removed when you press
Enter, or by the next open after an hour.

Examples:
  $ counterfoil open evidence.html --key "$(cat log.pub)"
  $ counterfoil open                 the last session
  $ counterfoil open 7f3a91c2 --disclose '#21,#22'
  $ counterfoil open 7f3a91c2 --print`)
    .action(async (what: string, options: Options) => {
      const ctx = context()
      sweepTemporaryPages(ctx.now())
      const path = resolve(ctx.cwd, what)
      const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() === true
      if (isFile) await openBundle(ctx, path, options)
      else await openSession(ctx, what, options)
    })
}

async function openBundle(ctx: Context, path: string, { print, key, disclose }: Options): Promise<void> {
  if (kindOf(path) !== 'bundle') throw new MisuseError('not_a_bundle', `cli: ${path} is a trail, expected a bundle or a session`, `name a session of it: counterfoil open last --trail ${path}`)
  if (disclose !== undefined) throw new MisuseError('disclose_what', 'cli: --disclose goes with a session, got a bundle', 'a bundle has the content that it has')
  const { json, verdict } = await readBundle(path, key === undefined ? {} : { key })
  if (!ctx.json && print !== true) await report(ctx, path, [], async () => verdict)
  ctx.exit = exitCode(verdict)
  const made = verdict.page === 'other' || !/\.html?$/i.test(path) // by another name no browser would take it
  await show(ctx, { file: made ? writeTemporaryPage(makePage(json, await pageScript())) : path, made, print, told: { session_id: verdict.session_id, whole: verdict.whole, page: verdict.page, key: verdict.keys[0] } })
}

async function openSession(ctx: Context, what: string, { print, key, disclose }: Options): Promise<void> {
  if (key !== undefined) throw new MisuseError('key_for_what', 'cli: --key goes with a bundle, got a session', "a trail's key is pinned by the keys on this machine")
  const { json, verdict } = await withTrail(ctx, 'read', async (trail) => {
    const exported = await exportForALook(ctx, trail, await findSession(trail, what), disclose)
    await noteWithheld(ctx, trail)
    return exported
  })
  const file = writeTemporaryPage(makePage(json, await pageScript()))
  if (!ctx.json && print !== true) {
    const { entries, payloads, withheld, erased } = verdict.counts
    const say = (text: string): void => { for (const line of wrap(text, ctx.screen.columns)) ctx.screen.line(line) }
    say(`session ${verdict.session_id}: ${plural(entries, 'entry', 'entries')}, ${plural(payloads, 'payload')} shown, ${withheld} withheld, ${erased} erased`)
    say('The page asks for the key of the log. It is:')
    ctx.screen.text(verdict.keys[0]!)
  }
  await show(ctx, { file, made: true, print, told: { session_id: verdict.session_id, whole: true, page: 'as_written', key: verdict.keys[0] } })
}

/** All the content unless something else is asked for, or it cannot be had here. */
async function exportForALook({ screen, json }: Context, trail: CliTrail, session_id: string, asked: Asked | undefined): Promise<ExportedBundle> {
  if (asked !== undefined) return trail.export({ session_id, disclose: await placesOf(trail, asked) })
  try {
    return await trail.export({ session_id, disclose: 'all' })
  } catch (error) {
    if (!noContent(error)) throw error
    if (error instanceof StoreError && !json) screen.note(grey("content is withheld: the log's keys are not on this machine"))
    return trail.export({ session_id, disclose: 'none' })
  }
}

/** This machine does not have the keys, or a server was not told what for. */
function noContent(error: unknown): boolean {
  return (error instanceof StoreError && error.code === 'no_key') || (error instanceof MisuseError && error.code === 'no_purpose')
}

/** `made`: the file is ours, and goes when it was looked at. */
async function show(ctx: Context, { file, made, print, told }: { file: string; made: boolean; print: true | undefined; told: { readonly [name: string]: unknown } }): Promise<void> {
  const opener = print === true ? undefined : findOpener(ctx.env)
  const shown = opener !== undefined && (await openInBrowser(opener, file, ctx.env))
  if (!shown && print !== true && ctx.exit === EXIT.fine) ctx.exit = EXIT.failed
  if (ctx.json) return ctx.screen.json({ file, temporary: made, shown, ...told, exit_code: ctx.exit })
  if (print === true) return ctx.screen.line(whole(file))
  if (shown) ctx.screen.line('shown in your browser:')
  else ctx.screen.line(opener === undefined ? 'no browser can be started here; open this file in one:' : 'the browser could not be started; open this file in one:')
  ctx.screen.line(whole(file))
  if (!made) return
  if (shown && ctx.interactive) {
    await ctx.screen.drain()
    await ctx.pause('Press Enter when you have looked: the file is removed then.')
    removeTemporaryPage(file)
  } else ctx.screen.line('It holds what is shown in it. Remove it when you have looked.')
}
