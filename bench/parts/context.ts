// A long context: 200 KB of messages in, 4 KB out, one every 10 ms; no two calls have a message in common.

import { measureCallers } from '../callers.ts'
import type { Part } from '../part.ts'

export const part: Part = {
  order: 31,
  about: 'a call with 200 KB of context and its result, one every 10 ms',
  run: measureCallers({ load: 'context', count: 80, slowCount: 80, warm: 10, everyMs: 10, sessions: 1 }, { count: 10, slowCount: 5, warm: 2 }),
  show: () => [], // stands in the table of the growing conversation, with the other loads
}
