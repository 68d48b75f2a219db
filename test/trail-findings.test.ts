// trail.findings(): what the rules notice, of a file and of a server's trail alike.

import { expect, onTestFinished, test } from 'vitest'
import { Absent, openTrail, RemoteError, type Finding, type Trail, type TrailOptions } from '../src/index.ts'
import { scratch } from './scratch.ts'
import { testServer } from './served.ts'

function opened(where: string, options: TrailOptions): Trail {
  const trail = openTrail(where, { agent_id: 'bot', ...options })
  onTestFinished(() => trail.close().catch(() => undefined))
  return trail
}

/** A session with an act of high risk that nobody approved, and a call without a result. */
async function tell(trail: Trail, agent_id: string): Promise<string> {
  const session = await trail.start({ agent_id })
  session.record('tool_call', { tool_name: 'pay', tool_input: { amount: 5 }, risk: 'high', call_id: 'a' })
  session.record('tool_result', { outcome: 'success', call_id: 'a' })
  session.record('tool_call', { tool_name: 'look', tool_input: {}, risk: 'low', call_id: 'b' })
  session.record('finding' as never, { rule: 'made_up', severity: 'critical' } as never) // an agent's own word for something
  await session.end({ outcome: 'success' })
  return session.session_id
}

const names = (found: readonly Finding[]): [string, string][] => found.map(({ session_id, rule }) => [session_id, rule])

test('of a file: as it is read, the newest session first, in pages of any size, and by its filters', async () => {
  const { db, home } = scratch()
  const trail = opened(db, { home })
  const [first, second] = [await tell(trail, 'pay-bot'), await tell(trail, 'other-bot')]
  const all = await trail.findings().all()
  expect(names(all)).toEqual([second, first].flatMap((id) => [[id, 'unapproved_act'], [id, 'intent_without_outcome']]))
  expect(all[0]).toMatchObject({ severity: 'high', events: [expect.any(String)], explanation: expect.stringContaining('called without an approval'), index: null })
  for (const size of [1, 2, 3, 1_000]) {
    const paged: Finding[] = []
    for (let cursor: string | undefined; ;) {
      const page = await trail.findings().page({ size, ...(cursor === undefined ? {} : { cursor }) })
      expect(page.items.length).toBeLessThanOrEqual(size)
      paged.push(...page.items)
      if (page.next === null) break
      cursor = page.next
    }
    expect(paged).toEqual(all)
  }
  expect(await trail.findings().first()).toEqual(all[0])
  const by = async (query: Parameters<Trail['findings']>[0]): Promise<[string, string][]> => names(await trail.findings(query).all())
  expect(await by({ session_id: first })).toEqual([[first, 'unapproved_act'], [first, 'intent_without_outcome']])
  expect(await by({ agent_id: 'other-bot', severity: 'medium' })).toEqual([[second, 'unapproved_act']])
  expect(await by({ session_id: first, agent_id: 'other-bot' })).toEqual([])
  expect(await by({ rule: 'intent_without_outcome' })).toEqual([[second, 'intent_without_outcome'], [first, 'intent_without_outcome']])
  expect(await by({ until: new Date(0) })).toEqual([])
  expect(await by({ since: new Date(0) })).toHaveLength(4)
  expect(() => trail.findings({ severity: 'urgent' as never })).toThrow('info, low, medium, high, critical')
  expect(() => trail.findings({ sessions: first } as never)).toThrow('expected a filter')
  await expect(trail.findings().page({ cursor: '7' })).rejects.toThrow('cursor')
})

test('of a server: what it put on record, with its index; explained to who reads content, and for nobody without the permission', async () => {
  const server = await testServer({ watch: true })
  const agent = server.key('agent', { id: 'bot' })
  const session_id = await tell(opened(server.url, { key: agent, home: scratch().home }), 'pay-bot')
  const reader = server.key('security')
  const trail = opened(server.url, { key: reader, home: scratch().home, purpose: 'a test' })
  await expect.poll(async () => names(await trail.findings().all()), { timeout: 20_000 }).toEqual([[session_id, 'unapproved_act'], [session_id, 'intent_without_outcome']])
  const [found] = await trail.findings({ severity: 'high', session_id }).all()
  expect(found).toMatchObject({ severity: 'high', explanation: expect.stringContaining('called without an approval'), index: expect.any(Number) })
  const local = opened(server.db, { home: server.home })
  expect(await local.findings({ session_id, severity: 'high' }).all()).toEqual([found]) // the same of the file, where it is on record too
  const [facts] = await opened(server.url, { key: reader, home: scratch().home }).findings({ severity: 'high' }).all()
  expect(facts!.explanation).toBeInstanceOf(Absent)
  await expect(opened(server.url, { key: agent, home: scratch().home }).findings().all()).rejects.toThrow(RemoteError)
})
