// Opik's client with its defaults: a trace for each session, a span for each act.

import type { Contender } from '../contender.ts'
import { peer } from '../peers.ts'

interface Span { end(): void }
interface Trace { span(fields: object): Span; end(): void }
interface Opik { Opik: new (options: object) => { trace(fields: object): Trace; flush(options?: { silent: boolean }): Promise<void> }; readonly setLoggerLevel: (level: string) => void }

export const opik: Contender = {
  name: 'opik', title: 'Opik', kind: 'sends', packages: ['opik'],
  async open({ sink, sessions }) {
    const { Opik, setLoggerLevel } = await peer<Opik>('opik')
    setLoggerLevel('ERROR')
    const client = new Opik({ apiKey: 'bench', apiUrl: sink, projectName: 'bench', workspaceName: 'bench' })
    const traces = Array.from({ length: sessions }, (_, i) => client.trace({ name: `s-${i}` }))
    return {
      record({ kind, call, result }, session) {
        const span = kind === 'model'
          ? traces[session]!.span({ name: 'chat', type: 'llm', input: call, output: result, model: call.model_id, provider: call.provider, usage: { prompt_tokens: result.input_tokens, completion_tokens: result.output_tokens } })
          : traces[session]!.span({ name: call.tool_name, type: 'tool', input: call.tool_input, output: result })
        span.end()
      },
      settle: () => client.flush({ silent: true }),
      async close() {
        for (const trace of traces) trace.end()
        await client.flush({ silent: true })
      },
    }
  },
}
