// What `why` says when content is gone: facts still speak, and nothing else is made up.

import { describe, expect, test } from 'vitest'

import { viewEvent } from '../../test/replay/view-events.ts'
import { scratchTrail } from '../../test/scratch.ts'
import { Absent, type ViewEvent } from '../event/view.ts'
import { linesOf } from './format.ts'
import type { Why } from './result.ts'
import { why } from './why.ts'

const REFUND = { order_id: '1182', amount: 42 }
const GONE = new Absent('erased', 90)

/** A model asked for a refund, a person approved it, it was done. */
async function recorded(): Promise<{ trail: ReturnType<typeof scratchTrail>['trail']; session_id: string }> {
  const { trail } = scratchTrail({ approve: async () => ({ decision: 'approved', approver_id: 'lead-2', comment: 'fine' }) })
  const refund = trail.tool({ name: 'refund', description: 'refund', risk: 'high', approval: true }, () => 'done')
  let session_id = ''
  await trail.session({ user_id: 'c-4711', user_message: 'Please refund order 1182.', system_prompt: 'Be careful.' }, async (session) => {
    session_id = session.session_id
    session.record('llm_call', { provider: 'p', model_id: 'opus', input_messages: [{ role: 'user', content: 'Please refund order 1182.' }] })
    session.record('llm_result', { output_text: 'I refund it.', tool_calls_requested: [{ name: 'refund', input: REFUND, call_id: 'c2' }] })
    session.record('reasoning', { text: 'Policy 4.2 allows it.' })
    await refund.run(REFUND, 'c2')
  })
  return { trail, session_id }
}

