// Changes what the keys of a log are under, to be killed at its n-th step: `node protect-child.ts ORIGIN HOME OLD NEW N`, '' for no passphrase.

import { killAt, steps } from './kill-at.ts'
import { openKeyring } from '../src/vault/keyring.ts'

const [origin = '', home = '', old = '', next = '', n = ''] = process.argv.slice(2)
const keyring = openKeyring(origin, home, old === '' ? {} : { passphrase: old })
killAt(Number(n))
if (next === '') keyring.unprotect()
else keyring.protect(next, { logN: 14, r: 8, p: 1 })
process.stdout.write(String(steps()))
process.kill(process.pid, 'SIGKILL')
