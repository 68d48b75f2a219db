// One measurement in a process of its own, so that no contender's heap, garbage or compiled code touches another's.
//
//   node bench/child.ts SPEC     the result goes to file descriptor 3, as JSON

import { writeSync } from 'node:fs'
import { contenderNamed } from './contenders/all.ts'
import type { Spec } from './spec.ts'

const spec = JSON.parse(process.argv[2]!) as Spec
const contender = contenderNamed(spec.contender)
const { measure } = (await import(`./modes/${spec.mode}.ts`)) as { measure: (spec: Spec, of: typeof contender) => Promise<unknown> }
const result = await measure(spec, contender)
// an ending is left to itself: whatever is still running decides when this process is gone
if (spec.mode !== 'ending') {
  writeSync(3, JSON.stringify(result))
  process.exit(0)
}
