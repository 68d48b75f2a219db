// The same of acts that come one by one, as an agent's do.

import { endingsTable, everyEnding, measureLosses, type LossData } from '../losses.ts'
import type { Part } from '../part.ts'

export const part: Part = {
  order: 51,
  about: 'the same, of 200 acts that come one by one',
  run: (options, keep) => measureLosses(options, everyEnding(options), ['paced'], 6, keep),
  show: (data: LossData) => endingsTable(`The same, of ${data.paced} acts ${data.everyMs} ms apart`, data, ['all: every act, call and result; … still sending after 60 s, then ended; · not measured.']),
}
