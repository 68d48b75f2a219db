import fc from 'fast-check'
import { expect, test } from 'vitest'
import { utf8 } from '../base/bytes.ts'
import { decodeDraft, encodeDraft, type DraftPayload, type DraftSlot } from './draft.ts'
import { draft, STREAM, uuid } from './fixtures.ts'

const payload: fc.Arbitrary<DraftPayload> = fc.record(
  { m: fc.constantFrom('json' as const, 'text' as const, 'bytes' as const), content: fc.uint8Array({ maxLength: 20 }), k: fc.nat(9), masked: fc.array(fc.constantFrom('card', 'jwt'), { maxLength: 2 }) },
  { requiredKeys: ['m', 'content'] },
)
const slot: fc.Arbitrary<DraftSlot> = fc.oneof(payload, fc.constant({ same: uuid(3) }), fc.record({ base: fc.constant(uuid(4)), keep: fc.nat(9), add: fc.array(payload, { maxLength: 3 }) }, { requiredKeys: ['add'] }))

test('a draft comes back as it went', () => {
  fc.assert(fc.property(fc.dictionary(fc.stringMatching(/^[a-z_]{1,12}$/), slot, { maxKeys: 5 }), (payloads) => {
    const made = draft('tool_call', { facts: { tool_name: 'x', risk: 'low' }, links: { approval: uuid(9) }, stream: STREAM, stream_seq: 3, payloads: { ...payloads } })
    expect(decodeDraft(encodeDraft(made))).toEqual(made)
  }))
  const text = draft('final_output', { payloads: { output: { m: 'text', content: 'Größe 😀' } } })
  expect(decodeDraft(encodeDraft(text)).payloads['output']).toEqual({ m: 'text', content: utf8('Größe 😀') })
})

test('bytes that are not exactly one draft are a TypeError', () => {
  const bytes = encodeDraft(draft('final_output', { payloads: { output: { m: 'text', content: 'abc' } } }))
  for (let length = 0; length < bytes.length; length++) expect(() => decodeDraft(bytes.subarray(0, length)), String(length)).toThrow(TypeError)
  expect(() => decodeDraft(Uint8Array.of(...bytes, 0))).toThrow('1 bytes after its end')
  const header = (text: string): Uint8Array => Uint8Array.of(0, 0, 0, utf8(text).length, ...utf8(text))
  for (const bad of ['', 'x', 'null', '[]', '{}', '{"payloads":null}', '{"payloads":[]}', '{"payloads":{"a":null}}', '{"payloads":{"a":{}}}', '{"payloads":{"a":{"add":1}}}', '{"payloads":{"a":{"add":[null]}}}', '{"payloads":{"a":{"n":1}}}', '{"payloads":{"a":{"n":-1}}}']) {
    expect(() => decodeDraft(header(bad)), bad).toThrow(expect.objectContaining({ name: 'TypeError', message: expect.stringMatching(/^event: not a draft: /) as unknown }))
  }
  expect(Object.keys(decodeDraft(header('{"payloads":{"__proto__":{"n":0}}}')).payloads)).toEqual(['__proto__'])
})
