// The slow suites' one source of chance: SEED from the environment, or a new one, printed so that a failing
// run can be repeated. Tests read `process.env.SEED`.

import { randomInt } from 'node:crypto'

/** Runs once before the slow suites, in vitest's own process; its workers inherit the environment. */
export default function printSeed(): void {
  const seed = (process.env.SEED ??= String(randomInt(2 ** 31)))
  process.stderr.write(`seed ${seed} (SEED=${seed} npm run test:slow repeats this run)\n`)
}
