import { expect, test } from 'vitest'

import { viewEvent } from '../../test/replay/view-events.ts'
import type { ViewEvent } from '../event/view.ts'
import { Session } from './session.ts'
import { reader } from './why.ts'

/** A session of `steps` tool calls, each sent with all messages so far; as `copies`, every list holds its own objects, as after parsing. */
function long(steps: number, size: number, copies: boolean): ViewEvent[] {
  const events: ViewEvent[] = []
  const messages: unknown[] = [{ role: 'user', content: 'begin with id-000000' }]
  for (let i = 0; i < steps; i++) {
    const input = { id: `id-${String(i).padStart(6, '0')}`, amount: 100_000 + i, absent: `never-said-${i}` }
    const at = events.length
    events.push(
      viewEvent(at, 'llm_call', { input_messages: copies ? structuredClone(messages) : [...messages] }),
      viewEvent(at + 1, 'llm_result', { parent_event_id: `event-${at}`, tool_calls_requested: [{ name: 'act', input, call_id: `c${i}` }] }),
      viewEvent(at + 2, 'tool_call', { tool_name: 'act', call_id: `c${i}`, risk: 'low', tool_input: input }),
    )
    const filler = Array.from({ length: size >> 4 }, (_, n) => `word${(i * 31 + n * 7) % 5000} ${n * i}`).join(' ')
    messages.push({ role: 'assistant', tool_calls: [{ id: `c${i}`, function: { name: 'act', arguments: JSON.stringify(input) } }] }, { role: 'tool', tool_call_id: `c${i}`, content: `next: id-${String(i + 1).padStart(6, '0')} amount ${100_001 + i} ${filler}` })
  }
  return events
}

function timed<T>(work: () => T): { ms: number; result: T } {
  const start = performance.now()
  const result = work()
  return { ms: performance.now() - start, result }
}

// Bounds are far above what was measured; they catch the quadratic, which would take minutes.
test('5,000 messages sent again with every call are read once, and every act is explained', { timeout: 120_000 }, () => {
  const events = long(2500, 1000, false)
  const { ms, result: explain } = timed(() => reader(events))
  const acts = events.filter(({ event_type }) => event_type === 'tool_call')
  const { ms: each, result: said } = timed(() => acts.filter((_, i) => i % 10 === 0).map(({ event_id }) => explain(event_id)))
  console.log(`why: ${events.length} events, 5,001 messages in 2,500 lists: read in ${ms.toFixed(0)} ms, ${(each / said.length).toFixed(2)} ms an act`)
  for (const one of said.slice(1)) expect(one.values.map(({ status, source }) => [status, source?.kind ?? null])).toEqual([['traced', 'tool_answer'], ['traced', 'tool_answer'], ['nowhere', null]])
  expect(ms).toBeLessThan(40_000)
  expect(each / said.length).toBeLessThan(100)
})

test('messages that were parsed anew for every call are told by their text', () => {
  const texts = new Session(long(100, 200, true)).texts.texts
  expect(texts.length).toBe(new Session(long(100, 200, false)).texts.texts.length)
  expect(texts.length).toBeLessThan(100 * 4)
})

test('a text of many megabytes is read in linear time', { timeout: 120_000 }, () => {
  const line = 'lorem ipsum 12345 "key": "va\\nlue", 1,500 May 26 '
  const once = (times: number): number => timed(() => new Session([viewEvent(0, 'tool_result', { tool_output: line.repeat(times) })])).ms
  once(1000)
  const [small, large] = [once(5000), once(80_000)]
  console.log(`why: ${(line.length * 80_000 / 1e6).toFixed(1)} M characters in one answer: ${large.toFixed(0)} ms`)
  expect(large).toBeLessThan(Math.max(small, 20) * 16 * 6)
})
