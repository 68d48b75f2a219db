// A ModelCallSink that keeps what it is handed, for tests: each call with its results (more than one is a defect).

import { MODEL_CALLS, modelCallsOf, type ModelCall, type ModelCallSink, type ModelCallSource, type ModelResult } from '../../src/event/model-call.ts'

export interface Captured { readonly call: ModelCall; readonly results: ModelResult[] }

export interface Capture extends ModelCallSource {
  readonly calls: Captured[]
  /** The results in the order in which they came. */
  readonly results: ModelResult[]
  /** Resolves when `count` results are there; rejects after `ms`. */
  settled(count: number, ms?: number): Promise<void>
  clear(): void
}

/** A source that asks `sink` for each call, as a trail or a session does. */
export function sourceOf(sink: () => ModelCallSink): ModelCallSource {
  const source = { llm: async () => undefined, [MODEL_CALLS]: sink }
  return source
}

/** The sink of a capture. */
export function sinkOf(capture: Capture): ModelCallSink {
  return modelCallsOf(capture)!()
}

/** `ready` stands for the failure policy. */
export function captureCalls(ready: () => Promise<void> = async () => undefined): Capture {
  const calls: Captured[] = []
  const results: ModelResult[] = []
  return {
    calls,
    results,
    clear: () => {
      calls.length = 0
      results.length = 0
    },
    settled: async (count, ms = 5000) => {
      for (const end = Date.now() + ms; results.length < count; ) {
        if (Date.now() > end) throw new Error(`test: expected ${count} results, got ${results.length}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    ...sourceOf(() => ({
      call: (call) => {
        const captured: Captured = { call, results: [] }
        calls.push(captured)
        return {
          event_id: String(calls.length),
          ready,
          finish: (result) => {
            captured.results.push(result)
            results.push(result)
          },
        }
      },
    })),
  }
}
