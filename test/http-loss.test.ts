// Some cells of the loss matrix's HTTP axis; all of them in slow/http-loss.test.ts.

import { expect, test } from 'vitest'
import { httpCell, type Network } from './http-loss.ts'
import { testServer } from './served.ts'

test.for<[Network, string]>([['fast', 'exit'], ['503, then back', 'throw'], ['down', 'SIGTERM']])('%s, %s: what was accepted is on record, once and in order', async ([network, end]) => {
  const cell = await httpCell(await testServer(), network, end, 100)
  expect([cell.issued, cell.accepted.length, /^counterfoil: /m.test(cell.stderr)]).toEqual([100, 100, false])
  expect(cell.recorded).toEqual(cell.accepted)
})
