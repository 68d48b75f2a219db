// What must be true of a log when the power comes back: all that was promised before the cut is there, everything verifies, nothing that was erased can
// be read, and the log goes on.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { toBase64, toHex } from '../../src/base/bytes.ts'
import { verifyArchive } from '../../src/cli/archived.ts'
import { parseEntry } from '../../src/event/parse.ts'
import { evidenceOf } from '../../src/ledger/evidence.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { restoreBackup } from '../../src/ledger/restore.ts'
import { parseTreeHead } from '../../src/log/checkpoint.ts'
import { leafHash } from '../../src/log/hash.ts'
import { parseNote } from '../../src/log/note.ts'
import { TreeEdge } from '../../src/log/tree.ts'
import { listSpools } from '../../src/spool/folder.ts'
import { readSpool } from '../../src/spool/reader.ts'
import { MAX_HEADER_BYTES, parseHeader } from '../../src/spool/record.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../../src/vault/spool-key.ts'
import { verifyLog } from '../../src/verify/verify.ts'
import { Telling, text } from '../sample-log.ts'
import type { Remains } from './disk.ts'

interface Receipt { readonly event_id: string; readonly index: number; readonly entry_hash: string; readonly checkpoint: string }
interface Erased { readonly session: string; readonly text: string; readonly bytes: readonly string[] }

/** Where the child's spools are, beside the database. */
const SPOOLS = 'spools/of/agents'

/** What a process was promised, and said so. */
export class Promises {
  readonly durable: Receipt[] = []
  readonly spooled: Set<string> = new Set()
  readonly accepted: Set<string> = new Set()
  readonly batches: (readonly string[])[] = []
  readonly erased: Erased[] = []
  readonly gone: string[] = []
  backup: string | undefined
  archive: { path: string; size: number } | undefined

  hear(line: string): void {
    const word = line.slice(0, line.indexOf(' '))
    const told = JSON.parse(line.slice(word.length)) as never
    if (word === 'durable') this.durable.push(told)
    else if (word === 'spooled') this.spooled.add(told)
    else if (word === 'accepted') this.accepted.add(told)
    else if (word === 'batch') this.batches.push(told)
    else if (word === 'erased') this.erased.push(told)
    else if (word === 'renewed' || word === 'rotated') this.gone.push((told as { secret: string }).secret)
    else if (word === 'backup') this.backup = (told as { path: string }).path
    else if (word === 'archive') this.archive = told
    else if (word !== 'closed') throw new Error(`nothing is known of ${line.slice(0, 80)}`)
  }

  /** How many of them there are. */
  get count(): number {
    return this.durable.length + this.spooled.size + this.erased.length + this.gone.length + (this.backup === undefined ? 0 : 1) + (this.archive === undefined ? 0 : 1)
  }
}

/** What is wrong with `folder`, where `remains` of a log were laid out: one sentence each. */
export async function wrongWith(folder: string, remains: Remains, promised: Promises): Promise<string[]> {
  const wrong: string[] = []
  const [data, home] = [join(folder, 'data'), join(folder, 'state', 'counterfoil')]
  const readable = [...remains.files].filter(([path]) => !path.startsWith('out/') && !path.endsWith('-shm')).map(([, bytes]) => bytes ?? Buffer.alloc(0))
  for (const { session, text: forgotten, bytes } of promised.erased) {
    for (const hex of bytes) if (readable.some((file) => file.includes(Buffer.from(hex, 'hex')))) wrong.push(`a secret or a segment of ${session}, which was erased, is there`)
    for (const found of spooledTexts(data, home)) if (found.includes(forgotten)) wrong.push(`what was erased with ${session} can be read in a spool`)
  }
  // keys are overwritten before they are unlinked: not even a file without a name may hold one
  for (const secret of promised.gone) if ([...readable, ...remains.lost].some((file) => file.includes(secret))) wrong.push('a key that was destroyed is there')
  try {
    wrong.push(...(await wrongWithLog(data, home, promised)))
  } catch (error) {
    wrong.push(`the log does not open, or does not go on: ${String((error as Error).message)}`)
  }
  try {
    await checkCopies(folder, home, promised)
  } catch (error) {
    wrong.push(`a copy that was finished is not whole: ${String((error as Error).message)}`)
  }
  return wrong
}

