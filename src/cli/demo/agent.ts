// The demo's agent: the SDK's own client, tools on the record, one conversation.

import type { AgentClient, AuditedAgentResult, AuditedTool } from '../../integrations/anthropic-agent.ts'
import { MisuseError } from '../../base/errors.ts'
import type { Approver, DemoTrail, Library } from './library.ts'
import { script, SCRIPTED_MODEL } from './script.ts'
import { CUSTOMER, SYSTEM_PROMPT, USER_MESSAGE, type Mail, type Refund, type Shop } from './shop.ts'

export const REAL_MODEL = 'claude-sonnet-4-6'
export const POLICY = 'refund_rules'

export interface AgentRun {
  readonly library: Library
  readonly path: string
  readonly home: string
  readonly shop: Shop
  /** a key for the real API; without one the scripted model answers */
  readonly apiKey: string | undefined
  readonly model: string | undefined
  readonly approve: Approver
  /** called when the first tool has run, and again when a person is about to be asked */
  readonly onMoment: () => Promise<void>
}

/** Runs the agent on a new trail at `path` and closes it. */
export async function runAgent({ library, path, home, shop, apiKey, model, approve, onMoment }: AgentRun): Promise<AuditedAgentResult> {
  const { Anthropic } = await loadSdk()
  const trail = library.openTrail(path, {
    agent_id: 'customer-service-demo',
    agent_version: '1.0.0',
    home,
    approve: async (request) => {
      await onMoment()
      return approve(request)
    },
  })
  try {
    await trail.ready()
    await using server = apiKey === undefined ? await (await import('../model-server.ts')).startModelServer(script) : undefined
    const client = apiKey !== undefined ? new Anthropic({ apiKey }) : new Anthropic({ apiKey: 'none-needed', baseURL: server!.url, maxRetries: 0 })
    return await library.runAuditedAgent({
      client,
      trail,
      model: model ?? (apiKey === undefined ? SCRIPTED_MODEL : REAL_MODEL),
      system: SYSTEM_PROMPT,
      user_message: USER_MESSAGE,
      user_id: CUSTOMER,
      tools: tools(trail, shop, onMoment),
      stream: true,
      parameters: { thinking: { type: 'adaptive', display: 'summarized' } },
    })
  } finally {
    await trail.close()
  }
}

function tools(trail: DemoTrail, shop: Shop, onMoment: () => Promise<void>): AuditedTool[] {
  const string = (description: string): object => ({ type: 'string', description })
  const schema = (properties: { readonly [name: string]: object }): { readonly [name: string]: unknown } => ({ type: 'object', properties, required: Object.keys(properties), additionalProperties: false })
  return [
    trail.tool({ name: 'lookup_order', description: 'Look an order up', input_schema: schema({ order_id: string('the number of the order') }) },
      async ({ order_id }: { order_id: string }) => {
        const order = shop.lookUpOrder(order_id)
        await onMoment()
        return order
      }),
    trail.tool({ name: 'shipping_status', description: 'Ask the warehouse about the parcel of an order', input_schema: schema({ order_id: string('the number of the order') }) },
      ({ order_id }: { order_id: string }) => shop.shippingStatus(order_id)),
    trail.tool({ name: 'read_document', description: "Read a customer's letter", input_schema: schema({ name: string('the name of the file') }) },
      ({ name }: { name: string }) => {
        const letter = shop.readLetter(name)
        trail.record('data_access', { source: 'letters', reference: name, record_count: 1, trust: 'untrusted' })
        return letter
      }),
    trail.tool({
      name: 'refund', description: 'Refund money for an order', input_schema: schema({ order_id: string('the number of the order'), amount: { type: 'integer', description: 'in EUR' } }), risk: 'high',
      // The rules decide before a person is asked: nobody should be bothered with what is forbidden anyway.
      approval: true,
      when: (input: Refund) => {
        const refusal = shop.refusal(input)
        trail.record('policy_decision', refusal === undefined ? { policy: POLICY, decision: 'allow' } : { policy: POLICY, decision: 'deny', reason: refusal })
        return refusal === undefined
      },
    }, (input: Refund) => {
      const refusal = shop.refusal(input)
      if (refusal !== undefined) throw new Error(`not done: ${refusal}`)
      return shop.refund(input)
    }),
    trail.tool({ name: 'send_mail', description: 'Send a mail', input_schema: schema({ to: string('address'), subject: string('subject'), body: string('text') }), risk: 'medium' },
      (mail: Mail) => shop.sendMail(mail)),
  ]
}

/** The SDK is bundled with the command; in a checkout without it, the way to get it is said. */
async function loadSdk(): Promise<{ Anthropic: new (options: { apiKey: string; baseURL?: string; maxRetries?: number }) => AgentClient }> {
  try {
    return await import('@anthropic-ai/sdk')
  } catch (cause) {
    throw new MisuseError('no_sdk', `cli: the demo's agent needs Anthropic's SDK, and it does not load: ${(cause as Error).message}`, 'npm install @anthropic-ai/sdk')
  }
}
