import { describe, expect, test } from 'vitest'
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { messageOf } from '../base/errors.ts'
import { entry, hash, ref, SESSION, STREAM, uuid } from './fixtures.ts'
import { readPlainEntry } from './plain-entry.ts'
import { encodeEntry, parseEntry, parseEntryText, type ParsedEntry } from './parse.ts'

const PLAIN = [
  entry(0, 'session_start', { facts: { agent_id: 'bot' } }),
  entry(7, 'llm_call', { facts: { provider: 'anthropic', model_id: 'm' }, payloads: { input_messages: { base: 3, keep: 2, add: [ref(1), ref(2, { k: 3, masked: ['card'] })], count: 4, root: hash(9) }, system_prompt: { same: 3 } }, stream: STREAM, stream_seq: 10, step_number: 4 }),
  entry(8, 'tool_result', { facts: { tool_name: 'refund', execution_time_ms: 29 }, payloads: { tool_output: ref(4) }, parent_event_id: uuid(3), outcome: 'success', capture: 'after' }),
  entry(9, 'session_end', { facts: { streams: { [STREAM]: 11 }, segment_count: 2 }, outcome: 'unknown', stream: STREAM, stream_seq: 0 }),
  entry(10, 'made_up', { facts: { index: 3, prev: 'x},', yes: true, some: ['a', '}'] }, writer: 'a/b.c' }),
].map((each) => fromUtf8(encodeEntry(each)))

/** What reading gives, its members in their order; of what it throws, everything that a verdict says. */
function outcome(read: () => ParsedEntry): string {
  try {
    return JSON.stringify(read())
  } catch (error) {
    return messageOf(error)
  }
}

/** By way of the envelope, and by way of the bytes, which knows nothing of it. */
function expectTheSame(text: string): boolean {
  const fast = outcome(() => parseEntryText(text))
  if (fast !== outcome(() => parseEntry(utf8(text)))) expect(fast, text).toBe(outcome(() => parseEntry(utf8(text))))
  return fast.startsWith('{"entry":')
}

describe('an entry read by its envelope', () => {
  test('is read so, when it is written as nearly all are', () => {
    for (const text of PLAIN) {
      expect(expectTheSame(text)).toBe(true)
      expect(readPlainEntry(text), text).toBeDefined()
    }
  })

  test('is the same as read by its bytes, wherever one character is another, one more or one less', () => {
    let read = 0
    for (const text of PLAIN) {
      for (let at = 0; at <= text.length; at++) {
        for (const char of '"\\{}01aAgZ=-. \n') {
          for (const other of [text.slice(0, at) + char + text.slice(at), text.slice(0, at) + char + text.slice(at + 1)]) if (expectTheSame(other)) read++
        }
        expectTheSame(text.slice(0, at) + text.slice(at + 1))
        expectTheSame(text.slice(0, at))
      }
    }
    expect(read).toBeGreaterThan(1_000) // not all of these are faults
  })

  test('is the same with members in another order, twice, or that nobody knows', () => {
    for (const text of PLAIN) {
      const members = Object.entries(JSON.parse(text) as object).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
      for (let i = 0; i < members.length; i++) {
        for (let k = 0; k < members.length; k++) {
          expectTheSame(`{${members.toSpliced(i, 1).toSpliced(k, 0, members[i]!).join(',')}}`)
          expectTheSame(`{${members.toSpliced(k, 0, members[i]!).join(',')}}`)
        }
        expectTheSame(`{${members.toSpliced(i, 1).join(',')}}`)
        for (const extra of ['"a":1', '"v":2', '"zz":{}']) expectTheSame(`{${members.toSpliced(i, 0, extra).join(',')}}`)
      }
    }
  })

  test('is the same with a fact of another spelling that is as long', () => {
    const text = PLAIN.find((each) => each.includes('"execution_time_ms":29'))!
    for (const number of ['1e2', '1E2', '100', '0.5', '-0', '029']) expectTheSame(text.replace('"execution_time_ms":29', `"execution_time_ms":${number}`))
  })

  test('is the same with any value at any member', () => {
    const values = ['0', '1', '-0', '-1', '01', '1.0', '1e3', '9007199254740991', '9007199254740992', '999999999999999', '1000000000000000', 'null', 'true', '""', '"a"', '{}', '[]', '"before"', '"after"', '"success"', '"2026-02-30T08:00:00.000Z"', '"2026-11-21T24:00:00.000Z"', '"2026-11-21T23:60:00.000Z"', '"2026-11-21T23:59:60.000Z"', '"2026-11-21T08:00:00.00:Z"', '"2024-02-29T23:59:59.999Z"', '{"a":1,"a":2}', '{"b":1,"a":2}', '{"2":1,"a":2}', '{"index":1},"index":2,"x":{', '{"a":{"c":1},"index":3}', '{"__proto__":1}', `"${SESSION}"`, `"${STREAM}"`, `"${hash(1)}"`, `"${hash(1).replace(/.=$/, 'B=')}"`, `"${'a'.repeat(64)}"`, `"${'a'.repeat(65)}"`, `"${'a'.repeat(129)}"`]
    for (const text of PLAIN) {
      for (const name of Object.keys(JSON.parse(text) as object)) {
        for (const value of values) {
          const members = Object.entries(JSON.parse(text) as object).map(([each, old]) => `${JSON.stringify(each)}:${each === name ? value : JSON.stringify(old)}`)
          expectTheSame(`{${members.join(',')}}`)
        }
      }
    }
  })
})
