import { describe, expect, test } from 'vitest'
import { testServer } from '../../test/served.ts'
import { uuidv7 } from '../base/ids.ts'

describe('POST /v1/events', () => {
  test('puts a session in its author\'s words on record, and answers when it is durable', async () => {
    const server = await testServer()
    const key = server.key('agent', { id: 'support-bot' })
    const session_id = uuidv7(Date.now())
    const { status, body } = await server.ask(key, 'POST', '/v1/events', [
      { event_type: 'session_start', session_id, agent_id: 'support-v1', user_id: 'c-1', user_message: 'where is it?' },
      { event_type: 'llm_call', session_id, provider: 'p', model_id: 'm', input_messages: [{ role: 'user', content: 'where is it?' }] },
      { event_type: 'llm_result', session_id, output_text: 'I look.', outcome: 'success' },
      { event_type: 'tool_call', session_id, tool_name: 'look_up', tool_input: { order: 1182 }, call_id: 't1' },
      { event_type: 'tool_result', session_id, call_id: 't1', outcome: 'success', tool_output: { state: 'sent' } },
      { event_type: 'session_end', session_id, outcome: 'success', reason: 'answered', final_output: 'It is sent.' },
    ])
    expect(status).toBe(200)
    expect(body.receipts).toHaveLength(6)
    expect(body.receipts.every((receipt: { level: string }) => receipt.level === 'durable')).toBe(true)
    const { ledger } = server.served.parts.tenants.open('default')!
    const events = await ledger.call<{ event_type: string; writer: string; outcome: string | null }[]>('session', session_id)
    expect(events.map(({ event_type }) => event_type)).toEqual(['session_start', 'llm_call', 'llm_result', 'tool_call', 'tool_result', 'final_output', 'session_end'])
    expect(events.every(({ writer }) => writer === 'support-bot')).toBe(true)
    const calls = await ledger.call<{ items: unknown[] }>('calls', { session_id }, 10)
    expect(calls.items).toMatchObject([{ output_text: 'I look.', answered: true }, { tool_name: 'look_up', tool_output: { state: 'sent' }, answered: true }])
    expect(await ledger.call('verify')).toMatchObject({ whole: true })
  })
})
