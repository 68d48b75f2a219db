// As test/interop.test.ts, over as many trees as one believes: TREES=… gives another number.

import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { askChanged, buildGo, compareTrees, noGo, treesAsked } from '../interop/go.ts'

const { count, seed } = treesAsked(10_000)

test.skipIf(noGo !== undefined)(`golang.org/x/mod and we agree on ${count} random trees${noGo === undefined ? '' : ` (skipped: ${noGo})`}`, async () => {
  const programs = buildGo()
  try {
    await compareTrees(programs, count, seed)
    expect((await askChanged(programs, Math.min(count, 1_000), seed)).taken).toEqual([])
  } finally {
    rmSync(programs, { recursive: true, force: true })
  }
})
