// Two of the endings; the others, and 5,000 events each, in slow/endings.test.ts.

import { describe, expect, test } from 'vitest'
import { end, onRecord, upTo } from './ending.ts'
import { scratch } from './scratch.ts'

describe('what was accepted is on record, once, after', () => {
  test.each(['its natural end', 'SIGKILL from outside'])('%s, and the process ends as without us', async (name) => {
    const at = scratch()
    const [with_, without] = await Promise.all([end(name, at.db, at.home, 2_000), end(name, '', at.home, 0)])
    expect(with_).toEqual(without)
    expect(await onRecord(at)).toEqual({ numbers: upTo(2_000), states: ['interrupted'], whole: true, interrupted: 1 })
    expect(await onRecord(at)).toEqual({ numbers: upTo(2_000), states: ['interrupted'], whole: true, interrupted: 1 })
  })
})
