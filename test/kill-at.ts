// For a child process that is to be killed at its n-th step: every call that changes a file, and every statement of SQLite's that begins or ends a
// transaction, counts as one, before it is made. Import it first.

import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { DatabaseSync } from 'node:sqlite'

let left = Infinity
let done = 0

/** From now on: dies with SIGKILL before the `n`-th step. */
export function killAt(n: number): void {
  left = n
}

/** How many steps were made. */
export function steps(): number {
  return done
}

function step(): void {
  if (left === Infinity) return
  done++
  if (--left <= 0) process.kill(process.pid, 'SIGKILL')
}

const functions = fs as unknown as { [name: string]: (...args: unknown[]) => unknown }
for (const name of ['renameSync', 'linkSync', 'unlinkSync', 'rmSync', 'writeSync', 'fsyncSync']) {
  const real = functions[name]!
  functions[name] = (...args) => {
    step()
    return real(...args)
  }
}
syncBuiltinESMExports()

const exec = DatabaseSync.prototype.exec
DatabaseSync.prototype.exec = function (sql: string) {
  if (/^(?:BEGIN|COMMIT)/.test(sql)) step()
  return exec.call(this, sql)
}
