// counterfoil verify: what can be proved about a trail, what is only asserted, and what cannot be known.

import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { InvalidArgumentError, type Command } from 'commander'
import { fromUtf8 } from '../../base/bytes.ts'
import { MisuseError, StoreError } from '../../base/errors.ts'
import { parseTreeHead } from '../../log/checkpoint.ts'
import { parseNote } from '../../log/note.ts'
import { makePage } from '../../page/page.ts'
import { pageScript } from '../../page/script.ts'
import { bundleIn, MAX_BUNDLE_LENGTH } from '../../verify/bundle-text.ts'
import { verifyBundle, type BundleTrust, type BundleVerdict } from '../../verify/bundle.ts'
import { nextOf } from '../../verify/rollback.ts'
import { exitCode, PROPERTIES, type AnyVerdict, type Property, type PropertyVerdict, type Status } from '../../verify/verdict.ts'
import type { SaidBy } from '../api.ts'
import { EXIT, isServer, trailName, trailPath, withTrail, type Context } from '../context.ts'
import { bold, count, green, grey, plural, red, wrap, yellow, type Line, type Span } from '../terminal.ts'
import { instant } from '../timeline.ts'
import { readPolicy } from './witness.ts'

export function verifyCommand(program: Command, context: () => Context): void {
  program.command('verify')
    .description('prove that the record is whole and unchanged, and say what that does not prove')
    .argument('[what]', 'an archive or backup folder, an evidence bundle, or another trail, also the URL of a server; default the trail')
    .option('--key <vkey>', "the log's verifier key, for an archive or a bundle; default the one in it")
    .option('--witness <vkeys...>', "witnesses' verifier keys, for a bundle")
    .option('--require <properties>', `exit 3 unless these are proved, with commas: ${PROPERTIES.join(', ')}`, parseProperties)
    .option('--against <copy>', 'another copy of the log: whether the two are one, and where they part')
    .option('--policy <file>', 'a C2SP tlog-policy: whose cosignatures prove that the log was witnessed')
    .option('--since [checkpoint]', 'read only what was added to a checkpoint (a file) that was proved before; default the newest that was proved here')
    .option('--jobs <n>', 'how many threads read a large trail; default as many as there are cores', parseJobs)
    .addHelpText('after', `
Exit code: 0 whole, 1 evidence of tampering, 2 could not run, 3 whole but a required
property is not proved.

Examples:
  $ counterfoil verify
  $ counterfoil verify --require unchanged,complete,payloads
  $ counterfoil verify --since
  $ counterfoil verify --policy policy.txt --require witnessed
  $ counterfoil verify copy-of-monday.db --json
  $ counterfoil verify ./archive --key "$(cat log.pub)"
  $ counterfoil verify evidence.html --key "$(cat log.pub)"
  $ counterfoil verify agent_audit.db --against /mnt/backup/2026-11-21`)
    .action(async (what: string | undefined, { require = [], key, witness, policy: file, against, jobs, since }: { require?: Property[]; key?: string; witness?: string[]; policy?: string; against?: string; jobs?: number; since?: true | string }) => {
      const ctx = context()
      if (against !== undefined) {
        if (require.length > 0 || witness !== undefined || file !== undefined || key !== undefined || jobs !== undefined || since !== undefined) throw new MisuseError('against_what', 'cli: --against compares two copies, and goes with no other option', 'verify each copy by itself with the others')
        const { compareCopies } = await import('../compared.ts')
        return compareCopies(ctx, what === undefined ? trailPath(ctx) : resolve(ctx.cwd, what), resolve(ctx.cwd, against), kindOf)
      }
      const policy = file === undefined ? undefined : readPolicy(ctx, file)
      const given = { ...(key === undefined ? {} : { key }), ...(policy === undefined ? {} : { policy }) }
      const path = what === undefined || isServer(what) ? undefined : resolve(ctx.cwd, what)
      const kind = path === undefined ? 'trail' : kindOf(path)
      if (witness !== undefined && kind !== 'bundle') throw new MisuseError('witness_for_what', `cli: --witness goes with a bundle, got ${kind === 'trail' ? 'a trail' : `an ${kind}`.replace('an b', 'a b')}`, 'name the witnesses in a policy: --policy FILE')
      if (since !== undefined && kind !== 'trail') throw new MisuseError('since_what', `cli: --since goes with a trail, got ${kind === 'archive' ? 'an archive' : `a ${kind}`}`, 'leave it out: other evidence is read from its beginning')
      if (jobs !== undefined && kind !== 'trail') throw new MisuseError('jobs_for_what', `cli: --jobs goes with a trail, got ${kind === 'archive' ? 'an archive' : `a ${kind}`}`, 'leave it out: other evidence is read by one thread')
      if (path !== undefined && kind === 'backup') {
        if (key !== undefined || policy !== undefined) throw new MisuseError('key_for_what', `cli: ${key === undefined ? '--policy' : '--key'} goes with other evidence, got a backup`, 'a backup is verified with the keys in it')
        const { verifyBackupFolder } = await import('../restored.ts')
        return report(ctx, trailName(path), require, (progress) => verifyBackupFolder(path, { ctx, progress }))
      }
      if (path !== undefined && kind === 'archive') {
        const { verifyArchive } = await import('../archived.ts')
        return report(ctx, trailName(path), require, (progress) => verifyArchive(path, { ...given, progress }))
      }
      if (path !== undefined && kind === 'bundle') {
        if (policy !== undefined) throw new MisuseError('policy_for_what', 'cli: --policy goes with a trail or an archive, got a bundle', "name the witnesses' keys: --witness VKEY")
        return report(ctx, basename(path), require, async () => (await readBundle(path, { ...(key === undefined ? {} : { key }), ...(witness === undefined ? {} : { witnesses: witness }) })).verdict)
      }
      if (key !== undefined) throw new MisuseError('key_for_what', 'cli: --key goes with an archive folder or a bundle, got a trail', "a trail's key is pinned by the keys on this machine")
      await withTrail(what === undefined ? ctx : { ...ctx, trail: what }, 'read', (trail, at) => report(ctx, trailName(at), require, (progress) => trail.verify({ require, ...given, progress, ...(jobs === undefined ? {} : { jobs }), ...(since === undefined ? {} : { since: since === true ? 'proved' : readCheckpoint(resolve(ctx.cwd, since)) }) })))
    })
}

