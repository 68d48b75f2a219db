// An agent at work: a 5 KB call and its result every 2 ms.

import { measureCallers } from '../callers.ts'
import { showCallers } from '../caller-table.ts'
import type { Part } from '../part.ts'

export const part: Part = {
  order: 10,
  about: 'the caller of a 5 KB call and result, one every 2 ms: time, event loop, processor, memory, bytes',
  run: measureCallers({ load: 'model', count: 700, slowCount: 200, warm: 300, everyMs: 2, sessions: 1 }, { count: 60, slowCount: 10, warm: 20 }),
  show: showCallers('The caller: a 5 KB LLM call and its result, one every 2 ms'),
}
