// Langfuse's span processor with its defaults (batched), and its own observations: a generation for a model call, a tool for a tool.

import type { Contender } from '../contender.ts'
import { peer } from '../peers.ts'
import type { SdkTrace, TracerProvider } from './opentelemetry.ts'

interface Observation { update(fields: object): Observation; end(): void }
interface Tracing {
  readonly setLangfuseTracerProvider: (provider: TracerProvider) => void
  readonly startObservation: (name: string, fields: object, options: { asType: 'generation' | 'tool' }) => Observation
}

export const langfuse: Contender = {
  name: 'langfuse', title: 'Langfuse', kind: 'sends', packages: ['@langfuse/otel', '@langfuse/tracing'],
  async open({ sink }) {
    const { BasicTracerProvider } = await peer<SdkTrace>('@opentelemetry/sdk-trace-base')
    const { LangfuseSpanProcessor } = await peer<{ LangfuseSpanProcessor: new (options: object) => unknown }>('@langfuse/otel')
    const { setLangfuseTracerProvider, startObservation } = await peer<Tracing>('@langfuse/tracing')
    const provider = new BasicTracerProvider({ spanProcessors: [new LangfuseSpanProcessor({ publicKey: 'pk-lf-bench', secretKey: 'sk-lf-bench', baseUrl: sink })] })
    setLangfuseTracerProvider(provider)
    return {
      record({ kind, call, result }, session) {
        const metadata = { session: `s-${session}` }
        const observation = kind === 'model'
          ? startObservation('chat', { input: call.input_messages, model: call.model_id, modelParameters: call.parameters, metadata }, { asType: 'generation' })
              .update({ output: result.output_text, usageDetails: { input: result.input_tokens, output: result.output_tokens } })
          : startObservation(call.tool_name, { input: call.tool_input, metadata }, { asType: 'tool' }).update({ output: result.tool_output })
        observation.end()
      },
      settle: () => provider.forceFlush(),
      close: () => provider.shutdown(),
    }
  },
}