async function wrongWithLog(data: string, home: string, promised: Promises): Promise<string[]> {
  const wrong: string[] = []
  const db = join(data, 'log.db')
  const ledger = await Ledger.open({ open: () => openSqliteStore(db), home, spools: { folder: join(data, SPOOLS), key: openSpoolKey(home) } })
  try {
    const found = new Map<string, { index: number; hash: string }>()
    const roots = new Map<number, string>()
    const edge = new TreeEdge()
    const { entries, size } = await ledger.read(async (view) => {
      const { size } = (await view.head())!
      return { entries: await view.entries(0, size), size }
    })
    for (const { index, entry } of entries) {
      const { event_id } = parseEntry(entry).entry
      if (found.has(event_id)) wrong.push(`event ${event_id} is there twice`)
      found.set(event_id, { index, hash: toBase64(leafHash(entry)) })
      edge.append([leafHash(entry)])
      roots.set(index + 1, toHex(edge.root()))
    }
    for (const { event_id, index, entry_hash, checkpoint } of promised.durable) {
      const got = found.get(event_id)
      if (got === undefined) wrong.push(`event ${event_id} was durable at #${index}, and of ${size} entries it is none`)
      else if (got.index !== index || got.hash !== entry_hash) wrong.push(`event ${event_id} was durable at #${index} and is at #${got.index}`)
      const signed = parseTreeHead(parseNote(checkpoint).text)
      if (roots.get(signed.size) !== toHex(signed.root)) wrong.push(`the receipt of ${event_id} has a checkpoint of another log`)
    }
    for (const event_id of promised.spooled) if (!found.has(event_id)) wrong.push(`event ${event_id} was in a synced spool, and is not in the log`)
    for (const batch of promised.batches) {
      const there = batch.filter((event_id) => found.has(event_id)).length
      if (there !== 0 && there !== batch.length) wrong.push(`${there} of a batch of ${batch.length} are there`)
    }
    const verdict = await ledger.read(async (view) => verifyLog(await evidenceOf(view, ledger.keyring)))
    for (const { code, message } of verdict.problems) wrong.push(`${code}: ${message}`)
    const tell = new Telling(undefined, Date.now())
    const more = [tell.draft('session_start', { agent_id: 'bot' }, { user_message: text('is it all there?') }), tell.draft('final_output', {}, { output: text('it goes on') })]
    const answers = await ledger.append(more.map((draft) => ({ draft, writer: 'local' })))
    if (answers.some((answer, i) => !('index' in answer) || answer.index !== size + i)) wrong.push('what comes next has no place')
  } finally {
    await ledger.close()
  }
  return wrong
}

/** All that can be read in the spools with their key. */
function spooledTexts(data: string, home: string): string[] {
  if (!existsSync(join(home, 'spool.key'))) return []
  const key = openSpoolKey(home)
  return listSpools(join(data, SPOOLS)).flatMap((path) => {
    const texts: string[] = []
    for (const from of beginnings(path)) try {
      for (const { bytes } of readSpool(path, { origin: SPOOL_ORIGIN, key }, from)) texts.push(Buffer.from(bytes).toString())
    } catch {
      // torn, or overwritten: what comes after it is not to be read
    }
    return texts
  })
}

/** Where its first record may begin: after the header, or after what was overwritten. */
function beginnings(path: string): number[] {
  const bytes = readFileSync(path)
  const header = bytes[0] === 0 ? undefined : parseHeader(bytes.subarray(0, MAX_HEADER_BYTES))
  if (header === undefined) return []
  let at = header.bytes.length
  while (bytes[at] === 0) at++
  return [0, ...[0, 1, 2, 3].map((zeros) => at - zeros).filter((from) => from > header.bytes.length)] // a length begins with zeros
}

async function checkCopies(folder: string, home: string, { backup, archive }: Promises): Promise<void> {
  if (backup !== undefined) {
    const again = join(folder, 'again')
    const { verdict } = await restoreBackup(join(folder, backup), join(folder, 'again.db'), { home: again })
    if (verdict.problems.length > 0 || !readdirSync(again).some((name) => name.startsWith('counterfoil'))) throw new Error(verdict.problems.map(({ message }) => message).join('; '))
  }
  if (archive !== undefined) {
    const before = process.env['COUNTERFOIL_HOME']
    process.env['COUNTERFOIL_HOME'] = home
    try {
      const verdict = await verifyArchive(join(folder, archive.path), { progress: () => {} })
      if (verdict.problems.length > 0) throw new Error(verdict.problems.map(({ message }) => message).join('; '))
      if (verdict.checkpoint === '' || parseTreeHead(parseNote(verdict.checkpoint).text).size !== archive.size) throw new Error('it is of another size')
    } finally {
      process.env['COUNTERFOIL_HOME'] = before
    }
  }
}
