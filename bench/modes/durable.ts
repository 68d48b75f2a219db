// Events a second, until all of them are on the disk; and how long one act waits for it when it is alone.

import type { Contender } from '../contender.ts'
import { readActs } from '../load.ts'
import type { DurableResult, DurableSpec } from '../spec.ts'

export async function measure(spec: DurableSpec, contender: Contender): Promise<DurableResult> {
  const all = readActs(spec.acts)
  const [load, warm] = [all.slice(0, spec.count + spec.alone), all.slice(spec.count + spec.alone)]
  const recorder = await contender.open!(spec)
  for (const act of warm) recorder.record(act, 0)
  await recorder.settle()
  globalThis.gc?.()
  const began = process.hrtime.bigint()
  for (let i = 0; i < spec.count; i++) recorder.record(load[i]!, i % spec.sessions)
  await recorder.settle()
  const seconds = Number(process.hrtime.bigint() - began) / 1e9
  const aloneUs: number[] = []
  for (let i = spec.count; i < load.length; i++) {
    const from = process.hrtime.bigint()
    recorder.record(load[i]!, 0)
    await recorder.settle()
    aloneUs.push(Number(process.hrtime.bigint() - from) / 1_000)
  }
  await recorder.close()
  return { perSecond: (2 * spec.count) / seconds, aloneUs }
}
