// counterfoil verify: what can be proved about a trail, what is only asserted, and what cannot be known.

import { readFileSync, statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { InvalidArgumentError, type Command } from 'commander'
import { fromUtf8, utf8 } from '../../base/bytes.ts'
import { MisuseError, StoreError } from '../../base/errors.ts'
import { bundleIn, MAX_BUNDLE_LENGTH } from '../../verify/bundle-text.ts'
import { verifyBundle, type BundleTrust } from '../../verify/bundle.ts'
import { exitCode, PROPERTIES, type AnyVerdict, type Property, type PropertyVerdict, type Status } from '../../verify/verdict.ts'
import { trailName, withTrail, type Context } from '../context.ts'
import { bold, count, green, grey, plural, red, wrap, yellow, type Line, type Span } from '../terminal.ts'
import { instant } from '../timeline.ts'

export function verifyCommand(program: Command, context: () => Context): void {
  program.command('verify')
    .description('prove that the record is whole and unchanged, and say what that does not prove')
    .argument('[file]', 'an evidence bundle that export wrote; without it the trail')
    .option('--key <vkey>', "the log's verifier key, for a bundle; without it nothing says whose log it is")
    .option('--witness <vkeys...>', "witnesses' verifier keys, for a bundle")
    .option('--require <properties>', `exit 3 unless these are proved, with commas: ${PROPERTIES.join(', ')}`, parseProperties)
    .addHelpText('after', `
Exit code: 0 whole, 1 evidence of tampering, 2 could not run, 3 whole but a required
property is not proved.

Examples:
  $ counterfoil verify
  $ counterfoil verify --require unchanged,complete,payloads
  $ counterfoil verify evidence.html --key counterfoil.local/8f31…+6b1f2a3c+AVx…
  $ counterfoil verify --trail copy-of-monday.db --json`)
    .action(async (file: string | undefined, { require = [], key, witness }: { require?: Property[]; key?: string; witness?: string[] }) => {
      const ctx = context()
      if (file !== undefined) return verifyFile(ctx, file, { require, ...(key === undefined ? {} : { key }), ...(witness === undefined ? {} : { witnesses: witness }) })
      if (key !== undefined || witness !== undefined) throw new MisuseError('no_file', 'cli: --key and --witness are for a bundle, and no file is named', "a trail is verified with this machine's keys")
      await withTrail(ctx, 'read', async (trail, path) => {
        const started = ctx.now()
        let told = started
        const verdict = await trail.verify({
          require,
          progress: (done, total) => {
            if (ctx.now() - told < 100) return
            told = ctx.now()
            ctx.screen.progress(`verifying ${count(done)} of ${plural(total, 'entry', 'entries')}, ${Math.floor((done / Math.max(1, total)) * 100)} %`)
          },
        })
        ctx.screen.progress('')
        ctx.exit = exitCode(verdict, require)
        if (ctx.json) ctx.screen.json({ ...verdict, required: require, exit_code: ctx.exit })
        else for (const line of verdictLines(verdict, { name: trailName(path), ms: ctx.now() - started, columns: ctx.screen.columns, require })) ctx.screen.line(...line)
      })
    })
}

/** Verifies an evidence bundle: no database, no network, no keys but those given. */
function verifyFile(ctx: Context, file: string, { require, ...trust }: BundleTrust & { require: readonly Property[] }): void {
  const started = ctx.now()
  const { verdict } = verifyBundle(bundleIn(readPage(resolve(ctx.cwd, file))), trust)
  ctx.exit = exitCode(verdict, require)
  if (ctx.json) ctx.screen.json({ ...verdict, required: require, exit_code: ctx.exit })
  else for (const line of verdictLines(verdict, { name: `${basename(file)} · session ${verdict.session_id}`, ms: ctx.now() - started, columns: ctx.screen.columns, require })) ctx.screen.line(...line)
}

function readPage(file: string): string {
  let bytes: Uint8Array
  try {
    if (statSync(file).size > 2 * MAX_BUNDLE_LENGTH) throw new MisuseError('bundle_too_large', `cli: ${file} is too large for a bundle`, '')
    bytes = readFileSync(file)
  } catch (cause) {
    if (cause instanceof MisuseError) throw cause
    throw new StoreError('no_file', `cli: ${file} cannot be read: ${(cause as Error).message}`, 'name the file that counterfoil export wrote', { cause })
  }
  if (bytes.subarray(0, 15).toString() === utf8('SQLite format 3').toString()) throw new MisuseError('a_trail', `cli: ${file} is a trail, expected a bundle`, `counterfoil verify --trail ${file}`)
  try {
    return fromUtf8(bytes)
  } catch {
    throw new MisuseError('not_a_bundle', `cli: ${file} is no text`, 'name the file that counterfoil export wrote')
  }
}

/** The verdict as DESIGN §14 shows it. What failed stands first. */
export function verdictLines(verdict: AnyVerdict, { name, ms, columns, require = [] }: { name: string; ms: number; columns: number; require?: readonly Property[] }): Line[] {
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

function conclusion(verdict: AnyVerdict, ms: number): Line {
  const time = grey(` · ${(ms / 1000).toFixed(2)} s`)
  if (verdict.whole) return [bold('whole'), 'session_id' in verdict && verdict.properties.pinned.status !== 'proved' ? ', unpinned' : '', verdict.properties.witnessed?.status === 'proved' ? ', witnessed' : ', not witnessed', time]
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
