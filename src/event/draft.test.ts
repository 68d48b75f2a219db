import fc from 'fast-check'
import { expect, test } from 'vitest'
import { concat, u32be, utf8 } from '../base/bytes.ts'
import { decodeDraft, encodeDraft, writeDraft, type Draft, type DraftPayload, type DraftSlot } from './draft.ts'
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

/** The form as its sentence says it, part by part. */
function plainly(made: Draft): Uint8Array {
  const contents: Uint8Array[] = []
  const lift = ({ content, ...rest }: DraftPayload): object => {
    contents.push(typeof content === 'string' ? utf8(content) : content)
    return { ...rest, n: contents.at(-1)!.length }
  }
  const payloads = Object.fromEntries(Object.entries(made.payloads).map(([name, slot]) => [name, 'same' in slot ? slot : 'add' in slot ? { ...slot, add: slot.add.map(lift) } : lift(slot)]))
  const header = utf8(JSON.stringify({ ...made, payloads }))
  return concat(u32be(header.length), header, ...contents)
}

test('a draft is written the same whether there is room for it or not', () => {
  const content = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.uint8Array({ maxLength: 20 }), fc.constantFrom('ä'.repeat(3_000), 'x'.repeat(349_526), '€'.repeat(400_000), new Uint8Array(1_048_576), '\ud800'))
  const one = fc.record({ m: fc.constantFrom('json' as const, 'text' as const, 'bytes' as const), content, masked: fc.constant(['card']) }, { requiredKeys: ['m', 'content'] })
  const any = fc.oneof(one, fc.constant({ same: uuid(3) }), fc.record({ base: fc.constant(uuid(4)), keep: fc.nat(9), add: fc.array(one, { maxLength: 3 }) }, { requiredKeys: ['add'] }))
  const persons = fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 2_000 }), { minLength: 1, maxLength: 6 })
  fc.assert(fc.property(fc.dictionary(fc.stringMatching(/^[a-z_]{1,12}$/), any, { maxKeys: 4 }), fc.option(persons, { nil: undefined }), (payloads, who) => {
    const made = draft('tool_call', { facts: { tool_name: 'x', risk: 'low' }, stream: STREAM, stream_seq: 3, payloads: { ...payloads }, ...(who === undefined ? {} : { persons: who }) })
    expect(Buffer.compare(writeDraft(made), plainly(made))).toBe(0)
  }), { numRuns: 150 })
  // to the byte where the room for a header ends, and the room for contents
  for (let length = 7_600; length < 7_960; length++) {
    const made = draft('tool_call', { persons: ['x'.repeat(length)], payloads: { tool_input: { m: 'text', content: 'abc' } } })
    if (Buffer.compare(writeDraft(made), plainly(made)) !== 0) expect.fail(`a header of a person of ${length}`)
  }
  for (let length = 1_040_380; length < 1_040_390; length++) {
    const made = draft('tool_call', { payloads: { tool_input: { m: 'bytes', content: new Uint8Array(length).fill(7) }, names: { m: 'text', content: 'y' } } })
    if (Buffer.compare(writeDraft(made), plainly(made)) !== 0) expect.fail(`bytes of ${length}`)
  }
})

test('an encoded draft is not overwritten by the next', () => {
  const first = encodeDraft(draft('final_output', { payloads: { output: { m: 'text', content: 'first' } } }))
  const written = writeDraft(draft('final_output', { payloads: { output: { m: 'text', content: 'other' } } }))
  writeDraft(draft('final_output', { payloads: { output: { m: 'text', content: 'third' } } }))
  expect(decodeDraft(first).payloads['output']).toMatchObject({ content: utf8('first') })
  expect(decodeDraft(written).payloads['output']).toMatchObject({ content: utf8('third') }) // as it says of itself
})
