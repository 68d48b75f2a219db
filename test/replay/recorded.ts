// Runs of others recorded by replaying their steps through a real trail, and asked about one act after the other.

import type { Session, Trail } from '../../src/index.ts'
import { compare, newTally, type Tally } from './compare.ts'
import { replaySteps, type Run, type Step } from './steps.ts'

/** Records each run as a session of `trail`, then compares what `trail.why` says of every tool call with a look-up in the raw run. */
export async function recordAndCompare(trail: Trail, runs: readonly Run[]): Promise<Tally> {
  const recorded: { run: Run; steps: Step[]; session_id: string }[] = []
  for (const run of runs) {
    const steps = replaySteps(run)
    const session = await trail.start({ user_message: userMessage(steps) })
    for (const step of steps) record(session, step)
    await session.end({ outcome: 'success' })
    recorded.push({ run, steps, session_id: session.session_id })
  }
  const tally = newTally()
  for (const { run, steps, session_id } of recorded) {
    const events = await trail.events({ session_id }).all()
    if (events.length !== steps.length + 1) throw new Error(`${run.name}: ${steps.length} steps became ${events.length} events`)
    const first = events[0]!.index
    for (const [i, step] of steps.entries()) {
      if (step.type !== 'tool_call') continue
      const said = await trail.why(events[i]!.event_id)
      compare(run, steps, i, said!, (index) => steps[index - first], tally)
    }
  }
  return tally
}

function userMessage(steps: readonly Step[]): string {
  const [start] = steps
  return start?.type === 'session_start' ? (start.user_message ?? '') : ''
}

function record(session: Session, step: Step): void {
  const call_id = 'call_id' in step && step.call_id !== null ? { call_id: step.call_id } : {}
  if (step.type === 'llm_call') session.record('llm_call', { provider: step.provider, model_id: labelOf(step.model_id), input_messages: step.input_messages })
  if (step.type === 'llm_result') {
    const asked = step.tool_calls_requested.map(({ name, input, call_id }) => ({ name, input, ...(call_id === null ? {} : { call_id }) }))
    session.record('llm_result', { ...(step.output_text === null ? {} : { output_text: step.output_text }), tool_calls_requested: asked })
  }
  if (step.type === 'tool_call') session.record('tool_call', { tool_name: step.tool_name, tool_input: step.tool_input as never, ...call_id })
  if (step.type === 'tool_result') session.record('tool_result', { outcome: step.outcome, ...(step.tool_output === null ? {} : { tool_output: step.tool_output }), ...(step.error === null ? {} : { error: step.error }), ...call_id })
  if (step.type === 'final_output') session.record('final_output', { output: step.output })
}

function labelOf(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9._:/+-]/g, '-')
}
