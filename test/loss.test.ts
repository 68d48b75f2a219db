// Some cells of the loss matrix; all of them, with 5,000 events, in slow/loss.test.ts.

import { afterAll, expect, test } from 'vitest'
import { laboratory, type DiskState, type Pace } from './loss.ts'

const lab = await laboratory()
afterAll(() => lab.close())

test.for<[Pace, DiskState, string]>([['burst', 'normal', 'exit'], ['burst', 'full, room again', 'SIGKILL'], ['paced', 'full', 'throw'], ['paced', 'read-only', 'end'], ['burst', 'gone', 'SIGTERM']])('%s, %s, %s: what was accepted is on record, the rest is counted', async ([pace, disk, end], { skip }) => {
  const missing = lab.missing[disk]
  if (missing !== undefined) skip(missing)
  const cell = await lab.cell(pace, disk, end, pace === 'burst' ? 600 : 60)
  expect(cell.recorded).toEqual(cell.accepted)
  expect(cell).toMatchObject({ recordedToTheEnd: true, issued: pace === 'burst' ? 600 : 60, whole: true, ended: await lab.bare(end) })
  expect(cell.gaps + cell.last).toBe(cell.refused)
  expect(cell.refused > 0).toBe(disk !== 'normal' && disk !== 'gone')
  if (cell.refused > 0) expect(cell.stderr).toMatch(/^counterfoil: spool: /m)
})
