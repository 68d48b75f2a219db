// A server whose trail has two agents' sessions in it, each with a secret wherever content can be.

import { uuidv7 } from '../src/base/ids.ts'
import { testServer, type TestServer } from './served.ts'

/** In every payload, and in no fact. */
export const SECRET = 'SECRET'

export interface Told { readonly session_id: string; readonly start: string; readonly llm: string; readonly call: string; readonly result: string; readonly events: readonly string[] }

/** `tell(agent_id)` records a session of that agent, of the customer `SECRET-<agent>`, in `tenant`. */
export interface TrailServer extends TestServer { readonly refund: Told; readonly billing: Told; tell(agent_id: string, tenant?: string): Promise<Told> }

export async function trailServer(options: Parameters<typeof testServer>[0] = {}): Promise<TrailServer> {
  const server = await testServer(options)
  const writers = new Map<string, string>()
  const tell = async (agent_id: string, tenant = 'default'): Promise<Told> => {
    const writer = writers.get(tenant) ?? server.key('agent', { id: 'writer', tenant })
    writers.set(tenant, writer)
    const session_id = uuidv7(Date.now())
    const [start, llm, answer, call, result, reason, end] = Array.from({ length: 7 }, () => uuidv7(Date.now())) as [string, string, string, string, string, string, string]
    const { status, body } = await server.ask(writer, 'POST', '/v1/events', [
      { event_type: 'session_start', event_id: start, session_id, agent_id, user_id: `${SECRET}-${agent_id}`, user_message: `${SECRET} where is it?`, system_prompt: `${SECRET} rules` },
      { event_type: 'llm_call', event_id: llm, session_id, provider: 'p', model_id: 'm', input_messages: [{ role: 'user', content: `${SECRET} where is order 1182?` }] },
      { event_type: 'llm_result', event_id: answer, session_id, parent_event_id: llm, output_text: `${SECRET} I look.`, outcome: 'success' },
      { event_type: 'reasoning', event_id: reason, session_id, kind: 'author_stated', text: `${SECRET} thoughts` },
      { event_type: 'tool_call', event_id: call, session_id, tool_name: 'look_up', tool_input: { order: '1182', note: SECRET }, call_id: 't1' },
      { event_type: 'tool_result', event_id: result, session_id, parent_event_id: call, call_id: 't1', outcome: 'success', tool_output: { state: SECRET, amount: 42 } },
      { event_type: 'session_end', event_id: end, session_id, outcome: 'success', reason: 'answered' },
    ])
    if (status !== 200) throw new Error(JSON.stringify(body))
    return { session_id, start, llm, call, result, events: [start, llm, answer, reason, call, result, end] }
  }
  return { ...server, tell, refund: await tell('refund-bot'), billing: await tell('billing-bot') }
}
