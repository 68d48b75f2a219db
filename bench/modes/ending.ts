// Records, awaits nothing, and ends in one of the ways in which processes end. For a signal it says that it is done and stays; the parent sends it.

import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contender } from '../contender.ts'
import { readActs } from '../load.ts'
import type { EndingSpec } from '../spec.ts'

export async function measure(spec: EndingSpec, contender: Contender): Promise<void> {
  const load = readActs(spec.acts)
  const recorder = await contender.open!(spec)
  for (let i = 0; i < load.length; i++) {
    recorder.record(load[i]!, i % spec.sessions)
    if (spec.everyMs > 0) await sleep(spec.everyMs)
  }
  writeSync(3, 'done')
  if (spec.ending === 'closed') {
    await recorder.settle()
    await recorder.close()
  } else if (spec.ending === 'exit') process.exit(0)
  else if (spec.ending === 'throw') process.nextTick(() => { throw new Error('the agent fell over') })
  else if (spec.ending !== 'end') {
    setInterval(() => {}, 1_000)
    if (spec.ending === 'reject') void Promise.reject(new Error('nobody caught this'))
  }
}
