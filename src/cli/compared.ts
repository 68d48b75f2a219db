// verify COPY --against OTHER: two databases, archives or backups, each verified by itself, and the first entry in which they differ.

import { archiveEvidence } from '../archive/evidence.ts'
import { archiveFolder } from '../archive/folder.ts'
import { MisuseError, StoreError } from '../base/errors.ts'
import { parseEntry } from '../event/parse.ts'
import { evidenceOf } from '../ledger/evidence.ts'
import { localKept, withBackup } from '../ledger/restore.ts'
import { parseTreeHead } from '../log/checkpoint.ts'
import { parseNote } from '../log/note.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import type { KeptKeys } from '../vault/keyring.ts'
import { stateHome } from '../vault/paths.ts'
import { compareLogs, type Compared, type Comparison } from '../verify/compare.ts'
import type { Evidence } from '../verify/evidence.ts'
import { idOf } from '../verify/key-chain.ts'
import { EXIT, trailName, type Context } from './context.ts'
import { progressLine } from './commands/verify.ts'
import { bold, count, green, grey, plural, red, wrap, yellow, type Line, type Span } from './terminal.ts'

type Kind = 'trail' | 'archive' | 'backup' | 'bundle'

/** Says how `first` and `second` stand to each other. Exit code 1 when they part, or when one is not what its key signed; 2 for other logs. */
export async function compareCopies(ctx: Context, first: string, second: string, kindOf: (path: string) => Kind): Promise<void> {
  const home = stateHome()
  const compared = await withEvidence(first, kindOf(first), home, (a) => withEvidence(second, kindOf(second), home, (b) => compareLogs(a, b, progressLine(ctx, 'verifying'))))
  ctx.screen.progress('')
  const signed = compared.copies.every((copy) => copy.signed)
  ctx.exit = compared.relation === 'other' ? EXIT.failed : compared.relation === 'parted' || !signed ? EXIT.tampering : EXIT.fine
  if (ctx.json) {
    const { relation, common, parted_at, copies } = compared
    return ctx.screen.json({ relation, common, parted_at: parted_at ?? null, copies: copies.map(({ verdict, ...copy }, i) => ({ path: i === 0 ? first : second, ...copy, keys: verdict.keys, problems: verdict.problems })), exit_code: ctx.exit })
  }
  for (const line of lines(compared, [first, second], ctx.screen.columns)) ctx.screen.line(...line)
}

async function withEvidence<T>(path: string, kind: Kind, home: string, work: (evidence: Evidence) => Promise<T>): Promise<T> {
  if (kind === 'bundle') throw new MisuseError('compare_what', `cli: --against compares whole logs, got a bundle: ${path}`, 'name databases, archive folders or backup folders; verify the bundle by itself')
  if (kind === 'archive') {
    const files = archiveFolder(path)
    const evidence = await archiveEvidence(files)
    const kept = localKept(evidence.origin, home)
    return work(kept === undefined ? evidence : { ...(await archiveEvidence(files, kept.vkey)), own: kept.vkeys() })
  }
  if (kind === 'backup') return withBackup(path, { home }, work)
  const store = await openSqliteStore(path, { readOnly: true })
  try {
    return await store.read(async (view) => {
      const head = await view.head()
      if (head === undefined) throw new StoreError('no_log', `cli: ${path} holds no log`, 'name another file')
      const kept = keysFor(head.checkpoint, home)
      return work(await evidenceOf(view, undefined, kept === undefined ? undefined : { kept }))
    })
  } finally {
    await store.close()
  }
}

/** The keys that this machine keeps for the log, so that a copy under another one does not pass for signed. */
function keysFor(checkpoint: string, home: string): KeptKeys | undefined {
  try {
    return localKept(parseTreeHead(parseNote(checkpoint).text).origin, home)
  } catch (error) {
    if (error instanceof StoreError) throw error
    return undefined // verification says what is wrong with the checkpoint
  }
}

function lines(compared: Comparison, paths: readonly [string, string], columns: number): Line[] {
  const [a, b] = compared.copies
  const out: Line[] = [...copyLines('first', a, paths[0], columns), ...copyLines('second', b, paths[1], columns), []]
  const say = (span: (text: string) => Span, text: string): void => { out.push(...wrap(text, columns - 2).map((part): Line => ['  ', span(part)])) }
  const both = a.signed && b.signed
  switch (compared.relation) {
    case 'same': say(green, `the same ${plural(a.size, 'entry', 'entries')}`); break
    case 'first_longer':
    case 'second_longer': {
      const [longer, shorter, more] = compared.relation === 'first_longer' ? ['first', 'second', a.size - b.size] as const : ['second', 'first', b.size - a.size] as const
      say(green, `one log: the ${longer} goes on from the ${shorter} with ${count(more)} more`)
      break
    }
    case 'other': say(yellow, `two logs: ${a.origin} and ${b.origin}`); break
    case 'parted': {
      const common = compared.common === 0 ? 'they have no entry in common' : compared.common === 1 ? 'only #0 is the same' : `#0 to #${compared.common - 1} are the same`
      say(red, `they part at #${compared.parted_at}: ${common}`)
      for (const [i, name] of ['first', 'second'].entries()) say(grey, `#${compared.parted_at} of the ${name}: ${entrySays(compared.entries?.[i])}`)
      if (both) say(red, `both are signed by ${keyOf(a) === keyOf(b) ? 'the key' : 'keys of the log'}: two histories of one log were written, or one was rewritten`)
    }
  }
  if (!both) say(red, `${a.signed ? 'the second is' : b.signed ? 'the first is' : 'neither is'} ${a.signed || b.signed ? 'not ' : ''}what the key signed${a.signed || b.signed ? `: trust the ${a.signed ? 'first' : 'second'}` : ''}`)
  return out
}

function copyLines(name: string, { size, signed, verdict }: Compared, path: string, columns: number): Line[] {
  const last = verdict.recorded_at === undefined ? '' : `, the last recorded ${verdict.recorded_at}`
  const key = keyOf({ verdict })
  const says = `${plural(size, 'entry', 'entries')}${last} · ${signed ? `as the key${key === undefined ? '' : ` ${key}`} signed them` : verdict.properties.unchanged.says}`
  return [['  ', name.padEnd(8), bold(trailName(path))], ...wrap(says, columns - 10).map((text): Line => [' '.repeat(10), signed ? grey(text) : red(text)])]
}

/** The id of the key that signed its checkpoint. */
function keyOf({ verdict }: Pick<Compared, 'verdict'>): string | undefined {
  const newest = verdict.keys.at(-1)
  return newest === undefined ? undefined : idOf(newest.vkey)
}

function entrySays(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return 'not there'
  try {
    const { event_type, recorded_at, session_id } = parseEntry(bytes).entry
    return `${event_type} of session ${session_id.slice(-8)}, recorded ${recorded_at}`
  } catch {
    return 'not an entry that this version can read'
  }
}
