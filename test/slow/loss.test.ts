// What is lost, in every ending on every disk. LOSS=5000 for the bursts of the full run.

import { afterAll, describe, expect, test } from 'vitest'
import { DISKS, ENDS, laboratory, PACES, shown, type Cell } from '../loss.ts'

const BURST = Number(process.env['LOSS'] ?? 600)
const PACED = Math.min(BURST, 200)
/** Cells at once. */
const AT_ONCE = 3

const lab = await laboratory()
const table = new Map<string, Map<string, Cell>>()

afterAll(() => {
  lab.close()
  const width = Math.max(...[...table.values()].flatMap((row) => [...row.values()].map((cell) => shown(cell).length)), 9) + 1
  const lines = [...table].map(([name, row]) => `${name.padEnd(24)}${Object.keys(ENDS).map((end) => shown(row.get(end)!).padStart(width)).join('')}`)
  process.stderr.write(`\non record of those accepted; g: refused, and named by a gap; r: refused last of all, and reported\n${''.padEnd(24)}${Object.keys(ENDS).map((end) => end.padStart(width)).join('')}\n${lines.join('\n')}\n`)
  for (const [disk, why] of Object.entries(lab.missing)) process.stderr.write(`skipped: ${disk}: ${why}\n`)
})

describe.each(PACES)('%s', (pace) => {
  const events = pace === 'burst' ? BURST : PACED
  for (const disk of DISKS) {
    test.skipIf(lab.missing[disk] !== undefined)(`on a disk that is ${disk}, everything accepted is on record, once and in order, after every ending`, async () => {
      const row = new Map<string, Cell>()
      const left = Object.keys(ENDS)
      await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        for (let end = left.shift(); end !== undefined; end = left.shift()) row.set(end, await lab.cell(pace, disk, end, events))
      }))
      table.set(`${pace}, ${disk}`, row)
      for (const [end, cell] of row) {
        const at = `${pace}, ${disk}, ${end}: ${shown(cell)}\n${cell.stderr}`
        expect(cell.recordedToTheEnd, at).toBe(true)
        expect(cell.issued, at).toBe(events)
        expect(cell.recorded, at).toEqual(cell.accepted)
        expect(cell.whole, at).toBe(true)
        expect(cell.gaps + cell.last, at).toBe(cell.refused)
        if (disk !== 'gone') expect(cell.stderr.includes('counterfoil: '), at).toBe(cell.refused > 0) // that it is gone is told where there is time for it
        expect(cell.slowed, at).toBe(disk === '50 ms an fsync')
        expect(cell.ended, at).toBe(await bare(end))
        if (disk === 'read-only' || disk.startsWith('full')) expect(cell.refused, at).toBeGreaterThan(0)
        else expect(cell.refused, at).toBe(0)
        if (disk === 'full, room again') expect([cell.last, cell.gaps > 0], at).toEqual([0, true])
      }
    })
  }
})

test.skipIf(lab.missing['read-only'] !== undefined)('a disk that fails and drops what it was not asked to keep has everything that had a receipt', async () => {
  const { receipts, recorded, whole } = await lab.failing(300)
  expect(receipts.length).toBe(300)
  expect(recorded.slice(0, 300)).toEqual(receipts)
  expect(new Set(recorded).size).toBe(recorded.length)
  expect(whole).toBe(true)
  process.stderr.write(`a disk that fails: ${receipts.length} receipts, all on record; of 200 that had none, ${recorded.length - 300}\n`)
})

const bares = new Map<string, Promise<string>>()
/** How the process ends without us. */
function bare(end: string): Promise<string> {
  return bares.get(end) ?? bares.set(end, lab.bare(end)).get(end)!
}
