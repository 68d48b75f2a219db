// What is disclosed is what was asked for, whatever way an event has it: its own, of a list, kept from an earlier call, or the same again.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { testContext } from '../src/cli/fixtures.ts'
import { openLocalTrail } from '../src/cli/local-trail.ts'
import { run } from '../src/cli/program.ts'
import type { Disclose, Trail } from '../src/index.ts'
import { evidencePage } from '../src/page.ts'
import { bundleIn, verifyBundle } from '../src/verify.ts'
import { scratchTrail } from './scratch.ts'

const message = (n: number): { role: string; content: string } => ({ role: n % 2 === 0 ? 'user' : 'assistant', content: `message ${n} of somebody` })
const CALLS = 20

/** A session of 20 model calls on one growing conversation, each answered by two blocks. */
async function conversation(trail: Trail): Promise<{ session_id: string; calls: number[]; results: number[] }> {
  const session_id = await trail.session({ user_message: 'begin', system_prompt: 'be good' }, async (session) => {
    for (let n = 0; n < CALLS; n++) {
      await session.llm({ provider: 'anthropic', model_id: 'm', system_prompt: 'be good', input_messages: Array.from({ length: 2 * n + 1 }, (_, i) => message(i)) }, async () => n, () => ({ output: [{ type: 'text', text: `first of ${n}` }, { type: 'text', text: `second of ${n}` }] }))
    }
    return session.session_id
  })
  const events = await trail.events({ session_id }).all()
  const of = (type: string): number[] => events.filter(({ event_type }) => event_type === type).map(({ index }) => index)
  return { session_id, calls: of('llm_call'), results: of('llm_result') }
}

async function texts(trail: Trail, session_id: string, disclose: Disclose): Promise<{ texts: string[]; earlier: readonly { stands: number }[] }> {
  const { json, earlier, verdict } = await trail.export({ session_id, disclose })
  expect(verdict.whole).toBe(true)
  const { contents } = verifyBundle(json)
  return { texts: contents.flatMap((one) => ('bytes' in one ? [new TextDecoder().decode(one.bytes)] : [])), earlier }
}

test('an export discloses each kind of payload, alone, and refuses what it does not understand', async () => {
  const { trail, at: { db, home } } = scratchTrail()
  const told = await conversation(trail)
  const { session_id, calls, results } = told
  const of = (disclose: Disclose): ReturnType<typeof texts> => texts(trail, session_id, disclose)
  expect(await of('none')).toEqual({ texts: [], earlier: [] })
  expect(await of([{ index: results[4]!, slot: 'output', position: 1 }])).toEqual({ texts: ['{"type":"text","text":"second of 4"}'], earlier: [] })
  expect((await of([{ index: results[4]!, slot: 'output' }])).texts).toHaveLength(2)
  // message 38 was added by the last call, 3 by the third, which brought 3 and 4
  expect(await of([{ index: calls[19]!, slot: 'input_messages', position: 38 }])).toEqual({ texts: [JSON.stringify(message(38))], earlier: [] })
  expect(await of([{ index: calls[19]!, slot: 'input_messages', position: 3 }])).toEqual({ texts: [JSON.stringify(message(3))], earlier: [{ index: calls[19], slot: 'input_messages', position: 3, stands: calls[2] }] })
  expect((await of([{ index: calls[19]!, slot: 'input_messages' }])).texts).toEqual([37, 38].map((n) => JSON.stringify(message(n))))
  const all = await of([{ index: calls[19]!, slot: 'input_messages', position: 'all' }])
  expect(all.texts).toEqual(Array.from({ length: 39 }, (_, n) => JSON.stringify(message(n))))
  expect(all.earlier).toHaveLength(37)
  const prompt = await of([{ index: calls[19]!, slot: 'system_prompt' }])
  expect(prompt).toMatchObject({ texts: ['be good'], earlier: [{ index: calls[19], slot: 'system_prompt' }] })
  expect(prompt.earlier[0]!.stands).toBeLessThan(calls[19]!)

  const page = await evidencePage((await trail.export({ session_id, disclose: [{ index: results[4]!, slot: 'output', position: 1 }] })).json)
  expect(verifyBundle(bundleIn(page)).verdict).toMatchObject({ whole: true, counts: { payloads: 1 } })
  expect(page).not.toContain('second of 5')
  await expect(evidencePage('{}')).rejects.toMatchObject({ code: 'bundle_malformed' })
  await refusals(trail, told)
  await trail.close()
  await commandLine(db, home, told)
})

async function refusals(trail: Trail, { session_id, calls, results }: Awaited<ReturnType<typeof conversation>>): Promise<void> {
  const wrong: [unknown, string][] = [
    [{ session_id: 'last' }, 'bad_session_id'], [{ session_id, disclosed: 'all' }, 'unknown_option'], [{ session_id, disclose: 'some' }, 'bad_disclose'], [{ session_id, disclose: [{ index: calls[0], payload: 'output' }] }, 'unknown_option'],
    [{ session_id, disclose: [{ index: calls[0], position: 0 }] }, 'bad_disclose'], [{ session_id, disclose: [{ index: '3' }] }, 'bad_disclose'], [{ session_id, disclose: [{ index: 0 }] }, 'bad_disclose'],
    [{ session_id, disclose: [{ index: calls[0], slot: 'output' }] }, 'bad_disclose'], [{ session_id, disclose: [{ index: calls[3], slot: 'input_messages', position: 7 }] }, 'bad_disclose'],
    [{ session_id, disclose: [{ index: calls[3], slot: 'system_prompt', position: 0 }] }, 'bad_disclose'], [{ session_id, disclose: [{ index: results[3], slot: '__proto__' }] }, 'bad_disclose'], [{ session_id, witnesses: 'key' }, 'bad_option'],
    [{ session_id: '019aa552-3c00-7abc-8def-00007f3a91c2' }, 'no_session'],
  ]
  for (const [order, code] of wrong) await expect(trail.export(order as never), JSON.stringify(order)).rejects.toMatchObject({ code, next: expect.stringMatching(/./) })
}

/** The same through `counterfoil export`, which says where what was asked for stands. */
async function commandLine(db: string, home: string, { session_id, calls }: Awaited<ReturnType<typeof conversation>>): Promise<void> {
  const told = { out: '', err: '' }
  const file = join(db, '..', 'evidence.html')
  const code = await run(['export', '--session', session_id, '--disclose', `#${calls[19]}:input_messages:3,#${calls[0]}:input_messages:ALL`, '-o', file], ({ json }) => testContext(told, { json, trail: db, cwd: '/', open: (path, mode) => openLocalTrail(path, mode, home) }))
  expect([code, told.err]).toEqual([0, ''])
  expect(told.out).toContain(`input_messages 3 of #${calls[19]} stands with #${calls[2]}, which brought it`)
  expect(verifyBundle(bundleIn(readFileSync(file, 'utf8'))).contents.filter((one) => 'bytes' in one).map(({ index, position }) => [index, position])).toEqual([[calls[0], 0], [calls[2], 0]])
}
