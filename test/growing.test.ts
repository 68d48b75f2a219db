// Linear cost: an agent sends its whole conversation again at every step, and each message is stored once. 1,000 steps are in
// test/slow; lists of every shape are in lists.test.ts.

import { expect, test } from 'vitest'
import { conversation, readInputs, recordGrowing, report } from './growing.ts'
import { scratch } from './scratch.ts'

test('100 steps take a fifteenth of logging the messages in full, and read back exactly', async () => {
  const { db, home } = scratch()
  const grown = await recordGrowing(db, home, 100, 1)
  process.stdout.write(report(100, grown))
  expect(grown.full / grown.stored).toBeGreaterThanOrEqual(15)
  expect(Object.values(grown.parts).reduce((sum, bytes) => sum + bytes)).toBe(grown.stored) // every page is counted
  const messages = conversation(100, 1)
  expect(await readInputs(db, home)).toEqual(messages.flatMap((_, i) => (i % 2 === 0 ? [messages.slice(0, i + 1)] : [])))
})

test('the text is no easier to compress than prose', async () => {
  const { zstdCompressSync } = await import('node:zlib')
  const text = conversation(1, 1)[0]!.content
  expect(Buffer.byteLength(text) / zstdCompressSync(text).length).toBeLessThan(2)
})
