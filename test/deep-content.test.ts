// Content that nests thousands of levels, as a tool or a model may give it, is recorded, shown, explained and exported like any other.

import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testContext, type Told } from '../src/cli/fixtures.ts'
import { openLocalTrail } from '../src/cli/local-trail.ts'
import { run } from '../src/cli/program.ts'
import { appendAll, openLog, place, scratch, Telling, text, verifyAt } from './sample-log.ts'

const tmp = scratch()
afterAll(() => tmp.remove())

test('deep JSON of a stranger stops no command', async () => {
  const where = place(join(tmp.folder, 'log'))
  const deep = '['.repeat(50_000) + ']'.repeat(50_000)
  const tell = new Telling()
  const ledger = await openLog(where)
  const call = tell.draft('tool_call', { tool_name: 'fetch', risk: 'low' }, { tool_input: { m: 'json', content: `{"order":${deep}}` } })
  await appendAll(ledger, [
    tell.draft('session_start', { agent_id: 'a' }, { user_message: text('hello') }),
    tell.draft('llm_call', { provider: 'p', model_id: 'm' }, { input_messages: { add: [{ m: 'json', content: `{"role":"user","content":${deep}}` }] } }),
    tell.draft('llm_result', {}, { output: { add: [{ m: 'json', content: `{"type":"tool_use","name":"fetch","input":${JSON.stringify(deep)}}` }] } }, { capture: 'after', outcome: 'success' }),
    call,
    tell.draft('tool_result', { tool_name: 'fetch' }, { tool_output: text(deep) }, { parent_event_id: call.event_id, capture: 'after', outcome: 'success' }),
    tell.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' }),
  ])
  await ledger.close()
  expect((await verifyAt(where)).whole).toBe(true)
  for (const args of [['show', 'last'], ['show', 'last', '--full'], ['show', 'last', '--json'], ['why', call.event_id], ['why', call.event_id, '--json'], ['export', '--disclose', 'all', '-o', join(tmp.folder, 'bundle.html')]]) {
    const told: Told = { out: '', err: '' }
    const code = await run(args, ({ json }) => testContext(told, { json, trail: where.db, cwd: tmp.folder, open: (path, mode) => openLocalTrail(path, mode, where.home) }))
    expect([args[0], code, told.err]).toEqual([args[0], 0, ''])
  }
})
