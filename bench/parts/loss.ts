// What is there after the process has ended, for each way of ending: with a sink that answers at once for those that send.

import { contenderNamed } from '../contenders/all.ts'
import { cellText, measureLosses, type LossData, type Pace } from '../losses.ts'
import type { Part } from '../part.ts'
import { ENDINGS } from '../spec.ts'
import { tableText } from '../table.ts'

export const part: Part = {
  order: 50,
  about: 'what is there after each way of ending: a burst of 5,000 acts and 200 paced ones',
  run(options, keep) {
    const contenders = options.contenders.filter(({ kind }) => kind !== 'neither')
    const endings = options.quick ? (['end', 'throw', 'SIGKILL'] as const) : ENDINGS
    return measureLosses(options, contenders.flatMap((contender) => endings.map((ending) => ({ contender, sink: 'ok' as const, ending }))), { burst: 2, paced: 6 }, keep)
  },
  show({ burst, slowBurst, paced, everyMs, cells, left }: LossData) {
    const names = [...new Set(cells.map(({ contender }) => contender))].map(contenderNamed)
    const table = (pace: Pace, title: string, notes: readonly string[]): string[] => tableText({
      title,
      columns: ['', 'shut down', 'end', 'exit', 'throw', 'rejection', 'SIGTERM', 'SIGINT', 'SIGKILL'],
      rows: names.map(({ name, title }) => [title, ...ENDINGS.map((ending) => cellText(cells.find((cell) => cell.contender === name && cell.pace === pace && cell.ending === ending)))]),
      notes,
    })
    const broken = cells.filter(({ whole }) => whole === false).length
    return [
      ...table('burst', `Left after the process has ended: of a burst of ${burst.toLocaleString('en-US')} acts (classic: ${slowBurst})`, []),
      ...table('paced', `The same, of ${paced} acts paced ${everyMs} ms apart`, [
        'all: every act, call and result; … still sending after 60 s, then ended; · not measured.',
        ...(left === 0 ? [] : [`${left} cells were not reached in time.`]),
        ...(broken === 0 ? [] : [`! in ${broken} cells what was left did not verify.`]),
      ]),
    ]
  },
}
