import { userInfo } from 'node:os'
import { expect, test } from 'vitest'
import { scratchTrail } from '../../test/scratch.ts'
import { testContext } from './fixtures.ts'
import { openLocalTrail } from './local-trail.ts'
import { run } from './program.ts'

test('counterfoil approvals shows what waits and answers it; counterfoil stop ends what waits', async () => {
  const { trail, at } = scratchTrail({ approve: 'others' })
  const counterfoil = async (...args: string[]): Promise<{ code: number; out: string; err: string }> => {
    const told = { out: '', err: '' }
    const code = await run(args, ({ json }) => testContext(told, { json, trail: at.db, now: Date.now, open: (path, mode) => openLocalTrail(path, mode, at.home) }))
    return { code, ...told }
  }
  const pay = trail.tool({ name: 'pay', risk: 'high', approval: true }, ({ amount }: { amount: number }) => amount)
  const session = await trail.start({ user_id: 'anna' })
  session.record('reasoning', { text: 'it is owed' })
  const paid = session.run(() => pay({ amount: 5 }))
  await expect.poll(async () => (await counterfoil('approvals')).out, { timeout: 20_000 }).toContain('pay  high · asked by agent-1 for anna, ')
  const { out } = await counterfoil('approvals')
  expect(out).toContain('{"amount":5}')
  expect(out).toContain('"it is owed"')
  const { approval_id, ...shown } = JSON.parse((await counterfoil('--json', 'approvals')).out) as Record<string, unknown>
  expect(shown).toMatchObject({ tool_name: 'pay', tool_input: '{"amount":5}', reasoning: ['it is owed'], state: 'open', quorum: 1, risk: 'high', agent_id: 'agent-1', user_id: 'anna' })
  expect(await counterfoil('approvals', 'approve', String(approval_id).slice(-8), '--comment', 'fine')).toMatchObject({ code: 0, err: '', out: expect.stringContaining(`approved pay ${String(approval_id).slice(-8)} as ${userInfo().username}`) })
  expect(await paid).toBe(5)
  expect(await trail.events({ event_type: 'approval_decision' }).first()).toMatchObject({ assurance: 'terminal', comment: 'fine', identity: { subject: userInfo().username, role: 'approver' } })
  expect(await counterfoil('approvals', 'reject', String(approval_id))).toMatchObject({ code: 2, err: expect.stringContaining('the request was approved already') })
  expect((await counterfoil('approvals')).out).toBe('nothing waits for a person\n')
  expect((await counterfoil('approvals', '--all')).out).toContain('approved')

  const again = session.run(() => pay({ amount: 6 })).catch((error: unknown) => error)
  await expect.poll(async () => (await counterfoil('approvals')).out, { timeout: 20_000 }).toContain('{"amount":6}')
  expect(await counterfoil('stop', session.session_id, '--note', 'enough')).toMatchObject({ code: 0, out: expect.stringMatching(/^stopped session .*\n {2}1 request for approval rejected\n$/) })
  expect(await again).toMatchObject({ code: expect.stringMatching(/^(session_stopped|approval_denied)$/) })
  expect(await counterfoil('approvals', 'approve', 'last')).toMatchObject({ code: 2, err: expect.stringContaining('nothing waits for a person') })
  expect((await trail.verify()).problems).toEqual([])
})
