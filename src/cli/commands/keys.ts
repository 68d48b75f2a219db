// counterfoil keys: where a trail's keys lie and which signed when; renewing the one that wraps the secrets of payloads, changing the one that signs.

import { InvalidArgumentError, type Command } from 'commander'
import { MisuseError } from '../../base/errors.ts'
import { signerUrl } from '../../ledger/signer-module.ts'
import { parseDecimal } from '../../log/checkpoint.ts'
import type { KeyReport } from '../api.ts'
import { withTrail, type Context } from '../context.ts'
import { green, grey, plural, whole, width, wrap, yellow, type Line } from '../terminal.ts'
import { instant } from '../timeline.ts'

const ACTIONS = ['renew', 'rotate', 'compromised', 'protect', 'unprotect'] as const

interface Options { signer?: string; key?: string; lastGood?: number; note?: string }

export function keysCommand(program: Command, context: () => Context): void {
  const command = program.command('keys')
    .description("say where the trail's keys are and which signed when; renew, rotate or report them")
    .argument('[action]', 'renew, rotate, compromised, protect or unprotect')
    .option('--signer <module>', 'rotate: to a key that is kept elsewhere, which this module asks to sign')
    .option('--key <vkey>', 'compromised: the key that was stolen; default the one in force')
    .option('--last-good <size>', 'compromised: how many entries the log had when the key was surely yours alone', parseSize)
    .option('--note <text>', 'compromised: what happened')
    .addHelpText('after', `
renew        wrap the secrets of content under a new key, and destroy the old:
             earlier erasures come true in old copies of the database too
rotate       sign with a new key from now on; the old one signs it over, and is
             destroyed
compromised  put on record that a signing key was stolen, and rotate it away
protect      put the folder under a passphrase, or under another one; asks for
             it, or takes $COUNTERFOIL_NEW_PASSPHRASE
unprotect    take the passphrase away

Without its keys a trail cannot be read or continued: back the folder up, but
never together with the database. No secret is ever printed.

Examples:
  $ counterfoil keys
  $ counterfoil keys renew
  $ counterfoil keys rotate
  $ counterfoil keys rotate --signer ./kms.js
  $ counterfoil keys protect
  $ counterfoil keys compromised --last-good 1180 --note "a laptop was stolen"`)
  command.action(async (action: string | undefined, { signer, key: vkey, lastGood, note }: Options) => {
    const ctx = context()
    if (action !== undefined && !(ACTIONS as readonly string[]).includes(action)) command.error(`error: expected ${ACTIONS.join(', ')} or nothing, got ${JSON.stringify(action)}`)
    if (action !== 'compromised' && (vkey !== undefined || lastGood !== undefined || note !== undefined)) command.error('error: --key, --last-good and --note go with compromised')
    if (action !== 'rotate' && signer !== undefined) command.error('error: --signer goes with rotate')
    if (action === 'compromised' && lastGood === undefined) command.error('error: expected --last-good SIZE with compromised: how many entries were there when the key was surely yours alone')
    await withTrail(ctx, action === undefined ? 'read' : 'write', async (trail) => {
      const done = action === 'rotate' ? await trail.rotateKey(signer === undefined ? undefined : signerUrl(signer, ctx.cwd))
        : action === 'compromised' ? await trail.reportKey({ last_good_size: lastGood!, ...(vkey === undefined ? {} : { vkey }), ...(note === undefined ? {} : { note }) })
        : action === 'protect' ? await trail.protectKeys(await newPassphrase(ctx))
        : action === 'unprotect' ? await trail.protectKeys(undefined)
        : action === 'renew' ? await trail.renewKeys() : await trail.keys()
      if (ctx.json) return ctx.screen.json(done)
      for (const line of saidOf(done, action)) ctx.screen.line(...line)
      for (const line of keyLines(done, ctx.screen.columns)) ctx.screen.line(...line)
    })
  })
}

function saidOf(done: KeyReport & { readonly index?: number; readonly rotated?: boolean }, action: string | undefined): Line[] {
  if (action === 'renew') return [[green('renewed'), ': copies of the database made before can no longer show what was erased']]
  const tell: Line = ['give the new public key to whoever checks this log, and put it into policies']
  if (action === 'rotate') return [[green('rotated'), ` by #${done.index}: the old key is destroyed`], tell, []]
  if (action === 'protect') return [[green('protected'), ': agents need the passphrase from now on; no copy of it is kept'], []]
  if (action === 'unprotect') return [[yellow('unprotected'), ': whoever reads the folder has the keys'], []]
  if (action === 'compromised') return [[yellow('reported'), ` by #${done.index}`, done.rotated === true ? ': the key was rotated away first' : ''], ...(done.rotated === true ? [tell] : []), []]
  return []
}

/** Never an argument: those are seen in lists of processes, and in the shell's history. */
async function newPassphrase(ctx: Context): Promise<string> {
  const given = ctx.env['COUNTERFOIL_NEW_PASSPHRASE']
  if (given !== undefined && given !== '') return given
  if (!ctx.interactive) throw new MisuseError('no_passphrase', 'cli: there is no terminal to ask for the new passphrase', 'set COUNTERFOIL_NEW_PASSPHRASE')
  const first = await ctx.secret('new passphrase')
  const second = first === undefined ? undefined : await ctx.secret('the same once more')
  if (first === undefined || first !== second) throw new MisuseError('no_passphrase', 'cli: expected the same passphrase twice; nothing was changed', 'run it again')
  return first
}

function parseSize(text: string): number {
  const size = parseDecimal(text)
  if (size === undefined) throw new InvalidArgumentError('Expected a number of entries.')
  return size
}

export function keyLines({ folder, origin, vkey, fingerprint, keys, protected: isProtected, elsewhere, generations, next_renewal }: KeyReport, columns: number): Line[] {
  const row = (label: string, text: string): Line[] => wrap(text, Math.max(20, columns - 15)).map((part, i) => ['  ', grey((i === 0 ? label : '').padEnd(13)), part])
  // What is copied is beside its label where it fits, else on a line of its own.
  const copied = (label: string, text: string): Line[] => (15 + width(text) <= columns ? row(label, text) : [['  ', grey(label)], ['  ', whole(text)]])
  return [
    [whole(origin, 'bold')], [],
    ...copied('folder', folder),
    ...copied('public key', vkey),
    ...row('fingerprint', fingerprint),
    ...(keys.length < 2 ? [] : keys.flatMap((one, i) => row(i === 0 ? 'signing keys' : '', reignSays(one)))),
    ...generations.flatMap((one, i) => row(i === 0 ? 'payload keys' : '', `generation ${one.generation}, made ${instant(one.made_at)}${one.current ? ', in use' : ', being replaced'}`)),
    ...(isProtected ? row('passphrase', 'the folder is under one') : []),
    ...(elsewhere ? row('signer', 'the signing key is kept elsewhere') : []),
    ...row('renewal', next_renewal === null ? 'not planned' : `due ${instant(next_renewal)}`),
    ...row('back up', 'the folder, apart from the database; without it nothing can be read or continued'),
  ]
}

function reignSays({ vkey, from, to, state, last_good_size }: KeyReport['keys'][number]): string {
  const id = vkey.split('+')[1] ?? vkey
  if (to === undefined) return `${id}, from #${from}, in force`
  return `${id}, #${from} to #${to - 1}, ${state === 'compromised' ? `reported stolen: good for the first ${plural(last_good_size ?? 0, 'entry', 'entries')}` : 'retired'}`
}
