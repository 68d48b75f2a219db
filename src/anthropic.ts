// counterfoil/anthropic: records the model calls of Anthropic's SDK.

export { auditAnthropic, auditedFetch, type AnthropicClient, type AnthropicRecorder, type AuditOptions } from './integrations/anthropic.ts'
export { runAuditedAgent, type AuditedAgent, type AuditedAgentResult } from './integrations/anthropic-agent.ts'
