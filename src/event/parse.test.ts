import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { canonicalJson } from '../base/canonical-json.ts'
import { MAX_PAYLOAD_BYTES, type Entry, type FactValue, type Ref, type Slot } from './entry.ts'
import { draft, entry, hash, ref, SESSION, STREAM, uuid } from './fixtures.ts'
import { MAX_SCOPE, RULES } from './kind.ts'
import { checkDraft, encodeEntry, parseEntry } from './parse.ts'
import { VOCABULARY, type KnownType } from './vocabulary.ts'
import type { Draft } from './draft.ts'
import type { ViewEnvelope } from './view.ts'

const TYPES = Object.keys(VOCABULARY) as KnownType[]
const kindsOf = (type: KnownType): [string, string][] => Object.entries(VOCABULARY[type].facts)
const payloadsOf = (type: KnownType): [string, string][] => Object.entries(VOCABULARY[type].payloads)

describe('writing is closed', () => {
  const call: Draft = draft('tool_call', {
    facts: { tool_name: 'refund', risk: 'high' },
    links: { approval: uuid(7) },
    payloads: { tool_input: { m: 'json', content: '{}', k: 2, masked: ['card'] }, names: { same: uuid(3) } },
    stream: STREAM, stream_seq: 0, step_number: 3, parent_event_id: uuid(2), outcome: 'unknown',
  })
  const list = (slot: unknown): unknown => draft('llm_call', { facts: { provider: 'anthropic', model_id: 'm' }, payloads: { input_messages: slot } as never })
  const piece = { m: 'json', content: '{}' }
  const change = (more: object): unknown => ({ ...call, ...more })

  test('what the vocabulary knows passes', () => {
    checkDraft(call)
    checkDraft(list({ add: [] }) as Draft)
    checkDraft(list({ base: uuid(1), keep: 3, add: [piece] }) as Draft)
    checkDraft(list({ same: uuid(1) }) as Draft)
    checkDraft(list({ add: Array.from({ length: 256 }, () => piece) }) as Draft)
    checkDraft(draft('approval_decision', { facts: { request: hash(1), decision: 'approved' } }))
    checkDraft(draft('finding', { facts: { rule: 'r', severity: 'low', events: [uuid(1)] } }))
    checkDraft(draft('session_end', { facts: { streams: { [STREAM]: 4 } } }))
    checkDraft(draft('gap', { facts: { missing_stream: STREAM, cause: 'x' }, links: { from: uuid(1), to: uuid(2) } })) // required, and there by link
  })

  test('every fact of every type passes with its kind and fails without a value', () => {
    for (const type of TYPES) {
      const facts = Object.fromEntries(kindsOf(type).map(([name, kind]) => [name, largest(kind)]))
      checkDraft(draft(type, { facts }))
      for (const [name, kind] of kindsOf(type)) {
        expect(() => checkDraft(draft(type, { facts: { ...facts, [name]: null } })), `${type}.${name}`).toThrow(`event: expected ${type}.${name} to be`)
        expect(() => checkDraft(draft(type, { facts: { ...facts, [name]: undefined } }))).toThrow(`event: expected ${type}.${name} to be`)
        const { [name]: _, ...without } = facts
        if (kind.endsWith('?')) checkDraft(draft(type, { facts: without }))
        else expect(() => checkDraft(draft(type, { facts: without }))).toThrow('this fact is required')
      }
    }
  })

  test.each<[string, unknown, RegExp]>([
    ['an unknown type', change({ event_type: 'tool_cal' }), /tool_cal\.event_type to be an event type of the vocabulary, got "tool_cal"/],
    ['a type from Object.prototype', change({ event_type: 'constructor' }), /event type of the vocabulary/],
    ['a missing type', change({ event_type: undefined }), /event type of the vocabulary, got undefined/],
    ['no object', null, /an event to be an object/],
    ['an unknown field', change({ prev: hash(1) }), /no field "prev" in tool_call/],
    ['an unknown fact', change({ facts: { ...call.facts, user: 'maria' } }), /no fact "user" in tool_call, which has tool_name, /],
    ['a fact called __proto__', change({ facts: { ...call.facts, ['__proto__']: 1 } }), /no fact "__proto__"/],
    ['a fact of the wrong kind', change({ facts: { tool_name: 'refund', risk: 'extreme' } }), /tool_call\.risk to be one of low, medium, high, critical, got "extreme"/],
    ['free text as a label', change({ facts: { tool_name: 'refund 42 to Maria', risk: 'low' } }), /tool_call\.tool_name to be a label .*payload/],
    ['a missing required fact', change({ facts: { tool_name: 'refund' } }), /tool_call\.risk to be .*, got undefined; this fact is required/],
    ['an integer beyond 2^53', change({ facts: { ...call.facts, attempt: 2 ** 53 } }), /tool_call\.attempt to be a safe integer, got 9007199254740992/],
    ['a fraction', change({ facts: { ...call.facts, attempt: 0.5 } }), /safe integer, got 0.5/],
    ['NaN', change({ facts: { ...call.facts, attempt: Number.NaN } }), /safe integer, got NaN/],
    ['a link to a fact that is no number', change({ links: { tool_name: uuid(1) } }), /which no link can become/],
    ['a fact and a link of one name', change({ facts: { ...call.facts, approval: 3 } }), /a fact or a link, got "both"/],
    ['a link that is no uuid', change({ links: { approval: 'x' } }), /event_id of an earlier event/],
    ['an unknown link', change({ links: { x: uuid(1) } }), /no link "x"/],
    ['an unknown payload', change({ payloads: { tool_output: piece } }), /no payload "tool_output" in tool_call, which has tool_input, names/],
    ['a wrong capture', change({ capture: 'during' }), /capture to be one of before, after, imported/],
    ['a wrong outcome', change({ outcome: 'ok' }), /outcome to be one of success/],
    ['an upper-case uuid', change({ event_id: uuid(10).toUpperCase() }), /event_id to be a lower-case UUID/],
    ['30 February', change({ timestamp: '2026-02-30T08:00:00.000Z' }), /timestamp to be a time/],
    ['a time without milliseconds', change({ timestamp: '2026-02-20T08:00:00Z' }), /timestamp to be a time/],
    ['a bad ref', change({ stream: 'abc' }), /stream to be a reference/],
    ['a stream without its counter', (() => { const { stream_seq: _, ...rest } = call; return rest })(), /together or neither/],
    ['a scope without its number', draft('erasure', { facts: { phase: 'ordered', erasure: STREAM, scopes: [uuid(1)] } }), /each a scope as <session id>\/<k>/],
    ['a scope with a second spelling', draft('erasure', { facts: { phase: 'ordered', erasure: STREAM, scopes: [`${uuid(1)}/01`] } }), /each a scope/],
    ['a scope that is too large', draft('erasure', { facts: { phase: 'ordered', erasure: STREAM, scopes: [`${uuid(1)}/65536`] } }), /each a scope/],
    ['501 scopes', draft('erasure', { facts: { phase: 'ordered', erasure: STREAM, scopes: Array.from({ length: 501 }, () => `${uuid(1)}/0`) } }), /at most 500/],
    ['257 streams', draft('session_end', { facts: { streams: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [i.toString(16).padStart(32, '0'), 1])) } }), /at most 256 counts by reference/],
    ['a count that is none', draft('session_end', { facts: { streams: { [STREAM]: -1 } } }), /counts by reference/],
    ['a negative step', change({ step_number: -1 }), /step_number to be a safe integer from 0, got -1/],
    ['a list where one belongs', change({ payloads: { tool_input: { add: [] } } }), /no member "add"/],
    ['one where a list belongs', list(piece), /no member "m"/],
    ['base without keep', list({ base: uuid(1), add: [] }), /base and keep together/],
    ['a negative keep', list({ base: uuid(1), keep: -1, add: [] }), /keep to be a safe integer from 0/],
    ['257 added', list({ add: Array.from({ length: 257 }, () => piece) }), /at most 256 added list elements in one event, got 257; record context events/],
    ['257 added over two lists', draft('llm_call', { facts: { provider: 'a', model_id: 'm' }, payloads: { input_messages: { add: Array.from({ length: 200 }, () => piece) as never }, tool_definitions: { add: Array.from({ length: 57 }, () => piece) as never } } }), /got 257/],
    ['a wrong media', change({ payloads: { tool_input: { m: 'xml', content: '' } } }), /m to be one of json, text, bytes/],
    ['a lone surrogate', change({ payloads: { tool_input: { m: 'text', content: '\ud800' } } }), /well-formed string/],
    ['content that is neither', change({ payloads: { tool_input: { m: 'json', content: {} } } }), /a string or a Uint8Array, got an object/],
    ['a scope out of range', change({ payloads: { tool_input: { ...piece, k: 65_536 } } }), /a scope from 0 to 65535, got 65536/],
    ['five masks', change({ payloads: { tool_input: { ...piece, masked: ['a', 'b', 'c', 'd', 'e'] } } }), /at most 4 mask names/],
    ['a mask name of 33', change({ payloads: { tool_input: { ...piece, masked: ['x'.repeat(33)] } } }), /at most 32 characters/],
    ['a payload over 64 MiB', change({ payloads: { tool_input: { m: 'bytes', content: new Uint8Array(MAX_PAYLOAD_BYTES + 1) } } }), /at most 67108864 bytes, got 67108865/],
    ['a text over 64 MiB in UTF-8 alone', change({ payloads: { tool_input: { m: 'text', content: 'é'.repeat(MAX_PAYLOAD_BYTES / 2 + 1) } } }), /at most 67108864 bytes/],
  ])('%s is misuse', (_name, bad, message) => {
    expect(() => checkDraft(bad as Draft)).toThrow(expect.objectContaining({ name: 'MisuseError', code: 'bad_event', message: expect.stringMatching(message) as unknown }))
  })
})

