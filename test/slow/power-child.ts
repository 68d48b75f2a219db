// What happens to a log before the power goes: `node power-child.ts FOLDER agent | upkeep`. It says on its standard output what it was promised, in lines of a word and
// JSON: `durable`, `spooled`, `accepted` events, `erased` content, a `renewed` or `rotated` key, a `backup` or an `archive` that is written.

import { readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { writableFolder } from '../../src/archive/folder.ts'
import { writeArchive } from '../../src/archive/write.ts'
import { archiveSource } from '../../src/cli/archive-source.ts'
import { encodeDraft, type Draft } from '../../src/event/draft.ts'
import { backUp } from '../../src/ledger/backup.ts'
import { openLedger } from '../../src/ledger/handle.ts'
import { appendRun, json, openLog, run, Telling, text } from '../sample-log.ts'

const [folder = '', what = ''] = process.argv.slice(2)
const db = join(folder, 'data', 'log.db')
const home = join(folder, 'state', 'counterfoil')

function say(word: string, told: unknown): void {
  writeSync(1, `${word} ${JSON.stringify(told)}\n`)
}

/** What only the content of these sessions has: the wrapped secrets, and the ends of the segments. */
function bytesOf(...sessions: readonly string[]): string[] {
  using database = new DatabaseSync(db, { readOnly: true })
  return sessions.flatMap((session) => database.prepare('SELECT hex(wrapped) AS hex FROM scopes WHERE session_id = ?1 UNION ALL SELECT hex(substr(bytes, -32)) FROM segments WHERE scope IN (SELECT scope FROM scopes WHERE session_id = ?1)').all(session).map(({ hex }) => String(hex).slice(-64)))
}

/** Recorders and their worker, as in an agent's process: two times opened and closed, a third time left as it is. */
async function agent(): Promise<void> {
  let late: Telling | undefined
  for (let round = 0; round < 3; round++) {
    const ledger = openLedger(db, { home, spool: join(folder, 'data', 'spools', 'of', 'agents') })
    const accept = (...drafts: readonly Draft[]): void => {
      for (const draft of drafts) {
        ledger.accept(draft.event_id, encodeDraft(draft))
        say('accepted', draft.event_id)
      }
    }
    const durable = async (...drafts: readonly Draft[]): Promise<void> => {
      accept(...drafts)
      await Promise.all(drafts.map(async ({ event_id }) => say('durable', await ledger.reach(event_id, 'durable'))))
    }
    const spooled = async (...drafts: readonly Draft[]): Promise<void> => {
      accept(...drafts)
      await Promise.all(drafts.map(async ({ event_id }) => say('spooled', (await ledger.reach(event_id, 'spooled')).event_id)))
    }
    const now = Date.now()
    const [tell, other, forgotten] = [new Telling(undefined, now), new Telling(undefined, now + 1), new Telling(undefined, now + 2)]
    const first = run(tell, { user: 'jonas.weidenfeld', order: '2045' }).drafts
    await durable(first[0]!)
    await durable(...first.slice(1))
    for (let i = 0; i < 4; i++) {
      accept(tell.draft('reasoning', { kind: 'author_stated' }, { text: text(`nobody waits for this: ${i}`) }))
      await durable(tell.draft('final_output', {}, { output: text(`${i} `.repeat(500 * i)) }), tell.draft('reasoning', { kind: 'author_stated' }, { text: text(`step ${i}`) }))
    }
    if (round !== 1) { // in one round nothing syncs the folder of spools but what has to
      // while another holds the log, the spool is all that there is
      using busy = new DatabaseSync(db, { timeout: 5_000 })
      busy.exec('BEGIN IMMEDIATE')
      await spooled(other.draft('session_start', { agent_id: 'bot' }, { user_message: text('a message in the spool') }), other.draft('reasoning', { kind: 'author_stated' }, { text: text('and another') }))
      accept(other.draft('reasoning', { kind: 'author_stated' }, { text: text('not synced '.repeat(200)) }))
      busy.exec('ROLLBACK')
    }
    await durable(...run(forgotten, { user: `ingrid.maximova.${round}`, order: '1182' }).drafts, forgotten.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' }))
    const bytes = bytesOf(forgotten.session_id)
    await ledger.call('erase', { session_ids: [forgotten.session_id], reason: 'asked for' })
    say('erased', { session: forgotten.session_id, text: `ingrid.maximova.${round}`, bytes })
    if (late !== undefined) {
      // what was recorded in a spool that is removed since
      const bytes = bytesOf(late.session_id)
      await ledger.call('erase', { session_ids: [late.session_id], reason: 'asked for' })
      say('erased', { session: late.session_id, text: `marta.lindqvist.${round - 1}`, bytes })
    }
    late = new Telling(undefined, now + 3)
    await durable(...run(late, { user: `marta.lindqvist.${round}`, order: '7' }).drafts)
    if (round !== 1) await durable(other.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' }))
    await durable(tell.draft('tool_call', { tool_name: 'refund', risk: 'high' }, { tool_input: json({ order: 2045 }) }))
    await sleep(20)
    if (round < 2) await ledger.close()
    else accept(tell.draft('reasoning', { kind: 'author_stated' }, { text: text('the last thing that it thought') }))
  }
  process.exit(0)
}

/** Keys renewed and rotated, content erased, copies made, by a ledger without its worker. */
async function upkeep(): Promise<void> {
  const where = { folder, db, home }
  let ledger = await openLog(where, { clock: Date.now })
  const tells = [0, 1, 2, 3].map((n) => new Telling(undefined, Date.now() + n))
  const durable = async (tell: Telling): Promise<void> => {
    for (const { event_id } of Object.values(await appendRun(ledger, tell, { user: 'petra.quandt', order: '3307' }))) say('durable', { event_id, ...(await ledger.find(event_id)) })
  }
  const keys = join(home, readdirSync(home).find((name) => !name.includes('.key'))!)
  const bodyOf = (name: string): string => readFileSync(join(keys, name), 'utf8').trim().split(/\s+/).at(-1)!
  await durable(tells[0]!)
  const kek = bodyOf('kek-1')
  await ledger.renewKek()
  say('renewed', { secret: kek })
  await durable(tells[1]!)
  const key = bodyOf('log.key')
  await ledger.rotate()
  say('rotated', { secret: key })
  await durable(tells[2]!)
  const out = join(folder, 'out', 'copies')
  await backUp(ledger.store, ledger.keyring, join(out, 'backup'), { keys: true })
  say('backup', { path: 'out/copies/backup', size: ledger.head!.size })
  await ledger.read(async (view) => writeArchive(await writableFolder(join(out, 'archive')), await archiveSource(view)))
  say('archive', { path: 'out/copies/archive', size: ledger.head!.size })
  const bytes = bytesOf(tells[0]!.session_id)
  await ledger.erase({ session_ids: [tells[0]!.session_id], reason: 'asked for' })
  say('erased', { session: tells[0]!.session_id, text: 'a text that is nowhere', bytes })
  await ledger.close()
  ledger = await openLog(where, { clock: Date.now })
  await durable(tells[3]!)
  await ledger.close()
  say('closed', null)
}

await (what === 'agent' ? agent() : upkeep())