describe('after the erasure of a session that was recorded', () => {
  test('why says from facts who asked, and of each thing gone by which entry', async () => {
    const { trail, session_id } = await recorded()
    await trail.erase({ session_id }, { reason: 'asked for' })
    const events = await trail.events({ session_id }).all()
    const erasure = (events[0] as unknown as ViewEvent)['user_message'] as Absent
    const by = `[erased by #${erasure.by}]`
    const said = (await trail.why()) as Why
    expect(said.asked_for).toMatchObject({ index: 3, by: 'parent', model_id: 'opus', same_input: null, absent: by })
    expect(said.event.input).toBeInstanceOf(Absent)
    const lines = linesOf(said, 200)
    const line = (label: string): string => lines.find((one) => one.startsWith(`  ${label} `)) ?? ''
    expect(lines[0]).toMatch(new RegExp(`^refund \\[erased by #${erasure.by}\\] · high · #7, `))
    expect(line('asked for')).toBe(`  asked for    by the model in #3 (opus); with what input: ${by}`)
    expect(line('reasoning')).toContain(by)
    expect(line('input')).toContain(by)
    expect(line('prompt')).toBe(`  prompt       ${by} in force since #1, unchanged; no rule decided`)
    expect(line('approved')).toMatch(new RegExp(`^  approved     #6 \\[erased by #${erasure.by}\\] \\(as asserted\\), .* shown \\[erased by #${erasure.by}\\]; whether the requester is not known$`))
    expect(line('happened')).toMatch(new RegExp(`^  happened     #8 success, .*; what came back: \\[erased by #${erasure.by}\\]$`))
    expect(lines.join('\n')).not.toMatch(/not asked for|model's own|none on record|unnamed|not the requester/)
    for (const { event_id, event_type } of events) {
      const text = linesOf((await trail.why(event_id)) as Why, 200).join('\n')
      expect(text).not.toMatch(/not asked for|model's own|prompt +none on record|unnamed|not the requester/)
      expect(text.includes('asked for    by the model in #3 (opus)'), event_type).toBe(/^tool|^approval/.test(event_type))
    }
  })
})

/** Order looked up, refund asked for by #4 and done in #5; `change` edits events by index. */
function session(change: { readonly [index: number]: { readonly [field: string]: unknown } } = {}): ViewEvent[] {
  return [
    viewEvent(0, 'session_start', { user_message: 'refund 1182' }),
    viewEvent(1, 'llm_call', { input_messages: [{ role: 'user', content: 'refund 1182' }] }),
    viewEvent(2, 'llm_result', { parent_event_id: 'event-1', output_text: 'Let me see.', tool_calls_requested: [] }),
    viewEvent(3, 'llm_call', { input_messages: [{ role: 'user', content: 'refund 1182' }] }),
    viewEvent(4, 'llm_result', { parent_event_id: 'event-3', tool_calls_requested: [{ name: 'refund', input: REFUND, call_id: 'c2' }] }),
    viewEvent(5, 'tool_call', { parent_event_id: 'event-4', tool_name: 'refund', call_id: 'c2', risk: 'high', tool_input: REFUND }),
    viewEvent(6, 'tool_result', { parent_event_id: 'event-5', call_id: 'c2', tool_output: 'done' }),
  ].map((event) => ({ ...event, ...change[event.index] }))
}
const act = (events: readonly ViewEvent[]): Why => why(events, 'event-5')
const first = (said: Why): string => linesOf(said, 200)[2] ?? ''
const NO_ID = { parent_event_id: null, call_id: undefined }

describe('who asked', () => {
  test('is not said to be nobody while an answer cannot be read', () => {
    const said = act(session({ 4: { tool_calls_requested: GONE }, 5: NO_ID }))
    expect(said.asked_for).toBeNull()
    expect(said.unread_answers).toEqual([{ index: 4, absent: '[erased by #90]' }])
    expect(first(said)).toBe('  asked for    not known: what the model asked for in #4 [erased by #90] cannot be read')
    expect(said.not_known.map(({ text }) => text)).not.toContain('who asked for it: no model call on record does')
  })

  test('is not the parent that can be read and did not ask', () => {
    const events = session({ 4: { tool_calls_requested: [] } })
    expect(first(act(events))).toBe('  asked for    not asked for by any model call on record')
  })

  test('is the parent only as what the act names where no call id says that a model asked', () => {
    expect(first(act(session({ 4: { tool_calls_requested: GONE }, 5: { call_id: undefined } })))).toBe('  asked for    the act names as its parent what was said by the model in #4; with what input: [erased by #90]')
  })

  test('by name and equal input stays in doubt where a later answer cannot be read', () => {
    const said = act(session({ 2: { tool_calls_requested: [{ name: 'refund', input: REFUND }] }, 4: { tool_calls_requested: GONE }, 5: NO_ID }))
    expect(said).toMatchObject({ asked_for: { index: 2, by: 'name_and_input' }, unread_answers: [{ index: 4 }] })
    expect(said.not_known).toContainEqual({ text: 'whether the model asked for it in #4: [erased by #90]', index: 4 })
  })

  test('is the parent that was erased, not an earlier answer whose call id another act took up', () => {
    const earlier = { tool_calls_requested: [{ name: 'refund', input: REFUND, call_id: 'c2' }] }
    const events = [...session({ 2: earlier, 4: { tool_calls_requested: GONE } }), viewEvent(2.5, 'tool_call', { tool_name: 'refund', call_id: 'c2', tool_input: REFUND })]
    expect(act(events).asked_for).toMatchObject({ index: 4, by: 'parent' })
    expect(act(session({ 2: earlier, 4: { tool_calls_requested: GONE } })).asked_for).toMatchObject({ index: 2, by: 'call_id' })
  })

  test('is not a model of another session whose call id is the same by chance', () => {
    const parent = viewEvent(-1, 'llm_result', { session_id: 'parent', tool_calls_requested: [{ name: 'refund', input: REFUND, call_id: 'c2' }] })
    expect(act([parent, ...session({ 4: { tool_calls_requested: [] } })]).asked_for).toBeNull()
  })

  test('with an input that only looks like something erased is shown as the input it is', () => {
    const input = { absent: 'erased', by: 9 }
    const events = session({ 4: { tool_calls_requested: [{ name: 'refund', input, call_id: 'c2' }] }, 5: { tool_input: input } })
    expect(linesOf(act(events), 200)[0]).toContain('refund {"absent":"erased","by":9} ·')
  })
})

describe('a prompt that was erased', () => {
  test('is not said to be unchanged where it was stated twice, and is where a fingerprint tells', () => {
    const gone = { system_prompt: GONE }
    const line = (events: readonly ViewEvent[]): string => linesOf(act(events), 200).find((one) => one.startsWith('  prompt')) ?? ''
    expect(line(session({ 0: gone, 3: gone }))).toContain('[erased by #90] in force since #0, whether it changed cannot be read')
    const marked = { ...gone, system_prompt_fingerprint: 'f1' }
    expect(line(session({ 0: marked, 3: marked }))).toContain('in force since #0, unchanged')
    expect(line(session({ 0: marked, 3: { ...marked, system_prompt_fingerprint: 'f2' } }))).toContain('changed since #0 by #3')
  })
})
