// Rotates the key of a log, to be killed at its n-th step: `node rotate-child.ts DATABASE HOME N`.

import { killAt, steps } from './kill-at.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { Ledger } from '../src/ledger/ledger.ts'

const [db = '', home = '', n = ''] = process.argv.slice(2)
const ledger = await Ledger.open({ open: () => openSqliteStore(db), home })
killAt(Number(n))
await ledger.rotate()
process.stdout.write(`rotated in ${steps()} steps`)
process.kill(process.pid, 'SIGKILL')