/** A bundle's verdict, and whether the page around it is the one that this version writes: a page that was changed may show anything. */
export type PageVerdict = BundleVerdict & { readonly page: 'as_written' | 'other' }

/** The bundle in the page at `path`: its JSON text, and what there is to say of it. */
export async function readBundle(path: string, trust: BundleTrust): Promise<{ readonly json: string; readonly verdict: PageVerdict }> {
  const page = readPage(path)
  const json = bundleIn(page)
  return { json, verdict: { ...verifyBundle(json, trust).verdict, page: page === makePage(json, await pageScript()) ? 'as_written' : 'other' } }
}

/** What stands at `path`: a folder is an archive, a file that begins as HTML does is a bundle, and the rest is for the trail to say. */
export function kindOf(path: string): 'trail' | 'archive' | 'backup' | 'bundle' {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat?.isDirectory() === true) return ['manifest.json', 'INCOMPLETE'].some((name) => existsSync(join(path, name))) ? 'backup' : 'archive'
  if (stat?.isFile() !== true || stat.size === 0) return 'trail'
  const first = Buffer.alloc(16)
  const fd = openSync(path, 'r') // before any store of this process has the file open
  try {
    readSync(fd, first)
  } finally {
    closeSync(fd)
  }
  return first.toString('latin1').startsWith('SQLite format 3') ? 'trail' : 'bundle'
}

