// What becomes of a spool while its process lives: rolled over, removed under us, left by a close that failed.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { encodeDraft } from '../src/event/draft.ts'
import { openTrail, type CounterfoilError } from '../src/index.ts'
import { thisOwner } from '../src/spool/owner.ts'
import { createSpool } from '../src/spool/writer.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../src/vault/spool-key.ts'
import { openLog, Telling, text } from './sample-log.ts'
import { scratch } from './scratch.ts'

test('a spool that somebody removes while it is in use is reported, rejects who waits, and the next events are recorded', async () => {
  const { folder } = scratch()
  const problems: CounterfoilError[] = []
  const trail = openTrail(join(folder, 'a.db'), { agent_id: 'bot', home: join(folder, 'home'), report: (problem) => { problems.push(problem) } })
  const session = await trail.start({})
  await session.record('reasoning', { text: 'kept' }).durable()
  rmSync(join(folder, 'a.db.spool'), { recursive: true })
  await expect(session.record('reasoning', { text: 'lost' }).durable()).rejects.toMatchObject({ code: 'spool_missing' })
  await session.record('reasoning', { text: 'after' }).durable()
  await session.end()
  const texts = (await trail.events({ event_type: 'reasoning' }).all()).map(({ text }) => text)
  expect(texts).toEqual(['kept', 'after'])
  expect(problems.map(({ code }) => code)).toContain('spool_missing')
  const verdict = await trail.verify()
  expect(verdict.whole).toBe(true)
  expect(verdict.properties.complete).toMatchObject({ status: 'unknown' }) // the hole shows
  await trail.close()
})

test('what stands in a spool before a record that a power cut tore comes into the log; the torn one is reported', async () => {
  const at = scratch()
  const key = openSpoolKey(at.home)
  const folder = `${at.db}.spool`
  const dead = { ...thisOwner(), start_time: '1' } // this pid, at another time
  const spool = createSpool(folder, { origin: SPOOL_ORIGIN, key, owner: dead })
  const tell = new Telling()
  const kept = [tell.draft('session_start', { agent_id: 'bot' }), tell.draft('reasoning', { kind: 'author_stated' }, { text: text('synced') })]
  for (const draft of kept) spool.append(encodeDraft(draft))
  const end = spool.end
  spool.append(encodeDraft(tell.draft('reasoning', { kind: 'author_stated' }, { text: text('not synced '.repeat(500)) })))
  spool.close()
  const bytes = readFileSync(spool.path)
  writeFileSync(spool.path, bytes.fill(0, end + 1_000, end + 1_512))
  const problems: string[] = []
  for (let round = 0; round < 2; round++) { // and so it stays
    const ledger = await openLog({ folder: at.folder, db: at.db, home: at.home }, { spools: { folder, key }, report: ({ message }) => problems.push(message) })
    for (const { event_id } of kept) expect(await ledger.find(event_id)).toBeDefined()
    expect((await ledger.read((view) => view.spools())).map(({ offset }) => offset)).toEqual([end])
    await ledger.close()
  }
  expect(problems).toEqual([expect.stringContaining('a record does not open'), expect.stringContaining('a record does not open')])
  expect(existsSync(spool.path)).toBe(true)
})

test('a question about the input can change neither what is shown and recorded nor what runs', async () => {
  const { folder } = scratch()
  const shown: unknown[] = []
  const ran: unknown[] = []
  const asking = openTrail(join(folder, 'b.db'), { agent_id: 'bot', home: join(folder, 'home'), approve: async ({ tool_input }) => { shown.push(structuredClone(tool_input)); (tool_input as { to: string[] }).to = []; return { decision: 'approved', approver_id: 'lead' } } })
  const tool = asking.tool({ name: 'send', risk: 'high', approval: true, when: (input) => { input.to.pop(); return true } }, (input: { to: string[] }) => { ran.push(input); return 'sent' })
  await asking.session({}, () => tool({ to: ['alice', 'mallory'] }))
  expect([shown, ran]).toEqual([[{ to: ['alice', 'mallory'] }], [{ to: ['alice', 'mallory'] }]])
  expect((await asking.calls({ tool_name: 'send' }).all()).map(({ event_type, ...call }) => ('tool_input' in call ? call.tool_input : event_type))).toEqual([{ to: ['alice', 'mallory'] }])
  await asking.close()
})

test('a long-lived process does not keep its drained events in its spool', async () => {
  const { folder } = scratch()
  const trail = openTrail(join(folder, 'a.db'), { agent_id: 'bot', home: join(folder, 'home'), mask: [] })
  const session = await trail.start({})
  const text = 'x'.repeat(1_000_000)
  for (let i = 0; i < 70; i++) session.record('reasoning', { text }) // the same content: stored once, spooled 70 times
  await session.record('reasoning', { text: 'last' }).durable()
  await trail.flush()
  const files = readdirSync(join(folder, 'a.db.spool')).filter((name) => !name.startsWith('.'))
  expect(files).toHaveLength(1) // the first, full one is drained and gone
  expect(await trail.events({ event_type: 'reasoning' }).count()).toBe(71)
  await session.end()
  expect((await trail.verify()).properties.complete.status).toBe('proved')
  await trail.close()
})
