// What the demo asks of the library, as types: the surface any author of an agent has, and the trail as the commands see it.

import type { AgentTrail, AuditedAgent, AuditedAgentResult, AuditedTool } from '../../integrations/anthropic-agent.ts'
import type { CliTrail } from '../api.ts'

export interface Library {
  openTrail(path: string, options: { agent_id: string; agent_version: string; approve: Approver; home: string }): DemoTrail
  runAuditedAgent(agent: AuditedAgent): Promise<AuditedAgentResult>
  /** The same trail for reading, as the commands open it; `home` is the state folder to use instead of the user's. */
  inspect(path: string, home: string): Promise<CliTrail>
}

export interface DemoTrail extends AgentTrail {
  ready(): Promise<void>
  tool(definition: ToolDefinition, run: (input: never) => unknown): AuditedTool
  tool<T extends { name: string; run?: (...args: never[]) => unknown }>(tool: T): T
  record(event_type: 'policy_decision', event: { policy: string; decision: 'allow' | 'deny'; reason?: string }): unknown
  record(event_type: 'data_access', event: { source: string; reference: string; record_count: number; trust: 'untrusted' }): unknown
  close(): Promise<void>
}

export interface ToolDefinition {
  readonly name: string
  readonly description: string
  readonly input_schema: { readonly [name: string]: unknown }
  readonly risk?: 'low' | 'medium' | 'high' | 'critical'
  readonly approval?: boolean
  /** whether this input needs a person's approval */
  readonly when?: (input: never) => boolean
}

export type Approver = (request: { tool_name: string; tool_input: unknown; risk?: string; reasoning: readonly string[] }) => Promise<{ decision: 'approved' | 'rejected'; approver_id: string; comment?: string; assurance?: 'asserted' | 'terminal' }>