export async function report(ctx: Context, name: string, require: readonly Property[], verify: (progress: (done: number, total: number) => void) => Promise<AnyVerdict & SaidBy>): Promise<void> {
  const started = ctx.now()
  const verdict = await verify(progressLine(ctx, 'verifying'))
  ctx.screen.progress('')
  ctx.exit = verdict.by !== undefined && verdict.whole ? EXIT.not_proved : exitCode(verdict, require)
  if (ctx.json) ctx.screen.json({ ...verdict, required: require, exit_code: ctx.exit })
  else for (const line of verdictLines(verdict, { name: 'session_id' in verdict && typeof verdict.session_id === 'string' ? `${name} · session ${verdict.session_id}` : name, ms: ctx.now() - started, columns: ctx.screen.columns, require })) ctx.screen.line(...line)
}

/** Whose it is, the verification says; here only that it is one. */
function readCheckpoint(file: string): string {
  let note: string
  try {
    if (statSync(file).size > MAX_CHECKPOINT_BYTES) throw new MisuseError('no_checkpoint', `cli: ${file} is too large for a checkpoint`, 'name a file with the checkpoint of a verdict (verify --json) or of a receipt')
    note = fromUtf8(readFileSync(file))
    parseTreeHead(parseNote(note).text)
  } catch (cause) {
    if (cause instanceof MisuseError) throw cause
    throw new MisuseError('no_checkpoint', `cli: expected a checkpoint in ${file}, got none: ${(cause as Error).message}`, 'name a file with the checkpoint of a verdict (verify --json) or of a receipt')
  }
  return note
}

const MAX_CHECKPOINT_BYTES = 1_000_000

function readPage(file: string): string {
  let bytes: Uint8Array
  try {
    if (statSync(file).size > 2 * MAX_BUNDLE_LENGTH) throw new MisuseError('bundle_too_large', `cli: ${file} is too large for a bundle`, 'name the file that counterfoil export wrote')
    bytes = readFileSync(file)
  } catch (cause) {
    if (cause instanceof MisuseError) throw cause
    throw new StoreError('no_file', `cli: ${file} cannot be read: ${(cause as Error).message}`, 'name the file that counterfoil export wrote', { cause })
  }
  try {
    return fromUtf8(bytes)
  } catch {
    throw new MisuseError('not_a_bundle', `cli: ${file} is neither a trail nor a bundle`, 'name a trail, an archive folder, or the file that counterfoil export wrote')
  }
}

/** How long something may take before it says how far it is, and how often it does then. */
const SILENT_MS = 1_000
const SAID_EVERY_MS = 100

/** Says on a terminal how far it is and how long the rest may take, after a second. A total that grows counts sealed segments after the entries. */
export function progressLine(ctx: Context, doing: string): (done: number, total: number) => void {
  const began = ctx.now()
  let told = began + SILENT_MS - SAID_EVERY_MS
  let entries: number | undefined
  return (done, total) => {
    const now = ctx.now()
    entries ??= total
    if (ctx.json || now - told < SAID_EVERY_MS) return
    told = now
    if (total > entries) return ctx.screen.progress(`${doing} ${plural(total - entries, 'sealed segment', 'sealed segments')}, after ${plural(entries, 'entry', 'entries')}`)
    const left = done === 0 ? '' : `, ${remaining(((now - began) / done) * (total - done))} left`
    ctx.screen.progress(`${doing} ${count(done)} of ${plural(total, 'entry', 'entries')}, ${Math.floor((done / Math.max(1, total)) * 100)} %${left}`)
  }
}

