// Linear cost over a long session; the fast suite has 100 steps.

import { expect, test } from 'vitest'
import { conversation, readInputs, recordGrowing, report } from '../growing.ts'
import { scratch } from '../scratch.ts'

test('1,000 steps take 1/150 of logging the messages in full, and read back exactly', async () => {
  const { db, home } = scratch()
  const seed = Number(process.env.SEED ?? 1)
  const grown = await recordGrowing(db, home, 1_000, seed)
  process.stdout.write(report(1_000, grown))
  expect(grown.full / grown.stored).toBeGreaterThanOrEqual(150)
  const messages = conversation(1_000, seed)
  const read = (await readInputs(db, home)) as unknown[][]
  expect(read.map((list) => list.length)).toEqual(Array.from({ length: 1_000 }, (_, i) => 2 * i + 1))
  for (const [i, list] of read.entries()) expect(list).toEqual(messages.slice(0, 2 * i + 1))
})
