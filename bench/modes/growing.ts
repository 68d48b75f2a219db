// A conversation that grows by two messages a step, sent whole at each step as agents do; beside it one JSON.stringify of the same request.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { conversation } from '../../test/growing.ts'
import type { Contender, Recorder } from '../contender.ts'
import { flat, modelAct, type Message } from '../load.ts'
import type { GrowingResult, GrowingSpec } from '../spec.ts'

export async function measure(spec: GrowingSpec, contender: Contender): Promise<GrowingResult> {
  // whoever commits each event is no faster when warm
  for (const seed of contender.slow === true ? [] : [1, 2]) {
    const folder = join(spec.folder, `../warm-${seed}`)
    mkdirSync(folder)
    const recorder = await contender.open!({ ...spec, folder })
    await run(recorder, messagesOf(spec.steps, spec.seed + seed), spec.steps)
    await recorder.settle()
    await recorder.close()
  }
  const messages = messagesOf(spec.steps, spec.seed)
  const recorder = await contender.open!(spec)
  const result = await run(recorder, messages, spec.steps)
  await recorder.settle()
  await recorder.close()
  return result
}

async function run(recorder: Recorder, messages: readonly Message[], steps: number): Promise<GrowingResult> {
  const [caller, stringify]: [number[], number[]] = [[], []]
  let full = 0
  for (let step = 0; step < steps; step++) {
    const act = modelAct(messages.slice(0, 2 * step + 1), messages[2 * step + 1]!.content)
    const record = (): void => { caller.push(time(() => recorder.record(act, 0))) }
    const text = (): void => { stringify.push(time(() => { full += Buffer.byteLength(JSON.stringify(act.call)) })) }
    // whoever comes second finds the caches warm: they take turns
    for (const measure of step % 2 === 0 ? [record, text] : [text, record]) measure()
    await sleep(2)
  }
  return { caller, stringify, full }
}

function time(run: () => void): number {
  const began = process.hrtime.bigint()
  run()
  return Number(process.hrtime.bigint() - began) / 1_000
}

function messagesOf(steps: number, seed: number): Message[] {
  return conversation(steps, seed).map(({ role, content }) => ({ role, content: flat(content) }))
}
