// counterfoil verify: what can be proved about a trail, what is only asserted, and what cannot be known.

import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { InvalidArgumentError, type Command } from 'commander'
import { MisuseError } from '../../base/errors.ts'
import { exitCode, PROPERTIES, type Property, type PropertyVerdict, type Status, type Verdict } from '../../verify/verdict.ts'
import { trailName, withTrail, type Context } from '../context.ts'
import { bold, count, green, grey, plural, red, wrap, yellow, type Line, type Span } from '../terminal.ts'
import { instant } from '../timeline.ts'
import { readPolicy } from './witness.ts'

export function verifyCommand(program: Command, context: () => Context): void {
  program.command('verify')
    .description('prove that the record is whole and unchanged, and say what that does not prove')
    .argument('[archive]', 'an archive folder, or another trail; default the trail')
    .option('--key <vkey>', "the log's verifier key, for an archive; default the one in it")
    .option('--require <properties>', `exit 3 unless these are proved, with commas: ${PROPERTIES.join(', ')}`, parseProperties)
    .option('--policy <file>', 'a C2SP tlog-policy: whose cosignatures prove that the log was witnessed')
    .addHelpText('after', `
Exit code: 0 whole, 1 evidence of tampering, 2 could not run, 3 whole but a required
property is not proved.

Examples:
  $ counterfoil verify
  $ counterfoil verify --require unchanged,complete,payloads
  $ counterfoil verify --policy policy.txt --require witnessed
  $ counterfoil verify copy-of-monday.db --json
  $ counterfoil verify ./archive --key "$(cat log.pub)"`)
    .action(async (what: string | undefined, { require = [], key, policy: file }: { require?: Property[]; key?: string; policy?: string }) => {
      const ctx = context()
      const policy = file === undefined ? undefined : readPolicy(ctx, file)
      const asked = policy === undefined ? {} : { policy }
      const folder = what === undefined ? undefined : resolve(ctx.cwd, what)
      if (folder !== undefined && statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) {
        const { verifyArchive } = await import('../archived.ts')
        return report(ctx, folder, require, (progress) => verifyArchive(folder, { ...(key === undefined ? {} : { key }), ...asked, progress }))
      }
      if (key !== undefined) throw new MisuseError('key_for_what', 'cli: --key goes with an archive folder, got a trail', "a trail's key is pinned by the keys on this machine")
      await withTrail(what === undefined ? ctx : { ...ctx, trail: what }, 'read', (trail, path) => report(ctx, path, require, (progress) => trail.verify({ require, ...asked, progress })))
    })
}

async function report(ctx: Context, path: string, require: readonly Property[], verify: (progress: (done: number, total: number) => void) => Promise<Verdict>): Promise<void> {
  const started = ctx.now()
  const verdict = await verify(progressLine(ctx, 'verifying'))
  ctx.screen.progress('')
  ctx.exit = exitCode(verdict, require)
  if (ctx.json) ctx.screen.json({ ...verdict, required: require, exit_code: ctx.exit })
  else for (const line of verdictLines(verdict, { name: trailName(path), ms: ctx.now() - started, columns: ctx.screen.columns, require })) ctx.screen.line(...line)
}

/** Says how far it is, ten times a second at most. */
export function progressLine(ctx: Context, doing: string): (done: number, total: number) => void {
  let told = ctx.now()
  return (done, total) => {
    if (ctx.now() - told < 100) return
    told = ctx.now()
    ctx.screen.progress(`${doing} ${count(done)} of ${plural(total, 'entry', 'entries')}, ${Math.floor((done / Math.max(1, total)) * 100)} %`)
  }
}

/** The verdict as DESIGN §14 shows it. What failed stands first. */
export function verdictLines(verdict: Verdict, { name, ms, columns, require = [] }: { name: string; ms: number; columns: number; require?: readonly Property[] }): Line[] {
  const head = [name, `log ${shortOrigin(verdict.origin)}`, plural(verdict.size, 'entry', 'entries')].join(' · ') + (verdict.recorded_at === undefined ? '' : `, the last recorded ${instant(verdict.recorded_at)}`)
  const lines: Line[] = [...wrap(head, columns).map((text): Line => [text]), []]
  for (const status of ORDER) {
    for (const property of PROPERTIES) {
      const one = verdict.properties[property]
      if (one?.status === status) lines.push(...propertyLines(one, columns))
    }
  }
  // no evidence can ever show it, so it is no property: it stands in every verdict
  lines.push(...propertyLines({ status: 'unknown', says: 'acts that were never recorded' }, columns))
  const missing = require.filter((property) => verdict.properties[property]?.status !== 'proved')
  if (missing.length > 0 && verdict.whole) lines.push([], ['  ', yellow(`required and not proved: ${missing.join(', ')}`)])
  return [...lines, [], conclusion(verdict, ms)]
}

const ORDER: readonly Status[] = ['failed', 'proved', 'asserted', 'unknown']
const LABEL = 10

function propertyLines({ status, says, first_bad_index }: PropertyVerdict, columns: number): Line[] {
  const place = first_bad_index === undefined || says.includes(`#${first_bad_index}`) ? '' : ` (first bad index #${first_bad_index})`
  return says.split('\n').flatMap((said, i) => wrap(i === 0 ? said + place : said, Math.max(20, columns - LABEL - 2))
    .map((text, j): Line => ['  ', j === 0 ? label(status) : ' '.repeat(LABEL), status === 'unknown' || status === 'asserted' ? grey(text) : status === 'failed' ? red(text) : text]))
}

// Only what is proved is green: an unknown must not look like a yes.
function label(status: Status): Span {
  const text = status.padEnd(LABEL)
  return status === 'proved' ? green(text) : status === 'failed' ? red(text) : grey(text)
}

function conclusion(verdict: Verdict, ms: number): Line {
  const time = grey(` · ${(ms / 1000).toFixed(2)} s`)
  if (verdict.whole) return [bold('whole'), verdict.properties.witnessed?.status === 'proved' ? ', witnessed' : ', not witnessed', time]
  const all = Object.values(verdict.properties).flatMap(({ first_bad_index }) => (first_bad_index === undefined ? [] : [first_bad_index]))
  // What the signature covers outweighs what is derived from it.
  const first = verdict.properties.unchanged.first_bad_index ?? (all.length === 0 ? undefined : Math.min(...all))
  return [red('NOT WHOLE'), first === undefined ? '' : `, first bad index #${first}`, time]
}

/** `counterfoil.local/8f31c2…`: an origin of 128 random bits is told apart by its beginning. */
function shortOrigin(origin: string): string {
  return origin.replace(/([0-9a-f]{6})[0-9a-f]{20,}$/, '$1…')
}

function parseProperties(text: string): Property[] {
  return text.split(',').map((part) => {
    const property = PROPERTIES.find((one) => one === part.trim())
    if (property === undefined) throw new InvalidArgumentError(`Expected one or more of ${PROPERTIES.join(', ')}, with commas.`)
    return property
  })
}
