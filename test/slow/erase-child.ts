// Opens a log and does one thing with it, to be killed on the way: `node erase-child.ts FOLDER erase SESSION | renew | reader | write SESSION`.

import { DatabaseSync } from 'node:sqlite'
import { appendAll, openLog, place, Telling, text } from '../sample-log.ts'

const [folder = '', what = '', session = ''] = process.argv.slice(2)
const where = place(folder)

if (what === 'reader') {
  const db = new DatabaseSync(where.db, { readOnly: true })
  db.exec('BEGIN')
  db.prepare('SELECT count(*) FROM entries').get()
  process.stdout.write('reading\n')
  setTimeout(() => db.close(), Number(session))
} else {
  const ledger = await openLog(where, { waitMs: 10_000, clock: Date.now })
  process.stdout.write('open\n')
  if (what === 'erase') await ledger.erase({ session_ids: [session], reason: 'the customer asked' })
  if (what === 'renew') await ledger.renewKek()
  if (what === 'write') {
    const tell = new Telling(session)
    const until = Date.now() + 2_500
    while (Date.now() < until) await appendAll(ledger, [tell.draft('final_output', {}, { output: text(`written meanwhile, ${tell.seq}`) })])
  }
  await ledger.close()
  process.stdout.write('done\n')
}
