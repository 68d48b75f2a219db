// OpenTelemetry's BatchSpanProcessor with its defaults, OTLP over HTTP; an act is a span, its content in attributes as JSON.

import type { Contender } from '../contender.ts'
import type { Act } from '../load.ts'
import { peer } from '../peers.ts'

interface Span { setAttributes(attributes: object): void; end(): void }
export interface TracerProvider { getTracer(name: string): { startSpan(name: string, options: { attributes: object }): Span }; forceFlush(): Promise<void>; shutdown(): Promise<void> }
export interface SdkTrace { BasicTracerProvider: new (options: { spanProcessors: readonly unknown[] }) => TracerProvider; BatchSpanProcessor: new (exporter: unknown) => unknown }

export const openTelemetry: Contender = {
  name: 'otel', title: 'OpenTelemetry OTLP', kind: 'sends', packages: ['@opentelemetry/sdk-trace-base', '@opentelemetry/exporter-trace-otlp-http'],
  async open({ sink }) {
    const { BasicTracerProvider, BatchSpanProcessor } = await peer<SdkTrace>('@opentelemetry/sdk-trace-base')
    const { OTLPTraceExporter } = await peer<{ OTLPTraceExporter: new (options: object) => unknown }>('@opentelemetry/exporter-trace-otlp-http')
    const provider = new BasicTracerProvider({ spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: `${sink}/v1/traces` }))] })
    const tracer = provider.getTracer('bench')
    return {
      record(act, session) {
        const span = tracer.startSpan(act.kind === 'model' ? 'chat' : 'execute_tool', { attributes: { 'session.id': `s-${session}`, ...asked(act) } })
        span.setAttributes(answered(act))
        span.end()
      },
      settle: () => provider.forceFlush(),
      close: () => provider.shutdown(),
    }
  },
}

function asked({ kind, call }: Act): object {
  if (kind === 'tool') return { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': call.tool_name, 'gen_ai.tool.call.arguments': JSON.stringify(call.tool_input) }
  return {
    'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': call.provider, 'gen_ai.request.model': call.model_id, 'gen_ai.input.messages': JSON.stringify(call.input_messages),
    'gen_ai.request.max_tokens': call.parameters.max_tokens, 'gen_ai.request.temperature': call.parameters.temperature,
  }
}

function answered({ kind, result }: Act): object {
  if (kind === 'tool') return { 'gen_ai.tool.call.result': JSON.stringify(result.tool_output) }
  return { 'gen_ai.output.messages': JSON.stringify([{ role: 'assistant', content: result.output_text }]), 'gen_ai.response.finish_reasons': [result.stop_reason], 'gen_ai.usage.input_tokens': result.input_tokens, 'gen_ai.usage.output_tokens': result.output_tokens }
}