function remaining(ms: number): string {
  const seconds = Math.ceil(ms / 1_000)
  return seconds < 90 ? `${seconds} s` : seconds < 5_400 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3_600)} h`
}

/** The verdict as DESIGN §14 shows it. What failed stands first. */
export function verdictLines(verdict: AnyVerdict & SaidBy, { name, ms, columns, require = [] }: { name: string; ms: number; columns: number; require?: readonly Property[] }): Line[] {
  const head = [name, `log ${shortOrigin(verdict.origin)}`, plural(verdict.size, 'entry', 'entries')].join(' · ') + (verdict.recorded_at === undefined ? '' : `, the last recorded ${instant(verdict.recorded_at)}`)
  const page = 'page' in verdict ? PAGE[verdict.page as PageVerdict['page']] : undefined
  const lines: Line[] = [...wrap(head, columns).map((text): Line => [text]), []]
  for (const status of ORDER) {
    for (const property of PROPERTIES) {
      const one = verdict.properties[property]
      if (one?.status === status) lines.push(...propertyLines(one, columns))
    }
    if (page?.status === status) lines.push(...propertyLines(page, columns))
  }
  // no evidence can ever show it, so it is no property: it stands in every verdict
  lines.push(...propertyLines({ status: 'unknown', says: 'acts that were never recorded' }, columns))
  const missing = require.filter((property) => verdict.properties[property]?.status !== 'proved')
  if (missing.length > 0 && verdict.whole) lines.push([], ['  ', yellow(`required and not proved: ${missing.join(', ')}`)])
  const next = verdict.properties.unchanged.status === 'failed' ? undefined : verdict.problems.map(({ code }) => nextOf(code)).find((one) => one !== undefined)
  if (next !== undefined) lines.push([], ...wrap(`→ ${next}`, columns - 2).map((text): Line => ['  ', text]))
  if (verdict.by !== undefined) lines.push([], ...wrap(`→ ${BY_ITSELF}`, columns - 2).map((text): Line => ['  ', text]))
  return [...lines, [], conclusion(verdict, ms)]
}

const BY_ITSELF = 'the server verified itself: that is its word, and nothing is proved here. To prove it from here, verify what the server gives out, under the key of the log from elsewhere: counterfoil export -o FILE, then counterfoil verify FILE --key VKEY'

const PAGE: { readonly [page in PageVerdict['page']]: PropertyVerdict } = {
  as_written: { status: 'proved', says: 'the page around it is the one that this version of counterfoil writes' },
  other: { status: 'unknown', says: 'what the page shows: it is not the one that this version of counterfoil writes around this evidence. Another version wrote it, or somebody changed it; counterfoil open FILE shows the evidence in a page of its own' },
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

function conclusion(verdict: AnyVerdict & SaidBy, ms: number): Line {
  const time = grey(` · ${(ms / 1000).toFixed(2)} s`)
  if (verdict.whole && verdict.by !== undefined) return [bold('whole'), ', says the server; not proved here', time]
  if (verdict.whole) return [bold('since' in verdict && verdict.since !== undefined ? `whole from #${verdict.since} on` : 'whole'), 'session_id' in verdict && verdict.properties.pinned.status !== 'proved' ? ', unpinned' : '', verdict.properties.witnessed?.status === 'proved' ? ', witnessed' : ', not witnessed', time]
  const all = Object.values(verdict.properties).flatMap(({ first_bad_index }) => (first_bad_index === undefined ? [] : [first_bad_index]))
  // What the signature covers outweighs what is derived from it.
  const first = verdict.properties.unchanged.first_bad_index ?? (all.length === 0 ? undefined : Math.min(...all))
  return [red('NOT WHOLE'), first === undefined ? '' : `, first bad index #${first}`, time]
}

/** `counterfoil.local/8f31c2…`: an origin of 128 random bits is told apart by its beginning. */
function shortOrigin(origin: string): string {
  return origin.replace(/([0-9a-f]{6})[0-9a-f]{20,}$/, '$1…')
}

function parseJobs(text: string): number {
  if (!/^[1-9][0-9]{0,2}$/.test(text)) throw new InvalidArgumentError('Expected a number of threads, from 1 to 999.')
  return Number(text)
}

function parseProperties(text: string): Property[] {
  return text.split(',').map((part) => {
    const property = PROPERTIES.find((one) => one === part.trim())
    if (property === undefined) throw new InvalidArgumentError(`Expected one or more of ${PROPERTIES.join(', ')}, with commas.`)
    return property
  })
}
