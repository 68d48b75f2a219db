// What is lost between an agent and a server, in every ending on every network. LOSS=5000 for the events of the full run.

import { afterAll, expect, test } from 'vitest'
import { openTrail } from '../../src/index.ts'
import { HTTP_ENDS, httpCell, NETWORKS } from '../http-loss.ts'
import { testServer } from '../served.ts'

const EVENTS = Number(process.env['LOSS'] ?? 200)
const table = new Map<string, string[]>()

afterAll(() => {
  process.stderr.write(`\non record of those accepted; in brackets, of those how many the next process sent\n${''.padEnd(18)}${HTTP_ENDS.map((end) => end.padStart(21)).join('')}\n${[...table].map(([network, row]) => `${network.padEnd(18)}${row.map((cell) => cell.padStart(21)).join('')}`).join('\n')}\n`)
})

test.for(NETWORKS)('on a network that is %s, everything accepted is on record, once and in order, after every ending', { timeout: 600_000 + 200 * EVENTS }, async (network) => {
  const server = await testServer()
  const row: string[] = []
  for (const end of HTTP_ENDS) {
    const cell = await httpCell(server, network, end, EVENTS)
    const at = `${network}, ${end}: ${cell.stderr}`
    row.push(`${cell.recorded.length} of ${cell.accepted.length} (${cell.left})`)
    expect(cell.issued, at).toBe(EVENTS)
    expect(cell.accepted.length, at).toBe(EVENTS)
    expect(cell.recorded, at).toEqual(cell.accepted)
    expect(cell.ended, at).toBe({ end: '0', exit: '3', throw: '1', rejection: '1' }[end as string] ?? end)
    if (network === 'down') expect(cell.left, at).toBe(EVENTS)
  }
  table.set(network, row)
  await using trail = openTrail(server.db, { home: server.home })
  expect((await trail.verify()).whole).toBe(true)
})