describe('an entry and its bytes', () => {
  const full = entry(9, 'tool_call', {
    stream: STREAM, stream_seq: 4, parent_event_id: uuid(2), step_number: 2, outcome: 'success',
    facts: { tool_name: 'refund', risk: 'high', approval: 3, requires_approval: true, list: ['a', 'b'], counts: { x: 1 } },
    payloads: {
      tool_input: ref(1, { k: 3, masked: ['card', 'secret'] }), names: { same: 4 },
      more: { base: 2, keep: 5, add: [ref(2, { m: 'text' }), ref(3, { m: 'bytes' })], count: 7, root: hash(9) }, fresh: { add: [], count: 0, root: hash(8) },
    },
  })

  test('parse gives back what encode took', () => {
    expect(parseEntry(encodeEntry(full)).entry).toEqual(full)
    for (const type of TYPES) expect(parseEntry(encodeEntry(largestEntry(type)))).toEqual({ entry: largestEntry(type), unknown: [] })
  })

  test('the largest possible entry of every type fits', () => {
    const sizes = TYPES.map((type) => encodeEntry(largestEntry(type)).length)
    expect(Math.max(...sizes)).toBeLessThan(65_535)
    // The largest is really the largest: one more than a maximum is refused for that, never for the size.
    expect(Math.max(...sizes)).toBeGreaterThan(256 * 220)
  })

  test('an entry over the maximum is an internal error, and bytes over it are malformed', () => {
    const facts = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`f${i}`, 'x'.repeat(128)]))
    expect(() => encodeEntry(entry(1, 'custom', { facts }))).toThrow(expect.objectContaining({ code: 'internal' }))
    expect(() => parseEntry(utf8(canonicalJson(entry(1, 'custom', { facts }) as never)))).toThrow(/expected at most 65535 bytes, got/)
  })

  test('what parse would refuse cannot be encoded', () => {
    for (const bad of [{ ...full, index: -1 }, { ...full, extra: 1 }, { ...full, payloads: { tool_input: { c: hash(1), m: 'json', k: 0 } } }, { ...full, outcome: undefined }]) {
      expect(() => encodeEntry(bad as unknown as Entry)).toThrow(expect.objectContaining({ code: 'internal' }))
    }
  })

  test('every envelope field, fact, payload and ref member is covered by the bytes', () => {
    const original = fromUtf8(encodeEntry(full))
    let leaves = 0
    const visit = (value: unknown, rebuild: (changed: unknown) => unknown): void => {
      if (typeof value !== 'object' || value === null) {
        leaves++
        for (const changed of changesOf(value)) expect(JSON.stringify(sortKeys(rebuild(changed)))).not.toBe(original)
        return
      }
      for (const [key, each] of Object.entries(value)) {
        const put = (changed: unknown): unknown => rebuild(Array.isArray(value) ? value.with(Number(key), changed) : { ...value, [key]: changed })
        visit(each, put)
        if (!Array.isArray(value)) {
          const { [key]: _, ...without } = value as { [name: string]: unknown }
          expect(encodeOrRefuse(rebuild(without))).not.toBe(original)
          expect(encodeOrRefuse(rebuild({ ...without, [`${key}x`]: each }))).not.toBe(original)
        }
      }
    }
    const members = new Set(Object.keys(full))
    for (const name of ['v', 'index', 'event_id', 'event_type', 'session_id', 'seq', 'prev', 'writer', 'stream', 'stream_seq', 'timestamp', 'recorded_at', 'parent_event_id', 'step_number', 'capture', 'outcome', 'facts', 'payloads']) members.delete(name)
    expect([...members]).toEqual([])
    expect(JSON.stringify(sortKeys(full))).toBe(original)
    visit(full, (changed) => changed)
    expect(leaves).toBe(39)
    // and through encodeEntry itself, for each field that has another right value
    for (const changed of [{ index: 10 }, { seq: 10 }, { event_id: uuid(77) }, { event_type: 'tool_result' }, { writer: 'x' }, { prev: hash(5) }, { stream_seq: 5 }, { stream: STREAM.replace('0', 'f') }, { timestamp: '2026-11-21T08:00:00.001Z' }, { recorded_at: '2026-11-21T08:00:00.001Z' }, { parent_event_id: uuid(4) }, { step_number: 0 }, { capture: 'after' as const }, { outcome: 'denied' as const }, { session_id: uuid(9) }]) {
      expect(fromUtf8(encodeEntry({ ...full, ...changed }))).not.toBe(original)
    }
  })

  test('every flipped bit is refused or is another entry', () => {
    const bytes = encodeEntry(full)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      try {
        expect(parseEntry(flipped).entry).not.toEqual(full)
      } catch (error) {
        expect(['entry_malformed', 'newer_format']).toContain((error as { code?: string }).code)
      }
    }
  })

  const text = fromUtf8(encodeEntry(full))
  const swap = (from: string, to: string): string => {
    expect(text).toContain(from)
    return text.replace(from, () => to)
  }
  test.each<[string, string]>([
    ['whitespace', swap('{"capture"', '{ "capture"')],
    ['a trailing newline', `${text}\n`],
    ['a byte order mark', `\ufeff${text}`],
    ['a duplicate key, same value', swap('"seq":9', '"seq":9,"seq":9')],
    ['a duplicate key, other value first', swap('"seq":9', '"seq":8,"seq":9')],
    ['keys in another order', swap('"k":3,"m":"json"', '"m":"json","k":3')],
    ['an exponent', swap('"approval":3', '"approval":3e0')],
    ['an exponent as long as its digits', swap('"approval":3', '"approval":1e2')],
    ['a shorter exponent, and a duplicate key as long as what it saves', swap('"approval":3', '"ab":1,"ab":1,"approval":1e9')],
    ['minus zero in place of a digit', swap('"approval":3', '"approval":-0,"ab":0').replace('"approval":-0,"ab":0', '"ab":10,"approval":-0')],
    ['numbers as keys, in another order', swap('"counts":{"x":1}', '"counts":{"1":1,"0":1}')],
    ['a number as a key after a name', swap('"counts":{"x":1}', '"counts":{"x":1,"7":1}')],
    ['a fraction that is whole', swap('"approval":3', '"approval":3.0')],
    ['a fraction', swap('"approval":3', '"approval":3.5')],
    ['minus zero', swap('"approval":3', '"approval":-0')],
    ['an unsafe integer', swap('"approval":3', '"approval":9007199254740993')],
    ['an escape that need not be', swap('"refund"', '"\\u0072efund"')],
    ['an escaped slash', swap('"x":1', '"x\\/":1')],
    ['a null fact', swap('"approval":3', '"approval":null')],
    ['a null envelope field', swap('"outcome":"success"', '"outcome":null')],
    ['a nested object as a fact', swap('"counts":{"x":1}', '"counts":{"x":{}}')],
    ['a number in a list fact', swap('["a","b"]', '["a",1]')],
    ['free text as a fact', swap('"refund"', '"refund 42"')],
    ['a non-ASCII fact', swap('"refund"', '"réfund"')],
    ['a fact called __proto__', swap('"approval":3', '"__proto__":3')],
    ['a missing field', swap('"writer":"local"', '"write":"local"').replace('"write":"local",', '')],
    ['a uuid in capitals', swap('-7000-', '-7A00-')],
    ['a hash with bits after its end', swap(`"prev":"${hash(9)}"`, `"prev":"${hash(9).replace('A=', 'B=')}"`)],
    ['an unpadded hash', swap(`"prev":"${hash(9)}"`, `"prev":"${hash(9).slice(0, 43)}"`)],
    ['a ref with another member', swap('"m":"text"', '"m":"text","x":1')],
    ['a ref without media', swap(',"m":"text"', '')],
    ['an unknown media', swap('"m":"text"', '"m":"html"')],
    ['scope 0 said openly', swap('"k":3', '"k":0')],
    ['an empty list of masks', swap('"masked":["card","secret"]', '"masked":[]')],
    ['a list with another member', swap('"root":', '"more":1,"root":')],
    ['257 added over two lists', swap(`{"add":[],"count":0,"root":"${hash(8)}"}`, `{"add":[${Array.from({ length: 256 }, () => `{"c":"${hash(1)}","m":"json"}`).join()}],"count":256,"root":"${hash(8)}"}`)],
    ['base without keep', swap('"keep":5,', '')],
    ['a wrong count', swap('"count":7', '"count":8')],
    ['a base that comes later', swap('"base":2', '"base":9')],
    ['a same that is itself', swap('{"same":4}', '{"same":9}')],
    ['same beside a ref', swap('{"same":4}', `{"c":"${hash(1)}","m":"json","same":4}`)],
    ['a payload that is a string', swap('{"same":4}', '"x"')],
    ['a slot without anything', swap('{"same":4}', '{}')],
    ['stream without stream_seq', swap(',"stream_seq":4', '')],
    ['version 0', swap('"v":1', '"v":0')],
    ['version as a string', swap('"v":1', '"v":"2"')],
    ['an array', '[]'], ['null', 'null'], ['nothing', ''], ['half', text.slice(0, 100)], ['two', text + text],
    ['very deep', '['.repeat(60_000)],
  ])('%s is malformed', (_name, bad) => {
    expect(() => parseEntry(utf8(bad))).toThrow(expect.objectContaining({ name: 'VerifyError', code: 'entry_malformed' }))
  })

  test('bytes that are not UTF-8 are malformed', () => {
    const bytes = encodeEntry(full)
    bytes[text.indexOf('refund')] = 0xff
    expect(() => parseEntry(bytes)).toThrow(expect.objectContaining({ code: 'entry_malformed' }))
  })

  test('another version or envelope member is a newer format, never malformed', () => {
    for (const newer of [swap('"v":1', '"v":2'), '{"v":3}', swap('"v":1', '"v":1,"w":{"deep":[null,1.5]}'), swap('"seq":9', '"seq":9,"sequel":"é"')]) {
      expect(() => parseEntry(utf8(newer))).toThrow(expect.objectContaining({ name: 'NewerFormatError', code: 'newer_format' }))
    }
    // …but not a disguise for what is wrong in the rest
    expect(() => parseEntry(utf8(swap('"v":1', '"v":1,"w":1').replace('"index":9', '"index":-9')))).toThrow(expect.objectContaining({ code: 'entry_malformed' }))
    expect(() => parseEntry(utf8(swap('"v":1', '"v":1,"w":1,"w":1')))).toThrow(expect.objectContaining({ code: 'entry_malformed' }))
  })

  test('an order that differs from the order of insertion is canonical all the same', () => {
    const counts = entry(9, 'dream', { facts: { counts: { 10: 1, 9: 2, a: 3 } } })
    expect(fromUtf8(encodeEntry(counts))).toContain('{"10":1,"9":2,"a":3}')
    expect(parseEntry(encodeEntry(counts)).entry).toEqual(counts)
    expect(() => parseEntry(utf8(fromUtf8(encodeEntry(counts)).replace('"10":1,"9":2', '"9":2,"10":1')))).toThrow('another spelling')
  })

  test('the order in which an entry was made makes no difference, and what JSON.stringify would change is refused', () => {
    const made = entry(9, 'dream', { outcome: 'success', facts: { zeal: 'a"b\\c', about: ['x', '"'], lost: false, n: -1 }, payloads: { plot: { m: 'json', k: 2, c: hash(1) }, again: { same: 3 }, scenes: { root: hash(2), keep: 1, count: 2, base: 4, add: [ref(2)] } } })
    const turned = (value: unknown): unknown => (Array.isArray(value) ? value.map(turned) : typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value).reverse().map(([name, each]) => [name, turned(each)])) : value)
    const ordered = JSON.parse(canonicalJson(made as never)) as Entry
    for (const one of [made, turned(made), ordered]) expect(fromUtf8(encodeEntry(one as Entry))).toBe(canonicalJson(made as never))
    const hole = ['x']
    hole[2] = 'z'
    class Facts { readonly zeal = 'a'; toJSON(): object { return {} } }
    for (const facts of [{ about: hole }, new Facts()]) expect(() => encodeEntry({ ...ordered, facts: facts as never })).toThrow()
  })

  test('times are checked whether or not their day was seen before', () => {
    const at = (timestamp: string): Entry => parseEntry(encodeEntry(entry(9, 'final_output', { timestamp }))).entry
    for (const good of ['2024-02-29T23:59:59.999Z', '2024-02-29T23:59:00.000Z', '2026-01-01T00:00:00.000Z']) expect(at(good).timestamp).toBe(good)
    for (const bad of ['none:00.000Z', ':00.000Z', '2026-01-01T00:00:60.000Z', '2026-01-01T00:00:00.000', '2026-01-01T00:00:0', '2026-01-01T00:00', '2026-01-01T00:00:00.0000Z', '2026-02-29T00:00:00.000Z', '2026-01-01T24:00:00.000Z', '2026-01-01T23:60:00.000Z', '2026-01-01 00:00:00.000Z', '2026-01-01T']) expect(() => at(bad), bad).toThrow('expected timestamp to be a time')
  })

  test('vocabulary of another release is counted, and its refs are still checked', () => {
    const future = entry(9, 'dream', { facts: { depth: 3, vividness: '0.7', of: ['sheep'] }, payloads: { plot: ref(1), scenes: { add: [ref(2)], count: 1, root: hash(1) } } })
    expect(parseEntry(encodeEntry(future))).toEqual({ entry: future, unknown: ['dream'] })
    expect(() => parseEntry(utf8(fromUtf8(encodeEntry(future)).replace('"count":1', '"count":2')))).toThrow(expect.objectContaining({ code: 'entry_malformed' }))
    const known = (more: Partial<Entry>): string[] => parseEntry(encodeEntry(entry(9, 'tool_call', { facts: { tool_name: 'a', risk: 'low' }, ...more }))).unknown
    expect(known({})).toEqual([])
    expect(known({ facts: { tool_name: 'a', risk: 'low', mood: 'good' } })).toEqual(['tool_call.facts.mood'])
    expect(known({ facts: { tool_name: 'a', risk: 'extreme' } })).toEqual(['tool_call.facts.risk'])
    expect(known({ facts: { tool_name: 'a' } })).toEqual(['tool_call.facts.risk'])
    expect(known({ payloads: { plot: ref(1) } })).toEqual(['tool_call.payloads.plot'])
    expect(known({ payloads: { tool_input: { add: [], count: 0, root: hash(1) } } })).toEqual(['tool_call.payloads.tool_input'])
    expect(known({ payloads: { tool_input: { same: 1 } } })).toEqual([])
    expect(parseEntry(encodeEntry(entry(1, 'constructor'))).unknown).toEqual(['constructor'])
  })

  test('whatever parses encodes to the same bytes', () => {
    const value: fc.Arbitrary<FactValue> = fc.oneof(fc.stringMatching(/^[!-~]{1,20}$/), fc.maxSafeInteger(), fc.boolean(), fc.array(fc.stringMatching(/^[!-~]{1,5}$/)))
    const anyRef: fc.Arbitrary<Ref> = fc.record({ c: fc.nat().map(hash), m: fc.constantFrom('json' as const, 'text' as const, 'bytes' as const), k: fc.integer({ min: 1, max: MAX_SCOPE }) }, { requiredKeys: ['c', 'm'] })
    const slot: fc.Arbitrary<Slot> = fc.oneof(anyRef, fc.record({ same: fc.nat(8) }), fc.array(anyRef, { maxLength: 4 }).map((add) => ({ add, count: add.length, root: hash(1) })))
    const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,10}$/)
    fc.assert(fc.property(fc.dictionary(name, value), fc.dictionary(name, slot, { maxKeys: 5 }), fc.constantFrom(...TYPES, 'dream'), (facts, payloads, type) => {
      const made = entry(9, type, { facts: { ...facts }, payloads: { ...payloads } })
      const bytes = encodeEntry(made)
      expect(encodeEntry(parseEntry(bytes).entry)).toEqual(bytes)
    }))
  })
})

