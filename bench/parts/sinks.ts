// The same for those that send, when the server is slow, answers 503 or is not there. Their best endings only: shut down in the documented
// way, and the natural end.

import { cellText, contendersOf, measureLosses, type LossData } from '../losses.ts'
import type { Part } from '../part.ts'
import { tableText } from '../table.ts'

const KINDS = ['slow', '503', 'down'] as const
const COLUMNS = [['burst', 'closed'], ['burst', 'end'], ['paced', 'closed'], ['paced', 'end']] as const
const SAID = { slow: 'answers after 100 ms', '503': 'answers 503', down: 'nobody listens' }

export const part: Part = {
  order: 52,
  about: 'the same for those that send, to a server that is slow, answers 503 or is down',
  run(options, keep) {
    const senders = options.contenders.filter(({ kind }) => kind === 'sends')
    return measureLosses(options, KINDS.flatMap((sink) => senders.flatMap((contender) => (['closed', 'end'] as const).map((ending) => ({ contender, sink, ending })))), ['burst', 'paced'], 8, keep)
  },
  show({ burst, paced, cells, left }: LossData) {
    if (cells.length === 0) return []
    const names = contendersOf(cells)
    return tableText({
      title: `Delivered by those that send when the server is not well: of a burst of ${burst.toLocaleString('en-US')} acts, and of ${paced} paced ones`,
      columns: ['', 'server', 'burst, shut down', 'burst, end', 'paced, shut down', 'paced, end'],
      rows: KINDS.flatMap((sink) => names.map(({ name, title }) => [title, SAID[sink], ...COLUMNS.map(([pace, ending]) => cellText(cells.find((cell) => cell.contender === name && cell.sink === sink && cell.pace === pace && cell.ending === ending)))])),
      notes: left === 0 ? [] : [`${left} cells were not reached in time.`],
    })
  },
}
