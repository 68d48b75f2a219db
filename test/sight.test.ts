// What a reader sees who is not to see everything: the ledger itself leaves out sessions and payloads, whoever asks it.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { join } from 'node:path'
import { openTrail } from '../src/index.ts'
import { openLedger, type LocalLedger } from '../src/ledger/handle.ts'
import type { Sight } from '../src/ledger/reader.ts'
import { place, scratch, verifyAt, type Place } from './sample-log.ts'

const dir = scratch()
let where: Place
let ledger: LocalLedger
const ids: Record<string, { session_id: string; events: string[] }> = {}

interface Page { items: { [name: string]: unknown }[]; next: string | null }
const see = <T>(sight: Sight, method: string, ...args: unknown[]): Promise<T> => ledger.call<T>('see', sight, method, args)
const own: Sight = { content: 'none', only: { agents: ['refund-bot'], sessions: [] } }

beforeAll(async () => {
  where = place(join(dir.folder, 'log'))
  const trail = openTrail(where.db, { home: where.home, report: () => {} })
  for (const agent_id of ['refund-bot', 'billing-bot']) {
    await trail.session({ agent_id, user_id: `customer-of-${agent_id}`, user_message: `SECRET of ${agent_id}`, system_prompt: 'Be kind to SECRET people.' }, async (session) => {
      session.record('reasoning', { text: `SECRET thoughts of ${agent_id}` })
      const lookup = session.tool({ name: 'lookup', risk: 'low' }, () => ({ status: 'SECRET', amount: 42, paid: true }))
      await lookup({ order_id: 'SECRET-1182' })
      ids[agent_id] = { session_id: session.session_id, events: [] }
    })
  }
  await trail.flush()
  for (const one of Object.values(ids)) one.events.push(...(await trail.events({ session_id: one.session_id }).all()).map(({ event_id }) => event_id))
  ledger = openLedger(where.db, { home: where.home })
  await trail.close()
})
afterAll(async () => {
  await ledger.close()
  dir.remove()
})

describe('a reader of facts', () => {
  it('gets every event, and of no payload more than that it is there', async () => {
    const { items } = await see<Page>({ content: 'none' }, 'events', {}, 100)
    expect(items.length).toBeGreaterThan(10)
    expect(JSON.stringify(items)).not.toMatch(/SECRET|customer-of/)
    const start = items.find(({ event_type }) => event_type === 'session_start')!
    expect(JSON.parse(JSON.stringify(start))).toMatchObject({ agent_id: 'refund-bot', user_id: { absent: 'withheld' }, user_message: { absent: 'withheld' }, system_prompt_hash: null })
  })

  it('gets calls, rows and sessions in the same way', async () => {
    const { session_id } = ids['refund-bot']!
    for (const [method, ...args] of [['calls', {}, 100], ['rows', session_id], ['sessions', {}, 100], ['session', session_id], ['summary', session_id], ['at', 1], ['after', 0, 100]] as const) {
      const answer = await see({ content: 'none' }, method, ...args)
      expect(JSON.stringify(answer), method).toMatch(/withheld/)
      expect(JSON.stringify(answer), method).not.toMatch(/SECRET|customer-of/)
    }
  })

  it('cannot ask what is in content by searching for it', async () => {
    for (const content of ['none', 'masked'] as const) {
      for (const search of [{ text: 'SECRET' }, { user_id: 'customer-of-refund-bot' }]) {
        for (const method of ['events', 'calls', 'sessions']) await expect(see({ content }, method, search, 10), `${method} ${content}`).rejects.toMatchObject({ code: 'needs_content' })
      }
      await expect(see({ content }, 'sessions', { subject: 'customer-of-refund-bot' }, 10)).rejects.toMatchObject({ code: 'needs_content' })
    }
  })
})

describe('a reader of masked content', () => {
  it('gets the form of payloads and nothing of what they say', async () => {
    const { items } = await see<Page>({ content: 'masked' }, 'events', {}, 100)
    expect(JSON.stringify(items)).not.toMatch(/SECRET|customer-of/)
    expect(items.find(({ event_type }) => event_type === 'tool_call')).toMatchObject({ tool_name: 'lookup', tool_input: { order_id: '[11 characters]' } })
    expect(items.find(({ event_type }) => event_type === 'tool_result')).toMatchObject({ tool_output: { status: '[6 characters]', amount: '[number]', paid: '[boolean]' } })
    expect(items.find(({ event_type }) => event_type === 'session_start')).toMatchObject({ user_id: '[22 characters]', user_message: '[20 characters]', system_prompt_hash: null })
    const sessions = await see<Page>({ content: 'masked' }, 'sessions', {}, 10)
    expect(sessions.items.map(({ user_id }) => user_id)).toEqual(['[23 characters]', '[22 characters]'])
  })
})

