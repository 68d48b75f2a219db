// Small acts: a tool call and its result, 1 KB together, one every 2 ms.

import { measureCallers } from '../callers.ts'
import type { Part } from '../part.ts'

export const part: Part = {
  order: 30,
  about: 'a 1 KB tool call and its result, one every 2 ms',
  run: measureCallers({ load: 'tool', count: 400, slowCount: 200, warm: 300, everyMs: 2, sessions: 1 }, { count: 60, slowCount: 10, warm: 20 }),
  show: () => [], // stands in the table of the growing conversation, with the other loads
}
