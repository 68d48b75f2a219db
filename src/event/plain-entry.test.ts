import { describe, expect, test } from 'vitest'
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { canonicalJson } from '../base/canonical-json.ts'
import { messageOf } from '../base/errors.ts'
import { entry, hash, ref, SESSION, STREAM, uuid } from './fixtures.ts'
import { readPlainEntry } from './plain-entry.ts'
import { encodeEntry, parseEntry, parseEntryText, type ParsedEntry } from './parse.ts'

const PLAIN = [
  entry(0, 'session_start', { facts: { agent_id: 'bot' } }),
  entry(7, 'llm_call', { facts: { provider: 'anthropic', model_id: 'm' }, payloads: { input_messages: { base: 3, keep: 2, add: [ref(1), ref(2, { k: 3, masked: ['card'] })], count: 4, root: hash(9) }, system_prompt: { same: 3 } }, stream: STREAM, stream_seq: 10, step_number: 4 }),
  entry(8, 'tool_result', { facts: { tool_name: 'refund', execution_time_ms: 29 }, payloads: { tool_output: ref(4) }, parent_event_id: uuid(3), outcome: 'success', capture: 'after' }),
  entry(9, 'session_end', { facts: { streams: { [STREAM]: 11 }, segment_count: 2 }, outcome: 'unknown', stream: STREAM, stream_seq: 0 }),
  entry(9, 'llm_result', { facts: { complete: true, input_tokens: 0, status: 200 }, payloads: { names: ref(2, { m: 'text' }), output: { add: [], base: 8, keep: 0, count: 0, root: hash(1) }, raw: ref(3, { k: 65_535, m: 'bytes', masked: ['a', 'b', 'c', 'd'] }), usage: { same: 0 } } }),
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

/** By the short cut, and by way of the bytes, which knows nothing of it. */
function expectTheSame(text: string): boolean {
  const fast = outcome(() => parseEntryText(text))
  if (fast !== outcome(() => parseEntry(utf8(text)))) expect(fast, text).toBe(outcome(() => parseEntry(utf8(text))))
  return fast.startsWith('{"entry":')
}

describe('an entry that is written as nearly all are', () => {
  test('is read by the short cut', () => {
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

  test('is the same with facts, payloads and their members in another order, twice, or under another name', () => {
    const objects = (value: unknown, path: readonly string[] = []): (readonly string[])[] => (typeof value !== 'object' || value === null ? [] : [...(Array.isArray(value) ? [] : [path]), ...Object.entries(value).flatMap(([name, each]) => objects(each, [...path, name]))])
    const written = (value: unknown, path: readonly string[], members: (own: string[]) => string[]): string => {
      if (Array.isArray(value)) return `[${value.map((each, i) => written(each, path[0] === String(i) ? path.slice(1) : ['-'], members)).join(',')}]`
      if (typeof value !== 'object' || value === null) return JSON.stringify(value)
      const own = Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}:${written(each, path[0] === name ? path.slice(1) : ['-'], members)}`)
      return `{${(path.length === 0 ? members(own) : own).join(',')}}`
    }
    for (const text of PLAIN) {
      const value: unknown = JSON.parse(text)
      for (const path of objects(value).filter((each) => each.length > 0)) {
        expect(written(value, path, (own) => own)).toBe(text)
        for (let i = 0; i < 5; i++) {
          expectTheSame(written(value, path, (own) => own.toReversed()))
          expectTheSame(written(value, path, (own) => own.toSpliced(i, 1)))
          expectTheSame(written(value, path, (own) => own.toSpliced(i, 0, ...own.slice(i, i + 1))))
          expectTheSame(written(value, path, (own) => [...own.slice(i), ...own.slice(0, i)]))
          for (const extra of ['"a":1', '"2":1', '"__proto__":1', '"zz":true', '"z":{"c":1}', '"b":{"same":0}', `"b":${JSON.stringify(ref(1))}`, '"k":1', '"base":2', '"keep":1', '"masked":[]', '"masked":["a"]', '"":1', '"A":1']) expectTheSame(written(value, path, (own) => own.toSpliced(i, 0, extra)))
        }
      }
    }
  })

  test('is the same at every maximum, and one beyond', () => {
    const at = (facts: object, payloads: object): string => fromUtf8(utf8(canonicalJson({ ...entry(9, 'made_up'), facts, payloads } as never)))
    const list = (count: number, more: object = {}): object => ({ add: Array.from({ length: count }, (_, i) => ref(i)), count, root: hash(0), ...more })
    const letters = (n: number): string => 'a'.repeat(n)
    const right = [
      at({ a: letters(128), b: [letters(128)], c: 999_999_999_999_999, d: [], e: {} }, {}), at({ [letters(64)]: 1 }, { [letters(64)]: ref(1) }), at({}, { l: list(256) }), at({}, { k: list(200), l: list(56) }),
      at({}, { l: list(2, { base: 8, keep: 5, count: 7 }) }), at({}, { p: { same: 8 } }), at({}, { p: ref(1, { k: 65_535, masked: [letters(32)] }) }), at(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`n${String(i + 10)}`, i])), {}),
    ]
    for (const text of right) {
      expect(expectTheSame(text)).toBe(true)
      expect(readPlainEntry(text), text).toBeDefined()
    }
    const wrong = [
      at({ a: letters(129) }, {}), at({ a: [letters(129)] }, {}), at({ a: '' }, {}), at({ a: [''] }, {}), at({ a: [1] }, {}), at({ a: { [letters(1)]: 'x' } }, {}), at({ a: ' ' }, {}), at({ a: null }, {}), at({ a: 0.5 }, {}), at({ [letters(65)]: 1 }, {}), at({ A: 1 }, {}), at({ '9': 1 }, {}),
      at({}, { l: list(257) }), at({}, { k: list(201), l: list(56) }), at({}, { l: list(2, { base: 9, keep: 5, count: 7 }) }), at({}, { l: list(2, { base: 8, keep: 5 }) }), at({}, { l: list(2, { base: 8 }) }), at({}, { l: list(2, { keep: 0 }) }), at({}, { l: list(2, { count: 3 }) }), at({}, { l: list(2, { root: 'x' }) }),
      at({}, { p: { same: 9 } }), at({}, { p: { same: -1 } }), at({}, { p: ref(1, { k: 0 }) }), at({}, { p: ref(1, { k: 65_536 }) }), at({}, { p: ref(1, { masked: [] }) }), at({}, { p: ref(1, { masked: [letters(33)] }) }), at({}, { p: ref(1, { masked: ['-'] }) }), at({}, { p: ref(1, { masked: ['a', 'b', 'c', 'd', 'e'] }) }), at({}, { p: ref(1, { m: 'xml' as never }) }), at({}, { p: {} }), at({}, { p: [] }), at({}, { [letters(65)]: ref(1) }),
    ]
    for (const text of wrong) {
      expect(expectTheSame(text), text).toBe(false)
      expect(readPlainEntry(text), text).toBeUndefined()
    }
    // these are right, and too rare for the short cut
    for (const text of [at({ a: -1, b: 9_007_199_254_740_991 }, {}), at({ a: { x: 1, y: 2 } }, {}), at({ a: { [STREAM]: -1 } }, {})]) expect(expectTheSame(text), text).toBe(true)
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