describe('the vocabulary', () => {
  // What an event read back shows under one name, because it means the same: the session's value, which the event's own fact states.
  const SAME_MEANING: { readonly [type: string]: readonly string[] } = {
    session_start: ['agent_id', 'agent_version', 'model_id'],
    config_change: ['agent_version', 'model_id'],
    llm_call: ['model_id'],
    llm_result: ['model_id'],
  }
  const ENVELOPE: { [name in keyof ViewEnvelope]: true } = {
    index: true, event_id: true, event_type: true, session_id: true, seq: true, writer: true, stream: true, stream_seq: true, step_number: true, parent_event_id: true, timestamp: true,
    recorded_at: true, capture: true, outcome: true, agent_id: true, agent_version: true, user_id: true, model_id: true, system_prompt_hash: true, entry_hash: true,
  }

  test('envelope, facts and payloads of a type never share a name, but for listed ones', () => {
    const fields = new Set([...Object.keys(ENVELOPE), ...Object.keys(largestEntry('custom')), 'constructor', 'toString'])
    for (const type of TYPES) {
      const rules = RULES.get(type)!
      for (const name of [...rules.facts.keys(), ...rules.payloads.keys()]) expect(fields.has(name) && !SAME_MEANING[type]?.includes(name), `${type}.${name}`).toBe(false)
      for (const name of rules.facts.keys()) expect(rules.payloads.has(name), `${type}.${name}`).toBe(false)
      for (const name of SAME_MEANING[type] ?? []) expect(rules.facts.has(name)).toBe(true)
    }
  })

  test('every name fits the grammar of names', () => {
    for (const type of TYPES) for (const name of [type, ...RULES.get(type)!.facts.keys(), ...RULES.get(type)!.payloads.keys()]) expect(name).toMatch(/^[a-z][a-z0-9_]{0,31}$/)
  })
})

