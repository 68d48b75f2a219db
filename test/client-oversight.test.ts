// What people do through a server to the sessions of an agent elsewhere: they answer its requests, and stop it.

import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { ApprovalDenied, openTrail, type Trail } from '../src/index.ts'
import { scratch } from './scratch.ts'
import { testServer, type Answer, type TestServer } from './served.ts'

async function served(): Promise<{ server: TestServer; key: string; home: string; open: () => Trail }> {
  const server = await testServer()
  const [key, { home }] = [server.key('agent', { id: 'pay-bot' }), scratch()]
  const open = (): Trail => {
    const trail = openTrail(server.url, { key, home, agent_id: 'pay-bot', approve: 'others' })
    onTestFinished(() => trail.close().catch(() => undefined))
    return trail
  }
  return { server, key, home, open }
}

/** The request that waits, as soon as there is one. */
async function request(server: TestServer, approver: string): Promise<Answer> {
  for (;;) {
    const { items } = (await server.ask(approver, 'GET', '/v1/approvals?state=open&content=full')).body
    if (items.length > 0) return items[0]
    await sleep(50)
  }
}

test('an agent waits for a person, does what was approved, and does not do what was rejected', async () => {
  const { server, open } = await served()
  const approver = server.key('approver', { id: 'ada' })
  const paid: number[] = []
  const trail = open()
  const pay = trail.tool({ name: 'pay', risk: 'high', approval: true }, (input: { amount: number }) => { paid.push(input.amount) })
  await trail.session({ user_id: 'c-1' }, async (session) => {
    for (const [amount, decision] of [[7, 'approved'], [8, 'rejected']] as const) {
      const acting = session.run(() => pay({ amount })).catch((error: unknown) => error)
      const asked = await request(server, approver)
      expect(JSON.parse(asked.tool_input)).toEqual({ amount })
      expect((await server.ask(approver, 'POST', `/v1/approvals/${asked.approval_id}/decisions`, { decision, comment: 'seen' })).status).toBe(200)
      const done = await acting
      if (decision === 'approved') expect(done).toBeUndefined()
      else {
        expect(done).toBeInstanceOf(ApprovalDenied)
        expect((done as ApprovalDenied).approval).toMatchObject({ decision: 'rejected', approver_id: 'ada', comment: 'seen' })
      }
    }
  })
  expect(paid).toEqual([7])
})

test('a tool at work hears of a stop through the server, and no act follows', async () => {
  const { server, open } = await served()
  const security = server.key('security', { id: 'sam' })
  const trail = open()
  const ran: string[] = []
  const session = await trail.start({ user_id: 'c-1' })
  const work = session.tool({ name: 'work', risk: 'low' }, (_input: object, { signal }) => new Promise<string>((resolve) => { signal.addEventListener('abort', () => resolve('stopped')) }))
  const next = session.tool({ name: 'next', risk: 'low' }, () => { ran.push('next') })
  const working = work({})
  await trail.flush()
  expect((await server.ask(security, 'POST', `/v1/sessions/${session.session_id}/interventions`, { kind: 'stop', note: 'enough' })).status).toBe(201)
  await working.catch(() => undefined)
  await expect(next({})).rejects.toMatchObject({ code: 'session_stopped' })
  expect(ran).toEqual([])
})
