// 64 sessions at once in one process, which record in turn.

import { measureCallers } from '../callers.ts'
import type { Part } from '../part.ts'

export const part: Part = {
  order: 32,
  about: 'the 5 KB call and result in 64 sessions in turn, one every 2 ms',
  run: measureCallers({ load: 'model', count: 400, slowCount: 200, warm: 320, everyMs: 2, sessions: 64 }, { count: 64, slowCount: 10, warm: 64 }),
  show: () => [], // stands in the table of the growing conversation, with the other loads
}