/** The longest value of a kind, in bytes of JSON. */
function largest(kind: string): FactValue {
  const [, base = '', max] = /^(=.*?|[a-z]+)(?:\[(\d+)\])?\??$/.exec(kind)!
  if (base === 'counts') return Object.fromEntries(Array.from({ length: Number(max) }, (_, i) => [i.toString(16).padStart(32, 'f'), Number.MAX_SAFE_INTEGER]))
  if (max !== undefined) return Array.from({ length: Number(max) }, () => largest(base) as string)
  if (base.startsWith('=')) return base.slice(1).split('|').toSorted((a, b) => b.length - a.length)[0]!
  const values: { readonly [kind: string]: FactValue } = {
    label: 'x'.repeat(128), uuid: uuid(1), ref: STREAM, hash: hash(1), time: '2026-11-21T08:00:00.000Z', int: -Number.MAX_SAFE_INTEGER, scope: `${SESSION}/${MAX_SCOPE}`, bool: false, decimal: `-0.${'1'.repeat(29)}`,
    signature: `${'x'.repeat(85)}A==`,
  }
  return values[base]!
}

/** The entry of `type` that takes the most bytes: every field, fact and payload at its maximum, 256 refs in its lists. */
function largestEntry(type: KnownType): Entry {
  const max = Number.MAX_SAFE_INTEGER
  const wide: Ref = { c: hash(1), m: 'bytes', k: MAX_SCOPE, masked: Array.from({ length: 4 }, () => 'x'.repeat(32)) }
  const lists = payloadsOf(type).filter(([, kind]) => kind === 'list')
  const payloads = payloadsOf(type).map(([name, kind]): [string, Slot] => {
    if (kind === 'one') return [name, wide]
    const add = Array.from({ length: name === lists[0]![0] ? 256 - (lists.length - 1) : 1 }, () => wide)
    return [name, { base: max - 1, keep: max - add.length, add, count: max, root: hash(1) }]
  })
  return {
    v: 1, index: max, event_id: uuid(1), event_type: type, session_id: SESSION, seq: max, prev: hash(1), writer: 'x'.repeat(128), stream: STREAM, stream_seq: max,
    timestamp: '2026-11-21T08:00:00.000Z', recorded_at: '2026-11-21T08:00:00.000Z', parent_event_id: uuid(1), step_number: max, capture: 'imported', outcome: 'success',
    facts: Object.fromEntries(kindsOf(type).map(([name, kind]) => [name, largest(kind)])), payloads: Object.fromEntries(payloads),
  }
}

function changesOf(value: unknown): unknown[] {
  if (typeof value === 'string') return [`${value}x`, value.slice(1), value.toUpperCase() === value ? `${value}y` : value.toUpperCase()]
  return typeof value === 'number' ? [value + 1, value - 1, String(value)] : [value !== true, null]
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, each]) => [key, sortKeys(each)]))
}

function encodeOrRefuse(value: unknown): string {
  try {
    return fromUtf8(encodeEntry(value as Entry))
  } catch {
    return 'refused'
  }
}
