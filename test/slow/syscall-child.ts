// Does one thing to a log after another, each when it is told, so that a tracer can be set on it in between. Lines on its standard input: a folder and what to do
// there (`append`, `birth`, `spool`, `drain`, `erase`, `close`), then `go`, then `more`. What it was promised it says as `power-child.ts` does; `ready`, `end` and `closed` are its own.

import { readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { encodeDraft } from '../../src/event/draft.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { createSpool, type SpoolWriter } from '../../src/spool/writer.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../../src/vault/spool-key.ts'
import { handed, run, Telling, text } from '../sample-log.ts'

function say(word: string, told: unknown = null): void {
  writeSync(1, `${word} ${JSON.stringify(told)}\n`)
}

function heard(): string {
  const bytes: number[] = []
  const one = Buffer.alloc(1)
  for (;;) {
    if (readSync(0, one, 0, 1, null) === 0) process.exit(0)
    if (one[0] === 10) return Buffer.from(bytes).toString()
    bytes.push(one[0]!)
  }
}

async function open(folder: string): Promise<Ledger> {
  const [db, home] = [join(folder, 'data', 'log.db'), join(folder, 'state', 'counterfoil')]
  return Ledger.open({ open: () => openSqliteStore(db, { waitMs: 1_000 }), home, spools: { folder: join(folder, 'data', 'spools', 'of', 'agents'), key: openSpoolKey(home) } })
}

async function append(ledger: Ledger, tell: Telling): Promise<void> {
  const drafts = [...run(tell, { user: 'jonas.weidenfeld', order: '2045' }).drafts, tell.draft('final_output', {}, { output: text('of another', { k: 1 }) })]
  say('batch', drafts.map(({ event_id }) => event_id))
  const answers = await ledger.append(handed(...drafts))
  for (const [i, answer] of answers.entries()) if ('index' in answer) say('durable', { event_id: drafts[i]!.event_id, ...answer })
}

async function attempt(what: () => unknown): Promise<void> {
  try {
    await what()
  } catch (error) {
    const { code, next, message } = error as { code?: string; next?: string; message: string }
    say('failed', { code, next, message })
  }
}

for (;;) {
  const [folder = '', what = ''] = heard().split(' ')
  const tell = new Telling(undefined, Date.now())
  let ledger = what === 'birth' || what === 'drain' ? undefined : await open(folder)
  let spool: SpoolWriter | undefined
  const session = ledger === undefined ? '' : [...(await ledger.read((view) => view.listSessions({ limit: 2 })))].map(({ session_id }) => session_id).find((id) => id !== ledger!.ownSession) ?? ''
  if (what === 'spool') spool = createSpool(join(folder, 'data', 'spools', 'of', 'agents'), { origin: SPOOL_ORIGIN, key: openSpoolKey(join(folder, 'state', 'counterfoil')) })
  say('ready')
  heard()
  await attempt(async () => {
    if (what === 'append') await append(ledger!, tell)
    else if (what === 'birth' || what === 'drain') ledger = await open(folder)
    else if (what === 'erase') {
      await ledger!.erase({ session_ids: [session], reason: 'asked for' })
      say('erased', { session, text: 'ingrid.maximova', bytes: [] })
    } else if (what === 'close') await ledger!.close()
    else {
      const drafts = run(tell, { user: 'petra.quandt', order: '7' }).drafts
      for (const draft of drafts) spool!.append(encodeDraft(draft))
      await spool!.sync()
      for (const { event_id } of drafts) say('spooled', event_id)
    }
  })
  say('end')
  heard()
  await attempt(async () => {
    ledger ??= await open(folder)
    if (what !== 'close') await append(ledger, new Telling(undefined, Date.now()))
  })
  spool?.close()
  await ledger?.close().catch(() => undefined)
  say('closed')
}
