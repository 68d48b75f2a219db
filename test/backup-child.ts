// One process of a backup's test: `write DB HOME` appends and renews until it is killed, `backup DB HOME FOLDER` and `restore FOLDER DB HOME` run once.

import { backUp } from '../src/ledger/backup.ts'
import { restoreBackup } from '../src/ledger/restore.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { appendRun, openKeyring, openLog, originAt, Telling } from './sample-log.ts'

const [what, ...args] = process.argv.slice(2)
if (what === 'write') {
  const [db = '', home = ''] = args
  const ledger = await openLog({ folder: '', db, home }, { clock: Date.now, waitMs: 20_000 })
  for (let n = 0; ; n++) {
    await appendRun(ledger, new Telling(undefined, Date.now()), { user: `user-${process.pid}-${n}`, order: String(n), end: n % 3 !== 0 })
    if (n % 4 === 3) await ledger.renewKek().catch(() => undefined) // another process may be at it
    if (n === 1) process.stdout.write('writing\n')
  }
} else if (what === 'backup') {
  const [db = '', home = '', folder = ''] = args
  const store = await openSqliteStore(db, { readOnly: true })
  await backUp(store, openKeyring(originAt({ db }), home), folder, { keys: true })
  await store.close()
} else {
  const [folder = '', db = '', home = ''] = args
  await restoreBackup(folder, db, { home })
}
