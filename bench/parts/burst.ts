// 5,000 of them in one tick, and then everything that was put off.

import { measureCallers } from '../callers.ts'
import { showCallers } from '../caller-table.ts'
import type { Part } from '../part.ts'

export const part: Part = {
  order: 20,
  about: '5,000 of them in one tick, processor time counted until all is settled',
  run: measureCallers({ load: 'model', count: 5_000, slowCount: 200, warm: 300, everyMs: 0, sessions: 1 }, { count: 200, slowCount: 10, warm: 20 }),
  show: showCallers('A burst of 5,000 of them in one tick (classic: of 200)'),
}