describe('a reader of some sessions', () => {
  it('sees those of its agents and those that it is given, and of no other that it is there', async () => {
    const other = ids['billing-bot']!.session_id
    const cases: [string, Sight, string[]][] = [
      ['own agents', own, ['refund-bot']],
      ['own sessions', { content: 'full', only: { agents: [], sessions: [other] } }, ['billing-bot']],
      ['both', { content: 'full', only: { agents: ['refund-bot'], sessions: [other] } }, ['refund-bot', 'billing-bot']],
      ['nothing', { content: 'full', only: { agents: [], sessions: [] } }, []],
      ['the agent without a name, which is the ledger', { content: 'full', only: { agents: [''], sessions: [] } }, []],
    ]
    for (const [name, sight, expected] of cases) {
      const events = await see<Page>(sight, 'events', {}, 1_000)
      expect([...new Set(events.items.map(({ agent_id }) => agent_id))], name).toEqual(expected)
      const all = await see<{ items: { agent_id: string }[]; next: number }>(sight, 'after', 0, 1_000)
      expect([...new Set(all.items.map(({ agent_id }) => agent_id))], name).toEqual(expected)
      expect(new Set((await see<Page>(sight, 'sessions', {}, 10)).items.map(({ agent_id }) => agent_id)), name).toEqual(new Set(expected))
      expect(new Set((await see<Page>(sight, 'calls', {}, 10)).items.map(({ agent_id }) => agent_id)), name).toEqual(new Set(expected))
      for (const [agent, { session_id }] of Object.entries(ids)) {
        const there = expected.includes(agent)
        expect((await see<unknown[]>(sight, 'session', session_id)).length > 0, name).toBe(there)
        expect((await see<unknown[]>(sight, 'rows', session_id)).length > 0, name).toBe(there)
        expect(await see(sight, 'summary', session_id) !== undefined, name).toBe(there)
      }
      for (let index = 0; index < 20; index++) {
        const at = await see<{ agent_id: string } | undefined>(sight, 'at', index)
        if (at !== undefined) expect(expected, name).toContain(at.agent_id)
      }
    }
  })

  it('is led past the rest a page at a time, however few it may see', async () => {
    const found: unknown[] = []
    let pages = 0
    for (let cursor: string | undefined; ; pages++) {
      const page: Page = await see<Page>({ ...own, scan: 3 }, 'events', {}, 100, cursor)
      found.push(...page.items.map(({ event_id }) => event_id))
      if (page.next === null) break
      cursor = page.next
    }
    expect(found).toEqual(ids['refund-bot']!.events)
    expect(pages).toBeGreaterThanOrEqual(3)
  })

  it('gets no cursor with the id of a session that is not for them', async () => {
    for (const sight of [{ ...own, scan: 1 }, { content: 'none', only: { agents: [], sessions: [] }, scan: 1 }] as const) {
      for (let cursor: string | undefined, pages = 0; pages < 5; pages++) {
        const page: Page = await see<Page>(sight, 'sessions', {}, 1, cursor)
        expect(page.next ?? '').not.toContain(ids['billing-bot']!.session_id)
        if (page.next === null) break
        cursor = page.next
      }
    }
    expect((await see<Page>({ content: 'none', scan: 1 }, 'sessions', {}, 10)).next).not.toBeNull() // who sees all goes on from where it stopped
  })

  it('asks nothing else of the ledger', async () => {
    for (const method of ['state', 'find', 'export', 'erase', 'access', 'newest', 'prove', 'copy', 'see']) await expect(see(own, method, 'x'), method).rejects.toMatchObject({ code: 'no_method' })
  })
})

describe('an access', () => {
  it('is an entry of the ledger, durable when it is answered, and the trail verifies with it', async () => {
    const identity = { subject: 'ada', roles: ['compliance'] }
    const [before] = await ledger.call<{ event_id: string; index: number }[]>('access', [{ action: 'read', identity, query: { session_id: ids['refund-bot']!.session_id }, purpose: 'case 4711' }])
    const root = 'nDx5Pt3GDjzL2K1yY1QJQ8xFQ3mXh2m5J8n5Yl6y8tY='
    const [after, denied] = await ledger.call<{ index: number }[]>('access', [{ action: 'read', identity, after: before!.event_id, counts: 3, root }, { action: 'erase', identity, denied: true }])
    const events = await see<Page>({ content: 'full' }, 'events', { event_types: ['access'] }, 10)
    expect(events.items).toMatchObject([
      { index: before!.index, writer: 'ledger', capture: 'before', action: 'read', identity, query: { session_id: ids['refund-bot']!.session_id }, purpose: 'case 4711' },
      { index: after!.index, capture: 'after', parent_event_id: before!.event_id, counts: 3, root },
      { index: denied!.index, action: 'erase', outcome: 'denied' },
    ])
    expect((await verifyAt(where)).whole).toBe(true)
  })

  it('is refused when it is not one, and nothing is on record then', async () => {
    const size = ledger.status().size
    await expect(ledger.call('access', [{ action: 'not a label', identity: { subject: 'ada' } }])).rejects.toMatchObject({ code: 'bad_action' })
    await expect(ledger.call('access', Array.from({ length: 1_001 }, () => ({ action: 'read', identity: { subject: 'ada' } })))).rejects.toMatchObject({ code: 'too_many' })
    await ledger.call('flush')
    expect(ledger.status().size).toBe(size)
  })
})
