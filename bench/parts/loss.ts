// What is there after the process has ended, for each way of ending, of a burst in one tick; with a sink that answers at once for those that send.

import { endingsTable, everyEnding, measureLosses, type LossData } from '../losses.ts'
import type { Part } from '../part.ts'

export const part: Part = {
  order: 50,
  about: 'what is there after each way of ending, of a burst of 5,000 acts',
  run: (options, keep) => measureLosses(options, everyEnding(options), ['burst'], 2, keep),
  show: (data: LossData) => endingsTable(`Left after the process has ended: of a burst of ${data.burst.toLocaleString('en-US')} acts (classic: ${data.slowBurst})`, data, []),
}
